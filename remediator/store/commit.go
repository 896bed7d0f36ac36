package store

import (
	"context"
	"fmt"
	"sync/atomic"
)

// The life of a write: whoever moves it out of queued decides whether it happens.
const (
	queued int32 = iota
	taken
	withdrawn
)

// write is one caller's part of a transaction.
type write struct {
	do    work
	state atomic.Int32
	done  chan error // holds one result
}

// commitSoon runs do in a durable transaction that it may share with other callers. When ctx ends first, nothing was written if
// the error does not say ErrOutcomeUnknown.
func (s *SQLite) commitSoon(ctx context.Context, do work) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	w := &write{do: do, done: make(chan error, 1)}
	if err := s.enqueue(ctx, w); err != nil {
		return err
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		if w.state.CompareAndSwap(queued, withdrawn) {
			return ctx.Err()
		}
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
	}
}

// enqueue waits for a place in the queue. It holds the read lock meanwhile, so that Close cannot close the queue under it; the
// committer keeps emptying the queue until then.
func (s *SQLite) enqueue(ctx context.Context, w *write) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if s.readOnly {
		return ErrReadOnly
	}
	select {
	case s.queue <- w:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitLoop is the only user of the write connection. While one transaction is being synced the next callers queue up, and
// they share the next one.
func (s *SQLite) commitLoop() {
	defer close(s.done)
	for w := range s.queue {
		batch := s.collect(w)
		if len(batch) > 0 {
			s.commitBatch(batch)
		}
	}
}

func (s *SQLite) collect(first *write) []*write {
	var batch []*write
	take := func(w *write) {
		if w.state.CompareAndSwap(queued, taken) {
			batch = append(batch, w)
		}
	}
	take(first)
	for len(batch) < maxBatch {
		select {
		case w, ok := <-s.queue:
			if !ok {
				return batch
			}
			take(w)
		default:
			return batch
		}
	}
	return batch
}

// commitBatch commits all in one transaction. When that fails each gets its own, so that one bad write fails alone.
func (s *SQLite) commitBatch(batch []*write) {
	err := s.commit(batch)
	if err == nil || len(batch) == 1 {
		for _, w := range batch {
			w.done <- err
		}
		return
	}
	for _, w := range batch {
		w.done <- s.commit([]*write{w})
	}
}

func (s *SQLite) commit(batch []*write) error {
	// The callers' contexts end their waiting, not the transaction of all the others.
	ctx := context.Background()
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", s.classify(err))
	}
	for _, w := range batch {
		if err := w.do(ctx, tx); err != nil {
			// SQLite has rolled back by itself after some errors; a connection that is really stuck fails the next begin.
			_ = tx.Rollback()
			return s.classify(err)
		}
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		return fmt.Errorf("commit: %w", s.classify(err))
	}
	return nil
}
