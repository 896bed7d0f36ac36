package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// act is one fault, with the time in which Redis must answer again: the targets of the design.
type act struct {
	name     string
	p50, max time.Duration // 0: no limit
	level    string        // of the rung that is the right one
	fault    func(*world) func(context.Context) error
	took     func(stack.Recovery) time.Duration // what the target is about
}

func acts() []act {
	return []act{
		{"a. systemctl stop redis-server, on the host", 3 * time.Second, 6 * time.Second, "standard",
			func(w *world) func(context.Context) error { return w.host.Stop }, stack.Recovery.Outage},
		{"b. crashes until systemd gives up (start limit)", 3 * time.Second, 6 * time.Second, "standard",
			func(w *world) func(context.Context) error { return w.host.CrashUntilStartLimit }, stack.Recovery.SinceInactive},
		{"c. a frozen process (SIGSTOP)", 8 * time.Second, 0, "soft",
			func(w *world) func(context.Context) error { return w.host.Freeze }, stack.Recovery.Outage},
	}
}

// quietTimeout bounds the wait between two rounds: the longest stability window is a minute.
const quietTimeout = 2 * time.Minute

// result is what came of one act.
type result struct {
	act
	times []time.Duration
	fault error
}

// checkRecoveries breaks Redis in every way, several times each, and prints what happened when.
func checkRecoveries(ctx context.Context, out io.Writer, binary string, rounds int) (err error) {
	w, err := boot(ctx, out, binary, stack.Ports{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.down()) }()
	var results []result
	for _, a := range acts() {
		r := result{act: a}
		fmt.Fprintf(out, "\n%s\n", a.name)
		for n := range rounds {
			took, err := round(ctx, out, w, a, n+1)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				r.fault = err
				fmt.Fprintf(out, "  FAILED: %v\n", err)
				break
			}
			r.times = append(r.times, took)
		}
		results = append(results, r)
	}
	return summary(out, results)
}

// round breaks Redis once, prints the timeline, and waits until everything is quiet again.
func round(ctx context.Context, out io.Writer, w *world, a act, n int) (time.Duration, error) {
	r, err := stack.Measure(ctx, w.stack, a.fault(w))
	fmt.Fprintf(out, " round %d, incident %s\n%s", n, r.Incident, r)
	if err != nil {
		return 0, err
	}
	if r.Level != a.level {
		return 0, fmt.Errorf("recovered by the rung %q, the right one is %q", r.Level, a.level)
	}
	quiet, cancel := context.WithTimeout(ctx, quietTimeout)
	defer cancel()
	if err := w.stack.WaitQuiet(quiet, "redis"); err != nil {
		return 0, err
	}
	// Three recoveries in five minutes are a loop, and we make more: an admin says that it is all right.
	code, body, err := w.stack.Call(ctx, "admin", http.MethodPost, "/api/services/redis/auto-recovery/reset", map[string]any{"reason": "demo"})
	if err != nil {
		return 0, err
	}
	if code != http.StatusOK {
		return 0, fmt.Errorf("reset of auto-recovery answered %d: %v", code, body)
	}
	return a.took(r), nil
}

// summary prints the figures against the targets; its error says that one was missed.
func summary(out io.Writer, results []result) error {
	missed := 0
	fmt.Fprintf(out, "\nTime without an answer, from the last PONG to the next; in b. from when systemd had given up:\n\n  %-50s %8s %8s   %s\n", "", "p50", "max", "target")
	for _, r := range results {
		target := fmt.Sprintf("p50 < %.0f s", r.p50.Seconds())
		if r.max > 0 {
			target += fmt.Sprintf(", max < %.0f s", r.max.Seconds())
		}
		if len(r.times) == 0 || r.fault != nil {
			missed++
			fmt.Fprintf(out, "  %-50s %8s %8s   %s: FAILED, %v\n", r.name, "-", "-", target, r.fault)
			continue
		}
		p50, most := median(r.times), slices.Max(r.times)
		verdict := "reached"
		if p50 >= r.p50 || (r.max > 0 && most >= r.max) {
			verdict = "MISSED"
			missed++
		}
		fmt.Fprintf(out, "  %-50s %6.2f s %6.2f s   %s: %s\n", r.name, p50.Seconds(), most.Seconds(), target, verdict)
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d targets missed", missed, len(results))
	}
	fmt.Fprintln(out, "\nAll targets reached.")
	return nil
}

func median(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}
