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
