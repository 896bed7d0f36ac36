package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// ask2 asks one of the program's listeners with a token and a body.
func (p *program) ask2(t *testing.T, addr int, method, path, token, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.addrs[addr]+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// records are the records in the program's file, oldest first.
func (p *program) records(t *testing.T) (out []audit.Record) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(p.file), "data", "logs", "audit", "redis_service_management.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r audit.Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// Whatever anybody tries leaves its records, in the whole program: people, refusals, webhooks, the configuration, the program itself.
func TestEveryAttemptLeavesItsRecords(t *testing.T) {
	const hash = `$2a$04$N7cmOqUNrGwwpDtJKtYXGueLCqT0LW6JUoKMTaMn0nYHv2YVz1kXa`
	p := startChanged(t, func(s string) string {
		return strings.Replace(s, "controlapi:\n", `controlapi:
  service_accounts: [{name: root, role: admin, token_file: jwt}, {name: eye, role: viewer, token_file: token}]
  users: [{id: u1, email: u1@example.org, role: admin, password_hash: "`+hash+`"}]
  rate_limits: {start: 1}
`, 1)
	})
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	admin, viewer, api, hook := strings.Repeat("y", 40), strings.Repeat("x", 40), 2, 1
	alert := `{"alerts":[{"status":"firing","fingerprint":"f","startsAt":"2026-01-01T00:00:00Z","labels":{"service":"redis","remediation":"ladder"}}]}`
	service := "/api/services/redis/"
	for _, c := range []struct {
		addr                      int
		method, path, token, body string
		code                      int
		want                      string // phase and operation of each record, and the status where it was refused
	}{
		{api, "POST", service + "start", "", "", 401, "denied start 401"},
		{api, "POST", service + "start", viewer, "", 403, "denied start 403"},
		{api, "POST", service + "start", admin, "garbage", 400, "denied start 400"},
		{api, "POST", service + "start", admin, "", 429, "denied start 429"},
		{api, "POST", service + "stop", admin, "", 400, "denied stop 400"},
		{api, "POST", "/api/services/nobody/start", admin, "", 404, "denied start 404"},
		{api, "GET", service + "incidents", "", "", 401, "denied view_incidents 401"},
		{api, "GET", service + "status", "a-wrong-token-of-some-length-0123456789", "", 401, "denied view_the_status 401"},
		{api, "GET", service + "status", viewer, "", 200, ""},
		{api, "GET", "/api/audit", viewer, "", 403, "denied audit.read 403"},
		{api, "GET", "/api/audit?bogus=1", admin, "", 400, "denied audit.read 400"},
		{api, "GET", "/api/audit", admin, "", 200, "outcome audit.read"},
		{api, "GET", "/api/audit/export?format=csv", admin, "", 200, "outcome audit.export"},
		{api, "GET", service + "logs", viewer, "", 403, "denied logs 403"},
		{api, "POST", "/api/auth/login", "", `{"email":"u1@example.org","password":"wrong"}`, 401, "denied login 401"},
		{api, "POST", "/api/auth/login", "", `{"email":"u1@example.org"}`, 400, "denied login 400"},
		{api, "POST", "/api/auth/token", admin, "", 200, "outcome token"},
		{api, "POST", "/api/auth/ws-ticket", admin, "", 200, "outcome ws_ticket"},
		{api, "PUT", service + "auto-recovery", admin, `{"enabled":false}`, 200, "system auto_recovery_disable"},
		{api, "PUT", service + "auto-recovery", viewer, `{"enabled":true}`, 403, "denied auto_recovery_set 403"},
		{api, "PUT", service + "auto-recovery", admin, `{"enabled":true}`, 200, "system auto_recovery_enable"},
		{api, "POST", service + "auto-recovery/reset", admin, "", 200, "system auto_recovery_reset"},
		{api, "POST", service + "maintenance", admin, `{"duration_seconds":60}`, 200, "system maintenance_start"},
		{api, "DELETE", service + "maintenance", admin, "", 200, "system maintenance_end"},
		{api, "POST", "/-/reload", viewer, "", 403, "denied config.reload 403"},
		{api, "POST", "/-/reload", admin, "", 200, "intent config.reload, system config.reload, outcome config.reload"},
		{hook, "POST", "/webhook", "", alert, 401, "denied webhook 401"},
		{hook, "POST", "/webhook", viewer, "garbage", 400, "denied webhook 400"},
		{hook, "POST", "/webhook", viewer, alert, 202, "system webhook"},
	} {
		before := len(p.records(t))
		if code, text := p.ask2(t, c.addr, c.method, c.path, c.token, c.body); code != c.code {
			t.Errorf("%s %s answers %d, want %d: %s", c.method, c.path, code, c.code, text)
		}
		var want []string
		if c.want != "" {
			want = strings.Split(c.want, ", ")
		}
		var got []string
		seen := func() bool {
			got = got[:0]
			for _, r := range p.records(t)[before:] {
				if r.EventType == "auto_recovery" || r.EventType == "service_operation" && r.User.ID == "system" {
					continue // what the remediator does by itself meanwhile
				}
				word := string(r.Phase) + " " + r.Operation
				if r.Phase == audit.PhaseDenied {
					word += fmt.Sprint(" ", r.Result.Status)
				}
				got = append(got, word)
			}
			return slices.Equal(got, want)
		}
		soon := time.Now().Add(20 * time.Second) // a webhook's record comes after its answer
		for !seen() && time.Now().Before(soon) {
			<-time.After(10 * time.Millisecond)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %s: records %v, want %v", c.method, c.path, got, want)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	count := func(operation string, success bool) (n int) {
		for _, r := range p.records(t) {
			if r.Operation == operation && r.Phase == audit.PhaseSystem && r.Result.Success == success {
				n++
			}
		}
		return n
	}
	until(t, "the reload by a signal is recorded", func() bool { return count("config.reload", true) == 2 })
	p.rewrite(t, func(s string) string { return s + "bogus: 1\n" })
	if code, _ := p.ask2(t, 0, "POST", "/-/reload", "", ""); code < 400 {
		t.Errorf("a bad configuration is taken: %d", code)
	}
	until(t, "a reload that failed is recorded", func() bool { return count("config.reload", false) == 1 })
	p.end(t)
	all := p.records(t)
	if all[0].Operation != "program.start" || all[len(all)-1].Operation != "program.stop" {
		t.Errorf("the first record is %s, the last %s", all[0].Operation, all[len(all)-1].Operation)
	}
	for _, r := range all {
		if text := fmt.Sprint(r); strings.Contains(text, admin) || strings.Contains(text, viewer) || strings.Contains(text, "a-wrong-token") {
			t.Errorf("a secret is in %+v", r)
		}
	}
}

// A full disk refuses what people ask for, with a clear answer; shows what is known all the same; and is over when there is room
// again, by itself.
func TestAFullDiskRefusesPeopleAndIsOverByItself(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a file system")
	}
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	p := startChanged(t, func(s string) string {
		before, _, _ := strings.Cut(s, "storage:")
		return strings.Replace(before, "controlapi:\n", "controlapi:\n  service_accounts: [{name: root, role: admin, token_file: jwt}]\n", 1) +
			"storage: {path: " + filepath.Join(disk, "data") + "}\n"
	})
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	set := func() (int, string) {
		return p.ask2(t, 2, "PUT", "/api/services/redis/auto-recovery", strings.Repeat("y", 40), `{"enabled":true}`)
	}
	if code, text := set(); code != 200 {
		t.Fatalf("with room: %d %s", code, text)
	}
	filler := filepath.Join(disk, "filler")
	if err := fill(filler); err != nil {
		t.Fatal(err)
	}
	// What was reserved before may still take a record or two.
	var text string
	until(t, "it is refused", func() bool {
		var code int
		code, text = set()
		return code == http.StatusServiceUnavailable
	})
	if !strings.Contains(text, "audit_unavailable") && !strings.Contains(text, "no_space") {
		t.Errorf("the refusal does not say why: %s", text)
	}
	if code, _ := p.ask2(t, 2, "POST", "/api/services/redis/restart", strings.Repeat("y", 40), ""); code != http.StatusServiceUnavailable {
		t.Errorf("a restart on a full disk answers %d", code)
	}
	if code, _ := p.ask2(t, 2, "GET", "/api/services/redis/status", "", ""); code != 200 {
		t.Errorf("the status on a full disk answers %d", code)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	until(t, "it goes on by itself", func() bool {
		code, _ := set()
		return code == 200
	})
	if code := p.end(t); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if code, out, said := call(t, "", "audit", "verify", "--config", p.file); code != 0 {
		t.Errorf("afterwards the chain is not sound: %d %s%s", code, out, said)
	}
}

// fill writes a file until its file system is full.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
	}
	return nil
}
