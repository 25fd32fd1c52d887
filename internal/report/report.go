// Package report writes what is known of images as one page of HTML that needs nothing else: its charts, its style and
// its data are in it, and it asks no network for anything. It takes values and knows no image.
package report

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
)

// Document is all that a page shows. Its JSON is in the page; fields are only ever added.
type Document struct {
	Version int       `json:"version"` // 1
	Images  []Image   `json:"images"`
	Fleet   []Package `json:"fleet"` // by name
}

// Image is an image on one platform. Sizes are in bytes.
type Image struct {
	Name     string         `json:"name"`
	Platform string         `json:"platform"` // "" for a plain root
	Digest   string         `json:"digest"`   // "" for a plain root
	Command  []string       `json:"command"`
	Tiers    map[string]Sum `json:"tiers"`
	Packages []Installed    `json:"packages"`
	Files    []File         `json:"files"`
	LeftOut  []LeftOut      `json:"left_out"`
	Layers   []Layer        `json:"layers"`
	Proof    *Proof         `json:"proof"` // nil when nothing was verified
}

// Sum counts the regular files of a tier, hard links once.
type Sum struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

// Installed is a package of an image.
type Installed struct {
	NEVRA     string           `json:"nevra"`
	Name      string           `json:"name"`
	EVR       string           `json:"evr"`
	SourceRPM string           `json:"source_rpm"`
	Tier      string           `json:"tier"`
	Bytes     map[string]int64 `json:"bytes"`  // by tier, each of them
	Signer    string           `json:"signer"` // fingerprint of the key, "" when not verified
}

// File is a regular file.
type File struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	Tier    string `json:"tier"`
	Package int    `json:"package"` // index into the image's packages, -1 for none
}

// LeftOut is what a rule kept out of an image.
type LeftOut struct {
	Rule  string `json:"rule"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Layer is a layer of an image.
type Layer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`   // compressed
	Images int    `json:"images"` // of the report that have it
}

// Proof is what verifying an image came to.
type Proof struct {
	Passed    bool     `json:"passed"`
	Packages  int      `json:"packages"`
	Signed    int      `json:"signed"`
	Files     int      `json:"files"`
	Matching  int      `json:"matching"`
	Generated int      `json:"generated"`
	Foreign   int      `json:"foreign"`
	Findings  []string `json:"findings"`
}

// Package is a package and its builds in all images.
type Package struct {
	Name   string  `json:"name"`
	Count  int     `json:"count"`
	Builds []Build `json:"builds"`
}

// Build is a build of a package.
type Build struct {
	EVR    string `json:"evr"`
	Header string `json:"header"` // SHA-256 in hex
	Images []int  `json:"images"` // indexes into the document's images
}

//go:embed assets/page.html
var pageHTML string

//go:embed assets/page.css
var pageCSS string

//go:embed assets/d3.min.js
var chartsJS string

//go:embed assets/page.js
var pageJS string

// Write writes the page of d: the same bytes for the same document. Whatever d says is text to the page.
func Write(w io.Writer, d *Document) error {
	page, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	script := chartsJS + pageJS
	return page.Execute(w, struct {
		Policy string
		Style  template.CSS
		Script template.JS
		Report *Document
	}{
		"default-src 'none'; base-uri 'none'; form-action 'none'; script-src " + hashOf(script) + "; style-src " + hashOf(pageCSS),
		template.CSS(pageCSS), template.JS(script), d,
	})
}

// hashOf is a source of a content security policy that admits one text.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
