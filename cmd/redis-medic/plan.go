package main

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/controlapi"
	"github.com/redis-medic/redis-medic/deploy/alertmanager"
	"github.com/redis-medic/redis-medic/exporter"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/audit"
	"github.com/redis-medic/redis-medic/remediator/host"
)

// plan is what a configuration means: the options of every part, without what the parts are to each other.
type plan struct {
	Hosts        map[string]host.ClientOptions
	ServiceHosts map[string]string // the host of each service
	Units        map[string]host.Unit
	Exporter     exporter.Options
	Remediator   remediator.Options
	Alertmanager string   // its URL; empty: none
	Further      []string // URLs of the other members of its cluster
	AlertToken   func() string
	API          controlapi.Options
	People       alertmanager.Settings // whom Alertmanager tells, and how
	State        string
	Postgres     postgresPlan // without a DSN: the store is in the folder State
	Audit        audit.FileOptions
	AuditKeep    time.Duration // how long the store keeps records; 0: for ever
	AuditSigner  string        // file of the key that signs checkpoints; empty: ours, made when it is missing
	AuditForward string        // log daemon that gets a copy; empty: none
	AuditLevel   string        // what is repeated in the program's own log
	AuditEmails  bool
}

// postgresPlan is a database that several processes share.
type postgresPlan struct {
	DSN   config.Secret
	Lease time.Duration // how long the leader may be silent
}

// planOf turns a configuration into options. It opens nothing but the files of certificates and public keys.
func planOf(cfg *config.Config, secrets *config.Secrets) (*plan, error) {
	tree := cfg.Services[0]
	p := &plan{
		Hosts: map[string]host.ClientOptions{}, ServiceHosts: map[string]string{}, Units: map[string]host.Unit{},
		Exporter: exporter.Options{
			Listen: cfg.Exporter.Listen, WebConfigFile: cfg.Exporter.WebConfigFile, MaxRequests: cfg.Exporter.MaxRequests,
			ScrapeTimeout: cfg.Exporter.ScrapeTimeout, Version: version,
		},
		Remediator: remediator.Options{
			Listen: cfg.Remediator.Listen, WebConfigFile: cfg.Remediator.WebConfigFile, WebhookToken: secrets.WebhookToken.Text,
			Reconcile: cfg.Remediator.ReconcileInterval,
			Storm:     remediator.StormSettings{Min: cfg.Remediator.StormGuard.Min, Ratio: cfg.Remediator.StormGuard.Ratio},
			Detection: remediator.Detection{Enabled: cfg.Remediator.OwnDetection.Enabled, Unread: cfg.Remediator.OwnDetection.AlertmanagerSilent, NoAlert: cfg.Remediator.OwnDetection.NoAlert},
		},
		Alertmanager: cfg.Remediator.Alertmanager.URL, Further: cfg.Remediator.Alertmanager.FurtherURLs, AlertToken: secrets.Alertmanager.Text,
		State: cfg.Storage.Path, Postgres: postgresPlan{DSN: secrets.PostgresDSN, Lease: cfg.Storage.Postgres.Lease},
		Audit: auditFile(tree.Audit), AuditLevel: tree.Audit.LogLevel, AuditEmails: tree.Audit.IncludeUserDetails,
		AuditKeep: time.Duration(tree.Audit.RetentionDays) * 24 * time.Hour, AuditSigner: tree.Audit.SigningKeyFile,
		AuditForward: tree.Audit.ForwardTo,
	}
	p.People = peopleOf(cfg)
	for name, h := range cfg.SSH.Hosts {
		p.Hosts[name] = clientOptions(name, h)
	}
	var errs []error
	for _, s := range cfg.Services {
		t, err := targetOf(s, secrets)
		errs = append(errs, err)
		p.Exporter.Targets = append(p.Exporter.Targets, t)
		p.Remediator.Services = append(p.Remediator.Services, recoveryOf(s))
		p.ServiceHosts[s.ID], p.Units[s.ID] = s.Service.Host, s.Service.Unit()
	}
	var err error
	p.API, err = apiOptions(cfg, secrets)
	return p, errors.Join(append(errs, err)...)
}

// hostParts is what clients of hosts share.
type hostParts struct {
	log     zerolog.Logger
	metrics *host.Metrics // nil: none
}

// members makes a client for each host that a service uses, and says which service lives where. A client of before whose options
// have not changed is used on, with its connection. On an error nothing new is left open.
func (p *plan) members(before map[string]*host.Client, old map[string]host.ClientOptions, with hostParts) (map[string]host.Member, map[string]*host.Client, error) {
	clients, members := map[string]*host.Client{}, map[string]host.Member{}
	var errs, undo []error
	var added []*host.Client
	for service, name := range p.ServiceHosts {
		if clients[name] == nil {
			c, o := before[name], p.Hosts[name]
			if c == nil || !reflect.DeepEqual(old[name], o) {
				o.Logger, o.Metrics = with.log, with.metrics
				var err error
				if c, err = host.NewClient(o); err != nil {
					errs = append(errs, fmt.Errorf("ssh.hosts.%s: %w", name, err))
					continue
				}
				added = append(added, c)
			}
			clients[name] = c
		}
		members[service] = host.Member{Client: clients[name], Unit: p.Units[service]}
	}
	if len(errs) == 0 {
		return members, clients, nil
	}
	for _, c := range added {
		undo = append(undo, c.Close())
	}
	return nil, nil, errors.Join(append(errs, undo...)...)
}
