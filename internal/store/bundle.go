package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxStall is how long nothing may come of a blob of a bundle, or of its manifest.
const maxStall = time.Minute

// Bundle is what stands at a reference of a registry and is no image: a manifest and the blobs that it names. Opening one
// asks the registry nothing. Errors of the registry are *RegistryError. It is safe for concurrent use.
type Bundle struct {
	ref    name.Reference
	puller *remote.Puller
	pusher *remote.Pusher
}

// OpenBundle opens the bundle at a reference of kind docker. Of the options, those about registries count.
func OpenBundle(ref Ref, o Options) (*Bundle, error) {
	if ref.Kind != KindDocker {
		return nil, fmt.Errorf("%s is not in a registry", ref)
	}
	options := remoteOptions(context.Background(), o)
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(options...)
	return &Bundle{ref: ref.Reference, puller: puller, pusher: pusher}, err
}

// Manifest is the manifest at the reference, and its digest; nil without one.
func (b *Bundle) Manifest(ctx context.Context) ([]byte, v1.Hash, error) {
	ctx, watch := newWatch(ctx)
	defer watch.stop()
	d, err := b.puller.Get(ctx, b.ref)
	if isMissing(err) {
		return nil, v1.Hash{}, nil
	}
	if err != nil {
		return nil, v1.Hash{}, b.fault(ctx, err)
	}
	return d.Manifest, d.Digest, nil
}

// Head is the digest of the manifest at the reference; zero without one.
func (b *Bundle) Head(ctx context.Context) (v1.Hash, error) {
	ctx, watch := newWatch(ctx)
	defer watch.stop()
	d, err := b.puller.Head(ctx, b.ref)
	if isMissing(err) {
		return v1.Hash{}, nil
	}
	if err != nil {
		return v1.Hash{}, b.fault(ctx, err)
	}
	return d.Digest, nil
}

// Open reads a blob. The reader fails before its end unless it is what the descriptor says.
func (b *Bundle) Open(ctx context.Context, d v1.Descriptor) (io.ReadCloser, error) {
	ctx, watch := newWatch(ctx)
	l, err := b.layer(ctx, d)
	var r io.ReadCloser
	if err == nil {
		r, err = l.Compressed()
	}
	if err != nil {
		err = b.fault(ctx, err)
		watch.stop()
		return nil, err
	}
	return check(ctx, &watchedReader{ReadCloser: r, b: b, ctx: ctx, watch: watch}, d.Digest, d.Size)
}

// layer is a blob of the bundle, which can be mounted elsewhere.
func (b *Bundle) layer(ctx context.Context, d v1.Descriptor) (v1.Layer, error) {
	l, err := b.puller.Layer(ctx, b.ref.Context().Digest(d.Digest.String()))
	if err != nil {
		return nil, err
	}
	m, ok := l.(*remote.MountableLayer)
	if !ok {
		return nil, errors.New("a blob that cannot be mounted")
	}
	m.Layer = &describedLayer{m.Layer, d}
	return m, nil
}

// describedLayer need not ask the registry what its descriptor says.
type describedLayer struct {
	v1.Layer
	d v1.Descriptor
}

func (l *describedLayer) Size() (int64, error)                { return l.d.Size, nil }
func (l *describedLayer) MediaType() (types.MediaType, error) { return l.d.MediaType, nil }

// Add sends a blob, unless the repository has it.
func (b *Bundle) Add(ctx context.Context, l v1.Layer) error {
	return b.fault(ctx, b.pusher.Upload(ctx, b.ref.Context(), l))
}

// Copy brings a blob of another bundle here, within a registry without sending it.
func (b *Bundle) Copy(ctx context.Context, from *Bundle, d v1.Descriptor) error {
	l, err := from.layer(ctx, d)
	if err == nil {
		err = b.pusher.Upload(ctx, b.ref.Context(), l)
	}
	return b.fault(ctx, err)
}

// Put puts a manifest, whose blobs are all there, at the reference, in place of what stands there.
func (b *Bundle) Put(ctx context.Context, manifest []byte) error {
	return b.fault(ctx, b.pusher.Put(ctx, b.ref, rawManifest(manifest)))
}

// rawManifest is an OCI manifest as it is sent.
type rawManifest []byte

func (m rawManifest) RawManifest() ([]byte, error)        { return m, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// fault is err as an error of the registry, or of a watch that ended the request.
func (b *Bundle) fault(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errStalled) {
		return &RegistryError{Registry: b.ref.Context().RegistryStr(), Err: cause}
	}
	return registryError(ctx, b.ref.Context().RegistryStr(), err)
}

// isMissing reports whether the registry says that there is no such manifest.
func isMissing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

var errStalled = fmt.Errorf("nothing came for %v", maxStall)

// watch ends a request of which nothing comes.
type watch struct {
	timer *time.Timer
	end   context.CancelCauseFunc
}

func newWatch(ctx context.Context) (context.Context, *watch) {
	ctx, end := context.WithCancelCause(ctx)
	return ctx, &watch{time.AfterFunc(maxStall, func() { end(errStalled) }), end}
}

func (w *watch) stop() {
	w.timer.Stop()
	w.end(nil)
}

type watchedReader struct {
	io.ReadCloser
	b     *Bundle
	ctx   context.Context
	watch *watch
}

func (r *watchedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.watch.timer.Reset(maxStall)
	}
	if err != nil && err != io.EOF {
		err = r.b.fault(r.ctx, err)
	}
	return n, err
}

func (r *watchedReader) Close() error {
	r.watch.stop()
	return r.ReadCloser.Close()
}
