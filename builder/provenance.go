package builder

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"slim/internal/attest"
	"slim/internal/image"
	"slim/internal/repomd"
	"slim/internal/sbom"
)

// The names of slim in provenance. There is nothing to be found at them.
const (
	ProvenanceBuildType = "urn:slim:build:v1"
	ProvenanceBuilder   = "urn:slim:builder:v1"
)

// provenanceChoices are the external parameters: what the user chose.
type provenanceChoices struct {
	Recipe     string   `json:"recipe"` // the name of its file
	Platforms  []string `json:"platforms"`
	Repository string   `json:"repository,omitempty"`
	ReleaseVer string   `json:"releasever,omitempty"`
	Locked     bool     `json:"locked"` // by a lock file
	Epoch      *int64   `json:"source_date_epoch,omitempty"`
}

// provenanceMeans are the internal parameters: what bytes depend on beside that.
type provenanceMeans struct {
	Slim    string `json:"slim"`
	Encoder string `json:"encoder"` // of layers
}

// provenance makes the statement how the images came to be: subject is the digest of one, or of the index over all.
func (a *attaching) provenance(ctx context.Context, subject string, created time.Time, images ...*described) error {
	encoder, err := image.Encoder(a.recipe.Layers.Compression)
	if err != nil {
		return err
	}
	choices := provenanceChoices{
		Recipe: recipeName(a.recipe), Repository: a.recipe.Repository.Name, ReleaseVer: a.recipe.Repository.ReleaseVer,
		Locked: a.lock.SHA256 != "", Epoch: a.options.Epoch,
	}
	read := &materials{seen: map[string]bool{}}
	a.recipes(read)
	for _, d := range images {
		choices.Platforms = append(choices.Platforms, d.image.Platform.String())
		if err := a.packages(ctx, d, read); err != nil {
			return err
		}
	}
	build := &attest.Build{
		Definition: attest.BuildDefinition{
			Type: ProvenanceBuildType, External: choices, Internal: provenanceMeans{a.options.version(), encoder}, Dependencies: read.list,
		},
		Details: attest.RunDetails{Builder: attest.Builder{ID: ProvenanceBuilder, Version: map[string]string{"slim": a.options.version()}}},
	}
	if a.what.Key != nil {
		return a.sign(subject, attest.Provenance, build, created)
	}
	content, err := json.Marshal(attest.NewStatement(a.Name, subject, attest.Provenance, build))
	if err != nil {
		return err
	}
	a.add(attachment{
		Kind: "SLSA provenance", Subject: subject, Type: attest.StatementType, Title: a.Name + ".provenance.json", Content: content,
		Annotations: map[string]string{"in-toto.io/predicate-type": attest.Provenance}, // as BuildKit has it
	}, created)
	return nil
}

// materials are what was read, each once.
type materials struct {
	list []attest.Resource
	seen map[string]bool
}

func (m *materials) add(r attest.Resource) {
	key, _ := json.Marshal(r) // of texts and maps of them: it cannot fail
	if !m.seen[string(key)] {
		m.seen[string(key)] = true
		m.list = append(m.list, r)
	}
}

// recipes adds what says what to build: the recipe, those that it extends, the lock.
func (a *attaching) recipes(read *materials) {
	read.add(attest.Resource{Name: recipeName(a.recipe), Digest: attest.Digest{"sha256": a.recipe.SHA256}})
	for _, r := range a.recipe.Parents {
		read.add(attest.Resource{Name: recipeName(r), Digest: attest.Digest{"sha256": r.SHA256}})
	}
	if a.lock.SHA256 != "" {
		read.add(attest.Resource{Name: LockFileName, Digest: attest.Digest{"sha256": a.lock.SHA256}})
	}
}

// recipeName is the name of a recipe's file, wherever it lies.
func recipeName(r *Recipe) string {
	if strings.HasPrefix(r.File, builtinPrefix) {
		return r.File
	}
	return filepath.Base(r.File)
}

// packages adds the metadata and all packages of an image.
func (a *attaching) packages(ctx context.Context, d *described, read *materials) error {
	raw, err := a.kept(ctx, d, "purls", func(doc *sbom.Document) any {
		urls := map[string]string{}
		for k := range doc.Packages {
			urls[doc.Packages[k].NEVRA.String()] = doc.Packages[k].PURL(doc.OS)
		}
		return urls
	})
	if err != nil {
		return err
	}
	var urls map[string]string
	if err := json.Unmarshal(raw, &urls); err != nil {
		return err
	}
	bases := a.bases(d.image.Platform)
	for _, s := range a.lock.platform(d.image.Platform).Sources {
		r := attest.Resource{Name: strings.TrimPrefix(s.Component+"/repomd.xml", "/"), Digest: attest.DigestOf(s.Digest)}
		if base := bases[s.Component]; base != "" {
			r.Download = publicURL(repomd.Join(base, "", "repodata/repomd.xml"))
		}
		read.add(r)
	}
	for _, pkg := range d.image.Packages {
		f := d.files[pkg.NEVRA.String()]
		read.add(attest.Resource{
			Name: pkg.NEVRA.String(), URI: urls[pkg.NEVRA.String()], Digest: attest.Digest{f.Checksum.Algorithm: f.Checksum.Hex}, Download: f.URL,
		})
	}
	return nil
}
