package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
)

// The states of each state set, in the order of their codes. What an alert should look at stands out.
var (
	healthStates = []state{{"healthy", good}, {"degraded", bad}, {"critical", worse}, {"unknown", off}}
	unitStates   = []state{
		{"active", good}, {"activating", busy}, {"deactivating", busy}, {"reloading", busy}, {"inactive", bad}, {"failed", worse},
	}
	replyStates = []state{
		{"pong", good}, {"loading", busy}, {"busy", bad}, {"misconf", bad}, {"masterdown", bad}, {"noauth", bad}, {"noperm", bad},
		{"maxclients", bad}, {"protocol", bad}, {"timeout", worse}, {"refused", worse}, {"unreachable", worse}, {"dns", off}, {"tls", off},
		{"unknown", off},
	}
	breakerStates = []state{{"closed", good}, {"half-open", busy}, {"open", worse}}
	desiredStates = []state{{"running", good}, {"stopped", bad}}
	holdStates    = []state{{"no", good}, {"yes", bad}}
)

// overview is the dashboard that an alert links to: is Redis well, what did redis-medic do, what is the load, and does the chain
// that would tell us work.
func overview() (model, error) {
	b := newBoard("redis-medic overview").
		Uid(OverviewUID).
		Description("The health of Redis as redis-medic sees it, its recoveries, its load, and redis-medic itself.").
		Tags([]string{"redis", "redis-medic"}).
		Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Time("now-1h", "now").
		Refresh("10s").
		Timezone("browser").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("service").Label("Service").
			Description("The services of the configuration.").
			Query(dashboard.StringOrMap{String: new("label_values(redis_health_status, service)")}).
			Datasource(source).Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".+")).
		Annotation(dashboard.NewAnnotationQueryBuilder().Name("Alerts").Datasource(source).Enable(true).IconColor(worse).
			Expr(`ALERTS{alertstate="firing", severity="critical", ` + selected + `}`).
			TitleFormat("{{alertname}}").TextFormat("{{service}}").Step("5s")).
		Annotation(dashboard.NewAnnotationQueryBuilder().Name("Recoveries").Datasource(source).Enable(true).IconColor(busy).
			Expr(`increase(redis_medic_recovery_attempts_total{` + selected + `}[10s]) > 0`).
			TitleFormat("recovery: {{level}}").TextFormat("{{service}}").Step("5s"))
	nowRow(b)
	recoveryRow(b)
	loadRow(b)
	dataRow(b)
	medicRow(b)
	return b.Build()
}

func row(b *board, title string) {
	b.WithRow(dashboard.NewRowBuilder(title))
}

// coded is a number panel that shows a state by its name and colour.
func coded(t text, width uint32, states []state, l line) *stat.PanelBuilder {
	return number(t, width, "short", l).Mappings(mappings(states)).ColorMode(common.BigValueColorModeBackground)
}

func nowRow(b *board) {
	row(b, "Now")
	b.WithPanel(coded(text{"Health", "The verdict on each service. Unknown means that it could not be measured: that is not down."},
		sixth, healthStates, line{stateCode("redis_health_status", "status", healthStates), "{{service}}"}))
	b.WithPanel(number(text{"Last PONG", "How long ago Redis last answered a PING with PONG."}, sixth, "s",
		line{"time() - max by (service) (redis_last_answer_timestamp_seconds{" + selected + "})", "{{service}}"}).
		Decimals(1).Thresholds(steps([]string{good, bad, worse}, 35, 100)))
	b.WithPanel(number(text{"Uptime", "How long the Redis process has been running."}, sixth, "dtdurations",
		line{"max by (service) (redis_uptime_in_seconds{" + selected + "})", "{{service}}"}).
		Thresholds(steps([]string{bad, good}, 300)))
	b.WithPanel(number(text{"Firing alerts", "Alerts on the chosen services that fire now, the informative ones left out."}, sixth, "short",
		line{`count(ALERTS{alertstate="firing", severity!="info", ` + selected + `}) or vector(0)`, ""}).
		Thresholds(steps([]string{good, worse}, 1)))
	b.WithPanel(coded(text{"Desired state", "What a person wants. While it is stopped, automatic recovery keeps its hands off."},
		sixth, desiredStates, line{stateCode("redis_service_desired_state", "state", desiredStates), "{{service}}"}))
	b.WithPanel(coded(text{"Manual intervention", "Whether redis-medic has given up on a service until an administrator resets it."},
		sixth, holdStates, line{"max by (service) (redis_medic_manual_intervention_required{" + selected + "})", "{{service}}"}))
	b.WithPanel(timeline(text{"Health", "The verdict on each service over time."}, low, healthStates,
		line{stateCode("redis_health_status", "status", healthStates), "{{service}}"}))
	b.WithPanel(timeline(text{"Answer to PING", "The class of Redis's answer. Only timeout and refused mean that nobody answers; an error reply comes from a live Redis."},
		low, replyStates, line{stateCode("redis_ping_reply", "reply", replyStates), "{{service}}"}))
	b.WithPanel(timeline(text{"Unit state", "What systemd says of the unit. A gap means that it could not be asked."},
		low, unitStates, line{stateCode("systemd_unit_state", "state", unitStates), "{{service}}"}))
}

func recoveryRow(b *board) {
	row(b, "Recovery")
	b.WithPanel(timeline(text{"Holds", "Why automatic recovery does not act: stopped by an operator, maintenance, switched off, latched, breaker open and others."},
		medium, holdStates, line{"max by (service, reason) (redis_service_hold{" + selected + "}) == 1", "{{service}}: {{reason}}"}))
	b.WithPanel(timeline(text{"Circuit breaker", "Open: too many operations failed, nothing is tried for a while. Half-open: one trial."},
		low, breakerStates, line{stateCode("redis_medic_breaker_state", "state", breakerStates), "{{service}}"}))
	b.WithPanel(bars(text{"Recovery steps", "Rungs of the ladder that were begun."}, third,
		line{"sum by (service, level) (increase(redis_medic_recovery_attempts_total{" + selected + "}[$__rate_interval])) > 0", "{{service}} {{level}}"}))
	b.WithPanel(bars(text{"Recoveries", "How recoveries ended, by the rung that ended them."}, third,
		line{"sum by (service, level, result) (increase(redis_medic_recoveries_total{" + selected + "}[$__rate_interval])) > 0", "{{service}} {{level}} {{result}}"}))
	b.WithPanel(bars(text{"Restarts", "Starts of the process, by whomever: systemd's own restarts, and every start seen in Redis's uptime."}, third,
		line{"max by (service) (increase(systemd_service_restart_total{" + selected + "}[$__rate_interval])) > 0", "{{service}} by systemd"},
		line{"max by (service) (resets(redis_uptime_in_seconds{" + selected + "}[$__rate_interval])) > 0", "{{service}} all"}))
	b.WithPanel(graph(text{"Outage duration", "From the opening of an incident to PONG: median and worst tenth."}, third, "s",
		line{"histogram_quantile(0.5, sum by (le) (increase(redis_medic_outage_duration_seconds_bucket{" + selected + "}[1h])))", "median"},
		line{"histogram_quantile(0.9, sum by (le) (increase(redis_medic_outage_duration_seconds_bucket{" + selected + "}[1h])))", "90 %"}))
	b.WithPanel(graph(text{"Duration of steps", "From the act to the verdict, median per rung."}, third, "s",
		line{"histogram_quantile(0.5, sum by (le, level) (increase(redis_medic_ladder_step_duration_seconds_bucket{" + selected + "}[1h])))", "{{level}}"}))
	b.WithPanel(bars(text{"Steps skipped", "Rungs that could not help, with the reason."}, third,
		line{"sum by (level, reason) (increase(redis_medic_rung_skipped_total{" + selected + "}[$__rate_interval])) > 0", "{{level}}: {{reason}}"}))
}

func loadRow(b *board) {
	row(b, "Load")
	b.WithPanel(graph(text{"Commands", "Commands processed per second."}, third, "ops",
		line{"max by (service) (rate(redis_commands_processed_total{" + selected + "}[$__rate_interval]))", "{{service}}"}))
	b.WithPanel(limits(graph(text{"PING latency", "How long Redis took to answer the last PING, with its threshold."}, third, "s",
		line{"max by (service) (redis_ping_duration_seconds{" + selected + "})", "{{service}}"}, threshold("ping_seconds"))))
	b.WithPanel(limits(graph(text{"CPU", "Use of one core, user and system, with its thresholds."}, third, "percent",
		line{"100 * max by (service) (rate(redis_cpu_user_seconds_total{" + selected + "}[$__rate_interval]) + rate(redis_cpu_sys_seconds_total{" + selected + "}[$__rate_interval]))", "{{service}}"},
		threshold("cpu_percent"))))
	b.WithPanel(limits(graph(text{"Memory", "Memory that Redis uses, with its thresholds and maxmemory where it is set."}, third, "bytes",
		line{"max by (service) (redis_memory_used_bytes{" + selected + "})", "{{service}}"},
		threshold("memory_bytes"),
		line{"max by (service) (redis_memory_max_bytes{" + selected + "}) > 0", "{{service}} limit"})))
	b.WithPanel(limits(graph(text{"Connections", "Connected and blocked clients, with their thresholds and maxclients."}, third, "short",
		line{"max by (service) (redis_connected_clients{" + selected + "})", "{{service}}"},
		line{"max by (service) (redis_blocked_clients{" + selected + "})", "{{service}} blocked"},
		threshold("connections"),
		line{"max by (service) (redis_max_clients{" + selected + "})", "{{service}} limit"})))
	b.WithPanel(graph(text{"Network", "Bytes received and sent by Redis per second."}, third, "binBps",
		line{"max by (service) (rate(redis_net_input_bytes_total{" + selected + "}[$__rate_interval]))", "{{service}} in"},
		line{"max by (service) (rate(redis_net_output_bytes_total{" + selected + "}[$__rate_interval]))", "{{service}} out"}))
	b.WithPanel(graph(text{"Hit ratio", "Share of key look-ups that found a key."}, third, "percentunit",
		line{"max by (service) (rate(redis_keyspace_hits_total{" + selected + "}[$__rate_interval]))\n/\n(max by (service) (rate(redis_keyspace_hits_total{" +
			selected + "}[$__rate_interval])) + max by (service) (rate(redis_keyspace_misses_total{" + selected + "}[$__rate_interval])))", "{{service}}"}).Max(1))
	b.WithPanel(graph(text{"Evicted and expired keys", "Keys removed for want of memory, and keys whose time was over, per second."}, third, "ops",
		line{"max by (service) (rate(redis_evicted_keys_total{" + selected + "}[$__rate_interval]))", "{{service}} evicted"},
		line{"max by (service) (rate(redis_expired_keys_total{" + selected + "}[$__rate_interval]))", "{{service}} expired"}))
	b.WithPanel(graph(text{"Keys", "Keys in all databases."}, third, "short",
		line{"sum by (service) (max by (service, db) (redis_db_keys{" + selected + "}))", "{{service}}"}))
}

func dataRow(b *board) {
	row(b, "Data safety")
	b.WithPanel(graph(text{"Unsaved changes", "Changes since the last save: what a kill would lose where there is no append-only file."}, third, "short",
		line{"max by (service) (redis_rdb_changes_since_last_save{" + selected + "})", "{{service}}"}))
	b.WithPanel(graph(text{"Age of the last save", "How long ago the last snapshot was written."}, third, "s",
		line{"time() - max by (service) (redis_rdb_last_save_timestamp_seconds{" + selected + "})", "{{service}}"}))
	b.WithPanel(graph(text{"Replication", "Connected replicas of a master, and whether a replica has its master (1) or not (0)."}, third, "short",
		line{"max by (service) (redis_connected_slaves{" + selected + "})", "{{service}} replicas"},
		line{"min by (service) (redis_master_link_up{" + selected + "})", "{{service}} master link"}))
}

func medicRow(b *board) {
	row(b, "redis-medic itself")
	b.WithPanel(number(text{"Last heartbeat", "How long ago Alertmanager was last heard on the webhook. The heartbeat comes every minute."}, sixth, "s",
		line{"time() - max(redis_medic_webhook_last_timestamp_seconds)", ""}).Thresholds(steps([]string{good, bad, worse}, 90, 180)))
	b.WithPanel(number(text{"Failed API requests", "Share of the control API's requests of the last hour that failed. The objective is 0.1 %."}, sixth, "percentunit",
		line{"max(component:redis_medic_http_requests:error_ratio_rate1h)", ""}).Decimals(2).Thresholds(steps([]string{good, bad, worse}, 0.001, 0.0144)))
	b.WithPanel(number(text{"Event streams", "Clients that follow live events."}, sixth, "short",
		line{"sum(redis_medic_websocket_clients)", ""}))
	b.WithPanel(number(text{"Audit records", "Records written within the last hour."}, sixth, "short",
		line{"sum(increase(redis_medic_audit_records_total[1h]))", ""}))
	b.WithPanel(number(text{"Memory of redis-medic", "Resident memory of the process."}, sixth, "bytes",
		line{`max(process_resident_memory_bytes{job="redis-medic"})`, ""}))
	b.WithPanel(number(text{"CPU of redis-medic", "Use of one core."}, sixth, "percentunit",
		line{`max(rate(process_cpu_seconds_total{job="redis-medic"}[$__rate_interval]))`, ""}).Decimals(2))
	b.WithPanel(graph(text{"API requests", "Requests to the control API by status code."}, third, "reqps",
		line{`sum by (code) (rate(redis_medic_http_requests_total{component="controlapi"}[$__rate_interval]))`, "{{code}}"}))
	b.WithPanel(graph(text{"API latency", "Time to answer, median and worst hundredth. Operations take as long as Redis does."}, third, "s",
		line{"histogram_quantile(0.5, sum by (le) (rate(redis_medic_http_request_duration_seconds_bucket[$__rate_interval])))", "median"},
		line{"histogram_quantile(0.99, sum by (le) (rate(redis_medic_http_request_duration_seconds_bucket[$__rate_interval])))", "99 %"}))
	b.WithPanel(graph(text{"Webhook", "Alerts that Alertmanager delivered, by what became of them."}, third, "short",
		line{"sum by (result) (rate(redis_medic_webhook_alerts_total[$__rate_interval]))", "{{result}}"}))
}
