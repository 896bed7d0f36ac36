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
		{"run", "[--config FILE]", "run the exporter, the remediator and the control API", runServer},
		{"check-config", "[FILE]", "say everything that is wrong with a configuration file", checkConfig},
		{"doctor", "[SERVICE]...", "try every precondition on the hosts, and say what to do", doctor},
		{"alertmanager-config", "[--config FILE]", "print an Alertmanager configuration for the people of a configuration file", alertmanagerConfig},
		{"hash-password", "", "make a password hash for the configuration", hashPassword},
		{"services", "", "list the services", listServices},
		{"status", "[SERVICE]", "show the status of a service", viewCommand("status")},
		{"health", "[SERVICE]", "show the health of a service", viewCommand("health")},
		{"start", "[SERVICE]", "start a service", operationCommand("start")},
		{"stop", "[SERVICE]", "stop a service; it stays stopped until it is started", operationCommand("stop")},
		{"restart", "[SERVICE]", "restart a service", operationCommand("restart")},
		{"logs", "[SERVICE]", "show the logs of a service", showLogs},
		{"incidents", "[SERVICE|INCIDENT]", "list incidents, or show one", showIncidents},
		{"recovery", "status|on|off|reset", "show, switch or reset automatic recovery", recoveryCommand},
		{"maintenance", "start|end", "hold automatic recovery for a while", maintenanceCommand},
		{"audit", "list|verify|export|public-key", "list, verify or export the audit records", auditCommand},
		{"version", "", "print the version", printVersion},
	}
}

// newFlags makes the flag set of a subcommand. Faults are written to the console's error output.
func newFlags(c console, name, args string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(c.err)
	f.Usage = func() {
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
