package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestABadConfigIsReplacedByTheLastGoodOne(t *testing.T) {
	ctx, since := begin(t), time.Now()
	if err := host.Snapshot(ctx); err != nil {
		t.Fatal(err)
	}
	good, err := host.Exec(ctx, "sha256sum </etc/redis/redis.conf; stat -c '%U:%G %a' /etc/redis/redis.conf")
	if err != nil {
		t.Fatal(err)
	}
	// The second line repeats the password in a misspelt directive, as people do.
	if err := host.BadConfig(ctx, "maxmemroy 1gb\nrequirepas "+host.Password); err != nil {
		t.Fatal(err)
	}
	i := recovered(ctx, t, since)
	if i["level"] != "hard" || i["cause"] != "config_error" {
		t.Errorf("level %v, cause %v", i["level"], i["cause"])
	}
	intents := steps(i, "intent")
	if len(intents) != 2 || intents[0]["act"] != "reset-failed, start" || intents[1]["act"] != "restore-config, reset-failed, start" {
		t.Errorf("acts: %v", intents)
	}
	now, err := host.Exec(ctx, "sha256sum </etc/redis/redis.conf; stat -c '%U:%G %a' /etc/redis/redis.conf")
	if err != nil || now != good {
		t.Errorf("the configuration is not the good one: %q, want %q (%v)", now, good, err)
	}
	outcomes := steps(i, "outcome")
	evidence, _ := outcomes[len(outcomes)-1]["evidence"].(map[string]any)
	if diff := fmt.Sprint(evidence["config_diff"]); !strings.Contains(diff, "\n+maxmemroy 1gb") || !strings.Contains(diff, "+requirepas [redacted]") {
		t.Errorf("the diff: %v", outcomes)
	}
	kept := fmt.Sprint(evidence["rejected_config"])
	if out, err := host.Exec(ctx, "tail -n 2 '"+kept+"' | head -n 1"); err != nil || out != "maxmemroy 1gb" {
		t.Errorf("the rejected file %q: %q %v", kept, out, err)
	}
	if verified := steps(i, "verified"); len(verified) != 1 || !strings.Contains(fmt.Sprint(verified[0]["text"]), kept) {
		t.Errorf("nobody learns of it: %v", verified)
	}
	code, log, err := st.Call(ctx, "admin", "GET", "/api/audit?limit=50", nil)
	if err != nil || code != 200 || !strings.Contains(fmt.Sprint(log), "+maxmemroy 1gb") {
		t.Errorf("audit: %d %v %v", code, log, err)
	}
	if strings.Contains(fmt.Sprint(i, log), host.Password) {
		t.Error("the password is in the timeline or in the audit log")
	}
}
