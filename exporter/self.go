package exporter

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// selfMetrics are the exporter's own, under the names redis_exporter has for them.
type selfMetrics struct {
	all      []prometheus.Collector
	scrapes  prometheus.Counter
	duration prometheus.Summary
	rejected prometheus.Counter
	byKind   *prometheus.HistogramVec
}

func newSelfMetrics(version string) *selfMetrics {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "redis_exporter_build_info", Help: "The build of the exporter. Always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit_sha": "", "build_date": "", "golang_version": runtime.Version()},
	})
	build.Set(1)
	m := &selfMetrics{
		scrapes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "redis_exporter_scrapes_total", Help: "How often a Redis was scraped.",
		}),
		duration: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "redis_exporter_scrape_duration_seconds", Help: "How long the scrapes of a Redis took.",
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "redis_target_scrape_request_errors_total", Help: "Requests for a target that is not configured, or that came when too many were in flight.",
		}),
		byKind: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "redis_medic_scrape_duration_seconds", Help: "How long it took to answer a request for metrics.",
			Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"handler"}),
	}
	for _, h := range []string{"metrics", "probe"} {
		m.byKind.WithLabelValues(h)
	}
	m.all = []prometheus.Collector{build, m.scrapes, m.duration, m.rejected, m.byKind}
	return m
}

// Describe implements prometheus.Collector.
func (m *selfMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *selfMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}
