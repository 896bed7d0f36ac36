package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func rawDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

func TestANewerSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	db := rawDB(t, filepath.Join(dir, dbName))
	mustExec(t, db, "PRAGMA user_version = 99")
	db.Close()
	_, err = Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()})
	if !errors.Is(err, ErrNewerSchema) || !strings.Contains(err.Error(), "99") {
		t.Errorf("a store with schema 99: %v, want ErrNewerSchema", err)
	}
	// The refusal gave the directory free and changed nothing.
	db = rawDB(t, filepath.Join(dir, dbName))
	mustExec(t, db, fmt.Sprintf("PRAGMA user_version = %d", len(migrations)))
	db.Close()
	if s, err = Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	s.Close()
}

func TestADatabaseOfAnotherProgramIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db := rawDB(t, filepath.Join(dir, dbName))
	mustExec(t, db, "CREATE TABLE theirs (x)")
	db.Close()
	if _, err := Open(t.Context(), Options{Dir: dir, Logger: zerolog.Nop()}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another program's database: %v, want ErrCorrupt", err)
	}
}

func TestMigrationIsAllOrNothing(t *testing.T) {
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "m.db")
	db := rawDB(t, path)
	db.SetMaxOpenConns(1)
	const one = "CREATE TABLE one (x TEXT) STRICT"
	if err := migrate(ctx, db, path, []string{one}); err != nil {
		t.Fatal(err)
	}
	mustExec(t, db, "INSERT INTO one VALUES ('kept')")
	bad := []string{one, "ALTER TABLE one ADD COLUMN y TEXT", "CREATE TABLE three (x TEXT); INSERT INTO nowhere VALUES (1)"}
	if err := migrate(ctx, db, path, bad); err == nil || !strings.Contains(err.Error(), "version 3") {
		t.Fatalf("a broken migration: %v", err)
	}
	version, err := checkIdentity(ctx, db, 3)
	if err != nil || version != 2 {
		t.Errorf("version %d after a broken third step, want 2: %v", version, err)
	}
	var n int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'three'").Scan(&n); err != nil || n != 0 {
		t.Errorf("half of the broken step stayed: %d, %v", n, err)
	}
	old := rawDB(t, path+".v1.bak")
	var x string
	if err := old.QueryRow("SELECT x FROM one").Scan(&x); err != nil || x != "kept" {
		t.Errorf("backup from before the migration holds %q: %v", x, err)
	}
	if info, err := os.Stat(path + ".v1.bak"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the backup: %v, %v", info.Mode(), err)
	}
}

// Every filter of an audit query walks an index; none sorts or scans.
func TestQueriesUseIndexes(t *testing.T) {
	s := openHere(t)
	yes := true
	for name, q := range map[string]AuditQuery{
		"service": {Service: "x"}, "user": {User: "x"}, "operation": {Operation: "x"}, "phase": {Phase: "x"},
		"success": {Success: &yes}, "since": {Since: fromNano(1)}, "until": {Until: fromNano(1)}, "page": {Before: 9},
		"window": {Since: fromNano(1), Until: fromNano(2)}, "service page": {Service: "x", Before: 7}, "service window": {Service: "x", Since: fromNano(1)},
	} {
		text, args := s.dialect.auditSelect(q)
		rows, err := s.r.Query("EXPLAIN QUERY PLAN "+text, args...)
		if err != nil {
			t.Fatal(err)
		}
		var plan []string
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			plan = append(plan, detail)
		}
		rows.Close()
		all := strings.Join(plan, "\n")
		if strings.Contains(all, "SCAN audit") || strings.Contains(all, "TEMP B-TREE FOR ORDER BY") && q.User == "" {
			t.Errorf("%s: the plan scans or sorts:\n%s", name, all)
		}
		if testing.Verbose() {
			t.Logf("%s:\n%s", name, all)
		}
	}
}
