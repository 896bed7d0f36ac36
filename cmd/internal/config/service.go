package config

import (
	"maps"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/remediator/host"
)

// Service is one managed Redis: the tree of `redis_service_management` with what its entry in `services` changes.
type Service struct {
	// The name in URLs, labels and messages: a-z, 0-9, "-" and "_". The tree `redis_service_management` is the service `redis`.
	ID   string `key:"id" required:"true" check:"id"`
	Tree `inline:"true"`
}

// Tree is `redis_service_management` of the architecture document (Appendix A).
type Tree struct {
	Service        Target         `key:"service"`
	HealthCheck    HealthCheck    `key:"health_check"`
	Collect        Collect        `key:"collect"`
	AutoRecovery   AutoRecovery   `key:"auto_recovery"`
	ServiceControl ServiceControl `key:"service_control"`
	Permissions    Permissions    `key:"permissions" scope:"all"`
	Audit          Audit          `key:"audit" scope:"all"`
	Cache          Cache          `key:"cache" scope:"all"`
	WebSocket      WebSocket      `key:"websocket" scope:"all"`
	Alerts         Alerts         `key:"alerts" scope:"all"`
	DegradedMode   DegradedMode   `key:"degraded_mode" scope:"all"`
	Redis          Redis          `key:"redis"`
}

// Target says which unit on which host, and where its Redis listens.
type Target struct {
	// How people call the service; shown as `service` in the answer to GET logs.
	Name string `key:"name" required:"true"`
	// The systemd unit that is read and acted on.
	SystemdUnit string `key:"systemd_unit" required:"true" check:"unit"`
	// The entry of `ssh.hosts` that leads to the machine.
	Host string `key:"host" required:"true"`
	// The address of the Redis server, an IP address or a host name.
	IP string `key:"ip" required:"true" check:"host"`
	// The TCP port of the Redis server.
	Port int `key:"port" min:"1" max:"65535"`
	// Redis's own log file on the host; empty: only the journal is read.
	LogFile string `key:"log_file" check:"remotepath"`
	// Redis's data folder on the host, whose free space is diagnosed; empty: only the root file system.
	DataDir string `key:"data_dir" check:"remotepath"`
	// What the service is for, like production or staging; shown in the panel.
	Environment string `key:"environment" check:"id"`
	// Where people read what to do when the service fails; shown in the panel.
	RunbookURL string `key:"runbook_url" check:"url"`
	// Where the service's graphs are; shown in the panel.
	DashboardURL string `key:"dashboard_url" check:"url"`
}

// HealthCheck says how often health is looked at and what counts as a failure.
type HealthCheck struct {
	// Off: the service is not probed in the background; every look is made on demand.
	Enabled bool `key:"enabled"`
	// How often a PING is sent while all is well.
	Interval time.Duration `key:"interval_seconds"`
	// How often a PING is sent after a first failure, until the next success.
	Recheck time.Duration `key:"recheck_seconds"`
	// How long one check may take where it sets no timeout of its own.
	Timeout time.Duration `key:"timeout_seconds"`
	// Consecutive failures before action.
	FailureThreshold int    `key:"failure_threshold" min:"1" max:"100"`
	Checks           Checks `key:"checks"`
}

// Checks are the layers of section 7.1.
type Checks struct {
	Connectivity   CommandCheck     `key:"connectivity"`
	Systemd        CommandCheck     `key:"systemd"`
	Performance    PerformanceCheck `key:"performance"`
	ConnectionPool Check            `key:"connection_pool"`
}

// Check is what all layers have in common. After Load the zero values are resolved.
type Check struct {
	// Off: the layer is not looked at and says nothing.
	Enabled bool `key:"enabled"`
	// How often the layer is looked at.
	Interval time.Duration `key:"interval_seconds"`
	// How long one look may take.
	Timeout time.Duration `key:"timeout_seconds"`
}

// CommandCheck is a layer for which the document writes down a command. The command is not run as written: it must be the
// one that the program runs.
type CommandCheck struct {
	Check `inline:"true"`
	// Consecutive failures before the layer counts as failed.
	FailureThreshold int `key:"failure_threshold" min:"1" max:"100"`
	// Must say what the program does: a PING of this Redis, or is-active of this unit.
	Command Command `key:"command"`
	// Must be "PONG" for connectivity, "active" for systemd.
	ExpectedOutput string `key:"expected_output"`
}

// PerformanceCheck is the layer with thresholds.
type PerformanceCheck struct {
	Check      `inline:"true"`
	Thresholds Thresholds `key:"thresholds"`
}

// Thresholds say how much is too much; 0 switches one off.
type Thresholds struct {
	// used_memory in MiB.
	MemoryMBWarning int `key:"memory_mb_warning" min:"0"`
	// used_memory in MiB.
	MemoryMBCritical int `key:"memory_mb_critical" min:"0"`
	// Percent of `maxmemory`, only where Redis has one.
	MemoryLimitPercent float64 `key:"memory_limit_percent" min:"0" max:"100"`
	// Percent of one core, between two samples.
	CPUPercentWarning float64 `key:"cpu_percent_warning" min:"0" max:"6400"`
	// Percent of one core, between two samples.
	CPUPercentCritical float64 `key:"cpu_percent_critical" min:"0" max:"6400"`
	// Connected clients.
	ConnectionsWarning int `key:"connections_warning" min:"0"`
	// Connected clients.
	ConnectionsCritical int `key:"connections_critical" min:"0"`
	// Percent of `maxclients`.
	ConnectionsLimitPercent float64 `key:"connections_limit_percent" min:"0" max:"100"`
	// A PING that takes longer is slow.
	ResponseMSWarning float64 `key:"response_ms_warning" min:"0" max:"60000"`
	// So many slow PINGs in a row are "consistently".
	ResponseCount int `key:"response_count" min:"1" max:"1000"`
}

// AutoRecovery says what the program may do by itself.
type AutoRecovery struct {
	// Off: outages are seen, told and recorded, but nothing is done about them.
	Enabled bool `key:"enabled"`
	// Climbs of the ladder before a person is needed.
	MaxAttempts int `key:"max_attempts" min:"1" max:"20"`
	// Pause between two climbs.
	RetryDelay time.Duration `key:"retry_delay_seconds" min:"0"`
	// By how much each further pause is longer.
	BackoffMultiplier float64 `key:"backoff_multiplier" min:"1" max:"100"`
	// How long health must stay good before a recovery counts.
	StabilityWindow time.Duration `key:"stability_window_seconds" min:"0"`
	// The same after a hard rung.
	StabilityWindowHard time.Duration `key:"stability_window_hard_seconds" min:"0"`
	// How long a process that runs may be silent before it is restarted. One that was stopped by a signal is continued at once.
	HungPatience time.Duration `key:"hung_patience_seconds"`
	// How long a stop may take before it counts as stuck.
	StopPatience time.Duration `key:"stop_patience_seconds"`
	// How long loading may go on without progress before it counts as stuck.
	LoadPatience time.Duration `key:"load_patience_seconds"`
	// How long Sentinel or the cluster gets to make a replica the master, from the first unanswered PING, before a master with
	// replicas that they look after is started again. It does not concern a Redis that nobody else looks after.
	FailoverPatience time.Duration `key:"failover_patience_seconds" min:"0"`
	// When Redis does not start because of an error in its configuration, and the host keeps one that Redis ran with, put that one
	// back, once, and start. The rejected file is kept on the host, and people are told. Needs the hard strategy.
	RestoreLastGoodConfig bool           `key:"restore_last_good_config"`
	Strategies            Strategies     `key:"strategies"`
	Notifications         Notifications  `key:"notifications"`
	CircuitBreaker        CircuitBreaker `key:"circuit_breaker"`
	LoopGuard             LoopGuard      `key:"loop_guard"`
}

// Strategies are the rungs of the ladder, gentlest first.
type Strategies struct {
	Soft     Strategy `key:"soft"`
	Standard Strategy `key:"standard"`
	Hard     Strategy `key:"hard"`
	Force    Force    `key:"force"`
}

// Strategy is one rung.
type Strategy struct {
	// Off: the rung is skipped, with that as its reason.
	Enabled bool `key:"enabled"`
	// Must say what the rung does to this unit.
	Command Command `key:"command"`
	// How long the act and its verification may take.
	Timeout time.Duration `key:"timeout_seconds"`
}

// Force is the last rung, SIGKILL. It is off unless the operator of the service wants it.
type Force struct {
	Strategy `inline:"true"`
	// On: also with changes that are not on disk, or not known to be.
	AcceptDataLoss bool `key:"accept_data_loss"`
}

// Notifications say which moments of a recovery are told.
type Notifications struct {
	// An attempt begins.
	OnRecoveryStart bool `key:"on_recovery_start"`
	// Redis is back.
	OnRecoverySuccess bool `key:"on_recovery_success"`
	// An attempt did not bring it back.
	OnRecoveryFailure bool `key:"on_recovery_failure"`
	// Nothing more will be tried.
	OnManualIntervention bool `key:"on_manual_intervention_required"`
}

// CircuitBreaker stops operations that keep failing.
type CircuitBreaker struct {
	// Off: operations are never refused for earlier failures.
	Enabled bool `key:"enabled"`
	// Failed operations that open it.
	FailureThreshold int `key:"failure_threshold" min:"1" max:"1000"`
	// How long it stays open.
	Timeout time.Duration `key:"timeout_seconds"`
	// Trials after that.
	HalfOpenAttempts int `key:"half_open_attempts" min:"1" max:"100"`
}

// LoopGuard stops recoveries that do not last. It counts outages that ended with a start, whoever made it: a recovery, a restart by
// systemd, a start on the host. Starts by others within ten seconds count once, those through the API not at all.
type LoopGuard struct {
	// So many within the window switch auto-recovery off until an admin resets it.
	Recoveries int `key:"recoveries" min:"1" max:"100"`
	// The window.
	Window time.Duration `key:"window_seconds"`
	// The same over hours, for a service that fails every few minutes. 0: off.
	LongRecoveries int `key:"long_recoveries" min:"0" max:"1000"`
	// The long window.
	LongWindow time.Duration `key:"long_window_seconds"`
}

// ServiceControl says what people may do.
type ServiceControl struct {
	// How long a start may take; a stop has two thirds of it, a restart four thirds: 30, 20 and 40 s.
	OperationTimeout time.Duration `key:"operation_timeout_seconds"`
	// On: a stop needs `"confirmation": true`.
	RequireConfirmationForStop bool `key:"require_confirmation_for_stop" scope:"all"`
	// How long the confirmation token of a 400 answer lasts.
	ConfirmationTimeout time.Duration `key:"confirmation_timeout_seconds" scope:"all"`
	// What is offered at all: start, stop, restart, status, reload.
	AllowedOperations []string `key:"allowed_operations" oneof:"start|stop|restart|status|reload"`
	Commands          Commands `key:"commands"`
}

// Commands of Appendix A. They are not run as written: each must be the one that the program runs for this unit.
type Commands struct {
	// Must be systemctl start of this unit.
	Start Command `key:"start"`
	// Must be systemctl stop of this unit.
	Stop Command `key:"stop"`
	// Must be systemctl restart of this unit.
	Restart Command `key:"restart"`
	// Must be systemctl status of this unit.
	Status Command `key:"status"`
	// Must be systemctl reload of this unit.
	Reload Command `key:"reload"`
	// Must be journalctl of this unit with {lines}.
	Logs Command `key:"logs"`
}

// Permissions name the roles that may do each thing: admin, operator, viewer, anonymous.
type Permissions struct {
	// POST start.
	Start []string `key:"start" oneof:"admin|operator|viewer"`
	// POST stop.
	Stop []string `key:"stop" oneof:"admin|operator|viewer"`
	// POST restart.
	Restart []string `key:"restart" oneof:"admin|operator|viewer"`
	// POST reload.
	Reload []string `key:"reload" oneof:"admin|operator|viewer"`
	// GET status, services and degradation.
	Status []string `key:"status" oneof:"admin|operator|viewer|anonymous"`
	// GET health.
	Health []string `key:"health" oneof:"admin|operator|viewer|anonymous"`
	// GET logs, and the evidence of incidents.
	Logs []string `key:"logs" oneof:"admin|operator|viewer"`
	// See whether and why auto-recovery acts.
	AutoRecovery []string `key:"auto_recovery" oneof:"admin|operator|viewer"`
	// Begin and end maintenance.
	Maintenance []string `key:"maintenance" oneof:"admin|operator|viewer"`
	// GET incidents.
	Incidents []string `key:"incidents" oneof:"admin|operator|viewer|anonymous"`
	// Read the audit log.
	Audit []string `key:"audit" oneof:"admin|operator|viewer"`
	// Change or reset auto-recovery, reload the configuration.
	Configure []string `key:"configure" oneof:"admin|operator|viewer"`
	// The WebSocket.
	Live []string `key:"live" oneof:"admin|operator|viewer"`
}

// Map returns the permissions that the file sets or the document gives, by their names in the file. What is not in it keeps the
// default of the control API.
func (p Permissions) Map() map[string][]string {
	out := map[string][]string{
		"start": p.Start, "stop": p.Stop, "restart": p.Restart, "reload": p.Reload, "status": p.Status, "health": p.Health, "logs": p.Logs,
		"auto_recovery": p.AutoRecovery, "maintenance": p.Maintenance, "incidents": p.Incidents, "audit": p.Audit,
		"configure": p.Configure, "live": p.Live,
	}
	maps.DeleteFunc(out, func(_ string, roles []string) bool { return roles == nil })
	return out
}

// Audit says where every attempt is recorded.
type Audit struct {
	// Off is refused: without a record no act would be allowed.
	Enabled bool `key:"enabled"`
	// The JSON-lines file; a relative path starts at `storage.path`.
	LogFile string `key:"log_file" required:"true" file:"written"`
	// What is copied to the program's own log: DEBUG everything, INFO acts and refusals, WARNING failures and refusals, ERROR failures.
	LogLevel string `key:"log_level" oneof:"DEBUG|INFO|WARNING|ERROR"`
	// On: the last words of a failed command are part of its record.
	IncludeCommandOutput bool `key:"include_command_output"`
	// Off: a record names the user's id and role, but not the e-mail address.
	IncludeUserDetails bool `key:"include_user_details"`
	// Off: the file grows until something else rotates it.
	RotateLogs bool `key:"rotate_logs"`
	// The file is rotated when it is larger.
	MaxLogSizeMB int `key:"max_log_size_mb" min:"1" max:"100000"`
	// So many rotated files are kept.
	BackupCount int `key:"backup_count" min:"1" max:"10000"`
	// A log daemon that gets a copy of every record and signed checkpoint: journald, syslog, udp://host:port or tcp://host:port. What it
	// cannot take is delivered later.
	ForwardTo string `key:"forward_to" check:"logdaemon"`
	// How long the store keeps a record, in days; 0: for ever. The file follows its rotation.
	RetentionDays int `key:"retention_days" min:"0" max:"100000"`
	// Private ed25519 key in PEM that signs checkpoints; empty: audit-signing.key in `storage.path`, made at the first start. The
	// public key is always in audit-signing.pub there: keep a copy of it elsewhere.
	SigningKeyFile string `key:"signing_key_file" file:"secret"`
}

// Cache is the status cache of the API.
type Cache struct {
	// Off: every GET status looks at Redis and the unit.
	Enabled bool `key:"enabled"`
	// How old an answer may be.
	TTL time.Duration `key:"ttl_seconds"`
	// On: an operation empties it.
	InvalidateOnOperation bool `key:"invalidate_on_operation"`
}

// WebSocket says which live messages are sent.
type WebSocket struct {
	// Off: there is no WebSocket for this service.
	Enabled bool `key:"enabled"`
	// The path of the service's WebSocket. It must be /ws/services/<id>/status.
	Endpoint string `key:"endpoint" check:"endpoint"`
	// service_status messages.
	BroadcastStatusChanges bool `key:"broadcast_status_changes"`
	// health messages.
	BroadcastHealthChanges bool `key:"broadcast_health_changes"`
	// service_event messages.
	BroadcastOperations bool `key:"broadcast_operations"`
	// auto_recovery and incident messages.
	BroadcastAutoRecovery bool `key:"broadcast_auto_recovery"`
}

// Alerts say who is told of what, through Alertmanager.
type Alerts struct {
	// Off: the program posts no alerts of its own.
	Enabled    bool           `key:"enabled"`
	Channels   Channels       `key:"channels"`
	Severities SeverityLevels `key:"severity_levels"`
	Recipients Recipients     `key:"recipients"`
}

// Channels switch the ways to people on and off.
type Channels struct {
	// alert messages on the WebSocket.
	WebSocket bool `key:"websocket" scope:"all"`
	// E-mail through Alertmanager, to `recipients`: redis-medic alertmanager-config.
	Email bool `key:"email"`
	// SMS through Alertmanager and a gateway: redis-medic alertmanager-config.
	SMS bool `key:"sms"`
}

// SeverityLevels sort the program's own alerts by severity.
type SeverityLevels struct {
	// Wakes someone.
	Critical []string `key:"critical" check:"event"`
	// Is looked at today.
	Warning []string `key:"warning" check:"event"`
	// Is there to be read.
	Info []string `key:"info" check:"event"`
}

// Of returns the severity of an event, or "" when it is in no list.
func (l SeverityLevels) Of(event string) string {
	switch {
	case slices.Contains(l.Critical, event):
		return "critical"
	case slices.Contains(l.Warning, event):
		return "warning"
	case slices.Contains(l.Info, event):
		return "info"
	default:
		return ""
	}
}

// Recipients are e-mail addresses by severity.
type Recipients struct {
	// E-mail addresses for critical alerts.
	Critical []string `key:"critical" check:"email"`
	// E-mail addresses for warnings.
	Warning []string `key:"warning" check:"email"`
	// E-mail addresses for information.
	Info []string `key:"info" check:"email"`
}

// DegradedMode says what dependants are told to do while Redis is away (section 8.4).
type DegradedMode struct {
	// Off: an outage is not announced as degraded mode.
	Enabled bool `key:"enabled"`
	// Dependants fall back to an in-process cache.
	FallbackCache bool `key:"fallback_cache"`
	// Dependants keep sessions in memory.
	MemorySessions bool `key:"memory_sessions"`
	// degradation messages on the WebSocket.
	BroadcastStatus bool `key:"broadcast_status"`
	// The panel shows a banner.
	ShowBanner bool `key:"show_banner"`
}

// Redis says how to speak to a Redis server.
type Redis struct {
	// ACL user; empty: the default user.
	Username string `key:"username"`
	// File with the password; empty: none.
	PasswordFile string `key:"password_file" file:"secret"`
	TLS          TLS    `key:"tls"`
}

// TLS is used when any of its keys is set.
type TLS struct {
	// Speak TLS, also when no other key is set.
	Enabled bool `key:"enabled"`
	// CA certificates in PEM; empty: the system's.
	CAFile string `key:"ca_file" file:"read"`
	// Client certificate in PEM.
	CertFile string `key:"cert_file" file:"read"`
	// Its key in PEM.
	KeyFile string `key:"key_file" file:"secret"`
	// The name that the server's certificate must have; empty: service.ip.
	ServerName string `key:"server_name"`
}

// On reports whether TLS is used.
func (t TLS) On() bool { return t != TLS{} }

// Unit returns the unit as the host package wants it.
func (t Target) Unit() host.Unit {
	return host.Unit{Name: t.SystemdUnit, LogFile: t.LogFile, DataDir: t.DataDir}
}
