package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// runExporter starts an exporter on a free port and stops it with the test.
func runExporter(t testing.TB, opt Options) (*Exporter, string) {
	t.Helper()
	opt.Listen = "127.0.0.1:0" // the zero Logger is silent
	e, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	run(t, e)
	base := "http://" + e.Addr().String()
	until(t, "ready", func() bool { code, _ := get(t, base+"/-/ready"); return code == http.StatusOK })
	return e, base
}

// run runs an exporter until the test ends.
func run(t testing.TB, e *Exporter) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func get(t testing.TB, url string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

// scraped is one page, parsed.
type scraped map[string]*dto.MetricFamily

func scrapePage(t testing.TB, url string, header ...string) scraped {
	t.Helper()
	code, body := get(t, url, header...)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", url, code, body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	fams, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return fams
}

// value finds the sample of a family with the labels, given as name, value pairs.
func (s scraped) value(name string, labels ...string) (float64, bool) {
	mf := s[name]
	if mf == nil {
		return 0, false
	}
	for _, m := range mf.GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		match := true
		for i := 0; i+1 < len(labels); i += 2 {
			match = match && have[labels[i]] == labels[i+1]
		}
		if match {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + m.GetUntyped().GetValue(), true
		}
	}
	return 0, false
}

func (s scraped) want(t testing.TB, want float64, name string, labels ...string) {
	t.Helper()
	got, ok := s.value(name, labels...)
	if !ok || got != want {
		t.Errorf("%s%v is %v (present: %v), want %v", name, labels, got, ok, want)
	}
}

func TestMetricsOfTwoServicesOneFrozen(t *testing.T) {
	t.Parallel()
	good, bad := startRedis(t), startRedis(t)
	tg, tb := target(good), target(bad)
	tb.ID = "bad"
	tg.Timings.PingTimeout, tb.Timings.PingTimeout = 5*time.Second, 5*time.Second
	_, base := runExporter(t, Options{
		Targets: []Target{tg, tb}, Units: &fakeUnits{read: running()}, Version: "1.2.3",
		HostStatus: func(string) (bool, bool) { return true, true },
	})
	bad.signal(syscall.SIGSTOP)
	began := time.Now()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			s := scrapePage(t, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "2")
			s.want(t, 1, "redis_up", "service", "redis")
			s.want(t, 0, "redis_up", "service", "bad")
			s.want(t, 1, "redis_ping_reply", "service", "bad", "reply", "timeout")
			s.want(t, 1, "redis_ping_reply", "service", "redis", "reply", "pong")
			s.want(t, 0, "redis_ping_reply", "service", "redis", "reply", "timeout")
			s.want(t, 1, "redis_host_reachable", "service", "bad")
			s.want(t, 1, "systemd_unit_state", "service", "bad", "name", "redis-server.service", "type", "service", "state", "active")
			s.want(t, 0, "systemd_unit_state", "service", "bad", "state", "failed")
			s.want(t, 3, "redis_health_threshold", "service", "bad", "signal", "ping_failures", "severity", "critical")
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 4*time.Second { // one after the other they would take 4.8 s
		t.Errorf("concurrent scrapes beside a frozen Redis took %s", took)
	}
	began = time.Now()
	scrapePage(t, base+"/probe?target=redis").want(t, 1, "redis_up", "service", "redis")
	if took := time.Since(began); took > 4*time.Second { // the frozen one takes 5 s
		t.Errorf("the healthy target took %s", took)
	}
}

func TestScrapesAloneReachTheThreshold(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Timings.PingInterval, tg.Timings.Recheck = time.Hour, time.Millisecond
	tg.Timings.PingTimeout = 200 * time.Millisecond
	tg.Off.Connectivity = true // the loop stays silent; scrapes still feed the samples
	e, base := runExporter(t, Options{Targets: []Target{tg}, Units: &fakeUnits{read: running()}})
	r.signal(syscall.SIGSTOP)
	for range 3 {
		scrapePage(t, base+"/metrics")
	}
	v, _ := e.Prober().View("redis")
	if v.Samples.PingFailures < 3 {
		t.Errorf("%d failures after three scrapes", v.Samples.PingFailures)
	}
}

func TestHastyScrapeDoesNotCondemn(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Timings.PingInterval, tg.Timings.PingTimeout = time.Hour, 5*time.Second
	e, base := runExporter(t, Options{Targets: []Target{tg}})
	until(t, "first PING", func() bool { v, _ := e.Prober().View("redis"); return v.Samples.Ping.Reply == health.ReplyPong })
	r.signal(syscall.SIGSTOP)
	s := scrapePage(t, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "0.2")
	s.want(t, 0, "redis_up", "service", "redis")
	if v, _ := e.Prober().View("redis"); v.Samples.PingFailures != 0 {
		t.Errorf("a scrape in a hurry counted: %+v", v.Samples)
	}
}

func TestRefusedAndUnknownUnit(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	units := &fakeUnits{read: health.UnitRead{Class: health.ClassUnreachable, Err: "no route to host"}}
	e, base := runExporter(t, Options{Targets: []Target{target(r)}, Units: units})
	r.kill()
	until(t, "unknown", func() bool {
		return has(e.Prober(), health.CodeNoConnectivity) && has(e.Prober(), health.CodeHostUnreachable)
	})
	s := scrapePage(t, base+"/metrics")
	s.want(t, 0, "redis_up", "service", "redis")
	s.want(t, 1, "redis_ping_reply", "reply", "refused")
	s.want(t, 1, "redis_health_status", "status", "unknown")
	s.want(t, 1, "redis_health_reason", "code", "host_unreachable")
	s.want(t, 0, "systemd_unit_read_success")
	if _, ok := s["systemd_unit_state"]; ok {
		t.Error("the unit's state is not known, yet it is published")
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	var fail error
	e, base := runExporter(t, Options{Targets: []Target{target(r)}, Version: "1.2.3", MaxRequests: 1, Reload: func(context.Context) error { return fail }})
	for _, c := range []struct {
		path string
		code int
		has  string
	}{
		{"/", 200, "redis-medic exporter"}, {"/-/healthy", 200, "healthy"}, {"/-/ready", 200, "ready"},
		{"/probe", 400, "target is missing"}, {"/probe?target=127.0.0.1:1", 404, "no such service"},
		{"/probe?target=redis", 200, `redis_up{service="redis"} 1`}, {"/probe?target=redis&debug=true", 200, "PING: pong"},
		{"/probe?target=redis&collect[]=nonsense", 400, "unknown collector"}, {"/metrics?collect[]=nonsense", 400, "unknown collector"},
		{"/metrics", 200, "redis_exporter_build_info"}, {"/metrics?collect[]=health", 200, `redis_up{service="redis"} 1`},
		{"/metrics?collect[]=redis", 200, `redis_up{service="redis"} 1`},
		{"/-/reload", 405, ""}, {"/nothing", 404, ""},
	} {
		code, body := get(t, base+c.path)
		if code != c.code || !strings.Contains(body, c.has) {
			t.Errorf("GET %s: %d %.200s", c.path, code, body)
		}
	}
	if _, body := get(t, base+"/metrics", "Accept", "application/openmetrics-text;version=1.0.0"); !strings.HasSuffix(body, "# EOF\n") {
		t.Errorf("no OpenMetrics: ...%s", body[max(0, len(body)-100):])
	}
	for _, want := range []error{nil, errors.New("bad file")} {
		fail = want
		res, err := http.Post(base+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if (res.StatusCode == http.StatusOK) != (want == nil) {
			t.Errorf("reload with %v: %d", want, res.StatusCode)
		}
	}
	_, body := get(t, base+"/sd")
	var groups []struct {
		Targets []string
		Labels  map[string]string
	}
	if err := json.Unmarshal([]byte(body), &groups); err != nil || len(groups) != 1 || groups[0].Labels["__param_target"] != "redis" ||
		groups[0].Labels["instance"] != r.addr || groups[0].Targets[0] != e.Addr().String() {
		t.Errorf("/sd: %v %s", err, body)
	}
}

func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Timings.PingTimeout = 2 * time.Second
	e, base := runExporter(t, Options{Targets: []Target{tg}, MaxRequests: 1})
	r.signal(syscall.SIGSTOP)
	var wg sync.WaitGroup
	wg.Go(func() { get(t, base+"/metrics", "X-Prometheus-Scrape-Timeout-Seconds", "1") })
	until(t, "one in flight", func() bool { return len(e.inFlight) == 1 })
	if code, _ := get(t, base+"/metrics"); code != http.StatusServiceUnavailable {
		t.Errorf("the second of one allowed request got %d", code)
	}
	wg.Wait()
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]Options{
		"a bad target":            {Listen: "127.0.0.1:0", Targets: []Target{{}}},
		"a bad address":           {Listen: "127.0.0.1:99999"},
		"a missing web config":    {Listen: "127.0.0.1:0", WebConfigFile: "/nonexistent/web.yml"},
		"a collector given twice": {Listen: "127.0.0.1:0", Extra: twice()},
	} {
		if e, err := New(opt); err == nil {
			_ = e.listener.Close()
			t.Errorf("%s was accepted", name)
		}
	}
}

func twice() []prometheus.Collector {
	return []prometheus.Collector{newSelfMetrics("a"), newSelfMetrics("a")}
}
