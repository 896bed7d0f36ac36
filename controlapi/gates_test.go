package controlapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
)

// fill puts existing ids into a path template.
func fill(path string) string {
	return strings.NewReplacer("{id}", "redis", "{incident}", "inc-1").Replace(path)
}

// bodies are what a well-formed request of a route carries.
var bodies = map[string]string{
	"POST /api/services/{id}/stop":         `{"confirmation":true}`,
	"PUT /api/services/{id}/auto-recovery": `{"enabled":false,"reason":"because"}`,
	"POST /api/auth/login":                 `{"email":"admin@autobot.local","password":"` + password + `"}`,
	"POST /api/auth/token":                 `{"email":"admin@autobot.local","password":"` + password + `"}`,
}

func withIncident(r *rig) *rig {
	r.remediator.incidents = []remediator.Incident{{
		ID: "inc-1", Service: "redis", Status: remediator.IncidentRecovered, OpenedAt: at,
		Steps: []remediator.Step{{At: at, Kind: "diagnosed", Text: "bad directive", Evidence: map[string]string{"line": "canary-evidence"}}},
	}}
	return r
}

func TestEveryRouteNeedsAPermission(t *testing.T) {
	known := map[rbac.Permission]bool{rbac.Public: true, rbac.SignedIn: true}
	for _, p := range rbac.Permissions() {
		known[p] = true
	}
	for _, rt := range routes() {
		if !known[rt.permission] {
			t.Errorf("%s %s has the permission %q", rt.method, rt.path, rt.permission)
		}
		if rt.method != "GET" && rt.audit == "" {
			t.Errorf("%s %s changes something, but attempts are not audited", rt.method, rt.path)
		}
		if rt.audit != "" && rt.event == "" {
			t.Errorf("%s %s is audited without an event type", rt.method, rt.path)
		}
		if rt.act == "" || rt.handler == nil {
			t.Errorf("%s %s has no words or no handler", rt.method, rt.path)
		}
	}
}

// TestTheMatrixOfRolesAndRoutes asks every route as every role, and compares what happens with the table.
func TestTheMatrixOfRolesAndRoutes(t *testing.T) {
	who := map[rbac.Role]func(*http.Request){
		rbac.Admin: asAdmin, rbac.Operator: asOperator, rbac.Viewer: asViewer, rbac.Anonymous: asNobody,
	}
	table, err := rbac.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, rt := range routes() {
		for _, role := range rbac.Roles() {
			t.Run(rt.method+" "+rt.path+" as "+string(role), func(t *testing.T) {
				r := withIncident(newRig(t, func(o *Options) { o.Reload = func() error { return nil } }))
				r.ready.Store(true)
				a := r.do(rt.method, fill(rt.path), bodies[rt.method+" "+rt.path], who[role])
				switch {
				case table.Allow(role, rt.permission):
					if a.code >= 400 && a.code != http.StatusUpgradeRequired && a.json(t)["code"] != "oidc_off" {
						t.Errorf("allowed, but answers %d: %s", a.code, a.raw)
					}
				case role == rbac.Anonymous:
					if a.code != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
						t.Errorf("nobody gets %d: %s", a.code, a.raw)
					}
				default:
					m := a.json(t)
					if a.code != http.StatusForbidden || m["user_role"] != string(role) || len(m["required_roles"].([]any)) == 0 {
						t.Errorf("not allowed, but answers %d: %s", a.code, a.raw)
					}
				}
				if a.code < 400 {
					return
				}
				if len(r.remediator.seen())+len(r.remediator.noted()) != 0 && a.code != http.StatusUpgradeRequired {
					t.Error("a refused request reached the remediator")
				}
				denied := 0
				for _, rec := range r.audit.all() {
					if rec.Phase == audit.PhaseDenied && rec.Operation == rt.operation() && rec.Result.Status == a.code && !rec.Result.Success {
						denied++
					}
				}
				recorded := rt.audit != "" || a.code == http.StatusUnauthorized || a.code == http.StatusForbidden
				if rt.path == "/api/auth/me" {
					recorded = false // how a page finds out that nobody has signed in
				}
				if want := map[bool]int{true: 1}[recorded]; denied != want || len(r.audit.all()) != want {
					t.Errorf("%d audit records of the refusal, want %d: %+v", denied, want, r.audit.all())
				}
			})
		}
	}
}

// Wrong credentials are refused and recorded wherever they are tried, also where nobody needs any.
func TestWrongCredentialsAreRecordedOnEveryRoute(t *testing.T) {
	for _, rt := range routes() {
		r := newRig(t, nil)
		a := r.do(rt.method, fill(rt.path), "", bearer("wrong-token-of-some-length-0123456789"))
		all := r.audit.all()
		if a.code != http.StatusUnauthorized || len(all) != 1 || all[0].Result.Status != a.code || all[0].Operation != rt.operation() || all[0].EventType == "" {
			t.Errorf("%s %s: %d with %d records %+v", rt.method, rt.path, a.code, len(all), all)
		}
	}
}

func TestRefusalsComeInOrder(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits.Stop = 1 })
	const bad, unknown = "{bad", "/api/services/nope/stop"
	for _, c := range []struct {
		name, path, body string
		who              func(*http.Request)
		want             int
	}{
		{"nobody, unknown service, bad body", unknown, bad, asNobody, 401},
		{"wrong role, unknown service, bad body", unknown, bad, asOperator, 403},
		{"admin, unknown service, bad body", unknown, bad, asAdmin, 404},
		{"admin, bad body", "/api/services/redis/stop", bad, asAdmin, 400},
		{"admin, too often, bad body", "/api/services/redis/stop", bad, asAdmin, 429},
	} {
		t.Run(c.name, func(t *testing.T) {
			if a := r.do("POST", c.path, c.body, c.who); a.code != c.want {
				t.Errorf("%d, want %d: %s", a.code, c.want, a.raw)
			}
		})
	}
	if len(r.audit.all()) != 5 {
		t.Errorf("%d audit records of 5 refusals", len(r.audit.all()))
	}
}

func TestTheDocumentsForbiddenBody(t *testing.T) {
	a := newRig(t, nil).do("POST", "/api/services/redis/start", "{}", asViewer)
	if got := a.json(t)["detail"]; got != "Insufficient permissions to start Redis service" {
		t.Errorf("detail %q", got)
	}
	if a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("type %q", a.header.Get("Content-Type"))
	}
}

func TestPathsThatAreNoRoute(t *testing.T) {
	r := newRig(t, nil)
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/api/services/redis/status/", 404},
		{"GET", "/API/services/redis/status", 200}, // the panel's page, not the status
		{"GET", "/api//services", 404},
		{"POST", "/api/services/redis/../redis/start", 404},
		{"POST", "/api/services/redis%2Fstart", 404},
		{"POST", "/api/services/red;reboot/start", 404},
		{"POST", "/api/services/$(reboot)/start", 404},
		{"DELETE", "/api/services/redis/start", 405},
		{"TRACE", "/api/services/redis/start", 405},
		{"PUT", "/", 405},
		{"GET", "/ws/elsewhere", 404},
		{"GET", "/-/nothing", 404},
		{"GET", "/metrics", 404},
		{"HEAD", "/api/services/redis/status", 200},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			a := r.do(c.method, c.path, "", asAdmin, header("X-HTTP-Method-Override", "POST"))
			if a.code != c.want {
				t.Errorf("%d, want %d: %s", a.code, c.want, a.raw)
			}
			if a.code == http.StatusMethodNotAllowed && a.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
	if got := r.remediator.seen(); len(got) != 0 {
		t.Errorf("the remediator was asked: %+v", got)
	}
}

func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	for _, rt := range routes() {
		switch rt.audit {
		case "", "start", "stop", "restart", "reload", "live", "logs.follow", "logout":
			continue // the remediator's part; nothing is done; a test of its own; takes rights away
		}
		if rt.path == "/api/auth/oidc/callback" {
			continue // a test of its own
		}
		if rt.event == eventConfiguration && rt.audit != "config.reload" {
			continue // the remediator records the change together with making it
		}
		t.Run(rt.method+" "+rt.path, func(t *testing.T) {
			reloads := 0
			r := withIncident(newRig(t, func(o *Options) { o.Reload = func() error { reloads++; return nil } }))
			r.audit.setBroken(true)
			mods := []func(*http.Request){asAdmin}
			if rt.permission == rbac.Public {
				mods = nil
			}
			a := r.do(rt.method, fill(rt.path), bodies[rt.method+" "+rt.path], mods...)
			if a.code != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.json(t)["code"] != "audit_unavailable" {
				t.Errorf("%d %s", a.code, a.raw)
			}
			if len(a.header.Values("Set-Cookie"))+len(r.sessions.all)+reloads != 0 || r.logs.asked != 0 {
				t.Error("it was done")
			}
			if strings.Contains(string(a.raw), "no space left") {
				t.Error("the private cause is shown")
			}
		})
	}
}

func TestARefusalThatCannotBeRecordedIsStillARefusal(t *testing.T) {
	r := newRig(t, nil)
	r.audit.setBroken(true)
	if a := r.do("POST", "/api/services/redis/stop", "{}", asOperator); a.code != 403 {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if !strings.Contains(r.log.String(), "no space left on device") {
		t.Error("the log does not say that the record is missing")
	}
}

func TestAnErrorNobodyKnowsSaysNothing(t *testing.T) {
	r := newRig(t, nil)
	a := r.do("GET", "/api/services/redis/incidents?cursor=bad", "", asAdmin)
	if a.code != 500 || strings.Contains(string(a.raw), "secret-path") || !strings.Contains(r.log.String(), "secret-path") {
		t.Errorf("%d %s\n%s", a.code, a.raw, r.log)
	}
}

func TestAPanicIsAnAnswer(t *testing.T) {
	r := newRig(t, nil)
	r.remediator.operate = nil
	rt := &route{method: "GET", path: "/boom", permission: rbac.Public, handler: func(*API, http.ResponseWriter, *call) error { panic("boom") }}
	w := httptest.NewRecorder()
	r.serve(rt).ServeHTTP(w, httptest.NewRequest("GET", "/boom", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") || !strings.Contains(r.log.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	rt.handler = func(*API, http.ResponseWriter, *call) error { panic(http.ErrAbortHandler) }
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Error("an aborted answer was not passed on")
		}
	}()
	r.serve(rt).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/boom", nil))
}

func TestSecurityHeadersAndRequestID(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/", "/api/services/redis/status", "/api/nothing"} {
		a := r.do("GET", path, "")
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": contentPolicy,
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if a.header.Get("X-Request-Id") == "" {
			t.Errorf("%s: no request id", path)
		}
	}
	for given, taken := range map[string]bool{"trace-1234.abcd": true, "short": false, "a b c d e f g h": false, "line\nbreak-1234": false, strings.Repeat("x", 65): false} {
		a := r.do("POST", "/api/services/redis/start", "{}", header("X-Request-Id", given))
		if got := a.header.Get("X-Request-Id"); (got == given) != taken {
			t.Errorf("id %q became %q", given, got)
		}
		records := r.audit.all()
		if last := records[len(records)-1]; last.RequestID != a.header.Get("X-Request-Id") {
			t.Errorf("the audit record has the id %q", last.RequestID)
		}
	}
}

func TestBodies(t *testing.T) {
	r := newRig(t, nil)
	const path = "/api/services/redis/start"
	for _, c := range []struct {
		name, body string
		mods       []func(*http.Request)
		want       int
		says       string
	}{
		{"none", "", nil, 200, ""},
		{"empty object", "{}", nil, 200, ""},
		{"spaces", " \n ", nil, 200, ""},
		{"charset", "{}", []func(*http.Request){header("Content-Type", "application/json; charset=utf-8")}, 200, ""},
		{"no type", "{}", []func(*http.Request){header("Content-Type", "")}, 200, ""},
		{"form", "a=b", []func(*http.Request){header("Content-Type", "application/x-www-form-urlencoded")}, 415, "application/json"},
		{"unreadable type", "{}", []func(*http.Request){header("Content-Type", ";;")}, 415, "application/json"},
		{"malformed", `{"reason":`, nil, 400, "malformed"},
		{"array", `[]`, nil, 400, "object"},
		{"null", `null`, nil, 400, "object"},
		{"unknown member", `{"service":"x"}`, nil, 400, `unknown member \"service\"`},
		{"wrong type", `{"confirmation":"canary-value"}`, nil, 400, "member confirmation must be a bool"},
		{"two values", `{} {}`, nil, 400, "more than one"},
		{"too large", `{"reason":"` + strings.Repeat("x", maxBodyBytes) + `"}`, nil, 413, "65536"},
		{"deep", strings.Repeat(`{"reason":`, 12000), nil, 413, ""},
		{"deep and small", strings.Repeat(`{"a":`, 6000) + strings.Repeat("}", 6000), nil, 400, ""},
		{"bad query", "{}", []func(*http.Request){func(r *http.Request) { r.URL.RawQuery = "confirmation=perhaps" }}, 400, "confirmation"},
		{"bad key", "{}", []func(*http.Request){header("Idempotency-Key", "a b")}, 400, "Idempotency-Key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := r.do("POST", path, c.body, append([]func(*http.Request){asAdmin}, c.mods...)...)
			if a.code != c.want || !strings.Contains(string(a.raw), c.says) || strings.Contains(string(a.raw), "canary-value") {
				t.Errorf("%d, want %d: %s", a.code, c.want, a.raw)
			}
		})
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("connection reset") }
func (brokenBody) Close() error             { return nil }

func TestABodyThatBreaksOff(t *testing.T) {
	r := newRig(t, nil)
	a := r.do("POST", "/api/services/redis/start", "", asAdmin, func(req *http.Request) { req.Body = brokenBody{} })
	if a.code != 400 || strings.Contains(string(a.raw), "reset") {
		t.Errorf("%d %s", a.code, a.raw)
	}
}

func TestTheReasonIsMadePlain(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/api/services/redis/start", `{"reason":"  a\u001b[31mb\u202ec\n`+strings.Repeat("x", 600)+`"}`, asAdmin)
	got := r.remediator.seen()[0].Reason
	if !strings.HasPrefix(got, "a [31mb c x") || len(got) > maxReason {
		t.Errorf("reason %q", got)
	}
}

func TestSourceAddress(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, remote, forwarded, want string
		trusted                       []netip.Prefix
	}{
		{"no proxy is trusted", "10.0.0.1:1", "1.2.3.4", "10.0.0.1", nil},
		{"a stranger's header", "192.0.2.1:1", "1.2.3.4", "192.0.2.1", proxies},
		{"a proxy's header", "10.0.0.1:1", "1.2.3.4", "1.2.3.4", proxies},
		{"the client wrote the first one", "10.0.0.1:1", "6.6.6.6, 1.2.3.4", "1.2.3.4", proxies},
		{"two proxies", "10.0.0.1:1", "1.2.3.4, 10.0.0.2", "1.2.3.4", proxies},
		{"nothing but proxies", "10.0.0.1:1", "10.0.0.3, 10.0.0.2", "10.0.0.3", proxies},
		{"garbage", "10.0.0.1:1", "1.2.3.4, <script>", "10.0.0.1", proxies},
		{"no header", "10.0.0.1:1", "", "10.0.0.1", proxies},
		{"mapped", "[::ffff:192.0.2.7]:1", "", "192.0.2.7", nil},
		{"IPv6 proxy", "[fd00::1]:1", "2001:db8::7", "2001:db8::7", proxies},
		{"no port", "192.0.2.1", "", "192.0.2.1", nil},
		{"no address", "@", "", "@", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			if c.forwarded != "" {
				r.Header.Set("X-Forwarded-For", c.forwarded)
			}
			if got := addressOf(r, c.trusted); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestRateLimitHeaders(t *testing.T) {
	r := newRig(t, func(o *Options) { o.RateLimits = RateLimits{Start: 2, Logs: -1} })
	for left, want := range []string{"1", "0"} {
		a := r.do("POST", "/api/services/redis/start", "", asAdmin)
		if a.code != 200 || a.header.Get("X-RateLimit-Limit") != "2" || a.header.Get("X-RateLimit-Remaining") != want {
			t.Errorf("request %d: %d %v", left, a.code, a.header)
		}
	}
	a := r.do("POST", "/api/services/redis/start", "", asAdmin)
	if a.code != 429 || a.header.Get("Retry-After") == "" || a.header.Get("X-RateLimit-Remaining") != "0" || a.json(t)["retry_after_seconds"] == nil {
		t.Errorf("%d %v %s", a.code, a.header, a.raw)
	}
	if a := r.do("POST", "/api/services/redis/start", "", asOperator); a.code != 200 {
		t.Errorf("another person is limited too: %d", a.code)
	}
	for range 50 {
		if a := r.do("GET", "/api/services/redis/logs", "", asAdmin); a.code != 200 {
			t.Fatalf("logs are limited although they are not: %d", a.code)
		}
	}
}

func TestTheWindowSlides(t *testing.T) {
	l := newLimits(RateLimits{Start: 2})
	take := func(after time.Duration) error { return l.take(http.Header{}, "ann", "start", at.Add(after)) }
	for _, c := range []struct {
		after   time.Duration
		refused bool
	}{{0, false}, {30 * time.Second, false}, {59 * time.Second, true}, {60 * time.Second, false}, {61 * time.Second, true}, {90 * time.Second, false}} {
		if err := take(c.after); (err != nil) != c.refused {
			t.Errorf("after %s: %v", c.after, err)
		}
	}
	l.giveBack("ann", "start")
	if err := take(91 * time.Second); err != nil {
		t.Errorf("given back, but %v", err)
	}
	l.prune(at.Add(time.Hour))
	if len(l.taken) != 0 {
		t.Errorf("%v is still remembered", l.taken)
	}
}

// TestEveryRequestIsLogged: with who, what and how it ended, never with its query. What is asked all the time is logged at debug level
// while it succeeds.
func TestEveryRequestIsLogged(t *testing.T) {
	for _, c := range []struct {
		method, path string
		as           func(*http.Request)
		level, user  string
		status       float64
	}{
		{"POST", "/api/services/redis/start", asOperator, "info", "backend", 200},
		{"POST", "/api/services/redis/stop", asOperator, "info", "backend", 403},
		{"GET", "/api/services/redis/logs", asAdmin, "info", "root-bot", 200},
		{"GET", "/api/services/redis/status", asNobody, "debug", "", 200},
		{"GET", "/api/auth/me", asNobody, "info", "", 401},
		{"GET", "/api/nothing", asNobody, "info", "", 404},
		{"BREW", "/api/services/redis/start", asAdmin, "info", "root-bot", 405},
	} {
		r := newRig(t, nil)
		a := r.do(c.method, c.path+"?token=canary-query", "", c.as)
		var line map[string]any
		for text := range strings.Lines(r.log.String()) {
			var one map[string]any
			if err := json.Unmarshal([]byte(text), &one); err != nil {
				t.Fatal(err)
			}
			if one["message"] == "request" {
				line = one
			}
		}
		method := map[bool]string{true: c.method, false: "OTHER"}[c.method != "BREW"]
		if line["level"] != c.level || line["method"] != method || line["path"] != c.path || line["status"] != c.status || line["user"] != c.user ||
			line["request_id"] != a.header.Get("X-Request-Id") || line["source_ip"] != "172.16.168.20" || line["duration_ms"] == nil {
			t.Errorf("%s %s: %v", c.method, c.path, line)
		}
		if strings.Contains(r.log.String(), "canary-query") {
			t.Errorf("%s %s: the query is in the log", c.method, c.path)
		}
	}
}
