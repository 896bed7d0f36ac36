package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The completion scripts hand the words of the line to the hidden command __complete, so that they never get old.
var completionScripts = map[string]string{
	"bash": `_redis_medic() {
	local IFS=$'\n'
	COMPREPLY=($(redis-medic __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _redis_medic redis-medic
`,
	"zsh": `#compdef redis-medic
_redis_medic() {
	local -a found
	found=("${(@f)$(redis-medic __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	compadd -a found
}
compdef _redis_medic redis-medic
`,
	"fish": `function __redis_medic
	set -l words (commandline -opc) (commandline -ct)
	redis-medic __complete -- $words[2..-1] 2>/dev/null
end
complete -c redis-medic -f -a '(__redis_medic)'
`,
}

// completionScript prints the script of a shell.
func completionScript(_ context.Context, c console, args []string) error {
	shell, args := word(args, "")
	f := newFlags(c, "completion", "bash|zsh|fish")
	if err := parse(f, args, 0); err != nil {
		return err
	}
	script, known := completionScripts[shell]
	if !known {
		return unknownWord(c, f.Name(), shell)
	}
	fmt.Fprint(c.out, script)
	return nil
}

// completeTimeout bounds how long a shell waits for the names of services.
const completeTimeout = 2 * time.Second

// complete prints what the last of the given words may become, one candidate per line. It never fails: a shell has no use for that.
func complete(ctx context.Context, c console, args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		args = []string{""}
	}
	last := args[len(args)-1]
	for _, candidate := range candidates(ctx, args[:len(args)-1], last) {
		if strings.HasPrefix(candidate, last) {
			fmt.Fprintln(c.out, candidate)
		}
	}
	return nil
}

// candidates are what may stand behind the words.
func candidates(ctx context.Context, before []string, last string) []string {
	var out []string
	if len(before) == 0 {
		for _, s := range subcommands() {
			if !s.hidden {
				out = append(out, s.name)
			}
		}
		return out
	}
	commands := subcommands()
	i := slices.IndexFunc(commands, func(s subcommand) bool { return s.name == before[0] })
	if i < 0 {
		return nil
	}
	s, verb := commands[i], ""
	if len(before) > 1 && slices.Contains(s.verbs(), before[1]) {
		verb = before[1]
	}
	switch {
	case strings.HasPrefix(last, "-"):
		flags, _ := formOf(ctx, s, verb)
		flags.VisitAll(func(f *flag.Flag) { out = append(out, "--"+f.Name) })
	case len(s.verbs()) > 0 && verb == "" && len(before) == 1:
		out = s.verbs()
	default:
		_, args := formOf(ctx, s, verb)
		if strings.Contains(args, "[SERVICE") {
			out = serviceNames(ctx)
		}
	}
	return out
}

// formOf are the flags and the form of the arguments of a command, with a verb where it has some.
func formOf(ctx context.Context, s subcommand, verb string) (*flag.FlagSet, string) {
	flags, form := flag.NewFlagSet(s.name, flag.ContinueOnError), s.args
	c := console{in: strings.NewReader(""), out: io.Discard, err: io.Discard, inspect: func(f *flag.FlagSet, args string) { flags, form = f, args }}
	args := []string{"-h"}
	if verb != "" {
		args = []string{verb, "-h"}
	}
	_ = s.run(ctx, c, args) // ends with flag.ErrHelp
	return flags, form
}

// serviceNames asks the API, with the address and the token of the environment; none where it cannot be asked.
func serviceNames(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	c := console{in: strings.NewReader(""), out: io.Discard, err: io.Discard}
	api, err := clientFlags(newFlags(c, "services", ""), c)()
	if err != nil {
		return nil
	}
	answer, err := api.call(ctx, "GET", "/api/services", nil)
	if err != nil {
		return nil
	}
	var out []string
	for _, r := range list(answer, "records") {
		if id, ok := field(r, "id").(string); ok {
			out = append(out, id)
		}
	}
	return out
}
