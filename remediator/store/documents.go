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
func (c *core) PutDocuments(ctx context.Context, docs ...Document) error {
	if len(docs) == 0 {
		return nil
	}
	docs = slices.Clone(docs) // the caller may go on before the commit when its context ends
	err := c.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, d := range docs {
			_, err := tx.ExecContext(ctx, c.dialect.bind(insertDocument+`UPDATE SET service = excluded.service, open = excluded.open, at = excluded.at,
				json = excluded.json`), d.Kind, d.ID, d.Service, d.Open, toNano(d.At), nonNil(d.JSON))
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
func (c *core) InsertNew(ctx context.Context, d Document) (bool, error) {
	n, err := c.change(ctx, insertDocument+"NOTHING", d.Kind, d.ID, d.Service, d.Open, toNano(d.At), nonNil(d.JSON))
	if err != nil {
		return false, fmt.Errorf("insert document: %w", err)
	}
	return n == 1, nil
}

// Document implements Documents.
func (c *core) Document(ctx context.Context, kind, id string) (Document, error) {
	docs, err := c.documentRows(ctx, "SELECT "+documentColumns+" FROM documents WHERE kind = ? AND id = ?", kind, id)
	if err != nil {
		return Document{}, fmt.Errorf("read document: %w", err)
	}
	if len(docs) == 0 {
		return Document{}, fmt.Errorf("read document %s %s: %w", kind, id, ErrNotFound)
	}
	return docs[0], nil
}

// ListDocuments implements Documents. next is empty on the last page.
func (c *core) ListDocuments(ctx context.Context, q DocumentQuery) ([]Document, string, error) {
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
		text += " AND open = ?"
		args = append(args, true)
	}
	if q.Cursor != "" {
		at, err := parseCursor(q.Cursor)
		if err != nil {
			return nil, "", fmt.Errorf("list documents: %w", err)
		}
		text += " AND (at, id) < (?, ?)"
		args = append(args, at.At, at.ID)
	}
	// One more than asked for tells whether there is a next page.
	docs, err := c.documentRows(ctx, text+" ORDER BY at DESC, id DESC LIMIT ?", append(args, limit+1)...)
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
func (c *core) PruneDocuments(ctx context.Context, kind string, before time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	n, err := c.change(ctx, `DELETE FROM documents WHERE kind = ? AND id IN (SELECT id FROM documents
		WHERE kind = ? AND open = ? AND at < ? ORDER BY at, id LIMIT ?)`, kind, kind, false, toNano(before), limit)
	if err != nil {
		return 0, fmt.Errorf("prune documents: %w", err)
	}
	return n, nil
}

func (c *core) documentRows(ctx context.Context, text string, args ...any) ([]Document, error) {
	var out []Document
	err := c.query(ctx, func(rows *sql.Rows) error {
		var d Document
		var at int64
		err := rows.Scan(&d.Kind, &d.ID, &d.Service, &d.Open, &at, &d.JSON)
		d.At = fromNano(at)
		out = append(out, d)
		return err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	return out, nil
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
