package sbom

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/package-url/packageurl-go"

	"slim/internal/rpm"
)

// Document is what is described.
type Document struct {
	Name     string // of the image
	Digest   string // of its manifest, "sha256:" and hex; "" for a plain root
	Created  time.Time
	Version  string // of slim
	OS       OS
	Packages []Package // their order is kept
}

// OS is the distribution, as os-release(5) says.
type OS struct {
	ID      string
	Version string // VERSION_ID
	Name    string // PRETTY_NAME
}

// Package is an installed package.
type Package struct {
	rpm.NEVRA
	HasEpoch     bool // the header says one, 0 perhaps
	SourceRPM    string
	Vendor       string
	License      string
	Summary      string
	URL          string
	Modularity   string // NAME:STREAM:VERSION:CONTEXT of the module that it is of; "" of none
	HeaderSHA256 string
	Checksum     rpm.Checksum // of the package's file, where that is known
	Location     string       // where the file is to be had, a URL; "" is not known
	Signers      []string     // key ids or fingerprints that its signatures name
	Files        []File       // its regular files that are in the image, by path
}

// File is a regular file.
type File struct {
	Path   string
	SHA1   string // hex
	SHA256 string
}

// PURL is the package's package URL: the distribution as its namespace; as qualifiers its epoch, architecture, source
// package, module, the release of the distribution, and the checksum of its file where that is known.
func (p *Package) PURL(os OS) string {
	namespace := os.ID
	switch {
	case namespace == "rhel":
		namespace = "redhat"
	case strings.HasPrefix(namespace, "opensuse"):
		namespace = "opensuse"
	}
	qualifiers := map[string]string{"arch": p.Arch}
	if p.HasEpoch {
		qualifiers["epoch"] = strconv.FormatUint(uint64(p.Epoch), 10)
	}
	if p.SourceRPM != "" {
		qualifiers["upstream"] = p.SourceRPM
	}
	if p.Modularity != "" {
		qualifiers["modularitylabel"] = p.Modularity // as trivy has it
	}
	if !p.Checksum.IsZero() {
		qualifiers["checksum"] = p.Checksum.String()
	}
	if os.ID != "" && os.Version != "" {
		qualifiers["distro"] = os.ID + "-" + os.Version
	}
	u := packageurl.NewPackageURL(packageurl.TypeRPM, namespace, p.Name, p.Version+"-"+p.Release, packageurl.QualifiersFromMap(qualifiers), "")
	return u.ToString()
}

// version is EPOCH:VERSION-RELEASE, without the epoch where the header has none.
func (p *Package) version() string {
	if p.HasEpoch {
		return fmt.Sprintf("%d:%s-%s", p.Epoch, p.Version, p.Release)
	}
	return p.Version + "-" + p.Release
}

// uuid is a UUID of version 8 (RFC 9562, section 5.8) made of a digest over all that tells the document from others.
func (d *Document) uuid(format string) string {
	h := sha256.New()
	for _, s := range []string{format, d.Name, d.Digest, d.Version, d.Created.UTC().Format(time.RFC3339)} {
		fmt.Fprintf(h, "%q\n", s)
	}
	for i := range d.Packages {
		p := &d.Packages[i]
		fmt.Fprintf(h, "%q %q %d %q %q\n", p.NEVRA, p.HeaderSHA256, len(p.Files), p.Checksum, p.Location)
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	text := hex.EncodeToString(b)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func (d *Document) time() string { return d.Created.UTC().Format(time.RFC3339) }

// digestHex is the image's digest without its algorithm.
func (d *Document) digestHex() string { return strings.TrimPrefix(d.Digest, "sha256:") }
