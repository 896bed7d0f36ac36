package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Exec runs a POSIX shell script as root inside the host and returns its standard output without the final newline. It ends the
// script when ctx ends. The script runs with -e and -u; an error holds what it printed.
func (h *Host) Exec(ctx context.Context, script string) (string, error) {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", strconv.Itoa(h.PID), "--all", "--",
		"/usr/bin/env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"REDISCLI_AUTH="+h.Password, "/bin/sh", "-euc", script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// nsenter runs the script in a child; both are in a process group of their own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	out := strings.TrimSuffix(stdout.String(), "\n")
	if err != nil {
		err = errors.Join(err, context.Cause(ctx))
		return out, fmt.Errorf("on %s: %w\n%s", h.Name, err, lastLines(stderr.String()+stdout.String(), 20))
	}
	return out, nil
}

// RedisCLI runs redis-cli inside the host against the stock server, with its password, and returns the reply as redis-cli prints it
// when it does not write to a terminal.
func (r *Redis) RedisCLI(ctx context.Context, args ...string) (string, error) {
	words := []string{"redis-cli", "--no-auth-warning", "-p", strconv.Itoa(r.Port)}
	for _, a := range args {
		words = append(words, quote(a))
	}
	return r.host.Exec(ctx, strings.Join(words, " "))
}

// MainPID returns the main process of the unit as the host numbers it, or 0 when the unit runs none.
func (r *Redis) MainPID(ctx context.Context) (int, error) {
	out, err := r.Property(ctx, "MainPID")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(out)
}

// Property returns one property of the unit, as systemctl show prints it.
func (r *Redis) Property(ctx context.Context, name string) (string, error) {
	return r.host.Exec(ctx, "systemctl show --value --property="+quote(name)+" "+quote(r.Unit))
}

// Running returns nil when the unit is active and Redis answers PONG inside the host.
func (r *Redis) Running(ctx context.Context) error {
	reply, err := r.RedisCLI(ctx, "PING")
	if err != nil {
		return err
	}
	if reply != "PONG" {
		return fmt.Errorf("%s answered PING with %q", r.Unit, reply)
	}
	return nil
}

// quote makes one word of the shell out of any text.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
