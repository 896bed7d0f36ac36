// Package metric owns the name, help, type and labels of every metric that the exporter publishes about Redis, its unit and its
// health. Rules, dashboards and the reference in the documentation take the names from here, so that a name exists once. It is a
// leaf: it knows nothing of how values are obtained.
package metric

// Type is the Prometheus type of a family.
type Type uint8

// The types in use.
const (
	Gauge Type = iota
	Counter
	Summary
	Histogram
)

// String returns the word of the text format.
func (t Type) String() string { return [...]string{"gauge", "counter", "summary", "histogram"}[t] }

// Desc describes one family. Every family of this package also carries the label "service" in front of its own Labels, except
// the ones of the exporter itself.
type Desc struct {
	Name   string
	Help   string
	Type   Type
	Labels []string
}

// LabelService is the label that tells the services apart: the service id of the configuration.
const LabelService = "service"

// Health, as redis-medic sees it. These names are its own.
const (
	Up                       = "redis_up"
	PingReply                = "redis_ping_reply"
	PingDuration             = "redis_ping_duration_seconds"
	HealthStatus             = "redis_health_status"
	HealthReason             = "redis_health_reason"
	HealthCheckSuccess       = "redis_health_check_success"
	HealthCheckDuration      = "redis_health_check_duration_seconds"
	HealthCheckFailures      = "redis_health_check_consecutive_failures"
	HealthCheckTimestamp     = "redis_health_check_timestamp_seconds"
	HealthThreshold          = "redis_health_threshold"
	HostReachable            = "redis_host_reachable"
	CollectorSuccess         = "redis_collector_success"
	CollectorDuration        = "redis_collector_duration_seconds"
	LastAnswer               = "redis_last_answer_timestamp_seconds"
	UnitState                = "systemd_unit_state"
	UnitInfo                 = "systemd_unit_info"
	UnitLoadState            = "systemd_unit_load_state"
	UnitSubState             = "systemd_unit_sub_state"
	UnitStartTime            = "systemd_unit_start_time_seconds"
	UnitTasksCurrent         = "systemd_unit_tasks_current"
	UnitTasksMax             = "systemd_unit_tasks_max"
	UnitCPU                  = "systemd_unit_cpu_seconds_total"
	UnitMemory               = "systemd_unit_memory_bytes"
	UnitActiveEnter          = "systemd_unit_active_enter_time_seconds"
	UnitInactiveEnter        = "systemd_unit_inactive_enter_time_seconds"
	UnitActiveExit           = "systemd_unit_active_exit_time_seconds"
	UnitInactiveExit         = "systemd_unit_inactive_exit_time_seconds"
	UnitJobPending           = "systemd_unit_job_pending"
	UnitReadSuccess          = "systemd_unit_read_success"
	UnitReadDuration         = "systemd_unit_read_duration_seconds"
	ServiceRestartTotal      = "systemd_service_restart_total"
	ServiceResult            = "systemd_service_result"
	ServiceMainExitCode      = "systemd_service_main_exit_code"
	ServiceMainExitStatus    = "systemd_service_main_exit_status"
	ServiceStartLimitHit     = "systemd_service_start_limit_hit"
	ServiceStartLimitBurst   = "systemd_service_start_limit_burst"
	ServiceStartLimitSeconds = "systemd_service_start_limit_interval_seconds"
	ServiceStatus            = "systemd_service_status"
	ServiceWatchdog          = "systemd_service_watchdog_seconds"
	ServiceWatchdogPing      = "systemd_service_watchdog_last_ping_time_seconds"
	ServiceIPInBytes         = "systemd_service_ip_ingress_bytes"
	ServiceIPInPackets       = "systemd_service_ip_ingress_packets_total"
	ServiceIPOutBytes        = "systemd_service_ip_egress_bytes"
	ServiceIPOutPackets      = "systemd_service_ip_egress_packets_total"
	SystemdVersion           = "systemd_version"
	SystemdBootTime          = "systemd_boot_time_seconds"
	SystemdBootMonotonic     = "systemd_boot_monotonic_seconds"
	SystemdWatchdogEnabled   = "systemd_watchdog_enabled"
	SystemdWatchdogRuntime   = "systemd_watchdog_runtime_seconds"
	SystemdWatchdogPing      = "systemd_watchdog_last_ping_time_seconds"
	SystemdWatchdogMonotonic = "systemd_watchdog_last_ping_monotonic_seconds"
)

// Signals of HealthThreshold: which measured value a threshold belongs to.
const (
	SignalPingFailures     = "ping_failures"
	SignalUnitFailures     = "unit_failures"
	SignalPingSeconds      = "ping_seconds"
	SignalMemoryBytes      = "memory_bytes"
	SignalMemoryRatio      = "memory_ratio"
	SignalCPUPercent       = "cpu_percent"
	SignalConnections      = "connections"
	SignalConnectionsRatio = "connections_ratio"
)

// Severities of HealthThreshold.
const (
	SeverityWarning  = "warning"
	SeverityCritical = "critical"
)

// Signals lists every signal of HealthThreshold.
func Signals() []string {
	return []string{
		SignalPingFailures, SignalUnitFailures, SignalPingSeconds, SignalMemoryBytes, SignalMemoryRatio, SignalCPUPercent,
		SignalConnections, SignalConnectionsRatio,
	}
}

// unitLabels are systemd_exporter's: the unit's full name and the suffix of it ("service").
var unitLabels = []string{"name", "type"}

var own = []Desc{
	{Up, "Whether a Redis process answered the last PING, if only with an error reply.", Gauge, nil},
	{PingReply, "The class of the answer to the last PING: 1 for the class it had, 0 for all others.", Gauge, []string{"reply"}},
	{PingDuration, "How long the last answered PING took.", Gauge, nil},
	{HealthStatus, "The verdict on the service: 1 for the status it has, 0 for all others.", Gauge, []string{"status"}},
	{HealthReason, "Why the verdict is what it is: 1 for every reason that is shown, 0 for all others.", Gauge, []string{"code"}},
	{HealthCheckSuccess, "Whether the last run of a check passed: 1 for pass and warning, 0 for fail and unknown.", Gauge, []string{"check"}},
	{HealthCheckDuration, "How long the last run of a check took.", Gauge, []string{"check"}},
	{HealthCheckFailures, "How many runs of a check have failed in a row.", Gauge, []string{"check"}},
	{HealthCheckTimestamp, "When a check was last run, in seconds since the epoch.", Gauge, []string{"check"}},
	{HealthThreshold, "The configured threshold of a signal. Absent where it is switched off.", Gauge, []string{"signal", "severity"}},
	{HostReachable, "Whether the host of the service can be reached over SSH. Absent while nobody has tried.", Gauge, nil},
	{CollectorSuccess, "Whether a part of the last scrape of Redis succeeded.", Gauge, []string{"collector"}},
	{CollectorDuration, "How long after the start of the last scrape of Redis a part of it had arrived.", Gauge, []string{"collector"}},
	{LastAnswer, "When Redis last answered a PING with PONG, in seconds since the epoch.", Gauge, nil},

	{UnitState, "The active state of the unit: 1 for the state it is in, 0 for all others. Absent while systemd cannot be asked.", Gauge, []string{"name", "type", "state"}},
	{UnitInfo, "What kind of unit it is.", Gauge, []string{"name", "type", "mount_type", "service_type"}},
	{UnitLoadState, "Whether systemd could load the unit: 1 for the load state it has, 0 for all others.", Gauge, []string{"name", "type", "state"}},
	{UnitSubState, "The sub-state of the unit: 1 for the sub-state it is in, 0 for all others.", Gauge, []string{"name", "type", "state"}},
	{UnitStartTime, "When the unit became active, in seconds since the epoch; 0 while it is not active.", Gauge, unitLabels},
	{UnitTasksCurrent, "The number of tasks of the unit.", Gauge, []string{"name"}},
	{UnitTasksMax, "The most tasks that the unit may have.", Gauge, unitLabels},
	{UnitCPU, "CPU time that the unit has used since it became active.", Counter, []string{"name", "type", "mode"}},
	{UnitMemory, "Memory that the unit uses, as its control group accounts it.", Gauge, unitLabels},
	{UnitActiveEnter, "When the unit last became active, in seconds since the epoch.", Gauge, unitLabels},
	{UnitInactiveEnter, "When the unit last became inactive, in seconds since the epoch.", Gauge, unitLabels},
	{UnitActiveExit, "When the unit last stopped being active, in seconds since the epoch.", Gauge, unitLabels},
	{UnitInactiveExit, "When the unit last stopped being inactive, in seconds since the epoch.", Gauge, unitLabels},
	{UnitJobPending, "Whether systemd has a job queued for the unit.", Gauge, unitLabels},
	{UnitReadSuccess, "Whether the last attempt to read the unit's state succeeded.", Gauge, nil},
	{UnitReadDuration, "How long the last attempt to read the unit's state took.", Gauge, nil},
	{ServiceRestartTotal, "How often systemd has restarted the service by itself.", Counter, []string{"name"}},
	{ServiceResult, "How the service last ended: 1 for the result it had, 0 for all others.", Gauge, []string{"name", "result"}},
	{ServiceMainExitCode, "How the main process last ended: 0 not yet, 1 exited, 2 killed, 3 dumped core.", Gauge, []string{"name"}},
	{ServiceMainExitStatus, "The exit status of the main process, or the signal that ended it.", Gauge, []string{"name"}},
	{ServiceStartLimitHit, "Whether systemd has given up on the service because it was started too often.", Gauge, []string{"name"}},
	{ServiceStartLimitBurst, "How many starts within the interval systemd allows.", Gauge, []string{"name"}},
	{ServiceStatus, "What the service says of itself to systemd, by class: 1 for the class its words are in, 0 for all others.", Gauge, []string{"name", "class"}},
	{ServiceStartLimitSeconds, "The interval in which systemd counts starts.", Gauge, []string{"name"}},
	{ServiceWatchdog, "How often the service must tell systemd that it lives. Absent where it need not.", Gauge, []string{"name"}},
	{ServiceWatchdogPing, "When the service last told systemd that it lives, in seconds since the epoch.", Gauge, []string{"name"}},
	{ServiceIPInBytes, "Bytes that the service received. Absent where systemd does not account for it.", Counter, []string{"name"}},
	{ServiceIPInPackets, "Packets that the service received. Absent where systemd does not account for it.", Counter, []string{"name"}},
	{ServiceIPOutBytes, "Bytes that the service sent. Absent where systemd does not account for it.", Counter, []string{"name"}},
	{ServiceIPOutPackets, "Packets that the service sent. Absent where systemd does not account for it.", Counter, []string{"name"}},
	{SystemdVersion, "The version of systemd on the host of the service, as a number.", Gauge, []string{"version"}},
	{SystemdBootTime, "When the host went through a stage of its boot, in seconds since the epoch.", Gauge, []string{"stage"}},
	{SystemdBootMonotonic, "When the host went through a stage of its boot, on its monotonic clock.", Gauge, []string{"stage"}},
	{SystemdWatchdogEnabled, "Whether systemd on the host keeps a hardware watchdog content.", Gauge, nil},
	{SystemdWatchdogRuntime, "How long the hardware watchdog waits before it resets the host.", Gauge, []string{"device"}},
	{SystemdWatchdogPing, "When systemd last told the hardware watchdog that it lives, in seconds since the epoch.", Gauge, []string{"device"}},
	{SystemdWatchdogMonotonic, "When systemd last told the hardware watchdog that it lives, on the host's monotonic clock.", Gauge, []string{"device"}},
}
