package solve

import (
	"cmp"
	"slices"

	"slim/internal/rpm"
)

// clause is a disjunction: at least one literal holds. A positive literal is a package that is installed, a negative
// one a package that is not.
type clause struct {
	lits  []int32
	watch [2]int32 // literals whose becoming false is looked at; both 0 for a clause of one literal
	next  [2]int32 // the next clause that watches the same literal
	why   origin
}

type kind uint8

const (
	isRequest      kind = iota // item asks for one of lits
	isRequires                 // from requires dep
	isConflicts                // from conflicts with dep, which to provides
	isObsoletes                // from obsoletes dep, which is to
	isSameName                 // from and to have one name
	isUnmet                    // from requires dep, which nothing provides
	isExcluded                 // from is excluded
	isUnsupported              // from requires dep, a feature of the package format that is not known or too much
	isOutside                  // from is not named, in mode Named
	isArchitecture             // from has an inferior architecture; it may only stand beside a better one of its version
	isLearnt                   // follows from others
)

// origin says where a clause comes from.
type origin struct {
	kind     kind
	from, to int32
	item     int32 // isRequest
	dep      *rpm.Capability
}

// problem is the whole question in clauses: those of packages, sorted, then those of the request, then those of
// architectures. The order is the order in which open clauses are decided, and that is libsolv's.
type problem struct {
	pool     *pool
	mode     Mode
	outside  func(int32) bool // in mode Named, what was not named; nil otherwise
	clauses  []clause         // from 1
	requests [2]int           // range of the clauses of the request
	reached  []int32          // packages that have clauses, in the order they were reached
	has      []bool           // reached, by number
	unknown  map[int32][]string
}

// build collects the clauses of all packages that the request may lead to.
func build(p *pool, mode Mode, asked []found, outside func(int32) bool) *problem {
	q := &problem{pool: p, mode: mode, outside: outside, has: make([]bool, p.len()), unknown: map[int32][]string{}}
	q.clauses = make([]clause, 1, 1024)
	var jobs []clause
	for i, f := range asked {
		for _, c := range q.requestClauses(f) {
			jobs = append(jobs, clause{lits: c, why: origin{kind: isRequest, item: int32(i)}})
			for _, l := range c {
				q.reach(l)
			}
		}
	}
	for i := 0; i < len(q.reached); i++ {
		q.addPackage(q.reached[i])
	}
	for _, id := range q.reached {
		q.addConflicts(id)
	}
	q.unify()
	q.requests[0] = len(q.clauses)
	q.clauses = append(q.clauses, jobs...)
	q.requests[1] = len(q.clauses)
	q.addArchitectures()
	return q
}

func (q *problem) requestClauses(f found) [][]int32 {
	if f.rich == nil {
		return f.groups
	}
	return q.pool.expand(f.rich, false).clauses
}

// reach makes sure that a package that may be installed gets its clauses.
func (q *problem) reach(lit int32) {
	if lit > 0 && !q.has[lit] {
		q.has[lit] = true
		q.reached = append(q.reached, lit)
	}
}

func (q *problem) add(why origin, lits ...int32) {
	q.clauses = append(q.clauses, clause{lits: lits, why: why})
}

// addPackage adds what package id needs, and its rich conflicts, which may lead to further packages.
func (q *problem) addPackage(id int32) {
	m := q.pool.pkg(id)
	switch {
	case q.pool.excluded[id]:
		q.add(origin{kind: isExcluded, from: id}, -id)
		return
	case q.outside != nil && q.outside(id):
		q.add(origin{kind: isOutside, from: id}, -id)
		return
	}
	for i := range m.Requires {
		if r := &m.Requires[i]; q.follows(r) {
			q.addRequires(id, &r.Capability)
		}
	}
	for i := range m.Conflicts {
		if dep := &m.Conflicts[i]; dep.IsRich() {
			q.addRich(origin{kind: isConflicts, from: id, dep: dep}, id, dep, true)
		}
	}
	q.reachBetter(id)
}

// follows reports whether the mode cares for a requirement.
func (q *problem) follows(r *rpm.Requirement) bool {
	return q.mode == Full || q.mode != looseMode && !r.Pre
}

func (q *problem) addRequires(id int32, dep *rpm.Capability) {
	why := origin{kind: isRequires, from: id, dep: dep}
	if isRPMLib(dep.Name) {
		if !knownRPMLib(*dep) {
			why.kind = isUnsupported
			q.add(why, -id)
		}
		return
	}
	if dep.IsRich() {
		q.addRich(why, id, dep, false)
		return
	}
	if q.pool.unknownPath(*dep) {
		q.unknown[id] = append(q.unknown[id], dep.Name)
		return
	}
	q.addNeeds(why, id, q.pool.providers(*dep))
}

// addNeeds adds that id needs one of ids.
func (q *problem) addNeeds(why origin, id int32, ids []int32) {
	switch {
	case len(ids) == 0:
		why.kind = isUnmet
		q.add(why, -id)
	case !contains(ids, id):
		lits := make([]int32, 1, len(ids)+1)
		lits[0] = -id
		q.add(why, append(lits, ids...)...)
		for _, other := range ids {
			q.reach(other)
		}
	}
}

// addRich adds a rich dependency that is required, or, negated, one that is conflicted with.
func (q *problem) addRich(why origin, id int32, dep *rpm.Capability, negated bool) {
	r := q.pool.parse(dep.Name)
	if r == nil {
		why.kind = isUnsupported
		q.add(why, -id)
		return
	}
	f := q.pool.expand(r, negated)
	switch {
	case len(f.unknown) > 0:
		q.unknown[id] = append(q.unknown[id], f.unknown...)
		return
	case f.tooBig:
		why.kind = isUnsupported
		q.add(why, -id)
		return
	case f.isFalse() && !negated:
		why.kind = isUnmet
	}
	for _, c := range f.clauses {
		if negated && len(c) == 1 && c[0] == -id {
			continue // no package conflicts with itself
		}
		lits := merge([]int32{-id}, c)
		if tautology(lits) {
			continue
		}
		q.add(why, lits...)
		for _, l := range lits {
			q.reach(l)
		}
	}
}

// reachBetter brings in the same version of better architectures, which has to stand beside an inferior one.
func (q *problem) reachBetter(id int32) {
	p := q.pool
	if p.rank[id] <= rankBest {
		return
	}
	for _, other := range p.named(p.pkg(id).Name) {
		if p.rank[other] > rankNoarch && p.rank[other] < p.rank[id] && p.pkg(other).EVR.Compare(p.pkg(id).EVR) == 0 {
			q.reach(other)
		}
	}
}

// addConflicts adds what package id cannot stand beside, as far as that has been reached.
func (q *problem) addConflicts(id int32) {
	p, m := q.pool, q.pool.pkg(id)
	if p.excluded[id] || q.outside != nil && q.outside(id) {
		return
	}
	for i := range m.Conflicts {
		dep := &m.Conflicts[i]
		switch {
		case dep.IsRich():
		case p.unknownPath(*dep):
			q.unknown[id] = append(q.unknown[id], dep.Name)
		default:
			for _, other := range p.providers(*dep) {
				q.addNotBoth(origin{kind: isConflicts, from: id, dep: dep}, id, other)
			}
		}
	}
	for i := range m.Obsoletes {
		dep := &m.Obsoletes[i]
		for _, other := range p.named(dep.Name) {
			if p.isVersionOf(other, dep) {
				q.addNotBoth(origin{kind: isObsoletes, from: id, dep: dep}, id, other)
			}
		}
	}
	for _, other := range p.named(m.Name) {
		if other < id && !p.coexist(id, other) {
			q.addNotBoth(origin{kind: isSameName, from: id}, id, other)
		}
	}
}

func (q *problem) addNotBoth(why origin, a, b int32) {
	if a == b || !q.has[b] {
		return
	}
	why.to = b
	q.add(why, -max(a, b), -min(a, b))
}

// unify sorts the clauses and keeps one of each.
func (q *problem) unify() {
	slices.SortStableFunc(q.clauses[1:], func(a, b clause) int { return compareLiterals(a.lits, b.lits) })
	q.clauses = slices.CompactFunc(q.clauses, func(a, b clause) bool { return slices.Equal(a.lits, b.lits) })
}

// compareLiterals orders literal by literal as if a 0 stood behind the last: not installable is decided behind
// conflicts and before requirements.
func compareLiterals(a, b []int32) int {
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			return cmp.Compare(a[i], b[i])
		}
	}
	switch {
	case len(a) < len(b):
		return cmp.Compare(0, b[len(a)])
	case len(a) > len(b):
		return cmp.Compare(a[len(b)], 0)
	}
	return 0
}

// addArchitectures keeps packages of an inferior architecture out where the name is reached in a better one, unless
// their own version stands beside them in it. It does not for names that were asked for such that the inferior one
// would do.
func (q *problem) addArchitectures() {
	p := q.pool
	ids := slices.Clone(q.reached)
	slices.Sort(ids)
	named := map[int32]bool{}
	for _, c := range q.clauses[q.requests[0]:q.requests[1]] {
		for _, l := range c.lits {
			named[l] = true
		}
	}
	done := map[string]bool{}
	for _, id := range ids {
		name := p.pkg(id).Name
		if done[name] {
			continue
		}
		done[name] = true
		group := filter(p.named(name), func(o int32) bool { return q.has[o] })
		best := bestRank(p, group)
		bad := filter(group, func(o int32) bool { return best > 0 && p.rank[o] > best })
		if slices.ContainsFunc(bad, func(o int32) bool { return named[o] }) {
			continue
		}
		for _, o := range bad {
			q.add(origin{kind: isArchitecture, from: o}, q.beside(o, best)...)
		}
	}
}

// bestRank is the best architecture among ids, noarch apart; 0 when there is only noarch.
func bestRank(p *pool, ids []int32) uint8 {
	best := uint8(0)
	for _, id := range ids {
		if r := p.rank[id]; r > rankNoarch && (best == 0 || r < best) {
			best = r
		}
	}
	return best
}

func (q *problem) beside(bad int32, best uint8) []int32 {
	p := q.pool
	lits := []int32{-bad}
	for _, o := range p.named(p.pkg(bad).Name) {
		if o != bad && q.has[o] && p.pkg(o).EVR.Compare(p.pkg(bad).EVR) == 0 && (p.rank[o] == rankNoarch || p.rank[o] == best) {
			lits = append(lits, o)
		}
	}
	return lits
}
