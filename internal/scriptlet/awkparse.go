package scriptlet

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// awkToken is a word of a program.
type awkToken struct {
	kind string // name, func (a name with a parenthesis right behind), number, string, regex, newline, end, or the word itself
	text string
	num  float64
	gap  bool // blanks stood before it
}

type awkParser struct {
	*awk
	src    string
	at     int
	tok    awkToken
	prev   string // kind of the token before
	depth  int
	inList bool // > redirects
	noIn   bool
}

var awkKeywords = []string{
	"BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue", "next", "nextfile",
	"exit", "return", "delete", "in", "getline", "print", "printf",
}

var awkBuiltins = []string{
	"length", "substr", "index", "split", "sub", "gsub", "gensub", "match", "sprintf", "int", "sqrt", "exp", "log", "sin",
	"cos", "atan2", "rand", "srand", "tolower", "toupper", "system", "close", "fflush", "systime", "strftime", "mktime",
}

func (a *awk) parse(src string) error {
	if len(src) > maxAwkProgram {
		return a.unsupported("a program of more than %d bytes", maxAwkProgram)
	}
	p := &awkParser{awk: a, src: src}
	if err := p.advance(); err != nil {
		return err
	}
	for {
		if err := p.newlines(); err != nil {
			return err
		}
		if p.tok.kind == "end" {
			return nil
		}
		if err := p.item(); err != nil {
			return err
		}
	}
}

func (p *awkParser) wrong() error {
	return p.die(1, "syntax error at or near %s", p.tok.kind)
}

// newlines passes over line ends and semicolons.
func (p *awkParser) newlines() error {
	for p.tok.kind == "newline" || p.tok.kind == ";" {
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

func (p *awkParser) lineEnds() error {
	for p.tok.kind == "newline" {
		if err := p.advance(); err != nil {
			return err
		}
	}
	return nil
}

// take goes on behind a token that has to stand here.
func (p *awkParser) take(kind string) error {
	if p.tok.kind != kind {
		return p.wrong()
	}
	return p.advance()
}

// regexMayFollow reports whether a slash begins a pattern, by what stands before it.
func (p *awkParser) regexMayFollow() bool {
	return !slices.Contains([]string{"name", "number", "string", ")", "]", "$", "++", "--", "regex", "builtin"}, p.prev)
}

func (p *awkParser) advance() error {
	p.prev = p.tok.kind
	gap := false
	for p.at < len(p.src) {
		c := p.src[p.at]
		if c == ' ' || c == '\t' || c == '\r' {
			p.at++
		} else if c == '\\' && strings.HasPrefix(p.src[p.at:], "\\\n") {
			p.at += 2
		} else if c == '#' {
			for p.at < len(p.src) && p.src[p.at] != '\n' {
				p.at++
			}
		} else {
			break
		}
		gap = true
	}
	err := p.scan()
	p.tok.gap = gap
	return err
}

func (p *awkParser) scan() error {
	if p.at >= len(p.src) {
		p.tok = awkToken{kind: "end"}
		return nil
	}
	rest := p.src[p.at:]
	c := rest[0]
	switch {
	case c == '\n':
		p.at++
		p.tok = awkToken{kind: "newline"}
		return nil
	case c == '"':
		return p.scanString(rest)
	case c == '/' && p.regexMayFollow():
		return p.scanRegex(rest)
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		n := awkNumberLength(rest)
		if strings.HasPrefix(rest, "0x") || strings.HasPrefix(rest, "0X") {
			return p.unsupported("hexadecimal numbers are not known here")
		}
		v, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil && n == 0 {
			return p.wrong()
		}
		p.at += n
		p.tok = awkToken{kind: "number", num: v}
		return nil
	case c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z':
		i := 1
		for i < len(rest) && awkName("x"+rest[i:i+1]) {
			i++
		}
		word := rest[:i]
		p.at += i
		switch {
		case slices.Contains(awkKeywords, word):
			p.tok = awkToken{kind: word, text: word}
		case slices.Contains(awkBuiltins, word):
			p.tok = awkToken{kind: "builtin", text: word}
		case strings.HasPrefix(p.src[p.at:], "("):
			p.tok = awkToken{kind: "func", text: word}
		default:
			p.tok = awkToken{kind: "name", text: word}
		}
		return nil
	}
	for _, op := range []string{"**=", "**", "&&", "||", "==", "!=", "<=", ">=", ">>", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "!~", "|&"} {
		if strings.HasPrefix(rest, op) {
			p.at += len(op)
			if op == "**" {
				op = "^"
			} else if op == "**=" {
				op = "^="
			}
			p.tok = awkToken{kind: op}
			return nil
		}
	}
	if strings.IndexByte("{}()[];,+-*/%^!<>|?:~$=", c) < 0 {
		_, n := utf8.DecodeRuneInString(rest)
		p.tok = awkToken{kind: rest[:n]}
		return p.wrong()
	}
	p.at++
	p.tok = awkToken{kind: string(rune(c))}
	return nil
}

func (p *awkParser) scanString(rest string) error {
	i := 1
	for i < len(rest) && rest[i] != '"' {
		if rest[i] == '\n' {
			return p.die(1, "unterminated string")
		}
		if rest[i] == '\\' {
			i++
		}
		i++
	}
	if i >= len(rest) {
		return p.die(1, "unterminated string")
	}
	p.at += i + 1
	p.tok = awkToken{kind: "string", text: awkEscapes(strings.ReplaceAll(rest[1:i], "\\\n", ""))}
	return nil
}

func (p *awkParser) scanRegex(rest string) error {
	i, bracket := 1, false
	for i < len(rest) && (rest[i] != '/' || bracket) {
		switch rest[i] {
		case '\n':
			return p.die(1, "unterminated regexp")
		case '\\':
			i++
		case '[':
			if !bracket {
				bracket = true
				if strings.HasPrefix(rest[i+1:], "]") || strings.HasPrefix(rest[i+1:], "^]") {
					i += strings.IndexByte(rest[i:], ']')
				}
			}
		case ']':
			bracket = false
		}
		i++
	}
	if i >= len(rest) {
		return p.die(1, "unterminated regexp")
	}
	p.at += i + 1
	p.tok = awkToken{kind: "regex", text: strings.ReplaceAll(rest[1:i], `\/`, "/")}
	return nil
}

// item reads a rule or a function.
func (p *awkParser) item() error {
	switch p.tok.kind {
	case "function", "func":
		return p.function()
	case "BEGIN", "END":
		kind := p.tok.kind
		if err := p.advance(); err != nil {
			return err
		}
		body, err := p.block()
		if kind == "BEGIN" {
			p.begin = append(p.begin, body)
		} else {
			p.end = append(p.end, body)
		}
		return err
	}
	r := &awkRule{}
	if p.tok.kind != "{" {
		first, err := p.expression()
		if err != nil {
			return err
		}
		r.pattern = append(r.pattern, first)
		if p.tok.kind == "," {
			if err := p.advance(); err != nil {
				return err
			}
			if err := p.lineEnds(); err != nil {
				return err
			}
			second, err := p.expression()
			if err != nil {
				return err
			}
			r.pattern = append(r.pattern, second)
		}
	}
	if p.tok.kind == "{" {
		body, err := p.block()
		if err != nil {
			return err
		}
		r.body = body
	} else if !slices.Contains([]string{"newline", ";", "end"}, p.tok.kind) {
		return p.wrong()
	}
	p.rules = append(p.rules, r)
	return nil
}

func (p *awkParser) function() error {
	if err := p.advance(); err != nil {
		return err
	}
	if p.tok.kind != "func" && p.tok.kind != "name" {
		return p.wrong()
	}
	f := &awkFunction{name: p.tok.text}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.take("("); err != nil {
		return err
	}
	for p.tok.kind != ")" {
		if p.tok.kind != "name" {
			return p.wrong()
		}
		f.params = append(f.params, p.tok.text)
		if err := p.advance(); err != nil {
			return err
		}
		if p.tok.kind == "," {
			if err := p.advance(); err != nil {
				return err
			}
			if err := p.lineEnds(); err != nil {
				return err
			}
		}
	}
	if err := p.advance(); err != nil {
		return err
	}
	if err := p.lineEnds(); err != nil {
		return err
	}
	body, err := p.block()
	f.body = body
	p.functions[f.name] = f
	return err
}

func (p *awkParser) enter() error {
	if p.depth++; p.depth > maxAwkDepth {
		return p.unsupported("more than %d expressions within each other", maxAwkDepth)
	}
	return nil
}

func (p *awkParser) block() (*awkNode, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if err := p.take("{"); err != nil {
		return nil, err
	}
	b := &awkNode{op: "block"}
	for {
		if err := p.newlines(); err != nil {
			return nil, err
		}
		if p.tok.kind == "}" {
			return b, p.advance()
		}
		s, err := p.statementNode()
		if err != nil {
			return nil, err
		}
		b.list = append(b.list, s)
	}
}

// endStatement passes what ends a simple statement; a brace does without being passed.
func (p *awkParser) endStatement() error {
	switch p.tok.kind {
	case ";", "newline":
		return p.advance()
	case "}", "end":
		return nil
	}
	return p.wrong()
}

func (p *awkParser) statementNode() (*awkNode, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	switch kind := p.tok.kind; kind {
	case "{":
		return p.block()
	case "if":
		return p.ifNode()
	case "while":
		cond, err := p.condition()
		if err != nil {
			return nil, err
		}
		if p.tok.kind == ";" {
			return &awkNode{op: "while", kids: []*awkNode{cond, {op: "block"}}}, p.advance()
		}
		body, err := p.body()
		return &awkNode{op: "while", kids: []*awkNode{cond, body}}, err
	case "do":
		if err := p.advance(); err != nil {
			return nil, err
		}
		body, err := p.body()
		if err != nil {
			return nil, err
		}
		if err := p.newlines(); err != nil {
			return nil, err
		}
		if p.tok.kind != "while" {
			return nil, p.wrong()
		}
		cond, err := p.condition()
		if err != nil {
			return nil, err
		}
		return &awkNode{op: "do", kids: []*awkNode{cond, body}}, p.endStatement()
	case "for":
		return p.forNode()
	case ";":
		return &awkNode{op: "block"}, p.advance()
	}
	n, err := p.simple()
	if err != nil {
		return nil, err
	}
	return n, p.endStatement()
}

// condition reads what stands in parentheses behind if and while.
func (p *awkParser) condition() (*awkNode, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.take("("); err != nil {
		return nil, err
	}
	cond, err := p.expression()
	if err != nil {
		return nil, err
	}
	return cond, p.take(")")
}

func (p *awkParser) body() (*awkNode, error) {
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	return p.statementNode()
}

func (p *awkParser) ifNode() (*awkNode, error) {
	cond, err := p.condition()
	if err != nil {
		return nil, err
	}
	then, err := p.body()
	if err != nil {
		return nil, err
	}
	n := &awkNode{op: "if", kids: []*awkNode{cond, then}}
	at, tok, prev := p.at, p.tok, p.prev
	if err := p.newlines(); err != nil {
		return nil, err
	}
	if p.tok.kind != "else" {
		p.at, p.tok, p.prev = at, tok, prev
		return n, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	other, err := p.body()
	n.kids = append(n.kids, other)
	return n, err
}

func (p *awkParser) forNode() (*awkNode, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.take("("); err != nil {
		return nil, err
	}
	// for (k in a)
	at, tok, prev := p.at, p.tok, p.prev
	if p.tok.kind == "name" {
		name := p.tok.text
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind == "in" {
			if err := p.advance(); err != nil {
				return nil, err
			}
			array := p.tok
			if err := p.take("name"); err != nil {
				return nil, err
			}
			if p.tok.kind == ")" {
				if err := p.advance(); err != nil {
					return nil, err
				}
				body, err := p.body()
				return &awkNode{op: "forin", kids: []*awkNode{{op: "name", text: name}, {op: "name", text: array.text}, body}}, err
			}
		}
		p.at, p.tok, p.prev = at, tok, prev
	}
	n := &awkNode{op: "for", kids: make([]*awkNode, 4)}
	var err error
	if p.tok.kind != ";" {
		if n.kids[0], err = p.simple(); err != nil {
			return nil, err
		}
	}
	if err := p.take(";"); err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	if p.tok.kind != ";" {
		if n.kids[1], err = p.expression(); err != nil {
			return nil, err
		}
	}
	if err := p.take(";"); err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	if p.tok.kind != ")" {
		if n.kids[2], err = p.simple(); err != nil {
			return nil, err
		}
	}
	if err := p.take(")"); err != nil {
		return nil, err
	}
	if p.tok.kind == ";" {
		n.kids[3] = &awkNode{op: "block"}
		return n, p.advance()
	}
	n.kids[3], err = p.body()
	return n, err
}

// simple reads a statement that is no other's frame.
func (p *awkParser) simple() (*awkNode, error) {
	switch kind := p.tok.kind; kind {
	case "print", "printf":
		return p.printNode(kind)
	case "next", "nextfile", "break", "continue":
		return &awkNode{op: kind}, p.advance()
	case "exit", "return":
		n := &awkNode{op: kind}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if slices.Contains([]string{";", "newline", "}", "end"}, p.tok.kind) {
			return n, nil
		}
		v, err := p.expression()
		n.kids = []*awkNode{v}
		return n, err
	case "delete":
		if err := p.advance(); err != nil {
			return nil, err
		}
		n := &awkNode{op: "delete", text: p.tok.text}
		if err := p.take("name"); err != nil {
			return nil, err
		}
		if p.tok.kind != "[" {
			return n, nil
		}
		var err error
		n.list, err = p.subscript()
		return n, err
	}
	return p.expression()
}

func (p *awkParser) subscript() ([]*awkNode, error) {
	if err := p.take("["); err != nil {
		return nil, err
	}
	in, list := p.noIn, p.inList
	p.noIn, p.inList = false, false
	defer func() { p.noIn, p.inList = in, list }()
	out, err := p.expressions("]")
	if err == nil && len(out) == 0 {
		err = p.wrong()
	}
	return out, err
}

// expressions reads a list up to a closing token, and goes behind that.
func (p *awkParser) expressions(closing string) ([]*awkNode, error) {
	var out []*awkNode
	for p.tok.kind != closing {
		n, err := p.expression()
		if err != nil {
			return nil, err
		}
		out = append(out, n)
		if p.tok.kind == "," {
			if err := p.advance(); err != nil {
				return nil, err
			}
			if err := p.lineEnds(); err != nil {
				return nil, err
			}
		} else if p.tok.kind != closing {
			return nil, p.wrong()
		}
	}
	return out, p.advance()
}

func (p *awkParser) printNode(kind string) (*awkNode, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n := &awkNode{op: kind}
	p.inList = true
	defer func() { p.inList = false }()
	for !slices.Contains([]string{";", "newline", "}", "end", ">", ">>", "|", "|&"}, p.tok.kind) {
		x, err := p.expression()
		if err != nil {
			return nil, err
		}
		n.list = append(n.list, x)
		if p.tok.kind != "," {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.lineEnds(); err != nil {
			return nil, err
		}
	}
	if len(n.list) == 1 && n.list[0].op == "grouping" { // print (a, b)
		n.list = n.list[0].list
	}
	switch p.tok.kind {
	case ">", ">>":
		n.text = p.tok.kind
		if err := p.advance(); err != nil {
			return nil, err
		}
		to, err := p.concatenation()
		n.kids = []*awkNode{to}
		return n, err
	case "|", "|&":
		return nil, p.unsupported("pipes are not known here")
	}
	return n, nil
}

func (p *awkParser) expression() (*awkNode, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	left, err := p.conditional()
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"=", "+=", "-=", "*=", "/=", "%=", "^="}, p.tok.kind) {
		return left, nil
	}
	if !slices.Contains([]string{"name", "field", "index"}, left.op) {
		return nil, p.wrong()
	}
	op := p.tok.kind
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	right, err := p.expression()
	return &awkNode{op: op, kids: []*awkNode{left, right}}, err
}

func (p *awkParser) conditional() (*awkNode, error) {
	cond, err := p.logical("||")
	if err != nil || p.tok.kind != "?" {
		return cond, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	yes, err := p.expression()
	if err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	if err := p.take(":"); err != nil {
		return nil, err
	}
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	no, err := p.expression()
	return &awkNode{op: "?", kids: []*awkNode{cond, yes, no}}, err
}

func (p *awkParser) logical(op string) (*awkNode, error) {
	next := func() (*awkNode, error) {
		if op == "||" {
			return p.logical("&&")
		}
		return p.membership()
	}
	left, err := next()
	for err == nil && p.tok.kind == op {
		if err = p.advance(); err != nil {
			break
		}
		if err = p.lineEnds(); err != nil {
			break
		}
		var right *awkNode
		if right, err = next(); err == nil {
			left = &awkNode{op: op, kids: []*awkNode{left, right}}
		}
	}
	return left, err
}

// membership reads x in a, and (x, y) in a.
func (p *awkParser) membership() (*awkNode, error) {
	left, err := p.matching()
	for err == nil && p.tok.kind == "in" && !p.noIn {
		if err = p.advance(); err != nil {
			break
		}
		name := p.tok.text
		if err = p.take("name"); err != nil {
			break
		}
		list := []*awkNode{left}
		if left.op == "grouping" {
			list = left.list
		}
		left = &awkNode{op: "in", text: name, list: list}
	}
	if err == nil && left.op == "grouping" && !p.inList {
		return nil, p.wrong()
	}
	return left, err
}

func (p *awkParser) matching() (*awkNode, error) {
	left, err := p.comparison()
	for err == nil && (p.tok.kind == "~" || p.tok.kind == "!~") {
		op := p.tok.kind
		if err = p.advance(); err != nil {
			break
		}
		var right *awkNode
		if right, err = p.comparison(); err == nil {
			left = &awkNode{op: op, kids: []*awkNode{left, right}}
		}
	}
	return left, err
}

func (p *awkParser) comparison() (*awkNode, error) {
	left, err := p.concatenation()
	if err != nil {
		return nil, err
	}
	switch op := p.tok.kind; op {
	case ">":
		if p.inList {
			return left, nil
		}
		fallthrough
	case "<", "<=", "==", "!=", ">=":
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.concatenation()
		return &awkNode{op: op, kids: []*awkNode{left, right}}, err
	case "|", "|&":
		if !p.inList {
			return nil, p.unsupported("pipes are not known here")
		}
	}
	return left, nil
}

// startsOperand tells the tokens that may begin what is joined to something before it.
func (p *awkParser) startsOperand() bool {
	return slices.Contains([]string{"name", "func", "builtin", "number", "string", "regex", "$", "!", "(", "-", "+", "++", "--"}, p.tok.kind)
}

func (p *awkParser) concatenation() (*awkNode, error) {
	left, err := p.sum()
	for err == nil && p.startsOperand() && p.tok.kind != "+" && p.tok.kind != "-" {
		if p.tok.kind == "regex" && p.prev != "(" && p.prev != "," {
			// A pattern is no text to be joined.
			break
		}
		var right *awkNode
		if right, err = p.sum(); err == nil {
			left = &awkNode{op: "concat", kids: []*awkNode{left, right}}
		}
	}
	return left, err
}

func (p *awkParser) sum() (*awkNode, error) {
	left, err := p.product()
	for err == nil && (p.tok.kind == "+" || p.tok.kind == "-") {
		op := p.tok.kind
		if err = p.advance(); err != nil {
			break
		}
		var right *awkNode
		if right, err = p.product(); err == nil {
			left = &awkNode{op: op, kids: []*awkNode{left, right}}
		}
	}
	return left, err
}

func (p *awkParser) product() (*awkNode, error) {
	left, err := p.unary()
	for err == nil && (p.tok.kind == "*" || p.tok.kind == "/" || p.tok.kind == "%") {
		op := p.tok.kind
		if err = p.advance(); err != nil {
			break
		}
		var right *awkNode
		if right, err = p.unary(); err == nil {
			left = &awkNode{op: op, kids: []*awkNode{left, right}}
		}
	}
	return left, err
}

func (p *awkParser) unary() (*awkNode, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	if op := map[string]string{"!": "!", "-": "neg", "+": "pos"}[p.tok.kind]; op != "" {
		if err := p.advance(); err != nil {
			return nil, err
		}
		x, err := p.unary()
		return &awkNode{op: op, kids: []*awkNode{x}}, err
	}
	base, err := p.postfix()
	if err != nil || p.tok.kind != "^" {
		return base, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	exponent, err := p.unary()
	return &awkNode{op: "^", kids: []*awkNode{base, exponent}}, err
}

func (p *awkParser) postfix() (*awkNode, error) {
	if p.tok.kind == "++" || p.tok.kind == "--" {
		op := p.tok.kind + "x"
		if err := p.advance(); err != nil {
			return nil, err
		}
		x, err := p.primary()
		if err == nil && !slices.Contains([]string{"name", "field", "index"}, x.op) {
			err = p.wrong()
		}
		return &awkNode{op: op, kids: []*awkNode{x}}, err
	}
	x, err := p.primary()
	if err == nil && (p.tok.kind == "++" || p.tok.kind == "--") && slices.Contains([]string{"name", "field", "index"}, x.op) {
		op := "x" + p.tok.kind
		return &awkNode{op: op, kids: []*awkNode{x}}, p.advance()
	}
	return x, err
}

func (p *awkParser) primary() (*awkNode, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	tok := p.tok
	switch tok.kind {
	case "number":
		return &awkNode{op: "number", num: tok.num}, p.advance()
	case "string":
		return &awkNode{op: "string", text: tok.text}, p.advance()
	case "regex":
		re, err := p.dynamic(tok.text)
		if err != nil {
			if !fatal(err) {
				p.status = 1
			}
			return nil, err
		}
		return &awkNode{op: "regex", re: re}, p.advance()
	case "$":
		if err := p.advance(); err != nil {
			return nil, err
		}
		x, err := p.postfixOfField()
		return &awkNode{op: "field", kids: []*awkNode{x}}, err
	case "(":
		return p.grouping()
	case "builtin":
		return p.builtin(tok.text)
	case "func":
		if err := p.advance(); err != nil {
			return nil, err
		}
		if err := p.advance(); err != nil { // (
			return nil, err
		}
		list, err := p.arguments()
		return &awkNode{op: "call", text: tok.text, list: list}, err
	case "name":
		if err := p.advance(); err != nil {
			return nil, err
		}
		if p.tok.kind == "[" {
			list, err := p.subscript()
			return &awkNode{op: "index", text: tok.text, list: list}, err
		}
		return &awkNode{op: "name", text: tok.text}, nil
	case "getline":
		return p.getlineNode()
	}
	return nil, p.wrong()
}

// postfixOfField reads what stands behind $: $i++ is ($i)++.
func (p *awkParser) postfixOfField() (*awkNode, error) {
	switch p.tok.kind {
	case "++", "--":
		return p.postfix()
	case "-", "+", "!":
		return p.unary()
	}
	return p.primary()
}

func (p *awkParser) arguments() ([]*awkNode, error) {
	in, list := p.noIn, p.inList
	p.noIn, p.inList = false, false
	defer func() { p.noIn, p.inList = in, list }()
	if err := p.lineEnds(); err != nil {
		return nil, err
	}
	return p.expressions(")")
}

func (p *awkParser) grouping() (*awkNode, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	list, err := p.arguments()
	if err != nil {
		return nil, err
	}
	switch len(list) {
	case 0:
		return nil, p.wrong()
	case 1:
		return &awkNode{op: "group", kids: list}, nil
	}
	return &awkNode{op: "grouping", list: list}, nil
}

func (p *awkParser) builtin(name string) (*awkNode, error) {
	if slices.Contains([]string{"rand", "srand", "systime", "strftime", "mktime", "system"}, name) {
		return nil, p.unsupported("the function %s is not known here", name)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != "(" {
		if name == "length" {
			return &awkNode{op: "call", text: name}, nil
		}
		return nil, p.wrong()
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	list, err := p.arguments()
	return &awkNode{op: "call", text: name, list: list}, err
}

func (p *awkParser) getlineNode() (*awkNode, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	n := &awkNode{op: "getline"}
	if p.tok.kind == "name" || p.tok.kind == "$" {
		x, err := p.primary()
		if err != nil {
			return nil, err
		}
		n.list = []*awkNode{x}
	}
	if p.tok.kind != "<" {
		return n, nil
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	file, err := p.postfix()
	n.kids = []*awkNode{file}
	return n, err
}
