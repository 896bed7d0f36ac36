package remediator

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// writeTimeout bounds a write to the store or the audit log.
const writeTimeout = 10 * time.Second

// note appends a step to the open incident without making it durable yet.
func (r *Remediator) note(u *unit, s Step) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.appendStep(s)
}

// appendStep adds a step; the caller holds u.mu.
func (u *unit) appendStep(s Step) {
	if u.incident == nil {
		return
	}
	if s.At.IsZero() {
		s.At = time.Now().UTC()
	}
	steps := append(u.incident.Steps, s)
	if over := len(steps) - maxSteps; over > 0 {
		// The beginning tells the cause and the end the state; the middle of an endless wait tells nothing.
		steps = append(steps[:maxSteps/2:maxSteps/2], steps[maxSteps/2+over:]...)
	}
	u.incident.Steps = steps
}

// stepDone appends a step, makes memory and incident durable and tells the live listeners. A step that cannot be stored is
// logged and shown all the same: only an intent must be durable, and it has its own way.
func (r *Remediator) stepDone(ctx context.Context, u *unit, s Step) {
	u.mu.Lock()
	u.appendStep(s)
	err := r.saveLocked(ctx, u)
	var shown *Incident
	if u.incident != nil {
		i := u.incident.clone()
		shown = &i
	}
	u.mu.Unlock()
	if err != nil {
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("store an incident's step")
	}
	if shown != nil {
		r.o.Logger.Info().Str("service", u.id).Str("incident", shown.ID).Str("kind", s.Kind).Str("level", s.Level).
			Str("code", s.Code).Str("result", s.Result).Msg(s.Text)
		r.publish(Event{Type: EventIncident, Service: u.id, Status: string(shown.Status), Message: s.Text, Incident: shown})
	}
}

// saveLocked makes memory and incident durable; the caller holds u.mu.
func (r *Remediator) saveLocked(ctx context.Context, u *unit) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return u.save(ctx, r.o.Store, u.incident, time.Now())
}

func (r *Remediator) publish(e Event) {
	if e.Timestamp.IsZero() {
		e.Timestamp = time.Now().UTC()
	}
	r.o.Events.Publish(e)
}

func (r *Remediator) recoveryEvent(u *unit, level, status, message string) {
	r.publish(Event{Type: EventAutoRecovery, Service: u.id, RecoveryLevel: level, Status: status, Message: message})
}

// record begins an audit record about a service.
func (r *Remediator) record(u *unit, actor Actor, operation string, phase audit.Phase) audit.Record {
	return audit.Record{
		EventType: "service_operation", Service: u.id, Operation: operation, Phase: phase,
		User:     audit.User{ID: actor.ID, Email: actor.Email, Role: actor.Role, Auth: actor.Auth},
		Security: audit.Security{CommandValidated: true, RiskLevel: risk(operation)},
	}
}

// risk is the document's risk level of an operation.
func risk(operation string) string {
	switch operation {
	case string(OpStop), string(ladder.Kill), "force":
		return "high"
	case string(OpStart), string(OpRestart), string(OpReload), "soft", "standard", "hard":
		return "moderate"
	}
	return "low"
}

// auditQuietly appends a record whose loss must not stop anything: the act it speaks of is over, or there was none.
func (r *Remediator) auditQuietly(ctx context.Context, rec audit.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if _, err := r.o.Audit.Append(ctx, rec); err != nil {
		r.o.Logger.Error().Err(err).Str("service", rec.Service).Str("operation", rec.Operation).Msg("audit")
	}
}

// auditDecision records a decision not to act, with what it rests on.
func (r *Remediator) auditDecision(ctx context.Context, u *unit, operation string, in ladder.Input, d ladder.Decision) {
	rec := r.record(u, System(), operation, audit.PhaseSystem)
	rec.EventType, rec.Reason = "auto_recovery", d.Text
	rec.Details = seen(in)
	rec.Details["code"] = d.Code
	if skipped := skipWords(d.Skipped); skipped != "" {
		rec.Details["skipped"] = skipped
	}
	if i := u.openIncident(); i != nil {
		rec.Incident = i.ID
	}
	r.auditQuietly(ctx, rec)
}

func (u *unit) openIncident() *Incident {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.incident == nil {
		return nil
	}
	i := u.incident.clone()
	return &i
}

// degrade enters degraded mode at the first confirmed sight of an outage (document section 8.4).
func (r *Remediator) degrade(u *unit, in ladder.Input) {
	if in.Second.Serving() || in.Second.Ping.Reply.Alive() {
		return
	}
	u.mu.Lock()
	entered := u.mem.DegradedSince.IsZero()
	if entered {
		u.mem.DegradedSince = in.Now.UTC()
	}
	u.mu.Unlock()
	if entered {
		r.publish(Event{Type: EventDegradation, Service: u.id, Status: "entered", Message: "Redis is not available: dependants should use their fallbacks",
			Degradation: map[string]any{"active": true, "since": in.Now.UTC()}})
	}
}

// undegrade leaves degraded mode.
func (r *Remediator) undegrade(u *unit, now time.Time) {
	u.mu.Lock()
	since := u.mem.DegradedSince
	u.mem.DegradedSince = time.Time{}
	u.mu.Unlock()
	if !since.IsZero() {
		r.publish(Event{Type: EventDegradation, Service: u.id, Status: "left", Message: "Redis is available again",
			Degradation: map[string]any{"active": false, "since": since, "duration_seconds": now.Sub(since).Seconds()}})
	}
}

// recordSelfHealing writes a closed incident for a restart that systemd made by itself.
func (r *Remediator) recordSelfHealing(u *unit, now, before health.Unit) {
	ctx, cancel := context.WithTimeout(r.actions, writeTimeout)
	defer cancel()
	u.mu.Lock()
	at := time.Now()
	if u.incident != nil || u.busy != nil {
		u.mu.Unlock()
		return // the open incident tells it
	}
	text := fmt.Sprintf("the process ended (%s) and systemd restarted it: restart %d since the unit's last start by hand", exitWords(before, now), now.NRestarts)
	inc := &incidentDoc{Incident: Incident{ID: newID("inc", at), Service: u.id, Status: IncidentSelfHealed, Cause: "restarted_by_systemd", CauseText: text,
		OpenedAt: at.UTC(), RecoveredAt: at.UTC(), ClosedAt: at.UTC(),
		Steps: []Step{{At: at.UTC(), Kind: "observed", Code: "restarted_by_systemd", Result: "success", Text: text}}}}
	err := u.save(ctx, r.o.Store, inc, at)
	if err != nil {
		u.unstored = append(u.unstored, inc)
	}
	u.mu.Unlock()
	if err != nil {
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("record a restart by systemd")
	}
	r.metrics.incidents.WithLabelValues(u.id, string(IncidentSelfHealed)).Inc()
	rec := r.record(u, System(), "restarted_by_systemd", audit.PhaseSystem)
	rec.EventType, rec.Reason, rec.Incident, rec.Result.Success = "auto_recovery", text, inc.ID, true
	r.auditQuietly(ctx, rec)
	shown := inc.clone()
	r.publish(Event{Type: EventIncident, Service: u.id, Status: string(inc.Status), Message: text, Incident: &shown})
}

// exitWords says how the process ended, as far as systemd still tells.
func exitWords(before, now health.Unit) string {
	for _, u := range []health.Unit{now, before} {
		switch {
		case u.Result != "" && u.Result != "success":
			return u.Result
		case u.ExecMainCode == 2:
			return fmt.Sprintf("signal %d", u.ExecMainStatus)
		}
	}
	return "unexpectedly"
}

func decodeIncident(d store.Document) (Incident, error) {
	var i Incident
	if err := json.Unmarshal(d.JSON, &i); err != nil {
		return Incident{}, fmt.Errorf("decode incident %s: %w", d.ID, err)
	}
	return i, nil
}
