package exporter

import (
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

const (
	// spread keeps many services from being probed in the same instant after a start.
	spread = 250 * time.Millisecond
	// minGap is the least distance between two PINGs of the loop, however fast units change.
	minGap = 100 * time.Millisecond
	// patience is how long a silent Redis is asked at the faster rate of re-checks.
	patience = 5 * time.Minute
	// rewatch is how long a watch that a host made impossible is not tried again.
	rewatch = 5 * time.Minute
	// headStart is how long the watch has to tell of the unit before it is read without it.
	headStart = 5 * time.Second
	// unitRetry is the wait after a failed unit read, before the threshold is reached.
	unitRetry = 2 * time.Second
)

// watch runs all loops of one service until ctx ends.
func (p *Prober) watch(ctx context.Context, s *service) {
	var wg sync.WaitGroup
	wg.Go(func() { p.announce(ctx, s) })
	wg.Go(func() { p.pingLoop(ctx, s) })
	wg.Go(func() { p.slowLoop(ctx, s) })
	wg.Go(func() { p.surveyLoop(ctx, s) })
	if p.opt.Units != nil {
		wg.Go(func() { p.unitLoop(ctx, s) })
		wg.Go(func() { p.watchUnit(ctx, s) })
	}
	wg.Wait()
}

// announce calls OnChange for what changed, one call at a time.
func (p *Prober) announce(ctx context.Context, s *service) {
	var previous health.View
	var last summary
	for first := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-s.dirty:
		}
		v, sum := s.view()
		if p.opt.OnChange == nil || (!first && sum == last) {
			continue
		}
		p.opt.OnChange(v, previous)
		previous, last, first = v, sum, false
	}
}

// wait pauses for d, or until kicked; it reports false when ctx ended.
func wait(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-kick:
	}
	return ctx.Err() == nil
}

// pingLoop sends a PING each interval, and each re-check interval while one went unanswered.
func (p *Prober) pingLoop(ctx context.Context, s *service) {
	if !wait(ctx, rand.N(spread), nil) {
		return
	}
	for {
		started := time.Now()
		t := s.current()
		if !t.Off.Connectivity {
			pingCtx, cancel := context.WithTimeout(ctx, t.Timings.PingTimeout)
			x := s.link.do(pingCtx, false, nil, nil)
			cancel()
			s.recordPing(x.ping, x.end, true, true)
		}
		if !p.pause(ctx, s, started) {
			return
		}
	}
}

// pause waits until the next PING is due: at once when the unit changed, sooner when a PING was lost elsewhere.
func (p *Prober) pause(ctx context.Context, s *service, started time.Time) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Until(started.Add(s.pingEvery()))):
			return true
		case <-s.lostOne: // the interval is another one now
		case <-s.ping:
			return wait(ctx, time.Until(started.Add(minGap)), nil)
		}
	}
}

// pingEvery is the interval that applies now.
func (s *service) pingEvery() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.samples.PingFailures > 0 && time.Since(s.samples.SilentSince) < patience {
		return min(s.target.Timings.Recheck, s.target.Timings.PingInterval)
	}
	return s.target.Timings.PingInterval
}

// slowLoop runs the performance and the pool layer.
func (p *Prober) slowLoop(ctx context.Context, s *service) {
	if !wait(ctx, rand.N(spread), nil) {
		return
	}
	last := [2]time.Time{}
	for {
		t := s.current()
		jobs := [...]struct {
			every time.Duration
			on    bool
			do    func()
		}{
			{t.Timings.InfoInterval, !t.Off.Performance && s.answers(), func() { p.readInfo(ctx, s, t.Timings.InfoTimeout) }},
			{t.Timings.PoolInterval, !t.Off.Pool, func() { p.checkPool(ctx, s, t.Timings.PoolTimeout) }},
		}
		next := time.Now().Add(t.Timings.InfoInterval)
		for i, j := range jobs {
			if now := time.Now(); now.Sub(last[i]) >= j.every {
				last[i] = now
				if j.on {
					j.do()
				}
			}
			if due := last[i].Add(j.every); due.Before(next) {
				next = due
			}
		}
		if !wait(ctx, time.Until(next), s.slow) {
			return
		}
	}
}

// surveyLoop looks things up in the data where that is asked for: at once, and each interval.
func (p *Prober) surveyLoop(ctx context.Context, s *service) {
	if !wait(ctx, rand.N(spread), nil) {
		return
	}
	for {
		o := s.current().Collect.Survey
		every := o.Interval
		switch role := s.role(); {
		case !o.on() || !s.answers():
		case o.ReplicasOnly && role == "":
			every = min(unitRetry, every) // the first INFO is on its way
		case o.ReplicasOnly && role == "master":
			s.keepSurvey(o, nil)
		default:
			s.survey(ctx, o)
		}
		if !wait(ctx, every, s.resurvey) {
			return
		}
	}
}

// role is what Redis last said of itself; "" when it never did.
func (s *service) role() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		return ""
	}
	return s.known.Role
}

func (p *Prober) checkPool(ctx context.Context, s *service, timeout time.Duration) {
	checkCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if pool := s.link.check(checkCtx); ctx.Err() == nil {
		s.recordPool(pool)
	}
}

// answers reports whether asking for INFO makes sense: nobody says that Redis does not answer.
func (s *service) answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.samples.PingFailures == 0
}

// unitLoop reads the unit when the watch has not told of it for an interval, at once when a PING was lost or there is no watch, and
// soon after a failed read. At the start the watch goes first: on a host with many units, asking twice is asking too much.
func (p *Prober) unitLoop(ctx context.Context, s *service) {
	every := min(headStart, s.current().Timings.UnitTimeout)
	for {
		asked := kicked(ctx, every, s.unit)
		if ctx.Err() != nil {
			return
		}
		t := s.current()
		every = t.Timings.UnitInterval
		if t.Off.Systemd {
			continue
		}
		if fresh := s.unitAge(); !asked && fresh < every {
			every -= fresh
			continue
		}
		if r := p.readUnit(ctx, s); r.Class != health.ClassNone {
			every = s.unitRetryAfter(every)
		}
	}
}

// kicked pauses as wait does, and reports whether a kick ended the pause.
func kicked(ctx context.Context, d time.Duration, kick <-chan struct{}) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-kick:
		return true
	case <-ctx.Done():
	case <-t.C:
	}
	return false
}

// unitAge is how old the last good read of the unit is; very old when there is none.
func (s *service) unitAge() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.samples.Unit.OK() {
		return math.MaxInt64
	}
	return time.Since(s.samples.Unit.At)
}

// unitRetryAfter is the wait after a failed read: short until the threshold says that it is no accident.
func (s *service) unitRetryAfter(every time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.samples.UnitFailures < max(1, s.target.Thresholds.UnitFailures) {
		return min(unitRetry, every)
	}
	return min(every, staleFactor*unitRetry)
}

// watchUnit takes in systemd's own word of each change.
func (p *Prober) watchUnit(ctx context.Context, s *service) {
	for {
		if watchCtx, id, on := s.beginWatch(ctx); on {
			err := p.opt.Units.WatchUnit(watchCtx, id, s.recordUnit)
			if watchCtx.Err() == nil {
				p.opt.Logger.Warn().Err(err).Str("service", id).Dur("again_after", rewatch).Msg("unit changes cannot be watched; the unit is read each interval")
				s.kick(s.unit)
			}
			s.endWatch()
		}
		if !wait(ctx, rewatch, s.rewatch) {
			return
		}
	}
}

// beginWatch returns the context of a watch of the unit, which ends when the systemd layer is switched off; on tells whether it is on.
func (s *service) beginWatch(ctx context.Context) (watchCtx context.Context, id string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target.Off.Systemd {
		return nil, "", false
	}
	watchCtx, s.unwatch = context.WithCancel(ctx)
	return watchCtx, s.target.ID, true
}

func (s *service) endWatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch()
	s.unwatch = nil
}
