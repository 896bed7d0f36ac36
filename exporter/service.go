package exporter

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

const (
	// cpuSpan is the least distance between the two INFO samples of a CPU rate: several scrapes a second must not make it noise.
	cpuSpan = 10 * time.Second
	// rejudge is how old a verdict may be before View evaluates again, so that samples grow stale without a probe.
	rejudge = time.Second
)

// service is what is known of one target. Probes, scrapes and looks feed it from several goroutines.
type service struct {
	link  link
	dirty chan struct{} // wakes the announcer; holds one
	ping  chan struct{} // asks for a PING now; holds one
	unit  chan struct{} // asks for a unit read now; holds one
	// lostOne tells the loop that another interval applies: a PING was lost, perhaps in a scrape. Holds one.
	lostOne chan struct{}
	// These tell the other loops that a reload changed their settings; each holds one.
	slow, resurvey, rewatch chan struct{}

	mu        sync.Mutex // guards the fields below
	target    Target
	samples   health.Samples
	verdict   health.Verdict
	candidate *health.Info // the next sample that rates are taken against
	known     *health.Info
	lastPong  time.Time
	errors    hourly
	lastLost  time.Time // when the last PING that counted as lost was given up
	traits    traits
	found     *surveyed // nil: no survey so far
	startRun  string    // the run id that startTime belongs to
	startTime float64
	seen      summary            // of the last verdict
	unwatch   context.CancelFunc // ends the watch of the unit; nil while there is none
}

func newService(t Target, watched bool) *service {
	s := &service{
		dirty: make(chan struct{}, 1), ping: make(chan struct{}, 1), unit: make(chan struct{}, 1),
		lostOne: make(chan struct{}, 1), slow: make(chan struct{}, 1), resurvey: make(chan struct{}, 1), rewatch: make(chan struct{}, 1),
	}
	s.samples.Ping.Reply = health.NoReplyYet
	s.configure(t, watched)
	return s
}

// configure puts a (changed) target into effect. watched tells whether there is anybody to read units.
func (s *service) configure(t Target, watched bool) {
	t.Off.Systemd = t.Off.Systemd || !watched
	s.mu.Lock()
	before := s.target
	sameSurvey := before.Collect.Survey.same(t.Collect.Survey)
	s.target, s.samples.Off = t, t.Off
	if !sameSurvey {
		s.found = nil
	}
	if t.Off.Systemd && s.unwatch != nil {
		s.unwatch()
	}
	s.judge(time.Now())
	s.mu.Unlock()
	s.link.reset(func() resp.Options {
		o := resp.Options{Addr: t.Addr, TLS: t.TLS}
		if t.Credentials != nil {
			o.User, o.Password = t.Credentials()
		}
		return o
	}, before.sameWay(t))
	if before.ID == "" { // its loops have not begun
		return
	}
	if before.Timings != t.Timings || before.Off != t.Off {
		s.kick(s.lostOne)
		s.kick(s.slow)
		s.kick(s.unit)
		s.kick(s.rewatch)
	}
	if !sameSurvey {
		s.kick(s.resurvey)
	}
}

func (s *service) current() Target {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target
}

// recordPing takes in the outcome of one PING that was over at end. timed tells whether its latency is that of a PING alone.
// counts tells whether it waited long enough for a missing answer to count against the threshold. Samples may arrive in any
// order: one that was sent before the newest known says nothing any more.
func (s *service) recordPing(p health.Ping, end time.Time, timed, counts bool) {
	if p.Reply == health.NoReplyYet {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.At.Before(s.samples.Ping.At) {
		return
	}
	if p.Reply.NoConnectivity() {
		if !s.lost(p, end, counts) {
			return
		}
	} else {
		s.samples.PingFailures, s.samples.SilentSince = 0, time.Time{}
	}
	if p.Reply != health.ReplyPong {
		s.errors.add(end)
		s.samples.SlowPings = 0
		s.samples.Ping = p
		s.judge(end)
		return
	}
	s.lastPong = end
	slow := s.target.Thresholds.SlowPing
	switch {
	case !timed && s.samples.Ping.Reply == health.ReplyPong:
		p.Latency = s.samples.Ping.Latency
	case !timed:
	case slow > 0 && p.Latency > slow:
		s.samples.SlowPings++
	default:
		s.samples.SlowPings = 0
	}
	s.samples.Ping = p
	s.judge(end)
}

// lost counts a PING without an answer, and reports whether it says anything new. PINGs that waited at the same time, or nearly,
// saw the same silence and count once.
func (s *service) lost(p health.Ping, end time.Time, counts bool) bool {
	if !counts {
		return false
	}
	spacing := s.target.Timings.Recheck / 2
	if s.samples.PingFailures > 0 && (p.At.Before(s.lastLost.Add(-spacing/2)) || end.Sub(s.lastLost) < spacing) {
		return false
	}
	if s.samples.PingFailures == 0 {
		s.samples.SilentSince = p.At
		s.kick(s.unit) // whether systemd knows more cannot wait for the next check
	}
	s.samples.PingFailures++
	s.lastLost = end
	if s.samples.PingFailures >= max(1, s.target.Thresholds.PingFailures) {
		s.forgetInfo()
	}
	s.kick(s.lostOne)
	return true
}

// forgetInfo drops the samples that a verdict may use; the last known ones stay.
func (s *service) forgetInfo() {
	s.samples.Info, s.samples.Previous, s.samples.InfoErr, s.candidate = nil, nil, "", nil
}

// recordUnit takes in a unit read. A read that failed replaces a good one only when the threshold is reached: one lost packet does
// not take systemd's word away.
func (s *service) recordUnit(r health.UnitRead) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.At.IsZero() {
		r.At = time.Now()
	}
	if r.At.Before(s.samples.Unit.At) {
		return
	}
	if r.Class != health.ClassNone {
		s.errors.add(r.At)
		s.samples.UnitFailures++
		if s.samples.UnitFailures >= max(1, s.target.Thresholds.UnitFailures) || s.samples.Unit.At.IsZero() {
			s.samples.Unit = r
		}
		s.judge(time.Now())
		return
	}
	before := s.samples.Unit
	if !before.OK() || stateOf(before.Unit) != stateOf(r.Unit) {
		s.samples.UnitSince = r.At
		s.kick(s.ping)
	}
	s.samples.Unit, s.samples.UnitFailures = r, 0
	if r.Unit.Down() {
		if !before.OK() || !before.Unit.Down() {
			s.errors.add(r.At)
		}
		s.forgetInfo()
	}
	s.judge(time.Now())
}

// recordInfo takes in an INFO sample, or the reason why there is none.
func (s *service) recordInfo(i *health.Info, words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i == nil {
		s.errors.add(time.Now())
		s.samples.InfoErr = capped(words)
		s.judge(time.Now())
		return
	}
	now := s.samples.Info
	if now != nil && i.At.Before(now.At) {
		return
	}
	if i.RDBConfigured == nil && s.known != nil && s.known.RunID == i.RunID {
		i.RDBConfigured = s.known.RDBConfigured
	}
	s.keepForRates(i)
	s.samples.Info, s.samples.InfoErr, s.known = i, "", i
	s.judge(i.At)
}

// keepForRates chooses the sample that rates are taken against: of the same process and, once there is one, at least cpuSpan older,
// however close to each other samples arrive. mu is held.
func (s *service) keepForRates(i *health.Info) {
	switch {
	case s.candidate == nil || s.candidate.RunID != i.RunID:
		s.samples.Previous, s.candidate = nil, i
	case s.samples.Previous == nil:
		s.samples.Previous = s.candidate
	case i.At.Sub(s.candidate.At) >= cpuSpan:
		s.samples.Previous, s.candidate = s.candidate, i
	}
}

func (s *service) recordPool(p health.Pool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !p.OK {
		s.errors.add(p.At)
	}
	s.samples.Pool = &p
	s.judge(p.At)
}

// judge evaluates again and wakes the announcer when something that matters has changed. mu is held.
func (s *service) judge(now time.Time) {
	s.verdict = health.Evaluate(s.samples, s.target.Thresholds, now)
	if sum := summarize(s.samples, s.verdict); sum != s.seen {
		s.seen = sum
		s.kick(s.dirty)
	}
}

func (s *service) kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// view is a copy of what is known. What its pointers and slices hold is never changed afterwards.
func (s *service) view() (health.View, summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.verdict.At) >= rejudge {
		s.judge(now)
	}
	v := health.View{
		Service: s.target.ID, Samples: s.samples, Verdict: s.verdict, LastPong: s.lastPong,
		ErrorsHour: s.errors.sum(now), LastKnownInfo: s.known,
	}
	if percent, known := health.CPUPercent(s.samples.Previous, s.samples.Info); known {
		v.CPUPercent = &percent
	}
	return v, s.seen
}

// unitState is the part of a unit whose change is an event.
type unitState struct {
	load, active, sub, result string
	pid                       int
}

func stateOf(u health.Unit) unitState {
	return unitState{u.LoadState, u.ActiveState, u.SubState, u.Result, u.MainPID}
}

// summary is what makes two views different for a listener: not every latency or byte.
type summary struct {
	status  health.Status
	reasons string
	checks  string
	reply   health.Reply
	class   health.ErrorClass
	unit    unitState
	info    bool
}

func summarize(s health.Samples, v health.Verdict) summary {
	var reasons, checks strings.Builder
	for _, r := range v.Reasons {
		reasons.WriteString(string(r.Code))
		if r.Hidden {
			reasons.WriteByte('-')
		}
		reasons.WriteByte(' ')
	}
	for _, c := range v.Checks {
		checks.WriteString(string(c.Status))
		checks.WriteByte(' ')
	}
	return summary{
		v.Status, reasons.String(), checks.String(), s.Ping.Reply, s.Unit.Class, stateOf(s.Unit.Unit), s.Info != nil,
	}
}

// hourly counts events of the last hour by the minute.
type hourly struct {
	minutes [60]int
	last    int64 // the minute of the newest count, since the epoch
}

func (h *hourly) advance(now time.Time) {
	m := now.Unix() / 60
	for n := min(m-h.last, 60); n > 0; n-- {
		h.minutes[(m-n+1)%60] = 0
	}
	h.last = max(m, h.last)
}

func (h *hourly) add(at time.Time) {
	h.advance(at)
	h.minutes[h.last%60]++
}

func (h *hourly) sum(now time.Time) int {
	h.advance(now)
	n := 0
	for _, c := range h.minutes {
		n += c
	}
	return n
}
