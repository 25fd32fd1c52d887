package rpm

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Checksum is repodata's word for the digest of a whole file.
type Checksum struct {
	Algorithm string // sha1, sha224, sha256, sha384, sha512
	Hex       string // lower case
}

// String is ALGORITHM:HEX.
func (c Checksum) String() string { return c.Algorithm + ":" + c.Hex }

// IsZero reports whether there is none.
func (c Checksum) IsZero() bool { return c == Checksum{} }

// checksumSizes are the known algorithms and the bytes of their sums.
func checksumSize(algorithm string) int {
	switch algorithm {
	case "sha1":
		return 20
	case "sha224":
		return 28
	case "sha256":
		return 32
	case "sha384":
		return 48
	case "sha512":
		return 64
	}
	return 0
}

// NewChecksum checks algorithm ("sha" is createrepo's old word for sha1) and the form of sum.
func NewChecksum(algorithm, sum string) (Checksum, error) {
	algorithm, sum = strings.ToLower(strings.TrimSpace(algorithm)), strings.ToLower(strings.TrimSpace(sum))
	if algorithm == "sha" {
		algorithm = "sha1"
	}
	n := checksumSize(algorithm)
	if n == 0 {
		return Checksum{}, fmt.Errorf("checksum algorithm %q is not one of sha1, sha224, sha256, sha384, sha512", algorithm)
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != n {
		return Checksum{}, fmt.Errorf("%q is not a %s checksum", sum, algorithm)
	}
	return Checksum{Algorithm: algorithm, Hex: sum}, nil
}

// Metadata is a package as a repository describes it: enough to resolve, fetch and plan, nothing verified.
type Metadata struct {
	NEVRA
	Summary   string
	License   string
	Vendor    string
	SourceRPM string // file name of the source package, "" for a source package

	Location      string   // relative to Base, or to the repository when Base is empty
	Base          string   // xml:base of the location, "" usually
	Checksum      Checksum // of the package file
	Size          int64    // of the package file, bytes
	InstalledSize int64    // bytes, as rpm's SIZE
	BuildTime     int64    // seconds since 1970
	HeaderEnd     int64    // offset of the payload in the package file; 0 when the metadata does not say

	Provides    []Capability // with the package's own NAME = EVR
	Requires    []Requirement
	Conflicts   []Capability
	Obsoletes   []Capability
	Recommends  []Capability
	Suggests    []Capability
	Supplements []Capability
	Enhances    []Capability

	// Files are paths the package owns: those that primary.xml lists (bin directories, /etc, /usr/lib/sendmail), or
	// all of them when AllFiles is set.
	Files    []string
	AllFiles bool
}
