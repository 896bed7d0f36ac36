package ladder

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/redis-medic/redis-medic/exporter/health"
)

var now = time.Date(2026, 11, 23, 3, 2, 11, 0, time.UTC)

func settings() Settings {
	return Settings{
		Rungs: map[Rung]RungSettings{
			Soft: {true, 10 * time.Second}, Standard: {true, 30 * time.Second}, Hard: {true, 45 * time.Second}, Force: {false, 0},
		},
		MaxAttempts: 3, RetryDelay: 10 * time.Second, Backoff: 2, MaxStarts: 3, StartWindow: 10 * time.Second,
		LoopRecoveries: 3, LoopWindow: 5 * time.Minute, HungPatience: 15 * time.Second, StopPatience: 45 * time.Second, LoadPatience: time.Minute,
	}
}

func look(reply health.Reply, u health.Unit) health.Observation {
	if u.LoadState == "" {
		u.LoadState = "loaded"
	}
	return health.Observation{At: now, Ping: health.Ping{At: now, Reply: reply, Connected: reply == health.ReplyTimeout || reply.Alive()},
		Unit: health.UnitRead{At: now, Unit: u}}
}

var (
	running  = health.Unit{Name: "redis-server.service", ActiveState: "active", SubState: "running", MainPID: 7}
	stopped  = health.Unit{ActiveState: "inactive", SubState: "dead", Result: "success"}
	failed   = health.Unit{ActiveState: "failed", SubState: "failed", Result: "exit-code", NRestarts: 4, StartLimitBurst: 5}
	stopping = health.Unit{ActiveState: "deactivating", SubState: "stop-sigterm", MainPID: 7}
)

func with(o health.Observation, change ...func(*Input)) Input {
	in := Input{Now: now, First: o, Second: o}
	for _, c := range change {
		c(&in)
	}
	return in
}

func proc(b byte) func(*Input) { return func(in *Input) { in.ProcState = b } }

func silent(d time.Duration) func(*Input) {
	return func(in *Input) { in.SilentSince = now.Add(-d) }
}

func attempts(ago time.Duration, rungs ...Rung) func(*Input) {
	return func(in *Input) {
		in.Done, in.Denied = map[Act]bool{}, map[Act]bool{}
		for _, r := range rungs {
			in.Attempts = append(in.Attempts, Attempt{Rung: r, At: now.Add(-ago), Result: "failure"})
			if r == Soft {
				in.Done[Continue], in.Done[KillScript], in.Done[Reload] = true, true, true
			}
		}
	}
}

func unread(class health.ErrorClass) health.Observation {
	return health.Observation{At: now, Ping: health.Ping{At: now, Reply: health.ReplyTimeout}, Unit: health.UnitRead{At: now, Class: class, Err: "x"}}
}

func info(change func(*health.Info)) func(*Input) {
	return func(in *Input) {
		no := false
		i := &health.Info{At: now.Add(-time.Second), Role: "master", RDBConfigured: &no}
		change(i)
		in.LastInfo = i
	}
}

func TestNext(t *testing.T) {
	force := settings()
	force.Rungs[Force] = RungSettings{Enabled: true}
	restoring := settings()
	restoring.RestoreConfig = true
	lossy := force
	lossy.AcceptDataLoss = true
	cases := []struct {
		name string
		in   Input
		set  Settings
		kind Kind
		code string
		acts []Act
	}{
		{name: "it serves", in: with(look(health.ReplyPong, running)), kind: Healthy, code: "serving"},
		{name: "serving wins over a hold", in: with(look(health.ReplyPong, running), func(in *Input) { in.Hold = &Hold{Code: "x"} }), kind: Healthy, code: "serving"},
		{name: "the two looks disagree", in: with(look(health.ReplyRefused, stopped), func(in *Input) { in.First = look(health.ReplyPong, running) }), kind: Wait, code: "probe_disagrees"},
		{name: "a hold stands before everything else", in: with(look(health.ReplyRefused, stopped), func(in *Input) { in.Hold = &Hold{Code: "maintenance"} }), kind: Held, code: "maintenance"},

		{name: "stopped on the host: start", in: with(look(health.ReplyRefused, stopped)), kind: Climb, code: "standard", acts: []Act{Start}},
		{name: "failed: clear and start", in: with(look(health.ReplyRefused, failed)), kind: Climb, code: "standard", acts: []Act{ResetFailed, Start}},
		{name: "failed, reset refused: start alone", in: with(look(health.ReplyRefused, failed), func(in *Input) { in.Denied = map[Act]bool{ResetFailed: true} }), kind: Climb, code: "standard", acts: []Act{Start}},
		{name: "only the second look is down: no start", in: with(look(health.ReplyRefused, stopped), func(in *Input) { in.First = look(health.ReplyRefused, running) }), kind: Wait, code: "probe_disagrees"},
		{name: "the first look could not ask systemd: no start", in: with(look(health.ReplyRefused, stopped), func(in *Input) {
			in.First.Unit = health.UnitRead{At: now, Class: health.ClassUnreachable}
		}), kind: Wait, code: "probe_disagrees"},
		{name: "start refused by the host", in: with(look(health.ReplyRefused, stopped), func(in *Input) { in.Denied = map[Act]bool{Start: true} }), kind: Blocked, code: "host_denied"},
		{name: "start failed: restart after the delay", in: with(look(health.ReplyRefused, failed), attempts(11*time.Second, Standard)), kind: Climb, code: "hard", acts: []Act{ResetFailed, Restart}},
		{name: "start failed: the delay first", in: with(look(health.ReplyRefused, failed), attempts(9*time.Second, Standard)), kind: Wait, code: "retry_delay"},
		{name: "the delay grows", in: with(look(health.ReplyTimeout, running), proc('S'), silent(time.Minute), attempts(19*time.Second, Soft, Standard)), kind: Wait, code: "retry_delay"},
		{name: "a refused act needs no delay", in: with(look(health.ReplyTimeout, running), proc('T'), silent(3*time.Second), func(in *Input) {
			in.Attempts = []Attempt{{Rung: Soft, At: now, Result: "denied"}}
			in.Denied = map[Act]bool{Continue: true}
		}), kind: Climb, code: "hard", acts: []Act{Restart}},
		{name: "three attempts are enough", in: with(look(health.ReplyRefused, failed), attempts(time.Hour, Soft, Standard, Hard)), kind: Critical, code: "attempts_exhausted"},

		{name: "frozen: let it go on", in: with(look(health.ReplyTimeout, running), proc('T'), silent(3*time.Second)), kind: Climb, code: "soft", acts: []Act{Continue}},
		{name: "frozen again after SIGCONT: restart", in: with(look(health.ReplyTimeout, running), proc('T'), silent(30*time.Second), attempts(11*time.Second, Soft)), kind: Climb, code: "hard", acts: []Act{Restart}},
		{name: "silent but not stopped: it may be slow", in: with(look(health.ReplyTimeout, running), proc('R'), silent(3*time.Second)), kind: Wait, code: "maybe_slow"},
		{name: "silent for long: restart", in: with(look(health.ReplyTimeout, running), proc('R'), silent(16*time.Second)), kind: Climb, code: "hard", acts: []Act{Restart}},
		{name: "silent for long with a reload: reload first", in: with(look(health.ReplyTimeout, func() health.Unit { u := running; u.CanReload = true; return u }()), proc('S'), silent(16*time.Second)), kind: Climb, code: "soft", acts: []Act{Reload}},
		{name: "waiting for the disk", in: with(look(health.ReplyTimeout, running), proc('D'), silent(time.Minute)), kind: Blocked, code: "disk_wait"},
		{name: "process not readable", in: with(look(health.ReplyTimeout, running), silent(time.Minute)), kind: Blocked, code: "process_unknown"},
		{name: "no connection comes up: a firewall", in: with(func() health.Observation { o := look(health.ReplyTimeout, running); o.Ping.Connected = false; return o }(), proc('S'), silent(time.Minute)), kind: Blocked, code: "filtered"},
		{name: "refused while the unit runs", in: with(look(health.ReplyRefused, running)), kind: Blocked, code: "refused_while_running"},
		{name: "it fell silent while saving", in: with(look(health.ReplyTimeout, running), proc('S'), silent(20*time.Second), info(func(i *health.Info) { i.BgsaveRunning = true })), kind: Wait, code: "saving"},

		{name: "busy script", in: with(look(health.ReplyBusy, running)), kind: Climb, code: "soft", acts: []Act{KillScript}},
		{name: "busy script that cannot be ended", in: with(look(health.ReplyBusy, running), attempts(time.Minute, Soft)), kind: Critical, code: "busy_script"},
		{name: "loading", in: with(look(health.ReplyLoading, running), func(in *Input) { in.LoadedAt = now }), kind: Wait, code: "loading"},
		{name: "loading without progress", in: with(look(health.ReplyLoading, running), func(in *Input) { in.LoadedAt = now.Add(-2 * time.Minute) }), kind: Blocked, code: "loading_stuck"},
		{name: "loading inside a start job", in: with(look(health.ReplyLoading, health.Unit{ActiveState: "activating", SubState: "start", MainPID: 7, JobID: 3}), func(in *Input) { in.LoadedAt = now }), kind: Wait, code: "loading"},
		{name: "misconf", in: with(look(health.ReplyMisconf, running)), kind: Blocked, code: "misconf"},
		{name: "our password is wrong", in: with(look(health.ReplyNoAuth, running)), kind: Blocked, code: "noauth"},
		{name: "our ACL is too small", in: with(look(health.ReplyNoPerm, running)), kind: Blocked, code: "noperm"},
		{name: "no room for clients", in: with(look(health.ReplyMaxClients, running)), kind: Blocked, code: "maxclients"},
		{name: "replica without master", in: with(look(health.ReplyMasterDown, running)), kind: Blocked, code: "master_down"},
		{name: "not a Redis", in: with(look(health.ReplyProtocol, running)), kind: Blocked, code: "protocol"},
		{name: "no route, unit runs", in: with(look(health.ReplyUnreachable, running)), kind: Blocked, code: "redis_unreachable"},
		{name: "no route, but systemd says stopped: start", in: with(look(health.ReplyUnreachable, stopped)), kind: Climb, code: "standard", acts: []Act{Start}},

		{name: "host unreachable", in: with(unread(health.ClassUnreachable)), kind: Blocked, code: "host_unreachable"},
		{name: "our key refused", in: with(unread(health.ClassAuth)), kind: Blocked, code: "host_auth"},
		{name: "host key changed", in: with(unread(health.ClassHostKey)), kind: Blocked, code: "host_key_changed"},
		{name: "show refused", in: with(unread(health.ClassDenied)), kind: Blocked, code: "host_denied"},
		{name: "D-Bus hangs", in: with(unread(health.ClassTimeout)), kind: Blocked, code: "unit_unknown"},
		{name: "masked", in: with(look(health.ReplyRefused, health.Unit{LoadState: "masked", ActiveState: "inactive"})), kind: Blocked, code: "unit_masked"},
		{name: "missing", in: with(look(health.ReplyRefused, health.Unit{LoadState: "not-found", ActiveState: "inactive"})), kind: Blocked, code: "unit_missing"},
		{name: "another process answers", in: with(look(health.ReplyPong, stopped)), kind: Blocked, code: "wrong_instance"},

		{name: "systemd restarts it", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "activating", SubState: "auto-restart"})), kind: Wait, code: "unit_auto_restart"},
		{name: "starting", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "activating", SubState: "start"})), kind: Wait, code: "unit_starting"},
		{name: "a job is pending", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "inactive", SubState: "dead", JobID: 9})), kind: Wait, code: "job_pending"},
		{name: "stopping", in: with(look(health.ReplyTimeout, stopping)), kind: Wait, code: "unit_stopping"},
		{name: "stopping for too long", in: with(look(health.ReplyTimeout, stuck()), proc('S')), kind: Critical, code: "stuck_stopping"},
		{name: "stopping for too long, but it serves", in: with(look(health.ReplyPong, stuck()), proc('S')), kind: Blocked, code: "stuck_stopping"},
		{name: "stopping for too long because it is frozen", in: with(look(health.ReplyTimeout, stuck()), proc('T')), kind: Climb, code: "soft", acts: []Act{Continue}},
		{name: "stopping for too long because of a script", in: with(look(health.ReplyBusy, stuck())), kind: Climb, code: "soft", acts: []Act{KillScript}},
		{name: "stopping for too long, force on, data in the AOF", in: with(look(health.ReplyTimeout, stuck()), proc('S'), info(func(i *health.Info) { i.AOFOn, i.AOFWriteOK = true, true })), set: force, kind: Climb, code: "force", acts: []Act{Kill}},
		{name: "stopping for too long, force on, AOF broken", in: with(look(health.ReplyTimeout, stuck()), proc('S'), info(func(i *health.Info) { i.AOFOn = true })), set: force, kind: Critical, code: "stuck_stopping"},
		{name: "stopping for too long, force on, data saved when last seen, silent since", in: with(look(health.ReplyTimeout, stuck()), proc('S'), info(func(*health.Info) {})), set: force, kind: Critical, code: "stuck_stopping"},
		{name: "stopping for too long, force on, data saved now", in: with(func() health.Observation {
			o := look(health.ReplyPong, stuck())
			o.Info = &health.Info{At: now, ProcessID: 7}
			return o
		}(), proc('S')), set: force, kind: Climb, code: "force", acts: []Act{Kill}},
		{name: "stopping for too long, force on, data unsaved", in: with(look(health.ReplyTimeout, stuck()), proc('S'), info(func(i *health.Info) { i.UnsavedChanges = 1 })), set: force, kind: Critical, code: "stuck_stopping"},
		{name: "stopping for too long, force on, loss accepted", in: with(look(health.ReplyTimeout, stuck()), proc('S')), set: lossy, kind: Climb, code: "force", acts: []Act{Kill}},

		{name: "a config error is tried once", in: with(look(health.ReplyRefused, failed), finding(true)), kind: Climb, code: "standard", acts: []Act{ResetFailed, Start}},
		{name: "and not twice", in: with(look(health.ReplyRefused, failed), finding(true), attempts(time.Second, Standard)), kind: Critical, code: "config_error"},
		{name: "nor where a good one could be put back, but that is switched off", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Standard)), kind: Critical, code: "config_error"},
		{name: "a good config is put back at once", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Standard)), set: restoring, kind: Climb, code: "restore_config", acts: []Act{RestoreConfig, ResetFailed, Start}},
		{name: "but not before a start has failed", in: with(look(health.ReplyRefused, failed), restorableFinding), set: restoring, kind: Climb, code: "standard", acts: []Act{ResetFailed, Start}},
		{name: "and not where the host has none", in: with(look(health.ReplyRefused, failed), finding(true), attempts(time.Second, Standard)), set: restoring, kind: Critical, code: "config_error"},
		{name: "and not twice in an incident", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Standard, Hard), func(in *Input) { in.Done[RestoreConfig] = true }), set: restoring, kind: Critical, code: "config_error"},
		{name: "and not against the host's refusal", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Standard), func(in *Input) { in.Denied[RestoreConfig] = true }), set: restoring, kind: Critical, code: "config_error"},
		{name: "and not beyond the attempts", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Soft, Soft, Standard)), set: restoring, kind: Critical, code: "config_error"},
		{name: "and no empty master is started with it", in: with(look(health.ReplyRefused, failed), restorableFinding, attempts(time.Second, Standard), info(func(i *health.Info) { i.Replicas = 2 })), set: restoring, kind: Critical, code: "empty_master"},
		{name: "and not while systemd is at work", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "activating", SubState: "auto-restart"}), restorableFinding, attempts(time.Second, Standard)), set: restoring, kind: Wait, code: "unit_auto_restart"},
		{name: "a passing cause may be tried again", in: with(look(health.ReplyRefused, failed), finding(false), attempts(time.Minute, Standard)), kind: Climb, code: "hard", acts: []Act{ResetFailed, Restart}},
		{name: "an empty master is not started", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { i.Replicas = 2 })), kind: Critical, code: "empty_master"},
		{name: "a persistent master is", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { i.Replicas, i.AOFOn = 2, true })), kind: Climb, code: "standard", acts: []Act{Start}},
		{name: "an empty master that is frozen goes on", in: with(look(health.ReplyTimeout, running), proc('T'), silent(time.Second), info(func(i *health.Info) { i.Replicas = 2 })), kind: Climb, code: "soft", acts: []Act{Continue}},
		{name: "a failover is in progress", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { i.Failover = "waiting-for-sync" })), kind: Wait, code: "failover"},
		{name: "three recoveries in five minutes", in: with(look(health.ReplyRefused, stopped), func(in *Input) {
			in.Recoveries = []time.Time{now.Add(-time.Minute), now.Add(-2 * time.Minute), now.Add(-4 * time.Minute)}
		}), kind: Critical, code: "recovery_loop"},
		{name: "three starts in ten seconds", in: with(look(health.ReplyRefused, stopped), func(in *Input) {
			in.Starts = []time.Time{now.Add(-time.Second), now.Add(-2 * time.Second), now.Add(-3 * time.Second)}
		}), kind: Wait, code: "start_pace"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.set.Rungs == nil {
				c.set = settings()
			}
			d := Next(c.in, c.set)
			if d.Kind != c.kind || d.Code != c.code || !slices.Equal(d.Acts, c.acts) {
				t.Fatalf("got %s %s %v (%s), want %s %s %v", d.Kind, d.Code, d.Acts, d.Text, c.kind, c.code, c.acts)
			}
			if d.Text == "" && d.Kind != Held {
				t.Error("no words")
			}
			if (d.Kind == Wait || d.Kind == Blocked || d.Kind == Held) && d.Again <= 0 {
				t.Error("does not say when to look again")
			}
			if d.Kind == Climb && d.Timeout <= 0 {
				t.Error("no deadline")
			}
		})
	}
}

func stuck() health.Unit {
	u := stopping
	u.StateChange = now.Add(-time.Minute)
	return u
}

func finding(permanent bool) func(*Input) {
	return func(in *Input) {
		in.Finding = &Finding{Code: "config_error", Text: "bad directive", Permanent: permanent}
	}
}

func restorableFinding(in *Input) {
	in.Finding = &Finding{Code: "config_error", Text: "bad directive", Permanent: true, Restorable: true}
}

func TestForceComesOnlyAfterAFailedRestart(t *testing.T) {
	set := settings()
	set.Rungs[Force], set.MaxAttempts = RungSettings{Enabled: true}, 5
	hung := []func(*Input){proc('R'), silent(5 * time.Minute)}
	saved := info(func(i *health.Info) { i.AOFOn, i.AOFWriteOK = true, true })
	for _, c := range []struct {
		name string
		in   Input
		code string
	}{
		{"before a restart", with(look(health.ReplyTimeout, running), append(hung, saved)...), "hard"},
		{"after it, all saved", with(look(health.ReplyTimeout, running), append(hung, saved, attempts(time.Hour, Hard))...), "force"},
		{"after it, nothing known of the data", with(look(health.ReplyTimeout, running), append(hung, attempts(time.Hour, Hard))...), "no_rung_left"},
	} {
		if d := Next(c.in, set); d.Code != c.code {
			t.Errorf("%s: %s, want %s", c.name, d.Code, c.code)
		}
	}
}

// Over any evidence: an act rests on positive evidence, a kill never loses data unless that was accepted, a switched-off rung is
// never climbed, and a decision to wait says for how long.
func TestNextModel(t *testing.T) {
	replies := health.Replies()
	rapid.Check(t, func(rt *rapid.T) {
		set := settings()
		set.Rungs[Force] = RungSettings{Enabled: rapid.Bool().Draw(rt, "force")}
		set.Rungs[Hard] = RungSettings{Enabled: rapid.Bool().Draw(rt, "hard")}
		in := Input{Now: now, First: anyLook(rt, replies, "first"), Second: anyLook(rt, replies, "second"),
			ProcState: rapid.SampledFrom([]byte{0, 'T', 'D', 'S', 'R'}).Draw(rt, "proc"), Denied: map[Act]bool{}, Done: map[Act]bool{}}
		for range rapid.IntRange(0, 4).Draw(rt, "attempts") {
			in.Attempts = append(in.Attempts, Attempt{Rung: rapid.SampledFrom(Rungs()).Draw(rt, "rung"), At: now.Add(-time.Hour), Result: "failure"})
		}
		if rapid.Bool().Draw(rt, "silent") {
			in.SilentSince = now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(rt, "since")) * time.Second)
		}
		if rapid.Bool().Draw(rt, "info") {
			in.LastInfo = &health.Info{At: now, Role: "master", UnsavedChanges: int64(rapid.IntRange(0, 2).Draw(rt, "unsaved")),
				AOFOn: rapid.Bool().Draw(rt, "aof"), AOFWriteOK: rapid.Bool().Draw(rt, "aof ok")}
		}
		set.RestoreConfig = rapid.Bool().Draw(rt, "restore")
		in.Done[RestoreConfig] = rapid.Bool().Draw(rt, "restored")
		if rapid.Bool().Draw(rt, "finding") {
			in.Finding = &Finding{Code: "config_error", Permanent: rapid.Bool().Draw(rt, "permanent"), Restorable: rapid.Bool().Draw(rt, "restorable")}
		}
		if rapid.Bool().Draw(rt, "hold") {
			in.Hold = &Hold{Code: "maintenance"}
		}
		d := Next(in, set)
		if d.Kind != Climb {
			if d.Kind != Healthy && d.Kind != Critical && d.Again <= 0 {
				rt.Fatalf("%s without a time", d.Kind)
			}
			return
		}
		u := in.Second.Unit
		if in.Hold != nil || !u.OK() || in.Second.Serving() || u.Unit.LoadState == "masked" {
			rt.Fatalf("act %v without leave or evidence: %+v", d.Acts, in)
		}
		if !set.Rungs[d.Rung].Enabled || len(in.Attempts) >= set.MaxAttempts && d.Rung != Force {
			rt.Fatalf("rung %s must not be climbed", d.Rung)
		}
		for _, a := range d.Acts {
			if i := in.LastInfo; a == Kill && (i == nil || !i.AOFOn || !i.AOFWriteOK) {
				rt.Fatal("killed with unsaved data")
			}
			if (a == Start || a == Restart) && u.Unit.Transient() {
				rt.Fatal("a second job while systemd is at work")
			}
			if a == RestoreConfig && (!set.RestoreConfig || in.Done[a] || in.Finding == nil || !in.Finding.Restorable || !u.Unit.Down()) {
				rt.Fatal("a configuration is put back without leave, twice, or under a running unit")
			}
			if a == Start && (!u.Unit.Down() || !in.First.Unit.Unit.Down()) {
				rt.Fatal("start of a unit that is not down")
			}
			if (a == Restart || a == Kill) && in.Second.Ping.Reply.Alive() && !u.Unit.Down() {
				rt.Fatalf("%s of a Redis that answers %s", a, in.Second.Ping.Reply)
			}
		}
	})
}

func anyLook(rt *rapid.T, replies []health.Reply, label string) health.Observation {
	o := look(rapid.SampledFrom(replies).Draw(rt, label), health.Unit{
		LoadState:   rapid.SampledFrom([]string{"loaded", "loaded", "loaded", "masked", "not-found"}).Draw(rt, label+" load"),
		ActiveState: rapid.SampledFrom([]string{"active", "inactive", "failed", "activating", "deactivating"}).Draw(rt, label+" active"),
		SubState:    rapid.SampledFrom([]string{"running", "dead", "auto-restart", "stop-sigterm"}).Draw(rt, label+" sub"),
		MainPID:     rapid.IntRange(0, 1).Draw(rt, label+" pid"), JobID: uint32(rapid.IntRange(0, 1).Draw(rt, label+" job")),
		CanReload: rapid.Bool().Draw(rt, label+" reload"), StateChange: now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(rt, label+" since")) * time.Second),
	})
	if rapid.IntRange(0, 5).Draw(rt, label+" unread") == 0 {
		o.Unit = health.UnitRead{At: now, Class: health.ClassTimeout}
	}
	o.Ping.Connected = rapid.Bool().Draw(rt, label+" connected")
	return o
}
