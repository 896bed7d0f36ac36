package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/rs/zerolog"
)

const (
	defaultSchema = "redis_medic"
	// postgresWriters share fsyncs inside the server; more connections than this no longer make it faster.
	postgresWriters = 8
)

// PostgresOptions are the settings of a store in PostgreSQL.
type PostgresOptions struct {
	DSN    string // connection string or URL; it may hold a password and is never logged
	Schema string // schema that holds the tables, created when missing; empty: redis_medic
	Logger zerolog.Logger
}

// Postgres is a Store in a PostgreSQL database, which several processes may share. A write whose connection broke during the
// commit returns ErrOutcomeUnknown.
type Postgres struct {
	core
	w     *sql.DB
	lease *sql.DB      // apart from the others: the renewal must not stand in line behind writes
	fence atomic.Int64 // number of the lease that every write must still hold; 0: none was asked for
}

var _ Store = (*Postgres)(nil)

var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)

// OpenPostgres connects to the database and brings the schema up to date. Errors: ErrNewerSchema, ErrFull, and those of the
// connection. The caller must Close it.
func OpenPostgres(ctx context.Context, opts PostgresOptions) (*Postgres, error) {
	if opts.Schema == "" {
		opts.Schema = defaultSchema
	}
	if !schemaName.MatchString(opts.Schema) {
		return nil, fmt.Errorf("open store: %q is no name for a schema", opts.Schema)
	}
	cfg, err := pgx.ParseConfig(opts.DSN)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err) // pgx leaves the password out
	}
	cfg.RuntimeParams["search_path"] = opts.Schema
	cfg.RuntimeParams["application_name"] = "redis-medic"
	// A server may be set to acknowledge before the commit is on disk; for these tables it must not.
	cfg.RuntimeParams["synchronous_commit"] = "on"
	// A round trip before each use costs less than an incident's write that fails because the server was restarted.
	ping := stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return true })
	p := &Postgres{w: stdlib.OpenDB(*cfg, ping)}
	p.r = stdlib.OpenDB(*cfg, ping)
	p.lease = stdlib.OpenDB(*cfg, ping)
	p.lease.SetMaxOpenConns(1)
	p.w.SetMaxOpenConns(postgresWriters)
	p.w.SetMaxIdleConns(postgresWriters)
	p.r.SetMaxOpenConns(readers)
	p.r.SetMaxIdleConns(readers)
	p.core.write, p.core.classify = p.commit, postgresMeaning
	p.dialect = dialect{numbered: true, greatest: "greatest", taken: isTakenInPostgres}
	if err := p.prepare(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", postgresMeaning(err)), p.release())
	}
	return p, nil
}

func (p *Postgres) prepare(ctx context.Context, opts PostgresOptions) error {
	var fsync string
	if err := p.r.QueryRowContext(ctx, "SHOW fsync").Scan(&fsync); err != nil {
		return err
	}
	if fsync != "on" {
		opts.Logger.Warn().Msg("the PostgreSQL server runs with fsync off: a power cut may lose what it acknowledged")
	}
	tx, err := p.w.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := migratePostgres(ctx, tx, opts.Schema, postgresMigrations); err != nil {
		return err
	}
	return tx.Commit()
}

// migratePostgres brings the schema up to date. The lock lets one of several starting processes do it while the others wait.
func migratePostgres(ctx context.Context, tx *sql.Tx, schema string, steps []string) error {
	for _, text := range []string{
		fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", applicationID),
		"CREATE SCHEMA IF NOT EXISTS " + schema,
		"CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)",
	} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("prepare schema: %w", err)
		}
	}
	var version int
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(steps) {
		return fmt.Errorf("%w: it has schema %d, this program knows %d", ErrNewerSchema, version, len(steps))
	}
	for ; version < len(steps); version++ {
		if _, err := tx.ExecContext(ctx, steps[version]); err != nil {
			return fmt.Errorf("migrate the store to version %d: %w", version+1, err)
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO schema_version VALUES ($1)", version+1); err != nil {
			return fmt.Errorf("migrate the store to version %d: %w", version+1, err)
		}
	}
	return nil
}

// commit runs do in a transaction of its own; concurrent commits share an fsync in the server.
func (p *Postgres) commit(ctx context.Context, do work) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	leave, err := p.enter()
	if err != nil {
		return err
	}
	defer leave()
	tx, err := p.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", postgresMeaning(err))
	}
	err = p.fenced(ctx, tx)
	if err == nil {
		err = do(ctx, tx)
	}
	if err != nil {
		_ = tx.Rollback()
		return postgresMeaning(err)
	}
	if err := tx.Commit(); err != nil {
		if _, answered := errors.AsType[*pgconn.PgError](err); !answered {
			return fmt.Errorf("commit: %w: %w", ErrOutcomeUnknown, errors.Join(err, ctx.Err()))
		}
		return fmt.Errorf("commit: %w", postgresMeaning(err))
	}
	return nil
}

// Close waits for the reads and writes in hand, refuses further ones and disconnects. It is safe to call more than once.
func (p *Postgres) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return p.release()
}

func (p *Postgres) release() error {
	if err := errors.Join(p.r.Close(), p.w.Close(), p.lease.Close()); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Codes of PostgreSQL (appendix A of its manual).
const (
	codeUnique      = "23505"
	codeDiskFull    = "53100"
	codeData        = "XX001"
	codeIndex       = "XX002"
	constraintAudit = "audit_pkey"
)

func isTakenInPostgres(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pe.Code == codeUnique && pe.ConstraintName == constraintAudit
}

// postgresMeaning wraps an error of PostgreSQL with the sentinel that says what it means to a caller.
func postgresMeaning(err error) error {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch pe.Code {
	case codeDiskFull:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case codeData, codeIndex:
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// postgresMigrations mirror migrations. Here an index has to name seq itself, and names are compared byte by byte, as SQLite does.
var postgresMigrations = []string{
	`CREATE TABLE audit (
		seq        BIGINT  PRIMARY KEY,
		chain      TEXT    NOT NULL,
		time       BIGINT  NOT NULL,
		back       BOOLEAN NOT NULL,
		service    TEXT    NOT NULL,
		user_id    TEXT    NOT NULL,
		user_email TEXT    NOT NULL,
		operation  TEXT    NOT NULL,
		phase      TEXT    NOT NULL,
		success    BOOLEAN NOT NULL,
		hash       TEXT    NOT NULL,
		json       BYTEA   NOT NULL
	);
	CREATE INDEX audit_time       ON audit (back, time, seq);
	CREATE INDEX audit_service    ON audit (service, seq);
	CREATE INDEX audit_user_id    ON audit (user_id, seq);
	CREATE INDEX audit_user_email ON audit (user_email, seq);
	CREATE INDEX audit_operation  ON audit (operation, seq);
	CREATE INDEX audit_phase      ON audit (phase, seq);
	CREATE INDEX audit_success    ON audit (success, seq);

	CREATE TABLE documents (
		kind    TEXT    NOT NULL,
		id      TEXT    NOT NULL COLLATE "C",
		service TEXT    NOT NULL,
		open    BOOLEAN NOT NULL,
		at      BIGINT  NOT NULL,
		json    BYTEA   NOT NULL,
		PRIMARY KEY (kind, id)
	);
	CREATE INDEX documents_at      ON documents (kind, at, id);
	CREATE INDEX documents_service ON documents (kind, service, at, id);
	CREATE INDEX documents_open    ON documents (kind, at, id) WHERE open;

	CREATE TABLE sessions (
		id_hash   TEXT   PRIMARY KEY,
		user_id   TEXT   NOT NULL,
		created   BIGINT NOT NULL,
		last_used BIGINT NOT NULL,
		expires   BIGINT NOT NULL,
		source_ip TEXT   NOT NULL
	);
	CREATE INDEX sessions_user ON sessions (user_id);`,
	`CREATE TABLE lease (
		holder TEXT        NOT NULL,
		token  BIGINT      NOT NULL,
		until  TIMESTAMPTZ NOT NULL
	);
	INSERT INTO lease VALUES ('', 0, '-infinity');`,
	`ALTER TABLE sessions ADD COLUMN identity TEXT NOT NULL DEFAULT ''`,
}
