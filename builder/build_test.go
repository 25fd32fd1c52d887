package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slim/internal/fetch"
	"slim/internal/rpmtest"
)

const demoPackages = `
package setup-1-1.noarch
file /etc/passwd "root:x:0:0:root:/root:/bin/sh\n"
file /etc/group "root:x:0:\n"
package app-1-1.x86_64
requires setup, /usr/share/words
file /usr/bin/app 0755 "#!program\n"
file /usr/share/doc/app/README doc "read me\n"
file /usr/share/licenses/app/COPYING license "free\n"
file /usr/share/locale/de/LC_MESSAGES/app.mo lang=de "hallo\n"
provides user(app) = dSBhcHAgLSAiQXBwIiAvc3J2L2FwcA, group(app)
file /srv/app/data user=app group=app "x\n"
hard /usr/bin/app2 /usr/bin/app
hard /usr/bin/app3 /usr/bin/app
package words-1-1.noarch
file /usr/share/words "a b c\n"
`

// testRecipe writes a recipe for a repository and reads it.
func testRecipe(t *testing.T, repo, extra string) *Recipe {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "key"), rpmtest.TestKey(t).Public(), 0o666); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("name: demo\nrepository: {name: test, baseurl: %s, gpgkey: [key]}\nplatforms: [linux/amd64]\n%s", repo, extra)
	file := filepath.Join(dir, "demo.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe(file, RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestBuild(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	r := testRecipe(t, repo, `
packages: [app]
accounts: {users: [{name: web, uid: 2000, home: /home/web}]}
files: [{path: /etc/motd, content: "hi\n", mode: "0600", owner: web}]
image: {entrypoint: [/usr/bin/app], user: web, env: {A: b}}
`)
	img := buildRecipe(t, r, Options{})
	p := img.Platforms[0]
	if err := validate.Image(p.Image); err != nil {
		t.Error(err)
	}
	config, err := p.Image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "2000:2000" || len(config.History) != len(p.Layers) {
		t.Errorf("config: %+v", config)
	}
	if d := cmp.Diff([]string{"PATH=" + defaultPath, "A=b"}, config.Config.Env); d != "" {
		t.Error(d)
	}
	want := []Stripped{{"docs", 1, 8}, {"locales", 1, 6}, {"paths", 0, 0}}
	if d := cmp.Diff(want, p.Stripped); d != "" {
		t.Errorf("stripped: %s", d)
	}
	dest := filepath.Join(t.TempDir(), "oci")
	deliver(t, img, "oci:"+dest)
	seen, err := Inspect(context.Background(), "oci:"+dest+":demo", Options{WorkDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	one := seen.Images[0]
	if d := cmp.Diff(want[:2], []Stripped{one.Stripped[0], one.Stripped[1]}); d != "" {
		t.Errorf("inspect: %s", d)
	}
	var users, packages []string
	for _, u := range one.Users {
		users = append(users, fmt.Sprintf("%s:%d", u.Name, u.UID))
	}
	for _, pkg := range one.Packages {
		packages = append(packages, pkg.NEVRA.String())
	}
	if d := cmp.Diff([]string{"root:0", "app:999", "web:2000"}, users); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"app-1-1.x86_64", "setup-1-1.noarch", "words-1-1.noarch"}, packages); d != "" {
		t.Error(d)
	}
}

// TestSameDigest builds one recipe in different circumstances.
func TestSameDigest(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	var first string
	cache := t.TempDir()
	for i, o := range []Options{{Jobs: 1}, {Jobs: 7}, {CacheDir: cache}, {CacheDir: cache}} {
		r := testRecipe(t, repo, "packages: [app]\nfiles: [{path: /x, content: y}]")
		digest, err := buildRecipe(t, r, o).Platforms[0].Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = digest.String()
		}
		if digest.String() != first {
			t.Errorf("build %d: %s, not %s", i, digest, first)
		}
	}
}

// TestSameDigestWhateverTheCache builds and delivers with a cache that has everything, of which parts are gone, and of
// which parts are damaged.
func TestSameDigestWhateverTheCache(t *testing.T) {
	for _, compression := range []string{"gzip", "zstd"} {
		repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
		r := testRecipe(t, repo, "packages: [app]\nfiles: [{path: /x, content: y}]\nlayers: {compression: "+compression+"}")
		want, dir := "", filepath.Join(t.TempDir(), "oci")
		dest := "oci:" + dir
		build := func(what, cache string) {
			t.Helper()
			img := buildRecipe(t, r, Options{CacheDir: cache})
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			got := deliver(t, img, dest).Digest
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%s, %s: %s, not %s", compression, what, got, want)
			}
			if _, err := Inspect(context.Background(), dest+":demo", Options{WorkDir: t.TempDir()}); err != nil {
				t.Errorf("%s, %s: %v", compression, what, err)
			}
		}
		cache := t.TempDir()
		build("cold", cache)
		build("warm", cache)
		kinds, err := os.ReadDir(filepath.Join(cache, "kept"))
		if err != nil || len(kinds) < 4 {
			t.Fatal(kinds, err)
		}
		damage := map[string]func(p string, b []byte) error{
			"gone":  func(p string, _ []byte) error { return os.Remove(p) },
			"cut":   func(p string, b []byte) error { return os.Truncate(p, int64(len(b)/2)) },
			"a bit": func(p string, b []byte) error { b[len(b)/2] ^= 1; return os.WriteFile(p, b, 0o644) },
		}
		for _, how := range slices.Sorted(maps.Keys(damage)) {
			for n := range len(kinds) + 1 { // each kind, then all
				touched := 0
				for k, kind := range kinds {
					if n != k && n < len(kinds) {
						continue
					}
					err := filepath.WalkDir(filepath.Join(cache, "kept", kind.Name()), func(p string, d os.DirEntry, err error) error {
						if err != nil || d.IsDir() {
							return err
						}
						b, err := os.ReadFile(p)
						if err != nil {
							return err
						}
						touched++
						return damage[how](p, b)
					})
					if err != nil {
						t.Fatal(err)
					}
				}
				if touched > 0 {
					build(fmt.Sprintf("%s, kind %d", how, n), cache)
				}
				if n == len(kinds) {
					wantWhole(t, cache)
				}
			}
		}
	}
}

// wantWhole reads all that was computed and is kept in a cache: nothing of it is damaged.
func wantWhole(t *testing.T, dir string) {
	t.Helper()
	cache, err := fetch.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := filepath.Glob(filepath.Join(dir, "kept", "*", "*", "*"))
	if err != nil || len(entries) == 0 {
		t.Fatal(entries, err)
	}
	for _, p := range entries {
		kind, key := filepath.Base(filepath.Dir(filepath.Dir(p))), filepath.Base(p)
		k, err := cache.Kept(kind, key)
		if err != nil || k == nil {
			t.Errorf("%s/%s: %v, %v", kind, key, k, err)
			continue
		}
		if _, err := io.Copy(io.Discard, k); err != nil {
			t.Error(err)
		}
		k.Close()
	}
}

// TestPrunedBeforeDelivery takes all out of the cache between a build and its delivery.
func TestPrunedBeforeDelivery(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	cache := t.TempDir()
	img := buildRecipe(t, testRecipe(t, repo, "packages: [app]"), Options{CacheDir: cache})
	want := deliver(t, img, "oci:"+filepath.Join(t.TempDir(), "a")).Digest
	if err := os.RemoveAll(filepath.Join(cache, "kept")); err != nil {
		t.Fatal(err)
	}
	if got := deliver(t, img, "oci:"+filepath.Join(t.TempDir(), "b")).Digest; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}

// TestPackagesAreNotOpenedAgain builds an image of other configuration when the files of its packages are gone: all that
// it takes of them is in the cache.
func TestPackagesAreNotOpenedAgain(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	o := Options{CacheDir: t.TempDir()}
	extra := "packages: [app]\naccounts: {users: [{name: web, uid: 2000}]}\nfiles: [{path: /x, content: %s}]"
	first := buildRecipe(t, testRecipe(t, repo, fmt.Sprintf(extra, "y")), o)
	want := buildRecipe(t, testRecipe(t, repo, fmt.Sprintf(extra, "z")), Options{})
	edit(t, repo, ".rpm", func([]byte) []byte { return []byte("gone") })
	got := buildRecipe(t, testRecipe(t, repo, fmt.Sprintf(extra, "z")), o)
	digest := func(img *Image) string {
		d, err := img.Platforms[0].Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return d.String()
	}
	if digest(got) != digest(want) || digest(got) == digest(first) {
		t.Errorf("%s, not %s; the first was %s", digest(got), digest(want), digest(first))
	}
}

func FuzzReads(f *testing.F) {
	written := func(spans map[spanAt][]byte) []byte {
		var b bytes.Buffer
		if err := writeReads(&b, spans); err != nil {
			f.Fatal(err)
		}
		return b.Bytes()
	}
	f.Add(written(map[spanAt][]byte{{0, 0}: []byte("head"), {2, 700}: nil}))
	f.Add([]byte{0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reads{spans: map[spanAt][]byte{}}
		r.parse(b, 3)
		again := &reads{spans: map[spanAt][]byte{}}
		again.parse(written(r.spans), 3)
		if d := cmp.Diff(r.spans, again.spans, cmp.AllowUnexported(spanAt{}), cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}

// TestRefusals spoils a repository in one way each, and expects the build to name what is wrong.
func TestRefusals(t *testing.T) {
	other, err := rpmtest.NewKey("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	key := rpmtest.TestKey(t)
	for _, test := range []struct {
		name  string
		key   *rpmtest.Key // that signs the packages
		spoil func(t *testing.T, repo string)
		text  string
		extra string
		kind  FailureKind
		want  []string
	}{
		{name: "unsigned", key: nil, kind: FailedVerification, want: []string{"words-1-1.noarch", "no signature"}},
		{name: "another key", key: other, kind: FailedVerification, want: []string{"words-1-1.noarch", "key"}},
		{name: "truncated", key: key, spoil: func(t *testing.T, repo string) {
			edit(t, repo, "words", func(b []byte) []byte { return b[:len(b)-9] })
		}, kind: FailedVerification, want: []string{"words-1-1.noarch", "bytes"}},
		{name: "changed", key: key, spoil: func(t *testing.T, repo string) {
			edit(t, repo, "words", func(b []byte) []byte { b[len(b)-9] ^= 1; return b })
		}, kind: FailedVerification, want: []string{"words-1-1.noarch", "sha256"}},
		{name: "gone", key: key, spoil: func(t *testing.T, repo string) {
			for _, f := range glob(t, repo, "words") {
				os.Remove(f)
			}
		}, kind: FailedNetwork, want: []string{"words-1-1.noarch"}},
		{name: "metadata changed", key: key, spoil: func(t *testing.T, repo string) {
			edit(t, filepath.Join(repo, "repodata"), "primary", func(b []byte) []byte { b[len(b)-5] ^= 1; return b })
		}, kind: FailedVerification, want: []string{"primary"}},
		{name: "metadata signed by another key", key: key, extra: "repo", spoil: func(t *testing.T, repo string) {
			asc, err := other.SignArmored([]byte("something else"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(repo, "repodata/repomd.xml.asc"), asc, 0o666); err != nil {
				t.Fatal(err)
			}
		}, kind: FailedVerification, want: []string{"repomd.xml"}},
		{name: "nobody provides it", key: key, extra: "packages: [app, nosuch]", kind: FailedResolution, want: []string{"nosuch"}},
		{name: "files conflict", key: key, text: demoPackages + `
package clash-1-1.noarch
file /usr/share/words "other\n"
`, extra: "packages: [app, words, clash]", kind: FailedResolution, want: []string{"/usr/share/words", "clash-1-1.noarch", "words-1-1.noarch", "content"}},
		{name: "no such user", key: key, extra: "packages: [app]\nimage: {user: nobodyhere}", kind: FailedOther, want: []string{"nobodyhere"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.text == "" {
				test.text = demoPackages
			}
			if !strings.Contains(test.extra, "packages:") {
				if test.extra == "repo" {
					test.extra = ""
				}
				test.extra += "\npackages: [app]"
			}
			repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: test.key}, test.text)
			if test.spoil != nil {
				test.spoil(t, repo)
			}
			r := testRecipe(t, repo, test.extra)
			r.Repository.RepoGPGCheck = strings.Contains(test.name, "metadata signed")
			work := t.TempDir()
			o := Options{WorkDir: work, CacheDir: t.TempDir()}
			lock, err := Resolve(context.Background(), r, o)
			if err == nil {
				_, err = Build(context.Background(), r, lock, o)
			}
			if err == nil {
				t.Fatal("it was built")
			}
			if KindOf(err) != test.kind {
				t.Errorf("kind %d, not %d: %v", KindOf(err), test.kind, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// TestUnsignedAllowed builds from unsigned packages when the recipe says so, and the image says it too.
func TestUnsignedAllowed(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{}, demoPackages)
	r := testRecipe(t, repo, "packages: [app]")
	r.Repository.GPGCheck = false
	img := buildRecipe(t, r, Options{})
	m, err := img.Platforms[0].Image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if m.Annotations["slim.gpgcheck"] != "false" {
		t.Errorf("annotations: %v", m.Annotations)
	}
}

// TestCancelled ends in the middle and leaves nothing.
func TestCancelled(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	r := testRecipe(t, repo, "packages: [app]")
	work := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	o := Options{WorkDir: work, CacheDir: t.TempDir(), Report: func(e Event) {
		if e.Phase == PhaseLayers {
			cancel()
		}
	}}
	lock, err := Resolve(ctx, r, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Build(ctx, r, lock, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func glob(t *testing.T, dir, part string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(filepath.Base(p), part) {
			found = append(found, p)
		}
		return err
	})
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s below %s: %v", part, dir, err)
	}
	return found
}

func edit(t *testing.T, dir, part string, change func([]byte) []byte) {
	t.Helper()
	for _, f := range glob(t, dir, part) {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		changed := change(bytes.Clone(b))
		if bytes.Equal(b, changed) {
			t.Fatal("nothing changed")
		}
		if err := os.WriteFile(f, changed, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
