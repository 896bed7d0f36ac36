package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
)

var errClosed = errors.New("client is closed")

// A connection that lived shorter than this counts as a failed dial, so that a server that drops us at once is not hammered.
const stableAfter = 5 * time.Second

// Our key refused or the host's key wrong: nothing heals by itself within seconds, and hammering may lock the account.
const (
	refusedBackoffMin = 10 * time.Second
	refusedBackoffMax = time.Minute
)

// A forced dial is made at once, but not more often than this.
const (
	forcedGap        = 250 * time.Millisecond
	forcedGapRefused = 5 * time.Second
)

// Client is the way to one host. All its methods may be called concurrently. It starts its goroutines at the first use; Close
// ends them.
type Client struct {
	o      ClientOptions
	log    zerolog.Logger
	ctx    context.Context // the life of the connection keeper: it belongs to the client, not to a caller
	cancel context.CancelFunc
	wg     sync.WaitGroup
	kick   chan struct{} // capacity 1: dial now, do not wait for the backoff
	reads  chan struct{} // slots
	acts   chan struct{}
	lastOK atomic.Int64 // unix nanoseconds

	mu       sync.Mutex // guards the fields below
	running  bool
	closed   bool
	cur      *link
	last     *Error        // the outcome of the last dial; nil after a success
	dials    int           // finished dials
	dialing  bool          // a dial is under way
	lastDial time.Time     // when the last one ended
	changed  chan struct{} // closed and replaced at each change of the fields above
	status   ConnStatus

	notifyMu  sync.Mutex // held while listeners are called, so that they see the changes in order
	listeners []func(ConnStatus)
}

// NewClient checks the options, the private key and the known_hosts file. It makes no connection.
func NewClient(o ClientOptions) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Dial == nil {
		r := &resolver{lookup: net.DefaultResolver.LookupHost}
		o.Dial = r.dial
	}
	c := &Client{
		o:       o,
		log:     o.Logger.With().Str("host", o.Name).Logger(),
		kick:    make(chan struct{}, 1),
		reads:   make(chan struct{}, (o.MaxSessions+1)/2),
		acts:    make(chan struct{}, o.MaxSessions/2),
		changed: make(chan struct{}),
	}
	if _, _, failure := c.sshConfig(); failure != nil {
		return nil, failure
	}
	if o.OnStatus != nil {
		c.listeners = append(c.listeners, o.OnStatus)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	o.Metrics.add(c)
	return c, nil
}

// Name returns the host's name in the configuration.
func (c *Client) Name() string { return c.o.Name }

// Status returns how the connection stands.
func (c *Client) Status() ConnStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statusLocked()
}

func (c *Client) statusLocked() ConnStatus {
	s := c.status
	if ns := c.lastOK.Load(); ns != 0 {
		s.LastOK = time.Unix(0, ns)
	}
	return s
}

// OnStatus adds a listener; see ClientOptions.OnStatus. It is not called for the status that stands now.
func (c *Client) OnStatus(fn func(ConnStatus)) {
	c.notifyMu.Lock()
	defer c.notifyMu.Unlock()
	c.listeners = append(c.listeners, fn)
}

// Close ends the connection and waits until all goroutines of the client have ended. Calls under way fail.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	cur := c.cur
	c.mu.Unlock()
	c.cancel()
	if cur != nil {
		cur.kill(false)
	}
	c.wg.Wait()
	c.o.Metrics.remove(c)
	return nil
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// up reports whether a connection stands at this moment.
func (c *Client) up() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur != nil && !c.cur.dead()
}

// sawLife notes that the host answered just now.
func (c *Client) sawLife() { c.lastOK.Store(time.Now().UnixNano()) }

// enter counts a call in, so that Close waits for it; leave counts it out. It fails on a closed client.
func (c *Client) enter() *Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.fail(health.ClassUnreachable, "the connection to the host is closed", errClosed)
	}
	c.wg.Add(1)
	return nil
}

func (c *Client) leave() { c.wg.Done() }

// keep holds one connection: it dials, waits for its death, and dials again, with growing waits between failures.
func (c *Client) keep() {
	failures := 0
	for c.ctx.Err() == nil {
		c.setDialing()
		began := time.Now()
		l, failure := c.dial(c.ctx)
		if c.ctx.Err() == nil {
			c.o.Metrics.dialled(c.o.Name, time.Since(began), failure)
		}
		c.publish(l, failure)
		if failure != nil {
			c.log.Debug().Err(failure).Msg("dial")
			failures++
			c.pause(c.backoff(failures, failure))
			continue
		}
		c.sawLife()
		c.log.Debug().Msg("connected")
		<-l.down
		l.closeBus()
		if time.Since(l.born) >= stableAfter {
			failures = 0
		}
		// A server that goes away in good order, at a restart of sshd for instance, is dialled again at once.
		again := failures == 0 && !l.silent
		failures++
		c.lost(l, again)
		if !again {
			c.pause(c.backoff(failures, nil))
		}
	}
}

// backoff returns the wait before the next dial: doubling, with a jitter of ±25 % so that many clients do not dial in step.
func (c *Client) backoff(failures int, failure *Error) time.Duration {
	low, high := c.o.BackoffMin, c.o.BackoffMax
	if failure != nil && refused(failure.Class) {
		low, high = max(low, refusedBackoffMin), max(high, refusedBackoffMax)
	}
	d := low
	for i := 1; i < failures && d < high; i++ {
		d *= 2
	}
	d = min(d, high)
	return d*3/4 + rand.N(d/2+1)
}

func refused(class health.ErrorClass) bool {
	return class == health.ClassAuth || class == health.ClassHostKey
}

// pause waits for d, for a kick, or for the end of the client.
func (c *Client) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.kick:
	case <-c.ctx.Done():
	}
}

func (c *Client) setDialing() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialing = true
	// A kick that came before this dial is answered by it.
	select {
	case <-c.kick:
	default:
	}
}

// publish makes the outcome of a dial known.
func (c *Client) publish(l *link, failure *Error) {
	c.update(func() {
		c.dialing, c.lastDial = false, time.Now()
		c.dials++
		c.cur, c.last = l, failure
		if l != nil && c.closed {
			l.kill(false)
		}
		if failure == nil {
			c.setStatusLocked(true, health.ClassNone, "")
		} else if c.ctx.Err() == nil {
			c.setStatusLocked(false, failure.Class, failure.Public)
		}
	})
}

// lost makes the death of a link known. A peer that closed the connection says nothing about the host: the dial that follows
// at once will. A peer that fell silent, or keeps dropping us, is not reachable.
func (c *Client) lost(l *link, again bool) {
	c.update(func() {
		c.cur = nil
		if again {
			c.dialing = true
			return
		}
		public, cause := "the host's SSH server ended the connection", errLinkDown
		if l.silent {
			public, cause = "the host stopped answering", errKeepAlive
		}
		c.last = c.fail(health.ClassUnreachable, public, cause)
		c.setStatusLocked(false, c.last.Class, c.last.Public)
	})
}

// update changes the state under the lock and then tells those who wait and the listeners.
func (c *Client) update(change func()) {
	c.notifyMu.Lock()
	defer c.notifyMu.Unlock()
	c.mu.Lock()
	before := c.status
	change()
	close(c.changed)
	c.changed = make(chan struct{})
	after, differs := c.statusLocked(), c.status != before
	c.mu.Unlock()
	if !differs {
		return
	}
	for _, fn := range c.listeners {
		fn(after)
	}
}

func (c *Client) setStatusLocked(reachable bool, class health.ErrorClass, public string) {
	if c.status.Since.IsZero() || c.status.Reachable != reachable || c.status.Class != class {
		c.status.Since = time.Now()
	}
	c.status.Reachable, c.status.Class, c.status.Public = reachable, class, public
}

type insistence struct{}

// Insist marks what a person waits for: without a connection the next dial is made now, for a read too. Else a read fails at once
// with the outcome of the last dial, which may have been mended since.
func Insist(ctx context.Context) context.Context { return context.WithValue(ctx, insistence{}, true) }

// acquire returns the live connection. Without one it waits for the dial under way; between two dials it fails at once with
// the outcome of the last, unless force is set or somebody insists: then it has the next one made now.
func (c *Client) acquire(ctx context.Context, force bool) (*link, *Error) {
	force = force || ctx.Value(insistence{}) != nil
	wanted := -1 // the number of finished dials that answers our kick
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, c.fail(health.ClassUnreachable, "the connection to the host is closed", errClosed)
		}
		if !c.running {
			c.running, c.dialing = true, true
			c.wg.Go(c.keep)
		}
		if l := c.cur; l != nil && !l.dead() {
			c.mu.Unlock()
			return l, nil
		}
		last, idle, changed := c.last, c.cur == nil && !c.dialing && c.last != nil, c.changed
		if idle {
			if !force || c.dials >= wanted && wanted >= 0 || c.tooSoonLocked() {
				c.mu.Unlock()
				return nil, last
			}
			if wanted < 0 {
				wanted = c.dials + 1
			}
			select {
			case c.kick <- struct{}{}:
			default:
			}
		}
		c.mu.Unlock()
		select {
		case <-changed:
		case <-c.ctx.Done():
		case <-ctx.Done():
			if last != nil {
				return nil, last
			}
			return nil, c.fail(health.ClassTimeout, "the host did not answer in time", context.Cause(ctx))
		}
	}
}

// tooSoonLocked keeps forced dials apart.
func (c *Client) tooSoonLocked() bool {
	gap := forcedGap
	if c.last != nil && refused(c.last.Class) {
		gap = forcedGapRefused
	}
	return time.Since(c.lastDial) < gap
}
