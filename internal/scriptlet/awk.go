package scriptlet

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of awk.
const (
	maxAwkProgram = 256 << 10
	maxAwkDepth   = 200 // of expressions, statements and calls
	maxAwkSteps   = 50_000_000
	maxAwkField   = 1 << 20 // fields of a record
)

// awkCommands are the names of awk. It is POSIX's language with gawk's tolower and toupper, gensub and length of arrays;
// what is random, the clock, pipes and functions of other programs are left out.
func awkCommands() map[string]Command {
	awk := rawTool(runAwk)
	return map[string]Command{"awk": awk, "gawk": awk, "mawk": awk, "nawk": awk}
}

// awkValue is a string, a number, or what was read and may be either.
type awkValue struct {
	s        string
	n        float64
	isNumber bool
	maybe    bool // read from outside: a number where it looks like one
	unset    bool
}

func awkText(s string) awkValue    { return awkValue{s: s} }
func awkNumber(n float64) awkValue { return awkValue{n: n, isNumber: true} }
func awkOutside(s string) awkValue { return awkValue{s: s, maybe: true} }
func awkBool(b bool) awkValue      { return awkNumber(float64(btoi(b))) }
func awkLooksNumeric(s string) bool {
	return awkNumberLength(strings.TrimSpace(s)) == len(strings.TrimSpace(s)) && strings.TrimSpace(s) != ""
}

// awkNumberLength is how much of s is a decimal number.
func awkNumberLength(s string) int {
	i, digits := 0, 0
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		i++
	}
	for ; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
		digits++
	}
	if i < len(s) && s[i] == '.' {
		for i++; i < len(s) && s[i] >= '0' && s[i] <= '9'; i++ {
			digits++
		}
	}
	if digits == 0 {
		return 0
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		k := j
		for k < len(s) && s[k] >= '0' && s[k] <= '9' {
			k++
		}
		if k > j {
			i = k
		}
	}
	return i
}

func (v awkValue) number() float64 {
	if v.isNumber {
		return v.n
	}
	s := strings.TrimLeft(v.s, " \t\n\r\f\v")
	n, err := strconv.ParseFloat(s[:awkNumberLength(s)], 64)
	if err != nil && !math.IsInf(n, 0) {
		return 0
	}
	return n
}

func (v awkValue) truth() bool {
	switch {
	case v.isNumber:
		return v.n != 0
	case v.maybe && awkLooksNumeric(v.s):
		return v.number() != 0
	}
	return v.s != ""
}

// awkNode is a piece of a program: an expression or a statement.
type awkNode struct {
	op   string
	text string
	num  float64
	re   *regex
	kids []*awkNode
	list []*awkNode
}

type awkRule struct {
	pattern []*awkNode // none, one, or the two of a range
	body    *awkNode   // nil prints the record
	active  bool
}

type awkFunction struct {
	name   string
	params []string
	body   *awkNode
}

// awk is one run.
type awk struct {
	*toolRun
	begin, end []*awkNode
	rules      []*awkRule
	functions  map[string]*awkFunction
	globals    map[string]awkValue
	arrays     map[string]*awkArray
	frames     []map[string]*awkLocal
	fields     []string // $1 and on
	record     string
	separator  string // what record is split at
	split      bool   // fields are those of record
	rebuilt    bool   // record is made of fields
	regexes    map[string]*regex
	files      map[string]*bytes.Buffer
	order      []string
	steps      int
	depth      int
	operands   []string
	input      []byte
	inputOpen  bool
	readers    map[string][]byte
}

type awkLocal struct {
	value awkValue
	array *awkArray
}

// awkArray keeps its keys in the order in which they came, which is the order of for (k in a).
type awkArray struct {
	values map[string]awkValue
	keys   []string
}

func newAwkArray() *awkArray { return &awkArray{values: map[string]awkValue{}} }

func (a *awkArray) set(k string, v awkValue) {
	if _, ok := a.values[k]; !ok {
		a.keys = append(a.keys, k)
	}
	a.values[k] = v
}

func (a *awkArray) delete(k string) {
	if _, ok := a.values[k]; ok {
		delete(a.values, k)
		a.keys = slices.DeleteFunc(a.keys, func(x string) bool { return x == k })
	}
}

// What ends a statement early.
type awkJump string

func (j awkJump) Error() string { return string(j) }

type awkReturn struct{ value awkValue }

func (awkReturn) Error() string { return "return" }

const (
	awkBreak    = awkJump("break")
	awkContinue = awkJump("continue")
	awkNext     = awkJump("next")
	awkExit     = awkJump("exit")
)

func runAwk(r *toolRun) error {
	a := &awk{
		toolRun: r, functions: map[string]*awkFunction{}, globals: map[string]awkValue{}, arrays: map[string]*awkArray{},
		regexes: map[string]*regex{}, files: map[string]*bytes.Buffer{}, readers: map[string][]byte{},
	}
	for name, v := range map[string]string{"FS": " ", "OFS": " ", "ORS": "\n", "RS": "\n", "SUBSEP": "\x1c", "CONVFMT": "%.6g", "OFMT": "%.6g", "FILENAME": ""} {
		a.globals[name] = awkText(v)
	}
	for _, name := range []string{"NR", "FNR", "RSTART"} {
		a.globals[name] = awkNumber(0)
	}
	a.globals["RLENGTH"] = awkNumber(-1)
	var programs []string
	var assign []string
	args := r.args
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		x := args[0]
		args = args[1:]
		if x == "--" {
			break
		}
		value := x[2:]
		if strings.IndexByte("Fvf", x[1]) < 0 {
			return r.unsupported("the option %s is not known here", x)
		}
		if value == "" {
			if len(args) == 0 {
				return r.die(1, "option requires an argument -- '%c'", x[1])
			}
			value, args = args[0], args[1:]
		}
		switch x[1] {
		case 'F':
			a.globals["FS"] = awkText(awkEscapes(value))
		case 'v':
			assign = append(assign, value)
		case 'f':
			b, err := r.read(value)
			if fatal(err) {
				return err
			}
			if err != nil {
				return r.die(2, "cannot open source file '%s' for reading: %s", value, errorText(err))
			}
			programs = append(programs, string(b))
		}
	}
	for _, v := range assign {
		if !a.assignment(v) {
			return r.die(1, "'%s' argument to '-v' not in 'var=value' form", v)
		}
	}
	if len(programs) == 0 {
		if len(args) == 0 {
			return r.die(1, "no program text")
		}
		programs, args = args[:1], args[1:]
	}
	a.operands = args
	argv := newAwkArray()
	argv.set("0", awkText("awk"))
	for i, x := range args {
		argv.set(strconv.Itoa(i+1), awkOutside(x))
	}
	a.arrays["ARGV"] = argv
	a.globals["ARGC"] = awkNumber(float64(len(args) + 1))
	if err := a.parse(strings.Join(programs, "\n")); err != nil {
		return err
	}
	err := a.run()
	if fatal(err) || err != nil && err != errStop {
		return err
	}
	for _, name := range slices.Clone(a.order) {
		a.closeOutput(name)
	}
	return err
}

// closeOutput writes what was printed to a file.
func (a *awk) closeOutput(name string) {
	b := a.files[name]
	if b == nil {
		return
	}
	if err := a.write(name, b.Bytes()); err != nil {
		a.complain("can't redirect to '%s': %s", name, errorText(err))
		a.status = 2
	}
	delete(a.files, name)
	a.order = slices.DeleteFunc(a.order, func(n string) bool { return n == name })
}

// assignment does NAME=VALUE; ok is false for anything else.
func (a *awk) assignment(s string) bool {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" || !awkName(name) {
		return false
	}
	a.globals[name] = awkOutside(awkEscapes(value))
	return true
}

func awkName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// awkEscapes reads the escapes of a string.
func awkEscapes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; {
		case c == '"' || c == '/' || c == '\\':
			b.WriteByte(c)
		case c >= '0' && c <= '7':
			j := i
			for j < len(s) && j < i+3 && s[j] >= '0' && s[j] <= '7' {
				j++
			}
			v, _ := strconv.ParseUint(s[i:j], 8, 16)
			b.WriteByte(byte(v))
			i = j - 1
		case strings.IndexByte("abfnrtv", c) >= 0:
			text, _ := unescape(s[i-1:i+1], false)
			b.WriteString(text)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (a *awk) run() error {
	exited := false
	for _, b := range a.begin {
		if err := a.statement(b); err != nil {
			if err != awkExit {
				return a.uncaught(err)
			}
			exited = true
			break
		}
	}
	if !exited && len(a.rules)+len(a.end) > 0 {
		for {
			ok, err := a.nextRecord()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			err = a.matchRules()
			if err == awkExit {
				exited = true
				break
			}
			if err != nil && err != awkNext {
				return a.uncaught(err)
			}
		}
	}
	for _, b := range a.end { // exit before them does not keep them from running
		if err := a.statement(b); err == awkExit {
			break
		} else if err != nil {
			return a.uncaught(err)
		}
	}
	return nil
}

// uncaught turns a jump that nothing caught into an error of the program.
func (a *awk) uncaught(err error) error {
	switch err.(type) {
	case awkJump, awkReturn:
		return a.die(2, "%s outside of where it may stand", err)
	}
	return err
}

func (a *awk) matchRules() error {
	for _, r := range a.rules {
		ok, err := a.selects(r)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if r.body == nil {
			a.put("", a.recordText()+a.global("ORS"))
			continue
		}
		if err := a.statement(r.body); err != nil {
			return err
		}
	}
	return nil
}

func (a *awk) selects(r *awkRule) (bool, error) {
	switch len(r.pattern) {
	case 0:
		return true, nil
	case 1:
		v, err := a.eval(r.pattern[0])
		return v.truth(), err
	}
	if !r.active {
		v, err := a.eval(r.pattern[0])
		if err != nil || !v.truth() {
			return false, err
		}
		r.active = true
	}
	v, err := a.eval(r.pattern[1])
	if v.truth() {
		r.active = false
	}
	return true, err
}

func (a *awk) global(name string) string { return a.text(a.globals[name]) }

// text is a value as a string: whole numbers without a fraction, others by CONVFMT.
func (a *awk) text(v awkValue) string {
	if v.isNumber {
		return a.numberText(v.n, "CONVFMT")
	}
	return v.s
}

func (a *awk) numberText(n float64, format string) string {
	switch {
	case math.IsNaN(n):
		return "nan"
	case math.IsInf(n, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(n, 'f', -1, 64)), "+")
	case n == math.Trunc(n):
		if n == 0 {
			return "0"
		}
		return strconv.FormatFloat(n, 'f', 0, 64)
	}
	text, _ := a.sprintf(a.globals[format].s, []awkValue{awkNumber(n)})
	return text
}

// nextInput opens the next operand; false when there is none left.
func (a *awk) nextInput() (bool, error) {
	argc := int(min(1e6, a.globals["ARGC"].number()))
	for i := int(a.globals["\x00ARGIND"].number()) + 1; i < argc; i++ {
		a.globals["\x00ARGIND"] = awkNumber(float64(i))
		v, ok := a.arrays["ARGV"].values[strconv.Itoa(i)]
		name := a.text(v)
		if !ok || name == "" || a.assignment(name) {
			continue
		}
		a.globals["\x00READ"] = awkNumber(1)
		b, err := a.read(name)
		if fatal(err) {
			return false, err
		}
		if err != nil {
			return false, a.die(2, "fatal: cannot open file '%s' for reading: %s", name, errorText(err))
		}
		a.globals["FILENAME"], a.globals["FNR"] = awkText(name), awkNumber(0)
		a.input, a.inputOpen = b, true
		return true, nil
	}
	if a.globals["\x00READ"].number() != 0 {
		return false, nil
	}
	a.globals["\x00READ"] = awkNumber(1)
	b, err := readBounded("standard input", a.Stdin)
	a.input, a.inputOpen = b, true
	return err == nil, err
}

// cutRecord takes a record off the beginning of content.
func (a *awk) cutRecord(content []byte) (record string, rest []byte, err error) {
	rs := a.global("RS")
	switch {
	case rs == "":
		content = bytes.TrimLeft(content, "\n")
		if len(content) == 0 {
			return "", nil, nil
		}
		i := bytes.Index(content, []byte("\n\n"))
		if i < 0 {
			return strings.TrimSuffix(string(content), "\n"), nil, nil
		}
		return string(content[:i]), bytes.TrimLeft(content[i:], "\n"), nil
	case len(rs) == 1:
		i := bytes.IndexByte(content, rs[0])
		if i < 0 {
			return string(content), nil, nil
		}
		return string(content[:i]), content[i+1:], nil
	}
	re, err := a.dynamic(rs)
	if err != nil {
		return "", nil, err
	}
	m, err := re.match(content, 0)
	if err != nil || m == nil || m[1] == m[0] {
		return string(content), nil, err
	}
	return string(content[:m[0]]), content[m[1]:], nil
}

func (a *awk) nextRecord() (bool, error) {
	for {
		if !a.inputOpen {
			ok, err := a.nextInput()
			if err != nil || !ok {
				return false, err
			}
		}
		if a.global("RS") == "" {
			a.input = bytes.TrimLeft(a.input, "\n")
		}
		if len(a.input) > 0 {
			break
		}
		a.inputOpen = false
	}
	record, rest, err := a.cutRecord(a.input)
	if err != nil {
		return false, err
	}
	a.input = rest
	a.globals["NR"] = awkNumber(a.globals["NR"].number() + 1)
	a.globals["FNR"] = awkNumber(a.globals["FNR"].number() + 1)
	a.setRecord(record)
	return true, nil
}

// setRecord makes s the record. A change of FS counts from the next one on.
func (a *awk) setRecord(s string) {
	a.record, a.split, a.rebuilt, a.fields, a.separator = s, false, true, nil, a.global("FS")
}

func (a *awk) recordText() string {
	if !a.rebuilt {
		a.record, a.rebuilt = strings.Join(a.fields, a.global("OFS")), true
	}
	return a.record
}

func (a *awk) splitRecord() error {
	if a.split {
		return nil
	}
	f, err := a.splitText(a.record, a.separator, true)
	a.fields, a.split = f, true
	return err
}

// splitText splits as FS asks: at blanks, one character, or a regular expression.
func (a *awk) splitText(s, fs string, record bool) ([]string, error) {
	if s == "" {
		return nil, nil
	}
	paragraphs := record && a.global("RS") == ""
	switch {
	case fs == " ":
		return strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' || c == '\n' }), nil
	case fs == "":
		return strings.Split(s, ""), nil
	case len(fs) == 1 && fs != "\\" && !paragraphs:
		return strings.Split(s, fs), nil
	}
	if len(fs) == 1 {
		fs = "[" + fs + "]"
		if fs == `[\]` || fs == "[^]" {
			fs = `\` + fs[1:2]
		}
	}
	if paragraphs {
		fs = "(" + fs + ")|\n"
	}
	re, err := a.dynamic(fs)
	if err != nil {
		return nil, err
	}
	matches, err := re.all([]byte(s))
	if err != nil {
		return nil, err
	}
	var out []string
	at := 0
	for _, m := range matches {
		if m[1] == m[0] {
			continue
		}
		out = append(out, s[at:m[0]])
		at = m[1]
	}
	return append(out, s[at:]), nil
}

// dynamic compiles a regular expression once.
func (a *awk) dynamic(s string) (*regex, error) {
	if re := a.regexes[s]; re != nil {
		return re, nil
	}
	re, err := compileRegex(s, regexOptions{extended: true, awk: true})
	if err != nil {
		if fatal(err) {
			return nil, err
		}
		return nil, a.die(2, "invalid regular expression /%s/: %v", s, err)
	}
	if len(a.regexes) < 10_000 {
		a.regexes[s] = re
	}
	return re, nil
}

func (a *awk) field(i int) (awkValue, error) {
	if i == 0 {
		return awkOutside(a.recordText()), nil
	}
	if err := a.splitRecord(); err != nil {
		return awkValue{}, err
	}
	if i < 0 || i > maxAwkField {
		return awkValue{}, a.die(2, "attempt to access field %d", i)
	}
	if i > len(a.fields) {
		return awkValue{unset: true, maybe: true}, nil
	}
	return awkOutside(a.fields[i-1]), nil
}

func (a *awk) setField(i int, v string) error {
	if i == 0 {
		a.setRecord(v)
		return nil
	}
	if err := a.splitRecord(); err != nil {
		return err
	}
	if i < 0 || i > maxAwkField {
		return a.die(2, "attempt to access field %d", i)
	}
	for len(a.fields) < i {
		a.fields = append(a.fields, "")
	}
	a.fields[i-1], a.rebuilt = v, false
	return nil
}

// put prints to a file, standard output for "".
func (a *awk) put(file, text string) {
	switch file {
	case "", "/dev/stdout", "-":
		_, _ = a.out.WriteString(text)
	case "/dev/stderr":
		_, _ = a.Stderr.Write([]byte(text))
	default:
		a.files[file].WriteString(text)
	}
}

func (a *awk) spend() error {
	if a.steps++; a.steps > maxAwkSteps {
		return a.unsupported("more than %d steps", maxAwkSteps)
	}
	if a.steps&0xffff == 0 {
		return a.ctx.Err()
	}
	return nil
}

// array is the array of a name.
func (a *awk) array(name string) (*awkArray, error) {
	if len(a.frames) > 0 {
		if l := a.frames[len(a.frames)-1][name]; l != nil {
			if l.array == nil {
				if !l.value.unset {
					return nil, a.die(2, "attempt to use scalar '%s' as an array", name)
				}
				l.array = newAwkArray()
			}
			return l.array, nil
		}
	}
	if name == "ENVIRON" || name == "PROCINFO" {
		return nil, a.unsupported("the array %s is not known here", name)
	}
	if a.arrays[name] == nil {
		a.arrays[name] = newAwkArray()
	}
	return a.arrays[name], nil
}

func (a *awk) variable(name string) (awkValue, error) {
	if len(a.frames) > 0 {
		if l := a.frames[len(a.frames)-1][name]; l != nil {
			return l.value, nil
		}
	}
	if name == "NF" {
		err := a.splitRecord()
		return awkNumber(float64(len(a.fields))), err
	}
	v, ok := a.globals[name]
	if !ok {
		return awkValue{unset: true, maybe: true}, nil
	}
	return v, nil
}

func (a *awk) setVariable(name string, v awkValue) error {
	v.unset = false
	if len(a.frames) > 0 {
		if l := a.frames[len(a.frames)-1][name]; l != nil {
			l.value = v
			return nil
		}
	}
	if name == "NF" {
		if err := a.splitRecord(); err != nil {
			return err
		}
		n := int(v.number())
		if n < 0 || n > maxAwkField {
			return a.die(2, "NF set to %d", n)
		}
		for len(a.fields) < n {
			a.fields = append(a.fields, "")
		}
		a.fields, a.rebuilt = a.fields[:n], false
		return nil
	}
	a.globals[name] = v
	return nil
}

// key is the subscript of an array.
func (a *awk) key(list []*awkNode) (string, error) {
	parts := make([]string, len(list))
	for i, n := range list {
		v, err := a.eval(n)
		if err != nil {
			return "", err
		}
		parts[i] = a.text(v)
	}
	return strings.Join(parts, a.global("SUBSEP")), nil
}

func (a *awk) assign(n *awkNode, v awkValue) error {
	switch n.op {
	case "name":
		return a.setVariable(n.text, v)
	case "field":
		i, err := a.eval(n.kids[0])
		if err != nil {
			return err
		}
		return a.setField(int(i.number()), a.text(v))
	case "index":
		arr, err := a.array(n.text)
		if err != nil {
			return err
		}
		k, err := a.key(n.list)
		if err != nil {
			return err
		}
		v.unset = false
		arr.set(k, v)
		return nil
	}
	return a.die(2, "syntax error: something that cannot be assigned to")
}

func (a *awk) statement(n *awkNode) error {
	if err := a.spend(); err != nil {
		return err
	}
	if a.depth++; a.depth > maxAwkDepth*10 {
		return a.unsupported("statements within each other")
	}
	defer func() { a.depth-- }()
	switch n.op {
	case "block":
		for _, s := range n.list {
			if err := a.statement(s); err != nil {
				return err
			}
		}
	case "if":
		v, err := a.eval(n.kids[0])
		if err != nil {
			return err
		}
		if v.truth() {
			return a.statement(n.kids[1])
		}
		if len(n.kids) > 2 {
			return a.statement(n.kids[2])
		}
	case "while", "do", "for":
		return a.loop(n)
	case "forin":
		arr, err := a.array(n.kids[1].text)
		if err != nil {
			return err
		}
		for _, k := range slices.Clone(arr.keys) {
			if err := a.assign(n.kids[0], awkOutside(k)); err != nil {
				return err
			}
			if err := a.statement(n.kids[2]); err == awkBreak {
				break
			} else if err != nil && err != awkContinue {
				return err
			}
		}
	case "print", "printf":
		return a.print(n)
	case "delete":
		arr, err := a.array(n.text)
		if err != nil {
			return err
		}
		if n.list == nil {
			arr.values, arr.keys = map[string]awkValue{}, nil
			return nil
		}
		k, err := a.key(n.list)
		if err != nil {
			return err
		}
		arr.delete(k)
	case "next":
		return awkNext
	case "nextfile":
		a.inputOpen = false
		return awkNext
	case "break":
		return awkBreak
	case "continue":
		return awkContinue
	case "exit":
		if len(n.kids) > 0 {
			v, err := a.eval(n.kids[0])
			if err != nil {
				return err
			}
			a.status = int(v.number()) & 0xff
		}
		return awkExit
	case "return":
		v := awkValue{unset: true, maybe: true}
		if len(n.kids) > 0 {
			var err error
			if v, err = a.eval(n.kids[0]); err != nil {
				return err
			}
		}
		return awkReturn{v}
	default:
		_, err := a.eval(n)
		return err
	}
	return nil
}

func (a *awk) loop(n *awkNode) error {
	cond, body, step := n.kids[0], n.kids[1], (*awkNode)(nil)
	if n.op == "for" {
		if n.kids[0] != nil {
			if err := a.statement(n.kids[0]); err != nil {
				return err
			}
		}
		cond, step, body = n.kids[1], n.kids[2], n.kids[3]
	}
	for first := true; ; first = false {
		if err := a.spend(); err != nil {
			return err
		}
		if cond != nil && !(first && n.op == "do") {
			v, err := a.eval(cond)
			if err != nil {
				return err
			}
			if !v.truth() {
				return nil
			}
		}
		if err := a.statement(body); err == awkBreak {
			return nil
		} else if err != nil && err != awkContinue {
			return err
		}
		if step != nil {
			if err := a.statement(step); err != nil {
				return err
			}
		}
	}
}

func (a *awk) print(n *awkNode) error {
	values := make([]awkValue, len(n.list))
	for i, x := range n.list {
		v, err := a.eval(x)
		if err != nil {
			return err
		}
		values[i] = v
	}
	file := ""
	if len(n.kids) > 0 {
		v, err := a.eval(n.kids[0])
		if err != nil {
			return err
		}
		if file = a.text(v); file == "" {
			return a.die(2, "expression for redirection is null")
		}
		if err := a.openOutput(file, n.text == ">>"); err != nil {
			return err
		}
	}
	if n.op == "printf" {
		if len(values) == 0 {
			return a.die(2, "syntax error: printf without a format")
		}
		text, err := a.sprintf(a.text(values[0]), values[1:])
		if err == nil {
			a.put(file, text)
		}
		return err
	}
	if len(values) == 0 {
		a.put(file, a.recordText()+a.global("ORS"))
		return nil
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if parts[i] = v.s; v.isNumber {
			parts[i] = a.numberText(v.n, "OFMT")
		}
	}
	a.put(file, strings.Join(parts, a.global("OFS"))+a.global("ORS"))
	return nil
}

func (a *awk) openOutput(file string, appends bool) error {
	if _, ok := a.files[file]; ok || file == "-" || strings.HasPrefix(file, "/dev/std") {
		return nil
	}
	b := &bytes.Buffer{}
	if appends && devicePath(a.Dir, file) == "" {
		old, err := a.FS.ReadFile(a.Dir, file)
		if err != nil && !isNotExist(err) {
			return a.die(2, "can't redirect to '%s': %s", file, errorText(err))
		}
		b.Write(old)
	}
	a.files[file] = b
	a.order = append(a.order, file)
	return nil
}

func (a *awk) sprintf(format string, args []awkValue) (string, error) {
	var b strings.Builder
	short := false
	next := func() awkValue {
		if len(args) == 0 {
			short = true
			return awkText("")
		}
		v := args[0]
		args = args[1:]
		return v
	}
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		start := i
		spec := "%"
		for i++; i < len(format) && strings.IndexByte("#-+ 0123456789.*", format[i]) >= 0; i++ {
			if format[i] == '*' {
				spec += strconv.Itoa(int(next().number()))
			} else {
				spec += format[i : i+1]
			}
		}
		if i == len(format) {
			b.WriteString(format[start:])
			break
		}
		switch c := format[i]; c {
		case '%':
			b.WriteByte('%')
		case 's':
			fmt.Fprintf(&b, spec+"s", a.text(next()))
		case 'c':
			v := next()
			if v.isNumber || v.maybe && awkLooksNumeric(v.s) {
				fmt.Fprintf(&b, spec+"s", string(rune(int(v.number()))))
			} else if r, n := utf8.DecodeRuneInString(v.s); n > 0 {
				fmt.Fprintf(&b, spec+"s", string(r))
			}
		case 'd', 'i':
			fmt.Fprintf(&b, spec+"d", int64(math.Trunc(next().number())))
		case 'u', 'o', 'x', 'X':
			if c == 'u' {
				c = 'd'
			}
			fmt.Fprintf(&b, spec+string(rune(c)), int64(math.Trunc(next().number())))
		case 'e', 'E', 'f', 'F', 'g', 'G':
			v := next().number()
			if (c == 'g' || c == 'G') && !strings.Contains(spec, ".") {
				spec += ".6"
			}
			text := fmt.Sprintf(spec+string(rune(c)), v)
			b.WriteString(text)
		default:
			b.WriteString(format[start : i+1])
		}
		if short {
			return "", a.die(2, "fatal: not enough arguments to satisfy format string")
		}
		if b.Len() > maxSedSpace {
			return "", a.unsupported("more than %d bytes", maxSedSpace)
		}
	}
	return b.String(), nil
}
