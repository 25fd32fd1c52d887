package rpmdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

// maxDepth is the depth of the deepest b-tree that is followed, SQLite's own limit (BTCURSOR_MAX_DEPTH).
const maxDepth = 20

// sqliteReader reads tables of a SQLite file.
type sqliteReader struct {
	pages    *pageReader
	usable   int    // bytes of a page less those reserved at its end
	overflow []byte // a page, used again
}

func readSQLite(r io.ReaderAt, size int64) ([]stored, error) {
	s, err := openSQLite(r, size)
	if err != nil {
		return nil, err
	}
	root, err := s.findTable("Packages")
	if err != nil {
		return nil, err
	}
	var out []stored
	err = s.walk(root, 0, func(rowid int64, payload []byte) error {
		values, err := parseRecord(payload, 2)
		if err != nil {
			return err
		}
		if rowid < 0 || rowid > 1<<32-1 {
			return fmt.Errorf("%w: package number %d", ErrDatabase, rowid)
		}
		if values[1].kind != valueBlob {
			return fmt.Errorf("%w: package %d is not a blob", ErrDatabase, rowid)
		}
		if n := len(out); n > 0 && int64(out[n-1].num) >= rowid {
			return fmt.Errorf("%w: package %d after package %d", ErrDatabase, rowid, out[n-1].num)
		}
		out = append(out, stored{uint32(rowid), values[1].bytes})
		return nil
	})
	return out, err
}

func openSQLite(r io.ReaderAt, size int64) (*sqliteReader, error) {
	var header [sqliteHeaderSize]byte
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrDatabase, err)
	}
	page := int(binary.BigEndian.Uint16(header[16:]))
	if page == 1 {
		page = 1 << 16
	}
	if page < 512 || page&(page-1) != 0 {
		return nil, fmt.Errorf("%w: pages of %d bytes", ErrDatabase, page)
	}
	usable := page - int(header[20])
	if usable < 480 {
		return nil, fmt.Errorf("%w: %d bytes of a page are in use", ErrDatabase, usable)
	}
	// A database to which nothing was ever written has encoding 0.
	if e := binary.BigEndian.Uint32(header[56:]); e > 1 {
		return nil, fmt.Errorf("%w: text encoding %d, not UTF-8", ErrDatabase, e)
	}
	return &sqliteReader{pages: newPageReader(r, size, page, 1), usable: usable, overflow: make([]byte, page)}, nil
}

// findTable looks for a table in sqlite_schema, whose rows are type, name, tbl_name, rootpage and sql.
func (s *sqliteReader) findTable(name string) (uint32, error) {
	var root uint32
	err := s.walk(1, 0, func(_ int64, payload []byte) error {
		v, err := parseRecord(payload, 4)
		if err != nil {
			return err
		}
		if string(v[0].bytes) != "table" || !strings.EqualFold(string(v[1].bytes), name) {
			return nil
		}
		if root != 0 || v[3].kind != valueInteger || v[3].integer < 2 || v[3].integer > 1<<32-1 {
			return fmt.Errorf("%w: table %s at page %d", ErrDatabase, name, v[3].integer)
		}
		root = uint32(v[3].integer)
		return nil
	})
	if err == nil && root == 0 {
		err = fmt.Errorf("%w: no table %s", ErrDatabase, name)
	}
	return root, err
}

// walk calls visit for the rows of the table whose b-tree is below page n, in their order.
func (s *sqliteReader) walk(n uint32, depth int, visit func(rowid int64, payload []byte) error) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: a b-tree deeper than %d", ErrDatabase, maxDepth)
	}
	full := make([]byte, s.pages.size)
	if err := s.pages.read(n, full); err != nil {
		return err
	}
	page := full[:s.usable]
	at := 0
	if n == 1 {
		at = sqliteHeaderSize
	}
	header := leafHeader
	kind := page[at]
	switch kind {
	case pageTableLeaf:
	case pageTableInterior:
		header = interiorHeader
	default:
		return fmt.Errorf("%w: page %d has type %d", ErrDatabase, n, kind)
	}
	cells := int(binary.BigEndian.Uint16(page[at+3:]))
	pointers := at + header
	content := pointers + 2*cells
	if content > len(page) {
		return fmt.Errorf("%w: page %d has %d cells", ErrDatabase, n, cells)
	}
	for i := range cells {
		offset := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if offset < content || offset > len(page)-4 {
			return fmt.Errorf("%w: page %d: cell at %d", ErrDatabase, n, offset)
		}
		var err error
		if kind == pageTableInterior {
			err = s.walk(binary.BigEndian.Uint32(page[offset:]), depth+1, visit)
		} else {
			err = s.leafCell(n, page[offset:], visit)
		}
		if err != nil {
			return err
		}
	}
	if kind == pageTableInterior {
		return s.walk(binary.BigEndian.Uint32(page[at+8:]), depth+1, visit)
	}
	return nil
}

func (s *sqliteReader) leafCell(n uint32, cell []byte, visit func(rowid int64, payload []byte) error) error {
	length, a := readVarint(cell)
	rowid, b := readVarint(cell[a:])
	if a == 0 || b == 0 || length > MaxSize {
		return fmt.Errorf("%w: page %d: a cell of %d bytes", ErrDatabase, n, length)
	}
	payload, err := s.payload(cell[a+b:], int(length))
	if err != nil {
		return fmt.Errorf("row %d: %w", int64(rowid), err)
	}
	return visit(int64(rowid), payload)
}

// payload is the payload of a table's cell. It grows with what the pages hold, not with what length claims.
func (s *sqliteReader) payload(cell []byte, length int) ([]byte, error) {
	local := length
	if most := s.usable - 35; length > most {
		least := (s.usable-12)*32/255 - 23
		local = least + (length-least)%(s.usable-4)
		if local > most {
			local = least
		}
	}
	if local > len(cell) || local < length && local+4 > len(cell) {
		return nil, fmt.Errorf("%w: a cell that leaves its page", ErrDatabase)
	}
	if local == length {
		return cell[:local:local], nil
	}
	if int64(length) > int64(s.pages.count)*int64(s.pages.size) {
		return nil, fmt.Errorf("%w: a value of %d bytes", ErrDatabase, length)
	}
	out := append([]byte(nil), cell[:local]...)
	for next := binary.BigEndian.Uint32(cell[local:]); len(out) < length; next = binary.BigEndian.Uint32(s.overflow) {
		if err := s.pages.read(next, s.overflow); err != nil {
			return nil, err
		}
		out = append(out, s.overflow[4:4+min(s.usable-4, length-len(out))]...)
	}
	return out, nil
}

type valueKind int

const (
	valueNull valueKind = iota
	valueInteger
	valueReal
	valueText
	valueBlob
)

// value is a column of a row.
type value struct {
	kind    valueKind
	integer int64
	bytes   []byte // of text and blobs
}

// parseRecord reads the first n columns of a row, all of which must be there.
func parseRecord(b []byte, n int) ([]value, error) {
	size, at := readVarint(b)
	if at == 0 || size > uint64(len(b)) || size < uint64(at) {
		return nil, fmt.Errorf("%w: a row whose header has %d of %d bytes", ErrDatabase, size, len(b))
	}
	types, content := b[at:size], b[size:]
	out := make([]value, n)
	for i := range out {
		t, used := readVarint(types)
		if used == 0 {
			return nil, fmt.Errorf("%w: a row of %d columns, not %d", ErrDatabase, i, n)
		}
		types = types[used:]
		width := valueWidth(t)
		if width > uint64(len(content)) {
			return nil, fmt.Errorf("%w: a column of %d bytes where %d are left", ErrDatabase, width, len(content))
		}
		out[i] = decodeValue(t, content[:width:width])
		content = content[width:]
	}
	return out, nil
}

func valueWidth(t uint64) uint64 {
	switch {
	case t >= 12:
		return (t - 12) / 2
	case t <= 4:
		return t
	case t == 5:
		return 6
	case t == 6 || t == 7:
		return 8
	}
	return 0
}

func decodeValue(t uint64, b []byte) value {
	switch {
	case t == 0 || t == 10 || t == 11:
		return value{}
	case t == 7:
		return value{kind: valueReal}
	case t == 8 || t == 9:
		return value{kind: valueInteger, integer: int64(t - 8)}
	case t >= 12 && t%2 == 0:
		return value{kind: valueBlob, bytes: b}
	case t >= 12:
		return value{kind: valueText, bytes: b}
	}
	v := int64(int8(b[0]))
	for _, c := range b[1:] {
		v = v<<8 | int64(c)
	}
	return value{kind: valueInteger, integer: v}
}

// readVarint reads a variable-length integer and how many bytes it has, 0 when b ends before it does.
func readVarint(b []byte) (uint64, int) {
	var v uint64
	for i, c := range b {
		if i == 8 {
			return v<<8 | uint64(c), 9
		}
		v = v<<7 | uint64(c&0x7f)
		if c&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}
