package repomd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// catalogOf writes and reads a catalog of packages.
func catalogOf(t testing.TB, packages []*rpm.Metadata) (*Catalog, []byte) {
	t.Helper()
	var w CatalogWriter
	for _, m := range packages {
		w.Add(m)
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		t.Fatal(err)
	}
	c, err := ReadCatalog(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return c, b.Bytes()
}

// dealt joins so many catalogs with packages in turn.
func dealt(t testing.TB, packages []*rpm.Metadata, components int) *Repository {
	t.Helper()
	hands := make([][]*rpm.Metadata, components)
	for i, m := range packages {
		hands[i%components] = append(hands[i%components], m)
	}
	parts := make([]*Catalog, components)
	for i := range parts {
		parts[i], _ = catalogOf(t, hands[i])
	}
	return NewRepository(parts...)
}

// stream9 is a metadata file of a real repository.
func stream9(t *testing.T, kind string) []byte {
	t.Helper()
	path := filepath.Join(tooltest.Shared(t, "rpms", "osbuild+images", "test", "data", "testrepo"), "repodata", "repomd.xml")
	return document(t, path, readIndex(t, path), kind)
}

func stream9Packages(t *testing.T) []*rpm.Metadata {
	t.Helper()
	var packages []*rpm.Metadata
	if err := ParsePrimary(bytes.NewReader(stream9(t, "primary")), func(m *rpm.Metadata) error {
		packages = append(packages, m)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return packages
}

// TestRepositoryReal unpacks what was packed, in the order of Metadata.Compare, from however many catalogs.
func TestRepositoryReal(t *testing.T) {
	packages := stream9Packages(t)
	shuffled := slices.Clone(packages)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(packages, (*rpm.Metadata).Compare)
	for _, components := range []int{1, 2, 5} {
		r := dealt(t, append(shuffled, shuffled[0]), components)
		if r.Len() != len(packages) {
			t.Fatalf("%d packages, not %d", r.Len(), len(packages))
		}
		for i, want := range packages {
			one, again := r.Package(int32(i)), r.Package(int32(i))
			if diff := cmp.Diff(want, one); diff != "" || r.NEVRA(int32(i)) != want.NEVRA || one != again {
				t.Fatalf("package %d: %s", i, diff)
			}
			if got := r.Source(int32(i)); got != slices.Index(shuffled, want)%components {
				t.Fatalf("package %d is of component %d", i, got)
			}
			if n, ok := r.Find(want.NEVRA); !ok || n != int32(i) {
				t.Fatalf("Find(%s) = %d, %v", want.NEVRA, n, ok)
			}
		}
		if err := r.Err(); err != nil {
			t.Fatal(err)
		}
		checkIndexes(t, r, packages)
		checkNamedPaths(t, r, packages)
	}
}

// TestRepositoryShadowed has packages of one NEVRA in several components: the first component's is there, and nothing of
// the others.
func TestRepositoryShadowed(t *testing.T) {
	of := func(location, provides string, names ...string) []*rpm.Metadata {
		var out []*rpm.Metadata
		for _, name := range names {
			n := rpm.NEVRA{Name: name, EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "noarch"}
			out = append(out, &rpm.Metadata{
				NEVRA: n, Location: location + n.Name + ".rpm", Provides: []rpm.Capability{{Name: name}, {Name: provides}}, Files: []string{"/" + provides},
				Requires: []rpm.Requirement{{Capability: rpm.Capability{Name: "/named/" + provides}}},
			})
		}
		return out
	}
	first, second := of("z/", "one", "b", "d"), of("a/", "two", "a", "b", "c", "d")
	third := of("", "three", "d", "e")
	var parts []*Catalog
	for _, packages := range [][]*rpm.Metadata{first, second, third} {
		c, _ := catalogOf(t, packages)
		parts = append(parts, c)
	}
	r := NewRepository(parts...)
	want := []*rpm.Metadata{second[0], first[0], second[2], first[1], third[1]}
	slices.SortFunc(want, (*rpm.Metadata).Compare)
	var got []*rpm.Metadata
	for i := range int32(r.Len()) {
		got = append(got, r.Package(i))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for _, m := range want {
		if n, ok := r.Find(m.NEVRA); !ok || r.Package(n).Location != m.Location {
			t.Errorf("Find(%s) = %d, %v", m.NEVRA, n, ok)
		}
	}
	checkIndexes(t, r, want)
	checkNamedPaths(t, r, slices.Concat(first, second, third))
	// What only the hidden ones have is not there: a component of nothing but those has no names.
	r = NewRepository(parts[1], parts[0])
	if names := slices.Collect(r.Names(rpm.WhatProvides)); slices.Contains(names, "one") || len(names) != 5 {
		t.Errorf("names are %q", names)
	}
	checkIndexes(t, r, second)
}

// checkIndexes compares every lookup with a search.
func checkIndexes(t *testing.T, c *Repository, packages []*rpm.Metadata) {
	t.Helper()
	names := func(m *rpm.Metadata, r rpm.Relation) iter.Seq[string] {
		return func(yield func(string) bool) {
			switch r {
			case rpm.Named:
				yield(m.Name)
			case rpm.WhatProvides:
				for _, p := range m.Provides {
					yield(p.Name)
				}
			case rpm.WhatObsoletes:
				for _, o := range m.Obsoletes {
					yield(o.Name)
				}
			case rpm.WhatOwns:
				for _, f := range m.Files {
					yield(f)
				}
			}
		}
	}
	for r := rpm.Named; r <= rpm.WhatOwns; r++ {
		want := map[string][]int32{}
		for i, m := range packages {
			for name := range names(m, r) {
				if of := want[name]; !slices.Contains(of, int32(i)) {
					want[name] = append(of, int32(i))
				}
			}
		}
		got := map[string][]int32{}
		for name := range c.Names(r) {
			if got[name] != nil {
				t.Fatalf("%q is there twice", name)
			}
			got[name] = c.Lookup(r, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("relation %d: %s", r, diff)
		}
		if of := c.Lookup(r, "no such name"); of != nil {
			t.Fatalf("something for what is not there: %v", of)
		}
	}
}

// checkNamedPaths compares the paths that dependencies name with those of the packages.
func checkNamedPaths(t *testing.T, r *Repository, packages []*rpm.Metadata) {
	t.Helper()
	paths := map[string]bool{}
	for _, m := range packages {
		for path := range m.NamedPaths() {
			paths[path] = true
		}
	}
	if diff := cmp.Diff(paths, r.NamedPaths()); diff != "" {
		t.Fatal(diff)
	}
}

func TestCatalogEmpty(t *testing.T) {
	empty, _ := catalogOf(t, nil)
	c := NewRepository(empty, empty)
	if NewRepository().Len() != 0 || c.Len() != 0 || len(slices.Collect(c.Names(rpm.WhatProvides))) > 0 || c.Lookup(rpm.Named, "a") != nil {
		t.Error("an empty catalog has something in it")
	}
}

// TestOwners reads the owners of paths that primary does not list, and reads them back.
func TestOwners(t *testing.T) {
	packages := stream9Packages(t)
	const components = 3
	c := dealt(t, packages, components)
	const asked = "/usr/share/doc/bash/README"
	if c.KnowsOwners(asked) || c.Lookup(rpm.WhatOwns, asked) != nil {
		t.Fatal("the path is known already")
	}
	ask := func() *Owners {
		return c.NewOwners([]string{asked, "/usr/lib64/libz.*"}, func(path string) bool { return strings.HasPrefix(path, "/usr/lib64/libz.") })
	}
	o, again := ask(), ask()
	filelists := stream9(t, "filelists")
	for i := range components {
		if err := o.ReadFilelists(bytes.NewReader(filelists), i); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := o.Write(&b, i); err != nil {
			t.Fatal(err)
		}
		if err := again.Read(bytes.NewReader(b.Bytes()), int64(b.Len()), i); err != nil {
			t.Fatal(err)
		}
	}
	for _, o := range []*Owners{o, again} {
		c.AddOwners(o)
		owners := c.Lookup(rpm.WhatOwns, asked)
		if len(owners) != 1 || c.NEVRA(owners[0]).Name != "bash" || !slices.Contains(c.Package(owners[0]).Files, asked) {
			t.Errorf("%s is owned by %v", asked, owners)
		}
		if !c.KnowsOwners(asked) || !c.KnowsOwners("/bin/sh") || !c.KnowsOwners("/usr/lib64/libz.*") || c.KnowsOwners("/usr/share/doc") {
			t.Error("what is known of owners is not what was asked for")
		}
		if n := len(c.Lookup(rpm.WhatOwns, "/usr/lib64/libz.so.1")); n != 1 {
			t.Errorf("%d packages own libz", n)
		}
		if !slices.Contains(slices.Collect(c.Names(rpm.WhatOwns)), asked) {
			t.Error("Names lacks a path that was asked for")
		}
	}
	if err := ask().Read(strings.NewReader(ownersMark+`{"/bin/sh":[1125]}`), int64(len(ownersMark)+18), 0); !errors.Is(err, ErrCatalog) {
		t.Errorf("owners of another catalog: %v", err)
	}
}

// TestCatalogDamaged cuts off ends, and flips bits, which need not be noticed but do no harm.
func TestCatalogDamaged(t *testing.T) {
	_, good := catalogOf(t, stream9Packages(t)[:50])
	broken := errors.New("broken")
	if _, err := ReadCatalog(io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), int64(len(good))); !errors.Is(err, broken) {
		t.Errorf("the end of the reader is not looked at: %v", err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		at := random.IntN(len(good))
		for _, size := range []int{at, len(good)} {
			if _, err := ReadCatalog(bytes.NewReader(good[:at]), int64(size)); !errors.Is(err, ErrCatalog) {
				t.Fatalf("cut at %d: %v", at, err)
			}
		}
		bad := bytes.Clone(good)
		bad[at] ^= 1 << random.IntN(8)
		useCatalog(t, bad)
	}
}

// useCatalog reads a file and asks all there is to be asked.
func useCatalog(t *testing.T, file []byte) {
	one, err := ReadCatalog(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		if !errors.Is(err, ErrCatalog) {
			t.Errorf("%v", err)
		}
		return
	}
	for _, c := range []*Repository{NewRepository(one), NewRepository(one, one)} {
		for i := range int32(c.Len()) {
			m := c.Package(i)
			c.Source(i)
			c.Find(m.NEVRA)
		}
		for r := rpm.Named; r <= rpm.WhatOwns; r++ {
			for name := range c.Names(r) {
				c.Lookup(r, name)
			}
			c.Lookup(r, "a")
		}
		c.AddOwners(c.NewOwners(slices.Collect(maps.Keys(c.NamedPaths())), nil))
	}
}

// FuzzCatalog gives the reader anything, and asks all there is to be asked.
func FuzzCatalog(f *testing.F) {
	_, good := catalogOf(f, []*rpm.Metadata{
		{
			NEVRA:    rpm.NEVRA{Name: "a", EVR: rpm.EVR{Epoch: 1, Version: "1", Release: "2"}, Arch: "noarch"},
			Location: "a.rpm", Checksum: rpm.Checksum{Algorithm: "sha1", Hex: strings.Repeat("ab", 20)}, Size: 1 << 40,
			Provides: []rpm.Capability{{Name: "a", Sense: rpm.Equal, EVR: rpm.EVR{Version: "1"}}, {Name: "b"}},
			Requires: []rpm.Requirement{{Capability: rpm.Capability{Name: "/bin/sh"}, Pre: true}}, Files: []string{"/etc/a"},
		},
		{NEVRA: rpm.NEVRA{Name: "b", EVR: rpm.EVR{Version: "1", Release: "2"}, Arch: "x86_64"}, Obsoletes: []rpm.Capability{{Name: "a"}}},
	})
	f.Add(good)
	f.Fuzz(useCatalog)
}

func TestTexts(t *testing.T) {
	var all texts
	numbers := map[string]uint32{"": 0}
	for i := range 5000 {
		s := fmt.Sprint("string ", i*i%3001)
		n := all.add(s)
		if was, ok := numbers[s]; ok && was != n || all.str(n) != s {
			t.Fatalf("%q has number %d", s, n)
		}
		numbers[s] = n
	}
	if len(all.ends) != len(numbers) || all.add("") != 0 {
		t.Errorf("%d strings, not %d", len(all.ends), len(numbers))
	}
}
