package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/deploy/lab/stack"
)

// show boots a world with the default ports, says what to try, and tells what happens until ctx ends.
func show(ctx context.Context, out io.Writer, binary string) error {
	w, err := boot(ctx, out, binary, stack.DefaultPorts())
	if err != nil {
		return err
	}
	forget, err := w.leaveNote()
	if err != nil {
		return errors.Join(err, w.down())
	}
	explain(out, w)
	tell(ctx, out, w.stack)
	fmt.Fprintln(out, "\nclearing up")
	if err := errors.Join(forget(), w.down()); err != nil {
		return err
	}
	fmt.Fprintln(out, "nothing is left")
	return nil
}

func explain(out io.Writer, w *world) {
	s, admin := w.stack, w.stack.Users[0]
	fmt.Fprintf(out, `
  Panel          %-24s sign in as %s, password %s
                 %24s or as %s, password %s
  Prometheus     %-24s
  Alertmanager   %-24s
  Metrics        %-24s
  Redis          %-24s on the host %s

Break it from a second terminal, in this folder, and watch it come back here and on the panel:

  1. Stop it:
       make demo-exec CMD='systemctl stop redis-server'
  2. Crash it until systemd gives up:
       make demo-exec CMD='while systemctl kill -s KILL redis-server; do sleep 0.3; systemctl is-failed -q redis-server && break; done'
  3. Freeze it:
       make demo-exec CMD='systemctl kill --kill-who=main -s STOP redis-server'

Then stop it on the panel, as a person: it stays stopped until you start it again. Ctrl-C ends the demo and leaves nothing behind.

`, s.ControlAPI+"/", admin.Email, admin.Password, "", s.Users[1].Email, s.Users[1].Password,
		s.Prometheus+"/alerts", s.Alertmanager+"/", s.Exporter+"/metrics", w.host.RedisAddr, w.host.Name)
}

// tell writes each new step of an incident and each mail, as they come, until ctx ends.
func tell(ctx context.Context, out io.Writer, s *stack.Stack) {
	told := map[string]int{}
	mails := 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// An API that does not answer for a moment is asked again.
		if incidents, err := s.Incidents(ctx, "redis"); err == nil {
			for _, i := range slices.Backward(incidents) {
				tellSteps(out, i, told)
			}
		}
		for _, m := range s.Mail.Messages()[mails:] {
			fmt.Fprintf(out, "%s  mail       to %s: %s\n", m.At.Format("15:04:05.000"), strings.Join(m.To, ", "), m.Subject)
			mails++
		}
	}
}

func tellSteps(out io.Writer, i stack.Incident, told map[string]int) {
	for _, step := range i.Steps[min(told[i.ID], len(i.Steps)):] {
		what := step.Text
		if step.Level != "" {
			what = step.Level + ": " + what
		}
		fmt.Fprintf(out, "%s  %-10s %s\n", step.At.Local().Format("15:04:05.000"), step.Kind, what)
		told[i.ID]++
	}
}
