package repomd

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Owners says which packages own paths that primary.xml need not list: those that any dependency names, and some more. Of a
// distribution that is little, where its file lists are much.
type Owners struct {
	repository *Repository
	known      map[string]bool
	match      func(path string) bool
	filter     [1 << 16]bool        // by pathKey: most of the many paths are wanted by nobody
	found      []map[string][]int32 // by component: places in its catalog

	of map[string][]int32 // of all; see AddOwners
	by map[int32][]string // the reverse
}

const ownersMark = "slimown" + CatalogFormat

// NewOwners asks for the owners of all paths that dependencies name, of more paths, and of those that match, which may be
// nil, reports. KnowsOwners will say true of all of more, globs too.
func (r *Repository) NewOwners(more []string, match func(path string) bool) *Owners {
	o := &Owners{repository: r, known: r.NamedPaths(), match: match, found: make([]map[string][]int32, len(r.parts))}
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

// ReadFilelists looks through the filelists.xml of a component. Those of several may be read at once.
func (o *Owners) ReadFilelists(r io.Reader, component int) error {
	c, found := o.repository.parts[component], map[string][]int32{}
	err := ParseFilelists(r, func(pkgid string, n rpm.NEVRA, files []string) error {
		var at int32
		looked, ours := false, false
		for _, path := range files {
			if !o.wants(path) {
				continue
			}
			if !looked {
				looked = true
				at, ours = c.find(n)
				ours = ours && c.order(at).Checksum.Hex == pkgid
			}
			if ours && !slices.Contains(found[path], at) {
				path = strings.Clone(path) // which keeps all others in memory
				found[path] = append(found[path], at)
			}
		}
		return nil
	})
	o.found[component] = found
	return err
}

// Write writes what was found of a component.
func (o *Owners) Write(to io.Writer, component int) error {
	text, err := json.Marshal(o.found[component])
	if err != nil {
		return fmt.Errorf("writing owners: %w", err)
	}
	return writeMarked(to, ownersMark, text)
}

// Read reads size bytes that Write wrote for the same question about the same catalog. It is instead of ReadFilelists.
func (o *Owners) Read(r io.Reader, size int64, component int) error {
	text, err := readMarked(r, size, ownersMark)
	if err != nil {
		return fmt.Errorf("reading owners: %w", err)
	}
	var found map[string][]int32
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return fmt.Errorf("reading owners: %w: %w", ErrCatalog, err)
	}
	for path, places := range found {
		for _, at := range places {
			if at < 0 || int(at) >= o.repository.parts[component].Len() || !o.wants(path) {
				return fmt.Errorf("reading owners: %w: %q", ErrCatalog, path)
			}
		}
	}
	o.found[component] = found
	return nil
}

// AddOwners makes the repository know what o has found, instead of what another one has.
func (r *Repository) AddOwners(o *Owners) {
	o.of, o.by = map[string][]int32{}, map[int32][]string{}
	for i, found := range o.found {
		for path, places := range found {
			for _, at := range places {
				if n := r.numbers[i][at]; n != hidden && !slices.Contains(o.by[n], path) {
					o.of[path] = append(o.of[path], n)
					o.by[n] = append(o.by[n], path)
				}
			}
		}
	}
	for path := range o.of {
		slices.Sort(o.of[path])
	}
	r.owners = o
	for number, m := range r.loaded {
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
func (r *Repository) KnowsOwners(path string) bool { return r.owners != nil && r.owners.known[path] }
