package scriptlet

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"slim/internal/rpm"
)

// rpmLibrary are the functions of rpm's rpm, as rpmio/rpmlua.cc has them.
func rpmLibrary() map[string]luaFunc {
	lib := map[string]luaFunc{
		"b64decode": rpmB64decode, "b64encode": rpmB64encode, "execute": rpmExecute, "expand": rpmExpand, "glob": rpmGlob,
		"isdefined": rpmIsdefined, "next_file": rpmNextFile, "open": rpmOpen, "redirect2null": posixRedirect2null,
		"spawn": rpmSpawn, "splitargs": rpmSplitargs, "unsplitargs": rpmUnsplitargs, "ver": rpmVer, "vercmp": rpmVercmp,
	}
	for _, name := range []string{"call", "define", "interactive", "load", "register", "undefine", "unregister"} {
		lib[name] = luaMissing("rpm." + name)
	}
	return lib
}

func rpmB64encode(c *luaCall) []any {
	s := base64.StdEncoding.EncodeToString([]byte(c.str(1)))
	width := int(c.optInteger(2, -1))
	switch {
	case s == "":
		return []any{c.str(1)}
	case width == 0:
		return []any{s}
	case width < 0:
		width = 64
	}
	var b strings.Builder
	for len(s) > width {
		b.WriteString(s[:width] + "\n")
		s = s[width:]
	}
	return []any{b.String() + s + "\n"}
}

func rpmB64decode(c *luaCall) []any {
	b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(c.str(1)), ""))
	if err != nil {
		return []any{nil}
	}
	return []any{string(b)}
}

// commandResult is what rpm.execute and rpm.spawn return since rpm 4.20: 0, or nil, a text and the exit code.
func (c *luaCall) commandResult(name string, status int) []any {
	if c.missing(name, status) {
		return []any{nil, "No such file or directory", 2}
	}
	if status != 0 {
		return []any{nil, "exit code", status}
	}
	return []any{0}
}

func rpmExecute(c *luaCall) []any {
	args := []string{c.str(1)}
	for i := 2; i <= len(c.args); i++ {
		args = append(args, c.str(i))
	}
	return c.commandResult(args[0], c.command(args, strings.NewReader(""), c.stream(1), c.stream(2)))
}

// rpmSpawn runs {command, argument...}, {stdin = path, stdout = path, stderr = path}.
func rpmSpawn(c *luaCall) []any {
	args := c.strings(c.table(1))
	if len(args) == 0 {
		c.raise("command not supplied")
	}
	stdin, out := io.Reader(strings.NewReader("")), [2]io.Writer{c.stream(1), c.stream(2)}
	var files []*luaFile
	if actions, ok := c.arg(2).(*lua.LTable); ok {
		to := map[string]string{}
		actions.ForEach(func(k, v lua.LValue) { to[k.String()] = v.String() })
		for _, key := range sortedKeys(to) {
			mode := "a"
			i := slices.Index([]string{"stdin", "stdout", "stderr"}, key)
			if i < 0 {
				c.raise("invalid spawn directive: %s", key)
			}
			if i == 0 {
				mode = "r"
			}
			f, err := c.openLua(to[key], mode)
			if err != nil {
				return c.refused(err)
			}
			f.mode = 0o644 &^ c.p.umask
			files = append(files, f)
			if i == 0 {
				stdin = strings.NewReader(string(f.content))
			} else {
				out[i-1] = luaWriter{f}
			}
		}
	}
	status := c.command(args, stdin, out[0], out[1])
	for _, f := range files {
		if err := f.flush(); err != nil {
			return c.refused(err)
		}
	}
	return c.commandResult(args[0], status)
}

// luaWriter writes to a file handle at once, as a command does.
type luaWriter struct{ f *luaFile }

func (w luaWriter) Write(b []byte) (int, error) {
	if w.f.stream != nil {
		return len(b), nil
	}
	if err := w.f.write(string(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func rpmExpand(c *luaCall) []any {
	s, err := expandMacros(c.str(1), c.s.Host.Macros)
	if err != nil {
		c.fail(err)
		return nil
	}
	return []any{s}
}

func rpmIsdefined(c *luaCall) []any {
	_, ok := c.s.Host.Macros[c.str(1)]
	return []any{ok, false}
}

func rpmNextFile(c *luaCall) []any {
	if c.next == len(c.s.Files) {
		return []any{nil}
	}
	c.next++
	return []any{c.s.Files[c.next-1]}
}

// rpmGlob are the paths that match, sorted; with "c" the pattern itself when none does.
func rpmGlob(c *luaCall) []any {
	pattern := c.str(1)
	if strings.ContainsAny(pattern, "{~") {
		c.unsupported("rpm.glob of " + pattern)
		return nil
	}
	var out []string
	names := strings.FieldsFunc(pattern, func(r rune) bool { return r == '/' })
	at := ""
	if strings.HasPrefix(pattern, "/") {
		at = "/"
	}
	if err := c.glob(at, names, &out); err != nil {
		c.raise("glob %s failed: %v", pattern, err)
	}
	slices.Sort(out)
	if len(out) == 0 && strings.Contains(c.optStr(2, ""), "c") {
		out = []string{pattern}
	}
	return []any{out}
}

func (c *luaCall) glob(at string, names []string, out *[]string) error {
	if len(names) == 0 {
		if _, err := c.s.FS.Lstat(c.p.cwd, at); err == nil {
			*out = append(*out, at)
		}
		return nil
	}
	if !strings.ContainsAny(names[0], `*?[\`) {
		return c.glob(path.Join(at, names[0]), names[1:], out)
	}
	dir := at
	if dir == "" {
		dir = "."
	}
	entries, err := c.s.FS.ReadDir(c.p.cwd, dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		ok, err := path.Match(strings.ReplaceAll(names[0], "[!", "[^"), e)
		if err != nil {
			return err
		}
		if !ok || e[0] == '.' && names[0][0] != '.' {
			continue
		}
		if err := c.glob(path.Join(at, e), names[1:], out); err != nil {
			return err
		}
	}
	return nil
}

// The quote of rpm's argument lists is the ASCII unit separator.
const unitSeparator = '\x1f'

func rpmSplitargs(c *luaCall) []any {
	out := []string{}
	s, start, quoted := c.str(1), 0, false
	for i := 0; i <= len(s); i++ {
		if i == len(s) || !quoted && (s[i] == ' ' || s[i] == '\t') {
			if i > start {
				out = append(out, strings.ReplaceAll(s[start:i], string(unitSeparator), ""))
			}
			start = i + 1
		} else if s[i] == unitSeparator {
			quoted = !quoted
		}
	}
	return []any{out}
}

func rpmUnsplitargs(c *luaCall) []any {
	args := c.strings(c.table(1))
	for i := range args {
		args[i] = string(unitSeparator) + args[i] + string(unitSeparator)
	}
	return []any{strings.Join(args, " ")}
}

// luaVersion is an object of rpm.ver.
type luaVersion struct{ evr rpm.EVR }

func (*luaVersion) luaType() string  { return "rpm.ver" }
func (v *luaVersion) String() string { return v.evr.String() }

// parseVersion reads [epoch:]version[-release] as rpmverParse does.
func (c *luaCall) parseVersion(i int) rpm.EVR {
	s := c.str(i)
	if s == "" {
		c.badArgument(i, "invalid version ")
	}
	return rpm.ParseEVR(s)
}

func rpmVercmp(c *luaCall) []any {
	return []any{c.parseVersion(1).Compare(c.parseVersion(2))}
}

func rpmVer(c *luaCall) []any {
	switch len(c.args) {
	case 1:
		return []any{&luaVersion{c.parseVersion(1)}}
	case 3:
		evr := c.str(2)
		if epoch := c.optStr(1, ""); epoch != "" {
			evr = epoch + ":" + evr
		}
		if release := c.optStr(3, ""); release != "" {
			evr += "-" + release
		}
		return []any{&luaVersion{rpm.ParseEVR(evr)}}
	}
	c.raise("invalid number of arguments: %d", len(c.args))
	return nil
}

func (c *luaCall) version(i int) *luaVersion {
	if u, ok := c.arg(i).(*lua.LUserData); ok {
		if v, ok := u.Value.(*luaVersion); ok {
			return v
		}
	}
	c.wrongType(i, "rpm.ver")
	return nil
}

func versionMethods() map[string]luaFunc {
	compare := func(ok func(int) bool) luaFunc {
		return func(c *luaCall) []any { return []any{ok(c.version(1).evr.Compare(c.version(2).evr))} }
	}
	return map[string]luaFunc{
		"__eq": compare(func(n int) bool { return n == 0 }),
		"__lt": compare(func(n int) bool { return n < 0 }),
		"__le": compare(func(n int) bool { return n <= 0 }),
		"__index": func(c *luaCall) []any {
			evr := c.version(1).evr
			var part string
			switch key := c.str(2); key {
			case "e":
				if evr.Epoch != 0 {
					part = strconv.FormatUint(uint64(evr.Epoch), 10)
				}
			case "v":
				part = evr.Version
			case "r":
				part = evr.Release
			default:
				c.raise("invalid attribute: %s", key)
			}
			if part == "" {
				return []any{nil}
			}
			return []any{part}
		},
	}
}

// luaFD is an object of rpm.open.
type luaFD struct{ *luaFile }

func (*luaFD) luaType() string { return "rpm.fd" }

func rpmOpen(c *luaCall) []any {
	p, mode := c.str(1), c.optStr(2, "r")
	kind, flavour, _ := strings.Cut(mode, ".")
	if flavour != "" && flavour != "ufdio" && flavour != "fdio" {
		c.unsupported("rpm.open with mode " + mode)
		return nil
	}
	if !isOpenMode(kind) {
		c.raise("%s open failed: Invalid argument", p)
	}
	f, err := c.openLua(p, kind)
	if err != nil {
		if r := c.failed(p+" open failed", err); r != nil {
			c.raise("%s", r[1])
		}
		return nil
	}
	return []any{&luaFD{f}}
}

func (c *luaCall) fd() *luaFD {
	if u, ok := c.arg(1).(*lua.LUserData); ok {
		if f, ok := u.Value.(*luaFD); ok {
			if f.closed {
				c.raise("error reading or writing a closed file")
			}
			return f
		}
	}
	c.wrongType(1, "rpm.fd")
	return nil
}

func fdMethods() map[string]luaFunc {
	return map[string]luaFunc{
		"close": func(c *luaCall) []any {
			f := c.fd()
			err := f.flush()
			f.closed = true
			if err != nil {
				c.fail(err)
			}
			return []any{0}
		},
		"flush": func(c *luaCall) []any {
			if err := c.fd().flush(); err != nil {
				c.fail(err)
			}
			return []any{0}
		},
		"read": func(c *luaCall) []any {
			f := c.fd()
			n := c.optInteger(2, -1)
			if n < 0 {
				n = int64(len(f.content))
			}
			if !f.readable {
				c.raise("error reading %s: Bad file descriptor", f.name)
			}
			s, _ := f.readBytes(int(min(n, MaxFileSize))).(string)
			return []any{s}
		},
		"reopen": luaMissing("reopen of a file of rpm.open"),
		"seek":   func(c *luaCall) []any { return fdSeek(c, c.fd()) },
		"write": func(c *luaCall) []any {
			f, s := c.fd(), c.str(2)
			s = s[:max(0, min(int64(len(s)), c.optInteger(3, int64(len(s)))))]
			if !f.writable {
				c.raise("error writing %s: Bad file descriptor", f.name)
			}
			if f.stream == nil {
				if err := f.write(s); err != nil {
					c.fail(err)
				}
			}
			return []any{len(s)}
		},
	}
}

func fdSeek(c *luaCall, f *luaFD) []any {
	base := map[string]int64{"set": 0, "cur": int64(f.at), "end": int64(len(f.content))}
	from, ok := base[c.optStr(2, "cur")]
	at := from + c.optInteger(3, 0)
	if !ok || at < 0 || at > MaxFileSize {
		c.raise("%s: seek failed: Invalid argument", f.name)
	}
	f.at = int(at)
	return []any{at}
}

const (
	maxMacroDepth = 64      // of macros within each other, as in rpm
	maxMacroSize  = 1 << 20 // of what they expand to
)

// expandMacros expands what the text of a scriptlet may hold that was built to be expanded at install time (-e):
// %name, %{name}, %{?name}, %{?name:text}, %{!?name:text} and %%. What is not in macros stays as it is. Macros that run
// programs or Lua, define, or take arguments are *Unsupported.
func expandMacros(text string, macros map[string]string) (string, error) {
	left := maxMacroSize
	var b strings.Builder
	if err := expandInto(&b, text, macros, &left, 0); err != nil {
		return "", err
	}
	return b.String(), nil
}

func expandInto(b *strings.Builder, text string, macros map[string]string, left *int, depth int) error {
	if depth > maxMacroDepth {
		return &Limit{fmt.Sprintf("%d macros within each other", maxMacroDepth)}
	}
	emit := func(s string) error {
		if *left -= len(s); *left < 0 {
			return &Limit{fmt.Sprintf("%d bytes from macros", maxMacroSize)}
		}
		b.WriteString(s)
		return nil
	}
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 || i == len(text)-1 {
			return emit(text)
		}
		if err := emit(text[:i]); err != nil {
			return err
		}
		text = text[i:]
		n, err := 2, error(nil)
		switch {
		case text[1] == '%':
			err = emit("%")
		case text[1] == '(' || text[1] == '[':
			return &Unsupported{"macro " + firstWord(text), "it computes its value, which slim does not do"}
		case text[1] == '{':
			if n = braced(text); n == 0 {
				return emit(text)
			}
			err = expandBraced(b, text[:n], macros, left, depth, emit)
		default:
			flags := len(text[1:]) - len(strings.TrimLeft(text[1:], "?!"))
			name := macroName(text[1+flags:])
			if n = 1 + flags + len(name); name == "" {
				err = emit(text[:n])
				break
			}
			err = expandBraced(b, "%{"+text[1:n]+"}", macros, left, depth, func(s string) error {
				if s == "%{"+text[1:n]+"}" {
					s = text[:n]
				}
				return emit(s)
			})
		}
		if err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func firstWord(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s[:min(40, len(s))]
}

// braced is the length of the %{...} that s starts with, 0 when it does not end.
func braced(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

func macroName(s string) string {
	n := 0
	for n < len(s) && (s[n] == '_' || s[n] >= 'a' && s[n] <= 'z' || s[n] >= 'A' && s[n] <= 'Z' || n > 0 && s[n] >= '0' && s[n] <= '9') {
		n++
	}
	return s[:n]
}

func expandBraced(b *strings.Builder, text string, macros map[string]string, left *int, depth int, emit func(string) error) error {
	inner := text[2 : len(text)-1]
	rest := strings.TrimLeft(inner, "?!")
	flags := inner[:len(inner)-len(rest)]
	conditional, negated := strings.Contains(flags, "?"), strings.Count(flags, "!")%2 == 1
	name := macroName(rest)
	rest = rest[len(name):]
	value, defined := macros[name]
	switch name {
	case "define", "dnl", "echo", "error", "expand", "expr", "getenv", "global", "load", "lua", "quote", "shrink", "sub",
		"undefine", "warn", "basename", "dirname", "exists", "suffix", "upper", "lower", "url2path", "uncompress", "verbose", "S", "P", "F", "u2p":
		if !defined && !conditional {
			if name == "expand" && strings.HasPrefix(rest, ":") {
				var once strings.Builder
				if err := expandInto(&once, rest[1:], macros, left, depth+1); err != nil {
					return err
				}
				return expandInto(b, once.String(), macros, left, depth+1)
			}
			if len(name) > 1 {
				return &Unsupported{"macro " + firstWord(text), "it computes its value, which slim does not do"}
			}
		}
	}
	switch {
	case name == "":
		return emit(text)
	case conditional:
		if defined == negated {
			return nil
		}
		if body, ok := strings.CutPrefix(rest, ":"); ok {
			return expandInto(b, body, macros, left, depth+1)
		}
		if rest != "" {
			return &Unsupported{"macro " + firstWord(text), "it takes arguments, which slim does not know"}
		}
		if negated {
			return nil
		}
		return expandInto(b, value, macros, left, depth+1)
	case !defined:
		return emit(text)
	case rest != "":
		return &Unsupported{"macro " + firstWord(text), "it takes arguments, which slim does not know"}
	}
	return expandInto(b, value, macros, left, depth+1)
}

// macrosTable is the global macros: what is defined, by name.
func macrosTable(c *luaCall) []any {
	name := c.str(2)
	if _, ok := c.s.Host.Macros[name]; !ok {
		return []any{nil}
	}
	s, err := expandMacros("%{"+name+"}", maps.Clone(c.s.Host.Macros))
	if err != nil {
		c.fail(err)
		return nil
	}
	return []any{s}
}
