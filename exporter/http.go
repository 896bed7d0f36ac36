package exporter

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/exporter-toolkit/web"
)

// maxOffset and offsetShare say how much of Prometheus's patience is kept for encoding and the way back.
const (
	maxOffset   = 500 * time.Millisecond
	offsetShare = 5
)

func (e *Exporter) handler() (http.Handler, error) {
	landing, err := web.NewLandingPage(web.LandingConfig{
		Name: "redis-medic exporter", Description: "Health and metrics of Redis services", Version: e.opt.Version,
		Links: []web.LandingLinks{
			{Address: "/metrics", Text: "Metrics", Description: "all services"},
			{Address: "/sd", Text: "Targets", Description: "for http_sd_configs of Prometheus"},
			{Address: "/-/healthy", Text: "Healthy"}, {Address: "/-/ready", Text: "Ready"},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("landing page: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", landing)
	mux.HandleFunc("GET /metrics", e.limited("metrics", e.serveMetrics))
	mux.HandleFunc("GET /probe", e.limited("probe", e.serveProbe))
	mux.HandleFunc("GET /sd", e.serveDiscovery)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "redis-medic exporter is healthy") })
	mux.HandleFunc("GET /-/ready", e.serveReady)
	mux.HandleFunc("POST /-/reload", e.serveReload)
	return mux, nil
}

func say(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = fmt.Fprintln(w, text)
}

func (e *Exporter) serveReady(w http.ResponseWriter, _ *http.Request) {
	if !e.ready.Load() {
		say(w, http.StatusServiceUnavailable, "redis-medic exporter is not ready")
		return
	}
	say(w, http.StatusOK, "redis-medic exporter is ready")
}

func (e *Exporter) serveReload(w http.ResponseWriter, r *http.Request) {
	if e.opt.Reload == nil {
		say(w, http.StatusNotFound, "reload is not available")
		return
	}
	if err := e.opt.Reload(r.Context()); err != nil {
		say(w, http.StatusInternalServerError, "reload failed: "+err.Error())
		return
	}
	say(w, http.StatusOK, "reloaded")
}

// limited bounds the requests in flight, takes their time and gives them Prometheus's own deadline.
func (e *Exporter) limited(kind string, f http.HandlerFunc) http.HandlerFunc {
	took := e.self.byKind.WithLabelValues(kind)
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case e.inFlight <- struct{}{}:
			defer func() { <-e.inFlight }()
		default:
			e.self.rejected.Inc()
			say(w, http.StatusServiceUnavailable, "too many scrapes in flight")
			return
		}
		started := time.Now()
		ctx, cancel := context.WithTimeout(r.Context(), e.patience(r))
		defer cancel()
		f(w, r.WithContext(ctx))
		took.Observe(time.Since(started).Seconds())
	}
}

// patience is how long a scrape may take: what Prometheus says, less an offset.
func (e *Exporter) patience(r *http.Request) time.Duration {
	d := e.opt.ScrapeTimeout
	if s, err := strconv.ParseFloat(r.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), 64); err == nil && s > 0 && s < 3600 {
		d = time.Duration(s * float64(time.Second))
	}
	return d - min(maxOffset, d/offsetShare)
}

func (e *Exporter) serveMetrics(w http.ResponseWriter, r *http.Request) {
	want, err := wanted(r)
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	var made []*page
	defer func() { release(made) }()
	e.respond(w, r, func() ([]*dto.MetricFamily, error) {
		own, err := e.registry.Gather()
		made = e.scrapeAll(r.Context(), want)
		return join(merge(made), own), err
	})
}

func (e *Exporter) serveProbe(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("target")
	s, ok := e.prober.find(id)
	if !ok {
		e.self.rejected.Inc()
		if id == "" {
			say(w, http.StatusBadRequest, "the parameter target is missing: it is the id of a configured service")
			return
		}
		say(w, http.StatusNotFound, "no such service")
		return
	}
	want, err := wanted(r)
	if err != nil {
		say(w, http.StatusBadRequest, err.Error())
		return
	}
	if r.URL.Query().Get("debug") == "true" {
		e.serveDebug(w, r, s, want)
		return
	}
	var made []*page
	defer func() { release(made) }()
	e.respond(w, r, func() ([]*dto.MetricFamily, error) {
		made = []*page{e.scrape(r.Context(), s, want, nil)}
		return merge(made), nil
	})
}

// serveDiscovery lists the services for Prometheus's http_sd_configs: each is scraped by /probe under its own instance label.
func (e *Exporter) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, id := range e.prober.Services() {
		t, ok := e.prober.Target(id)
		if !ok {
			continue
		}
		groups = append(groups, group{[]string{r.Host}, map[string]string{
			"__metrics_path__": "/probe", "__param_target": id, "instance": t.Addr,
		}})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(groups)
}
