package host_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

// holds compares the samples of some families with the page.
func holds(t *testing.T, m *host.Metrics, what, page string, families ...string) {
	t.Helper()
	var want strings.Builder
	for _, f := range families {
		for _, d := range metric.Program() {
			if d.Name == f {
				fmt.Fprintf(&want, "# HELP %s %s\n# TYPE %s %s\n", f, d.Help, f, d.Type)
			}
		}
		for line := range strings.Lines(page) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, f+"{") {
				want.WriteString(line + "\n")
			}
		}
	}
	if err := testutil.CollectAndCompare(m, strings.NewReader(want.String()), families...); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

func TestMetricsOfAHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name)
		m := host.NewMetrics()
		named := func(o *host.ClientOptions) { o.Name, o.Metrics = "a", m }
		c := s.Client(named)
		states := []string{metric.SSHUp, metric.SSHBusUp, metric.SSHSessions, metric.SSHSessionsMax, metric.SSHDials, metric.SSHCommandFailures}
		const slots = `
			redis_medic_ssh_sessions_max{host="a",kind="act"} 4
			redis_medic_ssh_sessions_max{host="a",kind="read"} 4
			redis_medic_ssh_sessions{host="a",kind="act"} 0
			redis_medic_ssh_sessions{host="a",kind="read"} 0
		`
		counts := func(dials, timeouts, failed int) string {
			return fmt.Sprintf(`
			redis_medic_ssh_dials_total{host="a",result="auth"} 0
			redis_medic_ssh_dials_total{host="a",result="host-key"} 0
			redis_medic_ssh_dials_total{host="a",result="success"} %d
			redis_medic_ssh_dials_total{host="a",result="timeout"} %d
			redis_medic_ssh_dials_total{host="a",result="unreachable"} 0
			redis_medic_ssh_command_failures_total{class="auth",host="a"} 0
			redis_medic_ssh_command_failures_total{class="command",host="a"} %d
			redis_medic_ssh_command_failures_total{class="denied",host="a"} 0
			redis_medic_ssh_command_failures_total{class="host-key",host="a"} 0
			redis_medic_ssh_command_failures_total{class="timeout",host="a"} 0
			redis_medic_ssh_command_failures_total{class="unreachable",host="a"} 0
			`, dials, timeouts, failed)
		}
		holds(t, m, "before the first use", `redis_medic_ssh_up{host="a"} 0
			redis_medic_ssh_bus_up{host="a"} 0`+slots+counts(0, 0, 0), states...)
		if n := testutil.CollectAndCount(m, metric.SSHLastAnswer); n != 0 {
			t.Error("a host that never answered has a time of its last answer")
		}

		if r := c.ReadUnit(t.Context(), redisUnit); !r.OK() {
			t.Fatal(r)
		}
		holds(t, m, "connected", `redis_medic_ssh_up{host="a"} 1
			redis_medic_ssh_bus_up{host="a"} 0`+slots+counts(1, 0, 0), states...)
		watch(t, c)
		s.On(host.VerbIsActive, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{ExitCode: 1, Stderr: "no"} })
		if _, err := c.Run(t.Context(), host.Command{Verb: host.VerbIsActive, Unit: redisUnit}); err == nil {
			t.Fatal("no error")
		}
		holds(t, m, "watched, with a failed command", `redis_medic_ssh_up{host="a"} 1
			redis_medic_ssh_bus_up{host="a"} 1`+slots+counts(1, 0, 1), states...)
		// show, is-active, and the reads over the bus
		if n := testutil.CollectAndCount(m, metric.SSHCommandDuration); n != 3 {
			t.Errorf("durations of %d verbs", n)
		}

		s.On(host.VerbShow, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Hang: true} })
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, _ = c.Run(ctx, host.Command{Verb: host.VerbShow, Unit: redisUnit}) }()
		synctest.Wait()
		holds(t, m, "a command under way", `redis_medic_ssh_sessions{host="a",kind="act"} 0
			redis_medic_ssh_sessions{host="a",kind="read"} 1`, metric.SSHSessions)
		cancel()
		synctest.Wait()
		holds(t, m, "given up by ourselves", counts(1, 0, 1), metric.SSHCommandFailures)

		s.Break(func(f *hosttest.Faults) { f.Frozen = true })
		s.Drop()
		time.Sleep(6 * time.Second) // the bubble's clock
		holds(t, m, "frozen", `redis_medic_ssh_up{host="a"} 0`+counts(1, 1, 1), metric.SSHUp, metric.SSHDials)

		// A reload: the new client of the same host takes over before the old one goes.
		next := s.Client(named)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(m, metric.SSHUp); n != 1 {
			t.Errorf("%d hosts", n)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		if n := testutil.CollectAndCount(m, states...); n != 0 {
			t.Errorf("%d samples of a host that is gone", n)
		}
	})
}

func TestManyUnitsNeedFewMatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		ctx, cancel := context.WithCancel(t.Context())
		const units = 300
		ended := make(chan error, units)
		seen := make([]*recorder, units)
		for i := range units {
			unit := host.Unit{Name: fmt.Sprintf("redis-server@%d.service", i)}
			s.Unit(unit.Name)
			seen[i] = &recorder{}
			go func() { ended <- c.WatchUnit(ctx, unit, seen[i].add) }()
			synctest.Wait()
		}
		rules := s.Matches()
		if len(rules) > 140 || !strings.Contains(rules[len(rules)-1], "path_namespace='/org/freedesktop/systemd1/unit'") {
			t.Errorf("%d matches, the last is %s", len(rules), rules[len(rules)-1])
		}
		s.Unit("redis-server@299.service").Set(func(u *health.Unit) { u.ActiveState = "failed" })
		synctest.Wait()
		if got := seen[299].words(); got != "active failed" {
			t.Errorf("the last unit was seen %q", got)
		}
		if n := seen[298].count(); n != 1 {
			t.Errorf("another unit was read %d times", n)
		}
		cancel()
		for range units {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
	})
}
