// Package rbac owns one table: which role has which permission. It is pure. It refuses by default: a permission that the table
// does not know, or a role that a permission does not list, is not allowed. Who somebody is belongs to authn.
package rbac

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Role is a set of permissions under a name.
type Role string

// The roles of the architecture document. Other role names may be used in the configuration.
const (
	Admin     Role = "admin"
	Operator  Role = "operator"
	Viewer    Role = "viewer"
	Anonymous Role = "anonymous" // nobody has signed in
)

// Roles lists the document's roles, mightiest first.
func Roles() []Role { return []Role{Admin, Operator, Viewer, Anonymous} }

// Permission names something that may be done. Every route of the control API needs one.
type Permission string

// The configurable permissions: those of Appendix A, then ours.
const (
	Start        Permission = "start"
	Stop         Permission = "stop"
	Restart      Permission = "restart"
	Status       Permission = "status" // status, list of services, degradation
	Health       Permission = "health"
	Logs         Permission = "logs"   // logs and evidence
	Reload       Permission = "reload" // of a service
	AutoRecovery Permission = "auto_recovery"
	Maintenance  Permission = "maintenance"
	Incidents    Permission = "incidents"
	Audit        Permission = "audit"
	Configure    Permission = "configure" // change auto-recovery, reload the configuration
	Live         Permission = "live"      // the event stream
)

// Two permissions that no configuration changes.
const (
	Public   Permission = "public"    // everybody, signed in or not
	SignedIn Permission = "signed_in" // everybody who has shown valid credentials
)

// Permissions lists every configurable permission.
func Permissions() []Permission {
	return []Permission{Start, Stop, Restart, Status, Health, Logs, Reload, AutoRecovery, Maintenance, Incidents, Audit, Configure, Live}
}

// Table says which roles have a permission. It is immutable after New and safe for concurrent use.
type Table struct {
	roles map[Permission][]Role
}

// Defaults returns the document's matrix (section 6.1) and, for our own permissions, the same division: who looks needs to be
// signed in, who acts without ending the service is an operator, the rest is for admins.
func Defaults() map[Permission][]Role {
	return map[Permission][]Role{
		Start:        {Admin, Operator},
		Stop:         {Admin},
		Restart:      {Admin, Operator},
		Status:       {Admin, Operator, Viewer, Anonymous},
		Health:       {Admin, Operator, Viewer, Anonymous},
		Logs:         {Admin},
		Reload:       {Admin, Operator},
		AutoRecovery: {Admin, Operator, Viewer},
		Maintenance:  {Admin, Operator},
		Incidents:    {Admin, Operator, Viewer},
		Audit:        {Admin},
		Configure:    {Admin},
		Live:         {Admin, Operator, Viewer},
	}
}

// New lays overrides over the defaults. An override replaces the whole list of a permission; an empty list means nobody. All
// faults are reported at once.
func New(overrides map[Permission][]Role) (Table, error) {
	roles := Defaults()
	var faults []error
	for _, p := range slices.Sorted(maps.Keys(overrides)) {
		if _, known := roles[p]; !known {
			faults = append(faults, fmt.Errorf("permissions.%s: unknown permission", p))
			continue
		}
		if slices.Contains(overrides[p], "") {
			faults = append(faults, fmt.Errorf("permissions.%s: a role must have a name", p))
			continue
		}
		if slices.Contains(overrides[p], Anonymous) && !mayBeAnonymous(p) {
			faults = append(faults, fmt.Errorf("permissions.%s: cannot be given to anonymous", p))
			continue
		}
		roles[p] = slices.Clone(overrides[p])
	}
	if err := errors.Join(faults...); err != nil {
		return Table{}, err
	}
	return Table{roles: roles}, nil
}

// mayBeAnonymous: looking may be public, but an act needs somebody who answers for it in the audit log.
func mayBeAnonymous(p Permission) bool {
	switch p {
	case Status, Health, AutoRecovery, Incidents, Live:
		return true
	}
	return false
}

// Allow reports whether a role has a permission. An empty role counts as Anonymous.
func (t Table) Allow(role Role, p Permission) bool {
	if role == "" {
		role = Anonymous
	}
	switch p {
	case Public:
		return true
	case SignedIn:
		return role != Anonymous
	}
	return slices.Contains(t.roles[p], role)
}

// Required lists the roles that have a permission, in the order of the table; none for Public and SignedIn.
func (t Table) Required(p Permission) []Role { return append([]Role{}, t.roles[p]...) }

// Of lists the configurable permissions of a role, in the order of Permissions.
func (t Table) Of(role Role) []Permission {
	out := []Permission{}
	for _, p := range Permissions() {
		if t.Allow(role, p) {
			out = append(out, p)
		}
	}
	return out
}
