package remediator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// probeGap lies between the two looks of the double probe: longer than systemd's RestartSec on Debian (100 ms), so that a unit
// about to be restarted by systemd is not taken for down.
const probeGap = 200 * time.Millisecond

// lookTimeout bounds one look whatever the configured timeouts are.
const lookTimeout = 15 * time.Second

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
	inc, fresh := r.currentIncident(u)
	if inc == nil {
		return idle
	}
	if fresh && r.holdsBack(u) {
		r.dropIncident(u)
		return 5 * time.Second
	}
	if b := u.busyNow(); b != nil {
		return time.Second
	}
	in, err := r.evidence(ctx, u)
	if err != nil {
		if ctx.Err() == nil {
			r.o.Logger.Error().Err(err).Str("service", u.svc.ID).Msg("look")
		}
		return time.Second
	}
	if fresh {
		if in.Second.Serving() {
			return r.notConfirmed(ctx, u, in)
		}
		r.opened(ctx, u)
	}
	if u.watching() {
		return r.watch(ctx, u, in)
	}
	d := ladder.Next(in, u.svc.Ladder)
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
		if !a.Firing || a.Suppressed != "" {
			continue
		}
		if at, ok := u.mem.Handled[a.Fingerprint]; ok && at.Equal(a.StartsAt) && !u.down {
			continue
		}
		now := time.Now()
		u.incident = &incidentDoc{Incident: Incident{
			ID: newID("inc", now), Service: u.svc.ID, Alert: a.Name, Fingerprint: a.Fingerprint, AlertAt: a.StartsAt,
			OpenedAt: now.UTC(), Status: IncidentObserving,
		}}
		return u.incident, true
	}
	return nil, false
}

// holdsBack reports whether a person holds automatic recovery: then an alert opens no incident at all.
func (r *Remediator) holdsBack(u *unit) bool {
	for _, h := range r.holds(u, time.Now()) {
		if h.Code == HoldStopped || h.Code == HoldMaintenance || h.Code == HoldSilenced {
			return true
		}
	}
	return false
}

func (r *Remediator) dropIncident(u *unit) {
	u.mu.Lock()
	u.incident = nil
	u.mu.Unlock()
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

// evidence makes the double probe and gathers what the decision rests on.
func (r *Remediator) evidence(ctx context.Context, u *unit) (ladder.Input, error) {
	first, second, err := r.doubleProbe(ctx, u)
	if err != nil {
		return ladder.Input{}, err
	}
	in := ladder.Input{Now: time.Now(), First: first, Second: second}
	if p := second.Unit; second.Ping.Reply == health.ReplyTimeout && p.OK() && p.Unit.MainPID > 0 {
		in.ProcState = r.procState(ctx, u)
	}
	hold := firstHold(r.holds(u, in.Now))
	u.mu.Lock()
	defer u.mu.Unlock()
	u.track(second, in.Now)
	c := &u.incident.Climbed
	in.Hold, in.LastInfo, in.Starts, in.Recoveries = hold, u.mem.LastInfo, u.mem.Starts, u.mem.Recoveries
	in.Attempts, in.Denied, in.Done, in.Finding = c.Attempts, c.Denied, c.Done, c.Finding
	in.SilentSince, in.LoadedAt = c.SilentSince, c.LoadedAt
	return in, nil
}

// doubleProbe looks twice, probeGap apart. The second look does not wait for the first one to run into its timeout: a frozen
// Redis costs one timeout, not two.
func (r *Remediator) doubleProbe(ctx context.Context, u *unit) (first, second health.Observation, err error) {
	type result struct {
		o   health.Observation
		err error
	}
	early := make(chan result, 1)
	go func() {
		o, err := r.look(ctx, u)
		early <- result{o, err}
	}()
	gap := time.NewTimer(probeGap)
	defer gap.Stop()
	var one *result
	select {
	case got := <-early:
		if one = &got; got.err != nil || got.o.Serving() {
			return got.o, got.o, got.err
		}
		<-gap.C
	case <-gap.C:
	}
	second, err = r.look(ctx, u)
	if one == nil {
		got := <-early // bounded by lookTimeout, as the second look was
		one = &got
	}
	return one.o, second, errors.Join(one.err, err)
}

// track remembers since when nothing answers and whether a load makes progress. The caller holds u.mu.
func (u *unit) track(o health.Observation, now time.Time) {
	u.down = !o.Serving() && (o.Ping.Reply.NoConnectivity() || (o.Unit.OK() && o.Unit.Unit.Down()))
	if u.incident == nil {
		return
	}
	c := &u.incident.Climbed
	switch {
	case !o.Ping.Reply.NoConnectivity():
		c.SilentSince = time.Time{}
	case c.SilentSince.IsZero():
		c.SilentSince = o.Ping.At
	}
	if o.Ping.Reply != health.ReplyLoading {
		c.LoadedAt, c.LoadPercent = time.Time{}, 0
		return
	}
	percent := c.LoadPercent
	if o.Info != nil {
		percent = o.Info.LoadPercent
	}
	if c.LoadedAt.IsZero() || percent > c.LoadPercent {
		c.LoadedAt, c.LoadPercent = now, percent
	}
}

func (r *Remediator) look(ctx context.Context, u *unit) (health.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	o, err := r.o.Prober.Look(ctx, u.svc.ID)
	if err != nil {
		return o, fmt.Errorf("look at %s: %w", u.svc.ID, err)
	}
	return o, nil
}

// procState reads the state letter of the main process: "1234 (redis-server) S 1 ...". 0 means that it could not be read.
func (r *Remediator) procState(ctx context.Context, u *unit) byte {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	res, err := r.o.Host.Run(ctx, u.svc.ID, host.VerbProcState, 0)
	if err != nil {
		return 0
	}
	stat, err := host.ParseProcStat(res.Stdout)
	if err != nil {
		return 0
	}
	return stat.State
}

// notConfirmed ends an incident at its first look: Redis serves.
func (r *Remediator) notConfirmed(ctx context.Context, u *unit, in ladder.Input) time.Duration {
	r.closeIncident(ctx, u, IncidentNotConfirmed, "not_confirmed", "the alert was not confirmed: Redis answers PONG and its unit runs", in.Now)
	return idle
}

// opened makes a fresh, confirmed incident known.
func (r *Remediator) opened(ctx context.Context, u *unit) {
	r.stepDone(ctx, u, Step{Kind: "opened", Result: "", Code: u.incident.Alert, Text: "alert " + u.incident.Alert + " received"})
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
	left := u.incident.Climbed.WatchUntil.Sub(in.Now)
	u.mu.Unlock()
	if left > 0 {
		return min(left, time.Second)
	}
	r.closeIncident(ctx, u, IncidentRecovered, "recovered", "it stayed healthy through the stability window", in.Now)
	return idle
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
		r.latchOff(ctx, u, d)
		return 5 * time.Second
	}
	if d.Kind != ladder.Held || u.confirmedDown(in) {
		r.degrade(u, in)
	}
	r.stay(ctx, u, in, d)
	return d.Again
}

func (u *unit) confirmedDown(in ladder.Input) bool {
	return in.Second.Unit.OK() && in.Second.Unit.Unit.Down()
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
	r.metrics.held.WithLabelValues(u.svc.ID, d.Code).Inc()
	kind := map[ladder.Kind]string{ladder.Held: "held", ladder.Blocked: "blocked"}[d.Kind]
	if kind == "" {
		kind = "waiting"
	}
	r.stepDone(ctx, u, Step{Kind: kind, Code: d.Code, Text: withAdvice(d), Evidence: seen(in)})
	if d.Kind == ladder.Held || d.Kind == ladder.Blocked {
		r.auditDecision(ctx, u, "hold", d)
	}
}

func withAdvice(d ladder.Decision) string {
	if d.Advice == "" {
		return d.Text
	}
	return d.Text + "; " + d.Advice
}

// seen puts an observation into words for the timeline.
func seen(in ladder.Input) map[string]string {
	o := in.Second
	e := map[string]string{"ping": string(o.Ping.Reply)}
	if o.Ping.Detail != "" {
		e["ping_detail"] = o.Ping.Detail
	}
	if o.Unit.OK() {
		u := o.Unit.Unit
		e["unit"] = u.ActiveState + "/" + u.SubState
		e["result"] = u.Result
		if u.StatusText != "" {
			e["status_text"] = u.StatusText
		}
	} else {
		e["unit"] = "unknown"
		e["unit_error"] = string(o.Unit.Class)
	}
	if in.ProcState != 0 {
		e["process_state"] = string(in.ProcState)
	}
	return e
}

// latchOff switches automatic recovery off until an admin resets it.
func (r *Remediator) latchOff(ctx context.Context, u *unit, d ladder.Decision) {
	u.mu.Lock()
	already := u.mem.Latch != nil
	if !already {
		u.mem.Latch = &latch{Code: d.Code, Text: d.Text, Advice: d.Advice, Since: time.Now().UTC(), Incident: u.incident.ID}
		u.mem.RecoveryStatus = "failed"
		u.incident.Status, u.incident.Cause, u.incident.CauseText = IncidentManual, d.Code, d.Text
		u.incident.Level = string(ladder.Top)
	}
	u.mu.Unlock()
	if already {
		return
	}
	r.metrics.recoveries.WithLabelValues(u.svc.ID, string(ladder.Top), "failure").Inc()
	for _, s := range d.Skipped {
		r.note(u, Step{Kind: "skipped", Level: string(s.Rung), Code: s.Code, Text: s.Text})
	}
	r.stepDone(ctx, u, Step{Kind: "closed", Level: string(ladder.Top), Code: d.Code, Result: "failure", Text: "manual intervention required: " + withAdvice(d)})
	r.auditDecision(ctx, u, "manual_intervention_required", d)
	r.recoveryEvent(u, string(ladder.Top), "manual_intervention_required", d.Text)
}

// window is how long health must stay good after a rung.
func (u *unit) window(r ladder.Rung) time.Duration {
	if r == ladder.Hard || r == ladder.Force {
		return u.svc.StabilityHard
	}
	return u.svc.Stability
}

// recovered begins the stability window.
func (r *Remediator) recovered(ctx context.Context, u *unit, in ladder.Input, rung ladder.Rung) {
	now := time.Now()
	u.mu.Lock()
	u.down = false
	u.mem.Recoveries = append(breaker.Keep(u.mem.Recoveries, max(u.svc.Ladder.LoopWindow, time.Hour), now), now.UTC())
	u.mem.LastRecovery, u.mem.RecoveryStatus = now.UTC(), "success"
	c := &u.incident.Climbed
	c.WatchUntil, c.LastCode, c.Credited = now.Add(u.window(rung)), "", len(c.Attempts)
	u.incident.Status, u.incident.RecoveredAt = IncidentWatching, now.UTC()
	for i := range c.Attempts {
		if c.Attempts[i].Result == "unknown" {
			c.Attempts[i].Result = "success"
		}
	}
	looping := breaker.Looping(u.mem.Recoveries, u.svc.Ladder.LoopRecoveries, u.svc.Ladder.LoopWindow, now)
	opened := u.incident.OpenedAt
	u.mu.Unlock()
	r.metrics.recoveries.WithLabelValues(u.svc.ID, string(rung), "success").Inc()
	r.metrics.outage.WithLabelValues(u.svc.ID).Observe(now.Sub(opened).Seconds())
	r.undegrade(u, now)
	r.stepDone(ctx, u, Step{Kind: "verified", Level: string(rung), Result: "success", Text: "Redis answers PONG again", Evidence: seen(in)})
	r.recoveryEvent(u, string(rung), "success", "Redis service recovered automatically")
	if looping {
		r.latchOff(ctx, u, ladder.Decision{Code: "recovery_loop", Rung: ladder.Top,
			Text:   fmt.Sprintf("%d recoveries in %s: it keeps failing", u.svc.Ladder.LoopRecoveries, u.svc.Ladder.LoopWindow),
			Advice: "find out why it keeps failing; then reset automatic recovery"})
	}
}

// closeIncident writes the last step and remembers the alert episodes as settled.
func (r *Remediator) closeIncident(ctx context.Context, u *unit, status IncidentStatus, code, text string, now time.Time) {
	u.mu.Lock()
	inc := u.incident
	inc.Status, inc.ClosedAt = status, now.UTC()
	if inc.Cause == "" {
		inc.Cause, inc.CauseText = code, text
	}
	u.down = false
	handled := map[string]time.Time{inc.Fingerprint: inc.AlertAt}
	for fp, a := range u.alerts {
		handled[fp] = a.StartsAt
	}
	u.mem.Handled = handled
	u.mu.Unlock()
	r.undegrade(u, now)
	r.stepDone(ctx, u, Step{Kind: "closed", Code: code, Result: string(status), Text: text})
	r.metrics.incidents.WithLabelValues(u.svc.ID, string(status)).Inc()
	if status == IncidentNotConfirmed || status == IncidentSelfHealed {
		rec := r.record(u, System(), string(status), audit.PhaseSystem)
		rec.EventType, rec.Incident, rec.Reason, rec.Result.Success = "auto_recovery", inc.ID, text, true
		r.auditQuietly(ctx, rec)
	}
	u.mu.Lock()
	u.incident = nil
	u.mu.Unlock()
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
