package metric

// All lists every family of this package. The slice is the caller's.
func All() []Desc { return append(append([]Desc(nil), own...), medic...) }
