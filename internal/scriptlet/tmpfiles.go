package scriptlet

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// Limits of systemd-tmpfiles.
const (
	maxTmpfilesSize    = 1 << 20
	maxTmpfilesLine    = 1 << 16
	maxTmpfilesItems   = 1 << 16
	maxTmpfilesProgram = 16 << 20
	maxTmpfilesBraces  = 4096 // patterns that one with {} stands for
)

// tmpfilesCommands are the commands that make what tmpfiles.d describes, and small ones of systemd.
func tmpfilesCommands() map[string]Command {
	run := tool("create remove clean boot E prefix= exclude-prefix= root= replace= no-pager", runTmpfiles)
	all := miscCommands()
	all["systemd-tmpfiles"], all["systemd-tmpfiles.standalone"] = run, run
	return all
}

// tmpfiles is one run of systemd-tmpfiles (systemd, src/tmpfiles/tmpfiles.c; tmpfiles.d(5)). It leaves out extended
// attributes, ACLs and file attributes, which an image does not hold, and ages, which only --clean looks at.
type tmpfiles struct {
	*toolRun
	names   *names
	include []string
	exclude []string
	boot    bool
	invalid bool // a line is wrong

	items, globs tmpItems
	missing      bool // something could not be made
}

// tmpItems are lines by path, in the order in which the paths first came.
type tmpItems struct {
	paths  []string
	byPath map[string][]*tmpItem
}

// tmpItem is one line.
type tmpItem struct {
	kind byte
	path string
	arg  string
	has  bool // arg

	user, group                   *Owner
	mode                          uint32
	modeSet, masked               bool
	userOnce, groupOnce, modeOnce bool // only what is made new
	force, mayFail, replace       bool // + - =
	age                           string
	major, minor                  uint32
	created, removed              bool
}

// How a path came to be that a line is about.
type tmpOrigin int

const (
	tmpMade tmpOrigin = iota
	tmpFound
	tmpReplaced
	tmpCopied
)

func runTmpfiles(r *toolRun) error {
	t := &tmpfiles{toolRun: r, boot: r.has("boot"), include: r.values("prefix"), exclude: r.values("exclude-prefix")}
	if root, ok := r.value("root"); ok && path.Clean("/"+root) != "/" {
		return r.unsupported("another root than / is not known here")
	}
	if r.has("E") {
		t.exclude = append(t.exclude, "/dev", "/proc", "/run", "/sys")
	}
	replace, replacing := r.value("replace")
	switch {
	case !r.has("create", "remove", "clean"):
		return t.quit("You need to specify at least one of --clean, --create or --remove.")
	case replacing && (!strings.HasPrefix(replace, "/") || !strings.HasSuffix(replace, ".conf")):
		return t.quit("The argument to --replace= must an absolute path to a config file")
	case replacing && len(r.args) == 0:
		return t.quit("When --replace= is given, some configuration items must be specified")
	}
	if needs, err := t.needsProc(); err != nil {
		return err
	} else if needs {
		return t.quit("/proc/ is not mounted, but required for successful operation of systemd-tmpfiles. " +
			"Please mount /proc/. Alternatively, consider using the --root= or --image= switches.")
	}
	t.names = t.FS.names()
	t.items.byPath, t.globs.byPath = map[string][]*tmpItem{}, map[string][]*tmpItem{}
	if err := t.readAll(replace); err != nil {
		return err
	}
	return t.work()
}

// quit ends the program with a message and the status 1.
func (t *tmpfiles) quit(format string, args ...any) error {
	t.log(format, args...)
	t.status = 1
	return errStop
}

func (t *tmpfiles) log(format string, args ...any) { fmt.Fprintf(t.Stderr, format+"\n", args...) }

// needsProc reports whether the tree's program does nothing without /proc, which no install root has while packages are
// installed into it: from systemd 252 on.
func (t *tmpfiles) needsProc() (bool, error) {
	for _, p := range []string{"/usr/bin/systemd-tmpfiles", "/usr/bin/systemd-tmpfiles.standalone", "/bin/systemd-tmpfiles"} {
		n, err := t.FS.Stat("/", p)
		if err != nil || !n.IsRegular() {
			continue
		}
		f, err := t.FS.OpenNode(n)
		if err != nil {
			return false, err
		}
		b, err := io.ReadAll(io.LimitReader(f, maxTmpfilesProgram))
		f.Close()
		if err != nil {
			return false, fmt.Errorf("reading %s: %w", p, err)
		}
		return bytes.Contains(b, []byte("/proc/ is not mounted, but required for successful operation")), nil
	}
	return false, nil
}

// configDirs are the directories of tmpfiles.d, the more important first.
func configDirs() []string {
	return []string{"/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d", "/lib/tmpfiles.d"}
}

// readAll reads the configuration: what is named in the arguments, or all, or all with the arguments in one's place.
func (t *tmpfiles) readAll(replace string) error {
	if len(t.args) > 0 && replace == "" {
		return t.readArguments()
	}
	files := map[string]string{}
	for _, dir := range slices.Backward(configDirs()) {
		names, err := t.FS.ReadDir("/", dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".conf") {
				files[name] = dir + "/" + name
			}
		}
	}
	base := path.Base(replace)
	if replace != "" {
		old, ok := files[base]
		if !ok || slices.Index(configDirs(), path.Dir(replace)) <= slices.Index(configDirs(), path.Dir(old)) {
			files[base] = replace
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if files[name] == replace {
			if err := t.readArguments(); err != nil {
				return err
			}
			continue
		}
		if n, err := t.FS.Lstat("/", files[name]); err == nil && n.IsSymlink() && n.Link == "/dev/null" {
			continue // masked
		}
		if _, err := t.readFile(files[name]); err != nil {
			return err
		}
	}
	return nil
}

// readArguments reads the files named in the arguments; the first that cannot be read or is wrong ends the program.
func (t *tmpfiles) readArguments() error {
	for _, name := range t.args {
		p := name
		if name != "-" && !strings.HasPrefix(name, "/") {
			for _, dir := range configDirs() {
				if t.FS.Exists("/", dir+"/"+name) {
					p = dir + "/" + name
					break
				}
			}
			if p == name {
				return t.quit("Failed to open '%s': %s", name, errorText(fs.ErrNotExist))
			}
		}
		ok, err := t.readFile(p)
		if err != nil {
			return err
		}
		if !ok {
			t.status = 1
			return errStop
		}
	}
	return nil
}

// errLine says that a line is wrong, in a way that the program counts as bad configuration.
var errLine = errors.New("invalid line")

// readFile reads one file; false says that it could not be read, or not all of it.
func (t *tmpfiles) readFile(p string) (bool, error) {
	in, name := t.Stdin, "<stdin>"
	if p != "-" {
		f, err := t.FS.Open("/", p)
		if err != nil {
			if fatal(err) {
				return false, err
			}
			t.log("Failed to open '%s': %s", p, errorText(err))
			return false, nil
		}
		defer f.Close()
		in, name = f, p
	}
	b, err := io.ReadAll(io.LimitReader(in, maxTmpfilesSize+1))
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > maxTmpfilesSize {
		return false, t.unsupported("%s has more than %d bytes", name, maxTmpfilesSize)
	}
	good := true
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) > maxTmpfilesLine {
			return false, t.unsupported("%s:%d has more than %d bytes", name, i+1, maxTmpfilesLine)
		}
		l := &tmpLine{tmpfiles: t, file: name, number: i + 1}
		switch err := l.read(line); {
		case errors.Is(err, errLine):
			t.invalid = true
		case errors.Is(err, errStop):
			good = false
		case err != nil:
			return false, err
		}
	}
	return good, nil
}

// tmpLine is a line being read.
type tmpLine struct {
	*tmpfiles
	file   string
	number int
}

func (l *tmpLine) say(format string, args ...any) {
	l.log("%s:%d: %s", l.file, l.number, fmt.Sprintf(format, args...))
}

// wrong complains about the line.
func (l *tmpLine) wrong(format string, args ...any) error {
	l.say(format, args...)
	return errLine
}

// tmpWords splits off up to n words: quotes hold together, a backslash takes the meaning from what follows. The rest is
// what comes after the blanks behind them.
func tmpWords(s string, n int) (words []string, rest string, ok bool) {
	const blanks = " \t\n\r"
	for range n {
		s = strings.TrimLeft(s, blanks)
		if s == "" {
			return words, "", true
		}
		var word strings.Builder
		quote := byte(0)
		i := 0
	scan:
		for ; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\':
				if i++; i == len(s) {
					return nil, "", false
				}
				word.WriteByte(s[i])
			case quote != 0 && c == quote:
				quote = 0
			case quote != 0:
				word.WriteByte(c)
			case c == '"' || c == '\'':
				quote = c
			case strings.IndexByte(blanks, c) >= 0:
				break scan
			default:
				word.WriteByte(c)
			}
		}
		if quote != 0 {
			return nil, "", false
		}
		words, s = append(words, word.String()), s[i:]
	}
	return words, strings.TrimLeft(s, blanks), true
}

func emptyOrDash(s string) bool { return s == "" || s == "-" }

// read reads a line and keeps what it says. A line that is passed over is no error.
func (l *tmpLine) read(line string) error {
	words, rest, ok := tmpWords(line, 6)
	if !ok {
		return l.wrong("Failed to parse line: Invalid argument")
	}
	if len(words) < 2 {
		return l.wrong("Syntax error.")
	}
	words = append(words, make([]string, 6-len(words))...)
	i := &tmpItem{arg: rest, has: !emptyOrDash(rest)}
	if !i.has {
		i.arg = ""
	}
	if words[0] == "" {
		return l.wrong("Command too short '%s'.", words[0])
	}
	i.kind = words[0][0]
	flags, err := l.modifiers(words[0], i)
	if err != nil || flags.boot && !l.boot {
		return err
	}
	var known bool
	if i.path, known, err = l.expand(words[1], i.kind); err != nil || !known {
		return err
	}
	if after, ok := strings.CutPrefix(i.path, "/var/run/"); ok && after != "" {
		l.say("Line references path below legacy directory /var/run/, updating %s → /run/%s; please update the tmpfiles.d/ drop-in file accordingly.", i.path, after)
		i.path = "/run/" + after
	}
	if !strings.HasPrefix(i.path, "/") {
		return l.wrong("Path '%s' not absolute.", i.path)
	}
	if len(i.path) > rootfs.MaxPathLength {
		return l.wrong("Path of %d bytes is too long.", len(i.path))
	}
	i.path = simplifyPath(i.path)
	if use, err := l.argument(i, flags); err != nil || !use {
		return err
	}
	if !l.wanted(i.path) {
		return nil
	}
	if use, err := l.content(i, flags); err != nil || !use {
		return err
	}
	if err := l.owner(i, words[3], words[4]); err != nil {
		return err
	}
	if err := l.mode(i, words[2]); err != nil {
		return err
	}
	if err := l.readAge(i, words[5]); err != nil {
		return err
	}
	return l.keep(i)
}

// simplifyPath takes out double slashes and single dots, and slashes at the end.
func simplifyPath(p string) string {
	var out []string
	for name := range strings.SplitSeq(p, "/") {
		if name != "" && name != "." {
			out = append(out, name)
		}
	}
	return "/" + strings.Join(out, "/")
}

// tmpFlags are the modifiers that matter while a line is read.
type tmpFlags struct{ boot, base64, credential, ifExists bool }

func (l *tmpLine) modifiers(action string, i *tmpItem) (f tmpFlags, err error) {
	seen := ""
	for _, c := range action[1:] {
		if strings.ContainsRune(seen, c) {
			return f, l.wrong("Unknown modifiers in command '%s'", action)
		}
		seen += string(c)
		switch {
		case c == '!':
			f.boot = true
		case c == '+':
			i.force = true
		case c == '-':
			i.mayFail = true
		case c == '=':
			i.replace = true
		case c == '~':
			f.base64 = true
		case c == '^':
			f.credential = true
		case c == '?' && i.kind == 'L':
			f.ifExists = true
		case c == '$': // for --purge
		default:
			return f, l.wrong("Unknown modifiers in command '%s'", action)
		}
	}
	return f, nil
}

// argument checks the argument against the kind of line; false says to pass over the line.
func (l *tmpLine) argument(i *tmpItem, f tmpFlags) (bool, error) {
	if f.base64 && strings.IndexByte("LCcbtTaAhH", i.kind) >= 0 {
		return false, l.wrong("base64 decoding not supported for this type of line.")
	}
	switch i.kind {
	case 'd', 'v', 'q', 'Q', 'e', 'D', 'p', 'x', 'X', 'r', 'R', 'm', 'z', 'Z':
		if i.has {
			l.say("%c lines don't take argument fields, ignoring.", i.kind)
		}
	case 'f', 'F':
	case 'L', 'C':
		if !i.has {
			i.arg, i.has = "/usr/share/factory"+i.path, true
		} else if i.kind == 'C' && !strings.HasPrefix(i.arg, "/") {
			return false, l.wrong("Source path '%s' is not absolute.", i.arg)
		}
		if i.kind == 'C' {
			i.arg = simplifyPath(i.arg)
			if _, err := l.FS.Lstat("/", i.arg); err != nil {
				return false, nil
			}
		}
		if f.ifExists && !l.FS.Exists(path.Dir(i.path), i.arg) {
			return false, nil
		}
	case 'w':
		if !i.has {
			return false, l.wrong("Write file requires argument.")
		}
	case 'c', 'b':
		if !i.has {
			return false, l.wrong("Device file requires argument.")
		}
		major, minor, ok := strings.Cut(i.arg, ":")
		a, err := strconv.ParseUint(major, 10, 12)
		b, err2 := strconv.ParseUint(minor, 10, 20)
		if !ok || err != nil || err2 != nil {
			return false, l.wrong("Can't parse device file major/minor '%s'.", i.arg)
		}
		i.major, i.minor = uint32(a), uint32(b)
	case 't', 'T', 'a', 'A', 'h', 'H':
		if !i.has {
			return false, l.wrong("%c lines require an argument.", i.kind)
		}
	default:
		return false, l.wrong("Unknown command type '%c'.", i.kind)
	}
	return true, nil
}

// content reads escapes, specifiers and base64 in the argument; false says to pass over the line.
func (l *tmpLine) content(i *tmpItem, f tmpFlags) (bool, error) {
	if f.credential {
		if !i.has {
			l.say("Reading from credential requested, but no credential name specified.")
			return false, errStop
		}
		return false, nil // nobody passes credentials while packages are installed
	}
	if !i.has || strings.IndexByte("CLfFw", i.kind) < 0 {
		return true, nil
	}
	if f.base64 {
		b, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(i.arg), ""))
		if err != nil {
			l.say("Failed to base64 decode specified argument '%s'", i.arg)
			return false, errStop
		}
		i.arg = string(b)
		return true, nil
	}
	text, ok := unescapeC(i.arg)
	if !ok {
		return false, l.wrong("Failed to unescape parameter to write: %s", i.arg)
	}
	text, known, err := l.expand(text, i.kind)
	i.arg = text
	return known, err
}

// unescapeC reads the escapes of C.
func unescapeC(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", false
		}
		if k := strings.IndexByte("abfnrtvs\\\"'", s[i]); k >= 0 {
			b.WriteByte("\a\b\f\n\r\t\v \\\"'"[k])
			continue
		}
		digits, base, size := 0, 0, 8
		switch {
		case s[i] == 'x':
			digits, base, i = 2, 16, i+1
		case s[i] == 'u':
			digits, base, size, i = 4, 16, 32, i+1
		case s[i] == 'U':
			digits, base, size, i = 8, 16, 32, i+1
		case s[i] >= '0' && s[i] <= '7':
			digits, base = 3, 8
		default:
			return "", false
		}
		if i+digits > len(s) {
			return "", false
		}
		n, err := strconv.ParseUint(s[i:i+digits], base, size)
		if err != nil || n == 0 {
			return "", false
		}
		if size == 8 {
			b.WriteByte(byte(n))
		} else {
			b.WriteRune(rune(n))
		}
		i += digits - 1
	}
	return b.String(), true
}

// expand replaces specifiers. What a machine only knows once it runs makes known false: the line is for later.
func (l *tmpLine) expand(s string, kind byte) (out string, known bool, err error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case '%':
			b.WriteByte('%')
		case 'm', 'b':
			if c == 'b' && strings.IndexByte("xXrR", kind) < 0 {
				return "", false, l.unsupported("%s:%d asks for the boot id", l.file, l.number)
			}
			if c == 'm' {
				l.say("Failed to resolve specifier: uninitialized /etc/ detected, skipping.")
			}
			return "", false, nil
		case 'H', 'l', 'v', 'q':
			return "", false, l.unsupported("%s:%d asks for %%%c, which is of a running machine", l.file, l.number, c)
		case 'a':
			b.WriteString(systemdArch(l.Host.Arch))
		case 'B', 'o', 'w', 'W', 'A', 'M':
			b.WriteString(l.release(map[byte]string{'B': "BUILD_ID", 'o': "ID", 'w': "VERSION_ID", 'W': "VARIANT_ID", 'A': "IMAGE_VERSION", 'M': "IMAGE_ID"}[c]))
		case 'h', 'C', 'L', 'S', 't', 'T', 'V', 'u', 'g', 'U', 'G':
			b.WriteString(map[byte]string{
				'h': "/root", 'C': "/var/cache", 'L': "/var/log", 'S': "/var/lib", 't': "/run", 'T': "/tmp",
				'V': "/var/tmp", 'u': "root", 'g': "root", 'U': "0", 'G': "0",
			}[c])
		default:
			if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
				return "", false, l.wrong("Failed to replace specifiers in '%s': Invalid slot", s)
			}
			b.WriteByte('%')
			b.WriteByte(c)
		}
	}
	return b.String(), true, nil
}

// systemdArch is systemd's name of an architecture.
func systemdArch(rpmArch string) string {
	switch rpmArch {
	case "x86_64":
		return "x86-64"
	case "aarch64":
		return "arm64"
	case "ppc64le":
		return "ppc64-le"
	case "i686":
		return "x86"
	}
	return rpmArch
}

// release is a value of os-release.
func (t *tmpfiles) release(key string) string {
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		b, err := t.FS.ReadFile("/", p)
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			if value, ok := strings.CutPrefix(line, key+"="); ok {
				return strings.Trim(strings.TrimSpace(value), `"'`)
			}
		}
		break
	}
	return ""
}

// wanted reports whether --prefix and --exclude-prefix leave a path in.
func (t *tmpfiles) wanted(p string) bool {
	in := func(prefixes []string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool {
			prefix = simplifyPath(prefix)
			return p == prefix || prefix == "/" || strings.HasPrefix(p, prefix+"/")
		})
	}
	return !in(t.exclude) && (len(t.include) == 0 || in(t.include))
}

func (l *tmpLine) owner(i *tmpItem, user, group string) error {
	find := func(name string, known map[string]uint32) (*Owner, bool) {
		if id, err := strconv.ParseUint(name, 10, 32); err == nil && id != 1<<32-1 && id != 1<<16-1 {
			return &Owner{ID: uint32(id)}, true
		}
		id, ok := known[name]
		if !ok && (name == "root" || name == "nobody" || name == "nogroup" && l.names.groups[name] != 0) {
			ok = true
			if name != "root" {
				id = 65534
			}
		}
		return &Owner{Name: name, ID: id}, ok
	}
	var ok bool
	if !emptyOrDash(user) {
		user, i.userOnce = strings.CutPrefix(user, ":")
		if i.user, ok = find(user, l.names.users); !ok {
			return l.wrong("Failed to resolve user '%s': No such process", user)
		}
	}
	if !emptyOrDash(group) {
		group, i.groupOnce = strings.CutPrefix(group, ":")
		if i.group, ok = find(group, l.names.groups); !ok {
			return l.wrong("Failed to resolve group '%s'.", group)
		}
	}
	return nil
}

func (l *tmpLine) mode(i *tmpItem, word string) error {
	i.mode = 0o644
	if strings.IndexByte("dDvqQ", i.kind) >= 0 {
		i.mode = 0o755
	}
	if emptyOrDash(word) {
		return nil
	}
	digits := word
	for digits != "" && (digits[0] == '~' || digits[0] == ':') {
		i.masked = i.masked || digits[0] == '~'
		i.modeOnce = i.modeOnce || digits[0] == ':'
		digits = digits[1:]
	}
	n, err := strconv.ParseUint(digits, 8, 32)
	if err != nil || n > 0o7777 {
		return l.wrong("Invalid mode '%s'.", word)
	}
	i.mode, i.modeSet = uint32(n), true
	return nil
}

func (l *tmpLine) readAge(i *tmpItem, word string) error {
	if emptyOrDash(word) {
		return nil
	}
	i.age = word
	age := strings.TrimPrefix(word, "~")
	if by, rest, ok := strings.Cut(age, ":"); ok {
		if by == "" || strings.Trim(by, "abcmABCM \t") != "" {
			return l.wrong("Invalid age-by '%s'.", by)
		}
		age = rest
	}
	unit := `(seconds|second|sec|s|minutes|minute|min|m|months|month|M|milliseconds|msec|ms|hours|hour|hr|h|days|day|d|weeks|week|w|years|year|y|usec|us|µs|nsec|ns)`
	if !regexp.MustCompile(`^\s*(infinity|([0-9]+(\.[0-9]*)?\s*` + unit + `?\s*)+)\s*$`).MatchString(age) {
		return l.wrong("Invalid age '%s'.", age)
	}
	return nil
}

// takesOwnership tells lines that a path may have one of, unless they say the same.
func (i *tmpItem) takesOwnership() bool { return strings.IndexByte("fFdeDvqQpLcbCwxXrR", i.kind) >= 0 }

func (i *tmpItem) usesGlob() bool { return strings.IndexByte("wxXrRemzZtTaAhH", i.kind) >= 0 }

// compatible reports whether two lines for a path may stand beside each other.
func (i *tmpItem) compatible(o *tmpItem) bool {
	if !i.takesOwnership() || !o.takesOwnership() {
		return true
	}
	same := func(a, b *Owner) bool { return a == nil && b == nil || a != nil && b != nil && a.ID == b.ID }
	return i.arg == o.arg && same(i.user, o.user) && same(i.group, o.group) && i.userOnce == o.userOnce && i.groupOnce == o.groupOnce &&
		i.mode == o.mode && i.modeSet == o.modeSet && i.modeOnce == o.modeOnce && i.masked == o.masked && i.age == o.age &&
		i.major == o.major && i.minor == o.minor
}

// keep adds a line to those of its path.
func (l *tmpLine) keep(i *tmpItem) error {
	in := &l.items
	if i.usesGlob() {
		in = &l.globs
	}
	for _, old := range in.byPath[i.path] {
		if !old.compatible(i) && !(old.kind == 'w' && old.force && i.kind == 'w' && i.force) {
			l.say("Duplicate line for path \"%s\", ignoring.", i.path)
			return nil
		}
	}
	if len(in.paths) >= maxTmpfilesItems || len(in.byPath[i.path]) >= maxTmpfilesItems/64 {
		return l.unsupported("more than %d lines", maxTmpfilesItems)
	}
	if in.byPath[i.path] == nil {
		in.paths = append(in.paths, i.path)
	}
	all := append(in.byPath[i.path], i)
	slices.SortStableFunc(all, func(a, b *tmpItem) int {
		if a.takesOwnership() != b.takesOwnership() {
			if a.takesOwnership() {
				return -1
			}
			return 1
		}
		return int(a.kind) - int(b.kind)
	})
	in.byPath[i.path] = all
	return nil
}

// work does what all lines say: takes away first, then makes; patterns last, since they change what others make.
func (t *tmpfiles) work() error {
	for _, creating := range []bool{false, true} {
		if creating && !t.has("create") || !creating && !t.has("remove") {
			continue
		}
		for _, in := range []*tmpItems{&t.items, &t.globs} {
			for _, p := range in.paths {
				if err := t.process(in.byPath[p], p, creating); err != nil {
					return err
				}
			}
		}
	}
	switch {
	case t.invalid:
		t.status = 65
	case t.missing:
		t.status = 73
	}
	return nil
}

// parents are the lines of the closest directory above that has lines.
func (t *tmpfiles) parents(p string) (items []*tmpItem, at string) {
	for p != "/" {
		p = path.Dir(p)
		for _, in := range []*tmpItems{&t.items, &t.globs} {
			if items := in.byPath[p]; items != nil {
				return items, p
			}
		}
	}
	return nil, ""
}

// process does the lines of one path, those of directories above it before when something is made, those of what is
// below it before when something is taken away.
func (t *tmpfiles) process(items []*tmpItem, p string, creating bool) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if creating {
		if above, at := t.parents(p); above != nil && slices.ContainsFunc(above, func(i *tmpItem) bool { return !i.created }) {
			if err := t.process(above, at, true); err != nil {
				return err
			}
		}
	}
	for _, i := range items {
		if creating && i.created || !creating && i.removed {
			continue
		}
		var err error
		if creating {
			i.created = true
			err = t.create(i)
		} else {
			i.removed = true
			err = t.removeItem(i)
		}
		if err != nil {
			if !errors.Is(err, errStop) {
				return err
			}
			if !creating || !i.mayFail {
				t.missing = true
			}
		}
	}
	return nil
}

// failed complains about what could not be done.
func (t *tmpfiles) failed(format string, args ...any) error {
	t.log(format, args...)
	return errStop
}

// removeItem does one line of --remove.
func (t *tmpfiles) removeItem(i *tmpItem) error {
	switch i.kind {
	case 'D':
		n, err := t.FS.Lstat("/", i.path)
		if err != nil || !n.IsDir() {
			return nil
		}
		for _, name := range t.FS.Tree().List(n.Path) {
			if err := t.FS.RemoveAll("/", n.Path+"/"+name); err != nil {
				return t.failed("rm_rf(%s): %s", i.path, errorText(err))
			}
		}
	case 'r', 'R':
		return t.eachGlob(i, func(p string) error {
			remove := t.FS.Remove
			if i.kind == 'R' {
				remove = t.FS.RemoveAll
			}
			if err := remove("/", p); err != nil && !isNotExist(err) {
				return t.failed("rm(%s): %s", p, errorText(err))
			}
			return nil
		})
	}
	return nil
}

// create does one line of --create.
func (t *tmpfiles) create(i *tmpItem) error {
	switch i.kind {
	case 'x', 'X', 'r', 'R', 'h', 'H':
		return nil
	case 'e':
		return t.eachGlob(i, func(p string) error { return t.emptyDirectory(i, p) })
	case 'w':
		return t.eachGlob(i, func(p string) error { return t.write(i, p) })
	case 'z', 'm':
		return t.eachGlob(i, func(p string) error {
			n, err := t.safe(p, false)
			if err != nil {
				return t.failed("Failed to open path %s: %v", p, err)
			}
			return t.permissions(i, n.Path, tmpFound)
		})
	case 'Z':
		return t.eachGlob(i, func(p string) error {
			n, err := t.FS.Lstat("/", p)
			if err != nil {
				return t.failed("Opening '%s' failed: %s", p, errorText(err))
			}
			return t.recursively(i, n.Path)
		})
	case 't', 'T', 'a', 'A':
		return t.eachGlob(i, func(p string) error {
			t.log("%s: an image holds no extended attributes and ACLs, leaving it as it is.", p)
			return nil
		})
	}
	if slices.Contains(strings.Split(i.path, "/"), "..") {
		return t.failed("Failed to open parent of '%s': path not normalized.", i.path)
	}
	if err := t.makeParents(i); err != nil {
		return err
	}
	return t.make(i)
}

// makeParents makes the directories above; with = what is there and is none goes.
func (t *tmpfiles) makeParents(i *tmpItem) error {
	dir := path.Dir(i.path)
	if !i.replace {
		if err := t.FS.MkdirAll("/", dir, 0o755); fatal(err) {
			return err
		}
		return nil
	}
	at := ""
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		at += "/" + name
		n, err := t.FS.Stat("/", at)
		if err == nil && n.IsDir() {
			continue
		}
		if _, err := t.FS.Lstat("/", at); err == nil {
			t.log("Wrong file type; rm -rf \"%s\"", at)
			if err := t.FS.Remove("/", at); err != nil {
				return t.failed("Failed to remove \"%s\": %s", at, errorText(err))
			}
		}
		if err := t.FS.Mkdir("/", at, 0o755); err != nil {
			return t.failed("Failed to mkdir \"%s\": %s", at, errorText(err))
		}
	}
	kind := map[byte]uint32{
		'f': rpm.ModeRegular, 'F': rpm.ModeRegular, 'd': rpm.ModeDir, 'D': rpm.ModeDir, 'v': rpm.ModeDir, 'q': rpm.ModeDir,
		'Q': rpm.ModeDir, 'p': rpm.ModeFIFO, 'L': rpm.ModeSymlink, 'c': rpm.ModeChar, 'b': rpm.ModeBlock,
	}[i.kind]
	if n, err := t.FS.Lstat("/", i.path); kind != 0 && err == nil && n.Mode&rpm.ModeType != kind {
		t.log("Wrong file type; rm -rf \"%s\"", i.path)
		return t.FS.RemoveAll("/", i.path)
	}
	return nil
}

// safe walks to what is at p, the last name followed or not, and refuses ways that somebody but root could bend: from
// what belongs to a user to what belongs to another.
func (t *tmpfiles) safe(p string, follow bool) (*rootfs.Node, error) {
	if slices.Contains(strings.Split(p, "/"), "..") {
		return nil, errors.New("path not normalized")
	}
	at := t.FS.Tree().Node("/")
	rest := strings.Split(strings.Trim(p, "/"), "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = t.FS.Tree().Node(path.Dir(at.Path))
			continue
		}
		if !at.IsDir() {
			return nil, errors.New("not a directory")
		}
		n := t.FS.Tree().Node(path.Join(at.Path, name))
		if n == nil {
			return nil, fs.ErrNotExist
		}
		if from := t.names.uid(at); from != 0 && from != t.names.uid(n) {
			t.log("Detected unsafe path transition %s → %s during canonicalization of %s.", at.Path, n.Path, p)
			return nil, errors.New("unsafe symlink")
		}
		if !n.IsSymlink() || len(rest) == 0 && !follow {
			at = n
			continue
		}
		if links++; links > 32 {
			return nil, errors.New("too many levels of symbolic links")
		}
		if strings.HasPrefix(n.Link, "/") {
			root := t.FS.Tree().Node("/")
			if from := t.names.uid(n); from != 0 && from != t.names.uid(root) {
				t.log("Detected unsafe path transition %s → / during canonicalization of %s.", n.Path, p)
				return nil, errors.New("unsafe symlink")
			}
			at = root
		}
		rest = append(strings.Split(n.Link, "/"), rest...)
	}
	return at, nil
}

// place is where a line's path is, its directory's links followed, and what is there, nil for nothing.
func (t *tmpfiles) place(p string) (string, *rootfs.Node, error) {
	dir, err := t.safe(path.Dir(p), true)
	if err != nil {
		text := err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			text = errorText(err)
		}
		return "", nil, t.failed("Failed to open path '%s': %s", path.Dir(p), text)
	}
	at := path.Join(dir.Path, path.Base(p))
	return at, t.FS.Tree().Node(at), nil
}

// make makes what a line says, or leaves what is there.
func (t *tmpfiles) make(i *tmpItem) error {
	if i.path == "/" {
		if strings.IndexByte("dDvqQ", i.kind) >= 0 {
			return t.permissions(i, "/", tmpFound)
		}
		return t.failed("Cannot open path '/', is a directory.")
	}
	at, n, err := t.place(i.path)
	if err != nil {
		return err
	}
	switch i.kind {
	case 'f', 'F':
		return t.file(i, at, n)
	case 'd', 'D', 'v', 'q', 'Q':
		return t.directory(i, at, n)
	case 'L':
		return t.special(i, at, n, "symlink", func(n *rootfs.Node) bool { return n.IsSymlink() && n.Link == i.arg },
			func() error { return t.FS.Symlink("/", i.arg, at) })
	case 'p':
		return t.special(i, at, n, "FIFO", func(n *rootfs.Node) bool { return n.Mode&rpm.ModeType == rpm.ModeFIFO },
			func() error { return t.FS.Mknod("/", at, rpm.ModeFIFO|i.mode, 0, 0) })
	case 'c', 'b':
		kind := uint32(rpm.ModeChar)
		if i.kind == 'b' {
			kind = rpm.ModeBlock
		}
		return t.special(i, at, n, "device node", func(n *rootfs.Node) bool { return n.Mode&rpm.ModeType == kind },
			func() error { return t.FS.Mknod("/", at, kind|i.mode, i.major, i.minor) })
	case 'C':
		return t.copy(i, at)
	}
	return t.unsupported("lines of type %c are not known here", i.kind)
}

func (t *tmpfiles) file(i *tmpItem, at string, n *rootfs.Node) error {
	origin := tmpFound
	switch {
	case n == nil:
		origin = tmpMade
		if err := t.FS.WriteFile("/", at, []byte(i.arg), i.mode); err != nil {
			return t.failed("Failed to create file %s: %s", i.path, errorText(err))
		}
	case !n.IsRegular():
		return t.failed("%s exists and is not a regular file.", i.path)
	case i.force || i.kind == 'F':
		if n.Size == 0 && i.arg == "" {
			break
		}
		if err := t.FS.WriteFile("/", at, []byte(i.arg), i.mode); err != nil {
			return t.failed("Failed to open/create file %s: %s", i.path, errorText(err))
		}
	}
	return t.permissions(i, at, origin)
}

func (t *tmpfiles) directory(i *tmpItem, at string, n *rootfs.Node) error {
	origin := tmpFound
	switch {
	case n == nil:
		origin = tmpMade
		if err := t.FS.Mkdir("/", at, i.mode); err != nil {
			return t.failed("Failed to create directory or subvolume \"%s\": %s", i.path, errorText(err))
		}
	case !n.IsDir():
		t.log("\"%s\" already exists and is not a directory.", i.path)
		return nil
	}
	return t.permissions(i, at, origin)
}

// special makes what is neither file nor directory. Where something else is, it goes with +, and stays without.
func (t *tmpfiles) special(i *tmpItem, at string, n *rootfs.Node, what string, right func(n *rootfs.Node) bool, mk func() error) error {
	origin := tmpFound
	switch {
	case n == nil:
		origin = tmpMade
	case right(n):
		return t.permissions(i, at, origin)
	case !i.force:
		if what != "symlink" {
			t.log("\"%s\" already exists and is not a %s.", i.path, what)
		}
		return nil
	default:
		origin = tmpReplaced
		if err := t.FS.RemoveAll("/", at); err != nil {
			return t.failed("rm -rf %s failed: %s", i.path, errorText(err))
		}
	}
	if err := mk(); err != nil {
		return t.failed("Failed to create %s '%s': %s", what, i.path, errorText(err))
	}
	return t.permissions(i, at, origin)
}

func (t *tmpfiles) emptyDirectory(i *tmpItem, p string) error {
	n, err := t.safe(p, true)
	switch {
	case isNotExist(err):
		return nil
	case err != nil:
		return t.failed("Failed to open directory '%s': %v", p, err)
	case !n.IsDir():
		t.log("'%s' already exists and is not a directory.", p)
		return nil
	}
	return t.permissions(i, n.Path, tmpFound)
}

// write writes over the beginning of a file that is there, or behind its end.
func (t *tmpfiles) write(i *tmpItem, p string) error {
	at, n, err := t.place(p)
	if err != nil {
		return err
	}
	if n != nil && n.IsSymlink() {
		if n, err = t.FS.Stat("/", at); err != nil && !isNotExist(err) {
			return t.failed("Failed to open file \"%s\": %s", p, errorText(err))
		}
	}
	switch {
	case n == nil:
		return nil
	case n.IsDir():
		return t.failed("Failed to open file \"%s\": Is a directory", p)
	case n.IsRegular():
		old, err := t.FS.ReadFile("/", n.Path)
		if err != nil {
			return err
		}
		content := []byte(i.arg)
		if i.force {
			content = append(old, content...)
		} else if len(old) > len(content) {
			content = append(content, old[len(content):]...)
		}
		if err := t.FS.WriteFile("/", n.Path, content, n.Perm()); err != nil {
			return t.failed("Failed to write file \"%s\": %s", p, errorText(err))
		}
	}
	return t.permissions(i, n.Path, tmpFound)
}

// copy copies a file or directory to where nothing is, or an empty directory; with + into a directory that is there, as
// systemd does from 253 on.
func (t *tmpfiles) copy(i *tmpItem, at string) error {
	from, err := t.FS.Lstat("/", i.arg)
	if err != nil {
		return nil
	}
	if from.Path == at || strings.HasPrefix(at, from.Path+"/") {
		return t.failed("Failed to copy files to %s: Invalid argument", i.path)
	}
	if n := t.FS.Tree().Node(at); n == nil || n.IsDir() && from.IsDir() && (i.force || len(t.FS.Tree().List(at)) == 0) {
		if err := t.copyTree(i, from, at); err != nil {
			return err
		}
	}
	n := t.FS.Tree().Node(at)
	target, err := t.FS.Stat("/", i.arg)
	if err != nil || n == nil || n.Mode&rpm.ModeType != target.Mode&rpm.ModeType {
		return nil
	}
	return t.permissions(i, at, tmpCopied)
}

func (t *tmpfiles) copyTree(i *tmpItem, from *rootfs.Node, to string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	old := t.FS.Tree().Node(to)
	if old != nil && !(old.IsDir() && from.IsDir()) {
		return nil
	}
	if old == nil {
		c := *from
		source := *from
		c.Path, c.HardTo, c.Owners, c.Package, c.Open = to, "", nil, -1, nil
		if from.IsRegular() {
			c.Open = func() (io.ReadCloser, error) { return t.FS.OpenNode(&source) }
		}
		if i.user != nil {
			c.User, c.UID = i.user.Name, i.user.ID
		}
		if i.group != nil {
			c.Group, c.GID = i.group.Name, i.group.ID
		}
		if err := t.FS.Tree().Put(&c); err != nil {
			return err
		}
	}
	for _, name := range t.FS.Tree().List(from.Path) {
		if err := t.copyTree(i, t.FS.Tree().Node(path.Join(from.Path, name)), path.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// recursively sets the permissions of what is at p and of all below it.
func (t *tmpfiles) recursively(i *tmpItem, p string) error {
	if err := t.ctx.Err(); err != nil {
		return err
	}
	if err := t.permissions(i, p, tmpFound); err != nil {
		return err
	}
	for _, name := range t.FS.Tree().List(p) {
		if err := t.recursively(i, path.Join(p, name)); err != nil {
			return err
		}
	}
	return nil
}

// permissions sets owner and mode of what is at p, as far as the line says them.
func (t *tmpfiles) permissions(i *tmpItem, p string, origin tmpOrigin) error {
	n := t.FS.Tree().Node(p)
	if n == nil {
		return t.failed("stat(%s) failed: %s", p, errorText(fs.ErrNotExist))
	}
	user, group := i.user, i.group
	if origin == tmpFound && i.userOnce || user != nil && user.ID == t.names.uid(n) {
		user = nil
	}
	if origin == tmpFound && i.groupOnce || group != nil && group.ID == t.names.gid(n) {
		group = nil
	}
	mode := n.Perm()
	if i.modeSet && !(origin == tmpFound && i.modeOnce) {
		mode = i.mode
		if i.masked {
			mode = maskMode(mode, n)
		}
	}
	isLink := n.IsSymlink()
	if user != nil || group != nil {
		if err := t.FS.Chown("/", p, user, group, false); err != nil {
			return t.failed("fchownat() of %s failed: %s", p, errorText(err))
		}
	}
	if isLink {
		return nil
	}
	if err := t.FS.Chmod("/", p, mode); err != nil {
		return t.failed("fchmod() of %s failed: %s", p, errorText(err))
	}
	return nil
}

// maskMode takes from a mode what nobody may do with the file now.
func maskMode(mode uint32, n *rootfs.Node) uint32 {
	for _, bits := range []uint32{0o111, 0o222, 0o444} {
		if n.Mode&bits == 0 {
			mode &^= bits
		}
	}
	if !n.IsDir() {
		mode &^= 0o7000
	}
	return mode
}

// eachGlob does something to all paths that a line's pattern fits.
func (t *tmpfiles) eachGlob(i *tmpItem, do func(p string) error) error {
	var failed error
	seen := map[string]bool{}
	for _, pattern := range braces(i.path, maxTmpfilesBraces) {
		paths, err := globFiles(t.FS, "/", pattern)
		if err != nil {
			return t.unsupported("%s: %v", i.path, err)
		}
		for _, p := range paths {
			if seen[p] && i.kind != 'w' {
				continue
			}
			seen[p] = true
			if err := do(p); err != nil {
				if !errors.Is(err, errStop) {
					return err
				}
				failed = err
			}
		}
	}
	return failed
}

// braces expands {a,b} as glob(3) does with GLOB_BRACE, to at most limit patterns.
func braces(p string, limit int) []string {
	open := -1
	for k := 0; k < len(p) && open < 0; k++ {
		if p[k] == '{' && !strings.HasPrefix(p[k:], "{}") {
			open = k
		}
	}
	if open < 0 {
		return []string{p}
	}
	var parts []string
	depth, start := 0, open+1
	for k := open; k < len(p); k++ {
		switch p[k] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				parts, start = append(parts, p[start:k]), k+1
			}
		case '}':
			if depth--; depth > 0 {
				continue
			}
			var all []string
			for _, part := range append(parts, p[start:k]) {
				if len(all) >= limit {
					break
				}
				all = append(all, braces(p[:open]+part+p[k+1:], limit-len(all))...)
			}
			return all
		}
	}
	return []string{p}
}
