package rpm

import (
	"fmt"
	"strings"
)

// RichOp is the operator of a rich (boolean) dependency.
type RichOp string

const (
	RichAnd     RichOp = "and"
	RichOr      RichOp = "or"
	RichIf      RichOp = "if"
	RichUnless  RichOp = "unless"
	RichWith    RichOp = "with"
	RichWithout RichOp = "without"
)

// Rich is a node of a rich dependency. A leaf has no Op and only Capability. `A if B else C` and `A unless B else C`
// have three operands, if and unless without else two, with and without two, and and or two or more.
type Rich struct {
	Op       RichOp
	Operands []*Rich
	Capability
}

// String is the text rpm writes.
func (r *Rich) String() string {
	if r.Op == "" {
		return r.Capability.String()
	}
	var b strings.Builder
	b.WriteByte('(')
	for i, o := range r.Operands {
		switch {
		case i == 0:
		case i == 2 && (r.Op == RichIf || r.Op == RichUnless):
			b.WriteString(" else ")
		default:
			b.WriteString(" " + string(r.Op) + " ")
		}
		b.WriteString(o.String())
	}
	b.WriteByte(')')
	return b.String()
}

// Limits of a rich dependency: deeper or longer ones are refused.
const (
	MaxRichDepth  = 64
	MaxRichLength = 1 << 16
)

// ParseRich reads a rich dependency: (A and B), (A or B), (A if B else C), (A unless B else C), (A with B),
// (A without B), nested. The grammar is that of rpmrichParse in lib/rpmds.c: operators of one pair of parentheses may
// not be mixed, only and, or and with chain.
func ParseRich(s string) (*Rich, error) {
	if len(s) > MaxRichLength {
		return nil, fmt.Errorf("rich dependency of %d bytes: more than %d", len(s), MaxRichLength)
	}
	p := richParser{rest: s}
	r, err := p.group(0)
	if err == nil && strings.TrimSpace(p.rest) != "" {
		err = fmt.Errorf("%q after its end", p.rest)
	}
	if err != nil {
		return nil, fmt.Errorf("rich dependency %q: %w", s, err)
	}
	return r, nil
}

type richParser struct{ rest string }

func (p *richParser) skip() { p.rest = strings.TrimLeft(p.rest, " \t\n,") }

// group reads a parenthesised expression.
func (p *richParser) group(depth int) (*Rich, error) {
	if depth > MaxRichDepth {
		return nil, fmt.Errorf("nested deeper than %d", MaxRichDepth)
	}
	p.skip()
	if !strings.HasPrefix(p.rest, "(") {
		return nil, fmt.Errorf("no opening parenthesis at %q", p.rest)
	}
	p.rest = p.rest[1:]
	first, err := p.operand(depth)
	if err != nil {
		return nil, err
	}
	node := &Rich{Operands: []*Rich{first}}
	for {
		p.skip()
		if strings.HasPrefix(p.rest, ")") {
			p.rest = p.rest[1:]
			if node.Op == "" {
				return first, nil
			}
			return node, nil
		}
		op := RichOp(p.word())
		switch {
		case op == "else" && (node.Op == RichIf || node.Op == RichUnless) && len(node.Operands) == 2:
		case op == "":
			return nil, fmt.Errorf("no closing parenthesis")
		case node.Op == "" && isRichOp(op):
			node.Op = op
		case node.Op == op && (op == RichAnd || op == RichOr || op == RichWith):
		case isRichOp(op) || op == "else":
			return nil, fmt.Errorf("%q cannot follow %q without parentheses", op, node.Op)
		default:
			return nil, fmt.Errorf("unknown operator %q", op)
		}
		o, err := p.operand(depth)
		if err != nil {
			return nil, err
		}
		node.Operands = append(node.Operands, o)
	}
}

func isRichOp(op RichOp) bool {
	switch op {
	case RichAnd, RichOr, RichIf, RichUnless, RichWith, RichWithout:
		return true
	}
	return false
}

// operand reads a group, or a name with an optional comparison.
func (p *richParser) operand(depth int) (*Rich, error) {
	p.skip()
	if strings.HasPrefix(p.rest, "(") {
		return p.group(depth + 1)
	}
	name := p.word()
	if name == "" {
		return nil, fmt.Errorf("no name at %q", p.rest)
	}
	if !isBalanced(name) {
		return nil, fmt.Errorf("%q has a parenthesis without its other half", name)
	}
	c := Capability{Name: name}
	p.skip()
	if strings.IndexAny(p.rest, "<>=") == 0 {
		n := strings.IndexFunc(p.rest, func(r rune) bool { return !strings.ContainsRune("<>=", r) })
		if n < 0 {
			n = len(p.rest)
		}
		sense, err := ParseSense(p.rest[:n])
		if err != nil {
			return nil, err
		}
		p.rest = p.rest[n:]
		p.skip()
		version := p.word()
		if version == "" {
			return nil, fmt.Errorf("no version after %q", name+" "+sense.String())
		}
		if !isBalanced(version) {
			return nil, fmt.Errorf("%q has a parenthesis without its other half", version)
		}
		c.Sense, c.EVR = sense, ParseEVR(version)
	}
	return &Rich{Capability: c}, nil
}

func isBalanced(word string) bool { return strings.Count(word, "(") == strings.Count(word, ")") }

// word reads up to a blank, a comma, or a parenthesis that the word did not open: sonames hold pairs of them.
func (p *richParser) word() string {
	p.skip()
	depth := 0
	for i, c := range p.rest {
		switch {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case c == ')' || strings.ContainsRune(" \t\n,", c):
			w := p.rest[:i]
			p.rest = p.rest[i:]
			return w
		}
	}
	w := p.rest
	p.rest = ""
	return w
}

func (r *Rich) paths(yield func(string) bool) bool {
	if r.Op == "" && r.IsPath() {
		return yield(r.Name)
	}
	for _, o := range r.Operands {
		if !o.paths(yield) {
			return false
		}
	}
	return true
}
