package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// WatchUnit calls changed with a fresh read of the unit: at once, after each change that systemd announces, every ResyncInterval,
// and with a class when it cannot be read any more. It blocks until ctx ends, and reconnects by itself; its error is then ctx's.
// It also ends when the client is closed, with an *Error, and at once when the unit is not a valid one. Where the bus is missing
// it reads every PollInterval instead. Calls of changed come one at a time; changes that come while it runs are merged into one. It must not
// close the client.
func (c *Client) WatchUnit(ctx context.Context, unit Unit, changed func(health.UnitRead)) error {
	if err := ValidateUnit(unit); err != nil {
		return c.fail(health.ClassCommand, "the unit is not a plain systemd service", err)
	}
	if failure := c.enter(); failure != nil {
		return failure
	}
	defer c.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.ctx, func() { cancel(errClosed) })()
	report := func(r health.UnitRead) {
		if ctx.Err() == nil && c.ctx.Err() == nil {
			changed(r)
		}
	}
	for ctx.Err() == nil {
		l, failure := c.acquire(ctx, false)
		if failure != nil {
			report(c.unread(time.Now(), failure))
			c.waitChange(ctx)
			continue
		}
		b, failure := l.getBus(ctx, unit)
		if failure != nil {
			c.log.Debug().Err(failure).Str("unit", unit.Name).Msg("no bus, polling")
			c.poll(ctx, l, unit, report)
			continue
		}
		c.follow(ctx, b, unit, report)
	}
	if cause := context.Cause(ctx); errors.Is(cause, errClosed) {
		return c.fail(health.ClassUnreachable, "the connection to the host is closed", errClosed)
	}
	return ctx.Err()
}

// waitChange waits until the connection's state may be another one than that which the last acquire failed with.
func (c *Client) waitChange(ctx context.Context) {
	c.mu.Lock()
	changed, up := c.changed, c.cur != nil && !c.cur.dead()
	c.mu.Unlock()
	if up {
		return
	}
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// poll reads the unit in a rhythm until the bus may be tried again or the link dies.
func (c *Client) poll(ctx context.Context, l *link, unit Unit, report func(health.UnitRead)) {
	until := time.NewTimer(busRetry)
	defer until.Stop()
	ticker := time.NewTicker(c.o.PollInterval)
	defer ticker.Stop()
	for {
		report(c.ReadUnit(ctx, unit))
		select {
		case <-ticker.C:
		case <-until.C:
			return
		case <-l.down:
			return
		case <-ctx.Done():
			return
		}
	}
}

// follow reads the unit whenever the bus says that it changed, until the bus ends.
func (c *Client) follow(ctx context.Context, b *bus, unit Unit, report func(health.UnitRead)) {
	w := &watcher{wake: make(chan struct{}, 1)}
	unwatch, err := c.startWatch(ctx, b, unit, w)
	if err != nil {
		c.dropBus(b, err, report)
		return
	}
	defer unwatch()
	for silent := 0; ; {
		r, err := c.readBus(ctx, b, unit)
		// Spread, so that the units of a host are not all read at the same moment.
		wait := c.o.ResyncInterval*3/4 + rand.N(c.o.ResyncInterval/4+1)
		switch {
		case err == nil:
			silent = 0
		case c.busFailure(err).Class == health.ClassTimeout && silent < maxSilent:
			// Asking again on the same stream starts no process on a host whose systemd hangs.
			silent++
			wait = c.o.PollInterval
		default:
			c.dropBus(b, err, report)
			return
		}
		report(r)
		if !w.wait(ctx, b, wait) {
			return
		}
	}
}

// maxSilent is how many reads in a row may time out before the bus is taken for the culprit and opened anew.
const maxSilent = 3

// wait waits until the unit may have changed, or for d. It returns false when the watch is over.
func (w *watcher) wait(ctx context.Context, b *bus, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.wake:
		return true
	case <-timer.C:
		return true
	case <-b.down:
		return false
	case <-ctx.Done():
		return false
	}
}

// readBus reads the unit over the bus within CommandTimeout. With an error, the read says why there is no state.
func (c *Client) readBus(ctx context.Context, b *bus, unit Unit) (health.UnitRead, error) {
	if err := b.enter(ctx); err != nil {
		return c.unread(time.Now(), c.busFailure(err)), err
	}
	defer b.leave()
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	u, err := b.read(ctx, unit)
	if err != nil {
		failure := c.busFailure(err)
		if !errors.Is(err, context.Canceled) {
			c.o.Metrics.ran(c.o.Name, VerbBus, time.Since(start), failure)
		}
		return c.unread(start, failure), err
	}
	c.o.Metrics.ran(c.o.Name, VerbBus, time.Since(start), nil)
	c.sawLife()
	r := read(start, u)
	r.Manager = b.manager()
	return r, nil
}

func (c *Client) startWatch(ctx context.Context, b *bus, unit Unit, w *watcher) (func(), error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.leave()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.CommandTimeout, errCommandDeadline)
	defer cancel()
	return b.watch(ctx, unit, w)
}

// dropBus reports why a bus is of no use any more and closes it, so that the next round makes a new one.
func (c *Client) dropBus(b *bus, err error, report func(health.UnitRead)) {
	ended := b.ended()
	_ = b.conn.Close()
	if ended {
		return // the connection went away: the next round says whether the host did
	}
	report(c.unread(time.Now(), c.busFailure(err)))
}
