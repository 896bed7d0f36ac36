package main

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
)

// TestAReloadLeavesNoGap reloads again and again while every part is asked all the time.
func TestAReloadLeavesNoGap(t *testing.T) {
	p := start(t)
	until(t, "all parts are ready", func() bool { return p.ready(t) })
	ctx, stop := context.WithCancel(t.Context())
	var asked, failed atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics")
			asked.Add(1)
			if !strings.Contains(body, `redis_up{service="redis"}`) || !p.ready(t) {
				failed.Add(1)
			}
		}
	}()
	defer func() { stop(); <-done }()
	reload := func() {
		t.Helper()
		before := asked.Load()
		if code, body := ask(t, http.MethodPost, "http://"+p.addrs[0]+"/-/reload"); code != http.StatusOK {
			t.Fatalf("reload: %d %s", code, body)
		}
		until(t, "it was asked on", func() bool { return asked.Load() > before+2 })
	}
	metrics := func() string {
		_, body := ask(t, http.MethodGet, "http://"+p.addrs[0]+"/metrics")
		return body
	}

	const added = `services: [{id: sessions, service: {ip: 127.0.0.1, port: 6390, systemd_unit: redis-server@sessions.service}, auto_recovery: {enabled: false}}]` + "\n"
	p.rewrite(t, func(s string) string {
		return added + strings.Replace(s, "service: {ip: 127.0.0.1}", "service: {ip: 127.0.0.1}\n  health_check: {checks: {connection_pool: {enabled: false}, performance: {thresholds: {connections_warning: 321}}}}", 1)
	})
	reload()
	until(t, "the new service and threshold are seen", func() bool {
		m := metrics()
		return strings.Contains(m, `redis_up{service="sessions"} 0`) && strings.Contains(m, "} 321\n")
	})
	if m := metrics(); !strings.Contains(m, `redis_service_hold{reason="disabled",service="sessions"} 1`) {
		t.Error("the remediator does not know the new service")
	}
	if code, _ := ask(t, http.MethodGet, "http://"+p.addrs[2]+"/api/services/sessions/status"); code != http.StatusOK {
		t.Errorf("the control API answers %d", code)
	}
	p.rewrite(t, func(s string) string { return strings.Replace(s, added, "", 1) })
	reload()
	until(t, "the service is gone", func() bool { return !strings.Contains(metrics(), `"sessions"`) })
	for range 5 {
		reload()
	}
	stop()
	<-done
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d questions found a gap", n, asked.Load())
	}
	if strings.Contains(p.log.String(), "starts anew") {
		t.Error("the parts were made anew")
	}
}

// TestWhatAReloadTakesOverWhileTheProgramRuns names one key of every kind. What is not in the plan's living part means new parts.
func TestWhatAReloadTakesOverWhileTheProgramRuns(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		fits   bool
	}{
		"nothing":          {func(*config.Config) {}, true},
		"an address":       {func(c *config.Config) { c.Services[0].Service.Port = 7000 }, true},
		"the ladder":       {func(c *config.Config) { c.Services[0].AutoRecovery.MaxAttempts = 9 }, true},
		"a host":           {func(c *config.Config) { h := c.SSH.Hosts["redis"]; h.Gate = !h.Gate; c.SSH.Hosts["redis"] = h }, true},
		"rate limits":      {func(c *config.Config) { c.ControlAPI.RateLimits.Start = 99 }, true},
		"the audit level":  {func(c *config.Config) { c.Services[0].Audit.LogLevel = "ERROR" }, true},
		"a listener":       {func(c *config.Config) { c.ControlAPI.Listen = "127.0.0.1:1" }, false},
		"the store":        {func(c *config.Config) { c.Storage.Path = "/nonexistent" }, false},
		"the audit's file": {func(c *config.Config) { c.Services[0].Audit.LogFile = "/nonexistent/a" }, false},
		"Alertmanager":     {func(c *config.Config) { c.Remediator.Alertmanager.URL = "http://127.0.0.1:1" }, false},
		"the storm guard":  {func(c *config.Config) { c.Remediator.StormGuard.Min = 99 }, false},
	} {
		file := writeConfig(t, nil)
		before, after := planIn(t, file, func(*config.Config) {}), planIn(t, file, c.change)
		if got := newLive(before, zerolog.Nop()).fits(after); got != c.fits {
			t.Errorf("%s: taken over while running: %v, want %v", name, got, c.fits)
		}
	}
}

// planIn is what a file means, after a change.
func planIn(t *testing.T, file string, change func(*config.Config)) *plan {
	t.Helper()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	change(c)
	secrets, err := config.LoadSecrets(c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planOf(c, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
