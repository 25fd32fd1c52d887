package builder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slim/internal/audit"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/sbom"
	"slim/internal/store"
)

// SBOMFormat is a format of bills of materials.
type SBOMFormat string

// The formats.
const (
	SPDX      SBOMFormat = "spdx"      // SPDX 2.3, JSON
	CycloneDX SBOMFormat = "cyclonedx" // CycloneDX 1.6, JSON
)

// SBOMOptions say what a bill of materials is made of. There is one for the image of one platform.
type SBOMOptions struct {
	Format   SBOMFormat // SPDX by default
	Platform *Platform  // nil takes the only one there is
	Options             // Epoch dates the document; otherwise the image's config does, or its newest package
}

// ManyPlatformsError says that an image has several platforms where one is wanted.
type ManyPlatformsError struct{ Platforms []Platform }

func (e *ManyPlatformsError) Error() string {
	return fmt.Sprintf("it has images for %d platforms, and a bill of materials is of one", len(e.Platforms))
}

// SBOM is the bill of materials of the image at a reference, slim's or not, in the words of Inspect, or of a plain root as
// dir:DIR: a document for encoding/json, which is the same for the same image, reference, options and version of slim.
// Packages and their files are what the image's rpmdb says; nothing is verified.
func SBOM(ctx context.Context, reference string, o SBOMOptions) (any, error) {
	views := viewOptions{Options: o.Options}
	if o.Platform != nil {
		views.Platforms = []Platform{*o.Platform}
	}
	var docs []*sbom.Document
	var platforms []Platform
	_, err := eachView(ctx, reference, views, func(v *view) error {
		if platforms = append(platforms, v.platform); len(platforms) > 1 {
			return nil
		}
		d, err := v.bill(nameOf(reference), o.Options, nil)
		if err != nil {
			return fmt.Errorf("describing %s: %w", reference, err)
		}
		docs = append(docs, d)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(platforms) > 1 {
		return nil, &ManyPlatformsError{platforms}
	}
	return o.Format.of(docs[0]), nil
}

// of is a document in the format.
func (f SBOMFormat) of(d *sbom.Document) any {
	if f == CycloneDX {
		return d.CycloneDX()
	}
	return d.SPDX()
}

// bill describes what is in the image. sums are those contents, by path, whose checksums are known; others are read.
func (v *view) bill(name string, o Options, sums map[string]sbom.File) (*sbom.Document, error) {
	d, err := v.database()
	if err != nil {
		return nil, err
	}
	if d.path == "" {
		return nil, fmt.Errorf("it has no rpmdb: nothing says which packages it is made of")
	}
	doc := &sbom.Document{Name: name, Digest: v.digest, Version: o.Version}
	if err := v.readOS(&doc.OS); err != nil {
		return nil, err
	}
	b := &billing{view: v, sums: sums}
	if sums == nil {
		b.sums = map[string]sbom.File{}
	}
	newest := int64(0)
	for _, i := range d.packages {
		if audit.IsKey(i.Header) {
			continue
		}
		p, err := b.pkg(i.Header, i.States())
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", i.Header.NEVRA(), err)
		}
		doc.Packages = append(doc.Packages, *p)
		built, _ := i.Header.Uint64(rpm.TagBuildTime)
		newest = max(newest, int64(built))
	}
	slices.SortFunc(doc.Packages, func(a, b sbom.Package) int { return a.NEVRA.Compare(b.NEVRA) })
	switch {
	case o.Epoch != nil:
		doc.Created = time.Unix(*o.Epoch, 0)
	case v.config != nil && !v.config.Created.IsZero():
		doc.Created = v.config.Created.Time
	default:
		doc.Created = time.Unix(newest, 0)
	}
	return doc, nil
}

// nameOf is a registry's reference, and of what lies in a file or directory its last name and tag, wherever it lies.
func nameOf(reference string) string {
	ref, err := store.Parse(reference)
	switch {
	case err != nil:
		return reference
	case ref.Kind == store.KindDocker:
		return ref.Reference.Name()
	case ref.Tag != "":
		return filepath.Base(ref.Path) + ":" + ref.Tag
	}
	return filepath.Base(ref.Path)
}

// bill is the bill of materials of the finished tree, as who reads the image writes it, without what the image says.
func (t *root) bill(ctx context.Context, jobs int) (*sbom.Document, error) {
	sums, err := t.sums(ctx, jobs)
	if err != nil {
		return nil, err
	}
	v := &view{tree: t.tree, open: t.open, at: func(n *rootfs.Node) (readerAt, error) {
		r, err := t.open(n)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		b, err := rootfs.ReadSized(r, n.Size, rpmdb.MaxSize)
		return struct {
			io.ReaderAt
			io.Closer
		}{bytes.NewReader(b), io.NopCloser(nil)}, err
	}}
	return v.bill("", Options{Epoch: &t.epoch}, sums)
}

func (v *view) readOS(os *sbom.OS) error {
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		content, err := v.read(p)
		if err != nil {
			return err
		}
		if content != nil {
			values := parseOSRelease(content)
			*os = sbom.OS{ID: values["ID"], Version: values["VERSION_ID"], Name: values["PRETTY_NAME"]}
			return nil
		}
	}
	return nil
}

// billing describes packages; each content is read once.
type billing struct {
	*view
	sums map[string]sbom.File // by path of the content
}

func (b *billing) pkg(h *rpm.Header, states []rpm.FileState) (*sbom.Package, error) {
	p := &sbom.Package{
		NEVRA: h.NEVRA(), HasEpoch: h.Has(rpm.TagEpoch), SourceRPM: h.Text(rpm.TagSourceRPM), Vendor: h.Text(rpm.TagVendor),
		Modularity: h.Text(rpm.TagModularityLabel), License: h.Text(rpm.TagLicense), Summary: h.Text(rpm.TagSummary), URL: h.Text(rpm.TagURL), HeaderSHA256: h.SHA256(), Signers: h.Signers(),
	}
	files, err := h.Files()
	if err != nil {
		return nil, err
	}
	for i := range files {
		if !files[i].IsRegular() || i < len(states) && states[i] != rpm.StateNormal {
			continue
		}
		at, n, err := b.tree.Walk("/", files[i].Path, false)
		if err != nil || n == nil || !n.IsRegular() {
			continue
		}
		f, err := b.file(at, n)
		if err != nil {
			return nil, err
		}
		p.Files = append(p.Files, f)
	}
	slices.SortFunc(p.Files, func(a, b sbom.File) int { return strings.Compare(a.Path, b.Path) })
	return p, nil
}

// file sums up a file's content.
func (b *billing) file(at string, n *rootfs.Node) (sbom.File, error) {
	carrier := path.Clean(at)
	if n.HardTo != "" {
		carrier = n.HardTo
	}
	f, ok := b.sums[carrier]
	if !ok {
		r, err := b.open(n)
		if err != nil {
			return f, err
		}
		defer r.Close()
		sums, err := sumsOf(func(w io.Writer) error {
			_, err := io.Copy(w, r)
			return err
		})
		if err != nil {
			return f, fmt.Errorf("reading %s: %w", at, err)
		}
		f = sums.of(carrier)
		b.sums[carrier] = f
	}
	f.Path = at
	return f, nil
}
