package scriptlet

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"slim/internal/rpm"
)

// shellWays are the ways in which a scriptlet of the shell can call a program.
var shellWays = []string{
	"%s", "%s || :", "%s &>/dev/null || true", "%s >/dev/null 2>&1 || exit 0", "! %s", "if %s; then :; else :; fi", "while %s; do break; done", "until %s; do break; done",
	"%s | cat || :", "echo a | %s || :", "echo a | %s | cat", "x=$(%s) || :", "x=`%s 2>/dev/null` || :", "echo \"$(%s)\" >/dev/null", "local_() { local x=$(%s); }; local_ || :",
	"(%s) || :", "{ %s; } || :", "f() { %s; }; f || :", "%s & wait || :", "eval '%s' || :", "trap '%s' EXIT; exit 0", "trap '%s || :' 0", "(trap '%s' EXIT) || :",
	"command %s || :", "command -p %s || :", "exec %s", "(exec %s) || :", "env %s || :", "A=b %s || :", "nice %s || :", "nohup %s >/dev/null || :", "timeout 5 %s || :",
	"setsid %s || :", "stdbuf -o0 %s || :", "echo x | xargs %s || :", "echo %s | xargs -I{} sh -c '{}' || :", "echo %s | xargs -n 1 env || :", "find /etc -maxdepth 0 -exec %s {} \\; || :",
	"find /etc -maxdepth 0 -exec %s {} + || :", "sh -c '%s' || :", "bash -ec '%s || :'", "echo '%s' | sh || :", "sh <<E || :\n%s\nE",
	"cat <<E >/dev/null\n$(%s)\nE", "echo '%s' > /tmp/s; . /tmp/s || :", "echo '%s' > /tmp/s; sh /tmp/s || :", "echo '%s' > /tmp/s; chmod +x /tmp/s; /tmp/s || :",
	"case $(%s) in *) ;; esac", "for i in $(%s); do :; done", "[ \"$(%s)\" = x ] || :", "[[ $(%s) = x ]] || :", "test -n \"`%s`\" || :", ": ${x:=$(%s)}", ": $(( $(%s) + 0 )) || :",
	"echo a > $(%s)/x || :", "cat < $(%s) || :", "read x <<< $(%s) || :", "a=($(%s)) || :", "time %s || :", "%s && : || :", ": && %s || :", "false || %s || :", "for ((i=0; i<1; i++)); do %s || :; done",
	"select_() { return $(%s); }; select_ || :", "printf '%%s' \"$(%s)\" >/dev/null", "export X=$(%s) || :", "readonly Y=$(%s) || :", "cd $(%s) 2>/dev/null || :", "exit $(%s)", "set -- $(%s); :",
}

// luaWays are those of a scriptlet of Lua.
var luaWays = []string{
	"os.execute('%s')", "pcall(os.execute, '%s || :')", "pcall(function() os.execute('%s &>/dev/null') end)", "io.popen('%s')", "io.popen('%s || :'):close()", "pcall(function() return io.popen('%s'):read('*a') end)",
	"rpm.execute('%s')", "pcall(rpm.execute, '%s')", "rpm.spawn({'%s'})", "pcall(rpm.spawn, {'%s'}, {stdout = '/dev/null', stderr = '/dev/null'})",
	"local pid = posix.fork() if pid == 0 then posix.exec('%s') elseif pid > 0 then posix.wait(pid) end",
	"local pid = posix.fork() if pid == 0 then posix.redirect2null(1) posix.redirect2null(2) pcall(posix.exec, '%s') os.exit(0) else posix.wait(pid) end",
	"xpcall(function() rpm.execute('%s') end, function() end)", "local ok = pcall(function() pcall(os.execute, '%s') error('x') end)", "rpm.execute('/bin/sh', '-c', '%s || :')",
}

// TestNotSwallowed calls what is not known in every way there is: none of them hides it, and the error says where.
// The same program is nothing but a failure when it is not there.
func TestNotSwallowed(t *testing.T) {
	setup := func(programs ...string) []func(*FS) {
		all := []func(*FS){withFile(t, "/bin/sh", "\x7fELF", 0o755), withFile(t, "/bin/bash", "\x7fELF", 0o755), withFile(t, "/usr/bin/python3", "\x7fELF", 0o755)}
		for i := 0; i+1 < len(programs); i += 2 {
			all = append(all, withFile(t, programs[i], programs[i+1], 0o755))
		}
		return all
	}
	for _, way := range shellWays {
		script := "true\n" + fmt.Sprintf(strings.ReplaceAll(way, "%s", "%[1]s"), "prog") + "\n"
		line := 2
		if strings.Contains(way, "\n$(") { // a here-document has lines of its own
			line = 3
		}
		for _, content := range []string{"\x7fELF", "#!/usr/bin/python3\n"} {
			_, _, err := install(t, Options{Toolbox: true}, setup("/usr/bin/prog", content), scripted("a", sh("post", script)))
			notSwallowed(t, way, err, "prog", line)
		}
		if _, _, err := install(t, Options{Toolbox: true}, setup(), scripted("a", sh("post", script))); err != nil {
			t.Errorf("%s, without the program: %v", way, err)
		}
		script = "true\n" + fmt.Sprintf(strings.ReplaceAll(way, "%s", "%[1]s"), "uuidgen") + "\n"
		_, _, err := install(t, Options{Toolbox: true}, setup(), scripted("a", sh("post", script)))
		notSwallowed(t, way, err, "uuidgen", line)
	}
	for _, way := range luaWays {
		s := func(program string) Package {
			return scripted("a", rpm.Scriptlet{Slot: "post", Interpreter: []string{"<lua>"}, Body: "local x = 1\n" + fmt.Sprintf(way, program) + "\nos.remove('/x')"})
		}
		_, _, err := install(t, Options{Toolbox: true}, setup("/usr/bin/prog", "\x7fELF"), s("prog"))
		notSwallowed(t, way, err, "prog", 2)
		_, _, err = install(t, Options{Toolbox: true}, setup(), s("uuidgen"))
		notSwallowed(t, way, err, "uuidgen", 2)
		if _, _, err := install(t, Options{Toolbox: true}, setup(), s("prog")); err != nil {
			t.Errorf("%s, without the program: %v", way, err)
		}
	}
}

func notSwallowed(t *testing.T, way string, err error, program string, line int) {
	t.Helper()
	var e *Error
	var u *Unsupported
	switch {
	case !errors.As(err, &e) || !errors.As(err, &u):
		t.Errorf("%s: swallowed: %v", way, err)
	case e.Package.Name != "a" || e.Slot != "post" || e.Line != line || !slices.Contains(strings.Fields(u.Command), program):
		t.Errorf("%s: line %d, %v", way, e.Line, err)
	case !strings.Contains(err.Error(), "scriptlets: {a: {post: skip}}"):
		t.Errorf("%s: says nothing of the recipe: %v", way, err)
	}
}
