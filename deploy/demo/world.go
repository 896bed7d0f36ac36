package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// world is a Redis host with everything around it.
type world struct {
	host  *lab.Host
	stack *stack.Stack
}

// progress writes lines with the time since the start.
type progress struct {
	mu    sync.Mutex // guards out
	out   io.Writer
	began time.Time
}

// Write implements io.Writer for the lines of the lab and the stack.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		if _, err := fmt.Fprintf(p.out, "%6.1f s  %s\n", time.Since(p.began).Seconds(), strings.TrimRight(line, "\n")); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// boot makes a world. On an error nothing stays behind.
func boot(ctx context.Context, out io.Writer, binary string, ports stack.Ports) (*world, error) {
	p := &progress{out: out, began: time.Now()}
	fmt.Fprintln(p, "booting a Redis host: Debian with systemd, sshd and redis-server, in a network of its own")
	fmt.Fprintln(p, "(the first time on a machine, its file system is built; that takes a minute)")
	host, err := lab.Up(ctx, lab.Options{Gate: true, Log: p})
	if err != nil {
		return nil, err
	}
	w := &world{host: host}
	fmt.Fprintln(p, "starting Prometheus, Alertmanager, a mail sink and redis-medic")
	w.stack, err = stack.Up(ctx, stack.Options{Host: host, Binary: binary, Ports: ports, Log: p})
	if err != nil {
		return nil, errors.Join(err, host.Down())
	}
	return w, nil
}

func (w *world) down() error { return errors.Join(w.stack.Down(), w.host.Down()) }

// noteFile tells `demo exec` in another terminal which host is the running demo's.
const noteFile = "/run/redis-medic-demo.json"

type note struct {
	Host string `json:"host"` // its name
}

// leaveNote writes the note; the function it returns takes it away.
func (w *world) leaveNote() (func() error, error) {
	data, err := json.Marshal(note{Host: w.host.Name})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(noteFile, data, 0o600); err != nil {
		return nil, fmt.Errorf("leave a note for %s: %w", filepath.Base(os.Args[0])+" exec", err)
	}
	return func() error { return os.Remove(noteFile) }, nil
}

var errNoDemo = errors.New("no demo is running; start one with: make demo")

// hostVariable names the host for `demo exec` inside `demo with`.
const hostVariable = "REDIS_MEDIC_DEMO_HOST"

func hostName() (string, error) {
	if name := os.Getenv(hostVariable); name != "" {
		return name, nil
	}
	data, err := os.ReadFile(noteFile)
	if errors.Is(err, os.ErrNotExist) {
		return "", errNoDemo
	}
	if err != nil {
		return "", err
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return "", fmt.Errorf("%s: %w", noteFile, err)
	}
	return n.Host, nil
}

// execInHost runs a shell command inside the running demo's host.
func execInHost(ctx context.Context, args []string, out io.Writer) error {
	command := strings.Join(args, " ")
	if strings.TrimSpace(command) == "" {
		return errors.New("what shall be run? for example: make demo-exec CMD='systemctl stop redis-server'")
	}
	name, err := hostName()
	if err != nil {
		return err
	}
	hosts, err := lab.Hosts()
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if h.Name == name {
			text, err := h.Exec(ctx, command)
			if text = strings.TrimSpace(text); text != "" {
				fmt.Fprintln(out, text)
			}
			return err
		}
	}
	return errNoDemo
}
