package host

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// Metrics counts what clients do, for all hosts together; each client that is given one in its options appears under its host's name
// until it is closed. A nil Metrics counts nothing. It is a prometheus.Collector.
type Metrics struct {
	dials, failures *prometheus.CounterVec
	dialTime        prometheus.Histogram
	commandTime     *prometheus.HistogramVec

	mu      sync.Mutex // guards clients
	clients map[*Client]bool
}

const dialSuccess = "success"

// The classes that a dial, and a command, can fail with.
var (
	dialClasses    = []health.ErrorClass{health.ClassUnreachable, health.ClassAuth, health.ClassHostKey, health.ClassTimeout}
	commandClasses = append(dialClasses[:4:4], health.ClassDenied, health.ClassCommand)
)

// The kinds of session slots of a host.
const (
	kindRead = "read"
	kindAct  = "act"
)

var (
	descUp         = prometheus.NewDesc(metric.SSHUp, metric.Help(metric.SSHUp), []string{"host"}, nil)
	descBusUp      = prometheus.NewDesc(metric.SSHBusUp, metric.Help(metric.SSHBusUp), []string{"host"}, nil)
	descLastAnswer = prometheus.NewDesc(metric.SSHLastAnswer, metric.Help(metric.SSHLastAnswer), []string{"host"}, nil)
	descSessions   = prometheus.NewDesc(metric.SSHSessions, metric.Help(metric.SSHSessions), []string{"host", "kind"}, nil)
	descSlots      = prometheus.NewDesc(metric.SSHSessionsMax, metric.Help(metric.SSHSessionsMax), []string{"host", "kind"}, nil)
)

// NewMetrics makes a Metrics that knows no client yet.
func NewMetrics() *Metrics {
	histogram := func(name string, buckets []float64) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: metric.Help(name), Buckets: buckets, NativeHistogramBucketFactor: 1.1}
	}
	return &Metrics{
		dials:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric.SSHDials, Help: metric.Help(metric.SSHDials)}, []string{"host", "result"}),
		failures:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric.SSHCommandFailures, Help: metric.Help(metric.SSHCommandFailures)}, []string{"host", "class"}),
		dialTime:    prometheus.NewHistogram(histogram(metric.SSHDialDuration, []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10})),
		commandTime: prometheus.NewHistogramVec(histogram(metric.SSHCommandDuration, []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}), []string{"verb"}),
		clients:     map[*Client]bool{},
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.dials, m.failures, m.dialTime, m.commandTime} {
		c.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{descUp, descBusUp, descLastAnswer, descSessions, descSlots} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.dials, m.failures, m.dialTime, m.commandTime} {
		c.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for name, c := range m.byName() {
		gauge(descUp, flag(c.up()), name)
		gauge(descBusUp, flag(c.openBus() != nil), name)
		if at := c.Status().LastOK; !at.IsZero() {
			gauge(descLastAnswer, float64(at.UnixMilli())/1e3, name)
		}
		for kind, slots := range map[string]chan struct{}{kindRead: c.reads, kindAct: c.acts} {
			gauge(descSessions, float64(len(slots)), name, kind)
			gauge(descSlots, float64(cap(slots)), name, kind)
		}
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// byName returns one client per host name. During a reload two clients may have the same: the one that is not closed counts.
func (m *Metrics) byName() map[string]*Client {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make(map[string]*Client, len(m.clients))
	for c := range m.clients {
		if old := out[c.o.Name]; old == nil || !c.isClosed() {
			out[c.o.Name] = c
		}
	}
	return out
}

// add makes a client known. Its counters begin at zero: one that appears with its first increment has no increase.
func (m *Metrics) add(c *Client) {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.clients[c] = true
	m.mu.Unlock()
	m.dials.WithLabelValues(c.o.Name, dialSuccess)
	for _, class := range dialClasses {
		m.dials.WithLabelValues(c.o.Name, string(class))
	}
	for _, class := range commandClasses {
		m.failures.WithLabelValues(c.o.Name, string(class))
	}
}

// remove forgets a client, and its host's counters when no other client leads there.
func (m *Metrics) remove(c *Client) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.clients, c)
	for other := range m.clients {
		if other.o.Name == c.o.Name {
			return
		}
	}
	host := prometheus.Labels{"host": c.o.Name}
	m.dials.DeletePartialMatch(host)
	m.failures.DeletePartialMatch(host)
}

// dialled counts a dial.
func (m *Metrics) dialled(name string, took time.Duration, failure *Error) {
	if m == nil {
		return
	}
	result := dialSuccess
	if failure != nil {
		result = string(failure.Class)
	}
	m.dials.WithLabelValues(name, result).Inc()
	m.dialTime.Observe(took.Seconds())
}

// ran counts a command, or a read over the bus.
func (m *Metrics) ran(name string, verb Verb, took time.Duration, failure *Error) {
	if m == nil {
		return
	}
	m.commandTime.WithLabelValues(string(verb)).Observe(took.Seconds())
	if failure != nil {
		m.failures.WithLabelValues(name, string(failure.Class)).Inc()
	}
}
