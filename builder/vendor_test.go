package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpmtest"
	"slim/internal/tooltest"
)

// vendor vendors recipes by the lock beside them.
func (f *fleet) vendor(dir string, recipes ...*Recipe) (*VendorResult, error) {
	f.t.Helper()
	lock, err := FindLock(recipes[0])
	if err != nil || lock == nil {
		f.t.Fatalf("no lock: %v", err)
	}
	return Vendor(context.Background(), recipes, lock, dir, f.o)
}

// vendored reads a recipe as --repo DIR does.
func (f *fleet) vendored(name, dir string) (*Recipe, Options) {
	f.t.Helper()
	address, err := Vendored(dir)
	if err != nil || address == "" {
		f.t.Fatalf("%s is not vendored: %v", dir, err)
	}
	o := Options{Offline: true, CacheDir: f.t.TempDir(), WorkDir: f.t.TempDir(), KeyDir: VendoredKeys(dir), Transport: &noNetwork{}}
	return f.read(name, RecipeOptions{Set: []Setting{{"repository.baseurl", address}}}), o
}

// inOrder compares lists whatever their order.
func inOrder() cmp.Option {
	return cmp.Transformer("sorted", func(in []string) []string { return slices.Sorted(slices.Values(in)) })
}

// list are the files below dir, without the names of metadata, which are digests.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if head, tail, ok := strings.Cut(rel, "repodata/"); ok {
			if _, kind, ok := strings.Cut(tail, "-"); ok {
				rel = head + "repodata/" + kind
			}
		}
		if strings.HasPrefix(rel, "keys/") {
			rel = "keys/KEY"
		}
		out = append(out, rel)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestVendor vendors from a server that is gone then, for two platforms.
func TestVendor(t *testing.T) {
	dir := t.TempDir()
	options := rpmtest.RepoOptions{Key: rpmtest.TestKey(t), Extra: map[string][]byte{"updateinfo": []byte(updates), "other": []byte("<x/>")}}
	packages := map[string]string{"x86_64": demoPackages + "package unused-1-1.noarch\n", "aarch64": strings.ReplaceAll(demoPackages, "x86_64", "aarch64")}
	for arch, text := range packages {
		if err := rpmtest.Repo(filepath.Join(dir, arch), options, rpmtest.MustParse(t, text)...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "KEY"), rpmtest.TestKey(t).Public(), 0o666); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	f := newFleet(t, "")
	f.repo = fmt.Sprintf("{name: test, baseurl: %s/$basearch, gpgkey: %s/KEY, repo_gpgcheck: true}", server.URL, server.URL)
	r := f.recipe("a", "platforms: [linux/amd64, linux/arm64]\npackages: [app]")
	f.mustLock(LockRequest{}, r)
	want, err := f.lockedBuild(r, f.o)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "deep", "vendored")
	if _, err := f.vendor(to, r); err != nil {
		t.Fatal(err)
	}
	server.Close()
	files := []string{"VENDORED"}
	for _, arch := range []string{"aarch64", "x86_64"} {
		for _, name := range []string{
			"Packages/app-1-1." + arch + ".rpm", "Packages/setup-1-1.noarch.rpm", "Packages/words-1-1.noarch.rpm",
			"repodata/filelists.xml.gz", "repodata/primary.xml.gz", "repodata/repomd.xml", "repodata/repomd.xml.asc", "repodata/updateinfo.xml.gz",
		} {
			files = append(files, arch+"/"+name)
		}
	}
	files = append(files, "keys/KEY", "slim.lock")
	got := list(t, to)
	if d := cmp.Diff(files, got, inOrder()); d != "" {
		t.Error(d)
	}
	for _, name := range []string{"repodata/repomd.xml", "repodata/repomd.xml.asc", "Packages/words-1-1.noarch.rpm"} {
		a, errA := os.ReadFile(filepath.Join(dir, "x86_64", name))
		b, errB := os.ReadFile(filepath.Join(to, "x86_64", name))
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Errorf("%s is not the same: %v, %v", name, errA, errB)
		}
	}
	vendored, o := f.vendored("a", to)
	digest, err := f.lockedBuild(vendored, o)
	if err != nil {
		t.Fatal(err)
	}
	if digest != want {
		t.Errorf("digest %s, not %s", digest, want)
	}
	if asked := o.Transport.(*noNetwork).requests; len(asked) > 0 {
		t.Errorf("asked for %v", asked)
	}
}

// TestVendorRefusals leaves a directory alone that is something else's, or when the repository has moved on.
func TestVendorRefusals(t *testing.T) {
	key := rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}
	repo := rpmtest.MustRepo(t, key, onePackages)
	f := newFleet(t, repo)
	r := f.recipe("a", "packages: [app]")
	f.mustLock(LockRequest{}, r)
	if _, err := f.vendor(f.dir, r); KindOf(err) != FailedUsage {
		t.Errorf("into the recipes' directory: %v", err)
	}
	to := filepath.Join(t.TempDir(), "v")
	if _, err := f.vendor(to, r); err != nil {
		t.Fatal(err)
	}
	before := list(t, to)
	if _, err := f.vendor(to, r); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if err := rpmtest.Repo(repo, key, rpmtest.MustParse(t, "package app-2-1.x86_64\nrequires lib\npackage lib-1-1.x86_64")...); err != nil {
		t.Fatal(err)
	}
	_, err := f.vendor(to, r)
	if KindOf(err) != FailedGate || !strings.Contains(err.Error(), "app-1-1.x86_64 is no longer in the repository") {
		t.Errorf("got %v", err)
	}
	if d := cmp.Diff(before, list(t, to)); d != "" {
		t.Errorf("what was there: %s", d)
	}
	if left, err := os.ReadDir(filepath.Dir(to)); err != nil || len(left) != 1 {
		t.Errorf("left beside it: %v, %v", left, err)
	}
}

// TestVendorConformance installs what is vendored by dnf, with its checks of signatures on, and builds it.
func TestVendorConformance(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	distro := snapshots(t)
	f := newFleet(t, "")
	f.repo = fmt.Sprintf(`{name: slimtest, baseurl: %s/$releasever/$component/x86_64/os, components: [BaseOS, AppStream],
  releasever: "1", gpgkey: [%s/RPM-GPG-KEY-slimtest], repo_gpgcheck: true}`, distro, distro)
	r := f.recipe("jq", "packages: [bash, jq, glibc-minimal-langpack]")
	lock := f.mustLock(LockRequest{}, r).File
	to := filepath.Join(t.TempDir(), "vendored")
	result, err := f.vendor(to, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(distro, "1")); err != nil {
		t.Fatal(err)
	}
	root, state := t.TempDir(), t.TempDir()
	args := []string{
		"-y", "-q", "--installroot=" + root, "--releasever=1", "--setopt=reposdir=/nonexistent", "--setopt=varsdir=/nonexistent",
		"--setopt=cachedir=" + state + "/cache", "--setopt=logdir=" + state + "/log", "--setopt=persistdir=" + state + "/lib",
		"--setopt=install_weak_deps=0", "--nodocs",
	}
	for _, c := range []string{"BaseOS", "AppStream"} {
		args = append(args, "--repofrompath="+c+",file://"+to+"/x86_64/"+c, "--setopt="+c+".gpgcheck=1", "--setopt="+c+".repo_gpgcheck=1",
			"--setopt="+c+".gpgkey=file://"+filepath.Join(to, result.Keys[0]))
	}
	for _, name := range []string{"cache", "log", "lib"} {
		if err := os.Mkdir(filepath.Join(state, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	env := []string{"HOME=" + state, "LC_ALL=C.UTF-8"}
	if err := os.WriteFile(filepath.Join(state, ".rpmmacros"), []byte("%_dbpath /usr/lib/sysimage/rpm\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	tooltest.Run(t, env, "dnf", append(args, "install", "bash", "jq", "glibc-minimal-langpack")...)
	var want []string
	for _, p := range lock.Packages {
		want = append(want, p.NEVRA.String())
	}
	all := strings.Fields(tooltest.Run(t, env, "rpm", "--root", root, "-qa", "--qf", "%{NAME}-%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}.%{ARCH}\n"))
	var keys, got []string
	for _, name := range all {
		if strings.HasPrefix(name, "gpg-pubkey-") {
			keys = append(keys, name)
		} else {
			got = append(got, strings.Replace(name, "-0:", "-", 1))
		}
	}
	if len(keys) == 0 {
		t.Error("dnf imported no key: it has not checked signatures")
	}
	if d := cmp.Diff(want, got, inOrder()); d != "" {
		t.Errorf("dnf installed: %s", d)
	}
	vendored, o := f.vendored("jq", to)
	if _, err := f.lockedBuild(vendored, o); err != nil {
		t.Error(err)
	}
	spoiled := glob(t, to, "jq-")
	if err := os.WriteFile(spoiled[0], []byte("no package"), 0o666); err != nil {
		t.Fatal(err)
	}
	o.CacheDir = t.TempDir()
	if _, err := f.lockedBuild(vendored, o); err == nil || errors.Is(err, fs.ErrNotExist) || KindOf(err) != FailedVerification {
		t.Errorf("a spoiled package: %v", err)
	}
}
