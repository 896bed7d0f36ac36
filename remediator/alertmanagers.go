package remediator

import (
	"context"
	"errors"
	"time"
)

// Alertmanagers are the members of one Alertmanager cluster, asked at the same time. One that answers is enough: a dead member costs
// neither alerts nor silences nor words to people. It is safe for concurrent use.
type Alertmanagers []*Alertmanager

// NewAlertmanagers returns the cluster whose members are at urls. token may be nil.
func NewAlertmanagers(urls []string, token func() string) (Alertmanagers, error) {
	var out Alertmanagers
	for _, u := range urls {
		a, err := NewAlertmanager(u, token)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// answered is what one member said.
type answered[T any] struct {
	value T
	err   error
}

// askAll asks every member at once. After the first answer the others have a moment more: a member that hangs must not hold up what the
// other knows.
func askAll[T any](ctx context.Context, all Alertmanagers, question func(context.Context, *Alertmanager) (T, error)) ([]T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answers := make(chan answered[T], len(all))
	for _, a := range all {
		go func() {
			v, err := question(ctx, a)
			answers <- answered[T]{v, err}
		}()
	}
	var good []T
	var errs []error
	var patience <-chan time.Time // never, before the first answer
	for range all {
		select {
		case got := <-answers:
			if got.err != nil {
				errs = append(errs, got.err)
				continue
			}
			if good = append(good, got.value); patience == nil {
				t := time.NewTimer(memberPatience)
				defer t.Stop()
				patience = t.C
			}
		case <-patience:
			return good, nil
		}
	}
	if len(good) > 0 {
		return good, nil
	}
	return nil, errors.Join(errs...)
}

// memberPatience is how long the other members may take once one has answered.
const memberPatience = 500 * time.Millisecond

// Alerts implements AlertSource: what any member knows. An alert that one of them has silenced counts as silenced.
func (all Alertmanagers) Alerts(ctx context.Context) ([]Alert, error) {
	lists, err := askAll(ctx, all, func(ctx context.Context, a *Alertmanager) ([]Alert, error) { return a.Alerts(ctx) })
	if err != nil {
		return nil, err
	}
	at := map[string]int{}
	var out []Alert
	for _, list := range lists {
		for _, a := range list {
			i, known := at[a.Fingerprint]
			if !known {
				at[a.Fingerprint] = len(out)
				out = append(out, a)
				continue
			}
			if a.StartsAt.Before(out[i].StartsAt) {
				out[i].StartsAt = a.StartsAt // one episode, heard of at two moments
			}
			if out[i].Suppressed == "" {
				out[i].Suppressed = a.Suppressed
			}
		}
	}
	return out, nil
}

// Silences implements SilenceSource.
func (all Alertmanagers) Silences(ctx context.Context) ([]Silence, error) {
	lists, err := askAll(ctx, all, func(ctx context.Context, a *Alertmanager) ([]Silence, error) { return a.Silences(ctx) })
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []Silence
	for _, list := range lists {
		for _, s := range list {
			if !seen[s.ID] {
				seen[s.ID] = true
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// Notify implements Notifier. Every member is told, as Prometheus does: they share what they have sent, not what they have heard.
func (all Alertmanagers) Notify(ctx context.Context, n Notice) error {
	_, err := askAll(ctx, all, func(ctx context.Context, a *Alertmanager) (struct{}, error) { return struct{}{}, a.Notify(ctx, n) })
	return err
}

// Silence implements Silencer. The first member that takes it tells the others.
func (all Alertmanagers) Silence(ctx context.Context, service string, until time.Time, by, comment string) (string, error) {
	var errs []error
	for _, a := range all {
		id, err := a.Silence(ctx, service, until, by, comment)
		if err == nil {
			return id, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// Expire implements Silencer.
func (all Alertmanagers) Expire(ctx context.Context, id string) error {
	var errs []error
	for _, a := range all {
		err := a.Expire(ctx, id)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
