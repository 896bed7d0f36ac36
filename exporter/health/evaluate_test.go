package health

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

var (
	testNow    = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	thresholds = Thresholds{
		PingFailures: 3, UnitFailures: 2, SlowPing: 100 * time.Millisecond, SlowPingCount: 3,
		MemoryWarning: 3072 * mib, MemoryCritical: 4096 * mib, MemoryLimitRatio: 0.9,
		CPUWarning: 70, CPUCritical: 90, ConnectionsWarning: 8000, ConnectionsCritical: 9500, ConnectionsRatio: 0.9,
		StaleAfter: 20 * time.Second, UnitStaleAfter: 3 * time.Minute, InfoStaleAfter: 5 * time.Minute,
	}
)

// healthy is a service without a fault; tests change what they are about.
func healthy() Samples {
	info := Info{
		At: testNow.Add(-time.Minute), RunID: "a", Role: "master", UsedMemory: 128 * mib, Clients: 42, MaxClients: 10000,
		CPU: 100 * time.Second, BgsaveOK: true,
	}
	before := info
	before.At, before.CPU = info.At.Add(-100*time.Second), 95*time.Second
	return Samples{
		Ping: Ping{At: testNow.Add(-time.Second), Reply: ReplyPong, Latency: 2 * time.Millisecond, Connected: true},
		Unit: UnitRead{At: testNow.Add(-30 * time.Second), Unit: Unit{
			Name: "redis-server.service", LoadState: "loaded", ActiveState: "active", SubState: "running", MainPID: 7,
		}},
		Info: &info, Previous: &before, Pool: &Pool{At: testNow, OK: true},
	}
}

func ping(r Reply, failures int) func(*Samples) {
	return func(s *Samples) {
		s.Ping = Ping{At: testNow.Add(-time.Second), Reply: r, Latency: time.Second, Connected: true, Detail: "detail"}
		s.PingFailures = failures
	}
}

func unit(active, sub string, change ...func(*Unit)) func(*Samples) {
	return func(s *Samples) {
		s.Unit.At = testNow
		s.Unit.Unit.ActiveState, s.Unit.Unit.SubState, s.Unit.Unit.MainPID = active, sub, 0
		for _, f := range change {
			f(&s.Unit.Unit)
		}
	}
}

func load(state string) func(*Unit) { return func(u *Unit) { u.LoadState = state } }

func host(class ErrorClass, failures int) func(*Samples) {
	return func(s *Samples) {
		s.Unit, s.UnitFailures = UnitRead{At: testNow, Class: class, Err: "words"}, failures
	}
}

func info(f func(*Info)) func(*Samples) { return func(s *Samples) { f(s.Info) } }

type row struct {
	name   string
	change []func(*Samples)
	status Status
	shown  []Code // reasons that are not hidden, in order
	hidden []Code
	checks map[CheckName]string // "status: message" of the layers the row is about
	advice []string             // nil: not compared
}

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			s := healthy()
			for _, f := range r.change {
				f(&s)
			}
			v := Evaluate(s, thresholds, testNow)
			compare(t, r, v)
		})
	}
}

func compare(t *testing.T, r row, v Verdict) {
	t.Helper()
	if v.Status != r.status {
		t.Errorf("status %s, want %s (%+v)", v.Status, r.status, v.Reasons)
	}
	var shown, hidden []Code
	for _, reason := range v.Reasons {
		if reason.Hidden {
			hidden = append(hidden, reason.Code)
		} else {
			shown = append(shown, reason.Code)
		}
		if reason.Text == "" || reason.Evidence == nil {
			t.Errorf("reason %s has no text or evidence", reason.Code)
		}
	}
	if !reflect.DeepEqual(shown, r.shown) || !reflect.DeepEqual(hidden, r.hidden) {
		t.Errorf("reasons %v hidden %v, want %v hidden %v", shown, hidden, r.shown, r.hidden)
	}
	got := map[CheckName]string{}
	for _, c := range v.Checks {
		got[c.Name] = string(c.Status) + ": " + c.Message
		if c.Details != "" {
			got[c.Name] += " / " + c.Details
		}
	}
	for name, want := range r.checks {
		if got[name] != want {
			t.Errorf("check %s is %q, want %q", name, got[name], want)
		}
	}
	for _, c := range slices.Concat(r.shown, r.hidden) {
		if !v.Has(c) {
			t.Errorf("Has does not know %s", c)
		}
	}
	if v.Has("nothing") {
		t.Error("Has knows nothing")
	}
	if r.advice != nil && !reflect.DeepEqual(v.Recommendations(), r.advice) {
		t.Errorf("recommendations %q, want %q", v.Recommendations(), r.advice)
	}
}

func rows() []row {
	return slices.Concat(unitRows(), loadRows(), transientRows(), hostRows(), pingRows(), infoRows())
}

const (
	systemdOK = "pass: Service active and running"
	noMetrics = "unknown: Cannot collect metrics - service not running"
)

func unitRows() []row {
	fail := func(u *Unit) { u.ExecMainCode, u.ExecMainStatus, u.Result = 1, 1, "exit-code" }
	return []row{
		{name: "all is well", status: Healthy, advice: []string{}, checks: map[CheckName]string{
			CheckConnectivity: "pass: PING successful", CheckSystemd: systemdOK, CheckPerformance: "pass: All metrics within normal ranges",
			CheckPool: "pass: Connection pool healthy",
		}},
		{name: "the document's critical example", change: []func(*Samples){ping(ReplyRefused, 3), unit("failed", "failed", fail)},
			status: Critical, shown: []Code{CodeUnitFailed}, hidden: []Code{CodeNoConnectivity},
			checks: map[CheckName]string{
				CheckConnectivity: "fail: Connection refused", CheckSystemd: "fail: Service failed / Exit code: 1", CheckPerformance: noMetrics,
				CheckPool: "unknown: Cannot check connections - service not running",
			},
			advice: []string{"Check service logs for errors", "Verify system resources", "Consider manual intervention"}},
		{name: "failed too often", change: []func(*Samples){unit("failed", "failed", fail, func(u *Unit) { u.Result = "start-limit-hit" })},
			status: Critical, shown: []Code{CodeUnitStartLimited}},
		{name: "stopped, before any PING failed", change: []func(*Samples){unit("inactive", "dead")}, status: Critical,
			shown: []Code{CodeUnitInactive}, checks: map[CheckName]string{CheckSystemd: "fail: Service stopped", CheckPerformance: noMetrics}},
		{name: "killed by a signal", change: []func(*Samples){unit("failed", "failed", func(u *Unit) { u.ExecMainCode, u.ExecMainStatus = 2, 9 })},
			status: Critical, shown: []Code{CodeUnitFailed}, checks: map[CheckName]string{CheckSystemd: "fail: Service failed / Killed by signal 9"}},
		{name: "dumped core", change: []func(*Samples){unit("failed", "failed", func(u *Unit) { u.ExecMainCode, u.ExecMainStatus = 3, 11 })},
			status: Critical, shown: []Code{CodeUnitFailed}, checks: map[CheckName]string{CheckSystemd: "fail: Service failed / Dumped core on signal 11"}},
		{name: "stopped, but a Redis outside systemd answers", change: []func(*Samples){unit("inactive", "dead"),
			func(s *Samples) { s.UnitSince = testNow.Add(-time.Minute) }}, status: Degraded, shown: []Code{CodeUnitInactive},
			checks: map[CheckName]string{CheckSystemd: "warning: Service stopped"}},
	}
}

func loadRows() []row {
	return []row{
		{name: "masked and stopped", change: []func(*Samples){ping(ReplyRefused, 9), unit("inactive", "dead", load("masked"))}, status: Critical,
			shown: []Code{CodeUnitMasked}, hidden: []Code{CodeUnitInactive, CodeNoConnectivity},
			checks: map[CheckName]string{CheckSystemd: "fail: Service is masked"}},
		{name: "masked, but still running", change: []func(*Samples){func(s *Samples) { s.Unit.Unit.LoadState = "masked" }}, status: Degraded,
			shown: []Code{CodeUnitMasked}, checks: map[CheckName]string{CheckSystemd: "warning: Service is masked"}},
		{name: "masked, running and hung", change: []func(*Samples){ping(ReplyTimeout, 3), func(s *Samples) { s.Unit.Unit.LoadState = "masked" }},
			status: Critical, shown: []Code{CodeHung, CodeUnitMasked}},
		{name: "no such unit and nothing answers", change: []func(*Samples){ping(ReplyRefused, 3), unit("inactive", "dead", load("not-found"))},
			status: Critical, shown: []Code{CodeUnitMissing}, hidden: []Code{CodeUnitInactive, CodeNoConnectivity},
			checks: map[CheckName]string{CheckSystemd: "fail: Service unit is missing or broken"}},
		{name: "no such unit, but Redis answers", change: []func(*Samples){unit("inactive", "dead", load("not-found")),
			func(s *Samples) { s.UnitSince = testNow.Add(-time.Hour) }}, status: Degraded, shown: []Code{CodeUnitMissing}, hidden: []Code{CodeUnitInactive}},
		{name: "broken unit without a state", change: []func(*Samples){unit("", "", load("bad-setting"))}, status: Degraded, shown: []Code{CodeUnitMissing}},
		{name: "systemd names no state", change: []func(*Samples){unit("", "")}, status: Degraded, shown: []Code{CodeUnitUnknown},
			checks: map[CheckName]string{CheckSystemd: "unknown: systemd does not name the unit's state"}},
	}
}

func transientRows() []row {
	return []row{
		{name: "starting again by itself", change: []func(*Samples){ping(ReplyRefused, 1), unit("activating", "auto-restart")}, status: Degraded,
			shown: []Code{CodeUnitTransient}, checks: map[CheckName]string{CheckSystemd: "warning: Service is activating (auto-restart)"}},
		{name: "starting again for too long", change: []func(*Samples){ping(ReplyRefused, 3), unit("activating", "auto-restart")}, status: Critical,
			shown: []Code{CodeUnitTransient}, hidden: []Code{CodeNoConnectivity}},
		{name: "loading while systemd waits", change: []func(*Samples){ping(ReplyLoading, 0), unit("activating", "start")}, status: Degraded,
			shown: []Code{CodeLoading}, hidden: []Code{CodeUnitTransient}},
		{name: "active without a process, silent", change: []func(*Samples){ping(ReplyRefused, 3), unit("active", "exited")}, status: Critical,
			shown: []Code{CodeUnitInactive}, hidden: []Code{CodeNoConnectivity},
			checks: map[CheckName]string{CheckSystemd: "fail: Service active without a process"}},
		{name: "active without a process, not yet silent", change: []func(*Samples){ping(ReplyRefused, 1), unit("active", "exited")},
			status: Degraded, shown: []Code{CodeUnitInactive}},
		{name: "active without a process, but answering", change: []func(*Samples){unit("active", "exited")}, status: Healthy,
			checks: map[CheckName]string{CheckSystemd: "warning: Service active without a process"}},
	}
}

func hostRows() []row {
	return []row{
		{name: "host unreachable while Redis answers", change: []func(*Samples){host(ClassUnreachable, 2)}, status: Degraded,
			shown: []Code{CodeHostUnreachable}, checks: map[CheckName]string{CheckSystemd: "unknown: Cannot read the unit - host unreachable"}},
		{name: "host unreachable once", change: []func(*Samples){host(ClassUnreachable, 1)}, status: Healthy},
		{name: "host and Redis unreachable", change: []func(*Samples){host(ClassUnreachable, 2), ping(ReplyTimeout, 3)}, status: Unknown,
			shown: []Code{CodeHostUnreachable}, hidden: []Code{CodeNoConnectivity}},
		{name: "login refused and Redis silent", change: []func(*Samples){host(ClassAuth, 2), ping(ReplyTimeout, 3)}, status: Unknown,
			shown: []Code{CodeHostAuth, CodeNoConnectivity}},
		{name: "host key changed", change: []func(*Samples){host(ClassHostKey, 2)}, status: Degraded, shown: []Code{CodeHostKey}},
		{name: "command denied", change: []func(*Samples){host(ClassDenied, 2)}, status: Degraded, shown: []Code{CodeHostDenied}},
		{name: "systemd hangs", change: []func(*Samples){host(ClassTimeout, 2)}, status: Degraded, shown: []Code{CodeUnitUnknown}},
		{name: "a class nobody knows", change: []func(*Samples){host("odd", 2)}, status: Degraded, shown: []Code{CodeUnitUnknown}},
		{name: "the unit was read long ago", change: []func(*Samples){func(s *Samples) { s.Unit.At = testNow.Add(-time.Hour) }}, status: Degraded,
			shown: []Code{CodeUnitUnknown}, checks: map[CheckName]string{CheckSystemd: "unknown: The unit was not read for too long"}},
		{name: "the unit was never read", change: []func(*Samples){func(s *Samples) { s.Unit = UnitRead{} }}, status: Healthy,
			checks: map[CheckName]string{CheckSystemd: "unknown: Not checked yet"}},
	}
}

func pingRows() []row {
	alive := func(r Reply, c Code, message string) row {
		return row{name: "reply " + string(r), change: []func(*Samples){ping(r, 0)}, status: Degraded, shown: []Code{c},
			checks: map[CheckName]string{CheckConnectivity: "warning: " + message, CheckSystemd: systemdOK}}
	}
	away := func(r Reply) row {
		return row{name: "reply " + string(r), change: []func(*Samples){ping(r, 0)}, status: Unknown, shown: []Code{CodeNotReachable}}
	}
	return []row{
		alive(ReplyLoading, CodeLoading, "Redis is loading its data set"), alive(ReplyBusy, CodeBusy, "Redis is busy running a script"),
		alive(ReplyMisconf, CodeMisconf, "Redis refuses writes: it cannot persist"),
		alive(ReplyMasterDown, CodeMasterDown, "The replica has lost its master"),
		alive(ReplyNoAuth, CodeNoAuth, "Redis refuses our credentials"), alive(ReplyNoPerm, CodeNoPerm, "Redis denies us access"),
		alive(ReplyMaxClients, CodeMaxClients, "Redis refuses new clients"), alive(ReplyProtocol, CodeProtocol, "Unexpected answer to PING"),
		away(ReplyDNS), away(ReplyTLS), away(ReplyUnreachable),
		{name: "one PING lost", change: []func(*Samples){ping(ReplyTimeout, 1)}, status: Healthy,
			checks: map[CheckName]string{CheckConnectivity: "warning: Connection timeout"}},
		{name: "hung", change: []func(*Samples){ping(ReplyTimeout, 3)}, status: Critical, shown: []Code{CodeHung},
			checks: map[CheckName]string{CheckConnectivity: "fail: Connection timeout", CheckSystemd: systemdOK,
				CheckPerformance: "unknown: Cannot collect metrics - service not responding"}},
		{name: "silent, and systemd was last heard before", change: []func(*Samples){ping(ReplyTimeout, 3),
			func(s *Samples) { s.SilentSince = s.Unit.At.Add(time.Second) }}, status: Unknown, shown: []Code{CodeNoConnectivity}},
		{name: "silent, and systemd was heard since", change: []func(*Samples){ping(ReplyTimeout, 3),
			func(s *Samples) { s.SilentSince = s.Unit.At }}, status: Critical, shown: []Code{CodeHung}},
		{name: "running, but nobody listens", change: []func(*Samples){ping(ReplyRefused, 4)}, status: Critical, shown: []Code{CodeHung}},
		{name: "silent and systemd switched off", change: []func(*Samples){ping(ReplyTimeout, 3), func(s *Samples) { s.Off.Systemd = true }},
			status: Critical, shown: []Code{CodeNoConnectivity}},
		{name: "silent and the unit never read", change: []func(*Samples){ping(ReplyTimeout, 3), func(s *Samples) { s.Unit = UnitRead{} }},
			status: Unknown, shown: []Code{CodeNoConnectivity}},
		{name: "stopped while DNS fails", change: []func(*Samples){ping(ReplyDNS, 0), unit("inactive", "dead")}, status: Critical,
			shown: []Code{CodeUnitInactive}, hidden: []Code{CodeNotReachable}},
		{name: "nothing known yet", change: []func(*Samples){func(s *Samples) { *s = Samples{} }}, status: Unknown, shown: []Code{CodeNotMeasured},
			checks: map[CheckName]string{CheckConnectivity: "unknown: Not checked yet", CheckPerformance: "unknown: Not checked yet", CheckPool: "unknown: Not checked yet"}},
		{name: "a PING that is not classified", change: []func(*Samples){ping(NoReplyYet, 0)}, status: Unknown, shown: []Code{CodeNotMeasured}},
		{name: "the last PING is old", change: []func(*Samples){func(s *Samples) { s.Ping.At = testNow.Add(-time.Minute) }}, status: Unknown,
			shown: []Code{CodeNotMeasured}, checks: map[CheckName]string{CheckConnectivity: "unknown: The last PING is too old"}},
		{name: "the last PING is old and the unit failed", change: []func(*Samples){unit("failed", "failed"),
			func(s *Samples) { s.Ping.At = testNow.Add(-time.Minute) }}, status: Critical, shown: []Code{CodeUnitFailed}, hidden: []Code{CodeNotMeasured}},
		{name: "PING switched off", change: []func(*Samples){func(s *Samples) { s.Off.Connectivity = true; s.Ping = Ping{} }}, status: Healthy},
		{name: "everything switched off", change: []func(*Samples){func(s *Samples) { s.Off = Off{true, true, true, true} }}, status: Unknown,
			shown: []Code{CodeNotMeasured}},
		{name: "slow once", change: []func(*Samples){func(s *Samples) { s.Ping.Latency, s.SlowPings = 150*time.Millisecond, 1 }}, status: Healthy,
			checks: map[CheckName]string{CheckConnectivity: "pass: PING successful but slow"}},
		{name: "slow consistently", change: []func(*Samples){func(s *Samples) { s.Ping.Latency, s.SlowPings = 150*time.Millisecond, 3 }}, status: Degraded,
			shown: []Code{CodeSlow}, advice: []string{"Review slow queries"}},
		{name: "pool in trouble", change: []func(*Samples){func(s *Samples) { s.Pool = &Pool{At: testNow, Err: "stale"} }}, status: Healthy,
			checks: map[CheckName]string{CheckPool: "warning: Connection pool is not healthy"}},
	}
}

func infoRows() []row {
	perf := func(want string) map[CheckName]string { return map[CheckName]string{CheckPerformance: want} }
	return []row{
		{name: "the document's degraded example", change: []func(*Samples){
			info(func(i *Info) { i.UsedMemory, i.Clients = 3500*mib, 8500 }),
			func(s *Samples) { s.Ping.Latency, s.SlowPings = 150*time.Millisecond, 3 }}, status: Degraded,
			shown:  []Code{CodeMemoryWarning, CodeClientsWarning, CodeSlow},
			checks: map[CheckName]string{CheckConnectivity: "pass: PING successful but slow", CheckPerformance: "warning: High memory usage detected"},
			advice: []string{"Consider increasing memory limit", "Monitor connection usage", "Review slow queries"}},
		{name: "memory critical", change: []func(*Samples){info(func(i *Info) { i.UsedMemory = 4096 * mib })}, status: Degraded,
			shown: []Code{CodeMemoryCritical}, checks: perf("fail: Critical memory usage detected")},
		{name: "maxmemory nearly used up", change: []func(*Samples){info(func(i *Info) { i.MaxMemory = 140 * mib })}, status: Degraded,
			shown: []Code{CodeMemoryLimit}, checks: perf("warning: High memory usage detected")},
		{name: "connections critical beside a memory warning", change: []func(*Samples){
			info(func(i *Info) { i.Clients, i.MaxClients, i.UsedMemory = 9500, 0, 3100*mib })}, status: Degraded,
			shown: []Code{CodeClientsCritical, CodeMemoryWarning}, checks: perf("fail: Critical connection count detected")},
		{name: "near maxclients", change: []func(*Samples){info(func(i *Info) { i.Clients, i.MaxClients = 95, 100 })}, status: Degraded,
			shown: []Code{CodeClientsLimit}, checks: perf("warning: Connection count near maximum")},
		{name: "connections high", change: []func(*Samples){info(func(i *Info) { i.Clients = 8500 })}, status: Degraded,
			shown: []Code{CodeClientsWarning}, checks: perf("warning: High connection count detected")},
		{name: "CPU high", change: []func(*Samples){info(func(i *Info) { i.CPU += 70 * time.Second })}, status: Degraded,
			shown: []Code{CodeCPUWarning}, checks: perf("warning: High CPU usage detected")},
		{name: "CPU critical", change: []func(*Samples){info(func(i *Info) { i.CPU += 90 * time.Second })}, status: Degraded,
			shown: []Code{CodeCPUCritical}, checks: perf("fail: Critical CPU usage detected")},
		{name: "CPU not known after a restart", change: []func(*Samples){info(func(i *Info) { i.CPU += 90 * time.Second; i.RunID = "b" })}, status: Healthy},
		{name: "last save failed", change: []func(*Samples){info(func(i *Info) { i.BgsaveOK = false })}, status: Degraded,
			shown: []Code{CodePersistence}, checks: perf("warning: Persistence failed")},
		{name: "last append failed", change: []func(*Samples){info(func(i *Info) { i.AOFOn = true })}, status: Degraded, shown: []Code{CodePersistence}},
		{name: "misconf explains the failed save", change: []func(*Samples){ping(ReplyMisconf, 0), info(func(i *Info) { i.BgsaveOK = false })},
			status: Degraded, shown: []Code{CodeMisconf}, hidden: []Code{CodePersistence}},
		{name: "replica without its master", change: []func(*Samples){info(func(i *Info) { i.Role, i.MasterLink = "slave", "down" })}, status: Degraded,
			shown: []Code{CodeReplicationBroken}, checks: perf("warning: Replication is broken")},
		{name: "replica in its first sync", change: []func(*Samples){info(func(i *Info) { i.Role, i.MasterLink, i.MasterSync = "slave", "down", true })},
			status: Healthy},
		{name: "INFO refused", change: []func(*Samples){func(s *Samples) { s.Info, s.InfoErr = nil, "NOPERM" }}, status: Healthy,
			checks: perf("unknown: Cannot collect metrics - INFO was refused or failed")},
		{name: "INFO too old", change: []func(*Samples){info(func(i *Info) { i.At = testNow.Add(-time.Hour) })}, status: Healthy,
			checks: perf("unknown: The last metrics are too old")},
	}
}

func TestEvaluateWithoutThresholds(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.Info.UsedMemory, s.Info.Clients, s.Ping.Latency = 1<<40, 1<<20, time.Hour
	s.Ping.At = testNow.Add(-24 * time.Hour)
	if v := Evaluate(s, Thresholds{}, testNow); v.Status != Healthy {
		t.Errorf("a zero threshold must be off, got %+v", v)
	}
}

func TestEvaluateLeavesOutSwitchedOffLayers(t *testing.T) {
	t.Parallel()
	s := healthy()
	s.Off = Off{Performance: true, Pool: true}
	v := Evaluate(s, thresholds, testNow)
	if len(v.Checks) != 2 || v.Checks[0].Name != CheckConnectivity || v.Checks[1].Name != CheckSystemd {
		t.Errorf("checks %+v", v.Checks)
	}
}
