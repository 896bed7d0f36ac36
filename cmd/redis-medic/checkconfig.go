package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/exporter-toolkit/web"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
	"github.com/redis-medic/redis-medic/controlapi/authn"
	"github.com/redis-medic/redis-medic/remediator/host"
	"github.com/redis-medic/redis-medic/remediator/store"
)

// checkConfig loads a configuration and the secrets it names, as run would, and says what is wrong with them.
func checkConfig(_ context.Context, c console, args []string) error {
	f := newFlags(c, "check-config", "[FILE]")
	file := f.String("config", defaultConfig, "the configuration `FILE`")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	if f.NArg() == 1 {
		*file = f.Arg(0)
	}
	cfg, _, err := loadConfig(*file)
	if err != nil {
		return faults(*file, err)
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintf(c.out, "%s: warning: %s\n", *file, w)
	}
	fmt.Fprintf(c.out, "%s: good, %d service(s)\n", *file, len(cfg.Services))
	return nil
}

// loadConfig loads a configuration with its secrets and refuses what the components would refuse, without starting any.
func loadConfig(file string) (*config.Config, *plan, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := config.LoadSecrets(cfg)
	if err != nil {
		return nil, nil, err
	}
	p, err := planOf(cfg, secrets)
	if err := tryOut(cfg, p, err); err != nil {
		return nil, nil, err
	}
	return cfg, p, nil
}

// tryOut makes everything that can be made without a listener, a connection or a write, and reports all refusals at once: keys
// that cannot be read, certificates, web configurations, permissions, and what was wrong with the plan.
func tryOut(cfg *config.Config, p *plan, planFault error) error {
	var refused config.Problems
	refuse := func(path string, err error) {
		if err != nil {
			refused = append(refused, config.Problem{File: cfg.File, Path: path, Text: err.Error()})
		}
	}
	refuse("", planFault)
	for _, name := range slices.Sorted(maps.Keys(p.Hosts)) {
		c, err := host.NewClient(p.Hosts[name])
		refuse("ssh.hosts."+name, err)
		if err == nil {
			refuse("ssh.hosts."+name, c.Close())
		}
	}
	refuse("exporter.web_config_file", web.Validate(cfg.Exporter.WebConfigFile))
	refuse("remediator.web_config_file", web.Validate(cfg.Remediator.WebConfigFile))
	refuse("controlapi.web_config_file", web.Validate(cfg.ControlAPI.WebConfigFile))
	_, err := authn.New(authn.Options{Users: p.API.Users, ServiceAccounts: p.API.ServiceAccounts, JWT: p.API.JWT, Sessions: noSessions{}})
	refuse("controlapi", err)
	if len(refused) > 0 {
		return refused
	}
	return nil
}

// noSessions stands for the store that a trial does not open.
type noSessions struct{ store.Sessions }

// faults adds the number of faults below their list.
func faults(file string, err error) error {
	var p config.Problems
	if !errors.As(err, &p) {
		return err
	}
	return fmt.Errorf("%w\n%s: bad, %d fault(s)", err, file, len(p))
}
