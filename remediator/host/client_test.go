package host_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

var redisUnit = host.Unit{Name: "redis-server.service", LogFile: "/var/log/redis/redis-server.log", DataDir: "/var/lib/redis"}

func command(verb host.Verb) host.Command {
	return host.Command{Verb: verb, Unit: redisUnit, Lines: 50, PID: 1000}
}

// run runs a verb and returns its result, its error as *Error and how long it took on the bubble's clock.
func run(ctx context.Context, t *testing.T, c *host.Client, verb host.Verb) (host.Result, *host.Error, time.Duration) {
	t.Helper()
	start := time.Now()
	res, err := c.Run(ctx, command(verb))
	if err == nil {
		return res, nil, time.Since(start)
	}
	var e *host.Error
	if !errors.As(err, &e) {
		t.Fatalf("%s: %v is not an *Error", verb, err)
	}
	return res, e, time.Since(start)
}

// advance lets the clock of the bubble run for d.
func advance(d time.Duration) { <-time.After(d) }

func wantClass(t *testing.T, e *host.Error, class health.ErrorClass, public string) {
	t.Helper()
	if e == nil {
		t.Fatalf("no error, want class %s", class)
	}
	if e.Class != class || !strings.Contains(e.Public, public) {
		t.Errorf("class %q, public %q; want %q and words %q (%v)", e.Class, e.Public, class, public, e)
	}
}

func TestDialFailuresAreClassified(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fault  func(*hosttest.Server)
		class  health.ErrorClass
		public string
		took   time.Duration
	}{
		{"sshd stopped", func(s *hosttest.Server) { s.Break(func(f *hosttest.Faults) { f.Refused = true }) }, health.ClassUnreachable, "cannot be reached", 0},
		{"partition", func(s *hosttest.Server) { s.Break(func(f *hosttest.Faults) { f.Unreachable = true }) }, health.ClassUnreachable, "cannot be reached", 5 * time.Second},
		{"sshd frozen", func(s *hosttest.Server) { s.Break(func(f *hosttest.Faults) { f.Frozen = true }) }, health.ClassTimeout, "SSH server does not answer", 5 * time.Second},
		{"key revoked", func(s *hosttest.Server) { s.Break(func(f *hosttest.Faults) { f.KeyRevoked = true }) }, health.ClassAuth, "does not accept our key", 0},
		{"host key changed", (*hosttest.Server).RotateHostKey, health.ClassHostKey, "another key (SHA256:", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hosttest.New(t)
				c := s.Client()
				tt.fault(s)
				res, e, took := run(t.Context(), t, c, host.VerbStart)
				wantClass(t, e, tt.class, tt.public)
				if took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
				if e.Sent || res.ExitCode != -1 || len(s.Commands()) != 0 {
					t.Errorf("a command that never left is marked as sent: %+v, exit code %d, %q", e, res.ExitCode, s.Commands())
				}
				if e.Verb != host.VerbStart || e.Host != "redis" {
					t.Errorf("error names %s on %s", e.Verb, e.Host)
				}
				synctest.Wait()
				status := c.Status()
				if status.Reachable || status.Class != tt.class || status.Since.IsZero() || !status.LastOK.IsZero() {
					t.Errorf("status %+v", status)
				}
				s.Heal()
				s.TrustHostKey()
				advance(2 * time.Minute)
				if _, e, _ := run(t.Context(), t, c, host.VerbIsActive); e != nil {
					t.Errorf("after healing: %v", e)
				}
				if status := c.Status(); !status.Reachable || status.Class != health.ClassNone || status.LastOK.IsZero() {
					t.Errorf("status after healing %+v", status)
				}
			})
		})
	}
}

func TestUnknownHostKeyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client(func(o *host.ClientOptions) { o.Address = "other-host:22" })
		_, e, _ := run(t.Context(), t, c, host.VerbIsActive)
		wantClass(t, e, health.ClassHostKey, "is not in known_hosts")
	})
}

func TestBetweenTwoDialsReadsFailAtOnceAndActsDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Break(func(f *hosttest.Faults) { f.Refused = true })
		c := s.Client(func(o *host.ClientOptions) { o.BackoffMin, o.BackoffMax = time.Minute, time.Minute })
		run(t.Context(), t, c, host.VerbIsActive)
		advance(time.Second)
		for range 100 {
			_, e, took := run(t.Context(), t, c, host.VerbIsActive)
			wantClass(t, e, health.ClassUnreachable, "")
			if took != 0 {
				t.Fatalf("a read waited %v", took)
			}
		}
		if s.Dials() != 1 {
			t.Errorf("%d dials, want 1: reads must not dial inside the backoff", s.Dials())
		}
		run(t.Context(), t, c, host.VerbStart)
		if s.Dials() != 2 {
			t.Errorf("%d dials, want 2: an act forces one", s.Dials())
		}
		run(t.Context(), t, c, host.VerbStart)
		if s.Dials() != 2 {
			t.Errorf("%d dials, want 2: forced dials keep a distance", s.Dials())
		}
		advance(time.Second)
		run(host.Insist(t.Context()), t, c, host.VerbIsActive)
		if s.Dials() != 3 {
			t.Errorf("%d dials, want 3: a read that a person waits for forces one", s.Dials())
		}
		s.Heal()
		advance(time.Second)
		if _, e, _ := run(t.Context(), t, c, host.VerbStart); e != nil {
			t.Errorf("an act with the host back: %v", e)
		}
	})
}

func TestManyCallersShareOneDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Break(func(f *hosttest.Faults) { f.Unreachable = true })
		c := s.Client()
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() { _, _ = c.Run(t.Context(), command(host.VerbIsActive)) })
		}
		wg.Wait()
		if s.Dials() > 2 {
			t.Errorf("%d dials for 200 callers", s.Dials())
		}
	})
}

func TestSilentPeerIsNoticedWithin15Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name).Takes(time.Hour, 0)
		s.Unit(redisUnit.Name).Stop()
		c := s.Client()
		run(t.Context(), t, c, host.VerbIsActive)
		go func() {
			advance(time.Second)
			s.Break(func(f *hosttest.Faults) { f.Unreachable = true })
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, e, took := run(ctx, t, c, host.VerbStart)
		wantClass(t, e, health.ClassUnreachable, "outcome is unknown")
		if !e.Sent || took > 15*time.Second {
			t.Errorf("sent %v, noticed after %v", e.Sent, took)
		}
		synctest.Wait()
		if status := c.Status(); status.Reachable || status.Public != "the host stopped answering" {
			t.Errorf("status %+v", status)
		}
	})
}

func TestBrokenConnectionIsReplacedBeforeTheCommandIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		for range 3 {
			if _, e, _ := run(t.Context(), t, c, host.VerbIsActive); e != nil {
				t.Fatal(e)
			}
			advance(time.Minute)
			s.Drop()
		}
		s.On(host.VerbStart, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Drop: true} })
		_, e, _ := run(t.Context(), t, c, host.VerbStart)
		wantClass(t, e, health.ClassUnreachable, "outcome is unknown")
		starts := 0
		for _, line := range s.Commands() {
			if strings.Contains(line, "start") {
				starts++
			}
		}
		if !e.Sent || starts != 1 {
			t.Errorf("sent %v, %d starts: a command whose outcome is unknown must not be repeated", e.Sent, starts)
		}
	})
}

func TestDroppingServerIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		run(t.Context(), t, c, host.VerbIsActive)
		before := s.Dials()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); advance(100 * time.Millisecond) {
			s.Drop()
		}
		if n := s.Dials() - before; n > 15 {
			t.Errorf("%d dials in a minute to a server that drops every connection", n)
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Break(func(f *hosttest.Faults) { f.Unreachable = true })
		c := s.Client()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, e, took := run(ctx, t, c, host.VerbStart)
		wantClass(t, e, health.ClassTimeout, "")
		if took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestClosedClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		ended := make(chan *host.Error)
		go func() {
			s.On(host.VerbShow, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Hang: true} })
			_, e, _ := run(t.Context(), t, c, host.VerbShow)
			ended <- e
		}()
		advance(time.Second)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wantClass(t, <-ended, health.ClassUnreachable, "closed")
		_, e, _ := run(t.Context(), t, c, host.VerbStart)
		wantClass(t, e, health.ClassUnreachable, "closed")
		if r := c.ReadUnit(t.Context(), redisUnit); r.OK() || r.Class != health.ClassUnreachable {
			t.Errorf("read %+v", r)
		}
		if err := c.WatchUnit(t.Context(), redisUnit, func(health.UnitRead) {}); host.ClassOf(err) != health.ClassUnreachable {
			t.Errorf("watch: %v", err)
		}
	})
}

func TestStatusListenersSeeEachChangeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		var mu sync.Mutex
		var seen []string
		c := s.Client(func(o *host.ClientOptions) {
			o.OnStatus = func(st host.ConnStatus) {
				mu.Lock()
				defer mu.Unlock()
				if st.Reachable {
					seen = append(seen, "up")
				} else {
					seen = append(seen, string(st.Class))
				}
			}
		})
		run(t.Context(), t, c, host.VerbIsActive)
		advance(time.Minute)
		s.Break(func(f *hosttest.Faults) { f.Refused = true })
		s.Drop()
		advance(time.Minute)
		s.Heal()
		advance(time.Minute)
		s.RotateHostKey()
		s.Drop()
		advance(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(seen, " "); got != "up unreachable up host-key" {
			t.Errorf("listener saw %q", got)
		}
	})
}
