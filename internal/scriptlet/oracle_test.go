package scriptlet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// TestConformanceDistribution compares commands with those of the distribution, in one root that dnf and rpm made. Those
// parts that change the root come last.
func TestConformanceDistribution(t *testing.T) {
	root := distroRoot(t, "bash", "coreutils", "gawk", "glibc-gconv-extra", "alternatives", "shadow-utils", "systemd", "ca-certificates", "p11-kit",
		"httpd", "nginx", "redis", "haproxy", "memcached", "perl", "libicu", "python3")
	for _, part := range []struct {
		name string
		run  func(t *testing.T, root string)
	}{
		{"ldconfig", ldconfigLikeTheDistribution},
		{"ldconfig calls", ldconfigCalls},
		{"iconvconfig", iconvconfigLikeTheDistribution},
		{"alternatives", debianAlternatives},
		{"systemctl", systemctlLinks},
		{"users", accountsLikeShadowUtils},
		{"awk", awkLikeGawk},
		{"trust", trustLikeDNF},
		{"trust calls", trustLikeReal},
		{"lua", luaCommandsLikeRPM},
		{"tmpfiles", tmpfilesLikeSystemd},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, root) })
	}
}

// linkedCopy is a new directory with hard links to the files of another.
func linkedCopy(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	tooltest.Run(t, nil, "cp", "-al", from+"/.", to)
	return to
}

// distroRoot is a root that dnf and rpm made of the real distribution, in a directory of its own.
func distroRoot(t testing.TB, packages ...string) string {
	t.Helper()
	tooltest.NeedRoot(t)
	tooltest.Need(t, "dnf", "rpm", "chroot")
	tool := tooltest.Shared(t, "tools", "dnf-root")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	tooltest.Run(t, []string{"TMPDIR=" + dir}, tool, append([]string{root, "install"}, packages...)...)
	return root
}

// hostTree is a tree of what is in a directory. Content of large files is read from the directory when asked for.
func hostTree(t testing.TB, dir string) *rootfs.Tree {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		n, err := hostNode(t, dir, p)
		if err != nil || n == nil {
			return err
		}
		return tree.Put(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

const modeSocket = 0o140000

func hostNode(t testing.TB, dir, p string) (*rootfs.Node, error) {
	t.Helper()
	st := tooltest.Lstat(t, p)
	n := &rootfs.Node{Package: -1, Path: strings.TrimPrefix(p, dir), Mode: st.Mode, UID: st.UID, GID: st.GID, MTime: st.MTime}
	switch {
	case n.IsSymlink():
		link, err := os.Readlink(p)
		if err != nil {
			return nil, err
		}
		n.Link = link
	case n.IsRegular():
		n.Size = st.Size
		n.Open = func() (io.ReadCloser, error) { return os.Open(p) }
		if st.Size < 1<<16 { // what a program may write to while the tree is in use
			b, err := os.ReadFile(p)
			if err != nil {
				return nil, err
			}
			n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		}
	case st.Mode&rpm.ModeType == modeSocket:
		return nil, nil
	default:
		n.Major, n.Minor = uint32(st.Rdev>>8&0xfff), uint32(st.Rdev&0xff)
	}
	return n, nil
}

// fsOf is the file system on a tree made of nothing but nodes with content of their own.
func fsOf(tree *rootfs.Tree) *FS {
	return NewFS(tree, func(n *rootfs.Node) (io.ReadCloser, error) { return nil, errors.New("no package here") }, 1700000000)
}

// listing has one line for each path: kind and permissions, owner, path, link target or content.
func listing(t testing.TB, f *FS, skip func(p string) bool) []string {
	t.Helper()
	var out []string
	names := f.names()
	for _, n := range f.Tree().Nodes() {
		if n.Path == "/" || skip != nil && skip(n.Path) {
			continue
		}
		line := fmt.Sprintf("%o %d:%d %s", n.Mode, names.uid(n), names.gid(n), n.Path)
		switch {
		case n.IsSymlink():
			line += " -> " + n.Link
		case n.IsRegular():
			b, err := f.ReadFile("/", n.Path)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < 1<<16 {
				line += fmt.Sprintf(" %q", b)
			} else {
				line += fmt.Sprintf(" %x", sha256.Sum256(b))
			}
		case !n.IsDir():
			line += fmt.Sprintf(" %d,%d", n.Major, n.Minor)
		}
		out = append(out, line)
	}
	sort.Strings(out)
	return out
}

// answer is what a program said and left.
type answer struct {
	Status         int
	Stdout, Stderr string
	Tree           []string
}

// nativeCommands are the commands that write what the programs of glibc, systemd and alternatives write.
func nativeCommands() map[string]Command {
	all := map[string]Command{}
	for _, table := range []map[string]Command{ldconfigCommands(), alternativesCommands(), tmpfilesCommands()} {
		maps.Copy(all, table)
	}
	return all
}

// callNative runs one of them on f.
func callNative(t testing.TB, f *FS, stdin string, args ...string) answer {
	t.Helper()
	command := nativeCommands()[filepath.Base(args[0])]
	if command == nil {
		t.Fatalf("no command %s", args[0])
	}
	var stdout, stderr bytes.Buffer
	status, err := command(context.Background(), &Call{
		Args: args, Env: func(string) string { return "" }, Dir: "/", Umask: 0o022, Stdin: strings.NewReader(stdin),
		Stdout: &stdout, Stderr: &stderr, FS: f, Host: &Host{Arch: "x86_64"},
		Run: func(_ context.Context, args []string, _ io.Reader, _, errs io.Writer) (int, error) {
			return 127, nil
		},
	})
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, stderr.String())
	}
	return answer{Status: status, Stdout: stdout.String(), Stderr: stderr.String()}
}

// callReal runs the program of a root in a chroot of it.
func callReal(t testing.TB, root, stdin string, args ...string) answer {
	t.Helper()
	cmd := exec.Command("chroot", append([]string{root}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return answer{Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

// smallRoot is a new directory with programs of a root and the libraries that they load.
func smallRoot(t testing.TB, from string, programs ...string) string {
	t.Helper()
	to := t.TempDir()
	copied := map[string]bool{}
	var add func(p string)
	add = func(p string) {
		real, err := filepath.EvalSymlinks(from + p)
		if err != nil {
			t.Fatal(err)
		}
		if copied[p] {
			return
		}
		copied[p] = true
		if err := os.MkdirAll(filepath.Dir(to+p), 0o755); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(real)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to+p, b, 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("chroot", from, "/lib64/ld-linux-x86-64.so.2", "--list", strings.TrimPrefix(real, from)).Output()
		if err != nil { // a static program
			return
		}
		for line := range strings.SplitSeq(string(out), "\n") {
			for word := range strings.FieldsSeq(line) {
				if strings.HasPrefix(word, "/") && !copied[word] {
					add(word)
				}
			}
		}
	}
	for _, p := range programs {
		add(p)
	}
	return to
}

func diffAnswers(t testing.TB, what string, want, got answer) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: real (-) and native (+) differ:\n%s", what, d)
	}
}

// callTool runs any native command on f, and returns its status.
func callTool(t testing.TB, f *FS, name string, args ...string) int {
	t.Helper()
	var stderr bytes.Buffer
	status, err := Commands()[name](context.Background(), &Call{
		Args: append([]string{name}, args...), Env: func(string) string { return "" }, Dir: "/", Umask: 0o022, Stdin: strings.NewReader(""),
		Stdout: io.Discard, Stderr: &stderr, FS: f, Host: &Host{Arch: "x86_64"},
	})
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, stderr.String())
	}
	return status
}
