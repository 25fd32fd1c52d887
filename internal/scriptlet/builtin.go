package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// builtin is a command of the shell itself. An abort it returns ends the shell when the command is a special one.
type builtin func(s *shell, ctx context.Context, args []string) (status int, err error)

func builtins() map[string]builtin {
	return map[string]builtin{
		":": (*shell).doSucceed, "true": (*shell).doSucceed, "false": (*shell).doFail,
		".": (*shell).doDot, "source": (*shell).doDot, "eval": (*shell).doEval, "exec": (*shell).doExecute, "exit": (*shell).doExit, "return": (*shell).doExit, "break": (*shell).doLeave, "continue": (*shell).doLeave,
		"cd": (*shell).doCd, "pwd": (*shell).doPwd, "echo": (*shell).doEcho, "printf": (*shell).doPrintf, "read": (*shell).doRead, "test": (*shell).doTest, "[": (*shell).doTest,
		"set": (*shell).doSet, "shopt": (*shell).doShopt, "shift": (*shell).doShift, "unset": (*shell).doUnset, "export": (*shell).doDeclare, "readonly": (*shell).doDeclare,
		"local": (*shell).doDeclare, "declare": (*shell).doDeclare, "typeset": (*shell).doDeclare, "let": (*shell).doLet,
		"command": (*shell).doCommand, "builtin": (*shell).doCommand, "type": (*shell).doTypeOf, "hash": (*shell).doHash, "trap": (*shell).doTrap, "umask": (*shell).doUmask, "ulimit": (*shell).doSucceed, "wait": (*shell).doWait,
		"kill": (*shell).doKill, "getopts": (*shell).doGetopts, "times": (*shell).doTimes, "jobs": (*shell).doSucceed, "disown": (*shell).doSucceed, "unalias": (*shell).doUnalias, "alias": (*shell).doAlias,
		"mapfile": (*shell).doMapfile, "readarray": (*shell).doMapfile, "enable": (*shell).doUnknown, "bind": (*shell).doUnknown, "caller": (*shell).doUnknown, "compgen": (*shell).doUnknown,
		"complete": (*shell).doUnknown, "compopt": (*shell).doUnknown, "dirs": (*shell).doUnknown, "pushd": (*shell).doUnknown, "popd": (*shell).doUnknown, "fc": (*shell).doUnknown, "fg": (*shell).doUnknown, "bg": (*shell).doUnknown,
		"help": (*shell).doUnknown, "history": (*shell).doUnknown, "logout": (*shell).doUnknown, "suspend": (*shell).doUnknown,
	}
}

func (s *shell) doFail(context.Context, []string) (int, error) { return 1, nil }

func (s *shell) doSucceed(context.Context, []string) (int, error) { return 0, nil }

func (s *shell) doUnknown(_ context.Context, args []string) (int, error) {
	return 1, s.unsupported(strings.Join(args, " "), "this builtin command of the shell is not known")
}

// usage is the failure of a builtin that was called wrongly.
func (s *shell) usage(name, format string, args ...any) (int, error) {
	s.errorf("%s: %s", name, fmt.Sprintf(format, args...))
	return 2, nil
}

// dot runs a file in this shell. One that is missing ends the shell.
func (s *shell) doDot(ctx context.Context, args []string) (int, error) {
	name := args[0]
	if args = args[1:]; len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 2, failure(2, "%s: filename argument required", name)
	}
	file := args[0]
	if !strings.Contains(file, "/") {
		for d := range strings.SplitSeq(s.path(), ":") {
			if n, err := s.m.fs.Stat(s.dir, d+"/"+file); err == nil && n.IsRegular() {
				file = d + "/" + file
				break
			}
		}
	}
	if f, _, ok := s.device(file); ok && f != nil {
		body, err := io.ReadAll(io.LimitReader(f.r, MaxScript))
		if err != nil {
			return 1, err
		}
		return s.sourced(ctx, string(body), args[1:])
	}
	s.m.sync()
	if s.m.fs.checkRandom(s.dir, file) != nil {
		return 1, s.m.fs.refused
	}
	n, err := s.m.fs.Stat(s.dir, file)
	if err != nil {
		return 1, failure(1, "%s: %s: file not found", name, file)
	}
	if n.IsDir() {
		s.errorf("%s: %s: is a directory", name, file)
		return 1, nil
	}
	if n.Size > MaxScript {
		return 1, &Limit{fmt.Sprintf("%d bytes of script", MaxScript)}
	}
	body, err := s.m.fs.ReadFile(s.dir, file)
	if err != nil {
		return 1, failure(1, "%s: %s: %s", name, file, reason(err))
	}
	return s.sourced(ctx, string(body), args[1:])
}

func (s *shell) sourced(ctx context.Context, body string, params []string) (int, error) {
	if err := s.m.enter(); err != nil {
		return 1, err
	}
	defer s.m.leave()
	old, line := s.params, s.line
	if len(params) > 0 {
		s.params = params
	}
	s.sources++
	s.status = 0
	err := s.within(ctx, body)
	s.sources--
	if len(params) > 0 {
		s.params = old
	}
	s.line = line
	if s.flow == flowReturn {
		s.flow = flowNone
	}
	return s.status, err
}

func (s *shell) doEval(ctx context.Context, args []string) (int, error) {
	if args = args[1:]; len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if err := s.m.enter(); err != nil {
		return 1, err
	}
	defer s.m.leave()
	line := s.line
	s.status = 0
	err := s.within(ctx, strings.Join(args, " "))
	s.line = line
	return s.status, err
}

// execute does exec: the command takes the shell's place.
func (s *shell) doExecute(ctx context.Context, args []string) (int, error) {
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "--":
		default:
			return 2, s.unsupported("exec "+args[0], "this option is not known")
		}
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, nil
	}
	p, err := s.m.find(args[0], s.path(), s.dir)
	if err != nil {
		return 127, failure(cannotStart(err), "exec: %s: %s", args[0], reason(err))
	}
	status, err := s.m.start(ctx, p, s.process(args))
	delete(s.traps, "EXIT")
	s.flow = flowExit
	return status, err
}

// exit does exit and return.
func (s *shell) doExit(_ context.Context, args []string) (int, error) {
	status := s.status
	if len(args) > 1 {
		n, err := strconv.ParseInt(strings.TrimSpace(args[1]), 10, 64)
		if err != nil {
			return 2, failure(2, "%s: %s: numeric argument required", args[0], args[1])
		}
		status = int(n & 0xff)
	}
	if len(args) > 2 {
		s.errorf("%s: too many arguments", args[0])
		return 1, nil
	}
	s.flow = flowExit
	if args[0] == "return" {
		if s.calls == 0 && s.sources == 0 {
			s.flow = flowNone
			return 2, failure(2, "return: can only `return' from a function or sourced script")
		}
		s.flow = flowReturn
	}
	return status, nil
}

// leave does break and continue.
func (s *shell) doLeave(_ context.Context, args []string) (int, error) {
	n := 1
	if len(args) > 1 {
		var err error
		if n, err = strconv.Atoi(args[1]); err != nil {
			return 128, failure(128, "%s: %s: numeric argument required", args[0], args[1])
		}
		if n < 1 {
			return 1, failure(1, "%s: %s: loop count out of range", args[0], args[1])
		}
	}
	if s.loops == 0 {
		return 0, nil
	}
	s.levels, s.flow = n, flowBreak
	if args[0] == "continue" {
		s.flow = flowContinue
	}
	return 0, nil
}

func (s *shell) doCd(_ context.Context, args []string) (int, error) {
	physical := false
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch args[0] {
		case "-P":
			physical = true
		case "-L", "-e", "--":
		default:
			return s.usage("cd", "%s: invalid option", args[0])
		}
		args = args[1:]
	}
	to := ""
	switch {
	case len(args) > 1:
		s.errorf("cd: too many arguments")
		return 1, nil
	case len(args) == 0:
		home, set, _ := s.get("HOME")
		if !set {
			s.errorf("cd: HOME not set")
			return 1, nil
		}
		to = home
	case args[0] == "-":
		old, set, _ := s.get("OLDPWD")
		if !set {
			s.errorf("cd: OLDPWD not set")
			return 1, nil
		}
		to = old
	default:
		to = args[0]
	}
	dir := s.dir
	if to != "" {
		var err error
		if dir, err = s.changeDir(to, physical); err != nil {
			return 1, err
		}
	}
	if len(args) > 0 && args[0] == "-" {
		fmt.Fprintln(s.writer(1), dir)
	}
	old := s.dir
	s.dir = dir
	return 0, errors.Join(s.set("OLDPWD", old), s.set("PWD", dir))
}

func (s *shell) doPwd(_ context.Context, args []string) (int, error) {
	dir := s.dir
	if len(args) > 1 && args[1] == "-P" {
		if n, err := s.m.fs.Stat("/", dir); err == nil {
			dir = n.Path
		}
	}
	fmt.Fprintln(s.writer(1), dir)
	return 0, nil
}

// set does set: options and positional parameters.
func (s *shell) doSet(_ context.Context, args []string) (int, error) {
	args = args[1:]
	if len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(s.vars)) {
			if v := s.vars[name]; v.set && !v.isArray() {
				fmt.Fprintf(s.writer(1), "%s=%s\n", name, quoteShell(v.text))
			}
		}
		return 0, nil
	}
	for len(args) > 0 && len(args[0]) > 0 && (args[0][0] == '-' || args[0][0] == '+') {
		arg := args[0]
		args = args[1:]
		if arg == "--" || arg == "-" {
			if arg == "-" {
				s.opts.xtrace = false
			}
			if arg == "--" || len(args) > 0 {
				s.params = args
			}
			return 0, nil
		}
		for _, f := range arg[1:] {
			switch {
			case f == 'o':
				if len(args) == 0 {
					return 0, s.unsupported("set -o", "options are not listed")
				}
				if !s.setOption(args[0], arg[0] == '-') {
					return 2, failure(2, "set: %s: invalid option name", args[0])
				}
				args = args[1:]
			case s.opts.flag(f) != nil:
				*s.opts.flag(f) = arg[0] == '-'
			case strings.ContainsRune("bhmvBEHTpPkt", f):
			default:
				return 2, failure(2, "set: -%c: invalid option", f)
			}
		}
		if len(args) == 0 {
			return 0, nil
		}
	}
	s.params = args
	return 0, nil
}

func (o *options) flag(f rune) *bool {
	switch f {
	case 'a':
		return &o.allexport
	case 'e':
		return &o.errexit
	case 'f':
		return &o.noglob
	case 'n':
		return &o.noexec
	case 'u':
		return &o.nounset
	case 'x':
		return &o.xtrace
	case 'C':
		return &o.noclobber
	}
	return nil
}

// letters are the options that are on, as $- has them.
func (o *options) letters() string {
	var t strings.Builder
	for _, f := range "aefnuxC" {
		if *o.flag(f) {
			t.WriteRune(f)
		}
	}
	return t.String() + "hB"
}

// setOption sets an option by its long name, and reports whether there is one.
func (s *shell) setOption(name string, on bool) bool {
	long := map[string]rune{"allexport": 'a', "errexit": 'e', "noglob": 'f', "noexec": 'n', "nounset": 'u', "xtrace": 'x', "noclobber": 'C'}
	if f, ok := long[name]; ok {
		*s.opts.flag(f) = on
		return true
	}
	if name == "pipefail" {
		s.opts.pipefail = on
		return true
	}
	return slices.Contains([]string{
		"braceexpand", "emacs", "errtrace", "functrace", "hashall", "histexpand", "history", "ignoreeof",
		"interactive-comments", "keyword", "monitor", "nolog", "notify", "onecmd", "physical", "posix", "privileged", "verbose", "vi",
	}, name)
}

func (s *shell) doShopt(_ context.Context, args []string) (int, error) {
	mode, quiet := "", false
	args = args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, f := range args[0][1:] {
			switch f {
			case 's', 'u':
				mode = string(f)
			case 'q':
				quiet = true
			default:
				return 2, s.unsupported("shopt "+args[0], "this option is not known")
			}
		}
		args = args[1:]
	}
	known := map[string]*bool{
		"nullglob": &s.opts.nullglob, "dotglob": &s.opts.dotglob, "extglob": &s.opts.extglob,
		"nocasematch": &s.opts.nocasematch, "nocaseglob": &s.opts.nocaseglob,
	}
	status := 0
	for _, name := range args {
		o := known[name]
		if o == nil {
			return 1, s.unsupported("shopt "+name, "this option is not known")
		}
		switch mode {
		case "":
			if !*o {
				status = 1
			}
			if !quiet {
				fmt.Fprintf(s.writer(1), "%-15s\t%s\n", name, map[bool]string{true: "on", false: "off"}[*o])
			}
		default:
			*o = mode == "s"
		}
	}
	return status, nil
}

func (s *shell) doShift(_ context.Context, args []string) (int, error) {
	n := 1
	if len(args) > 1 {
		var err error
		if n, err = strconv.Atoi(args[1]); err != nil {
			return 1, failure(1, "shift: %s: numeric argument required", args[1])
		}
	}
	if n < 0 || n > len(s.params) {
		s.errorf("shift: %d: shift count out of range", n)
		return 1, nil
	}
	s.params = s.params[n:]
	return 0, nil
}

func (s *shell) doUnset(ctx context.Context, args []string) (int, error) {
	functions, variables := false, false
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch args[0] {
		case "-f":
			functions = true
		case "-v":
			variables = true
		case "--":
		default:
			return 2, failure(2, "unset: %s: invalid option", args[0])
		}
		args = args[1:]
	}
	s.status = 0
	for _, name := range args {
		_, there := s.vars[name]
		switch {
		case functions, !variables && !there && s.funcs[name] != nil:
			delete(s.funcs, name)
		default:
			if err := s.unset(ctx, name); err != nil {
				return 1, err
			}
		}
	}
	return s.status, nil
}

// declareBuiltin is declare and its like called with words that are not written as assignments.
func (s *shell) doDeclare(ctx context.Context, args []string) (int, error) {
	c := &syntax.DeclClause{Variant: &syntax.Lit{Value: args[0]}}
	for _, word := range args[1:] {
		c.Args = append(c.Args, &syntax.Assign{Naked: true, Value: &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: word}}}})
	}
	err := s.declare(ctx, c)
	return s.status, err
}

func (s *shell) doLet(ctx context.Context, args []string) (int, error) {
	n := int64(0)
	for _, text := range args[1:] {
		var err error
		if n, err = s.number(ctx, text); err != nil {
			return 1, err
		}
	}
	return int(1 - boolean(n != 0)), nil
}

// command does command and builtin.
func (s *shell) doCommand(ctx context.Context, args []string) (int, error) {
	name, rest := args[0], args[1:]
	verbose, search := "", s.path()
	for name == "command" && len(rest) > 0 && len(rest[0]) > 1 && rest[0][0] == '-' {
		if rest[0] == "--" {
			rest = rest[1:]
			break
		}
		for _, f := range rest[0][1:] {
			switch f {
			case 'v', 'V':
				verbose = string(f)
			case 'p':
				search = "/usr/bin:/bin:/usr/sbin:/sbin"
			default:
				return s.usage("command", "%s: invalid option", rest[0])
			}
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return 0, nil
	}
	if verbose != "" {
		status := 1
		for _, n := range rest {
			kind, where := s.kind(n, search)
			if kind == "" {
				if verbose == "V" {
					s.errorf("command: %s: not found", n)
				}
				continue
			}
			status = 0
			fmt.Fprintln(s.writer(1), described(n, kind, where, verbose == "v"))
		}
		return status, nil
	}
	if b := s.m.builtins[rest[0]]; b != nil {
		status, err := b(s, ctx, rest)
		var a *abort
		if errors.As(err, &a) { // command takes from special builtins what is special
			s.errorf("%s", a.message)
			return a.status, nil
		}
		return status, err
	}
	if name == "builtin" {
		s.errorf("builtin: %s: not a shell builtin", rest[0])
		return 1, nil
	}
	p, err := s.m.find(rest[0], search, s.dir)
	if err != nil {
		s.errorf("%s: %s", rest[0], reason(err))
		return cannotStart(err), nil
	}
	return s.m.start(ctx, p, s.process(rest))
}

// kind says what a name stands for, and where it is.
func (s *shell) kind(name, search string) (kind, where string) {
	switch {
	case syntax.IsKeyword(name):
		return "keyword", ""
	case s.funcs[name] != nil && !isSpecialBuiltin(name):
		return "function", ""
	case s.m.builtins[name] != nil:
		return "builtin", ""
	}
	p, err := s.m.find(name, search, s.dir)
	if err != nil {
		return "", ""
	}
	return "file", s.absoluteUnlessPlain(p.path)
}

// absoluteUnlessPlain is where a program was found, from the root.
func (s *shell) absoluteUnlessPlain(p string) string {
	if strings.HasPrefix(p, "/") {
		return p
	}
	return path.Join(s.dir, p)
}

func described(name, kind, where string, short bool) string {
	switch {
	case short && kind == "file":
		return where
	case short:
		return name
	case kind == "keyword":
		return name + " is a shell keyword"
	case kind == "function":
		return name + " is a function"
	case kind == "builtin":
		return name + " is a shell builtin"
	}
	return name + " is " + where
}

func (s *shell) doTypeOf(_ context.Context, args []string) (int, error) {
	mode := ""
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch args[0] {
		case "-t", "-p", "-P":
			mode = args[0][1:]
		case "--":
		default:
			return 2, s.unsupported("type "+args[0], "this option is not known")
		}
		args = args[1:]
	}
	status := 0
	for _, name := range args {
		kind, where := s.kind(name, s.path())
		if mode == "P" && kind != "file" {
			kind = ""
			if p, err := s.m.find(name, s.path(), s.dir); err == nil {
				kind, where = "file", s.absoluteUnlessPlain(p.path)
			}
		}
		switch {
		case kind == "":
			status = 1
			if mode == "" {
				s.errorf("type: %s: not found", name)
			}
		case mode == "t":
			fmt.Fprintln(s.writer(1), kind)
		case mode == "p" || mode == "P":
			if kind == "file" {
				fmt.Fprintln(s.writer(1), where)
			}
		default:
			fmt.Fprintln(s.writer(1), described(name, kind, where, false))
		}
	}
	return status, nil
}

func (s *shell) doHash(_ context.Context, args []string) (int, error) {
	status := 0
	for _, name := range args[1:] {
		if strings.HasPrefix(name, "-") {
			continue
		}
		if kind, _ := s.kind(name, s.path()); kind == "" {
			s.errorf("hash: %s: not found", name)
			status = 1
		}
	}
	return status, nil
}

// trap keeps the commands for EXIT and ERR; signals never come.
func (s *shell) doTrap(_ context.Context, args []string) (int, error) {
	if args = args[1:]; len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		for _, name := range slices.Sorted(maps.Keys(s.traps)) {
			fmt.Fprintf(s.writer(1), "trap -- %s %s\n", quoteAlways(s.traps[name]), name)
		}
		return 0, nil
	}
	if args[0] == "-p" || args[0] == "-l" {
		return 2, s.unsupported("trap "+args[0], "traps are not listed")
	}
	action := args[0]
	if _, err := strconv.Atoi(action); err == nil || len(args) == 1 {
		action = "-"
	} else {
		args = args[1:]
	}
	for _, name := range args {
		if name = strings.TrimPrefix(strings.ToUpper(name), "SIG"); name == "0" {
			name = "EXIT"
		}
		if action == "-" {
			delete(s.traps, name)
		} else {
			s.traps[name] = action
		}
	}
	return 0, nil
}

func (s *shell) doUmask(_ context.Context, args []string) (int, error) {
	args = args[1:]
	symbolic, reuse := false, false
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' && (args[0][1] == 'S' || args[0][1] == 'p') {
		symbolic = symbolic || args[0] == "-S"
		reuse = reuse || args[0] == "-p"
		args = args[1:]
	}
	if len(args) == 0 {
		switch {
		case symbolic:
			fmt.Fprintln(s.writer(1), symbolicMask(s.umask))
		case reuse:
			fmt.Fprintf(s.writer(1), "umask %04o\n", s.umask)
		default:
			fmt.Fprintf(s.writer(1), "%04o\n", s.umask)
		}
		return 0, nil
	}
	if n, err := strconv.ParseUint(args[0], 8, 32); err == nil && n <= 0o777 {
		s.umask = uint32(n)
		return 0, nil
	}
	mask, ok := maskOf(args[0], s.umask)
	if !ok {
		s.errorf("umask: %s: invalid symbolic mode", args[0])
		return 1, nil
	}
	s.umask = mask
	return 0, nil
}

func symbolicMask(mask uint32) string {
	var parts []string
	for i, who := range []string{"u", "g", "o"} {
		bits, text := ^mask>>(6-3*i)&7, ""
		for k, c := range "rwx" {
			if bits>>(2-k)&1 == 1 {
				text += string(c)
			}
		}
		parts = append(parts, who+"="+text)
	}
	return strings.Join(parts, ",")
}

// maskOf applies a symbolic mode to a mask.
func maskOf(text string, mask uint32) (uint32, bool) {
	allowed := ^mask & 0o777
	for clause := range strings.SplitSeq(text, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 {
			return 0, false
		}
		who := uint32(0)
		for _, c := range clause[:i] {
			switch c {
			case 'u':
				who |= 0o700
			case 'g':
				who |= 0o070
			case 'o':
				who |= 0o007
			case 'a':
				who |= 0o777
			default:
				return 0, false
			}
		}
		if who == 0 {
			who = 0o777
		}
		bits := uint32(0)
		for _, c := range clause[i+1:] {
			k := strings.IndexRune("xwr", c)
			if k < 0 {
				return 0, false
			}
			bits |= 0o111 << k
		}
		switch clause[i] {
		case '+':
			allowed |= bits & who
		case '-':
			allowed &^= bits & who
		default:
			allowed = allowed&^who | bits&who
		}
	}
	return ^allowed & 0o777, true
}

func (s *shell) doWait(_ context.Context, args []string) (int, error) {
	status := 0
	for _, job := range args[1:] {
		if strings.HasPrefix(job, "-") {
			return 2, s.unsupported("wait "+job, "this option is not known")
		}
		n, ok := s.jobs[job]
		if !ok {
			s.errorf("wait: pid %s is not a child of this shell", job)
			n = 127
		}
		delete(s.jobs, job)
		status = n
	}
	if len(args) == 1 {
		clear(s.jobs)
	}
	return status, nil
}

// kill finds no process: none runs.
func (s *shell) doKill(_ context.Context, args []string) (int, error) {
	if len(args) > 1 && (args[1] == "-l" || args[1] == "-L") {
		return 2, s.unsupported("kill "+args[1], "signals are not listed")
	}
	last := args[len(args)-1]
	s.errorf("kill: (%s) - No such process", last)
	return 1, nil
}

func (s *shell) doTimes(_ context.Context, _ []string) (int, error) {
	fmt.Fprint(s.writer(1), "0m0.000s 0m0.000s\n0m0.000s 0m0.000s\n")
	return 0, nil
}

func (s *shell) doAlias(_ context.Context, args []string) (int, error) {
	for _, a := range args[1:] {
		if strings.Contains(a, "=") {
			return 1, s.unsupported("alias "+a, "aliases are not known")
		}
		s.errorf("alias: %s: not found", a)
	}
	return int(boolean(len(args) > 1)), nil
}

func (s *shell) doUnalias(_ context.Context, args []string) (int, error) {
	status := 0
	for _, a := range args[1:] {
		if a != "-a" {
			s.errorf("unalias: %s: not found", a)
			status = 1
		}
	}
	return status, nil
}

// getopts does one step of parsing options.
func (s *shell) doGetopts(_ context.Context, args []string) (int, error) {
	if len(args) < 3 {
		return s.usage("getopts", "usage: getopts optstring name [arg ...]")
	}
	spec, name, list := args[1], args[2], args[3:]
	if len(args) == 3 {
		list = s.params
	}
	silent := strings.HasPrefix(spec, ":")
	text, _, _ := s.get("OPTIND")
	index, err := strconv.Atoi(text)
	if err != nil || index < 1 {
		index = 1
	}
	end := func(next int) (int, error) {
		s.optat = 0
		return 1, errors.Join(s.set("OPTIND", strconv.Itoa(next)), s.set(name, "?"))
	}
	if index > len(list) || len(list[index-1]) < 2 || list[index-1][0] != '-' {
		return end(index)
	}
	word := list[index-1]
	if word == "--" {
		return end(index + 1)
	}
	at := max(s.optat, 1)
	if at >= len(word) {
		at = 1
	}
	letter := word[at : at+1]
	at++
	k := strings.Index(strings.TrimPrefix(spec, ":"), letter)
	rest := strings.TrimPrefix(spec, ":")
	value, found := "", letter
	switch {
	case k < 0 || letter == ":":
		found = "?"
		if silent {
			value = letter
		} else {
			s.errorf("illegal option -- %s", letter)
		}
	case k+1 < len(rest) && rest[k+1] == ':':
		switch {
		case at < len(word):
			value = word[at:]
		case index < len(list):
			index++
			value = list[index-1]
		case silent:
			found, value = ":", letter
		default:
			found = "?"
			s.errorf("option requires an argument -- %s", letter)
		}
		at = len(list[min(index, len(list))-1])
		word = list[min(index, len(list))-1]
	}
	if at >= len(word) {
		index++
		at = 0
	}
	err = errors.Join(s.set("OPTIND", strconv.Itoa(index)), s.set(name, found))
	s.optat = at
	if value != "" {
		return 0, errors.Join(err, s.set("OPTARG", value))
	}
	delete(s.vars, "OPTARG")
	return 0, err
}
