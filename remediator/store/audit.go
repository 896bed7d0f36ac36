package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

const (
	defaultLimit = 50
	walkPage     = 1000 // rows per read transaction of a walk: a long reader would keep the write-ahead log from shrinking
)

const auditColumns = "seq, chain, time, service, user_id, user_email, operation, phase, success, hash, json"

// AppendAudit implements Audit. A Seq that is stored already is ErrConflict, and then none of rows was stored.
func (c *core) AppendAudit(ctx context.Context, rows ...AuditRow) error {
	if len(rows) == 0 {
		return nil
	}
	for _, r := range rows {
		if r.Seq <= 0 {
			return fmt.Errorf("append audit: sequence number %d is not positive", r.Seq)
		}
	}
	rows = slices.Clone(rows) // the caller may go on before the commit when its context ends
	err := c.write(ctx, func(ctx context.Context, tx *sql.Tx) error { return c.insertAudit(ctx, tx, rows) })
	if err != nil {
		return fmt.Errorf("append audit: %w", err)
	}
	return nil
}

// insertRows is how many rows one statement inserts.
const insertRows = 50

func (c *core) insertAudit(ctx context.Context, tx *sql.Tx, rows []AuditRow) error {
	// Rows come in the order of the chain, so that all earlier ones can be seen here.
	newest := int64(zeroTime)
	err := tx.QueryRowContext(ctx, c.dialect.bind("SELECT coalesce(max(time), ?) FROM audit WHERE back = ?"), newest, false).Scan(&newest)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(rows, insertRows) {
		var args []any
		for _, r := range part {
			at := toNano(r.Time)
			args = append(args, r.Seq, r.Chain, at, r.Service, r.UserID, r.UserEmail, r.Operation, r.Phase, r.Success, r.Hash,
				nonNil(r.JSON), at < newest)
			newest = max(newest, at)
		}
		values := strings.TrimSuffix(strings.Repeat("(?,?,?,?,?,?,?,?,?,?,?,?),", len(part)), ",")
		_, err := tx.ExecContext(ctx, c.dialect.bind("INSERT INTO audit ("+auditColumns+", back) VALUES "+values), args...)
		if err != nil && c.dialect.taken(err) {
			return fmt.Errorf("%w: among %d to %d", ErrConflict, part[0].Seq, part[len(part)-1].Seq)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LastAudit implements Audit.
func (c *core) LastAudit(ctx context.Context) (AuditRow, error) {
	rows, err := c.auditRows(ctx, "SELECT "+auditColumns+" FROM audit ORDER BY seq DESC LIMIT 1")
	if err != nil {
		return AuditRow{}, fmt.Errorf("read last audit row: %w", err)
	}
	if len(rows) == 0 {
		return AuditRow{}, fmt.Errorf("read last audit row: %w", ErrNotFound)
	}
	return rows[0], nil
}

// QueryAudit implements Audit.
func (c *core) QueryAudit(ctx context.Context, q AuditQuery) ([]AuditRow, error) {
	text, args := c.dialect.auditSelect(q)
	rows, err := c.auditRows(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("query audit: %w", err)
	}
	return rows, nil
}

// auditSelect builds the statement of a query. A user matches by id or e-mail: two index walks whose newest rows are merged,
// because one OR would make SQLite collect and sort everything that user ever did.
func (d dialect) auditSelect(q AuditQuery) (string, []any) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	where, args := d.auditWhere(q)
	if q.User == "" {
		return "SELECT " + auditColumns + " FROM audit WHERE " + where + " ORDER BY seq DESC LIMIT ?", append(args, limit)
	}
	one := func(column string) string {
		return "SELECT seq FROM (SELECT seq FROM audit WHERE " + column + " = ? AND " + where + " ORDER BY seq DESC LIMIT ?) AS newest"
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

func (d dialect) auditWhere(q AuditQuery) (string, []any) {
	conds, args := []string{"TRUE"}, []any{}
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
	d.timeBounds(q, add)
	return strings.Join(conds, " AND "), args
}

// timeBounds narrows a window of time to a window of seq, in which rows are then read newest first without a sort. The exact
// comparison of time stays; its unary plus keeps SQLite from choosing the time index, which would need that sort.
//
// First row at or after Since: it is the first of the rows in order (back is false), because every row before it is older.
// Last row before Until: the last such row in order, or the last such row out of order, whichever has the higher seq.
func (d dialect) timeBounds(q AuditQuery, add func(string, ...any)) {
	if !q.Since.IsZero() {
		since := toNano(q.Since)
		add("seq >= coalesce((SELECT seq FROM audit WHERE back = ? AND time >= ? ORDER BY time, seq LIMIT 1), 9223372036854775807)", false, since)
		add("+time >= ?", since)
	}
	if !q.Until.IsZero() {
		until := toNano(q.Until)
		add("seq <= "+d.greatest+"(coalesce((SELECT seq FROM audit WHERE back = ? AND time < ? ORDER BY time DESC, seq DESC LIMIT 1), 0),"+
			" coalesce((SELECT max(seq) FROM audit WHERE back = ? AND time < ?), 0))", false, until, true, until)
		add("+time < ?", until)
	}
}

// WalkAudit implements Audit. fn runs outside of any transaction and sees rows that are appended during the walk.
func (c *core) WalkAudit(ctx context.Context, from int64, fn func(AuditRow) error) error {
	for {
		rows, err := c.auditRows(ctx, "SELECT "+auditColumns+" FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?", from, walkPage)
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

// pruneRows is how many rows one transaction removes.
const pruneRows = 1000

// PruneAudit implements Audit.
func (c *core) PruneAudit(ctx context.Context, through int64) error {
	for {
		n, err := c.change(ctx, "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= ? ORDER BY seq LIMIT ?)", through, pruneRows)
		if err != nil {
			return fmt.Errorf("prune audit: %w", err)
		}
		if n < pruneRows {
			return nil
		}
	}
}

func (c *core) auditRows(ctx context.Context, text string, args ...any) ([]AuditRow, error) {
	var out []AuditRow
	err := c.query(ctx, func(rows *sql.Rows) error {
		var r AuditRow
		var at int64
		err := rows.Scan(&r.Seq, &r.Chain, &at, &r.Service, &r.UserID, &r.UserEmail, &r.Operation, &r.Phase, &r.Success, &r.Hash, &r.JSON)
		r.Time = fromNano(at)
		out = append(out, r)
		return err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
}
