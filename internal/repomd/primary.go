package repomd

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rpm"
)

// ParsePrimary reads a primary.xml and hands add its packages one by one, in their order; add owns what it is given. An
// error of add ends the reading and is returned as it is. Packages of a type other than rpm are passed over; source
// packages (architecture src or nosrc) are not. A package without name, architecture, version, checksum or location is an
// error, and so is a location outside the repository.
func ParsePrimary(r io.Reader, add func(*rpm.Metadata) error) error {
	p := primary{packages: newPackages(r)}
	return p.each("package", "metadata", "primary", func() error {
		if t := p.s.attr("type"); t != nil && string(t) != "rpm" {
			return nil
		}
		m := p.metadata()
		if p.s.err != nil {
			return nil
		}
		return add(m)
	})
}

// packages reads a document that is a list of packages.
type packages struct {
	s       *scanner
	strings map[string]string // one copy of what is repeated: names, versions, architectures
	count   int
}

func newPackages(r io.Reader) packages {
	return packages{s: newScanner(r), strings: map[string]string{}}
}

// each calls read at every element of the given name below the root element.
func (p *packages) each(element, root, what string, read func() error) error {
	p.s.root(root)
	for p.s.child(1) {
		if string(p.s.name) != element {
			continue
		}
		if p.count++; p.count > MaxPackages {
			p.s.fail("more than %d of <%s>", MaxPackages, element)
			break
		}
		if err := read(); err != nil {
			return err
		}
	}
	if err := p.s.finish(); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	return nil
}

// intern is b as a string, the same one every time.
func (p *packages) intern(b []byte) string {
	if s, ok := p.strings[string(b)]; ok {
		return s
	}
	if len(p.strings) == maxInterned {
		clear(p.strings)
	}
	s := string(b)
	p.strings[s] = s
	return s
}

// limited is intern of an attribute that may not be long.
func (p *packages) limited(b []byte, what string) string {
	if len(b) > MaxString {
		p.s.fail("%s of more than %d bytes", what, MaxString)
		return ""
	}
	return p.intern(b)
}

// word is limited of what must be one word that can stand in a file name: name, version, release, architecture.
func (p *packages) word(b []byte, what string) string {
	if p.s.err == nil && !isWord(b) {
		p.s.fail("%q is not %s", clip(b), what)
		return ""
	}
	return p.limited(b, what)
}

func isWord(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == '/' || c == 0x7f {
			return false
		}
	}
	return len(b) > 0
}

// version reads the attributes of a package's <version>.
func (p *packages) version() rpm.EVR {
	evr := rpm.EVR{
		Epoch:   p.epoch(),
		Version: p.word(p.s.attr("ver"), "a version"),
		Release: p.word(p.s.attr("rel"), "a release"),
	}
	if strings.Contains(evr.Version, "-") || strings.Contains(evr.Release, "-") {
		p.s.fail("a hyphen in version %q or release %q", evr.Version, evr.Release)
	}
	return evr
}

func (p *packages) epoch() uint32 {
	text := p.s.attr("epoch")
	if len(text) == 0 || len(text) == 1 && text[0] == '0' {
		return 0
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		p.s.fail("<%s>: epoch %q is not a number", p.s.name, clip(text))
	}
	return uint32(n)
}

type primary struct {
	packages
	requires     []rpm.Requirement // filled anew for every package
	capabilities []rpm.Capability
	files        []string
}

func (p *primary) metadata() *rpm.Metadata {
	m := &rpm.Metadata{}
	s := p.s
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "name":
			p.once(m.Name == "", "name")
			m.Name = p.word(s.content(), "a name")
		case "arch":
			p.once(m.Arch == "", "arch")
			m.Arch = p.word(s.content(), "an architecture")
		case "version":
			p.once(m.Version == "", "version")
			m.EVR = p.version()
		case "checksum":
			p.once(m.Checksum.IsZero(), "checksum")
			m.Checksum = s.checksum()
		case "location":
			p.once(m.Location == "", "location")
			m.Location, m.Base = s.location()
			m.Base = p.intern([]byte(m.Base))
		case "summary":
			// Others than the first are translations.
			if m.Summary == "" {
				m.Summary = p.intern(s.content())
			}
		case "time":
			m.BuildTime = p.time(s.attr("build"))
		case "size":
			m.Size = p.size(s.attr("package"))
			m.InstalledSize = p.size(s.attr("installed"))
		case "format":
			p.format(m)
		}
	}
	p.complete(m)
	return m
}

func (p *primary) once(first bool, element string) {
	if !first {
		p.s.fail("a second <%s>", element)
	}
}

// complete checks that what every package must have is there.
func (p *primary) complete(m *rpm.Metadata) {
	missing := ""
	switch {
	case m.Name == "":
		missing = "name"
	case m.Arch == "":
		missing = "arch"
	case m.Version == "":
		missing = "version"
	case m.Checksum.IsZero():
		missing = "checksum"
	case m.Location == "":
		missing = "location"
	default:
		return
	}
	p.s.fail("package %d (%s) has no <%s>", p.count, m.Name, missing)
}

func (p *primary) size(text []byte) int64 {
	if len(text) == 0 {
		return 0
	}
	return p.s.integer("size", text)
}

// time is a build time. A package that has none says 0, and broken ones may say anything.
func (p *primary) time(text []byte) int64 {
	if len(text) == 0 {
		return 0
	}
	return p.s.integer("time", text)
}

func (p *primary) format(m *rpm.Metadata) {
	s := p.s
	p.files = p.files[:0]
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "license":
			m.License = p.intern(s.content())
		case "vendor":
			m.Vendor = p.intern(s.content())
		case "sourcerpm":
			m.SourceRPM = p.source(s.content())
		case "header-range":
			m.HeaderEnd = s.integer("header-range", orZero(s.attr("end")))
		case "provides":
			m.Provides = p.list(m.Provides)
		case "requires":
			m.Requires = p.required(m.Requires)
		case "conflicts":
			m.Conflicts = p.list(m.Conflicts)
		case "obsoletes":
			m.Obsoletes = p.list(m.Obsoletes)
		case "recommends":
			m.Recommends = p.list(m.Recommends)
		case "suggests":
			m.Suggests = p.list(m.Suggests)
		case "supplements":
			m.Supplements = p.list(m.Supplements)
		case "enhances":
			m.Enhances = p.list(m.Enhances)
		case "file":
			p.file()
		}
	}
	m.Files = slices.Clone(p.files[:len(p.files):len(p.files)])
	if len(m.Files) == 0 {
		m.Files = nil
	}
}

func orZero(text []byte) []byte {
	if len(text) == 0 {
		return []byte("0")
	}
	return text
}

func (p *primary) source(text []byte) string {
	if len(text) > 0 && !isWord(text) {
		p.s.fail("<sourcerpm>: %q is not a file name", clip(text))
		return ""
	}
	return p.intern(text)
}

func (p *primary) file() {
	if len(p.files) == MaxFiles {
		p.s.fail("more than %d files", MaxFiles)
		return
	}
	p.files = append(p.files, p.intern(p.s.content()))
}

// list appends the entries of a list of dependencies to have.
func (p *primary) list(have []rpm.Capability) []rpm.Capability {
	p.capabilities = append(p.capabilities[:0], have...)
	for d := p.s.depth(); p.s.child(d); {
		if string(p.s.name) == "entry" && p.room(len(p.capabilities)) {
			p.capabilities = append(p.capabilities, p.entry())
		}
	}
	if len(p.capabilities) == 0 {
		return nil
	}
	return slices.Clone(p.capabilities)
}

func (p *primary) required(have []rpm.Requirement) []rpm.Requirement {
	p.requires = append(p.requires[:0], have...)
	for d := p.s.depth(); p.s.child(d); {
		if string(p.s.name) == "entry" && p.room(len(p.requires)) {
			pre := string(p.s.attr("pre"))
			p.requires = append(p.requires, rpm.Requirement{Capability: p.entry(), Pre: pre == "1" || pre == "true"})
		}
	}
	if len(p.requires) == 0 {
		return nil
	}
	return slices.Clone(p.requires)
}

func (p *primary) room(n int) bool {
	if n == MaxList {
		p.s.fail("more than %d entries", MaxList)
	}
	return n < MaxList
}

// entry reads the attributes of an <entry>. A comparison without a version matches every version, as an empty version
// does in rpm (rpmdsCompare in lib/rpmds.c).
func (p *primary) entry() rpm.Capability {
	s := p.s
	var c rpm.Capability
	var flags, version, release []byte
	for i := range s.attrs {
		switch a := &s.attrs[i]; string(a.name) {
		case "name":
			c.Name = p.limited(a.value, "a name")
		case "flags":
			flags = a.value
		case "ver":
			version = a.value
		case "rel":
			release = a.value
		}
	}
	if c.Name == "" || hasControl(c.Name) {
		s.fail("<entry>: %q is not a name", c.Name)
		return rpm.Capability{}
	}
	if len(flags) == 0 || len(version) == 0 {
		return c
	}
	var err error
	if c.Sense, err = rpm.ParseSense(string(flags)); err != nil {
		s.fail("<entry> %s: %w", c.Name, err)
	}
	c.EVR = rpm.EVR{Epoch: p.epoch(), Version: p.limited(version, "a version"), Release: p.limited(release, "a release")}
	return c
}
