package rpm

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"iter"
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

// NewHash computes checksums of c's algorithm; it is nil for an unknown one.
func (c Checksum) NewHash() hash.Hash {
	switch c.Algorithm {
	case "sha1":
		return sha1.New()
	case "sha224":
		return sha256.New224()
	case "sha256":
		return sha256.New()
	case "sha384":
		return sha512.New384()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// NewChecksum checks algorithm ("sha" is createrepo's old word for sha1) and the form of sum.
func NewChecksum(algorithm, sum string) (Checksum, error) {
	algorithm, sum = strings.ToLower(strings.TrimSpace(algorithm)), strings.ToLower(strings.TrimSpace(sum))
	if algorithm == "sha" {
		algorithm = "sha1"
	}
	c := Checksum{Algorithm: algorithm, Hex: sum}
	h := c.NewHash()
	if h == nil {
		return Checksum{}, fmt.Errorf("checksum algorithm %q is not one of sha1, sha224, sha256, sha384, sha512", algorithm)
	}
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != h.Size() {
		return Checksum{}, fmt.Errorf("%q is not a %s checksum", sum, algorithm)
	}
	return c, nil
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

// FileName is the last part of the location or, without one, what rpmbuild calls the file.
func (m *Metadata) FileName() string {
	if m.Location == "" {
		return m.Name + "-" + m.Version + "-" + m.Release + "." + m.Arch + ".rpm"
	}
	return m.Location[strings.LastIndexByte(m.Location, '/')+1:]
}

// Compare orders packages by file name, as createrepo_c writes a repository, then by location, base, NEVRA and checksum.
func (m *Metadata) Compare(o *Metadata) int {
	if c := strings.Compare(m.FileName(), o.FileName()); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(m.Location, o.Location), strings.Compare(m.Base, o.Base), m.NEVRA.Compare(o.NEVRA),
		strings.Compare(m.Checksum.Algorithm, o.Checksum.Algorithm), strings.Compare(m.Checksum.Hex, o.Checksum.Hex))
}

// NamedPaths are the paths that the dependencies of m name, rich ones too, as often as they do.
func (m *Metadata) NamedPaths() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range m.Requires {
			if !m.Requires[i].paths(yield) {
				return
			}
		}
		for _, list := range [][]Capability{m.Conflicts, m.Recommends, m.Suggests, m.Supplements, m.Enhances} {
			for i := range list {
				if !list[i].paths(yield) {
					return
				}
			}
		}
	}
}

func (c *Capability) paths(yield func(string) bool) bool {
	switch {
	case c.IsPath():
		return yield(c.Name)
	case c.IsRich() && strings.Contains(c.Name, "/"):
		if r, err := ParseRich(c.Name); err == nil {
			return r.paths(yield)
		}
	}
	return true
}

// Relation is how a name or path leads to packages.
type Relation uint8

const (
	Named         Relation = iota // packages have the name
	WhatProvides                  // they provide some version of it, as a capability; files do not count
	WhatObsoletes                 // they obsolete some version of it
	WhatOwns                      // they own the path
)
