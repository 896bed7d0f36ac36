// Package docs_test checks that the documentation agrees with the program.
package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis-medic/redis-medic/alerts"
	"github.com/redis-medic/redis-medic/exporter/health"
	"github.com/redis-medic/redis-medic/remediator"
	"github.com/redis-medic/redis-medic/remediator/diagnose"
)

// section is one part of the runbook under a heading.
type section struct{ heading, body string }

// sections returns the runbook's sections by the anchor that Markdown renderers give them.
func sections(t *testing.T) map[string]section {
	t.Helper()
	text, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]section{}
	var at string
	code := false
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") && !code {
			at = regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading), "")
			at = strings.ReplaceAll(at, " ", "-")
			if _, twice := out[at]; twice {
				t.Errorf("two sections have the anchor %s", at)
			}
			out[at] = section{heading: heading}
			continue
		}
		s := out[at]
		s.body += line + "\n"
		out[at] = s
	}
	return out
}

func TestEveryAlertHasASectionThatSaysAllThreeThings(t *testing.T) {
	have := sections(t)
	for _, a := range alerts.All() {
		s, ok := have[alerts.Anchor(a.Name)]
		if !ok {
			t.Errorf("no section for the alert %s", a.Name)
			continue
		}
		for _, part := range []string{"**Means.**", "**redis-medic**", "**You**"} {
			if !strings.Contains(s.body, part) {
				t.Errorf("%s does not say: %s", a.Name, part)
			}
		}
	}
}

func TestEveryRunbookURLLeadsToASection(t *testing.T) {
	files, err := alerts.Render(alerts.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	have := sections(t)
	urls := regexp.MustCompile(`runbook_url: (\S+)#(\S+)`)
	n := 0
	for name, body := range files {
		for _, m := range urls.FindAllStringSubmatch(string(body), -1) {
			n++
			if !strings.HasSuffix(m[1], "deploy/docs/runbook.md") {
				t.Errorf("%s: %s is not this file", name, m[1])
			}
			if _, ok := have[m[2]]; !ok {
				t.Errorf("%s: no section %s", name, m[2])
			}
		}
	}
	if n < len(alerts.All()) {
		t.Errorf("%d links for %d alerts", n, len(alerts.All()))
	}
}

func TestEveryReasonCodeHasASection(t *testing.T) {
	codes := map[string]string{}
	for _, c := range health.Codes() {
		codes[string(c)] = "a reason of a verdict"
	}
	for _, c := range diagnose.Causes() {
		codes[string(c)] = "a cause of a failed start"
	}
	for _, c := range remediator.HoldCodes() {
		codes[string(c)] = "a hold"
	}
	for _, c := range decisions(t) {
		codes[c] = "a decision of the ladder"
	}
	have := sections(t)
	for code, what := range codes {
		if s, ok := have[code]; !ok {
			t.Errorf("no section for %s (%s)", code, what)
		} else if strings.TrimSpace(s.body) == "" {
			t.Errorf("the section %s is empty", code)
		}
	}
}

// decisions returns the codes with which the ladder refuses to act: the first argument of blocked and critical in its source.
func decisions(t *testing.T) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir("../../remediator/ladder", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			fn, ok := call.Fun.(*ast.Ident)
			if !ok || (fn.Name != "blocked" && fn.Name != "critical") {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok {
				if s, err := strconv.Unquote(lit.Value); err == nil {
					out = append(out, s)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %v found: the ladder's helpers have other names now", out)
	}
	return out
}

// TestTheCommandsOfTheRunbookAreShell finds commands that nobody could paste: quotes and brackets that do not end.
func TestTheCommandsOfTheRunbookAreShell(t *testing.T) {
	text, err := os.ReadFile("runbook.md")
	if err != nil {
		t.Fatal(err)
	}
	prompt := regexp.MustCompile(`(?m)^(redis|medic|replica)[#$] *`)
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 30 {
		t.Fatalf("only %d blocks of commands found", len(blocks))
	}
	for _, b := range blocks {
		cmd := exec.CommandContext(t.Context(), "bash", "-n")
		cmd.Stdin = strings.NewReader(prompt.ReplaceAllString(b[1], ""))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s\n%s", err, out, b[1])
		}
	}
}

func TestEveryLinkOfTheRunbookLeadsSomewhere(t *testing.T) {
	have := sections(t)
	links := regexp.MustCompile(`\]\(#([^)]+)\)`)
	for _, s := range have {
		for _, m := range links.FindAllStringSubmatch(s.body, -1) {
			if _, ok := have[m[1]]; !ok {
				t.Errorf("%q links to #%s, which does not exist", s.heading, m[1])
			}
		}
	}
}
