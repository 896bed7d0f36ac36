// Package degradation is for applications that depend on a Redis which redis-medic looks after. A Follower keeps what the control
// API says of the degraded mode: whether the application should do without Redis now, and with which fallbacks. It asks once,
// then follows the event stream, comes back with growing pauses when the connection is lost, and keeps the last state, with its
// age, while the API is away. The package imports nothing of redis-medic, and nothing else but a WebSocket library.
package degradation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// The fallbacks as the API names them. FromRedis means: as always, from Redis.
const (
	FromRedis = "redis"
	InMemory  = "memory" // sessions
	Bypass    = "bypass" // cache: no writes, stale reads, the source behind it
	Queue     = "queue"  // real-time messages
	Local     = "local"  // knowledge base
)

// Fallbacks say where each use of Redis goes now.
type Fallbacks struct {
	Sessions      string `json:"sessions"`
	Cache         string `json:"cache"`
	RealTime      string `json:"real_time"`
	KnowledgeBase string `json:"knowledge_base"`
}

// State is what the API said last.
type State struct {
	Service   string
	Degraded  bool
	Since     time.Time // when the outage began; zero while there is none
	Fallbacks Fallbacks
	Message   string // for people

	At        time.Time // when the API said so; zero: it never did
	Connected bool      // the event stream is open, so that the state is the present one
}

// Known reports whether the API has ever said anything.
func (s State) Known() bool { return !s.At.IsZero() }

// Age is how old the state may be: 0 while the event stream is open, else the time since the API was last heard.
func (s State) Age(now time.Time) time.Duration {
	if s.Connected {
		return 0
	}
	return now.Sub(s.At)
}

// The defaults of Options.
const (
	DefaultPoll     = 30 * time.Second // beside the stream; without one this is how late a change is seen
	DefaultMinRetry = 500 * time.Millisecond
	DefaultMaxRetry = 30 * time.Second
	DefaultTimeout  = 10 * time.Second
)

// Options are the settings of a Follower. URL and Service are required.
type Options struct {
	URL     string        // of the control API: "https://redis-medic.example:8001"
	Service string        // its id: "redis"
	Token   func() string // bearer token, asked for each connection; nil: anonymous, who may ask but perhaps not follow
	Client  *http.Client  // for TLS and proxies; nil: http.DefaultClient. Redirects are never followed: they would carry the token away

	// Enter is called when the degraded mode begins, or is found at the start, and Leave when it ends. Both are called by Run, one
	// after the other and never at the same time, and hold up what follows: they should be short.
	Enter, Leave func(State)
	// Failed is told every failed attempt, for a log; nil: nobody. The state stays as it is.
	Failed func(error)

	Poll               time.Duration // how often it is asked beside the stream; 0: DefaultPoll
	MinRetry, MaxRetry time.Duration // the pauses between attempts; 0: the defaults
	Timeout            time.Duration // of one request; 0: DefaultTimeout
}

// Follower follows one service. State is safe for concurrent use; Run is called once.
type Follower struct {
	opts         Options
	rest, stream string
	client       *http.Client

	mu    sync.Mutex // guards state
	state State

	after int64 // newest number seen on the stream, 0: none; owned by the goroutine that reads
}

// New makes a follower. It connects to nothing; Run does.
func New(o Options) (*Follower, error) {
	base, err := url.Parse(o.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("follow degradation: %w", err)
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, fmt.Errorf("follow degradation: %q is not an http or https URL", o.URL)
	case o.Service == "":
		return nil, errors.New("follow degradation: no service given")
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&o.Poll, DefaultPoll}, {&o.MinRetry, DefaultMinRetry}, {&o.MaxRetry, DefaultMaxRetry}, {&o.Timeout, DefaultTimeout}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if o.Client == nil {
		o.Client = http.DefaultClient
	}
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	f := &Follower{opts: o, client: &client, state: State{Service: o.Service}}
	f.rest = base.JoinPath("api", "services", o.Service, "degradation").String()
	f.stream = base.JoinPath("ws", "services", o.Service, "status").String()
	return f, nil
}

// State returns what is known. It does not wait for anything.
func (f *Follower) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// Run follows until ctx ends, and then returns nil: there is no other end. All that it starts has ended when it returns.
func (f *Follower) Run(ctx context.Context) error {
	pause := f.opts.MinRetry
	for ctx.Err() == nil {
		began := time.Now()
		err := f.session(ctx)
		f.connected(false)
		if ctx.Err() != nil {
			return nil
		}
		wait := pause
		var refused *refusedError
		switch {
		case errors.As(err, &refused):
			wait = f.opts.Poll // nothing to be had from trying more often
		case time.Since(began) > f.opts.MaxRetry:
			pause = f.opts.MinRetry
			wait = pause
		default:
			pause = min(2*pause, f.opts.MaxRetry)
		}
		if f.opts.Failed != nil {
			f.opts.Failed(fmt.Errorf("follow degradation of %s: %w", f.opts.Service, err))
		}
		// Some jitter: all applications lose the API at the same moment.
		select {
		case <-ctx.Done():
		case <-time.After(wait/2 + rand.N(wait/2+1)):
		}
	}
	return nil
}

func (f *Follower) connected(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Connected && !yes {
		f.state.At = time.Now()
	}
	f.state.Connected = yes
}

// heard takes a state over and tells a change. Only Run's goroutine calls it.
func (f *Follower) heard(b body) {
	f.mu.Lock()
	before := f.state
	f.state.Degraded, f.state.Fallbacks, f.state.Message, f.state.At, f.state.Since = b.Degraded, b.Fallbacks, b.Message, time.Now(), time.Time{}
	if b.Since != nil {
		f.state.Since = *b.Since
	}
	now := f.state
	f.mu.Unlock()
	switch {
	case now.Degraded && !before.Degraded && f.opts.Enter != nil:
		f.opts.Enter(now)
	case !now.Degraded && before.Degraded && f.opts.Leave != nil:
		f.opts.Leave(now)
	}
}
