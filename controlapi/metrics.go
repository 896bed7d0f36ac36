package controlapi

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/controlapi/live"
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
			Name: "redis_medic_http_requests_total", ConstLabels: labels,
			Help: "HTTP requests answered, by method, route and status code.",
		}, []string{"method", "route", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "redis_medic_http_request_duration_seconds", ConstLabels: labels,
			Help:    "Time from the first byte of a request to the end of its answer, by method and route. Event streams are not counted.",
			Buckets: []float64{0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "redis_medic_http_requests_in_flight", ConstLabels: labels, Help: "HTTP requests being answered.",
		}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "redis_medic_logins_total", Help: "Logins with a password, by result (success, failure, backoff).",
		}, []string{"result"}),
		audits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "redis_medic_http_audit_failures_total", ConstLabels: labels,
			Help: "Audit records of the control API that could not be written.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "redis_medic_http_panics_total", ConstLabels: labels, Help: "Requests that ended in a programming error.",
		}),
	}
	for _, result := range []string{"success", "failure", "backoff"} {
		m.logins.WithLabelValues(result)
	}
	stat := func(name, help string, counter bool, value func(live.Stats) float64) {
		read := func() float64 { return value(hub.Stats()) }
		if counter {
			m.websocket = append(m.websocket, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, read))
			return
		}
		m.websocket = append(m.websocket, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	stat("redis_medic_websocket_clients", "Event stream clients connected now.", false,
		func(s live.Stats) float64 { return float64(s.Clients) })
	stat("redis_medic_websocket_events_total", "Events published on the event stream.", true,
		func(s live.Stats) float64 { return float64(s.Published) })
	stat("redis_medic_websocket_slow_clients_total", "Event stream clients closed because they did not keep up.", true,
		func(s live.Stats) float64 { return float64(s.Slow) })
	stat("redis_medic_websocket_refused_total", "Event stream clients refused because of a cap.", true,
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
