package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
)

// Prober knows the health of services. View returns a copy of what is known now; it does not wait for the network.
type Prober interface {
	View(service string) (health.View, bool)
}

// Remediator owns every act on a host. Operate may block until the operation's own deadline; the operation does not end with
// ctx. The other methods return soon. Errors are those of package remediator.
type Remediator interface {
	Operate(ctx context.Context, r remediator.Request) (remediator.Result, error)
	State(service string) (remediator.State, bool)
	SetAutoRecovery(ctx context.Context, service string, actor remediator.Actor, enabled bool, reason string) error
	ResetAutoRecovery(ctx context.Context, service string, actor remediator.Actor, reason string) error
	Maintainer
	Historian
}

// Maintainer places and ends maintenance holds.
type Maintainer interface {
	AddMaintenance(ctx context.Context, service string, actor remediator.Actor, until time.Time, reason string) (remediator.Hold, error)
	EndMaintenance(ctx context.Context, service string, actor remediator.Actor) error
}

// Historian answers for incidents, newest first.
type Historian interface {
	Incidents(ctx context.Context, service, cursor string, limit int) (incidents []remediator.Incident, next string, err error)
	Incident(ctx context.Context, id string) (remediator.Incident, error)
	Evidence(ctx context.Context, incident string) (json.RawMessage, error)
	Explain(ctx context.Context, service string) (remediator.Explanation, error)
}

// Auditor makes a record durable, or says that it could not.
type Auditor interface {
	Append(ctx context.Context, r audit.Record) (audit.Record, error)
}

// AuditReader answers queries on the audit log. The next of Query is the cursor of the next page, 0 at the end. Export writes all
// records of a filter page by page, in bounded memory.
type AuditReader interface {
	Query(ctx context.Context, f audit.Filter) (records []audit.Record, next int64, err error)
	Export(ctx context.Context, w io.Writer, f audit.Filter, format audit.Format) error
}

// LogReader returns the newest log entries of a service, its unit's journal and Redis's own log merged by time, oldest first. Its
// errors are *host.Error where the host is at fault.
type LogReader interface {
	Logs(ctx context.Context, service string, lines int) ([]LogEntry, error)
}

// LogEntry is one line of a log. The message is shown as it is: the reader has made it printable.
type LogEntry struct {
	Time    time.Time // zero: the line carries none, or is a note of the reader; no filter by time hides it
	Level   string    // error, warning, info, debug
	Message string
	Source  string // journal, redis
	Note    bool   // not a line of the log, but what the reader says about it
}

// ServiceInfo is what the API shows of a configured service.
type ServiceInfo struct {
	ID     string // the name in URLs
	Name   string // service.name of the configuration: "redis-server"
	Unit   string // "redis-server.service"
	IP     string
	Port   int
	VMName string // empty: DefaultVMName

	CheckInterval            time.Duration // between two looks while all is well; 0: not said
	Environment              string        // "production"; empty: not said
	RunbookURL, DashboardURL string        // for people; empty: none
}

// DefaultVMName is the document's vm_info.name.
const DefaultVMName = "Redis VM"

// CacheSettings are the document's cache block.
type CacheSettings struct {
	Enabled               bool
	TTL                   time.Duration
	InvalidateOnOperation bool
}

// WebsocketSettings are the document's websocket block and the limits of the event stream. Zero limits mean live's defaults.
type WebsocketSettings struct {
	Enabled                bool
	Endpoint               string // the document's path for the first service; /ws/services/{id}/status serves all
	BroadcastStatusChanges bool
	BroadcastHealthChanges bool
	BroadcastOperations    bool
	BroadcastAutoRecovery  bool
	BroadcastAlerts        bool // alerts that were posted for people

	MaxClients, MaxPerUser, MaxPerAddress int
}

// DegradedSettings are the document's degraded_mode block.
type DegradedSettings struct {
	Enabled         bool
	FallbackCache   bool
	MemorySessions  bool
	BroadcastStatus bool
	ShowBanner      bool
}

// RateLimits are the acts per person and minute; 0 means the default, a negative number no limit.
type RateLimits struct{ Start, Stop, Restart, Logs int }

// The default rate limits per person and minute. Reload has that of restart.
const (
	DefaultStartLimit   = 10
	DefaultStopLimit    = 5
	DefaultRestartLimit = 10
	DefaultLogsLimit    = 20
)

// Options are everything that an API needs.
type Options struct {
	Listen        string // "host:port"; ":0" is fine
	WebConfigFile string // exporter-toolkit's web configuration (TLS); empty: plain HTTP
	Logger        zerolog.Logger

	Services   []ServiceInfo
	Prober     Prober
	Remediator Remediator
	Auditor    Auditor
	Audits     AuditReader
	Logs       LogReader // nil: logs answer 503
	Panel      fs.FS     // the built panel, with index.html at its root; nil: no panel

	Users           []authn.User
	ServiceAccounts []authn.ServiceAccount
	Sessions        authn.SessionStore
	JWT             authn.JWTSettings
	OIDC            authn.OIDCSettings
	SessionIdle     time.Duration // 0: authn.DefaultSessionIdle
	SessionMax      time.Duration // 0: authn.DefaultSessionMax
	Permissions     map[rbac.Permission][]rbac.Role

	Cache      CacheSettings
	Websocket  WebsocketSettings
	Degraded   DegradedSettings
	RateLimits RateLimits

	Dependents       []string // affected_services of the confirmation
	ConfirmStop      bool     // service_control.require_confirmation_for_stop
	ConfirmationTTL  time.Duration
	OperationTimeout time.Duration // how long a request waits for its operation; 0: DefaultOperationTimeout
	ShutdownGrace    time.Duration // how long running requests may take at the end; 0: DefaultShutdownGrace
	TrustedProxies   []netip.Prefix
	AllowedOrigins   []string      // further origins ("https://host") whose pages may use cookies and the event stream
	WatchEvery       time.Duration // how often status and health are compared for changes; 0: DefaultWatchEvery
	FollowEvery      time.Duration // how often a log that is followed is read; 0: DefaultFollowEvery
	Reload           func() error  // POST /-/reload; nil: not offered
	Ready            func() error  // /-/ready; nil: ready when running
}

// Defaults of Options.
const (
	DefaultConfirmationTTL  = 60 * time.Second
	DefaultOperationTimeout = 120 * time.Second // beyond every rung's own deadline: the answer is the remediator's to give
	DefaultShutdownGrace    = 20 * time.Second
	DefaultWatchEvery       = 500 * time.Millisecond
	DefaultFollowEvery      = time.Second
	DefaultCacheTTL         = 10 * time.Second
	DefaultEndpoint         = "/ws/services/redis/status"
)

var serviceIDPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// complete fills the defaults in and reports all faults at once.
func (o *Options) complete() error {
	var faults []error
	need := func(ok bool, what string) {
		if !ok {
			faults = append(faults, errors.New(what))
		}
	}
	need(o.Listen != "", "listen: is required")
	need(len(o.Services) > 0, "services: at least one is required")
	need(o.Prober != nil, "prober: is required")
	need(o.Remediator != nil, "remediator: is required")
	need(o.Auditor != nil && o.Audits != nil, "audit: auditor and reader are required")
	need(o.Sessions != nil, "sessions: a store is required")
	seen := map[string]bool{}
	for i, s := range o.Services {
		need(serviceIDPattern.MatchString(s.ID), fmt.Sprintf("services[%d].id: %q is not a plain name", i, s.ID))
		need(!seen[s.ID], fmt.Sprintf("services[%d].id: %q is used twice", i, s.ID))
		seen[s.ID] = true
	}
	o.setDefaults()
	need(strings.HasPrefix(o.Websocket.Endpoint, "/ws/"), "websocket.endpoint: must begin with /ws/")
	return errors.Join(faults...)
}

func (o *Options) setDefaults() {
	setDefault(&o.ConfirmationTTL, DefaultConfirmationTTL)
	setDefault(&o.OperationTimeout, DefaultOperationTimeout)
	setDefault(&o.ShutdownGrace, DefaultShutdownGrace)
	setDefault(&o.WatchEvery, DefaultWatchEvery)
	setDefault(&o.FollowEvery, DefaultFollowEvery)
	setDefault(&o.Cache.TTL, DefaultCacheTTL)
	if o.Websocket.Endpoint == "" {
		o.Websocket.Endpoint = DefaultEndpoint
	}
	if o.Dependents == nil {
		o.Dependents = []string{}
	}
	limit := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	limit(&o.RateLimits.Start, DefaultStartLimit)
	limit(&o.RateLimits.Stop, DefaultStopLimit)
	limit(&o.RateLimits.Restart, DefaultRestartLimit)
	limit(&o.RateLimits.Logs, DefaultLogsLimit)
	for i := range o.Services {
		if o.Services[i].VMName == "" {
			o.Services[i].VMName = DefaultVMName
		}
	}
}

func setDefault(field *time.Duration, value time.Duration) {
	if *field <= 0 {
		*field = value
	}
}
