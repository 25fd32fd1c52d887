package builder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// everyday are packages that bring most of what a tree can hold: capabilities, setuid, mode 0000, hard links, devices,
// users of their own.
var everyday = []string{
	"bash", "coreutils", "openssl", "python3", "curl", "httpd", "nginx", "redis", "systemd", "util-linux",
	"shadow-utils", "haproxy", "memcached", "perl", "sqlite", "iputils",
}

// sharedRecipe is a recipe of packages of the test distribution.
func sharedRecipe(t *testing.T, packages []string, extra string) *Recipe {
	t.Helper()
	shared := tooltest.Shared(t)
	text := fmt.Sprintf(`name: test
repository:
  name: slimtest
  baseurl: %[1]s/distro/$releasever/$component/x86_64/os
  components: [BaseOS, AppStream]
  releasever: "1"
  gpgkey: [%[1]s/distro/RPM-GPG-KEY-slimtest]
  repo_gpgcheck: true
platforms: [linux/amd64]
packages: [%[2]s]
%[3]s
`, shared, strings.Join(packages, ", "), extra)
	file := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe(file, RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// buildRecipe resolves and builds a recipe.
func buildRecipe(t *testing.T, r *Recipe, o Options) *Image {
	t.Helper()
	if o.WorkDir == "" {
		o.WorkDir = t.TempDir()
	}
	if o.CacheDir == "" {
		o.CacheDir = t.TempDir()
	}
	lock, err := Resolve(context.Background(), r, o)
	if err != nil {
		t.Fatal(err)
	}
	img, err := Build(context.Background(), r, lock, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { img.Close() })
	return img
}

func deliver(t *testing.T, img *Image, dest string) *Delivery {
	t.Helper()
	d, err := img.Deliver(context.Background(), dest, AttachOptions{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// dnfRoot makes the root that dnf makes of the same packages, and returns what dnf said.
func dnfRoot(t *testing.T, snapshot, root string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(tooltest.Shared(t), "tools/dnf-root"), append([]string{"-s", snapshot, "-c", "BaseOS AppStream", root}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

// isTrace tells what dnf, rpm and their databases leave behind.
func isTrace(p string) bool {
	for _, prefix := range []string{"/var/lib/dnf", "/var/cache/dnf", "/var/log/dnf", "/var/log/hawkey", "/usr/lib/sysimage/rpm", "/var/lib/rpm", "/etc/dnf", "/tmp/"} {
		if p == prefix || strings.HasPrefix(p, prefix) && p != "/var/lib/rpm-state" {
			return true
		}
	}
	return false
}

type testPath struct {
	mode     uint32
	uid, gid uint32
	mtime    int64 // of regular files
	content  string
	link     string
	linked   string // the first path of the hard link set
	rdev     uint64
	caps     string
}

func (p testPath) String() string {
	return fmt.Sprintf("%06o %d:%d time %d content %x link %q linked %q rdev %x caps %x", p.mode, p.uid, p.gid, p.mtime,
		sha256.Sum256([]byte(p.content)), p.link, p.linked, p.rdev, p.caps)
}

func listTree(t *testing.T, root string) map[string]testPath {
	t.Helper()
	out := map[string]testPath{}
	linked := map[uint64][]string{}
	err := filepath.WalkDir(root, func(at string, _ fs.DirEntry, err error) error {
		if err != nil || at == root {
			return err
		}
		st := tooltest.Lstat(t, at)
		p := testPath{mode: st.Mode, uid: st.UID, gid: st.GID, caps: st.Capabilities}
		name := strings.TrimPrefix(at, root)
		switch st.Mode & rpm.ModeType {
		case rpm.ModeRegular:
			content, err := os.ReadFile(at)
			if err != nil {
				return err
			}
			p.content, p.mtime = contentOrDigest(content), st.MTime
			if st.Nlink > 1 {
				linked[st.Ino] = append(linked[st.Ino], name)
			}
		case rpm.ModeSymlink:
			p.link, err = os.Readlink(at)
		case rpm.ModeChar, rpm.ModeBlock:
			p.rdev = st.Rdev
		}
		out[name] = p
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range linked {
		first := slices.Min(names)
		for _, name := range names {
			p := out[name]
			p.linked = first
			out[name] = p
		}
	}
	return out
}

// listRoot lists an assembled root as listTree lists a directory.
func listRoot(t *testing.T, r *root) map[string]testPath {
	t.Helper()
	nodes := slices.DeleteFunc(r.tree.Nodes(), func(n *rootfs.Node) bool { return n.Path == "/" })
	sets := r.linkSets(nodes)
	out := map[string]testPath{}
	for _, n := range nodes {
		p := testPath{mode: n.Mode, uid: n.UID, gid: n.GID}
		switch n.Mode & rpm.ModeType {
		case rpm.ModeRegular:
			f, err := r.open(n)
			if err != nil {
				t.Fatalf("%s: %v", n.Path, err)
			}
			content, err := io.ReadAll(f)
			f.Close()
			if err != nil {
				t.Fatalf("%s: %v", n.Path, err)
			}
			p.content, p.mtime, p.caps = contentOrDigest(content), n.MTime, string(n.Caps)
			p.linked, _, _ = strings.Cut(sets[n.Path], "\x00")
		case rpm.ModeSymlink:
			p.link = n.Link
		case rpm.ModeChar, rpm.ModeBlock:
			p.rdev = uint64(n.Major)<<8 | uint64(n.Minor)
		}
		out[n.Path] = p
	}
	return out
}

// contentOrDigest is the content of a file, or the digest of a big one.
func contentOrDigest(content []byte) string {
	if len(content) > 1<<20 {
		return fmt.Sprintf("%d bytes, sha256 %x", len(content), sha256.Sum256(content))
	}
	return string(content)
}

func sortedPaths(maps ...map[string]testPath) []string {
	var all []string
	for _, m := range maps {
		for k := range m {
			all = append(all, k)
		}
	}
	sort.Strings(all)
	return slices.Compact(all)
}

// TestConformanceDatabase lets the real rpm and dnf use the image's rpmdb: queries, verification, removal, and an
// upgrade to the next snapshot of the distribution.
func TestConformanceDatabase(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	root := filepath.Join(t.TempDir(), "root")
	names := []string{"bash", "coreutils", "openssl", "curl", "httpd", "sqlite"}
	img := buildRecipe(t, sharedRecipe(t, names, ""), Options{})
	deliver(t, img, "dir:"+root)
	query := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("rpm", append([]string{"--root", root, "--dbpath", "/usr/lib/sysimage/rpm"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	var want []string
	for _, p := range img.Platforms[0].Packages {
		want = append(want, p.NEVRA.String())
	}
	got := strings.Split(query("-qa", "--qf", "%{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\n"), "\n")
	sort.Strings(got)
	sort.Strings(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rpm -qa: %s", d)
	}
	if out := query("-Va"); out != "" {
		t.Errorf("rpm -Va has something to say:\n%s", out)
	}
	if out := query("-qf", "--qf", "%{NAME}", "/usr/bin/bash"); out != "bash" {
		t.Errorf("rpm -qf /usr/bin/bash: %s", out)
	}
	if out := query("-q", "--qf", "%{NAME}", "--whatprovides", "libssl.so.3()(64bit)"); out != "openssl-libs" {
		t.Errorf("rpm -q --whatprovides: %s", out)
	}
	if out := query("-q", "--state", "bash"); !strings.Contains(out, "not installed") || !strings.Contains(out, "normal") {
		t.Errorf("rpm -q --state bash:\n%s", out)
	}
	if entries, err := os.ReadDir(filepath.Join(root, "usr/lib/sysimage/rpm")); err != nil || len(entries) != 1 {
		t.Errorf("beside the database: %v %v", entries, err)
	}
	if out := dnfRoot(t, "1", root, "check"); strings.Contains(out, "Error") {
		t.Errorf("dnf check:\n%s", out)
	}
	query("-e", "--noscripts", "sqlite")
	if out := query("-qa", "sqlite"); out != "" {
		t.Errorf("still there after rpm -e: %s", out)
	}
	before := query("-qa")
	if out := dnfRoot(t, "2", root, "upgrade"); !strings.Contains(out, "Complete!") || query("-qa") == before {
		t.Errorf("dnf upgrade changed nothing:\n%s", out)
	}
	if out := query("-Va", "--nodeps", "--noscripts"); strings.Contains(out, "missing") {
		t.Errorf("rpm -Va after the upgrade:\n%s", out)
	}
}
