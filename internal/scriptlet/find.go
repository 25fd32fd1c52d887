package scriptlet

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

func findCommands() map[string]Command {
	return map[string]Command{
		"find": rawTool(findFiles),
		"xargs": tool("+null,0 no-run-if-empty,r max-args,n= max-lines,L= I= replace,i=? delimiter,d= verbose,t max-chars,s= exit,x "+
			"max-procs,P= arg-file,a= eof,E= e=? l=?", xargs),
	}
}

// maxFindTerms bounds the terms of one find, and what is nested in them.
const maxFindTerms = 1000

// found is a path that find looks at.
type found struct {
	path  string // as it is printed
	start string // the operand it was found under
	depth int
	node  *rootfs.Node
	prune bool
}

// findTest is one term of find's expression.
type findTest func(f *found) (bool, error)

// finder is one run of find.
type finder struct {
	*toolRun
	args     []string
	at       int
	follow   byte // P, H or L
	min, max int
	depth    bool // what is in a directory comes before it
	acts     bool // something prints or acts
	quit     bool
	names    *names
	batches  []*batch
	terms    int
}

// batch collects what an -exec ... + is called with.
type batch struct {
	command []string
	paths   []string
}

func findFiles(r *toolRun) error {
	f := &finder{toolRun: r, args: r.args, follow: 'P', max: -1, names: r.FS.names()}
	for f.at < len(f.args) && slices.Contains([]string{"-H", "-L", "-P"}, f.args[f.at]) {
		f.follow = f.args[f.at][1]
		f.at++
	}
	var starts []string
	for f.at < len(f.args) {
		a := f.args[f.at]
		if strings.HasPrefix(a, "-") && len(a) > 1 || a == "(" || a == "!" {
			break
		}
		starts = append(starts, a)
		f.at++
	}
	if len(starts) == 0 {
		starts = []string{"."}
	}
	test := findTest(func(*found) (bool, error) { return true, nil })
	if f.at < len(f.args) {
		var err error
		if test, err = f.list(0); err != nil {
			return err
		}
		if f.at < len(f.args) {
			return f.die(1, "unexpected argument '%s'", f.args[f.at])
		}
	}
	if !f.acts {
		inner := test
		test = func(x *found) (bool, error) {
			ok, err := inner(x)
			if ok && err == nil {
				f.printf("%s\n", x.path)
			}
			return ok, err
		}
	}
	for _, s := range starts {
		n, err := f.FS.Lstat(f.Dir, s)
		if err == nil && n.IsSymlink() && f.follow != 'P' {
			if target, terr := f.FS.Stat(f.Dir, s); terr == nil {
				n = target
			}
		}
		if err != nil {
			f.complain("'%s': %s", s, errorText(err))
			continue
		}
		if err := f.walk(&found{path: s, start: s, node: n}, test); err != nil {
			return err
		}
		if f.quit {
			break
		}
	}
	return f.finishBatches()
}

func (f *finder) walk(x *found, test findTest) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	check := func() error {
		if x.depth < f.min {
			return nil
		}
		_, err := test(x)
		return err
	}
	if !f.depth {
		if err := check(); err != nil || f.quit {
			return err
		}
	}
	if x.node.IsDir() && (f.max < 0 || x.depth < f.max) && !(x.prune && !f.depth) {
		for _, name := range f.FS.tree.List(x.node.Path) {
			n := f.FS.tree.Node(path.Join(x.node.Path, name))
			if n == nil {
				continue
			}
			if n.IsSymlink() && f.follow == 'L' {
				target, err := f.FS.Stat("/", n.Path)
				if err == nil && target.IsDir() && (strings.HasPrefix(n.Path, strings.TrimSuffix(target.Path, "/")+"/") || x.depth > 100) {
					f.complain("File system loop detected; '%s' is part of the same file system loop as '%s'.", join(x.path, name), target.Path)
					continue
				}
				if err == nil {
					n = target
				}
			}
			if err := f.walk(&found{path: join(x.path, name), start: x.start, depth: x.depth + 1, node: n}, test); err != nil || f.quit {
				return err
			}
		}
	}
	if f.depth {
		return check()
	}
	return nil
}

func (f *finder) peek() string {
	if f.at < len(f.args) {
		return f.args[f.at]
	}
	return ""
}

// list reads terms between commas: all are looked at, the last one counts.
func (f *finder) list(depth int) (findTest, error) {
	left, err := f.either(depth)
	for err == nil && f.peek() == "," {
		f.at++
		a := left
		b, err := f.either(depth)
		if err != nil {
			return nil, err
		}
		left = func(x *found) (bool, error) {
			if _, err := a(x); err != nil || f.quit {
				return false, err
			}
			return b(x)
		}
	}
	return left, err
}

func (f *finder) either(depth int) (findTest, error) {
	left, err := f.both(depth)
	for err == nil && (f.peek() == "-o" || f.peek() == "-or") {
		f.at++
		a := left
		b, err := f.both(depth)
		if err != nil {
			return nil, err
		}
		left = func(x *found) (bool, error) {
			if ok, err := a(x); ok || err != nil || f.quit {
				return ok, err
			}
			return b(x)
		}
	}
	return left, err
}

func (f *finder) both(depth int) (findTest, error) {
	left, err := f.not(depth)
	for err == nil && f.at < len(f.args) && !slices.Contains([]string{"-o", "-or", ")", ","}, f.peek()) {
		if f.peek() == "-a" || f.peek() == "-and" {
			f.at++
		}
		a := left
		b, err := f.not(depth)
		if err != nil {
			return nil, err
		}
		left = func(x *found) (bool, error) {
			if ok, err := a(x); !ok || err != nil || f.quit {
				return false, err
			}
			return b(x)
		}
	}
	return left, err
}

func (f *finder) not(depth int) (findTest, error) {
	if f.terms++; f.terms > maxFindTerms || depth > maxFindTerms/4 {
		return nil, f.unsupported("more than %d terms", maxFindTerms)
	}
	switch f.peek() {
	case "!", "-not":
		f.at++
		inner, err := f.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return func(x *found) (bool, error) {
			ok, err := inner(x)
			return !ok, err
		}, nil
	case "(":
		f.at++
		inner, err := f.list(depth + 1)
		if err != nil {
			return nil, err
		}
		if f.peek() != ")" {
			return nil, f.die(1, "invalid expression; I was expecting to find a ')' somewhere but did not see one.")
		}
		f.at++
		return inner, nil
	}
	return f.term()
}

func constant(v bool) findTest { return func(*found) (bool, error) { return v, nil } }

func nodeTest(test func(n *rootfs.Node) bool) findTest {
	return func(x *found) (bool, error) { return test(x.node), nil }
}

func (f *finder) term() (findTest, error) {
	if f.at >= len(f.args) {
		return nil, f.die(1, "expected an expression after '%s'", f.args[len(f.args)-1])
	}
	name := f.args[f.at]
	f.at++
	switch name {
	case "-true", "-noleaf", "-mount", "-xdev", "-warn", "-nowarn", "-ignore_readdir_race", "-noignore_readdir_race":
		return constant(true), nil
	case "-false":
		return constant(false), nil
	case "-depth", "-d":
		f.depth = true
		return constant(true), nil
	case "-follow":
		f.follow = 'L'
		return constant(true), nil
	case "-daystart":
		return nil, f.unsupported("%s is not known here", name)
	case "-print", "-print0":
		f.acts = true
		end := map[string]string{"-print": "\n", "-print0": "\x00"}[name]
		return func(x *found) (bool, error) { f.printf("%s%s", x.path, end); return true, nil }, nil
	case "-prune":
		return func(x *found) (bool, error) { x.prune = true; return true, nil }, nil
	case "-quit":
		f.acts = true
		return func(x *found) (bool, error) { f.quit = true; return true, nil }, nil
	case "-delete":
		f.acts, f.depth = true, true
		return f.delete, nil
	case "-empty":
		return nodeTest(func(n *rootfs.Node) bool {
			return n.IsRegular() && n.Size == 0 || n.IsDir() && len(f.FS.tree.List(n.Path)) == 0
		}), nil
	case "-nouser":
		return nodeTest(func(n *rootfs.Node) bool { return f.names.uids[f.names.uid(n)] == "" }), nil
	case "-nogroup":
		return nodeTest(func(n *rootfs.Node) bool { return f.names.gids[f.names.gid(n)] == "" }), nil
	case "-readable":
		return constant(true), nil
	case "-writable":
		return constant(true), nil
	case "-executable":
		return nodeTest(func(n *rootfs.Node) bool {
			if n.IsSymlink() {
				target, err := f.FS.Stat("/", n.Path)
				if err != nil {
					return false
				}
				n = target
			}
			return n.IsDir() || n.Mode&0o111 != 0
		}), nil
	case "-exec", "-execdir", "-ok", "-okdir":
		return f.exec(name)
	}
	if f.at >= len(f.args) {
		if strings.HasPrefix(name, "-") && slices.Contains(strings.Fields(findArguments), name) {
			return nil, f.die(1, "missing argument to '%s'", name)
		}
		return nil, f.unsupported("%s is not known here", name)
	}
	arg := f.args[f.at]
	f.at++
	return f.argument(name, arg)
}

const findArguments = "-name -iname -path -ipath -wholename -iwholename -lname -ilname -regex -iregex -type -xtype -perm -user -group -uid -gid " +
	"-maxdepth -mindepth -size -newer -mtime -mmin -links -samefile -printf -regextype"

func (f *finder) argument(name, arg string) (findTest, error) {
	glob := func(text func(x *found) string, fold bool) findTest {
		return func(x *found) (bool, error) { return matchGlob(arg, text(x), fold), nil }
	}
	switch name {
	case "-name", "-iname":
		return glob(func(x *found) string { return baseName(x.path) }, name == "-iname"), nil
	case "-path", "-wholename", "-ipath", "-iwholename":
		return glob(func(x *found) string { return x.path }, name[1] == 'i'), nil
	case "-lname", "-ilname":
		match := glob(func(x *found) string { return x.node.Link }, name == "-ilname")
		return func(x *found) (bool, error) {
			if !x.node.IsSymlink() {
				return false, nil
			}
			return match(x)
		}, nil
	case "-regextype":
		return nil, f.unsupported("%s is not known here", name)
	case "-regex", "-iregex":
		// Emacs' syntax: + and ? repeat as they stand.
		if strings.ContainsAny(arg, "+?{") {
			return nil, f.unsupported("of Emacs' regular expressions only some are known here")
		}
		re, err := compileRegex(arg, regexOptions{wholeLine: true, fold: name == "-iregex"})
		if err != nil {
			return nil, err
		}
		return func(x *found) (bool, error) { return re.matches([]byte(x.path)) }, nil
	case "-type", "-xtype":
		return f.kind(name, arg)
	case "-maxdepth", "-mindepth":
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 {
			return nil, f.die(1, "Expected a positive decimal integer argument to %s, but got '%s'", name, arg)
		}
		if name == "-maxdepth" {
			f.max = n
		} else {
			f.min = n
		}
		return constant(true), nil
	case "-perm":
		return f.perm(arg)
	case "-user", "-uid":
		o := f.names.lookupUser(arg)
		if o == nil {
			return nil, f.die(1, "'%s' is not the name of a known user", arg)
		}
		return nodeTest(func(n *rootfs.Node) bool { return f.names.uid(n) == o.ID }), nil
	case "-group", "-gid":
		o := f.names.lookupGroup(arg)
		if o == nil {
			return nil, f.die(1, "'%s' is not the name of an existing group", arg)
		}
		return nodeTest(func(n *rootfs.Node) bool { return f.names.gid(n) == o.ID }), nil
	case "-newer":
		ref, err := f.FS.Stat(f.Dir, arg)
		if err != nil {
			return nil, f.die(1, "'%s': %s", arg, errorText(err))
		}
		return nodeTest(func(n *rootfs.Node) bool { return n.MTime > ref.MTime }), nil
	case "-samefile":
		ref, err := f.FS.Lstat(f.Dir, arg)
		if err != nil {
			return nil, f.die(1, "'%s': %s", arg, errorText(err))
		}
		return nodeTest(func(n *rootfs.Node) bool { return f.FS.carrier(n) == f.FS.carrier(ref) }), nil
	case "-size":
		return f.size(arg)
	case "-links":
		return f.number(name, arg, func(n *rootfs.Node) int64 { return int64(links(f.FS, n)) })
	case "-mtime", "-mmin":
		unit := map[string]int64{"-mtime": 86400, "-mmin": 60}[name]
		return f.number(name, arg, func(n *rootfs.Node) int64 { return (f.FS.Now() - n.MTime) / unit })
	case "-printf":
		f.acts = true
		return func(x *found) (bool, error) {
			out, err := f.format(arg, x)
			f.printf("%s", out)
			return true, err
		}, nil
	}
	return nil, f.unsupported("%s is not known here", name)
}

// number reads +N, -N and N.
func (f *finder) number(name, arg string, value func(n *rootfs.Node) int64) (findTest, error) {
	want, err := strconv.ParseInt(strings.TrimLeft(arg, "+-"), 10, 64)
	if err != nil {
		return nil, f.die(1, "invalid argument '%s' to '%s'", arg, name)
	}
	return nodeTest(func(n *rootfs.Node) bool {
		v := value(n)
		switch arg[0] {
		case '+':
			return v > want
		case '-':
			return v < want
		}
		return v == want
	}), nil
}

func (f *finder) size(arg string) (findTest, error) {
	unit := int64(512)
	digits := arg
	if arg != "" {
		if u, ok := map[byte]int64{'c': 1, 'w': 2, 'b': 512, 'k': 1024, 'M': 1 << 20, 'G': 1 << 30}[arg[len(arg)-1]]; ok {
			unit, digits = u, arg[:len(arg)-1]
		}
	}
	if digits == "" {
		return nil, f.die(1, "Invalid argument '%s' to -size", arg)
	}
	return f.number("-size", digits, func(n *rootfs.Node) int64 { return (sizeOf(n) + unit - 1) / unit })
}

func (f *finder) kind(name, arg string) (findTest, error) {
	kinds := map[string]uint32{"f": rpm.ModeRegular, "d": rpm.ModeDir, "l": rpm.ModeSymlink, "c": rpm.ModeChar, "b": rpm.ModeBlock, "p": 0o010000, "s": 0o140000}
	var wanted []uint32
	for k := range strings.SplitSeq(arg, ",") {
		if kinds[k] == 0 {
			return nil, f.die(1, "Unknown argument to %s: %s", name, arg)
		}
		wanted = append(wanted, kinds[k])
	}
	return nodeTest(func(n *rootfs.Node) bool {
		if name == "-xtype" && n.IsSymlink() {
			if target, err := f.FS.Stat("/", n.Path); err == nil {
				n = target
			}
		}
		return slices.Contains(wanted, n.Mode&rpm.ModeType)
	}), nil
}

func (f *finder) perm(arg string) (findTest, error) {
	how := byte(0)
	mode := arg
	if arg != "" && (arg[0] == '-' || arg[0] == '/') {
		how, mode = arg[0], arg[1:]
	}
	change, ok := parseMode(mode)
	if !ok {
		return nil, f.die(1, "invalid mode '%s'", arg)
	}
	want := change.apply(0, false, 0)
	return nodeTest(func(n *rootfs.Node) bool {
		switch how {
		case '-':
			return n.Perm()&want == want
		case '/':
			return want == 0 || n.Perm()&want != 0
		}
		return n.Perm() == want
	}), nil
}

func (f *finder) delete(x *found) (bool, error) {
	if x.path == "." {
		return true, nil
	}
	var err error
	if n := f.FS.tree.Node(x.node.Path); n == nil {
		return true, nil
	}
	if err = f.FS.Remove(f.Dir, x.path); err != nil {
		f.complain("cannot delete '%s': %s", x.path, errorText(err))
		return false, nil
	}
	return true, nil
}

// exec reads -exec COMMAND ; and -exec COMMAND {} +.
func (f *finder) exec(name string) (findTest, error) {
	if name != "-exec" {
		return nil, f.unsupported("%s is not known here", name)
	}
	f.acts = true
	start := f.at
	for ; f.at < len(f.args); f.at++ {
		if f.args[f.at] == ";" {
			command := f.args[start:f.at]
			f.at++
			if len(command) == 0 {
				break
			}
			return func(x *found) (bool, error) { return f.call(command, x.path) }, nil
		}
		if f.args[f.at] == "+" && f.at > start+1 && f.args[f.at-1] == "{}" {
			b := &batch{command: f.args[start : f.at-1]}
			f.at++
			f.batches = append(f.batches, b)
			return func(x *found) (bool, error) {
				b.paths = append(b.paths, x.path)
				return true, nil
			}, nil
		}
	}
	return nil, f.die(1, "missing argument to '-exec'")
}

func (f *finder) call(command []string, p string) (bool, error) {
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = strings.ReplaceAll(a, "{}", p)
	}
	if err := f.out.Flush(); err != nil {
		return false, nil
	}
	status, err := f.Run(f.ctx, args, strings.NewReader(""), f.Stdout, f.Stderr)
	return status == 0, err
}

func (f *finder) finishBatches() error {
	for _, b := range f.batches {
		if len(b.paths) == 0 {
			continue
		}
		if err := f.out.Flush(); err != nil {
			return nil
		}
		status, err := f.Run(f.ctx, append(slices.Clone(b.command), b.paths...), strings.NewReader(""), f.Stdout, f.Stderr)
		if err != nil {
			return err
		}
		if status != 0 {
			f.status = 1
		}
	}
	return nil
}

// format is -printf.
func (f *finder) format(format string, x *found) (string, error) {
	var b strings.Builder
	n := x.node
	for i := 0; i < len(format); i++ {
		switch c := format[i]; {
		case c == '\\' && i+1 < len(format):
			text, stopped := unescape(format[i:i+2], false)
			if format[i+1] >= '0' && format[i+1] <= '7' {
				j := i + 1
				for j < len(format) && j < i+4 && format[j] >= '0' && format[j] <= '7' {
					j++
				}
				text, stopped = unescape(format[i:j], false)
				i = j - 2
			}
			i++
			if b.WriteString(text); stopped {
				return b.String(), nil
			}
			continue
		case c != '%' || i+1 == len(format):
			b.WriteByte(c)
			continue
		}
		start := i
		for i++; i < len(format)-1 && strings.IndexByte("#-+ 0123456789.", format[i]) >= 0; i++ {
		}
		flags := format[start:i]
		text := func(s string) { fmt.Fprintf(&b, flags+"s", s) }
		switch format[i] {
		case '%':
			b.WriteByte('%')
		case 'p':
			text(x.path)
		case 'f':
			text(baseName(x.path))
		case 'P':
			text(strings.TrimLeft(strings.TrimPrefix(x.path, x.start), "/"))
		case 'H':
			text(x.start)
		case 'h':
			if i := strings.LastIndexByte(x.path, '/'); i > 0 {
				text(x.path[:i])
			} else if i == 0 {
				text("")
			} else {
				text(".")
			}
		case 'd':
			text(strconv.Itoa(x.depth))
		case 'y':
			text(strings.Replace(modeString(n.Mode)[:1], "-", "f", 1))
		case 'l':
			text(n.Link)
		case 'm':
			fmt.Fprintf(&b, flags+"o", n.Perm())
		case 'M':
			text(modeString(n.Mode))
		case 'n':
			text(strconv.Itoa(links(f.FS, n)))
		case 's':
			text(strconv.FormatInt(sizeOf(n), 10))
		case 'u':
			if name := f.names.user(n); name != "" {
				text(name)
			} else {
				text(strconv.FormatUint(uint64(f.names.uid(n)), 10))
			}
		case 'g':
			if name := f.names.group(n); name != "" {
				text(name)
			} else {
				text(strconv.FormatUint(uint64(f.names.gid(n)), 10))
			}
		case 'U':
			text(strconv.FormatUint(uint64(f.names.uid(n)), 10))
		case 'G':
			text(strconv.FormatUint(uint64(f.names.gid(n)), 10))
		case 'T':
			if i++; i == len(format) || format[i] != '@' {
				return "", f.unsupported("of times only %%T@ is known here")
			}
			text(fmt.Sprintf("%d.0000000000", n.MTime))
		case 't':
			text(time.Unix(n.MTime, 0).UTC().Format("Mon Jan _2 15:04:05.0000000000 2006"))
		default:
			return "", f.unsupported("%%%c is not known here", format[i])
		}
	}
	return b.String(), nil
}

// xargs calls a program with the words of its input.
func xargs(r *toolRun) error {
	if r.has("exit", "eof", "e", "l") {
		return r.unsupported("one of its options is not known here")
	}
	in := r.Stdin
	if name, ok := r.value("arg-file"); ok {
		file, err := r.open(name, true)
		if fatal(err) {
			return err
		}
		if err != nil {
			return r.die(1, "Cannot open input file '%s': %s", name, errorText(err))
		}
		defer file.Close()
		in = file
	}
	b, err := readBounded("standard input", in)
	if err != nil {
		return err
	}
	replace, replacing := r.value("I")
	if v, ok := r.value("replace"); ok {
		if replace, replacing = v, true; v == "" {
			replace = "{}"
		}
	}
	words, err := r.xargsWords(b, replacing)
	if err != nil {
		return err
	}
	command := r.args
	if len(command) == 0 {
		command = []string{"echo"}
	}
	size := len(words)
	for _, key := range []string{"max-args", "max-lines"} {
		if v, ok := r.value(key); ok {
			if size, err = strconv.Atoi(v); err != nil || size < 1 {
				return r.die(1, "value %s for -%s option should be >= 1", v, key)
			}
		}
	}
	if len(words) == 0 {
		if r.has("no-run-if-empty") || replacing {
			return nil
		}
		return r.xargsCall(command)
	}
	for len(words) > 0 {
		if replacing {
			args := make([]string, len(command))
			for i, c := range command {
				args[i] = strings.ReplaceAll(c, replace, words[0])
			}
			words = words[1:]
			if err := r.xargsCall(args); err != nil {
				return err
			}
			continue
		}
		n := min(size, len(words))
		if err := r.xargsCall(append(slices.Clone(command), words[:n]...)); err != nil {
			return err
		}
		words = words[n:]
	}
	return nil
}

func (r *toolRun) xargsCall(args []string) error {
	if r.has("verbose") {
		quoted := make([]string, len(args))
		for i, a := range args {
			quoted[i] = shellQuote(a)
		}
		fmt.Fprintln(r.Stderr, strings.Join(quoted, " "))
	}
	status, err := r.Run(r.ctx, args, strings.NewReader(""), r.Stdout, r.Stderr)
	switch {
	case err != nil:
		return err
	case status == 126 || status == 127:
		r.status = status
		return errStop
	case status == 255:
		return r.die(124, "%s: exited with status 255; aborting", args[0])
	case status != 0:
		r.status = 123
	}
	return nil
}

// xargsWords cuts the input into words: at blanks and line breaks, with quotes and backslashes as xargs reads them, or at
// one character where that is asked for; whole lines where words are put into a command.
func (r *toolRun) xargsWords(b []byte, lines bool) ([]string, error) {
	end := byte(0)
	d, given := r.value("delimiter")
	if given {
		if d, _ = unescape(d, false); len(d) != 1 {
			return nil, r.die(1, "Invalid input delimiter specification %s", d)
		}
		end = d[0]
	}
	if r.has("null") || given {
		parts, _ := splitLines(b, end)
		words := make([]string, len(parts))
		for i, p := range parts {
			words[i] = string(p)
		}
		return words, nil
	}
	var words []string
	var word bytes.Buffer
	quote, in := byte(0), false
	finish := func() {
		if in {
			words = append(words, word.String())
		}
		word.Reset()
		in = false
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0 && c == '\n':
			return nil, r.die(1, "unmatched %s quote; by default quotes are special to xargs unless you use the -0 option", map[byte]string{'"': "double", '\'': "single"}[quote])
		case quote != 0:
			word.WriteByte(c)
		case c == '\n', (c == ' ' || c == '\t') && !lines:
			finish()
		case (c == ' ' || c == '\t') && !in:
		case c == '\'' || c == '"':
			quote, in = c, true
		case c == '\\' && i+1 < len(b):
			i++
			word.WriteByte(b[i])
			in = true
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if quote != 0 {
		return nil, r.die(1, "unmatched %s quote; by default quotes are special to xargs unless you use the -0 option", map[byte]string{'"': "double", '\'': "single"}[quote])
	}
	finish()
	return words, nil
}
