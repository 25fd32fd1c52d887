package builder

import (
	"errors"

	"slim/internal/attest"
	"slim/internal/audit"
)

// SamePackages is the predicate type of a Statement. It names what its predicate says: that every package of an image is
// signed by one of Keys, that every file of the image is as its package has it or explained, and that nothing else is in it.
// It is a name alone, there is nothing to be found at it.
const SamePackages = "urn:slim:same-packages:v1"

// Statement is an in-toto statement, version 1, about an image that was verified: the payload of an attestation, not
// signed itself. Its predicate is a *StatementPredicate.
type Statement = attest.Statement

// StatementPredicate is what SamePackages stands for. Its fields are only ever added to.
type StatementPredicate struct {
	Verifier StatementVerifier `json:"verifier"`
	Images   []StatementImage  `json:"images"`
}

// StatementVerifier is the program that says so.
type StatementVerifier struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// StatementImage is the image of one platform.
type StatementImage struct {
	Platform     string               `json:"platform"`
	Digest       string               `json:"digest"`
	Keys         []string             `json:"keys"` // fingerprints
	Packages     []StatementPackage   `json:"packages"`
	Files        int                  `json:"files"` // compared with the packages, all equal but for Config
	NotInstalled int                  `json:"files_not_installed"`
	Config       []string             `json:"changed_config"`
	Generated    []StatementGenerated `json:"generated"`
	Against      *StatementComparison `json:"against,omitempty"`
}

// StatementPackage is one package and the digest of its header.
type StatementPackage struct {
	NEVRA        string `json:"nevra"`
	HeaderSHA256 string `json:"header_sha256"`
	Key          string `json:"key"`
}

// StatementGenerated is a path that is in no package, and the rule that explains it.
type StatementGenerated struct {
	Path string `json:"path"`
	Rule string `json:"rule"`
}

// StatementComparison counts how the packages stand to a reference.
type StatementComparison struct {
	Reference string                `json:"reference"`
	Count     map[audit.Verdict]int `json:"packages"`
}

// Statement is the proof as a document. There is none of an image that failed, nor of a plain root, which has no digest.
func (v *Verification) Statement(against, version string) (*Statement, error) {
	switch {
	case v.Digest == "":
		return nil, errors.New("a plain root has no digest to make a statement about")
	case v.Failed(false):
		return nil, errors.New("the image does not verify")
	}
	p := &StatementPredicate{Verifier: StatementVerifier{Name: "slim", Version: version}}
	s := attest.NewStatement(v.Reference, v.Digest, SamePackages, p)
	for _, i := range v.Images {
		if i.Digest != v.Digest {
			s.Subject = append(s.Subject, attest.Subject{Name: v.Reference, Digest: attest.DigestOf(i.Digest)})
		}
		p.Images = append(p.Images, i.statement(against))
	}
	return s, nil
}

func (i *VerifiedImage) statement(against string) StatementImage {
	out := StatementImage{
		Platform: i.Platform.String(), Digest: i.Digest, Files: i.Report.Files, NotInstalled: i.Report.NotInstalled,
		Keys: []string{}, Packages: []StatementPackage{}, Config: []string{}, Generated: []StatementGenerated{},
	}
	for _, k := range i.Keys {
		out.Keys = append(out.Keys, k.Fingerprint)
	}
	for _, p := range i.Packages {
		out.Packages = append(out.Packages, StatementPackage{NEVRA: p.NEVRA.String(), HeaderSHA256: p.SHA256, Key: p.Key})
	}
	for _, f := range i.Report.Findings {
		if f.Kind == audit.Config {
			out.Config = append(out.Config, f.Path)
		}
	}
	for _, g := range i.Report.Generated {
		out.Generated = append(out.Generated, StatementGenerated(g))
	}
	if i.Against != nil {
		out.Against = &StatementComparison{Reference: against, Count: i.Against.Count}
	}
	return out
}
