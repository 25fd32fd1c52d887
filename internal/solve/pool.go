package solve

import (
	"cmp"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// pool is the repository as the search sees it: packages that the architecture runs, numbered from 1 in an order that
// does not depend on the order they were given in, and indexes over what they provide.
//
// The order is that of file names, in which createrepo_c writes a repository, so that where libsolv falls back on the
// order of a repository the answers agree.
type pool struct {
	pkgs     []*rpm.Metadata // by number; pkgs[0] is nil
	rank     []uint8         // of the architecture
	width    []uint8         // of the architecture
	excluded []bool
	foreign  []*rpm.Metadata // packages of other architectures, for hints
	partial  bool            // some package has only its primary file list

	byName    map[string][]int32
	index     map[string]int32 // capability name to a row of starts
	starts    []int32          // rows of offers
	offers    []offer
	obsoleted map[string][]int32 // package name to packages that obsolete some version of it; nil until asked
	owners    map[string][]int32 // path to packages that own it, for all paths that dependencies name; nil until asked
	extra     []rpm.Capability   // paths and rich dependencies that the request names

	cache    map[rpm.Capability][]int32
	rich     map[string]*rpm.Rich // parsed; nil for what cannot be parsed
	expanded map[expansion]formula
}

// offer is one entry of Provides.
type offer struct {
	pkg int32
	at  int32
}

func newPool(packages []*rpm.Metadata, arch string) *pool {
	p := &pool{cache: map[rpm.Capability][]int32{}, rich: map[string]*rpm.Rich{}, expanded: map[expansion]formula{}}
	p.number(packages, ranks(arch))
	p.indexNames()
	p.indexProvides()
	p.excluded = make([]bool, len(p.pkgs))
	return p
}

// number sorts the packages, leaves out those of foreign architectures, source packages and all but the first of
// those with one NEVRA.
func (p *pool) number(packages []*rpm.Metadata, rank map[string]uint8) {
	type keyed struct {
		key string
		m   *rpm.Metadata
	}
	list := make([]keyed, 0, len(packages))
	for _, m := range packages {
		if m == nil {
			continue
		}
		if rank[m.Arch] != rankForeign {
			list = append(list, keyed{fileName(m), m})
		} else if m.Arch != "src" && m.Arch != "nosrc" {
			p.foreign = append(p.foreign, m)
		}
	}
	slices.SortFunc(list, func(a, b keyed) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return compareMetadata(a.m, b.m)
	})
	slices.SortFunc(p.foreign, func(a, b *rpm.Metadata) int { return cmp.Or(a.NEVRA.Compare(b.NEVRA), compareMetadata(a, b)) })

	seen := make(map[rpm.NEVRA]bool, len(list))
	p.pkgs = make([]*rpm.Metadata, 1, len(list)+1)
	p.rank = make([]uint8, 1, len(list)+1)
	p.width = make([]uint8, 1, len(list)+1)
	for _, k := range list {
		if seen[k.m.NEVRA] {
			continue
		}
		seen[k.m.NEVRA] = true
		p.pkgs = append(p.pkgs, k.m)
		p.rank = append(p.rank, rank[k.m.Arch])
		p.width = append(p.width, width(k.m.Arch))
		p.partial = p.partial || !k.m.AllFiles
	}
}

func compareMetadata(a, b *rpm.Metadata) int {
	return cmp.Or(strings.Compare(a.Location, b.Location), strings.Compare(a.Base, b.Base), a.NEVRA.Compare(b.NEVRA),
		strings.Compare(a.Checksum.String(), b.Checksum.String()))
}

func fileName(m *rpm.Metadata) string {
	if m.Location == "" {
		return m.Name + "-" + m.Version + "-" + m.Release + "." + m.Arch + ".rpm"
	}
	return m.Location[strings.LastIndexByte(m.Location, '/')+1:]
}

func (p *pool) indexNames() {
	p.byName = make(map[string][]int32, len(p.pkgs))
	for id := int32(1); int(id) < len(p.pkgs); id++ {
		name := p.pkgs[id].Name
		p.byName[name] = append(p.byName[name], id)
	}
}

func (p *pool) indexProvides() {
	total := 0
	for _, m := range p.pkgs[1:] {
		total += len(m.Provides)
	}
	p.index = make(map[string]int32, total)
	rows := make([]int32, 0, total) // of each entry, so that each is looked up once
	var counts []int32
	for _, m := range p.pkgs[1:] {
		for i := range m.Provides {
			row, ok := p.index[m.Provides[i].Name]
			if !ok {
				row = int32(len(counts))
				p.index[m.Provides[i].Name] = row
				counts = append(counts, 0)
			}
			counts[row]++
			rows = append(rows, row)
		}
	}
	p.starts = make([]int32, len(counts)+1)
	for i, n := range counts {
		p.starts[i+1] = p.starts[i] + n
		counts[i] = p.starts[i]
	}
	p.offers = make([]offer, total)
	for id, m := range p.pkgs {
		if m == nil {
			continue
		}
		for i := range m.Provides {
			row := rows[0]
			rows = rows[1:]
			p.offers[counts[row]] = offer{int32(id), int32(i)}
			counts[row]++
		}
	}
}

func (p *pool) offersOf(name string) []offer {
	row, ok := p.index[name]
	if !ok {
		return nil
	}
	return p.offers[p.starts[row]:p.starts[row+1]]
}

// providers are the packages, excluded ones too, that provide c, in their order. The caller does not modify them.
func (p *pool) providers(c rpm.Capability) []int32 {
	if ids, ok := p.cache[c]; ok {
		return ids
	}
	var ids []int32
	for _, o := range p.offersOf(c.Name) {
		if len(ids) > 0 && ids[len(ids)-1] == o.pkg {
			continue
		}
		if p.pkgs[o.pkg].Provides[o.at].Overlaps(c) {
			ids = append(ids, o.pkg)
		}
	}
	if c.IsPath() && c.Sense == 0 {
		ids = merge(ids, p.ownersOf(c.Name))
	}
	p.cache[c] = ids
	return ids
}

// unknownPath reports whether c is a path nobody is known to have while there are packages whose full list is not known.
func (p *pool) unknownPath(c rpm.Capability) bool {
	return p.partial && c.IsPath() && len(p.providers(c)) == 0
}

// ownersOf looks through the file lists once for all paths that any dependency names.
func (p *pool) ownersOf(path string) []int32 {
	if p.owners == nil {
		p.indexOwners()
	}
	return p.owners[path]
}

func (p *pool) indexOwners() {
	p.owners = map[string][]int32{}
	want := func(c rpm.Capability) {
		if c.IsPath() {
			p.owners[c.Name] = nil
		} else if c.IsRich() && strings.Contains(c.Name, "/") {
			p.wantRich(p.parse(c.Name))
		}
	}
	for _, c := range p.extra {
		want(c)
	}
	for _, m := range p.pkgs[1:] {
		for i := range m.Requires {
			want(m.Requires[i].Capability)
		}
		for _, list := range [][]rpm.Capability{m.Conflicts, m.Recommends, m.Suggests, m.Supplements, m.Enhances} {
			for i := range list {
				want(list[i])
			}
		}
	}
	// Most of the many paths are named by nobody: a coarse filter saves the hashing of each.
	var filter [1 << 16]bool
	for path := range p.owners {
		filter[pathKey(path)] = true
	}
	for id, m := range p.pkgs {
		if m == nil {
			continue
		}
		for _, path := range m.Files {
			if !filter[pathKey(path)] {
				continue
			}
			if ids, ok := p.owners[path]; ok && (len(ids) == 0 || ids[len(ids)-1] != int32(id)) {
				p.owners[path] = append(ids, int32(id))
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

func (p *pool) wantRich(r *rpm.Rich) {
	if r == nil {
		return
	}
	if r.Op == "" && r.IsPath() {
		p.owners[r.Name] = nil
	}
	for _, o := range r.Operands {
		p.wantRich(o)
	}
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
	if p.obsoleted == nil {
		p.obsoleted = map[string][]int32{}
		for id, m := range p.pkgs {
			if m == nil {
				continue
			}
			for i := range m.Obsoletes {
				name := m.Obsoletes[i].Name
				if l := p.obsoleted[name]; len(l) == 0 || l[len(l)-1] != int32(id) {
					p.obsoleted[name] = append(l, int32(id))
				}
			}
		}
	}
	var found []int32
	for _, id := range ids {
		for _, by := range p.obsoleted[p.pkgs[id].Name] {
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
	list := p.pkgs[a].Obsoletes
	for i := range list {
		if p.isVersionOf(b, &list[i]) {
			return &list[i]
		}
	}
	return nil
}

// isVersionOf reports whether c names package id itself.
func (p *pool) isVersionOf(id int32, c *rpm.Capability) bool {
	m := p.pkgs[id]
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
