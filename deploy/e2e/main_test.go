// Package e2e breaks a real Redis on a real host and watches it come back: systemd, sshd and Redis in a network namespace, a real
// Prometheus and Alertmanager, redis-medic as it is built and configured for users. The tests share one host and one stack and
// run one after the other.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// host and st are shared by all tests; binary is the program under test.
var (
	host   *lab.Host
	st     *stack.Stack
	binary string
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() || os.Getuid() != 0 {
		fmt.Println("e2e: skipped: a host can be booted by root only, and not with -short")
		return
	}
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Minute)
	defer cancel()
	if binary, err = build(ctx); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(filepath.Dir(binary))) }()
	if host, err = lab.Up(ctx, lab.Options{Gate: true, Log: os.Stderr}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, host.Down()) }()
	if st, err = stack.Up(ctx, stack.Options{Host: host, Binary: binary, Log: os.Stderr, LogDir: logsOf("chain")}); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, st.Down()) }()
	return m.Run(), nil
}

// logsOf is where the programs' output of one stack is kept, when somebody asks for it.
func logsOf(name string) string {
	dir := os.Getenv("REDIS_MEDIC_E2E_LOGS")
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// build makes the program as the Makefile does, in a folder of its own.
func build(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "redis-medic-e2e-")
	if err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	binary := filepath.Join(dir, "redis-medic")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/redis-medic/redis-medic/cmd/redis-medic")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("build: %w: %s", err, out), os.RemoveAll(dir))
	}
	return binary, nil
}

// patience bounds every wait of a test. It is far above what anything should take: speed is measured by the demo and the bench.
const patience = 60 * time.Second

// begin gives a test a healthy host and a remediator without a past.
func begin(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	if err := host.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	quiet(ctx, t)
	t.Cleanup(func() {
		if t.Failed() {
			tellAll(t)
		}
	})
	return ctx
}

// quiet waits until no alert that calls for a recovery is left and no incident is open, and resets what earlier tests counted.
func quiet(ctx context.Context, t *testing.T) {
	t.Helper()
	reset := func() {
		code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/auto-recovery/reset", map[string]any{"reason": "a new test"})
		if err != nil || code != 200 {
			t.Fatalf("reset: %d %v %v", code, answer, err)
		}
	}
	reset()
	until(ctx, t, "the last test's outage is over", func() (bool, string) {
		a, err := st.Alerts(ctx)
		if err != nil {
			return false, err.Error()
		}
		for _, one := range a {
			if one.Labels["remediation"] == "ladder" {
				return false, "alert " + one.Labels["alertname"]
			}
		}
		s := recovery(ctx, t)
		return s["incident"] == nil && s["busy"] == nil, fmt.Sprint(s["incident"])
	})
	reset()
}

// until waits for a condition; it fails the test with the last words when it does not come.
func until(ctx context.Context, t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		done, last := ok()
		if done {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %s: %s", what, patience, last)
		case <-tick.C:
		}
	}
}

// stays checks that a condition holds all the time for a while.
func stays(ctx context.Context, t *testing.T, what string, d time.Duration, ok func() (bool, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		if good, last := ok(); !good && ctx.Err() == nil {
			t.Fatalf("%s: no longer so: %s", what, last)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// recovery is GET …/auto-recovery.
func recovery(ctx context.Context, t *testing.T) map[string]any {
	t.Helper()
	code, answer, err := st.Call(ctx, "admin", "GET", "/api/services/redis/auto-recovery", nil)
	if err != nil || code != 200 {
		if ctx.Err() != nil {
			return map[string]any{}
		}
		t.Fatalf("auto-recovery: %d %v %v", code, answer, err)
	}
	return answer
}

// incidents lists the service's incidents, newest first.
func incidents(ctx context.Context, t *testing.T) []map[string]any {
	t.Helper()
	code, answer, err := st.Call(ctx, "admin", "GET", "/api/services/redis/incidents", nil)
	if err != nil || code != 200 {
		t.Fatalf("incidents: %d %v %v", code, answer, err)
	}
	var out []map[string]any
	for _, r := range answer["records"].([]any) {
		out = append(out, r.(map[string]any))
	}
	return out
}

// steps returns the steps of an incident that are of a kind.
func steps(incident map[string]any, kind string) []map[string]any {
	var out []map[string]any
	list, _ := incident["steps"].([]any)
	for _, s := range list {
		if step := s.(map[string]any); step["kind"] == kind {
			out = append(out, step)
		}
	}
	return out
}

// recovered waits until the newest incident was closed as recovered, or is inside the stability window, and returns it.
func recovered(ctx context.Context, t *testing.T, since time.Time) map[string]any {
	t.Helper()
	var found map[string]any
	until(ctx, t, "recovered", func() (bool, string) {
		for _, i := range incidents(ctx, t) {
			if opened, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(i["opened_at"])); opened.Before(since) {
				break
			}
			if s := i["status"]; s == "watching" || s == "recovered" {
				found = i
				return true, ""
			}
		}
		return false, fmt.Sprint(recovery(ctx, t))
	})
	if err := host.Running(ctx); err != nil {
		t.Fatalf("the incident says recovered, but: %v", err)
	}
	return found
}

// starts counts how often systemd has begun to start the unit, by anybody, since the test began.
func starts(ctx context.Context, t *testing.T, since time.Time) int {
	t.Helper()
	out, err := host.Exec(ctx, fmt.Sprintf("journalctl --quiet --no-pager --output=cat --unit=redis-server.service --since=@%d.%06d | grep -c '^Starting ' || true",
		since.Unix(), since.Nanosecond()/1000))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	_, _ = fmt.Sscan(strings.TrimSpace(out), &n)
	return n
}

func unitState(ctx context.Context, t *testing.T) string {
	t.Helper()
	s, err := host.Property(ctx, "ActiveState")
	if err != nil {
		return err.Error()
	}
	return s
}

// tellAll prints what helps to understand a failure.
func tellAll(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	if out, err := host.Exec(ctx, "systemctl status --no-pager redis-server.service; journalctl -n 30 --no-pager -u redis-server.service"); err == nil {
		t.Log(out)
	}
	if log, err := os.ReadFile(filepath.Join(st.LogDir, "redis-medic.log")); err == nil {
		lines := strings.Split(string(log), "\n")
		t.Log(strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}
