package scriptlet

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

func textCommands() map[string]Command {
	all := map[string]Command{
		"base64": tool("decode,d ignore-garbage,i wrap,w=", base64Text),
		"cat":    tool("number,n number-nonblank,b squeeze-blank,s show-all,A show-ends,E show-tabs,T show-nonprinting,v e t u", concatenate),
		"cut":    tool("delimiter,d= fields,f= bytes,b= characters,c= only-delimited,s complement output-delimiter= zero-terminated,z n", cut),
		"head":   rawTool(head),
		"sort": tool("unique,u numeric-sort,n reverse,r key,k= field-separator,t= output,o= ignore-case,f ignore-leading-blanks,b "+
			"stable,s version-sort,V general-numeric-sort,g dictionary-order,d ignore-nonprinting,i check=? c C zero-terminated,z "+
			"merge,m human-numeric-sort,h month-sort,M parallel= buffer-size,S= temporary-directory,T=", sortLines),
		"tac":  tool("", reverse),
		"tail": rawTool(tail),
		"tee":  tool("append,a ignore-interrupts,i p", tee),
		"tr":   tool("+complement,c,C delete,d squeeze-repeats,s truncate-set1,t", translate),
		"uniq": tool("count,c repeated,d unique,u ignore-case,i skip-fields,f= skip-chars,s= check-chars,w= zero-terminated,z D", unique),
		"wc":   tool("lines,l words,w bytes,c chars,m max-line-length,L", countText),
	}
	for _, more := range []map[string]Command{grepCommands(), sedCommands(), awkCommands()} {
		maps.Copy(all, more)
	}
	return all
}

func concatenate(r *toolRun) error {
	visible := r.has("show-all", "show-nonprinting", "e", "t")
	ends, tabs := r.has("show-all", "show-ends", "e"), r.has("show-all", "show-tabs", "t")
	plain := !visible && !ends && !tabs && !r.has("number", "number-nonblank", "squeeze-blank")
	line, blank, fresh := 0, 0, true
	return r.inputs(func(_ string, content []byte) error {
		if plain {
			_, _ = r.out.Write(content)
			return nil
		}
		for len(content) > 0 {
			i := bytes.IndexByte(content, '\n')
			text, ended := content, i >= 0
			if ended {
				text = content[:i]
			}
			content = content[min(len(content), len(text)+1):]
			if len(text) == 0 && ended && fresh {
				if blank++; blank > 1 && r.has("squeeze-blank") {
					continue
				}
			} else {
				blank = 0
			}
			if fresh && (r.has("number") && !r.has("number-nonblank") || r.has("number-nonblank") && len(text) > 0) {
				line++
				r.printf("%6d\t", line)
			}
			r.printf("%s", showText(text, visible, tabs))
			if ended {
				if ends {
					r.printf("$")
				}
				r.printf("\n")
			}
			fresh = ended
		}
		return nil
	})
}

func showText(text []byte, visible, tabs bool) string {
	if !visible && !tabs {
		return string(text)
	}
	var b strings.Builder
	for _, c := range text {
		switch {
		case c == '\t' && tabs:
			b.WriteString("^I")
			continue
		case !visible || c == '\t':
			b.WriteByte(c)
			continue
		}
		if c >= 128 {
			b.WriteString("M-")
			c -= 128
		}
		switch {
		case c < 32:
			b.WriteString("^" + string(rune(c+64)))
		case c == 127:
			b.WriteString("^?")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func reverse(r *toolRun) error {
	return r.inputs(func(_ string, content []byte) error {
		for len(content) > 0 {
			i := bytes.LastIndexByte(content[:len(content)-1], '\n') + 1
			_, _ = r.out.Write(content[i:])
			content = content[:i]
		}
		return nil
	})
}

// countOptions reads the options of head and tail, the number of old (-5, +5) among them.
func (r *toolRun) countOptions(spec string) (n string, bytes bool, err error) {
	n = "10"
	args := r.Call.Args[1:]
	if len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' && args[0][1] >= '0' && args[0][1] <= '9' || r.name == "tail" && args[0][0] == '+' && len(args) <= 2) {
		a := args[0]
		if strings.Trim(a[1:], "0123456789") != "" {
			return "", false, r.unsupported("the option %s is not known here", a)
		}
		if n = a; a[0] == '-' {
			n = a[1:]
		}
		args = args[1:]
	}
	c := *r.Call
	c.Args = append([]string{r.Call.Args[0]}, args...)
	sub := newToolRun(r.ctx, &c)
	if err := sub.parse(spec); err != nil {
		return "", false, err
	}
	r.options, r.args = sub.options, sub.args
	switch r.lastOf("lines", "bytes") {
	case "lines":
		n, _ = r.value("lines")
	case "bytes":
		n, _ = r.value("bytes")
		bytes = true
	}
	return n, bytes, nil
}

// pieces cuts content after each line end, or into bytes.
func cutAfter(content []byte, n int, inBytes bool, end byte) int {
	if inBytes {
		return min(n, len(content))
	}
	at := 0
	for ; n > 0 && at < len(content); n-- {
		i := bytes.IndexByte(content[at:], end)
		if i < 0 {
			return len(content)
		}
		at += i + 1
	}
	return at
}

// cutLastLines is where the last n lines or bytes begin.
func cutBefore(content []byte, n int, inBytes bool, end byte) int {
	if inBytes {
		return max(0, len(content)-n)
	}
	at := len(content)
	for ; n > 0 && at > 0; n-- {
		at = bytes.LastIndexByte(content[:at-1], end) + 1
	}
	return at
}

func head(r *toolRun) error {
	n, inBytes, err := r.countOptions("lines,n= bytes,c= quiet,silent,q verbose,v zero-terminated,z")
	if err != nil {
		return err
	}
	v, ok := parseBlocks(strings.TrimPrefix(n, "-"))
	if !ok {
		return r.die(1, "invalid number of lines: '%s'", n)
	}
	return r.ends(func(content []byte, end byte) []byte {
		if strings.HasPrefix(n, "-") {
			return content[:cutBefore(content, int(v), inBytes, end)]
		}
		return content[:cutAfter(content, int(v), inBytes, end)]
	})
}

func tail(r *toolRun) error {
	n, inBytes, err := r.countOptions("lines,n= bytes,c= quiet,silent,q verbose,v zero-terminated,z")
	if err != nil {
		return err
	}
	v, ok := parseBlocks(strings.TrimLeft(n, "+-"))
	if !ok {
		return r.die(1, "invalid number of lines: '%s'", n)
	}
	return r.ends(func(content []byte, end byte) []byte {
		if strings.HasPrefix(n, "+") {
			return content[cutAfter(content, max(0, int(v)-1), inBytes, end):]
		}
		return content[cutBefore(content, int(v), inBytes, end):]
	})
}

// ends prints a part of each file, with headings where there are several.
func (r *toolRun) ends(part func(content []byte, end byte) []byte) error {
	end := byte('\n')
	if r.has("zero-terminated") {
		end = 0
	}
	headed := (len(r.args) > 1 || r.has("verbose")) && r.lastOf("quiet", "verbose") != "quiet"
	first := true
	names := r.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		content, err := r.read(name)
		if fatal(err) {
			return err
		}
		if err != nil {
			if isNotExist(err) {
				r.complain("cannot open '%s' for reading: %s", name, errorText(err))
			} else {
				r.complain("error reading '%s': %s", name, errorText(err))
			}
			continue
		}
		if headed {
			if !first {
				r.printf("\n")
			}
			if name == "-" {
				name = "standard input"
			}
			r.printf("==> %s <==\n", name)
		}
		first = false
		_, _ = r.out.Write(part(content, end))
	}
	return nil
}

func tee(r *toolRun) error {
	b, err := readBounded("standard input", r.Stdin)
	if err != nil {
		return err
	}
	_, _ = r.out.Write(b)
	for _, p := range r.args {
		content := b
		if r.has("append") && devicePath(r.Dir, p) == "" {
			old, err := r.FS.ReadFile(r.Dir, p)
			if err != nil && !isNotExist(err) {
				r.complain("%s: %s", p, errorText(err))
				continue
			}
			content = append(old, b...)
		}
		if err := r.write(p, content); err != nil {
			r.complain("%s: %s", p, errorText(err))
		}
	}
	return nil
}

func countText(r *toolRun) error {
	type counts [5]int64
	keys := []string{"lines", "words", "chars", "bytes", "max-line-length"}
	var wanted []int
	for i, k := range keys {
		if r.has(k) || len(r.options) == 0 && k != "chars" && k != "max-line-length" {
			wanted = append(wanted, i)
		}
	}
	var all []counts
	var names []string
	var total counts
	size, piped := int64(0), false
	err := r.inputs(func(name string, content []byte) error {
		var c counts
		c[0] = int64(bytes.Count(content, []byte("\n")))
		c[1] = int64(len(bytes.Fields(content)))
		c[2] = int64(utf8.RuneCount(content))
		c[3] = int64(len(content))
		for line := range bytes.SplitSeq(content, []byte("\n")) {
			width := int64(0)
			for _, x := range string(line) {
				if x == '\t' {
					width += 8 - width%8
				} else if unicode.IsPrint(x) {
					width++
				}
			}
			c[4] = max(c[4], width)
		}
		for i := range 4 {
			total[i] += c[i]
		}
		total[4] = max(total[4], c[4])
		if size += c[3]; name == "-" {
			piped = true
		}
		all, names = append(all, c), append(names, name)
		return nil
	})
	if err != nil {
		return err
	}
	width := len(strconv.FormatInt(size, 10))
	if piped {
		width = 7
	}
	if len(wanted) == 1 && len(r.args) <= 1 {
		width = 1
	}
	show := func(c counts, name string) {
		for i, k := range wanted {
			if i > 0 {
				r.printf(" ")
			}
			r.printf("%*d", width, c[k])
		}
		if name != "" {
			r.printf(" %s", name)
		}
		r.printf("\n")
	}
	for i, c := range all {
		if len(r.args) == 0 {
			names[i] = ""
		}
		show(c, names[i])
	}
	if len(r.args) > 1 {
		show(total, "total")
	}
	return nil
}

// ranges reads the list of cut: "2", "1-3,5", "-4", "7-". Ends are inclusive, 0 for no end.
func parseRanges(list string) ([][2]int, bool) {
	var out [][2]int
	for _, one := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
		from, to, both := strings.Cut(one, "-")
		a, b := 1, 0
		var err error
		if from != "" {
			if a, err = strconv.Atoi(from); err != nil || a < 1 {
				return nil, false
			}
		}
		switch {
		case !both:
			b = a
		case to != "":
			if b, err = strconv.Atoi(to); err != nil || b < a {
				return nil, false
			}
		case from == "":
			return nil, false
		}
		out = append(out, [2]int{a, b})
	}
	return out, len(out) > 0
}

func cut(r *toolRun) error {
	kind := r.lastOf("fields", "bytes", "characters")
	if kind == "" {
		return r.die(1, "you must specify a list of bytes, characters, or fields")
	}
	list, _ := r.value(kind)
	ranges, ok := parseRanges(list)
	if !ok {
		return r.die(1, "invalid field range")
	}
	selected := func(i int) bool {
		in := slices.ContainsFunc(ranges, func(x [2]int) bool { return i >= x[0] && (x[1] == 0 || i <= x[1]) })
		return in != r.has("complement")
	}
	delimiter, given := r.value("delimiter")
	if !given {
		delimiter = "\t"
	}
	if delimiter == "" {
		delimiter = "\x00"
	}
	if len(delimiter) > 1 {
		return r.die(1, "the delimiter must be a single character")
	}
	join, ok := r.value("output-delimiter")
	if !ok {
		if join = delimiter; kind != "fields" {
			join = ""
		}
	}
	end := byte('\n')
	if r.has("zero-terminated") {
		end = 0
	}
	return r.inputs(func(_ string, content []byte) error {
		lines, _ := splitLines(content, end)
		for _, line := range lines {
			if kind == "fields" {
				fields := strings.Split(string(line), delimiter)
				if len(fields) == 1 {
					if !r.has("only-delimited") {
						r.printf("%s%c", line, end)
					}
					continue
				}
				var out []string
				for i, f := range fields {
					if selected(i + 1) {
						out = append(out, f)
					}
				}
				r.printf("%s%c", strings.Join(out, join), end)
				continue
			}
			in := false
			wrote := false
			for i, c := range line {
				if !selected(i + 1) {
					in = false
					continue
				}
				if !in && wrote {
					r.printf("%s", join)
				}
				in, wrote = true, true
				_ = r.out.WriteByte(c)
			}
			_ = r.out.WriteByte(end)
		}
		return nil
	})
}

// charSet reads a set of tr(1) into its bytes.
func charSet(set string, complain func(string) error) (out []byte, fill int, err error) {
	fill = -1 // where [c*] stands, to be filled up
	for i := 0; i < len(set); {
		if strings.HasPrefix(set[i:], "[:") {
			if name, _, ok := strings.Cut(set[i+2:], ":]"); ok {
				class := characterClass(name)
				if class == nil {
					return nil, 0, complain("invalid character class '" + name + "'")
				}
				for _, x := range class {
					for c := x[0]; c <= x[1]; c++ {
						out = append(out, byte(c))
					}
				}
				i += len(name) + 4
				continue
			}
		}
		if strings.HasPrefix(set[i:], "[=") && len(set) >= i+5 && set[i+3:i+5] == "=]" {
			out = append(out, set[i+2])
			i += 5
			continue
		}
		if set[i] == '[' && i+2 < len(set) {
			c, n := setByte(set[i+1:])
			rest := set[i+1+n:]
			if count, _, ok := strings.Cut(rest, "]"); ok && strings.HasPrefix(count, "*") && strings.Trim(count[1:], "0123456789") == "" {
				times, base := 0, 10
				if strings.HasPrefix(count[1:], "0") {
					base = 8
				}
				if v, err := strconv.ParseUint(count[1:], base, 16); err == nil {
					times = int(v)
				}
				if times == 0 {
					fill = len(out)
					out = append(out, c)
				}
				for range times {
					out = append(out, c)
				}
				i += 2 + n + len(count)
				continue
			}
		}
		c, n := setByte(set[i:])
		i += n
		if i+1 < len(set) && set[i] == '-' {
			last, n := setByte(set[i+1:])
			if last < c {
				return nil, 0, complain("range-endpoints of '" + set + "' are in reverse collating sequence order")
			}
			for x := int(c); x <= int(last); x++ {
				out = append(out, byte(x))
			}
			i += 1 + n
			continue
		}
		out = append(out, c)
	}
	return out, fill, nil
}

// setByte reads one character of a set.
func setByte(s string) (byte, int) {
	if s[0] != '\\' || len(s) == 1 {
		return s[0], 1
	}
	switch s[1] {
	case 'a':
		return 7, 2
	case 'b':
		return 8, 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'v':
		return 11, 2
	}
	n := 1
	for n < len(s) && n < 4 && s[n] >= '0' && s[n] <= '7' {
		n++
	}
	if n > 1 {
		if v, err := strconv.ParseUint(s[1:n], 8, 8); err == nil {
			return byte(v), n
		}
		v, _ := strconv.ParseUint(s[1:n-1], 8, 8)
		return byte(v), n - 1
	}
	return s[1], 2
}

func translate(r *toolRun) error {
	deletes, squeezes := r.has("delete"), r.has("squeeze-repeats")
	switch n := len(r.args); {
	case n == 0:
		return r.missingOperand()
	case n > 2 || n == 2 && deletes && !squeezes:
		return r.die(1, "extra operand '%s'", r.args[n-1])
	case n == 1 && (!deletes && !squeezes || deletes && squeezes):
		return r.die(1, "missing operand after '%s'", r.args[0])
	}
	complain := func(s string) error { return r.die(1, "%s", s) }
	for _, a := range r.args {
		if !isASCII(a) {
			return r.unsupported("characters beyond ASCII are not known here")
		}
	}
	first, _, err := charSet(r.args[0], complain)
	if err != nil {
		return err
	}
	if r.has("complement") {
		var rest []byte
		for c := range 256 {
			if !bytes.Contains(first, []byte{byte(c)}) {
				rest = append(rest, byte(c))
			}
		}
		first = rest
	}
	var second []byte
	if len(r.args) == 2 {
		var fill int
		if second, fill, err = charSet(r.args[1], complain); err != nil {
			return err
		}
		for fill >= 0 && len(second) < len(first) {
			second = slices.Insert(second, fill, second[fill])
		}
	}
	var to [256]int
	var squeezed, deleted [256]bool
	for i := range to {
		to[i] = i
	}
	if len(r.args) == 2 && !deletes {
		if len(second) == 0 {
			return r.die(1, "when not truncating set1, string2 must be non-empty")
		}
		for i, c := range first {
			switch {
			case i < len(second):
				to[c] = int(second[i])
			case !r.has("truncate-set1"):
				to[c] = int(second[len(second)-1])
			}
		}
	}
	squeeze := second
	if len(r.args) == 1 {
		squeeze = first
	}
	for _, c := range squeeze {
		squeezed[c] = squeezes
	}
	for _, c := range first {
		deleted[c] = deletes
	}
	b, err := readBounded("standard input", r.Stdin)
	if err != nil {
		return err
	}
	last := -1
	for _, c := range b {
		if deleted[c] {
			continue
		}
		x := to[c]
		if x == last && squeezed[x] {
			continue
		}
		last = x
		_ = r.out.WriteByte(byte(x))
	}
	return nil
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= utf8.RuneSelf }) < 0
}

func unique(r *toolRun) error {
	number := func(key string, none int) (int, error) {
		v, ok := r.value(key)
		if !ok {
			return none, nil
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return 0, r.die(1, "%s: invalid number", v)
		}
		return n, nil
	}
	fields, err := number("skip-fields", 0)
	if err != nil {
		return err
	}
	chars, err := number("skip-chars", 0)
	if err != nil {
		return err
	}
	width, err := number("check-chars", -1)
	if err != nil {
		return err
	}
	if len(r.args) > 2 {
		return r.die(1, "extra operand '%s'", r.args[2])
	}
	in := "-"
	if len(r.args) > 0 {
		in = r.args[0]
	}
	b, err := r.read(in)
	if fatal(err) {
		return err
	}
	if err != nil {
		return r.die(1, "%s: %s", in, errorText(err))
	}
	end := byte('\n')
	if r.has("zero-terminated") {
		end = 0
	}
	key := func(line []byte) string {
		s := string(line)
		for range fields {
			s = strings.TrimLeft(s, " \t")
			i := strings.IndexAny(s, " \t")
			if i < 0 {
				i = len(s)
			}
			s = s[i:]
		}
		s = s[min(len(s), chars):]
		if width >= 0 {
			s = s[:min(len(s), width)]
		}
		if r.has("ignore-case") {
			s = strings.ToLower(s)
		}
		return s
	}
	var out bytes.Buffer
	lines, _ := splitLines(b, end)
	for i := 0; i < len(lines); {
		j := i + 1
		for k := key(lines[i]); j < len(lines) && key(lines[j]) == k; j++ {
		}
		n := j - i
		switch {
		case r.has("D"):
			for ; n > 1 && i < j; i++ {
				out.Write(append(slices.Clone(lines[i]), end))
			}
		case r.has("repeated") && n == 1 || r.has("unique") && n > 1:
		default:
			if r.has("count") {
				out.WriteString(pad(strconv.Itoa(n), 7) + " ")
			}
			out.Write(append(slices.Clone(lines[i]), end))
		}
		i = j
	}
	if len(r.args) == 2 && r.args[1] != "-" {
		if err := r.write(r.args[1], out.Bytes()); err != nil {
			return r.die(1, "%s: %s", r.args[1], errorText(err))
		}
		return nil
	}
	_, _ = r.out.Write(out.Bytes())
	return nil
}

func pad(s string, width int) string { return strings.Repeat(" ", max(0, width-len(s))) + s }

func base64Text(r *toolRun) error {
	wrap := 76
	if v, ok := r.value("wrap"); ok {
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return r.die(1, "invalid wrap size: '%s'", v)
		}
		wrap = n
	}
	return r.inputs(func(_ string, content []byte) error {
		if r.has("decode") {
			clean := bytes.Map(func(c rune) rune {
				if c == '\n' || r.has("ignore-garbage") && !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", c) {
					return -1
				}
				return c
			}, content)
			out, err := base64.StdEncoding.DecodeString(string(clean))
			_, _ = r.out.Write(out)
			if err != nil {
				return r.die(1, "invalid input")
			}
			return nil
		}
		s := base64.StdEncoding.EncodeToString(content)
		for wrap > 0 && len(s) > wrap {
			r.printf("%s\n", s[:wrap])
			s = s[wrap:]
		}
		if r.printf("%s", s); wrap > 0 && s != "" {
			r.printf("\n")
		}
		return nil
	})
}

// sortKey is one -k of sort, or the line as a whole.
type sortKey struct {
	from, fromChar, to, toChar                                   int
	numeric, general, version, fold, blanks, reverse, dictionary bool
	printable, endBlanks                                         bool
}

func (k *sortKey) flag(c byte, end bool) bool {
	switch c {
	case 'b':
		if end {
			k.endBlanks = true
		} else {
			k.blanks = true
		}
	case 'n':
		k.numeric = true
	case 'g':
		k.general = true
	case 'V':
		k.version = true
	case 'f':
		k.fold = true
	case 'r':
		k.reverse = true
	case 'd':
		k.dictionary = true
	case 'i':
		k.printable = true
	default:
		return false
	}
	return true
}

func (k *sortKey) plain() bool {
	return !(k.numeric || k.general || k.version || k.fold || k.blanks || k.reverse || k.dictionary || k.printable || k.endBlanks)
}

// parseSortKey reads F[.C][OPTS][,F[.C][OPTS]].
func parseSortKey(s string) (sortKey, bool) {
	var k sortKey
	position := func(s string, end bool) (field, char int, ok bool) {
		i := 0
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
			i++
		}
		f, c, dotted := strings.Cut(s[:i], ".")
		field, err := strconv.Atoi(f)
		if err != nil || field < 1 {
			return 0, 0, false
		}
		if dotted {
			if char, err = strconv.Atoi(c); err != nil || char < 1 && !end {
				return 0, 0, false
			}
		}
		for _, x := range []byte(s[i:]) {
			if !k.flag(x, end) {
				return 0, 0, false
			}
		}
		return field, char, true
	}
	start, stop, both := strings.Cut(s, ",")
	var ok bool
	if k.from, k.fromChar, ok = position(start, false); !ok {
		return k, false
	}
	if both {
		if k.to, k.toChar, ok = position(stop, true); !ok {
			return k, false
		}
	}
	return k, true
}

// sorter compares lines.
type sorter struct {
	keys      []sortKey
	separator string
	stable    bool
	unique    bool
	reverse   bool
}

// fieldBounds are the bounds of a field of a line, counted from 1. Without a separator the blanks before a field are its.
func (s *sorter) fieldBounds(line string, n int) (from, to int) {
	if s.separator != "" {
		for i := 1; ; i++ {
			j := strings.Index(line[from:], s.separator)
			if j < 0 {
				if i == n {
					return from, len(line)
				}
				return len(line), len(line)
			}
			if i == n {
				return from, from + j
			}
			from += j + len(s.separator)
		}
	}
	for i := 1; ; i++ {
		to = from
		for to < len(line) && (line[to] == ' ' || line[to] == '\t') {
			to++
		}
		for to < len(line) && line[to] != ' ' && line[to] != '\t' {
			to++
		}
		if i == n || to == len(line) {
			if i < n {
				from = to
			}
			return from, to
		}
		from = to
	}
}

func (s *sorter) key(line string, k sortKey) string {
	if k.from == 0 {
		return line
	}
	skip := func(at int) int {
		for at < len(line) && (line[at] == ' ' || line[at] == '\t') {
			at++
		}
		return at
	}
	from, _ := s.fieldBounds(line, k.from)
	if k.blanks {
		from = skip(from)
	}
	from = min(len(line), from+max(0, k.fromChar-1))
	to := len(line)
	if k.to > 0 {
		start, end := s.fieldBounds(line, k.to)
		if to = end; k.toChar > 0 {
			if k.endBlanks {
				start = skip(start)
			}
			to = min(len(line), start+k.toChar)
		}
	}
	return line[min(from, to):to]
}

func (s *sorter) compare(a, b string) int {
	for _, k := range s.keys {
		c := compareKeys(s.key(a, k), s.key(b, k), k)
		if k.reverse {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	if s.stable || s.unique {
		return 0
	}
	c := strings.Compare(a, b)
	if s.reverse {
		c = -c
	}
	return c
}

func compareKeys(a, b string, k sortKey) int {
	if k.blanks && k.from == 0 {
		a, b = strings.TrimLeft(a, " \t"), strings.TrimLeft(b, " \t")
	}
	switch {
	case k.numeric:
		return compareDecimals(a, b)
	case k.general:
		x, y := leadingFloat(a), leadingFloat(b)
		return cmp.Compare(x, y)
	case k.version:
		return compareVersions(a, b)
	}
	keep := func(s string) string {
		return strings.Map(func(c rune) rune {
			if k.dictionary && !(c == ' ' || c == '\t' || unicode.IsLetter(c) || unicode.IsDigit(c)) || k.printable && !unicode.IsPrint(c) {
				return -1
			}
			return c
		}, s)
	}
	if k.dictionary || k.printable {
		a, b = keep(a), keep(b)
	}
	if k.fold {
		a, b = strings.ToUpper(a), strings.ToUpper(b)
	}
	return strings.Compare(a, b)
}

// compareDecimals compares the decimal numbers at the beginning of two texts, of any length.
func compareDecimals(a, b string) int {
	number := func(s string) (negative bool, whole, part string) {
		s = strings.TrimLeft(s, " \t")
		s, negative = strings.CutPrefix(s, "-")
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		whole = strings.TrimLeft(s[:i], "0")
		if i < len(s) && s[i] == '.' {
			j := i + 1
			for j < len(s) && s[j] >= '0' && s[j] <= '9' {
				j++
			}
			part = strings.TrimRight(s[i+1:j], "0")
		}
		return negative && whole+part != "", whole, part
	}
	an, aw, ap := number(a)
	bn, bw, bp := number(b)
	switch {
	case an && !bn:
		return -1
	case bn && !an:
		return 1
	}
	c := cmp.Compare(len(aw), len(bw))
	if c == 0 {
		c = strings.Compare(aw, bw)
	}
	if c == 0 {
		c = strings.Compare(ap, bp)
	}
	if an {
		c = -c
	}
	return c
}

func leadingFloat(s string) float64 {
	s = strings.TrimLeft(s, " \t")
	for i := min(len(s), 64); i > 0; i-- {
		if v, err := strconv.ParseFloat(s[:i], 64); err == nil {
			return v
		}
	}
	return -1.7976931348623157e308
}

// compareVersions is filevercmp of gnulib for texts without a suffix: digits by number, letters before other characters,
// "~" before all.
func compareVersions(a, b string) int {
	if c := compareVersionParts(cutVersionSuffix(a), cutVersionSuffix(b)); c != 0 {
		return c
	}
	return compareVersionParts(a, b)
}

// cutVersionSuffix takes off the file name's endings: (\.[A-Za-z~][A-Za-z0-9~]*)*$
func cutVersionSuffix(s string) string {
	for {
		i := strings.LastIndexByte(s, '.')
		if i < 1 || i+1 == len(s) || !isVersionLetter(s[i+1]) {
			return s
		}
		for _, c := range []byte(s[i+1:]) {
			if !isVersionLetter(c) && (c < '0' || c > '9') {
				return s
			}
		}
		s = s[:i]
	}
}

func isVersionLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '~' }

func compareVersionParts(a, b string) int {
	order := func(s string, i int) int {
		switch {
		case i >= len(s) || s[i] >= '0' && s[i] <= '9':
			return 0
		case s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z':
			return int(s[i])
		case s[i] == '~':
			return -1
		}
		return int(s[i]) + 256
	}
	digit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !digit(a, i) || j < len(b) && !digit(b, j) {
			if c := cmp.Compare(order(a, i), order(b, j)); c != 0 {
				return c
			}
			i, j = i+1, j+1
		}
		for digit(a, i) && a[i] == '0' {
			i++
		}
		for digit(b, j) && b[j] == '0' {
			j++
		}
		first := 0
		for digit(a, i) && digit(b, j) {
			if first == 0 {
				first = cmp.Compare(a[i], b[j])
			}
			i, j = i+1, j+1
		}
		switch {
		case digit(a, i):
			return 1
		case digit(b, j):
			return -1
		case first != 0:
			return first
		}
	}
	return 0
}

func sortLines(r *toolRun) error {
	if r.has("human-numeric-sort", "month-sort") {
		return r.unsupported("sorting by month or rounded size is not known here")
	}
	s := &sorter{stable: r.has("stable"), unique: r.has("unique"), reverse: r.has("reverse")}
	var global sortKey
	for key, c := range map[string]byte{
		"numeric-sort": 'n', "general-numeric-sort": 'g', "version-sort": 'V', "ignore-case": 'f',
		"reverse": 'r', "dictionary-order": 'd', "ignore-nonprinting": 'i', "ignore-leading-blanks": 'b',
	} {
		if r.has(key) {
			global.flag(c, false)
		}
	}
	for _, v := range r.values("key") {
		k, ok := parseSortKey(v)
		if !ok {
			return r.unsupported("the key %q is not known here", v)
		}
		if k.plain() {
			from, fromChar, to, toChar := k.from, k.fromChar, k.to, k.toChar
			k = global
			k.from, k.fromChar, k.to, k.toChar, k.endBlanks = from, fromChar, to, toChar, global.blanks
		}
		s.keys = append(s.keys, k)
	}
	if len(s.keys) == 0 {
		s.keys = []sortKey{global}
	}
	if v, ok := r.value("field-separator"); ok {
		if s.separator = v; v == `\0` {
			s.separator = "\x00"
		}
		if len(s.separator) != 1 {
			return r.die(2, "multi-character tab '%s'", v)
		}
	}
	end := byte('\n')
	if r.has("zero-terminated") {
		end = 0
	}
	var lines []string
	r.status = 0
	if err := r.inputs(func(_ string, content []byte) error {
		parts, _ := splitLines(content, end)
		for _, p := range parts {
			lines = append(lines, string(p))
		}
		return nil
	}); err != nil {
		return err
	}
	if r.status != 0 {
		r.status = 2
		return nil
	}
	if r.has("check", "c", "C") {
		for i := 1; i < len(lines); i++ {
			if c := s.compare(lines[i-1], lines[i]); c > 0 || c == 0 && s.unique {
				r.status = 1
				if !r.has("C") {
					name := "-"
					if len(r.args) > 0 {
						name = r.args[0]
					}
					r.complain("%s:%d: disorder: %s", name, i+1, lines[i])
				}
				break
			}
		}
		return nil
	}
	slices.SortStableFunc(lines, s.compare)
	var out bytes.Buffer
	for i, l := range lines {
		if s.unique && i > 0 && s.compare(lines[i-1], l) == 0 {
			continue
		}
		out.WriteString(l)
		out.WriteByte(end)
	}
	if name, ok := r.value("output"); ok {
		if err := r.write(name, out.Bytes()); err != nil {
			return r.die(2, "open failed: %s: %s", name, errorText(err))
		}
		return nil
	}
	_, _ = r.out.Write(out.Bytes())
	return nil
}
