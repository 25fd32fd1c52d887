package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"slim/internal/rpm"
)

// readCloser is short for the type that Content returns.
type readCloser = io.ReadCloser

// scriptName is $0 of a scriptlet: where rpm would have written it.
const scriptName = "/var/tmp/rpm-tmp.slim"

// luaInterpreter is the interpreter that is rpm itself.
const luaInterpreter = "<lua>"

// IsInstallSlot tells the slots that run when a package is installed into an empty root.
func IsInstallSlot(slot string) bool {
	return slices.Contains([]string{"pretrans", "pre", "post", "posttrans", "triggerprein", "triggerin", "filetriggerin", "transfiletriggerin"}, slot)
}

// isCritical tells the slots whose failure keeps a package from being installed; that of others is a warning.
func isCritical(s *rpm.Scriptlet) bool {
	return s.Slot == "pretrans" || s.Slot == "pre" || s.Slot == "triggerprein" || s.Flags&rpm.ScriptCritical != 0
}

func (e *Engine) machine() *machine {
	return &machine{fs: e.fs, host: &e.o.Host, commands: e.commands, noop: e.noop, builtins: e.builtins, toolbox: e.o.Toolbox}
}

// environment is what a scriptlet finds in its environment.
func scriptEnvironment(prefixes []string) map[string]string {
	env := map[string]string{"PATH": scriptPath, "HOME": "/root"}
	for i, p := range prefixes {
		if i == 0 {
			env["RPM_INSTALL_PREFIX"] = p
		}
		env["RPM_INSTALL_PREFIX"+strconv.Itoa(i)] = p
	}
	return env
}

// run runs one scriptlet of package i with rpm's arguments; files come on its standard input, one a line.
func (e *Engine) run(ctx context.Context, i int, s *rpm.Scriptlet, args []int, files []string) error {
	p := &e.packages[i]
	outcome := Outcome{Package: p.NEVRA, Slot: s.Slot, Interpreter: strings.Join(s.Interpreter, " "), What: Skipped}
	if e.o.Rules.Skips(p.NEVRA.Name, s.Slot) {
		e.outcomes = append(e.outcomes, outcome)
		return nil
	}
	m := e.machine()
	m.warn = func(message string) { e.warn("scriptlet %%%s of %s: %s", s.Slot, p.NEVRA, message) }
	out := &said{}
	status, line, err := e.interpret(ctx, m, p, s, args, files, out)
	outcome.Commands = slices.Concat(m.called, m.quiet)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &Error{Package: p.NEVRA, Slot: s.Slot, Line: line, Err: err}
	case status != 0 && isCritical(s):
		return &Error{Package: p.NEVRA, Slot: s.Slot, Line: line, Err: fmt.Errorf("it ended with status %d%s", status, out.indented())}
	case status != 0:
		outcome.What = Failed
		outcome.Warning = fmt.Sprintf("scriptlet %%%s of %s ended with status %d%s", s.Slot, p.NEVRA, status, out.indented())
		e.warn("%s", outcome.Warning)
	case s.Interpreter[0] == luaInterpreter && s.Body != "", len(m.called) > 0:
		outcome.What = Evaluated
	case len(m.quiet) > 0:
		outcome.What = NoOp
	default:
		outcome.What = Nothing
	}
	e.outcomes = append(e.outcomes, outcome)
	return nil
}

// interpret runs a scriptlet by its interpreter.
func (e *Engine) interpret(ctx context.Context, m *machine, p *Package, s *rpm.Scriptlet, args []int, files []string, out io.Writer) (status, line int, err error) {
	if s.Flags&rpm.ScriptQFormat != 0 {
		return 1, 0, &Unsupported{Command: "%" + s.Slot + " -q", Why: "query formats are not expanded in scriptlets"}
	}
	words := make([]string, len(args))
	for k, a := range args {
		words[k] = strconv.Itoa(a)
	}
	body := s.Body
	if s.Flags&rpm.ScriptExpand != 0 {
		if body, err = expandMacros(body, e.o.Host.Macros); err != nil {
			return 1, 0, err
		}
	}
	c := process{env: scriptEnvironment(p.Prefixes), dir: "/", umask: 0o022, stdin: strings.NewReader(inputOf(files)), stdout: out, stderr: out}
	if s.Interpreter[0] == luaInterpreter {
		status, err = runLua(ctx, luaScript{
			Body: body, Chunk: p.NEVRA.String() + " %" + s.Slot, Args: words, Files: files, FS: e.fs, Host: &e.o.Host, Stdout: out, Stderr: out,
			Run: func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
				child := c
				child.args, child.stdin, child.stdout, child.stderr = args, stdin, stdout, stderr
				return m.run(ctx, child)
			},
		})
		m.sync()
		var at *atLine
		if errors.As(err, &at) {
			line, err = at.line, at.err
		}
		return status, line, m.failed(err)
	}
	c.args = slices.Clone(s.Interpreter)
	if s.Body != "" { // a program without a body is started bare (runExtScript in lib/rpmscript.c)
		c.args = append(append(c.args, scriptName), words...)
	}
	found, err := m.find(c.args[0], c.env["PATH"], "/")
	if err != nil {
		fmt.Fprintf(out, "%s: %s\n", c.args[0], reason(err))
		return cannotStart(err), 0, nil
	}
	if s.Body == "" {
		status, err = m.start(ctx, found, c)
		return status, 0, err
	}
	if !found.shell {
		return 126, 0, &Unsupported{Command: strings.Join(s.Interpreter, " "), Why: "slim does not interpret its scripts"}
	}
	c.body = &body
	status, err = m.start(ctx, found, c)
	return status, m.line, err
}

func inputOf(files []string) string {
	if len(files) == 0 {
		return ""
	}
	return strings.Join(files, "\n") + "\n"
}

// said keeps the end of what a scriptlet says.
type said struct{ text []byte }

// maxSaid is how much of it.
const maxSaid = 2000

func (t *said) Write(b []byte) (int, error) {
	t.text = append(t.text, b[max(0, len(b)-maxSaid):]...)
	if len(t.text) > maxSaid {
		t.text = append([]byte(nil), t.text[len(t.text)-maxSaid:]...)
	}
	return len(b), nil
}

func (t *said) indented() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.text), "?"))
	if text == "" {
		return ""
	}
	return ":\n    " + strings.ReplaceAll(text, "\n", "\n    ")
}

// Class says what can be told of a scriptlet before it runs.
type Class string

const (
	ClassNothing Class = "nothing" // it calls no command, and writes no file
	ClassNoOp    Class = "no-op"   // it calls only commands that do nothing to a root that is not running
	ClassKnown   Class = "known"   // all commands that it names are known
	ClassLua     Class = "lua"     // it is a script of Lua, which is interpreted
	ClassUnknown Class = "unknown" // it names commands that may be scripts of packages, or cannot be evaluated
)

// Reading is what can be told of a scriptlet by its text alone. What is called only under conditions, or by another
// script, it cannot tell.
type Reading struct {
	Class    Class
	Commands []string // that it names and whose work is known, in the order in which they are written
	Unknown  []string // that it names, as written, and that are not known: scripts of packages, or programs that cannot be evaluated
	// Why says why a scriptlet of ClassUnknown cannot be evaluated whatever its commands are, "" when it depends on those.
	Why string
}

// Classify reads the text of a scriptlet.
func Classify(s rpm.Scriptlet) Reading {
	program := ""
	if len(s.Interpreter) > 0 {
		program = path.Base(s.Interpreter[0])
	}
	isLua := s.Interpreter != nil && s.Interpreter[0] == luaInterpreter
	for _, device := range randomDevices() {
		if (isLua || isShell(program)) && strings.Contains(s.Body, device) {
			return Reading{Class: ClassUnknown, Why: "it reads " + device}
		}
	}
	switch {
	case s.Flags&rpm.ScriptQFormat != 0:
		return Reading{Class: ClassUnknown, Why: "query formats are not expanded in scriptlets"}
	case isLua:
		return Reading{Class: ClassLua}
	case s.Body == "" && !isShell(program):
		return classOf([]string{program})
	case !isShell(program):
		return Reading{Class: ClassUnknown, Why: "slim does not interpret scripts of " + program}
	}
	list, err := parseShell(s.Body)
	r := classOf(commandNames(list))
	if r.Class != ClassUnknown && writes(list) {
		r.Class = ClassKnown
	}
	if name := randomVariable(list); name != "" {
		r.Class, r.Why = ClassUnknown, "$"+name+" is not the same every time"
	}
	if err != nil {
		r.Class, r.Why = ClassUnknown, err.Error()
	}
	return r
}

// writes reports whether statements write a file themselves.
func writes(list []*syntax.Stmt) bool {
	found := false
	for _, st := range list {
		syntax.Walk(st, func(n syntax.Node) bool {
			if r, ok := n.(*syntax.Redirect); ok {
				switch r.Op {
				case syntax.RdrOut, syntax.AppOut, syntax.RdrInOut, syntax.RdrClob, syntax.AppClob, syntax.RdrAll, syntax.AppAll:
					found = found || r.Word == nil || r.Word.Lit() != "/dev/null"
				}
			}
			return !found
		})
	}
	return found
}

// randomVariable is the first variable in statements that is not the same every time.
func randomVariable(list []*syntax.Stmt) string {
	found := ""
	for _, st := range list {
		syntax.Walk(st, func(n syntax.Node) bool {
			if p, ok := n.(*syntax.ParamExp); ok && found == "" && p.Param != nil && slices.Contains(randomVariables(), p.Param.Value) {
				found = p.Param.Value
			}
			return found == ""
		})
	}
	return found
}

func classOf(names []string) Reading {
	commands, noop, inner := Commands(), noopCommands(), builtins()
	r := Reading{Class: ClassNothing}
	for _, name := range names {
		base := path.Base(name)
		_, idle := noop[base]
		switch {
		case inner[name] != nil:
			continue
		case slices.Contains(alwaysSecret(), base):
			r.Why = "what " + base + " makes is random or secret"
		case base == "openssl":
			r.Why = "slim does not know the work of openssl"
		case idle:
			if r.Class == ClassNothing {
				r.Class = ClassNoOp
			}
		case commands[base] != nil || isShell(base):
			r.Class = ClassKnown
		default:
			r.Unknown = append(r.Unknown, name)
			continue
		}
		r.Commands = append(r.Commands, base)
	}
	if len(r.Unknown) > 0 || r.Why != "" {
		r.Class = ClassUnknown
	}
	return r
}

// commandNames are the commands that statements call by a name that is written out, less the functions they define.
func commandNames(list []*syntax.Stmt) []string {
	var names []string
	functions := map[string]bool{}
	for _, st := range list {
		syntax.Walk(st, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.FuncDecl:
				if n.Name != nil {
					functions[n.Name.Value] = true
				}
			case *syntax.CallExpr:
				words := n.Args
				for len(words) > 1 && slices.Contains([]string{"command", "exec", "builtin", "nohup"}, words[0].Lit()) {
					words = words[1:]
				}
				if len(words) > 0 && words[0].Lit() != "" && !strings.HasPrefix(words[0].Lit(), "-") && !slices.Contains(names, words[0].Lit()) {
					names = append(names, words[0].Lit())
				}
			}
			return true
		})
	}
	return slices.DeleteFunc(names, func(name string) bool { return functions[name] })
}
