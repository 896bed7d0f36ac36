package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const output = `goos: linux
pkg: github.com/redis-medic/redis-medic/exporter
BenchmarkAgainstRedisExporter/18-commands-gzip-2         	     300	         0 ns/op	      7000 our-bytes	         0.30 our-cpu-ms	         1.2 our-p50-ms	         1.6 their-cpu-ms	         4.0 their-p50-ms
--- SKIP: BenchmarkAgainstRedisExporter/98-commands-gzip
    bench_test.go:99: no redis_exporter here
BenchmarkQuery/by_user-2  	     100	   4000000 ns/op
BenchmarkQuery/by_time-2  	     100	   6000000 ns/op
PASS
`

func TestTableOfFigures(t *testing.T) {
	f, skipped := figures{}, skips{}
	parse("exporter", output, f, skipped)
	against := "exporter.BenchmarkAgainstRedisExporter/"
	results := judge([]row{
		{what: "latency", from: against + "18-commands-gzip", value: "our-p50-ms", per: "their-p50-ms", limit: 1.0 / 3, unit: "of theirs"},
		{what: "CPU", from: against + "18-commands-gzip", value: "our-cpu-ms", per: "their-cpu-ms", limit: 0.1, unit: "of theirs"},
		{what: "many", from: against + "98-commands-gzip", value: "our-p50-ms", limit: 1, unit: "ms"},
		{what: "any filter", from: "exporter.BenchmarkQuery/*", value: "ns/op", limit: 5, unit: "ms", scale: 1e-6},
		{what: "size", from: against + "18-commands-gzip", value: "our-bytes", limit: 1000, least: true, unit: "bytes"},
		{what: "nobody's", from: "exporter.BenchmarkNone", value: "ns/op", limit: 1, unit: "ns"},
	}, f, skipped)
	var b strings.Builder
	table(&b, results)
	for _, want := range []string{
		`latency +<= 0.333 of theirs +0.3 of theirs +1.11x +pass +1.2 to 4 ms`,
		`CPU +<= 0.1 of theirs +0.187 of theirs +0.533x +MISS`,
		`many +<= 1 ms +- +- +- +not measured: no redis_exporter here`,
		`any filter +<= 5 ms +6 ms +0.833x +MISS +worst: by_time`,
		`size +>= 1000 bytes +7000 bytes +7x +pass`,
		`nobody's +<= 1 ns +- +- +- +not measured`,
	} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(b.String()) {
			t.Errorf("no line %q in\n%s", want, b.String())
		}
	}
	if !missed(results) || missed(results[:1]) || missed(results[2:3]) {
		t.Error("a miss is not what it should be")
	}
}

// Every row has a step that runs its benchmark, and every benchmark of a step exists.
func TestRowsAndStepsBelongTogether(t *testing.T) {
	for _, r := range rows() {
		pkg, name, _ := strings.Cut(r.from, ".")
		name, _, _ = strings.Cut(name, "/")
		run := false
		for _, s := range steps() {
			run = run || s.pkg == pkg && regexp.MustCompile(s.name()).MatchString(name)
		}
		if !run {
			t.Errorf("%s: no step runs %s", r.what, r.from)
		}
	}
	for _, s := range steps() {
		files, err := filepath.Glob(filepath.Join("..", "..", s.pkg, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text.Write(b)
		}
		if !strings.Contains(text.String(), "func "+strings.Trim(s.name(), "^$")+"(") {
			t.Errorf("%s has no %s", s.pkg, s.bench)
		}
	}
}
