package scriptlet

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/tooltest"
)

// foundScriptlet is a scriptlet of a real package.
type foundScriptlet struct {
	rpm.Scriptlet
	of rpm.NEVRA
}

func (f foundScriptlet) name() string { return "%" + f.Slot + " of " + f.of.String() }

// corpus is every scriptlet and trigger of the packages and databases of packages at hand, each text once.
func corpus(t *testing.T) []foundScriptlet {
	t.Helper()
	all := map[string]foundScriptlet{}
	add := func(h *rpm.Header) {
		list, err := h.Scriptlets()
		if err != nil { // of packages that are broken on purpose
			return
		}
		for _, s := range list {
			key := fmt.Sprintf("%q %d %s", s.Interpreter, s.Flags, s.Body)
			if _, ok := all[key]; !ok {
				all[key] = foundScriptlet{s, h.NEVRA()}
			}
		}
	}
	packages, databases := 0, 0
	for _, dir := range []string{tooltest.Shared(t, "rpms"), tooltest.Shared(t, "distro")} {
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.Type().IsRegular():
				return err
			case strings.HasSuffix(p, ".rpm"):
				if h := packageHeader(p); h != nil {
					packages++
					add(h)
				}
			case strings.HasPrefix(d.Name(), "rpmdb.sqlite") || strings.HasPrefix(d.Name(), "Packages"):
				if list := databaseHeaders(t, p); list != nil {
					databases++
					for _, i := range list {
						add(i.Header)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out := make([]foundScriptlet, 0, len(all))
	for _, f := range all {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b foundScriptlet) int {
		return cmp.Or(strings.Compare(a.Body, b.Body), slices.Compare(a.Interpreter, b.Interpreter), cmp.Compare(a.Flags, b.Flags))
	})
	t.Logf("%d scriptlets of %d packages and %d databases", len(out), packages, databases)
	if len(out) < 300 || databases < 3 {
		t.Errorf("%d scriptlets of %d databases only", len(out), databases)
	}
	return out
}

// packageHeader is the header of a package file, nil of one that is broken on purpose.
func packageHeader(p string) *rpm.Header {
	f, err := os.Open(p)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	pkg, err := rpm.OpenPackage(f, info.Size())
	if err != nil {
		return nil
	}
	return pkg.Header()
}

// databaseHeaders are the packages of a database, nil of a file that is none.
func databaseHeaders(t *testing.T, p string) []rpmdb.Installed {
	t.Helper()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(p, ".zst") {
		d, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		if b, err = d.DecodeAll(b, nil); err != nil {
			t.Fatal(err)
		}
	}
	list, err := rpmdb.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	return list
}

// TestCorpus evaluates every scriptlet and trigger at hand on an empty tree, as of the first package of its name. It has
// to end as one does: done, failed as it would under rpm, or refused with what to write into the recipe.
func TestCorpus(t *testing.T) {
	counts, refused := map[What]int{}, map[string]int{}
	for _, f := range corpus(t) {
		what, err := evaluate(t, f)
		counts[what]++
		var e *Error
		var u *Unsupported
		switch {
		case err == nil:
		case !errors.As(err, &e) || e.Slot != f.Slot || !strings.Contains(err.Error(), "skip}}"):
			t.Errorf("%s: %v", f.name(), err)
		case errors.As(err, &u):
			refused[path.Base(strings.Fields(u.Command + " ?")[0])]++
			counts["refused"]++
			t.Logf("%s is refused: %v", f.name(), u)
		case isCritical(&f.Scriptlet):
			counts["failed, which fails the build"]++
		default:
			t.Errorf("%s: %v\n%s", f.name(), err, f.Body)
		}
	}
	delete(counts, "")
	t.Logf("%v; refused are %v", counts, refused)
}

// evaluate runs one scriptlet on an empty tree.
func evaluate(t *testing.T, f foundScriptlet) (what What, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: panic: %v\n%s", f.name(), r, f.Body)
		}
	}()
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e := New(tree, []Package{{NEVRA: f.of}}, Options{Now: 1700000000, Host: Host{Arch: "x86_64"}, Toolbox: true})
	args := []int{1}
	if strings.Contains(f.Slot, "trigger") {
		args = []int{1, 1}
	}
	if err := e.run(context.Background(), 0, &f.Scriptlet, args, []string{"/usr/lib64/libx.so.1"}); err != nil {
		return "", err
	}
	return e.outcomes[0].What, nil
}

// sampled is every n-th of a list, so that about count are left; SLIM_CONFORMANCE asks for all.
func sampled[T any](list []T, count int) []T {
	if n, err := strconv.Atoi(os.Getenv("SLIM_CONFORMANCE")); err == nil && n > 0 {
		return list
	}
	step := max(1, len(list)/count)
	var out []T
	for i := 0; i < len(list); i += step {
		out = append(out, list[i])
	}
	return out
}
