package metric

// What the audit log publishes about itself. These families belong to the program, not to a service: they have no label service,
// and so are not in All.
const (
	AuditRecords        = "redis_medic_audit_records_total"
	AuditWriteFailures  = "redis_medic_audit_write_failures_total"
	AuditAppendDuration = "redis_medic_audit_append_duration_seconds"
	AuditLastSeq        = "redis_medic_audit_last_seq"

	AuditForwardFailures = "redis_medic_audit_forward_failures_total"
	AuditForwardLag      = "redis_medic_audit_forward_lag_records"
)
