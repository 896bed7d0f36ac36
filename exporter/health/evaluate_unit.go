package health

import (
	"fmt"
	"strconv"
)

// hostReasons says what a failed read of the unit means: nothing about Redis, but control over it is lost.
var hostReasons = map[ErrorClass]struct {
	code    Code
	message string
	text    string
	advice  string
}{
	ClassUnreachable: {CodeHostUnreachable, "host unreachable", "The Redis host cannot be reached over SSH.", adviceHost},
	ClassAuth:        {CodeHostAuth, "SSH login refused", "The Redis host refuses our SSH key.", adviceHostLogin},
	ClassHostKey:     {CodeHostKey, "host key changed", "The host shows another key than known_hosts.", adviceHostKey},
	ClassDenied:      {CodeHostDenied, "command refused", "The host refuses the command that reads the unit.", adviceHostLogin},
	ClassTimeout:     {CodeUnitUnknown, "systemd does not answer", "systemd does not answer in time.", adviceHost},
	ClassCommand:     {CodeUnitUnknown, "reading the unit failed", "The unit's state could not be read.", adviceHostLogin},
}

func (e *evaluation) systemd() Check {
	r := e.s.Unit
	c := Check{Name: CheckSystemd, Status: CheckUnknown, At: r.At, Took: r.Took, Failures: e.s.UnitFailures, Error: r.Err}
	switch {
	case e.s.Off.Systemd:
	case r.At.IsZero():
		c.Message = "Not checked yet"
	case r.Class != ClassNone:
		e.hostTrouble(&c)
	case !e.unitKnown:
		c.Message = "The unit was not read for too long"
		e.add(CodeUnitUnknown, e.unlessAlive(Unknown), "The unit's state is too old to say anything.", adviceHost, nil)
	default:
		e.unit(&c)
	}
	return c
}

func (e *evaluation) hostTrouble(c *Check) {
	h, ok := hostReasons[e.s.Unit.Class]
	if !ok {
		h = hostReasons[ClassCommand]
	}
	c.Message = "Cannot read the unit - " + h.message
	if e.s.UnitFailures >= max(1, e.t.UnitFailures) {
		e.add(h.code, e.unlessAlive(Unknown), h.text, h.advice,
			map[string]string{"class": string(e.s.Unit.Class), "error": e.s.Unit.Err, "failures": strconv.Itoa(e.s.UnitFailures)})
	}
}

// unit judges what systemd said.
func (e *evaluation) unit(c *Check) {
	u := e.s.Unit.Unit
	c.Details = exitDetails(u)
	bad := CheckFail
	status := Critical
	if e.outside { // systemd and Redis contradict each other: clients are served, but systemd does not own what serves them
		bad, status = CheckWarning, Degraded
	}
	loaded := e.loadState(c, u, bad, status)
	switch {
	case u.Transient():
		e.transient(c, u)
	case u.Running():
		if loaded {
			c.Status, c.Message = CheckPass, "Service active and running"
		}
	case u.ActiveState == "failed":
		c.Status, c.Message = bad, "Service failed"
		code, text := CodeUnitFailed, "The service failed."
		if u.StartLimited() {
			code, text = CodeUnitStartLimited, "The service failed too often: systemd does not start it any more."
		}
		e.add(code, status, e.butAnswers(text), adviceLogs, unitEvidence(u), adviceResources, adviceManual)
	case u.ActiveState == "inactive":
		if c.Status = bad; loaded {
			c.Message = "Service stopped"
		}
		e.add(CodeUnitInactive, status, e.butAnswers("The service is stopped."), adviceLogs, unitEvidence(u), adviceStart)
	case u.ActiveState == "active":
		// Active without a process: the document counts a missing PID as a failure of the service.
		c.Status, c.Message = CheckWarning, "Service active without a process"
		if !e.alive {
			if status = Degraded; e.silent {
				c.Status, status = CheckFail, Critical
			}
			e.add(CodeUnitInactive, status, "The unit is active, but has no running process.", adviceLogs, unitEvidence(u))
		}
	default:
		c.Status, c.Message = CheckUnknown, "systemd does not name the unit's state"
		if loaded {
			e.add(CodeUnitUnknown, e.unlessAlive(Unknown), "systemd does not name the unit's state.", adviceUnitName, unitEvidence(u))
		}
	}
}

// loadState judges whether systemd can start the unit at all, and reports whether it can.
func (e *evaluation) loadState(c *Check, u Unit, bad CheckStatus, status Status) bool {
	switch u.LoadState {
	case "masked":
		c.Status, c.Message = CheckWarning, "Service is masked"
		if u.Down() {
			c.Status = bad
		} else {
			status = Degraded
		}
		e.add(CodeUnitMasked, status, "The unit is masked: an administrator has forbidden to start it.", adviceUnmask, unitEvidence(u), adviceManual)
	case "not-found", "bad-setting", "error":
		c.Status, c.Message = bad, "Service unit is missing or broken"
		if !e.silent && !e.s.Off.Connectivity {
			status = e.unlessAlive(Unknown) // a wrong unit name must not turn one lost PING into an outage
		}
		e.add(CodeUnitMissing, status, "systemd cannot load the unit: "+u.LoadState+".", adviceUnitName, unitEvidence(u), adviceManual)
	default:
		return true
	}
	return false
}

func (e *evaluation) transient(c *Check, u Unit) {
	c.Status, c.Message = CheckWarning, fmt.Sprintf("Service is %s (%s)", u.ActiveState, u.SubState)
	status := Degraded
	if e.silent {
		status = Critical
	}
	text := "systemd is still working on the service: " + u.ActiveState + " (" + u.SubState + ")"
	if u.StatusText != "" {
		text += ", and Redis says: " + u.StatusText // it knows best what it waits for
	}
	e.add(CodeUnitTransient, status, text+".", adviceWait, unitEvidence(u))
}

func (e *evaluation) butAnswers(text string) string {
	if !e.outside {
		return text
	}
	return text[:len(text)-1] + ", yet a Redis answers on its address: it runs outside systemd."
}

func unitEvidence(u Unit) map[string]string {
	return map[string]string{
		"unit": u.Name, "load_state": u.LoadState, "active_state": u.ActiveState, "sub_state": u.SubState, "result": u.Result,
		"exit_status": strconv.Itoa(u.ExecMainStatus), "restarts": strconv.FormatUint(uint64(u.NRestarts), 10),
	}
}

// exitDetails says how the main process ended, in the document's words; empty while it runs or when it ended well.
func exitDetails(u Unit) string {
	if u.MainPID > 0 {
		return ""
	}
	switch u.ExecMainCode {
	case 1:
		if u.ExecMainStatus != 0 {
			return fmt.Sprintf("Exit code: %d", u.ExecMainStatus)
		}
	case 2:
		return fmt.Sprintf("Killed by signal %d", u.ExecMainStatus)
	case 3:
		return fmt.Sprintf("Dumped core on signal %d", u.ExecMainStatus)
	}
	return ""
}
