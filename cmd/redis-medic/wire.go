package main

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
	"github.com/redis-medic/redis-medic/web"
)

// wiring is what wire needs.
type wiring struct {
	settings
	parts   components
	log     zerolog.Logger
	metrics *processMetrics
	reload  func() error
}

// wire makes every part that the configuration asks for and ties them together. It binds the listeners and starts nothing. It is
// one straight line on purpose: the order of making is the order of the end, reversed, and is read best in one place.
func wire(ctx context.Context, w wiring) (_ *parts, err error) {
	cfg := w.config
	p := &parts{log: w.log}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abandon())
		}
	}()

	// The ways to the hosts.
	members, err := membersOf(cfg, w.log.With().Str("component", "host").Logger())
	if err != nil {
		return nil, err
	}
	fleet := host.NewFleet(members)
	p.add(part{name: "host connections", close: fleet.Close})

	// What the components publish beside the exporter's own families. A registry is a collector, and this one fills up below.
	extra := prometheus.NewRegistry()
	extra.MustRegister(w.metrics.collectors()...)

	// The prober: inside the exporter, or alone where the exporter does not run.
	var targets []exporter.Target
	for _, s := range cfg.Services {
		t, err := targetOf(s, w.secrets)
		if err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	var observe func(view, previous health.View) // the remediator's, set before anything runs
	onChange := func(view, previous health.View) {
		if observe != nil {
			observe(view, previous)
		}
	}
	measure := w.log.With().Str("component", "exporter").Logger()
	var prober *exporter.Prober
	var exporterAddr net.Addr
	if w.parts.has(componentExporter) {
		e, err := exporter.New(exporter.Options{
			Listen: cfg.Exporter.Listen, WebConfigFile: cfg.Exporter.WebConfigFile, Targets: targets, Units: fleet, HostStatus: hostStatus(fleet),
			OnChange: onChange, Reload: func(context.Context) error { return w.reload() }, Extra: []prometheus.Collector{extra}, Version: version, Logger: measure,
		})
		if err != nil {
			return nil, fmt.Errorf("exporter: %w", err)
		}
		prober, exporterAddr = e.Prober(), e.Addr()
		p.add(part{name: "exporter", run: e.Run})
	} else {
		prober, err = exporter.NewProber(exporter.ProberOptions{Targets: targets, Units: fleet, OnChange: onChange, Logger: measure})
		if err != nil {
			return nil, fmt.Errorf("prober: %w", err)
		}
		p.add(part{name: "prober", run: prober.Run})
	}
	w.log.Info().Stringer("exporter", stringer(exporterAddr)).Msg("listening")
	if !w.parts.has(componentRemediator) {
		return p, nil
	}

	// Durable state and the audit log.
	db, err := store.Open(ctx, store.Options{Dir: cfg.Storage.Path, Logger: w.log.With().Str("component", "store").Logger()})
	if err != nil {
		return nil, err
	}
	p.add(part{name: "store", close: db.Close})
	key, err := audit.LoadOrCreateKey(auditKeyFile(cfg))
	if err != nil {
		return nil, err
	}
	records, err := audit.New(ctx, audit.Options{
		Store: db, File: auditFile(cfg.Services[0].Audit), Key: key, Logger: w.log.With().Str("component", "audit").Logger(),
	})
	if err != nil {
		return nil, err
	}
	p.add(part{name: "audit log", run: records.Run, close: records.Close})
	extra.MustRegister(records.Collectors()...)
	log := newAuditor(records, cfg.Services[0].Audit, w.log.With().Str("component", "audit").Logger())

	// The remediator.
	var alerts remediator.AlertSource
	if url := cfg.Remediator.Alertmanager.URL; url != "" {
		alerts, err = remediator.NewAlertmanager(url, w.secrets.Alertmanager.Text)
		if err != nil {
			return nil, err
		}
	}
	var services []remediator.Service
	for _, s := range cfg.Services {
		services = append(services, recoveryOf(s))
	}
	events := &relay{}
	medic, err := remediator.New(ctx, remediator.Options{
		Services: services, Prober: prober, Host: fleet, Scripts: remediator.RedisScripts{Target: scriptTargets(targets)}, Audit: log, Store: db,
		Events: events, Alerts: alerts, Reconcile: cfg.Remediator.ReconcileInterval,
		Storm:  remediator.StormSettings{Min: cfg.Remediator.StormGuard.Min, Ratio: cfg.Remediator.StormGuard.Ratio},
		Listen: cfg.Remediator.Listen, WebConfigFile: cfg.Remediator.WebConfigFile, WebhookToken: w.secrets.WebhookToken.Text,
		Logger: w.log.With().Str("component", "remediator").Logger(),
	})
	if err != nil {
		return nil, err
	}
	observe = medic.ObserveChange
	p.add(part{name: "remediator", run: medic.Run})
	extra.MustRegister(medic.Collectors()...)
	w.log.Info().Stringer("remediator", stringer(medic.Addr())).Msg("listening")
	if !w.parts.has(componentControlAPI) {
		return p, nil
	}

	// The control API with the panel.
	o, err := apiOptions(cfg, w.secrets)
	if err != nil {
		return nil, err
	}
	o.Logger = w.log
	o.Prober, o.Remediator, o.Auditor, o.Audits, o.Logs = prober, medic, log, records, logReader{fleet}
	o.Sessions, o.Panel, o.Reload = db, web.FS(), w.reload
	api, err := controlapi.New(o)
	if err != nil {
		return nil, err
	}
	events.to(api.Hub())
	p.add(part{name: "control API", run: api.Run})
	extra.MustRegister(api.Collectors()...)
	w.log.Info().Stringer("controlapi", stringer(api.Addr())).Msg("listening")
	return p, nil
}

// hostStatus says for the metrics whether a service's host can be reached, and whether that is known yet.
func hostStatus(fleet *host.Fleet) func(service string) (reachable, known bool) {
	return func(service string) (reachable, known bool) {
		s := fleet.Status(service)
		return s.Reachable, !s.Since.IsZero()
	}
}

// scriptTargets tells the remediator how to speak to a Redis that runs a script.
func scriptTargets(targets []exporter.Target) func(service string) (remediator.ScriptTarget, bool) {
	return func(service string) (remediator.ScriptTarget, bool) {
		for _, t := range targets {
			if t.ID == service {
				return remediator.ScriptTarget{Addr: t.Addr, Credentials: t.Credentials, TLS: t.TLS, Timeout: t.Timings.PingTimeout}, true
			}
		}
		return remediator.ScriptTarget{}, false
	}
}

// stringer shows an address that may be missing.
func stringer(a net.Addr) fmt.Stringer {
	if a == nil {
		return &net.TCPAddr{}
	}
	return a
}
