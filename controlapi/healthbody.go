package controlapi

import (
	"net/http"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
)

// healthBody is the document's health answer (section 4.1).
type healthBody struct {
	OverallStatus         string                           `json:"overall_status"`
	ServiceRunning        bool                             `json:"service_running"`
	Connectivity          bool                             `json:"connectivity"`
	ResponseTimeMS        *float64                         `json:"response_time_ms"`
	LastSuccessfulCommand *string                          `json:"last_successful_command"`
	ErrorCountLastHour    int                              `json:"error_count_last_hour"`
	HealthChecks          map[health.CheckName]healthCheck `json:"health_checks"`
	Recommendations       []string                         `json:"recommendations"`
	AutoRecovery          autoRecoverySummary              `json:"auto_recovery"`
	// Reasons are ours: why the status is not healthy. A healthy service has none, and its answer is the document's to the letter.
	Reasons []health.Reason `json:"reasons,omitempty"`
}

// healthCheck is one layer. Error, details and metrics are present only where the document shows them.
type healthCheck struct {
	Status     string         `json:"status"`
	DurationMS float64        `json:"duration_ms"`
	Message    string         `json:"message"`
	Error      string         `json:"error,omitempty"`
	Details    string         `json:"details,omitempty"`
	Metrics    *healthMetrics `json:"metrics,omitempty"`
}

type healthMetrics struct {
	MemoryUsageMB   float64  `json:"memory_usage_mb"`
	MemoryLimitMB   *float64 `json:"memory_limit_mb"`
	CPUUsagePercent *float64 `json:"cpu_usage_percent"`
	Connections     int      `json:"connections"`
	MaxConnections  *int     `json:"max_connections"`
}

// autoRecoverySummary: the document shows the outcome and the call for a person only once there was a recovery.
type autoRecoverySummary struct {
	Enabled                    bool    `json:"enabled"`
	RecentRecoveries           int     `json:"recent_recoveries"`
	LastRecovery               *string `json:"last_recovery"`
	RecoveryStatus             string  `json:"recovery_status,omitempty"`
	RequiresManualIntervention *bool   `json:"requires_manual_intervention,omitempty"`
}

// newHealthBody says how a service is. It is pure.
func newHealthBody(v health.View, state remediator.State) healthBody {
	s := v.Samples
	b := healthBody{
		OverallStatus: string(overall(v)), ServiceRunning: statusOf(s) == statusRunning, Connectivity: s.Ping.Reply.Alive(),
		LastSuccessfulCommand: stampOrNil(v.LastPong), ErrorCountLastHour: v.ErrorsHour,
		HealthChecks: map[health.CheckName]healthCheck{}, Recommendations: v.Verdict.Recommendations(),
		AutoRecovery: newAutoRecoverySummary(state), Reasons: v.Verdict.Reasons,
	}
	if b.Connectivity {
		b.ResponseTimeMS = new(milliseconds(s.Ping.Latency))
	}
	for _, c := range v.Verdict.Checks {
		check := healthCheck{
			Status: string(c.Status), DurationMS: milliseconds(c.Took), Message: c.Message, Error: c.Error, Details: c.Details,
		}
		if c.Name == health.CheckPerformance && c.Status != health.CheckUnknown {
			check.Metrics = newHealthMetrics(v)
		}
		b.HealthChecks[c.Name] = check
	}
	for _, name := range []health.CheckName{health.CheckConnectivity, health.CheckSystemd, health.CheckPerformance} {
		if _, ok := b.HealthChecks[name]; !ok {
			b.HealthChecks[name] = healthCheck{Status: string(health.CheckUnknown), Message: "Not checked yet"}
		}
	}
	return b
}

func overall(v health.View) health.Status {
	if v.Verdict.Status == "" {
		return health.Unknown
	}
	return v.Verdict.Status
}

func newHealthMetrics(v health.View) *healthMetrics {
	i := v.Samples.Info
	if i == nil {
		return nil
	}
	m := &healthMetrics{MemoryUsageMB: megabytes(i.UsedMemory), Connections: i.Clients}
	if limit := i.MaxMemory; limit > 0 {
		m.MemoryLimitMB = new(megabytes(limit))
	} else if i.HostMemory > 0 {
		m.MemoryLimitMB = new(megabytes(i.HostMemory)) // without maxmemory the machine is the limit
	}
	if v.CPUPercent != nil {
		m.CPUUsagePercent = new(round(*v.CPUPercent, 1))
	}
	if i.MaxClients > 0 {
		m.MaxConnections = new(i.MaxClients)
	}
	return m
}

func newAutoRecoverySummary(state remediator.State) autoRecoverySummary {
	s := autoRecoverySummary{
		Enabled: state.AutoRecoveryEnabled, RecentRecoveries: state.RecentRecoveries, LastRecovery: stampOrNil(state.LastRecovery),
		RecoveryStatus: state.RecoveryStatus,
	}
	if state.RecoveryStatus != "" || state.ManualIntervention {
		s.RequiresManualIntervention = new(state.ManualIntervention)
	}
	return s
}

func milliseconds(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 2) }

func getHealth(a *API, w http.ResponseWriter, c *call) error {
	s := c.service
	e, err := s.health.get(s, a.conf().Cache, func() any { return a.healthOf(s.ID) })
	if err != nil {
		return err
	}
	writeEncoded(w, e)
	return nil
}

func (a *API) healthOf(id string) healthBody {
	v, _ := a.conf().Prober.View(id)
	state, _ := a.conf().Remediator.State(id)
	return newHealthBody(v, state)
}

// getSelfHealth is the component of document section 7.3, about the first service.
func getSelfHealth(a *API, w http.ResponseWriter, c *call) error {
	s := a.conf().order[0]
	v, known := a.conf().Prober.View(s.ID)
	state, owned := a.conf().Remediator.State(s.ID)
	if !known || !owned {
		return writeJSON(w, http.StatusServiceUnavailable, map[string]any{
			"status": "unhealthy", "component": "redis_service_management", "error": "the service is not being watched",
			"timestamp": stamp(time.Now()),
		})
	}
	status := "degraded"
	if overall(v) == health.Healthy {
		status = "healthy"
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"status": status, "component": "redis_service_management", "service_status": statusOf(v.Samples),
		"health_status": string(overall(v)), "auto_recovery_enabled": state.AutoRecoveryEnabled,
		"recent_operations": a.operations.recent(time.Now()), "timestamp": stamp(time.Now()),
	})
}
