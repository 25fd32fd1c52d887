package builder

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// requests are those that a registry got, pings aside.
type requests struct {
	mu   sync.Mutex
	list []string
}

func (r *requests) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := r.list
	r.list = nil
	return list
}

// countingRegistry is a registry within this process.
func countingRegistry(t *testing.T) (string, *requests) {
	t.Helper()
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))
	seen := &requests{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/" {
			seen.mu.Lock()
			seen.list = append(seen.list, r.Method+" "+r.URL.Path)
			seen.mu.Unlock()
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), seen
}

// TestDeliverAgain brings an image and its documents to a registry again: one request where nothing has changed, all of it
// where something has.
func TestDeliverAgain(t *testing.T) {
	host, seen := countingRegistry(t)
	cache := t.TempDir()
	bring := func(text, tag string, what AttachOptions) *Delivery {
		t.Helper()
		img := buildRecipe(t, demoRecipe(t, text), Options{CacheDir: cache})
		seen.take()
		d, err := img.Deliver(context.Background(), "docker://"+host+"/hello:"+tag, what, Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	referrers := func(d *Delivery) int {
		t.Helper()
		ref, err := name.NewDigest(host + "/hello@" + d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		x, err := remote.Referrers(ref)
		if err != nil {
			t.Fatal(err)
		}
		m, err := x.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		return len(m.Manifests)
	}
	const recipe = "packages: [hello]\nplatforms: [linux/amd64]\n"
	usual := AttachOptions{SBOMs: []SBOMFormat{SPDX}, Provenance: true}
	first := bring(recipe, "1", usual)
	if n := referrers(first); n != 2 || len(first.Attached) != 2 {
		t.Fatalf("%d documents are attached, %d said", n, len(first.Attached))
	}
	second := bring(recipe, "1", usual)
	if d := cmp.Diff([]string{"HEAD /v2/hello/manifests/1"}, seen.take()); d != "" {
		t.Errorf("the second time it asks otherwise: %s", d)
	}
	if d := cmp.Diff(first, second); d != "" {
		t.Errorf("and says otherwise: %s", d)
	}

	checked := usual
	checked.Check = true
	bring(recipe, "1", checked)
	if list := seen.take(); !slices.Contains(list, "GET /v2/hello/referrers/"+first.Digest) {
		t.Errorf("what is asked for is not looked for: %q", list)
	}
	bring("# another comment\n"+recipe, "1", usual)
	if n := referrers(first); n != 3 { // the provenance of another recipe
		t.Errorf("%d documents of the image of a recipe that differs in a comment", n)
	}
	bring(recipe, "1", AttachOptions{SBOMs: []SBOMFormat{SPDX, CycloneDX}, Provenance: true})
	if n := referrers(first); n != 4 {
		t.Errorf("%d documents after one more was asked for", n)
	}
	if err := remote.Tag(mustTag(t, host+"/hello:1"), emptyImage{}, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	bring(recipe, "1", usual)
	if d, err := remote.Head(mustTag(t, host+"/hello:1")); err != nil || d.Digest.String() != first.Digest {
		t.Errorf("a tag that was moved away is at %v, %v", d, err)
	}
	img := buildRecipe(t, demoRecipe(t, recipe), Options{CacheDir: cache})
	for _, kind := range []string{"segments", "bills"} { // gone before the image is read for its documents and sent
		if err := os.RemoveAll(filepath.Join(cache, "kept", kind)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := img.Deliver(context.Background(), "docker://"+host+"/again:1", usual, Options{CacheDir: cache}); err != nil {
		t.Errorf("what is lost is not made again: %v", err)
	}
	bring(recipe, "2", usual)
	if d, err := remote.Head(mustTag(t, host+"/hello:2")); err != nil || d.Digest.String() != first.Digest {
		t.Errorf("another tag is at %v, %v", d, err)
	}
}

func mustTag(t *testing.T, s string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(s)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// emptyImage is a manifest that somebody else puts in the place of ours.
type emptyImage struct{}

func (emptyImage) RawManifest() ([]byte, error) {
	return []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`), nil
}

func (emptyImage) MediaType() (types.MediaType, error) {
	return "application/vnd.oci.image.index.v1+json", nil
}

// TestDeliverLayoutAgain brings an image to a layout again: no blob is read where their files are as they were left, and
// one that somebody changed is mended.
func TestDeliverLayoutAgain(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	img := buildRecipe(t, demoRecipe(t, "packages: [hello]\nplatforms: [linux/amd64]\n"), Options{CacheDir: cache})
	deliver(t, img, "oci:"+dir)
	h, err := img.Platforms[0].Layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	blob := filepath.Join(dir, "blobs/sha256", h.Hex)
	content, err := os.ReadFile(blob)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(blob)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(when time.Time) {
		t.Helper()
		bad := slices.Clone(content)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile(blob, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(blob, when, when); err != nil {
			t.Fatal(err)
		}
	}
	now := func() []byte {
		t.Helper()
		b, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	spoil(info.ModTime()) // which nobody can see who does not read it
	deliver(t, img, "oci:"+dir)
	if slices.Equal(now(), content) {
		t.Error("a layer was read though nothing seems to have changed")
	}
	spoil(info.ModTime().Add(time.Second))
	deliver(t, img, "oci:"+dir)
	if !slices.Equal(now(), content) {
		t.Error("a layer that was changed stays so")
	}
	if err := os.Remove(blob); err != nil {
		t.Fatal(err)
	}
	deliver(t, img, "oci:"+dir)
	if !slices.Equal(now(), content) {
		t.Error("a layer that was removed is not put back")
	}
	deliver(t, img, "oci:"+dir+":other")
	if _, err := Inspect(t.Context(), "oci:"+dir+":other", Options{}); err != nil {
		t.Error(err)
	}
}
