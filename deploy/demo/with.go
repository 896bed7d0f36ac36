package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// withGrace is how long the command may take to end after Ctrl-C.
const withGrace = 10 * time.Second

// with boots a world, runs a command beside it, and takes the world down again. The command finds in its environment:
// PANEL_URL, PANEL_<ROLE>_EMAIL and PANEL_<ROLE>_PASSWORD for ADMIN, OPERATOR and VIEWER, PROMETHEUS_URL, ALERTMANAGER_URL, and
// DEMO, the program whose `exec` runs a shell command on the Redis host.
func with(ctx context.Context, out io.Writer, args []string) (err error) {
	binary := "bin/redis-medic"
	if len(args) > 1 && args[0] == "--binary" {
		binary, args = args[1], args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return errors.New("usage: demo with [--binary FILE] -- COMMAND [ARGUMENT]...")
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	w, err := boot(ctx, out, binary, stack.Ports{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.down()) }()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, out, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = withGrace
	cmd.Env = append(os.Environ(), "PANEL_URL="+w.stack.ControlAPI, "PROMETHEUS_URL="+w.stack.Prometheus, "ALERTMANAGER_URL="+w.stack.Alertmanager,
		"DEMO="+self, hostVariable+"="+w.host.Name)
	for _, u := range w.stack.Users {
		role := strings.ToUpper(u.Role)
		cmd.Env = append(cmd.Env, "PANEL_"+role+"_EMAIL="+u.Email, "PANEL_"+role+"_PASSWORD="+u.Password)
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
