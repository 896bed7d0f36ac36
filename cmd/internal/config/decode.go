package config

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder fills Go values from YAML nodes, strictly. It goes on after a fault, so that all of them are told at once. What the
// file does not mention keeps its value: decoding one layer over another is how services are merged over the tree.
type decoder struct {
	file     string // as given, for messages
	dir      string // relative paths of files that are read start here
	storage  string // relative paths of files that are written start here
	problems Problems
	lines    map[string]int // by path: where a key stands
	commands []foundCommand // of the layer in hand
}

// foundCommand is a command string that must be compared with the unit it belongs to.
type foundCommand struct {
	path, text string
	line       int
}

var durationType = reflect.TypeFor[time.Duration]()

func (d *decoder) fault(line int, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: path, Text: fmt.Sprintf(format, args...)})
}

// faultAt is fault for a key that was decoded before, or else for the nearest one above it.
func (d *decoder) faultAt(path, format string, args ...any) {
	at := path
	for at != "" && d.lines[at] == 0 {
		i := strings.LastIndexAny(at, ".[")
		if i < 0 {
			break
		}
		at = at[:i]
	}
	d.fault(d.lines[at], path, format, args...)
}

// has reports whether the file mentions a path.
func (d *decoder) has(path string) bool { return d.lines[path] > 0 }

// value decodes one node into v. tag is that of the struct field, which also rules the elements of a list.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if path != "" {
		d.lines[path] = n.Line
	}
	switch v.Interface().(type) {
	case *yaml.Node:
		v.Set(reflect.ValueOf(n))
		return
	case Command:
		if s, ok := d.text(n, path); ok {
			d.commands = append(d.commands, foundCommand{path: path, text: s, line: n.Line})
			v.Set(reflect.ValueOf(Command{text: s}))
		}
		return
	case Redacted:
		if s, ok := d.text(n, path); ok {
			v.Set(reflect.ValueOf(Redacted{text: s}))
			d.checkText(n, s, path, tag)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, path)
	case reflect.Map:
		d.table(n, v, path, tag)
	case reflect.Slice:
		d.list(n, v, path, tag)
	default:
		d.scalar(n, v, path, tag)
	}
}

// mapping decodes into a struct: every key must be one of its fields, and stand there once.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, path, "must be a group of keys, not %s; %s", kindName(n), indentHint)
		return
	}
	fields := map[string]fieldRef{}
	collect(v, fields)
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			d.fault(key.Line, at, "stands here twice, first in line %d; remove one of them", first)
			continue
		}
		seen[key.Value] = key.Line
		f, known := fields[key.Value]
		if !known {
			d.fault(key.Line, at, "unknown key; %s", suggest(key.Value, fields))
			continue
		}
		d.value(val, f.value, at, f.tag)
		if val.Kind != yaml.ScalarNode {
			d.lines[at] = key.Line
		}
	}
}

const indentHint = "indent its keys below it"

type fieldRef struct {
	value reflect.Value
	tag   reflect.StructTag
}

// collect gathers the keys of a struct, those of inlined structs included.
func collect(v reflect.Value, into map[string]fieldRef) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("inline") != "" {
			collect(v.Field(i), into)
		} else if key := f.Tag.Get("key"); key != "" {
			into[key] = fieldRef{value: v.Field(i), tag: f.Tag}
		}
	}
}

// table decodes a map with free keys; its elements start from their defaults.
func (d *decoder) table(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.MappingNode {
		d.fault(n.Line, path, "must be a group of names, not %s; %s", kindName(n), indentHint)
		return
	}
	out := reflect.MakeMap(v.Type())
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if first, twice := seen[key.Value]; twice {
			d.fault(key.Line, at, "stands here twice, first in line %d; remove one of them", first)
			continue
		}
		seen[key.Value] = key.Line
		d.checkText(key, key.Value, at, tag)
		elem := reflect.New(v.Type().Elem()).Elem()
		if elem.Type() == reflect.TypeFor[SSHHost]() {
			elem.Set(reflect.ValueOf(defaultSSHHost()))
		}
		d.value(val, elem, at, "")
		d.lines[at] = key.Line
		out.SetMapIndex(reflect.ValueOf(key.Value), elem)
	}
	v.Set(out)
}

// list decodes a sequence; it replaces what was there.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n.Line, path, "must be a list, not %s; write it as [a, b] or with a dash before each entry", kindName(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	seen := map[string]bool{}
	for i, c := range n.Content {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.value(c, out.Index(i), at, tag)
		if c.Kind == yaml.ScalarNode {
			if seen[c.Value] {
				d.fault(c.Line, at, "%q is in the list twice; remove one of them", c.Value)
			}
			seen[c.Value] = true
		}
	}
	v.Set(out)
}

// scalar decodes one value of a basic type and holds it against its tag.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string, tag reflect.StructTag) {
	switch {
	case v.Type() == durationType:
		if f, ok := d.number(n, path); ok {
			limit := tag
			if limit.Get("min") == "" {
				limit = `min:"0.001"`
			}
			if d.inRange(n, f, path, limit) && d.inRange(n, f, path, `max:"31622400"`) {
				v.SetInt(int64(math.Round(f * float64(time.Second))))
			}
		}
	case v.Kind() == reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			d.fault(n.Line, path, "must be true or false, not %s", kindName(n))
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.Kind() == reflect.Int:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
			d.fault(n.Line, path, "must be a whole number, not %s", kindName(n))
			return
		}
		i, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 0, 63)
		if err != nil {
			d.fault(n.Line, path, "%s is not a number that can be used; write plain digits", n.Value)
			return
		}
		if d.inRange(n, float64(i), path, tag) {
			v.SetInt(i)
		}
	case v.Kind() == reflect.Float64:
		if f, ok := d.number(n, path); ok && d.inRange(n, f, path, tag) {
			v.SetFloat(f)
		}
	case v.Kind() == reflect.String:
		if s, ok := d.text(n, path); ok {
			v.SetString(d.checkText(n, s, path, tag))
		}
	default:
		panic("config: no decoder for " + v.Type().String())
	}
}

func (d *decoder) number(n *yaml.Node, path string) (float64, bool) {
	if n.Kind != yaml.ScalarNode || (n.Tag != "!!int" && n.Tag != "!!float") {
		d.fault(n.Line, path, "must be a number, not %s", kindName(n))
		return 0, false
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(n.Value, "_", ""), 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		d.fault(n.Line, path, "%s is not a number that can be used; write plain digits", n.Value)
		return 0, false
	}
	return f, true
}

func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
			hint = "; put it in quotes"
		}
		d.fault(n.Line, path, "must be text, not %s%s", kindName(n), hint)
		return "", false
	}
	return n.Value, true
}

func (d *decoder) inRange(n *yaml.Node, f float64, path string, tag reflect.StructTag) bool {
	if s := tag.Get("min"); s != "" {
		if low, _ := strconv.ParseFloat(s, 64); f < low {
			d.fault(n.Line, path, "is %s, but must be %s or more", n.Value, s)
			return false
		}
	}
	if s := tag.Get("max"); s != "" {
		if high, _ := strconv.ParseFloat(s, 64); f > high {
			d.fault(n.Line, path, "is %s, but must be %s or less", n.Value, s)
			return false
		}
	}
	return true
}

// checkText holds a text against the rules of its tag and returns it, paths made absolute.
func (d *decoder) checkText(n *yaml.Node, s, path string, tag reflect.StructTag) string {
	if s == "" {
		if tag.Get("required") != "" {
			d.fault(n.Line, path, "must not be empty; give it a value or remove the key to use the default")
		}
		return s
	}
	if list := tag.Get("oneof"); list != "" && !contains(list, s) {
		d.fault(n.Line, path, "is %q, but must be one of %s", s, strings.ReplaceAll(list, "|", ", "))
		return s
	}
	if name := tag.Get("check"); name != "" {
		if why := textChecks[name](s); why != "" {
			d.fault(n.Line, path, "%s", why)
			return s
		}
	}
	return d.checkFile(n.Line, s, path, tag.Get("file"))
}

// checkFile holds a path against the kind of file that it must lead to and returns it, made absolute.
func (d *decoder) checkFile(line int, s, path, kind string) string {
	if kind == "" {
		return s
	}
	base := d.dir
	if kind == "written" {
		base = d.storage
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(base, s)
	}
	if kind == "written" {
		return s
	}
	if why := fileFault(s, kind); why != "" {
		d.fault(line, path, "%s", why)
	}
	return s
}

// fileFault says what is wrong with a file, or "".
func fileFault(name, kind string) string {
	info, err := os.Stat(name)
	switch {
	case os.IsNotExist(err):
		return fmt.Sprintf("%s does not exist; create it or correct the path", name)
	case err != nil:
		return fmt.Sprintf("%s cannot be looked at (%v); check the rights of its folders", name, errnoText(err))
	case !info.Mode().IsRegular():
		return fmt.Sprintf("%s is not a plain file; name a file", name)
	}
	mode := info.Mode().Perm()
	switch {
	case kind == "secret" && mode&0o077 != 0:
		return fmt.Sprintf("%s holds a secret, but others than its owner may use it (mode %04o); run: chmod 600 %s", name, mode, name)
	case kind == "trusted" && mode&0o022 != 0:
		return fmt.Sprintf("%s is trusted, but others than its owner may write it (mode %04o); run: chmod go-w %s", name, mode, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return fmt.Sprintf("%s cannot be read (%v); let the user of this program own it", name, errnoText(err))
	}
	f.Close()
	if info.Size() == 0 {
		return fmt.Sprintf("%s is empty; put the content in", name)
	}
	return ""
}
