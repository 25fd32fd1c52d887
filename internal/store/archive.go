package store

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const dockerManifest = "manifest.json"

// maxArchiveEntries bounds the table of an archive's files.
const maxArchiveEntries = 100_000

// dockerImage is one image in docker's manifest.json (moby, image/tarexport).
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// writeArchive writes a tar with the blobs of a layout. An OCI archive has the layout's two files, docker's has
// manifest.json, which names the same blobs, and the archive for both has all three.
func writeArchive(ctx context.Context, ref Ref, a Artifact, o Options) error {
	names := namesFor(ref, o)
	files := map[string][]byte{}
	if ref.Kind != KindDockerArchive {
		if err := addLayoutFiles(files, a, names); err != nil {
			return err
		}
	}
	if ref.Kind != KindOCIArchive {
		if err := addDockerManifest(files, ref.Kind, a, names, o); err != nil {
			return err
		}
	}
	blobs, err := blobsOf(a)
	if err != nil {
		return err
	}
	slices.SortFunc(blobs, func(a, b blob) int { return cmp.Compare(a.digest.Hex, b.digest.Hex) })
	m, err := newMeter(a, o.Progress)
	if err != nil {
		return err
	}
	if info, err := os.Stat(ref.Path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is there and is no file", ref.Path)
	}
	return writeBeside(ref.Path, func(f io.Writer) error { return tarBlobs(ctx, f, files, blobs, m) })
}

// archiveNames are what an archive calls its image.
type archiveNames struct {
	layout string    // in index.json
	docker *name.Tag // nil without
}

func namesFor(ref Ref, o Options) archiveNames {
	base := strings.TrimSuffix(filepath.Base(ref.Path), ".tar")
	n := archiveNames{layout: "latest"}
	if ref.Kind == KindOCIArchive {
		n.layout = tagOr(ref.Tag, o.Name)
	}
	repo := cmp.Or(o.Name, base)
	if ref.Kind == KindDockerArchive && ref.Tag != "" {
		repo = ref.Tag
	}
	if t, err := name.NewTag(repo); err == nil {
		n.docker = &t
		if ref.Kind == KindTar {
			n.layout = t.TagStr()
		}
	}
	return n
}

// familiar is a tag as docker writes it, and full as containerd does.
func familiar(t *name.Tag) string {
	s := strings.TrimPrefix(full(t), "docker.io/")
	return strings.TrimPrefix(s, "library/")
}

func full(t *name.Tag) string {
	if rest, ok := strings.CutPrefix(t.Name(), "index.docker.io/"); ok {
		return "docker.io/" + rest
	}
	return t.Name()
}

func addLayoutFiles(files map[string][]byte, a Artifact, names archiveNames) error {
	if !tagForm().MatchString(names.layout) {
		return fmt.Errorf("%q is no name for an image in a layout", names.layout)
	}
	annotations := map[string]string{refName: names.layout}
	if names.docker != nil {
		annotations[containerdName] = full(names.docker)
	}
	d, err := descriptorOf(a, annotations)
	if err != nil {
		return err
	}
	x := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{d}}
	files[layoutFile] = []byte(layoutContent)
	files[indexFile], err = json.Marshal(x)
	return err
}

func addDockerManifest(files map[string][]byte, kind Kind, a Artifact, names archiveNames, o Options) error {
	if kind == KindDockerArchive && len(a.Images) > 1 {
		return fmt.Errorf("docker-archive holds one platform, the image has %d: choose one, or write a NAME.tar", len(a.Images))
	}
	at := max(0, slices.IndexFunc(a.Platforms, func(p v1.Platform) bool { return o.Host.OS != "" && p.Satisfies(o.Host) }))
	m, err := a.Images[at].Manifest()
	if err != nil {
		return err
	}
	d := dockerImage{Config: blobPath(m.Config.Digest), RepoTags: []string{}, Layers: []string{}}
	if names.docker != nil {
		d.RepoTags = append(d.RepoTags, familiar(names.docker))
	}
	for _, l := range m.Layers {
		if kind == KindDockerArchive && l.MediaType == types.OCILayerZStd {
			return errors.New("docker-archive cannot hold zstd layers, which many of its readers refuse: use gzip, or write an oci-archive")
		}
		d.Layers = append(d.Layers, blobPath(l.Digest))
	}
	files[dockerManifest], err = json.Marshal([]dockerImage{d})
	return err
}

func blobPath(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }

// tarBlobs writes files and blobs, in that order and each sorted, of no time and no one.
func tarBlobs(ctx context.Context, f io.Writer, files map[string][]byte, blobs []blob, m *meter) error {
	w := tar.NewWriter(f)
	for _, dir := range []string{"blobs/", "blobs/sha256/"} {
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
	}
	for _, b := range blobs {
		if b.digest.Algorithm != "sha256" {
			return fmt.Errorf("digest %s: only sha256 is known", b.digest)
		}
		if err := w.WriteHeader(fileHeader(blobPath(b.digest), b.size)); err != nil {
			return err
		}
		if err := copyBlob(ctx, w, b, m); err != nil {
			return err
		}
	}
	for _, n := range []string{indexFile, dockerManifest, layoutFile} {
		content, ok := files[n]
		if !ok {
			continue
		}
		if err := w.WriteHeader(fileHeader(n, int64(len(content)))); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return w.Close()
}

func fileHeader(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}
}

// tarSource is the table of an archive's files. Each opening opens the archive anew.
type tarSource struct {
	path  string
	files map[string]section
	links map[string]string
}

type section struct{ offset, size int64 }

func openTar(p string) (*tarSource, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return tableOf(p, f)
}

// tableOf reads the table of the archive f, which is at p.
func tableOf(p string, f io.ReadSeeker) (*tarSource, error) {
	s := &tarSource{path: p, files: map[string]section{}, links: map[string]string{}}
	var magic [4]byte
	if n, _ := io.ReadFull(f, magic[:]); n == 4 && (magic[0] == 0x1f && magic[1] == 0x8b || bytes.Equal(magic[:], []byte{0x28, 0xb5, 0x2f, 0xfd})) {
		return nil, errors.New("the archive is compressed: unpack it first")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	t := tar.NewReader(f)
	for n := 0; ; n++ {
		h, err := t.Next()
		if err == io.EOF {
			return s, nil
		}
		if err != nil {
			return nil, fmt.Errorf("archive: %w", err)
		}
		if n > maxArchiveEntries {
			return nil, fmt.Errorf("archive: more than %d files", maxArchiveEntries)
		}
		clean := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		switch h.Typeflag {
		case tar.TypeReg:
			// The reader has read the header and not more: the content starts here.
			at, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return nil, err
			}
			s.files[clean] = section{at, h.Size}
		case tar.TypeSymlink, tar.TypeLink:
			// docker save of old links equal layers.
			target := h.Linkname
			if h.Typeflag == tar.TypeSymlink {
				target = path.Join(path.Dir(clean), target)
			}
			s.links[clean] = strings.TrimPrefix(path.Clean("/"+target), "/")
		}
	}
}

func (s *tarSource) find(p string) (section, error) {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	for range 10 {
		if at, ok := s.files[p]; ok {
			return at, nil
		}
		if p = s.links[p]; p == "" {
			break
		}
	}
	return section{}, os.ErrNotExist
}

func (s *tarSource) openFile(p string) (io.ReadCloser, int64, error) {
	at, err := s.find(p)
	if err != nil {
		return nil, 0, fmt.Errorf("archive: %s: %w", p, err)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, 0, err
	}
	return &sectionFile{io.NewSectionReader(f, at.offset, at.size), f}, at.size, nil
}

type sectionFile struct {
	*io.SectionReader
	io.Closer
}

func (s *tarSource) open(h v1.Hash) (io.ReadCloser, error) {
	r, _, err := s.openFile(blobPath(h))
	return r, err
}

func (s *tarSource) document(p string) ([]byte, error) {
	r, n, err := s.openFile(p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if n > maxDocument {
		return nil, fmt.Errorf("archive: %s has %d bytes", p, n)
	}
	return io.ReadAll(r)
}

// readArchive opens an archive as an OCI one when it is one and may be.
func readArchive(ref Ref) (Artifact, error) {
	s, err := openTar(ref.Path)
	if err != nil {
		return Artifact{}, err
	}
	_, ociErr := s.find(indexFile)
	if ref.Kind == KindOCIArchive || ref.Kind == KindTar && ociErr == nil {
		return s.oci(ref.Tag)
	}
	if _, err := s.find(dockerManifest); err != nil {
		return Artifact{}, fmt.Errorf("neither %s nor %s is in it: no archive of an image", indexFile, dockerManifest)
	}
	return s.docker(ref.Tag)
}

func (s *tarSource) oci(tag string) (Artifact, error) {
	b, err := s.document(indexFile)
	if err != nil {
		return Artifact{}, err
	}
	x, err := parseIndex(bytes.NewReader(b))
	if err != nil {
		return Artifact{}, err
	}
	d, err := choose(x, tag)
	if err != nil {
		return Artifact{}, err
	}
	return artifactOf(s, d)
}

// docker makes an image of docker's archive: the archive has no manifest, so one is made for the blobs as they are.
func (s *tarSource) docker(tag string) (Artifact, error) {
	b, err := s.document(dockerManifest)
	if err != nil {
		return Artifact{}, err
	}
	var images []dockerImage
	if err := json.Unmarshal(b, &images); err != nil {
		return Artifact{}, fmt.Errorf("%s: %w", dockerManifest, err)
	}
	d, err := chooseDocker(images, tag)
	if err != nil {
		return Artifact{}, err
	}
	img, err := s.dockerImage(d)
	if err != nil {
		return Artifact{}, err
	}
	return artifactOfImage(img, nil)
}

func chooseDocker(images []dockerImage, tag string) (dockerImage, error) {
	var have []string
	for _, d := range images {
		have = append(have, d.RepoTags...)
		if tag == "" {
			continue
		}
		want, err := name.NewTag(tag)
		if err != nil {
			return d, err
		}
		for _, t := range d.RepoTags {
			if got, err := name.NewTag(t); err == nil && got.Name() == want.Name() {
				return d, nil
			}
		}
	}
	switch {
	case len(images) == 0:
		return dockerImage{}, errors.New("it holds no image")
	case tag != "":
		return dockerImage{}, fmt.Errorf("it has no image %q, only %q", tag, have)
	case len(images) > 1:
		return dockerImage{}, fmt.Errorf("it has several images, say which: %q", have)
	}
	return images[0], nil
}

// dockerSource finds blobs of docker's archive by the digests they turned out to have.
type dockerSource struct {
	*tarSource
	paths map[v1.Hash]string
	docs  map[v1.Hash][]byte
}

func (s *dockerSource) open(h v1.Hash) (io.ReadCloser, error) {
	if b, ok := s.docs[h]; ok {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	r, _, err := s.openFile(s.paths[h])
	return r, err
}

func (s *tarSource) dockerImage(d dockerImage) (v1.Image, error) {
	config, err := s.document(d.Config)
	if err != nil {
		return nil, err
	}
	src := &dockerSource{s, map[v1.Hash]string{}, map[v1.Hash][]byte{}}
	m := &v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{}}
	if m.Config, err = src.addDocument(types.OCIConfigJSON, config); err != nil {
		return nil, err
	}
	for _, p := range d.Layers {
		l, err := src.layer(p)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, l)
	}
	raw, err := partial.RawManifest(manifestOnly{m})
	if err != nil {
		return nil, err
	}
	desc, err := src.addDocument(types.OCIManifestSchema1, raw)
	if err != nil {
		return nil, err
	}
	return openImage(src, desc)
}

type manifestOnly struct{ m *v1.Manifest }

func (m manifestOnly) Manifest() (*v1.Manifest, error) { return m.m, nil }

func (s *dockerSource) addDocument(t types.MediaType, b []byte) (v1.Descriptor, error) {
	h, n, err := v1.SHA256(bytes.NewReader(b))
	s.docs[h] = b
	return v1.Descriptor{MediaType: t, Digest: h, Size: n}, err
}

// layer is the descriptor of a file, which is read for it.
func (s *dockerSource) layer(p string) (v1.Descriptor, error) {
	r, _, err := s.openFile(p)
	if err != nil {
		return v1.Descriptor{}, err
	}
	defer r.Close()
	var magic [4]byte
	n, err := io.ReadFull(r, magic[:])
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return v1.Descriptor{}, err
	}
	d := v1.Descriptor{MediaType: types.OCIUncompressedLayer}
	if bytes.HasPrefix(magic[:], []byte{0x1f, 0x8b}) {
		d.MediaType = types.OCILayer
	} else if bytes.Equal(magic[:], []byte{0x28, 0xb5, 0x2f, 0xfd}) {
		d.MediaType = types.OCILayerZStd
	}
	d.Digest, d.Size, err = v1.SHA256(io.MultiReader(bytes.NewReader(magic[:n]), r))
	s.paths[d.Digest] = p
	return d, err
}
