package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// programRecorder records what happens to the program itself. It outlives a set of parts: until there is an audit log, and after
// it was closed, nothing is recorded. The zero value is ready; it is safe for concurrent use.
type programRecorder struct {
	to atomic.Pointer[auditor]
}

// programTimeout bounds the wait for a record about the program, which nothing depends on.
const programTimeout = 5 * time.Second

// record appends a record about the program. A failure is logged by the audit log and stops nothing.
func (p *programRecorder) record(operation, reason string, err error, details map[string]string) {
	to := p.to.Load()
	if to == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), programTimeout)
	defer cancel()
	rec := audit.Record{
		EventType: "configuration", Operation: operation, Phase: audit.PhaseSystem, Reason: reason, Details: details,
		User: audit.User{ID: "system", Role: "system"}, Result: audit.Result{Success: err == nil},
		Security: audit.Security{CommandValidated: true, RiskLevel: "low"},
	}
	if err != nil {
		rec.Result.Error = err.Error()
	}
	if _, err := to.Append(ctx, rec); err != nil {
		to.log.Error().Err(err).Str("operation", operation).Msg("audit")
	}
}

// open takes an audit log into use and records that the program runs with it.
func (p *programRecorder) open(a auditor) {
	p.to.Store(&a)
	p.record("program.start", "", nil, map[string]string{"version": version, "commit": commit})
}

// close records the end and lets the audit log go.
func (p *programRecorder) close() error {
	p.record("program.stop", "", nil, nil)
	p.to.Store(nil)
	return nil
}
