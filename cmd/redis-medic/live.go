package main

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/deploy/alertmanager"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// live is what a reload changes in running parts. take is called by one goroutine; the rest is safe for concurrent use.
type live struct {
	plan    atomic.Pointer[plan] // in force
	log     zerolog.Logger
	fleet   *host.Fleet
	clients map[string]*host.Client // by host
	ssh     *host.Metrics
	prober  *exporter.Prober
	medic   *remediator.Remediator // nil: does not run
	api     *controlapi.API        // nil: does not run
}

func newLive(p *plan, log zerolog.Logger) *live {
	l := &live{log: log, ssh: host.NewMetrics()}
	l.plan.Store(p)
	return l
}

func (l *live) hostParts() hostParts {
	return hostParts{log: l.log.With().Str("component", "host").Logger(), metrics: l.ssh}
}

func (l *live) openHosts() error {
	members, clients, err := l.plan.Load().members(nil, nil, l.hostParts())
	if err != nil {
		return err
	}
	l.fleet, l.clients = host.NewFleet(members), clients
	return nil
}

// fits reports whether the running parts can take the plan over. What they cannot is what they were made with: listeners, the
// store, the audit log's files, Alertmanager's address.
func (l *live) fits(next *plan) bool {
	return reflect.DeepEqual(l.plan.Load().lasting(), next.lasting())
}

// lasting is the part of a plan that only new parts can take over.
func (p *plan) lasting() plan {
	out := *p
	out.Hosts, out.ServiceHosts, out.Units = nil, nil, nil
	out.Exporter.Targets = nil
	out.Remediator.Services, out.Remediator.WebhookToken = nil, nil
	out.People = alertmanager.Settings{} // no running part has it
	out.AlertToken, out.AuditLevel, out.AuditEmails = nil, "", false
	out.API = controlapi.Options{Listen: p.API.Listen, WebConfigFile: p.API.WebConfigFile}
	return out
}

// take puts a plan that fits into force. Services, hosts and accounts that have not changed notice nothing: connections, counters,
// incidents, sessions and streams live on. After an error some parts have the new settings and some the old: make all anew.
func (l *live) take(ctx context.Context, next *plan) error {
	members, clients, err := next.members(l.clients, l.plan.Load().Hosts, l.hostParts())
	if err != nil {
		return err
	}
	l.plan.Store(next)
	l.clients = clients
	l.fleet.Set(members)
	if err := l.prober.SetTargets(next.Exporter.Targets); err != nil {
		return fmt.Errorf("exporter: %w", err)
	}
	if l.medic != nil {
		if err := l.medic.SetServices(ctx, next.Remediator.Services); err != nil {
			return err
		}
	}
	if l.api != nil {
		return l.api.Reload(ctx, next.API)
	}
	return nil
}

func (l *live) webhookToken() string { return l.plan.Load().Remediator.WebhookToken() }

func (l *live) alertToken() string { return l.plan.Load().AlertToken() }

// scriptTarget tells the remediator how to speak to a Redis that runs a script.
func (l *live) scriptTarget(service string) (remediator.ScriptTarget, bool) {
	for _, t := range l.plan.Load().Exporter.Targets {
		if t.ID == service {
			return remediator.ScriptTarget{Addr: t.Addr, Credentials: t.Credentials, TLS: t.TLS, Timeout: t.Timings.PingTimeout}, true
		}
	}
	return remediator.ScriptTarget{}, false
}
