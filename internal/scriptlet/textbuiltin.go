package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (s *shell) doEcho(_ context.Context, args []string) (int, error) {
	args = args[1:]
	newline, escapes := true, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		for _, f := range args[0][1:] {
			switch f {
			case 'n':
				newline = false
			default:
				escapes = f == 'e'
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		var stop bool
		if text, stop = unescapeShell(text, escapeEcho); stop {
			newline = false
		}
	}
	if newline {
		text += "\n"
	}
	return s.write("echo", text)
}

// write writes what a builtin says.
func (s *shell) write(name, text string) (int, error) {
	if f := s.fds[1]; f == nil || f.w == nil {
		s.errorf("%s: write error: Bad file descriptor", name)
		return 1, nil
	}
	if _, err := io.WriteString(s.writer(1), text); err != nil {
		s.errorf("%s: write error: %v", name, err)
		return 1, nil
	}
	return 0, nil
}

// escaping says which escapes are known: those of echo -e, of $”, of a format of printf.
type escaping int

const (
	escapeEcho escaping = iota
	escapeQuote
	escapeFormat
)

// unescapeShell replaces escapes that begin with a backslash. \c stops.
func unescapeShell(text string, kind escaping) (out string, stop bool) {
	if !strings.Contains(text, `\`) {
		return text, false
	}
	var t strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			t.WriteByte(text[i])
			continue
		}
		i++
		c := text[i]
		if k := strings.IndexByte("abefnrtvE\\", c); k >= 0 {
			t.WriteByte("\a\b\x1b\f\n\r\t\v\x1b\\"[k])
			continue
		}
		switch {
		case c == 'c' && kind == escapeEcho:
			return t.String(), true
		case c == 'c' && kind == escapeQuote && i+1 < len(text):
			i++
			t.WriteByte(text[i] & 0x1f)
		case (c == '"' || c == '\'' || c == '?') && kind != escapeEcho:
			t.WriteByte(c)
		case c == 'x':
			n, digits := digitsOf(text[i+1:], 2, 16)
			if digits == 0 {
				t.WriteString(`\x`)
				continue
			}
			t.WriteByte(byte(n))
			i += digits
		case c == 'u' || c == 'U':
			most := 4
			if c == 'U' {
				most = 8
			}
			n, digits := digitsOf(text[i+1:], most, 16)
			if digits == 0 {
				t.WriteByte('\\')
				t.WriteByte(c)
				continue
			}
			t.WriteRune(rune(n))
			i += digits
		case c >= '0' && c <= '7':
			at, most := i, 3
			if kind == escapeEcho {
				if c != '0' {
					t.WriteByte('\\')
					t.WriteByte(c)
					continue
				}
				at++
			}
			n, digits := digitsOf(text[at:], most, 8)
			t.WriteByte(byte(n))
			i = at + digits - 1
		default:
			t.WriteByte('\\')
			t.WriteByte(c)
		}
	}
	out = t.String()
	if kind == escapeQuote {
		out, _, _ = strings.Cut(out, "\x00")
	}
	return out, false
}

func digitsOf(text string, most, base int) (n int64, digits int) {
	for digits < most && digits < len(text) {
		d, err := strconv.ParseUint(text[digits:digits+1], base, 8)
		if err != nil {
			break
		}
		n, digits = n*int64(base)+int64(d), digits+1
	}
	return n, digits
}

// quoteShell quotes a text where the shell would need it; quoteAlways does in any case.
func quoteShell(text string) string {
	if text != "" && strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-") == "" {
		return text
	}
	return quoteAlways(text)
}

func quoteAlways(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// quoteFormat quotes as printf's %q does.
func quoteFormat(text string) string {
	if text == "" {
		return "''"
	}
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return "$'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`, "\t", `\t`, "\r", `\r`, "\x1b", `\E`, "\a", `\a`, "\b", `\b`, "\v", `\v`, "\f", `\f`).Replace(text) + "'"
		}
	}
	var t strings.Builder
	for i, r := range text {
		if strings.ContainsRune(" !\"$&'()*,;<>?[\\]^`{|}", r) || (r == '~' || r == '#') && i == 0 {
			t.WriteByte('\\')
		}
		t.WriteRune(r)
	}
	return t.String()
}

func (s *shell) doPrintf(ctx context.Context, args []string) (int, error) {
	args = args[1:]
	variable := ""
	if len(args) > 1 && args[0] == "-v" {
		variable, args = args[1], args[2:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return s.usage("printf", "usage: printf [-v var] format [arguments]")
	}
	f := formatter{s: s, args: args[1:]}
	for {
		before := len(f.args)
		if err := s.m.step(ctx, 1); err != nil {
			return 1, err
		}
		if err := f.format(args[0]); err != nil {
			return 1, err
		}
		if f.stop || len(f.args) == 0 || len(f.args) == before {
			break
		}
		if f.out.Len() > MaxOutput {
			return 1, &Limit{fmt.Sprintf("%d bytes of output", MaxOutput)}
		}
	}
	if variable != "" {
		return f.status, s.set(variable, f.out.String())
	}
	status, err := s.write("printf", f.out.String())
	return max(status, f.status), err
}

// formatter is one run of printf.
type formatter struct {
	s      *shell
	args   []string
	out    strings.Builder
	status int
	stop   bool
}

func (f *formatter) next() string {
	if len(f.args) == 0 {
		return ""
	}
	a := f.args[0]
	f.args = f.args[1:]
	return a
}

// format writes a format once.
func (f *formatter) format(text string) error {
	for i := 0; i < len(text) && !f.stop; {
		k := strings.IndexAny(text[i:], `%\`)
		if k < 0 {
			f.out.WriteString(text[i:])
			return nil
		}
		f.out.WriteString(text[i : i+k])
		i += k
		if text[i] == '\\' {
			end := escapeEnd(text, i)
			plain, _ := unescapeShell(text[i:end], escapeFormat)
			f.out.WriteString(plain)
			i = end
			continue
		}
		n, err := f.directive(text[i:])
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// escapeEnd is where the escape at i ends.
func escapeEnd(text string, i int) int {
	if i+1 >= len(text) {
		return len(text)
	}
	digits := 0
	switch c := text[i+1]; {
	case c == 'x':
		_, digits = digitsOf(text[i+2:], 2, 16)
	case c == 'u':
		_, digits = digitsOf(text[i+2:], 4, 16)
	case c == 'U':
		_, digits = digitsOf(text[i+2:], 8, 16)
	case c >= '0' && c <= '7':
		_, digits = digitsOf(text[i+1:], 3, 8)
		digits--
	}
	return i + 2 + digits
}

// directive writes what begins with % and returns its length.
func (f *formatter) directive(text string) (int, error) {
	i := 1
	flags := ""
	for i < len(text) && strings.IndexByte("-+ #0", text[i]) >= 0 {
		flags += text[i : i+1]
		i++
	}
	width, n := f.count(text[i:])
	i += n
	if width < 0 {
		flags, width = flags+"-", -width
	}
	precision := -1
	if i < len(text) && text[i] == '.' {
		precision, n = f.count(text[i+1:])
		i += n + 1
	}
	for i < len(text) && strings.IndexByte("hlLjzt", text[i]) >= 0 {
		i++
	}
	if i >= len(text) {
		return 0, failure(1, "printf: `%s': missing format character", text)
	}
	verb := text[i]
	i++
	if max(width, precision) > 1<<16 {
		return 0, &Limit{fmt.Sprintf("%d characters of one printf directive", 1<<16)}
	}
	switch verb {
	case '%':
		f.out.WriteByte('%')
	case 's', 'b', 'q', 'c':
		f.string(verb, flags, width, precision)
	case 'd', 'i', 'u', 'o', 'x', 'X':
		f.integer(verb, flags, width, precision)
	case 'f', 'F', 'e', 'E', 'g', 'G':
		x, err := strconv.ParseFloat(strings.TrimSpace(f.next()), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			x = 0
		}
		if precision < 0 {
			precision = 6
		}
		f.pad(strconv.FormatFloat(x, verb|0x20, precision, 64), flags, width, true)
		if verb != 'f' && verb != 'F' || math.IsInf(x, 0) {
			return 0, f.s.unsupported("printf %"+string(verb), "this format is not known")
		}
	default:
		return 0, f.unknown(verb)
	}
	return i, nil
}

func (f *formatter) unknown(verb byte) error {
	if verb == '(' {
		return f.s.unsupported("printf %(", "times are not formatted")
	}
	return failure(1, "printf: `%c': invalid format character", verb)
}

// count reads a width or precision: digits or a star.
func (f *formatter) count(text string) (value, length int) {
	if strings.HasPrefix(text, "*") {
		n, _ := strconv.Atoi(f.next())
		return min(max(n, -1<<20), 1<<20), 1
	}
	for length < len(text) && text[length] >= '0' && text[length] <= '9' {
		value, length = min(value*10+int(text[length]-'0'), 1<<20), length+1
	}
	return value, length
}

func (f *formatter) string(verb byte, flags string, width, precision int) {
	text := f.next()
	switch verb {
	case 'b':
		text, f.stop = unescapeShell(text, escapeEcho)
	case 'q':
		text = quoteFormat(text)
	case 'c':
		text = text[:min(1, len(text))]
	}
	if precision >= 0 && precision < len(text) {
		text = text[:precision]
	}
	f.pad(text, flags, width, false)
}

func (f *formatter) integer(verb byte, flags string, width, precision int) {
	text := f.next()
	n, ok := integerOf(text)
	if !ok {
		f.s.errorf("printf: %s: invalid number", text)
		f.status = 1
	}
	sign, digits := "", ""
	switch verb {
	case 'd', 'i':
		digits = strconv.FormatUint(uint64(n), 10)
		if n < 0 {
			sign, digits = "-", strconv.FormatUint(-uint64(n), 10)
		} else if strings.Contains(flags, "+") {
			sign = "+"
		} else if strings.Contains(flags, " ") {
			sign = " "
		}
	case 'u':
		digits = strconv.FormatUint(uint64(n), 10)
	case 'o':
		digits = strconv.FormatUint(uint64(n), 8)
		if strings.Contains(flags, "#") && n != 0 {
			digits = "0" + digits
		}
	case 'x', 'X':
		digits = strconv.FormatUint(uint64(n), 16)
		if strings.Contains(flags, "#") && n != 0 {
			sign = "0x"
		}
		if verb == 'X' {
			digits, sign = strings.ToUpper(digits), strings.ToUpper(sign)
		}
	}
	if precision >= 0 {
		digits = strings.Repeat("0", max(0, precision-len(digits))) + digits
		flags = strings.ReplaceAll(flags, "0", "")
	} else if strings.Contains(flags, "0") && !strings.Contains(flags, "-") {
		digits = strings.Repeat("0", max(0, width-len(digits)-len(sign))) + digits
	}
	f.pad(sign+digits, flags, width, false)
}

// integerOf reads a number of printf: C's forms, or a quote and a character.
func integerOf(text string) (int64, bool) {
	text = strings.TrimLeft(text, " \t\n")
	if text == "" {
		return 0, true
	}
	if text[0] == '\'' || text[0] == '"' {
		r, _ := utf8.DecodeRuneInString(text[1:])
		return int64(r), len(text) > 1
	}
	if strings.Contains(text, "#") {
		return 0, false
	}
	if n, ok := parseNumber(text); ok {
		return n, true
	}
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || end == 0 && strings.ContainsRune("+-", rune(text[0]))) {
		end++
	}
	n, _ := parseNumber(text[:end])
	return n, false
}

func (f *formatter) pad(text, flags string, width int, number bool) {
	fill := max(0, width-utf8.RuneCountInString(text))
	switch {
	case strings.Contains(flags, "-"):
		f.out.WriteString(text + strings.Repeat(" ", fill))
	case number && strings.Contains(flags, "0"):
		sign := ""
		if strings.HasPrefix(text, "-") {
			sign, text = "-", text[1:]
		}
		f.out.WriteString(sign + strings.Repeat("0", fill) + text)
	default:
		f.out.WriteString(strings.Repeat(" ", fill) + text)
	}
}

// read does read: one line of the input, its fields in variables.
func (s *shell) doRead(ctx context.Context, args []string) (int, error) {
	raw, array, from := false, "", 0
	delimiter := byte('\n')
	limit := -1
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		word := args[0][1:]
		args = args[1:]
		if word == "-" {
			break
		}
		for word != "" {
			f := word[0]
			word = word[1:]
			if f == 'r' || f == 's' || f == 'e' {
				raw = raw || f == 'r'
				continue
			}
			value := word
			if word = ""; value == "" && len(args) > 0 {
				value, args = args[0], args[1:]
			}
			switch f {
			case 'a':
				array = value
			case 'd':
				delimiter = 0
				if value != "" {
					delimiter = value[0]
				}
			case 'n', 'N':
				n, err := strconv.Atoi(value)
				if err != nil {
					return s.usage("read", "%s: invalid number", value)
				}
				limit = n
			case 'p', 't', 'i':
			case 'u':
				n, err := strconv.Atoi(value)
				if err != nil || s.fds[n] == nil {
					s.errorf("read: %s: invalid file descriptor", value)
					return 1, nil
				}
				from = n
			default:
				return s.usage("read", "-%c: invalid option", f)
			}
		}
	}
	in := s.fds[from]
	if in == nil || in.r == nil {
		s.errorf("read: read error: %d: Bad file descriptor", from)
		return 1, nil
	}
	line, complete, err := s.readLine(ctx, in.r, delimiter, raw, limit)
	if err != nil {
		return 1, err
	}
	status := 0
	if !complete {
		status = 1
	}
	if array != "" {
		return status, s.setList(array, s.splitRead(line, -1))
	}
	if len(args) == 0 {
		text := ""
		for _, c := range line {
			text += c.text
		}
		return status, s.set("REPLY", text)
	}
	values := s.splitRead(line, len(args))
	for i, name := range args {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		if err := s.set(name, value); err != nil {
			return 1, err
		}
	}
	return status, nil
}

// readLine reads up to a delimiter, byte by byte, so that nothing behind is lost to the next command.
func (s *shell) readLine(ctx context.Context, in io.Reader, delimiter byte, raw bool, limit int) (line []piece, complete bool, err error) {
	var b [1]byte
	escaped := false
	for limit != 0 {
		if err := s.m.step(ctx, 1); err != nil {
			return nil, false, err
		}
		if n, err := in.Read(b[:]); n == 0 {
			if err == nil {
				continue
			}
			return line, false, nil
		}
		switch {
		case escaped:
			escaped = false
			if b[0] != '\n' {
				line = append(line, piece{string(b[:]), true})
			}
			continue
		case b[0] == '\\' && !raw:
			escaped = true
			continue
		case b[0] == delimiter:
			return line, true, nil
		}
		line = append(line, piece{string(b[:]), false})
		limit--
	}
	return line, true, nil
}

// splitRead splits a line at IFS into at most n fields, of which the last has the rest; -1 has no bound.
func (s *shell) splitRead(line []piece, n int) []string {
	ifs := s.splitter(false).ifs
	is := func(i int, set string) bool {
		return i < len(line) && !line[i].quoted && strings.Contains(ifs, line[i].text) && strings.Contains(set, line[i].text)
	}
	const blanks = " \t\n"
	delimiter := func(i int) bool { return is(i, line[min(i, len(line)-1)].text) }
	i := 0
	for is(i, blanks) {
		i++
	}
	var out []string
	for i < len(line) {
		if len(out) == n-1 {
			end := len(line)
			for end > i && is(end-1, blanks) {
				end--
			}
			// One delimiter at the very end of a single rest field goes.
			if end > i && delimiter(end-1) && !is(end-1, blanks) && !hasDelimiter(line[i:end-1], is, i) {
				end--
				for end > i && is(end-1, blanks) {
					end--
				}
			}
			return append(out, joinPieces(line[i:end]))
		}
		start := i
		for i < len(line) && !delimiter(i) {
			i++
		}
		out = append(out, joinPieces(line[start:i]))
		for is(i, blanks) {
			i++
		}
		if i < len(line) && delimiter(i) && !is(i, blanks) {
			i++
			for is(i, blanks) {
				i++
			}
		}
	}
	return out
}

// contains reports whether a delimiter that is no blank is among the pieces.
func hasDelimiter(list []piece, is func(int, string) bool, offset int) bool {
	for k, p := range list {
		if is(offset+k, p.text) && !strings.Contains(" \t\n", p.text) {
			return true
		}
	}
	return false
}

func (s *shell) setList(name string, values []string) error {
	v, err := s.writable(name)
	if err != nil {
		return err
	}
	v.set, v.text, v.dict, v.list = true, "", nil, map[int]string{}
	for i, text := range values {
		v.list[i] = text
	}
	return nil
}

// mapfile reads lines into an array.
func (s *shell) doMapfile(ctx context.Context, args []string) (int, error) {
	strip, name := false, "MAPFILE"
	for _, a := range args[1:] {
		switch {
		case a == "-t":
			strip = true
		case strings.HasPrefix(a, "-"):
			return 2, s.unsupported("mapfile "+a, "this option is not known")
		default:
			name = a
		}
	}
	var lines []string
	for {
		line, complete, err := s.readLine(ctx, s.input(), '\n', true, -1)
		if err != nil {
			return 1, err
		}
		if !complete && len(line) == 0 {
			return 0, s.setList(name, lines)
		}
		text := joinPieces(line)
		if complete && !strip {
			text += "\n"
		}
		lines = append(lines, text)
	}
}
