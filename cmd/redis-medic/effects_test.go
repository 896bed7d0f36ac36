package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/redis-medic/redis-medic/cmd/internal/config"
)

// heldAgainst are the keys whose effect is that a file with another value is refused: the program does what they say, or does not
// start. Their refusals are tested with package config.
var heldAgainst = []string{
	".health_check.checks.connectivity.expected_output", ".health_check.checks.systemd.expected_output", ".websocket.endpoint", ".audit.enabled",
	".health_check.checks.connectivity.command", ".health_check.checks.systemd.command",
	".auto_recovery.strategies.soft.command", ".auto_recovery.strategies.standard.command", ".auto_recovery.strategies.hard.command",
	".auto_recovery.strategies.force.command", ".service_control.commands.start", ".service_control.commands.stop",
	".service_control.commands.restart", ".service_control.commands.status", ".service_control.commands.reload", ".service_control.commands.logs",
}

// resolved are the keys that act through others, which Load fills in from them; package config tests that.
var resolved = []string{".health_check.interval_seconds", ".health_check.timeout_seconds", ".health_check.failure_threshold"}

// TestEveryKeyHasAnEffect changes one key after the other and looks whether what the parts are given changes with it.
func TestEveryKeyHasAnEffect(t *testing.T) {
	file := writeConfig(t, func(s string) string {
		return strings.Replace(s, "controlapi:\n", `controlapi:
  users: [{id: u1, email: u1@example.org, role: admin, password_hash_file: hash}, {id: u2, email: u2@example.org, role: admin, password_hash: "$2a$12$x"}]
  service_accounts: [{name: backend, role: operator, token_file: jwt}]
  oidc:
    issuer: https://id.example
    client_id: redis-medic
    client_secret_file: jwt
    redirect_url: https://medic.example/api/auth/oidc/callback
    roles: {admin: [a], operator: [o], viewer: [v]}
    default_role: viewer
`, 1)
	})
	for name, content := range map[string]string{"hash": "$2a$12$y", "other": strings.Repeat("z", 40)} {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() *config.Config {
		c, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	before := means(t, load())
	if !same(before, means(t, load())) {
		t.Fatal("the same file means two things")
	}
	// Of a list of groups, one entry that has the key is enough.
	effects := map[string]bool{}
	for _, l := range leaves(reflect.ValueOf(*load()), nil, "") {
		key := element.ReplaceAllString(strings.TrimPrefix(l.key, "services[0]"), "[]")
		c := load()
		change(reflect.ValueOf(c).Elem(), l.index, filepath.Dir(file))
		effects[key] = effects[key] || !same(before, means(t, c))
	}
	for key, effect := range effects {
		switch {
		case slices.Contains(heldAgainst, key) || slices.Contains(resolved, key):
		case !effect:
			t.Errorf("%s has no effect", key)
		}
	}
	if len(effects) < 150 {
		t.Errorf("walked %d keys: the walk itself is broken", len(effects))
	}
	for _, key := range slices.Concat(heldAgainst, resolved) {
		if _, known := effects[key]; !known {
			t.Errorf("%s is on a list, but is no key", key)
		}
	}
}

var element = regexp.MustCompile(`\[\d+\]`)

// meaning is what the parts are given by a configuration, or the refusal of it.
type meaning struct {
	plan   *plan
	refuse string
}

func means(t *testing.T, c *config.Config) meaning {
	t.Helper()
	secrets, err := config.LoadSecrets(c)
	if err != nil {
		return meaning{refuse: err.Error()}
	}
	p, err := planOf(c, secrets)
	if err != nil {
		return meaning{refuse: err.Error()}
	}
	return meaning{plan: p}
}

func same(a, b meaning) bool {
	if a.plan == nil || b.plan == nil {
		return a.refuse == b.refuse
	}
	// Functions hand out secrets: they are the same when those are.
	calls := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().Type().Kind() == reflect.Func }, cmp.Transformer("call", called))
	return cmp.Equal(*a.plan, *b.plan, calls, cmpopts.IgnoreTypes(zerolog.Logger{}), cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b *tls.Config) bool {
			return (a == nil) == (b == nil) && (a == nil || a.ServerName == b.ServerName)
		}))
}

func called(f any) string {
	switch f := f.(type) {
	case func() string:
		if f != nil {
			return f()
		}
	case func() (string, string):
		if f != nil {
			user, password := f()
			return user + ":" + password
		}
	}
	return ""
}

// leaf is one key: where it stands in the file and in the Config.
type leaf struct {
	key   string
	index []step
}

// step leads from a value into one of its parts.
type step struct {
	field int
	key   string // of a map
	elem  int    // of a slice, when elem is true
	kind  reflect.Kind
}

// leaves lists every key below a value. Of lists and maps of groups the first element stands for all.
func leaves(v reflect.Value, at []step, path string) []leaf {
	var out []leaf
	down := func(child reflect.Value, s step, key string) {
		out = append(out, leaves(child, append(slices.Clone(at), s), path+key)...)
	}
	switch {
	case v.Type() == reflect.TypeFor[config.Command](), v.Type() == reflect.TypeFor[config.Redacted]():
		return []leaf{{path, at}}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch {
			case f.Tag.Get("inline") != "":
				down(v.Field(i), step{field: i, kind: reflect.Struct}, "")
			case f.Tag.Get("key") != "":
				down(v.Field(i), step{field: i, kind: reflect.Struct}, "."+f.Tag.Get("key"))
			case v.Type() == reflect.TypeFor[config.Config]() && f.Name != "File" && f.Name != "Warnings":
				down(v.Field(i), step{field: i, kind: reflect.Struct}, strings.ToLower(f.Name))
			}
		}
		return out
	case v.Kind() == reflect.Map:
		for _, k := range v.MapKeys() {
			down(v.MapIndex(k), step{key: k.String(), kind: reflect.Map}, "."+k.String())
		}
		return out
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
		for i := range v.Len() {
			down(v.Index(i), step{elem: i, kind: reflect.Slice}, "["+string(rune('0'+i))+"]")
		}
		return out
	}
	return []leaf{{path, at}}
}

// change gives the value at the end of the steps another one.
func change(v reflect.Value, at []step, dir string) {
	if len(at) == 0 {
		switch {
		case v.Type() == reflect.TypeFor[time.Duration]():
			v.SetInt(v.Int() + int64(time.Second))
		case v.Kind() == reflect.Bool:
			v.SetBool(!v.Bool())
		case v.Kind() == reflect.Int:
			v.SetInt(v.Int() + 1)
		case v.Kind() == reflect.Float64:
			v.SetFloat(v.Float() + 1)
		case v.Kind() == reflect.Slice:
			v.Set(reflect.ValueOf([]string{"10.0.0.0/8"}))
		case v.Kind() == reflect.String && strings.HasPrefix(v.String(), dir):
			v.SetString(filepath.Join(dir, "other"))
		case v.Kind() == reflect.String:
			v.SetString(v.String() + "other")
		case v.Type() == reflect.TypeFor[config.Redacted]():
			v.SetZero()
		}
		return
	}
	s := at[0]
	switch s.kind {
	case reflect.Struct:
		change(v.Field(s.field), at[1:], dir)
	case reflect.Slice:
		change(v.Index(s.elem), at[1:], dir)
	case reflect.Map:
		elem := reflect.New(v.Type().Elem()).Elem()
		elem.Set(v.MapIndex(reflect.ValueOf(s.key)))
		change(elem, at[1:], dir)
		v.SetMapIndex(reflect.ValueOf(s.key), elem)
	}
}
