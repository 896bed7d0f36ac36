package alertmanager_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

func render(t *testing.T, s alertmanager.Settings) string {
	t.Helper()
	got, err := alertmanager.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestRenderPutsEveryValueIn(t *testing.T) {
	got := render(t, alertmanager.Settings{
		WebhookURL: "https://10.0.0.1:1/webhook", SMTP: "10.0.0.2:2", From: "medic@example.org", TokenFile: "/tmp/token", SMSURL: "http://10.0.0.3:3/sms",
		Critical: []string{"a@example.org"}, Warning: []string{"o@example.org", "a@example.org"}, Info: []string{"i@example.org"},
	})
	for _, gone := range []string{"127.0.0.1:9122/", "127.0.0.1:1025", "/etc/redis-medic", "autobot"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is still there", gone)
		}
	}
	for _, there := range []string{
		`url: "https://10.0.0.1:1/webhook"`, `smtp_smarthost: "10.0.0.2:2"`, `smtp_from: "medic@example.org"`, `credentials_file: "/tmp/token"`,
		`to: "o@example.org, a@example.org"`, `to: "i@example.org"`, `url: "http://10.0.0.3:3/sms"`, "smtp_require_tls: true",
	} {
		if !strings.Contains(got, there) {
			t.Errorf("%q is missing", there)
		}
	}
}

func TestTheShippedFileIsWhatTheDefaultsMake(t *testing.T) {
	want, err := os.ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	if render(t, alertmanager.Defaults()) != string(want) {
		t.Error("alertmanager.yml is out of date: go generate ./deploy/alertmanager")
	}
}

func TestAValueCannotBreakOut(t *testing.T) {
	name := file(t, alertmanager.Settings{TokenFile: "/x\"\nroute: {}", Critical: []string{"a: b@example.org"}})
	amtool(t, "check-config", name)
}

// file writes a configuration and returns its name.
func file(t *testing.T, s alertmanager.Settings) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "alertmanager.yml")
	if err := os.WriteFile(name, []byte(render(t, s)), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestRoutes(t *testing.T) {
	with := func(change func(*alertmanager.Settings)) alertmanager.Settings {
		s := alertmanager.Defaults()
		change(&s)
		return s
	}
	files := map[string]string{
		"shipped": "alertmanager.yml",
		"sms":     file(t, with(func(s *alertmanager.Settings) { s.SMSURL = "http://127.0.0.1:9125/sms" })),
		"info":    file(t, with(func(s *alertmanager.Settings) { s.Info = []string{"i@example.org"} })),
		"no mail": file(t, with(func(s *alertmanager.Settings) { s.NoEmail = true })),
	}
	for _, f := range files {
		amtool(t, "check-config", f)
	}
	for _, c := range []struct{ file, labels, receivers string }{
		{"shipped", `alertname=RedisDown service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"shipped", `alertname=RedisBusyScript service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"shipped", `alertname=RedisMisconf service=redis severity=critical remediation=none`, "email-critical"},
		{"shipped", `alertname=RedisMemoryHigh service=redis severity=warning remediation=none`, "email-warning"},
		{"shipped", `alertname=RedisMedicExporterDown service=redis-medic severity=critical remediation=none`, "email-critical"},
		{"shipped", `alertname=RedisMaintenance service=redis severity=info remediation=none`, "nobody"},
		{"shipped", `alertname=RedisMedicWatchdog service=redis-medic severity=info remediation=none`, "remediator"},
		{"shipped", `alertname=SomethingElse`, "nobody"},
		{"sms", `alertname=RedisDown service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"sms", `alertname=RedisRecoveryFailed service=redis severity=critical remediation=none`, "sms,email-critical"},
		{"sms", `alertname=RedisManualInterventionRequired service=redis severity=critical`, "sms,email-critical"},
		{"sms", `alertname=RedisMemoryHigh service=redis severity=warning remediation=none`, "email-warning"},
		{"sms", `alertname=RedisMedicWatchdog service=redis-medic severity=info remediation=none`, "remediator"},
		{"info", `alertname=RedisMaintenance service=redis severity=info remediation=none`, "email-info"},
		{"info", `alertname=RedisMedicWatchdog service=redis-medic severity=info remediation=none`, "remediator"},
		{"no mail", `alertname=RedisDown service=redis severity=critical remediation=ladder`, "remediator"},
		{"no mail", `alertname=RedisMemoryHigh service=redis severity=warning remediation=none`, "nobody"},
	} {
		t.Run(c.file+" "+c.labels, func(t *testing.T) {
			args := []string{"config", "routes", "test", "--config.file=" + files[c.file], "--verify.receivers=" + c.receivers}
			amtool(t, append(args, strings.Fields(c.labels)...)...)
		})
	}
}

func amtool(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("amtool"); err != nil {
		t.Fatal("amtool is needed: apt-get install prometheus-alertmanager")
	}
	if out, err := exec.CommandContext(t.Context(), "amtool", args...).CombinedOutput(); err != nil {
		t.Errorf("amtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
