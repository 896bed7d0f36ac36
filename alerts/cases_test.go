package alerts_test

import (
	"fmt"
	"maps"
	"slices"
)

// healthyPage is what a healthy service looks like to Prometheus. Values that never change are written once.
func healthyPage() map[string]string {
	page := map[string]string{
		`redis_up{service="redis"}`:                                                             "1",
		`redis_host_reachable{service="redis"}`:                                                 "1",
		`redis_health_check_consecutive_failures{service="redis",check="connectivity"}`:         "0",
		`redis_ping_duration_seconds{service="redis"}`:                                          "0.001",
		`redis_health_threshold{service="redis",signal="ping_failures",severity="critical"}`:    "3",
		`redis_health_threshold{service="redis",signal="ping_seconds",severity="warning"}`:      "0.1",
		`redis_health_threshold{service="redis",signal="memory_bytes",severity="warning"}`:      "3000",
		`redis_health_threshold{service="redis",signal="memory_bytes",severity="critical"}`:     "4000",
		`redis_health_threshold{service="redis",signal="memory_ratio",severity="warning"}`:      "0.9",
		`redis_health_threshold{service="redis",signal="cpu_percent",severity="warning"}`:       "70",
		`redis_health_threshold{service="redis",signal="cpu_percent",severity="critical"}`:      "90",
		`redis_health_threshold{service="redis",signal="connections",severity="warning"}`:       "8000",
		`redis_health_threshold{service="redis",signal="connections",severity="critical"}`:      "9500",
		`redis_health_threshold{service="redis",signal="connections_ratio",severity="warning"}`: "0.9",
		`redis_memory_used_bytes{service="redis"}`:                                              "1000",
		`redis_memory_max_bytes{service="redis"}`:                                               "0",
		`redis_connected_clients{service="redis"}`:                                              "10",
		`redis_max_clients{service="redis"}`:                                                    "10000",
		`redis_cpu_user_seconds_total{service="redis"}`:                                         "1",
		`redis_cpu_sys_seconds_total{service="redis"}`:                                          "1",
		`redis_uptime_in_seconds{service="redis"}`:                                              "100+1",
		`redis_rejected_connections_total{service="redis"}`:                                     "0",
		`redis_rdb_last_bgsave_status{service="redis"}`:                                         "1",
		`redis_aof_last_write_status{service="redis"}`:                                          "1",
		`redis_connected_slaves{service="redis"}`:                                               "0",
	}
	for _, s := range []string{"active", "activating", "deactivating", "inactive", "failed", "reloading"} {
		page[unit(s)] = "0"
	}
	page[unit("active")] = "1"
	for _, r := range []string{
		"pong", "loading", "busy", "misconf", "masterdown", "noauth", "noperm", "maxclients", "protocol", "timeout", "refused",
		"unreachable", "dns", "tls", "unknown",
	} {
		page[reply(r)] = "0"
	}
	page[reply("pong")] = "1"
	for _, s := range []string{"healthy", "degraded", "critical", "unknown"} {
		page[status(s)] = "0"
	}
	page[status("healthy")] = "1"
	for _, c := range []string{"host_key_changed", "host_auth", "host_denied"} {
		page[reason(c)] = "0"
	}
	for _, l := range []string{"loaded", "masked", "not-found", "bad-setting", "error"} {
		page[loaded(l)] = "0"
	}
	page[loaded("loaded")] = "1"
	for _, h := range []string{"stopped_by_operator", "maintenance", "disabled", "latched", "breaker_open", "storm"} {
		page[hold(h)] = "0"
	}
	return page
}

func unit(state string) string {
	return fmt.Sprintf(`systemd_unit_state{service="redis",name="redis-server.service",type="service",state=%q}`, state)
}
func reply(r string) string  { return fmt.Sprintf(`redis_ping_reply{service="redis",reply=%q}`, r) }
func status(s string) string { return fmt.Sprintf(`redis_health_status{service="redis",status=%q}`, s) }
func reason(c string) string { return fmt.Sprintf(`redis_health_reason{service="redis",code=%q}`, c) }
func loaded(s string) string {
	return fmt.Sprintf(`systemd_unit_load_state{service="redis",name="redis-server.service",type="service",state=%q}`, s)
}
func hold(r string) string { return fmt.Sprintf(`redis_service_hold{service="redis",reason=%q}`, r) }

const (
	up       = `redis_up{service="redis"}`
	failures = `redis_health_check_consecutive_failures{service="redis",check="connectivity"}`
	host     = `redis_host_reachable{service="redis"}`
)

// at says what fires at a time; nothing when no alert is named.
func at(seconds int, firing ...string) moment { return moment{seconds, firing} }

// becomes replaces the PING reply: pong until the given second, then r.
func becomes(r string, second int, more map[string]string) map[string]string {
	out := map[string]string{
		reply("pong"): fmt.Sprintf("1*%d 0", second),
		reply(r):      fmt.Sprintf("0*%d 1", second),
	}
	maps.Copy(out, more)
	return out
}

// leavesActive replaces the unit state: active until the given second, then s.
func leavesActive(s string, second int, more map[string]string) map[string]string {
	out := map[string]string{
		unit("active"): fmt.Sprintf("1*%d 0", second),
		unit(s):        fmt.Sprintf("0*%d 1", second),
	}
	maps.Copy(out, more)
	return out
}

// without removes what systemd says, as when nobody could ask it.
func withoutUnit(more map[string]string) map[string]string {
	out := map[string]string{}
	for _, s := range []string{"active", "activating", "deactivating", "inactive", "failed", "reloading"} {
		out[unit(s)] = ""
	}
	maps.Copy(out, more)
	return out
}

func cases() []ruleCase {
	return slices.Concat(outageCases(), blindCases(), answerCases(), resourceCases(), unitCases(), recoveryCases(), chainCases(), sloCases())
}

func outageCases() []ruleCase {
	return []ruleCase{
		{alert: "RedisDown", name: "fires with the first sample after a stop and ends with the first PONG",
			series: map[string]string{
				up: "1*3 0*5 1", unit("active"): "1*3 0*5 1", unit("inactive"): "0*3 1*5 0",
				reply("pong"): "1*3 0*5 1", reply("refused"): "0*3 1*5 0", failures: "0*3 1 2 3 4 5 0",
			},
			at: []moment{at(2), at(3, "RedisDown/critical"), at(7, "RedisDown/critical"), at(8)}},
		{alert: "RedisDown", name: "fires with the first sample after systemd gave up",
			series: leavesActive("failed", 3, map[string]string{up: "1*3 0"}),
			at:     []moment{at(2), at(3, "RedisDown/critical"), at(60, "RedisDown/critical")}},
		{alert: "RedisDown", name: "rests while systemd itself restarts a crashed Redis",
			series: map[string]string{
				up: "1*3 0*3 1*3 0", unit("active"): "1*3 0*3 1*3 0", unit("activating"): "0*3 1*3 0", unit("failed"): "0*9 1",
				failures: "0*3 1 2 3 0",
			},
			at: []moment{at(2), at(3), at(5), at(8), at(9, "RedisDown/critical")}},
		{alert: "RedisDown", name: "tells services apart",
			series: map[string]string{
				`redis_up{service="b"}`: "1*3 0",
				`systemd_unit_state{service="b",name="redis-server.service",type="service",state="inactive"}`: "0*3 1",
			},
			at: []moment{at(2), at(3, "RedisDown/critical")}},
		{alert: "RedisDown", name: "needs every redis-medic to agree that nobody answers",
			series: leavesActive("inactive", 0, map[string]string{
				up: "", `redis_up{service="redis",instance="a"}`: "0", `redis_up{service="redis",instance="b"}`: "1*3 0",
			}),
			at: []moment{at(2, "RedisUnitInactive/critical"), at(3, "RedisDown/critical")}},
		{alert: "RedisUnitFailed", name: "fires when something else answers on the port, and leaves the rest to RedisDown",
			series: leavesActive("failed", 3, map[string]string{up: "1*6 0"}),
			at:     []moment{at(2), at(3, "RedisUnitFailed/critical"), at(6, "RedisDown/critical")}},
		{alert: "RedisUnitInactive", name: "fires when something else answers on the port, and leaves the rest to RedisDown",
			series: leavesActive("inactive", 3, map[string]string{up: "1*6 0"}),
			at:     []moment{at(2), at(3, "RedisUnitInactive/critical"), at(6, "RedisDown/critical")}},
		{alert: "RedisUnitInactive", name: "fires when Redis could not be asked at all",
			series: leavesActive("inactive", 3, map[string]string{up: "1*3 _"}),
			at:     []moment{at(2), at(3, "RedisUnitInactive/critical")}},
		{alert: "RedisHung", name: "fires when the third PING in a row is lost",
			series: becomes("timeout", 3, map[string]string{up: "1*3 0", failures: "0*3 1*2 2*2 3*4 4"}),
			at:     []moment{at(6), at(7, "RedisHung/critical"), at(20, "RedisHung/critical")}},
		{alert: "RedisHung", name: "rests when Redis answers with an error, whatever the counter says",
			series: becomes("timeout", 6, map[string]string{
				reply("pong"): "0", reply("noauth"): "1*6 0", failures: "9", up: "0",
			}),
			at: []moment{at(5), at(6, "RedisHung/critical")}},
		{alert: "RedisHung", name: "follows the threshold of the service",
			series: becomes("timeout", 0, map[string]string{
				up: "0", failures: "3*3 5", `redis_health_threshold{service="redis",signal="ping_failures",severity="critical"}`: "5",
			}),
			at: []moment{at(2), at(3, "RedisHung/critical")}},
		{alert: "RedisBusyScript", name: "fires with the first BUSY",
			series: becomes("busy", 3, nil),
			at:     []moment{at(2), at(3, "RedisBusyScript/critical")}},
	}
}

func blindCases() []ruleCase {
	return []ruleCase{
		{alert: "RedisHostUnreachable", name: "fires when neither SSH nor Redis answers, and nothing wakes the ladder",
			series: withoutUnit(becomes("timeout", 3, map[string]string{up: "1*3 0", host: "1*3 0", failures: "0*3 1 2 3"})),
			at:     []moment{at(7), at(8, "RedisHostUnreachable/critical"), at(20, "RedisHostUnreachable/critical")}},
		{alert: "RedisNoConnectivity", name: "fires when systemd cannot be asked although the host answers",
			series: withoutUnit(becomes("refused", 3, map[string]string{up: "1*3 0", failures: "0*3 1 2 3"})),
			at:     []moment{at(4), at(5, "RedisNoConnectivity/critical")}},
		{alert: "RedisMedicExporterDown", name: "fires ten seconds after the last good scrape",
			series: map[string]string{`up{job="redis-medic",instance="a"}`: "1*3 0"},
			at:     []moment{at(12), at(13, "RedisMedicExporterDown/critical")}},
		{alert: "RedisMedicExporterDown", name: "fires when the target is gone from the configuration", step: 5,
			series: map[string]string{`up{job="redis-medic",instance="a"}`: "1*3 _", `up{job="prometheus"}`: "1"},
			at:     []moment{at(5), at(400, "RedisMedicExporterDown/critical")}},
		{alert: "RedisMedicExporterDown", name: "rests while one of two instances is scraped",
			series: map[string]string{`up{job="redis-medic",instance="a"}`: "0", `up{job="redis-medic",instance="b"}`: "1*30 0"},
			at:     []moment{at(29), at(40, "RedisMedicExporterDown/critical")}},
	}
}

func answerCases() []ruleCase {
	out := []ruleCase{
		{alert: "RedisLoadingLong", name: "fires after two minutes of loading",
			series: becomes("loading", 5, nil), at: []moment{at(140), at(150, "RedisLoadingLong/warning")}},
		{alert: "RedisMisconf", name: "fires with the first MISCONF and hides the warning of the same cause",
			series: becomes("misconf", 5, map[string]string{`redis_rdb_last_bgsave_status{service="redis"}`: "0"}),
			at:     []moment{at(20), at(25, "RedisMisconf/critical"), at(90, "RedisMisconf/critical")}},
		{alert: "RedisMaxClients", name: "fires with the first refusal",
			series: becomes("maxclients", 5, nil), at: []moment{at(20), at(25, "RedisMaxClients/critical")}},
		{alert: "RedisAuthRefused", name: "fires after half a minute without the right password",
			series: becomes("noauth", 5, nil), at: []moment{at(50), at(60, "RedisAuthRefused/warning")}},
		{alert: "RedisMasterDown", name: "fires after fifteen seconds",
			series: becomes("masterdown", 5, nil), at: []moment{at(35), at(45, "RedisMasterDown/critical")}},
		{alert: "RedisProbeFailing", name: "fires when the name cannot be resolved",
			series: becomes("dns", 5, map[string]string{up: "1*5 0"}), at: []moment{at(50), at(60, "RedisProbeFailing/warning")}},
		{alert: "RedisSlow", name: "fires when every PING of half a minute was slow, half a minute later",
			series: map[string]string{`redis_ping_duration_seconds{service="redis"}`: "0.001*5 0.2*20 0.001"},
			at:     []moment{at(80), at(90, "RedisSlow/warning"), at(130)}},
		{alert: "RedisSlow", name: "rests when a single PING was slow",
			series: map[string]string{`redis_ping_duration_seconds{service="redis"}`: "0.001*2 0.2 0.001*10 0.2"},
			at:     []moment{at(20), at(60), at(135, "RedisSlow/warning")}},
		{alert: "RedisPersistenceFailing", name: "fires when the last save failed",
			series: map[string]string{`redis_rdb_last_bgsave_status{service="redis"}`: "1*5 0*12 1"},
			at:     []moment{at(50), at(60, "RedisPersistenceFailing/warning"), at(90)}},
		{alert: "RedisPersistenceFailing", name: "fires when the append-only file cannot be written",
			series: map[string]string{`redis_aof_last_write_status{service="redis"}`: "1*5 0"},
			at:     []moment{at(50), at(60, "RedisPersistenceFailing/warning")}},
		{alert: "RedisReplicationBroken", name: "fires when a replica has no master for half a minute",
			series: map[string]string{`redis_master_link_up{service="redis",master_host="10.0.0.1",master_port="6379"}`: "1*5 0"},
			at:     []moment{at(50), at(60, "RedisReplicationBroken/warning")}},
		{alert: "RedisReplicaLost", name: "fires when fewer replicas are connected than before",
			series: map[string]string{`redis_connected_slaves{service="redis"}`: "2*26 1"},
			at:     []moment{at(125), at(200, "RedisReplicaLost/warning"), at(700)}},
	}
	for i := range out {
		out[i].step = 5
	}
	return out
}

func resourceCases() []ruleCase {
	memory, maximum := `redis_memory_used_bytes{service="redis"}`, `redis_memory_max_bytes{service="redis"}`
	clients := `redis_connected_clients{service="redis"}`
	cpu := `redis_cpu_user_seconds_total{service="redis"}`
	return []ruleCase{
		{alert: "RedisMemoryHigh", name: "fires above the warning threshold and above the critical one", step: 15,
			series: map[string]string{memory: "3000*8 3001*8 4001"},
			at: []moment{at(105), at(180, "RedisMemoryHigh/warning"), at(225, "RedisMemoryHigh/warning"),
				at(330, "RedisMemoryHigh/critical", "RedisMemoryHigh/warning")}},
		{alert: "RedisMemoryHigh", name: "rests where no threshold is set", step: 15,
			series: map[string]string{
				memory: "9999",
				`redis_health_threshold{service="redis",signal="memory_bytes",severity="warning"}`:  "",
				`redis_health_threshold{service="redis",signal="memory_bytes",severity="critical"}`: "",
			}, at: []moment{at(600)}},
		{alert: "RedisMemoryNearLimit", name: "fires close to maxmemory", step: 15,
			series: map[string]string{memory: "900*8 901", maximum: "1000"},
			at:     []moment{at(105), at(195, "RedisMemoryNearLimit/warning")}},
		{alert: "RedisMemoryNearLimit", name: "rests without maxmemory", step: 15,
			series: map[string]string{memory: "2999", maximum: "0"}, at: []moment{at(600)}},
		{alert: "RedisCPUHigh", name: "fires above the warning threshold and above the critical one", step: 15,
			series: map[string]string{cpu: "0+12"},
			at:     []moment{at(30), at(180, "RedisCPUHigh/warning")}},
		{alert: "RedisCPUHigh", name: "adds user and system time", step: 15,
			series: map[string]string{cpu: "0+9", `redis_cpu_sys_seconds_total{service="redis"}`: "0+6"},
			at:     []moment{at(30), at(180, "RedisCPUHigh/critical", "RedisCPUHigh/warning")}},
		{alert: "RedisConnectionsHigh", name: "fires above the warning threshold and above the critical one", step: 15,
			series: map[string]string{
				clients: "8000*8 8001*8 9501", `redis_max_clients{service="redis"}`: "20000",
			},
			at: []moment{at(105), at(165, "RedisConnectionsHigh/warning"),
				at(330, "RedisConnectionsHigh/critical", "RedisConnectionsHigh/warning")}},
		{alert: "RedisConnectionsNearLimit", name: "fires close to maxclients", step: 15,
			series: map[string]string{clients: "90*8 91", `redis_max_clients{service="redis"}`: "100"},
			at:     []moment{at(105), at(165, "RedisConnectionsNearLimit/warning")}},
		{alert: "RedisConnectionsRejected", name: "fires when clients were turned away, for a while", step: 15,
			series: map[string]string{`redis_rejected_connections_total{service="redis"}`: "0*8 7"},
			at:     []moment{at(105), at(135, "RedisConnectionsRejected/warning"), at(900)}},
	}
}

func unitCases() []ruleCase {
	return []ruleCase{
		{alert: "RedisHostAccessLost", name: "fires when SSH is gone and Redis answers", step: 15,
			series: map[string]string{host: "1*4 0"}, at: []moment{at(105), at(135, "RedisHostAccessLost/warning")}},
		{alert: "RedisHostKeyChanged", name: "fires at once",
			series: map[string]string{reason("host_key_changed"): "0*5 1*5 0"},
			at:     []moment{at(20), at(25, "RedisHostKeyChanged/critical"), at(50)}, step: 5},
		{alert: "RedisHostAccessDenied", name: "fires after half a minute", step: 5,
			series: map[string]string{reason("host_denied"): "0*5 1"}, at: []moment{at(50), at(60, "RedisHostAccessDenied/warning")}},
		{alert: "RedisUnitMasked", name: "fires at once", step: 5,
			series: map[string]string{loaded("loaded"): "1*5 0", loaded("masked"): "0*5 1"},
			at:     []moment{at(20), at(25, "RedisUnitMasked/warning")}},
		{alert: "RedisUnitMissing", name: "fires at once", step: 5,
			series: map[string]string{loaded("loaded"): "1*5 0", loaded("not-found"): "0*5 1"},
			at:     []moment{at(20), at(25, "RedisUnitMissing/critical")}},
		{alert: "RedisUnitStuck", name: "fires when a stop does not end", step: 15,
			series: leavesActive("deactivating", 4, map[string]string{
				up: "1*4 0", reply("pong"): "1*4 0", reply("timeout"): "0*4 1", failures: "0*4 1 2 3",
			}),
			at: []moment{at(165), at(195, "RedisUnitStuck/critical")}},
		{alert: "RedisUnitStuck", name: "rests while a starting Redis loads its data", step: 15,
			series: leavesActive("activating", 4, map[string]string{
				reply("pong"): "1*4 0", reply("loading"): "0*4 1*20 0", reply("refused"): "0*24 1",
			}),
			at: []moment{at(75), at(345, "RedisLoadingLong/warning"), at(520, "RedisUnitStuck/critical")}},
		{alert: "RedisFlapping", name: "fires at the third start within ten minutes", step: 15,
			series: map[string]string{`redis_uptime_in_seconds{service="redis"}`: "100 115 3 18 2 17 32 5 20 35 50+15"},
			at:     []moment{at(90), at(120, "RedisFlapping/warning"), at(600, "RedisFlapping/warning"), at(1500)}},
		{alert: "RedisHealthCritical", name: "fires after a minute", step: 15,
			series: map[string]string{status("healthy"): "1*4 0", status("critical"): "0*4 1"},
			at:     []moment{at(105), at(135, "RedisHealthCritical/critical")}},
		{alert: "RedisDegraded", name: "fires after five minutes", step: 15,
			series: map[string]string{status("healthy"): "1*4 0", status("degraded"): "0*4 1"},
			at:     []moment{at(345), at(375, "RedisDegraded/warning")}},
		{alert: "RedisHealthUnknown", name: "fires after two minutes", step: 15,
			series: map[string]string{status("healthy"): "1*4 0", status("unknown"): "0*4 1"},
			at:     []moment{at(165), at(195, "RedisHealthUnknown/warning")}},
	}
}
