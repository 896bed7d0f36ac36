package exporter

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// sameText holds our text of a family against that of package expfmt, in both formats.
func sameText(t *testing.T, mf *dto.MetricFamily) {
	t.Helper()
	for _, open := range []bool{false, true} {
		var want bytes.Buffer
		var err error
		if open {
			_, err = expfmt.MetricFamilyToOpenMetrics(&want, mf)
		} else {
			_, err = expfmt.MetricFamilyToText(&want, mf)
		}
		got, ourErr := text{open: open}.family(nil, mf)
		if (err == nil) != (ourErr == nil) {
			t.Fatalf("%s: %v, package expfmt says %v", mf.GetName(), ourErr, err)
		}
		if err == nil && want.String() != string(got) {
			t.Errorf("OpenMetrics %v (-expfmt +ours):\n%s", open, cmp.Diff(want.String(), string(got)))
		}
	}
}

func TestTextIsWhatExpfmtWrites(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "redis-6.2-replica", "redis-8.0", "valkey-8.1", "sentinel-7.0", "cluster-7.0", "modules-8.0"} {
		e, _ := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, name), Collect{AllConfig: true, SentinelPeers: true, Clients: true, Modules: true})}})
		own, err := e.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		all := join(merge(e.scrapeAll(t.Context(), selection{redis: true})), own)
		if len(all) < 50 {
			t.Fatalf("%s: %d families", name, len(all))
		}
		for _, mf := range all {
			sameText(t, mf)
		}
	}
}

// TestTextOfWhatIsRare has the families that are left to package expfmt, and the edges of those that are not.
func TestTextOfWhatIsRare(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "with_exemplar_total", Help: "h"})
	c.(prometheus.ExemplarAdder).AddWithExemplar(1, prometheus.Labels{"id": "1"})
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "hist", Help: "back\\slash \"quote\"\nline", Buckets: []float64{1, math.Inf(+1)}})
	h.(prometheus.ExemplarObserver).ObserveWithExemplar(0.5, prometheus.Labels{"id": "2"})
	plain := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "plain", Buckets: []float64{0.25, 1e9}, NativeHistogramBucketFactor: 1.1})
	plain.Observe(1e6)
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "summary", Objectives: map[float64]float64{0.5: 0.05}})
	dotted := prometheus.NewGauge(prometheus.GaugeOpts{Name: "a.dotted.name"})
	untyped := prometheus.NewUntypedFunc(prometheus.UntypedOpts{Name: "untyped"}, func() float64 { return 7 })
	old := prometheus.NewCounter(prometheus.CounterOpts{Name: "counter_without_suffix", ConstLabels: prometheus.Labels{"l": "\\ \" \n ü"}})
	at := prometheus.NewMetricWithTimestamp(time.Unix(1, 5e6), prometheus.MustNewConstMetric(prometheus.NewDesc("timed", "h", nil, nil), prometheus.GaugeValue, 3))
	r.MustRegister(c, h, plain, s, dotted, untyped, old, one{at})
	families, err := r.Gather()
	if err != nil || len(families) != 8 {
		t.Fatal(err, len(families))
	}
	for _, mf := range families {
		sameText(t, mf)
	}
	name := "nothing"
	if _, err := (text{}).family(nil, &dto.MetricFamily{Name: &name}); err == nil {
		t.Error("a family without samples was encoded")
	}
}

// one is a collector of one metric.
type one struct{ m prometheus.Metric }

func (o one) Describe(ch chan<- *prometheus.Desc) { ch <- o.m.Desc() }
func (o one) Collect(ch chan<- prometheus.Metric) { ch <- o.m }

func FuzzText(f *testing.F) {
	for _, v := range []float64{0, 1, -1, 0.1, 1e6, 999999, 1e20, 1e21, 123456789, -1e6, 1e-7, math.MaxInt64, math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)} {
		f.Add("value\\ \"\n", v, uint64(5))
	}
	f.Fuzz(func(t *testing.T, label string, v float64, n uint64) {
		service, help, total := "service", label, "a_total"
		labels := []*dto.LabelPair{{Name: &service, Value: &label}}
		for kind, m := range map[dto.MetricType]*dto.Metric{
			dto.MetricType_GAUGE:     {Label: labels, Gauge: &dto.Gauge{Value: &v}},
			dto.MetricType_COUNTER:   {Label: labels, Counter: &dto.Counter{Value: &v}},
			dto.MetricType_HISTOGRAM: {Histogram: &dto.Histogram{SampleCount: &n, SampleSum: &v, Bucket: []*dto.Bucket{{UpperBound: &v, CumulativeCount: &n}}}},
			dto.MetricType_SUMMARY:   {Label: labels, Summary: &dto.Summary{SampleCount: &n, SampleSum: &v, Quantile: []*dto.Quantile{{Quantile: &v, Value: &v}}}},
		} {
			sameText(t, &dto.MetricFamily{Name: &total, Help: &help, Type: kind.Enum(), Metric: []*dto.Metric{m}})
		}
	})
}
