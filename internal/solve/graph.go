package solve

import (
	"cmp"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Graph says who requires whom among packages that stand together: a solution, or what is installed. It is read-only.
type Graph struct {
	pool     *pool
	needs    map[int32][]requirement // by package, in the order of its requirements
	edges    map[int32][]int32       // by package, what it requires, sorted
	between  map[[2]int32][]int      // by pair, indexes into needs of the first
	reversed map[int32][]int32
}

// requirement is one clause of what a package requires.
type requirement struct {
	dep  *rpm.Requirement
	lits []int32 // without the package itself
}

// EdgeKind says how a requirement names what it needs.
type EdgeKind string

const (
	EdgeName       EdgeKind = "name"       // the package by its name
	EdgeSoname     EdgeKind = "soname"     // a shared library
	EdgePath       EdgeKind = "path"       // a file
	EdgeCapability EdgeKind = "capability" // anything else that is provided
	EdgeRich       EdgeKind = "rich"       // a rich dependency
)

// Edge is that one package requires another. Of several requirements it names the plainest.
type Edge struct {
	From, To   rpm.NEVRA
	Capability string
	Kind       EdgeKind
	ByHand     bool // a packager wrote it, no generator of rpm's
	Scriptlet  bool // only scriptlets that run at install time need it
	More       int  // further requirements of the same two
}

// byHand reports whether a packager wrote a requirement: rpm's generators (fileattrs) make sonames, paths and names with a
// kind before the parenthesis, as in perl(POSIX), and mark in the header what else they make.
func byHand(r *rpm.Requirement, kind EdgeKind) bool {
	plain := kind == EdgeName || kind == EdgeRich || kind == EdgeCapability && !strings.Contains(r.Name, "(")
	return plain && !r.Generated
}

// Chain leads from a package that was asked for to another, edge by edge; never empty.
type Chain []Edge

// NewGraph reads the requirements that mode cares for. Of packages with one NEVRA the first counts. A requirement that
// none of the packages meets is no edge.
func NewGraph(packages []*rpm.Metadata, mode Mode) *Graph {
	g := &Graph{
		pool: newPool(newList(packages), widestArch(packages), nil), needs: map[int32][]requirement{}, edges: map[int32][]int32{},
		between: map[[2]int32][]int{}, reversed: map[int32][]int32{},
	}
	if mode == Named {
		mode = Runtime
	}
	q := &problem{pool: g.pool, mode: mode, has: make([]bool, g.pool.len()), unknown: map[int32][]string{}}
	for id := range g.all() {
		requires := g.pool.pkg(id).Requires
		for i := range requires {
			if !q.follows(&requires[i]) {
				continue
			}
			q.clauses = q.clauses[:0]
			q.addRequires(id, &requires[i].Capability)
			for _, c := range q.clauses {
				g.add(id, requirement{&requires[i], filter(c.lits, func(l int32) bool { return l != -id })})
			}
		}
	}
	return g
}

// widestArch is the base architecture that takes most of the packages.
func widestArch(packages []*rpm.Metadata) string {
	count := map[string]int{}
	for _, m := range packages {
		count[m.Arch]++
	}
	best, most := "noarch", -1
	for arch := range count {
		n, rank := 0, ranks(arch)
		for other, k := range count {
			if rank[other] != rankForeign {
				n += k
			}
		}
		if n > most || n == most && arch < best {
			best, most = arch, n
		}
	}
	return best
}

// all are the numbers of the packages.
func (g *Graph) all() func(func(int32) bool) {
	return func(yield func(int32) bool) {
		for id := int32(1); int(id) < g.pool.len(); id++ {
			if !yield(id) {
				return
			}
		}
	}
}

func (g *Graph) add(from int32, r requirement) {
	at := len(g.needs[from])
	g.needs[from] = append(g.needs[from], r)
	for _, to := range r.lits {
		if to <= 0 {
			continue
		}
		key := [2]int32{from, to}
		if g.between[key] == nil {
			g.edges[from] = append(g.edges[from], to)
			g.reversed[to] = append(g.reversed[to], from)
		}
		g.between[key] = append(g.between[key], at)
	}
}

// Find are the packages that a name, NAME.ARCH, NEVRA, path or capability means, in the order of NEVRA.Compare; none is
// no error.
func (g *Graph) Find(spec string) []rpm.NEVRA {
	ids, _ := g.pool.byForm(spec, func(int32) bool { return true })
	if c, err := rpm.ParseCapability(spec); len(ids) == 0 && err == nil {
		ids = g.pool.providers(c)
	}
	return g.nevras(ids)
}

func (g *Graph) nevras(ids []int32) []rpm.NEVRA {
	out := make([]rpm.NEVRA, 0, len(ids))
	for _, id := range ids {
		out = append(out, g.pool.pkg(id).NEVRA)
	}
	slices.SortFunc(out, rpm.NEVRA.Compare)
	return out
}

func (g *Graph) number(n rpm.NEVRA) int32 {
	for _, id := range g.pool.named(n.Name) {
		if g.pool.pkg(id).NEVRA == n {
			return id
		}
	}
	return 0
}

func (g *Graph) numbers(list []rpm.NEVRA) []int32 {
	var out []int32
	for _, n := range list {
		if id := g.number(n); id > 0 {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b int32) int { return g.pool.pkg(a).NEVRA.Compare(g.pool.pkg(b).NEVRA) })
	return slices.Compact(out)
}

// Tops are packages that no other requires; where packages only require each other in a ring, one of the ring. Every
// package is reached from one of them.
func (g *Graph) Tops() []rpm.NEVRA {
	var tops []int32
	for id := range g.all() {
		if len(g.reversed[id]) == 0 {
			tops = append(tops, id)
		}
	}
	reached := g.reach(tops, nil)
	for id := range g.all() {
		if reached[id] {
			continue
		}
		// What leads to id and is led to by it is a ring that nothing outside requires.
		up, down := spread([]int32{id}, g.reversed, nil), g.reach([]int32{id}, nil)
		if isSubset(up, down) {
			tops = append(tops, id)
			for other := range down {
				reached[other] = true
			}
		}
	}
	return g.nevras(tops)
}

func isSubset(a, b map[int32]bool) bool {
	for k := range a {
		if !b[k] {
			return false
		}
	}
	return true
}

// reach are the packages that from lead to, without those that are gone.
func (g *Graph) reach(from []int32, gone map[int32]bool) map[int32]bool {
	return spread(from, g.edges, gone)
}

func spread(from []int32, edges map[int32][]int32, gone map[int32]bool) map[int32]bool {
	seen := map[int32]bool{}
	var todo []int32
	visit := func(ids []int32) {
		for _, id := range ids {
			if !seen[id] && !gone[id] {
				seen[id] = true
				todo = append(todo, id)
			}
		}
	}
	visit(from)
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		visit(edges[id])
	}
	return seen
}

// Chains are, for each package that requires target, the shortest way to it from one of the roots and on to target;
// shorter ones first.
func (g *Graph) Chains(target rpm.NEVRA, roots []rpm.NEVRA) []Chain {
	to := g.number(target)
	before := map[int32]int32{} // the package in front of one, on a shortest way; itself for roots
	var order []int32
	for _, id := range g.numbers(roots) {
		if id != to {
			before[id] = id
			order = append(order, id)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, next := range g.edges[order[i]] {
			if _, ok := before[next]; !ok && next != to {
				before[next] = order[i]
				order = append(order, next)
			}
		}
	}
	var out []Chain
	for _, from := range order {
		if g.between[[2]int32{from, to}] == nil {
			continue
		}
		chain := Chain{g.edge(from, to)}
		for at := from; before[at] != at; at = before[at] {
			chain = append(chain, g.edge(before[at], at))
		}
		slices.Reverse(chain)
		out = append(out, chain)
	}
	slices.SortStableFunc(out, func(a, b Chain) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), a[len(a)-1].From.Compare(b[len(b)-1].From))
	})
	return out
}

// Edges are all requirements of one package by another, in the order of the NEVRAs of both.
func (g *Graph) Edges() []Edge {
	var out []Edge
	for id := range g.all() {
		for _, to := range g.edges[id] {
			out = append(out, g.edge(id, to))
		}
	}
	slices.SortFunc(out, func(a, b Edge) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	return out
}

func (g *Graph) edge(from, to int32) Edge {
	a, b := g.pool.pkg(from), g.pool.pkg(to)
	var best *rpm.Requirement
	capabilities := map[string]bool{}
	for _, i := range g.between[[2]int32{from, to}] {
		r := g.needs[from][i].dep
		capabilities[r.String()] = true
		if best == nil || plainer(r, best, b.Name) {
			best = r
		}
	}
	kind := edgeKind(best, b.Name)
	return Edge{
		From: a.NEVRA, To: b.NEVRA, Capability: best.String(), Kind: kind, ByHand: byHand(best, kind), Scriptlet: best.Pre,
		More: len(capabilities) - 1,
	}
}

// plainer reports whether a says more about why a package is needed than b.
func plainer(a, b *rpm.Requirement, name string) bool {
	x, y := a.String(), b.String()
	return cmp.Or(boolCompare(a.Pre, b.Pre), cmp.Compare(kindOrder(a, name), kindOrder(b, name)), cmp.Compare(len(x), len(y)), strings.Compare(x, y)) < 0
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func kindOrder(r *rpm.Requirement, name string) int {
	return slices.Index([]EdgeKind{EdgeName, EdgeSoname, EdgePath, EdgeCapability, EdgeRich}, edgeKind(r, name))
}

func edgeKind(r *rpm.Requirement, name string) EdgeKind {
	switch {
	case r.IsRich():
		return EdgeRich
	case r.IsPath():
		return EdgePath
	case r.Name == name || isArchName(strings.TrimPrefix(r.Name, name)):
		return EdgeName
	case isSoname(r.Name):
		return EdgeSoname
	}
	return EdgeCapability
}

// isArchName tells what %{_isa} puts behind a name, as in (x86-64), from perl(POSIX) of a package perl.
func isArchName(s string) bool {
	return strings.HasPrefix(s, "(") && (strings.HasSuffix(s, "-64)") || strings.HasSuffix(s, "-32)"))
}

// isSoname tells libz.so.1()(64bit), libc.so.6(GLIBC_2.34) and ld-linux.so.2 from other names (rpm's elfdeps).
func isSoname(name string) bool {
	base, _, _ := strings.Cut(name, "(")
	_, rest, ok := strings.Cut(base, ".so")
	return ok && (rest == "" || rest[0] == '.')
}

// Loss is what becomes of the others when a package is taken away.
type Loss struct {
	Broken []Break     // packages whose requirements are not met any more, and theirs, nearest first
	Unused []rpm.NEVRA // packages that nothing of the rest needs
	Size   int64       // installed bytes of all of these and of the package itself
}

// Break is a package that cannot do without what is gone.
type Break struct {
	NEVRA      rpm.NEVRA
	Capability string // of its requirements that nothing meets any more the plainest
	Kind       EdgeKind
	ByHand     bool
	Scriptlet  bool
	Root       bool // it was asked for itself
}

// Without says what taking target away would do to the roots and to what they need. Packages that no root leads to do not
// count.
func (g *Graph) Without(target rpm.NEVRA, roots []rpm.NEVRA) Loss {
	id := g.number(target)
	if id == 0 {
		return Loss{}
	}
	loss := Loss{Size: g.pool.pkg(id).InstalledSize}
	asked := g.numbers(roots)
	before := g.reach(asked, nil)
	gone := map[int32]bool{id: true}
	for {
		round := g.broken(before, gone)
		if len(round) == 0 {
			break
		}
		for _, b := range round {
			n := g.number(b.NEVRA)
			gone[n] = true
			b.Root = slices.Contains(asked, n)
			loss.Broken = append(loss.Broken, b)
			loss.Size += g.pool.pkg(n).InstalledSize
		}
	}
	used := g.reach(asked, gone)
	var unused []int32
	for other := range g.all() {
		if before[other] && !used[other] && !gone[other] {
			unused = append(unused, other)
			loss.Size += g.pool.pkg(other).InstalledSize
		}
	}
	loss.Unused = g.nevras(unused)
	return loss
}

// broken are the packages of all that are left and have a requirement that was met until others went, by NEVRA.
func (g *Graph) broken(all, gone map[int32]bool) []Break {
	var out []Break
	for id := range g.all() {
		if gone[id] || !all[id] {
			continue
		}
		var worst *rpm.Requirement
		var name string
		for _, r := range g.needs[id] {
			if met(r.lits, gone) || !met(r.lits, nil) {
				continue
			}
			if of := g.firstName(r.lits); worst == nil || plainer(r.dep, worst, of) {
				worst, name = r.dep, of
			}
		}
		if worst != nil {
			kind := edgeKind(worst, name)
			out = append(out, Break{NEVRA: g.pool.pkg(id).NEVRA, Capability: worst.String(), Kind: kind, ByHand: byHand(worst, kind), Scriptlet: worst.Pre})
		}
	}
	slices.SortFunc(out, func(a, b Break) int { return a.NEVRA.Compare(b.NEVRA) })
	return out
}

// Unmet is a requirement that none of the packages meets.
type Unmet struct {
	NEVRA      rpm.NEVRA // of the package that has it
	Capability string
	Scriptlet  bool // only scriptlets need it
}

// Unmet are the requirements that none of the packages meets, by NEVRA and capability.
func (g *Graph) Unmet() []Unmet {
	var out []Unmet
	for id := range g.all() {
		for _, r := range g.needs[id] {
			if !met(r.lits, nil) {
				out = append(out, Unmet{g.pool.nevra(id), r.dep.String(), r.dep.Pre})
			}
		}
	}
	slices.SortFunc(out, func(a, b Unmet) int {
		return cmp.Or(a.NEVRA.Compare(b.NEVRA), strings.Compare(a.Capability, b.Capability), boolCompare(a.Scriptlet, b.Scriptlet))
	})
	return slices.CompactFunc(out, func(a, b Unmet) bool { return a.NEVRA == b.NEVRA && a.Capability == b.Capability })
}

// firstName is the name of the first package that met a requirement.
func (g *Graph) firstName(lits []int32) string {
	for _, l := range lits {
		if l > 0 {
			return g.pool.pkg(l).Name
		}
	}
	return ""
}

// met reports whether one of lits holds: a package that is there, or one that is gone and must not be there.
func met(lits []int32, gone map[int32]bool) bool {
	return slices.ContainsFunc(lits, func(l int32) bool {
		if l < 0 {
			return gone[-l]
		}
		return !gone[l]
	})
}
