package exporter

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/exporter/metric"
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
		Name: metric.ExporterBuildInfo, Help: metric.Help(metric.ExporterBuildInfo),
		ConstLabels: prometheus.Labels{"version": version, "commit_sha": "", "build_date": "", "golang_version": runtime.Version()},
	})
	build.Set(1)
	m := &selfMetrics{
		scrapes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metric.ExporterScrapes, Help: metric.Help(metric.ExporterScrapes),
		}),
		duration: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: metric.ExporterDuration, Help: metric.Help(metric.ExporterDuration),
		}),
		rejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metric.ExporterRejected, Help: metric.Help(metric.ExporterRejected),
		}),
		byKind: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metric.ScrapeDuration, Help: metric.Help(metric.ScrapeDuration),
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
