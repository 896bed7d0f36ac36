package main

import (
	"fmt"
	"strings"
)

// step is one run of go test: the benchmarks of a package that are measured together.
type step struct {
	pkg   string // below the module
	bench string // -bench
	time  string // -benchtime
}

// name is the pattern of the benchmark itself, without that of its parts.
func (s step) name() string {
	name, _, _ := strings.Cut(s.bench, "/")
	return name
}

// steps run one after the other, so that none disturbs another. What is compared with a peer is measured in turns, within one step.
func steps() []step {
	return []step{
		{"exporter", "^BenchmarkAgainstRedisExporter$/gzip", "200x"},
		{"exporter", "^BenchmarkFleet$/^1000-services$", "1x"},
		{"cmd/redis-medic", "^BenchmarkIdle$", "1x"},
		{"controlapi", "^BenchmarkStatus$", "100000x"},
		{"controlapi", "^BenchmarkStreams$", "5x"},
		{"remediator", "^BenchmarkWebhookFlood$", "1x"},
		{"remediator/audit", "^BenchmarkAppend$", "20000x"},
		{"remediator/store", "^BenchmarkQueryMillion$", "200x"},
	}
}

// row is one line of the table: a figure of a benchmark, held against its target.
type row struct {
	what  string
	from  string  // package and benchmark, with its sub-benchmark: "exporter.BenchmarkFleet/1-services"; a * at the end takes the worst of all
	value string  // unit as in b.ReportMetric
	per   string  // the unit of another figure of the same benchmark by which it is divided; empty: none
	limit float64 // the target
	least bool    // the target is a least, not a most
	unit  string
	scale float64 // from the benchmark's unit to ours; 0 means 1
}

// rows are the targets that a benchmark can hold itself against. A new one is one more line here, and a step where its benchmark
// is not run yet.
func rows() []row {
	against := func(commands, most string, share float64) []row {
		from := "exporter.BenchmarkAgainstRedisExporter/" + commands + "-commands-gzip"
		return []row{
			{what: fmt.Sprintf("scrape, %s commandstats: median latency", commands), from: from, value: "our-p50-ms", per: "their-p50-ms", limit: share, unit: "of redis_exporter's" + most},
			{what: fmt.Sprintf("scrape, %s commandstats: CPU", commands), from: from, value: "our-cpu-ms", per: "their-cpu-ms", limit: share, unit: "of redis_exporter's" + most},
		}
	}
	fleet := "exporter.BenchmarkFleet/"
	var out []row
	out = append(out, against("18", "", 1.0/3)...)
	out = append(out, against("98", "", 1.0/10)...)
	return append(out,
		row{what: "scrape, Redis 20 ms away: median latency", from: "exporter.BenchmarkAgainstRedisExporter/18-commands-gzip-20ms-away",
			value: "our-p50-ms", per: "their-p50-ms", limit: 1.0 / 4, unit: "of redis_exporter's"},
		row{what: "idle, one service, whole program: memory", from: "cmd/redis-medic.BenchmarkIdle", value: "rss-MB", limit: 60, unit: "MB"},
		row{what: "idle, one service, whole program: CPU", from: "cmd/redis-medic.BenchmarkIdle", value: "cpu-%", limit: 1, unit: "% of a core"},
		row{what: "idle, 1,000 services, exporter: memory", from: fleet + "1000-services", value: "rss-MB", limit: 600, unit: "MB"},
		row{what: "idle, 1,000 services, exporter: CPU", from: fleet + "1000-services", value: "idle-cpu-%", limit: 50, unit: "% of a core"},
		row{what: "GET status, 64 connections: rate", from: "controlapi.BenchmarkStatus", value: "requests/s", limit: 10_000, least: true, unit: "requests/s"},
		row{what: "GET status, 64 connections: p99", from: "controlapi.BenchmarkStatus", value: "p99-ms", limit: 5, unit: "ms"},
		row{what: "10,000 WebSocket clients: memory of each", from: "controlapi.BenchmarkStreams", value: "KB/client", limit: 40, unit: "KB"},
		row{what: "10,000 WebSocket clients: one event to all", from: "controlapi.BenchmarkStreams", value: "slowest-ms", limit: 1000, unit: "ms"},
		row{what: "webhook, 1,000 alerts/s for 30 s: lost", from: "remediator.BenchmarkWebhookFlood", value: "lost", limit: 0, unit: "alerts"},
		row{what: "webhook, 1,000 alerts/s for 30 s: p99 of accepted", from: "remediator.BenchmarkWebhookFlood", value: "p99-ms", limit: 100, unit: "ms"},
		row{what: "webhook, 1,000 alerts/s for 30 s: heap", from: "remediator.BenchmarkWebhookFlood", value: "heap-MiB", limit: 64, unit: "MiB"},
		row{what: "audit: durable appends", from: "remediator/audit.BenchmarkAppend", value: "appends/s", limit: 2000, least: true, unit: "appends/s"},
		row{what: "audit: newest 50 of 1 M by any one filter", from: "remediator/store.BenchmarkQueryMillion/*", value: "ns/op", limit: 5, unit: "ms", scale: 1e-6},
	)
}
