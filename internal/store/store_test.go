package store_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
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
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slim/internal/image"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/store"
)

// layer writes nodes; a regular file's content is its path unless it has an Open.
func layer(t testing.TB, compression string, nodes ...*rootfs.Node) *image.Layer {
	t.Helper()
	s := image.Segment{Name: "test", Write: func(_ context.Context, w *tar.Writer) error {
		for _, n := range nodes {
			open := n.Open
			if n.IsRegular() && n.HardTo == "" && open == nil {
				open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(n.Path)), nil }
				n.Size = int64(len(n.Path))
			}
			h, err := image.Header(n)
			if err != nil {
				return err
			}
			if err := w.WriteHeader(h); err != nil {
				return err
			}
			if h.Typeflag != tar.TypeReg {
				continue
			}
			r, err := open()
			if err != nil {
				return err
			}
			defer r.Close()
			if _, err := io.Copy(w, r); err != nil {
				return err
			}
		}
		return nil
	}}
	p, err := image.NewPacker(&image.MemoryShelf{}, image.PackOptions{Compression: compression})
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Layers(t.Context(), [][]image.Segment{{s}})
	if err != nil {
		t.Fatal(err)
	}
	return l[0]
}

func file(p string) *rootfs.Node {
	return &rootfs.Node{Path: p, Mode: rpm.ModeRegular | 0o755, MTime: 1700000000}
}

func dir(p string) *rootfs.Node {
	return &rootfs.Node{Path: p, Mode: rpm.ModeDir | 0o755, MTime: 1700000000}
}

// newImage makes an image for "amd64" or "arm64/v8".
func newImage(t testing.TB, platform string, layers ...v1.Layer) v1.Image {
	t.Helper()
	arch, variant, _ := strings.Cut(platform, "/")
	s := image.Spec{OS: "linux", Architecture: arch, Variant: variant, Created: time.Unix(1700000000, 0), Entrypoint: []string{"/hello"}, Annotations: map[string]string{"a": "b"}}
	for _, l := range layers {
		s.Layers = append(s.Layers, image.SpecLayer{Layer: l, CreatedBy: "test"})
	}
	img, err := image.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func single(t testing.TB, img v1.Image) store.Artifact {
	t.Helper()
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	return store.Artifact{Images: []v1.Image{img}, Platforms: []v1.Platform{*c.Platform()}}
}

// small is an image of two layers, another for another seed.
func small(t testing.TB, seed string) store.Artifact {
	t.Helper()
	return single(t, newImage(t, "amd64", layer(t, "gzip", file("/base")), layer(t, "gzip", dir("/d"), file("/d/"+seed))))
}

// multi is an index of two platforms that share a layer.
func multi(t testing.TB) store.Artifact {
	t.Helper()
	base := layer(t, "gzip", file("/base"))
	a := store.Artifact{Platforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}}
	for _, p := range a.Platforms {
		a.Images = append(a.Images, newImage(t, strings.TrimSuffix(p.Architecture+"/"+p.Variant, "/"), base, layer(t, "gzip", file("/"+p.Architecture))))
	}
	x, err := image.Index(a.Images, a.Platforms, nil)
	if err != nil {
		t.Fatal(err)
	}
	a.Index = x
	return a
}

func parse(t testing.TB, s string) store.Ref {
	t.Helper()
	r, err := store.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func digest(t testing.TB, a store.Artifact) v1.Hash {
	t.Helper()
	h, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t testing.TB, ref string, a store.Artifact, o store.Options) store.Result {
	t.Helper()
	r, err := store.Write(t.Context(), parse(t, ref), a, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func read(t testing.TB, ref string, o store.Options) store.Artifact {
	t.Helper()
	a, err := store.Read(t.Context(), parse(t, ref), o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// files are the paths below dir, sorted.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, p); err == nil && rel != "." {
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// anonymous is a keychain without credentials.
func anonymous() authn.Keychain { return authn.NewMultiKeychain() }

func newRegistry(t testing.TB) (string, *counter) {
	t.Helper()
	c := &counter{next: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), c
}

// counter counts requests by method and what they are about.
type counter struct {
	next http.Handler
	mu   sync.Mutex
	seen map[string]int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind := "other"
	switch {
	case strings.Contains(r.URL.Path, "/blobs/uploads/"):
		kind = "upload"
	case strings.Contains(r.URL.Path, "/blobs/"):
		kind = "blob"
	case strings.Contains(r.URL.Path, "/manifests/"):
		kind = "manifest"
	}
	if r.URL.Query().Get("mount") != "" {
		kind = "mount"
	}
	c.mu.Lock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[r.Method+" "+kind]++
	c.mu.Unlock()
	c.next.ServeHTTP(w, r)
}

func (c *counter) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := c.seen
	c.seen = nil
	return seen
}

func TestRoundTrip(t *testing.T) {
	host, _ := newRegistry(t)
	d := t.TempDir()
	for _, ref := range []string{
		"oci:" + d + "/deep/layout:tag", "oci-archive:" + d + "/oci.tar", "oci-archive:" + d + "/tagged.tar:x", d + "/both.tar", "docker://" + host + "/a/b:tag",
	} {
		for name, a := range map[string]store.Artifact{"one": small(t, "x"), "two": multi(t)} {
			t.Run(name+" "+strings.ReplaceAll(ref, d, ""), func(t *testing.T) {
				var done, total int64
				o := store.Options{Name: "n", Keychain: anonymous(), Progress: func(d, of int64) { done, total = d, of }}
				r := write(t, ref, a, o)
				if r.Digest != digest(t, a) {
					t.Errorf("digest is %s, want %s", r.Digest, digest(t, a))
				}
				if done != total || total == 0 {
					t.Errorf("progress ended at %d of %d", done, total)
				}
				got := read(t, ref, o)
				if digest(t, got) != r.Digest {
					t.Errorf("read back %s, want %s", digest(t, got), r.Digest)
				}
				if diff := cmp.Diff(a.Platforms, got.Platforms); diff != "" {
					t.Errorf("platforms (-want +got):\n%s", diff)
				}
				for _, img := range got.Images {
					if err := validate.Image(img); err != nil {
						t.Error(err)
					}
				}
				if got.Index != nil {
					if err := validate.Index(got.Index); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestArtifactImage(t *testing.T) {
	a := multi(t)
	img, err := a.Image(v1.Platform{OS: "linux", Architecture: "arm64"})
	if err != nil || img != a.Images[1] {
		t.Errorf("arm64 is %v, %v", img, err)
	}
	for _, p := range []v1.Platform{{}, {OS: "linux", Architecture: "s390x"}} {
		if _, err := a.Image(p); err == nil || !strings.Contains(err.Error(), "linux/amd64, linux/arm64/v8") {
			t.Errorf("%s: %v", p, err)
		}
	}
	one := small(t, "x")
	if img, err := one.Image(v1.Platform{}); err != nil || img != one.Images[0] {
		t.Errorf("the only one: %v, %v", img, err)
	}
}

func TestLayoutIsOneForOthers(t *testing.T) {
	d := t.TempDir() + "/layout"
	a := multi(t)
	write(t, "oci:"+d+":m", a, store.Options{})
	l, err := layout.FromPath(d)
	if err != nil {
		t.Fatal(err)
	}
	x, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(x); err != nil {
		t.Error(err)
	}
}

func TestLayoutKeepsOtherTags(t *testing.T) {
	d := t.TempDir()
	first, second, third := small(t, "1"), small(t, "2"), small(t, "3")
	write(t, "oci:"+d+":a", first, store.Options{})
	write(t, "oci:"+d, second, store.Options{Name: "b"})
	write(t, "oci:"+d+":a", third, store.Options{})
	for ref, want := range map[string]store.Artifact{"oci:" + d + ":a": third, "oci:" + d + ":b": second} {
		if got := read(t, ref, store.Options{}); digest(t, got) != digest(t, want) {
			t.Errorf("%s is %s, want %s", ref, digest(t, got), digest(t, want))
		}
	}
	for ref, want := range map[string]string{"oci:" + d: `say which: ["a" "b"]`, "oci:" + d + ":c": `no image "c"`} {
		if _, err := store.Read(t.Context(), parse(t, ref), store.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ref, err, want)
		}
	}
}

func TestLayoutReplacesBrokenBlobs(t *testing.T) {
	d := t.TempDir()
	a := small(t, "x")
	write(t, "oci:"+d+":a", a, store.Options{})
	layers, err := a.Images[0].Layers()
	if err != nil {
		t.Fatal(err)
	}
	h, _ := layers[1].Digest()
	p := filepath.Join(d, "blobs/sha256", h.Hex)
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	broken := read(t, "oci:"+d+":a", store.Options{})
	if err := validate.Image(broken.Images[0]); err == nil {
		t.Error("a broken blob is read without an error")
	}
	write(t, "oci:"+d+":b", a, store.Options{})
	if err := validate.Image(read(t, "oci:"+d+":b", store.Options{}).Images[0]); err != nil {
		t.Error(err)
	}
}

func TestLayoutTakesWritersAtOnce(t *testing.T) {
	d := t.TempDir() + "/layout"
	const n = 8
	var all []store.Artifact
	for i := range n {
		all = append(all, small(t, fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	for i, a := range all {
		wg.Go(func() {
			if _, err := store.Write(t.Context(), parse(t, fmt.Sprintf("oci:%s:t%d", d, i)), a, store.Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, a := range all {
		if got := read(t, fmt.Sprintf("oci:%s:t%d", d, i), store.Options{}); digest(t, got) != digest(t, a) {
			t.Errorf("t%d is %s", i, digest(t, got))
		}
	}
}

// breaking is a layer whose content ends in an error.
type breaking struct{ v1.Layer }

var errBroken = errors.New("disk on fire")

func (b breaking) Compressed() (io.ReadCloser, error) {
	r, err := b.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return readCloser{io.MultiReader(io.LimitReader(r, 20), errReader{}), r}, nil
}

func (b breaking) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }

type readCloser struct {
	io.Reader
	io.Closer
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errBroken }

// lying is a layer whose content is another's.
type lying struct{ v1.Layer }

func (l lying) Compressed() (io.ReadCloser, error) {
	n, err := l.Size()
	return io.NopCloser(bytes.NewReader(make([]byte, n))), err
}

func (l lying) Uncompressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(make([]byte, 1024))), nil
}

func TestWriteLeavesNothingAfterAnError(t *testing.T) {
	good := layer(t, "gzip", file("/good"))
	for name, bad := range map[string]v1.Layer{"error": breaking{layer(t, "gzip", file("/bad"))}, "content": lying{layer(t, "gzip", file("/bad"))}} {
		a := single(t, newImage(t, "amd64", good, bad))
		for _, kind := range []string{"oci:%s/deep/er", "oci-archive:%s/x", "docker-archive:%s/x", "%s/x.tar", "dir:%s/deep/root"} {
			d := t.TempDir()
			ref := fmt.Sprintf(kind, d)
			_, err := store.Write(t.Context(), parse(t, ref), a, store.Options{})
			if err == nil || name == "error" && !errors.Is(err, errBroken) {
				t.Errorf("%s %s: %v", name, ref, err)
			}
			if left := files(t, d); len(left) > 0 {
				t.Errorf("%s %s leaves %s", name, ref, left)
			}
		}
	}
}

func TestWriteLeavesWhatWasThere(t *testing.T) {
	d := t.TempDir()
	old := small(t, "old")
	write(t, "oci:"+d+"/layout:a", old, store.Options{})
	write(t, d+"/a.tar", old, store.Options{})
	before := files(t, d)
	bad := single(t, newImage(t, "amd64", layer(t, "gzip", file("/new")), breaking{layer(t, "gzip", file("/bad"))}))
	for _, ref := range []string{"oci:" + d + "/layout:a", d + "/a.tar"} {
		if _, err := store.Write(t.Context(), parse(t, ref), bad, store.Options{}); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", ref, err)
		}
		if got := read(t, ref, store.Options{}); digest(t, got) != digest(t, old) {
			t.Errorf("%s is %s", ref, digest(t, got))
		}
	}
	if diff := cmp.Diff(before, files(t, d)); diff != "" {
		t.Errorf("files (-before +after):\n%s", diff)
	}
}

func TestWriteStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	host, count := newRegistry(t)
	for _, kind := range []string{"oci:%s/l", "oci-archive:%s/x", "%s/x.tar", "dir:%s/root", "docker://" + host + "/x%.0s"} {
		d := t.TempDir()
		if _, err := store.Write(ctx, parse(t, fmt.Sprintf(kind, d)), small(t, "x"), store.Options{Keychain: anonymous()}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", kind, err)
		}
		if left := files(t, d); len(left) > 0 {
			t.Errorf("%s leaves %s", kind, left)
		}
	}
	if seen := count.take(); seen["PUT manifest"] > 0 {
		t.Errorf("registry saw %v", seen)
	}
}

func TestLayoutRefusesAnotherDirectory(t *testing.T) {
	d := t.TempDir()
	if err := os.WriteFile(d+"/thesis.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), parse(t, "oci:"+d), small(t, "x"), store.Options{}); err == nil || !strings.Contains(err.Error(), "no OCI layout") {
		t.Errorf("error is %v", err)
	}
	if diff := cmp.Diff([]string{"thesis.txt"}, files(t, d)); diff != "" {
		t.Errorf("files:\n%s", diff)
	}
}

func TestArchiveIsTheSameEachTime(t *testing.T) {
	a := multi(t)
	for _, kind := range []string{"oci-archive:", ""} {
		var first []byte
		for range 5 {
			p := t.TempDir() + "/x.tar"
			write(t, kind+p, a, store.Options{Name: "n"})
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			}
			if !bytes.Equal(b, first) {
				t.Errorf("%q differs from one time to the next", kind)
			}
		}
	}
}

func TestArchiveFiles(t *testing.T) {
	d := t.TempDir()
	a := multi(t)
	write(t, d+"/httpd.tar", a, store.Options{Host: a.Platforms[1]})
	got := map[string]string{}
	f, err := os.Open(d + "/httpd.tar")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(h.Name, "blobs/") {
			b, _ := io.ReadAll(r)
			got[h.Name] = string(b)
		}
	}
	m, err := a.Images[1].Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size, _ := a.Index.Size()
	want := map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`,
		"index.json": fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json",`+
			`"size":%d,"digest":"%s","annotations":{"io.containerd.image.name":"docker.io/library/httpd:latest","org.opencontainers.image.ref.name":"latest"}}]}`, size, digest(t, a)),
		"manifest.json": fmt.Sprintf(`[{"Config":"blobs/sha256/%s","RepoTags":["httpd:latest"],"Layers":["blobs/sha256/%s","blobs/sha256/%s"]}]`,
			m.Config.Digest.Hex, m.Layers[0].Digest.Hex, m.Layers[1].Digest.Hex),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestDockerArchive(t *testing.T) {
	d := t.TempDir()
	a := small(t, "x")
	ref := "docker-archive:" + d + "/x.tar:host.example/n:1"
	write(t, ref, a, store.Options{})
	got := read(t, ref, store.Options{})
	want, _ := a.Images[0].ConfigName()
	if c, err := got.Images[0].ConfigName(); err != nil || c != want {
		t.Errorf("config is %s, %v; want %s", c, err, want)
	}
	if err := validate.Image(got.Images[0]); err != nil {
		t.Error(err)
	}
	tag, err := name.NewTag("host.example/n:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tarball.ImageFromPath(d+"/x.tar", &tag); err != nil {
		t.Error(err)
	}
	if _, err := store.Read(t.Context(), parse(t, "docker-archive:"+d+"/x.tar:other"), store.Options{}); err == nil || !strings.Contains(err.Error(), "host.example/n:1") {
		t.Errorf("another name: %v", err)
	}
}

// TestReadOfDockerSave reads what an old docker save writes: plain layers in directories, equal ones as links.
func TestReadOfDockerSave(t *testing.T) {
	l := layer(t, "none", file("/a"))
	img := newImage(t, "amd64", l, l)
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, _ := io.ReadAll(r)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []struct{ name, content, link string }{
		{"1/", "", ""},
		{"1/layer.tar", string(content), ""},
		{"2/layer.tar", "", "../1/layer.tar"},
		{"c.json", string(config), ""},
		{"manifest.json", `[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar"]}]`, ""},
	} {
		e := &tar.Header{Name: h.name, Mode: 0o644, Size: int64(len(h.content)), Linkname: h.link, Typeflag: tar.TypeReg}
		if h.link != "" {
			e.Typeflag = tar.TypeSymlink
		} else if strings.HasSuffix(h.name, "/") {
			e.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(e); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, h.content)
	}
	w.Close()
	p := t.TempDir() + "/saved.tar"
	if err := os.WriteFile(p, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	a := read(t, p, store.Options{})
	root, err := image.Flatten(t.Context(), a.Images[0], t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if n, ok := root.Lookup("/a"); !ok || n.Size != 2 {
		t.Errorf("/a is %v", n)
	}
}

func TestArchiveRefuses(t *testing.T) {
	zstd := single(t, newImage(t, "amd64", layer(t, "zstd", file("/a"))))
	for name, tt := range map[string]struct {
		kind string
		a    store.Artifact
		want string
	}{
		"zstd for docker":      {"docker-archive:%s/x", zstd, "cannot hold zstd layers"},
		"platforms for docker": {"docker-archive:%s/x", multi(t), "holds one platform"},
		"platforms for a root": {"dir:%s/x", multi(t), "of one platform"},
	} {
		d := t.TempDir()
		_, err := store.Write(t.Context(), parse(t, fmt.Sprintf(tt.kind, d)), tt.a, store.Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if left := files(t, d); len(left) > 0 {
			t.Errorf("%s leaves %s", name, left)
		}
	}
	d := t.TempDir()
	for content, want := range map[string]string{"": "no archive of an image", "\x1f\x8b\x08\x00": "compressed: unpack", "garbage, more than nothing": "archive:"} {
		if err := os.WriteFile(d+"/x.tar", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Read(t.Context(), parse(t, d+"/x.tar"), store.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("reading %q: %v, want %q", content, err, want)
		}
	}
	write(t, d+"/zstd.tar", zstd, store.Options{})
	if got := read(t, d+"/zstd.tar", store.Options{}); digest(t, got) != digest(t, zstd) {
		t.Errorf("zstd in the archive for both is %s", digest(t, got))
	}
}

func TestSecondPushSendsNothing(t *testing.T) {
	host, count := newRegistry(t)
	o := store.Options{Keychain: anonymous()}
	a := multi(t)
	write(t, "docker://"+host+"/a:1", a, o)
	// Three layers, two configs; two manifests and their index.
	if seen := count.take(); seen["PUT upload"] != 5 || seen["PUT manifest"] != 3 {
		t.Errorf("first push: %v", seen)
	}
	write(t, "docker://"+host+"/a:1", a, o)
	// The registry's own greeting (GET /v2/) aside, the manifest is asked for once.
	if seen := count.take(); seen["HEAD manifest"] != 1 || seen["GET other"] > 2 || len(seen) > 2 {
		t.Errorf("second push: %v", seen)
	}
	write(t, "docker://"+host+"/a:2", a, o)
	if seen := count.take(); seen["POST upload"] != 0 || seen["PUT manifest"] != 1 {
		t.Errorf("push of another tag: %v", seen)
	}
}

// TestPushMounts has a registry whose other repository has nothing yet, and takes every mount.
func TestPushMounts(t *testing.T) {
	host, count := newRegistry(t)
	inner := count.next
	var from []string
	count.next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.Method == http.MethodHead && strings.HasPrefix(r.URL.Path, "/v2/other/blobs/"):
			w.WriteHeader(http.StatusNotFound)
		case q.Get("mount") != "":
			from = append(from, q.Get("from"))
			w.WriteHeader(http.StatusCreated)
		default:
			inner.ServeHTTP(w, r)
		}
	})
	a := small(t, "x")
	write(t, "docker://"+host+"/base:1", a, store.Options{Keychain: anonymous()})
	count.take()
	base := parse(t, "docker://"+host+"/base").Reference.Context()
	o := store.Options{Keychain: anonymous(), Jobs: 1, Mounts: map[v1.Hash]name.Repository{}}
	layers, err := a.Images[0].Layers()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		h, _ := l.Digest()
		o.Mounts[h] = base
	}
	write(t, "docker://"+host+"/other:1", a, o)
	if seen := count.take(); seen["POST mount"] != 2 || seen["PUT upload"] != 1 {
		t.Errorf("requests: %v; want two mounts and one upload, of the config", seen)
	}
	if diff := cmp.Diff([]string{"base", "base"}, from); diff != "" {
		t.Errorf("mounted from (-want +got):\n%s", diff)
	}
}

func TestPushByDigest(t *testing.T) {
	host, _ := newRegistry(t)
	a := small(t, "x")
	o := store.Options{Keychain: anonymous()}
	ref := "docker://" + host + "/a@" + digest(t, a).String()
	write(t, ref, a, o)
	if got := read(t, ref, o); digest(t, got) != digest(t, a) {
		t.Errorf("read back %s", digest(t, got))
	}
	if _, err := store.Write(t.Context(), parse(t, ref), small(t, "y"), o); err == nil || !strings.Contains(err.Error(), "the image's digest is") {
		t.Errorf("another image under that digest: %v", err)
	}
}

func TestRegistryErrors(t *testing.T) {
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return strings.TrimPrefix(s.URL, "http://")
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	gone := strings.TrimPrefix(closed.URL, "http://")
	closed.Close()
	for _, tt := range []struct {
		host   string
		status int
		want   string
	}{
		{answer(401, `{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}`), 401, "wants other credentials"},
		{answer(403, `{"errors":[{"code":"DENIED","message":"no"}]}`), 403, "forbids"},
		{answer(404, ""), 404, "404"},
		{answer(418, strings.Repeat("teapot ", 1000)), 418, "teapot teapot"},
		{gone, 0, "connection refused"},
	} {
		keys := keychain{&authn.Basic{Username: "alice", Password: "s3cret"}}
		ref := parse(t, "docker://"+tt.host+"/a:1")
		_, rerr := store.Read(t.Context(), ref, store.Options{Keychain: keys})
		_, werr := store.Write(t.Context(), ref, small(t, "x"), store.Options{Keychain: keys})
		for _, err := range []error{rerr, werr} {
			var re *store.RegistryError
			if !errors.As(err, &re) {
				t.Errorf("%d: %v is no RegistryError", tt.status, err)
				continue
			}
			if re.Status != tt.status || re.Registry != tt.host || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("status %d of %s: %v; want %d and %q", re.Status, re.Registry, err, tt.status, tt.want)
			}
			if len(err.Error()) > 700 || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error tells too much: %v", err)
			}
		}
	}
}

type keychain struct{ a authn.Authenticator }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) { return k.a, nil }

// TestRegistryErrorHidesQueries has a registry send blobs to a place with a signed URL that does not answer.
func TestRegistryErrorHidesQueries(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	gone := closed.URL
	closed.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.Header().Set("Location", gone+"/bucket?X-Amz-Signature=s3cret")
			w.WriteHeader(http.StatusAccepted)
		case r.URL.Path != "/v2/":
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer s.Close()
	ref := parse(t, "docker://"+strings.TrimPrefix(s.URL, "http://")+"/a:1")
	_, err := store.Write(t.Context(), ref, small(t, "x"), store.Options{Keychain: anonymous()})
	var re *store.RegistryError
	if !errors.As(err, &re) || !strings.Contains(err.Error(), "/bucket") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error is %v", err)
	}
}

// lostLayer cannot be read.
type lostLayer struct{ v1.Layer }

func (lostLayer) Compressed() (io.ReadCloser, error) { return nil, image.ErrLost }

func TestErrorOfALayerIsNotTheRegistrys(t *testing.T) {
	host, count := newRegistry(t)
	a := single(t, newImage(t, "amd64", lostLayer{layer(t, "gzip", file("/a"))}))
	_, err := store.Write(t.Context(), parse(t, "docker://"+host+"/a:1"), a, store.Options{Keychain: anonymous()})
	var re *store.RegistryError
	if !errors.Is(err, image.ErrLost) || errors.As(err, &re) {
		t.Errorf("error is %v", err)
	}
	if seen := count.take(); seen["PUT manifest"] > 0 {
		t.Errorf("a manifest was put: %v", seen)
	}
}

// refusing counts requests and gives none to the network.
type refusing struct{ n int }

func (r *refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.n++
	return nil, errors.New("no network here")
}

func TestNoPlainHTTPToOthers(t *testing.T) {
	for host, want := range map[string]string{"10.0.0.1": "no network here", "registry.example": "no network here"} {
		r := &refusing{}
		_, err := store.Read(t.Context(), parse(t, "docker://"+host+"/a"), store.Options{Keychain: anonymous(), Transport: onlyHTTPS{t, r}})
		if err == nil || !strings.Contains(err.Error(), want) || r.n == 0 {
			t.Errorf("%s: %v after %d requests", host, err, r.n)
		}
	}
}

type onlyHTTPS struct {
	t    *testing.T
	next http.RoundTripper
}

func (o onlyHTTPS) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		o.t.Errorf("request for %s", r.URL)
	}
	return o.next.RoundTrip(r)
}

func TestReadSkipsAttestations(t *testing.T) {
	a := multi(t)
	platforms := slices.Clone(a.Platforms)
	platforms[1] = v1.Platform{OS: "unknown", Architecture: "unknown"}
	x, err := image.Index(a.Images, platforms, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := t.TempDir()
	write(t, "oci:"+d, store.Artifact{Index: x, Images: a.Images, Platforms: platforms}, store.Options{})
	if got := read(t, "oci:"+d, store.Options{}); len(got.Images) != 1 || got.Platforms[0].Architecture != "amd64" {
		t.Errorf("platforms are %v", got.Platforms)
	}
}
