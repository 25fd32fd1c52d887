package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// The bounds of one scriptlet.
const (
	MaxSteps  = 4_000_000 // statements, words and directory entries looked at
	MaxDepth  = 200       // programs, functions, sourced files and subshells within each other
	MaxOutput = 64 << 20  // bytes of a pipe, a command substitution, a variable
	MaxScript = 4 << 20   // bytes of a script in the tree
)

// Limit says that a scriptlet went over a bound. No `|| :` swallows it.
type Limit struct{ What string }

func (l *Limit) Error() string { return "more than " + l.What }

// machine is what all processes of one scriptlet share.
type machine struct {
	fs       *FS
	host     *Host
	commands map[string]Command
	builtins map[string]builtin
	noop     map[string]bool // names of commands that do nothing
	warn     func(message string)
	toolbox  bool // commands are there though their files are not

	steps int64
	depth int
	dirty []*openFile // written and not yet in the tree
	line  int         // of the scriptlet that is being run
	fatal error       // what has to end all, whoever caused it
	pid   int

	regexps map[string]*regexp.Regexp

	called []string // names of commands that did something, in the order of their first call
	quiet  []string // the same of those that do nothing
}

// step counts work, so that every scriptlet ends, and on every machine at the same place.
func (m *machine) step(ctx context.Context, n int) error {
	before := m.steps
	m.steps += int64(n)
	if m.fatal != nil {
		return m.fatal
	}
	if m.steps > MaxSteps {
		return &Limit{fmt.Sprintf("%d steps", MaxSteps)}
	}
	if before>>10 != m.steps>>10 {
		return ctx.Err()
	}
	return nil
}

// enter and leave count how deep things are within each other.
func (m *machine) enter() error {
	if m.depth++; m.depth > MaxDepth {
		return &Limit{fmt.Sprintf("%d programs, functions and subshells within each other", MaxDepth)}
	}
	return nil
}

func (m *machine) leave() { m.depth-- }

// failed is the error that ends all: of a command, or of what it had done to it.
func (m *machine) failed(err error) error {
	if err == nil {
		err = m.fatal
	}
	if err == nil {
		err = m.fs.refused
	}
	return err
}

// process is what a program is started with.
type process struct {
	args   []string
	env    map[string]string
	dir    string
	umask  uint32
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	body   *string // of the scriptlet itself, whose file is not in the tree
}

// program is a command that was found.
type program struct {
	name   string // as it was called
	path   string // where it was found
	node   *rootfs.Node
	native Command
	shell  bool
}

// errNotFound and its siblings are why a command cannot be started.
var (
	errNotFound      = errors.New("command not found")
	errNoFile        = fs.ErrNotExist
	errIsDirectory   = errors.New("is a directory")
	errNotExecutable = errors.New("permission denied")
)

// find looks a command up as execvp(3) does. The error is one of those above.
func (m *machine) find(name, search, dir string) (*program, error) {
	m.sync()
	if strings.Contains(name, "/") {
		p, err := m.executable(name, name, dir)
		if errors.Is(err, errNotFound) {
			err = errNoFile
		}
		return p, err
	}
	if name == "" {
		return nil, errNotFound
	}
	reason := errNotFound
	for d := range strings.SplitSeq(search, ":") {
		p, err := m.executable(name, strings.TrimSuffix(d, "/")+"/"+name, dir)
		if d == "" {
			p, err = m.executable(name, "./"+name, dir)
		}
		if err == nil {
			return p, nil
		}
		if errors.Is(err, errNotExecutable) {
			reason = err
		}
	}
	return nil, reason
}

// executable is the program at a path.
func (m *machine) executable(name, at, dir string) (*program, error) {
	n, err := m.fs.Stat(dir, at)
	if err != nil {
		if p := m.virtual(name, at); p != nil {
			return p, nil
		}
		return nil, errNotFound
	}
	if n.IsDir() {
		return nil, errIsDirectory
	}
	if n.Mode&0o111 == 0 {
		return nil, errNotExecutable
	}
	p := &program{name: name, path: at, node: n}
	if !isSystem(n.Path) {
		return p, nil
	}
	for _, base := range []string{path.Base(at), path.Base(n.Path)} {
		if c, ok := m.commands[base]; ok {
			p.native = c
			return p, nil
		}
		if isShell(base) {
			p.shell = true
			return p, nil
		}
	}
	return p, nil
}

// virtual is a program whose work is known though its file is not in the tree.
func (m *machine) virtual(name, at string) *program {
	if !m.toolbox || !isToolPath(at) {
		return nil
	}
	base := path.Base(at)
	if c, ok := m.commands[base]; ok {
		return &program{name: name, path: at, native: c}
	}
	if isShell(base) {
		return &program{name: name, path: at, shell: true}
	}
	return nil
}

// isToolPath tells the directories that hold a distribution's commands.
func isToolPath(p string) bool {
	return slices.Contains([]string{"/bin", "/sbin", "/usr/bin", "/usr/sbin"}, path.Dir(p))
}

// isSystem tells where distributions keep programs; what lies elsewhere only happens to have the name of a command.
func isSystem(p string) bool {
	for _, dir := range []string{"/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(p, dir) {
			return !strings.HasPrefix(p, "/usr/local/")
		}
	}
	return false
}

// start runs a program to its end.
func (m *machine) start(ctx context.Context, p *program, c process) (status int, err error) {
	if err := m.step(ctx, 1); err != nil {
		return 1, err
	}
	if err := m.enter(); err != nil {
		return 1, err
	}
	defer m.leave()
	m.sync()
	switch {
	case p.native != nil:
		status, err = m.native(ctx, p, c)
	case p.shell:
		status, err = m.shellProgram(ctx, c)
	default:
		status, err = m.script(ctx, p, c)
	}
	m.sync()
	return status & 0xff, m.failed(err)
}

func (m *machine) native(ctx context.Context, p *program, c process) (int, error) {
	m.note(path.Base(p.path))
	return p.native(ctx, &Call{
		Args: c.args, Env: func(name string) string { return c.env[name] }, Dir: c.dir, Umask: c.umask,
		Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr, FS: m.fs, Host: m.host, Warn: m.warn, LeftOut: p.node == nil,
		Run: func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
			child := c
			child.body = nil
			child.args, child.stdin, child.stdout, child.stderr = args, stdin, stdout, stderr
			return m.run(ctx, child)
		},
	})
}

// run finds and starts a command: 127 when it is not there, 126 when it cannot be executed.
func (m *machine) run(ctx context.Context, c process) (int, error) {
	if len(c.args) == 0 {
		return 127, nil
	}
	if c.stdin == nil {
		c.stdin = strings.NewReader("")
	}
	if c.stdout == nil {
		c.stdout = io.Discard
	}
	if c.stderr == nil {
		c.stderr = io.Discard
	}
	p, err := m.find(c.args[0], c.env["PATH"], c.dir)
	if err != nil {
		return cannotStart(err), nil
	}
	return m.start(ctx, p, c)
}

func cannotStart(err error) int {
	if errors.Is(err, errNotFound) || errors.Is(err, errNoFile) {
		return 127
	}
	return 126
}

// note remembers that a command was called.
func (m *machine) note(name string) {
	list := &m.called
	if m.noop[name] {
		list = &m.quiet
	}
	if !slices.Contains(*list, name) {
		*list = append(*list, name)
	}
}

// script runs a file of the tree whose work is not known natively: a script of a shell.
func (m *machine) script(ctx context.Context, p *program, c process) (int, error) {
	head, err := m.head(p.node, 512)
	if err != nil {
		return 126, err
	}
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		return m.shebang(ctx, p, c, head)
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		return 126, &Unsupported{Command: strings.Join(c.args, " "), Why: "slim does not run programs, and does not know the work of this one"}
	case bytes.IndexByte(firstLine(head), 0) >= 0:
		fmt.Fprintf(c.stderr, "%s: cannot execute binary file\n", c.args[0])
		return 126, nil
	}
	c.args = append([]string{"sh", p.path}, c.args[1:]...)
	return m.shellProgram(ctx, c)
}

func (m *machine) head(n *rootfs.Node, size int64) ([]byte, error) {
	r, err := m.fs.OpenNode(n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, size))
}

func firstLine(b []byte) []byte {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return line
}

// shebang runs a script by the interpreter its first line names.
func (m *machine) shebang(ctx context.Context, p *program, c process, head []byte) (int, error) {
	words := strings.Fields(string(firstLine(head)[2:]))
	if len(words) > 1 && path.Base(words[0]) == "env" {
		words = words[1:]
		if words[0] == "-S" {
			words = words[1:]
		}
	}
	if len(words) > 0 && isShell(path.Base(words[0])) {
		c.args = slices.Concat(words, []string{p.path}, c.args[1:])
		if _, err := m.find(words[0], c.env["PATH"], c.dir); err != nil {
			fmt.Fprintf(c.stderr, "%s: %s: bad interpreter: %s\n", p.path, words[0], reason(err))
			return cannotStart(err), nil
		}
		return m.shellProgram(ctx, c)
	}
	what := "no interpreter"
	if len(words) > 0 {
		if _, err := m.find(words[0], c.env["PATH"], c.dir); err != nil {
			fmt.Fprintf(c.stderr, "%s: %s: bad interpreter: %s\n", p.path, words[0], reason(err))
			return cannotStart(err), nil
		}
		what = words[0]
	}
	return 126, &Unsupported{Command: strings.Join(c.args, " "), Why: "it is a script of " + what + ", which slim does not interpret"}
}

// openFile is a file of the tree opened for writing. What is written gets into the tree when somebody could look.
type openFile struct {
	m      *machine
	path   string // where it is, links followed
	append bool
	at     int // offset of what is pending
	buf    []byte
}

func (f *openFile) Write(b []byte) (int, error) {
	if len(f.buf) == 0 && len(b) > 0 {
		f.m.dirty = append(f.m.dirty, f)
	}
	if len(f.buf)+len(b) > MaxFileSize {
		f.m.stop(&Limit{fmt.Sprintf("%d bytes in one file", MaxFileSize)})
		return len(b), nil
	}
	f.buf = append(f.buf, b...)
	return len(b), nil
}

// flush puts what was written where it belongs. A file that is gone keeps it to itself.
func (f *openFile) flush() error {
	n := f.m.fs.tree.Node(f.path)
	if n == nil || !n.IsRegular() {
		f.buf = nil
		return nil
	}
	old, err := f.m.fs.ReadFile("/", f.path)
	if err != nil {
		return err
	}
	if f.append {
		f.at = len(old)
	}
	for len(old) < f.at {
		old = append(old, 0)
	}
	end := f.at + len(f.buf)
	content := slices.Concat(old[:f.at], f.buf, old[min(end, len(old)):])
	f.at, f.buf = end, nil
	return f.m.fs.WriteFile("/", f.path, content, n.Mode)
}

// sync puts all that was written into the tree.
func (m *machine) sync() {
	for len(m.dirty) > 0 {
		list := m.dirty
		m.dirty = nil
		for _, f := range list {
			if err := f.flush(); err != nil {
				m.stop(err)
			}
		}
	}
}

// stop ends everything with the next step.
func (m *machine) stop(err error) {
	if m.fatal == nil {
		m.fatal = err
	}
}

// capture holds what a command writes, up to a bound.
type capture struct {
	m *machine
	bytes.Buffer
}

func (c *capture) Write(b []byte) (int, error) {
	if c.Len()+len(b) > MaxOutput {
		c.m.stop(&Limit{fmt.Sprintf("%d bytes of output", MaxOutput)})
		return len(b), nil
	}
	return c.Buffer.Write(b)
}
