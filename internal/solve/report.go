package solve

import (
	"cmp"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// report turns the decisions of a search into a Solution.
type report struct {
	answer *answer
	q      *problem
	s      *search
	needs  map[int32][]need // by package, in the order of its requirements
	asked  []need           // by clause of the request
	depth  map[int32]int    // distance to the request, of what is needed
	reason map[int32]Reason
	order  []int32 // what is needed, nearest first
}

// need is a clause with the installed packages that make it hold.
type need struct {
	clause int
	by     []int32
}

func newReport(a *answer, q *problem, s *search) *report {
	r := &report{answer: a, q: q, s: s, needs: map[int32][]need{}, depth: map[int32]int{}, reason: map[int32]Reason{}}
	r.collect()
	r.walk()
	return r
}

func (r *report) collect() {
	for i := 1; i < r.s.first; i++ {
		c := &r.s.clauses[i]
		if c.why.kind == isRequest {
			r.asked = append(r.asked, need{i, r.answering(i)})
			continue
		}
		if !r.s.installed(c.why.from) {
			continue
		}
		if by, ok := r.fulfilling(c.lits); ok {
			r.needs[c.why.from] = append(r.needs[c.why.from], need{i, by})
		}
	}
}

// answering are the installed packages that answer a request, the one taken for it first, else the best.
func (r *report) answering(i int) []int32 {
	by := filter(r.s.clauses[i].lits, r.s.holds)
	best, _ := r.s.policy.order(by)
	by = partition(by, func(id int32) bool { return id == best[0] })
	return partition(by, func(id int32) bool { return int(-r.s.reason[id]) == i })
}

func (s *search) holds(lit int32) bool { return lit > 0 && s.value[lit] > 0 }

// fulfilling are the installed packages that a clause holds for, when it does not hold because something is absent.
func (r *report) fulfilling(lits []int32) ([]int32, bool) {
	var by []int32
	for _, l := range lits {
		if l < 0 && !r.s.installed(-l) {
			return nil, false
		}
		if r.s.holds(l) {
			by = append(by, l)
		}
	}
	return by, len(by) > 0
}

// walk goes from the request along what is required: first along requirements that only one installed package meets,
// then along all, then to what stands beside an inferior architecture. What is not reached nobody needs.
func (r *report) walk() {
	for _, n := range r.asked {
		if len(n.by) > 0 {
			r.visit(n.by[0], 0, Reason{Spec: r.spec(n.clause)})
		}
	}
	r.follow(1, false)
	r.follow(len(r.s.trail), false)
	r.follow(len(r.s.trail), true)
}

func (r *report) spec(clause int) string {
	return r.answer.req.Install[r.s.clauses[clause].why.item].Spec
}

func (r *report) visit(id int32, depth int, why Reason) {
	if _, ok := r.depth[id]; ok {
		return
	}
	r.depth[id], r.reason[id] = depth, why
	r.order = append(r.order, id)
}

// follow goes along needs that at most so many packages meet.
func (r *report) follow(most int, architectures bool) {
	for i := 0; i < len(r.order); i++ {
		from := r.order[i]
		for _, n := range r.needs[from] {
			if len(n.by) > most || r.s.clauses[n.clause].why.kind == isArchitecture && !architectures {
				continue
			}
			for _, id := range n.by {
				why := Reason{By: r.answer.pool.pkg(from).NEVRA, Capability: r.capability(n.clause)}
				r.visit(id, r.depth[from]+1, why)
			}
		}
	}
	slices.SortStableFunc(r.order, func(a, b int32) int { return cmp.Compare(r.depth[a], r.depth[b]) })
}

func (r *report) capability(clause int) string {
	why := &r.s.clauses[clause].why
	switch {
	case why.kind == isRequest:
		return r.spec(clause)
	case why.kind == isConflicts:
		return "not " + why.dep.String()
	case why.dep != nil:
		return why.dep.String()
	}
	m := r.answer.pool.pkg(why.from)
	return m.Name + " = " + m.EVR.String()
}

// unknownPaths are the paths that the chosen packages need and nobody is known to have.
func (r *report) unknownPaths() []string {
	var paths []string
	for _, id := range r.order {
		paths = append(paths, r.q.unknown[id]...)
	}
	return paths
}

func (r *report) solution() *Solution {
	out := &Solution{}
	for _, id := range r.order {
		out.Packages = append(out.Packages, Chosen{Metadata: r.answer.pool.pkg(id), Reason: r.reason[id]})
	}
	slices.SortFunc(out.Packages, func(a, b Chosen) int { return a.NEVRA.Compare(b.NEVRA) })
	out.Choices = r.choices()
	return out
}

// choices are listed from the request outwards, so that of those who require one capability the nearest is named.
func (r *report) choices() []Choice {
	var out []Choice
	known := map[string]bool{}
	for _, n := range r.asked {
		out = append(out, r.choice(n, r.spec(n.clause), known)...)
		out = append(out, r.heldBack(n)...)
	}
	for _, id := range r.order {
		for _, n := range r.needs[id] {
			out = append(out, r.choice(n, r.answer.pool.pkg(id).NEVRA.String(), known)...)
		}
	}
	slices.SortStableFunc(out, func(a, b Choice) int {
		return cmp.Or(strings.Compare(a.By, b.By), strings.Compare(a.Capability, b.Capability))
	})
	return out
}

func (r *report) choice(n need, by string, known map[string]bool) []Choice {
	capability := r.capability(n.clause)
	others := r.alternatives(n)
	if known[capability] || len(others) == 0 {
		return nil
	}
	known[capability] = true
	taken := r.nearest(n.by)
	why := r.why(taken, n.clause)
	return []Choice{{By: by, Capability: capability, Taken: r.answer.pool.pkg(taken).NEVRA, Others: r.nevras(others), Why: why}}
}

// alternatives are the candidates for a need that were not taken, if there are any of a further name.
func (r *report) alternatives(n need) []int32 {
	if len(n.by) == 0 {
		return nil
	}
	pool := r.answer.pool
	names := map[string]bool{}
	for _, id := range n.by {
		names[pool.pkg(id).Name] = true
	}
	var others []int32
	further := false
	for _, l := range r.s.clauses[n.clause].lits {
		if l > 0 && !r.s.installed(l) && !pool.excluded[l] {
			others = append(others, l)
			further = further || !names[pool.pkg(l).Name]
		}
	}
	if !further {
		return nil
	}
	return others
}

func (r *report) nearest(ids []int32) int32 {
	return slices.MinFunc(ids, func(a, b int32) int {
		return cmp.Or(cmp.Compare(r.depth[a], r.depth[b]), r.answer.pool.pkg(a).NEVRA.Compare(r.answer.pool.pkg(b).NEVRA))
	})
}

func (r *report) nevras(ids []int32) []rpm.NEVRA {
	var out []rpm.NEVRA
	for _, id := range ids {
		out = append(out, r.answer.pool.pkg(id).NEVRA)
	}
	slices.SortFunc(out, rpm.NEVRA.Compare)
	return out
}

// why says why taken stands in the solution, as far as the clause is concerned.
func (r *report) why(taken int32, clause int) string {
	decided := int(r.s.reason[taken])
	note, noted := r.s.notes[taken]
	switch {
	case decided == clause:
		return noteOnly
	case decided > 0 && decided < r.s.first:
		return r.because(decided)
	case decided == -clause && noted:
		return note
	}
	switch reason := r.reason[taken]; {
	case reason.Spec != "" && reason.Spec != r.capability(clause):
		return "requested as " + reason.Spec
	case reason.Spec == "" && reason.Capability != r.capability(clause):
		return "required by " + reason.By.String() + " through " + reason.Capability
	case decided <= 0 && noted:
		return note
	}
	return noteOnly
}

// because says which clause it was that forced a package.
func (r *report) because(clause int) string {
	if r.s.clauses[clause].why.kind == isRequest {
		return "requested as " + r.spec(clause)
	}
	from := r.answer.pool.pkg(r.s.clauses[clause].why.from)
	return "required by " + from.NEVRA.String() + " through " + r.capability(clause)
}

// heldBack reports a request of which there is a newer version than the one taken.
func (r *report) heldBack(n need) []Choice {
	if len(n.by) == 0 {
		return nil
	}
	pool, taken := r.answer.pool, n.by[0]
	newer := filter(r.s.clauses[n.clause].lits, func(id int32) bool {
		return id > 0 && !pool.excluded[id] && pool.pkg(id).Name == pool.pkg(taken).Name && pool.pkg(id).Arch == pool.pkg(taken).Arch &&
			pool.pkg(id).EVR.Compare(pool.pkg(taken).EVR) > 0
	})
	if len(newer) == 0 {
		return nil
	}
	spec := r.spec(n.clause)
	return []Choice{{By: spec, Capability: spec, Taken: pool.pkg(taken).NEVRA, Others: r.nevras(newer), Why: noteHeldBack}}
}
