package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Artifact is what stands at a reference: an image, or an index of images for several platforms. Content is read when
// it is asked for, from where it is.
type Artifact struct {
	Index     v1.ImageIndex // nil for an image alone
	Images    []v1.Image    // never empty; in the index's order, without what is no image (attestations, say)
	Platforms []v1.Platform // of Images, in their order
}

// Digest is that of the index, or of the one image.
func (a Artifact) Digest() (v1.Hash, error) {
	if a.Index != nil {
		return a.Index.Digest()
	}
	if len(a.Images) != 1 {
		return v1.Hash{}, fmt.Errorf("%d images without an index", len(a.Images))
	}
	return a.Images[0].Digest()
}

// Image is the one for a platform. An artifact of one image gives that for the zero platform.
func (a Artifact) Image(p v1.Platform) (v1.Image, error) {
	if len(a.Images) == 1 && p.Equals(v1.Platform{}) {
		return a.Images[0], nil
	}
	var have []string
	for i, q := range a.Platforms {
		if q.Satisfies(p) && !p.Equals(v1.Platform{}) {
			return a.Images[i], nil
		}
		have = append(have, q.String())
	}
	if p.Equals(v1.Platform{}) {
		return nil, fmt.Errorf("it has images for %s: say which", strings.Join(have, ", "))
	}
	return nil, fmt.Errorf("no image for %s, only for %s", p, strings.Join(have, ", "))
}

// Options are for Write and Read. The zero value works.
type Options struct {
	Jobs      int                     // transfers at once; below 1 is 4
	Progress  func(done, total int64) // bytes of layers; called from several goroutines, one at a time
	Keychain  authn.Keychain          // nil is DefaultKeychain
	Transport http.RoundTripper       // nil is one that also reads CertDirs
	CertDirs  []string                // nil is /etc/containers/certs.d, /etc/docker/certs.d and the user's own

	// Name is the image's: the tag of a layout and the name in an archive when the Ref has none. "" is "latest" and
	// the file's name. A name that docker would not take gives an archive without one.
	Name string

	// Host is the platform whose image docker load takes from an archive that has several; the first one, if it is
	// the zero value or not among them.
	Host v1.Platform

	// Mounts says, by digest, in which repository of the same registry a layer may be already. It is then linked and
	// not sent. Wrong entries only cost a request.
	Mounts map[v1.Hash]name.Repository

	// Attachments makes what is put beside what is written, and stands there before it is named; nil is nothing. It is
	// called once, while layers are sent, and only for a Ref that Attaches. Attachments that are there already are not
	// written again, and others stay.
	Attachments func(context.Context) ([]Attachment, error)
}

// defaultJobs are transfers at once.
const defaultJobs = 4

func (o Options) jobs() int {
	if o.Jobs < 1 {
		return defaultJobs
	}
	return o.Jobs
}

// referrers are the attachments of a as they are stored.
func (o Options) referrers(ctx context.Context, a Artifact) ([]*referrer, error) {
	if o.Attachments == nil {
		return nil, nil
	}
	attachments, err := o.Attachments(ctx)
	if err != nil {
		return nil, err
	}
	return referrersOf(a, attachments)
}

// Result says what Write did.
type Result struct {
	Digest v1.Hash // of the index, or of the one image

	// Unset are the things of a plain root that the user may not set, by kind and in a fixed order, one line each.
	Unset []string

	// Mark is what Stands takes to tell later that nothing has changed there; "" where nothing can tell.
	Mark string
}

// Write brings a to ref. Nothing half-written stays after an error or when ctx ends: no file, no directory, no tag.
// Errors of a registry are *RegistryError.
func Write(ctx context.Context, ref Ref, a Artifact, o Options) (Result, error) {
	var r Result
	var err error
	if r.Digest, err = a.Digest(); err != nil {
		return Result{}, fmt.Errorf("writing %s: %w", ref, err)
	}
	o.Progress = serial(o.Progress)
	if o.Attachments != nil && !ref.Attaches() {
		return Result{}, fmt.Errorf("writing %s: it has no place for what is attached to an image", ref)
	}
	switch ref.Kind {
	case KindDocker:
		r.Mark, err = r.Digest.String(), writeRegistry(ctx, ref, a, o)
	case KindOCI:
		if err = writeLayout(ctx, ref.Path, tagOr(ref.Tag, o.Name), a, o); err == nil {
			r.Mark = layoutMark(ref.Path, tagOr(ref.Tag, o.Name), a)
		}
	case KindOCIArchive, KindDockerArchive, KindTar:
		err = writeArchive(ctx, ref, a, o)
	case KindDir:
		r.Unset, err = writeRoot(ctx, ref.Path, a, o)
	default:
		err = errors.New("no reference")
	}
	if err != nil {
		return Result{}, fmt.Errorf("writing %s: %w", ref, err)
	}
	return r, nil
}

// Stands reports whether a is at ref as Write has left it, by its Mark. No blob is read: a registry is asked for one
// manifest, the files of a layout for their sizes and times. What is attached is not looked at.
func Stands(ctx context.Context, ref Ref, a Artifact, mark string, o Options) bool {
	switch ref.Kind {
	case KindDocker:
		there, err := remote.Head(ref.Reference, remoteOptions(ctx, o)...)
		return err == nil && there.Digest.String() == mark
	case KindOCI:
		return mark != "" && layoutMark(ref.Path, tagOr(ref.Tag, o.Name), a) == mark
	}
	return false
}

// Read opens what stands at ref. Nothing needs to be closed; files must stay as they are for as long as the artifact
// is used. Errors of a registry, also later ones of the artifact, are *RegistryError or wrap what RegistryErrorOf knows.
func Read(ctx context.Context, ref Ref, o Options) (Artifact, error) {
	var a Artifact
	var err error
	switch ref.Kind {
	case KindDocker:
		a, err = readRegistry(ctx, ref, o)
	case KindOCI:
		a, err = readLayout(ref)
	case KindOCIArchive, KindDockerArchive, KindTar:
		a, err = readArchive(ref)
	case KindDir:
		err = errors.New("a plain root says nothing of the image it came from")
	default:
		err = errors.New("no reference")
	}
	if err != nil {
		return Artifact{}, fmt.Errorf("reading %s: %w", ref, err)
	}
	return a, nil
}

func tagOr(tag, name string) string {
	switch {
	case tag != "":
		return tag
	case name != "":
		return name
	}
	return "latest"
}
