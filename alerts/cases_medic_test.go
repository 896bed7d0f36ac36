package alerts_test

import "fmt"

func recoveries(level, result string) string {
	return fmt.Sprintf(`redis_medic_recoveries_total{service="redis",level=%q,result=%q}`, level, result)
}

func recoveryCases() []ruleCase {
	return []ruleCase{
		{alert: "RedisRecoveryAttempted", name: "fires for five minutes after an act", step: 5,
			series: map[string]string{recoveries("standard", "success"): "0*10 1"},
			at:     []moment{at(45), at(50, "RedisRecoveryAttempted/warning"), at(400)}},
		{alert: "RedisRecoveryFailed", name: "fires when a step did not help", step: 5,
			series: map[string]string{recoveries("hard", "failure"): "0*10 1"},
			at:     []moment{at(45), at(50, "RedisRecoveryAttempted/warning", "RedisRecoveryFailed/critical"), at(400)}},
		{alert: "RedisManualInterventionRequired", name: "fires until an administrator resets it",
			series: map[string]string{`redis_medic_manual_intervention_required{service="redis"}`: "0*5 1*5 0"},
			at:     []moment{at(4), at(5, "RedisManualInterventionRequired/critical"), at(10)}},
		{alert: "RedisRecoveryLoop", name: "fires at the third recovery within five minutes", step: 5,
			series: map[string]string{recoveries("standard", "success"): "0*10 1*10 2*10 3"},
			at: []moment{at(145, "RedisRecoveryAttempted/warning"),
				at(150, "RedisRecoveryAttempted/warning", "RedisRecoveryLoop/critical"), at(900)}},
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
	return []ruleCase{
		{alert: "RedisMedicWatchdog", name: "always fires", series: map[string]string{"up": "1"},
			at: []moment{at(0, "RedisMedicWatchdog/info"), at(60, "RedisMedicWatchdog/info")}},
	}
}

func sloCases() []ruleCase {
	requests := func(code string) string {
		return fmt.Sprintf(`redis_medic_http_requests_total{component="controlapi",handler="status",code=%q}`, code)
	}
	return []ruleCase{
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "pages when two per cent of requests fail, and ends window by window", step: 120,
			series: map[string]string{requests("200"): "0+98", requests("500"): "0*90 0+2*150 298"},
			at: []moment{at(10000), at(7*3600, burn("critical/1h"), burn("critical/6h"), burn("warning/1d"), burn("warning/3d")),
				at(9*3600, burn("warning/1d"), burn("warning/3d")), at(11*3600, burn("warning/3d")), at(16 * 3600)}},
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "rests while one request in two thousand fails", step: 120,
			series: map[string]string{requests("200"): "0+1999", requests("500"): "0+1"},
			at:     []moment{at(4 * 3600)}},
		{alert: "RedisMedicAPIErrorBudgetBurn", name: "rests while nobody asks", step: 120,
			series: map[string]string{requests("200"): "5"},
			at:     []moment{at(4 * 3600)}},
	}
}

func burn(rule string) string { return "RedisMedicAPIErrorBudgetBurn/" + rule }
