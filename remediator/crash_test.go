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
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
)

var errDead = errors.New("the process is dead")

// mortal stands between a Remediator and everything outside of it: store, audit log, host, Redis. From a chosen call on nothing
// passes any more, as after kill -9: what was done before stays done, what was to come never happens, and nobody is told.
type mortal struct {
	b *bench

	mu    sync.Mutex
	calls []string // what passed, or died, in order
	dieAt int      // the number of the call that does not happen; 0: none
	dead  bool
	wrong []string // what no crash may lead to
	looks int      // since the process began
}

func (m *mortal) pass(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dead {
		m.calls = append(m.calls, name)
		m.dead = m.dieAt > 0 && len(m.calls) >= m.dieAt
	}
	if m.dead {
		return errDead
	}
	return nil
}

func (m *mortal) died() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dead
}

// Look implements Prober.
func (m *mortal) Look(ctx context.Context, service string) (health.Observation, error) {
	if err := m.pass("look"); err != nil {
		return health.Observation{}, err
	}
	m.mu.Lock()
	m.looks++
	m.mu.Unlock()
	return m.b.w.Look(ctx, service)
}

// View implements Prober.
func (m *mortal) View(service string) (health.View, bool) { return m.b.w.View(service) }

// KillScript implements Scripts.
func (m *mortal) KillScript(ctx context.Context, service string) error {
	if err := m.pass("act script-kill"); err != nil {
		return err
	}
	m.act("script-kill")
	return m.b.w.KillScript(ctx, service)
}

// Run implements Host.
func (m *mortal) Run(ctx context.Context, service string, v host.Verb, lines int) (host.Result, error) {
	name := "read " + string(v)
	if v.Changes() {
		name = "act " + string(v)
	}
	if err := m.pass(name); err != nil {
		return host.Result{ExitCode: -1}, err
	}
	if v.Changes() {
		m.act(string(v))
	}
	return m.b.w.Run(ctx, service, v, lines)
}

// act checks what must be true at the moment of an act: this process has looked twice, and an intent is durable, in the audit log
// and in the state.
func (m *mortal) act(verb string) {
	recs, _, err := m.b.audit.Query(bg, audit.Filter{Service: "redis", Limit: 100})
	open := unsettled(recs)
	docs, _, derr := m.b.store.ListDocuments(bg, store.DocumentQuery{Kind: kindIncident, OpenOnly: true})
	intended := false
	for _, d := range docs {
		if i, err := decodeIncident(d); err == nil && openIntent(i.Steps) != nil {
			intended = true
		}
	}
	if d, err := m.b.store.Document(bg, kindState, "redis"); err == nil && strings.Contains(string(d.JSON), `"pending":{`) {
		intended = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || derr != nil || len(open) != 1 || !intended {
		m.wrong = append(m.wrong, fmt.Sprintf("%s with %d open intents in the audit log, in the state: %t (%v %v)", verb, len(open), intended, err, derr))
	}
	if m.looks < 1 {
		m.wrong = append(m.wrong, verb+" without a look by this process")
	}
}

// mortalStore is the store on the other side.
type mortalStore struct {
	store.Documents
	m *mortal
}

// PutDocuments implements store.Documents.
func (s mortalStore) PutDocuments(ctx context.Context, docs ...store.Document) error {
	if err := s.m.pass("store"); err != nil {
		return err
	}
	return s.Documents.PutDocuments(ctx, docs...)
}

// mortalAudit is the audit log on the other side.
type mortalAudit struct{ m *mortal }

// Append implements Auditor.
func (a mortalAudit) Append(ctx context.Context, r audit.Record) (audit.Record, error) {
	if err := a.m.pass("audit " + string(r.Phase)); err != nil {
		return r, err
	}
	return a.m.b.audit.Append(ctx, r)
}

// Query implements auditReader.
func (a mortalAudit) Query(ctx context.Context, f audit.Filter) ([]audit.Record, int64, error) {
	if err := a.m.pass("query"); err != nil {
		return nil, 0, err
	}
	return a.m.b.audit.Query(ctx, f)
}

// crashCase is one recovery that is cut off at each of its steps in turn.
type crashCase struct {
	name   string
	begin  func(b *bench)
	ending IncidentStatus // empty: recovered or self-healed
}

var crashCases = []crashCase{
	{"a stopped unit", func(b *bench) { b.w.set(func(w *world) { w.down("inactive", "success") }) }, ""},
	{"a frozen process", func(b *bench) { b.w.set(func(w *world) { w.reply, w.proc = health.ReplyTimeout, 'T' }) }, ""},
	{"a busy script", func(b *bench) { b.w.set(func(w *world) { w.reply = health.ReplyBusy }) }, ""},
	{"a broken configuration", func(b *bench) { b.w.set(brokenConfig) }, ""},
	{"a start that fails, then a restart", func(b *bench) {
		b.w.set(func(w *world) {
			w.down("failed", "exit-code")
			w.on[host.VerbStart] = func(w *world) error {
				w.down("failed", "exit-code")
				return commandFailed(health.ClassCommand)(w)
			}
		})
	}, ""},
	{"nothing helps", func(b *bench) {
		b.w.set(func(w *world) {
			w.goodDiff, w.redisLog = "", ""
			w.down("failed", "exit-code")
			fail := func(w *world) error { w.down("failed", "exit-code"); return commandFailed(health.ClassCommand)(w) }
			w.on[host.VerbStart], w.on[host.VerbRestart] = fail, fail
		})
	}, IncidentManual},
}

// TestKilledAtEveryStep cuts a recovery off before each of its calls to the outside, starts again on what is left, and wants the
// incident to go on to its end, audit log, timeline and host to agree, and nothing to be repeated blindly.
func TestKilledAtEveryStep(t *testing.T) {
	for _, c := range crashCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calls := killedAt(t, c, 0)
			tried, acts := 0, 0
			done := map[string]bool{}
			for i, call := range calls {
				if strings.HasPrefix(call, "act ") || strings.HasPrefix(call, "audit ") {
					acts++
				}
				if key := fmt.Sprint(call, acts); done[key] {
					continue // the same read again
				} else {
					done[key] = true
				}
				killedAt(t, c, i+1)
				tried++
				if t.Failed() {
					t.Fatalf("killed before call %d of %d: %s after %s", i+1, len(calls), calls[i], strings.Join(calls[max(0, i-6):i], ", "))
				}
			}
			t.Logf("killed at %d of %d calls", tried, len(calls))
		})
	}
}

func killedAt(t *testing.T, c crashCase, at int) (calls []string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		m := &mortal{}
		b := &bench{t: t, w: newWorld(), events: &sink{}}
		m.b = b
		b.open(dir)
		b.opts = Options{Services: []Service{service("redis")}, Prober: m, Host: m, Scripts: m, Events: b.events, Alerts: b, Reconcile: 5 * time.Second,
			Logger: zerolog.Nop(), ShutdownGrace: time.Second, Store: mortalStore{b.store, m}, Audit: mortalAudit{m}}
		b.begin()
		c.begin(b)
		m.mu.Lock()
		m.calls, m.dieAt = nil, at
		m.mu.Unlock()
		b.fire("redis")
		for waited := time.Duration(0); waited < 5*time.Minute && !m.died() && !over(b); waited += time.Second {
			b.after(time.Second)
		}
		m.mu.Lock()
		calls = slices.Clone(m.calls)
		m.mu.Unlock()
		if at > 0 {
			b.rise(m, dir)
		}
		b.agree(m, c, at)
		b.close()
	})
	return calls
}

// over reports whether the incident has come to its end.
func over(b *bench) bool {
	if i := b.state().Incident; i != nil {
		return i.Status == IncidentManual
	}
	return len(b.incidents()) > 0
}

// rise begins again on what a killed process has left: other connections, nothing in memory.
func (b *bench) rise(m *mortal, dir string) {
	b.t.Helper()
	m.mu.Lock()
	m.dead, m.dieAt = true, 0
	m.mu.Unlock()
	b.cancel()
	<-b.done // its error speaks of the dead
	if err := errors.Join(b.audit.Close(), b.store.Close()); err != nil {
		b.t.Fatal(err)
	}
	b.open(dir)
	m.mu.Lock()
	m.dead, m.looks = false, 0
	m.mu.Unlock()
	b.opts.Store, b.opts.Audit = mortalStore{b.store, m}, mortalAudit{m}
	b.begin()
	for waited := time.Duration(0); waited < 5*time.Minute && !over(b); waited += time.Second {
		b.after(time.Second)
	}
}

// agree checks the end of a story that was cut off once.
func (b *bench) agree(m *mortal, c crashCase, at int) {
	b.t.Helper()
	i := b.newest()
	switch {
	case c.ending == "" && i.Status != IncidentRecovered && i.Status != IncidentSelfHealed && i.Status != IncidentNotConfirmed:
		b.t.Errorf("it ended %s (%s): %v", i.Status, i.Cause, b.w.did())
	case c.ending != "" && i.Status != c.ending:
		b.t.Errorf("it ended %s (%s), want %s", i.Status, i.Cause, c.ending)
	}
	b.w.mu.Lock()
	if c.ending == "" && (!b.w.unit.Running() || b.w.reply != health.ReplyPong) {
		b.t.Errorf("the host: %s, %s", b.w.unit.ActiveState, b.w.reply)
	}
	b.w.mu.Unlock()
	m.mu.Lock()
	for _, w := range m.wrong {
		b.t.Error(w)
	}
	m.mu.Unlock()
	recs, _, err := b.audit.Query(bg, audit.Filter{Service: "redis", Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	count := map[audit.Phase]int{}
	for _, r := range recs {
		count[r.Phase]++
	}
	if open := unsettled(recs); len(open) > 0 || count[audit.PhaseIntent] != count[audit.PhaseOutcome] {
		b.t.Errorf("audit log: %d intents, %d outcomes, open: %v", count[audit.PhaseIntent], count[audit.PhaseOutcome], open)
	}
	steps := map[string]int{}
	for _, s := range i.Steps {
		steps[s.Kind]++
	}
	if steps["intent"] != steps["outcome"] {
		b.t.Errorf("timeline: %v", kinds(i))
	}
	if at == 0 && count[audit.PhaseIntent] != steps["intent"] {
		b.t.Errorf("%d intents in the audit log, %d in the timeline", count[audit.PhaseIntent], steps["intent"])
	}
	if rep, err := b.audit.Verify(bg); err != nil || !rep.OK {
		b.t.Errorf("audit chain: %+v %v", rep, err)
	}
	if n := len(i.Steps); n > 60 {
		b.t.Errorf("%d steps", n)
	}
	if got := slices.DeleteFunc(b.w.did(), func(v string) bool { return v == string(host.VerbResetFailed) }); len(got) > 2+3 {
		b.t.Errorf("acts: %v", got)
	}
}
