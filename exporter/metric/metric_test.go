package metric

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryFamilyIsListedOnceAndDescribed(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^(redis|systemd)_[a-z0-9_]+$`)
	seen := map[string]bool{}
	for _, d := range append(All(), Program()...) {
		if seen[d.Name] {
			t.Errorf("%s is listed twice", d.Name)
		}
		seen[d.Name] = true
		if !name.MatchString(d.Name) {
			t.Errorf("%s is no name of ours", d.Name)
		}
		if !strings.HasSuffix(d.Help, ".") || strings.Contains(d.Help, "metric") || len(d.Help) < 10 {
			t.Errorf("%s: the help is no sentence: %q", d.Name, d.Help)
		}
		for _, l := range d.Labels {
			if l == LabelService {
				t.Errorf("%s: the label service is implied", d.Name)
			}
		}
	}
}

func TestEveryFieldIsReadOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, f := range Fields() {
		if seen[f.Key] {
			t.Errorf("the field %s is listed twice", f.Key)
		}
		seen[f.Key] = true
		if f.Scale == 0 {
			t.Errorf("the field %s has no scale", f.Key)
		}
	}
}

func TestSignalsAndHelp(t *testing.T) {
	t.Parallel()
	if len(Signals()) != 8 || Gauge.String() != "gauge" || Histogram.String() != "histogram" {
		t.Error("closed lists")
	}
	if Help(Up) == "" {
		t.Error("no help")
	}
	defer func() {
		if recover() == nil {
			t.Error("a name that is in no table has help")
		}
	}()
	Help("redis_nothing")
}

func TestReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	have, err := os.ReadFile(filepath.Join("..", "..", "deploy", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := Reference()
	if string(have) != want {
		t.Error("deploy/docs/metrics.md is not what the table says: run make gen, or go run ./exporter/metric/gen deploy/docs/metrics.md")
	}
	for _, d := range append(All(), Program()...) {
		if strings.Count(want, "`"+d.Name+"`") != 1 {
			t.Errorf("%s is not in the reference once", d.Name)
		}
	}
}
