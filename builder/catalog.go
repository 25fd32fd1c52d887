package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"slim/internal/fetch"
	"slim/internal/memory"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// The catalog of a component's packages is kept in the cache, by the checksum of the metadata that it was made of, so that
// primary.xml is read once. So are the owners of the paths that only filelists.xml has.

// The kinds of the cache's entries for them.
const (
	kindCatalog = "catalog"
	kindOwners  = "owners"
)

// openCatalogs reads the catalog of every component from the cache, or its primary.xml to make it, some at once. What is
// damaged, or made by another version of slim, is made anew. named is what errors call the components.
func (repo *repository) openCatalogs(ctx context.Context, named []string) error {
	parts, faults := make([]*repomd.Catalog, len(repo.sources)), make([]error, len(repo.sources))
	var group errgroup.Group
	group.SetLimit(repo.options.jobs())
	for i, src := range repo.sources {
		group.Go(func() error {
			var err error
			if parts[i], err = repo.openCatalog(ctx, src); err != nil {
				faults[i] = fmt.Errorf("%s: %w", named[i], err)
			}
			return nil
		})
	}
	_ = group.Wait()
	if err := errors.Join(faults...); err != nil {
		return err
	}
	repo.catalog = repomd.NewRepository(parts...)
	return nil
}

// openCatalog opens the catalog of one component.
func (repo *repository) openCatalog(ctx context.Context, src *component) (*repomd.Catalog, error) {
	key, err := src.catalogKey()
	if err != nil {
		return nil, err
	}
	cache := repo.client.Cache()
	kept, err := cached(cache, kindCatalog, key, readCatalog)
	if kept != nil || err != nil {
		return kept, err
	}
	w, err := repo.makeCatalog(ctx, src)
	if err != nil {
		return nil, err
	}
	if keepWritten(cache, kindCatalog, hexSHA256([]byte(key)), w.Write) == nil {
		w = nil // there is less to hold in memory at the same time
		kept, err = cached(cache, kindCatalog, key, readCatalog)
		if kept == nil && err == nil {
			err = errors.New("the catalog of the repository has gone from the cache at once")
		}
		return kept, err
	}
	var b bytes.Buffer
	if err := w.Write(&b); err != nil {
		return nil, err
	}
	return repomd.ReadCatalog(&b, int64(b.Len()))
}

// catalogKey names what the component's catalog is made of.
func (s *component) catalogKey() (string, error) {
	record, err := s.record("primary")
	if err != nil {
		return "", err
	}
	// Whether a package may have a base of its own depends on where the repository is.
	return fmt.Sprintf("format %q\nprimary %s local %v\n", repomd.CatalogFormat, record.Checksum, strings.HasPrefix(s.URLs[0], "file:")), nil
}

// bigCatalog is the size from which memory for a catalog is worth preparing.
const bigCatalog = 8 << 20

func readCatalog(r io.Reader, size int64) (*repomd.Catalog, error) {
	if size >= bigCatalog {
		memory.HugePages()
	}
	return repomd.ReadCatalog(r, size)
}

// packageBatch is how many packages are handed on at once.
const packageBatch = 64

// makeCatalog collects a component's packages for its catalog, which takes as long as reading them does.
func (repo *repository) makeCatalog(ctx context.Context, src *component) (*repomd.CatalogWriter, error) {
	memory.HugePages()
	w := &repomd.CatalogWriter{}
	batches := make(chan []*rpm.Metadata, 4)
	var collect sync.WaitGroup
	collect.Go(func() {
		for batch := range batches {
			for _, m := range batch {
				w.Add(m)
			}
		}
	})
	var batch []*rpm.Metadata
	err := repo.readPrimary(ctx, src, func(m *rpm.Metadata) error {
		if err := src.checkBase(m); err != nil {
			return err
		}
		if batch = append(batch, m); len(batch) == packageBatch {
			batches <- batch
			batch = make([]*rpm.Metadata, 0, packageBatch)
		}
		return nil
	})
	batches <- batch
	close(batches)
	collect.Wait()
	return w, err
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
			return nil, errors.Join(fmt.Errorf("%w; it is made anew the next time", damaged), repo.dropCatalogs())
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

// dropCatalogs puts something that is no catalog in the place of all in the cache.
func (repo *repository) dropCatalogs() error {
	var faults []error
	for _, src := range repo.sources {
		key, err := src.catalogKey()
		if err == nil {
			err = keep(repo.client.Cache(), kindCatalog, hexSHA256([]byte(key)), nil)
		}
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// loadOwners finds out who owns the paths that are needed, from the cache or from filelists.xml of every component.
func (repo *repository) loadOwners(ctx context.Context, need *solve.NeedFiles) error {
	repo.asked = distinct(append(repo.asked, need.Paths...))
	slices.Sort(repo.asked)
	owners := repo.catalog.NewOwners(repo.asked, solve.MatchAny(repo.asked))
	named := slices.Sorted(maps.Keys(repo.catalog.NamedPaths()))
	question := hexSHA256(fmt.Appendf(nil, "named %q\nasked %q\n", named, repo.asked))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(repo.options.jobs())
	for i, src := range repo.sources {
		group.Go(func() error { return repo.findOwners(ctx, src, owners, i, question) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	repo.catalog.AddOwners(owners)
	return nil
}

// findOwners asks one component.
func (repo *repository) findOwners(ctx context.Context, src *component, owners *repomd.Owners, i int, question string) error {
	key, err := src.catalogKey()
	if err != nil {
		return err
	}
	record, err := src.record("filelists")
	if err != nil {
		return err
	}
	key += fmt.Sprintf("filelists %s\n%s\n", record.Checksum, question)
	kept, err := cached(repo.client.Cache(), kindOwners, key, func(r io.Reader, size int64) (*repomd.Owners, error) {
		return owners, owners.Read(r, size, i)
	})
	if kept != nil || err != nil {
		return err
	}
	if err := repo.read(ctx, src, "filelists", func(r io.Reader) error { return owners.ReadFilelists(r, i) }); err != nil {
		return err
	}
	write := func(w io.Writer) error { return owners.Write(w, i) }
	_ = keepWritten(repo.client.Cache(), kindOwners, hexSHA256([]byte(key)), write) // a cache that cannot be written to is no fault
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
