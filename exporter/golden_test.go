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
	"github.com/redis-medic/redis-medic/exporter/metric"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// volatile are the families whose values differ from run to run.
var volatile = regexp.MustCompile(`(?m)^((?:redis_(?:health_check_(?:duration|timestamp)_seconds|ping_duration_seconds|last_answer_timestamp_seconds|` +
	`collector_duration_seconds|exporter_last_scrape_\w+_seconds|survey_(?:duration|timestamp)_seconds|connected_client_\w+_timestamp)|systemd_unit_read_duration_seconds)(?:\{[^}]*\})?) .*$`)

// usedExceptions counts how often each exception was needed.
var usedExceptions [32]atomic.Int32

func excepted(p promlint.Problem) bool {
	for i, e := range metric.Unclean() {
		if regexp.MustCompile(e.Names).MatchString(p.Metric) && strings.Contains(p.Text, e.Problem) {
			usedExceptions[i].Add(1)
			return true
		}
	}
	return false
}

// lint holds a page against promlint and the reviewed exceptions.
func lint(t *testing.T, page string) {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !excepted(p) {
			t.Errorf("promlint: %s: %s", p.Metric, p.Text)
		}
	}
}

func TestGoldenPages(t *testing.T) {
	t.Parallel()
	t.Cleanup(func() {
		for i, e := range metric.Unclean() {
			if usedExceptions[i].Load() == 0 && !t.Failed() {
				t.Errorf("nothing needs the exception %s: %s", e.Names, e.Problem)
			}
		}
	})
	for name, collect := range map[string]Collect{
		"redis-7.0": {}, "redis-6.2-replica": {AllConfig: true}, "redis-8.0": {}, "valkey-8.1": {},
		"sentinel-7.0": {SentinelPeers: true, AllConfig: true}, "cluster-7.0": {NoConfig: true, NoLatency: true, NoSlowlog: true},
		"modules-8.0": {Modules: true, Clients: true, ClientPorts: true, Survey: Survey{Indexes: "^idx"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, base := runExporter(t, Options{Targets: []Target{goldenTarget(fakeServer(t, name), collect)}, Units: &fakeUnits{read: goldenUnit()}})
			scrapePage(t, base+"/probe?target=redis") // what the first scrape teaches, the second uses
			until(t, "the unit is read and the survey is made", func() bool {
				s := scrapePage(t, base+"/probe?target=redis")
				_, read := s["systemd_unit_state"]
				_, surveyed := s["redis_survey_success"]
				return read && (surveyed || !collect.Survey.on())
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
	u.ActiveExit, u.InactiveExit = time.Unix(1699999980, 0), time.Unix(1699999995, 0)
	u.Watchdog, u.WatchdogPing = 30*time.Second, time.Unix(1700000010, 0)
	u.IP = &health.IPTraffic{InBytes: 1000, InPackets: 10, OutBytes: 2000, OutPackets: 20}
	r.Manager = &health.Manager{
		Version: "252.39-1~deb12u1", WatchdogDevice: "/dev/watchdog0", WatchdogRuntime: 20 * time.Second,
		WatchdogPing: time.Unix(1700000005, 0), WatchdogUptime: 105 * time.Second,
		Boot: []health.BootStage{{Name: "Kernel", At: time.Unix(1699999900, 0)}, {Name: "Finish", At: time.Unix(1699999910, 5e8), Monotonic: 10500 * time.Millisecond}},
	}
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
	lint(t, strings.ReplaceAll(got, " X\n", " 1\n"))
}
