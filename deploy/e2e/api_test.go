package e2e

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// evil are strings that would do something if they reached a command line.
var evil = []string{
	"redis;touch /tmp/pwned", "redis$(touch /tmp/pwned)", "redis`touch /tmp/pwned`", "redis|id", "../redis", "redis\ntouch /tmp/pwned",
	"--help", "redis && systemctl stop redis-server", "redis\x00", "*", "redis-server.service", "'; DROP TABLE audit; --",
}

func TestNothingFromARequestReachesACommandLine(t *testing.T) {
	ctx := begin(t)
	since := time.Now()
	for _, e := range evil {
		for _, verb := range []string{"start", "stop", "restart"} {
			if code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/"+url.PathEscape(e)+"/"+verb, map[string]any{"confirmation": true}); err == nil && code < 400 {
				t.Errorf("service id %q: %d %v", e, code, answer)
			}
		}
		// In a query and in a body the words are data: the operation works, the words do nothing.
		if code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/start?reason="+url.QueryEscape(e), map[string]any{"reason": e}); err != nil || (code != 200 && code != 400 && code != 429) {
			t.Errorf("reason %q: %d %v %v", e, code, answer, err)
		}
		if code, _, err := st.Call(ctx, "admin", "GET", "/api/services/redis/logs?lines="+url.QueryEscape(e)+"&since="+url.QueryEscape(e), nil); err != nil || code < 400 {
			t.Errorf("lines %q: %d %v", e, code, err)
		}
	}
	if out, err := host.Exec(ctx, "ls /tmp/pwned 2>&1 || true"); err != nil || !strings.Contains(out, "No such file") {
		t.Errorf("something was carried out: %q %v", out, err)
	}
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
	if n := starts(ctx, t, since); n != 0 {
		t.Errorf("%d starts", n)
	}
}

func TestRolesAndConfirmation(t *testing.T) {
	ctx := begin(t)
	for _, c := range []struct {
		role, op string
		body     map[string]any
		code     int
		word     string
	}{
		{"", "stop", map[string]any{"confirmation": true}, 401, "detail"},
		{"viewer", "start", map[string]any{}, 403, "required_roles"},
		{"viewer", "stop", map[string]any{"confirmation": true}, 403, "user_role"},
		{"operator", "stop", map[string]any{"confirmation": true}, 403, "Insufficient permissions to stop Redis service"},
		{"admin", "stop", map[string]any{}, 400, "confirmation_token"},
		{"admin", "stop", nil, 400, "affected_services"},
		{"admin", "stop", map[string]any{"confirmation": "yes"}, 400, "detail"},
	} {
		code, answer, err := st.Call(ctx, c.role, "POST", "/api/services/redis/"+c.op, anyBody(c.body))
		if err != nil || code != c.code || !strings.Contains(fmt.Sprint(answer), c.word) {
			t.Errorf("%s as %q: %d %v %v, want %d with %s", c.op, c.role, code, answer, err, c.code, c.word)
		}
	}
	if err := host.Running(ctx); err != nil {
		t.Error(err)
	}
	code, answer, err := st.Call(ctx, "operator", "POST", "/api/services/redis/restart", map[string]any{})
	if err != nil || code != 200 || answer["success"] != true || answer["previous_uptime_seconds"] == nil || answer["connections_terminated"] == nil {
		t.Errorf("restart: %d %v %v", code, answer, err)
	}
	code, answer, err = st.Call(ctx, "admin", "GET", "/api/audit?limit=50", nil)
	if err != nil || code != 200 {
		t.Fatalf("audit: %d %v %v", code, answer, err)
	}
	seen := map[string]bool{}
	for _, r := range answer["records"].([]any) {
		m := r.(map[string]any)
		seen[fmt.Sprint(m["phase"], " ", m["operation"])] = true
	}
	for _, want := range []string{"denied stop", "denied start", "intent restart", "outcome restart"} {
		if !seen[want] {
			t.Errorf("no audit record %q in %v", want, seen)
		}
	}
}

func anyBody(m map[string]any) any {
	if m == nil {
		return nil
	}
	return m
}

func TestStatusFollowsTheHost(t *testing.T) {
	ctx := begin(t)
	until(ctx, t, "the status is complete", func() (bool, string) {
		code, s, err := st.Call(ctx, "", "GET", "/api/services/redis/status", nil)
		return err == nil && code == 200 && s["status"] == "running" && s["pid"] != nil && s["connections"] != nil && s["memory_mb"] != nil, fmt.Sprint(code, s, err)
	})
	if err := host.SSHDown(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the status says that SSH is gone", func() (bool, string) {
		code, s, err := st.Call(ctx, "", "GET", "/api/services/redis/status", nil)
		vm, _ := s["vm_info"].(map[string]any)
		return err == nil && code == 200 && vm["ssh_accessible"] == false, fmt.Sprint(code, s, err)
	})
	code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/restart", map[string]any{})
	if err != nil || code != 503 || answer["detail"] == nil {
		t.Errorf("restart without SSH: %d %v %v", code, answer, err)
	}
	if err := host.SSHUp(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "SSH is back", func() (bool, string) {
		_, s, err := st.Call(ctx, "", "GET", "/api/services/redis/status", nil)
		vm, _ := s["vm_info"].(map[string]any)
		return err == nil && vm["ssh_accessible"] == true, fmt.Sprint(s, err)
	})
}
