package exporter

import (
	"sync"

	dto "github.com/prometheus/client_model/go"
)

// slab is how many of each message are allocated at once. A scrape has some hundred samples: single allocations would cost more than
// all the rest of it.
const slab = 256

// arena hands out values that are all given back together. They are made in slabs, and used again by the next scrape: garbage would
// cost as much as the scrape itself.
type arena[T any] struct {
	slabs [][]T
	full  int // slabs that have nothing left
	used  int // of the slab after those
}

// next returns one zero value.
func (a *arena[T]) next() *T { return &a.take(1)[0] }

// take returns n zero values that lie side by side.
func (a *arena[T]) take(n int) []T {
	for ; a.full < len(a.slabs); a.full, a.used = a.full+1, 0 {
		if free := a.slabs[a.full][a.used:]; len(free) >= n {
			a.used += n
			return free[:n:n]
		}
	}
	a.slabs = append(a.slabs, make([]T, max(slab, n)))
	a.used = n
	return a.slabs[a.full][:n:n]
}

// reset takes everything back. Nothing that was handed out may be used any more.
func (a *arena[T]) reset() {
	for i := range min(a.full+1, len(a.slabs)) {
		clear(a.slabs[i])
	}
	a.full, a.used = 0, 0
}

// pages are those that are not in use.
var pages = sync.Pool{New: func() any {
	return &page{fams: make([]*dto.MetricFamily, len(families)), spare: make([]*dto.MetricFamily, len(families))}
}}

// maxKept bounds how many pages of one request are kept for the next: those of a page with a thousand services would be most of the
// memory of the process.
const maxKept = 32

// release gives pages back, once what was made of them is sent.
func release(list []*page) {
	for _, p := range list[:min(len(list), maxKept)] {
		if p != nil {
			p.reset()
			pages.Put(p)
		}
	}
}
