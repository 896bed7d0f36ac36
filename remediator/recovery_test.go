package remediator

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
)

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestAStoppedUnitIsStartedAndWatchedUntilItIsStable(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
		if s := b.state(); s.Incident == nil || s.Incident.Status != IncidentWatching || s.RecentRecoveries != 1 || s.RecoveryStatus != "success" {
			t.Fatalf("after two seconds: %+v", s)
		}
		if !b.events.has(EventAutoRecovery, "started") || !b.events.has(EventAutoRecovery, "success") || !b.events.has(EventDegradation, "entered") || !b.events.has(EventDegradation, "left") {
			t.Error("live events are missing")
		}
		b.clear()
		b.after(12 * time.Second)
		i := b.newest()
		if i.Status != IncidentRecovered || b.state().Incident != nil {
			t.Fatalf("after the stability window: %s", i.Status)
		}
		want(t, "timeline", kinds(i), []string{"opened", "skipped", "intent", "outcome", "verified", "closed"})
		want(t, "audit", b.records(), []string{"intent standard", "outcome standard"})
		if rep, err := b.audit.Verify(bg); err != nil || !rep.OK {
			t.Errorf("audit chain: %+v %v", rep, err)
		}
	})
}

func TestAStartLimitedUnitIsClearedFirst(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("failed", "exit-code"); w.unit.NRestarts = 4 })
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"reset-failed", "start"})
	})
}

func TestAFrozenProcessGoesOn(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.reply, w.proc = health.ReplyTimeout, 'T' })
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"continue"})
		if i := b.state().Incident; i == nil || i.Level != "soft" || i.Status != IncidentWatching {
			t.Fatalf("%+v", i)
		}
	})
}

func TestAHostThatRefusesTheGentleActGetsTheNextRungAtOnce(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) {
			w.reply, w.proc = health.ReplyTimeout, 'T'
			w.on[host.VerbContinue] = commandFailed(health.ClassDenied)
		})
		b.fire("redis")
		b.after(3 * time.Second)
		want(t, "commands", b.w.did(), []string{"continue", "restart"})
	})
}

func TestABusyScriptIsEnded(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.reply = health.ReplyBusy })
		b.fire("redis")
		b.after(2 * time.Second)
		want(t, "commands", b.w.did(), []string{"script-kill"})
	})
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.reply, w.script = health.ReplyBusy, ErrUnkillable })
		b.fire("redis")
		b.after(30 * time.Second)
		want(t, "commands", b.w.did(), []string{"script-kill"})
		if s := b.state(); !s.ManualIntervention || s.Incident.Cause != "busy_script" {
			t.Fatalf("%+v", s.Incident)
		}
	})
}

const badConfig = `{"__REALTIME_TIMESTAMP":"%T","MESSAGE":"*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***"}
{"__REALTIME_TIMESTAMP":"%T","MESSAGE":"Reading the configuration file, at line 2278"}
{"__REALTIME_TIMESTAMP":"%T","MESSAGE":">>> 'maxmemroy 1gb'"}
{"__REALTIME_TIMESTAMP":"%T","MESSAGE":"Bad directive or wrong number of arguments"}
`

func TestABadConfigIsTriedOnceAndNamed(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) {
			w.down("failed", "exit-code")
			w.on[host.VerbStart] = func(w *world) error {
				w.down("failed", "exit-code")
				w.journal = strings.ReplaceAll(badConfig, "%T", usec(time.Now()))
				return commandFailed(health.ClassCommand)(w)
			}
		})
		b.fire("redis")
		b.after(10 * time.Minute)
		want(t, "commands", b.w.did(), []string{"reset-failed", "start"})
		s := b.state()
		if !s.ManualIntervention || !strings.Contains(s.ManualReason, "maxmemroy") || !strings.Contains(s.ManualReason, "line 2278") {
			t.Fatalf("reason: %q", s.ManualReason)
		}
		if s.AutoRecoveryEnabled || s.RecoveryStatus != "failed" || s.Incident.Status != IncidentManual || s.Incident.Cause != "config_error" {
			t.Errorf("%+v", s)
		}
		if !b.events.has(EventAutoRecovery, "manual_intervention_required") {
			t.Error("nobody was told")
		}
		// A person mends it and starts it: the incident ends, the latch stays until it is reset.
		b.w.set(func(w *world) { w.up() })
		b.clear()
		b.after(10 * time.Second)
		if s = b.state(); s.Incident != nil || !s.ManualIntervention {
			t.Fatalf("after the repair: %+v", s)
		}
		if err := b.r.ResetAutoRecovery(bg, "redis", ann, "mended"); err != nil {
			t.Fatal(err)
		}
		if s = b.state(); s.ManualIntervention || !s.AutoRecoveryEnabled {
			t.Fatalf("after the reset: %+v", s)
		}
	})
}

func usec(t time.Time) string {
	b, _ := json.Marshal(t.UnixMicro())
	return string(b)
}

func TestAnAlertThatIsNotTrueCausesNoAct(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.fire("redis")
		b.after(time.Minute)
		want(t, "commands", b.w.did(), nil)
		list := b.incidents()
		if len(list) != 1 || list[0].Status != IncidentNotConfirmed {
			t.Fatalf("one episode made %d incidents: %+v", len(list), list)
		}
	})
}

func TestHoldsKeepTheHandsOff(t *testing.T) {
	holds := map[string]func(b *bench) error{
		"maintenance": func(b *bench) error {
			_, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Hour), "upgrade")
			return err
		},
		"switched off": func(b *bench) error { return b.r.SetAutoRecovery(bg, "redis", ann, false, "no") },
		"a person's stop": func(b *bench) error {
			_, err := b.r.Operate(bg, Request{Service: "redis", Operation: OpStop, Actor: ann})
			b.w.set(func(w *world) { w.commands = nil })
			return err
		},
	}
	release := map[string]func(b *bench) error{
		"maintenance":  func(b *bench) error { return b.r.EndMaintenance(bg, "redis", ann) },
		"switched off": func(b *bench) error { return b.r.SetAutoRecovery(bg, "redis", ann, true, "yes") },
		"a person's stop": func(b *bench) error {
			_, err := b.r.Operate(bg, Request{Service: "redis", Operation: OpStart, Actor: ann})
			return err
		},
	}
	for name, hold := range holds {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				if err := hold(b); err != nil {
					t.Fatal(err)
				}
				b.w.set(func(w *world) { w.down("inactive", "success") })
				b.fire("redis")
				b.after(30 * time.Minute)
				want(t, "commands while held", b.w.did(), nil)
				if err := release[name](b); err != nil {
					t.Fatal(err)
				}
				b.after(10 * time.Second)
				want(t, "commands after", b.w.did(), []string{"start"})
			})
		})
	}
}

func TestMaintenanceEndsByItself(t *testing.T) {
	run(t, nil, func(b *bench) {
		if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(-time.Second), ""); !errors.Is(err, ErrPast) {
			t.Fatalf("an end in the past: %v", err)
		}
		if _, err := b.r.AddMaintenance(bg, "redis", ann, time.Now().Add(time.Minute), ""); err != nil {
			t.Fatal(err)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(50 * time.Second)
		want(t, "commands in maintenance", b.w.did(), nil)
		b.after(20 * time.Second)
		want(t, "commands after it", b.w.did(), []string{"start"})
	})
}

func TestSilencedAlertsCauseNoAct(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.w.set(func(*world) { b.alerts[0].Suppressed = "silenced" })
		u, _ := b.r.unit("redis")
		u.setAlerts(map[string]Alert{"fp-redis": b.alerts[0]}, time.Now().Add(time.Minute))
		b.after(5 * time.Minute)
		want(t, "commands while silenced", b.w.did(), nil)
		if h := b.state().Holds; len(h) != 1 || h[0].Code != HoldSilenced {
			t.Fatalf("holds: %+v", h)
		}
		b.w.set(func(*world) { b.alerts[0].Suppressed = "" })
		b.after(10 * time.Second)
		want(t, "commands after", b.w.did(), []string{"start"})
	})
}

func TestALostWebhookCostsSecondsOnly(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.w.set(func(*world) {
			b.alerts = []Alert{{Fingerprint: "x", Name: "RedisDown", Service: "redis", Firing: true, StartsAt: time.Now(), Labels: map[string]string{"remediation": "ladder"}}}
		})
		b.after(7 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
	})
}

func TestTheThirdRecoveryInFiveMinutesLatches(t *testing.T) {
	run(t, nil, func(b *bench) {
		for range 3 {
			b.w.set(func(w *world) { w.down("inactive", "success") })
			b.fire("redis")
			b.after(20 * time.Second)
			b.clear()
			b.after(10 * time.Second)
		}
		if got := len(b.w.did()); got != 3 {
			t.Fatalf("%d acts", got)
		}
		s := b.state()
		if !s.ManualIntervention || s.RecentRecoveries != 3 || !strings.Contains(s.ManualReason, "recoveries") {
			t.Fatalf("%+v", s)
		}
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(10 * time.Minute)
		if got := len(b.w.did()); got != 3 {
			t.Fatalf("%d acts although latched", got)
		}
	})
}

func TestFlappingInsideTheWindowClimbsOn(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.down("inactive", "success") })
		b.fire("redis")
		b.after(5 * time.Second)
		b.w.set(func(w *world) { w.down("failed", "signal") })
		b.after(30 * time.Second)
		want(t, "commands", b.w.did(), []string{"start", "reset-failed", "restart"})
	})
}

func TestEveryAttemptFails(t *testing.T) {
	run(t, nil, func(b *bench) {
		fail := func(w *world) error { w.down("failed", "exit-code"); return commandFailed(health.ClassCommand)(w) }
		b.w.set(func(w *world) {
			w.down("failed", "exit-code")
			w.on[host.VerbStart], w.on[host.VerbRestart] = fail, fail
		})
		b.fire("redis")
		b.after(10 * time.Minute)
		want(t, "commands", b.w.did(), []string{"reset-failed", "start", "reset-failed", "restart"})
		if s := b.state(); !s.ManualIntervention || s.Incident.Attempts != 2 {
			t.Fatalf("%+v", s.Incident)
		}
	})
}

func TestAnUnreachableHostIsWaitedFor(t *testing.T) {
	run(t, nil, func(b *bench) {
		b.w.set(func(w *world) { w.reply, w.connected, w.class = health.ReplyTimeout, false, health.ClassUnreachable })
		b.fire("redis")
		b.after(10 * time.Minute)
		want(t, "commands", b.w.did(), nil)
		if i := b.state().Incident; i == nil || i.Status != IncidentWaiting || i.Cause != "host_unreachable" || len(i.Steps) > 5 {
			t.Fatalf("%+v", i)
		}
		b.w.set(func(w *world) { w.class = ""; w.down("inactive", "success") })
		b.after(7 * time.Second)
		want(t, "commands", b.w.did(), []string{"start"})
	})
}

func TestAStormSuspectsOurselves(t *testing.T) {
	three := func(o *Options) {
		o.Services = []Service{service("redis"), service("b"), service("c"), service("d")}
		o.Storm = StormSettings{Min: 3, Ratio: 0.5}
	}
	run(t, three, func(b *bench) {
		b.w.set(func(w *world) { w.reply, w.connected, w.class = health.ReplyTimeout, false, health.ClassUnreachable })
		for _, id := range []string{"redis", "b", "c"} {
			b.fire(id)
		}
		b.after(10 * time.Second)
		b.w.set(func(w *world) { w.class = ""; w.down("inactive", "success") })
		b.after(time.Minute)
		want(t, "commands", b.w.did(), nil)
		if h := b.state().Holds; len(h) != 1 || h[0].Code != HoldStorm {
			t.Fatalf("holds: %+v", h)
		}
	})
}

func TestARestartBySystemdIsRecordedOnly(t *testing.T) {
	run(t, nil, func(b *bench) {
		before := health.View{Service: "redis", Samples: health.Samples{Unit: health.UnitRead{At: time.Now(), Unit: b.w.unit}}}
		now := before
		now.Samples.Unit.Unit.NRestarts = 1
		now.LastKnownInfo = &health.Info{Role: "master"}
		b.r.ObserveChange(now, before)
		b.r.ObserveChange(health.View{Service: "another"}, before)
		b.after(time.Second)
		want(t, "commands", b.w.did(), nil)
		if i := b.newest(); i.Status != IncidentSelfHealed || i.Cause != "restarted_by_systemd" {
			t.Fatalf("%+v", i)
		}
		want(t, "audit", b.records(), []string{"system restarted_by_systemd"})
	})
}

func TestAnInterruptedActIsObservedNotRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		left func(*world) // what the act had done when the process died
		acts []string
	}{
		"it had worked":     {func(w *world) { w.up() }, nil},
		"it was in hand":    {func(w *world) { w.unit.ActiveState, w.unit.SubState = "activating", "start" }, nil},
		"it had not begun":  {func(*world) {}, []string{"restart"}}, // the next rung, after the delay: never the same one again
		"it brought no end": {func(w *world) { w.down("failed", "exit-code") }, []string{"reset-failed", "restart"}},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, nil, func(b *bench) {
				b.w.set(func(w *world) { w.down("inactive", "success"); w.block = make(chan struct{}) })
				b.fire("redis")
				b.after(time.Second)
				want(t, "commands before", b.w.did(), []string{"start"})
				left := b.copyState() // what a kill -9 would leave behind
				b.w.set(func(w *world) { close(w.block); w.block = nil })
				b.end()
				b.putState(left)
				b.w.set(func(w *world) { w.down("inactive", "success"); w.commands = nil; c.left(w) })
				b.begin()
				b.after(25 * time.Second)
				if name == "it was in hand" {
					b.w.set(func(w *world) { w.up() })
					b.after(2 * time.Second)
				}
				want(t, "commands after", b.w.did(), c.acts)
				i := b.newest()
				at := slices.IndexFunc(i.Steps, func(s Step) bool { return s.Code == "interrupted" })
				if at < 0 || i.Steps[at].Result != "unknown" {
					t.Fatalf("the interruption is not in the timeline: %v", kinds(i))
				}
				if i.Status != IncidentRecovered && i.Status != IncidentWatching {
					t.Errorf("status %s", i.Status)
				}
			})
		})
	}
}

func (b *bench) copyState() []store.Document {
	b.t.Helper()
	var docs []store.Document
	for _, kind := range []string{kindState, kindIncident} {
		list, _, err := b.store.ListDocuments(bg, store.DocumentQuery{Kind: kind})
		if err != nil {
			b.t.Fatal(err)
		}
		docs = append(docs, list...)
	}
	return docs
}

func (b *bench) putState(docs []store.Document) {
	b.t.Helper()
	if err := b.store.PutDocuments(bg, docs...); err != nil {
		b.t.Fatal(err)
	}
}
