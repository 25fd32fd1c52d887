package scriptlet

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What every machine says of itself.
const (
	hostName      = "localhost"
	kernelRelease = "6.12.0"
)

func systemCommands() map[string]Command {
	all := map[string]Command{
		"arch":     tool("", func(r *toolRun) error { r.printf("%s\n", r.Host.Arch); return nil }),
		"basename": tool("+multiple,a suffix,s= zero,z", baseNames),
		"cmp":      tool("quiet,silent,s print-bytes,b verbose,l bytes,n=", compareFiles),
		"date":     rawTool(date),
		"dd":       rawTool(copyBlocks),
		"diff":     tool("brief,q unified,u=? report-identical-files,s text,a ignore-space-change,b recursive,r new-file,N", difference),
		"dirname":  tool("zero,z", dirNames),
		"echo":     rawTool(echo),
		"env":      rawTool(environment),
		"expr":     rawTool(expression),
		"false":    rawTool(func(r *toolRun) error { r.status = 1; return nil }),
		"groups":   tool("", func(r *toolRun) error { return r.groupsOf() }),
		"gunzip":   tool("stdout,to-stdout,c force,f keep,k quiet,q test,t decompress,d no-name,n name,N verbose,v", decompress),
		"gzip":     tool("stdout,to-stdout,c force,f keep,k quiet,q test,t decompress,uncompress,d no-name,n name,N verbose,v 1 2 3 4 5 6 7 8 9 fast best", decompress),
		"hostid":   tool("", func(r *toolRun) error { r.printf("00000000\n"); return nil }),
		"hostname": tool("short,s fqdn,long,f domain,d ip-address,i all-ip-addresses,I alias,a", hostname),
		"id":       tool("user,u group,g groups,G name,n real,r zero,z a", identity),
		"logname":  tool("", func(r *toolRun) error { return r.die(1, "no login name") }),
		"nice":     tool("+adjustment,n=", func(r *toolRun) error { return r.child(r.args) }),
		"nohup":    tool("+", func(r *toolRun) error { return r.child(r.args) }),
		"nproc":    tool("all ignore=", func(r *toolRun) error { r.printf("1\n"); return nil }),
		"printf":   rawTool(formatted),
		"pwd":      tool("logical,L physical,P", workingDirectory),
		"seq":      rawTool(sequence),
		"setsid":   tool("+fork,f wait,w ctty,c", func(r *toolRun) error { return r.child(r.args) }),
		"sleep":    rawTool(func(r *toolRun) error { return nil }),
		"stdbuf":   tool("+input,i= output,o= error,e=", func(r *toolRun) error { return r.child(r.args) }),
		"sync":     rawTool(func(r *toolRun) error { return nil }),
		"timeout":  tool("+foreground preserve-status kill-after,k= signal,s= verbose,v", limited),
		"test":     rawTool(conditional),
		"[":        rawTool(conditional),
		"true":     rawTool(func(r *toolRun) error { return nil }),
		"tty":      tool("silent,quiet,s", notTerminal),
		"uname": tool("all,a kernel-name,s nodename,n kernel-release,r kernel-version,v machine,m processor,p hardware-platform,i "+
			"operating-system,o", unixName),
		"which":  tool("all,a s", which),
		"whoami": tool("", func(r *toolRun) error { r.printf("root\n"); return nil }),
		"zcat":   tool("force,f quiet,q stdout,c decompress,d", decompress),
	}
	for name, sum := range map[string]func() hash.Hash{
		"md5sum": md5.New, "sha1sum": sha1.New, "sha224sum": sha256.New224,
		"sha256sum": sha256.New, "sha384sum": sha512.New384, "sha512sum": sha512.New,
	} {
		all[name] = tool("binary,b text,t check,c quiet status zero,z strict warn,w tag ignore-missing", digester(sum))
	}
	return all
}

// child runs a program in this one's place.
func (r *toolRun) child(args []string) error {
	if len(args) == 0 {
		return r.missingOperand()
	}
	if err := r.out.Flush(); err != nil {
		return nil
	}
	status, err := r.Run(r.ctx, args, r.Stdin, r.Stdout, r.Stderr)
	r.status = status
	return err
}

// conditional is test, as the shell knows it.
func conditional(r *toolRun) error {
	return r.child(append([]string{"sh", "-c", shellQuote(r.name) + ` "$@"`, "sh"}, r.args...))
}

func limited(r *toolRun) error {
	if len(r.args) < 2 {
		return r.die(125, "missing operand")
	}
	return r.child(r.args[1:])
}

func notTerminal(r *toolRun) error {
	if !r.has("silent") {
		r.printf("not a tty\n")
	}
	r.status = 1
	return nil
}

func baseNames(r *toolRun) error {
	suffix, given := r.value("suffix")
	args := r.args
	if !given && !r.has("multiple") {
		switch len(args) {
		case 0:
			return r.missingOperand()
		case 1:
		case 2:
			suffix, args = args[1], args[:1]
		default:
			return r.die(1, "extra operand '%s'", args[2])
		}
	}
	if len(args) == 0 {
		return r.missingOperand()
	}
	for _, a := range args {
		b := baseName(a)
		if b != suffix {
			b = strings.TrimSuffix(b, suffix)
		}
		r.printf("%s%s", b, r.lineEnd())
	}
	return nil
}

func (r *toolRun) lineEnd() string {
	if r.has("zero") {
		return "\x00"
	}
	return "\n"
}

func dirNames(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	for _, a := range r.args {
		t := trimmed(a)
		switch i := strings.LastIndexByte(t, '/'); {
		case t == "/":
		case i < 0:
			t = "."
		default:
			if t = strings.TrimRight(t[:i], "/"); t == "" {
				t = "/"
			}
		}
		r.printf("%s%s", t, r.lineEnd())
	}
	return nil
}

func echo(r *toolRun) error {
	args := r.args
	newline, escapes := true, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.Trim(args[0][1:], "neE") == "" {
		for _, c := range args[0][1:] {
			switch c {
			case 'n':
				newline = false
			case 'e':
				escapes = true
			case 'E':
				escapes = false
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		var stopped bool
		if text, stopped = unescape(text, true); stopped {
			newline = false
		}
	}
	r.printf("%s", text)
	if newline {
		r.printf("\n")
	}
	return nil
}

// unescape reads the escapes of printf(1); those of echo -e and %b have their octal numbers after a 0. stopped says that
// \c ended the text.
func unescape(s string, zero bool) (out string, stopped bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		number := func(from, most int, base uint64) {
			v, j := uint64(0), from
			for ; j < len(s) && j < from+most; j++ {
				d := strings.IndexByte("0123456789abcdef", s[j]|0x20)
				if s[j] >= '0' && s[j] <= '9' {
					d = int(s[j] - '0')
				}
				if d < 0 || uint64(d) >= base {
					break
				}
				v = v*base + uint64(d)
			}
			b.WriteByte(byte(v))
			i = j - 1
		}
		switch c := s[i]; c {
		case 'a':
			b.WriteByte(7)
		case 'b':
			b.WriteByte(8)
		case 'e':
			b.WriteByte(27)
		case 'f':
			b.WriteByte(12)
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 't':
			b.WriteByte('\t')
		case 'v':
			b.WriteByte(11)
		case '\\':
			b.WriteByte('\\')
		case '"':
			if zero {
				b.WriteByte('\\')
			}
			b.WriteByte('"')
		case 'c':
			return b.String(), true
		case 'x':
			if i+1 < len(s) && strings.IndexByte("0123456789abcdefABCDEF", s[i+1]) >= 0 {
				number(i+1, 2, 16)
			} else {
				b.WriteString(`\x`)
			}
		case '0', '1', '2', '3', '4', '5', '6', '7':
			if zero && c == '0' {
				number(i+1, 3, 8)
			} else if zero && c != '0' {
				number(i, 3, 8)
			} else {
				number(i, 3, 8)
			}
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	return b.String(), false
}

func formatted(r *toolRun) error {
	args := r.args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return r.missingOperand()
	}
	format := args[0]
	args = args[1:]
	for round := 0; round == 0 || len(args) > 0; round++ {
		used, stopped, err := r.formatOnce(format, &args)
		if err != nil || stopped || !used {
			return err
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// formatOnce goes through a format once. used reports whether it took an argument.
func (r *toolRun) formatOnce(format string, args *[]string) (used, stopped bool, err error) {
	next := func() string {
		if len(*args) == 0 {
			return ""
		}
		a := (*args)[0]
		*args, used = (*args)[1:], true
		return a
	}
	literal := func(s string) bool {
		text, stop := unescape(s, false)
		r.printf("%s", text)
		return stop
	}
	for {
		before, rest, found := strings.Cut(format, "%")
		if literal(before) {
			return used, true, nil
		}
		if !found {
			return used, false, nil
		}
		i := 0
		spec := "%"
		for ; i < len(rest) && strings.IndexByte("#-+ 0123456789.*'", rest[i]) >= 0; i++ {
			switch rest[i] {
			case '*':
				spec += next()
			case '\'':
			default:
				spec += rest[i : i+1]
			}
		}
		if i == len(rest) {
			return used, true, r.die(1, "%%%s: invalid conversion specification", rest)
		}
		switch c := rest[i]; c {
		case '%':
			r.printf("%%")
		case 's':
			r.printf(spec+"s", next())
		case 'b':
			text, stop := unescape(next(), true)
			r.printf(spec+"s", text)
			if stop {
				return used, true, nil
			}
		case 'q':
			r.printf("%s", shellQuote(next()))
		case 'c':
			if a := next(); a != "" {
				r.printf("%s", a[:1])
			}
		case 'd', 'i', 'u', 'o', 'x', 'X':
			if c == 'i' || c == 'u' {
				c = 'd'
			}
			r.printf(spec+string(c), r.number(next()))
		case 'e', 'E', 'f', 'F', 'g', 'G':
			v, err := strconv.ParseFloat(next(), 64)
			if err != nil {
				v = 0
			}
			r.printf(spec+string(c), v)
		default:
			return used, true, r.die(1, "%%%s: invalid conversion specification", rest[:i+1])
		}
		format = rest[i+1:]
	}
}

func (r *toolRun) number(s string) int64 {
	t := strings.TrimSpace(s)
	if t == "" {
		return 0
	}
	if t[0] == '\'' || t[0] == '"' {
		for _, c := range t[1:] {
			return int64(c)
		}
		return 0
	}
	v, err := strconv.ParseInt(t, 0, 64)
	if err != nil {
		r.complain("'%s': expected a numeric value", s)
	}
	return v
}

// shellQuote writes a word so that a shell reads it as it is.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=@%+,-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func workingDirectory(r *toolRun) error {
	if r.has("physical") || !r.has("logical") {
		r.printf("%s\n", r.canonical(r.Dir))
		return nil
	}
	r.printf("%s\n", r.Dir)
	return nil
}

// environment runs a program with a changed environment, through the shell.
func environment(r *toolRun) error {
	args := r.args
	script := ""
	for len(args) > 0 {
		a := args[0]
		name, value, assigns := strings.Cut(a, "=")
		switch {
		case a == "--":
			args = args[1:]
			continue
		case a == "-u" && len(args) > 1:
			script += "unset " + shellQuote(args[1]) + "; "
			args = args[2:]
			continue
		case strings.HasPrefix(a, "-"):
			return r.unsupported("the option %s is not known here", a)
		case assigns && name != "":
			script += "export " + shellQuote(name) + "=" + shellQuote(value) + "; "
			args = args[1:]
			continue
		}
		break
	}
	switch {
	case len(args) == 0:
		return r.unsupported("the environment cannot be listed")
	case script == "":
		return r.child(args)
	}
	return r.child(append([]string{"sh", "-c", script + `"$@"`, "sh"}, args...))
}

func which(r *toolRun) error {
	for _, name := range r.args {
		status, err := r.Run(r.ctx, []string{"sh", "-c", `command -v "$1"`, "sh", name}, strings.NewReader(""), r.Stdout, io.Discard)
		if err != nil {
			return err
		}
		if status != 0 {
			r.status = 1
		}
	}
	return nil
}

func hostname(r *toolRun) error {
	switch {
	case len(r.args) > 0: // there is nothing whose name could change
	case r.has("ip-address", "all-ip-addresses"):
		return r.unsupported("the machine has no address")
	case r.has("domain", "alias"):
		r.printf("\n")
	default:
		r.printf("%s\n", hostName)
	}
	return nil
}

func unixName(r *toolRun) error {
	if len(r.args) > 0 {
		return r.die(1, "extra operand '%s'", r.args[0])
	}
	var out []string
	for _, f := range []struct{ key, value string }{
		{"kernel-name", "Linux"},
		{"nodename", hostName},
		{"kernel-release", kernelRelease},
		{"kernel-version", "#1 SMP"},
		{"machine", r.Host.Arch},
		{"processor", ""},
		{"hardware-platform", ""},
		{"operating-system", "GNU/Linux"},
	} {
		value := f.value
		if value == "" && r.has(f.key) && !r.has("all") {
			value = r.Host.Arch
		}
		if value != "" && (r.has(f.key, "all") || len(r.options) == 0 && f.key == "kernel-name") {
			out = append(out, value)
		}
	}
	r.printf("%s\n", strings.Join(out, " "))
	return nil
}

// groupIDs are the groups of a user, the login group first.
func (r *toolRun) groupIDs(name string, gid uint32) []uint32 {
	ids := []uint32{gid}
	b, _ := r.FS.ReadFile("/", "/etc/group")
	for line := range strings.SplitSeq(string(b), "\n") {
		f := strings.Split(line, ":")
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		if id, err := strconv.ParseUint(f[2], 10, 32); err == nil && !slices.Contains(ids, uint32(id)) {
			ids = append(ids, uint32(id))
		}
	}
	return ids
}

func identity(r *toolRun) error {
	t := r.FS.names()
	name, uid, gid := "root", uint32(0), uint32(0)
	if len(r.args) > 1 {
		return r.unsupported("more than one user is not known here")
	}
	if len(r.args) == 1 {
		u := t.lookupUser(r.args[0])
		if u == nil || t.uids[u.ID] == "" {
			return r.die(1, "'%s': no such user", r.args[0])
		}
		name, uid, gid = t.uids[u.ID], u.ID, t.primary[t.uids[u.ID]]
	}
	show := func(id uint32, byID map[uint32]string) string {
		if n := byID[id]; r.has("name") && n != "" {
			return n
		}
		return strconv.FormatUint(uint64(id), 10)
	}
	switch r.lastOf("user", "group", "groups") {
	case "user":
		r.printf("%s%s", show(uid, t.uids), r.lineEnd())
	case "group":
		r.printf("%s%s", show(gid, t.gids), r.lineEnd())
	case "groups":
		var out []string
		for _, id := range r.groupIDs(name, gid) {
			out = append(out, show(id, t.gids))
		}
		r.printf("%s%s", strings.Join(out, " "), r.lineEnd())
	default:
		if r.has("name", "real") {
			return r.die(1, "cannot print only names or real IDs in default format")
		}
		named := func(id uint32, byID map[uint32]string) string {
			if n, ok := byID[id]; ok {
				return fmt.Sprintf("%d(%s)", id, n)
			}
			return fmt.Sprint(id)
		}
		var groups []string
		for _, id := range r.groupIDs(name, gid) {
			groups = append(groups, named(id, t.gids))
		}
		r.printf("uid=%s gid=%s groups=%s%s", named(uid, t.uids), named(gid, t.gids), strings.Join(groups, ","), r.lineEnd())
	}
	return nil
}

func (r *toolRun) groupsOf() error {
	t := r.FS.names()
	users := r.args
	if len(users) == 0 {
		users = []string{"root"}
	}
	for _, u := range users {
		gid, ok := t.primary[u]
		if !ok {
			r.complain("'%s': no such user", u)
			continue
		}
		var out []string
		for _, id := range r.groupIDs(u, gid) {
			if n := t.gids[id]; n != "" {
				out = append(out, n)
			} else {
				out = append(out, fmt.Sprint(id))
			}
		}
		if len(r.args) > 0 {
			r.printf("%s : ", u)
		}
		r.printf("%s\n", strings.Join(out, " "))
	}
	return nil
}

// maxSequence bounds what seq prints.
const maxSequence = 10_000_000

func sequence(r *toolRun) error {
	args := r.args
	separator, format, wide := "\n", "", false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && strings.IndexByte("0123456789.", args[0][1]) < 0 {
		switch a := args[0]; {
		case a == "-w" || a == "--equal-width":
			wide = true
		case a == "-s" && len(args) > 1:
			separator, args = args[1], args[1:]
		case strings.HasPrefix(a, "-s"):
			separator = a[2:]
		case strings.HasPrefix(a, "--separator="):
			separator = strings.TrimPrefix(a, "--separator=")
		case a == "-f" && len(args) > 1:
			format, args = args[1], args[1:]
		default:
			return r.unsupported("the option %s is not known here", a)
		}
		args = args[1:]
	}
	values := []*big.Rat{big.NewRat(1, 1), big.NewRat(1, 1), nil}
	digits := 0
	parsed := make([]*big.Rat, len(args))
	for i, a := range args {
		v, ok := new(big.Rat), false
		if len(a) < 64 && !strings.ContainsAny(a, "/eEpPxX_") {
			v, ok = v.SetString(a)
		}
		if !ok {
			return r.die(1, "invalid floating point argument: '%s'", a)
		}
		parsed[i] = v
		if _, fraction, ok := strings.Cut(a, "."); ok && (len(args) < 2 || i < len(args)-1) {
			digits = max(digits, len(fraction))
		}
	}
	switch len(args) {
	case 0:
		return r.missingOperand()
	case 1:
		values[2] = parsed[0]
		digits = 0
	case 2:
		values[0], values[2] = parsed[0], parsed[1]
	case 3:
		values = parsed
	default:
		return r.die(1, "extra operand '%s'", args[3])
	}
	if values[1].Sign() == 0 {
		return r.die(1, "invalid Zero increment value: '%s'", args[1])
	}
	var out []string
	for v := values[0]; v.Cmp(values[2])*values[1].Sign() <= 0; v = new(big.Rat).Add(v, values[1]) {
		if len(out) >= maxSequence {
			return r.unsupported("more than %d numbers", maxSequence)
		}
		out = append(out, v.FloatString(digits))
	}
	width := 0
	for _, s := range out {
		width = max(width, len(s))
	}
	for i, s := range out {
		switch {
		case format != "":
			f, _ := strconv.ParseFloat(s, 64)
			if strings.Count(format, "%")-2*strings.Count(format, "%%") != 1 {
				return r.die(1, "format '%s' has no %% directive", format)
			}
			s = fmt.Sprintf(format, f)
			if strings.Contains(s, "%!") {
				return r.unsupported("the format %q is not known here", format)
			}
		case wide && s[0] == '-':
			s = "-" + strings.Repeat("0", width-len(s)) + s[1:]
		case wide:
			s = strings.Repeat("0", width-len(s)) + s
		}
		if i > 0 {
			r.printf("%s", separator)
		}
		r.printf("%s", s)
	}
	if len(out) > 0 {
		r.printf("\n")
	}
	return nil
}

func compareFiles(r *toolRun) error {
	if r.has("print-bytes", "verbose", "bytes") {
		return r.unsupported("only whether files are the same is known here")
	}
	if len(r.args) < 1 || len(r.args) > 2 {
		return r.die(2, "missing operand")
	}
	names := append(slices.Clone(r.args), "-")[:2]
	var content [2][]byte
	for i, p := range names {
		b, err := r.read(p)
		if fatal(err) {
			return err
		}
		if err != nil {
			r.complain("%s: %s", p, errorText(err))
			r.status = 2
			return nil
		}
		content[i] = b
	}
	a, b := content[0], content[1]
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			if r.status = 1; !r.has("quiet") {
				r.printf("%s %s differ: byte %d, line %d\n", names[0], names[1], i+1, 1+bytes.Count(a[:i], []byte("\n")))
			}
			return nil
		}
	}
	if len(a) != len(b) {
		short, content := names[0], a
		if len(b) < len(a) {
			short, content = names[1], b
		}
		if r.status = 1; !r.has("quiet") {
			switch {
			case n == 0:
				fmt.Fprintf(r.Stderr, "cmp: EOF on '%s' which is empty\n", short)
			case content[n-1] == '\n':
				fmt.Fprintf(r.Stderr, "cmp: EOF on '%s' after byte %d, line %d\n", short, n, bytes.Count(content, []byte("\n")))
			default:
				fmt.Fprintf(r.Stderr, "cmp: EOF on '%s' after byte %d, in line %d\n", short, n, 1+bytes.Count(content, []byte("\n")))
			}
		}
	}
	return nil
}

// difference says whether files differ; it does not say how.
func difference(r *toolRun) error {
	if len(r.args) != 2 {
		return r.die(2, "missing operand")
	}
	if r.has("recursive", "ignore-space-change", "new-file") {
		return r.unsupported("only whether two files are the same is known here")
	}
	names := slices.Clone(r.args)
	switch d0, d1 := r.isDir(names[0]), r.isDir(names[1]); {
	case d0 && d1:
		return r.unsupported("comparing directories is not known here")
	case d0:
		names[0] = join(names[0], baseName(names[1]))
	case d1:
		names[1] = join(names[1], baseName(names[0]))
	}
	var content [2][]byte
	for i, p := range names {
		b, err := r.read(p)
		if fatal(err) {
			return err
		}
		if err != nil {
			r.complain("%s: %s", p, errorText(err))
			r.status = 2
			continue
		}
		content[i] = b
	}
	switch {
	case r.status == 2:
	case bytes.Equal(content[0], content[1]):
		if r.has("report-identical-files") {
			r.printf("Files %s and %s are identical\n", names[0], names[1])
		}
	case r.has("brief"):
		r.status = 1
		r.printf("Files %s and %s differ\n", names[0], names[1])
	case r.Stdout == io.Discard:
		r.status = 1
	default:
		return r.unsupported("how files differ is not known here, only that they do (-q)")
	}
	return nil
}

func digester(sum func() hash.Hash) func(r *toolRun) error {
	return func(r *toolRun) error {
		if r.has("tag") {
			return r.unsupported("the option --tag is not known here")
		}
		if r.has("check") {
			return r.checkDigests(sum)
		}
		return r.inputs(func(name string, content []byte) error {
			h := sum()
			h.Write(content)
			if strings.ContainsAny(name, "\\\n\r") && !r.has("zero") {
				return r.unsupported("the name %q would have to be escaped", name)
			}
			mark := " "
			if r.has("binary") && r.lastOf("binary", "text") == "binary" {
				mark = "*"
			}
			r.printf("%s %s%s%s", hex.EncodeToString(h.Sum(nil)), mark, name, r.lineEnd())
			return nil
		})
	}
}

func (r *toolRun) checkDigests(sum func() hash.Hash) error {
	failed, checked := 0, 0
	err := r.inputs(func(list string, content []byte) error {
		lines, _ := splitLines(content, '\n')
		for _, line := range lines {
			digest, name, ok := strings.Cut(string(line), " ")
			if !ok || len(digest) != 2*sum().Size() || len(name) < 2 {
				continue
			}
			checked++
			name = name[1:]
			b, err := r.read(name)
			if fatal(err) {
				return err
			}
			h := sum()
			h.Write(b)
			switch {
			case err != nil:
				if r.has("ignore-missing") && isNotExist(err) {
					continue
				}
				r.complain("%s: %s", name, errorText(err))
				if failed++; !r.has("status") {
					r.printf("%s: FAILED open or read\n", name)
				}
			case !strings.EqualFold(digest, hex.EncodeToString(h.Sum(nil))):
				if failed++; !r.has("status") {
					r.printf("%s: FAILED\n", name)
				}
			case !r.has("quiet", "status"):
				r.printf("%s: OK\n", name)
			}
		}
		if checked == 0 {
			r.complain("%s: no properly formatted checksum lines found", list)
		}
		return nil
	})
	if failed > 0 {
		r.status = 1
	}
	return err
}

func decompress(r *toolRun) error {
	if r.name == "gzip" && !r.has("decompress", "test") {
		return r.unsupported("only taking apart what is compressed is known here (-d)")
	}
	toOutput := r.has("stdout", "test") || r.name == "zcat" || len(r.args) == 0
	args := r.args
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, p := range args {
		if _, err := r.FS.Stat(r.Dir, p); p != "-" && isNotExist(err) && !strings.HasSuffix(p, ".gz") {
			p += ".gz"
		}
		b, err := r.read(p)
		if fatal(err) {
			return err
		}
		if err != nil {
			r.complain("%s: %s", p, errorText(err))
			continue
		}
		var out []byte
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			out, err = readBounded(p, z)
		}
		switch {
		case err != nil && errors.Is(err, gzip.ErrHeader):
			r.complain("%s: not in gzip format", p)
			continue
		case err != nil:
			r.complain("%s: %v", p, err)
			continue
		case r.has("test"):
			continue
		case toOutput || p == "-":
			if _, err := r.out.Write(out); err != nil {
				return nil
			}
			continue
		}
		name, ok := strings.CutSuffix(p, ".gz")
		if !ok {
			r.complain("%s: unknown suffix -- ignored", p)
			r.status = 2
			continue
		}
		if _, err := r.FS.Lstat(r.Dir, name); err == nil && !r.has("force") {
			r.complain("%s already exists; not overwritten", name)
			r.status = 2
			continue
		}
		n, err := r.FS.Stat(r.Dir, p)
		if err != nil {
			return err
		}
		if err := r.FS.WriteFile(r.Dir, name, out, n.Perm()); err != nil {
			r.complain("%s: %s", name, errorText(err))
			continue
		}
		c := &copier{toolRun: r, mode: true, owner: true, times: true}
		if err := c.attributes(n, name); err != nil {
			return err
		}
		if !r.has("keep") {
			if err := r.FS.Remove(r.Dir, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// copyBlocks is dd, as far as it is used to make files of a size and to copy beginnings.
func copyBlocks(r *toolRun) error {
	operands := map[string]string{"if": "-", "of": "/dev/stdout", "bs": "512", "count": "-1", "skip": "0", "seek": "0", "conv": "", "status": ""}
	for _, a := range r.args {
		key, value, ok := strings.Cut(a, "=")
		if key == "ibs" || key == "obs" {
			return r.unsupported("the operand %s is not known here", a)
		}
		if _, known := operands[key]; !ok || !known {
			return r.unsupported("the operand %s is not known here", a)
		}
		operands[key] = value
	}
	number := map[string]int64{}
	for _, key := range []string{"bs", "count", "skip", "seek"} {
		v, ok := parseBlocks(operands[key])
		if !ok {
			return r.die(1, "invalid number: '%s'", operands[key])
		}
		number[key] = v
	}
	for c := range strings.SplitSeq(operands["conv"], ",") {
		if !slices.Contains([]string{"", "notrunc", "fsync", "fdatasync", "sync", "noerror"}, c) || c == "sync" {
			return r.unsupported("the conversion %s is not known here", c)
		}
	}
	limit := int64(MaxFileSize)
	if number["count"] >= 0 {
		limit = number["count"] * number["bs"]
	}
	if number["bs"] <= 0 || limit < 0 || limit > MaxFileSize || number["skip"] > MaxFileSize/number["bs"] || number["seek"] > MaxFileSize/number["bs"] {
		return r.unsupported("more than %d bytes", MaxFileSize)
	}
	var in []byte
	if device := devicePath(r.Dir, operands["if"]); device == "/dev/zero" {
		if number["count"] < 0 {
			return r.unsupported("/dev/zero has no end")
		}
		in = make([]byte, limit)
	} else {
		b, err := r.read(operands["if"])
		if fatal(err) {
			return err
		}
		if err != nil {
			return r.die(1, "failed to open '%s': %s", operands["if"], errorText(err))
		}
		in = b[min(int64(len(b)), number["skip"]*number["bs"]):]
		in = in[:min(int64(len(in)), limit)]
	}
	out := operands["of"]
	if devicePath(r.Dir, out) == "" {
		seek := number["seek"] * number["bs"]
		var old []byte
		if seek > 0 || strings.Contains(operands["conv"], "notrunc") {
			b, err := r.FS.ReadFile(r.Dir, out)
			if err != nil && !isNotExist(err) {
				return r.die(1, "failed to open '%s': %s", out, errorText(err))
			}
			old = b
		}
		whole := make([]byte, max(seek+int64(len(in)), 0))
		copy(whole, old)
		copy(whole[seek:], in)
		if strings.Contains(operands["conv"], "notrunc") && len(old) > len(whole) {
			whole = append(whole, old[len(whole):]...)
		}
		in = whole
	}
	if err := r.write(out, in); err != nil {
		return r.die(1, "failed to open '%s': %s", out, errorText(err))
	}
	return nil
}

func parseBlocks(s string) (int64, bool) {
	unit := int64(1)
	for suffix, v := range map[string]int64{"c": 1, "w": 2, "b": 512, "kB": 1000, "K": 1024, "k": 1024, "KiB": 1024, "MB": 1000000, "M": 1 << 20, "MiB": 1 << 20, "G": 1 << 30} {
		if t, ok := strings.CutSuffix(s, suffix); ok && t != "" && strings.Trim(t, "0123456789") == "" {
			s, unit = t, v
		}
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v * unit, err == nil && v <= 1<<40
}

// errExpression is what expr(1) says of what it cannot read.
var errExpression = errors.New("syntax error")

// expressions reads the arguments of expr(1).
type expressions struct {
	args  []string
	at    int
	depth int
	run   *toolRun
}

func expression(r *toolRun) error {
	args := r.args
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return r.die(2, "missing operand")
	}
	e := &expressions{args: args, run: r}
	v, err := e.or()
	if err == nil && e.at < len(args) {
		return r.die(2, "syntax error: unexpected argument '%s'", args[e.at])
	}
	if err != nil {
		if fatal(err) {
			return err
		}
		return r.die(2, "%v", err)
	}
	r.printf("%s\n", v)
	if isNull(v) {
		r.status = 1
	}
	return nil
}

func isNull(s string) bool {
	return s == "" || strings.Trim(strings.TrimPrefix(s, "-"), "0") == "" && s != "-"
}

// maxExpression bounds what is nested in an expression.
const maxExpression = 500

func (e *expressions) take(words ...string) string {
	if e.at < len(e.args) && slices.Contains(words, e.args[e.at]) {
		e.at++
		return e.args[e.at-1]
	}
	return ""
}

func (e *expressions) or() (string, error) {
	if e.depth++; e.depth > maxExpression {
		return "", errExpression
	}
	defer func() { e.depth-- }()
	left, err := e.and()
	for err == nil && e.take("|") != "" {
		var right string
		if right, err = e.and(); isNull(left) {
			if left = right; isNull(right) {
				left = "0"
			}
		}
	}
	return left, err
}

func (e *expressions) and() (string, error) {
	left, err := e.compare()
	for err == nil && e.take("&") != "" {
		var right string
		if right, err = e.compare(); isNull(left) || isNull(right) {
			left = "0"
		}
	}
	return left, err
}

func (e *expressions) compare() (string, error) {
	left, err := e.add()
	for err == nil {
		op := e.take("<", "<=", "=", "==", "!=", ">=", ">")
		if op == "" {
			break
		}
		var right string
		if right, err = e.add(); err != nil {
			break
		}
		c := strings.Compare(left, right)
		if a, ok := integer(left); ok {
			if b, ok := integer(right); ok {
				c = a.Cmp(b)
			}
		}
		holds := map[string]bool{"<": c < 0, "<=": c <= 0, "=": c == 0, "==": c == 0, "!=": c != 0, ">=": c >= 0, ">": c > 0}[op]
		if left = "0"; holds {
			left = "1"
		}
	}
	return left, err
}

func integer(s string) (*big.Int, bool) {
	t := strings.TrimPrefix(s, "-")
	if t == "" || len(t) > 1000 || strings.Trim(t, "0123456789") != "" {
		return nil, false
	}
	return new(big.Int).SetString(s, 10)
}

func (e *expressions) add() (string, error) {
	left, err := e.multiply()
	for err == nil {
		op := e.take("+", "-")
		if op == "" {
			break
		}
		var right string
		if right, err = e.multiply(); err == nil {
			left, err = arithmetic(op, left, right)
		}
	}
	return left, err
}

func (e *expressions) multiply() (string, error) {
	left, err := e.match()
	for err == nil {
		op := e.take("*", "/", "%")
		if op == "" {
			break
		}
		var right string
		if right, err = e.match(); err == nil {
			left, err = arithmetic(op, left, right)
		}
	}
	return left, err
}

func arithmetic(op, left, right string) (string, error) {
	a, ok1 := integer(left)
	b, ok2 := integer(right)
	if !ok1 || !ok2 {
		return "", errors.New("non-integer argument")
	}
	switch op {
	case "+":
		return a.Add(a, b).String(), nil
	case "-":
		return a.Sub(a, b).String(), nil
	case "*":
		return a.Mul(a, b).String(), nil
	}
	if b.Sign() == 0 {
		return "", errors.New("division by zero")
	}
	if op == "/" {
		return a.Quo(a, b).String(), nil
	}
	return a.Rem(a, b).String(), nil
}

func (e *expressions) match() (string, error) {
	left, err := e.primary()
	for err == nil && e.take(":") != "" {
		var pattern string
		if pattern, err = e.primary(); err == nil {
			left, err = e.matched(left, pattern)
		}
	}
	return left, err
}

func (e *expressions) matched(s, pattern string) (string, error) {
	re, err := compileRegex(`\(`+pattern+`\)`, regexOptions{})
	if err != nil {
		return "", err
	}
	// The whole pattern is anchored at the beginning, so it stands in a group of its own.
	m, err := re.match([]byte(s), 0)
	if err != nil {
		return "", err
	}
	groups := len(m) / 2
	if m == nil || m[0] != 0 {
		if re.groups > 1 {
			return "", nil
		}
		return "0", nil
	}
	if groups > 2 && re.groups > 1 {
		if m[4] < 0 {
			return "", nil
		}
		return s[m[4]:m[5]], nil
	}
	return strconv.Itoa(len([]rune(s[m[2]:m[3]]))), nil
}

func (e *expressions) primary() (string, error) {
	if e.at >= len(e.args) {
		return "", errors.New("syntax error: missing argument after '" + e.args[len(e.args)-1] + "'")
	}
	word := e.args[e.at]
	rest := len(e.args) - e.at - 1
	e.at++
	switch {
	case word == "(":
		v, err := e.or()
		if err == nil && e.take(")") == "" {
			err = errors.New("syntax error: expecting ')'")
		}
		return v, err
	case word == ")":
		return "", errors.New("syntax error: unexpected ')'")
	case word == "+" && rest > 0:
		e.at++
		return e.args[e.at-1], nil
	case word == "length" && rest > 0:
		v, err := e.primary()
		return strconv.Itoa(len([]rune(v))), err
	case word == "match" && rest > 1:
		s, err := e.primary()
		if err != nil {
			return "", err
		}
		p, err := e.primary()
		if err != nil {
			return "", err
		}
		return e.matched(s, p)
	case word == "index" && rest > 1:
		s, err := e.primary()
		if err != nil {
			return "", err
		}
		set, err := e.primary()
		return strconv.Itoa(len([]rune(s[:max(0, strings.IndexAny(s, set))])) + btoi(strings.ContainsAny(s, set))), err
	case word == "substr" && rest > 2:
		var v [3]string
		for i := range v {
			var err error
			if v[i], err = e.primary(); err != nil {
				return "", err
			}
		}
		from, err1 := strconv.Atoi(v[1])
		count, err2 := strconv.Atoi(v[2])
		runes := []rune(v[0])
		if err1 != nil || err2 != nil || from < 1 || count < 1 || from > len(runes) {
			return "", nil
		}
		return string(runes[from-1 : min(len(runes), from-1+min(count, len(runes)))]), nil
	}
	return word, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// matchGlob is fnmatch(3) of a whole string; a * and a ? match a slash too.
func matchGlob(pattern, s string, fold bool) bool {
	return globMatch([]rune(pattern), []rune(s), true, fold)
}

func globMatch(p, s []rune, slash, fold bool) bool {
	// Where the last * stood, to come back to.
	star, mark := -1, 0
	i, j := 0, 0
	for j < len(s) || i < len(p) {
		if i < len(p) {
			if p[i] == '*' {
				star, mark = i, j
				i++
				continue
			}
			if n, ok := globChar(p[i:], s, j, slash, fold); ok {
				i, j = i+n, j+1
				continue
			}
		}
		if star < 0 || mark >= len(s) || !slash && s[mark] == '/' {
			return false
		}
		mark++
		i, j = star+1, mark
	}
	return true
}

// globChar matches one character by what the pattern begins with; n is how long that is.
func globChar(p, s []rune, j int, slash, fold bool) (n int, ok bool) {
	if j >= len(s) {
		return 0, false
	}
	same := func(a, b rune) bool { return a == b || fold && unicode.ToLower(a) == unicode.ToLower(b) }
	switch c := p[0]; {
	case c == '?':
		return 1, slash || s[j] != '/'
	case c == '\\' && len(p) > 1:
		return 2, same(p[1], s[j])
	case c == '[':
		if set, n := globSet(p); n > 0 {
			return n, set.has(s[j], fold) && (slash || s[j] != '/')
		}
	}
	return 1, same(p[0], s[j])
}

// globSet reads a bracket expression; n is 0 where there is none.
func globSet(p []rune) (set *runeSet, n int) {
	text := string(p)
	parser := &regexParser{src: text, o: regexOptions{awk: true}}
	if strings.HasPrefix(text, "[!") {
		parser.src = "[^" + text[2:]
	}
	set, err := parser.bracket()
	if err != nil {
		return nil, 0
	}
	return set, utf8.RuneCountInString(text[:parser.at])
}
