package remediator

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// evidenceOf returns the bundle of the newest incident.
func (b *bench) evidenceOf() Bundle {
	b.t.Helper()
	id := ""
	if i := b.state().Incident; i != nil {
		id = i.ID
	} else {
		id = b.newest().ID
	}
	raw, err := b.r.Evidence(bg, id)
	if err != nil {
		b.t.Fatal(err)
	}
	var e Bundle
	if err := json.Unmarshal(raw, &e); err != nil {
		b.t.Fatal(err)
	}
	return e
}

// slowHost answers some verbs late.
type slowHost struct {
	*world
	slow map[host.Verb]time.Duration
}

// Run implements Host.
func (h slowHost) Run(ctx context.Context, service string, v host.Verb, lines int) (host.Result, error) {
	if d := h.slow[v]; d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return host.Result{ExitCode: -1}, &host.Error{Class: health.ClassTimeout, Verb: v, Public: "the host did not answer in time", Cause: ctx.Err()}
		}
	}
	return h.world.Run(ctx, service, v, lines)
}

func TestTheEvidenceIsComplete(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(2 * time.Second)
		e := b.evidenceOf()
		if len(e.Missing) != 0 || len(e.Late) != 0 || e.Load == nil || *e.Load.One != 0.1 || *e.Load.MemTotal != 1000<<10 || *e.Load.UptimeHours != 2 ||
			len(e.Disks) != 1 || len(e.Config) != 3 || len(e.Changes) != 1 || len(e.Boots) != 1 || e.Took > 1 {
			t.Errorf("%+v", e)
		}
	})
}

// However slow the host is, the act waits for the evidence a bounded time only. What an act does not change is added later.
func TestSlowEvidenceHoldsUpNoAct(t *testing.T) {
	for _, c := range []struct {
		name string
		slow map[host.Verb]time.Duration
		most time.Duration // from the alert to the act, with 200 ms of the double probe
		late []string
		gone []string
	}{
		{"the configuration is slow", map[host.Verb]time.Duration{host.VerbConfigShow: 5 * time.Second}, 500 * time.Millisecond, []string{"config"}, nil},
		{"everything hangs", map[host.Verb]time.Duration{host.VerbJournal: time.Hour, host.VerbRedisLog: time.Hour, host.VerbDisk: time.Hour, host.VerbListeners: time.Hour, host.VerbLoad: time.Hour,
			host.VerbConfigShow: time.Hour, host.VerbPackages: time.Hour, host.VerbBoots: time.Hour}, 2 * time.Second,
			[]string{"boots", "changes", "config", "disks", "journal", "listeners", "load", "redis_log"}, []string{"boots", "config", "journal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				b.end()
				b.opts.Host = slowHost{b.w, c.slow}
				b.begin()
				b.w.set(func(w *world) { w.down("inactive", "success") })
				b.fire("redis")
				b.after(c.most)
				want(t, "acts", b.w.did(), []string{"start"})
				e := b.evidenceOf()
				for _, name := range c.late {
					if e.Missing[name] == "" {
						t.Errorf("before the act %s is not called missing: %v", name, e.Missing)
					}
				}
				b.after(15 * time.Second)
				e = b.evidenceOf()
				slices.Sort(e.Late)
				if !slices.Equal(e.Late, c.late) {
					t.Errorf("late: %v", e.Late)
				}
				for _, name := range c.gone {
					if e.Missing[name] == "" {
						t.Errorf("%s is not called missing: %v", name, e.Missing)
					}
				}
				if len(c.gone) == 0 && (len(e.Config) == 0 || len(e.Missing) != 0) {
					t.Errorf("what came late is not there: %+v", e)
				}
			})
		})
	}
}

// fixedInspector says the same each time.
type fixedInspector struct{ calls *int }

// Inspect implements Inspector.
func (f fixedInspector) Inspect(context.Context, string) (Inspection, error) {
	*f.calls++
	return Inspection{Info: []string{"role:master"}}, nil
}

// Where no act can help there is evidence all the same, and a living Redis is asked itself.
func TestEvidenceWithoutAnAct(t *testing.T) {
	calls := 0
	run(t, func(o *Options) { o.Inspector = fixedInspector{&calls} }, func(b *bench) {
		b.w.set(func(w *world) { w.reply = health.ReplyMisconf })
		b.fire("redis")
		b.after(time.Minute)
		want(t, "acts", b.w.did(), nil)
		if e := b.evidenceOf(); e.Redis == nil || len(e.Redis.Info) != 1 || e.Load == nil {
			t.Errorf("%+v", e)
		}
		if calls != 1 {
			t.Errorf("it was taken %d times", calls)
		}
	})
}

// canary is a secret that must be in no evidence.
const canary = "c4n4ry-s3cret"

func TestARealRedisIsInspectedWithoutItsData(t *testing.T) {
	addr := startRedis(t)
	s := RedisScripts{Target: func(id string) (ScriptTarget, bool) {
		return ScriptTarget{Addr: addr, Timeout: 2 * time.Second, Credentials: func() (string, string) { return "", "pw" }}, id == "redis"
	}}
	c := redis.NewClient(&redis.Options{Addr: addr, Password: "pw", ClientName: "worker"})
	defer func() { _ = c.Close() }()
	ctx := t.Context()
	for _, command := range [][]any{{"CONFIG", "SET", "slowlog-log-slower-than", "0"}, {"SET", "key-" + canary, canary}, {"EVAL", "return '" + canary + "'", "0"}, {"CONFIG", "SET", "requirepass", "pw"}} {
		if err := c.Do(ctx, command...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Inspect(ctx, "redis")
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Info) < 50 || len(got.SlowLog) < 3 || got.Clients == nil || got.Clients.Total < 2 || got.Clients.Names["worker"] != 1 || got.Clients.Addresses["127.0.0.1"] < 2 {
		t.Errorf("%+v", got)
	}
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), canary) || strings.Contains(string(text), `"pw"`) {
		t.Errorf("data is in the evidence: %s", text)
	}
	if !slices.ContainsFunc(got.SlowLog, func(c SlowCommand) bool { return strings.EqualFold(c.Command, "SET") && c.Arguments == 2 }) {
		t.Errorf("%+v", got.SlowLog)
	}
	if _, err := s.Inspect(ctx, "nope"); err == nil {
		t.Error("an unknown service was inspected")
	}
	s.Target = func(string) (ScriptTarget, bool) {
		return ScriptTarget{Addr: "127.0.0.1:1", Timeout: time.Second}, true
	}
	if _, err := s.Inspect(ctx, "redis"); err == nil {
		t.Error("nobody was inspected")
	}
}

func TestManyClientsAreSummarized(t *testing.T) {
	var list strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&list, "id=%d addr=10.0.%d.%d:4000 laddr=x name=app-%d age=1 idle=%d flags=%s cmd=cmd-%d omem=10 user=default\n", i, i%200, i%7, i%300, i%100, map[bool]string{true: "b", false: "N"}[i%10 == 0], i%40)
	}
	s := summarize(list.String() + "\x1b[2J broken= \xff=\n")
	if s.Total != 5001 || s.Blocked != 500 || s.MaxIdle != 99 || s.Buffers != 50000 || len(s.Addresses) != inspectTop || len(s.Commands) != inspectTop || len(s.Names) != inspectTop {
		t.Errorf("%+v", s)
	}
}
