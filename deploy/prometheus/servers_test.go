package prometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/deploy/prometheus"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// start runs a program until the test ends and returns it.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed: see make deps", name)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if t.Failed() {
			if words, err := os.ReadFile(log.Name()); err == nil {
				t.Logf("%s said:\n%s", name, words)
			}
		}
	})
	return cmd
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until waits for a condition and fails the test when it does not come true in time.
func until(t *testing.T, what string, limit time.Duration, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

// startRedis starts a real redis-server and returns its address and a way to end it.
func startRedis(t *testing.T) (addr string, stop func()) {
	t.Helper()
	addr = freeAddr(t)
	host, port, _ := net.SplitHostPort(addr)
	cmd := start(t, "redis-server", "--bind", host, "--port", port, "--dir", t.TempDir(), "--maxmemory", "1gb", "--save", "")
	until(t, "redis-server listens", 10*time.Second, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr, func() { _ = cmd.Process.Kill() }
}

// units is systemd as the test wants it.
type units struct {
	mu      sync.Mutex
	state   health.Unit
	changed []func(health.UnitRead)
}

func newUnits() *units {
	return &units{state: health.Unit{
		Name: "redis-server.service", Type: "notify", LoadState: "loaded", ActiveState: "active", SubState: "running", MainPID: 1,
		Result: "success", ActiveEnter: time.Now(),
	}}
}

func (u *units) read() health.UnitRead { return health.UnitRead{At: time.Now(), Unit: u.state} }

func (u *units) ReadUnit(context.Context, string) health.UnitRead {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read()
}

func (u *units) WatchUnit(ctx context.Context, _ string, changed func(health.UnitRead)) error {
	u.mu.Lock()
	u.changed = append(u.changed, changed)
	now := u.read()
	u.mu.Unlock()
	changed(now)
	<-ctx.Done()
	return nil
}

func (u *units) become(active, sub string) {
	u.mu.Lock()
	u.state.ActiveState, u.state.SubState, u.state.MainPID = active, sub, 0
	r, changed := u.read(), u.changed
	u.mu.Unlock()
	for _, c := range changed {
		c(r)
	}
}

// rest publishes the families of the other components: one sample each, growing with every scrape.
type rest struct {
	mu sync.Mutex
	n  float64
}

// labelValues are values that expressions select.
var labelValues = map[string]string{
	"service": "redis", "component": "controlapi", "code": "200", "route": "/api/services", "method": "GET", "state": "running",
	"reason": "maintenance", "level": "standard", "result": "success", "phase": "intent", "sink": "store",
}

func (c *rest) Describe(chan<- *client.Desc) {} // unchecked: the families are data

func (c *rest) Collect(ch chan<- client.Metric) {
	c.mu.Lock()
	c.n++
	n := c.n
	c.mu.Unlock()
	one := func(name string, kind metric.Type, value float64, labels ...string) {
		values := make([]string, len(labels))
		for i, l := range labels {
			values[i] = labelValues[l]
		}
		desc := client.NewDesc(name, "Of another component.", labels, nil)
		switch kind {
		case metric.Counter:
			ch <- client.MustNewConstMetric(desc, client.CounterValue, n, values...)
		case metric.Histogram:
			ch <- client.MustNewConstHistogram(desc, uint64(n), n, map[float64]uint64{0.1: uint64(n / 2), 1: uint64(n)}, values...)
		default:
			ch <- client.MustNewConstMetric(desc, client.GaugeValue, value, values...)
		}
	}
	now := float64(time.Now().Unix())
	for _, d := range metric.All() {
		switch {
		case strings.HasSuffix(d.Name, "_timestamp_seconds") && strings.HasPrefix(d.Name, "redis_medic_"):
			one(d.Name, d.Type, now)
		case d.Name == metric.MedicManualIntervention || d.Name == metric.ServiceHold || d.Name == metric.MedicBreakerState:
			one(d.Name, d.Type, 0, append([]string{"service"}, d.Labels...)...)
		case d.Name == metric.ServiceDesiredState:
			one(d.Name, d.Type, 1, append([]string{"service"}, d.Labels...)...)
		case strings.HasPrefix(d.Name, "redis_medic_webhook_"):
			one(d.Name, d.Type, 1, d.Labels...)
		case strings.HasPrefix(d.Name, "redis_medic_"):
			one(d.Name, d.Type, 1, append([]string{"service"}, d.Labels...)...)
		}
	}
	one("redis_medic_http_requests_total", metric.Counter, 0, "component", "method", "route", "code")
	one("redis_medic_http_request_duration_seconds", metric.Histogram, 0, "component", "method", "route")
	one("redis_medic_websocket_clients", metric.Gauge, 3)
	one("redis_medic_audit_records_total", metric.Counter, 0, "phase")
	one("redis_medic_config_last_reload_successful", metric.Gauge, 1)
}

// startExporter runs our exporter on the service "redis" and returns its address.
func startExporter(t *testing.T, redis string, u *units) string {
	t.Helper()
	e, err := exporter.New(exporter.Options{
		Listen: "127.0.0.1:0", Units: u, HostStatus: func(string) (bool, bool) { return true, true },
		Extra: []client.Collector{&rest{}}, Version: "test", Logger: zerolog.Nop(),
		Targets: []exporter.Target{{
			ID: "redis", Addr: redis, Unit: "redis-server.service",
			Thresholds: health.Thresholds{
				PingFailures: 3, UnitFailures: 2, SlowPing: 100 * time.Millisecond, SlowPingCount: 3, MemoryWarning: 3 << 30,
				MemoryCritical: 4 << 30, MemoryLimitRatio: 0.9, CPUWarning: 70, CPUCritical: 90, ConnectionsWarning: 8000,
				ConnectionsCritical: 9500, ConnectionsRatio: 0.9,
			},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("exporter: %v", err)
		}
	})
	return e.Addr().String()
}

// server is a real Prometheus with our configuration.
type server struct {
	t    *testing.T
	base string
}

// startPrometheus runs the shipped configuration with these exporters as targets.
func startPrometheus(t *testing.T, exporters ...string) *server {
	t.Helper()
	rules, err := filepath.Abs("../../alerts/rules")
	if err != nil {
		t.Fatal(err)
	}
	addr := freeAddr(t)
	config, err := prometheus.Render(prometheus.Settings{
		Self: addr, Alertmanager: freeAddr(t), Exporter: exporters[0], Rules: rules + "/*.yml",
	})
	if err != nil {
		t.Fatal(err)
	}
	list := strings.Join(exporters, `", "`)
	config = []byte(strings.ReplaceAll(string(config), `"`+exporters[0]+`"`, `"`+list+`"`))
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "prometheus", "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr,
		"--log.level=warn")
	s := &server{t: t, base: "http://" + addr}
	until(t, "Prometheus is ready", 30*time.Second, func() bool {
		r, err := http.Get(s.base + "/-/ready")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	})
	return s
}

// result is what Prometheus's API answers, of an instant or a range query.
type result struct {
	Status, Error string
	Warnings      []string
	Data          struct {
		Result []struct{ Metric map[string]string }
	}
}

func (s *server) get(path string, params url.Values, into any) error {
	r, err := http.Get(s.base + path + "?" + params.Encode())
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// query asks for the value now, or over the last minute when span is true, and returns an error for anything but a success.
func (s *server) query(expr string, span bool) (result, error) {
	path, params := "/api/v1/query", url.Values{"query": {expr}}
	if span {
		now := time.Now()
		path = "/api/v1/query_range"
		params.Set("start", fmt.Sprint(now.Add(-time.Minute).Unix()))
		params.Set("end", fmt.Sprint(now.Unix()))
		params.Set("step", "5s")
	}
	var r result
	if err := s.get(path, params, &r); err != nil {
		return r, err
	}
	if r.Status != "success" || len(r.Warnings) > 0 {
		return r, fmt.Errorf("%s: %s %v", r.Status, r.Error, r.Warnings)
	}
	return r, nil
}
