package controlapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gorilla/mux"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
)

const (
	maxBodyBytes = 64 << 10
	maxReason    = 500 // characters of a person's free text
)

// call is one request on its way through the API.
type call struct {
	r         *http.Request
	route     *route
	service   *service // nil where the path names none
	who       authn.Principal
	requestID string
	sourceIP  string
	began     time.Time

	audited   bool // this attempt has its record
	validated bool // the request was well formed and named a known act
}

func (c *call) role() rbac.Role { return rbac.Role(c.who.Role) }

func (c *call) actor() remediator.Actor {
	return remediator.Actor{
		ID: c.who.ID, Email: c.who.Email, Role: c.who.Role, Auth: string(c.who.Method), SourceIP: c.sourceIP, RequestID: c.requestID,
	}
}

// serviceID is the service that the path names, whether it exists or not.
func (c *call) serviceID() string {
	if c.service != nil {
		return c.service.ID
	}
	return plain(mux.Vars(c.r)["id"], 64)
}

// detached outlives the request: what has to be recorded or finished is not cut by a closed browser tab.
func (c *call) detached(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.r.Context()), timeout)
}

// decode reads a JSON body strictly into v: an empty body and {} leave it alone, unknown members, trailing data and other media
// types are refused.
func (c *call) decode(w http.ResponseWriter, v any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(w, c.r.Body, maxBodyBytes))
	if err != nil {
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return err
		}
		p := badRequest("The body could not be read")
		p.cause = err
		return p
	}
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 {
		return nil
	}
	if t := c.r.Header.Get("Content-Type"); t != "" {
		if media, _, err := mime.ParseMediaType(t); err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
			return newProblem(http.StatusUnsupportedMediaType, "media_type", "The body must be application/json")
		}
	}
	if raw[0] != '{' {
		return badRequest("The body must be a JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return badRequest("The body is not valid: %s", publicJSONError(err))
	}
	if dec.More() {
		return badRequest("The body is not valid: more than one JSON value")
	}
	return nil
}

// publicJSONError names the fault without repeating values, which may be secrets.
func publicJSONError(err error) string {
	var (
		syntax *json.SyntaxError
		kind   *json.UnmarshalTypeError
	)
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF):
		return "malformed JSON"
	case errors.As(err, &kind):
		return "member " + plain(kind.Field, 64) + " must be a " + kind.Type.String()
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return "unknown member " + plain(strings.TrimPrefix(err.Error(), "json: unknown field "), 64)
	}
	return "malformed JSON"
}

// plain makes a string from outside fit for a log: no control or formatting characters, at most limit characters.
func plain(s string, limit int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == limit {
			break
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar {
			r = ' '
		}
		b.WriteRune(r)
		n++
	}
	return strings.TrimSpace(b.String())
}

// addressOf returns the client's address. X-Forwarded-For is believed only from trusted proxies, and of it the last address that
// is not a proxy itself: the ones before were written by the client.
func addressOf(r *http.Request, trusted []netip.Prefix) string {
	hostPart, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		hostPart = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(hostPart)
	if err != nil {
		return plain(hostPart, 64)
	}
	ip = ip.Unmap()
	if !isTrusted(ip, trusted) {
		return ip.String()
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(hops) {
		hop, err := netip.ParseAddr(strings.TrimSpace(text))
		if err != nil {
			break
		}
		ip = hop.Unmap()
		if !isTrusted(ip, trusted) {
			break
		}
	}
	return ip.WithZone("").String()
}

func isTrusted(ip netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// secure reports whether the client speaks TLS, to us or to a trusted proxy.
func (a *API) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(a.conf().TrustedProxies) == 0 || r.Header.Get("X-Forwarded-Proto") != "https" {
		return false
	}
	hostPart, _, _ := net.SplitHostPort(r.RemoteAddr)
	ip, err := netip.ParseAddr(hostPart)
	return err == nil && isTrusted(ip.Unmap(), a.conf().TrustedProxies)
}

// record starts an audit record of this call.
func (c *call) record(phase audit.Phase) audit.Record {
	return audit.Record{
		EventType: c.route.eventType(), Service: c.serviceID(), Operation: c.route.operation(), SourceIP: c.sourceIP, Phase: phase,
		RequestID: c.requestID,
		User:      audit.User{ID: c.who.ID, Email: c.who.Email, Role: c.who.Role, Auth: string(c.who.Method)},
		Result:    audit.Result{Duration: round(time.Since(c.began).Seconds(), 3)},
		Security:  audit.Security{CommandValidated: c.validated, RiskLevel: c.route.riskLevel()},
	}
}

// auditTimeout bounds the wait for a durable record.
const auditTimeout = 5 * time.Second

// append makes a record durable. The error is a 503: what cannot be recorded is not done.
func (a *API) append(c *call, rec audit.Record) error {
	ctx, cancel := c.detached(auditTimeout)
	defer cancel()
	if _, err := a.conf().Auditor.Append(ctx, rec); err != nil {
		a.metrics.audits.Inc()
		return auditProblem(err)
	}
	c.audited = true
	return nil
}

// granted records that an access was allowed, before it happens.
func (a *API) granted(c *call, details map[string]string) error {
	rec := c.record(audit.PhaseOutcome)
	rec.Result.Success, rec.Result.Status, rec.Details = true, http.StatusOK, details
	return a.append(c, rec)
}

// denied records an attempt that was refused. Nothing was done, so a failure to record is logged and counted, no more.
func (a *API) denied(c *call, p *problem) {
	rec := c.record(audit.PhaseDenied)
	rec.Result.Status, rec.Result.Error = p.status, p.code
	if err := a.append(c, rec); err != nil {
		a.log.Error().Err(err).Str("request_id", c.requestID).Msg("refused request could not be audited")
	}
}
