// Package store owns durable state: the audit index, incidents, per-service recovery state, webhook deliveries and panel
// sessions. SQLite by default. It refuses to be a cache: what it acknowledged survives a power cut.
package store

import (
	"context"
	"errors"
	"time"
)

// ErrNotFound is returned for an id that is not stored.
var ErrNotFound = errors.New("not found")

// Store is the whole of durable state. Consumers declare the few methods that they need. All methods are safe for concurrent
// use, honour ctx, and return only after the write is durable.
type Store interface {
	Audit
	Documents
	Sessions
	Close() error
}

// AuditRow is one audit record as stored: the columns that queries filter on and the whole record as canonical JSON.
type AuditRow struct {
	Seq       int64
	Chain     string
	Time      time.Time
	Service   string
	UserID    string
	UserEmail string
	Operation string
	Phase     string
	Success   bool
	Hash      string
	JSON      []byte
}

// AuditQuery selects audit rows; zero fields select all. Rows come newest first, only those with Seq < Before when Before > 0.
type AuditQuery struct {
	Service, User, Operation, Phase string // User matches id or e-mail
	Success                         *bool
	Since, Until                    time.Time
	Before                          int64
	Limit                           int
}

// Audit is the queryable copy of the audit log.
type Audit interface {
	// AppendAudit writes rows in one durable transaction. Concurrent calls share an fsync (group commit).
	AppendAudit(ctx context.Context, rows ...AuditRow) error
	// LastAudit returns the row with the highest Seq, or ErrNotFound when there is none.
	LastAudit(ctx context.Context) (AuditRow, error)
	QueryAudit(ctx context.Context, q AuditQuery) ([]AuditRow, error)
	// WalkAudit calls fn for every row in ascending order of Seq, from the given Seq on, until fn returns an error.
	WalkAudit(ctx context.Context, from int64, fn func(AuditRow) error) error
	// PruneAudit removes every row up to and including the given Seq, a part at a time so that appends need not wait long. After
	// an error some may be gone.
	PruneAudit(ctx context.Context, through int64) error
}

// Document is one JSON document of a kind: the recovery state of a service, an incident, a webhook delivery.
type Document struct {
	Kind    string
	ID      string
	Service string
	Open    bool      // for incidents: not closed yet
	At      time.Time // sort key: newest first
	JSON    []byte
}

// DocumentQuery selects documents of one kind, newest first. Cursor is the opaque cursor of the page before.
type DocumentQuery struct {
	Kind, Service string
	OpenOnly      bool
	Cursor        string
	Limit         int // 0 means 50
}

// Documents keeps JSON documents by kind and id.
type Documents interface {
	// PutDocuments inserts or replaces all of them in one durable transaction.
	PutDocuments(ctx context.Context, docs ...Document) error
	Document(ctx context.Context, kind, id string) (Document, error)
	ListDocuments(ctx context.Context, q DocumentQuery) (docs []Document, next string, err error)
	// InsertNew stores a document only if none with this kind and id exists; it reports whether it did.
	InsertNew(ctx context.Context, doc Document) (inserted bool, err error)
	// PruneDocuments removes closed documents of a kind that are older than before, at most limit of them.
	PruneDocuments(ctx context.Context, kind string, before time.Time, limit int) (int, error)
}

// Session is a panel session. Only a hash of the cookie's value is stored.
type Session struct {
	IDHash   string
	UserID   string
	Created  time.Time
	LastUsed time.Time
	Expires  time.Time // absolute end
	SourceIP string
	Identity string // what an identity provider said of the user, in the caller's form; empty for users of the configuration
}

// Sessions keeps panel sessions. They never live in the managed Redis.
type Sessions interface {
	PutSession(ctx context.Context, s Session) error
	Session(ctx context.Context, idHash string) (Session, error)
	DeleteSession(ctx context.Context, idHash string) error
	DeleteUserSessions(ctx context.Context, userID string) (int, error)
	PruneSessions(ctx context.Context, now time.Time, idle time.Duration) (int, error)
}
