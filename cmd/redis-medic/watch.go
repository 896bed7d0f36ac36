package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// every is a flag that may stand alone, and is then 2 s. 0 is off.
type every time.Duration

const defaultEvery = 2 * time.Second

// String implements flag.Value.
func (e *every) String() string {
	if *e == 0 {
		return ""
	}
	return time.Duration(*e).String()
}

// Set implements flag.Value.
func (e *every) Set(s string) error {
	if s == "true" {
		*e = every(defaultEvery)
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 100*time.Millisecond {
		return fmt.Errorf("want a time of 100ms or more, like 5s")
	}
	*e = every(d)
	return nil
}

// IsBoolFlag lets the flag stand without a value.
func (e *every) IsBoolFlag() bool { return true }

// clearScreen makes a terminal empty.
const clearScreen = "\x1b[H\x1b[2J"

// showAgain shows an answer again and again until ctx ends. An API that is away is said so, and asked again.
func (c *client) showAgain(ctx context.Context, path string, text func(screen, any)) error {
	tick := time.NewTicker(time.Duration(c.watch))
	defer tick.Stop()
	terminal := isTerminal(c.out.Writer)
	for {
		if terminal && !c.asJSON {
			fmt.Fprintf(c.out, "%severy %s: %s, %s\n\n", clearScreen, time.Duration(c.watch), path, time.Now().Format("15:04:05"))
		}
		err := c.showOnce(ctx, http.MethodGet, path, nil, text)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && exitCode(err) != exitUnavailable {
			return err
		}
		if err != nil {
			fmt.Fprintln(c.out, err)
		}
		if !terminal && !c.asJSON {
			fmt.Fprintln(c.out)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
