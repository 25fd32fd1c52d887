package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec says what an image is.
type Spec struct {
	OS, Architecture, Variant string

	Entrypoint   []string
	Cmd          []string
	Env          []string // NAME=VALUE, in order
	User         string
	WorkingDir   string
	ExposedPorts []string // 8080/tcp
	Volumes      []string
	StopSignal   string
	Labels       map[string]string

	Annotations map[string]string // of the manifest
	Created     time.Time         // in whole seconds, of the image and each history entry; required
	Layers      []SpecLayer       // lowest first
}

// SpecLayer is a layer and its line of history.
type SpecLayer struct {
	Layer     v1.Layer
	CreatedBy string
	Comment   string
}

// New makes an OCI image: manifest and config whose bytes depend on s alone. The image reads its layers when asked for
// their content and does not own them. A missing platform or time, and a layer that cannot say its digests, are errors.
func New(s Spec) (v1.Image, error) {
	if s.OS == "" || s.Architecture == "" {
		return nil, errors.New("making image: no platform")
	}
	if s.Created.IsZero() {
		return nil, errors.New("making image: no time of creation")
	}
	config, err := s.config()
	if err != nil {
		return nil, fmt.Errorf("making image: %w", err)
	}
	img := &image{}
	if img.config, err = json.Marshal(config); err != nil {
		return nil, fmt.Errorf("making image config: %w", err)
	}
	m := &v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{},
		Config: descriptor(types.OCIConfigJSON, img.config), Annotations: maps.Clone(s.Annotations),
	}
	for _, l := range s.Layers {
		d, err := layerDescriptor(l.Layer)
		if err != nil {
			return nil, fmt.Errorf("making image: %w", err)
		}
		m.Layers = append(m.Layers, d)
		img.layers = append(img.layers, l.Layer)
		img.digests = append(img.digests, d.Digest)
	}
	img.diffIDs = config.RootFS.DiffIDs
	if img.manifest, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("making image manifest: %w", err)
	}
	return img, nil
}

func (s *Spec) config() (*v1.ConfigFile, error) {
	created := v1.Time{Time: s.Created.UTC().Truncate(time.Second)}
	c := &v1.ConfigFile{
		OS: s.OS, Architecture: s.Architecture, Variant: s.Variant, Created: created,
		Config: v1.Config{
			Entrypoint: s.Entrypoint, Cmd: s.Cmd, Env: s.Env, User: s.User, WorkingDir: s.WorkingDir,
			ExposedPorts: set(s.ExposedPorts), Volumes: set(s.Volumes), StopSignal: s.StopSignal, Labels: maps.Clone(s.Labels),
		},
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	}
	for i, l := range s.Layers {
		if l.Layer == nil {
			return nil, fmt.Errorf("layer %d is nil", i)
		}
		id, err := l.Layer.DiffID()
		if err != nil {
			return nil, fmt.Errorf("diff ID of layer %d: %w", i, err)
		}
		c.RootFS.DiffIDs = append(c.RootFS.DiffIDs, id)
		c.History = append(c.History, v1.History{Created: created, CreatedBy: l.CreatedBy, Comment: l.Comment})
	}
	return c, nil
}

func set(names []string) map[string]struct{} {
	if len(names) == 0 {
		return nil
	}
	m := make(map[string]struct{}, len(names))
	for _, n := range names {
		m[n] = struct{}{}
	}
	return m
}

func descriptor(mediaType types.MediaType, b []byte) v1.Descriptor {
	h, n, _ := v1.SHA256(bytes.NewReader(b)) // reading memory does not fail
	return v1.Descriptor{MediaType: mediaType, Digest: h, Size: n}
}

func layerDescriptor(l v1.Layer) (v1.Descriptor, error) {
	var d v1.Descriptor
	var err error
	if d.MediaType, err = l.MediaType(); err != nil {
		return d, err
	}
	if d.Digest, err = l.Digest(); err != nil {
		return d, err
	}
	d.Size, err = l.Size()
	return d, err
}

// image is a v1.Image of bytes and layers that are there already.
type image struct {
	manifest, config []byte
	layers           []v1.Layer
	digests, diffIDs []v1.Hash
}

func (i *image) Layers() ([]v1.Layer, error)               { return slices.Clone(i.layers), nil }
func (i *image) MediaType() (types.MediaType, error)       { return types.OCIManifestSchema1, nil }
func (i *image) Size() (int64, error)                      { return int64(len(i.manifest)), nil }
func (i *image) ConfigName() (v1.Hash, error)              { return partial.ConfigName(i) }
func (i *image) ConfigFile() (*v1.ConfigFile, error)       { return partial.ConfigFile(i) }
func (i *image) RawConfigFile() ([]byte, error)            { return bytes.Clone(i.config), nil }
func (i *image) Digest() (v1.Hash, error)                  { return partial.Digest(i) }
func (i *image) Manifest() (*v1.Manifest, error)           { return partial.Manifest(i) }
func (i *image) RawManifest() ([]byte, error)              { return bytes.Clone(i.manifest), nil }
func (i *image) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return i.find(i.diffIDs, h) }

// LayerByDigest also finds the config, as v1.Image wants it.
func (i *image) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if h == descriptor(types.OCIConfigJSON, i.config).Digest {
		return partial.ConfigLayer(i)
	}
	return i.find(i.digests, h)
}

func (i *image) find(hashes []v1.Hash, h v1.Hash) (v1.Layer, error) {
	if n := slices.Index(hashes, h); n >= 0 {
		return i.layers[n], nil
	}
	return nil, fmt.Errorf("image has no layer %s", h)
}

// Index makes an OCI index of images, one for each of platforms, in that order. The index does not own them.
func Index(images []v1.Image, platforms []v1.Platform, annotations map[string]string) (v1.ImageIndex, error) {
	if len(images) != len(platforms) {
		return nil, fmt.Errorf("making index: %d images for %d platforms", len(images), len(platforms))
	}
	m := &v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}, Annotations: maps.Clone(annotations),
	}
	x := &index{}
	for i, img := range images {
		raw, err := img.RawManifest()
		if err != nil {
			return nil, fmt.Errorf("making index: manifest of %s: %w", platforms[i], err)
		}
		mediaType, err := img.MediaType()
		if err != nil {
			return nil, fmt.Errorf("making index: media type of %s: %w", platforms[i], err)
		}
		d := descriptor(mediaType, raw)
		d.Platform = platforms[i].DeepCopy()
		m.Manifests = append(m.Manifests, d)
		x.images = append(x.images, img)
		x.digests = append(x.digests, d.Digest)
	}
	var err error
	if x.manifest, err = json.Marshal(m); err != nil {
		return nil, fmt.Errorf("making index: %w", err)
	}
	return x, nil
}

// index is a v1.ImageIndex of bytes and images that are there already.
type index struct {
	manifest []byte
	images   []v1.Image
	digests  []v1.Hash
}

func (x *index) MediaType() (types.MediaType, error) { return types.OCIImageIndex, nil }
func (x *index) Digest() (v1.Hash, error)            { return partial.Digest(x) }
func (x *index) Size() (int64, error)                { return int64(len(x.manifest)), nil }
func (x *index) RawManifest() ([]byte, error)        { return bytes.Clone(x.manifest), nil }
func (x *index) IndexManifest() (*v1.IndexManifest, error) {
	return v1.ParseIndexManifest(bytes.NewReader(x.manifest))
}

func (x *index) Image(h v1.Hash) (v1.Image, error) {
	if n := slices.Index(x.digests, h); n >= 0 {
		return x.images[n], nil
	}
	return nil, fmt.Errorf("index has no image %s", h)
}

func (x *index) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	return nil, fmt.Errorf("index has no index %s", h)
}
