package controlapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/controlapi/live"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// growingLog is a log that is written while it is read.
type growingLog struct {
	mu      sync.Mutex
	entries []LogEntry
	err     error
	reads   int
}

func (g *growingLog) Logs(_ context.Context, _ string, lines int) ([]LogEntry, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	return slices.Clone(g.entries[max(0, len(g.entries)-lines):]), g.err
}

func (g *growingLog) write(level string, messages ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range messages {
		g.entries = append(g.entries, LogEntry{Time: at.Add(time.Duration(len(g.entries)) * time.Second), Level: level, Message: m, Source: "redis"})
	}
}

func (g *growingLog) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *growingLog) read() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.reads
}

const logStream = "/ws/services/redis/logs"

func serveLog(t *testing.T, g *growingLog) *rig {
	t.Helper()
	return serveRig(t, func(o *Options) { o.Logs, o.WatchEvery, o.FollowEvery = g, time.Hour, 5*time.Millisecond })
}

// nextLog reads one message of a followed log, which must be as described.
func nextLog(t *testing.T, c *websocket.Conn) logMessage {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	_, raw, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	theContract().validate(t, "/components/schemas/LogMessage", raw)
	var m logMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func textsOf(m logMessage) string {
	var out []string
	for _, l := range m.Lines {
		out = append(out, l.Message)
	}
	return strings.Join(out, " ")
}

func TestALogIsFollowed(t *testing.T) {
	g := &growingLog{}
	g.write("info", "one", "two", "three")
	r := serveLog(t, g)
	all, _, err := r.listen(logStream+"?lines=2", authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = all.CloseNow() }()
	if m := nextLog(t, all); !m.Snapshot || textsOf(m) != "two three" || *m.Lines[0].Timestamp != "2025-10-10T14:30:01Z" {
		t.Errorf("%+v", m)
	}
	g.write("warning", "four")
	if m := nextLog(t, all); m.Snapshot || m.Gap || textsOf(m) != "four" || m.Error != nil {
		t.Errorf("%+v", m)
	}
	// One who comes later gets what was there, filtered, and then only what passes the filter.
	errorsOnly, _, err := r.listen(logStream+"?level=error", authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errorsOnly.CloseNow() }()
	if m := nextLog(t, errorsOnly); !m.Snapshot || len(m.Lines) != 0 {
		t.Errorf("%+v", m)
	}
	g.write("info", "five")
	if m := nextLog(t, all); textsOf(m) != "five" {
		t.Errorf("%+v", m)
	}
	g.write("error", "six")
	if m := nextLog(t, errorsOnly); textsOf(m) != "six" {
		t.Errorf("%+v", m)
	}
	_ = nextLog(t, all)
	// More than a window at once: all of it, in messages of bounded size.
	flood := strings.Fields(strings.Repeat("x ", followLines+50))
	g.write("info", flood...)
	for got := 0; got < len(flood); {
		m := nextLog(t, all)
		if m.Gap || len(m.Lines) == 0 {
			t.Fatalf("%+v", m)
		}
		got += len(m.Lines)
	}
	// More than can be had at all.
	g.write("info", slices.Repeat([]string{"y"}, host.MaxLines+1)...)
	if m := nextLog(t, all); !m.Gap {
		t.Errorf("no gap: %d lines", len(m.Lines))
	}
}

func TestAFollowedLogSaysWhenItCannotBeRead(t *testing.T) {
	g := &growingLog{}
	g.write("info", "one")
	r := serveLog(t, g)
	c, _, err := r.listen(logStream, authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	_ = nextLog(t, c)
	g.fail(&host.Error{Class: health.ClassUnreachable, Public: "the host cannot be reached"})
	if m := nextLog(t, c); m.Error == nil || *m.Error != "the host cannot be reached" || len(m.Lines) != 0 {
		t.Errorf("%+v", m)
	}
	if _, resp, _ := r.listen(logStream, authHeader(adminToken)); resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("another follower: %v", resp)
	}
	g.write("info", "two")
	g.fail(nil)
	if m := nextLog(t, c); m.Error != nil || textsOf(m) != "two" {
		t.Errorf("%+v", m)
	}
}

func TestWhoMayFollowALog(t *testing.T) {
	g := &growingLog{}
	r := serveLog(t, g)
	for _, c := range []struct {
		name, query string
		h           http.Header
		want        int
	}{
		{"nobody", "", nil, 401},
		{"an operator", "", authHeader(opToken), 403},
		{"a token in the URL", "?token=" + adminToken, nil, 101},
		{"another site", "", http.Header{"Authorization": {"Bearer " + adminToken}, "Origin": {"https://evil.example"}}, 403},
		{"lines", "?lines=1001", authHeader(adminToken), 400},
		{"level", "?level=loud", authHeader(adminToken), 400},
		{"since", "?since=yesterday", authHeader(adminToken), 400},
		{"an admin", "?since=2025-10-10T14:30:00Z&lines=0", authHeader(adminToken), 101},
	} {
		conn, resp, _ := r.listen(logStream+c.query, c.h)
		if resp == nil || resp.StatusCode != c.want {
			t.Errorf("%s: %v, want %d", c.name, resp, c.want)
		}
		if conn != nil {
			_ = nextLog(t, conn)
			_ = conn.CloseNow()
		}
	}
	if a := r.do("GET", logStream, "", asAdmin); a.code != http.StatusUpgradeRequired {
		t.Errorf("without an upgrade: %d", a.code)
	}
	audited := auditText(t, r)
	if strings.Contains(audited, adminToken) || !strings.Contains(audited, `"operation":"logs.follow"`) || !strings.Contains(audited, `"follow":"true"`) {
		t.Errorf("%s", audited)
	}
	if strings.Contains(r.log.String(), adminToken) {
		t.Error("the token is in the log")
	}
	off := newRig(t, func(o *Options) { o.Logs = nil })
	if a := off.do("GET", logStream, "", asAdmin, header("Connection", "Upgrade"), header("Upgrade", "websocket")); a.code != 503 {
		t.Errorf("no logs: %d", a.code)
	}
	off = newRig(t, func(o *Options) { o.Websocket.Enabled = false })
	if a := off.do("GET", logStream, "", asAdmin); a.code != 404 {
		t.Errorf("switched off: %d", a.code)
	}
}

func TestFollowingALogIsLimitedAndFailsClosed(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.Logs, o.RateLimits.Logs = &growingLog{}, 1 })
	c, _, err := r.listen(logStream, authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if _, resp, _ := r.listen(logStream, authHeader(adminToken)); resp == nil || resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%v", resp)
	}
	g := &growingLog{}
	r = serveRig(t, func(o *Options) { o.Logs = g })
	r.audit.setBroken(true)
	if _, resp, _ := r.listen(logStream, authHeader(adminToken)); resp == nil || resp.StatusCode != 503 || g.read() != 0 {
		t.Errorf("unaudited: %v, %d readings", resp, g.read())
	}
}

func TestFollowingEndsWithTheRight(t *testing.T) {
	g := &growingLog{}
	r := serveLog(t, g)
	cookie, _ := signIn(r, "admin@autobot.local")
	leaving, _, err := r.listen(logStream, http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}})
	if err != nil {
		t.Fatal(err)
	}
	demoted, _, err := r.listen(logStream, authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	r.do("POST", "/api/auth/logout", "", withCookie(cookie))
	if got := closedWith(t, leaving); got != live.StatusSignedOut {
		t.Errorf("after the logout: %v", got)
	}
	accounts := []authn.ServiceAccount{{Name: "root-bot", Role: "operator", Token: adminToken}}
	if err := r.setUsers(r.conf().Users, accounts); err != nil {
		t.Fatal(err)
	}
	if got := closedWith(t, demoted); got != live.StatusForbidden {
		t.Errorf("after the change of role: %v", got)
	}
	// With the last follower the reading ends.
	r.tails.close()
	before := g.read()
	pass(20 * time.Millisecond)
	if g.read() != before {
		t.Error("the log is still read")
	}
	if _, err := r.tails.join("redis"); !errors.Is(err, live.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

// TestAFollowerThatDoesNotReadIsClosed: nobody waits for it.
func TestAFollowerThatDoesNotReadIsClosed(t *testing.T) {
	g := &growingLog{}
	r := serveLog(t, g)
	slow, _, err := r.listen(logStream, authHeader(adminToken))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.CloseNow() }()
	deadline := time.Now().Add(60 * time.Second)
	long := strings.Repeat("z", 4000)
	for r.hub.Stats().Slow == 0 && r.hub.Stats().Clients > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", r.hub.Stats())
		}
		g.write("info", slices.Repeat([]string{long}, 50)...)
		pass(5 * time.Millisecond)
	}
}
