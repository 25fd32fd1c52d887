package builder

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"slim/internal/audit"
	"slim/internal/fetch"
	"slim/internal/image"
	"slim/internal/rpmtest"
	"slim/internal/store"
	"slim/internal/tooltest"
)

// workers are machines with caches of their own, a registry in memory, and a repository of familyPackages on a server.
type workers struct {
	t      *testing.T
	repo   string // address
	cache  string // docker://REFERENCE
	host   string // of the registry
	memory http.Handler

	mu       sync.Mutex
	packages []string // asked for at the repository
	requests []string // to the registry
	answer   func(http.ResponseWriter, *http.Request) bool
}

func newWorkers(t *testing.T) *workers {
	t.Helper()
	w := &workers{t: t, memory: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	files := http.FileServer(http.Dir(rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, familyPackages)))
	repo := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".rpm") {
			w.mu.Lock()
			w.packages = append(w.packages, filepath.Base(r.URL.Path))
			w.mu.Unlock()
		}
		files.ServeHTTP(out, r)
	}))
	t.Cleanup(repo.Close)
	images := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.requests = append(w.requests, r.Method+" "+r.URL.Path)
		answer := w.answer
		w.mu.Unlock()
		if answer == nil || !answer(out, r) {
			w.memory.ServeHTTP(out, r)
		}
	}))
	t.Cleanup(images.Close)
	w.repo, w.host = repo.URL, strings.TrimPrefix(images.URL, "http://")
	w.cache = "docker://" + w.host + "/cache:slim"
	return w
}

// worker is one machine while it builds once.
type worker struct {
	*workers
	o        Options
	messages []string
}

// newWorker is a machine with an empty cache that reads the shared cache from, and writes it to to unless that is "".
func (w *workers) newWorker(from, to string) *worker {
	w.t.Helper()
	one := &worker{workers: w, o: Options{CacheDir: w.t.TempDir(), WorkDir: w.t.TempDir()}}
	var mu sync.Mutex
	one.o.Report = func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Message != "" {
			one.messages = append(one.messages, e.Message)
		}
	}
	var sources []string
	if from != "" {
		sources = append(sources, from)
	}
	var err error
	if one.o.Shared, err = OpenSharedCache(w.t.Context(), sources, to, one.o); err != nil {
		w.t.Fatal(err)
	}
	return one
}

// build builds an image of some packages and writes it to a destination; "" is a layout. It returns the digest.
func (w *worker) build(packages, dest string) string {
	w.t.Helper()
	img := buildRecipe(w.t, testRecipe(w.t, w.repo, "packages: ["+packages+"]\n"), w.o)
	if dest == "" {
		dest = "oci:" + filepath.Join(w.t.TempDir(), "oci")
	}
	return deliver(w.t, img, dest).Digest
}

func (w *worker) push() {
	w.t.Helper()
	if err := w.o.Shared.Push(w.t.Context(), w.o); err != nil {
		w.t.Fatal(err)
	}
}

// warnings are what was said about the shared cache.
func (w *worker) warnings() (out []string) {
	for _, m := range w.messages {
		if strings.HasPrefix(m, "warning: shared cache") {
			out = append(out, m)
		}
	}
	return out
}

// asked are the packages and the requests since it was asked last.
func (w *workers) asked() (packages, requests []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	packages, requests = w.packages, w.requests
	w.packages, w.requests = nil, nil
	slices.Sort(packages)
	return packages, requests
}

func (w *workers) answers(f func(http.ResponseWriter, *http.Request) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = f
}

// TestSharedCache has a second worker build what the first one built, and what has a package more.
func TestSharedCache(t *testing.T) {
	w := newWorkers(t)
	target := "docker://" + w.host + "/image:1"
	first := w.newWorker(w.cache, w.cache)
	want := first.build("app", target)
	first.push()
	if packages, _ := w.asked(); len(packages) != 2 {
		t.Errorf("the first worker fetched %q", packages)
	}
	second := w.newWorker(w.cache, w.cache)
	got := second.build("app", target)
	second.push()
	packages, requests := w.asked()
	if got != want || len(packages) > 0 || len(second.warnings()) > 0 {
		t.Errorf("the second worker: %s, not %s; fetched %q; %q", got, want, packages, second.messages)
	}
	kinds := map[string]int{}
	for _, r := range requests {
		method, path, _ := strings.Cut(r, " ")
		kinds[method+" "+strings.TrimPrefix(filepath.Dir(path), "/v2/")]++
	}
	delete(kinds, "GET /v2") // is it a registry?
	// The manifest, the index, the catalog and the records of the cache, and whether the image is there.
	if d := cmp.Diff(map[string]int{"GET cache/manifests": 1, "GET cache/blobs": 3, "HEAD image/manifests": 1}, kinds); d != "" {
		t.Errorf("%s%s", d, strings.Join(requests, "\n"))
	}
	if got := w.newWorker(w.cache, "").build("app", ""); got != want {
		t.Errorf("read whole: %s, not %s", got, want)
	}
	if packages, _ := w.asked(); len(packages) > 0 {
		t.Errorf("read whole: fetched %q", packages)
	}
	wantMore := w.newWorker("", "").build("app, tools", "")
	w.asked()
	third := w.newWorker(w.cache, w.cache)
	got = third.build("app, tools", "")
	third.push()
	if packages, _ := w.asked(); got != wantMore || !slices.Equal(packages, []string{"tools-1-1.x86_64.rpm"}) {
		t.Errorf("a package more: %s, not %s; fetched %q", got, wantMore, packages)
	}
	for list, want := range map[string]string{"app": want, "app, tools": wantMore} {
		if got := w.newWorker(w.cache, "").build(list, ""); got != want {
			t.Errorf("%s: %s, not %s", list, got, want)
		}
	}
	if packages, _ := w.asked(); len(packages) > 0 {
		t.Errorf("fetched %q", packages)
	}
}

// TestSharedCacheDamage spoils each blob of a shared cache in each way. Builds are as without it, and who writes it then
// makes it whole for all.
func TestSharedCacheDamage(t *testing.T) {
	w := newWorkers(t)
	first := w.newWorker("", w.cache)
	want := first.build("app", "")
	first.push()
	index := w.index(w.cache) // that of the same entries is the same
	type spoil func(out http.ResponseWriter, b []byte)
	ways := map[string]spoil{
		"bit":     func(out http.ResponseWriter, b []byte) { b[len(b)/2] ^= 1; out.Write(b) },
		"cut":     func(out http.ResponseWriter, b []byte) { out.Write(b[:len(b)/2]) },
		"more":    func(out http.ResponseWriter, b []byte) { out.Write(append(b, 0)) },
		"gone":    func(out http.ResponseWriter, b []byte) { out.WriteHeader(http.StatusNotFound) },
		"refused": func(out http.ResponseWriter, b []byte) { out.WriteHeader(http.StatusForbidden) },
	}
	spoiled := func(tag, way string, blobs ...cacheBlob) {
		t.Helper()
		w.answers(nil)
		cache := w.cache + "-" + tag
		first := w.newWorker("", cache)
		first.build("app", "")
		first.push()
		w.answers(func(out http.ResponseWriter, r *http.Request) bool {
			digest := filepath.Base(r.URL.Path)
			if r.Method != http.MethodGet || !slices.ContainsFunc(blobs, func(b cacheBlob) bool { return b.Digest.String() == digest }) {
				return false
			}
			whole := httptest.NewRecorder()
			w.memory.ServeHTTP(whole, r)
			ways[way](out, whole.Body.Bytes())
			return true
		})
		second := w.newWorker(cache, cache)
		if got := second.build("app", ""); got != want || len(second.warnings()) != 1 && len(blobs) > 1 || len(second.warnings()) > 1 {
			t.Errorf("%s: %s, not %s; %q", tag, got, want, second.messages)
		}
		if way == "refused" { // who is refused one blob does not ask for others
			return
		}
		second.push()
		w.asked()
		third := w.newWorker(cache, "")
		got := third.build("app", "")
		if packages, _ := w.asked(); got != want || len(packages) > 0 || len(third.warnings()) > 0 && len(blobs) > 1 {
			t.Errorf("%s, made whole: %s, not %s; fetched %q; %q", tag, got, want, packages, third.messages)
		}
	}
	for _, way := range slices.Sorted(maps.Keys(ways)) {
		spoiled(way, way, index.Blobs...)
	}
	for i, b := range index.Blobs {
		spoiled(fmt.Sprintf("%s-%d", b.Entries[0].Kind, i), "gone", b)
	}
}

// index is that of a cache.
func (w *workers) index(cache string) *cacheIndex {
	w.t.Helper()
	ref, err := store.Parse(cache)
	if err != nil {
		w.t.Fatal(err)
	}
	bundle, err := store.OpenBundle(ref, store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	manifest, _, err := bundle.Manifest(w.t.Context())
	if err != nil || manifest == nil {
		w.t.Fatal(err)
	}
	x, err := readCacheIndex(w.t.Context(), bundle, manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// TestSharedCacheUnusable reads caches that are none: the build is as without them, and says so once.
func TestSharedCacheUnusable(t *testing.T) {
	w := newWorkers(t)
	want := w.newWorker("", "").build("app", "")
	img, err := random.Image(100, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(w.host + "/an/image:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, img); err != nil {
		t.Fatal(err)
	}
	manifest := func(text string) func(http.ResponseWriter, *http.Request) bool {
		return func(out http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/cache/manifests/") {
				return false
			}
			out.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			io.WriteString(out, text)
			return true
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) bool {
		return func(out http.ResponseWriter, r *http.Request) bool {
			out.WriteHeader(code)
			return true
		}
	}
	newer := strings.Replace(cacheArtifact, ".v1", ".v2", 1)
	empty := "sha256:" + hexSHA256(nil)
	for name, test := range map[string]struct {
		from    string
		answer  func(http.ResponseWriter, *http.Request) bool
		warning string // part of it; "" for none
		offline bool
	}{
		"none yet":      {from: w.cache},
		"an image":      {from: "docker://" + w.host + "/an/image:1", warning: "is no cache of this version"},
		"garbage":       {from: w.cache, answer: manifest("}{"), warning: "reading manifest"},
		"another form":  {from: w.cache, answer: manifest(fmt.Sprintf(`{"artifactType":%q}`, newer)), warning: "is no cache of this version"},
		"no index":      {from: w.cache, answer: manifest(fmt.Sprintf(`{"artifactType":%q,"config":{"mediaType":%q,"size":3,"digest":%q}}`, cacheArtifact, cacheIndexType, empty)), warning: "registry"},
		"no permission": {from: w.cache, answer: status(http.StatusForbidden), warning: "forbids"},
		"no login":      {from: w.cache, answer: status(http.StatusUnauthorized), warning: "credentials"},
		"no network":    {from: "docker://127.0.0.1:1/cache:slim", warning: "reaching registry 127.0.0.1:1"},
		"offline":       {from: w.cache, offline: true, warning: "offline"},
	} {
		w.answers(test.answer)
		w.asked()
		one := w.newWorker(test.from, "")
		// The repository is asked nevertheless, as one on this machine would be.
		one.o.Shared.from[0].offline = test.offline
		got := one.build("app", "")
		warnings := one.warnings()
		if got != want || len(warnings) > 1 || (test.warning == "") != (len(warnings) == 0) || !strings.Contains(strings.Join(warnings, ""), test.warning) {
			t.Errorf("%s: %s, not %s; %q", name, got, want, one.messages)
		}
		if _, requests := w.asked(); test.offline && len(requests) > 0 {
			t.Errorf("offline: %q", requests)
		}
	}
	w.answers(nil)
	one := w.newWorker("", "docker://"+w.host+"/an/image:1")
	one.build("app", "")
	if err := one.o.Shared.Push(t.Context(), one.o); err == nil || !strings.Contains(err.Error(), "is no cache") {
		t.Errorf("an image was replaced: %v", err)
	}
	w.answers(status(http.StatusForbidden))
	for to, ignored := range map[string]bool{w.cache: false, w.cache + ",ignore-error=true": true} {
		one := w.newWorker("", to)
		one.build("app", "")
		var answer *store.RegistryError
		if err := one.o.Shared.Push(t.Context(), one.o); ignored != (err == nil) || !ignored && !errors.As(err, &answer) {
			t.Errorf("writing without permission to %s: %v", to, err)
		}
		if said := strings.Contains(strings.Join(one.messages, "\n"), "warning: writing shared cache"); said != ignored {
			t.Errorf("writing without permission to %s: %q", to, one.messages)
		}
	}
}

// TestSharedCacheWithPassword asks a real registry without its password, and with it where podman keeps it.
func TestSharedCacheWithPassword(t *testing.T) {
	tooltest.Need(t, "docker-registry", "htpasswd")
	d := t.TempDir()
	if err := os.WriteFile(d+"/htpasswd", []byte(tooltest.Run(t, nil, "htpasswd", "-Bbn", "alice", "s3cret")), 0o600); err != nil {
		t.Fatal(err)
	}
	host, _ := tooltest.Registry(t, "", fmt.Sprintf("auth:\n  htpasswd: {realm: slim, path: %s}\n", d+"/htpasswd"))
	for _, e := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG"} {
		t.Setenv(e, "")
	}
	t.Setenv("HOME", d)
	w := newWorkers(t)
	cache := "docker://" + host + "/cache:slim"
	one := w.newWorker(cache, cache)
	want := one.build("app", "")
	if warnings := one.warnings(); len(warnings) != 1 || !strings.Contains(warnings[0], "wants other credentials") {
		t.Errorf("%q", one.messages)
	}
	var answer *store.RegistryError
	if err := one.o.Shared.Push(t.Context(), one.o); !errors.As(err, &answer) || answer.Status != http.StatusUnauthorized {
		t.Errorf("%v", err)
	}
	auth := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("alice:s3cret")))
	if err := os.WriteFile(d+"/auth.json", []byte(auth), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("REGISTRY_AUTH_FILE", d+"/auth.json")
	first := w.newWorker(cache, cache)
	first.build("app", "")
	first.push()
	w.asked()
	second := w.newWorker(cache, "")
	got := second.build("app", "")
	if packages, _ := w.asked(); got != want || len(packages) > 0 || len(second.warnings()) > 0 {
		t.Errorf("%s, not %s; fetched %q; %q", got, want, packages, second.messages)
	}
}

// TestSharedCacheRace has a worker write the cache while another one does: what both brought is there.
func TestSharedCacheRace(t *testing.T) {
	w := newWorkers(t)
	a, b := w.newWorker("", w.cache), w.newWorker("", w.cache)
	wantA, wantB := a.build("app", ""), b.build("tools", "")
	var once sync.Once
	w.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost {
			once.Do(func() {
				w.answers(nil)
				if err := b.o.Shared.Push(context.Background(), b.o); err != nil {
					t.Error(err)
				}
			})
		}
		return false
	})
	a.push()
	w.asked()
	gotA, gotB := w.newWorker(w.cache, "").build("app", ""), w.newWorker(w.cache, "").build("tools", "")
	if packages, _ := w.asked(); gotA != wantA || gotB != wantB || len(packages) > 0 {
		t.Errorf("%s and %s, not %s and %s; fetched %q", gotA, gotB, wantA, wantB, packages)
	}
}

// TestSharedCacheCopied reads one cache and writes another, in the same registry and in a second one.
func TestSharedCacheCopied(t *testing.T) {
	w, elsewhere := newWorkers(t), newWorkers(t)
	first := w.newWorker("", w.cache)
	want := first.build("app", "")
	first.push()
	for _, to := range []string{"docker://" + w.host + "/cache:branch", "docker://" + w.host + "/other:slim", elsewhere.cache} {
		second := w.newWorker(w.cache, to)
		second.build("app", "docker://"+w.host+"/image:1")
		second.push()
		w.asked()
		got := w.newWorker(to, "").build("app", "")
		if packages, _ := w.asked(); got != want || len(packages) > 0 {
			t.Errorf("%s: %s, not %s; fetched %q", to, got, want, packages)
		}
	}
}

// TestSharedCachePoisoned has somebody put other content under the key of a packed segment: nothing tells that from the
// right one but Verify, of the image.
func TestSharedCachePoisoned(t *testing.T) {
	w := newWorkers(t)
	evil := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, strings.Replace(familyPackages, `"tool\n"`, `"evil\n"`, 1))
	elsewhere := t.TempDir()
	buildRecipe(t, testRecipe(t, evil, "packages: [tools]"), Options{CacheDir: elsewhere})
	first := w.newWorker("", w.cache)
	want := first.build("tools", "")
	key, _ := segmentWith(t, first.o.CacheDir, "tool\n")
	_, content := segmentWith(t, elsewhere, "evil\n")
	cache, err := fetch.OpenCache(first.o.CacheDir)
	if err != nil {
		t.Fatal(err)
	}
	if err := keepShared(cache, cacheEntry{cacheKey{image.KindSegment, key}, int64(len(content))}, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(first.o.Shared.used, func(k cacheKey, _ bool) bool { return k.Kind == kindImage || k.Kind == image.KindLayer })
	first.push()
	dest := "oci:" + filepath.Join(t.TempDir(), "oci")
	if got := w.newWorker(w.cache, "").build("tools", dest); got == want {
		t.Fatal("the image is not poisoned: the test shows nothing")
	}
	key = filepath.Join(testRecipe(t, w.repo, "packages: [tools]").Dir, "key")
	v := verifyIt(t, dest+":demo", VerifyOptions{Keys: []string{key}})
	if !slices.ContainsFunc(v.Report.Findings, func(f audit.Finding) bool { return f.Path == "/usr/bin/tool" }) {
		t.Errorf("findings: %v", v.Report.Findings)
	}
}

// segmentWith is the packed segment in a cache that has a file with some content, and its key.
func segmentWith(t *testing.T, dir, content string) (string, []byte) {
	t.Helper()
	cache, err := fetch.OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "kept", image.KindSegment, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		k, err := cache.Kept(image.KindSegment, filepath.Base(p))
		if err != nil || k == nil {
			t.Fatal(k, err)
		}
		packed, err := io.ReadAll(k)
		k.Close()
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(flate.NewReader(bytes.NewReader(packed))) // which has no end of its own
		if bytes.Contains(raw, append([]byte(content), make([]byte, 100)...)) {
			return filepath.Base(p), packed
		}
	}
	t.Fatalf("no segment has %q", content)
	return "", nil
}

// TestSharedCacheOfKnown writes the cache from a machine that has built the image before, and needed nothing but its record:
// in it is what a build of something more needs.
func TestSharedCacheOfKnown(t *testing.T) {
	w := newWorkers(t)
	one := w.newWorker("", w.cache)
	shared := one.o.Shared
	one.o.Shared = nil
	one.build("app", "")
	one.o.Shared = shared
	one.build("app", "")
	one.push()
	w.asked()
	w.newWorker(w.cache, "").build("app, tools", "")
	if packages, _ := w.asked(); !slices.Equal(packages, []string{"tools-1-1.x86_64.rpm"}) {
		t.Errorf("fetched %q", packages)
	}
}

// TestSharedCacheSpread has small entries of one build in many blobs: they are packed anew, and the blobs that held them go.
func TestSharedCacheSpread(t *testing.T) {
	cache := openTestCache(t)
	p := &cachePush{shared: &SharedCache{}, cache: cache, used: map[cacheKey]bool{}}
	x := &cacheIndex{}
	for n := range 2*maxSpread + 2 {
		e := cacheEntry{cacheKey{kindHead, fmt.Sprintf("%064x", n)}, 1}
		if err := keepShared(cache, e, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		p.used[e.cacheKey] = true
		if n%2 == 0 {
			x.Blobs = append(x.Blobs, cacheBlob{Descriptor: v1.Descriptor{MediaType: cacheZstdType, Digest: sha256Hash([]byte(e.Key)), Size: 1}})
		}
		last := &x.Blobs[len(x.Blobs)-1]
		last.Entries = append(last.Entries, e)
	}
	for _, test := range []struct{ blobs, wanted int }{{maxSpread + 1, 2*maxSpread + 2}, {maxSpread, 2}} {
		p.setOlder(&cacheIndex{Blobs: x.Blobs[:test.blobs]})
		wanted, copied, err := p.lacking()
		if err != nil || len(copied) > 0 || len(wanted[cacheGroup(kindHead)]) != test.wanted {
			t.Fatalf("in %d blobs: %d entries, %v", test.blobs, len(wanted[cacheGroup(kindHead)]), err)
		}
		if test.blobs == maxSpread {
			continue
		}
		fresh, err := p.pack(wanted)
		if err != nil || len(fresh) != 1 {
			t.Fatal(fresh, err)
		}
		if got := (&cacheIndex{Blobs: []cacheBlob{fresh[0].blob}}).join(p.older...); len(got.Blobs) != 1 {
			t.Errorf("%d blobs are left", len(got.Blobs))
		}
	}
}

func TestSharedCacheReferences(t *testing.T) {
	o := Options{CacheDir: "cache"}
	for _, test := range []struct {
		from, to string
		o        Options
	}{
		{from: "oci:cache", o: o},
		{from: "localhost/cache", o: o},
		{to: "oci:cache", o: o},
		{to: "docker://localhost/a,b", o: o},
		{to: "docker://localhost/cache@sha256:" + strings.Repeat("ab", 32), o: o},
		{to: "docker://localhost/cache", o: Options{CacheDir: "cache", Offline: true}},
		{to: "docker://localhost/cache"},
	} {
		var from []string
		if test.from != "" {
			from = []string{test.from}
		}
		if _, err := OpenSharedCache(t.Context(), from, test.to, test.o); err == nil {
			t.Errorf("%+v: no error", test)
		}
	}
}

// TestCacheBlobs packs entries and reads them back, whole and not.
func TestCacheBlobs(t *testing.T) {
	for _, pack := range []bool{true, false} {
		for n := range 4 {
			from, to := openTestCache(t), openTestCache(t)
			var entries []cacheEntry
			for i := range n {
				text := bytes.Repeat([]byte{'a', byte(i)}, 40_000*i+1)
				key := hexSHA256(text)
				if err := keepShared(from, cacheEntry{cacheKey{kindHead, key}, int64(len(text))}, bytes.NewReader(text)); err != nil {
					t.Fatal(err)
				}
				entries = append(entries, cacheEntry{cacheKey{kindHead, key}, int64(len(text))})
			}
			lost := cacheEntry{cacheKey{kindHead, strings.Repeat("ab", 32)}, 7}
			b := &packedBlob{cache: from}
			if err := b.seal(append(slices.Clone(entries), lost), pack, nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(entries, b.blob.Entries, cmp.AllowUnexported(cacheEntry{})); d != "" && n > 0 {
				t.Error(d)
			}
			r, err := b.Compressed()
			if err != nil {
				t.Fatal(err)
			}
			whole, err := io.ReadAll(r)
			if err != nil || sha256Hash(whole) != b.blob.Digest || int64(len(whole)) != b.blob.Size {
				t.Fatalf("%d bytes, not %d: %v", len(whole), b.blob.Size, err)
			}
			other := &packedBlob{cache: from}
			if err := other.seal(entries, pack, map[v1.Hash]bool{b.blob.Digest: true}); err != nil || other.blob.Digest == b.blob.Digest && n > 0 {
				t.Errorf("a bad blob is sent again: %v", err)
			}
			if n == 0 {
				continue
			}
			if err := b.blob.check(); err != nil {
				t.Error(err)
			}
			for _, bad := range [][]byte{whole[:max(len(whole)-1, 0)], append(bytes.Clone(whole), whole...), append(bytes.Clone(whole), 0), nil} {
				if err := b.blob.unpack(bytes.NewReader(bad), to); err == nil && !bytes.Equal(bad, whole) {
					t.Errorf("%d entries, %d of %d bytes: no error", n, len(bad), len(whole))
				}
			}
			for _, e := range entries {
				if to.HasKept(e.Kind, e.Key) && n > 1 {
					t.Errorf("of a bad blob %s was kept", e.Key)
				}
			}
			if err := b.blob.unpack(bytes.NewReader(whole), to); err != nil {
				t.Error(err)
			}
			for _, e := range entries {
				k, err := to.Kept(e.Kind, e.Key)
				if err != nil || k == nil {
					t.Fatal(k, err)
				}
				text, err := io.ReadAll(k)
				if err != nil || hexSHA256(text) != e.Key {
					t.Errorf("entry %s: %d bytes, %v", e.Key, len(text), err)
				}
				k.Close()
			}
		}
	}
}

func openTestCache(t *testing.T) *fetch.Cache {
	t.Helper()
	c, err := fetch.OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCacheIndexJoin keeps to the limits, and drops what is in newer blobs.
func TestCacheIndexJoin(t *testing.T) {
	blob := func(size int64, keys ...int) (b cacheBlob) {
		b.Digest, b.Size, b.MediaType = sha256Hash(fmt.Appendf(nil, "%d %v", size, keys)), size, cacheZstdType
		for _, k := range keys {
			b.Entries = append(b.Entries, cacheEntry{cacheKey{kindHead, fmt.Sprintf("%064x", k)}, 1})
		}
		return b
	}
	x := &cacheIndex{Blobs: []cacheBlob{blob(1, 1, 2)}}
	covered, partly, big, last := blob(2, 2, 1), blob(3, 2, 3), blob(maxCacheSize, 4), blob(4, 5)
	got := x.join(covered, partly, big, last)
	if d := cmp.Diff([]cacheBlob{x.Blobs[0], partly, last}, got.Blobs, cmp.AllowUnexported(cacheEntry{})); d != "" {
		t.Error(d)
	}
	var many []cacheBlob
	for k := range maxCacheBlobs + 10 {
		many = append(many, blob(1, k))
	}
	full := x.join(many...)
	if len(full.Blobs) != maxCacheBlobs || full.Blobs[0].Digest != x.Blobs[0].Digest {
		t.Errorf("%d blobs", len(full.Blobs))
	}
	manifest, config, err := full.manifest()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := parseCacheManifest(manifest); err != nil || d.Digest != sha256Hash(config) {
		t.Errorf("%v, %v", d, err)
	}
	if len(manifest) > 1<<20 {
		t.Errorf("a manifest of %d bytes, and registries take 4 MiB", len(manifest))
	}
}

func FuzzCacheIndex(f *testing.F) {
	x := &cacheIndex{Blobs: []cacheBlob{{
		Descriptor: v1.Descriptor{MediaType: cacheBlobType, Digest: sha256Hash(nil), Size: 3},
		Entries:    []cacheEntry{{cacheKey{kindHead, strings.Repeat("ab", 32)}, 1}, {cacheKey{kindSent, strings.Repeat("cd", 32)}, 2}},
	}}}
	manifest, config, err := x.manifest()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(manifest)
	f.Add(config)
	f.Add(bytes.Replace(config, []byte(`"size":2`), []byte(`"size":-2`), 1))
	f.Add(bytes.Replace(config, []byte(kindHead), []byte("../.."), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := parseCacheManifest(b); err == nil && (d.Size > maxCacheIndex || d.Digest.Algorithm != "sha256") {
			t.Errorf("%+v", d)
		}
		x, err := parseCacheIndex(b)
		if err != nil {
			return
		}
		manifest, config, err := x.manifest()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseCacheManifest(manifest); err != nil && len(config) <= maxCacheIndex {
			t.Error(err)
		}
		again, err := parseCacheIndex(config)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(x.Blobs, again.Blobs, cmp.AllowUnexported(cacheEntry{})); d != "" {
			t.Error(d)
		}
	})
}
