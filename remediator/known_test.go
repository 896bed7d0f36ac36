package remediator

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redis-medic/redis-medic/exporter/health"
)

func (b *bench) cause() string {
	b.t.Helper()
	if i := b.state().Incident; i != nil {
		return i.Cause
	}
	return b.newest().Cause
}

func emptyMaster(w *world) {
	no := false
	w.info.Replicas, w.info.RDBConfigured = 2, &no
}

// What INFO told of a healthy Redis must be there when it is dead, also for a process that never saw it alive.
func TestWhatAHealthyRedisToldDecidesAboutADeadOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		story func(b *bench)
		acts  []string
	}{
		{"an empty master with replicas", func(*bench) {}, nil},
		{"its replicas went a moment before it died", func(b *bench) {
			b.see(func(w *world) { w.info.Replicas = 0 })
			b.after(time.Minute)
		}, nil},
		{"its replicas went long ago", func(b *bench) {
			b.see(func(w *world) { w.info.Replicas = 0 })
			b.after(replicaMemory + time.Minute)
		}, []string{"start"}},
		{"it became a replica itself", func(b *bench) {
			b.see(func(w *world) { w.info.Role, w.info.Replicas = "slave", 0 })
			b.after(time.Minute)
		}, []string{"start"}},
		{"it was given a place on disk", func(b *bench) {
			b.see(func(w *world) { w.info.AOFOn, w.info.AOFWriteOK = true, true })
			b.after(time.Minute)
		}, []string{"start"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				b.see(emptyMaster)
				b.after(10 * time.Second)
				c.story(b)
				b.end()
				b.w.set(func(w *world) { w.known = nil; w.down("inactive", "success") })
				b.begin()
				b.fire("redis")
				b.after(10 * time.Second)
				want(t, "acts", b.w.did(), c.acts)
				if c.acts == nil && b.cause() != "empty_master" {
					t.Errorf("cause %s", b.cause())
				}
			})
		})
	}
}

// The Redis that answers while the unit runs is another process: restarting the unit would not help it.
func TestTheWrongInstanceIsLeftAlone(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.see(func(w *world) { w.info.ProcessID = w.unit.MainPID + 1000 })
		b.after(10 * time.Second)
		b.see(func(w *world) { w.reply, w.connected, w.proc = health.ReplyTimeout, true, 'S' })
		b.fire("redis")
		b.after(5 * time.Minute)
		want(t, "acts", b.w.did(), nil)
		if b.cause() != "wrong_instance" {
			t.Errorf("cause %s", b.cause())
		}
	})
}

func TestTheRightInstanceIsRestarted(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.see(func(w *world) { w.info.ProcessID = w.unit.MainPID })
		b.after(10 * time.Second)
		b.see(func(w *world) { w.reply, w.connected, w.proc = health.ReplyTimeout, true, 'S' })
		b.fire("redis")
		b.after(30 * time.Second)
		want(t, "acts", b.w.did(), []string{"restart"})
	})
}

// counting is an Inspector that knows of Sentinels.
type counting struct{ n int }

// Inspect implements Inspector.
func (counting) Inspect(context.Context, string) (Inspection, error) { return Inspection{}, nil }

// Sentinels implements SentinelCounter.
func (c counting) Sentinels(context.Context, string) (int, error) { return c.n, nil }

func TestSentinelHasTimeForItsFailover(t *testing.T) {
	for _, c := range []struct {
		sentinels int
		cluster   bool
		waits     bool
	}{{3, false, true}, {0, true, true}, {0, false, false}} {
		run(t, func(o *Options) {
			o.Inspector = counting{c.sentinels}
			o.Services[0].Ladder.FailoverPatience = time.Minute
		}, func(b *bench) {
			b.see(func(w *world) {
				w.info.Replicas, w.info.AOFOn, w.info.AOFWriteOK, w.info.ClusterOn = 2, true, true, c.cluster
			})
			b.after(10 * time.Second)
			b.see(func(w *world) { w.down("inactive", "success") })
			b.fire("redis")
			b.after(50 * time.Second)
			if waits := len(b.w.did()) == 0; waits != c.waits {
				t.Errorf("%+v: acts after 50 s: %v", c, b.w.did())
			}
			b.after(20 * time.Second)
			want(t, "acts in the end", b.w.did(), []string{"start"})
		})
	}
}

func TestSentinelsOfARealRedisAreCounted(t *testing.T) {
	addr := startRedis(t)
	s := RedisScripts{Target: func(id string) (ScriptTarget, bool) {
		return ScriptTarget{Addr: addr, Timeout: 2 * time.Second, Credentials: func() (string, string) { return "", "pw" }}, id == "redis"
	}}
	for _, name := range []string{"sentinel-0a1b2c3d-cmd", "sentinel-0a1b2c3d-pubsub", "sentinel-ffff0000-pubsub", "worker"} {
		c := redis.NewClient(&redis.Options{Addr: addr, Password: "pw", ClientName: name, Protocol: 2})
		defer func() { _ = c.Close() }()
		if strings.HasSuffix(name, "cmd") {
			if err := c.Ping(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		sub := c.Subscribe(t.Context(), "__sentinel__:hello")
		defer func() { _ = sub.Close() }()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Sentinels(t.Context(), "redis"); err != nil || n != 2 {
		t.Errorf("%d sentinels, %v", n, err)
	}
	if _, err := s.Sentinels(t.Context(), "nope"); err == nil {
		t.Error("an unknown service was asked")
	}
}
