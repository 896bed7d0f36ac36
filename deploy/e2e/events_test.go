package e2e

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// firsts notes when things were first seen since the last clear.
type firsts struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (f *firsts) see(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, seen := f.at[what]; !seen {
		f.at[what] = time.Now()
	}
}

func (f *firsts) of(what string) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	at, seen := f.at[what]
	return at, seen
}

func (f *firsts) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = map[string]time.Time{}
}

// TestAUnitChangeIsSeenAtOnce stops and starts the unit on the host, behind the program's back, and measures from systemd's own time of
// the change until it is in /metrics and in the live events. An idle machine needs some milliseconds; the test only refuses what no
// event can explain.
func TestAUnitChangeIsSeenAtOnce(t *testing.T) {
	const bound = 2 * time.Second
	ctx := begin(t)
	recover := func(on bool) {
		code, answer, err := st.Call(ctx, "admin", "PUT", "/api/services/redis/auto-recovery", map[string]any{"enabled": on, "reason": "a test of events"})
		if err != nil || code != 200 {
			t.Fatalf("auto-recovery %v: %d %v %v", on, code, answer, err)
		}
	}
	recover(false)
	defer recover(true)
	var seen firsts
	seen.clear()
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	stream := openEvents(ctx, t)
	defer func() { _ = stream.CloseNow() }()
	wg.Go(func() { followEvents(watching, stream, &seen) })
	wg.Go(func() { followPage(watching, &seen) })

	took := map[string][]time.Duration{}
	for range 5 {
		for _, c := range []struct{ verb, page, event, property string }{ // reset-failed: systemd counts starts, whoever asks
			{"stop", "inactive", "stopped", "InactiveEnterTimestamp"}, {"start", "active", "running", "ActiveEnterTimestamp"},
		} {
			seen.clear()
			if _, err := host.Exec(ctx, "systemctl reset-failed redis-server; systemctl "+c.verb+" redis-server"); err != nil {
				t.Fatal(err)
			}
			at := systemdTime(ctx, t, c.property)
			for _, what := range []string{"page " + c.page, "event " + c.event} {
				until(ctx, t, what, func() (bool, string) { _, ok := seen.of(what); return ok, "" })
				first, _ := seen.of(what)
				took[what] = append(took[what], first.Sub(at))
			}
		}
	}
	for what, list := range took {
		slices.Sort(list)
		t.Logf("%-14s after the change on the host: median %v, worst %v", what, list[len(list)/2].Round(100*time.Microsecond), list[len(list)-1].Round(100*time.Microsecond))
		if list[len(list)/2] > bound {
			t.Errorf("%s is seen after %v: not by an event", what, list)
		}
	}
}

// systemdTime is systemd's time of the last change, to the microsecond. The host's clock is this machine's.
func systemdTime(ctx context.Context, t *testing.T, property string) time.Time {
	t.Helper()
	out, err := host.Exec(ctx, "systemctl show --value --timestamp=us+utc --property="+property+" redis-server")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse("Mon 2006-01-02 15:04:05.000000 MST", strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func openEvents(ctx context.Context, t *testing.T) *websocket.Conn {
	t.Helper()
	token, err := st.Token("admin")
	if err != nil {
		t.Fatal(err)
	}
	c, _, err := websocket.Dial(ctx, strings.Replace(st.ControlAPI, "http", "ws", 1)+"/ws/services/redis/status",
		&websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + token}}})
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadLimit(1 << 20)
	return c
}

func followEvents(ctx context.Context, c *websocket.Conn, seen *firsts) {
	for {
		var m struct{ Type, Status string }
		if wsjson.Read(ctx, c, &m) != nil {
			return
		}
		if m.Type == "service_status" {
			seen.see("event " + m.Status)
		}
	}
}

// followPage asks for the page again and again, as a Prometheus in a great hurry would.
func followPage(ctx context.Context, seen *firsts) {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, st.Exporter+"/metrics?collect[]=health", nil)
		if err != nil {
			return
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			continue
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			continue
		}
		for _, state := range []string{"active", "inactive"} {
			if pageHas(string(body), state) {
				seen.see("page " + state)
			}
		}
	}
}

// pageHas reports whether the unit is in a state on the page.
func pageHas(body, state string) bool {
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "systemd_unit_state{") && strings.Contains(line, `state="`+state+`"} 1`) {
			return true
		}
	}
	return false
}
