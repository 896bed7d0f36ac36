package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	kindEvidence  = "evidence"
	bundleTimeout = 1500 * time.Millisecond // recovery waits no longer; what has not come by then is read on beside the act
	bundlePlus    = 250 * time.Millisecond  // what an act does not change may take so much more
	bundleLate    = 10 * time.Second        // and nothing longer than this
	bundleLines   = 100
	bundleConfig  = 2000 // lines of configuration
	bundleRecent  = 50   // lines of package log, and files
	bundleBoots   = 10
)

// Bundle is what was seen on the host before the first act of an incident. It holds no secret: the configuration comes without
// them, commands come without their arguments, and log lines are what the host shows to the account we use.
type Bundle struct {
	Incident  string            `json:"incident"`
	Service   string            `json:"service"`
	TakenAt   time.Time         `json:"taken_at"`
	Took      float64           `json:"duration_seconds"`
	Ping      health.Ping       `json:"ping"`
	Unit      health.Unit       `json:"unit"`
	LastInfo  *health.Info      `json:"last_info"` // the newest INFO before or in the outage
	Journal   []host.LogEntry   `json:"journal"`
	RedisLog  []host.LogEntry   `json:"redis_log"`
	Listeners []host.Listener   `json:"listeners"`
	Disks     []host.Disk       `json:"disks"`
	Load      *host.Load        `json:"load"`
	Redis     *Inspection       `json:"redis"`   // what a living Redis says; null where it says nothing
	Config    []string          `json:"config"`  // without comments and secrets; then the files beside it with their times
	Changes   []string          `json:"changes"` // the newest lines of the package log
	Boots     []string          `json:"boots"`
	Late      []string          `json:"late"`    // what came only after the act had begun
	Missing   map[string]string `json:"missing"` // what could not be read, and why
}

// taking is a bundle that is being filled.
type taking struct {
	mu   sync.Mutex // guards the fields below
	b    Bundle
	open map[string]bool // pieces that have not come yet
	acts bool            // the act has begun
}

// piece is one part of a bundle.
type piece struct {
	name  string
	read  func(ctx context.Context) (take func(b *Bundle), err error)
	plain bool // an act does not change it, so it may come late
}

// secure takes the evidence of an incident before its first act and makes it durable. What cannot be read is named in the
// bundle; it never keeps an act from happening for longer than bundleTimeout and bundlePlus. What is late and does not change by an
// act is added when it comes.
func (r *Remediator) secure(u *unit, in ladder.Input) {
	t := &taking{b: Bundle{Service: u.id, TakenAt: time.Now().UTC(), Ping: in.Second.Ping, Unit: in.Second.Unit.Unit, LastInfo: in.LastInfo,
		Late: []string{}, Missing: map[string]string{}}}
	if i := u.openIncident(); i != nil {
		t.b.Incident = i.ID
	}
	ctx, cancel := context.WithTimeout(r.actions, bundleLate)
	var now, later sync.WaitGroup
	pieces := r.pieces(u, in)
	t.open = map[string]bool{}
	for _, p := range pieces {
		t.open[p.name] = true
	}
	for _, p := range pieces {
		group := &now
		if p.plain {
			group = &later
		}
		group.Go(func() { t.fill(ctx, p) })
	}
	settled := make(chan struct{})
	r.running.Go(func() {
		defer cancel()
		now.Wait()
		later.Wait()
		close(settled)
	})
	essential := make(chan struct{})
	r.running.Go(func() { now.Wait(); close(essential) })
	await(bundleTimeout, essential)
	await(bundlePlus, settled)
	r.keepBundle(u, t, false)
	select {
	case <-settled:
	default:
		r.running.Go(func() {
			<-settled // bounded by bundleLate
			r.keepBundle(u, t, true)
		})
	}
}

// secureOnce takes the evidence of an incident when it is not there yet: before its first act, or when the cause is one that no act
// can mend.
func (r *Remediator) secureOnce(u *unit, in ladder.Input) {
	u.mu.Lock()
	first := u.incident != nil && !u.incident.Climbed.Secured
	if first {
		u.incident.Climbed.Secured = true
	}
	u.mu.Unlock()
	if first {
		r.secure(u, in)
	}
}

// await waits for done, but not longer than most.
func await(most time.Duration, done <-chan struct{}) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// fill reads one piece.
func (t *taking) fill(ctx context.Context, p piece) {
	take, err := p.read(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, p.name)
	delete(t.b.Missing, p.name)
	if t.acts {
		t.b.Late = append(t.b.Late, p.name)
	}
	if err != nil {
		t.b.Missing[p.name] = publicWords(err)
		return
	}
	take(&t.b)
}

// pieces lists what a bundle is made of.
func (r *Remediator) pieces(u *unit, in ladder.Input) []piece {
	verb := func(name string, v host.Verb, lines int, plain bool, take func(b *Bundle, out string)) piece {
		return piece{name: name, plain: plain, read: func(ctx context.Context) (func(*Bundle), error) {
			res, err := r.o.Host.Run(ctx, u.id, v, lines)
			return func(b *Bundle) { take(b, res.Stdout) }, err
		}}
	}
	out := []piece{
		verb("journal", host.VerbJournal, bundleLines, false, func(b *Bundle, s string) { b.Journal = host.ParseJournal(s) }),
		verb("listeners", host.VerbListeners, 0, false, func(b *Bundle, s string) { b.Listeners = host.ParseListeners(s) }),
		verb("disks", host.VerbDisk, 0, false, func(b *Bundle, s string) { b.Disks = host.ParseDisk(s) }),
		verb("load", host.VerbLoad, 0, false, func(b *Bundle, s string) { b.Load = new(host.ParseLoad(s)) }),
		verb("config", host.VerbConfigShow, 0, true, func(b *Bundle, s string) { b.Config = host.ParseLines(s, bundleConfig) }),
		verb("changes", host.VerbPackages, 0, true, func(b *Bundle, s string) { b.Changes = host.ParseLines(s, bundleRecent) }),
		verb("boots", host.VerbBoots, 0, true, func(b *Bundle, s string) { b.Boots = host.ParseLines(s, bundleBoots) }),
	}
	if u.svc().Unit.LogFile != "" {
		out = append(out, verb("redis_log", host.VerbRedisLog, bundleLines, false, func(b *Bundle, s string) { b.RedisLog = host.ParseRedisLog(s, nil) }))
	}
	if r.o.Inspector != nil && in.Second.Ping.Reply.Alive() {
		out = append(out, piece{name: "redis", read: func(ctx context.Context) (func(*Bundle), error) {
			i, err := r.o.Inspector.Inspect(ctx, u.id)
			return func(b *Bundle) { b.Redis = &i }, err
		}})
	}
	return out
}

func publicWords(err error) string {
	if he, ok := errors.AsType[*host.Error](err); ok {
		return he.Public
	}
	return "it could not be read"
}

// keepBundle makes a bundle durable as it stands. Before the act, what has not come yet is called missing.
func (r *Remediator) keepBundle(u *unit, t *taking, late bool) {
	t.mu.Lock()
	if !late {
		t.acts = true
		t.b.Took = time.Since(t.b.TakenAt).Seconds()
		for name := range t.open {
			t.b.Missing[name] = "it was not read in time"
		}
	}
	id, at := t.b.Incident, t.b.TakenAt
	body, err := json.Marshal(t.b)
	t.mu.Unlock()
	if err == nil && id != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.actions), writeTimeout)
		defer cancel()
		err = r.o.Store.PutDocuments(ctx, store.Document{Kind: kindEvidence, ID: id, Service: u.id, At: at, JSON: body})
	}
	if err != nil {
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("store the evidence")
	}
}

// Evidence returns the bundle of an incident as JSON (a Bundle), or ErrUnknownIncident when there is none: no act was taken.
func (r *Remediator) Evidence(ctx context.Context, incident string) (json.RawMessage, error) {
	d, err := r.o.Store.Document(ctx, kindEvidence, incident)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrUnknownIncident
	}
	if err != nil {
		return nil, fmt.Errorf("read the evidence of %s: %w", incident, err)
	}
	return d.JSON, nil
}
