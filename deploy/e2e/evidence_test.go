package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestEvidenceOfARealOutage reads what was secured on a real host before the first act: complete, soon enough, and without secrets.
func TestEvidenceOfARealOutage(t *testing.T) {
	ctx := begin(t)
	// The host was made without logs; an ordinary one has this.
	if out, err := host.Exec(ctx, "echo '2026-11-23 02:00:00 upgrade redis-server:amd64 5:7.0.14 5:7.0.15' >>/var/log/dpkg.log"); err != nil {
		t.Fatal(out, err)
	}
	since := time.Now()
	if err := host.CrashUntilStartLimit(ctx); err != nil && ctx.Err() != nil {
		t.Fatal(err)
	}
	i := recovered(ctx, t, since)
	var bundle map[string]any
	until(ctx, t, "the evidence is complete", func() (bool, string) {
		code, answer, err := st.Call(ctx, "admin", "GET", fmt.Sprintf("/api/incidents/%s/evidence", i["id"]), nil)
		if err != nil || code != 200 {
			return false, fmt.Sprint(code, answer, err)
		}
		bundle, _ = answer["bundle"].(map[string]any)
		missing, _ := bundle["missing"].(map[string]any)
		return bundle != nil && len(missing) == 0, fmt.Sprint(missing)
	})
	if !strings.Contains(fmt.Sprint(bundle["changes"]), "upgrade redis-server") {
		t.Errorf("the upgrade is not among the changes: %v", bundle["changes"])
	}
	for _, part := range []string{"journal", "redis_log", "disks", "load", "config", "changes", "boots", "last_info", "unit"} {
		if v := bundle[part]; v == nil || fmt.Sprint(v) == "[]" {
			t.Errorf("%s is empty: %v", part, v)
		}
	}
	text, err := json.Marshal(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "requirepass [redacted]") || strings.Contains(string(text), host.Password) {
		t.Error("the configuration is shown with its password, or not at all")
	}
	t.Logf("%d bytes in %v s, late: %v", len(text), bundle["duration_seconds"], bundle["late"])
	if len(text) > 1<<20 {
		t.Errorf("the evidence has %d bytes", len(text))
	}
}
