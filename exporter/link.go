package exporter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

const (
	maxIdleConns = 2 // one for the probe, one for the scrape
	maxDetail    = 200
)

// link is the way to one Redis: a stack of kept connections. Nobody ever waits for a connection: when none is idle a new one is
// dialled, so what an exchange measures is Redis and not ourselves.
type link struct {
	mu      sync.Mutex // guards the fields below
	options func() resp.Options
	idle    []*resp.Conn
	busy    int
	stale   int           // kept connections that turned out dead since the last look at the pool
	epoch   int           // raised by drop: a connection of an older epoch is not kept
	spoke   bool          // Redis has answered under these options
	connect time.Duration // how long the newest connection took to come up
}

// exchange is what came of sending PING and more over one connection.
type exchange struct {
	ping    health.Ping
	connect time.Duration // how long connecting took; 0 on a kept connection
	end     time.Time
	replies []resp.Reply // answers to the commands after PING, as many as arrived
	err     error        // why not all of them arrived; nil when they did
}

// step is told of each reply as it arrives: index 0 is the first command after PING.
type step func(index int, at time.Time)

// do sends PING and the commands in one write. fresh asks for a new connection: what a client that connects now would see. On a
// kept connection that turns out dead it tries once more on a new one, because that says nothing about Redis; a timeout is not
// tried again.
func (l *link) do(ctx context.Context, fresh bool, commands [][]string, each step) exchange {
	for {
		conn, epoch := l.take(fresh)
		kept := conn != nil
		x := exchange{ping: health.Ping{At: time.Now(), Connected: kept}}
		if !kept {
			var err error
			conn, err = resp.Dial(ctx, l.currentOptions())
			x.connect = time.Since(x.ping.At)
			if err != nil {
				l.put(nil, epoch, false)
				x.fail(ctx, err)
				l.judgeHandshake(&x, err)
				return x
			}
			x.ping.Connected = true
			l.mu.Lock()
			l.connect = x.connect
			l.mu.Unlock()
		}
		x.talk(ctx, conn, commands, each)
		l.put(conn, epoch, x.err == nil)
		if x.ping.Reply.Alive() {
			l.mu.Lock()
			l.spoke = epoch == l.epoch || l.spoke
			l.mu.Unlock()
		}
		if kept && x.err != nil && x.ping.Reply == health.ReplyUnreachable && ctx.Err() == nil {
			l.mu.Lock()
			l.stale++
			l.mu.Unlock()
			fresh = true
			continue
		}
		return x
	}
}

// judgeHandshake tells apart two silences in a TLS handshake that look the same: a frozen Redis, and a port that does not speak TLS
// and waits for more. Where TLS has worked with these settings it is Redis that went silent; else the settings are suspected first.
func (l *link) judgeHandshake(x *exchange, err error) {
	if !errors.Is(err, resp.ErrHandshake) {
		return
	}
	x.ping.Connected = true
	l.mu.Lock()
	defer l.mu.Unlock()
	if x.ping.Reply == health.ReplyTimeout && !l.spoke {
		x.ping.Reply = health.ReplyTLS
	}
}

// talk performs the exchange over conn.
func (x *exchange) talk(ctx context.Context, conn *resp.Conn, commands [][]string, each step) {
	all := append([][]string{{"PING"}}, commands...)
	answered := false
	sent := time.Now() // connecting is no part of the answer's time
	x.err = conn.DoEach(ctx, all, func(r resp.Reply) {
		at := time.Now()
		if !answered {
			answered = true
			x.ping.Latency, x.end = at.Sub(sent), at
			x.answer(r, conn.AuthError())
			return
		}
		if x.replies = append(x.replies, r); each != nil {
			each(len(x.replies)-1, at)
		}
	})
	if answered {
		return
	}
	if refusal := conn.AuthError(); refusal != "" { // it answered AUTH and then closed, as maxclients does
		x.ping.Latency, x.end = time.Since(x.ping.At), time.Now()
		x.answer(resp.Reply{Kind: resp.Error, Str: refusal}, "")
		return
	}
	x.fail(ctx, x.err)
}

// answer classifies the reply to PING. Where AUTH was refused, NOAUTH is only the echo of that refusal.
func (x *exchange) answer(r resp.Reply, authErr string) {
	text := r.Str
	x.ping.Reply = health.ClassifyReply(text)
	if r.Kind != resp.Simple && r.Kind != resp.Error {
		x.ping.Reply = health.ReplyProtocol
	}
	if x.ping.Reply == health.ReplyNoAuth && authErr != "" {
		text = authErr
		if c := health.ClassifyReply(authErr); c != health.ReplyProtocol {
			x.ping.Reply = c
		}
	}
	if x.ping.Reply != health.ReplyPong {
		x.ping.Detail = capped(text)
	}
}

func (x *exchange) fail(ctx context.Context, err error) {
	x.end = time.Now()
	x.ping.Latency = x.end.Sub(x.ping.At)
	x.ping.Reply = health.ClassifyError(err)
	switch {
	case errors.Is(err, resp.ErrProtocol):
		x.ping.Reply = health.ReplyProtocol
	case errors.Is(ctx.Err(), context.Canceled):
		x.ping.Reply = health.NoReplyYet // we were stopped: nothing was learnt
	case ctx.Err() != nil && x.ping.Reply == health.ReplyUnreachable:
		x.ping.Reply = health.ReplyTimeout
	}
	x.ping.Detail = capped(err.Error())
	x.err = err
}

func capped(s string) string {
	if len(s) > maxDetail {
		return s[:maxDetail]
	}
	return s
}

func (l *link) currentOptions() resp.Options {
	l.mu.Lock()
	f := l.options
	l.mu.Unlock()
	return f()
}

// take hands out a kept connection, or nil when a new one must be dialled.
func (l *link) take(fresh bool) (*resp.Conn, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy++
	n := len(l.idle)
	if fresh || n == 0 {
		return nil, l.epoch
	}
	c := l.idle[n-1]
	l.idle = l.idle[:n-1]
	return c, l.epoch
}

// put gives a connection back; it is kept when it is whole, current and wanted.
func (l *link) put(c *resp.Conn, epoch int, whole bool) {
	l.mu.Lock()
	l.busy--
	keep := c != nil && whole && epoch == l.epoch && len(l.idle) < maxIdleConns && c.AuthError() == ""
	if keep {
		l.idle = append(l.idle, c)
	}
	l.mu.Unlock()
	if c != nil && !keep {
		_ = c.Close()
	}
}

// reset changes how to connect. keep tells that the new way leads to the same place under the same name: kept connections stay.
func (l *link) reset(options func() resp.Options, keep bool) {
	l.mu.Lock()
	l.options = options
	if !keep {
		l.spoke = false
	}
	l.mu.Unlock()
	if !keep {
		l.drop()
	}
}

// drop closes the kept connections; ones in use are closed when they come back.
func (l *link) drop() {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil
	l.epoch++
	l.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

// check sends a PING over every idle kept connection and drops the dead ones. It is the document's fourth layer.
func (l *link) check(ctx context.Context) health.Pool {
	p := health.Pool{At: time.Now(), OK: true}
	l.mu.Lock()
	idle, epoch := l.idle, l.epoch
	l.idle = nil
	l.busy += len(idle)
	p.Stale = l.stale
	l.stale = 0
	l.mu.Unlock()
	for _, c := range idle {
		var x exchange
		x.ping.At = time.Now()
		x.talk(ctx, c, nil, nil)
		l.put(c, epoch, x.err == nil)
		switch {
		case x.err == nil:
		case x.ping.Reply == health.ReplyTimeout:
			p.Timeouts++
			p.OK, p.Err = false, x.ping.Detail
		default:
			p.Stale++
		}
	}
	l.mu.Lock()
	p.Idle, p.Total = len(l.idle), len(l.idle)+l.busy
	l.mu.Unlock()
	p.Took = time.Since(p.At)
	return p
}
