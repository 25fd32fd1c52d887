package scriptlet

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// testBuiltin does test and [: by the number of arguments as POSIX says, more than four by precedence as bash does.
func (s *shell) doTest(ctx context.Context, args []string) (int, error) {
	name, args := args[0], args[1:]
	if name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			s.errorf("[: missing `]'")
			return 2, nil
		}
		args = args[:len(args)-1]
	}
	t := tester{s: s, ctx: ctx, args: args}
	ok := t.all()
	switch {
	case t.err != nil:
		return 2, t.err
	case t.fault != "":
		s.errorf("%s: %s", name, t.fault)
		return 2, nil
	case ok:
		return 0, nil
	}
	return 1, nil
}

// tester evaluates one call of test.
type tester struct {
	s     *shell
	ctx   context.Context
	args  []string
	fault string
	err   error
}

func (t *tester) fail(text string) bool {
	if t.fault == "" {
		t.fault = text
	}
	return false
}

func (t *tester) all() bool {
	switch a := t.args; len(a) {
	case 0:
		return false
	case 1:
		return a[0] != ""
	case 2:
		return t.two(a)
	case 3:
		return t.three(a)
	case 4:
		if a[0] == "!" {
			return !t.three(a[1:])
		}
		if a[0] == "(" && a[3] == ")" {
			return t.two(a[1:3])
		}
	}
	ok := t.or()
	if len(t.args) > 0 {
		return t.fail("too many arguments")
	}
	return ok
}

func (t *tester) two(a []string) bool {
	switch {
	case a[0] == "!":
		return a[1] == ""
	case isUnary(a[0]):
		return t.unary(a[0], a[1])
	}
	return t.fail(a[0] + ": unary operator expected")
}

func (t *tester) three(a []string) bool {
	switch {
	case isBinary(a[1]):
		return t.binary(a[0], a[1], a[2])
	case a[1] == "-a":
		return a[0] != "" && a[2] != ""
	case a[1] == "-o":
		return a[0] != "" || a[2] != ""
	case a[0] == "!":
		return !t.two(a[1:])
	case a[0] == "(" && a[2] == ")":
		return a[1] != ""
	}
	return t.fail(a[1] + ": binary operator expected")
}

func (t *tester) next() string {
	if len(t.args) == 0 {
		t.fail("argument expected")
		return ""
	}
	a := t.args[0]
	t.args = t.args[1:]
	return a
}

func (t *tester) or() bool {
	ok := t.and()
	for len(t.args) > 0 && t.args[0] == "-o" {
		t.next()
		right := t.and()
		ok = ok || right
	}
	return ok
}

func (t *tester) and() bool {
	ok := t.not()
	for len(t.args) > 0 && t.args[0] == "-a" {
		t.next()
		right := t.not()
		ok = ok && right
	}
	return ok
}

func (t *tester) not() bool {
	negate := false
	for len(t.args) > 1 && t.args[0] == "!" && !(len(t.args) > 2 && isBinary(t.args[1])) {
		t.next()
		negate = !negate
	}
	return t.term() != negate
}

func (t *tester) term() bool {
	switch {
	case len(t.args) > 2 && isBinary(t.args[1]):
		a, op, b := t.next(), t.next(), t.next()
		return t.binary(a, op, b)
	case len(t.args) > 0 && t.args[0] == "(":
		t.next()
		ok := t.or()
		if t.next() != ")" {
			return t.fail("`)' expected")
		}
		return ok
	case len(t.args) > 1 && isUnary(t.args[0]) && !(len(t.args) > 2 && (t.args[1] == "-a" || t.args[1] == "-o")):
		op, a := t.next(), t.next()
		return t.unary(op, a)
	}
	return t.next() != ""
}

func isUnary(op string) bool {
	return len(op) == 2 && op[0] == '-' && strings.IndexByte("abcdefghknoprstuvwxzGLNORS", op[1]) >= 0
}

func isBinary(op string) bool {
	switch op {
	case "=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef":
		return true
	}
	return false
}

func (t *tester) unary(op, arg string) bool {
	if op == "-t" {
		if _, err := strconv.Atoi(strings.TrimSpace(arg)); err != nil {
			return t.fail(arg + ": integer expression expected")
		}
		return false
	}
	ok, err := t.s.unaryTest(op[1], arg)
	if err != nil {
		t.err = err
	}
	return ok
}

func (t *tester) binary(a, op, b string) bool {
	switch op {
	case "=", "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "-nt", "-ot", "-ef":
		return t.s.compareFiles(a, op, b)
	}
	x, err := testNumber(a)
	if err != nil {
		return t.fail(a + ": integer expression expected")
	}
	y, err := testNumber(b)
	if err != nil {
		return t.fail(b + ": integer expression expected")
	}
	return testCompare(x, op, y)
}

func testNumber(text string) (int64, error) {
	return strconv.ParseInt(strings.Trim(strings.TrimPrefix(strings.TrimSpace(text), "+"), " \t"), 10, 64)
}

func testCompare(x int64, op string, y int64) bool {
	switch op {
	case "-eq":
		return x == y
	case "-ne":
		return x != y
	case "-lt":
		return x < y
	case "-le":
		return x <= y
	case "-gt":
		return x > y
	}
	return x >= y
}

func (s *shell) compareFiles(a, op, b string) bool {
	x, errX := s.m.fs.Stat(s.dir, a)
	y, errY := s.m.fs.Stat(s.dir, b)
	if op == "-ot" {
		x, errX, y, errY = y, errY, x, errX
	}
	if op == "-ef" {
		return errX == nil && errY == nil && fileIdentity(x) == fileIdentity(y)
	}
	if errX != nil {
		return false
	}
	return errY != nil || x.MTime > y.MTime
}

// fileIdentity is the path that stands for a file and all its hard links.
func fileIdentity(n *rootfs.Node) string {
	if n.HardTo != "" {
		return n.HardTo
	}
	return n.Path
}

// unaryTest is one test of test, [ and [[. Everything happens as root.
func (s *shell) unaryTest(op byte, arg string) (bool, error) {
	switch op {
	case 'z':
		return arg == "", nil
	case 'n':
		return arg != "", nil
	case 't':
		return false, nil
	case 'v':
		if name, key, ok := strings.Cut(strings.TrimSuffix(arg, "]"), "["); ok {
			_, set := s.vars[name].at(key)
			return set, nil
		}
		_, set, err := s.get(arg)
		return set, err
	case 'o':
		return s.optionOn(arg), nil
	case 'R':
		return false, nil
	}
	s.m.sync()
	if op == 'L' || op == 'h' {
		n, err := s.m.fs.Lstat(s.dir, arg)
		return err == nil && n.IsSymlink(), nil
	}
	if device, _, ok := s.device(arg); ok && arg != "" {
		return device != nil && strings.IndexByte("aecrw", op) >= 0, nil
	}
	n, err := s.m.fs.Stat(s.dir, arg)
	if arg == "" || err != nil {
		return arg != "" && strings.IndexByte("aefrsx", op) >= 0 && s.m.virtual(arg, arg) != nil, nil
	}
	return testNode(op, n), nil
}

func (s *shell) optionOn(name string) bool {
	switch name {
	case "errexit":
		return s.opts.errexit
	case "nounset":
		return s.opts.nounset
	case "noglob":
		return s.opts.noglob
	case "xtrace":
		return s.opts.xtrace
	case "pipefail":
		return s.opts.pipefail
	case "allexport":
		return s.opts.allexport
	case "noclobber":
		return s.opts.noclobber
	}
	return name == "posix" || name == "braceexpand" || name == "hashall"
}

// testNode is a test of a node that is there.
func testNode(op byte, n *rootfs.Node) bool {
	kind := n.Mode & rpm.ModeType
	switch op {
	case 'a', 'e', 'r', 'w':
		return true
	case 'f':
		return kind == rpm.ModeRegular
	case 'd':
		return kind == rpm.ModeDir
	case 'b':
		return kind == rpm.ModeBlock
	case 'c':
		return kind == rpm.ModeChar
	case 'p':
		return kind == rpm.ModeFIFO
	case 'S':
		return kind == rpm.ModeSocket
	case 's':
		return kind == rpm.ModeDir || n.Size > 0
	case 'x':
		return kind == rpm.ModeDir || n.Mode&0o111 != 0
	case 'u':
		return n.Mode&0o4000 != 0
	case 'g':
		return n.Mode&0o2000 != 0
	case 'k':
		return n.Mode&0o1000 != 0
	case 'O':
		return n.UID == 0 && (n.User == "" || n.User == "root")
	case 'G':
		return n.GID == 0 && (n.Group == "" || n.Group == "root")
	}
	return false // -N: read since it was written
}

// testClause evaluates [[ ]]; the right sides of && and || only when they count.
func (s *shell) testClause(ctx context.Context, x syntax.TestExpr) (bool, error) {
	if err := s.m.step(ctx, 1); err != nil {
		return false, err
	}
	switch x := x.(type) {
	case *syntax.Word:
		text, err := s.text(ctx, x)
		return text != "", err
	case *syntax.ParenTest:
		return s.testClause(ctx, x.X)
	case *syntax.UnaryTest:
		if x.Op == syntax.TsNot {
			ok, err := s.testClause(ctx, x.X)
			return !ok, err
		}
		arg, err := s.text(ctx, x.X.(*syntax.Word))
		if err != nil {
			return false, err
		}
		return s.unaryTest(x.Op.String()[1], arg)
	case *syntax.BinaryTest:
		return s.binaryTest(ctx, x)
	}
	return false, s.unsupported("[[", "this expression is not known")
}

func (s *shell) binaryTest(ctx context.Context, x *syntax.BinaryTest) (bool, error) {
	if x.Op == syntax.AndTest || x.Op == syntax.OrTest {
		ok, err := s.testClause(ctx, x.X)
		if err != nil || ok == (x.Op == syntax.OrTest) {
			return ok, err
		}
		return s.testClause(ctx, x.Y)
	}
	a, err := s.text(ctx, x.X.(*syntax.Word))
	if err != nil {
		return false, err
	}
	right := x.Y.(*syntax.Word)
	switch x.Op {
	case syntax.TsMatch, syntax.TsMatchShort, syntax.TsNoMatch:
		pattern, err := s.pattern(ctx, right)
		if err != nil {
			return false, err
		}
		extended := s.opts.extglob
		s.opts.extglob = true // [[ always knows them
		ok, err := s.matches(ctx, pattern, a, s.opts.nocasematch)
		s.opts.extglob = extended
		return ok == (x.Op != syntax.TsNoMatch), err
	case syntax.TsReMatch:
		return s.matchRegexp(ctx, a, right)
	}
	b, err := s.text(ctx, right)
	if err != nil {
		return false, err
	}
	switch op := x.Op.String(); op {
	case "<":
		return a < b, nil
	case ">":
		return a > b, nil
	case "-nt", "-ot", "-ef":
		return s.compareFiles(a, op, b), nil
	default:
		m, err := s.number(ctx, a)
		if err != nil {
			return false, err
		}
		n, err := s.number(ctx, b)
		return testCompare(m, op, n), err
	}
}

// matchRegexp does =~: what is quoted in the expression is plain text.
func (s *shell) matchRegexp(ctx context.Context, text string, w *syntax.Word) (bool, error) {
	pieces, err := s.whole(ctx, w)
	if err != nil {
		return false, err
	}
	var expr strings.Builder
	for _, p := range pieces {
		if p.quoted {
			expr.WriteString(regexp.QuoteMeta(p.text))
		} else {
			expr.WriteString(p.text)
		}
	}
	if err := s.m.step(ctx, 1+len(text)/64); err != nil {
		return false, err
	}
	re, err := regexp.CompilePOSIX(expr.String())
	if err != nil {
		return false, s.unsupported("[[ =~ "+expr.String(), err.Error())
	}
	found := re.FindStringSubmatch(text)
	return found != nil, s.setList("BASH_REMATCH", found)
}
