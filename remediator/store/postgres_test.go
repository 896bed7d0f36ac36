package store_test

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/remediator/store/storetest"
)

func rawPostgres(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openPostgres(t *testing.T, dsn, schema string) *store.Postgres {
	t.Helper()
	s, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Schema: schema, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestPostgres(t *testing.T) {
	dsn, server := storetest.StartPostgres(t)
	t.Run("contract", func(t *testing.T) {
		var n atomic.Int32
		storetest.Run(t, func(t *testing.T) store.Store { return openPostgres(t, dsn, fmt.Sprint("s", n.Add(1))) })
	})
	t.Run("many start at once", func(t *testing.T) {
		results := make(chan error)
		for range 8 {
			go func() {
				s, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Schema: "together", Logger: zerolog.Nop()})
				if err == nil {
					err = s.Close()
				}
				results <- err
			}()
		}
		for range 8 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("a newer schema is refused", func(t *testing.T) {
		openPostgres(t, dsn, "newer")
		if _, err := rawPostgres(t, dsn).Exec("INSERT INTO newer.schema_version VALUES (99)"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Schema: "newer"}); !errors.Is(err, store.ErrNewerSchema) {
			t.Errorf("%v, want ErrNewerSchema", err)
		}
	})
	t.Run("a failed migration leaves nothing", func(t *testing.T) {
		db := rawPostgres(t, dsn)
		if _, err := db.Exec("CREATE SCHEMA broken; CREATE TABLE broken.sessions (x INT)"); err != nil {
			t.Fatal(err)
		}
		if _, err := store.OpenPostgres(t.Context(), store.PostgresOptions{DSN: dsn, Schema: "broken"}); err == nil || !strings.Contains(err.Error(), "version 1") {
			t.Errorf("%v", err)
		}
		var n int
		if err := db.QueryRow("SELECT count(*) FROM pg_tables WHERE schemaname = 'broken'").Scan(&n); err != nil || n != 1 {
			t.Errorf("%d tables, %v", n, err)
		}
	})
	t.Run("bad settings", func(t *testing.T) {
		const canary = "hunter2canary"
		for name, o := range map[string]store.PostgresOptions{
			"schema":      {DSN: dsn, Schema: `x"; DROP`},
			"text":        {DSN: "postgres://u:" + canary + "@[bad"},
			"unreachable": {DSN: "host=/nonexistent user=medic password=" + canary},
		} {
			if _, err := store.OpenPostgres(t.Context(), o); err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("two processes, one chain of numbers", func(t *testing.T) {
		one, two := openPostgres(t, dsn, "shared"), openPostgres(t, dsn, "shared")
		if err := one.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); err != nil {
			t.Fatal(err)
		}
		if err := two.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%v, want ErrConflict", err)
		}
	})
	t.Run("one leads", func(t *testing.T) { testLease(t, dsn) })
	t.Run("nobody leads without the database", func(t *testing.T) { testLeaseWithoutDatabase(t, dsn) })
	t.Run("a connection that is cut comes again", func(t *testing.T) {
		s := openPostgres(t, dsn, "cut")
		if err := s.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); err != nil {
			t.Fatal(err)
		}
		if _, err := rawPostgres(t, dsn).Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'redis-medic'"); err != nil {
			t.Fatal(err)
		}
		if err := s.AppendAudit(t.Context(), store.AuditRow{Seq: 2}); err != nil {
			t.Errorf("after the cut: %v", err)
		}
		if last, err := s.LastAudit(t.Context()); err != nil || last.Seq != 2 {
			t.Errorf("%d, %v", last.Seq, err)
		}
	})
	t.Run("a server that is gone is an error", func(t *testing.T) {
		s := openPostgres(t, dsn, "gone")
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
		if err := s.AppendAudit(t.Context(), store.AuditRow{Seq: 1}); err == nil {
			t.Error("appended to nothing")
		}
		if _, err := s.LastAudit(t.Context()); err == nil || errors.Is(err, store.ErrNotFound) {
			t.Errorf("read from nothing: %v", err)
		}
	})
}
