package config

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kindName says in words what a node is.
func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a group of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!str":
		return "the text " + quoteShort(n.Value)
	case "!!bool":
		return n.Value
	default:
		return "the number " + n.Value
	}
}

func quoteShort(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "…"
	}
	return `"` + s + `"`
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func contains(list, s string) bool { return slices.Contains(strings.Split(list, "|"), s) }

// suggest says which key may have been meant.
func suggest(key string, known map[string]fieldRef) string {
	best, bestAt := "", 1+len(key)/3
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if at := distance(key, name); at < bestAt || (best == "" && strings.HasPrefix(name, key+"_")) {
			best, bestAt = name, at
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "remove it, or use one of " + strings.Join(names, ", ")
}

// distance is the number of letters to change, add or remove to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}

// errnoText is a file error without the path, which the message names already.
func errnoText(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
