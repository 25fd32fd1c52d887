package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slim/internal/rpmtest"
	"slim/internal/tooltest"
)

// TestKonfluxSamples reads the files that Hermeto's tests have.
func TestKonfluxSamples(t *testing.T) {
	dir := tooltest.Shared(t, "rpms", "hermetoproject+hermeto")
	read := 0
	for _, file := range glob(t, dir, "rpms.lock.yaml") {
		k, err := ReadKonflux(file)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, a := range k.Arches {
			for _, p := range a.Packages {
				if p.Name == "" || p.NEVRA.Version == "" || p.Release == "" || p.Arch != a.Arch && p.Arch != "noarch" {
					t.Errorf("%s: %s: %+v", file, a.Arch, p)
				}
				read++
			}
		}
	}
	if read < 20 {
		t.Errorf("%d packages read", read)
	}
}

// TestKonflux writes a lock for Konflux, and locks the same builds by it later, when there are newer ones.
func TestKonflux(t *testing.T) {
	key := rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}
	dir := t.TempDir()
	if err := rpmtest.Repo(dir, key, rpmtest.MustParse(t, strings.ReplaceAll(onePackages, "package app-1-1", "package app-3:1-1"))...); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, dir)
	r := f.recipe("a", "packages: [app, other]")
	first := f.mustLock(LockRequest{}, r)
	data, err := first.File.Konflux()
	if err != nil {
		t.Fatal(err)
	}
	const want = `---
lockfileVersion: 1
lockfileVendor: redhat
arches:
  - arch: x86_64
    packages:
      - url: file://DIR/Packages/app-1-1.x86_64.rpm
        repoid: test
        size: SIZE
        checksum: SUM
        name: app
        evr: 3:1-1
        sourcerpm: app-1-1.src.rpm
`
	app := first.File.Packages[0]
	filled := strings.NewReplacer("DIR", dir, "SIZE", fmt.Sprint(app.Size), "SUM", app.Checksum.String()).Replace(want)
	if !strings.HasPrefix(string(data), filled) || !strings.HasSuffix(string(data), "    source: []\n    module_metadata: []\n") {
		t.Errorf("it is\n%s\nnot\n%s", data, filled)
	}
	file := filepath.Join(t.TempDir(), "rpms.lock.yaml")
	write := func(text string) *KonfluxLock {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		k, err := ReadKonflux(file)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	text := string(data)

	// The packages are signed anew, so that their checksums are others: these come first.
	if err := rpmtest.Repo(dir, key, rpmtest.MustParse(t, strings.ReplaceAll(bothPackages, "package app-", "package app-3:"))...); err != nil {
		t.Fatal(err)
	}
	fresh := newFleet(t, dir)
	r = fresh.recipe("a", "packages: [app, other]")
	if _, err := fresh.lock(LockRequest{Pins: write(text)}, r); KindOf(err) != FailedVerification || !strings.Contains(err.Error(), "rpms.lock.yaml says sha256:") {
		t.Errorf("got %v", err)
	}
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "checksum:") {
			lines = append(lines, line)
		}
	}
	text = strings.Join(lines, "")
	pinned := fresh.mustLock(LockRequest{Pins: write(text)}, r)
	if got := takes(t, pinned.File, "a.yaml"); got != "app-1 lib-1 other-1" {
		t.Errorf("takes %s", got)
	}
	_, err = fresh.lock(LockRequest{Pins: write(strings.ReplaceAll(text, "other-1-1", "other-7-1"))}, r)
	if err != nil {
		t.Errorf("name and evr do not count before the address: %v", err)
	}
	_, err = fresh.lock(LockRequest{Pins: write(strings.Replace(text, "evr: 1-1", "evr: 7-1", 1))}, r)
	if KindOf(err) != FailedResolution || !strings.Contains(err.Error(), "7-1, which the repository does not have") {
		t.Errorf("got %v", err)
	}
}

func TestKonfluxFaults(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"lockfileVersion: 2\n", "lockfileVersion is 2"},
		{"", "lockfileVersion is 0"},
		{"arches: [", "not YAML"},
		{"lockfileVersion: 1\narches: [{arch: x86_64, packages: [{url: 'https://x/y', name: a, evr: 1-1}]}]", "does not end with NAME-VERSION-RELEASE.ARCH.rpm"},
		{"lockfileVersion: 1\narches: [{arch: x86_64, packages: [{url: 'https://x/a-1-1.noarch.rpm', checksum: 'md5:0'}]}]", "checksum algorithm"},
	} {
		_, err := parseKonflux([]byte(test.text), "rpms.lock.yaml")
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got %v", test.text, err)
		}
	}
}

func FuzzParseKonflux(f *testing.F) {
	f.Add([]byte("lockfileVersion: 1\narches:\n- arch: x86_64\n  packages:\n  - url: https://x/a-1-1.noarch.rpm\n    size: 1\n    checksum: sha1:0\n    name: a\n    evr: 1-1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := parseKonflux(data, "rpms.lock.yaml")
		if err != nil {
			return
		}
		for _, a := range k.Arches {
			for _, p := range a.Packages {
				if p.Arch == "" || p.Name == "" || !strings.HasSuffix(strings.SplitN(p.URL, "?", 2)[0], ".rpm") {
					t.Errorf("%+v", p)
				}
			}
		}
	})
}
