package scriptlet

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of sed.
const (
	maxSedScript = 1 << 20
	maxSedDepth  = 100
	maxSedSteps  = 50_000_000
	maxSedSpace  = 64 << 20 // bytes of the pattern and hold space
)

func sedCommands() map[string]Command {
	return map[string]Command{"sed": tool("quiet,silent,n expression,e= file,f= regexp-extended,E,r in-place,i=? separate,s "+
		"null-data,z follow-symlinks unbuffered,u line-length,l= sandbox posix", runSed)}
}

// sedAddress is one address of a command.
type sedAddress struct {
	kind byte // n line, $ last, / pattern, ~ step, + lines more, * up to a multiple
	line int
	step int
	re   *regex // nil: the last one used
}

// sedCommand is one command of a script.
type sedCommand struct {
	from, to  *sedAddress
	not       bool
	name      byte
	text      string // of a, i and c; the label of b, t and T; the file of r, R and w
	number    int    // exit status, line length
	re        *regex
	parts     []sedPart // of a replacement
	times     int       // the match that is replaced; 0 for the first
	all       bool
	print     int
	table     map[rune]rune
	goal      int // where b, t, T and a block that is not entered go on
	active    bool
	activeEnd int
}

// sedPart is a piece of a replacement: text, or a group, and a change of case.
type sedPart struct {
	text  string
	group int  // -1 for text
	mode  byte // U L u l E
}

// sed is one run.
type sed struct {
	*toolRun
	commands []*sedCommand
	extended bool
	quietly  bool
	end      byte
	width    int

	lastRE *regex
	steps  int

	pattern, hold []byte
	number        int
	replaced      bool
	appended      []sedAppend
	files         map[string]*bytes.Buffer // of w
	order         []string
	reads         map[string]*sedLines // of R
	quit          bool

	input *sedInput
	dst   *bytes.Buffer
	mute  bool // the last line printed lacks its end
}

type sedAppend struct {
	text string
	file bool
}

// sedLines are the lines of a file and where they are read.
type sedLines struct {
	lines [][]byte
	ended bool
	at    int
}

// sedInput is the stream of lines of one or several files.
type sedInput struct {
	lines [][]byte
	ended bool // the last has its end
	at    int
}

func (s *sed) fail(format string, args ...any) error { return s.die(1, format, args...) }

func runSed(r *toolRun) error {
	s := &sed{
		toolRun: r, extended: r.has("regexp-extended"), quietly: r.has("quiet"), end: '\n', width: 70,
		files: map[string]*bytes.Buffer{}, reads: map[string]*sedLines{},
	}
	if r.has("posix") {
		return r.unsupported("the option --posix is not known here")
	}
	if r.has("null-data") {
		s.end = 0
	}
	if v, ok := r.value("line-length"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return s.fail("invalid line length: %s", v)
		}
		s.width = n
	}
	var script []string
	for _, o := range r.options {
		switch o.key {
		case "expression":
			script = append(script, o.value)
		case "file":
			b, err := r.read(o.value)
			if fatal(err) {
				return err
			}
			if err != nil {
				return s.die(4, "couldn't open file %s: %s", o.value, errorText(err))
			}
			script = append(script, strings.TrimSuffix(string(b), "\n"))
		}
	}
	if !r.has("expression", "file") {
		if len(r.args) == 0 {
			return s.fail("no script")
		}
		script, r.args = r.args[:1], r.args[1:]
	}
	text := strings.Join(script, "\n")
	if strings.HasPrefix(text, "#n\n") || text == "#n" {
		s.quietly = true
	}
	if err := s.parse(text); err != nil {
		return err
	}
	var err error
	if r.has("in-place", "separate") {
		err = s.separately()
	} else {
		err = s.together()
	}
	if err != nil {
		return err
	}
	for _, name := range s.order {
		if err := s.write(name, s.files[name].Bytes()); err != nil {
			return s.fail("couldn't open file %s: %s", name, errorText(err))
		}
	}
	return nil
}

func (s *sed) load(names []string) *sedInput {
	in := &sedInput{ended: true}
	for _, name := range names {
		b, err := s.read(name)
		if err != nil {
			s.complain("can't read %s: %s", name, errorText(err))
			s.status = 2
			continue
		}
		lines, ended := splitLines(b, s.end)
		if len(lines) > 0 {
			in.lines, in.ended = append(in.lines, lines...), ended
		}
	}
	return in
}

func (s *sed) together() error {
	names := s.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, n := range names {
		if n != "-" && s.isDir(n) {
			s.complain("couldn't edit %s: not a regular file", n)
			return errStop
		}
	}
	s.input = s.load(names)
	s.dst = &bytes.Buffer{}
	err := s.run()
	_, _ = s.out.Write(s.dst.Bytes())
	return err
}

// separately runs the script on each file by itself, and writes it back with -i.
func (s *sed) separately() error {
	suffix, inPlace := s.value("in-place")
	status := 0
	if len(s.args) == 0 {
		return s.die(4, "no input files")
	}
	for _, name := range s.args {
		if s.quit {
			break
		}
		target := name
		if n, err := s.FS.Stat(s.Dir, name); err == nil && inPlace {
			if s.has("follow-symlinks") {
				target = n.Path
			}
			if !n.IsRegular() {
				s.complain("couldn't edit %s: not a regular file", name)
				status = 4
				continue
			}
		} else if err != nil {
			s.complain("can't read %s: %s", name, errorText(err))
			status = 2
			continue
		}
		s.input = s.load([]string{name})
		s.dst, s.mute, s.number = &bytes.Buffer{}, false, 0
		for _, c := range s.commands {
			c.active = false
		}
		if err := s.run(); err != nil {
			return err
		}
		if !inPlace {
			_, _ = s.out.Write(s.dst.Bytes())
			continue
		}
		if s.quit { // what was not read is kept
			for ; s.input.at < len(s.input.lines); s.input.at++ {
				s.emit(s.input.lines[s.input.at], s.input.at == len(s.input.lines)-1)
			}
		}
		if err := s.replace(target, suffix); err != nil {
			return err
		}
	}
	if status != 0 {
		s.status = status
	}
	return nil
}

// replace puts the result where the file was: a new file with the old one's mode and owner.
func (s *sed) replace(p, suffix string) error {
	n, err := s.FS.Stat(s.Dir, p)
	if err != nil {
		return err
	}
	t := s.FS.names()
	old := *n
	user, group := &Owner{old.User, t.uid(&old)}, &Owner{old.Group, t.gid(&old)}
	if suffix != "" {
		to := p + suffix
		if strings.Contains(suffix, "*") {
			dir, base := "", p
			if i := strings.LastIndexByte(p, '/'); i >= 0 {
				dir, base = p[:i+1], p[i+1:]
			}
			if to = strings.ReplaceAll(suffix, "*", base); !strings.Contains(to, "/") {
				to = dir + to
			}
		}
		if err := s.FS.Rename(s.Dir, p, to); err != nil {
			return s.fail("cannot rename %s: %s", p, errorText(err))
		}
	} else if err := s.FS.Remove(s.Dir, p); err != nil {
		return s.fail("cannot rename %s: %s", p, errorText(err))
	}
	if err := s.FS.WriteFile(s.Dir, p, s.dst.Bytes(), old.Perm()); err != nil {
		return s.fail("couldn't open temporary file %s: %s", p, errorText(err))
	}
	if err := s.FS.Chown(s.Dir, p, user, group, true); err != nil {
		return err
	}
	return s.FS.Chmod(s.Dir, p, old.Perm())
}

// emit prints a line; last says that it is the input's last, which may lack its end.
func (s *sed) emit(line []byte, last bool) {
	if s.mute {
		s.dst.WriteByte(s.end)
		s.mute = false
	}
	s.dst.Write(line)
	if last && !s.input.ended {
		s.mute = true
		return
	}
	s.dst.WriteByte(s.end)
}

func (s *sed) last() bool { return s.input.at >= len(s.input.lines) }

// next reads the next line into the pattern space.
func (s *sed) next() bool {
	if s.last() {
		return false
	}
	s.pattern = slices.Clone(s.input.lines[s.input.at])
	s.input.at++
	s.number++
	return true
}

func (s *sed) flush() error {
	for _, a := range s.appended {
		if s.mute {
			s.dst.WriteByte(s.end)
			s.mute = false
		}
		if !a.file {
			s.dst.WriteString(a.text)
			continue
		}
		b, err := s.read(a.text)
		if fatal(err) {
			return err
		}
		s.dst.Write(b)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			s.mute = true
		}
	}
	s.appended = nil
	return nil
}

func (s *sed) run() error {
	restart := false
	for !s.quit {
		if !restart && !s.next() {
			return nil
		}
		restart = false
		s.replaced = false
		again, printing, err := s.cycle()
		if err != nil {
			return err
		}
		if printing && !s.quietly {
			s.emit(s.pattern, s.last())
		}
		if err := s.flush(); err != nil {
			return err
		}
		restart = again
	}
	return nil
}

// spend counts steps, so that every script ends.
func (s *sed) spend() error {
	if s.steps++; s.steps > maxSedSteps {
		return s.unsupported("more than %d steps", maxSedSteps)
	}
	if s.steps&0xffff == 0 {
		return s.ctx.Err()
	}
	if len(s.pattern) > maxSedSpace || len(s.hold) > maxSedSpace || s.dst.Len() > MaxFileSize {
		return s.unsupported("more than %d bytes", maxSedSpace)
	}
	return nil
}

// cycle runs the commands on one pattern space. again asks for another cycle without reading, printing whether the pattern
// space is printed at the end.
func (s *sed) cycle() (again, printing bool, err error) {
	for i := 0; i < len(s.commands); {
		if err := s.spend(); err != nil {
			return false, false, err
		}
		c := s.commands[i]
		i++
		selected, err := s.selects(c)
		if err != nil {
			return false, false, err
		}
		if !selected {
			if c.name == '{' {
				i = c.goal
			}
			continue
		}
		switch c.name {
		case '{', '}', ':', '#':
		case '=':
			s.emit([]byte(strconv.Itoa(s.number)), false)
		case 'a':
			s.appended = append(s.appended, sedAppend{text: c.text})
		case 'i':
			if s.mute {
				s.dst.WriteByte(s.end)
				s.mute = false
			}
			s.dst.WriteString(c.text)
		case 'c':
			if c.to == nil || c.not || !c.active {
				s.dst.WriteString(c.text)
			}
			return false, false, nil
		case 'b':
			i = c.goal
		case 't':
			if s.replaced {
				s.replaced, i = false, c.goal
			}
		case 'T':
			if !s.replaced {
				i = c.goal
			}
			s.replaced = false
		case 'd':
			return false, false, nil
		case 'D':
			j := bytes.IndexByte(s.pattern, '\n')
			if j < 0 {
				return false, false, nil
			}
			s.pattern = s.pattern[j+1:]
			return true, false, nil
		case 'e', 'F':
			if c.name == 'F' {
				return false, false, s.unsupported("the command F is not known here")
			}
			return false, false, s.unsupported("the command e is not known here")
		case 'g':
			s.pattern = slices.Clone(s.hold)
		case 'G':
			s.pattern = append(append(s.pattern, '\n'), s.hold...)
		case 'h':
			s.hold = slices.Clone(s.pattern)
		case 'H':
			s.hold = append(append(s.hold, '\n'), s.pattern...)
		case 'x':
			s.pattern, s.hold = s.hold, s.pattern
		case 'l':
			s.emit(s.listed(c.number), false)
		case 'n':
			if s.last() {
				return false, true, nil
			}
			if !s.quietly {
				s.emit(s.pattern, false)
			}
			if err := s.flush(); err != nil {
				return false, false, err
			}
			s.next()
		case 'N':
			if s.last() {
				return false, true, nil
			}
			if err := s.flush(); err != nil {
				return false, false, err
			}
			before := s.pattern
			s.next()
			s.pattern = append(append(before, '\n'), s.pattern...)
		case 'p':
			s.emit(s.pattern, s.last())
		case 'P':
			line, _, _ := bytes.Cut(s.pattern, []byte("\n"))
			s.emit(line, false)
		case 'q', 'Q':
			s.quit = true
			s.status = c.number
			return false, c.name == 'q', nil
		case 'r':
			s.appended = append(s.appended, sedAppend{text: c.text, file: true})
		case 'R':
			s.readLine(c.text)
		case 's':
			if err := s.substitute(c); err != nil {
				return false, false, err
			}
		case 'w':
			s.save(c.text)
		case 'y':
			s.pattern = bytes.Map(func(r rune) rune {
				if to, ok := c.table[r]; ok {
					return to
				}
				return r
			}, s.pattern)
		case 'z':
			s.pattern = nil
		}
	}
	return false, true, nil
}

func (s *sed) readLine(name string) {
	l := s.reads[name]
	if l == nil {
		l = &sedLines{}
		if b, err := s.read(name); err == nil {
			l.lines, l.ended = splitLines(b, s.end)
		}
		s.reads[name] = l
	}
	if l.at < len(l.lines) {
		s.appended = append(s.appended, sedAppend{text: string(l.lines[l.at]) + string(rune(s.end))})
		l.at++
	}
}

// save prints the pattern space to a file of w.
func (s *sed) save(name string) {
	switch name {
	case "/dev/stdout":
		s.emit(s.pattern, s.last())
	case "/dev/stderr":
		_, _ = s.Stderr.Write(append(slices.Clone(s.pattern), s.end))
	default:
		s.files[name].Write(s.pattern)
		s.files[name].WriteByte(s.end)
	}
}

// listed is the pattern space as l prints it.
func (s *sed) listed(width int) []byte {
	if width < 0 {
		width = s.width
	}
	var out []byte
	column := 0
	for _, c := range s.pattern {
		var piece string
		switch {
		case strings.IndexByte("\a\b\f\n\r\t\v", c) >= 0:
			piece = `\` + string("abtnvfr"[c-7])
		case c == '\\':
			piece = `\\`
		case c < 32 || c > 126:
			piece = `\` + string([]byte{'0' + c>>6, '0' + c>>3&7, '0' + c&7})
		default:
			piece = string(rune(c))
		}
		if width > 1 && column+len(piece) > width-1 {
			out = append(out, "\\\n"...)
			column = 0
		}
		out = append(out, piece...)
		column += len(piece)
	}
	return append(out, '$')
}

// regexOf is the pattern of an address or command, the last one used for an empty one.
func (s *sed) regexOf(re *regex) (*regex, error) {
	if re != nil {
		s.lastRE = re
	}
	if s.lastRE == nil {
		return nil, s.fail("no previous regular expression")
	}
	return s.lastRE, nil
}

func (s *sed) matchesAddress(a *sedAddress) (bool, error) {
	switch a.kind {
	case 'n':
		return s.number == a.line, nil
	case '$':
		return s.last(), nil
	case '~':
		if a.step <= 0 {
			return s.number == a.line, nil
		}
		return s.number >= a.line && (s.number-a.line)%a.step == 0, nil
	}
	re, err := s.regexOf(a.re)
	if err != nil {
		return false, err
	}
	return re.matches(s.pattern)
}

func (s *sed) selects(c *sedCommand) (bool, error) {
	in, err := s.inRange(c)
	return in != c.not, err
}

func (s *sed) inRange(c *sedCommand) (bool, error) {
	if c.from == nil {
		return true, nil
	}
	if c.to == nil {
		return s.matchesAddress(c.from)
	}
	if !c.active {
		zero := c.from.kind == 'n' && c.from.line == 0
		begins := zero && s.number == 1
		if !begins {
			if zero {
				return false, nil
			}
			var err error
			if begins, err = s.matchesAddress(c.from); !begins || err != nil {
				return false, err
			}
		}
		c.activeEnd = -1
		switch c.to.kind {
		case 'n':
			c.activeEnd = c.to.line
		case '+':
			c.activeEnd = s.number + c.to.line
		case '*':
			if c.activeEnd = s.number; c.to.line > 0 {
				c.activeEnd = (s.number/c.to.line + 1) * c.to.line
			}
		case '$':
			c.active = !s.last()
			return true, nil
		case '/':
			if zero { // the first line may be the last of the range too
				ends, err := s.matchesAddress(c.to)
				c.active = !ends
				return true, err
			}
			c.active = true
			return true, nil
		}
		c.active = c.activeEnd > s.number
		return true, nil
	}
	switch c.to.kind {
	case '$':
		c.active = !s.last()
	case '/':
		ends, err := s.matchesAddress(c.to)
		if err != nil {
			return false, err
		}
		c.active = !ends
	default:
		if s.number > c.activeEnd { // the range ended between the lines it was asked for
			c.active = false
			return c.from.kind == 'n' && s.number == c.from.line, nil
		}
		c.active = s.number < c.activeEnd
	}
	return true, nil
}

func (s *sed) substitute(c *sedCommand) error {
	re, err := s.regexOf(c.re)
	if err != nil {
		return err
	}
	var matches [][]int
	if c.all || c.times > 1 {
		if matches, err = re.all(s.pattern); err != nil {
			return err
		}
		from := max(0, c.times-1)
		if from >= len(matches) {
			return nil
		}
		if matches = matches[from:]; !c.all {
			matches = matches[:1]
		}
	} else {
		m, err := re.match(s.pattern, 0)
		if err != nil {
			return err
		}
		if m != nil {
			matches = [][]int{m}
		}
	}
	if len(matches) == 0 {
		return nil
	}
	var out []byte
	at := 0
	for _, m := range matches {
		out = append(out, s.pattern[at:m[0]]...)
		out = expandReplacement(out, c.parts, s.pattern, m)
		if at = m[1]; len(out) > maxSedSpace {
			return s.unsupported("more than %d bytes", maxSedSpace)
		}
	}
	s.pattern = append(out, s.pattern[at:]...)
	s.replaced = true
	for range c.print {
		s.emit(s.pattern, s.last())
	}
	if c.text != "" {
		s.save(c.text)
	}
	return nil
}

// expandReplacement writes a replacement, with the case changed as \U, \L, \u, \l and \E ask.
func expandReplacement(out []byte, parts []sedPart, text []byte, m []int) []byte {
	mode, once := byte(0), byte(0)
	for _, p := range parts {
		piece := p.text
		switch {
		case p.mode == 'u' || p.mode == 'l':
			once = p.mode
			continue
		case p.mode == 'E':
			mode, once = 0, 0
			continue
		case p.mode != 0:
			mode, once = p.mode, 0
			continue
		case p.group >= 0:
			piece = ""
			if 2*p.group+1 < len(m) && m[2*p.group] >= 0 {
				piece = string(text[m[2*p.group]:m[2*p.group+1]])
			}
		}
		switch mode {
		case 'U':
			piece = strings.ToUpper(piece)
		case 'L':
			piece = strings.ToLower(piece)
		}
		if once != 0 && piece != "" {
			c, n := utf8.DecodeRuneInString(piece)
			if once == 'u' {
				c = unicode.ToUpper(c)
			} else {
				c = unicode.ToLower(c)
			}
			if c != utf8.RuneError {
				piece = string(c) + piece[n:]
			}
			once = 0
		}
		out = append(out, piece...)
	}
	return out
}

// sedParser reads a script.
type sedParser struct {
	*sed
	src    string
	at     int
	blocks []int
	labels map[string]int
}

func (s *sed) parse(script string) error {
	if len(script) > maxSedScript {
		return s.unsupported("a script of more than %d bytes", maxSedScript)
	}
	p := &sedParser{sed: s, src: script, labels: map[string]int{}}
	for {
		p.skip(" \t\n;")
		if p.at >= len(p.src) {
			break
		}
		if err := p.command(); err != nil {
			return err
		}
	}
	if len(p.blocks) > 0 {
		return p.wrong("unmatched `{'")
	}
	for _, c := range s.commands {
		if strings.IndexByte("btT", c.name) < 0 {
			continue
		}
		goal, ok := p.labels[c.text]
		switch {
		case c.text == "":
			goal = len(s.commands)
		case !ok:
			return s.die(4, "-e expression #1, char %d: can't find label for jump to `%s'", len(script), c.text)
		}
		c.goal = goal
	}
	return nil
}

func (p *sedParser) wrong(what string) error {
	return p.fail("-e expression #1, char %d: %s", p.at, what)
}

func (p *sedParser) skip(set string) {
	for p.at < len(p.src) && strings.IndexByte(set, p.src[p.at]) >= 0 {
		p.at++
	}
}

func (p *sedParser) peek() byte {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

func (p *sedParser) number() (int, bool) {
	start := p.at
	for p.at < len(p.src) && p.src[p.at] >= '0' && p.src[p.at] <= '9' {
		p.at++
	}
	n, err := strconv.Atoi(p.src[start:p.at])
	return n, err == nil && n < 1<<31
}

// address reads an address; nil where there is none.
func (p *sedParser) address(second bool) (*sedAddress, error) {
	switch c := p.peek(); {
	case c >= '0' && c <= '9':
		n, ok := p.number()
		if !ok {
			return nil, p.wrong("unexpected number")
		}
		a := &sedAddress{kind: 'n', line: n}
		p.skip(" \t")
		if p.peek() == '~' && !second {
			p.at++
			a.kind = '~'
			a.step, _ = p.number()
		}
		return a, nil
	case c == '$':
		p.at++
		return &sedAddress{kind: '$'}, nil
	case second && (c == '+' || c == '~'):
		p.at++
		n, ok := p.number()
		if !ok {
			return nil, p.wrong("expected number")
		}
		return &sedAddress{kind: map[byte]byte{'+': '+', '~': '*'}[c], line: n}, nil
	case c == '/' || c == '\\':
		if c == '\\' {
			if p.at++; p.at >= len(p.src) {
				return nil, p.wrong("unexpected `,'")
			}
		}
		pattern, err := p.delimited(true)
		if err != nil {
			return nil, err
		}
		o := regexOptions{}
		for {
			switch p.peek() {
			case 'I':
				o.fold = true
			case 'M':
				o.lines = true
			default:
				re, err := p.compile(pattern, o)
				return &sedAddress{kind: '/', re: re}, err
			}
			p.at++
		}
	}
	return nil, nil
}

// compile reads a pattern; an empty one is nil.
func (p *sedParser) compile(pattern string, o regexOptions) (*regex, error) {
	if pattern == "" {
		return nil, nil
	}
	o.extended, o.escapes = p.extended, true
	re, err := compileRegex(pattern, o)
	var wrong regexError
	if errors.As(err, &wrong) {
		return nil, p.wrong(string(wrong))
	}
	return re, err
}

// delimited reads up to the delimiter that stands here, and goes behind the next one. In a pattern the delimiter may stand
// in brackets, and an escaped one is itself; \n is a line break where the delimiter is not n.
func (p *sedParser) delimited(pattern bool) (string, error) {
	d, size := utf8.DecodeRuneInString(p.src[p.at:])
	if d == '\n' || d == '\\' {
		return "", p.wrong("unterminated address regex")
	}
	p.at += size
	delimiter := string(d)
	var b strings.Builder
	for p.at < len(p.src) {
		rest := p.src[p.at:]
		switch {
		case strings.HasPrefix(rest, delimiter):
			p.at += size
			return b.String(), nil
		case rest[0] == '\\' && len(rest) > 1:
			switch {
			case strings.HasPrefix(rest[1:], delimiter):
				// An escaped delimiter is the character itself; one that is special stays escaped in a replacement.
				if pattern && strings.Contains("^$.*[]+?(){}|", delimiter) && !strings.Contains("+?(){}|", delimiter) || !pattern && delimiter == "&" {
					b.WriteByte('\\')
				}
				b.WriteString(delimiter)
				p.at += 1 + size
			case rest[1] == '\n' && pattern:
				b.WriteByte('\n')
				p.at += 2
			default:
				b.WriteString(rest[:2])
				p.at += 2
			}
			continue
		case rest[0] == '\n' && pattern:
			return "", p.wrong("unterminated address regex")
		case rest[0] == '[' && pattern:
			n := bracketLength(rest)
			b.WriteString(rest[:n])
			p.at += n
			continue
		}
		b.WriteByte(rest[0])
		p.at++
	}
	return "", p.wrong("unterminated `s' command")
}

// bracketLength is the length of the bracket expression at the beginning, 1 where it has no end.
func bracketLength(s string) int {
	i := 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == ']':
			return i + 1
		case s[i] == '[' && i+1 < len(s) && strings.IndexByte(":.=", s[i+1]) >= 0:
			j := strings.Index(s[i+2:], s[i+1:i+2]+"]")
			if j < 0 {
				return 1
			}
			i += j + 4
		default:
			i++
		}
	}
	return 1
}

func (p *sedParser) command() error {
	c := &sedCommand{}
	var err error
	if c.from, err = p.address(false); err != nil {
		return err
	}
	if c.from != nil {
		p.skip(" \t")
		if p.peek() == ',' {
			p.at++
			p.skip(" \t")
			if c.to, err = p.address(true); err != nil {
				return err
			}
			if c.to == nil {
				return p.wrong("unexpected `,'")
			}
		}
		if c.from.kind == 'n' && c.from.line == 0 && (c.to == nil || c.to.kind != '/') {
			return p.wrong("invalid usage of line address 0")
		}
	}
	p.skip(" \t")
	if p.peek() == '!' {
		c.not = true
		p.at++
		if p.skip(" \t"); p.peek() == '!' {
			return p.wrong("multiple `!'s")
		}
	}
	if p.at >= len(p.src) {
		return p.wrong("missing command")
	}
	c.name = p.src[p.at]
	p.at++
	return p.finishCommand(c)
}

// finishCommand reads what follows the letter of a command, and adds it to the script.
func (p *sedParser) finishCommand(c *sedCommand) error {
	add := func() { p.commands = append(p.commands, c) }
	switch c.name {
	case '#':
		if c.from != nil {
			return p.wrong("comments don't accept any addresses")
		}
		p.restOfLine()
		return nil
	case '{':
		if p.blocks = append(p.blocks, len(p.commands)); len(p.blocks) > maxSedDepth {
			return p.unsupported("more than %d blocks within each other", maxSedDepth)
		}
		add()
		return nil
	case '}':
		if len(p.blocks) == 0 {
			return p.wrong("unexpected `}'")
		}
		p.commands[p.blocks[len(p.blocks)-1]].goal = len(p.commands)
		p.blocks = p.blocks[:len(p.blocks)-1]
		return p.endOfCommand()
	case ':':
		p.skip(" \t")
		label := strings.TrimRight(p.untilAny("\n;"), " \t")
		if label == "" {
			return p.wrong("\":\" lacks a label")
		}
		p.labels[label] = len(p.commands)
		return nil
	case 'b', 't', 'T':
		p.skip(" \t")
		c.text = strings.TrimRight(p.untilAny("\n;}"), " \t")
		add()
		return p.endOfCommand()
	case 'a', 'i', 'c':
		add()
		return p.text(c)
	case 'r', 'R', 'w', 'W':
		p.skip(" \t")
		if c.text = p.restOfLine(); c.text == "" {
			return p.wrong("missing filename in r/R/w/W commands")
		}
		if c.name == 'W' {
			return p.unsupported("the command W is not known here")
		}
		if c.name == 'w' {
			p.opens(c.text)
		}
		add()
		return nil
	case 'q', 'Q', 'l', 'L':
		p.skip(" \t")
		c.number = 0
		if c.name == 'l' {
			c.number = -1
		}
		if n, ok := p.number(); ok {
			c.number = n
		}
		add()
		return p.endOfCommand()
	case 's':
		add()
		return p.substitution(c)
	case 'y':
		add()
		return p.transliteration(c)
	case '=', 'd', 'D', 'e', 'F', 'g', 'G', 'h', 'H', 'n', 'N', 'p', 'P', 'x', 'z':
		add()
		return p.endOfCommand()
	case 'v':
		p.restOfLine()
		return nil
	}
	return p.wrong("unknown command: `" + string(rune(c.name)) + "'")
}

func (p *sedParser) opens(name string) {
	if _, ok := p.files[name]; !ok && !strings.HasPrefix(name, "/dev/std") {
		p.files[name] = &bytes.Buffer{}
		p.order = append(p.order, name)
	}
}

func (p *sedParser) untilAny(set string) string {
	start := p.at
	for p.at < len(p.src) && strings.IndexByte(set, p.src[p.at]) < 0 {
		p.at++
	}
	return p.src[start:p.at]
}

func (p *sedParser) restOfLine() string {
	line := p.untilAny("\n")
	p.at = min(p.at+1, len(p.src))
	return line
}

func (p *sedParser) endOfCommand() error {
	p.skip(" \t")
	switch p.peek() {
	case 0, '\n', ';', '#', '}':
		return nil
	}
	return p.wrong("extra characters after command")
}

// text reads the text of a, i and c: behind the letter, or from the next line after a backslash. Backslashes quote, and
// one at the end of a line lets the text go on.
func (p *sedParser) text(c *sedCommand) error {
	p.skip(" \t")
	if p.peek() == '\\' {
		p.at++
		before := p.at
		p.skip(" \t")
		if p.peek() == '\n' {
			p.at++
		} else {
			p.at = before
		}
		if p.at >= len(p.src) {
			return nil
		}
	} else if p.at >= len(p.src) {
		return p.wrong("expected \\ after `a', `c' or `i'")
	}
	var b strings.Builder
	for p.at < len(p.src) && p.src[p.at] != '\n' {
		if p.src[p.at] == '\\' && p.at+1 < len(p.src) {
			if x, n := escapedChar(p.src[p.at+1:]); n > 0 && b.Len() > 0 {
				b.WriteRune(x)
				p.at += 1 + n
				continue
			}
			p.at++
		}
		b.WriteByte(p.src[p.at])
		p.at++
	}
	p.at = min(p.at+1, len(p.src))
	c.text = b.String() + "\n"
	return nil
}

func (p *sedParser) substitution(c *sedCommand) error {
	if p.at >= len(p.src) {
		return p.wrong("unterminated `s' command")
	}
	start := p.at
	pattern, err := p.delimited(true)
	if err != nil {
		return err
	}
	_, size := utf8.DecodeRuneInString(p.src[start:])
	p.at -= size
	replacement, err := p.delimited(false)
	if err != nil {
		return err
	}
	o := regexOptions{}
flags:
	for {
		switch f := p.peek(); {
		case f == 'g':
			c.all = true
		case f == 'p':
			c.print++
		case f == 'i' || f == 'I':
			o.fold = true
		case f == 'm' || f == 'M':
			o.lines = true
		case f >= '1' && f <= '9':
			c.times, _ = p.number()
			continue
		case f == '0':
			return p.wrong("number option to `s' command may not be zero")
		case f == 'e':
			return p.unsupported("the flag e of the command s is not known here")
		case f == 'w':
			p.at++
			p.skip(" \t")
			if c.text = p.restOfLine(); c.text == "" {
				return p.wrong("missing filename in r/R/w/W commands")
			}
			p.opens(c.text)
			break flags
		default:
			break flags
		}
		p.at++
	}
	if c.re, err = p.compile(pattern, o); err != nil {
		return err
	}
	var highest int
	c.parts, highest = parseReplacement(replacement)
	if c.re != nil && highest > c.re.groups {
		return p.wrong("invalid reference \\" + strconv.Itoa(highest) + " on `s' command's RHS")
	}
	if c.text != "" {
		return nil
	}
	return p.endOfFlags()
}

func (p *sedParser) endOfFlags() error {
	p.skip(" \t\r")
	switch p.peek() {
	case 0, '\n', ';', '#', '}':
		return nil
	}
	return p.wrong("unknown option to `s'")
}

// parseReplacement reads the right side of s; highest is the highest group it asks for.
func parseReplacement(s string) (parts []sedPart, highest int) {
	var text strings.Builder
	finish := func() {
		if text.Len() > 0 {
			parts = append(parts, sedPart{text: text.String(), group: -1})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '&':
			finish()
			parts = append(parts, sedPart{group: 0})
		case s[i] != '\\' || i+1 == len(s):
			text.WriteByte(s[i])
		default:
			i++
			switch c := s[i]; {
			case c >= '0' && c <= '9':
				finish()
				highest = max(highest, int(c-'0'))
				parts = append(parts, sedPart{group: int(c - '0')})
			case strings.IndexByte("ULulE", c) >= 0:
				finish()
				parts = append(parts, sedPart{group: -1, mode: c})
			default:
				if x, n := escapedChar(s[i:]); n > 0 {
					text.WriteRune(x)
					i += n - 1
				} else {
					text.WriteByte(c)
				}
			}
		}
	}
	finish()
	return parts, highest
}

func (p *sedParser) transliteration(c *sedCommand) error {
	if p.at >= len(p.src) {
		return p.wrong("unterminated `y' command")
	}
	start := p.at
	from, err := p.delimited(false)
	if err != nil {
		return err
	}
	_, size := utf8.DecodeRuneInString(p.src[start:])
	p.at -= size
	to, err := p.delimited(false)
	if err != nil {
		return err
	}
	read := func(s string) []rune {
		var out []rune
		for i := 0; i < len(s); {
			x, n := utf8.DecodeRuneInString(s[i:])
			if x == '\\' && i+1 < len(s) {
				if e, m := escapedChar(s[i+1:]); m > 0 {
					x, n = e, m+1
				} else if s[i+1] == '\\' || s[i+1] == '&' {
					x, n = rune(s[i+1]), 2
				}
			}
			out = append(out, x)
			i += n
		}
		return out
	}
	a, b := read(from), read(to)
	if len(a) != len(b) {
		return p.wrong("strings for `y' command are different lengths")
	}
	c.table = map[rune]rune{}
	for i, x := range a {
		if _, ok := c.table[x]; !ok {
			c.table[x] = b[i]
		}
	}
	return p.endOfCommand()
}
