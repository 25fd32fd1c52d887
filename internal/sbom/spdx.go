package sbom

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// SPDX is the document as SPDX 2.3 has it (its JSON schema names the fields).
func (d *Document) SPDX() any {
	w := &spdxWriter{Document: d, doc: spdxDocument{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: d.Name,
		Namespace:    "https://spdx.org/spdxdocs/" + d.uuid("spdx"),
		CreationInfo: spdxCreation{Created: d.time(), Creators: []string{"Tool: slim-" + d.Version}},
		Describes:    []string{spdxRoot}, Files: []spdxFile{}, Licenses: []spdxLicense{},
	}, licenses: map[string]string{}}
	root := spdxPackage{ID: spdxRoot, Name: d.Name, Version: d.Digest, Location: noAssertion, Copyright: noAssertion, Concluded: noAssertion, Declared: noAssertion, Purpose: "CONTAINER"}
	if d.Digest != "" {
		root.Checksums = []spdxChecksum{{"SHA256", d.digestHex()}}
	}
	w.doc.Packages = append(w.doc.Packages, root)
	w.relate("SPDXRef-DOCUMENT", "DESCRIBES", spdxRoot)
	if d.OS.ID != "" {
		w.doc.Packages = append(w.doc.Packages, spdxPackage{
			ID: "SPDXRef-OperatingSystem", Name: d.OS.ID, Version: d.OS.Version, Location: noAssertion, Copyright: noAssertion,
			Concluded: noAssertion, Declared: noAssertion, Purpose: "OPERATING-SYSTEM",
		})
		w.relate(spdxRoot, "CONTAINS", "SPDXRef-OperatingSystem")
	}
	for i := range d.Packages {
		w.add(i)
	}
	return &w.doc
}

const (
	spdxRoot    = "SPDXRef-Image"
	noAssertion = "NOASSERTION"
)

type spdxDocument struct {
	SPDXVersion   string             `json:"spdxVersion"`
	DataLicense   string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	CreationInfo  spdxCreation       `json:"creationInfo"`
	Describes     []string           `json:"documentDescribes"`
	Packages      []spdxPackage      `json:"packages"`
	Files         []spdxFile         `json:"files"`
	Licenses      []spdxLicense      `json:"hasExtractedLicensingInfos"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID           string            `json:"SPDXID"`
	Name         string            `json:"name"`
	Version      string            `json:"versionInfo,omitempty"`
	Supplier     string            `json:"supplier,omitempty"`
	Location     string            `json:"downloadLocation"`
	Homepage     string            `json:"homepage,omitempty"`
	SourceInfo   string            `json:"sourceInfo,omitempty"`
	Summary      string            `json:"summary,omitempty"`
	Analyzed     bool              `json:"filesAnalyzed"`
	Verification *spdxVerification `json:"packageVerificationCode,omitempty"`
	Checksums    []spdxChecksum    `json:"checksums,omitempty"`
	Concluded    string            `json:"licenseConcluded"`
	Declared     string            `json:"licenseDeclared"`
	Copyright    string            `json:"copyrightText"`
	Purpose      string            `json:"primaryPackagePurpose,omitempty"`
	References   []spdxReference   `json:"externalRefs,omitempty"`
	Annotations  []spdxAnnotation  `json:"annotations,omitempty"`
}

type spdxVerification struct {
	Value string `json:"packageVerificationCodeValue"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxReference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxAnnotation struct {
	Date      string `json:"annotationDate"`
	Type      string `json:"annotationType"`
	Annotator string `json:"annotator"`
	Comment   string `json:"comment"`
}

type spdxFile struct {
	ID        string         `json:"SPDXID"`
	Name      string         `json:"fileName"`
	Checksums []spdxChecksum `json:"checksums"`
	Concluded string         `json:"licenseConcluded"`
	Copyright string         `json:"copyrightText"`
}

type spdxLicense struct {
	ID   string `json:"licenseId"`
	Text string `json:"extractedText"`
	Name string `json:"name"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

type spdxWriter struct {
	*Document
	doc      spdxDocument
	licenses map[string]string // ids by text
}

func (w *spdxWriter) relate(a, kind, b string) {
	w.doc.Relationships = append(w.doc.Relationships, spdxRelationship{a, kind, b})
}

func (w *spdxWriter) add(i int) {
	p := &w.Packages[i]
	out := spdxPackage{
		ID: fmt.Sprintf("SPDXRef-Package-%d-%s", i, spdxName(p.Name)), Name: p.Name, Version: p.version(), Location: noAssertion, Homepage: p.URL, Summary: p.Summary,
		Supplier: noAssertion, Concluded: noAssertion, Declared: w.license(p.License), Copyright: noAssertion,
		References: []spdxReference{{"PACKAGE-MANAGER", "purl", p.PURL(w.OS)}},
	}
	if p.Vendor != "" {
		out.Supplier = "Organization: " + p.Vendor
	}
	if p.Location != "" {
		out.Location = p.Location
	}
	if !p.Checksum.IsZero() {
		out.Checksums = []spdxChecksum{{strings.ToUpper(p.Checksum.Algorithm), p.Checksum.Hex}}
	}
	if p.SourceRPM != "" {
		out.SourceInfo = "built from " + p.SourceRPM
	}
	comment := "SHA-256 of the signed header: " + p.HeaderSHA256
	if len(p.Signers) > 0 {
		comment += "; signed by " + strings.Join(p.Signers, ", ")
	}
	out.Annotations = []spdxAnnotation{{w.time(), "OTHER", "Tool: slim-" + w.Version, comment}}
	w.relate(spdxRoot, "CONTAINS", out.ID)
	var sums []string
	for k, f := range p.Files {
		file := spdxFile{
			ID: fmt.Sprintf("SPDXRef-File-%d-%d", i, k), Name: "." + f.Path, Concluded: noAssertion, Copyright: noAssertion,
			Checksums: []spdxChecksum{{"SHA1", f.SHA1}, {"SHA256", f.SHA256}},
		}
		w.doc.Files = append(w.doc.Files, file)
		w.relate(out.ID, "CONTAINS", file.ID)
		sums = append(sums, f.SHA1)
	}
	if len(sums) > 0 {
		slices.Sort(sums)
		code := sha1.Sum([]byte(strings.Join(sums, "")))
		out.Analyzed, out.Verification = true, &spdxVerification{hex.EncodeToString(code[:])}
	}
	w.doc.Packages = append(w.doc.Packages, out)
}

// license is a reference to the text that a header has for its licence: it need not be an SPDX expression.
func (w *spdxWriter) license(text string) string {
	if text == "" {
		return noAssertion
	}
	id, ok := w.licenses[text]
	if !ok {
		id = fmt.Sprintf("LicenseRef-%d", len(w.licenses)+1)
		w.licenses[text] = id
		w.doc.Licenses = append(w.doc.Licenses, spdxLicense{id, text, text})
	}
	return id
}

// spdxName replaces what an identifier may not have.
func spdxName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || '0' <= r && r <= '9' || 'a' <= r|0x20 && r|0x20 <= 'z' {
			return r
		}
		return '-'
	}, s)
}
