package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// piece is a part of a field. What is quoted is neither split nor a pattern.
type piece struct {
	text   string
	quoted bool
}

// splitter makes fields of the parts of words, as POSIX's 2.6.5 says.
type splitter struct {
	s       *shell
	whole   bool // nothing is split: an assignment, a here-document, a pattern
	ifs     string
	done    [][]piece
	current []piece
	open    bool // the current field is there even if it is empty
	inner   int  // more than 0: in the word of an expansion, whose text is split as well
	blank   bool // blanks of IFS ended the last field, and one more delimiter belongs to them
}

func (s *shell) splitter(whole bool) *splitter {
	b := &splitter{s: s, whole: whole, ifs: " \t\n"}
	if v := s.vars["IFS"]; v != nil && v.set {
		b.ifs = v.text
	} else if v != nil && v.exported {
		b.ifs = " \t\n"
	}
	return b
}

func (b *splitter) add(text string, quoted bool) {
	if text == "" && !quoted {
		return
	}
	b.current, b.open, b.blank = append(b.current, piece{text, quoted}), true, false
}

// end closes the current field, though it may be empty.
func (b *splitter) end() {
	b.done = append(b.done, b.current)
	b.current, b.open = nil, false
}

// split adds the result of an expansion outside of quotes.
func (b *splitter) split(text string) {
	if b.whole || b.ifs == "" {
		b.add(text, false)
		return
	}
	start := 0
	for i, r := range text {
		if !strings.ContainsRune(b.ifs, r) {
			continue
		}
		b.add(text[start:i], false)
		start = i + utf8.RuneLen(max(r, 0))
		if r == utf8.RuneError {
			start = i + 1
		}
		switch {
		case r == ' ' || r == '\t' || r == '\n':
			if b.open {
				b.end()
				b.blank = true
			}
		case b.blank:
			b.blank = false
		default:
			b.end()
		}
	}
	b.add(text[start:], false)
}

// elements adds those of a list: "$@" and its like.
func (b *splitter) elements(list []string, star, quoted bool) {
	switch {
	case quoted && star:
		b.add(strings.Join(list, b.joint()), true)
	case b.whole && star:
		b.add(strings.Join(list, b.joint()), quoted)
	case b.whole:
		if len(list) > 0 {
			b.add(strings.Join(list, " "), quoted)
		}
	default:
		for i, e := range list {
			if i > 0 && (quoted || b.open) {
				b.end()
			}
			b.blank = false
			if quoted {
				b.add(e, true)
			} else {
				b.split(e)
			}
		}
	}
}

// joint is what "$*" joins with: IFS's first character.
func (b *splitter) joint() string {
	_, n := utf8.DecodeRuneInString(b.ifs)
	return b.ifs[:n]
}

func (b *splitter) finish() [][]piece {
	if b.open {
		b.end()
	}
	return b.done
}

func joinPieces(pieces []piece) string {
	if len(pieces) == 1 {
		return pieces[0].text
	}
	var t strings.Builder
	for _, p := range pieces {
		t.WriteString(p.text)
	}
	return t.String()
}

// fields expands words as the arguments of a command.
func (s *shell) fields(ctx context.Context, words []*syntax.Word) ([]string, error) {
	var out []string
	for _, w := range words {
		copied := *w
		if !syntax.SplitBraces(&copied) {
			list, err := s.field(ctx, w)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
			continue
		}
		for braced, err := range expand.BracesSeq(&expand.Config{}, &copied) {
			if err != nil {
				return nil, &Limit{"can be: " + err.Error()}
			}
			if err := s.m.step(ctx, 1); err != nil {
				return nil, err
			}
			list, err := s.field(ctx, braced)
			if err != nil {
				return nil, err
			}
			out = append(out, list...)
		}
	}
	return out, nil
}

func (s *shell) field(ctx context.Context, w *syntax.Word) ([]string, error) {
	b := s.splitter(false)
	if err := b.parts(ctx, w.Parts, false); err != nil {
		return nil, err
	}
	var out []string
	for _, f := range b.finish() {
		list, err := s.glob(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, s.m.step(ctx, len(out))
}

// whole expands a word without splitting.
func (s *shell) whole(ctx context.Context, w *syntax.Word) ([]piece, error) {
	if w == nil {
		return nil, nil
	}
	b := s.splitter(true)
	if err := b.parts(ctx, w.Parts, false); err != nil {
		return nil, err
	}
	return b.current, nil
}

// text expands a word to one string.
func (s *shell) text(ctx context.Context, w *syntax.Word) (string, error) {
	pieces, err := s.whole(ctx, w)
	if err != nil {
		return "", err
	}
	text := joinPieces(pieces)
	if len(text) > MaxOutput {
		return "", &Limit{fmt.Sprintf("%d bytes in a word", MaxOutput)}
	}
	return text, nil
}

// pattern expands a word to a pattern, with a backslash before what was quoted.
func (s *shell) pattern(ctx context.Context, w *syntax.Word) (string, error) {
	pieces, err := s.whole(ctx, w)
	return patternOf(pieces), err
}

func patternOf(pieces []piece) string {
	var t strings.Builder
	for _, p := range pieces {
		if !p.quoted {
			t.WriteString(p.text)
			continue
		}
		for i := 0; i < len(p.text); i++ {
			if strings.IndexByte(`*?[]\!-^@+()|{}`, p.text[i]) >= 0 {
				t.WriteByte('\\')
			}
			t.WriteByte(p.text[i])
		}
	}
	return t.String()
}

// parts adds the parts of a word; quoted says that they are within double quotes.
func (b *splitter) parts(ctx context.Context, parts []syntax.WordPart, quoted bool) error {
	for i, p := range parts {
		if err := b.part(ctx, p, quoted, i == 0, i == len(parts)-1); err != nil {
			return err
		}
	}
	return nil
}

func (b *splitter) part(ctx context.Context, p syntax.WordPart, quoted, first, last bool) error {
	switch p := p.(type) {
	case *syntax.Lit:
		if quoted {
			special := "$`\"\\"
			if b.inner > 0 {
				special += "}"
			}
			b.add(unescapeQuoted(p.Value, special), true)
			return nil
		}
		b.literal(p.Value, first, last)
	case *syntax.SglQuoted:
		text := p.Value
		switch {
		case p.Dollar:
			text, _ = unescapeShell(text, escapeQuote)
		case quoted && strings.ContainsAny(text, "$`\\"):
			return b.s.unsupported("'"+text+"'", "quotes that do not quote, around an expansion")
		case quoted: // in the word of an expansion within double quotes they are plain characters
			text = "'" + text + "'"
		}
		b.add(text, true)
	case *syntax.DblQuoted:
		if len(p.Parts) == 0 {
			b.add("", true)
		}
		return b.parts(ctx, p.Parts, true)
	case *syntax.ParamExp:
		return b.parameter(ctx, p, quoted)
	case *syntax.CmdSubst:
		out, err := b.s.substitute(ctx, p)
		if err != nil {
			return err
		}
		b.result(out, quoted)
	case *syntax.ArithmExp:
		n, err := b.s.arithmetic(ctx, p.X)
		if err != nil {
			return err
		}
		b.result(strconv.FormatInt(n, 10), quoted)
	case *syntax.ExtGlob:
		b.add(p.Op.String()+p.Pattern.Value+")", false)
	case *syntax.ProcSubst:
		return b.s.unsupported("<( )", "process substitutions are not known")
	default:
		return b.s.unsupported(fmt.Sprintf("%T", p), "this part of a word is not known")
	}
	return nil
}

// result adds what an expansion gave.
func (b *splitter) result(text string, quoted bool) {
	if quoted {
		b.add(text, true)
	} else {
		b.split(text)
	}
}

// literal adds text of the script outside of quotes: a tilde prefix, and backslashes that quote.
func (b *splitter) literal(text string, first, last bool) {
	if first && strings.HasPrefix(text, "~") {
		if home, rest, ok := b.s.tilde(text, last); ok {
			b.add(home, true)
			text = rest
		}
	}
	plain := func(text string) {
		if b.inner > 0 {
			b.split(text)
		} else {
			b.add(text, false)
		}
	}
	for {
		i := strings.IndexByte(text, '\\')
		if i < 0 || i == len(text)-1 {
			plain(text)
			return
		}
		plain(text[:i])
		_, n := utf8.DecodeRuneInString(text[i+1:])
		if text[i+1] != '\n' {
			b.add(text[i+1:i+1+n], true)
		}
		text = text[i+1+n:]
	}
}

// tilde expands a tilde prefix: ~, ~user, ~+ and ~-. all says that the text is the whole rest of the word.
func (s *shell) tilde(text string, all bool) (home, rest string, ok bool) {
	end := strings.IndexByte(text, '/')
	if end < 0 {
		if !all {
			return "", "", false
		}
		end = len(text)
	}
	name, rest := text[1:end], text[end:]
	variable := map[string]string{"": "HOME", "+": "PWD", "-": "OLDPWD"}[name]
	if variable != "" {
		if v := s.vars[variable]; v != nil && v.set {
			return v.text, rest, true
		}
		if name != "" {
			return "", "", false
		}
		name = "root"
	}
	if strings.ContainsAny(name, `\:`) {
		return "", "", false
	}
	passwd, err := s.m.fs.ReadFile("/", "/etc/passwd")
	if err != nil {
		return "", "", false
	}
	for line := range strings.SplitSeq(string(passwd), "\n") {
		if f := strings.Split(line, ":"); len(f) == 7 && f[0] == name {
			return f[5], rest, true
		}
	}
	return "", "", false
}

// unescapeQuoted drops the backslashes that quote within double quotes: those before one of special, and before a
// line break, which goes too.
func unescapeQuoted(text, special string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var t strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if text[i+1] == '\n' {
				i++
				continue
			}
			if strings.IndexByte(special, text[i+1]) >= 0 {
				i++
			}
		}
		t.WriteByte(text[i])
	}
	return t.String()
}

// parameter expands $x, ${x...}.
func (b *splitter) parameter(ctx context.Context, p *syntax.ParamExp, quoted bool) error {
	if p.Param == nil || p.Flags != nil || p.Width || p.IsSet || len(p.Modifiers) > 0 || p.NestedParam != nil {
		return b.s.unsupported("${", "this expansion is not of bash")
	}
	s := b.s
	name := p.Param.Value
	switch {
	case p.Excl && p.Names != 0:
		b.elements(s.namesWith(name), p.Names == syntax.NamesPrefix, quoted)
		return nil
	case p.Excl && (indexIs(p.Index, "@") || indexIs(p.Index, "*")):
		v := s.vars[name]
		b.elements(v.keys(), indexIs(p.Index, "*"), quoted)
		return nil
	}
	if p.Excl {
		to, _, err := s.get(name)
		if err != nil {
			return err
		}
		if name = to; !validParameter(name) {
			return failure(1, "%s: invalid variable name", name)
		}
	}
	star := name == "*" || indexIs(p.Index, "*")
	if star || name == "@" || indexIs(p.Index, "@") {
		list := s.params
		if name != "@" && name != "*" {
			list = s.vars[name].values()
		}
		return b.listParameter(ctx, p, name, slices.Clone(list), star, quoted)
	}
	value, set, err := s.value(ctx, name, p.Index)
	if err != nil {
		return err
	}
	if !set && s.opts.nounset && !forgives(p) {
		return failure(1, "%s: unbound variable", name)
	}
	if p.Length {
		b.result(strconv.Itoa(utf8.RuneCountInString(value)), quoted)
		return nil
	}
	if p.Exp != nil && takesWord(p.Exp.Op) {
		return b.alternative(ctx, p, name, value, set, quoted)
	}
	if value, err = s.change(ctx, p, value); err != nil {
		return err
	}
	if p.Slice != nil {
		if value, err = s.substring(ctx, p.Slice, value); err != nil {
			return err
		}
	}
	b.result(value, quoted)
	return nil
}

// forgives tells the expansions that may be of an unset variable.
func forgives(p *syntax.ParamExp) bool { return p.Exp != nil && takesWord(p.Exp.Op) }

func takesWord(op syntax.ParExpOperator) bool {
	return slices.Contains([]syntax.ParExpOperator{
		syntax.AlternateUnset, syntax.AlternateUnsetOrNull, syntax.DefaultUnset,
		syntax.DefaultUnsetOrNull, syntax.ErrorUnset, syntax.ErrorUnsetOrNull, syntax.AssignUnset, syntax.AssignUnsetOrNull,
	}, op)
}

func indexIs(x syntax.ArithmExpr, text string) bool {
	w, ok := x.(*syntax.Word)
	return ok && w.Lit() == text
}

func validParameter(name string) bool {
	if syntax.ValidName(name) {
		return true
	}
	if _, err := strconv.Atoi(name); err == nil {
		return true
	}
	return len(name) == 1 && strings.Contains("@*#?-$!", name)
}

// alternative does ${x-word} and its like.
func (b *splitter) alternative(ctx context.Context, p *syntax.ParamExp, name, value string, set, quoted bool) error {
	op := p.Exp.Op
	present := set
	switch op {
	case syntax.AlternateUnsetOrNull, syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull, syntax.AssignUnsetOrNull:
		present = set && value != ""
	}
	word := func() error {
		if p.Exp.Word == nil {
			if quoted {
				b.add("", true)
			}
			return nil
		}
		b.inner++
		defer func() { b.inner-- }()
		return b.parts(ctx, p.Exp.Word.Parts, quoted)
	}
	switch op {
	case syntax.AlternateUnset, syntax.AlternateUnsetOrNull:
		if present {
			return word()
		}
		if quoted {
			b.add("", true)
		}
		return nil
	case syntax.DefaultUnset, syntax.DefaultUnsetOrNull:
		if !present {
			return word()
		}
	case syntax.ErrorUnset, syntax.ErrorUnsetOrNull:
		if !present {
			message, err := b.s.quotedText(ctx, p.Exp.Word, quoted)
			if err == nil && message == "" {
				message = "parameter null or not set"
			}
			return errors.Join(err, failure(1, "%s: %s", name, message))
		}
	default:
		if !present {
			if !syntax.ValidName(name) {
				return failure(1, "$%s: cannot assign in this way", name)
			}
			text, err := b.s.quotedText(ctx, p.Exp.Word, quoted)
			if err == nil {
				err = b.s.setIndexed(ctx, name, p.Index, text, false)
			}
			if err != nil {
				return err
			}
			value = text
		}
	}
	b.result(value, quoted)
	return nil
}

// quotedText expands a word to one string, within double quotes or not.
func (s *shell) quotedText(ctx context.Context, w *syntax.Word, quoted bool) (string, error) {
	if w == nil {
		return "", nil
	}
	b := s.splitter(true)
	err := b.parts(ctx, w.Parts, quoted)
	return joinPieces(b.current), err
}

// listParameter expands $@, $* and ${array[@]}.
func (b *splitter) listParameter(ctx context.Context, p *syntax.ParamExp, name string, list []string, star, quoted bool) error {
	if p.Length {
		b.result(strconv.Itoa(len(list)), quoted)
		return nil
	}
	if p.Exp != nil && takesWord(p.Exp.Op) {
		all := strings.Join(list, " ")
		present := len(list) > 0
		switch p.Exp.Op {
		case syntax.AlternateUnsetOrNull, syntax.DefaultUnsetOrNull, syntax.ErrorUnsetOrNull, syntax.AssignUnsetOrNull:
			present = all != ""
		}
		alternate := p.Exp.Op == syntax.AlternateUnset || p.Exp.Op == syntax.AlternateUnsetOrNull
		if !present || alternate {
			return b.alternative(ctx, p, name, all, len(list) > 0, quoted)
		}
	}
	for i := range list {
		if err := b.s.m.step(ctx, 1); err != nil {
			return err
		}
		var err error
		if list[i], err = b.s.change(ctx, p, list[i]); err != nil {
			return err
		}
	}
	if p.Slice != nil {
		if name == "@" || name == "*" {
			list = append([]string{b.s.name}, list...)
		}
		from, to, err := b.s.bounds(ctx, p.Slice, len(list), true)
		if err != nil {
			return err
		}
		list = list[from:to]
	}
	b.elements(list, star, quoted)
	return nil
}

// bounds are the ends of ${x:offset:length} in something of n elements.
func (s *shell) bounds(ctx context.Context, c *syntax.Slice, n int, list bool) (from, to int, err error) {
	limit := int64(n)
	start, end := int64(0), limit
	if c.Offset != nil {
		if start, err = s.arithmetic(ctx, c.Offset); err != nil {
			return 0, 0, err
		}
	}
	if start < 0 {
		start += limit
	}
	if start < 0 || start > limit {
		return n, n, nil
	}
	if c.Length != nil {
		length, err := s.arithmetic(ctx, c.Length)
		switch {
		case err != nil:
			return 0, 0, err
		case length >= 0:
			end = start + min(length, limit-start)
		case list || limit+length < start:
			return 0, 0, failure(1, "%d: substring expression < 0", length)
		default:
			end = limit + length
		}
	}
	return int(start), int(end), nil
}

func (s *shell) substring(ctx context.Context, c *syntax.Slice, value string) (string, error) {
	runes := []rune(value)
	if !utf8.ValidString(value) {
		from, to, err := s.bounds(ctx, c, len(value), false)
		return value[from:to], err
	}
	from, to, err := s.bounds(ctx, c, len(runes), false)
	return string(runes[from:to]), err
}

// change does what takes patterns off, replaces them, and changes case.
func (s *shell) change(ctx context.Context, p *syntax.ParamExp, value string) (string, error) {
	if p.Repl != nil {
		return s.replace(ctx, p.Repl, value)
	}
	if p.Exp == nil || takesWord(p.Exp.Op) {
		return value, nil
	}
	pat, err := s.pattern(ctx, p.Exp.Word)
	if err != nil {
		return "", err
	}
	switch p.Exp.Op {
	case syntax.RemSmallPrefix, syntax.RemLargePrefix, syntax.RemSmallSuffix, syntax.RemLargeSuffix:
		return s.trim(ctx, value, pat, p.Exp.Op)
	case syntax.UpperFirst, syntax.UpperAll, syntax.LowerFirst, syntax.LowerAll:
		return s.changeCase(ctx, value, pat, p.Exp.Op)
	}
	return "", s.unsupported("${"+p.Param.Value+p.Exp.Op.String(), "this operator is not known")
}

func (s *shell) trim(ctx context.Context, value, pat string, op syntax.ParExpOperator) (string, error) {
	cuts := make([]int, 0, len(value)+1)
	for i := range value {
		cuts = append(cuts, i)
	}
	cuts = append(cuts, len(value))
	if op == syntax.RemLargePrefix || op == syntax.RemSmallSuffix {
		slices.Reverse(cuts)
	}
	prefix := op == syntax.RemSmallPrefix || op == syntax.RemLargePrefix
	for _, i := range cuts {
		if err := s.m.step(ctx, 1+len(value)/64); err != nil {
			return "", err
		}
		part, rest := value[i:], value[:i]
		if prefix {
			part, rest = rest, part
		}
		ok, err := s.matches(ctx, pat, part, false)
		if err != nil {
			return "", err
		}
		if ok {
			return rest, nil
		}
	}
	return value, nil
}

func (s *shell) changeCase(ctx context.Context, value, pat string, op syntax.ParExpOperator) (string, error) {
	var t strings.Builder
	for i, r := range value {
		c := string(r)
		ok := pat == ""
		if !ok {
			var err error
			if ok, err = s.matches(ctx, pat, c, false); err != nil {
				return "", err
			}
		}
		if ok && (i == 0 || op == syntax.UpperAll || op == syntax.LowerAll) {
			if op == syntax.UpperFirst || op == syntax.UpperAll {
				c = strings.ToUpper(c)
			} else {
				c = strings.ToLower(c)
			}
		}
		t.WriteString(c)
	}
	return t.String(), nil
}

func (s *shell) replace(ctx context.Context, r *syntax.Replace, value string) (string, error) {
	pat, err := s.pattern(ctx, r.Orig)
	if err != nil {
		return "", err
	}
	with, err := s.whole(ctx, r.With)
	if err != nil || pat == "" {
		return value, err
	}
	anchor := byte(0)
	if !r.All && (pat[0] == '#' || pat[0] == '%') {
		anchor, pat = pat[0], pat[1:]
	}
	expr, err := pattern.Regexp(pat, s.patternMode())
	if err != nil {
		expr = regexp.QuoteMeta(unescapeQuoted(pat, `*?[]\!-^@+()|{}`))
	}
	switch anchor {
	case '#':
		expr = "^(?:" + expr + ")"
	case '%':
		expr = "(?:" + expr + ")$"
	}
	re, err := s.m.compile("(?s)" + expr)
	if err != nil {
		return "", s.unsupported("${.../"+pat+"}", err.Error())
	}
	var t strings.Builder
	for at := 0; at <= len(value); {
		if err := s.m.step(ctx, 1+len(value)/64); err != nil {
			return "", err
		}
		m := re.FindStringIndex(value[at:])
		if m == nil || m[0] == m[1] && m[0] == len(value)-at && at > 0 {
			t.WriteString(value[at:])
			break
		}
		t.WriteString(value[at : at+m[0]])
		for _, p := range with {
			if p.quoted {
				t.WriteString(p.text)
			} else { // & stands for what was matched
				t.WriteString(strings.ReplaceAll(p.text, "&", value[at+m[0]:at+m[1]]))
			}
		}
		if m[0] == m[1] && at+m[1] < len(value) {
			t.WriteByte(value[at+m[1]])
			m[1]++
		}
		at += m[1]
		if !r.All {
			t.WriteString(value[min(at, len(value)):])
			break
		}
		if at >= len(value) {
			break
		}
		if t.Len() > MaxOutput {
			return "", &Limit{fmt.Sprintf("%d bytes in a word", MaxOutput)}
		}
	}
	return t.String(), nil
}

func (s *shell) patternMode() pattern.Mode {
	if s.opts.extglob {
		return pattern.ExtendedOperators
	}
	return 0
}

// matches reports whether a pattern is of the whole of a text. A pattern that is none is taken as it is written.
func (s *shell) matches(ctx context.Context, pat, text string, fold bool) (bool, error) {
	if err := s.m.step(ctx, 1+len(text)/256); err != nil {
		return false, err
	}
	if !strings.ContainsAny(pat, `*?[\(`) && !fold {
		return pat == text, nil
	}
	mode := s.patternMode() | pattern.EntireString
	if fold {
		mode |= pattern.NoGlobCase
	}
	expr, err := pattern.Regexp(pat, mode)
	var negated *pattern.NegExtGlobError
	if errors.As(err, &negated) {
		return false, s.unsupported(pat, "patterns with !( are not known")
	}
	if err != nil {
		return unescapeQuoted(pat, `*?[]\!-^@+()|{}`) == text, nil
	}
	re, err := s.m.compile(expr)
	if err != nil {
		return unescapeQuoted(pat, `*?[]\!-^@+()|{}`) == text, nil
	}
	return re.MatchString(text), nil
}

// compile keeps regular expressions, of which a loop asks for the same ones.
func (m *machine) compile(expr string) (*regexp.Regexp, error) {
	if re := m.regexps[expr]; re != nil {
		return re, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	if m.regexps == nil || len(m.regexps) > 200 {
		m.regexps = map[string]*regexp.Regexp{}
	}
	m.regexps[expr] = re
	return re, nil
}

// glob is what a field stands for: itself, or the paths that it matches.
func (s *shell) glob(ctx context.Context, f []piece) ([]string, error) {
	text := joinPieces(f)
	if len(text) > MaxOutput {
		return nil, &Limit{fmt.Sprintf("%d bytes in a word", MaxOutput)}
	}
	wild := false
	for _, p := range f {
		wild = wild || !p.quoted && pattern.HasMeta(p.text, s.patternMode()) || !p.quoted && strings.Contains(p.text, "[") || s.opts.extglob && !p.quoted && strings.Contains(p.text, "(")
	}
	if !wild || s.opts.noglob {
		return []string{text}, nil
	}
	s.m.sync()
	pat := patternOf(f)
	found := []string{""}
	if strings.HasPrefix(pat, "/") {
		found = []string{"/"}
	}
	parts := strings.Split(pat, "/")
	for i, part := range parts {
		if part == "" {
			if i == len(parts)-1 { // only directories
				for k := range found {
					found[k] += "/"
				}
			}
			continue
		}
		var next []string
		for _, at := range found {
			list, err := s.globIn(ctx, at, part, i < len(parts)-1)
			if err != nil {
				return nil, err
			}
			next = append(next, list...)
		}
		found = next
	}
	if len(found) > 0 || s.opts.nullglob {
		slices.Sort(found)
		return found, nil
	}
	return []string{text}, nil
}

// globIn are the paths in a directory that match one name of a pattern.
func (s *shell) globIn(ctx context.Context, at, part string, more bool) ([]string, error) {
	under := func(name string) string {
		if at == "" || strings.HasSuffix(at, "/") {
			return at + name
		}
		return at + "/" + name
	}
	keep := func(p string) bool {
		n, err := s.m.fs.Lstat(s.dir, p)
		if err == nil && more {
			n, err = s.m.fs.Stat(s.dir, p)
		}
		return err == nil && (!more || n.IsDir())
	}
	if !strings.ContainsAny(part, `*?[(`) || !pattern.HasMeta(part, s.patternMode()) {
		if p := under(unescapeQuoted(part, `*?[]\!-^@+()|{}`)); keep(p) {
			return []string{p}, nil
		}
		return nil, nil
	}
	dir := at
	if dir == "" {
		dir = "."
	}
	names, err := s.m.fs.ReadDir(s.dir, dir)
	if err != nil {
		return nil, nil
	}
	hidden := s.opts.dotglob || strings.HasPrefix(strings.TrimPrefix(part, `\`), ".")
	if strings.HasPrefix(strings.TrimPrefix(part, `\`), ".") {
		names = append([]string{".", ".."}, names...)
	}
	var out []string
	for _, name := range names {
		if strings.HasPrefix(name, ".") && !hidden {
			continue
		}
		ok, err := s.matches(ctx, part, name, s.opts.nocaseglob)
		if err != nil {
			return nil, err
		}
		if p := under(name); ok && keep(p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// namesWith are the names of variables that begin so, sorted.
func (s *shell) namesWith(prefix string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.vars)) {
		if v := s.vars[name]; v.set && strings.HasPrefix(name, prefix) {
			out = append(out, name)
		}
	}
	return out
}

// absolute is a path from the working directory, cleaned by its text alone.
func (s *shell) absolute(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = s.dir + "/" + p
	}
	return path.Clean(p)
}
