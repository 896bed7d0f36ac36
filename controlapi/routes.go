package controlapi

import (
	"errors"
	"net/http"
	"strings"

	"github.com/gorilla/mux"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
)

// route is one line of the routes table. A route without a permission is a programming error that New refuses.
type route struct {
	method     string
	path       string
	permission rbac.Permission
	handler    func(*API, http.ResponseWriter, *call) error

	act   string // what a refusal says that one may not do
	audit string // operation in the audit log; empty: only attempts without a right are recorded
	event string // event_type in the audit log
	risk  string // risk_level in the audit log; empty: low
	limit string // rate limit; empty: none
	quiet bool   // logged at debug level only
	// stream: a WebSocket, which takes a ticket or a token in the URL too.
	stream bool
}

// records says whether a refusal is an attempt that has a record. Of routes that only show what is known, those are that were tried
// with wrong credentials or without a right; asking who one is without having signed in is how a page finds that out.
func (rt *route) records(status int, err error) bool {
	switch {
	case rt.audit != "":
		return true
	case rt.permission == rbac.SignedIn && errors.Is(err, authn.ErrNoCredentials):
		return false
	}
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// operation is the name of the act in the audit log.
func (rt *route) operation() string {
	if rt.audit == "" {
		return strings.ReplaceAll(rt.act, " ", "_")
	}
	return rt.audit
}

// eventType is the document's event_type of the act.
func (rt *route) eventType() string {
	if rt.event == "" {
		return eventAccess
	}
	return rt.event
}

func (rt *route) riskLevel() string {
	if rt.risk == "" {
		return "low"
	}
	return rt.risk
}

// The event types of audit records that the API writes.
const (
	eventOperation      = "service_operation"
	eventAuthentication = "authentication"
	eventConfiguration  = "configuration"
	eventAccess         = "access"
)

const servicePath = "/api/services/{id}"

// routes is the whole API. The most frequent come first, because the router tries them in order.
func routes() []route {
	return []route{
		{method: "GET", path: servicePath + "/status", permission: rbac.Status, handler: getStatus, act: "view the status", quiet: true},
		{method: "GET", path: servicePath + "/health", permission: rbac.Health, handler: getHealth, act: "view the health", quiet: true},
		{method: "GET", path: "/api/services", permission: rbac.Status, handler: getServices, act: "list services", quiet: true},

		{method: "POST", path: servicePath + "/start", permission: rbac.Start, handler: postStart, act: "start Redis service",
			audit: "start", event: eventOperation, risk: "moderate", limit: "start"},
		{method: "POST", path: servicePath + "/stop", permission: rbac.Stop, handler: postStop, act: "stop Redis service",
			audit: "stop", event: eventOperation, risk: "high", limit: "stop"},
		{method: "POST", path: servicePath + "/restart", permission: rbac.Restart, handler: postRestart, act: "restart Redis service",
			audit: "restart", event: eventOperation, risk: "moderate", limit: "restart"},
		{method: "POST", path: servicePath + "/reload", permission: rbac.Reload, handler: postReload, act: "reload Redis service",
			audit: "reload", event: eventOperation, risk: "moderate", limit: "reload"},

		{method: "GET", path: servicePath + "/auto-recovery", permission: rbac.AutoRecovery, handler: getAutoRecovery, act: "view auto-recovery", quiet: true},
		{method: "PUT", path: servicePath + "/auto-recovery", permission: rbac.Configure, handler: putAutoRecovery, act: "configure auto-recovery",
			audit: "auto_recovery_set", event: eventConfiguration, risk: "moderate"},
		{method: "POST", path: servicePath + "/auto-recovery/reset", permission: rbac.Configure, handler: postAutoRecoveryReset, act: "reset auto-recovery",
			audit: "auto_recovery_reset", event: eventConfiguration, risk: "moderate"},
		{method: "POST", path: servicePath + "/reset-circuit-breaker", permission: rbac.Configure, handler: postAutoRecoveryReset, act: "reset the circuit breaker",
			audit: "auto_recovery_reset", event: eventConfiguration, risk: "moderate"},
		{method: "POST", path: servicePath + "/maintenance", permission: rbac.Maintenance, handler: postMaintenance, act: "place a maintenance hold",
			audit: "maintenance_start", event: eventConfiguration, risk: "moderate"},
		{method: "DELETE", path: servicePath + "/maintenance", permission: rbac.Maintenance, handler: deleteMaintenance, act: "end a maintenance hold",
			audit: "maintenance_end", event: eventConfiguration},
		{method: "GET", path: servicePath + "/degradation", permission: rbac.Status, handler: getDegradation, act: "view the degradation", quiet: true},
		{method: "GET", path: servicePath + "/incidents", permission: rbac.Incidents, handler: getIncidents, act: "view incidents", quiet: true},
		{method: "GET", path: "/api/incidents/{incident}", permission: rbac.Incidents, handler: getIncident, act: "view incidents", quiet: true},
		{method: "GET", path: "/api/incidents/{incident}/evidence", permission: rbac.Logs, handler: getEvidence, act: "view evidence",
			audit: "evidence", event: eventAccess},
		{method: "GET", path: servicePath + "/logs", permission: rbac.Logs, handler: getLogs, act: "view Redis service logs",
			audit: "logs", event: eventAccess, limit: "logs"},
		{method: "GET", path: "/api/audit", permission: rbac.Audit, handler: getAudit, act: "read the audit log",
			audit: "audit.read", event: eventAccess},
		{method: "GET", path: "/api/audit/export", permission: rbac.Audit, handler: getAuditExport, act: "export the audit log",
			audit: "audit.export", event: eventAccess},

		{method: "GET", path: "/api/health/redis_service_management", permission: rbac.Health, handler: getSelfHealth, act: "view the health", quiet: true},

		{method: "POST", path: "/api/auth/login", permission: rbac.Public, handler: postLogin, act: "sign in", audit: "login", event: eventAuthentication},
		{method: "POST", path: "/api/auth/logout", permission: rbac.SignedIn, handler: postLogout, act: "sign out", audit: "logout", event: eventAuthentication},
		{method: "POST", path: "/api/auth/token", permission: rbac.Public, handler: postToken, act: "get a token", audit: "token", event: eventAuthentication},
		{method: "POST", path: "/api/auth/ws-ticket", permission: rbac.Live, handler: postTicket, act: "get a ticket", audit: "ws_ticket", event: eventAuthentication},
		{method: "GET", path: "/api/auth/providers", permission: rbac.Public, handler: getProviders, act: "ask how to sign in", quiet: true},
		{method: "GET", path: oidcLoginPath, permission: rbac.Public, handler: getOIDCLogin, act: "sign in"},
		{method: "GET", path: "/api/auth/oidc/callback", permission: rbac.Public, handler: getOIDCCallback, act: "sign in", audit: "login", event: eventAuthentication},
		{method: "GET", path: "/api/auth/me", permission: rbac.SignedIn, handler: getMe, act: "ask who one is", quiet: true},

		{method: "GET", path: "/ws/services/{id}/status", permission: rbac.Live, handler: getLive, act: "follow events", audit: "live", event: eventAccess,
			stream: true},
		{method: "GET", path: "/ws/services/{id}/logs", permission: rbac.Logs, handler: getLogStream, act: "view Redis service logs",
			audit: "logs.follow", event: eventAccess, limit: "logs", stream: true},

		{method: "GET", path: "/openapi.yaml", permission: rbac.Public, handler: getOpenAPI, act: "read the API description", quiet: true},
		{method: "GET", path: "/-/healthy", permission: rbac.Public, handler: getHealthy, act: "ask for life", quiet: true},
		{method: "GET", path: "/-/ready", permission: rbac.Public, handler: getReady, act: "ask for readiness", quiet: true},
		{method: "POST", path: "/-/reload", permission: rbac.Configure, handler: postConfigReload, act: "reload the configuration",
			audit: "config.reload", event: eventConfiguration, risk: "moderate"},
	}
}

// newRouter builds the mux from the table. Paths outside of it are the panel's, or 404.
func (a *API) newRouter(table []route) *mux.Router {
	// A path is taken as it was sent: an encoded slash is no slash, so that a proxy in front and we read the same.
	r := mux.NewRouter().SkipClean(true).UseEncodedPath()
	for i := range table {
		rt := &table[i]
		methods := []string{rt.method}
		if rt.method == http.MethodGet && !strings.HasPrefix(rt.path, "/ws/") {
			methods = append(methods, http.MethodHead)
		}
		r.Handle(rt.path, a.serve(rt)).Methods(methods...)
	}
	r.NotFoundHandler = a.serve(&route{method: "GET", path: "(panel)", permission: rbac.Public, handler: getPanel, act: "open the panel", quiet: true})
	r.MethodNotAllowedHandler = a.serve(&route{method: "GET", path: "(method not allowed)", permission: rbac.Public, handler: refuseMethod, quiet: true})
	return r
}

// refuseMethod answers 405 with the methods that the path has.
func refuseMethod(a *API, w http.ResponseWriter, c *call) error {
	var allowed []string
	for _, rt := range a.conf().routes {
		if matchesPath(rt.path, c.r.URL.EscapedPath()) {
			allowed = append(allowed, rt.method)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return newProblem(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not have this method")
}

// matchesPath compares a path with a template, segment by segment.
func matchesPath(template, path string) bool {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && (!strings.HasPrefix(want[i], "{") || have[i] == "") {
			return false
		}
	}
	return true
}
