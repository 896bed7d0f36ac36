package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
)

func auditText(t *testing.T, r *rig) string {
	t.Helper()
	raw, err := json.Marshal(r.audit.all())
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// serveRig runs the API on its listener until the test ends.
func serveRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := newRig(t, change)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// listen opens the event stream.
func (r *rig) listen(path string, h http.Header, protocols ...string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return websocket.Dial(ctx, "ws://"+r.Addr().String()+path, &websocket.DialOptions{HTTPHeader: h, Subprotocols: protocols})
}

// next reads one message, which must be as described.
func next(t *testing.T, c *websocket.Conn) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, raw, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	theContract().validate(t, "/components/schemas/Event", raw)
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func authHeader(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

const streamPath = "/ws/services/redis/status"

func TestTheStreamStartsWithThePresentAndGoesOnWithChanges(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	r.remediator.setState("redis", remediator.State{DegradedSince: at, Incident: &remediator.Incident{ID: "inc-1", Status: remediator.IncidentRecovering, OpenedAt: at}})
	c, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	first := next(t, c)
	if first["type"] != "service_status" || first["status"] != "running" || first["snapshot"] != true || first["seq"].(float64) == 0 {
		t.Errorf("%v", first)
	}
	for _, kind := range []string{"health", "degradation", "incident"} {
		if m := next(t, c); m["type"] != kind || m["snapshot"] != true || m["seq"].(float64) != 0 {
			t.Errorf("%v, want %s", m, kind)
		}
	}
	r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "sessions", Event: "stop"}) // another service
	r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis", Event: "restart", User: "admin@autobot.local", Result: "success", Timestamp: at})
	m := next(t, c)
	if m["seq"].(float64) != first["seq"].(float64)+1 {
		t.Errorf("number %v after %v", m["seq"], first["seq"])
	}
	delete(m, "seq")
	sameJSON(t, m, `{"type": "service_event", "service": "redis", "event": "restart", "user": "admin@autobot.local",
		"timestamp": "2025-10-10T14:30:00Z", "result": "success"}`)

	r.Hub().Publish(remediator.Event{
		Type: remediator.EventAutoRecovery, Service: "redis", RecoveryLevel: "standard", Status: "success", Timestamp: at, Message: "Redis service recovered automatically",
	})
	m = next(t, c)
	delete(m, "seq")
	sameJSON(t, m, `{"type": "auto_recovery", "service": "redis", "recovery_level": "standard", "status": "success",
		"timestamp": "2025-10-10T14:30:00Z", "message": "Redis service recovered automatically"}`)

	v := runningView()
	ev := statusEvent("redis", newStatusBody(r.conf().services["redis"].ServiceInfo, v, at))
	ev.Timestamp = at
	r.Hub().Publish(ev)
	m = next(t, c)
	delete(m, "seq")
	sameJSON(t, m, `{"type": "service_status", "service": "redis", "status": "running", "timestamp": "2025-10-10T14:30:00Z",
		"details": {"pid": 12345, "connections": 42, "memory_mb": 128.5}}`)

	r.Hub().Publish(remediator.Event{Type: remediator.EventDegradation, Service: "redis", Status: "entered", Timestamp: at, Degradation: map[string]any{"since": at.Add(-time.Second)}})
	if m := next(t, c); m["degradation"].(map[string]any)["since"] != "2025-10-10T14:29:59Z" || m["degradation"].(map[string]any)["degraded"] != true {
		t.Errorf("%v", m)
	}
	r.Hub().Publish(remediator.Event{Type: remediator.EventDegradation, Service: "redis", Status: "left", Timestamp: at})
	if m := next(t, c); m["degradation"].(map[string]any)["degraded"] != false {
		t.Errorf("%v", m)
	}
}

func TestTheStreamResumes(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	c, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	seq := next(t, c)["seq"].(float64)
	_ = c.CloseNow()
	r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis", Event: "stop"})
	again, _, err := r.listen(streamPath+"?after="+jsonNumber(seq), authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.CloseNow() }()
	if m := next(t, again); m["event"] != "stop" || m["snapshot"] != nil || m["seq"].(float64) != seq+1 {
		t.Errorf("%v", m)
	}
}

func jsonNumber(f float64) string {
	raw, _ := json.Marshal(int64(f))
	return string(raw)
}

func TestWaysIntoTheStream(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.AllowedOrigins = []string{"https://autobot.example"} })
	cookie, _ := signIn(r, "viewer@autobot.local")
	ticket := func() string {
		a := r.do("POST", "/api/auth/ws-ticket", "", asViewer, func(req *http.Request) { req.RemoteAddr = "127.0.0.1:1" })
		return a.json(t)["ticket"].(string)
	}
	used := ticket()
	for _, c := range []struct {
		name, query string
		header      http.Header
		protocols   []string
		want        int
	}{
		{"nothing", "", nil, nil, 401},
		{"header", "", authHeader(viewToken), nil, 101},
		{"wrong header", "", authHeader("wrong"), nil, 401},
		{"token in the URL", "?token=" + viewToken, nil, nil, 101},
		{"wrong token in the URL", "?token=wrong", nil, nil, 401},
		{"cookie", "", http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}, nil, 101},
		{"ticket", "?ticket=" + used, nil, nil, 101},
		{"ticket again", "?ticket=" + used, nil, nil, 401},
		{"ticket as a protocol", "", nil, []string{live.Subprotocol, "ticket." + ticket()}, 101},
		{"no role for it", "", authHeader(r.token(t, "someone", "guest")), nil, 403},
		{"another site", "", http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}, "Origin": {"https://evil.example"}}, nil, 403},
		{"a broken origin", "", http.Header{"Authorization": {"Bearer " + viewToken}, "Origin": {"null"}}, nil, 403},
		{"an allowed site", "", http.Header{"Authorization": {"Bearer " + viewToken}, "Origin": {"https://autobot.example"}}, nil, 101},
		{"a bad number", "?after=x", authHeader(viewToken), nil, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, resp, err := r.listen(streamPath+c.query, c.header, c.protocols...)
			if conn != nil {
				defer func() { _ = conn.CloseNow() }()
			}
			if resp == nil || resp.StatusCode != c.want {
				t.Fatalf("%v, want %d (%v)", resp, c.want, err)
			}
			if conn != nil {
				next(t, conn)
			}
			if len(c.protocols) > 0 && conn.Subprotocol() != live.Subprotocol {
				t.Errorf("protocol %q", conn.Subprotocol())
			}
		})
	}
	if a := r.do("GET", streamPath, "", asViewer); a.code != 426 || a.header.Get("Upgrade") != "websocket" {
		t.Errorf("without an upgrade: %d", a.code)
	}
	off := newRig(t, func(o *Options) { o.Websocket.Enabled = false })
	if a := off.do("GET", streamPath, "", asViewer); a.code != 404 {
		t.Errorf("switched off: %d", a.code)
	}
}

// token adds a user and returns a bearer token of theirs.
func (r *rig) token(t *testing.T, id, role string) string {
	t.Helper()
	users := append([]authn.User{{ID: id, Role: role, PasswordHash: passwordHash}}, r.conf().Users...)
	if err := r.setUsers(users, r.conf().ServiceAccounts); err != nil {
		t.Fatal(err)
	}
	p, err := r.auth.Login(t.Context(), id, password, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := r.auth.IssueToken(p)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTooManyStreams(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.Websocket.MaxPerUser = 1 })
	c, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if _, resp, _ := r.listen(streamPath, authHeader(viewToken)); resp == nil || resp.StatusCode != 429 {
		t.Errorf("%v", resp)
	}
}

// closedWith reads until the server closes.
func closedWith(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func TestTheStreamEndsWithTheRights(t *testing.T) {
	r := serveRig(t, nil)
	cookie, _ := signIn(r, "viewer@autobot.local")
	other, _ := signIn(r, "operator@autobot.local")
	open := func(c *http.Cookie) *websocket.Conn {
		conn, _, err := r.listen(streamPath, http.Header{"Cookie": {c.Name + "=" + c.Value}})
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	leaving, demoted := open(cookie), open(other)
	began := time.Now()
	r.do("POST", "/api/auth/logout", "", withCookie(cookie))
	users := []authn.User{{ID: "user-456", Email: "operator@autobot.local", Role: "viewer", PasswordHash: passwordHash}}
	if err := r.setUsers(users, r.conf().ServiceAccounts); err != nil {
		t.Fatal(err)
	}
	if got := closedWith(t, leaving); got != live.StatusSignedOut {
		t.Errorf("after the logout: %v", got)
	}
	if got := closedWith(t, demoted); got != live.StatusForbidden {
		t.Errorf("after the change of role: %v", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestStreamChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		check := func(who authn.Principal) websocket.StatusCode {
			code, _ := r.streamCheck(&call{route: &route{permission: rbac.Live}, service: r.conf().order[0], who: who})(t.Context())
			return code
		}
		p, err := r.auth.Login(t.Context(), "viewer@autobot.local", password, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		_, session, err := r.auth.StartSession(t.Context(), p, "127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		if got := check(session); got != 0 {
			t.Errorf("fresh: %v", got)
		}
		r.sessions.setBroken(true)
		pass(10 * time.Second)
		if got := check(session); got != 0 {
			t.Errorf("a store that does not answer is no reason to close: %v", got)
		}
		r.sessions.setBroken(false)
		pass(authn.DefaultSessionIdle)
		if got := check(session); got != live.StatusSignedOut {
			t.Errorf("idle: %v", got)
		}
		if got := check(authn.Anonymous()); got != live.StatusSignedOut {
			t.Errorf("nobody: %v", got)
		}
		if err := r.setPermissions(map[rbac.Permission][]rbac.Role{rbac.Live: {rbac.Anonymous}}); err != nil {
			t.Fatal(err)
		}
		if got := check(authn.Anonymous()); got != 0 {
			t.Errorf("public: %v", got)
		}
	})
}

func TestChangesThatNobodyMadeAreSeen(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = 10 * time.Millisecond })
	c, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	want := func(kind, status string) {
		for {
			m := next(t, c)
			if m["type"] == kind && m["status"] == status {
				return
			}
		}
	}
	want("service_status", "running")
	r.prober.set("redis", stoppedView())
	want("service_status", "stopped")
	want("health", "critical")
	if got := r.do("GET", "/api/services/redis/status", "").json(t)["status"]; got != "stopped" {
		t.Errorf("the kept status is %v", got)
	}
	v := stoppedView()
	v.Verdict.Reasons = append(v.Verdict.Reasons, health.Reason{Code: health.CodeHung, Status: health.Critical})
	r.prober.set("redis", v)
	want("health", "critical")
}

func TestObservedChangesDoNotWaitForTheTick(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	c, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	r.prober.set("redis", stoppedView())
	for range 2 * maxChanges { // more than can wait, and of a service that nobody knows
		r.ObserveChange("nobody")
	}
	for sent := false; !sent; {
		select {
		case r.changed <- "redis":
			sent = true
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
	for {
		if m := next(t, c); m["type"] == "service_status" && m["status"] == "stopped" {
			return
		}
	}
}

func TestMutedEvents(t *testing.T) {
	m := muted(Options{Websocket: WebsocketSettings{BroadcastOperations: true, BroadcastAlerts: true}})
	for kind, want := range map[remediator.EventType]bool{
		remediator.EventService: false, remediator.EventHealth: true, remediator.EventServiceStatus: true, remediator.EventAutoRecovery: true,
		remediator.EventDegradation: true, remediator.EventAlert: false,
	} {
		if m[kind] != want {
			t.Errorf("%s is muted: %v", kind, m[kind])
		}
	}
}

func TestAnotherEndpoint(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Websocket.Endpoint = "/ws/redis" })
	for path, want := range map[string]int{"/ws/redis": 426, streamPath: 426} {
		if a := r.do("GET", path, "", asViewer); a.code != want {
			t.Errorf("%s: %d", path, a.code)
		}
	}
}

func TestMetrics(t *testing.T) {
	r := newRig(t, nil)
	r.do("GET", "/api/services/redis/status", "")
	r.do("POST", "/api/services/redis/start", "")
	r.do("TRICK", "/api/services/redis/start", "")
	r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", "wrong"))
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(r.Collectors()...)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	want := `
# HELP redis_medic_http_requests_total HTTP requests answered, by method, route and status code.
# TYPE redis_medic_http_requests_total counter
redis_medic_http_requests_total{code="200",component="controlapi",method="GET",route="/api/services/{id}/status"} 1
redis_medic_http_requests_total{code="401",component="controlapi",method="POST",route="/api/services/{id}/start"} 1
redis_medic_http_requests_total{code="405",component="controlapi",method="OTHER",route="(method not allowed)"} 1
redis_medic_http_requests_total{code="401",component="controlapi",method="POST",route="/api/auth/login"} 1
# HELP redis_medic_logins_total Logins with a password, by result (success, failure, backoff).
# TYPE redis_medic_logins_total counter
redis_medic_logins_total{result="backoff"} 0
redis_medic_logins_total{result="failure"} 1
redis_medic_logins_total{result="success"} 0
# HELP redis_medic_websocket_clients Event stream clients connected now.
# TYPE redis_medic_websocket_clients gauge
redis_medic_websocket_clients 0
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "redis_medic_http_requests_total", "redis_medic_logins_total", "redis_medic_websocket_clients"); err != nil {
		t.Error(err)
	}
	m := newMetrics(live.New(live.Options{}))
	m.answered("GET", "/ws", 101, time.Hour)
	if n := testutil.CollectAndCount(m.duration); n != 0 {
		t.Error("an event stream counts as a response time")
	}
}

func TestPanel(t *testing.T) {
	r := newRig(t, nil)
	page := r.do("GET", "/services/redis/now", "")
	if page.code != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" || page.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%d %v", page.code, page.header)
	}
	asset := r.do("GET", "/assets/app-1.js", "")
	if asset.code != 200 || !strings.Contains(asset.header.Get("Cache-Control"), "immutable") || !strings.Contains(asset.header.Get("Content-Type"), "javascript") {
		t.Errorf("%d %v", asset.code, asset.header)
	}
	if a := r.do("GET", "/assets/app-1.js", "", header("If-None-Match", asset.header.Get("ETag"))); a.code != 304 || len(a.raw) != 0 {
		t.Errorf("%d %d bytes", a.code, len(a.raw))
	}
	if a := r.do("GET", "/", "", header("Accept-Encoding", "gzip")); a.header.Get("Content-Encoding") != "gzip" || len(a.raw) >= len(page.raw) {
		t.Errorf("%v", a.header)
	}
	if a := r.do("GET", "/assets/missing.js", ""); a.code != 404 {
		t.Errorf("a missing file is %d: an old page would read the new one as a script", a.code)
	}
	if a := newRig(t, func(o *Options) { o.Panel = nil }).do("GET", "/", ""); a.code != 404 {
		t.Errorf("without a panel: %d", a.code)
	}
}

func TestReadiness(t *testing.T) {
	fault := errors.New("store is not open")
	r := newRig(t, func(o *Options) { o.Ready = func() error { return fault } })
	if a := r.do("GET", "/-/healthy", ""); a.code != 200 {
		t.Errorf("%d", a.code)
	}
	if a := r.do("GET", "/-/ready", ""); a.code != 503 {
		t.Errorf("before Run: %d", a.code)
	}
	r.ready.Store(true)
	if a := r.do("GET", "/-/ready", ""); a.code != 503 || strings.Contains(string(a.raw), "store") {
		t.Errorf("a part is not ready: %d %s", a.code, a.raw)
	}
	fault = nil
	if a := r.do("GET", "/-/ready", ""); a.code != 200 {
		t.Errorf("%d", a.code)
	}
}

func TestReloadOfTheConfiguration(t *testing.T) {
	var fault error
	r := newRig(t, func(o *Options) { o.Reload = func() error { return fault } })
	if a := r.do("POST", "/-/reload", "", asAdmin); a.code != 200 {
		t.Errorf("%d %s", a.code, a.raw)
	}
	fault = errors.New("/etc/redis-medic.yml:3: canary")
	a := r.do("POST", "/-/reload", "", asAdmin)
	if a.code != 422 || strings.Contains(string(a.raw), "canary") {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if a := r.do("POST", "/-/reload", "[]", asAdmin); a.code != 400 {
		t.Errorf("%d %s", a.code, a.raw)
	}
	var phases []string
	for _, rec := range r.audit.all() {
		phases = append(phases, string(rec.Phase)+":"+map[bool]string{true: "ok", false: "no"}[rec.Result.Success])
	}
	if got := strings.Join(phases, " "); got != "intent:no outcome:ok intent:no outcome:no denied:no" {
		t.Errorf("%s", got)
	}
	if a := newRig(t, nil).do("POST", "/-/reload", "", asAdmin); a.code != 501 {
		t.Errorf("%d", a.code)
	}
}

// isFollowed publishes an event and waits until it arrives on an open stream.
func (r *rig) isFollowed(t *testing.T, stream *websocket.Conn) {
	t.Helper()
	r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis", Event: "start"})
	for next(t, stream)["type"] != "service_event" {
		continue
	}
}
