package controlapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
)

func mustHash() string {
	raw, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// sameJSON compares a value with the JSON text of the architecture document.
func sameJSON(t *testing.T, got any, want string) {
	t.Helper()
	raw, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err := json.Unmarshal(raw, &g); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("differs from the document (-want +got):\n%s", diff)
	}
}

// atDocument puts the times of a view at the document's moment.
func atDocument(v health.View) health.View {
	v.Samples.Ping.At, v.Samples.Unit.At = at, at
	if i := v.Samples.Info; i != nil {
		i.At = at
	}
	return v
}

func TestStatusIsTheDocuments(t *testing.T) {
	info := ServiceInfo{ID: "redis", IP: "172.16.168.23", VMName: DefaultVMName}
	t.Run("running", func(t *testing.T) {
		sameJSON(t, newStatusBody(info, atDocument(runningView()), at), `{
			"status": "running", "pid": 12345, "uptime_seconds": 86400, "memory_mb": 128.5, "connections": 42, "commands_processed": 1000000,
			"last_check": "2025-10-10T14:30:00Z", "vm_info": {"host": "172.16.168.23", "name": "Redis VM", "ssh_accessible": true}}`)
	})
	t.Run("stopped", func(t *testing.T) {
		sameJSON(t, newStatusBody(info, stoppedView(), at), `{
			"status": "stopped", "pid": null, "uptime_seconds": null, "memory_mb": null, "connections": null,
			"last_check": "2025-10-10T14:30:00Z", "vm_info": {"host": "172.16.168.23", "name": "Redis VM", "ssh_accessible": true}}`)
	})
	t.Run("host unreachable, Redis answers", func(t *testing.T) {
		v := atDocument(runningView())
		v.Samples.Unit = health.UnitRead{At: at, Class: health.ClassUnreachable}
		b := newStatusBody(info, v, at)
		if b.Status != statusRunning || b.VMInfo.SSHAccessible || *b.PID != 12345 {
			t.Errorf("%+v", b)
		}
	})
	t.Run("running by the unit's word alone", func(t *testing.T) {
		v := atDocument(runningView())
		v.Samples.Info = nil
		v.Samples.Unit.Unit.ActiveEnter = at.Add(-time.Minute)
		v.Samples.Unit.Unit.MemoryBytes = new(uint64(3 << 20))
		sameJSON(t, newStatusBody(info, v, at), `{
			"status": "running", "pid": 12345, "uptime_seconds": 60, "memory_mb": 3, "connections": null, "commands_processed": null,
			"last_check": "2025-10-10T14:30:00Z", "vm_info": {"host": "172.16.168.23", "name": "Redis VM", "ssh_accessible": true}}`)
	})
	t.Run("nothing known yet", func(t *testing.T) {
		sameJSON(t, newStatusBody(info, health.View{}, at), `{
			"status": "unknown", "pid": null, "uptime_seconds": null, "memory_mb": null, "connections": null,
			"last_check": null, "vm_info": {"host": "172.16.168.23", "name": "Redis VM", "ssh_accessible": false}}`)
	})
}

func TestStatusWords(t *testing.T) {
	read := func(active, sub string, pid int) health.UnitRead {
		return health.UnitRead{At: at, Unit: health.Unit{ActiveState: active, SubState: sub, MainPID: pid}}
	}
	for _, c := range []struct {
		name  string
		unit  health.UnitRead
		reply health.Reply
		want  string
	}{
		{"active and answering", read("active", "running", 7), health.ReplyPong, statusRunning},
		{"active and frozen", read("active", "running", 7), health.ReplyTimeout, statusRunning},
		{"reloading", read("reloading", "reload", 7), health.ReplyPong, statusRunning},
		{"failed", read("failed", "failed", 0), health.ReplyRefused, statusFailed},
		{"waiting for systemd's restart", read("activating", "auto-restart", 0), health.ReplyRefused, statusFailed},
		{"stopped", read("inactive", "dead", 0), health.ReplyRefused, statusStopped},
		{"stopping", read("deactivating", "stop-sigterm", 7), health.ReplyRefused, statusUnknown},
		{"starting, loads its data", read("activating", "start", 7), health.ReplyLoading, statusRunning},
		{"host unreachable, Redis answers", health.UnitRead{At: at, Class: health.ClassUnreachable}, health.ReplyNoAuth, statusRunning},
		{"host unreachable, Redis silent", health.UnitRead{At: at, Class: health.ClassUnreachable}, health.ReplyTimeout, statusUnknown},
		{"nothing known", health.UnitRead{}, "", statusUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := statusOf(health.Samples{Ping: health.Ping{Reply: c.reply}, Unit: c.unit}); got != c.want {
				t.Errorf("status %q, want %q", got, c.want)
			}
		})
	}
}

func TestARefusedCommandCameOverAWorkingConnection(t *testing.T) {
	for class, want := range map[health.ErrorClass]bool{
		health.ClassNone: true, health.ClassDenied: true, health.ClassCommand: true,
		health.ClassUnreachable: false, health.ClassAuth: false, health.ClassHostKey: false, health.ClassTimeout: false,
	} {
		if got := sshAccessible(health.UnitRead{At: at, Class: class}); got != want {
			t.Errorf("class %q: accessible %v", class, got)
		}
	}
}

func TestHealthIsTheDocuments(t *testing.T) {
	t.Run("healthy", func(t *testing.T) {
		sameJSON(t, newHealthBody(runningView(), remediator.State{AutoRecoveryEnabled: true}), `{
			"overall_status": "healthy", "service_running": true, "connectivity": true, "response_time_ms": 2.5,
			"last_successful_command": "2025-10-10T14:29:55Z", "error_count_last_hour": 0,
			"health_checks": {
				"connectivity": {"status": "pass", "duration_ms": 2.5, "message": "PING successful"},
				"systemd": {"status": "pass", "duration_ms": 50.0, "message": "Service active and running"},
				"performance": {"status": "pass", "duration_ms": 15.0, "message": "All metrics within normal ranges",
					"metrics": {"memory_usage_mb": 128.5, "memory_limit_mb": 4096.0, "cpu_usage_percent": 5.2, "connections": 42, "max_connections": 10000}}},
			"recommendations": [],
			"auto_recovery": {"enabled": true, "recent_recoveries": 0, "last_recovery": null}}`)
	})
	t.Run("critical", func(t *testing.T) {
		v := stoppedView()
		v.Verdict.Reasons = append(v.Verdict.Reasons, health.Reason{Code: health.CodeNoConnectivity, Advice: "Verify system resources"},
			health.Reason{Code: health.CodeHung, Advice: "hidden advice", Hidden: true}, health.Reason{Advice: "Consider manual intervention"})
		b := newHealthBody(v, remediator.State{
			AutoRecoveryEnabled: true, RecentRecoveries: 3, LastRecovery: at.Add(-10 * time.Minute), RecoveryStatus: "failed", ManualIntervention: true,
		})
		if len(b.Reasons) != 4 {
			t.Errorf("reasons %v", b.Reasons)
		}
		b.Reasons = nil // ours, beside the document's members
		sameJSON(t, b, `{
			"overall_status": "critical", "service_running": false, "connectivity": false, "response_time_ms": null,
			"last_successful_command": "2025-10-10T14:15:00Z", "error_count_last_hour": 20,
			"health_checks": {
				"connectivity": {"status": "fail", "duration_ms": 5000.0, "message": "Connection timeout", "error": "Connection refused"},
				"systemd": {"status": "fail", "duration_ms": 50.0, "message": "Service failed", "details": "Exit code: 1"},
				"performance": {"status": "unknown", "duration_ms": 0, "message": "Cannot collect metrics - service not running"}},
			"recommendations": ["Check service logs for errors", "Verify system resources", "Consider manual intervention"],
			"auto_recovery": {"enabled": true, "recent_recoveries": 3, "last_recovery": "2025-10-10T14:20:00Z",
				"recovery_status": "failed", "requires_manual_intervention": true}}`)
	})
	t.Run("without maxmemory the machine is the limit", func(t *testing.T) {
		v := runningView()
		v.Samples.Info.MaxMemory, v.Samples.Info.HostMemory, v.CPUPercent = 0, 8<<30, nil
		m := newHealthMetrics(v)
		if *m.MemoryLimitMB != 8192 || m.CPUUsagePercent != nil {
			t.Errorf("%+v", m)
		}
	})
	t.Run("no INFO, no metrics", func(t *testing.T) {
		v := runningView()
		v.Samples.Info = nil
		if m := newHealthMetrics(v); m != nil {
			t.Errorf("%+v", m)
		}
	})
	t.Run("nothing known yet", func(t *testing.T) {
		b := newHealthBody(health.View{}, remediator.State{})
		if b.OverallStatus != "unknown" || len(b.HealthChecks) != 3 || b.HealthChecks[health.CheckSystemd].Status != "unknown" {
			t.Errorf("%+v", b)
		}
	})
	t.Run("the pool is a fourth layer", func(t *testing.T) {
		v := runningView()
		v.Verdict.Checks = append(v.Verdict.Checks, health.Check{Name: health.CheckPool, Status: health.CheckPass, Message: "2 connections"})
		if b := newHealthBody(v, remediator.State{}); b.HealthChecks[health.CheckPool].Message != "2 connections" {
			t.Errorf("%+v", b)
		}
	})
}

func TestStatusIsKeptUntilSomethingChanges(t *testing.T) {
	status := func(r *rig) string {
		return r.do("GET", "/api/services/redis/status", "").json(t)["status"].(string)
	}
	stop := func(r *rig) { r.prober.set("redis", stoppedView()) }

	t.Run("kept for its time", func(t *testing.T) {
		r := newRig(t, nil)
		status(r)
		stop(r)
		if got := status(r); got != statusRunning {
			t.Errorf("status %q was not kept", got)
		}
	})
	t.Run("off", func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Cache.Enabled = false })
		status(r)
		stop(r)
		if got := status(r); got != statusStopped {
			t.Errorf("status %q although the cache is off", got)
		}
	})
	t.Run("old", func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Cache.TTL = time.Nanosecond })
		status(r)
		stop(r)
		if got := status(r); got != statusStopped {
			t.Errorf("status %q is too old", got)
		}
	})
	t.Run("an event ends it", func(t *testing.T) {
		r := newRig(t, nil)
		status(r)
		stop(r)
		r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis"})
		if got := status(r); got != statusStopped {
			t.Errorf("status %q after an event", got)
		}
	})
	t.Run("an operation ends it", func(t *testing.T) {
		r := newRig(t, nil)
		status(r)
		r.remediator.operate = func(_ context.Context, req remediator.Request) (remediator.Result, error) {
			stop(r)
			return success(req.Operation), nil
		}
		r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, asAdmin)
		if got := status(r); got != statusStopped {
			t.Errorf("status %q after an operation", got)
		}
	})
	t.Run("unless the configuration says otherwise", func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.Cache.InvalidateOnOperation = false })
		status(r)
		r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, asAdmin)
		stop(r)
		if got := status(r); got != statusRunning {
			t.Errorf("status %q", got)
		}
	})
	t.Run("a change while it is built makes it old", func(t *testing.T) {
		r := newRig(t, nil)
		s := r.conf().services["redis"]
		if _, err := s.status.get(s, r.conf().Cache, func() any { s.invalidate(); return "old" }); err != nil {
			t.Fatal(err)
		}
		e, err := s.status.get(s, r.conf().Cache, func() any { return "new" })
		if err != nil || string(e.body) != `"new"` {
			t.Errorf("%s, %v", e.body, err)
		}
	})
}

func TestServices(t *testing.T) {
	r := newRig(t, func(o *Options) {
		s := &o.Services[0]
		s.CheckInterval, s.Environment, s.RunbookURL, s.DashboardURL = 5*time.Second, "production", "https://wiki.example/redis", "https://graphs.example/redis"
	})
	r.remediator.setState("sessions", remediator.State{DegradedSince: at, ManualIntervention: true})
	m := r.do("GET", "/api/services", "").json(t)
	records := m["records"].([]any)
	if len(records) != 2 || m["next_cursor"] != nil {
		t.Fatalf("%v", m)
	}
	first, second := records[0].(map[string]any), records[1].(map[string]any)
	if first["id"] != "redis" || first["status"] != "running" || first["degraded"] != false {
		t.Errorf("%v", first)
	}
	if first["check_interval_seconds"] != 5.0 || first["environment"] != "production" || first["runbook_url"] != "https://wiki.example/redis" ||
		first["dashboard_url"] != "https://graphs.example/redis" {
		t.Errorf("%v", first)
	}
	for _, key := range []string{"check_interval_seconds", "environment", "runbook_url", "dashboard_url"} {
		if value, there := second[key]; !there || value != nil {
			t.Errorf("%s is %v, present %v", key, value, there)
		}
	}
	if second["overall_status"] != "critical" || second["degraded"] != true || second["requires_manual_intervention"] != true {
		t.Errorf("%v", second)
	}
}

func TestComponentHealth(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/api/services/redis/start", "", asAdmin)
	m := r.do("GET", "/api/health/redis_service_management", "").json(t)
	delete(m, "timestamp")
	sameJSON(t, m, `{"status": "healthy", "component": "redis_service_management", "service_status": "running", "health_status": "healthy",
		"auto_recovery_enabled": true, "recent_operations": 1}`)

	r.prober.set("redis", stoppedView())
	if m := r.do("GET", "/api/health/redis_service_management", "").json(t); m["status"] != "degraded" || m["service_status"] != "stopped" {
		t.Errorf("%v", m)
	}
	delete(r.remediator.states, "redis")
	if a := r.do("GET", "/api/health/redis_service_management", ""); a.code != http.StatusServiceUnavailable || !strings.Contains(string(a.raw), `"unhealthy"`) {
		t.Errorf("%d %s", a.code, a.raw)
	}
}
