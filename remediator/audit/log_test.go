package audit_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/store"
)

var (
	testKey  = []byte("0123456789abcdef0123456789abcdef")
	testKeys = audit.Keys{Seal: testKey}
)

// bench is a log with its parts, on a directory of its own.
type bench struct {
	tb    testing.TB
	dir   string
	store *store.SQLite
	log   *audit.Log
	opts  audit.Options
}

func newBench(tb testing.TB, change ...func(*audit.Options)) *bench {
	tb.Helper()
	b := &bench{tb: tb, dir: tb.TempDir()}
	b.opts = audit.Options{
		Key:    testKey,
		File:   audit.FileOptions{Path: filepath.Join(b.dir, "audit", "audit.log"), Rotate: true},
		Logger: zerolog.Nop(),
	}
	for _, c := range change {
		c(&b.opts)
	}
	b.open()
	tb.Cleanup(b.close)
	return b
}

func (b *bench) open() {
	b.tb.Helper()
	var err error
	b.store, err = store.Open(context.Background(), store.Options{Dir: filepath.Join(b.dir, "data"), Logger: zerolog.Nop()})
	if err != nil {
		b.tb.Fatal(err)
	}
	b.opts.Store = b.store
	if b.log, err = audit.New(context.Background(), b.opts); err != nil {
		b.tb.Fatal(err)
	}
}

func (b *bench) close() {
	b.tb.Helper()
	if b.log != nil {
		if err := b.log.Close(); err != nil {
			b.tb.Error(err)
		}
	}
	if err := b.store.Close(); err != nil {
		b.tb.Error(err)
	}
}

func (b *bench) reopen() {
	b.tb.Helper()
	b.close()
	b.open()
}

func (b *bench) append(r audit.Record) audit.Record {
	b.tb.Helper()
	got, err := b.log.Append(b.tb.Context(), r)
	if err != nil {
		b.tb.Fatal(err)
	}
	return got
}

func (b *bench) appendMany(n int, r audit.Record) {
	b.tb.Helper()
	var wg sync.WaitGroup
	for w := range 64 { // together they share an fsync
		wg.Go(func() {
			for i := w; i < n; i += 64 {
				if _, err := b.log.Append(context.Background(), r); err != nil {
					b.tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func (b *bench) mustVerify() audit.Report {
	b.tb.Helper()
	r, err := b.log.Verify(b.tb.Context())
	if err != nil {
		b.tb.Fatal(err)
	}
	if !r.OK {
		b.tb.Fatalf("store does not verify: %+v", r)
	}
	return r
}

func (b *bench) verifyFiles() audit.Report {
	b.tb.Helper()
	paths, err := audit.Files(b.opts.File.Path)
	if err != nil {
		b.tb.Fatal(err)
	}
	r, err := audit.VerifyFiles(testKeys, b.opts.File.Path+".checkpoints", paths...)
	if err != nil {
		b.tb.Fatal(err)
	}
	return r
}

func sample() audit.Record {
	zero := 0
	return audit.Record{
		EventType: "service_operation", Service: "redis", Operation: "restart",
		User:     audit.User{ID: "user-123", Email: "admin@example.com", Role: "admin"},
		SourceIP: "192.0.2.20",
		Result:   audit.Result{Success: true, Duration: 15.7, ExitCode: &zero},
		Security: audit.Security{CommandValidated: true, RiskLevel: "moderate", SSHKeyUsed: true},
		Phase:    audit.PhaseOutcome,
	}
}

func TestConcurrentAppendsFormOneChain(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if _, err := b.log.Append(t.Context(), sample()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if r := b.mustVerify(); r.Records != 800 || r.Last != 800 {
		t.Fatalf("report %+v", r)
	}
	b.reopen()
	b.append(sample())
	if r := b.mustVerify(); r.Records != 801 {
		t.Fatalf("report %+v", r)
	}
	if r := b.verifyFiles(); !r.OK || r.Records != 801 {
		t.Fatalf("files: %+v", r)
	}
}

func TestRecordHasTheDocumentedForm(t *testing.T) {
	now := time.Date(2025, 10, 10, 14, 30, 0, 0, time.UTC)
	b := newBench(t, func(o *audit.Options) { o.Now = func() time.Time { return now } })
	b.append(sample())
	row, err := b.store.LastAudit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(row.JSON, &got); err != nil {
		t.Fatal(err)
	}
	const documented = `{"timestamp":"2025-10-10T14:30:00Z","event_type":"service_operation","service":"redis","operation":"restart",
		"user":{"id":"user-123","email":"admin@example.com","role":"admin"},"source_ip":"192.0.2.20",
		"result":{"success":true,"duration_seconds":15.7,"exit_code":0},
		"security":{"command_validated":true,"risk_level":"moderate","ssh_key_used":true}}`
	var want map[string]any
	if err := json.Unmarshal([]byte(documented), &want); err != nil {
		t.Fatal(err)
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			delete(got, k)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record differs from the document (-want +got):\n%s", diff)
	}
}

// BenchmarkAppend measures records by 16 writers, durable in the store and in the file.
func BenchmarkAppend(b *testing.B) {
	l := newBench(b).log
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := l.Append(context.Background(), sample()); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
