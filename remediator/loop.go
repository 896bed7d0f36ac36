package remediator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// maxSteps bounds an incident's timeline; an outage that lasts for days must not grow without end.
const maxSteps = 200

// idle is how long a service without an alert and without an incident is left alone; wake-ups come first.
const idle = time.Minute

// work is the loop of one service: it alone moves the service's incident.
func (r *Remediator) work(ctx context.Context, u *unit) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-u.wake:
		case <-timer.C:
		}
		again := r.step(ctx, u)
		timer.Reset(again)
	}
}

// step looks and decides once; it returns when to look again.
func (r *Remediator) step(ctx context.Context, u *unit) time.Duration {
	r.keepKnown(u)
	r.guardLoop(ctx, u)
	inc, fresh := r.currentIncident(u)
	if inc == nil {
		return idle
	}
	if fresh {
		if h := r.holdsBack(u); h != nil {
			r.ignore(ctx, u, *h)
			return 5 * time.Second
		}
	}
	if b := u.busyNow(); b != nil {
		return time.Second
	}
	r.resume(ctx, u)
	in, err := r.evidence(ctx, u)
	if err != nil {
		if ctx.Err() == nil {
			r.o.Logger.Error().Err(err).Str("service", u.id).Msg("look")
		}
		return time.Second
	}
	if fresh {
		if in.Second.Serving() {
			return r.notConfirmed(ctx, u, in)
		}
		r.opened(ctx, u, in)
	}
	if u.watching() {
		return r.watch(ctx, u, in)
	}
	d := ladder.Next(in, u.svc().Ladder)
	return r.carryOut(ctx, u, in, d)
}

// currentIncident returns the open incident, or a fresh one when an alert fires that is not settled.
func (r *Remediator) currentIncident(u *unit) (inc *incidentDoc, fresh bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.incident != nil {
		return u.incident, false
	}
	for _, a := range u.alerts {
		if u.unsettled(a) {
			u.incident = newIncident(u.id, SourceAlert, a)
			return u.incident, true
		}
	}
	if u.own != nil {
		u.incident = newIncident(u.id, SourceProbe, *u.own)
		return u.incident, true
	}
	return nil, false
}

func newIncident(service string, source Source, a Alert) *incidentDoc {
	now := time.Now()
	return &incidentDoc{Incident: Incident{
		ID: newID("inc", now), Service: service, Source: source, Alert: a.Name, Fingerprint: a.Fingerprint, AlertAt: a.StartsAt,
		OpenedAt: now.UTC(), Status: IncidentObserving,
	}}
}

// unsettled reports whether an alert calls for an incident: it fires, nobody has silenced it, and its episode was not handled yet.
// The caller holds u.mu.
func (u *unit) unsettled(a Alert) bool {
	if !a.Firing || a.Suppressed != "" {
		return false
	}
	at, ok := u.mem.Handled[a.Fingerprint]
	return !ok || !at.Equal(a.StartsAt) || u.mem.Down
}

// holdsBack returns the hold by which a person keeps automatic recovery from even opening an incident.
func (r *Remediator) holdsBack(u *unit) *Hold {
	for _, h := range r.holds(u, time.Now()) {
		if h.Code == HoldStopped || h.Code == HoldMaintenance || h.Code == HoldSilenced {
			return &h
		}
	}
	return nil
}

// ignore drops an incident that a person's hold forbids. It is recorded and counted once for each alert and hold.
func (r *Remediator) ignore(ctx context.Context, u *unit, h Hold) {
	u.mu.Lock()
	key := fmt.Sprint(h.Code, u.incident.Fingerprint, u.incident.AlertAt.UnixNano())
	again, alert := u.ignored == key, u.incident.Alert
	u.ignored, u.incident = key, nil
	u.mu.Unlock()
	if again {
		return
	}
	r.metrics.held.WithLabelValues(u.id, string(h.Code)).Inc()
	rec := r.record(u, System(), "hold", audit.PhaseSystem)
	rec.EventType, rec.Reason = "auto_recovery", h.Text
	rec.Details = map[string]string{"code": string(h.Code), "alert": alert}
	r.auditQuietly(ctx, rec)
}

func (u *unit) watching() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.incident != nil && !u.incident.Climbed.WatchUntil.IsZero()
}

func (u *unit) busyNow() *Busy {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.busy
}

// carryOut turns a decision into deeds.
func (r *Remediator) carryOut(ctx context.Context, u *unit, in ladder.Input, d ladder.Decision) time.Duration {
	switch d.Kind {
	case ladder.Healthy:
		return r.healthy(ctx, u, in)
	case ladder.Climb:
		r.degrade(u, in)
		return r.climb(ctx, u, in, d)
	case ladder.Critical:
		r.degrade(u, in)
		r.secureOnce(u, in)
		r.latchOff(ctx, u, in, d)
		return 5 * time.Second
	}
	if d.Kind != ladder.Held || u.confirmedDown(in) {
		r.degrade(u, in)
	}
	if d.Kind == ladder.Blocked {
		r.secureOnce(u, in)
	}
	r.stay(ctx, u, in, d)
	return d.Again
}

func (u *unit) confirmedDown(in ladder.Input) bool {
	return in.Second.Unit.OK() && in.Second.Unit.Unit.Down()
}

func newID(prefix string, now time.Time) string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // crypto/rand never fails since Go 1.24
	return prefix + "-" + now.UTC().Format("20060102T150405") + "-" + hex.EncodeToString(b[:])
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
