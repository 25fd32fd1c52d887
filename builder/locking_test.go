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

// fleet is a directory of recipes with a lock.
type fleet struct {
	t    *testing.T
	dir  string
	repo string // what the recipes say of the repository
	o    Options
}

// newFleet is one for the repository at an address.
func newFleet(t *testing.T, address string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), o: Options{CacheDir: t.TempDir(), WorkDir: t.TempDir()}}
	f.write("key", string(rpmtest.TestKey(t).Public()))
	f.repo = "{name: test, baseurl: " + address + ", gpgkey: [key]}"
	return f
}

func (f *fleet) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o666); err != nil {
		f.t.Fatal(err)
	}
}

// recipe writes and reads NAME.yaml; without platforms in the text it is for linux/amd64.
func (f *fleet) recipe(name, text string) *Recipe {
	f.t.Helper()
	if !strings.Contains(text, "platforms: [linux/amd64, ") {
		text = "platforms: [linux/amd64]\n" + text
	}
	f.write(name+".yaml", "repository: "+f.repo+"\n"+text+"\n")
	return f.read(name, RecipeOptions{})
}

func (f *fleet) read(name string, o RecipeOptions) *Recipe {
	f.t.Helper()
	r, err := ReadRecipe(filepath.Join(f.dir, name+".yaml"), o)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// lock locks recipes over the lock that is there, and writes it.
func (f *fleet) lock(req LockRequest, recipes ...*Recipe) (*LockResult, error) {
	f.t.Helper()
	path := filepath.Join(f.dir, LockFileName)
	req.Dir, req.Recipes = f.dir, recipes
	var err error
	if req.Old, err = ReadLockFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.t.Fatal(err)
	}
	result, err := MakeLock(context.Background(), req, f.o)
	if err != nil {
		return nil, err
	}
	return result, result.File.Write(path)
}

func (f *fleet) mustLock(req LockRequest, recipes ...*Recipe) *LockResult {
	f.t.Helper()
	result, err := f.lock(req, recipes...)
	if err != nil {
		f.t.Fatal(err)
	}
	return result
}

// lockedBuild builds a recipe from the lock beside it and returns the digest.
func (f *fleet) lockedBuild(r *Recipe, o Options) (string, error) {
	f.t.Helper()
	file, err := FindLock(r)
	if err != nil || file == nil {
		f.t.Fatalf("no lock: %v", err)
	}
	lock, err := file.Lock(r)
	if err != nil {
		return "", err
	}
	o.Keys = file.Keys
	img, err := Build(context.Background(), r, lock, o)
	if err != nil {
		return "", err
	}
	defer img.Close()
	return digestOf(f.t, img), nil
}

func digestOf(t *testing.T, img *Image) string {
	t.Helper()
	h, err := img.Platforms[0].Image.Digest()
	if img.Index != nil {
		h, err = img.Index.Digest()
	}
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

// takes are the packages of a recipe on linux/amd64, as NAME-VERSION.
func takes(t *testing.T, f *LockFile, file string) string {
	t.Helper()
	return takesOn(t, f, file, Platform{OS: "linux", Architecture: "amd64"})
}

func takesOn(t *testing.T, f *LockFile, file string, p Platform) string {
	t.Helper()
	r := f.Recipe(file)
	if r == nil || r.take(p) == nil {
		t.Fatalf("no %s for %s in the lock", file, p)
	}
	var out []string
	for _, name := range r.take(p).Names {
		pkg := f.index().find(p, name)
		out = append(out, name+"-"+pkg.NEVRA.Version)
	}
	return strings.Join(out, " ")
}

const unionPackages = `
package libc-1-1.x86_64
package libc-2-1.x86_64
package full-1-1.x86_64
provides tools
conflicts single
package single-1-1.x86_64
provides tools
conflicts full
package app-1-1.x86_64
requires tools, libc
package low-1-1.x86_64
requires libc < 2
`

// TestLockTogether locks several recipes in one lock.
func TestLockTogether(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, unionPackages)
	for _, test := range []struct {
		name string
		a, b string
		// What each takes, or what the error says.
		wantA, wantB, fault string
	}{
		{
			name: "alone they would differ", a: "packages: [app]", b: "packages: [single, libc-1]",
			wantA: "app-1 libc-1 single-1", wantB: "libc-1 single-1",
		},
		{
			name: "a bound of one binds both", a: "packages: [app, full]", b: "packages: [low]",
			wantA: "app-1 full-1 libc-1", wantB: "libc-1 low-1",
		},
		{
			name: "in conflict with each other", a: "packages: [full, libc]", b: "packages: [single, libc]",
			wantA: "full-1 libc-2", wantB: "libc-2 single-1",
		},
		{
			name: "one excludes what the other takes", a: "packages: [app]\nexclude: [single]", b: "packages: [single]",
			wantA: "app-1 full-1 libc-2", wantB: "single-1",
		},
		{
			name: "one prefers", a: "packages: [app]\nprefer: [single]", b: "packages: [app]",
			wantA: "app-1 libc-2 single-1", wantB: "app-1 libc-2 single-1",
		},
		{
			name: "one follows no requirements", a: "packages: [libc, full]\ndependencies: named", b: "packages: [app]",
			wantA: "full-1 libc-2", wantB: "app-1 full-1 libc-2",
		},
		{
			name: "two versions", a: "packages: [libc-1]", b: "packages: [libc-2]",
			fault: "b.yaml: it and the other recipes cannot share one build of each package\n  it takes libc-2-1.x86_64, the others 1-1",
		},
		{name: "nobody has it", a: "packages: [app]", b: "packages: [nosuch]", fault: "b.yaml: nosuch names no package"},
		{name: "named lacks something", a: "packages: [app]\ndependencies: named", b: "packages: [app]", fault: "a.yaml: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, repo)
			result, err := f.lock(LockRequest{}, f.recipe("b", test.b), f.recipe("a", test.a))
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || KindOf(err) != FailedResolution {
					t.Fatalf("got %v", err)
				}
				if _, err := os.Stat(filepath.Join(f.dir, LockFileName)); err == nil {
					t.Error("a lock was written")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{test.wantA, test.wantB}, []string{takes(t, result.File, "a.yaml"), takes(t, result.File, "b.yaml")}); d != "" {
				t.Error(d)
			}
			again, err := f.lock(LockRequest{}, f.read("a", RecipeOptions{}))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(result.File.Bytes()), string(again.File.Bytes())); d != "" {
				t.Errorf("locked again: %s", d)
			}
		})
	}
}

const onePackages = `
package lib-1-1.x86_64
package app-1-1.x86_64
requires lib
package other-1-1.x86_64
package chosen-a-1-1.x86_64
provides role
package user-1-1.x86_64
requires role
`

const bothPackages = onePackages + `
package lib-2-1.x86_64
package app-2-1.x86_64
requires lib >= 2
package other-2-1.x86_64
package aaa-1-1.x86_64
provides role
package tool-1-1.x86_64
requires lib = 1
package tool-2-1.x86_64
requires lib = 2
package late-1-1.x86_64
requires lib >= 2
package bad-1-1.x86_64
package bad-2-1.x86_64
requires nothing-has-this
`

const updates = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
<update type="security"><id>S-2</id><title>lib</title><severity>Important</severity><issued date="2026-02-01 00:00:00"/>
<references><reference type="cve" id="CVE-2026-2" href="x"/></references>
<pkglist><collection><package name="lib" version="2" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
<update type="security"><id>S-1</id><title>lib, early</title><severity>Low</severity><issued date="2026-01-01 00:00:00"/>
<pkglist><collection><package name="lib" version="1.5" release="1" epoch="0" arch="x86_64"/><package name="bad" version="1" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
<update type="bugfix"><id>B-1</id><title>other</title><severity>None</severity><issued date="2026-01-01 00:00:00"/>
<pkglist><collection><package name="other" version="2" release="1" epoch="0" arch="x86_64"/></collection></pkglist></update>
</updates>`

// TestRelock locks a recipe, changes the recipe or the repository, and locks or updates again.
func TestRelock(t *testing.T) {
	one := onePackages + "package bad-1-1.x86_64\n"
	for _, test := range []struct {
		name          string
		before, after string // packages of the recipe; after "" is before
		repo          string // the repository then
		request       LockRequest
		want          string
		held, gone    string
		changes       []string
	}{
		{name: "nothing", before: "app, other, user", repo: bothPackages, want: "app-1 chosen-a-1 lib-1 other-1 user-1"},
		{
			name: "a package more", before: "app, user", after: "app, user, other", repo: bothPackages, want: "app-1 chosen-a-1 lib-1 other-2 user-1",
			changes: []string{"other - -> 2-1"},
		},
		{name: "a package less", before: "app, other", after: "app", repo: bothPackages, want: "app-1 lib-1", changes: []string{"other 1-1 -> -"}},
		{
			name: "the one that goes with what is locked", before: "app", after: "app, tool", repo: bothPackages, want: "app-1 lib-1 tool-1",
			changes: []string{"tool - -> 1-1"},
		},
		{
			name: "one that needs a newer lib", before: "app, other", after: "app, other, late", repo: bothPackages, want: "app-1 late-1 lib-2 other-1",
			changes: []string{"late - -> 1-1", "lib 1-1 -> 2-1 S-1 S-2"},
		},
		{
			name: "gone", before: "app", repo: strings.Replace(bothPackages, "package lib-1-1.x86_64", "package old-1-1.x86_64", 1), want: "app-1 lib-2",
			gone: "lib-1-1.x86_64", changes: []string{"lib 1-1 -> 2-1 S-1 S-2"},
		},
		{
			name: "built again", before: "lib", repo: strings.Replace(one, "package lib-1-1.x86_64", "package lib-1-1.x86_64\nbuildtime 1700000001", 1), want: "lib-1",
			changes: []string{"lib 1-1 -> 1-1"},
		},
		{
			name: "update", before: "app, other, user", repo: bothPackages, request: LockRequest{Refresh: RefreshAll}, want: "aaa-1 app-2 lib-2 other-2 user-1",
			changes: []string{"aaa - -> 1-1", "app 1-1 -> 2-1", "chosen-a 1-1 -> -", "lib 1-1 -> 2-1 S-1 S-2", "other 1-1 -> 2-1 B-1"},
		},
		{
			name: "update one", before: "app, other", repo: bothPackages, request: LockRequest{Refresh: RefreshNamed, Packages: []string{"other"}}, want: "app-1 lib-1 other-2",
			changes: []string{"other 1-1 -> 2-1 B-1"},
		},
		{
			name: "update one and what it needs", before: "app, other", repo: bothPackages, request: LockRequest{Refresh: RefreshNamed, Packages: []string{"app"}},
			want: "app-2 lib-2 other-1", changes: []string{"app 1-1 -> 2-1", "lib 1-1 -> 2-1 S-1 S-2"},
		},
		{
			name: "update what cannot be", before: "app, other, bad", repo: bothPackages, request: LockRequest{Refresh: RefreshNamed, Packages: []string{"bad", "other"}},
			want: "app-1 bad-1 lib-1 other-2", held: "bad", changes: []string{"other 1-1 -> 2-1 B-1"},
		},
		{
			name: "security", before: "app, other, bad, user", repo: bothPackages, request: LockRequest{Refresh: RefreshSecurity},
			want: "app-1 bad-1 chosen-a-1 lib-2 other-1 user-1", changes: []string{"lib 1-1 -> 2-1 S-1 S-2"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			options := rpmtest.RepoOptions{Key: rpmtest.TestKey(t), Extra: map[string][]byte{"updateinfo": []byte(updates)}}
			if err := rpmtest.Repo(dir, options, rpmtest.MustParse(t, one)...); err != nil {
				t.Fatal(err)
			}
			f := newFleet(t, dir)
			f.mustLock(LockRequest{}, f.recipe("a", "packages: ["+test.before+"]"))
			if err := rpmtest.Repo(dir, options, rpmtest.MustParse(t, test.repo)...); err != nil {
				t.Fatal(err)
			}
			if test.after == "" {
				test.after = test.before
			}
			result := f.mustLock(test.request, f.recipe("a", "packages: ["+test.after+"]"))
			if got := takes(t, result.File, "a.yaml"); got != test.want {
				t.Errorf("takes %s, not %s", got, test.want)
			}
			var gone, changes []string
			for _, p := range result.Gone {
				gone = append(gone, p.NEVRA.String())
			}
			for _, c := range result.Changes {
				if c.Old == nil || c.New == nil || c.Old.HeaderSHA256 != c.New.HeaderSHA256 { // what is only signed anew
					changes = append(changes, changeLine(c))
				}
			}
			if d := cmp.Diff([]string{test.held, test.gone}, []string{strings.Join(result.Held, " "), strings.Join(gone, " ")}); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(test.changes, changes); d != "" {
				t.Error(d)
			}
		})
	}
}

func changeLine(c Change) string {
	old, new := "-", "-"
	if c.Old != nil {
		old = c.Old.EVR.String()
	}
	if c.New != nil {
		new = c.New.EVR.String()
	}
	s := fmt.Sprintf("%s %s -> %s", c.Name, old, new)
	for _, a := range c.Advisories {
		s += " " + a.ID
	}
	return s
}

// TestFit changes a locked recipe in one way each.
func TestFit(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, unionPackages)
	const text = "packages: [app, {name: libc, platforms: [linux/amd64]}]\nexclude: [x, y]\nprefer: [full, single]"
	for _, test := range []struct {
		name, text string
		options    RecipeOptions
		repo       func(string) string
		want       []string
	}{
		{name: "the same", text: text},
		{name: "what does not matter", text: text + "\nimage: {user: root}\nfiles: [{path: /x, content: y}]"},
		{name: "in another order", text: "packages: [{name: libc, platforms: [x86_64]}, app]\nexclude: [y, x]\nprefer: [full, single]"},
		{
			name: "packages", text: strings.Replace(text, "app", "low", 1),
			want: []string{"packages has low, which is not in the lock", "packages has no longer app, which is in the lock"},
		},
		{
			name: "for all platforms", text: strings.Replace(text, "{name: libc, platforms: [linux/amd64]}", "libc", 1),
			want: []string{"packages has libc, which is not in the lock", "packages has no longer libc on linux/amd64, which is in the lock"},
		},
		{name: "exclude", text: strings.Replace(text, "[x, y]", "[x]", 1), want: []string{"exclude has no longer y, which is in the lock"}},
		{name: "prefer", text: strings.Replace(text, "[full, single]", "[single, full]", 1), want: []string{"prefer has another order"}},
		{name: "dependencies", text: text + "\ndependencies: runtime", want: []string{"dependencies is runtime, and was full"}},
		{name: "platform", text: "platforms: [linux/amd64, linux/arm64]\n" + text, want: []string{"platform linux/arm64 is not in the lock"}},
		{
			name: "repository", text: text, repo: func(s string) string { return strings.Replace(s, "baseurl: /", "baseurl: /other/", 1) },
			want: []string{"repository.baseurl is /other" + repo + ", and was " + repo},
		},
		{
			name: "kind of repository", text: text, repo: func(s string) string { return strings.Replace(s, "baseurl", "metalink", 1) },
			want: []string{"the address of the repository is a metalink, and was a baseurl"},
		},
		{
			name: "release", text: text, repo: func(s string) string { return strings.Replace(s, "{", "{releasever: 9, ", 1) },
			want: []string{"repository.releasever is 9, and was nothing"},
		},
		{name: "a mirror", text: text, options: RecipeOptions{Set: []Setting{{"repository.baseurl", "https://mirror.example/"}}}},
		{
			name: "another release", text: text, options: RecipeOptions{Set: []Setting{{"repository.releasever", "9"}}},
			want: []string{"repository.releasever is 9, and was nothing"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, repo)
			lock := f.mustLock(LockRequest{}, f.recipe("a", text)).File
			if test.repo != nil {
				f.repo = test.repo(f.repo)
			}
			f.recipe("a", test.text)
			var got []string
			for _, m := range lock.Fit(f.read("a", test.options)) {
				got = append(got, m.Message)
			}
			if d := cmp.Diff(test.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestCheck knows recipes that are not in the lock, and those that are gone.
func TestCheck(t *testing.T) {
	f := newFleet(t, rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, unionPackages))
	a, b := f.recipe("a", "packages: [libc]"), f.recipe("b", "packages: [libc]")
	lock := f.mustLock(LockRequest{}, a, b).File
	if err := lock.Check(f.dir, []*Recipe{a, b}); err != nil {
		t.Error(err)
	}
	c := f.recipe("c", "packages: [libc]")
	if err := os.Remove(filepath.Join(f.dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	err := lock.Check(f.dir, []*Recipe{a, c})
	if err == nil || KindOf(err) != FailedGate {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"c.yaml: the recipe is not in the lock", "b.yaml: the recipe is in the lock, and its file is gone"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	result := f.mustLock(LockRequest{}, c)
	if d := cmp.Diff([]string{"b.yaml"}, result.Dropped); d != "" {
		t.Error(d)
	}
	if err := result.File.Check(f.dir, []*Recipe{a, c}); err != nil {
		t.Error(err)
	}
}

// TestLockUsage refuses recipes that do not belong together, and leaves the lock alone.
func TestLockUsage(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, unionPackages)
	f, elsewhere := newFleet(t, repo), newFleet(t, repo)
	a := f.recipe("a", "packages: [libc]")
	b := f.recipe("b", "packages: [libc]")
	f.mustLock(LockRequest{}, a, b)
	f.repo = strings.Replace(f.repo, "{", "{releasever: 9, ", 1)
	for _, test := range []struct {
		recipes []*Recipe
		want    string
	}{
		{[]*Recipe{a, elsewhere.recipe("c", "packages: [libc]")}, "is not in " + f.dir},
		{[]*Recipe{a, f.recipe("c", "packages: [libc]")}, "cannot share a lock, as the repository is not the same: repository.releasever is 9, not nothing"},
		{[]*Recipe{f.recipe("a", "packages: [libc]")}, "the lock also covers b.yaml, and the repository has changed: repository.releasever is 9"},
	} {
		before, err := os.ReadFile(filepath.Join(f.dir, LockFileName))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.lock(LockRequest{}, test.recipes...)
		if err == nil || !strings.Contains(err.Error(), test.want) || KindOf(err) != FailedUsage || HintOf(err) == "" {
			t.Errorf("got %v, not %s", err, test.want)
		}
		if after, err := os.ReadFile(filepath.Join(f.dir, LockFileName)); err != nil || string(after) != string(before) {
			t.Error("the lock has changed")
		}
	}
	f.mustLock(LockRequest{}, f.recipe("a", "packages: [libc]"), f.recipe("b", "packages: [libc]"))
}

// noNetwork refuses every request, and counts them.
type noNetwork struct{ requests []string }

func (n *noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.requests = append(n.requests, r.URL.String())
	return nil, errors.New("there is no network")
}

// TestLockedBuild builds over HTTP from a lock: without metadata, then without a network.
func TestLockedBuild(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	if err := os.WriteFile(filepath.Join(repo, "KEY"), rpmtest.TestKey(t).Public(), 0o666); err != nil {
		t.Fatal(err)
	}
	var asked []string
	files := http.FileServer(http.Dir(repo))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	mirrors := filepath.Join(t.TempDir(), "mirrors")
	if err := os.WriteFile(mirrors, []byte(server.URL+"/\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{"base URL": "baseurl: " + server.URL, "mirror list": "mirrorlist: file://" + mirrors} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, repo)
			f.repo = "{name: test, " + address + ", gpgkey: " + server.URL + "/KEY}"
			r := f.recipe("a", "packages: [app]")
			want := digestOf(t, buildRecipe(t, r, Options{}))
			f.mustLock(LockRequest{}, r)

			asked = nil
			got, err := f.lockedBuild(r, Options{CacheDir: t.TempDir(), WorkDir: t.TempDir(), Jobs: 1})
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("digest %s, not %s", got, want)
			}
			slices.Sort(asked)
			if d := cmp.Diff([]string{"/KEY", "/Packages/app-1-1.x86_64.rpm", "/Packages/setup-1-1.noarch.rpm", "/Packages/words-1-1.noarch.rpm"}, asked); d != "" {
				t.Errorf("fetched: %s", d)
			}

			network := &noNetwork{}
			offline := Options{CacheDir: f.o.CacheDir, WorkDir: t.TempDir(), Offline: true, Transport: network}
			if got, err = f.lockedBuild(r, offline); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("offline: digest %s, not %s", got, want)
			}
			offline.CacheDir = t.TempDir()
			if _, err = f.lockedBuild(r, offline); KindOf(err) != FailedNetwork {
				t.Errorf("with an empty cache: %v", err)
			}
			if len(network.requests) > 0 {
				t.Errorf("asked for %v", network.requests)
			}
		})
	}
}

// TestLockedRefusals spoils the lock or the repository in one way each; the build names the package and the fault.
func TestLockedRefusals(t *testing.T) {
	other, err := rpmtest.NewKey("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	const zeros = "0000000000000000000000000000000000000000000000000000000000000000"
	for _, test := range []struct {
		name  string
		lock  func(p *LockFilePackage)
		again *rpmtest.Key // signs the repository anew
		want  string
	}{
		{name: "header", lock: func(p *LockFilePackage) { p.HeaderSHA256 = zeros }, want: "and the lock says " + zeros},
		{name: "key", lock: func(p *LockFilePackage) { p.Key = "0123456789abcdef" }, want: "and the lock says 0123456789abcdef"},
		{name: "checksum", lock: func(p *LockFilePackage) { p.Checksum.Hex = zeros }, want: zeros},
		{name: "size", lock: func(p *LockFilePackage) { p.Size++ }, want: "bytes"},
		{name: "another package", lock: func(p *LockFilePackage) { p.NEVRA.Version = "9" }, want: "the file is package words-1-1.noarch"},
		{name: "signed by somebody else", again: other, want: "digest is sha256:"},
	} {
		t.Run(test.name, func(t *testing.T) {
			repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
			f := newFleet(t, repo)
			f.write("key", string(rpmtest.TestKey(t).Public())+string(other.Public()))
			r := f.recipe("a", "packages: [app]")
			lock := f.mustLock(LockRequest{}, r).File
			if test.lock != nil {
				i := slices.IndexFunc(lock.Packages, func(p LockFilePackage) bool { return p.Name == "words" })
				test.lock(&lock.Packages[i])
				if err := lock.Write(filepath.Join(f.dir, LockFileName)); err != nil {
					t.Fatal(err)
				}
			}
			if test.again != nil {
				if err := rpmtest.Repo(repo, rpmtest.RepoOptions{Key: test.again}, rpmtest.MustParse(t, demoPackages)...); err != nil {
					t.Fatal(err)
				}
			}
			_, err := f.lockedBuild(r, f.o)
			if err == nil || KindOf(err) != FailedVerification || !strings.Contains(err.Error(), "words-") && test.again == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestLockUnsigned locks unsigned packages, and fetches them anew once signatures are asked for.
func TestLockUnsigned(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{}, demoPackages)
	f := newFleet(t, repo)
	f.repo = "{name: test, baseurl: " + repo + ", gpgcheck: false}"
	r := f.recipe("a", "packages: [app]")
	lock := f.mustLock(LockRequest{}, r).File
	if lock.Packages[0].Key != "" || lock.Packages[0].HeaderSHA256 == "" {
		t.Errorf("locked: %+v", lock.Packages[0])
	}
	if _, err := f.lockedBuild(r, f.o); err != nil {
		t.Error(err)
	}
	f.repo = "{name: test, baseurl: " + repo + ", gpgkey: [key]}"
	if _, err := f.lock(LockRequest{}, f.recipe("a", "packages: [app]")); KindOf(err) != FailedVerification {
		t.Errorf("got %v", err)
	}
}

// TestLockPlatforms locks for two platforms whose repositories are not alike.
func TestLockPlatforms(t *testing.T) {
	dir := t.TempDir()
	key := rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}
	if err := rpmtest.Repo(dir+"/x86_64", key, rpmtest.MustParse(t, "package lib-1-1.x86_64\npackage only-1-1.x86_64\npackage all-1-1.noarch")...); err != nil {
		t.Fatal(err)
	}
	if err := rpmtest.Repo(dir+"/aarch64", key, rpmtest.MustParse(t, "package lib-2-1.aarch64\npackage all-1-1.noarch")...); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, dir+"/$basearch")
	const both = "platforms: [linux/amd64, linux/arm64]\n"
	const hint = `linux/amd64 has it: write {name: "only", platforms: [linux/amd64]}`
	lacking := f.recipe("a", both+"packages: [lib, only, all]")
	_, err := f.lock(LockRequest{}, lacking)
	_, resolveErr := Resolve(context.Background(), lacking, f.o)
	for _, err := range []error{err, resolveErr} {
		if KindOf(err) != FailedResolution || !strings.Contains(err.Error(), "linux/arm64: ") || !strings.Contains(err.Error(), hint) {
			t.Errorf("got %v", err)
		}
	}
	nobody := f.recipe("b", both+"packages: [nosuch]")
	if _, err := f.lock(LockRequest{}, nobody); err == nil || strings.Contains(err.Error(), "has it") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(nobody.File); err != nil {
		t.Fatal(err)
	}

	r := f.recipe("a", both+"packages: [lib, {name: only, platforms: [linux/amd64]}, all]")
	result := f.mustLock(LockRequest{}, r)
	arm := Platform{OS: "linux", Architecture: "arm64"}
	if got := takes(t, result.File, "a.yaml") + "; " + takesOn(t, result.File, "a.yaml", arm); got != "all-1 lib-1 only-1; all-1 lib-2" {
		t.Errorf("takes %s", got)
	}
	if d := cmp.Diff([]Lacking{{Recipe: "a.yaml", Platform: arm, Names: []string{"only"}}}, result.Lacking); d != "" {
		t.Error(d)
	}
	if len(result.Differing) != 1 || result.Differing[0].Name != "lib" || len(result.Differing[0].Builds) != 2 {
		t.Errorf("differing: %+v", result.Differing)
	}
	want := digestOf(t, buildRecipe(t, r, Options{}))
	if got, err := f.lockedBuild(r, f.o); err != nil || got != want {
		t.Errorf("digest %s, not %s (%v)", got, want, err)
	}
	if got := f.read("a", RecipeOptions{Platforms: []Platform{arm}}); len(result.File.Fit(got)) > 0 {
		t.Errorf("one platform does not fit: %v", result.File.Fit(got))
	}
}

// snapshots is a copy of the real distribution in which the packages that snapshot 2 has from snapshot 1 are links.
func snapshots(t *testing.T) string {
	t.Helper()
	from, to := tooltest.Shared(t, "distro"), t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o777)
		}
		target := path
		if info, err := d.Info(); err == nil && strings.HasSuffix(path, ".rpm") && info.Size() < 512 {
			link, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			target = filepath.Join(filepath.Dir(path), strings.TrimSpace(string(link)))
		}
		return os.Symlink(target, filepath.Join(to, rel))
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestSnapshots locks recipes against the first snapshot of a real distribution, updates to the second, and builds.
func TestSnapshots(t *testing.T) {
	distro := snapshots(t)
	f := newFleet(t, "")
	repository := func(release string) {
		f.repo = fmt.Sprintf(`{name: slimtest, baseurl: %s/$releasever/$component/x86_64/os, components: [BaseOS, AppStream],
  releasever: "%s", gpgkey: [%s/RPM-GPG-KEY-slimtest], repo_gpgcheck: true}`, distro, release, distro)
	}
	recipes := func() []*Recipe {
		return []*Recipe{
			f.recipe("base", "packages: [bash, coreutils-single, glibc-minimal-langpack]"),
			f.recipe("curl", "packages: [curl, coreutils]"), // which conflicts with coreutils-single
			f.recipe("httpd", "packages: [httpd]"),
		}
	}
	repository("1")
	first := f.mustLock(LockRequest{}, recipes()...)
	for _, p := range first.File.Packages {
		if p.Key == "" || p.HeaderSHA256 == "" || p.SourceRPM == "" || p.BuildTime == 0 {
			t.Errorf("%s is not all there: %+v", p.NEVRA, p)
		}
	}
	repository("2")
	now := recipes()
	if len(first.File.Fit(now[0])) == 0 {
		t.Error("the lock fits another release")
	}
	update := f.mustLock(LockRequest{Refresh: RefreshAll}, now...)
	var got []string
	for _, c := range update.Changes {
		got = append(got, fmt.Sprintf("%s %v %s", c.Name, c.Advisories[0].ID, strings.Join(c.Recipes, ",")))
	}
	want := []string{
		"bash SLSA-2026:5417 base.yaml,curl.yaml,httpd.yaml", "curl SLSA-2026:2707 curl.yaml", "httpd SLSA-2026:2548 httpd.yaml",
		"httpd-core SLSA-2026:2548 httpd.yaml", "httpd-filesystem SLSA-2026:2548 httpd.yaml", "httpd-tools SLSA-2026:2548 httpd.yaml",
		"libcurl SLSA-2026:2707 curl.yaml,httpd.yaml", "openssl-libs SLSA-2026:6322 curl.yaml,httpd.yaml",
		"sed SLSA-2026:2344 curl.yaml,httpd.yaml", "tzdata SLSA-2026:8231 base.yaml,curl.yaml,httpd.yaml",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	built, err := f.lockedBuild(now[0], f.o)
	if err != nil {
		t.Fatal(err)
	}
	if want := digestOf(t, buildRecipe(t, now[0], f.o)); built != want {
		t.Errorf("digest %s from the lock, %s without", built, want)
	}
}
