package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// Names of the sinks in metrics, health and log.
const (
	sinkStore      = "store"
	sinkFile       = "file"
	sinkCheckpoint = "checkpoint"
	sinkForward    = "forward"
)

// sinkState is what the log knows of a sink.
type sinkState struct {
	level bool  // it holds every record up to head and can take the next one
	err   error // why not; nil: not looked at yet
	since time.Time
	retry time.Time     // not before, as long as the other sink works
	pause time.Duration // before the next retry
}

func (s *sinkState) due() bool { return !s.level && !time.Now().Before(s.retry) }

type storeSink struct {
	sinkState
	db store.Audit
}

type fileSink struct {
	sinkState
	*file
	known bool  // seq is true
	seq   int64 // newest record in the file
}

func (l *Log) fail(name string, s *sinkState, err error) {
	l.metrics.failures.WithLabelValues(name).Inc()
	if s.err == nil {
		s.since = l.opts.Now()
		l.log.Error().Err(err).Str("sink", name).Msg("audit sink failed")
	}
	// A sink that hangs holds up every record while it is tried, so it is tried ever more rarely.
	if s.pause = min(2*s.pause, retryMax); !errors.Is(err, context.DeadlineExceeded) || s.pause == 0 {
		s.pause = retryAfter
	}
	s.level, s.err, s.retry = false, err, time.Now().Add(s.pause)
}

func (l *Log) recovered(name string, s *sinkState) {
	if s.err != nil {
		l.log.Info().Str("sink", name).Dur("after", l.opts.Now().Sub(s.since)).Int64("seq", l.head.seq).Msg("audit sink works again and is up to date")
	}
	s.level, s.err, s.pause = true, nil, 0
}

// write gives a batch its place in the chain and writes it to the sinks.
func (l *Log) write(batch []*entry) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	ctx := context.Background()
	var err error
	for range 3 {
		if err = l.try(ctx, batch); !errors.Is(err, errAgain) {
			break
		}
	}
	if err != nil {
		l.publish()
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	for _, e := range batch {
		l.metrics.count(e.rec.Phase)
	}
	l.checkpoint(false)
	l.publish()
	return nil
}

// errAgain asks for another round.
var errAgain = errors.New("look again")

func (l *Log) try(ctx context.Context, batch []*entry) error {
	all := l.heal(ctx)
	sealed, rows, err := l.seal(batch)
	if err != nil {
		return err
	}
	storeErr := l.writeStore(ctx, rows)
	if errors.Is(storeErr, store.ErrConflict) {
		// An earlier write, whose outcome was unknown, was stored after all: its records stand, ours follow.
		return fmt.Errorf("%w: %w", errAgain, storeErr)
	}
	fileErr := l.writeFile(rows)
	switch {
	case storeErr != nil && fileErr != nil && !all:
		return fmt.Errorf("%w: %w", errAgain, errors.Join(storeErr, fileErr))
	case storeErr != nil && fileErr != nil:
		return errors.Join(storeErr, fileErr)
	}
	for i, e := range batch {
		e.rec = sealed[i]
	}
	last := rows[len(rows)-1]
	l.head = head{seq: last.Seq, hash: last.Hash}
	return nil
}

// seal chains a batch behind head, without moving head yet.
func (l *Log) seal(batch []*entry) ([]Record, []store.AuditRow, error) {
	now := l.opts.Now().UTC().Truncate(timePrecision)
	at := l.head
	recs := make([]Record, 0, len(batch))
	rows := make([]store.AuditRow, 0, len(batch))
	for _, e := range batch {
		r := e.rec
		r.Time, r.Chain, r.Seq, r.PrevHash = now, l.opts.Chain, at.seq+1, at.hash
		r, line, err := l.records.seal(r)
		if err != nil {
			return nil, nil, err
		}
		at = head{seq: r.Seq, hash: r.Hash}
		recs = append(recs, r)
		rows = append(rows, row(r, line))
	}
	return recs, rows, nil
}

var errNotLevel = errors.New("sink is not up to date")

func (l *Log) writeStore(ctx context.Context, rows []store.AuditRow) error {
	s := &l.store
	if !s.level {
		return errors.Join(errNotLevel, s.err)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := s.db.AppendAudit(ctx, rows...)
	if errors.Is(err, store.ErrConflict) {
		s.level, s.retry = false, time.Time{}
		return err
	}
	if err != nil {
		l.fail(sinkStore, &s.sinkState, err)
	}
	return err
}

func (l *Log) writeFile(rows []store.AuditRow) error {
	s := l.file
	if s == nil {
		return errNotLevel
	}
	if !s.level {
		return errors.Join(errNotLevel, s.err)
	}
	if err := s.append(joinLines(rows)); err != nil {
		l.fail(sinkFile, &s.sinkState, err)
		return err
	}
	s.seq = rows[len(rows)-1].Seq
	return nil
}

func joinLines(rows []store.AuditRow) []byte {
	var buf bytes.Buffer
	for _, r := range rows {
		buf.Write(r.JSON)
		buf.WriteByte('\n')
	}
	return buf.Bytes()
}

// heal brings the sinks that are not level up to date. One that failed a moment ago is left alone, unless no other works; all is
// false if that was so.
func (l *Log) heal(ctx context.Context) (all bool) {
	all = true
	working := l.store.level // a store that answers a read may still refuse the write
	switch {
	case working:
	case l.store.due(), l.file == nil, !l.file.level:
		l.healStore(ctx)
	default:
		all = false
	}
	switch {
	case l.file == nil || l.file.level:
	case l.file.due(), !working:
		l.healFile(ctx)
	default:
		all = false
	}
	return all
}

// healStore looks where the store stands. It may be ahead of us by writes whose outcome was unknown, or behind by records that
// only the file could take.
func (l *Log) healStore(ctx context.Context) {
	last, err := l.lastRow(ctx)
	switch {
	case err != nil:
	case last.Seq > l.head.seq:
		l.log.Warn().Int64("from", l.head.seq).Int64("to", last.Seq).Msg("the store holds audit records whose outcome was unknown, going on behind them")
		l.head = head{seq: last.Seq, hash: last.Hash}
		if l.file != nil {
			l.file.level = false
		}
	case last.Seq == l.head.seq && last.Hash != l.head.hash:
		// Two histories with the same number. The store's is the one that is queried, so the file's is kept apart.
		l.setFileAside(fmt.Sprintf("store and file disagree about record %d", last.Seq))
		l.head.hash = last.Hash
	case last.Seq < l.head.seq:
		err = l.fillStore(ctx, last.Seq+1)
	}
	if err != nil {
		l.fail(sinkStore, &l.store.sinkState, err)
		return
	}
	l.recovered(sinkStore, &l.store.sinkState)
}

// lastRow returns the newest row of the store, a zero one when it is empty.
func (l *Log) lastRow(ctx context.Context) (store.AuditRow, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	last, err := l.store.db.LastAudit(ctx)
	if errors.Is(err, store.ErrNotFound) {
		return store.AuditRow{}, nil
	}
	return last, err
}

// healFile writes what the file lacks, a part of it at a time, so that a long absence does not hold up the records of today.
func (l *Log) healFile(ctx context.Context) {
	s := l.file
	if !s.known {
		if err := l.inspectFile(ctx, false); err != nil {
			l.fail(sinkFile, &s.sinkState, err)
			return
		}
	}
	if s.seq < l.head.seq {
		if err := l.fillFile(ctx); err != nil {
			l.fail(sinkFile, &s.sinkState, err)
			return
		}
	}
	l.recovered(sinkFile, &s.sinkState)
}

// note keeps the first fault of the chain that was come across, for Health and the log.
func (l *Log) note(problem string) {
	l.log.Error().Str("problem", problem).Msg("audit chain is not sound")
	if l.problem == "" {
		l.problem = problem
	}
}

func (l *Log) setFileAside(why string) {
	l.note(why)
	s := l.file
	if s == nil {
		return
	}
	to, err := s.setAside(l.opts.Now())
	if err != nil {
		l.log.Error().Err(err).Msg("audit file could not be set aside")
	} else {
		l.log.Warn().Str("file", to).Msg("audit file was set aside, starting a new one")
	}
	s.seq, s.known = l.head.seq, true
}
