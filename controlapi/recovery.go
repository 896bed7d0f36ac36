package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/breaker"
)

// autoRecoveryBody is everything that is known of automatic recovery of a service. Null means never or none.
type autoRecoveryBody struct {
	Service            string               `json:"service"`
	Enabled            bool                 `json:"enabled"`
	Desired            desiredBody          `json:"desired"`
	Holds              []holdBody           `json:"holds"`
	Breaker            breakerBody          `json:"breaker"`
	ManualIntervention bool                 `json:"manual_intervention"`
	ManualReason       string               `json:"manual_reason"`
	RecentRecoveries   int                  `json:"recent_recoveries"`
	LastRecovery       *string              `json:"last_recovery"`
	RecoveryStatus     string               `json:"recovery_status"`
	Busy               *busyBody            `json:"busy"`
	Incident           *remediator.Incident `json:"incident"`
	DegradedSince      *string              `json:"degraded_since"`

	Explanation *remediator.Explanation `json:"explanation,omitempty"` // only where it was asked for
}

type desiredBody struct {
	Running bool    `json:"running"`
	By      string  `json:"by"`
	Since   *string `json:"since"`
	Reason  string  `json:"reason"`
}

type holdBody struct {
	Code  string  `json:"code"`
	Text  string  `json:"text"`
	By    string  `json:"by"`
	Since *string `json:"since"`
	Until *string `json:"until"`
}

type breakerBody struct {
	Phase    string  `json:"phase"` // closed, open, half-open
	Failures int     `json:"failures"`
	OpenedAt *string `json:"opened_at"`
}

type busyBody struct {
	By        string `json:"by"`
	Operation string `json:"operation"`
	Since     string `json:"since"`
}

func newBusyBody(b remediator.Busy) *busyBody {
	return &busyBody{By: b.By, Operation: b.Operation, Since: stamp(b.Since)}
}

func newAutoRecoveryBody(s remediator.State, evidence bool) autoRecoveryBody {
	b := autoRecoveryBody{
		Service: s.Service, Enabled: s.AutoRecoveryEnabled,
		Desired: desiredBody{Running: s.Desired.Running, By: s.Desired.By, Since: stampOrNil(s.Desired.Since), Reason: s.Desired.Reason},
		Holds:   []holdBody{},
		Breaker: breakerBody{Phase: string(s.Breaker.Phase), Failures: s.Breaker.Failures, OpenedAt: stampOrNil(s.Breaker.OpenedAt)},

		ManualIntervention: s.ManualIntervention, ManualReason: s.ManualReason, RecentRecoveries: s.RecentRecoveries,
		LastRecovery: stampOrNil(s.LastRecovery), RecoveryStatus: s.RecoveryStatus, DegradedSince: stampOrNil(s.DegradedSince),
	}
	if b.Breaker.Phase == "" {
		b.Breaker.Phase = string(breaker.Closed)
	}
	for _, h := range s.Holds {
		b.Holds = append(b.Holds, newHoldBody(h))
	}
	if s.Busy != nil {
		b.Busy = newBusyBody(*s.Busy)
	}
	if s.Incident != nil {
		b.Incident = new(live.Incident(*s.Incident, evidence))
	}
	return b
}

func newHoldBody(h remediator.Hold) holdBody {
	return holdBody{Code: string(h.Code), Text: h.Text, By: h.By, Since: stampOrNil(h.Since), Until: stampOrNil(h.Until)}
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (a *API) seesEvidence(c *call) bool { return a.conf().table.Allow(c.role(), rbac.Logs) }

func getAutoRecovery(a *API, w http.ResponseWriter, c *call) error {
	state, ok := a.conf().Remediator.State(c.service.ID)
	if !ok {
		return remediator.ErrUnknownService
	}
	state.Service = c.service.ID
	body := newAutoRecoveryBody(state, a.seesEvidence(c))
	switch c.r.URL.Query().Get("explain") {
	case "", "false":
	case "true":
		e, err := a.conf().Remediator.Explain(c.r.Context(), c.service.ID)
		if err != nil {
			return err
		}
		body.Explanation = &e
	default:
		return badRequest("explain is true or false")
	}
	return writeJSON(w, http.StatusOK, body)
}

// set runs a change of a service's settings. The remediator records it together with the change, or does neither; a refusal is
// recorded here.
func (a *API) set(c *call, timeout time.Duration, change func(context.Context, remediator.Actor) error) error {
	c.validated = true
	ctx, cancel := c.detached(timeout)
	defer cancel()
	if err := change(ctx, c.actor()); err != nil {
		return err
	}
	c.service.invalidate()
	return nil
}

func putAutoRecovery(a *API, w http.ResponseWriter, c *call) error {
	var body struct {
		Enabled *bool  `json:"enabled"`
		Reason  string `json:"reason"`
	}
	if err := c.decode(w, &body); err != nil {
		return err
	}
	if body.Enabled == nil {
		return badRequest("enabled is required")
	}
	err := a.set(c, auditTimeout, func(ctx context.Context, actor remediator.Actor) error {
		return a.conf().Remediator.SetAutoRecovery(ctx, c.service.ID, actor, *body.Enabled, plain(body.Reason, maxReason))
	})
	if err != nil {
		return err
	}
	return getAutoRecovery(a, w, c)
}

func postAutoRecoveryReset(a *API, w http.ResponseWriter, c *call) error {
	var body struct {
		Reason string `json:"reason"`
	}
	if err := c.decode(w, &body); err != nil {
		return err
	}
	err := a.set(c, auditTimeout, func(ctx context.Context, actor remediator.Actor) error {
		return a.conf().Remediator.ResetAutoRecovery(ctx, c.service.ID, actor, plain(body.Reason, maxReason))
	})
	if err != nil {
		return err
	}
	return getAutoRecovery(a, w, c)
}

// The bounds of a maintenance hold: one that is forgotten must end by itself.
const (
	defaultMaintenance = time.Hour
	maxMaintenance     = 7 * 24 * time.Hour
)

func postMaintenance(a *API, w http.ResponseWriter, c *call) error {
	var body struct {
		Until           *time.Time `json:"until"`
		DurationSeconds *int       `json:"duration_seconds"`
		Reason          string     `json:"reason"`
	}
	if err := c.decode(w, &body); err != nil {
		return err
	}
	now := time.Now()
	until := now.Add(defaultMaintenance)
	switch {
	case body.Until != nil && body.DurationSeconds != nil:
		return badRequest("give until or duration_seconds, not both")
	case body.Until != nil:
		until = *body.Until
	case body.DurationSeconds != nil:
		until = now.Add(time.Duration(min(*body.DurationSeconds, int(2*maxMaintenance/time.Second))) * time.Second)
	}
	if !until.After(now) || until.After(now.Add(maxMaintenance)) {
		return badRequest("a maintenance hold ends in the future, within 7 days")
	}
	var hold remediator.Hold
	err := a.set(c, maintenanceTimeout, func(ctx context.Context, actor remediator.Actor) (err error) {
		hold, err = a.conf().Remediator.AddMaintenance(ctx, c.service.ID, actor, until.UTC(), plain(body.Reason, maxReason))
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, newHoldBody(hold))
}

// maintenanceTimeout covers the call to Alertmanager.
const maintenanceTimeout = 15 * time.Second

func deleteMaintenance(a *API, w http.ResponseWriter, c *call) error {
	err := a.set(c, maintenanceTimeout, func(ctx context.Context, actor remediator.Actor) error {
		return a.conf().Remediator.EndMaintenance(ctx, c.service.ID, actor)
	})
	if err != nil {
		return err
	}
	return getAutoRecovery(a, w, c)
}

// degradationBody tells dependants what to do without Redis (document section 8.4).
type degradationBody struct {
	Service         string            `json:"service"`
	Degraded        bool              `json:"degraded"`
	Since           *string           `json:"since"`
	DurationSeconds *float64          `json:"duration_seconds"`
	Fallbacks       map[string]string `json:"fallbacks"`
	ShowBanner      bool              `json:"show_banner"`
	Message         string            `json:"message"`
}

// The two states of each fallback: what a dependant does without and with Redis.
const (
	fallbackSessions  = "memory"
	fallbackCache     = "bypass"
	fallbackRealTime  = "queue"
	fallbackKnowledge = "local"
	fallbackNone      = "redis"
)

func (a *API) degraded(s remediator.State) bool {
	return a.conf().Degraded.Enabled && !s.DegradedSince.IsZero()
}

func (a *API) newDegradationBody(id string, s remediator.State, now time.Time) degradationBody {
	b := degradationBody{
		Service: id, Message: "Redis is available",
		Fallbacks: map[string]string{
			"sessions": fallbackNone, "cache": fallbackNone, "real_time": fallbackNone, "knowledge_base": fallbackNone,
		},
	}
	if !a.degraded(s) {
		return b
	}
	b.Degraded, b.ShowBanner = true, a.conf().Degraded.ShowBanner
	b.Since = stampOrNil(s.DegradedSince)
	b.DurationSeconds = new(round(max(0, now.Sub(s.DegradedSince).Seconds()), 1))
	b.Message = "Limited functionality: Redis is unavailable"
	b.Fallbacks["real_time"], b.Fallbacks["knowledge_base"] = fallbackRealTime, fallbackKnowledge
	if a.conf().Degraded.MemorySessions {
		b.Fallbacks["sessions"] = fallbackSessions
	}
	if a.conf().Degraded.FallbackCache {
		b.Fallbacks["cache"] = fallbackCache
	}
	return b
}

func getDegradation(a *API, w http.ResponseWriter, c *call) error {
	state, _ := a.conf().Remediator.State(c.service.ID)
	return writeJSON(w, http.StatusOK, a.newDegradationBody(c.service.ID, state, time.Now()))
}

func getIncidents(a *API, w http.ResponseWriter, c *call) error {
	q := c.r.URL.Query()
	limit, err := intParam(q.Get("limit"), 50, 1, 200, "limit")
	if err != nil {
		return err
	}
	incidents, next, err := a.conf().Remediator.Incidents(c.r.Context(), c.service.ID, q.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := make([]remediator.Incident, 0, len(incidents))
	for _, in := range incidents {
		out = append(out, live.Incident(in, a.seesEvidence(c)))
	}
	return writeJSON(w, http.StatusOK, page{Records: out, NextCursor: textOrNil(next)})
}

func getIncident(a *API, w http.ResponseWriter, c *call) error {
	in, err := a.conf().Remediator.Incident(c.r.Context(), mux.Vars(c.r)["incident"])
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, live.Incident(in, a.seesEvidence(c)))
}

// getEvidence sends an incident with all that was seen, as a file.
func getEvidence(a *API, w http.ResponseWriter, c *call) error {
	in, err := a.conf().Remediator.Incident(c.r.Context(), mux.Vars(c.r)["incident"])
	if err != nil {
		return err
	}
	c.validated = true
	if err := a.granted(c, map[string]string{"incident": in.ID}); err != nil {
		return err
	}
	bundle, err := a.conf().Remediator.Evidence(c.r.Context(), in.ID)
	if err != nil && !errors.Is(err, remediator.ErrUnknownIncident) {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="incident-evidence.json"`)
	return writeJSON(w, http.StatusOK, evidenceBody{Incident: live.Incident(in, true), Bundle: bundle})
}

// evidenceBody is an incident and what was read on the host before its first act; the bundle is null where there was no act.
type evidenceBody struct {
	Incident any             `json:"incident"`
	Bundle   json.RawMessage `json:"bundle"`
}

// intParam reads a number from a query.
func intParam(text string, fallback, lowest, highest int, name string) (int, error) {
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < lowest || n > highest {
		return 0, badRequest("%s must be a number from %d to %d", name, lowest, highest)
	}
	return n, nil
}
