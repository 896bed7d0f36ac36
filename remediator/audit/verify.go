package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

var errColumns = errors.New("its columns differ from the sealed record")

// Report is the result of a verification. FirstBad and Problem describe the first fault in the order of the chain.
type Report struct {
	OK          bool   `json:"ok"`
	Records     int64  `json:"records"` // sound records seen
	First       int64  `json:"first_seq"`
	Last        int64  `json:"last_seq"`
	Checkpoints int    `json:"checkpoints"` // signed checkpoints that agree
	Unsigned    int64  `json:"unsigned"`    // newest records that no checkpoint covers yet
	FirstBad    int64  `json:"first_bad,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

// checker follows a chain.
type checker struct {
	Report
	records sealer
	signed  bool // there is a file of checkpoints to hold the chain against
	cps     map[int64]Checkpoint
	starts  map[int64]Checkpoint
	newest  Checkpoint // with the highest Seq
	prev    head
	chain   string
	// since and until are the times of the first and the last record behind the newest checkpoint.
	since, until time.Time
}

// The records that a running program may have written since its last checkpoint, with room for a file system that was full for a
// while. More than that was not signed because somebody removed the checkpoints.
const (
	maxUnsigned    = defaultCheckpointEvery + 2*maxBatch
	maxUnsignedFor = time.Hour
)

// newChecker reads the checkpoints of a file, and of a store where there is one.
func newChecker(ctx context.Context, keys Keys, checkpointFile string, db store.Audit) (*checker, error) {
	c := &checker{
		records: newSealer(keys.Seal, "record"), signed: checkpointFile != "", cps: map[int64]Checkpoint{}, starts: map[int64]Checkpoint{},
	}
	all, err := readCheckpoints(checkpointFile, keys.public())
	if db != nil && checkpointFile != "" {
		shared, serr := readShared(ctx, db, keys.public())
		all, err = append(all, shared...), errors.Join(err, serr)
	}
	for _, cp := range all {
		// Of two checkpoints with the same number the older one counts: the later may sign a chain that was written anew.
		if _, dup := c.cps[cp.Seq]; !dup {
			c.cps[cp.Seq] = cp
		}
		if cp.Start {
			c.starts[cp.Seq] = cp
		}
		if cp.Seq > c.newest.Seq {
			c.newest = cp
		}
	}
	return c, err
}

func (c *checker) bad(seq int64, format string, args ...any) {
	if c.Problem == "" {
		c.FirstBad, c.Problem = seq, fmt.Sprintf(format, args...)
	}
}

// next takes the next line of the chain. want is the number it should have, by where it was found.
func (c *checker) next(where string, line []byte) (Record, bool) {
	want := c.prev.seq + 1
	r, err := c.records.open(line)
	if err != nil {
		c.bad(want, "%s: record %d: %v", where, want, err)
		// Its own claims are worth nothing; the next sound one re-joins the chain.
		c.prev = head{seq: want}
		return r, false
	}
	if c.Records == 0 && c.Problem == "" {
		c.First, c.chain = r.Seq, r.Chain
		if c.prev.hash == "" { // files begin anywhere
			want = r.Seq
		}
	}
	switch {
	case r.Chain != c.chain:
		c.bad(r.Seq, "%s: record %d is of chain %q, not %q", where, r.Seq, r.Chain, c.chain)
	case r.Seq > want:
		c.bad(want, "%s: records %d to %d are missing", where, want, r.Seq-1)
	case r.Seq < want:
		c.bad(r.Seq, "%s: record %d stands where %d should: reordered or repeated", where, r.Seq, want)
	case r.PrevHash != c.prev.hash && c.prev.hash != "":
		c.bad(r.Seq, "%s: record %d does not follow the record before it", where, r.Seq)
	}
	if r.Seq == 1 && r.PrevHash != "" {
		c.bad(r.Seq, "%s: record 1 claims a predecessor", where)
	}
	if cp, ok := c.cps[r.Seq]; ok {
		if cp.Hash == r.Hash && cp.Chain == r.Chain {
			c.Checkpoints++
		} else {
			c.bad(r.Seq, "%s: record %d is not the one that the checkpoint of %s signs: the chain was written anew", where, r.Seq, cp.Time)
		}
	}
	c.Records++
	c.Last = max(c.Last, r.Seq)
	if r.Seq > c.newest.Seq {
		if c.until = r.Time; c.since.IsZero() {
			c.since = r.Time
		}
	}
	c.prev = head{seq: r.Seq, hash: r.Hash}
	return r, true
}

// finish compares the end of the chain with the newest checkpoint.
func (c *checker) finish() Report {
	if c.newest.Seq > c.Last {
		c.bad(c.Last+1, "%s", cutTail(c.Last, c.newest))
	}
	if c.Unsigned = max(0, c.Last-max(c.newest.Seq, c.First-1)); !c.signed {
		c.Unsigned = c.Records
	} else if c.Unsigned > maxUnsigned || c.until.Sub(c.since) > maxUnsignedFor {
		c.bad(c.Last-c.Unsigned+1, "records %d to %d are signed by no checkpoint: checkpoints were removed, or could not be written",
			c.Last-c.Unsigned+1, c.Last)
	}
	c.OK = c.Problem == ""
	return c.Report
}

// VerifyStore checks every record of a store: sealed content, order, completeness from record 1 on or from a signed start on,
// columns, and the checkpoints in checkpointFile (empty: none) and in the store itself. A fault is in the Report; an error means that the check could not
// be made.
func VerifyStore(ctx context.Context, db store.Audit, keys Keys, checkpointFile string) (Report, error) {
	for {
		r, start, err := verifyStore(ctx, db, keys, checkpointFile)
		if err != nil || r.OK {
			return r, err
		}
		// Records that were removed meanwhile, because their time was over, look like a fault.
		now, err := newChecker(ctx, keys, checkpointFile, db)
		if err != nil || now.start() == start {
			return r, nil //nolint:nilerr // the report has it
		}
	}
}

// start is the newest signed start of the kept chain, 0 when there is none.
func (c *checker) start() (seq int64) {
	for at := range c.starts {
		seq = max(seq, at)
	}
	return seq
}

func verifyStore(ctx context.Context, db store.Audit, keys Keys, checkpointFile string) (_ Report, start int64, _ error) {
	c, err := newChecker(ctx, keys, checkpointFile, db)
	if err != nil {
		c.bad(0, "%v", err)
	}
	start = c.start()
	err = db.WalkAudit(ctx, 1, func(row store.AuditRow) error {
		if c.Records == 0 && c.Problem == "" && row.Seq > 1 {
			c.begin(row)
		}
		r, ok := c.next(sinkStore, row.JSON)
		if ok && !sameRow(row, r) {
			c.bad(r.Seq, "store: record %d: %v", r.Seq, errColumns)
		}
		return nil
	})
	if err != nil {
		return c.Report, start, fmt.Errorf("verify audit: %w", err)
	}
	return c.finish(), start, nil
}

// begin judges a chain that does not begin with record 1: only a signed checkpoint can say where else.
func (c *checker) begin(row store.AuditRow) {
	if start, ok := c.starts[row.Seq-1]; ok && start.Chain == row.Chain {
		c.First, c.chain, c.prev = row.Seq, row.Chain, head{seq: start.Seq, hash: start.Hash}
		return
	}
	c.bad(1, "store: records 1 to %d are missing", row.Seq-1)
	c.First, c.chain, c.prev.seq = row.Seq, row.Chain, row.Seq-1
}

// VerifyFiles checks audit files, oldest first as Files returns them, plain or gzip-compressed, without the store. The first
// record may have any number, because older files were rotated away.
func VerifyFiles(keys Keys, checkpointFile string, paths ...string) (Report, error) {
	c, err := newChecker(context.Background(), keys, checkpointFile, nil)
	if err != nil {
		c.bad(0, "%v", err)
	}
	for _, path := range paths {
		err := eachLine(path, func(line []byte) error {
			c.next(path, line)
			return nil
		})
		switch {
		case errors.Is(err, errTorn) || isDamaged(err):
			c.bad(c.prev.seq+1, "%v", err)
		case err != nil:
			return c.Report, fmt.Errorf("verify audit: %w", err)
		}
	}
	return c.finish(), nil
}

// Verify checks every record of the store, see VerifyStore, while the log goes on.
func (l *Log) Verify(ctx context.Context) (Report, error) {
	l.turn.Lock()
	at, level := l.head, l.store.level
	l.turn.Unlock()
	r, err := VerifyStore(ctx, l.opts.Store, l.keys(), l.opts.Checkpoints)
	if err != nil || r.Last >= at.seq || !r.OK && r.FirstBad <= r.Last {
		return r, err
	}
	r.OK, r.FirstBad = false, r.Last+1
	r.Problem = fmt.Sprintf("the newest record is %d, but %d was written: the tail was cut", r.Last, at.seq)
	if !level {
		r.Problem = fmt.Sprintf("the store failed and lacks records %d to %d for now", r.Last+1, at.seq)
	}
	return r, nil
}
