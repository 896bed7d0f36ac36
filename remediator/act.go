package remediator

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/diagnose"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// verifyEvery is the pace of the looks after an act.
const verifyEvery = 100 * time.Millisecond

// verbs maps the acts that go over the host to their verbs.
var verbs = map[ladder.Act]host.Verb{
	ladder.Continue: host.VerbContinue, ladder.Reload: host.VerbReload, ladder.ResetFailed: host.VerbResetFailed,
	ladder.Start: host.VerbStart, ladder.Restart: host.VerbRestart, ladder.Kill: host.VerbKill,
	ladder.RestoreConfig: host.VerbConfigRestore,
}

// actResult is what came of the acts of one rung, as far as the commands tell. The unit's state tells more.
type actResult struct {
	exitCode int   // of the last command; -1: none ran
	err      error // the first act that did not end well
	act      ladder.Act
	class    health.ErrorClass
	underway bool   // the commands ended well, and systemd or Redis was still at work when the rung's time was over
	output   string // of the failing command; for the audit record only
	restored *configChange
}

// denied reports a refusal that trying again cannot change.
func (a actResult) denied() bool { return a.class == health.ClassDenied }

// unknown reports that the act may or may not have happened.
func (a actResult) unknown() bool {
	return a.underway || a.err != nil && (a.class == health.ClassTimeout || a.class == health.ClassUnreachable)
}

// climb carries out one rung: leave of the breaker, intent, acts, verification, outcome.
func (r *Remediator) climb(ctx context.Context, u *unit, in ladder.Input, d ladder.Decision) time.Duration {
	if err := u.take(Busy{By: System().ID, Operation: string(d.Rung) + " recovery", Since: time.Now().UTC()}); err != nil {
		return time.Second // a person was faster
	}
	defer u.release()
	r.running.Add(1)
	defer r.running.Done()
	r.secureOnce(u, in)
	act, cancel := context.WithTimeoutCause(r.actions, d.Timeout, fmt.Errorf("%s rung took more than %s", d.Rung, d.Timeout))
	defer cancel()
	generation, err := r.intend(ctx, u, in, d)
	if err != nil {
		r.stay(ctx, u, in, r.refused(u, err))
		return time.Second
	}
	began := time.Now()
	res := r.perform(act, u, d.Acts)
	ok, last := r.verify(act, u, res)
	res.underway = !ok && res.err == nil && atWork(last)
	took := time.Since(began)
	r.outcome(ctx, u, d, res, ok, took, generation)
	if ok {
		in.Second = last
		r.recovered(ctx, u, in, d.Rung)
		return time.Second
	}
	if r.actions.Err() != nil {
		return time.Second // shutting down: the next process goes on from observation
	}
	if res.act == ladder.RestoreConfig {
		r.keepFinding(u, in.Finding) // no start was tried, so the diagnosis stands
		return 0
	}
	if res.denied() {
		return 0 // nothing was started, so no log can say why a start failed
	}
	if res.underway {
		return time.Second
	}
	r.diagnose(ctx, u, took)
	return 0
}

// perform runs the acts in order. A refused reset-failed is no reason to give up: after ten seconds systemd starts again without
// it. Any other failure ends the rung.
func (r *Remediator) perform(ctx context.Context, u *unit, acts []ladder.Act) actResult {
	out := actResult{exitCode: -1}
	for _, a := range acts {
		res, err := r.performOne(ctx, u, a)
		if err == nil {
			out.exitCode = res.ExitCode
			if a == ladder.RestoreConfig {
				out.restored = r.configRestored(u, res.Stdout)
			}
			continue
		}
		class := host.ClassOf(err)
		if class == health.ClassDenied {
			u.mu.Lock()
			if u.incident != nil && u.incident.Climbed.Denied != nil {
				u.incident.Climbed.Denied[a] = true
			}
			u.mu.Unlock()
			if a == ladder.ResetFailed {
				continue
			}
		}
		out.exitCode, out.err, out.act, out.class = res.ExitCode, err, a, class
		out.output = res.Stderr
		return out
	}
	return out
}

func (r *Remediator) performOne(ctx context.Context, u *unit, a ladder.Act) (host.Result, error) {
	if a == ladder.KillScript {
		err := r.o.Scripts.KillScript(ctx, u.id)
		if errors.Is(err, ErrNoScript) {
			err = nil
		}
		return host.Result{ExitCode: -1}, err
	}
	return r.o.Host.Run(ctx, u.id, verbs[a], 0)
}

// verify looks again and again until the service serves, is down for good, or the rung's time is over. A load in progress or a
// job in hand at the end of the time is neither success nor failure: the loop goes on looking.
func (r *Remediator) verify(ctx context.Context, u *unit, res actResult) (ok bool, last health.Observation) {
	downs := 0
	for {
		o, err := r.look(ctx, u)
		if err == nil {
			last = o
			if o.Serving() && o.Unit.OK() {
				return true, o
			}
			if o.Unit.OK() && o.Unit.Unit.Down() && !res.unknown() {
				downs++
			} else {
				downs = 0
			}
			// Down in three looks after a command that has ended: systemd has given up, waiting longer changes nothing.
			if downs >= 3 {
				return false, o
			}
		}
		if res.err != nil && !res.unknown() && downs == 0 && err == nil && last.Unit.OK() && !last.Unit.Unit.Transient() {
			return false, last
		}
		if pause(ctx, verifyEvery) != nil {
			return false, last
		}
	}
}

// atWork reports that what was begun has not ended: Redis loads its data, or systemd has a job in hand. That is neither success nor
// failure: the loop goes on looking.
func atWork(o health.Observation) bool {
	return o.Ping.Reply == health.ReplyLoading || (o.Unit.OK() && o.Unit.Unit.Transient())
}

// outcome writes what came of a rung.
func (r *Remediator) outcome(ctx context.Context, u *unit, d ladder.Decision, res actResult, ok bool, took time.Duration, generation uint64) {
	result := "failure"
	switch {
	case ok:
		result = "success"
	case res.denied():
		result = "denied"
	case res.unknown() || r.actions.Err() != nil:
		result = "unknown"
	}
	now := time.Now()
	u.mu.Lock()
	switch {
	case ok:
		u.mem.Breaker = breaker.Succeed(u.mem.Breaker, generation)
	case res.underway:
		u.mem.Breaker = breaker.Abandon(u.mem.Breaker, generation)
	default:
		u.mem.Breaker = breaker.Fail(u.mem.Breaker, u.svc().Breaker, generation, now)
	}
	if c := &u.incident.Climbed; len(c.Attempts) > 0 {
		c.Attempts[len(c.Attempts)-1].Result = result
	}
	if n := len(u.mem.Starts); n > 0 && res.denied() && starting(d.Acts) {
		u.mem.Starts = u.mem.Starts[: n-1 : n-1] // systemd never heard of it
	}
	id := u.incident.ID
	u.mu.Unlock()
	r.metrics.rungs.WithLabelValues(u.id, string(d.Rung), result).Observe(took.Seconds())

	text, cause := rungWords(d, res, result)
	rec := r.record(u, System(), string(d.Rung), audit.PhaseOutcome)
	rec.EventType, rec.Incident, rec.Level, rec.Reason = "auto_recovery", id, string(d.Rung), text
	rec.Security.SSHKeyUsed = d.Acts[0] != ladder.KillScript
	rec.Result = audit.Result{Success: ok, Duration: took.Seconds(), ExitCode: exitCode(res.exitCode), Error: cause}
	rec.Details = res.restored.evidence()
	if u.svc().RevealOutput && res.output != "" {
		if rec.Details == nil {
			rec.Details = map[string]string{}
		}
		rec.Details["output"] = res.output
	}
	r.auditQuietly(ctx, rec)
	r.stepDone(ctx, u, Step{Kind: "outcome", Level: string(d.Rung), Act: actWords(d.Acts), Result: result, Code: string(res.class), Text: text, Took: took.Seconds(),
		Evidence: res.restored.evidence()})
	if !ok && !res.underway {
		r.metrics.recoveries.WithLabelValues(u.id, string(d.Rung), "failure").Inc()
		r.recoveryEvent(u, string(d.Rung), "failed", text)
		r.tell(u, NoticeFailed, string(d.Rung), "Automatic recovery of Redis "+u.id+" failed ("+string(d.Rung)+")", text)
	}
}

// exitCode is the audit record's exit code: nil where no command ran.
func exitCode(code int) *int {
	if code < 0 {
		return nil
	}
	return &code
}

func rungWords(d ladder.Decision, res actResult, result string) (text, cause string) {
	switch {
	case result == "success":
		return string(d.Rung) + " recovery succeeded", ""
	case res.underway:
		return string(d.Rung) + " recovery: begun, and not over when its time was: looking on", "still at work when the rung's time was over"
	case res.err != nil:
		if he, ok := errors.AsType[*host.Error](res.err); ok {
			return fmt.Sprintf("%s recovery: %s: %s", d.Rung, res.act, he.Public), he.Public
		}
		return fmt.Sprintf("%s recovery: %s: %v", d.Rung, res.act, res.err), res.err.Error()
	}
	return string(d.Rung) + " recovery: the commands ended, but Redis does not serve", "Redis does not serve afterwards"
}

// diagnoseTimeout bounds the reading of logs after a failed start.
const diagnoseTimeout = 10 * time.Second

// diagnose reads why a start failed and remembers it for the next decision.
func (r *Remediator) diagnose(ctx context.Context, u *unit, took time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, diagnoseTimeout)
	defer cancel()
	o, err := r.look(ctx, u)
	if err != nil || !o.Unit.OK() || !o.Unit.Unit.Down() {
		return
	}
	f := diagnose.Classify(r.gather(ctx, u, o.Unit.Unit, took))
	found := &ladder.Finding{Code: string(f.Cause), Text: f.Text, Advice: f.Advice, Permanent: f.Permanent}
	evidence := map[string]string{"result": o.Unit.Unit.Result, "exit_status": strconv.Itoa(o.Unit.Unit.ExecMainStatus)}
	if f.Cause == diagnose.ConfigError {
		found.Restorable = r.restorable(ctx, u, evidence)
	}
	u.mu.Lock()
	u.incident.Climbed.Finding = found
	u.incident.Cause, u.incident.CauseText = string(f.Cause), f.Text
	u.mu.Unlock()
	if f.Proof != "" {
		evidence["proof"] = f.Proof
	}
	r.stepDone(ctx, u, Step{Kind: "diagnosed", Code: string(f.Cause), Text: f.Text + "; " + f.Advice, Evidence: evidence})
}
