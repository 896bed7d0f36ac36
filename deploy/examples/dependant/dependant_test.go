package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/degradation"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	durable "github.com/redis-medic/redis-medic/remediator/store"
)

const token = "a-token-of-the-application-0123456789"

// medic stands for the remediator: it knows only whether there is an outage.
type medic struct {
	controlapi.Remediator
	mu    sync.Mutex
	since time.Time
}

func (m *medic) State(string) (remediator.State, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return remediator.State{Service: "redis", DegradedSince: m.since}, true
}

func (m *medic) View(string) (health.View, bool) { return health.View{}, true }

// realAPI runs redis-medic's control API on a real store and audit log.
func realAPI(t *testing.T, m *medic) *controlapi.API {
	t.Helper()
	db, err := durable.Open(t.Context(), durable.Options{Dir: t.TempDir() + "/data", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	records, err := audit.New(t.Context(), audit.Options{Store: db, Key: []byte(strings.Repeat("k", 32)), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	api, err := controlapi.New(controlapi.Options{
		Listen: "127.0.0.1:0", Logger: zerolog.Nop(), Services: []controlapi.ServiceInfo{{ID: "redis", Name: "redis-server"}},
		Prober: m, Remediator: m, Auditor: records, Audits: records, Sessions: db,
		ServiceAccounts: []authn.ServiceAccount{{Name: "app", Role: "viewer", Token: token}},
		Websocket:       controlapi.WebsocketSettings{Enabled: true},
		Degraded:        controlapi.DegradedSettings{Enabled: true, FallbackCache: true, MemorySessions: true, BroadcastStatus: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- api.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := records.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return api
}

// outage does what the remediator does when one is confirmed, or over.
func (m *medic) outage(api *controlapi.API, on bool) {
	m.mu.Lock()
	word := "left"
	m.since = time.Time{}
	if on {
		m.since, word = time.Now().UTC(), "entered"
	}
	m.mu.Unlock()
	api.Hub().Publish(remediator.Event{Type: remediator.EventDegradation, Service: "redis", Status: word, Timestamp: time.Now()})
}

// startRedis starts a real Redis at an address and returns what ends it.
func startRedis(t *testing.T, addr string) (stop func()) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	until(t, "Redis answers", func() bool {
		_, err := remote{addr: addr}.do("PING")
		return err == nil
	})
	return stop
}

func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !yes() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// browser is a user of the application.
type browser struct {
	t      *testing.T
	url    string
	cookie *http.Cookie
}

func (b *browser) do(method, path string) (code int, body, sessions, cache string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.cookie != nil {
		req.AddCookie(b.cookie)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range resp.Cookies() {
		b.cookie = c
	}
	return resp.StatusCode, strings.TrimSpace(string(text)), resp.Header.Get("X-Sessions"), resp.Header.Get("X-Cache")
}

func TestTheApplicationOutlivesItsRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	redis := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kill := startRedis(t, redis)
	m := &medic{}
	api := realAPI(t, m)
	a := newApp(redis)
	f, err := degradation.New(degradation.Options{
		URL: "http://" + api.Addr().String(), Service: "redis", Token: func() string { return token }, Enter: a.enter, Leave: a.leave,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, "the application follows", func() bool { return f.State().Connected })
	web := httptest.NewServer(a)
	defer web.Close()

	ann := &browser{t: t, url: web.URL}
	if code, _, _, _ := ann.do("POST", "/login?user=ann"); code != 200 {
		t.Fatalf("sign in with Redis: %d", code)
	}
	if code, text, sessions, cache := ann.do("GET", "/"); code != 200 || text != "Hello, ann" || sessions != "redis" || cache != "redis" {
		t.Errorf("with Redis: %d %q %s %s", code, text, sessions, cache)
	}

	kill()
	m.outage(api, true)
	bob := &browser{t: t, url: web.URL}
	until(t, "memory takes over", func() bool {
		code, _, sessions, cache := bob.do("POST", "/login?user=bob")
		return code == 200 && sessions == "memory" && cache == "bypass"
	})
	if code, text, _, _ := bob.do("GET", "/"); code != 200 || text != "Hello, bob" {
		t.Errorf("without Redis: %d %q", code, text)
	}

	startRedis(t, redis)
	m.outage(api, false)
	until(t, "Redis takes over", func() bool {
		code, text, sessions, cache := bob.do("GET", "/")
		return code == 200 && text == "Hello, bob" && sessions == "redis" && cache == "redis"
	})
	if user, err := (remote{addr: redis}).get("session:" + bob.cookie.Value); err != nil || user != "bob" {
		t.Errorf("the session of the outage is not in Redis: %q %v", user, err)
	}
}

func TestSessionsInMemoryEnd(t *testing.T) {
	m := newMemory()
	if err := m.set("k", "v", -time.Second); err != nil {
		t.Fatal(err)
	}
	if v, err := m.get("k"); err != nil || v != "" || len(m.values) != 0 {
		t.Errorf("%q %v, %d values", v, err, len(m.values))
	}
	if err := m.set("kept", "v", time.Hour); err != nil {
		t.Fatal(err)
	}
	m.moveTo(remote{addr: "127.0.0.1:1"}, time.Hour)
	if v, _ := m.get("kept"); v != "v" {
		t.Error("what Redis does not take is lost")
	}
}
