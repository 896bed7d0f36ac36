package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// PutSession implements Sessions; it inserts or replaces.
func (s *SQLite) PutSession(ctx context.Context, v Session) error {
	err := s.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("INSERT OR REPLACE INTO sessions (id_hash, user_id, created, last_used, expires, source_ip) VALUES (?,?,?,?,?,?)",
			v.IDHash, v.UserID, toNano(v.Created), toNano(v.LastUsed), toNano(v.Expires), v.SourceIP)
		return err
	})
	if err != nil {
		return fmt.Errorf("put session: %w", err)
	}
	return nil
}

// Session implements Sessions. It does not judge expiry: the caller knows the time and the idle limit.
func (s *SQLite) Session(ctx context.Context, idHash string) (Session, error) {
	db, done, err := s.reader()
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	defer done()
	v := Session{IDHash: idHash}
	var created, used, expires int64
	err = db.QueryRowContext(ctx, "SELECT user_id, created, last_used, expires, source_ip FROM sessions WHERE id_hash = ?", idHash).
		Scan(&v.UserID, &created, &used, &expires, &v.SourceIP)
	if errors.Is(err, sql.ErrNoRows) {
		return Session{}, fmt.Errorf("read session: %w", ErrNotFound)
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", s.classify(err))
	}
	v.Created, v.LastUsed, v.Expires = fromNano(created), fromNano(used), fromNano(expires)
	return v, nil
}

// DeleteSession implements Sessions; deleting what is not there is no error.
func (s *SQLite) DeleteSession(ctx context.Context, idHash string) error {
	if _, err := s.delete(ctx, "DELETE FROM sessions WHERE id_hash = ?", idHash); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// DeleteUserSessions implements Sessions; it returns how many there were.
func (s *SQLite) DeleteUserSessions(ctx context.Context, userID string) (int, error) {
	n, err := s.delete(ctx, "DELETE FROM sessions WHERE user_id = ?", userID)
	if err != nil {
		return 0, fmt.Errorf("delete sessions of a user: %w", err)
	}
	return n, nil
}

// PruneSessions implements Sessions: it removes what has expired or was not used for longer than idle (0: no idle limit).
func (s *SQLite) PruneSessions(ctx context.Context, now time.Time, idle time.Duration) (int, error) {
	unusedSince := int64(zeroTime)
	if idle > 0 {
		unusedSince = toNano(now.Add(-idle))
	}
	n, err := s.delete(ctx, "DELETE FROM sessions WHERE expires <= ? OR last_used < ?", toNano(now), unusedSince)
	if err != nil {
		return 0, fmt.Errorf("prune sessions: %w", err)
	}
	return n, nil
}
