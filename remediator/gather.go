package remediator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/diagnose"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// diagnoseLines is how many lines of each log a diagnosis reads.
const diagnoseLines = 200

// logSlack is how much older than the act a log line may be and still speak of it.
const logSlack = 2 * time.Second

// gather collects what a diagnosis rests on. A log that cannot be read is left out: the diagnosis is then less certain, not
// wrong. Times are compared on the host's own clock: the unit's last change of state is the end of the failed start.
func (r *Remediator) gather(ctx context.Context, u *unit, state health.Unit, took time.Duration) diagnose.Evidence {
	e := diagnose.Evidence{Unit: state}
	since := time.Time{}
	if !state.StateChange.IsZero() {
		since = state.StateChange.Add(-took - logSlack)
	}
	if res, err := r.o.Host.Run(ctx, u.id, host.VerbJournal, diagnoseLines); err == nil {
		e.Journal = messages(host.ParseJournal(res.Stdout), since)
	}
	if u.svc().Unit.LogFile != "" {
		if res, err := r.o.Host.Run(ctx, u.id, host.VerbRedisLog, diagnoseLines); err == nil {
			e.RedisLog = lastStart(host.ParseRedisLog(res.Stdout, nil))
		}
	}
	if res, err := r.o.Host.Run(ctx, u.id, host.VerbListeners, 0); err == nil {
		for _, l := range host.ParseListeners(res.Stdout) {
			if l.Port == u.svc().Port && l.Process != "" && l.PID != state.MainPID {
				e.Holder = fmt.Sprintf("%s (pid %d)", l.Process, l.PID)
			}
		}
	}
	if u.svc().Unit.DataDir != "" {
		if res, err := r.o.Host.Run(ctx, u.id, host.VerbDisk, 0); err == nil {
			for _, d := range host.ParseDisk(res.Stdout) {
				if d.Inodes > 0 && d.InodesFree == 0 && strings.HasPrefix(u.svc().Unit.DataDir+"/", strings.TrimSuffix(d.Path, "/")+"/") {
					e.NoInodes = d.Path
				}
			}
		}
	}
	return e
}

// messages returns the lines that are not older than since.
func messages(entries []host.LogEntry, since time.Time) []string {
	var out []string
	for _, e := range entries {
		if !e.Time.Before(since) {
			out = append(out, e.Message)
		}
	}
	return out
}

// startBanner is the line with which every Redis process begins its log.
const startBanner = "Redis is starting"

// lastStart returns the lines of the newest start in Redis's own log. Redis writes local time without a zone, so times are not
// compared; a start that failed before the log was opened (a config error) left its words in the journal.
func lastStart(entries []host.LogEntry) []string {
	var out []string
	for _, e := range entries {
		if strings.Contains(e.Message, startBanner) {
			out = out[:0]
		}
		out = append(out, e.Message)
	}
	return out
}
