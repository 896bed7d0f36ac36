package host_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

func TestFleetRoutesToHostAndUnit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := hosttest.New(t), hosttest.NewGated(t)
		other := host.Unit{Name: "redis-server@sessions.service"}
		client := a.Client()
		fleet := host.NewFleet(map[string]host.Member{
			"redis": {client, redisUnit}, "sessions": {client, other}, "cache": {b.Client(), redisUnit},
		})
		defer fleet.Close()
		var mu sync.Mutex
		var seen []string
		fleet.OnStatus(func(service string, s host.ConnStatus) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, service+":"+string(s.Class))
		})
		if diff := cmp.Diff([]string{"cache", "redis", "sessions"}, fleet.Services()); diff != "" {
			t.Error(diff)
		}
		a.Unit(other.Name).Stop()
		if r := fleet.ReadUnit(t.Context(), "sessions"); !r.OK() || r.Unit.ActiveState != "inactive" || r.Unit.Name != other.Name {
			t.Errorf("read %+v", r)
		}
		if _, err := fleet.Run(t.Context(), "sessions", host.VerbStart, 0); err != nil {
			t.Error(err)
		}
		if r := fleet.ReadUnit(t.Context(), "sessions"); !r.Unit.Running() {
			t.Errorf("read %+v", r)
		}
		b.Break(func(f *hosttest.Faults) { f.Refused = true })
		if r := fleet.ReadUnit(t.Context(), "cache"); r.Class != health.ClassUnreachable {
			t.Errorf("read %+v", r)
		}
		if !fleet.Status("redis").Reachable || fleet.Status("cache").Reachable || fleet.Status("cache").Class != health.ClassUnreachable {
			t.Errorf("status %+v and %+v", fleet.Status("redis"), fleet.Status("cache"))
		}
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"redis:", "sessions:", "cache:unreachable"}, seen); diff != "" {
			t.Error(diff)
		}
	})
}

func TestFleetKnowsNoOtherService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fleet := hosttest.New(t).Fleet("redis", redisUnit)
		defer fleet.Close()
		if r := fleet.ReadUnit(t.Context(), "x"); r.OK() || r.At.IsZero() {
			t.Errorf("read %+v", r)
		}
		if err := fleet.WatchUnit(t.Context(), "x", func(health.UnitRead) {}); !errors.Is(err, host.ErrUnknownService) {
			t.Errorf("watch: %v", err)
		}
		if _, err := fleet.Run(t.Context(), "x", host.VerbStart, 0); !errors.Is(err, host.ErrUnknownService) {
			t.Errorf("run: %v", err)
		}
		if s := fleet.Status("x"); s != (host.ConnStatus{}) {
			t.Errorf("status %+v", s)
		}
	})
}

func TestFleetFollowsAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := hosttest.New(t), hosttest.New(t)
		a.Unit(redisUnit.Name)
		b.Unit(redisUnit.Name).Stop()
		kept := b.Client()
		first := a.Client()
		fleet := host.NewFleet(map[string]host.Member{"redis": {first, redisUnit}, "cache": {kept, redisUnit}})
		defer fleet.Close()
		r := &recorder{}
		ended := make(chan error, 1)
		go func() { ended <- fleet.WatchUnit(t.Context(), "redis", r.add) }()
		advance(time.Second)
		fleet.ReadUnit(t.Context(), "cache")

		fleet.Set(map[string]host.Member{"redis": {first, redisUnit}})
		advance(time.Second)
		if n := r.count(); n != 1 {
			t.Errorf("%d reads: a reload that does not concern the service disturbed its watch", n)
		}
		kept = b.Client()
		fleet.Set(map[string]host.Member{"redis": {kept, redisUnit}})
		advance(time.Second)
		if got := r.words(); got != "active inactive" {
			t.Errorf("the watch saw %q, want it to have moved to the other host without a fault between", got)
		}
		if _, err := first.Run(t.Context(), command(host.VerbIsActive)); host.ClassOf(err) != health.ClassUnreachable {
			t.Errorf("the client that is not used any more is still open: %v", err)
		}
		fleet.Set(nil)
		if err := <-ended; !errors.Is(err, host.ErrUnknownService) {
			t.Errorf("the watch of a service that was taken away ended with %v", err)
		}
	})
}

func TestFleetWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		fleet := s.Fleet("redis", redisUnit)
		defer fleet.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := fleet.WatchUnit(ctx, "redis", func(health.UnitRead) {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
	})
}

func TestFleetFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		u := s.Unit(redisUnit.Name)
		fleet := s.Fleet("redis", redisUnit)
		defer fleet.Close()
		listeners, err := fleet.Listeners(t.Context(), "redis")
		if diff := cmp.Diff([]host.Listener{{Address: "127.0.0.1", Port: 6379, Process: "redis-server", PID: 1000}}, listeners); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		disks, err := fleet.Disks(t.Context(), "redis")
		if diff := cmp.Diff([]host.Disk{{Path: "/", Size: 1e9, Free: 5e8, Inodes: 60000, InodesFree: 50000}}, disks); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
		p, err := fleet.ProcState(t.Context(), "redis")
		if want := (host.ProcStat{PID: 1000, Name: "redis-server", State: 'S'}); p != want || err != nil {
			t.Errorf("%+v, %v", p, err)
		}
		s.On(host.VerbProcState, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Stdout: "gone"} })
		if _, err := fleet.ProcState(t.Context(), "redis"); err == nil {
			t.Error("a line that is no stat was taken")
		}
		u.Stop()
		if _, err := fleet.ProcState(t.Context(), "redis"); host.ClassOf(err) != health.ClassCommand {
			t.Errorf("a stopped unit has no process: %v", err)
		}
		s.Break(func(f *hosttest.Faults) { f.NoSudo, f.Refused = true, true })
		if _, err := fleet.Listeners(t.Context(), "redis"); host.ClassOf(err) != health.ClassDenied {
			t.Errorf("listeners without sudo: %v", err)
		}
		s.Drop()
		advance(time.Minute)
		if _, err := fleet.ProcState(t.Context(), "redis"); host.ClassOf(err) != health.ClassUnreachable {
			t.Errorf("unreachable: %v", err)
		}
		if _, err := fleet.Disks(t.Context(), "redis"); host.ClassOf(err) != health.ClassUnreachable {
			t.Errorf("unreachable: %v", err)
		}
	})
}

func TestParseClockAndRights(t *testing.T) {
	if at, err := host.ParseClock("1795472000.000000123\n"); err != nil || !at.Equal(time.Unix(1795472000, 123)) {
		t.Errorf("%v, %v", at, err)
	}
	for _, bad := range []string{"", "1", "1.", "x.000000000", "1.00000000x", "1.0000000001", "-1.000000000", "99999999999999.000000000", "1.000000000 2"} {
		if at, err := host.ParseClock(bad); err == nil {
			t.Errorf("%q gave %v", bad, at)
		}
	}
	got := host.ParseRights(`Matching Defaults entries for autobot on redis:
    env_reset, mail_badpass

User autobot may run the following commands on redis:
    (root) NOSETENV: NOPASSWD: /usr/bin/systemctl start redis-server
    (ALL) NOPASSWD: /bin/systemctl stop redis-server, /bin/systemctl  restart redis-server
    (root) NOSETENV: NOPASSWD: /usr/bin/systemctl kill --kill-who\=main --signal\=SIGCONT redis-server
    (ALL : ALL) ALL
`)
	if diff := cmp.Diff([]string{"/usr/bin/systemctl start redis-server", "/bin/systemctl stop redis-server", "/bin/systemctl restart redis-server",
		"/usr/bin/systemctl kill --kill-who=main --signal=SIGCONT redis-server"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseFacts(t *testing.T) {
	listeners := host.ParseListeners(`LISTEN 0      511             [::1]:6379            [::]:*    users:(("redis-server",pid=42,fd=7),("x",pid=43,fd=1))
LISTEN 0 128 127.0.0.53%lo:53 0.0.0.0:*
LISTEN 0 128 *:80 *:*
LISTEN 0 128 nonsense *:*
LISTEN 0 128 1.2.3.4:99999 *:*
ESTAB 0 0 127.0.0.1:6379 127.0.0.1:5
`)
	want := []host.Listener{{Address: "::1", Port: 6379, Process: "redis-server", PID: 42}, {Address: "127.0.0.53", Port: 53}, {Address: "*", Port: 80}}
	if diff := cmp.Diff(want, listeners); diff != "" {
		t.Error(diff)
	}
	disks := host.ParseDisk("Mounted on   1B-blocks  Avail Inodes IFree\n/mnt/my data 100 50 - -\n/ 10 5 4 3\n/ 10 5 4 3\n")
	if diff := cmp.Diff([]host.Disk{{Path: "/mnt/my data", Size: 100, Free: 50}, {Path: "/", Size: 10, Free: 5, Inodes: 4, InodesFree: 3}}, disks); diff != "" {
		t.Error(diff)
	}
	p, err := host.ParseProcStat("7 (redis) server) T 1 7 7")
	if err != nil || !p.Stopped() || p.Name != "redis) server" || p.PID != 7 {
		t.Errorf("%+v, %v", p, err)
	}
	for _, bad := range []string{"", "7", "7 (x)", "7 (x) ", "x (y) S 1", "7 (y) 5 1", "-1 (y) S 1"} {
		if p, err := host.ParseProcStat(bad); err == nil {
			t.Errorf("%q gave %+v", bad, p)
		}
	}
}
