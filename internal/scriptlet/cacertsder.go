package scriptlet

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Tags of ASN.1 that certificates hold.
const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagBitString   = 0x03
	tagOctetString = 0x04
	tagOID         = 0x06
	tagUTF8        = 0x0c
	tagSequence    = 0x30
	tagSet         = 0x31
)

// der is one element: its tag, its content, and both with the length between them.
type der struct {
	tag     byte
	content []byte
	whole   []byte
}

// nextDER cuts the first element off b. Long forms of a length that need not be so long are taken too, as old
// certificates have them.
func nextDER(b []byte) (d der, rest []byte, ok bool) {
	if len(b) < 2 || b[0]&0x1f == 0x1f {
		return der{}, nil, false
	}
	length, at := int(b[1]), 2
	if length >= 0x80 {
		n := length & 0x7f
		if n == 0 || n > 4 || len(b) < 2+n {
			return der{}, nil, false
		}
		length = 0
		for _, c := range b[2 : 2+n] {
			length = length<<8 | int(c)
		}
		at += n
	}
	if length > len(b)-at {
		return der{}, nil, false
	}
	end := at + length
	return der{b[0], b[at:end], b[:end]}, b[end:], true
}

// wholeDER is the element that b is, with this tag and nothing after it.
func wholeDER(b []byte, tag byte) (der, bool) {
	d, rest, ok := nextDER(b)
	return d, ok && len(rest) == 0 && d.tag == tag
}

// elements are the elements within one.
func (d der) elements() ([]der, bool) {
	var out []der
	for b := d.content; len(b) > 0; {
		e, rest, ok := nextDER(b)
		if !ok {
			return nil, false
		}
		out, b = append(out, e), rest
	}
	return out, true
}

// encodeDER makes an element.
func encodeDER(tag byte, parts ...[]byte) []byte {
	content := bytes.Join(parts, nil)
	out := []byte{tag}
	switch n := len(content); {
	case n < 0x80:
		out = append(out, byte(n))
	default:
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(n))
		l := bytes.TrimLeft(length[:], "\x00")
		out = append(append(out, 0x80|byte(len(l))), l...)
	}
	return append(out, content...)
}

// oidText is 1.2.3 for the content of an object identifier.
func oidText(content []byte) (string, bool) {
	var b strings.Builder
	value, first, more := uint64(0), true, false
	for _, c := range content {
		if value >= 1<<56 {
			return "", false
		}
		value = value<<7 | uint64(c&0x7f)
		if more = c&0x80 != 0; more {
			continue
		}
		if first {
			top := min(value/40, 2)
			fmt.Fprintf(&b, "%d.%d", top, value-40*top)
			first = false
		} else {
			b.WriteString("." + strconv.FormatUint(value, 10))
		}
		value = 0
	}
	return b.String(), !more && !first
}

// oidDER is the element of an object identifier written 1.2.3.
func oidDER(text string) ([]byte, bool) {
	parts := strings.Split(text, ".")
	if len(parts) < 2 {
		return nil, false
	}
	var content []byte
	var first uint64
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 56)
		switch {
		case err != nil || i == 0 && n > 2 || i == 1 && first < 2 && n > 39:
			return nil, false
		case i == 0:
			first = n
			continue
		case i == 1:
			n += 40 * first
		}
		var groups []byte
		for {
			groups = append(groups, byte(n&0x7f))
			if n >>= 7; n == 0 {
				break
			}
		}
		slices.Reverse(groups)
		for i := range groups[:len(groups)-1] {
			groups[i] |= 0x80
		}
		content = append(content, groups...)
	}
	return encodeDER(tagOID, content), true
}

// certificate is what is needed of an X.509 certificate. No more of it is looked at: old roots break rules.
type certificate struct {
	version1   bool
	serial     []byte // elements
	issuer     []byte
	subject    []byte
	publicKey  []byte
	extensions []certExtension
}

type certExtension struct {
	oid   string // 2.5.29.19
	value []byte // content of extnValue
}

func parseCertificate(b []byte) (*certificate, bool) {
	outer, ok := wholeDER(b, tagSequence)
	if !ok {
		return nil, false
	}
	parts, ok := outer.elements()
	if !ok || len(parts) != 3 || parts[0].tag != tagSequence || parts[1].tag != tagSequence || parts[2].tag != tagBitString {
		return nil, false
	}
	fields, ok := parts[0].elements()
	if !ok {
		return nil, false
	}
	c := &certificate{version1: true}
	if len(fields) > 0 && fields[0].tag == 0xa0 {
		v, ok := wholeDER(fields[0].content, tagInteger)
		if !ok {
			return nil, false
		}
		c.version1 = bytes.Equal(v.content, []byte{0})
		fields = fields[1:]
	}
	tags := []byte{tagInteger, tagSequence, tagSequence, tagSequence, tagSequence, tagSequence}
	if len(fields) < len(tags) {
		return nil, false
	}
	for i, tag := range tags {
		if fields[i].tag != tag {
			return nil, false
		}
	}
	c.serial, c.issuer, c.subject, c.publicKey = fields[0].whole, fields[2].whole, fields[4].whole, fields[5].whole
	for _, f := range fields[len(tags):] {
		if f.tag != 0xa3 {
			continue
		}
		if c.extensions, ok = parseExtensions(f.content); !ok {
			return nil, false
		}
	}
	return c, true
}

func parseExtensions(b []byte) ([]certExtension, bool) {
	list, ok := wholeDER(b, tagSequence)
	if !ok {
		return nil, false
	}
	elements, ok := list.elements()
	if !ok {
		return nil, false
	}
	var out []certExtension
	for _, e := range elements {
		x, ok := parseExtension(e.whole)
		if !ok {
			return nil, false
		}
		out = append(out, x)
	}
	return out, true
}

func parseExtension(b []byte) (x certExtension, ok bool) {
	outer, ok := wholeDER(b, tagSequence)
	if !ok {
		return x, false
	}
	parts, ok := outer.elements()
	if ok && len(parts) == 3 && parts[1].tag == tagBoolean {
		parts = append(parts[:1:1], parts[2])
	}
	if !ok || len(parts) != 2 || parts[0].tag != tagOID || parts[1].tag != tagOctetString {
		return x, false
	}
	if x.oid, ok = oidText(parts[0].content); !ok {
		return x, false
	}
	x.value = parts[1].content
	return x, true
}

// extension is the value of the certificate's first extension of that kind, nil without one.
func (c *certificate) extension(oid string) []byte {
	for _, x := range c.extensions {
		if x.oid == oid {
			return append([]byte{}, x.value...)
		}
	}
	return nil
}

// isAuthority reads BasicConstraints.
func isAuthority(value []byte) (ca, ok bool) {
	outer, ok := wholeDER(value, tagSequence)
	if !ok {
		return false, false
	}
	parts, ok := outer.elements()
	if !ok || len(parts) > 2 {
		return false, false
	}
	if len(parts) == 0 || parts[0].tag != tagBoolean {
		return false, true
	}
	return len(parts[0].content) == 1 && parts[0].content[0] != 0, true
}

// purposes reads ExtKeyUsageSyntax.
func purposes(value []byte) (oids []string, ok bool) {
	outer, ok := wholeDER(value, tagSequence)
	if !ok {
		return nil, false
	}
	return purposesIn(outer)
}

func purposesIn(list der) (oids []string, ok bool) {
	parts, ok := list.elements()
	if !ok {
		return nil, false
	}
	oids = []string{}
	for _, p := range parts {
		oid, ok := oidText(p.content)
		if !ok || p.tag != tagOID {
			return nil, false
		}
		oids = append(oids, oid)
	}
	return oids, true
}

func encodePurposes(tag byte, oids []string) []byte {
	var parts [][]byte
	for _, oid := range oids {
		if b, ok := oidDER(oid); ok {
			parts = append(parts, b)
		}
	}
	return encodeDER(tag, parts...)
}

// directoryString is the text of a string of any of the types that names are made of. known is whether it is such a type.
func directoryString(d der) (text string, known, ok bool) {
	switch d.tag {
	case tagUTF8, 18, 19, 20, 22:
		return string(d.content), true, utf8.Valid(d.content)
	case 28, 30:
		width := 4
		if d.tag == 30 {
			width = 2
		}
		if len(d.content)%width != 0 {
			return "", true, false
		}
		var b []byte
		for i := 0; i < len(d.content); i += width {
			c := rune(0)
			for _, octet := range d.content[i : i+width] {
				c = c<<8 | rune(octet)
			}
			if !utf8.ValidRune(c) {
				return "", true, false
			}
			b = utf8.AppendRune(b, c)
		}
		return string(b), true, true
	}
	return "", false, false
}

// nameParts are the relative names of a name, each a list of type and value.
func nameParts(name []byte) ([][][2]der, bool) {
	outer, ok := wholeDER(name, tagSequence)
	if !ok {
		return nil, false
	}
	rdns, ok := outer.elements()
	if !ok {
		return nil, false
	}
	var out [][][2]der
	for _, rdn := range rdns {
		pairs, ok := rdn.elements()
		if !ok || rdn.tag != tagSet {
			return nil, false
		}
		var list [][2]der
		for _, p := range pairs {
			pair, ok := p.elements()
			if !ok || p.tag != tagSequence || len(pair) != 2 || pair[0].tag != tagOID {
				return nil, false
			}
			list = append(list, [2]der{pair[0], pair[1]})
		}
		out = append(out, list)
	}
	return out, true
}

// nameLabel is what a subject is called: its common name, else its unit, else its organization.
func nameLabel(subject []byte) string {
	parts, _ := nameParts(subject)
	for _, oid := range []string{"2.5.4.3", "2.5.4.11", "2.5.4.10"} {
		for _, pair := range slices.Concat(parts...) {
			if got, _ := oidText(pair[0].content); got != oid {
				continue
			}
			if text, _, ok := directoryString(pair[1]); ok && text != "" {
				text, _, _ = strings.Cut(text, "\x00")
				return text
			}
			break
		}
	}
	return ""
}

// canonicalName is a name as OpenSSL hashes it: the sets one after the other, their strings UTF-8 in lower case, without
// blanks around and with one blank between words.
func canonicalName(name []byte) ([]byte, bool) {
	parts, ok := nameParts(name)
	if !ok {
		return nil, false
	}
	var out []byte
	for _, rdn := range parts {
		var pairs [][]byte
		for _, pair := range rdn {
			value := pair[1].whole
			text, known, ok := directoryString(pair[1])
			switch {
			case ok:
				value = encodeDER(tagUTF8, []byte(canonicalText(text)))
			case known:
				return nil, false
			}
			pairs = append(pairs, encodeDER(tagSequence, pair[0].whole, value))
		}
		slices.SortFunc(pairs, bytes.Compare)
		out = append(out, encodeDER(tagSet, pairs...)...)
	}
	return out, true
}

func canonicalText(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r >= '\t' && r <= '\r' })
	b := []byte(strings.Join(words, " "))
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// subjectHashes are the names of the links that OpenSSL looks certificates up by, the one of OpenSSL 1.0 and later first.
func subjectHashes(subject []byte) []string {
	var out []string
	if name, ok := canonicalName(subject); ok {
		sum := sha1.Sum(name)
		out = append(out, fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:])))
	}
	sum := md5.Sum(subject)
	return append(out, fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum[:])))
}
