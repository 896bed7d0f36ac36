package controlapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
)

// cookieName is the session cookie's name. Browsers keep a __Host- cookie to this very host and to TLS; over plain HTTP they
// would not take it at all.
const (
	cookieName       = "redis_medic_session"
	secureCookieName = "__Host-" + cookieName
)

// credentials is the body of a login. The user may be named by id or e-mail address.
type credentials struct {
	Email    string `json:"email"`
	User     string `json:"user"`
	Password string `json:"password"`
}

func (b credentials) login() string {
	if b.Email != "" {
		return b.Email
	}
	return b.User
}

// meBody says who is asking and what they may do.
type meBody struct {
	User          userBody                        `json:"user"`
	Permissions   []rbac.Permission               `json:"permissions"`
	RequiredRoles map[rbac.Permission][]rbac.Role `json:"required_roles"` // so that a refusal can be explained before it happens
	ExpiresAt     *string                         `json:"expires_at"`     // null: never
	AuthMethod    string                          `json:"auth_method"`
}

type userBody struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
}

func (a *API) me(p authn.Principal) meBody {
	table := a.conf().table
	b := meBody{
		User: userBody{ID: p.ID, Email: p.Email, Role: p.Role}, Permissions: table.Of(rbac.Role(p.Role)),
		RequiredRoles: map[rbac.Permission][]rbac.Role{}, ExpiresAt: stampOrNil(p.Expires), AuthMethod: string(p.Method),
	}
	for _, permission := range rbac.Permissions() {
		b.RequiredRoles[permission] = table.Required(permission)
	}
	return b
}

func getMe(a *API, w http.ResponseWriter, c *call) error {
	return writeJSON(w, http.StatusOK, a.me(c.who))
}

// cookie returns the session cookie that belongs to the request's transport. Over TLS the plain one is not believed: any page of
// a sibling host could have set it.
func (a *API) cookie(r *http.Request) (string, bool) {
	if len(r.Header["Cookie"]) == 0 {
		return "", false
	}
	name := cookieName
	if a.secure(r) {
		name = secureCookieName
	}
	c, err := r.Cookie(name)
	if err != nil || c.Value == "" {
		return "", false
	}
	return c.Value, true
}

func (a *API) setCookie(w http.ResponseWriter, r *http.Request, value string, expires time.Time) {
	c := &http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Expires: expires}
	if a.secure(r) {
		c.Name, c.Secure = secureCookieName, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// passwordLogin checks a password for login and token, and counts the outcome.
func (a *API) passwordLogin(c *call, b credentials) (authn.Principal, error) {
	p, err := a.auth.Login(c.r.Context(), b.login(), b.Password, c.sourceIP)
	var backoff *authn.BackoffError
	switch {
	case err == nil:
		a.metrics.logins.WithLabelValues("success").Inc()
	case errors.As(err, &backoff):
		a.metrics.logins.WithLabelValues("backoff").Inc()
	default:
		a.metrics.logins.WithLabelValues("failure").Inc()
	}
	if err != nil {
		c.who = authn.Anonymous()
		c.who.ID = plain(b.login(), 128) // who was tried: the audit log is where this belongs
		return authn.Principal{}, err
	}
	return p, nil
}

func (b credentials) check() error {
	if b.login() == "" || b.Password == "" {
		return badRequest("email and password are required")
	}
	return nil
}

func postLogin(a *API, w http.ResponseWriter, c *call) error {
	var body credentials
	if err := c.decode(w, &body); err != nil {
		return err
	}
	if err := body.check(); err != nil {
		return err
	}
	c.validated = true
	old := c.who
	p, err := a.passwordLogin(c, body)
	if err != nil {
		return err
	}
	c.who = p
	c.who.Method = authn.MethodSession
	if err := a.granted(c, nil); err != nil {
		return err
	}
	id, session, err := a.auth.StartSession(c.r.Context(), p, c.sourceIP)
	if err != nil {
		return err
	}
	if old.Method == authn.MethodSession {
		_ = a.auth.Logout(c.r.Context(), old, false) // a new login has a new id, and the old one ends
	}
	a.setCookie(w, c.r, id, session.Expires)
	return writeJSON(w, http.StatusOK, a.me(session))
}

func postLogout(a *API, w http.ResponseWriter, c *call) error {
	var body struct {
		Everywhere bool `json:"everywhere"`
	}
	if err := c.decode(w, &body); err != nil {
		return err
	}
	c.validated = true
	if err := a.granted(c, nil); err != nil {
		// A logout that cannot be recorded is still carried out: it takes rights away.
		a.log.Error().Err(err).Str("request_id", c.requestID).Msg("logout could not be audited")
	}
	if err := a.auth.Logout(c.r.Context(), c.who, body.Everywhere); err != nil {
		return err
	}
	if c.who.Method == authn.MethodSession {
		a.setCookie(w, c.r, "", time.Unix(1, 0))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// postToken exchanges a password, or the credentials of the request, for a short-lived bearer token.
func postToken(a *API, w http.ResponseWriter, c *call) error {
	var body credentials
	if err := c.decode(w, &body); err != nil {
		return err
	}
	if body != (credentials{}) {
		if err := body.check(); err != nil {
			return err
		}
		p, err := a.passwordLogin(c, body)
		if err != nil {
			return err
		}
		c.who = p
		c.who.Method = authn.MethodJWT
	} else if c.who.IsAnonymous() {
		return authn.ErrNoCredentials
	}
	c.validated = true
	token, expires, err := a.auth.IssueToken(c.who)
	if err != nil {
		return err
	}
	if err := a.granted(c, nil); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"access_token": token, "token_type": "bearer", "expires_in": int(time.Until(expires) / time.Second), "expires_at": stamp(expires),
	})
}

// postTicket gives a one-use ticket for the event stream to clients that can set neither cookie nor header there.
func postTicket(a *API, w http.ResponseWriter, c *call) error {
	if err := c.decode(w, &struct{}{}); err != nil {
		return err
	}
	c.validated = true
	if err := a.granted(c, nil); err != nil {
		return err
	}
	ticket, expires, err := a.auth.IssueTicket(c.who, c.sourceIP)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{
		"ticket": ticket, "expires_in": int(authn.TicketTTL / time.Second), "expires_at": stamp(expires),
	})
}
