package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func alertmanagerConfigOf(t *testing.T, alerts string, args ...string) (int, string) {
	t.Helper()
	file := writeConfig(t, func(s string) string {
		return strings.Replace(s, "service: {ip: 127.0.0.1}\n", "service: {ip: 127.0.0.1}\n  alerts: "+alerts+"\n", 1)
	})
	var out bytes.Buffer
	c := console{in: strings.NewReader(""), out: &out, err: &out}
	return dispatch(t.Context(), c, append([]string{"alertmanager-config", "--config", file}, args...)), out.String()
}

func TestAlertmanagerConfigTellsTheConfiguredPeople(t *testing.T) {
	code, out := alertmanagerConfigOf(t, "{channels: {email: true, sms: true}, recipients: {critical: [night@example.org], warning: [], info: [all@example.org]}}",
		"--smtp", "mail.example.org:587", "--from", "medic@example.org", "--sms-url", "http://10.0.0.9/sms")
	for _, want := range []string{`to: "night@example.org"`, `to: "all@example.org"`, `"http://10.0.0.9/sms"`, `"mail.example.org:587"`, "smtp_require_tls: true"} {
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%d, %s is missing in\n%s", code, want, out)
		}
	}
	if strings.Contains(out, "email-warning") {
		t.Error("a receiver that nobody listens to")
	}
	name := filepath.Join(t.TempDir(), "am.yml")
	if err := os.WriteFile(name, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), "amtool", "check-config", name).CombinedOutput(); err != nil {
		t.Errorf("amtool: %v\n%s", err, said)
	}
}

func TestAlertmanagerConfigWithoutChannels(t *testing.T) {
	code, out := alertmanagerConfigOf(t, "{channels: {email: false, sms: false}}")
	if code != 0 || strings.Contains(out, "email-") || strings.Contains(out, "sms") || !strings.Contains(out, "/webhook") {
		t.Errorf("%d\n%s", code, out)
	}
}

func TestAlertmanagerConfigRefuses(t *testing.T) {
	for _, args := range [][]string{{"--sms-url", "http://x/sms"}, {"--smtp", "nowhere"}, {"--webhook-url", "ftp://x"}} {
		if code, out := alertmanagerConfigOf(t, "{channels: {sms: false}}", args...); code != 2 || !strings.Contains(out, "redis-medic alertmanager-config:") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}
