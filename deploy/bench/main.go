// Command bench runs the benchmarks that have a target and prints one table: what, target, measured, verdict. A missed target ends
// it with 1 only when -strict is given, because a busy machine misses some; a benchmark that does not run always does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const module = "github.com/redis-medic/redis-medic/"

func main() {
	strict := flag.Bool("strict", os.Getenv("STRICT") == "1", "a missed target is a failure; also STRICT=1")
	file := flag.String("o", "bench.txt", "write the table to this `FILE` too")
	only := flag.String("only", "", "only steps whose package contains this `TEXT`")
	limit := flag.Duration("timeout", 10*time.Minute, "give up after this `TIME`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, *limit)
	code := run(ctx, *only, *file, *strict)
	cancel()
	stop()
	os.Exit(code)
}

// run measures, prints and writes the table, and returns the exit code.
func run(ctx context.Context, only, file string, strict bool) int {
	figures, skipped := figures{}, skips{}
	var errs []error
	began := time.Now()
	for _, s := range steps() {
		if !strings.Contains(s.pkg, only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s  %s %s\n", time.Since(began).Round(time.Second), s.pkg, strings.Trim(s.name(), "^$"))
		if err := measure(ctx, s, figures, skipped); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.pkg, err))
		}
	}
	results := judge(rows(), figures, skipped)
	out, err := os.Create(file)
	if err != nil {
		errs = append(errs, err)
		out = nil
	}
	writers := []io.Writer{os.Stdout}
	if out != nil {
		writers = append(writers, out)
	}
	w := io.MultiWriter(writers...)
	header(w, began)
	table(w, results)
	fmt.Fprintln(w, "\nThe times of recoveries (p50 < 3 s stopped, < 8 s frozen) are measured on a real host, through Prometheus and Alertmanager: make demo CHECK=1.\nThe load of the document (10 requests/s during a restart: errors < 1 %, mean < 500 ms) is a test of deploy/e2e, on a real host too.")
	if out != nil {
		errs = append(errs, out.Close())
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if strict && missed(results) {
		return 1
	}
	return 0
}

// header says when, where and on how busy a machine: figures mean nothing without.
func header(w io.Writer, began time.Time) {
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Join(strings.Fields(string(text))[:1], " ")
	}
	fmt.Fprintf(w, "%s, %d processors, load %s at the end, took %s\n\n", began.Format("2006-01-02 15:04"), runtime.NumCPU(), load,
		time.Since(began).Round(time.Second))
}

// measure runs one step and takes its figures.
func measure(ctx context.Context, s step, f figures, skipped skips) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-v", "-bench", s.bench, "-benchtime", s.time, "-timeout", "8m", module+s.pkg)
	// go test alone would leave its program behind, and that its servers.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.CombinedOutput()
	parse(s.pkg, string(text), f, skipped)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, text)
	}
	return nil
}
