package metric

// What the remediator publishes: what a person wants of a service, why no act is taken, what was done.
const (
	ServiceDesiredState     = "redis_service_desired_state"
	ServiceHold             = "redis_service_hold"
	MedicRecoveries         = "redis_medic_recoveries_total"
	MedicRecoveryAttempts   = "redis_medic_recovery_attempts_total"
	MedicRungSkipped        = "redis_medic_rung_skipped_total"
	MedicRecoveryHeld       = "redis_medic_recovery_held_total"
	MedicIncidents          = "redis_medic_incidents_total"
	MedicOperations         = "redis_medic_operations_total"
	MedicLadderStepDuration = "redis_medic_ladder_step_duration_seconds"
	MedicOutageDuration     = "redis_medic_outage_duration_seconds"
	MedicBreakerState       = "redis_medic_breaker_state"
	MedicManualIntervention = "redis_medic_manual_intervention_required"
	MedicWebhookRequests    = "redis_medic_webhook_requests_total"
	MedicWebhookDuration    = "redis_medic_webhook_duration_seconds"
	MedicWebhookAlerts      = "redis_medic_webhook_alerts_total"
	MedicWebhookTruncated   = "redis_medic_webhook_truncated_total"
	MedicWebhookLast        = "redis_medic_webhook_last_timestamp_seconds"
	MedicReconciles         = "redis_medic_reconciles_total"
	MedicNotices            = "redis_medic_notices_total"
	MedicOwnDetections      = "redis_medic_own_detections_total"
	MedicChainSilence       = "redis_medic_chain_silence_seconds"
	MedicReconcileLast      = "redis_medic_reconcile_last_timestamp_seconds"
)

var medic = []Desc{
	{ServiceDesiredState, "What a person wants the service to be: 1 for that state, 0 for the other.", Gauge, []string{"state"}},
	{ServiceHold, "Why automatic recovery does not act: 1 for every reason that holds, 0 for all others.", Gauge, []string{"reason"}},
	{MedicRecoveries, "Recoveries by the rung that ended them and their result.", Counter, []string{"level", "result"}},
	{MedicRecoveryAttempts, "Rungs of the recovery ladder that were begun.", Counter, []string{"level"}},
	{MedicRungSkipped, "Rungs that were skipped because they could not help, by reason.", Counter, []string{"level", "reason"}},
	{MedicRecoveryHeld, "Decisions not to act in an incident, by reason.", Counter, []string{"reason"}},
	{MedicIncidents, "Closed incidents by how they ended.", Counter, []string{"status"}},
	{MedicOperations, "Operations that people asked for, by result.", Counter, []string{"operation", "result"}},
	{MedicLadderStepDuration, "How long a rung took, from the act to the verdict.", Histogram, []string{"level", "result"}},
	{MedicOutageDuration, "How long an outage lasted, from the opening of the incident to PONG.", Histogram, nil},
	{MedicBreakerState, "The circuit breaker of the service's operations: 1 for the state it is in, 0 for all others.", Gauge, []string{"state"}},
	{MedicManualIntervention, "Whether automatic recovery has given up and a person is needed.", Gauge, nil},
	{MedicWebhookRequests, "Requests to the webhook by status code.", Counter, []string{"code"}},
	{MedicWebhookDuration, "How long the webhook took to answer.", Histogram, nil},
	{MedicWebhookAlerts, "Alerts in webhook messages: accepted, duplicate or ignored.", Counter, []string{"result"}},
	{MedicWebhookTruncated, "Webhook messages that Alertmanager had cut short.", Counter, nil},
	{MedicWebhookLast, "When the webhook last heard of Alertmanager, in seconds since the epoch. Absent before the first time.", Gauge, nil},
	{MedicReconciles, "Readings of Alertmanager's active alerts by result.", Counter, []string{"result"}},
	{MedicNotices, "Moments of recoveries that were given to Alertmanager for people: sent, failed or dropped.", Counter, []string{"result"}},
	{MedicChainSilence, "Seconds since the alert chain last spoke: since the newest message to the webhook, or since the start when there was none. The heartbeat alert takes the same way, so it stays below about a minute.", Gauge, nil},
	{MedicOwnDetections, "Outages that our own probe confirmed while no alert told of them, by why there was none.", Counter, []string{"why"}},
	{MedicReconcileLast, "When Alertmanager's active alerts were last read, in seconds since the epoch. Absent before the first time.", Gauge, nil},
}

// Help returns the help text of a family of this package. It panics for a name that is in no table: a programming error that the
// first test of any collector finds.
func Help(name string) string {
	for _, d := range append(All(), program...) {
		if d.Name == name {
			return d.Help
		}
	}
	panic("metric: no family is named " + name)
}
