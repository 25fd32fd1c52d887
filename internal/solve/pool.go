package solve

import (
	"slices"

	"slim/internal/rpm"
)

// pool is the repository as the search sees it: packages that the architecture runs and the request leaves in, numbered
// from 1 in the repository's order, which does not depend on the order packages were given in.
//
// The order is that of file names, in which createrepo_c writes a repository, so that where libsolv falls back on the
// order of a repository the answers agree.
type pool struct {
	repo     Repository
	at       []int32         // by number: the repository's number; at[0] is unused
	numbers  []int32         // by the repository's number: the number, 0 for what is left out, isForeign
	packages []*rpm.Metadata // by number; nil until asked for
	rank     []uint8         // of the architecture
	width    []uint8         // of the architecture
	excluded []bool

	names    map[string][]int32 // answers of named
	cache    map[rpm.Capability][]int32
	rich     map[string]*rpm.Rich // parsed; nil for what cannot be parsed
	expanded map[expansion]formula
}

// isForeign is the number of packages of other architectures, which there may be hints about.
const isForeign = -1

// newPool takes of repo what keep does not leave out. A keep that is nil leaves nothing out.
func newPool(repo Repository, arch string, keep func(rpm.NEVRA) bool) *pool {
	n := repo.Len()
	p := &pool{
		repo: repo, at: make([]int32, 1, n+1), numbers: make([]int32, n), rank: make([]uint8, 1, n+1), width: make([]uint8, 1, n+1),
		names: map[string][]int32{}, cache: map[rpm.Capability][]int32{}, rich: map[string]*rpm.Rich{}, expanded: map[expansion]formula{},
	}
	ranks := ranks(arch)
	for i := range int32(n) {
		nevra := repo.NEVRA(i)
		if keep != nil && !keep(nevra) {
			continue
		}
		switch rank := ranks[nevra.Arch]; {
		case rank != rankForeign:
			p.numbers[i] = int32(len(p.at))
			p.at = append(p.at, i)
			p.rank = append(p.rank, rank)
			p.width = append(p.width, width(nevra.Arch))
		case nevra.Arch != "src" && nevra.Arch != "nosrc":
			p.numbers[i] = isForeign
		}
	}
	p.packages = make([]*rpm.Metadata, len(p.at))
	p.excluded = make([]bool, len(p.at))
	return p
}

// len is one more than the last number.
func (p *pool) len() int { return len(p.at) }

// pkg is a whole package.
func (p *pool) pkg(id int32) *rpm.Metadata {
	m := p.packages[id]
	if m == nil {
		m = p.repo.Package(p.at[id])
		p.packages[id] = m
	}
	return m
}

// nevra is a package's name, whether it has been read or not.
func (p *pool) nevra(id int32) rpm.NEVRA { return p.repo.NEVRA(p.at[id]) }

// lookup are the packages that stand in a relation to name.
func (p *pool) lookup(r rpm.Relation, name string) []int32 {
	var ids []int32
	for _, i := range p.repo.Lookup(r, name) {
		if id := p.numbers[i]; id > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// named are the packages of a name. The caller does not modify them.
func (p *pool) named(name string) []int32 {
	ids, ok := p.names[name]
	if !ok {
		ids = p.lookup(rpm.Named, name)
		p.names[name] = ids
	}
	return ids
}

// foreign are the numbers in the repository of packages of other architectures, as far as they are meant, in the order of
// NEVRA.Compare.
func (p *pool) foreign(meant func(number int32) bool) []int32 {
	var out []int32
	for i := range int32(len(p.numbers)) {
		if p.numbers[i] == isForeign && meant(i) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int32) int { return p.repo.NEVRA(a).Compare(p.repo.NEVRA(b)) })
	return out
}

// providers are the packages, excluded ones too, that provide c, in their order. The caller does not modify them.
func (p *pool) providers(c rpm.Capability) []int32 {
	if ids, ok := p.cache[c]; ok {
		return ids
	}
	ids := p.lookup(rpm.WhatProvides, c.Name)
	if c.Sense != 0 {
		ids = slices.DeleteFunc(ids, func(id int32) bool { return !offers(p.pkg(id), c) })
	}
	if c.IsPath() && c.Sense == 0 {
		ids = merge(ids, p.lookup(rpm.WhatOwns, c.Name))
	}
	p.cache[c] = ids
	return ids
}

// offers reports whether the Provides of a package meet c.
func offers(m *rpm.Metadata, c rpm.Capability) bool {
	for i := range m.Provides {
		if m.Provides[i].Matches(c) {
			return true
		}
	}
	return false
}

// unknownPath reports whether c is a path nobody is known to have while not all owners are known.
func (p *pool) unknownPath(c rpm.Capability) bool {
	return c.IsPath() && len(p.providers(c)) == 0 && !p.repo.KnowsOwners(c.Name)
}

// parse reads a rich dependency, once; nil when it cannot be read.
func (p *pool) parse(text string) *rpm.Rich {
	r, ok := p.rich[text]
	if !ok {
		r, _ = rpm.ParseRich(text)
		p.rich[text] = r
	}
	return r
}

// obsoleters are the packages that obsolete one of ids.
func (p *pool) obsoleters(ids []int32) []int32 {
	var found []int32
	for _, id := range ids {
		for _, by := range p.lookup(rpm.WhatObsoletes, p.nevra(id).Name) {
			if by != id && p.obsoletes(by, id) {
				found = append(found, by)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// obsoletes reports whether package a obsoletes package b; Obsoletes match names and versions of packages, not
// what they provide.
func (p *pool) obsoletes(a, b int32) bool {
	return p.obsoletesBy(a, b) != nil
}

func (p *pool) obsoletesBy(a, b int32) *rpm.Capability {
	list := p.pkg(a).Obsoletes
	for i := range list {
		if p.isVersionOf(b, &list[i]) {
			return &list[i]
		}
	}
	return nil
}

// isVersionOf reports whether c names package id itself.
func (p *pool) isVersionOf(id int32, c *rpm.Capability) bool {
	m := p.pkg(id)
	return m.Name == c.Name && (rpm.Capability{Name: m.Name, Sense: rpm.Equal, EVR: m.EVR}).Overlaps(*c)
}

// coexist reports whether two packages of one name may be installed together.
func (p *pool) coexist(a, b int32) bool { return p.width[a]&p.width[b] == 0 }

// merge joins two sorted lists.
func merge(a, b []int32) []int32 {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := make([]int32, 0, len(a)+len(b))
	out = append(append(out, a...), b...)
	slices.Sort(out)
	return slices.Compact(out)
}
