package main

import (
	"context"
	"errors"
	"fmt"

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
	plan    *plan
	replica *replica // nil: the store is a folder
	parts   components
	log     zerolog.Logger
	metrics *processMetrics
	reload  func() error
	program *programRecorder
}

// wire makes every part that the configuration asks for and ties them together. It binds the listeners and starts nothing. It is
// one straight line on purpose: the order of making is the order of the end, reversed, and is read best in one place.
func wire(ctx context.Context, w wiring) (_ *parts, err error) {
	p := &parts{log: w.log, live: newLive(w.plan, w.log)}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.abandon())
		}
	}()
	logger := func(component string) zerolog.Logger { return w.log.With().Str("component", component).Logger() }
	todo, live := w.plan, p.live

	// The ways to the hosts.
	if err := live.openHosts(); err != nil {
		return nil, err
	}
	fleet := live.fleet
	p.add(part{name: "host connections", close: fleet.Close})

	// What the components publish beside the exporter's own families. A registry is a collector, and this one fills up below.
	extra := prometheus.NewRegistry()
	extra.MustRegister(w.metrics.collectors()...)
	extra.MustRegister(live.ssh, newCertificates(live.plan.Load, w.log))

	// The prober: inside the exporter, or alone where the exporter does not run. What it sees goes to the remediator, which is set
	// below, before anything runs.
	var observe func(view, previous health.View)
	measure := todo.Exporter
	measure.Units, measure.HostStatus, measure.Logger = fleet, hostStatus(fleet), logger("exporter")
	measure.Extra, measure.Reload = []prometheus.Collector{extra}, func(context.Context) error { return w.reload() }
	measure.OnChange = func(view, previous health.View) {
		if observe != nil {
			observe(view, previous)
		}
	}
	var prober *exporter.Prober
	if w.parts.has(componentExporter) {
		e, err := exporter.New(measure)
		if err != nil {
			return nil, fmt.Errorf("exporter: %w", err)
		}
		prober = e.Prober()
		p.add(part{name: "exporter", run: e.Run})
		w.log.Info().Stringer("address", e.Addr()).Msg("the exporter listens")
	} else {
		prober, err = exporter.NewProber(exporter.ProberOptions{
			Targets: measure.Targets, Units: fleet, OnChange: measure.OnChange, Logger: measure.Logger,
		})
		if err != nil {
			return nil, fmt.Errorf("prober: %w", err)
		}
		p.add(part{name: "prober", run: prober.Run})
	}
	live.prober = prober
	if !w.parts.has(componentRemediator) {
		return p, nil
	}

	// Durable state and the audit log.
	var db store.Store
	if r := w.replica; r != nil {
		db = r.db // open for as long as the process is a replica
	} else {
		if db, err = store.Open(ctx, store.Options{Dir: todo.State, Logger: logger("store")}); err != nil {
			return nil, err
		}
		p.add(part{name: "store", close: db.Close})
	}
	kept, err := auditOptions(todo)
	if err != nil {
		return nil, err
	}
	kept.Store, kept.Logger = db, logger("audit")
	records, err := audit.New(ctx, kept)
	if err != nil {
		return nil, err
	}
	p.add(part{name: "audit log", run: records.Run, close: records.Close})
	extra.MustRegister(records.Collectors()...)
	recorder := auditor{Log: records, live: live, log: logger("audit")}
	w.program.open(recorder)
	p.add(part{name: "record of the run", close: w.program.close})

	// The remediator.
	events := &relay{}
	act := todo.Remediator
	act.Prober, act.Host, act.Audit, act.Store, act.Events, act.Logger = prober, fleet, recorder, db, events, logger("remediator")
	if w.replica != nil {
		act.Lead = w.replica.lease.Held
	}
	own := remediator.RedisScripts{Target: live.scriptTarget}
	act.Scripts, act.Inspector, act.WebhookToken = own, own, live.webhookToken
	if todo.Alertmanager != "" {
		cluster, err := remediator.NewAlertmanagers(append([]string{todo.Alertmanager}, todo.Further...), live.alertToken)
		if err != nil {
			return nil, err
		}
		act.Alerts, act.Notifier, act.Silencer = cluster, cluster, cluster
	}
	medic, err := remediator.New(ctx, act)
	if err != nil {
		return nil, err
	}
	observe, live.medic = medic.ObserveChange, medic
	p.add(part{name: "remediator", run: medic.Run})
	extra.MustRegister(medic.Collectors()...)
	w.log.Info().Stringer("address", medic.Addr()).Msg("the remediator listens")
	if !w.parts.has(componentControlAPI) {
		return p, nil
	}

	// The control API with the panel.
	face := todo.API
	face.Prober, face.Remediator, face.Auditor, face.Audits, face.Logs = prober, medic, recorder, records, logReader{fleet}
	face.Sessions, face.Panel, face.Reload, face.Logger = db, web.FS(), w.reload, w.log
	api, err := controlapi.New(face)
	if err != nil {
		return nil, err
	}
	live.api = api
	observe = func(view, previous health.View) {
		medic.ObserveChange(view, previous)
		api.ObserveChange(view.Service)
	}
	events.to(api.Hub())
	p.add(part{name: "control API", run: api.Run})
	extra.MustRegister(api.Collectors()...)
	w.log.Info().Stringer("address", api.Addr()).Msg("the control API listens")
	return p, nil
}

// hostStatus says for the metrics whether a service's host can be reached, and whether that is known yet.
func hostStatus(fleet *host.Fleet) func(service string) (reachable, known bool) {
	return func(service string) (reachable, known bool) {
		s := fleet.Status(service)
		return s.Reachable, !s.Since.IsZero()
	}
}
