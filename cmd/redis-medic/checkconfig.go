package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
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

// loadConfig loads a configuration with its secrets.
func loadConfig(file string) (*config.Config, *config.Secrets, error) {
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := config.LoadSecrets(cfg)
	if err != nil {
		return nil, nil, err
	}
	return cfg, secrets, nil
}

// faults adds the number of faults below their list.
func faults(file string, err error) error {
	var p config.Problems
	if !errors.As(err, &p) {
		return err
	}
	return fmt.Errorf("%w\n%s: bad, %d fault(s)", err, file, len(p))
}
