package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Key describes one key of the file, for the reference.
type Key struct {
	Path    string // "redis_service_management.cache.ttl_seconds"; NAME and [] stand for free names and list entries
	Kind    string // "text", "seconds", "true/false", ...
	Default string // as it would be written; empty: none
	Rule    string // what the value must be like
	Shared  bool   // the same for all services
	Struct  string // where the comment stands
	Field   string
}

// Keys lists every key of the file in the order of the types.
func Keys() []Key {
	f := defaultFile()
	base := Service{ID: "redis", Tree: defaultTree()}
	resolve(&base)
	out := keysOf(reflect.ValueOf(base.Tree), treeKey, false)
	out = append(out, Key{Path: "services[].id", Kind: "text", Rule: "required", Struct: "Service", Field: "ID"})
	return append(out, keysOf(reflect.ValueOf(f), "", false)...)
}

func keysOf(v reflect.Value, path string, shared bool) []Key {
	var out []Key
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		if f.Tag.Get("inline") != "" {
			out = append(out, keysOf(value, path, shared)...)
			continue
		}
		at := join(path, f.Tag.Get("key"))
		all := shared || f.Tag.Get("scope") == "all"
		switch {
		case at == path || f.Type.Kind() == reflect.Pointer || at == "services":
			continue
		case at == treeKey+".redis": // documented at the top level
			continue
		case f.Type == reflect.TypeFor[Command]() || f.Type == reflect.TypeFor[Redacted]():
		case f.Type.Kind() == reflect.Struct:
			out = append(out, keysOf(value, at, all)...)
			continue
		case f.Type.Kind() == reflect.Map:
			out = append(out, keysOf(reflect.ValueOf(defaultSSHHost()), at+".NAME", all)...)
			continue
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			out = append(out, keysOf(reflect.New(f.Type.Elem()).Elem(), at+"[]", all)...)
			continue
		}
		out = append(out, Key{
			Path: at, Kind: kindOf(f.Type), Default: defaultOf(value), Rule: ruleOf(f.Tag), Shared: all, Struct: v.Type().Name(), Field: f.Name,
		})
	}
	return out
}

func kindOf(t reflect.Type) string {
	switch {
	case t == durationType:
		return "seconds"
	case t.Kind() == reflect.Bool:
		return "true/false"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Slice:
		return "list"
	default:
		return "text"
	}
}

func defaultOf(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		if x == 0 {
			return ""
		}
		return fmt.Sprintf("%g", x.Seconds())
	case string:
		return x
	case []string:
		return strings.Join(x, ", ")
	case bool, int, float64:
		return fmt.Sprint(x)
	}
	return ""
}

func ruleOf(tag reflect.StructTag) string {
	var rules []string
	if tag.Get("required") != "" {
		rules = append(rules, "required")
	}
	if list := tag.Get("oneof"); list != "" {
		rules = append(rules, strings.ReplaceAll(list, "|", ", "))
	}
	low, high := tag.Get("min"), tag.Get("max")
	switch {
	case low != "" && high != "":
		rules = append(rules, low+" to "+high)
	case low != "":
		rules = append(rules, low+" or more")
	}
	switch tag.Get("file") {
	case "secret":
		rules = append(rules, "a file that only its owner can read")
	case "trusted":
		rules = append(rules, "a file that only its owner can write")
	case "read":
		rules = append(rules, "a file")
	}
	return strings.Join(rules, "; ")
}
