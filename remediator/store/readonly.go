package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrReadOnly is returned by every write to a store from OpenReadOnly.
var ErrReadOnly = errors.New("store was opened for reading only")

// OpenReadOnly opens the store in dir for reading, beside a process that may be using it: for verification and export by hand. It
// changes nothing, not even its schema, which must be the newest. The caller must Close it.
func OpenReadOnly(ctx context.Context, opts Options) (*SQLite, error) {
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	path := filepath.Join(dir, dbName)
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := newSQLite(dir, opts.Logger)
	s.readOnly = true
	close(s.done) // there is no committer
	if err := s.openReadOnly(ctx, path); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", s.classify(err)), s.release())
	}
	return s, nil
}

func (s *SQLite) openReadOnly(ctx context.Context, path string) error {
	mode := "mode=ro"
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		// Nobody has it open, and SQLite would make files of its own to read it, perhaps as another user. The shared lock keeps
		// the program from starting meanwhile.
		if s.lock, err = shareDir(s.dir); err != nil {
			return err
		}
		if s.lock != nil {
			mode = "immutable=1"
		}
	}
	var err error
	if s.r, err = sql.Open("sqlite", dsn(path, mode)); err != nil {
		return err
	}
	s.r.SetMaxOpenConns(readers)
	version, err := checkIdentity(ctx, s.r, len(migrations))
	if err != nil {
		return err
	}
	if version < len(migrations) {
		return fmt.Errorf("it has schema %d, this program needs %d: start the program once to bring it up to date", version, len(migrations))
	}
	return nil
}

// shareDir takes the lock of the directory together with other readers; nil when a process uses the store after all.
func shareDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock data directory: %w", err)
}
