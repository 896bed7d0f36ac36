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

// Now returns the state as it stands at now: an open breaker whose time is over is half-open.
func Now(s State, set Settings, now time.Time) State {
	if s.Phase == "" {
		s.Phase = Closed
	}
	if s.Phase == Open && !now.Before(s.OpenedAt.Add(set.OpenFor)) {
		return State{Phase: HalfOpen, Generation: s.Generation + 1, OpenedAt: s.OpenedAt}
	}
	return s
}

// Begin asks for leave to begin an operation. With leave it returns the state to persist, whose Generation the caller hands
// back to Succeed or Fail. Without leave, retryAfter says when to ask again; it is at least a second.
func Begin(s State, set Settings, now time.Time) (next State, ok bool, retryAfter time.Duration) {
	s = Now(s, set, now)
	if !set.Enabled {
		return s, true, 0
	}
	switch s.Phase {
	case Open:
		return s, false, max(s.OpenedAt.Add(set.OpenFor).Sub(now), time.Second)
	case HalfOpen:
		if s.Trials >= max(set.HalfOpenTrials, 1) {
			return s, false, time.Second
		}
		s.Trials++
	}
	return s, true, 0
}

// Succeed counts an operation that succeeded: it closes a half-open breaker and clears the failures. A result from another
// generation changes nothing.
func Succeed(s State, generation uint64) State {
	if s.Generation != generation || s.Phase == Open {
		return s
	}
	if s.Phase == HalfOpen {
		return State{Phase: Closed, Generation: s.Generation + 1}
	}
	s.Failures = 0
	return s
}

// Fail counts an operation that failed at now. The threshold opens a closed breaker; any failure opens a half-open one again.
// A result from another generation changes nothing.
func Fail(s State, set Settings, generation uint64, now time.Time) State {
	if !set.Enabled || s.Generation != generation || s.Phase == Open {
		return s
	}
	s.Failures++
	if s.Phase == HalfOpen || s.Failures >= max(set.FailureThreshold, 1) {
		return State{Phase: Open, Failures: s.Failures, Generation: s.Generation + 1, OpenedAt: now}
	}
	return s
}

// Abandon gives a half-open trial back whose operation never began.
func Abandon(s State, generation uint64) State {
	if s.Generation == generation && s.Phase == HalfOpen && s.Trials > 0 {
		s.Trials--
	}
	return s
}

// Reset is an admin's reset: closed, with nothing counted.
func Reset(s State) State { return State{Phase: Closed, Generation: s.Generation + 1} }

// Keep returns the times inside the window that ends at now, oldest first, and drops the rest. A time after now (the clock went
// back) counts as now: it must not be forgotten.
func Keep(times []time.Time, window time.Duration, now time.Time) []time.Time {
	kept := make([]time.Time, 0, len(times))
	for _, t := range times {
		if now.Sub(t) < window {
			kept = append(kept, t)
		}
	}
	return kept
}

// Looping reports whether at least limit of the times lie inside the window: the loop guard (document section 8.3, scenario 3)
// and the limit on starts of a unit. A limit of 0 switches it off.
func Looping(times []time.Time, limit int, window time.Duration, now time.Time) bool {
	return limit > 0 && len(Keep(times, window, now)) >= limit
}
