package exporter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

// ErrUnknownService means that no target has this id.
var ErrUnknownService = errors.New("unknown service")

// ProberOptions are the settings of a Prober.
type ProberOptions struct {
	Targets []Target
	Units   UnitReader // nil: the systemd layer is off for all
	// OnChange is told when the verdict, a check, the unit's state or the class of replies has changed. It gets the view now and
	// the one it got before (the zero View at first). It is never called concurrently for one service; while it runs, changes
	// are gathered into the next call. It is called only while Run runs.
	OnChange func(view, previous health.View)
	Logger   zerolog.Logger
}

// Prober watches services and remembers what it saw. All methods are safe for concurrent use.
type Prober struct {
	opt     ProberOptions
	setting sync.Mutex // held by SetTargets, so that two lists are not put into effect at once; taken before mu

	mu       sync.Mutex // guards the fields below
	services map[string]*watched
	order    []string
	ctx      context.Context //nolint:containedctx // Run's: SetTargets starts watches that end with it
	wg       sync.WaitGroup
}

// watched is a service and the handle on the goroutines that watch it.
type watched struct {
	*service
	cancel context.CancelFunc // nil while it is not watched
	ended  chan struct{}      // closed when the goroutines of the last watch have ended; nil before the first
}

// NewProber checks the options and starts nothing.
func NewProber(opt ProberOptions) (*Prober, error) {
	p := &Prober{opt: opt, services: map[string]*watched{}}
	if err := p.SetTargets(opt.Targets); err != nil {
		return nil, err
	}
	return p, nil
}

// SetTargets puts another list of services into effect, also while Run runs. A service whose id, address and unit stay keeps all that
// is known of it, its counters and, unless the way to reach Redis changed, its connections: scrapes see it without a gap. New ones are
// watched at once. Of removed ones nothing is known any more, and nothing is announced after SetTargets has returned; a service that
// moved to another address or unit is a removed and a new one. With an error nothing has changed. It must not be called by OnChange.
func (p *Prober) SetTargets(targets []Target) error {
	if err := checkTargets(targets); err != nil {
		return err
	}
	p.setting.Lock()
	defer p.setting.Unlock()
	for _, ended := range p.replace(targets) {
		<-ended
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx != nil {
		for _, w := range p.services {
			p.start(w)
		}
	}
	return nil
}

// replace puts the services in place, stops the watch of those that are gone, and returns the ends to wait for.
func (p *Prober) replace(targets []Target) []<-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := make(map[string]*watched, len(targets))
	order := make([]string, 0, len(targets))
	for _, t := range targets {
		t = t.withDefaults()
		order = append(order, t.ID)
		if old, ok := p.services[t.ID]; ok {
			if before := old.current(); before.Addr == t.Addr && before.Unit == t.Unit {
				old.configure(t, p.opt.Units != nil)
				next[t.ID] = old
				continue
			}
		}
		next[t.ID] = &watched{service: newService(t, p.opt.Units != nil)}
	}
	var ends []<-chan struct{}
	for id, old := range p.services {
		if next[id] == old {
			continue
		}
		if p.stop(old); old.ended != nil {
			ends = append(ends, old.ended)
		}
	}
	p.services, p.order = next, order
	sort.Strings(p.order)
	return ends
}

// Run watches all services until ctx ends and returns when all its goroutines have ended.
func (p *Prober) Run(ctx context.Context) error {
	p.mu.Lock()
	if p.ctx != nil {
		p.mu.Unlock()
		return errors.New("the prober runs already")
	}
	p.ctx = ctx
	for _, w := range p.services {
		p.start(w)
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.ctx = nil
	for _, w := range p.services {
		p.stop(w)
	}
	p.mu.Unlock()
	p.wg.Wait()
	return nil
}

// start begins to watch a service unless that is done already. mu is held.
func (p *Prober) start(w *watched) {
	if w.cancel != nil {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	ended := make(chan struct{})
	w.cancel, w.ended = cancel, ended
	p.wg.Go(func() {
		defer close(ended)
		p.watch(ctx, w.service)
	})
}

// stop ends the watch of a service; its goroutines end soon after. mu is held.
func (p *Prober) stop(w *watched) {
	if w.cancel != nil {
		w.cancel()
		w.cancel = nil
	}
	w.link.drop()
}

// Services lists the ids of all services, sorted.
func (p *Prober) Services() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.order)
}

// Target returns the settings of a service.
func (p *Prober) Target(id string) (Target, bool) {
	s, ok := p.find(id)
	if !ok {
		return Target{}, false
	}
	return s.current(), true
}

func (p *Prober) find(id string) (*service, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.services[id]
	if !ok {
		return nil, false
	}
	return w.service, true
}

// View is what is known of a service now, without asking anybody.
func (p *Prober) View(id string) (health.View, bool) {
	s, ok := p.find(id)
	if !ok {
		return health.View{}, false
	}
	v, _ := s.view()
	return v, true
}

// Look asks Redis, over a new connection as any client would, and systemd, both at once and now, each bounded by the service's
// timeouts. What it sees enters the View too. It fails only for an unknown service or when ctx ends.
func (p *Prober) Look(ctx context.Context, id string) (health.Observation, error) {
	s, ok := p.find(id)
	if !ok {
		return health.Observation{}, fmt.Errorf("look at %s: %w", id, ErrUnknownService)
	}
	o := health.Observation{At: time.Now()}
	var wg sync.WaitGroup
	if p.opt.Units != nil {
		wg.Go(func() { o.Unit = p.readUnit(ctx, s) })
	}
	wg.Go(func() { o.Ping, o.Info = p.lookAtRedis(ctx, s) })
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return o, fmt.Errorf("look at %s: %w", id, err)
	}
	return o, nil
}

// infoCommands are what a verdict and the safety rules need.
var infoCommands = [][]string{{"INFO"}, {"CONFIG", "GET", "save"}}

func (p *Prober) lookAtRedis(ctx context.Context, s *service) (health.Ping, *health.Info) {
	t := s.current()
	pingCtx, cancel := context.WithTimeout(ctx, t.Timings.PingTimeout)
	x := s.link.do(pingCtx, true, nil, nil)
	cancel()
	s.recordPing(x.ping, x.end, true, true)
	if !x.ping.Reply.Alive() {
		return x.ping, nil
	}
	return x.ping, p.readInfo(ctx, s, min(t.Timings.InfoTimeout, t.Timings.PingTimeout))
}

// readInfo asks for INFO over a kept connection and records it.
func (p *Prober) readInfo(ctx context.Context, s *service, timeout time.Duration) *health.Info {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	x := s.link.do(ctx, false, infoCommands, nil)
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	i, words := healthInfo(x)
	s.recordInfo(i, words)
	return i
}

// healthInfo reads the replies to infoCommands.
func healthInfo(x exchange) (*health.Info, string) {
	switch {
	case len(x.replies) == 0 && x.err != nil:
		return nil, x.err.Error()
	case len(x.replies) == 0:
		return nil, "no reply to INFO"
	case x.replies[0].Kind != resp.Bulk:
		return nil, x.replies[0].Str
	}
	i := info.Health(x.replies[0].Str, x.end, x.end.Sub(x.ping.At))
	if len(x.replies) > 1 {
		if e := x.replies[1].Elems; len(e) == 2 {
			on := e[1].Str != ""
			i.RDBConfigured = &on
		}
	}
	return i, ""
}

func (p *Prober) readUnit(ctx context.Context, s *service) health.UnitRead {
	t := s.current()
	ctx, cancel := context.WithTimeout(ctx, t.Timings.UnitTimeout)
	defer cancel()
	started := time.Now()
	r := p.opt.Units.ReadUnit(ctx, t.ID)
	if errors.Is(ctx.Err(), context.Canceled) {
		return r
	}
	if r.At.IsZero() {
		r.At = started
	}
	if r.Took == 0 {
		r.Took = time.Since(started)
	}
	s.recordUnit(r)
	return r
}
