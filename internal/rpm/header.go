package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sort"
)

// Tag numbers an entry of a header (include/rpm/rpmtag.h).
type Tag uint32

// Type is the type of a header entry.
type Type uint32

// The types of header entries.
const (
	TypeNull Type = iota
	TypeChar
	TypeInt8
	TypeInt16
	TypeInt32
	TypeInt64
	TypeString
	TypeBin
	TypeStringArray
	TypeI18NString
)

// Limits of a header, those of rpm's lib/header.c (hdrblobInit).
const (
	MaxHeaderEntries = 0xffff
	MaxHeaderData    = 256<<20 - 1
	maxEntryCount    = 0x0fffff

	// Of the signature header of a package file.
	maxSignatureEntries = 32
	maxSignatureData    = 64 << 20
	// MaxHeaderSize is the size of the largest header: counts, index and data.
	MaxHeaderSize = 8 + 16*MaxHeaderEntries + MaxHeaderData
)

const (
	entrySize  = 16
	regionSize = 16
)

// HeaderMagic stands before a header in a package file; a header in an rpmdb has none.
var headerMagic = [8]byte{0x8e, 0xad, 0xe8, 0x01}

// ErrHeader is what every malformed header's error wraps.
var ErrHeader = errors.New("bad header")

// Entry is one entry of a header. Data is the entry's bytes inside the header's blob; it is not to be changed.
type Entry struct {
	Tag   Tag
	Type  Type
	Count uint32
	Data  []byte
}

// Header is a parsed, checked header: of a package file (package or signature header) or of an rpmdb. It is read-only
// and safe for concurrent use. The form is that of rpm's lib/header.c: two big-endian counts il and dl, il index entries
// of 16 bytes (tag, type, offset, count), dl bytes of data.
type Header struct {
	blob    []byte
	entries []Entry // by tag
	region  Tag     // 62, 63 or 0
	ril     int     // entries of the region, its own included
	rdl     int     // bytes of the region's data, its trailer included
}

// ReadHeader reads a header with its magic from r, at most MaxHeaderSize bytes and never more than r has: memory grows
// with what was read, not with what the counts claim. It returns the number of bytes read, magic included.
func ReadHeader(r io.Reader) (*Header, int64, error) {
	return readHeader(r, MaxHeaderEntries, MaxHeaderData)
}

// claimedHeader is as much memory as is taken for a header before it has come: most are smaller.
const claimedHeader = 32 << 10

// readHeader is ReadHeader with other limits for the numbers of entries and bytes of data.
func readHeader(r io.Reader, maxEntries, maxData uint32) (*Header, int64, error) {
	var intro [16]byte
	if _, err := io.ReadFull(r, intro[:]); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHeader, noEOF(err))
	}
	if !bytes.Equal(intro[:8], headerMagic[:]) {
		return nil, 0, fmt.Errorf("%w: magic is %x, not %x", ErrHeader, intro[:8], headerMagic)
	}
	size, err := blobSize(intro[8:], maxEntries, maxData)
	if err != nil {
		return nil, 0, err
	}
	var b bytes.Buffer
	b.Grow(int(min(size, claimedHeader)) + bytes.MinRead)
	b.Write(intro[8:])
	n, err := io.Copy(&b, io.LimitReader(r, size-8))
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if n != size-8 {
		return nil, 0, fmt.Errorf("%w: %d of %d bytes: %w", ErrHeader, n+8, size, io.ErrUnexpectedEOF)
	}
	h, err := ParseHeader(b.Bytes())
	return h, size + 8, err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func blobSize(intro []byte, maxEntries, maxData uint32) (int64, error) {
	il, dl := binary.BigEndian.Uint32(intro), binary.BigEndian.Uint32(intro[4:])
	if il < 1 || il > maxEntries {
		return 0, fmt.Errorf("%w: %d entries, not 1 to %d", ErrHeader, il, maxEntries)
	}
	if dl > maxData {
		return 0, fmt.Errorf("%w: %d bytes of data, more than %d", ErrHeader, dl, maxData)
	}
	return 8 + entrySize*int64(il) + int64(dl), nil
}

// ParseHeader checks and indexes a header without magic, as it stands in an rpmdb. The header keeps blob.
func ParseHeader(blob []byte) (*Header, error) {
	if len(blob) < 8 {
		return nil, fmt.Errorf("%w: %d bytes", ErrHeader, len(blob))
	}
	size, err := blobSize(blob, MaxHeaderEntries, MaxHeaderData)
	if err != nil {
		return nil, err
	}
	if size != int64(len(blob)) {
		return nil, fmt.Errorf("%w: %d bytes where its counts say %d", ErrHeader, len(blob), size)
	}
	h := &Header{blob: blob}
	il := int(binary.BigEndian.Uint32(blob))
	index, data := blob[8:8+entrySize*il], blob[8+entrySize*il:]
	first, err := h.parseRegion(index, data)
	if err != nil {
		return nil, err
	}
	end := 0
	for i := first; i < il; i++ {
		if h.ril > 0 && i == h.ril && end < h.rdl {
			end = h.rdl // what was added on install stands after the region's trailer
		}
		e, next, err := parseEntry(index[entrySize*i:], data, end)
		if err != nil {
			return nil, fmt.Errorf("%w: entry %d: %w", ErrHeader, i, err)
		}
		end = next
		h.entries = append(h.entries, e)
	}
	// An rpmdb's blob may hold a tag both in and after the region; rpm drops the earlier one, as we do by a stable sort.
	sort.SliceStable(h.entries, func(i, j int) bool { return h.entries[i].Tag < h.entries[j].Tag })
	return h, nil
}

// parseRegion reads entry 0 when it is a region, and says which entry is the first ordinary one.
func (h *Header) parseRegion(index, data []byte) (first int, err error) {
	tag := Tag(binary.BigEndian.Uint32(index))
	if tag != TagHeaderSignatures && tag != TagHeaderImmutable {
		return 0, nil
	}
	typ, off, count := binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:])
	if Type(typ) != TypeBin || count != regionSize {
		return 0, fmt.Errorf("%w: region tag %d has type %d, count %d", ErrHeader, tag, typ, count)
	}
	if uint64(off)+regionSize > uint64(len(data)) {
		return 0, fmt.Errorf("%w: region trailer at %d of %d bytes", ErrHeader, off, len(data))
	}
	trailer := data[off : off+regionSize]
	rdl := -int64(int32(binary.BigEndian.Uint32(trailer[8:])))
	// Old rpms sealed signature headers with the tag of the immutable region.
	if t := Tag(binary.BigEndian.Uint32(trailer)); t != tag && !(tag == TagHeaderSignatures && t == TagHeaderImage) {
		return 0, fmt.Errorf("%w: region trailer has tag %d, not %d", ErrHeader, t, tag)
	}
	if Type(binary.BigEndian.Uint32(trailer[4:])) != TypeBin || binary.BigEndian.Uint32(trailer[12:]) != regionSize {
		return 0, fmt.Errorf("%w: region trailer has a wrong type or count", ErrHeader)
	}
	if rdl < entrySize || rdl%entrySize != 0 || rdl/entrySize > int64(len(index)/entrySize) {
		return 0, fmt.Errorf("%w: region of %d index bytes", ErrHeader, rdl)
	}
	h.region, h.ril, h.rdl = tag, int(rdl/entrySize), int(off)+regionSize
	return 1, nil
}

// parseEntry checks one index entry against rpm's rules: known type, sane count, aligned, inside the data, not before end.
func parseEntry(b, data []byte, end int) (Entry, int, error) {
	e := Entry{Tag: Tag(binary.BigEndian.Uint32(b)), Type: Type(binary.BigEndian.Uint32(b[4:])), Count: binary.BigEndian.Uint32(b[12:])}
	off := int64(int32(binary.BigEndian.Uint32(b[8:])))
	if e.Tag < TagHeaderI18NTable {
		return e, 0, fmt.Errorf("tag %d", e.Tag)
	}
	if e.Count == 0 || e.Count > maxEntryCount && e.Type != TypeBin && e.Type != TypeChar {
		return e, 0, fmt.Errorf("tag %d: count %d", e.Tag, e.Count)
	}
	if off < int64(end) || off > int64(len(data)) {
		return e, 0, fmt.Errorf("tag %d: offset %d, not between %d and %d", e.Tag, off, end, len(data))
	}
	width, align := int64(1), int64(1)
	switch e.Type {
	case TypeInt16:
		width, align = 2, 2
	case TypeInt32:
		width, align = 4, 4
	case TypeInt64:
		width, align = 8, 8
	case TypeChar, TypeInt8, TypeBin, TypeString, TypeStringArray, TypeI18NString:
	default:
		return e, 0, fmt.Errorf("tag %d: type %d", e.Tag, e.Type)
	}
	if off%align != 0 {
		return e, 0, fmt.Errorf("tag %d: offset %d is not aligned to %d", e.Tag, off, align)
	}
	rest := data[off:]
	var n int64
	switch e.Type {
	case TypeString, TypeStringArray, TypeI18NString:
		if e.Type == TypeString && e.Count != 1 {
			return e, 0, fmt.Errorf("tag %d: a string with count %d", e.Tag, e.Count)
		}
		for range e.Count {
			i := bytes.IndexByte(rest[n:], 0)
			if i < 0 {
				return e, 0, fmt.Errorf("tag %d: a string without an end", e.Tag)
			}
			n += int64(i) + 1
		}
	default:
		n = int64(e.Count) * width
	}
	if n > int64(len(rest)) {
		return e, 0, fmt.Errorf("tag %d: %d bytes where %d are left", e.Tag, n, len(rest))
	}
	e.Data = rest[:n:n]
	return e, int(off + n), nil
}

// Blob is the header's bytes without magic. It is not to be changed.
func (h *Header) Blob() []byte { return h.blob }

// Immutable is the header's region as a blob of its own: what digests and signatures cover once HeaderMagic is put before
// it, in a package file and in an rpmdb alike. Without a region it is the whole blob.
func (h *Header) Immutable() []byte {
	il := int(binary.BigEndian.Uint32(h.blob))
	if h.ril == 0 || h.ril == il && 8+entrySize*il+h.rdl == len(h.blob) {
		return h.blob
	}
	b := make([]byte, 0, 8+entrySize*h.ril+h.rdl)
	b = binary.BigEndian.AppendUint32(b, uint32(h.ril))
	b = binary.BigEndian.AppendUint32(b, uint32(h.rdl))
	b = append(b, h.blob[8:8+entrySize*h.ril]...)
	data := h.blob[8+entrySize*il:]
	return append(b, data[:h.rdl]...)
}

// IsSealed reports whether the whole header is one region under tag: what rpm demands of a package's header.
func (h *Header) IsSealed(tag Tag) bool {
	il := int(binary.BigEndian.Uint32(h.blob))
	return h.region == tag && h.ril == il && 8+entrySize*il+h.rdl == len(h.blob)
}

// Entries are all entries but the region's, sorted by tag.
func (h *Header) Entries() []Entry { return h.entries }

// Entry is the entry of tag; when a tag occurs twice the last one, as in rpm.
func (h *Header) Entry(tag Tag) (Entry, bool) {
	i := sort.Search(len(h.entries), func(i int) bool { return h.entries[i].Tag > tag })
	if i == 0 || h.entries[i-1].Tag != tag {
		return Entry{}, false
	}
	return h.entries[i-1], true
}

// Has reports whether the header has tag.
func (h *Header) Has(tag Tag) bool {
	_, ok := h.Entry(tag)
	return ok
}

// Text is the string of tag, its first when there are several (the C locale of a translated one), "" without one.
func (h *Header) Text(tag Tag) string {
	e, ok := h.Entry(tag)
	if !ok {
		return ""
	}
	switch e.Type {
	case TypeString, TypeStringArray, TypeI18NString:
		return string(e.Data[:bytes.IndexByte(e.Data, 0)])
	}
	return ""
}

// Strings are the strings of tag, nil without one.
func (h *Header) Strings(tag Tag) []string {
	e, ok := h.Entry(tag)
	if !ok {
		return nil
	}
	return e.Strings()
}

// Strings are the entry's strings, nil when it holds something else.
func (e Entry) Strings() []string {
	switch e.Type {
	case TypeString, TypeStringArray, TypeI18NString:
	default:
		return nil
	}
	out := make([]string, 0, e.Count)
	all := string(e.Data) // one allocation, shared
	for range e.Count {
		i := 0
		for all[i] != 0 {
			i++
		}
		out = append(out, all[:i])
		all = all[i+1:]
	}
	return out
}

// Uint64s are the integers of tag, of whichever width, nil without one.
func (h *Header) Uint64s(tag Tag) []uint64 {
	e, ok := h.Entry(tag)
	if !ok {
		return nil
	}
	return integers[uint64](e)
}

// Uint32s are the integers of tag cut to 32 bits, nil without one.
func (h *Header) Uint32s(tag Tag) []uint32 {
	e, ok := h.Entry(tag)
	if !ok {
		return nil
	}
	return integers[uint32](e)
}

func integers[T uint32 | uint64](e Entry) []T {
	out := make([]T, 0, e.Count)
	for i := range int(e.Count) {
		switch e.Type {
		case TypeChar, TypeInt8:
			out = append(out, T(e.Data[i]))
		case TypeInt16:
			out = append(out, T(binary.BigEndian.Uint16(e.Data[2*i:])))
		case TypeInt32:
			out = append(out, T(binary.BigEndian.Uint32(e.Data[4*i:])))
		case TypeInt64:
			out = append(out, T(binary.BigEndian.Uint64(e.Data[8*i:])))
		default:
			return nil
		}
	}
	return out
}

// Uint64 is the first integer of tag and whether there is one.
func (h *Header) Uint64(tag Tag) (uint64, bool) {
	v := h.Uint64s(tag)
	if len(v) == 0 {
		return 0, false
	}
	return v[0], true
}

// Bytes are the bytes of a binary entry, nil without one. They are not to be changed.
func (h *Header) Bytes(tag Tag) []byte {
	e, ok := h.Entry(tag)
	if !ok || e.Type != TypeBin {
		return nil
	}
	return e.Data
}

// NEVRA is the package's name; the architecture is "src" or "nosrc" for a source package.
func (h *Header) NEVRA() NEVRA {
	n := NEVRA{Name: h.Text(TagName), Arch: h.Text(TagArch)}
	n.Version, n.Release = h.Text(TagVersion), h.Text(TagRelease)
	if epoch, ok := h.Uint64(TagEpoch); ok {
		n.Epoch = uint32(epoch)
	}
	if h.IsSource() {
		n.Arch = "src"
		if h.Has(TagNoSource) || h.Has(TagNoPatch) {
			n.Arch = "nosrc"
		}
	}
	return n
}

// IsSource reports whether this is the header of a source package (it names no source package of its own).
func (h *Header) IsSource() bool { return h.Has(TagName) && !h.Has(TagSourceRPM) }

// OrderWithRequires are dependencies that only say what comes first when both are installed together.
func (h *Header) OrderWithRequires() ([]Dependency, error) {
	return h.dependencies("orders", 5035, 5037, 5036)
}
