package repomd

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// CatalogWriter collects packages for a Catalog. The zero value is ready.
type CatalogWriter struct {
	texts    texts
	evrs     map[[3]uint32]uint32
	versions []uint32
	packages []written
	seen     map[[3]uint32]bool // name, architecture and EVR
	bodies   []byte
	paths    map[uint32]bool
	pairs    [rpm.WhatOwns + 1][]pair
	err      error
}

// written is a package with what it is sorted by.
type written struct {
	packageRecord
	location, base string
	checksum       rpm.Checksum
}

// pair is a name and a package, by the order in which they were added.
type pair struct{ name, pkg uint32 }

// Add takes in a package unless one of the same NEVRA has been added.
func (w *CatalogWriter) Add(m *rpm.Metadata) {
	if w.seen == nil {
		w.seen, w.evrs, w.paths = map[[3]uint32]bool{}, map[[3]uint32]uint32{}, map[uint32]bool{}
		w.version(rpm.EVR{})
	}
	p := written{packageRecord: packageRecord{name: w.texts.add(m.Name), arch: w.texts.add(m.Arch), evr: w.version(m.EVR), body: uint32(len(w.bodies))}}
	key := [3]uint32{p.name, p.arch, p.evr}
	if w.seen[key] {
		return
	}
	w.seen[key] = true
	p.location, p.base, p.checksum = m.Location, m.Base, m.Checksum
	number := uint32(len(w.packages))
	w.packages = append(w.packages, p)
	w.body(m)
	w.index(m, number)
	if len(w.bodies)+len(w.texts.text) > MaxCatalog {
		w.err = fmt.Errorf("writing catalog: more than %d bytes", MaxCatalog)
	}
}

func (w *CatalogWriter) version(e rpm.EVR) uint32 {
	key := [3]uint32{e.Epoch, w.texts.add(e.Version), w.texts.add(e.Release)}
	n, ok := w.evrs[key]
	if !ok {
		n = uint32(len(w.evrs))
		w.evrs[key] = n
		w.versions = append(w.versions, key[:]...)
	}
	return n
}

func (w *CatalogWriter) number(n uint64) { w.bodies = binary.AppendUvarint(w.bodies, n) }

func (w *CatalogWriter) body(m *rpm.Metadata) {
	texts := func(list ...string) {
		for _, s := range list {
			w.number(uint64(w.texts.add(s)))
		}
	}
	texts(m.Location, m.Base, m.Checksum.Algorithm)
	sum, err := hex.DecodeString(m.Checksum.Hex)
	if err != nil || len(sum) > maxChecksum {
		w.err = cmp.Or(w.err, fmt.Errorf("writing catalog: package %s: checksum %q", m.NEVRA, m.Checksum.Hex))
	}
	w.number(uint64(len(sum)))
	w.bodies = append(w.bodies, sum...)
	texts(m.Summary, m.License, m.Vendor, m.SourceRPM)
	for _, n := range []int64{m.Size, m.InstalledSize, m.BuildTime, m.HeaderEnd} {
		w.number(uint64(n))
	}
	w.number(uint64(len(m.Requires)))
	for i := range m.Requires {
		w.dependency(&m.Requires[i].Capability, m.Requires[i].Pre)
	}
	for _, list := range capabilityLists(m) {
		w.number(uint64(len(*list)))
		for i := range *list {
			w.dependency(&(*list)[i], false)
		}
	}
	w.number(uint64(len(m.Files)))
	texts(m.Files...)
}

func (w *CatalogWriter) dependency(c *rpm.Capability, pre bool) {
	w.number(uint64(w.texts.add(c.Name)))
	flags := uint64(c.Sense)
	if pre {
		flags |= flagPre
	}
	if c.EVR.IsZero() {
		w.number(flags)
		return
	}
	w.number(flags | flagVersion)
	w.number(uint64(w.version(c.EVR)))
}

func (w *CatalogWriter) index(m *rpm.Metadata, number uint32) {
	add := func(r rpm.Relation, name string) {
		w.pairs[r] = append(w.pairs[r], pair{w.texts.add(name), number})
	}
	add(rpm.Named, m.Name)
	for i := range m.Provides {
		add(rpm.WhatProvides, m.Provides[i].Name)
	}
	for i := range m.Obsoletes {
		add(rpm.WhatObsoletes, m.Obsoletes[i].Name)
	}
	for _, file := range m.Files {
		add(rpm.WhatOwns, file)
	}
	for file := range m.NamedPaths() {
		w.paths[w.texts.add(file)] = true
	}
}

// Write writes the catalog.
func (w *CatalogWriter) Write(to io.Writer) error {
	if w.err != nil {
		return w.err
	}
	if w.evrs == nil {
		w.texts.add("")
		w.versions = []uint32{0, 0, 0}
	}
	var parts [sections][]byte
	parts[sectionText], parts[sectionBodies] = w.texts.text, w.bodies
	parts[sectionEnds] = numbers(w.texts.ends)
	parts[sectionVersions] = numbers(w.versions)
	order := w.sort()
	for _, i := range order {
		p := w.packages[i].packageRecord
		parts[sectionPackages] = append(parts[sectionPackages], numbers([]uint32{p.name, p.arch, p.evr, p.body})...)
	}
	var paths []uint32
	for s := range w.paths {
		paths = append(paths, s)
	}
	slices.Sort(paths)
	parts[sectionPaths] = numbers(paths)
	place := make([]uint32, len(order)) // by the order of adding
	for number, i := range order {
		place[i] = uint32(number)
	}
	for r := range w.pairs {
		x := w.nameIndex(w.pairs[r], place)
		at := sectionIndexes + 3*r
		parts[at], parts[at+1], parts[at+2] = x[0], x[1], x[2]
	}
	var lengths []uint32
	for _, p := range parts {
		lengths = append(lengths, uint32(len(p)))
	}
	return writeMarked(to, catalogMark, append([][]byte{numbers(lengths)}, parts[:]...)...)
}

// writeMarked writes the parts behind a mark.
func writeMarked(to io.Writer, mark string, parts ...[]byte) error {
	total := markSize
	for _, p := range parts {
		total += len(p)
	}
	if total > MaxCatalog {
		return fmt.Errorf("writing catalog: %d bytes are more than %d", total, MaxCatalog)
	}
	for _, p := range append([][]byte{[]byte(mark)}, parts...) {
		if _, err := to.Write(p); err != nil {
			return fmt.Errorf("writing catalog: %w", err)
		}
	}
	return nil
}

func numbers(list []uint32) []byte {
	out := make([]byte, 0, 4*len(list))
	for _, n := range list {
		out = binary.LittleEndian.AppendUint32(out, n)
	}
	return out
}

// sort is the order of the packages in the catalog.
func (w *CatalogWriter) sort() []int {
	order := make([]int, len(w.packages))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		p, q := &w.packages[a], &w.packages[b]
		if c := strings.Compare(path.Base(p.location), path.Base(q.location)); c != 0 && p.location != "" && q.location != "" {
			return c // without making all that Compare may want to know
		}
		return w.order(a).Compare(w.order(b))
	})
	return order
}

// order is what a package is sorted by.
func (w *CatalogWriter) order(i int) *rpm.Metadata {
	p := &w.packages[i]
	v := w.versions[3*p.evr : 3*p.evr+3]
	return &rpm.Metadata{
		NEVRA: rpm.NEVRA{
			Name: w.texts.str(p.name), Arch: w.texts.str(p.arch),
			EVR: rpm.EVR{Epoch: v[0], Version: w.texts.str(v[1]), Release: w.texts.str(v[2])},
		},
		Location: p.location, Base: p.base, Checksum: p.checksum,
	}
}

// nameIndex makes buckets, names and packages of pairs.
func (w *CatalogWriter) nameIndex(pairs []pair, place []uint32) [3][]byte {
	size := 1
	for distinct := w.distinct(pairs); 2*size < distinct; {
		size *= 2
	}
	type entry struct{ bucket, name, pkg uint32 }
	entries := make([]entry, len(pairs))
	for i, p := range pairs {
		entries[i] = entry{hashName(w.texts.str(p.name)) & uint32(size-1), p.name, place[p.pkg]}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.name, b.name), cmp.Compare(a.pkg, b.pkg))
	})
	buckets := make([]uint32, size+1)
	var names, packages []uint32
	for i, e := range entries {
		if i > 0 && e == entries[i-1] {
			continue
		}
		if i == 0 || e.name != entries[i-1].name {
			names = append(names, e.name, uint32(len(packages)))
			buckets[e.bucket+1] = uint32(len(names) / 2)
		}
		packages = append(packages, e.pkg)
	}
	for i := range size {
		buckets[i+1] = max(buckets[i], buckets[i+1])
	}
	names = append(names, 0, uint32(len(packages)))
	return [3][]byte{numbers(buckets), numbers(names), numbers(packages)}
}

// distinct counts names.
func (w *CatalogWriter) distinct(pairs []pair) int {
	n, seen := 0, make([]bool, len(w.texts.ends))
	for _, p := range pairs {
		if !seen[p.name] {
			seen[p.name] = true
			n++
		}
	}
	return n
}

// texts numbers strings. A map of strings would take several times the memory.
type texts struct {
	text  []byte
	ends  []uint32
	slots []uint32 // one more than the number of a string, at the place of its hash or behind; 0 is free
}

func (t *texts) str(i uint32) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return string(t.text[from:t.ends[i]])
}

func (t *texts) is(i uint32, s string) bool {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return string(t.text[from:t.ends[i]]) == s
}

// add is the number of s. The empty string has 0.
func (t *texts) add(s string) uint32 {
	if t.slots == nil {
		t.slots = make([]uint32, 1<<10)
		t.insert("")
	}
	at := t.slot(s)
	if t.slots[at] > 0 {
		return t.slots[at] - 1
	}
	if 4*len(t.ends) > 3*len(t.slots) {
		t.grow()
	}
	return t.insert(s)
}

func (t *texts) insert(s string) uint32 {
	t.text = append(t.text, s...)
	t.ends = append(t.ends, uint32(len(t.text)))
	t.slots[t.slot(s)] = uint32(len(t.ends))
	return uint32(len(t.ends) - 1)
}

// slot is where s is, or where it has to go.
func (t *texts) slot(s string) int {
	at := int(hashName(s)) & (len(t.slots) - 1)
	for t.slots[at] > 0 && !t.is(t.slots[at]-1, s) {
		at = (at + 1) & (len(t.slots) - 1)
	}
	return at
}

func (t *texts) grow() {
	t.slots = make([]uint32, 2*len(t.slots))
	for i := range t.ends {
		at := int(hashName(t.str(uint32(i)))) & (len(t.slots) - 1)
		for t.slots[at] > 0 {
			at = (at + 1) & (len(t.slots) - 1)
		}
		t.slots[at] = uint32(i) + 1
	}
}
