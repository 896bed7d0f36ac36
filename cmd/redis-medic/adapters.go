package main

import (
	"context"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// relay passes events on to a sink that is made later: the remediator publishes to the control API, which is made after it.
// Until then, and without a control API, events go nowhere.
type relay struct {
	sink atomic.Pointer[remediator.EventSink]
}

// Publish implements remediator.EventSink.
func (r *relay) Publish(e remediator.Event) {
	if s := r.sink.Load(); s != nil {
		(*s).Publish(e)
	}
}

func (r *relay) to(s remediator.EventSink) { r.sink.Store(&s) }

// logReader shows a fleet's logs to the control API.
type logReader struct{ fleet *host.Fleet }

// Logs implements controlapi.LogReader. A source that could not be read is said so in an entry of its own: no access is not the
// same as no logs.
func (l logReader) Logs(ctx context.Context, service string, lines int) ([]controlapi.LogEntry, error) {
	logs, err := l.fleet.Logs(ctx, service, lines)
	if err != nil {
		return nil, err
	}
	out := make([]controlapi.LogEntry, 0, len(logs.Entries)+len(logs.Missing))
	for _, e := range logs.Entries {
		out = append(out, controlapi.LogEntry{Time: e.Time, Level: string(e.Level), Message: e.Message, Source: e.Source})
	}
	for source, why := range logs.Missing {
		out = append(out, controlapi.LogEntry{Level: "warning", Message: "this log could not be read: " + why.Public, Source: source, Note: true})
	}
	return out, nil
}

// auditor is the audit log with the settings of the document's audit block that concern what is recorded and what is also shown
// in the program's own log.
type auditor struct {
	*audit.Log
	live *live // for include_user_details and log_level
	log  zerolog.Logger
}

// Append records an attempt and, by its weight, repeats it in the program's log.
func (a auditor) Append(ctx context.Context, r audit.Record) (audit.Record, error) {
	now := a.live.plan.Load()
	if !now.AuditEmails {
		r.User.Email = ""
	}
	done, err := a.Log.Append(ctx, r)
	if err != nil {
		return done, err
	}
	if l, shown := shownAt(done, now.AuditLevel); shown {
		a.log.WithLevel(l).Int64("seq", done.Seq).Str("phase", string(done.Phase)).Str("operation", done.Operation).Str("service", done.Service).
			Str("user", done.User.ID).Str("source_ip", done.SourceIP).Bool("success", done.Result.Success).Str("reason", done.Reason).Msg("audit")
	}
	return done, nil
}

// shownAt says at which level a record is repeated, and whether the configured level lets it through.
func shownAt(r audit.Record, least string) (zerolog.Level, bool) {
	level := zerolog.InfoLevel
	switch {
	case r.Phase == audit.PhaseOutcome && !r.Result.Success:
		level = zerolog.ErrorLevel
	case r.Phase == audit.PhaseDenied:
		level = zerolog.WarnLevel
	case r.Phase == audit.PhaseSystem:
		level = zerolog.DebugLevel
	}
	limits := map[string]zerolog.Level{"DEBUG": zerolog.DebugLevel, "INFO": zerolog.InfoLevel, "WARNING": zerolog.WarnLevel, "ERROR": zerolog.ErrorLevel}
	return level, level >= limits[least]
}
