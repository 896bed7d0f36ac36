package controlapi

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/controlapi/rbac"
	"github.com/redis-medic/redis-medic/remediator"
)

// reload takes over the options in force with a change.
func (r *rig) reload(change func(*Options)) error {
	o := r.conf().Options
	change(&o)
	return r.Reload(context.Background(), o)
}

func (r *rig) setUsers(users []authn.User, accounts []authn.ServiceAccount) error {
	return r.reload(func(o *Options) { o.Users, o.ServiceAccounts = users, accounts })
}

func (r *rig) setPermissions(p map[rbac.Permission][]rbac.Role) error {
	return r.reload(func(o *Options) { o.Permissions = p })
}

func TestAReloadKeepsWhatPeopleHaveInHand(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery, o.RateLimits.Logs = time.Hour, 2 })
	cookie, _ := signIn(r, "admin@autobot.local")
	loggedOut := r.do("POST", "/api/auth/token", "", withCookie(cookie)).json(t)["access_token"].(string)
	r.do("POST", "/api/auth/logout", "", bearer(loggedOut))
	conn, _, err := r.listen(streamPath, authHeader(viewToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	first := r.do("POST", "/api/services/redis/start", "", asOperator, header("Idempotency-Key", "k-1"))
	confirm := r.do("POST", "/api/services/redis/stop", "", asAdmin).json(t)["confirmation_token"].(string)
	for range 2 {
		r.do("GET", "/api/services/redis/logs", "", asAdmin)
	}

	if err := r.reload(func(o *Options) { o.Dependents = []string{"new"} }); err != nil {
		t.Fatal(err)
	}
	if got := r.do("GET", "/api/auth/me", "", withCookie(cookie)).code; got != 200 {
		t.Errorf("the session: %d", got)
	}
	if got := r.do("GET", "/api/auth/me", "", bearer(loggedOut)).code; got != 401 {
		t.Errorf("the token that was logged out: %d", got)
	}
	again := r.do("POST", "/api/services/redis/start", "", asOperator, header("Idempotency-Key", "k-1"))
	if string(again.raw) != string(first.raw) || again.header.Get("Idempotent-Replayed") != "true" || len(r.remediator.seen()) != 1 {
		t.Errorf("the remembered answer: %s, %d operations", again.raw, len(r.remediator.seen()))
	}
	if got := r.do("GET", "/api/services/redis/logs", "", asAdmin).code; got != 429 {
		t.Errorf("the rate window: %d", got)
	}
	if got := r.do("POST", "/api/services/redis/stop", `{"confirmation_token":"`+confirm+`"}`, asAdmin).code; got != 200 {
		t.Errorf("the confirmation: %d", got)
	}
	r.isFollowed(t, conn)
}

func TestAReloadTakesEverythingOver(t *testing.T) {
	r := newRig(t, nil)
	err := r.reload(func(o *Options) {
		o.Services = append(o.Services, ServiceInfo{ID: "queue", Name: "redis-server", Unit: "redis-server@queue.service", IP: "172.16.168.24", Port: 6381})
		o.Services[0].VMName = "another"
		o.RateLimits.Start = 1
		o.ConfirmStop = false
		o.Dependents = []string{"billing"}
		o.AllowedOrigins = []string{"https://new.example"}
		o.Websocket.Endpoint = "/ws/moved"
		o.Prober, o.Remediator, o.Auditor, o.Audits, o.Logs = nil, nil, nil, nil, nil
		o.Listen = "127.0.0.1:1" // is not moved
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.do("GET", "/api/services/queue/status", ""); got.code != 200 {
		t.Errorf("a new service: %d", got.code)
	}
	if got := r.do("GET", "/api/services/redis/status", "").json(t)["vm_info"].(map[string]any)["name"]; got != "another" {
		t.Errorf("a changed service: %v", got)
	}
	r.do("POST", "/api/services/redis/start", "", asOperator)
	if got := r.do("POST", "/api/services/redis/start", "", asOperator).code; got != 429 {
		t.Errorf("a new rate limit: %d", got)
	}
	if got := r.do("POST", "/api/services/redis/stop", "", asAdmin).code; got != 200 {
		t.Errorf("no confirmation any more: %d", got)
	}
	from := func(origin string) int {
		return r.do("POST", "/api/auth/login", `{"email":"viewer@autobot.local","password":"`+password+`"}`, header("Origin", origin), header("Sec-Fetch-Site", "cross-site")).code
	}
	if a, b := from("https://new.example"), from("https://other.example"); a != 200 || b != 403 {
		t.Errorf("origins: %d %d", a, b)
	}
	if got := r.do("GET", "/ws/moved", "", asViewer).code; got != http.StatusUpgradeRequired {
		t.Errorf("the endpoint: %d", got)
	}
}

func TestABadReloadChangesNothing(t *testing.T) {
	r := newRig(t, nil)
	before := r.conf()
	for name, change := range map[string]func(*Options){
		"no service":     func(o *Options) { o.Services = nil },
		"permission":     func(o *Options) { o.Permissions = map[rbac.Permission][]rbac.Role{"fly": {"viewer"}} },
		"user":           func(o *Options) { o.Users = []authn.User{{}} },
		"key":            func(o *Options) { o.JWT.HMACSecret = []byte("short") },
		"origin":         func(o *Options) { o.AllowedOrigins = []string{"nonsense"} },
		"event endpoint": func(o *Options) { o.Websocket.Endpoint = "/api/x" },
	} {
		if err := r.reload(change); err == nil || r.conf() != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := r.do("GET", "/api/auth/me", "", asAdmin).code; got != 200 {
		t.Errorf("%d", got)
	}
	cookie, _ := signIn(r, "viewer@autobot.local")
	r.sessions.setBroken(true)
	if err := r.reload(func(o *Options) { o.Users = nil }); err == nil || !strings.Contains(err.Error(), "end sessions") {
		t.Errorf("a session store that fails: %v", err)
	}
	r.sessions.setBroken(false)
	if got := r.do("GET", "/api/auth/me", "", withCookie(cookie)).code; got != 401 {
		t.Errorf("a removed user with a session that could not be deleted: %d", got)
	}
}

// TestStreamsFollowAReload: a demoted, a removed and a service that is gone; the others stay.
func TestStreamsFollowAReload(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	began := time.Now()
	demoted, _, err1 := r.listen(streamPath, authHeader(opToken))
	removed, _, err2 := r.listen(streamPath, authHeader(viewToken))
	orphan, _, err3 := r.listen("/ws/services/sessions/status", authHeader(adminToken))
	stays, _, err4 := r.listen(streamPath, authHeader(adminToken))
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	err := r.reload(func(o *Options) {
		o.Services = o.Services[:1]
		o.ServiceAccounts = []authn.ServiceAccount{{Name: "root-bot", Role: "admin", Token: adminToken}, {Name: "backend", Role: "viewer", Token: opToken}}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := closedWith(t, demoted); got != live.StatusForbidden {
		t.Errorf("demoted: %v", got)
	}
	if got := closedWith(t, removed); got != live.StatusSignedOut {
		t.Errorf("removed: %v", got)
	}
	if got := closedWith(t, orphan); got != live.StatusForbidden {
		t.Errorf("service removed: %v", got)
	}
	t.Logf("all closed after %s", time.Since(began).Round(time.Millisecond))
	r.Hub().Publish(remediator.Event{Type: remediator.EventService, Service: "redis", Event: "start"})
	for {
		if m := next(t, stays); m["type"] == "service_event" {
			break
		}
	}
	_ = stays.CloseNow()
}

// TestReloadsUnderLoad: no request fails while settings are swapped.
func TestReloadsUnderLoad(t *testing.T) {
	r := newRig(t, nil)
	var asked atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 50 {
			_ = r.reload(func(o *Options) { o.RateLimits.Start = 1000 + i })
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		for _, path := range []string{"/api/services/redis/status", "/api/services", "/api/auth/me", "/api/services/redis/logs"} {
			if got := r.do("GET", path, "", asAdmin).code; got != 200 {
				t.Fatalf("%s: %d", path, got)
			}
			asked.Add(1)
		}
	}
	t.Logf("%d requests", asked.Load())
}
