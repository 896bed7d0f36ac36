// Package ladder decides what to do about a service that does not serve: which rung, or why none. It is pure: fresh evidence,
// the history of this incident and the time go in, one decision comes out, with the reason of every rung that was skipped. It
// refuses to guess: what is not known is never taken for down.
package ladder

import (
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Rung is a step of the ladder, gentlest first.
type Rung string

// The rungs (document section 3.4; DESIGN section 3).
const (
	Soft     Rung = "soft"
	Standard Rung = "standard"
	Hard     Rung = "hard"
	Force    Rung = "force"
	Top      Rung = "critical"
)

// Rungs lists the rungs in the order in which they are climbed.
func Rungs() []Rung { return []Rung{Soft, Standard, Hard, Force, Top} }

// Act is one thing that is done to a service.
type Act string

// The closed list of acts.
const (
	KillScript  Act = "script-kill"  // SCRIPT KILL, then FUNCTION KILL
	Continue    Act = "continue"     // SIGCONT to a stopped process
	Reload      Act = "reload"       // systemctl reload, only where the unit can
	ResetFailed Act = "reset-failed" // systemctl reset-failed
	Start       Act = "start"
	Restart     Act = "restart"
	Kill        Act = "kill" // SIGKILL to the main process

	RestoreConfig Act = "restore-config" // put the last known good configuration back
)

// Kind is what sort of decision was taken.
type Kind string

// The kinds of decisions.
const (
	Healthy  Kind = "healthy"  // it serves
	Climb    Kind = "act"      // carry out Acts, then verify
	Wait     Kind = "wait"     // systemd, Redis or a delay is at work: look again after Again
	Blocked  Kind = "blocked"  // no rung can help, the cause lies elsewhere: people are told, we keep looking
	Held     Kind = "held"     // a hold is on
	Critical Kind = "critical" // latch automatic recovery off: a person is needed
)

// RungSettings are one rung's settings (Appendix A, strategies).
type RungSettings struct {
	Enabled bool
	Timeout time.Duration
}

// Settings are the ladder's limits. The zero value of a limit switches it off unless said otherwise.
type Settings struct {
	Rungs          map[Rung]RungSettings
	MaxAttempts    int           // acts in one incident
	RetryDelay     time.Duration // before the second act; multiplied by Backoff for each further one
	Backoff        float64
	MaxStarts      int           // starts of a unit inside StartWindow, whoever made them
	StartWindow    time.Duration // systemd's own limit is 5 in 10 s
	LoopRecoveries int           // outages that ended with a start, whoever made it, inside LoopWindow
	LoopWindow     time.Duration
	LongRecoveries int // the same over hours, for a service that fails every few minutes
	LongWindow     time.Duration
	HungPatience   time.Duration // how long a process that is not stopped may be silent before a restart
	StopPatience   time.Duration // how long a stop may take before it counts as stuck
	LoadPatience   time.Duration // how long LOADING may go without progress
	// FailoverPatience is how long Sentinel or the cluster gets, from the first unanswered PING, to make a replica the master.
	FailoverPatience time.Duration
	AcceptDataLoss   bool // Force may lose unsaved changes
	RestoreConfig    bool // a proven config error may be answered with the last known good configuration
}

// Hold is the first hold in gate order, or none.
type Hold struct {
	Code, Text string
}

// Attempt is an act of this incident that has been begun.
type Attempt struct {
	Rung   Rung      `json:"rung"`
	At     time.Time `json:"at"`
	Result string    `json:"result"` // success, failure, denied, unknown, interrupted (our process ended before the act)
}

// Finding is the diagnosis of a failed start. A permanent one will not go away by trying again.
type Finding struct {
	Code, Text, Advice string
	Permanent          bool
	// Restorable: it is an error of the configuration, and the host has a last known good one that differs from it.
	Restorable bool
}

// Input is everything a decision rests on.
type Input struct {
	Now      time.Time
	Hold     *Hold
	First    health.Observation // the double probe: two fresh looks, oldest first
	Second   health.Observation
	LastPong time.Time
	// SilentSince is when the unanswered PINGs of this outage began; zero while there are answers.
	SilentSince time.Time
	ProcState   byte         // state letter of the main process from /proc; 0: not known
	Finding     *Finding     // of the last failed start; nil: none
	LastInfo    *health.Info // the newest INFO ever seen; nil: none
	Attempts    []Attempt    // of this incident
	Denied      map[Act]bool // acts that the host refused in this incident
	Done        map[Act]bool // soft acts already tried in this incident
	Starts      []time.Time  // of the unit, by anybody
	Recoveries  []time.Time  // outages that ended with a start, whoever made it
	LoadedAt    time.Time    // when the load last made progress; zero: not loading
	// Guarded: Sentinels watch this Redis, or it is part of a cluster.
	Guarded bool
	// Foreign: while the unit ran, the Redis that answered was another process than the unit's.
	Foreign bool
}

// Skip is a rung that was passed over.
type Skip struct {
	Rung       Rung
	Code, Text string
}

// Decision is what to do now and why. Code is stable; Text is a sentence for a person.
type Decision struct {
	Kind       Kind
	Rung       Rung
	Acts       []Act
	Timeout    time.Duration
	Code, Text string
	Advice     string
	Again      time.Duration // when to look again; Wait, Blocked, Held
	Skipped    []Skip
}

// lookAgain is how soon a passing state is looked at again: D-Bus events usually come first.
const lookAgain = time.Second

// keepLooking is how often a state is looked at again that only something outside can change.
const keepLooking = 5 * time.Second

// Next decides. The order of the gate is DESIGN section 7's: holds, the fresh double probe, the unit's state, the class of the
// reply, the diagnosis, the topology, and only then the first rung whose precondition holds.
func Next(in Input, set Settings) Decision {
	for _, gate := range []func(Input, Settings) *Decision{gateServing, gateHold, gateUnit, gateReply, gateSilence, gateDiagnosis, gateDenied, gateTopology, gatePace} {
		if d := gate(in, set); d != nil {
			return *d
		}
	}
	return climb(in, set)
}

func wait(again time.Duration, code, text string) *Decision {
	return &Decision{Kind: Wait, Again: again, Code: code, Text: text}
}

func blocked(code, text, advice string) *Decision {
	return &Decision{Kind: Blocked, Again: keepLooking, Code: code, Text: text, Advice: advice}
}

func critical(code, text, advice string) *Decision {
	return &Decision{Kind: Critical, Rung: Top, Code: code, Text: text, Advice: advice}
}

// gateServing ends everything where Redis serves: both looks must agree before an outage is believed, one is enough to
// disbelieve it.
func gateServing(in Input, _ Settings) *Decision {
	if in.Second.Serving() {
		return &Decision{Kind: Healthy, Code: "serving", Text: "Redis answers PONG and its unit runs"}
	}
	if in.First.Serving() {
		return wait(lookAgain, "probe_disagrees", "two looks in a row disagree: looking again")
	}
	return nil
}

func gateHold(in Input, _ Settings) *Decision {
	if in.Hold == nil {
		return nil
	}
	return &Decision{Kind: Held, Again: keepLooking, Code: in.Hold.Code, Text: in.Hold.Text}
}

// gateUnit judges what systemd says. Only its word makes a service down.
func gateUnit(in Input, set Settings) *Decision {
	read := in.Second.Unit
	if !read.OK() {
		return gateUnread(read)
	}
	u := read.Unit
	switch u.LoadState {
	case "masked":
		return blocked("unit_masked", "the unit is masked: a person disabled it on the host",
			"unmask the unit when it should run again: systemctl unmask "+u.Name)
	case "not-found", "bad-setting", "error":
		return blocked("unit_missing", "systemd cannot load the unit ("+u.LoadState+")",
			"check the unit's name in the configuration and its file on the host")
	}
	if in.Second.Ping.Reply.Alive() && u.Down() {
		return blocked("wrong_instance", "Redis answers, but not from this unit, which is "+u.ActiveState,
			"find the process that holds the port: it was started outside systemd")
	}
	if in.Foreign && u.Running() {
		return blocked("wrong_instance", "the Redis that answered here was not the unit's process: a restart of the unit would not help it",
			"correct the address or the unit in the configuration; a second Redis may hold the port")
	}
	if i := in.Second.Info; i != nil && i.ProcessID > 0 && u.MainPID > 0 && i.ProcessID != u.MainPID {
		return blocked("wrong_instance", fmt.Sprintf("the Redis that answers is process %d, the unit's is %d", i.ProcessID, u.MainPID),
			"correct the address or the unit in the configuration; a second Redis may hold the port")
	}
	if u.Down() && (!in.First.Unit.OK() || !in.First.Unit.Unit.Down()) {
		// So it is in the moment in which a host comes back within reach, too.
		return wait(lookAgain, "probe_disagrees", "only the second of two looks found the unit down: looking again")
	}
	return gateTransient(in, set, u)
}

func gateUnread(read health.UnitRead) *Decision {
	switch read.Class {
	case health.ClassHostKey:
		return blocked("host_key_changed", "the host shows another SSH key than the one in known_hosts",
			"find out why before anything else; then replace the key in known_hosts")
	case health.ClassAuth:
		return blocked("host_auth", "the host refuses our SSH key", "check authorized_keys and the account on the host")
	case health.ClassDenied:
		return blocked("host_denied", "the host refuses the command", "check the gate and the sudoers lines: redis-medic doctor")
	case health.ClassUnreachable:
		return blocked("host_unreachable", "the host cannot be reached over SSH: no act is possible",
			"check the host and the network")
	}
	return blocked("unit_unknown", "systemd could not be asked for the unit's state", "check D-Bus and systemd on the host")
}

func gateTransient(in Input, set Settings, u health.Unit) *Decision {
	if !u.Transient() {
		return nil
	}
	since := u.StateChange
	switch {
	case u.ActiveState == "deactivating":
		if !since.IsZero() && set.StopPatience > 0 && in.Now.Sub(since) > set.StopPatience {
			return gateStuckStop(in, set, u)
		}
		return wait(lookAgain, "unit_stopping", "the unit is stopping: a second job would only stand behind the first")
	case u.SubState == "auto-restart":
		return wait(lookAgain, "unit_auto_restart", "systemd restarts the unit by itself")
	case in.Second.Ping.Reply == health.ReplyLoading:
		return gateLoading(in, set)
	case u.ActiveState == "activating":
		return wait(lookAgain, "unit_starting", "the unit is starting"+quoted(u.StatusText))
	}
	return wait(lookAgain, "job_pending", "systemd has a job for the unit in hand")
}

// gateStuckStop is the branch for a stop that does not end. A second job cannot help; only a kill could, and that is Force's.
func gateStuckStop(in Input, set Settings, u health.Unit) *Decision {
	if in.Second.Ping.Reply == health.ReplyBusy && !in.Done[KillScript] {
		return nil
	}
	if in.ProcState == 'T' && !in.Done[Continue] && !in.Denied[Continue] {
		return nil
	}
	if d, ok := forceRung(in, set); ok {
		return &d
	}
	if in.Second.Ping.Reply == health.ReplyPong {
		// Clients are served, so nothing is gained by force; and automatic recovery is still wanted when the stop ends one day.
		return blocked("stuck_stopping", "a stop of the unit hangs, while Redis serves on"+quoted(u.StatusText),
			"free what keeps Redis from exiting (space and rights for its final save); it is gone as soon as that succeeds")
	}
	return critical("stuck_stopping", "the unit has been stopping for too long"+quoted(u.StatusText),
		"free what keeps Redis from exiting (disk space for its final save, a running script), or decide to lose unsaved data")
}

func gateLoading(in Input, set Settings) *Decision {
	if !in.LoadedAt.IsZero() && set.LoadPatience > 0 && in.Now.Sub(in.LoadedAt) > set.LoadPatience {
		return blocked("loading_stuck", "Redis is loading its data set without progress",
			"check the disk's speed and errors; a restart would begin the load again")
	}
	return wait(lookAgain, "loading", "Redis is loading its data set: a restart would begin it again")
}

// gateReply refuses for every error reply: a live Redis is behind it, and a restart makes each of them worse.
func gateReply(in Input, set Settings) *Decision {
	switch in.Second.Ping.Reply {
	case health.ReplyLoading:
		return gateLoading(in, set)
	case health.ReplyMisconf:
		return blocked("misconf", "Redis cannot save to disk and refuses writes: a restart would hang or lose data",
			"free disk space or fix its permissions; then run BGSAVE")
	case health.ReplyNoAuth, health.ReplyNoPerm:
		return blocked(string(in.Second.Ping.Reply), "Redis is up, but refuses our credentials", "correct the password or the ACL of redis-medic")
	case health.ReplyMaxClients:
		return blocked("maxclients", "Redis is up, but has no room for another client: a restart would bring a reconnect storm",
			"find the clients that hold the connections; raise maxclients")
	case health.ReplyMasterDown:
		return blocked("master_down", "this replica is up, its master is not", "mend the master")
	case health.ReplyProtocol:
		return blocked("protocol", "something answers that is not a plain Redis", "check address, port and TLS settings")
	case health.ReplyDNS, health.ReplyTLS, health.ReplyUnreachable:
		if in.Second.Unit.Unit.Running() {
			return blocked("redis_unreachable", "Redis cannot be reached from here ("+string(in.Second.Ping.Reply)+"), its unit runs",
				"check name, route and certificates between redis-medic and Redis")
		}
	}
	return nil
}

// gateSilence judges a unit that runs while nothing answers. Refused, or a timeout before TCP came up, is as likely a firewall
// or a bind address as a dead process; a silent process that is not stopped may only be busy.
func gateSilence(in Input, set Settings) *Decision {
	o := in.Second
	if !o.Unit.Unit.Running() || o.Ping.Reply == health.ReplyBusy {
		return nil
	}
	switch {
	case o.Ping.Reply == health.ReplyRefused:
		return blocked("refused_while_running", "the unit runs, but its port refuses connections from here",
			"check bind and protected-mode in redis.conf and the firewall")
	case o.Ping.Reply == health.ReplyTimeout && in.ProcState == 'T':
		return nil
	case o.Ping.Reply == health.ReplyTimeout && !o.Ping.Connected:
		return blocked("filtered", "the unit runs, but no connection to its port comes up from here",
			"check the firewall and the network between redis-medic and Redis")
	case o.Ping.Reply == health.ReplyTimeout && in.ProcState == 'D':
		return blocked("disk_wait", "the process waits for its disk: a restart would wait there too", "check the host's disks")
	case o.Ping.Reply == health.ReplyTimeout && in.ProcState == 0:
		return blocked("process_unknown", "nothing answers, and the process's state could not be read", "look at the process on the host")
	case o.Ping.Reply == health.ReplyTimeout && (in.SilentSince.IsZero() || in.Now.Sub(in.SilentSince) < set.HungPatience):
		return wait(lookAgain, "maybe_slow", "the process runs, but is silent: it may be busy with one long command")
	}
	if i := in.LastInfo; i != nil && (i.BgsaveRunning || i.AOFRewriting) && in.Now.Sub(in.SilentSince) < 4*set.HungPatience {
		return wait(lookAgain, "saving", "Redis was saving when it fell silent: waiting before anything that would break the save")
	}
	return nil
}

// gateDiagnosis stops after a start that failed for a reason that stays. The first start is always tried: the reason may have
// been mended since. A configuration that can be put back is the way out, once in an incident.
func gateDiagnosis(in Input, set Settings) *Decision {
	if in.Finding == nil || !in.Finding.Permanent || len(in.Attempts) == 0 || !in.Second.Unit.Unit.Down() || restorable(in, set) {
		return nil
	}
	return critical(in.Finding.Code, in.Finding.Text, in.Finding.Advice)
}

// gateTopology protects data. An empty master that comes back wipes its replicas within milliseconds. A soft act starts no
// process, so it may pass.
func gateTopology(in Input, set Settings) *Decision {
	i := in.LastInfo
	if i == nil {
		return nil
	}
	if code, _, _ := precondition(Soft, in, set); code == "" {
		return nil
	}
	if i.Failover != "" && i.Failover != "no-failover" && in.Now.Sub(i.At) < time.Minute {
		return wait(keepLooking, "failover", "a failover was in progress: hands off")
	}
	if in.Guarded && i.Role == "master" && i.Replicas > 0 && !in.SilentSince.IsZero() && in.Now.Sub(in.SilentSince) < set.FailoverPatience {
		return wait(keepLooking, "failover_expected", "Sentinel or the cluster makes a replica the master: a start now would be in its way")
	}
	if persistent, known := i.Persistent(); i.Role == "master" && i.Replicas > 0 && known && !persistent {
		return critical("empty_master", "this master has replicas and keeps nothing on disk: a start would empty them",
			"promote a replica, or start this one as a replica of another; only a person can decide to start it empty")
	}
	return nil
}

// gateDenied stops where the host has refused the act that everything else needs.
func gateDenied(in Input, _ Settings) *Decision {
	if (in.Denied[Start] && in.Second.Unit.Unit.Down()) || in.Denied[Restart] {
		return blocked("host_denied", "the host refuses to let us start the unit", "check the gate and the sudoers lines: redis-medic doctor")
	}
	return nil
}

func looping(in Input, set Settings) bool {
	return (set.LoopRecoveries > 0 && within(in.Recoveries, set.LoopWindow, in.Now) >= set.LoopRecoveries) ||
		(set.LongRecoveries > 0 && within(in.Recoveries, set.LongWindow, in.Now) >= set.LongRecoveries)
}

// gatePace keeps the acts apart: attempts, loop guard, delay with backoff, and our share of systemd's start limit.
func gatePace(in Input, set Settings) *Decision {
	if looping(in, set) {
		return critical("recovery_loop", "it was recovered too often in a short time and fails again",
			"find out why it keeps failing; then reset automatic recovery")
	}
	tried := done(in.Attempts)
	n := len(tried)
	if set.MaxAttempts > 0 && n >= set.MaxAttempts {
		return critical("attempts_exhausted", "every attempt to bring it back failed", "look at the evidence and repair it by hand")
	}
	if n > 0 && !restorable(in, set) {
		delay := float64(set.RetryDelay)
		for range n - 1 {
			delay *= max(set.Backoff, 1)
		}
		if left := tried[n-1].At.Add(time.Duration(delay)).Sub(in.Now); left > 0 {
			return wait(min(left, keepLooking), "retry_delay", "waiting before the next attempt")
		}
	}
	if set.MaxStarts > 0 && within(in.Starts, set.StartWindow, in.Now) >= set.MaxStarts {
		return wait(lookAgain, "start_pace", "the unit was started several times in the last seconds: one more could hit systemd's limit")
	}
	return nil
}
