package alertmanager_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/deploy/alertmanager"
)

// inbox collects what arrived, in the words of the tests.
type inbox struct {
	mu   sync.Mutex
	got  []string
	when map[string]time.Time
}

func (b *inbox) add(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, what)
	if b.when == nil {
		b.when = map[string]time.Time{}
	}
	if _, ok := b.when[what]; !ok {
		b.when[what] = time.Now()
	}
}

func (b *inbox) has(what string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.got, what)
}

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// webhook is the remediator's door: it notes "status alertname" of each alert of a message that has the token.
func webhook(b *inbox) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/webhook" || r.Header.Get("Authorization") != "Bearer secret-token" {
			b.add("stranger at " + r.URL.Path)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		var message struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
			b.add("garbage: " + err.Error())
		}
		if n := len(message.Alerts); n != 1 {
			b.add(fmt.Sprintf("%d alerts in one message", n))
		}
		for _, a := range message.Alerts {
			b.add(a.Status + " " + a.Labels["alertname"])
		}
		w.WriteHeader(http.StatusAccepted)
	})
}

// mailSink speaks enough SMTP to take a message; it notes "to subject" for each and keeps the text.
func mailSink(t *testing.T, b *inbox) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go takeMail(c, b)
		}
	}()
	return l.Addr().String()
}

func takeMail(c net.Conn, b *inbox) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(s string) { _, _ = io.WriteString(c, s+"\r\n") }
	say("220 sink")
	var to []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb := strings.ToUpper(strings.TrimSpace(line)); {
		case strings.HasPrefix(verb, "RCPT"):
			to = append(to, strings.Trim(strings.TrimSpace(line[len("RCPT TO:"):]), "<>"))
			say("250 ok")
		case verb == "DATA":
			say("354 go on")
			var text strings.Builder
			for line != ".\r\n" {
				if line, err = in.ReadString('\n'); err != nil {
					return
				}
				text.WriteString(line)
			}
			noteMail(b, to, text.String())
			to = nil
			say("250 taken")
		case verb == "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func noteMail(b *inbox, to []string, text string) {
	for line := range strings.SplitSeq(text, "\r\n") {
		if subject, ok := strings.CutPrefix(line, "Subject: "); ok {
			for _, who := range to {
				b.add(who + ": " + strings.ReplaceAll(subject, "_", " "))
			}
		}
	}
	b.add(text)
}

// startAlertmanager runs a real Alertmanager with the shipped file and returns its address.
func startAlertmanager(t *testing.T, remediator, smtp string) string {
	t.Helper()
	if _, err := exec.LookPath("prometheus-alertmanager"); err != nil {
		t.Fatal("prometheus-alertmanager is needed: see make deps")
	}
	dir := t.TempDir()
	token, file := filepath.Join(dir, "token"), filepath.Join(dir, "alertmanager.yml")
	config, err := alertmanager.Render(alertmanager.Settings{
		WebhookURL: "http://" + remediator + "/webhook", SMTP: smtp, TokenFile: token,
		Critical: alertmanager.Defaults().Critical, Warning: alertmanager.Defaults().Warning,
	})
	if err != nil {
		t.Fatal(err)
	}
	// People's patience is not under test.
	config = []byte(strings.NewReplacer("group_wait: 5s", "group_wait: 1s", "group_wait: 30s", "group_wait: 1s").Replace(string(config)))
	for path, body := range map[string][]byte{token: []byte("secret-token\n"), file: config} {
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	var log bytes.Buffer
	cmd := exec.Command("prometheus-alertmanager", "--config.file="+file, "--storage.path="+dir, "--web.listen-address="+addr,
		"--cluster.listen-address=")
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("Alertmanager said:\n%s", &log)
		}
	})
	until(t, "Alertmanager is ready", func() bool {
		r, err := http.Get("http://" + addr + "/-/ready")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	})
	return addr
}

func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

// post sends an alert as Prometheus does. An end in the past resolves it.
func post(t *testing.T, addr, name, severity, remediation string, ended bool) {
	t.Helper()
	now := time.Now()
	end := now.Add(5 * time.Minute)
	if ended {
		end = now
	}
	body, err := json.Marshal([]map[string]any{{
		"labels":      map[string]string{"alertname": name, "service": "redis", "severity": severity, "remediation": remediation},
		"annotations": map[string]string{"summary": "Summary of " + name, "description": "What to know.", "runbook_url": "http://runbook/#x"},
		"startsAt":    now.Add(-time.Minute), "endsAt": end,
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post("http://"+addr+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager answered %s", r.Status)
	}
}

func TestARealAlertmanagerDelivers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	hook, mail := &inbox{}, &inbox{}
	door := httptest.NewServer(webhook(hook))
	t.Cleanup(door.Close)
	addr := startAlertmanager(t, strings.TrimPrefix(door.URL, "http://"), mailSink(t, mail))

	post(t, addr, "RedisMedicWatchdog", "info", "none", false)
	post(t, addr, "RedisDown", "critical", "ladder", false)
	sent := time.Now()
	until(t, "the webhook gets RedisDown", func() bool { return hook.has("firing RedisDown") })
	t.Logf("delivered %s after the alert was posted", time.Since(sent).Round(time.Millisecond))
	until(t, "the heartbeat takes the same way", func() bool { return hook.has("firing RedisMedicWatchdog") })
	until(t, "the administrator gets a mail", func() bool { return mail.has("admin@autobot.local: [FIRING 1] Summary of RedisDown") })

	post(t, addr, "RedisDown", "critical", "ladder", true)
	until(t, "the end is delivered", func() bool { return hook.has("resolved RedisDown") })

	post(t, addr, "RedisReplicaLost", "warning", "none", false)
	until(t, "operators get the warning", func() bool { return mail.has("operator@autobot.local: [FIRING 1] Summary of RedisReplicaLost") })

	// In maintenance everything else of the service is quiet, for the remediator too.
	post(t, addr, "RedisMaintenance", "info", "none", false)
	post(t, addr, "RedisHung", "critical", "ladder", false)
	until(t, "RedisHung is inhibited", func() bool { return suppressed(t, addr, "RedisHung") })
	post(t, addr, "RedisMaintenance", "info", "none", true)
	until(t, "RedisHung is delivered when the maintenance ends", func() bool { return hook.has("firing RedisHung") })

	for _, what := range append(hook.all(), mail.all()...) {
		if strings.HasPrefix(what, "stranger") || strings.HasPrefix(what, "garbage") || strings.Contains(what, "alerts in one message") {
			t.Error(what)
		}
		if strings.Contains(what, "RedisMaintenance") {
			t.Errorf("an informative alert was sent: %s", what)
		}
	}
	text := strings.Join(mail.all(), "\n")
	if !strings.Contains(text, "What to know.") || !strings.Contains(text, "http://runbook/#x") {
		t.Errorf("the mail lacks the description or the runbook:\n%s", text)
	}
}

// suppressed reports whether Alertmanager holds an alert back.
func suppressed(t *testing.T, addr, name string) bool {
	t.Helper()
	r, err := http.Get("http://" + addr + "/api/v2/alerts")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var alerts []struct {
		Labels map[string]string
		Status struct{ State string }
	}
	if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil {
		t.Fatal(err)
	}
	for _, a := range alerts {
		if a.Labels["alertname"] == name {
			return a.Status.State == "suppressed"
		}
	}
	return false
}
