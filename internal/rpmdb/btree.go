package rpmdb

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// The file format's numbers (https://www.sqlite.org/fileformat2.html).
const (
	pageSize         = 4096
	sqliteHeaderSize = 100
	leafHeader       = 8
	interiorHeader   = 12

	pageIndexInterior = 0x02
	pageTableInterior = 0x05
	pageIndexLeaf     = 0x0a
	pageTableLeaf     = 0x0d

	maxLocalTable = pageSize - 35
	maxLocalIndex = (pageSize-12)*64/255 - 23
	minLocal      = (pageSize-12)*32/255 - 23
)

// MaxSize is the size of the largest database that is written or read. At 1 GiB SQLite has a page that must stay unused;
// the largest real ones have some hundred megabytes.
const MaxSize = 1 << 30

// pages is a database file in the making: page n stands at (n-1)*pageSize. Page 1 is there from the start.
type pages struct {
	data  []byte
	limit int // of data's length
	err   error
}

// newPages begins a file of at most limit bytes, with room for expected ones.
func newPages(limit, expected int) *pages {
	return &pages{data: make([]byte, pageSize, max(pageSize, min(limit, expected))), limit: limit}
}

// add appends a page and returns its number and its bytes, which are valid until the next call.
func (p *pages) add() (uint32, []byte) {
	if len(p.data)+pageSize > p.limit {
		p.err = fmt.Errorf("the database is larger than %d bytes", p.limit)
		return 0, make([]byte, pageSize)
	}
	start := len(p.data)
	p.data = append(p.data, make([]byte, pageSize)...)
	return uint32(start/pageSize) + 1, p.data[start:]
}

func (p *pages) page(n uint32) []byte { return p.data[(int(n)-1)*pageSize : int(n)*pageSize] }

// child is a page of a b-tree and what its parent says of it: the divider between this page and the next. A table's
// divider is the largest rowid of the page, an index's is the cell of an entry between the pages. The last page of
// a level has none in its parent.
type child struct {
	page    uint32
	divider []byte
}

// tree writes one b-tree in the order of its keys.
type tree struct {
	pages     *pages
	isIndex   bool
	schema    bool     // the tree whose root is page 1, after the file's header
	cells     [][]byte // of the leaf in the making
	used      int      // bytes of cells and their pointers
	lastRowid int64    // of cells, for a table
	children  []child
}

func (t *tree) capacity(header int) int {
	if t.schema {
		header += sqliteHeaderSize
	}
	return pageSize - header
}

// addRow appends a row to a table; rowids ascend.
func (t *tree) addRow(rowid int64, record []byte) {
	cell := appendVarint(appendVarint(nil, uint64(len(record))), uint64(rowid))
	cell = t.appendPayload(cell, record, maxLocalTable)
	if !t.fits(cell) {
		t.flush(appendVarint(nil, uint64(t.lastRowid)))
	}
	t.push(cell)
	t.lastRowid = rowid
}

// addEntry appends an entry to an index; records ascend. isLast says that none follows.
func (t *tree) addEntry(record []byte, isLast bool) {
	cell := t.appendPayload(appendVarint(nil, uint64(len(record))), record, maxLocalIndex)
	switch {
	case t.fits(cell):
		t.push(cell)
	case isLast: // it cannot divide two pages: let the one before it do that
		n := len(t.cells) - 1
		divider := t.cells[n]
		t.cells = t.cells[:n]
		t.flush(divider)
		t.push(cell)
	default:
		t.flush(cell)
	}
}

func (t *tree) fits(cell []byte) bool { return t.used+2+len(cell) <= t.capacity(leafHeader) }

func (t *tree) push(cell []byte) {
	t.cells = append(t.cells, cell)
	t.used += 2 + len(cell)
}

// flush writes the leaf in the making.
func (t *tree) flush(divider []byte) {
	kind := byte(pageTableLeaf)
	if t.isIndex {
		kind = pageIndexLeaf
	}
	n, page := t.pages.add()
	writePage(page, kind, 0, t.cells)
	t.children = append(t.children, child{n, divider})
	t.cells, t.used = t.cells[:0], 0
}

// finish writes what is left and the levels above the leaves, and returns the root's page.
func (t *tree) finish() uint32 {
	t.flush(nil)
	for len(t.children) > 1 {
		t.children = t.level(t.children)
	}
	root := t.children[0].page
	if !t.schema || t.pages.err != nil {
		return root
	}
	// The root was written last, with room for the file's header: move it behind that.
	last := t.pages.page(root)
	copy(t.pages.data, last)
	first := t.pages.data[:pageSize]
	n := interiorHeader
	if first[0] == pageTableLeaf {
		n = leafHeader
	}
	n += 2 * int(binary.BigEndian.Uint16(first[3:]))
	copy(first[sqliteHeaderSize:], last[:n])
	clear(first[:sqliteHeaderSize])
	t.pages.data = t.pages.data[:len(t.pages.data)-pageSize]
	return 1
}

// level writes the pages above children, each with a cell for all of its children but the last. A page's last divider
// moves up to the page's parent.
func (t *tree) level(children []child) []child {
	kind := byte(pageTableInterior)
	if t.isIndex {
		kind = pageIndexInterior
	}
	var above []child
	for len(children) > 0 {
		n, used := 0, 0
		for n < len(children)-1 && used+6+len(children[n].divider) <= t.capacity(interiorHeader) {
			used += 6 + len(children[n].divider)
			n++
		}
		if n == len(children)-2 { // one child would be left over for a page of its own
			n--
		}
		cells := make([][]byte, n)
		for i, c := range children[:n] {
			cells[i] = append(binary.BigEndian.AppendUint32(nil, c.page), c.divider...)
		}
		page, b := t.pages.add()
		writePage(b, kind, children[n].page, cells)
		above = append(above, child{page, children[n].divider})
		children = children[n+1:]
	}
	return above
}

// appendPayload appends what of a record stands in the cell, and writes the rest to a chain of pages.
func (t *tree) appendPayload(cell, record []byte, maxLocal int) []byte {
	if len(record) <= maxLocal {
		return append(cell, record...)
	}
	local := minLocal + (len(record)-minLocal)%(pageSize-4)
	if local > maxLocal {
		local = minLocal
	}
	cell = append(cell, record[:local]...)
	rest := record[local:]
	var first, previous uint32
	for len(rest) > 0 {
		n, page := t.pages.add()
		rest = rest[copy(page[4:], rest):]
		if previous == 0 {
			first = n
		} else {
			binary.BigEndian.PutUint32(t.pages.page(previous), n)
		}
		previous = n
		if t.pages.err != nil {
			return cell
		}
	}
	return binary.BigEndian.AppendUint32(cell, first)
}

// writePage lays cells out from the end of an empty page, the first cell last in the page.
func writePage(page []byte, kind byte, right uint32, cells [][]byte) {
	header := leafHeader
	if right != 0 {
		header = interiorHeader
		binary.BigEndian.PutUint32(page[8:], right)
	}
	end := len(page)
	for i, c := range cells {
		end -= len(c)
		copy(page[end:], c)
		binary.BigEndian.PutUint16(page[header+2*i:], uint16(end))
	}
	page[0] = kind
	binary.BigEndian.PutUint16(page[3:], uint16(len(cells)))
	binary.BigEndian.PutUint16(page[5:], uint16(end))
}

// appendVarint appends SQLite's variable-length integer: seven bits a byte, the most significant first, in the ninth
// byte eight.
func appendVarint(b []byte, v uint64) []byte {
	if v >= 1<<56 {
		for shift := 57; shift >= 8; shift -= 7 {
			b = append(b, byte(v>>shift)|0x80)
		}
		return append(b, byte(v))
	}
	var tmp [8]byte
	i := len(tmp) - 1
	tmp[i] = byte(v & 0x7f)
	for v >>= 7; v > 0; v >>= 7 {
		i--
		tmp[i] = byte(v&0x7f) | 0x80
	}
	return append(b, tmp[i:]...)
}

// record builds a row or an index entry: the length and types of its values, then the values.
type record struct{ types, values, whole []byte }

// reset begins a new one in the memory of the last.
func (r *record) reset() { r.types, r.values = r.types[:0], r.values[:0] }

func (r *record) null() { r.types = append(r.types, 0) }

func (r *record) text(s string) {
	r.types = appendVarint(r.types, uint64(len(s))*2+13)
	r.values = append(r.values, s...)
}

func (r *record) blob(b []byte) {
	r.types = appendVarint(r.types, uint64(len(b))*2+12)
	r.values = append(r.values, b...)
}

// integer adds a value that is not negative in the fewest bytes.
func (r *record) integer(v uint32) {
	var width int
	switch {
	case v <= 1:
		r.types = append(r.types, byte(8+v))
		return
	case v < 1<<7:
		width = 1
	case v < 1<<15:
		width = 2
	case v < 1<<23:
		width = 3
	case v < 1<<31:
		width = 4
	default:
		r.types = append(r.types, 5)
		r.values = append(r.values, 0, 0, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
		return
	}
	r.types = append(r.types, byte(width))
	for i := width - 1; i >= 0; i-- {
		r.values = append(r.values, byte(v>>(8*i)))
	}
}

// bytes are valid until the next call.
func (r *record) bytes() []byte {
	n := len(r.types) + 1
	if n >= 1<<7 { // the length counts itself; three values never need more than two bytes for it
		n++
	}
	r.whole = appendVarint(slices.Grow(r.whole[:0], n+len(r.values)), uint64(n))
	r.whole = append(append(r.whole, r.types...), r.values...)
	return r.whole
}
