// Command redis-medic watches Redis services, brings them back when they fail, and lets people control them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Set by the linker.
var (
	version = "dev"
	commit  = "unknown"
)

// console is where a subcommand reads and writes.
type console struct {
	in       io.Reader
	out, err io.Writer
	// inspect gets the flags and the form of the arguments when help is asked for, instead of the reader; nil: the reader gets help.
	inspect func(f *flag.FlagSet, args string)
}

// errUsage means that the arguments were wrong and that this has been said.
var errUsage = errors.New("wrong arguments")

// subcommand is one of the program's commands. Its error is shown; errUsage is not.
type subcommand struct {
	name, args, summary string
	run                 func(ctx context.Context, c console, args []string) error
	hidden              bool // for programs, not for people
}

// verbs are the words that a command may begin with, none where its arguments are no such list.
func (s subcommand) verbs() []string {
	if s.args == "" || strings.ContainsAny(s.args, "[. ") {
		return nil
	}
	return strings.Split(s.args, "|")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The second signal ends the process at once: the first one takes the handler away.
	context.AfterFunc(ctx, stop)
	code := dispatch(ctx, console{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// dispatch runs the subcommand that the arguments name and returns the exit code: 0, 2 for wrong arguments, else that of the error.
func dispatch(ctx context.Context, c console, args []string) int {
	if len(args) > 0 {
		for _, s := range subcommands() {
			if s.name != args[0] {
				continue
			}
			switch err := s.run(ctx, c, args[1:]); {
			case err == nil, errors.Is(err, flag.ErrHelp):
				return 0
			case errors.Is(err, errUsage):
				return exitUsage
			default:
				fmt.Fprintln(c.err, err)
				return exitCode(err)
			}
		}
	}
	help := len(args) > 0 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h")
	out, code := c.err, exitUsage
	if help {
		out, code = c.out, 0
	} else if len(args) > 0 {
		fmt.Fprintf(out, "redis-medic: there is no command %q\n", args[0])
	}
	fmt.Fprint(out, "usage: redis-medic COMMAND [arguments]\n\n")
	for _, s := range subcommands() {
		if !s.hidden {
			fmt.Fprintf(out, "  %-42s %s\n", s.name+" "+s.args, s.summary)
		}
	}
	return code
}
