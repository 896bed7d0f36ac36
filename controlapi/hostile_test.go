package controlapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// serveChanged runs an API whose server has other timeouts than the shipped ones.
func serveChanged(t *testing.T, change func(*http.Server)) *rig {
	t.Helper()
	r := newRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	change(r.server)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestSlowlorisIsCut: strangers who send headers or bodies drop by drop lose their connections, and meanwhile others are served.
func TestSlowlorisIsCut(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*http.Server)
		first  string
	}{
		"headers": {func(s *http.Server) { s.ReadHeaderTimeout = 200 * time.Millisecond }, "GET /api/services HTTP/1.1\r\nHost: x\r\n"},
		"bodies": {func(s *http.Server) { s.ReadTimeout = 200 * time.Millisecond },
			"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := serveChanged(t, c.change)
			const slow = 200
			before := runtime.NumGoroutine()
			var wg sync.WaitGroup
			for range slow {
				conn, err := net.Dial("tcp", r.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				wg.Go(func() {
					defer conn.Close()
					_, _ = io.WriteString(conn, c.first)
					_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
					go func() {
						tick := time.NewTicker(20 * time.Millisecond)
						defer tick.Stop()
						for range tick.C {
							if _, err := io.WriteString(conn, "X"); err != nil {
								return
							}
						}
					}()
					answer, err := io.ReadAll(conn)                    // ends when the server has closed the connection
					if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as net returns it
						t.Error("a slow connection was not closed")
					}
					if text := string(answer); text != "" && !strings.HasPrefix(text, "HTTP/1.1 4") {
						t.Errorf("answered %.60q", text)
					}
				})
			}
			if code, _ := get(t, http.DefaultClient, "http://"+r.Addr().String()+"/api/services/redis/status"); code != 200 {
				t.Errorf("an honest client meanwhile: %d", code)
			}
			wg.Wait()
			deadline := time.Now().Add(20 * time.Second)
			for runtime.NumGoroutine() > before+20 {
				if time.Now().After(deadline) {
					t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
				}
				pass(10 * time.Millisecond)
			}
		})
	}
}

// endless is a body without an end.
type endless struct{ text string }

func (e endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

// TestHostileBodiesCostNothing: bodies without an end, deep ones and garbage get a 4xx, and memory stays where it was.
func TestHostileBodiesCostNothing(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	base := "http://" + r.Addr().String()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	post := func(path string, body io.Reader) int {
		req, err := http.NewRequest(http.MethodPost, base+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+adminToken)
		resp, err := client.Do(req)
		if err != nil {
			return 413 // the server closed the connection while we were still sending
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode
	}
	bodies := map[string]func() io.Reader{
		"endless spaces": func() io.Reader { return endless{" "} },
		"endless text":   func() io.Reader { return io.MultiReader(strings.NewReader(`{"reason":"`), endless{"x"}) },
		"endless depth":  func() io.Reader { return endless{`{"reason":`} },
		"deep":           func() io.Reader { return strings.NewReader(strings.Repeat(`{"a":`, 10000)) },
		"deep lists":     func() io.Reader { return strings.NewReader(`{"a":` + strings.Repeat("[", 50000)) },
		"garbage":        func() io.Reader { return strings.NewReader("\x00\xff\xfe{") },
		"broken unicode": func() io.Reader { return strings.NewReader(`{"reason":"\ud800` + "\xc3\x28") },
		"a huge number":  func() io.Reader { return strings.NewReader(`{"confirmation":` + strings.Repeat("9", 60000) + `}`) },
		"the same member": func() io.Reader {
			return strings.NewReader(`{` + strings.Repeat(`"confirmation":"x",`, 3000) + `"a":1}`)
		},
	}
	round := func() {
		for name, body := range bodies {
			for _, path := range []string{"/api/services/redis/stop", "/api/auth/login", "/api/services/redis/maintenance"} {
				if got := post(path, body()); got < 400 || got > 499 {
					t.Errorf("%s at %s: %d", name, path, got)
				}
			}
		}
	}
	round()
	before := memory()
	for range 10 {
		round()
	}
	if grown := int64(memory()) - int64(before); grown > 16<<20 {
		t.Errorf("memory grew by %d KiB", grown>>10)
	}
	if len(r.remediator.seen())+len(r.remediator.noted()) != 0 {
		t.Error("something was done")
	}
}

// TestHostileURLsAndHeaders: none of them reaches a handler that acts, or breaks one.
func TestHostileURLsAndHeaders(t *testing.T) {
	r := serveRig(t, func(o *Options) { o.WatchEvery = time.Hour })
	for _, line := range []string{
		"GET /api/services/redis/logs?lines=" + strings.Repeat("9", 5000), "GET /api/services/" + strings.Repeat("a", 20000) + "/status",
		"GET /api/services/%00/status", "GET /api/services/redis%0d%0aX:y/status", "GET /api/audit?cursor=%ff", "GET http://evil.example/api/audit",
		"GET /api/services/redis/logs?" + strings.Repeat("a&", 8000), "POST /api/services/..%2f..%2fetc/start", "OPTIONS *", "BREW /api/services",
		"CONNECT evil.example:443",
	} {
		conn, err := net.Dial("tcp", r.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", line, adminToken)
		raw, err := io.ReadAll(conn)
		_ = conn.Close()
		if err != nil || !strings.HasPrefix(string(raw), "HTTP/1.1 4") && !strings.HasPrefix(string(raw), "HTTP/1.1 200") || strings.Contains(string(raw), "\r\nX:y") {
			t.Errorf("%.60s: %v %.200s", line, err, raw)
		}
	}
	if strings.Contains(r.log.String(), "panicked") || len(r.remediator.seen()) != 0 {
		t.Errorf("%s", r.log)
	}
}
