package audit

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

type metrics struct {
	records  *prometheus.CounterVec
	failures *prometheus.CounterVec
	duration prometheus.Histogram
	lastSeq  prometheus.Gauge

	forwardFailures prometheus.Counter
	forwardLag      prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metric.AuditRecords, Help: metric.Help(metric.AuditRecords),
		}, []string{"phase"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metric.AuditWriteFailures, Help: metric.Help(metric.AuditWriteFailures),
		}, []string{"sink"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metric.AuditAppendDuration, Help: metric.Help(metric.AuditAppendDuration),
			Buckets:                     []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
			NativeHistogramBucketFactor: 1.1,
		}),
		lastSeq: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.AuditLastSeq, Help: metric.Help(metric.AuditLastSeq),
		}),
		forwardFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metric.AuditForwardFailures, Help: metric.Help(metric.AuditForwardFailures),
		}),
		forwardLag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.AuditForwardLag, Help: metric.Help(metric.AuditForwardLag),
		}),
	}
	for _, phase := range phases {
		m.records.WithLabelValues(string(phase))
	}
	for _, sink := range []string{sinkStore, sinkFile, sinkCheckpoint} {
		m.failures.WithLabelValues(sink)
	}
	return m
}

var phases = []Phase{PhaseIntent, PhaseOutcome, PhaseDenied, PhaseSystem}

// count counts a record. A phase outside the closed list must not make a new series.
func (m *metrics) count(p Phase) {
	if !slices.Contains(phases, p) {
		p = "other"
	}
	m.records.WithLabelValues(string(p)).Inc()
}

// Collectors returns the metrics of the log, for a registry.
func (l *Log) Collectors() []prometheus.Collector {
	m := l.metrics
	return []prometheus.Collector{m.records, m.failures, m.duration, m.lastSeq, m.forwardFailures, m.forwardLag}
}
