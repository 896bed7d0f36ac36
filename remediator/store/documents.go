package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

const documentColumns = "kind, id, service, open, at, json"

const insertDocument = "INSERT INTO documents (" + documentColumns + ") VALUES (?,?,?,?,?,?) ON CONFLICT (kind, id) DO "

// PutDocuments implements Documents.
func (s *SQLite) PutDocuments(ctx context.Context, docs ...Document) error {
	if len(docs) == 0 {
		return nil
	}
	docs = slices.Clone(docs) // the caller may go on before the commit when its context ends
	err := s.write(ctx, func(tx *sql.Tx) error {
		for _, d := range docs {
			_, err := tx.Exec(insertDocument+`UPDATE SET service = excluded.service, open = excluded.open, at = excluded.at,
				json = excluded.json`, d.Kind, d.ID, d.Service, d.Open, toNano(d.At), nonNil(d.JSON))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put documents: %w", err)
	}
	return nil
}

// InsertNew implements Documents.
func (s *SQLite) InsertNew(ctx context.Context, d Document) (bool, error) {
	var inserted bool
	err := s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec(insertDocument+"NOTHING", d.Kind, d.ID, d.Service, d.Open, toNano(d.At), nonNil(d.JSON))
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		inserted = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("insert document: %w", err)
	}
	return inserted, nil
}

// Document implements Documents.
func (s *SQLite) Document(ctx context.Context, kind, id string) (Document, error) {
	docs, err := s.documentRows(ctx, "SELECT "+documentColumns+" FROM documents WHERE kind = ? AND id = ?", kind, id)
	if err != nil {
		return Document{}, fmt.Errorf("read document: %w", err)
	}
	if len(docs) == 0 {
		return Document{}, fmt.Errorf("read document %s %s: %w", kind, id, ErrNotFound)
	}
	return docs[0], nil
}

// ListDocuments implements Documents. next is empty on the last page.
func (s *SQLite) ListDocuments(ctx context.Context, q DocumentQuery) ([]Document, string, error) {
	limit := q.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	text := "SELECT " + documentColumns + " FROM documents WHERE kind = ?"
	args := []any{q.Kind}
	if q.Service != "" {
		text += " AND service = ?"
		args = append(args, q.Service)
	}
	if q.OpenOnly {
		text += " AND open = 1"
	}
	if q.Cursor != "" {
		c, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, "", fmt.Errorf("list documents: %w", err)
		}
		text += " AND (at, id) < (?, ?)"
		args = append(args, c.At, c.ID)
	}
	// One more than asked for tells whether there is a next page.
	docs, err := s.documentRows(ctx, text+" ORDER BY at DESC, id DESC LIMIT ?", append(args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list documents: %w", err)
	}
	if len(docs) <= limit {
		return docs, "", nil
	}
	last := docs[limit-1]
	return docs[:limit], cursor{At: toNano(last.At), ID: last.ID}.String(), nil
}

// PruneDocuments implements Documents; the oldest go first. A limit of 0 or less removes nothing.
func (s *SQLite) PruneDocuments(ctx context.Context, kind string, before time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	n, err := s.delete(ctx, `DELETE FROM documents WHERE rowid IN (SELECT rowid FROM documents WHERE kind = ? AND open = 0 AND at < ?
		ORDER BY at, id LIMIT ?)`, kind, toNano(before), limit)
	if err != nil {
		return 0, fmt.Errorf("prune documents: %w", err)
	}
	return n, nil
}

// delete runs one statement and returns how many rows it took away.
func (s *SQLite) delete(ctx context.Context, text string, args ...any) (int, error) {
	var n int64
	err := s.write(ctx, func(tx *sql.Tx) error {
		res, err := tx.Exec(text, args...)
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

func (s *SQLite) documentRows(ctx context.Context, text string, args ...any) ([]Document, error) {
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
	var out []Document
	for rows.Next() {
		var d Document
		var at int64
		if err := rows.Scan(&d.Kind, &d.ID, &d.Service, &d.Open, &at, &d.JSON); err != nil {
			return nil, s.classify(err)
		}
		d.At = fromNano(at)
		out = append(out, d)
	}
	return out, s.classify(rows.Err())
}

// cursor is the place after the last document of a page. It names that document instead of an offset, so that pages neither
// repeat nor skip one when others come or go in between.
type cursor struct {
	At int64  `json:"a"`
	ID string `json:"i"`
}

// String encodes a cursor for a URL.
func (c cursor) String() string {
	b, _ := json.Marshal(c) // a number and a string always encode
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(text string) (cursor, error) {
	var c cursor
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return c, fmt.Errorf("%w: %w", ErrBadCursor, err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%w: %w", ErrBadCursor, err)
	}
	if c.ID == "" {
		return c, errors.Join(ErrBadCursor)
	}
	return c, nil
}
