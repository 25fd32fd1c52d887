package rpmdb

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"math/bits"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// The formats of Packages.db and Index.db (rpmpkg.c, rpmxdb.c and rpmidx.c in lib/backend/ndb); all numbers are
// little-endian.
const (
	ndbMagic      = "RpmP"
	ndbSlotMagic  = "Slot"
	ndbBlobMagic  = "BlbS"
	ndbBlobEnd    = "BlbE"
	ndbIndexMagic = "RpmX"
	ndbIndexSlot  = "Slo\x00"
	ndbHashMagic  = "RpmI"

	ndbPage     = 4096
	ndbBlock    = 16 // blobs begin and end at multiples of it
	ndbSlot     = 16
	ndbHeader   = 32 // takes the place of the first two slots
	ndbBlobHead = 16
	ndbBlobTail = 12

	ndbHashHeader = 64
	ndbMinSlots   = 256
	ndbKeyChunk   = 4096

	// ndbGeneration is the generation of both files; rpm makes the index anew when they differ.
	ndbGeneration = 1
)

// ndbFiles are a Packages.db and its Index.db.
func ndbFiles(packages []Package, tid uint32) (headers, index []byte, err error) {
	var blobs [][]byte
	var rows indexRows
	err = records(packages, tid, func(num uint32, h *rpm.Header) error {
		blobs = append(blobs, h.Blob())
		return rows.add(h, num)
	})
	if err == nil {
		headers, err = ndbPackages(blobs)
	}
	if err == nil {
		index, err = ndbIndex(&rows)
	}
	return headers, index, err
}

func ndbPackages(blobs [][]byte) ([]byte, error) {
	le := binary.LittleEndian
	pages := (ndbHeader + ndbSlot*len(blobs) + ndbPage) / ndbPage // one slot at least stays free
	out := make([]byte, 0, pages*ndbPage)
	out = append(out, ndbMagic...)
	for _, v := range []uint32{0, ndbGeneration, uint32(pages), uint32(len(blobs)) + 1, 0, 0, 0} {
		out = le.AppendUint32(out, v)
	}
	block := uint32(pages * (ndbPage / ndbBlock))
	for i, b := range blobs {
		blocks := uint32(ndbBlobSize(len(b)) / ndbBlock)
		out = append(out, ndbSlotMagic...)
		out = le.AppendUint32(out, uint32(i)+1)
		out = le.AppendUint32(out, block)
		out = le.AppendUint32(out, blocks)
		block += blocks
	}
	if size := int64(block) * ndbBlock; size > MaxSize {
		return nil, fmt.Errorf("the database is larger than %d bytes", MaxSize)
	}
	for len(out) < pages*ndbPage {
		out = append(append(out, ndbSlotMagic...), make([]byte, ndbSlot-4)...)
	}
	for i, b := range blobs {
		out = appendNDBBlob(out, uint32(i)+1, b)
	}
	return out, nil
}

// ndbBlobSize is the room that a blob of n bytes takes.
func ndbBlobSize(n int) int {
	return (ndbBlobHead + n + ndbBlobTail + ndbBlock - 1) / ndbBlock * ndbBlock
}

func appendNDBBlob(out []byte, num uint32, blob []byte) []byte {
	le := binary.LittleEndian
	start := len(out)
	out = append(out, ndbBlobMagic...)
	out = le.AppendUint32(out, num)
	out = le.AppendUint32(out, ndbGeneration)
	out = le.AppendUint32(out, uint32(len(blob)))
	out = append(out, blob...)
	out = append(out, make([]byte, ndbBlobSize(len(blob))-ndbBlobTail-(len(out)-start))...)
	out = le.AppendUint32(out, adler32.Checksum(out[start:]))
	out = le.AppendUint32(out, uint32(len(blob)))
	return append(out, ndbBlobEnd...)
}

// ndbIndex are the hash tables of all indexes one after another, each on pages of its own.
func ndbIndex(rows *indexRows) ([]byte, error) {
	le := binary.LittleEndian
	first := make([]byte, 0, ndbPage)
	first = append(first, ndbIndexMagic...)
	for _, v := range []uint32{0, ndbGeneration, 1, ndbPage, ndbGeneration, 0, 0} {
		first = le.AppendUint32(first, v)
	}
	var tables []byte
	for i := range indexes {
		t := ndbTable(rows[i])
		first = append(first, ndbIndexSlot...)
		first = le.AppendUint32(first, uint32(indexes[i].tag))
		first = le.AppendUint32(first, uint32(1+len(tables)/ndbPage))
		first = le.AppendUint32(first, uint32(len(t)/ndbPage))
		tables = append(tables, t...)
	}
	for len(first) < ndbPage {
		first = append(append(first, ndbIndexSlot...), make([]byte, ndbSlot-4)...)
	}
	if len(first)+len(tables) > MaxSize {
		return nil, fmt.Errorf("the index is larger than %d bytes", MaxSize)
	}
	return append(first, tables...), nil
}

// ndbTable is one hash table from keys to packages: a header, slots of key offset and value, the values' overflow, keys.
func ndbTable(rows []row) []byte {
	le := binary.LittleEndian
	nslots := ndbMinSlots
	for 2*len(rows) > nslots {
		nslots *= 2
	}
	keys := []byte{0} // offset 0 means an empty slot
	offsets := make(map[string]uint32)
	for _, r := range rows {
		if _, ok := offsets[r.key]; !ok {
			offsets[r.key] = uint32(len(keys))
			keys = append(appendNDBKeyLength(keys, len(r.key)), r.key...)
		}
	}
	keyEnd := len(keys)
	size := ndbHashHeader + 12*nslots + keyEnd + ndbKeyChunk
	size = (size + ndbPage - 1) / ndbPage * ndbPage
	room := size - ndbHashHeader - 12*nslots
	mask := uint32(1) << max(16, bits.Len32(uint32(room+8192-1))) // of the hash's bits that fit above a key's offset
	mask = -mask

	out := make([]byte, size)
	copy(out, ndbHashMagic)
	for i, v := range []uint32{0, ndbGeneration, uint32(nslots), 0, 0, mask, uint32(keyEnd), 0} {
		le.PutUint32(out[4+4*i:], v)
	}
	slots, overflow := out[ndbHashHeader:], out[ndbHashHeader+8*nslots:]
	used := uint32(0)
	for _, r := range rows {
		hash := ndbHash(r.key)
		key := offsets[r.key] | hash&mask
		data, extra := ndbValue(r)
		at, free := ndbProbe(slots, hash, uint32(nslots-1), key, data, overflow, extra)
		if !free {
			continue // the same key, package and element twice
		}
		le.PutUint32(slots[8*at:], key)
		le.PutUint32(slots[8*at+4:], data)
		le.PutUint32(overflow[4*at:], extra)
		used++
	}
	le.PutUint32(out[16:], used)
	copy(out[ndbHashHeader+12*nslots:], keys)
	return out
}

// ndbProbe finds the slot for a value: a free one, or the one that holds it.
func ndbProbe(slots []byte, hash, mask, key, data uint32, overflow []byte, extra uint32) (at uint32, free bool) {
	le := binary.LittleEndian
	for at, step := hash&mask, uint32(7); ; at, step = (at+step)&mask, step+1 {
		switch k := le.Uint32(slots[8*at:]); {
		case k == 0:
			return at, true
		case k == key && le.Uint32(slots[8*at+4:]) == data && le.Uint32(overflow[4*at:]) == extra:
			return at, false
		}
	}
}

// ndbValue packs a package and an element into 32 bits where they fit, else the package goes to the overflow.
func ndbValue(r row) (data, overflow uint32) {
	switch {
	case r.num < 1<<20 && r.idx < 1<<10:
		return r.num | r.idx<<20, 0
	case r.num < 1<<24 && r.idx < 1<<6:
		return r.num | r.idx<<24 | 1<<30, 0
	}
	return r.idx | 1<<31, r.num
}

func appendNDBKeyLength(b []byte, n int) []byte {
	switch {
	case n > 0 && n < 255:
		return append(b, byte(n))
	case n < 65535:
		return binary.LittleEndian.AppendUint16(append(b, 255), uint16(n))
	}
	return binary.LittleEndian.AppendUint32(append(b, 255, 255, 255), uint32(n))
}

// ndbHash is the variant of MurmurHash that rpmidx.c uses.
func ndbHash(s string) uint32 {
	const m = 0x5bd1e995
	h := uint32(len(s)) * m
	for ; len(s) >= 4; s = s[4:] {
		h += uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
		h *= m
		h ^= h >> 16
	}
	if len(s) > 0 {
		for i := len(s) - 1; i >= 0; i-- {
			h += uint32(s[i]) << (8 * i)
		}
		h *= m
		h ^= h >> 16
	}
	h *= m
	h ^= h >> 10
	h *= m
	return h ^ h>>17
}

// readNDB reads the slots of Packages.db and the blobs they name.
func readNDB(r io.ReaderAt, size int64) ([]stored, error) {
	slots, err := readNDBSlots(r, size)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(slots, func(a, b ndbSlotEntry) int { return cmp.Compare(a.start, b.start) })
	var out []stored
	end := int64(0)
	for _, s := range slots {
		if s.start < end {
			return nil, fmt.Errorf("%w: package %d overlaps another", ErrDatabase, s.num)
		}
		end = s.start + s.length
		b := make([]byte, s.length)
		if _, err := r.ReadAt(b, s.start); err != nil {
			return nil, fmt.Errorf("%w: package %d: %w", ErrDatabase, s.num, err)
		}
		blob, err := ndbBlob(b, s.num)
		if err != nil {
			return nil, err
		}
		out = append(out, stored{s.num, blob})
	}
	return out, nil
}

type ndbSlotEntry struct {
	num           uint32
	start, length int64 // bytes
}

func readNDBSlots(r io.ReaderAt, size int64) ([]ndbSlotEntry, error) {
	le := binary.LittleEndian
	var header [ndbHeader]byte
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDatabase, err)
	}
	if v := le.Uint32(header[4:]); v != 0 {
		return nil, fmt.Errorf("%w: version %d", ErrDatabase, v)
	}
	pages := int64(le.Uint32(header[12:]))
	if pages*ndbPage > size {
		return nil, fmt.Errorf("%w: %d pages of slots", ErrDatabase, pages)
	}
	var out []ndbSlotEntry
	page := make([]byte, ndbPage)
	for n := range pages {
		if _, err := r.ReadAt(page, n*ndbPage); err != nil {
			return nil, fmt.Errorf("%w: page %d: %w", ErrDatabase, n, err)
		}
		at := 0
		if n == 0 {
			at = ndbHeader
		}
		for ; at < ndbPage; at += ndbSlot {
			slot := page[at : at+ndbSlot]
			if string(slot[:4]) != ndbSlotMagic {
				return nil, fmt.Errorf("%w: page %d has no slot at %d", ErrDatabase, n, at)
			}
			e := ndbSlotEntry{le.Uint32(slot[4:]), int64(le.Uint32(slot[8:])) * ndbBlock, int64(le.Uint32(slot[12:])) * ndbBlock}
			if e.start == 0 {
				continue
			}
			if e.num == 0 || e.length == 0 || e.start < pages*ndbPage || e.start+e.length > size {
				return nil, fmt.Errorf("%w: package %d at %d with %d of %d bytes", ErrDatabase, e.num, e.start, e.length, size)
			}
			out = append(out, e)
		}
	}
	return out, nil
}

// ndbBlob is the header in what a slot names, once its frame is checked.
func ndbBlob(b []byte, num uint32) ([]byte, error) {
	le := binary.LittleEndian
	if len(b) < 2*ndbBlock || !strings.HasPrefix(string(b[:4]), ndbBlobMagic) || string(b[len(b)-4:]) != ndbBlobEnd || le.Uint32(b[4:]) != num {
		return nil, fmt.Errorf("%w: package %d has a broken frame", ErrDatabase, num)
	}
	n := le.Uint32(b[12:])
	tail := b[len(b)-ndbBlobTail:]
	if n != le.Uint32(tail[4:]) || int64(n) > int64(len(b)) || ndbBlobSize(int(n)) != len(b) {
		return nil, fmt.Errorf("%w: package %d has %d bytes in a frame of %d", ErrDatabase, num, n, len(b))
	}
	if adler32.Checksum(b[:len(b)-ndbBlobTail]) != le.Uint32(tail) {
		return nil, fmt.Errorf("%w: package %d has a wrong checksum", ErrDatabase, num)
	}
	return b[ndbBlobHead : ndbBlobHead+n], nil
}
