package scriptlet

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of regular expressions.
const (
	maxRegex      = 64 << 10 // bytes of a pattern
	maxRegexDepth = 200      // groups within each other
	maxRegexSteps = 5_000_000
	maxRegexStack = 100_000 // steps within each other
	maxRegexCount = 1000    // repetitions in braces
)

// regexOptions say which of the syntaxes of POSIX a pattern is in, with GNU's additions.
type regexOptions struct {
	extended  bool // ERE, else BRE
	fold      bool // letters match both cases
	lines     bool // ^ and $ match at line breaks too
	escapes   bool // \n, \t and their like stand for characters, as in sed
	awk       bool // escapes in brackets too
	loose     bool // a parenthesis that closes nothing is itself
	wholeLine bool
	wholeWord bool
	literal   bool // the pattern is text
}

// regex is a pattern. What Go's regexp can express, that finds; the rest (back-references, \< and \>) a matcher that
// tries all ways. Both find the leftmost of the longest matches.
type regex struct {
	groups int
	fast   *regexp.Regexp
	root   *regexNode
	fold   bool
}

type regexKind int

const (
	regexEmpty regexKind = iota
	regexChar
	regexAny
	regexSet
	regexGroup
	regexBackref
	regexCat
	regexAlt
	regexRepeat
	regexBufferStart
	regexBufferEnd
	regexLineStart
	regexLineEnd
	regexWordEdge
	regexNoWordEdge
	regexWordStart
	regexWordEnd
	regexNoWordBefore
	regexNoWordAfter
)

type regexNode struct {
	kind     regexKind
	char     rune
	set      *runeSet
	index    int // of a group or back-reference
	min, max int // of a repetition; max is -1 for none
	nodes    []*regexNode
}

// runeSet is a bracket expression.
type runeSet struct {
	not    bool
	ranges [][2]rune
}

func (s *runeSet) has(c rune, fold bool) bool {
	in := func(c rune) bool {
		for _, r := range s.ranges {
			if r[0] <= c && c <= r[1] {
				return true
			}
		}
		return false
	}
	found := in(c)
	if !found && fold {
		for f := unicode.SimpleFold(c); f != c && !found; f = unicode.SimpleFold(f) {
			found = in(f)
		}
	}
	return found != s.not
}

var errRegexTooBig = errors.New("the regular expression is too big")

// unsupportedRegex is a pattern that is understood and cannot be matched here.
func unsupportedRegex(pattern, why string) error {
	return &Unsupported{Command: "regular expression " + strconv.Quote(pattern), Why: why}
}

// regexError is what the real programs say of a wrong pattern.
type regexError string

func (e regexError) Error() string { return string(e) }

// compileRegex reads a pattern. The error is a regexError for what is no pattern.
func compileRegex(pattern string, o regexOptions) (*regex, error) {
	if len(pattern) > maxRegex {
		return nil, unsupportedRegex(pattern[:40]+"...", errRegexTooBig.Error())
	}
	p := &regexParser{src: pattern, o: o}
	var root *regexNode
	var err error
	if o.literal {
		root = &regexNode{kind: regexCat}
		for _, c := range pattern {
			root.nodes = append(root.nodes, &regexNode{kind: regexChar, char: c})
		}
	} else if root, err = p.alternatives(0); err == nil && p.at < len(p.src) {
		err = regexError(`Unmatched ) or \)`)
	}
	if err != nil {
		return nil, err
	}
	for _, i := range p.backrefs {
		if i > p.groups {
			return nil, regexError("Invalid back reference")
		}
	}
	slow := len(p.backrefs) > 0 || p.wordEnds
	switch {
	case o.wholeLine:
		root = &regexNode{kind: regexCat, nodes: []*regexNode{{kind: regexBufferStart}, root, {kind: regexBufferEnd}}}
	case o.wholeWord:
		root = &regexNode{kind: regexCat, nodes: []*regexNode{{kind: regexNoWordBefore}, root, {kind: regexNoWordAfter}}}
		slow = true
	}
	re := &regex{groups: p.groups, root: root, fold: o.fold}
	if slow {
		return re, nil
	}
	var b strings.Builder
	b.WriteString("(?s")
	if o.fold {
		b.WriteByte('i')
	}
	b.WriteByte(')')
	writeRegex(&b, root)
	if re.fast, err = regexp.Compile(b.String()); err != nil {
		return nil, unsupportedRegex(pattern, err.Error())
	}
	re.fast.Longest()
	return re, nil
}

// writeRegex writes a node in Go's syntax.
func writeRegex(b *strings.Builder, n *regexNode) {
	switch n.kind {
	case regexEmpty:
		b.WriteString("(?:)")
	case regexChar:
		b.WriteString(regexp.QuoteMeta(string(n.char)))
	case regexAny:
		b.WriteByte('.')
	case regexSet:
		b.WriteByte('[')
		if n.set.not {
			b.WriteByte('^')
		}
		for _, r := range n.set.ranges {
			fmt.Fprintf(b, `\x{%x}-\x{%x}`, r[0], r[1])
		}
		b.WriteByte(']')
	case regexGroup:
		b.WriteByte('(')
		writeRegex(b, n.nodes[0])
		b.WriteByte(')')
	case regexCat:
		b.WriteString("(?:")
		for _, c := range n.nodes {
			writeRegex(b, c)
		}
		b.WriteByte(')')
	case regexAlt:
		b.WriteString("(?:")
		for i, c := range n.nodes {
			if i > 0 {
				b.WriteByte('|')
			}
			writeRegex(b, c)
		}
		b.WriteByte(')')
	case regexRepeat:
		b.WriteString("(?:")
		writeRegex(b, n.nodes[0])
		b.WriteByte(')')
		switch {
		case n.min == 0 && n.max < 0:
			b.WriteByte('*')
		case n.min == 1 && n.max < 0:
			b.WriteByte('+')
		case n.min == 0 && n.max == 1:
			b.WriteByte('?')
		case n.max < 0:
			fmt.Fprintf(b, "{%d,}", n.min)
		default:
			fmt.Fprintf(b, "{%d,%d}", n.min, n.max)
		}
	case regexBufferStart:
		b.WriteString(`\A`)
	case regexBufferEnd:
		b.WriteString(`\z`)
	case regexLineStart:
		b.WriteString(`(?m:^)`)
	case regexLineEnd:
		b.WriteString(`(?m:$)`)
	case regexWordEdge:
		b.WriteString(`\b`)
	case regexNoWordEdge:
		b.WriteString(`\B`)
	}
}

type regexParser struct {
	src      string
	at       int
	o        regexOptions
	groups   int
	backrefs []int
	closed   []bool // groups that ended
	wordEnds bool
	nodes    int
}

func (p *regexParser) more() bool { return p.at < len(p.src) }

func (p *regexParser) ahead(s string) bool { return strings.HasPrefix(p.src[p.at:], s) }

// closes reports whether a group ends here, bars whether another alternative begins.
func (p *regexParser) closes() bool {
	if p.o.extended {
		return p.ahead(")")
	}
	return p.ahead(`\)`)
}

func (p *regexParser) bars() bool {
	if p.o.extended {
		return p.ahead("|")
	}
	return p.ahead(`\|`)
}

func (p *regexParser) skipOperator() {
	if p.at++; !p.o.extended {
		p.at++
	}
}

func (p *regexParser) alternatives(depth int) (*regexNode, error) {
	if depth > maxRegexDepth {
		return nil, unsupportedRegex(p.src[:min(40, len(p.src))], errRegexTooBig.Error())
	}
	first, err := p.sequence(depth)
	if err != nil || !p.bars() {
		return first, err
	}
	alt := &regexNode{kind: regexAlt, nodes: []*regexNode{first}}
	for p.bars() {
		p.skipOperator()
		next, err := p.sequence(depth)
		if err != nil {
			return nil, err
		}
		alt.nodes = append(alt.nodes, next)
	}
	return alt, nil
}

func (p *regexParser) sequence(depth int) (*regexNode, error) {
	cat := &regexNode{kind: regexCat}
	start := true
	for p.more() && !p.bars() {
		if p.closes() && (depth > 0 || !p.o.extended) {
			break
		}
		if p.closes() && !p.o.awk && !p.o.loose {
			return nil, regexError(`Unmatched ) or \)`)
		}
		n, err := p.atom(depth, start)
		if err != nil {
			return nil, err
		}
		anchor := n.kind == regexBufferStart || n.kind == regexLineStart
		if n, err = p.repeated(n, anchor && !p.o.extended); err != nil {
			return nil, err
		}
		start = start && anchor && !p.o.extended
		cat.nodes = append(cat.nodes, n)
	}
	return cat, nil
}

// repeated reads the repetitions behind an atom.
func (p *regexParser) repeated(n *regexNode, literal bool) (*regexNode, error) {
	for p.more() && !literal {
		low, high := 0, -1
		switch {
		case p.ahead("*"):
			p.at++
		case p.o.extended && p.ahead("+") || !p.o.extended && p.ahead(`\+`):
			p.skipOperator()
			low = 1
		case p.o.extended && p.ahead("?") || !p.o.extended && p.ahead(`\?`):
			p.skipOperator()
			high = 1
		case p.o.extended && p.ahead("{") || !p.o.extended && p.ahead(`\{`):
			var ok bool
			var err error
			if low, high, ok, err = p.interval(); err != nil {
				return nil, err
			}
			if !ok {
				return n, nil
			}
		default:
			return n, nil
		}
		if n.kind == regexRepeat && n.min <= 1 && n.max < 0 && low == 0 && high < 0 {
			n.min = 0 // a** is a*
			continue
		}
		n = &regexNode{kind: regexRepeat, min: low, max: high, nodes: []*regexNode{n}}
		if p.nodes++; p.nodes > maxRegex {
			return nil, unsupportedRegex(p.src[:min(40, len(p.src))], errRegexTooBig.Error())
		}
	}
	return n, nil
}

// interval reads {m}, {m,}, {,n} and {m,n}. In an ERE what is none of these is text.
func (p *regexParser) interval() (low, high int, ok bool, err error) {
	open, end := "{", "}"
	if !p.o.extended {
		open, end = `\{`, `\}`
	}
	body, _, found := strings.Cut(p.src[p.at+len(open):], end)
	from, to, both := strings.Cut(body, ",")
	number := func(s string, empty int) int {
		if s == "" {
			return empty
		}
		v, err := strconv.Atoi(s)
		if err != nil || v < 0 || strings.Trim(s, "0123456789") != "" {
			return -2
		}
		return v
	}
	low = number(from, 0)
	if high = low; both {
		high = number(to, -1)
	}
	valid := found && low != -2 && high != -2 && (from != "" || both)
	switch {
	case !valid && p.o.extended:
		return 0, 0, false, nil
	case !found:
		return 0, 0, false, regexError(`Unmatched \{`)
	case !valid || high >= 0 && low > high:
		return 0, 0, false, regexError(`Invalid content of \{\}`)
	case low > maxRegexCount || high > maxRegexCount:
		return 0, 0, false, unsupportedRegex(p.src[:min(40, len(p.src))], fmt.Sprintf("more than %d repetitions", maxRegexCount))
	}
	p.at += len(open) + len(body) + len(end)
	return low, high, true, nil
}

func (p *regexParser) next() rune {
	c, n := utf8.DecodeRuneInString(p.src[p.at:])
	p.at += n
	return c
}

func (p *regexParser) lineStart() *regexNode {
	if p.o.lines {
		return &regexNode{kind: regexLineStart}
	}
	return &regexNode{kind: regexBufferStart}
}

func (p *regexParser) lineEnd() *regexNode {
	if p.o.lines {
		return &regexNode{kind: regexLineEnd}
	}
	return &regexNode{kind: regexBufferEnd}
}

func char(c rune) *regexNode { return &regexNode{kind: regexChar, char: c} }

func (p *regexParser) atom(depth int, start bool) (*regexNode, error) {
	switch c := p.src[p.at]; {
	case c == '[':
		set, err := p.bracket()
		return &regexNode{kind: regexSet, set: set}, err
	case c == '.':
		p.at++
		return &regexNode{kind: regexAny}, nil
	case c == '*' && start && !p.o.extended:
		p.at++
		return char('*'), nil
	case strings.IndexByte("*+?", c) >= 0 && p.o.extended:
		// A repetition of nothing matches nothing.
		return &regexNode{kind: regexEmpty}, nil
	case c == '^' && (p.o.extended || start):
		p.at++
		return p.lineStart(), nil
	case c == '$':
		p.at++
		if p.o.extended || !p.more() || p.closes() || p.bars() {
			return p.lineEnd(), nil
		}
		return char('$'), nil
	case c == '(' && p.o.extended:
		p.at++
		return p.group(depth)
	case c == '\\':
		return p.escape(depth)
	}
	return char(p.next()), nil
}

func (p *regexParser) group(depth int) (*regexNode, error) {
	p.groups++
	index := p.groups
	p.closed = append(p.closed, false)
	body, err := p.alternatives(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.more() {
		return nil, regexError(`Unmatched ( or \(`)
	}
	p.skipOperator()
	p.closed[index-1] = true
	return &regexNode{kind: regexGroup, index: index, nodes: []*regexNode{body}}, nil
}

func (p *regexParser) escape(depth int) (*regexNode, error) {
	p.at++
	if !p.more() {
		return nil, regexError("Trailing backslash")
	}
	if p.o.escapes || p.o.awk {
		if c, n := escapedChar(p.src[p.at:]); n > 0 {
			p.at += n
			return char(c), nil
		}
	}
	c := p.next()
	word := &runeSet{ranges: [][2]rune{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}}
	space := &runeSet{ranges: [][2]rune{{'\t', '\r'}, {' ', ' '}}}
	switch {
	case c == '(' && !p.o.extended:
		return p.group(depth)
	case c >= '1' && c <= '9' && !p.o.awk:
		i := int(c - '0')
		if i > len(p.closed) || !p.closed[i-1] {
			return nil, regexError("Invalid back reference")
		}
		p.backrefs = append(p.backrefs, i)
		return &regexNode{kind: regexBackref, index: i}, nil
	case c == '{' && !p.o.extended:
		return nil, regexError("Invalid preceding regular expression")
	}
	switch c {
	case 'w':
		return &regexNode{kind: regexSet, set: word}, nil
	case 'W':
		word.not = true
		return &regexNode{kind: regexSet, set: word}, nil
	case 's':
		return &regexNode{kind: regexSet, set: space}, nil
	case 'S':
		space.not = true
		return &regexNode{kind: regexSet, set: space}, nil
	case 'b':
		return &regexNode{kind: regexWordEdge}, nil
	case 'B':
		return &regexNode{kind: regexNoWordEdge}, nil
	case '<':
		p.wordEnds = true
		return &regexNode{kind: regexWordStart}, nil
	case '>':
		p.wordEnds = true
		return &regexNode{kind: regexWordEnd}, nil
	case '`':
		return &regexNode{kind: regexBufferStart}, nil
	case '\'':
		return &regexNode{kind: regexBufferEnd}, nil
	}
	return char(c), nil
}

// escapedChar reads what follows a backslash in sed and awk, where it stands for a character. n is 0 where it does not.
func escapedChar(s string) (c rune, n int) {
	switch s[0] {
	case 'a':
		return 7, 1
	case 'f':
		return '\f', 1
	case 'n':
		return '\n', 1
	case 'r':
		return '\r', 1
	case 't':
		return '\t', 1
	case 'v':
		return 11, 1
	}
	for _, base := range []struct {
		letter byte
		digits int
		base   int
	}{{'d', 3, 10}, {'o', 3, 8}, {'x', 2, 16}} {
		if s[0] != base.letter {
			continue
		}
		i := 1
		for i < len(s) && i <= base.digits && isDigit(s[i], base.base) {
			i++
		}
		if v, err := strconv.ParseUint(s[1:i], base.base, 8); err == nil && v < 0x80 {
			return rune(v), i
		}
	}
	return 0, 0
}

func isDigit(c byte, base int) bool {
	d := strings.IndexByte("0123456789abcdef", c|0x20)
	if c >= '0' && c <= '9' {
		d = int(c - '0')
	} else if c < 'A' {
		return false
	}
	return d >= 0 && d < base
}

// characterClasses are the classes of POSIX, in ASCII.
func characterClass(name string) [][2]rune {
	switch name {
	case "alpha":
		return [][2]rune{{'A', 'Z'}, {'a', 'z'}}
	case "digit":
		return [][2]rune{{'0', '9'}}
	case "alnum":
		return [][2]rune{{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}
	case "upper":
		return [][2]rune{{'A', 'Z'}}
	case "lower":
		return [][2]rune{{'a', 'z'}}
	case "space":
		return [][2]rune{{'\t', '\r'}, {' ', ' '}}
	case "blank":
		return [][2]rune{{'\t', '\t'}, {' ', ' '}}
	case "punct":
		return [][2]rune{{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}
	case "print":
		return [][2]rune{{' ', '~'}}
	case "graph":
		return [][2]rune{{'!', '~'}}
	case "cntrl":
		return [][2]rune{{0, 31}, {127, 127}}
	case "xdigit":
		return [][2]rune{{'0', '9'}, {'A', 'F'}, {'a', 'f'}}
	}
	return nil
}

func (p *regexParser) bracket() (*runeSet, error) {
	unmatched := regexError("Unmatched [, [^, [:, [., or [=")
	p.at++
	s := &runeSet{}
	if p.ahead("^") {
		p.at++
		s.not = true
	}
	for first := true; ; first = false {
		if !p.more() {
			return nil, unmatched
		}
		if p.ahead("]") && !first {
			p.at++
			break
		}
		if p.ahead("[:") {
			name, _, ok := strings.Cut(p.src[p.at+2:], ":]")
			class := characterClass(name)
			if !ok {
				return nil, unmatched
			}
			if class == nil {
				return nil, regexError("Invalid character class name")
			}
			s.ranges = append(s.ranges, class...)
			p.at += len(name) + 4
			continue
		}
		from, err := p.element()
		if err != nil {
			return nil, err
		}
		to := from
		if p.ahead("-") && !p.ahead("-]") && p.at+1 < len(p.src) {
			p.at++
			if to, err = p.element(); err != nil {
				return nil, err
			}
			if to < from {
				return nil, regexError("Invalid range end")
			}
		}
		s.ranges = append(s.ranges, [2]rune{from, to})
	}
	return s, nil
}

// element is one character in brackets.
func (p *regexParser) element() (rune, error) {
	for _, q := range []string{".", "="} {
		if !p.ahead("[" + q) {
			continue
		}
		name, _, ok := strings.Cut(p.src[p.at+2:], q+"]")
		if c, n := utf8.DecodeRuneInString(name); ok && n == len(name) && n > 0 {
			p.at += n + 4
			return c, nil
		}
		return 0, regexError("Invalid collation character")
	}
	if p.ahead(`\`) && (p.o.escapes || p.o.awk) && p.at+1 < len(p.src) {
		if c, n := escapedChar(p.src[p.at+1:]); n > 0 {
			p.at += n + 1
			return c, nil
		}
		if p.o.awk {
			p.at++
		}
	}
	return p.next(), nil
}

// match finds the first match at or after from: the bounds of the whole and of each group, -1 for a group that took no
// part. It is nil without one. The text before from counts for ^ and word edges.
func (re *regex) match(b []byte, from int) ([]int, error) {
	if re.fast != nil && from == 0 {
		return re.fast.FindSubmatchIndex(b), nil
	}
	if re.fast != nil {
		for _, m := range re.fast.FindAllSubmatchIndex(b, -1) {
			if m[0] >= from {
				return m, nil
			}
		}
		return nil, nil
	}
	steps := 0
	for at := from; at <= len(b); {
		m, err := re.matchAt(b, at, &steps)
		if m != nil || err != nil {
			return m, err
		}
		if at == len(b) {
			break
		}
		_, n := utf8.DecodeRune(b[at:])
		at += n
	}
	return nil, nil
}

// all finds all matches that do not overlap; one of nothing does not follow another directly.
func (re *regex) all(b []byte) ([][]int, error) {
	if re.fast != nil {
		return re.fast.FindAllSubmatchIndex(b, -1), nil
	}
	var out [][]int
	last := -1
	for at := 0; at <= len(b); {
		m, err := re.match(b, at)
		if err != nil || m == nil {
			return out, err
		}
		if m[1] > m[0] || m[0] != last {
			out = append(out, m)
		}
		if last = m[1]; m[1] > m[0] {
			at = m[1]
			continue
		}
		_, n := utf8.DecodeRune(b[m[1]:])
		at = m[1] + max(n, 1)
	}
	return out, nil
}

// matches reports whether the pattern is anywhere.
func (re *regex) matches(b []byte) (bool, error) {
	if re.fast != nil {
		return re.fast.Match(b), nil
	}
	m, err := re.match(b, 0)
	return m != nil, err
}

// attempt is one try of a match at one place.
type attempt struct {
	re    *regex
	b     []byte
	caps  []int
	best  []int
	steps *int
	depth int
	full  bool
}

func (re *regex) matchAt(b []byte, at int, steps *int) ([]int, error) {
	a := &attempt{re: re, b: b, steps: steps, caps: make([]int, 2*re.groups+2)}
	for i := range a.caps {
		a.caps[i] = -1
	}
	a.caps[0] = at
	a.try(re.root, at, func(end int) bool {
		if a.best == nil || end > a.best[1] {
			a.best = append([]int(nil), a.caps...)
			a.best[1] = end
		}
		return end == len(b) // nothing is longer
	})
	if a.full {
		return nil, unsupportedRegex("", "the match takes too many tries")
	}
	return a.best, nil
}

func isWord(b []byte, at int) bool {
	if at < 0 || at >= len(b) {
		return false
	}
	c := b[at]
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// try matches a node at a place and goes on with then; it reports whether the search is over.
func (a *attempt) try(n *regexNode, at int, then func(int) bool) bool {
	*a.steps++
	a.depth++
	defer func() { a.depth-- }()
	if *a.steps > maxRegexSteps || a.depth > maxRegexStack {
		a.full = true
		return true
	}
	ok := true
	switch n.kind {
	case regexEmpty:
	case regexChar, regexAny, regexSet:
		c, size := utf8.DecodeRune(a.b[at:])
		if size == 0 {
			return false
		}
		switch n.kind {
		case regexChar:
			ok = c == n.char || a.re.fold && unicode.ToLower(c) == unicode.ToLower(n.char)
		case regexSet:
			ok = n.set.has(c, a.re.fold)
		}
		at += size
	case regexGroup:
		from, to := a.caps[2*n.index], a.caps[2*n.index+1]
		start := at
		if a.try(n.nodes[0], at, func(end int) bool {
			f, t := a.caps[2*n.index], a.caps[2*n.index+1]
			a.caps[2*n.index], a.caps[2*n.index+1] = start, end
			if then(end) {
				return true
			}
			a.caps[2*n.index], a.caps[2*n.index+1] = f, t
			return false
		}) {
			return true
		}
		a.caps[2*n.index], a.caps[2*n.index+1] = from, to
		return false
	case regexBackref:
		from, to := a.caps[2*n.index], a.caps[2*n.index+1]
		if from < 0 {
			return false
		}
		text := a.b[from:to]
		if len(a.b)-at < len(text) {
			return false
		}
		got := a.b[at : at+len(text)]
		ok = string(got) == string(text) || a.re.fold && strings.EqualFold(string(got), string(text))
		at += len(text)
	case regexCat:
		return a.cat(n.nodes, at, then)
	case regexAlt:
		for _, c := range n.nodes {
			if a.try(c, at, then) {
				return true
			}
		}
		return false
	case regexRepeat:
		return a.repeat(n, 0, at, then)
	default:
		ok = a.assert(n.kind, at)
	}
	return ok && then(at)
}

func (a *attempt) cat(nodes []*regexNode, at int, then func(int) bool) bool {
	if len(nodes) == 0 {
		return then(at)
	}
	return a.try(nodes[0], at, func(end int) bool { return a.cat(nodes[1:], end, then) })
}

func (a *attempt) repeat(n *regexNode, count, at int, then func(int) bool) bool {
	if n.max < 0 || count < n.max {
		if a.try(n.nodes[0], at, func(end int) bool {
			if end == at && count >= n.min {
				return false
			}
			return a.repeat(n, count+1, end, then)
		}) {
			return true
		}
	}
	return count >= n.min && then(at)
}

func (a *attempt) assert(kind regexKind, at int) bool {
	before, after := isWord(a.b, at-1), isWord(a.b, at)
	switch kind {
	case regexBufferStart:
		return at == 0
	case regexBufferEnd:
		return at == len(a.b)
	case regexLineStart:
		return at == 0 || a.b[at-1] == '\n'
	case regexLineEnd:
		return at == len(a.b) || a.b[at] == '\n'
	case regexWordEdge:
		return before != after
	case regexNoWordEdge:
		return before == after
	case regexWordStart:
		return !before && after
	case regexWordEnd:
		return before && !after
	case regexNoWordBefore:
		return !before
	case regexNoWordAfter:
		return !after
	}
	return false
}
