package solve

import (
	"iter"
	"maps"
	"slices"

	"slim/internal/rpm"
)

// Repository is a set of packages to choose from. They are numbered from 0 in the order of Metadata.Compare, and no two
// have one NEVRA. It is only read, and need not hold a package in memory before it
// is asked for it.
type Repository interface {
	// Len is the number of packages.
	Len() int
	// NEVRA is the name of a package. It is asked for every package of every request and should cost little.
	NEVRA(number int32) rpm.NEVRA
	// Package is a whole package, the same pointer each time.
	Package(number int32) *rpm.Metadata
	// Lookup are the packages that stand in a relation to a name, in ascending order. The caller does not modify them.
	Lookup(r rpm.Relation, name string) []int32
	// Names are all names for which Lookup finds a package, each once.
	Names(r rpm.Relation) iter.Seq[string]
	// KnowsOwners reports that Lookup finds all packages that own a path, or one that a glob matches. Else it finds those of
	// which the primary file lists say so.
	KnowsOwners(path string) bool
}

// list is a repository in memory. Its indexes are made when they are first used.
type list struct {
	packages []*rpm.Metadata
	complete bool // every package has its whole file list
	indexes  [rpm.WhatOwns + 1]map[string][]int32
	wanted   map[string]bool // the paths in the index of owners: all that dependencies name
}

// newList sorts packages as a Repository has to be, and leaves out all but the first of one NEVRA.
func newList(packages []*rpm.Metadata) *list {
	all := slices.DeleteFunc(slices.Clone(packages), func(m *rpm.Metadata) bool { return m == nil })
	slices.SortFunc(all, (*rpm.Metadata).Compare)
	l := &list{packages: make([]*rpm.Metadata, 0, len(all)), complete: true}
	seen := make(map[rpm.NEVRA]bool, len(all))
	for _, m := range all {
		if seen[m.NEVRA] {
			continue
		}
		seen[m.NEVRA] = true
		l.packages = append(l.packages, m)
		l.complete = l.complete && m.AllFiles
	}
	return l
}

func (l *list) Len() int                      { return len(l.packages) }
func (l *list) NEVRA(i int32) rpm.NEVRA       { return l.packages[i].NEVRA }
func (l *list) Package(i int32) *rpm.Metadata { return l.packages[i] }
func (l *list) KnowsOwners(path string) bool  { return l.complete }

func (l *list) Lookup(r rpm.Relation, name string) []int32 {
	index := l.index(r)
	if r != rpm.WhatOwns || l.wanted[name] {
		return index[name]
	}
	var owners []int32
	for i, m := range l.packages {
		if slices.Contains(m.Files, name) {
			owners = append(owners, int32(i))
		}
	}
	return owners
}

func (l *list) Names(r rpm.Relation) iter.Seq[string] {
	if r != rpm.WhatOwns {
		return maps.Keys(l.index(r))
	}
	paths := map[string]bool{}
	for _, m := range l.packages {
		for _, path := range m.Files {
			paths[path] = true
		}
	}
	return maps.Keys(paths)
}

func (l *list) index(r rpm.Relation) map[string][]int32 {
	if l.indexes[r] != nil {
		return l.indexes[r]
	}
	index := make(map[string][]int32, len(l.packages))
	l.indexes[r] = index
	if r == rpm.WhatOwns {
		l.indexOwners(index)
		return index
	}
	add := func(name string, i int) {
		if of := index[name]; len(of) == 0 || of[len(of)-1] != int32(i) {
			index[name] = append(of, int32(i))
		}
	}
	for i, m := range l.packages {
		switch r {
		case rpm.Named:
			add(m.Name, i)
		case rpm.WhatProvides:
			for k := range m.Provides {
				add(m.Provides[k].Name, i)
			}
		case rpm.WhatObsoletes:
			for k := range m.Obsoletes {
				add(m.Obsoletes[k].Name, i)
			}
		}
	}
	return index
}

// indexOwners looks through the file lists once for all paths that any dependency names.
func (l *list) indexOwners(owners map[string][]int32) {
	l.wanted = map[string]bool{}
	for _, m := range l.packages {
		for path := range m.NamedPaths() {
			l.wanted[path] = true
		}
	}
	// Most of the many paths are named by nobody: a coarse filter saves the hashing of each.
	var filter [1 << 16]bool
	for path := range l.wanted {
		filter[pathKey(path)] = true
	}
	for i, m := range l.packages {
		for _, path := range m.Files {
			if !filter[pathKey(path)] || !l.wanted[path] {
				continue
			}
			if of := owners[path]; len(of) == 0 || of[len(of)-1] != int32(i) {
				owners[path] = append(of, int32(i))
			}
		}
	}
}

func pathKey(path string) uint16 {
	key := uint16(len(path))
	for i := max(0, len(path)-4); i < len(path); i++ {
		key = key*31 + uint16(path[i])
	}
	return key
}
