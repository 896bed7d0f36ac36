// Package audit owns the append-only record of every attempt: who, what, from where, with which result. Intent is written
// before an act and outcome after. It refuses to drop a record silently: Append returns only when the record is durable, or
// with an error, and the caller must then refuse a person's act.
package audit

import "time"

// Phase says which side of an act a record stands on.
type Phase string

// The closed list of phases.
const (
	PhaseIntent  Phase = "intent"
	PhaseOutcome Phase = "outcome"
	PhaseDenied  Phase = "denied" // refused before any act: 400, 401, 403, 409, 429, 503
	PhaseSystem  Phase = "system" // configuration, holds, start and stop of the program, webhook deliveries
)

// Record is one audit record: the document's JSON (section 6.4) and what makes it verifiable. Seq, Time, PrevHash and Hash are
// set by the Log.
type Record struct {
	Time      time.Time `json:"timestamp"`
	EventType string    `json:"event_type"` // service_operation, auto_recovery, authentication, configuration, webhook, access
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	User      User      `json:"user"`
	SourceIP  string    `json:"source_ip"`
	Result    Result    `json:"result"`
	Security  Security  `json:"security"`

	Phase     Phase             `json:"phase"`
	RequestID string            `json:"request_id,omitempty"`
	Incident  string            `json:"incident,omitempty"`
	Level     string            `json:"recovery_level,omitempty"`
	Reason    string            `json:"reason,omitempty"`
	Details   map[string]string `json:"details,omitempty"`

	Chain    string `json:"chain"`
	Seq      int64  `json:"seq"`
	PrevHash string `json:"prev_hash"`
	Hash     string `json:"hash"`
}

// User is who tried.
type User struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
	Auth  string `json:"auth_method,omitempty"`
}

// Result is what came of it. ExitCode is nil where no command ran.
type Result struct {
	Success  bool    `json:"success"`
	Duration float64 `json:"duration_seconds"`
	ExitCode *int    `json:"exit_code"`
	Status   int     `json:"http_status,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// Security is the document's security object.
type Security struct {
	CommandValidated bool   `json:"command_validated"`
	RiskLevel        string `json:"risk_level"` // low, moderate, high
	SSHKeyUsed       bool   `json:"ssh_key_used"`
}

// Filter selects records; zero fields select all. Records come newest first. Before is a keyset cursor: only records with a
// smaller Seq; 0 starts at the newest.
type Filter struct {
	Service, User, Operation string
	Phase                    Phase
	Success                  *bool
	Since, Until             time.Time
	Before                   int64
	Limit                    int // 1..1000; 0 means 50
}
