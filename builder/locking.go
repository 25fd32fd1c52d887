package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/fetch"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// Refresh says which locked builds may give way to newer ones.
type Refresh int

const (
	RefreshNothing  Refresh = iota // none, unless the recipes cannot be met otherwise
	RefreshNamed                   // those of LockRequest.Packages, and what that takes
	RefreshSecurity                // those that a security advisory updates, and what that takes
	RefreshAll                     // all
)

// LockRequest says what is to be locked.
type LockRequest struct {
	Dir     string    // where the lock and all recipes are
	Recipes []*Recipe // at least one; recipes that Old has besides stay in the lock as they are there
	Old     *LockFile // what is locked already; nil for nothing
	Refresh Refresh
	// Packages are names, with RefreshNamed.
	Packages []string
	// Pins are builds to take, whatever Old says; nil for none.
	Pins *KonfluxLock
	// DryRun fetches no packages: the lock that comes of it has no header digests and cannot be written.
	DryRun bool
}

// LockResult is a new lock and what there is to say about it.
type LockResult struct {
	File    *LockFile
	Changes []Change // against the old lock, by platform and name
	Dropped []string // recipes of the old lock whose files are gone
	// Held are packages that were to be refreshed and have no newer build that can be installed, by name.
	Held []string
	// Gone are locked builds that were to stay and that the repository no longer has, by platform and NEVRA.
	Gone []LockFilePackage
	// Lacking are packages that a recipe takes on some of its platforms only, Differing those whose version is not
	// the same on all: one more permutation to look after.
	Lacking   []Lacking
	Differing []Differing
}

// Lacking are names that a recipe takes on other platforms.
type Lacking struct {
	Recipe   string
	Platform Platform
	Names    []string
}

// Differing is a package whose version is not the same on all platforms.
type Differing struct {
	Name   string
	Builds []LockFilePackage // by platform
}

// MakeLock solves all recipes together, keeps what is locked as far as the request says, and fetches and verifies each
// package that was not locked before. A request that cannot be met is a *solve.Error, a package that does not verify
// a *VerifyError, recipes that do not belong into one lock a *LockUsageError.
func MakeLock(ctx context.Context, req LockRequest, o Options) (*LockResult, error) {
	l := locking{req: req, options: o, result: &LockResult{File: &LockFile{}}}
	if err := l.words(); err != nil {
		return nil, err
	}
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	l.client = client
	if err := l.solve(ctx); err != nil {
		return nil, err
	}
	if !req.DryRun {
		if err := l.verify(ctx); err != nil {
			return nil, err
		}
	}
	l.result.File.sort()
	if err := l.changes(ctx); err != nil {
		return nil, err
	}
	l.compare()
	l.result.Held = distinct(l.result.Held)
	return l.result, nil
}

// LockUsageError says why recipes cannot be locked together.
type LockUsageError struct{ Message, Hint string }

func (e *LockUsageError) Error() string { return e.Message }

// locking is the work on one request.
type locking struct {
	req     LockRequest
	options Options
	client  *fetch.Client
	result  *LockResult
	solved  []*solvedPlatform
}

// solvedPlatform is what the recipes take on a platform.
type solvedPlatform struct {
	platform   Platform
	repo       *repository
	takes      map[string][]*rpm.Metadata // by recipe
	advisories []repomd.Advisory
	advised    bool // advisories have been read
}

// words fills in the repository and the recipes, as they ask.
func (l *locking) words() error {
	f, old := l.result.File, l.req.Old
	for i, r := range l.req.Recipes {
		if err := recipeBeside(r, l.req.Dir); err != nil {
			return err
		}
		repo := lockedRepository(r, l.req.Dir)
		if i == 0 {
			f.Repository = repo
		}
		if faults := repo.differs(f.Repository, "not"); len(faults) > 0 {
			return &LockUsageError{fmt.Sprintf("%s and %s cannot share a lock, as the repository is not the same: %s",
				r.File, l.req.Recipes[0].File, strings.Join(faults, "; ")), "keep recipes of different repositories in directories of their own"}
		}
	}
	for _, r := range l.req.Recipes {
		if err := l.enter(r, r.Platforms); err != nil {
			return err
		}
	}
	if old == nil {
		return nil
	}
	for _, r := range old.Recipes {
		if f.Recipe(r.File) != nil || r.Elsewhere() {
			continue
		}
		if _, err := os.Stat(filepath.Join(l.req.Dir, filepath.FromSlash(r.File))); errors.Is(err, os.ErrNotExist) {
			l.result.Dropped = append(l.result.Dropped, r.File)
			continue
		}
		if faults := f.Repository.differs(old.Repository, "and was"); len(faults) > 0 {
			return &LockUsageError{
				fmt.Sprintf("the lock also covers %s, and the repository has changed: %s", r.File, strings.Join(faults, "; ")),
				"name all recipes of the lock",
			}
		}
		r.Takes = slices.Clone(r.Takes)
		f.Recipes = append(f.Recipes, r)
	}
	for i := 0; i < len(f.Recipes); i++ { // which grows
		r := f.Recipes[i]
		if parent := old.Recipe(r.Extends); parent != nil && f.Recipe(r.Extends) == nil {
			kept := *parent
			kept.Takes = slices.Clone(kept.Takes)
			f.Recipes = append(f.Recipes, kept)
		}
		if parent := f.Recipe(r.Extends); parent != nil {
			parent.addPlatforms(r.platforms())
		}
	}
	return nil
}

// enter adds a recipe and those that it extends, for at least these platforms.
func (l *locking) enter(r *Recipe, platforms []Platform) error {
	f := l.result.File
	entry, err := lockedRecipe(r, l.req.Dir)
	if err != nil {
		return err
	}
	if f.Recipe(entry.File) == nil {
		f.Recipes = append(f.Recipes, entry)
	}
	f.Recipe(entry.File).addPlatforms(platforms)
	if len(r.Parents) == 0 {
		return nil
	}
	return l.enter(r.Parents[0], f.Recipe(entry.File).platforms())
}

func (r *LockedRecipe) platforms() []Platform {
	var out []Platform
	for _, t := range r.Takes {
		out = append(out, t.Platform)
	}
	return out
}

func (r *LockedRecipe) addPlatforms(platforms []Platform) {
	for _, p := range platforms {
		if r.take(p) == nil {
			r.Takes = append(slices.Clip(r.Takes), LockedTake{Platform: p})
		}
	}
}

// lockedRepository is the repository of r in the recipe's words.
func lockedRepository(r *Recipe, dir string) LockedRepository {
	own := &r.Repository
	if r.Own != nil {
		own = r.Own
	}
	out := LockedRepository{Name: r.Repository.Name, Components: r.Repository.Components, ReleaseVer: r.Repository.ReleaseVer, Modules: r.Repository.Modules}
	out.Address, out.Kind = own.address()
	if isURL(out.Address) || filepath.IsAbs(out.Address) {
		return out
	}
	abs := filepath.Join(own.Dir, out.Address)
	if top, err := filepath.Abs(dir); err == nil {
		if rel, err := filepath.Rel(top, abs); err == nil {
			abs = rel
		}
	}
	out.Address = filepath.ToSlash(abs)
	return out
}

// differs says in what a repository is not another one, with a word for the other.
func (r LockedRepository) differs(other LockedRepository, word string) []string {
	var out []string
	add := func(key, says, was string) {
		if says != was {
			out = append(out, fmt.Sprintf("repository.%s is %s, %s %s", key, orNone(says), word, orNone(was)))
		}
	}
	kinds := [...]string{"baseurl", "mirrorlist", "metalink", "file"}
	if r.Kind != other.Kind {
		out = append(out, fmt.Sprintf("the address of the repository is a %s, %s a %s", kinds[r.Kind], word, kinds[other.Kind]))
	} else {
		add(kinds[r.Kind], strings.TrimRight(r.Address, "/"), strings.TrimRight(other.Address, "/"))
	}
	add("components", strings.Join(r.Components, ", "), strings.Join(other.Components, ", "))
	add("releasever", r.ReleaseVer, other.ReleaseVer)
	add("modules", strings.Join(r.Modules, ", "), strings.Join(other.Modules, ", "))
	return out
}

func orNone(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// lockedRecipe is what r asks for.
func lockedRecipe(r *Recipe, dir string) (LockedRecipe, error) {
	file, err := recipeInLock(r, dir)
	if err != nil {
		return LockedRecipe{}, err
	}
	out := LockedRecipe{File: file, Packages: r.Packages, Exclude: r.Exclude, Prefer: r.Prefer, Dependencies: r.Dependencies}
	if len(r.Parents) > 0 {
		if out.Extends, err = recipeInLock(r.Parents[0], dir); err != nil {
			return out, err
		}
	}
	out.addPlatforms(r.Platforms)
	return out, nil
}

// recipeInLock is the name of a recipe in a lock in dir.
func recipeInLock(r *Recipe, dir string) (string, error) {
	name := r.File
	if !strings.HasPrefix(name, builtinPrefix) {
		here, err := filepath.Abs(r.File)
		if err != nil {
			return "", err
		}
		top, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		rel, err := filepath.Rel(top, here)
		if err != nil {
			return "", &LockUsageError{fmt.Sprintf("%s has no path from %s", r.File, dir), "keep a recipe and the one that it extends on one volume"}
		}
		name = filepath.ToSlash(rel)
	}
	if hasControl(name) || name != strings.TrimSpace(name) {
		return "", &LockUsageError{fmt.Sprintf("the file name %q cannot stand in a lock", name), "rename the recipe"}
	}
	return name, nil
}

// recipeBeside says why a recipe is not one that can be in dir, beside its lock.
func recipeBeside(r *Recipe, dir string) error {
	if LockPath(r) == "" {
		return &LockUsageError{r.File + " is built in: there is no directory for its lock", "slim init --from writes it into a file"}
	}
	name, err := recipeInLock(r, dir)
	if err == nil && strings.Contains(name, "/") {
		err = &LockUsageError{fmt.Sprintf("%s is not in %s", r.File, dir), "a lock covers the recipes of one directory: lock each directory on its own"}
	}
	return err
}

// solve finds the packages of each platform.
func (l *locking) solve(ctx context.Context) error {
	f := l.result.File
	platforms := f.Platforms()
	var failed platformErrors
	for _, p := range platforms {
		l.options.Report.Report(Event{Phase: PhaseMetadata})
		repo, err := openRepository(ctx, l.client, l.req.Recipes[0].Repository, p, l.options)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		s := &solvedPlatform{platform: p, repo: repo}
		l.options.Report.Report(Event{Phase: PhasePlan})
		if err := failed.add(p, l.platform(ctx, s)); err != nil {
			return err
		}
		l.solved = append(l.solved, s)
		for _, src := range repo.sources {
			f.Sources = append(f.Sources, LockFileSource{Platform: p, LockedSource: src.LockedSource})
		}
	}
	if err := failed.err(platforms, f.asks); err != nil {
		return err
	}
	for _, s := range l.solved {
		l.record(s)
		l.gone(s)
	}
	return nil
}

// gone notes what could not stay.
func (l *locking) gone(s *solvedPlatform) {
	if l.req.Old == nil || l.req.Refresh == RefreshAll {
		return
	}
	for _, p := range l.req.Old.Packages {
		if p.Platform == s.platform && !s.repo.has(p.NEVRA) && !(l.req.Refresh == RefreshNamed && slices.Contains(l.req.Packages, p.Name)) {
			l.result.Gone = append(l.result.Gone, p)
		}
	}
}

// depth is how many recipes r extends, one through the other.
func (f *LockFile) depth(r *LockedRecipe) int {
	depth := 0
	for up := f.Recipe(r.Extends); up != nil && depth <= maxExtends; up = f.Recipe(up.Extends) {
		depth++
	}
	return depth
}

// asks reports whether a recipe asks for spec on p.
func (f *LockFile) asks(spec string, p Platform) bool {
	return slices.ContainsFunc(f.Recipes, func(r LockedRecipe) bool {
		return r.take(p) != nil && slices.ContainsFunc(r.Packages, func(w PackageRequest) bool { return w.Spec == spec && w.on(p) })
	})
}

// record writes what was solved into the lock.
func (l *locking) record(s *solvedPlatform) {
	f := l.result.File
	taken := map[*rpm.Metadata]bool{}
	builds := map[string]int{}
	for _, list := range s.takes {
		for _, m := range list {
			if !taken[m] {
				taken[m] = true
				builds[m.Name]++
			}
		}
	}
	for m := range taken {
		source := s.repo.source(m.NEVRA)
		f.Packages = append(f.Packages, LockFilePackage{
			Platform: s.platform, Component: s.repo.sources[source].Component,
			LockedPackage: LockedPackage{Metadata: m, Source: source},
		})
	}
	for i := range f.Recipes {
		t := f.Recipes[i].take(s.platform)
		if t == nil {
			continue
		}
		t.Names = nil
		for _, m := range s.takes[f.Recipes[i].File] {
			name := m.Name
			if builds[name] > 1 {
				name += "." + m.Arch
			}
			t.Names = append(t.Names, name)
		}
	}
}

// joint solves the recipes of a platform together.
type joint struct {
	repo    *repository
	arch    string
	on      Platform
	recipes []*LockedRecipe // those that others extend before them, then by file
	pins    versions        // what is locked
}

// versions are the versions of packages by name. There may be two of a name for two architectures.
type versions map[string][]rpm.EVR

func (v versions) add(m *rpm.Metadata) {
	if !v.has(m.Name, m.EVR) {
		v[m.Name] = append(v[m.Name], m.EVR)
	}
}

func (v versions) has(name string, evr rpm.EVR) bool { return slices.Contains(v[name], evr) }

// keep leaves of the packages that v names the versions that it has, and all of the others.
func (v versions) keep(n rpm.NEVRA) bool { return v[n.Name] == nil || v.has(n.Name, n.EVR) }

// platform solves the recipes on a platform: with what is locked as it is and, when that has no solution, with as much
// of it as can stay.
func (l *locking) platform(ctx context.Context, s *solvedPlatform) error {
	u := &joint{repo: s.repo, arch: s.platform.Arch(), on: s.platform, pins: versions{}}
	for i := range l.result.File.Recipes {
		if r := &l.result.File.Recipes[i]; r.take(s.platform) != nil {
			u.recipes = append(u.recipes, r)
		}
	}
	slices.SortFunc(u.recipes, func(a, b *LockedRecipe) int {
		return cmp.Or(cmp.Compare(l.result.File.depth(a), l.result.File.depth(b)), strings.Compare(a.File, b.File))
	})
	if l.req.Pins != nil {
		return l.pinned(ctx, s, u)
	}
	newer, err := l.newer(ctx, s)
	if err != nil {
		return err
	}
	u.pins = l.locked(s, newer)
	s.takes, err = u.solve(ctx, both(newer.keep, u.pins.keep))
	if !isUnsolvable(err) {
		return err
	}
	s.takes, err = u.solve(ctx, newer.keep)
	if !isUnsolvable(err) || len(newer) == 0 {
		return err
	}
	return l.oneByOne(ctx, s, u, newer)
}

func isUnsolvable(err error) bool {
	var unsolvable *solve.Error
	return errors.As(err, &unsolvable)
}

// locked are the builds of the old lock that the repository still has and that are not in newer.
func (l *locking) locked(s *solvedPlatform, newer bounds) versions {
	pins := versions{}
	if l.req.Old == nil || l.req.Refresh == RefreshAll {
		return pins
	}
	for _, p := range l.req.Old.Packages {
		if _, ok := newer[p.Name]; p.Platform == s.platform && s.repo.has(p.NEVRA) && !ok {
			pins.add(p.Metadata)
		}
	}
	return pins
}

// solve finds what each recipe takes, by its file: together, from universe.
func (u *joint) solve(ctx context.Context, universe filter) (map[string][]*rpm.Metadata, error) {
	all := u.all(universe)
	solution, err := u.repo.ask(ctx, all)
	if err != nil && (len(u.recipes) == 1 || !isUnsolvable(err)) {
		return nil, err
	}
	chosen := &universeOf{all: universe, chosen: map[rpm.NEVRA]bool{}, versions: versions{}}
	if err == nil {
		for _, c := range solution.Packages {
			chosen.add(c.Metadata)
		}
	}
	takes := map[string][]*rpm.Metadata{}
	var problems []solve.Problem
	for _, r := range u.recipes {
		above, ok := takes[r.Extends]
		if r.Extends != "" && (!ok || above == nil) {
			continue // of what it extends the error says enough
		}
		list, err := u.one(ctx, r, above, chosen)
		var unsolvable *solve.Error
		switch {
		case errors.As(err, &unsolvable):
			for _, p := range unsolvable.Problems {
				if len(u.recipes) > 1 {
					p.Summary = r.File + ": " + p.Summary
				}
				problems = append(problems, p)
			}
		case err != nil:
			return nil, err
		}
		takes[r.File] = list
	}
	if len(problems) > 0 {
		return nil, &solve.Error{Problems: problems}
	}
	return takes, nil
}

// universeOf are the packages that recipes share.
type universeOf struct {
	all      filter
	chosen   map[rpm.NEVRA]bool
	versions versions
}

func (x *universeOf) add(m *rpm.Metadata) {
	x.chosen[m.NEVRA] = true
	x.versions.add(m)
}

// one finds what a recipe takes of what is chosen. Where that is not enough, since it excludes something or recipes
// conflict with each other, it adds what is missing, but never another version of a package that is chosen. It takes all
// that is taken by the recipe above it, which it extends.
func (u *joint) one(ctx context.Context, r *LockedRecipe, above []*rpm.Metadata, chosen *universeOf) ([]*rpm.Metadata, error) {
	request := u.request(r, func(n rpm.NEVRA) bool { return chosen.chosen[n] })
	for _, m := range above {
		request.Install = append(request.Install, solve.Item{Spec: m.NEVRA.String()})
	}
	solution, err := u.repo.ask(ctx, request)
	if isUnsolvable(err) {
		request.Keep = both(chosen.versions.keep, chosen.all)
		solution, err = u.repo.ask(ctx, request)
	}
	if isUnsolvable(err) && len(chosen.chosen) > 0 {
		request.Keep = chosen.all
		if alone, aloneErr := u.repo.ask(ctx, request); aloneErr == nil {
			return nil, apart(alone, chosen)
		}
	}
	if err != nil {
		return nil, err
	}
	var list []*rpm.Metadata
	for _, c := range solution.Packages {
		chosen.add(c.Metadata)
		list = append(list, c.Metadata)
	}
	return list, nil
}

// apart says that a recipe needs other versions than those before it.
func apart(alone *solve.Solution, chosen *universeOf) error {
	p := solve.Problem{Summary: "it and the other recipes cannot share one build of each package"}
	for _, c := range alone.Packages {
		if evrs := chosen.versions[c.Name]; evrs != nil && !slices.Contains(evrs, c.EVR) {
			p.Chain = append(p.Chain, fmt.Sprintf("it takes %s, the others %s", c.NEVRA, evrs[0]))
		}
	}
	p.Hints = []string{"ask for the same version in all of them, or keep them in directories of their own"}
	return &solve.Error{Problems: []solve.Problem{p}}
}

// request asks for the packages of one recipe.
func (u *joint) request(r *LockedRecipe, universe filter) solve.Request {
	q := solve.Request{Keep: universe, Arch: u.arch, Exclude: r.Exclude, Prefer: u.prefer(r.Prefer), Mode: r.Dependencies.mode()}
	for _, want := range r.Packages {
		if want.on(u.on) {
			q.Install = append(q.Install, solve.Item{Spec: want.Spec})
		}
	}
	return q
}

// all asks for the packages of all recipes: with what every one excludes, and the requirements that any one follows.
func (u *joint) all(universe filter) solve.Request {
	q := solve.Request{Keep: universe, Arch: u.arch, Mode: solve.Named}
	asked := map[string]bool{}
	var prefer []string
	for i, r := range u.recipes {
		one := u.request(r, nil)
		for _, item := range one.Install {
			if !asked[item.Spec] {
				asked[item.Spec] = true
				q.Install = append(q.Install, item)
			}
		}
		prefer = append(prefer, r.Prefer...)
		if i == 0 {
			q.Exclude = slices.Clone(r.Exclude)
		}
		q.Exclude = slices.DeleteFunc(q.Exclude, func(s string) bool { return !slices.Contains(r.Exclude, s) })
		q.Mode = min(q.Mode, one.Mode)
	}
	q.Prefer = u.prefer(distinct(prefer))
	return q
}

// prefer is what recipes prefer, of that the locked builds first, and then all that is locked.
func (u *joint) prefer(said []string) []string {
	var out []string
	pin := func(name string) {
		for _, evr := range u.pins[name] {
			out = append(out, name+"-"+evr.String())
		}
	}
	for _, spec := range said {
		pin(spec)
		out = append(out, spec)
	}
	for _, name := range slices.Sorted(maps.Keys(u.pins)) {
		pin(name)
	}
	return out
}

// mode is the solver's word for d. A smaller mode follows more.
func (d Dependencies) mode() solve.Mode {
	switch d {
	case DependenciesRuntime:
		return solve.Runtime
	case DependenciesNamed:
		return solve.Named
	}
	return solve.Full
}

// verify fetches and checks every package whose header and signer are not known from the old lock.
func (l *locking) verify(ctx context.Context) error {
	f := l.result.File
	known := map[rpm.Checksum]LockedPackage{}
	if l.req.Old != nil {
		for _, p := range l.req.Old.Packages {
			known[p.Checksum] = p.LockedPackage
		}
	}
	recipe := l.req.Recipes[0]
	for _, s := range l.solved {
		keys, err := l.keys(ctx, recipe.Repository, s.platform)
		if err != nil {
			return err
		}
		todo := &LockedPlatform{Platform: s.platform}
		for _, src := range s.repo.sources {
			todo.Sources = append(todo.Sources, src.LockedSource)
		}
		var at []int
		for i := range f.Packages {
			p := &f.Packages[i]
			if p.Platform != s.platform {
				continue
			}
			if was, ok := known[p.Checksum]; ok && was.NEVRA == p.NEVRA && (was.Key != "" || !recipe.Repository.GPGCheck) {
				p.HeaderSHA256, p.Key = was.HeaderSHA256, was.Key
				continue
			}
			todo.Packages, at = append(todo.Packages, p.LockedPackage), append(at, i)
		}
		if len(at) == 0 {
			continue
		}
		l.options.Report.Report(Event{Phase: PhasePackages, Message: fmt.Sprintf("%s: fetching %d packages to lock their headers and signers", s.platform, len(at))})
		set, err := fetchPackages(ctx, l.client, todo, keys, !recipe.Repository.GPGCheck, l.options)
		if err != nil {
			return fmt.Errorf("%s: %w", s.platform, err)
		}
		for k, i := range at {
			f.Packages[i].HeaderSHA256, f.Packages[i].Key = set.packages[k].HeaderSHA256(), set.packages[k].Key().ID
		}
		set.Close()
	}
	return nil
}

// keys reads the recipe's keys, and locks those that are fetched: they are then in the cache.
func (l *locking) keys(ctx context.Context, r Repository, p Platform) (*rpm.Keyring, error) {
	if !r.GPGCheck {
		return &rpm.Keyring{}, nil
	}
	refs, err := r.KeyRefs(p)
	if err != nil {
		return nil, err
	}
	f := l.result.File
	for _, ref := range refs {
		u := ref.Address
		if !isURL(u) || slices.ContainsFunc(f.Keys, func(k LockedKey) bool { return k.Address == u }) {
			continue
		}
		content, err := keyContent(ctx, l.client, u, l.options)
		if err != nil {
			return nil, fmt.Errorf("reading key %s: %w", u, err)
		}
		f.Keys = append(f.Keys, LockedKey{Address: u, SHA256: hexSHA256(content)})
	}
	o := l.options
	o.Keys = f.Keys
	return loadKeys(ctx, l.client, r, p, o)
}

// compare finds what is not the same on all platforms.
func (l *locking) compare() {
	f := l.result.File
	for _, r := range f.Recipes {
		all := map[string]bool{}
		for _, t := range r.Takes {
			for _, n := range t.Names {
				all[n] = true
			}
		}
		for _, t := range r.Takes {
			var lacks []string
			for _, n := range slices.Sorted(maps.Keys(all)) {
				if _, ok := slices.BinarySearch(t.Names, n); !ok {
					lacks = append(lacks, n)
				}
			}
			if len(lacks) > 0 {
				l.result.Lacking = append(l.result.Lacking, Lacking{Recipe: r.File, Platform: t.Platform, Names: lacks})
			}
		}
	}
	byName := map[string][]LockFilePackage{}
	for _, p := range f.Packages {
		byName[p.Name] = append(byName[p.Name], p)
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		builds := byName[name]
		if slices.ContainsFunc(builds, func(p LockFilePackage) bool { return p.EVR != builds[0].EVR }) {
			slices.SortStableFunc(builds, func(a, b LockFilePackage) int { return comparePlatforms(a.Platform, b.Platform) })
			l.result.Differing = append(l.result.Differing, Differing{Name: name, Builds: builds})
		}
	}
}

// platformErrors collects what cannot be solved on some platforms, so that all of them are looked at.
type platformErrors struct {
	on     []Platform
	errors []*solve.Error
}

// add keeps a *solve.Error and returns any other.
func (e *platformErrors) add(p Platform, err error) error {
	var unsolvable *solve.Error
	if err == nil {
		return nil
	}
	if !errors.As(err, &unsolvable) {
		return fmt.Errorf("%s: %w", p, err)
	}
	e.on, e.errors = append(e.on, p), append(e.errors, unsolvable)
	return nil
}

// err joins the errors. What one of platforms lacks and another one that asks for it has comes with a hint.
func (e *platformErrors) err(platforms []Platform, asks func(spec string, p Platform) bool) error {
	var all []error
	for i, p := range e.on {
		out := &solve.Error{}
		for _, problem := range e.errors[i].Problems {
			if there := e.with(problem.Missing, platforms, asks); problem.Missing != "" && len(there) > 0 {
				problem.Hints = append(slices.Clone(problem.Hints), fmt.Sprintf("%s has it: write {name: %q, platforms: [%s]}",
					strings.Join(there, ", "), problem.Missing, strings.Join(there, ", ")))
			}
			out.Problems = append(out.Problems, problem)
		}
		all = append(all, fmt.Errorf("%s: %w", p, out))
	}
	return errors.Join(all...)
}

// with are the platforms that ask for a spec and do not lack it.
func (e *platformErrors) with(spec string, platforms []Platform, asks func(spec string, p Platform) bool) []string {
	var out []string
	for _, p := range platforms {
		i := slices.Index(e.on, p)
		if asks(spec, p) && (i < 0 || !slices.ContainsFunc(e.errors[i].Problems, func(q solve.Problem) bool { return q.Missing == spec })) {
			out = append(out, p.String())
		}
	}
	return out
}

// StaleError says that recipes and their lock have gone apart.
type StaleError struct {
	Lock    string // its file
	Misfits []Misfit
}

// Misfit is one thing that a lock was not made for.
type Misfit struct {
	Recipe  string // its file
	Message string
}

func (e *StaleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is stale", e.Lock)
	for _, m := range e.Misfits {
		fmt.Fprintf(&b, "\n  %s: %s", m.Recipe, m.Message)
	}
	return b.String()
}

// Fit says what in a recipe, or in those that it extends, is not what the lock was made for; nothing when it fits. Of the
// lock's platforms the recipe may want fewer.
func (f *LockFile) Fit(r *Recipe) []Misfit {
	dir := filepath.Dir(LockPath(r))
	if err := recipeBeside(r, dir); err != nil {
		return []Misfit{{Recipe: r.File, Message: err.Error()}}
	}
	var out []Misfit
	for _, fault := range lockedRepository(r, dir).differs(f.Repository, "and was") {
		out = append(out, Misfit{Recipe: r.File, Message: fault})
	}
	for _, one := range slices.Concat([]*Recipe{r}, r.Parents) {
		out = append(out, f.fit(one, dir, r.Platforms)...)
	}
	return out
}

// fit looks at one recipe, for some platforms.
func (f *LockFile) fit(r *Recipe, dir string, platforms []Platform) []Misfit {
	var out []Misfit
	add := func(format string, args ...any) {
		out = append(out, Misfit{Recipe: r.File, Message: fmt.Sprintf(format, args...)})
	}
	now, err := lockedRecipe(r, dir)
	if err != nil {
		add("%v", err)
		return out
	}
	was := f.Recipe(now.File)
	if was == nil {
		add("the recipe is not in the lock")
		return out
	}
	for _, p := range platforms {
		if was.take(p) == nil {
			add("platform %s is not in the lock", p)
		}
	}
	if now.Extends != was.Extends {
		add("extends is %s, and was %s", orNone(now.Extends), orNone(was.Extends))
	}
	fitRequests(now.Packages, was.Packages, add)
	fitLists("exclude", now.Exclude, was.Exclude, add)
	fitLists("prefer", now.Prefer, was.Prefer, add)
	if len(out) == 0 && !slices.Equal(now.Prefer, was.Prefer) {
		add("prefer has another order")
	}
	if now.Dependencies != was.Dependencies {
		add("dependencies is %s, and was %s", now.Dependencies, was.Dependencies)
	}
	return out
}

func fitRequests(now, was []PackageRequest, add func(string, ...any)) {
	spelled := func(list []PackageRequest) []string {
		var out []string
		for _, w := range list {
			s := w.Spec
			if len(w.Platforms) > 0 {
				var on []string
				for _, p := range w.Platforms {
					on = append(on, p.String())
				}
				slices.Sort(on)
				s += " on " + strings.Join(on, ", ")
			}
			out = append(out, s)
		}
		return out
	}
	fitLists("packages", spelled(now), spelled(was), add)
}

func fitLists(key string, now, was []string, add func(string, ...any)) {
	for _, s := range now {
		if !slices.Contains(was, s) {
			add("%s has %s, which is not in the lock", key, s)
		}
	}
	for _, s := range was {
		if !slices.Contains(now, s) {
			add("%s has no longer %s, which is in the lock", key, s)
		}
	}
}

// Check is a *StaleError when recipes in dir and the lock do not fit each other, those included that the lock has and
// that are gone.
func (f *LockFile) Check(dir string, recipes []*Recipe) error {
	e := &StaleError{Lock: filepath.Join(dir, LockFileName)}
	for _, r := range recipes {
		e.Misfits = append(e.Misfits, f.Fit(r)...)
	}
	for _, r := range f.Recipes {
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(r.File))); errors.Is(err, os.ErrNotExist) {
			e.Misfits = append(e.Misfits, Misfit{Recipe: r.File, Message: "the recipe is in the lock, and its file is gone"})
		}
	}
	if len(e.Misfits) > 0 {
		return e
	}
	return nil
}

// Lock is the answer to a recipe: what the lock file has for its platforms. Nothing is fetched. The error is a
// *StaleError when the recipe no longer fits.
func (f *LockFile) Lock(r *Recipe) (*Lock, error) {
	if misfits := f.Fit(r); len(misfits) > 0 {
		return nil, &StaleError{Lock: LockPath(r), Misfits: misfits}
	}
	lock, err := f.lock(r, f.Recipe(filepath.Base(r.File)), r.Platforms)
	if err == nil {
		lock.SHA256 = hexSHA256(f.Bytes())
	}
	return lock, err
}

// lock is the answer to a recipe that fits, for some platforms.
func (f *LockFile) lock(r *Recipe, entry *LockedRecipe, platforms []Platform) (*Lock, error) {
	lock := &Lock{Recipes: len(f.Recipes)}
	if len(r.Parents) > 0 {
		var err error
		if lock.Parent, err = f.lock(r.Parents[0], f.Recipe(entry.Extends), platforms); err != nil {
			return nil, err
		}
	}
	index := f.index()
	for _, p := range platforms {
		urls, err := r.Repository.BaseURLs(p)
		if err != nil {
			return nil, err
		}
		l := LockedPlatform{Platform: p}
		at := map[string]int{}
		for _, s := range f.Sources {
			i := slices.IndexFunc(urls, func(u ComponentURL) bool { return u.Component == s.Component })
			if s.Platform != p || i < 0 {
				continue
			}
			src := s.LockedSource
			if src.URLs, src.list = append([]string{urls[i].URL}, urls[i].Others...), nil; urls[i].Source != SourceBaseURL {
				src.list = &urls[i]
			}
			at[s.Component] = len(l.Sources)
			l.Sources = append(l.Sources, src)
		}
		sharers := f.sharers(entry, p, index)
		for _, name := range entry.take(p).Names {
			found := index.find(p, name)
			pkg := found.LockedPackage
			pkg.Source, pkg.Sharers = at[found.Component], strings.Join(sharers[found], " ")
			pkg.Reason = solve.Reason{Spec: entry.requested(p, pkg.Metadata)}
			l.Packages = append(l.Packages, pkg)
		}
		slices.SortFunc(l.Packages, func(a, b LockedPackage) int { return a.NEVRA.Compare(b.NEVRA) })
		lock.Platforms = append(lock.Platforms, l)
	}
	return lock, nil
}

// sharers are the recipes that take each package on p, of those that extend what entry extends.
func (f *LockFile) sharers(entry *LockedRecipe, p Platform, index lockIndex) map[*LockFilePackage][]string {
	out := map[*LockFilePackage][]string{}
	for i := range f.Recipes {
		r := &f.Recipes[i]
		if t := r.take(p); t != nil && r.Extends == entry.Extends {
			for _, name := range t.Names {
				pkg := index.find(p, name)
				out[pkg] = append(out[pkg], r.File)
			}
		}
	}
	return out
}

// requested is the spec that asks for a package by its name; "" when none does.
func (r *LockedRecipe) requested(p Platform, m *rpm.Metadata) string {
	n := m.NEVRA
	for _, want := range r.Packages {
		names := []string{n.Name, n.Name + "." + n.Arch, n.Name + "-" + n.Version, n.Name + "-" + n.Version + "-" + n.Release, n.Name + "-" + n.EVR.String(), n.String()}
		if want.on(p) && slices.Contains(names, want.Spec) {
			return want.Spec
		}
	}
	return ""
}

// findMirrors looks up where the packages of a lock file are that is for a list of mirrors.
func (l *LockedPlatform) findMirrors(ctx context.Context, client *fetch.Client, o Options) error {
	for i := range l.Sources {
		s := &l.Sources[i]
		if s.list == nil || o.Offline && !strings.HasPrefix(s.list.URL, "file:") {
			continue
		}
		found := &component{}
		if _, err := found.findMirrors(ctx, client, *s.list); err != nil {
			return err
		}
		s.URLs, s.list = found.URLs, nil
	}
	return nil
}

// Unexplained reports that there are packages without a reason, as in a lock from a lock file.
func (l *Lock) Unexplained() bool {
	return slices.ContainsFunc(l.Platforms, func(p LockedPlatform) bool {
		return slices.ContainsFunc(p.Packages, func(pkg LockedPackage) bool { return pkg.Reason == solve.Reason{} })
	})
}

// Explain fills in the reasons, choices and requirements of a lock that is from a lock file, from the repository's metadata. Where the
// repository no longer has all packages of a platform, that platform stays as it is.
func (l *Lock) Explain(ctx context.Context, r *Recipe, o Options) error {
	client, done, err := o.client()
	if err != nil {
		return err
	}
	defer done()
	if l.Parent != nil {
		if err := l.Parent.Explain(ctx, r.Parents[0], o); err != nil {
			return err
		}
	}
	for i := range l.Platforms {
		p := &l.Platforms[i]
		parent := l.Parent.platform(p.Platform)
		repo, err := openRepository(ctx, client, r.Repository, p.Platform, o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Platform, err)
		}
		locked := map[rpm.NEVRA]bool{}
		for _, pkg := range p.Packages {
			locked[pkg.NEVRA] = true
		}
		solution, err := repo.solve(ctx, r, p.Platform, parent, func(n rpm.NEVRA) bool { return locked[n] })
		if isUnsolvable(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Platform, err)
		}
		chosen := map[rpm.NEVRA]solve.Chosen{}
		for _, c := range solution.Packages {
			chosen[c.NEVRA] = c
		}
		for k := range p.Packages {
			pkg := &p.Packages[k]
			c := chosen[pkg.NEVRA]
			pkg.Reason = c.Reason
			if c.Metadata != nil && c.Metadata.Checksum == pkg.Checksum {
				pkg.Metadata = c.Metadata
			}
		}
		p.inherit(parent)
		p.Choices = solution.Choices
	}
	return nil
}
