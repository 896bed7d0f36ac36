package exporter

import (
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

func bareService(change ...func(*Target)) *service {
	t := Target{ID: "redis", Addr: "127.0.0.1:1", Thresholds: health.Thresholds{
		PingFailures: 3, UnitFailures: 2, SlowPing: 100 * time.Millisecond, SlowPingCount: 2,
	}}
	for _, f := range change {
		f(&t)
	}
	return newService(t.withDefaults(), true)
}

var base = time.Now()

func at(seconds float64) time.Time { return base.Add(time.Duration(seconds * float64(time.Second))) }

// lose records a PING that was sent at one moment and given up at another.
func lose(s *service, sent, end float64) {
	s.recordPing(health.Ping{At: at(sent), Reply: health.ReplyTimeout, Latency: at(end).Sub(at(sent)), Connected: true}, at(end), true, true)
}

func pong(s *service, sent float64, latency time.Duration, timed bool) {
	s.recordPing(health.Ping{At: at(sent), Reply: health.ReplyPong, Latency: latency, Connected: true}, at(sent).Add(latency), timed, true)
}

func TestPingsThatWaitedTogetherCountOnce(t *testing.T) {
	t.Parallel()
	s := bareService()
	lose(s, 0, 1)
	lose(s, 0.4, 1.2) // saw the same silence
	if s.samples.PingFailures != 1 {
		t.Errorf("%d failures after one silence of a second", s.samples.PingFailures)
	}
	lose(s, 1, 2)
	lose(s, 1.1, 2.1)
	lose(s, 2, 3)
	if s.samples.PingFailures != 3 || !s.samples.SilentSince.Equal(at(0)) {
		t.Errorf("%d failures, silent since %s", s.samples.PingFailures, s.samples.SilentSince.Sub(base))
	}
	pong(s, 3.5, time.Millisecond, true)
	if s.samples.PingFailures != 0 || !s.samples.SilentSince.IsZero() {
		t.Error("a PONG ends the silence")
	}
}

func TestLateOutcomesOfOlderPingsSayNothing(t *testing.T) {
	t.Parallel()
	s := bareService()
	pong(s, 4, time.Millisecond, true)
	lose(s, 0, 5) // sent before the PONG, given up after it
	if s.samples.PingFailures != 0 || s.samples.Ping.Reply != health.ReplyPong {
		t.Errorf("%+v", s.samples)
	}
	s.recordPing(health.Ping{At: at(6), Reply: health.NoReplyYet}, at(6), true, true)
	if s.samples.Ping.Reply != health.ReplyPong {
		t.Error("a PING that was broken off changed what is known")
	}
}

func TestPingThatDidNotWaitLongEnough(t *testing.T) {
	t.Parallel()
	s := bareService()
	s.recordPing(health.Ping{At: at(0), Reply: health.ReplyTimeout}, at(0.1), false, false)
	if s.samples.PingFailures != 0 || s.samples.Ping.Reply != health.NoReplyYet {
		t.Errorf("%+v", s.samples)
	}
}

func TestSlowPings(t *testing.T) {
	t.Parallel()
	s := bareService()
	pong(s, 0, 150*time.Millisecond, true)
	pong(s, 1, 200*time.Millisecond, true)
	if !s.verdict.Has(health.CodeSlow) {
		t.Errorf("%+v", s.verdict)
	}
	pong(s, 2, 900*time.Millisecond, false) // the latency of a whole scrape is no PING's
	if s.samples.Ping.Latency != 200*time.Millisecond || s.samples.SlowPings != 2 {
		t.Errorf("%+v", s.samples)
	}
	pong(s, 3, time.Millisecond, true)
	if s.samples.SlowPings != 0 || s.verdict.Has(health.CodeSlow) {
		t.Errorf("%+v", s.verdict)
	}
}

func TestOneFailedUnitReadKeepsTheWordOfBefore(t *testing.T) {
	t.Parallel()
	s := bareService()
	good := running()
	good.At = at(0)
	s.recordUnit(good)
	s.recordUnit(health.UnitRead{At: at(1), Class: health.ClassTimeout})
	if !s.samples.Unit.OK() || s.samples.UnitFailures != 1 {
		t.Errorf("%+v", s.samples)
	}
	s.recordUnit(health.UnitRead{At: at(2), Class: health.ClassTimeout})
	if s.samples.Unit.OK() {
		t.Error("two failed reads leave no word")
	}
	old := unitIn("failed", "failed")
	old.At = at(1.5)
	s.recordUnit(old)
	if s.samples.Unit.OK() {
		t.Error("a read from before replaced a newer one")
	}
	good.At = at(3)
	s.recordUnit(good)
	if !s.samples.Unit.OK() || s.samples.UnitFailures != 0 || !s.samples.UnitSince.Equal(at(3)) {
		t.Errorf("%+v", s.samples)
	}
	s.recordUnit(health.UnitRead{Class: health.ClassNone, Unit: good.Unit})
	if s.samples.Unit.At.IsZero() {
		t.Error("a read without a time has none")
	}
}

func TestInfoIsForgottenWhenTheServiceGoesDown(t *testing.T) {
	t.Parallel()
	s := bareService()
	yes := true
	s.recordInfo(&health.Info{At: at(0), RunID: "a", CPU: time.Second, RDBConfigured: &yes}, "")
	s.recordInfo(&health.Info{At: at(1), RunID: "a", CPU: 2 * time.Second}, "")
	if s.samples.Previous == nil || !s.samples.Previous.At.Equal(at(0)) {
		t.Errorf("%+v", s.samples.Previous)
	}
	if r := s.samples.Info.RDBConfigured; r == nil || !*r {
		t.Error("what CONFIG said of this process is known further on")
	}
	s.recordInfo(&health.Info{At: at(0.5), RunID: "a"}, "")
	if !s.samples.Info.At.Equal(at(1)) {
		t.Error("an older sample replaced a newer one")
	}
	s.recordInfo(&health.Info{At: at(30), RunID: "a", CPU: 10 * time.Second}, "")
	v, _ := s.view()
	if v.CPUPercent == nil || *v.CPUPercent != 30 {
		t.Errorf("CPU %v", v.CPUPercent)
	}
	for _, after := range []float64{30.1, 30.2, 41, 41.1} { // scrapes and looks close to each other
		s.recordInfo(&health.Info{At: at(after), RunID: "a", CPU: 10 * time.Second}, "")
		if span := at(after).Sub(s.samples.Previous.At); span < cpuSpan {
			t.Errorf("a rate over %s", span)
		}
	}
	s.recordInfo(&health.Info{At: at(42), RunID: "b"}, "")
	if s.samples.Previous != nil {
		t.Error("a rate over two processes")
	}
	s.recordInfo(nil, "NOPERM")
	if s.samples.InfoErr != "NOPERM" {
		t.Error("no words")
	}
	down := unitIn("inactive", "dead")
	down.At = at(43)
	s.recordUnit(down)
	if s.samples.Info != nil || s.known == nil || s.samples.InfoErr != "" {
		t.Errorf("%+v", s.samples)
	}
}

func TestPoolTrouble(t *testing.T) {
	t.Parallel()
	s := bareService()
	s.recordPool(health.Pool{At: at(0), Err: "no answer"})
	if s.errors.sum(at(0)) != 1 || s.samples.Pool.OK {
		t.Errorf("%+v", s.samples.Pool)
	}
}

func TestViewGrowsStaleByItself(t *testing.T) {
	t.Parallel()
	s := bareService()
	s.recordPing(health.Ping{At: time.Now().Add(-time.Hour), Reply: health.ReplyPong}, time.Now().Add(-time.Hour), true, true)
	if v, _ := s.view(); !v.Verdict.Has(health.CodeNotMeasured) {
		t.Errorf("%+v", v.Verdict)
	}
}

func TestErrorsOfTheLastHour(t *testing.T) {
	t.Parallel()
	var h hourly
	start := time.Unix(1_700_000_000, 0)
	for i := range 90 {
		h.add(start.Add(time.Duration(i) * time.Minute))
	}
	if n := h.sum(start.Add(89 * time.Minute)); n != 60 {
		t.Errorf("%d in an hour of one a minute", n)
	}
	if n := h.sum(start.Add(99 * time.Minute)); n != 50 {
		t.Errorf("%d ten minutes later", n)
	}
	h.add(start) // a clock that went back loses nothing
	if n := h.sum(start.Add(99 * time.Minute)); n != 51 {
		t.Errorf("%d", n)
	}
	if n := h.sum(start.Add(24 * time.Hour)); n != 0 {
		t.Errorf("%d a day later", n)
	}
}

func TestStartTimeDoesNotWaver(t *testing.T) {
	t.Parallel()
	s := bareService()
	if s.startedAt("a", 1000) != 1000 || s.startedAt("a", 1001) != 1000 || s.startedAt("b", 1001) != 1001 || s.startedAt("b", 2000) != 2000 {
		t.Error("start times")
	}
}
