package repomd

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Repository is the packages of a repository: of each of its components a catalog, so that a component that changes is
// read again alone. It answers as a solve.Repository: packages are numbered in the order of Metadata.Compare, and of those
// of one NEVRA the first component's counts. It is not for several goroutines.
type Repository struct {
	parts   []*Catalog
	places  []place         // by number
	numbers [][]int32       // by place; hidden for what an earlier component has
	loaded  []*rpm.Metadata // by number; nil until asked for
	owners  *Owners         // nil until AddOwners
	err     error           // what was found damaged
}

// place is where a package is: a component, and the place in its catalog.
type place struct{ part, at int32 }

const hidden = -1

// NewRepository joins the catalogs of components, the first of which goes before the others.
func NewRepository(parts ...*Catalog) *Repository {
	r := &Repository{parts: parts, numbers: make([][]int32, len(parts))}
	total := 0
	for i, c := range parts {
		r.numbers[i] = make([]int32, c.Len())
		total += c.Len()
	}
	r.places = make([]place, 0, total)
	for m := newMerge(parts); len(m.heads) > 0; {
		run, end := m.next()
		for p := run; p.at < end; p.at++ {
			if r.shadowed(p) {
				r.numbers[p.part][p.at] = hidden
				continue
			}
			r.numbers[p.part][p.at] = int32(len(r.places))
			r.places = append(r.places, p)
		}
	}
	r.loaded = make([]*rpm.Metadata, len(r.places))
	return r
}

// shadowed reports whether an earlier component has a package of the same NEVRA.
func (r *Repository) shadowed(p place) bool {
	for _, c := range r.parts[:p.part] {
		if _, ok := c.find(r.parts[p.part].nevra(p.at)); ok {
			return true
		}
	}
	return false
}

// merge goes through the packages of catalogs in the order of Metadata.Compare, and of equal ones in that of catalogs.
type merge struct {
	parts []*Catalog
	heads []head // of the catalogs that have more, in their order
}

type head struct {
	place
	file string // its file name
}

func newMerge(parts []*Catalog) *merge {
	m := &merge{parts: parts}
	for i, c := range parts {
		if c.Len() > 0 {
			m.heads = append(m.heads, m.head(place{part: int32(i)}))
		}
	}
	return m
}

func (m *merge) head(p place) head { return head{p, m.parts[p.part].fileName(p.at)} }

// next is a run of packages of one catalog, from a place to before another, that come before all that is left in the others.
func (m *merge) next() (from place, end int32) {
	first, second := 0, -1
	for i := 1; i < len(m.heads); i++ {
		switch {
		case m.less(m.heads[i], m.heads[first]):
			first, second = i, first
		case second < 0 || m.less(m.heads[i], m.heads[second]):
			second = i
		}
	}
	from, end = m.heads[first].place, int32(m.parts[m.heads[first].part].Len())
	if second >= 0 {
		end = m.runEnd(from, end, m.heads[second])
	}
	if after := (place{from.part, end}); int(end) < m.parts[from.part].Len() {
		m.heads[first] = m.head(after)
	} else {
		m.heads = slices.Delete(m.heads, first, first+1)
	}
	return from, end
}

// runEnd is where the packages from a place on, which is before other, and before limit end to be so. Of a large catalog
// and a small one few are looked at.
func (m *merge) runEnd(from place, limit int32, other head) int32 {
	before := func(at int32) bool { return m.less(m.head(place{from.part, at}), other) }
	low, step := from.at, int32(1)
	for low+step < limit && before(low+step) {
		low, step = low+step, 2*step
	}
	high := min(low+step, limit)
	for low+1 < high {
		if middle := low + (high-low)/2; before(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}

func (m *merge) less(a, b head) bool {
	if c := strings.Compare(a.file, b.file); c != 0 {
		return c < 0
	}
	return m.parts[a.part].order(a.at).Compare(m.parts[b.part].order(b.at)) < 0
}

// Len is the number of packages.
func (r *Repository) Len() int { return len(r.places) }

// NEVRA names a package.
func (r *Repository) NEVRA(number int32) rpm.NEVRA {
	p := r.places[number]
	return r.parts[p.part].nevra(p.at)
}

// Source is the component that a package is of.
func (r *Repository) Source(number int32) int { return int(r.places[number].part) }

// Package unpacks a package, once: its pointer is the same each time. The file list is that of primary, with those of the
// paths of AddOwners that it owns.
func (r *Repository) Package(number int32) *rpm.Metadata {
	if r.loaded[number] == nil {
		p := r.places[number]
		m, ok := r.parts[p.part].metadata(p.at)
		if !ok {
			r.err = fmt.Errorf("reading catalog: %w: package %d", ErrCatalog, p.at)
			m = &rpm.Metadata{NEVRA: m.NEVRA}
		}
		r.loaded[number] = m
		if r.owners != nil {
			r.owners.extend(m, number)
		}
	}
	return r.loaded[number]
}

// Err says that a package was damaged. What has been answered is worth nothing then.
func (r *Repository) Err() error { return r.err }

// Find is the number of the package of a NEVRA.
func (r *Repository) Find(n rpm.NEVRA) (number int32, ok bool) {
	for i, c := range r.parts {
		if at, ok := c.find(n); ok {
			return r.numbers[i][at], true // hidden only where an earlier one has it
		}
	}
	return 0, false
}

// Lookup are the packages that stand in a relation to a name, in ascending order.
func (r *Repository) Lookup(relation rpm.Relation, name string) []int32 {
	var found []int32
	for i := range r.parts {
		found = slices.AppendSeq(found, r.counting(i, relation, name))
	}
	more := r.owned(relation, name)
	if len(r.parts) > 1 || len(more) > 0 {
		found = append(found, more...)
		slices.Sort(found)
		found = slices.Compact(found)
	}
	return found
}

// counting are the packages of one component that stand in a relation to a name, but for those of an earlier one.
func (r *Repository) counting(part int, relation rpm.Relation, name string) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for at := range r.parts[part].lookup(relation, name) {
			if n := r.numbers[part][at]; n != hidden && !yield(n) {
				return
			}
		}
	}
}

// owned are the packages of which only the owners say so.
func (r *Repository) owned(relation rpm.Relation, name string) []int32 {
	if relation != rpm.WhatOwns || r.owners == nil {
		return nil
	}
	return r.owners.of[name]
}

// Names are all names for which Lookup finds a package, each once.
func (r *Repository) Names(relation rpm.Relation) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, c := range r.parts {
			for name := range c.names(relation) {
				if (len(r.parts) == 1 || r.firstWith(relation, name) == i) && !yield(name) {
					return
				}
			}
		}
		if relation != rpm.WhatOwns || r.owners == nil {
			return
		}
		for path := range r.owners.of {
			if r.firstWith(relation, path) == len(r.parts) && !yield(path) {
				return
			}
		}
	}
}

// firstWith is the first component of which a package that counts stands in a relation to a name, or how many there are.
func (r *Repository) firstWith(relation rpm.Relation, name string) int {
	for i := range r.parts {
		for range r.counting(i, relation, name) {
			return i
		}
	}
	return len(r.parts)
}

// NamedPaths are the paths that any dependency names, those of packages that do not count too.
func (r *Repository) NamedPaths() map[string]bool {
	paths := map[string]bool{}
	for _, c := range r.parts {
		for path := range c.namedPaths() {
			paths[path] = true
		}
	}
	return paths
}
