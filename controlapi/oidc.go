package controlapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
)

// oidcCookie keeps a login while its person is at the identity provider. It is Lax: the way back is a link from another site.
const (
	oidcCookie       = "redis_medic_login"
	secureOIDCCookie = "__Host-" + oidcCookie
	oidcLoginPath    = "/api/auth/oidc/login"
	maxNext          = 1024
)

// providersBody says how one may sign in.
type providersBody struct {
	Password bool          `json:"password"`
	OIDC     *providerBody `json:"oidc"`
}

type providerBody struct {
	Name     string `json:"name"`
	LoginURL string `json:"login_url"`
}

func getProviders(a *API, w http.ResponseWriter, _ *call) error {
	b := providersBody{Password: len(a.conf().Users) > 0}
	if name, ok := a.auth.OIDC(); ok {
		b.OIDC = &providerBody{Name: name, LoginURL: oidcLoginPath}
	}
	return writeJSON(w, http.StatusOK, b)
}

// localPath returns a path of the panel, or "/": nobody is sent to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, "/api/") {
		return "/"
	}
	return next
}

// getOIDCLogin sends a browser to the identity provider.
func getOIDCLogin(a *API, w http.ResponseWriter, c *call) error {
	address, login, err := a.auth.BeginOIDC(c.r.Context(), localPath(c.r.URL.Query().Get("next")))
	if err != nil {
		return a.browserProblem(w, c, err)
	}
	raw, err := json.Marshal(login)
	if err != nil {
		return err
	}
	a.setOIDCCookie(w, c.r, base64.RawURLEncoding.EncodeToString(raw), int(authn.OIDCLoginTTL/time.Second))
	redirect(w, address)
	return nil
}

func (a *API) setOIDCCookie(w http.ResponseWriter, r *http.Request, value string, seconds int) {
	k := &http.Cookie{Name: oidcCookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: seconds}
	if a.secure(r) {
		k.Name, k.Secure = secureOIDCCookie, true
	}
	http.SetCookie(w, k)
}

// oidcLogin reads the login that this browser began; the zero value when it began none.
func (a *API) oidcLogin(r *http.Request) (login authn.OIDCLogin) {
	name := oidcCookie
	if a.secure(r) {
		name = secureOIDCCookie
	}
	k, err := r.Cookie(name)
	if err != nil {
		return authn.OIDCLogin{}
	}
	raw, err := base64.RawURLEncoding.DecodeString(k.Value)
	if err != nil || json.Unmarshal(raw, &login) != nil {
		return authn.OIDCLogin{}
	}
	return login
}

// getOIDCCallback ends a login at the identity provider: its code becomes a session, as a password would.
func getOIDCCallback(a *API, w http.ResponseWriter, c *call) error {
	login := a.oidcLogin(c.r)
	a.setOIDCCookie(w, c.r, "", -1) // one try for each login
	q := c.r.URL.Query()
	p, err := a.auth.FinishOIDC(c.r.Context(), login, authn.OIDCAnswer{
		State: q.Get("state"), Code: q.Get("code"), Issuer: q.Get("iss"), Error: plain(q.Get("error"), 64),
	})
	if err != nil {
		a.metrics.logins.WithLabelValues("failure").Inc()
		c.who = authn.Anonymous()
		c.who.ID, c.who.Email = plain(p.ID, 300), plain(p.Email, 254)
		return a.browserProblem(w, c, err)
	}
	c.validated = true
	old := c.who
	c.who = p
	c.who.Method = authn.MethodSession
	if err := a.granted(c, map[string]string{"method": "oidc"}); err != nil {
		return a.browserProblem(w, c, err)
	}
	id, session, err := a.auth.StartSession(c.r.Context(), p, c.sourceIP)
	if err != nil {
		return a.browserProblem(w, c, err)
	}
	if old.Method == authn.MethodSession {
		_ = a.auth.Logout(c.r.Context(), old, false) // a new login has a new id, and the old one ends
	}
	a.metrics.logins.WithLabelValues("success").Inc()
	a.setCookie(w, c.r, id, session.Expires)
	redirect(w, localPath(login.Next))
	return nil
}

// redirect sends the browser on with a GET. The address is one that was checked.
func redirect(w http.ResponseWriter, address string) {
	w.Header().Set("Location", address)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}

// browserProblem answers a person who came by a link: back to the sign-in page, which has words for the code. Programs get the
// problem itself.
func (a *API) browserProblem(w http.ResponseWriter, c *call, err error) error {
	if !strings.Contains(c.r.Header.Get("Accept"), "text/html") {
		return err
	}
	p := problemOf(err)
	if c.route.audit != "" && !c.audited {
		a.denied(c, p)
	}
	a.log.Warn().AnErr("cause", p.cause).Str("code", p.code).Str("request_id", c.requestID).Msg("sign-in at the identity provider failed")
	redirect(w, "/signin?"+url.Values{"error": {p.code}}.Encode())
	return nil
}

// oidcProblem maps the faults of a login at an identity provider; nil for other errors.
func oidcProblem(err error) *problem {
	fault, ok := errors.AsType[*authn.OIDCFault](err)
	if !ok {
		return nil
	}
	status := map[authn.OIDCFaultKind]int{
		authn.OIDCOff: http.StatusNotFound, authn.OIDCUnreachable: http.StatusServiceUnavailable, authn.OIDCNoRole: http.StatusForbidden,
		authn.OIDCExpired: http.StatusBadRequest,
	}[fault.Kind]
	if status == 0 {
		status = http.StatusUnauthorized
	}
	p := newProblem(status, string(fault.Kind), fault.Public)
	if status == http.StatusServiceUnavailable {
		p.retryAfter = 10 * time.Second
	}
	return p
}
