package remediator

import (
	"context"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// notConfirmed ends an incident at its first look: Redis serves.
func (r *Remediator) notConfirmed(ctx context.Context, u *unit, in ladder.Input) time.Duration {
	r.closeIncident(ctx, u, IncidentNotConfirmed, "not_confirmed", "the alert was not confirmed: Redis answers PONG and its unit runs", in.Now)
	return idle
}

// opened makes a fresh, confirmed incident known.
func (r *Remediator) opened(ctx context.Context, u *unit, in ladder.Input) {
	code, text := cause(in)
	u.mu.Lock()
	u.incident.Cause, u.incident.CauseText = string(code), text
	alert, source, since := u.incident.Alert, u.incident.Source, u.incident.AlertAt
	u.mu.Unlock()
	words := "alert " + alert + " confirmed by our own probe: " + text
	if source == SourceProbe {
		words = fmt.Sprintf("no alert came for %s while our own probe confirmed an outage: %s", in.Now.Sub(since).Round(time.Second), text)
	}
	r.stepDone(ctx, u, Step{Kind: "opened", Code: alert, Text: words, Evidence: seen(in)})
}

// watch follows a recovered service through its stability window.
func (r *Remediator) watch(ctx context.Context, u *unit, in ladder.Input) time.Duration {
	if !in.Second.Serving() {
		u.mu.Lock()
		u.incident.Climbed.WatchUntil = time.Time{}
		u.incident.Status = IncidentRecovering
		u.mu.Unlock()
		r.stepDone(ctx, u, Step{Kind: "observed", Result: "failure", Code: "unstable", Text: "it failed again inside the stability window"})
		return 0
	}
	u.mu.Lock()
	if !in.First.Serving() {
		u.steadyFrom(in.Now) // it was away for a moment
	}
	left := u.incident.Climbed.WatchUntil.Sub(in.Now)
	u.mu.Unlock()
	if left > 0 {
		return min(left, time.Second)
	}
	r.closeIncident(ctx, u, IncidentRecovered, "recovered", "it stayed healthy through the stability window", in.Now)
	return idle
}

// steadyFrom begins the stability window anew, where one is running. The caller holds u.mu.
func (u *unit) steadyFrom(now time.Time) {
	if u.incident == nil || u.incident.Climbed.WatchUntil.IsZero() {
		return
	}
	c := &u.incident.Climbed
	window := u.svc().Stability
	if n := len(c.Attempts); n > 0 {
		window = u.window(c.Attempts[n-1].Rung)
	}
	c.WatchUntil = now.Add(window)
}

// healthy ends an incident that came right: by an act of ours whose verification a restart of this process cut off, or by
// itself.
func (r *Remediator) healthy(ctx context.Context, u *unit, in ladder.Input) time.Duration {
	u.mu.Lock()
	c := &u.incident.Climbed
	var ours ladder.Rung
	if n := len(c.Attempts); n > 0 && u.mem.Latch == nil {
		ours = c.Attempts[n-1].Rung
	}
	again := ours != "" && c.Credited == len(c.Attempts)
	if again {
		// It failed inside the window and came back without another act: the window begins anew, nothing is counted.
		c.WatchUntil, u.incident.Status = in.Now.Add(u.window(ours)), IncidentWatching
	}
	u.mu.Unlock()
	switch {
	case again:
		return time.Second
	case ours != "":
		r.recovered(ctx, u, in, ours)
		return time.Second
	}
	r.closeIncident(ctx, u, IncidentSelfHealed, "self_healed", "it is healthy again without an act of redis-medic", in.Now)
	return idle
}

// stay records a decision not to act, once per reason, so that the timeline tells the story without repeats.
func (r *Remediator) stay(ctx context.Context, u *unit, in ladder.Input, d ladder.Decision) {
	u.mu.Lock()
	same := u.incident.Climbed.LastCode == d.Code
	u.incident.Climbed.LastCode = d.Code
	if u.incident.Status != IncidentManual {
		u.incident.Status = IncidentWaiting
	}
	if d.Kind == ladder.Blocked {
		u.incident.Cause, u.incident.CauseText = d.Code, d.Text
	}
	u.mu.Unlock()
	if same {
		return
	}
	r.metrics.held.WithLabelValues(u.id, d.Code).Inc()
	kind := map[ladder.Kind]string{ladder.Held: "held", ladder.Blocked: "blocked"}[d.Kind]
	if kind == "" {
		kind = "waiting"
	}
	r.stepDone(ctx, u, Step{Kind: kind, Code: d.Code, Text: withAdvice(d), Evidence: seen(in)})
	if d.Kind == ladder.Held || d.Kind == ladder.Blocked {
		r.auditDecision(ctx, u, "hold", in, d)
	}
}

func withAdvice(d ladder.Decision) string {
	if d.Advice == "" {
		return d.Text
	}
	return d.Text + "; " + d.Advice
}

// latchOff switches automatic recovery off until an admin resets it.
func (r *Remediator) latchOff(ctx context.Context, u *unit, in ladder.Input, d ladder.Decision) {
	u.mu.Lock()
	already := u.mem.Latch != nil
	if !already {
		u.mem.Latch = &latch{Code: d.Code, Text: d.Text, Advice: d.Advice, Since: time.Now().UTC(), Incident: u.incident.ID}
		u.mem.RecoveryStatus = "failed"
		u.incident.Status, u.incident.Cause, u.incident.CauseText = IncidentManual, d.Code, d.Text
		u.incident.Level = string(ladder.Top)
	}
	restored := u.restoredWords()
	u.mu.Unlock()
	if already {
		return
	}
	r.metrics.recoveries.WithLabelValues(u.id, string(ladder.Top), "failure").Inc()
	r.metrics.held.WithLabelValues(u.id, d.Code).Inc()
	for _, s := range d.Skipped {
		r.note(u, Step{Kind: "skipped", Level: string(s.Rung), Code: s.Code, Text: s.Text})
		r.metrics.skipped.WithLabelValues(u.id, string(s.Rung), s.Code).Inc()
	}
	r.stepDone(ctx, u, Step{Kind: "closed", Level: string(ladder.Top), Code: d.Code, Result: "failure", Evidence: seen(in),
		Text: "manual intervention required: " + withAdvice(d) + restored})
	r.auditDecision(ctx, u, "manual_intervention_required", in, d)
	r.recoveryEvent(u, string(ladder.Top), "manual_intervention_required", d.Text)
	r.tell(u, NoticeManual, string(ladder.Top), "Manual intervention required: Redis "+u.id, withAdvice(d)+restored)
}

// window is how long health must stay good after a rung.
func (u *unit) window(r ladder.Rung) time.Duration {
	if r == ladder.Hard || r == ladder.Force {
		return u.svc().StabilityHard
	}
	return u.svc().Stability
}

// recovered begins the stability window.
func (r *Remediator) recovered(ctx context.Context, u *unit, in ladder.Input, rung ladder.Rung) {
	now := time.Now()
	u.mu.Lock()
	u.mem.Down = false
	u.mem.countRecovery(now, u.incident.OpenedAt, u.mem.LastRecovery, u.guardKeep())
	u.mem.Recoveries = append(breaker.Keep(u.mem.Recoveries, time.Hour, now), now.UTC())
	u.mem.LastRecovery, u.mem.RecoveryStatus = now.UTC(), "success"
	c := &u.incident.Climbed
	c.WatchUntil, c.LastCode, c.Credited = now.Add(u.window(rung)), "", len(c.Attempts)
	u.incident.Status, u.incident.RecoveredAt = IncidentWatching, now.UTC()
	for i := range c.Attempts {
		if a := c.Attempts[i].Result; a == "unknown" || a == "interrupted" {
			c.Attempts[i].Result = "success"
		}
	}
	opened, restored := u.incident.OpenedAt, u.restoredWords()
	u.mu.Unlock()
	r.metrics.recoveries.WithLabelValues(u.id, string(rung), "success").Inc()
	r.metrics.outage.WithLabelValues(u.id).Observe(now.Sub(opened).Seconds())
	r.undegrade(u, now)
	r.stepDone(ctx, u, Step{Kind: "verified", Level: string(rung), Result: "success", Text: "Redis answers PONG again" + restored, Evidence: seen(in)})
	r.recoveryEvent(u, string(rung), "success", "Redis service recovered automatically"+restored)
	r.tell(u, NoticeRecovered, string(rung), "Redis "+u.id+" is back ("+string(rung)+")",
		fmt.Sprintf("It answers PONG again %.1f s after the alert was received.", now.Sub(opened).Seconds())+restored)
	r.guardLoop(ctx, u)
}

// closeIncident writes the last step and remembers the alert episodes as settled.
func (r *Remediator) closeIncident(ctx context.Context, u *unit, status IncidentStatus, code, text string, now time.Time) {
	u.mu.Lock()
	inc := u.incident
	inc.Status, inc.ClosedAt = status, now.UTC()
	if inc.Cause == "" {
		inc.Cause, inc.CauseText = code, text
	}
	u.mem.Down = false
	handled := map[string]time.Time{inc.Fingerprint: inc.AlertAt}
	for fp, a := range u.alerts {
		handled[fp] = a.StartsAt
	}
	u.mem.Handled = handled
	u.own, u.trouble = nil, time.Time{}
	u.mu.Unlock()
	r.undegrade(u, now)
	r.stepDone(ctx, u, Step{Kind: "closed", Code: code, Result: string(status), Text: text})
	r.metrics.incidents.WithLabelValues(u.id, string(status)).Inc()
	if status == IncidentNotConfirmed || status == IncidentSelfHealed {
		rec := r.record(u, System(), string(status), audit.PhaseSystem)
		rec.EventType, rec.Incident, rec.Reason, rec.Result.Success = "auto_recovery", inc.ID, text, true
		r.auditQuietly(ctx, rec)
	}
	u.mu.Lock()
	if u.dirty {
		u.unstored = append(u.unstored, inc) // else it would be open again after a restart
	}
	u.incident = nil
	u.mu.Unlock()
}
