package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/redis-medic/redis-medic/remediator/store"
)

const (
	fillBatch = 500  // records that are copied from one sink to the other at a time
	fillPass  = 2000 // records that the file gets back between two batches of new ones
)

// resume finds the end of the chain and brings both sinks there. A store that cannot be read is an error; a file that cannot be
// is reported by Health.
func (l *Log) resume(ctx context.Context) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	last, err := l.lastRow(ctx)
	if err != nil {
		return err
	}
	l.head = head{seq: last.Seq, hash: last.Hash}
	if last.Seq > 0 {
		if r, err := l.records.open(last.JSON); err != nil || !sameRow(last, r) {
			l.note(fmt.Sprintf("newest record %d of the store: %v", last.Seq, orChanged(err)))
		}
	}
	if l.file != nil {
		if err := l.inspectFile(ctx, true); err != nil {
			l.fail(sinkFile, &l.file.sinkState, err)
		}
	}
	if err := l.cps.load(ctx, l.opts.Store); err != nil {
		l.metrics.failures.WithLabelValues(sinkCheckpoint).Inc()
		l.log.Error().Err(err).Msg("audit checkpoints cannot be read")
	} else if cp := l.cps.last; cp.Seq > l.head.seq {
		l.note(cutTail(l.head.seq, cp))
	}
	l.heal(ctx)
	if l.forward != nil {
		l.forward.begin(l.head.seq)
	}
	switch unsigned := l.head.seq - l.cps.last.Seq; {
	case l.problem != "":
	case l.cps.path != "" && unsigned > maxUnsigned:
		l.note(fmt.Sprintf("records %d to %d are signed by no checkpoint: checkpoints were removed, or could not be written", l.cps.last.Seq+1, l.head.seq))
	default:
		l.checkpoint(true) // what a crash left unsigned
	}
	l.publish()
	return ctx.Err()
}

func orChanged(err error) error {
	if err == nil {
		return errColumns
	}
	return err
}

// inspectFile finds the newest record in the file and whether it belongs to our chain. Only at start may the file be ahead: then
// the store lost records, or never could take them, and gets them back.
func (l *Log) inspectFile(ctx context.Context, start bool) error {
	s := l.file
	line, err := s.newest()
	if err != nil {
		return err
	}
	s.known = true
	if line == nil {
		s.seq = l.head.seq // a new file begins where we are
		return nil
	}
	r, err := l.records.open(line)
	if err != nil {
		l.setFileAside(fmt.Sprintf("newest line of the audit file: %v", err))
		return nil
	}
	ours, err := l.belongs(ctx, r, start)
	if err != nil {
		s.known = false
		return err
	}
	if !ours {
		l.setFileAside(fmt.Sprintf("record %d of the audit file does not belong to the chain in the store", r.Seq))
		return nil
	}
	s.seq = r.Seq
	if r.Seq > l.head.seq {
		l.log.Warn().Int64("store", l.head.seq).Int64("file", r.Seq).Msg("the audit file holds records that the store lacks, putting them back")
		l.head = head{seq: r.Seq, hash: r.Hash}
	}
	return nil
}

// belongs reports whether the file's newest record r lies on the chain that ends in head.
func (l *Log) belongs(ctx context.Context, r Record, start bool) (bool, error) {
	switch {
	case r.Seq == l.head.seq:
		return r.Hash == l.head.hash, nil
	case r.Seq > l.head.seq && !start:
		return false, nil
	case r.Seq > l.head.seq:
		return l.continues()
	}
	var hash string
	err := l.store.db.WalkAudit(ctx, r.Seq, func(row store.AuditRow) error {
		hash = row.Hash
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return false, err
	}
	return hash == r.Hash, nil
}

// continues reports whether the files hold the record after head, linked to it. An empty store takes whatever there is.
func (l *Log) continues() (bool, error) {
	if l.head.seq == 0 {
		return true, nil
	}
	linked := false
	err := l.eachRecord(l.head.seq+1, func(r Record, _ []byte) error {
		linked = r.Seq == l.head.seq+1 && r.PrevHash == l.head.hash
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return false, err
	}
	return linked, nil
}

// newest returns the last whole line of the file, or of the newest rotated one while it is empty; nil when there is none.
func (s *fileSink) newest() ([]byte, error) {
	if s.f == nil {
		if err := s.open(); err != nil {
			return nil, err
		}
		s.compress() // what a crash left uncompressed
	}
	line, _, err := lastLine(s.f, s.size)
	if err != nil || line != nil {
		return line, err
	}
	s.gz.Wait()
	paths, err := Files(s.opts.Path)
	if err != nil {
		return nil, err
	}
	for _, path := range slices.Backward(paths) {
		err := eachLine(path, func(l []byte) error {
			line = append(line[:0], l...)
			return nil
		})
		if err != nil && !errors.Is(err, errTorn) {
			return nil, err
		}
		if line != nil {
			break
		}
	}
	return line, nil
}

// eachRecord calls fn for the sound records of all audit files from seq on, oldest first. What was changed is skipped and noted.
func (l *Log) eachRecord(seq int64, fn func(Record, []byte) error) error {
	if l.file == nil {
		return nil
	}
	l.file.gz.Wait() // files change their names while they are compressed
	paths, err := Files(l.file.opts.Path)
	if err != nil {
		return err
	}
	for _, path := range paths[l.startFile(paths, seq):] {
		err := eachLine(path, func(line []byte) error {
			r, err := l.records.open(line)
			if err != nil {
				l.note(fmt.Sprintf("%s: %v", path, err))
				return nil
			}
			if r.Seq < seq {
				return nil
			}
			return fn(r, line)
		})
		if err != nil && !errors.Is(err, errTorn) && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// startFile returns the index of the newest file that begins at or before seq.
func (l *Log) startFile(paths []string, seq int64) int {
	for i, path := range slices.Backward(paths) {
		line, err := firstLine(path)
		if err != nil || line == nil {
			continue
		}
		if r, err := l.records.open(line); err == nil && r.Seq <= seq {
			return i
		}
	}
	return 0
}

// fillStore copies the records from seq up to head out of the files. What the files do not have either is lost, and noted.
func (l *Log) fillStore(ctx context.Context, seq int64) error {
	var rows []store.AuditRow
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		err := l.store.db.AppendAudit(ctx, rows...)
		rows = rows[:0]
		return err
	}
	next := max(seq, l.cps.start.Seq+1) // what is before was removed on purpose
	err := l.eachRecord(next, func(r Record, line []byte) error {
		if r.Seq < next || r.Seq > l.head.seq {
			return nil
		}
		if r.Seq > next {
			l.note(fmt.Sprintf("records %d to %d are in neither store nor file", next, r.Seq-1))
		}
		next = r.Seq + 1
		rows = append(rows, row(r, slices.Clone(line)))
		if len(rows) < fillBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("put records back into the store: %w", err)
	}
	if next <= l.head.seq {
		l.note(fmt.Sprintf("records %d to %d are in neither store nor file", next, l.head.seq))
	}
	return nil
}

// fillFile copies the records that the file lacks out of the store, at most fillPass of them.
func (l *Log) fillFile(ctx context.Context) error {
	s := l.file
	var rows []store.AuditRow
	copied := 0
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		if err := s.append(joinLines(rows)); err != nil {
			return err
		}
		s.seq = rows[len(rows)-1].Seq
		rows = rows[:0]
		return nil
	}
	err := l.store.db.WalkAudit(ctx, s.seq+1, func(row store.AuditRow) error {
		if row.Seq > l.head.seq || copied == fillPass {
			return errStop
		}
		copied++
		rows = append(rows, row)
		if len(rows) < fillBatch {
			return nil
		}
		return flush()
	})
	if err == nil || errors.Is(err, errStop) {
		err = flush()
	}
	switch {
	case err != nil:
		return fmt.Errorf("put records back into the audit file: %w", err)
	case copied == fillPass && s.seq < l.head.seq:
		return fmt.Errorf("audit file is still %d records behind", l.head.seq-s.seq)
	case s.seq < l.head.seq && !l.store.level:
		return fmt.Errorf("audit file lacks %d records that the store cannot give", l.head.seq-s.seq)
	case s.seq < l.head.seq:
		l.note(fmt.Sprintf("records %d to %d are in neither store nor file", s.seq+1, l.head.seq))
		s.seq = l.head.seq
	}
	return nil
}
