package builder

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/tooltest"
)

// meter counts the bytes of requests on their way to a registry.
type meter struct {
	address string
	sent    atomic.Int64
}

func newMeter(t *testing.T) *meter {
	t.Helper()
	registry, _ := tooltest.Registry(t, "", "")
	m := &meter{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: registry})
		r.Out.Host = r.In.Host // where uploads go on
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = &metered{r.Body, &m.sent}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	m.address = strings.TrimPrefix(server.URL, "http://")
	return m
}

type metered struct {
	io.ReadCloser
	count *atomic.Int64
}

func (m *metered) Read(b []byte) (int, error) {
	n, err := m.ReadCloser.Read(b)
	m.count.Add(int64(n))
	return n, err
}

// push delivers an image and returns how many bytes that took.
func (m *meter) push(t *testing.T, img *Image) int64 {
	t.Helper()
	before := m.sent.Load()
	deliver(t, img, "docker://"+m.address+"/fleet/"+img.Name+":1")
	return m.sent.Load() - before
}

// TestConformanceSharing pushes six recipes of one lock to a registry, once with their layers and once as images of one
// layer, and then again after an update of openssl-libs alone: what is really sent is at most half, and at most a tenth, of
// it. Without SLIM_CONFORMANCE three of them show that what is in the registry is not sent again.
func TestConformanceSharing(t *testing.T) {
	distro := snapshots(t)
	o := Options{CacheDir: t.TempDir(), WorkDir: t.TempDir()}
	ctx := context.Background()
	build := func(r *Recipe, lock *Lock) *Image {
		img, err := Build(ctx, r, lock, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { img.Close() })
		return img
	}
	lockOf := func(f *LockFile, r *Recipe) *Lock {
		lock, err := f.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		return lock
	}
	dir, names := "testdata/fleet", []string{"micro", "openssl", "redis"}
	all := os.Getenv("SLIM_CONFORMANCE") != ""
	if all {
		names = []string{"micro", "openssl", "httpd", "nginx", "python3", "redis"}
	}
	recipes := func(release string) (out []*Recipe) {
		for _, name := range names {
			r, err := ReadRecipe(filepath.Join(dir, name+".yaml"), RecipeOptions{Set: []Setting{
				{"repository.baseurl", distro + "/$releasever/$component/$basearch/os"},
				{"repository.releasever", release},
				{"repository.gpgkey", distro + "/RPM-GPG-KEY-slimtest"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			r.Own = nil
			out = append(out, r)
		}
		return out
	}
	fleet := recipes("1")
	first, err := MakeLock(ctx, LockRequest{Dir: dir, Recipes: fleet}, o)
	if err != nil {
		t.Fatal(err)
	}
	layers, single := newMeter(t), newMeter(t)
	known := map[v1.Hash]bool{}
	var sent, whole, again int64
	t.Logf("| %-8s | one layer | layers | after an update of openssl-libs |", "")
	t.Logf("| %-8s | --------: | -----: | ------------------------------: |", "---")
	updated := withNewer(t, first.File, recipes("2"), "openssl-libs", o)
	for _, r := range fleet {
		lock := lockOf(first.File, r)
		img := build(r, lock)
		a := layers.push(t, img)
		if want := fresh(t, img, known) + manifests; a > want {
			t.Errorf("%s: sent %d bytes, and new are at most %d", r.Name, a, want)
		}
		alone, only := *r, *lock
		alone.Parents, alone.Layers.Strategy, only.Parent = nil, strategySingle, nil
		b := single.push(t, build(&alone, &only))
		sent, whole = sent+a, whole+b
		t.Logf("| %-8s | %9s | %6s | |", r.Name, megabytes(b), megabytes(a))
	}
	for _, r := range fleet {
		again += layers.push(t, build(r, lockOf(updated, r)))
	}
	if !all {
		return
	}
	t.Logf("| %-8s | %9s | %6s | %s |", "all six", megabytes(whole), megabytes(sent), megabytes(again))
	t.Logf("| %-8s | %9s | %5.1f%% | %.1f%% |", "", "100%", 100*float64(sent)/float64(whole), 100*float64(again)/float64(whole))
	if 2*sent > whole {
		t.Errorf("sent %d bytes, more than half of %d", sent, whole)
	}
	if 10*again > whole {
		t.Errorf("an update sent %d bytes, more than a tenth of %d", again, whole)
	}
}

// manifests is what the config and the manifest of an image take at most.
const manifests = 64 << 10

// fresh is the size of an image's layers that are not known, which they are then.
func fresh(t *testing.T, img *Image, known map[v1.Hash]bool) (total int64) {
	t.Helper()
	err := img.eachLayer(func(h v1.Hash) error {
		if known[h] {
			return nil
		}
		known[h] = true
		l, err := img.Platforms[0].Image.LayerByDigest(h)
		if err != nil {
			return err
		}
		size, err := l.Size()
		total += size
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// withNewer is a lock with a package as the recipes take it, and all else as before.
func withNewer(t *testing.T, f *LockFile, recipes []*Recipe, name string, o Options) *LockFile {
	t.Helper()
	next, err := MakeLock(context.Background(), LockRequest{Dir: filepath.Dir(recipes[0].File), Recipes: recipes}, o)
	if err != nil {
		t.Fatal(err)
	}
	out := *f
	out.Packages = slices.Clone(f.Packages)
	changed := false
	for i, p := range out.Packages {
		for _, q := range next.File.Packages {
			if p.Name != name || q.Name != name || p.Platform != q.Platform || p.EVR == q.EVR {
				continue
			}
			urls, err := recipes[0].Repository.BaseURLs(p.Platform)
			if err != nil {
				t.Fatal(err)
			}
			at := slices.IndexFunc(urls, func(u ComponentURL) bool { return u.Component == q.Component })
			m := *q.Metadata
			m.Base = urls[at].URL
			q.Metadata, q.Source = &m, p.Source
			out.Packages[i], changed = q, true
		}
	}
	if !changed {
		t.Fatalf("there is no newer %s", name)
	}
	return &out
}
