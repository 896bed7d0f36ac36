package metric

import "strings"

// All lists every family of this package, each once. The slice is the caller's.
func All() []Desc {
	all := append([]Desc(nil), own...)
	all = append(append(all, medic...), laidOut...)
	all = append(all, optional...)
	for _, f := range Fields() {
		all = append(all, f.desc())
	}
	for _, part := range [][]Value{Clients, Streams, StreamGroups, StreamConsumers, SearchIndexes} {
		for _, v := range part {
			all = append(all, v.Desc)
		}
	}
	return all
}

// module makes a field of a module from "key" or "key:name". Its help says what the module calls it: the modules' own
// documentation is the only description there is.
func module(make func(key, name, help string) Field, s string) Field {
	key, name, ok := strings.Cut(s, ":")
	if !ok {
		name = key
	}
	return make(key, name, "The field "+key+" of a module.")
}
