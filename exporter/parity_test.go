package exporter

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/redis-medic/redis-medic/exporter/metric"
)

// notAsThere lists, each with the reason, the families of redis_exporter that ours does not publish in the same way.
var notAsThere = map[string]string{
	"redis_last_key_groups_scrape_duration_milliseconds": "says how long a collector took that is off: no key groups, no sample",
	"redis_aof_last_rewrite_duration_sec":                "-1 there while no rewrite was made; here the sample is left out until one was",
	"redis_aof_current_rewrite_duration_sec":             "-1 there while none is in progress",
	"redis_rdb_current_bgsave_duration_sec":              "-1 there while none is in progress",
	"redis_second_repl_offset":                           "-1 there while there is no second replication id",
}

// olderThere lists where Debian's redis_exporter differs from today's, which ours follows.
var olderThere = map[string]string{
	"redis_expired_time_cap_reached_total": "a gauge there, since then a counter",
	"redis_instance_info":                  "without the label master_replid there",
	"redis_connected_clients_details":      "since then redis_connected_client_info and a family for each of its numbers",
}

// elsewhere lists the names of public dashboards and rules that no exporter of a Redis service can have.
var elsewhere = map[string]string{
	"redis_command_calls_total":                "a name of redis_exporter before 1.0; today's is redis_commands_total",
	"redis_memory_fragmentation_ratio":         "a recording rule of the mixin",
	"node_systemd_service_restart_total":       "of node_exporter; here systemd_service_restart_total",
	"node_systemd_unit_state":                  "of node_exporter; here systemd_unit_state",
	"systemd_socket_current_connections":       "of socket units; Redis has none",
	"systemd_socket_refused_connections_total": "of socket units; Redis has none",
	"systemd_timer_last_trigger_seconds":       "of timer units; Redis has none",
}

// busyRedis is a server with something to say in every section.
func busyRedis(t testing.TB, args ...string) *testRedis {
	t.Helper()
	r := startRedis(t, append([]string{"--appendonly", "yes", "--latency-monitor-threshold", "1", "--slowlog-log-slower-than", "0", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes"}, args...)...)
	r.do("SET", "a", "b", "EX", "1000")
	r.do("GET", "a")
	r.do("NOSUCHCOMMAND")
	r.do("DEBUG", "SLEEP", "0.005")
	r.do("BGSAVE")
	until(t, "the snapshot is saved", func() bool { return !strings.Contains(r.do("INFO", "persistence").Str, "rdb_last_bgsave_time_sec:-1") })
	return r
}

// shape is what compatibility is about: type and label names.
type shape struct{ kind, labels string }

func shapes(fams map[string]*dto.MetricFamily) map[string]shape {
	out := map[string]shape{}
	for name, mf := range fams {
		labels := map[string]bool{}
		for _, m := range mf.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		delete(labels, metric.LabelService)
		names := make([]string, 0, len(labels))
		for l := range labels {
			names = append(names, l)
		}
		slices.Sort(names)
		out[name] = shape{strings.ToLower(mf.GetType().String()), strings.Join(names, ",")}
	}
	return out
}

func compareShapes(t *testing.T, theirs, ours map[string]shape) {
	t.Helper()
	for name, want := range theirs {
		got, ok := ours[name]
		_, excepted := notAsThere[name]
		switch {
		case !ok && excepted:
		case !ok:
			t.Errorf("%s is missing", name)
		case got != want && !excepted:
			t.Errorf("%s is %+v, theirs %+v", name, got, want)
		}
	}
}

// readList reads a file of testdata: fields by line, comments left out.
func readList(t testing.TB, file string) [][]string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out [][]string
	for s := bufio.NewScanner(f); s.Scan(); {
		if line := s.Text(); line != "" && line[0] != '#' {
			out = append(out, strings.Fields(line))
		}
	}
	return out
}

func TestEveryFamilyOfRedisExporter(t *testing.T) {
	t.Parallel()
	r := busyRedis(t)
	_, base := runExporter(t, Options{Targets: []Target{target(r)}, Units: &fakeUnits{read: running()}})
	scrapePage(t, base+"/probe?target=redis")
	compareShapes(t, listed(t, "redis_exporter-families.txt", 160), shapes(scrapePage(t, base+"/metrics")))
}

// listed reads a list of families, which has that many at least.
func listed(t *testing.T, file string, least int) map[string]shape {
	t.Helper()
	out := map[string]shape{}
	for _, f := range readList(t, file) {
		out[f[0]] = shape{f[1], strings.TrimPrefix(f[2], "-")}
	}
	if len(out) < least {
		t.Fatalf("%s has only %d families", file, len(out))
	}
	return out
}

func TestSideBySideWithRedisExporter(t *testing.T) {
	t.Parallel()
	r := busyRedis(t)
	theirs := sharedShapes(t, r)
	if len(theirs) < 100 {
		t.Fatalf("redis_exporter has only %d families", len(theirs))
	}
	_, base := runExporter(t, Options{Targets: []Target{target(r)}})
	compareShapes(t, theirs, shapes(scrapePage(t, base+"/metrics")))
}

// peer is the redis_exporter that REDIS_EXPORTER names, else Debian's; the test or benchmark is skipped where there is neither.
func peer(t testing.TB) string {
	t.Helper()
	if binary := os.Getenv("REDIS_EXPORTER"); binary != "" {
		return binary
	}
	binary, err := exec.LookPath("prometheus-redis-exporter")
	if err != nil {
		t.Skip("no redis_exporter: set REDIS_EXPORTER or install prometheus-redis-exporter")
	}
	return binary
}

// sharedShapes runs redis_exporter with flags and returns what it publishes of a Redis, as far as ours follows it.
func sharedShapes(t *testing.T, r *testRedis, flags ...string) map[string]shape {
	t.Helper()
	addr := freeAddr(t)
	cmd := exec.Command(peer(t), append([]string{"-redis.addr", "redis://" + r.addr, "-web.listen-address", addr}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "redis_exporter listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	theirs := shapes(scrapePage(t, "http://"+addr+"/metrics"))
	for name := range theirs {
		if _, older := olderThere[name]; older || !strings.HasPrefix(name, "redis_") {
			delete(theirs, name)
		}
	}
	return theirs
}

// TestNamesOfPublicDashboards looks for every name on a master, a replica, a Sentinel and a cluster node.
func TestNamesOfPublicDashboards(t *testing.T) {
	t.Parallel()
	master := busyRedis(t)
	host, port, _ := net.SplitHostPort(master.addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	cluster := startRedis(t, "--cluster-enabled", "yes")
	sentinel := startSentinel(t, master)
	targets := []Target{target(master), target(replica), target(cluster), target(sentinel)}
	for i, id := range []string{"redis", "replica", "cluster", "sentinel"} {
		targets[i].ID = id
	}
	tasks := uint64(4)
	read := running()
	read.Unit.Tasks, read.Unit.TasksMax = &tasks, &tasks
	_, base := runExporter(t, Options{Targets: targets, Units: &fakeUnits{read: read}})
	until(t, "the replica is linked", func() bool {
		_, ok := scrapePage(t, base+"/probe?target=redis").value("redis_connected_slave_lag_seconds", "slave_state", "online")
		return ok
	})
	scrapePage(t, base+"/metrics").want(t, 1, "redis_master_link_up", "service", "replica")
	page := scrapePage(t, base+"/metrics")
	for _, f := range readList(t, "dashboard-names.txt") {
		if _, excepted := elsewhere[f[0]]; excepted {
			continue
		}
		if _, ok := page[f[0]]; !ok {
			t.Errorf("%s, which public dashboards use, is missing", f[0])
		}
	}
	page.want(t, 1, "redis_connected_slaves", "service", "redis")
	page.want(t, 1, "redis_instance_role", "service", "replica", "role", "slave")
	page.want(t, 1, "redis_sentinel_masters", "service", "sentinel")
	page.want(t, 1, "redis_sentinel_master_ok_sentinels", "service", "sentinel", "master_name", "main", "master_address", master.addr)
	page.want(t, 0, "redis_cluster_state", "service", "cluster") // no slot is assigned
	page.want(t, 1, "redis_collector_success", "service", "cluster", "collector", "cluster")
	page.want(t, 1, "redis_collector_success", "service", "sentinel", "collector", "sentinel")
	if _, ok := page.value("redis_collector_success", "service", "sentinel", "collector", "slowlog"); ok {
		t.Error("a Sentinel has no slow log, yet it is published as failed")
	}
	if _, ok := page.value("redis_connected_slave_lag_seconds", "service", "redis", "slave_state", "online"); !ok {
		t.Error("no lag of the replica")
	}
}

// startSentinel starts a Sentinel that watches a master under the name "main".
func startSentinel(t testing.TB, master *testRedis) *testRedis {
	t.Helper()
	host, port, _ := net.SplitHostPort(master.addr)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor main %s %s 1\n", host, port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := &testRedis{t: t, addr: freeAddr(t), dir: t.TempDir(), conf: conf, args: []string{"--sentinel"}}
	r.start()
	t.Cleanup(r.kill)
	return r
}
