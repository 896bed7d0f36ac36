package controlapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/documenttest"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
)

// problemMembers are what every refusal has beside the document's members.
var problemMembers = []string{"type", "title", "status", "detail", "error", "message", "code", "request_id", "timestamp"}

// degradedView is a Redis that is up, but slow and full.
func degradedView() health.View {
	v := runningView()
	v.Samples.Ping.Latency, v.ErrorsHour = 150500*time.Microsecond, 5
	v.Verdict.Status = health.Degraded
	v.Verdict.Checks[2].Status, v.Verdict.Checks[2].Message = health.CheckWarning, "High memory usage detected"
	v.Verdict.Reasons = []health.Reason{{Code: health.CodeMemoryWarning, Status: health.Degraded, Text: "memory", Advice: "Consider increasing memory limit"}}
	return v
}

// TestEveryExampleOfTheDocument asks for each example of the document over HTTP or the event stream and compares the members.
func TestEveryExampleOfTheDocument(t *testing.T) {
	post := func(op, body string, change func(*rig)) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			r := newRig(t, nil)
			if change != nil {
				change(r)
			}
			return r.do("POST", "/api/services/redis/"+op, body, asAdmin).raw
		}
	}
	show := func(what string, v health.View, s remediator.State) func(*testing.T) []byte {
		return func(t *testing.T) []byte {
			r := newRig(t, nil)
			r.prober.set("redis", v)
			r.remediator.setState("redis", s)
			return r.do("GET", "/api/services/redis/"+what, "").raw
		}
	}
	result := func(res remediator.Result) func(*rig) {
		return func(r *rig) { r.remediator.operate = answers(res, nil) }
	}
	type example struct {
		ask   func(*testing.T) []byte
		extra []string
	}
	auto := remediator.State{AutoRecoveryEnabled: true}
	examples := map[string]example{
		"start": {post("start", documenttest.Text("start.request"), nil), nil},
		"start-already-running": {post("start", "{}", result(remediator.Result{Success: true, AlreadyDone: true, Operation: remediator.OpStart, NewStatus: "running",
			Message: "Redis service already running", Timestamp: at})), nil},
		"start-failed": {post("start", "{}", result(remediator.Result{Operation: remediator.OpStart, Message: "Failed to start Redis service", NewStatus: "failed",
			Error: "systemctl start command failed: exit code 1", Timestamp: at})), nil},
		"forbidden": {func(t *testing.T) []byte {
			return newRig(t, nil).do("POST", "/api/services/redis/start", "{}", asViewer).raw
		}, append([]string{"required_roles", "user_role"}, problemMembers...)},
		"stop":            {post("stop", documenttest.Text("stop.request"), nil), nil},
		"confirmation":    {post("stop", "{}", nil), append([]string{"confirmation_token", "confirmation_timeout_seconds"}, problemMembers...)},
		"restart":         {post("restart", documenttest.Text("restart.request"), nil), nil},
		"status-running":  {show("status", runningView(), auto), nil},
		"status-stopped":  {show("status", stoppedView(), auto), nil},
		"health-healthy":  {show("health", runningView(), auto), nil},
		"health-degraded": {show("health", degradedView(), auto), []string{"reasons"}},
		"health-critical": {show("health", stoppedView(), remediator.State{
			AutoRecoveryEnabled: true, RecentRecoveries: 3, LastRecovery: at, RecoveryStatus: "failed", ManualIntervention: true}), []string{"reasons"}},
		"logs": {func(t *testing.T) []byte {
			r := newRig(t, nil)
			r.logs.entries = []LogEntry{{Time: at, Level: "info", Message: "DB saved on disk", Source: "redis"}}
			return r.do("GET", "/api/services/redis/logs", "", asAdmin).raw
		}, []string{"logs.source"}},
		"event-status":   {streamed("service_status", nil), []string{"seq", "snapshot"}},
		"event-service":  {streamed("service_event", &remediator.Event{Type: remediator.EventService, Event: "restart", User: "admin@autobot.local", Result: "success"}), []string{"seq"}},
		"event-recovery": {streamed("auto_recovery", &remediator.Event{Type: remediator.EventAutoRecovery, RecoveryLevel: "standard", Status: "success", Message: "recovered"}), []string{"seq"}},
		"audit": {func(t *testing.T) []byte {
			r := newRig(t, nil)
			_, _ = r.audit.Append(t.Context(), audit.Record{Time: at, EventType: "service_operation", Service: "redis", Operation: "restart",
				User: audit.User{ID: "user-123", Email: "admin@autobot.local", Role: "admin"}, Result: audit.Result{Success: true, ExitCode: new(0)}, Phase: audit.PhaseOutcome, Security: audit.Security{RiskLevel: "moderate"}})
			var page struct{ Records []json.RawMessage }
			if err := json.Unmarshal(r.do("GET", "/api/audit", "", asAdmin).raw, &page); err != nil {
				t.Fatal(err)
			}
			return page.Records[0]
		}, []string{"phase", "chain", "seq", "prev_hash", "hash"}},
	}
	if got, want := slices.Sorted(maps.Keys(examples)), documenttest.Names(); !slices.Equal(got, want) {
		t.Errorf("asked for %v, the document has %v", got, want)
	}
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			body := e.ask(t)
			for _, d := range documenttest.Differences(name, body, e.extra...) {
				t.Errorf("%s\n%s", d, body)
			}
		})
	}
}

// streamed returns the first message of a type; ev is published, nil means the snapshot has it.
func streamed(kind string, ev *remediator.Event) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
		c, _, err := r.listen(streamPath, authHeader(viewToken))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		if ev != nil {
			ev.Service, ev.Timestamp = "redis", at
			r.Hub().Publish(*ev)
		}
		for {
			if m := next(t, c); m["type"] == kind {
				raw, err := json.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				return raw
			}
		}
	}
}

// TestTheDocumentsEndpoints compares Appendix B with the table of routes and the default permissions.
func TestTheDocumentsEndpoints(t *testing.T) {
	table, err := rbac.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	endpoints := documenttest.Endpoints()
	if len(endpoints) != 7 {
		t.Fatalf("%d endpoints", len(endpoints))
	}
	for _, e := range endpoints {
		method := strings.Replace(e.Method, "WS", "GET", 1)
		i := slices.IndexFunc(routes(), func(rt route) bool { return rt.method == method && matchesPath(rt.path, e.Path) })
		if i < 0 {
			t.Errorf("%s %s is no route", e.Method, e.Path)
			continue
		}
		rt := routes()[i]
		if table.Allow(rbac.Anonymous, rt.permission) == e.Required {
			t.Errorf("%s: authentication required is %v", e.Path, e.Required)
		}
		for _, role := range []rbac.Role{rbac.Admin, rbac.Operator, rbac.Viewer} {
			if want := e.Roles == nil || slices.Contains(e.Roles, string(role)); table.Allow(role, rt.permission) != want {
				t.Errorf("%s: %s may is %v", e.Path, role, !want)
			}
		}
	}
}
