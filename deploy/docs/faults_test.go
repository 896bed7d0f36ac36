package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// namesOf collects the test functions of a package and every string that could name a subtest of one.
func namesOf(t *testing.T, dir string) (functions, strs map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Errorf("no tests in %s (%v)", dir, err)
	}
	functions, strs = map[string]bool{}, map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				functions[n.Name.Name] = true
			case *ast.BasicLit:
				if s, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil {
					strs[s] = true
				}
			}
			return true
		})
	}
	return functions, strs
}

// TestEveryFaultHasATest checks that each row of the table names tests, and that each of them exists.
func TestEveryFaultHasATest(t *testing.T) {
	text, err := os.ReadFile("faults.md")
	if err != nil {
		t.Fatal(err)
	}
	type known struct{ functions, strs map[string]bool }
	packages := map[string]known{}
	rows := 0
	for _, line := range regexp.MustCompile(`(?m)^\| [0-9]+ \|.*$`).FindAllString(string(text), -1) {
		rows++
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		if len(cells) != 4 || strings.TrimSpace(cells[0]) != strconv.Itoa(rows) || cells[1] == "" || cells[2] == "" {
			t.Errorf("row %d is not whole: %s", rows, line)
			continue
		}
		tests := regexp.MustCompile("`([a-z0-9/-]+) ((?:Test|Fuzz)[A-Za-z0-9]+)(?:/([^`]+))?`").FindAllStringSubmatch(cells[3], -1)
		if len(tests) == 0 {
			t.Errorf("row %d names no test", rows)
		}
		if n := strings.Count(cells[3], "`") / 2; n != len(tests) {
			t.Errorf("row %d: %d of %d names are understood: %s", rows, len(tests), n, cells[3])
		}
		for _, m := range tests {
			p, ok := packages[m[1]]
			if !ok {
				p.functions, p.strs = namesOf(t, m[1])
				packages[m[1]] = p
			}
			if !p.functions[m[2]] {
				t.Errorf("row %d: %s has no %s", rows, m[1], m[2])
			}
			if m[3] != "" && !p.strs[m[3]] {
				t.Errorf("row %d: nothing in the tests of %s is named %q", rows, m[1], m[3])
			}
		}
	}
	if rows < 78 {
		t.Errorf("%d rows", rows)
	}
}
