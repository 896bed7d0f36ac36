// Command lab boots, breaks and ends real Redis hosts on this machine; see package lab.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis-medic/redis-medic/deploy/lab"
)

const usage = `Usage: lab COMMAND

  up [flags]                boot a host and stay until Ctrl-C (-keep: leave it running); -help lists the flags
  down [N…]                 end all kept hosts, or those with these numbers
  status [-json]            the hosts of this machine
  reset [-n N]              undo every fault
  exec [-n N] SCRIPT        run a shell script as root on the host
  fault [-n N] [-unit U] NAME [ARG…]    break it
  undo [-n N] [-unit U] NAME            end that fault
  faults                    list the faults

-n N names the host; it may be left out when there is only one.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return errors.New("no command")
	}
	rest := args[1:]
	switch args[0] {
	case "up":
		return up(ctx, rest, out)
	case "down":
		return down(rest, out)
	case "status":
		return status(rest, out)
	case "reset":
		return onHost("reset", rest, func(r *lab.Redis, _ []string) error { return r.Host().Reset(ctx) })
	case "exec":
		return onHost("exec", rest, func(r *lab.Redis, words []string) error {
			text, err := r.Host().Exec(ctx, strings.Join(words, " "))
			fmt.Fprintln(out, text)
			return err
		})
	case "fault":
		return onFault(rest, func(f lab.Fault, r *lab.Redis, words []string) error { return f.Do(ctx, r, words) })
	case "undo":
		return onFault(rest, func(f lab.Fault, r *lab.Redis, _ []string) error {
			if f.Undo == nil {
				return errors.New("only reset ends this fault")
			}
			return f.Undo(ctx, r)
		})
	case "faults":
		for _, f := range lab.Faults() {
			fmt.Fprintf(out, "%-30s %s\n", strings.TrimSpace(f.Name+" "+f.Args), f.Help)
		}
		return nil
	default:
		fmt.Fprint(os.Stderr, usage)
		return fmt.Errorf("unknown command %q", args[0])
	}
}

func up(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lab up", flag.ContinueOnError)
	opts := lab.Options{Log: os.Stderr}
	flags.BoolVar(&opts.Gate, "gate", false, "install the forced-command gate")
	flags.BoolVar(&opts.DocumentSudoers, "document", false, "set it up by hand as the architecture document says")
	flags.BoolVar(&opts.Keep, "keep", false, "leave the host running; end it with: lab down")
	instances := flags.String("instances", "", "more Redis servers: NAME:PORT,…")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for item := range strings.SplitSeq(*instances, ",") {
		if item == "" {
			continue
		}
		name, port, _ := strings.Cut(item, ":")
		n, err := strconv.Atoi(port)
		if err != nil {
			return fmt.Errorf("-instances: %q is not NAME:PORT", item)
		}
		opts.Instances = append(opts.Instances, lab.Instance{Name: name, Port: n})
	}
	h, err := lab.Up(ctx, opts)
	if err != nil {
		return err
	}
	describe(out, h)
	if opts.Keep {
		return nil
	}
	fmt.Fprintln(out, "\nCtrl-C ends it.")
	<-ctx.Done()
	return h.Down()
}

// describe prints how to reach a host.
func describe(out io.Writer, h *lab.Host) {
	for _, r := range h.Servers {
		fmt.Fprintf(out, "Redis    %s  %s\n", r.RedisAddr, r.Unit)
	}
	fmt.Fprintf(out, "password %s\n", h.PasswordFile)
	fmt.Fprintf(out, "SSH      ssh -i %s -o UserKnownHostsFile=%s %s@%s  (%s)\n", h.IdentityFile, h.KnownHostsFile, h.User, h.Address, h.Access)
}

func down(args []string, out io.Writer) error {
	if err := lab.Sweep(); err != nil {
		return err
	}
	hosts, err := lab.Hosts()
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, a := range args {
		wanted[a] = true
	}
	var errs []error
	for _, h := range hosts {
		if wanted[strconv.Itoa(h.Number)] || (len(args) == 0 && h.Kept()) {
			errs = append(errs, h.Down())
			fmt.Fprintln(out, h.Name, "is down")
			delete(wanted, strconv.Itoa(h.Number))
		}
	}
	for n := range wanted {
		errs = append(errs, fmt.Errorf("no host %s", n))
	}
	return errors.Join(errs...)
}

func status(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lab status", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hosts, err := lab.Hosts()
	if err != nil {
		return err
	}
	if *asJSON {
		if hosts == nil {
			hosts = []*lab.Host{}
		}
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(hosts)
	}
	if len(hosts) == 0 {
		fmt.Fprintln(out, "no host is running")
	}
	for _, h := range hosts {
		kept := ""
		if h.Kept() {
			kept = ", kept"
		}
		fmt.Fprintf(out, "host %d (%s%s)\n", h.Number, h.Name, kept)
		describe(out, h)
	}
	return nil
}

// onHost parses -n and -unit and calls f with the server they name.
func onHost(name string, args []string, f func(*lab.Redis, []string) error) error {
	flags := flag.NewFlagSet("lab "+name, flag.ContinueOnError)
	number := flags.Int("n", 0, "number of the host")
	unit := flags.String("unit", "redis-server.service", "unit of the Redis server")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hosts, err := lab.Hosts()
	if err != nil {
		return err
	}
	if *number == 0 && len(hosts) != 1 {
		return fmt.Errorf("%d hosts are running; name one with -n", len(hosts))
	}
	for _, h := range hosts {
		if *number != 0 && h.Number != *number {
			continue
		}
		r := h.Server(*unit)
		if r == nil {
			return fmt.Errorf("%s has no unit %s", h.Name, *unit)
		}
		return f(r, flags.Args())
	}
	return fmt.Errorf("no host %d", *number)
}

func onFault(args []string, f func(lab.Fault, *lab.Redis, []string) error) error {
	return onHost("fault", args, func(r *lab.Redis, words []string) error {
		if len(words) == 0 {
			return errors.New("no fault named; lab faults lists them")
		}
		for _, fault := range lab.Faults() {
			if fault.Name == words[0] {
				return f(fault, r, words[1:])
			}
		}
		return fmt.Errorf("unknown fault %q; lab faults lists them", words[0])
	})
}
