package scriptlet

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// eval is the value of an expression.
func (a *awk) eval(n *awkNode) (awkValue, error) {
	if err := a.spend(); err != nil {
		return awkValue{}, err
	}
	if a.depth++; a.depth > maxAwkDepth*10 {
		return awkValue{}, a.unsupported("expressions within each other")
	}
	defer func() { a.depth-- }()
	switch n.op {
	case "number":
		return awkNumber(n.num), nil
	case "string":
		return awkText(n.text), nil
	case "regex":
		ok, err := n.re.matches([]byte(a.recordText()))
		return awkBool(ok), err
	case "name":
		return a.variable(n.text)
	case "group":
		return a.eval(n.kids[0])
	case "index":
		return a.element(n)
	case "field":
		i, err := a.eval(n.kids[0])
		if err != nil {
			return i, err
		}
		return a.field(int(i.number()))
	case "in":
		arr, err := a.array(n.text)
		if err != nil {
			return awkValue{}, err
		}
		k, err := a.key(n.list)
		_, ok := arr.values[k]
		return awkBool(ok), err
	case "&&", "||", "?":
		return a.choice(n)
	case "=":
		v, err := a.eval(n.kids[1])
		if err != nil {
			return v, err
		}
		return v, a.assign(n.kids[0], v)
	case "+=", "-=", "*=", "/=", "%=", "^=":
		right, err := a.eval(n.kids[1])
		if err != nil {
			return right, err
		}
		left, err := a.eval(n.kids[0])
		if err != nil {
			return left, err
		}
		v, err := a.arithmetic(n.op[:1], left.number(), right.number())
		if err != nil {
			return v, err
		}
		return v, a.assign(n.kids[0], v)
	case "++x", "--x", "x++", "x--":
		old, err := a.eval(n.kids[0])
		if err != nil {
			return old, err
		}
		step := 1.0
		if strings.Contains(n.op, "--") {
			step = -1
		}
		v := awkNumber(old.number() + step)
		if err := a.assign(n.kids[0], v); err != nil || n.op[0] != 'x' {
			return v, err
		}
		return awkNumber(old.number()), nil
	case "!", "neg", "pos":
		v, err := a.eval(n.kids[0])
		switch n.op {
		case "!":
			return awkBool(!v.truth()), err
		case "neg":
			return awkNumber(-v.number()), err
		}
		return awkNumber(v.number()), err
	case "~", "!~":
		return a.matchOperator(n)
	case "call":
		return a.call(n)
	case "getline":
		return a.getline(n)
	case "grouping":
		return awkValue{}, a.die(2, "syntax error: a list in parentheses")
	}
	return a.binary(n)
}

func (a *awk) element(n *awkNode) (awkValue, error) {
	arr, err := a.array(n.text)
	if err != nil {
		return awkValue{}, err
	}
	k, err := a.key(n.list)
	if err != nil {
		return awkValue{}, err
	}
	v, ok := arr.values[k]
	if !ok {
		v = awkValue{unset: true, maybe: true}
		arr.set(k, v)
	}
	return v, nil
}

func (a *awk) choice(n *awkNode) (awkValue, error) {
	v, err := a.eval(n.kids[0])
	if err != nil {
		return v, err
	}
	switch {
	case n.op == "?" && v.truth():
		return a.eval(n.kids[1])
	case n.op == "?":
		return a.eval(n.kids[2])
	case n.op == "&&" && !v.truth(), n.op == "||" && v.truth():
		return awkBool(v.truth()), nil
	}
	v, err = a.eval(n.kids[1])
	return awkBool(v.truth()), err
}

func (a *awk) matchOperator(n *awkNode) (awkValue, error) {
	v, err := a.eval(n.kids[0])
	if err != nil {
		return v, err
	}
	re, err := a.regexOf(n.kids[1])
	if err != nil {
		return v, err
	}
	ok, err := re.matches([]byte(a.text(v)))
	return awkBool(ok == (n.op == "~")), err
}

// regexOf is the pattern that an expression stands for.
func (a *awk) regexOf(n *awkNode) (*regex, error) {
	if n.op == "regex" {
		return n.re, nil
	}
	v, err := a.eval(n)
	if err != nil {
		return nil, err
	}
	return a.dynamic(a.text(v))
}

func (a *awk) arithmetic(op string, x, y float64) (awkValue, error) {
	switch op {
	case "+":
		return awkNumber(x + y), nil
	case "-":
		return awkNumber(x - y), nil
	case "*":
		return awkNumber(x * y), nil
	case "^":
		return awkNumber(math.Pow(x, y)), nil
	}
	if y == 0 {
		return awkValue{}, a.die(2, "division by zero")
	}
	if op == "/" {
		return awkNumber(x / y), nil
	}
	return awkNumber(math.Mod(x, y)), nil
}

func (a *awk) binary(n *awkNode) (awkValue, error) {
	left, err := a.eval(n.kids[0])
	if err != nil {
		return left, err
	}
	right, err := a.eval(n.kids[1])
	if err != nil {
		return right, err
	}
	switch n.op {
	case "concat":
		x, y := a.text(left), a.text(right)
		if len(x)+len(y) > maxSedSpace {
			return left, a.unsupported("more than %d bytes", maxSedSpace)
		}
		return awkText(x + y), nil
	case "<", "<=", "==", "!=", ">", ">=":
		c := a.compare(left, right)
		return awkBool(map[string]bool{"<": c < 0, "<=": c <= 0, "==": c == 0, "!=": c != 0, ">": c > 0, ">=": c >= 0}[n.op]), nil
	}
	return a.arithmetic(n.op, left.number(), right.number())
}

// compare compares as numbers what are numbers or look like them from outside, else as text.
func (a *awk) compare(x, y awkValue) int {
	numeric := func(v awkValue) bool { return v.isNumber || v.unset || v.maybe && awkLooksNumeric(v.s) }
	if numeric(x) && numeric(y) {
		p, q := x.number(), y.number()
		switch {
		case p < q:
			return -1
		case p > q:
			return 1
		}
		return 0
	}
	return strings.Compare(a.text(x), a.text(y))
}

func (a *awk) getline(n *awkNode) (awkValue, error) {
	set := func(record string) error {
		if n.list != nil {
			return a.assign(n.list[0], awkOutside(record))
		}
		a.setRecord(record)
		return nil
	}
	if len(n.kids) == 0 {
		old, split, rebuilt, fields, separator := a.record, a.split, a.rebuilt, a.fields, a.separator
		ok, err := a.nextRecord()
		if err != nil || !ok {
			return awkNumber(0), err
		}
		if n.list != nil {
			record := a.record
			a.record, a.split, a.rebuilt, a.fields, a.separator = old, split, rebuilt, fields, separator
			return awkNumber(1), set(record)
		}
		return awkNumber(1), nil
	}
	v, err := a.eval(n.kids[0])
	if err != nil {
		return v, err
	}
	name := a.text(v)
	rest, open := a.readers[name]
	if !open {
		if rest, err = a.read(name); err != nil {
			if fatal(err) {
				return v, err
			}
			return awkNumber(-1), nil
		}
	}
	if len(rest) == 0 {
		a.readers[name] = nil
		return awkNumber(0), nil
	}
	record, rest, err := a.cutRecord(rest)
	if err != nil {
		return v, err
	}
	a.readers[name] = rest
	return awkNumber(1), set(record) // NR counts the main input only
}

// call calls a function of the program or one that is built in.
func (a *awk) call(n *awkNode) (awkValue, error) {
	if f := a.functions[n.text]; f != nil {
		return a.callFunction(f, n.list)
	}
	switch n.text {
	case "split", "sub", "gsub", "gensub", "match":
		return a.callText(n)
	case "length":
		if len(n.list) == 0 {
			return awkNumber(float64(utf8.RuneCountInString(a.recordText()))), nil
		}
		if n.list[0].op == "name" {
			if arr := a.knownArray(n.list[0].text); arr != nil {
				return awkNumber(float64(len(arr.keys))), nil
			}
		}
	}
	args := make([]awkValue, len(n.list))
	for i, x := range n.list {
		v, err := a.eval(x)
		if err != nil {
			return v, err
		}
		args[i] = v
	}
	arg := func(i int) awkValue {
		if i < len(args) {
			return args[i]
		}
		return awkValue{unset: true, maybe: true}
	}
	switch n.text {
	case "length":
		return awkNumber(float64(utf8.RuneCountInString(a.text(arg(0))))), nil
	case "substr":
		return awkText(a.substring(a.text(arg(0)), arg(1).number(), arg(2), len(args) > 2)), nil
	case "index":
		s, t := a.text(arg(0)), a.text(arg(1))
		i := strings.Index(s, t)
		if i < 0 {
			return awkNumber(0), nil
		}
		return awkNumber(float64(utf8.RuneCountInString(s[:i]) + 1)), nil
	case "tolower":
		return awkText(strings.ToLower(a.text(arg(0)))), nil
	case "toupper":
		return awkText(strings.ToUpper(a.text(arg(0)))), nil
	case "sprintf":
		s, err := a.sprintf(a.text(arg(0)), args[min(1, len(args)):])
		return awkText(s), err
	case "int":
		return awkNumber(math.Trunc(arg(0).number())), nil
	case "sqrt":
		return awkNumber(math.Sqrt(arg(0).number())), nil
	case "exp":
		return awkNumber(math.Exp(arg(0).number())), nil
	case "log":
		return awkNumber(math.Log(arg(0).number())), nil
	case "sin":
		return awkNumber(math.Sin(arg(0).number())), nil
	case "cos":
		return awkNumber(math.Cos(arg(0).number())), nil
	case "atan2":
		return awkNumber(math.Atan2(arg(0).number(), arg(1).number())), nil
	case "close":
		a.closeOutput(a.text(arg(0)))
		delete(a.readers, a.text(arg(0)))
		return awkNumber(0), nil
	case "fflush":
		return awkNumber(0), nil
	}
	return awkValue{}, a.unsupported("the function %s is not known here", n.text)
}

func (a *awk) knownArray(name string) *awkArray {
	if len(a.frames) > 0 {
		if l := a.frames[len(a.frames)-1][name]; l != nil {
			return l.array
		}
	}
	return a.arrays[name]
}

func (a *awk) substring(s string, from float64, length awkValue, limited bool) string {
	runes := []rune(s)
	start := math.Max(1, math.Trunc(from)) // as gawk has it, the length counts from there
	end := float64(len(runes)) + 1
	if limited {
		end = math.Min(end, start+math.Trunc(length.number()))
	}
	if !(start < end) || start > float64(len(runes)) {
		return ""
	}
	return string(runes[int(start)-1 : int(end)-1])
}

func (a *awk) callFunction(f *awkFunction, args []*awkNode) (awkValue, error) {
	if len(a.frames) > maxAwkDepth {
		return awkValue{}, a.unsupported("more than %d calls within each other", maxAwkDepth)
	}
	if len(args) > len(f.params) {
		return awkValue{}, a.die(2, "function '%s' called with more arguments than declared", f.name)
	}
	frame := map[string]*awkLocal{}
	for i, p := range f.params {
		l := &awkLocal{value: awkValue{unset: true, maybe: true}}
		frame[p] = l
		if i >= len(args) {
			continue
		}
		if args[i].op == "name" {
			if arr := a.knownArray(args[i].text); arr != nil {
				l.array = arr
				continue
			}
			if v, err := a.variable(args[i].text); err == nil && v.unset && args[i].text != "NF" {
				// It may become an array in there.
				defer func(name string) {
					if l.array != nil && a.knownArray(name) == nil {
						a.adopt(name, l.array)
					}
				}(args[i].text)
				continue
			}
		}
		v, err := a.eval(args[i])
		if err != nil {
			return v, err
		}
		l.value = v
	}
	a.frames = append(a.frames, frame)
	err := a.statement(f.body)
	a.frames = a.frames[:len(a.frames)-1]
	if r, ok := err.(awkReturn); ok {
		return r.value, nil
	}
	return awkValue{unset: true, maybe: true}, err
}

// adopt gives a name the array that a function made of it.
func (a *awk) adopt(name string, arr *awkArray) {
	if len(a.frames) > 0 {
		if l := a.frames[len(a.frames)-1][name]; l != nil {
			l.array = arr
			return
		}
	}
	a.arrays[name] = arr
}

// callText is split, sub, gsub, gensub and match.
func (a *awk) callText(n *awkNode) (awkValue, error) {
	wrong := func() (awkValue, error) {
		return awkValue{}, a.die(2, "syntax error: wrong number of arguments of %s", n.text)
	}
	if len(n.list) < 2 || len(n.list) > 4 {
		return wrong()
	}
	switch n.text {
	case "split":
		return a.splitCall(n)
	case "match":
		v, err := a.eval(n.list[0])
		if err != nil {
			return v, err
		}
		if len(n.list) > 2 {
			return v, a.unsupported("match with an array is not known here")
		}
		re, err := a.regexOf(n.list[1])
		if err != nil {
			return v, err
		}
		s := a.text(v)
		m, err := re.match([]byte(s), 0)
		start, length := 0, -1
		if m != nil {
			start, length = utf8.RuneCountInString(s[:m[0]])+1, utf8.RuneCountInString(s[m[0]:m[1]])
		}
		a.globals["RSTART"], a.globals["RLENGTH"] = awkNumber(float64(start)), awkNumber(float64(length))
		return awkNumber(float64(start)), err
	case "gensub":
		if len(n.list) < 3 {
			return wrong()
		}
		return a.gensub(n)
	}
	re, err := a.regexOf(n.list[0])
	if err != nil {
		return awkValue{}, err
	}
	replacement, err := a.eval(n.list[1])
	if err != nil {
		return replacement, err
	}
	target := &awkNode{op: "field", kids: []*awkNode{{op: "number"}}}
	if len(n.list) > 2 {
		target = n.list[2]
	}
	old, err := a.eval(target)
	if err != nil {
		return old, err
	}
	s := a.text(old)
	matches, err := re.all([]byte(s))
	if err != nil || len(matches) == 0 {
		return awkNumber(0), err
	}
	if n.text == "sub" {
		matches = matches[:1]
	}
	out, err := a.replaced(s, matches, awkReplacement(a.text(replacement), false))
	if err != nil {
		return old, err
	}
	return awkNumber(float64(len(matches))), a.assign(target, awkText(out))
}

func (a *awk) replaced(s string, matches [][]int, parts []sedPart) (string, error) {
	var out []byte
	at := 0
	for _, m := range matches {
		out = append(out, s[at:m[0]]...)
		out = expandReplacement(out, parts, []byte(s), m)
		if at = m[1]; len(out) > maxSedSpace {
			return "", a.unsupported("more than %d bytes", maxSedSpace)
		}
	}
	return string(append(out, s[at:]...)), nil
}

// awkReplacement reads a replacement: & is the match, \& an ampersand, and \1 a group for gensub.
func awkReplacement(s string, groups bool) []sedPart {
	var parts []sedPart
	var text strings.Builder
	finish := func() {
		if text.Len() > 0 {
			parts = append(parts, sedPart{text: text.String(), group: -1})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && (s[i+1] == '&' || s[i+1] == '\\'):
			i++
			text.WriteByte(s[i])
		case s[i] == '\\' && i+1 < len(s) && groups && s[i+1] >= '0' && s[i+1] <= '9':
			i++
			finish()
			parts = append(parts, sedPart{group: int(s[i] - '0')})
		case s[i] == '&':
			finish()
			parts = append(parts, sedPart{group: 0})
		default:
			text.WriteByte(s[i])
		}
	}
	finish()
	return parts
}

func (a *awk) gensub(n *awkNode) (awkValue, error) {
	re, err := a.regexOf(n.list[0])
	if err != nil {
		return awkValue{}, err
	}
	replacement, err := a.eval(n.list[1])
	if err != nil {
		return replacement, err
	}
	how, err := a.eval(n.list[2])
	if err != nil {
		return how, err
	}
	s := a.recordText()
	if len(n.list) > 3 {
		v, err := a.eval(n.list[3])
		if err != nil {
			return v, err
		}
		s = a.text(v)
	}
	matches, err := re.all([]byte(s))
	if err != nil {
		return how, err
	}
	if h := a.text(how); h == "" || h[0]|0x20 != 'g' {
		i := max(1, int(how.number()))
		if i > len(matches) {
			return awkText(s), nil
		}
		matches = matches[i-1 : i]
	}
	out, err := a.replaced(s, matches, awkReplacement(a.text(replacement), true))
	return awkText(out), err
}

func (a *awk) splitCall(n *awkNode) (awkValue, error) {
	v, err := a.eval(n.list[0])
	if err != nil {
		return v, err
	}
	if n.list[1].op != "name" {
		return v, a.die(2, "split: second argument is not an array")
	}
	fs := a.global("FS")
	var parts []string
	if len(n.list) > 2 && n.list[2].op == "regex" {
		s := a.text(v)
		matches, err := n.list[2].re.all([]byte(s))
		if err != nil {
			return v, err
		}
		at := 0
		for _, m := range matches {
			if m[1] > m[0] {
				parts = append(parts, s[at:m[0]])
				at = m[1]
			}
		}
		if s != "" {
			parts = append(parts, s[at:])
		}
	} else {
		if len(n.list) > 2 {
			f, err := a.eval(n.list[2])
			if err != nil {
				return f, err
			}
			fs = a.text(f)
		}
		if parts, err = a.splitText(a.text(v), fs, false); err != nil {
			return v, err
		}
	}
	arr, err := a.array(n.list[1].text)
	if err != nil {
		return v, err
	}
	arr.values, arr.keys = map[string]awkValue{}, nil
	for i, p := range parts {
		arr.set(strconv.Itoa(i+1), awkOutside(p))
	}
	return awkNumber(float64(len(parts))), nil
}
