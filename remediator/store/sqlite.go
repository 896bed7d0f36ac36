package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

const (
	busyTimeout = 5 * time.Second // only our own readers and a backup tool can be in the way
	readers     = 4               // a page of the panel needs one; more only fight for two cores
	queueSize   = 1024            // writes that wait for their turn; further callers wait for a place
	maxBatch    = 256             // writes that share one transaction: keeps the longest commit within milliseconds
	walLimit    = 64 << 20        // bytes that the write-ahead log keeps on disk after a burst
)

// Options are the settings of a SQLite store.
type Options struct {
	Dir    string // data directory; created with mode 0700 when missing
	Logger zerolog.Logger
}

// SQLite is a Store in one file. It owns its data directory: a second process is refused.
type SQLite struct {
	core
	dir      string
	log      zerolog.Logger
	lock     *os.File
	w        *sql.DB // one connection, used by the committer only; nil when read-only
	readOnly bool
	queue    chan *write // closed by Close
	done     chan struct{}
}

var _ Store = (*SQLite)(nil)

// Open opens or creates the store in opts.Dir, checks it and brings its schema up to date. Errors: *LockedError, ErrCorrupt,
// ErrNewerSchema, ErrFull. The caller must Close it.
func Open(ctx context.Context, opts Options) (*SQLite, error) {
	if opts.Dir == "" {
		return nil, errors.New("open store: no data directory given")
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := prepareDir(dir, opts.Logger); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := newSQLite(dir, opts.Logger)
	s.lock = lock
	if err := s.open(ctx, filepath.Join(dir, dbName)); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", s.classify(err)), s.release())
	}
	go s.commitLoop()
	return s, nil
}

func newSQLite(dir string, log zerolog.Logger) *SQLite {
	s := &SQLite{dir: dir, log: log, queue: make(chan *write, queueSize), done: make(chan struct{})}
	s.core.write, s.core.classify = s.commitSoon, s.meaning
	s.dialect = dialect{greatest: "max", taken: isTaken}
	return s
}

func (s *SQLite) open(ctx context.Context, path string) error {
	if err := prepareFile(path, s.log); err != nil {
		return err
	}
	var err error
	if s.w, err = sql.Open("sqlite", dsn(path, forWriting)); err != nil {
		return err
	}
	s.w.SetMaxOpenConns(1)
	s.w.SetMaxIdleConns(1)
	if s.r, err = sql.Open("sqlite", dsn(path, forReading)); err != nil {
		return err
	}
	s.r.SetMaxOpenConns(readers)
	s.r.SetMaxIdleConns(readers)
	if err := quickCheck(ctx, s.w); err != nil {
		return err
	}
	return migrate(ctx, s.w, path, migrations)
}

// The ways to open the file, as parameters of SQLite's URI.
const (
	forWriting = "mode=rw"
	forReading = "mode=rw&_pragma=query_only(1)"
)

func dsn(path, mode string) string {
	q := url.Values{}
	if mode == forWriting {
		q.Set("_txlock", "immediate")
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)") // NORMAL loses acknowledged rows in a power cut
		q.Add("_pragma", "foreign_keys(1)")
		q.Add("_pragma", "journal_size_limit("+strconv.Itoa(walLimit)+")")
	}
	q.Add("_pragma", "busy_timeout("+strconv.FormatInt(busyTimeout.Milliseconds(), 10)+")")
	q.Add("_pragma", "trusted_schema(0)")
	u := url.URL{Scheme: "file", Path: path, RawQuery: mode + "&" + q.Encode()}
	return u.String()
}

// Close waits for the reads and writes that were accepted, refuses further ones and gives the data directory free. It is safe to call
// more than once.
func (s *SQLite) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.queue)
	s.mu.Unlock()
	<-s.done
	return s.release()
}

func (s *SQLite) release() error {
	var errs []error
	if s.r != nil {
		errs = append(errs, s.r.Close())
	}
	if s.w != nil {
		errs = append(errs, s.w.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}
