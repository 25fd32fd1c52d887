package scriptlet

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const grepOptions = "extended-regexp,E fixed-strings,F basic-regexp,G perl-regexp,P quiet,silent,q invert-match,v ignore-case,i,y " +
	"no-ignore-case word-regexp,w line-regexp,x count,c files-with-matches,l files-without-match,L line-number,n only-matching,o " +
	"no-filename,h with-filename,H no-messages,s regexp,e= file,f= max-count,m= recursive,r dereference-recursive,R include= exclude= " +
	"exclude-dir= after-context,A= before-context,B= context,C= text,a I null-data,z color=? colour=? line-buffered binary,U null,Z " +
	"0 1 2 3 4 5 6 7 8 9 binary-files= label= initial-tab,T byte-offset,b directories,d= devices,D="

// grep is one run of grep.
type grep struct {
	*toolRun
	patterns      []*regex
	perl          *regexp.Regexp
	end           byte
	before, after int
	most          int
	names         bool
	selected      bool
	printed       bool // something, so that the next piece of context stands apart
}

func grepCommands() map[string]Command {
	return map[string]Command{
		"egrep": tool(grepOptions, func(r *toolRun) error { return runGrep(r, "extended-regexp") }),
		"fgrep": tool(grepOptions, func(r *toolRun) error { return runGrep(r, "fixed-strings") }),
		"grep":  tool(grepOptions, func(r *toolRun) error { return runGrep(r, "basic-regexp") }),
	}
}

func runGrep(r *toolRun, syntax string) error {
	g := &grep{toolRun: r, end: '\n', most: -1}
	if r.name != "grep" {
		r.name = "grep"
	}
	if r.has("byte-offset", "initial-tab", "directories", "devices", "null") {
		return r.unsupported("one of its options is not known here")
	}
	if c, _ := r.value("color"); c == "always" {
		return r.unsupported("colours are not known here")
	}
	if s := r.lastOf("extended-regexp", "fixed-strings", "basic-regexp", "perl-regexp"); s != "" {
		syntax = s
	}
	if r.has("null-data") {
		g.end = 0
	}
	if err := g.numbers(); err != nil {
		return err
	}
	if err := g.compile(syntax); err != nil {
		return err
	}
	files := r.args
	recursive := r.has("recursive", "dereference-recursive")
	if len(files) == 0 {
		if files = []string{"-"}; recursive {
			files = []string{"."}
		}
	}
	g.names = len(files) > 1 || recursive && !(len(files) == 1 && !r.isDir(files[0]))
	switch r.lastOf("no-filename", "with-filename") {
	case "no-filename":
		g.names = false
	case "with-filename":
		g.names = true
	}
	for _, f := range files {
		var err error
		if recursive && f != "-" && r.isDir(f) {
			err = g.directory(f, len(r.args) == 0)
		} else {
			err = g.file(f)
		}
		if err != nil {
			return err
		}
		if g.selected && r.has("quiet") {
			break
		}
	}
	switch {
	case g.selected && (r.status == 0 || r.has("quiet")):
		r.status = 0
	case r.status == 0:
		r.status = 1
	default:
		r.status = 2
	}
	return r.ctx.Err()
}

func (g *grep) numbers() error {
	digits := ""
	for _, o := range g.options {
		if len(o.key) == 1 && o.key >= "0" && o.key <= "9" {
			digits += o.key
		}
	}
	if digits != "" {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return g.die(2, "%s: invalid context length argument", digits)
		}
		g.before, g.after = n, n
	}
	for _, o := range []struct {
		key string
		to  []*int
	}{{"context", []*int{&g.before, &g.after}}, {"before-context", []*int{&g.before}}, {"after-context", []*int{&g.after}}, {"max-count", []*int{&g.most}}} {
		v, ok := g.value(o.key)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return g.die(2, "%s: invalid context length argument", v)
		}
		for _, to := range o.to {
			*to = n
		}
	}
	return nil
}

func (g *grep) compile(syntax string) error {
	var patterns []string
	for _, o := range g.options {
		switch o.key {
		case "regexp":
			patterns = append(patterns, strings.Split(o.value, "\n")...)
		case "file":
			b, err := g.read(o.value)
			if fatal(err) {
				return err
			}
			if err != nil {
				return g.die(2, "%s: %s", o.value, errorText(err))
			}
			lines, _ := splitLines(b, '\n')
			for _, l := range lines {
				patterns = append(patterns, string(l))
			}
		}
	}
	if !g.has("regexp", "file") {
		if len(g.args) == 0 {
			return g.die(2, "no pattern")
		}
		patterns = strings.Split(g.args[0], "\n")
		g.args = g.args[1:]
	}
	fold := g.lastOf("ignore-case", "no-ignore-case") == "ignore-case"
	if syntax == "perl-regexp" {
		return g.compilePerl(patterns, fold)
	}
	for _, p := range patterns {
		re, err := compileRegex(p, regexOptions{
			extended: syntax == "extended-regexp", literal: syntax == "fixed-strings",
			loose: true, fold: fold, wholeLine: g.has("line-regexp"), wholeWord: g.has("word-regexp"),
		})
		if fatal(err) {
			return err
		}
		if err != nil {
			return g.die(2, "%v", err)
		}
		g.patterns = append(g.patterns, re)
	}
	return nil
}

// compilePerl takes what Go's syntax has in common with Perl's.
func (g *grep) compilePerl(patterns []string, fold bool) error {
	if len(patterns) != 1 {
		return g.die(2, "the -P option only supports a single pattern")
	}
	p := patterns[0]
	if g.has("word-regexp") {
		p = `\b(?:` + p + `)\b`
	}
	if g.has("line-regexp") {
		p = `^(?:` + p + `)$`
	}
	if fold {
		p = "(?i)" + p
	}
	re, err := regexp.Compile(p)
	if err != nil {
		return g.unsupported("of Perl's regular expressions only some are known here: %v", err)
	}
	g.perl = re
	return nil
}

func (g *grep) directory(dir string, bare bool) error {
	names, err := g.FS.ReadDir(g.Dir, dir)
	if err != nil {
		g.grumble(dir, err)
		return nil
	}
	for _, name := range names {
		p := join(dir, name)
		if bare && dir == "." {
			p = name
		}
		n, err := g.FS.Lstat(g.Dir, p)
		if err != nil {
			continue
		}
		if n.IsSymlink() {
			if !g.has("dereference-recursive") {
				continue
			}
			if n, err = g.FS.Stat(g.Dir, p); err != nil {
				continue
			}
			if n.IsDir() {
				return g.unsupported("following links to directories is not known here")
			}
		}
		if n.IsDir() {
			if slices.ContainsFunc(g.values("exclude-dir"), func(x string) bool { return matchGlob(x, name, false) }) {
				continue
			}
			if err := g.directory(p, bare); err != nil {
				return err
			}
			continue
		}
		in, out := g.values("include"), g.values("exclude")
		matches := func(x string) bool { return matchGlob(x, path.Base(name), false) }
		if !n.IsRegular() || len(in) > 0 && !slices.ContainsFunc(in, matches) || slices.ContainsFunc(out, matches) {
			continue
		}
		if err := g.file(p); err != nil {
			return err
		}
	}
	return nil
}

// grumble complains of a file that cannot be read.
func (g *grep) grumble(p string, err error) {
	if g.has("no-messages") {
		g.status = 2
		return
	}
	g.complain("%s: %s", p, errorText(err))
	g.status = 2
}

// find are the matches in a line: one that reaches from the leftmost, nil for none.
func (g *grep) find(line []byte, from int) ([]int, error) {
	if g.perl != nil {
		for _, m := range g.perl.FindAllIndex(line, -1) {
			if m[0] >= from {
				return m, nil
			}
		}
		return nil, nil
	}
	var best []int
	for _, re := range g.patterns {
		m, err := re.match(line, from)
		if err != nil {
			return nil, err
		}
		if m != nil && (best == nil || m[0] < best[0] || m[0] == best[0] && m[1] > best[1]) {
			best = m[:2]
		}
	}
	return best, nil
}

func (g *grep) matches(line []byte) (bool, error) {
	if g.perl != nil {
		return g.perl.Match(line), nil
	}
	for _, re := range g.patterns {
		if ok, err := re.matches(line); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (g *grep) file(name string) error {
	b, err := g.read(name)
	if err != nil {
		if fatal(err) {
			return err
		}
		g.grumble(name, err)
		return nil
	}
	shown := name
	if name == "-" {
		if shown = "(standard input)"; g.has("label") {
			shown, _ = g.value("label")
		}
	}
	binary := g.end == '\n' && (bytes.IndexByte(b, 0) >= 0 || !utf8.Valid(b)) && !g.has("text", "binary-files")
	if binary && g.has("I") {
		return nil
	}
	if binary {
		b = bytes.ReplaceAll(b, []byte{0}, []byte{'\n'})
	}
	lines, _ := splitLines(b, g.end)
	quiet := g.has("quiet", "files-with-matches", "files-without-match", "count")
	count, last, left := 0, -1, 0
	for i, line := range lines {
		if i&0xfff == 0 {
			if err := g.ctx.Err(); err != nil {
				return err
			}
		}
		if g.most >= 0 && count >= g.most {
			if left > 0 && !quiet {
				left, last = left-1, i
				g.line(shown, i, line, '-')
				continue
			}
			break
		}
		ok, err := g.matches(line)
		if err != nil {
			return err
		}
		if ok == g.has("invert-match") {
			if left > 0 && !quiet && !g.has("only-matching") {
				left, last = left-1, i
				g.line(shown, i, line, '-')
			}
			continue
		}
		count++
		g.selected = true
		if g.has("quiet") {
			return nil
		}
		if quiet {
			if !g.has("count") {
				break
			}
			continue
		}
		if binary {
			_ = g.out.Flush()
			fmt.Fprintf(g.Stderr, "grep: %s: binary file matches\n", shown)
			return nil
		}
		if err := g.show(shown, lines, i, last); err != nil {
			return err
		}
		last, left = i, g.after
	}
	g.summary(shown, count)
	return nil
}

// summary prints what is said of a file as a whole.
func (g *grep) summary(name string, count int) {
	switch g.lastOf("files-with-matches", "files-without-match", "count") {
	case "files-with-matches":
		if count > 0 {
			g.printf("%s\n", name)
		}
	case "files-without-match":
		if count == 0 {
			g.printf("%s\n", name)
			g.selected = true
		}
	case "count":
		if g.names {
			g.printf("%s:", name)
		}
		g.printf("%d\n", count)
	}
}

// show prints a selected line and the context before it that was not printed yet.
func (g *grep) show(name string, lines [][]byte, i, last int) error {
	if g.has("only-matching") {
		return g.parts(name, i, lines[i])
	}
	from := max(i-g.before, last+1)
	if (g.before > 0 || g.after > 0) && g.printed && (from > last+1 || last < 0) {
		g.printf("--\n")
	}
	for j := from; j < i; j++ {
		g.line(name, j, lines[j], '-')
	}
	g.line(name, i, lines[i], ':')
	return nil
}

func (g *grep) prefix(name string, i int, mark byte) {
	if g.names {
		g.printf("%s%c", name, mark)
	}
	if g.has("line-number") {
		g.printf("%d%c", i+1, mark)
	}
}

func (g *grep) line(name string, i int, line []byte, mark byte) {
	g.prefix(name, i, mark)
	g.printf("%s%c", line, g.end)
	g.printed = true
}

func (g *grep) parts(name string, i int, line []byte) error {
	if g.has("invert-match") {
		return nil
	}
	for at := 0; at <= len(line); {
		m, err := g.find(line, at)
		if err != nil {
			return err
		}
		if m == nil {
			return nil
		}
		if m[1] == m[0] {
			_, n := utf8.DecodeRune(line[m[1]:])
			at = m[1] + max(n, 1)
			continue
		}
		g.prefix(name, i, ':')
		g.printf("%s%c", line[m[0]:m[1]], g.end)
		at = m[1]
	}
	return nil
}
