package alertmanager_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

func TestRenderReplacesEveryValue(t *testing.T) {
	got, err := alertmanager.Render(alertmanager.Settings{
		Remediator: "10.0.0.1:1", SMTP: "10.0.0.2:2", TokenFile: "/tmp/token", Admin: "a@example.org", Operator: "o@example.org",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"127.0.0.1:9122", "127.0.0.1:1025", "/etc/redis-medic", "admin@", "operator@"} {
		if strings.Contains(string(got), gone) {
			t.Errorf("%q is still there", gone)
		}
	}
	for _, there := range []string{
		`url: "http://10.0.0.1:1/webhook"`, `smtp_smarthost: "10.0.0.2:2"`, `credentials_file: "/tmp/token"`,
		`to: "o@example.org, a@example.org"`,
	} {
		if !strings.Contains(string(got), there) {
			t.Errorf("%q is missing", there)
		}
	}
}

func TestRenderKeepsTheFileWithoutSettings(t *testing.T) {
	got, err := alertmanager.Render(alertmanager.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("the file changed although nothing was to be replaced")
	}
}

func TestRenderRefusesAValueThatWouldBreakTheFile(t *testing.T) {
	if _, err := alertmanager.Render(alertmanager.Settings{TokenFile: "x\"\nroute:"}); err == nil {
		t.Error("a quote and a line break were accepted")
	}
}

func TestAmtoolAcceptsEveryFile(t *testing.T) {
	files, err := filepath.Glob("*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		amtool(t, "check-config", f)
	}
}

func TestRoutes(t *testing.T) {
	for _, c := range []struct{ file, labels, receivers string }{
		{"alertmanager.yml", `alertname=RedisDown service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"alertmanager.yml", `alertname=RedisBusyScript service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"alertmanager.yml", `alertname=RedisMisconf service=redis severity=critical remediation=none`, "email-critical"},
		{"alertmanager.yml", `alertname=RedisMemoryHigh service=redis severity=warning remediation=none`, "email-warning"},
		{"alertmanager.yml", `alertname=RedisMedicExporterDown service=redis-medic severity=critical remediation=none`, "email-critical"},
		{"alertmanager.yml", `alertname=RedisMaintenance service=redis severity=info remediation=none`, "nobody"},
		{"alertmanager.yml", `alertname=RedisMedicWatchdog service=redis-medic severity=info remediation=none`, "remediator"},
		{"alertmanager.yml", `alertname=SomethingElse`, "nobody"},
		{"alertmanager-sms.yml", `alertname=RedisDown service=redis severity=critical remediation=ladder`, "remediator,email-critical"},
		{"alertmanager-sms.yml", `alertname=RedisRecoveryFailed service=redis severity=critical remediation=none`, "sms,email-critical"},
		{"alertmanager-sms.yml", `alertname=RedisManualInterventionRequired service=redis severity=critical`, "sms,email-critical"},
		{"alertmanager-sms.yml", `alertname=RedisMemoryHigh service=redis severity=warning remediation=none`, "email-warning"},
		{"alertmanager-sms.yml", `alertname=RedisMedicWatchdog service=redis-medic severity=info remediation=none`, "remediator"},
	} {
		t.Run(c.file+" "+c.labels, func(t *testing.T) {
			args := []string{"config", "routes", "test", "--config.file=" + c.file, "--verify.receivers=" + c.receivers}
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

// TestTheSMSFileIsTheFileWithSMS keeps the two from drifting apart.
func TestTheSMSFileIsTheFileWithSMS(t *testing.T) {
	plain, err := os.ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	sms, err := os.ReadFile("alertmanager-sms.yml")
	if err != nil {
		t.Fatal(err)
	}
	// Every line after the head stands in the longer file too, in the same order.
	rest := strings.Split(string(sms), "\n")
	for i, line := range strings.Split(string(plain), "\n") {
		if i == 0 {
			continue
		}
		at := 0
		for at < len(rest) && rest[at] != line {
			at++
		}
		if at == len(rest) {
			t.Fatalf("line %d is missing or out of place in alertmanager-sms.yml: %s", i+1, line)
		}
		rest = rest[at+1:]
	}
}
