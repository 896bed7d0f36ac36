package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var (
	t0  = time.Date(2026, 11, 23, 3, 0, 0, 0, time.UTC)
	set = Settings{Enabled: true, FailureThreshold: 5, OpenFor: 300 * time.Second, HalfOpenTrials: 1}
)

func failed(t *testing.T, s State, n int, now time.Time) State {
	t.Helper()
	for range n {
		next, ok, _ := Begin(s, set, now)
		if !ok {
			t.Fatalf("no leave in phase %s", next.Phase)
		}
		s = Fail(next, set, next.Generation, now)
	}
	return s
}

func TestTheFifthFailureOpens(t *testing.T) {
	s := failed(t, State{}, 4, t0)
	if s.Phase != Closed || s.Failures != 4 {
		t.Fatalf("after 4 failures: %+v", s)
	}
	s = failed(t, s, 1, t0)
	if s.Phase != Open || !s.OpenedAt.Equal(t0) {
		t.Fatalf("after 5 failures: %+v", s)
	}
	_, ok, wait := Begin(s, set, t0.Add(100*time.Second))
	if ok || wait != 200*time.Second {
		t.Fatalf("leave %v, retry after %v; want a refusal for 200 s", ok, wait)
	}
}

func TestASuccessInBetweenClearsTheCount(t *testing.T) {
	s := failed(t, State{}, 4, t0)
	s = Succeed(s, s.Generation)
	if s = failed(t, s, 4, t0); s.Phase != Closed {
		t.Fatalf("opened after %d failures since the last success", s.Failures)
	}
}

func TestHalfOpenAdmitsOneTrialAndItsResultDecides(t *testing.T) {
	open := failed(t, State{}, 5, t0)
	later := t0.Add(300 * time.Second)
	trial, ok, _ := Begin(open, set, later)
	if !ok || trial.Phase != HalfOpen {
		t.Fatalf("after 300 s: leave %v in %s", ok, trial.Phase)
	}
	if _, ok, _ := Begin(trial, set, later); ok {
		t.Fatal("a second trial was admitted")
	}
	if s := Succeed(trial, trial.Generation); s.Phase != Closed || s.Failures != 0 {
		t.Fatalf("a successful trial left %+v", s)
	}
	if s := Fail(trial, set, trial.Generation, later); s.Phase != Open || !s.OpenedAt.Equal(later) {
		t.Fatalf("a failed trial left %+v", s)
	}
	back := Abandon(trial, trial.Generation)
	if _, ok, _ := Begin(back, set, later); !ok {
		t.Fatal("an abandoned trial was not given back")
	}
}

func TestAResultFromAnotherGenerationChangesNothing(t *testing.T) {
	open := failed(t, State{}, 5, t0)
	trial, _, _ := Begin(open, set, t0.Add(301*time.Second))
	if s := Succeed(trial, 0); s != trial {
		t.Fatalf("an old success changed %+v to %+v", trial, s)
	}
	if s := Fail(trial, set, 0, t0); s != trial {
		t.Fatalf("an old failure changed %+v to %+v", trial, s)
	}
	if s := Abandon(trial, 0); s != trial {
		t.Fatalf("an old trial changed %+v to %+v", trial, s)
	}
	if s := Succeed(open, open.Generation); s.Phase != Open {
		t.Fatal("a success closed an open breaker")
	}
}

func TestResetAndSwitchedOff(t *testing.T) {
	open := failed(t, State{}, 5, t0)
	if s := Reset(open); s.Phase != Closed || s.Failures != 0 || s.Generation == open.Generation {
		t.Fatalf("reset left %+v", s)
	}
	off := Settings{}
	if _, ok, _ := Begin(open, off, t0); !ok {
		t.Fatal("a switched-off breaker refused")
	}
	if s := Fail(State{}, off, 0, t0); s.Failures != 0 {
		t.Fatal("a switched-off breaker counted")
	}
}

func TestLoopGuardWindow(t *testing.T) {
	times := []time.Time{t0, t0.Add(100 * time.Second), t0.Add(200 * time.Second)}
	for _, c := range []struct {
		name  string
		limit int
		at    time.Duration
		want  bool
	}{
		{"three inside five minutes", 3, 299 * time.Second, true},
		{"the first has left the window", 3, 300 * time.Second, false},
		{"switched off", 0, 200 * time.Second, false},
		{"the clock went back", 3, -time.Hour, true},
	} {
		if got := Looping(times, c.limit, 5*time.Minute, t0.Add(c.at)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Over any history: an open breaker never gives leave before its time, never more trials than allowed are out, and only a
// success in the running generation closes it.
func TestBreakerModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s, now := State{}, t0
		var out []uint64
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(rt, "seconds")) * time.Second)
			switch rapid.IntRange(0, 3).Draw(rt, "move") {
			case 0, 1:
				before := s
				next, ok, wait := Begin(s, set, now)
				if before.Phase == Open && now.Before(before.OpenedAt.Add(set.OpenFor)) && ok {
					rt.Fatalf("leave while open")
				}
				if !ok && wait < time.Second {
					rt.Fatalf("refused without a time to wait")
				}
				if next.Phase == HalfOpen && next.Trials > set.HalfOpenTrials {
					rt.Fatalf("%d trials out", next.Trials)
				}
				if s = next; ok {
					out = append(out, next.Generation)
				}
			case 2:
				if len(out) > 0 {
					s, out = Succeed(s, out[0]), out[1:]
				}
			case 3:
				if len(out) > 0 {
					s, out = Fail(s, set, out[0], now), out[1:]
				}
			}
			if s.Phase == Open && s.OpenedAt.After(now) {
				rt.Fatalf("opened in the future")
			}
			if s.Phase == Closed && s.Failures >= set.FailureThreshold {
				rt.Fatalf("closed with %d failures", s.Failures)
			}
		}
	})
}
