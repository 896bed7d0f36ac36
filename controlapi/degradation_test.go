package controlapi

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/degradation"
	"github.com/redis-medic/redis-medic/remediator"
)

// dependant is an application that follows the degraded mode, and what it was told.
type dependant struct {
	*degradation.Follower
	mu     sync.Mutex
	told   []string
	failed []string
}

func (d *dependant) heard(what string) func(degradation.State) {
	return func(s degradation.State) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.told = append(d.told, what+" "+s.Fallbacks.Cache)
	}
}

func (d *dependant) calls() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.told)
}

func (d *dependant) failures() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.failed, "\n")
}

// depend runs a follower until the test ends.
func depend(t *testing.T, addr string, change func(*degradation.Options)) *dependant {
	t.Helper()
	d := &dependant{}
	o := degradation.Options{
		URL: "http://" + addr, Service: "redis", Token: func() string { return viewToken }, Enter: d.heard("enter"), Leave: d.heard("leave"),
		MinRetry: 10 * time.Millisecond, MaxRetry: 100 * time.Millisecond,
		Failed: func(err error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.failed = append(d.failed, err.Error())
		},
	}
	if change != nil {
		change(&o)
	}
	f, err := degradation.New(o)
	if err != nil {
		t.Fatal(err)
	}
	d.Follower = f
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return d
}

func eventually(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !yes() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// degrade does what the remediator does when an outage is confirmed or over.
func (r *rig) degrade(on bool) {
	state, word := remediator.State{Service: "redis"}, "left"
	if on {
		state.DegradedSince, word = at, "entered"
	}
	r.remediator.setState("redis", state)
	r.Hub().Publish(remediator.Event{Type: remediator.EventDegradation, Service: "redis", Status: word, Timestamp: at, Degradation: map[string]any{"since": at}})
}

func TestADependantFollowsTheDegradedMode(t *testing.T) {
	r := serveRig(t, nil)
	d := depend(t, r.Addr().String(), nil)
	eventually(t, "connected", func() bool { return d.State().Connected })
	if s := d.State(); s.Degraded || !s.Known() || s.Age(time.Now()) != 0 || s.Fallbacks.Sessions != degradation.FromRedis {
		t.Errorf("at first: %+v", s)
	}
	r.degrade(true)
	eventually(t, "entered", func() bool { return len(d.calls()) == 1 })
	s := d.State()
	want := degradation.Fallbacks{Sessions: degradation.InMemory, Cache: degradation.Bypass, RealTime: degradation.Queue, KnowledgeBase: degradation.Local}
	if !s.Degraded || !s.Since.Equal(at) || s.Fallbacks != want || s.Message == "" {
		t.Errorf("degraded: %+v", s)
	}
	r.degrade(false)
	eventually(t, "left", func() bool { return len(d.calls()) == 2 })
	if got := d.calls(); !slices.Equal(got, []string{"enter bypass", "leave redis"}) || d.State().Degraded || !d.State().Since.IsZero() {
		t.Errorf("told %v, state %+v", got, d.State())
	}
}

// Found at the start, it is entered too.
func TestADependantThatStartsDuringAnOutage(t *testing.T) {
	r := serveRig(t, nil)
	r.remediator.setState("redis", remediator.State{DegradedSince: at})
	d := depend(t, r.Addr().String(), nil)
	eventually(t, "entered", func() bool { return slices.Equal(d.calls(), []string{"enter bypass"}) })
}

// While the API is away the last state stays and gets older; what changed meanwhile is told once it is back.
func TestADependantOutlivesTheAPI(t *testing.T) {
	first := newRig(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	addr := first.Addr().String()
	d := depend(t, addr, nil)
	eventually(t, "connected", func() bool { return d.State().Connected })
	first.degrade(true)
	eventually(t, "entered", func() bool { return d.State().Degraded })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "the loss is noticed", func() bool { return !d.State().Connected && strings.Contains(d.failures(), "ask") })
	if s := d.State(); !s.Degraded || s.Age(s.At.Add(time.Minute)) != time.Minute {
		t.Errorf("while the API is away: %+v", s)
	}
	serveRig(t, func(o *Options) { o.Listen = addr })
	eventually(t, "left", func() bool { return slices.Equal(d.calls(), []string{"enter bypass", "leave redis"}) })
	eventually(t, "connected again", func() bool { return d.State().Connected })
}

// Who may not follow events asks, and so does everybody where the configuration keeps the mode off the stream.
func TestADependantWithoutEventsAsks(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.Degraded.BroadcastStatus = false })
	quick := func(o *degradation.Options) { o.Poll = 20 * time.Millisecond }
	anonymous := depend(t, r.Addr().String(), func(o *degradation.Options) { o.Token = nil; quick(o) })
	muted := depend(t, r.Addr().String(), quick)
	eventually(t, "known", func() bool { return anonymous.State().Known() && muted.State().Connected })
	r.degrade(true)
	eventually(t, "entered", func() bool { return anonymous.State().Degraded && muted.State().Degraded })
	if anonymous.State().Connected || !strings.Contains(anonymous.failures(), "401") {
		t.Errorf("anonymous follows: %+v, %s", anonymous.State(), anonymous.failures())
	}
}

// A refused token costs the state nothing, and shows in no error.
func TestADependantWithAWrongToken(t *testing.T) {
	r := serveRig(t, nil)
	d := depend(t, r.Addr().String(), func(o *degradation.Options) {
		o.Token = func() string { return "canary-wrong-token-0123456789abcdef" }
		o.Poll = 10 * time.Millisecond
	})
	eventually(t, "refused", func() bool { return strings.Contains(d.failures(), "401") })
	if d.State().Known() || strings.Contains(d.failures(), "canary") {
		t.Errorf("%+v %s", d.State(), d.failures())
	}
}

// What answers at the address may be anything.
func TestADependantAtTheWrongDoor(t *testing.T) {
	r := serveRig(t, nil)
	for name, change := range map[string]func(*degradation.Options){
		"the panel":        func(o *degradation.Options) { o.URL += "/panel" },
		"no such service":  func(o *degradation.Options) { o.Service = "nobody" },
		"nobody listens":   func(o *degradation.Options) { o.URL = "http://" + closedPort(t) },
		"a slash in an id": func(o *degradation.Options) { o.Service = "../redis" },
	} {
		d := depend(t, r.Addr().String(), func(o *degradation.Options) { change(o); o.Poll = 10 * time.Millisecond })
		eventually(t, name, func() bool { return d.failures() != "" })
		if d.State().Known() {
			t.Errorf("%s: %+v", name, d.State())
		}
	}
	for _, o := range []degradation.Options{{}, {URL: "ftp://x", Service: "redis"}, {URL: "http://h"}, {URL: "http://h:x", Service: "redis"}} {
		if _, err := degradation.New(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// An expired token ends the stream; the next one is asked for.
func TestADependantRenewsItsToken(t *testing.T) {
	r := serveRig(t, nil)
	var mu sync.Mutex
	token := viewToken
	d := depend(t, r.Addr().String(), func(o *degradation.Options) {
		o.Token = func() string {
			mu.Lock()
			defer mu.Unlock()
			return token
		}
		o.Poll = 10 * time.Millisecond
	})
	eventually(t, "connected", func() bool { return d.State().Connected })
	o := testOptions(r)
	o.ServiceAccounts[2].Token = strings.Repeat("n", 40)
	if err := r.setUsers(o.Users, []authn.ServiceAccount{o.ServiceAccounts[2]}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "signed out", func() bool { return strings.Contains(d.failures(), "401") })
	mu.Lock()
	token = o.ServiceAccounts[2].Token
	mu.Unlock()
	eventually(t, "connected again", func() bool { return d.State().Connected })
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
