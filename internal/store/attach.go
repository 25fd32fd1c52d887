package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Attachment is a document that refers to an image or index: a manifest with a subject (image-spec manifest.md), whose one
// layer the document is. The image does not know of it.
type Attachment struct {
	Subject     v1.Hash // of the artifact's index, or of one of its images
	Type        string  // the manifest's artifact type and the media type of Content
	Title       string  // the name of the file that oras pull writes; "" is none
	Content     []byte
	Annotations map[string]string // of the manifest
}

// Attaches reports whether what is written at ref can have attachments: in a registry, and in an OCI layout.
func (r Ref) Attaches() bool { return r.Kind == KindDocker || r.Kind == KindOCI }

const (
	emptyType    = types.MediaType("application/vnd.oci.empty.v1+json") // image-spec manifest.md, "guidance for an empty descriptor"
	emptyContent = "{}"
	title        = "org.opencontainers.image.title" // image-spec annotations.md
)

// referrer is an attachment as it is stored.
type referrer struct {
	subject v1.Descriptor
	desc    v1.Descriptor // as lists of referrers name it
	raw     []byte        // the manifest
	blobs   []blob        // that it names
	layers  []v1.Layer    // the same
}

func (r *referrer) RawManifest() ([]byte, error)        { return r.raw, nil }
func (r *referrer) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

var _ remote.Taggable = (*referrer)(nil)

// referrersOf are the attachments of an artifact, in their order.
func referrersOf(a Artifact, attachments []Attachment) ([]*referrer, error) {
	var out []*referrer
	for _, at := range attachments {
		r, err := newReferrer(a, at)
		if err != nil {
			return nil, fmt.Errorf("attaching %s: %w", at.Type, err)
		}
		out = append(out, r)
	}
	return out, nil
}

func newReferrer(a Artifact, at Attachment) (*referrer, error) {
	subject, err := a.descriptor(at.Subject)
	if err != nil {
		return nil, err
	}
	r := &referrer{subject: subject}
	m := &v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: at.Type, Annotations: at.Annotations,
		Subject: &v1.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	}
	if m.Config, err = r.add([]byte(emptyContent), emptyType); err != nil {
		return nil, err
	}
	layer, err := r.add(at.Content, types.MediaType(at.Type))
	if err != nil {
		return nil, err
	}
	if at.Title != "" {
		layer.Annotations = map[string]string{title: at.Title}
	}
	m.Layers = []v1.Descriptor{layer}
	if r.raw, err = json.Marshal(m); err != nil {
		return nil, err
	}
	b, err := bytesBlob(r.raw)
	r.blobs = append(r.blobs, b)
	r.desc = v1.Descriptor{MediaType: m.MediaType, Digest: b.digest, Size: b.size, ArtifactType: at.Type, Annotations: at.Annotations}
	return r, err
}

// add takes in a blob that the manifest names.
func (r *referrer) add(content []byte, t types.MediaType) (v1.Descriptor, error) {
	b, err := bytesBlob(content)
	r.blobs, r.layers = append(r.blobs, b), append(r.layers, static.NewLayer(content, t))
	return v1.Descriptor{MediaType: t, Digest: b.digest, Size: b.size}, err
}

// descriptor is that of the index or of one of the images.
func (a Artifact) descriptor(h v1.Hash) (v1.Descriptor, error) {
	parts := []Artifact{}
	if a.Index != nil {
		parts = append(parts, a)
	}
	for _, img := range a.Images {
		parts = append(parts, Artifact{Images: []v1.Image{img}})
	}
	for _, p := range parts {
		if d, err := descriptorOf(p, nil); err != nil || d.Digest == h {
			return d, err
		}
	}
	return v1.Descriptor{}, fmt.Errorf("it has no image %s", h)
}

// attach sends the referrers that the registry does not list yet. One that has no referrers API has their list under the
// fallback tag of the subject (distribution-spec, "referrers tag schema"). What was sent and is not listed, because
// somebody was interrupted there, is sent again.
func attach(ctx context.Context, p *remote.Pusher, to name.Repository, all []*referrer, o []remote.Option) error {
	lists := map[v1.Hash]map[v1.Hash]bool{}
	for _, r := range all {
		subject := r.subject.Digest
		if lists[subject] == nil {
			listed, err := listedIn(to.Digest(subject.String()), o)
			if err != nil {
				return fmt.Errorf("asking what is attached to %s: %w", subject, registryError(ctx, to.RegistryStr(), err))
			}
			lists[subject] = listed
		}
		if lists[subject][r.desc.Digest] {
			continue
		}
		lists[subject][r.desc.Digest] = true
		if err := r.send(ctx, p, to); err != nil {
			return fmt.Errorf("attaching %s to %s: %w", r.desc.ArtifactType, subject, registryError(ctx, to.RegistryStr(), err))
		}
	}
	return nil
}

// listedIn are the referrers of a manifest that a registry knows.
func listedIn(subject name.Digest, o []remote.Option) (map[v1.Hash]bool, error) {
	x, err := remote.Referrers(subject, o...)
	if err != nil {
		return nil, err
	}
	m, err := x.IndexManifest()
	if err != nil {
		return nil, err
	}
	listed := map[v1.Hash]bool{}
	for _, d := range m.Manifests {
		listed[d.Digest] = true
	}
	return listed, nil
}

func (r *referrer) send(ctx context.Context, p *remote.Pusher, to name.Repository) error {
	for _, l := range r.layers {
		if err := p.Upload(ctx, to, l); err != nil {
			return err
		}
	}
	return p.Put(ctx, to.Digest(r.desc.Digest.String()), r)
}

// The tags of lists of referrers, in registries without an API for them and in layouts.
var fallbackForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^sha256-[0-9a-f]{64}$`)
})

func fallbackTag(subject v1.Hash) string { return subject.Algorithm + "-" + subject.Hex }

// attach puts referrers into a layout: for each subject a list under its fallback tag, where regctl looks for it, and oras
// finds what it names. x is the layout's index, and is not written yet.
func (w *layoutWriter) attach(ctx context.Context, x *v1.IndexManifest, all []*referrer, m *meter) error {
	for _, r := range all {
		if err := w.blobs(ctx, r.blobs, m); err != nil {
			return err
		}
		if err := w.list(ctx, x, r, m); err != nil {
			return fmt.Errorf("listing %s as attached to %s: %w", r.desc.ArtifactType, r.subject.Digest, err)
		}
	}
	return nil
}

// list adds a referrer to the list of its subject.
func (w *layoutWriter) list(ctx context.Context, x *v1.IndexManifest, r *referrer, m *meter) error {
	tag := fallbackTag(r.subject.Digest)
	list := &v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	if old, err := choose(x, tag); err == nil {
		raw, err := readDocument(dirSource(w.dir), old)
		if err != nil {
			return err
		}
		if list, err = v1.ParseIndexManifest(bytes.NewReader(raw)); err != nil {
			return err
		}
		if list.MediaType != types.OCIImageIndex {
			return errors.New("what stands at " + tag + " is no list")
		}
	}
	if slices.ContainsFunc(list.Manifests, func(d v1.Descriptor) bool { return d.Digest == r.desc.Digest }) {
		return nil
	}
	list.Manifests = append(list.Manifests, r.desc)
	slices.SortFunc(list.Manifests, func(a, b v1.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	b, err := bytesBlob(raw)
	if err != nil {
		return err
	}
	if err := w.blob(ctx, b, m); err != nil {
		return err
	}
	putTag(x, v1.Descriptor{MediaType: types.OCIImageIndex, Digest: b.digest, Size: b.size, Annotations: map[string]string{refName: tag}}, tag)
	return nil
}
