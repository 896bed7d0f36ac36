package host_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/host/hosttest"
)

func TestEveryVerbSendsItsFixedLine(t *testing.T) {
	for _, gated := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := hosttest.New(t)
			if gated {
				s = hosttest.NewGated(t)
			}
			s.Unit(redisUnit.Name).Set(func(u *health.Unit) { u.CanReload = true })
			c := s.Client()
			for _, verb := range host.Verbs() {
				if verb == host.VerbBus {
					continue
				}
				if _, e, _ := run(t.Context(), t, c, verb); e != nil {
					t.Errorf("gated %v: %v", gated, e)
				}
				want, err := command(verb).ShellLine()
				if gated {
					want, err = command(verb).GateLine()
				}
				got := s.Commands()
				if err != nil || got[len(got)-1] != want {
					t.Errorf("gated %v: sent %q, want %q (%v)", gated, got[len(got)-1], want, err)
				}
			}
			if s.Dials() != 1 {
				t.Errorf("%d dials for all verbs, want one kept connection", s.Dials())
			}
		})
	}
}

func TestCommandFailures(t *testing.T) {
	reply := func(stderr string, code int) func(hosttest.Call) *hosttest.Reply {
		return func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Stderr: stderr, ExitCode: code} }
	}
	for _, tt := range []struct {
		name   string
		verb   host.Verb
		reply  func(hosttest.Call) *hosttest.Reply
		class  health.ErrorClass
		public string
	}{
		{"sudo asks for a password", host.VerbStart, reply("sudo: a password is required\n", 1), health.ClassDenied, "refused"},
		{"sudo in German", host.VerbStart, reply("sudo: Ein Passwort ist notwendig\n", 1), health.ClassDenied, "refused"},
		{"sudo rule missing", host.VerbStop, reply("Sorry, user autobot is not allowed to execute '/usr/bin/systemctl stop x' as root on redis.\n", 1), health.ClassDenied, ""},
		{"polkit", host.VerbStart, reply("Failed to start redis-server.service: Interactive authentication required.\n", 1), health.ClassDenied, ""},
		{"gate", host.VerbShow, reply("redis-medic-gate: refused: unknown verb\n", 126), health.ClassDenied, ""},
		{"log file not readable", host.VerbRedisLog, reply("tail: cannot open '/var/log/redis/redis-server.log' for reading: Permission denied\n", 1), health.ClassDenied, ""},
		{"journal not readable", host.VerbJournal, reply("No journal files were opened due to insufficient permissions.\n", 0), health.ClassDenied, "journal"},
		{"journal that is silent", host.VerbJournal, reply("", 0), health.ClassDenied, "journal"},
		{"journal of nobody", host.VerbJournal, func(hosttest.Call) *hosttest.Reply {
			return &hosttest.Reply{Stdout: "-- No entries --\n", Stderr: "Hint: You are currently not seeing messages from other users.\n"}
		}, health.ClassDenied, "journal"},
		{"job failed", host.VerbStart, reply("Job for redis-server.service failed.\n", 1), health.ClassCommand, "failed on the host"},
		{"bus down", host.VerbShow, reply("Failed to connect to bus: No such file or directory\n", 1), health.ClassCommand, "bus is down"},
		{"bus down, is-active", host.VerbIsActive, reply("Failed to connect to bus: No such file or directory\n", 1), health.ClassCommand, "bus is down"},
		{"sudo missing", host.VerbStart, reply("sh: 1: sudo: not found\n", 127), health.ClassCommand, "missing"},
		{"helper missing", host.VerbConfigRestore, reply("sudo: /usr/local/sbin/redis-medic-config: command not found\n", 1), health.ClassCommand, "missing"},
		{"no sudo line for the helper", host.VerbConfigDiff, reply("sudo: a password is required\n", 1), health.ClassDenied, "refused"},
		{"no snapshot", host.VerbConfigDiff, reply("redis-medic-config: redis-server.service: there is no last known good configuration\n", 3), health.ClassCommand, "no last known good"},
		{"no difference", host.VerbConfigRestore, reply("x\n", 4), health.ClassCommand, "already"},
		{"unit runs", host.VerbConfigRestore, reply("x\n", 5), health.ClassCommand, "not down"},
		{"another role", host.VerbConfigRestore, reply("x\n", 7), health.ClassCommand, "a person has to decide"},
		{"restore failed", host.VerbConfigRestore, reply("redis-medic-config: cannot replace /etc/redis/redis.conf\n", 1), health.ClassCommand, "failed on the host"},
		{"another verb's exit code", host.VerbStart, reply("x\n", 3), health.ClassCommand, "failed on the host"},
		{"shell is nologin", host.VerbShow, reply("This account is currently not available.\n", 1), health.ClassAuth, "log in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := hosttest.New(t)
				s.On(tt.verb, tt.reply)
				c := s.Client()
				res, e, _ := run(t.Context(), t, c, tt.verb)
				wantClass(t, e, tt.class, tt.public)
				if !e.Sent || res.Stderr == "" && tt.verb != host.VerbJournal {
					t.Errorf("sent %v, stderr %q", e.Sent, res.Stderr)
				}
				if strings.Contains(e.Public, "autobot") || strings.Contains(e.Public, "/var") {
					t.Errorf("public text shows what the host said: %q", e.Public)
				}
				if !c.Status().Reachable {
					t.Error("a command that failed makes the host unreachable")
				}
			})
		})
	}
}

func TestIsActiveAnswersWithItsExitCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Unit(redisUnit.Name).Stop()
		res, e, _ := run(t.Context(), t, s.Client(), host.VerbIsActive)
		if e != nil || res.ExitCode != 3 || res.Stdout != "inactive\n" {
			t.Errorf("got %+v, %v", res, e)
		}
	})
}

func TestHungCommandsEndAtTheirDeadlineAndDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Break(func(f *hosttest.Faults) { f.HungSystemd = true })
		c := s.Client()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, e, took := run(t.Context(), t, c, host.VerbShow)
				wantClass(t, e, health.ClassTimeout, "")
				if took != host.DefaultCommandTimeout {
					t.Errorf("a read took %v", took)
				}
			})
		}
		wg.Wait()
		if n := len(s.Commands()); n != host.DefaultMaxSessions/2 {
			t.Errorf("%d commands reached the host, want %d", n, host.DefaultMaxSessions/2)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, e, took := run(ctx, t, c, host.VerbRestart)
		wantClass(t, e, health.ClassTimeout, "did not end in time")
		if !e.Sent || took != 30*time.Second {
			t.Errorf("act: sent %v after %v, want its own deadline although the reads are stuck", e.Sent, took)
		}
		if _, e, took = run(t.Context(), t, c, host.VerbStop); e == nil || took != host.DefaultActTimeout {
			t.Errorf("an act without a deadline took %v: %v", took, e)
		}
		if !c.Status().Reachable {
			t.Error("a hung systemd is not an unreachable host")
		}
	})
}

func TestReadIsRepeatedWhenItsConnectionBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		run(t.Context(), t, c, host.VerbIsActive)
		advance(time.Minute)
		var reads atomic.Int32
		s.On(host.VerbShow, func(hosttest.Call) *hosttest.Reply {
			if reads.Add(1) == 1 {
				return &hosttest.Reply{Drop: true}
			}
			return nil
		})
		if r := c.ReadUnit(t.Context(), redisUnit); !r.OK() || reads.Load() != 2 {
			t.Errorf("%+v after %d reads", r, reads.Load())
		}
		s.On(host.VerbShow, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Drop: true} })
		if r := c.ReadUnit(t.Context(), redisUnit); r.Class != health.ClassUnreachable {
			t.Errorf("%+v", r)
		}
	})
}

func TestNoFurtherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		s.Break(func(f *hosttest.Faults) { f.NoSessions = true })
		_, e, _ := run(t.Context(), t, s.Client(), host.VerbStart)
		wantClass(t, e, health.ClassTimeout, "no more sessions")
		if e.Sent {
			t.Error("marked as sent")
		}
	})
}

func TestSessionThatIsNeverOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		c := s.Client()
		run(t.Context(), t, c, host.VerbIsActive)
		s.Break(func(f *hosttest.Faults) { f.LostOpens = true })
		_, e, took := run(t.Context(), t, c, host.VerbIsActive)
		wantClass(t, e, health.ClassTimeout, "did not open a session")
		if e.Sent || took != host.DefaultCommandTimeout {
			t.Errorf("sent %v after %v", e.Sent, took)
		}
		s.Heal()
		advance(2 * host.DefaultDialTimeout)
		if _, e, _ := run(t.Context(), t, c, host.VerbIsActive); e != nil || s.Dials() != 2 {
			t.Errorf("%v with %d dials: a connection that opens no sessions is replaced", e, s.Dials())
		}
	})
}

func TestOutputIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hosttest.New(t)
		long := "first\n" + strings.Repeat("x", 3<<20) + "\nlast\n"
		for _, verb := range []host.Verb{host.VerbListeners, host.VerbRedisLog} {
			s.On(verb, func(hosttest.Call) *hosttest.Reply { return &hosttest.Reply{Stdout: long} })
		}
		c := s.Client()
		res, e, _ := run(t.Context(), t, c, host.VerbListeners)
		if e != nil || !res.Truncated || len(res.Stdout) != 1<<20 || !strings.HasPrefix(res.Stdout, "first") {
			t.Errorf("%d bytes, truncated %v, %v", len(res.Stdout), res.Truncated, e)
		}
		res, e, _ = run(t.Context(), t, c, host.VerbRedisLog)
		if e != nil || !res.Truncated || len(res.Stdout) > 1<<20 || !strings.HasSuffix(res.Stdout, "last\n") {
			t.Errorf("of a log the newest part counts: %d bytes, truncated %v, %v", len(res.Stdout), res.Truncated, e)
		}
	})
}
