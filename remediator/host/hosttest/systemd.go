package hosttest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// Unit is one scripted service. Its methods may be called concurrently.
type Unit struct {
	s  *Server
	mu sync.Mutex // guards the fields below

	state      health.Unit
	startTakes time.Duration
	stopTakes  time.Duration
	journal    []string
	redisLog   []string
	pids       int

	jobMu sync.Mutex // one job at a time
}

// Unit returns the unit of that name. At first it is Debian's redis-server, enabled and running.
func (s *Server) Unit(name string) *Unit {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.units[name]
	if !ok {
		now := time.Now().UTC()
		journal := []string{fmt.Sprintf(`{"__REALTIME_TIMESTAMP":"%d","PRIORITY":"6","MESSAGE":"Started %s"}`, now.UnixMicro(), name)}
		u = &Unit{s: s, pids: 1000, journal: journal, state: health.Unit{
			Name: name, Type: "notify", LoadState: "loaded", UnitFileState: "enabled", ActiveState: "active", SubState: "running",
			Result: "success", StatusText: "Ready to accept connections", MainPID: 1000, Restart: "always",
			RestartDelay: 100 * time.Millisecond, TimeoutStart: 90 * time.Second, TimeoutStop: health.Infinite,
			StartLimitBurst: 5, StartLimitInterval: 10 * time.Second,
			ActiveEnter: now, StateChange: now, InvocationID: "0123456789abcdef0123456789abcdef",
		}}
		s.units[name] = u
	}
	return u
}

// State returns the unit's present state.
func (u *Unit) State() health.Unit {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state
}

// Set changes the state, tells the bus, and calls the functions of OnChange.
func (u *Unit) Set(change func(*health.Unit)) {
	u.mu.Lock()
	before := u.state
	change(&u.state)
	after := u.state
	if after.ActiveState != before.ActiveState || after.SubState != before.SubState {
		u.state.StateChange = time.Now().UTC()
		if after.ActiveState == "active" {
			u.state.ActiveEnter = u.state.StateChange
		}
		if after.ActiveState == "inactive" || after.ActiveState == "failed" {
			u.state.InactiveEnter = u.state.StateChange
		}
		after = u.state
	}
	u.mu.Unlock()
	u.s.announce(after.Name)
}

// Takes sets how long a start and a stop take.
func (u *Unit) Takes(start, stop time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.startTakes, u.stopTakes = start, stop
}

// Log sets what the journal (lines of "journalctl -o json") and Redis's log file hold.
func (u *Unit) Log(journal, redisLog []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.journal, u.redisLog = journal, redisLog
}

// Stop puts the unit in the state after "systemctl stop" on the host.
func (u *Unit) Stop() {
	u.Set(func(s *health.Unit) {
		s.ActiveState, s.SubState, s.Result, s.MainPID, s.StatusText = "inactive", "dead", "success", 0, ""
		s.ExecMainCode, s.ExecMainStatus = 1, 0
	})
}

// Crash kills the main process; systemd restarts it, as Restart=always says, in the steps that the real one shows.
func (u *Unit) Crash() {
	u.Set(func(s *health.Unit) {
		s.ActiveState, s.SubState, s.Result, s.MainPID = "failed", "failed", "signal", 0
		s.ExecMainCode, s.ExecMainStatus = 2, 9
	})
	u.Set(func(s *health.Unit) { s.ActiveState, s.SubState = "activating", "auto-restart" })
	u.s.wg.Go(func() {
		if !u.s.sleep(u.State().RestartDelay) {
			return
		}
		u.Set(func(s *health.Unit) { s.NRestarts++ })
		u.start()
	})
}

// start runs a start job to its end and reports whether the unit runs.
func (u *Unit) start() bool {
	u.mu.Lock()
	takes := u.startTakes
	u.pids++
	pid := u.pids
	u.mu.Unlock()
	u.Set(func(s *health.Unit) {
		s.ActiveState, s.SubState, s.MainPID, s.JobID, s.StatusText = "activating", "start", pid, uint32(pid), "Redis is loading..."
	})
	if !u.s.sleep(takes) {
		return false
	}
	u.Set(func(s *health.Unit) {
		s.JobID = 0
		s.ActiveState, s.SubState, s.Result, s.StatusText = "active", "running", "success", "Ready to accept connections"
	})
	return true
}

// stop runs a stop job to its end.
func (u *Unit) stop() bool {
	u.mu.Lock()
	takes := u.stopTakes
	u.mu.Unlock()
	u.Set(func(s *health.Unit) { s.ActiveState, s.SubState, s.JobID = "deactivating", "stop-sigterm", 7 })
	if !u.s.sleep(takes) {
		return false
	}
	u.Set(func(s *health.Unit) { s.JobID = 0 })
	u.Stop()
	return true
}

// sleep waits for d. It returns false when the host ended first. A job goes on when the client that asked for it has gone.
func (s *Server) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// execute does what systemd and the tools on the host would.
func (s *Server) execute(cmd host.Command) *Reply {
	f := s.broken()
	privileged := cmd.Verb.Changes() || cmd.Verb == host.VerbListeners
	switch {
	case f.NoSudo && privileged:
		return &Reply{Stderr: "sudo: a password is required\n", ExitCode: 1}
	case f.HungSystemd && (cmd.Verb.Changes() || cmd.Verb == host.VerbShow || cmd.Verb == host.VerbIsActive):
		return &Reply{Hang: true}
	case f.NoBus && (cmd.Verb.Changes() || cmd.Verb == host.VerbShow || cmd.Verb == host.VerbIsActive || cmd.Verb == host.VerbBus):
		return &Reply{Stderr: "Failed to connect to bus: No such file or directory\n", ExitCode: 1}
	case f.NoBridge && cmd.Verb == host.VerbBus:
		return &Reply{Stderr: "sh: 1: systemd-stdio-bridge: not found\n", ExitCode: 127}
	}
	if cmd.Verb.Changes() {
		return s.act(cmd)
	}
	return s.tell(cmd)
}

// act runs a verb that changes the unit, one at a time.
func (s *Server) act(cmd host.Command) *Reply {
	u := s.Unit(cmd.Unit.Name)
	u.jobMu.Lock()
	defer u.jobMu.Unlock()
	failed := &Reply{Stderr: "Job for " + cmd.Unit.Name + " failed because the control process exited with error code.\n", ExitCode: 1}
	state := u.State()
	if cmd.Verb == host.VerbStart || cmd.Verb == host.VerbRestart {
		switch {
		case state.LoadState == "masked":
			return &Reply{Stderr: "Failed to start " + cmd.Unit.Name + ": Unit is masked.\n", ExitCode: 1}
		case state.LoadState != "loaded":
			return &Reply{Stderr: "Failed to start " + cmd.Unit.Name + ": Unit not found.\n", ExitCode: 5}
		case state.Result == "start-limit-hit":
			return failed
		}
	}
	ok := true
	switch cmd.Verb {
	case host.VerbStart:
		ok = state.ActiveState == "active" || u.start()
	case host.VerbStop:
		ok = state.ActiveState == "inactive" || u.stop()
	case host.VerbRestart:
		ok = (state.ActiveState != "active" || u.stop()) && u.start()
	case host.VerbReload:
		if !state.CanReload {
			return &Reply{Stderr: "Job type reload is not applicable for unit " + cmd.Unit.Name + ".\n", ExitCode: 1}
		}
	case host.VerbResetFailed:
		u.Set(func(s *health.Unit) {
			if s.ActiveState == "failed" {
				s.ActiveState, s.SubState = "inactive", "dead"
			}
			s.Result, s.NRestarts = "success", 0
		})
	case host.VerbKill:
		u.Crash()
	}
	if !ok {
		return failed
	}
	return &Reply{}
}

// tell answers a verb that changes nothing.
func (s *Server) tell(cmd host.Command) *Reply {
	switch cmd.Verb {
	case host.VerbShow:
		return &Reply{Stdout: Show(s.Unit(cmd.Unit.Name).State())}
	case host.VerbIsActive:
		state := s.Unit(cmd.Unit.Name).State().ActiveState
		if state == "active" {
			return &Reply{Stdout: state + "\n"}
		}
		return &Reply{Stdout: state + "\n", ExitCode: 3}
	case host.VerbJournal, host.VerbRedisLog:
		return &Reply{Stdout: s.logOf(cmd)}
	case host.VerbProcState:
		return &Reply{Stdout: fmt.Sprintf("%d (redis-server) S 1 %d 0 0 -1\n", cmd.PID, cmd.PID)}
	case host.VerbListeners:
		return &Reply{Stdout: `LISTEN 0 511 127.0.0.1:6379 0.0.0.0:* users:(("redis-server",pid=1000,fd=6))` + "\n"}
	default:
		return &Reply{Stdout: "Mounted on 1B-blocks Avail Inodes IFree\n/ 1000000000 500000000 60000 50000\n"}
	}
}

// logOf returns the newest lines of a log. Without the gate the command for Redis's log names no unit: the only one is meant.
func (s *Server) logOf(cmd host.Command) string {
	u := s.logUnit(cmd.Unit.Name)
	if u == nil {
		return ""
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	lines := u.journal
	if cmd.Verb == host.VerbRedisLog {
		lines = u.redisLog
	}
	lines = lines[max(0, len(lines)-cmd.Lines):]
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (s *Server) logUnit(name string) *Unit {
	if name != "" {
		return s.Unit(name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.units {
		return u
	}
	return nil
}

// Show prints a unit as "systemctl show" does.
func Show(u health.Unit) string {
	var b strings.Builder
	line := func(key, value string) { b.WriteString(key + "=" + value + "\n") }
	for _, p := range [][2]string{
		{"Type", u.Type}, {"Restart", u.Restart}, {"Result", u.Result}, {"StatusText", u.StatusText},
		{"Id", u.Name}, {"LoadState", u.LoadState}, {"ActiveState", u.ActiveState}, {"SubState", u.SubState},
		{"UnitFileState", u.UnitFileState}, {"InvocationID", u.InvocationID},
		{"MainPID", strconv.Itoa(u.MainPID)}, {"NRestarts", strconv.Itoa(int(u.NRestarts))},
		{"ExecMainCode", strconv.Itoa(u.ExecMainCode)}, {"ExecMainStatus", strconv.Itoa(u.ExecMainStatus)},
		{"StartLimitBurst", strconv.Itoa(u.StartLimitBurst)}, {"CanReload", map[bool]string{true: "yes", false: "no"}[u.CanReload]},
		{"RestartUSec", span(u.RestartDelay)}, {"TimeoutStartUSec", span(u.TimeoutStart)}, {"TimeoutStopUSec", span(u.TimeoutStop)},
		{"StartLimitIntervalUSec", span(u.StartLimitInterval)}, {"ActiveEnterTimestamp", stamp(u.ActiveEnter)},
		{"InactiveEnterTimestamp", stamp(u.InactiveEnter)}, {"StateChangeTimestamp", stamp(u.StateChange)},
		{"ActiveExitTimestamp", stamp(u.ActiveExit)}, {"InactiveExitTimestamp", stamp(u.InactiveExit)},
		{"WatchdogUSec", span(u.Watchdog)}, {"WatchdogTimestamp", stamp(u.WatchdogPing)},
		{"MemoryCurrent", counter(u.MemoryBytes)}, {"TasksCurrent", counter(u.Tasks)}, {"TasksMax", counter(u.TasksMax)},
	} {
		line(p[0], p[1])
	}
	for _, t := range traffic {
		line(t.key, counter(t.of(u.IP)))
	}
	if u.CPUTime > 0 {
		line("CPUUsageNSec", strconv.FormatInt(u.CPUTime.Nanoseconds(), 10))
	} else {
		line("CPUUsageNSec", "[not set]")
	}
	if u.JobID != 0 {
		line("Job", strconv.Itoa(int(u.JobID)))
	}
	return b.String()
}

// traffic are the properties of IP accounting.
var traffic = []struct {
	key string
	of  func(*health.IPTraffic) *uint64
}{
	{"IPIngressBytes", side(func(t *health.IPTraffic) *uint64 { return &t.InBytes })},
	{"IPIngressPackets", side(func(t *health.IPTraffic) *uint64 { return &t.InPackets })},
	{"IPEgressBytes", side(func(t *health.IPTraffic) *uint64 { return &t.OutBytes })},
	{"IPEgressPackets", side(func(t *health.IPTraffic) *uint64 { return &t.OutPackets })},
}

func side(of func(*health.IPTraffic) *uint64) func(*health.IPTraffic) *uint64 {
	return func(t *health.IPTraffic) *uint64 {
		if t == nil {
			return nil
		}
		return of(t)
	}
}

func span(d time.Duration) string {
	if d == health.Infinite {
		return "infinity"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "n/a"
	}
	return t.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
}

func counter(n *uint64) string {
	if n == nil {
		return "[not set]"
	}
	return strconv.FormatUint(*n, 10)
}
