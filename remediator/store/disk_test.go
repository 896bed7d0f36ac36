package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

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
