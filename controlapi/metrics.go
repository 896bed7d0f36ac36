package controlapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

const component = "controlapi"

// metrics are the API's own. They are served by the exporter's listener, not by the API.
type metrics struct {
	requests  *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	logins    *prometheus.CounterVec
	audits    prometheus.Counter
	panics    prometheus.Counter
	websocket []prometheus.Collector
}

func newMetrics(hub *live.Hub) *metrics {
	labels := prometheus.Labels{"component": component}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metric.HTTPRequests, ConstLabels: labels, Help: metric.Help(metric.HTTPRequests),
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metric.HTTPDuration, ConstLabels: labels, Help: metric.Help(metric.HTTPDuration),
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60}, NativeHistogramBucketFactor: 1.1,
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: metric.HTTPInFlight, ConstLabels: labels, Help: metric.Help(metric.HTTPInFlight),
		}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metric.Logins, Help: metric.Help(metric.Logins),
		}, []string{"result"}),
		audits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metric.HTTPAuditFailures, ConstLabels: labels, Help: metric.Help(metric.HTTPAuditFailures),
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metric.HTTPPanics, ConstLabels: labels, Help: metric.Help(metric.HTTPPanics),
		}),
	}
	for _, result := range []string{"success", "failure", "backoff"} {
		m.logins.WithLabelValues(result)
	}
	stat := func(name string, counter bool, value func(live.Stats) float64) {
		read := func() float64 { return value(hub.Stats()) }
		if counter {
			m.websocket = append(m.websocket, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: metric.Help(name)}, read))
			return
		}
		m.websocket = append(m.websocket, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: metric.Help(name)}, read))
	}
	stat(metric.WebSocketClients, false,
		func(s live.Stats) float64 { return float64(s.Clients) })
	stat(metric.WebSocketEvents, true,
		func(s live.Stats) float64 { return float64(s.Published) })
	stat(metric.WebSocketSlowClients, true,
		func(s live.Stats) float64 { return float64(s.Slow) })
	stat(metric.WebSocketRefused, true,
		func(s live.Stats) float64 { return float64(s.Refused) })
	return m
}

// answered counts one request. A code of 101 is an event stream: its length is not a response time.
func (m *metrics) answered(method, route string, code int, took time.Duration) {
	m.requests.WithLabelValues(method, route, codeText(code)).Inc()
	if code != 101 {
		m.duration.WithLabelValues(method, route).Observe(took.Seconds())
	}
}

func codeText(code int) string {
	if code == 200 {
		return "200"
	}
	return strconv.Itoa(code)
}

// Collectors returns the API's metrics, for the exporter to serve.
func (a *API) Collectors() []prometheus.Collector {
	m := a.metrics
	return append([]prometheus.Collector{m.requests, m.duration, m.inFlight, m.logins, m.audits, m.panics}, m.websocket...)
}
