package metric

// Families of the program itself. They belong to no service and have no label service, and so are not in All.
const (
	ExporterBuildInfo    = "redis_exporter_build_info"
	ExporterScrapes      = "redis_exporter_scrapes_total"
	ExporterDuration     = "redis_exporter_scrape_duration_seconds"
	ExporterRejected     = "redis_target_scrape_request_errors_total"
	ScrapeDuration       = "redis_medic_scrape_duration_seconds"
	ConfigReloaded       = "redis_medic_config_last_reload_successful"
	ConfigReloadedAt     = "redis_medic_config_last_reload_success_timestamp_seconds"
	Leader               = "redis_medic_leader"
	CertificateEnd       = "redis_medic_certificate_end_timestamp_seconds"
	SSHUp                = "redis_medic_ssh_up"
	SSHBusUp             = "redis_medic_ssh_bus_up"
	SSHLastAnswer        = "redis_medic_ssh_last_answer_timestamp_seconds"
	SSHDials             = "redis_medic_ssh_dials_total"
	SSHDialDuration      = "redis_medic_ssh_dial_duration_seconds"
	SSHCommandDuration   = "redis_medic_ssh_command_duration_seconds"
	SSHCommandFailures   = "redis_medic_ssh_command_failures_total"
	SSHSessions          = "redis_medic_ssh_sessions"
	SSHSessionsMax       = "redis_medic_ssh_sessions_max"
	AuditRecords         = "redis_medic_audit_records_total"
	AuditWriteFailures   = "redis_medic_audit_write_failures_total"
	AuditAppendDuration  = "redis_medic_audit_append_duration_seconds"
	AuditLastSeq         = "redis_medic_audit_last_seq"
	AuditForwardFailures = "redis_medic_audit_forward_failures_total"
	AuditForwardLag      = "redis_medic_audit_forward_lag_records"
	HTTPRequests         = "redis_medic_http_requests_total"
	HTTPDuration         = "redis_medic_http_request_duration_seconds"
	HTTPInFlight         = "redis_medic_http_requests_in_flight"
	HTTPAuditFailures    = "redis_medic_http_audit_failures_total"
	HTTPPanics           = "redis_medic_http_panics_total"
	Logins               = "redis_medic_logins_total"
	WebSocketClients     = "redis_medic_websocket_clients"
	WebSocketEvents      = "redis_medic_websocket_events_total"
	WebSocketSlowClients = "redis_medic_websocket_slow_clients_total"
	WebSocketRefused     = "redis_medic_websocket_refused_total"
)

var byHost = []string{"host"}

var program = []Desc{
	{ExporterBuildInfo, "The build of the exporter. Always 1.", Gauge, []string{"version", "commit_sha", "build_date", "golang_version"}},
	{ExporterScrapes, "How often a Redis was scraped.", Counter, nil},
	{ExporterDuration, "How long the scrapes of a Redis took.", Summary, nil},
	{ExporterRejected, "Requests for a target that is not configured, or that came when too many were in flight.", Counter, nil},
	{ScrapeDuration, "How long it took to answer a request for samples.", Histogram, []string{"handler"}},
	{ConfigReloaded, "Whether the last attempt to load the configuration succeeded.", Gauge, nil},
	{ConfigReloadedAt, "When the configuration in force was taken over, in seconds since the epoch.", Gauge, nil},
	{Leader, "Whether this process leads: 0 while another process that shares its database does.", Gauge, nil},
	{CertificateEnd, "When the certificate of the listener ends, in seconds since the epoch.", Gauge, []string{"component"}},
	{SSHUp, "Whether the SSH connection to the host stands.", Gauge, byHost},
	{SSHBusUp, "Whether the host's systemd tells its changes by itself, over D-Bus; else units are read in a rhythm.", Gauge, byHost},
	{SSHLastAnswer, "When the host last answered, in seconds since the epoch. Absent before the first time.", Gauge, byHost},
	{SSHDials, "Attempts to connect to the host: success, or why not.", Counter, []string{"host", "result"}},
	{SSHDialDuration, "How long it took to connect to a host, key exchange and login included. Failed attempts count too.", Histogram, nil},
	{SSHCommandDuration, "How long commands on hosts took, by verb. A read over D-Bus has the verb bus.", Histogram, []string{"verb"}},
	{SSHCommandFailures, "Commands and reads on the host that failed, by class.", Counter, []string{"host", "class"}},
	{SSHSessions, "Commands under way on the host: reads and acts have slots of their own.", Gauge, []string{"host", "kind"}},
	{SSHSessionsMax, "The most commands under way on the host at a time.", Gauge, []string{"host", "kind"}},
	{AuditRecords, "Audit records written durably, by phase.", Counter, []string{"phase"}},
	{AuditWriteFailures, "Failed writes of audit records, by sink.", Counter, []string{"sink"}},
	{AuditAppendDuration, "Time from the request to append an audit record to its durability.", Histogram, nil},
	{AuditLastSeq, "Sequence number of the newest audit record.", Gauge, nil},
	{AuditForwardFailures, "Attempts to forward audit records to the log daemon that failed.", Counter, nil},
	{AuditForwardLag, "Audit records that the log daemon has not been given yet.", Gauge, nil},
	{HTTPRequests, "HTTP requests answered, by method, route and status code.", Counter, []string{"component", "method", "route", "code"}},
	{HTTPDuration, "Time from the first byte of a request to the end of its answer. Event streams are not counted.", Histogram, []string{"component", "method", "route"}},
	{HTTPInFlight, "HTTP requests being answered.", Gauge, []string{"component"}},
	{HTTPAuditFailures, "Audit records of the control API that could not be written.", Counter, []string{"component"}},
	{HTTPPanics, "Requests that ended in a programming error.", Counter, []string{"component"}},
	{Logins, "Logins with a password, by result (success, failure, backoff).", Counter, []string{"result"}},
	{WebSocketClients, "Event stream clients connected now.", Gauge, nil},
	{WebSocketEvents, "Events published on the event stream.", Counter, nil},
	{WebSocketSlowClients, "Event stream clients closed because they did not keep up.", Counter, nil},
	{WebSocketRefused, "Event stream clients refused because of a cap.", Counter, nil},
}

// Program lists every family of the program itself, each once. The slice is the caller's.
func Program() []Desc { return append([]Desc(nil), program...) }
