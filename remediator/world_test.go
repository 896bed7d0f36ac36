package remediator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// world is one Redis host as the decisions see it. It stands for decisions only: the real host is tested end to end.
type world struct {
	mu        sync.Mutex
	unit      health.Unit
	reply     health.Reply
	connected bool
	proc      byte
	class     health.ErrorClass // why the host cannot be asked
	info      *health.Info
	known     *health.Info // the newest INFO that was read
	journal   string
	redisLog  string
	listeners string
	commands  []string                         // verbs that change the host, in order
	on        map[host.Verb]func(*world) error // replaces the plain effect of a verb
	block     chan struct{}                    // a changing verb waits for it to be closed
	script    error
	starts    int
	goodDiff  string // what the last known good configuration differs in; empty: the host has none
	restored  bool   // the last known good configuration is in place
	secured   bool   // evidence was taken before the first command
}

func newWorld() *world {
	w := &world{on: map[host.Verb]func(*world) error{}, info: &health.Info{Role: "master", Uptime: time.Hour, Clients: 42}}
	w.up()
	return w
}

func (w *world) up() {
	w.starts++
	w.unit = health.Unit{Name: "redis-server.service", LoadState: "loaded", ActiveState: "active", SubState: "running", MainPID: 100 + w.starts,
		InvocationID: fmt.Sprint(w.starts), StartLimitBurst: 5}
	w.reply, w.connected, w.proc = health.ReplyPong, true, 'S'
}

func (w *world) down(active, result string) {
	w.unit.ActiveState, w.unit.SubState, w.unit.Result, w.unit.MainPID = active, "dead", result, 0
	w.unit.StateChange = time.Now()
	w.reply, w.connected, w.proc = health.ReplyRefused, false, 0
}

func (w *world) set(change func(*world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

func (w *world) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.commands)
}

// Look implements Prober.
func (w *world) Look(_ context.Context, _ string) (health.Observation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	o := health.Observation{At: now, Ping: health.Ping{At: now, Reply: w.reply, Connected: w.connected},
		Unit: health.UnitRead{At: now, Unit: w.unit, Class: w.class}}
	if w.reply == health.ReplyPong {
		i := *w.info
		i.At = now
		o.Info = &i
		w.known = &i
	}
	return o, nil
}

// View implements Prober: what a prober would know that has just looked.
func (w *world) View(service string) (health.View, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	s := health.Samples{Ping: health.Ping{At: now, Reply: w.reply, Connected: w.connected}, Unit: health.UnitRead{At: now, Unit: w.unit, Class: w.class}}
	if w.reply.NoConnectivity() {
		s.PingFailures, s.SilentSince = 3, now
	}
	v := health.View{Service: service}
	if w.reply == health.ReplyPong {
		i := *w.info
		i.At = now
		w.known = &i
		s.Info = &i
	}
	v.Samples, v.LastKnownInfo, v.Verdict = s, w.known, health.Evaluate(s, health.Thresholds{PingFailures: 3}, now)
	return v, true
}

// KillScript implements Scripts.
func (w *world) KillScript(context.Context, string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.commands = append(w.commands, "script-kill")
	if w.script == nil {
		w.reply = health.ReplyPong
	}
	return w.script
}

// Run implements Host.
func (w *world) Run(ctx context.Context, _ string, v host.Verb, _ int) (host.Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.class != "" {
		return host.Result{ExitCode: -1}, &host.Error{Class: w.class, Verb: v, Public: string(w.class), Cause: errors.New("x")}
	}
	switch v {
	case host.VerbProcState:
		return host.Result{Stdout: fmt.Sprintf("%d (redis-server) %c 1 1", max(w.unit.MainPID, 1), w.proc)}, nil
	case host.VerbJournal:
		return host.Result{Stdout: w.journal}, nil
	case host.VerbRedisLog:
		return host.Result{Stdout: w.redisLog}, nil
	case host.VerbListeners:
		return host.Result{Stdout: w.listeners}, nil
	case host.VerbConfigDiff:
		return w.configDiff(v, 3)
	case host.VerbLoad:
		return host.Result{Stdout: "0.10 0.20 0.30 1/100 1234\nMemTotal:  1000 kB\nMemAvailable: 500 kB\n7200.00 100.00\n"}, nil
	case host.VerbConfigShow:
		return host.Result{Stdout: "# /etc/redis/redis.conf, owner and mode 1:1 640\nport 6379\nrequirepass [redacted]\n"}, nil
	case host.VerbPackages:
		return host.Result{Stdout: "2026-11-23 02:00:00 upgrade redis-server:amd64 1 2\n"}, nil
	case host.VerbBoots:
		return host.Result{Stdout: " 0 abc Mon 2026-11-23 01:00:00 UTC\n"}, nil
	case host.VerbDisk:
		w.secured = len(w.commands) == 0
		return host.Result{Stdout: "Mounted on 1B-blocks Avail Inodes IFree\n/ 1000 400 10 5\n"}, nil
	}
	w.commands = append(w.commands, string(v))
	if b := w.block; b != nil {
		w.mu.Unlock()
		select {
		case <-b:
		case <-ctx.Done():
		}
		w.mu.Lock()
		if ctx.Err() != nil {
			return host.Result{ExitCode: -1}, &host.Error{Class: health.ClassTimeout, Verb: v, Public: "timeout", Cause: ctx.Err()}
		}
	}
	if f := w.on[v]; f != nil {
		if err := f(w); err != nil {
			return host.Result{ExitCode: 1, Stderr: "remote words"}, err
		}
		return host.Result{}, nil
	}
	switch v {
	case host.VerbStart:
		if !w.unit.Running() {
			w.up()
		}
	case host.VerbRestart:
		w.up()
	case host.VerbStop:
		w.down("inactive", "success")
	case host.VerbResetFailed:
		if w.unit.ActiveState == "failed" {
			w.unit.ActiveState, w.unit.NRestarts = "inactive", 0
		}
	case host.VerbConfigRestore:
		res, err := w.configDiff(v, 3)
		w.restored = w.restored || err == nil
		return res, err
	case host.VerbContinue:
		w.reply, w.proc = health.ReplyPong, 'S'
	}
	return host.Result{}, nil
}

// configDiff answers for the last known good configuration.
func (w *world) configDiff(v host.Verb, code int) (host.Result, error) {
	if w.restored && v == host.VerbConfigDiff {
		return host.Result{ExitCode: 4}, &host.Error{Class: health.ClassCommand, Verb: v, Public: "the configuration is the last known good one", Cause: errors.New("x")}
	}
	if w.goodDiff == "" {
		return host.Result{ExitCode: code}, &host.Error{Class: health.ClassCommand, Verb: v, Public: "the host has no last known good configuration", Cause: errors.New("x")}
	}
	return host.Result{Stdout: w.goodDiff}, nil
}

func commandFailed(class health.ErrorClass) func(*world) error {
	return func(*world) error {
		return &host.Error{Class: class, Verb: host.VerbStart, Public: "the command failed", Cause: errors.New("exit status 1")}
	}
}

// sink keeps the events.
type sink struct {
	mu     sync.Mutex
	events []Event
}

// Publish implements EventSink.
func (s *sink) Publish(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
}

func (s *sink) has(typ EventType, word string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.events, func(e Event) bool {
		return e.Type == typ && (e.Status == word || e.Result == word)
	})
}

// bench is a Remediator with its world, on a real store and a real audit log, inside a synctest bubble.
type bench struct {
	t      *testing.T
	r      *Remediator
	w      *world
	store  *store.SQLite
	audit  *audit.Log
	events *sink
	alerts []Alert // what Alertmanager says; guarded by w.mu
	deaf   error   // Alertmanager's failure
	cancel context.CancelFunc
	done   chan error
	opts   Options
}

// Alerts implements AlertSource.
func (b *bench) Alerts(context.Context) ([]Alert, error) {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return slices.Clone(b.alerts), b.deaf
}

func service(id string) Service {
	return Service{
		ID: id, Unit: host.Unit{Name: "redis-server.service", LogFile: "/var/log/redis/redis-server.log"}, Port: 6379, AutoRecovery: true,
		Ladder: ladder.Settings{
			Rungs: map[ladder.Rung]ladder.RungSettings{ladder.Soft: {Enabled: true, Timeout: 10 * time.Second},
				ladder.Standard: {Enabled: true, Timeout: 30 * time.Second}, ladder.Hard: {Enabled: true, Timeout: 45 * time.Second}},
			MaxAttempts: 3, RetryDelay: 10 * time.Second, Backoff: 2, MaxStarts: 3, StartWindow: 10 * time.Second,
			LoopRecoveries: 3, LoopWindow: 5 * time.Minute, HungPatience: 15 * time.Second, StopPatience: 45 * time.Second, LoadPatience: time.Minute,
			RestoreConfig: true,
		},
		Breaker:   breaker.Settings{Enabled: true, FailureThreshold: 5, OpenFor: 300 * time.Second, HalfOpenTrials: 1},
		Stability: 10 * time.Second, StabilityHard: time.Minute, OperationTimeout: 30 * time.Second,
		Allowed: map[Operation]bool{OpStart: true, OpStop: true, OpRestart: true, OpReload: true},
	}
}

// run gives fn a running Remediator in a bubble of fake time.
func run(t *testing.T, change func(*Options), fn func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, w: newWorld(), events: &sink{}}
		b.open(dir)
		b.opts = Options{Services: []Service{service("redis")}, Prober: b.w, Host: b.w, Scripts: b.w, Events: b.events, Alerts: b,
			Reconcile: 5 * time.Second, Logger: zerolog.Nop(), ShutdownGrace: time.Second}
		if change != nil {
			change(&b.opts)
		}
		b.begin()
		defer b.close()
		fn(b)
	})
}

func (b *bench) open(dir string) {
	b.t.Helper()
	var err error
	if b.store, err = store.Open(bg, store.Options{Dir: dir, Logger: zerolog.Nop()}); err != nil {
		b.t.Fatal(err)
	}
	if b.audit, err = audit.New(bg, audit.Options{Store: b.store, Key: []byte(strings.Repeat("k", 32)), Chain: "test",
		File: audit.FileOptions{Path: filepath.Join(dir, "audit.log")}, Logger: zerolog.Nop()}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) begin() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if b.opts.Store == nil {
		b.opts.Store, b.opts.Audit = b.store, b.audit
	}
	r, err := New(ctx, b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.r, b.cancel, b.done = r, cancel, make(chan error, 1)
	go func() { b.done <- r.Run(ctx) }()
	synctest.Wait()
}

func (b *bench) end() {
	b.t.Helper()
	b.cancel()
	if err := <-b.done; err != nil {
		b.t.Errorf("run ended with %v", err)
	}
}

func (b *bench) close() {
	b.end()
	if err := b.audit.Close(); err != nil {
		b.t.Error(err)
	}
	if err := b.store.Close(); err != nil {
		b.t.Error(err)
	}
	synctest.Wait()
}

// fire makes an alert active, in Alertmanager and by webhook.
func (b *bench) fire(service string) {
	a := Alert{Fingerprint: "fp-" + service, Name: "RedisDown", Service: service, StartsAt: time.Now().UTC(), Firing: true,
		Labels: map[string]string{"service": service, "remediation": "ladder"}}
	b.w.set(func(*world) { b.alerts = append(b.alerts, a) })
	u, _ := b.r.unit(service)
	u.hear(a)
	u.poke()
}

func (b *bench) clear() { b.w.set(func(*world) { b.alerts = nil }) }

// after lets the bubble's time pass.
func (b *bench) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) incidents() []Incident {
	b.t.Helper()
	list, _, err := b.r.Incidents(bg, "redis", "", 50)
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

func (b *bench) newest() Incident {
	b.t.Helper()
	list := b.incidents()
	if len(list) == 0 {
		b.t.Fatal("no incident")
	}
	return list[0]
}

func (b *bench) state() State {
	s, _ := b.r.State("redis")
	return s
}

// records returns the audit records of the service, oldest first, as "phase operation".
func (b *bench) records() []string {
	b.t.Helper()
	recs, _, err := b.audit.Query(bg, audit.Filter{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, r := range slices.Backward(recs) {
		out = append(out, string(r.Phase)+" "+r.Operation)
	}
	return out
}

func kinds(i Incident) []string {
	var out []string
	for _, s := range i.Steps {
		out = append(out, s.Kind)
	}
	return out
}

var ann = Actor{ID: "user-1", Email: "ann@example.org", Role: "admin", Auth: "session"}

// bg stands for the callers' contexts: a test's own context belongs to no bubble.
var bg = context.Background()
