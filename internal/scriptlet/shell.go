package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// shell is bash in posix mode, as /bin/sh of Fedora and RHEL is: one shell or subshell. It interprets the syntax tree by
// itself, one command after the other, so that what happens is the same every time: the sides of a pipe run in their
// order, each to its end, and what is put in the background runs at once.
type shell struct {
	m      *machine
	name   string   // $0
	root   bool     // it runs the scriptlet itself
	inner  int      // more than 0: lines are those of other text, of eval, a trap or another file
	params []string // $1 ...
	vars   map[string]*variable
	scopes []map[string]*variable // what local variables hide, by function
	funcs  map[string]*syntax.Stmt
	opts   options
	dir    string
	umask  uint32
	fds    map[int]*stream

	status  int
	line    int
	ignored int // more than 0: failing does not end the shell whatever set -e says
	flow    flow
	levels  int // of loops that break and continue go out of
	loops   int // around the current command
	calls   int // of functions
	sources int
	subst   int // status of the last command substitution of the current command
	substed bool
	traps   map[string]string
	trapped bool           // in a trap
	jobs    map[string]int // status by the number $! gave
	last    string         // $!
	optat   int            // of getopts: bytes of the current argument that are done
	names   []string       // of functions on the way
}

// stream is what a file descriptor leads to.
type stream struct {
	r io.Reader
	w io.Writer
}

// flow is why the commands after the current one are passed over.
type flow int

const (
	flowNone flow = iota
	flowBreak
	flowContinue
	flowReturn
	flowExit
)

// options are those of set and shopt.
type options struct {
	allexport, errexit, noglob, noexec, nounset, xtrace, pipefail, noclobber bool
	nullglob, dotglob, extglob, nocasematch, nocaseglob                      bool
}

// abort ends the shell with a status: an expansion that fails, a special builtin that may not.
type abort struct {
	status  int
	message string
}

func (a *abort) Error() string { return a.message }

func failure(status int, format string, args ...any) error {
	return &abort{status, fmt.Sprintf(format, args...)}
}

// shellProgram is bash or sh as a program: sh [-eux...] [-c COMMAND [NAME]] [FILE] [ARGUMENT...].
func (m *machine) shellProgram(ctx context.Context, c process) (int, error) {
	s := newShell(m, c)
	args := c.args[1:]
	command := false
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			break
		}
		if slices.Contains([]string{"--posix", "--norc", "--noprofile", "--login"}, arg) {
			continue
		}
		if strings.HasPrefix(arg, "--") {
			return 2, &Unsupported{Command: strings.Join(c.args, " "), Why: "option " + arg + " is not known"}
		}
		for _, f := range arg[1:] {
			switch {
			case f == 'c' && arg[0] == '-':
				command = true
			case strings.ContainsRune("sbhBEHTlpm", f):
			case f == 'o' && len(args) > 0:
				if !s.setOption(args[0], arg[0] == '-') {
					fmt.Fprintf(c.stderr, "%s: %s: invalid option name\n", c.args[0], args[0])
					return 2, nil
				}
				args = args[1:]
			case s.opts.flag(f) != nil:
				*s.opts.flag(f) = arg[0] == '-'
			default:
				return 2, &Unsupported{Command: strings.Join(c.args, " "), Why: fmt.Sprintf("option -%c is not known", f)}
			}
		}
	}
	var source string
	switch {
	case command && len(args) == 0:
		fmt.Fprintf(c.stderr, "%s: -c: option requires an argument\n", c.args[0])
		return 2, nil
	case command:
		source, args = args[0], args[1:]
		if len(args) > 0 {
			s.name, args = args[0], args[1:]
		}
	case len(args) > 0:
		s.name = args[0]
		if s.root = c.body != nil; s.root {
			source, args = *c.body, args[1:]
			break
		}
		body, status, err := s.readScript(args[0])
		if err != nil || status != 0 {
			return status, err
		}
		source, args = body, args[1:]
	default:
		body, err := io.ReadAll(io.LimitReader(c.stdin, MaxScript))
		if err != nil {
			return 1, err
		}
		source = string(body)
	}
	s.params = args
	return s.main(ctx, source)
}

// readScript reads a file that was named as a script.
func (s *shell) readScript(p string) (string, int, error) {
	n, err := s.m.fs.Stat(s.dir, p)
	if err != nil {
		s.errorf("%s: No such file or directory", p)
		return "", 127, nil
	}
	if n.IsDir() {
		s.errorf("%s: Is a directory", p)
		return "", 126, nil
	}
	if n.Size > MaxScript {
		return "", 126, &Limit{fmt.Sprintf("%d bytes of script", MaxScript)}
	}
	body, err := s.m.fs.ReadFile(s.dir, p)
	return string(body), 0, err
}

func newShell(m *machine, c process) *shell {
	s := &shell{
		m: m, name: c.args[0], vars: map[string]*variable{}, funcs: map[string]*syntax.Stmt{}, dir: c.dir, umask: c.umask,
		fds:   map[int]*stream{0: {r: c.stdin}, 1: {w: c.stdout}, 2: {w: c.stderr}},
		traps: map[string]string{}, jobs: map[string]int{},
	}
	for name, value := range map[string]string{
		"IFS": " \t\n", "OPTIND": "1", "PS4": "+ ", "PATH": scriptPath, "BASH": "/bin/sh", "BASH_VERSION": "5.2.26(1)-release", "TERM": "dumb",
		"HOSTNAME": "localhost", "OSTYPE": "linux-gnu", "HOSTTYPE": m.host.Arch, "MACHTYPE": m.host.Arch + "-pc-linux-gnu",
		"POSIXLY_CORRECT": "y", "OPTERR": "1",
	} {
		s.vars[name] = &variable{set: true, text: value}
	}
	for _, name := range []string{"UID", "EUID", "PPID"} {
		s.vars[name] = &variable{set: true, text: "0", readonly: true}
	}
	for name, value := range c.env {
		s.vars[name] = &variable{set: true, text: value, exported: true}
	}
	for name, value := range map[string]string{"PWD": c.dir, "SHLVL": "1", "_": c.args[0]} {
		s.vars[name] = &variable{set: true, text: value, exported: true}
	}
	m.pid++
	return s
}

// main runs a whole script and its exit trap.
func (s *shell) main(ctx context.Context, source string) (int, error) {
	err := s.source(ctx, source)
	if err == nil {
		err = s.exitTrap(ctx)
	}
	s.m.sync()
	return s.status & 0xff, err
}

func (s *shell) exitTrap(ctx context.Context) error {
	body := s.traps["EXIT"]
	if body == "" {
		return nil
	}
	delete(s.traps, "EXIT")
	status := s.status
	s.flow = flowNone
	if err := s.within(ctx, body); err != nil {
		return err
	}
	if s.flow != flowExit {
		s.status = status
	}
	s.flow = flowExit
	return nil
}

// source runs text as commands of this shell, as far as its syntax goes.
func (s *shell) source(ctx context.Context, text string) error {
	list, parseErr := parseShell(text)
	if err := s.list(ctx, list); err != nil {
		return err
	}
	if parseErr != nil && s.flow == flowNone {
		return &Unsupported{Command: s.name, Why: parseErr.Error()}
	}
	return nil
}

// within is source for text that is not the script's own.
func (s *shell) within(ctx context.Context, text string) error {
	s.inner++
	defer func() { s.inner-- }()
	return s.source(ctx, text)
}

// parseShell parses a script. With an error come the statements before it.
func parseShell(text string) ([]*syntax.Stmt, error) {
	if trimmed := strings.TrimRight(text, "\\"); (len(text)-len(trimmed))%2 == 1 {
		text = text[:len(text)-1] // bash drops a backslash that nothing follows
	}
	list, err := parseOnce(text)
	if err == nil {
		return list, nil
	}
	// What begins with two parentheses may be a subshell in a subshell.
	for i, tries := 0, 0; tries < 50; tries++ {
		k := strings.Index(text[i:], "((")
		if k < 0 {
			break
		}
		i += k + 1
		if isArithmetic(text[i:]) {
			continue
		}
		if again, err := parseOnce(text[:i] + " " + text[i:]); err == nil {
			return again, nil
		}
	}
	return list, err
}

// isArithmetic reports whether what begins with the second of two parentheses is an expression, as bash decides it: its
// parenthesis is closed right before that of the first.
func isArithmetic(text string) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return strings.HasPrefix(text[i+1:], ")")
			}
		}
	}
	return false
}

func parseOnce(text string) (list []*syntax.Stmt, err error) {
	for st, e := range syntax.NewParser(syntax.Variant(syntax.LangBash)).StmtsSeq(strings.NewReader(text)) {
		switch {
		case err != nil: // it goes on after an error
		case e != nil:
			err = e
		default:
			list = append(list, st)
		}
	}
	return list, err
}

// stopped reports whether commands are to be passed over.
func (s *shell) stopped() bool { return s.flow != flowNone }

func (s *shell) list(ctx context.Context, list []*syntax.Stmt) error {
	for _, st := range list {
		if s.stopped() {
			return nil
		}
		if err := s.stmt(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// stmt runs one statement. What only ends the shell is no error here.
func (s *shell) stmt(ctx context.Context, st *syntax.Stmt) error {
	if s.opts.noexec {
		return nil
	}
	err := s.m.step(ctx, 1)
	if err == nil {
		if line := int(st.Pos().Line()); line > 0 {
			s.line = line
			if s.root && s.inner == 0 {
				s.m.line = line
			}
		}
		if st.Background || st.Disown {
			err = s.background(ctx, st)
		} else {
			err = s.foreground(ctx, st)
		}
	}
	var a *abort
	if errors.As(err, &a) {
		if a.message != "" {
			s.errorf("%s", a.message)
		}
		s.status, s.flow = a.status, flowExit
		return nil
	}
	return err
}

// background runs a statement as a child of its own, at once.
func (s *shell) background(ctx context.Context, st *syntax.Stmt) error {
	plain := *st
	plain.Background, plain.Disown = false, false
	sub := s.subshell()
	sub.fds[0] = &stream{r: strings.NewReader("")}
	if err := sub.run(ctx, []*syntax.Stmt{&plain}); err != nil {
		return err
	}
	s.m.pid++
	s.last = strconv.Itoa(s.m.pid)
	s.jobs[s.last] = sub.status
	s.status = 0
	return nil
}

func (s *shell) foreground(ctx context.Context, st *syntax.Stmt) error {
	if st.Coprocess {
		return s.unsupported("|&", "coprocesses are not known")
	}
	if st.Negated {
		s.ignored++
	}
	var err error
	if call, ok := st.Cmd.(*syntax.CallExpr); ok {
		err = s.simple(ctx, call, st.Redirs)
	} else {
		err = s.redirected(ctx, st.Redirs, func() error { return s.command(ctx, st.Cmd) })
	}
	if st.Negated {
		s.ignored--
	}
	if err != nil || s.stopped() {
		if st.Negated && err == nil && s.flow != flowExit && s.flow != flowReturn {
			s.negate()
		}
		return err
	}
	if st.Negated {
		s.negate()
		return nil
	}
	if s.status != 0 && s.ignored == 0 && endsOnFailure(st.Cmd) {
		if err := s.errTrap(ctx); err != nil {
			return err
		}
		if s.opts.errexit {
			s.flow = flowExit
		}
	}
	return nil
}

func (s *shell) negate() {
	if s.status == 0 {
		s.status = 1
	} else {
		s.status = 0
	}
}

// endsOnFailure tells the commands that set -e looks at: in others those within were looked at already.
func endsOnFailure(c syntax.Command) bool {
	switch c := c.(type) {
	case *syntax.BinaryCmd:
		return c.Op == syntax.Pipe || c.Op == syntax.PipeAll
	case *syntax.IfClause, *syntax.WhileClause, *syntax.ForClause, *syntax.CaseClause, *syntax.Block, *syntax.FuncDecl:
		return false
	}
	return true
}

func (s *shell) errTrap(ctx context.Context) error {
	body := s.traps["ERR"]
	if body == "" || s.trapped {
		return nil
	}
	status := s.status
	s.trapped = true
	err := s.within(ctx, body)
	s.trapped = false
	if !s.stopped() {
		s.status = status
	}
	return err
}

// redirected runs something with redirections in place, and takes them back. When one fails it is not run.
func (s *shell) redirected(ctx context.Context, list []*syntax.Redirect, run func() error) error {
	if len(list) == 0 {
		return run()
	}
	before := s.fds
	s.fds = maps.Clone(before)
	ok, err := s.redirect(ctx, list)
	if err == nil && ok {
		err = run()
	}
	s.fds = before
	s.m.sync()
	return err
}

// command runs a compound command.
func (s *shell) command(ctx context.Context, c syntax.Command) error {
	switch c := c.(type) {
	case nil:
		s.status = 0
		return nil
	case *syntax.Block:
		return s.list(ctx, c.Stmts)
	case *syntax.Subshell:
		sub := s.subshell()
		err := sub.run(ctx, c.Stmts)
		s.status = sub.status
		return err
	case *syntax.BinaryCmd:
		return s.binary(ctx, c)
	case *syntax.IfClause:
		return s.ifClause(ctx, c)
	case *syntax.WhileClause:
		return s.while(ctx, c)
	case *syntax.ForClause:
		return s.forLoop(ctx, c)
	case *syntax.CaseClause:
		return s.caseClause(ctx, c)
	case *syntax.FuncDecl:
		if c.Name == nil {
			return s.unsupported("function", "a function without a name")
		}
		s.funcs[c.Name.Value] = c.Body
		s.status = 0
		return nil
	case *syntax.ArithmCmd:
		n, err := s.arithmetic(ctx, c.X)
		return s.truth(n != 0, err)
	case *syntax.LetClause:
		n := int64(0)
		for _, x := range c.Exprs {
			var err error
			if n, err = s.arithmetic(ctx, x); err != nil {
				return s.truth(false, err)
			}
		}
		return s.truth(n != 0, nil)
	case *syntax.TestClause:
		ok, err := s.testClause(ctx, c.X)
		return s.truth(ok, err)
	case *syntax.DeclClause:
		return s.declare(ctx, c)
	case *syntax.TimeClause:
		if c.Stmt == nil {
			s.status = 0
			return nil
		}
		return s.stmt(ctx, c.Stmt)
	}
	return s.unsupported(fmt.Sprintf("%T", c), "this kind of command is not known")
}

// truth sets the status of a condition. One that cannot be evaluated is false and does not end the shell.
func (s *shell) truth(ok bool, err error) error {
	s.status = 0
	if !ok {
		s.status = 1
	}
	var a *abort
	if errors.As(err, &a) {
		s.errorf("%s", a.message)
		s.status = max(a.status, 1)
		return nil
	}
	return err
}

// unsupported is the error for what the interpreter does not know.
func (s *shell) unsupported(what, why string) error {
	return &Unsupported{Command: what, Why: why}
}

func (s *shell) binary(ctx context.Context, c *syntax.BinaryCmd) error {
	switch c.Op {
	case syntax.AndStmt, syntax.OrStmt:
		s.ignored++
		err := s.stmt(ctx, c.X)
		s.ignored--
		if err != nil || s.stopped() || (s.status == 0) != (c.Op == syntax.AndStmt) {
			return err
		}
		return s.stmt(ctx, c.Y)
	}
	pipe := &capture{m: s.m}
	left := s.subshell()
	left.fds[1] = &stream{w: pipe}
	if c.Op == syntax.PipeAll {
		left.fds[2] = left.fds[1]
	}
	if err := left.run(ctx, []*syntax.Stmt{c.X}); err != nil {
		return err
	}
	right := s.subshell()
	right.fds[0] = &stream{r: &pipe.Buffer}
	if err := right.run(ctx, []*syntax.Stmt{c.Y}); err != nil {
		return err
	}
	s.status = right.status
	if s.opts.pipefail && s.status == 0 {
		s.status = left.status
	}
	return nil
}

func (s *shell) condition(ctx context.Context, list []*syntax.Stmt) (bool, error) {
	s.ignored++
	err := s.list(ctx, list)
	s.ignored--
	return s.status == 0, err
}

func (s *shell) ifClause(ctx context.Context, c *syntax.IfClause) error {
	for ; c != nil; c = c.Else {
		if len(c.Cond) == 0 { // else
			return s.list(ctx, c.Then)
		}
		ok, err := s.condition(ctx, c.Cond)
		if err != nil || s.stopped() {
			return err
		}
		if ok {
			return s.list(ctx, c.Then)
		}
	}
	s.status = 0
	return nil
}

func (s *shell) while(ctx context.Context, c *syntax.WhileClause) error {
	s.loops++
	defer func() { s.loops-- }()
	status := 0
	for {
		if err := s.m.step(ctx, 1); err != nil {
			return err
		}
		ok, err := s.condition(ctx, c.Cond)
		if err != nil {
			return err
		}
		if out := s.leaveLoop(); out {
			return nil
		}
		if ok == c.Until {
			s.status = status
			return nil
		}
		if err := s.list(ctx, c.Do); err != nil {
			return err
		}
		if out := s.leaveLoop(); out {
			return nil
		}
		status = s.status
	}
}

// leaveLoop reports whether a loop ends here; a continue of this loop ends with it.
func (s *shell) leaveLoop() bool {
	switch s.flow {
	case flowNone:
		return false
	case flowBreak, flowContinue:
		if s.levels--; s.levels > 0 && s.loops > 1 {
			return true
		}
		out := s.flow == flowBreak
		s.flow = flowNone
		return out
	}
	return true
}

func (s *shell) forLoop(ctx context.Context, c *syntax.ForClause) error {
	if c.Select {
		return s.unsupported("select", "there is nobody to select")
	}
	s.loops++
	defer func() { s.loops-- }()
	if loop, ok := c.Loop.(*syntax.CStyleLoop); ok {
		return s.countingLoop(ctx, c, loop)
	}
	words := c.Loop.(*syntax.WordIter)
	items := s.params
	if words.InPos.IsValid() {
		var err error
		if items, err = s.fields(ctx, words.Items); err != nil {
			return err
		}
	}
	s.status = 0
	for _, item := range items {
		if err := s.m.step(ctx, 1); err != nil {
			return err
		}
		if err := s.set(words.Name.Value, item); err != nil {
			return err
		}
		if err := s.list(ctx, c.Do); err != nil {
			return err
		}
		if s.leaveLoop() {
			return nil
		}
	}
	return nil
}

func (s *shell) countingLoop(ctx context.Context, c *syntax.ForClause, loop *syntax.CStyleLoop) error {
	if loop.Init != nil {
		if _, err := s.arithmetic(ctx, loop.Init); err != nil {
			return s.truth(false, err)
		}
	}
	s.status = 0
	for {
		if err := s.m.step(ctx, 1); err != nil {
			return err
		}
		if loop.Cond != nil {
			n, err := s.arithmetic(ctx, loop.Cond)
			if err != nil {
				return s.truth(false, err)
			}
			if n == 0 {
				return nil
			}
		}
		if err := s.list(ctx, c.Do); err != nil {
			return err
		}
		if s.leaveLoop() {
			return nil
		}
		if loop.Post != nil {
			if _, err := s.arithmetic(ctx, loop.Post); err != nil {
				return s.truth(false, err)
			}
		}
	}
}

func (s *shell) caseClause(ctx context.Context, c *syntax.CaseClause) error {
	word, err := s.text(ctx, c.Word)
	if err != nil {
		return err
	}
	s.status = 0
	through := false
	for _, item := range c.Items {
		matched := through
		for _, p := range item.Patterns {
			if matched {
				break
			}
			pattern, err := s.pattern(ctx, p)
			if err != nil {
				return err
			}
			if matched, err = s.matches(ctx, pattern, word, s.opts.nocasematch); err != nil {
				return err
			}
		}
		if !matched {
			continue
		}
		if err := s.list(ctx, item.Stmts); err != nil || s.stopped() {
			return err
		}
		switch item.Op {
		case syntax.Fallthrough:
			through = true
		case syntax.Resume, syntax.ResumeKorn:
			through = false
		default:
			return nil
		}
	}
	return nil
}

// subshell is a copy that changes nothing of the original.
func (s *shell) subshell() *shell {
	sub := *s
	sub.vars = make(map[string]*variable, len(s.vars))
	for name, v := range s.vars {
		sub.vars[name] = v.clone()
	}
	sub.scopes = slices.Clone(s.scopes)
	for i, scope := range sub.scopes {
		sub.scopes[i] = maps.Clone(scope)
	}
	sub.funcs, sub.fds = maps.Clone(s.funcs), maps.Clone(s.fds)
	sub.traps, sub.jobs = map[string]string{}, map[string]int{}
	sub.loops, sub.levels = 0, 0
	return &sub
}

// run runs a list in a subshell to its end.
func (s *shell) run(ctx context.Context, list []*syntax.Stmt) error {
	if err := s.m.enter(); err != nil {
		return err
	}
	defer s.m.leave()
	if err := s.list(ctx, list); err != nil {
		return err
	}
	if err := s.exitTrap(ctx); err != nil {
		return err
	}
	s.m.sync()
	return s.m.fatal
}

// substitute is what a list of commands writes, its last line breaks taken off.
func (s *shell) substitute(ctx context.Context, c *syntax.CmdSubst) (string, error) {
	if c.TempFile || c.ReplyVar {
		return "", s.unsupported("${ ", "this substitution is not of bash")
	}
	out := &capture{m: s.m}
	if file := onlyInput(c.Stmts); file != nil {
		err := s.redirected(ctx, c.Stmts[0].Redirs, func() error {
			_, err := io.Copy(out, s.input())
			s.subst, s.substed = 0, true
			return err
		})
		if err == nil && s.status != 0 {
			s.subst, s.substed = s.status, true
		}
		return trimOutput(out), err
	}
	sub := s.subshell()
	sub.fds[1] = &stream{w: out}
	err := sub.run(ctx, c.Stmts)
	s.subst, s.substed, s.status = sub.status, true, sub.status
	return trimOutput(out), err
}

// onlyInput is the redirection of $(<file).
func onlyInput(list []*syntax.Stmt) *syntax.Redirect {
	if len(list) != 1 || list[0].Cmd != nil || list[0].Negated || list[0].Background || len(list[0].Redirs) != 1 || list[0].Redirs[0].Op != syntax.RdrIn {
		return nil
	}
	return list[0].Redirs[0]
}

func trimOutput(out *capture) string {
	return strings.TrimRight(string(bytes.ReplaceAll(out.Bytes(), []byte{0}, nil)), "\n")
}

func (s *shell) input() io.Reader {
	if f := s.fds[0]; f != nil && f.r != nil {
		return f.r
	}
	return strings.NewReader("")
}

// writer is where descriptor n writes; nothing is kept when it is closed.
func (s *shell) writer(n int) io.Writer {
	if f := s.fds[n]; f != nil && f.w != nil {
		return f.w
	}
	return io.Discard
}

// errorf writes a message of the shell.
func (s *shell) errorf(format string, args ...any) {
	fmt.Fprintf(s.writer(2), "%s: line %d: %s\n", s.name, s.line, fmt.Sprintf(format, args...))
}

// process is what a child of this shell starts with.
func (s *shell) process(args []string) process {
	env := map[string]string{}
	for name, v := range s.vars {
		if v.exported && v.set && !v.isArray() {
			env[name] = v.text
		}
	}
	return process{args: args, env: env, dir: s.dir, umask: s.umask, stdin: s.input(), stdout: s.writer(1), stderr: s.writer(2)}
}
