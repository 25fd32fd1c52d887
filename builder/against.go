package builder

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"slim/internal/audit"
	"slim/internal/fetch"
	"slim/internal/rpm"
)

// The words of a comparison, as internal/audit defines them.
type (
	ComparedPackage = audit.Compared
	Verdict         = audit.Verdict
)

// Verdicts are all, the best first.
func Verdicts() []Verdict { return audit.Verdicts() }

// reference is what the packages of an image are compared with: sets of packages by platform, or a repository. A nil one
// compares nothing.
type reference struct {
	given   string
	options *VerifyOptions
	sets    map[Platform]audit.Reference // of an image or a lock

	from   *Repository
	client *fetch.Client
	open   map[Platform]*repository
	done   func()
}

// openReference reads what o.Against names; nil without any.
func (o *VerifyOptions) openReference(ctx context.Context) (*reference, error) {
	if o.Against == "" {
		return nil, nil
	}
	r := &reference{given: o.Against, options: o, sets: map[Platform]audit.Reference{}, open: map[Platform]*repository{}}
	if file, recipe, ok := lockNamed(o.Against); ok || filepath.Ext(file) == ".lock" {
		return r, r.readLock(file, recipe)
	}
	from, err := o.referenceRepository()
	if err != nil {
		return nil, err
	}
	if from != nil {
		r.from = from
		r.client, r.done, err = o.client()
		return r, err
	}
	return r, r.readImage(ctx)
}

// referenceRepository is the repository that o.Against names by a recipe, a URL or a directory; nil when it names none.
func (o *VerifyOptions) referenceRepository() (*Repository, error) {
	given := o.Against
	switch ext := filepath.Ext(given); {
	case (ext == ".yaml" || ext == ".yml") && !strings.Contains(given, "://"), strings.HasPrefix(given, builtinPrefix):
		r, err := ReadRecipe(given, RecipeOptions{Builtin: o.Builtin})
		if err != nil {
			return nil, err
		}
		return &r.Repository, nil
	case isURL(given), isFile(filepath.Join(given, "repodata", "repomd.xml")):
		dir, err := os.Getwd()
		return &Repository{Name: given, BaseURL: given, Dir: dir}, err
	}
	return nil, nil
}

func (r *reference) readLock(file, recipe string) error {
	f, err := ReadLockFile(file)
	if err != nil {
		return err
	}
	all, err := f.listings(file, recipe, r.options.Platforms)
	if err != nil {
		return err
	}
	for _, l := range all {
		r.sets[l.platform] = audit.Reference{Packages: l.packages, Keys: f.signers()}
	}
	return nil
}

// signers are the ids of the keys that signed the packages of a lock.
func (f *LockFile) signers() []string {
	var keys []string
	for i := range f.Packages {
		if k := f.Packages[i].Key; k != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}

func (r *reference) readImage(ctx context.Context) error {
	o := r.options
	sources, err := o.keySources()
	if err != nil {
		return err
	}
	_, err = eachView(ctx, r.given, viewOptions{o.Platforms, o.Options}, func(v *view) error {
		d, err := v.database()
		if err != nil {
			return fmt.Errorf("reading %s: %w", r.given, err)
		}
		if d.path == "" {
			return fmt.Errorf("reading %s: it has no rpmdb to compare with%s", r.given, v.otherDatabase())
		}
		keys, err := o.keyring(ctx, sources, v.platform)
		if err != nil {
			return err
		}
		var set audit.Reference
		set.Packages, _ = d.read(keys)
		for i := range set.Packages {
			p := &set.Packages[i]
			p.Files = nil
			if p.Err == nil && !slices.Contains(set.Keys, p.Key.Fingerprint) {
				set.Keys = append(set.Keys, p.Key.Fingerprint)
			}
		}
		r.sets[v.platform] = set
		return nil
	})
	return err
}

func (r *reference) close() {
	if r != nil && r.done != nil {
		r.done()
	}
}

// compare compares the packages of an image on a platform, nil when there is nothing to compare with. An image of one
// platform serves a plain root and is served by one.
func (r *reference) compare(ctx context.Context, p Platform, packages []audit.Package) (*audit.Comparison, error) {
	if r == nil {
		return nil, nil
	}
	if r.from != nil {
		set, err := r.builds(ctx, p, packages)
		if err != nil {
			return nil, fmt.Errorf("comparing with %s: %w", r.given, err)
		}
		return audit.Against(packages, set), nil
	}
	set, ok := r.sets[p]
	if !ok {
		set, ok = r.sets[Platform{}]
	}
	if !ok && len(r.sets) == 1 && p == (Platform{}) {
		for _, set = range r.sets {
			ok = true
		}
	}
	if !ok {
		return nil, fmt.Errorf("comparing with %s: it has nothing for the platform %s", r.given, p)
	}
	return audit.Against(packages, set), nil
}

// builds are what the repository has of packages. Metadata has no digests of headers: those of builds of the same NEVRA
// are read, of the others only the newest is named.
func (r *reference) builds(ctx context.Context, p Platform, packages []audit.Package) (audit.Reference, error) {
	set := audit.Reference{Whole: true}
	repo, err := r.repository(ctx, p, packages)
	if err != nil {
		return set, err
	}
	var same []*rpm.Metadata
	for i := range packages {
		n := packages[i].NEVRA
		if number, ok := repo.catalog.Find(n); ok {
			same = append(same, repo.catalog.Package(number))
		} else if newest, ok := repo.newestBuild(n.Name, n.Arch); ok {
			set.Packages = append(set.Packages, audit.Package{NEVRA: newest})
		}
	}
	digests := make([]string, len(same))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(4, r.options.jobs()))
	for i := range same {
		group.Go(func() (err error) {
			digests[i], err = repo.headerDigest(ctx, same[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return set, err
	}
	for i, m := range same {
		set.Packages = append(set.Packages, audit.Package{NEVRA: m.NEVRA, SHA256: digests[i]})
	}
	return set, repo.catalog.Err()
}

// repository opens the repository for a platform; for a plain root that is the one of its packages' architecture.
func (r *reference) repository(ctx context.Context, p Platform, packages []audit.Package) (*repository, error) {
	if p == (Platform{}) {
		for i := range packages {
			if known, err := ParsePlatform(packages[i].NEVRA.Arch); err == nil {
				p = known
				break
			}
		}
	}
	if p == (Platform{}) {
		p = HostPlatform()
	}
	if r.open[p] == nil {
		repo, err := openRepository(ctx, r.client, *r.from, p, r.options.Options)
		if err != nil {
			return nil, err
		}
		r.open[p] = repo
	}
	return r.open[p], nil
}

// headerDigest is the SHA-256 of a package's header in hex, as it stands in the repository: nothing is verified.
func (repo *repository) headerDigest(ctx context.Context, m *rpm.Metadata) (string, error) {
	l := &LockedPlatform{Platform: repo.platform, Packages: []LockedPackage{{Metadata: m, Source: repo.source(m.NEVRA)}}}
	for _, src := range repo.sources {
		l.Sources = append(l.Sources, src.LockedSource)
	}
	if end := m.HeaderEnd; end > 0 && end <= maxHeaderEnd {
		start, err := repo.client.Beginning(ctx, l.request(0), end)
		if err != nil {
			return "", fmt.Errorf("fetching the header of %s: %w", m.NEVRA, err)
		}
		if f, err := rpm.OpenPackage(bytes.NewReader(start), int64(len(start))); err == nil {
			return f.Header().SHA256(), nil
		}
	}
	file, err := repo.client.Get(ctx, l.request(0))
	if err != nil {
		return "", fmt.Errorf("fetching %s: %w", m.NEVRA, err)
	}
	defer file.Close()
	f, err := rpm.OpenPackage(file, file.Size())
	if err != nil {
		return "", &VerifyError{What: m.NEVRA.String(), Err: err}
	}
	return f.Header().SHA256(), nil
}
