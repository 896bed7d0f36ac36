package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime"
)

const defaultConfig = "/etc/redis-medic/redis-medic.yml"

// subcommands is the table of everything that the program can do.
func subcommands() []subcommand {
	return []subcommand{
		{name: "run", args: "[--config FILE]", summary: "run the exporter, the remediator and the control API", run: runServer},
		{name: "check-config", args: "[FILE]", summary: "say everything that is wrong with a configuration file", run: checkConfig},
		{name: "doctor", args: "[SERVICE]...", summary: "try every precondition on the hosts, and say what to do", run: doctor},
		{name: "alertmanager-config", args: "[--config FILE]", summary: "print an Alertmanager configuration for the people of a configuration file", run: alertmanagerConfig},
		{name: "hash-password", args: "", summary: "make a password hash for the configuration", run: hashPassword},
		{name: "services", args: "", summary: "list the services", run: listServices},
		{name: "status", args: "[SERVICE]", summary: "show the status of a service", run: viewCommand("status")},
		{name: "health", args: "[SERVICE]", summary: "show the health of a service", run: viewCommand("health")},
		{name: "start", args: "[SERVICE]", summary: "start a service", run: operationCommand("start")},
		{name: "stop", args: "[SERVICE]", summary: "stop a service; it stays stopped until it is started", run: operationCommand("stop")},
		{name: "restart", args: "[SERVICE]", summary: "restart a service", run: operationCommand("restart")},
		{name: "logs", args: "[SERVICE]", summary: "show the logs of a service", run: showLogs},
		{name: "incidents", args: "[SERVICE|INCIDENT]", summary: "list incidents, or show one", run: showIncidents},
		{name: "recovery", args: "status|explain|on|off|reset", summary: "show, explain, switch or reset automatic recovery", run: recoveryCommand},
		{name: "maintenance", args: "start|end", summary: "hold automatic recovery for a while", run: maintenanceCommand},
		{name: "audit", args: "list|verify|export|public-key", summary: "list, verify or export the audit records", run: auditCommand},
		{name: "completion", args: "bash|zsh|fish", summary: "print a completion script for a shell", run: completionScript},
		{name: "__complete", args: "WORD...", summary: "list what the last word may become", run: complete, hidden: true},
		{name: "__docs", args: "FILE", summary: "write the reference of the commands", run: writeDocs, hidden: true},
		{name: "version", args: "", summary: "print the version", run: printVersion},
	}
}

// newFlags makes the flag set of a subcommand. Faults are written to the console's error output.
func newFlags(c console, name, args string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(c.err)
	f.Usage = func() {
		if c.inspect != nil {
			c.inspect(f, args)
			return
		}
		fmt.Fprintf(c.err, "usage: redis-medic %s %s\n", name, args)
		f.PrintDefaults()
	}
	return f
}

// parse parses the arguments of a subcommand that takes at most so many words. Flags may stand before and after them.
func parse(f *flag.FlagSet, args []string, most int) error {
	words := []string{"--"}
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return errUsage
		}
		if f.NArg() == 0 {
			break
		}
		words, args = append(words, f.Arg(0)), f.Args()[1:]
	}
	if err := f.Parse(words); err != nil {
		return errUsage
	}
	if f.NArg() > most {
		fmt.Fprintf(f.Output(), "redis-medic %s: unexpected argument %q\n", f.Name(), f.Arg(most))
		f.Usage()
		return errUsage
	}
	return nil
}

func printVersion(_ context.Context, c console, args []string) error {
	if err := parse(newFlags(c, "version", ""), args, 0); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "redis-medic %s (%s, %s, %s/%s)\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return nil
}
