package scriptlet

import (
	"bytes"
	debugelf "debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/elf"
	"slim/internal/rootfs"
	"slim/internal/tooltest"
)

// The cache that the distribution's own ldconfig wrote, byte by byte, and what it prints.
func ldconfigLikeTheDistribution(t *testing.T, root string) {
	tooltest.Run(t, nil, "chroot", root, "/sbin/ldconfig")
	want, err := os.ReadFile(root + "/etc/ld.so.cache")
	if err != nil {
		t.Fatal(err)
	}
	f := fsOf(hostTree(t, root))
	before := listing(t, f, nil)
	if a := callNative(t, f, "", "/sbin/ldconfig"); a.Status != 0 || a.Stdout+a.Stderr != "" {
		t.Fatalf("%+v", a)
	}
	got, err := f.ReadFile("/", "/etc/ld.so.cache")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		w, _, _ := elf.ReadCache(want, binary.LittleEndian)
		g, _, err := elf.ReadCache(got, binary.LittleEndian)
		t.Errorf("%d bytes differ from %d (%v):\n%s", len(got), len(want), err, cmp.Diff(w, g, cmp.AllowUnexported(elf.CacheEntry{})))
	}
	if d := cmp.Diff(before, listing(t, f, nil)); d != "" {
		t.Errorf("the tree changed: %s", d)
	}
	diffAnswers(t, "-p", callReal(t, root, "", "/sbin/ldconfig", "-p"), callNative(t, f, "", "/sbin/ldconfig", "-p"))
}

// A tree with everything ldconfig looks at, made with the system's linker, against the distribution's ldconfig.
func ldconfigCalls(t *testing.T, root string) {
	tooltest.Need(t, "gcc")
	libraries := t.TempDir()
	librariesIn(t, root, libraries)
	for _, c := range []struct {
		name string
		args [][]string
	}{
		{"plain", [][]string{{"ldconfig"}, {"ldconfig", "-p"}}},
		{"no links", [][]string{{"ldconfig", "-X"}}},
		{"no cache", [][]string{{"ldconfig", "-N"}}},
		{"arguments", [][]string{{"ldconfig", "/opt/extra"}, {"ldconfig", "-p"}}},
		{"only arguments", [][]string{{"ldconfig", "-n", "/opt/extra", "/opt/missing"}}},
		{"relative only", [][]string{{"ldconfig", "-n", "opt/extra"}}},
		{"relative", [][]string{{"ldconfig", "opt/extra"}}},
		{"manual", [][]string{{"ldconfig", "-l", "/opt/extra/libsecond.so.2.1", "/opt/extra/none.so", "/opt/loose/libnoname.so"}}},
		{"other files", [][]string{{"ldconfig", "-C", "/tmp/cache", "-f", "/opt/my.conf"}, {"ldconfig", "-p", "-C", "/tmp/cache"}}},
		{"no cache to print", [][]string{{"ldconfig", "-p", "-C", "/tmp/none"}}},
		{"not a cache to print", [][]string{{"ldconfig", "-p", "-C", "/opt/my.conf"}}},
		{"root", [][]string{{"ldconfig", "-r", "/"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := linkedCopy(t, libraries)
			f := fsOf(hostTree(t, dir))
			for _, args := range c.args {
				want := callReal(t, dir, "", append([]string{"/sbin/" + args[0]}, args[1:]...)...)
				got := callNative(t, f, "", append([]string{"/sbin/" + args[0]}, args[1:]...)...)
				skip := func(p string) bool { return strings.HasPrefix(p, "/var/cache") }
				want.Tree, got.Tree = listing(t, fsOf(hostTree(t, dir)), skip), listing(t, f, skip)
				for _, a := range []*answer{&want, &got} { // the order of a directory is nobody's
					lines := strings.SplitAfter(a.Stderr, "\n")
					slices.Sort(lines)
					a.Stderr = strings.Join(lines, "")
				}
				diffAnswers(t, strings.Join(args, " "), want, got)
			}
		})
	}
}

// librariesIn fills a directory with an ldconfig and libraries of all sorts.
func librariesIn(t *testing.T, root, dir string) {
	t.Helper()
	for _, d := range []string{
		"/sbin", "/etc/ld.so.conf.d", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3", "/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2",
		"/lib/x86_64-linux-gnu/tls/haswell", "/lib/x86_64-linux-gnu/glibc-hwcaps/empty", "/lib/x86_64-linux-gnu/sse2", "/opt/extra", "/opt/loose", "/usr/lib", "/tmp", "/usr/local/lib",
	} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program, err := os.ReadFile(root + "/sbin/ldconfig")
	if err != nil {
		t.Fatal(err)
	}
	write := func(p, content string) {
		if err := os.WriteFile(dir+p, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("/sbin/ldconfig", string(program))
	write("/etc/ld.so.conf", "# comment\ninclude ld.so.conf.d/*.conf /etc/none*\nhwcap 1 nosegneg\n\t/opt/extra/  # here\n/opt/loose=libc6\n/opt/none=what\n")
	write("/etc/ld.so.conf.d/b.conf", "/usr/local/lib\n")
	write("/etc/ld.so.conf.d/a.conf", "/opt/loose\n/usr/lib/")
	write("/etc/ld.so.conf.d/.hidden.conf", "/opt\n")
	write("/opt/my.conf", "/opt/extra\n")
	link := func(p, soname string, more ...string) {
		args := append([]string{"-shared", "-nostdlib", "-x", "c", "/dev/null", "-o", dir + p}, more...)
		if soname != "" {
			args = append(args, "-Wl,-soname,"+soname)
		}
		tooltest.Run(t, nil, "gcc", args...)
	}
	link("/opt/extra/libfirst.so.1.2", "libfirst.so.1")
	link("/opt/extra/libfirst.so.1.10", "libfirst.so.1")
	link("/opt/extra/libsecond.so.2.1", "libsecond.so.2")
	link("/opt/loose/libnoname.so", "")
	link("/opt/loose/libdev.so.1", "libdev.so.1")
	link("/usr/lib/libfirst.so.1.2", "libfirst.so.1")
	link("/usr/lib/libkeep.so.1", "libkeep.so.1")
	link("/usr/lib/libkeep.so.1.5", "libkeep.so.1")
	link("/lib/x86_64-linux-gnu/libfast.so.1", "libfast.so.1")
	link("/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v3/libfast.so.1.0", "libfast.so.1", "-Wl,-z,x86-64-v3")
	link("/lib/x86_64-linux-gnu/glibc-hwcaps/x86-64-v2/libfast.so.1.0", "libfast.so.1")
	link("/lib/x86_64-linux-gnu/tls/libfast.so.1", "libfast.so.1")
	link("/lib/x86_64-linux-gnu/tls/haswell/libfast.so.1", "libfast.so.1")
	link("/lib/x86_64-linux-gnu/sse2/libfast.so.1", "libfast.so.1")
	write("/opt/extra/libtext.so", "/* GNU ld script */ GROUP ( libfirst.so.1 )\n")
	write("/opt/extra/libwrong.so", strings.Repeat("no library of any kind", 10))
	write("/opt/extra/libempty.so", "")
	write("/opt/extra/libtiny.so", "\x7fELF")
	write("/opt/extra/libgone.so.1.#prelink#", "")
	write("/opt/extra/libcut.so.1", cutELF(t, dir+"/opt/extra/libfirst.so.1.2"))
	write("/opt/extra/plugin.so", "x")
	for p, target := range map[string]string{
		"/opt/extra/libstale.so.9":   "libnowhere.so.9.1",
		"/opt/extra/libstale.so":     "libnowhere.so.9.1",
		"/opt/extra/libfirst.so":     "libfirst.so.1",
		"/opt/extra/libsecond.so.2":  "libfirst.so.1.2",
		"/opt/loose/libdev.so":       "libdev.so.1",
		"/opt/loose/libodd.so.3":     "libdev.so.1",
		"/usr/local/lib/libfar.so.1": "../../../opt/loose/libdev.so.1",
		"/usr/lib/libdirectory.so":   "../../opt",
	} {
		if err := os.Symlink(target, dir+p); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(dir+"/usr/lib/libkeep.so.1.5", dir+"/usr/lib/libkeep.so.1.7"); err != nil {
		t.Fatal(err)
	}
}

// cutELF is the beginning of a library, without its dynamic section.
func cutELF(t *testing.T, p string) string {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:1024])
}

func TestLdconfigWithoutLoader(t *testing.T) {
	f := fsOf(hostTree(t, t.TempDir()))
	if a := callNative(t, f, "", "/sbin/ldconfig"); a.Status != 127 || !strings.Contains(a.Stderr, "not found") {
		t.Fatalf("%+v", a)
	}
}

func TestReadLoader(t *testing.T) {
	const head = "\x7fELF......\x00"
	for _, c := range []struct {
		name, program, arch string
		dirs                string
		minor               int
		compat, extension   bool
		why                 string
	}{
		{"fedora", head + "ldconfig (GNU libc) stable release version 2.40\x00", "x86_64", "/lib /lib64 /libx32 /usr/lib /usr/lib64 /usr/libx32", 40, false, true, ""},
		{"el9 arm", head + "ldconfig (GNU libc) stable release version 2.34\x00", "aarch64", "/lib /lib64 /usr/lib /usr/lib64", 34, false, true, ""},
		{"el9 power", head + "ldconfig (GNU libc) stable release version 2.34\x00", "ppc64le", "/lib /lib64 /usr/lib /usr/lib64", 34, false, true, ""},
		{"risc-v", head + "ldconfig (GNU libc) stable release version 2.40\x00", "riscv64", "/lib /lib64/lp64d /lib64/lp64 /lib32/ilp32d /lib32/ilp32 /usr/lib /usr/lib64/lp64d /usr/lib64/lp64 /usr/lib32/ilp32d /usr/lib32/ilp32", 40, false, true, ""},
		{"el8", head + "(GNU libc) \x002.28\x00", "s390x", "/lib /lib64 /usr/lib /usr/lib64", 28, true, false, ""},
		{"2.32", head + "(GNU libc) \x002.32\x00", "x86_64", "/lib /lib64 /libx32 /usr/lib /usr/lib64 /usr/libx32", 32, false, false, ""},
		{"debian", head + "/lib/x86_64-linux-gnu/\x00ldconfig (D) stable release version 2.36\x00", "x86_64", "/lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /lib /usr/lib", 36, false, true, ""},
		{"script", "#!/bin/sh\n", "x86_64", "", 0, false, false, "is no program of glibc"},
		{"other program", head, "x86_64", "", 0, false, false, "tells no version of glibc"},
		{"other machine", head, "vax", "", 0, false, false, "is for vax, of which the flags are not known here"},
	} {
		l, why := readLoader([]byte(c.program), c.arch)
		if why != c.why {
			t.Errorf("%s: %q, not %q", c.name, why, c.why)
		}
		if l == nil {
			continue
		}
		if got := strings.Join(l.dirs, " "); got != c.dirs || l.minor != c.minor || l.format.Compat != c.compat || l.format.Extension != c.extension {
			t.Errorf("%s: %+v", c.name, l)
		}
	}
}

// Flags by architecture, as in sysdeps/generic/ldconfig.h of glibc.
func TestLibraryFlags(t *testing.T) {
	for _, c := range []struct {
		arch    string
		minor   int
		class   debugelf.Class
		machine debugelf.Machine
		flags   uint32
		libc6   bool
		want    uint32
		ok      bool
	}{
		{"x86_64", 40, debugelf.ELFCLASS64, debugelf.EM_X86_64, 0, false, 0x303, true},
		{"x86_64", 40, debugelf.ELFCLASS32, debugelf.EM_X86_64, 0, false, 0x803, true},
		{"x86_64", 40, debugelf.ELFCLASS32, debugelf.EM_386, 0, false, 3, true},
		{"x86_64", 34, debugelf.ELFCLASS32, debugelf.EM_386, 0, false, 1, true},
		{"x86_64", 34, debugelf.ELFCLASS32, debugelf.EM_386, 0, true, 3, true},
		{"x86_64", 40, debugelf.ELFCLASS64, debugelf.EM_AARCH64, 0, false, 0, false},
		{"aarch64", 40, debugelf.ELFCLASS64, debugelf.EM_AARCH64, 0, false, 0xa03, true},
		{"aarch64", 40, debugelf.ELFCLASS32, debugelf.EM_ARM, 0x5000400, true, 0x903, true},
		{"aarch64", 40, debugelf.ELFCLASS32, debugelf.EM_ARM, 0x5000200, true, 0xb03, true},
		{"aarch64", 40, debugelf.ELFCLASS32, debugelf.EM_ARM, 0x5000000, false, 3, true},
		{"ppc64le", 40, debugelf.ELFCLASS64, debugelf.EM_PPC64, 2, false, 0x503, true},
		{"s390x", 40, debugelf.ELFCLASS64, debugelf.EM_S390, 0, false, 0x403, true},
		{"s390x", 40, debugelf.ELFCLASS32, debugelf.EM_S390, 0, true, 3, true},
		{"riscv64", 40, debugelf.ELFCLASS64, debugelf.EM_RISCV, 5, false, 0x1003, true},
		{"riscv64", 40, debugelf.ELFCLASS64, debugelf.EM_RISCV, 1, false, 0xf03, true},
		{"riscv64", 40, debugelf.ELFCLASS64, debugelf.EM_RISCV, 3, false, 0, false},
		{"riscv64", 40, debugelf.ELFCLASS64, debugelf.EM_RISCV, 8, false, 0, false},
	} {
		l := &ldconfig{toolRun: &toolRun{Call: &Call{Stderr: &bytes.Buffer{}}}, loader: loader{arch: c.arch, minor: c.minor}}
		got, ok := l.flags("lib", &elfFile{class: elf.Class(c.class), machine: uint16(c.machine), flags: c.flags, libc6: c.libc6})
		if got != c.want || ok != c.ok {
			t.Errorf("%+v: %#x %v", c, got, ok)
		}
	}
}

// Libraries that cannot be sought are read from the beginning again; both ways find the same.
func TestELFFileOfAStream(t *testing.T) {
	program, err := exec.LookPath("true")
	if err != nil {
		t.Skip("skipped: needs true")
	}
	program, err = filepath.EvalSymlinks(program)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.PutFile("/lib.so", 0o755, 0, b); err != nil {
		t.Fatal(err)
	}
	stream, err := fsOf(tree).elfOf(tree.Node("/lib.so"), binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	n, err := hostNode(t, filepath.Dir(program), program)
	if err != nil {
		t.Fatal(err)
	}
	sought, err := fsOf(tree).elfOf(n, binary.LittleEndian)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sought, stream, cmp.AllowUnexported(elfFile{})); d != "" || !stream.libc6 || stream.fault != "" {
		t.Errorf("%+v %s", stream, d)
	}
}

func FuzzELFFile(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add(append([]byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03\x00\x3e\x00"), make([]byte, 100)...))
	f.Add(smallELF())
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := rootfs.Build(nil, rootfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.PutFile("/lib.so", 0o755, 0, b); err != nil {
			t.Fatal(err)
		}
		for _, order := range []elf.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			e, err := fsOf(tree).elfOf(tree.Node("/lib.so"), order)
			if err != nil {
				t.Fatal(err)
			}
			l := &ldconfig{toolRun: &toolRun{Call: &Call{Stderr: &bytes.Buffer{}}}, loader: loader{arch: "x86_64", minor: 36}}
			if _, ok := l.classify("lib.so", e); ok && len(e.soname) >= elf.MaxName {
				t.Fatalf("a soname of %d bytes", len(e.soname))
			}
		}
	})
}

// smallELF is a library of one program header and an empty dynamic section.
func smallELF() []byte {
	b := make([]byte, 64+56+64)
	copy(b, "\x7fELF\x02\x01\x01")
	le := binary.LittleEndian
	le.PutUint16(b[16:], 3)
	le.PutUint16(b[18:], 62)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[56:], 1)
	le.PutUint32(b[64:], elf.SegmentDynamic)
	le.PutUint64(b[72:], 120)
	le.PutUint64(b[96:], 64)
	le.PutUint64(b[120:], elf.TagStrings)
	le.PutUint64(b[136:], elf.TagSoname)
	return b
}
