// Package cmd_test holds the rule of DESIGN's section 2: imports go one way.
package cmd_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/redis-medic/redis-medic/"

// layers says what the packages below a folder may import of this module; the longest matching folder rules. A folder may
// always import what is below itself.
var layers = map[string][]string{
	"exporter/health": {},
	"exporter/metric": {"exporter/health"},
	"exporter":        {},
	"alerts":          {"exporter/metric"},
	"dashboards":      {"exporter/metric"},
	"remediator":      {"exporter/health", "exporter/metric"},
	"controlapi":      {"remediator", "exporter/health", "exporter/metric", "web"},
	// What applications import: nothing of ours.
	"controlapi/degradation": {},

	"web":    {},
	"cmd":    {"exporter", "remediator", "controlapi", "web", "deploy/host", "deploy/alertmanager"},
	"deploy": {"exporter", "remediator", "controlapi", "alerts", "dashboards", "cmd", "web"},
}

// testsMay is what tests may import besides: the shipped files and real hosts.
var testsMay = []string{"deploy"}

func below(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func layerOf(pkg string) string {
	best := ""
	for l := range layers {
		if below(pkg, l) && len(l) > len(best) {
			best = l
		}
	}
	return best
}

// refusal says why a package may not import another of this module, or "".
func refusal(pkg, imported string, test bool) string {
	layer := layerOf(pkg)
	if layer == "" {
		return "is in no layer; add its folder to this test"
	}
	allowed := append([]string{layer}, layers[layer]...)
	if test {
		allowed = append(allowed, testsMay...)
	}
	for _, a := range allowed {
		if below(imported, a) {
			return ""
		}
	}
	return "may import only " + strings.Join(allowed, ", ")
}

func TestImportsGoOneWay(t *testing.T) { walk(t, checkImports) }

// walk calls f for every Go file of the module.
func walk(t *testing.T, f func(t *testing.T, name string)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir("..", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if n := entry.Name(); n == "node_modules" || n == "testdata" || (strings.HasPrefix(n, ".") && n != "..") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		files++
		f(t, filepath.ToSlash(name))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 30 {
		t.Errorf("walked %d files: the walk itself is broken", files)
	}
}

func checkImports(t *testing.T, name string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		t.Error(err)
		return
	}
	pkg := strings.TrimPrefix(path.Dir(name), "../")
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Error(err)
			continue
		}
		test := strings.HasSuffix(name, "_test.go")
		if own, ok := strings.CutPrefix(imported, module); ok {
			if why := refusal(pkg, own, test); why != "" {
				t.Errorf("%s imports %s: %s %s", name, own, pkg, why)
			}
			continue
		}
		if first, _, _ := strings.Cut(imported, "/"); pkg == "exporter/health" && !test && strings.Contains(first, ".") {
			t.Errorf("%s imports %s: exporter/health uses the standard library only", name, imported)
		}
	}
}

// The rules themselves, on examples: a table that allows everything would pass the walk.
func TestTheRulesRefuseTheOtherWay(t *testing.T) {
	for _, c := range []struct {
		pkg, imported string
		test, allowed bool
	}{
		{"exporter", "remediator", false, false},
		{"exporter", "exporter/health", false, true},
		{"exporter/health", "exporter/metric", false, false},
		{"remediator/host", "exporter/health", false, true},
		{"remediator", "exporter", false, false},
		{"remediator", "controlapi", false, false},
		{"controlapi/live", "remediator", false, true},
		{"controlapi", "cmd/internal/config", false, false},
		{"alerts", "exporter/metric", false, true},
		{"alerts", "exporter", false, false},
		{"remediator/host", "deploy/lab", true, true},
		{"remediator/host", "deploy/lab", false, false},
		{"tools", "exporter", false, false},
	} {
		if got := refusal(c.pkg, c.imported, c.test) == ""; got != c.allowed {
			t.Errorf("%s imports %s (test %t): allowed %t, want %t", c.pkg, c.imported, c.test, got, c.allowed)
		}
	}
}
