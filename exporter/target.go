package exporter

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// UnitReader reads the systemd unit of a service. Implementations are safe for concurrent use.
type UnitReader interface {
	// ReadUnit asks once and returns before ctx ends. It never panics; the class says why the unit could not be read.
	ReadUnit(ctx context.Context, service string) health.UnitRead
	// WatchUnit blocks and calls changed with the state as it is, soon, and then on each change, never concurrently. It reconnects by
	// itself and returns only when ctx ends or watching is impossible on this host.
	WatchUnit(ctx context.Context, service string, changed func(health.UnitRead)) error
}

// Target is one configured service.
type Target struct {
	ID   string // the service id: URLs, labels, messages
	Name string // for people
	Addr string // "host:port", or "unix:/path"
	Unit string // "redis-server.service"

	Credentials func() (user, password string) // nil: none. Called for every new connection, so a rotated password is used
	TLS         *tls.Config                    // nil: plain

	Timings    Timings
	Thresholds health.Thresholds
	Off        health.Off // the layers that are switched off
	Collect    Collect
}

// Collect says what a scrape asks Redis beyond redis_exporter's defaults, and what it leaves out. The zero value is the defaults.
type Collect struct {
	NoConfig      bool // leave out CONFIG GET
	NoLatency     bool // leave out LATENCY LATEST and LATENCY HISTOGRAM
	NoSlowlog     bool // leave out SLOWLOG and COMMANDLOG
	AllConfig     bool // every configuration parameter, as text and number; secrets are left out
	Modules       bool // the sections that modules add to INFO
	SentinelPeers bool // the other Sentinels of each master
	Clients       bool // each connected client, up to a thousand
	ClientPorts   bool // with the client's port as a label
	Survey        Survey
}

// Survey says what is looked up in the data itself. That costs Redis more than a scrape may, so it has its own interval, its own
// connection and bounds; a scrape publishes what the last survey found.
type Survey struct {
	Interval time.Duration // 0: DefaultSurveyInterval
	Timeout  time.Duration // 0: DefaultSurveyTimeout
	MaxKeys  int           // per pattern, and groups of keys per database; 0: DefaultSurveyKeys

	ReplicasOnly bool // a master is left alone

	Keys        []KeyPattern // size and memory of each key
	KeyValues   bool         // also the values of strings; a value that is no number becomes a label
	CountKeys   []KeyPattern // only how many keys match
	KeyGroups   []string     // regular expressions: keys are grouped by what their parentheses match
	Streams     []KeyPattern
	NoConsumers bool   // leave out the consumers of streams
	Indexes     string // a regular expression: the indexes of the search module with such names; empty: none
}

// KeyPattern names a key, or with *, ? or [...] all keys that match, in one database.
type KeyPattern struct {
	DB      int
	Pattern string
}

// Defaults of Survey.
const (
	DefaultSurveyInterval = time.Minute
	DefaultSurveyTimeout  = 30 * time.Second
	DefaultSurveyKeys     = 1000
)

// on reports whether there is anything to survey.
func (s Survey) on() bool {
	return len(s.Keys)+len(s.CountKeys)+len(s.KeyGroups)+len(s.Streams) > 0 || s.Indexes != ""
}

// same reports whether two surveys look up the same things.
func (s Survey) same(o Survey) bool { return reflect.DeepEqual(s, o) }

// sameWay reports whether a connection that was made for one target is as good for the other: the same place, user, password and
// terms of TLS. TLS settings with functions in them are never taken for the same unless they are one and the same value.
func (t Target) sameWay(o Target) bool {
	user, password := t.credentials()
	otherUser, otherPassword := o.credentials()
	return t.Addr == o.Addr && user == otherUser && password == otherPassword && sameTLS(t.TLS, o.TLS)
}

func (t Target) credentials() (user, password string) {
	if t.Credentials == nil {
		return "", ""
	}
	return t.Credentials()
}

func sameTLS(a, b *tls.Config) bool {
	if a == b || a == nil || b == nil {
		return a == b
	}
	if a.VerifyConnection != nil || b.VerifyConnection != nil || a.VerifyPeerCertificate != nil || b.VerifyPeerCertificate != nil ||
		a.GetClientCertificate != nil || b.GetClientCertificate != nil {
		return false
	}
	return a.ServerName == b.ServerName && a.MinVersion == b.MinVersion && a.MaxVersion == b.MaxVersion &&
		a.InsecureSkipVerify == b.InsecureSkipVerify && a.RootCAs.Equal(b.RootCAs) && //nolint:gosec // compared, not set
		slices.EqualFunc(a.Certificates, b.Certificates, func(x, y tls.Certificate) bool {
			return slices.EqualFunc(x.Certificate, y.Certificate, bytes.Equal)
		})
}

// Timings says how often each layer is checked and how long a check may take. Zero values become the defaults.
type Timings struct {
	PingInterval, PingTimeout time.Duration
	Recheck                   time.Duration // between PINGs while one went unanswered
	UnitInterval, UnitTimeout time.Duration
	InfoInterval, InfoTimeout time.Duration
	PoolInterval, PoolTimeout time.Duration
}

// Defaults of Timings: the document's section 7.1, but PING more often (DESIGN section 3).
const (
	DefaultPingInterval = 5 * time.Second
	DefaultPingTimeout  = 5 * time.Second
	DefaultRecheck      = time.Second
	DefaultUnitInterval = 60 * time.Second
	DefaultUnitTimeout  = 10 * time.Second
	DefaultInfoInterval = 120 * time.Second
	DefaultInfoTimeout  = 15 * time.Second
	DefaultPoolInterval = 60 * time.Second
	DefaultPoolTimeout  = 5 * time.Second
)

// staleFactor is how many intervals a sample may miss before it says nothing any more.
const staleFactor = 3

// withDefaults fills in what was left out.
func (t Target) withDefaults() Target {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	m := &t.Timings
	set(&m.PingInterval, DefaultPingInterval)
	set(&m.PingTimeout, DefaultPingTimeout)
	set(&m.Recheck, min(DefaultRecheck, m.PingInterval))
	set(&m.UnitInterval, DefaultUnitInterval)
	set(&m.UnitTimeout, DefaultUnitTimeout)
	set(&m.InfoInterval, DefaultInfoInterval)
	set(&m.InfoTimeout, DefaultInfoTimeout)
	set(&m.PoolInterval, DefaultPoolInterval)
	set(&m.PoolTimeout, DefaultPoolTimeout)
	set(&t.Collect.Survey.Interval, DefaultSurveyInterval)
	set(&t.Collect.Survey.Timeout, DefaultSurveyTimeout)
	if t.Collect.Survey.MaxKeys <= 0 {
		t.Collect.Survey.MaxKeys = DefaultSurveyKeys
	}
	h := &t.Thresholds
	set(&h.StaleAfter, staleFactor*m.PingInterval+m.PingTimeout)
	set(&h.UnitStaleAfter, staleFactor*m.UnitInterval+m.UnitTimeout)
	set(&h.InfoStaleAfter, staleFactor*m.InfoInterval+m.InfoTimeout)
	return t
}

// checkTargets reports what is wrong with a list of targets, all faults at once.
func checkTargets(targets []Target) error {
	var errs []error
	seen := map[string]bool{}
	for i, t := range targets {
		switch {
		case t.ID == "":
			errs = append(errs, fmt.Errorf("target %d: no id", i))
		case seen[t.ID]:
			errs = append(errs, fmt.Errorf("target %s: the id is used twice", t.ID))
		case t.Addr == "":
			errs = append(errs, fmt.Errorf("target %s: no address", t.ID))
		}
		for _, g := range append([]string{t.Collect.Survey.Indexes}, t.Collect.Survey.KeyGroups...) {
			if _, err := regexp.Compile(g); err != nil {
				errs = append(errs, fmt.Errorf("target %s: survey: %w", t.ID, err))
			}
		}
		seen[t.ID] = true
	}
	return errors.Join(errs...)
}
