package scriptlet

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// variable is one variable of a shell: a text, or an array by number (list) or by name (dict).
type variable struct {
	text     string
	list     map[int]string
	dict     map[string]string
	set      bool
	exported bool
	readonly bool
}

func (v *variable) isArray() bool { return v != nil && (v.list != nil || v.dict != nil) }

func (v *variable) clone() *variable {
	c := *v
	c.list, c.dict = maps.Clone(v.list), maps.Clone(v.dict)
	return &c
}

// keys are those of an array, sorted; nil of nothing.
func (v *variable) keys() []string {
	switch {
	case v == nil || !v.set:
		return nil
	case v.dict != nil:
		return slices.Sorted(maps.Keys(v.dict))
	case v.list != nil:
		var out []string
		for _, i := range slices.Sorted(maps.Keys(v.list)) {
			out = append(out, strconv.Itoa(i))
		}
		return out
	}
	return []string{"0"}
}

func (v *variable) values() []string {
	var out []string
	for _, k := range v.keys() {
		text, _ := v.at(k)
		out = append(out, text)
	}
	return out
}

// at is the element of a key, of which the text of a variable that is no array has 0 alone.
func (v *variable) at(key string) (string, bool) {
	if v == nil || !v.set {
		return "", false
	}
	if v.dict != nil {
		text, ok := v.dict[key]
		return text, ok
	}
	i, _ := strconv.Atoi(key)
	if v.list != nil {
		if i < 0 {
			i += v.end()
		}
		text, ok := v.list[i]
		return text, ok
	}
	return v.text, i == 0 || i == -1
}

// end is one more than the greatest index.
func (v *variable) end() int {
	end := 0
	for i := range v.list {
		end = max(end, i+1)
	}
	return end
}

// get is the value of a parameter.
func (s *shell) get(name string) (string, bool, error) {
	switch name {
	case "":
		return "", false, nil
	case "#":
		return strconv.Itoa(len(s.params)), true, nil
	case "?":
		return strconv.Itoa(s.status), true, nil
	case "$", "BASHPID":
		return "1", true, nil
	case "!":
		return s.last, s.last != "", nil
	case "-":
		return s.opts.letters(), true, nil
	case "0":
		return s.name, true, nil
	case "@", "*":
		return strings.Join(s.params, " "), len(s.params) > 0, nil
	case "LINENO":
		return strconv.Itoa(s.line), true, nil
	case "SECONDS":
		return "0", true, nil
	case "EPOCHSECONDS":
		return strconv.FormatInt(s.m.fs.Now(), 10), true, nil
	case "FUNCNAME":
		if len(s.names) > 0 {
			return s.names[len(s.names)-1], true, nil
		}
		return "", false, nil
	}
	if slices.Contains(randomVariables(), name) {
		return "", false, s.unsupported("$"+name, "it is not the same every time")
	}
	if i, err := strconv.Atoi(name); err == nil {
		if i >= 1 && i <= len(s.params) {
			return s.params[i-1], true, nil
		}
		return "", false, nil
	}
	v := s.vars[name]
	if v.isArray() {
		text, ok := v.at("0")
		return text, ok, nil
	}
	if v == nil || !v.set {
		return "", false, nil
	}
	return v.text, true, nil
}

// value is that of a parameter, or of an element of an array.
func (s *shell) value(ctx context.Context, name string, index syntax.ArithmExpr) (string, bool, error) {
	if index == nil {
		return s.get(name)
	}
	key, err := s.key(ctx, name, index)
	if err != nil {
		return "", false, err
	}
	text, ok := s.vars[name].at(key)
	return text, ok, nil
}

// key is the index of an element, as text.
func (s *shell) key(ctx context.Context, name string, index syntax.ArithmExpr) (string, error) {
	if v := s.vars[name]; v != nil && v.dict != nil {
		if w, ok := index.(*syntax.Word); ok {
			return s.text(ctx, w)
		}
		return "", s.unsupported(name+"[...]", "this index is not known")
	}
	n, err := s.arithmetic(ctx, index)
	return strconv.FormatInt(n, 10), err
}

// set gives a variable a text.
func (s *shell) set(name, text string) error {
	v, err := s.writable(name)
	if err != nil {
		return err
	}
	if len(text) > MaxOutput {
		return &Limit{fmt.Sprintf("%d bytes in a variable", MaxOutput)}
	}
	v.set = true
	switch {
	case v.dict != nil:
		v.dict["0"] = text
	case v.list != nil:
		v.list[0] = text
	default:
		v.text = text
	}
	if name == "OPTIND" {
		s.optat = 0
	}
	return nil
}

func (s *shell) writable(name string) (*variable, error) {
	v := s.vars[name]
	if v == nil {
		v = &variable{}
		s.vars[name] = v
	}
	if v.readonly {
		return nil, failure(1, "%s: readonly variable", name)
	}
	if s.opts.allexport {
		v.exported = true
	}
	return v, nil
}

// setIndexed sets a variable or an element of an array.
func (s *shell) setIndexed(ctx context.Context, name string, index syntax.ArithmExpr, text string, appended bool) error {
	if index == nil {
		if appended {
			old, _, err := s.get(name)
			if err != nil {
				return err
			}
			text = old + text
		}
		return s.set(name, text)
	}
	key, err := s.key(ctx, name, index)
	if err != nil {
		return err
	}
	v, err := s.writable(name)
	if err != nil {
		return err
	}
	if old, ok := v.at(key); ok && appended {
		text = old + text
	}
	return v.put(name, key, text)
}

// put sets an element; what was no array becomes one.
func (v *variable) put(name, key, text string) error {
	if v.dict != nil {
		v.dict[key] = text
		v.set = true
		return nil
	}
	i, err := strconv.Atoi(key)
	if err == nil && i < 0 {
		i += v.end()
	}
	if err != nil || i < 0 {
		return failure(1, "%s[%s]: bad array subscript", name, key)
	}
	if v.list == nil {
		v.list = map[int]string{}
		if v.set {
			v.list[0] = v.text
		}
	}
	v.list[i], v.set = text, true
	return nil
}

// assign does one assignment.
func (s *shell) assign(ctx context.Context, a *syntax.Assign) error {
	name := a.Name.Value
	if a.Array != nil {
		return s.assignArray(ctx, name, a)
	}
	text, err := s.assignedText(ctx, a.Value)
	if err != nil {
		return err
	}
	return s.setIndexed(ctx, name, a.Index, text, a.Append)
}

// assignedText expands the value of an assignment, in which tildes count after colons too.
func (s *shell) assignedText(ctx context.Context, w *syntax.Word) (string, error) {
	if w == nil {
		return "", nil
	}
	b := s.splitter(true)
	for i, p := range w.Parts {
		lit, ok := p.(*syntax.Lit)
		if !ok || !strings.Contains(lit.Value, ":~") {
			if err := b.part(ctx, p, false, i == 0, i == len(w.Parts)-1); err != nil {
				return "", err
			}
			continue
		}
		for k, part := range strings.SplitAfter(lit.Value, ":") {
			b.literal(part, i == 0 || k > 0, i == len(w.Parts)-1 || strings.HasSuffix(part, ":"))
		}
	}
	return joinPieces(b.current), nil
}

func (s *shell) assignArray(ctx context.Context, name string, a *syntax.Assign) error {
	type element struct {
		key, text string
		keyed     bool
	}
	var elements []element
	dict := s.vars[name] != nil && s.vars[name].dict != nil
	for _, e := range a.Array.Elems {
		if e.Index != nil {
			key, err := s.key(ctx, name, e.Index)
			if err != nil {
				return err
			}
			text, err := s.text(ctx, e.Value)
			if err != nil {
				return err
			}
			elements = append(elements, element{key, text, true})
			continue
		}
		list, err := s.fields(ctx, []*syntax.Word{e.Value})
		if err != nil {
			return err
		}
		for _, text := range list {
			elements = append(elements, element{text: text})
		}
	}
	v, err := s.writable(name)
	if err != nil {
		return err
	}
	if !a.Append {
		v.text = ""
		if dict {
			v.dict = map[string]string{}
		} else {
			v.list = map[int]string{}
		}
	} else if v.list == nil && v.dict == nil {
		v.list = map[int]string{}
		if v.set {
			v.list[0] = v.text
		}
	}
	v.set = true
	next := v.end()
	for _, e := range elements {
		if !e.keyed {
			e.key = strconv.Itoa(next)
		}
		if err := v.put(name, e.key, e.text); err != nil {
			return err
		}
		if i, err := strconv.Atoi(e.key); err == nil {
			next = i + 1
		}
	}
	return nil
}

// local makes a variable of the current function's own.
func (s *shell) local(name string) {
	scope := s.scopes[len(s.scopes)-1]
	if _, ok := scope[name]; ok {
		return
	}
	scope[name] = s.vars[name]
	exported := s.vars[name] != nil && s.vars[name].exported
	s.vars[name] = &variable{exported: exported}
}

// unlocal takes the variables of a function's own away.
func (s *shell) unlocal() {
	scope := s.scopes[len(s.scopes)-1]
	s.scopes = s.scopes[:len(s.scopes)-1]
	for name, v := range scope {
		if v == nil {
			delete(s.vars, name)
		} else {
			s.vars[name] = v
		}
	}
}

// unset takes a variable, or an element of an array, away.
func (s *shell) unset(ctx context.Context, name string) error {
	key := ""
	if i := strings.IndexByte(name, '['); i > 0 && strings.HasSuffix(name, "]") {
		name, key = name[:i], name[i+1:len(name)-1]
	}
	v := s.vars[name]
	switch {
	case v == nil:
		return nil
	case v.readonly:
		s.errorf("unset: %s: cannot unset: readonly variable", name)
		s.status = 1
		return nil
	case key == "" || key == "@" || key == "*":
		if len(s.scopes) > 0 {
			if _, ok := s.scopes[len(s.scopes)-1][name]; ok {
				s.vars[name] = &variable{}
				return nil
			}
		}
		delete(s.vars, name)
	case v.dict != nil:
		delete(v.dict, key)
	case v.list != nil:
		n, err := s.number(ctx, key)
		if err != nil {
			return err
		}
		delete(v.list, int(n))
	}
	return nil
}

// declaration are what declare and its like set.
type declaration struct {
	export, readonly, local, array, dict, print, functions bool
	unexport                                               bool
}

// declare does declare, local, export, readonly and typeset.
func (s *shell) declare(ctx context.Context, c *syntax.DeclClause) error {
	s.substed = false
	d, err := s.declarationOf(c.Variant.Value)
	if err != nil {
		return err
	}
	s.status = 0
	named := false
	for _, a := range c.Args {
		if a.Name != nil {
			named = true
			if err := s.declareOne(ctx, d, a); err != nil {
				return err
			}
			continue
		}
		list, err := s.fields(ctx, []*syntax.Word{a.Value})
		if err != nil {
			return err
		}
		for _, word := range list {
			flags, err := s.declareWord(ctx, d, word, named)
			if err != nil {
				return err
			}
			named = named || !flags
		}
	}
	if !named {
		return s.printVariables(d)
	}
	return nil
}

func (s *shell) declarationOf(variant string) (*declaration, error) {
	d := &declaration{}
	switch variant {
	case "export":
		d.export = true
	case "readonly":
		d.readonly = true
	case "local":
		if s.calls == 0 {
			return nil, failure(1, "local: can only be used in a function")
		}
		d.local = true
	case "declare", "typeset":
		d.local = s.calls > 0
	default:
		return nil, s.unsupported(variant, "it is not of bash")
	}
	return d, nil
}

// declareWord is an argument that came out of an expansion: flags, a name, or a name and a value.
func (s *shell) declareWord(ctx context.Context, d *declaration, word string, named bool) (flags bool, err error) {
	if !named && len(word) > 1 && (word[0] == '-' || word[0] == '+') {
		if word == "--" {
			return true, nil
		}
		for _, f := range word[1:] {
			switch {
			case f == 'x' && word[0] == '-':
				d.export = true
			case f == 'x', f == 'n' && d.export:
				d.unexport = true
			case f == 'r' && word[0] == '-':
				d.readonly = true
			case f == 'g':
				d.local = false
			case f == 'a':
				d.array = true
			case f == 'A':
				d.dict = true
			case f == 'p':
				d.print = true
			case f == 'f' || f == 'F':
				d.functions = true
			default:
				return true, s.unsupported("declare "+word, "this flag is not known")
			}
		}
		return true, nil
	}
	name, text, assigned := strings.Cut(word, "=")
	name, appended := strings.CutSuffix(name, "+")
	a := &syntax.Assign{Name: &syntax.Lit{Value: name}, Naked: !assigned, Append: appended && assigned}
	if assigned {
		a.Value = &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: text}}}
	}
	return false, s.declareOne(ctx, d, a)
}

func (s *shell) declareOne(ctx context.Context, d *declaration, a *syntax.Assign) error {
	name := a.Name.Value
	if d.functions {
		if s.funcs[name] == nil {
			s.status = 1
		}
		return nil
	}
	if d.print {
		return s.printVariable(name)
	}
	if !syntax.ValidName(name) {
		s.errorf("declare: `%s': not a valid identifier", name)
		s.status = 1
		return nil
	}
	value, array := "", a.Array
	if !a.Naked && array == nil {
		var err error
		if value, err = s.assignedText(ctx, a.Value); err != nil {
			return err
		}
	}
	if d.local {
		s.local(name)
	}
	v := s.vars[name]
	if v == nil {
		v = &variable{}
		s.vars[name] = v
	}
	switch {
	case d.dict && v.dict == nil:
		v.dict = map[string]string{}
	case d.array && v.list == nil:
		v.list = map[int]string{}
		if v.set {
			v.list[0] = v.text
		}
	}
	if array != nil {
		if err := s.assignArray(ctx, name, a); err != nil {
			return err
		}
	} else if !a.Naked {
		if err := s.setIndexed(ctx, name, a.Index, value, a.Append); err != nil {
			return err
		}
	}
	v = s.vars[name]
	v.exported = (v.exported || d.export) && !d.unexport
	v.readonly = v.readonly || d.readonly
	return nil
}

func (s *shell) printVariable(name string) error {
	v := s.vars[name]
	if v == nil {
		s.errorf("declare: %s: not found", name)
		s.status = 1
		return nil
	}
	if v.isArray() {
		return s.unsupported("declare -p "+name, "arrays are not printed")
	}
	flags := ""
	if v.readonly {
		flags += "r"
	}
	if v.exported {
		flags += "x"
	}
	if flags == "" {
		flags = "-"
	}
	fmt.Fprintf(s.writer(1), "declare -%s %s", flags, name)
	if v.set {
		fmt.Fprintf(s.writer(1), "=\"%s\"", escapeDouble(v.text))
	}
	fmt.Fprintln(s.writer(1))
	return nil
}

func escapeDouble(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(text)
}

// printVariables prints what export -p and its like do.
func (s *shell) printVariables(d *declaration) error {
	verb := ""
	switch {
	case d.export:
		verb = "export "
	case d.readonly:
		verb = "readonly "
	default:
		return s.unsupported("declare", "variables are not listed")
	}
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		v := s.vars[name]
		if v.isArray() || d.export && !v.exported || d.readonly && !v.readonly {
			continue
		}
		fmt.Fprint(s.writer(1), verb+name)
		if v.set {
			fmt.Fprintf(s.writer(1), "=\"%s\"", escapeDouble(v.text))
		}
		fmt.Fprintln(s.writer(1))
	}
	return nil
}

// randomVariables are those of the shell that are not the same every time.
func randomVariables() []string { return []string{"RANDOM", "SRANDOM", "EPOCHREALTIME"} }
