package exporter

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis-medic/redis-medic/exporter/info"
	"github.com/redis-medic/redis-medic/exporter/metric"
	"github.com/redis-medic/redis-medic/exporter/resp"
)

// valueField is where one field of a reply goes.
type valueField struct {
	fam   family
	scale float64
}

func valueFields(list []metric.Value) map[string]valueField {
	m := map[string]valueField{}
	for _, v := range list {
		m[v.Key] = valueField{familyOf(v.Desc.Name), v.Scale}
	}
	return m
}

var (
	streamFields    = valueFields(metric.Streams)
	groupFields     = valueFields(metric.StreamGroups)
	consumerFields  = valueFields(metric.StreamConsumers)
	indexFields     = valueFields(metric.SearchIndexes)
	famGroupCount   = familyOf(metric.KeyGroupCount)
	famGroupMemory  = familyOf(metric.KeyGroupMemory)
	famGroups       = familyOf(metric.KeyGroups)
	famGroupsLasted = familyOf(metric.KeyGroupsDuration)
)

// numeric reads a number, or the time in the id of a stream entry ("1700000000000-0"), or that of an entry ([id, fields]). Nothing
// is no zero: ok is false.
func numeric(r resp.Reply) (v float64, ok bool) {
	switch r.Kind {
	case resp.Integer:
		return float64(r.Int), true
	case resp.Bulk, resp.Simple:
		text := r.Str
		if i := strings.IndexByte(text, '-'); i > 0 {
			text = text[:i]
		}
		return parseValue(text)
	case resp.Array:
		if len(r.Elems) > 0 {
			return numeric(r.Elems[0])
		}
	}
	return 0, false
}

// fieldsOf adds the known fields of a flat list of names and values.
func (v *surveyor) fieldsOf(r resp.Reply, known map[string]valueField, labels ...string) {
	for i := 0; i+1 < len(r.Elems); i += 2 {
		if f, ok := known[r.Elems[i].Str]; ok {
			if n, ok := numeric(r.Elems[i+1]); ok {
				v.found(f.fam, n*f.scale, labels...)
			}
		}
	}
}

// textOf finds a field of a flat list.
func textOf(r resp.Reply, name string) string {
	for i := 0; i+1 < len(r.Elems); i += 2 {
		if r.Elems[i].Str == name {
			return r.Elems[i+1].Str
		}
	}
	return ""
}

func (v *surveyor) streams() error {
	for _, k := range v.opt.Streams {
		err := v.match(k, v.opt.MaxKeys, func(keys []string) error {
			for _, key := range keys {
				if err := v.stream(dbLabel(k.DB), key); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *surveyor) stream(db, key string) error {
	kind, err := v.one("TYPE", key)
	if err != nil || kind.Str != "stream" {
		return err
	}
	r, err := v.ask([]string{"XINFO", "STREAM", key}, []string{"XINFO", "GROUPS", key})
	if err != nil {
		return err
	}
	v.fieldsOf(r[0], streamFields, db, key)
	for _, g := range r[1].Elems[:min(len(r[1].Elems), v.opt.MaxKeys)] {
		name := textOf(g, "name")
		v.fieldsOf(g, groupFields, db, key, name)
		if v.opt.NoConsumers {
			continue
		}
		consumers, err := v.one("XINFO", "CONSUMERS", key, name)
		if err != nil {
			return err
		}
		for _, c := range consumers.Elems[:min(len(consumers.Elems), v.opt.MaxKeys)] {
			v.fieldsOf(c, consumerFields, db, key, name, textOf(c, "name"))
		}
	}
	return nil
}

func (v *surveyor) indexes() error {
	if v.opt.Indexes == "" {
		return nil
	}
	wanted := regexp.MustCompile(v.opt.Indexes) // checkTargets has compiled it before
	list, err := v.one("FT._LIST")
	if err != nil {
		return err
	}
	if err := list.Err(); err != nil {
		return err
	}
	for _, name := range list.Elems[:min(len(list.Elems), v.opt.MaxKeys)] {
		if !wanted.MatchString(name.Str) {
			continue
		}
		r, err := v.one("FT.INFO", name.Str)
		if err != nil {
			return err
		}
		v.fieldsOf(r, indexFields, name.Str)
	}
	return nil
}

// keyGroup is what was counted of one group.
type keyGroup struct {
	name          string
	count, memory int64
}

const (
	unclassified = "unclassified"
	overflow     = "overflow"
)

// groups puts every key of every database into a group and adds the groups up, the biggest ones by name.
func (v *surveyor) groups() error {
	if len(v.opt.KeyGroups) == 0 {
		return nil
	}
	started := time.Now()
	var expressions []*regexp.Regexp
	for _, g := range v.opt.KeyGroups {
		expressions = append(expressions, regexp.MustCompile(g)) // checkTargets has compiled it before
	}
	keyspace, err := v.one("INFO", "keyspace")
	if err != nil {
		return err
	}
	var dbs []int
	info.Each(keyspace.Str, func(_, key, _ string) {
		if n, err := strconv.Atoi(strings.TrimPrefix(key, "db")); err == nil {
			dbs = append(dbs, n)
		}
	})
	for _, db := range dbs {
		groups := map[string]*keyGroup{}
		err := v.match(KeyPattern{DB: db, Pattern: "*"}, 0, func(keys []string) error { return v.group(keys, expressions, groups) })
		if err != nil {
			return err
		}
		v.addGroups(dbLabel(db), groups)
	}
	v.found(famGroupsLasted, float64(time.Since(started).Milliseconds()))
	return nil
}

func (v *surveyor) group(keys []string, expressions []*regexp.Regexp, groups map[string]*keyGroup) error {
	commands := make([][]string, len(keys))
	for i, k := range keys {
		commands[i] = []string{"MEMORY", "USAGE", k}
	}
	r, err := v.ask(commands...)
	if err != nil {
		return err
	}
	for i, k := range keys {
		name := groupOf(k, expressions)
		g := groups[name]
		if g == nil {
			g = &keyGroup{name: name}
			groups[name] = g
		}
		g.count++
		g.memory += r[i].Int
	}
	return nil
}

// groupOf is what the parentheses of the first expression that matches hold; without parentheses the whole match.
func groupOf(key string, expressions []*regexp.Regexp) string {
	for _, e := range expressions {
		switch m := e.FindStringSubmatch(key); {
		case m == nil:
		case len(m) == 1:
			return m[0]
		default:
			return strings.Join(m[1:], "")
		}
	}
	return unclassified
}

func (v *surveyor) addGroups(db string, groups map[string]*keyGroup) {
	all := make([]*keyGroup, 0, len(groups))
	for _, g := range groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *keyGroup) int {
		return cmp.Or(cmp.Compare(b.memory, a.memory), cmp.Compare(b.count, a.count), cmp.Compare(a.name, b.name))
	})
	distinct := len(all)
	if distinct > v.opt.MaxKeys {
		rest := &keyGroup{name: overflow}
		for _, g := range all[v.opt.MaxKeys:] {
			rest.count += g.count
			rest.memory += g.memory
		}
		all = append(all[:v.opt.MaxKeys], rest)
	}
	for _, g := range all {
		v.found(famGroupCount, float64(g.count), db, g.name)
		v.found(famGroupMemory, float64(g.memory), db, g.name)
	}
	v.found(famGroups, float64(distinct), db)
}
