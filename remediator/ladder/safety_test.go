package ladder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// rule is one of the safety rules S1 to S26 of a Redis under systemd: when to act, when never to.
type rule struct {
	id   int
	what string
	in   Input
	kind Kind
	code string
	acts []Act
}

func withInfo(o health.Observation, i health.Info) health.Observation {
	i.At = now
	o.Info = &i
	return o
}

func aofMaster(i *health.Info) { i.AOFOn, i.AOFWriteOK, i.Replicas = true, true, 2 }

func guarded(in *Input) { in.Guarded = true }

func set(change func(*Input)) func(*Input) { return change }

var hung = look(health.ReplyTimeout, running)

var safety = []rule{
	{id: 1, what: "loading is waited for", in: with(look(health.ReplyLoading, running), set(func(in *Input) { in.LoadedAt = now })), kind: Wait, code: "loading"},
	{id: 1, what: "loading makes no progress: people are told, nothing is restarted", in: with(look(health.ReplyLoading, running), set(func(in *Input) { in.LoadedAt = now.Add(-time.Hour) })), kind: Blocked, code: "loading_stuck"},
	{id: 2, what: "a busy script is ended first", in: with(look(health.ReplyBusy, running)), kind: Climb, code: "soft", acts: []Act{KillScript}},
	{id: 2, what: "one that has written is a person's", in: with(look(health.ReplyBusy, running), attempts(time.Hour, Soft)), kind: Critical, code: "busy_script"},
	{id: 3, what: "stopped by a signal: goes on", in: with(hung, proc('T'), silent(time.Second)), kind: Climb, code: "soft", acts: []Act{Continue}},
	{id: 3, what: "waits for its disk: never restarted", in: with(hung, proc('D'), silent(time.Hour)), kind: Blocked, code: "disk_wait"},
	{id: 3, what: "silent for long: restarted", in: with(hung, proc('S'), silent(time.Hour)), kind: Climb, code: "hard", acts: []Act{Restart}},
	{id: 4, what: "it was saving: waited for", in: with(hung, proc('S'), silent(30*time.Second), info(func(i *health.Info) { i.BgsaveRunning = true })), kind: Wait, code: "saving"},
	{id: 4, what: "it was rewriting the AOF: waited for", in: with(hung, proc('S'), silent(30*time.Second), info(func(i *health.Info) { i.AOFRewriting = true })), kind: Wait, code: "saving"},
	{id: 4, what: "but not for ever", in: with(hung, proc('S'), silent(61*time.Second), info(func(i *health.Info) { i.AOFRewriting = true })), kind: Climb, code: "hard", acts: []Act{Restart}},
	{id: 5, what: "the stop is refused during the first AOF rewrite: no second job", in: with(look(health.ReplyPong, stopping)), kind: Wait, code: "unit_stopping"},
	{id: 6, what: "MISCONF is never restarted", in: with(look(health.ReplyMisconf, running), silent(time.Hour)), kind: Blocked, code: "misconf"},
	{id: 7, what: "an empty master with replicas is not started", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { i.Replicas = 1 })), kind: Critical, code: "empty_master"},
	{id: 7, what: "one that persists is", in: with(look(health.ReplyRefused, stopped), info(aofMaster)), kind: Climb, code: "standard", acts: []Act{Start}},
	{id: 8, what: "older data: started, and its age is in the record", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { aofMaster(i); i.UnsavedChanges = 9 })), kind: Climb, code: "standard", acts: []Act{Start}},
	{id: 9, what: "Sentinel has time for its failover", in: with(look(health.ReplyRefused, stopped), info(aofMaster), guarded, silent(10*time.Second)), kind: Wait, code: "failover_expected"},
	{id: 9, what: "after that it is started", in: with(look(health.ReplyRefused, stopped), info(aofMaster), guarded, silent(2*time.Minute)), kind: Climb, code: "standard", acts: []Act{Start}},
	{id: 9, what: "a failover by command in progress", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { aofMaster(i); i.Failover = "failover-in-progress" })), kind: Wait, code: "failover"},
	{id: 9, what: "nobody looks after it: started at once", in: with(look(health.ReplyRefused, stopped), info(aofMaster), silent(time.Second)), kind: Climb, code: "standard", acts: []Act{Start}},
	{id: 10, what: "the cluster has time for its failover", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { aofMaster(i); i.ClusterOn = true }), guarded, silent(10*time.Second)), kind: Wait, code: "failover_expected"},
	{id: 11, what: "a replica is started at once", in: with(look(health.ReplyRefused, stopped), info(func(i *health.Info) { i.Role, i.Replicas = "slave", 1 }), guarded, silent(time.Second)), kind: Climb, code: "standard", acts: []Act{Start}},
	{id: 11, what: "MASTERDOWN is the master's fault", in: with(look(health.ReplyMasterDown, running)), kind: Blocked, code: "master_down"},
	{id: 12, what: "full at maxmemory: it answers PONG, so it serves", in: with(withInfo(look(health.ReplyPong, running), health.Info{UsedMemory: 2, MaxMemory: 1, ProcessID: 7})), kind: Healthy, code: "serving"},
	{id: 13, what: "killed for memory: one start is allowed", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "failed", Result: "oom-kill"})), kind: Climb, code: "standard", acts: []Act{ResetFailed, Start}},
	{id: 13, what: "again and again: a person", in: with(look(health.ReplyRefused, failed), set(func(in *Input) { in.Recoveries = []time.Time{now, now, now} })), kind: Critical, code: "recovery_loop"},
	{id: 14, what: "start-limited: cleared first, once", in: with(look(health.ReplyRefused, failed)), kind: Climb, code: "standard", acts: []Act{ResetFailed, Start}},
	{id: 15, what: "a config error is not tried twice", in: with(look(health.ReplyRefused, failed), finding(true), attempts(time.Hour, Standard)), kind: Critical, code: "config_error"},
	{id: 16, what: "a Redis started by hand holds the port", in: with(look(health.ReplyPong, failed)), kind: Blocked, code: "wrong_instance"},
	{id: 16, what: "also when it wants a password", in: with(look(health.ReplyNoAuth, failed)), kind: Blocked, code: "wrong_instance"},
	{id: 16, what: "also when a script keeps it busy: not our script", in: with(look(health.ReplyBusy, stopped)), kind: Blocked, code: "wrong_instance"},
	{id: 16, what: "the one that answers is not the unit's process", in: with(withInfo(look(health.ReplyLoading, running), health.Info{ProcessID: 99})), kind: Blocked, code: "wrong_instance"},
	{id: 16, what: "the one that answered was not, and it hangs", in: with(hung, proc('S'), silent(time.Hour), set(func(in *Input) { in.Foreign = true })), kind: Blocked, code: "wrong_instance"},
	{id: 17, what: "corrupt data is a person's", in: with(look(health.ReplyRefused, failed), finding(true), attempts(time.Hour, Standard)), kind: Critical, code: "config_error"},
	{id: 18, what: "masked", in: with(look(health.ReplyRefused, health.Unit{LoadState: "masked", ActiveState: "inactive"})), kind: Blocked, code: "unit_masked"},
	{id: 18, what: "not found", in: with(look(health.ReplyRefused, health.Unit{LoadState: "not-found", ActiveState: "inactive"})), kind: Blocked, code: "unit_missing"},
	{id: 18, what: "bad setting", in: with(look(health.ReplyRefused, health.Unit{LoadState: "bad-setting", ActiveState: "inactive"})), kind: Blocked, code: "unit_missing"},
	{id: 19, what: "stopped by a person", in: with(look(health.ReplyRefused, stopped), set(func(in *Input) { in.Hold = &Hold{Code: "stopped_by_operator", Text: "stopped by ann"} })), kind: Held, code: "stopped_by_operator"},
	{id: 20, what: "systemd is at it", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "activating", SubState: "auto-restart"})), kind: Wait, code: "unit_auto_restart"},
	{id: 20, what: "a job is pending", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "failed", JobID: 3})), kind: Wait, code: "job_pending"},
	{id: 21, what: "a stop that does not end", in: with(look(health.ReplyTimeout, stuck()), proc('S')), kind: Critical, code: "stuck_stopping"},
	{id: 22, what: "NOAUTH", in: with(look(health.ReplyNoAuth, running)), kind: Blocked, code: "noauth"},
	{id: 22, what: "NOPERM", in: with(look(health.ReplyNoPerm, running)), kind: Blocked, code: "noperm"},
	{id: 22, what: "TLS", in: with(look(health.ReplyTLS, running)), kind: Blocked, code: "redis_unreachable"},
	{id: 23, what: "maxclients", in: with(look(health.ReplyMaxClients, running)), kind: Blocked, code: "maxclients"},
	{id: 24, what: "the host is away", in: with(unread(health.ClassUnreachable)), kind: Blocked, code: "host_unreachable"},
	{id: 25, what: "the machine stops: systemd has a job for the unit", in: with(look(health.ReplyRefused, health.Unit{ActiveState: "inactive", JobID: 1})), kind: Wait, code: "job_pending"},
	{id: 26, what: "our own clock stood still", in: with(look(health.ReplyRefused, stopped), set(func(in *Input) { in.Hold = &Hold{Code: "clock_stall", Text: "it stood still"} })), kind: Held, code: "clock_stall"},
}

func TestSafetyRules(t *testing.T) {
	s := settings()
	s.FailoverPatience = time.Minute
	seen := map[int]bool{}
	for _, r := range safety {
		seen[r.id] = true
		t.Run(fmt.Sprintf("S%d %s", r.id, r.what), func(t *testing.T) {
			d := Next(r.in, s)
			if d.Kind != r.kind || d.Code != r.code || !slices.Equal(d.Acts, r.acts) {
				t.Errorf("%s %s %v (%s); want %s %s %v", d.Kind, d.Code, d.Acts, d.Text, r.kind, r.code, r.acts)
			}
			if d.Text == "" {
				t.Error("no words")
			}
		})
	}
	for id := 1; id <= 26; id++ {
		if !seen[id] {
			t.Errorf("rule S%d has no test", id)
		}
	}
}
