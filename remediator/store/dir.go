package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
)

const (
	dbName   = "redis-medic.db"
	lockName = "redis-medic.lock"
)

// Magic numbers of network file systems (statfs(2)). SQLite's shared memory and flock do not hold across machines there.
var networkFS = map[int64]string{
	0x6969:     "NFS",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x517b:     "SMB",
	0x5346414f: "AFS",
}

// prepareDir makes sure that dir exists, is on a local disk, belongs to us and is closed to others.
func prepareDir(dir string, log zerolog.Logger) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	var sfs syscall.Statfs_t
	if err := syscall.Statfs(dir, &sfs); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	if name, ok := networkFS[int64(uint32(sfs.Type))]; ok {
		return fmt.Errorf("data directory %s is on a network file system (%s): a local disk is needed", dir, name)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at data directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is not a directory", dir)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("data directory %s belongs to user %d, not to the user %d that runs this program", dir, st.Uid, os.Geteuid())
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	// A directory with strangers' files in it is more likely a slip in the configuration (/tmp, a home) than ours to close.
	if own, err := looksOwn(dir); err != nil || !own {
		return errors.Join(fmt.Errorf("data directory %s is open to others (mode %04o) and holds other files: use an empty one or chmod 700 it",
			dir, info.Mode().Perm()), err)
	}
	log.Warn().Str("dir", dir).Str("mode", fmt.Sprintf("%04o", info.Mode().Perm())).Msg("data directory was open to others, closed it")
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("close data directory to others: %w", err)
	}
	return nil
}

// looksOwn reports whether dir is empty or already holds our database.
func looksOwn(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), dbName) || e.Name() == lockName {
			return true, nil
		}
	}
	return len(entries) == 0, nil
}

// prepareFile creates the database file with a closed mode before SQLite does; its side files take over that mode.
func prepareFile(path string, log zerolog.Logger) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("create database file: %w", err)
	}
	defer f.Close()
	for _, p := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look at database file: %w", err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			log.Warn().Str("file", p).Msg("database file was open to others, closed it")
			if err := os.Chmod(p, 0o600); err != nil {
				return fmt.Errorf("close database file to others: %w", err)
			}
		}
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open directory to sync it: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// lockDir takes the directory for this process until the returned file is closed. The kernel drops the lock when the process
// dies, so a stale lock file never blocks.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &LockedError{Dir: dir, PID: readPID(f)}
		}
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	// The number is only for the message of a second process, so a full disk must not stop us here.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func readPID(f *os.File) int {
	buf := make([]byte, 32)
	n, _ := f.ReadAt(buf, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}
