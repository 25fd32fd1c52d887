// Package report writes what is known of images as one page of HTML that needs nothing else: its charts, its style and
// its data are in it, and it asks no network for anything. It takes values and knows no image.
package report

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Document is all that a page shows. Its JSON is in the page; fields are only ever added. No slice and no map is nil.
type Document struct {
	Version int     `json:"version"` // 1
	Images  []Image `json:"images"`
	Fleet   Fleet   `json:"fleet"`
}

// Image is an image on one platform. Sizes are in bytes.
type Image struct {
	Name     string         `json:"name"`
	Platform string         `json:"platform"` // "" for a plain root
	Digest   string         `json:"digest"`   // "" for a plain root
	Command  []string       `json:"command"`  // what runs; empty when nothing says it
	Tiers    map[string]Sum `json:"tiers"`    // each tier of the execution path; only Unknown without Command
	Packages []Installed    `json:"packages"`
	Areas    []Area         `json:"areas"` // by package, directory and tier
	Requires []Requirement  `json:"requires"`
	LeftOut  []LeftOut      `json:"left_out"` // by rule
	Layers   []Layer        `json:"layers"`
	Proof    *Proof         `json:"proof"`   // nil when nothing was verified
	Advised  bool           `json:"advised"` // advisories were looked for
	Notes    []string       `json:"notes"`   // what could not be looked at
}

// Unknown is the tier of everything in an image that does not say what it runs.
const Unknown = "unknown"

// Sum counts the regular files of a tier, the bytes of hard links once.
type Sum struct {
	Packages int   `json:"packages"` // whose nearest files are in it
	Files    int   `json:"files"`
	Bytes    int64 `json:"bytes"`
}

// Installed is a package of an image.
type Installed struct {
	NEVRA      string           `json:"nevra"`
	Name       string           `json:"name"`
	EVR        string           `json:"evr"`
	SourceRPM  string           `json:"source_rpm"`
	Header     string           `json:"header"` // SHA-256 in hex
	Tier       string           `json:"tier"`
	Bytes      map[string]int64 `json:"bytes"`    // by tier, as Image.Tiers has them
	LeftOut    []LeftOut        `json:"left_out"` // by rule, those that took something
	Signer     string           `json:"signer"`   // fingerprint of the key, or as much as an unverified signature says of it
	Verified   bool             `json:"verified"` // Signer did sign it
	Built      string           `json:"built"`    // RFC 3339
	Root       bool             `json:"root"`     // one that nothing requires, where Chains begin
	Chain      []Step           `json:"chain"`    // how the first of its nearest files is reached; none for data and idle ones
	Chains     [][]int          `json:"chains"`   // indexes of Image.Requires: the shortest from a Root for each package that requires it
	Advisories []Advisory       `json:"advisories"`
}

// Step is one step from what runs to a file: what names the file, and how.
type Step struct {
	Path    string `json:"path"`
	Package int    `json:"package"` // that has the file, -1 for none
	How     string `json:"how"`
	Name    string `json:"name"`
}

// Requirement is what one package of an image requires of another. Packages are indexes.
type Requirement struct {
	From       int    `json:"from"`
	To         int    `json:"to"`
	Capability string `json:"capability"`
	Kind       string `json:"kind"`
	Scriptlet  bool   `json:"scriptlet"` // needed by scriptlets alone
	More       int    `json:"more"`      // capabilities besides this one
}

// Advisory is announced for a newer build of a package.
type Advisory struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Severity string   `json:"severity"`
	Title    string   `json:"title"`
	CVEs     []string `json:"cves"`
}

// Area is the regular files that a package has in one directory and tier.
type Area struct {
	Package   int    `json:"package"` // index into the image's packages, -1 for none
	Directory string `json:"directory"`
	Tier      string `json:"tier"`
	Files     int    `json:"files"`
	Bytes     int64  `json:"bytes"`
}

// LeftOut is what a rule kept out.
type LeftOut struct {
	Rule  string `json:"rule"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// Layer is a layer of an image.
type Layer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`   // compressed
	Images []int  `json:"images"` // of the report that have it, this one included
}

// Proof is what verifying an image came to.
type Proof struct {
	Passed       bool      `json:"passed"`
	Packages     int       `json:"packages"`
	Signed       int       `json:"signed"`
	Keys         []Key     `json:"keys"`
	Files        int       `json:"files"`
	Matching     int       `json:"matching"`
	NotInstalled int       `json:"not_installed"`
	Generated    int       `json:"generated"`
	Foreign      int       `json:"foreign"`
	Findings     []Finding `json:"findings"`
}

// Key is a key that signed packages.
type Key struct {
	Fingerprint string `json:"fingerprint"`
	User        string `json:"user"`
	Packages    int    `json:"packages"`
}

// Finding is what does not agree.
type Finding struct {
	Text  string `json:"text"`
	Fails bool   `json:"fails"`
}

// Fleet is what the images have in common.
type Fleet struct {
	Core      []string   `json:"core"`
	Standards []Standard `json:"permutations"` // of the core
	Packages  []Package  `json:"packages"`     // by name
	Sharing   Sharing    `json:"sharing"`
}

// Standard is a set of images whose builds of the core do not differ.
type Standard struct {
	Builds []string `json:"builds"` // NEVRAs
	Images []int    `json:"images"`
}

// Sharing counts what is the same in several images.
type Sharing struct {
	Packages            int   `json:"packages"`
	DifferentPackages   int   `json:"different_packages"`
	Layers              int   `json:"layers"`
	DifferentLayers     int   `json:"different_layers"`
	LayerBytes          int64 `json:"layer_bytes"`
	DifferentLayerBytes int64 `json:"different_layer_bytes"`
}

// Package is a package and its builds in all images. Builds of one EVR for several architectures count as one.
type Package struct {
	Name   string  `json:"name"`
	Count  int     `json:"count"`
	Builds []Build `json:"builds"` // the newest first
}

// Build is a build of a package.
type Build struct {
	NEVRA  string `json:"nevra"`
	EVR    string `json:"evr"`
	Header string `json:"header"` // SHA-256 in hex
	Number int    `json:"number"` // below Count: which of the builds that count it is
	Images []int  `json:"images"` // indexes into the document's images
}

//go:embed assets/page.html
var pageHTML string

//go:embed assets/page.css
var pageCSS string

//go:embed assets/d3.min.js assets/text.js assets/table.js assets/treemap.js assets/flow.js assets/why.js assets/fleet.js assets/page.js
var scripts embed.FS

// script is all that the page runs: the library of charts, and its parts in their order.
func script() (string, error) {
	var all strings.Builder
	for _, name := range []string{"d3.min", "text", "table", "treemap", "flow", "why", "fleet", "page"} {
		part, err := scripts.ReadFile("assets/" + name + ".js")
		if err != nil {
			return "", err
		}
		all.Write(part)
	}
	return all.String(), nil
}

// Write writes the page of d: the same bytes for the same document. Whatever d says is text to the page.
func Write(w io.Writer, d *Document) error {
	page, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("reading the page's template: %w", err)
	}
	script, err := script()
	if err != nil {
		return fmt.Errorf("reading the page's script: %w", err)
	}
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
