package hosttest

import (
	"io"
	"net"
	"sync"
	"time"
)

// wire carries all connections of a server. While it is cut nothing arrives, in either direction, and nothing is lost.
type wire struct {
	mu   sync.Mutex // guards cut and the buffers of all its pipes
	cond *sync.Cond // signalled at each change; a condition and not a poll, so that it works on synctest's clock
	cut  bool
}

func newWire() *wire {
	w := &wire{}
	w.cond = sync.NewCond(&w.mu)
	return w
}

func (w *wire) setCut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.cond.Broadcast()
}

// half is one direction of a connection: a buffer without a bound. Without a buffer SSH would block, because both sides speak
// first.
type half struct {
	buf    []byte
	closed bool
}

// end is one end of a connection.
type end struct {
	w       *wire
	in, out *half
}

// pipe returns the two ends of a new connection.
func (w *wire) pipe() (client, server net.Conn) {
	a, b := &half{}, &half{}
	return &end{w, a, b}, &end{w, b, a}
}

func (e *end) Read(p []byte) (int, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	for (len(e.in.buf) == 0 || e.w.cut) && !e.in.closed {
		e.w.cond.Wait()
	}
	if len(e.in.buf) == 0 || e.w.cut {
		return 0, io.EOF
	}
	n := copy(p, e.in.buf)
	e.in.buf = e.in.buf[n:]
	return n, nil
}

func (e *end) Write(p []byte) (int, error) {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.out.closed {
		return 0, io.ErrClosedPipe
	}
	e.out.buf = append(e.out.buf, p...)
	e.w.cond.Broadcast()
	return len(p), nil
}

// Close closes both directions.
func (e *end) Close() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	e.in.closed, e.out.closed = true, true
	e.w.cond.Broadcast()
	return nil
}

func (e *end) LocalAddr() net.Addr                { return pipeAddr }
func (e *end) RemoteAddr() net.Addr               { return pipeAddr }
func (e *end) SetDeadline(time.Time) error        { return nil }
func (e *end) SetReadDeadline(t time.Time) error  { return nil }
func (e *end) SetWriteDeadline(t time.Time) error { return nil }

// pipeAddr is a TCP address, because the known_hosts check takes no other.
var pipeAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}
