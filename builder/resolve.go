package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"slim/internal/fetch"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// Resolve reads the repository's metadata and finds the packages of a recipe for each of its platforms. It fetches
// metadata only. A request that cannot be met is a *solve.Error; a signature of the metadata that does not verify is a
// *VerifyError.
func Resolve(ctx context.Context, r *Recipe, o Options) (*Lock, error) {
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	lock := &Lock{}
	var failed platformErrors
	for _, p := range r.Platforms {
		o.Report.Report(Event{Phase: PhaseMetadata})
		repo, err := openRepository(ctx, client, r.Repository, p, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		o.Report.Report(Event{Phase: PhasePlan})
		if err := failed.add(p, repo.resolve(ctx, r, p, lock)); err != nil {
			return nil, err
		}
	}
	asks := func(spec string, p Platform) bool {
		return slices.ContainsFunc(r.Packages, func(w PackageRequest) bool { return w.Spec == spec && w.on(p) })
	}
	if err := failed.err(r.Platforms, asks); err != nil {
		return nil, err
	}
	return lock, nil
}

// resolve adds what a recipe takes on p to lock, and what the recipe that it extends takes to the lock's parent.
func (repo *repository) resolve(ctx context.Context, r *Recipe, p Platform, lock *Lock) error {
	var parent *LockedPlatform
	if len(r.Parents) > 0 {
		if lock.Parent == nil {
			lock.Parent = &Lock{}
		}
		if err := repo.resolve(ctx, r.Parents[0], p, lock.Parent); err != nil {
			return err
		}
		parent = lock.Parent.platform(p)
	}
	solution, err := repo.solve(ctx, r, p, parent, nil)
	if err != nil {
		return err
	}
	l := repo.lock(p, solution)
	l.inherit(parent)
	lock.Platforms = append(lock.Platforms, l)
	return nil
}

// solve asks for the recipe's packages, among those that keep leaves in, and for all that its parent has, which may be nil.
func (repo *repository) solve(ctx context.Context, r *Recipe, p Platform, parent *LockedPlatform, keep filter) (*solve.Solution, error) {
	request := solve.Request{
		Keep: keep, Arch: p.Arch(), Exclude: r.Exclude, Prefer: r.Prefer, Mode: r.Dependencies.mode(),
	}
	for _, want := range r.Packages {
		if want.on(p) {
			request.Install = append(request.Install, solve.Item{Spec: want.Spec})
		}
	}
	if parent != nil {
		for _, pkg := range parent.Packages {
			request.Install = append(request.Install, solve.Item{Spec: pkg.NEVRA.String()})
		}
	}
	return repo.ask(ctx, request)
}

// inherit gives the packages of a parent, which may be nil, the reasons that they have there.
func (l *LockedPlatform) inherit(parent *LockedPlatform) {
	if parent == nil {
		return
	}
	reasons := map[rpm.NEVRA]solve.Reason{}
	for _, pkg := range parent.Packages {
		reasons[pkg.NEVRA] = pkg.Reason
	}
	for i := range l.Packages {
		if reason, ok := reasons[l.Packages[i].NEVRA]; ok {
			l.Packages[i].Reason = reason
		}
	}
}

// on reports whether the request is meant for p.
func (w PackageRequest) on(p Platform) bool {
	if len(w.Platforms) == 0 {
		return true
	}
	return slices.Contains(w.Platforms, p)
}

func (repo *repository) lock(p Platform, s *solve.Solution) LockedPlatform {
	l := LockedPlatform{Platform: p, Choices: s.Choices}
	for _, src := range repo.sources {
		l.Sources = append(l.Sources, src.LockedSource)
	}
	for _, c := range s.Packages {
		pkg := LockedPackage{Metadata: c.Metadata, Source: repo.source(c.NEVRA), Reason: c.Reason}
		if h := repo.headers[c.Metadata]; h != nil {
			pkg.HeaderSHA256, pkg.Key = h.SHA256(), h.key
		}
		l.Packages = append(l.Packages, pkg)
	}
	return l
}

// packageSet are the verified packages of one platform, by the lock's order.
type packageSet struct {
	packages []*rpm.Package
	files    []*fetch.File  // of fetchPackages
	lazy     []*packageFile // of openPackages
}

func (s *packageSet) Close() {
	for _, f := range s.files {
		if f != nil {
			f.Close()
		}
	}
	for _, f := range s.lazy {
		if f != nil {
			f.Close()
		}
	}
}

// fetchPackages brings the packages of a platform here and verifies each: size and checksum, header digests, the
// header's signature by one of keys, the payload's digest, and that it is the package the lock names. Every package
// that fails is in the error.
func fetchPackages(ctx context.Context, client *fetch.Client, l *LockedPlatform, keys *rpm.Keyring, allowUnsigned bool, o Options) (*packageSet, error) {
	set := &packageSet{packages: make([]*rpm.Package, len(l.Packages)), files: make([]*fetch.File, len(l.Packages))}
	if err := l.findMirrors(ctx, client, o); err != nil {
		return nil, err
	}
	err := l.each(ctx, o, func(ctx context.Context, i int) error {
		file, err := client.Get(ctx, l.request(i))
		if err != nil {
			return fmt.Errorf("fetching %s: %w", l.Packages[i].NEVRA, err)
		}
		set.files[i] = file
		set.packages[i], err = verifyPackage(file, l.Packages[i], keys, allowUnsigned)
		return err
	})
	if err != nil {
		set.Close()
		return nil, err
	}
	return set, nil
}

// request is where package i is and what it has to be.
func (l *LockedPlatform) request(i int) fetch.Request {
	pkg := &l.Packages[i]
	r := fetch.Request{Digest: pkg.Checksum.String(), Size: pkg.Size}
	if pkg.Base != "" {
		r.URLs = append(r.URLs, repomd.Join("", pkg.Base, pkg.Location))
	}
	for _, base := range l.Sources[pkg.Source].URLs {
		r.URLs = append(r.URLs, repomd.Join(base, "", pkg.Location))
	}
	return r
}

func verifyPackage(file *fetch.File, want LockedPackage, keys *rpm.Keyring, allowUnsigned bool) (*rpm.Package, error) {
	parsed, err := rpm.OpenPackage(file, file.Size())
	if err != nil {
		return nil, &VerifyError{What: want.NEVRA.String(), Err: err}
	}
	opts := rpm.VerifyOptions{AllowUnsigned: allowUnsigned}
	if allowUnsigned {
		opts.Checksum = want.Checksum // without a signature nothing else need cover all of an old package
	}
	pkg, err := parsed.Verify(keys, opts)
	if err != nil {
		return nil, &VerifyError{What: want.NEVRA.String(), Err: err}
	}
	return pkg, want.checkHeader(pkg.NEVRA(), pkg.HeaderSHA256(), pkg.Key().ID, allowUnsigned)
}

// checkHeader compares what a package turned out to be with what the lock says of it.
func (want *LockedPackage) checkHeader(n rpm.NEVRA, sha256, key string, allowUnsigned bool) error {
	var err error
	switch {
	case n != want.NEVRA:
		err = fmt.Errorf("the file is package %s", n)
	case want.HeaderSHA256 != "" && sha256 != want.HeaderSHA256:
		err = fmt.Errorf("its header has the sha256 %s, and the lock says %s", sha256, want.HeaderSHA256)
	case want.Key != "" && !allowUnsigned && key != want.Key:
		err = fmt.Errorf("it is signed by key %s, and the lock says %s", key, want.Key)
	default:
		return nil
	}
	return &VerifyError{What: want.NEVRA.String(), Err: err}
}

// VerifyError says that something is not what its signature, digest or description says.
type VerifyError struct {
	What string // the package, or the file of the repository
	Err  error
}

func (e *VerifyError) Error() string {
	var named *rpm.VerifyError
	if errors.As(e.Err, &named) && named.Package != "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("verifying %s: %v", e.What, e.Err)
}

func (e *VerifyError) Unwrap() error { return e.Err }
