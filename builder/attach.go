package builder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/image"
	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/store"
)

// Attachment is a document about an image that stands beside it, in a registry or an OCI layout: an OCI artifact whose
// subject is the image. The image does not depend on it.
type Attachment struct {
	Kind        string // what it is, for people
	Subject     string // digest of the index, or of the image of one platform
	Type        string // media type
	Title       string // name of a file for it
	Content     []byte
	Annotations map[string]string
}

// AttachOptions say which documents there are of an image. The zero value has none.
type AttachOptions struct {
	SBOMs []SBOMFormat // bills of materials, each of the image of each platform
}

// Attachments makes the documents of a built image: in the order of its platforms, the same for the same recipe, lock and
// version of slim, wherever the image goes.
func (i *Image) Attachments(ctx context.Context, what AttachOptions, o Options) ([]Attachment, error) {
	var out []Attachment
	for k := range i.Platforms {
		for _, format := range what.SBOMs {
			a, err := i.bill(ctx, k, format, o)
			if errors.Is(err, image.ErrLost) {
				if err = i.remake(ctx); err == nil {
					a, err = i.bill(ctx, k, format, o)
				}
			}
			if err != nil {
				return nil, fmt.Errorf("bill of materials of the image for %s: %w", i.Platforms[k].Platform, err)
			}
			out = append(out, *a)
		}
	}
	return out, nil
}

// stored are attachments in the store's words.
func stored(all []Attachment) ([]store.Attachment, error) {
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

// created is the annotation that says when an attachment was made: like its image.
func (p *PlatformImage) created() map[string]string { return createdAt(p.Created) }

func createdAt(t time.Time) map[string]string {
	return map[string]string{"org.opencontainers.image.created": t.UTC().Format(time.RFC3339)}
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

// kindBill is the kind of the cache's entries that are bills of materials of built images: to write one, all of an image is
// read.
const kindBill = "bills"

// maxBill bounds such an entry.
const maxBill = 256 << 20

// bill is the bill of materials of the image for the platform at an index, with the checksums and places of its packages'
// files.
func (i *Image) bill(ctx context.Context, at int, format SBOMFormat, o Options) (*Attachment, error) {
	p := &i.Platforms[at]
	digest, err := p.Image.Digest()
	if err != nil {
		return nil, err
	}
	a := &Attachment{
		Kind: format.name() + " bill of materials", Subject: digest.String(), Type: format.mediaType(), Title: format.title(i.Name), Annotations: p.created(),
	}
	files := i.packageFiles(p)
	key, err := billKey(digest.String(), i.Name, format, p.Created, files, o)
	if err != nil {
		return nil, err
	}
	if a.Content, err = i.keptBill(key); err != nil || a.Content != nil {
		return a, err
	}
	v, err := openImage(ctx, p.Image, i.work)
	if err != nil {
		return nil, err
	}
	defer v.close()
	o.Epoch = nil // the image is dated by it
	doc, err := v.bill(i.Name, o)
	if err != nil {
		return nil, err
	}
	for k := range doc.Packages {
		if f, ok := files[doc.Packages[k].NEVRA.String()]; ok {
			doc.Packages[k].Checksum, doc.Packages[k].Location = f.Checksum, f.URL
		}
	}
	if a.Content, err = json.Marshal(format.of(doc)); err != nil {
		return nil, err
	}
	return a, i.keepBill(key, a.Content)
}

// lockedFile is what the lock knows of a package's file.
type lockedFile struct {
	Checksum rpm.Checksum
	URL      string // in the repository that the recipe names, whatever mirror was asked; "" is not known
}

// packageFiles are the files of an image's packages by NEVRA. Addresses are those of a repository on the network that the
// recipe itself names, without credentials.
func (i *Image) packageFiles(p *PlatformImage) map[string]lockedFile {
	repository := i.recipe.Repository
	if i.recipe.Own != nil {
		repository = *i.recipe.Own
	}
	bases := map[string]string{}
	if urls, err := repository.BaseURLs(p.Platform); err == nil { // otherwise it needs settings, and names nothing
		for _, u := range urls {
			if u.Source == SourceBaseURL {
				bases[u.Component] = u.URL
			}
		}
	}
	sources := i.lock.platform(p.Platform).Sources
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

// publicURL is a URL on the network without what may be secret in it; "" for any other.
func publicURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// billKey is the key of a bill of materials; "" where the program has no name.
func billKey(digest, name string, format SBOMFormat, created time.Time, files map[string]lockedFile, o Options) (string, error) {
	program, err := programID()
	if err != nil || program == "" {
		return "", err
	}
	b, err := json.Marshal([]any{program, o.Version, digest, name, format, created.Unix(), files})
	return hexSHA256(b), err
}

// keptBill is a bill of materials from the cache; nil without it.
func (i *Image) keptBill(key string) ([]byte, error) {
	if key == "" {
		return nil, nil
	}
	k, err := i.cache.Kept(kindBill, key)
	if k == nil || err != nil {
		return nil, err
	}
	defer k.Close()
	b, err := io.ReadAll(io.LimitReader(k, maxBill))
	if err != nil {
		return nil, nil // damaged: it is made anew
	}
	return b, nil
}

func (i *Image) keepBill(key string, content []byte) error {
	if key == "" || len(content) >= maxBill {
		return nil
	}
	k, err := i.cache.Keep()
	if err != nil {
		return err
	}
	if _, err := k.Write(content); err != nil {
		k.Discard()
		return err
	}
	return k.Commit(kindBill, key)
}
