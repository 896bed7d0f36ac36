package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRecoveries(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(context.Context) error
		alert string
		level string
		acts  string
	}{
		{"stopped on the host", func(ctx context.Context) error { return host.Stop(ctx) }, "RedisDown", "standard", "start"},
		{"five crashes until systemd gives up", func(ctx context.Context) error { return host.CrashUntilStartLimit(ctx) }, "RedisDown", "standard", "reset-failed, start"},
		{"frozen", func(ctx context.Context) error { return host.Freeze(ctx) }, "RedisHung", "soft", "continue"},
		{"busy with a script that only reads", func(ctx context.Context) error { return host.BusyScript(ctx) }, "RedisBusyScript", "soft", "script-kill"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, since := begin(t), time.Now()
			if err := c.fault(ctx); err != nil && ctx.Err() != nil {
				t.Fatal(err)
			}
			i := recovered(ctx, t, since)
			if i["alert"] != c.alert || i["level"] != c.level {
				t.Errorf("alert %v, level %v; want %s, %s", i["alert"], i["level"], c.alert, c.level)
			}
			intents := steps(i, "intent")
			if len(intents) != 1 || intents[0]["act"] != c.acts {
				t.Errorf("acts: %v, want %s", intents, c.acts)
			}
			if len(steps(i, "outcome")) != 1 || steps(i, "outcome")[0]["result"] != "success" {
				t.Errorf("outcome: %v", steps(i, "outcome"))
			}
			t.Logf("alert at %v, opened %v, recovered %v", i["alert_starts_at"], i["opened_at"], i["recovered_at"])
		})
	}
}

func TestOneCrashIsSystemdsBusiness(t *testing.T) {
	ctx, since := begin(t), time.Now()
	if err := host.Kill9(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the restart is recorded", func() (bool, string) {
		list := incidents(ctx, t)
		return len(list) > 0 && list[0]["cause"] == "restarted_by_systemd" && list[0]["status"] == "self_healed", fmt.Sprint(list)
	})
	stays(ctx, t, "nothing is done", 5*time.Second, func() (bool, string) {
		for _, i := range incidents(ctx, t) {
			if opened, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(i["opened_at"])); opened.After(since) && len(steps(i, "intent")) > 0 {
				return false, fmt.Sprint(i)
			}
		}
		return true, ""
	})
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts, want systemd's one", n)
	}
}

func TestAPersonsStopStays(t *testing.T) {
	ctx := begin(t)
	code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/stop", map[string]any{"confirmation": true})
	if err != nil || code != 200 || answer["new_status"] != "stopped" || answer["warning"] == nil {
		t.Fatalf("stop: %d %v %v", code, answer, err)
	}
	stays(ctx, t, "it stays stopped", 20*time.Second, func() (bool, string) {
		s := unitState(ctx, t)
		return s == "inactive", s
	})
	alerts, err := st.Alerts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, a := range alerts {
		seen = seen || a.Labels["remediation"] == "ladder" && a.State == "firing"
	}
	if !seen {
		t.Error("no alert fired, so the test proves nothing")
	}
	code, answer, err = st.Call(ctx, "operator", "POST", "/api/services/redis/start", map[string]any{})
	if err != nil || code != 200 || answer["new_status"] != "running" {
		t.Fatalf("start: %d %v %v", code, answer, err)
	}
	since := time.Now()
	if err := host.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	recovered(ctx, t, since)
}

func TestABadConfigIsTriedOnceAndNamed(t *testing.T) {
	ctx, since := begin(t), time.Now()
	if err := host.BadConfig(ctx, "maxmemroy 1gb"); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "manual intervention is required", func() (bool, string) {
		s := recovery(ctx, t)
		return s["manual_intervention"] == true, fmt.Sprint(s)
	})
	s := recovery(ctx, t)
	if why := fmt.Sprint(s["manual_reason"]); !strings.Contains(why, "maxmemroy") {
		t.Errorf("the reason does not name the directive: %s", why)
	}
	after := starts(ctx, t, since)
	stays(ctx, t, "no further attempt", 15*time.Second, func() (bool, string) {
		n := starts(ctx, t, since)
		return n == after, fmt.Sprintf("%d starts, then %d", after, n)
	})
	i := incidents(ctx, t)[0]
	if n := len(steps(i, "intent")); n != 1 || i["status"] != "manual" {
		t.Errorf("%d attempts, status %v", n, i["status"])
	}
	code, health, err := st.Call(ctx, "", "GET", "/api/services/redis/health", nil)
	if err != nil || code != 200 || health["overall_status"] != "critical" {
		t.Errorf("health: %d %v %v", code, health["overall_status"], err)
	}
	if auto, _ := health["auto_recovery"].(map[string]any); auto["requires_manual_intervention"] != true {
		t.Errorf("health.auto_recovery: %v", auto)
	}
	until(ctx, t, "people are told", func() (bool, string) {
		got, err := st.Query(ctx, `ALERTS{alertname="RedisManualInterventionRequired",alertstate="firing"}`)
		return err == nil && len(got) == 1, fmt.Sprint(got, err)
	})
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	ctx := begin(t)
	if err := host.TakePort(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "the holder is named", func() (bool, string) {
		s := recovery(ctx, t)
		return s["manual_intervention"] == true && strings.Contains(fmt.Sprint(s["manual_reason"]), "port") ||
			fmt.Sprint(s["incident"]) != "<nil>" && strings.Contains(fmt.Sprint(s["incident"]), "wrong_instance"), fmt.Sprint(s)
	})
	out, err := host.Exec(ctx, "ss -Hltn 'sport = :6379' | grep -c 6379")
	if err != nil || strings.TrimSpace(out) == "0" {
		t.Errorf("the holder is gone: %q %v", out, err)
	}
	if err := host.ReleasePort(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestFaultMatrix has many more of these; here the whole chain of alerts calls for an act that must not come.
func TestWhatNoRestartCanHelp(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(context.Context) error
	}{
		{"disk full", func(ctx context.Context) error { return host.DiskFull(ctx) }},
		{"a script that has written", func(ctx context.Context) error { return host.BusyScriptWrite(ctx) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, since := begin(t), time.Now()
			if err := c.fault(ctx); err != nil {
				t.Fatal(err)
			}
			pid, _ := host.Property(ctx, "MainPID")
			stays(ctx, t, "the process is left alone", 12*time.Second, func() (bool, string) {
				now, err := host.Property(ctx, "MainPID")
				return err == nil && now == pid, fmt.Sprint(pid, now, err)
			})
			for _, i := range incidents(ctx, t) {
				if opened, _ := time.Parse(time.RFC3339Nano, fmt.Sprint(i["opened_at"])); opened.Before(since) {
					break
				}
				for _, s := range steps(i, "intent") {
					if s["level"] != "soft" {
						t.Errorf("an act: %v", s)
					}
				}
			}
		})
	}
}

func TestKilledInTheMiddleOfARung(t *testing.T) {
	ctx := begin(t)
	if err := host.SlowLoad(ctx, 8*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := host.Running(ctx); err == nil {
		t.Fatal("Redis does not load slowly, so the test proves nothing")
	}
	until(ctx, t, "the slow load is over", func() (bool, string) { s := unitState(ctx, t); return s == "active", s })
	quiet(ctx, t)
	since := time.Now()
	if err := host.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	until(ctx, t, "a rung is in hand", func() (bool, string) {
		i, _ := recovery(ctx, t)["incident"].(map[string]any)
		return len(steps(i, "intent")) == 1 && unitState(ctx, t) == "activating", fmt.Sprint(i)
	})
	if err := st.KillMedic(); err != nil {
		t.Fatal(err)
	}
	if err := st.StartMedic(ctx); err != nil {
		t.Fatal(err)
	}
	i := recovered(ctx, t, since)
	if n := len(steps(i, "intent")); n != 1 {
		t.Errorf("%d intents, want the one from before the kill", n)
	}
	interrupted := false
	for _, s := range steps(i, "outcome") {
		interrupted = interrupted || s["code"] == "interrupted" && s["result"] == "unknown"
	}
	if !interrupted {
		t.Errorf("the interruption is not in the timeline: %v", i["steps"])
	}
	if n := starts(ctx, t, since); n != 1 {
		t.Errorf("%d starts, want 1: an act was repeated", n)
	}
}

func TestMaintenanceHolds(t *testing.T) {
	ctx := begin(t)
	until30 := time.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)
	code, answer, err := st.Call(ctx, "admin", "POST", "/api/services/redis/maintenance", map[string]any{"until": until30, "reason": "upgrade"})
	if err != nil || code >= 300 {
		t.Fatalf("maintenance: %d %v %v", code, answer, err)
	}
	defer func() {
		_, _, _ = st.Call(context.WithoutCancel(ctx), "admin", "DELETE", "/api/services/redis/maintenance", nil)
	}()
	if err := host.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	stays(ctx, t, "it stays stopped", 8*time.Second, func() (bool, string) { s := unitState(ctx, t); return s == "inactive", s })
	since := time.Now()
	if code, answer, err = st.Call(ctx, "admin", "DELETE", "/api/services/redis/maintenance", nil); err != nil || code >= 300 {
		t.Fatalf("end of maintenance: %d %v %v", code, answer, err)
	}
	recovered(ctx, t, since)
}
