package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/image"
	"slim/internal/store"
)

// Delivery is where an image went.
type Delivery struct {
	Destination string // as asked for
	Digest      string // of the index, or of the one image
	Reference   string // of a registry, without digest; "" for the other kinds
	Attached    []Attached
	Notes       []string
}

// Attached names an attachment that is with an image.
type Attached struct {
	Kind    string // what it is, for people
	Subject string // digest of what it is about
	Type    string // media type
	Size    int
}

// String is REFERENCE@DIGEST for a registry, DESTINATION DIGEST otherwise.
func (d Delivery) String() string {
	if d.Reference != "" {
		return d.Reference + "@" + d.Digest
	}
	return d.Destination + " " + d.Digest
}

// CheckDestination says whether Deliver understands a destination. Unlike a reference to read, one to write to needs its
// kind: what looks like a path must not end up at a registry.
func CheckDestination(dest string) error {
	ref, err := store.Parse(dest)
	if err == nil && ref.Kind == store.KindDocker && !strings.HasPrefix(dest, "docker://") {
		return fmt.Errorf("destination %q has no kind: docker://%s is a registry, oci:%s a directory", dest, dest, dest)
	}
	return err
}

// SharedDestination reports whether images of several recipes may go to a destination: an OCI layout without a tag.
func SharedDestination(dest string) bool {
	ref, err := store.Parse(dest)
	return err == nil && ref.Kind == store.KindOCI && ref.Tag == ""
}

// TakesAttachments reports whether an image can have attachments at a destination, and whether that is a registry.
func TakesAttachments(dest string) (takes, registry bool) {
	ref, err := store.Parse(dest)
	return err == nil && ref.Attaches(), err == nil && ref.Kind == store.KindDocker
}

// Deliver brings the image to a destination (see CheckDestination): docker://REFERENCE, oci:DIR[:TAG],
// oci-archive:FILE, docker-archive:FILE, dir:DIR or a .tar. What is attached is sent first; only a registry and an OCI
// layout take it (see TakesAttachments). What was brought there before, and by one look is there still, is not made again.
// After an error nothing is there that was not before, but in a registry blobs and manifests without a name. Errors of a
// registry are *store.RegistryError.
func (i *Image) Deliver(ctx context.Context, dest string, what AttachOptions, o Options) (*Delivery, error) {
	ref, err := store.Parse(dest)
	if err != nil {
		return nil, err
	}
	o.Report.Report(Event{Phase: PhaseDelivery, Message: ""})
	to := store.Options{
		Jobs: max(4, o.jobs()), Name: i.Name, Host: HostPlatform().v1(),
		Progress: func(done, total int64) {
			o.Report.Report(Event{Phase: PhaseDelivery, Done: done, Total: total})
		},
	}
	key, err := i.deliveredKey(ref, &what, o)
	if err != nil {
		return nil, err
	}
	before, err := i.recallDelivered(key)
	if err != nil {
		return nil, err
	}
	if before == nil || !store.Stands(ctx, ref, i.artifact(), before.Mark, to) {
		if before, err = i.write(ctx, ref, what, to, o); err != nil {
			return nil, err
		}
		if err := i.rememberDelivered(key, before); err != nil {
			return nil, err
		}
	}
	digest, err := i.artifact().Digest()
	if err != nil {
		return nil, err
	}
	d := &Delivery{Destination: dest, Digest: digest.String(), Attached: before.Attached, Notes: before.notes}
	if ref.Kind == store.KindDocker {
		d.Reference = ref.Reference.String()
	}
	return d, nil
}

// write writes the image, and what is attached to it.
func (i *Image) write(ctx context.Context, ref store.Ref, what AttachOptions, to store.Options, o Options) (*delivered, error) {
	var err error
	if to.Mounts, err = i.mounts(ref); err != nil {
		return nil, err
	}
	var attached []attachment
	if !what.none() {
		to.Attachments = func(ctx context.Context) (_ []store.Attachment, err error) {
			if attached, err = i.documents(ctx, what, o); err != nil {
				return nil, err
			}
			return stored(attached)
		}
	}
	result, err := store.Write(ctx, ref, i.artifact(), to)
	if errors.Is(err, image.ErrLost) {
		if err = i.remake(ctx); err == nil {
			result, err = store.Write(ctx, ref, i.artifact(), to)
		}
	}
	if err != nil {
		return nil, err
	}
	out := &delivered{Mark: result.Mark, notes: result.Unset}
	for _, a := range attached {
		out.Attached = append(out.Attached, Attached{Kind: a.Kind, Subject: a.Subject, Type: a.Type, Size: len(a.Content)})
	}
	return out, i.sent(ref, to.Mounts)
}

// remake builds the image again because a part of a layer was damaged in the cache, or is gone from it.
func (i *Image) remake(ctx context.Context) error {
	for _, p := range i.Platforms {
		for _, l := range p.Layers {
			if err := l.Layer.(*image.Layer).Sweep(); err != nil {
				return err
			}
		}
	}
	fresh, err := i.again(ctx)
	if err != nil {
		return err
	}
	err = i.Close()
	*i = *fresh
	return err
}

func (p Platform) v1() v1.Platform {
	return v1.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant}
}

func (i *Image) artifact() store.Artifact {
	a := store.Artifact{Index: i.Index}
	for _, p := range i.Platforms {
		a.Images = append(a.Images, p.Image)
		a.Platforms = append(a.Platforms, p.Platform.v1())
	}
	return a
}

// InspectedImage is what stands at a reference.
type InspectedImage struct {
	Reference string
	Digest    string // of the index, or of the one image
	Images    []*Inspection
}

// Inspect reads the image at a reference, slim's or not, in the words of Deliver; dir: has nothing to inspect.
func Inspect(ctx context.Context, reference string, o Options) (*InspectedImage, error) {
	ref, err := store.Parse(reference)
	if err != nil {
		return nil, err
	}
	a, err := store.Read(ctx, ref, store.Options{Jobs: max(4, o.jobs())})
	if err != nil {
		return nil, err
	}
	digest, err := a.Digest()
	if err != nil {
		return nil, err
	}
	work, err := o.workDir()
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	out := &InspectedImage{Reference: reference, Digest: digest.String()}
	for _, img := range a.Images {
		one, err := inspect(ctx, img, work)
		if err != nil {
			return nil, fmt.Errorf("inspecting %s: %w", reference, err)
		}
		out.Images = append(out.Images, one)
	}
	return out, nil
}
