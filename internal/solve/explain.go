package solve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Error says why no set of packages satisfies the request.
type Error struct {
	Problems []Problem // independent of each other, in the order of the request; at least one
	// Requiring are the packages whose requirements stand in the way, in no order that means anything: with other
	// requirements of theirs there may be an answer.
	Requiring []*rpm.Metadata
}

// Problem is one thing that cannot be.
type Problem struct {
	Summary string   // one line: what cannot be had, and the nearest cause
	Chain   []string // one line each: who requires what, from the request down to the fault
	Hints   []string // one line each: nearest alternatives
	Missing string   // the spec of the request that names nothing; "" when that is not the problem
}

// Error is a text of several lines without a line feed at its end.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the request cannot be satisfied")
	for _, p := range e.Problems {
		b.WriteString("\n" + p.Summary)
		for _, l := range p.Chain {
			b.WriteString("\n  " + l)
		}
		for _, l := range p.Hints {
			b.WriteString("\n  hint: " + l)
		}
	}
	return b.String()
}

// NeedFiles says that the answer depends on paths, or globs of them, that no package's primary file list has. The caller
// makes the Repository know who owns them, and asks again; of Request.Packages he fills Metadata.Files from the full lists
// and sets AllFiles.
type NeedFiles struct {
	Paths []string // sorted, at least one
}

func (e *NeedFiles) Error() string {
	return "full file lists are needed for " + strings.Join(e.Paths, ", ")
}

func needFiles(paths []string) *NeedFiles {
	slices.Sort(paths)
	return &NeedFiles{Paths: slices.Compact(paths)}
}

// Limits of what an explanation goes through and shows.
const (
	maxCore  = 600 // clauses of a contradiction that is still looked through for needless ones
	maxChain = 24  // lines
	maxNames = 4   // packages in a line
	maxHints = 4
)

// explain finds out which requests cannot be satisfied: it takes the smallest contradiction it finds, leaves the
// requests in it out, and goes on until the rest can be satisfied.
func (a *answer) explain(q *problem, s *search) error {
	var cores [][]clause
	dropped := map[int32]bool{}
	for len(cores) < maxProblems {
		core := a.shrink(s.contradiction())
		cores = append(cores, core)
		before := len(dropped)
		for _, c := range core {
			if c.why.kind == isRequest {
				dropped[c.why.item] = true
			}
		}
		if len(dropped) == before {
			break
		}
		clauses, requests := q.without(dropped)
		s = newSearch(a.pool.len(), clauses, requests, nil)
		if s.run() || s.gaveUp {
			break
		}
	}
	slices.SortStableFunc(cores, func(a, b []clause) int { return cmp.Compare(firstItem(a), firstItem(b)) })
	e := &Error{}
	for _, core := range cores {
		e.Problems = append(e.Problems, a.describe(core))
		for _, c := range core {
			if k := c.why.kind; k == isRequires || k == isUnmet || k == isUnsupported {
				e.addRequiring(a.pool.pkg(c.why.from))
			}
		}
	}
	return e
}

func (e *Error) addRequiring(m *rpm.Metadata) {
	if !slices.Contains(e.Requiring, m) {
		e.Requiring = append(e.Requiring, m)
	}
}

func firstItem(core []clause) int32 {
	first := int32(maxItems)
	for _, c := range core {
		if c.why.kind == isRequest {
			first = min(first, c.why.item)
		}
	}
	return first
}

// without are the clauses less those of some items.
func (q *problem) without(dropped map[int32]bool) ([]clause, [2]int) {
	var out []clause
	requests := [2]int{q.requests[0], q.requests[1]}
	for i, c := range q.clauses {
		if i > 0 && c.why.kind == isRequest && dropped[c.why.item] {
			requests[1]--
			continue
		}
		out = append(out, clause{lits: c.lits, why: c.why})
	}
	return out, requests
}

// contradiction are clauses, none of them learnt, that cannot all hold, after run has failed.
func (s *search) contradiction() []clause {
	var out []int32
	known := map[int32]bool{}
	todo := slices.Clone(s.failure)
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if i <= 0 || known[i] {
			continue
		}
		known[i] = true
		if int(i) >= s.first {
			todo = append(todo, s.parents[int(i)-s.first]...)
		} else {
			out = append(out, i)
		}
		for _, l := range s.clauses[i].lits {
			if abs(s.value[abs(l)]) == 1 {
				todo = append(todo, s.reason[abs(l)])
			}
		}
	}
	slices.Sort(out)
	core := make([]clause, len(out))
	for k, i := range out {
		core[k] = clause{lits: s.clauses[i].lits, why: s.clauses[i].why}
	}
	return core
}

// shrink leaves clauses out as long as the rest is still a contradiction, requests first: the fewest of them.
func (a *answer) shrink(core []clause) []clause {
	slices.SortStableFunc(core, func(a, b clause) int {
		return cmp.Compare(min(a.why.kind, isRequires), min(b.why.kind, isRequires))
	})
	for i := 0; i < len(core) && len(core) <= maxCore; {
		rest := slices.Delete(slices.Clone(core), i, i+1)
		if smaller, ok := contradict(rest); ok {
			// What is left of the part before i has been tried already.
			i = countIn(core[:i], smaller)
			core = smaller
		} else {
			i++
		}
	}
	return core
}

func countIn(tried, all []clause) int {
	n := 0
	for _, c := range all {
		if slices.ContainsFunc(tried, func(t clause) bool { return slices.Equal(t.lits, c.lits) && t.why == c.why }) {
			n++
		}
	}
	return n
}

// contradict reports whether the clauses cannot all hold, and which of them are enough for that, in their order.
func contradict(clauses []clause) ([]clause, bool) {
	numbers := map[int32]int32{}
	small := make([]clause, 1, len(clauses)+1)
	for i, c := range clauses {
		lits := make([]int32, len(c.lits))
		for k, l := range c.lits {
			if numbers[abs(l)] == 0 {
				numbers[abs(l)] = int32(len(numbers) + 1)
			}
			lits[k] = numbers[abs(l)]
			if l < 0 {
				lits[k] = -lits[k]
			}
		}
		small = append(small, clause{lits: lits, why: origin{item: int32(i)}})
	}
	s := newSearch(len(numbers)+1, small, [2]int{1, 1}, nil)
	if s.run() || s.gaveUp {
		return nil, false
	}
	var out []clause
	for _, c := range s.contradiction() {
		out = append(out, clauses[c.why.item])
	}
	return out, true
}

// describe puts a contradiction into words.
func (a *answer) describe(core []clause) Problem {
	t := &telling{answer: a, core: core, told: make([]bool, len(core))}
	t.tell()
	p := Problem{Chain: t.lines, Hints: t.hints}
	var specs []string
	for _, c := range core {
		if c.why.kind == isRequest {
			if spec := a.req.Install[c.why.item].Spec; !slices.Contains(specs, spec) {
				specs = append(specs, spec)
			}
		}
	}
	p.Summary = strings.Join(specs, ", ") + " cannot be installed"
	if len(specs) > 1 {
		p.Summary += " together"
	}
	if t.cause != "" {
		p.Summary += ": " + t.cause
	}
	if len(p.Chain) > maxChain {
		p.Chain = append(p.Chain[:maxChain:maxChain], fmt.Sprintf("and %d more lines", len(t.lines)-maxChain))
	}
	return p
}

// telling goes from the requests along requirements and writes a line for each clause it comes by.
type telling struct {
	answer *answer
	core   []clause
	told   []bool
	queue  []int32
	known  map[int32]bool
	lines  []string
	hints  []string
	cause  string
}

func (t *telling) tell() {
	t.known = map[int32]bool{}
	for i := range t.core {
		if t.core[i].why.kind == isRequest {
			t.line(i)
		}
	}
	for k := 0; k < len(t.queue); k++ {
		for i := range t.core {
			if t.core[i].why.kind != isRequest && t.core[i].why.from == t.queue[k] {
				t.line(i)
			}
		}
	}
	for i := range t.core {
		t.line(i)
	}
	if len(t.hints) > maxHints {
		t.hints = t.hints[:maxHints]
	}
}

func (t *telling) line(i int) {
	if t.told[i] {
		return
	}
	t.told[i] = true
	c := &t.core[i]
	text := t.text(c)
	t.lines = append(t.lines, text)
	if c.why.kind != isRequest && c.why.kind != isRequires {
		t.cause = cmp.Or(t.cause, text)
		t.addHints(c)
	}
	for _, l := range c.lits {
		if l > 0 && !t.known[l] {
			t.known[l] = true
			t.queue = append(t.queue, l)
		}
	}
}

func (t *telling) text(c *clause) string {
	pool, why := t.answer.pool, c.why
	name := func(id int32) string { return pool.pkg(id).NEVRA.String() }
	switch why.kind {
	case isRequest:
		return t.answer.req.Install[why.item].Spec + " is requested: " + t.names(c.lits, "no package can be that")
	case isRequires:
		return name(why.from) + " requires " + why.dep.String() + ": " + t.names(c.lits, "not beside "+t.absent(c))
	case isConflicts:
		return name(why.from) + " conflicts with " + why.dep.String() + ": " + t.absent(c)
	case isObsoletes:
		return name(why.from) + " obsoletes " + why.dep.String() + ": " + name(why.to)
	case isSameName:
		return name(why.to) + " and " + name(why.from) + " cannot be installed together"
	case isUnmet:
		return name(why.from) + " requires " + why.dep.String() + ", which nothing provides"
	case isExcluded:
		return name(why.from) + " is excluded"
	case isUnsupported:
		return name(why.from) + " requires " + why.dep.String() + ", which is not supported"
	case isOutside:
		return name(why.from) + " is not named"
	}
	return name(why.from) + " is of an inferior architecture: " + t.names(c.lits, "there is a better one, and not of this version")
}

// absent names the packages of a clause that must not be installed, the one it is about apart.
func (t *telling) absent(c *clause) string {
	var ids []int32
	for _, l := range c.lits {
		if l < 0 && -l != c.why.from {
			ids = append(ids, -l)
		}
	}
	return t.names(ids, "itself")
}

// names lists the positive ones of lits, or says otherwise when there are none.
func (t *telling) names(lits []int32, otherwise string) string {
	var names []string
	for _, l := range lits {
		if l > 0 {
			names = append(names, t.answer.pool.pkg(l).NEVRA.String())
		}
	}
	switch n := len(names); {
	case n == 0:
		return otherwise
	case n > maxNames:
		names = append(names[:maxNames:maxNames], fmt.Sprintf("%d more", n-maxNames))
	}
	return strings.Join(names, ", ")
}

func (t *telling) addHints(c *clause) {
	if c.why.kind != isUnmet {
		return
	}
	for _, h := range t.answer.pool.capabilityHints(*c.why.dep) {
		if !slices.Contains(t.hints, h) {
			t.hints = append(t.hints, h)
		}
	}
}

// unmet lists what the packages of s require that is not among them.
func (a *answer) unmet(s *search, failed *Error) error {
	e := &Error{}
	var paths []string
	for id := int32(1); int(id) < a.pool.len(); id++ {
		if !s.installed(id) {
			continue
		}
		m := a.pool.pkg(id)
		for _, r := range m.Requires {
			if r.Pre || a.met(r.Capability, s.installed) {
				continue
			}
			if a.pool.unknownPath(r.Capability) {
				paths = append(paths, r.Name)
				continue
			}
			e.Problems = append(e.Problems, Problem{
				Summary: m.NEVRA.String() + " requires " + r.String() + ", which nothing that is named provides",
				Hints:   a.providerHints(r.Capability),
			})
			e.addRequiring(m)
		}
	}
	switch {
	case len(paths) > 0:
		return needFiles(paths)
	case len(e.Problems) == 0:
		return failed
	}
	return e
}

func (a *answer) met(c rpm.Capability, in func(int32) bool) bool {
	return isRPMLib(c.Name) && knownRPMLib(c) || a.pool.fulfilled(c, in)
}

func (a *answer) providerHints(c rpm.Capability) []string {
	if c.IsRich() {
		return nil
	}
	var names []string
	for _, id := range a.pool.providers(c) {
		if n := a.pool.pkg(id).Name; !a.pool.excluded[id] && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []string{"provided by " + strings.Join(names[:min(len(names), maxNames)], ", ")}
}
