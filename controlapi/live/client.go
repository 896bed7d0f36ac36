package live

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// sendBuffer is the kernel's buffer per client. The default would hold minutes of events for a client that reads none of them,
// times ten thousand clients.
const sendBuffer = 32 << 10

// readLimit bounds what a client can make us read before it is closed for sending at all.
const readLimit = 4 << 10

// Subprotocol is echoed to clients that offer it, as those must that carry a ticket beside it.
const Subprotocol = "redis-medic.v1"

// Subscription says who listens to what.
type Subscription struct {
	Service  string
	User     string // for the cap per user; empty: not capped
	Address  string
	Evidence bool   // may see evidence
	Resume   bool   // send what came after After, instead of a snapshot
	After    uint64 // the last number that the client has seen
	// Check says whether the client may still listen: 0, or the close code and its public reason. It is called every few
	// seconds and must not block for long.
	Check func(ctx context.Context) (websocket.StatusCode, string)
	// Filter is handed to the encoder of Post.
	Filter string
	// First returns what the client gets first, instead of the hub's snapshot. It is called at the moment of joining, so that what is
	// posted before is in it and what is posted after is not; it must not call the hub. Nil: the hub's snapshot.
	First func() [][]byte
	// Left is called once after the client has gone, if Serve let it in. Nil: nobody is told.
	Left func()
	// Conn is the network connection, to size its buffer; nil: left as it is.
	Conn net.Conn
}

// client is one connection.
type client struct {
	sub   Subscription
	queue chan *message
	ended chan struct{} // closed by end

	once   sync.Once
	code   websocket.StatusCode
	reason string
}

// end asks the client's goroutine to close the connection. It does not block.
func (c *client) end(code websocket.StatusCode, reason string) {
	c.once.Do(func() {
		c.code, c.reason = code, reason
		close(c.ended)
	})
}

// Serve upgrades a request. Events are then pushed until the client goes, is too slow, may not listen any more, or the hub ends; Run
// waits for that, the caller does not. Before the upgrade it returns ErrTooMany or ErrClosed and has written nothing.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, s Subscription) error {
	network := s.Conn
	s.Conn = nil
	c := &client{sub: s, queue: make(chan *message, h.opts.Queue), ended: make(chan struct{})}
	first, resumed, seq, err := h.add(c)
	if err != nil {
		return err
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns: h.origins(), Subprotocols: []string{Subprotocol}, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		h.leave(c)
		return nil // Accept has answered
	}
	conn.SetReadLimit(readLimit)
	shrinkBuffer(network)
	if !resumed && s.First == nil {
		first = h.snapshot(s.Service, seq)
	}
	// A goroutine of its own, not the request's: that one has a grown stack and holds the request, times ten thousand clients.
	go func() {
		defer h.leave(c)
		defer func() { _ = conn.CloseNow() }()
		h.push(conn, c, first)
	}()
	return nil
}

func (h *Hub) origins() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.limits.OriginPatterns
}

// leave ends the life of a client that add has let in.
func (h *Hub) leave(c *client) {
	h.mu.Lock()
	h.remove(c)
	h.mu.Unlock()
	if c.sub.Left != nil {
		c.sub.Left()
	}
	h.serving.Done()
}

// snapshot encodes the present state. Its first message carries the number of the last event before it, the others carry none:
// together they are one thing.
func (h *Hub) snapshot(service string, seq uint64) []*message {
	if h.opts.Snapshot == nil {
		return nil
	}
	var out []*message
	for i, ev := range h.opts.Snapshot(service) {
		ev.Seq = 0
		if i == 0 {
			ev.Seq = seq
		}
		if m, err := encode(ev, true); err == nil {
			out = append(out, m)
		}
	}
	return out
}

// push is the life of a connection. It is the only goroutine that writes; a second one, of the library, reads control frames and
// closes the connection when the client sends anything else.
func (h *Hub) push(conn *websocket.Conn, c *client, first []*message) {
	gone := conn.CloseRead(context.Background()) // ends when the client has gone
	for _, m := range first {
		if !h.write(gone, conn, c, m) {
			return
		}
	}
	ping := time.NewTicker(h.opts.PingEvery)
	defer ping.Stop()
	for {
		select {
		case m := <-c.queue:
			if !h.write(gone, conn, c, m) {
				return
			}
		case <-c.ended:
			_ = conn.Close(c.code, c.reason)
			return
		case <-h.closing:
			_ = conn.Close(websocket.StatusGoingAway, "shutting down")
			return
		case <-gone.Done():
			return
		case <-ping.C:
			if !h.ping(gone, conn) {
				return
			}
		}
	}
}

func (h *Hub) write(ctx context.Context, conn *websocket.Conn, c *client, m *message) bool {
	data := m.public
	if c.sub.Evidence {
		data = m.full
	}
	ctx, cancel := context.WithTimeout(ctx, h.opts.WriteTimeout)
	defer cancel()
	return conn.Write(ctx, websocket.MessageText, data) == nil
}

func (h *Hub) ping(ctx context.Context, conn *websocket.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, h.opts.WriteTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}

func shrinkBuffer(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	if b, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = b.SetWriteBuffer(sendBuffer)
	}
}
