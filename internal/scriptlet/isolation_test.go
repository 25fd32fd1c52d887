package scriptlet

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

// TestImports keeps what leads to the machine out of the package: files, processes, users, the clock, randomness.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if slices.Contains([]string{
				"os", "os/exec", "os/user", "net", "syscall", "math/rand", "math/rand/v2", "crypto/rand", "runtime",
				"golang.org/x/sys/unix", "mvdan.cc/sh/v3/interp",
			}, p) {
				t.Errorf("%s imports %s", name, p)
			}
		}
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"time.Now(", "time.Since(", "time.Local"} {
			if strings.Contains(string(content), call) {
				t.Errorf("%s calls %s", name, call)
			}
		}
	}
}

// TestHostLeaks runs what would show the machine in other shells.
func TestHostLeaks(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("echo LEAK; LEAK=LEAK\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(secret)
	for name, value := range map[string]string{
		"SECRET": "LEAK", "TMPDIR": dir, "HOME": dir, "BASH_ENV": secret, "ENV": secret, "PATH": dir + ":/usr/bin:/bin",
		"RANDOM": "LEAK", "CDPATH": dir,
	} {
		t.Setenv(name, value)
	}
	t.Chdir(dir)
	for _, c := range []struct{ name, script, want string }{
		{"environment", `echo "[$SECRET$TMPDIR$BASH_ENV$ENV$CDPATH]" $HOME $PATH; export -p`, "[] /root /nowhere\n" +
			"export HOME=\"/root\"\nexport PATH=\"/nowhere\"\nexport PWD=\"/here\"\nexport SHLVL=\"1\"\nexport _=\"sh\"\n"},
		{"process", `echo $$ $PPID $UID $EUID $HOSTNAME $SECONDS $BASHPID $0 $-; echo ${GROUPS-none} $EPOCHSECONDS`, "1 0 0 0 localhost 0 1 script hB\nnone 1700000000\n"},
		{"files", `for f in ` + secret + ` /etc/hostname /proc/self/environ /proc/cpuinfo /sys/kernel /dev/sda; do [ -e $f ] && echo LEAK $f; done; echo done`, "done\n"},
		{"file tests", `for o in b c d e f g h k p r s u w x O G L N S; do [ -$o ` + secret + ` ] && echo LEAK $o; eval "[[ -$o ` + secret + ` ]]" && echo LEAK $o; done; [ -a ` + secret + ` ] && echo LEAK; echo done`, "done\n"},
		{"read", `read x < ` + secret + `; echo "[$x]" "$(< ` + secret + `)"`, "[] \n"},
		{"source", `(. ` + secret + `); echo $?; (. ./secret); echo $?; (. secret); echo $?; (source ` + secret + `); echo $?`, "1\n1\n1\n1\n"},
		{"programs", secret + `; echo $?; ./secret; echo $?; secret; echo $?; PATH=` + dir + ` secret; echo $?; ls; echo $?; exec ls`, "127\n127\n127\n127\n127\n"},
		{"lookup", `PATH=/usr/bin:/bin; command -v ls; echo $?; type -p ls; echo $?; type -P sh; echo $?; hash ls; echo $?; type ls; echo $?; command -V ls; echo $?`, "1\n1\n1\n1\n1\n1\n"},
		{"command -p", `command -p ls; echo $?`, "127\n"},
		{"cd", `cd ` + dir + `; echo $? $PWD; cd; pwd; cd -P .; pwd; echo $OLDPWD`, "1 /here\n/root\n/root\n/root\n"},
		{"glob", `echo ` + dir + `/* /proc/* /h[o]me /etc/host*`, dir + "/* /proc/* /h[o]me /etc/host*\n"},
		{"tilde", `echo ~ ~root ~nobody ~daemon/x`, "/root /root ~nobody ~daemon/x\n"},
		{"here-document", "read x <<E\nvalue $SECRET\nE\necho $x", "value\n"},
		{"time", `time true; times`, "0m0.000s 0m0.000s\n0m0.000s 0m0.000s\n"},
		{"kill", `kill -0 1; echo $?; kill -0 $PPID; echo $?; kill -9 $$; echo $?`, "1\n1\n1\n"},
		{"limits", `ulimit -n 5; echo $?`, "0\n"},
		{"terminal", `[ -t 0 ]; echo $?; [ -t 1 ]; echo $?; echo x > /dev/tty; echo $?`, "1\n1\n1\n"},
		{"network", `echo x > /dev/tcp/127.0.0.1/80; echo $?`, "1\n"},
		{"umask", `umask`, "0022\n"},
		{"write", `echo x > ` + secret + `; echo $?; echo x > /hostfile; [ -e /hostfile ]; echo $?`, "1\n0\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, status, err := runShell(context.Background(), testMachine(t), c.script)
			if err != nil {
				t.Fatal(err)
			}
			if c.name == "programs" && status != 127 {
				t.Errorf("status %d", status)
			}
			if d := cmp.Diff(c.want, out); d != "" {
				t.Errorf("-want +got:\n%s\nstderr:\n%s", d, errs)
			}
		})
	}
	if content, err := os.ReadFile(secret); err != nil || !strings.HasPrefix(string(content), "echo LEAK") {
		t.Error("a file of the machine was written", err)
	}
	if _, err := os.Stat("/hostfile"); err == nil {
		t.Error("a file of the machine was made")
	}
}

// TestRandomness refuses what is not the same every time, whatever the script makes of it.
func TestRandomness(t *testing.T) {
	for _, script := range []string{
		`echo $RANDOM || :`, `x=${SRANDOM:-1}`, `(echo $RANDOM) &>/dev/null || true`, `x=$(echo $RANDOM) || :`, `echo $((RANDOM % 10))`,
		`[[ -v RANDOM ]]`, `read x < /dev/urandom || :`, `x=$(< /dev/random)`, `if read -n 1 x 2>/dev/null < /dev/urandom; then :; fi`,
		`echo $EPOCHREALTIME`, `echo a | read x </dev/hwrng`, `read u </proc/sys/kernel/random/uuid`, `cd /dev 2>/dev/null; read x < ../dev/urandom; :`,
		`f() { eval "echo \$RANDOM"; }; f || f | f`, `. /dev/urandom`,
	} {
		_, _, _, err := runShell(context.Background(), testMachine(t), script)
		var u *Unsupported
		if !errors.As(err, &u) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

// TestRandomCommands refuses what commands and Lua would make of random numbers, whatever the script makes of it, and
// gives the same answer every time to what is asked of the machine.
func TestRandomCommands(t *testing.T) {
	shell := []func(*FS){withFile(t, "/bin/sh", "\x7fELF", 0o755)}
	for _, script := range []string{
		"cat /dev/urandom | head -c 9 || :", "head -c 16 /dev/urandom | md5sum > /x", "dd if=/dev/random of=/x bs=1 count=4 2>/dev/null || :", "tr -dc a-z < /dev/urandom | head -c 8",
		"cp /dev/urandom /x || :", "ln -s /dev/urandom /x; cat /x", "mkdir /dev; cd /dev; cat ./urandom || :", "sort -R /etc/passwd || :", "shuf -n 1 /etc/passwd || :",
		"uuidgen > /etc/secret || :", "mcookie", "openssl genrsa 2048 > /k 2>/dev/null || :", "openssl req -new -x509 -nodes", "openssl rand -hex 16", "openssl x509 -in /x", "ssh-keygen -A",
		"awk 'BEGIN { print rand() }' || :", "awk 'BEGIN { srand(); print 1 }' || :", "base64 /dev/urandom", "grep -m1 x /dev/urandom", "sed -n 1p /dev/urandom", "cut -c1 /proc/sys/kernel/random/uuid || :",
		"gpg --gen-key --batch", "xargs -a /dev/urandom echo || :", "while read x; do :; done < /dev/urandom", "install -m 600 /dev/urandom /x", "cat </dev/hwrng || :", "wc -c /dev/random || :",
	} {
		_, _, err := install(t, Options{Toolbox: true}, shell, scripted("a", sh("post", script)))
		var u *Unsupported
		if !errors.As(err, &u) {
			t.Errorf("%s: %v", script, err)
		}
	}
	for _, script := range []string{
		"pcall(math.random)", "pcall(math.randomseed, 1) pcall(math.random)", "pcall(io.open, '/dev/urandom')", "pcall(io.lines, '/dev/random')", "pcall(os.tmpname)", "pcall(rpm.open, '/dev/urandom')",
		"os.execute('head -c1 /dev/urandom || :')", "io.popen('echo $RANDOM'):read('*a')", "pcall(rpm.spawn, {'cat'}, {stdin = '/dev/urandom'})", "pcall(rpm.execute, 'uuidgen')",
	} {
		_, _, err := install(t, Options{Toolbox: true}, shell, scripted("a", rpm.Scriptlet{Slot: "post", Interpreter: []string{"<lua>"}, Body: script}))
		var u *Unsupported
		if !errors.As(err, &u) {
			t.Errorf("%s: %v", script, err)
		}
	}
	_, log, err := install(t, Options{Toolbox: true, Now: 1700000000}, shell, scripted("a", sh("post", `{ date +%s.%N; date; hostname; uname -n; uname -r; id -u; echo $$ $PPID $HOSTNAME; mktemp; mktemp -d; nproc; stat -c %Y /log; } > /log`)))
	if want := "1700000000.000000000\nTue Nov 14 22:13:20 UTC 2023\nlocalhost\nlocalhost\n6.12.0\n0\n1 0 localhost\n/tmp/tmp.0000000000\n/tmp/tmp.0000000001\n1\n1700000000\n"; err != nil || log != want {
		t.Errorf("%v\n%s", err, cmp.Diff(want, log))
	}
}

// TestLimits ends what would not end, or would not fit.
func TestLimits(t *testing.T) {
	for _, script := range []string{
		`while :; do :; done`, `until false; do x=1; done || :`, `for ((;;)); do :; done`, `f() { f; }; f`, `f() { (f) || :; }; f`,
		`x=aaaaaaaa; while :; do x=$x$x; done`, `while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done | read x`,
		`eval 'f() { eval f; }; f'`, `echo '. ./s' > s; . ./s`, `echo {1..999999999}`, `x='x x'; while :; do x="$x $x"; done; for i in $x; do :; done`,
		`printf '%9999999d' 1`, `while printf '%0999d' 1; do :; done > f`,
	} {
		m := testMachine(t)
		m.steps = MaxSteps - 200_000 // so that it does not take long
		_, _, _, err := runShell(context.Background(), m, script)
		var l *Limit
		if !errors.As(err, &l) {
			t.Errorf("%s: %v", script, err)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, _, err := runShell(ctx, testMachine(t), `while :; do :; done`); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzShell runs any script: it ends, without a panic, the same way twice.
func FuzzShell(f *testing.F) {
	for _, s := range []string{
		`echo "${x:-a}" | while read y; do echo $y; done`, "cat <<E\n$((1+1))\nE", `a=(1 2); echo ${a[@]:1} ${a//1/2}`, `[[ a =~ (a) && -e / ]]`,
		`printf '%5.3d|%-5s|%b' 1 a '\x41'`, `f() { local x=1; return 2; }; f || trap 'echo t' EXIT`, `IFS=: read a b <<< x:y; echo ${!a*} ${a^^}`, `echo $((x=5, x**2)) $[1+1]`,
		`case a in [!b-z]) echo;; esac > f 2>&1`, `set -eu; getopts ab: x -a -b; umask u=rwx`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 300 {
			return
		}
		run := func() (string, string, int, error) {
			m := testMachine(t)
			m.steps = MaxSteps - 20000
			return runShell(context.Background(), m, script, "a", "b c")
		}
		out, errs, status, err := run()
		out2, errs2, status2, err2 := run()
		if out != out2 || errs != errs2 || status != status2 || (err == nil) != (err2 == nil) {
			t.Errorf("not the same twice: %q %q %d %v, %q %q %d %v", out, errs, status, err, out2, errs2, status2, err2)
		}
	})
}
