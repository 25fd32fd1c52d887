package rpmdb

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"slim/internal/rpm"
)

// The format of Berkeley DB's hash access method (db_page.h and hash.h of Berkeley DB 5.3). Numbers are in the byte
// order of the machine that wrote them; what is written here is little-endian.
const (
	bdbHashMagic  = 0x061561
	bdbBtreeMagic = 0x053162
	bdbVersion    = 9 // read: 8 to 10

	bdbPage       = 4096
	bdbMeta       = 512
	bdbPageHeader = 26

	bdbPageUnsorted = 2
	bdbPageOverflow = 7
	bdbPageHashMeta = 8
	bdbPageHash     = 13

	bdbItemInline   = 1
	bdbItemOverflow = 3

	// bdbBucket is how many pairs a bucket's page takes: a key of 4 bytes, a reference to a value, two offsets.
	bdbBucket = (bdbPage - bdbPageHeader) / (1 + 4 + 12 + 4)
	// bdbCharKey, hashed, tells whether a reader uses the writer's hash function.
	bdbCharKey = "%$sniglet^&\x00"
)

// bdbFile is Packages as a Berkeley DB hash. rpm makes the indexes itself, when it is first used on the database.
func bdbFile(packages []Package, tid uint32) ([]byte, error) {
	var blobs [][]byte
	err := records(packages, tid, func(_ uint32, h *rpm.Header) error {
		blobs = append(blobs, h.Blob())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return bdbPackages(blobs)
}

// bdbPair is a package's key and the item that stands for its value.
type bdbPair struct{ key, item []byte }

func bdbPackages(blobs [][]byte) ([]byte, error) {
	le := binary.LittleEndian
	buckets := bdbBuckets(len(blobs))
	size := int64(1+len(buckets)) * bdbPage
	for _, b := range blobs {
		size += int64(bdbChain(len(b))) * bdbPage
	}
	if size > MaxSize {
		return nil, fmt.Errorf("the database is larger than %d bytes", MaxSize)
	}
	out := make([]byte, (1+len(buckets))*bdbPage, size)
	items := make([][]byte, len(blobs)+1)
	// Under the key 0 rpm keeps the last number given.
	items[0] = le.AppendUint32([]byte{bdbItemInline}, uint32(len(blobs)))
	id := sha256.New()
	for i, b := range blobs {
		items[i+1] = []byte{bdbItemOverflow, 0, 0, 0}
		items[i+1] = le.AppendUint32(items[i+1], uint32(len(out)/bdbPage))
		items[i+1] = le.AppendUint32(items[i+1], uint32(len(b)))
		out = appendBDBChain(out, b)
		id.Write(b)
	}
	for n, numbers := range buckets {
		var pairs []bdbPair
		for _, num := range numbers {
			pairs = append(pairs, bdbPair{le.AppendUint32(nil, num), items[num]})
		}
		writeBDBBucket(out[(1+n)*bdbPage:(2+n)*bdbPage], uint32(n)+1, pairs)
	}
	writeBDBMeta(out[:bdbPage], len(out)/bdbPage, len(buckets), id.Sum(nil))
	return out, nil
}

// bdbBuckets spreads the numbers 0 to last over a power of two of buckets, so many that each fits its page.
func bdbBuckets(last int) [][]uint32 {
	for n := 2; ; n *= 2 {
		buckets := make([][]uint32, n)
		fits := true
		for num := range uint32(last) + 1 {
			b := bdbHash(string(binary.LittleEndian.AppendUint32(nil, num))) & uint32(n-1)
			buckets[b] = append(buckets[b], num)
			fits = fits && len(buckets[b]) <= bdbBucket
		}
		if fits {
			return buckets
		}
	}
}

// bdbHash is Berkeley DB's default hash function (__ham_func4), a variant of Fowler, Noll and Vo's.
func bdbHash(s string) uint32 {
	h := uint32(0)
	for i := range len(s) {
		h = h*16777619 ^ uint32(s[i])
	}
	return h
}

// bdbChain is the number of pages for a value of n bytes.
func bdbChain(n int) int { return (n + bdbPage - bdbPageHeader - 1) / (bdbPage - bdbPageHeader) }

func appendBDBChain(out, value []byte) []byte {
	le := binary.LittleEndian
	previous := uint32(0)
	for len(value) > 0 {
		n := uint32(len(out) / bdbPage)
		page := make([]byte, bdbPage)
		length := copy(page[bdbPageHeader:], value)
		value = value[length:]
		next := n + 1
		if len(value) == 0 {
			next = 0
		}
		bdbHeader(page, n, bdbPageOverflow)
		le.PutUint32(page[12:], previous)
		le.PutUint32(page[16:], next)
		le.PutUint16(page[20:], 1) // references
		le.PutUint16(page[22:], uint16(length))
		out = append(out, page...)
		previous = n
	}
	return out
}

// bdbHeader writes what all pages begin with: a log position that says "not logged", the page's number, its type.
func bdbHeader(page []byte, n uint32, kind byte) {
	binary.LittleEndian.PutUint32(page[4:], 1)
	binary.LittleEndian.PutUint32(page[8:], n)
	page[25] = kind
}

func writeBDBBucket(page []byte, n uint32, pairs []bdbPair) {
	le := binary.LittleEndian
	slices.SortFunc(pairs, func(a, b bdbPair) int { return bytes.Compare(a.key, b.key) })
	bdbHeader(page, n, bdbPageHash)
	end, at := bdbPage, bdbPageHeader
	put := func(item []byte) {
		end -= len(item)
		copy(page[end:], item)
		le.PutUint16(page[at:], uint16(end))
		at += 2
	}
	for _, p := range pairs {
		put(append([]byte{bdbItemInline}, p.key...))
		put(p.item)
	}
	le.PutUint16(page[20:], uint16(2*len(pairs)))
	le.PutUint16(page[22:], uint16(end))
}

func writeBDBMeta(page []byte, pages, buckets int, id []byte) {
	le := binary.LittleEndian
	bdbHeader(page, 0, bdbPageHashMeta)
	le.PutUint32(page[12:], bdbHashMagic)
	le.PutUint32(page[16:], bdbVersion)
	le.PutUint32(page[20:], bdbPage)
	le.PutUint32(page[32:], uint32(pages-1))
	copy(page[52:72], id) // tells this file from others in the cache of an environment
	le.PutUint32(page[72:], uint32(buckets-1))
	le.PutUint32(page[76:], uint32(buckets-1))
	le.PutUint32(page[80:], uint32(buckets/2-1))
	le.PutUint32(page[92:], bdbHash(bdbCharKey))
	for i, n := 0, 1; n <= buckets; i, n = i+1, 2*n {
		le.PutUint32(page[96+4*i:], 1) // buckets lie one after another from page 1
	}
}

// bdbReader reads a hash of either byte order.
type bdbReader struct {
	pages    *pageReader
	order    binary.ByteOrder
	buckets  uint32
	spares   [32]uint32
	overflow []byte
}

func readBDB(r io.ReaderAt, size int64) ([]stored, error) {
	b, err := openBDB(r, size)
	if err != nil {
		return nil, err
	}
	var out []stored
	page := make([]byte, b.pages.size)
	for n := range b.buckets {
		for next := b.bucketPage(n); ; {
			if err := b.pages.read(next, page); err != nil {
				return nil, fmt.Errorf("bucket %d: %w", n, err)
			}
			if out, err = b.pairs(out, page); err != nil {
				return nil, fmt.Errorf("page %d: %w", next, err)
			}
			if next = b.order.Uint32(page[16:]); next == 0 {
				break
			}
		}
	}
	return out, nil
}

func openBDB(r io.ReaderAt, size int64) (*bdbReader, error) {
	var meta [bdbMeta]byte
	if _, err := r.ReadAt(meta[:], 0); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDatabase, err)
	}
	b := &bdbReader{order: binary.LittleEndian}
	if binary.LittleEndian.Uint32(meta[12:]) != bdbHashMagic {
		b.order = binary.BigEndian
	}
	if v := b.order.Uint32(meta[16:]); v < 8 || v > 10 {
		return nil, fmt.Errorf("%w: hash version %d", ErrDatabase, v)
	}
	page := b.order.Uint32(meta[20:])
	if page < 512 || page > 1<<16 || page&(page-1) != 0 {
		return nil, fmt.Errorf("%w: pages of %d bytes", ErrDatabase, page)
	}
	if meta[24] != 0 {
		return nil, fmt.Errorf("%w: it is encrypted", ErrDatabase)
	}
	b.pages = newPageReader(r, size, int(page), 0)
	b.overflow = make([]byte, page)
	if err := b.pages.read(0, b.overflow); err != nil { // so that nothing refers to it
		return nil, err
	}
	b.buckets = b.order.Uint32(meta[72:]) + 1
	if b.buckets == 0 || b.buckets > b.pages.count {
		return nil, fmt.Errorf("%w: %d buckets in %d pages", ErrDatabase, b.buckets, b.pages.count)
	}
	for i := range b.spares {
		b.spares[i] = b.order.Uint32(meta[96+4*i:])
	}
	return b, nil
}

// bucketPage is the first page of a bucket: buckets are laid out in runs that double their number.
func (b *bdbReader) bucketPage(n uint32) uint32 {
	run := 0
	for v := n; v > 0; v >>= 1 {
		run++
	}
	if run >= len(b.spares) {
		return 1<<32 - 1
	}
	return n + b.spares[run]
}

// pairs appends the packages of a bucket's page.
func (b *bdbReader) pairs(out []stored, page []byte) ([]stored, error) {
	if kind := page[25]; kind != bdbPageHash && kind != bdbPageUnsorted {
		return nil, fmt.Errorf("%w: it has type %d", ErrDatabase, kind)
	}
	n := int(b.order.Uint16(page[20:]))
	if n%2 != 0 || bdbPageHeader+2*n > len(page) {
		return nil, fmt.Errorf("%w: it has %d items", ErrDatabase, n)
	}
	end := len(page)
	item := func(i int) ([]byte, error) {
		at := int(b.order.Uint16(page[bdbPageHeader+2*i:]))
		if at < bdbPageHeader+2*n || at >= end {
			return nil, fmt.Errorf("%w: item %d is at %d", ErrDatabase, i, at)
		}
		v := page[at:end]
		end = at
		return v, nil
	}
	for i := 0; i < n; i += 2 {
		key, err := item(i)
		if err != nil {
			return nil, err
		}
		v, err := item(i + 1)
		if err != nil {
			return nil, err
		}
		if key[0] != bdbItemInline || len(key) != 1+4 {
			return nil, fmt.Errorf("%w: key %d is not a number", ErrDatabase, i/2)
		}
		num := b.order.Uint32(key[1:])
		if num == 0 {
			continue
		}
		blob, err := b.value(v)
		if err != nil {
			return nil, fmt.Errorf("package %d: %w", num, err)
		}
		out = append(out, stored{num, blob})
	}
	return out, nil
}

// value is what an item stands for.
func (b *bdbReader) value(item []byte) ([]byte, error) {
	switch {
	case item[0] == bdbItemInline:
		return bytes.Clone(item[1:]), nil
	case item[0] != bdbItemOverflow || len(item) != 12:
		return nil, fmt.Errorf("%w: a value of type %d and %d bytes", ErrDatabase, item[0], len(item))
	}
	next, length := b.order.Uint32(item[4:]), int(b.order.Uint32(item[8:]))
	var out []byte
	for len(out) < length {
		if err := b.pages.read(next, b.overflow); err != nil {
			return nil, err
		}
		n := int(b.order.Uint16(b.overflow[22:]))
		if b.overflow[25] != bdbPageOverflow || n == 0 || n > len(b.overflow)-bdbPageHeader || n > length-len(out) {
			return nil, fmt.Errorf("%w: page %d has type %d and %d bytes", ErrDatabase, next, b.overflow[25], n)
		}
		out = append(out, b.overflow[bdbPageHeader:bdbPageHeader+n]...)
		next = b.order.Uint32(b.overflow[16:])
	}
	return out, nil
}
