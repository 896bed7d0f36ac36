package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const defaultService = "redis"

// servicePath is the API's path of a service's part.
func servicePath(id, part string) string { return "/api/services/" + url.PathEscape(id) + "/" + part }

// serviceArg is the service that the words name, the first one of the configuration when there is none.
func serviceArg(words []string) string {
	if len(words) == 0 {
		return defaultService
	}
	return words[0]
}

func listServices(ctx context.Context, c console, args []string) error {
	f := newFlags(c, "services", "[flags]")
	connect := clientFlags(f, c)
	if err := parse(f, args, 0); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	return api.show(ctx, http.MethodGet, "/api/services", nil,
		table("id", "status", "overall_status", "auto_recovery_enabled", "requires_manual_intervention", "unit", "host", "port"))
}

// viewCommand is a command that shows one part of a service.
func viewCommand(name string) func(context.Context, console, []string) error {
	return func(ctx context.Context, c console, args []string) error {
		f := newFlags(c, name, "[flags] [SERVICE]")
		connect := clientFlags(f, c)
		if err := parse(f, args, 1); err != nil {
			return err
		}
		api, err := connect()
		if err != nil {
			return err
		}
		text := healthText
		if name == "status" {
			text = facts("status", "pid", "uptime_seconds", "memory_mb", "connections", "commands_processed", "last_check", "vm_info.host", "vm_info.ssh_accessible")
		}
		return api.show(ctx, http.MethodGet, servicePath(serviceArg(f.Args()), name), nil, text)
	}
}

// operationCommand is a command that acts on a service. A stop has to be confirmed, by a word or by -yes.
func operationCommand(name string) func(context.Context, console, []string) error {
	return func(ctx context.Context, c console, args []string) error {
		f := newFlags(c, name, "[flags] [SERVICE]")
		connect := clientFlags(f, c)
		reason := f.String("reason", "", "why; kept in the audit log")
		yes := f.Bool("yes", name != "stop", "do not ask")
		if err := parse(f, args, 1); err != nil {
			return err
		}
		api, err := connect()
		if err != nil {
			return err
		}
		service := serviceArg(f.Args())
		if !*yes {
			if err := confirm(c, "Stop "+service+"? Everything that depends on it will be without it."); err != nil {
				return err
			}
		}
		body := map[string]any{}
		if name == "stop" {
			body["confirmation"] = true
		}
		if *reason != "" {
			body["reason"] = *reason
		}
		return api.show(ctx, http.MethodPost, servicePath(service, name), body, operationText)
	}
}

var errNotConfirmed = errors.New("not confirmed, nothing was done")

func confirm(c console, question string) error {
	fmt.Fprintf(c.err, "%s Type yes to go on: ", question)
	line, _ := bufio.NewReader(c.in).ReadString('\n') // an end without a line is a no
	if strings.TrimSpace(line) != "yes" {
		return errNotConfirmed
	}
	return nil
}

func showLogs(ctx context.Context, c console, args []string) error {
	f := newFlags(c, "logs", "[flags] [SERVICE]")
	connect := clientFlags(f, c)
	lines := f.Int("n", 50, "how many `LINES`, 1 to 1000")
	since := f.Duration("since", 0, "only of the last `TIME`, like 10m")
	level := f.String("level", "", "the least `LEVEL`: error, warning, info")
	follow := f.Bool("f", false, "go on with what is written, until it is interrupted")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	q := url.Values{"lines": {strconv.Itoa(*lines)}}
	if *since > 0 {
		q.Set("since", time.Now().Add(-*since).UTC().Format(time.RFC3339))
	}
	if *level != "" {
		q.Set("level", *level)
	}
	if *follow {
		return api.follow(ctx, serviceArg(f.Args()), q, c.err)
	}
	return api.show(ctx, http.MethodGet, servicePath(serviceArg(f.Args()), "logs?"+q.Encode()), nil, logsText)
}

func showIncidents(ctx context.Context, c console, args []string) error {
	f := newFlags(c, "incidents", "[flags] [SERVICE | INCIDENT]")
	connect := clientFlags(f, c)
	if err := parse(f, args, 1); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	if word := serviceArg(f.Args()); strings.HasPrefix(word, "inc-") {
		return api.show(ctx, http.MethodGet, "/api/incidents/"+url.PathEscape(word), nil, incidentText)
	}
	return api.show(ctx, http.MethodGet, servicePath(serviceArg(f.Args()), "incidents"), nil,
		table("id", "status", "alert", "cause", "level", "attempts", "opened_at", "recovered_at"))
}

func recoveryCommand(ctx context.Context, c console, args []string) error {
	verb, args := word(args, "status")
	f := newFlags(c, "recovery", "[status|explain|on|off|reset] [flags] [SERVICE]")
	connect := clientFlags(f, c)
	reason := f.String("reason", "", "why; kept in the audit log")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	service := serviceArg(f.Args())
	switch verb {
	case "status":
		return api.show(ctx, http.MethodGet, servicePath(service, "auto-recovery"), nil, recoveryText)
	case "explain":
		return api.show(ctx, http.MethodGet, servicePath(service, "auto-recovery?explain=true"), nil, recoveryText)
	case "on", "off":
		return api.show(ctx, http.MethodPut, servicePath(service, "auto-recovery"), map[string]any{"enabled": verb == "on", "reason": *reason}, recoveryText)
	case "reset":
		return api.show(ctx, http.MethodPost, servicePath(service, "auto-recovery/reset"), map[string]any{"reason": *reason}, recoveryText)
	}
	return unknownWord(c, f.Name(), verb)
}

func maintenanceCommand(ctx context.Context, c console, args []string) error {
	verb, args := word(args, "start")
	f := newFlags(c, "maintenance", "start|end [flags] [SERVICE]")
	connect := clientFlags(f, c)
	length := f.Duration("for", time.Hour, "how `LONG` it lasts")
	reason := f.String("reason", "", "why; kept in the audit log")
	if err := parse(f, args, 1); err != nil {
		return err
	}
	api, err := connect()
	if err != nil {
		return err
	}
	path := servicePath(serviceArg(f.Args()), "maintenance")
	switch verb {
	case "start":
		body := map[string]any{"duration_seconds": int(length.Seconds()), "reason": *reason}
		return api.show(ctx, http.MethodPost, path, body, facts("code", "text", "by", "since", "until"))
	case "end":
		return api.show(ctx, http.MethodDelete, path, nil, recoveryText)
	}
	return unknownWord(c, f.Name(), verb)
}

// word takes the first word off the arguments where it is no flag.
func word(args []string, otherwise string) (first string, rest []string) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return otherwise, args
	}
	return args[0], args[1:]
}

func unknownWord(c console, command, verb string) error {
	fmt.Fprintf(c.err, "redis-medic %s: there is no %q; see redis-medic %s -h\n", command, verb, command)
	return errUsage
}
