package repomd

import (
	"bufio"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rpm"
)

// Metalink says where a repository's repomd.xml is and which ones are current: metalink 3.0 as MirrorManager writes it
// (librepo's metalink.c). Over https it is what ties the mirrors, which need not be trusted, to the distribution.
type Metalink struct {
	// Mirrors are the addresses of repomd.xml, by falling preference, in the document's order where it is the same. Only
	// http, https and file addresses; never empty.
	Mirrors []Mirror
	// Versions are the repomd.xml that are acceptable: the current one, then older ones (mm0:alternates), which mirrors
	// that lag behind still have. Empty when the metalink does not say.
	Versions []Version
}

// Mirror is one address of repomd.xml.
type Mirror struct {
	URL        string
	Preference int    // 0 when it says nothing
	Location   string // country, in two letters, usually
}

// Repository is the address of the repository, without repodata/repomd.xml.
func (m Mirror) Repository() string { return strings.TrimSuffix(m.URL, "repodata/repomd.xml") }

// Version describes one repomd.xml.
type Version struct {
	Timestamp int64          // 0 when not said
	Size      int64          // 0 when not said
	Checksums []rpm.Checksum // the strongest first; never empty
}

// Check returns nil when data, a repomd.xml, is one of the versions, by size and by the strongest checksum, and a
// *MismatchError when it is none. A metalink without versions accepts everything.
func (m *Metalink) Check(data []byte) error {
	if len(m.Versions) == 0 {
		return nil
	}
	got := ""
	for _, v := range m.Versions {
		sum := v.Checksums[0]
		h := sum.NewHash()
		h.Write(data)
		x := hex.EncodeToString(h.Sum(nil))
		if x == sum.Hex && (v.Size == 0 || v.Size == int64(len(data))) {
			return nil
		}
		if got == "" {
			got = fmt.Sprintf("%s:%s (%d bytes)", sum.Algorithm, x, len(data))
		}
	}
	v := m.Versions[0]
	return &MismatchError{What: "repomd.xml", Want: fmt.Sprintf("%v (%d bytes)", v.Checksums[0], v.Size), Got: got}
}

// ParseMetalink reads a metalink. One that does not describe repomd.xml or names no mirror that can be used is an error.
func ParseMetalink(r io.Reader) (*Metalink, error) {
	m, err := parseMetalink(r)
	if err != nil {
		return nil, fmt.Errorf("reading metalink: %w", err)
	}
	return m, nil
}

func parseMetalink(r io.Reader) (*Metalink, error) {
	s := newScanner(&bounded{r: r, left: MaxIndexSize})
	var m *Metalink
	s.root("metalink")
	for s.child(1) {
		if string(s.name) != "files" {
			continue
		}
		for s.child(2) {
			if string(s.name) == "file" && string(s.attr("name")) == "repomd.xml" && m == nil {
				m = &Metalink{}
				s.metalinkFile(m)
			}
		}
	}
	err := s.finish()
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return nil, errors.New("no <file> with the name repomd.xml")
	case len(m.Mirrors) == 0:
		return nil, errors.New("no <url> of repomd.xml that is http or https")
	}
	slices.SortStableFunc(m.Mirrors, func(a, b Mirror) int { return cmp.Compare(b.Preference, a.Preference) })
	return m, nil
}

func (s *scanner) metalinkFile(m *Metalink) {
	var current Version
	var older []Version
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "alternates":
			older = append(older, s.alternates()...)
		case "resources":
			s.resources(m)
		default:
			s.versionPart(&current)
		}
	}
	if len(current.Checksums) > 0 {
		m.Versions = append([]Version{current}, older...)
	}
}

func (s *scanner) alternates() []Version {
	var list []Version
	for d := s.depth(); s.child(d); {
		if string(s.name) != "alternate" {
			continue
		}
		var v Version
		for d := s.depth(); s.child(d); {
			s.versionPart(&v)
		}
		if len(v.Checksums) > 0 {
			list = append(list, v)
		}
	}
	return list
}

func (s *scanner) versionPart(v *Version) {
	switch string(s.name) {
	case "timestamp":
		v.Timestamp = s.seconds("timestamp")
	case "size":
		v.Size = s.number("size")
	case "verification":
		v.Checksums = s.hashes()
	}
}

// hashes reads a <verification>. Algorithms we do not know (md5 is always there) are passed over.
func (s *scanner) hashes() []rpm.Checksum {
	var list []rpm.Checksum
	for d := s.depth(); s.child(d); {
		algorithm := strings.ToLower(string(s.attr("type")))
		if string(s.name) != "hash" || (rpm.Checksum{Algorithm: algorithm}).NewHash() == nil {
			continue
		}
		c, err := rpm.NewChecksum(algorithm, string(s.content()))
		if err != nil {
			s.fail("<hash>: %w", err)
			return nil
		}
		list = append(list, c)
	}
	slices.SortStableFunc(list, func(a, b rpm.Checksum) int { return cmp.Compare(len(b.Hex), len(a.Hex)) })
	return list
}

func (s *scanner) resources(m *Metalink) {
	for d := s.depth(); s.child(d); {
		if string(s.name) != "url" {
			continue
		}
		if len(m.Mirrors) == MaxList {
			s.fail("more than %d of <url>", MaxList)
			return
		}
		mirror := Mirror{Location: string(s.attr("location"))}
		if p := s.attr("preference"); p != nil {
			n, err := strconv.Atoi(string(p))
			if err != nil {
				s.fail("<url>: preference %q is not a number", clip(p))
				return
			}
			mirror.Preference = n
		}
		mirror.URL = strings.TrimSpace(string(s.content()))
		if usable(mirror.URL) {
			m.Mirrors = append(m.Mirrors, mirror)
		}
	}
}

// usable reports whether address is of a kind that slim fetches: not ftp, not rsync.
func usable(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "file") && (u.Host != "" || u.Scheme == "file")
}

// ParseMirrorList reads a mirror list: one address of the repository a line, # begins a comment. The addresses are in
// the list's order, which is its preference. Those that are not http, https or file are left out. Variables ($releasever)
// are not expanded. No address at all is an error, and so is a line that is none.
func ParseMirrorList(r io.Reader) ([]string, error) {
	var list []string
	lines := bufio.NewScanner(&bounded{r: r, left: MaxIndexSize})
	lines.Buffer(nil, MaxString)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if !strings.Contains(line, "://") || strings.ContainsAny(line, " \t<>\"") || hasControl(line) {
			return nil, fmt.Errorf("reading mirror list: line %d: %q is not a URL", n, clip([]byte(line)))
		}
		if usable(line) {
			list = append(list, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading mirror list: %w", err)
	}
	if len(list) == 0 {
		return nil, errors.New("reading mirror list: no http or https address in it")
	}
	return list, nil
}
