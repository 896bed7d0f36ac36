package controlapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
)

// settings are the options with all that follows from them. They are immutable; a reload replaces them as a whole.
type settings struct {
	Options
	services    map[string]*service
	order       []*service
	routes      []route
	table       rbac.Table
	crossOrigin *http.CrossOriginProtection
	router      *mux.Router
}

// conf returns the settings in force. What must hold together is read from one return value.
func (a *API) conf() *settings { return a.settings.Load() }

// settle checks options and makes settings of them. Services that were there before keep their place in memory.
func (a *API) settle(o Options, before *settings) (*settings, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &settings{Options: o, services: map[string]*service{}, routes: routes(), crossOrigin: http.NewCrossOriginProtection()}
	for _, info := range o.Services {
		one := &service{ServiceInfo: info}
		if before != nil && before.services[info.ID] != nil && before.services[info.ID].ServiceInfo == info {
			one = before.services[info.ID]
		}
		s.services[info.ID] = one
		s.order = append(s.order, one)
	}
	var err error
	if s.table, err = rbac.New(o.Permissions); err != nil {
		return nil, err
	}
	for _, origin := range o.AllowedOrigins {
		if err := s.crossOrigin.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed_origins: %w", err)
		}
	}
	if own := "/ws/services/" + o.Services[0].ID + "/status"; o.Websocket.Endpoint != own {
		s.routes = append(s.routes, route{
			method: http.MethodGet, path: o.Websocket.Endpoint, permission: rbac.Live, act: "follow events", audit: "live", event: eventAccess,
			stream: true, handler: func(a *API, w http.ResponseWriter, c *call) error {
				c.service = a.conf().order[0]
				return getLive(a, w, c)
			},
		})
	}
	for i := range s.routes {
		if s.routes[i].permission == "" {
			return nil, fmt.Errorf("route %s %s has no permission", s.routes[i].method, s.routes[i].path)
		}
	}
	s.router = a.newRouter(s.routes)
	return s, nil
}

// accounts are the options of identity.
func (s *settings) accounts() authn.Options {
	return authn.Options{
		Users: s.Users, ServiceAccounts: s.ServiceAccounts, JWT: s.JWT, OIDC: s.OIDC, Sessions: s.Sessions, SessionIdle: s.SessionIdle, SessionMax: s.SessionMax,
	}
}

// streams are the options of the event stream that a reload changes.
func (s *settings) streams() live.Limits {
	return live.Limits{
		MaxClients: s.Websocket.MaxClients, MaxPerUser: s.Websocket.MaxPerUser, MaxPerAddress: s.Websocket.MaxPerAddress,
		OriginPatterns: s.AllowedOrigins, Mute: muted(s.Options),
	}
}

// muted lists the event types that the configuration switches off.
func muted(o Options) map[remediator.EventType]bool {
	return map[remediator.EventType]bool{
		remediator.EventServiceStatus: !o.Websocket.BroadcastStatusChanges,
		remediator.EventHealth:        !o.Websocket.BroadcastHealthChanges,
		remediator.EventService:       !o.Websocket.BroadcastOperations,
		remediator.EventAutoRecovery:  !o.Websocket.BroadcastAutoRecovery,
		remediator.EventAlert:         !o.Websocket.BroadcastAlerts,
		remediator.EventIncident:      !o.Websocket.BroadcastAutoRecovery,
		remediator.EventDegradation:   !o.Degraded.BroadcastStatus,
	}
}

// Reload takes over new options while the API serves. Bad options change nothing. Sessions, revoked tokens, failed logins, rate
// windows, confirmations, remembered answers of operations and open streams live on; streams follow a changed or removed account
// within seconds, and those of a removed service end. Listen, WebConfigFile, Panel, Sessions, Logger, ShutdownGrace, WatchEvery and
// FollowEvery stay what New was given; a nil Prober, Remediator, Auditor, Audits, Logs, Reload or Ready means the one before.
//
// An error after the options were found good comes from the session store: the new settings are in force, but sessions of removed
// users could not be deleted. They are refused anyway.
func (a *API) Reload(ctx context.Context, next Options) error {
	a.reloading.Lock()
	defer a.reloading.Unlock()
	before := a.conf()
	next.keep(before.Options)
	s, err := a.settle(next, before)
	if err != nil {
		return fmt.Errorf("control api: %w", err)
	}
	identity, err := a.auth.Prepare(s.accounts())
	if err != nil {
		return fmt.Errorf("control api: %w", err)
	}
	a.settings.Store(s)
	a.limits.set(s.RateLimits)
	a.confirmations.set(s.ConfirmationTTL)
	a.hub.Set(s.streams())
	for _, one := range s.order {
		one.invalidate()
	}
	err = a.auth.Take(ctx, identity)
	a.warnWithoutPassword()
	if err != nil {
		return fmt.Errorf("control api: %w", err)
	}
	return nil
}

// keep fills in what a reload does not replace, and what it may leave out.
func (o *Options) keep(before Options) {
	o.Listen, o.WebConfigFile, o.Panel, o.Sessions = before.Listen, before.WebConfigFile, before.Panel, before.Sessions
	o.Logger, o.ShutdownGrace, o.WatchEvery, o.FollowEvery = before.Logger, before.ShutdownGrace, before.WatchEvery, before.FollowEvery
	o.Prober, o.Remediator, o.Auditor = cmp.Or(o.Prober, before.Prober), cmp.Or(o.Remediator, before.Remediator), cmp.Or(o.Auditor, before.Auditor)
	o.Audits, o.Logs = cmp.Or(o.Audits, before.Audits), cmp.Or(o.Logs, before.Logs)
	if o.Reload == nil {
		o.Reload = before.Reload
	}
	if o.Ready == nil {
		o.Ready = before.Ready
	}
}
