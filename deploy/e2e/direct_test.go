package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// sessions and queue run beside the stock server of the direct host.
var sessions, queue *lab.Redis

// Patience of the direct stack: what users wait half a minute for takes a few seconds here.
const quickRecovery = `max_attempts: 3
    hung_patience_seconds: 4
    stop_patience_seconds: 3
    load_patience_seconds: 5`

// direct runs the test on a host and a redis-medic of their own, without Prometheus and Alertmanager: the tests post the webhooks
// themselves. One fault then costs a few seconds only, and the tests see what redis-medic does when nobody else watches.
func direct(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	h, err := lab.Up(ctx, lab.Options{Gate: true, Log: os.Stderr, Instances: []lab.Instance{{Name: "sessions", Port: 6380}, {Name: "queue", Port: 6381}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Down(); err != nil {
			t.Error(err)
		}
	})
	s, err := stack.Up(ctx, stack.Options{
		Host: h, Binary: binary, Log: os.Stderr, LogDir: logsOf("direct"), WithoutPrometheus: true, Edit: quick,
		Services: "services:\n  - {id: sessions, service: {systemd_unit: redis-server@sessions.service, port: 6380, log_file: /var/log/redis/redis-server-sessions.log}}\n" +
			"  - {id: queue, service: {systemd_unit: redis-server@queue.service, port: 6381, log_file: /var/log/redis/redis-server-queue.log}}\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	sharedHost, sharedStack := host, st
	host, st, sessions, queue = h, s, h.Server("redis-server@sessions.service"), h.Server("redis-server@queue.service")
	t.Cleanup(func() { host, st = sharedHost, sharedStack })
}

// quick shortens what would make a matrix of faults take long, and lets INFO be read often.
func quick(yaml string) string {
	yaml = regexp.MustCompile(`url: "http://[^"]*"`).ReplaceAllString(yaml, `url: ""`)
	for _, r := range [][2]string{
		{"max_attempts: 3", quickRecovery},
		{"retry_delay_seconds: 10", "retry_delay_seconds: 0"},
		{"stability_window_seconds: 10", "stability_window_seconds: 1"},
		{"stability_window_hard_seconds: 60", "stability_window_hard_seconds: 2"},
		{"      performance:\n        enabled: true\n", "      performance:\n        enabled: true\n        interval_seconds: 1\n"},
	} {
		if !strings.Contains(yaml, r[0]) {
			panic("the shipped configuration has no " + r[0])
		}
		yaml = strings.Replace(yaml, r[0], r[1], 1)
	}
	return yaml
}

// fresh gives a test of the direct stack a healthy host and a remediator without a past.
func fresh(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	if err := host.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	forget(ctx, t)
	t.Cleanup(func() {
		if t.Failed() {
			tellAll(t)
		}
	})
	return ctx
}

// forget ends all alerts, waits until no incident is open, and resets what earlier tests counted.
func forget(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, service := range []string{"redis", "sessions", "queue"} {
		resolve(ctx, t, service)
		reset := func() {
			code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/"+service+"/auto-recovery/reset", map[string]any{"reason": "a new test"})
			if err != nil || code != 200 {
				t.Fatalf("reset: %d %v %v", code, answer, err)
			}
		}
		reset()
		until(ctx, t, "no incident of "+service+" is open", func() (bool, string) {
			code, s, err := st.Call(ctx, "admin", "GET", "/api/services/"+service+"/auto-recovery", nil)
			return err == nil && code == 200 && s["incident"] == nil && s["busy"] == nil, fmt.Sprint(s["incident"], err)
		})
		reset()
	}
	inReach(ctx, t)
}

// inReach waits until redis-medic has a connection to the host.
func inReach(ctx context.Context, t *testing.T) {
	t.Helper()
	until(ctx, t, "the host can be asked again", func() (bool, string) {
		code, s, err := st.Call(ctx, "admin", "GET", "/api/services/redis/status", nil)
		vm, _ := s["vm_info"].(map[string]any)
		return err == nil && code == 200 && vm["ssh_accessible"] == true, fmt.Sprint(s, err)
	})
}

// episodes numbers the alerts, so that each test's is another one.
var episodes atomic.Int64

// fired are the alerts that fire, by service.
var fired = map[string][]map[string]any{}

// fire posts an alert as Alertmanager does and remembers it for resolve.
func fire(ctx context.Context, t *testing.T, service, alertname string) {
	t.Helper()
	now := time.Now().UTC()
	a := map[string]any{
		"status": "firing", "startsAt": now.Format(time.RFC3339Nano), "endsAt": "0001-01-01T00:00:00Z", "fingerprint": fmt.Sprintf("%016x", episodes.Add(1)),
		"labels":      map[string]string{"alertname": alertname, "service": service, "severity": "critical", "remediation": "ladder"},
		"annotations": map[string]string{"summary": alertname},
	}
	fired[service] = append(fired[service], a)
	if code, err := post(ctx, a); err != nil || code >= 300 {
		t.Fatalf("webhook: %d %v", code, err)
	}
}

// resolve ends what fire began.
func resolve(ctx context.Context, t *testing.T, service string) {
	t.Helper()
	for _, a := range fired[service] {
		a["status"], a["endsAt"] = "resolved", time.Now().UTC().Format(time.RFC3339Nano)
		if code, err := post(ctx, a); err != nil || code >= 300 {
			t.Fatalf("webhook: %d %v", code, err)
		}
	}
	delete(fired, service)
}

func post(ctx context.Context, alerts ...map[string]any) (int, error) {
	body, err := json.Marshal(map[string]any{
		"version": "4", "groupKey": "{}", "status": alerts[0]["status"], "receiver": "redis-medic", "groupLabels": map[string]string{},
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager", "alerts": alerts,
	})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, st.Remediator+"/webhook", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+st.WebhookToken())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// newest is the newest incident that was opened since a time, or nil.
func newest(ctx context.Context, t *testing.T, since time.Time) map[string]any {
	t.Helper()
	list := incidents(ctx, t)
	if len(list) == 0 {
		return nil
	}
	if opened, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(list[0]["opened_at"])); !opened.Before(since) {
		return list[0]
	}
	return nil
}

// acts are the acts of an incident, in order.
func acts(i map[string]any) []string {
	out := []string{}
	for _, s := range steps(i, "intent") {
		out = append(out, fmt.Sprint(s["act"]))
	}
	return out
}

// tells reports whether a step of the incident has a code and, in its words, a text.
func tells(i map[string]any, code, text string) bool {
	list, _ := i["steps"].([]any)
	return slices.ContainsFunc(list, func(s any) bool {
		step := s.(map[string]any)
		return step["code"] == code && strings.Contains(fmt.Sprint(step["text"]), text)
	})
}
