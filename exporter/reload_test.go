package exporter

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

// TestReloadLeavesNoGap adds and removes a service while another one is scraped: it must be up on every page.
func TestReloadLeavesNoGap(t *testing.T) {
	t.Parallel()
	a, b := startRedis(t), startRedis(t)
	stays, comes := target(a), target(b)
	stays.Timings.PingTimeout, comes.Timings.PingTimeout = 5*time.Second, 5*time.Second
	comes.ID = "comes"
	e, base := runExporter(t, Options{Targets: []Target{stays}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				scrapePage(t, base+"/metrics").want(t, 1, "redis_up", "service", "redis")
			}
		})
	}
	for i := range 20 {
		targets := []Target{stays}
		if i%2 == 0 {
			targets = append(targets, comes)
		}
		if err := e.Prober().SetTargets(targets); err != nil {
			t.Fatal(err)
		}
		want := i%2 == 0
		until(t, "the other service comes and goes", func() bool {
			_, ok := scrapePage(t, base+"/metrics").value("redis_up", "service", "comes")
			return ok == want
		})
	}
	cancel()
	wg.Wait()
}

// TestReloadKeepsWhatStays reloads the same services, made anew as a configuration file makes them, and thresholds that differ: the
// connections, the counters and what is known must stay.
func TestReloadKeepsWhatStays(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	_, port, _ := net.SplitHostPort(freeAddr(t))
	r := startRedis(t, "--requirepass", "secret", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no")
	made := func(warning int64) Target {
		tg := target(r)
		tg.Addr = "127.0.0.1:" + port
		tg.Credentials = func() (string, string) { return "", "secret" }
		tg.TLS = &tls.Config{RootCAs: pool.Clone(), MinVersion: tls.VersionTLS12}
		tg.Timings = Timings{PingInterval: time.Hour, PingTimeout: 5 * time.Second, PoolInterval: time.Hour, InfoInterval: time.Hour} // only scrapes connect
		tg.Thresholds.MemoryWarning = warning
		return tg
	}
	e, base := runExporter(t, Options{Targets: []Target{made(1 << 40)}})
	until(t, "it is healthy and measured", func() bool {
		v, _ := e.Prober().View("redis")
		return v.Verdict.Status == health.Healthy && v.LastKnownInfo != nil
	})
	before, _ := e.Prober().View("redis")
	connected := func() float64 {
		s := scrapePage(t, base+"/metrics")
		s.want(t, 1, "redis_up")
		n, _ := s.value("redis_connections_received_total")
		return n
	}
	connected() // the second connection, for the scrape
	first := connected()
	for i := range 10 {
		if err := e.Prober().SetTargets([]Target{made(1<<40 + int64(i))}); err != nil {
			t.Fatal(err)
		}
		if n := connected(); n != first {
			t.Fatalf("%g connections instead of %g: the reload dropped those it could keep", n, first)
		}
	}
	if v, _ := e.Prober().View("redis"); v.LastKnownInfo == nil || v.LastPong.Before(before.LastPong) {
		t.Errorf("what was known is gone: %+v", v)
	}
	if err := e.Prober().SetTargets([]Target{made(1)}); err != nil {
		t.Fatal(err)
	}
	scrapePage(t, base+"/metrics").want(t, 1, "redis_health_threshold", "signal", "memory_bytes", "severity", "warning")
	if v, _ := e.Prober().View("redis"); !v.Verdict.Has(health.CodeMemoryWarning) {
		t.Errorf("a new threshold is not in force at once: %+v", v.Verdict)
	}
}

// TestRemovedServiceIsSilent counts on nothing being told of a service after SetTargets took it away, and on no series of it.
func TestRemovedServiceIsSilent(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	goes := target(r)
	goes.ID = "goes"
	units := &fakeUnits{read: running()}
	var gone atomic.Bool
	told := make(chan struct{}, 1)
	e, base := runExporter(t, Options{Targets: []Target{target(r), goes}, Units: units, OnChange: func(v, _ health.View) {
		if v.Service != "goes" {
			return
		}
		if gone.Load() {
			t.Error("told of a service that is gone")
		}
		select {
		case told <- struct{}{}:
		default:
		}
	}})
	<-told
	for i := range 20 { // changes all the time
		units.set([]health.UnitRead{running(), unitIn("failed", "failed")}[i%2], true)
	}
	if err := e.Prober().SetTargets([]Target{target(r)}); err != nil {
		t.Fatal(err)
	}
	gone.Store(true)
	units.set(running(), true)
	if _, body := get(t, base+"/metrics"); strings.Contains(body, `service="goes"`) {
		t.Error("a series of the removed service is left")
	}
	if code, _ := get(t, base+"/probe?target=goes"); code != http.StatusNotFound {
		t.Errorf("a probe of the removed service is answered with %d", code)
	}
}

// TestIntervalsChangeWithReload shortens intervals of an hour: nothing may wait for the old ones to pass.
func TestIntervalsChangeWithReload(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.do("SET", "counted", "1")
	slow := target(r)
	slow.Timings = Timings{
		PingInterval: time.Hour, PingTimeout: 5 * time.Second, Recheck: time.Hour, UnitInterval: time.Hour, InfoInterval: time.Hour, PoolInterval: time.Hour,
	}
	slow.Off = health.Off{Systemd: true}
	units := &fakeUnits{read: running()}
	var last atomic.Pointer[health.View]
	p := runProber(t, ProberOptions{Targets: []Target{slow}, Units: units, OnChange: func(v, _ health.View) { last.Store(&v) }})
	until(t, "it is healthy and measured", func() bool {
		v, _ := p.View("redis")
		return v.Verdict.Status == health.Healthy && v.LastKnownInfo != nil
	})
	if units.reads > 0 || len(units.watches) > 0 {
		t.Error("the unit is looked at, though that layer is off")
	}
	before, _ := p.View("redis")
	fast := target(r)
	fast.Timings.UnitInterval = 50 * time.Millisecond
	fast.Collect.Survey = Survey{CountKeys: []KeyPattern{{0, "coun*"}}}
	if err := p.SetTargets([]Target{fast}); err != nil {
		t.Fatal(err)
	}
	until(t, "all layers are looked at again", func() bool {
		v, _ := p.View("redis")
		return v.LastPong.After(before.LastPong) && v.LastKnownInfo.At.After(before.LastKnownInfo.At) && v.Samples.Unit.OK() && v.Samples.Pool != nil
	})
	s, _ := p.find("redis")
	until(t, "the survey was made", func() bool { return s.lastSurvey() != nil })
	units.set(unitIn("failed", "failed"), true)
	until(t, "the unit is watched", func() bool { v, _ := p.View("redis"); return v.Verdict.Has(health.CodeUnitFailed) })
	if err := p.SetTargets([]Target{slow}); err != nil {
		t.Fatal(err)
	}
	if s.lastSurvey() != nil {
		t.Error("what a survey found is published, though nothing is to be looked up any more")
	}
	if v, _ := p.View("redis"); v.Verdict.Has(health.CodeUnitFailed) {
		t.Errorf("the systemd layer speaks, though it is off: %+v", v.Verdict)
	}
	until(t, "the unit is not watched any more", func() bool { return units.watching.Load() == 0 })
}

func TestPasswordChangesWithReload(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "old")
	tg := target(r)
	with := func(password string) Target {
		tg.Credentials = func() (string, string) { return "", password }
		return tg
	}
	e, base := runExporter(t, Options{Targets: []Target{with("old")}})
	scrapePage(t, base+"/metrics").want(t, 1, "redis_ping_reply", "reply", "pong")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := resp.Dial(ctx, resp.Options{Addr: r.addr, Password: "old"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Do(ctx, []string{"CONFIG", "SET", "requirepass", "new"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Prober().SetTargets([]Target{with("wrong")}); err != nil { // drops the connection that was let in before
		t.Fatal(err)
	}
	s := scrapePage(t, base+"/metrics")
	s.want(t, 1, "redis_ping_reply", "reply", "noauth")
	s.want(t, 1, "redis_up")
	s.want(t, 1, "redis_exporter_last_scrape_error", "err", "noauth")
	s.want(t, 0, "redis_collector_success", "collector", "info")
	if err := e.Prober().SetTargets([]Target{with("new")}); err != nil {
		t.Fatal(err)
	}
	scrapePage(t, base+"/metrics").want(t, 1, "redis_ping_reply", "reply", "pong")
}

func TestKilledRedisIsRefusedNotUnreachable(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Timings.PingInterval = time.Hour
	_, base := runExporter(t, Options{Targets: []Target{tg}})
	scrapePage(t, base+"/metrics").want(t, 1, "redis_up")
	r.kill() // the kept connection breaks: only a new one tells that nobody listens
	s := scrapePage(t, base+"/metrics")
	s.want(t, 0, "redis_up")
	s.want(t, 1, "redis_ping_reply", "reply", "refused")
	r.start()
	scrapePage(t, base+"/metrics").want(t, 1, "redis_up")
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.listener.Close() }()
	h, err := e.handler()
	if err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]int{"/-/ready": http.StatusServiceUnavailable, "/-/healthy": http.StatusOK} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/-/reload", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("reload where there is none: %d", w.Code)
	}
}
