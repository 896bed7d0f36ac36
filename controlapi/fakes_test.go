package controlapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

type fakeProber struct {
	mu    sync.Mutex
	views map[string]health.View
}

func (p *fakeProber) View(id string) (health.View, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v, ok := p.views[id]
	return v, ok
}

func (p *fakeProber) set(id string, v health.View) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.views[id] = v
}

// fakeRemediator answers from its fields.
type fakeRemediator struct {
	mu        sync.Mutex
	operate   func(context.Context, remediator.Request) (remediator.Result, error)
	requests  []remediator.Request
	states    map[string]remediator.State
	incidents []remediator.Incident
	settings  []string
	err       error
}

func (f *fakeRemediator) Operate(ctx context.Context, r remediator.Request) (remediator.Result, error) {
	f.mu.Lock()
	f.requests = append(f.requests, r)
	operate := f.operate
	f.mu.Unlock()
	if operate == nil {
		return success(r.Operation), nil
	}
	return operate(ctx, r)
}

func (f *fakeRemediator) seen() []remediator.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

func (f *fakeRemediator) State(id string) (remediator.State, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.states[id]
	return s, ok
}

func (f *fakeRemediator) setState(id string, s remediator.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.states[id] = s
}

func (f *fakeRemediator) note(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.settings = append(f.settings, what)
	return f.err
}

func (f *fakeRemediator) noted() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.settings)
}

func (f *fakeRemediator) SetAutoRecovery(_ context.Context, id string, actor remediator.Actor, on bool, reason string) error {
	return f.note(strings.Join([]string{"set", id, actor.ID, map[bool]string{true: "on", false: "off"}[on], reason}, " "))
}

func (f *fakeRemediator) ResetAutoRecovery(_ context.Context, id string, actor remediator.Actor, reason string) error {
	return f.note(strings.Join([]string{"reset", id, actor.ID, reason}, " "))
}

func (f *fakeRemediator) AddMaintenance(_ context.Context, id string, actor remediator.Actor, until time.Time, reason string) (remediator.Hold, error) {
	err := f.note(strings.Join([]string{"maintain", id, actor.ID, reason}, " "))
	return remediator.Hold{Code: remediator.HoldMaintenance, Text: reason, By: actor.Name(), Since: at, Until: until}, err
}

func (f *fakeRemediator) EndMaintenance(_ context.Context, id string, actor remediator.Actor) error {
	return f.note(strings.Join([]string{"unmaintain", id, actor.ID}, " "))
}

func (f *fakeRemediator) Incidents(_ context.Context, id, cursor string, limit int) ([]remediator.Incident, string, error) {
	if cursor == "bad" {
		return nil, "", errors.New("disk on fire at /var/lib/secret-path")
	}
	return f.incidents[:min(limit, len(f.incidents))], "next-page", nil
}

func (f *fakeRemediator) Incident(_ context.Context, id string) (remediator.Incident, error) {
	for _, in := range f.incidents {
		if in.ID == id {
			return in, nil
		}
	}
	return remediator.Incident{}, remediator.ErrUnknownIncident
}

func (f *fakeRemediator) Evidence(_ context.Context, id string) (json.RawMessage, error) {
	if id == "inc-1" {
		return json.RawMessage(`{"journal":["canary-evidence"]}`), nil
	}
	return nil, remediator.ErrUnknownIncident
}

func (f *fakeRemediator) Explain(_ context.Context, id string) (remediator.Explanation, error) {
	if f.err != nil {
		return remediator.Explanation{}, f.err
	}
	return remediator.Explanation{At: at, Kind: "act", Level: "standard", Acts: []string{"start"}, Code: "standard", Text: "start the unit",
		Skipped: []remediator.ExplainedSkip{{Level: "soft", Code: "not_running", Text: "no process"}}, Holds: []remediator.Hold{}, Seen: map[string]string{"unit": "inactive/dead"}}, nil
}

// fakeAudit is an audit log in memory that can break.
type fakeAudit struct {
	mu      sync.Mutex
	records []audit.Record
	broken  bool
	filter  audit.Filter
}

func (f *fakeAudit) Append(_ context.Context, r audit.Record) (audit.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken {
		return r, errors.New("no space left on device")
	}
	f.records = append(f.records, r)
	return r, nil
}

func (f *fakeAudit) Query(_ context.Context, filter audit.Filter) ([]audit.Record, int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	if filter.Service == "nothing" {
		return nil, 0, nil
	}
	return slices.Clone(f.records), 41, nil
}

func (f *fakeAudit) Export(_ context.Context, w io.Writer, filter audit.Filter, format audit.Format) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filter = filter
	if filter.Service == "early" {
		return errors.New("canary-cause")
	}
	if filter.Service == "nothing" {
		return nil
	}
	_, _ = io.WriteString(w, string(format)+" line\n")
	if filter.Service == "late" {
		return errors.New("canary-cause")
	}
	return nil
}

func (f *fakeAudit) all() []audit.Record {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.records)
}

func (f *fakeAudit) setBroken(broken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = broken
}

// memSessions is a session store in memory that can break.
type memSessions struct {
	mu     sync.Mutex
	all    map[string]store.Session
	broken bool
}

func newMemSessions() *memSessions { return &memSessions{all: map[string]store.Session{}} }

var errStore = errors.New("database is locked")

func (m *memSessions) lock() (func(), error) {
	m.mu.Lock()
	if m.broken {
		m.mu.Unlock()
		return func() {}, errStore
	}
	return m.mu.Unlock, nil
}

func (m *memSessions) setBroken(broken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.broken = broken
}

func (m *memSessions) PutSession(_ context.Context, s store.Session) error {
	unlock, err := m.lock()
	defer unlock()
	if err == nil {
		m.all[s.IDHash] = s
	}
	return err
}

func (m *memSessions) Session(_ context.Context, hash string) (store.Session, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return store.Session{}, err
	}
	s, ok := m.all[hash]
	if !ok {
		return s, store.ErrNotFound
	}
	return s, nil
}

func (m *memSessions) DeleteSession(_ context.Context, hash string) error {
	unlock, err := m.lock()
	defer unlock()
	if err == nil {
		delete(m.all, hash)
	}
	return err
}

func (m *memSessions) DeleteUserSessions(_ context.Context, user string) (int, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return 0, err
	}
	before := len(m.all)
	maps.DeleteFunc(m.all, func(_ string, s store.Session) bool { return s.UserID == user })
	return before - len(m.all), nil
}

func (m *memSessions) PruneSessions(_ context.Context, now time.Time, idle time.Duration) (int, error) {
	unlock, err := m.lock()
	defer unlock()
	if err != nil {
		return 0, err
	}
	before := len(m.all)
	maps.DeleteFunc(m.all, func(_ string, s store.Session) bool { return now.After(s.Expires) || now.Sub(s.LastUsed) > idle })
	return before - len(m.all), nil
}

type fakeLogs struct {
	entries []LogEntry
	asked   int
	err     error
}

func (f *fakeLogs) Logs(_ context.Context, _ string, lines int) ([]LogEntry, error) {
	f.asked = lines
	return f.entries, f.err
}

// pass lets time go by. In a synctest bubble that costs nothing.
func pass(d time.Duration) { <-time.After(d) }

// at is the document's moment.
var at = time.Date(2025, 10, 10, 14, 30, 0, 0, time.UTC)

const (
	password     = "correct horse battery canary-p4ssw0rd"
	canarySecret = "canary-hmac-secret-0123456789abcdef"
	adminToken   = "canary-admin-token-0123456789abcdef"
	opToken      = "canary-operator-token-0123456789ab"
	viewToken    = "canary-viewer-token-0123456789abcd"
)

// passwordHash is of password, with the lowest bcrypt cost: tests need no strength.
var passwordHash = mustHash()

func success(op remediator.Operation) remediator.Result {
	r := remediator.Result{
		Success: true, Operation: op, Duration: 12500 * time.Millisecond, Timestamp: at, NewStatus: "running", ConnectionsTerminated: -1,
	}
	switch op {
	case remediator.OpStart:
		r.Message = "Redis service started successfully"
	case remediator.OpStop:
		r.Message, r.NewStatus = "Redis service stopped successfully", "stopped"
	case remediator.OpRestart:
		r.Message, r.PreviousUptime, r.ConnectionsTerminated = "Redis service restarted successfully", 24*time.Hour, 42
	case remediator.OpReload:
		r.Message = "Redis configuration reloaded"
	}
	return r
}

// rig is an API on fakes.
type rig struct {
	*API
	t          *testing.T
	prober     *fakeProber
	remediator *fakeRemediator
	audit      *fakeAudit
	sessions   *memSessions
	logs       *fakeLogs
	log        *syncBuffer
}

// syncBuffer collects the log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func testOptions(r *rig) Options {
	return Options{
		Listen: "127.0.0.1:0", Logger: zerolog.New(r.log),
		Services: []ServiceInfo{
			{ID: "redis", Name: "redis-server", Unit: "redis-server.service", IP: "172.16.168.23", Port: 6379},
			{ID: "sessions", Name: "redis-server", Unit: "redis-server@sessions.service", IP: "172.16.168.23", Port: 6380},
		},
		Prober: r.prober, Remediator: r.remediator, Auditor: r.audit, Audits: r.audit, Logs: r.logs, Sessions: r.sessions,
		Panel: fstest.MapFS{
			"index.html":      {Data: []byte("<!doctype html><title>redis-medic</title>" + strings.Repeat(" ", 2000))},
			"assets/app-1.js": {Data: []byte("console.log(1)")},
			"favicon.svg":     {Data: []byte("<svg/>")},
		},
		Users: []authn.User{
			{ID: "user-123", Email: "admin@autobot.local", Role: "admin", PasswordHash: passwordHash},
			{ID: "user-456", Email: "operator@autobot.local", Role: "operator", PasswordHash: passwordHash},
			{ID: "user-789", Email: "viewer@autobot.local", Role: "viewer", PasswordHash: passwordHash},
		},
		ServiceAccounts: []authn.ServiceAccount{
			{Name: "root-bot", Role: "admin", Token: adminToken},
			{Name: "backend", Role: "operator", Token: opToken},
			{Name: "wallboard", Role: "viewer", Token: viewToken},
		},
		JWT:         authn.JWTSettings{Issuer: "redis-medic", Audience: "redis-medic", HMACSecret: []byte(canarySecret)},
		Cache:       CacheSettings{Enabled: true, TTL: 10 * time.Second, InvalidateOnOperation: true},
		Websocket:   WebsocketSettings{Enabled: true, BroadcastStatusChanges: true, BroadcastHealthChanges: true, BroadcastOperations: true, BroadcastAutoRecovery: true, BroadcastAlerts: true},
		Degraded:    DegradedSettings{Enabled: true, FallbackCache: true, MemorySessions: true, BroadcastStatus: true, ShowBanner: true},
		Dependents:  []string{"backend", "knowledge_base", "cache"},
		ConfirmStop: true,
		RateLimits:  RateLimits{Start: 1000, Stop: 1000, Restart: 1000, Logs: 1000},
	}
}

// newRig makes an API; change may alter its options.
func newRig(t *testing.T, change func(*Options)) *rig {
	t.Helper()
	r := &rig{
		t: t, prober: &fakeProber{views: map[string]health.View{}}, audit: &fakeAudit{}, sessions: newMemSessions(), logs: &fakeLogs{}, log: &syncBuffer{},
		remediator: &fakeRemediator{states: map[string]remediator.State{
			"redis":    {Service: "redis", AutoRecoveryEnabled: true, Desired: remediator.Desired{Running: true}},
			"sessions": {Service: "sessions", AutoRecoveryEnabled: true, Desired: remediator.Desired{Running: true}},
		}},
	}
	r.prober.set("redis", runningView())
	r.prober.set("sessions", stoppedView())
	o := testOptions(r)
	if change != nil {
		change(&o)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	r.API = a
	return r
}

// answer is a response with its body read.
type answer struct {
	code   int
	header http.Header
	raw    []byte
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.raw, &m); err != nil {
		t.Fatalf("body %q: %v", a.raw, err)
	}
	return m
}

// do sends a request; mods change it.
func (r *rig) do(method, target, body string, mods ...func(*http.Request)) answer {
	r.t.Helper()
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.RemoteAddr = "172.16.168.20:4711"
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, m := range mods {
		m(req)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	raw, _ := io.ReadAll(w.Body)
	a := answer{code: w.Code, header: w.Header(), raw: raw}
	if method != http.MethodHead {
		theContract().check(r.t, method, req.URL.Path, body, a)
	}
	return a
}

func bearer(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

var (
	asAdmin    = bearer(adminToken)
	asOperator = bearer(opToken)
	asViewer   = bearer(viewToken)
	asNobody   = func(*http.Request) {}
)

func runningView() health.View {
	unit := health.Unit{
		Name: "redis-server.service", LoadState: "loaded", ActiveState: "active", SubState: "running", MainPID: 12345, ActiveEnter: time.Now().Add(-24 * time.Hour),
	}
	info := &health.Info{
		At: time.Now(), Uptime: 24 * time.Hour, ProcessID: 12345, Clients: 42, MaxClients: 10000, Commands: 1000000,
		UsedMemory: int64(128.5 * (1 << 20)), MaxMemory: 4 << 30,
	}
	cpu := 5.2
	return health.View{
		Service: "redis", CPUPercent: &cpu, LastPong: at.Add(-5 * time.Second),
		Samples: health.Samples{
			Ping: health.Ping{At: at, Reply: health.ReplyPong, Latency: 2500 * time.Microsecond},
			Unit: health.UnitRead{At: at, Took: 50 * time.Millisecond, Unit: unit}, Info: info,
		},
		Verdict: health.Verdict{At: at, Status: health.Healthy, Checks: []health.Check{
			{Name: health.CheckConnectivity, Status: health.CheckPass, At: at, Took: 2500 * time.Microsecond, Message: "PING successful"},
			{Name: health.CheckSystemd, Status: health.CheckPass, At: at, Took: 50 * time.Millisecond, Message: "Service active and running"},
			{Name: health.CheckPerformance, Status: health.CheckPass, At: at, Took: 15 * time.Millisecond, Message: "All metrics within normal ranges"},
		}},
	}
}

func stoppedView() health.View {
	return health.View{
		Service: "sessions", ErrorsHour: 20, LastPong: at.Add(-15 * time.Minute),
		Samples: health.Samples{
			Ping: health.Ping{At: at, Reply: health.ReplyRefused, Latency: time.Millisecond},
			Unit: health.UnitRead{At: at, Unit: health.Unit{LoadState: "loaded", ActiveState: "inactive", SubState: "dead"}},
		},
		Verdict: health.Verdict{At: at, Status: health.Critical, Checks: []health.Check{
			{Name: health.CheckConnectivity, Status: health.CheckFail, Took: 5 * time.Second, Message: "Connection timeout", Error: "Connection refused"},
			{Name: health.CheckSystemd, Status: health.CheckFail, Took: 50 * time.Millisecond, Message: "Service failed", Details: "Exit code: 1"},
			{Name: health.CheckPerformance, Status: health.CheckUnknown, Message: "Cannot collect metrics - service not running"},
		}, Reasons: []health.Reason{
			{Code: health.CodeUnitInactive, Status: health.Critical, Text: "The unit is stopped", Advice: "Check service logs for errors"},
		}},
	}
}
