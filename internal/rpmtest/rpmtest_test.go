package rpmtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

const fixture = `
# every kind of file and scriptlet
package demo-2:1.0~rc1^git-3.x86_64
summary A <demo> & more
provides libdemo.so.1()(64bit), demo(virtual) = 4
requires(pre,post) shadow-utils >= 2:4
requires (a or b if c), libc.so.6(GLIBC_2.4)(64bit)
conflicts other < 2
obsoletes demo-old <= 0.9-1
recommends nice
suggests maybe
supplements (x and y)
enhances z
dir / 0755
dir /etc/demo.d 0750 group=adm
file /etc/demo.conf config noreplace "key = value\n"
file /usr/bin/demo 04755 color=2 "\x7fELF"
file /usr/bin/zdemo 0755 caps=cap_net_raw=ep "raw\n"
file /usr/share/demo/content user=nobody mtime=1600000000 "shared\n"
hard /usr/share/demo/again /usr/share/demo/content
hard /usr/share/demo/zz /usr/share/demo/content
file "/usr/share/demo/ä name with blanks" ""
file /usr/share/demo/secret 0000 "x"
file /usr/share/doc/demo/README doc "read\n"
file /usr/share/licenses/demo/COPYING license "copy\n"
file /usr/share/locale/de/LC_MESSAGES/demo.mo lang=de "mo"
file /var/log/demo.log ghost
dev /dev/demo c 1 3 0666
link /usr/bin/hi demo
link "/usr/bin/with blank" "../with blank"
pre
| getent passwd demo >/dev/null ||
|   useradd -r demo
post -p /sbin/ldconfig
posttrans -p <lua>
| print("x")
filetriggerin -P 100 /usr/lib64 /usr/lib
| echo in
transfiletriggerin -p <lua> /usr/share/demo
| print(rpm.next_file())
`

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tooltest.Path(t, name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

func build(t *testing.T, p *Package, k *Key) string {
	t.Helper()
	b, err := p.Build(k)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, p.FileName(), b)
}

func TestRPMReadsHeader(t *testing.T) {
	p := MustParse(t, fixture)[0]
	file := build(t, p, nil)
	const files = "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILESIZES} %{FILEMTIMES} %{FILENLINKS} %{FILEFLAGS:fflags}|%{FILELANGS}|%{FILELINKTOS}\n]"
	got := run(t, "rpm", "-qp", "--nosignature", "--qf", "%{NEVRA} %{EPOCH} %{SUMMARY} %{SIZE} %{PAYLOADCOMPRESSOR}\n"+files, file)
	want := `demo-2:1.0~rc1^git-3.x86_64 2 A <demo> & more 40 zstd
/ 40755 root:root 0 1700000000 1 ||
/dev/demo 20666 root:root 0 1700000000 1 ||
/etc/demo.conf 100644 root:root 12 1700000000 1 cn||
/etc/demo.d 40750 root:adm 0 1700000000 1 ||
/usr/bin/demo 104755 root:root 4 1700000000 1 ||
/usr/bin/hi 120777 root:root 4 1700000000 1 ||demo
/usr/bin/with blank 120777 root:root 13 1700000000 1 ||../with blank
/usr/bin/zdemo 100755 root:root 4 1700000000 1 ||
/usr/share/demo/again 100644 nobody:root 7 1600000000 3 ||
/usr/share/demo/content 100644 nobody:root 7 1600000000 3 ||
/usr/share/demo/secret 100000 root:root 1 1700000000 1 ||
/usr/share/demo/zz 100644 nobody:root 7 1600000000 3 ||
/usr/share/demo/ä name with blanks 100644 root:root 0 1700000000 1 ||
/usr/share/doc/demo/README 100644 root:root 5 1700000000 1 d||
/usr/share/licenses/demo/COPYING 100644 root:root 5 1700000000 1 l||
/usr/share/locale/de/LC_MESSAGES/demo.mo 100644 root:root 2 1700000000 1 |de|
/var/log/demo.log 100644 root:root 0 1700000000 1 g||
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRPMReadsDependencies(t *testing.T) {
	file := build(t, MustParse(t, fixture)[0], nil)
	for _, test := range []struct{ option, want string }{
		{"--provides", "demo = 2:1.0~rc1^git-3\ndemo(virtual) = 4\nlibdemo.so.1()(64bit)\n"},
		{"--requires", `(a or b if c)
libc.so.6(GLIBC_2.4)(64bit)
rpmlib(BuiltinLuaScripts) <= 4.2.2-1
rpmlib(CaretInVersions) <= 4.15.0-1
rpmlib(CompressedFileNames) <= 3.0.4-1
rpmlib(FileCaps) <= 4.6.1-1
rpmlib(FileDigests) <= 4.6.0-1
rpmlib(PayloadFilesHavePrefix) <= 4.0-1
rpmlib(PayloadIsZstd) <= 5.4.18-1
rpmlib(RichDependencies) <= 4.12.0-1
rpmlib(TildeInVersions) <= 4.10.0-1
shadow-utils >= 2:4
`},
		{"--conflicts", "other < 2\n"},
		{"--obsoletes", "demo-old <= 0.9-1\n"},
		{"--recommends", "nice\n"},
		{"--suggests", "maybe\n"},
		{"--supplements", "(x and y)\n"},
		{"--enhances", "z\n"},
		{"--scripts", `preinstall scriptlet (using /bin/sh):
getent passwd demo >/dev/null ||
  useradd -r demo
postinstall program: /sbin/ldconfig
posttrans scriptlet (using <lua>):
print("x")
`},
		{"--filetriggers", `filetriggerin scriptlet (using /bin/sh) -- /usr/lib64, /usr/lib
echo in
transfiletriggerin scriptlet (using <lua>) -- /usr/share/demo
print(rpm.next_file())
`},
	} {
		got := run(t, "rpm", "-qp", "--nosignature", test.option, file)
		if diff := cmp.Diff(sorted(test.want, test.option), sorted(got, test.option)); diff != "" {
			t.Errorf("rpm -qp %s:\n%s", test.option, diff)
		}
	}
	got := run(t, "rpm", "-qp", "--nosignature", "--qf", "[%{REQUIRENAME} %{REQUIREFLAGS:deptype}\n]", file)
	if !strings.Contains(got, "shadow-utils pre,post\n") {
		t.Errorf("shadow-utils is not required for pre and post:\n%s", got)
	}
}

// sorted sorts the lines of lists, not of scripts.
func sorted(text, option string) string {
	if strings.Contains(option, "script") || strings.Contains(option, "trigger") {
		return text
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Sorted(slices.Values(lines)), "\n")
}

func TestRPMVerifies(t *testing.T) {
	key := TestKey(t)
	db := t.TempDir()
	run(t, "rpm", "--dbpath", db, "--import", write(t, "key", key.Public()))
	for _, payload := range []string{"", "gzip", "xz", "lzma", "none"} {
		t.Run("payload "+payload, func(t *testing.T) {
			p := &Package{Name: "p", Payload: payload, Files: []File{{Path: "/a", Content: strings.Repeat("text ", 10000)}}}
			file := build(t, p, key)
			got := run(t, "rpm", "--dbpath", db, "-Kv", file)
			for _, want := range []string{"Header V4 RSA/SHA256 Signature, key ID " + key.Fingerprint()[32:] + ": OK", "Payload SHA256 digest: OK"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
			list, err := p.files()
			if err != nil {
				t.Fatal(err)
			}
			if archive := run(t, "rpm2cpio", file); archive != string(cpio(list)) {
				t.Errorf("rpm2cpio finds an archive of %d bytes, not of %d", len(archive), len(cpio(list)))
			}
		})
	}
	file := build(t, &Package{Name: "p"}, key)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.LastIndex(b, []byte("Unspecified"))]++
	out, err := exec.Command("rpm", "--dbpath", db, "-K", write(t, "broken.rpm", b)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "NOT OK") {
		t.Errorf("rpm takes a changed header: %v\n%s", err, out)
	}
}

func TestHardLinkContentIsLast(t *testing.T) {
	p := MustParse(t, "package p\nfile /b 0640 \"content\"\nhard /a /b\nhard /c /b")[0]
	file := build(t, p, nil)
	archive := run(t, "rpm2cpio", file)
	var sizes []string
	for _, m := range regexp.MustCompile(`070701.{8}(.{8}).{16}(.{8}).{8}(.{8}).{40}.{8}\./(\w+)`).FindAllStringSubmatch(archive, -1) {
		sizes = append(sizes, strings.Join(m[1:], " "))
	}
	want := []string{"000081a0 00000003 00000000 a", "000081a0 00000003 00000000 b", "000081a0 00000003 00000007 c"}
	if diff := cmp.Diff(want, sizes); diff != "" {
		t.Error(diff)
	}
}

func TestRPMInstalls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	p := MustParse(t, `
package p-1-1.noarch
dir /d 01777
file /d/f 0755 caps=cap_chown=ep "x"
hard /d/e /d/f
file /d/ghost ghost
link /d/link f
dev /d/null c 1 3
`)[0]
	file := build(t, p, nil)
	root := t.TempDir()
	run(t, "rpm", "--root", root, "--dbpath", "/db", "--nosignature", "-i", file)
	got := run(t, "find", filepath.Join(root, "d"), "-printf", "%P %M %n %l\n")
	want := " drwxrwxrwt 2 \ne -rwxr-xr-x 2 \nf -rwxr-xr-x 2 \nlink lrwxrwxrwx 1 f\nnull crw------- 1 \n"
	if diff := cmp.Diff(sorted(want, ""), sorted(got, "")); diff != "" {
		t.Error(diff)
	}
	if out := run(t, "rpm", "--root", root, "--dbpath", "/db", "-V", "p"); strings.TrimSpace(out) != "" {
		t.Errorf("rpm -V says %s", out)
	}
}

func TestOverride(t *testing.T) {
	p := &Package{Name: "p", Override: map[uint32]any{1000: "liar", 1014: nil, 1003: []uint32{7}}}
	got := run(t, "rpm", "-qp", "--nosignature", "--qf", "%{NAME} %{EPOCH} %{LICENSE}", build(t, p, nil))
	if got != "liar 7 (none)" {
		t.Errorf("the header says %q", got)
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"requires x", `line 1: "requires" before the first package`},
		{"package p\nsing loud", `line 2: there is no statement "sing"`},
		{"package p\nfile /a bold", `line 2: file /a: unknown attribute "bold"`},
		{"package p\nlink /a", "line 2: link: 1 words, not 2 or more"},
		{"package p\n| echo", `line 2: "| echo" belongs to no scriptlet`},
		{"package p\npost /sbin/ldconfig", `line 2: post: "/sbin/ldconfig" is no interpreter`},
	} {
		_, err := Parse(test.text)
		if err == nil || err.Error() != test.want {
			t.Errorf("Parse(%q) says %v, not %s", test.text, err, test.want)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"package p\nrequires a ! b", `building package p: dependency "a ! b" is neither NAME nor NAME COMPARISON VERSION`},
		{"package p\nfile a", `building package p: path "a" is not absolute`},
		{"package p\nfile /a\nfile /a", "building package p: file /a is there twice"},
		{"package p\nhard /a /b", "building package p: hard link /a to /b, which is no regular file of the package"},
		{"package p\npayload brotli", `building package p: compressor "brotli" is not one of zstd, gzip, xz, lzma, none`},
	} {
		_, err := MustParse(t, test.text)[0].Build(nil)
		if err == nil || err.Error() != test.want {
			t.Errorf("building %q says %v, not %s", test.text, err, test.want)
		}
	}
}

const repository = `
package a-1-1.noarch
requires b >= 2, /usr/share/x/y
recommends weak
file /usr/bin/a 0755 "a"
file /etc/a config "a"
file /usr/share/a "a"

package b-1-1.noarch

package b-1:2-1.noarch
dir /usr/share/x
file /usr/share/x/y "y"

package weak
`

func TestDNFInstalls(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: needs root")
	}
	key := TestKey(t)
	keyFile := write(t, "key", key.Public())
	for _, o := range []RepoOptions{
		{Key: key},
		{Key: key, Compression: "xz", Checksum: "sha512"},
		{Key: key, Compression: "zst", Checksum: "sha1"},
		{Key: key, Compression: "none"},
	} {
		t.Run(fmt.Sprintf("compression %s checksum %s", o.Compression, o.Checksum), func(t *testing.T) {
			dir, root := MustRepo(t, o, repository), t.TempDir()
			run(t, "dnf", "--installroot="+root, "--repofrompath=r,file://"+dir, "--releasever=1", "--setopt=reposdir=/nonexistent",
				"--setopt=varsdir=/nonexistent", "--setopt=cachedir="+t.TempDir(), "--setopt=logdir="+t.TempDir(),
				"--setopt=persistdir="+t.TempDir(), "--setopt=install_weak_deps=0", "--setopt=r.gpgcheck=1", "--setopt=r.repo_gpgcheck=1",
				"--setopt=r.gpgkey=file://"+keyFile, "-y", "install", "a")
			got := run(t, "find", root+"/usr", root+"/etc/a", "-type", "f", "-printf", "%p\n")
			got = strings.ReplaceAll(got, root, "")
			if diff := cmp.Diff(sorted("/etc/a\n/usr/bin/a\n/usr/share/a\n/usr/share/x/y", ""), sorted(got, "")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCreaterepoAgrees compares the metadata with what createrepo_c makes of the same packages.
func TestCreaterepoAgrees(t *testing.T) {
	text := fixture + repository
	dir, theirsDir := MustRepo(t, RepoOptions{Compression: "none"}, text), t.TempDir()
	for _, name := range []string{"primary", "filelists"} {
		ours := readMetadata(t, dir, name)
		run(t, "createrepo_c", "--quiet", "--no-database", "--general-compress-type=gz", "-o", theirsDir, dir)
		theirs := run(t, "sh", "-c", "zcat "+filepath.Join(theirsDir, "repodata", "*-"+name+".xml.gz"))
		if diff := cmp.Diff(normal(theirs), normal(ours)); diff != "" {
			t.Errorf("%s (- createrepo_c, + rpmtest):\n%s", name, diff)
		}
	}
}

func readMetadata(t *testing.T, dir, name string) string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "repodata", "*-"+name+".xml"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%s: %v %v", name, list, err)
	}
	b, err := os.ReadFile(list[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// normal leaves out what depends on the clock and the order of packages and dependencies.
func normal(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "<time ") {
			out = append(out, line)
		}
	}
	return slices.Sorted(slices.Values(out))
}
