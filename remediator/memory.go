package remediator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// Kinds of documents in the store.
const (
	kindState    = "service_state"
	kindIncident = "incident"
	kindDelivery = "webhook_delivery"
)

// latch is automatic recovery switched off until an admin resets it.
type latch struct {
	Code     string    `json:"code"`
	Text     string    `json:"text"`
	Advice   string    `json:"advice"`
	Since    time.Time `json:"since"`
	Incident string    `json:"incident"`
}

// pending is a person's operation whose intent is durable and whose outcome is not.
type pending struct {
	Operation Operation `json:"operation"`
	Actor     Actor     `json:"actor"`
	RequestID string    `json:"request_id"`
	Since     time.Time `json:"since"`
}

// memory is what must survive a kill of the process, per service.
type memory struct {
	Desired        Desired              `json:"desired"`
	Disabled       *Hold                `json:"disabled,omitempty"`
	Maintenance    *Hold                `json:"maintenance,omitempty"`
	Silence        string               `json:"silence,omitempty"` // the maintenance's silence in Alertmanager
	Latch          *latch               `json:"latch,omitempty"`
	Breaker        breaker.State        `json:"breaker"`
	Recoveries     []time.Time          `json:"recoveries,omitempty"`
	Starts         []time.Time          `json:"starts,omitempty"`    // by redis-medic, for itself and for people
	Comebacks      []comeback           `json:"comebacks,omitempty"` // for the loop guard, oldest first
	Process        process              `json:"process,omitzero"`    // the run that was seen last
	LastRecovery   time.Time            `json:"last_recovery,omitzero"`
	RecoveryStatus string               `json:"recovery_status,omitempty"`
	LastInfo       *health.Info         `json:"last_info,omitempty"`
	Replicas       replicas             `json:"replicas,omitzero"`   // when a master was last seen with replicas
	Sentinels      int                  `json:"sentinels,omitempty"` // that watched it when it was last asked
	Foreign        bool                 `json:"foreign,omitempty"`   // the Redis that answers is not the unit's process
	Down           bool                 `json:"down,omitempty"`      // the last look found it not serving, by positive evidence; for the storm guard
	DegradedSince  time.Time            `json:"degraded_since,omitzero"`
	Handled        map[string]time.Time `json:"handled,omitempty"` // alert episodes that are settled: fingerprint → startsAt
	Pending        *pending             `json:"pending,omitempty"`
	Silences       []Silence            `json:"silences,omitempty"` // that cover the service, when Alertmanager was last read
}

// climbed is the private half of an open incident: how far it has come.
type climbed struct {
	Attempts    []ladder.Attempt    `json:"attempts,omitempty"`
	Denied      map[ladder.Act]bool `json:"denied,omitempty"`
	Done        map[ladder.Act]bool `json:"done,omitempty"`
	Finding     *ladder.Finding     `json:"finding,omitempty"`
	SilentSince time.Time           `json:"silent_since,omitzero"`
	LoadedAt    time.Time           `json:"loaded_at,omitzero"`
	LoadPercent float64             `json:"load_percent,omitempty"`
	WatchUntil  time.Time           `json:"watch_until,omitzero"`
	Secured     bool                `json:"secured,omitempty"`  // the evidence was taken
	Credited    int                 `json:"credited,omitempty"` // attempts at the last recovery: it is not counted twice
	LastCode    string              `json:"last_code,omitempty"`
	Restored    string              `json:"restored,omitempty"`  // where the rejected configuration is kept, when a good one was put back
	Restoring   *ladder.Finding     `json:"restoring,omitempty"` // the diagnosis that a restore in hand answers
}

// incidentDoc is an incident as stored.
type incidentDoc struct {
	Incident
	Climbed climbed `json:"climbed"`
}

// unit is one service at run time.
type unit struct {
	id       string
	settings atomic.Pointer[Service] // replaced as a whole by a reload
	wake     chan struct{}           // size 1: a wake-up is a hint, two are one
	worker   worker                  // the newest loop; guarded by Remediator.mu

	mu       sync.Mutex // guards the fields below
	mem      memory
	incident *incidentDoc // the open one
	busy     *Busy
	alerts   map[string]Alert // firing, by fingerprint
	ignored  string           // the newest alert that a hold kept from opening an incident, with the hold
	countAt  time.Time        // when Sentinels are counted next
	trouble  time.Time        // since when our own probe confirms an outage; zero: it does not
	own      *Alert           // stands for the alert that did not come
	unstored []*incidentDoc   // closed while they could not be stored
	dirty    bool             // mem has changed and is not stored yet
	sighted  time.Time        // when the unit of mem.Process was read
	savedAt  time.Time        // when mem was last stored for the sake of what is known of a healthy Redis
}

func newUnit(s Service) *unit {
	u := &unit{id: s.ID, wake: make(chan struct{}, 1), alerts: map[string]Alert{}, mem: memory{Desired: Desired{Running: true}}}
	u.settings.Store(&s)
	return u
}

// svc returns the settings in force. They are not changed, only replaced.
func (u *unit) svc() *Service { return u.settings.Load() }

func (u *unit) poke() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// take reserves the unit for one act. It never waits.
func (u *unit) take(b Busy) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.busy != nil {
		return &BusyError{Busy: *u.busy}
	}
	u.busy = &b
	return nil
}

func (u *unit) release() {
	u.mu.Lock()
	u.busy = nil
	u.mu.Unlock()
	u.poke()
}

// load reads what the last process left behind.
func (u *unit) load(ctx context.Context, s store.Documents) error {
	doc, err := s.Document(ctx, kindState, u.id)
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return fmt.Errorf("read the state of %s: %w", u.id, err)
	default:
		if err := json.Unmarshal(doc.JSON, &u.mem); err != nil {
			return fmt.Errorf("decode the state of %s: %w", u.id, err)
		}
	}
	open, _, err := s.ListDocuments(ctx, store.DocumentQuery{Kind: kindIncident, Service: u.id, OpenOnly: true, Limit: 1})
	if err != nil {
		return fmt.Errorf("read the open incident of %s: %w", u.id, err)
	}
	if len(open) > 0 {
		u.incident = &incidentDoc{}
		if err := json.Unmarshal(open[0].JSON, u.incident); err != nil {
			return fmt.Errorf("decode incident %s: %w", open[0].ID, err)
		}
	}
	return nil
}

// save makes the memory, and the incident where one is given, durable in one transaction, and what an earlier failure left behind.
// After a failure u.dirty says that something is still to be stored. The caller holds u.mu.
func (u *unit) save(ctx context.Context, s store.Documents, inc *incidentDoc, now time.Time) error {
	state, err := json.Marshal(u.mem)
	if err != nil {
		return fmt.Errorf("encode the state of %s: %w", u.id, err)
	}
	docs := []store.Document{{Kind: kindState, ID: u.id, Service: u.id, Open: true, At: now, JSON: state}}
	incidents := u.unstored
	if inc != nil {
		incidents = append(slices.Clone(incidents), inc)
	}
	for _, inc := range incidents {
		body, err := json.Marshal(inc)
		if err != nil {
			return fmt.Errorf("encode incident %s: %w", inc.ID, err)
		}
		docs = append(docs, store.Document{Kind: kindIncident, ID: inc.ID, Service: u.id, Open: !inc.Status.Closed(), At: inc.OpenedAt, JSON: body})
	}
	if err := s.PutDocuments(ctx, docs...); err != nil {
		u.dirty = true
		return fmt.Errorf("store the state of %s: %w", u.id, err)
	}
	u.dirty, u.unstored, u.savedAt = false, nil, now
	return nil
}

// clone returns a copy of an incident that shares nothing with the original.
func (i Incident) clone() Incident {
	i.Steps = slices.Clone(i.Steps)
	for n := range i.Steps {
		i.Steps[n].Evidence = maps.Clone(i.Steps[n].Evidence)
	}
	return i
}
