package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"github.com/redis-medic/redis-medic/controlapi/documenttest"
)

// answered is what a call in the background got.
type answered struct {
	code   int
	answer map[string]any
	err    error
}

// restarting asks for a restart and goes on at once.
func restarting(ctx context.Context) <-chan answered {
	out := make(chan answered, 1)
	go func() {
		var a answered
		a.code, a.answer, a.err = st.Call(ctx, "admin", "POST", "/api/services/redis/restart", map[string]any{})
		out <- a
	}()
	return out
}

// slowly makes Redis take a while to start, and waits until it is up again.
func slowly(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	if err := host.SlowLoad(ctx, d); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the slow load is over", func() (bool, string) { s := unitState(ctx, t); return s == "active", s })
	quiet(ctx, t)
}

// TestATermInTheMiddleOfAnOperation: the operation in hand ends and is answered and recorded, and then the program ends.
func TestATermInTheMiddleOfAnOperation(t *testing.T) {
	ctx := begin(t)
	slowly(ctx, t, 5*time.Second)
	got := restarting(ctx)
	until(ctx, t, "the restart is in hand", func() (bool, string) { s := unitState(ctx, t); return s == "activating", s })
	began := time.Now()
	if err := st.StopMedic(); err != nil {
		t.Errorf("the program did not end well: %v", err)
	}
	took := time.Since(began)
	a := <-got
	if a.err != nil || a.code != 200 || a.answer["success"] != true || a.answer["new_status"] != "running" {
		t.Errorf("the operation in hand: %+v", a)
	}
	if err := st.StartMedic(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("ended %s after SIGTERM", took.Round(time.Millisecond))
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
	code, page, err := st.Call(ctx, "admin", "GET", "/api/audit?operation=restart&limit=2", nil)
	if err != nil || code != 200 {
		t.Fatalf("audit: %d %v %v", code, page, err)
	}
	phases := ""
	for _, r := range page["records"].([]any) {
		phases += fmt.Sprint(r.(map[string]any)["phase"], " ")
	}
	if phases != "outcome intent " {
		t.Errorf("the newest records of the restart are %q", phases)
	}
}

// TestTheLogIsFollowed opens the log of a real host and restarts Redis: lines of the journal and of Redis's own log arrive by
// themselves, each once.
func TestTheLogIsFollowed(t *testing.T) {
	ctx := begin(t)
	token, err := st.Token("admin")
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := websocket.Dial(ctx, strings.Replace(st.ControlAPI, "http", "ws", 1)+"/ws/services/redis/logs?lines=5",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(1 << 20)
	type line struct{ Timestamp, Level, Message, Source string }
	read := func() (m struct {
		Lines    []line
		Snapshot bool
		Error    *string
	}) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if err := wsjson.Read(ctx, c, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := read(); !m.Snapshot || len(m.Lines) == 0 || len(m.Lines) > 5 {
		t.Fatalf("first %+v", m)
	}
	if a := <-restarting(ctx); a.code != 200 {
		t.Fatalf("restart: %+v", a)
	}
	seen := map[string]int{}
	journal, own := false, false
	for !journal || !own {
		for _, l := range read().Lines {
			journal = journal || l.Source == "journal" && strings.HasPrefix(l.Message, "Started ")
			own = own || l.Source == "redis" && strings.Contains(l.Message, "Ready to accept connections")
			if seen[fmt.Sprint(l)]++; seen[fmt.Sprint(l)] > 1 && l.Timestamp != "" && l.Source == "journal" {
				t.Errorf("twice: %+v", l)
			}
		}
	}
	// The host goes away and comes back: said once each, and nothing is lost.
	if err := host.SSHDown(ctx); err != nil {
		t.Fatal(err)
	}
	for read().Error == nil {
	}
	if err := host.SSHUp(ctx); err != nil {
		t.Fatal(err)
	}
	for read().Error != nil {
	}
}

// TestTheDocumentsLoad is the load test of the architecture document: 10 requests a second while Redis restarts, fewer than one
// error in a hundred, half a second on average.
func TestTheDocumentsLoad(t *testing.T) {
	ctx := begin(t)
	slowly(ctx, t, 3*time.Second)
	const requests = 150
	paths := []string{"/api/services/redis/status", "/api/services/redis/health", "/api/services", "/api/services/redis/auto-recovery"}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		total  time.Duration
		failed []string
		got    <-chan answered
	)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range requests {
		if i == 20 {
			got = restarting(ctx)
		}
		wg.Go(func() {
			began := time.Now()
			code, _, err := st.Call(ctx, "admin", "GET", paths[i%len(paths)], nil)
			mu.Lock()
			defer mu.Unlock()
			if total += time.Since(began); err != nil || code != 200 {
				failed = append(failed, fmt.Sprint(paths[i%len(paths)], code, err))
			}
		})
		<-tick.C
	}
	wg.Wait()
	mean := total / requests
	t.Logf("%d requests, mean %s, %d errors", requests, mean, len(failed))
	if len(failed)*100 >= requests || mean >= 500*time.Millisecond {
		t.Errorf("mean %s, %d of %d failed: %v", mean, len(failed), requests, failed)
	}
	if a := <-got; a.code != 200 {
		t.Errorf("the restart: %+v", a)
	}
}

// TestTheDocumentsAnswersOfARealHost compares the members of real answers with the examples of the architecture document, and that
// nothing is null that can be known.
func TestTheDocumentsAnswersOfARealHost(t *testing.T) {
	ctx := begin(t)
	known := func(what string, m map[string]any, keys ...string) {
		for _, key := range keys {
			if m[key] == nil {
				t.Errorf("%s: %s is null: %v", what, key, m)
			}
		}
	}
	call := func(example, method, path string, body any, want int, extra ...string) map[string]any {
		t.Helper()
		code, answer, err := st.Call(ctx, "admin", method, path, body)
		raw, _ := json.Marshal(answer)
		if err != nil || code != want {
			t.Fatalf("%s: %d %s %v", example, code, raw, err)
		}
		for _, d := range documenttest.Differences(example, raw, extra...) {
			t.Errorf("%s: %s", example, d)
		}
		return answer
	}
	const base = "/api/services/redis/"
	until(ctx, t, "the health is complete", func() (bool, string) {
		_, h, err := st.Call(ctx, "", "GET", base+"health", nil)
		performance, _ := h["health_checks"].(map[string]any)["performance"].(map[string]any)
		metrics, _ := performance["metrics"].(map[string]any)
		return err == nil && h["overall_status"] == "healthy" && metrics["cpu_usage_percent"] != nil, fmt.Sprint(h)
	})
	known("status", call("status-running", "GET", base+"status", nil, 200), "pid", "uptime_seconds", "memory_mb", "connections", "commands_processed", "last_check")
	health := call("health-healthy", "GET", base+"health", nil, 200, "health_checks.connection_pool",
		"auto_recovery.recovery_status", "auto_recovery.requires_manual_intervention") // of recoveries before this test
	known("health", health, "response_time_ms", "last_successful_command")
	known("metrics", health["health_checks"].(map[string]any)["performance"].(map[string]any)["metrics"].(map[string]any),
		"memory_usage_mb", "memory_limit_mb", "connections", "max_connections")
	call("start-already-running", "POST", base+"start", map[string]any{}, 200)
	known("restart", call("restart", "POST", base+"restart", map[string]any{}, 200), "previous_uptime_seconds", "connections_terminated")
	call("logs", "GET", base+"logs?lines=20", nil, 200, "logs.source")
	problem := []string{"type", "title", "status", "detail", "error", "message", "code", "request_id", "timestamp", "confirmation_token", "confirmation_timeout_seconds"}
	call("confirmation", "POST", base+"stop", map[string]any{}, 400, problem...)
	call("stop", "POST", base+"stop", map[string]any{"confirmation": true}, 200)
	until(ctx, t, "the status says stopped", func() (bool, string) {
		_, s, err := st.Call(ctx, "", "GET", base+"status", nil)
		return err == nil && s["status"] == "stopped", fmt.Sprint(s)
	})
	call("status-stopped", "GET", base+"status", nil, 200)
	call("start", "POST", base+"start", map[string]any{}, 200)
	code, page, err := st.Call(ctx, "admin", "GET", "/api/audit?operation=restart&phase=outcome&limit=1", nil)
	if err != nil || code != 200 {
		t.Fatalf("audit: %d %v", code, err)
	}
	raw, _ := json.Marshal(page["records"].([]any)[0])
	for _, d := range documenttest.Differences("audit", raw, "phase", "request_id", "chain", "seq", "prev_hash", "hash", "user.auth_method", "details", "result.http_status") {
		t.Errorf("audit: %s\n%s", d, raw)
	}
}
