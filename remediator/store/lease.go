package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrNoLease says that another process leads: this one must not write and must not act.
var ErrNoLease = errors.New("another redis-medic holds the lease of this database")

// leasePace is how many times the lease is renewed, or asked for, within its time.
const leasePace = 5

// Lease is the right of one process to write to a PostgreSQL store and to act. It is held by the clock of the database; its number
// fences: once a later holder has taken the lease, every write of this one fails with ErrNoLease, however late it arrives. All
// methods are safe for concurrent use.
type Lease struct {
	p     *Postgres
	ttl   time.Duration
	token int64
	until atomic.Pointer[time.Time] // by our own monotonic clock, on the safe side
}

// Lead waits until no other process holds the lease and takes it. From then on every write of the store is fenced by it. It fails
// only when ctx ends; a database that cannot be asked is asked again, and told to failed. The caller runs Keep.
func (p *Postgres) Lead(ctx context.Context, holder string, ttl time.Duration, failed func(error)) (*Lease, error) {
	t := time.NewTicker(ttl / leasePace)
	defer t.Stop()
	for {
		l, err := p.TryLead(ctx, holder, ttl)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, ErrNoLease) && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-t.C:
		}
	}
}

// TryLead takes the lease if it is free; otherwise it returns ErrNoLease, or what the database says. It waits for nobody.
func (p *Postgres) TryLead(ctx context.Context, holder string, ttl time.Duration) (*Lease, error) {
	l := &Lease{p: p, ttl: ttl}
	err := l.ask(ctx, &l.token, `UPDATE lease SET holder = $1, token = token + 1, until = clock_timestamp() + $2 * interval '1 microsecond'
		WHERE until <= clock_timestamp() RETURNING token`, holder, ttl.Microseconds())
	if err != nil {
		return nil, err
	}
	p.fence.Store(l.token)
	return l, nil
}

// ask runs a statement that returns a row only if the lease is, or becomes, ours.
func (l *Lease) ask(ctx context.Context, into *int64, text string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, l.ttl/leasePace)
	defer cancel()
	leave, err := l.p.enter()
	if err != nil {
		return err
	}
	defer leave()
	asked := time.Now()
	err = l.p.lease.QueryRowContext(ctx, text, args...).Scan(into)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNoLease
	}
	if err != nil {
		return fmt.Errorf("ask for the lease: %w", err)
	}
	until := asked.Add(l.ttl - l.ttl/leasePace) // counted from before the question, less a margin for clocks that run at another pace
	l.until.Store(&until)
	return nil
}

// Held reports whether the lease is certainly still ours. It asks nobody and never waits.
func (l *Lease) Held() bool { return time.Now().Before(*l.until.Load()) }

// Keep renews the lease until ctx ends, and then gives it back, so that the next process need not wait for its end. It returns
// ErrNoLease when the lease is lost: taken by another process, or not renewed in time.
func (l *Lease) Keep(ctx context.Context) error {
	t := time.NewTicker(l.ttl / leasePace)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return l.release()
		case <-t.C:
		}
		var token int64
		err := l.ask(ctx, &token, `UPDATE lease SET until = clock_timestamp() + $2 * interval '1 microsecond' WHERE token = $1 RETURNING token`,
			l.token, l.ttl.Microseconds())
		if errors.Is(err, ErrNoLease) || (err != nil && !l.Held()) {
			return errors.Join(ErrNoLease, err)
		}
	}
}

func (l *Lease) release() error {
	var token int64
	err := l.ask(context.Background(), &token, `UPDATE lease SET until = clock_timestamp() WHERE token = $1 RETURNING token`, l.token)
	gone := time.Time{}
	l.until.Store(&gone)
	if errors.Is(err, ErrNoLease) {
		return nil
	}
	return err
}

// fenced refuses a transaction of a process whose lease another one has taken. The row stays locked until the commit, so that none
// can be taken in between.
func (p *Postgres) fenced(ctx context.Context, tx *sql.Tx) error {
	token := p.fence.Load()
	if token == 0 {
		return nil
	}
	var now int64
	if err := tx.QueryRowContext(ctx, "SELECT token FROM lease FOR SHARE").Scan(&now); err != nil {
		return fmt.Errorf("check the lease: %w", err)
	}
	if now != token {
		return ErrNoLease
	}
	return nil
}
