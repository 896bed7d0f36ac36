package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one fault of the file.
type Problem struct {
	File string
	Line int    // 0: the file as a whole
	Path string // "services[1].service.port"; empty: the file as a whole
	Text string // what is wrong; what to do
}

// String is "file:line: path: text".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Problems is every fault of a file, by line.
type Problems []Problem

// Error implements error: one line per fault.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the faults by line, each once.
func (p Problems) sorted() Problems {
	out := slices.Clone(p)
	slices.SortStableFunc(out, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return slices.Compact(out)
}
