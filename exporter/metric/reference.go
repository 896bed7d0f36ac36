package metric

import (
	"fmt"
	"sort"
	"strings"
)

//go:generate go run ./gen ../../deploy/docs/metrics.md

// preamble opens the reference.
const preamble = `# Metrics

Generated from the table in exporter/metric by ` + "`make gen`" + `; do not edit.

Every family below that is about a service also carries the label ` + "`service`" + `: its id in the configuration. Beside these there are the
standard ` + "`go_*`, `process_*`" + ` of Prometheus's client library. The families of
redis_exporter and systemd_exporter keep their name, type and labels, so that dashboards and rules written for them work as they are.

**Stability.** A name, type or label set in this list does not change within a major version. New families and new values of closed
sets may appear in a minor version. A family that goes is announced one minor version before, in the changelog and in its help text.
The order of samples and the text of help are not part of this promise.

**What is not known is not there.** A sample is left out rather than set to -1 or to a guess; state sets always have all their states.
`

// Reference is the documentation of every family as a page of Markdown.
func Reference() string {
	var b strings.Builder
	b.WriteString(preamble)
	for _, part := range []struct {
		title string
		list  []Desc
	}{
		{"Health and systemd", own},
		{"Recovery", medic},
		{"Redis, from one INFO field each", descsOf(Fields())},
		{"Redis, from several fields or other commands", laidOut},
		{"Of the program itself, without the label service", program},
		{"Only where the configuration asks for it", append(append([]Desc(nil), optional...), valueDescs()...)},
	} {
		list := append([]Desc(nil), part.list...)
		sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
		fmt.Fprintf(&b, "\n## %s\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n", part.title)
		for _, d := range list {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", d.Name, d.Type, strings.Join(d.Labels, ", "), strings.ReplaceAll(d.Help, "|", `\|`))
		}
	}
	b.WriteString("\n## Names that break a rule\n\nAll other names pass promlint. These stay, because dashboards and rules use them.\n\n| names | rule | why |\n| --- | --- | --- |\n")
	for _, e := range Unclean() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", strings.ReplaceAll(e.Names, "|", `\|`), e.Problem, e.Reason)
	}
	return b.String()
}

func descsOf(fields []Field) []Desc {
	var out []Desc
	for _, f := range fields {
		out = append(out, f.desc())
	}
	return out
}

func valueDescs() []Desc {
	var out []Desc
	for _, part := range [][]Value{Clients, Streams, StreamGroups, StreamConsumers, SearchIndexes} {
		for _, v := range part {
			out = append(out, v.Desc)
		}
	}
	return out
}
