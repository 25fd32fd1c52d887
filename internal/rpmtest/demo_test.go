package rpmtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const testdata = "../../testdata"

func demoPackages(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(testdata, "repo", "*", "Packages", "*.rpm"))
	if err != nil || len(list) == 0 {
		t.Fatalf("no packages in testdata/repo: %v", err)
	}
	return list
}

func TestDemoPackagesAreSigned(t *testing.T) {
	db := t.TempDir()
	run(t, "rpm", "--dbpath", db, "--import", filepath.Join(testdata, "keys", "RPM-GPG-KEY-demo"))
	list := demoPackages(t)
	got := run(t, "rpm", append([]string{"--dbpath", db, "-K"}, list...)...)
	if n := strings.Count(got, ": digests signatures OK\n"); n != len(list) {
		t.Errorf("%d of %d packages are signed well:\n%s", n, len(list), got)
	}
}

func TestDemoPackagesAreDescribed(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(testdata, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`-[^-]+-[^-]+\.rpm$`)
	for _, file := range demoPackages(t) {
		if n := name.ReplaceAllString(filepath.Base(file), ""); !strings.Contains(string(readme), "`"+n+"`") {
			t.Errorf("testdata/README.md does not say what %s is for", n)
		}
	}
}

func TestDemoIsSmall(t *testing.T) {
	const limit = 2 << 20
	var size int64
	err := filepath.WalkDir(filepath.Join(testdata, "repo"), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil || size > limit {
		t.Errorf("testdata/repo has %d bytes, more than %d (%v)", size, limit, err)
	}
}
