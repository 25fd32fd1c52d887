package scriptlet

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"slim/internal/rootfs"
)

// toolRun is one run of a native program: its options and operands as GNU's getopt_long reads them, and what it prints.
type toolRun struct {
	*Call
	ctx     context.Context
	name    string
	args    []string // operands
	options []toolOption
	out     *bufio.Writer
	status  int
}

type toolOption struct{ key, value string }

// tool makes a Command of a function. spec lists the options it knows, separated by blanks: the names of each joined by
// commas, the first being the one that the function asks for; "=" at the end asks for an argument, "=?" allows one after
// "=" or directly after the letter. A spec that begins with "+" ends the options at the first operand.
func tool(spec string, f func(r *toolRun) error) Command {
	return func(ctx context.Context, c *Call) (int, error) {
		r := newToolRun(ctx, c)
		if err := r.parse(spec); err != nil {
			return 1, err
		}
		return r.finish(f(r))
	}
}

// rawTool is tool for those that read their arguments themselves.
func rawTool(f func(r *toolRun) error) Command {
	return func(ctx context.Context, c *Call) (int, error) {
		r := newToolRun(ctx, c)
		r.args = c.Args[1:]
		return r.finish(f(r))
	}
}

func newToolRun(ctx context.Context, c *Call) *toolRun {
	return &toolRun{Call: c, ctx: ctx, name: path.Base(c.Args[0]), out: bufio.NewWriter(c.Stdout)}
}

// errStop ends a program whose status is set and message printed.
var errStop = errors.New("stop")

func (r *toolRun) finish(err error) (int, error) {
	if werr := r.out.Flush(); werr != nil && r.status == 0 {
		r.status = 1
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	if err != nil && r.status == 0 {
		r.status = 1
	}
	return r.status, err
}

// unsupported is the error for what the real program would do and this one does not.
func (r *toolRun) unsupported(format string, args ...any) error {
	return &Unsupported{Command: strings.Join(r.Call.Args, " "), Why: fmt.Sprintf(format, args...)}
}

// warn says what is left out of what the real program would have done.
func (r *toolRun) warn(format string, args ...any) {
	if r.Warn != nil {
		r.Warn(fmt.Sprintf(format, args...))
	}
}

// complain prints a message as the program would, and makes its status 1 at least.
func (r *toolRun) complain(format string, args ...any) {
	if r.status == 0 {
		r.status = 1
	}
	fmt.Fprintf(r.Stderr, "%s: %s\n", r.name, fmt.Sprintf(format, args...))
}

// die complains and ends the program with a status.
func (r *toolRun) die(status int, format string, args ...any) error {
	r.status = status
	r.complain(format, args...)
	return errStop
}

// knownOption is what a spec says of one option.
type knownOption struct {
	key            string
	wants, accepts bool // an argument
}

func readSpec(spec string) (short map[byte]knownOption, long map[string]knownOption) {
	short, long = map[byte]knownOption{}, map[string]knownOption{}
	for one := range strings.FieldsSeq(spec) {
		var k knownOption
		if before, ok := strings.CutSuffix(one, "=?"); ok {
			k.accepts, one = true, before
		} else if before, ok := strings.CutSuffix(one, "="); ok {
			k.wants, one = true, before
		}
		names := strings.Split(one, ",")
		k.key = names[0]
		for _, n := range names {
			if len(n) == 1 {
				short[n[0]] = k
			} else {
				long[n] = k
			}
		}
	}
	return short, long
}

func (r *toolRun) parse(spec string) error {
	strict := strings.HasPrefix(spec, "+")
	short, long := readSpec(strings.TrimPrefix(spec, "+"))
	args := r.Call.Args[1:]
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		var err error
		switch {
		case a == "--":
			r.args = append(r.args, args...)
			return nil
		case strings.HasPrefix(a, "--"):
			args, err = r.longOption(long, a[2:], args)
		case len(a) > 1 && a[0] == '-':
			args, err = r.shortOptions(short, a[1:], args)
		case strict:
			r.args = append(append(r.args, a), args...)
			return nil
		default:
			r.args = append(r.args, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *toolRun) longOption(long map[string]knownOption, a string, rest []string) ([]string, error) {
	name, value, given := strings.Cut(a, "=")
	k, ok := long[name]
	if !ok { // a beginning that fits one option only stands for it
		found := 0
		for n, candidate := range long {
			if strings.HasPrefix(n, name) && (found == 0 || candidate.key != k.key) {
				k, found = candidate, found+1
			}
		}
		if ok = found == 1 && name != ""; !ok {
			return nil, r.unsupported("the option --%s is not known here", name)
		}
	}
	switch {
	case given && !k.wants && !k.accepts:
		return nil, r.unsupported("the option --%s takes no argument", name)
	case k.wants && !given:
		if len(rest) == 0 {
			return nil, r.unsupported("the option --%s asks for an argument", name)
		}
		value, rest = rest[0], rest[1:]
	}
	r.options = append(r.options, toolOption{k.key, value})
	return rest, nil
}

func (r *toolRun) shortOptions(short map[byte]knownOption, letters string, rest []string) ([]string, error) {
	for i := 0; i < len(letters); i++ {
		k, ok := short[letters[i]]
		switch {
		case !ok:
			return nil, r.unsupported("the option -%c is not known here", letters[i])
		case !k.wants && !k.accepts:
			r.options = append(r.options, toolOption{k.key, ""})
			continue
		}
		value := letters[i+1:]
		if value == "" && k.wants {
			if len(rest) == 0 {
				return nil, r.unsupported("the option -%c asks for an argument", letters[i])
			}
			value, rest = rest[0], rest[1:]
		}
		r.options = append(r.options, toolOption{k.key, value})
		return rest, nil
	}
	return rest, nil
}

// has reports whether one of the options was given.
func (r *toolRun) has(keys ...string) bool { return r.lastOf(keys...) != "" }

// lastOf is the one of the options that was given last, "" for none.
func (r *toolRun) lastOf(keys ...string) string {
	for i := len(r.options) - 1; i >= 0; i-- {
		for _, k := range keys {
			if r.options[i].key == k {
				return k
			}
		}
	}
	return ""
}

// value is the argument of an option where it was given last.
func (r *toolRun) value(key string) (string, bool) {
	for i := len(r.options) - 1; i >= 0; i-- {
		if r.options[i].key == key {
			return r.options[i].value, true
		}
	}
	return "", false
}

// values are the arguments of all times that an option was given.
func (r *toolRun) values(key string) []string {
	var out []string
	for _, o := range r.options {
		if o.key == key {
			out = append(out, o.value)
		}
	}
	return out
}

func (r *toolRun) printf(format string, args ...any) { fmt.Fprintf(r.out, format, args...) }

// errorText is what strerror says.
func errorText(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	case errors.Is(err, fs.ErrInvalid):
		return "Invalid argument"
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	s := err.Error()
	if strings.HasSuffix(s, "symbolic links") {
		return "Too many levels of symbolic links"
	}
	first, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(string(first)) + s[n:]
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// devicePath is where a path leads without the tree: the devices that every process has.
func devicePath(dir, p string) string {
	if !strings.HasPrefix(p, "/") {
		p = dir + "/" + p
	}
	switch p = path.Clean(p); p {
	case "/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/full", "/dev/tty", "/dev/random", "/dev/urandom":
		return p
	}
	return ""
}

// open opens a file for reading; "-" is standard input where dash says so.
func (r *toolRun) open(p string, dash bool) (io.ReadCloser, error) {
	if p == "-" && dash {
		return io.NopCloser(r.Stdin), nil
	}
	switch device := devicePath(r.Dir, p); device {
	case "":
	case "/dev/stdin":
		return io.NopCloser(r.Stdin), nil
	case "/dev/random", "/dev/urandom":
		return nil, r.FS.checkRandom("/", device)
	case "/dev/null", "/dev/stdout", "/dev/stderr":
		return io.NopCloser(strings.NewReader("")), nil
	default:
		return nil, r.unsupported("%s cannot be read here", device)
	}
	return r.FS.Open(r.Dir, p)
}

// read is the whole of a file, or of standard input for "-".
func (r *toolRun) read(p string) ([]byte, error) {
	f, err := r.open(p, true)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(p, f)
}

func readBounded(p string, f io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err == nil && len(b) > MaxFileSize {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fmt.Errorf("more than %d bytes", MaxFileSize)}
	}
	return b, err
}

// fatal reports whether an error must stop the build and not only the program.
func fatal(err error) bool {
	var u *Unsupported
	return errors.As(err, &u) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// inputs hands the content of each operand to f, of standard input where there is none; what cannot be read is complained
// about and passed over.
func (r *toolRun) inputs(f func(name string, content []byte) error) error {
	names := r.args
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		b, err := r.read(name)
		if err != nil {
			if fatal(err) {
				return err
			}
			r.complain("%s: %s", name, errorText(err))
			continue
		}
		if err := f(name, b); err != nil {
			return err
		}
	}
	return r.ctx.Err()
}

// write makes or replaces a file as the shell's > does.
func (r *toolRun) write(p string, b []byte) error {
	switch devicePath(r.Dir, p) {
	case "":
		return r.FS.WriteFile(r.Dir, p, b, 0o666&^r.Umask)
	case "/dev/stdout":
		_, err := r.out.Write(b)
		return err
	case "/dev/stderr":
		_, err := r.Stderr.Write(b)
		return err
	}
	return nil
}

// lines splits content into lines without their ends; whether the last one had its end is the second result.
func splitLines(b []byte, end byte) (lines [][]byte, ended bool) {
	if len(b) == 0 {
		return nil, true
	}
	ended = b[len(b)-1] == end
	if ended {
		b = b[:len(b)-1]
	}
	return bytes.Split(b, []byte{end}), ended
}

// clean makes a path absolute without following anything.
func (r *toolRun) clean(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = r.Dir + "/" + p
	}
	return path.Clean(p)
}

// join is a name in a directory as programs print it.
func join(dir, name string) string {
	if strings.HasSuffix(dir, "/") {
		return dir + name
	}
	return dir + "/" + name
}

// baseName is the last name of a path, "/" of the root.
func baseName(p string) string {
	t := strings.TrimRight(p, "/")
	if t == "" {
		if p == "" {
			return ""
		}
		return "/"
	}
	return t[strings.LastIndexByte(t, '/')+1:]
}

// isDir reports whether p leads to a directory.
func (r *toolRun) isDir(p string) bool {
	n, err := r.FS.Stat(r.Dir, p)
	return err == nil && n.IsDir()
}

// links counts the names of a file, or the subdirectories of a directory as its link count does.
func links(f *FS, n *rootfs.Node) int {
	count := 1
	switch {
	case n.IsDir():
		count = 2
		for _, name := range f.tree.List(n.Path) {
			if c := f.tree.Node(path.Join(n.Path, name)); c != nil && c.IsDir() {
				count++
			}
		}
	case n.IsRegular():
		count = max(1, len(f.linked(n)))
	}
	return count
}
