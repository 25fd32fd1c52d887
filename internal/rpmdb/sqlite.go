package rpmdb

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"slim/internal/rpm"
)

const (
	sqliteMagic = "SQLite format 3\x00"
	// sqliteVersion is what the header names as the library that wrote the file; nothing depends on it.
	sqliteVersion = 3040001
)

// records numbers the packages from 1 and makes their headers: package i is installed at tid+i.
func records(packages []Package, tid uint32, visit func(num uint32, h *rpm.Header) error) error {
	for i, p := range packages {
		blob, err := Blob(p, tid, tid+uint32(i))
		if err != nil {
			return err
		}
		h, err := rpm.ParseHeader(blob)
		if err != nil {
			return fmt.Errorf("recording %s: %w", p.Header.NEVRA(), err)
		}
		if err := visit(uint32(i)+1, h); err != nil {
			return fmt.Errorf("recording %s: %w", p.Header.NEVRA(), err)
		}
	}
	return nil
}

// indexRows are the rows of all indexes, parallel to indexes.
type indexRows [len(indexes)][]row

func (r *indexRows) add(h *rpm.Header, num uint32) error {
	for i := range indexes {
		var err error
		if r[i], err = indexes[i].rows(r[i], h, num); err != nil {
			return err
		}
	}
	return nil
}

// sqliteFile is an rpmdb.sqlite.
func sqliteFile(packages []Package, tid uint32) ([]byte, error) {
	expected := 64 * pageSize
	for _, p := range packages {
		if p.Header != nil {
			expected += 3 * len(p.Header.Blob()) / 2 // the indexes repeat about a third of it
		}
	}
	p := newPages(MaxSize, expected)
	table := tree{pages: p}
	var rows indexRows
	var r record
	err := records(packages, tid, func(num uint32, h *rpm.Header) error {
		r.reset()
		r.null() // hnum is the rowid
		r.blob(h.Blob())
		table.addRow(int64(num), r.bytes())
		if p.err != nil {
			return p.err
		}
		return rows.add(h, num)
	})
	if err != nil {
		return nil, err
	}
	s := schema{tree: tree{pages: p, schema: true}}
	s.table("Packages", "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)", table.finish())
	s.table("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)", writeSequence(p, len(packages)))
	for i := range indexes {
		s.index(&indexes[i], rows[i])
	}
	s.tree.finish()
	writeSQLiteHeader(p.data)
	return p.data, p.err
}

// writeSequence writes the table in which SQLite keeps the last number that AUTOINCREMENT gave.
func writeSequence(p *pages, last int) uint32 {
	t := tree{pages: p}
	if last > 0 {
		var r record
		r.text("Packages")
		r.integer(uint32(last))
		t.addRow(1, r.bytes())
	}
	return t.finish()
}

// schema writes sqlite_schema: one row for each table and index, in the order in which rpm creates them.
type schema struct {
	tree tree
	n    int64
}

func (s *schema) row(kind, name, table string, root uint32, sql string) {
	var r record
	r.text(kind)
	r.text(name)
	r.text(table)
	r.integer(root)
	r.text(sql)
	s.n++
	s.tree.addRow(s.n, r.bytes())
}

func (s *schema) table(name, sql string, root uint32) { s.row("table", name, name, root, sql) }

// index writes the table of an index of rpm, and the indexes that SQLite has of that table.
func (s *schema) index(x *index, rows []row) {
	p := s.tree.pages
	kind := "TEXT"
	if x.bytes {
		kind = "BLOB"
	}
	t := tree{pages: p}
	var r record
	for i, v := range rows {
		r.reset()
		if x.bytes {
			r.blob([]byte(v.key))
		} else {
			r.text(v.key)
		}
		r.integer(v.num)
		r.integer(v.idx)
		t.addRow(int64(i)+1, r.bytes())
	}
	s.table(x.name, fmt.Sprintf("CREATE TABLE '%s' (key '%s' NOT NULL, hnum INTEGER NOT NULL, idx INTEGER NOT NULL, "+
		"FOREIGN KEY (hnum) REFERENCES 'Packages'(hnum))", x.name, kind), t.finish())
	if x.bytes {
		return
	}
	s.sorted(x, "key", rows, func(a, b row) int { return strings.Compare(a.key, b.key) }, func(r *record, v row) { r.text(v.key) })
	if x.array {
		s.sorted(x, "hnum", rows, func(a, b row) int { return cmp.Compare(a.num, b.num) }, func(r *record, v row) { r.integer(v.num) })
	}
}

// sorted writes SQLite's index of one column of rows: entries of the column's value and the rowid.
func (s *schema) sorted(x *index, column string, rows []row, compare func(a, b row) int, value func(*record, row)) {
	order := make([]uint32, len(rows))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		return cmp.Or(compare(rows[a], rows[b]), cmp.Compare(a, b))
	})
	t := tree{pages: s.tree.pages, isIndex: true}
	var r record
	for i, at := range order {
		r.reset()
		value(&r, rows[at])
		r.integer(at + 1)
		t.addEntry(r.bytes(), i == len(order)-1)
	}
	name := x.name + "_" + column + "_idx"
	s.row("index", name, x.name, t.finish(), fmt.Sprintf("CREATE INDEX '%s' ON '%s'(%s ASC)", name, x.name, column))
}

// writeSQLiteHeader fills the first bytes of page 1.
func writeSQLiteHeader(data []byte) {
	be := binary.BigEndian
	copy(data, sqliteMagic)
	be.PutUint16(data[16:], pageSize)
	data[18], data[19] = 1, 1 // rollback journal for writing and reading
	data[21], data[22], data[23] = 64, 32, 32
	be.PutUint32(data[24:], 1) // change counter
	be.PutUint32(data[28:], uint32(len(data)/pageSize))
	be.PutUint32(data[40:], 1) // schema cookie
	be.PutUint32(data[44:], 4) // schema format: descending indexes, the types 8 and 9
	be.PutUint32(data[56:], 1) // UTF-8
	be.PutUint32(data[92:], 1) // the change counter for which the size and the version stand
	be.PutUint32(data[96:], sqliteVersion)
}
