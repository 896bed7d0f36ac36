package host_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

// recorder collects the reads of a watch.
type recorder struct {
	mu    sync.Mutex
	reads []health.UnitRead
}

func (r *recorder) add(read health.UnitRead) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads = append(r.reads, read)
}

// words returns the states and classes seen, repeats left out.
func (r *recorder) words() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, read := range r.reads {
		word := read.Unit.ActiveState
		if !read.OK() {
			word = "?" + string(read.Class)
		}
		out = append(out, word)
	}
	return strings.Join(slices.Compact(out), " ")
}

func (r *recorder) last() health.UnitRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.reads) == 0 {
		return health.UnitRead{}
	}
	return r.reads[len(r.reads)-1]
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.reads)
}

// watch starts a watch that ends with the test.
func watch(t *testing.T, c *host.Client) *recorder {
	t.Helper()
	r := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.WatchUnit(ctx, redisUnit, r.add) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) && host.ClassOf(err) == health.ClassNone {
			t.Errorf("watch ended with %v", err)
		}
	})
	synctest.Wait()
	return r
}

func fullUnit() health.Unit {
	n := func(v uint64) *uint64 { return &v }
	at := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	return health.Unit{
		Name: redisUnit.Name, Type: "notify", LoadState: "loaded", UnitFileState: "enabled", ActiveState: "activating", SubState: "start",
		Result: "oom-kill", StatusText: "Redis is loading...", MainPID: 4711, ExecMainCode: 2, ExecMainStatus: 9, NRestarts: 3, JobID: 99,
		CanReload: true, InvocationID: "0123456789abcdef0123456789abcdef", Restart: "always", RestartDelay: 100 * time.Millisecond,
		TimeoutStart: 90 * time.Second, TimeoutStop: health.Infinite, StartLimitBurst: 5, StartLimitInterval: 10 * time.Second,
		ActiveEnter: at, StateChange: at.Add(time.Minute), InactiveEnter: at.Add(-time.Hour),
		MemoryBytes: n(12 << 20), CPUTime: 1500 * time.Millisecond, Tasks: n(6), TasksMax: n(4915),
		ActiveExit: at.Add(-2 * time.Hour), InactiveExit: at.Add(-3 * time.Hour), Watchdog: 30 * time.Second, WatchdogPing: at.Add(time.Hour),
		IP: &health.IPTraffic{InBytes: 1, InPackets: 2, OutBytes: 3, OutPackets: 4},
	}
}

func TestBusAndShowReadTheSameUnit(t *testing.T) {
	for _, bus := range []bool{true, false} {
		t.Run(fmt.Sprintf("bus %v", bus), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hosttest.New(t)
				s.Unit(redisUnit.Name).Set(func(u *health.Unit) { *u = fullUnit() })
				c := s.Client()
				want := s.Unit(redisUnit.Name).State()
				if bus {
					watch(t, c)
				}
				got := c.ReadUnit(t.Context(), redisUnit)
				if !got.OK() || got.At.IsZero() || !got.Unit.At.Equal(got.At) {
					t.Fatalf("read %+v", got)
				}
				want.At = got.Unit.At
				if !bus { // systemctl prints whole seconds
					want.StateChange = want.StateChange.Truncate(time.Second)
				}
				if diff := cmp.Diff(want, got.Unit); diff != "" {
					t.Error(diff)
				}
				shown := slices.ContainsFunc(s.Commands(), func(l string) bool { return strings.Contains(l, "systemctl show") })
				if shown == bus {
					t.Errorf("with bus %v the commands were %q", bus, s.Commands())
				}
			})
		})
	}
}

func TestSystemdTellsOfItselfOverTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		c := s.Client()
		if r := c.ReadUnit(t.Context(), redisUnit); !r.OK() || r.Manager != nil {
			t.Errorf("without a bus: %+v", r)
		}
		watch(t, c) // the first read has it asked, the second one shows it
		got := c.ReadUnit(t.Context(), redisUnit).Manager
		want := &health.Manager{
			Version: "252.39-1~deb12u1", WatchdogDevice: "/dev/watchdog0", WatchdogRuntime: 20 * time.Second,
			WatchdogPing: time.Unix(1795450100, 0).UTC(), WatchdogUptime: 100 * time.Second,
			Boot: []health.BootStage{
				{Name: "Kernel", At: time.Unix(1795450000, 0).UTC()},
				{Name: "Userspace", At: time.Unix(1795450002, 5e8).UTC(), Monotonic: 2500 * time.Millisecond},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		s.Break(func(f *hosttest.Faults) { f.HungSystemd = true })
		time.Sleep(2 * time.Minute) // the bubble's clock: it is asked again, in vain
		if r := c.ReadUnit(t.Context(), redisUnit); r.OK() || r.Manager != nil {
			t.Errorf("a systemd that hangs: %+v", r)
		}
	})
}

func TestUnsetCountersAreNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		c := s.Client()
		for _, r := range []health.UnitRead{c.ReadUnit(t.Context(), redisUnit), watch(t, c).last()} {
			if !r.OK() || r.Unit.MemoryBytes != nil || r.Unit.Tasks != nil || r.Unit.TasksMax != nil || r.Unit.CPUTime != 0 || r.Unit.JobID != 0 || !r.Unit.InactiveEnter.IsZero() {
				t.Errorf("read %+v", r)
			}
		}
	})
}

func TestWatchSeesEveryStepOfACrash(t *testing.T) {
	for _, gated := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := hosttest.New(t)
			if gated {
				s = hosttest.NewGated(t)
			}
			u := s.Unit(redisUnit.Name)
			u.Takes(50*time.Millisecond, 0)
			r := watch(t, s.Client())
			start := time.Now()
			u.Crash()
			synctest.Wait()
			if took := time.Since(start); took != 0 || r.last().Unit.SubState != "auto-restart" {
				t.Errorf("gated %v: %v after the crash the last read is %+v", gated, took, r.last().Unit)
			}
			advance(time.Second)
			if got := r.words(); !strings.HasSuffix(got, "activating active") {
				t.Errorf("gated %v: saw %q", gated, got)
			}
			if last := r.last().Unit; last.NRestarts != 1 || !last.Running() {
				t.Errorf("at the end: %+v", last)
			}
		})
	}
}

func TestWatchWithoutABusPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		u := s.Unit(redisUnit.Name)
		s.Break(func(f *hosttest.Faults) { f.NoBridge = true })
		r := watch(t, s.Client())
		u.Stop()
		advance(host.DefaultPollInterval)
		synctest.Wait()
		if got := r.words(); got != "active inactive" {
			t.Errorf("saw %q", got)
		}
		s.Heal()
		advance(15 * time.Second)
		before := r.count()
		u.Set(func(u *health.Unit) { u.ActiveState, u.SubState = "failed", "failed" })
		synctest.Wait()
		if s.Buses() != 1 || r.count() != before+1 || r.last().Unit.ActiveState != "failed" {
			t.Errorf("the bus was not taken when it came: %d buses, %d reads, %q", s.Buses(), r.count()-before, r.words())
		}
	})
}

func TestWatchFollowsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		u := s.Unit(redisUnit.Name)
		r := watch(t, s.Client())
		advance(10 * time.Second)

		s.Drop() // a restart of sshd: nobody is told that anything was wrong
		u.Stop()
		advance(time.Second)
		if got := r.words(); got != "active inactive" {
			t.Errorf("after a drop: %q", got)
		}

		s.Break(func(f *hosttest.Faults) { f.Unreachable = true })
		advance(20 * time.Second)
		if got := r.words(); got != "active inactive ?unreachable" {
			t.Errorf("after a partition: %q", got)
		}
		s.Heal()
		advance(20 * time.Second)
		if got := r.words(); got != "active inactive ?unreachable inactive" {
			t.Errorf("after healing: %q", got)
		}

		s.RotateHostKey()
		s.Drop()
		advance(time.Second)
		if got := r.words(); got != "active inactive ?unreachable inactive ?host-key" {
			t.Errorf("after a change of the host key: %q", got)
		}
	})
}

func TestWatchResyncsWhenNothingHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		r := watch(t, s.Client())
		advance(10*host.DefaultResyncInterval + time.Second)
		if n := r.count(); n < 11 || n > 15 { // each is up to a quarter sooner, so that units take turns
			t.Errorf("%d reads in ten intervals, want 11 to 15", n)
		}
	})
}

func TestSlowListenerLosesNothingButSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		u := s.Unit(redisUnit.Name)
		c := s.Client()
		r := &recorder{}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- c.WatchUnit(ctx, redisUnit, func(read health.UnitRead) {
				r.add(read)
				advance(time.Second)
			})
		}()
		advance(1500 * time.Millisecond)
		for range 1000 {
			u.Set(func(u *health.Unit) { u.NRestarts++ })
		}
		advance(3 * time.Second)
		if n := r.count(); n > 4 || r.last().Unit.NRestarts != 1000 {
			t.Errorf("%d reads, the last shows %d of 1000 changes", n, r.last().Unit.NRestarts)
		}
		cancel()
		<-ended
	})
}

func TestInvalidUnitIsNeverAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		evil := host.Unit{Name: "redis;reboot.service"}
		if r := c.ReadUnit(t.Context(), evil); r.OK() {
			t.Errorf("read %+v", r)
		}
		if err := c.WatchUnit(t.Context(), evil, func(health.UnitRead) {}); err == nil {
			t.Error("watched")
		}
		for _, cmd := range []host.Command{{Verb: host.VerbStart, Unit: evil}, {Verb: "reboot", Unit: redisUnit}, {Verb: host.VerbBus, Unit: redisUnit}} {
			if _, err := c.Run(t.Context(), cmd); !errors.Is(err, host.ErrInvalidCommand) {
				t.Errorf("%+v: %v", cmd, err)
			}
		}
		if s.Dials() != 0 {
			t.Error("dialled")
		}
	})
}
