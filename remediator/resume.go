package remediator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// Words for an act that the end of our own process cut off.
const (
	interruptedCode  = "interrupted"
	interruptedError = "outcome unknown"
	interruptedWhy   = "redis-medic ended before the act did; the state is observed instead"
)

// settleInterrupted closes the intents that an earlier process left without an outcome, in the audit log and in the timeline. What
// became of them is observed by the loop; nothing is repeated blindly.
func (r *Remediator) settleInterrupted(ctx context.Context, u *unit) error {
	err := r.settleAudit(ctx, u)
	if err == nil {
		err = r.settleUnit(ctx, u)
	}
	if err != nil {
		return fmt.Errorf("settle what was interrupted on %s: %w", u.id, err)
	}
	return nil
}

// auditReader is what an Auditor may offer beside Append. With it intents are found that were recorded and that nothing else
// remembers.
type auditReader interface {
	Query(ctx context.Context, f audit.Filter) (records []audit.Record, next int64, err error)
}

// unsettledWithin is how many of a service's newest records are searched for an intent without an outcome: one act is in hand at a
// time, and a crash is followed by a start.
const unsettledWithin = 100

// settleAudit gives every open intent of a service its outcome.
func (r *Remediator) settleAudit(ctx context.Context, u *unit) error {
	var open []audit.Record
	if log, ok := r.o.Audit.(auditReader); ok {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		recs, _, err := log.Query(ctx, audit.Filter{Service: u.id, Limit: unsettledWithin})
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		open = unsettled(recs)
	} else {
		open = u.remembered(r)
	}
	for _, in := range open {
		rec := in
		rec.Phase, rec.Details, rec.Seq = audit.PhaseOutcome, nil, 0
		rec.Result, rec.Reason = audit.Result{Error: interruptedError}, interruptedWhy
		wctx, cancel := context.WithTimeout(ctx, writeTimeout)
		_, err := r.o.Audit.Append(wctx, rec)
		cancel()
		if err != nil {
			return fmt.Errorf("record the outcome of an interrupted %s: %w", in.Operation, err)
		}
	}
	return nil
}

// unsettled returns the intents without an outcome, oldest first. The records come newest first.
func unsettled(recs []audit.Record) []audit.Record {
	var out []audit.Record
	for _, rec := range slices.Backward(recs) {
		switch rec.Phase {
		case audit.PhaseIntent:
			out = append(out, rec)
		case audit.PhaseOutcome:
			same := func(i audit.Record) bool {
				return i.Operation == rec.Operation && i.Incident == rec.Incident && i.RequestID == rec.RequestID && i.User.ID == rec.User.ID
			}
			if at := slices.IndexFunc(out, same); at >= 0 {
				out = slices.Delete(out, at, at+1)
			}
		}
	}
	return out
}

// remembered returns the open intents that the stored state tells of.
func (u *unit) remembered(r *Remediator) []audit.Record {
	u.mu.Lock()
	defer u.mu.Unlock()
	var out []audit.Record
	if p := u.mem.Pending; p != nil {
		rec := r.record(u, p.Actor, string(p.Operation), audit.PhaseIntent)
		rec.RequestID = p.RequestID
		out = append(out, rec)
	}
	if u.incident != nil {
		if act := openIntent(u.incident.Steps); act != nil {
			rec := r.record(u, System(), act.Level, audit.PhaseIntent)
			rec.EventType, rec.Incident, rec.Level = "auto_recovery", u.incident.ID, act.Level
			out = append(out, rec)
		}
	}
	return out
}

// settleUnit brings a service's own memory up to date with the end of the last process.
func (r *Remediator) settleUnit(ctx context.Context, u *unit) error {
	u.mu.Lock()
	changed := u.mem.Pending != nil
	u.mem.Pending = nil
	if u.mem.Breaker.Phase == breaker.HalfOpen && u.mem.Breaker.Trials > 0 {
		// Whatever had taken the trial is over, and its result will never come.
		u.mem.Breaker.Trials, changed = 0, true
	}
	var act *Step
	if u.incident != nil {
		act = openIntent(u.incident.Steps)
	}
	if act != nil {
		u.incident.Climbed.interrupt(act.Act)
	}
	var err error
	if changed && act == nil {
		err = r.saveLocked(ctx, u)
	}
	u.mu.Unlock()
	if err != nil || act == nil {
		return err
	}
	r.stepDone(ctx, u, Step{Kind: "outcome", Level: act.Level, Act: act.Act, Result: "unknown", Code: interruptedCode,
		Text: "redis-medic was restarted before the act ended: looking instead of repeating it"})
	return nil
}

// interrupt marks the last attempt as cut off. Nobody knows whether its acts happened. The gentle ones may be tried again when a
// new look still asks for them: they change nothing where they are not needed.
func (c *climbed) interrupt(acts string) {
	if n := len(c.Attempts); n > 0 {
		c.Attempts[n-1].Result = interruptedCode
	}
	for _, a := range []ladder.Act{ladder.KillScript, ladder.Continue, ladder.Reload} {
		if slices.Contains(strings.Split(acts, ", "), string(a)) {
			delete(c.Done, a)
		}
	}
}

// resume goes on after a restore of the last known good configuration that was cut off: the host is asked which one is in place
// now. Where it still differs the restore did not happen, and its diagnosis stands; where it does not, only the start is left.
func (r *Remediator) resume(ctx context.Context, u *unit) {
	u.mu.Lock()
	var f *ladder.Finding
	if u.incident != nil {
		c := &u.incident.Climbed
		if n := len(c.Attempts); n > 0 && c.Attempts[n-1].Result == interruptedCode {
			f = c.Restoring
		}
	}
	u.mu.Unlock()
	if f == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	_, err := r.o.Host.Run(ctx, u.id, host.VerbConfigDiff, 0)
	class := host.ClassOf(err)
	if err != nil && class != health.ClassCommand {
		return // the host cannot be asked now: the next look does
	}
	u.mu.Lock()
	c := &u.incident.Climbed
	c.Restoring = nil
	if err == nil {
		c.Finding = f
		delete(c.Done, ladder.RestoreConfig)
	} else if c.Restored == "" {
		c.Restored = wasMissing
	}
	u.mu.Unlock()
	text := "the last known good configuration is in place: only the start is left"
	if err == nil {
		text = "the last known good configuration is not in place yet"
	}
	r.stepDone(ctx, u, Step{Kind: "observed", Code: "restore_interrupted", Text: text})
}

// openIntent returns the last intent without an outcome.
func openIntent(steps []Step) *Step {
	for i := len(steps) - 1; i >= 0; i-- {
		switch steps[i].Kind {
		case "outcome":
			return nil
		case "intent":
			return &steps[i]
		}
	}
	return nil
}
