package audit

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

const gzSuffix = ".gz"

func backupName(path string, n int) string { return path + "." + strconv.Itoa(n) }

// rotate moves the file to .1 and the older ones up by one; the oldest goes. A file that cannot be moved is written on: a file
// that is too long is better than a record that is lost.
func (f *file) rotate() error {
	f.gz.Wait()
	if err := f.shift(); err != nil {
		f.log.Error().Err(err).Str("file", f.opts.Path).Msg("audit file could not be rotated, writing on")
		if f.f == nil {
			return f.open()
		}
		return nil
	}
	if err := f.close(); err != nil {
		return fmt.Errorf("rotate audit file: %w", err)
	}
	f.compress()
	return f.open()
}

func (f *file) shift() error {
	path := f.opts.Path
	if err := errors.Join(remove(backupName(path, f.opts.Backups)), remove(backupName(path, f.opts.Backups)+gzSuffix)); err != nil {
		return err
	}
	for n := f.opts.Backups - 1; n >= 1; n-- {
		for _, suffix := range []string{"", gzSuffix} {
			err := os.Rename(backupName(path, n)+suffix, backupName(path, n+1)+suffix)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Rename(path, backupName(path, 1))
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// compress compresses, beside the appends, every rotated file that is still plain: normally the newest one.
func (f *file) compress() {
	f.gz.Go(func() {
		for n := 1; n <= f.opts.Backups; n++ {
			if err := compressFile(backupName(f.opts.Path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				f.log.Error().Err(err).Msg("rotated audit file could not be compressed, it stays as it is")
			}
		}
	})
}

// compressFile replaces path by path.gz. The plain file goes only when the other is complete and durable.
func compressFile(path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := path + gzSuffix + ".tmp"
	out, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	zw := gzip.NewWriter(out)
	_, err = io.Copy(zw, in)
	if err = errors.Join(err, zw.Close(), out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path+gzSuffix); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Dir(path)), os.Remove(path))
}
