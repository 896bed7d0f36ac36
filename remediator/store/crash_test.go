package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// The test binary runs itself as a child process; these name the part and the directory of the child.
const (
	childRole = "REDIS_MEDIC_STORE_TEST_CHILD"
	childDir  = "REDIS_MEDIC_STORE_TEST_DIR"
)

func TestMain(m *testing.M) {
	if os.Getenv(childRole) == "append" {
		appendForever(os.Getenv(childDir))
	}
	os.Exit(m.Run())
}

// appendForever is the child: it appends from several writers and prints a number when its row is acknowledged.
func appendForever(dir string) {
	ctx := context.Background()
	s, err := store.Open(ctx, store.Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	acked := make(chan int64)
	var next int64
	if last, err := s.LastAudit(ctx); err == nil {
		next = last.Seq
	}
	const writers = 8
	for w := range int64(writers) {
		go func() {
			for seq := next + w + 1; ; seq += writers {
				if err := s.AppendAudit(ctx, store.AuditRow{Seq: seq, Time: time.Now(), JSON: make([]byte, 800)}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				acked <- seq
			}
		}()
	}
	for seq := range acked {
		fmt.Println(seq)
	}
}

func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"=append", childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// A process that dies in the middle of appends has lost nothing that it acknowledged.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acked := map[int64]bool{}
	for round := range 4 {
		cmd, out := startChild(t, dir)
		for range 150 + 70*round {
			if !out.Scan() {
				t.Fatal("the child ended early")
			}
			acked[mustInt(t, out.Text())] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait()
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
	cmd, out := startChild(t, dir)
	if !out.Scan() {
		t.Fatal("the child did not start")
	}
	_, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	var locked *store.LockedError
	if !errors.As(err, &locked) || locked.PID != cmd.Process.Pid || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) {
		t.Fatalf("second process: %v, want a LockedError of %d", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	open(t, dir) // the lock went with its holder
}

func TestSecondOpenInTheSameProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	var locked *store.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("second open: %v, want a LockedError", err)
	}
	if msg := (&store.LockedError{Dir: "d"}).Error(); !strings.Contains(msg, "another process") {
		t.Errorf("message without a known holder: %q", msg)
	}
}

func TestDirectoryRules(t *testing.T) {
	tryOpen := func(dir string) error {
		s, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
		if err != nil {
			return err
		}
		return s.Close()
	}
	mode := func(path string) os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	t.Run("a missing one is made", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a", "b")
		if err := tryOpen(dir); err != nil || mode(dir) != 0o700 {
			t.Errorf("%v, mode %04o", err, mode(dir))
		}
	})
	t.Run("an open one is closed", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "a?b#c%41 d") // and its name is taken as it is
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := tryOpen(dir); err != nil || mode(dir) != 0o700 || mode(filepath.Join(dir, "redis-medic.db")) != 0o600 {
				t.Errorf("%v, mode %04o", err, mode(dir))
			}
			if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, "redis-medic.db"), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("an open one with strangers is refused", func(t *testing.T) {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "x"), nil, 0o644), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := tryOpen(dir); err == nil || !strings.Contains(err.Error(), "open to others") || mode(dir) != 0o755 {
			t.Errorf("%v, mode %04o", err, mode(dir))
		}
	})
	t.Run("a file is refused", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := tryOpen(path); err == nil {
			t.Error("opened a store in a file")
		}
	})
	t.Run("another user's is refused", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root to give a directory away")
		}
		dir := t.TempDir()
		if err := os.Chown(dir, 12345, 12345); err != nil {
			t.Fatal(err)
		}
		if err := tryOpen(dir); err == nil || !strings.Contains(err.Error(), "belongs to user 12345") {
			t.Error(err)
		}
	})
	t.Run("none given", func(t *testing.T) {
		if tryOpen("") == nil {
			t.Error("opened a store without a directory")
		}
	})
	t.Run("a link for a database is refused", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "d")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/dev/null", filepath.Join(dir, "redis-medic.db"))); err != nil {
			t.Fatal(err)
		}
		if tryOpen(dir) == nil {
			t.Error("followed a link")
		}
	})
}

func TestADamagedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for seq := range int64(200) {
		if err := s.AppendAudit(t.Context(), store.AuditRow{Seq: seq + 1, JSON: make([]byte, 500)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "redis-medic.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]int{"header": 0, "page": 4096 * 5, "another page": 4096 * 12} {
		t.Run(name, func(t *testing.T) {
			bad := append([]byte(nil), whole...)
			copy(bad[at:], "\xff\xff\xff\xff\xff\xff\xff\xff garbage, not a page of a tree")
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(t.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()}); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("open of a damaged file: %v, want ErrCorrupt", err)
			}
		})
	}
}

// smallDisk mounts a file system of the given size that goes away with the test.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

func TestFullDiskIsSaidAndLeftAgain(t *testing.T) {
	disk := smallDisk(t, "4m")
	s := open(t, filepath.Join(disk, "data"))
	t.Cleanup(func() { s.Close() }) // before the unmount
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var acked int64
	var err error
	for err == nil && acked < 10000 {
		if err = s.AppendAudit(t.Context(), store.AuditRow{Seq: acked + 1, JSON: make([]byte, 4000)}); err == nil {
			acked++
		}
	}
	if !errors.Is(err, store.ErrFull) {
		t.Fatalf("append to a full disk after %d rows: %v, want ErrFull", acked, err)
	}
	if last, err := s.LastAudit(t.Context()); err != nil || last.Seq != acked {
		t.Errorf("newest row on a full disk is %d, want %d: %v", last.Seq, acked, err)
	}
	if err := s.PutDocuments(t.Context(), store.Document{Kind: "k", ID: "i", JSON: make([]byte, 100<<10)}); !errors.Is(err, store.ErrFull) {
		t.Errorf("a large document on a full disk: %v, want ErrFull", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.AppendAudit(t.Context(), store.AuditRow{Seq: acked + 1, JSON: make([]byte, 4000)}); err != nil {
		t.Errorf("append after room was made: %v", err)
	}
	n := int64(0)
	if err := s.WalkAudit(t.Context(), 1, func(store.AuditRow) error { n++; return nil }); err != nil || n != acked+1 {
		t.Errorf("%d rows, want %d: %v", n, acked+1, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoStoreOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, "64k")
	if _, err := store.Open(t.Context(), store.Options{Dir: filepath.Join(disk, "data"), Logger: zerolog.Nop()}); !errors.Is(err, store.ErrFull) {
		t.Errorf("open on a disk without room: %v, want ErrFull", err)
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
	cmd, out := startChild(t, dir)
	for range 20 {
		out.Scan()
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	r = readOnly() // what a crash left
	if last, err := r.LastAudit(t.Context()); err != nil || last.Seq < 15 {
		t.Errorf("after a crash: %d, %v", last.Seq, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
