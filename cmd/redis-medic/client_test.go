package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// startWithAccount starts the program with a service account of a role and returns the flags that use it.
func startWithAccount(t *testing.T, role string) (*program, []string) {
	t.Helper()
	p := startChanged(t, func(s string) string {
		return strings.Replace(s, "controlapi:\n", "controlapi:\n  service_accounts: [{name: cli, role: "+role+", token_file: jwt}]\n", 1)
	})
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	return p, []string{"--url", "http://" + p.addrs[2], "--token-file", filepath.Join(filepath.Dir(p.file), "jwt")}
}

func TestTheClientShowsAndActs(t *testing.T) {
	p, account := startWithAccount(t, "admin")
	with := func(args ...string) []string { return append(args, account...) }
	for _, c := range []struct {
		args []string
		code int
		out  string
		err  string
	}{
		{with("services"), 0, "ID     STATUS", ""},
		{with("status"), 0, "vm info.host", ""},
		{with("status", "redis", "-o", "json"), 0, `"vm_info": {`, ""},
		{with("health"), 0, "check connectivity", ""},
		{with("incidents"), 0, "OPENED AT", ""},
		{with("recovery"), 0, "breaker.phase", ""},
		{with("recovery", "off", "--reason", "testing"), 0, "hold: disabled", ""},
		{with("recovery", "on"), 0, "enabled", ""},
		{with("recovery", "reset"), 0, "enabled", ""},
		{with("recovery", "explain"), 0, "it would now", ""},
		{with("recovery", "dance"), 2, "", `there is no "dance"`},
		{with("maintenance", "start", "--for", "10m"), 0, "maintenance", ""},
		{with("maintenance", "end"), 0, "enabled", ""},
		{with("audit", "list", "-n", "5"), 0, "SEQ", ""},
		{with("audit", "list", "-operation", "audit.read"), 0, "audit.read", ""},
		{with("status", "nosuch"), 1, "", "HTTP 404"},
		{with("restart"), 5, "", "HTTP 503"}, // the host of this configuration does not exist
		{with("stop"), 1, "", "not confirmed"},
		{with("status", "-o", "xml"), 2, "", "text or json"},
		{[]string{"status", "--url", "nonsense"}, 2, "", "URL"},
		{[]string{"start", "--url", account[1]}, 3, "", "HTTP 401"},
		{[]string{"status", "--url", "http://" + freePorts(t, 1)[0]}, 5, "", "cannot be reached"},
		{with("status", "redis", "more"), 2, "", "unexpected argument"},
	} {
		code, out, said := call(t, "no\n", c.args...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(said, c.err) {
			t.Errorf("%q ends with %d, want %d, and says\n%s%s", c.args[:min(3, len(c.args))], code, c.code, out, said)
		}
	}
	_, out, _ := call(t, "", with("services", "-o", "json")...)
	var answer struct{ Records []struct{ ID string } }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Records) != 1 || answer.Records[0].ID != "redis" {
		t.Errorf("services as JSON: %v\n%s", err, out)
	}
	checkRecords(t, p)
}

// checkRecords verifies and exports the records that the program wrote, while it runs and after its end.
func checkRecords(t *testing.T, p *program) {
	t.Helper()
	for _, when := range []string{"while it runs", "after its end"} {
		code, out, said := call(t, "", "audit", "verify", "--config", p.file)
		if code != 0 || !strings.Contains(out, "store: good") || !strings.Contains(out, "file: good") {
			t.Errorf("verify %s: %d\n%s%s", when, code, out, said)
		}
		code, out, said = call(t, "", "audit", "export", "--config", p.file, "--format", "csv", "--operation", "recovery.off", "--since", "1h")
		if code != 0 || !strings.Contains(out, "seq") {
			t.Errorf("export %s: %d\n%s%s", when, code, out, said)
		}
		p.end(t)
	}
	log := filepath.Join(filepath.Dir(p.file), "data", "logs", "audit", "redis_service_management.log")
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log, []byte(strings.Replace(string(data), `"maintenance`, `"maintenancf`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := call(t, "", "audit", "verify", "--config", p.file); code != 1 || !strings.Contains(out, "file: BAD at record") {
		t.Errorf("a changed record is not found: %d\n%s", code, out)
	}
	if code, _, said := call(t, "", "audit", "export", "--config", p.file, "--format", "xml"); code != 1 || !strings.Contains(said, "xml") {
		t.Errorf("%d %q", code, said)
	}
}

func TestAViewerIsRefused(t *testing.T) {
	_, account := startWithAccount(t, "viewer")
	if code, _, said := call(t, "", append([]string{"stop", "--yes"}, account...)...); code != exitRefused || !strings.Contains(said, "HTTP 403") {
		t.Errorf("ended with %d and says %q", code, said)
	}
}

func TestTheTokenGoesToNobodyElse(t *testing.T) {
	var asked atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	api := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer api.Close()
	t.Setenv(envToken, "canary")
	code, out, said := call(t, "", "status", "--url", api.URL)
	if code != exitFailed || strings.Contains(out+said, "canary") || !strings.Contains(said, "302") {
		t.Errorf("ended with %d and says %q", code, said)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}
