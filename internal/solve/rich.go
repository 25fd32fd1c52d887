package solve

import (
	"slices"

	"slim/internal/rpm"
)

// Limits of what a rich dependency may grow to when it is multiplied out. A condition with an else counts twice, so that
// nested ones grow fast.
const (
	maxRichClauses = 4096
	maxRichSteps   = 1 << 14
)

// formula is a conjunction of clauses, each a sorted list of packages that must be (positive) or must not be
// (negative) installed. No clause at all is true; an empty clause makes it false.
type formula struct {
	clauses [][]int32
	unknown []string // paths of which nobody knows yet who has them: the rest means nothing then
	tooBig  bool
}

func always() formula { return formula{} }
func never() formula  { return formula{clauses: [][]int32{nil}} }

func (f formula) isFalse() bool { return len(f.clauses) == 1 && len(f.clauses[0]) == 0 }
func (f formula) isTrue() bool  { return len(f.clauses) == 0 }

// expand turns a rich dependency, or its negation, into clauses over the packages that provide its parts.
func (p *pool) expand(r *rpm.Rich, negated bool) formula {
	key := expansion{r, negated}
	f, ok := p.expanded[key]
	if !ok {
		e := expander{pool: p, steps: maxRichSteps}
		f = e.expand(r, negated)
		p.expanded[key] = f
	}
	return f
}

type expansion struct {
	rich    *rpm.Rich
	negated bool
}

type expander struct {
	pool  *pool
	steps int // that are left
}

func (e *expander) expand(r *rpm.Rich, negated bool) formula {
	e.steps--
	if e.steps < 0 {
		return formula{tooBig: true}
	}
	switch r.Op {
	case rpm.RichAnd, rpm.RichOr:
		f := e.expand(r.Operands[0], negated)
		for _, o := range r.Operands[1:] {
			f = join(f, e.expand(o, negated), (r.Op == rpm.RichAnd) != negated)
		}
		return f
	case rpm.RichIf:
		// A if B else C is (A or not B) and (C or B).
		return e.branch(r, negated, true)
	case rpm.RichUnless:
		// A unless B else C is (A and not B) or (C and B).
		return e.branch(r, negated, false)
	}
	return e.leaf(r, negated)
}

func (e *expander) branch(r *rpm.Rich, negated, isIf bool) formula {
	a, b := r.Operands[0], r.Operands[1]
	inner := isIf == negated // how the halves hang together: by and when true
	f := join(e.expand(a, negated), e.expand(b, !negated), inner)
	if len(r.Operands) < 3 {
		return f
	}
	g := join(e.expand(r.Operands[2], negated), e.expand(b, negated), inner)
	return join(f, g, !inner)
}

func (e *expander) leaf(r *rpm.Rich, negated bool) formula {
	ids, unknown := e.pool.richProviders(r)
	if len(unknown) > 0 {
		return formula{unknown: unknown}
	}
	if r.Op == "" && isRPMLib(r.Name) && knownRPMLib(r.Capability) {
		if negated {
			return never()
		}
		return always()
	}
	if !negated {
		return formula{clauses: [][]int32{ids}}
	}
	f := always()
	for _, id := range ids {
		f.clauses = append(f.clauses, []int32{-id})
	}
	return f
}

// richProviders are the packages that provide r on their own: all of `with`, the first but not the second of
// `without`, any of the others.
func (p *pool) richProviders(r *rpm.Rich) (ids []int32, unknown []string) {
	if r.Op == "" {
		if p.unknownPath(r.Capability) {
			return nil, []string{r.Name}
		}
		return p.providers(r.Capability), nil
	}
	for i, o := range r.Operands {
		more, u := p.richProviders(o)
		unknown = append(unknown, u...)
		switch {
		case i == 0:
			ids = more
		case r.Op == rpm.RichWith:
			ids = filter(ids, func(id int32) bool { return contains(more, id) })
		case r.Op == rpm.RichWithout:
			ids = filter(ids, func(id int32) bool { return !contains(more, id) })
		default:
			ids = merge(ids, more)
		}
	}
	return ids, unknown
}

func filter(ids []int32, keep func(int32) bool) []int32 {
	var out []int32
	for _, id := range ids {
		if keep(id) {
			out = append(out, id)
		}
	}
	return out
}

func contains(sorted []int32, id int32) bool {
	_, ok := slices.BinarySearch(sorted, id)
	return ok
}

// join is a and b, or a or b multiplied out.
func join(a, b formula, and bool) formula {
	f := formula{unknown: slices.Concat(a.unknown, b.unknown), tooBig: a.tooBig || b.tooBig}
	switch {
	case len(f.unknown) > 0 || f.tooBig:
	case and && (a.isFalse() || b.isFalse()):
		return never()
	case and:
		f.clauses = slices.Concat(a.clauses, b.clauses)
		f.tooBig = len(f.clauses) > maxRichClauses
	case a.isTrue() || b.isTrue():
	case a.isFalse():
		return b
	case b.isFalse():
		return a
	case len(a.clauses)*len(b.clauses) > maxRichClauses:
		f.tooBig = true
	default:
		f.clauses = multiply(a.clauses, b.clauses)
	}
	return f
}

func multiply(a, b [][]int32) [][]int32 {
	var out [][]int32
	for _, x := range a {
		for _, y := range b {
			if c := merge(x, y); !tautology(c) {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, slices.Compare)
	return slices.CompactFunc(out, slices.Equal)
}

func tautology(sorted []int32) bool {
	for i, j := 0, len(sorted)-1; i < j && sorted[i] < 0; {
		switch sum := sorted[i] + sorted[j]; {
		case sum == 0:
			return true
		case sum < 0:
			i++
		default:
			j--
		}
	}
	return false
}

// holds evaluates a dependency, rich or not, of which the packages in are installed.
func (p *pool) holds(r *rpm.Rich, in func(int32) bool) bool {
	switch r.Op {
	case rpm.RichAnd:
		return !slices.ContainsFunc(r.Operands, func(o *rpm.Rich) bool { return !p.holds(o, in) })
	case rpm.RichOr:
		return slices.ContainsFunc(r.Operands, func(o *rpm.Rich) bool { return p.holds(o, in) })
	case rpm.RichIf:
		if p.holds(r.Operands[1], in) {
			return p.holds(r.Operands[0], in)
		}
		return len(r.Operands) < 3 || p.holds(r.Operands[2], in)
	case rpm.RichUnless:
		if !p.holds(r.Operands[1], in) {
			return p.holds(r.Operands[0], in)
		}
		return len(r.Operands) == 3 && p.holds(r.Operands[2], in)
	}
	ids, _ := p.richProviders(r)
	return slices.ContainsFunc(ids, in)
}

// fulfilled evaluates a dependency in a list: the text of a rich one is read first.
func (p *pool) fulfilled(c rpm.Capability, in func(int32) bool) bool {
	if c.IsRich() {
		r := p.parse(c.Name)
		return r != nil && p.holds(r, in)
	}
	return slices.ContainsFunc(p.providers(c), in)
}
