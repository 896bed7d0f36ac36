package exporter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/resp"
)

// TestReloadLeavesNoGap adds and removes a service while another one is scraped: it must be up on every page.
func TestReloadLeavesNoGap(t *testing.T) {
	t.Parallel()
	a, b := startRedis(t), startRedis(t)
	stays, comes := target(a), target(b)
	stays.Timings.PingTimeout, comes.Timings.PingTimeout = 5*time.Second, 5*time.Second
	comes.ID = "comes"
	e, base := runExporter(t, Options{Targets: []Target{stays}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				scrapePage(t, base+"/metrics").want(t, 1, "redis_up", "service", "redis")
			}
		})
	}
	for i := range 20 {
		targets := []Target{stays}
		if i%2 == 0 {
			targets = append(targets, comes)
		}
		if err := e.SetTargets(targets); err != nil {
			t.Fatal(err)
		}
		want := i%2 == 0
		until(t, "the other service comes and goes", func() bool {
			_, ok := scrapePage(t, base+"/metrics").value("redis_up", "service", "comes")
			return ok == want
		})
	}
	cancel()
	wg.Wait()
}

func TestPasswordChangesWithReload(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "old")
	tg := target(r)
	with := func(password string) Target {
		tg.Credentials = func() (string, string) { return "", password }
		return tg
	}
	e, base := runExporter(t, Options{Targets: []Target{with("old")}})
	scrapePage(t, base+"/metrics").want(t, 1, "redis_ping_reply", "reply", "pong")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := resp.Dial(ctx, resp.Options{Addr: r.addr, Password: "old"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Do(ctx, []string{"CONFIG", "SET", "requirepass", "new"}); err != nil {
		t.Fatal(err)
	}
	if err := e.SetTargets([]Target{with("wrong")}); err != nil { // drops the connection that was let in before
		t.Fatal(err)
	}
	s := scrapePage(t, base+"/metrics")
	s.want(t, 1, "redis_ping_reply", "reply", "noauth")
	s.want(t, 1, "redis_up")
	s.want(t, 1, "redis_exporter_last_scrape_error", "err", "noauth")
	s.want(t, 0, "redis_collector_success", "collector", "info")
	if err := e.SetTargets([]Target{with("new")}); err != nil {
		t.Fatal(err)
	}
	scrapePage(t, base+"/metrics").want(t, 1, "redis_ping_reply", "reply", "pong")
}

func TestKilledRedisIsRefusedNotUnreachable(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	tg := target(r)
	tg.Timings.PingInterval = time.Hour
	_, base := runExporter(t, Options{Targets: []Target{tg}})
	scrapePage(t, base+"/metrics").want(t, 1, "redis_up")
	r.kill() // the kept connection breaks: only a new one tells that nobody listens
	s := scrapePage(t, base+"/metrics")
	s.want(t, 0, "redis_up")
	s.want(t, 1, "redis_ping_reply", "reply", "refused")
	r.start()
	scrapePage(t, base+"/metrics").want(t, 1, "redis_up")
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	e, err := New(Options{Listen: "127.0.0.1:0", Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.listener.Close() }()
	h, err := e.handler()
	if err != nil {
		t.Fatal(err)
	}
	for path, code := range map[string]int{"/-/ready": http.StatusServiceUnavailable, "/-/healthy": http.StatusOK} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != code {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/-/reload", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("reload where there is none: %d", w.Code)
	}
}
