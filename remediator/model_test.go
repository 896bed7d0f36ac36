package remediator

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"pgregory.net/rapid"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// judge watches every act on the host and says what must never be. It stands where mortal stands: around a real Remediator with its
// real ladder, breaker, store and audit log.
type judge struct {
	b *bench

	mu       sync.Mutex
	wrong    []string
	looks    []time.Time
	starts   []time.Time
	inflight int
	unsaved  bool      // the truth: Redis holds changes that are not on disk
	good     time.Time // since when it has served without a break; zero: it does not
	failing  bool      // store and audit log cannot be written
	acts     int       // automatic ones
}

func (j *judge) blame(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.wrong = append(j.wrong, fmt.Sprintf("%s: ", time.Now().UTC().Format("15:04:05.000"))+fmt.Sprintf(format, args...))
}

// Look implements Prober.
func (j *judge) Look(ctx context.Context, service string) (health.Observation, error) {
	o, err := j.b.w.Look(ctx, service)
	j.mu.Lock()
	j.looks = append(j.looks, time.Now())
	if o.Info != nil && j.unsaved {
		o.Info.UnsavedChanges = 7
	}
	j.mu.Unlock()
	return o, err
}

// View implements Prober.
func (j *judge) View(service string) (health.View, bool) { return j.b.w.View(service) }

// KillScript implements Scripts.
func (j *judge) KillScript(ctx context.Context, service string) error {
	defer j.begin("script-kill")()
	defer j.serving()
	return j.b.w.KillScript(ctx, service)
}

// Run implements Host.
func (j *judge) Run(ctx context.Context, service string, v host.Verb, lines int) (host.Result, error) {
	if v.Changes() {
		defer j.begin(string(v))()
	}
	res, err := j.b.w.Run(ctx, service, v, lines)
	if v.Changes() {
		j.serving()
	}
	return res, err
}

// begin checks all that must be true when an act begins.
func (j *judge) begin(verb string) (end func()) {
	now := time.Now()
	w := j.b.w
	w.mu.Lock()
	unit, reply, info := w.unit, w.reply, health.Info{}
	if w.known != nil {
		info = *w.known // no more can be known than INFO has told
	}
	w.mu.Unlock()
	j.mu.Lock()
	if j.inflight++; j.inflight > 1 {
		j.wrong = append(j.wrong, verb+": a second act in flight")
	}
	looks := 0
	for _, at := range j.looks {
		if now.Sub(at) <= 3*time.Second {
			looks++
		}
	}
	if looks < 1 {
		j.wrong = append(j.wrong, verb+": no look in the last three seconds")
	}
	if verb == string(host.VerbStart) || verb == string(host.VerbRestart) {
		j.starts = append(j.starts, now)
		if n := len(slices.DeleteFunc(slices.Clone(j.starts), func(at time.Time) bool { return now.Sub(at) >= 10*time.Second })); n > 3 {
			j.wrong = append(j.wrong, fmt.Sprintf("%s: start %d in ten seconds", verb, n))
		}
	}
	if verb == string(host.VerbKill) && j.unsaved && (!info.AOFOn || !info.AOFWriteOK) {
		j.wrong = append(j.wrong, "a kill with unsaved data")
	}
	j.mu.Unlock()
	j.intended(verb, unit, reply, info)
	return func() {
		j.mu.Lock()
		j.inflight--
		j.mu.Unlock()
	}
}

// intended checks that a durable intent stands behind an act, and, for an automatic one, that nothing forbade it.
func (j *judge) intended(verb string, unit health.Unit, reply health.Reply, info health.Info) {
	recs, _, err := j.b.audit.Query(bg, audit.Filter{Service: "redis", Limit: 50})
	open := unsettled(recs)
	if err != nil || len(open) != 1 {
		j.blame("%s: %d open intents in the audit log (%v)", verb, len(open), err)
		return
	}
	intent := open[0]
	if intent.User.ID != System().ID {
		return // a person's: what people may do is another test
	}
	j.mu.Lock()
	j.acts++
	j.mu.Unlock()
	docs, _, err := j.b.store.ListDocuments(bg, store.DocumentQuery{Kind: kindIncident, OpenOnly: true})
	if err != nil || len(docs) != 1 {
		j.blame("%s: %d open incidents in the store (%v)", verb, len(docs), err)
	} else if i, err := decodeIncident(docs[0]); err != nil || openIntent(i.Steps) == nil || !strings.Contains(openIntent(i.Steps).Act, verb) {
		j.blame("%s: no intent in the stored timeline", verb)
	}
	s := j.b.state()
	for _, h := range s.Holds {
		since := h.Since
		if !since.IsZero() && !since.Before(intent.Time) {
			continue // it came while the act was in hand
		}
		if h.Code != HoldBreaker {
			j.blame("%s although held: %s", verb, h.Code)
		}
	}
	if intent.Details["acts"] == "" || (intent.Details["unit"] == "unknown" && verb != "script-kill") {
		j.blame("%s without evidence: %v", verb, intent.Details)
	}
	harsh := verb == string(host.VerbStart) || verb == string(host.VerbRestart) || verb == string(host.VerbKill)
	down := unit.ActiveState == "inactive" || unit.ActiveState == "failed"
	switch {
	case harsh && unit.LoadState != "loaded":
		j.blame("%s of a unit that is %s", verb, unit.LoadState)
	case harsh && (reply == health.ReplyLoading || reply == health.ReplyMisconf || reply == health.ReplyMaxClients || reply == health.ReplyNoAuth || reply == health.ReplyMasterDown):
		j.blame("%s of a Redis that answers %s", verb, reply)
	case harsh && !down && info.Failover == "failover-in-progress":
		j.blame("%s in a failover", verb)
	case verb == string(host.VerbStart) && !down:
		j.blame("start of a unit that is %s", unit.ActiveState)
	}
	if persistent, known := info.Persistent(); harsh && info.Role == "master" && info.Replicas > 0 && known && !persistent {
		j.blame("%s of an empty master with replicas", verb)
	}
}

// serving keeps the truth of since when Redis serves.
func (j *judge) serving() {
	w := j.b.w
	w.mu.Lock()
	ok := w.reply == health.ReplyPong && w.unit.Running()
	w.mu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case !ok:
		j.good = time.Time{}
	case j.good.IsZero():
		j.good = time.Now()
	}
}

// closed checks that no incident ends as recovered before Redis has been good for the stability window.
func (j *judge) closed(seen map[string]bool) {
	for _, i := range j.b.incidents() {
		if i.Status != IncidentRecovered || seen[i.ID] {
			continue
		}
		seen[i.ID] = true
		j.mu.Lock()
		good := j.good
		j.mu.Unlock()
		if good.IsZero() || i.ClosedAt.Sub(good) < 10*time.Second-50*time.Millisecond {
			j.blame("incident %s was closed at %s, but Redis is good since %s", i.ID, i.ClosedAt.Format("15:04:05.000"), good.Format("15:04:05.000"))
		}
	}
}

// flakyStore and flakyAudit fail when the judge says so.
type flakyStore struct {
	store.Documents
	j *judge
}

// PutDocuments implements store.Documents.
func (s flakyStore) PutDocuments(ctx context.Context, docs ...store.Document) error {
	if s.j.broken() {
		return errors.New("database or disk is full")
	}
	return s.Documents.PutDocuments(ctx, docs...)
}

type flakyAudit struct{ j *judge }

// Append implements Auditor.
func (a flakyAudit) Append(ctx context.Context, r audit.Record) (audit.Record, error) {
	if a.j.broken() && r.Phase == audit.PhaseIntent {
		return r, errors.New("no space left on device")
	}
	return a.j.b.audit.Append(ctx, r)
}

// Query implements auditReader.
func (a flakyAudit) Query(ctx context.Context, f audit.Filter) ([]audit.Record, int64, error) {
	return a.j.b.audit.Query(ctx, f)
}

func (j *judge) broken() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failing
}

// chapters are what may happen in a history, each with its name. They change the world, the alerts, the storage, or ask as people do.
var chapters = map[string]func(j *judge){
	"stopped on the host": func(j *judge) { j.see(func(w *world) { w.down("inactive", "success") }) },
	"failed":              func(j *judge) { j.see(func(w *world) { w.down("failed", "exit-code") }) },
	"masked":              func(j *judge) { j.see(func(w *world) { w.down("inactive", "success"); w.unit.LoadState = "masked" }) },
	"frozen": func(j *judge) {
		j.see(func(w *world) { w.reply, w.connected, w.proc = health.ReplyTimeout, true, 'T' })
	},
	"hung": func(j *judge) {
		j.see(func(w *world) { w.reply, w.connected, w.proc = health.ReplyTimeout, true, 'S' })
	},
	"busy":          func(j *judge) { j.see(func(w *world) { w.reply, w.script = health.ReplyBusy, nil }) },
	"busy for ever": func(j *judge) { j.see(func(w *world) { w.reply, w.script = health.ReplyBusy, ErrUnkillable }) },
	"loading":       func(j *judge) { j.see(func(w *world) { w.reply = health.ReplyLoading }) },
	"misconf":       func(j *judge) { j.see(func(w *world) { w.reply = health.ReplyMisconf }) },
	"no room":       func(j *judge) { j.see(func(w *world) { w.reply = health.ReplyMaxClients }) },
	"auto-restart":  func(j *judge) { j.see(func(w *world) { w.down("activating", ""); w.unit.SubState = "auto-restart" }) },
	"stuck stopping": func(j *judge) {
		j.see(func(w *world) {
			w.unit.ActiveState, w.unit.SubState, w.unit.StateChange = "deactivating", "stop-sigterm", time.Now()
			w.reply, w.connected, w.proc = health.ReplyTimeout, true, 'S'
		})
	},
	"crash and restart by systemd": func(j *judge) { j.see(crash) },
	"host away":                    func(j *judge) { j.see(func(w *world) { w.class = health.ClassUnreachable }) },
	"host back":                    func(j *judge) { j.see(func(w *world) { w.class = "" }) },
	"healed":                       func(j *judge) { j.see(func(w *world) { w.class = ""; w.up() }) },
	"starts fail": func(j *judge) {
		j.see(func(w *world) { w.on[host.VerbStart], w.on[host.VerbRestart] = startFails, startFails })
	},
	"starts are refused": func(j *judge) { j.see(func(w *world) { w.on[host.VerbStart] = commandFailed(health.ClassDenied) }) },
	"starts break off":   func(j *judge) { j.see(func(w *world) { w.on[host.VerbStart] = commandFailed(health.ClassTimeout) }) },
	"starts load long": func(j *judge) {
		load := func(w *world) error { w.up(); w.reply = health.ReplyLoading; return nil }
		j.see(func(w *world) { w.on[host.VerbStart], w.on[host.VerbRestart] = load, load })
	},
	"starts work":     func(j *judge) { j.see(func(w *world) { clear(w.on) }) },
	"a writer":        func(j *judge) { j.mu.Lock(); j.unsaved = true; j.mu.Unlock() },
	"a save":          func(j *judge) { j.mu.Lock(); j.unsaved = false; j.mu.Unlock() },
	"replicas attach": func(j *judge) { j.see(func(w *world) { no := false; w.info.Replicas, w.info.RDBConfigured = 2, &no }) },
	"replicas detach": func(j *judge) { j.see(func(w *world) { w.info.Replicas, w.info.RDBConfigured = 0, nil }) },
	"an alert":        func(j *judge) { j.b.fire("redis") },
	"no alert":        func(j *judge) { j.b.clear() },
	"silenced": func(j *judge) {
		j.b.w.set(func(*world) {
			for i := range j.b.alerts {
				j.b.alerts[i].Suppressed = "silenced"
			}
		})
	},
	"maintenance":        func(j *judge) { _, _ = j.b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Minute), "") },
	"end of maintenance": func(j *judge) { _ = j.b.r.EndMaintenance(bg, "redis", ann) },
	"switched off":       func(j *judge) { _ = j.b.r.SetAutoRecovery(bg, "redis", ann, false, "") },
	"switched on":        func(j *judge) { _ = j.b.r.SetAutoRecovery(bg, "redis", ann, true, "") },
	"reset":              func(j *judge) { _ = j.b.r.ResetAutoRecovery(bg, "redis", ann, "") },
	"a person starts":    func(j *judge) { j.ask(OpStart) },
	"a person stops":     func(j *judge) { j.ask(OpStop) },
	"a person restarts":  func(j *judge) { j.ask(OpRestart) },
	"storage fails":      func(j *judge) { j.mu.Lock(); j.failing = true; j.mu.Unlock() },
	"storage works":      func(j *judge) { j.mu.Lock(); j.failing = false; j.mu.Unlock() },
	"our process restarts": func(j *judge) {
		if !j.broken() {
			j.b.end()
			j.b.begin()
		}
	},
}

func startFails(w *world) error {
	w.down("failed", "exit-code")
	return commandFailed(health.ClassCommand)(w)
}

func (j *judge) see(change func(*world)) {
	j.b.see(change)
	j.serving()
}

func (j *judge) ask(op Operation) {
	_, _ = j.b.r.Operate(bg, Request{Service: "redis", Operation: op, Actor: ann})
	j.serving()
}

// chapterNames are sorted, so that a failure found once is found again.
func chapterNames() []string {
	var out []string
	for name := range chapters {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// event is one chapter of a history and how long it is quiet after it.
type event struct {
	name  string
	quiet time.Duration
}

// A run of all tests tells as many histories as fit into the budget; -rapid.checks tells as many as it says.
const (
	modelBudget    = 3 * time.Second
	leastHistories = 15
)

// TestModel lets random histories happen to a real Remediator and checks every act against what must never be: two acts in flight,
// a kill with unsaved data, an act without evidence and a durable intent, more than three starts in ten seconds, an act while it is
// held, latched, masked, loading, in a failover, and an incident that ends before Redis has been stable.
func TestModel(t *testing.T) {
	names, acts := chapterNames(), 0
	quiet := []time.Duration{100 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second, 3 * time.Second, 7 * time.Second, 12 * time.Second, 25 * time.Second, 70 * time.Second}
	began, told := time.Now(), 0
	patient := flag.Lookup("rapid.checks").Value.String() != flag.Lookup("rapid.checks").DefValue // somebody wants more of them
	rapid.Check(t, func(rt *rapid.T) {
		if !patient && told >= leastHistories && time.Since(began) > modelBudget {
			return
		}
		told++
		// Everything is drawn before the history begins: inside of it time is not the world's.
		force, aof := rapid.Bool().Draw(rt, "force"), rapid.Bool().Draw(rt, "aof")
		history := make([]event, rapid.IntRange(6, 24).Draw(rt, "length"))
		for i := range history {
			history[i] = event{rapid.SampledFrom(names).Draw(rt, "chapter"), rapid.SampledFrom(quiet).Draw(rt, "quiet")}
		}
		wrong, n := tell(t, history, force, aof)
		acts += n
		if len(wrong) > 0 {
			rt.Fatalf("%v\nforce %t, aof %t: %v", strings.Join(wrong, "\n"), force, aof, history)
		}
	})
	t.Logf("%d histories, %d automatic acts were judged", told, acts)
	if acts < 5 {
		t.Error("the histories make it act too rarely to prove anything")
	}
}

// tell lets one history happen, with an alert whenever Prometheus would see the outage, and returns what was wrong.
func tell(t *testing.T, history []event, force, aof bool) (wrong []string, acts int) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, w: newWorld(), events: &sink{}}
		j := &judge{b: b, good: time.Now()}
		b.w.info.AOFOn, b.w.info.AOFWriteOK = aof, aof
		b.open(dir)
		s := service("redis")
		s.Ladder.Rungs[ladder.Force] = ladder.RungSettings{Enabled: force, Timeout: 30 * time.Second}
		s.Ladder.LongRecoveries, s.Ladder.LongWindow = 6, 6*time.Hour
		b.opts = Options{Services: []Service{s}, Prober: j, Host: j, Scripts: j, Events: b.events, Alerts: b, Reconcile: 5 * time.Second,
			Logger: zerolog.Nop(), ShutdownGrace: time.Second, Store: flakyStore{b.store, j}, Audit: flakyAudit{j}}
		b.begin()
		b.see(func(*world) {})
		seen := map[string]bool{}
		for _, e := range history {
			chapters[e.name](j)
			for left := e.quiet; left > 0; left -= 500 * time.Millisecond {
				b.after(min(left, 500*time.Millisecond))
				j.serving()
				j.closed(seen)
				if down := b.w.isDown(); down != b.firing() {
					if down {
						b.fire("redis")
					} else {
						b.clear()
					}
				}
			}
		}
		j.mu.Lock()
		j.failing = false
		wrong, acts = slices.Clone(j.wrong), j.acts
		j.mu.Unlock()
		b.close()
	})
	return wrong, acts
}

func (w *world) isDown() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reply != health.ReplyPong || !w.unit.Running()
}

func (b *bench) firing() bool {
	b.w.mu.Lock()
	defer b.w.mu.Unlock()
	return len(b.alerts) > 0
}
