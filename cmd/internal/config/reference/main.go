// Command reference writes the reference of the configuration file from its types: the keys, their defaults and rules, and the
// comments of their fields.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: reference SOURCE-FOLDER FILE")
		os.Exit(2)
	}
	page, err := page(os.Args[1])
	if err == nil {
		err = os.WriteFile(os.Args[2], page, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

const intro = `# Configuration

redis-medic reads one YAML file, ` + "`/etc/redis-medic/redis-medic.yml`" + ` unless ` + "`--config`" + ` names another. Start from
` + "`deploy/redis-medic.yml`" + `. ` + "`redis-medic check-config FILE`" + ` says everything that is wrong with a file, with line, key and what to do; nothing
that it refuses is ever put into force. ` + "`systemctl reload redis-medic`" + `, SIGHUP or ` + "`POST /-/reload`" + ` take a changed file over; a bad one is
logged, shown as ` + "`redis_medic_config_last_reload_successful 0`" + `, and the old one stays in force.

- The file is strict: an unknown key, a wrong type, a missing file or a key that stands twice is an error.
- ` + "`redis_service_management`" + ` is the service ` + "`redis`" + ` and the default of all others. Each entry of ` + "`services`" + ` has an ` + "`id`" + ` and whatever differs;
  groups are merged key by key, lists are replaced. Keys marked "shared" govern the whole program and stand in the tree only.
- A secret never stands in the file: keys that end in ` + "`_file`" + ` name it. A file with a secret must not be readable by group or others.
- Relative paths of files that are read start at the configuration file; those of files that are written start at ` + "`storage.path`" + `.
- The ` + "`command`" + ` strings of the architecture document may stand in the file, with or without ` + "`sudo`" + `. They are not run as written: each is held
  against what the program does for that key and that unit, and refused when it says something else.

This page is generated from the types (` + "`make gen`" + `).
`

// page is the reference, from the sources in a folder.
func page(folder string) ([]byte, error) {
	comments, err := fieldComments(folder)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(intro)
	section := ""
	var errs []error
	for _, k := range config.Keys() {
		group, name := split(k.Path)
		if group != section {
			section = group
			fmt.Fprintf(&b, "\n## `%s`\n\n| key | type | default | meaning |\n|---|---|---|---|\n", group)
		}
		comment := comments[k.Struct+"."+k.Field]
		if comment == "" {
			errs = append(errs, fmt.Errorf("%s.%s has no comment", k.Struct, k.Field))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, k.Kind, value(k.Default), meaning(comment, k))
	}
	return []byte(b.String()), errors.Join(errs...)
}

// split divides a path into the headline it stands under, at most two keys deep, and the rest.
func split(path string) (group, name string) {
	parts := strings.Split(path, ".")
	deep := min(2, len(parts)-1)
	if strings.HasPrefix(path, "ssh.hosts") {
		deep = 3
	}
	if deep == 0 {
		return "top level", path
	}
	return strings.Join(parts[:deep], "."), strings.Join(parts[deep:], ".")
}

func value(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func meaning(comment string, k config.Key) string {
	words := strings.ReplaceAll(comment, "|", "\\|")
	if k.Rule != "" {
		words += " (" + k.Rule + ")"
	}
	if k.Shared {
		words += " *shared*"
	}
	return words
}

// fieldComments returns the comment above each field, by "Struct.Field".
func fieldComments(folder string) (map[string]string, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			group, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range group.Fields.List {
				for _, id := range f.Names {
					out[spec.Name.Name+"."+id.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
			return true
		})
	}
	return out, nil
}
