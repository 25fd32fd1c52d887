package store

import (
	"context"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"
)

func remoteOptions(ctx context.Context, o Options) []remote.Option {
	keys := o.Keychain
	if keys == nil {
		keys = DefaultKeychain()
	}
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(keys), remote.WithTransport(newTransport(o)),
		remote.WithJobs(o.jobs()), remote.WithUserAgent("slim"),
	}
}

// writeRegistry sends what the registry does not have: layers, then configs and manifests, what is attached to them, then
// what is tagged.
func writeRegistry(ctx context.Context, ref Ref, a Artifact, o Options) error {
	want, err := a.Digest()
	if err != nil {
		return err
	}
	if d, ok := ref.Reference.(name.Digest); ok && d.DigestStr() != want.String() {
		return fmt.Errorf("the image's digest is %s", want)
	}
	m, err := newMeter(a, o.Progress)
	if err != nil {
		return err
	}
	options, to := remoteOptions(ctx, o), ref.Reference.Context()
	p, err := remote.NewPusher(options...)
	if err != nil {
		return err
	}
	// What stands there may be it already: one request then, and none for each of its layers.
	there, err := remote.Head(ref.Reference, options...)
	stands := err == nil && there.Digest == want
	push := func(ctx context.Context, as name.Reference) error {
		if stands {
			return nil
		}
		s := &sending{meter: m, mounts: o.Mounts, to: to}
		var t remote.Taggable = &sentIndex{a.Index, s}
		if a.Index == nil {
			t = &sentImage{a.Images[0], s}
		}
		if err := p.Push(ctx, as, t); err != nil {
			return registryError(ctx, to.RegistryStr(), err)
		}
		return nil
	}
	if o.Attachments != nil {
		var referrers []*referrer
		group, inner := errgroup.WithContext(ctx)
		group.Go(func() error { return push(inner, to.Digest(want.String())) })
		group.Go(func() (err error) { referrers, err = o.referrers(inner, a); return err })
		if err := group.Wait(); err != nil {
			return err
		}
		if err := attach(ctx, p, to, referrers, options); err != nil {
			return err
		}
	}
	if err := push(ctx, ref.Reference); err != nil {
		return err
	}
	m.add(m.total)
	return nil
}

// sending is what the layers of a push have in common.
type sending struct {
	meter  *meter
	mounts map[v1.Hash]name.Repository
	to     name.Repository
}

func (s *sending) layer(l v1.Layer) (v1.Layer, error) {
	h, err := l.Digest()
	if err != nil {
		return nil, err
	}
	m, mounted := l.(*remote.MountableLayer)
	if mounted {
		l = m.Layer
	}
	l = &sentLayer{l, s.meter}
	if from, ok := s.mounts[h]; ok && from.RegistryStr() == s.to.RegistryStr() && from.String() != s.to.String() {
		return &remote.MountableLayer{Layer: l, Reference: from.Digest(h.String())}, nil
	}
	if mounted {
		return &remote.MountableLayer{Layer: l, Reference: m.Reference}, nil
	}
	return l, nil
}

type sentLayer struct {
	v1.Layer
	m *meter
}

func (l *sentLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.Layer.Compressed()
	if err != nil {
		return nil, &localError{err}
	}
	return l.m.reader(r), nil
}

type sentImage struct {
	v1.Image
	s *sending
}

func (i *sentImage) Layers() ([]v1.Layer, error) {
	layers, err := i.Image.Layers()
	if err != nil {
		return nil, err
	}
	sent := make([]v1.Layer, len(layers))
	for n, l := range layers {
		if sent[n], err = i.s.layer(l); err != nil {
			return nil, err
		}
	}
	return sent, nil
}

// anyIndex is v1.ImageIndex under a name that does not hide its method ImageIndex when embedded.
type anyIndex = v1.ImageIndex

type sentIndex struct {
	anyIndex
	s *sending
}

var _ v1.ImageIndex = (*sentIndex)(nil)

func (x *sentIndex) Image(h v1.Hash) (v1.Image, error) {
	img, err := x.anyIndex.Image(h)
	if err != nil {
		return nil, err
	}
	return &sentImage{img, x.s}, nil
}

func readRegistry(ctx context.Context, ref Ref, o Options) (Artifact, error) {
	host := ref.Reference.Context().RegistryStr()
	d, err := remote.Get(ref.Reference, remoteOptions(ctx, o)...)
	if err != nil {
		return Artifact{}, registryError(ctx, host, err)
	}
	var a Artifact
	if d.MediaType.IsIndex() {
		x, err := d.ImageIndex()
		if err == nil {
			a, err = artifactOfIndex(x)
		}
		return a, registryError(ctx, host, err)
	}
	img, err := d.Image()
	if err == nil {
		a, err = artifactOfImage(img, nil)
	}
	return a, registryError(ctx, host, err)
}

// artifactOfImage is an image alone. Without a platform in a descriptor its config says it.
func artifactOfImage(img v1.Image, p *v1.Platform) (Artifact, error) {
	p, err := platformOf(img, p)
	if err != nil {
		return Artifact{}, err
	}
	return Artifact{Images: []v1.Image{img}, Platforms: []v1.Platform{*p}}, nil
}

func platformOf(img v1.Image, p *v1.Platform) (*v1.Platform, error) {
	if p != nil && p.Architecture != "" {
		return p, nil
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	if p = c.Platform(); p == nil {
		p = &v1.Platform{}
	}
	return p, nil
}

// artifactOfIndex has the images of an index.
func artifactOfIndex(x v1.ImageIndex) (Artifact, error) {
	m, err := x.IndexManifest()
	if err != nil {
		return Artifact{}, err
	}
	a := Artifact{Index: x}
	for _, d := range m.Manifests {
		// BuildKit puts attestations among the images, for a platform that does not exist.
		if !d.MediaType.IsImage() || d.Platform != nil && d.Platform.OS == "unknown" {
			continue
		}
		img, err := x.Image(d.Digest)
		if err != nil {
			return Artifact{}, err
		}
		p, err := platformOf(img, d.Platform)
		if err != nil {
			return Artifact{}, err
		}
		a.Images, a.Platforms = append(a.Images, img), append(a.Platforms, *p)
	}
	if len(a.Images) == 0 {
		return Artifact{}, fmt.Errorf("index %s has no images", m.MediaType)
	}
	return a, nil
}
