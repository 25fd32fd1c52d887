package scriptlet

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slim/internal/rootfs"
)

var updateShell = flag.Bool("update-shell", false, "write what bash answers beside the scripts")

// testMachine is a machine on a small tree.
func testMachine(t testing.TB, setup ...func(*FS)) *machine {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := New(tree, nil, Options{Now: 1700000000, Host: Host{Arch: "x86_64"}})
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/etc", "/tmp", "/here", "/root", "/var/tmp"} {
		if err := e.fs.MkdirAll("/", dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"bin", "sbin"} {
		if err := e.fs.Symlink("/", "usr/"+link, "/"+link); err != nil {
			t.Fatal(err)
		}
	}
	withFile(t, "/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n", 0o644)(e.fs)
	for _, f := range setup {
		f(e.fs)
	}
	return e.machine()
}

// withFile is a set-up that writes a file.
func withFile(t testing.TB, p, content string, mode uint32) func(*FS) {
	return func(f *FS) {
		t.Helper()
		if err := f.MkdirAll("/", filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := f.WriteFile("/", p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// runShell runs a script as a scriptlet runs, but in /here and without commands.
func runShell(ctx context.Context, m *machine, body string, params ...string) (stdout, stderr string, status int, err error) {
	var out, errs bytes.Buffer
	status, err = m.shellProgram(ctx, process{
		args: append([]string{"sh", "script"}, params...), env: map[string]string{"PATH": "/nowhere", "HOME": "/root"}, dir: "/here", umask: 0o022,
		stdin: strings.NewReader(""), stdout: &out, stderr: &errs, body: &body,
	})
	return out.String(), errs.String(), status, err
}

// bash runs a script in bash's posix mode, and returns its output and status as the answers have them.
func bash(t *testing.T, body string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte(body), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "w"), 0o777); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--posix", "../script")
	cmd.Dir = filepath.Join(dir, "w")
	cmd.Env = []string{"PATH=/nowhere", "HOME=/root", "LC_ALL=C.UTF-8"}
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	out = bytes.ReplaceAll(out, []byte("../script"), []byte("script"))
	return fmt.Sprintf("%s[%d]\n", out, cmd.ProcessState.ExitCode())
}

// TestShell runs the scripts of testdata/shell. The answers beside them are those of bash in posix mode.
func TestShell(t *testing.T) {
	names, err := filepath.Glob("testdata/shell/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range names {
		scripts, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file := strings.TrimSuffix(name, ".txt") + ".answers"
		if *updateShell {
			answers := &txtar.Archive{}
			for _, f := range scripts.Files {
				answers.Files = append(answers.Files, txtar.File{Name: f.Name, Data: []byte(bash(t, string(f.Data)))})
			}
			if err := os.WriteFile(file, txtar.Format(answers), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		answers, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range scripts.Files {
			i := slices.IndexFunc(answers.Files, func(a txtar.File) bool { return a.Name == f.Name })
			if i < 0 {
				t.Errorf("%s: no answer to %q", name, f.Name)
				continue
			}
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txt")+"/"+f.Name, func(t *testing.T) {
				out, errs, status, err := runShell(context.Background(), testMachine(t), string(f.Data))
				got := fmt.Sprintf("%s[%d]\n", out, status)
				if err != nil {
					got += "error: " + err.Error() + "\n"
				}
				if d := cmp.Diff(string(answers.Files[i].Data), got); d != "" {
					t.Errorf("-bash +ours:\n%s\nscript:\n%s\nstderr:\n%s", d, f.Data, errs)
				}
			})
		}
	}
}
