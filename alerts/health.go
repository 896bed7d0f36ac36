package alerts

import (
	"fmt"
	"slices"
	"time"
)

// replied is true of services whose last PING got a reply of these classes.
func replied(classes string) string {
	return fmt.Sprintf(`max by (service) (redis_ping_reply{reply=~"%s"}) == 1`, classes)
}

// because is true of services whose verdict has one of these reasons.
func because(codes string) string {
	return fmt.Sprintf(`max by (service) (redis_health_reason{code=~"%s"}) == 1`, codes)
}

// over compares a value that has one series per service with its threshold for a severity. A threshold of a service that has
// none is an absent series: the comparison is empty then.
func over(value, signal string, severity Severity) string {
	return fmt.Sprintf("%s\n  > on (service)\nmax by (service) (redis_health_threshold{signal=%q, severity=%q})", value, signal, severity)
}

// answerGroup holds what Redis says of itself when it answers with an error, and when it answers late.
func answerGroup() Group {
	return Group{
		Name:     "redis_answers",
		Interval: 5 * time.Second,
		Alerts:   append(replyAlerts(), dataAlerts()...),
	}
}

// replyAlerts fire for the classes of error replies. A live Redis sends them, and a restart makes each of them worse.
func replyAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisLoadingLong", Severity: Warning, For: 2 * time.Minute,
			Expr:    replied("loading"),
			Summary: "Redis {{ $labels.service }} has been loading its data for more than two minutes",
			Description: `{{ $labels.service }} reads its data set into memory and serves nobody yet. A restart would begin again from zero, so
					redis-medic waits. Check that systemd's start timeout is longer than the load.`,
		},
		{
			Name: "RedisMisconf", Severity: Critical,
			Expr:    replied("misconf"),
			Summary: "Redis {{ $labels.service }} refuses writes",
			Description: `{{ $labels.service }} could not save its data and refuses writes (MISCONF). A restart would lose what is not saved, so
					redis-medic does not act: free disk space or repair the permissions, then run BGSAVE.`,
		},
		{
			Name: "RedisMaxClients", Severity: Critical,
			Expr:    replied("maxclients"),
			Summary: "Redis {{ $labels.service }} turns new clients away",
			Description: `{{ $labels.service }} has as many clients as it may have. A restart would bring them all back at once, so redis-medic
					does not act: find the client that leaks connections, or raise maxclients.`,
		},
		{
			Name: "RedisAuthRefused", Severity: Warning, For: 30 * time.Second,
			Expr:    replied("noauth|noperm"),
			Summary: "Redis {{ $labels.service }} refuses redis-medic's credentials",
			Description: `{{ $labels.service }} is alive but refuses our user or password, so its health cannot be measured. Compare
					redis.username and redis.password_file with the ACL of the server.`,
		},
		{
			Name: "RedisMasterDown", Severity: Critical, For: 15 * time.Second,
			Expr:    replied("masterdown"),
			Summary: "The replica {{ $labels.service }} has lost its master and serves no reads",
			Description: `{{ $labels.service }} answers MASTERDOWN. The fault is at its master; restarting the replica would only force a full
					synchronisation, so redis-medic does not act here.`,
		},
		{
			Name: "RedisProbeFailing", Severity: Warning, For: 30 * time.Second,
			Expr:    replied("dns|tls|unreachable|protocol"),
			Summary: "redis-medic cannot speak to Redis {{ $labels.service }}",
			Description: `The way to {{ $labels.service }} is broken on our side or in between: name resolution, TLS, routing, or something else
					listens on that port. This says nothing about Redis, so nothing is done to it.`,
		},
	}
}

func dataAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisSlow", Severity: Warning, For: 30 * time.Second,
			Expr: over(`min by (service) (min_over_time(redis_ping_duration_seconds[30s]))`, "ping_seconds", Warning) +
				"\nand on (service)\n  (" + replied("pong") + ")",
			Summary: "Redis {{ $labels.service }} answers slowly",
			Description: `Every PING of the last minute took longer than the threshold ({{ $value | humanizeDuration }}). Look for slow
					commands, swapping, a running fork, or a busy host.`,
		},
		{
			Name: "RedisPersistenceFailing", Severity: Warning, For: 30 * time.Second,
			Expr: "(\n  min by (service) (redis_rdb_last_bgsave_status) == 0\n    or\n  min by (service) (redis_aof_last_write_status) == 0\n)\n" +
				"unless on (service)\n  (" + replied("misconf") + ")",
			Summary: "Redis {{ $labels.service }} cannot save its data",
			Description: `The last background save or append-only write of {{ $labels.service }} failed. Unsaved changes are lost with the
					process, so do not restart it: check disk space, permissions and the Redis log.`,
		},
		{
			Name: "RedisReplicationBroken", Severity: Warning, For: 30 * time.Second,
			Expr:    `min by (service) (redis_master_link_up) == 0`,
			Summary: "The replica {{ $labels.service }} is not connected to its master",
			Description: `{{ $labels.service }} is a replica without a link to its master and serves data that grows old. Check the master,
					the network between them and masterauth.`,
		},
		{
			Name: "RedisReplicaLost", Severity: Warning, Keep: 5 * time.Minute,
			Expr:    `max by (service) (delta(redis_connected_slaves[2m])) <= -0.5`,
			Summary: "Redis {{ $labels.service }} has lost a replica",
			Description: `Fewer replicas are connected to {{ $labels.service }} than two minutes ago. A failover has fewer candidates, and a
					returning replica may need a full synchronisation.`,
		},
	}
}

// resourceGroup holds the performance thresholds of the configuration. Where both severities are exceeded, Alertmanager's
// inhibition hides the warning.
func resourceGroup() Group {
	g := Group{Name: "redis_resources", Interval: 15 * time.Second}
	for _, sev := range []Severity{Warning, Critical} {
		g.Alerts = append(g.Alerts,
			Alert{
				Name: "RedisMemoryHigh", Severity: sev, For: time.Minute,
				Expr:    over(`max by (service) (redis_memory_used_bytes)`, "memory_bytes", sev),
				Summary: fmt.Sprintf("Redis {{ $labels.service }} uses more memory than its %s threshold", sev),
				Description: `{{ $labels.service }} uses {{ $value | humanize1024 }}B. Look for big keys and missing expiry times, or raise the
					threshold when the growth is wanted.`,
			},
			Alert{
				Name: "RedisCPUHigh", Severity: sev, For: time.Minute,
				Expr: over(`100 * max by (service) (rate(redis_cpu_user_seconds_total[1m]) + rate(redis_cpu_sys_seconds_total[1m]))`,
					"cpu_percent", sev),
				Summary: fmt.Sprintf("Redis {{ $labels.service }} uses more CPU than its %s threshold", sev),
				Description: `{{ $labels.service }} uses {{ $value | humanize }} % of one core. Commands are served by one thread: look for
					expensive commands in the slow log.`,
			},
			Alert{
				Name: "RedisConnectionsHigh", Severity: sev, For: 30 * time.Second,
				Expr:    over(`max by (service) (redis_connected_clients)`, "connections", sev),
				Summary: fmt.Sprintf("Redis {{ $labels.service }} has more connections than its %s threshold", sev),
				Description: `{{ $value | humanize }} clients are connected to {{ $labels.service }}. Look for clients that do not give their
					connections back.`,
			},
		)
	}
	g.Alerts = append(g.Alerts, limitAlerts()...)
	return g
}

// limitAlerts compares with limits of Redis itself, where it has one.
func limitAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisMemoryNearLimit", Severity: Warning, For: time.Minute,
			Expr: over("(\n  max by (service) (redis_memory_used_bytes)\n    /\n  (max by (service) (redis_memory_max_bytes) > 0)\n)",
				"memory_ratio", Warning),
			Summary: "Redis {{ $labels.service }} is close to its maxmemory",
			Description: `{{ $labels.service }} uses {{ $value | humanizePercentage }} of maxmemory. At the limit it evicts keys or refuses
				writes, depending on maxmemory-policy.`,
		},
		{
			Name: "RedisConnectionsNearLimit", Severity: Warning, For: 30 * time.Second,
			Expr: over("(\n  max by (service) (redis_connected_clients)\n    /\n  (max by (service) (redis_max_clients) > 0)\n)",
				"connections_ratio", Warning),
			Summary:     "Redis {{ $labels.service }} is close to its maxclients",
			Description: `{{ $labels.service }} has {{ $value | humanizePercentage }} of its maxclients. At the limit it turns new clients away.`,
		},
		{
			Name: "RedisConnectionsRejected", Severity: Warning, Keep: 5 * time.Minute,
			Expr:        `max by (service) (increase(redis_rejected_connections_total[2m])) > 0`,
			Summary:     "Redis {{ $labels.service }} has turned clients away",
			Description: `{{ $labels.service }} refused about {{ $value | humanize }} connections in the last two minutes because of maxclients.`,
		},
	}
}

// unitGroup holds what systemd says beside "down", and the verdict as a safety net for causes that have no alert of their own.
func unitGroup() Group {
	return Group{
		Name:     "redis_unit",
		Interval: 15 * time.Second,
		Alerts:   slices.Concat(hostAlerts(), unitAlerts(), verdictAlerts()),
	}
}

func hostAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisHostAccessLost", Severity: Warning, For: time.Minute,
			Expr:    hostGone + "\nunless on (service)\n  " + nobodyThere,
			Summary: "redis-medic cannot log in to the host of Redis {{ $labels.service }}",
			Description: `Redis {{ $labels.service }} answers, but SSH to its host fails: should Redis fail now, it could not be repaired from
					here. Run redis-medic doctor; it names the broken step.`,
		},
		{
			Name: "RedisHostKeyChanged", Severity: Critical,
			Expr:    because("host_key_changed"),
			Summary: "The host of Redis {{ $labels.service }} shows another key than the known one",
			Description: `Either the host was installed anew or somebody stands in between. redis-medic does not log in and repairs nothing there
					until a person has compared the key and put it into known_hosts.`,
		},
		{
			Name: "RedisHostAccessDenied", Severity: Warning, For: 30 * time.Second,
			Expr:    because("host_auth|host_denied"),
			Summary: "redis-medic may not do its work on the host of Redis {{ $labels.service }}",
			Description: `The host answers but refuses our key or one of our commands: should Redis fail now, it could not be repaired. Run
					redis-medic doctor; it prints the missing line.`,
		},
	}
}

func unitAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisUnitMasked", Severity: Warning,
			Expr:    `max by (service) (systemd_unit_load_state{state="masked"}) == 1`,
			Summary: "The unit of Redis {{ $labels.service }} is masked",
			Description: `Somebody masked the unit of {{ $labels.service }}, which forbids every start. redis-medic respects that and never
					unmasks.`,
		},
		{
			Name: "RedisUnitMissing", Severity: Critical,
			Expr:    `max by (service) (systemd_unit_load_state{state=~"not-found|bad-setting|error"}) == 1`,
			Summary: "systemd cannot load the unit of Redis {{ $labels.service }}",
			Description: `The unit of {{ $labels.service }} does not exist on its host or has an error in it. Compare service.systemd_unit with
					systemctl list-unit-files.`,
		},
		{
			Name: "RedisUnitStuck", Severity: Critical, For: 2 * time.Minute,
			Expr: `(max by (service) (systemd_unit_state{state=~"activating|deactivating|reloading"}) == 1)` +
				"\nunless on (service)\n  (" + replied("pong|loading") + ")",
			Summary: "The unit of Redis {{ $labels.service }} is stuck between two states",
			Description: `systemd has been starting or stopping {{ $labels.service }} for two minutes. Debian's unit waits for ever when Redis
					refuses to stop; redis-medic never queues a second job. The status text of the unit says what Redis waits for.`,
		},
		{
			Name: "RedisFlapping", Severity: Warning, Keep: 10 * time.Minute,
			Expr:    `max by (service) (resets(redis_uptime_in_seconds[10m])) >= 3`,
			Summary: "Redis {{ $labels.service }} keeps restarting",
			Description: `{{ $labels.service }} was started {{ $value }} times within ten minutes, by whomever. Each single start looks like a
					success; the cause is in the Redis log and in the exit status of the unit.`,
		},
	}
}

func verdictAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisHealthCritical", Severity: Critical, For: time.Minute,
			Expr:    `max by (service) (redis_health_status{status="critical"}) == 1`,
			Summary: "Redis {{ $labels.service }} is in a critical state",
			Description: `The verdict on {{ $labels.service }} has been critical for a minute and no more precise alert says why. Its reasons are
					on the panel and in GET /api/services/{{ $labels.service }}/health.`,
		},
		{
			Name: "RedisDegraded", Severity: Warning, For: 5 * time.Minute,
			Expr:    `max by (service) (redis_health_status{status="degraded"}) == 1`,
			Summary: "Redis {{ $labels.service }} is degraded",
			Description: `{{ $labels.service }} has worked with reduced performance for five minutes. Its reasons are on the panel and in GET
					/api/services/{{ $labels.service }}/health.`,
		},
		{
			Name: "RedisHealthUnknown", Severity: Warning, For: 2 * time.Minute,
			Expr:    `max by (service) (redis_health_status{status="unknown"}) == 1`,
			Summary: "The health of Redis {{ $labels.service }} is not known",
			Description: `For two minutes redis-medic could not tell whether {{ $labels.service }} is well. Nothing is repaired on a guess: run
					redis-medic doctor.`,
		},
	}
}
