package exporter

import (
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

var (
	famUp             = familyOf(metric.Up)
	famReply          = familyOf(metric.PingReply)
	famPing           = familyOf(metric.PingDuration)
	famStatus         = familyOf(metric.HealthStatus)
	famReason         = familyOf(metric.HealthReason)
	famCheckSuccess   = familyOf(metric.HealthCheckSuccess)
	famCheckDuration  = familyOf(metric.HealthCheckDuration)
	famCheckFailures  = familyOf(metric.HealthCheckFailures)
	famCheckTimestamp = familyOf(metric.HealthCheckTimestamp)
	famThreshold      = familyOf(metric.HealthThreshold)
	famHost           = familyOf(metric.HostReachable)
	famLastAnswer     = familyOf(metric.LastAnswer)

	replies  = health.Replies()
	statuses = health.Statuses()
	reasons  = health.Codes()
)

// publishReply adds what the PING of this scrape, or the last one known, came to.
func publishReply(p *page, r health.Reply) {
	p.flag(famUp, r.Alive())
	for _, c := range replies {
		p.flag(famReply, c == r, string(c))
	}
}

// publishView adds the verdict and the checks.
func publishView(p *page, v health.View, t health.Thresholds) {
	for _, s := range statuses {
		p.flag(famStatus, s == v.Verdict.Status, string(s))
	}
	shown := map[health.Code]bool{}
	for _, r := range v.Verdict.Reasons {
		shown[r.Code] = !r.Hidden
	}
	for _, c := range reasons {
		p.flag(famReason, shown[c], string(c))
	}
	for _, c := range v.Verdict.Checks {
		name := string(c.Name)
		p.flag(famCheckSuccess, c.Status == health.CheckPass || c.Status == health.CheckWarning, name)
		p.gauge(famCheckFailures, float64(c.Failures), name)
		if !c.At.IsZero() {
			p.gauge(famCheckDuration, c.Took.Seconds(), name)
			p.gauge(famCheckTimestamp, unixSeconds(c.At), name)
		}
	}
	if v.Samples.Ping.Reply.Alive() {
		p.gauge(famPing, v.Samples.Ping.Latency.Seconds())
	}
	if !v.LastPong.IsZero() {
		p.gauge(famLastAnswer, unixSeconds(v.LastPong))
	}
	publishThresholds(p, t)
}

// publishThresholds adds the thresholds that are on; rules compare with them, so that they live in the configuration alone.
func publishThresholds(p *page, t health.Thresholds) {
	for _, x := range []struct {
		value            float64
		signal, severity string
	}{
		{float64(max(1, t.PingFailures)), metric.SignalPingFailures, metric.SeverityCritical},
		{float64(max(1, t.UnitFailures)), metric.SignalUnitFailures, metric.SeverityCritical},
		{t.SlowPing.Seconds(), metric.SignalPingSeconds, metric.SeverityWarning},
		{float64(t.MemoryWarning), metric.SignalMemoryBytes, metric.SeverityWarning},
		{float64(t.MemoryCritical), metric.SignalMemoryBytes, metric.SeverityCritical},
		{t.MemoryLimitRatio, metric.SignalMemoryRatio, metric.SeverityWarning},
		{t.CPUWarning, metric.SignalCPUPercent, metric.SeverityWarning},
		{t.CPUCritical, metric.SignalCPUPercent, metric.SeverityCritical},
		{float64(t.ConnectionsWarning), metric.SignalConnections, metric.SeverityWarning},
		{float64(t.ConnectionsCritical), metric.SignalConnections, metric.SeverityCritical},
		{t.ConnectionsRatio, metric.SignalConnectionsRatio, metric.SeverityWarning},
	} {
		if x.value > 0 {
			p.gauge(famThreshold, x.value, x.signal, x.severity)
		}
	}
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1e3 }

// unitType is systemd_exporter's label "type": the suffix of the unit's name.
func unitType(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i+1:]
	}
	return "service"
}
