package health

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Advice, in the document's words where it has them.
const (
	adviceLogs       = "Check service logs for errors"
	adviceResources  = "Verify system resources"
	adviceManual     = "Consider manual intervention"
	adviceMemory     = "Consider increasing memory limit"
	adviceClients    = "Monitor connection usage"
	adviceSlow       = "Review slow queries"
	adviceStart      = "Start the service"
	adviceUnmask     = "Unmask the unit on the host"
	adviceUnitName   = "Check the unit's name in the configuration"
	adviceHost       = "Check the host, its network and its SSH server"
	adviceHostLogin  = "Run redis-medic doctor to see what the host refuses"
	adviceHostKey    = "Compare the host key with the host's console before trusting it"
	adviceWait       = "Wait until systemd has finished"
	adviceWaitLoad   = "Wait until the data set is loaded"
	adviceCredential = "Check the Redis credentials of redis-medic"
	adviceRoute      = "Check name resolution, TLS settings and the route to Redis"
	adviceDisk       = "Verify disk space and permissions of the data directory"
	adviceReplica    = "Check the connection from the replica to its master"
	adviceAddress    = "Check that the configured address is a Redis"
)

// Evaluate says what the samples mean at now. It is pure.
//
// Only systemd's word makes a service down. A PING without an answer makes it critical only beside a unit that runs ("hung")
// or is positively down; when systemd cannot be asked the verdict is unknown. Where the systemd layer is switched off by
// configuration the PING is the only witness left, and its threshold decides alone. An error reply means that Redis is up. Before
// the threshold is reached a missing answer shows in its check, not in the status. An unreachable host never lowers a service
// that answers below degraded.
func Evaluate(s Samples, t Thresholds, now time.Time) Verdict {
	e := &evaluation{s: s, t: t, now: now}
	e.gather()
	systemd := e.systemd()
	connectivity := e.connectivity()
	performance := e.performance()
	pool := e.pool()
	if s.Off.Connectivity && s.Off.Systemd {
		e.add(CodeNotMeasured, Unknown, "The checks of this service are switched off.", "", nil)
	}

	v := Verdict{At: now, Status: Healthy, Reasons: e.reasons}
	for _, c := range []struct {
		off   bool
		check Check
	}{
		{s.Off.Connectivity, connectivity}, {s.Off.Systemd, systemd}, {s.Off.Performance, performance}, {s.Off.Pool, pool},
	} {
		if !c.off {
			v.Checks = append(v.Checks, c.check)
		}
	}
	v.settle()
	return v
}

// settle hides consequences, sorts the reasons and derives the status. A cause hides only what is not worse than itself.
func (v *Verdict) settle() {
	for i, r := range v.Reasons {
		v.Reasons[i].Hidden = slices.ContainsFunc(v.Reasons, func(cause Reason) bool {
			return slices.Contains(hiddenBy[r.Code], cause.Code) && severity[cause.Status] >= severity[r.Status]
		})
	}
	slices.SortStableFunc(v.Reasons, func(a, b Reason) int {
		if a.Hidden != b.Hidden {
			if a.Hidden {
				return 1
			}
			return -1
		}
		if d := severity[b.Status] - severity[a.Status]; d != 0 {
			return d
		}
		return rank[a.Code] - rank[b.Code]
	})
	for _, r := range v.Reasons {
		if !r.Hidden && severity[r.Status] > severity[v.Status] {
			v.Status = r.Status
		}
	}
}

// evaluation is the state of one call of Evaluate.
type evaluation struct {
	s       Samples
	t       Thresholds
	now     time.Time
	reasons []Reason

	pinged    bool // there is a PING that is not too old
	alive     bool // it was answered, if only by an error
	silent    bool // as many PINGs as the threshold asks for went unanswered
	unitKnown bool // there is a unit read that is not too old
	outside   bool // Redis answered after systemd said that the unit does not run
	down      bool // systemd says, positively, that nothing runs, and nothing answers
}

func (e *evaluation) gather() {
	p, u := e.s.Ping, e.s.Unit
	e.pinged = !e.s.Off.Connectivity && !p.At.IsZero() && !e.stale(p.At, e.t.StaleAfter)
	e.alive = e.pinged && p.Reply.Alive()
	e.silent = e.pinged && p.Reply.NoConnectivity() && e.s.PingFailures >= max(1, e.t.PingFailures)
	e.unitKnown = !e.s.Off.Systemd && u.OK() && !e.stale(u.At, orElse(e.t.UnitStaleAfter, e.t.StaleAfter))
	if !e.unitKnown {
		return
	}
	since := e.s.UnitSince
	if since.IsZero() {
		since = u.At
	}
	e.outside = e.alive && p.At.After(since)
	e.down = u.Unit.Down() && !e.outside
}

func orElse(a, b time.Duration) time.Duration {
	if a != 0 {
		return a
	}
	return b
}

func (e *evaluation) stale(at time.Time, after time.Duration) bool {
	return after > 0 && e.now.Sub(at) > after
}

// unlessAlive is degraded for a service that answers, else the given status.
func (e *evaluation) unlessAlive(s Status) Status {
	if e.alive {
		return Degraded
	}
	return s
}

func (e *evaluation) add(c Code, s Status, text, advice string, evidence map[string]string, further ...string) {
	if evidence == nil {
		evidence = map[string]string{}
	}
	e.reasons = append(e.reasons, Reason{Code: c, Status: s, Text: text, Advice: advice, Further: further, Evidence: evidence})
}

// pingOutcome says what each class of reply means: the check's outcome and words, and the reason.
type pingOutcome struct {
	check   CheckStatus
	message string
	code    Code
	text    string
	advice  string
}

var pingOutcomes = map[Reply]pingOutcome{
	ReplyTimeout:     {CheckFail, "Connection timeout", CodeNoConnectivity, "Redis does not answer within the timeout", adviceLogs},
	ReplyRefused:     {CheckFail, "Connection refused", CodeNoConnectivity, "Nothing listens on the address of Redis", adviceLogs},
	ReplyUnreachable: {CheckUnknown, "Redis cannot be reached", CodeNotReachable, "The connection to Redis breaks on the way.", adviceRoute},
	ReplyDNS:         {CheckUnknown, "The host name cannot be resolved", CodeNotReachable, "The name of the Redis host cannot be resolved.", adviceRoute},
	ReplyTLS:         {CheckUnknown, "TLS handshake failed", CodeNotReachable, "No TLS connection to Redis comes up.", adviceRoute},
	ReplyLoading:     {CheckWarning, "Redis is loading its data set", CodeLoading, "Redis is loading its data set.", adviceWaitLoad},
	ReplyBusy:        {CheckWarning, "Redis is busy running a script", CodeBusy, "A script or function keeps Redis from answering.", adviceSlow},
	ReplyMisconf:     {CheckWarning, "Redis refuses writes: it cannot persist", CodeMisconf, "Redis refuses writes because it cannot save to disk.", adviceDisk},
	ReplyMasterDown:  {CheckWarning, "The replica has lost its master", CodeMasterDown, "The replica has lost its master and serves no stale data.", adviceReplica},
	ReplyNoAuth:      {CheckWarning, "Redis refuses our credentials", CodeNoAuth, "Redis is up, but refuses the credentials of redis-medic.", adviceCredential},
	ReplyNoPerm:      {CheckWarning, "Redis denies us access", CodeNoPerm, "Redis is up, but denies redis-medic access.", adviceCredential},
	ReplyMaxClients:  {CheckWarning, "Redis refuses new clients", CodeMaxClients, "Redis has reached maxclients and refuses new connections.", adviceClients},
	ReplyProtocol:    {CheckWarning, "Unexpected answer to PING", CodeProtocol, "Something answers, but not as Redis does.", adviceAddress},
}

func (e *evaluation) connectivity() Check {
	p := e.s.Ping
	c := Check{Name: CheckConnectivity, Status: CheckUnknown, At: p.At, Took: p.Latency, Failures: e.s.PingFailures, Error: p.Detail}
	switch {
	case e.s.Off.Connectivity:
		return c
	case p.At.IsZero():
		c.Message = "Not checked yet"
		e.add(CodeNotMeasured, Unknown, "No PING was sent yet.", "", nil)
		return c
	case !e.pinged:
		c.Message = "The last PING is too old"
		e.add(CodeNotMeasured, Unknown, "The last PING is "+e.now.Sub(p.At).Round(time.Second).String()+" old.", "", nil)
		return c
	case p.Reply == ReplyPong:
		c.Status, c.Message = CheckPass, "PING successful"
		e.slow(&c)
		return c
	}
	o, ok := pingOutcomes[p.Reply]
	if !ok {
		c.Message = "Not checked yet"
		e.add(CodeNotMeasured, Unknown, "No PING was answered or refused yet.", "", nil)
		return c
	}
	c.Status, c.Message = o.check, o.message
	evidence := map[string]string{"reply": string(p.Reply), "detail": p.Detail}
	switch {
	case p.Reply.Alive():
		e.add(o.code, Degraded, o.text, o.advice, evidence)
	case p.Reply.NoConnectivity():
		e.unanswered(&c, o, evidence)
	default:
		e.add(o.code, Unknown, o.text, o.advice, evidence)
	}
	return c
}

// slow looks at the time a PONG took. A single slow one changes the words only; "consistently" makes it a reason.
func (e *evaluation) slow(c *Check) {
	p := e.s.Ping
	if e.t.SlowPing <= 0 || p.Latency <= e.t.SlowPing {
		return
	}
	c.Message = "PING successful but slow"
	if e.s.SlowPings >= max(1, e.t.SlowPingCount) {
		e.add(CodeSlow, Degraded, fmt.Sprintf("Redis takes %s to answer a PING.", p.Latency.Round(time.Millisecond)), adviceSlow,
			map[string]string{
				"latency_ms": strconv.FormatInt(p.Latency.Milliseconds(), 10), "threshold_ms": strconv.FormatInt(e.t.SlowPing.Milliseconds(), 10),
			})
	}
}

// unanswered adds the reason of a PING that nobody answered, once the threshold is reached.
func (e *evaluation) unanswered(c *Check, o pingOutcome, evidence map[string]string) {
	if !e.silent {
		c.Status = CheckWarning
		return
	}
	evidence["failures"] = strconv.Itoa(e.s.PingFailures)
	evidence["connected"] = strconv.FormatBool(e.s.Ping.Connected)
	switch {
	case e.s.Off.Systemd:
		e.add(CodeNoConnectivity, Critical, o.text+".", adviceLogs, evidence, adviceResources, adviceManual)
	case e.unitKnown && e.s.Unit.Unit.Running() && e.s.UnitHeard():
		e.add(CodeHung, Critical, "The unit runs, but "+lowerFirst(o.text)+".", adviceLogs, evidence, adviceResources, adviceManual)
	case e.unitKnown && !e.s.Unit.Unit.Running():
		e.add(CodeNoConnectivity, Critical, o.text+".", adviceLogs, evidence)
	default:
		e.add(CodeNoConnectivity, Unknown, o.text+", and systemd's word is not known.", adviceLogs, evidence)
	}
}

func lowerFirst(s string) string {
	if s[0] == 'N' { // "Nothing", not "Redis"
		return "n" + s[1:]
	}
	return s
}

func (e *evaluation) pool() Check {
	c := Check{Name: CheckPool, Status: CheckUnknown, Message: "Not checked yet"}
	p := e.s.Pool
	switch {
	case p == nil:
	case e.down || e.silent:
		c.At, c.Took, c.Message = p.At, p.Took, "Cannot check connections - service not running"
	case p.OK:
		c.At, c.Took, c.Status, c.Message = p.At, p.Took, CheckPass, "Connection pool healthy"
	default:
		c.At, c.Took, c.Status, c.Message, c.Error = p.At, p.Took, CheckWarning, "Connection pool is not healthy", p.Err
	}
	return c
}
