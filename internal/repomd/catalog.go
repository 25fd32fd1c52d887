package repomd

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"strings"

	"slim/internal/rpm"
)

// Catalog is the packages of a primary.xml in a compact form that is read in one go and unpacked package by package. They
// stand in it in the order of Metadata.Compare. A Repository answers from it.
//
// A file begins with a mark of 8 bytes that holds the version of the format, and the lengths of the sections. Numbers have
// 4 bytes, the lowest first. The sections:
//
//	text      all strings, each once, one behind the other
//	ends      of the strings in text; string 0 is the empty one
//	versions  epoch, version and release of each EVR
//	packages  name, architecture, EVR, and where the rest begins in bodies
//	bodies    the rest of each package, in varints (see package body)
//	paths     the paths that dependencies name
//	indexes   for each rpm.Relation three sections: buckets, names and packages
//
// An index is a hash table: a name's hash says its bucket, buckets where the bucket's names begin, a name is a string and
// where its packages begin.
type Catalog struct {
	text     string
	ends     table
	versions table
	packages table
	bodies   string
	named    table // paths
	indexes  [rpm.WhatOwns + 1]nameIndex
}

// CatalogFormat is how the files of Catalog and Owners begin, behind a word for which they are. What is in them, what it
// means, and what is taken from primary.xml and filelists.xml may only change together with it.
const CatalogFormat = "\x02"

const (
	catalogMark = "slimcat" + CatalogFormat
	markSize    = len(catalogMark)
)

// MaxCatalog is the number of bytes of the largest catalog that is written or read.
const MaxCatalog = 1 << 30

// Sections in the order of the file.
const (
	sectionText = iota
	sectionEnds
	sectionVersions
	sectionPackages
	sectionBodies
	sectionPaths
	sectionIndexes
	sections = sectionIndexes + 3*(int(rpm.WhatOwns)+1)
)

// ErrCatalog is in every error of a file that is no catalog, or one of another format.
var ErrCatalog = errors.New("not a catalog")

// ReadCatalog reads a catalog of size bytes and the end of r, which is to say whether the bytes are those that were written.
func ReadCatalog(r io.Reader, size int64) (*Catalog, error) {
	all, err := readMarked(r, size, catalogMark)
	if err != nil {
		return nil, fmt.Errorf("reading catalog: %w", err)
	}
	c := &Catalog{}
	if err := c.cut(all); err != nil {
		return nil, fmt.Errorf("reading catalog: %w: %w", ErrCatalog, err)
	}
	return c, nil
}

// readMarked reads what stands behind a mark, as a string that all others are parts of, to the end of r.
func readMarked(r io.Reader, size int64, mark string) (string, error) {
	if size < int64(markSize) || size > MaxCatalog {
		return "", fmt.Errorf("%w: %d bytes", ErrCatalog, size)
	}
	var b strings.Builder
	b.Grow(int(size) + 1)
	n, err := io.CopyBuffer(onlyWriter{&b}, onlyReader{io.LimitReader(r, size+1)}, make([]byte, 64<<10))
	switch all := b.String(); {
	case err != nil:
		return "", err
	case n != size:
		return "", fmt.Errorf("%w: not %d bytes", ErrCatalog, size)
	case all[:markSize] != mark:
		return "", fmt.Errorf("%w: another format", ErrCatalog)
	default:
		return all[markSize:], nil
	}
}

// onlyWriter and onlyReader keep io.CopyBuffer from ways around its buffer.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)

// table is a sequence of numbers of 4 bytes.
type table string

func (t table) len() int { return len(t) / 4 }

func (t table) at(i int) uint32 {
	b := t[4*i : 4*i+4]
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// ascends reports that t is a list of places below limit in ascending order, none twice when strict.
func (t table) ascends(limit int) bool {
	last := uint32(0)
	for i := range t.len() {
		n := t.at(i)
		if n < last {
			return false
		}
		last = n
	}
	return len(t)%4 == 0 && uint64(last) <= uint64(limit)
}

// below reports that all numbers of t are below limit.
func (t table) below(limit int) bool {
	for i := range t.len() {
		if uint64(t.at(i)) >= uint64(limit) {
			return false
		}
	}
	return len(t)%4 == 0
}

// cut finds the sections and checks what later reading relies on: that every number leads to something that is there.
// What is in bodies is checked when it is unpacked.
func (c *Catalog) cut(all string) error {
	var parts [sections]string
	if len(all) < 4*sections {
		return errors.New("no directory")
	}
	lengths, rest := table(all[:4*sections]), all[4*sections:]
	for i := range parts {
		n := int64(lengths.at(i))
		if n > int64(len(rest)) {
			return fmt.Errorf("section %d is too long", i)
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	if rest != "" {
		return errors.New("something behind the last section")
	}
	c.text, c.bodies = parts[sectionText], parts[sectionBodies]
	c.ends, c.versions, c.packages = table(parts[sectionEnds]), table(parts[sectionVersions]), table(parts[sectionPackages])
	c.named = table(parts[sectionPaths])
	strings := c.ends.len()
	switch {
	case strings == 0 || strings > maxStrings || c.ends.at(0) != 0 || !c.ends.ascends(len(c.text)):
		return errors.New("ends of strings")
	case len(c.versions)%12 != 0 || c.versions.len() == 0:
		return errors.New("versions")
	case len(c.packages)%16 != 0 || c.Len() > MaxPackages:
		return errors.New("packages")
	case !c.named.below(strings):
		return errors.New("paths")
	}
	for i := range c.versions.len() / 3 {
		if int(c.versions.at(3*i+1)) >= strings || int(c.versions.at(3*i+2)) >= strings {
			return errors.New("versions")
		}
	}
	for i := range c.Len() {
		p := c.record(int32(i))
		if p.name >= uint32(strings) || p.arch >= uint32(strings) || p.evr >= uint32(c.versions.len()/3) || uint64(p.body) > uint64(len(c.bodies)) {
			return fmt.Errorf("package %d", i)
		}
	}
	for r := range c.indexes {
		at := sectionIndexes + 3*r
		c.indexes[r] = nameIndex{buckets: table(parts[at]), names: table(parts[at+1]), packages: table(parts[at+2])}
		if !c.indexes[r].valid(strings, c.Len()) {
			return fmt.Errorf("index %d", r)
		}
	}
	return nil
}

// packageRecord is what is in the section packages.
type packageRecord struct{ name, arch, evr, body uint32 }

func (c *Catalog) record(i int32) packageRecord {
	r := c.packages[16*int(i) : 16*int(i)+16]
	return packageRecord{r.at(0), r.at(1), r.at(2), r.at(3)}
}

func (c *Catalog) str(i uint32) string {
	if i == 0 {
		return ""
	}
	return c.text[c.ends.at(int(i)-1):c.ends.at(int(i))]
}

func (c *Catalog) version(i uint32) rpm.EVR {
	v := c.versions[12*int(i) : 12*int(i)+12]
	return rpm.EVR{Epoch: v.at(0), Version: c.str(v.at(1)), Release: c.str(v.at(2))}
}

// Len is the number of packages.
func (c *Catalog) Len() int { return len(c.packages) / 16 }

func (c *Catalog) nevra(at int32) rpm.NEVRA {
	p := c.record(at)
	return rpm.NEVRA{Name: c.str(p.name), EVR: c.version(p.evr), Arch: c.str(p.arch)}
}

// metadata unpacks a package; ok is false when it is damaged. The file list is that of primary.
func (c *Catalog) metadata(at int32) (m *rpm.Metadata, ok bool) {
	m = &rpm.Metadata{NEVRA: c.nevra(at)}
	b := c.body(at)
	b.unpack(m)
	return m, !b.bad
}

// order is as much of a package as it is sorted by.
func (c *Catalog) order(at int32) *rpm.Metadata {
	m := &rpm.Metadata{NEVRA: c.nevra(at)}
	b := c.body(at)
	b.head(m)
	return m
}

// fileName is Metadata.FileName of a package.
func (c *Catalog) fileName(at int32) string {
	b := c.body(at)
	m := rpm.Metadata{Location: b.text()}
	if m.Location == "" {
		m.NEVRA = c.nevra(at)
	}
	return m.FileName()
}

func (c *Catalog) body(at int32) body {
	return body{catalog: c, rest: c.bodies[c.record(at).body:]}
}

// find is the place of the package of a NEVRA.
func (c *Catalog) find(n rpm.NEVRA) (at int32, ok bool) {
	for at := range c.lookup(rpm.Named, n.Name) {
		if c.nevra(at) == n {
			return at, true
		}
	}
	return 0, false
}

// lookup are the places of packages that stand in a relation to a name, in ascending order.
func (c *Catalog) lookup(r rpm.Relation, name string) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		x := &c.indexes[r]
		for from, to := x.find(c, name); from < to; from++ {
			if !yield(int32(x.packages.at(from))) {
				return
			}
		}
	}
}

// names are all names for which lookup finds a package, each once.
func (c *Catalog) names(r rpm.Relation) iter.Seq[string] {
	return c.strings(c.indexes[r].names[:max(0, len(c.indexes[r].names)-8)], 2)
}

// namedPaths are the paths that any dependency names, each once.
func (c *Catalog) namedPaths() iter.Seq[string] { return c.strings(c.named, 1) }

// strings are those that every step-th number of t means.
func (c *Catalog) strings(t table, step int) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := 0; i < t.len(); i += step {
			if !yield(c.str(t.at(i))) {
				return
			}
		}
	}
}

// nameIndex finds packages by name.
type nameIndex struct {
	buckets  table // where a bucket's names begin, and one more for the end of the last
	names    table // pairs of a string and where its packages begin, and one more for the end of the last
	packages table
}

// valid reports that the index leads nowhere outside itself, the strings and the packages.
func (x *nameIndex) valid(strings, packages int) bool {
	names := len(x.names)/8 - 1
	n := x.buckets.len() - 1
	if n < 1 || n&(n-1) != 0 || len(x.names)%8 != 0 || names < 0 || !x.buckets.ascends(names) || !x.packages.below(packages) {
		return false
	}
	last := uint32(0)
	for i := range names + 1 {
		s, at := x.names.at(2*i), x.names.at(2*i+1)
		if uint64(s) >= uint64(strings) || at < last || uint64(at) > uint64(x.packages.len()) {
			return false
		}
		last = at
	}
	return true
}

// find is where a name's packages begin and end in packages.
func (x *nameIndex) find(c *Catalog, name string) (from, to int) {
	bucket := int(hashName(name)) & (x.buckets.len() - 2)
	for i := int(x.buckets.at(bucket)); i < int(x.buckets.at(bucket+1)); i++ {
		if c.str(x.names.at(2*i)) == name {
			return int(x.names.at(2*i + 1)), int(x.names.at(2*i + 3))
		}
	}
	return 0, 0
}

// hashName is FNV-1a.
func hashName(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// body is the rest of a package, in varints: strings and EVRs by their numbers, lists with their lengths before them.
type body struct {
	catalog *Catalog
	rest    string
	bad     bool
}

func (b *body) number() uint64 {
	n, shift := uint64(0), 0
	for i := range min(len(b.rest), 10) {
		c := b.rest[i]
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			b.rest = b.rest[i+1:]
			return n
		}
		shift += 7
	}
	b.bad, b.rest = true, ""
	return 0
}

func (b *body) text() string {
	n := b.number()
	if n >= uint64(b.catalog.ends.len()) {
		b.bad = true
		return ""
	}
	return b.catalog.str(uint32(n))
}

func (b *body) size() int64 {
	n := b.number()
	b.bad = b.bad || n > math.MaxInt64
	return int64(n)
}

// length is of a list, each member of which has at least one byte.
func (b *body) length() int {
	n := b.number()
	if n > uint64(len(b.rest)) {
		b.bad = true
		return 0
	}
	return int(n)
}

// head unpacks what comes first into m.
func (b *body) head(m *rpm.Metadata) {
	m.Location, m.Base = b.text(), b.text()
	m.Checksum = rpm.Checksum{Algorithm: b.text(), Hex: b.hex()}
}

// unpack unpacks all of it into m.
func (b *body) unpack(m *rpm.Metadata) {
	b.head(m)
	m.Summary, m.License, m.Vendor, m.SourceRPM = b.text(), b.text(), b.text(), b.text()
	m.Size, m.InstalledSize, m.BuildTime, m.HeaderEnd = b.size(), b.size(), b.size(), b.size()
	if n := b.length(); n > 0 {
		m.Requires = make([]rpm.Requirement, n)
		for i := range m.Requires {
			m.Requires[i].Capability, m.Requires[i].Pre = b.dependency()
		}
	}
	for _, list := range capabilityLists(m) {
		n := b.length()
		if n == 0 {
			continue
		}
		*list = make([]rpm.Capability, n)
		for i := range *list {
			(*list)[i], _ = b.dependency()
		}
	}
	if n := b.length(); n > 0 {
		m.Files = make([]string, n)
		for i := range m.Files {
			m.Files[i] = b.text()
		}
	}
}

// capabilityLists are the lists of dependencies apart from Requires, in the order of a body.
func capabilityLists(m *rpm.Metadata) [7]*[]rpm.Capability {
	return [...]*[]rpm.Capability{&m.Provides, &m.Conflicts, &m.Obsoletes, &m.Recommends, &m.Suggests, &m.Supplements, &m.Enhances}
}

func (b *body) hex() string {
	n := b.length()
	if n > maxChecksum {
		b.bad = true
		return ""
	}
	sum := b.rest[:n]
	b.rest = b.rest[n:]
	return hex.EncodeToString([]byte(sum))
}

// Bits of a dependency beside those of its Sense.
const (
	flagPre     = 1 << 0
	flagVersion = 1 << 4
	maxChecksum = 64
	maxStrings  = 1 << 26
)

func (b *body) dependency() (c rpm.Capability, pre bool) {
	c.Name = b.text()
	flags := b.number()
	c.Sense = rpm.Sense(flags) & (rpm.Less | rpm.Greater | rpm.Equal)
	if flags&flagVersion != 0 {
		n := b.number()
		if n >= uint64(b.catalog.versions.len()/3) {
			b.bad = true
			return c, false
		}
		c.EVR = b.catalog.version(uint32(n))
	}
	return c, flags&flagPre != 0
}
