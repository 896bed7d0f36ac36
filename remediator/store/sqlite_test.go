package store_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

func open(tb testing.TB, dir string) *store.SQLite {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// BenchmarkAppend measures durable appends of 1 KB records by 16 writers.
func BenchmarkAppend(b *testing.B) {
	s := open(b, b.TempDir())
	json := make([]byte, 1024)
	var seq atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := seq.Add(1)
			err := s.AppendAudit(context.Background(), store.AuditRow{
				Seq: n, Chain: "c", Time: time.Now(), Service: "redis", UserID: fmt.Sprint("u", n%20), Operation: "restart",
				Phase: "outcome", Success: n%3 == 0, Hash: "h", JSON: json,
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
}
