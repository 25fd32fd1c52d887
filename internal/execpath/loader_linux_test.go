package execpath

import (
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/tooltest"
)

const testLoader = "/lib64/ld-linux-x86-64.so.2"

// TestLoader compares what a program needs with what the dynamic loader of this machine finds, in roots of made-up
// libraries: search paths of all kinds, links, libraries for other machines, variants for better processors, a cache.
func TestLoader(t *testing.T) {
	tooltest.Need(t, "chroot", "ldconfig")
	tooltest.NeedRoot(t)
	loader, err := os.ReadFile(testLoader)
	if err != nil {
		t.Skip("skipped: needs " + testLoader)
	}
	cases := 60
	if s := os.Getenv("SLIM_CONFORMANCE"); s != "" {
		if cases, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range cases {
		root := t.TempDir()
		r := rand.New(rand.NewSource(int64(seed)))
		env := randomRoot(t, root, loader, r)
		found, err := Find(diskRoot(t, root), Start{Programs: []string{"/prog/main"}, Env: env})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range found.Files {
			if f.Tier == Direct && f.Hwcaps == "" {
				got = append(got, f.Path)
			}
		}
		var missing []string
		for _, m := range found.Missing {
			missing = append(missing, m.Name)
		}
		slices.Sort(missing)
		want, notFound := listed(t, root, env)
		preloaded := func(name string) bool { return slices.Contains(env, "LD_PRELOAD="+name) } // the loader says nothing of it
		missing, notFound = slices.DeleteFunc(slices.Compact(missing), preloaded), slices.DeleteFunc(notFound, preloaded)
		if d := cmp.Diff(want, got) + cmp.Diff(notFound, missing, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("root %d with %q:\n%s", seed, env, d)
		}
	}
}

// listed are the files that the loader of a root takes for the program, links followed, and the names that it does not find.
func listed(t *testing.T, root string, env []string) (files, missing []string) {
	t.Helper()
	cmd := exec.Command("/prog/main")
	cmd.Dir, cmd.Env = "/", append([]string{"LD_TRACE_LOADED_OBJECTS=1", "LD_ORIGIN_PATH=/prog"}, env...) // there is no /proc to know it from
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	files = []string{"/prog/main", testLoader} // which is only named where a library needs it
	for _, m := range regexp.MustCompile(`(?m)^\t(?:.* => )?(/\S+) \(0x`).FindAllStringSubmatch(string(out), -1) {
		real, err := filepath.EvalSymlinks(root + m[1])
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, strings.TrimPrefix(real, root))
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) => not found`).FindAllStringSubmatch(string(out), -1) {
		missing = append(missing, m[1])
	}
	slices.Sort(files)
	slices.Sort(missing)
	return slices.Compact(files), slices.Compact(missing)
}

// randomRoot fills a root with a program and libraries, and returns the program's environment.
func randomRoot(t *testing.T, root string, loader []byte, r *rand.Rand) []string {
	write := func(p string, b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(root+p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+p, b, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(testLoader, loader)
	dirs := []string{"/lib64", "/usr/lib64", "/lib/x86_64-linux-gnu", "/opt/a", "/opt/b/lib", "/prog/lib", "/prog", "/etc/private"}
	for _, d := range dirs {
		if err := os.MkdirAll(root+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../opt/b", root+"/prog/link"); err != nil {
		t.Fatal(err)
	}
	pick := func(of []string) string { return of[r.Intn(len(of))] }
	name := func() string { return fmt.Sprintf("lib%d.so.1", r.Intn(8)) }
	paths := func() string {
		var out []string
		for range r.Intn(3) {
			out = append(out, pick(append([]string{"$ORIGIN", "${ORIGIN}/lib", "$ORIGIN/../lib", "/prog/link/lib", "$ORIGIN/link/lib", "/opt/$LIB", "/nowhere", "/opt/b/lib/"}, dirs...)))
		}
		return strings.Join(out, ":")
	}
	object := func() testObject {
		o := testObject{}
		for range r.Intn(4) {
			o.needed = append(o.needed, name())
		}
		switch r.Intn(4) {
		case 0:
			o.rpath = paths()
		case 1:
			o.runpath = paths()
		case 2:
			o.noDefault = r.Intn(4) == 0
		}
		return o
	}
	main := object()
	main.interpreter, main.needed = testLoader, append(main.needed, name(), name())
	write("/prog/main", main.bytes())
	for range 5 + r.Intn(20) {
		o, n := object(), name()
		if o.soname = n; r.Intn(8) == 0 {
			o.soname = name()
		}
		if r.Intn(10) == 0 {
			o.machine = 183
		}
		write(pick(dirs)+"/"+n, o.bytes())
	}
	if r.Intn(2) == 0 {
		write("/etc/ld.so.conf", []byte("/opt/a\n/etc/private\n"))
		if r.Intn(2) == 0 {
			o := testObject{soname: "lib1.so.1"}
			write("/opt/a/glibc-hwcaps/x86-64-v9/lib1.so.1", o.bytes()) // no machine has that yet
		}
		tooltest.Run(t, nil, "ldconfig", "-X", "-r", root)
	}
	var env []string
	if r.Intn(3) == 0 {
		env = append(env, "LD_LIBRARY_PATH="+paths())
	}
	if r.Intn(6) == 0 {
		env = append(env, "LD_PRELOAD="+name())
	}
	return env
}

// diskRoot is a directory as a root.
func diskRoot(t *testing.T, dir string) Root {
	t.Helper()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil || at == dir {
			return err
		}
		n := &rootfs.Node{Path: strings.TrimPrefix(at, dir)}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			n.Mode = rpm.ModeDir | 0o755
		case d.Type()&fs.ModeSymlink != 0:
			n.Mode = rpm.ModeSymlink | 0o777
			n.Link, err = os.Readlink(at)
		default:
			n.Mode, n.Size = rpm.ModeRegular|uint32(info.Mode().Perm()), info.Size()
			n.Open = func() (io.ReadCloser, error) { return os.Open(at) }
		}
		if err != nil {
			return err
		}
		return tree.Put(n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return Root{Tree: tree, Open: func(n *rootfs.Node) (Content, error) { return os.Open(dir + n.Path) }}
}
