package cmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// A test that sleeps is slow where the machine is fast, and fails where it is slow. Inside a synctest bubble time is not real, so
// there it is the idiom.
func TestNoTestSleeps(t *testing.T) {
	walk(t, func(t *testing.T, name string) {
		t.Helper()
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Error(err)
			return
		}
		for _, spec := range f.Imports {
			if spec.Path.Value == `"testing/synctest"` {
				return
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "time" && s.Sel.Name == "Sleep" {
				t.Errorf("%s: sleeps; wait for a condition, or use testing/synctest", fset.Position(s.Pos()))
			}
			return true
		})
	})
}
