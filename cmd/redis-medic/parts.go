package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// parts is everything that one configuration started, in the order of its making. The end is the other way round: first nobody
// asks us any more, then the act in hand ends, then the audit log, the connections to the hosts and the store are closed.
type parts struct {
	log  zerolog.Logger
	list []part
	live *live // takes new settings over while the parts run
}

// part has something to run, something to close at the end, or both.
type part struct {
	name  string
	run   func(context.Context) error // blocks until its context ends; nil: nothing to run
	close func() error                // called after run has returned; nil: nothing to close
}

// partGrace bounds the end of one part. The longest is the remediator's, which lets an act end for 20 s.
const partGrace = 30 * time.Second

func (p *parts) add(one part) { p.list = append(p.list, one) }

// run runs all parts until ctx ends or one of them returns, and then ends them one after the other, last first.
func (p *parts) run(ctx context.Context) error {
	type running struct {
		stop context.CancelFunc
		done chan error
	}
	all := make([]running, len(p.list))
	ended := make(chan string, len(p.list))
	for i, one := range p.list {
		if one.run == nil {
			continue
		}
		// Each ends when its turn has come, not when ctx does.
		partCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		all[i] = running{stop: stop, done: make(chan error, 1)}
		go func() {
			all[i].done <- one.run(partCtx)
			ended <- one.name
		}()
	}
	select {
	case <-ctx.Done():
	case name := <-ended:
		p.log.Error().Str("part", name).Msg("ended by itself, shutting down")
	}
	var errs []error
	for i, one := range slices.Backward(p.list) {
		r := all[i]
		if r.stop != nil {
			r.stop()
			errs = append(errs, wait(one.name, r.done))
		}
		if one.close != nil {
			if err := one.close(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", one.name, err))
			}
		}
		p.log.Debug().Str("part", one.name).Msg("ended")
	}
	return errors.Join(errs...)
}

// wait waits for a part that was told to end.
func wait(name string, done <-chan error) error {
	select {
	case err := <-done:
		if err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	case <-time.After(partGrace):
		return fmt.Errorf("%s did not end within %s", name, partGrace)
	}
}

// abandon gives back what was made before the making failed: a part that is run after its end closes its listener.
func (p *parts) abandon() error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	return p.run(ended)
}
