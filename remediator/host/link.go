package host

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

var (
	errLinkDown  = errors.New("connection lost")
	errKeepAlive = errors.New("no answer to keepalive")
	errNoChannel = errors.New("no answer to the opening of a channel")
)

// link is one SSH connection. It dies once; down is closed then.
type link struct {
	c      *Client
	conn   net.Conn
	ssh    *ssh.Client
	down   chan struct{}
	born   time.Time
	silent bool // the peer stopped answering, rather than closing; set before down is closed

	bus        atomic.Pointer[bus]
	busMu      sync.Mutex // held while the bus is opened; guards the two below
	busMissing *Error     // why this connection has no bus; it is tried again after busRetry
	busTried   time.Time

	downOnce sync.Once
}

// newLink takes over a connection that has just been made and starts its keepalive.
func newLink(c *Client, conn net.Conn, client *ssh.Client) *link {
	l := &link{c: c, conn: conn, ssh: client, down: make(chan struct{}), born: time.Now()}
	c.wg.Go(func() {
		_ = client.Wait()
		l.kill(false)
	})
	c.wg.Go(l.keepAlive)
	return l
}

// kill ends the connection; everything that waits on it fails at once. It closes the socket, not the SSH layer, because that
// may be blocked in a write to a dead peer.
func (l *link) kill(silent bool) {
	l.downOnce.Do(func() {
		l.silent = silent
		_ = l.conn.Close()
		close(l.down)
	})
}

func (l *link) dead() bool {
	select {
	case <-l.down:
		return true
	default:
		return false
	}
}

// keepAlive asks the peer for a sign of life until the link dies, and kills it when none comes.
func (l *link) keepAlive() {
	ticker := time.NewTicker(l.c.o.KeepAlive)
	defer ticker.Stop()
	for {
		select {
		case <-l.down:
			return
		case <-ticker.C:
		}
		answered := make(chan error, 1)
		l.c.wg.Go(func() {
			_, _, err := l.ssh.SendRequest("keepalive@openssh.com", true, nil)
			answered <- err
		})
		timer := time.NewTimer(l.c.o.KeepAliveTimeout)
		select {
		case err := <-answered:
			timer.Stop()
			if err == nil {
				l.c.sawLife()
			}
		case <-timer.C:
			l.c.log.Warn().Err(errKeepAlive).Msg("ssh peer is silent, closing the connection")
			l.kill(true)
		case <-l.down:
			timer.Stop()
		}
	}
}

// open opens a session within ctx.
func (l *link) open(ctx context.Context) (*ssh.Session, error) {
	return within(ctx, l, l.ssh.NewSession)
}

// forward dials the bus socket on the host through the connection.
func (l *link) forward(ctx context.Context) (net.Conn, error) {
	return within(ctx, l, func() (net.Conn, error) { return l.ssh.Dial("unix", systemBus) })
}

// within opens a channel of the link within ctx. The opening knows no context itself: when ctx ends first, a goroutine waits for
// it, and kills the link if it takes longer than a dial may. An error that is not the host's refusal means that the link died.
func within[T io.Closer](ctx context.Context, l *link, open func() (T, error)) (T, error) {
	type opened struct {
		channel T
		err     error
	}
	var none T
	result := make(chan opened, 1)
	// Nobody waits for this goroutine: when the connection dies at the very moment that a channel is being opened, x/crypto/ssh
	// (v0.58) can forget the new channel, and open then never returns. Everybody else gives up when the link is down.
	go func() {
		ch, err := open()
		result <- opened{ch, err}
	}()
	select {
	case <-l.down:
		select {
		case r := <-result:
			if r.err == nil {
				_ = r.channel.Close()
			}
		default:
		}
		return none, errLinkDown
	case r := <-result:
		var refused *ssh.OpenChannelError
		if r.err != nil && !errors.As(r.err, &refused) {
			l.kill(false)
			return none, errors.Join(errLinkDown, r.err)
		}
		return r.channel, r.err
	case <-ctx.Done():
	}
	l.c.wg.Go(func() {
		timer := time.NewTimer(l.c.o.DialTimeout)
		defer timer.Stop()
		select {
		case r := <-result:
			if r.err == nil {
				_ = r.channel.Close()
			}
		case <-l.down:
		case <-timer.C:
			l.c.log.Warn().Err(errNoChannel).Msg("replacing the connection")
			l.kill(false)
		}
	})
	return none, context.Cause(ctx)
}
