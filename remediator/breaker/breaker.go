// Package breaker is the circuit breaker of service operations and the loop guard of recoveries. It is pure: every function
// takes the state and the time and returns the next state; the caller persists it. It refuses to know what an operation is.
package breaker

import "time"

// Phase is where a breaker stands.
type Phase string

// The three phases.
const (
	Closed   Phase = "closed"
	Open     Phase = "open"
	HalfOpen Phase = "half-open"
)

// State is a breaker's memory. The zero value is a closed breaker. Generation grows with every change of phase: an operation
// that began in an earlier generation does not count in a later one.
type State struct {
	Phase      Phase     `json:"phase"`
	Failures   int       `json:"failures"`
	Generation uint64    `json:"generation"`
	OpenedAt   time.Time `json:"opened_at,omitzero"`
	Trials     int       `json:"trials"` // begun in this half-open phase
}

// Settings are the breaker's limits (Appendix A: 5 failures, 300 s, 1 trial).
type Settings struct {
	Enabled          bool
	FailureThreshold int
	OpenFor          time.Duration
	HalfOpenTrials   int
}
