package sbom

import (
	"fmt"
	"strings"
)

// CycloneDX is the document as CycloneDX 1.6 has it (its JSON schema names the fields).
func (d *Document) CycloneDX() any {
	doc := &cdxDocument{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Serial: "urn:uuid:" + d.uuid("cyclonedx"), Version: 1,
		Metadata: cdxMetadata{
			Timestamp: d.time(), Tools: cdxTools{[]cdxComponent{{Type: "application", Name: "slim", Version: d.Version}}},
			Component: cdxComponent{Ref: "image", Type: "container", Name: d.Name, Version: d.Digest},
		},
		Components: []cdxComponent{},
	}
	if d.Digest != "" {
		doc.Metadata.Component.Hashes = []cdxHash{{"SHA-256", d.digestHex()}}
	}
	root := cdxDependency{Ref: "image", DependsOn: []string{}}
	if d.OS.ID != "" {
		doc.Components = append(doc.Components, cdxComponent{Ref: "os", Type: "operating-system", Name: d.OS.ID, Version: d.OS.Version, Description: d.OS.Name})
		root.DependsOn = append(root.DependsOn, "os")
	}
	for i := range d.Packages {
		c := d.component(i)
		doc.Components = append(doc.Components, c)
		root.DependsOn = append(root.DependsOn, c.Ref)
	}
	doc.Dependencies = []cdxDependency{root}
	return doc
}

type cdxDocument struct {
	Schema       string          `json:"$schema"`
	Format       string          `json:"bomFormat"`
	SpecVersion  string          `json:"specVersion"`
	Serial       string          `json:"serialNumber"`
	Version      int             `json:"version"`
	Metadata     cdxMetadata     `json:"metadata"`
	Components   []cdxComponent  `json:"components"`
	Dependencies []cdxDependency `json:"dependencies"`
}

type cdxMetadata struct {
	Timestamp string       `json:"timestamp"`
	Tools     cdxTools     `json:"tools"`
	Component cdxComponent `json:"component"`
}

type cdxTools struct {
	Components []cdxComponent `json:"components"`
}

type cdxComponent struct {
	Ref         string         `json:"bom-ref,omitempty"`
	Type        string         `json:"type"`
	Supplier    *cdxSupplier   `json:"supplier,omitempty"`
	Name        string         `json:"name"`
	Version     string         `json:"version,omitempty"`
	Description string         `json:"description,omitempty"`
	Hashes      []cdxHash      `json:"hashes,omitempty"`
	Licenses    []cdxLicense   `json:"licenses,omitempty"`
	PURL        string         `json:"purl,omitempty"`
	References  []cdxReference `json:"externalReferences,omitempty"`
	Properties  []cdxProperty  `json:"properties,omitempty"`
	Components  []cdxComponent `json:"components,omitempty"`
}

type cdxSupplier struct {
	Name string `json:"name"`
}

type cdxHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type cdxLicense struct {
	License cdxLicenseName `json:"license"`
}

type cdxLicenseName struct {
	Name string `json:"name"`
}

type cdxReference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type cdxProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cdxDependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// component is a package, with its files in it.
func (d *Document) component(i int) cdxComponent {
	p := &d.Packages[i]
	c := cdxComponent{
		Ref: fmt.Sprintf("package-%d-%s", i, p.Name), Type: "library", Name: p.Name, Version: p.version(), Description: p.Summary, PURL: p.PURL(d.OS),
		Properties: []cdxProperty{{"slim:rpm:header_sha256", p.HeaderSHA256}},
	}
	if p.Vendor != "" {
		c.Supplier = &cdxSupplier{p.Vendor}
	}
	if p.License != "" {
		c.Licenses = []cdxLicense{{cdxLicenseName{p.License}}}
	}
	if strings.HasPrefix(p.URL, "https://") || strings.HasPrefix(p.URL, "http://") {
		c.References = []cdxReference{{"website", p.URL}}
	}
	if p.Location != "" {
		c.References = append(c.References, cdxReference{"distribution", p.Location})
	}
	if digits, ok := strings.CutPrefix(p.Checksum.Algorithm, "sha"); ok && digits != "224" { // which the schema does not know
		c.Hashes = []cdxHash{{"SHA-" + digits, p.Checksum.Hex}}
	}
	if p.SourceRPM != "" {
		c.Properties = append(c.Properties, cdxProperty{"slim:rpm:source", p.SourceRPM})
	}
	for _, s := range p.Signers {
		c.Properties = append(c.Properties, cdxProperty{"slim:rpm:signer", s})
	}
	for k, f := range p.Files {
		c.Components = append(c.Components, cdxComponent{
			Ref: fmt.Sprintf("file-%d-%d", i, k), Type: "file", Name: f.Path, Hashes: []cdxHash{{"SHA-1", f.SHA1}, {"SHA-256", f.SHA256}},
		})
	}
	return c
}
