package config

import (
	"time"

	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// defaultTree is what holds where the file is silent: the document's values (Appendix A), except that a PING is sent every 5
// seconds, because a 30 seconds interval could not keep the promise of a recovery within 30 seconds.
func defaultTree() Tree {
	return Tree{
		Service:        Target{Name: "redis-server", SystemdUnit: "redis-server.service", Host: "redis", Port: 6379},
		HealthCheck:    defaultHealthCheck(),
		Collect:        defaultCollect(),
		AutoRecovery:   defaultAutoRecovery(),
		ServiceControl: defaultServiceControl(),
		Permissions:    defaultPermissions(),
		Audit: Audit{
			Enabled: true, LogFile: "logs/audit/redis_service_management.log", LogLevel: "INFO", IncludeUserDetails: true,
			RotateLogs: true, MaxLogSizeMB: 100, BackupCount: 10, RetentionDays: 400,
		},
		Cache: Cache{Enabled: true, TTL: 10 * time.Second, InvalidateOnOperation: true},
		WebSocket: WebSocket{
			Enabled: true, BroadcastStatusChanges: true, BroadcastHealthChanges: true, BroadcastOperations: true, BroadcastAutoRecovery: true,
		},
		Alerts: Alerts{
			Enabled:  true,
			Channels: Channels{WebSocket: true, Email: true},
			Severities: SeverityLevels{
				Critical: []string{"service_down", "recovery_failed", "manual_intervention_required"},
				Warning:  []string{"auto_recovery_attempted", "performance_degraded"},
				Info:     []string{"service_restarted", "health_check_passed"},
			},
		},
		DegradedMode: DegradedMode{Enabled: true, FallbackCache: true, MemorySessions: true, BroadcastStatus: true, ShowBanner: true},
	}
}

func defaultHealthCheck() HealthCheck {
	on := Check{Enabled: true}
	return HealthCheck{
		Enabled: true, Interval: 5 * time.Second, Recheck: time.Second, Timeout: 5 * time.Second, FailureThreshold: 3,
		Checks: Checks{
			Connectivity: CommandCheck{Check: on, ExpectedOutput: expectedPing},
			Systemd: CommandCheck{
				Check:            Check{Enabled: true, Interval: time.Minute, Timeout: 10 * time.Second},
				FailureThreshold: 2, ExpectedOutput: expectedActive,
			},
			Performance: PerformanceCheck{
				Check: Check{Enabled: true, Interval: 2 * time.Minute, Timeout: 15 * time.Second},
				Thresholds: Thresholds{
					MemoryMBWarning: 3072, MemoryMBCritical: 4096, MemoryLimitPercent: 90, CPUPercentWarning: 70, CPUPercentCritical: 90,
					ConnectionsWarning: 8000, ConnectionsCritical: 9500, ConnectionsLimitPercent: 90, ResponseMSWarning: 100, ResponseCount: 3,
				},
			},
			ConnectionPool: Check{Enabled: true, Interval: time.Minute, Timeout: 5 * time.Second},
		},
	}
}

func defaultAutoRecovery() AutoRecovery {
	return AutoRecovery{
		Enabled: true, MaxAttempts: 3, RetryDelay: 10 * time.Second, BackoffMultiplier: 2,
		StabilityWindow: 10 * time.Second, StabilityWindowHard: time.Minute,
		HungPatience: 15 * time.Second, StopPatience: 45 * time.Second, LoadPatience: time.Minute, FailoverPatience: time.Minute, RestoreLastGoodConfig: true,
		Strategies: Strategies{
			Soft:     Strategy{Enabled: true, Timeout: 10 * time.Second},
			Standard: Strategy{Enabled: true, Timeout: 30 * time.Second},
			Hard:     Strategy{Enabled: true, Timeout: 45 * time.Second},
			Force:    Force{Strategy: Strategy{Timeout: 30 * time.Second}},
		},
		Notifications:  Notifications{OnRecoveryStart: true, OnRecoverySuccess: true, OnRecoveryFailure: true, OnManualIntervention: true},
		CircuitBreaker: CircuitBreaker{Enabled: true, FailureThreshold: 5, Timeout: 300 * time.Second, HalfOpenAttempts: 1},
		LoopGuard:      LoopGuard{Recoveries: 3, Window: 300 * time.Second, LongRecoveries: 6, LongWindow: 6 * time.Hour},
	}
}

func defaultServiceControl() ServiceControl {
	return ServiceControl{
		OperationTimeout: 30 * time.Second, RequireConfirmationForStop: true, ConfirmationTimeout: 60 * time.Second,
		AllowedOperations: []string{"start", "stop", "restart", "status", "reload"},
	}
}

func defaultPermissions() Permissions {
	everyone := []string{"admin", "operator", "viewer", "anonymous"}
	return Permissions{
		Start: []string{"admin", "operator"}, Stop: []string{"admin"}, Restart: []string{"admin", "operator"},
		Reload: []string{"admin", "operator"}, Status: everyone, Health: everyone, Logs: []string{"admin"},
	}
}

func defaultSSHHost() SSHHost {
	return SSHHost{
		User: "autobot", DialTimeout: host.DefaultDialTimeout, CommandTimeout: host.DefaultCommandTimeout,
		Keepalive: host.DefaultKeepAlive, KeepaliveTimeout: host.DefaultKeepAliveTimeout, PollInterval: host.DefaultPollInterval,
		MaxSessions: host.DefaultMaxSessions,
	}
}

func defaultFile() file {
	return file{
		Exporter: Exporter{Listen: ":9121", MaxRequests: exporter.DefaultMaxRequests, ScrapeTimeout: exporter.DefaultScrapeTimeout},
		Remediator: Remediator{
			Listen: ":9122", ReconcileInterval: 5 * time.Second, StormGuard: StormGuard{Min: 3, Ratio: 0.5},
			OwnDetection: OwnDetection{Enabled: true, AlertmanagerSilent: 10 * time.Second, NoAlert: 20 * time.Second},
		},
		ControlAPI: ControlAPI{
			Listen: ":8001", JWT: JWT{Issuer: "redis-medic", Audience: "redis-medic"},
			OIDC:       OIDC{Name: "Single sign-on", Scopes: []string{"email", "profile"}, RolesClaim: "groups"},
			RateLimits: RateLimits{Start: 10, Stop: 5, Restart: 10, Logs: 20},
			Session:    Session{Idle: 30 * time.Minute, Max: 12 * time.Hour},
		},
		Storage: Storage{Path: "/var/lib/redis-medic", Postgres: Postgres{Lease: 15 * time.Second}},
	}
}

// resolve fills in what follows from other keys of the same service.
func resolve(s *Service) {
	hc := &s.HealthCheck
	for _, c := range []*Check{&hc.Checks.Connectivity.Check, &hc.Checks.Systemd.Check, &hc.Checks.Performance.Check, &hc.Checks.ConnectionPool} {
		if c.Interval == 0 {
			c.Interval = hc.Interval
		}
		if c.Timeout == 0 {
			c.Timeout = hc.Timeout
		}
	}
	if c := &hc.Checks.Connectivity; c.FailureThreshold == 0 {
		c.FailureThreshold = hc.FailureThreshold
	}
	s.WebSocket.Endpoint = "/ws/services/" + s.ID + "/status"
}
