package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// namedTest is a test as security.md names it.
var namedTest = regexp.MustCompile("`([a-z0-9/-]+):((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestEveryPromiseOfSecurityHasItsTest reads the tables: each line names at least one test, and each named test exists.
func TestEveryPromiseOfSecurityHasItsTest(t *testing.T) {
	page, err := os.ReadFile("security.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]map[string]bool{}
	lines, tests := 0, 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| rule ") {
			continue
		}
		lines++
		named := namedTest.FindAllStringSubmatch(line, -1)
		if len(named) == 0 {
			t.Errorf("no test is named: %s", line)
		}
		for _, n := range named {
			tests++
			if known[n[1]] == nil {
				known[n[1]] = testsOf(t, n[1])
			}
			if !known[n[1]][n[2]] {
				t.Errorf("%s has no test %s", n[1], n[2])
			}
		}
	}
	if lines < 50 || tests < 80 {
		t.Errorf("%d lines and %d tests: the page is not read as it is written", lines, tests)
	}
}

// testsOf lists the tests of a package.
func testsOf(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", pkg, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", pkg, err)
	}
	out := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				out[f.Name.Name] = true
			}
		}
	}
	return out
}
