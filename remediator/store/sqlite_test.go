package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/remediator/store/storetest"
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

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

// The order of time is known across a restart: a clock that went back meanwhile hides no row.
func TestClockGoesBackOverARestart(t *testing.T) {
	dir := t.TempDir()
	at := func(seq int64, minute int) store.AuditRow {
		return store.AuditRow{Seq: seq, Time: time.Date(2025, 1, 1, 0, minute, 0, 0, time.UTC)}
	}
	s := open(t, dir)
	if err := errors.Join(s.AppendAudit(t.Context(), at(1, 10)), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if err := s.AppendAudit(t.Context(), at(2, 5), at(3, 20)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.QueryAudit(t.Context(), store.AuditQuery{Until: at(0, 15).Time})
	if err != nil || len(rows) != 2 {
		t.Errorf("%d rows of 2 before a moment, %v", len(rows), err)
	}
}

// BenchmarkQueryMillion measures the newest 50 of a million audit rows by each single filter.
func BenchmarkQueryMillion(b *testing.B) {
	const million = 1_000_000
	s := open(b, b.TempDir())
	start := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	json := make([]byte, 600)
	users, services := 200, 50
	var rows []store.AuditRow
	for i := range million {
		at := start.Add(time.Duration(i) * time.Second)
		if i%1000 == 999 {
			at = at.Add(-time.Hour) // a clock that jumps
		}
		rows = append(rows, store.AuditRow{
			Seq: int64(i + 1), Chain: "c", Time: at, Service: fmt.Sprint("s", i%services), UserID: fmt.Sprint("u", i%users),
			UserEmail: fmt.Sprintf("u%d@example.com", i%users), Operation: []string{"start", "stop", "restart", "status"}[i%4],
			Phase: []string{"intent", "outcome"}[i%2], Success: i%100 != 0, Hash: "h", JSON: json,
		})
		if len(rows) == 5000 {
			if err := s.AppendAudit(b.Context(), rows...); err != nil {
				b.Fatal(err)
			}
			rows = rows[:0]
		}
	}
	yes, no := true, false
	middle := start.Add(million / 2 * time.Second)
	for _, q := range []struct {
		name string
		q    store.AuditQuery
	}{
		{"none", store.AuditQuery{}}, {"service", store.AuditQuery{Service: "s7"}}, {"user id", store.AuditQuery{User: "u7"}},
		{"user e-mail", store.AuditQuery{User: "u7@example.com"}}, {"operation", store.AuditQuery{Operation: "stop"}},
		{"phase", store.AuditQuery{Phase: "intent"}}, {"no such phase", store.AuditQuery{Phase: "denied"}},
		{"success", store.AuditQuery{Success: &yes}}, {"failure", store.AuditQuery{Success: &no}},
		{"since the middle", store.AuditQuery{Since: middle}}, {"until the middle", store.AuditQuery{Until: middle}},
		{"until the start", store.AuditQuery{Until: start.Add(time.Hour)}}, {"deep page", store.AuditQuery{Before: 1000}},
		{"user, deep page", store.AuditQuery{User: "u7", Before: million / 2}},
		{"user in a window", store.AuditQuery{User: "u7", Since: middle, Until: middle.Add(time.Hour * 24)}},
	} {
		b.Run(q.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.QueryAudit(b.Context(), q.q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
