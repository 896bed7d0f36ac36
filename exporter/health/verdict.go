package health

import "time"

// Code names a reason. Codes are stable: metrics, the API, the runbook and the panel refer to them.
type Code string

// The closed list of reason codes, worst causes first. A consequence is hidden when its cause is known (see Evaluate).
const (
	CodeHostUnreachable   Code = "host_unreachable"   // SSH cannot reach the host
	CodeHostAuth          Code = "host_auth"          // SSH refuses our key
	CodeHostKey           Code = "host_key_changed"   // the host shows another key than known_hosts
	CodeHostDenied        Code = "host_denied"        // the command was refused on the host
	CodeUnitUnknown       Code = "unit_unknown"       // systemd could not be asked
	CodeUnitMasked        Code = "unit_masked"        // administratively disabled
	CodeUnitMissing       Code = "unit_missing"       // LoadState is not-found or bad-setting
	CodeUnitFailed        Code = "unit_failed"        // ActiveState is failed
	CodeUnitStartLimited  Code = "unit_start_limited" // failed, and systemd refuses further starts
	CodeUnitInactive      Code = "unit_inactive"      // stopped
	CodeUnitTransient     Code = "unit_transient"     // activating, deactivating, auto-restart
	CodeHung              Code = "hung"               // the unit runs, but nothing answers
	CodeNoConnectivity    Code = "no_connectivity"    // refused or timed out, and systemd's word is not known
	CodeNotReachable      Code = "redis_unreachable"  // DNS, TLS or route: says nothing about Redis
	CodeLoading           Code = "loading"
	CodeBusy              Code = "busy"
	CodeMisconf           Code = "misconf"
	CodeMasterDown        Code = "master_down"
	CodeNoAuth            Code = "noauth"
	CodeNoPerm            Code = "noperm"
	CodeMaxClients        Code = "maxclients"
	CodeProtocol          Code = "protocol"
	CodeSlow              Code = "slow" // PING over 100 ms, consistently
	CodeMemoryWarning     Code = "memory_warning"
	CodeMemoryCritical    Code = "memory_critical"
	CodeMemoryLimit       Code = "memory_near_limit" // over 90 % of maxmemory
	CodeCPUWarning        Code = "cpu_warning"
	CodeCPUCritical       Code = "cpu_critical"
	CodeClientsWarning    Code = "connections_warning"
	CodeClientsCritical   Code = "connections_critical"
	CodeClientsLimit      Code = "connections_near_limit" // over 90 % of maxclients
	CodePersistence       Code = "persistence"            // the last BGSAVE or AOF write failed
	CodeReplicationBroken Code = "replication_broken"     // a replica without its master
	CodeNotMeasured       Code = "not_measured"           // nothing is known yet, or it is too old
)

// Reason is one thing that is not as it should be: a value, not a log line.
type Reason struct {
	Code     Code              `json:"code"`
	Status   Status            `json:"status"`            // what this reason alone makes of the service
	Text     string            `json:"text"`              // one sentence for a person
	Advice   string            `json:"advice"`            // the recommendation; empty when there is none
	Further  []string          `json:"further,omitempty"` // more recommendations, in order; usually none
	Evidence map[string]string `json:"evidence"`          // what was seen: state, value, threshold
	Hidden   bool              `json:"hidden"`            // a consequence of a reason further up: kept as evidence, not shown
}

// CheckStatus is the outcome of one layer, in the document's words.
type CheckStatus string

// The closed list of layer outcomes (document section 4.1, GET health).
const (
	CheckPass    CheckStatus = "pass"
	CheckWarning CheckStatus = "warning"
	CheckFail    CheckStatus = "fail"
	CheckUnknown CheckStatus = "unknown"
)

// CheckName names a layer.
type CheckName string

// The layers of document section 7.1.
const (
	CheckConnectivity CheckName = "connectivity"
	CheckSystemd      CheckName = "systemd"
	CheckPerformance  CheckName = "performance"
	CheckPool         CheckName = "connection_pool"
)

// CheckNames lists every layer.
func CheckNames() []CheckName {
	return []CheckName{CheckConnectivity, CheckSystemd, CheckPerformance, CheckPool}
}

// Check is the last result of one layer.
type Check struct {
	Name     CheckName
	Status   CheckStatus
	At       time.Time
	Took     time.Duration
	Message  string
	Error    string // the failure's own words; empty on success
	Details  string // for systemd: the exit code and result
	Failures int    // consecutive failures
}

// Verdict is what the samples mean at one moment.
type Verdict struct {
	At      time.Time
	Status  Status
	Reasons []Reason // worst first; empty when healthy
	Checks  []Check  // in the order of CheckNames
}

// Recommendations lists the advice of the reasons that are not hidden, without repeats, in order.
func (v Verdict) Recommendations() []string {
	out := []string{}
	seen := map[string]bool{}
	for _, r := range v.Reasons {
		if r.Hidden {
			continue
		}
		for _, a := range append([]string{r.Advice}, r.Further...) {
			if a == "" || seen[a] {
				continue
			}
			seen[a] = true
			out = append(out, a)
		}
	}
	return out
}

// Has reports whether a reason with this code is part of the verdict, hidden or not.
func (v Verdict) Has(c Code) bool {
	for _, r := range v.Reasons {
		if r.Code == c {
			return true
		}
	}
	return false
}

// Thresholds says how much is too much. A zero value switches that threshold off.
type Thresholds struct {
	PingFailures        int           // consecutive PINGs without an answer (document: 3)
	UnitFailures        int           // consecutive failed reads of the unit (document: 2)
	SlowPing            time.Duration // document section 7.2: 100 ms
	SlowPingCount       int           // how many in a row are "consistently"
	MemoryWarning       int64         // bytes of used_memory
	MemoryCritical      int64
	MemoryLimitRatio    float64 // share of maxmemory, only where maxmemory > 0
	CPUWarning          float64 // percent of one core, between two samples
	CPUCritical         float64
	ConnectionsWarning  int
	ConnectionsCritical int
	ConnectionsRatio    float64       // share of maxclients
	StaleAfter          time.Duration // a PING older than this says nothing
	UnitStaleAfter      time.Duration // the same for the unit; 0: StaleAfter
	InfoStaleAfter      time.Duration // the same for INFO; 0: StaleAfter
}

// Samples is everything Evaluate looks at.
type Samples struct {
	Ping         Ping
	PingFailures int       // consecutive PINGs for which NoConnectivity holds
	SilentSince  time.Time // when the first of these PINGs was sent; zero: the last one was answered
	SlowPings    int       // consecutive PONGs over Thresholds.SlowPing
	Unit         UnitRead
	UnitSince    time.Time // when the unit was first seen in its present state, by our clock; zero: Unit.At
	UnitFailures int       // consecutive reads that failed
	Info         *Info     // nil: never read since the service last went down
	InfoErr      string
	Previous     *Info // the sample before Info, for rates; nil: none
	Pool         *Pool // nil: not checked
	Off          Off   // the layers that are switched off: nothing is said of them
}

// UnitHeard reports whether systemd has said how the unit is since Redis went silent: what it said before may be about a host
// that is gone.
func (s Samples) UnitHeard() bool { return s.Unit.OK() && !s.Unit.At.Before(s.SilentSince) }

// Off says which layers are switched off in the configuration.
type Off struct{ Connectivity, Systemd, Performance, Pool bool }

// Pool is the state of our own kept connections to one Redis (document section 7.1, layer 4).
type Pool struct {
	At       time.Time
	Took     time.Duration
	Total    int
	Idle     int
	Stale    int
	Timeouts int // waits for a connection that ran into the deadline since the last check
	OK       bool
	Err      string
}

// View is what the prober knows of one service: it is published as metrics, shown by the API and consulted by the remediator.
type View struct {
	Service       string
	Samples       Samples
	Verdict       Verdict
	LastPong      time.Time // document: last_successful_command
	ErrorsHour    int       // failed checks of the last hour
	CPUPercent    *float64  // nil: fewer than two samples
	LastKnownInfo *Info     // the newest INFO ever read, kept while Redis is dead
}
