package remediator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// metrics are the remediator's own families. States are read from the services at scrape time; moments are counted.
type metrics struct {
	r *Remediator

	recoveries, attempts, skipped, held, incidents, operations *prometheus.CounterVec
	webhooks, alerts, reconciles, notices                      *prometheus.CounterVec
	detections                                                 *prometheus.CounterVec
	truncated                                                  prometheus.Counter
	rungs, outage                                              *prometheus.HistogramVec
	webhookTime                                                prometheus.Histogram
}

func counter(name string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: metric.Help(name)}, labels)
}

func histogram(name string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: metric.Help(name), Buckets: buckets, NativeHistogramBucketFactor: 1.1}, labels)
}

func newMetrics(r *Remediator) *metrics {
	seconds := []float64{0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 15, 30, 60, 120, 300}
	m := &metrics{
		r:           r,
		recoveries:  counter(metric.MedicRecoveries, "service", "level", "result"),
		attempts:    counter(metric.MedicRecoveryAttempts, "service", "level"),
		skipped:     counter(metric.MedicRungSkipped, "service", "level", "reason"),
		held:        counter(metric.MedicRecoveryHeld, "service", "reason"),
		incidents:   counter(metric.MedicIncidents, "service", "status"),
		operations:  counter(metric.MedicOperations, "service", "operation", "result"),
		webhooks:    counter(metric.MedicWebhookRequests, "code"),
		alerts:      counter(metric.MedicWebhookAlerts, "result"),
		reconciles:  counter(metric.MedicReconciles, "result"),
		detections:  counter(metric.MedicOwnDetections, "service", "why"),
		notices:     counter(metric.MedicNotices, "result"),
		truncated:   prometheus.NewCounter(prometheus.CounterOpts{Name: metric.MedicWebhookTruncated, Help: metric.Help(metric.MedicWebhookTruncated)}),
		rungs:       histogram(metric.MedicLadderStepDuration, seconds, "service", "level", "result"),
		outage:      histogram(metric.MedicOutageDuration, seconds, "service"),
		webhookTime: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metric.MedicWebhookDuration, Help: metric.Help(metric.MedicWebhookDuration), Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5}, NativeHistogramBucketFactor: 1.1}),
	}
	// A counter that appears with its first increment has no increase: rules would miss the first recovery.
	for _, u := range r.all() {
		for _, rung := range ladder.Rungs() {
			for _, result := range []string{"success", "failure"} {
				m.recoveries.WithLabelValues(u.id, string(rung), result)
			}
			m.attempts.WithLabelValues(u.id, string(rung))
		}
	}
	for _, result := range []string{"success", "failure"} {
		m.reconciles.WithLabelValues(result)
	}
	for _, result := range []string{"sent", "failed", "dropped"} {
		m.notices.WithLabelValues(result)
	}
	for _, result := range []string{"accepted", "duplicate", "ignored"} {
		m.alerts.WithLabelValues(result)
	}
	return m
}

// Collectors returns everything the remediator publishes, for the exporter's page.
func (r *Remediator) Collectors() []prometheus.Collector {
	m := r.metrics
	return []prometheus.Collector{m.recoveries, m.attempts, m.skipped, m.held, m.incidents, m.operations, m.webhooks, m.alerts,
		m.reconciles, m.notices, m.detections, m.truncated, m.rungs, m.outage, m.webhookTime, stateCollector{r}}
}

// stateCollector publishes the state of every service as it is at scrape time.
type stateCollector struct{ r *Remediator }

var (
	descDesired    = desc(metric.ServiceDesiredState, "service", "state")
	descHold       = desc(metric.ServiceHold, "service", "reason")
	descBreaker    = desc(metric.MedicBreakerState, "service", "state")
	descManual     = desc(metric.MedicManualIntervention, "service")
	descHeard      = desc(metric.MedicWebhookLast)
	descSilence    = desc(metric.MedicChainSilence)
	descReconciled = desc(metric.MedicReconcileLast)
)

func desc(name string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, metric.Help(name), labels, nil)
}

// Describe implements prometheus.Collector.
func (c stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descDesired, descHold, descBreaker, descManual, descHeard, descSilence, descReconciled} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, on bool, labels ...string) {
		v := 0.0
		if on {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for _, u := range c.r.all() {
		s, ok := c.r.State(u.id)
		if !ok {
			continue
		}
		gauge(descDesired, s.Desired.Running, s.Service, "running")
		gauge(descDesired, !s.Desired.Running, s.Service, "stopped")
		on := map[HoldCode]bool{}
		for _, h := range s.Holds {
			on[h.Code] = true
		}
		for _, code := range HoldCodes() {
			gauge(descHold, on[code], s.Service, string(code))
		}
		for _, p := range []breaker.Phase{breaker.Closed, breaker.Open, breaker.HalfOpen} {
			gauge(descBreaker, s.Breaker.Phase == p, s.Service, string(p))
		}
		gauge(descManual, s.ManualIntervention, s.Service)
	}
	spoke := c.r.began
	if at := c.r.heard.Load(); at > 0 {
		spoke = time.Unix(0, at)
	}
	ch <- prometheus.MustNewConstMetric(descSilence, prometheus.GaugeValue, max(time.Since(spoke), 0).Seconds())
	if at := c.r.heard.Load(); at > 0 {
		ch <- prometheus.MustNewConstMetric(descHeard, prometheus.GaugeValue, float64(at)/float64(time.Second))
	}
	if at := c.r.reconciled.Load(); at > 0 {
		ch <- prometheus.MustNewConstMetric(descReconciled, prometheus.GaugeValue, float64(at)/float64(time.Second))
	}
}
