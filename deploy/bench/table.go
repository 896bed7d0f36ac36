package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// figures are what benchmarks reported: by package and benchmark, then by unit.
type figures map[string]map[string]float64

// skips say why a benchmark of a package was skipped.
type skips map[string]string

var (
	resultLine = regexp.MustCompile(`^(Benchmark\S*?)(?:-\d+)?\s+\d+\s+(.*)$`)
	skipLine   = regexp.MustCompile(`^--- SKIP: (Benchmark\S+)`)
	fileLine   = regexp.MustCompile(`^\s+\S+_test\.go:\d+: (.*)$`)
)

// parse reads the output of go test -bench.
func parse(pkg, text string, f figures, skipped skips) {
	skip := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := skipLine.FindStringSubmatch(line); m != nil {
			skip = pkg + "." + m[1]
			skipped[skip] = "skipped"
			continue
		}
		if m := fileLine.FindStringSubmatch(line); m != nil && skip != "" {
			skipped[skip] = m[1]
			continue
		}
		skip = ""
		m := resultLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		values := map[string]float64{}
		fields := strings.Fields(m[2])
		for i := 0; i+1 < len(fields); i += 2 {
			if v, err := strconv.ParseFloat(fields[i], 64); err == nil {
				values[fields[i+1]] = v
			}
		}
		f[pkg+"."+m[1]] = values
	}
}

// result is a row with its figure.
type result struct {
	row
	measured float64
	note     string // which benchmark was the worst, or why nothing was measured
	known    bool
}

func (r result) met() bool {
	if r.least {
		return r.measured >= r.limit
	}
	return r.measured <= r.limit
}

// margin is how many times better than its target the figure is; below 1 it is missed.
func (r result) margin() float64 {
	better, worse := r.limit, r.measured
	if r.least {
		better, worse = r.measured, r.limit
	}
	if better == worse {
		return 1
	}
	return better / max(worse, 1e-9)
}

func judge(rows []row, f figures, skipped skips) []result {
	var out []result
	for _, r := range rows {
		out = append(out, judgeOne(r, f, skipped))
	}
	return out
}

// judgeOne finds the figure of a row, the worst one where several benchmarks count.
func judgeOne(r row, f figures, skipped skips) result {
	best := result{row: r, note: "not measured"}
	prefix, all := strings.CutSuffix(r.from, "*")
	for name, why := range skipped {
		if strings.HasPrefix(r.from, name) {
			best.note = "not measured: " + why
		}
	}
	var names []string
	for name := range f {
		if name == r.from || all && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		v, ok := f[name][r.value]
		if by := f[name][r.per]; ok && r.per != "" {
			if by == 0 {
				continue
			}
			v /= by
		}
		if !ok {
			continue
		}
		if r.scale != 0 {
			v *= r.scale
		}
		here := result{row: r, measured: v, known: true}
		if all {
			here.note = "worst: " + strings.TrimPrefix(name, prefix)
		} else if r.per != "" {
			here.note = fmt.Sprintf("%s to %s ms", number(f[name][r.value]), number(f[name][r.per]))
		}
		if !best.known || here.margin() < best.margin() {
			best = here
		}
	}
	return best
}

func missed(results []result) bool {
	return slices.ContainsFunc(results, func(r result) bool { return r.known && !r.met() })
}

// number has three significant digits, and no more than that.
func number(v float64) string {
	switch {
	case v >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

// table prints a line per row. The margin says how many times better than the target a figure is.
func table(w io.Writer, results []result) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "WHAT\tTARGET\tMEASURED\tMARGIN\tVERDICT\t")
	for _, r := range results {
		sign, verdict, measured, margin := "<=", "pass", number(r.measured)+" "+r.unit, number(r.margin())+"x"
		if r.least {
			sign = ">="
		}
		switch {
		case !r.known:
			verdict, measured, margin = "-", "-", "-"
		case !r.met():
			verdict = "MISS"
		}
		fmt.Fprintf(tw, "%s\t%s %s %s\t%s\t%s\t%s\t%s\n", r.what, sign, number(r.limit), r.unit, measured, margin, verdict, r.note)
	}
	_ = tw.Flush() // the writers below report their own failures
}
