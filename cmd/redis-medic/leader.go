package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/remediator/store"
)

// replica is this process among those that share a PostgreSQL database. One of them leads: it runs all components. The others
// only measure, and wait for its lease to end.
type replica struct {
	plan   postgresPlan
	db     *store.Postgres
	lease  *store.Lease // nil: does not lead
	holder string
	log    zerolog.Logger
}

func openReplica(ctx context.Context, p postgresPlan, log zerolog.Logger) (*replica, error) {
	log = log.With().Str("component", "store").Logger()
	db, err := store.OpenPostgres(ctx, store.PostgresOptions{DSN: p.DSN.Text(), Logger: log})
	if err != nil {
		return nil, err
	}
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	return &replica{plan: p, db: db, holder: fmt.Sprintf("%s/%d/%s", name, os.Getpid(), rand.Text()[:8]), log: log}, nil
}

// campaign waits until this process leads. It fails only when ctx ends.
func (r *replica) campaign(ctx context.Context) error {
	l, err := r.db.Lead(ctx, r.holder, r.plan.Lease, func(err error) { r.log.Warn().Err(err).Msg("ask for the lease") })
	if err != nil {
		return err
	}
	r.lease = l
	r.log.Info().Str("holder", r.holder).Msg("this process leads")
	return nil
}

// keep renews the lease until ctx ends, and then gives it back. It returns store.ErrNoLease when the lease is lost.
func (r *replica) keep(ctx context.Context) error {
	err := r.lease.Keep(ctx)
	r.lease = nil
	return err
}

// begin does beside the parts what a replica has to: wait to lead, or stay the leader. The channel tells when that has changed. end
// gives the lease back; it is called when the parts have ended.
func (r *replica) begin(ctx context.Context) (changed <-chan error, end func()) {
	if r == nil {
		return nil, func() {}
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	out, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		if r.lease == nil {
			if r.campaign(ctx) == nil {
				out <- nil
			}
			return
		}
		if err := r.keep(ctx); err != nil {
			out <- err
		}
	}()
	return out, func() { stop(); <-ended }
}

// tasks are the components that this process runs now.
func (r *replica) tasks(all components) components {
	if r == nil || r.lease != nil {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c != componentExporter })
}

// join makes the process a replica where the plan says so, and lets it lead at once where nobody else does.
func (s *server) join(ctx context.Context, p *plan) error {
	if !p.Postgres.DSN.Set() {
		return s.leave()
	}
	if s.replica == nil || !reflect.DeepEqual(s.replica.plan, p.Postgres) {
		next, err := openReplica(ctx, p.Postgres, s.log)
		if err != nil {
			return err
		}
		if err := s.leave(); err != nil {
			s.log.Warn().Err(err).Msg("leave the old database")
		}
		s.replica = next
	}
	s.metrics.leader.Set(0)
	if s.replica.lease == nil {
		s.replica.tryLead(ctx)
	}
	if s.replica.lease != nil {
		s.metrics.leader.Set(1)
	}
	return nil
}

// leave ends what join began. The lease was given back with the parts.
func (s *server) leave() error {
	s.metrics.leader.Set(1)
	if s.replica == nil {
		return nil
	}
	err := s.replica.db.Close()
	s.replica = nil
	return err
}

// tryLead takes the lease if it is free.
func (r *replica) tryLead(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.plan.Lease/2)
	defer cancel()
	l, err := r.db.TryLead(ctx, r.holder, r.plan.Lease)
	switch {
	case err == nil:
		r.lease = l
	case errors.Is(err, store.ErrNoLease):
		r.log.Info().Msg("another process leads: this one measures and waits")
	default:
		r.log.Warn().Err(err).Msg("ask for the lease")
	}
}
