package remediator

import (
	"context"
	"time"
)

// reconcileLoop reads which alerts are active, at start and every few seconds: a webhook that was lost, swallowed by a silence
// or cut short then costs seconds, not an outage.
func (r *Remediator) reconcileLoop(ctx context.Context) error {
	if r.o.Alerts == nil {
		<-ctx.Done()
		return nil
	}
	for {
		if err := r.reconcile(ctx); err != nil && ctx.Err() == nil {
			r.metrics.reconciles.WithLabelValues("failure").Inc()
			r.o.Logger.Warn().Err(err).Msg("reconcile with Alertmanager")
		}
		wait := r.o.Reconcile
		if time.Now().UnixNano() < r.hurryUntil.Load() {
			wait = min(wait, hurryEvery)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-r.hurry:
			t.Stop()
			if err := pause(ctx, hurryEvery); err != nil {
				return nil
			}
		case <-t.C:
		}
	}
}

// When our own prober sees trouble, Alertmanager is asked more often for a while. An alert that comes back within a
// group_interval of its last notification is not delivered before that interval is over; the API shows it at once.
const (
	hurryEvery = 500 * time.Millisecond
	hurryFor   = 20 * time.Second
)

// hurryUp asks Alertmanager more often from now on. It never blocks.
func (r *Remediator) hurryUp() {
	r.hurryUntil.Store(time.Now().Add(hurryFor).UnixNano())
	select {
	case r.hurry <- struct{}{}:
	default:
	}
}

func (r *Remediator) reconcile(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(r.o.Reconcile, 2*time.Second))
	defer cancel()
	asked := time.Now()
	alerts, err := r.o.Alerts.Alerts(ctx)
	if err != nil {
		return err
	}
	r.metrics.reconciles.WithLabelValues("success").Inc()
	r.reconciled.Store(time.Now().UnixNano())
	byService := map[string]map[string]Alert{}
	for _, a := range alerts {
		if a.Labels[labelRemediation] != remediationLadder || !a.Firing {
			continue
		}
		if byService[a.Service] == nil {
			byService[a.Service] = map[string]Alert{}
		}
		byService[a.Service][a.Fingerprint] = a
	}
	if s, ok := r.o.Alerts.(SilenceSource); ok {
		silences, err := s.Silences(ctx)
		if err != nil {
			return err
		}
		for _, u := range r.all() {
			u.setSilences(silences)
		}
	}
	for _, u := range r.all() {
		u.setAlerts(byService[u.id], asked)
	}
	return nil
}

// setAlerts replaces what is known by what Alertmanager says, but for alerts that a webhook brought after we asked.
func (u *unit) setAlerts(now map[string]Alert, asked time.Time) {
	if now == nil {
		now = map[string]Alert{}
	}
	u.mu.Lock()
	for fp, a := range u.alerts {
		if _, ok := now[fp]; !ok && a.StartsAt.After(asked.Add(-time.Second)) {
			now[fp] = a
		}
	}
	u.alerts = now
	work := len(now) > 0 && u.incident == nil
	u.mu.Unlock()
	if work {
		u.poke()
	}
}

// pruneLoop drops webhook deliveries and closed incidents that are too old to matter.
func (r *Remediator) pruneLoop(ctx context.Context) error {
	const (
		every           = 10 * time.Minute
		keepDeliveries  = 24 * time.Hour
		keepIncidents   = 400 * 24 * time.Hour
		prunedAtOneTime = 1000
	)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			for kind, keep := range map[string]time.Duration{kindDelivery: keepDeliveries, kindIncident: keepIncidents, kindEvidence: keepIncidents} {
				if _, err := r.o.Store.PruneDocuments(ctx, kind, now.Add(-keep), prunedAtOneTime); err != nil && ctx.Err() == nil {
					r.o.Logger.Error().Err(err).Str("kind", kind).Msg("prune")
				}
			}
		}
	}
}
