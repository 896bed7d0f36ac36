package remediator

import (
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// see changes the world and tells the remediator as the prober does.
func (b *bench) see(change func(*world)) {
	b.t.Helper()
	before, _ := b.w.View("redis")
	b.w.set(change)
	b.after(time.Millisecond)
	now, _ := b.w.View("redis")
	b.r.ObserveChange(now, before)
	b.after(0)
}

// crash is one crash of the process that systemd answers with a restart.
func crash(w *world) {
	n := w.unit.NRestarts
	w.up()
	w.unit.NRestarts = n + 1
}

func (b *bench) comebacks() int {
	u, _ := b.r.unit("redis")
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.mem.Comebacks)
}

func TestFiveQuickCrashesAreOneOutage(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.see(func(*world) {})
		for range 4 {
			b.see(crash)
			b.after(150 * time.Millisecond)
		}
		b.see(func(w *world) { w.down("failed", "signal") })
		b.fire("redis")
		b.after(3 * time.Second)
		want(t, "commands", b.w.did(), []string{"reset-failed", "start"})
		b.see(func(*world) {})
		if n := b.comebacks(); n != 1 {
			t.Errorf("counted %d outages, want 1", n)
		}
		if s := b.state(); s.ManualIntervention || s.Incident == nil || s.Incident.Status != IncidentWatching {
			t.Errorf("%+v", s)
		}
	})
}

// systemd brings it back each time, so no alert fires and no act of ours is needed. It is a loop all the same.
func TestACrashLoopThatSystemdMendsIsLatched(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.see(func(*world) {})
		for i := range 2 {
			b.see(crash)
			b.after(time.Minute)
			if b.state().ManualIntervention {
				t.Fatalf("latched after %d crashes", i+1)
			}
		}
		b.end() // what was counted survives a restart
		b.begin()
		b.see(crash)
		b.after(time.Second)
		s := b.state()
		if !s.ManualIntervention || !strings.Contains(s.ManualReason, "3 by systemd") {
			t.Fatalf("%+v", s)
		}
		want(t, "commands", b.w.did(), nil)
		b.after(10 * time.Second)
		found := false
		for _, i := range b.incidents() {
			found = found || i.Source == SourceGuard && i.Cause == "recovery_loop"
		}
		if !found {
			t.Errorf("no incident tells of it: %+v", b.incidents())
		}
		b.end() // and so does the latch
		b.begin()
		if !b.state().ManualIntervention {
			t.Error("a restart ended the latch")
		}
		if err := b.r.ResetAutoRecovery(bg, "redis", ann, "mended"); err != nil {
			t.Fatal(err)
		}
		b.after(2 * time.Second)
		if s := b.state(); s.ManualIntervention || b.comebacks() != 0 {
			t.Errorf("after the reset: %+v", s)
		}
	})
}

func TestACrashEveryHalfHourIsALoopInTheLongWindow(t *testing.T) {
	long := func(o *Options) {
		o.Services[0].Ladder.LongRecoveries, o.Services[0].Ladder.LongWindow = 6, 6*time.Hour
	}
	run(t, long, func(b *bench) {
		b.see(func(*world) {})
		for range 5 {
			b.see(crash)
			b.after(30 * time.Minute)
		}
		if b.state().ManualIntervention {
			t.Fatal("latched after five")
		}
		b.see(crash)
		b.after(time.Second)
		if s := b.state(); !s.ManualIntervention || !strings.Contains(s.ManualReason, "6h0m0s") {
			t.Fatalf("%+v", s)
		}
	})
}

func TestWhoseStartsCount(t *testing.T) {
	restart := func(b *bench) { b.see(func(w *world) { w.up() }) } // by somebody on the host: another invocation, no restart of systemd's
	for _, c := range []struct {
		name   string
		once   func(b *bench)
		counts int
	}{
		{"on the host", restart, 3},
		{"by a person through the API", func(b *bench) {
			if res, err := b.r.Operate(bg, Request{Service: "redis", Operation: OpRestart, Actor: ann}); err != nil || !res.Success {
				b.t.Fatal(res, err)
			}
			b.see(func(*world) {})
		}, 0},
		{"in a maintenance", func(b *bench) {
			if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), ""); err != nil {
				b.t.Fatal(err)
			}
			restart(b)
		}, 0},
		{"while switched off", func(b *bench) {
			if err := b.r.SetAutoRecovery(bg, "redis", ann, false, ""); err != nil {
				b.t.Fatal(err)
			}
			b.see(crash)
		}, 0},
		{"seen by the run id alone", func(b *bench) {
			b.see(func(w *world) { w.info.RunID, w.info.Uptime = w.info.RunID+"x", time.Second })
		}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				b.see(func(w *world) { w.info.RunID = "r" })
				for range 3 {
					b.after(20 * time.Second)
					c.once(b)
				}
				b.after(time.Second)
				if n := b.comebacks(); n != c.counts {
					t.Errorf("counted %d, want %d", n, c.counts)
				}
				if b.state().ManualIntervention != (c.counts >= 3) {
					t.Errorf("%+v", b.state())
				}
			})
		})
	}
}

func TestProcessNext(t *testing.T) {
	at := time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	unit := func(invocation string, restarts uint32) health.UnitRead {
		return health.UnitRead{At: at, Unit: health.Unit{InvocationID: invocation, NRestarts: restarts}}
	}
	info := func(run string, uptime time.Duration) *health.Info {
		return &health.Info{At: at, RunID: run, Uptime: uptime}
	}
	known := process{Invocation: "a", RunID: "r", Restarts: 2, Since: at.Add(-time.Hour)}
	for _, c := range []struct {
		name string
		last process
		read health.UnitRead
		info *health.Info
		who  starter
	}{
		{"the first sight", process{}, unit("a", 4), info("r", 0), ""},
		{"nothing new", known, unit("a", 2), info("r", time.Hour), ""},
		{"systemd restarted it", known, unit("b", 3), nil, bySystemd},
		{"systemd restarted it, and the invocation is not said", known, unit("", 3), nil, bySystemd},
		{"the count was reset, same run", known, unit("a", 0), nil, ""},
		{"started on the host", known, unit("b", 0), nil, byHost},
		{"another run id", known, health.UnitRead{}, info("s", time.Minute), byHost},
		{"another run id of the start that is known already", process{Invocation: "b", RunID: "r", Since: at.Add(-time.Minute)}, unit("b", 0), info("s", time.Minute), ""},
		{"the unit could not be read", known, health.UnitRead{At: at, Class: health.ClassTimeout}, nil, ""},
	} {
		next, who := c.last.next(c.read, c.info, at)
		if who != c.who {
			t.Errorf("%s: %q, want %q", c.name, who, c.who)
		}
		if (who != "" || !c.last.seen()) && next.Since != at {
			t.Errorf("%s: since %s", c.name, next.Since)
		}
		if again, who := next.next(c.read, c.info, at.Add(time.Second)); who != "" || again != next {
			t.Errorf("%s: seen twice it is another one: %q %+v", c.name, who, again)
		}
	}
}

// Everything that holds automatic recovery back must outlive the process that was told.
func TestHoldsSurviveARestart(t *testing.T) {
	run(t, nil, func(b *bench) {
		until := time.Now().Add(time.Hour)
		if _, err := b.r.AddMaintenance(bg, "redis", ann, until, "upgrade"); err != nil {
			t.Fatal(err)
		}
		if err := b.r.SetAutoRecovery(bg, "redis", ann, false, "no"); err != nil {
			t.Fatal(err)
		}
		if _, err := b.r.Operate(bg, Request{Service: "redis", Operation: OpStop, Actor: ann}); err != nil {
			t.Fatal(err)
		}
		u, _ := b.r.unit("redis")
		u.mu.Lock()
		u.mem.Latch = &latch{Code: "x", Text: "y", Since: time.Now()}
		u.mem.Breaker.Phase, u.mem.Breaker.OpenedAt = "open", time.Now()
		err := u.save(bg, b.store, nil, time.Now())
		u.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		b.after(10 * time.Second)
		b.end()
		b.begin()
		b.after(10 * time.Second)
		got := map[HoldCode]bool{}
		for _, h := range b.state().Holds {
			got[h.Code] = true
			if h.Code == HoldMaintenance && (!h.Until.Equal(until) || h.By != ann.Name() || !strings.Contains(h.Text, "upgrade")) {
				t.Errorf("maintenance: %+v", h)
			}
		}
		for _, code := range []HoldCode{HoldStopped, HoldMaintenance, HoldDisabled, HoldLatched, HoldBreaker} {
			if !got[code] {
				t.Errorf("%s did not survive: %v", code, got)
			}
		}
	})
}

// After a restart in the middle of a storm no service may be touched before the others were looked at again.
func TestAStormSurvivesARestart(t *testing.T) {
	three := func(o *Options) {
		o.Services = []Service{service("redis"), service("b"), service("c")}
		o.Storm = StormSettings{Min: 3, Ratio: 0.5}
	}
	run(t, three, func(b *bench) {
		b.w.set(func(w *world) { w.reply, w.connected, w.class = health.ReplyTimeout, false, health.ClassUnreachable })
		for _, id := range []string{"redis", "b", "c"} {
			b.fire(id)
		}
		b.after(10 * time.Second)
		b.end()
		b.w.set(func(w *world) { w.class = ""; w.down("inactive", "success") })
		b.begin()
		b.after(time.Minute)
		want(t, "commands", b.w.did(), nil)
		// Two of them come back by themselves: what is left is no storm.
		b.w.set(func(w *world) { w.up() })
		b.clear()
		b.after(30 * time.Second)
		if h := b.state().Holds; len(h) != 0 {
			t.Errorf("holds: %+v", h)
		}
	})
}

// A start that the host refuses never reached systemd, so it counts towards no limit.
func TestARefusedStartIsNoStart(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) {
			w.down("inactive", "success")
			w.on[host.VerbStart] = commandFailed(health.ClassDenied)
		})
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
		u, _ := b.r.unit("redis")
		u.mu.Lock()
		defer u.mu.Unlock()
		if len(u.mem.Starts) != 0 {
			t.Errorf("counted: %v", u.mem.Starts)
		}
	})
}
