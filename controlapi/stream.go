package controlapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
)

// ticketProtocol is how a ticket travels where the URL would be logged: as a second subprotocol, "ticket.<value>".
const ticketProtocol = "ticket."

// identifyStream reads the credentials that only the event stream takes: a ticket or a token in the URL. It reports whether the
// request had any.
func (a *API) identifyStream(c *call) (bool, error) {
	q := c.r.URL.Query()
	ticket := q.Get("ticket")
	for _, header := range c.r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(header, ",") {
			if t, ok := strings.CutPrefix(strings.TrimSpace(name), ticketProtocol); ok {
				ticket = t
			}
		}
	}
	var err error
	switch {
	case ticket != "":
		c.who, err = a.auth.RedeemTicket(c.r.Context(), ticket, c.sourceIP)
	case q.Get("token") != "":
		c.who, err = a.auth.Bearer(c.r.Context(), q.Get("token"))
	default:
		return false, nil
	}
	if err != nil {
		c.who = authn.Anonymous()
	}
	return true, err
}

func getLive(a *API, w http.ResponseWriter, c *call) error {
	if err := a.upgradable(w, c); err != nil {
		return err
	}
	sub := live.Subscription{
		Service: c.service.ID, User: c.who.ID, Address: c.sourceIP, Evidence: a.seesEvidence(c), Check: a.streamCheck(c), Conn: connOf(c.r),
	}
	if text := c.r.URL.Query().Get("after"); text != "" {
		after, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return badRequest("after must be the number of an event")
		}
		sub.Resume, sub.After = true, after
	}
	return a.hub.Serve(w, c.r, sub)
}

// upgradable refuses what is no WebSocket, or comes from another site's page.
func (a *API) upgradable(w http.ResponseWriter, c *call) error {
	if !a.conf().Websocket.Enabled {
		return newProblem(http.StatusNotFound, "websocket_disabled", "The event stream is switched off")
	}
	if !headerHas(c.r.Header, "Connection", "upgrade") || !headerHas(c.r.Header, "Upgrade", "websocket") {
		w.Header().Set("Upgrade", "websocket")
		return newProblem(http.StatusUpgradeRequired, "upgrade_required", "This is a WebSocket")
	}
	if !a.originAllowed(c.r) {
		return newProblem(http.StatusForbidden, "cross_origin", "Pages of other sites may not follow events")
	}
	return nil
}

func headerHas(h http.Header, name, token string) bool {
	for _, value := range h.Values(name) {
		for part := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// originAllowed compares a browser's Origin with our own host and the configured ones. Programs send none.
func (a *API) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || slices.ContainsFunc(a.conf().AllowedOrigins, func(o string) bool { return strings.EqualFold(o, origin) })
}

// streamCheck says whether the listener may still listen. A session store that does not answer is no reason to close.
func (a *API) streamCheck(c *call) func(context.Context) (websocket.StatusCode, string) {
	who, evidence, permission := c.who, a.seesEvidence(c), c.route.permission
	return func(ctx context.Context) (websocket.StatusCode, string) {
		if a.conf().services[c.service.ID] == nil {
			return live.StatusForbidden, "service removed"
		}
		if who.IsAnonymous() {
			if a.conf().table.Allow(rbac.Anonymous, permission) {
				return 0, ""
			}
			return live.StatusSignedOut, "sign in"
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		now, err := a.auth.Refresh(ctx, who)
		switch {
		case errors.Is(err, authn.ErrExpired):
			return live.StatusSignedOut, "expired"
		case errors.Is(err, authn.ErrInvalidToken):
			return live.StatusSignedOut, "signed out"
		case err != nil:
			return 0, ""
		}
		table := a.conf().table
		role := rbac.Role(now.Role)
		if now.Role != who.Role || !table.Allow(role, permission) || table.Allow(role, rbac.Logs) != evidence {
			return live.StatusForbidden, "role changed"
		}
		return 0, ""
	}
}

// snapshot is the present state of a service as events: what a client gets first.
func (a *API) snapshot(id string) []remediator.Event {
	s, known := a.conf().services[id]
	if !known {
		return nil
	}
	v, _ := a.conf().Prober.View(id)
	state, _ := a.conf().Remediator.State(id)
	now := time.Now()
	events := []remediator.Event{
		statusEvent(id, newStatusBody(s.ServiceInfo, v, now)),
		a.healthEvent(id, now),
		{Type: remediator.EventDegradation, Service: id, Timestamp: now, Degradation: a.newDegradationBody(id, state, now)},
	}
	if state.Incident != nil {
		events = append(events, remediator.Event{
			Type: remediator.EventIncident, Service: id, Timestamp: now, Status: string(state.Incident.Status), Incident: state.Incident,
		})
	}
	return events
}

func (a *API) healthEvent(id string, now time.Time) remediator.Event {
	b := a.healthOf(id)
	return remediator.Event{Type: remediator.EventHealth, Service: id, Status: b.OverallStatus, Timestamp: now, Health: b}
}

// watch compares what is known of every service with what was last sent, and publishes the differences. The remediator publishes
// its own acts; changes that nobody made are seen here.
func (a *API) watch(ctx context.Context) error {
	tick := time.NewTicker(a.conf().WatchEvery)
	defer tick.Stop()
	last := map[string]seen{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case id := <-a.changed:
			if s, known := a.conf().services[id]; known {
				last[id] = a.publishChange(s, last[id])
			}
		case <-tick.C:
			for _, s := range a.conf().order {
				last[s.ID] = a.publishChange(s, last[s.ID])
			}
		}
	}
}

// ObserveChange says that the prober sees something new of a service, which is then published at once; else it is within WatchEvery. It
// never blocks, and may be called at any time.
func (a *API) ObserveChange(service string) {
	select {
	case a.changed <- service:
	default: // very many at once: the next tick finds them
	}
}

// seen is what of a service was last published.
type seen struct {
	known   bool
	status  string
	pid     int
	health  string
	reasons string
}

func (a *API) publishChange(s *service, before seen) seen {
	v, known := a.conf().Prober.View(s.ID)
	if !known {
		return before
	}
	now := time.Now()
	b := newStatusBody(s.ServiceInfo, v, now)
	state := seen{known: true, status: b.Status, health: string(overall(v))}
	if b.PID != nil {
		state.pid = *b.PID
	}
	var codes strings.Builder
	for _, r := range v.Verdict.Reasons {
		codes.WriteString(string(r.Code) + ",")
	}
	state.reasons = codes.String()
	if state == before {
		return before
	}
	s.invalidate()
	if state.status != before.status || state.pid != before.pid {
		a.hub.Publish(statusEvent(s.ID, b))
	}
	if state.health != before.health || state.reasons != before.reasons {
		a.hub.Publish(a.healthEvent(s.ID, now))
	}
	return state
}
