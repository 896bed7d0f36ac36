package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// logs gathers what the program writes; it may be read meanwhile.
type logs struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// freePorts returns addresses that were free a moment ago.
func freePorts(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out
}

// program is `redis-medic run` in this process.
type program struct {
	file  string
	addrs []string // exporter, remediator, control API
	log   *logs
	stop  context.CancelFunc
	done  chan int
}

func start(t *testing.T, args ...string) *program {
	t.Helper()
	return startChanged(t, func(s string) string { return s }, args...)
}

// startChanged is start with a change of the configuration.
func startChanged(t *testing.T, change func(string) string, args ...string) *program {
	t.Helper()
	p := &program{addrs: freePorts(t, 3), log: &logs{}, done: make(chan int, 1)}
	p.file = writeConfig(t, func(s string) string {
		for _, a := range p.addrs {
			s = strings.Replace(s, "127.0.0.1:0", a, 1)
		}
		return change(s)
	})
	ctx, cancel := context.WithCancel(t.Context())
	p.stop = cancel
	go func() {
		p.done <- dispatch(ctx, console{in: strings.NewReader(""), out: io.Discard, err: p.log}, append([]string{"run", "--config", p.file}, args...))
	}()
	t.Cleanup(func() {
		p.end(t)
		if t.Failed() {
			t.Log(p.log)
		}
	})
	return p
}

// end ends the program and returns its exit code.
func (p *program) end(t *testing.T) int {
	t.Helper()
	p.stop()
	select {
	case code := <-p.done:
		p.done <- code
		return code
	case <-time.After(30 * time.Second):
		t.Fatal("the program does not end")
		return 0
	}
}

// until waits for a condition.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-tick.C:
		}
	}
}

func ask(t *testing.T, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

func (p *program) ready(t *testing.T) bool {
	t.Helper()
	for _, a := range p.addrs {
		if code, _ := ask(t, http.MethodGet, "http://"+a+"/-/ready"); code != http.StatusOK {
			return false
		}
	}
	return true
}

// metric is the value of a series without labels, as text.
func (p *program) metric(t *testing.T, name string) string {
	t.Helper()
	_, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func (p *program) rewrite(t *testing.T, change func(string) string) {
	t.Helper()
	data, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.file, []byte(change(string(data))), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRunServesReloadsAndEnds(t *testing.T) {
	p := start(t)
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	if v := p.metric(t, "redis_medic_config_last_reload_successful"); v != "1" {
		t.Errorf("reload metric is %q", v)
	}
	for _, family := range []string{"redis_up", "redis_medic_audit_last_seq", "redis_service_desired_state", "redis_medic_http_requests_in_flight"} {
		if _, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics"); !strings.Contains(body, "\n"+family) {
			t.Errorf("the exporter does not publish %s", family)
		}
	}

	p.rewrite(t, func(s string) string { return s + "grafana: 1\n" })
	if code, body := ask(t, http.MethodPost, "http://"+p.addrs[0]+"/-/reload"); code < 400 {
		t.Errorf("a bad configuration was taken: %d %s", code, body)
	}
	if v := p.metric(t, "redis_medic_config_last_reload_successful"); v != "0" {
		t.Errorf("after a bad reload the metric is %q", v)
	}
	if !p.ready(t) {
		t.Error("a bad reload stopped something")
	}

	old := p.addrs[2]
	p.addrs[2] = freePorts(t, 1)[0]
	p.rewrite(t, func(s string) string {
		return strings.Replace(strings.Replace(s, "grafana: 1\n", "", 1), old, p.addrs[2], 1)
	})
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	until(t, "the control API moved", func() bool { return p.ready(t) })
	if v := p.metric(t, "redis_medic_config_last_reload_successful"); v != "1" {
		t.Errorf("after a good reload the metric is %q", v)
	}
	if code, _ := ask(t, http.MethodGet, "http://"+old+"/-/ready"); code != 0 {
		t.Errorf("the old listener still answers %d", code)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestAConfigurationThatCannotBeStartedLeavesTheOldOneInForce(t *testing.T) {
	p := start(t)
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p.rewrite(t, func(s string) string { return strings.Replace(s, p.addrs[2], taken.Addr().String(), 1) })
	if code, body := ask(t, http.MethodPost, "http://"+p.addrs[0]+"/-/reload"); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	until(t, "the program says so", func() bool { return strings.Contains(p.log.String(), "going back to the old one") })
	until(t, "the old configuration is in force again", func() bool { return p.ready(t) })
	if v := p.metric(t, "redis_medic_config_last_reload_successful"); v != "0" {
		t.Errorf("the metric is %q", v)
	}
	if code := p.end(t); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestTheExporterRunsAlone(t *testing.T) {
	p := start(t, "--component", "exporter", "--log.format", "console", "--log.level", "debug")
	until(t, "the exporter is ready", func() bool {
		code, _ := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/-/ready")
		return code == http.StatusOK
	})
	for _, a := range p.addrs[1:] {
		if code, _ := ask(t, http.MethodGet, "http://"+a+"/-/ready"); code != 0 {
			t.Errorf("%s answers %d", a, code)
		}
	}
	if code := p.end(t); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestASecondProgramOnTheSameStateIsRefused(t *testing.T) {
	p := start(t)
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	second := p.file + ".second"
	other := string(text)
	for i, a := range freePorts(t, 3) {
		other = strings.Replace(other, p.addrs[i], a, 1)
	}
	if err := os.WriteFile(second, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, said := call(t, "", "run", "--config", second)
	if code != 1 || !strings.Contains(said, fmt.Sprint(os.Getpid())) {
		t.Errorf("ended with %d and says %q, want 1 and the process that holds it", code, said)
	}
	p.end(t)
}

func TestRunRefusesWrongArguments(t *testing.T) {
	for _, args := range [][]string{
		{"--component", "panel"}, {"--component", "controlapi"}, {"--log.level", "loud"}, {"--log.format", "xml"}, {"extra"},
	} {
		if code, _, said := call(t, "", append([]string{"run"}, args...)...); code != 2 || said == "" {
			t.Errorf("%q ends with %d and says %q", args, code, said)
		}
	}
	if code, _, said := call(t, "", "run", "--config", "/nonexistent.yml"); code != 1 || !strings.Contains(said, "/nonexistent.yml: cannot be read") {
		t.Errorf("%d %q", code, said)
	}
}

func TestSystemdIsToldWhenWeAreReadyAndWhenWeEnd(t *testing.T) {
	name := t.TempDir() + "/notify"
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", name)
	p := start(t)
	read := func() string {
		b := make([]byte, 100)
		_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	if got := read(); got != "READY=1" {
		t.Errorf("systemd hears %q", got)
	}
	p.end(t)
	if got := read(); got != "STOPPING=1" {
		t.Errorf("systemd hears %q", got)
	}
}
