package audit

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	pruneEvery = time.Hour // between two looks for records whose time is over
	pruneBatch = 10_000    // records that are removed at a time; after a full batch the next comes with the next tick of Run
)

// prune removes the oldest records of the store when they are older than Retention. First the removal itself is recorded, then a
// checkpoint says where the kept chain starts, and only then are they removed: a verification finds either the records or the
// statement. It reports whether there is more to remove. The newest record always stays.
func (l *Log) prune(ctx context.Context) (more bool, err error) {
	if l.opts.Retention <= 0 {
		return false, nil
	}
	limit, newest := l.opts.Now().Add(-l.opts.Retention), l.Health().LastSeq
	var end head
	n := 0
	err = l.opts.Store.WalkAudit(ctx, 1, func(row store.AuditRow) error {
		if !row.Time.Before(limit) || row.Seq >= newest || n == pruneBatch {
			return errStop
		}
		n++
		end = head{seq: row.Seq, hash: row.Hash}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return false, fmt.Errorf("look for old audit records: %w", err)
	}
	if n == 0 {
		return false, nil
	}
	if _, err := l.Append(ctx, pruned(end.seq, n, l.opts.Retention)); err != nil {
		return false, fmt.Errorf("remove old audit records: %w", err)
	}
	if err := l.startBehind(end); err != nil {
		return false, fmt.Errorf("remove old audit records: %w", err)
	}
	if err := l.opts.Store.PruneAudit(ctx, end.seq); err != nil {
		return false, fmt.Errorf("remove old audit records: %w", err)
	}
	return n == pruneBatch, nil
}

// pruned is the record of a removal.
func pruned(through int64, n int, age time.Duration) Record {
	return Record{
		EventType: "configuration", Operation: "audit.prune", Phase: PhaseSystem, User: User{ID: "system", Role: "system"},
		Reason: fmt.Sprintf("older than %d days", int(age.Hours()/24)), Result: Result{Success: true},
		Security: Security{CommandValidated: true, RiskLevel: "low"},
		Details:  map[string]string{"through_seq": strconv.FormatInt(through, 10), "records": strconv.Itoa(n)},
	}
}

// startBehind signs that the kept chain starts behind a record.
func (l *Log) startBehind(at head) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return l.writeCheckpoint(l.cps.sign(l.opts.Chain, at, l.opts.Now(), true))
}
