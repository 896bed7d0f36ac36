package main

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

// TestEveryFamilyOfTheProgramIsDocumented looks at the page of all parts together: what is on it stands in the reference with the same
// help and type, and breaks no rule of names.
func TestEveryFamilyOfTheProgramIsDocumented(t *testing.T) {
	p := start(t)
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	until(t, "the host was dialled", func() bool {
		_, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics")
		return regexp.MustCompile(`redis_medic_ssh_dials_total\{host="redis",result="unreachable"\} [1-9]`).MatchString(body)
	})
	_, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]metric.Desc{}
	for _, d := range append(metric.All(), metric.Program()...) {
		known[d.Name] = d
	}
	own := regexp.MustCompile(`^(redis|systemd)_`)
	for name, mf := range families {
		if !own.MatchString(name) {
			continue
		}
		d, ok := known[name]
		if !ok {
			t.Errorf("%s stands in no table of exporter/metric: add it to program.go there, take its help from metric.Help, and run make gen", name)
			continue
		}
		if mf.GetHelp() != d.Help || !strings.EqualFold(mf.GetType().String(), d.Type.String()) {
			t.Errorf("%s is a %s, %q; the table says %s, %q", name, mf.GetType(), mf.GetHelp(), d.Type, d.Help)
		}
		for _, m := range mf.GetMetric() {
			for _, l := range m.GetLabel() {
				if n := l.GetName(); n != metric.LabelService && !slices.Contains(d.Labels, n) {
					t.Errorf("%s has a label %s that the table does not name", name, n)
				}
			}
		}
	}
	for _, d := range metric.Program() {
		if mf := families[d.Name]; mf == nil && !appearsLater[d.Name] {
			t.Errorf("%s is not on the page of a program that has just started: rates over it miss its beginning", d.Name)
		} else if mf != nil && mf.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has no type", d.Name)
		}
	}
	checkNames(t, body)
}

// appearsLater are families that cannot have a sample before something happened.
var appearsLater = map[string]bool{
	metric.SSHLastAnswer: true, metric.SSHCommandDuration: true, metric.HTTPRequests: true, metric.HTTPDuration: true,
	metric.CertificateEnd: true, // only with TLS
}

func checkNames(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !slices.ContainsFunc(metric.Unclean(), func(e metric.Exception) bool {
			return regexp.MustCompile(e.Names).MatchString(p.Metric) && strings.Contains(p.Text, e.Problem)
		}) {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}
