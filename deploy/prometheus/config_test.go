package prometheus_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/dashboards"
	"github.com/redis-medic/redis-medic/deploy/prometheus"
)

func TestRenderReplacesEveryValue(t *testing.T) {
	got, err := prometheus.Render(prometheus.Settings{Self: "10.0.0.1:1", Alertmanager: "10.0.0.1:2", Exporter: "10.0.0.1:3", Rules: "/r/*.yml"})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(got), "127.0.0.1:") || strings.Contains(string(got), "- ../..") {
		t.Errorf("a default is still there:\n%s", got)
	}
	for _, there := range []string{`["10.0.0.1:1"]`, `["10.0.0.1:2"]`, `["10.0.0.1:3"]`, `- /r/*.yml`} {
		if !strings.Contains(string(got), there) {
			t.Errorf("%q is missing", there)
		}
	}
}

func TestRenderKeepsTheFileWithoutSettings(t *testing.T) {
	got, err := prometheus.Render(prometheus.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("prometheus.yml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the file changed although nothing was to be replaced")
	}
}

func TestRenderRefusesAValueThatWouldBreakTheFile(t *testing.T) {
	if _, err := prometheus.Render(prometheus.Settings{Self: "x\"\nglobal:"}); err == nil {
		t.Error("a quote and a line break were accepted")
	}
}

func TestPromtoolAcceptsTheFile(t *testing.T) {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Fatal("promtool is needed: apt-get install prometheus")
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "config", "prometheus.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}

// grafana replaces what Grafana would.
var grafana = strings.NewReplacer("$service", ".+", "$__rate_interval", "20s")

// mayBeEmpty are panels that show nothing while all is well, or on a master.
var mayBeEmpty = []string{"annotation Alerts", "Holds", "Restarts", "Failed API requests", "Circuit breaker"}

// TestARealPrometheusAnswersRulesAndPanels runs the shipped configuration against a real Redis, watched by two exporters as a
// redundant pair would: an expression that works with one may find too many series with two.
func TestARealPrometheusAnswersRulesAndPanels(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	redis, kill := startRedis(t)
	u := newUnits()
	s := startPrometheus(t, startExporter(t, redis, u), startExporter(t, redis, u))
	until(t, "INFO was scraped twice", 30*time.Second, func() bool {
		r, err := s.query(`min(count_over_time(redis_memory_used_bytes[1m])) >= 3 and min(count_over_time(redis_up[1m])) >= 6`, false)
		return err == nil && len(r.Data.Result) == 1
	})
	t.Run("every expression is executed without an error", func(t *testing.T) { s.askAll(t) })
	t.Run("the panels have something to show", func(t *testing.T) { s.askPanels(t) })
	t.Run("all is well", func(t *testing.T) {
		if got := s.firing(t); len(got) != 0 {
			t.Errorf("alerts fire on a healthy Redis: %v", got)
		}
	})
	t.Run("a dead Redis fires one alert for the ladder", func(t *testing.T) {
		kill()
		u.become("failed", "failed")
		died := time.Now()
		until(t, "RedisDown fires", 15*time.Second, func() bool { return slices.Contains(s.firing(t), "RedisDown ladder") })
		t.Logf("seen by Prometheus after %s", time.Since(died).Round(10*time.Millisecond))
		for _, a := range s.firing(t) {
			if strings.HasSuffix(a, " ladder") && a != "RedisDown ladder" {
				t.Errorf("%s fires for the same cause", a)
			}
		}
		s.readAnnotations(t)
	})
}

// askAll puts every expression to Prometheus, now and over a span.
func (s *server) askAll(t *testing.T) {
	for where, expr := range expressions(t) {
		for _, span := range []bool{false, true} {
			if _, err := s.query(grafana.Replace(expr), span); err != nil {
				t.Errorf("%s: %v\n%s", where, err, expr)
			}
		}
	}
}

func (s *server) askPanels(t *testing.T) {
	queries, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	filled := map[string]bool{}
	for _, q := range queries {
		r, err := s.query(grafana.Replace(q.Expr), true)
		if err != nil {
			t.Errorf("panel %s: %v", q.Panel, err)
		}
		filled[q.Panel] = filled[q.Panel] || len(r.Data.Result) > 0
	}
	for panel, any := range filled {
		if !any && !slices.Contains(mayBeEmpty, panel) {
			t.Errorf("panel %q shows nothing", panel)
		}
	}
}

// firing lists the alerts about the service that fire now, as "name remediation". Those that the made-up families of the other
// components cause are left out.
func (s *server) firing(t *testing.T) []string {
	t.Helper()
	r, err := s.query(`ALERTS{alertstate="firing", service="redis", alertname!~"RedisRecovery.*"}`, false)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range r.Data.Result {
		out = append(out, x.Metric["alertname"]+" "+x.Metric["remediation"])
	}
	slices.Sort(out)
	return out
}

// readAnnotations checks that the templates of all alerts that fire came out as text.
func (s *server) readAnnotations(t *testing.T) {
	var list struct {
		Data struct {
			Alerts []struct{ Labels, Annotations map[string]string }
		}
	}
	if err := s.get("/api/v1/alerts", nil, &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Data.Alerts) == 0 {
		t.Fatal("no alerts")
	}
	for _, a := range list.Data.Alerts {
		for name, words := range a.Annotations {
			if strings.Contains(words, "<") || strings.Contains(words, "{{") || words == "" {
				t.Errorf("%s: annotation %s is %q", a.Labels["alertname"], name, words)
			}
		}
		if a.Labels["alertname"] == "RedisDown" && !strings.HasSuffix(a.Annotations["dashboard_url"], "?var-service=redis") {
			t.Errorf("RedisDown links to %s", a.Annotations["dashboard_url"])
		}
	}
}
