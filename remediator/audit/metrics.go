package audit

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics.
const (
	metricRecords  = "redis_medic_audit_records_total"
	metricFailures = "redis_medic_audit_write_failures_total"
	metricDuration = "redis_medic_audit_append_duration_seconds"
	metricLastSeq  = "redis_medic_audit_last_seq"
)

type metrics struct {
	records  *prometheus.CounterVec
	failures *prometheus.CounterVec
	duration prometheus.Histogram
	lastSeq  prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricRecords, Help: "Audit records written durably, by phase.",
		}, []string{"phase"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricFailures, Help: "Failed writes of audit records, by sink.",
		}, []string{"sink"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricDuration, Help: "Time from the request to append an audit record to its durability in seconds.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		lastSeq: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metricLastSeq, Help: "Sequence number of the newest audit record.",
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
	return []prometheus.Collector{m.records, m.failures, m.duration, m.lastSeq}
}
