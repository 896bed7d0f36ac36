package controlapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
)

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController and the WebSocket library reach the connection.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{8,64}$`)

// serve makes the handler of a route: who, may they, which service, how often, and only then what.
func (a *API) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &recorder{ResponseWriter: rw}
		c := &call{r: r, route: rt, who: authn.Anonymous(), requestID: requestID(r), sourceIP: addressOf(r, a.conf().TrustedProxies), began: time.Now()}
		a.metrics.inFlight.Inc()
		defer a.finish(w, c)
		setSecurityHeaders(w.Header(), c.requestID)
		if err := a.handle(w, c); err != nil {
			a.refuse(w, c, err)
		}
	})
}

// finish counts and logs the answer. A panic becomes a 500: one bad request must not end the others.
func (a *API) finish(w *recorder, c *call) {
	if fault := recover(); fault != nil {
		if fault == http.ErrAbortHandler { //nolint:errorlint // the sentinel is compared as net/http does
			panic(fault)
		}
		a.metrics.panics.Inc()
		a.log.Error().Interface("panic", fault).Str("stack", string(debug.Stack())).Str("request_id", c.requestID).Msg("handler panicked")
		if w.status == 0 {
			newProblem(http.StatusInternalServerError, "internal", "An internal error occurred. The log has it under this request id.").write(w, c.requestID)
		}
	}
	a.metrics.inFlight.Dec()
	took := time.Since(c.began)
	a.metrics.answered(method(c.r.Method), c.route.path, w.status, took)
	level := zerolog.InfoLevel
	if c.route.quiet && w.status < http.StatusBadRequest { // what is asked all the time, by everybody
		level = zerolog.DebugLevel
	}
	// The path only: a query may carry a token.
	a.log.WithLevel(level).Str("method", method(c.r.Method)).Str("path", plain(c.r.URL.Path, 256)).Int("status", w.status).Dur("duration_ms", took).
		Str("source_ip", c.sourceIP).Str("user", c.who.ID).Str("request_id", c.requestID).Msg("request")
}

// method bounds the label values that a client can make up.
func method(m string) string {
	switch m {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS":
		return m
	}
	return "OTHER"
}

// handle walks through the gates in their order: 401, 403, 404, 429, then the handler's own 400.
func (a *API) handle(w http.ResponseWriter, c *call) error {
	if err := a.identify(c); err != nil {
		return err
	}
	if err := a.authorize(c); err != nil {
		return err
	}
	if id, named := mux.Vars(c.r)["id"]; named {
		s, known := a.conf().services[id]
		if !known {
			return newProblem(http.StatusNotFound, "unknown_service", "No such service")
		}
		c.service = s
	}
	if c.route.limit != "" {
		if err := a.limits.take(w.Header(), c.who.ID, c.route.limit, time.Now()); err != nil {
			return err
		}
	}
	return c.route.handler(a, w, c)
}

// identify finds out who is asking. Wrong credentials in a header are refused everywhere; a session cookie that has ended only
// makes its holder anonymous, so that the sign-in page can be served.
func (a *API) identify(c *call) error {
	if header := c.r.Header.Get("Authorization"); header != "" {
		token, ok := authn.LooksLikeToken(header)
		if !ok {
			return authn.ErrInvalidToken
		}
		who, err := a.auth.Bearer(c.r.Context(), token)
		if err != nil {
			return err
		}
		c.who = who
		return nil
	}
	if c.route.stream {
		if done, err := a.identifyStream(c); done || err != nil {
			return err
		}
	}
	cookie, ok := a.cookie(c.r)
	if err := a.conf().crossOrigin.Check(c.r); err != nil {
		return newProblem(http.StatusForbidden, "cross_origin", "Requests from other sites are refused")
	}
	if !ok {
		return nil
	}
	who, err := a.auth.Session(c.r.Context(), cookie)
	switch {
	case err == nil:
		c.who = who
	case errors.Is(err, authn.ErrExpired), errors.Is(err, authn.ErrInvalidToken):
	case a.conf().table.Allow(rbac.Anonymous, c.route.permission):
		// Status and health stay up while the session store is down.
	default:
		return err
	}
	return nil
}

func (a *API) authorize(c *call) error {
	table := a.conf().table
	if table.Allow(c.role(), c.route.permission) {
		return nil
	}
	if c.who.IsAnonymous() {
		return authn.ErrNoCredentials
	}
	roles := table.Required(c.route.permission)
	p := newProblem(http.StatusForbidden, "forbidden", "Insufficient permissions to "+c.route.act)
	p.extra = map[string]any{"required_roles": roles, "user_role": c.who.Role}
	return p
}

// refuse answers an error: it is mapped, audited where the route is, logged with its private cause, and sent.
func (a *API) refuse(w *recorder, c *call, err error) {
	p := problemOf(err)
	if !c.audited && c.route.records(p.status, err) {
		a.denied(c, p)
	}
	switch {
	case p.status == http.StatusInternalServerError:
		a.log.Error().Err(p.cause).Str("request_id", c.requestID).Str("route", c.route.path).Msg("request failed")
	case p.cause != nil && p.status >= 500:
		a.log.Warn().Err(p.cause).Str("request_id", c.requestID).Str("route", c.route.path).Msg("request refused")
	}
	if w.status == 0 {
		p.write(w, c.requestID)
	}
}

// requestID takes the client's id where it is harmless, so that logs of several systems can be joined.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); id != "" && requestIDPattern.MatchString(id) {
		return id
	}
	return rand.Text()[:16]
}

// contentPolicy: everything from ourselves, framed by nobody.
const contentPolicy = "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

func setSecurityHeaders(h http.Header, requestID string) {
	h["X-Request-Id"] = []string{requestID}
	h["X-Content-Type-Options"] = headerNosniff
	h["X-Frame-Options"] = headerDeny
	h["Referrer-Policy"] = headerNoReferrer
	h["Content-Security-Policy"] = headerPolicy
	h["Cross-Origin-Opener-Policy"] = headerSameOrigin
	h["Cross-Origin-Resource-Policy"] = headerSameOrigin
}

var (
	headerNosniff    = []string{"nosniff"}
	headerDeny       = []string{"DENY"}
	headerNoReferrer = []string{"no-referrer"}
	headerPolicy     = []string{contentPolicy}
	headerSameOrigin = []string{"same-origin"}
)

// page is the form of every list.
type page struct {
	Records    any     `json:"records"`
	NextCursor *string `json:"next_cursor"`
}

// writeJSON sends a body. An error is returned only before anything was sent.
func writeJSON(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	sendJSON(w, status, raw)
	return nil
}

func sendJSON(w http.ResponseWriter, status int, raw []byte) {
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["Content-Length"] = []string{strconv.Itoa(len(raw))}
	w.WriteHeader(status)
	_, _ = w.Write(raw)
}

// connKey is the context key of a request's network connection.
type connKey struct{}

func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

func connOf(r *http.Request) net.Conn {
	conn, _ := r.Context().Value(connKey{}).(net.Conn)
	return conn
}
