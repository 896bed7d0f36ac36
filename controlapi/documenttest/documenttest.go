// Package documenttest holds the JSON examples of the architecture document (sections 4 and 6.4) and its table of endpoints
// (Appendix B), word by word, and compares real answers with them. It is imported by tests only.
package documenttest

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed examples
var files embed.FS

// Names lists the examples of answers, events and records.
func Names() []string {
	entries, err := files.ReadDir("examples")
	if err != nil {
		panic(err) // embedded
	}
	var out []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasSuffix(name, ".request") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Text returns an example as it stands in the document; "start.request" is the body of a request.
func Text(name string) string {
	raw, err := files.ReadFile("examples/" + name + ".json")
	if err != nil {
		panic(err) // the caller names one of ours
	}
	return string(raw)
}

// Endpoint is a line of Appendix B.
type Endpoint struct {
	Method, Path string
	Required     bool     // authentication
	Roles        []string // nil: all
}

// Endpoints returns Appendix B.
func Endpoints() []Endpoint {
	raw, err := files.ReadFile("examples/appendix-b.md")
	if err != nil {
		panic(err) // embedded
	}
	var out []Endpoint
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || strings.Contains(line, "---") || strings.Contains(line, "Endpoint") {
			continue
		}
		e := Endpoint{Method: strings.TrimSpace(cells[1]), Path: strings.TrimSpace(cells[2]), Required: strings.TrimSpace(cells[4]) == "Required"}
		if roles := strings.TrimSpace(cells[5]); roles != "All" {
			e.Roles = strings.Split(roles, ", ")
		}
		out = append(out, e)
	}
	return out
}

// Differences compares the members of a body with those of an example: each of the document must be there, with a value of the same
// kind or null where that cannot be known, and none beside them but those in extra. Of lists the first entries are compared. Paths
// look like "health_checks.performance.metrics".
func Differences(name string, body []byte, extra ...string) []string {
	var want, got any
	if err := json.Unmarshal([]byte(Text(name)), &want); err != nil {
		return []string{fmt.Sprintf("the example %s is not JSON: %v", name, err)}
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return []string{fmt.Sprintf("the body is not JSON: %v", err)}
	}
	var out []string
	compare("", want, got, extra, &out)
	return out
}

func compare(path string, want, got any, extra []string, out *[]string) {
	say := func(format string, args ...any) {
		*out = append(*out, strings.TrimPrefix(path, ".")+": "+fmt.Sprintf(format, args...))
	}
	switch want := want.(type) {
	case map[string]any:
		have, ok := got.(map[string]any)
		if !ok {
			say("is %T, not an object", got)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			value, there := have[key]
			if !there {
				say("has no member %s", key)
				continue
			}
			compare(path+"."+key, want[key], value, extra, out)
		}
		for _, key := range slices.Sorted(maps.Keys(have)) {
			if _, known := want[key]; !known && !slices.Contains(extra, strings.TrimPrefix(path+"."+key, ".")) {
				say("has the member %s, which the document has not", key)
			}
		}
	case []any:
		have, ok := got.([]any)
		if !ok {
			say("is %T, not a list", got)
			return
		}
		if len(want) > 0 && len(have) > 0 {
			compare(path, want[0], have[0], extra, out)
		}
	case nil:
	default:
		if got != nil && fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
			say("is %T, the document has %T", got, want)
		}
	}
}
