package scriptlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// scripted is a package without files.
func scripted(name string, scriptlets ...rpm.Scriptlet) Package {
	return Package{NEVRA: rpm.NEVRA{Name: name, EVR: rpm.EVR{Version: "1", Release: "1"}, Arch: "noarch"}, Scriptlets: scriptlets}
}

func sh(slot, body string) rpm.Scriptlet {
	return rpm.Scriptlet{Slot: slot, Interpreter: []string{"/bin/sh"}, Body: body}
}

// install runs an engine over packages on a tree with a shell, and returns the tree's file /log.
func install(t *testing.T, o Options, setup []func(*FS), packages ...Package) (*Engine, string, error) {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := New(tree, packages, o)
	for _, dir := range []string{"/usr/bin", "/bin", "/etc", "/tmp"} {
		if err := e.fs.MkdirAll("/", dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range setup {
		f(e.fs)
	}
	ctx := context.Background()
	err = e.PreTrans(ctx)
	for i := 0; err == nil && i < len(packages); i++ {
		if err = e.BeforeUnpack(ctx, i); err == nil {
			err = e.AfterUnpack(ctx, i)
		}
	}
	if err == nil {
		err = e.PostTrans(ctx)
	}
	log, _ := e.fs.ReadFile("/", "/log")
	return e, string(log), err
}

func TestScriptlet(t *testing.T) {
	shell := withFile(t, "/bin/sh", "\x7fELF", 0o755)
	program := func(p, content string) func(*FS) { return withFile(t, p, content, 0o755) }
	for _, test := range []struct {
		name  string
		setup []func(*FS)
		s     rpm.Scriptlet
		want  string // what it writes to /log
		err   string // part of the error
		what  What
	}{
		{
			name: "arguments and surroundings", s: sh("post", `echo "$# $1 $0 $PWD $HOME"; echo "$# $1 $0 $PWD $PATH $(umask)" > /log`),
			want: "1 1 /var/tmp/rpm-tmp.slim / /sbin:/bin:/usr/sbin:/usr/bin:/usr/X11R6/bin 0022\n", what: Nothing,
		},
		{name: "nothing", s: sh("post", ":"), what: Nothing},
		{name: "no body", s: sh("post", ""), what: Nothing},
		{name: "standard input is empty", s: sh("post", `read x; echo "$? [$x]" > /log`), want: "1 []\n", what: Nothing},
		{name: "a warning", s: sh("post", "echo text; exit 3"), what: Failed},
		{name: "the last status counts", s: sh("posttrans", "false"), what: Failed},
		{name: "critical", s: sh("pre", "echo text >&2\nexit 3"), err: "scriptlet %pre of a-1-1.noarch, line 2: it ended with status 3:\n    text"},
		{name: "critical by its flag", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/bin/sh"}, Body: "false", Flags: rpm.ScriptCritical}, err: "status 1"},
		{name: "a program that is not there", s: sh("post", "nothing-there; echo $? > /log; nothing-there || :"), want: "127\n", what: Nothing},
		{
			name: "a program that is not known", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")},
			s: sh("post", "true\n\nprog a b &>/dev/null || :"), err: "%post of a-1-1.noarch, line 3: prog a b: slim does not run programs",
		},
		{
			name: "what to write into the recipe", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")},
			s: sh("post", "prog"), err: "scriptlets: {a: {post: skip}}",
		},
		{name: "unknown in a substitution", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")}, s: sh("post", "x=$(prog) || :"), err: "prog: slim does not run"},
		{name: "unknown in a pipe", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")}, s: sh("post", "echo a | prog | read x || :"), err: "prog: slim does not run"},
		{name: "unknown in the background", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")}, s: sh("post", "prog & wait"), err: "prog: slim does not run"},
		{
			name: "unknown by another command", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF"), program("/usr/bin/env", "\x7fELF")},
			s: sh("post", "env A=b prog || :"), err: "prog",
		},
		{
			name: "a shell script", setup: []func(*FS){program("/usr/bin/prog", "#!/bin/sh\necho \"$0 $# $2 $X $Y\" > /log; exit 5\n")},
			s: sh("post", "X=x Y=y; export X; prog a 'b c'; echo $? >> /log"), want: "/usr/bin/prog 2 b c x \n5\n", what: Nothing,
		},
		{
			name: "a shell script by env", setup: []func(*FS){program("/usr/bin/prog", "#!/usr/bin/env -S bash -e\necho $- > /log; false; echo no > /log\n"), program("/bin/bash", "\x7fELF")},
			s: sh("post", "prog; :"), want: "ehB\n", what: Nothing,
		},
		{name: "a script without a first line", setup: []func(*FS){program("/usr/bin/prog", "echo $1 > /log\n")}, s: sh("post", "/usr/bin/prog a"), want: "a\n", what: Nothing},
		{
			name: "a script of another language", setup: []func(*FS){program("/usr/bin/prog", "#!/usr/bin/python3\n"), program("/usr/bin/python3", "\x7fELF")},
			s: sh("post", "prog || :"), err: "prog: it is a script of /usr/bin/python3, which slim does not interpret",
		},
		{name: "a script without its interpreter", setup: []func(*FS){program("/usr/bin/prog", "#!/usr/bin/python3\n")}, s: sh("post", "prog; echo $? > /log"), want: "127\n", what: Nothing},
		{name: "not executable", setup: []func(*FS){withFile(t, "/usr/bin/prog", "#!/bin/sh\n", 0o644)}, s: sh("post", "prog; echo $? > /log; /tmp; echo $? >> /log"), want: "126\n126\n", what: Nothing},
		{
			name: "a shell in a shell", s: sh("post", `sh -c 'echo "$0 $1" > /log; exit 2' name arg; echo $? >> /log; echo 'echo in >> /log' | sh; sh -ec 'false; echo no >> /log'`),
			want: "name arg\n2\nin\n", what: Failed,
		},
		{name: "exec", s: sh("post", "exec sh -c 'echo a > /log'; echo no >> /log"), want: "a\n", what: Nothing},
		{name: "a function hides a program", setup: []func(*FS){program("/usr/bin/prog", "\x7fELF")}, s: sh("post", "prog() { echo f > /log; }; prog"), want: "f\n", what: Nothing},
		{name: "arrays of the shell's own language", s: sh("post", "a=(1 2); echo ${a[1]} &> /log"), want: "2\n", what: Nothing},
		{
			name: "another interpreter", setup: []func(*FS){program("/usr/bin/perl", "\x7fELF")}, s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/usr/bin/perl"}, Body: "print"},
			err: "/usr/bin/perl: slim does not interpret its scripts",
		},
		{name: "an interpreter that is not there", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/usr/bin/perl"}, Body: "print"}, what: Failed},
		{name: "a critical one that is not there", s: rpm.Scriptlet{Slot: "pre", Interpreter: []string{"/usr/bin/perl"}, Body: "print"}, err: "status 127"},
		{name: "options of the interpreter", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/bin/sh", "-e"}, Body: "echo $1 > /log\nfalse\necho no > /log"}, want: "1\n", what: Failed},
		{name: "syntax that nobody knows", s: sh("post", "echo a > /log\nif then fi\n"), want: "a\n", err: "%post"},
		{name: "syntax behind the end", s: sh("post", "echo a > /log\nexit 0\nif then fi )\n"), want: "a\n", what: Nothing},
		{name: "macros", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/bin/sh"}, Body: "echo %{_install_langs} > /log", Flags: rpm.ScriptExpand}, want: "all\n", what: Nothing},
		{name: "a query format", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"/bin/sh"}, Body: "echo", Flags: rpm.ScriptQFormat}, err: "query formats"},
		{name: "lua", s: rpm.Scriptlet{Slot: "post", Interpreter: []string{"<lua>"}, Body: `f = io.open("/log", "w") f:write(tostring(arg[2])) f:close()`}, want: "1", what: Evaluated},
		{name: "what is written to a file that goes", s: sh("post", "exec 3> /log; echo a >&3; mv() { :; }; echo b > /log; echo c >&3"), want: "b\nc\n", what: Nothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			setup := append([]func(*FS){shell}, test.setup...)
			e, log, err := install(t, Options{Host: Host{Macros: map[string]string{"_install_langs": "all"}}}, setup, scripted("a", test.s))
			if test.err != "" {
				var se *Error
				if err == nil || !strings.Contains(err.Error(), test.err) || !errors.As(err, &se) {
					t.Errorf("got error %v, want one with %q", err, test.err)
				}
			} else if err != nil {
				t.Error(err)
			} else if got := e.Outcomes()[0]; got.What != test.what {
				t.Errorf("%+v", got)
			}
			if d := cmp.Diff(test.want, log); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNoShell(t *testing.T) {
	for slot, critical := range map[string]bool{"pretrans": true, "pre": true, "post": false, "posttrans": false} {
		e, _, err := install(t, Options{}, nil, scripted("a", sh(slot, ":")))
		if critical != (err != nil) {
			t.Errorf("%s: %v", slot, err)
		}
		if !critical && e.Outcomes()[0].What != Failed {
			t.Errorf("%s: %+v", slot, e.Outcomes())
		}
	}
	_, log, err := install(t, Options{Toolbox: true}, nil, scripted("a", sh("pre", "echo $1 > /log; [ -x /usr/bin/sh ] && command -v sh >> /log")))
	if d := cmp.Diff("1\n/sbin/sh\n", log); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestRules(t *testing.T) {
	bad := sh("pre", "exit 1")
	for _, rules := range []Rules{{"a": {"": true}}, {"a": {"pre": true}}} {
		e, _, err := install(t, Options{Rules: rules}, []func(*FS){withFile(t, "/bin/sh", "", 0o755)}, scripted("a", bad), scripted("b", sh("post", ":")))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range e.Outcomes() {
			got = append(got, fmt.Sprint(o.Package.Name, " ", o.Slot, " ", o.What))
		}
		if d := cmp.Diff([]string{"a pre skipped", "b post nothing"}, got); d != "" {
			t.Error(d)
		}
	}
	if _, _, err := install(t, Options{Rules: Rules{"a": {"post": true}, "b": {"": true}}}, []func(*FS){withFile(t, "/bin/sh", "", 0o755)}, scripted("a", bad)); err == nil {
		t.Error("another slot's rule was taken")
	}
}

// TestMoments checks the order of slots; the triggers are compared with rpm itself elsewhere.
func TestMoments(t *testing.T) {
	say := func(slot, text string) rpm.Scriptlet {
		return sh(slot, "echo "+text+" $* >> /log; while read f; do echo \" $f\" >> /log; done")
	}
	waits := func(s rpm.Scriptlet, priority uint32, names ...string) rpm.Scriptlet {
		for _, n := range names {
			s.Triggers = append(s.Triggers, rpm.Dependency{Capability: rpm.Capability{Name: n}})
		}
		s.Priority = priority
		return s
	}
	a := scripted("a", say("pretrans", "a pretrans"), say("pre", "a pre"), say("post", "a post"), say("posttrans", "a posttrans"), say("preun", "never"),
		waits(say("triggerin", "a triggerin"), 0, "b"), waits(say("triggerprein", "a triggerprein"), 0, "b"),
		waits(say("filetriggerin", "a files late"), 9999, "/x"), waits(say("filetriggerin", "a files"), 10000, "/x"),
		waits(say("transfiletriggerin", "a end"), rpm.DefaultTriggerPriority, "/"), waits(say("transfiletriggerin", "a end first"), rpm.DefaultTriggerPriority+1, "/x"))
	b := scripted("b", say("pretrans", "b pretrans"), say("pre", "b pre"), say("post", "b post"), say("posttrans", "b posttrans"))
	b.Files = []rpm.File{{Path: "/x/1", Mode: rpm.ModeRegular}, {Path: "/y", Mode: rpm.ModeRegular}, {Path: "/x/2", Mode: rpm.ModeRegular}}
	_, log, err := install(t, Options{}, []func(*FS){withFile(t, "/bin/sh", "", 0o755)}, a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := `a pretrans 1
b pretrans 1
a pre 1
a post 1
a triggerprein 1 0
b pre 1
a files 0
 /x/1
 /x/2
b post 1
a triggerin 1 1
a files late 0
 /x/1
 /x/2
a posttrans 1
b posttrans 1
a end first 0
 /x/1
 /x/2
a end 0
 /x/1
 /y
 /x/2
`
	if d := cmp.Diff(want, log); d != "" {
		t.Error(d)
	}
}

// TestSysusers makes the users of provides before %pre, though the root has no systemd-sysusers.
func TestSysusers(t *testing.T) {
	p := scripted("a", sh("pre", `while IFS=: read -r n x u r; do echo $n $u; done < /etc/passwd > /log`))
	p.Provides = []rpm.Capability{
		{Name: "a", Sense: rpm.Equal, EVR: rpm.EVR{Version: "1"}},
		{Name: "user(someone)", Sense: rpm.Equal, EVR: rpm.EVR{Version: "dSBzb21lb25lIDQyICJTb21lIE9uZSIgL3NydiAvYmluL3NoAA=="}},
		{Name: "group(someone)"},
	}
	_, log, err := install(t, Options{}, []func(*FS){
		withFile(t, "/bin/sh", "", 0o755), withFile(t, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
		withFile(t, "/etc/group", "root:x:0:\n", 0o644),
	}, p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("root 0\nsomeone 42\n", log); d != "" {
		t.Error(d)
	}
	p.RPMVersion = "4.18.0"
	e, log, err := install(t, Options{}, []func(*FS){
		withFile(t, "/bin/sh", "", 0o755), withFile(t, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
		withFile(t, "/etc/group", "root:x:0:\n", 0o644),
	}, p)
	if err != nil || log != "root 0\n" || e.fs.names().users["someone"] != 42 {
		t.Errorf("built by an older rpm: before %%pre there is %q, at the end %v, %v", log, e.fs.names().users, err)
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		s    rpm.Scriptlet
		want Reading
	}{
		{sh("post", ""), Reading{Class: ClassNothing}},
		{sh("post", "echo a; cd /; [ -x /a ] && :"), Reading{Class: ClassNothing}},
		{sh("post", "{ echo a; } > /a"), Reading{Class: ClassKnown}},
		{sh("post", "restorecon a &> /dev/null 2>&1"), Reading{Class: ClassNoOp, Commands: []string{"restorecon"}}},
		{sh("post", "systemctl preset a || :"), Reading{Class: ClassKnown, Commands: []string{"systemctl"}}},
		{sh("post", "[ -x /a ] && restorecon a"), Reading{Class: ClassNoOp, Commands: []string{"restorecon"}}},
		{sh("post", "getent group x >/dev/null || groupadd -r x\nexit 0"), Reading{Class: ClassKnown, Commands: []string{"getent", "groupadd"}}},
		{
			sh("post", "f() { ln -s a b; }; f; if true; then /usr/bin/frobnicate -x || :; fi; x=$(cat y)"),
			Reading{Class: ClassUnknown, Commands: []string{"ln", "cat"}, Unknown: []string{"/usr/bin/frobnicate"}},
		},
		{sh("post", "command rm -f x; exec ldconfig"), Reading{Class: ClassKnown, Commands: []string{"rm", "ldconfig"}}},
		{sh("post", "$CMD a"), Reading{Class: ClassNothing}},
		{sh("post", "if then"), Reading{Class: ClassUnknown, Why: "1:1: `if` must be followed by a statement list"}},
		{sh("post", "uuidgen > /id || :"), Reading{Class: ClassUnknown, Commands: []string{"uuidgen"}, Why: "what uuidgen makes is random or secret"}},
		{sh("post", "if true; then echo ${RANDOM} > /id; fi"), Reading{Class: ClassUnknown, Why: "$RANDOM is not the same every time"}},
		{sh("post", "head -c 8 /dev/urandom > /key"), Reading{Class: ClassUnknown, Why: "it reads /dev/urandom"}},
		{rpm.Scriptlet{Slot: "post", Interpreter: []string{"/sbin/ldconfig"}}, Reading{Class: ClassKnown, Commands: []string{"ldconfig"}}},
		{rpm.Scriptlet{Slot: "post", Interpreter: []string{"<lua>"}, Body: "x()"}, Reading{Class: ClassLua}},
		{rpm.Scriptlet{Slot: "post", Interpreter: []string{"/usr/bin/perl"}, Body: "x()"}, Reading{Class: ClassUnknown, Why: "slim does not interpret scripts of perl"}},
		{
			rpm.Scriptlet{Slot: "post", Interpreter: []string{"/bin/sh"}, Body: "%{name}", Flags: rpm.ScriptQFormat},
			Reading{Class: ClassUnknown, Why: "query formats are not expanded in scriptlets"},
		},
	} {
		if d := cmp.Diff(test.want, Classify(test.s)); d != "" {
			t.Errorf("%q (-want +got):\n%s", test.s.Body, d)
		}
	}
}

// TestSteps finds that what a scriptlet may do does not depend on what another did before it.
func TestSteps(t *testing.T) {
	body := "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done"
	var list []rpm.Scriptlet
	for range 12 {
		list = append(list, sh("post", body))
	}
	if _, _, err := install(t, Options{}, []func(*FS){withFile(t, "/bin/sh", "", 0o755)}, scripted("a", list...)); err != nil {
		t.Error(err)
	}
}

func TestContentFails(t *testing.T) {
	packages := []rootfs.Package{{Files: []rpm.File{{Path: "/bin/sh", Mode: rpm.ModeRegular | 0o755}, {Path: "/etc/x", Mode: rpm.ModeRegular | 0o644, Size: 1}}}}
	tree, err := rootfs.Build(packages, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken payload")
	e := New(tree, []Package{scripted("a", sh("post", ". /etc/x || :; read y < /etc/x || :"))}, Options{Content: func(*rootfs.Node) (io.ReadCloser, error) { return nil, broken }})
	if err := e.AfterUnpack(context.Background(), 0); !errors.Is(err, broken) {
		t.Errorf("a fault of slim's own was taken for one of the script's: %v", err)
	}
}
