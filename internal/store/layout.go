package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

const (
	refName        = "org.opencontainers.image.ref.name" // image-spec annotations.md
	containerdName = "io.containerd.image.name"
	layoutFile     = "oci-layout"
	layoutContent  = `{"imageLayoutVersion":"1.0.0"}`
	indexFile      = "index.json"
)

// descriptorOf is how an index.json names an artifact.
func descriptorOf(a Artifact, annotations map[string]string) (v1.Descriptor, error) {
	var m interface {
		MediaType() (types.MediaType, error)
		Size() (int64, error)
	} = a.Index
	if a.Index == nil {
		m = a.Images[0]
	}
	d := v1.Descriptor{Annotations: annotations}
	var err error
	if d.Digest, err = a.Digest(); err != nil {
		return d, err
	}
	if d.MediaType, err = m.MediaType(); err != nil {
		return d, err
	}
	d.Size, err = m.Size()
	return d, err
}

// layoutWriter adds an artifact to a layout, under its lock, and takes back what it did if that fails.
type layoutWriter struct {
	dir  string
	jobs int // blobs written at once

	mu   sync.Mutex
	made []string // files and directories, in the order of their making
}

// writeLayout puts a into the layout at dir under tag. Other tags stay; blobs that are there already are read, and
// replaced if they are not what their name says.
func writeLayout(ctx context.Context, dir, tag string, a Artifact, o Options) (err error) {
	if !tagForm().MatchString(tag) {
		return fmt.Errorf("%q is no name for an image in a layout", tag)
	}
	blobs, err := blobsOf(a)
	if err != nil {
		return err
	}
	referrers, err := o.referrers(ctx, a)
	if err != nil {
		return err
	}
	m, err := newMeter(a, o.Progress)
	if err != nil {
		return err
	}
	w := &layoutWriter{dir: filepath.Clean(dir), jobs: o.jobs()}
	unlock, err := w.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	defer func() {
		if err != nil {
			w.undo()
		}
	}()
	index, err := w.prepare()
	if err != nil {
		return err
	}
	if err := w.blobs(ctx, blobs, m); err != nil {
		return err
	}
	d, err := descriptorOf(a, map[string]string{refName: tag})
	if err != nil {
		return err
	}
	putTag(index, d, tag)
	if err := w.attach(ctx, index, referrers, m); err != nil {
		return err
	}
	return w.index(index)
}

// lock makes the directory and waits for its lock.
func (w *layoutWriter) lock(ctx context.Context) (func(), error) {
	for {
		made, err := mkdirs(w.dir)
		if err != nil {
			return nil, err
		}
		unlock, err := lockDir(ctx, w.dir)
		if err == nil {
			w.made = append(w.made, made...)
			return unlock, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			removeAll(made)
			return nil, err
		}
		// Another writer took back its directory while we waited.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// mkdirs is os.MkdirAll that says what it made, parents first.
func mkdirs(dir string) ([]string, error) {
	err := os.Mkdir(dir, 0o777)
	switch {
	case err == nil:
		return []string{dir}, nil
	case errors.Is(err, os.ErrNotExist) && filepath.Dir(dir) != dir:
		made, err := mkdirs(filepath.Dir(dir))
		if err != nil {
			return nil, err
		}
		more, err := mkdirs(dir)
		if err != nil {
			removeAll(made)
			return nil, err
		}
		return append(made, more...), nil
	case errors.Is(err, os.ErrExist):
		if info, serr := os.Stat(dir); serr == nil && info.IsDir() {
			return nil, nil
		}
	}
	return nil, err
}

// removeAll removes files and empty directories, the last made first.
func removeAll(made []string) {
	for _, p := range slices.Backward(made) {
		os.Remove(p)
	}
}

func (w *layoutWriter) undo() { removeAll(w.made) }

// prepare reads the index of a layout, or makes a layout of an empty directory.
func (w *layoutWriter) prepare() (*v1.IndexManifest, error) {
	empty := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	files, err := os.ReadDir(w.dir)
	if err != nil {
		return nil, err
	}
	switch index, err := readIndexFile(w.dir); {
	case err == nil:
		empty = index
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	case slices.ContainsFunc(files, func(f os.DirEntry) bool { return f.Name() != layoutFile && f.Name() != "blobs" }):
		return nil, fmt.Errorf("%s holds files and is no OCI layout", w.dir)
	}
	made, err := mkdirs(filepath.Join(w.dir, "blobs", "sha256"))
	if err != nil {
		return nil, err
	}
	w.made = append(w.made, made...)
	if _, err := os.Lstat(filepath.Join(w.dir, layoutFile)); err == nil {
		return empty, nil
	}
	return empty, w.file(layoutFile, func(f io.Writer) error {
		_, err := io.WriteString(f, layoutContent)
		return err
	})
}

// file makes a file of the layout that appears whole. What replaces a file is not taken back.
func (w *layoutWriter) file(name string, content func(io.Writer) error) error {
	p := filepath.Join(w.dir, name)
	_, serr := os.Lstat(p)
	if err := writeBeside(p, content); err != nil {
		return err
	}
	if serr != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.made = append(w.made, p)
	}
	return nil
}

// writeBeside writes a file beside path and renames it there.
func writeBeside(path string, content func(io.Writer) error) error {
	f, err := os.OpenFile(besideName(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	err = content(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

func besideName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:12])
}

// blobs writes blobs, some at once, the largest first.
func (w *layoutWriter) blobs(ctx context.Context, blobs []blob, m *meter) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(w.jobs)
	for _, b := range slices.SortedStableFunc(slices.Values(blobs), func(a, b blob) int { return cmp.Compare(b.size, a.size) }) {
		group.Go(func() error { return w.blob(ctx, b, m) })
	}
	return group.Wait()
}

func (w *layoutWriter) blob(ctx context.Context, b blob, m *meter) error {
	if b.digest.Algorithm != "sha256" || !isHex(b.digest.Hex) {
		return fmt.Errorf("digest %s: only sha256 is known", b.digest)
	}
	name := blobName(b.digest)
	if whole(ctx, filepath.Join(w.dir, name), b) {
		m.add(b.size)
		return nil
	}
	return w.file(name, func(f io.Writer) error { return copyBlob(ctx, f, b, m) })
}

// layoutMark names the state of the files of an artifact in a layout, where a tag names it; "" when they are not all there.
func layoutMark(dir, tag string, a Artifact) string {
	x, err := readIndexFile(dir)
	if err != nil {
		return ""
	}
	at := slices.IndexFunc(x.Manifests, func(d v1.Descriptor) bool { return d.Annotations[refName] == tag })
	digest, err := a.Digest()
	if err != nil || at < 0 || x.Manifests[at].Digest != digest {
		return ""
	}
	blobs, err := blobsOf(a)
	if err != nil {
		return ""
	}
	h := sha256.New()
	for _, b := range blobs {
		info, err := os.Stat(filepath.Join(dir, blobName(b.digest)))
		if err != nil || info.Size() != b.size {
			return ""
		}
		fmt.Fprintln(h, b.digest, info.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// blobName is the file of a blob in a layout.
func blobName(h v1.Hash) string { return filepath.Join("blobs", h.Algorithm, h.Hex) }

func isHex(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// whole reports whether the file is the blob.
func whole(ctx context.Context, path string, b blob) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	c, err := check(ctx, f, b.digest, b.size)
	if err != nil {
		return false
	}
	defer c.Close()
	_, err = io.Copy(io.Discard, c)
	return err == nil
}

// copyBuffer is how much of a blob is read and written at once.
const copyBuffer = 64 << 10

// copyBlob writes b, checked.
func copyBlob(ctx context.Context, w io.Writer, b blob, m *meter) error {
	r, err := b.open()
	if err != nil {
		return err
	}
	c, err := check(ctx, m.reader(r), b.digest, b.size)
	if err != nil {
		return err
	}
	defer c.Close()
	// Without the file's ReadFrom, which would take a small buffer of its own.
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, c, make([]byte, min(b.size+1, copyBuffer)))
	return err
}

// putTag names d as tag in place of what was.
func putTag(x *v1.IndexManifest, d v1.Descriptor, tag string) {
	same := func(old v1.Descriptor) bool { return old.Annotations[refName] == tag }
	at := slices.IndexFunc(x.Manifests, same)
	x.Manifests = slices.DeleteFunc(x.Manifests, same)
	if at < 0 {
		at = len(x.Manifests)
	}
	x.Manifests = slices.Insert(x.Manifests, at, d)
}

func (w *layoutWriter) index(x *v1.IndexManifest) error {
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	return w.file(indexFile, func(f io.Writer) error {
		_, err := f.Write(b)
		return err
	})
}

func readIndexFile(dir string) (*v1.IndexManifest, error) {
	f, err := os.Open(filepath.Join(dir, indexFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseIndex(f)
}

func parseIndex(r io.Reader) (*v1.IndexManifest, error) {
	x, err := v1.ParseIndexManifest(io.LimitReader(r, maxDocument))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", indexFile, err)
	}
	if x.SchemaVersion != 2 {
		return nil, fmt.Errorf("%s: schema version %d", indexFile, x.SchemaVersion)
	}
	return x, nil
}

// dirSource is a layout in a directory.
type dirSource string

func (d dirSource) open(h v1.Hash) (io.ReadCloser, error) {
	if h.Algorithm != "sha256" || !isHex(h.Hex) {
		return nil, fmt.Errorf("digest %s: only sha256 is known", h)
	}
	return os.Open(filepath.Join(string(d), blobName(h)))
}

func readLayout(ref Ref) (Artifact, error) {
	x, err := readIndexFile(ref.Path)
	if err != nil {
		return Artifact{}, err
	}
	d, err := choose(x, ref.Tag)
	if err != nil {
		return Artifact{}, err
	}
	return artifactOf(dirSource(ref.Path), d)
}

// Tags are the names of the images of the OCI layout in dir, in its order, "" for one without; what is attached to them is
// left out. A directory that is no layout is an fs.ErrNotExist.
func Tags(dir string) ([]string, error) {
	x, err := readIndexFile(dir)
	if err != nil {
		return nil, err
	}
	var tags []string
	for _, d := range x.Manifests {
		if tag := d.Annotations[refName]; !fallbackForm().MatchString(tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// choose is the manifest called tag, or the only one that is no list of what is attached to another.
func choose(x *v1.IndexManifest, tag string) (v1.Descriptor, error) {
	var have []string
	var last v1.Descriptor
	for _, d := range x.Manifests {
		name := d.Annotations[refName]
		if tag != "" && name == tag {
			return d, nil
		}
		if !fallbackForm().MatchString(name) {
			have, last = append(have, name), d
		}
	}
	switch {
	case len(have) == 0:
		return v1.Descriptor{}, errors.New("it holds no image")
	case tag != "":
		return v1.Descriptor{}, fmt.Errorf("it has no image %q, only %q", tag, have)
	case len(have) > 1:
		return v1.Descriptor{}, fmt.Errorf("it has several images, say which: %q", have)
	}
	return last, nil
}
