package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// TestConformanceShell runs the shell scriptlets of real packages here and by bash in posix mode in an empty root: once
// with no command at all, once with stubs for all that they name, which write down how they are called. What they say,
// how they end and what they leave has to be the same.
func TestConformanceShell(t *testing.T) {
	tooltest.NeedRoot(t)
	tooltest.Need(t, "bash", "ldd")
	list := slices.DeleteFunc(corpus(t), func(f foundScriptlet) bool {
		return f.Body == "" || len(f.Interpreter) != 1 || !isShell(filepath.Base(f.Interpreter[0])) || f.Flags&rpm.ScriptExpand != 0
	})
	all := len(list)
	list = sampled(list, 80)
	root := newBashRoot(t)
	runs, differ, refused := 0, 0, 0
	for _, f := range list {
		for _, stubs := range []bool{false, true} {
			files := map[string]string{}
			if stubs {
				files = stubsOf(f.Body)
			}
			runs++
			got, err := oursInRoot(t, f.Body, files)
			var u *Unsupported
			if errors.As(err, &u) {
				refused++
				t.Logf("%s is refused: %v", f.name(), err)
				continue
			}
			want := root.run(t, f.Body, files)
			if hasPipe(f.Body) { // the sides of a pipe run in any order in bash
				got, want = sortedLines(got), sortedLines(want)
			}
			if d := cmp.Diff(want, got); d != "" || err != nil {
				differ++
				t.Errorf("%s, stubs %v: %v\n-bash +ours:\n%s\n%s", f.name(), stubs, err, d, f.Body)
			}
		}
	}
	t.Logf("%d of %d shell scriptlets, each with and without commands: %d runs are the same, %d differ, %d are refused",
		len(list), all, runs-differ-refused, differ, refused)
}

// stubsOf are programs for all that a script names, which write down their calls.
func stubsOf(body string) map[string]string {
	files := map[string]string{}
	list, _ := parseShell(body)
	for _, name := range commandNames(list) {
		if isShell(filepath.Base(name)) || builtins()[name] != nil {
			continue
		}
		if !strings.HasPrefix(name, "/") {
			name = "/usr/bin/" + filepath.Base(name)
		}
		files[name] = "#!/bin/sh\necho \"${0##*/} $*\" >> /calls\n"
	}
	return files
}

func hasPipe(body string) bool { return strings.Contains(strings.ReplaceAll(body, "||", ""), "|") }

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// bashRoot is a directory with bash alone, in which one script runs after the other.
type bashRoot struct {
	dir  string
	base map[string]bool // its paths
}

func newBashRoot(t *testing.T) *bashRoot {
	t.Helper()
	r := &bashRoot{t.TempDir(), map[string]bool{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bin := tooltest.Path(t, "bash")
	files := map[string]string{bin: "/usr/bin/bash"}
	for word := range strings.FieldsSeq(tooltest.Run(t, nil, "ldd", bin)) {
		if strings.HasPrefix(word, "/") {
			files[word] = word
		}
	}
	for from, to := range files {
		content, err := os.ReadFile(from)
		must(err)
		must(os.MkdirAll(filepath.Join(r.dir, filepath.Dir(to)), 0o755))
		must(os.WriteFile(filepath.Join(r.dir, to), content, 0o755))
	}
	for _, d := range []string{"/usr/bin", "/usr/sbin", "/etc", "/tmp", "/var/tmp", "/root", "/dev"} {
		must(os.MkdirAll(filepath.Join(r.dir, d), 0o755))
	}
	for l, target := range map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/usr/bin/sh": "bash"} {
		must(os.Symlink(target, filepath.Join(r.dir, l)))
	}
	if err := exec.Command("mknod", "-m", "666", filepath.Join(r.dir, "dev/null"), "c", "1", "3").Run(); err != nil {
		t.Skip("skipped: needs to make devices")
	}
	r.walk(t, func(p string, _ fs.DirEntry) { r.base[p] = true })
	return r
}

// walk hands over the paths that were not there at first.
func (r *bashRoot) walk(t *testing.T, see func(p string, d fs.DirEntry)) {
	t.Helper()
	err := filepath.WalkDir(r.dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !r.base[p] {
			see(p, d)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a scriptlet by bash, says what came of it, and clears up.
func (r *bashRoot) run(t *testing.T, body string, files map[string]string) string {
	t.Helper()
	files = maps.Clone(files)
	files[scriptName] = body
	for p, content := range files {
		if err := os.MkdirAll(filepath.Join(r.dir, filepath.Dir(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(r.dir, p), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := map[string]bool{}
	r.walk(t, func(p string, _ fs.DirEntry) { before[p] = true })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", scriptName, "1")
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + scriptPath, "HOME=/root"}
	tooltest.Chroot(t, cmd, r.dir)
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	result := fmt.Sprintf("%s[%d]\n", out, cmd.ProcessState.ExitCode())
	var made []string
	r.walk(t, func(p string, d fs.DirEntry) {
		made = append(made, p)
		if !d.Type().IsRegular() || before[p] {
			return
		}
		content, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		result += strings.TrimPrefix(p, r.dir) + ":\n" + string(content) + "\n"
	})
	for _, p := range slices.Backward(made) {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	return result
}

// oursInRoot runs a scriptlet here, with no command known but those in the tree.
func oursInRoot(t *testing.T, body string, files map[string]string) (string, error) {
	t.Helper()
	m := testMachine(t)
	m.commands = nil
	f := m.fs
	if err := f.Remove("/", "/etc/passwd"); err != nil {
		t.Fatal(err)
	}
	withFile(t, "/usr/bin/bash", "\x7fELF", 0o755)(f)
	if err := f.Symlink("/", "bash", "/usr/bin/sh"); err != nil {
		t.Fatal(err)
	}
	for p, content := range files {
		withFile(t, p, content, 0o755)(f)
	}
	before := map[string]bool{}
	for _, n := range f.tree.Nodes() {
		before[n.Path] = true
	}
	var out bytes.Buffer
	status, err := m.shellProgram(context.Background(), process{
		args: []string{"/bin/sh", scriptName, "1"}, env: scriptEnvironment(nil), dir: "/", umask: 0o022, stdin: strings.NewReader(""), stdout: &out,
		stderr: &bytes.Buffer{}, body: &body,
	})
	result := fmt.Sprintf("%s[%d]\n", out.String(), status)
	for _, n := range f.tree.Nodes() {
		if n.IsRegular() && !before[n.Path] {
			content, err := f.ReadFile("/", n.Path)
			if err != nil {
				t.Fatal(err)
			}
			result += n.Path + ":\n" + string(content) + "\n"
		}
	}
	return result, err
}
