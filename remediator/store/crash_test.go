package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/remediator/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, appendForever) }

// appendForever is the child: it appends from several writers and prints a number when its row is acknowledged.
func appendForever(dir string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		return err
	}
	acked, failed := make(chan int64), make(chan error)
	var next int64
	if last, err := s.LastAudit(ctx); err == nil {
		next = last.Seq
	}
	const writers = 8
	for w := range int64(writers) {
		go func() {
			for seq := next + w + 1; ; seq += writers {
				if err := s.AppendAudit(ctx, store.AuditRow{Seq: seq, Time: time.Now(), JSON: make([]byte, 800)}); err != nil {
					failed <- err
					return
				}
				acked <- seq
			}
		}()
	}
	for {
		select {
		case seq := <-acked:
			fmt.Fprintln(os.Stdout, seq)
		case err := <-failed:
			return err
		}
	}
}

// A process that dies in the middle of appends has lost nothing that it acknowledged.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acked := map[int64]bool{}
	for round := range 4 {
		child := storetest.Start(t, dir)
		child.Lines(t, 150+70*round, func(line string) { acked[mustInt(t, line)] = true })
		child.Kill()
		s := open(t, dir)
		got := map[int64]bool{}
		if err := s.WalkAudit(t.Context(), 1, func(r store.AuditRow) error {
			got[r.Seq] = true
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for seq := range acked {
			if !got[seq] {
				t.Errorf("round %d: row %d was acknowledged and is gone", round, seq)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func mustInt(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestSecondProcessIsRefusedAndToldWho(t *testing.T) {
	dir := t.TempDir()
	child := storetest.Start(t, dir)
	child.Lines(t, 1, func(string) {})
	_, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != child.PID() || !strings.Contains(err.Error(), strconv.Itoa(child.PID())) {
		t.Fatalf("second process: %v, want a LockedError of %d", err, child.PID())
	}
	child.Kill()
	open(t, dir) // the lock went with its holder
}

func TestSecondOpenInTheSameProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	if _, ok := errors.AsType[*store.LockedError](err); !ok {
		t.Fatalf("second open: %v, want a LockedError", err)
	}
	if msg := (&store.LockedError{Dir: "d"}).Error(); !strings.Contains(msg, "another process") {
		t.Errorf("message without a known holder: %q", msg)
	}
}

// Whoever verifies or exports by hand reads beside the running program and leaves nothing behind.
func TestReadOnlyBesideAWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	readOnly := func() *store.SQLite {
		t.Helper()
		r, err := store.OpenReadOnly(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if _, err := store.OpenReadOnly(t.Context(), store.Options{Dir: dir}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	w := open(t, dir)
	if err := w.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); err != nil {
		t.Fatal(err)
	}
	r := readOnly()
	if last, err := r.LastAudit(t.Context()); err != nil || last.Seq != 1 {
		t.Errorf("%d, %v", last.Seq, err)
	}
	if err := w.AppendAudit(t.Context(), store.AuditRow{Seq: 2}); err != nil {
		t.Fatal(err)
	}
	if last, err := r.LastAudit(t.Context()); err != nil || last.Seq != 2 {
		t.Errorf("%d, %v", last.Seq, err)
	}
	if err := r.AppendAudit(t.Context(), store.AuditRow{Seq: 3}); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("a write: %v, want ErrReadOnly", err)
	}
	if err := errors.Join(r.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	r = readOnly()
	if last, err := r.LastAudit(t.Context()); err != nil || last.Seq != 2 {
		t.Errorf("of a closed store: %d, %v", last.Seq, err)
	}
	var locked *store.LockedError
	if _, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()}); !errors.As(err, &locked) {
		t.Errorf("the program started under a reader of a quiet file: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadDir(dir); err != nil || len(after) != len(before) {
		t.Errorf("files before %v and after %v, %v", before, after, err)
	}
	child := storetest.Start(t, dir)
	child.Lines(t, 20, func(string) {})
	child.Kill()
	r = readOnly() // what a crash left
	if last, err := r.LastAudit(t.Context()); err != nil || last.Seq < 15 {
		t.Errorf("after a crash: %d, %v", last.Seq, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
