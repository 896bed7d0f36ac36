package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

const (
	defaultMaxSizeMB = 100
	defaultBackups   = 10
)

// FileOptions are the settings of the JSON-lines file.
type FileOptions struct {
	Path      string // empty: no file. Its directory is created with mode 0750 when missing
	MaxSizeMB int    // size at which it rotates; 0 means 100
	Backups   int    // rotated files that are kept, gzip-compressed; 0 means 10
	Rotate    bool   // false: it grows until another program (logrotate) moves it away, which is noticed
}

// file is the JSON-lines file. Its methods are not safe for concurrent use.
type file struct {
	opts FileOptions
	log  zerolog.Logger
	f    *os.File // nil: to be opened
	size int64    // bytes of whole, acknowledged lines
	torn bool     // a failed write may have left bytes beyond size
	gz   sync.WaitGroup
}

func newFile(opts FileOptions, log zerolog.Logger) *file {
	if opts.MaxSizeMB <= 0 {
		opts.MaxSizeMB = defaultMaxSizeMB
	}
	if opts.Backups <= 0 {
		opts.Backups = defaultBackups
	}
	return &file{opts: opts, log: log}
}

// open opens or creates the file and cuts off half a line at its end, which a crash may have left: it was never acknowledged.
func (f *file) open() error {
	dir := filepath.Dir(f.opts.Path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create audit directory: %w", err)
	}
	fd, err := os.OpenFile(f.opts.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open audit file: %w", err)
	}
	size, err := f.settle(fd)
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open audit file: %w", err), fd.Close())
	}
	f.f, f.size, f.torn = fd, size, false
	return nil
}

func (f *file) settle(fd *os.File) (int64, error) {
	info, err := fd.Stat()
	if err != nil {
		return 0, err
	}
	// A wrong path in the configuration must not cost another program its file.
	first := []byte{'{'}
	if _, err := fd.ReadAt(first, 0); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	if first[0] != '{' {
		return 0, fmt.Errorf("%s is not an audit file", f.opts.Path)
	}
	// A group may have been given the right to read, for a log shipper; nothing more.
	if mode := info.Mode().Perm(); mode&0o037 != 0 {
		if err := fd.Chmod(mode &^ 0o037); err != nil {
			return 0, err
		}
	}
	_, end, err := lastLine(fd, info.Size())
	if err != nil {
		return 0, err
	}
	if end < info.Size() {
		f.log.Warn().Str("file", f.opts.Path).Int64("bytes", info.Size()-end).Msg("cut off an incomplete audit line, left by a crash")
		if err := fd.Truncate(end); err != nil {
			return 0, err
		}
	}
	return end, nil
}

// append writes whole lines and returns when they are durable. After an error none of them counts, and the file is put back.
func (f *file) append(lines []byte) error {
	if err := f.ready(int64(len(lines))); err != nil {
		return err
	}
	_, err := f.f.Write(lines)
	if err == nil {
		err = f.f.Sync()
	}
	if err != nil {
		f.torn = true
		return errors.Join(fmt.Errorf("write audit file: %w", err), f.mend())
	}
	f.size += int64(len(lines))
	return nil
}

// ready makes sure that the open file is the one at the path, with room for n bytes, and without left-overs of a failed write.
func (f *file) ready(n int64) error {
	if f.f != nil && f.touched() {
		f.log.Warn().Str("file", f.opts.Path).Msg("audit file was moved, removed or changed by another program, opening it anew")
		_ = f.close()
	}
	if f.f == nil {
		if err := f.open(); err != nil {
			return err
		}
	}
	if err := f.mend(); err != nil {
		return err
	}
	if f.opts.Rotate && f.size > 0 && f.size+n > int64(f.opts.MaxSizeMB)<<20 {
		return f.rotate()
	}
	return nil
}

// touched reports whether the path no longer leads to the file that we left there: logrotate has moved it, or somebody has
// shortened it or written to it.
func (f *file) touched() bool {
	have, err := f.f.Stat()
	if err != nil {
		return true
	}
	there, err := os.Stat(f.opts.Path)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return !os.SameFile(have, there) || !f.torn && have.Size() != f.size
}

// mend cuts off what a failed write may have left.
func (f *file) mend() error {
	if !f.torn {
		return nil
	}
	if err := f.f.Truncate(f.size); err != nil {
		return fmt.Errorf("take back a failed write to the audit file: %w", err)
	}
	f.torn = false
	return nil
}

func (f *file) close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// shut waits for a compression in hand and closes the file.
func (f *file) shut() error {
	f.gz.Wait()
	return f.close()
}

// setAside moves a file that does not continue our chain out of the way and keeps it as evidence.
func (f *file) setAside(now time.Time) (string, error) {
	if err := f.close(); err != nil {
		return "", err
	}
	to := f.opts.Path + ".aside-" + now.UTC().Format("20060102T150405.000000")
	if err := os.Rename(f.opts.Path, to); err != nil {
		return "", fmt.Errorf("set audit file aside: %w", err)
	}
	return to, syncDir(filepath.Dir(f.opts.Path))
}

// lastLine returns the last whole line of a file of the given size, without its line feed, and where it ends.
func lastLine(r io.ReaderAt, size int64) (line []byte, end int64, err error) {
	for back := int64(64 << 10); ; back *= 4 {
		start := max(0, size-back)
		buf := make([]byte, size-start)
		if _, err := r.ReadAt(buf, start); err != nil && !errors.Is(err, io.EOF) {
			return nil, 0, err
		}
		stop := bytes.LastIndexByte(buf, '\n')
		begin := -1
		if stop > 0 {
			begin = bytes.LastIndexByte(buf[:stop], '\n')
		}
		switch {
		case stop >= 0 && (begin >= 0 || start == 0):
			return buf[begin+1 : stop], start + int64(stop) + 1, nil
		case start == 0:
			return nil, 0, nil // not one whole line
		}
	}
}
