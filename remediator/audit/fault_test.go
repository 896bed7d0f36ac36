package audit_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// faulty is a real store with faults.
type faulty struct {
	store.Audit
	mu     sync.Mutex
	append error // refuses appends
	late   error // stores, and then says this
	read   error
	hang   bool // an append waits for its context
	block  chan struct{}
}

func (f *faulty) set(change func(*faulty)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *faulty) AppendAudit(ctx context.Context, rows ...store.AuditRow) error {
	f.mu.Lock()
	refuse, late, hang, block := f.append, f.late, f.hang, f.block
	f.mu.Unlock()
	if block != nil {
		<-block
	}
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	if refuse != nil {
		return refuse
	}
	if err := f.Audit.AppendAudit(ctx, rows...); err != nil {
		return err
	}
	return late
}

func (f *faulty) LastAudit(ctx context.Context) (store.AuditRow, error) {
	f.mu.Lock()
	err := f.read
	f.mu.Unlock()
	if err != nil {
		return store.AuditRow{}, err
	}
	return f.Audit.LastAudit(ctx)
}

// newFaulty returns a bench whose log writes to a store with faults.
func newFaulty(t *testing.T, change ...func(*audit.Options)) (*bench, *faulty) {
	t.Helper()
	b := &bench{tb: t, dir: t.TempDir()}
	b.opts = audit.Options{
		Key: testKey, Logger: zerolog.Nop(),
		File: audit.FileOptions{Path: filepath.Join(b.dir, "audit", "audit.log"), Rotate: true},
	}
	for _, c := range change {
		c(&b.opts)
	}
	var err error
	if b.store, err = store.Open(t.Context(), store.Options{Dir: filepath.Join(b.dir, "data"), Logger: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	f := &faulty{Audit: b.store}
	b.opts.Store = f
	if b.log, err = audit.New(t.Context(), b.opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	return b, f
}

func sink(h audit.Health, name string) audit.SinkHealth {
	for _, s := range h.Sinks {
		if s.Name == name {
			return s
		}
	}
	return audit.SinkHealth{Name: "no such sink"}
}

func failures(t *testing.T, l *audit.Log, sink string) float64 {
	t.Helper()
	for _, c := range l.Collectors() {
		if v, ok := c.(*prometheus.CounterVec); ok && strings.Contains(descOf(v), "write_failures") {
			return testutil.ToFloat64(v.WithLabelValues(sink))
		}
	}
	t.Fatal("no counter of failures")
	return 0
}

func descOf(c prometheus.Collector) string {
	ch := make(chan *prometheus.Desc, 10)
	c.Describe(ch)
	close(ch)
	var all string
	for d := range ch {
		all += d.String()
	}
	return all
}

// waitUntil lets Run work until cond holds.
func waitUntil(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		pass(50 * time.Millisecond)
	}
}

// pass lets time go by; in a bubble it costs none.
func pass(d time.Duration) { <-time.After(d) }

func runLog(t *testing.T, l *audit.Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAFailedStoreIsReportedAndFilledFromTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		stop := runLog(t, b.log)
		b.appendMany(3, sample())
		f.set(func(f *faulty) { f.append = errors.New("broken disk") })
		b.appendMany(1200, sample())
		h := b.log.Health()
		if h.OK || !h.Recording || sink(h, "store").OK || !strings.Contains(sink(h, "store").Error, "broken disk") || !sink(h, "file").OK {
			t.Errorf("health while the store fails: %+v", h)
		}
		if failures(t, b.log, "store") == 0 || failures(t, b.log, "file") != 0 {
			t.Error("failures of the store were not counted")
		}
		if r, err := b.log.Verify(t.Context()); err != nil || r.OK || !strings.Contains(r.Problem, "store failed") {
			t.Errorf("verify while the store is behind: %+v, %v", r, err)
		}
		f.set(func(f *faulty) { f.append = nil })
		waitUntil(t, "store works again", func() bool { return b.log.Health().OK })
		if r := b.mustVerify(); r.Last != 1203 {
			t.Errorf("report %+v", r)
		}
		b.append(sample())
		if r := b.verifyFiles(); !r.OK || r.Last != 1204 {
			t.Errorf("files %+v", r)
		}
		stop()
		b.close()
	})
}

func TestAFailedFileIsReportedAndFilledFromTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newFaulty(t)
		stop := runLog(t, b.log)
		b.appendMany(3, sample())
		away := b.opts.File.Path + ".away"
		// The file goes and a directory takes its name: it can be neither written nor opened.
		if err := errors.Join(os.Rename(b.opts.File.Path, away), os.Mkdir(b.opts.File.Path, 0o700)); err != nil {
			t.Fatal(err)
		}
		b.appendMany(2500, sample()) // more than the file gets back at a time
		h := b.log.Health()
		if h.OK || !h.Recording || sink(h, "file").OK || sink(h, "file").Error == "" || sink(h, "file").Since.IsZero() || !sink(h, "store").OK {
			t.Errorf("health while the file fails: %+v", h)
		}
		if failures(t, b.log, "file") == 0 {
			t.Error("failures of the file were not counted")
		}
		if err := errors.Join(os.Remove(b.opts.File.Path), os.Rename(away, b.opts.File.Path)); err != nil {
			t.Fatal(err)
		}
		waitUntil(t, "file works again", func() bool { return b.log.Health().OK })
		b.append(sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 2504 {
			t.Errorf("files %+v", r)
		}
		stop()
		b.close()
	})
}

func TestNoSinkMeansUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(2, sample())
		away := b.opts.File.Path + ".away"
		if err := errors.Join(os.Rename(b.opts.File.Path, away), os.Mkdir(b.opts.File.Path, 0o700)); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *faulty) { f.append = store.ErrFull })
		for range 3 {
			if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, store.ErrFull) {
				t.Errorf("append without a sink: %v, want ErrUnavailable", err)
			}
		}
		if h := b.log.Health(); h.OK || h.Recording || h.LastSeq != 2 {
			t.Errorf("health %+v", h)
		}
		// No waiting: as long as nothing works every append tries everything.
		f.set(func(f *faulty) { f.append = nil })
		if r := b.append(sample()); r.Seq != 3 {
			t.Errorf("went on at %d", r.Seq)
		}
		if err := errors.Join(os.Remove(b.opts.File.Path), os.Rename(away, b.opts.File.Path)); err != nil {
			t.Fatal(err)
		}
		f.set(func(f *faulty) { f.append = errors.New("down again") })
		if r := b.append(sample()); r.Seq != 4 {
			t.Errorf("went on at %d", r.Seq)
		}
		f.set(func(f *faulty) { f.append = nil })
		pass(2 * time.Second)
		b.append(sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 5 {
			t.Errorf("files %+v", r)
		}
		b.close()
	})
}

// A write that failed to the eye and was stored all the same keeps its number; the chain goes on behind it.
func TestAWriteOfUnknownOutcomeStaysInTheChain(t *testing.T) {
	b, f := newFaulty(t, func(o *audit.Options) { o.File.Path = "" })
	b.appendMany(1, sample())
	f.set(func(f *faulty) { f.late = errors.New("connection lost") })
	if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrUnavailable) {
		t.Fatalf("append: %v", err)
	}
	f.set(func(f *faulty) { f.late = nil })
	if r := b.append(sample()); r.Seq != 3 {
		t.Errorf("the next record is %d, want 3", r.Seq)
	}
	b.mustVerify()
}

// The same while the file takes over: both must end up with one history.
func TestALateWriteAndTheFileAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(1, sample())
		f.set(func(f *faulty) { f.late = errors.New("connection lost") })
		b.appendMany(3, sample())
		f.set(func(f *faulty) { f.late = nil })
		pass(2 * time.Second)
		b.appendMany(1, sample())
		b.mustVerify()
		if r := b.verifyFiles(); !r.OK || r.Records != 5 || !b.log.Health().OK {
			t.Errorf("files %+v, health %+v", r, b.log.Health())
		}
		b.close()
	})
}

// Another writer took the number between our look and our write.
func TestATakenNumberIsFollowed(t *testing.T) {
	b, _ := newFaulty(t)
	b.appendMany(1, sample())
	other := audit.Options{Store: b.store, Key: testKey, Logger: zerolog.Nop()}
	second, err := audit.New(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := second.Append(t.Context(), sample()); err != nil {
		t.Fatal(err)
	}
	if r := b.append(sample()); r.Seq != 3 {
		t.Errorf("record %d, want 3", r.Seq)
	}
	b.mustVerify()
	if r := b.verifyFiles(); !r.OK || r.Records != 3 {
		t.Errorf("files %+v", r)
	}
}

func TestAHangingStoreHoldsUpOnlyTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		b.appendMany(1, sample())
		f.set(func(f *faulty) { f.hang = true })
		began := time.Now()
		b.append(sample())
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("the first append took %v", took)
		}
		began = time.Now()
		for range 100 {
			b.append(sample())
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next 100 appends took %v", took)
		}
		f.set(func(f *faulty) { f.hang = false })
		pass(time.Minute)
		b.append(sample())
		b.mustVerify()
		b.close()
	})
}

func TestAppendHonoursItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		block := make(chan struct{})
		f.set(func(f *faulty) { f.block = block })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		taken := make(chan error)
		go func() {
			_, err := b.log.Append(ctx, sample())
			taken <- err
		}()
		synctest.Wait()
		_, err := b.log.Append(ctx, sample())
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, audit.ErrOutcomeUnknown) {
			t.Errorf("an append that waited: %v, want a plain deadline", err)
		}
		if err := <-taken; !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, audit.ErrOutcomeUnknown) {
			t.Errorf("an append in hand: %v, want an unknown outcome", err)
		}
		f.set(func(f *faulty) { f.block = nil })
		close(block)
		if r := b.append(sample()); r.Seq != 2 {
			t.Errorf("record %d: the withdrawn one was written, or the one in hand was not", r.Seq)
		}
		b.close()
	})
}

func TestCloseWaitsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newFaulty(t)
		block := make(chan struct{})
		f.set(func(f *faulty) { f.block = block })
		results := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := b.log.Append(t.Context(), sample())
				results <- err
			}()
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- b.log.Close() }()
		synctest.Wait()
		if _, err := b.log.Append(t.Context(), sample()); !errors.Is(err, audit.ErrClosed) {
			t.Errorf("append after Close: %v, want ErrClosed", err)
		}
		close(block)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		for range 5 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		b.close()
	})
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	b, f := newFaulty(t)
	if _, err := audit.New(t.Context(), audit.Options{Key: testKey}); err == nil || !strings.Contains(err.Error(), "store") {
		t.Errorf("without a store: %v", err)
	}
	if _, err := audit.New(t.Context(), audit.Options{Store: b.store, Key: []byte("short")}); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("without a key: %v", err)
	}
	f.set(func(f *faulty) { f.read = errors.New("unreadable") })
	opts := b.opts
	opts.File.Path = filepath.Join(t.TempDir(), "a.log")
	if _, err := audit.New(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("with a store that cannot be read: %v", err)
	}
	f.set(func(f *faulty) { f.read = nil })
}

// A file that cannot be opened at start must not keep the program from starting.
func TestStartsWithoutTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := ""
		b, _ := newFaulty(t, func(o *audit.Options) {
			path = o.File.Path
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		})
		if h := b.log.Health(); h.OK || !h.Recording || sink(h, "file").OK {
			t.Errorf("health %+v", h)
		}
		b.appendMany(2, sample())
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		b.appendMany(2, sample())
		if h := b.log.Health(); !h.OK {
			t.Errorf("health %+v", h)
		}
		b.mustVerify()
		b.close()
	})
}

func TestAWrongPathCostsNobodyAFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hosts")
	const content = "127.0.0.1 localhost\nno line feed at the end"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := newFaulty(t, func(o *audit.Options) { o.File.Path = path })
	b.appendMany(1, sample())
	if h := b.log.Health(); !strings.Contains(sink(h, "file").Error, "not an audit file") {
		t.Errorf("health %+v", h)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != content {
		t.Errorf("the file became %q, %v", got, err)
	}
}

// Both sinks on one small disk that fills up and is freed again.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "mode=0700,size=3m"); err != nil {
		t.Skipf("cannot mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	b := &bench{tb: t, dir: disk}
	b.opts = audit.Options{Key: testKey, File: audit.FileOptions{Path: filepath.Join(disk, "audit", "audit.log")}, Logger: zerolog.Nop()}
	b.open()
	t.Cleanup(b.close)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var acked int64
	var err error
	for err == nil && acked < 20000 {
		var r audit.Record
		if r, err = b.log.Append(t.Context(), sample()); err == nil {
			acked = r.Seq
		}
	}
	if !errors.Is(err, audit.ErrUnavailable) || !errors.Is(err, store.ErrFull) {
		t.Fatalf("after %d records on a full disk: %v, want ErrUnavailable", acked, err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if r := b.append(sample()); r.Seq != acked+1 {
		t.Errorf("went on at %d, want %d", r.Seq, acked+1)
	}
	stop := runLog(t, b.log)
	waitUntil(t, "both sinks work again", func() bool { return b.log.Health().OK })
	stop()
	b.mustVerify()
	if r := b.verifyFiles(); !r.OK || r.Records != acked+1 {
		t.Errorf("files %+v, want %d records", r, acked+1)
	}
}

func TestMetricsAreClean(t *testing.T) {
	b := newBench(t)
	b.append(sample())
	odd := sample()
	odd.Phase = "made up"
	b.append(odd)
	reg := prometheus.NewPedanticRegistry()
	for _, c := range b.log.Collectors() {
		reg.MustRegister(c)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	err = testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP redis_medic_audit_last_seq Sequence number of the newest audit record.
		# TYPE redis_medic_audit_last_seq gauge
		redis_medic_audit_last_seq 2
		# HELP redis_medic_audit_records_total Audit records written durably, by phase.
		# TYPE redis_medic_audit_records_total counter
		redis_medic_audit_records_total{phase="denied"} 0
		redis_medic_audit_records_total{phase="intent"} 0
		redis_medic_audit_records_total{phase="other"} 1
		redis_medic_audit_records_total{phase="outcome"} 1
		redis_medic_audit_records_total{phase="system"} 0
		# HELP redis_medic_audit_write_failures_total Failed writes of audit records, by sink.
		# TYPE redis_medic_audit_write_failures_total counter
		redis_medic_audit_write_failures_total{sink="checkpoint"} 0
		redis_medic_audit_write_failures_total{sink="file"} 0
		redis_medic_audit_write_failures_total{sink="store"} 0
	`), metric.AuditLastSeq, metric.AuditRecords, metric.AuditWriteFailures)
	if err != nil {
		t.Error(err)
	}
}
