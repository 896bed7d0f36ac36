package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
)

// applicationID marks a database file as ours ("rmed").
const applicationID = 0x726d6564

// migrations bring a database from version i to i+1. A released entry never changes; a change of the schema is a new entry.
//
// Every index of audit ends, as all indexes of SQLite do, in the row id, which is seq: rows of one service, user, … are read
// newest first without a sort. Column back is 1 where the wall clock stood behind an earlier row's; among the others time
// never falls as seq grows, so that a window of time becomes a window of seq by two look-ups (see timeBounds).
var migrations = []string{
	`CREATE TABLE audit (
		seq        INTEGER PRIMARY KEY,
		chain      TEXT    NOT NULL,
		time       INTEGER NOT NULL,
		back       INTEGER NOT NULL,
		service    TEXT    NOT NULL,
		user_id    TEXT    NOT NULL,
		user_email TEXT    NOT NULL,
		operation  TEXT    NOT NULL,
		phase      TEXT    NOT NULL,
		success    INTEGER NOT NULL,
		hash       TEXT    NOT NULL,
		json       BLOB    NOT NULL
	) STRICT;
	CREATE INDEX audit_time       ON audit (back, time);
	CREATE INDEX audit_service    ON audit (service);
	CREATE INDEX audit_user_id    ON audit (user_id);
	CREATE INDEX audit_user_email ON audit (user_email);
	CREATE INDEX audit_operation  ON audit (operation);
	CREATE INDEX audit_phase      ON audit (phase);
	CREATE INDEX audit_success    ON audit (success);

	CREATE TABLE documents (
		kind    TEXT    NOT NULL,
		id      TEXT    NOT NULL,
		service TEXT    NOT NULL,
		open    INTEGER NOT NULL,
		at      INTEGER NOT NULL,
		json    BLOB    NOT NULL,
		UNIQUE (kind, id)
	) STRICT;
	CREATE INDEX documents_at      ON documents (kind, at, id);
	CREATE INDEX documents_service ON documents (kind, service, at, id);
	CREATE INDEX documents_open    ON documents (kind, at, id) WHERE open = 1;

	CREATE TABLE sessions (
		id_hash   TEXT    NOT NULL PRIMARY KEY,
		user_id   TEXT    NOT NULL,
		created   INTEGER NOT NULL,
		last_used INTEGER NOT NULL,
		expires   INTEGER NOT NULL,
		source_ip TEXT    NOT NULL
	) STRICT, WITHOUT ROWID;
	CREATE INDEX sessions_user ON sessions (user_id);`,
	`ALTER TABLE sessions ADD COLUMN identity TEXT NOT NULL DEFAULT ''`,
}

// migrate brings the schema up to the newest version, each step in its own transaction together with its version number.
func migrate(ctx context.Context, db *sql.DB, path string, steps []string) error {
	version, err := checkIdentity(ctx, db, len(steps))
	if err != nil {
		return err
	}
	if version > 0 && version < len(steps) {
		if err := backup(ctx, db, fmt.Sprintf("%s.v%d.bak", path, version)); err != nil {
			return err
		}
	}
	for ; version < len(steps); version++ {
		if err := step(ctx, db, steps[version], version+1); err != nil {
			return fmt.Errorf("migrate the store to version %d: %w", version+1, err)
		}
	}
	return nil
}

// checkIdentity returns the version of the schema, 0 for a new file, and refuses what is not ours or newer than us.
func checkIdentity(ctx context.Context, db *sql.DB, newest int) (int, error) {
	var app, version, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return 0, fmt.Errorf("read application id: %w", err)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return 0, fmt.Errorf("read schema: %w", err)
	}
	if app != applicationID && (app != 0 || tables > 0) {
		return 0, fmt.Errorf("%w: it is a database of another program", ErrCorrupt)
	}
	if version > newest {
		return 0, fmt.Errorf("%w: it has schema %d, this program knows %d", ErrNewerSchema, version, newest)
	}
	return version, nil
}

func step(ctx context.Context, db *sql.DB, ddl string, version int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, ddl); err != nil {
		return err
	}
	// Pragmas take no parameters; both values are numbers of ours.
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)); err != nil {
		return err
	}
	return tx.Commit()
}

// backup writes a copy of the whole database to path, so that a migration can be undone by hand.
func backup(ctx context.Context, db *sql.DB, path string) error {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("back up the store: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", tmp); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := os.Chmod(tmp, 0o600); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("back up the store: %w", err)
	}
	return nil
}

// quickCheck asks SQLite whether the file is sound: pages, trees and constraints, not yet the meaning of the content.
func quickCheck(ctx context.Context, db *sql.DB) error {
	var result string
	if err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&result); err != nil {
		return fmt.Errorf("check the store: %w", err)
	}
	if result != "ok" {
		return fmt.Errorf("%w: %s", ErrCorrupt, result)
	}
	return nil
}
