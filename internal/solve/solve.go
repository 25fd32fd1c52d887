// Package solve answers which packages of a repository satisfy a request, and why, or why none can. The root they are
// installed into is empty.
//
// The answer is the one dnf 4 gives with install_weak_deps=False and best=False, as libsolv's sources and dnf's answers
// show it:
//
//   - What a spec names is what dnf's install takes: the first that matches of name-version-release.arch, name.arch,
//     name, name-version-release, name-version, a capability, a path; a glob asks for each name it matches. A bare name
//     is also answered by a package that obsoletes it. A spec in parentheses is a rich dependency that has to hold.
//   - A package needs one provider of each of its Requires. It cannot stand beside what it conflicts with, beside what
//     it obsoletes (by the package's own name and version, not by its Provides), nor beside a package of its own name,
//     unless one of the two is for 32 and the other for 64 bit.
//   - A package of an inferior architecture comes only together with the same version of the better one, if that exists,
//     unless it was asked for itself.
//   - Between candidates it takes the preferred, then the best architecture, the newest version of each name, what is
//     not obsoleted by another candidate, what an installed package recommends or what supplements one, what has no newer
//     version, what provides the newer version of a shared capability, what is suggested, and the first name.
//   - A version that cannot be installed gives way to an older one. (Fedora and RHEL set best=True, which would make that
//     an error for what is asked for by name.) Such a step back is recorded as a Choice.
//
// Where libsolv goes by the order of packages in a repository, the order here is that of their file names, in which
// createrepo_c writes them, so that the answer does not depend on the order of Request.Packages. Of several packages
// with one NEVRA the first in that order counts; what another architecture needs is left out altogether.
//
// The search is complete: it finds a solution when there is one, unless it gives up after a fixed number of conflicts,
// which is an error that says so. Left out: installed packages, modules, installonly packages (two kernels cannot stand
// side by side), weak dependencies other than as advice (libsolv also lets them bring better architectures into view),
// groups, and priorities.
package solve

import (
	"fmt"
	"slices"

	"slim/internal/rpm"
)

// Mode says how far requirements are followed.
type Mode int

const (
	Full    Mode = iota // every Requires
	Runtime             // every Requires except those that only scriptlets need (Requirement.Pre)
	Named               // nothing beyond what the request names; what that leaves unmet of Runtime is an error that lists it
)

// looseMode is a mode for looking further after Named has failed: no requirement counts.
const looseMode Mode = -1

// Request is one question. The zero value asks for nothing.
type Request struct {
	Repository Repository           // the whole repository
	Packages   []*rpm.Metadata      // instead of it, its packages, in any order; not modified
	Keep       func(rpm.NEVRA) bool // leaves packages in, as if there were no others; nil for all
	Arch       string               // base architecture as rpm names it: x86_64, aarch64, ppc64le, s390x ...
	Install    []Item               // what is asked for
	Exclude    []string             // names, name.arch, NEVRAs or globs of them: never candidates
	Prefer     []string             // names or specs: among several providers these come first, in this order
	Mode       Mode
}

// Item is one thing asked for.
type Item struct{ Spec string }

// Solution is the answer to a Request.
type Solution struct {
	Packages []Chosen // by name, then NEVRA
	Choices  []Choice // by By, then Capability
}

// Chosen is a package of a Solution and why it is there. The metadata is the caller's.
type Chosen struct {
	*rpm.Metadata
	Reason Reason
}

// Reason is either the Spec that asked for the package, or the package By that requires it through Capability. Of
// several reasons it is one nearest to the request.
type Reason struct {
	Spec       string
	By         rpm.NEVRA
	Capability string
}

// Choice is a requirement that packages of several names could have satisfied, or a request of which the newest
// version could not be had. A capability that several packages require is listed once.
type Choice struct {
	By         string // NEVRA of the package that requires, or the spec of the request
	Capability string
	Taken      rpm.NEVRA
	Others     []rpm.NEVRA // in the order of NEVRA.Compare
	Why        string
}

// Limits of a request.
const (
	maxItems    = 10_000
	maxProblems = 16 // that are looked for
)

// Solve answers req. The error is an *Error when the request cannot be satisfied, a *NeedFiles when that depends on
// paths outside the primary file lists.
func Solve(req Request) (*Solution, error) {
	if req.Arch == "" {
		return nil, fmt.Errorf("solving: no architecture")
	}
	if len(req.Install) > maxItems {
		return nil, fmt.Errorf("solving: %d things asked for, more than %d", len(req.Install), maxItems)
	}
	a := newAnswer(req)
	if err := a.find(); err != nil {
		return nil, err
	}
	if req.Mode == Named {
		return a.solveNamed()
	}
	return a.solve(nil)
}

// answer is the work on one request.
type answer struct {
	req   Request
	pool  *pool
	found []found
}

func newAnswer(req Request) *answer {
	repo := req.Repository
	if repo == nil {
		repo = newList(req.Packages)
	}
	a := &answer{req: req, pool: newPool(repo, req.Arch, req.Keep)}
	for _, spec := range req.Exclude {
		ids, _ := a.pool.byForm(spec, func(int32) bool { return true })
		for _, id := range ids {
			a.pool.excluded[id] = true
		}
	}
	return a
}

// find looks up all items, and reports all that name nothing.
func (a *answer) find() error {
	var faults []Problem
	var paths []string
	for _, item := range a.req.Install {
		f := a.pool.find(item.Spec)
		a.found = append(a.found, f)
		switch {
		case f.rich != nil:
			x := a.pool.expand(f.rich, false)
			paths = append(paths, x.unknown...)
			if len(x.unknown) == 0 && (x.isFalse() || x.tooBig) {
				faults = append(faults, a.notFound(item.Spec))
			}
		case len(f.groups) == 0:
			if (rpm.Capability{Name: item.Spec}).IsPath() && !a.pool.repo.KnowsOwners(item.Spec) {
				paths = append(paths, item.Spec)
			}
			faults = append(faults, a.notFound(item.Spec))
		}
	}
	if len(paths) > 0 {
		return needFiles(paths)
	}
	if len(faults) > 0 {
		return &Error{Problems: faults}
	}
	return nil
}

// solve answers with the packages that outside does not rule out.
func (a *answer) solve(outside func(int32) bool) (*Solution, error) {
	q := build(a.pool, a.req.Mode, a.found, outside)
	s := newSearch(a.pool.len(), q.clauses, q.requests, newPolicy(a.pool, a.req.Prefer))
	if !s.run() {
		if s.gaveUp {
			return nil, fmt.Errorf("solving: gave up after %d conflicts", maxConflicts)
		}
		return nil, a.explain(q, s)
	}
	r := newReport(a, q, s)
	if paths := r.unknownPaths(); len(paths) > 0 {
		return nil, needFiles(paths)
	}
	return r.solution(), nil
}

// solveNamed first looks for a solution within what is named. Without one it is solved as if nothing required
// anything, to be able to say what is missing.
func (a *answer) solveNamed() (*Solution, error) {
	named := make([]bool, a.pool.len())
	for _, f := range a.found {
		groups := f.groups
		if f.rich != nil {
			groups = a.pool.expand(f.rich, false).clauses
		}
		for _, id := range slices.Concat(groups...) {
			if id > 0 {
				named[id] = true
			}
		}
	}
	solution, err := a.solve(func(id int32) bool { return !named[id] })
	if _, ok := err.(*Error); !ok {
		return solution, err
	}
	loose := build(a.pool, looseMode, a.found, nil)
	s := newSearch(a.pool.len(), loose.clauses, loose.requests, newPolicy(a.pool, a.req.Prefer))
	if !s.run() {
		return nil, err
	}
	return nil, a.unmet(s, err.(*Error))
}
