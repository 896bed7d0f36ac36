package alerts

import "time"

// held is true of services on which automatic recovery is on hold for a reason.
func held(reason string) string {
	return `max by (service) (redis_service_hold{reason="` + reason + `"}) == 1`
}

// recoveryGroup tells people what redis-medic did and why it does not act. Holds that a person chose are facts, not problems;
// Alertmanager uses them to keep quiet about the service.
func recoveryGroup() Group {
	return Group{
		Name:     "redis_medic_recovery",
		Interval: 5 * time.Second,
		Alerts: []Alert{
			{
				Name: "RedisRecoveryAttempted", Severity: Warning,
				Expr:    `sum by (service, level) (increase(redis_medic_recoveries_total[5m])) > 0`,
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

// chainGroup watches the chain that watches Redis.
func chainGroup() Group {
	return Group{
		Name:     "redis_medic_chain",
		Interval: 15 * time.Second,
		Alerts: []Alert{
			{
				Name: "RedisMedicWatchdog", Severity: Info, Self: true,
				Expr:    `vector(1)`,
				Summary: "The alert chain is alive",
				Description: `This alert always fires. It travels from Prometheus through Alertmanager to redis-medic; when it stops arriving,
					RedisMedicChainBroken tells.`,
			},
		},
	}
}
