package solve

import (
	"math"
	"slices"

	"slim/internal/rpm"
)

// Element is one package to order, by what its header says.
type Element struct {
	NEVRA        rpm.NEVRA
	Color        uint32 // of its files together: 1 32-bit, 2 64-bit
	Provides     []rpm.Capability
	Files        []string
	Dependencies []OrderDependency
}

// OrderDependency is a dependency with rpm's raw flags (RPMSENSE_*).
type OrderDependency struct {
	rpm.Capability
	Flags   uint32
	Weak    bool // Recommends, Suggests, Supplements, Enhances
	Reverse bool // Supplements, Enhances
}

// Flags of a dependency that matter for the order (include/rpm/rpmds.h).
const (
	sensePostTrans    = 1 << 5
	sensePreReq       = 1 << 6
	sensePreTrans     = 1 << 7
	senseInterp       = 1 << 8
	senseScriptPre    = 1 << 9
	senseScriptPost   = 1 << 10
	senseScriptPreUn  = 1 << 11
	senseScriptPostUn = 1 << 12
	senseScriptVerify = 1 << 13
	senseFind         = 1 << 14
	senseRPMLib       = 1 << 24
	senseKeyring      = 1 << 26
	senseConfig       = 1 << 28
	senseMeta         = 1 << 29

	senseScripts = senseScriptPre | senseScriptPost | senseScriptPreUn | senseScriptPostUn
	sensePrereqs = senseScriptPre | senseScriptPost | senseRPMLib | senseKeyring | sensePreTrans | sensePostTrans
	senseNoOrder = sensePreTrans | sensePostTrans | senseScriptVerify | senseRPMLib | senseConfig | senseMeta
	senseNamed   = senseInterp | senseScripts | senseScriptVerify | senseFind | senseRPMLib | senseKeyring |
		sensePreTrans | sensePostTrans | sensePreReq | senseMeta
)

// orderless reports whether a dependency says nothing about the order of installation.
func orderless(flags uint32) bool {
	return flags&senseNoOrder != 0 && flags&senseScripts == 0
}

// Order is the order of installation: indexes into elements. It is that of rpm 4.14 to 4.19 (lib/order.c): what is
// required, recommended or suggested comes first, loops are broken farthest from what scriptlets need, and of several
// packages that could be next the one that most others wait for. (From 4.20 on weak dependencies of no scriptlet do not
// count.) Where rpm falls back on the order it was given the packages in, the order is that of elements: hand them over
// sorted by name.
func Order(elements []Element) []int {
	o := newOrdering(elements)
	for i := range elements {
		for _, d := range elements[i].Dependencies {
			o.relate(i, d)
		}
	}
	o.components()
	return o.run()
}

type edge struct {
	to     int
	prereq bool
}

type vertex struct {
	waits   int    // open requirements
	wanted  int    // packages that require this one
	sucs    []edge // those that require this one, latest first
	preds   []edge // those this one requires, latest first
	comp    int    // component: 1 for a package on its own, from 2 on a loop
	low     int
	done    bool
	visited bool
	onStack bool
	dist    int
}

type component struct {
	members []int
	waits   int
}

type ordering struct {
	elements  []Element
	providers map[string][]provider
	files     map[string][]provider
	v         []vertex
	comps     []component // from 2 on
	stack     []int
	next      int
}

type provider struct {
	element int
	rpm.Capability
}

func newOrdering(elements []Element) *ordering {
	o := &ordering{elements: elements, v: make([]vertex, len(elements)), providers: map[string][]provider{}, files: map[string][]provider{}, comps: make([]component, 2)}
	for i, e := range elements {
		for _, c := range e.Provides {
			o.providers[c.Name] = append(o.providers[c.Name], provider{i, c})
		}
		for _, f := range e.Files {
			o.files[f] = append(o.files[f], provider{i, rpm.Capability{Name: f}})
		}
	}
	return o
}

// relate records what one dependency says of the order.
func (o *ordering) relate(p int, d OrderDependency) {
	if orderless(d.Flags) {
		return
	}
	if d.IsRich() {
		r, err := rpm.ParseRich(d.Name)
		if err == nil {
			o.relateRich(p, r, d)
		}
		return
	}
	if q, ok := o.satisfies(p, d.Capability); ok && q != p {
		o.link(p, q, d)
	}
}

// satisfies is the package that a requirement of p leads to: one of the preferred colour before others, p itself before
// its equals, else the first. Files come before provides.
func (o *ordering) satisfies(p int, c rpm.Capability) (best int, ok bool) {
	candidates := o.files[c.Name]
	if !c.IsPath() || len(candidates) == 0 {
		candidates = o.providers[c.Name]
	}
	score := 0
	for _, q := range candidates {
		if !q.Overlaps(c) {
			continue
		}
		s := 0
		if o.elements[q.element].Color == preferredColor {
			s += 2
		}
		if q.element == p {
			s++
		}
		if !ok || s > score {
			best, score, ok = q.element, s, true
		}
	}
	return best, ok
}

// preferredColor is that of 64-bit files.
const preferredColor = 2

// relateRich takes the operands that make something be there: both of and and or, the first of if and unless and what
// follows else, the first of with and without.
func (o *ordering) relateRich(p int, r *rpm.Rich, d OrderDependency) {
	if r.Op == "" {
		d.Capability = r.Capability
		o.relate(p, d)
		return
	}
	for i, operand := range r.Operands {
		switch {
		case i == 0, r.Op == rpm.RichAnd, r.Op == rpm.RichOr, i == 2:
			o.relateRich(p, operand, d)
		}
	}
}

// link records that p comes after q.
func (o *ordering) link(p, q int, d OrderDependency) {
	prereq := d.Flags&sensePrereqs != 0 || d.Flags&senseNamed == sensePreReq
	if d.Weak {
		prereq = false
	}
	if d.Reverse {
		p, q = q, p
	}
	// rpm looks at the latest relation only, which is the same as all but where Supplements and Enhances repeat.
	if sucs := o.v[q].sucs; !d.Reverse && len(sucs) > 0 && sucs[0].to == p {
		sucs[0].prereq = sucs[0].prereq || prereq
		j := slices.IndexFunc(o.v[p].preds, func(e edge) bool { return e.to == q })
		o.v[p].preds[j].prereq = o.v[p].preds[j].prereq || prereq
		return
	}
	o.v[p].waits++
	o.v[q].wanted++
	o.v[q].sucs = slices.Insert(o.v[q].sucs, 0, edge{p, prereq})
	o.v[p].preds = slices.Insert(o.v[p].preds, 0, edge{q, prereq})
}

// components finds the loops (Tarjan's strongly connected components), without recursion limits in mind: a chain of
// packages is at most as deep as there are packages.
func (o *ordering) components() {
	for i := range o.v {
		if !o.v[i].visited {
			o.visit(i)
		}
	}
}

func (o *ordering) visit(i int) {
	v := &o.v[i]
	o.next++
	index := o.next
	v.visited, v.onStack, v.low = true, true, index
	o.stack = append(o.stack, i)
	for _, e := range v.sucs {
		w := &o.v[e.to]
		if !w.visited {
			o.visit(e.to)
			v.low = min(v.low, w.low)
		} else if w.onStack {
			v.low = min(v.low, w.low)
		}
	}
	if v.low != index {
		return
	}
	at := slices.Index(o.stack, i)
	members := slices.Clone(o.stack[at:])
	o.stack = o.stack[:at]
	comp := 1
	if len(members) > 1 {
		comp = len(o.comps)
	}
	for _, m := range members {
		o.v[m].onStack, o.v[m].comp = false, comp
	}
	if comp == 1 {
		return
	}
	c := component{}
	for _, m := range members {
		c.members = append(c.members, m)
		c.waits += o.v[m].waits
		for _, e := range o.v[m].sucs {
			if e.to != m && o.v[e.to].comp == comp {
				c.waits--
			}
		}
	}
	o.comps = append(o.comps, c)
}

// queue holds what could be installed next, most wanted first; of equals the last to come is first.
type queue []int

func (o *ordering) add(q *queue, i int) {
	color := o.elements[i].Color
	last := color != 0 && color != preferredColor
	at := len(*q)
	for k, other := range *q {
		if last && color != o.elements[other].Color {
			continue
		}
		if o.v[other].wanted <= o.v[i].wanted {
			at = k
			break
		}
	}
	*q = slices.Insert(*q, at, i)
}

func (q *queue) pop() int {
	i := (*q)[0]
	*q = (*q)[1:]
	return i
}

func (o *ordering) run() []int {
	var q queue
	for i := range o.v {
		if o.v[i].waits == 0 {
			o.add(&q, i)
		}
	}
	for _, c := range o.comps[2:] {
		if c.waits == 0 {
			o.add(&q, c.members[0])
		}
	}
	out := make([]int, 0, len(o.v))
	for len(q) > 0 {
		i := q.pop()
		if o.v[i].comp > 1 {
			o.collectLoop(i, &out, &q)
		} else {
			o.collect(i, &out, &q, &q)
		}
	}
	return out
}

// collect takes a package and queues what waited for it alone: in inner what is of its own loop, in outer the rest.
func (o *ordering) collect(i int, out *[]int, inner, outer *queue) {
	*out = append(*out, i)
	v := &o.v[i]
	for _, e := range v.sucs {
		w := &o.v[e.to]
		if w.done || e.to == i {
			continue
		}
		if w.waits--; w.waits == 0 {
			if v.comp > 1 && v.comp != w.comp {
				o.add(outer, e.to)
			} else {
				o.add(inner, e.to)
			}
		}
		if w.comp > 1 && w.comp != v.comp {
			c := &o.comps[w.comp]
			if c.waits--; c.waits == 0 {
				o.add(outer, e.to)
			}
		}
	}
	v.done = true
}

// collectLoop takes a whole loop: again and again the member farthest from anything a scriptlet needs, and what
// becomes free by it.
func (o *ordering) collectLoop(i int, out *[]int, outer *queue) {
	members := o.comps[o.v[i].comp].members
	o.distances(members)
	for {
		best, score := -1, 0
		for _, m := range members {
			if !o.v[m].done && o.v[m].dist >= score {
				best, score = m, o.v[m].dist
			}
		}
		if best < 0 {
			return
		}
		inner := queue{best}
		for len(inner) > 0 {
			if i := inner.pop(); !o.v[i].done {
				o.collect(i, out, &inner, outer)
			}
		}
	}
}

// distances counts for each member of a loop the steps from the nearest one with a scriptlet's requirement in the loop.
func (o *ordering) distances(members []int) {
	var frontier []int
	for _, m := range members {
		v := &o.v[m]
		v.dist = math.MaxInt
		for _, e := range v.preds {
			if e.prereq && o.v[e.to].comp == v.comp {
				v.dist = 0
				frontier = append(frontier, m)
				break
			}
		}
	}
	for len(frontier) > 0 {
		m := frontier[0]
		frontier = frontier[1:]
		for _, e := range o.v[m].preds {
			if w := &o.v[e.to]; w.comp == o.v[m].comp && w.dist > o.v[m].dist+1 {
				w.dist = o.v[m].dist + 1
				frontier = append(frontier, e.to)
			}
		}
	}
}
