package scriptlet

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/tooltest"
)

// tmpfilesIn fills a directory with something to change.
func tmpfilesIn(t testing.TB, dir string) {
	t.Helper()
	for _, d := range []string{"/etc/tmpfiles.d", "/usr/lib/tmpfiles.d", "/run", "/tmp", "/proc", "/srv/full/sub", "/srv/empty", "/srv/daemon/sub", "/usr/share/factory/etc", "/var/lib", "/var/tmp", "/dev"} {
		if err := os.MkdirAll(dir+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(p, content string, mode os.FileMode) {
		if err := os.WriteFile(dir+p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir+p, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\nwww:x:33:33::/:/bin/sh\n", 0o644)
	write("/etc/group", "root:x:0:\ndaemon:x:1:\nwww:x:33:\n", 0o644)
	write("/etc/machine-id", "", 0o444)
	write("/etc/os-release", "ID=slimtest\nVERSION_ID=\"1\"\n", 0o644)
	write("/srv/file", "some content", 0o640)
	write("/srv/exec", "#!", 0o755)
	write("/srv/.hidden", "h", 0o600)
	write("/srv/full/a.log", "a", 0o644)
	write("/srv/full/b.log", "b", 0o644)
	write("/srv/full/sub/c", "c", 0o4755)
	write("/srv/daemon/sub/x", "x", 0o644)
	write("/usr/share/factory/etc/conf", "factory", 0o600)
	for _, p := range []string{"/srv/daemon"} {
		if err := os.Chown(dir+p, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	for p, target := range map[string]string{"/srv/link": "full", "/srv/dangling": "nowhere", "/srv/linkfile": "file"} {
		if err := os.Symlink(target, dir+p); err != nil {
			t.Fatal(err)
		}
	}
}

// realTmpfiles runs systemd-tmpfiles in a chroot with a /proc of its own.
func realTmpfiles(t testing.TB, dir, stdin string, args ...string) answer {
	t.Helper()
	script := `mount -t proc proc "$0/proc" && exec chroot "$0" /usr/bin/systemd-tmpfiles "$@"`
	cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", script, dir}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C", "SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_COLOR=0"}
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return answer{Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

func tmpfilesLikeSystemd(t *testing.T, root string) {
	tooltest.Need(t, "unshare")
	programs := smallRoot(t, root, "/usr/bin/systemd-tmpfiles")
	t.Run("without proc", func(t *testing.T) { tmpfilesWithoutProc(t, root) })
	t.Run("distribution", func(t *testing.T) { tmpfilesOfTheDistribution(t, root) })
	for _, c := range []struct{ name, args, lines string }{
		{"directories", "--create", "d /run/a\nd /run/b 0700 daemon www\nD /run/c/d/e 1777\nd /srv/file\nd /srv/link 0700\nd /srv/full 0711 www\nv /var/lib/v 0750\nq /var/lib/q\nQ /var/lib/Q - 33 33"},
		{"files", "--create", "f /run/f\nf /run/g 0600 www www - text\\n\nf /srv/file 0600 daemon - - other\nf+ /srv/exec 0644 - - - new\nF /srv/full/a.log\nf /srv/full\nf /srv/link\nf+ /run/h 0640 - - - a\\x41\\101\\t%%\nf /run/deep/down/file 0644 - - - x y  z"},
		{"once", "--create", "d /srv/full :0700 :www :www\nd /run/n :0700 :www :www\nf /srv/file :0600\nf /run/k :0600"},
		{"mask", "--create", "z /srv/file ~0777\nz /srv/exec ~4777 www\nZ /srv/full ~2775 - www\nd /run/m ~2770"},
		{"links", "--create", "L /run/l - - - - ../srv\nL /srv/link - - - - other\nL+ /srv/linkfile - - - - other\nL+ /srv/full - - - - /new\nL /etc/conf\nL /srv/dangling - daemon - - nowhere\nL+ /srv/file - - - - x"},
		{"write", "--create", "w /srv/file - - - - NEW\nw+ /srv/exec - - - - more\\n\nw /srv/missing - - - - x\nw /srv/link* - - - - y\nw /srv/full/*.log 0600 - - - longer\nw /srv/dangling - - - - q"},
		{"copy", "--create", "C /etc/conf\nC /run/tree 0700 www - - /srv/full\nC /srv/empty - - - - /srv/full\nC /srv/full - - - - /srv/daemon\nC /run/none - - - - /none\nC /run/x - - - - srv\nC /srv/file - - - - /srv/exec\nC /run/slink - - - - /srv/link"},
		{"devices", "--create", "p /run/p 0600\np /srv/file\np+ /srv/exec\nc /dev/c 0666 root www - 1:3\nb /dev/b - - - - 7:0\nc /srv/full - - - - 1:3\nc+ /srv/link - - - - 1:3"},
		{"patterns", "--create", "z /srv/*.none 0600\nz /srv/full/*.log 0600 www\nm /srv/{file,exec} 0611\ne /srv/f* 0711 www\nZ /srv/link 0700 www\ne /srv/link - daemon\nz /srv/* - daemon\nz /srv/.hidden 0644"},
		{"order", "--create", "d /run/a/b 0700\nd /run/a 0711 www\nz /run/a/b 0755 www\nL /run/a/b/l - - - - t\nZ /run/a ~0700 daemon\nd /run/a 0711 www"},
		{"duplicates", "--create", "d /run/a 0700\nd /run/a 0711\nf /run/a\nz /run/a 0755\nw+ /srv/file - - - - 1\nw+ /srv/file - - - - 2\nw /srv/file - - - - 3"},
		{"unsafe", "--create", "d /srv/daemon/mine 0755 root\nd /srv/daemon/sub/deeper\nf /srv/daemon/sub/x 0600\nz /srv/daemon/sub 0700\nf /srv/daemon/own/file 0600 daemon"},
		{"dots", "--create", "d /run/../run/x\nd //run//y/./z/\nd /run/w/.."},
		{"var run", "--create", "d /var/run/a 0700\nd /var/run"},
		{"specifiers", "--create", "d /run/%o-%w%W\nd %t/t\nd %C/c\nd %L/l\nd %S/s\nd %T/tmp\nd %V/vtmp\nf /run/u - - - - %u%U%g%G%h%%%-\nd /run/%z\nf /run/zz - - - - %z\nd /run/%a\nd /run/%m"},
		{"boot", "--create", "d! /run/a\nf+! /run/b"},
		{"booting", "--create --boot", "d! /run/a\nf+! /run/b - - - - \"now\""},
		{"prefixes", "--create --prefix=/run --exclude-prefix=/run/b --prefix /srv/full", "d /run/a\nd /run/b\nd /runner\nd /var/x\nd /run/b/c\nf /srv/full/x\nf /srv/fuller"},
		{"no volatile", "--create -E", "d /run/a\nd /var/x\nd /dev/y"},
		{"remove", "--remove", "r /srv/file\nr /srv/full\nR /srv/f*\nD /srv/daemon\nr /srv/none\nr! /srv/exec"},
		{"remove and create", "--remove --create", "D /srv/full 0711\nR /srv/exec\nd /srv/full/again\nr /srv/empty"},
		{"quotes", "--create", "d \"/run/a b\" '0700'\nf /run/q - - - - \"quoted text\"\nf /run/r - - - -   spaced  \nd /run/a\\ c\nd /run/\"x"},
		{"wrong lines", "--create", "d\nk /run/x\nd run/x\nd /run/a 9\nd /run/b 0755 nobodyknows\nd /run/c 0755 - nobodyknows\nd? /run/d\nd!! /run/e\nw /run/f\nc /run/g\nc /run/g - - - - 1\nd /run/h - - - never\nd /run/i - - - 10d\nd /run/j - - - ~1h30min\nd /run/k - - - am:2w\nd /run/l - - - z:2w\nf /run/m - - - - \\q\nL~ /run/n - - - - eA==\nd /run/o - - - - arg\nf~ /run/p - - - - aGVsbG8=\nf~ /run/q - - - - ***"},
		{"failures", "--create", "f /srv/file/below\nd- /srv/file/below\nf- /srv/full\nd /run/fine"},
		{"only failures that may be", "--create", "f- /srv/full\nd /run/fine"},
		{"replace", "--create", "d= /srv/file\nf= /srv/full/sub/c/deep\nL= /srv/full - - - - x"},
		{"nothing to do", "", "d /run/a"},
		{"attributes", "--create", "h /srv/full - - - - +C\nt /srv/none - - - - user.a=b\na+ /srv/none - - - - u:www:r\nf^ /run/cred - - - - some.credential"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			tmpfilesIn(t, dir)
			f := fsOf(hostTree(t, dir))
			tooltest.Run(t, nil, "cp", "-al", programs+"/.", dir)
			args := append(strings.Fields(c.args), "-")
			want := realTmpfiles(t, dir, c.lines+"\n", args...)
			got := callNative(t, f, c.lines+"\n", append([]string{"systemd-tmpfiles"}, args...)...)
			skip := func(p string) bool {
				return strings.HasPrefix(p, "/lib") || strings.HasPrefix(p, "/usr/bin") || strings.HasPrefix(p, "/usr/lib") || p == "/usr"
			}
			want.Tree, got.Tree = listing(t, fsOf(hostTree(t, dir)), skip), listing(t, f, skip)
			errs := want.Stderr
			want.Stderr, got.Stderr = "", ""
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("real (-) and native (+) differ:\n%s\nreal said:\n%s", d, errs)
			}
		})
	}
}

// All of the distribution's own configuration, as a booted machine would have it.
func tmpfilesOfTheDistribution(t *testing.T, root string) {
	f := fsOf(hostTree(t, root))
	if err := f.Remove("/", "/usr/bin/systemd-tmpfiles"); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteFile("/", "/etc/machine-id", nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/etc/machine-id", nil, 0o444); err != nil {
		t.Fatal(err)
	}
	skip := func(p string) bool { return p == "/usr/bin/systemd-tmpfiles" || strings.HasPrefix(p, "/usr/share") }
	before := listing(t, f, skip)
	want := realTmpfiles(t, root, "", "--create")
	got := callNative(t, f, "", "systemd-tmpfiles", "--create")
	if want.Status != got.Status {
		t.Errorf("status %d, not %d: %s%s", got.Status, want.Status, want.Stderr, got.Stderr)
	}
	after := listing(t, f, skip)
	if d := cmp.Diff(listing(t, fsOf(hostTree(t, root)), skip), after); d != "" {
		t.Errorf("real (-) and native (+) differ:\n%s", d)
	}
	if slices.Equal(before, after) {
		t.Error("nothing was made")
	}
}

// What rpm leaves: the program refuses to work, since nothing is mounted while packages are installed.
func tmpfilesWithoutProc(t *testing.T, root string) {
	f := fsOf(hostTree(t, root))
	before := listing(t, f, nil)
	want := callReal(t, root, "", "/usr/bin/systemd-tmpfiles", "--create")
	got := callNative(t, f, "", "systemd-tmpfiles", "--create")
	diffAnswers(t, "--create", want, got)
	if d := cmp.Diff(before, listing(t, f, nil)); d != "" {
		t.Error(d)
	}
}

func TestTmpfilesFiles(t *testing.T) {
	for _, c := range []struct {
		name, args, want string
		status           int
	}{
		{"all, the more important of a name", "--create", "/run/admin /run/b", 0},
		{"by name", "--create b.conf", "/run/b", 0},
		{"by path", "--create /usr/lib/tmpfiles.d/a.conf", "/run/vendor", 0},
		{"missing", "--create none.conf", "", 1},
		{"in one's place", "--create --replace=/usr/lib/tmpfiles.d/b.conf /usr/lib/tmpfiles.d/a.conf", "/run/admin /run/vendor", 0},
		{"in an overridden one's place", "--create --replace=/usr/lib/tmpfiles.d/a.conf b.conf", "/run/admin /run/b", 0},
	} {
		tree, err := rootfs.Build(nil, rootfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for p, content := range map[string]string{
			"/usr/lib/tmpfiles.d/a.conf": "d /run/vendor\n", "/etc/tmpfiles.d/a.conf": "d /run/admin\n",
			"/usr/lib/tmpfiles.d/b.conf": "d /run/b\n", "/usr/lib/tmpfiles.d/c.conf": "d /run/c\n", "/etc/tmpfiles.d/README": "d /run/readme\n",
		} {
			if err := tree.PutFile(p, 0o644, 0, []byte(content)); err != nil {
				t.Fatal(err)
			}
		}
		f := fsOf(tree)
		if err := f.Symlink("/", "/dev/null", "/etc/tmpfiles.d/c.conf"); err != nil {
			t.Fatal(err)
		}
		a := callNative(t, f, "", append([]string{"systemd-tmpfiles"}, strings.Fields(c.args)...)...)
		var made []string
		for _, n := range tree.Nodes() {
			if filepath.Dir(n.Path) == "/run" {
				made = append(made, n.Path)
			}
		}
		if got := strings.Join(made, " "); got != c.want || a.Status != c.status {
			t.Errorf("%s: %q, status %d, %s", c.name, got, a.Status, a.Stderr)
		}
	}
}

func FuzzTmpfiles(f *testing.F) {
	f.Add("d /run/a 0755 root root 10d\nL+ /x - - - - ../y\nC /etc/a\nz /r{u,v}n/* ~:0700\n")
	f.Add("w+ /run/%t - - - - \\x41%%\nR /run\nf /a\\ b\n")
	f.Fuzz(func(t *testing.T, lines string) {
		tree, err := rootfs.Build(nil, rootfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.PutFile("/run/x/y", 0o644, 0, []byte("y")); err != nil {
			t.Fatal(err)
		}
		c := tmpfilesCommands()["systemd-tmpfiles"]
		var out strings.Builder
		if _, err := c(t.Context(), &Call{
			Args: []string{"systemd-tmpfiles", "--create", "--remove", "-"}, Env: func(string) string { return "" }, Dir: "/",
			Stdin: strings.NewReader(lines), Stdout: &out, Stderr: &out, FS: fsOf(tree), Host: &Host{Arch: "x86_64"},
		}); err != nil && !fatal(err) && !strings.Contains(err.Error(), "root cannot be removed") && !strings.Contains(err.Error(), "path") {
			t.Fatal(err)
		}
		for _, n := range tree.Nodes() {
			if n.Path != "/" && tree.Node(filepath.Dir(n.Path)) == nil {
				t.Fatalf("%s has no directory", n.Path)
			}
		}
	})
}
