package exporter

import (
	"net"
	"strings"
	"testing"
	"time"
)

// everything is what redis_exporter's flags in allFlags ask for.
var everything = Collect{
	AllConfig: true, Modules: true, SentinelPeers: true, Clients: true, ClientPorts: true,
	Survey: Survey{
		Interval: time.Hour, KeyValues: true, Keys: []KeyPattern{{0, "*"}}, CountKeys: []KeyPattern{{0, "*"}}, KeyGroups: []string{"^(.)"},
		Streams: []KeyPattern{{0, "str*"}},
	},
}

var allFlags = []string{
	"-check-keys", "db0=*", "-count-keys", "db0=*", "-check-key-groups", "^(.)", "-check-streams", "db0=str*", "-export-client-list",
	"-export-client-port", "-include-config-metrics", "-include-system-metrics",
}

// withData adds keys of several types and a stream with a group and a consumer.
func withData(r *testRedis) *testRedis {
	for _, c := range [][]string{
		{"SET", "num", "5"}, {"SET", "text", "hello"}, {"RPUSH", "list", "a", "b"}, {"XADD", "stream", "1700000000000-1", "f", "v"},
		{"XGROUP", "CREATE", "stream", "group", "0"}, {"XREADGROUP", "GROUP", "group", "one", "COUNT", "1", "STREAMS", "stream", ">"},
	} {
		r.do(c...)
	}
	return r
}

// TestEveryOptionalFamilyOfRedisExporter holds ours, with all of collect on, against what redis_exporter publishes with its flags
// of a master, a replica, a Sentinel and a cluster node.
func TestEveryOptionalFamilyOfRedisExporter(t *testing.T) {
	t.Parallel()
	master := withData(busyRedis(t))
	host, port, _ := net.SplitHostPort(master.addr)
	replica := startRedis(t, "--replicaof", host+" "+port)
	targets := []Target{target(master), target(replica), target(startRedis(t, "--cluster-enabled", "yes")), target(startSentinel(t, master))}
	for i, id := range []string{"redis", "replica", "cluster", "sentinel"} {
		targets[i].ID, targets[i].Collect = id, everything
	}
	targets[2].Collect.Survey, targets[3].Collect.Survey = Survey{}, Survey{}
	_, base := runExporter(t, Options{Targets: targets})
	until(t, "the replica is linked and all surveys are made", func() bool {
		s := scrapePage(t, base+"/metrics")
		_, linked := s.value("redis_connected_slave_lag_seconds", "slave_state", "online")
		return linked && len(s["redis_survey_success"].GetMetric()) == 2
	})
	compareShapes(t, listed(t, "redis_exporter-optional.txt", 60), shapes(scrapePage(t, base+"/metrics")))
}

// TestSideBySideWithAllFlags does the same with the redis_exporter of this machine, on one server.
func TestSideBySideWithAllFlags(t *testing.T) {
	t.Parallel()
	r := withData(busyRedis(t))
	theirs := sharedShapes(t, r, allFlags...)
	if len(theirs) < 140 {
		t.Fatalf("redis_exporter has only %d families", len(theirs))
	}
	tg := target(r)
	tg.Collect = everything
	_, base := runExporter(t, Options{Targets: []Target{tg}})
	until(t, "the survey is made", func() bool {
		_, ok := scrapePage(t, base+"/metrics").value("redis_survey_success")
		return ok
	})
	compareShapes(t, theirs, shapes(scrapePage(t, base+"/metrics")))
}

// TestEveryFamilyOfSystemdExporter leaves out what a Redis service cannot have: timers, sockets and the resolver.
func TestEveryFamilyOfSystemdExporter(t *testing.T) {
	t.Parallel()
	_, base := runExporter(t, Options{Targets: []Target{target(startRedis(t))}, Units: &fakeUnits{read: goldenUnit()}})
	until(t, "the unit is read", func() bool {
		_, ok := scrapePage(t, base+"/metrics")["systemd_unit_state"]
		return ok
	})
	theirs := map[string]shape{}
	for _, f := range readList(t, "systemd_exporter-families.txt") {
		theirs[f[0]] = shape{f[1], strings.TrimPrefix(f[2], "-")}
	}
	compareShapes(t, theirs, shapes(scrapePage(t, base+"/metrics")))
}
