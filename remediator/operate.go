package remediator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
)

// The words of new_status (document section 4.1).
const (
	StatusRunning = "running"
	StatusStopped = "stopped"
	StatusFailed  = "failed"
	StatusUnknown = "unknown"
)

// StatusWord is the document's status of a unit as it was read: unknown is never taken for stopped.
func StatusWord(read health.UnitRead) string {
	if !read.OK() {
		return StatusUnknown
	}
	switch u := read.Unit; {
	case u.ActiveState == "active" || u.ActiveState == "reloading":
		return StatusRunning
	case u.ActiveState == "inactive" && !u.Transient():
		return StatusStopped
	case u.ActiveState == "failed" && !u.Transient():
		return StatusFailed
	}
	return StatusUnknown
}

// Operate carries out what a person asked for and waits for the verdict. The operation outlives ctx: when ctx ends first its
// error is returned and the operation goes on, with its outcome in the audit log and the live events. Errors: ErrUnknownService,
// ErrNotAllowed, *BusyError, *BreakerOpenError, *RateError, *UnavailableError, ErrAudit; with any of them nothing was done. An
// operation that was tried and failed is a Result with Success false.
func (r *Remediator) Operate(ctx context.Context, req Request) (Result, error) {
	u, ok := r.unit(req.Service)
	if !ok {
		return Result{}, ErrUnknownService
	}
	if !u.svc().Allowed[req.Operation] {
		return Result{}, r.refuse(ctx, u, req, ErrNotAllowed)
	}
	began := time.Now()
	if err := u.take(Busy{By: req.Actor.Name(), Operation: string(req.Operation), Since: began.UTC()}); err != nil {
		return Result{}, r.refuse(ctx, u, req, err)
	}
	generation, err := r.admit(u, req, began)
	if err == nil {
		err = r.intendOperation(ctx, u, req, generation)
	} else {
		err = r.refuse(ctx, u, req, err)
	}
	if err != nil {
		u.release()
		return Result{}, err
	}
	type answer struct {
		res Result
		err error
	}
	done := make(chan answer, 1)
	r.running.Go(func() {
		res, err := r.operate(u, req, began, generation)
		u.release() // before the answer: whoever has it may ask for the next operation at once
		done <- answer{res, err}
	})
	select {
	case a := <-done:
		return a.res, a.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("the %s goes on: %w", req.Operation, context.Cause(ctx))
	}
}

// refuse audits a refusal and returns it.
func (r *Remediator) refuse(ctx context.Context, u *unit, req Request, err error) error {
	rec := r.record(u, req.Actor, string(req.Operation), audit.PhaseDenied)
	rec.RequestID, rec.SourceIP, rec.Reason, rec.Result.Error = req.RequestID, req.SourceIP, req.Reason, err.Error()
	r.auditQuietly(ctx, rec)
	return err
}

// admit asks the breaker and the limit on starts.
func (r *Remediator) admit(u *unit, req Request, now time.Time) (generation uint64, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	set := u.svc().Ladder
	starts := req.Operation == OpStart || req.Operation == OpRestart
	if starts && breaker.Looping(u.mem.Starts, set.MaxStarts, set.StartWindow, now) {
		oldest := breaker.Keep(u.mem.Starts, set.StartWindow, now)[0]
		return 0, &RateError{RetryAfter: max(oldest.Add(set.StartWindow).Sub(now), time.Second)}
	}
	next, leave, after := breaker.Begin(u.mem.Breaker, u.svc().Breaker, now)
	if !leave {
		return 0, &BreakerOpenError{RetryAfter: after}
	}
	u.mem.Breaker = next
	return next.Generation, nil
}

// intendOperation makes the intent and the new desired state durable.
func (r *Remediator) intendOperation(ctx context.Context, u *unit, req Request, generation uint64) error {
	wctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	rec := r.operationRecord(u, req, audit.PhaseIntent)
	if _, err := r.o.Audit.Append(wctx, rec); err != nil {
		r.giveBack(u, generation)
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("audit: an operation is refused")
		return ErrAudit
	}
	now := time.Now().UTC()
	u.mu.Lock()
	before := u.mem
	u.mem.Pending = &pending{Operation: req.Operation, Actor: req.Actor, RequestID: req.RequestID, Since: now}
	if req.Operation != OpReload {
		u.mem.Desired = Desired{Running: req.Operation != OpStop, By: req.Actor.Name(), Since: now, Reason: req.Reason}
	}
	if req.Operation == OpStart || req.Operation == OpRestart {
		u.mem.Starts = append(keepStarts(u.mem.Starts, now), now)
	}
	err := r.saveLocked(ctx, u)
	if err != nil {
		u.mem = before
	}
	u.mu.Unlock()
	if err != nil {
		r.giveBack(u, generation)
		r.o.Logger.Error().Err(err).Str("service", u.id).Msg("store: an operation is refused")
		return ErrAudit
	}
	r.publish(Event{Type: EventService, Service: u.id, Event: string(req.Operation), User: req.Actor.Name(), Result: "started"})
	return nil
}

func (r *Remediator) operationRecord(u *unit, req Request, phase audit.Phase) audit.Record {
	rec := r.record(u, req.Actor, string(req.Operation), phase)
	rec.RequestID, rec.SourceIP, rec.Reason, rec.Security.SSHKeyUsed = req.RequestID, req.SourceIP, req.Reason, true
	return rec
}

// operate does it, on the remediator's own context.
func (r *Remediator) operate(u *unit, req Request, began time.Time, generation uint64) (Result, error) {
	timeout := allowance(req.Operation, u.svc().OperationTimeout)
	ctx, cancel := context.WithTimeoutCause(r.actions, timeout, fmt.Errorf("%s took more than %s", req.Operation, timeout))
	defer cancel()
	res := Result{Operation: req.Operation, ExitCode: -1, PreviousUptime: -1, ConnectionsTerminated: -1}
	before, err := r.look(host.Insist(ctx), u)
	if err == nil {
		err = unavailable(before.Unit)
	}
	if err == nil {
		switch req.Operation {
		case OpStart:
			r.start(ctx, u, before, &res)
		case OpStop:
			r.stop(ctx, u, before, &res)
		case OpRestart:
			r.restart(ctx, u, before, &res)
		case OpReload:
			r.reload(ctx, u, before, &res)
		}
	}
	res.Timestamp, res.Duration = time.Now().UTC(), time.Since(began)
	if res.NewStatus == "" {
		res.NewStatus = StatusUnknown
	}
	r.settle(u, req, &res, err, generation)
	return res, err
}

// allowance is how long an operation may take. The architecture document (section 10.4) allows 30 s for a start, 20 s for a stop and
// 40 s for a restart; the configured time is that of a start, and the others keep their proportion to it.
func allowance(op Operation, start time.Duration) time.Duration {
	switch op {
	case OpStop:
		return start * 2 / 3
	case OpRestart:
		return start * 4 / 3
	default:
		return start
	}
}

// unavailable turns a host that could not be asked into the refusal of a person's act.
func unavailable(read health.UnitRead) error {
	if read.OK() {
		return nil
	}
	words := map[health.ErrorClass]string{
		health.ClassUnreachable: "the Redis host cannot be reached over SSH; nothing was done",
		health.ClassAuth:        "the Redis host refuses the SSH key; nothing was done",
		health.ClassHostKey:     "the Redis host shows another SSH key than the known one; nothing was done",
		health.ClassDenied:      "the Redis host refuses the command; nothing was done",
		health.ClassTimeout:     "the Redis host did not answer in time; nothing was done",
	}
	text := words[read.Class]
	if text == "" {
		text = "systemd on the Redis host could not be asked; nothing was done"
	}
	return &UnavailableError{Class: read.Class, Public: text}
}

func (r *Remediator) start(ctx context.Context, u *unit, before health.Observation, res *Result) {
	if before.Unit.Unit.Running() {
		res.Success, res.AlreadyDone, res.NewStatus = true, true, StatusRunning
		res.Message = "Redis service already running"
		return
	}
	acts := []ladder.Act{ladder.Start}
	if before.Unit.Unit.ActiveState == "failed" {
		acts = []ladder.Act{ladder.ResetFailed, ladder.Start}
	}
	r.finish(ctx, u, res, r.perform(ctx, u, acts), "start", "started", func(o health.Observation) bool { return o.Serving() && o.Unit.OK() })
}

func (r *Remediator) stop(ctx context.Context, u *unit, before health.Observation, res *Result) {
	if before.Unit.Unit.Down() {
		res.Success, res.AlreadyDone, res.NewStatus = true, true, StatusStopped
		res.Message = "Redis service already stopped"
		return
	}
	out := r.performVerb(ctx, u, host.VerbStop)
	r.finish(ctx, u, res, out, "stop", "stopped", func(o health.Observation) bool { return o.Unit.OK() && o.Unit.Unit.Down() })
}

func (r *Remediator) restart(ctx context.Context, u *unit, before health.Observation, res *Result) {
	if before.Info != nil {
		res.PreviousUptime, res.ConnectionsTerminated = before.Info.Uptime, before.Info.Clients
	}
	old := before.Unit.Unit.InvocationID
	acts := []ladder.Act{ladder.Restart}
	if before.Unit.Unit.ActiveState == "failed" {
		acts = []ladder.Act{ladder.ResetFailed, ladder.Restart}
	}
	r.finish(ctx, u, res, r.perform(ctx, u, acts), "restart", "restarted", func(o health.Observation) bool {
		return o.Serving() && o.Unit.OK() && (old == "" || o.Unit.Unit.InvocationID != old)
	})
}

func (r *Remediator) reload(ctx context.Context, u *unit, before health.Observation, res *Result) {
	if !before.Unit.Unit.CanReload {
		res.NewStatus, res.Message, res.Error = StatusWord(before.Unit), "Failed to reload Redis service", "the unit has no reload; Redis ignores SIGHUP"
		return
	}
	r.finish(ctx, u, res, r.perform(ctx, u, []ladder.Act{ladder.Reload}), "reload", "reloaded", func(o health.Observation) bool { return o.Unit.OK() && o.Unit.Unit.Running() })
}

func (r *Remediator) performVerb(ctx context.Context, u *unit, v host.Verb) actResult {
	res, err := r.o.Host.Run(ctx, u.id, v, 0)
	return actResult{exitCode: res.ExitCode, err: err, act: ladder.Act(v), class: host.ClassOf(err), output: res.Stderr}
}

// finish judges an operation by looking: the exit code alone proves nothing.
func (r *Remediator) finish(ctx context.Context, u *unit, res *Result, out actResult, verb, done string, good func(health.Observation) bool) {
	res.ExitCode = out.exitCode
	ok, last := r.await(ctx, u, out, good)
	res.NewStatus = StatusWord(last.Unit)
	if ok {
		res.Success, res.Message = true, "Redis service "+done+" successfully"
		if verb == "stop" {
			// A stopped unit that systemd calls failed (a stop that ended in a kill) is stopped all the same.
			res.NewStatus = StatusStopped
		}
		return
	}
	res.Message = "Failed to " + verb + " Redis service"
	var he *host.Error
	switch {
	case errors.As(out.err, &he):
		res.Error = he.Public
	case out.err != nil:
		res.Error = "the command could not be carried out"
	default:
		res.Error = "the command ended, but Redis is not as it should be"
	}
	if res.OutcomeUnknown = out.unknown() || r.actions.Err() != nil || !last.Unit.OK() || last.Unit.Unit.Transient(); res.OutcomeUnknown {
		res.Error += "; the outcome is not known: look before you repeat it"
	}
}

// await looks until the operation has its effect, has certainly failed, or its time is over.
func (r *Remediator) await(ctx context.Context, u *unit, out actResult, good func(health.Observation) bool) (bool, health.Observation) {
	var last health.Observation
	settled := 0
	for {
		o, err := r.look(ctx, u)
		if err == nil {
			last = o
			if good(o) {
				return true, o
			}
			settled++
			if !o.Unit.OK() || o.Unit.Unit.Transient() || o.Ping.Reply == health.ReplyLoading || out.unknown() {
				settled = 0
			}
			if settled >= 3 && (out.err != nil || o.Unit.Unit.Down()) {
				return false, last
			}
		}
		if pause(ctx, verifyEvery) != nil {
			return false, last
		}
	}
}

// settle writes what came of an operation: breaker, desired state, audit, event.
func (r *Remediator) settle(u *unit, req Request, res *Result, err error, generation uint64) {
	ctx := context.WithoutCancel(r.actions)
	u.mu.Lock()
	var ue *UnavailableError
	switch {
	case errors.As(err, &ue):
		u.mem.Breaker = breaker.Abandon(u.mem.Breaker, generation)
	case res.Success:
		u.mem.Breaker = breaker.Succeed(u.mem.Breaker, generation)
	default:
		u.mem.Breaker = breaker.Fail(u.mem.Breaker, u.svc().Breaker, generation, time.Now())
	}
	// A stop that certainly did not happen must not hold automatic recovery for ever.
	if req.Operation == OpStop && !res.Success && !res.OutcomeUnknown {
		u.mem.Desired = Desired{Running: true, By: req.Actor.Name(), Since: res.Timestamp, Reason: "the stop failed"}
	}
	if p := u.mem.Pending; p != nil && (res.AlreadyDone || ue != nil) {
		// No start happened, so it must not count towards the limit on starts.
		u.mem.Starts = slices.DeleteFunc(u.mem.Starts, func(t time.Time) bool { return t.Equal(p.Since) })
	}
	u.mem.Pending = nil
	u.steadyFrom(time.Now())
	if serr := r.saveLocked(ctx, u); serr != nil {
		r.o.Logger.Error().Err(serr).Str("service", u.id).Msg("store the outcome of an operation")
	}
	u.mu.Unlock()

	rec := r.operationRecord(u, req, audit.PhaseOutcome)
	rec.Result = audit.Result{Success: res.Success, Duration: res.Duration.Seconds(), ExitCode: exitCode(res.ExitCode), Error: res.Error}
	word := "success"
	switch {
	case err != nil:
		word, rec.Result.Error = "failure", err.Error()
	case res.OutcomeUnknown:
		word = "unknown"
	case !res.Success:
		word = "failure"
	}
	r.auditQuietly(ctx, rec)
	r.metrics.operations.WithLabelValues(u.id, string(req.Operation), word).Inc()
	r.publish(Event{Type: EventService, Service: u.id, Event: string(req.Operation), User: req.Actor.Name(), Result: word, Message: res.Message})
}
