package controlapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
)

// autoRecoveryBody is everything that is known of automatic recovery of a service. Null means never or none.
type autoRecoveryBody struct {
	Service                    string               `json:"service"`
	Enabled                    bool                 `json:"enabled"`
	Desired                    desiredBody          `json:"desired"`
	Holds                      []holdBody           `json:"holds"`
	CircuitBreaker             breakerBody          `json:"circuit_breaker"`
	RequiresManualIntervention bool                 `json:"requires_manual_intervention"`
	ManualReason               *string              `json:"manual_reason"`
	RecentRecoveries           int                  `json:"recent_recoveries"`
	LastRecovery               *string              `json:"last_recovery"`
	RecoveryStatus             *string              `json:"recovery_status"`
	Busy                       *busyBody            `json:"busy"`
	Incident                   *remediator.Incident `json:"incident"`
}

type desiredBody struct {
	Status string  `json:"status"` // running, stopped
	By     string  `json:"by"`
	Since  *string `json:"since"`
	Reason string  `json:"reason"`
}

type holdBody struct {
	Code  string  `json:"code"`
	Text  string  `json:"text"`
	By    string  `json:"by"`
	Since *string `json:"since"`
	Until *string `json:"until"`
}

type breakerBody struct {
	State    string  `json:"state"`
	Failures int     `json:"failures"`
	OpenedAt *string `json:"opened_at"`
}

type busyBody struct {
	By        string `json:"by"`
	Operation string `json:"operation"`
	Since     string `json:"since"`
}

func newAutoRecoveryBody(s remediator.State, evidence bool) autoRecoveryBody {
	b := autoRecoveryBody{
		Service: s.Service, Enabled: s.AutoRecoveryEnabled,
		Desired: desiredBody{Status: statusStopped, By: s.Desired.By, Since: stampOrNil(s.Desired.Since), Reason: s.Desired.Reason},
		Holds:   []holdBody{},
		CircuitBreaker: breakerBody{
			State: string(s.Breaker.Phase), Failures: s.Breaker.Failures, OpenedAt: stampOrNil(s.Breaker.OpenedAt),
		},
		RequiresManualIntervention: s.ManualIntervention, ManualReason: textOrNil(s.ManualReason),
		RecentRecoveries: s.RecentRecoveries, LastRecovery: stampOrNil(s.LastRecovery), RecoveryStatus: textOrNil(s.RecoveryStatus),
	}
	if s.Desired.Running {
		b.Desired.Status = statusRunning
	}
	if b.CircuitBreaker.State == "" {
		b.CircuitBreaker.State = string(breaker.Closed)
	}
	for _, h := range s.Holds {
		b.Holds = append(b.Holds, newHoldBody(h))
	}
	if s.Busy != nil {
		b.Busy = &busyBody{By: s.Busy.By, Operation: s.Busy.Operation, Since: stamp(s.Busy.Since)}
	}
	if s.Incident != nil {
		b.Incident = ptr(incidentFor(*s.Incident, evidence))
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

// incidentFor leaves the evidence out for those who may not see logs, and puts all times in UTC.
func incidentFor(in remediator.Incident, evidence bool) remediator.Incident {
	if !evidence {
		in = live.WithoutEvidence(in)
	}
	if in.Steps == nil {
		in.Steps = []remediator.Step{}
	}
	return in
}

func (a *API) seesEvidence(c *call) bool { return a.permissions.Load().Allow(c.role(), rbac.Logs) }

func getAutoRecovery(a *API, w http.ResponseWriter, c *call) error {
	state, ok := a.opts.Remediator.State(c.service.ID)
	if !ok {
		return remediator.ErrUnknownService
	}
	state.Service = c.service.ID
	return writeJSON(w, http.StatusOK, newAutoRecoveryBody(state, a.seesEvidence(c)))
}

// configure runs a change of settings between its intent and its outcome in the audit log.
func (a *API) configure(c *call, reason string, details map[string]string, change func(remediator.Actor, string) error) error {
	c.validated = true
	reason = plain(reason, maxReason)
	intent := c.record(audit.PhaseIntent)
	intent.Reason, intent.Details = reason, details
	if err := a.append(c, intent); err != nil {
		return err
	}
	err := change(c.actor(), reason)
	outcome := c.record(audit.PhaseOutcome)
	outcome.Reason, outcome.Details = reason, details
	outcome.Result.Success, outcome.Result.Status = err == nil, http.StatusOK
	if err != nil {
		p := problemOf(err)
		outcome.Result.Status, outcome.Result.Error = p.status, p.code
	}
	if auditErr := a.append(c, outcome); auditErr != nil {
		// The intent is recorded and the change is made: the answer must not say otherwise.
		a.log.Error().Err(auditErr).Str("request_id", c.requestID).Msg("outcome could not be audited")
	}
	if c.service != nil {
		c.service.invalidate()
	}
	return err
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
	details := map[string]string{"enabled": strconv.FormatBool(*body.Enabled)}
	err := a.configure(c, body.Reason, details, func(actor remediator.Actor, reason string) error {
		ctx, cancel := c.detached(auditTimeout)
		defer cancel()
		return a.opts.Remediator.SetAutoRecovery(ctx, c.service.ID, actor, *body.Enabled, reason)
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
	err := a.configure(c, body.Reason, nil, func(actor remediator.Actor, reason string) error {
		ctx, cancel := c.detached(auditTimeout)
		defer cancel()
		return a.opts.Remediator.ResetAutoRecovery(ctx, c.service.ID, actor, reason)
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
	err := a.configure(c, body.Reason, map[string]string{"until": stamp(until)}, func(actor remediator.Actor, reason string) error {
		ctx, cancel := c.detached(maintenanceTimeout)
		defer cancel()
		var err error
		hold, err = a.opts.Remediator.AddMaintenance(ctx, c.service.ID, actor, until, reason)
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
	err := a.configure(c, c.r.URL.Query().Get("reason"), nil, func(actor remediator.Actor, _ string) error {
		ctx, cancel := c.detached(maintenanceTimeout)
		defer cancel()
		return a.opts.Remediator.EndMaintenance(ctx, c.service.ID, actor)
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
	return a.opts.Degraded.Enabled && !s.DegradedSince.IsZero()
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
	b.Degraded, b.ShowBanner = true, a.opts.Degraded.ShowBanner
	b.Since = stampOrNil(s.DegradedSince)
	b.DurationSeconds = ptr(round(max(0, now.Sub(s.DegradedSince).Seconds()), 1))
	b.Message = "Limited functionality: Redis is unavailable"
	b.Fallbacks["real_time"], b.Fallbacks["knowledge_base"] = fallbackRealTime, fallbackKnowledge
	if a.opts.Degraded.MemorySessions {
		b.Fallbacks["sessions"] = fallbackSessions
	}
	if a.opts.Degraded.FallbackCache {
		b.Fallbacks["cache"] = fallbackCache
	}
	return b
}

func getDegradation(a *API, w http.ResponseWriter, c *call) error {
	state, _ := a.opts.Remediator.State(c.service.ID)
	return writeJSON(w, http.StatusOK, a.newDegradationBody(c.service.ID, state, time.Now()))
}

func getIncidents(a *API, w http.ResponseWriter, c *call) error {
	q := c.r.URL.Query()
	limit, err := intParam(q.Get("limit"), 50, 1, 200, "limit")
	if err != nil {
		return err
	}
	incidents, next, err := a.opts.Remediator.Incidents(c.r.Context(), c.service.ID, q.Get("cursor"), limit)
	if err != nil {
		return err
	}
	out := make([]remediator.Incident, 0, len(incidents))
	for _, in := range incidents {
		out = append(out, incidentFor(in, a.seesEvidence(c)))
	}
	return writeJSON(w, http.StatusOK, page{Records: out, NextCursor: textOrNil(next)})
}

func getIncident(a *API, w http.ResponseWriter, c *call) error {
	in, err := a.opts.Remediator.Incident(c.r.Context(), mux.Vars(c.r)["incident"])
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, incidentFor(in, a.seesEvidence(c)))
}

// getEvidence sends an incident with all that was seen, as a file.
func getEvidence(a *API, w http.ResponseWriter, c *call) error {
	in, err := a.opts.Remediator.Incident(c.r.Context(), mux.Vars(c.r)["incident"])
	if err != nil {
		return err
	}
	c.validated = true
	if err := a.granted(c, map[string]string{"incident": in.ID}); err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="incident-evidence.json"`)
	return writeJSON(w, http.StatusOK, incidentFor(in, true))
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
