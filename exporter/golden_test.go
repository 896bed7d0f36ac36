package exporter

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/redis-medic/redis-medic/exporter/health"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// volatile are the families whose values differ from run to run.
var volatile = regexp.MustCompile(`(?m)^((?:redis_(?:health_check_(?:duration|timestamp)_seconds|ping_duration_seconds|last_answer_timestamp_seconds|` +
	`collector_duration_seconds|exporter_last_scrape_\w+_seconds)|systemd_unit_read_duration_seconds)(?:\{[^}]*\})?) .*$`)

// lintExceptions are what promlint finds and why it stays: these are names that dashboards and rules of redis_exporter and
// systemd_exporter use, and a drop-in must not rename them.
var lintExceptions = []struct{ name, problem, reason string }{
	{`^redis_(rdb_saves|cluster_messages_(sent|received)|cluster_stats_messages_\w+|migrate_cached_sockets|server_threads|long_lock_waits)(_total)?$`, `non-counter metrics should not have "_total"`, "a gauge there"},
	{`^redis_(dump_payload_sanitizations|io_threaded_(reads|writes)_processed|total_error_replies|total_(reads|writes)_processed|unexpected_error_replies|storage_provider_read_\w+)$`, `counter metrics should have "_total"`, "a counter there"},
	{`^redis_\w+(_ms|_milliseconds|_ms_total)$`, `metric names should not contain abbreviated units`, "milliseconds there"},
	{`^redis_sentinel_master_setting_down_after_milliseconds$`, `use base unit`, "milliseconds there"},
	{`^redis_(aof|rdb)_(last|current)_(bgsave|rewrite)_duration_sec$`, `metric names should not contain abbreviated units`, "named so there"},
	{`^redis_memory_used_vm_total$`, `non-counter metrics should not have "_total"`, "a gauge there"},
	{`^redis_instantaneous_eventloop_cycles_per_sec$`, `metric names should not contain abbreviated units`, "named so there"},
}

// usedExceptions counts how often each exception was needed.
var usedExceptions [32]atomic.Int32

func excepted(p promlint.Problem) bool {
	for i, e := range lintExceptions {
		if regexp.MustCompile(e.name).MatchString(p.Metric) && strings.Contains(p.Text, e.problem) {
			usedExceptions[i].Add(1)
			return true
		}
	}
	return false
}

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		for i, e := range lintExceptions {
			if usedExceptions[i].Load() == 0 && !t.Failed() {
				t.Errorf("nothing needs the exception %s: %s", e.name, e.problem)
			}
		}
	})
	for name, collect := range map[string]Collect{
		"redis-7.0": {}, "redis-6.2-replica": {AllConfig: true}, "redis-8.0": {}, "valkey-8.1": {},
		"sentinel-7.0": {SentinelPeers: true, AllConfig: true}, "cluster-7.0": {NoConfig: true, NoLatency: true, NoSlowlog: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, base := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, name), collect)}, Units: &fakeUnits{read: goldenUnit()}})
			scrapePage(t, base+"/probe?target=redis") // what the first scrape teaches, the second uses
			until(t, "the unit is read", func() bool {
				_, ok := scrapePage(t, base+"/probe?target=redis")["systemd_unit_state"]
				return ok
			})
			code, got := get(t, base+"/probe?target=redis")
			if code != http.StatusOK {
				t.Fatal(code, got)
			}
			checkPage(t, name, got)
		})
	}
}

// goldenTarget is never probed by itself, so that a page holds only what the scrape found.
func goldenTarget(addr string, collect Collect) Target {
	return Target{
		ID: "redis", Addr: addr, Unit: "redis-server.service", Collect: collect,
		Timings: Timings{PingTimeout: 5 * time.Second, PingInterval: time.Hour},
		Off:     health.Off{Connectivity: true, Pool: true},
		Thresholds: health.Thresholds{
			PingFailures: 3, UnitFailures: 2, SlowPing: 100 * time.Millisecond, MemoryWarning: 3 << 30, MemoryCritical: 4 << 30,
			MemoryLimitRatio: 0.9, CPUWarning: 70, CPUCritical: 90, ConnectionsWarning: 8000, ConnectionsCritical: 9500, ConnectionsRatio: 0.9,
		},
	}
}

func goldenUnit() health.UnitRead {
	memory, tasks, most := uint64(5<<20), uint64(5), uint64(100)
	r := running()
	u := &r.Unit
	u.NRestarts, u.StartLimitBurst, u.StartLimitInterval = 2, 5, 10*time.Second
	u.ActiveEnter, u.InactiveEnter = time.Unix(1700000000, 0), time.Unix(1699999990, 0)
	u.MemoryBytes, u.CPUTime, u.Tasks, u.TasksMax = &memory, 3*time.Second, &tasks, &most
	return r
}

func checkPage(t *testing.T, name, got string) {
	t.Helper()
	if strings.Contains(got, "hunter2") {
		t.Error("a secret is on the page")
	}
	got = volatile.ReplaceAllString(got, "$1 X")
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("run with -update if this is meant:\n%s", diff)
	}
	problems, err := promlint.New(strings.NewReader(strings.ReplaceAll(got, " X\n", " 1\n"))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !excepted(p) {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}
