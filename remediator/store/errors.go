package store

import (
	"errors"
	"fmt"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Errors that a caller can act on. They are wrapped; use errors.Is.
var (
	// ErrFull says that the disk has no room. The store goes on by itself once there is room again.
	ErrFull = errors.New("no space left for the store")
	// ErrClosed is returned by every method after Close.
	ErrClosed = errors.New("store is closed")
	// ErrConflict is returned by AppendAudit when a row with the same Seq is stored already.
	ErrConflict = errors.New("audit sequence number is taken")
	// ErrOutcomeUnknown accompanies a context error when the caller stopped waiting for a write that was already being
	// committed: it may be stored or not, and the caller has to look.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrCorrupt says that the database is damaged or is not one of ours.
	ErrCorrupt = errors.New("store is damaged")
	// ErrNewerSchema says that a newer program wrote this store; this one must not touch it.
	ErrNewerSchema = errors.New("store was written by a newer version")
	// ErrBadCursor is returned for a cursor that did not come from the same kind of list.
	ErrBadCursor = errors.New("bad cursor")
)

// LockedError says that another process uses the data directory.
type LockedError struct {
	Dir string
	PID int // 0: the holder did not say
}

// Error names the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("data directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("data directory %s is in use by process %d", e.Dir, e.PID)
}

// isTaken reports whether an insert failed because its primary key is there already.
func isTaken(err error) bool {
	se, ok := errors.AsType[*sqlite.Error](err)
	return ok && se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// meaning wraps an error of SQLite with the sentinel that says what it means to a caller.
func (s *SQLite) meaning(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	se, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case sqlite3.SQLITE_IOERR:
		// A full disk shows up as a bare I/O error when it is the shared-memory file or an fsync that finds it.
		if s.diskFull() {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// minFree is how much room SQLite needs for the smallest commit and its index of the write-ahead log.
const minFree = 256 << 10

func (s *SQLite) diskFull() bool {
	var fs syscall.Statfs_t
	if syscall.Statfs(s.dir, &fs) != nil {
		return false
	}
	return fs.Bavail*uint64(fs.Bsize) < minFree
}
