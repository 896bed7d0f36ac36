package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// leaseTime is short, and still ten times what a busy machine needs for a statement.
const leaseTime = 3 * time.Second

func lead(ctx context.Context, t *testing.T, p *store.Postgres, holder string) (*store.Lease, error) {
	t.Helper()
	return p.Lead(ctx, holder, leaseTime, func(err error) { t.Logf("%s: %v", holder, err) })
}

// keep runs Keep until stop is called, which returns what it returned.
func keep(t *testing.T, l *store.Lease) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Keep(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func testLease(t *testing.T, dsn string) {
	one, two := openPostgres(t, dsn, "led"), openPostgres(t, dsn, "led")
	first, err := lead(t.Context(), t, one, "one")
	if err != nil {
		t.Fatal(err)
	}
	stop := keep(t, first)
	short, cancel := context.WithTimeout(t.Context(), leaseTime+leaseTime/2)
	defer cancel()
	if _, err := lead(short, t, two, "two"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two leaders: %v", err)
	}
	if !first.Held() {
		t.Fatal("the lease was renewed and is not held")
	}
	if err := stop(); err != nil { // given back: the second need not wait for its end
		t.Fatal(err)
	}
	if first.Held() {
		t.Error("held after it was given back")
	}
	second, err := lead(t.Context(), t, two, "two")
	if err != nil || !second.Held() {
		t.Fatal(err)
	}
	if err := one.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("a late write of the old leader: %v", err)
	}
	if err := two.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); err != nil {
		t.Error(err)
	}

	// The second one falls silent: nobody renews its lease.
	third, err := lead(t.Context(), t, one, "one")
	if err != nil {
		t.Fatal(err)
	}
	if second.Held() || !third.Held() {
		t.Errorf("held by the second %v, by the third %v", second.Held(), third.Held())
	}
	if err := second.Keep(t.Context()); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("renewing a lost lease: %v", err)
	}
	if err := two.PutDocuments(t.Context(), store.Document{Kind: "k", ID: "x"}); !errors.Is(err, store.ErrNoLease) {
		t.Errorf("a late write: %v", err)
	}
}

func testLeaseWithoutDatabase(t *testing.T, dsn string) {
	p := openPostgres(t, dsn, "unled")
	l, err := lead(t.Context(), t, p, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rawPostgres(t, dsn).Exec("DROP TABLE unled.lease"); err != nil {
		t.Fatal(err)
	}
	if err := l.Keep(t.Context()); !errors.Is(err, store.ErrNoLease) || l.Held() {
		t.Errorf("not renewed for its time: %v, held %v", err, l.Held())
	}
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := p.Lead(ctx, "one", time.Millisecond, func(error) {
		if asked++; asked == 3 {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
