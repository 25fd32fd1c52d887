package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// specialBuiltins are those whose failure ends a shell in posix mode, and that functions do not hide (POSIX 2.14).
func isSpecialBuiltin(name string) bool {
	return slices.Contains([]string{
		"break", ":", ".", "source", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift",
		"times", "trap", "unset",
	}, name)
}

// simple runs a simple command: words are expanded, assignments done, redirections put in place, in this order.
func (s *shell) simple(ctx context.Context, c *syntax.CallExpr, redirections []*syntax.Redirect) error {
	s.substed = false
	args, err := s.fields(ctx, c.Args)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return s.onlyAssign(ctx, c.Assigns, redirections)
	}
	special := isSpecialBuiltin(args[0])
	restore, err := s.assignFor(ctx, c.Assigns, special)
	if err != nil {
		return err
	}
	defer restore()
	if s.opts.xtrace {
		fmt.Fprintf(s.writer(2), "+ %s\n", strings.Join(args, " "))
	}
	before := s.fds
	if len(redirections) > 0 {
		s.fds = maps.Clone(before)
		ok, err := s.redirect(ctx, redirections)
		if err != nil || !ok {
			s.fds = before
			if err == nil && special {
				s.flow = flowExit
			}
			return err
		}
	}
	keep := args[0] == "exec" && len(args) == 1
	err = s.call(ctx, args, true)
	if !keep {
		s.fds = before
		if len(redirections) > 0 {
			s.m.sync()
		}
	}
	return err
}

// onlyAssign is a command without a name: its assignments stay.
func (s *shell) onlyAssign(ctx context.Context, assigns []*syntax.Assign, redirections []*syntax.Redirect) error {
	for _, a := range assigns {
		if err := s.assign(ctx, a); err != nil {
			return err
		}
	}
	status := 0
	if s.substed {
		status = s.subst
	}
	s.status = status
	return s.redirected(ctx, redirections, func() error { return nil })
}

// assignFor does the assignments before a command, which are in its environment alone but for special builtins.
func (s *shell) assignFor(ctx context.Context, assigns []*syntax.Assign, stay bool) (restore func(), err error) {
	if len(assigns) == 0 {
		return func() {}, nil
	}
	before := map[string]*variable{}
	for _, a := range assigns {
		name := a.Name.Value
		if _, ok := before[name]; !ok {
			before[name] = s.vars[name]
			if s.vars[name] != nil {
				s.vars[name] = s.vars[name].clone()
			}
		}
		if err := s.assign(ctx, a); err != nil {
			return func() {}, err
		}
		s.vars[name].exported = true
	}
	if stay {
		for name, v := range before {
			if s.vars[name] != nil {
				s.vars[name].exported = v != nil && v.exported
			}
		}
		return func() {}, nil
	}
	return func() {
		for name, v := range before {
			if v == nil {
				delete(s.vars, name)
			} else {
				s.vars[name] = v
			}
		}
	}, nil
}

// call runs a command whose words are known: a special builtin, a function, a builtin, a program.
func (s *shell) call(ctx context.Context, args []string, functions bool) error {
	name := args[0]
	if body := s.funcs[name]; body != nil && functions && !isSpecialBuiltin(name) {
		return s.function(ctx, name, body, args[1:])
	}
	if b := s.m.builtins[name]; b != nil {
		status, err := b(s, ctx, args)
		if err == nil {
			s.status = status
			return nil
		}
		var a *abort
		if errors.As(err, &a) && !isSpecialBuiltin(name) {
			s.errorf("%s", a.message)
			s.status = a.status
			return nil
		}
		return err
	}
	p, err := s.m.find(name, s.path(), s.dir)
	if err != nil {
		s.errorf("%s: %s", name, reason(err))
		s.status = cannotStart(err)
		return nil
	}
	status, err := s.m.start(ctx, p, s.process(args))
	s.status = status
	return err
}

func (s *shell) path() string {
	if v := s.vars["PATH"]; v != nil && v.set {
		return v.text
	}
	return ""
}

func (s *shell) function(ctx context.Context, name string, body *syntax.Stmt, params []string) error {
	if err := s.m.enter(); err != nil {
		return err
	}
	defer s.m.leave()
	oldParams, oldLoops := s.params, s.loops
	s.params, s.loops = params, 0
	s.calls++
	s.scopes = append(s.scopes, map[string]*variable{})
	s.names = append(slices.Clone(s.names), name)
	err := s.stmt(ctx, body)
	s.names = s.names[:len(s.names)-1]
	s.unlocal()
	s.calls--
	s.params, s.loops = oldParams, oldLoops
	if s.flow == flowReturn {
		s.flow = flowNone
	}
	return err
}

// redirect puts redirections in place. When one fails it says so and sets the status.
func (s *shell) redirect(ctx context.Context, list []*syntax.Redirect) (bool, error) {
	for _, r := range list {
		message, err := s.redirectOne(ctx, r)
		if err != nil {
			return false, err
		}
		if message != "" {
			s.errorf("%s", message)
			s.status = 1
			return false, nil
		}
	}
	return true, nil
}

// redirectOne puts one redirection in place; the message says why it cannot.
func (s *shell) redirectOne(ctx context.Context, r *syntax.Redirect) (message string, err error) {
	n := 1
	switch r.Op {
	case syntax.RdrIn, syntax.RdrInOut, syntax.DplIn, syntax.Hdoc, syntax.DashHdoc, syntax.WordHdoc:
		n = 0
	}
	named := ""
	if r.N != nil {
		if name, ok := strings.CutPrefix(r.N.Value, "{"); ok {
			named = strings.TrimSuffix(name, "}")
			for n = 10; s.fds[n] != nil; n++ {
			}
		} else if n, err = strconv.Atoi(r.N.Value); err != nil || n > 1023 {
			return r.N.Value + ": Bad file descriptor", nil
		}
	}
	var f *stream
	switch r.Op {
	case syntax.Hdoc, syntax.DashHdoc:
		text, err := s.document(ctx, r)
		if err != nil {
			return "", err
		}
		f = &stream{r: strings.NewReader(text)}
	case syntax.WordHdoc:
		text, err := s.text(ctx, r.Word)
		if err != nil {
			return "", err
		}
		f = &stream{r: strings.NewReader(text + "\n")}
	default:
		target, err := s.text(ctx, r.Word) // in posix mode it is neither split nor a pattern
		if err != nil {
			return "", err
		}
		both := r.Op == syntax.RdrAll || r.Op == syntax.AppAll
		if r.Op == syntax.DplOut || r.Op == syntax.DplIn {
			done, message := s.duplicate(n, target)
			switch {
			case done && message == "" && named != "":
				return "", s.set(named, strconv.Itoa(n))
			case done || r.Op == syntax.DplIn || r.N != nil:
				return message, nil
			}
			both = true
		}
		if f, message, err = s.open(target, r.Op); err != nil || message != "" {
			return message, err
		}
		if both {
			s.fds[2] = f
		}
	}
	s.fds[n] = f
	if named != "" {
		return "", s.set(named, strconv.Itoa(n))
	}
	return "", nil
}

// duplicate makes descriptor n another one, or closes it.
func (s *shell) duplicate(n int, target string) (done bool, message string) {
	if target == "-" {
		delete(s.fds, n)
		return true, ""
	}
	digits, move := strings.CutSuffix(target, "-")
	from, err := strconv.Atoi(digits)
	if err != nil {
		return false, target + ": ambiguous redirect"
	}
	if s.fds[from] == nil {
		return true, target + ": Bad file descriptor"
	}
	s.fds[n] = s.fds[from]
	if move && from != n {
		delete(s.fds, from)
	}
	return true, ""
}

// open opens a file for a redirection.
func (s *shell) open(p string, op syntax.RedirOperator) (f *stream, message string, err error) {
	s.m.sync()
	if f, message, ok := s.device(p); ok {
		return f, message, s.m.fs.refused
	}
	if op == syntax.RdrIn || op == syntax.RdrInOut {
		body, err := s.m.fs.ReadFile(s.dir, p)
		if err := s.m.fs.refused; err != nil {
			return nil, "", err
		}
		if err == nil && op == syntax.RdrIn {
			return &stream{r: strings.NewReader(string(body))}, "", nil
		}
		if err != nil && (op == syntax.RdrIn || !errors.Is(err, fs.ErrNotExist)) {
			return nil, p + ": " + reason(err), nil
		}
		out, message := s.create(p, syntax.AppOut)
		if message != "" {
			return nil, message, nil
		}
		out.append = false
		return &stream{r: strings.NewReader(string(body)), w: out}, "", nil
	}
	out, message := s.create(p, op)
	if message != "" {
		return nil, message, nil
	}
	return &stream{w: out}, "", nil
}

// create opens a file of the tree for writing, and makes it when it is not there.
func (s *shell) create(p string, op syntax.RedirOperator) (*openFile, string) {
	if p == "" {
		return nil, ": No such file or directory"
	}
	f := &openFile{m: s.m, append: op == syntax.AppOut || op == syntax.AppAll}
	n, err := s.m.fs.Stat(s.dir, p)
	switch {
	case err == nil && n.IsDir():
		return nil, p + ": Is a directory"
	case err == nil && f.append, err == nil && !n.IsRegular():
	case err == nil && s.opts.noclobber && op == syntax.RdrOut:
		return nil, p + ": cannot overwrite existing file"
	default:
		if err := s.m.fs.WriteFile(s.dir, p, nil, 0o666&^s.umask); err != nil {
			return nil, p + ": " + reason(err)
		}
	}
	at, _, err := s.m.fs.tree.Walk(s.dir, p, true)
	if err != nil {
		return nil, p + ": " + reason(err)
	}
	f.path = at
	return f, ""
}

// device opens what is in no tree: the null device, and the process's own descriptors.
func (s *shell) device(p string) (f *stream, message string, ok bool) {
	at := s.absolute(p)
	n, isFd := strings.CutPrefix(at, "/dev/fd/")
	switch at {
	case "/dev/null":
		return &stream{r: strings.NewReader(""), w: io.Discard}, "", true
	case "/dev/stdin":
		n, isFd = "0", true
	case "/dev/stdout":
		n, isFd = "1", true
	case "/dev/stderr":
		n, isFd = "2", true
	case "/dev/tty":
		return nil, p + ": No such device or address", true
	}
	if isFd {
		i, err := strconv.Atoi(n)
		if err != nil || s.fds[i] == nil {
			return nil, p + ": No such file or directory", true
		}
		return s.fds[i], "", true
	}
	if strings.HasPrefix(at, "/dev/tcp/") || strings.HasPrefix(at, "/dev/udp/") {
		return nil, p + ": Network is unreachable", true
	}
	return nil, "", false
}

// reason is the text of an error as strerror(3) gives it.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "No such file or directory"
	case errors.Is(err, fs.ErrExist):
		return "File exists"
	}
	text := err.Error()
	if errors.Is(err, errNotFound) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// document is the body of a here-document.
func (s *shell) document(ctx context.Context, r *syntax.Redirect) (string, error) {
	if r.Hdoc == nil {
		return "", nil
	}
	literal := false
	for _, p := range r.Word.Parts {
		lit, ok := p.(*syntax.Lit)
		literal = literal || !ok || strings.Contains(lit.Value, `\`)
	}
	b := s.splitter(true)
	start := true // of a line
	for _, p := range r.Hdoc.Parts {
		lit, ok := p.(*syntax.Lit)
		if !ok {
			start = false
			if err := b.part(ctx, p, true, false, false); err != nil {
				return "", err
			}
			continue
		}
		text := lit.Value
		if r.Op == syntax.DashHdoc {
			lines := strings.SplitAfter(text, "\n")
			for i := range lines {
				if i > 0 || start {
					lines[i] = strings.TrimLeft(lines[i], "\t")
				}
			}
			text = strings.Join(lines, "")
		}
		start = strings.HasSuffix(text, "\n")
		if !literal {
			text = unescapeQuoted(text, "$`\\")
		}
		b.add(text, true)
	}
	return joinPieces(b.current), nil
}

// changeDir does cd.
func (s *shell) changeDir(p string, physical bool) (string, error) {
	at := s.absolute(p)
	n, err := s.m.fs.Stat("/", at)
	if physical {
		if n, err = s.m.fs.Stat(s.dir, p); err == nil {
			at = n.Path
		}
	}
	if err != nil {
		return "", failure(1, "cd: %s: %s", p, reason(err))
	}
	if !n.IsDir() {
		return "", failure(1, "cd: %s: Not a directory", p)
	}
	return path.Clean(at), nil
}
