package remediator

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
)

// Detection says when an outage that our own probe has confirmed is enough to act, without an alert.
type Detection struct {
	Enabled bool
	Unread  time.Duration // how long Alertmanager must have been unreadable, and the outage confirmed
	NoAlert time.Duration // how long the outage must have been confirmed while Alertmanager, which can be read, shows no alert
}

// ownAlert is the name under which an outage is handled that no alert has told of.
const ownAlert = "OwnProbe"

// detectEvery is the pace at which the prober's knowledge is compared with the alerts.
const detectEvery = time.Second

// watchLoop compares what our own prober knows with what is in hand: an alert that never comes, because a rule is missing or
// Prometheus or Alertmanager is dead, costs seconds and not an outage.
func (r *Remediator) watchLoop(ctx context.Context) error {
	t := time.NewTicker(detectEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		now := time.Now()
		for _, u := range r.all() {
			v, ok := r.o.Prober.View(u.id)
			if !ok {
				continue
			}
			if who := u.learn(v, now); who == bySystemd {
				r.running.Go(func() { r.recordSelfHealing(u, v.Samples.Unit.Unit, v.Samples.Unit.Unit) })
			}
			r.countSentinels(u, v, now)
			r.keepKnown(u)
			r.detect(u, v, now)
		}
	}
}

// detect opens the way for an incident from our own evidence, or closes it.
func (r *Remediator) detect(u *unit, v health.View, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !r.o.Detection.Enabled || !outage(v) {
		u.trouble, u.own = time.Time{}, nil
		return
	}
	if u.trouble.IsZero() {
		u.trouble = now
	}
	if u.incident != nil || u.own != nil {
		return
	}
	for _, a := range u.alerts {
		if u.unsettled(a) || a.Suppressed != "" {
			return // somebody is on it, or people have silenced it
		}
	}
	wait, why := r.o.Detection.NoAlert, "no_alert"
	if r.unread(now) >= r.o.Detection.Unread {
		wait, why = min(wait, r.o.Detection.Unread), "alertmanager_unread"
	}
	if now.Sub(u.trouble) < wait {
		return
	}
	u.own = &Alert{Fingerprint: "probe-" + u.id, Name: ownAlert, Service: u.id, StartsAt: u.trouble.UTC(), Firing: true}
	r.metrics.detections.WithLabelValues(u.id, why).Inc()
	r.o.Logger.Warn().Str("service", u.id).Str("why", why).Time("since", u.trouble).Msg("our own probe has confirmed an outage that no alert tells of")
	u.poke()
}

// unread is for how long Alertmanager has not been read; 0 where none is configured: then only NoAlert counts.
func (r *Remediator) unread(now time.Time) time.Duration {
	if r.o.Alerts == nil {
		return 0
	}
	last := r.began
	if at := r.reconciled.Load(); at > 0 {
		last = time.Unix(0, at)
	}
	return now.Sub(last)
}

// outages are the reasons that the ladder may mend, as far as the prober's thresholds are reached.
var outages = []health.Code{
	health.CodeUnitFailed, health.CodeUnitStartLimited, health.CodeUnitInactive, health.CodeHung, health.CodeNoConnectivity, health.CodeBusy,
}

// outage reports whether the prober, by its own thresholds and on positive evidence, says that Redis is out of service.
func outage(v health.View) bool {
	return slices.ContainsFunc(v.Verdict.Reasons, func(reason health.Reason) bool {
		return !reason.Hidden && slices.Contains(outages, reason.Code) && (reason.Status == health.Critical || reason.Code == health.CodeBusy)
	})
}

// Silence is a silence of Alertmanager that is in force.
type Silence struct {
	ID       string    `json:"id"`
	By       string    `json:"by"`
	Comment  string    `json:"comment"`
	Until    time.Time `json:"until"`
	Matchers []Matcher `json:"-"`
}

// Matcher is one condition of a silence.
type Matcher struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	IsRegex bool   `json:"isRegex"`
	IsEqual bool   `json:"isEqual"`
}

// SilenceSource says which silences are in force. An AlertSource may be one.
type SilenceSource interface {
	Silences(ctx context.Context) ([]Silence, error)
}

// covers reports whether a silence would mute the alert of an outage of a service. A condition on a label that such an alert need
// not have counts as met: whoever silences part of it wants quiet.
func (s Silence) covers(service string) bool {
	labels := map[string]string{labelService: service, labelRemediation: remediationLadder, "alertname": "RedisDown", "severity": "critical"}
	for _, m := range s.Matchers {
		value, ok := labels[m.Name]
		if !ok {
			continue
		}
		met := value == m.Value
		if m.IsRegex {
			re, err := regexp.Compile("^(?:" + m.Value + ")$")
			met = err != nil || re.MatchString(value)
		}
		if met != m.IsEqual {
			return false
		}
	}
	return len(s.Matchers) > 0
}

// setSilences keeps the silences that cover a service: they must be respected while Alertmanager cannot be asked. The caller holds
// no lock.
func (u *unit) setSilences(all []Silence) {
	var mine []Silence
	for _, s := range all {
		if s.covers(u.id) {
			s.Matchers = nil
			mine = append(mine, s)
		}
	}
	slices.SortFunc(mine, func(a, b Silence) int { return a.Until.Compare(b.Until) })
	u.mu.Lock()
	defer u.mu.Unlock()
	same := func(a, b Silence) bool { return a.ID == b.ID && a.Until.Equal(b.Until) }
	if !slices.EqualFunc(mine, u.mem.Silences, same) {
		u.mem.Silences, u.dirty = mine, true
	}
}

// knownSilence is a hold when a silence that was in force when Alertmanager was last read still is. It concerns only what no alert
// has told of: for alerts Alertmanager itself says what is silenced. The caller holds u.mu.
func (u *unit) knownSilence(now time.Time) *Hold {
	if u.own == nil && (u.incident == nil || u.incident.Source != SourceProbe) {
		return nil
	}
	for _, s := range u.mem.Silences {
		if now.Before(s.Until) {
			return &Hold{Code: HoldSilenced, Text: "silenced in Alertmanager by " + s.By + ": " + s.Comment, By: s.By, Until: s.Until}
		}
	}
	return nil
}
