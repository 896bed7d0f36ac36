package remediator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// probeGap lies between the two looks of the double probe: longer than systemd's RestartSec on Debian (100 ms), so that a unit
// about to be restarted by systemd is not taken for down.
const probeGap = 200 * time.Millisecond

// lookTimeout bounds one look whatever the configured timeouts are.
const lookTimeout = 15 * time.Second

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
	c := &climbed{}
	if u.incident != nil {
		c = &u.incident.Climbed
	}
	u.noteInfo(second.Info, in.Now)
	in.Hold, in.LastInfo, in.Starts, in.Recoveries, in.Foreign = hold, u.lastInfo(), u.mem.Starts, u.mem.comebackTimes(), u.mem.Foreign
	in.Guarded = u.mem.Sentinels > 0 || (in.LastInfo != nil && in.LastInfo.ClusterOn)
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
	before := u.mem.Down
	u.mem.Down = !o.Serving() && (o.Ping.Reply.NoConnectivity() || (o.Unit.OK() && o.Unit.Unit.Down()))
	u.dirty = u.dirty || u.mem.Down != before
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
	o, err := r.o.Prober.Look(ctx, u.id)
	if err != nil {
		return o, fmt.Errorf("look at %s: %w", u.id, err)
	}
	return o, nil
}

// procState reads the state letter of the main process: "1234 (redis-server) S 1 ...". 0 means that it could not be read.
func (r *Remediator) procState(ctx context.Context, u *unit) byte {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	res, err := r.o.Host.Run(ctx, u.id, host.VerbProcState, 0)
	if err != nil {
		return 0
	}
	stat, err := host.ParseProcStat(res.Stdout)
	if err != nil {
		return 0
	}
	return stat.State
}

// cause puts the first confirmed sight of an outage into a code and words; a diagnosis may know better later.
func cause(in ladder.Input) (health.Code, string) {
	o := in.Second
	u := o.Unit.Unit
	switch {
	case !o.Unit.OK():
		return health.CodeUnitUnknown, "nothing answers, and systemd could not be asked (" + string(o.Unit.Class) + ")"
	case u.StartLimited():
		return health.CodeUnitStartLimited, "the unit failed so often that systemd gave up (" + u.Result + ")"
	case u.ActiveState == "failed":
		return health.CodeUnitFailed, "the unit has failed (" + u.Result + ")"
	case u.Down():
		return health.CodeUnitInactive, "the unit is stopped"
	case o.Ping.Reply == health.ReplyBusy:
		return health.CodeBusy, "a script keeps Redis busy"
	case o.Ping.Reply == health.ReplyTimeout && in.ProcState == 'T':
		return health.CodeHung, "the process is stopped by a signal and answers nothing"
	case o.Ping.Reply.NoConnectivity() && u.Running():
		return health.CodeHung, "the unit runs, but nothing answers (" + string(o.Ping.Reply) + ")"
	case u.Transient():
		return health.CodeUnitTransient, "systemd is at work on the unit (" + u.ActiveState + "/" + u.SubState + ")"
	}
	return health.CodeNoConnectivity, "Redis answers " + string(o.Ping.Reply)
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
	if i := in.LastInfo; i != nil {
		// How much a start may lose, or has lost: what was known of the data when Redis last answered.
		e["role"], e["replicas"] = i.Role, strconv.Itoa(i.Replicas)
		e["unsaved_changes"], e["known_at"] = strconv.FormatInt(i.UnsavedChanges, 10), i.At.UTC().Format(time.RFC3339)
		if persistent, known := i.Persistent(); known {
			e["persistent"] = strconv.FormatBool(persistent)
		}
		if !i.LastSave.IsZero() {
			e["last_save"] = i.LastSave.UTC().Format(time.RFC3339)
		}
	}
	if in.ProcState != 0 {
		e["process_state"] = string(in.ProcState)
	}
	return e
}
