package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/deploy/lab"
	"github.com/redis-medic/redis-medic/deploy/lab/labtest"
)

// output runs a command line and returns what it wrote on standard output.
func output(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	err := command(t.Context(), args, &out)
	return out.String(), err
}

func TestMistakesAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "no command"},
		{[]string{"fly"}, "unknown command"},
		{[]string{"up", "-instances", "a"}, "not NAME:PORT"},
		{[]string{"up", "-gate", "-document"}, "exclude each other"},
		{[]string{"reset", "-n", "9999"}, "no host 9999"},
	} {
		if _, err := output(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("lab %v: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestFaultsAreListed(t *testing.T) {
	out, err := output(t, "faults")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range lab.Faults() {
		if !strings.Contains(out, f.Name) || !strings.Contains(out, f.Help) {
			t.Errorf("%s is missing in\n%s", f.Name, out)
		}
	}
}

// A person's way through the command: up -keep, look, break, mend, down.
func TestKeptHost(t *testing.T) {
	labtest.Need(t)
	out, err := output(t, "up", "-keep", "-gate", "-instances", "sessions:6380")
	if err != nil {
		t.Fatal(err)
	}
	number := between(out, "10.77.", ".2:6379")
	t.Cleanup(func() {
		if _, err := output(t, "down", number); err != nil && !strings.Contains(err.Error(), "no host") {
			t.Error(err)
		}
	})
	for _, args := range [][]string{{"fault", "-n", number, "nosuch"}, {"fault", "-n", number}, {"undo", "-n", number, "kill9"}, {"down", "9999"}} {
		if _, err := output(t, args...); err == nil {
			t.Errorf("lab %v succeeded", args)
		}
	}
	steps := []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "rml-" + number + ", kept"},
		{[]string{"status", "-json"}, `"name": "rml-` + number + `"`},
		{[]string{"fault", "-n", number, "freeze"}, ""},
		{[]string{"exec", "-n", number, "grep", "State", "/proc/$(systemctl", "show", "--value", "-p", "MainPID", "redis-server)/status"}, "T (stopped)"},
		{[]string{"undo", "-n", number, "freeze"}, ""},
		{[]string{"fault", "-n", number, "-unit", "redis-server@sessions.service", "stop"}, ""},
		{[]string{"exec", "-n", number, "systemctl is-active redis-server redis-server@sessions || :"}, "active\ninactive"},
		{[]string{"reset", "-n", number}, ""},
		{[]string{"exec", "-n", number, "systemctl is-active redis-server redis-server@sessions"}, "active\nactive"},
		{[]string{"down", number}, "rml-" + number + " is down"},
	}
	for _, s := range steps {
		if out, err := output(t, s.args...); err != nil || !strings.Contains(out, s.want) {
			t.Fatalf("lab %v: %q (%v), want %q", s.args, out, err, s.want)
		}
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	inside, _, _ := strings.Cut(rest, after)
	return inside
}

func TestUpEndsWithItsContext(t *testing.T) {
	labtest.Need(t)
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := command(ctx, []string{"up"}, w)
		w.CloseWithError(err)
		ended <- err
	}()
	lines, text := bufio.NewScanner(r), ""
	for lines.Scan() {
		text += lines.Text() + "\n"
		if strings.Contains(text, "Ctrl-C") {
			break
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	dir := between(text, "password ", "/redis_password")
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %q: %v, want that it is gone", dir, err)
	}
}
