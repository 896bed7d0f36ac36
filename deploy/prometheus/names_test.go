package prometheus_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/alerts"
	"github.com/redis-medic/redis-medic/dashboards"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// foreign are the metrics of other programs, and of the libraries in ours, that expressions may use.
var foreign = []string{
	"up", "ALERTS", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total",
	"alertmanager_notifications_failed_total", "prometheus_notifications_errors_total", "prometheus_notifications_dropped_total",
	"prometheus_rule_evaluation_failures_total",
}

// expressions returns every expression of rules and dashboards by the place it stands in.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, expr := range alerts.Expressions() {
		out["rule "+name] = expr
	}
	queries, err := dashboards.Queries()
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range queries {
		out["panel "+q.Panel+" "+strconv.Itoa(i)] = q.Expr
	}
	return out
}

// knownNames returns every name a series may have: the table of package metric, the recordings, and the names that our components
// register by themselves, which stand as string literals in their sources.
func knownNames(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	add := func(name string, kind metric.Type) {
		known[name] = true
		if kind == metric.Histogram || kind == metric.Summary {
			known[name+"_sum"], known[name+"_count"], known[name+"_bucket"] = true, true, true
		}
	}
	for _, d := range metric.All() {
		add(d.Name, d.Type)
	}
	for _, name := range slices.Concat(alerts.RecordNames(), foreign) {
		add(name, metric.Gauge)
	}
	for _, dir := range []string{"exporter", "remediator", "controlapi", "cmd"} {
		for _, name := range literals(t, filepath.Join("..", "..", dir)) {
			add(name, metric.Histogram)
		}
	}
	return known
}

var ownName = regexp.MustCompile(`^redis_(medic|exporter)_[a-z0-9_]+$`)

// literals returns the metric names that stand in the sources below a folder, tests left out.
func literals(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if s, err := strconv.Unquote(lit.Value); err == nil && ownName.MatchString(s) {
					out = append(out, s)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	strs      = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	matchers  = regexp.MustCompile(`\{[^}]*\}`)
	ranges    = regexp.MustCompile(`\[[^\]]*\]`)
	labelList = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	word      = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	keywords  = []string{"and", "or", "unless", "bool", "offset", "inf", "nan", "group_left", "group_right"}
)

// seriesIn returns the names of the series that an expression selects: the words that are neither functions nor keywords nor
// inside matchers, ranges or label lists.
func seriesIn(expr string) []string {
	for _, r := range []*regexp.Regexp{strs, matchers, ranges, labelList} {
		expr = r.ReplaceAllString(expr, " ")
	}
	var out []string
	for _, w := range word.FindAllString(expr, -1) {
		name := strings.TrimSpace(w)
		if strings.HasSuffix(name, "(") || slices.Contains(keywords, strings.ToLower(name)) {
			continue
		}
		out = append(out, name)
	}
	return out
}

func TestSeriesInFindsExactlyTheSeries(t *testing.T) {
	for expr, want := range map[string]string{
		`max by (service) (redis_up{a="b", c=~"x|y"}) == 0`:                       "redis_up",
		`rate(a_total[5m]) / on (service) group_left (role) b:c{x="}"}`:           "a_total b:c",
		`(time() - max(x_seconds) > 180) or absent(y) and on () (max(up) == 1)`:   "x_seconds y up",
		`histogram_quantile(0.5, sum by (le) (increase(d_bucket[1h]))) unless  z`: "d_bucket z",
	} {
		if got := strings.Join(seriesIn(expr), " "); got != want {
			t.Errorf("%s: got %q, want %q", expr, got, want)
		}
	}
}

func TestRulesAndDashboardsUseKnownNamesOnly(t *testing.T) {
	known := knownNames(t)
	for where, expr := range expressions(t) {
		names := seriesIn(expr)
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s uses %s, which nothing publishes", where, name)
			}
		}
		if len(names) == 0 && !strings.Contains(expr, "vector(1)") {
			t.Errorf("%s selects nothing: %s", where, expr)
		}
	}
}
