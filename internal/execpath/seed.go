package execpath

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"

	"slim/internal/rootfs"
)

const (
	modeSetUID = 0o4000
	modeSetGID = 0o2000
)

// defaultPath is what container engines set where the image's config says nothing.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// seed runs the programs that the image's config names, and those asked for.
func (s *search) seed() error {
	for _, name := range s.Programs {
		if _, err := s.runNamed(name, Edge{How: Asked, Name: name}, false); err != nil {
			return err
		}
	}
	if len(s.Args) == 0 {
		return nil
	}
	n, err := s.runNamed(s.Args[0], Edge{How: Entrypoint, Name: s.Args[0]}, false)
	if err != nil || n == nil {
		return err
	}
	return s.arguments(n)
}

// executable finds a program by its path, or by its name in PATH.
func (s *search) executable(name string) (named string, n *rootfs.Node) {
	if strings.Contains(name, "/") {
		if n := s.lookup(name); n != nil && n.Mode&0o111 != 0 {
			return name, n
		}
		return "", nil
	}
	dirs := s.env["PATH"]
	if dirs == "" {
		dirs = defaultPath
	}
	for d := range strings.SplitSeq(dirs, ":") {
		p := path.Join("/", s.Dir, d, name)
		if path.IsAbs(d) {
			p = path.Join(d, name)
		}
		if n := s.lookup(p); n != nil && n.Mode&0o111 != 0 {
			return p, n
		}
	}
	return "", nil
}

// runNamed runs a program by name. It returns the file, nil when there is none, which is noted unless it is optional.
func (s *search) runNamed(name string, via Edge, optional bool) (*rootfs.Node, error) {
	named, n := s.executable(name)
	if n == nil {
		if !optional {
			s.missing(via, false)
		}
		return nil, nil
	}
	return n, s.run(named, n, via, 0)
}

// run runs a file as the kernel does: a program, or a script by its interpreter.
func (s *search) run(named string, n *rootfs.Node, via Edge, depth int) error {
	s.mark(n, Direct, via, "")
	if s.started[n.Path] {
		return nil
	}
	if len(s.started) == maxPrograms {
		s.note("more than %d programs", maxPrograms)
		return nil
	}
	s.started[n.Path] = true
	program := Program{Named: named, Path: n.Path, Via: via}
	o, err := s.object(n)
	if err != nil {
		return err
	}
	if o != nil {
		program.Static = o.Interpreter == ""
		s.result.Programs = append(s.result.Programs, program)
		s.marks[n.Path].object = o
		return s.runELF(n, o)
	}
	program.Script = true
	s.result.Programs = append(s.result.Programs, program)
	return s.script(n, depth)
}

// script runs the interpreter of a script (Linux, fs/binfmt_script.c), and the commands of a shell script.
func (s *search) script(n *rootfs.Node, depth int) error {
	b, err := s.content(n, maxConfig)
	if err != nil || b == nil {
		return err
	}
	line, _, _ := bytes.Cut(b[:min(len(b), 256)], []byte("\n"))
	words := strings.Fields(strings.TrimPrefix(string(line), "#!"))
	if !bytes.HasPrefix(b, []byte("#!")) || len(words) == 0 {
		s.note("%s is neither a program nor a script with an interpreter", n.Path)
		return nil
	}
	if depth == maxShebangs {
		s.note("%s: scripts that run scripts, more than %d deep", n.Path, maxShebangs)
		return nil
	}
	interpreter := words[0]
	named, at := s.executable(interpreter)
	edge := Edge{From: n.Path, How: Shebang, Name: interpreter}
	if at == nil || !strings.Contains(interpreter, "/") {
		s.missing(edge, false)
		return nil
	}
	if err := s.run(named, at, edge, depth+1); err != nil {
		return err
	}
	if path.Base(interpreter) == "env" {
		interpreter = envCommand(words[1:])
		if _, err := s.runNamed(interpreter, Edge{From: n.Path, How: Shebang, Name: interpreter}, false); err != nil {
			return err
		}
	}
	if isShell(path.Base(interpreter)) {
		return s.commands(n.Path, string(b))
	}
	return nil
}

// envCommand is the command in the arguments of env.
func envCommand(words []string) string {
	for _, w := range words {
		if !strings.HasPrefix(w, "-") && !strings.Contains(w, "=") {
			return w
		}
	}
	return ""
}

// commands runs what a shell script names as commands.
func (s *search) commands(from, script string) error {
	if s.shells[from+"\x00"+script] {
		return nil
	}
	s.shells[from+"\x00"+script] = true
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		s.note("%s: the shell script is not understood", from)
		return nil
	}
	defined, names := map[string]bool{}, []string{}
	syntax.Walk(file, func(node syntax.Node) bool {
		switch c := node.(type) {
		case *syntax.FuncDecl:
			defined[c.Name.Value] = true
		case *syntax.CallExpr:
			for i, w := range c.Args {
				name := w.Lit()
				if name != "" && !slices.Contains(names, name) {
					names = append(names, name)
				}
				if next := i + 1; !isPrefixCommand(name) || next < len(c.Args) && strings.HasPrefix(c.Args[next].Lit(), "-") {
					break
				}
			}
		}
		return true
	})
	for _, name := range names {
		if defined[name] || isShellBuiltin(name) {
			continue
		}
		if _, err := s.runNamed(name, Edge{From: from, How: Command, Name: name}, true); err != nil {
			return err
		}
	}
	return nil
}

// isPrefixCommand knows the commands whose first argument is a command.
func isPrefixCommand(name string) bool {
	switch name {
	case "exec", "command", "env", "nohup", "time", "nice":
		return true
	}
	return false
}

// isShellBuiltin knows the commands that a shell runs by itself although there are programs of the same name.
func isShellBuiltin(name string) bool {
	switch name {
	case "[", "echo", "false", "kill", "printf", "pwd", "test", "true", "exec", "command", "time", "cd", "read", "umask", "wait":
		return true
	}
	return false
}

// arguments looks at what follows the entrypoint on its command line.
func (s *search) arguments(program *rootfs.Node) error {
	name := path.Base(s.Args[0])
	o, err := s.object(program)
	if err != nil {
		return err
	}
	wraps := o == nil || isWrapper(name)
	for i, arg := range s.Args[1:] {
		if isShell(name) && i > 0 && strings.HasPrefix(s.Args[i], "-") && strings.HasSuffix(s.Args[i], "c") {
			if err := s.commands(program.Path, arg); err != nil {
				return err
			}
			continue
		}
		if err := s.argument(program, name, arg, wraps); err != nil {
			return err
		}
	}
	return nil
}

func (s *search) argument(program *rootfs.Node, name, arg string, wraps bool) error {
	if arg == "" || arg[0] == '-' {
		return nil
	}
	via := Edge{From: program.Path, How: Argument, Name: arg}
	if wraps || strings.Contains(arg, "/") {
		if named, n := s.executable(arg); n != nil {
			return s.run(named, n, via, 0)
		}
	}
	n := s.lookup(arg)
	switch {
	case n == nil:
	case isInterpreter(name) || wraps:
		s.mark(n, Direct, via, "")
		if isShell(name) {
			b, err := s.content(n, maxConfig)
			if err != nil {
				return err
			}
			return s.commands(n.Path, string(b))
		}
	default:
		s.mark(n, Data, via, "")
	}
	return nil
}

func isShell(name string) bool {
	switch name {
	case "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "rbash":
		return true
	}
	return false
}

// isWrapper knows programs that run the program in their arguments.
func isWrapper(name string) bool {
	switch name {
	case "tini", "tini-static", "dumb-init", "catatonit", "env", "nice", "nohup", "timeout", "time", "stdbuf", "setsid", "setpriv",
		"gosu", "su-exec", "chroot", "runuser", "sudo", "taskset", "numactl", "ionice", "chrt", "s6-svscan", "unshare", "capsh":
		return true
	}
	return isShell(name)
}

var interpreterName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(python|platform-python|perl|ruby|node|nodejs|java|php|php-fpm|lua|luajit|awk|gawk|mawk|tclsh|guile|Rscript)[0-9.]*$`)
})

// isInterpreter knows programs whose arguments are code.
func isInterpreter(name string) bool { return isShell(name) || interpreterName().MatchString(name) }

// ids are the numbers of the image's user: of itself and of its groups.
func (s *search) ids() (uid uint32, gids []uint32) {
	user, group, _ := strings.Cut(s.User, ":")
	number := func(text string) (uint32, bool) {
		n, err := strconv.ParseUint(text, 10, 32)
		return uint32(n), err == nil
	}
	accounts := s.Accounts
	if accounts == nil {
		accounts = &rootfs.Accounts{}
	}
	uid, isNumber := number(user)
	for _, u := range accounts.Users {
		if user != "" && (u.Name == user || isNumber && u.UID == uid) || user == "" && u.UID == 0 {
			uid, user, gids = u.UID, u.Name, append(gids, u.GID)
			break
		}
	}
	if group != "" {
		gids = nil
		if gid, ok := number(group); ok {
			return uid, append(gids, gid)
		}
	}
	for _, g := range accounts.Groups {
		if g.Name == group || group == "" && user != "" && slices.Contains(g.Members, user) {
			gids = append(gids, g.GID)
		}
	}
	if gids == nil {
		gids = []uint32{0}
	}
	return uid, gids
}
