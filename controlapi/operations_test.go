package controlapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
)

func TestOperationBodiesAreTheDocuments(t *testing.T) {
	for _, c := range []struct {
		name string
		r    remediator.Result
		want string
	}{
		{"start", success(remediator.OpStart), `{"success": true, "operation": "start", "message": "Redis service started successfully",
			"duration_seconds": 12.5, "timestamp": "2025-10-10T14:30:00Z", "new_status": "running"}`},
		{"already running", remediator.Result{
			Success: true, AlreadyDone: true, Operation: remediator.OpStart, Message: "Redis service already running", Duration: 500 * time.Millisecond,
			Timestamp: at, NewStatus: "running",
		}, `{"success": true, "operation": "start", "message": "Redis service already running", "duration_seconds": 0.5,
			"timestamp": "2025-10-10T14:30:00Z", "new_status": "running"}`},
		{"failed", remediator.Result{
			Operation: remediator.OpStart, Message: "Failed to start Redis service", Error: "systemctl start command failed: exit code 1",
			Duration: 5 * time.Second, Timestamp: at, NewStatus: "failed", ExitCode: 1,
		}, `{"success": false, "operation": "start", "message": "Failed to start Redis service", "error": "systemctl start command failed: exit code 1",
			"duration_seconds": 5.0, "timestamp": "2025-10-10T14:30:00Z", "new_status": "failed"}`},
		{"stop", success(remediator.OpStop), `{"success": true, "operation": "stop", "message": "Redis service stopped successfully",
			"duration_seconds": 12.5, "timestamp": "2025-10-10T14:30:00Z", "new_status": "stopped", "warning": "All Redis-dependent services may be affected"}`},
		{"already stopped", remediator.Result{
			Success: true, AlreadyDone: true, Operation: remediator.OpStop, Message: "Redis service already stopped", Timestamp: at, NewStatus: "stopped",
		}, `{"success": true, "operation": "stop", "message": "Redis service already stopped", "duration_seconds": 0,
			"timestamp": "2025-10-10T14:30:00Z", "new_status": "stopped"}`},
		{"restart", success(remediator.OpRestart), `{"success": true, "operation": "restart", "message": "Redis service restarted successfully",
			"duration_seconds": 12.5, "timestamp": "2025-10-10T14:30:00Z", "new_status": "running", "previous_uptime_seconds": 86400, "connections_terminated": 42}`},
		{"restart of a dead one", remediator.Result{
			Success: true, Operation: remediator.OpRestart, Message: "Redis service restarted successfully", Timestamp: at, NewStatus: "running", PreviousUptime: -1, ConnectionsTerminated: -1,
		}, `{"success": true, "operation": "restart", "message": "Redis service restarted successfully", "duration_seconds": 0,
			"timestamp": "2025-10-10T14:30:00Z", "new_status": "running", "previous_uptime_seconds": null, "connections_terminated": null}`},
		{"outcome unknown", remediator.Result{
			Operation: remediator.OpRestart, Message: "The connection broke", OutcomeUnknown: true, Timestamp: at,
		}, `{"success": false, "operation": "restart", "message": "The connection broke", "error": "The connection broke", "duration_seconds": 0,
			"timestamp": "2025-10-10T14:30:00Z", "new_status": "unknown", "outcome_unknown": true}`},
	} {
		t.Run(c.name, func(t *testing.T) { sameJSON(t, newOperationBody(c.r), c.want) })
	}
}

func answers(result remediator.Result, err error) func(context.Context, remediator.Request) (remediator.Result, error) {
	return func(context.Context, remediator.Request) (remediator.Result, error) { return result, err }
}

func TestWhatTheRemediatorIsTold(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/api/services/sessions/restart", `{"reason":"cache is stale"}`, asOperator, header("X-Request-Id", "trace-1234"))
	want := remediator.Request{
		Service: "sessions", Operation: remediator.OpRestart, SourceIP: "172.16.168.20", RequestID: "trace-1234", Reason: "cache is stale",
		Actor: remediator.Actor{ID: "backend", Role: "operator", Auth: "service_account", SourceIP: "172.16.168.20", RequestID: "trace-1234"},
	}
	if got := r.remediator.seen(); len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	if got := r.audit.all(); len(got) != 0 {
		t.Errorf("the remediator records what it accepts, but so did we: %+v", got)
	}
}

func TestRefusalsOfTheRemediator(t *testing.T) {
	busy := &remediator.BusyError{Busy: remediator.Busy{By: "ann@autobot.local", Operation: "restart", Since: at}}
	for _, c := range []struct {
		name    string
		err     error
		want    int
		code    string
		retry   string
		records int
	}{
		{"busy", busy, 409, "busy", "", 0},
		{"host unreachable", &remediator.UnavailableError{Class: health.ClassUnreachable, Public: "the host cannot be reached"}, 503, "host_unreachable", "10", 0},
		{"breaker open", &remediator.BreakerOpenError{RetryAfter: 42500 * time.Millisecond}, 503, "circuit_breaker_open", "43", 0},
		{"unit acted on too often", &remediator.RateError{RetryAfter: 3 * time.Second}, 429, "unit_rate", "3", 0},
		{"not allowed", remediator.ErrNotAllowed, 403, "operation_not_allowed", "", 0},
		{"no intent", remediator.ErrAudit, 503, "audit_unavailable", "10", 0},
		{"unknown there", remediator.ErrUnknownService, 404, "unknown_service", "", 1},
		{"still running", fmt.Errorf("the start goes on: %w", context.DeadlineExceeded), 504, "still_running", "", 0},
		{"a bug", errors.New("canary-cause"), 500, "internal", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.remediator.operate = answers(remediator.Result{}, c.err)
			a := r.do("POST", "/api/services/redis/start", "{}", asAdmin)
			m := a.json(t)
			if a.code != c.want || m["code"] != c.code || a.header.Get("Retry-After") != c.retry || strings.Contains(string(a.raw), "canary-cause") {
				t.Errorf("%d %s, Retry-After %q", a.code, a.raw, a.header.Get("Retry-After"))
			}
			if got := r.audit.all(); len(got) != c.records {
				t.Errorf("%d records: %+v", len(got), got)
			}
			if c.name == "busy" && (m["busy"].(map[string]any)["by"] != "ann@autobot.local" || !strings.Contains(m["detail"].(string), "restart")) {
				t.Errorf("409 does not say who does what: %s", a.raw)
			}
		})
	}
}

func TestAFailedOperationIsA500WithTheDocumentsBody(t *testing.T) {
	r := newRig(t, nil)
	r.remediator.operate = answers(remediator.Result{Operation: remediator.OpStart, Message: "Failed to start Redis service", Error: "exit code 1", Timestamp: at, NewStatus: "failed"}, nil)
	a := r.do("POST", "/api/services/redis/start", "{}", asAdmin)
	if a.code != 500 || a.header.Get("Content-Type") != "application/json" || a.json(t)["new_status"] != "failed" {
		t.Errorf("%d %s", a.code, a.raw)
	}
}

func TestConfirmationOfAStop(t *testing.T) {
	const path = "/api/services/redis/stop"
	r := newRig(t, func(o *Options) { o.RateLimits.Stop = 6 })
	ask := r.do("POST", path, "{}", asAdmin)
	m := ask.json(t)
	if ask.code != 400 || len(r.remediator.seen()) != 0 {
		t.Fatalf("%d %s", ask.code, ask.raw)
	}
	for name, want := range map[string]any{
		"error": "Confirmation required to stop Redis service", "message": "Stopping Redis will affect all dependent services",
		"confirmation_required": true,
	} {
		if m[name] != want {
			t.Errorf("%s is %v", name, m[name])
		}
	}
	if got := m["affected_services"].([]any); len(got) != 3 || got[0] != "backend" {
		t.Errorf("affected %v", got)
	}
	token := m["confirmation_token"].(string)
	say := func(body string) int { return r.do("POST", path, body, asAdmin).code }

	for name, code := range map[string]int{
		`{"confirmation":false}`: 400, `{"confirmation_token":""}`: 400, `{"confirmation_token":"made-up"}`: 400,
		`{"confirmation":true,"confirmation_token":"made-up"}`: 400, // whoever sends a token means it
	} {
		if got := say(name); got != code {
			t.Errorf("%s: %d", name, got)
		}
	}
	if got := r.do("POST", "/api/services/sessions/stop", `{"confirmation_token":"`+token+`"}`, asAdmin).code; got != 400 {
		t.Errorf("the token of another service: %d", got)
	}
	token = r.do("POST", path, "", asAdmin).json(t)["confirmation_token"].(string)
	if got := say(`{"confirmation_token":"` + token + `"}`); got != 200 {
		t.Errorf("the token: %d", got)
	}
	if got := say(`{"confirmation_token":"` + token + `"}`); got != 400 {
		t.Errorf("the token again: %d", got)
	}
	for _, c := range []struct{ query, body string }{{"?confirmation=true", ""}, {"", `{"confirmation":true}`}} {
		if a := r.do("POST", path+c.query, c.body, asAdmin); a.code != 200 {
			t.Errorf("%+v: %d %s", c, a.code, a.raw)
		}
	}
	if got := len(r.remediator.seen()); got != 3 {
		t.Errorf("%d stops reached the remediator", got)
	}
	for _, rec := range r.audit.all() {
		if rec.Phase != audit.PhaseDenied || rec.Result.Status != 400 || !rec.Security.CommandValidated {
			t.Errorf("record %+v", rec)
		}
	}

	off := newRig(t, func(o *Options) { o.ConfirmStop = false })
	if a := off.do("POST", path, "{}", asAdmin); a.code != 200 {
		t.Errorf("confirmation is off, but %d", a.code)
	}
}

func TestConfirmationTokensEnd(t *testing.T) {
	c := newConfirmations(time.Minute)
	token := c.issue("ann", "redis", "stop", at)
	for name, ok := range map[string]bool{
		"of somebody else": c.redeem(token, "bob", "redis", "stop", at), "after that": c.redeem(token, "ann", "redis", "stop", at),
		"late": c.redeem(c.issue("ann", "redis", "stop", at), "ann", "redis", "stop", at.Add(time.Minute)),
	} {
		if ok {
			t.Errorf("redeemed %s", name)
		}
	}
	c.issue("ann", "redis", "stop", at)
	c.prune(at.Add(time.Hour))
	if len(c.open) != 0 {
		t.Error("an ended token is kept")
	}
	for range maxConfirmations + 1 {
		c.issue("ann", "redis", "stop", at)
	}
	if len(c.open) > maxConfirmations {
		t.Errorf("%d tokens are kept", len(c.open))
	}
}

func TestIdempotencyKey(t *testing.T) {
	const path = "/api/services/redis/start"
	key := header("Idempotency-Key", "k-1")
	r := newRig(t, nil)
	first := r.do("POST", path, "{}", asAdmin, key)
	second := r.do("POST", path, "{}", asAdmin, key)
	if first.code != 200 || string(first.raw) != string(second.raw) || second.header.Get("Idempotent-Replayed") != "true" || len(r.remediator.seen()) != 1 {
		t.Errorf("%s / %s, %d acts", first.raw, second.raw, len(r.remediator.seen()))
	}
	if a := r.do("POST", "/api/services/redis/restart", "{}", asAdmin, key); a.code != 422 {
		t.Errorf("the key of another operation: %d", a.code)
	}
	if a := r.do("POST", path, "{}", asOperator, key); a.code != 200 || len(r.remediator.seen()) != 2 {
		t.Errorf("the same key of another person: %d, %d acts", a.code, len(r.remediator.seen()))
	}

	t.Run("nothing was done, so it may be tried again", func(t *testing.T) {
		r := newRig(t, nil)
		r.remediator.operate = answers(remediator.Result{}, &remediator.BusyError{})
		r.do("POST", path, "{}", asAdmin, key)
		r.remediator.operate = nil
		if a := r.do("POST", path, "{}", asAdmin, key); a.code != 200 {
			t.Errorf("%d %s", a.code, a.raw)
		}
	})
	t.Run("a failure is remembered", func(t *testing.T) {
		r := newRig(t, nil)
		r.remediator.operate = answers(remediator.Result{Operation: remediator.OpStart, Message: "failed", Timestamp: at}, nil)
		r.do("POST", path, "{}", asAdmin, key)
		r.remediator.operate = nil
		if a := r.do("POST", path, "{}", asAdmin, key); a.code != 500 || len(r.remediator.seen()) != 1 {
			t.Errorf("%d %s", a.code, a.raw)
		}
	})
	t.Run("the question is asked again", func(t *testing.T) {
		r := newRig(t, nil)
		r.do("POST", "/api/services/redis/stop", "{}", asAdmin, key)
		if a := r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, asAdmin, key); a.code != 200 {
			t.Errorf("%d %s", a.code, a.raw)
		}
	})
	t.Run("the memory is bounded", func(t *testing.T) {
		r := newRig(t, func(o *Options) { o.RateLimits.Start = -1 })
		code := 200
		for i := 0; code == 200 && i <= maxResults; i++ {
			code = r.do("POST", path, "{}", asAdmin, header("Idempotency-Key", fmt.Sprint("k-", i))).code
		}
		if code != 429 || len(r.operations.byKey) != maxResults {
			t.Errorf("%d with %d keys", code, len(r.operations.byKey))
		}
	})
}

func TestOldAnswersAreForgotten(t *testing.T) {
	o := newOperations()
	o.byKey[operationKey{"ann", "k"}] = &operationRun{began: at}
	o.history = []time.Time{at, at.Add(50 * time.Minute)}
	if got := o.recent(at.Add(61 * time.Minute)); got != 1 || len(o.byKey) != 0 {
		t.Errorf("%d recent, keys %v", got, o.byKey)
	}
}

// TestAnOperationOutlivesItsRequest closes the client while the operation runs, and gets its answer later with the same key.
func TestAnOperationOutlivesItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		var ended error
		release := make(chan struct{})
		r.remediator.operate = func(ctx context.Context, req remediator.Request) (remediator.Result, error) {
			select {
			case <-ctx.Done():
				ended = ctx.Err()
			case <-release:
			}
			return success(req.Operation), nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		key := header("Idempotency-Key", "k-1")
		var gone, waiting answer
		var wg sync.WaitGroup
		wg.Go(func() {
			gone = r.do("POST", "/api/services/redis/restart", "{}", asAdmin, key, func(req *http.Request) { *req = *req.WithContext(ctx) })
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		wg.Go(func() { waiting = r.do("POST", "/api/services/redis/restart", "{}", asAdmin, key) })
		synctest.Wait()
		close(release)
		wg.Wait()
		if ended != nil || gone.code != statusClientGone || waiting.code != 200 || len(r.remediator.seen()) != 1 {
			t.Errorf("operation ended by %v; answers %d and %d; %d acts", ended, gone.code, waiting.code, len(r.remediator.seen()))
		}
	})
}

func TestAutoRecoverySettings(t *testing.T) {
	r := newRig(t, nil)
	r.remediator.setState("redis", remediator.State{
		AutoRecoveryEnabled: true, Desired: remediator.Desired{Running: false, By: "ann", Since: at, Reason: "upgrade"},
		Holds: []remediator.Hold{{Code: remediator.HoldMaintenance, Text: "maintenance", By: "ann", Since: at, Until: at.Add(time.Hour)}},
		Busy:  &remediator.Busy{By: "ann", Operation: "stop", Since: at}, ManualIntervention: true, ManualReason: "3 recoveries in 5 minutes",
		Incident: &remediator.Incident{ID: "inc-1", Status: remediator.IncidentManual, OpenedAt: at, Steps: []remediator.Step{
			{At: at, Kind: "diagnosed", Text: "bad directive", Evidence: map[string]string{"line": "canary-evidence"}},
		}},
	})
	admin, viewer := r.do("GET", "/api/services/redis/auto-recovery", "", asAdmin), r.do("GET", "/api/services/redis/auto-recovery", "", asViewer)
	if !strings.Contains(string(admin.raw), "canary-evidence") || strings.Contains(string(viewer.raw), "canary-evidence") {
		t.Errorf("evidence is for those who may see logs:\n%s\n%s", admin.raw, viewer.raw)
	}
	m := viewer.json(t)
	if m["desired"].(map[string]any)["by"] != "ann" || m["holds"].([]any)[0].(map[string]any)["until"] != "2025-10-10T15:30:00Z" || m["manual_intervention"] != true {
		t.Errorf("%s", viewer.raw)
	}

	for _, c := range []struct {
		method, path, body string
		want               int
		noted              string
	}{
		{"PUT", "auto-recovery", `{"enabled":false,"reason":"night work"}`, 200, "set redis root-bot off night work"},
		{"PUT", "auto-recovery", `{"enabled":true}`, 200, "set redis root-bot on "},
		{"PUT", "auto-recovery", `{}`, 400, ""},
		{"PUT", "auto-recovery", `{"enabled":1}`, 400, ""},
		{"POST", "auto-recovery/reset", `{"reason":"fixed"}`, 200, "reset redis root-bot fixed"},
		{"POST", "auto-recovery/reset", `{"x":1}`, 400, ""},
		{"POST", "reset-circuit-breaker", ``, 200, "reset redis root-bot "},
		{"POST", "maintenance", `{"duration_seconds":600,"reason":"upgrade"}`, 200, "maintain redis root-bot upgrade"},
		{"POST", "maintenance", `{"until":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`, 200, "maintain redis root-bot "},
		{"POST", "maintenance", ``, 200, "maintain redis root-bot "},
		{"POST", "maintenance", `{"duration_seconds":600,"until":"2099-01-01T00:00:00Z"}`, 400, ""},
		{"POST", "maintenance", `{"until":"2000-01-01T00:00:00Z"}`, 400, ""},
		{"POST", "maintenance", `{"duration_seconds":-1}`, 400, ""},
		{"POST", "maintenance", `{"duration_seconds":9000000000000}`, 400, ""},
		{"POST", "maintenance", `{"until":"tomorrow"}`, 400, ""},
		{"DELETE", "maintenance", ``, 200, "unmaintain redis root-bot"},
	} {
		t.Run(c.method+" "+c.path+" "+c.body, func(t *testing.T) {
			r := newRig(t, nil)
			a := r.do(c.method, "/api/services/redis/"+c.path, c.body, asAdmin)
			noted := strings.Join(r.remediator.noted(), ";")
			if a.code != c.want || noted != c.noted {
				t.Errorf("%d %s, noted %q", a.code, a.raw, noted)
			}
			if records := len(r.audit.all()); records != map[bool]int{true: 1}[c.want >= 400] {
				t.Errorf("%d audit records of ours", records)
			}
		})
	}
}

func TestSettingsThatTheRemediatorRefuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{remediator.ErrAudit, 503}, {remediator.ErrUnknownService, 404}, {remediator.ErrPast, 400}, {context.DeadlineExceeded, 503}, {errors.New("x"), 500},
	} {
		for _, path := range []string{"PUT auto-recovery", "POST auto-recovery/reset", "POST maintenance", "DELETE maintenance"} {
			r := newRig(t, nil)
			r.remediator.err = c.err
			method, rest, _ := strings.Cut(path, " ")
			if a := r.do(method, "/api/services/redis/"+rest, bodies[method+" "+servicePath+"/"+rest], asAdmin); a.code != c.want {
				t.Errorf("%s, %v: %d, want %d", path, c.err, a.code, c.want)
			}
		}
	}
	r := newRig(t, nil)
	delete(r.remediator.states, "redis")
	if a := r.do("GET", "/api/services/redis/auto-recovery", "", asAdmin); a.code != 404 {
		t.Errorf("%d", a.code)
	}
}

func TestDegradation(t *testing.T) {
	r := newRig(t, nil)
	get := func(r *rig) map[string]any { return r.do("GET", "/api/services/redis/degradation", "").json(t) }
	if m := get(r); m["degraded"] != false || m["since"] != nil || m["fallbacks"].(map[string]any)["sessions"] != "redis" {
		t.Errorf("%v", m)
	}
	r.remediator.setState("redis", remediator.State{DegradedSince: time.Now().Add(-90 * time.Second)})
	m := get(r)
	f := m["fallbacks"].(map[string]any)
	if m["degraded"] != true || m["show_banner"] != true || m["duration_seconds"].(float64) < 90 || f["sessions"] != "memory" || f["cache"] != "bypass" || f["real_time"] != "queue" {
		t.Errorf("%v", m)
	}
	off := newRig(t, func(o *Options) { o.Degraded = DegradedSettings{} })
	off.remediator.setState("redis", remediator.State{DegradedSince: at})
	if m := get(off); m["degraded"] != false {
		t.Errorf("degraded mode is off, but %v", m)
	}
}

func TestIncidents(t *testing.T) {
	r := withIncident(newRig(t, nil))
	m := r.do("GET", "/api/services/redis/incidents?limit=1", "", asViewer).json(t)
	if len(m["records"].([]any)) != 1 || m["next_cursor"] != "next-page" {
		t.Errorf("%v", m)
	}
	for query, want := range map[string]int{"?limit=0": 400, "?limit=x": 400, "?limit=201": 400, "": 200} {
		if a := r.do("GET", "/api/services/redis/incidents"+query, "", asAdmin); a.code != want {
			t.Errorf("%q: %d", query, a.code)
		}
	}
	admin, viewer := r.do("GET", "/api/incidents/inc-1", "", asAdmin), r.do("GET", "/api/incidents/inc-1", "", asViewer)
	if !strings.Contains(string(admin.raw), "canary-evidence") || strings.Contains(string(viewer.raw), "canary-evidence") {
		t.Errorf("%s\n%s", admin.raw, viewer.raw)
	}
	bundle := r.do("GET", "/api/incidents/inc-1/evidence", "", asAdmin)
	if bundle.code != 200 || !strings.HasPrefix(bundle.header.Get("Content-Disposition"), "attachment") || !strings.Contains(string(bundle.raw), "canary-evidence") {
		t.Errorf("%d %s", bundle.code, bundle.raw)
	}
	records := r.audit.all()
	if len(records) != 1 || records[0].Operation != "evidence" || records[0].Details["incident"] != "inc-1" || !records[0].Result.Success {
		t.Errorf("%+v", records)
	}
	if m := r.do("GET", "/api/services/redis/auto-recovery?explain=true", "", asViewer).json(t); m["explanation"].(map[string]any)["code"] != "standard" {
		t.Errorf("explanation: %v", m["explanation"])
	}
	if a := r.do("GET", "/api/services/redis/auto-recovery?explain=maybe", "", asViewer); a.code != 400 {
		t.Errorf("explain=maybe: %d", a.code)
	}
	for _, path := range []string{"/api/incidents/none", "/api/incidents/none/evidence"} {
		if a := r.do("GET", path, "", asAdmin); a.code != 404 {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

func TestLogs(t *testing.T) {
	entries := []LogEntry{
		{Time: at.Add(-time.Hour), Level: "error", Message: "old trouble", Source: "journal"},
		{Time: at.Add(-10 * time.Second), Level: "info", Message: "Background saving started by pid 12346", Source: "redis"},
		{Time: at.Add(-5 * time.Second), Level: "info", Message: "DB saved on disk", Source: "redis"},
		{Level: "warning", Message: "this log could not be read", Source: "redis"},
	}
	for _, c := range []struct {
		query string
		want  string // messages, newest first
		asked int
	}{
		{"", "this log could not be read|DB saved on disk|Background saving started by pid 12346|old trouble", 50},
		{"?lines=2", "this log could not be read|DB saved on disk", 2},
		{"?level=error", "old trouble", 1000},
		{"?level=WARNING", "this log could not be read|old trouble", 1000},
		{"?since=2025-10-10T14:29:55Z", "this log could not be read|DB saved on disk", 1000},
		{"?since=2025-10-10T16:29:55%2B02:00&level=info&lines=1", "this log could not be read", 1000},
	} {
		t.Run(c.query, func(t *testing.T) {
			r := newRig(t, nil)
			r.logs.entries = entries
			m := r.do("GET", "/api/services/redis/logs"+c.query, "", asAdmin).json(t)
			var got []string
			for _, l := range m["logs"].([]any) {
				got = append(got, l.(map[string]any)["message"].(string))
			}
			if strings.Join(got, "|") != c.want || int(m["total_lines"].(float64)) != len(got) || r.logs.asked != c.asked {
				t.Errorf("%v, asked for %d", m, r.logs.asked)
			}
			if m["service"] != "redis-server" || m["vm"] != "172.16.168.23" {
				t.Errorf("%v", m)
			}
			if records := r.audit.all(); len(records) != 1 || records[0].EventType != "access" || records[0].Operation != "logs" {
				t.Errorf("%+v", records)
			}
		})
	}
	for _, query := range []string{"lines=0", "lines=1001", "lines=ten", "lines=1;reboot", "level=loud", "since=yesterday", "since=2025-10-10"} {
		r := newRig(t, nil)
		if a := r.do("GET", "/api/services/redis/logs?"+strings.ReplaceAll(query, ";", "%3B"), "", asAdmin); a.code != 400 || r.logs.asked != 0 {
			t.Errorf("%s: %d", query, a.code)
		}
	}
}

func TestLogsThatCannotBeRead(t *testing.T) {
	r := newRig(t, nil)
	r.logs.err = &host.Error{Class: health.ClassUnreachable, Public: "the host cannot be reached", Cause: errors.New("canary-cause")}
	a := r.do("GET", "/api/services/redis/logs", "", asAdmin)
	if a.code != 503 || a.json(t)["detail"] != "the host cannot be reached" || strings.Contains(string(a.raw), "canary-cause") {
		t.Errorf("%d %s", a.code, a.raw)
	}
	none := newRig(t, func(o *Options) { o.Logs = nil })
	if a := none.do("GET", "/api/services/redis/logs", "", asAdmin); a.code != 503 {
		t.Errorf("%d %s", a.code, a.raw)
	}
}

func TestAuditQueries(t *testing.T) {
	r := newRig(t, nil)
	a := r.do("GET", "/api/audit?service=redis&user=ann&operation=stop&phase=outcome&result=failure&since=2025-10-10T00:00:00Z&until=2025-10-11T00:00:00Z&limit=10&cursor=99", "", asAdmin)
	no := false
	want := audit.Filter{
		Service: "redis", User: "ann", Operation: "stop", Phase: audit.PhaseOutcome, Success: &no,
		Since: at.Truncate(24 * time.Hour), Until: at.Truncate(24 * time.Hour).Add(24 * time.Hour), Limit: 10, Before: 99,
	}
	got := r.audit.filter
	if a.code != 200 || *got.Success || !got.Since.Equal(want.Since) || !got.Until.Equal(want.Until) || a.json(t)["next_cursor"] != "41" {
		t.Errorf("%s %+v", a.raw, got)
	}
	got.Success, got.Since, got.Until = want.Success, want.Since, want.Until
	if got != want {
		t.Errorf("%+v", got)
	}
	if records := r.audit.all(); len(records) != 1 || records[0].Operation != "audit.read" || records[0].Details["user"] != "ann" {
		t.Errorf("reading the audit log is audited: %+v", records)
	}
	if m := r.do("GET", "/api/audit?service=nothing&result=denied", "", asAdmin).json(t); m["next_cursor"] != nil || len(m["records"].([]any)) != 0 || r.audit.filter.Phase != audit.PhaseDenied {
		t.Errorf("%v", m)
	}
	for _, query := range []string{"phase=x", "result=x", "since=x", "until=x", "limit=0", "limit=1001", "cursor=x", "cursor=0", "usre=ann"} {
		if a := r.do("GET", "/api/audit?"+query, "", asAdmin); a.code != 400 {
			t.Errorf("%s: %d", query, a.code)
		}
	}
}

func TestAuditExport(t *testing.T) {
	r := newRig(t, nil)
	for query, want := range map[string]string{"": "jsonl line\n", "?format=csv&user=ann": "csv line\n", "?service=nothing": ""} {
		a := r.do("GET", "/api/audit/export"+query, "", asAdmin)
		if a.code != 200 || string(a.raw) != want || !strings.HasPrefix(a.header.Get("Content-Disposition"), "attachment") {
			t.Errorf("%q: %d %q %v", query, a.code, a.raw, a.header)
		}
	}
	if r.audit.filter.Limit != 0 || len(r.audit.all()) != 3 || r.audit.all()[0].Operation != "audit.export" {
		t.Errorf("%+v %+v", r.audit.filter, r.audit.all())
	}
	for query, want := range map[string]int{"format=xml": 400, "limit=0": 400, "since=x": 400, "service=early": 500} {
		if a := r.do("GET", "/api/audit/export?"+query, "", asAdmin); a.code != want || a.header.Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %v", query, a.code, a.header)
		}
	}
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Error("a file that is cut looks complete")
		}
	}()
	r.do("GET", "/api/audit/export?service=late", "", asAdmin)
}

func TestEveryKindOfErrorHasItsStatus(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{store.ErrNotFound, 404}, {store.ErrBadCursor, 400}, {&http.MaxBytesError{Limit: 5}, 413}, {context.Canceled, 503},
		{fmt.Errorf("wrapped: %w", badRequest("no")), 400},
	} {
		if got := problemOf(c.err).status; got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
	p := problemOf(remediator.ErrAudit)
	if !errors.Is(p, remediator.ErrAudit) || !strings.Contains(p.Error(), "audit_unavailable") || newProblem(400, "x", "y").Error() != "x: y" {
		t.Errorf("%v", p)
	}
}

// TestLookingNeverWaitsForAnOperation: while one is in hand, status, health and the list of services answer at once.
func TestLookingNeverWaitsForAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		release := make(chan struct{})
		r.remediator.operate = func(_ context.Context, req remediator.Request) (remediator.Result, error) {
			<-release
			return success(req.Operation), nil
		}
		done := make(chan answer, 1)
		go func() { done <- r.do("POST", "/api/services/redis/restart", "{}", asAdmin) }()
		synctest.Wait()
		began := time.Now()
		for _, path := range []string{"status", "health", "auto-recovery", "degradation", "logs"} {
			if a := r.do("GET", "/api/services/redis/"+path, "", asAdmin); a.code != 200 {
				t.Errorf("%s: %d", path, a.code)
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited for %s", waited)
		}
		close(release)
		if a := <-done; a.code != 200 {
			t.Errorf("%d", a.code)
		}
	})
}
