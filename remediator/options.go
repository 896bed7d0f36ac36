package remediator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/breaker"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/ladder"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// Prober looks at a service. Look must be fresh: it is the evidence for an act. It is bounded by the service's own timeouts.
type Prober interface {
	Look(ctx context.Context, service string) (health.Observation, error)
	View(service string) (health.View, bool)
}

// Host carries out verbs on the host of a service. Its errors are *host.Error. lines is for the log verbs; the others take 0.
type Host interface {
	Run(ctx context.Context, service string, verb host.Verb, lines int) (host.Result, error)
}

// Scripts ends the script or function that keeps a Redis busy.
type Scripts interface {
	// KillScript returns nil when a script was ended, ErrUnkillable when it has written, ErrNoScript when none runs.
	KillScript(ctx context.Context, service string) error
}

// Auditor records attempts. Append returns only when the record is durable.
type Auditor interface {
	Append(ctx context.Context, r audit.Record) (audit.Record, error)
}

// EventSink takes live events. Publish never blocks.
type EventSink interface {
	Publish(Event)
}

// AlertSource says which alerts are active, from Alertmanager's API v2. Suppressed ones (silenced, inhibited) are marked.
type AlertSource interface {
	Alerts(ctx context.Context) ([]Alert, error)
}

// Alert is one alert as Alertmanager knows it.
type Alert struct {
	Fingerprint string            `json:"fingerprint"`
	Name        string            `json:"alertname"`
	Service     string            `json:"service"`
	Labels      map[string]string `json:"labels"`
	StartsAt    time.Time         `json:"starts_at"`
	EndsAt      time.Time         `json:"ends_at"`
	Firing      bool              `json:"firing"`
	Suppressed  string            `json:"suppressed,omitempty"` // silenced, inhibited; empty: active
}

// Service is one Redis service with everything that governs its recovery.
type Service struct {
	ID               string
	Unit             host.Unit
	Port             int
	AutoRecovery     bool
	Ladder           ladder.Settings
	Breaker          breaker.Settings
	Stability        time.Duration // how long it must stay good after a soft or standard rung
	StabilityHard    time.Duration // the same after a hard or force rung
	OperationTimeout time.Duration
	Allowed          map[Operation]bool
	RevealOutput     bool // audit.include_command_output
	// Notices says which moments people are told of, with the severity of each.
	Notices map[NoticeKind]string
}

// StormSettings is the storm guard: with at least Min services and the share Ratio of all failing at once, we suspect
// ourselves or the network.
type StormSettings struct {
	Min   int
	Ratio float64
}

// Options are a Remediator's dependencies and settings.
type Options struct {
	Services      []Service
	Prober        Prober
	Host          Host
	Scripts       Scripts
	Inspector     Inspector // nil: evidence comes without what Redis itself says
	Audit         Auditor
	Store         store.Documents
	Events        EventSink
	Alerts        AlertSource   // nil: no reconcile with Alertmanager
	Notifier      Notifier      // nil: nobody is told of moments
	Silencer      Silencer      // nil: a maintenance silences nothing
	Reconcile     time.Duration // default 5 s
	Storm         StormSettings
	Detection     Detection
	Lead          func() bool // whether this process may act, where several share a store; nil: always. It must not wait
	Listen        string      // of the webhook; empty: no listener
	WebConfigFile string      // Prometheus web config; empty: plain HTTP
	WebhookToken  func() string
	ShutdownGrace time.Duration // how long an act in hand may go on after the end was asked for; default 20 s
	Logger        zerolog.Logger
}

func (o *Options) validate() error {
	var errs []error
	need := func(ok bool, name string) {
		if !ok {
			errs = append(errs, fmt.Errorf("remediator: option %s is missing", name))
		}
	}
	need(o.Prober != nil, "Prober")
	need(o.Host != nil, "Host")
	need(o.Scripts != nil, "Scripts")
	need(o.Audit != nil, "Audit")
	need(o.Store != nil, "Store")
	need(o.Events != nil, "Events")
	need(o.Listen == "" || o.WebhookToken != nil, "WebhookToken")
	if o.Lead == nil {
		o.Lead = func() bool { return true }
	}
	if o.Reconcile <= 0 {
		o.Reconcile = 5 * time.Second
	}
	if o.ShutdownGrace <= 0 {
		o.ShutdownGrace = 20 * time.Second
	}
	return errors.Join(errs...)
}
