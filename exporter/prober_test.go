package exporter

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// runProber starts a prober for the targets and stops it with the test.
func runProber(t *testing.T, opt ProberOptions) *Prober {
	t.Helper()
	opt.Logger = zerolog.Nop()
	p, err := NewProber(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p
}

func statusOf(p *Prober, id string) health.Status {
	v, _ := p.View(id)
	return v.Verdict.Status
}

func has(p *Prober, c health.Code) bool {
	v, _ := p.View("redis")
	return v.Verdict.Has(c)
}

func TestLookAtRunningRedis(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: running()}
	p, err := NewProber(ProberOptions{Targets: []Target{target(r)}, Units: units})
	if err != nil {
		t.Fatal(err)
	}
	o, err := p.Look(t.Context(), "redis")
	if err != nil {
		t.Fatal(err)
	}
	if !o.Serving() || o.Info == nil || !o.Ping.Connected || o.Ping.Latency <= 0 {
		t.Fatalf("%+v", o)
	}
	if persistent, known := o.Info.Persistent(); persistent || !known {
		t.Errorf("persistence of a server without save: %v %v", persistent, known)
	}
	if o.Info.ProcessID != r.cmd.Process.Pid || o.Info.Role != "master" || o.Info.MaxClients == 0 || o.Info.UsedMemory == 0 {
		t.Errorf("%+v", o.Info)
	}
	v, ok := p.View("redis")
	if !ok || v.Verdict.Status != health.Healthy || v.LastPong.IsZero() || v.LastKnownInfo == nil {
		t.Errorf("%+v", v)
	}
	if _, err := p.Look(t.Context(), "nobody"); !errors.Is(err, ErrUnknownService) {
		t.Errorf("unknown service: %v", err)
	}
}

func TestFrozenRedisIsHungAndComesBack(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	p := runProber(t, ProberOptions{Targets: []Target{target(r)}, Units: &fakeUnits{read: running()}})
	until(t, "healthy and measured", func() bool {
		v, _ := p.View("redis")
		return v.Verdict.Status == health.Healthy && v.LastKnownInfo != nil
	})
	r.signal(syscall.SIGSTOP)
	until(t, "hung", func() bool { return has(p, health.CodeHung) })
	o, err := p.Look(t.Context(), "redis")
	if err != nil || o.Ping.Reply != health.ReplyTimeout || !o.Ping.Connected || o.Info != nil {
		t.Errorf("look at a frozen Redis: %+v %v", o, err)
	}
	if v, _ := p.View("redis"); v.Samples.Info != nil || v.LastKnownInfo == nil || v.ErrorsHour < 3 {
		t.Errorf("a frozen Redis keeps only its last known INFO: %+v", v)
	}
	r.signal(syscall.SIGCONT)
	until(t, "healthy again", func() bool { return statusOf(p, "redis") == health.Healthy })
}

func TestUnitEventMakesDownAtOnce(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: running()}
	tg := target(r)
	tg.Timings.PingInterval = time.Hour
	p := runProber(t, ProberOptions{Targets: []Target{tg}, Units: units})
	until(t, "healthy", func() bool { return statusOf(p, "redis") == health.Healthy })
	r.kill()
	units.set(unitIn("failed", "failed"), true)
	until(t, "critical", func() bool { return statusOf(p, "redis") == health.Critical && has(p, health.CodeUnitFailed) })
	r.start()
	units.set(running(), true)
	until(t, "healthy again", func() bool { return statusOf(p, "redis") == health.Healthy })
}

func TestLostPingAsksSystemd(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: running(), err: errors.New("no bus on this host")}
	p := runProber(t, ProberOptions{Targets: []Target{target(r)}, Units: units})
	until(t, "healthy", func() bool { return statusOf(p, "redis") == health.Healthy })
	units.set(unitIn("inactive", "dead"), false)
	r.kill()
	until(t, "stopped", func() bool { return has(p, health.CodeUnitInactive) && statusOf(p, "redis") == health.Critical })
}

func TestUnknownIsNotDown(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: health.UnitRead{Class: health.ClassUnreachable, Err: "no route"}}
	p := runProber(t, ProberOptions{Targets: []Target{target(r)}, Units: units})
	until(t, "degraded, not down", func() bool {
		return statusOf(p, "redis") == health.Degraded && has(p, health.CodeHostUnreachable)
	})
	r.kill()
	until(t, "unknown", func() bool { return statusOf(p, "redis") == health.Unknown && has(p, health.CodeNoConnectivity) })
}

func TestOnChange(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: running()}
	var mu sync.Mutex
	var views []health.View
	inside := false
	p := runProber(t, ProberOptions{Targets: []Target{target(r)}, Units: units, OnChange: func(v, previous health.View) {
		mu.Lock()
		defer mu.Unlock()
		if inside {
			t.Error("called concurrently")
		}
		inside = true
		if len(views) > 0 && previous.Verdict.At != views[len(views)-1].Verdict.At {
			t.Error("previous is not the view of the call before")
		}
		views = append(views, v)
		inside = false
	}})
	last := func() health.Status {
		mu.Lock()
		defer mu.Unlock()
		if len(views) == 0 {
			return ""
		}
		return views[len(views)-1].Verdict.Status
	}
	until(t, "told healthy", func() bool { return last() == health.Healthy })
	units.set(unitIn("inactive", "dead"), true)
	until(t, "told of the contradiction", func() bool { return last() == health.Degraded })
	_ = p
}

func TestSetTargets(t *testing.T) {
	t.Parallel()
	a, b := startRedis(t), startRedis(t)
	p := runProber(t, ProberOptions{Targets: []Target{target(a)}})
	until(t, "first is healthy", func() bool { return statusOf(p, "redis") == health.Healthy })
	before, _ := p.View("redis")
	two := target(b)
	two.ID = "two"
	if err := p.SetTargets([]Target{two, target(a)}); err != nil {
		t.Fatal(err)
	}
	if v, _ := p.View("redis"); v.LastPong.Before(before.LastPong) {
		t.Error("what was known of a service that stays is gone")
	}
	until(t, "second is healthy", func() bool { return statusOf(p, "two") == health.Healthy })
	if got := p.Services(); len(got) != 2 || got[0] != "redis" || got[1] != "two" {
		t.Errorf("services %v", got)
	}
	moved := target(b)
	if err := p.SetTargets([]Target{moved}); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.View("two"); ok {
		t.Error("a removed service is still there")
	}
	until(t, "moved service is healthy", func() bool { return statusOf(p, "redis") == health.Healthy })
	if err := p.SetTargets([]Target{{ID: "x"}, {ID: "x", Addr: "a"}, {Addr: "b"}}); err == nil {
		t.Error("bad targets were accepted")
	}
	if err := p.Run(t.Context()); err == nil {
		t.Error("a second Run was accepted")
	}
}
