package remediator

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/remediator/store/storetest"
)

// member is one redis-medic of several on one database, with a lease, in real time.
type replicaMember struct {
	r     *Remediator
	db    *store.Postgres
	lease *store.Lease
	log   *audit.Log
	end   func()
}

const replicaLease = 3 * time.Second

// lead waits for the lease of the database and works on what it finds there.
func leadOn(t *testing.T, dsn, name string, w *world) replicaMember {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := store.OpenPostgres(ctx, store.PostgresOptions{DSN: dsn, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	lease, err := db.Lead(ctx, name, replicaLease, func(err error) { t.Log(name, err) })
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(ctx, audit.Options{Store: db, Key: []byte(strings.Repeat("k", 32)), Chain: "shared",
		File: audit.FileOptions{Path: filepath.Join(t.TempDir(), "audit.log")}, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s := service("redis")
	s.Stability = time.Second
	r, err := New(ctx, Options{Services: []Service{s}, Prober: w, Host: w, Scripts: w, Events: &sink{}, Store: db, Audit: log, Lead: lease.Held,
		Logger: zerolog.Nop(), ShutdownGrace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return replicaMember{r: r, db: db, lease: lease, log: log, end: func() {
		cancel()
		<-done // a member that lost its lease may say so
		_ = log.Close()
		_ = db.Close()
	}}
}

func (m replicaMember) fire() {
	u, _ := m.r.unit("redis")
	u.hear(Alert{Fingerprint: "fp", Name: "RedisDown", Service: "redis", StartsAt: time.Now().UTC(), Firing: true, Labels: map[string]string{"remediation": "ladder"}})
	u.poke()
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestALeaderThatLosesItsLeaseInTheMiddleOfAnAct has one process stand still while its act is under way. Another takes over, settles the
// intent, looks, and goes on. The first may neither write nor act any more.
func TestALeaderThatLosesItsLeaseInTheMiddleOfAnAct(t *testing.T) {
	t.Parallel()
	dsn, _ := storetest.StartPostgres(t)
	w := newWorld()
	first := leadOn(t, dsn, "first", w)
	defer first.end()
	held := make(chan struct{})
	w.set(func(w *world) { w.down("inactive", "success"); w.block = held })
	first.fire()
	eventually(t, "the act is under way", func() bool { return len(w.did()) == 1 })
	// Its lease is not renewed: it stands still, or is cut off from the database.
	second := leadOn(t, dsn, "second", w)
	defer second.end()
	if first.lease.Held() {
		t.Fatal("two leaders")
	}
	w.set(func(w *world) { w.block = nil })
	close(held) // the act of the first ends on the host, and its outcome must not be written
	eventually(t, "the second closes the incident", func() bool {
		list, _, err := second.r.Incidents(bg, "redis", "", 10)
		return err == nil && len(list) == 1 && list[0].Status == IncidentRecovered
	})
	want(t, "acts", w.did(), []string{"start"})
	if err := first.db.PutDocuments(bg, store.Document{Kind: "x", ID: "x", At: time.Now(), JSON: []byte("{}")}); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("the first may still write: %v", err)
	}

	// The next outage is the second's alone.
	w.set(func(w *world) { w.down("inactive", "success") })
	first.fire()
	eventually(t, "the first refrains", func() bool {
		s, _ := first.r.State("redis")
		for _, h := range s.Holds {
			if h.Code == HoldNoLease {
				return s.Incident != nil && s.Incident.Status == IncidentWaiting || s.Incident == nil
			}
		}
		return false
	})
	second.fire()
	eventually(t, "the second acts", func() bool { return len(w.did()) == 2 })
	eventually(t, "Redis is back", func() bool {
		o, err := w.Look(bg, "redis")
		return err == nil && o.Ping.Reply == health.ReplyPong
	})
	recs, _, err := second.log.Query(bg, audit.Filter{Service: "redis", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	if open := unsettled(recs); len(open) > 1 { // the one in hand
		t.Errorf("open intents: %+v", open)
	}
}

// What was decided with a lease may not be done without it.
func TestALeaseThatEndsBeforeTheIntentStopsTheAct(t *testing.T) {
	leads := true
	run(t, func(o *Options) { o.Lead = func() bool { return leads } }, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		u, _ := b.r.unit("redis")
		u.mu.Lock()
		u.incident = newIncident("redis", SourceAlert, Alert{Name: "RedisDown", Fingerprint: "fp"})
		u.mu.Unlock()
		in, err := b.r.evidence(bg, u)
		if err != nil {
			t.Fatal(err)
		}
		leads = false
		d := ladder.Next(in, u.svc().Ladder)
		if d.Kind != ladder.Climb {
			t.Fatalf("%+v", d)
		}
		before := len(b.w.did())
		b.r.carryOut(bg, u, in, d)
		if got := b.w.did(); len(got) != before {
			t.Errorf("acts without a lease: %v", got)
		}
		b.after(time.Minute)
		if len(b.w.did()) != before {
			t.Errorf("acts without a lease: %v", b.w.did())
		}
	})
}
