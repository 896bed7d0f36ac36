package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// The defaults of ClientOptions.
const (
	DefaultDialTimeout      = 5 * time.Second  // document: SSH timeout 5 s; a frozen sshd accepts TCP and then says nothing
	DefaultCommandTimeout   = 5 * time.Second  // reads answer in milliseconds; only a hung systemd takes longer
	DefaultActTimeout       = 60 * time.Second // longer than every rung of the ladder
	DefaultKeepAlive        = 5 * time.Second  // with its timeout, a dead peer is noticed within 10 s
	DefaultKeepAliveTimeout = 5 * time.Second
	DefaultBackoffMin       = 500 * time.Millisecond
	DefaultBackoffMax       = 10 * time.Second
	DefaultMaxSessions      = 8 // sshd's own MaxSessions is 10, and the bus takes one
	DefaultPollInterval     = 2 * time.Second
	DefaultResyncInterval   = 30 * time.Second
)

// maxOutput bounds what is kept of the output of one command, in bytes.
const maxOutput = 1 << 20

// ClientOptions are the settings of the way to one host. The zero value of a duration or a number means its default.
type ClientOptions struct {
	Name           string // the host's name in the configuration; for messages and metrics
	Address        string // host:port; without a port, 22
	User           string
	IdentityFile   string // ed25519, or RSA of at least 4096 bits; mode 0600 or stricter; not encrypted
	KnownHostsFile string // read again at every dial
	Gate           bool   // the host package's forced command is installed: send verbs, not argument vectors

	DialTimeout      time.Duration // TCP, handshake and authentication together
	CommandTimeout   time.Duration // a verb that changes nothing; a nearer deadline of the context wins
	ActTimeout       time.Duration // a verb that changes the host, when its context has no deadline
	KeepAlive        time.Duration // between two keepalives
	KeepAliveTimeout time.Duration // for the answer to one
	BackoffMin       time.Duration // wait after the first failed dial; doubles
	BackoffMax       time.Duration
	MaxSessions      int           // commands at a time on this host, reads and acts each get half
	PollInterval     time.Duration // between two reads of a watched unit while the bus is missing
	ResyncInterval   time.Duration // between two full reads of a watched unit while nothing happens

	// Dial replaces the TCP dial; for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// OnStatus is called after each change of the connection's status, one call at a time; it must not block.
	OnStatus func(ConnStatus)
	Metrics  *Metrics // nil: nothing is counted
	Logger   zerolog.Logger
}

// ConnStatus says how the connection to a host stands.
type ConnStatus struct {
	Reachable bool              // a connection is up, or was a moment ago and is being made again
	Class     health.ErrorClass // why not; ClassNone when reachable or not tried yet
	Public    string            // its words, safe to show
	Since     time.Time         // when Reachable or Class changed last; zero: not tried yet
	LastOK    time.Time         // when the host answered last; zero: never
}

var userPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// withDefaults fills in the defaults and says everything that is wrong.
func (o ClientOptions) withDefaults() (ClientOptions, error) {
	var errs []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	need(o.Address != "", "address: must not be empty")
	need(userPattern.MatchString(o.User), "user: %q is not a plain user name", o.User)
	need(o.IdentityFile != "", "identity_file: must not be empty")
	need(o.KnownHostsFile != "", "known_hosts_file: must not be empty")
	if o.Address != "" {
		if _, _, err := net.SplitHostPort(o.Address); err != nil {
			o.Address = net.JoinHostPort(o.Address, "22")
		}
	}
	if o.Name == "" {
		o.Name = o.Address
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"dial_timeout", &o.DialTimeout, DefaultDialTimeout},
		{"command_timeout", &o.CommandTimeout, DefaultCommandTimeout},
		{"act_timeout", &o.ActTimeout, DefaultActTimeout},
		{"keepalive", &o.KeepAlive, DefaultKeepAlive},
		{"keepalive_timeout", &o.KeepAliveTimeout, DefaultKeepAliveTimeout},
		{"backoff_min", &o.BackoffMin, DefaultBackoffMin},
		{"backoff_max", &o.BackoffMax, DefaultBackoffMax},
		{"poll_interval", &o.PollInterval, DefaultPollInterval},
		{"resync_interval", &o.ResyncInterval, DefaultResyncInterval},
	} {
		need(*d.value >= 0, "%s: must not be negative", d.name)
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = DefaultMaxSessions
	}
	need(o.MaxSessions >= 2, "max_sessions: must be at least 2, one for reads and one for acts")
	if err := errors.Join(errs...); err != nil {
		return o, fmt.Errorf("ssh host %s: %w", o.Name, err)
	}
	return o, nil
}
