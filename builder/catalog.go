package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"slim/internal/fetch"
	"slim/internal/memory"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// The catalog of a repository's packages is kept in the cache, by the checksums of the metadata that it was made of, so
// that primary.xml is read once. So are the owners of the paths that only filelists.xml has.

// The kinds of the cache's entries for them.
const (
	kindCatalog = "catalog"
	kindOwners  = "owners"
)

// openCatalog reads the catalog from the cache, or primary.xml of every component to make it. What is damaged, or made by
// another version of slim, is made anew. With an error comes the component that it is about.
func (repo *repository) openCatalog(ctx context.Context) (int, error) {
	repo.key = fmt.Sprintf("format %q\n", repomd.CatalogFormat)
	for i, src := range repo.sources {
		record, err := src.record("primary")
		if err != nil {
			return i, err
		}
		// Whether a package may have a base of its own depends on where the repository is.
		repo.key += fmt.Sprintf("primary %s local %v\n", record.Checksum, strings.HasPrefix(src.URLs[0], "file:"))
	}
	var err error
	repo.catalog, err = cached(repo.client.Cache(), kindCatalog, repo.key, readCatalog)
	if repo.catalog != nil || err != nil {
		return 0, err
	}
	if at, err := repo.makeCatalog(ctx); repo.catalog != nil || err != nil {
		return at, err
	}
	repo.catalog, err = cached(repo.client.Cache(), kindCatalog, repo.key, readCatalog)
	if repo.catalog == nil && err == nil {
		err = errors.New("the catalog of the repository has gone from the cache at once")
	}
	return 0, err
}

// bigCatalog is the size from which memory for a catalog is worth preparing.
const bigCatalog = 8 << 20

func readCatalog(r io.Reader, size int64) (*repomd.Catalog, error) {
	if size >= bigCatalog {
		memory.HugePages()
	}
	return repomd.ReadCatalog(r, size)
}

// makeCatalog reads primary.xml of every component and puts the catalog into the cache. It opens it only when the cache
// does not take it: else there is less to hold in memory at the same time.
func (repo *repository) makeCatalog(ctx context.Context) (int, error) {
	memory.HugePages()
	var w repomd.CatalogWriter
	batches := make(chan packageBatch, 4)
	var collect sync.WaitGroup
	collect.Go(func() {
		for b := range batches {
			for _, m := range b.packages {
				w.Add(m, b.source)
			}
		}
	})
	at, err := repo.sendPackages(ctx, batches)
	close(batches)
	collect.Wait()
	if err != nil {
		return at, err
	}
	if keepWritten(repo.client.Cache(), kindCatalog, hexSHA256([]byte(repo.key)), w.Write) == nil {
		return 0, nil
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		return 0, err
	}
	repo.catalog, err = repomd.ReadCatalog(&b, int64(b.Len()))
	return 0, err
}

// packageBatch are packages of a component on their way into a catalog, which takes as long as reading them does.
type packageBatch struct {
	packages []*rpm.Metadata
	source   int
}

const packageBatchSize = 64

// sendPackages reads primary.xml of every component.
func (repo *repository) sendPackages(ctx context.Context, to chan<- packageBatch) (int, error) {
	for i, src := range repo.sources {
		b := packageBatch{source: i}
		err := repo.readPrimary(ctx, src, func(m *rpm.Metadata) error {
			if err := src.checkBase(m); err != nil {
				return err
			}
			if b.packages = append(b.packages, m); len(b.packages) == packageBatchSize {
				to <- b
				b.packages = make([]*rpm.Metadata, 0, packageBatchSize)
			}
			return nil
		})
		if err != nil {
			return i, err
		}
		to <- b
	}
	return 0, nil
}

// cached reads what the cache has under key; nil when it has nothing, or nothing that is any good.
func cached[T any](cache *fetch.Cache, kind, key string, read func(io.Reader, int64) (*T, error)) (*T, error) {
	file, err := cache.Kept(kind, hexSHA256([]byte(key)))
	if err != nil || file == nil {
		return nil, err
	}
	defer file.Close()
	out, err := read(file, file.Size())
	if errors.Is(err, repomd.ErrCatalog) || errors.Is(err, fetch.ErrDamaged) {
		return nil, nil
	}
	return out, err
}

// filter says which packages of a repository count; nil is all of them.
type filter func(rpm.NEVRA) bool

// both is a filter that leaves in what a and b do.
func both(a, b filter) filter {
	return func(n rpm.NEVRA) bool { return a(n) && b(n) }
}

// answer solves a request among the packages of the repository, and again with the owners of paths that it turns out to need.
func (repo *repository) answer(ctx context.Context, request solve.Request) (*solve.Solution, error) {
	request.Repository = repo.catalog
	switch {
	case request.Keep == nil:
		request.Keep = repo.keep
	case repo.keep != nil:
		request.Keep = both(repo.keep, request.Keep)
	}
	for {
		solution, err := solve.Solve(request)
		if damaged := repo.catalog.Err(); damaged != nil {
			empty := func(io.Writer) error { return nil } // which is no catalog
			return nil, errors.Join(fmt.Errorf("%w; it is made anew the next time", damaged), keepWritten(repo.client.Cache(), kindCatalog, hexSHA256([]byte(repo.key)), empty))
		}
		var need *solve.NeedFiles
		if !errors.As(err, &need) {
			return solution, err
		}
		if !slices.ContainsFunc(need.Paths, func(path string) bool { return !repo.catalog.KnowsOwners(path) }) {
			return nil, err
		}
		if err := repo.loadOwners(ctx, need); err != nil {
			return nil, err
		}
	}
}

// loadOwners finds out who owns the paths that are needed, from the cache or from filelists.xml of every component.
func (repo *repository) loadOwners(ctx context.Context, need *solve.NeedFiles) error {
	repo.asked = distinct(append(repo.asked, need.Paths...))
	slices.Sort(repo.asked)
	key := repo.key
	for _, src := range repo.sources {
		record, err := src.record("filelists")
		if err != nil {
			return err
		}
		key += fmt.Sprintf("filelists %s\n", record.Checksum)
	}
	named := map[string]bool{}
	for path := range repo.catalog.NamedPaths() {
		named[path] = true
	}
	for _, path := range repo.asked {
		if !named[path] {
			key += fmt.Sprintf("path %q\n", path)
		}
	}
	match := solve.MatchAny(repo.asked)
	owners, err := cached(repo.client.Cache(), kindOwners, key, func(r io.Reader, size int64) (*repomd.Owners, error) {
		o := repo.catalog.NewOwners(repo.asked, match)
		return o, o.Read(r, size)
	})
	if err != nil {
		return err
	}
	if owners == nil {
		owners = repo.catalog.NewOwners(repo.asked, match)
		for i, src := range repo.sources {
			if err := repo.read(ctx, src, "filelists", func(r io.Reader) error { return owners.ReadFilelists(r, i) }); err != nil {
				return err
			}
		}
		_ = keepWritten(repo.client.Cache(), kindOwners, hexSHA256([]byte(key)), owners.Write) // a cache that cannot be written to is no fault
	}
	repo.catalog.AddOwners(owners)
	return nil
}

// has reports whether the repository has a build.
func (repo *repository) has(n rpm.NEVRA) bool {
	_, ok := repo.catalog.Find(n)
	return ok
}

// source is the component that a package is of.
func (repo *repository) source(n rpm.NEVRA) int {
	number, _ := repo.catalog.Find(n)
	return repo.catalog.Source(number)
}

// newest is the highest version of a package's name, zero when there is none.
func (repo *repository) newest(name string) rpm.EVR {
	var newest rpm.EVR
	for i, number := range repo.catalog.Lookup(rpm.Named, name) {
		if evr := repo.catalog.NEVRA(number).EVR; i == 0 || newest.Compare(evr) < 0 {
			newest = evr
		}
	}
	return newest
}

// newestBuild is the package with the highest version of a name and architecture.
func (repo *repository) newestBuild(name, arch string) (newest rpm.NEVRA, ok bool) {
	for _, number := range repo.catalog.Lookup(rpm.Named, name) {
		if n := repo.catalog.NEVRA(number); n.Arch == arch && (!ok || newest.EVR.Compare(n.EVR) < 0) {
			newest, ok = n, true
		}
	}
	return newest, ok
}
