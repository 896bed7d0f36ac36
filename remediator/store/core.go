package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"time"
)

// core implements Store's methods in the SQL that SQLite and PostgreSQL share. Text is written with "?" for parameters.
type core struct {
	mu     sync.RWMutex // guards closed; read-held by everything that Close has to wait for
	closed bool
	r      *sql.DB // for reads

	// write runs do in a durable transaction. do may run more than once, each time in a fresh transaction.
	write    func(ctx context.Context, do work) error
	classify func(error) error // wraps an error of the database with the sentinel that says what it means
	dialect  dialect
}

// work is one caller's part of a transaction. It must use the given context.
type work func(ctx context.Context, tx *sql.Tx) error

// dialect is where the two differ.
type dialect struct {
	numbered bool   // parameters are $1, $2, …
	greatest string // the function that returns the greater of two values
	taken    func(error) bool
}

func (d dialect) bind(text string) string {
	if !d.numbered {
		return text
	}
	var b strings.Builder
	parts := strings.Split(text, "?")
	for i, part := range parts {
		b.WriteString(part)
		if i < len(parts)-1 {
			fmt.Fprintf(&b, "$%d", i+1)
		}
	}
	return b.String()
}

// enter keeps Close waiting until leave is called, or returns ErrClosed.
func (c *core) enter() (leave func(), err error) {
	c.mu.RLock()
	if c.closed {
		c.mu.RUnlock()
		return nil, ErrClosed
	}
	return c.mu.RUnlock, nil
}

// query runs a read and calls scan for each row.
func (c *core) query(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) error {
	leave, err := c.enter()
	if err != nil {
		return err
	}
	defer leave()
	rows, err := c.r.QueryContext(ctx, c.dialect.bind(text), args...)
	if err != nil {
		return c.classify(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return c.classify(err)
		}
	}
	return c.classify(rows.Err())
}

// change runs one statement durably and returns how many rows it touched.
func (c *core) change(ctx context.Context, text string, args ...any) (int, error) {
	var n int64
	err := c.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, c.dialect.bind(text), args...)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return 0, err // n may still be written to when the outcome is unknown
	}
	return int(n), nil
}

// zeroTime stands for time.Time{}, whose Unix time in nanoseconds does not fit in an int64.
const zeroTime = -1 << 63

func toNano(t time.Time) int64 {
	if t.IsZero() {
		return zeroTime
	}
	return t.UnixNano()
}

func fromNano(n int64) time.Time {
	if n == zeroTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// nonNil keeps an empty document apart from NULL.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
