package controlapi

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/authn/authntest"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/remediator/audit"
)

// oidcRig is a serving API with an identity provider, and a browser.
type oidcRig struct {
	*rig
	provider *authntest.Provider
	browser  *http.Client
}

var ann = map[string]any{"sub": "ann-1", "email": "ann@example.org", "email_verified": true, "groups": []string{"everyone", "redis-operators"}}

func newOIDCRig(t *testing.T, change func(*Options)) *oidcRig {
	t.Helper()
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	base := "http://" + r.Addr().String()
	p := authntest.New(base + "/api/auth/oidc/callback")
	t.Cleanup(p.Close)
	p.SignIn(ann)
	err := r.reload(func(o *Options) {
		o.OIDC = authn.OIDCSettings{
			Name: "Example", Issuer: p.Issuer(), ClientID: authntest.ClientID, ClientSecret: authntest.ClientSecret, RedirectURL: base + "/api/auth/oidc/callback",
			Roles: map[string][]string{"admin": {"redis-admins"}, "operator": {"redis-operators"}, "viewer": {"staff", "redis-operators"}},
		}
		if change != nil {
			change(o)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	out := &oidcRig{rig: r, provider: p}
	out.fresh()
	return out
}

// fresh is a browser without cookies.
func (r *oidcRig) fresh() {
	jar, _ := cookiejar.New(nil) // never fails without options
	r.browser = &http.Client{Jar: jar, Timeout: 20 * time.Second}
}

// visit follows a link as a browser does, to the end.
func (r *oidcRig) visit(path string) (end *url.URL, code int, body string) {
	r.t.Helper()
	address := path
	if strings.HasPrefix(path, "/") {
		address = "http://" + r.Addr().String() + path
	}
	req, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml")
	resp, err := r.browser.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	return resp.Request.URL, resp.StatusCode, string(raw)
}

// untilCallback begins a login in a fresh browser, stops when the provider sends it back, and returns that address.
func (r *oidcRig) untilCallback() string {
	r.t.Helper()
	r.fresh()
	r.browser.CheckRedirect = func(req *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(req.URL.Path, "/api/auth/oidc/callback") {
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := r.browser.Get("http://" + r.Addr().String() + "/api/auth/oidc/login")
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	r.browser.CheckRedirect = nil
	return resp.Header.Get("Location")
}

// me asks who the browser is signed in as: id, role, status.
func (r *oidcRig) me() (id, role string, code int) {
	_, code, body := r.visit("/api/auth/me")
	var m struct {
		User struct{ ID, Role string } `json:"user"`
	}
	_ = json.Unmarshal([]byte(body), &m)
	return m.User.ID, m.User.Role, code
}

func TestSignInAtAnIdentityProvider(t *testing.T) {
	r := newOIDCRig(t, nil)
	var providers providersBody
	if err := json.Unmarshal(r.do("GET", "/api/auth/providers", "").raw, &providers); err != nil || !providers.Password || providers.OIDC == nil || providers.OIDC.Name != "Example" {
		t.Fatalf("%+v %v", providers, err)
	}
	end, code, _ := r.visit(providers.OIDC.LoginURL + "?next=%2Flogs%3Flevel%3Derror")
	if end.RequestURI() != "/logs?level=error" || code != 200 {
		t.Fatalf("ended at %s with %d", end, code)
	}
	if id, role, code := r.me(); id != "oidc:ann-1" || role != "operator" || code != 200 {
		t.Errorf("%s %s %d", id, role, code)
	}
	var login audit.Record
	for _, rec := range r.audit.all() {
		if rec.Operation == "login" {
			login = rec
		}
	}
	if login.User.ID != "oidc:ann-1" || login.User.Email != "ann@example.org" || !login.Result.Success || login.Details["method"] != "oidc" {
		t.Errorf("%+v", login)
	}
	// The session may do what its role may, ends with a logout, and the login cannot be replayed.
	cookies := r.browser.Jar.Cookies(&url.URL{Scheme: "http", Host: r.Addr().String(), Path: "/"})
	if len(cookies) != 1 || cookies[0].Name != cookieName {
		t.Fatalf("%v", cookies)
	}
	as := withCookie(cookies[0])
	if a, b := r.do("POST", "/api/services/redis/start", "", as).code, r.do("POST", "/api/services/redis/stop", `{"confirmation":true}`, as).code; a != 200 || b != 403 {
		t.Errorf("start %d, stop %d", a, b)
	}
	if got := r.do("POST", "/api/auth/token", "", as); got.code != http.StatusNotImplemented {
		t.Errorf("a token for an account that is not ours: %d", got.code)
	}
	if got := r.do("POST", "/api/auth/logout", "{}", as).code; got != 204 {
		t.Errorf("logout: %d", got)
	}
	if _, _, code := r.me(); code != 401 {
		t.Errorf("after the logout: %d", code)
	}
	for _, secret := range []string{authntest.ClientSecret, cookies[0].Value} {
		if strings.Contains(r.log.String(), secret) || strings.Contains(auditText(t, r.rig), secret) {
			t.Error("a secret is in the log or the audit log")
		}
	}
}

func TestWhoTheIdentityProviderMayLetIn(t *testing.T) {
	r := newOIDCRig(t, nil)
	with := func(name string, value any) map[string]any {
		out := map[string]any{}
		maps.Copy(out, ann)
		out[name] = value
		return out
	}
	for _, c := range []struct {
		name   string
		claims map[string]any
		role   string
		fault  string
	}{
		{"the mightiest of several groups", with("groups", []string{"redis-operators", "redis-admins"}), "admin", ""},
		{"one group as a text", with("groups", "staff"), "viewer", ""},
		{"no group of ours", with("groups", []string{"everyone"}), "", "oidc_no_role"},
		{"no groups", map[string]any{"sub": "x"}, "", "oidc_no_role"},
		{"groups of another type", with("groups", 7), "", "oidc_no_role"},
		{"a role as a group", with("groups", []string{"admin"}), "", "oidc_no_role"},
		{"a subject with a line break", with("sub", "a\nb"), "", "oidc_invalid"},
		{"an empty subject", with("sub", ""), "", "oidc_invalid"},
		{"a subject that is too long", with("sub", strings.Repeat("x", 256)), "", "oidc_invalid"},
		{"the id of a configured user", with("sub", "user-123"), "operator", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.fresh()
			r.provider.SignIn(c.claims)
			end, _, _ := r.visit("/api/auth/oidc/login")
			_, role, code := r.me()
			if c.fault != "" {
				if end.Path != "/signin" || end.Query().Get("error") != c.fault || code != 401 {
					t.Errorf("ended at %s, %d", end, code)
				}
				return
			}
			if end.Path != "/" || role != c.role {
				t.Errorf("ended at %s as %q", end, role)
			}
		})
	}
	if id, _, _ := r.me(); id != "oidc:user-123" {
		t.Errorf("mistaken for a configured user: %q", id)
	}
}

func TestAnswersOfAProviderThatAreRefused(t *testing.T) {
	r := newOIDCRig(t, nil)
	set := func(name string, value any) func(map[string]any) {
		return func(claims map[string]any) { claims[name] = value }
	}
	for _, c := range []struct {
		name      string
		misbehave func(map[string]any)
	}{
		{"the nonce of another login", set("nonce", "another")},
		{"no nonce", func(c map[string]any) { delete(c, "nonce") }},
		{"another issuer", set("iss", "https://evil.example")},
		{"another audience", set("aud", "another-client")},
		{"two audiences and another authorized party", func(c map[string]any) { c["aud"], c["azp"] = []string{authntest.ClientID, "x"}, "x" }},
		{"expired", set("exp", time.Now().Add(-time.Hour).Unix())},
		{"no expiry", func(c map[string]any) { delete(c, "exp") }},
		{"another access token", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA")},
		{"not signed", set("alg", "none")},
		{"signed with the client secret", set("alg", "HS256")},
		{"signed by another key", set("alg", "another key")},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.fresh()
			r.provider.Misbehave(c.misbehave)
			end, _, _ := r.visit("/api/auth/oidc/login")
			if _, _, code := r.me(); end.Query().Get("error") != "oidc_invalid" || code != 401 {
				t.Errorf("ended at %s, %d", end, code)
			}
		})
	}
	r.provider.Misbehave(nil)
	r.provider.Deny("access_denied")
	if end, _, _ := r.visit("/api/auth/oidc/login"); end.Query().Get("error") != "oidc_refused" {
		t.Errorf("denied: ended at %s", end)
	}
	r.provider.Deny("")
	r.provider.Rotate()
	r.fresh()
	if end, _, _ := r.visit("/api/auth/oidc/login"); end.Path != "/" {
		t.Errorf("after a rotation of the keys: ended at %s", end)
	}
	denied := 0
	for _, rec := range r.audit.all() {
		if rec.Operation == "login" && rec.Phase == audit.PhaseDenied {
			denied++
		}
	}
	if denied != 12 {
		t.Errorf("%d refusals are audited, want 12", denied)
	}
}

// TestTheCallbackBelongsToItsBrowser: a code or state from elsewhere is worth nothing.
func TestTheCallbackBelongsToItsBrowser(t *testing.T) {
	r := newOIDCRig(t, nil)
	callback := r.untilCallback() // somebody else's login
	owner := r.browser
	r.fresh()
	for name, address := range map[string]string{
		"without a login":         callback,
		"without a state":         "/api/auth/oidc/callback?code=x",
		"an empty state and code": "/api/auth/oidc/callback?code=&state=",
	} {
		if end, _, _ := r.visit(address); end.Query().Get("error") != "oidc_expired" {
			t.Errorf("%s: ended at %s", name, end)
		}
	}
	r.visit("/api/auth/oidc/login") // a login of its own does not help with another's callback
	if end, _, _ := r.visit(callback); end.Query().Get("error") != "oidc_expired" {
		t.Errorf("another login: ended at %s", end)
	}
	r.browser = owner
	u, _ := url.Parse(callback)
	q := u.Query()
	q.Set("iss", "https://evil.example")
	u.RawQuery = q.Encode()
	if end, _, _ := r.visit(u.String()); end.Query().Get("error") != "oidc_invalid" {
		t.Errorf("another issuer: ended at %s", end)
	}
	if end, _, _ := r.visit(callback); end.Query().Get("error") != "oidc_expired" {
		t.Errorf("the second try of one login: ended at %s", end)
	}
	// A program gets the problem itself.
	if a := r.do("GET", "/api/auth/oidc/callback?code=x", ""); a.code != 400 || a.json(t)["code"] != "oidc_expired" {
		t.Errorf("%d %s", a.code, a.raw)
	}
}

func TestNobodyIsSentToAnotherSite(t *testing.T) {
	for next, want := range map[string]string{
		"/recovery": "/recovery", "/audit?user=ann#top": "/audit?user=ann#top", "": "/", "recovery": "/", "//evil.example": "/", "https://evil.example": "/",
		`/\evil.example`: "/", `\\evil.example`: "/", "/a\r\nSet-Cookie: x=y": "/", "javascript:alert(1)": "/", "/\t/evil.example": "/", "http:/evil": "/",
		"/api/auth/oidc/login": "/", "/" + strings.Repeat("x", 2000): "/", "%zz": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q: %q, want %q", next, got, want)
		}
	}
}

func TestGroupsFromElsewhere(t *testing.T) {
	r := newOIDCRig(t, func(o *Options) { o.OIDC.RolesClaim = "realm_access.roles" })
	r.provider.SignIn(map[string]any{"sub": "bob", "realm_access": map[string]any{"roles": []string{"redis-admins"}}})
	r.visit("/api/auth/oidc/login")
	if _, role, _ := r.me(); role != "admin" {
		t.Errorf("a nested claim: %q", role)
	}
	u := newOIDCRig(t, nil)
	u.provider.UserInfo(map[string]any{"sub": "bob", "groups": []string{"redis-admins"}, "email": "bob@example.org"})
	u.provider.SignIn(map[string]any{"sub": "bob"})
	u.visit("/api/auth/oidc/login")
	if _, role, _ := u.me(); role != "admin" {
		t.Errorf("the userinfo endpoint: %q", role)
	}
	u.fresh()
	u.provider.UserInfo(map[string]any{"sub": "mallory", "groups": []string{"redis-admins"}})
	if end, _, _ := u.visit("/api/auth/oidc/login"); end.Query().Get("error") != "oidc_invalid" {
		t.Errorf("somebody else's userinfo: ended at %s", end)
	}
}

// TestASessionOfTheProviderFollowsTheMapping: also on open streams, within seconds.
func TestASessionOfTheProviderFollowsTheMapping(t *testing.T) {
	r := newOIDCRig(t, nil)
	r.visit("/api/auth/oidc/login")
	cookie := r.browser.Jar.Cookies(&url.URL{Scheme: "http", Host: r.Addr().String(), Path: "/"})[0]
	h := http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}
	stream, _, err := r.listen(streamPath, h)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.reload(func(o *Options) { o.OIDC.Roles = map[string][]string{"admin": {"everyone"}} }); err != nil {
		t.Fatal(err)
	}
	if _, role, _ := r.me(); role != "admin" {
		t.Errorf("after the mapping changed: %q", role)
	}
	if got := closedWith(t, stream); got != live.StatusForbidden {
		t.Errorf("the stream: %v", got)
	}
	if stream, _, err = r.listen(streamPath, h); err != nil {
		t.Fatal(err)
	}
	if err := r.reload(func(o *Options) { o.OIDC = authn.OIDCSettings{} }); err != nil {
		t.Fatal(err)
	}
	if _, _, code := r.me(); code != 401 {
		t.Errorf("without the provider: %d", code)
	}
	if got := closedWith(t, stream); got != live.StatusSignedOut {
		t.Errorf("the stream: %v", got)
	}
	if a := r.do("GET", "/api/auth/oidc/login", ""); a.code != 404 {
		t.Errorf("%d", a.code)
	}
	if got := r.do("GET", "/api/auth/providers", "").json(t)["oidc"]; got != nil {
		t.Errorf("%v", got)
	}
}

func TestAProviderThatCannotBeAsked(t *testing.T) {
	r := newOIDCRig(t, nil)
	r.visit("/api/auth/oidc/login")
	cookie := r.browser.Jar.Cookies(&url.URL{Scheme: "http", Host: r.Addr().String(), Path: "/"})[0]
	r.provider.Down(true)
	if got := r.do("GET", "/api/auth/me", "", withCookie(cookie)).code; got != 200 {
		t.Errorf("an open session needs the provider: %d", got)
	}
	if err := r.reload(func(o *Options) { o.OIDC.Name = "Another name" }); err != nil { // forgets what was discovered
		t.Fatalf("a reload needs the provider: %v", err)
	}
	a := r.do("GET", "/api/auth/oidc/login", "")
	if a.code != 503 || a.header.Get("Retry-After") == "" || strings.Contains(string(a.raw), "refused") {
		t.Errorf("%d %s", a.code, a.raw)
	}
	if end, _, _ := r.visit("/api/auth/oidc/login"); end.Query().Get("error") != "oidc_unreachable" {
		t.Errorf("ended at %s", end)
	}
	_, _ = signIn(r.rig, "admin@autobot.local") // passwords go on
	r.provider.Down(false)
	deadline := time.Now().Add(30 * time.Second)
	for r.do("GET", "/api/auth/oidc/login", "").code != http.StatusSeeOther {
		if time.Now().After(deadline) {
			t.Fatal("the provider is back, but is not asked")
		}
		pass(50 * time.Millisecond)
	}
	// It goes away between the two halves of a login.
	callback := r.untilCallback()
	r.provider.Down(true)
	if end, _, _ := r.visit(callback); end.Query().Get("error") != "oidc_unreachable" {
		t.Errorf("ended at %s", end)
	}
}

func TestALoginAtTheProviderThatCannotBeRecorded(t *testing.T) {
	r := newOIDCRig(t, nil)
	r.audit.setBroken(true)
	if end, _, _ := r.visit("/api/auth/oidc/login"); end.Query().Get("error") != "audit_unavailable" {
		t.Errorf("ended at %s", end)
	}
	if len(r.sessions.all) != 0 {
		t.Error("a session was opened")
	}
	r.audit.setBroken(false)
	r.sessions.setBroken(true)
	if end, _, _ := r.visit("/api/auth/oidc/login"); end.Query().Get("error") != "internal" {
		t.Errorf("ended at %s", end)
	}
}

func TestBadProviderSettings(t *testing.T) {
	r := newRig(t, nil)
	good := authn.OIDCSettings{Issuer: "https://id.example", ClientID: "x", RedirectURL: "https://medic.example/api/auth/oidc/callback", DefaultRole: "viewer"}
	for name, change := range map[string]func(*authn.OIDCSettings){
		"issuer over http":   func(s *authn.OIDCSettings) { s.Issuer = "http://id.example" },
		"no client":          func(s *authn.OIDCSettings) { s.ClientID = "" },
		"redirect over http": func(s *authn.OIDCSettings) { s.RedirectURL = "http://medic.example/cb" },
		"no roles":           func(s *authn.OIDCSettings) { s.DefaultRole = "" },
	} {
		s := good
		change(&s)
		if err := r.reload(func(o *Options) { o.OIDC = s }); err == nil || !strings.Contains(err.Error(), "oidc: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.reload(func(o *Options) { o.OIDC = good }); err != nil {
		t.Error(err)
	}
}
