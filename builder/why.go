package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/solve"
)

// The words of an answer to why, as internal/solve has them.
type (
	Edge  = solve.Edge
	Chain = solve.Chain
	Loss  = solve.Loss
)

// Why says why a package is in an image of one platform.
type Why struct {
	Platform Platform // the zero value for a plain root
	Package  rpm.NEVRA
	// Root says that nothing has to require it: a recipe names it, or nothing in the image requires it.
	Root   bool
	Roots  []rpm.NEVRA // what was asked for by the recipe; of an image, what nothing requires
	Chains []Chain     // from a root to the package: for each package that requires it, the shortest
	Loss   Loss        // what would become of the rest without it
}

// AbsentError says that no package of a set answers to a name.
type AbsentError struct {
	Spec     string
	Where    string
	Near     []string // names that are like it
	Platform Platform
}

func (e *AbsentError) Error() string {
	return fmt.Sprintf("%s is not among the packages of %s", e.Spec, e.Where)
}

// WhyRecipe answers for the packages that the lock beside a recipe has for it, or without one those that it resolves to, for each of its platforms. Spec is a name, NAME.ARCH,
// NEVRA, path or capability; there is an answer for each package that it means.
func WhyRecipe(ctx context.Context, r *Recipe, spec string, o Options) ([]*Why, error) {
	lock, err := explained(ctx, r, o)
	if err != nil {
		return nil, err
	}
	var out []*Why
	var absent error
	for i := range lock.Platforms {
		l := &lock.Platforms[i]
		packages, roots := l.metadata()
		answers, err := why(packages, r.Dependencies.mode(), roots, spec, r.Name, l.Platform)
		if err != nil {
			absent = cmp.Or(absent, err)
			continue
		}
		out = append(out, answers...)
	}
	if len(out) == 0 {
		return nil, absent
	}
	return out, nil
}

// explained is what the lock beside a recipe has for it, or without one what it resolves to, with what the packages
// require.
func explained(ctx context.Context, r *Recipe, o Options) (*Lock, error) {
	file, err := FindLock(r)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return Resolve(ctx, r, o)
	}
	lock, err := file.Lock(r)
	if err != nil {
		return nil, err
	}
	o.Keys = file.Keys
	if err := lock.Explain(ctx, r, o); err != nil {
		return nil, err
	}
	if lock.Unexplained() {
		return nil, fmt.Errorf("the repository no longer has all packages of %s: what they require is not known", LockPath(r))
	}
	return lock, nil
}

// metadata are the packages of a platform and those of them that were asked for.
func (l *LockedPlatform) metadata() (packages []*rpm.Metadata, roots []rpm.NEVRA) {
	roots = []rpm.NEVRA{}
	for _, p := range l.Packages {
		packages = append(packages, p.Metadata)
		if p.Reason.Spec != "" {
			roots = append(roots, p.NEVRA)
		}
	}
	return packages, roots
}

// PackageGraph is who requires whom among the packages of one platform.
type PackageGraph struct {
	Platform Platform
	Packages []rpm.NEVRA // sorted
	Roots    []rpm.NEVRA // what the recipe asks for
	Edges    []Edge      // by the NEVRAs of both sides
}

// GraphRecipe makes the graph of the packages that a recipe takes, for each of its platforms: those of the lock beside
// it, or without one what it resolves to.
func GraphRecipe(ctx context.Context, r *Recipe, o Options) ([]*PackageGraph, error) {
	lock, err := explained(ctx, r, o)
	if err != nil {
		return nil, err
	}
	var out []*PackageGraph
	for i := range lock.Platforms {
		packages, roots := lock.Platforms[i].metadata()
		g := &PackageGraph{Platform: lock.Platforms[i].Platform, Roots: roots, Edges: solve.NewGraph(packages, r.Dependencies.mode()).Edges()}
		for _, p := range packages {
			g.Packages = append(g.Packages, p.NEVRA)
		}
		slices.SortFunc(g.Packages, rpm.NEVRA.Compare)
		out = append(out, g)
	}
	return out, nil
}

// WhyImage answers for what is installed in the image at a reference, in the words of Inspect, or in a plain root as
// dir:DIR, by the headers of its rpmdb, which are not verified.
func WhyImage(ctx context.Context, reference, spec string, o DiffOptions) ([]*Why, error) {
	var out []*Why
	var absent error
	_, err := eachView(ctx, reference, viewOptions(o), func(v *view) error {
		d, err := v.database()
		if err != nil {
			return fmt.Errorf("reading %s: %w", reference, err)
		}
		if d.path == "" {
			return fmt.Errorf("reading %s: it has no rpmdb%s", reference, v.otherDatabase())
		}
		packages, err := d.metadata()
		if err != nil {
			return fmt.Errorf("reading %s: %w", reference, err)
		}
		answers, err := why(packages, solve.Full, nil, spec, reference, v.platform)
		var none *AbsentError
		if errors.As(err, &none) {
			absent = cmp.Or(absent, err)
			return nil
		}
		out = append(out, answers...)
		return err
	})
	if err == nil && len(out) == 0 {
		err = absent
	}
	return out, err
}

// why answers for each package that spec means. Without roots those are what nothing requires.
func why(packages []*rpm.Metadata, mode solve.Mode, roots []rpm.NEVRA, spec, where string, p Platform) ([]*Why, error) {
	g := solve.NewGraph(packages, mode)
	if roots == nil {
		roots = g.Tops()
	}
	found := g.Find(spec)
	if len(found) == 0 {
		return nil, &AbsentError{Spec: spec, Where: where, Near: nearNames(packages, spec), Platform: p}
	}
	var out []*Why
	for _, n := range found {
		out = append(out, &Why{
			Platform: p, Package: n, Root: slices.Contains(roots, n), Roots: roots,
			Chains: g.Chains(n, roots), Loss: g.Without(n, roots),
		})
	}
	return out, nil
}

const maxNear = 4

// nearNames are the names of packages that hold the one asked for or are held by it.
func nearNames(packages []*rpm.Metadata, spec string) []string {
	var out []string
	for _, m := range packages {
		if strings.Contains(m.Name, spec) || strings.Contains(spec, m.Name) && len(m.Name) > 2 {
			out = append(out, m.Name)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return out[:min(len(out), maxNear)]
}

// metadata are the packages of a database as a repository would describe them, as far as requirements go.
func (d *database) metadata() ([]*rpm.Metadata, error) {
	var out []*rpm.Metadata
	for _, i := range d.packages {
		if audit.IsKey(i.Header) {
			continue
		}
		m, err := metadataOf(i.Header)
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", i.Header.NEVRA(), err)
		}
		out = append(out, m)
	}
	return out, nil
}

func metadataOf(h *rpm.Header) (*rpm.Metadata, error) {
	m := &rpm.Metadata{NEVRA: h.NEVRA(), AllFiles: true, InstalledSize: installedSize(h)}
	provides, err := h.Provides()
	if err != nil {
		return nil, err
	}
	for _, p := range provides {
		m.Provides = append(m.Provides, p.Capability)
	}
	requires, err := h.Requires()
	if err != nil {
		return nil, err
	}
	for _, r := range requires {
		if !r.IsRPMLib() {
			m.Requires = append(m.Requires, rpm.Requirement{Capability: r.Capability, Pre: r.IsScriptletOnly(), Generated: r.Flags&rpm.SenseFindRequires != 0})
		}
	}
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	for i := range files {
		m.Files = append(m.Files, files[i].Path)
	}
	return m, nil
}
