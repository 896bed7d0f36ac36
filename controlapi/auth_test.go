package controlapi

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"runtime/pprof"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
)

func loginBody(email, pass string) string {
	return `{"email":"` + email + `","password":"` + pass + `"}`
}

// signIn returns the cookie of a new session.
func signIn(r *rig, email string, mods ...func(*http.Request)) (*http.Cookie, answer) {
	r.t.Helper()
	a := r.do("POST", "/api/auth/login", loginBody(email, password), mods...)
	cookies := (&http.Response{Header: a.header}).Cookies()
	if a.code != 200 || len(cookies) != 1 {
		r.t.Fatalf("login: %d %s, %d cookies", a.code, a.raw, len(cookies))
	}
	return cookies[0], a
}

func withCookie(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
}

func overTLS(r *http.Request) { r.TLS = &tls.ConnectionState{} }

func TestASession(t *testing.T) {
	r := newRig(t, nil)
	cookie, a := signIn(r, "operator@autobot.local")
	m := a.json(t)
	if m["user"].(map[string]any)["role"] != "operator" || m["auth_method"] != "session" || m["expires_at"] == nil {
		t.Errorf("%s", a.raw)
	}
	if got := m["required_roles"].(map[string]any)["stop"].([]any); len(got) != 1 || got[0] != "admin" {
		t.Errorf("%v", got)
	}
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Secure || cookie.Name != cookieName {
		t.Errorf("cookie %+v", cookie)
	}
	for hash, s := range r.sessions.all {
		if strings.Contains(cookie.Value, hash) || s.UserID != "user-456" || s.SourceIP != "172.16.168.20" {
			t.Errorf("stored %q: %+v", hash, s)
		}
	}
	as := withCookie(cookie)
	if m := r.do("GET", "/api/auth/me", "", as).json(t); m["user"].(map[string]any)["id"] != "user-456" {
		t.Errorf("%v", m)
	}
	if a := r.do("POST", "/api/services/redis/restart", "{}", as); a.code != 200 || r.remediator.seen()[0].Actor.Email != "operator@autobot.local" {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if a := r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, as); a.code != 403 {
		t.Errorf("%d %s", a.code, a.raw)
	}

	a = r.do("POST", "/api/auth/logout", "{}", as)
	if a.code != 204 || !strings.Contains(a.header.Get("Set-Cookie"), "Max-Age=0") || len(r.sessions.all) != 0 {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := r.do("GET", "/api/auth/me", "", as); a.code != 401 {
		t.Errorf("after the logout: %d", a.code)
	}
	if a := r.do("GET", "/api/services/redis/status", "", as); a.code != 200 {
		t.Errorf("an ended session may look at what everybody may: %d", a.code)
	}
	var kinds []string
	for _, rec := range r.audit.all() {
		kinds = append(kinds, rec.Operation+":"+string(rec.Phase)+":"+rec.User.ID)
	}
	if got := strings.Join(kinds, " "); got != "login:outcome:user-456 stop:denied:user-456 logout:outcome:user-456" {
		t.Errorf("audit: %s", got)
	}
}

func TestANewLoginEndsTheOldSession(t *testing.T) {
	r := newRig(t, nil)
	first, _ := signIn(r, "viewer@autobot.local")
	second, _ := signIn(r, "viewer@autobot.local", withCookie(first))
	if first.Value == second.Value || len(r.sessions.all) != 1 {
		t.Errorf("%d sessions", len(r.sessions.all))
	}
}

func TestLogoutEverywhere(t *testing.T) {
	r := newRig(t, nil)
	first, _ := signIn(r, "viewer@autobot.local")
	second, _ := signIn(r, "viewer@autobot.local")
	other, _ := signIn(r, "admin@autobot.local")
	token := r.do("POST", "/api/auth/token", "", withCookie(first)).json(t)["access_token"].(string)
	r.do("POST", "/api/auth/logout", `{"everywhere":true}`, withCookie(second))
	if a := r.do("GET", "/api/auth/me", "", bearer(token)); a.code != 401 {
		t.Errorf("a token of the user: %d", a.code)
	}
	for cookie, want := range map[*http.Cookie]int{first: 401, second: 401, other: 200} {
		if a := r.do("GET", "/api/auth/me", "", withCookie(cookie)); a.code != want {
			t.Errorf("%d, want %d", a.code, want)
		}
	}
	if a := r.do("POST", "/api/auth/logout", `{"x":1}`, withCookie(other)); a.code != 400 {
		t.Errorf("%d", a.code)
	}
}

func TestCookiesOverTLS(t *testing.T) {
	r := newRig(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	cookie, _ := signIn(r, "admin@autobot.local", overTLS)
	if cookie.Name != secureCookieName || !cookie.Secure {
		t.Errorf("%+v", cookie)
	}
	proxied := func(req *http.Request) {
		req.RemoteAddr = "10.0.0.1:1"
		req.Header.Set("X-Forwarded-Proto", "https")
	}
	if c, _ := signIn(r, "admin@autobot.local", proxied); !c.Secure {
		t.Errorf("behind a proxy: %+v", c)
	}
	if c, _ := signIn(r, "admin@autobot.local", header("X-Forwarded-Proto", "https")); c.Secure {
		t.Errorf("a stranger's header was believed: %+v", c)
	}
	plainNamed := &http.Cookie{Name: cookieName, Value: cookie.Value}
	for name, c := range map[string]struct {
		mods []func(*http.Request)
		want int
	}{
		"the secure cookie over TLS":   {[]func(*http.Request){overTLS, withCookie(cookie)}, 200},
		"the plain name over TLS":      {[]func(*http.Request){overTLS, withCookie(plainNamed)}, 401},
		"the secure cookie over plain": {[]func(*http.Request){withCookie(cookie)}, 401},
	} {
		if a := r.do("GET", "/api/auth/me", "", c.mods...); a.code != c.want {
			t.Errorf("%s: %d", name, a.code)
		}
	}
}

func TestOtherSitesCannotUseTheCookie(t *testing.T) {
	r := newRig(t, func(o *Options) { o.AllowedOrigins = []string{"https://autobot.example"} })
	cookie, _ := signIn(r, "admin@autobot.local")
	stop := func(mods ...func(*http.Request)) int {
		return r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, mods...).code
	}
	for name, c := range map[string]struct {
		mods []func(*http.Request)
		want int
	}{
		"our own page":            {[]func(*http.Request){withCookie(cookie), header("Sec-Fetch-Site", "same-origin")}, 200},
		"a program":               {[]func(*http.Request){withCookie(cookie)}, 200},
		"another site":            {[]func(*http.Request){withCookie(cookie), header("Sec-Fetch-Site", "cross-site")}, 403},
		"a sibling host":          {[]func(*http.Request){withCookie(cookie), header("Sec-Fetch-Site", "same-site")}, 403},
		"an old browser":          {[]func(*http.Request){withCookie(cookie), header("Origin", "https://evil.example")}, 403},
		"an allowed site":         {[]func(*http.Request){withCookie(cookie), header("Sec-Fetch-Site", "cross-site"), header("Origin", "https://autobot.example")}, 200},
		"a bearer token anywhere": {[]func(*http.Request){asAdmin, header("Sec-Fetch-Site", "cross-site")}, 200},
	} {
		if got := stop(c.mods...); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
	if a := r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", password), header("Sec-Fetch-Site", "cross-site")); a.code != 403 {
		t.Errorf("another site can sign its visitors in: %d", a.code)
	}
}

func TestFailedLoginsTellNothing(t *testing.T) {
	r := newRig(t, nil)
	wrong := r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", "canary-wrong-password"))
	unknown := r.do("POST", "/api/auth/login", loginBody("nobody@autobot.local", "canary-wrong-password"))
	if wrong.code != 401 || unknown.code != 401 {
		t.Fatalf("%d %d", wrong.code, unknown.code)
	}
	strip := func(a answer) string {
		m := a.json(t)
		delete(m, "request_id")
		delete(m, "timestamp")
		out := ""
		for k, v := range m {
			out += k
			_ = v
		}
		return m["detail"].(string) + m["code"].(string)
	}
	if strip(wrong) != strip(unknown) || len(wrong.json(t)) != len(unknown.json(t)) {
		t.Errorf("%s\n%s", wrong.raw, unknown.raw)
	}
	for i, want := range []string{"admin@autobot.local", "nobody@autobot.local"} {
		if rec := r.audit.all()[i]; rec.User.ID != want || rec.Result.Error != "bad_login" || rec.User.Role != "anonymous" {
			t.Errorf("%+v", rec)
		}
	}
	for _, body := range []string{"", `{"email":"a@b"}`, `{"password":"x"}`, `{"email":1}`} {
		if a := r.do("POST", "/api/auth/login", body); a.code != 400 {
			t.Errorf("%q: %d", body, a.code)
		}
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	r := newRig(t, nil)
	var last answer
	for range 8 {
		last = r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", "guess"))
	}
	if last.code != 429 || last.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", last.code, last.raw)
	}
	if a := r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", password)); a.code != 429 {
		t.Errorf("the right password in between: %d", a.code)
	}
	elsewhere := func(req *http.Request) { req.RemoteAddr = "192.0.2.9:1" }
	if a := r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", password), elsewhere); a.code != 200 {
		t.Errorf("the owner is locked out at another address: %d", a.code)
	}
}

func TestTokens(t *testing.T) {
	r := newRig(t, nil)
	get := func(body string, mods ...func(*http.Request)) answer {
		return r.do("POST", "/api/auth/token", body, mods...)
	}
	a := get(loginBody("admin@autobot.local", password))
	m := a.json(t)
	if a.code != 200 || m["token_type"] != "bearer" || m["expires_in"].(float64) > 900 {
		t.Fatalf("%d %s", a.code, a.raw)
	}
	as := bearer(m["access_token"].(string))
	me := r.do("GET", "/api/auth/me", "", as).json(t)
	if me["user"].(map[string]any)["email"] != "admin@autobot.local" || me["auth_method"] != "jwt" {
		t.Errorf("%v", me)
	}
	if a := r.do("POST", "/api/auth/logout", "", as); a.code != 204 || a.header.Get("Set-Cookie") != "" {
		t.Errorf("%d %v", a.code, a.header)
	}
	if a := r.do("GET", "/api/services/redis/status", "", as); a.code != 401 {
		t.Errorf("a logged-out token is refused everywhere: %d", a.code)
	}

	cookie, _ := signIn(r, "viewer@autobot.local")
	if a := get("", withCookie(cookie)); a.code != 200 {
		t.Errorf("for a session: %d", a.code)
	}
	if a := get("", asOperator); a.code != 200 {
		t.Errorf("for a service account: %d", a.code)
	}
	for body, want := range map[string]int{
		"": 401, `{"email":"admin@autobot.local"}`: 400, loginBody("admin@autobot.local", "wrong"): 401, `{"x":1}`: 400,
	} {
		if a := get(body); a.code != want {
			t.Errorf("%q: %d", body, a.code)
		}
	}
	none := newRig(t, func(o *Options) { o.JWT = authn.JWTSettings{} })
	if a := none.do("POST", "/api/auth/token", loginBody("admin@autobot.local", password)); a.code != 501 {
		t.Errorf("without a key: %d", a.code)
	}
}

func TestWrongCredentialsAreRefusedEverywhere(t *testing.T) {
	r := newRig(t, nil)
	for _, value := range []string{"Bearer wrong", "Basic YTpi", "Bearer", "Bearer " + strings.Repeat("x", 9000), "bearer a.b.c"} {
		if a := r.do("GET", "/api/services/redis/status", "", header("Authorization", value)); a.code != 401 {
			t.Errorf("%.20q: %d", value, a.code)
		}
	}
	for _, value := range []string{"short", strings.Repeat("x", 200), strings.Repeat("y", 52), strings.Repeat("y", 52) + ".0123456789abcdef"} {
		c := &http.Cookie{Name: cookieName, Value: value}
		if a := r.do("GET", "/api/auth/me", "", withCookie(c)); a.code != 401 {
			t.Errorf("cookie %.20q: %d", value, a.code)
		}
	}
}

func TestASessionStoreThatIsDown(t *testing.T) {
	r := newRig(t, nil)
	cookie, _ := signIn(r, "admin@autobot.local")
	r.auth, _ = authn.New(authn.Options{Users: r.conf().Users, Sessions: r.sessions}) // a process with an empty cache
	r.sessions.setBroken(true)
	for path, want := range map[string]int{"/api/services/redis/status": 200, "/api/services/redis/health": 200, "/api/auth/me": 500} {
		if a := r.do("GET", path, "", withCookie(cookie)); a.code != want || strings.Contains(string(a.raw), "locked") {
			t.Errorf("%s: %d %s", path, a.code, a.raw)
		}
	}
	if a := r.do("POST", "/api/auth/login", loginBody("admin@autobot.local", password)); a.code != 500 {
		t.Errorf("login: %d", a.code)
	}
}

func TestRolesAndUsersChangeWhileTheProgramRuns(t *testing.T) {
	r := newRig(t, nil)
	cookie, _ := signIn(r, "operator@autobot.local")
	start := func() int { return r.do("POST", "/api/services/redis/start", "", withCookie(cookie)).code }
	if start() != 200 {
		t.Fatal("an operator cannot start")
	}
	demoted := []authn.User{{ID: "user-456", Email: "operator@autobot.local", Role: "viewer", PasswordHash: passwordHash}}
	if err := r.setUsers(demoted, nil); err != nil {
		t.Fatal(err)
	}
	if got := start(); got != 403 {
		t.Errorf("demoted: %d", got)
	}
	if err := r.setPermissions(map[rbac.Permission][]rbac.Role{rbac.Start: {"viewer"}}); err != nil || start() != 200 {
		t.Errorf("allowed again: %v", err)
	}
	if err := r.setPermissions(map[rbac.Permission][]rbac.Role{"fly": {"viewer"}}); err == nil || start() != 200 {
		t.Errorf("a bad table was taken: %v", err)
	}
	changed := demoted[0]
	changed.PasswordHash = strings.Replace(passwordHash, "$2a$04$", "$2b$04$", 1)
	if err := r.setUsers([]authn.User{changed}, nil); err != nil || start() != 401 {
		t.Errorf("the session outlived the password: %v", err)
	}
	if err := r.setUsers([]authn.User{{ID: ""}}, nil); err == nil {
		t.Error("a user without an id was taken")
	}
	if err := r.setUsers([]authn.User{{ID: "x", Role: "admin", PasswordHash: "$2a$12$..."}}, nil); err != nil || !strings.Contains(r.log.String(), "password hash of this user cannot be read") {
		t.Errorf("an unreadable hash is a warning: %v", err)
	}
}

// metricsText is what the API's metrics look like to Prometheus.
func metricsText(t *testing.T, r *rig) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(r.Collectors()...)
	families, err := reg.Gather()
	if err != nil || len(families) == 0 {
		t.Fatalf("%d families, %v", len(families), err)
	}
	var b strings.Builder
	for _, f := range families {
		b.WriteString(f.String())
	}
	return b.String()
}

// profiles are all profiles of the process in their most talkative form.
func profiles(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, p := range pprof.Profiles() {
		for _, detail := range []int{1, 2} {
			if err := p.WriteTo(&b, detail); err != nil {
				t.Fatal(err)
			}
		}
	}
	return b.String()
}

func TestNoProfileIsServed(t *testing.T) {
	r := newRig(t, nil)
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars", "/api/debug/pprof/", "/-/debug", "/metrics"} {
		if a := r.do("GET", path, "", asAdmin); a.code == 200 && !strings.HasPrefix(string(a.raw), "<!doctype html>") {
			t.Errorf("%s: %d %.80s", path, a.code, a.raw)
		}
	}
}

// TestNoSecretLeaves uses every kind of credential, right and wrong, and then looks for them wherever something is written.
func TestNoSecretLeaves(t *testing.T) {
	r := newRig(t, nil)
	cookie, a := signIn(r, "admin@autobot.local")
	token := r.do("POST", "/api/auth/token", loginBody("admin@autobot.local", password)).json(t)["access_token"].(string)
	ticket := r.do("POST", "/api/auth/ws-ticket", "", asAdmin).json(t)["ticket"].(string)
	secrets := []string{password, canarySecret, adminToken, opToken, cookie.Value, token, ticket, passwordHash, "canary-wrong", "canary-url"}
	out := string(a.raw)
	use := func(method, path, body string, mods ...func(*http.Request)) {
		got := r.do(method, path, body, mods...)
		out += string(got.raw)
	}
	for _, mod := range []func(*http.Request){asAdmin, asOperator, bearer(token), bearer("canary-wrong"), withCookie(cookie)} {
		use("GET", "/api/auth/me", "", mod)
		use("POST", "/api/services/redis/start", `{"canary-wrong":"canary-wrong`, mod)
		use("POST", "/api/services/redis/stop", `{}`, mod)
		use("GET", "/api/audit", "", mod)
	}
	use("POST", "/api/auth/login", loginBody("admin@autobot.local", "canary-wrong"))
	use("POST", "/api/auth/login", `{"email":"admin@autobot.local","password":["canary-wrong"]}`)
	use("GET", "/ws/services/redis/status?token="+adminToken, "")
	use("GET", "/ws/services/redis/status?token=canary-url", "")
	use("GET", "/ws/services/redis/status?ticket="+ticket, "")
	use("POST", "/api/auth/logout", "", withCookie(cookie))
	for where, text := range map[string]string{
		"log": r.log.String(), "audit": auditText(t, r), "answers": out, "metrics": metricsText(t, r), "profiles": profiles(t),
	} {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("the %s shows %q", where, secret)
			}
		}
	}
}
