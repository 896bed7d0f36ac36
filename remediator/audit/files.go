package audit

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxLine is far beyond the longest record; a longer line is no record.
const maxLine = 4 << 20

var errTorn = errors.New("last line is incomplete: a crash or a cut")

// Files returns the audit file at path and its rotated predecessors, oldest first, as VerifyFiles wants them.
func Files(path string) ([]string, error) {
	names, err := filepath.Glob(globQuote(path) + ".*")
	if err != nil {
		return nil, fmt.Errorf("list audit files: %w", err)
	}
	byNumber := map[int]string{}
	highest := 0
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(name, path+"."), gzSuffix))
		if err != nil || n < 1 {
			continue
		}
		// While a file is being compressed both are there for a moment; the plain one is complete.
		if byNumber[n] == "" || !strings.HasSuffix(name, gzSuffix) {
			byNumber[n] = name
		}
		highest = max(highest, n)
	}
	var out []string
	for n := highest; n >= 1; n-- {
		if name := byNumber[n]; name != "" {
			out = append(out, name)
		}
	}
	if _, err := os.Stat(path); err == nil {
		out = append(out, path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list audit files: %w", err)
	}
	return out, nil
}

func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// eachLine calls fn for every line of a plain or gzip-compressed file, without its line feed; the slice is valid only during
// the call. Half a line at the end is errTorn.
func eachLine(path string, fn func([]byte) error) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && !strings.HasSuffix(path, gzSuffix) {
		path += gzSuffix // compressed since it was listed
		f, err = os.Open(path)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var src io.Reader = f
	if strings.HasSuffix(path, gzSuffix) {
		zr, err := gzip.NewReader(f)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		src = zr
	}
	sc := bufio.NewScanner(src)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	sc.Split(splitLines)
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// splitLines differs from bufio.ScanLines where that one would hide a change: it keeps a carriage return and refuses half a line.
func splitLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return 0, nil, errTorn
	}
	return 0, nil, nil
}

var errStop = errors.New("stop")

// firstLine returns the first line of a file, nil when there is none.
func firstLine(path string) ([]byte, error) {
	var line []byte
	err := eachLine(path, func(l []byte) error {
		line = append(line, l...)
		return errStop
	})
	if errors.Is(err, errStop) || errors.Is(err, errTorn) {
		err = nil
	}
	return line, err
}

// isDamaged reports whether a file could be read but not decoded.
func isDamaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, bufio.ErrTooLong) || errors.As(err, &corrupt)
}
