package builder

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/tooltest"
)

func sharedKey(t *testing.T) []string {
	t.Helper()
	return []string{filepath.Join(tooltest.Shared(t), "distro/RPM-GPG-KEY-slimtest")}
}

// TestVerifyEveryday proves an image of real packages.
func TestVerifyEveryday(t *testing.T) {
	img := buildRecipe(t, sharedRecipe(t, everyday, ""), Options{})
	dest := "oci:" + t.TempDir()
	deliver(t, img, dest)
	i := verifyIt(t, dest, VerifyOptions{Keys: sharedKey(t)})
	r := i.Report
	if r.Failed(true) || r.Foreign != 0 || r.Matching != r.Files || r.Files < 5000 || r.NotInstalled < 1000 || r.Signed != len(img.Platforms[0].Packages) {
		t.Errorf("%d of %d signed, %d of %d files, %d not installed, %d foreign:\n%v", r.Signed, r.Packages, r.Matching, r.Files, r.NotInstalled, r.Foreign, r.Findings)
	}
}

// TestConformanceVerify proves a root that dnf and rpm made, scriptlets and all. What is foreign in it are the places
// that the test keeps dnf's logs in, and what a scriptlet wrote to a /dev/null that was not there. Then
// files are changed, and rpm -Va has to find the same.
func TestConformanceVerify(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	root := filepath.Join(t.TempDir(), "root")
	dnfRoot(t, "1", root, append([]string{"install"}, everyday...)...)
	i := verifyIt(t, "dir:"+root, VerifyOptions{Keys: sharedKey(t)})
	r := i.Report
	if r.Matching != r.Files || r.Files < 5000 || r.Signed != r.Packages || r.Packages < 100 {
		t.Errorf("%d of %d signed, %d of %d files:\n%v", r.Signed, r.Packages, r.Matching, r.Files, r.Findings)
	}
	for _, f := range r.Findings {
		if f.Kind != audit.Foreign || f.Path != "/dev/null" && !isTrace(f.Path) && !strings.HasPrefix(f.Path, "/tmp/") {
			t.Errorf("%s", f)
		}
	}
	var rules []string
	for _, g := range r.Generated {
		rules = append(rules, g.Rule)
	}
	slices.Sort(rules)
	want := []string{"accounts", "alternatives state", "ghost", "package manager", "parent", "rpmdb", "units"}
	if d := cmp.Diff(want, slices.Compact(rules)); d != "" {
		t.Errorf("rules (-want +got)\n%s", d)
	}
	tamperDirectory(t, root)
}

// tamperDirectory changes files of a plain root and expects the same of rpm -V and of Verify.
func tamperDirectory(t *testing.T, root string) {
	t.Helper()
	for _, do := range []error{
		os.WriteFile(filepath.Join(root, "etc/redis/redis.conf"), []byte("changed\n"), 0o640),
		os.Chmod(filepath.Join(root, "usr/bin/env"), os.ModeSetuid|0o755),
		os.Chown(filepath.Join(root, "usr/bin/cat"), 33, 33),
		os.Remove(filepath.Join(root, "usr/bin/tac")),
		os.WriteFile(filepath.Join(root, "usr/bin/openssl"), []byte("x"), 0o755),
	} {
		if do != nil {
			t.Fatal(do)
		}
	}
	i := verifyIt(t, "dir:"+root, VerifyOptions{Keys: sharedKey(t)})
	var got, paths []string
	for _, f := range i.Report.Findings {
		if f.Kind != audit.Foreign {
			got = append(got, string(f.Kind)+" "+f.Path)
			paths = append(paths, f.Path)
		}
	}
	want := []string{
		"config /etc/redis/redis.conf", "group /usr/bin/cat", "owner /usr/bin/cat", "mode /usr/bin/env", "content /usr/bin/openssl", "missing /usr/bin/tac",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	// rpm also says where times differ, and what is generated.
	cmd := exec.Command("rpm", "--root", root, "--dbpath", "/usr/lib/sysimage/rpm", "-Va", "--nodeps", "--noscripts", "--nomtime")
	out, _ := cmd.Output() // it exits with 1 when it finds something
	var theirs []string
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		theirs = append(theirs, words[len(words)-1])
	}
	generated := map[string]bool{}
	for _, g := range i.Report.Generated {
		generated[g.Path] = true
	}
	theirs = slices.DeleteFunc(theirs, func(p string) bool { return generated[p] })
	slices.Sort(theirs)
	if d := cmp.Diff(slices.Compact(paths), theirs); d != "" {
		t.Errorf("rpm -Va (-slim +rpm)\n%s", d)
	}
}

// TestVerifyRealHeaders proves the headers of real systems with their distributions' keys, and nothing with others.
func TestVerifyRealHeaders(t *testing.T) {
	root := filepath.Join(tooltest.Shared(t), "rpms")
	all, err := filepath.Glob(filepath.Join(root, "gomod+knqyf263+go-rpmdb*", "pkg", "testdata", "*", "rpmdb.sqlite.zst"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%v, %v", all, err)
	}
	keys := &rpm.Keyring{}
	for _, name := range []string{"fedora/RPM-GPG-KEY-fedora-35-primary", "azure-linux/MICROSOFT-RPM-GPG-KEY"} {
		content, err := os.ReadFile(filepath.Join(root, "xsuchy+distribution-gpg-keys", "keys", name))
		if err == nil {
			_, _, err = keys.Add(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	allKeys := 0
	for _, file := range all {
		d := realDatabase(t, file)
		packages, keysLeft := d.read(keys)
		for _, p := range packages {
			if p.Err != nil || p.Key.ID == "" || len(p.SHA256) != 64 {
				t.Errorf("%s: %v", p.NEVRA, p.Err)
			}
		}
		if len(packages) < 100 {
			t.Errorf("%s: %d packages", file, len(packages))
		}
		allKeys += keysLeft
		none, _ := d.read(&rpm.Keyring{})
		if slices.ContainsFunc(none, func(p audit.Package) bool { return p.Err == nil }) {
			t.Errorf("%s: proven without a key", file)
		}
		metadata, err := d.metadata()
		if err != nil {
			t.Fatal(err)
		}
		answers, err := why(metadata, 0, nil, "glibc", "it", Platform{})
		if err != nil || len(answers[0].Loss.Broken) < 20 || len(answers[0].Chains) < 20 {
			t.Errorf("%s: why: %v", file, err)
		}
	}
	if allKeys == 0 {
		t.Error("no database has a key of rpm's in it")
	}
}

func realDatabase(t *testing.T, file string) *database {
	t.Helper()
	packed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	raw, err := z.DecodeAll(packed, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &database{}
	if d.packages, err = rpmdb.Read(strings.NewReader(string(raw)), int64(len(raw))); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDiffEveryday compares an image of real packages with the root that slim writes of it.
func TestDiffEveryday(t *testing.T) {
	tooltest.NeedRoot(t)
	img := buildRecipe(t, sharedRecipe(t, []string{"bash", "iputils", "shadow-utils"}, ""), Options{})
	oci, dir := "oci:"+t.TempDir(), "dir:"+filepath.Join(t.TempDir(), "root")
	deliver(t, img, oci)
	deliver(t, img, dir)
	d, err := Diff(context.Background(), oci, dir, DiffOptions{Options: Options{WorkDir: t.TempDir()}})
	if err != nil || !d.Equal() {
		t.Errorf("%v %v", err, fileChanges(d.Images[0]))
	}
}
