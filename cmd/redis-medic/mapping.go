package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// The limit on starts of one unit, whoever asks: systemd itself refuses the sixth within ten seconds, and then every further one
// until reset-failed.
const (
	maxStarts   = 3
	startWindow = 10 * time.Second
)

// targetOf is a service as the exporter wants it.
func targetOf(s config.Service, secrets *config.Secrets) (exporter.Target, error) {
	tlsConfig, err := tlsOf(s)
	if err != nil {
		return exporter.Target{}, fmt.Errorf("service %s: redis.tls: %w", s.ID, err)
	}
	hc := s.HealthCheck
	c := hc.Checks
	return exporter.Target{
		ID: s.ID, Name: s.Service.Name, Addr: redisAddr(s), Unit: s.Service.SystemdUnit,
		Credentials: credentialsOf(s, secrets), TLS: tlsConfig,
		Timings: exporter.Timings{
			PingInterval: c.Connectivity.Interval, PingTimeout: c.Connectivity.Timeout, Recheck: hc.Recheck,
			UnitInterval: c.Systemd.Interval, UnitTimeout: c.Systemd.Timeout,
			InfoInterval: c.Performance.Interval, InfoTimeout: c.Performance.Timeout,
			PoolInterval: c.ConnectionPool.Interval, PoolTimeout: c.ConnectionPool.Timeout,
		},
		Thresholds: thresholdsOf(c),
		Collect:    collectOf(s.Collect),
		Off: health.Off{
			Connectivity: !hc.Enabled || !c.Connectivity.Enabled, Systemd: !hc.Enabled || !c.Systemd.Enabled,
			Performance: !hc.Enabled || !c.Performance.Enabled, Pool: !hc.Enabled || !c.ConnectionPool.Enabled,
		},
	}, nil
}

func thresholdsOf(c config.Checks) health.Thresholds {
	const mib = 1 << 20
	t := c.Performance.Thresholds
	return health.Thresholds{
		PingFailures: c.Connectivity.FailureThreshold, UnitFailures: c.Systemd.FailureThreshold,
		SlowPing: time.Duration(t.ResponseMSWarning * float64(time.Millisecond)), SlowPingCount: t.ResponseCount,
		MemoryWarning: int64(t.MemoryMBWarning) * mib, MemoryCritical: int64(t.MemoryMBCritical) * mib, MemoryLimitRatio: t.MemoryLimitPercent / 100,
		CPUWarning: t.CPUPercentWarning, CPUCritical: t.CPUPercentCritical,
		ConnectionsWarning: t.ConnectionsWarning, ConnectionsCritical: t.ConnectionsCritical, ConnectionsRatio: t.ConnectionsLimitPercent / 100,
	}
}

// collectOf is what a scrape asks.
func collectOf(c config.Collect) exporter.Collect {
	s := c.Survey
	return exporter.Collect{
		NoConfig: !c.Config, NoLatency: !c.Latency, NoSlowlog: !c.SlowLog, AllConfig: c.ConfigAll, Modules: c.Modules,
		SentinelPeers: c.SentinelPeers, Clients: c.Clients, ClientPorts: c.ClientPorts,
		Survey: exporter.Survey{
			Interval: s.Interval, Timeout: s.Timeout, MaxKeys: s.MaxKeys, ReplicasOnly: s.ReplicasOnly,
			Keys: patternsOf(s.Keys), KeyValues: s.KeyValues, CountKeys: patternsOf(s.CountKeys), KeyGroups: s.KeyGroups,
			Streams: patternsOf(s.Streams), NoConsumers: !s.Consumers, Indexes: s.SearchIndexes,
		},
	}
}

func patternsOf(list []string) []exporter.KeyPattern {
	var out []exporter.KeyPattern
	for _, s := range list {
		db, pattern := config.KeyPattern(s)
		out = append(out, exporter.KeyPattern{DB: db, Pattern: pattern})
	}
	return out
}

func redisAddr(s config.Service) string {
	return net.JoinHostPort(s.Service.IP, strconv.Itoa(s.Service.Port))
}

// credentialsOf returns nil where none are configured.
func credentialsOf(s config.Service, secrets *config.Secrets) func() (user, password string) {
	user, password := s.Redis.Username, secrets.RedisPasswords[s.ID]
	if user == "" && !password.Set() {
		return nil
	}
	return func() (string, string) { return user, password.Text() }
}

// tlsOf returns nil where TLS is not configured.
func tlsOf(s config.Service) (*tls.Config, error) {
	t := s.Redis.TLS
	if !t.On() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if c.ServerName == "" {
		c.ServerName = s.Service.IP
	}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s has no certificate in PEM", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cert_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func clientOptions(name string, h config.SSHHost) host.ClientOptions {
	return host.ClientOptions{
		Name: name, Address: h.Address, User: h.User, IdentityFile: h.IdentityFile, KnownHostsFile: h.KnownHostsFile, Gate: h.Gate,
		DialTimeout: h.DialTimeout, CommandTimeout: h.CommandTimeout, KeepAlive: h.Keepalive, KeepAliveTimeout: h.KeepaliveTimeout,
		MaxSessions: h.MaxSessions, PollInterval: h.PollInterval,
	}
}

// recoveryOf is a service as the remediator wants it.
func recoveryOf(s config.Service) remediator.Service {
	ar := s.AutoRecovery
	allowed := map[remediator.Operation]bool{}
	for _, op := range s.ServiceControl.AllowedOperations {
		allowed[remediator.Operation(op)] = true
	}
	rung := func(st config.Strategy) ladder.RungSettings {
		return ladder.RungSettings{Enabled: st.Enabled, Timeout: st.Timeout}
	}
	return remediator.Service{
		ID: s.ID, Unit: s.Service.Unit(), Port: s.Service.Port, AutoRecovery: ar.Enabled,
		Ladder: ladder.Settings{
			Rungs: map[ladder.Rung]ladder.RungSettings{
				ladder.Soft: rung(ar.Strategies.Soft), ladder.Standard: rung(ar.Strategies.Standard), ladder.Hard: rung(ar.Strategies.Hard),
				ladder.Force: rung(ar.Strategies.Force.Strategy),
			},
			MaxAttempts: ar.MaxAttempts, RetryDelay: ar.RetryDelay, Backoff: ar.BackoffMultiplier,
			MaxStarts: maxStarts, StartWindow: startWindow,
			LoopRecoveries: ar.LoopGuard.Recoveries, LoopWindow: ar.LoopGuard.Window,
			LongRecoveries: ar.LoopGuard.LongRecoveries, LongWindow: ar.LoopGuard.LongWindow,
			HungPatience: ar.HungPatience, StopPatience: ar.StopPatience, LoadPatience: ar.LoadPatience, FailoverPatience: ar.FailoverPatience,
			AcceptDataLoss: ar.Strategies.Force.AcceptDataLoss, RestoreConfig: ar.RestoreLastGoodConfig,
		},
		Breaker: breaker.Settings{
			Enabled: ar.CircuitBreaker.Enabled, FailureThreshold: ar.CircuitBreaker.FailureThreshold, OpenFor: ar.CircuitBreaker.Timeout,
			HalfOpenTrials: ar.CircuitBreaker.HalfOpenAttempts,
		},
		Stability: ar.StabilityWindow, StabilityHard: ar.StabilityWindowHard,
		OperationTimeout: s.ServiceControl.OperationTimeout, Allowed: allowed, RevealOutput: s.Audit.IncludeCommandOutput,
		Notices: noticesOf(s),
	}
}

// noticesOf says which moments of a recovery people are told of, and with which severity. A moment that is in no list of
// severity_levels is not told.
func noticesOf(s config.Service) map[remediator.NoticeKind]string {
	n, out := s.AutoRecovery.Notifications, map[remediator.NoticeKind]string{}
	if !s.Alerts.Enabled {
		return out
	}
	for kind, wanted := range map[remediator.NoticeKind]bool{
		remediator.NoticeStarted: n.OnRecoveryStart, remediator.NoticeRecovered: n.OnRecoverySuccess,
		remediator.NoticeFailed: n.OnRecoveryFailure, remediator.NoticeManual: n.OnManualIntervention,
	} {
		if severity := s.Alerts.Severities.Of(string(kind)); wanted && severity != "" {
			out[kind] = severity
		}
	}
	return out
}

// auditFile is the document's log_file with its rotation.
func auditFile(a config.Audit) audit.FileOptions {
	return audit.FileOptions{Path: a.LogFile, MaxSizeMB: a.MaxLogSizeMB, Backups: a.BackupCount, Rotate: a.RotateLogs}
}

// apiOptions are the parts of controlapi.Options that follow from the configuration alone.
func apiOptions(cfg *config.Config, secrets *config.Secrets) (controlapi.Options, error) {
	c, tree := cfg.ControlAPI, cfg.Services[0]
	o := controlapi.Options{
		Listen: c.Listen, WebConfigFile: c.WebConfigFile,
		JWT:         authn.JWTSettings{Issuer: c.JWT.Issuer, Audience: c.JWT.Audience, HMACSecret: secrets.JWTHMAC.Bytes(), JWKSURL: c.JWT.JWKSURL},
		OIDC:        oidcOf(c.OIDC, secrets),
		SessionIdle: c.Session.Idle, SessionMax: c.Session.Max,
		Permissions: map[rbac.Permission][]rbac.Role{},
		Cache:       controlapi.CacheSettings{Enabled: tree.Cache.Enabled, TTL: tree.Cache.TTL, InvalidateOnOperation: tree.Cache.InvalidateOnOperation},
		Websocket: controlapi.WebsocketSettings{
			Enabled: tree.WebSocket.Enabled, Endpoint: tree.WebSocket.Endpoint, BroadcastStatusChanges: tree.WebSocket.BroadcastStatusChanges,
			BroadcastHealthChanges: tree.WebSocket.BroadcastHealthChanges, BroadcastOperations: tree.WebSocket.BroadcastOperations,
			BroadcastAutoRecovery: tree.WebSocket.BroadcastAutoRecovery, BroadcastAlerts: tree.Alerts.Enabled && tree.Alerts.Channels.WebSocket,
		},
		Degraded: controlapi.DegradedSettings{
			Enabled: tree.DegradedMode.Enabled, FallbackCache: tree.DegradedMode.FallbackCache, MemorySessions: tree.DegradedMode.MemorySessions,
			BroadcastStatus: tree.DegradedMode.BroadcastStatus, ShowBanner: tree.DegradedMode.ShowBanner,
		},
		RateLimits: controlapi.RateLimits{Start: c.RateLimits.Start, Stop: c.RateLimits.Stop, Restart: c.RateLimits.Restart, Logs: c.RateLimits.Logs},
		Dependents: cfg.Dependents, ConfirmStop: tree.ServiceControl.RequireConfirmationForStop, ConfirmationTTL: tree.ServiceControl.ConfirmationTimeout,
	}
	if c.JWT.PublicKeyFile != "" {
		pem, err := os.ReadFile(c.JWT.PublicKeyFile)
		if err != nil {
			return o, fmt.Errorf("controlapi.jwt.public_key_file: %w", err)
		}
		o.JWT.PublicKeyPEM = pem
	}
	o.AllowedOrigins = c.AllowedOrigins
	for permission, roles := range tree.Permissions.Map() {
		list := make([]rbac.Role, 0, len(roles))
		for _, r := range roles {
			list = append(list, rbac.Role(r))
		}
		o.Permissions[rbac.Permission(permission)] = list
	}
	for _, s := range cfg.Services {
		o.Services = append(o.Services, controlapi.ServiceInfo{
			ID: s.ID, Name: s.Service.Name, Unit: s.Service.SystemdUnit, IP: s.Service.IP, Port: s.Service.Port,
			CheckInterval: s.HealthCheck.Checks.Connectivity.Interval, Environment: s.Service.Environment,
			RunbookURL: s.Service.RunbookURL, DashboardURL: s.Service.DashboardURL,
		})
	}
	for _, u := range c.Users {
		o.Users = append(o.Users, authn.User{ID: u.ID, Email: u.Email, Role: u.Role, PasswordHash: secrets.PasswordHashes[u.ID].Text()})
	}
	for _, a := range c.ServiceAccounts {
		o.ServiceAccounts = append(o.ServiceAccounts, authn.ServiceAccount{Name: a.Name, Role: a.Role, Token: secrets.ServiceAccounts[a.Name].Text()})
	}
	for _, p := range c.TrustedProxies {
		prefix, err := netip.ParsePrefix(p)
		if err != nil {
			return o, fmt.Errorf("controlapi.trusted_proxies: %w", err)
		}
		o.TrustedProxies = append(o.TrustedProxies, prefix)
	}
	return o, nil
}

// oidcOf is the identity provider as the control API wants it.
func oidcOf(o config.OIDC, secrets *config.Secrets) authn.OIDCSettings {
	if o.Issuer == "" {
		return authn.OIDCSettings{}
	}
	roles := map[string][]string{}
	for role, groups := range map[string][]string{"admin": o.Roles.Admin, "operator": o.Roles.Operator, "viewer": o.Roles.Viewer} {
		if len(groups) > 0 {
			roles[role] = groups
		}
	}
	return authn.OIDCSettings{
		Name: o.Name, Issuer: o.Issuer, ClientID: o.ClientID, ClientSecret: secrets.OIDCClient.Text(), RedirectURL: o.RedirectURL, Scopes: o.Scopes,
		RolesClaim: o.RolesClaim, Roles: roles, DefaultRole: o.DefaultRole,
	}
}
