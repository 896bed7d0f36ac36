package remediator

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// starter is who brought a service back.
type starter string

// The closed list of starters. A person's start through the API is none of them: it is wanted.
const (
	byMedic   starter = "redis-medic"
	bySystemd starter = "systemd"
	byHost    starter = "somebody on the host"
)

// comeback is one outage that ended with a start, whoever made it. The loop guard counts these, and nothing else.
type comeback struct {
	At time.Time `json:"at"`
	By starter   `json:"by"`
}

// burst is how long starts that are not ours count as one. systemd gives up after five starts in ten seconds: a crash that ends
// there is one outage, which one climb may mend, and not five.
const burst = 10 * time.Second

// process tells one run of a unit's process from the next. The zero value is one that was never seen.
type process struct {
	Invocation string    `json:"invocation,omitempty"` // systemd's id of the run
	RunID      string    `json:"run_id,omitempty"`     // Redis's own
	Restarts   uint32    `json:"restarts"`             // systemd's count of its own restarts
	Since      time.Time `json:"since"`                // when this run was first seen
}

// clockSlack is by how much the beginning of a process, as Redis counts its uptime in whole seconds, may differ from what we saw.
const clockSlack = 3 * time.Second

// next compares a new sight of the process with the last one. It returns what to remember, and who started it in between; empty
// when nobody did, or when it was never seen before.
func (p process) next(read health.UnitRead, i *health.Info, now time.Time) (process, starter) {
	out, who := p, starter("")
	if u := read.Unit; read.OK() {
		switch {
		case u.NRestarts > p.Restarts && p.seen():
			who = bySystemd
		case u.InvocationID != "" && p.Invocation != "" && u.InvocationID != p.Invocation:
			who = byHost
		}
		out.Restarts = u.NRestarts
		if u.InvocationID != "" {
			out.Invocation = u.InvocationID
		}
	}
	if i != nil && i.RunID != "" {
		// INFO may come minutes after the start that systemd has told of: then it speaks of the same run.
		began := i.At.Add(-i.Uptime)
		if who == "" && p.RunID != "" && i.RunID != p.RunID && began.After(p.Since.Add(clockSlack)) {
			who = byHost
		}
		out.RunID = i.RunID
	}
	if who != "" || !p.seen() {
		out.Since = now.UTC()
	}
	return out, who
}

func (p process) seen() bool { return p.Invocation != "" || p.RunID != "" }

// count adds a comeback unless it belongs to the one before.
func (m *memory) count(c comeback, keep time.Duration) {
	m.Comebacks = slices.DeleteFunc(m.Comebacks, func(old comeback) bool { return c.At.Sub(old.At) >= keep })
	if n := len(m.Comebacks); n > 0 && c.By != byMedic && c.At.Sub(m.Comebacks[n-1].At) < burst {
		return
	}
	m.Comebacks = append(m.Comebacks, c)
}

// countRecovery adds our own success. An outage that the starts of others have already told of is not counted twice: it is the
// same one when it was seen since the last recovery, or just before the incident began.
func (m *memory) countRecovery(now, opened, before time.Time, keep time.Duration) {
	since := opened.Add(-burst)
	if before.After(since) {
		since = before
	}
	for _, c := range m.Comebacks {
		if c.By != byMedic && c.At.After(since) {
			return
		}
	}
	m.count(comeback{At: now.UTC(), By: byMedic}, keep)
}

func (m *memory) comebackTimes() []time.Time {
	out := make([]time.Time, 0, len(m.Comebacks))
	for _, c := range m.Comebacks {
		out = append(out, c.At)
	}
	return out
}

// guardKeep is how long a comeback matters.
func (u *unit) guardKeep() time.Duration {
	return max(u.svc().Ladder.LoopWindow, u.svc().Ladder.LongWindow, time.Hour)
}

// noteProcess takes a sight of the process into account and reports who started it. What we or a person through us did since the
// last sight is no news, and what happens while a person holds automatic recovery is that person's business. The caller holds u.mu.
func (u *unit) noteProcess(read health.UnitRead, i *health.Info, now time.Time) starter {
	last := u.mem.Process
	next, who := last.next(read, i, now)
	if next != last {
		u.mem.Process, u.dirty = next, true
	}
	if who == "" {
		return ""
	}
	ours := u.busy != nil || slices.ContainsFunc(u.mem.Starts, func(at time.Time) bool { return !at.Before(last.Since) })
	held := !u.mem.Desired.Running || u.mem.Disabled != nil || (u.mem.Maintenance != nil && now.Before(u.mem.Maintenance.Until))
	if ours {
		return ""
	}
	if !held {
		u.mem.count(comeback{At: now.UTC(), By: who}, u.guardKeep())
	}
	return who
}

// looping returns the decision to switch automatic recovery off when the service came back too often. The caller holds u.mu.
func (u *unit) looping(now time.Time) *ladder.Decision {
	if u.mem.Latch != nil || !u.svc().AutoRecovery || u.mem.Disabled != nil {
		return nil
	}
	set, times := u.svc().Ladder, u.mem.comebackTimes()
	var window time.Duration
	switch {
	case breaker.Looping(times, set.LoopRecoveries, set.LoopWindow, now):
		window = set.LoopWindow
	case breaker.Looping(times, set.LongRecoveries, set.LongWindow, now):
		window = set.LongWindow
	default:
		return nil
	}
	n, by := 0, map[starter]int{}
	for _, c := range u.mem.Comebacks {
		if now.Sub(c.At) < window {
			n++
			by[c.By]++
		}
	}
	return &ladder.Decision{Kind: ladder.Critical, Code: "recovery_loop", Rung: ladder.Top,
		Text: fmt.Sprintf("it failed and came back %d times in %s (%d recoveries by redis-medic, %d by systemd, %d starts on the host): it keeps failing",
			n, window, by[byMedic], by[bySystemd], by[byHost]),
		Advice: "find out why it keeps failing; then reset automatic recovery"}
}

// guardLoop latches a service that keeps failing, also one that systemd brings back each time and that needs no act of ours. It
// belongs to the work loop.
func (r *Remediator) guardLoop(ctx context.Context, u *unit) {
	now := time.Now()
	u.mu.Lock()
	d := u.looping(now)
	if d != nil && u.incident == nil {
		u.incident = &incidentDoc{Incident: Incident{ID: newID("inc", now), Service: u.id, Source: SourceGuard, OpenedAt: now.UTC(),
			Status: IncidentObserving, Cause: d.Code, CauseText: d.Text}}
	}
	u.mu.Unlock()
	if d == nil {
		return
	}
	in := ladder.Input{Now: now}
	if v, ok := r.o.Prober.View(u.id); ok {
		in.Second = health.Observation{At: now, Ping: v.Samples.Ping, Unit: v.Samples.Unit}
	}
	r.latchOff(ctx, u, in, *d)
}
