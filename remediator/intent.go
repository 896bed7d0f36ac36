package remediator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// heldError refuses an act that was decided on, because of what has happened since.
type heldError struct{ code, text string }

// Error implements error.
func (e *heldError) Error() string { return e.text }

// refused turns the reason why there is no intent into a decision not to act.
func (r *Remediator) refused(u *unit, err error) ladder.Decision {
	var held *heldError
	var open *BreakerOpenError
	switch {
	case errors.As(err, &held):
		return ladder.Decision{Kind: ladder.Held, Code: held.code, Text: held.text}
	case errors.As(err, &open):
		return ladder.Decision{Kind: ladder.Held, Code: string(HoldBreaker), Text: "the circuit breaker lets no further operation through"}
	}
	r.o.Logger.Error().Err(err).Str("service", u.id).Msg("no durable intent, so no act")
	return ladder.Decision{Kind: ladder.Held, Code: string(HoldAudit), Text: "no durable intent could be written, so nothing is done"}
}

// changed reports what a person has decided, or what was started, since the decision was taken. The caller holds u.mu until the
// intent is durable: who comes later comes after it.
func (u *unit) changed(d ladder.Decision, now time.Time) error {
	m, set := &u.mem, u.svc().Ladder
	switch {
	case !m.Desired.Running:
		return &heldError{string(HoldStopped), "stopped by " + m.Desired.By + " at this moment"}
	case m.Maintenance != nil && now.Before(m.Maintenance.Until):
		return &heldError{string(HoldMaintenance), m.Maintenance.Text}
	case m.Latch != nil:
		return &heldError{string(HoldLatched), m.Latch.Text}
	case m.Disabled != nil:
		return &heldError{string(HoldDisabled), m.Disabled.Text}
	case set.MaxStarts > 0 && starting(d.Acts) && len(breaker.Keep(m.Starts, set.StartWindow, now)) >= set.MaxStarts:
		return &heldError{"start_pace", "the unit was started several times in the last seconds: one more could hit systemd's limit"}
	}
	return nil
}

// starting reports whether acts may start a process; systemd does so after a kill.
func starting(acts []ladder.Act) bool {
	return slices.ContainsFunc(acts, func(a ladder.Act) bool {
		return a == ladder.Start || a == ladder.Restart || a == ladder.Kill
	})
}

// intend makes the intent durable: the attempt in the incident, the start in the memory, the record in the audit log. Only then
// may anything happen.
func (r *Remediator) intend(ctx context.Context, u *unit, in ladder.Input, d ladder.Decision) (generation uint64, err error) {
	now := time.Now()
	u.mu.Lock()
	err = u.changed(d, now)
	if err == nil && !r.o.Lead() {
		err = &heldError{string(HoldNoLease), "another redis-medic leads, or may lead by now"}
	}
	if err != nil {
		u.mu.Unlock()
		return 0, err
	}
	next, leave, after := breaker.Begin(u.mem.Breaker, u.svc().Breaker, now)
	if !leave {
		u.mu.Unlock()
		return 0, &BreakerOpenError{RetryAfter: after}
	}
	u.mem.Breaker = next
	id := u.incident.ID
	u.mu.Unlock()

	rec := r.record(u, System(), string(d.Rung), audit.PhaseIntent)
	rec.EventType, rec.Incident, rec.Level, rec.Reason = "auto_recovery", id, string(d.Rung), d.Text
	rec.Details = seen(in)
	rec.Details["acts"] = actWords(d.Acts)
	if skipped := skipWords(d.Skipped); skipped != "" {
		rec.Details["skipped"] = skipped
	}
	rec.Security.SSHKeyUsed = d.Acts[0] != ladder.KillScript
	wctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	if _, err := r.o.Audit.Append(wctx, rec); err != nil {
		r.giveBack(u, next.Generation)
		return 0, fmt.Errorf("%w: %w", ErrAudit, err)
	}

	u.mu.Lock()
	before, steps, climb := u.mem, u.incident.Steps, u.incident.Climbed
	if err := u.changed(d, now); err != nil {
		u.mu.Unlock()
		r.giveBack(u, next.Generation)
		r.withdraw(ctx, u, d, err)
		return 0, err
	}
	c := &u.incident.Climbed
	c.Attempts = append(slices.Clone(c.Attempts), ladder.Attempt{Rung: d.Rung, At: now.UTC(), Result: "unknown"})
	c.LastCode, c.Finding, c.Restoring = "", nil, nil
	if d.Acts[0] == ladder.RestoreConfig {
		c.Restoring = in.Finding
	}
	c.Done, c.Denied = cloned(c.Done), cloned(c.Denied)
	for _, a := range d.Acts {
		c.Done[a] = true
	}
	if starting(d.Acts) {
		u.mem.Starts = append(keepStarts(u.mem.Starts, now), now.UTC())
	}
	u.incident.Status, u.incident.Attempts, u.incident.Level = IncidentRecovering, len(c.Attempts), string(d.Rung)
	u.mem.RecoveryStatus = "in_progress"
	for _, s := range d.Skipped {
		u.appendStep(Step{Kind: "skipped", Level: string(s.Rung), Code: s.Code, Text: s.Text})
		r.metrics.skipped.WithLabelValues(u.id, string(s.Rung), s.Code).Inc()
	}
	u.appendStep(Step{Kind: "intent", Level: string(d.Rung), Act: actWords(d.Acts), Code: d.Code, Text: d.Text, Evidence: seen(in)})
	err = r.saveLocked(ctx, u)
	if err != nil {
		// Nothing was begun: neither an attempt nor a start may count.
		u.mem.Starts, u.mem.RecoveryStatus, u.incident.Steps, u.incident.Climbed = before.Starts, before.RecoveryStatus, steps, climb
		u.incident.Attempts = len(climb.Attempts)
	}
	shown := u.incident.clone()
	u.mu.Unlock()
	if err != nil {
		r.giveBack(u, next.Generation)
		r.withdraw(ctx, u, d, err)
		return 0, err
	}
	r.metrics.attempts.WithLabelValues(u.id, string(d.Rung)).Inc()
	r.publish(Event{Type: EventIncident, Service: u.id, Status: string(shown.Status), Message: d.Text, Incident: &shown})
	r.recoveryEvent(u, string(d.Rung), "started", d.Text)
	r.tell(u, NoticeStarted, string(d.Rung), "Automatic recovery of Redis "+u.id+" started ("+string(d.Rung)+")", shown.CauseText+": "+d.Text)
	return next.Generation, nil
}

// withdraw closes an intent that is in the audit log, but that nothing followed.
func (r *Remediator) withdraw(ctx context.Context, u *unit, d ladder.Decision, why error) {
	rec := r.record(u, System(), string(d.Rung), audit.PhaseOutcome)
	rec.EventType, rec.Level, rec.Reason = "auto_recovery", string(d.Rung), "nothing was done"
	rec.Result.Error = why.Error()
	if i := u.openIncident(); i != nil {
		rec.Incident = i.ID
	}
	r.auditQuietly(ctx, rec)
}

func cloned(m map[ladder.Act]bool) map[ladder.Act]bool {
	out := maps.Clone(m)
	if out == nil {
		out = map[ladder.Act]bool{}
	}
	return out
}

func skipWords(skipped []ladder.Skip) string {
	words := make([]string, 0, len(skipped))
	for _, s := range skipped {
		words = append(words, string(s.Rung)+": "+s.Code)
	}
	return strings.Join(words, ", ")
}

func (r *Remediator) giveBack(u *unit, generation uint64) {
	u.mu.Lock()
	u.mem.Breaker = breaker.Abandon(u.mem.Breaker, generation)
	u.mu.Unlock()
}

// keepStarts bounds the list of starts to those that any window still looks at.
func keepStarts(starts []time.Time, now time.Time) []time.Time {
	return breaker.Keep(starts, time.Hour, now)
}

func actWords(acts []ladder.Act) string {
	words := make([]string, 0, len(acts))
	for _, a := range acts {
		words = append(words, string(a))
	}
	return strings.Join(words, ", ")
}
