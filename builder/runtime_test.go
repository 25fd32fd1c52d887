package builder

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"slim/internal/rpmtest"
)

// scriptedPackages require in all the ways that scriptlets do.
const scriptedPackages = `
package web
  requires lib
  requires(post) init
  requires(preun) init
  requires(postun) init
  requires(pre) accounts
  requires(pre) user(web)
  requires(pre) twice
  requires twice
  post
  | :
  file /web "x"
package lib
  requires(preun,postun) init
package init
package accounts
package owner
  provides user(web)
package twice
`

// packageServer serves a repository and writes down the ranges that are asked for of packages.
func packageServer(t *testing.T, text string) (address string, ranges func() []string) {
	dir := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, text)
	var mu sync.Mutex
	var asked []string
	files := http.FileServer(http.Dir(dir))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".rpm") {
			mu.Lock()
			asked = append(asked, r.Header.Get("Range"))
			mu.Unlock()
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		out := asked
		asked = nil
		return out
	}
}

// TestRuntimeDependencies leaves out what only scriptlets require, by headers that are fetched alone.
func TestRuntimeDependencies(t *testing.T) {
	address, ranges := packageServer(t, scriptedPackages)
	for _, test := range []struct{ recipe, want string }{
		{"packages: [web]", "accounts init lib owner twice web"},
		{"packages: [web]\ndependencies: runtime", "lib owner twice web"},
		{"packages: [web]\ndependencies: runtime\nexclude: [init]", "lib owner twice web"},
		{"packages: [web, init]\ndependencies: runtime", "init lib owner twice web"},
		{"packages: [web, lib, owner, twice]\ndependencies: named", "lib owner twice web"},
	} {
		f := newFleet(t, address)
		lock, err := Resolve(context.Background(), f.recipe("one", test.recipe), f.o)
		if err != nil {
			t.Errorf("%s: %v", test.recipe, err)
			continue
		}
		var names []string
		for _, p := range lock.Platforms[0].Packages {
			names = append(names, p.Name)
			if strings.Contains(test.recipe, "dependencies") && len(p.Requires) > 0 && (p.HeaderSHA256 == "" || p.Key == "") {
				t.Errorf("%s: the header of %s is not locked", test.recipe, p.Name)
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.recipe, got, test.want)
		}
		asked := ranges()
		if strings.Contains(test.recipe, "dependencies") == (len(asked) == 0) {
			t.Errorf("%s: %d headers were fetched", test.recipe, len(asked))
		}
		for _, r := range asked {
			if !strings.HasPrefix(r, "bytes=0-") {
				t.Errorf("%s: a package was fetched whole", test.recipe)
			}
		}
	}
}

// TestRuntimeLock keeps in the lock which requirements were followed, so that builds by it agree.
func TestRuntimeLock(t *testing.T) {
	address, _ := packageServer(t, scriptedPackages)
	f := newFleet(t, address)
	full, runtime := f.recipe("full", "packages: [web]"), f.recipe("runtime", "packages: [web]\ndependencies: runtime")
	lock := f.mustLock(LockRequest{}, full, runtime).File
	if got := takes(t, lock, "full.yaml"); got != "accounts-1 init-1 lib-1 owner-1 twice-1 web-1" {
		t.Errorf("full takes %s", got)
	}
	if got := takes(t, lock, "runtime.yaml"); got != "lib-1 owner-1 twice-1 web-1" {
		t.Errorf("runtime takes %s", got)
	}
	o := f.o
	o.Offline = true
	locked, err := f.lockedBuild(runtime, o)
	if err != nil {
		t.Fatal(err)
	}
	if digest := digestOf(t, buildRecipe(t, runtime, f.o)); locked != digest {
		t.Errorf("from the lock %s, without it %s", locked, digest)
	}
	var stale *StaleError
	changed := f.recipe("full", "packages: [web]\ndependencies: runtime")
	if _, err := f.lockedBuild(changed, o); !errors.As(err, &stale) || !strings.Contains(err.Error(), "dependencies is runtime, and was full") {
		t.Errorf("another mode than that of the lock: %v", err)
	}
}

// TestRuntimeHeaderTampered takes no word of a header that its signature does not cover.
func TestRuntimeHeaderTampered(t *testing.T) {
	address, _ := packageServer(t, scriptedPackages)
	f := newFleet(t, address)
	other, err := rpmtest.NewKey("another")
	if err != nil {
		t.Fatal(err)
	}
	f.write("key", string(other.Public()))
	var wrong *VerifyError
	if _, err := Resolve(context.Background(), f.recipe("one", "packages: [web]\ndependencies: runtime"), f.o); !errors.As(err, &wrong) {
		t.Errorf("packages that are signed by another key: %v", err)
	}
}
