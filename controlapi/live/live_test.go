package live

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator"
)

// pipes is a listener whose connections are in memory, so that everything happens in the bubble of a test.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}

// rig is a running hub with clients on pipes.
type rig struct {
	t      *testing.T
	hub    *Hub
	net    *pipes
	client *http.Client
	check  atomic.Int64 // the close code that Check answers
	stop   context.CancelFunc
	done   chan error
	server *http.Server
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	o.Logger = zerolog.Nop()
	r := &rig{t: t, hub: New(o), net: newPipes(), done: make(chan error, 1)}
	r.client = &http.Client{Transport: &http.Transport{DialContext: r.net.dial}}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.hub.Run(ctx) }()
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve)}
	go func() { _ = r.server.Serve(r.net) }()
	return r
}

func (r *rig) serve(w http.ResponseWriter, req *http.Request) {
	q := req.URL.Query()
	s := Subscription{
		Service: q.Get("service"), User: q.Get("user"), Address: q.Get("address"), Evidence: q.Get("evidence") != "",
		Check: func(context.Context) (websocket.StatusCode, string) {
			return websocket.StatusCode(r.check.Load()), "because"
		},
	}
	if q.Has("after") {
		s.Resume = true
		_ = json.Unmarshal([]byte(q.Get("after")), &s.After)
	}
	if err := r.hub.Serve(w, req, s); err != nil {
		http.Error(w, err.Error(), http.StatusTooManyRequests)
	}
}

// end stops everything and waits for it.
func (r *rig) end() {
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
	_ = r.server.Close()
	r.client.CloseIdleConnections()
}

func (r *rig) dial(query string) (*websocket.Conn, error) {
	c, _, err := websocket.Dial(r.t.Context(), "ws://hub/?service=redis&"+query, &websocket.DialOptions{HTTPClient: r.client})
	return c, err
}

func (r *rig) mustDial(query string) *websocket.Conn {
	r.t.Helper()
	c, err := r.dial(query)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func read(t *testing.T, c *websocket.Conn) wire {
	t.Helper()
	_, raw, err := c.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var m wire
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func readClose(t *testing.T, c *websocket.Conn) websocket.StatusCode {
	t.Helper()
	for {
		if _, _, err := c.Read(t.Context()); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// pass lets time go by. In a synctest bubble that costs nothing.
func pass(d time.Duration) { <-time.After(d) }

func event(name string) remediator.Event {
	return remediator.Event{Type: remediator.EventService, Service: "redis", Event: name}
}

func TestEventsAreNumberedPerService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var prepared []string
		r := newRig(t, Options{Prepare: func(ev *remediator.Event) { prepared = append(prepared, ev.Event); ev.Message = "prepared" }})
		defer r.end()
		c := r.mustDial("")
		r.hub.Publish(event("start"))
		r.hub.Publish(remediator.Event{Type: remediator.EventService, Service: "other", Event: "start"})
		r.hub.Publish(event("stop"))
		first, second := read(t, c), read(t, c)
		if first.Event.Event != "start" || second.Event.Event != "stop" || second.Seq != first.Seq+1 || first.Message != "prepared" {
			t.Errorf("%+v %+v", first, second)
		}
		if len(prepared) != 3 || r.hub.Stats().Published != 3 || r.hub.Stats().Clients != 1 {
			t.Errorf("%v %+v", prepared, r.hub.Stats())
		}
	})
}

func TestMutedAndRepeatedEventsAreNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Limits: Limits{Mute: map[remediator.EventType]bool{remediator.EventHealth: true}}})
		defer r.end()
		c := r.mustDial("")
		pid := 7
		status := func(word string, pid *int) {
			r.hub.Publish(remediator.Event{Type: remediator.EventServiceStatus, Service: "redis", Status: word, Details: &remediator.StatusDetails{PID: pid}})
		}
		status("running", nil)
		status("running", nil)
		r.hub.Publish(remediator.Event{Type: remediator.EventHealth, Service: "redis"})
		status("running", &pid)
		a, b := read(t, c), read(t, c)
		if a.Details.PID != nil || *b.Details.PID != 7 || b.Seq != a.Seq+1 {
			t.Errorf("%+v %+v", a, b)
		}
	})
}

func TestAnEventThatCannotBeEncodedIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Snapshot: func(string) []remediator.Event {
			return []remediator.Event{{Type: remediator.EventHealth, Health: func() {}}, {Type: remediator.EventHealth, Incident: &remediator.Incident{}, Degradation: make(chan int)}}
		}})
		defer r.end()
		c := r.mustDial("")
		r.hub.Publish(remediator.Event{Type: remediator.EventHealth, Service: "redis", Health: func() {}})
		r.hub.Publish(event("start"))
		if m := read(t, c); m.Event.Event != "start" || m.Seq != r.hub.start+1 {
			t.Errorf("%+v", m)
		}
	})
}

func TestEvidenceIsForThoseWhoMaySeeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := time.FixedZone("elsewhere", 3600)
		in := &remediator.Incident{ID: "inc-1", OpenedAt: time.Date(2025, 10, 10, 15, 30, 0, 123456789, zone), Steps: []remediator.Step{
			{Kind: "diagnosed", Evidence: map[string]string{"line": "canary-evidence"}},
		}}
		r := newRig(t, Options{Snapshot: func(string) []remediator.Event {
			return []remediator.Event{{Type: remediator.EventIncident, Service: "redis", Incident: in}}
		}})
		defer r.end()
		admin, viewer := r.mustDial("evidence=1"), r.mustDial("")
		for range 2 { // the snapshot, then the event
			a, v := read(t, admin), read(t, viewer)
			if a.Incident.Steps[0].Evidence["line"] != "canary-evidence" || v.Incident.Steps[0].Evidence != nil {
				t.Errorf("%+v %+v", a.Incident, v.Incident)
			}
			if got := a.Incident.OpenedAt.Format(time.RFC3339Nano); got != "2025-10-10T14:30:00.123Z" {
				t.Errorf("opened at %s", got)
			}
			r.hub.Publish(remediator.Event{Type: remediator.EventIncident, Service: "redis", Incident: in})
		}
		if in.Steps[0].Evidence == nil || in.OpenedAt.Location() != zone {
			t.Error("the publisher's incident was changed")
		}
	})
}

func TestSnapshotFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Snapshot: func(id string) []remediator.Event {
			return []remediator.Event{{Type: remediator.EventServiceStatus, Service: id, Status: "running"}, {Type: remediator.EventHealth, Service: id}}
		}})
		defer r.end()
		r.hub.Publish(event("start"))
		c := r.mustDial("")
		r.hub.Publish(event("stop"))
		a, b, d := read(t, c), read(t, c), read(t, c)
		if a.Type != remediator.EventServiceStatus || !a.Snapshot || a.Seq != r.hub.start+1 || !b.Snapshot || b.Seq != 0 || d.Snapshot || d.Seq != a.Seq+1 || a.Timestamp.IsZero() {
			t.Errorf("%+v\n%+v\n%+v", a, b, d)
		}
	})
}

func TestResuming(t *testing.T) {
	for _, c := range []struct {
		name    string
		publish int
		ring    int
		bytes   int
		after   int64 // relative to the first number
		want    string
	}{
		{"missed two", 3, 10, 0, 1, "e2 e3 live"},
		{"missed none", 3, 10, 0, 3, "live"},
		{"missed all", 3, 10, 0, 0, "e1 e2 e3 live"},
		{"missed more than is kept", 5, 2, 0, 1, "snapshot live"},
		{"missed just what is kept", 5, 2, 0, 3, "e4 e5 live"},
		{"more bytes than are kept", 5, 10, 1, 3, "snapshot live"},
		{"of an earlier process", 3, 10, 0, -1000, "snapshot live"},
		{"of a process with a faster clock", 3, 10, 0, 1000, "snapshot live"},
		{"nothing happened yet", 0, 10, 0, 0, "live"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{Ring: c.ring, RingBytes: c.bytes, Snapshot: func(string) []remediator.Event {
					return []remediator.Event{{Type: remediator.EventServiceStatus, Service: "redis"}}
				}})
				defer r.end()
				for i := range c.publish {
					r.hub.Publish(event("e" + string(rune('1'+i))))
				}
				raw, _ := json.Marshal(int64(r.hub.start) + c.after)
				conn := r.mustDial("after=" + string(raw))
				r.hub.Publish(event("live"))
				var got []string
				for len(got) == 0 || got[len(got)-1] != "live" {
					m := read(t, conn)
					if m.Snapshot {
						m.Event.Event = "snapshot"
					}
					got = append(got, m.Event.Event)
				}
				if s := strings.Join(got, " "); s != c.want {
					t.Errorf("got %s, want %s", s, c.want)
				}
			})
		})
	}
}

// TestASlowClientCostsNobody: one client never reads; the publisher is not held up, the others get everything, and it is closed.
func TestASlowClientCostsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Queue: 4})
		defer r.end()
		quick, stuck := r.mustDial("user=quick"), r.mustDial("user=stuck")
		began := time.Now()
		for i := range 20 {
			r.hub.Publish(event("e"))
			if m := read(t, quick); m.Seq != r.hub.start+1+uint64(i) {
				t.Fatalf("event %d has the number %d", i, m.Seq)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("publishing took %s", took)
		}
		if s := r.hub.Stats(); s.Slow != 1 || s.Clients != 1 {
			t.Errorf("%+v", s)
		}
		// What was under way still arrives, then the reason.
		if got := readClose(t, stuck); got != websocket.StatusTryAgainLater {
			t.Errorf("closed with %v", got)
		}
	})
}

func TestAClientThatIsGoneIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		defer r.end()
		leaves, silent := r.mustDial(""), r.mustDial("")
		_ = leaves.CloseNow()
		synctest.Wait()
		if got := r.hub.Stats().Clients; got != 1 {
			t.Errorf("%d clients after one left", got)
		}
		// The other one reads nothing, so it answers no ping.
		pass(DefaultPingEvery + 2*DefaultWriteTimeout)
		synctest.Wait()
		if got := r.hub.Stats().Clients; got != 0 {
			t.Errorf("%d clients after one fell silent", got)
		}
		_ = silent.CloseNow()
	})
}

func TestAClientThatAnswersPingsStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		defer r.end()
		c := r.mustDial("")
		reading := c.CloseRead(t.Context())
		pass(10 * DefaultPingEvery)
		synctest.Wait()
		if r.hub.Stats().Clients != 1 || reading.Err() != nil {
			t.Errorf("%+v", r.hub.Stats())
		}
	})
}

func TestAWriteThatHangsEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Snapshot: func(string) []remediator.Event { return []remediator.Event{event("a"), event("b")} }})
		defer r.end()
		c := r.mustDial("")
		pass(2 * DefaultWriteTimeout)
		synctest.Wait()
		if got := r.hub.Stats().Clients; got != 0 {
			t.Errorf("%d clients", got)
		}
		other := r.mustDial("")
		read(t, other)
		read(t, other)
		r.hub.Publish(event("c"))
		pass(2 * DefaultWriteTimeout)
		synctest.Wait()
		if got := r.hub.Stats().Clients; got != 0 {
			t.Errorf("%d clients", got)
		}
		_, _ = c.CloseNow(), other.CloseNow()
	})
}

func TestClientsDoNotTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		defer r.end()
		c := r.mustDial("")
		go func() { _ = c.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 100))) }()
		if got := readClose(t, c); got != websocket.StatusPolicyViolation {
			t.Errorf("closed with %v", got)
		}
	})
}

func TestRightsAreAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		defer r.end()
		c := r.mustDial("")
		began := time.Now()
		r.check.Store(int64(StatusSignedOut))
		if got := readClose(t, c); got != StatusSignedOut || time.Since(began) > 5*time.Second {
			t.Errorf("closed with %v after %s", got, time.Since(began))
		}
		synctest.Wait()
		if got := r.hub.Stats().Clients; got != 0 {
			t.Errorf("%d clients", got)
		}
	})
}

func TestCaps(t *testing.T) {
	for name, o := range map[string]Limits{"user": {MaxPerUser: 1}, "address": {MaxPerAddress: 1}, "all": {MaxClients: 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Options{Limits: o})
				defer r.end()
				first := r.mustDial("user=ann&address=a")
				if _, err := r.dial("user=ann&address=a"); err == nil {
					t.Fatal("the second one was let in")
				}
				if name != "all" {
					_ = r.mustDial("user=bob&address=b").CloseNow()
				}
				_ = first.CloseNow()
				synctest.Wait()
				_ = r.mustDial("user=ann&address=a").CloseNow()
				if got := r.hub.Stats().Refused; got != 1 {
					t.Errorf("%d refused", got)
				}
			})
		})
	}
}

func TestTheEndOfTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		c := r.mustDial("")
		r.stop()
		if got := readClose(t, c); got != websocket.StatusGoingAway {
			t.Errorf("closed with %v", got)
		}
		if err := <-r.done; err != nil {
			t.Error(err)
		}
		if _, err := r.dial(""); err == nil {
			t.Error("a client was let in after the end")
		}
		if err := r.hub.Serve(nil, nil, Subscription{}); !errors.Is(err, ErrClosed) {
			t.Errorf("%v", err)
		}
		r.hub.Publish(event("late"))
		_ = r.server.Close()
		r.client.CloseIdleConnections()
	})
}

func TestRequestsThatAreNoWebSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{})
		defer r.end()
		resp, err := r.client.Get("http://hub/?service=redis")
		if err != nil || resp.StatusCode != http.StatusUpgradeRequired {
			t.Fatalf("%v %v", resp, err)
		}
		resp.Body.Close()
		if got := r.hub.Stats().Clients; got != 0 {
			t.Errorf("%d clients", got)
		}
	})
}

// TestPublishingWhileClientsComeAndGo is for the race detector: every client sees numbers without a gap.
func TestPublishingWhileClientsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Options{Queue: 1000})
		defer r.end()
		var wg sync.WaitGroup
		stop := make(chan struct{})
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
					r.hub.Publish(event("e"))
				}
			}
		})
		var clients sync.WaitGroup
		for range 20 {
			clients.Go(func() {
				c, err := r.dial("")
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = c.CloseNow() }()
				last := uint64(0)
				for range 20 {
					m := read(t, c)
					if last != 0 && m.Seq != last+1 {
						t.Errorf("%d after %d", m.Seq, last)
					}
					last = m.Seq
				}
			})
		}
		clients.Wait()
		close(stop)
		wg.Wait()
	})
}

// sized is a connection that notes the size of its buffer.
type sized struct {
	net.Conn
	size int
}

func (s *sized) SetWriteBuffer(n int) error { s.size = n; return nil }

type wrapped struct {
	net.Conn
	inner net.Conn
}

func (w wrapped) NetConn() net.Conn { return w.inner }

func TestTheKernelsBufferIsSmall(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"plain": func(c net.Conn) net.Conn { return c }, "TLS": func(c net.Conn) net.Conn { return wrapped{inner: c} },
	} {
		s := &sized{}
		shrinkBuffer(wrap(s))
		if s.size != sendBuffer {
			t.Errorf("%s: %d", name, s.size)
		}
	}
	shrinkBuffer(nil)
}
