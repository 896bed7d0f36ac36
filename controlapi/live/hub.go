// Package live owns the event stream: it numbers the remediator's events, keeps the latest ones for clients that come back, and
// pushes them to WebSocket clients. Publish never blocks: every client has a bounded queue, and one that does not keep up is
// closed, not waited for. Who may listen is decided by the caller; the hub only asks again, every few seconds.
package live

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator"
)

// The defaults of Options, with their reasons.
const (
	DefaultQueue         = 64               // events; a recovery makes about 20
	DefaultRing          = 512              // events kept per service for clients that resume
	DefaultRingBytes     = 1 << 20          // their encoded size
	DefaultPingEvery     = 20 * time.Second // under the 30 s after which proxies drop idle connections
	DefaultWriteTimeout  = 5 * time.Second
	DefaultRecheckEvery  = 2 * time.Second // so that a logout closes the stream within 5 s
	DefaultMaxClients    = 20000
	DefaultMaxPerUser    = 50
	DefaultMaxPerAddress = 200
)

// The close codes of our own, in the private range.
const (
	StatusSignedOut websocket.StatusCode = 4401 // logged out, expired, or the account is gone
	StatusForbidden websocket.StatusCode = 4403 // the role changed
)

// Options are what a Hub needs. Zero numbers mean the defaults.
type Options struct {
	Logger zerolog.Logger

	Queue, Ring, RingBytes                int
	PingEvery, WriteTimeout, RecheckEvery time.Duration
	Limits

	// Snapshot returns the present state of a service as events. It is called for each client that does not resume.
	Snapshot func(service string) []remediator.Event
	// Prepare sees, and may change, every event before it is numbered, on the publisher's goroutine: it must not block and
	// must not call the publisher back. Nil: nobody.
	Prepare func(*remediator.Event)
}

// Limits are the options that Set may change later. Zero numbers mean the defaults.
type Limits struct {
	MaxClients, MaxPerUser, MaxPerAddress int

	OriginPatterns []string                      // further hosts whose pages may connect; see websocket.AcceptOptions
	Mute           map[remediator.EventType]bool // event types that are not broadcast
}

// complete fills the defaults in.
func (l *Limits) complete() {
	setDefault(&l.MaxClients, DefaultMaxClients)
	setDefault(&l.MaxPerUser, DefaultMaxPerUser)
	setDefault(&l.MaxPerAddress, DefaultMaxPerAddress)
}

// Stats are counters of a Hub since it was made.
type Stats struct {
	Clients   int    // connected now
	Published uint64 // events numbered
	Slow      uint64 // clients closed because they did not keep up
	Refused   uint64 // clients over a cap
}

// Hub is the event stream. It is safe for concurrent use.
type Hub struct {
	opts    Options
	closing chan struct{} // closed by Run when it ends
	serving sync.WaitGroup
	start   uint64 // the number before the first event of every service

	published, slow, refused atomic.Uint64

	// mu guards the fields below.
	mu        sync.Mutex
	closed    bool
	limits    Limits
	streams   map[string]*stream
	count     int
	byUser    map[string]int
	byAddress map[string]int
}

// stream is the events of one service. Their numbers have no gaps, so that a client sees when it missed one.
type stream struct {
	seq       uint64
	ring      []*message
	ringBytes int
	clients   map[*client]struct{}
	last      *statusKey // of the last service_status
}

// message is one event, encoded once for all clients.
type message struct {
	seq    uint64
	full   []byte
	public []byte // without evidence
}

type statusKey struct {
	status string
	pid    int
}

// wire is an event as it is sent. Snapshot marks messages that describe the present state instead of a change.
type wire struct {
	remediator.Event
	Snapshot bool `json:"snapshot,omitempty"`
}

// The refusals of Serve before the upgrade.
var (
	ErrTooMany = errors.New("too many event streams")
	ErrClosed  = errors.New("the event stream is shutting down")
)

// New makes a hub. It starts nothing. Numbers begin at the present microsecond, so they grow across restarts and a client that
// resumes with the number of an earlier process is noticed.
func New(o Options) *Hub {
	setDefault(&o.Queue, DefaultQueue)
	setDefault(&o.Ring, DefaultRing)
	setDefault(&o.RingBytes, DefaultRingBytes)
	o.Limits.complete()
	setDefault(&o.PingEvery, DefaultPingEvery)
	setDefault(&o.WriteTimeout, DefaultWriteTimeout)
	setDefault(&o.RecheckEvery, DefaultRecheckEvery)
	return &Hub{
		opts: o, limits: o.Limits, closing: make(chan struct{}), start: uint64(time.Now().UnixMicro()),
		streams: map[string]*stream{}, byUser: map[string]int{}, byAddress: map[string]int{},
	}
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Set replaces the limits. Clients that are connected stay.
func (h *Hub) Set(l Limits) {
	l.complete()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.limits = l
}

// stream returns the stream of a service; the caller holds mu.
func (h *Hub) stream(service string) *stream {
	s := h.streams[service]
	if s == nil {
		s = &stream{seq: h.start, clients: map[*client]struct{}{}}
		h.streams[service] = s
	}
	return s
}

// Publish numbers an event and hands it to every client of its service. It never blocks. A service_status that says nothing new
// is dropped.
func (h *Hub) Publish(ev remediator.Event) {
	if h.opts.Prepare != nil {
		h.opts.Prepare(&ev)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.limits.Mute[ev.Type] {
		return
	}
	s := h.stream(ev.Service)
	if ev.Type == remediator.EventServiceStatus && !s.isNews(ev) {
		return
	}
	ev.Seq = s.seq + 1
	m, err := encode(ev, false)
	if err != nil {
		h.opts.Logger.Error().Err(err).Str("type", string(ev.Type)).Msg("event cannot be encoded")
		return
	}
	s.seq++
	h.published.Add(1)
	s.keep(m, h.opts.Ring, h.opts.RingBytes)
	for c := range s.clients {
		h.enqueue(c, m)
	}
}

// enqueue hands a message to a client, or closes it when its queue is full. The caller holds mu.
func (h *Hub) enqueue(c *client, m *message) {
	select {
	case c.queue <- m:
	default:
		h.slow.Add(1)
		h.remove(c)
		c.end(websocket.StatusTryAgainLater, "too slow")
	}
}

// Post hands messages that are no events to the clients of a stream: they are not numbered and not kept. commit is called first, at
// one moment with respect to Subscription.First; encode is called once for each Filter in use, and nothing is sent where it returns
// none. Neither may call the hub. Post never blocks on a client.
func (h *Hub) Post(stream string, commit func(), encode func(filter string) [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	commit()
	s := h.streams[stream]
	if s == nil {
		return
	}
	encoded := map[string][]*message{}
	for c := range s.clients {
		messages, done := encoded[c.sub.Filter]
		if !done {
			messages = raw(encode(c.sub.Filter))
			encoded[c.sub.Filter] = messages
		}
		for _, m := range messages {
			h.enqueue(c, m)
		}
	}
}

// raw makes messages that are the same for everybody.
func raw(bodies [][]byte) []*message {
	out := make([]*message, len(bodies))
	for i, b := range bodies {
		out[i] = &message{full: b, public: b}
	}
	return out
}

// isNews compares a status with the last one.
func (s *stream) isNews(ev remediator.Event) bool {
	key := statusKey{status: ev.Status}
	if ev.Details != nil && ev.Details.PID != nil {
		key.pid = *ev.Details.PID
	}
	news := s.last == nil || *s.last != key
	s.last = &key
	return news
}

// keep appends to the ring and drops the oldest beyond its bounds.
func (s *stream) keep(m *message, count, bytes int) {
	s.ring = append(s.ring, m)
	s.ringBytes += m.size()
	drop := 0
	for len(s.ring)-drop > count || (s.ringBytes > bytes && len(s.ring)-drop > 1) {
		s.ringBytes -= s.ring[drop].size()
		s.ring[drop] = nil
		drop++
	}
	s.ring = s.ring[drop:]
}

func (m *message) size() int { return len(m.full) + len(m.public) }

// encode makes the two forms of an event: with evidence, which may quote logs and configuration, and without.
func encode(ev remediator.Event, snapshot bool) (*message, error) {
	if ev.Timestamp.IsZero() {
		ev.Timestamp = time.Now()
	}
	ev.Timestamp = ev.Timestamp.UTC().Truncate(time.Millisecond)
	in := ev.Incident
	if in != nil {
		shown := Incident(*in, true)
		ev.Incident = &shown
	}
	full, err := json.Marshal(wire{Event: ev, Snapshot: snapshot})
	if err != nil {
		return nil, err
	}
	m := &message{seq: ev.Seq, full: full, public: full}
	if in == nil {
		return m, nil
	}
	bare := Incident(*in, false)
	ev.Incident = &bare
	if m.public, err = json.Marshal(wire{Event: ev, Snapshot: snapshot}); err != nil {
		return nil, err
	}
	return m, nil
}

// Incident returns a copy of an incident as it is sent: times in UTC to the millisecond, a list of steps that is never null, and
// evidence only for those who may see logs.
func Incident(in remediator.Incident, evidence bool) remediator.Incident {
	for _, t := range []*time.Time{&in.AlertAt, &in.OpenedAt, &in.RecoveredAt, &in.ClosedAt} {
		*t = t.UTC().Truncate(time.Millisecond)
	}
	steps := make([]remediator.Step, len(in.Steps))
	for i, s := range in.Steps {
		s.At = s.At.UTC().Truncate(time.Millisecond)
		if !evidence {
			s.Evidence = nil
		}
		steps[i] = s
	}
	in.Steps = steps
	return in
}

// missed returns the events after a number; ok is false when some of them are not kept any more, or were never sent.
func (s *stream) missed(after, start uint64) (events []*message, ok bool) {
	oldest := start
	if len(s.ring) > 0 {
		oldest = s.ring[0].seq - 1
	}
	if after < oldest || after > s.seq {
		return nil, false
	}
	for _, m := range s.ring {
		if m.seq > after {
			events = append(events, m)
		}
	}
	return events, true
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Stats{Clients: h.count, Published: h.published.Load(), Slow: h.slow.Load(), Refused: h.refused.Load()}
}

// Run asks every few seconds whether the clients may still listen. When ctx ends it closes all of them and returns after the
// last one has gone.
func (h *Hub) Run(ctx context.Context) error {
	tick := time.NewTicker(h.opts.RecheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			h.recheck(ctx)
		case <-ctx.Done():
			h.mu.Lock()
			h.closed = true
			h.mu.Unlock()
			close(h.closing)
			h.serving.Wait()
			return nil
		}
	}
}

func (h *Hub) recheck(ctx context.Context) {
	h.mu.Lock()
	all := make([]*client, 0, h.count)
	for _, s := range h.streams {
		for c := range s.clients {
			all = append(all, c)
		}
	}
	h.mu.Unlock()
	for _, c := range all {
		if ctx.Err() != nil {
			return
		}
		if code, reason := c.sub.Check(ctx); code != 0 {
			h.mu.Lock()
			h.remove(c)
			h.mu.Unlock()
			c.end(code, reason)
		}
	}
}

// add registers a client and returns what it missed, in one step, so that no event is lost or sent twice. seq is the number of
// the last event before.
func (h *Hub) add(c *client) (replay []*message, resumed bool, seq uint64, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sub := c.sub
	switch {
	case h.closed:
		return nil, false, 0, ErrClosed
	case h.count >= h.limits.MaxClients, h.byAddress[sub.Address] >= h.limits.MaxPerAddress,
		sub.User != "" && h.byUser[sub.User] >= h.limits.MaxPerUser:
		h.refused.Add(1)
		return nil, false, 0, ErrTooMany
	}
	s := h.stream(sub.Service)
	s.clients[c] = struct{}{}
	h.count++
	h.byAddress[sub.Address]++
	h.byUser[sub.User]++
	h.serving.Add(1)
	if sub.First != nil {
		return raw(sub.First()), false, 0, nil
	}
	if sub.Resume {
		replay, resumed = s.missed(sub.After, h.start)
	}
	return replay, resumed, s.seq, nil
}

// remove takes a client out; the caller holds mu. Twice is fine.
func (h *Hub) remove(c *client) {
	s := h.streams[c.sub.Service]
	if s == nil {
		return
	}
	if _, there := s.clients[c]; !there {
		return
	}
	delete(s.clients, c)
	if len(s.clients) == 0 && s.seq == h.start {
		delete(h.streams, c.sub.Service) // nothing is kept in it
	}
	h.count--
	decrement(h.byAddress, c.sub.Address)
	decrement(h.byUser, c.sub.User)
}

func decrement(m map[string]int, key string) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}
