package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"slim/internal/rootfs"
)

// fuzzedCall calls a program on a small tree; whatever it is told, it has to end, in a status or an *Unsupported.
func fuzzedCall(t *testing.T, command Command, stdin string, args ...string) {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFS(tree, nil, 1700000000)
	for p, content := range map[string]string{
		"/etc/passwd": "root:x:0:0::/root:/bin/sh\n", "/etc/group": "root:x:0:\n", "/etc/shadow": "root:*:::::::\n",
		"/etc/gshadow": "root:*::\n", "/a": "one\ntwo\n", "/d/b": "three\n", "/usr/lib/systemd/systemd": "", "/usr/lib/systemd/system/a.service": "[Install]\nWantedBy=b.target\n",
	} {
		if err := tree.PutFile(p, 0o644, 0, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = command(ctx, &Call{
		Args: args, Env: func(string) string { return "" }, Dir: "/", Umask: 0o022, Stdin: strings.NewReader(stdin), Stdout: io.Discard,
		Stderr: io.Discard, FS: f, Host: &Host{Arch: "x86_64"},
		Run: func(context.Context, []string, io.Reader, io.Writer, io.Writer) (int, error) { return 0, nil },
	})
	var u *Unsupported
	if err != nil && !errors.As(err, &u) {
		t.Fatalf("%q: %v", args, err)
	}
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`a*b`, `\(a\)\1`, `[[:alpha:]]+`, `^a|b$`, `a{1,3}`, `\<x\>`, `[]a]`, `(a|ab)(c|bcd)*`, `\x41[\n]`} {
		f.Add(s, "xabcab\n", uint8(3))
	}
	f.Fuzz(func(t *testing.T, pattern, text string, flags uint8) {
		if len(pattern) > 200 || len(text) > 200 {
			return
		}
		re, err := compileRegex(pattern, regexOptions{
			extended: flags&1 != 0, fold: flags&2 != 0, lines: flags&4 != 0, escapes: flags&8 != 0,
			awk: flags&16 != 0, wholeWord: flags&32 != 0, wholeLine: flags&64 != 0, loose: flags&128 != 0,
		})
		if err != nil {
			return
		}
		all, err := re.all([]byte(text))
		if err != nil {
			return
		}
		last := 0
		for _, m := range all {
			if len(m) != 2*re.groups+2 || m[0] < last || m[1] < m[0] || m[1] > len(text) {
				t.Fatalf("%q on %q: %v", pattern, text, all)
			}
			last = m[1]
		}
		first, err := re.match([]byte(text), 0)
		if err == nil && (first == nil) != (len(all) == 0) {
			t.Fatalf("%q on %q: match %v, all %v", pattern, text, first, all)
		}
		// What Go's regexp finds, the matcher that tries all ways must find too.
		if re.fast == nil {
			return
		}
		slow := *re
		slow.fast = nil
		m, err := slow.match([]byte(text), 0)
		if err == nil && ((m == nil) != (first == nil) || m != nil && (m[0] != first[0] || m[1] != first[1])) && strings.ToValidUTF8(text, "") == text {
			t.Fatalf("%q on %q: %v by Go's, %v by ours", pattern, text, first, m)
		}
	})
}

func FuzzSed(f *testing.F) {
	for _, s := range []string{"s/a/b/g", "1,3d;$!N;P;D", "/x/{p;q}", ":a;N;$!ba;s/\\n/ /g", "y/abc/xyz/", "a\\\ntext", "2~3p;0,/x/d", "s/\\(.\\)/\\U\\1/w f", "$!{h;G;x}"} {
		f.Add(s, "one\ntwo\nthree")
	}
	sed := sedCommands()["sed"]
	f.Fuzz(func(t *testing.T, script, text string) { fuzzedCall(t, sed, text, "sed", script) })
}

func FuzzAwk(f *testing.F) {
	for _, s := range []string{
		"{print $1}", "BEGIN{for(i=0;i<3;i++)a[i]=i} END{for(k in a)print k}", "/a/,/b/{gsub(/x/,\"&y\")}", "function f(a,b){return a b} {print f($1,NF)}",
		"{printf \"%5.2f %s\\n\", $2, $1}", "NR==1{next} {$3=\"\";print}", "{print substr($0,2,3) > \"o\"}", "BEGIN{while((getline l<\"a\")>0)print l}",
	} {
		f.Add(s, "one 1\ntwo 2\n")
	}
	awk := awkCommands()["awk"]
	f.Fuzz(func(t *testing.T, program, text string) { fuzzedCall(t, awk, text, "awk", program) })
}

// FuzzCommands calls all programs with words of any kind.
func FuzzCommands(f *testing.F) {
	commands := map[string]Command{}
	for _, table := range []map[string]Command{fileCommands(), userCommands(), noopCommands()} {
		maps.Copy(commands, table)
	}
	for _, s := range []string{
		"cp\x00-a\x00a\x00d", "find\x00.\x00-name\x00*\x00-exec\x00x\x00{}\x00+", "useradd\x00-r\x00-g\x000\x00x", "systemd-sysusers\x00-", "systemctl\x00preset-all",
		"tr\x00[a-z]\x00[:upper:]", "expr\x001\x00+\x002", "sort\x00-k2,3n\x00-t:", "printf\x00%5d%s\\n\x001", "chmod\x00u+x,g=u\x00a", "date\x00+%Y\x00-d\x00@1",
		"seq\x001\x000.1\x002", "xargs\x00-n1", "cut\x00-d:\x00-f1-2", "ls\x00-lR", "stat\x00-c%a%n\x00a", "dd\x00if=a\x00bs=1k", "grep\x00-rn\x00o\x00.", "mktemp\x00-p\x00/\x00xXXX",
		"ln\x00-sr\x00a\x00d/c", "usermod\x00-aG\x00root\x00root", "head\x00-n-1\x00a", "uniq\x00-c", "install\x00-Dm644\x00a\x00x/y",
	} {
		f.Add(s, "u x - \"a b\"\ng y 5\nm x y\n")
	}
	f.Fuzz(func(t *testing.T, line, stdin string) {
		args := strings.Split(line, "\x00")
		if command := commands[args[0]]; command != nil && bytes.Count([]byte(line), []byte{0}) < 20 {
			fuzzedCall(t, command, stdin, args...)
		}
	})
}
