// Package remediator owns every act on a Redis host, a person's and its own, so that they cannot fight: one act at a time per
// unit, each with a durable intent before and an outcome after. It decides by pure functions (ladder, breaker) on fresh
// evidence, and refuses to act without it: unknown is not down.
package remediator

import (
	"time"

	"github.com/redis-medic/redis-medic/remediator/breaker"
)

// Operation is what a person may ask for.
type Operation string

// The closed list of operations (document section 4.1; reload only where the unit can).
const (
	OpStart   Operation = "start"
	OpStop    Operation = "stop"
	OpRestart Operation = "restart"
	OpReload  Operation = "reload"
)

// Actor is who does something. It travels from the door to the act and into the audit record.
type Actor struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
	Auth  string `json:"-"` // jwt, session, service_account, webhook, system, none

	// Where the request came from, for the audit record; empty for acts of our own.
	SourceIP  string `json:"-"`
	RequestID string `json:"-"`
}

// System is the actor of automatic acts.
func System() Actor { return Actor{ID: "redis-medic", Email: "", Role: "system", Auth: "system"} }

// Name is how an actor is shown: the e-mail address, or the id where there is none.
func (a Actor) Name() string {
	if a.Email != "" {
		return a.Email
	}
	return a.ID
}

// Request asks for one operation on one service.
type Request struct {
	Service   string
	Operation Operation
	Actor     Actor
	SourceIP  string
	RequestID string
	Reason    string // free text of the person; kept in the audit record, never part of a command
}

// Result is what came of an operation. Success is judged by the unit's state and a PING afterwards, never by an exit code alone.
type Result struct {
	Success               bool
	Operation             Operation
	Message               string        // public
	Error                 string        // public cause; empty on success
	Duration              time.Duration // from acceptance to verdict
	Timestamp             time.Time     // when it ended
	NewStatus             string        // running, stopped, failed, unknown
	PreviousUptime        time.Duration // restart only; negative: not known
	ConnectionsTerminated int           // restart only; -1: not known
	AlreadyDone           bool          // nothing had to be done
	OutcomeUnknown        bool          // the deadline passed or the connection broke: look before you repeat
	ExitCode              int           // of the last command; -1: none ran
}

// Desired is what a person wants a service to be. Auto-recovery holds while it is stopped.
type Desired struct {
	Running bool      `json:"running"`
	By      string    `json:"by"`
	Since   time.Time `json:"since"`
	Reason  string    `json:"reason"`
}

// HoldCode names why automatic recovery does not act at the moment.
type HoldCode string

// The closed list of holds.
const (
	HoldStopped     HoldCode = "stopped_by_operator" // desired state is stopped
	HoldMaintenance HoldCode = "maintenance"
	HoldDisabled    HoldCode = "disabled"     // switched off by an admin or the config
	HoldLatched     HoldCode = "latched"      // manual intervention required; an admin must reset it
	HoldBreaker     HoldCode = "breaker_open" // too many failed operations
	HoldStorm       HoldCode = "storm"        // too many services fail at once
	HoldSilenced    HoldCode = "silenced"     // the alert is silenced or inhibited in Alertmanager
	HoldStalled     HoldCode = "clock_stall"  // our own process or clock stood still
	HoldAudit       HoldCode = "audit_failed" // no durable intent could be written
	HoldNoLease     HoldCode = "no_lease"     // another process leads, or may lead
)

// HoldCodes lists every HoldCode, for state-set metrics.
func HoldCodes() []HoldCode {
	return []HoldCode{HoldStopped, HoldMaintenance, HoldDisabled, HoldLatched, HoldBreaker, HoldStorm, HoldSilenced, HoldStalled, HoldNoLease, HoldAudit}
}

// Hold is one reason, with an end where it has one.
type Hold struct {
	Code  HoldCode  `json:"code"`
	Text  string    `json:"text"`
	By    string    `json:"by"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
}

// IncidentStatus is where an incident stands.
type IncidentStatus string

// The closed list of incident states.
const (
	IncidentObserving    IncidentStatus = "observing"     // opened by an alert, not yet confirmed
	IncidentRecovering   IncidentStatus = "recovering"    // climbing the ladder
	IncidentWaiting      IncidentStatus = "waiting"       // systemd or Redis is at work, or a hold is on: looking again later
	IncidentWatching     IncidentStatus = "watching"      // recovered, inside the stability window
	IncidentRecovered    IncidentStatus = "recovered"     // closed: we brought it back
	IncidentSelfHealed   IncidentStatus = "self_healed"   // closed: healthy again without an act of ours
	IncidentNotConfirmed IncidentStatus = "not_confirmed" // closed: our own probe found Redis healthy
	IncidentManual       IncidentStatus = "manual"        // latched: a person is needed
)

// Closed reports whether nothing more will happen to an incident by itself.
func (s IncidentStatus) Closed() bool {
	return s == IncidentRecovered || s == IncidentSelfHealed || s == IncidentNotConfirmed
}

// Source is who noticed an outage first.
type Source string

// The closed list of sources.
const (
	SourceAlert Source = "alert"      // Alertmanager, by webhook or asked
	SourceProbe Source = "probe"      // our own probe, while Alertmanager was silent
	SourceGuard Source = "loop_guard" // the loop guard: it comes back, but too often
)

// Step is one line of an incident's timeline.
type Step struct {
	At       time.Time         `json:"at"`
	Kind     string            `json:"kind"` // opened, observed, diagnosed, held, skipped, intent, outcome, verified, closed
	Level    string            `json:"level,omitempty"`
	Act      string            `json:"act,omitempty"`
	Result   string            `json:"result,omitempty"` // success, failure, unknown
	Code     string            `json:"code,omitempty"`
	Text     string            `json:"text"`
	Evidence map[string]string `json:"evidence,omitempty"`
	Took     float64           `json:"duration_seconds,omitempty"`
}

// Incident is one outage of one service, from the alert to the end of the stability window.
type Incident struct {
	ID          string         `json:"id"`
	Service     string         `json:"service"`
	Source      Source         `json:"source,omitempty"` // empty: systemd's own restart
	Alert       string         `json:"alert"`
	Fingerprint string         `json:"fingerprint"`
	Status      IncidentStatus `json:"status"`
	Cause       string         `json:"cause"` // reason or diagnosis code
	CauseText   string         `json:"cause_text"`
	AlertAt     time.Time      `json:"alert_starts_at,omitzero"`
	OpenedAt    time.Time      `json:"opened_at"`
	RecoveredAt time.Time      `json:"recovered_at,omitzero"` // first PONG after the act
	ClosedAt    time.Time      `json:"closed_at,omitzero"`
	Attempts    int            `json:"attempts"`
	Level       string         `json:"level,omitempty"` // the highest rung tried
	Steps       []Step         `json:"steps"`
}

// Busy is the act in hand on a service.
type Busy struct {
	By        string    `json:"by"`
	Operation string    `json:"operation"`
	Since     time.Time `json:"since"`
}

// State is everything the remediator knows of a service; a copy, safe to keep.
type State struct {
	Service             string
	AutoRecoveryEnabled bool
	Desired             Desired
	Holds               []Hold
	Breaker             breaker.State
	ManualIntervention  bool
	ManualReason        string
	RecentRecoveries    int // of the last hour
	LastRecovery        time.Time
	RecoveryStatus      string // success, failed, in_progress; empty: none yet
	Busy                *Busy
	Incident            *Incident // the open one
	DegradedSince       time.Time // zero: not degraded
}

// EventType is the type of a live message.
type EventType string

// The three message types of document section 4.2, and ours (DESIGN section 9).
const (
	EventServiceStatus EventType = "service_status"
	EventService       EventType = "service_event"
	EventAutoRecovery  EventType = "auto_recovery"
	EventHealth        EventType = "health"
	EventDegradation   EventType = "degradation"
	EventAlert         EventType = "alert"
	EventIncident      EventType = "incident"
)

// StatusDetails is the details object of a service_status message. A nil field is null on the wire.
type StatusDetails struct {
	PID         *int     `json:"pid"`
	Connections *int     `json:"connections"`
	MemoryMB    *float64 `json:"memory_mb"`
}

// Event is one live message. The hub numbers it.
type Event struct {
	Seq           uint64         `json:"seq"`
	Type          EventType      `json:"type"`
	Service       string         `json:"service"`
	Timestamp     time.Time      `json:"timestamp"`
	Status        string         `json:"status,omitempty"`
	Details       *StatusDetails `json:"details,omitempty"`
	Event         string         `json:"event,omitempty"`  // service_event: the operation
	User          string         `json:"user,omitempty"`   // service_event: who
	Result        string         `json:"result,omitempty"` // service_event: started, success, failure, unknown
	RecoveryLevel string         `json:"recovery_level,omitempty"`
	Message       string         `json:"message,omitempty"`
	Incident      *Incident      `json:"incident,omitempty"`
	Health        any            `json:"health,omitempty"`
	Degradation   any            `json:"degradation,omitempty"`
}
