package remediator

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
)

func ask(b *bench, op Operation) (Result, error) {
	return b.r.Operate(bg, Request{Service: "redis", Operation: op, Actor: ann, SourceIP: "192.0.2.1", RequestID: "req-1", Reason: "because"})
}

func TestOperations(t *testing.T) {
	cases := []struct {
		name     string
		before   func(*world)
		op       Operation
		success  bool
		message  string
		status   string
		commands []string
	}{
		{"start a stopped one", func(w *world) { w.down("inactive", "success") }, OpStart, true, "Redis service started successfully", StatusRunning, []string{"start"}},
		{"start a failed one", func(w *world) { w.down("failed", "exit-code") }, OpStart, true, "Redis service started successfully", StatusRunning, []string{"reset-failed", "start"}},
		{"start a running one", func(*world) {}, OpStart, true, "Redis service already running", StatusRunning, nil},
		{"stop a running one", func(*world) {}, OpStop, true, "Redis service stopped successfully", StatusStopped, []string{"stop"}},
		{"stop a stopped one", func(w *world) { w.down("inactive", "success") }, OpStop, true, "Redis service already stopped", StatusStopped, nil},
		{"restart a running one", func(*world) {}, OpRestart, true, "Redis service restarted successfully", StatusRunning, []string{"restart"}},
		{"restart a failed one", func(w *world) { w.down("failed", "exit-code") }, OpRestart, true, "Redis service restarted successfully", StatusRunning, []string{"reset-failed", "restart"}},
		{"reload where there is none", func(*world) {}, OpReload, false, "Failed to reload Redis service", StatusRunning, nil},
		{"reload where there is one", func(w *world) { w.unit.CanReload = true }, OpReload, true, "Redis service reloaded successfully", StatusRunning, []string{"reload"}},
		{"a start that fails", func(w *world) {
			w.down("inactive", "success")
			w.on[host.VerbStart] = func(w *world) error {
				w.down("failed", "exit-code")
				return commandFailed(health.ClassCommand)(w)
			}
		}, OpStart, false, "Failed to start Redis service", StatusFailed, []string{"start"}},
		{"a start whose command lies", func(w *world) {
			w.down("inactive", "success")
			w.on[host.VerbStart] = func(*world) error { return nil }
		}, OpStart, false, "Failed to start Redis service", StatusStopped, []string{"start"}},
		{"a stop that is refused", func(w *world) { w.on[host.VerbStop] = commandFailed(health.ClassDenied) }, OpStop, false, "Failed to stop Redis service", StatusRunning, []string{"stop"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				b.w.set(c.before)
				res, err := ask(b, c.op)
				if err != nil {
					t.Fatal(err)
				}
				if res.Success != c.success || res.Message != c.message || res.NewStatus != c.status || res.Operation != c.op {
					t.Errorf("%+v", res)
				}
				if !res.Success && res.Error == "" {
					t.Error("a failure without a cause")
				}
				want(t, "commands", b.w.did(), c.commands)
				want(t, "audit", b.records(), []string{"intent " + string(c.op), "outcome " + string(c.op)})
				if d := b.state().Desired; d.Running != (c.op != OpStop || !c.success) {
					t.Errorf("desired: %+v", d)
				}
				if b.state().Busy != nil {
					t.Error("still busy")
				}
			})
		})
	}
}

func TestRestartTellsWhatItEnded(t *testing.T) {
	run(t, nil, func(b *bench) {
		res, err := ask(b, OpRestart)
		if err != nil || res.PreviousUptime != time.Hour || res.ConnectionsTerminated != 42 {
			t.Fatalf("%+v %v", res, err)
		}
		recs, _, err := b.audit.Query(bg, audit.Filter{})
		if err != nil || len(recs) != 2 {
			t.Fatalf("%v %v", recs, err)
		}
		out := recs[0]
		if out.User.Email != ann.Email || out.SourceIP != "192.0.2.1" || out.RequestID != "req-1" || !out.Result.Success || out.Result.ExitCode == nil || *out.Result.ExitCode != 0 || !out.Security.SSHKeyUsed {
			t.Errorf("outcome record: %+v", out)
		}
	})
}

func TestOneActAtATime(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.block = make(chan struct{}) })
		first := make(chan error, 1)
		go func() { _, err := ask(b, OpRestart); first <- err }()
		b.after(time.Second)
		_, err := ask(b, OpStop)
		var busy *BusyError
		if !errors.As(err, &busy) || busy.Busy.By != ann.Email || busy.Busy.Operation != "restart" || busy.Error() == "" {
			t.Fatalf("second: %v", err)
		}
		b.w.set(func(w *world) { close(w.block); w.block = nil })
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		want(t, "commands", b.w.did(), []string{"restart"})
		want(t, "audit", b.records(), []string{"intent restart", "denied stop", "outcome restart"})
	})
}

func TestAnOperationOutlivesItsRequest(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.block = make(chan struct{}) })
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		if _, err := b.r.Operate(ctx, Request{Service: "redis", Operation: OpRestart, Actor: ann}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the caller's deadline: %v", err)
		}
		if b.state().Busy == nil {
			t.Fatal("the operation ended with its request")
		}
		b.w.set(func(w *world) { close(w.block); w.block = nil })
		b.after(time.Second)
		want(t, "audit", b.records(), []string{"intent restart", "outcome restart"})
	})
}

func TestATimeoutLeavesTheOutcomeOpen(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.block = make(chan struct{}) })
		res, err := ask(b, OpStop)
		if err != nil || res.Success || !res.OutcomeUnknown {
			t.Fatalf("%+v %v", res, err)
		}
		if b.state().Desired.Running {
			t.Error("a stop whose outcome is open must hold automatic recovery")
		}
	})
}

// TestEachOperationHasItsTime: 30 s for a start, 20 s for a stop and 40 s for a restart, as the architecture document allows.
func TestEachOperationHasItsTime(t *testing.T) {
	for op, limit := range map[Operation]time.Duration{OpStop: 20 * time.Second, OpRestart: 40 * time.Second} {
		run(t, nil, func(b *bench) {
			b.w.set(func(w *world) { w.block = make(chan struct{}) })
			began := time.Now()
			if res, err := ask(b, op); err != nil || res.Success {
				t.Errorf("%s: %+v %v", op, res, err)
			}
			if took := time.Since(began); took < limit || took > limit+5*time.Second {
				t.Errorf("%s was given %s, want %s", op, took, limit)
			}
		})
	}
	if got := allowance(OpStart, 30*time.Second); got != 30*time.Second {
		t.Errorf("start: %s", got)
	}
}

func TestRefusals(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.Operate(bg, Request{Service: "nope"}); !errors.Is(err, ErrUnknownService) {
			t.Errorf("unknown service: %v", err)
		}
		b.w.set(func(w *world) { w.class = health.ClassUnreachable })
		var ue *UnavailableError
		if _, err := ask(b, OpStop); !errors.As(err, &ue) || ue.Class != health.ClassUnreachable || ue.Error() == "" {
			t.Errorf("unreachable: %v", err)
		}
		if !b.state().Desired.Running {
			t.Error("a stop that never reached the host holds automatic recovery")
		}
		want(t, "audit", b.records(), []string{"intent stop", "outcome stop"})
	})
	nothingAllowed := func(o *Options) { o.Services[0].Allowed = nil }
	run(t, nothingAllowed, func(b *bench) {
		if _, err := ask(b, OpStart); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("not allowed: %v", err)
		}
		want(t, "audit", b.records(), []string{"denied start"})
	})
}

func TestTheFourthStartInTenSecondsIsRefused(t *testing.T) {
	run(t, nil, func(b *bench) {
		for range 5 { // nothing is started, so nothing counts
			if res, err := ask(b, OpStart); err != nil || !res.AlreadyDone {
				t.Fatalf("%+v %v", res, err)
			}
		}
		for range 3 {
			if _, err := ask(b, OpRestart); err != nil {
				t.Fatal(err)
			}
		}
		var rate *RateError
		if _, err := ask(b, OpRestart); !errors.As(err, &rate) || rate.RetryAfter <= 0 || rate.RetryAfter > 10*time.Second || rate.Error() == "" {
			t.Fatalf("fourth: %v", err)
		}
		b.after(10 * time.Second)
		if _, err := ask(b, OpRestart); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFiveFailuresOpenTheBreaker(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.on[host.VerbStop] = commandFailed(health.ClassCommand) })
		for range 5 {
			if res, err := ask(b, OpStop); err != nil || res.Success {
				t.Fatalf("%+v %v", res, err)
			}
		}
		var open *BreakerOpenError
		if _, err := ask(b, OpStop); !errors.As(err, &open) || open.RetryAfter < 299*time.Second || open.Error() == "" {
			t.Fatalf("sixth: %v", err)
		}
		if h := b.state().Holds; len(h) != 1 || h[0].Code != HoldBreaker {
			t.Errorf("holds: %+v", h)
		}
		b.after(300 * time.Second)
		b.w.set(func(w *world) { delete(w.on, host.VerbStop) })
		if res, err := ask(b, OpStop); err != nil || !res.Success {
			t.Fatalf("the trial: %+v %v", res, err)
		}
		if s := b.state(); s.Breaker.Phase != "closed" {
			t.Errorf("%+v", s.Breaker)
		}
	})
}

// deafAudit refuses everything.
type deafAudit struct{}

// Append implements Auditor.
func (deafAudit) Append(context.Context, audit.Record) (audit.Record, error) {
	return audit.Record{}, errors.New("disk full")
}

func TestWithoutAnAuditRecordNothingHappens(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.end()
		b.opts.Audit = deafAudit{}
		b.begin()
		if _, err := ask(b, OpStop); !errors.Is(err, ErrAudit) {
			t.Fatalf("stop: %v", err)
		}
		if err := b.r.SetAutoRecovery(bg, "redis", ann, false, ""); !errors.Is(err, ErrAudit) || !b.state().AutoRecoveryEnabled {
			t.Errorf("switching off: %v", err)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(time.Minute)
		want(t, "commands", b.w.did(), nil)
		if i := b.state().Incident; i == nil || i.Steps[len(i.Steps)-1].Code != string(HoldAudit) {
			t.Fatalf("%+v", i)
		}
	})
}

func TestAnInterruptedOperationGetsItsOutcome(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.block = make(chan struct{}) })
		go func() { _, _ = ask(b, OpStop) }()
		b.after(time.Second)
		left := b.copyState()
		b.w.set(func(w *world) { close(w.block); w.block = nil })
		b.end()
		b.putState(left)
		b.begin()
		b.after(time.Second)
		want(t, "audit", b.records(), []string{"intent stop", "outcome stop"}) // the outcome was recorded before the end
		if b.state().Desired.Running {
			t.Error("the interrupted stop was forgotten")
		}
	})
}

func TestUnknownIdsAreErrors(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.Incident(bg, "inc-x"); !errors.Is(err, ErrUnknownIncident) {
			t.Error(err)
		}
		if _, _, err := b.r.Incidents(bg, "x", "", 1); !errors.Is(err, ErrUnknownService) {
			t.Error(err)
		}
		if err := b.r.EndMaintenance(bg, "x", ann); !errors.Is(err, ErrUnknownService) {
			t.Error(err)
		}
		if err := b.r.ResetAutoRecovery(bg, "x", ann, ""); !errors.Is(err, ErrUnknownService) {
			t.Error(err)
		}
		if _, ok := b.r.State("x"); ok {
			t.Error("a state of an unknown service")
		}
		b.fire("redis")
		b.after(time.Second)
		if i, err := b.r.Incident(bg, b.newest().ID); err != nil || i.Service != "redis" {
			t.Errorf("%+v %v", i, err)
		}
	})
}

func TestStatusWord(t *testing.T) {
	for want, u := range map[string]health.UnitRead{
		StatusRunning: {At: time.Now(), Unit: health.Unit{ActiveState: "active"}},
		StatusStopped: {At: time.Now(), Unit: health.Unit{ActiveState: "inactive"}},
		StatusFailed:  {At: time.Now(), Unit: health.Unit{ActiveState: "failed"}},
		StatusUnknown: {At: time.Now(), Unit: health.Unit{ActiveState: "activating"}},
	} {
		if got := StatusWord(u); got != want {
			t.Errorf("%s: %s", want, got)
		}
	}
	if got := StatusWord(health.UnitRead{At: time.Now(), Class: health.ClassTimeout}); got != StatusUnknown {
		t.Errorf("unread: %s", got)
	}
}
