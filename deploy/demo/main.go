// Command demo shows redis-medic at work: it boots a real Redis host, starts Prometheus, Alertmanager and redis-medic with the
// configuration they are shipped with, and lets you break Redis. With --check it breaks Redis by itself, prints the timeline of
// each recovery, and ends with 0 only when all were in time. It needs root. Nothing stays behind.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A second Ctrl-C ends the demo at once; its watchdogs clear up.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "exec" {
		return execInHost(ctx, args[1:], out)
	}
	if len(args) > 0 && args[0] == "with" {
		return with(ctx, out, args[1:])
	}
	f := flag.NewFlagSet("demo", flag.ContinueOnError)
	check := f.Bool("check", false, "break Redis, measure the recoveries, and end with 0 or 1")
	rounds := f.Int("rounds", 5, "how often each fault is repeated with --check")
	binary := f.String("binary", "bin/redis-medic", "redis-medic's `FILE`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 {
		return errors.New("--rounds must be 1 or more")
	}
	if *check {
		return checkRecoveries(ctx, out, *binary, *rounds)
	}
	return show(ctx, out, *binary)
}
