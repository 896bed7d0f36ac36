package metric

import (
	"slices"
	"strings"
)

// All lists every family of this package, each once. The slice is the caller's.
func All() []Desc {
	return slices.Concat(own, medic, laidOut, optional, descsOf(Fields()), valueDescs())
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
