package exporter

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/exporter/metric"
)

// The closed lists of systemd 252 that the state sets run over. A value outside its list is shown as "other".
var (
	activeStates = []string{"active", "activating", "deactivating", "inactive", "failed", "reloading"}
	loadStates   = []string{"loaded", "not-found", "masked", "bad-setting", "error", "stub", "merged", other}
	subStates    = []string{
		"running", "exited", "dead", "failed", "auto-restart", "start-pre", "start", "start-post", "reload", "stop", "stop-watchdog",
		"stop-sigterm", "stop-sigkill", "stop-post", "final-watchdog", "final-sigterm", "final-sigkill", "condition", "cleaning", other,
	}
	results = []string{
		"success", "resources", "protocol", "timeout", "exit-code", "signal", "core-dump", "watchdog", "start-limit-hit", "oom-kill",
		"exec-condition", other,
	}
)

const other = "other"

// statusClasses are the classes of what Redis tells systemd of itself, with a word that each contains. The first match counts.
var statusClasses = []struct{ class, word string }{
	{"failing", "error"}, {"stopping", "shutdown"}, {"saving", "saving"}, {"syncing", "sync"}, {"loading", "load"}, {"ready", "ready"},
}

// statusClass names the class of Redis's words; "none" when it says nothing.
func statusClass(text string) string {
	text = strings.ToLower(text)
	switch {
	case text == "":
		return "none"
	case strings.Contains(text, "ready to accept"): // also at the end of a report on a finished synchronisation
		return "ready"
	}
	for _, c := range statusClasses {
		if strings.Contains(text, c.word) {
			return c.class
		}
	}
	return other
}

var statusNames = []string{"ready", "loading", "syncing", "saving", "stopping", "failing", "none", other}

var (
	famUnitState     = familyOf(metric.UnitState)
	famUnitInfo      = familyOf(metric.UnitInfo)
	famLoadState     = familyOf(metric.UnitLoadState)
	famSubState      = familyOf(metric.UnitSubState)
	famUnitStart     = familyOf(metric.UnitStartTime)
	famTasks         = familyOf(metric.UnitTasksCurrent)
	famTasksMax      = familyOf(metric.UnitTasksMax)
	famUnitCPU       = familyOf(metric.UnitCPU)
	famUnitMemory    = familyOf(metric.UnitMemory)
	famActiveEnter   = familyOf(metric.UnitActiveEnter)
	famInactiveEnter = familyOf(metric.UnitInactiveEnter)
	famJob           = familyOf(metric.UnitJobPending)
	famUnitRead      = familyOf(metric.UnitReadSuccess)
	famUnitReadTime  = familyOf(metric.UnitReadDuration)
	famRestarts      = familyOf(metric.ServiceRestartTotal)
	famResult        = familyOf(metric.ServiceResult)
	famExitCode      = familyOf(metric.ServiceMainExitCode)
	famExitStatus    = familyOf(metric.ServiceMainExitStatus)
	famStartLimit    = familyOf(metric.ServiceStartLimitHit)
	famStartBurst    = familyOf(metric.ServiceStartLimitBurst)
	famStartInterval = familyOf(metric.ServiceStartLimitSeconds)
	famStatusClass   = familyOf(metric.ServiceStatus)
	famActiveExit    = familyOf(metric.UnitActiveExit)
	famInactiveExit  = familyOf(metric.UnitInactiveExit)
	famWatchdog      = familyOf(metric.ServiceWatchdog)
	famWatchdogPing  = familyOf(metric.ServiceWatchdogPing)
	famIPInBytes     = familyOf(metric.ServiceIPInBytes)
	famIPInPackets   = familyOf(metric.ServiceIPInPackets)
	famIPOutBytes    = familyOf(metric.ServiceIPOutBytes)
	famIPOutPackets  = familyOf(metric.ServiceIPOutPackets)

	famVersion         = familyOf(metric.SystemdVersion)
	famBootTime        = familyOf(metric.SystemdBootTime)
	famBootMonotonic   = familyOf(metric.SystemdBootMonotonic)
	famHardwareDog     = familyOf(metric.SystemdWatchdogEnabled)
	famHardwareRuntime = familyOf(metric.SystemdWatchdogRuntime)
	famHardwarePing    = familyOf(metric.SystemdWatchdogPing)
	famHardwareUptime  = familyOf(metric.SystemdWatchdogMonotonic)
)

// publishUnit adds what systemd last said. While it cannot be asked there is no state at all: unknown is not inactive, and "runs" from
// before Redis went silent is not known any more.
func publishUnit(p *page, s health.Samples, t health.Thresholds) {
	if s.Off.Systemd || s.Unit.At.IsZero() {
		return
	}
	p.flag(famUnitRead, s.Unit.Class == health.ClassNone && s.UnitFailures == 0)
	p.gauge(famUnitReadTime, s.Unit.Took.Seconds())
	if !s.Unit.OK() || (s.Unit.Unit.Running() && s.PingFailures >= max(1, t.PingFailures) && !s.UnitHeard()) {
		return
	}
	u := s.Unit.Unit
	kind := unitType(u.Name)
	for _, state := range activeStates {
		p.flag(famUnitState, state == u.ActiveState, u.Name, kind, state)
	}
	stateSet(p, famLoadState, loadStates, u.LoadState, u.Name, kind)
	stateSet(p, famSubState, subStates, u.SubState, u.Name, kind)
	stateSet(p, famResult, results, u.Result, u.Name)
	stateSet(p, famStatusClass, statusNames, statusClass(u.StatusText), u.Name)
	p.gauge(famUnitInfo, 1, u.Name, kind, "", u.Type)
	start := 0.0
	if u.ActiveState == "active" && !u.ActiveEnter.IsZero() {
		start = unixSeconds(u.ActiveEnter)
	}
	p.gauge(famUnitStart, start, u.Name, kind)
	moment(p, famActiveEnter, u.ActiveEnter, u.Name, kind)
	moment(p, famInactiveEnter, u.InactiveEnter, u.Name, kind)
	moment(p, famActiveExit, u.ActiveExit, u.Name, kind)
	moment(p, famInactiveExit, u.InactiveExit, u.Name, kind)
	p.flag(famJob, u.JobID != 0, u.Name, kind)
	p.counter(famRestarts, float64(u.NRestarts), u.Name)
	p.gauge(famExitCode, float64(u.ExecMainCode), u.Name)
	p.gauge(famExitStatus, float64(u.ExecMainStatus), u.Name)
	p.flag(famStartLimit, u.StartLimited(), u.Name)
	if u.Watchdog > 0 {
		p.gauge(famWatchdog, u.Watchdog.Seconds(), u.Name)
		moment(p, famWatchdogPing, u.WatchdogPing, u.Name)
	}
	publishResources(p, u, kind)
	if s.Unit.Manager != nil {
		publishManager(p, *s.Unit.Manager)
	}
}

// moment adds a time; one that never was has no sample.
func moment(p *page, f family, t time.Time, labels ...string) {
	if !t.IsZero() {
		p.gauge(f, unixSeconds(t), labels...)
	}
}

// publishManager adds what systemd on the service's host says of itself.
func publishManager(p *page, m health.Manager) {
	digits := strings.IndexFunc(m.Version, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(m.Version)
	}
	if n, err := strconv.Atoi(m.Version[:digits]); err == nil {
		p.gauge(famVersion, float64(n), m.Version)
	}
	for _, b := range m.Boot {
		p.gauge(famBootTime, unixSeconds(b.At), b.Name)
		p.gauge(famBootMonotonic, b.Monotonic.Seconds(), b.Name)
	}
	p.flag(famHardwareDog, m.WatchdogDevice != "")
	if m.WatchdogDevice == "" {
		return
	}
	p.gauge(famHardwareRuntime, m.WatchdogRuntime.Seconds(), m.WatchdogDevice)
	if !m.WatchdogPing.IsZero() {
		moment(p, famHardwarePing, m.WatchdogPing, m.WatchdogDevice)
		p.gauge(famHardwareUptime, m.WatchdogUptime.Seconds(), m.WatchdogDevice)
	}
}

// publishResources adds what systemd says only where it accounts for it.
func publishResources(p *page, u health.Unit, kind string) {
	if u.StartLimitBurst > 0 {
		p.gauge(famStartBurst, float64(u.StartLimitBurst), u.Name)
		p.gauge(famStartInterval, u.StartLimitInterval.Seconds(), u.Name)
	}
	if u.MemoryBytes != nil {
		p.gauge(famUnitMemory, float64(*u.MemoryBytes), u.Name, kind)
	}
	if u.CPUTime > 0 {
		p.counter(famUnitCPU, u.CPUTime.Seconds(), u.Name, kind, "total")
	}
	if u.IP != nil {
		p.counter(famIPInBytes, float64(u.IP.InBytes), u.Name)
		p.counter(famIPInPackets, float64(u.IP.InPackets), u.Name)
		p.counter(famIPOutBytes, float64(u.IP.OutBytes), u.Name)
		p.counter(famIPOutPackets, float64(u.IP.OutPackets), u.Name)
	}
	if u.Tasks != nil {
		p.gauge(famTasks, float64(*u.Tasks), u.Name)
	}
	if u.TasksMax != nil {
		p.gauge(famTasksMax, float64(*u.TasksMax), u.Name, kind)
	}
}

// stateSet adds a 0 or 1 for every value of a closed list; lead are the labels before the value's.
func stateSet(p *page, f family, list []string, value string, lead ...string) {
	if !slices.Contains(list, value) {
		value = other
	}
	labels := append(slices.Clone(lead), "")
	for _, v := range list {
		labels[len(labels)-1] = v
		p.flag(f, v == value, labels...)
	}
}
