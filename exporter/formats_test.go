package exporter

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

func TestOpenMetricsKeepsTheNames(t *testing.T) {
	t.Parallel()
	_, base := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, "redis-7.0"), Collect{})}})
	_, text := get(t, base+"/probe?target=redis", "Accept", "application/openmetrics-text;version=1.0.0")
	for _, want := range []string{
		"# TYPE redis_total_error_replies unknown\n", "redis_total_error_replies{service=\"redis\"} ",
		"# TYPE redis_commands_processed counter\n", "redis_commands_processed_total{service=\"redis\"} ", "# EOF\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if strings.Contains(text, "redis_total_error_replies_total") {
		t.Error("a counter was renamed")
	}
}

func TestProtobufCarriesStartTimes(t *testing.T) {
	t.Parallel()
	_, base := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, "redis-7.0"), Collect{})}})
	accept := "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
	_, body := get(t, base+"/probe?target=redis", "Accept", accept)
	d := expfmt.NewDecoder(strings.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	seen := 0
	for {
		var mf dto.MetricFamily
		err := d.Decode(&mf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if mf.GetName() == "redis_commands_processed_total" || mf.GetName() == "redis_commands_total" {
			seen++
			if at := mf.GetMetric()[0].GetCounter().GetCreatedTimestamp(); at.GetSeconds() != 1700000000 {
				t.Errorf("%s began at %v", mf.GetName(), at)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d of the families seen", seen)
	}
}

// TestOwnDurationsAreNativeAndClassic reads the page as a Prometheus with native histograms does, and as one without.
func TestOwnDurationsAreNativeAndClassic(t *testing.T) {
	t.Parallel()
	_, base := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, "redis-7.0"), Collect{})}})
	get(t, base+"/metrics")
	res, err := http.Get(base + "/metrics") //nolint:noctx // ends with the test
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("who asks for nothing gets %q", got)
	}
	_, body := get(t, base+"/metrics", "Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited")
	d := expfmt.NewDecoder(strings.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var mf dto.MetricFamily
		if err := d.Decode(&mf); err != nil {
			t.Fatalf("the family is not there: %v", err)
		}
		if mf.GetName() != metric.ScrapeDuration {
			continue
		}
		h := mf.GetMetric()[0].GetHistogram()
		if len(h.GetBucket()) == 0 || h.Schema == nil || len(h.GetPositiveSpan()) == 0 || h.GetCreatedTimestamp().GetSeconds() == 0 {
			t.Errorf("%+v", h)
		}
		return
	}
}

func TestCompression(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip;q=0.5": true, "gzip;q=0": false, "gzip; q=0.0": false, "identity": false, "*": true, "br": false,
	} {
		if got := acceptsGzip(header); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	e := &Exporter{opt: Options{Logger: zerolog.Nop()}}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	e.respond(w, r, func() ([]*dto.MetricFamily, error) {
		p := newPage("a")
		p.gauge(famUp, 1)
		return merge([]*page{p}), nil
	})
	z, err := gzip.NewReader(bytes.NewReader(w.Body.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !strings.Contains(string(text), `redis_up{service="a"} 1`) {
		t.Errorf("%v %s", err, text)
	}
}

func TestGatherTroubleStillPublishesTheRest(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := &Exporter{opt: Options{Logger: zerolog.New(&log)}}
	w := httptest.NewRecorder()
	e.respond(w, httptest.NewRequest(http.MethodGet, "/metrics", nil), func() ([]*dto.MetricFamily, error) {
		p := newPage("a")
		p.gauge(famUp, 1)
		return merge([]*page{p}), errors.New("one collector failed")
	})
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "redis_up") || !strings.Contains(log.String(), "one collector failed") {
		t.Errorf("%d %s %s", w.Code, w.Body, log.String())
	}
}

// TestPagesAreConsistent lets the registry's own checks, which a scrape leaves out, go over whole pages: no sample twice, no
// family with two types, no bad name.
func TestPagesAreConsistent(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"redis-7.0", "redis-6.2-replica", "redis-8.0", "valkey-8.1", "sentinel-7.0", "cluster-7.0"} {
		tg := goldenTarget(fakeServer(t, name), Collect{AllConfig: true, SentinelPeers: true, Clients: true})
		e, _ := runExporter(t, Options{Targets: []Target{tg}, Units: &fakeUnits{read: goldenUnit()}})
		if _, err := e.prober.Look(t.Context(), "redis"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			gather := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
				own, err := e.registry.Gather()
				return join(merge(e.scrapeAll(t.Context(), selection{redis: true})), own), err
			})
			if _, err := (prometheus.Gatherers{gather}).Gather(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	fam := func(name string) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Metric: []*dto.Metric{{}}}
	}
	got := join([]*dto.MetricFamily{fam("a"), fam("c"), fam("d")}, []*dto.MetricFamily{fam("b"), fam("c"), fam("e")})
	names := ""
	for _, mf := range got {
		names += mf.GetName()
	}
	if names != "abcde" || len(got[2].GetMetric()) != 2 {
		t.Errorf("%s %v", names, got)
	}
}

func TestUnknownFamilyIsAMistake(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a name that is in no table was accepted")
		}
	}()
	familyOf("redis_nothing")
}
