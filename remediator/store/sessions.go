package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// PutSession implements Sessions; it inserts or replaces.
func (c *core) PutSession(ctx context.Context, v Session) error {
	_, err := c.change(ctx, `INSERT INTO sessions (id_hash, user_id, created, last_used, expires, source_ip, identity) VALUES (?,?,?,?,?,?,?)
		ON CONFLICT (id_hash) DO UPDATE SET user_id = excluded.user_id, created = excluded.created, last_used = excluded.last_used,
		expires = excluded.expires, source_ip = excluded.source_ip, identity = excluded.identity`,
		v.IDHash, v.UserID, toNano(v.Created), toNano(v.LastUsed), toNano(v.Expires), v.SourceIP, v.Identity)
	if err != nil {
		return fmt.Errorf("put session: %w", err)
	}
	return nil
}

// Session implements Sessions. It does not judge expiry: the caller knows the time and the idle limit.
func (c *core) Session(ctx context.Context, idHash string) (Session, error) {
	v, found := Session{IDHash: idHash}, false
	err := c.query(ctx, func(rows *sql.Rows) error {
		var created, used, expires int64
		err := rows.Scan(&v.UserID, &created, &used, &expires, &v.SourceIP, &v.Identity)
		v.Created, v.LastUsed, v.Expires = fromNano(created), fromNano(used), fromNano(expires)
		found = true
		return err
	}, "SELECT user_id, created, last_used, expires, source_ip, identity FROM sessions WHERE id_hash = ?", idHash)
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return Session{}, fmt.Errorf("read session: %w", err)
	}
	return v, nil
}

// DeleteSession implements Sessions; deleting what is not there is no error.
func (c *core) DeleteSession(ctx context.Context, idHash string) error {
	if _, err := c.change(ctx, "DELETE FROM sessions WHERE id_hash = ?", idHash); err != nil {
		return fmt.Errorf("delete session: %w", err)
	}
	return nil
}

// DeleteUserSessions implements Sessions; it returns how many there were.
func (c *core) DeleteUserSessions(ctx context.Context, userID string) (int, error) {
	n, err := c.change(ctx, "DELETE FROM sessions WHERE user_id = ?", userID)
	if err != nil {
		return 0, fmt.Errorf("delete sessions of a user: %w", err)
	}
	return n, nil
}

// PruneSessions implements Sessions: it removes what has expired or was not used for longer than idle (0: no idle limit).
func (c *core) PruneSessions(ctx context.Context, now time.Time, idle time.Duration) (int, error) {
	unusedSince := int64(zeroTime)
	if idle > 0 {
		unusedSince = toNano(now.Add(-idle))
	}
	n, err := c.change(ctx, "DELETE FROM sessions WHERE expires <= ? OR last_used < ?", toNano(now), unusedSince)
	if err != nil {
		return 0, fmt.Errorf("prune sessions: %w", err)
	}
	return n, nil
}
