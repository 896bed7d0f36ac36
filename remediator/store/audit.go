package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	defaultLimit = 50
	walkPage     = 1000 // rows per read transaction of a walk: a long reader would keep the write-ahead log from shrinking
)

const auditColumns = "seq, chain, time, service, user_id, user_email, operation, phase, success, hash, json"

// AppendAudit implements Audit. A Seq that is stored already is ErrConflict, and then none of rows was stored.
func (s *SQLite) AppendAudit(ctx context.Context, rows ...AuditRow) error {
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows {
		if r.Seq <= 0 {
			return fmt.Errorf("append audit: sequence number %d is not positive", r.Seq)
		}
	}
	rows = slices.Clone(rows) // the caller may go on before the commit when its context ends
	err := s.write(ctx, func(tx *sql.Tx) error { return s.insertAudit(tx, rows) })
	if err != nil {
		return fmt.Errorf("append audit: %w", err)
	}
	return nil
}

func (s *SQLite) insertAudit(tx *sql.Tx, rows []AuditRow) error {
	stmt, err := tx.Prepare("INSERT INTO audit (" + auditColumns + ", back) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	for _, r := range rows {
		at := toNano(r.Time)
		back := at < s.lastTime
		s.lastTime = max(s.lastTime, at)
		_, err := stmt.Exec(r.Seq, r.Chain, at, r.Service, r.UserID, r.UserEmail, r.Operation, r.Phase, r.Success, r.Hash,
			nonNil(r.JSON), back)
		if isTaken(err) {
			return fmt.Errorf("%w: %d", ErrConflict, r.Seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isTaken reports whether an insert failed because its primary key is there already.
func isTaken(err error) bool {
	var se *sqlite.Error
	return errors.As(err, &se) && se.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
}

// nonNil keeps an empty document apart from NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// LastAudit implements Audit.
func (s *SQLite) LastAudit(ctx context.Context) (AuditRow, error) {
	rows, err := s.auditRows(ctx, "SELECT "+auditColumns+" FROM audit ORDER BY seq DESC LIMIT 1")
	if err != nil {
		return AuditRow{}, fmt.Errorf("read last audit row: %w", err)
	}
	if len(rows) == 0 {
		return AuditRow{}, fmt.Errorf("read last audit row: %w", ErrNotFound)
	}
	return rows[0], nil
}

// QueryAudit implements Audit.
func (s *SQLite) QueryAudit(ctx context.Context, q AuditQuery) ([]AuditRow, error) {
	text, args := auditSelect(q)
	rows, err := s.auditRows(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("query audit: %w", err)
	}
	return rows, nil
}

// auditSelect builds the statement of a query. A user matches by id or e-mail: two index walks whose newest rows are merged,
// because one OR would make SQLite collect and sort everything that user ever did.
func auditSelect(q AuditQuery) (string, []any) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	where, args := auditWhere(q)
	if q.User == "" {
		return "SELECT " + auditColumns + " FROM audit WHERE " + where + " ORDER BY seq DESC LIMIT ?", append(args, limit)
	}
	one := func(column string) string {
		return "SELECT seq FROM (SELECT seq FROM audit WHERE " + column + " = ? AND " + where + " ORDER BY seq DESC LIMIT ?)"
	}
	text := "SELECT " + auditColumns + " FROM audit WHERE seq IN (" + one("user_id") + " UNION " + one("user_email") +
		") ORDER BY seq DESC LIMIT ?"
	var all []any
	for range 2 {
		all = append(all, q.User)
		all = append(all, args...)
		all = append(all, limit)
	}
	return text, append(all, limit)
}

func auditWhere(q AuditQuery) (string, []any) {
	conds, args := []string{"1"}, []any{}
	add := func(cond string, values ...any) {
		conds = append(conds, cond)
		args = append(args, values...)
	}
	if q.Service != "" {
		add("service = ?", q.Service)
	}
	if q.Operation != "" {
		add("operation = ?", q.Operation)
	}
	if q.Phase != "" {
		add("phase = ?", q.Phase)
	}
	if q.Success != nil {
		add("success = ?", *q.Success)
	}
	if q.Before > 0 {
		add("seq < ?", q.Before)
	}
	timeBounds(q, add)
	return strings.Join(conds, " AND "), args
}

// timeBounds narrows a window of time to a window of seq, in which rows are then read newest first without a sort. The exact
// comparison of time stays; its unary plus keeps SQLite from choosing the time index, which would need that sort.
//
// First row at or after Since: it is the first of the rows in order (back = 0), because every row before it is older.
// Last row before Until: the last such row in order, or the last such row out of order, whichever has the higher seq.
func timeBounds(q AuditQuery, add func(string, ...any)) {
	if !q.Since.IsZero() {
		since := toNano(q.Since)
		add("seq >= coalesce((SELECT seq FROM audit WHERE back = 0 AND time >= ? ORDER BY time, seq LIMIT 1), 9223372036854775807)", since)
		add("+time >= ?", since)
	}
	if !q.Until.IsZero() {
		until := toNano(q.Until)
		add("seq <= max(coalesce((SELECT seq FROM audit WHERE back = 0 AND time < ? ORDER BY time DESC, seq DESC LIMIT 1), 0),"+
			" coalesce((SELECT max(seq) FROM audit WHERE back = 1 AND time < ?), 0))", until, until)
		add("+time < ?", until)
	}
}

// WalkAudit implements Audit. fn runs outside of any transaction and sees rows that are appended during the walk.
func (s *SQLite) WalkAudit(ctx context.Context, from int64, fn func(AuditRow) error) error {
	for {
		rows, err := s.auditRows(ctx, "SELECT "+auditColumns+" FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?", from, walkPage)
		if err != nil {
			return fmt.Errorf("walk audit: %w", err)
		}
		for _, r := range rows {
			if err := fn(r); err != nil {
				return err
			}
			from = r.Seq + 1
		}
		if len(rows) < walkPage {
			return nil
		}
	}
}

func (s *SQLite) auditRows(ctx context.Context, text string, args ...any) ([]AuditRow, error) {
	db, done, err := s.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := db.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, s.classify(err)
	}
	defer func() { _ = rows.Close() }()
	var out []AuditRow
	for rows.Next() {
		var r AuditRow
		var at int64
		err := rows.Scan(&r.Seq, &r.Chain, &at, &r.Service, &r.UserID, &r.UserEmail, &r.Operation, &r.Phase, &r.Success, &r.Hash, &r.JSON)
		if err != nil {
			return nil, s.classify(err)
		}
		r.Time = fromNano(at)
		out = append(out, r)
	}
	return out, s.classify(rows.Err())
}
