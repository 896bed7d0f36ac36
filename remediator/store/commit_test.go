package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

func openHere(t *testing.T) *SQLite {
	t.Helper()
	s, err := Open(context.Background(), Options{Dir: t.TempDir(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// blocked makes the committer wait inside a transaction until release is called.
func blocked(t *testing.T, s *SQLite) (release func()) {
	t.Helper()
	entered, leave := make(chan struct{}), make(chan struct{})
	go s.commitSoon(context.Background(), func(context.Context, *sql.Tx) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	<-entered
	return func() { close(leave) }
}

func put(id string) work {
	return func(_ context.Context, tx *sql.Tx) error {
		_, err := tx.Exec("INSERT INTO documents VALUES ('k', ?, '', 0, 0, X'7b7d')", id)
		return err
	}
}

func TestWaitingWritesShareATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		release := blocked(t, s)
		seen := map[*sql.Tx]int{}
		results := make(chan error)
		for i := range 100 {
			go func() {
				results <- s.commitSoon(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
					seen[tx]++
					return put(fmt.Sprint(i))(ctx, tx)
				})
			}()
		}
		synctest.Wait()
		release()
		for range 100 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if len(seen) != 1 {
			t.Errorf("100 waiting writes took %d transactions", len(seen))
		}
		s.Close()
	})
}

func TestOneBadWriteFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		release := blocked(t, s)
		bad := errors.New("bad")
		results := make(chan error, 3)
		for i, want := range []error{nil, bad, nil} {
			go func() {
				err := s.commitSoon(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return errors.Join(want, put(fmt.Sprint(i))(ctx, tx)) })
				if !errors.Is(err, want) {
					t.Errorf("write %d: %v, want %v", i, err, want)
				}
				results <- err
			}()
		}
		synctest.Wait()
		release()
		for range 3 {
			<-results
		}
		docs, _, err := s.ListDocuments(t.Context(), DocumentQuery{Kind: "k"})
		if err != nil || len(docs) != 2 {
			t.Errorf("%d documents of two good writes: %v", len(docs), err)
		}
		s.Close()
	})
}

func TestAWaitingWriteCanBeWithdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		release := blocked(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.commitSoon(ctx, put("late"))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("a write that waited too long: %v, want a plain deadline", err)
		}
		release()
		if err := s.commitSoon(t.Context(), put("next")); err != nil {
			t.Error(err)
		}
		if _, err := s.Document(t.Context(), "k", "late"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the withdrawn write happened: %v", err)
		}
		s.Close()
	})
}

func TestAWriteInHandHasAnUnknownOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		leave := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.commitSoon(ctx, func(ctx context.Context, tx *sql.Tx) error {
			<-leave
			return put("slow")(ctx, tx)
		})
		if !errors.Is(err, ErrOutcomeUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a write cut short by its deadline: %v", err)
		}
		close(leave)
		synctest.Wait()
		s.Close()
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openHere(t)
		release := blocked(t, s)
		for range queueSize {
			if err := s.enqueue(t.Context(), &write{do: func(context.Context, *sql.Tx) error { return nil }, done: make(chan error, 1)}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.commitSoon(ctx, put("x")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("a write beyond a full queue: %v, want a plain deadline", err)
		}
		release()
		s.Close()
	})
}

func TestCloseFinishesWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s, err := Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		release := blocked(t, s)
		results := make(chan error, 10)
		for i := range 10 {
			go func() { results <- s.commitSoon(t.Context(), put(fmt.Sprint(i))) }()
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		release()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for range 10 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		s, err = Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		if docs, _, err := s.ListDocuments(t.Context(), DocumentQuery{Kind: "k"}); err != nil || len(docs) != 10 {
			t.Errorf("%d of 10 accepted documents are stored: %v", len(docs), err)
		}
		s.Close()
	})
}
