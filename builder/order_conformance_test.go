package builder

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// TestConformanceInstallOrder compares the order of installation with rpm's own: rpm is handed the packages in the order
// that ties fall back on, and the numbers of its database tell what it made of it.
func TestConformanceInstallOrder(t *testing.T) {
	tooltest.Need(t, "rpm")
	shared := tooltest.Shared(t)
	var files []string
	for _, pattern := range []string{"BaseOS/x86_64/os/Packages/*/*.rpm", "AppStream/x86_64/os/Packages/*/*.rpm"} {
		found, err := filepath.Glob(filepath.Join(shared, "distro/1", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	packages := make([]*rpm.Package, len(files))
	paths := map[*rpm.Package]string{}
	for i, file := range files {
		packages[i] = openTestPackage(t, file)
		paths[packages[i]] = file
	}
	slices.SortFunc(packages, func(a, b *rpm.Package) int { return a.NEVRA().Compare(b.NEVRA()) })
	for _, test := range []struct {
		name string
		keep func(i int) bool
	}{
		{"all", func(int) bool { return true }},
		{"every second", func(i int) bool { return i%2 == 0 }},
		{"every third", func(i int) bool { return i%3 == 1 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var set []*rpm.Package
			args := []string{"--root", t.TempDir(), "--dbpath", "/var/lib/rpm", "-i", "--justdb", "--nodeps", "--noscripts", "--notriggers", "--nosignature", "--replacefiles"}
			root := args[1]
			for i, pkg := range packages {
				if test.keep(i) {
					set = append(set, pkg)
					args = append(args, paths[pkg])
				}
			}
			if out, err := exec.Command("rpm", args...).CombinedOutput(); err != nil {
				t.Fatalf("rpm: %v\n%s", err, out)
			}
			out, err := exec.Command("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "-qa", "--qf", "%{DBINSTANCE} %{NAME}-%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}.%{ARCH}\n").Output()
			if err != nil {
				t.Fatal(err)
			}
			want := make([]string, len(set))
			for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
				num, name, _ := strings.Cut(line, " ")
				n, err := strconv.Atoi(num)
				if err != nil {
					t.Fatal(err)
				}
				want[n-1] = strings.Replace(name, "-0:", "-", 1)
			}
			ordered, err := installOrder(set)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, pkg := range ordered {
				got = append(got, pkg.NEVRA().String())
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// openTestPackage opens a package of a test distribution without looking at its signature.
func openTestPackage(t *testing.T, file string) *rpm.Package {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := rpm.OpenPackage(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	pkg, err := parsed.Verify(&rpm.Keyring{}, rpm.VerifyOptions{AllowUnsigned: true})
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}
