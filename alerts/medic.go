package alerts

import (
	"fmt"
	"time"
)

// held is true of services on which automatic recovery is on hold for a reason.
func held(reason string) string {
	return `max by (service) (redis_service_hold{reason="` + reason + `"}) == 1`
}

// recoveryGroup tells people what redis-medic did and why it does not act.
func recoveryGroup() Group {
	return Group{
		Name:     "redis_medic_recovery",
		Interval: 5 * time.Second,
		Alerts:   append(actAlerts(), restraintAlerts()...),
	}
}

func actAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisRecoveryAttempted", Severity: Warning,
			Expr:    `sum by (service, level) (increase(redis_medic_recovery_attempts_total[5m])) > 0`,
			Summary: "redis-medic acted on Redis {{ $labels.service }} ({{ $labels.level }})",
			Description: `Automatic recovery of level {{ $labels.level }} ran on {{ $labels.service }} within the last five minutes. The timeline of
					the incident says what was seen, done and verified.`,
		},
		{
			Name: "RedisRecoveryFailed", Severity: Critical,
			Expr:    `sum by (service, level) (increase(redis_medic_recoveries_total{result="failure"}[5m])) > 0`,
			Summary: "Automatic recovery of Redis {{ $labels.service }} failed ({{ $labels.level }})",
			Description: `The step {{ $labels.level }} did not bring {{ $labels.service }} back. redis-medic goes on to the next step that can work,
					or gives up and asks for a person. The incident holds the evidence.`,
		},
		{
			Name: "RedisManualInterventionRequired", Severity: Critical,
			Expr:    `max by (service) (redis_medic_manual_intervention_required) == 1`,
			Summary: "Manual intervention required: Redis {{ $labels.service }}",
			Description: `redis-medic has given up on {{ $labels.service }} and will not act again until an administrator resets it. Read the
					evidence of the incident, repair the cause, then reset automatic recovery.`,
		},
		{
			Name: "RedisRecoveryLoop", Severity: Critical,
			Expr:    `sum by (service) (increase(redis_medic_recoveries_total{result="success"}[5m])) > 2.5`,
			Summary: "Redis {{ $labels.service }} is recovered again and again",
			Description: `{{ $labels.service }} was brought back about {{ $value | humanize }} times within five minutes and failed each time
					after. redis-medic stops helping, because one more restart cures nothing.`,
		},
	}
}

func restraintAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisBreakerOpen", Severity: Warning,
			Expr:    `max by (service) (redis_medic_breaker_state{state="open"}) == 1`,
			Summary: "Operations on Redis {{ $labels.service }} are suspended",
			Description: `Too many operations on {{ $labels.service }} failed in a row. redis-medic rests, then tries once. An administrator can
					close the breaker earlier.`,
		},
		{
			Name: "RedisRecoveryStorm", Severity: Critical,
			Expr:    held("storm"),
			Summary: "Too many Redis services fail at once; {{ $labels.service }} is not touched",
			Description: `At least half of all services fail at the same moment, which is more likely the network or redis-medic's own machine.
					Nothing is restarted. Check the network between redis-medic and the hosts.`,
		},
		{
			Name: "RedisAutoRecoveryOff", Severity: Warning, For: 15 * time.Minute,
			Expr:    held("disabled"),
			Summary: "Automatic recovery of Redis {{ $labels.service }} is switched off",
			Description: `{{ $labels.service }} would stay down if it failed now. Switch automatic recovery on again when there is no reason
					against it.`,
		},
	}
}

// holdGroup tells that a person wants it so. Alertmanager mutes a service by these, so they must be as fast as the alerts that
// they mute.
func holdGroup() Group {
	return Group{
		Name:     "redis_medic_holds",
		Interval: time.Second,
		Alerts: []Alert{
			{
				Name: "RedisStoppedByOperator", Severity: Info,
				Expr:        held("stopped_by_operator"),
				Summary:     "Redis {{ $labels.service }} was stopped by a person",
				Description: `{{ $labels.service }} was stopped on purpose and stays stopped until somebody starts it. Its other alerts are muted.`,
			},
			{
				Name: "RedisMaintenance", Severity: Info,
				Expr:        held("maintenance"),
				Summary:     "Redis {{ $labels.service }} is in maintenance",
				Description: `A maintenance window is open for {{ $labels.service }}. Its other alerts are muted and nothing is repaired until it ends.`,
			},
		},
	}
}

// chainGroup watches the chain that watches Redis: what is broken here is not seen when it is needed.
func chainGroup() Group {
	return Group{
		Name:     "redis_medic_chain",
		Interval: 15 * time.Second,
		Alerts: append(heartbeatAlerts(), []Alert{
			{
				Name: "RedisMedicProbeStalled", Severity: Critical,
				Expr: `time() - max by (service) (redis_health_check_timestamp_seconds{check="connectivity"}) > 180`,
				For:  30 * time.Second, Summary: "Redis {{ $labels.service }} is no longer probed",
				Description: `The last PING to {{ $labels.service }} was sent {{ $value | humanizeDuration }} ago. What the metrics say of it is old.
					Look at the log of redis-medic and restart it.`,
			},
			{
				Name: "RedisMedicCrashLooping", Severity: Critical, Self: true, Keep: 10 * time.Minute,
				Expr:    `max by (job) (changes(process_start_time_seconds{job="redis-medic"}[15m])) > 2`,
				Summary: "redis-medic keeps restarting",
				Description: `redis-medic was started {{ $value }} times within fifteen minutes. Incidents survive a restart, but each one costs
					seconds. Its journal says why it ended.`,
			},
			{
				Name: "RedisMedicAuditFailing", Severity: Critical, Self: true, Keep: time.Minute,
				Expr: `sum(increase(redis_medic_audit_write_failures_total[2m])) > 0` + "\nor\n" +
					`max(redis_service_hold{reason="audit_failed"}) == 1`,
				Summary: "The audit log cannot be written",
				Description: `redis-medic cannot record what it does, so it refuses acts of people and does none itself. Free the disk that holds
					the audit log and the store; it resumes by itself.`,
			},
			{
				Name: "RedisMedicConfigRejected", Severity: Warning, Self: true, For: time.Minute,
				Expr:    `min(redis_medic_config_last_reload_successful) == 0`,
				Summary: "redis-medic runs with an old configuration",
				Description: `The configuration file on disk has a fault, so the last good one is still in force. redis-medic check-config lists all
					faults with their lines.`,
			},
			certificateEnds(Info, 30, 7),
			certificateEnds(Warning, 7, 1),
			certificateEnds(Critical, 1, 0),
			{
				Name: "RedisMedicNoLeader", Severity: Critical, Self: true, For: time.Minute,
				Expr:    `sum(redis_medic_leader) == 0`,
				Summary: "No redis-medic leads",
				Description: `Several processes share a database and none of them holds its lease, so nothing is repaired and the control API
					does not answer. The database cannot be reached, is full or refuses writes.`,
			},
			{
				Name: "RedisMedicRulesFailing", Severity: Critical, Self: true, Keep: time.Minute,
				Expr:    `sum(increase(prometheus_rule_evaluation_failures_total{rule_group=~".*redis_.*"}[2m])) > 0`,
				Summary: "Prometheus cannot evaluate the rules of redis-medic",
				Description: `Evaluations of the rule groups of redis-medic fail, so outages may go unseen. Prometheus names the rule on its page
					/rules.`,
			},
		}...),
	}
}

// certificateEnds warns so many days before the certificate of a listener ends, and no more from so many on; 0: for ever.
func certificateEnds(severity Severity, before, until int) Alert {
	expr := fmt.Sprintf("min by (component) (redis_medic_certificate_end_timestamp_seconds - time()) / 86400 < %d", before)
	if until > 0 {
		expr += fmt.Sprintf(" > %d", until)
	}
	return Alert{
		Name: "RedisMedicCertificateEnds", Severity: severity, Self: true, For: time.Minute,
		Expr:    expr,
		Summary: "A certificate of redis-medic ends soon",
		Description: `The certificate of the {{ $labels.component }} listener ends in {{ printf "%.1f" $value }} days. Put a new one in the place that
			the web configuration names; it is taken without a restart. An expired one is served on, but clients refuse it.`,
	}
}

// heartbeatAlerts watch the way from Prometheus over Alertmanager to the webhook.
func heartbeatAlerts() []Alert {
	return []Alert{
		{
			Name: "RedisMedicWatchdog", Severity: Info, Self: true,
			Expr:    `vector(1)`,
			Summary: "The alert chain is alive",
			Description: `This alert always fires. It travels from Prometheus through Alertmanager to redis-medic; when it stops arriving,
				RedisMedicChainBroken tells.`,
		},
		{
			Name: "RedisMedicChainBroken", Severity: Critical, Self: true, For: 2 * time.Minute,
			Expr: `time() - max(redis_medic_webhook_last_timestamp_seconds) > 180` + "\nor\n" +
				`absent(redis_medic_webhook_last_timestamp_seconds)` + "\n  and on ()\n" + `(max(up{job="redis-medic"}) == 1)`,
			Summary: "Alerts no longer reach redis-medic",
			Description: `The heartbeat has not arrived for minutes. redis-medic still reads Alertmanager every few seconds, but the webhook is
				broken: compare its URL, its token and the log of Alertmanager.`,
		},
		{
			Name: "RedisMedicWebhookFailing", Severity: Critical, Self: true, Keep: time.Minute,
			Expr: `sum(increase(alertmanager_notifications_failed_total{integration="webhook"}[2m])) > 0` + "\nor\n" +
				`sum(increase(redis_medic_webhook_requests_total{code=~"5.."}[2m])) > 0`,
			Summary: "Alertmanager cannot deliver to redis-medic",
			Description: `Deliveries to the webhook fail. Alertmanager repeats them; redis-medic also asks it by itself. 401 is a wrong token, 503
				a store that cannot be written, no answer a wrong address.`,
		},
		{
			Name: "RedisMedicWebhookDenied", Severity: Warning, Self: true, Keep: 5 * time.Minute,
			Expr:    `sum(increase(redis_medic_webhook_requests_total{code=~"401|403"}[5m])) > 0`,
			Summary: "Somebody calls the webhook without the right token",
			Description: `About {{ $value | humanize }} requests to the webhook had no valid token in the last five minutes. Either Alertmanager's
				credentials_file is out of date, or somebody else knocks.`,
		},
		{
			Name: "RedisMedicAlertmanagerUnread", Severity: Warning, Self: true, For: time.Minute,
			Expr:    `time() - max(redis_medic_reconcile_last_timestamp_seconds) > 60`,
			Summary: "redis-medic cannot read Alertmanager's alerts",
			Description: `The last reading of Alertmanager's active alerts is {{ $value | humanizeDuration }} old. Without it silences are not seen and
				a lost webhook is not made up for. Check remediator.alertmanager.url.`,
		},
		{
			Name: "RedisMedicNotificationsFailing", Severity: Critical, Self: true, Keep: time.Minute,
			Expr: `sum(increase(prometheus_notifications_errors_total[2m])) > 0` + "\nor\n" +
				`sum(increase(prometheus_notifications_dropped_total[2m])) > 0`,
			Summary:     "Prometheus cannot send alerts to Alertmanager",
			Description: `Alerts are lost between Prometheus and Alertmanager: neither redis-medic nor a person hears of an outage by this way.`,
		},
	}
}
