package scriptlet

import (
	"context"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxArithmetic is how deep the values of variables may lead to others in an arithmetic expression.
const maxArithmetic = 100

// arithmetic evaluates an expression of $(( )) with 64 bits that wrap around, as bash does.
func (s *shell) arithmetic(ctx context.Context, x syntax.ArithmExpr) (int64, error) {
	return s.evaluate(ctx, x, 0)
}

func (s *shell) evaluate(ctx context.Context, x syntax.ArithmExpr, depth int) (int64, error) {
	if err := s.m.step(ctx, 1); err != nil {
		return 0, err
	}
	switch x := x.(type) {
	case nil:
		return 0, nil
	case *syntax.Word:
		if name := x.Lit(); syntax.ValidName(name) {
			return s.numberOf(ctx, name, nil, depth)
		}
		if len(x.Parts) == 1 {
			if p, ok := x.Parts[0].(*syntax.ParamExp); ok && !p.Dollar.IsValid() { // a[i]
				return s.numberOf(ctx, p.Param.Value, p.Index, depth)
			}
		}
		text, err := s.text(ctx, x)
		if err != nil {
			return 0, err
		}
		return s.numberDeep(ctx, text, depth)
	case *syntax.ParenArithm:
		return s.evaluate(ctx, x.X, depth)
	case *syntax.UnaryArithm:
		return s.unary(ctx, x, depth)
	case *syntax.BinaryArithm:
		return s.binaryArithmetic(ctx, x, depth)
	}
	return 0, s.unsupported("$((", "this expression is not known")
}

// number is the value of a text: a number, or an expression.
func (s *shell) number(ctx context.Context, text string) (int64, error) {
	return s.numberDeep(ctx, text, 0)
}

func (s *shell) numberDeep(ctx context.Context, text string, depth int) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	if n, ok := parseNumber(text); ok {
		return n, nil
	}
	if depth++; depth > maxArithmetic {
		return 0, failure(1, "%s: expression recursion level exceeded", text)
	}
	x, err := syntax.NewParser().Arithmetic(strings.NewReader(text))
	if err != nil || x == nil || int(x.End().Offset()) < len(text) {
		return 0, failure(1, "%s: syntax error in expression", text)
	}
	if w, ok := x.(*syntax.Word); ok && w.Lit() == text && !syntax.ValidName(text) {
		return 0, failure(1, "%s: syntax error: operand expected", text)
	}
	return s.evaluate(ctx, x, depth)
}

// parseNumber reads 10, 010, 0x10 and 2#10.
func parseNumber(text string) (int64, bool) {
	sign := int64(1)
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = -1, text[1:]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	base := 10
	digits := text
	if b, rest, ok := strings.Cut(text, "#"); ok {
		n, err := strconv.Atoi(b)
		if err != nil || n < 2 || n > 36 {
			return 0, false
		}
		base, digits = n, rest
	} else if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X") {
		base, digits = 16, text[2:]
	} else if len(text) > 1 && text[0] == '0' {
		base, digits = 8, text[1:]
	}
	if digits == "" || strings.ContainsAny(digits, "+-_") {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return 0, false
	}
	return sign * int64(n), true
}

func (s *shell) numberOf(ctx context.Context, name string, index syntax.ArithmExpr, depth int) (int64, error) {
	text, set, err := s.value(ctx, name, index)
	if err != nil {
		return 0, err
	}
	if !set && s.opts.nounset {
		return 0, failure(1, "%s: unbound variable", name)
	}
	return s.numberDeep(ctx, text, depth)
}

// store assigns to a variable of an expression.
func (s *shell) store(ctx context.Context, x syntax.ArithmExpr, n int64) error {
	w, ok := x.(*syntax.Word)
	if !ok {
		return failure(1, "attempted assignment to non-variable")
	}
	if name := w.Lit(); syntax.ValidName(name) {
		return s.set(name, strconv.FormatInt(n, 10))
	}
	if len(w.Parts) == 1 {
		if p, ok := w.Parts[0].(*syntax.ParamExp); ok && !p.Dollar.IsValid() {
			return s.setIndexed(ctx, p.Param.Value, p.Index, strconv.FormatInt(n, 10), false)
		}
	}
	return failure(1, "attempted assignment to non-variable")
}

func (s *shell) unary(ctx context.Context, x *syntax.UnaryArithm, depth int) (int64, error) {
	n, err := s.evaluate(ctx, x.X, depth)
	if err != nil {
		return 0, err
	}
	switch x.Op {
	case syntax.Not:
		return boolean(n == 0), nil
	case syntax.BitNegation:
		return ^n, nil
	case syntax.Plus:
		return n, nil
	case syntax.Minus:
		return -n, nil
	}
	after := n + 1
	if x.Op == syntax.Dec {
		after = n - 1
	}
	if err := s.store(ctx, x.X, after); err != nil {
		return 0, err
	}
	if x.Post {
		return n, nil
	}
	return after, nil
}

func boolean(ok bool) int64 {
	if ok {
		return 1
	}
	return 0
}

func (s *shell) binaryArithmetic(ctx context.Context, x *syntax.BinaryArithm, depth int) (int64, error) {
	switch x.Op {
	case syntax.Assgn:
		n, err := s.evaluate(ctx, x.Y, depth)
		if err == nil {
			err = s.store(ctx, x.X, n)
		}
		return n, err
	case syntax.TernQuest:
		branches, ok := x.Y.(*syntax.BinaryArithm)
		if !ok || branches.Op != syntax.TernColon {
			return 0, failure(1, "expression expected after ?")
		}
		n, err := s.evaluate(ctx, x.X, depth)
		if err != nil {
			return 0, err
		}
		if n != 0 {
			return s.evaluate(ctx, branches.X, depth)
		}
		return s.evaluate(ctx, branches.Y, depth)
	}
	a, err := s.evaluate(ctx, x.X, depth)
	if err != nil {
		return 0, err
	}
	switch {
	case x.Op == syntax.AndArit && a == 0:
		return 0, nil
	case x.Op == syntax.OrArit && a != 0:
		return 1, nil
	}
	b, err := s.evaluate(ctx, x.Y, depth)
	if err != nil {
		return 0, err
	}
	op, assigns := assigning(x.Op)
	n, err := calculate(op, a, b)
	if err == nil && assigns {
		err = s.store(ctx, x.X, n)
	}
	return n, err
}

// assigning is the operator that an assigning one does.
func assigning(op syntax.BinAritOperator) (syntax.BinAritOperator, bool) {
	switch op {
	case syntax.AddAssgn:
		return syntax.Add, true
	case syntax.SubAssgn:
		return syntax.Sub, true
	case syntax.MulAssgn:
		return syntax.Mul, true
	case syntax.QuoAssgn:
		return syntax.Quo, true
	case syntax.RemAssgn:
		return syntax.Rem, true
	case syntax.AndAssgn:
		return syntax.And, true
	case syntax.OrAssgn:
		return syntax.Or, true
	case syntax.XorAssgn:
		return syntax.Xor, true
	case syntax.ShlAssgn:
		return syntax.Shl, true
	case syntax.ShrAssgn:
		return syntax.Shr, true
	}
	return op, false
}

func calculate(op syntax.BinAritOperator, a, b int64) (int64, error) {
	switch op {
	case syntax.Add:
		return a + b, nil
	case syntax.Sub:
		return a - b, nil
	case syntax.Mul:
		return a * b, nil
	case syntax.Quo, syntax.Rem:
		if b == 0 {
			return 0, failure(1, "division by 0")
		}
		if b == -1 { // the smallest number has no opposite
			if op == syntax.Rem {
				return 0, nil
			}
			return -a, nil
		}
		if op == syntax.Quo {
			return a / b, nil
		}
		return a % b, nil
	case syntax.Pow:
		if b < 0 {
			return 0, failure(1, "exponent less than 0")
		}
		n := int64(1)
		for ; b > 0; b >>= 1 {
			if b&1 == 1 {
				n *= a
			}
			a *= a
		}
		return n, nil
	case syntax.Eql:
		return boolean(a == b), nil
	case syntax.Neq:
		return boolean(a != b), nil
	case syntax.Gtr:
		return boolean(a > b), nil
	case syntax.Lss:
		return boolean(a < b), nil
	case syntax.Geq:
		return boolean(a >= b), nil
	case syntax.Leq:
		return boolean(a <= b), nil
	case syntax.And:
		return a & b, nil
	case syntax.Or:
		return a | b, nil
	case syntax.Xor:
		return a ^ b, nil
	case syntax.Shl:
		return a << (uint64(b) & 63), nil
	case syntax.Shr:
		return a >> (uint64(b) & 63), nil
	case syntax.AndArit:
		return boolean(a != 0 && b != 0), nil
	case syntax.OrArit:
		return boolean(a != 0 || b != 0), nil
	case syntax.Comma:
		return b, nil
	}
	return 0, &Unsupported{Command: "$((", Why: "operator " + op.String() + " is not known"}
}
