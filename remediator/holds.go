package remediator

import (
	"context"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// holds lists why automatic recovery does not act on a service now, in the order of the gate.
func (r *Remediator) holds(u *unit, now time.Time) []Hold {
	storm, failing := r.storm()
	u.mu.Lock()
	defer u.mu.Unlock()
	out := []Hold{}
	if d := u.mem.Desired; !d.Running {
		out = append(out, Hold{Code: HoldStopped, Text: "stopped by " + d.By + "; it stays stopped until it is started", By: d.By, Since: d.Since})
	}
	if m := u.mem.Maintenance; m != nil && now.Before(m.Until) {
		out = append(out, *m)
	}
	if h := silenced(u.alerts); h != nil {
		out = append(out, *h)
	} else if h := u.knownSilence(now); h != nil {
		out = append(out, *h)
	}
	if until := time.Unix(0, r.stallUntil.Load()); now.Before(until) {
		out = append(out, Hold{Code: HoldStalled, Text: "redis-medic itself stood still: its evidence may be old", Since: now, Until: until})
	}
	if !r.o.Lead() {
		out = append(out, Hold{Code: HoldNoLease, Text: "another redis-medic leads, or may lead by now", Since: now})
	}
	if b := breaker.Now(u.mem.Breaker, u.svc().Breaker, now); b.Phase == breaker.Open && u.svc().Breaker.Enabled {
		out = append(out, Hold{Code: HoldBreaker, Text: fmt.Sprintf("%d operations in a row failed", b.Failures), Since: b.OpenedAt, Until: b.OpenedAt.Add(u.svc().Breaker.OpenFor)})
	}
	if l := u.mem.Latch; l != nil {
		out = append(out, Hold{Code: HoldLatched, Text: "manual intervention required: " + l.Text, Since: l.Since})
	}
	if !u.svc().AutoRecovery {
		out = append(out, Hold{Code: HoldDisabled, Text: "automatic recovery is switched off in the configuration"})
	} else if u.mem.Disabled != nil {
		out = append(out, *u.mem.Disabled)
	}
	if storm {
		out = append(out, Hold{Code: HoldStorm, Text: fmt.Sprintf("%d services fail at once: the fault may be ours or the network's", failing)})
	}
	return out
}

// silenced returns a hold when every firing alert of the service is suppressed in Alertmanager.
func silenced(alerts map[string]Alert) *Hold {
	how := ""
	for _, a := range alerts {
		if a.Suppressed == "" {
			return nil
		}
		how = a.Suppressed
	}
	if how == "" {
		return nil
	}
	return &Hold{Code: HoldSilenced, Text: "the alert is " + how + " in Alertmanager"}
}

func firstHold(holds []Hold) *ladder.Hold {
	if len(holds) == 0 {
		return nil
	}
	return &ladder.Hold{Code: string(holds[0].Code), Text: holds[0].Text}
}

// storm reports whether so many services fail at once that we suspect ourselves or the network.
func (r *Remediator) storm() (bool, int) {
	if r.o.Storm.Min <= 0 {
		return false, 0
	}
	units, failing := r.all(), 0
	for _, u := range units {
		u.mu.Lock()
		if u.mem.Down {
			failing++
		}
		u.mu.Unlock()
	}
	return failing >= r.o.Storm.Min && float64(failing) >= r.o.Storm.Ratio*float64(len(units)), failing
}

// stallGap is the gap between two ticks of our own clock loop that counts as a stall, and stallHold how long we then refrain
// from acting (Sentinel calls it TILT).
const (
	clockTick = 500 * time.Millisecond
	stallGap  = 5 * time.Second
	stallHold = 10 * time.Second
)

// clockLoop watches our own clock: after a pause of the process, or a jump, evidence in hand is worthless.
func (r *Remediator) clockLoop(ctx context.Context) error {
	t := time.NewTicker(clockTick)
	defer t.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := time.Now()
		mono, wall := now.Sub(last), now.Round(0).Sub(last.Round(0))
		if mono > stallGap || wall > stallGap || wall < -stallGap {
			r.stallUntil.Store(now.Add(stallHold).UnixNano())
			r.o.Logger.Warn().Dur("monotonic", mono).Dur("wall", wall).Msg("own clock or process stood still: no acts for a while")
		}
		last = now
	}
}

// change runs fn on the memory of a service, makes it durable and audits it. When the record or the state cannot be written the
// memory is as before.
func (r *Remediator) change(ctx context.Context, service string, actor Actor, operation, reason string, fn func(m *memory) error) error {
	u, ok := r.unit(service)
	if !ok {
		return ErrUnknownService
	}
	rec := r.record(u, actor, operation, audit.PhaseSystem)
	rec.EventType, rec.Reason = "configuration", reason
	rec.SourceIP, rec.RequestID = actor.SourceIP, actor.RequestID
	rec.Result.Success = true
	u.mu.Lock()
	before := u.mem
	if err := fn(&u.mem); err != nil {
		u.mem = before
		u.mu.Unlock()
		return err
	}
	err := u.save(ctx, r.o.Store, nil, time.Now())
	if err == nil {
		if _, aerr := r.o.Audit.Append(ctx, rec); aerr != nil {
			err = ErrAudit
			u.mem = before
			// The state on disk must not say what nobody may have said: put the old one back, best effort.
			_ = u.save(ctx, r.o.Store, nil, time.Now())
		}
	} else {
		u.mem = before
	}
	u.mu.Unlock()
	u.poke()
	return err
}

// SetAutoRecovery switches automatic recovery of a service on or off. The reason is shown and audited.
func (r *Remediator) SetAutoRecovery(ctx context.Context, service string, actor Actor, enabled bool, reason string) error {
	operation := "auto_recovery_enable"
	if !enabled {
		operation = "auto_recovery_disable"
	}
	return r.change(ctx, service, actor, operation, reason, func(m *memory) error {
		m.Disabled = nil
		if !enabled {
			m.Disabled = &Hold{Code: HoldDisabled, Text: "automatic recovery was switched off by " + actor.Name(), By: actor.Name(), Since: time.Now()}
		}
		return nil
	})
}

// ResetAutoRecovery ends "manual intervention required": the latch, the breaker and the counts of the loop guard.
func (r *Remediator) ResetAutoRecovery(ctx context.Context, service string, actor Actor, reason string) error {
	err := r.change(ctx, service, actor, "auto_recovery_reset", reason, func(m *memory) error {
		m.Latch, m.Recoveries, m.Comebacks, m.Breaker = nil, nil, nil, breaker.Reset(m.Breaker)
		m.Handled = nil
		return nil
	})
	if err != nil {
		return err
	}
	u, _ := r.unit(service)
	u.mu.Lock()
	if u.incident != nil {
		u.incident.Climbed = climbed{}
		u.incident.Status = IncidentObserving
	}
	u.mu.Unlock()
	u.poke()
	return nil
}

// AddMaintenance holds automatic recovery until an end, and silences the service's alerts in Alertmanager for that time. It
// replaces an earlier one. Where Alertmanager does not take the silence, the hold stands all the same and says so.
func (r *Remediator) AddMaintenance(ctx context.Context, service string, actor Actor, until time.Time, reason string) (Hold, error) {
	now := time.Now()
	if !until.After(now) {
		return Hold{}, ErrPast
	}
	h := Hold{Code: HoldMaintenance, Text: "maintenance", By: actor.Name(), Since: now, Until: until}
	if reason != "" {
		h.Text += ": " + reason
	}
	before := r.silenceOf(service)
	if err := r.change(ctx, service, actor, "maintenance_start", reason, func(m *memory) error {
		m.Maintenance, m.Silence = &h, ""
		return nil
	}); err != nil {
		return Hold{}, err
	}
	r.expire(ctx, service, before)
	if r.o.Silencer == nil {
		return h, nil
	}
	id, err := r.o.Silencer.Silence(ctx, service, until, actor.Name(), h.Text)
	if err != nil {
		r.o.Logger.Error().Err(err).Str("service", service).Msg("silence the alerts for a maintenance")
		h.Text += " (Alertmanager took no silence: its alerts go on)"
	}
	u, _ := r.unit(service)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mem.Maintenance, u.mem.Silence = &h, id
	return h, r.saveLocked(ctx, u)
}

// EndMaintenance ends the maintenance of a service and its silence; there need not be one.
func (r *Remediator) EndMaintenance(ctx context.Context, service string, actor Actor) error {
	before := r.silenceOf(service)
	err := r.change(ctx, service, actor, "maintenance_end", "", func(m *memory) error {
		m.Maintenance, m.Silence = nil, ""
		return nil
	})
	if err == nil {
		r.expire(ctx, service, before)
		r.hurryUp()
	}
	return err
}

func (r *Remediator) silenceOf(service string) string {
	u, ok := r.unit(service)
	if !ok {
		return ""
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mem.Silence
}

// expire ends a silence. One that cannot be ended has an end of its own.
func (r *Remediator) expire(ctx context.Context, service, silence string) {
	if silence == "" || r.o.Silencer == nil {
		return
	}
	if err := r.o.Silencer.Expire(ctx, silence); err != nil {
		r.o.Logger.Error().Err(err).Str("service", service).Str("silence", silence).Msg("end a silence")
	}
}
