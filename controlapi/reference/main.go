// Command reference writes the readable page of the control API from its description: openapi.yaml is the contract, the page says the
// same to people.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reference OPENAPI FILE")
		os.Exit(2)
	}
	err := write(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func write(from, to string) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read description: %w", err)
	}
	text, err := page(raw)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, text, 0o644); err != nil { //nolint:gosec // a page of the documentation
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}

const intro = `# Control API

This page says in words what ` + "`controlapi/openapi.yaml`" + ` says to programs; a running redis-medic serves that file at ` + "`/openapi.yaml`" + `.
It is generated (` + "`make gen`" + `).

`

// document is the description with the order of its members kept.
type document struct{ root *yaml.Node }

// page is the whole page.
func page(raw []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(raw, &node); err != nil {
		return nil, fmt.Errorf("read description: %w", err)
	}
	if len(node.Content) == 0 {
		return nil, errors.New("read description: it is empty")
	}
	d := document{root: node.Content[0]}
	var b strings.Builder
	b.WriteString(intro + text(at(d.root, "info", "description")) + "\n")
	for _, tag := range at(d.root, "tags").Content {
		fmt.Fprintf(&b, "\n## %s: %s\n", text(at(tag, "name")), text(at(tag, "description")))
		d.operations(&b, text(at(tag, "name")))
	}
	b.WriteString("\n## Bodies\n\n`T | null`: present, and null where it is not known. Members without a mark are always there.\n")
	each(at(d.root, "components", "schemas"), func(name string, schema *yaml.Node) { d.schema(&b, name, schema) })
	return []byte(b.String()), nil
}

// operations writes the operations of a tag.
func (d document) operations(b *strings.Builder, tag string) {
	each(at(d.root, "paths"), func(path string, item *yaml.Node) {
		each(item, func(method string, op *yaml.Node) {
			if method == "parameters" || text(at(op, "tags")) != tag {
				return
			}
			fmt.Fprintf(b, "\n### `%s %s`\n\n%s. Permission: `%s`.\n", strings.ToUpper(method), path, text(at(op, "summary")), text(at(op, "x-permission")))
			if about := text(at(op, "description")); about != "" {
				fmt.Fprintf(b, "\n%s\n", about)
			}
			d.parameters(b, at(item, "parameters"), at(op, "parameters"))
			if body := d.follow(at(op, "requestBody")); body != nil {
				fmt.Fprintf(b, "\nBody: %s\n", d.kind(at(body, "content", "application/json", "schema")))
				d.members(b, at(body, "content", "application/json", "schema"))
			}
			d.responses(b, at(op, "responses"))
		})
	})
}

func (d document) parameters(b *strings.Builder, lists ...*yaml.Node) {
	var rows []string
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, p := range list.Content {
			p = d.follow(p)
			if text(at(p, "name")) == "id" || text(at(p, "name")) == "incident" {
				continue // the path says it
			}
			about := text(at(p, "description"))
			if value := text(at(p, "schema", "default")); value != "" {
				about = strings.TrimPrefix(about+"; "+value+" if not given", "; ")
			}
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", text(at(p, "name")), text(at(p, "in")), d.kind(at(p, "schema")), cell(about)))
		}
	}
	if len(rows) > 0 {
		b.WriteString("\n| parameter | in | type | meaning |\n|---|---|---|---|\n" + strings.Join(rows, ""))
	}
}

func (d document) responses(b *strings.Builder, responses *yaml.Node) {
	b.WriteString("\n| answer | body | meaning |\n|---|---|---|\n")
	each(responses, func(code string, r *yaml.Node) {
		r = d.follow(r)
		var bodies []string
		each(at(r, "content"), func(media string, content *yaml.Node) {
			kind := d.kind(at(content, "schema"))
			if media != "application/json" && media != "application/problem+json" {
				kind = "`" + media + "`"
			}
			if !slices.Contains(bodies, kind) {
				bodies = append(bodies, kind)
			}
		})
		if code == "default" {
			code = "other"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", code, strings.Join(bodies, " or "), cell(text(at(r, "description"))))
	})
}

func (d document) schema(b *strings.Builder, name string, schema *yaml.Node) {
	fmt.Fprintf(b, "\n### %s\n\n", name)
	if about := text(at(schema, "description")); about != "" {
		fmt.Fprintf(b, "%s.\n", strings.TrimSuffix(about, "."))
	}
	if at(schema, "properties") == nil {
		fmt.Fprintf(b, "%s\n", d.kindHere(schema))
		return
	}
	d.members(b, schema)
}

// members writes the members of an object; nothing for other schemas.
func (d document) members(b *strings.Builder, schema *yaml.Node) {
	if at(schema, "$ref") != nil || at(schema, "properties") == nil {
		return
	}
	var required []string
	if list := at(schema, "required"); list != nil {
		for _, one := range list.Content {
			required = append(required, one.Value)
		}
	}
	b.WriteString("\n| member | type | meaning |\n|---|---|---|\n")
	each(at(schema, "properties"), func(name string, p *yaml.Node) {
		mark := ""
		if len(required) > 0 && !slices.Contains(required, name) {
			mark = " (may be absent)"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s |\n", name, mark, d.kind(p), cell(text(at(p, "description"))))
	})
}

// kind is the type of a schema in words; references become links.
func (d document) kind(schema *yaml.Node) string {
	if schema == nil {
		return ""
	}
	if ref := at(schema, "$ref"); ref != nil {
		name := ref.Value[strings.LastIndex(ref.Value, "/")+1:]
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	return d.kindHere(schema)
}

func (d document) kindHere(schema *yaml.Node) string {
	for _, many := range []string{"anyOf", "oneOf", "allOf"} {
		if list := at(schema, many); list != nil {
			var kinds []string
			for _, one := range list.Content {
				kinds = append(kinds, d.kind(one))
			}
			return strings.Join(kinds, map[bool]string{true: " and ", false: " \\| "}[many == "allOf"])
		}
	}
	if list := at(schema, "enum"); list != nil {
		var values []string
		for _, one := range list.Content {
			values = append(values, "`"+one.Value+"`")
		}
		return strings.Join(values, ", ")
	}
	if value := at(schema, "const"); value != nil {
		return "`" + value.Value + "`"
	}
	kind := at(schema, "type")
	switch {
	case kind == nil:
		return "any"
	case kind.Kind == yaml.SequenceNode:
		var kinds []string
		for _, one := range kind.Content {
			kinds = append(kinds, one.Value)
		}
		return strings.Join(kinds, " \\| ")
	case kind.Value == "array":
		return "list of " + d.kind(at(schema, "items"))
	case kind.Value == "object" && at(schema, "properties") != nil:
		var names []string
		each(at(schema, "properties"), func(name string, p *yaml.Node) { names = append(names, "`"+name+"` "+d.kind(p)) })
		return "{ " + strings.Join(names, ", ") + " }"
	case kind.Value == "object" && at(schema, "additionalProperties", "type") != nil:
		return "text to " + d.kind(at(schema, "additionalProperties"))
	case text(at(schema, "format")) != "":
		return kind.Value + " (" + text(at(schema, "format")) + ")"
	}
	return kind.Value
}

// follow resolves a reference, and the reference that may be behind it.
func (d document) follow(n *yaml.Node) *yaml.Node {
	for n != nil && at(n, "$ref") != nil {
		n = at(d.root, strings.Split(strings.TrimPrefix(at(n, "$ref").Value, "#/"), "/")...)
	}
	return n
}

// at follows member names; nil where one is missing.
func at(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		n = plain(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		i := 0
		for ; i < len(n.Content) && n.Content[i].Value != name; i += 2 {
		}
		if i >= len(n.Content) {
			return nil
		}
		n = n.Content[i+1]
	}
	return plain(n)
}

func plain(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// each calls f for the members in their order.
func each(n *yaml.Node, f func(name string, value *yaml.Node)) {
	if n = plain(n); n == nil || n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		f(n.Content[i].Value, plain(n.Content[i+1]))
	}
}

// text is a scalar, or the first entry of a list; empty for nothing.
func text(n *yaml.Node) string {
	if n != nil && n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return strings.TrimSpace(n.Value)
}

// cell makes a text fit for a table.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
}
