package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/attest"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/sbom"
	"slim/internal/store"
)

// attachment is a document about an image that stands beside it, in a registry or an OCI layout: an OCI artifact whose
// subject is the image. The image does not depend on it.
type attachment struct {
	Kind        string // what it is, for people
	Subject     string // digest of the index, or of the image of one platform
	Type        string // media type
	Title       string // name of a file for it
	Content     []byte
	Annotations map[string]string
}

// AttachOptions say which documents there are of an image. The zero value has none.
type AttachOptions struct {
	SBOMs      []SBOMFormat // bills of materials, each of the image of each platform
	Provenance bool         // how the image of each platform came to be, and that of all
	Key        *PrivateKey  // nil signs nothing; with it images are signed, and statements of all documents
	Check      bool         // look for each where the image goes, though they were brought there before
}

// none reports whether there are no documents.
func (w *AttachOptions) none() bool { return len(w.SBOMs) == 0 && !w.Provenance && w.Key == nil }

// NeedBill reports whether any of them is made of the bill of materials: see Options.Bill.
func (w *AttachOptions) NeedBill() bool { return len(w.SBOMs) > 0 || w.Provenance }

// documents are the attachments of a built image, made once for several destinations.
func (i *Image) documents(ctx context.Context, what AttachOptions, o Options) ([]attachment, error) {
	if i.attached == nil || !reflect.DeepEqual(i.attachedAs, what) {
		runtime.GC() // what the build held is of no use any more, and documents of many files take as much again
		made, err := i.attachments(ctx, &what, o)
		if err != nil {
			return nil, err
		}
		i.attached, i.attachedAs = made, what
	}
	return i.attached, nil
}

// attachments makes the documents of a built image: in the order of its platforms, the same for the same recipe, lock, key
// and version of slim, wherever the image goes. The error wraps image.ErrLost when the image has to be made again first.
func (i *Image) attachments(ctx context.Context, what *AttachOptions, o Options) ([]attachment, error) {
	a := &attaching{Image: i, what: what, options: o}
	var all []*described
	for k := range i.Platforms {
		p := &i.Platforms[k]
		digest, err := p.Image.Digest()
		if err != nil {
			return nil, err
		}
		d := &described{image: p, digest: digest.String(), files: i.packageFiles(p)}
		if err := a.platform(ctx, d); err != nil {
			return nil, fmt.Errorf("describing the image for %s: %w", p.Platform, err)
		}
		all = append(all, d)
	}
	if i.Index == nil {
		return a.made, nil
	}
	digest, err := i.Index.Digest()
	if err != nil {
		return nil, err
	}
	return a.made, a.whole(ctx, digest.String(), all)
}

// attaching makes attachments.
type attaching struct {
	*Image
	what    *AttachOptions
	options Options
	made    []attachment
}

// described is the image of one platform.
type described struct {
	image  *PlatformImage
	digest string
	files  map[string]lockedFile // by NEVRA
	doc    *sbom.Document        // nil until it is needed: all of the image is read for it
}

// platform makes what is attached to the image of one platform.
func (a *attaching) platform(ctx context.Context, d *described) error {
	for _, format := range a.what.SBOMs {
		content, err := a.kept(ctx, d, string(format), format.of)
		if err != nil {
			return err
		}
		a.add(attachment{Kind: format.name() + " bill of materials", Subject: d.digest, Type: format.mediaType(), Title: format.title(a.Name), Content: content}, d.image.Created)
		if err := a.sign(d.digest, format.predicate(), json.RawMessage(content), d.image.Created); err != nil {
			return err
		}
	}
	if a.what.Provenance {
		if err := a.provenance(ctx, d.digest, d.image.Created, d); err != nil {
			return err
		}
	}
	return a.sign(d.digest, attest.SignedImage, struct{}{}, d.image.Created)
}

// whole makes what is attached to the index over all platforms.
func (a *attaching) whole(ctx context.Context, digest string, all []*described) error {
	if a.what.Provenance {
		if err := a.provenance(ctx, digest, a.Created, all...); err != nil {
			return err
		}
	}
	return a.sign(digest, attest.SignedImage, struct{}{}, a.Created)
}

// add dates an attachment like its image.
func (a *attaching) add(at attachment, created time.Time) {
	if at.Annotations == nil {
		at.Annotations = map[string]string{}
	}
	at.Annotations["org.opencontainers.image.created"] = created.UTC().Format(time.RFC3339)
	a.made = append(a.made, at)
}

// sign makes a signed statement, if there is a key.
func (a *attaching) sign(subject, predicateType string, predicate any, created time.Time) error {
	if a.what.Key == nil {
		return nil
	}
	content, err := a.what.Key.key.Sign(attest.NewStatement(a.Name, subject, predicateType, predicate))
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	// The annotations are cosign's.
	a.add(attachment{
		Kind: signedKind(predicateType), Subject: subject, Type: attest.BundleType, Content: content,
		Annotations: map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType},
	}, created)
	return nil
}

// signedKind says for people what a statement is about.
func signedKind(predicateType string) string {
	switch predicateType {
	case attest.SPDX:
		return "signed SPDX bill of materials"
	case attest.CycloneDX:
		return "signed CycloneDX bill of materials"
	case attest.Provenance:
		return "signed SLSA provenance"
	}
	return "signature of the image"
}

// stored are attachments in the store's words.
func stored(all []attachment) ([]store.Attachment, error) {
	var out []store.Attachment
	for _, a := range all {
		subject, err := v1.NewHash(a.Subject)
		if err != nil {
			return nil, fmt.Errorf("attaching %s: %w", a.Kind, err)
		}
		out = append(out, store.Attachment{Subject: subject, Type: a.Type, Title: a.Title, Content: a.Content, Annotations: a.Annotations})
	}
	return out, nil
}

// name, mediaType and title are what an attached bill of materials has.
func (f SBOMFormat) name() string {
	if f == CycloneDX {
		return "CycloneDX"
	}
	return "SPDX"
}

func (f SBOMFormat) mediaType() string {
	if f == CycloneDX {
		return "application/vnd.cyclonedx+json"
	}
	return "application/spdx+json"
}

func (f SBOMFormat) title(name string) string {
	if f == CycloneDX {
		return name + ".cdx.json"
	}
	return name + ".spdx.json"
}

// predicate is the type of a statement that has the document.
func (f SBOMFormat) predicate() string {
	if f == CycloneDX {
		return attest.CycloneDX
	}
	return attest.SPDX
}

// kindBill is the kind of the cache's entries that are made of bills of materials of built images: to write one, all of an
// image is read.
const kindBill = "bills"

// maxBill bounds such an entry.
const maxBill = 256 << 20

// kept is what make makes of the bill of materials of an image, as JSON: from the cache where it is there.
func (a *attaching) kept(ctx context.Context, d *described, name string, make func(*sbom.Document) any) ([]byte, error) {
	key, err := a.billKey(d, name)
	if err != nil {
		return nil, err
	}
	if content, err := a.keptBill(key); err != nil || content != nil {
		return content, err
	}
	if err := a.read(ctx, d); err != nil {
		return nil, err
	}
	content, err := json.Marshal(make(d.doc))
	if err != nil {
		return nil, err
	}
	return content, a.keepBill(key, content)
}

// read fills in the bill of materials of a built image, with the checksums and places of its packages' files.
func (a *attaching) read(ctx context.Context, d *described) error {
	if d.doc != nil {
		return nil
	}
	doc := d.image.doc
	if doc == nil {
		var err error
		if doc, err = a.readImage(ctx, d); err != nil {
			return err
		}
	}
	doc.Name, doc.Digest, doc.Version, doc.Created = a.Name, d.digest, a.options.Version, d.image.Created
	for k := range doc.Packages {
		if f, ok := d.files[doc.Packages[k].NEVRA.String()]; ok {
			doc.Packages[k].Checksum, doc.Packages[k].Location = f.Checksum, f.URL
		}
	}
	d.doc = doc
	return nil
}

// readImage reads the bill of materials off an image.
func (a *attaching) readImage(ctx context.Context, d *described) (doc *sbom.Document, err error) {
	v, err := openImage(ctx, d.image.Image, a.work)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	return v.bill(a.Name, a.options, nil)
}

// lockedFile is what the lock knows of a package's file.
type lockedFile struct {
	Checksum rpm.Checksum
	URL      string // in the repository that the recipe names, whatever mirror was asked; "" is not known
}

// packageFiles are the files of an image's packages by NEVRA.
func (i *Image) packageFiles(p *PlatformImage) map[string]lockedFile {
	bases, sources := i.bases(p.Platform), i.lock.platform(p.Platform).Sources
	out := map[string]lockedFile{}
	for _, pkg := range p.Packages {
		f := lockedFile{Checksum: pkg.Checksum}
		if base := bases[sources[pkg.Source].Component]; base != "" {
			f.URL = publicURL(repomd.Join(base, pkg.Base, pkg.Location))
		}
		out[pkg.NEVRA.String()] = f
	}
	return out
}

// bases are the base URLs of the repository that the recipe itself names, by component.
func (i *Image) bases(p Platform) map[string]string {
	repository := i.recipe.Repository
	if i.recipe.Own != nil {
		repository = *i.recipe.Own
	}
	bases := map[string]string{}
	if urls, err := repository.BaseURLs(p); err == nil { // otherwise it needs settings, and names nothing
		for _, u := range urls {
			if u.Source == SourceBaseURL {
				bases[u.Component] = u.URL
			}
		}
	}
	return bases
}

// publicURL is a URL on the network without what may be secret in it; "" for any other.
func publicURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// billKey is the key of what is made of a bill of materials; "" where the program has no name.
func (a *attaching) billKey(d *described, name string) (string, error) {
	program, err := programID()
	if err != nil || program == "" {
		return "", err
	}
	b, err := json.Marshal([]any{program, a.options.Version, d.digest, a.Name, name, d.image.Created.Unix(), d.files})
	return hexSHA256(b), err
}

// keptBill is a bill of materials from the cache; nil without it.
func (i *Image) keptBill(key string) ([]byte, error) {
	if key == "" {
		return nil, nil
	}
	return readKept(i.cache, kindBill, key, maxBill)
}

func (i *Image) keepBill(key string, content []byte) error {
	if key == "" || len(content) >= maxBill {
		return nil
	}
	return keep(i.cache, kindBill, key, content)
}
