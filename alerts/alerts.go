// Package alerts owns what counts as a problem: the Prometheus rules as Go data, and the rule files generated from them. The
// limits themselves are not here: rules compare measurements with the threshold series that the exporter publishes, so a limit
// lives in one place, the configuration, and may differ per service. The package refuses to know how a problem is repaired; the
// label "remediation" only says whether the recovery ladder may be woken for it.
package alerts

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

//go:generate go run ./cmd/gen -out rules

// Severity is how soon a person has to look.
type Severity string

// The closed list of severities; Alertmanager routes by them.
const (
	Critical Severity = "critical" // now, also at night
	Warning  Severity = "warning"  // today
	Info     Severity = "info"     // recorded, shown, sent to nobody
)

// Remediation says whether an alert may wake the recovery ladder.
type Remediation string

// The closed list of remediations.
const (
	Ladder        Remediation = "ladder"
	NoRemediation Remediation = "none"
)

// Self is the value of the label "service" on alerts about redis-medic itself.
const Self = "redis-medic"

// Default addresses in annotations; Settings replaces them.
const (
	DefaultRunbook   = "https://github.com/redis-medic/redis-medic/blob/main/deploy/docs/runbook.md"
	DefaultDashboard = "http://127.0.0.1:3000/d/redis-medic-overview"
)

// Alert is one alerting rule. Name is also its section in the runbook.
type Alert struct {
	Name        string
	Severity    Severity
	Remediation Remediation // empty means NoRemediation
	Window      string      // tells rules of one name and severity apart; becomes a label
	Self        bool        // about redis-medic itself; otherwise Expr must yield the label "service"
	Expr        string
	For         time.Duration // 0: fires at the evaluation that sees it
	Keep        time.Duration // how long it goes on firing after the last sight
	Summary     string        // one line, Prometheus template
	Description string        // what is seen, what redis-medic does by itself, what a person does
}

// Record is one recording rule.
type Record struct {
	Name   string
	Expr   string
	Labels map[string]string
}

// Group is a set of rules that are evaluated together, every Interval.
type Group struct {
	Name     string
	Interval time.Duration
	Records  []Record // evaluated before Alerts
	Alerts   []Alert
}

// File is one generated rule file.
type File struct {
	Name   string // "redis-critical.yml"
	About  string // one line at its head
	Groups []Group
}

// Files lists every rule file. The result is fresh on each call and may be changed.
func Files() []File {
	return []File{
		{
			Name:   "redis-critical.yml",
			About:  "Outages that the remediator may repair. Evaluated every second, fired without delay: the remediator looks for itself before it acts.",
			Groups: []Group{criticalGroup()},
		},
		{
			Name:   "redis-health.yml",
			About:  "Everything else that can be wrong with a Redis service. No alert here causes an act.",
			Groups: []Group{answerGroup(), resourceGroup(), unitGroup()},
		},
		{
			Name:   "redis-medic.yml",
			About:  "What redis-medic did, what it waits for, and whether the chain that carries its alerts works.",
			Groups: []Group{holdGroup(), recoveryGroup(), chainGroup()},
		},
		{
			Name:   "redis-medic-slo.yml",
			About:  "Availability of the control API: 99.9 % over 30 days, judged by how fast the error budget burns.",
			Groups: []Group{sloRecordGroup(), sloAlertGroup()},
		},
	}
}

// All lists the alerts of every file, in order.
func All() []Alert {
	var out []Alert
	for _, f := range Files() {
		for _, g := range f.Groups {
			out = append(out, g.Alerts...)
		}
	}
	return out
}

// Expressions returns every PromQL expression with the rule it belongs to, alerts and recordings alike.
func Expressions() map[string]string {
	out := map[string]string{}
	for _, f := range Files() {
		for _, g := range f.Groups {
			for _, r := range g.Records {
				out[r.Name] = r.Expr
			}
			for _, a := range g.Alerts {
				out[a.ID()] = a.Expr
			}
		}
	}
	return out
}

// RecordNames returns the names that recording rules add, sorted.
func RecordNames() []string {
	seen := map[string]bool{}
	for _, f := range Files() {
		for _, g := range f.Groups {
			for _, r := range g.Records {
				seen[r.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// Anchor is the runbook section of an alert or a reason code, as Markdown renderers derive it from the heading.
func Anchor(heading string) string {
	return strings.ReplaceAll(strings.ToLower(heading), " ", "-")
}

// ID tells rules of the same name apart.
func (a Alert) ID() string {
	id := a.Name + "/" + string(a.Severity)
	if a.Window != "" {
		id += "/" + a.Window
	}
	return id
}

// check reports what is wrong with an alert as data.
func (a Alert) check() error {
	switch {
	case a.Name == "" || a.Expr == "" || a.Summary == "" || a.Description == "":
		return fmt.Errorf("alert %q: name, expression, summary and description are needed", a.Name)
	case a.Severity != Critical && a.Severity != Warning && a.Severity != Info:
		return fmt.Errorf("alert %q: unknown severity %q", a.Name, a.Severity)
	case a.Remediation != "" && a.Remediation != Ladder && a.Remediation != NoRemediation:
		return fmt.Errorf("alert %q: unknown remediation %q", a.Name, a.Remediation)
	case a.Remediation == Ladder && (a.Self || a.Severity != Critical):
		return fmt.Errorf("alert %q: only a critical alert about a service may wake the ladder", a.Name)
	}
	return nil
}
