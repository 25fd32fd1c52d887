package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxDocument bounds manifests, indexes and configs of foreign layouts.
const maxDocument = 16 << 20

// blob is content by digest, to be written.
type blob struct {
	digest v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
}

func bytesBlob(b []byte) (blob, error) {
	h, n, err := v1.SHA256(bytes.NewReader(b))
	return blob{h, n, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, err
}

// blobsOf are all blobs of an artifact, each once: what a manifest names before it, the index last.
func blobsOf(a Artifact) ([]blob, error) {
	s := &blobSet{seen: map[v1.Hash]bool{}}
	if a.Index != nil {
		if err := s.index(a.Index, 0); err != nil {
			return nil, err
		}
		return s.blobs, nil
	}
	for _, img := range a.Images {
		if err := s.image(img); err != nil {
			return nil, err
		}
	}
	return s.blobs, nil
}

// maxNesting is how deep indexes stand in indexes.
const maxNesting = 4

type blobSet struct {
	blobs []blob
	seen  map[v1.Hash]bool
}

func (s *blobSet) add(b blob) {
	if !s.seen[b.digest] {
		s.seen[b.digest] = true
		s.blobs = append(s.blobs, b)
	}
}

func (s *blobSet) document(b []byte, err error) error {
	if err != nil {
		return err
	}
	d, err := bytesBlob(b)
	s.add(d)
	return err
}

func (s *blobSet) image(img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		h, err := l.Digest()
		if err != nil {
			return err
		}
		n, err := l.Size()
		if err != nil {
			return err
		}
		s.add(blob{h, n, l.Compressed})
	}
	if err := s.document(img.RawConfigFile()); err != nil {
		return err
	}
	return s.document(img.RawManifest())
}

func (s *blobSet) index(x v1.ImageIndex, depth int) error {
	if depth > maxNesting {
		return errors.New("indexes nested too deep")
	}
	m, err := x.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range m.Manifests {
		switch {
		case d.MediaType.IsIndex():
			child, err := x.ImageIndex(d.Digest)
			if err != nil {
				return err
			}
			if err := s.index(child, depth+1); err != nil {
				return err
			}
		case d.MediaType.IsImage():
			img, err := x.Image(d.Digest)
			if err != nil {
				return err
			}
			if err := s.image(img); err != nil {
				return err
			}
		default:
			return fmt.Errorf("index names %s, a %s", d.Digest, d.MediaType)
		}
	}
	return s.document(x.RawManifest())
}

// checked reads r and fails before its end unless it is size bytes with the digest.
type checked struct {
	ctx  context.Context
	r    io.ReadCloser
	hash hash.Hash
	want v1.Hash
	left int64
}

func check(ctx context.Context, r io.ReadCloser, want v1.Hash, size int64) (io.ReadCloser, error) {
	if want.Algorithm != "sha256" {
		r.Close()
		return nil, fmt.Errorf("digest %s: only sha256 is known", want)
	}
	return &checked{ctx: ctx, r: r, hash: sha256.New(), want: want, left: size}, nil
}

func (c *checked) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.hash.Write(p[:n])
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("blob %s is larger than its descriptor says", c.want)
	}
	if err != io.EOF {
		return n, err
	}
	if c.left > 0 {
		return n, fmt.Errorf("blob %s is %d bytes short: %w", c.want, c.left, io.ErrUnexpectedEOF)
	}
	if got := hex.EncodeToString(c.hash.Sum(nil)); got != c.want.Hex {
		return n, fmt.Errorf("blob %s has the digest sha256:%s", c.want, got)
	}
	return n, io.EOF
}

func (c *checked) Close() error { return c.r.Close() }

// source opens blobs of a layout, wherever it is. What it gives is not checked yet.
type source interface {
	open(v1.Hash) (io.ReadCloser, error)
}

// readDocument is a whole small blob, checked.
func readDocument(s source, d v1.Descriptor) ([]byte, error) {
	if d.Size < 0 || d.Size > maxDocument {
		return nil, fmt.Errorf("blob %s: %d bytes are too many", d.Digest, d.Size)
	}
	r, err := s.open(d.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	c, err := check(context.Background(), r, d.Digest, d.Size)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(c)
}

// storedImage is an image of a layout.
type storedImage struct {
	source   source
	desc     v1.Descriptor
	manifest []byte
	parsed   *v1.Manifest
	config   []byte
	diffIDs  []v1.Hash
}

func openImage(s source, d v1.Descriptor) (v1.Image, error) {
	raw, err := readDocument(s, d)
	if err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	i := &storedImage{source: s, desc: d, manifest: raw}
	if i.parsed, err = v1.ParseManifest(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if i.config, err = readDocument(s, i.parsed.Config); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	c, err := v1.ParseConfigFile(bytes.NewReader(i.config))
	if err != nil {
		return nil, fmt.Errorf("config %s: %w", i.parsed.Config.Digest, err)
	}
	if i.diffIDs = c.RootFS.DiffIDs; len(i.diffIDs) != len(i.parsed.Layers) {
		return nil, fmt.Errorf("config %s has %d diff IDs for %d layers", i.parsed.Config.Digest, len(i.diffIDs), len(i.parsed.Layers))
	}
	return partial.CompressedToImage(i)
}

func (i *storedImage) RawManifest() ([]byte, error)   { return bytes.Clone(i.manifest), nil }
func (i *storedImage) RawConfigFile() ([]byte, error) { return bytes.Clone(i.config), nil }
func (i *storedImage) MediaType() (types.MediaType, error) {
	if i.parsed.MediaType != "" {
		return i.parsed.MediaType, nil
	}
	return i.desc.MediaType, nil
}

func (i *storedImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if h == i.parsed.Config.Digest {
		return partial.ConfigLayer(i)
	}
	for n, d := range i.parsed.Layers {
		if d.Digest == h {
			return &storedLayer{i.source, d, i.diffIDs[n]}, nil
		}
	}
	return nil, fmt.Errorf("image has no layer %s", h)
}

// storedLayer is a layer of a layout; reading checks it.
type storedLayer struct {
	source source
	desc   v1.Descriptor
	diffID v1.Hash
}

func (l *storedLayer) Digest() (v1.Hash, error)            { return l.desc.Digest, nil }
func (l *storedLayer) DiffID() (v1.Hash, error)            { return l.diffID, nil }
func (l *storedLayer) Size() (int64, error)                { return l.desc.Size, nil }
func (l *storedLayer) MediaType() (types.MediaType, error) { return l.desc.MediaType, nil }
func (l *storedLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.source.open(l.desc.Digest)
	if err != nil {
		return nil, err
	}
	return check(context.Background(), r, l.desc.Digest, l.desc.Size)
}

// storedIndex is an index of a layout.
type storedIndex struct {
	source source
	desc   v1.Descriptor
	raw    []byte
	parsed *v1.IndexManifest
}

func openIndex(s source, d v1.Descriptor) (v1.ImageIndex, error) {
	raw, err := readDocument(s, d)
	if err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	m, err := v1.ParseIndexManifest(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("index %s: %w", d.Digest, err)
	}
	return &storedIndex{s, d, raw, m}, nil
}

func (x *storedIndex) MediaType() (types.MediaType, error) { return x.desc.MediaType, nil }
func (x *storedIndex) Digest() (v1.Hash, error)            { return x.desc.Digest, nil }
func (x *storedIndex) Size() (int64, error)                { return int64(len(x.raw)), nil }
func (x *storedIndex) RawManifest() ([]byte, error)        { return bytes.Clone(x.raw), nil }

func (x *storedIndex) IndexManifest() (*v1.IndexManifest, error)   { return x.parsed.DeepCopy(), nil }
func (x *storedIndex) Image(h v1.Hash) (v1.Image, error)           { return child(x, h, openImage) }
func (x *storedIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) { return child(x, h, openIndex) }

func child[T any](x *storedIndex, h v1.Hash, open func(source, v1.Descriptor) (T, error)) (T, error) {
	for _, d := range x.parsed.Manifests {
		if d.Digest == h {
			return open(x.source, d)
		}
	}
	var none T
	return none, fmt.Errorf("index has no manifest %s", h)
}

// artifactOf opens what a descriptor of a layout's index names.
func artifactOf(s source, d v1.Descriptor) (Artifact, error) {
	switch {
	case d.MediaType.IsIndex():
		x, err := openIndex(s, d)
		if err != nil {
			return Artifact{}, err
		}
		return artifactOfIndex(x)
	case d.MediaType.IsImage():
		img, err := openImage(s, d)
		if err != nil {
			return Artifact{}, err
		}
		return artifactOfImage(img, nil)
	}
	return Artifact{}, fmt.Errorf("%s is a %s, no image", d.Digest, d.MediaType)
}
