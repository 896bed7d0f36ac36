package rbac

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTheDocumentsMatrix is section 6.1, cell by cell.
func TestTheDocumentsMatrix(t *testing.T) {
	table, err := New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		permission                         Permission
		admin, operator, viewer, anonymous bool
	}{
		{Status, true, true, true, true},
		{Health, true, true, true, true},
		{Start, true, true, false, false},
		{Restart, true, true, false, false},
		{Stop, true, false, false, false},
		{Logs, true, false, false, false},
		{Configure, true, false, false, false},
		{Audit, true, false, false, false},
		{Reload, true, true, false, false},
		{Maintenance, true, true, false, false},
		{AutoRecovery, true, true, true, false},
		{Incidents, true, true, true, false},
		{Live, true, true, true, false},
		{Public, true, true, true, true},
		{SignedIn, true, true, true, false},
		{"", false, false, false, false},
		{"START", false, false, false, false},
	} {
		for role, want := range map[Role]bool{Admin: c.admin, Operator: c.operator, Viewer: c.viewer, Anonymous: c.anonymous, "": c.anonymous} {
			if got := table.Allow(role, c.permission); got != want {
				t.Errorf("%s may %s: %v", role, c.permission, got)
			}
		}
		if table.Allow("guest", c.permission) && c.permission != Public && c.permission != SignedIn {
			t.Errorf("a role that nobody configured may %s", c.permission)
		}
	}
}

func TestOverridesReplaceWholeLists(t *testing.T) {
	table, err := New(map[Permission][]Role{Stop: {Operator, "dba"}, Status: {Viewer}, Start: {}})
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[Role]bool{"dba": true, Operator: true, Admin: false} {
		if got := table.Allow(role, Stop); got != want {
			t.Errorf("%s may stop: %v", role, got)
		}
	}
	if table.Allow(Anonymous, Status) || table.Allow(Admin, Start) || !table.Allow(Operator, Restart) {
		t.Error("a list was mixed with the defaults")
	}
	if got := table.Of("dba"); !slices.Equal(got, []Permission{Stop}) {
		t.Errorf("a dba may %v", got)
	}
	if got := table.Required(Stop); !slices.Equal(got, []Role{Operator, "dba"}) {
		t.Errorf("stop requires %v", got)
	}
	if got := table.Required(Public); got == nil || len(got) != 0 {
		t.Errorf("public requires %v", got)
	}
}

func TestTablesThatAreRefused(t *testing.T) {
	_, err := New(map[Permission][]Role{"fly": {Admin}, Stop: {Anonymous}, Logs: {""}, Public: {Admin}})
	for _, want := range []string{"permissions.fly: unknown", "permissions.stop: cannot be given to anonymous", "permissions.logs: a role must have a name", "permissions.public: unknown"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	for _, p := range Permissions() {
		_, err := New(map[Permission][]Role{p: {Anonymous}})
		if looks := slices.Contains([]Permission{Status, Health, AutoRecovery, Incidents, Live}, p); (err == nil) != looks {
			t.Errorf("%s for anonymous: %v", p, err)
		}
	}
}

// TestNobodyGetsMoreThanTheTableSays compares Allow with the lists for any table.
func TestNobodyGetsMoreThanTheTableSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles := rapid.SliceOfDistinct(rapid.SampledFrom([]Role{Admin, Operator, Viewer, "dba"}), func(r Role) Role { return r })
		overrides := rapid.MapOf(rapid.SampledFrom(Permissions()), roles).Draw(t, "overrides")
		table, err := New(overrides)
		if err != nil {
			t.Fatal(err)
		}
		role := rapid.SampledFrom([]Role{Admin, Operator, Viewer, Anonymous, "dba", "guest"}).Draw(t, "role")
		permission := rapid.SampledFrom(Permissions()).Draw(t, "permission")
		list, set := overrides[permission]
		if !set {
			list = Defaults()[permission]
		}
		if got := table.Allow(role, permission); got != slices.Contains(list, role) {
			t.Fatalf("%s may %s: %v", role, permission, got)
		}
	})
}
