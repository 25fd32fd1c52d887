package rpmdb

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"slim/internal/rpm"
)

// Format is the format of a database.
type Format int

// The formats; SQLite is the zero value, as it is rpm's default.
const (
	SQLite Format = iota
	NDB
	BDB
)

// String is rpm's name of the format: "sqlite", "ndb" or "bdb".
func (f Format) String() string {
	switch f {
	case SQLite:
		return "sqlite"
	case NDB:
		return "ndb"
	case BDB:
		return "bdb"
	}
	return fmt.Sprintf("format %d", int(f))
}

// FileName is the name of the file that holds the headers, in the database's directory.
func (f Format) FileName() string {
	switch f {
	case NDB:
		return "Packages.db"
	case BDB:
		return "Packages"
	}
	return "rpmdb.sqlite"
}

// ErrDatabase is what every error of Read about the content wraps.
var ErrDatabase = errors.New("bad rpmdb")

// Installed is one package of a database.
type Installed struct {
	Header *rpm.Header // with what was added on install
	Num    uint32      // its number, hnum
}

// States are the states of the package's files in the order of Header.Files, nil when none are recorded.
func (i Installed) States() []rpm.FileState {
	e, ok := i.Header.Entry(tagFileStates)
	if !ok || e.Type != rpm.TypeChar {
		return nil
	}
	out := make([]rpm.FileState, len(e.Data))
	for n, b := range e.Data {
		out[n] = rpm.FileState(b)
	}
	return out
}

// Detect says which format a database of size bytes has, by its first bytes.
func Detect(r io.ReaderAt, size int64) (Format, error) {
	var b [16]byte
	if size < int64(len(b)) {
		return 0, fmt.Errorf("%w: %d bytes", ErrDatabase, size)
	}
	if _, err := r.ReadAt(b[:], 0); err != nil && err != io.EOF {
		return 0, err
	}
	switch {
	case string(b[:]) == sqliteMagic:
		return SQLite, nil
	case string(b[:4]) == ndbMagic:
		return NDB, nil
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(b[12:]) {
		case bdbHashMagic:
			return BDB, nil
		case bdbBtreeMagic:
			return 0, fmt.Errorf("%w: a btree of Berkeley DB, not a hash", ErrDatabase)
		}
	}
	return 0, fmt.Errorf("%w: neither sqlite nor ndb nor bdb", ErrDatabase)
}

// Read reads the packages of a database of size bytes (rpmdb.sqlite, Packages.db or Packages), which it recognises by
// its content, in the order of their numbers. It takes at most MaxSize bytes, no page twice, and refuses a database as
// a whole when one of its pages or headers is malformed.
func Read(r io.ReaderAt, size int64) ([]Installed, error) {
	format, err := Detect(r, size)
	if err != nil {
		return nil, fmt.Errorf("reading rpmdb: %w", err)
	}
	if size > MaxSize {
		return nil, fmt.Errorf("reading rpmdb: %w: %d bytes, more than %d", ErrDatabase, size, MaxSize)
	}
	var found []stored
	switch format {
	case SQLite:
		found, err = readSQLite(r, size)
	case NDB:
		found, err = readNDB(r, size)
	case BDB:
		found, err = readBDB(r, size)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s rpmdb: %w", format, err)
	}
	return parseAll(found)
}

// stored is a header as it lies in a database.
type stored struct {
	num  uint32
	blob []byte
}

func parseAll(found []stored) ([]Installed, error) {
	slices.SortStableFunc(found, func(a, b stored) int { return cmp.Compare(a.num, b.num) })
	out := make([]Installed, 0, len(found))
	for i, s := range found {
		if i > 0 && found[i-1].num == s.num {
			return nil, fmt.Errorf("reading rpmdb: %w: package %d is there twice", ErrDatabase, s.num)
		}
		h, err := rpm.ParseHeader(s.blob)
		if err != nil {
			return nil, fmt.Errorf("reading rpmdb: package %d: %w: %w", s.num, ErrDatabase, err)
		}
		out = append(out, Installed{Header: h, Num: s.num})
	}
	return out, nil
}

// pageReader reads the pages of a file, each at most once: so no chain is endless, and what is read in total is no more
// than the file.
type pageReader struct {
	r     io.ReaderAt
	size  int // of a page
	first uint32
	count uint32 // pages first to first+count-1 exist
	seen  []uint64
}

func newPageReader(r io.ReaderAt, size int64, page int, first uint32) *pageReader {
	count := size / int64(page)
	return &pageReader{r: r, size: page, first: first, count: uint32(count), seen: make([]uint64, count/64+1)}
}

// read fills b, of a page's size, with page n.
func (p *pageReader) read(n uint32, b []byte) error {
	i := n - p.first
	if n < p.first || i >= p.count {
		return fmt.Errorf("%w: page %d of %d", ErrDatabase, n, p.count)
	}
	if p.seen[i/64]&(1<<(i%64)) != 0 {
		return fmt.Errorf("%w: page %d is used twice", ErrDatabase, n)
	}
	p.seen[i/64] |= 1 << (i % 64)
	if _, err := p.r.ReadAt(b[:p.size], int64(i)*int64(p.size)); err != nil {
		return fmt.Errorf("%w: page %d: %w", ErrDatabase, n, err)
	}
	return nil
}
