package repomd

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"slim/internal/rpm"
)

// Owners says which packages of a catalog own paths that primary.xml need not list: those that any dependency names, and
// some more. Of a distribution that is little, where its file lists are much.
type Owners struct {
	catalog *Catalog
	known   map[string]bool
	match   func(path string) bool
	of      map[string][]int32
	by      map[int32][]string // the reverse
	filter  [1 << 16]bool      // by pathKey: most of the many paths are wanted by nobody
}

const ownersMark = "slimown" + CatalogFormat

// NewOwners asks for the owners of all paths that dependencies name, of more paths, and of those that match, which may be
// nil, reports. KnowsOwners will say true of all of more, globs too.
func (c *Catalog) NewOwners(more []string, match func(path string) bool) *Owners {
	o := &Owners{catalog: c, known: map[string]bool{}, match: match, of: map[string][]int32{}, by: map[int32][]string{}}
	for path := range c.NamedPaths() {
		o.known[path] = true
	}
	for _, path := range more {
		o.known[path] = true
	}
	for path := range o.known {
		o.filter[pathKey(path)] = true
	}
	return o
}

func pathKey(path string) uint16 {
	key := uint16(len(path))
	for i := max(0, len(path)-4); i < len(path); i++ {
		key = key*31 + uint16(path[i])
	}
	return key
}

func (o *Owners) wants(path string) bool {
	return o.filter[pathKey(path)] && o.known[path] || o.match != nil && o.match(path)
}

// ReadFilelists looks through the filelists.xml of the packages that were added to the catalog with source.
func (o *Owners) ReadFilelists(r io.Reader, source int) error {
	return ParseFilelists(r, func(pkgid string, n rpm.NEVRA, files []string) error {
		var number int32
		found, ours := false, false
		for _, path := range files {
			if !o.wants(path) {
				continue
			}
			if !found {
				found = true
				number, ours = o.catalog.Find(n)
				ours = ours && o.catalog.Source(number) == source && o.catalog.Package(number).Checksum.Hex == pkgid
			}
			if ours {
				o.add(string([]byte(path)), number) // a copy: path keeps all others in memory
			}
		}
		return nil
	})
}

func (o *Owners) add(path string, number int32) {
	if !slices.Contains(o.by[number], path) {
		o.of[path] = append(o.of[path], number)
		o.by[number] = append(o.by[number], path)
	}
}

// Write writes what was found.
func (o *Owners) Write(to io.Writer) error {
	text, err := json.Marshal(o.of)
	if err != nil {
		return fmt.Errorf("writing owners: %w", err)
	}
	return writeMarked(to, ownersMark, text)
}

// Read reads size bytes that Write wrote for the same question about the same catalog. It is instead of ReadFilelists.
func (o *Owners) Read(r io.Reader, size int64) error {
	text, err := readMarked(r, size, ownersMark)
	if err != nil {
		return fmt.Errorf("reading owners: %w", err)
	}
	var of map[string][]int32
	if err := json.Unmarshal([]byte(text), &of); err != nil {
		return fmt.Errorf("reading owners: %w: %w", ErrCatalog, err)
	}
	for _, path := range slices.Sorted(maps.Keys(of)) {
		for _, number := range of[path] {
			if number < 0 || int(number) >= o.catalog.Len() || !o.wants(path) {
				return fmt.Errorf("reading owners: %w: %s", ErrCatalog, path)
			}
			o.add(path, number)
		}
	}
	return nil
}

// AddOwners makes the catalog know what o has found, instead of what another one has.
func (c *Catalog) AddOwners(o *Owners) {
	for path := range o.of {
		slices.Sort(o.of[path])
	}
	c.owners = o
	for number, m := range c.loaded {
		if m != nil {
			o.extend(m, int32(number))
		}
	}
}

// extend adds the paths of a package to its file list.
func (o *Owners) extend(m *rpm.Metadata, number int32) {
	for _, path := range slices.Sorted(slices.Values(o.by[number])) {
		if !slices.Contains(m.Files, path) {
			m.Files = append(m.Files, path)
		}
	}
}

// KnowsOwners reports that Lookup finds all packages that own a path, or those of a glob that was asked for. Else it finds
// those of which primary.xml says so.
func (c *Catalog) KnowsOwners(path string) bool { return c.owners != nil && c.owners.known[path] }
