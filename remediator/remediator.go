package remediator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// Remediator owns every act on the hosts. New starts nothing; Run works until its context ends. All methods are safe for
// concurrent use.
type Remediator struct {
	o        Options
	listener net.Listener
	began    time.Time
	metrics  *metrics

	mu    sync.RWMutex     // guards the fields down to loops
	known map[string]*unit // all that were ever configured: one that returns may still have an act in hand
	units map[string]*unit
	order []string
	group *errgroup.Group // of the loops, while Run runs
	loops context.Context //nolint:containedctx // the group's: a unit that a reload adds is worked on until Run ends

	heard       atomic.Int64 // unix nanoseconds of the last webhook, of any kind
	reconciled  atomic.Int64 // unix nanoseconds of the last answer of Alertmanager's API
	hurryUntil  atomic.Int64 // unix nanoseconds: until then Alertmanager is asked more often
	strangers   refusals     // of webhook messages
	hurry       chan struct{}
	notices     chan Notice
	stallUntil  atomic.Int64 // unix nanoseconds: no acts before, our own clock or process stood still
	running     tasks
	actions     context.Context // acts run on it: it outlives every request, and Run by the grace time
	stopActions context.CancelCauseFunc
}

// New binds the webhook's listener and reads what an earlier process left in the store. The error names the option or the
// document that is wrong.
func New(ctx context.Context, o Options) (*Remediator, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &Remediator{o: o, began: time.Now(), known: map[string]*unit{}, hurry: make(chan struct{}, 1), notices: make(chan Notice, noticeQueue)}
	r.actions, r.stopActions = context.WithCancelCause(context.WithoutCancel(ctx))
	if err := r.SetServices(ctx, o.Services); err != nil {
		return nil, err
	}
	r.metrics = newMetrics(r)
	if o.Listen != "" {
		l, err := net.Listen("tcp", o.Listen)
		if err != nil {
			return nil, fmt.Errorf("remediator listener: %w", err)
		}
		r.listener = l
	}
	return r, nil
}

// Addr is the address of the webhook's listener, or nil without one.
func (r *Remediator) Addr() net.Addr {
	if r.listener == nil {
		return nil
	}
	return r.listener.Addr()
}

var errShutdown = errors.New("redis-medic is shutting down")

// Run serves the webhook and works on incidents until ctx ends; then it takes no more work, lets the act in hand go on for the
// grace time, and returns after every goroutine has ended.
func (r *Remediator) Run(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	if err := r.startLoops(gctx, g); err != nil {
		r.stopActions(errShutdown)
		if r.listener != nil {
			err = errors.Join(err, r.listener.Close())
		}
		if ctx.Err() != nil {
			return nil // it ended before it began
		}
		return err
	}
	g.Go(func() error { return r.reconcileLoop(gctx) })
	g.Go(func() error { return r.watchLoop(gctx) })
	g.Go(func() error { return r.clockLoop(gctx) })
	g.Go(func() error { return r.pruneLoop(gctx) })
	g.Go(func() error { return r.noticeLoop(gctx) })
	if r.listener != nil {
		g.Go(func() error { return r.serveWebhook(gctx) })
	}
	g.Go(func() error {
		<-gctx.Done()
		t := time.AfterFunc(r.o.ShutdownGrace, func() { r.stopActions(errShutdown) })
		defer t.Stop()
		r.running.Wait()
		return nil
	})
	err := g.Wait()
	r.stopActions(errShutdown)
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}

// SetServices puts another list of services into effect, as a reload does. What is known of a service that stays - incident, holds,
// breaker, counts - stays; its new settings count from the next decision on. A service that is left out is left alone at once: an
// act in hand ends, its incident waits for its return. On an error nothing has changed. One call at a time.
func (r *Remediator) SetServices(ctx context.Context, services []Service) error {
	r.mu.RLock()
	known, running := maps.Clone(r.known), r.group != nil
	r.mu.RUnlock()
	for _, s := range services {
		if known[s.ID] != nil {
			continue
		}
		u := newUnit(s)
		if err := u.load(ctx, r.o.Store); err != nil {
			return err
		}
		if running {
			if err := r.settleInterrupted(ctx, u); err != nil {
				return err
			}
		}
		known[s.ID] = u
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.units
	r.known, r.units, r.order = known, map[string]*unit{}, nil
	for _, s := range services {
		u := known[s.ID]
		u.settings.Store(&s)
		r.units[s.ID] = u
		r.order = append(r.order, s.ID)
		if r.group != nil && old[s.ID] == nil {
			r.startLoop(u)
		}
		u.poke()
	}
	for id, u := range old {
		if r.units[id] == nil && r.group != nil {
			u.worker.stop()
		}
	}
	return nil
}

// startLoops settles what an earlier process left open, and begins to work on every service.
func (r *Remediator) startLoops(ctx context.Context, g *errgroup.Group) error {
	for _, u := range r.all() {
		if err := r.settleInterrupted(ctx, u); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group, r.loops = g, ctx
	for _, u := range r.units {
		r.startLoop(u)
	}
	return nil
}

// worker is the loop that works on a unit.
type worker struct {
	stop  context.CancelFunc
	ended chan struct{}
}

// startLoop begins to work on a service, as soon as the loop that worked on it before it was taken out has ended: one loop alone
// moves an incident. The caller holds mu.
func (r *Remediator) startLoop(u *unit) {
	ctx, stop := context.WithCancel(r.loops)
	before, now := u.worker, worker{stop: stop, ended: make(chan struct{})}
	u.worker = now
	r.group.Go(func() error {
		defer close(now.ended)
		defer stop()
		if before.ended != nil {
			<-before.ended
		}
		return r.work(ctx, u)
	})
}

func (r *Remediator) all() []*unit {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*unit, 0, len(r.order))
	for _, id := range r.order {
		out = append(out, r.units[id])
	}
	return out
}

func (r *Remediator) unit(id string) (*unit, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	u, ok := r.units[id]
	return u, ok
}

// State returns what is known of a service; a copy.
func (r *Remediator) State(service string) (State, bool) {
	u, ok := r.unit(service)
	if !ok {
		return State{}, false
	}
	now := time.Now()
	holds := r.holds(u, now)
	u.mu.Lock()
	defer u.mu.Unlock()
	s := State{
		Service: service, AutoRecoveryEnabled: u.svc().AutoRecovery && u.mem.Disabled == nil && u.mem.Latch == nil,
		Desired: u.mem.Desired, Holds: holds, Breaker: breaker.Now(u.mem.Breaker, u.svc().Breaker, now),
		RecentRecoveries: len(breaker.Keep(u.mem.Recoveries, time.Hour, now)),
		LastRecovery:     u.mem.LastRecovery, RecoveryStatus: u.mem.RecoveryStatus, DegradedSince: u.mem.DegradedSince,
	}
	if u.mem.Latch != nil {
		s.ManualIntervention, s.ManualReason = true, u.mem.Latch.Text
	}
	if u.busy != nil {
		b := *u.busy
		s.Busy = &b
	}
	if u.incident != nil {
		i := u.incident.clone()
		s.Incident = &i
	}
	return s, true
}

// ObserveChange takes a change that the prober saw. A restart that systemd made by itself is recorded here, as it needs no act
// and no alert; a change of the unit's state wakes an open incident at once.
func (r *Remediator) ObserveChange(view, previous health.View) {
	u, ok := r.unit(view.Service)
	if !ok || r.actions.Err() != nil {
		return // nothing more is done or stored
	}
	u.learn(previous, previous.Samples.Unit.At) // older than what is known, but for the first change of all
	if who := u.learn(view, time.Now()); who == bySystemd {
		r.running.Go(func() { r.recordSelfHealing(u, view.Samples.Unit.Unit, previous.Samples.Unit.Unit) })
	}
	if now := view.Samples.Unit; view.Verdict.Status == health.Critical || (now.OK() && now.Unit.Down()) {
		r.hurryUp()
	}
	r.running.Go(func() { r.keepKnown(u) })
	u.poke()
}

// Incidents lists a service's incidents, newest first, closed ones too.
func (r *Remediator) Incidents(ctx context.Context, service, cursor string, limit int) ([]Incident, string, error) {
	if _, ok := r.unit(service); !ok {
		return nil, "", ErrUnknownService
	}
	docs, next, err := r.o.Store.ListDocuments(ctx, store.DocumentQuery{Kind: kindIncident, Service: service, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, "", fmt.Errorf("list the incidents of %s: %w", service, err)
	}
	out := make([]Incident, 0, len(docs))
	for _, d := range docs {
		i, err := decodeIncident(d)
		if err != nil {
			return nil, "", err
		}
		out = append(out, i)
	}
	return out, next, nil
}

// Incident returns one incident, or ErrUnknownIncident.
func (r *Remediator) Incident(ctx context.Context, id string) (Incident, error) {
	d, err := r.o.Store.Document(ctx, kindIncident, id)
	if errors.Is(err, store.ErrNotFound) {
		return Incident{}, ErrUnknownIncident
	}
	if err != nil {
		return Incident{}, fmt.Errorf("read incident %s: %w", id, err)
	}
	return decodeIncident(d)
}
