package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// problem is an answer that is not a success: one body for all of them, the document's "detail", "error" and "message" together
// with RFC 9457's members. Everything in it is public, except cause.
type problem struct {
	status     int
	code       string // stable, for programs
	err        string // "error"; empty: the status text
	detail     string // "detail"
	message    string // "message"; empty: the detail
	retryAfter time.Duration
	extra      map[string]any
	cause      error // for the log
}

// Error implements error.
func (p *problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.code, p.cause)
	}
	return p.code + ": " + p.detail
}

// Unwrap returns the private cause.
func (p *problem) Unwrap() error { return p.cause }

func newProblem(status int, code, detail string) *problem {
	return &problem{status: status, code: code, detail: detail}
}

func badRequest(format string, args ...any) *problem {
	return newProblem(http.StatusBadRequest, "bad_request", fmt.Sprintf(format, args...))
}

// body returns the JSON members.
func (p *problem) body(requestID string, now time.Time) map[string]any {
	title := http.StatusText(p.status)
	b := map[string]any{
		"type": "about:blank", "title": title, "status": p.status, "detail": p.detail, "error": p.err, "message": p.message,
		"code": p.code, "request_id": requestID, "timestamp": stamp(now),
	}
	if p.err == "" {
		b["error"] = title
	}
	if p.message == "" {
		b["message"] = p.detail
	}
	if p.retryAfter > 0 {
		b["retry_after_seconds"] = ceilSeconds(p.retryAfter)
	}
	maps.Copy(b, p.extra)
	return b
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter, requestID string) {
	h := w.Header()
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(ceilSeconds(p.retryAfter)))
	}
	if p.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="redis-medic"`)
	}
	raw, _ := json.Marshal(p.body(requestID, time.Now())) // maps of strings and numbers only
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(raw)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.status)
	_, _ = w.Write(raw)
}

func ceilSeconds(d time.Duration) int { return max(1, int(math.Ceil(d.Seconds()))) }

// problemOf maps every kind of error to a status and a public text. What it does not know becomes a 500 that says nothing.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	if p = operationProblem(err); p == nil {
		p = oidcProblem(err)
	}
	if p == nil {
		p = requestProblem(err)
	}
	p.cause = err
	return p
}

// operationProblem maps the refusals of the remediator and of the way to the host; nil for others.
func operationProblem(err error) *problem {
	var (
		busy        *remediator.BusyError
		unavailable *remediator.UnavailableError
		open        *remediator.BreakerOpenError
		rate        *remediator.RateError
		hostErr     *host.Error
	)
	switch {
	case errors.As(err, &busy):
		p := newProblem(http.StatusConflict, "busy", fmt.Sprintf("%s is running a %s on this service since %s",
			busy.Busy.By, busy.Busy.Operation, stamp(busy.Busy.Since)))
		p.err = "Another operation is in progress"
		p.extra = map[string]any{"busy": newBusyBody(busy.Busy)}
		return p
	case errors.As(err, &unavailable):
		p := newProblem(http.StatusServiceUnavailable, "host_"+string(unavailable.Class), unavailable.Public)
		p.retryAfter = 10 * time.Second
		return p
	case errors.As(err, &open):
		p := newProblem(http.StatusServiceUnavailable, "circuit_breaker_open", "Service operations blocked by circuit breaker")
		p.retryAfter = open.RetryAfter
		return p
	case errors.As(err, &rate):
		p := newProblem(http.StatusTooManyRequests, "unit_rate", "This service was acted on too often just now")
		p.retryAfter = rate.RetryAfter
		return p
	case errors.As(err, &hostErr):
		p := newProblem(http.StatusServiceUnavailable, "host_"+string(hostErr.Class), hostErr.Public)
		p.retryAfter = 10 * time.Second
		return p
	case errors.Is(err, remediator.ErrUnknownService):
		return newProblem(http.StatusNotFound, "unknown_service", "No such service")
	case errors.Is(err, remediator.ErrUnknownIncident), errors.Is(err, store.ErrNotFound):
		return newProblem(http.StatusNotFound, "not_found", "No such record")
	case errors.Is(err, remediator.ErrNotAllowed):
		return newProblem(http.StatusForbidden, "operation_not_allowed", "The configuration does not allow this operation on this service")
	case errors.Is(err, remediator.ErrPast):
		return badRequest("The end must be in the future")
	case errors.Is(err, store.ErrBadCursor):
		return badRequest("cursor is not one of ours")
	case errors.Is(err, remediator.ErrAudit):
		return auditProblem(err)
	case errors.Is(err, store.ErrFull):
		p := newProblem(http.StatusServiceUnavailable, "no_space", "The disk for durable state is full, so nothing was done. It goes on by itself once there is room.")
		p.retryAfter = 10 * time.Second
		return p
	}
	return nil
}

// requestProblem maps errors of identity, limits and time.
func requestProblem(err error) *problem {
	var (
		backoff *authn.BackoffError
		tooBig  *http.MaxBytesError
	)
	switch {
	case errors.As(err, &backoff):
		p := newProblem(http.StatusTooManyRequests, "login_backoff", "Too many failed logins. Wait before the next attempt.")
		p.retryAfter = backoff.RetryAfter
		return p
	case errors.Is(err, authn.ErrHashingBusy), errors.Is(err, live.ErrTooMany), errors.Is(err, authn.ErrTooManyTickets):
		p := newProblem(http.StatusTooManyRequests, "too_many", "Too many at once. Try again soon.")
		p.retryAfter = 2 * time.Second
		return p
	case errors.Is(err, authn.ErrBadLogin):
		return newProblem(http.StatusUnauthorized, "bad_login", "User or password is wrong")
	case errors.Is(err, authn.ErrExpired):
		return newProblem(http.StatusUnauthorized, "expired", "The credentials have expired")
	case errors.Is(err, authn.ErrInvalidToken):
		return newProblem(http.StatusUnauthorized, "invalid_credentials", "The credentials are not valid")
	case errors.Is(err, authn.ErrNoCredentials):
		return newProblem(http.StatusUnauthorized, "unauthenticated", "Sign in, or send a bearer token")
	case errors.Is(err, authn.ErrCannotSign):
		return newProblem(http.StatusNotImplemented, "cannot_sign", "This server does not issue tokens for this account")
	case errors.Is(err, live.ErrClosed):
		p := newProblem(http.StatusServiceUnavailable, "shutting_down", "The server is shutting down")
		p.retryAfter = 5 * time.Second
		return p
	case errors.As(err, &tooBig):
		return newProblem(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("The body is larger than %d bytes", tooBig.Limit))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		p := newProblem(http.StatusServiceUnavailable, "timeout", "The answer took too long")
		p.retryAfter = 2 * time.Second
		return p
	}
	return newProblem(http.StatusInternalServerError, "internal", "An internal error occurred. The log has it under this request id.")
}

func auditProblem(cause error) *problem {
	p := newProblem(http.StatusServiceUnavailable, "audit_unavailable", "The audit log cannot be written, so nothing was done")
	p.retryAfter = 10 * time.Second
	p.cause = cause
	return p
}

// stamp formats a time as every body does: RFC 3339 in UTC, to the millisecond.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano) }

// stampOrNil is null for the zero time.
func stampOrNil(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := stamp(t)
	return &s
}

// round keeps some decimals.
func round(x float64, decimals int) float64 {
	f := math.Pow10(decimals)
	return math.Round(x*f) / f
}
