package controlapi

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/redis-medic/redis-medic/controlapi/rbac"
)

// credential is a way to show who one is, and what it is worth.
type credential struct {
	name string
	role rbac.Role // empty: nobody
	make func(t *testing.T, r *rig) func(*http.Request)
}

// signed returns a bearer token of the configured issuer with changed claims.
func signed(t *testing.T, claims jwt.MapClaims) func(*http.Request) {
	t.Helper()
	all := jwt.MapClaims{"iss": "redis-medic", "aud": "redis-medic", "sub": "ext-1", "exp": time.Now().Add(time.Hour).Unix(), "role": "admin"}
	maps.Copy(all, claims)
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, all).SignedString([]byte(canarySecret))
	if err != nil {
		t.Fatal(err)
	}
	return bearer(token)
}

// credentials are every way of every role, and those that are worth nothing.
func everyCredential() []credential {
	out := []credential{
		{"no credentials", "", func(*testing.T, *rig) func(*http.Request) { return asNobody }},
		{"a role that nobody knows", "guest", func(t *testing.T, _ *rig) func(*http.Request) { return signed(t, jwt.MapClaims{"role": "guest"}) }},
		{"a role in other letters", "ADMIN", func(t *testing.T, _ *rig) func(*http.Request) { return signed(t, jwt.MapClaims{"role": "ADMIN"}) }},
		{"an expired token", "", func(t *testing.T, _ *rig) func(*http.Request) {
			return signed(t, jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()})
		}},
		{"another scheme", "", func(*testing.T, *rig) func(*http.Request) { return header("Authorization", "Basic YWRtaW46YWRtaW4=") }},
		{"a session cookie made up", "", func(*testing.T, *rig) func(*http.Request) {
			return withCookie(&http.Cookie{Name: cookieName, Value: strings.Repeat("A", 52) + ".0123456789abcdef"})
		}},
		{"a session of a removed user", "", func(t *testing.T, r *rig) func(*http.Request) {
			cookie, _ := signIn(r, "admin@autobot.local")
			if err := r.setUsers(nil, r.conf().ServiceAccounts); err != nil {
				t.Fatal(err)
			}
			return withCookie(cookie)
		}},
		{"a token of a removed user", "", func(t *testing.T, r *rig) func(*http.Request) {
			token := r.token(t, "leaver", "admin")
			if err := r.setUsers(r.conf().Users[1:], r.conf().ServiceAccounts); err != nil {
				t.Fatal(err)
			}
			return bearer(token)
		}},
	}
	for id, email := range map[rbac.Role]string{rbac.Admin: "admin", rbac.Operator: "operator", rbac.Viewer: "viewer"} {
		out = append(out,
			credential{"a session of " + email, id, func(_ *testing.T, r *rig) func(*http.Request) {
				cookie, _ := signIn(r, email+"@autobot.local")
				return withCookie(cookie)
			}},
			credential{"our token of " + email, id, func(t *testing.T, r *rig) func(*http.Request) { return bearer(r.token(t, "u-"+email, email)) }},
			credential{"the issuer's token of " + email, id, func(t *testing.T, _ *rig) func(*http.Request) { return signed(t, jwt.MapClaims{"role": email}) }},
		)
	}
	return out
}

// TestTheMatrixOfCredentialsAndRoutes asks every route with every kind of credential: only the role behind it counts, and a credential
// that is worth nothing is nobody's.
func TestTheMatrixOfCredentialsAndRoutes(t *testing.T) {
	table, err := rbac.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range everyCredential() {
		t.Run(c.name, func(t *testing.T) {
			var r *rig
			var as func(*http.Request)
			for _, rt := range routes() {
				if r == nil {
					r = withIncident(newRig(t, func(o *Options) { o.Reload = func() error { return nil } }))
					as = c.make(t, r)
				}
				records, acts := len(r.audit.all()), len(r.remediator.seen())+len(r.remediator.noted())
				a := r.do(rt.method, fill(rt.path), bodies[rt.method+" "+rt.path], as)
				name := rt.method + " " + rt.path
				// A wrong header is refused everywhere; a cookie that has ended makes its holder nobody.
				wrongHeader := c.role == "" && httpHeader(as, "Authorization") != ""
				switch {
				case wrongHeader:
					if a.code != 401 {
						t.Errorf("%s: %d", name, a.code)
					}
				case table.Allow(c.role, rt.permission):
					if (a.code == 401 || a.code == 403) && !strings.Contains(string(a.raw), "bad_login") { // the password is of a removed user
						t.Errorf("%s: allowed, but %d %s", name, a.code, a.raw)
					}
				case c.role == "":
					if a.code != 401 {
						t.Errorf("%s: %d", name, a.code)
					}
				default:
					if a.code != 403 {
						t.Errorf("%s: %d", name, a.code)
					}
				}
				if refused := a.code == 401 || a.code == 403; refused && len(r.remediator.seen())+len(r.remediator.noted()) != acts {
					t.Errorf("%s: refused, but done", name)
				} else if got := len(r.audit.all()) - records; refused && rt.audit != "" && got != 1 {
					t.Errorf("%s: %d records of the refusal", name, got)
				}
				if rt.event == eventAuthentication {
					r = nil // it may have ended the credential
				}
			}
		})
	}
}

// httpHeader returns a header that a modifier sets.
func httpHeader(mod func(*http.Request), name string) string {
	r := &http.Request{Header: http.Header{}}
	mod(r)
	return r.Header.Get(name)
}

// TestLookingChangesNothing: a GET, which any link or image can cause, starts no act.
func TestLookingChangesNothing(t *testing.T) {
	for _, rt := range routes() {
		if rt.method != http.MethodGet {
			continue
		}
		reloads := 0
		r := withIncident(newRig(t, func(o *Options) { o.Reload = func() error { reloads++; return nil } }))
		for _, query := range []string{"", "?confirmation=true&enabled=false", "?_method=POST"} {
			r.do(http.MethodGet, fill(rt.path)+query, "", asAdmin, header("X-HTTP-Method-Override", "POST"), header("X-Method-Override", "DELETE"))
		}
		if len(r.remediator.seen())+len(r.remediator.noted())+reloads+len(r.sessions.all) != 0 {
			t.Errorf("%s changed something", rt.path)
		}
	}
}

// TestOtherSitesMayReadNothing: no answer carries a permission for pages of other sites, whatever they ask for.
func TestOtherSitesMayReadNothing(t *testing.T) {
	r := newRig(t, func(o *Options) { o.AllowedOrigins = []string{"https://autobot.example"} })
	for _, origin := range []string{"https://evil.example", "https://autobot.example", "null"} {
		for _, rt := range routes() {
			for _, method := range []string{rt.method, http.MethodOptions} {
				a := r.do(method, fill(rt.path), "", asAdmin, header("Origin", origin), header("Access-Control-Request-Method", "POST"))
				for name := range a.header {
					if strings.HasPrefix(name, "Access-Control-") {
						t.Errorf("%s %s from %s: %s", method, rt.path, origin, name)
					}
				}
			}
		}
	}
}

// TestTheServersLimits are those of HTTP itself, also of its second version.
func TestTheServersLimits(t *testing.T) {
	s := newRig(t, nil).server
	if s.HTTP2 == nil || s.HTTP2.MaxConcurrentStreams == 0 || s.HTTP2.MaxConcurrentStreams > 100 || s.MaxHeaderBytes == 0 || s.MaxHeaderBytes > 64<<10 {
		t.Errorf("%+v %d", s.HTTP2, s.MaxHeaderBytes)
	}
}
