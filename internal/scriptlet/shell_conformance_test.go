package scriptlet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// realScriptlets are the shell scriptlets of real packages, each body once, with the names of packages.
func realScriptlets(t *testing.T) (bodies []string, from map[string]string) {
	t.Helper()
	from = map[string]string{}
	for _, dir := range []string{tooltest.Shared(t, "rpms"), tooltest.Shared(t, "distro", "1")} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(p, ".rpm") {
				return err
			}
			for _, s := range scriptletsOf(p) {
				if s.Body == "" || len(s.Interpreter) != 1 || !isShell(filepath.Base(s.Interpreter[0])) || s.Flags&rpm.ScriptExpand != 0 || from[s.Body] != "" {
					continue
				}
				from[s.Body] = filepath.Base(p) + " %" + s.Slot
				bodies = append(bodies, s.Body)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(bodies)
	return bodies, from
}

// scriptletsOf reads a package; those that are broken on purpose have none.
func scriptletsOf(p string) []rpm.Scriptlet {
	f, err := os.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	pkg, err := rpm.OpenPackage(f, info.Size())
	if err != nil {
		return nil
	}
	list, _ := pkg.Header().Scriptlets()
	return list
}

// TestConformanceShell runs the scriptlets of real packages here and by bash in posix mode in an empty root: once with
// no command at all, once with stubs for all that they name, which write down how they are called. What they say, how
// they end and what they leave has to be the same.
func TestConformanceShell(t *testing.T) {
	tooltest.NeedRoot(t)
	tooltest.Need(t, "bash", "ldd", "chroot")
	bodies, from := realScriptlets(t)
	if len(bodies) < 150 {
		t.Errorf("%d scriptlets only", len(bodies))
	}
	base := bashRoot(t)
	differ, skipped := 0, 0
	for _, body := range bodies {
		for _, stubs := range []bool{false, true} {
			files := map[string]string{}
			if stubs {
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
			}
			got, err := oursInRoot(t, body, files)
			var u *Unsupported
			if errors.As(err, &u) {
				skipped++
				t.Logf("%s: %v", from[body], err)
				continue
			}
			want := bashInRoot(t, base, body, files)
			if strings.Contains(body, " | ") { // the sides of a pipe run in any order in bash
				got, want = sortedLines(got), sortedLines(want)
			}
			if d := cmp.Diff(want, got); d != "" || err != nil {
				differ++
				t.Errorf("%s, stubs %v: %v\n-bash +ours:\n%s\n%s", from[body], stubs, err, d, body)
			}
		}
	}
	t.Logf("%d scriptlets, %d runs differ, %d refused", len(bodies), differ, skipped)
	if skipped > len(bodies)/50 {
		t.Errorf("%d runs of %d scriptlets were refused", skipped, len(bodies))
	}
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// bashRoot is a root with bash alone.
func bashRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	bin, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("ldd", bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{bin: "/usr/bin/bash"}
	for _, word := range strings.Fields(string(out)) {
		if strings.HasPrefix(word, "/") {
			files[word] = word
		}
	}
	for from, to := range files {
		content, err := os.ReadFile(from)
		if err == nil {
			err = os.MkdirAll(filepath.Join(root, filepath.Dir(to)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(root, to), content, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// rootDirs are the directories of the roots, rootLinks their links.
var (
	rootDirs  = []string{"/usr/bin", "/usr/sbin", "/etc", "/tmp", "/var/tmp", "/root", "/dev"}
	rootLinks = map[string]string{"/bin": "usr/bin", "/sbin": "usr/sbin", "/usr/bin/sh": "bash"}
)

// bashInRoot runs a scriptlet by bash, and says what came of it.
func bashInRoot(t *testing.T, base, body string, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	link := func(from string) { // hard links, so that a run costs little
		err := filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
			to := filepath.Join(root, strings.TrimPrefix(p, base))
			if err != nil || d.IsDir() {
				return errors.Join(err, os.MkdirAll(to, 0o755))
			}
			return os.Link(p, to)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	link(base)
	for _, d := range rootDirs {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for l, target := range rootLinks {
		if err := os.Symlink(target, filepath.Join(root, l)); err != nil {
			t.Fatal(err)
		}
	}
	before := map[string]bool{scriptName: true, "/dev/null": true}
	all := map[string]string{scriptName: body, "/dev/null": ""}
	for p, content := range files {
		all[p] = content
	}
	for p, content := range all {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, p), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	walkFiles(t, root, func(p, _ string) { before[p] = true })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chroot", root, "/bin/sh", scriptName, "1")
	cmd.Env = []string{"PATH=" + scriptPath, "HOME=/root"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	result := fmt.Sprintf("%s[%d]\n", out, cmd.ProcessState.ExitCode())
	walkFiles(t, root, func(p, content string) {
		if !before[p] {
			result += p + ": " + content + "\n"
		}
	})
	return result
}

func walkFiles(t *testing.T, root string, see func(p, content string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(p)
		see(strings.TrimPrefix(p, root), string(content))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
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
			result += n.Path + ": " + string(content) + "\n"
		}
	}
	return result, err
}
