// Package health owns the words in which redis-medic speaks of a Redis service: what was seen (samples), what counts as too
// much (thresholds) and what that means (a verdict with reasons). It is pure: values in, values out, no clock, no network, no
// logger. It refuses to decide what should be done; that belongs to the remediator.
package health

import "time"

// Status is the overall verdict on a service.
type Status string

// The closed list of verdicts (architecture document, section 7.1).
const (
	Healthy  Status = "healthy"
	Degraded Status = "degraded"
	Critical Status = "critical"
	Unknown  Status = "unknown"
)

// Statuses lists every Status, for state-set metrics and schemas.
func Statuses() []Status { return []Status{Healthy, Degraded, Critical, Unknown} }

// Reply is the class of the answer to one PING.
type Reply string

// The closed list of reply classes. Those for which Alive is true were sent by a Redis process; restarting it for them would
// be wrong. NoReplyYet means that no PING was sent so far.
const (
	ReplyPong        Reply = "pong"
	ReplyLoading     Reply = "loading"
	ReplyBusy        Reply = "busy"
	ReplyMisconf     Reply = "misconf"
	ReplyMasterDown  Reply = "masterdown"
	ReplyNoAuth      Reply = "noauth"
	ReplyNoPerm      Reply = "noperm"
	ReplyMaxClients  Reply = "maxclients"
	ReplyProtocol    Reply = "protocol"
	ReplyTimeout     Reply = "timeout"
	ReplyRefused     Reply = "refused"
	ReplyUnreachable Reply = "unreachable"
	ReplyDNS         Reply = "dns"
	ReplyTLS         Reply = "tls"
	NoReplyYet       Reply = "unknown"
)

// Replies lists every Reply, for state-set metrics.
func Replies() []Reply {
	return []Reply{
		ReplyPong, ReplyLoading, ReplyBusy, ReplyMisconf, ReplyMasterDown, ReplyNoAuth, ReplyNoPerm, ReplyMaxClients,
		ReplyProtocol, ReplyTimeout, ReplyRefused, ReplyUnreachable, ReplyDNS, ReplyTLS, NoReplyYet,
	}
}

// Alive reports whether a Redis process answered. An error reply is an answer.
func (r Reply) Alive() bool {
	switch r {
	case ReplyPong, ReplyLoading, ReplyBusy, ReplyMisconf, ReplyMasterDown, ReplyNoAuth, ReplyNoPerm, ReplyMaxClients, ReplyProtocol:
		return true
	default:
		return false
	}
}

// NoConnectivity reports whether the reply is evidence that clients get no answer: nobody listens, or nobody answers in time.
// DNS, TLS and routing faults are ours or the network's: they are Unknown, not down.
func (r Reply) NoConnectivity() bool { return r == ReplyTimeout || r == ReplyRefused }

// Ping is the outcome of one PING.
type Ping struct {
	At      time.Time     // when the PING was sent; the zero time means none was sent yet
	Reply   Reply         // never empty
	Latency time.Duration // from sending to the answer, or to giving up
	// Connected tells whether TCP (and TLS) came up. A frozen Redis still connects: the kernel accepts for it. Without a
	// connection a timeout may be a firewall's doing and says nothing certain about the process.
	Connected bool
	Detail    string // the error reply or the network error, capped at 200 bytes; empty for pong
}

// Unit is what systemd says of a unit at one moment. The zero value of a field means that systemd did not say.
// Field names follow org.freedesktop.systemd1 (systemd 252).
type Unit struct {
	At   time.Time // when it was read
	Name string    // "redis-server.service"
	Type string    // service type: "notify", "simple"

	LoadState     string // loaded, not-found, masked, bad-setting, error
	UnitFileState string // enabled, disabled, masked, static
	ActiveState   string // active, reloading, inactive, failed, activating, deactivating
	SubState      string // running, auto-restart, stop-sigterm, dead, ...
	Result        string // success, exit-code, signal, core-dump, oom-kill, start-limit-hit, timeout, ...
	StatusText    string // Redis's own sd_notify words

	MainPID        int
	ExecMainCode   int // SIGCHLD code: 1 exited, 2 killed, 3 dumped
	ExecMainStatus int // exit status, or the signal's number
	NRestarts      uint32
	JobID          uint32 // 0: no job is queued
	CanReload      bool
	InvocationID   string

	Restart            string // the Restart= policy
	RestartDelay       time.Duration
	TimeoutStart       time.Duration // 0: not said; Infinite for none
	TimeoutStop        time.Duration
	StartLimitBurst    int
	StartLimitInterval time.Duration

	ActiveEnter   time.Time // when it last became active; zero if never
	StateChange   time.Time // when it last changed state
	InactiveEnter time.Time
	ActiveExit    time.Time
	InactiveExit  time.Time

	Watchdog     time.Duration // how often the service must tell that it lives; 0: it need not
	WatchdogPing time.Time     // when it last did; zero if never

	MemoryBytes *uint64       // nil: accounting is off
	CPUTime     time.Duration // 0: accounting is off
	Tasks       *uint64
	TasksMax    *uint64
	IP          *IPTraffic // nil: accounting is off
}

// IPTraffic is what the control group of a unit sent and received since it started.
type IPTraffic struct{ InBytes, InPackets, OutBytes, OutPackets uint64 }

// Manager is what systemd says of itself and of the boot of its host (org.freedesktop.systemd1.Manager).
type Manager struct {
	Version string      // "252.39-1~deb12u1"
	Boot    []BootStage // those that the host went through

	WatchdogDevice  string // of the hardware watchdog; empty: none is used
	WatchdogRuntime time.Duration
	WatchdogPing    time.Time
	WatchdogUptime  time.Duration // when that was on the host's monotonic clock
}

// BootStage is one moment of a boot, by systemd's name for it: "Kernel", "Userspace", "Finish", ...
type BootStage struct {
	Name      string
	At        time.Time
	Monotonic time.Duration
}

// Infinite stands for systemd's "infinity" in the durations of a Unit.
const Infinite = time.Duration(1<<63 - 1)

// Running reports whether the unit is active with a live main process.
func (u Unit) Running() bool {
	return u.ActiveState == "active" && u.SubState == "running" && u.MainPID > 0
}

// Transient reports whether systemd is still working on the unit: acting now would race with it.
func (u Unit) Transient() bool {
	switch u.ActiveState {
	case "activating", "deactivating", "reloading":
		return true
	}
	return u.SubState == "auto-restart" || u.JobID != 0
}

// Down reports whether systemd says, positively, that the unit does not run and is not on its way.
func (u Unit) Down() bool {
	return (u.ActiveState == "inactive" || u.ActiveState == "failed") && !u.Transient()
}

// StartLimited reports whether the unit failed because it was started too often. Result alone does not tell: after a burst of
// crashes it stays "exit-code" (systemd issue 32203), so the restart count is compared with the burst too. systemd counts the
// first start as well, so a unit that gave up after its burst shows NRestarts = burst-1 or more.
func (u Unit) StartLimited() bool {
	if u.ActiveState != "failed" {
		return false
	}
	return u.Result == "start-limit-hit" || (u.StartLimitBurst > 1 && int(u.NRestarts) >= u.StartLimitBurst-1)
}

// ErrorClass says why a probe over the host could not be made. Unknown is not down: none of them says anything about Redis.
type ErrorClass string

// The closed list of host error classes (DESIGN section 8).
const (
	ClassNone        ErrorClass = ""
	ClassUnreachable ErrorClass = "unreachable"
	ClassAuth        ErrorClass = "auth"
	ClassHostKey     ErrorClass = "host-key"
	ClassDenied      ErrorClass = "denied"
	ClassTimeout     ErrorClass = "timeout"
	ClassCommand     ErrorClass = "command"
)

// ErrorClasses lists every class but ClassNone, for state-set metrics.
func ErrorClasses() []ErrorClass {
	return []ErrorClass{ClassUnreachable, ClassAuth, ClassHostKey, ClassDenied, ClassTimeout, ClassCommand}
}

// UnitRead is one attempt to read a unit.
type UnitRead struct {
	At    time.Time
	Took  time.Duration
	Unit  Unit       // valid only when Class is ClassNone
	Class ErrorClass // why it could not be read
	Err   string     // its words, safe to show; empty when read

	Manager *Manager // nil: not known, as where systemd cannot be asked over D-Bus
}

// OK reports whether the unit was read.
func (r UnitRead) OK() bool { return !r.At.IsZero() && r.Class == ClassNone }

// Info is the part of INFO that verdicts and safety rules use. HaveInfo is false in samples where INFO could not be read.
type Info struct {
	At   time.Time
	Took time.Duration

	Version     string
	RunID       string
	ProcessID   int
	Uptime      time.Duration
	Role        string // master, slave
	Mode        string // standalone, sentinel, cluster
	Replicas    int    // connected_slaves
	MasterLink  string // up, down; empty on a master
	MasterSync  bool   // master_sync_in_progress
	Failover    string // master_failover_state
	ReplOffset  int64
	ClusterOn   bool
	Clients     int
	MaxClients  int
	Commands    int64 // total_commands_processed
	ErrorCount  int64 // total_error_replies
	Rejected    int64 // rejected_connections
	Blocked     int   // blocked_clients
	UsedMemory  int64
	MaxMemory   int64         // 0: no limit
	HostMemory  int64         // total_system_memory
	CPU         time.Duration // used_cpu_sys + used_cpu_user since the process started
	Loading     bool
	LoadPercent float64
	LoadETA     time.Duration

	UnsavedChanges int64 // rdb_changes_since_last_save
	BgsaveRunning  bool
	BgsaveOK       bool
	AOFOn          bool
	AOFRewriting   bool
	AOFWriteOK     bool
	LastSave       time.Time
	RDBConfigured  *bool // CONFIG GET save is not empty; nil: not known (CONFIG refused)
}

// Persistent reports whether a restart brings the data set back: RDB snapshots are configured or the AOF is on. known is false
// when neither is certain.
func (i Info) Persistent() (persistent, known bool) {
	if i.AOFOn {
		return true, true
	}
	if i.RDBConfigured == nil {
		return false, false
	}
	return *i.RDBConfigured, true
}

// Observation is one look at a service: the PING, the unit and INFO of the same moment. The remediator asks for one before and
// after every act.
type Observation struct {
	At   time.Time
	Ping Ping
	Unit UnitRead
	Info *Info // nil: not read
}

// Serving reports whether the service answers PONG and systemd, as far as it could be asked, agrees that it runs.
func (o Observation) Serving() bool {
	return o.Ping.Reply == ReplyPong && (!o.Unit.OK() || o.Unit.Unit.Running())
}
