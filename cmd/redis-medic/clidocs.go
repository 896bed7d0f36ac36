package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

//go:generate go run . __docs ../../deploy/docs/cli.md

// exitCodes is what a script may rely on.
var exitCodes = []struct {
	code  int
	means string
}{
	{0, "done"},
	{exitFailed, "the operation failed, or what was asked for does not exist"},
	{exitUsage, "wrong arguments"},
	{exitRefused, "not signed in, or not allowed (HTTP 401, 403)"},
	{exitConflict, "somebody else is at work on the service, or it was asked too often (HTTP 409, 429)"},
	{exitUnavailable, "the control API or the service's host cannot be reached (HTTP 502, 503, 504)"},
}

const docsIntro = `# Commands

<!-- Written by go generate from the table of commands; do not edit. -->

` + "`redis-medic`" + ` is one program: the server, the checks of its configuration, and a client of its control API. Flags may stand before
and behind the words. What is shown is for people, in colours on a terminal unless ` + "`NO_COLOR`" + ` is set; ` + "`-o json`" + ` prints the API's
own answer for scripts, and ` + "`logs -f -o json`" + ` one line of JSON per line of the log.

The client commands take the API's address from ` + "`--url` or `$REDIS_MEDIC_URL`" + ` and a bearer token from ` + "`--token-file`" + `,
` + "`$REDIS_MEDIC_TOKEN_FILE` or `$REDIS_MEDIC_TOKEN`" + `. A token is never an argument, where other users of the machine could see it. A service
that is not named is ` + "`redis`" + `.

Completion: ` + "`source <(redis-medic completion bash)`" + `, the same with ` + "`zsh`" + `, or ` + "`redis-medic completion fish | source`" + `. It knows the
commands, their flags, and the services that the API lists.

## Exit codes

| code | meaning |
|---|---|
`

// writeDocs writes the reference of the commands into a file, or prints it.
func writeDocs(ctx context.Context, c console, args []string) error {
	file, args := word(args, "")
	if err := parse(newFlags(c, "__docs", "FILE"), args, 0); err != nil {
		return err
	}
	text := docs(ctx)
	if file == "" {
		fmt.Fprint(c.out, text)
		return nil
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func docs(ctx context.Context) string {
	var b strings.Builder
	b.WriteString(docsIntro)
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "| %d | %s |\n", e.code, e.means)
	}
	for _, s := range subcommands() {
		if s.hidden {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s.\n", s.name, strings.ToUpper(s.summary[:1])+s.summary[1:])
		verbs := s.verbs()
		if len(verbs) == 0 {
			verbs = []string{""}
		}
		shown := map[string]bool{} // verbs with the same form share a section
		for _, verb := range verbs {
			flags, form := formOf(ctx, s, verb)
			if shown[form] {
				continue
			}
			shown[form] = true
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", strings.TrimRight("redis-medic "+s.name+" "+form, " "))
			b.WriteString(flagTable(flags))
		}
	}
	return b.String()
}

func flagTable(flags *flag.FlagSet) string {
	var b strings.Builder
	flags.VisitAll(func(f *flag.Flag) {
		if b.Len() == 0 {
			b.WriteString("\n| flag | meaning | default |\n|---|---|---|\n")
		}
		value, usage := flag.UnquoteUsage(f)
		name := "--" + f.Name
		if len(f.Name) == 1 {
			name = "-" + f.Name
		}
		if value != "" {
			name += " " + value
		}
		byDefault := f.DefValue
		if byDefault != "" {
			byDefault = "`" + byDefault + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, strings.ReplaceAll(usage, "|", `\|`), byDefault)
	})
	return b.String()
}
