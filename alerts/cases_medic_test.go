package alerts_test

import "fmt"

func recoveries(level, result string) string {
	return fmt.Sprintf(`redis_medic_recoveries_total{service="redis",level=%q,result=%q}`, level, result)
}

func attempts(level string) string {
	return fmt.Sprintf(`redis_medic_recovery_attempts_total{service="redis",level=%q}`, level)
}

func recoveryCases() []ruleCase {
	return []ruleCase{
		{alert: "RedisRecoveryAttempted", name: "fires for five minutes after an act", step: 5,
			series: map[string]string{attempts("standard"): "0*10 1"},
			at:     []moment{at(45), at(50, "RedisRecoveryAttempted/warning"), at(400)}},
		{alert: "RedisRecoveryFailed", name: "fires when a step did not help", step: 5,
			series: map[string]string{recoveries("hard", "failure"): "0*10 1"},
			at:     []moment{at(45), at(50, "RedisRecoveryFailed/critical"), at(400)}},
		{alert: "RedisManualInterventionRequired", name: "fires until an administrator resets it",
			series: map[string]string{`redis_medic_manual_intervention_required{service="redis"}`: "0*5 1*5 0"},
			at:     []moment{at(4), at(5, "RedisManualInterventionRequired/critical"), at(10)}},
		{alert: "RedisRecoveryLoop", name: "fires at the third recovery within five minutes", step: 5,
			series: map[string]string{recoveries("standard", "success"): "0*10 1*10 2*10 3"},
			at:     []moment{at(145), at(150, "RedisRecoveryLoop/critical"), at(600)}},
		{alert: "RedisBreakerOpen", name: "fires while the breaker is open",
			series: map[string]string{`redis_medic_breaker_state{service="redis",state="open"}`: "0*5 1*5 0"},
			at:     []moment{at(4), at(5, "RedisBreakerOpen/warning"), at(10)}},
		{alert: "RedisRecoveryStorm", name: "fires while the storm guard holds",
			series: map[string]string{hold("storm"): "0*5 1*5 0"}, at: []moment{at(4), at(5, "RedisRecoveryStorm/critical"), at(10)}},
		{alert: "RedisAutoRecoveryOff", name: "fires after a quarter of an hour", step: 15,
			series: map[string]string{hold("disabled"): "0*5 1"}, at: []moment{at(960), at(990, "RedisAutoRecoveryOff/warning")}},
		{alert: "RedisStoppedByOperator", name: "fires while a person keeps Redis stopped",
			series: map[string]string{hold("stopped_by_operator"): "0*5 1*5 0"},
			at:     []moment{at(4), at(5, "RedisStoppedByOperator/info"), at(10)}},
		{alert: "RedisMaintenance", name: "fires while a maintenance window is open",
			series: map[string]string{hold("maintenance"): "0*5 1*5 0"}, at: []moment{at(4), at(5, "RedisMaintenance/info"), at(10)}},
	}
}

func chainCases() []ruleCase {
	upSeries, heard := `up{job="redis-medic"}`, `redis_medic_webhook_last_timestamp_seconds`
	counts := func(alert, severity, series string) ruleCase {
		return ruleCase{alert: alert, name: "fires when " + series + " grows", step: 15, series: map[string]string{series: "0*4 3"},
			at: []moment{at(45), at(75, alert+"/"+severity), at(720)}}
	}
	return []ruleCase{
		{alert: "RedisMedicWatchdog", name: "always fires", series: map[string]string{"up": "1"},
			at: []moment{at(0, "RedisMedicWatchdog/info"), at(60, "RedisMedicWatchdog/info")}},
		{alert: "RedisMedicChainBroken", name: "fires when the heartbeat has been away for five minutes", step: 15,
			series: map[string]string{upSeries: "1", heard: "0+15x20 300"},
			at:     []moment{at(570), at(630, "RedisMedicChainBroken/critical")}},
		{alert: "RedisMedicChainBroken", name: "fires when no heartbeat ever arrived", step: 15,
			series: map[string]string{upSeries: "1"},
			at:     []moment{at(105), at(135, "RedisMedicChainBroken/critical")}},
		{alert: "RedisMedicChainBroken", name: "rests while redis-medic itself is not scraped", step: 15,
			series: map[string]string{upSeries: "0"}, at: []moment{at(600)}},
		counts("RedisMedicWebhookFailing", "critical", `alertmanager_notifications_failed_total{integration="webhook"}`),
		counts("RedisMedicWebhookFailing", "critical", `redis_medic_webhook_requests_total{code="503"}`),
		counts("RedisMedicWebhookDenied", "warning", `redis_medic_webhook_requests_total{code="401"}`),
		counts("RedisMedicNotificationsFailing", "critical", `prometheus_notifications_errors_total`),
		counts("RedisMedicNotificationsFailing", "critical", `prometheus_notifications_dropped_total`),
		counts("RedisMedicAuditFailing", "critical", `redis_medic_audit_write_failures_total{sink="store"}`),
		counts("RedisMedicRulesFailing", "critical", `prometheus_rule_evaluation_failures_total{rule_group="/r.yml;redis_critical"}`),
		{alert: "RedisMedicAuditFailing", name: "fires while automatic recovery is held for want of an audit", step: 15,
			series: map[string]string{hold("audit_failed"): "0*4 1"}, at: []moment{at(45), at(60, "RedisMedicAuditFailing/critical")}},
		{alert: "RedisMedicConfigRejected", name: "fires a minute after a bad reload", step: 15,
			series: map[string]string{`redis_medic_config_last_reload_successful`: "1*4 0*8 1"},
			at:     []moment{at(105), at(135, "RedisMedicConfigRejected/warning"), at(180)}},
		{alert: "RedisMedicNoLeader", name: "fires when all wait for the lease for a minute", step: 15,
			series: map[string]string{`redis_medic_leader{instance="a"}`: "1*3 0*12", `redis_medic_leader{instance="b"}`: "0*12 1*3"},
			at:     []moment{at(90), at(120, "RedisMedicNoLeader/critical"), at(195)}},
		{alert: "RedisMedicCertificateEnds", name: "rises as the end comes near", step: 3600,
			series: map[string]string{`redis_medic_certificate_end_timestamp_seconds{component="controlapi"}`: "2678400+0x800"}, // 31 days after the beginning
			at: []moment{at(12 * 3600), at(2*86400, "RedisMedicCertificateEnds/info"), at(25*86400, "RedisMedicCertificateEnds/warning"),
				at(31*86400-3600, "RedisMedicCertificateEnds/critical"), at(32*86400, "RedisMedicCertificateEnds/critical")}},
		{alert: "RedisMedicAlertmanagerUnread", name: "fires when no reading worked for two minutes", step: 15,
			series: map[string]string{`redis_medic_reconcile_last_timestamp_seconds`: "0+15x20 300"},
			at:     []moment{at(405), at(450, "RedisMedicAlertmanagerUnread/warning")}},
		{alert: "RedisMedicProbeStalled", name: "fires when no PING was sent for minutes", step: 15,
			series: map[string]string{`redis_health_check_timestamp_seconds{service="redis",check="connectivity"}`: "0+15x20 300"},
			at:     []moment{at(480), at(540, "RedisMedicProbeStalled/critical")}},
		{alert: "RedisMedicCrashLooping", name: "fires at the third restart within a quarter of an hour", step: 15,
			series: map[string]string{`process_start_time_seconds{job="redis-medic"}`: "1*8 2*8 3*8 4"},
			at:     []moment{at(345), at(375, "RedisMedicCrashLooping/critical"), at(2100)}},
	}
}

func sloCases() []ruleCase {
	route := func(route, code string) string {
		return fmt.Sprintf(`redis_medic_http_requests_total{component="controlapi",method="GET",route=%q,code=%q}`, route, code)
	}
	requests := func(code string) string { return route("/api/services/{id}/status", code) }
	return []ruleCase{
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "pages when two per cent of requests fail, and ends window by window", step: 120,
			series: map[string]string{requests("200"): "0+98", requests("500"): "0*90 0+2*150 298"},
			at: []moment{at(10000), at(7*3600, burn("critical/1h"), burn("critical/6h"), burn("warning/1d"), burn("warning/3d")),
				at(9*3600, burn("warning/1d"), burn("warning/3d")), at(11*3600, burn("warning/3d")), at(16 * 3600)}},
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "rests while one request in two thousand fails", step: 120,
			series: map[string]string{requests("200"): "0+1999", requests("500"): "0+1"},
			at:     []moment{at(4 * 3600)}},
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "rests while operations fail because Redis or its host does", step: 120,
			series: map[string]string{requests("200"): "0+10", route("/api/services/{id}/restart", "500"): "0+10"},
			at:     []moment{at(4 * 3600)}},
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "rests while nobody asks", step: 120,
			series: map[string]string{requests("200"): "5"},
			at:     []moment{at(4 * 3600)}},
	}
}

func burn(rule string) string { return "RedisMedicAPIErrorBudgetBurn/" + rule }
