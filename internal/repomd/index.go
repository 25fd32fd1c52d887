package repomd

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"slim/internal/rpm"
)

// Record is one file of the metadata, as repomd.xml names it.
type Record struct {
	Type         string       // primary, filelists, updateinfo, group, modules, primary_db, primary_zck ...
	Location     string       // relative to Base, or to the repository when Base is empty; never climbs out
	Base         string       // xml:base of the location, "" usually
	Checksum     rpm.Checksum // of the file as it is stored; always there
	OpenChecksum rpm.Checksum // of what is in it; zero when repomd.xml does not say
	Size         int64        // bytes of the file as it is stored; 0 when repomd.xml does not say
	OpenSize     int64        // bytes of what is in it; 0 when repomd.xml does not say
	Timestamp    int64        // seconds since 1970; 0 when repomd.xml does not say
}

// Index is a repomd.xml.
type Index struct {
	Revision string // what the repository calls this state of itself, often a time; "" when it says nothing
	Records  []Record
}

// Record is the first record of the first of the given types that is there. Types beginning with primary_zck, say, may be
// given but Open cannot read them.
func (x *Index) Record(types ...string) (Record, bool) {
	for _, t := range types {
		for _, r := range x.Records {
			if r.Type == t {
				return r, true
			}
		}
	}
	return Record{}, false
}

// ParseIndex reads a repomd.xml. A record without type, checksum or location is an error, and so is a location that is
// not below the repository.
func ParseIndex(r io.Reader) (*Index, error) {
	x, err := parseIndex(r)
	if err != nil {
		return nil, fmt.Errorf("reading repomd.xml: %w", err)
	}
	return x, nil
}

func parseIndex(r io.Reader) (*Index, error) {
	s := newScanner(&bounded{r: r, left: MaxIndexSize})
	x := &Index{}
	s.root("repomd")
	for s.child(1) {
		switch string(s.name) {
		case "revision":
			x.Revision = string(s.content())
		case "data":
			rec := s.record()
			if s.err == nil {
				x.Records = append(x.Records, rec)
			}
		}
	}
	if err := s.finish(); err != nil {
		return nil, err
	}
	return x, nil
}

func (s *scanner) record() Record {
	rec := Record{Type: string(s.attr("type"))}
	if rec.Type == "" {
		s.fail("a <data> has no type")
	}
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "location":
			rec.Location, rec.Base = s.location()
		case "checksum":
			rec.Checksum = s.checksum()
		case "open-checksum":
			rec.OpenChecksum = s.checksum()
		case "size":
			rec.Size = s.number("size")
		case "open-size":
			rec.OpenSize = s.number("open-size")
		case "timestamp":
			rec.Timestamp = s.seconds("timestamp")
		}
	}
	switch {
	case rec.Location == "":
		s.fail("the <data> of type %q has no <location>", rec.Type)
	case rec.Checksum.IsZero():
		s.fail("the <data> of type %q has no <checksum>", rec.Type)
	}
	return rec
}

// location reads the attributes of a <location>.
func (s *scanner) location() (href, base string) {
	href, base = string(s.attr("href")), string(s.attr("xml:base"))
	if err := CheckLocation(href); err != nil {
		s.fail("<location>: %w", err)
	}
	if hasControl(base) {
		s.fail("<location>: control characters in xml:base %q", base)
	}
	return href, base
}

// checksum reads an element with a checksum in it.
func (s *scanner) checksum() rpm.Checksum {
	name, algorithm := string(s.name), string(s.attr("type"))
	c, err := rpm.NewChecksum(algorithm, string(s.content()))
	if err != nil {
		s.fail("<%s>: %w", name, err)
	}
	return c
}

// number reads the content of the element name, a count of bytes.
func (s *scanner) number(name string) int64 {
	return s.integer(name, s.content())
}

func (s *scanner) integer(what string, text []byte) int64 {
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 {
		s.fail("<%s>: %q is not a number", what, clip(text))
		return 0
	}
	return n
}

// seconds reads a time. Some writers give it a fraction.
func (s *scanner) seconds(name string) int64 {
	whole, _, _ := strings.Cut(string(s.content()), ".")
	return s.integer(name, []byte(whole))
}

// CheckLocation refuses the location of a file that is not a path below its repository: absolute ones, URLs, and those
// that climb out with "..", in plain or percent-encoded.
func CheckLocation(location string) error {
	plain := location
	if p, err := url.PathUnescape(location); err == nil {
		plain = p
	}
	switch {
	case location == "":
		return errors.New("an empty location")
	case hasControl(plain) || strings.Contains(plain, `\`):
		return fmt.Errorf("location %q has control characters or backslashes", location)
	case strings.HasPrefix(plain, "/"):
		return fmt.Errorf("location %q is absolute", location)
	case strings.Contains(plain, "://"):
		return fmt.Errorf("location %q is a URL", location)
	}
	for part := range strings.SplitSeq(plain, "/") {
		if part == ".." {
			return fmt.Errorf("location %q climbs out of the repository", location)
		}
	}
	return nil
}

func hasControl(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// Join is where a file is: location below base, or below repository when base is empty. Those may be URLs or paths. In a
// URL what may not stand there is percent-encoded; what already is stays. It does not check location.
func Join(repository, base, location string) string {
	root := repository
	if base != "" {
		root = base
	}
	if strings.Contains(root, "://") {
		root, query, _ := strings.Cut(root, "?")
		if query != "" {
			query = "?" + query
		}
		return strings.TrimRight(root, "/") + "/" + escape(location) + query
	}
	return strings.TrimSuffix(root, "/") + "/" + location
}

func escape(location string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(location) {
		c := location[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}#?[]", c) >= 0 || c == '%' && !isEscape(location[i:]) {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

func isEscape(s string) bool {
	_, err := strconv.ParseUint(s[1:min(len(s), 3)], 16, 8)
	return err == nil && len(s) >= 3
}

// bounded reads at most left bytes of r and fails when there are more.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		return int(b.left), errTooLong
	}
	b.left -= int64(n)
	return n, err
}

var errTooLong = errors.New("longer than any such file may be")
