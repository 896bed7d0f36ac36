package remediator

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/remediator/audit"
)

// The webhook's records in the audit log are bounded: whoever floods it must not fill the disk. Within a window the first of each
// kind are recorded one by one; the rest are counted, and the count is recorded when the window is over.
const (
	ledgerWindow = time.Minute
	ledgerSingle = 10
)

// ledger counts webhook messages of one kind in the window that runs.
type ledger struct {
	mu      sync.Mutex // guards the fields below
	began   time.Time
	written int
	more    int // not recorded yet
}

// take reports whether a message is recorded by itself now, and how many of an earlier window were not.
func (l *ledger) take(now time.Time) (write bool, before int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) >= ledgerWindow {
		before, l.more = l.more, 0
		l.began, l.written = now, 0
	}
	if l.written < ledgerSingle {
		l.written++
		return true, before
	}
	l.more++
	return false, before
}

// over returns how many messages of a window that has ended are still to be recorded.
func (l *ledger) over(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.began) < ledgerWindow {
		return 0
	}
	n := l.more
	l.more = 0
	return n
}

// recordMessage notes a webhook message in the audit log, without making its sender wait.
func (r *Remediator) recordMessage(code int, text, from string) {
	l := &r.accepted
	if code >= 400 {
		l = &r.rejected
	}
	write, before := l.take(time.Now())
	if !write && before == 0 {
		return
	}
	if r.actions.Err() != nil {
		return
	}
	r.running.Go(func() {
		if before > 0 {
			r.auditQuietly(r.actions, webhookRecord(code >= 400, 0, fmt.Sprintf("%d more messages like the ones before", before), ""))
		}
		if write {
			r.auditQuietly(r.actions, webhookRecord(code >= 400, code, text, from))
		}
	})
}

// closeLedgers records what was only counted, once a window is over.
func (r *Remediator) closeLedgers(ctx context.Context, now time.Time) {
	for _, l := range []*ledger{&r.accepted, &r.rejected} {
		if n := l.over(now); n > 0 {
			r.auditQuietly(ctx, webhookRecord(l == &r.rejected, 0, fmt.Sprintf("%d more messages like the ones before", n), ""))
		}
	}
}

func webhookRecord(rejected bool, code int, text, from string) audit.Record {
	rec := audit.Record{
		EventType: "webhook", Operation: "webhook", Phase: audit.PhaseSystem, Reason: text,
		User:   audit.User{ID: "alertmanager", Role: "system", Auth: "webhook"},
		Result: audit.Result{Success: !rejected, Status: code}, Security: audit.Security{RiskLevel: "low"},
	}
	if host, _, err := net.SplitHostPort(from); err == nil {
		rec.SourceIP = host
	}
	if rejected {
		rec.Phase, rec.Result.Error = audit.PhaseDenied, text
		rec.User = audit.User{ID: "anonymous", Auth: "none"}
		if code != 0 && code != 401 {
			rec.User = audit.User{ID: "alertmanager", Role: "system", Auth: "webhook"}
		}
	}
	if code != 0 {
		rec.Details = map[string]string{"http_status": strconv.Itoa(code)}
	}
	return rec
}
