package rpmdb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"slim/internal/rpm"
)

// Package is one package to record. A database holds them in install order.
type Package struct {
	// Header is the package's header, sealed by its immutable region.
	Header *rpm.Header
	// Signature is the package's signature header.
	Signature *rpm.Header
	// States are the states of the files in the order of Header.Files; nil for a package without files.
	States []rpm.FileState
	// Color is the transaction's color: 3 on 64-bit platforms (x86_64, aarch64, ppc64le, s390x, riscv64), 0 on others.
	Color uint32
	// Digests are those of the whole package file, which rpm 6 and later record; nil for none.
	Digests []Digest
}

// Digest is a digest of a package file.
type Digest struct {
	Algorithm uint32 // OpenPGP's number: 8 is SHA-256, 10 is SHA-512
	Hex       string
}

// Tags of a database's headers that a package's header does not have (include/rpm/rpmtag.h).
const (
	tagSigSize              rpm.Tag = 257
	tagSigPGP               rpm.Tag = 259
	tagSigMD5               rpm.Tag = 261
	tagSigGPG               rpm.Tag = 262
	tagDSAHeader            rpm.Tag = 267
	tagRSAHeader            rpm.Tag = 268
	tagSHA1Header           rpm.Tag = 269
	tagLongSigSize          rpm.Tag = 270
	tagLongArchiveSize      rpm.Tag = 271
	tagSHA256Header         rpm.Tag = 273
	tagFileSignaturesSig    rpm.Tag = 274
	tagFileSignatureLenSig  rpm.Tag = 275
	tagVeritySignatures     rpm.Tag = 276
	tagVeritySignatureAlgo  rpm.Tag = 277
	tagOpenPGP              rpm.Tag = 278
	tagSHA3Header           rpm.Tag = 279
	tagInstallTime          rpm.Tag = 1008
	tagFileStates           rpm.Tag = 1029
	tagArchiveSize          rpm.Tag = 1046
	tagInstPrefixes         rpm.Tag = 1099
	tagInstallColor         rpm.Tag = 1127
	tagInstallTID           rpm.Tag = 1128
	tagFileSignatures       rpm.Tag = 5090
	tagFileSignatureLength  rpm.Tag = 5091
	tagRPMFormat            rpm.Tag = 5114
	tagPackageDigests       rpm.Tag = 5118
	tagPackageDigestAlgos   rpm.Tag = 5119
	firstLegacySignatureTag rpm.Tag = 1000
)

// maxSignatureCount is rpm's limit for the count of a signature header's entry (headerMergeLegacySigs).
const maxSignatureCount = 16 << 20

// ErrPackage is what the error of a package that rpm would not install wraps.
var ErrPackage = errors.New("package cannot be recorded")

// merges says how rpm takes the entries of a signature header over into the main header (xlateTags in lib/package.c).
var merges = [...]struct {
	from, to rpm.Tag
	typ      rpm.Type
	count    uint32 // the only count allowed, 0 for any
	either   bool   // may stand in the main header already, when the signature header has none
}{
	{1000, tagSigSize, rpm.TypeInt32, 1, false},
	{1002, tagSigPGP, rpm.TypeBin, 0, false},
	{1004, tagSigMD5, rpm.TypeBin, 16, false},
	{1005, tagSigGPG, rpm.TypeBin, 0, false},
	{1007, tagArchiveSize, rpm.TypeInt32, 1, true},
	{tagFileSignaturesSig, tagFileSignatures, rpm.TypeStringArray, 0, true},
	{tagFileSignatureLenSig, tagFileSignatureLength, rpm.TypeInt32, 1, true},
	{tagVeritySignatures, tagVeritySignatures, rpm.TypeStringArray, 0, false},
	{tagVeritySignatureAlgo, tagVeritySignatureAlgo, rpm.TypeInt32, 1, false},
	{tagSHA1Header, tagSHA1Header, rpm.TypeString, 1, false},
	{tagSHA256Header, tagSHA256Header, rpm.TypeString, 1, false},
	{tagSHA3Header, tagSHA3Header, rpm.TypeString, 1, false},
	{tagDSAHeader, tagDSAHeader, rpm.TypeBin, 0, false},
	{tagRSAHeader, tagRSAHeader, rpm.TypeBin, 0, false},
	{tagLongSigSize, tagLongSigSize, rpm.TypeInt64, 1, false},
	{tagLongArchiveSize, tagLongArchiveSize, rpm.TypeInt64, 1, false},
	{tagOpenPGP, tagOpenPGP, rpm.TypeStringArray, 0, false},
}

// Blob is the package's header as rpm stores it when it installs the package at installTime in transaction tid. The
// bytes are the caller's. A header without the immutable region around it, a state too many or too few, and a signature
// header that rpm would not accept are errors that wrap ErrPackage.
func Blob(p Package, tid, installTime uint32) ([]byte, error) {
	if p.Header == nil || p.Signature == nil {
		return nil, fmt.Errorf("%w: it has no header or no signature header", ErrPackage)
	}
	if !p.Header.IsSealed(rpm.TagHeaderImmutable) {
		return nil, fmt.Errorf("recording %s: %w: its header is not sealed by one region", p.Header.NEVRA(), ErrPackage)
	}
	added, err := p.dribbles(tid, installTime)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w: %w", p.Header.NEVRA(), ErrPackage, err)
	}
	blob, err := appendEntries(p.Header.Blob(), added)
	if err != nil {
		return nil, fmt.Errorf("recording %s: %w: %w", p.Header.NEVRA(), ErrPackage, err)
	}
	return blob, nil
}

// dribbles are the entries that the installation adds, sorted by tag.
func (p Package) dribbles(tid, installTime uint32) ([]rpm.Entry, error) {
	h := p.Header
	for _, tag := range []rpm.Tag{rpm.TagName, rpm.TagVersion, rpm.TagRelease} {
		if !h.Has(tag) {
			return nil, fmt.Errorf("tag %d is missing", tag)
		}
	}
	out, err := mergeSignature(h, p.Signature)
	if err != nil {
		return nil, err
	}
	files := 0
	if e, ok := h.Entry(rpm.TagBaseNames); ok {
		files = int(e.Count)
	} else if h.Has(rpm.TagOldFileNames) {
		return nil, errors.New("its file names are in the form of rpm 3")
	}
	if len(p.States) != files {
		return nil, fmt.Errorf("%d file states for %d files", len(p.States), files)
	}
	if files > 0 {
		states := make([]byte, files)
		for i, s := range p.States {
			states[i] = byte(s)
		}
		out = append(out, rpm.Entry{Tag: tagFileStates, Type: rpm.TypeChar, Count: uint32(files), Data: states})
	}
	if e, ok := h.Entry(rpm.TagPrefixes); ok && !h.Has(tagInstPrefixes) {
		e.Tag = tagInstPrefixes
		out = append(out, e)
	}
	out = append(out, int32s(tagInstallTime, installTime), int32s(tagInstallTID, tid), int32s(tagInstallColor, p.Color))
	if len(p.Digests) > 0 {
		out = append(out, digestEntries(p.Digests)...)
	}
	slices.SortFunc(out, func(a, b rpm.Entry) int { return cmp.Compare(a.Tag, b.Tag) })
	for i, e := range out {
		// rpm's headerPut adds to an entry of the same tag, which no package that it accepts needs.
		if h.Has(e.Tag) || i > 0 && out[i-1].Tag == e.Tag {
			return nil, fmt.Errorf("tag %d is in its header already", e.Tag)
		}
	}
	return out, nil
}

func mergeSignature(h, signature *rpm.Header) ([]rpm.Entry, error) {
	format, _ := h.Uint64(tagRPMFormat)
	var out []rpm.Entry
	for _, m := range merges {
		e, ok := signature.Entry(m.from)
		if h.Has(m.to) && (ok || !m.either || format >= 6) {
			return nil, fmt.Errorf("signature tag %d is in its header already", m.to)
		}
		if !ok || format >= 6 && m.from >= firstLegacySignatureTag {
			continue
		}
		if e.Type != m.typ || m.count != 0 && e.Count != m.count || e.Count > maxSignatureCount {
			return nil, fmt.Errorf("signature tag %d has type %d and count %d", m.from, e.Type, e.Count)
		}
		e.Tag = m.to
		out = append(out, e)
	}
	return out, nil
}

func int32s(tag rpm.Tag, values ...uint32) rpm.Entry {
	e := rpm.Entry{Tag: tag, Type: rpm.TypeInt32, Count: uint32(len(values))}
	for _, v := range values {
		e.Data = binary.BigEndian.AppendUint32(e.Data, v)
	}
	return e
}

func digestEntries(digests []Digest) []rpm.Entry {
	hexes := rpm.Entry{Tag: tagPackageDigests, Type: rpm.TypeStringArray, Count: uint32(len(digests))}
	algorithms := make([]uint32, len(digests))
	for i, d := range digests {
		hexes.Data = append(append(hexes.Data, d.Hex...), 0)
		algorithms[i] = d.Algorithm
	}
	return []rpm.Entry{hexes, int32s(tagPackageDigestAlgos, algorithms...)}
}

// appendEntries is the header blob with entries after its own: index entries after its index, data after its data,
// each aligned to the size of its type.
func appendEntries(blob []byte, entries []rpm.Entry) ([]byte, error) {
	il, dl := int(binary.BigEndian.Uint32(blob)), int(binary.BigEndian.Uint32(blob[4:]))
	var index, data []byte
	for _, e := range entries {
		for (dl+len(data))%alignment(e.Type) != 0 {
			data = append(data, 0)
		}
		index = binary.BigEndian.AppendUint32(index, uint32(e.Tag))
		index = binary.BigEndian.AppendUint32(index, uint32(e.Type))
		index = binary.BigEndian.AppendUint32(index, uint32(dl+len(data)))
		index = binary.BigEndian.AppendUint32(index, e.Count)
		data = append(data, e.Data...)
	}
	if n := il + len(entries); n > rpm.MaxHeaderEntries {
		return nil, fmt.Errorf("its header would have %d entries, more than %d", n, rpm.MaxHeaderEntries)
	}
	if n := dl + len(data); n > rpm.MaxHeaderData {
		return nil, fmt.Errorf("its header would have %d bytes of data, more than %d", n, rpm.MaxHeaderData)
	}
	out := make([]byte, 0, len(blob)+len(index)+len(data))
	out = binary.BigEndian.AppendUint32(out, uint32(il+len(entries)))
	out = binary.BigEndian.AppendUint32(out, uint32(dl+len(data)))
	indexEnd := 8 + 16*il
	out = append(out, blob[8:indexEnd]...)
	out = append(out, index...)
	out = append(out, blob[indexEnd:]...)
	return append(out, data...), nil
}

func alignment(t rpm.Type) int {
	switch t {
	case rpm.TypeInt16:
		return 2
	case rpm.TypeInt32:
		return 4
	case rpm.TypeInt64:
		return 8
	}
	return 1
}
