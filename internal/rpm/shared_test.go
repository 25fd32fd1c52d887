package rpm

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"slim/internal/tooltest"
)

// sharedPackages are the regular files named *.rpm below shared, relative to it, sorted; without those that hold the
// text of a link, which rpm takes for lists of packages.
func sharedPackages(t testing.TB) (root string, paths []string) {
	t.Helper()
	root = tooltest.Shared(t)
	for _, top := range []string{"rpms", "distro"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.Type().IsRegular() && strings.HasSuffix(path, ".rpm") {
				rel, err := filepath.Rel(root, path)
				if err == nil && !isLinkText(t, path) {
					paths = append(paths, rel)
				}
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	sort.Strings(paths)
	if len(paths) == 0 {
		t.Fatal("no packages below ../shared")
	}
	return root, paths
}

// open opens a package file that is read whole.
func open(t testing.TB, path string) (*PackageFile, error) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return OpenPackage(bytes.NewReader(b), int64(len(b)))
}

// rpmOutput is what a command says, in the C locale; its exit status is of no interest.
func rpmOutput(t testing.TB, dir, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var out, fault strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &fault
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(fmt.Errorf("%s: %w", name, err))
	}
	return out.String(), fault.String()
}

// batches calls f with at most n of all at a time.
func batches(all []string, n int, f func([]string)) {
	for len(all) > 0 {
		k := min(n, len(all))
		f(all[:k])
		all = all[k:]
	}
}

func isLinkText(t testing.TB, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [3]byte
	if _, err := io.ReadFull(f, b[:]); err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	return string(b[:]) == "../"
}
