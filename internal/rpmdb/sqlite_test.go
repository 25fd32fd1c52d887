package rpmdb

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// many is n packages of all sizes: without files, with some, every hundredth with so many that its header is chained over
// pages, and its rows fill pages of every index.
func many(t testing.TB, n int) []Package {
	t.Helper()
	r := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]Package, n)
	for i := range out {
		var entries []rpm.Entry
		files := r.IntN(40) - 10
		if i%100 == 50 {
			files = 3000
		}
		if files > 0 {
			names := make([]string, files)
			for j := range names {
				names[j] = strings.Repeat("n", r.IntN(60)) + fmt.Sprint(r.IntN(1000))
			}
			entries = append(entries, texts(rpm.TagBaseNames, names...), texts(rpm.TagDirNames, "/usr/", fmt.Sprintf("/opt/%d/", i)))
		}
		if i%7 == 0 {
			requires := strings.Repeat("long", r.IntN(1200)) // some of these keys are chained over pages too
			entries = append(entries, texts(tagRequireName, "lib.so", requires, "("+requires+" or lib.so)"))
		}
		out[i] = made(t, fmt.Sprintf("package%04d", i), entries...)
	}
	return out
}

func TestWriteSQLite(t *testing.T) {
	for _, n := range []int{0, 1, 2, 37, 700} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			packages := many(t, n)
			b := sqliteBytes(t, packages)
			check(t, b)
			if !bytes.Equal(b, sqliteBytes(t, packages)) {
				t.Error("the same packages give other bytes")
			}
			if b[18] != 1 || b[19] != 1 {
				t.Error("the database is not in rollback mode")
			}
			installed := readBytes(t, b)
			if len(installed) != n {
				t.Fatalf("%d packages read", len(installed))
			}
			for i, p := range installed {
				want, err := Blob(packages[i], testTID, testTID+uint32(i))
				if err != nil {
					t.Fatal(err)
				}
				if p.Num != uint32(i)+1 || !bytes.Equal(p.Header.Blob(), want) {
					t.Fatalf("package %d differs", i)
				}
				if diff := cmp.Diff(packages[i].States, p.States()); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestRPMReadsMany has rpm count what it finds in databases of our sizes.
func TestRPMReadsMany(t *testing.T) {
	tooltest.Need(t, "rpm")
	for _, n := range []int{0, 1, 700} {
		dir := publicDir(t)
		writeFile(t, dir+"/rpmdb.sqlite", sqliteBytes(t, many(t, n)))
		out := mustRun(t, "rpm", "--dbpath", dir, "-qa")
		if got := strings.Count(out, "package"); got != n {
			t.Errorf("rpm lists %d packages of %d", got, n)
		}
		if n > 0 {
			if out := mustRun(t, "rpm", "--dbpath", dir, "-q", "--whatrequires", "lib.so"); strings.Count(out, "package") != 2*((n+6)/7) { // once for the name, once for the rich dependency
				t.Errorf("%d packages: lib.so is required by %s", n, out)
			}
		}
		mustRun(t, "rpmdb", "--dbpath", dir, "--verifydb")
	}
}

// TestHugeHeader: a header of more than a megabyte.
func TestHugeHeader(t *testing.T) {
	random := make([]byte, 3<<20)
	r := rand.New(rand.NewPCG(2, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	packages := []Package{made(t, "small"), made(t, "huge", binaryEntry(9000, random)), made(t, "after")}
	b := sqliteBytes(t, packages)
	check(t, b)
	installed := readBytes(t, b)
	if diff := cmp.Diff([]string{"small-1-2.noarch", "huge-1-2.noarch", "after-1-2.noarch"}, nevras(installed)); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(installed[1].Header.Bytes(9000), random) {
		t.Error("the huge header differs")
	}
}

// TestTrees fills a table and its index with every number of rows around those at which a page more is needed, small
// rows and large ones, and has SQLite judge them.
func TestTrees(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 400, 998, 999, 1000, 4052, 4053, 4054, 9000} {
		r := rand.New(rand.NewPCG(3, uint64(size)))
		counts := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 65, 70}
		if size < 1000 {
			for n := 255; n < 262; n++ {
				counts = append(counts, n)
			}
			counts = append(counts, 3003)
		}
		for _, n := range counts {
			rows := make([]row, n)
			for i := range rows {
				key := fmt.Sprintf("%06d", r.IntN(1000000))
				rows[i] = row{key + strings.Repeat("k", max(0, size-6)), uint32(i/3) + 1, r.Uint32()}
			}
			path := filepath.Join(dir, fmt.Sprintf("%d-%d", size, n))
			writeFile(t, path, treeFile(rows))
			judgeTrees(t, path, rows)
			if t.Failed() {
				t.Fatalf("%d rows of %d bytes", n, size)
			}
		}
	}
}

// treeFile is a database with one index table of rows.
func treeFile(rows []row) []byte {
	p := newPages(MaxSize, 0)
	s := schema{tree: tree{pages: p, schema: true}}
	x := index{name: "Some", array: true}
	s.table("Packages", "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)", writeSequence(p, 0))
	s.table("sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)", writeSequence(p, 7))
	s.index(&x, rows)
	s.tree.finish()
	writeSQLiteHeader(p.data)
	return p.data
}

func judgeTrees(t *testing.T, path string, rows []row) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := strings.Join(query(t, db, "PRAGMA integrity_check"), "\n"); got != `"ok"` {
		t.Fatal(got)
	}
	found, err := db.Query("SELECT rowid, key, hnum, idx FROM Some ORDER BY rowid")
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	n := 0
	for ; found.Next(); n++ {
		var rowid int
		var got row
		if err := found.Scan(&rowid, &got.key, &got.num, &got.idx); err != nil {
			t.Fatal(err)
		}
		if n >= len(rows) || rowid != n+1 || got != rows[n] {
			t.Fatalf("row %d is %v", rowid, got)
		}
	}
	if err := found.Err(); err != nil || n != len(rows) {
		t.Fatalf("%d rows of %d: %v", n, len(rows), err)
	}
}

func TestTooLarge(t *testing.T) {
	for limit := pageSize; limit < 200*pageSize; limit += 23 * pageSize {
		p := newPages(limit, 1<<20)
		s := schema{tree: tree{pages: p, schema: true}}
		rows := make([]row, 5000)
		for i := range rows {
			rows[i] = row{key: fmt.Sprint(i) + strings.Repeat("k", 10*(i%200))}
		}
		s.index(&index{name: "Some", array: true}, rows)
		s.tree.finish()
		if p.err == nil || len(p.data) > limit {
			t.Fatalf("limit %d: error %v, %d bytes", limit, p.err, len(p.data))
		}
	}
}

func TestFilesErrors(t *testing.T) {
	for _, f := range []Format{SQLite, NDB, BDB} {
		if got, err := Files(f, []Package{many(t, 1)[0], {}}, 1); !errors.Is(err, ErrPackage) || got != nil {
			t.Errorf("%s: error %v", f, err)
		}
	}
	if _, err := Files(9, nil, 1); err == nil {
		t.Error("no error for a format that is none")
	}
}

// TestReadSQLiteMade reads databases that SQLite wrote, with other page sizes, reserved bytes, WAL and freed pages.
func TestReadSQLiteMade(t *testing.T) {
	packages := many(t, 60)
	for _, pragma := range []string{"page_size=512", "page_size=1024", "page_size=65536", "auto_vacuum=1", "journal_mode=WAL"} {
		path := filepath.Join(t.TempDir(), "rpmdb.sqlite")
		db, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		exec := func(text string, arguments ...any) {
			t.Helper()
			if _, err := db.Exec(text, arguments...); err != nil {
				t.Fatal(err)
			}
		}
		db.SetMaxOpenConns(1)
		exec("PRAGMA synchronous=OFF")
		exec("PRAGMA " + pragma)
		exec("CREATE TABLE other(x)")
		exec("CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)")
		exec("CREATE INDEX packagesindex ON other(x)")
		var want []string
		for i, p := range packages {
			blob, err := Blob(p, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			num := i*i*3 + 1
			exec("INSERT INTO Packages VALUES(?, ?)", num, blob)
			exec("INSERT INTO other VALUES(?)", strings.Repeat("x", i))
			if i%3 == 0 {
				exec("DELETE FROM Packages WHERE hnum = ?", num)
				continue
			}
			want = append(want, fmt.Sprintf("%d %s", num, p.Header.NEVRA()))
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, i := range readPath(t, path) {
			got = append(got, fmt.Sprintf("%d %s", i.Num, i.Header.NEVRA()))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", pragma, diff)
		}
	}
}

func TestReadSQLiteErrors(t *testing.T) {
	good := sqliteBytes(t, []Package{many(t, 60)[50], made(t, "b")})
	root := func(b []byte) uint32 { // of Packages
		s, err := openSQLite(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.findTable("Packages")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	page := func(b []byte, n uint32) []byte { return b[int(n-1)*pageSize : int(n)*pageSize] }
	be := binary.BigEndian
	for name, change := range map[string]func(b []byte) []byte{
		"empty":          func(b []byte) []byte { return nil },
		"short":          func(b []byte) []byte { return b[:15] },
		"header alone":   func(b []byte) []byte { return b[:100] },
		"one page":       func(b []byte) []byte { return b[:pageSize] },
		"truncated":      func(b []byte) []byte { return b[:int(root(b))*pageSize-1] },
		"page size 0":    func(b []byte) []byte { be.PutUint16(b[16:], 0); return b },
		"page size 1000": func(b []byte) []byte { be.PutUint16(b[16:], 1000); return b },
		"all reserved":   func(b []byte) []byte { be.PutUint16(b[16:], 512); b[20] = 255; return b },
		"UTF-16":         func(b []byte) []byte { b[59] = 2; return b },
		"schema type":    func(b []byte) []byte { b[100] = 10; return b },
		"schema cells":   func(b []byte) []byte { be.PutUint16(b[103:], 3000); return b },
		"schema loops":   func(b []byte) []byte { be.PutUint32(b[108:], 1); return b },
		"schema beyond":  func(b []byte) []byte { be.PutUint32(b[108:], 1<<31); return b },
		"schema at 0":    func(b []byte) []byte { be.PutUint32(b[108:], 0); return b },
		"no Packages":    func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("tablePackages"), []byte("tablepackageX")) },
		"two Packages": func(b []byte) []byte {
			return bytes.Replace(b, []byte("tableDirnames"), []byte("tablePackages"), 1)
		},
		"rows overlap":     func(b []byte) []byte { p := page(b, root(b)); copy(p[8:10], p[10:12]); return b },
		"cell in pointers": func(b []byte) []byte { p := page(b, root(b)); be.PutUint16(p[8:], 9); return b },
		"cell beyond":      func(b []byte) []byte { p := page(b, root(b)); be.PutUint16(p[8:], 4095); return b },
		"payload longer": func(b []byte) []byte {
			p := page(b, root(b))
			p[be.Uint16(p[8:])] |= 0x7f
			return b
		},
		"chain loops": func(b []byte) []byte { be.PutUint32(page(b, 2), 2); return b },
		"chain ends":  func(b []byte) []byte { be.PutUint32(page(b, 2), 0); return b },
		"bad header": func(b []byte) []byte {
			p := page(b, root(b))
			copy(p[bytes.Index(p, []byte("\x00\x00\x00\x3f\x00\x00\x00\x07")):], "\x00\x00\x00\x3f\x00\x00\x00\x06")
			return b
		},
		"no database": func(b []byte) []byte { return bytes.Repeat([]byte("x"), 5000) },
	} {
		t.Run(name, func(t *testing.T) {
			b := change(bytes.Clone(good))
			got, err := Read(bytes.NewReader(b), int64(len(b)))
			if !errors.Is(err, ErrDatabase) || got != nil {
				t.Errorf("%d packages, error %v", len(got), err)
			}
		})
	}
	if _, err := Read(bytes.NewReader(good), MaxSize+1); !errors.Is(err, ErrDatabase) {
		t.Errorf("too large: error %v", err)
	}
}

func BenchmarkFiles(b *testing.B) {
	packages := openPackages(b, distributionFiles(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Files(SQLite, packages, testTID); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(packages)), "packages")
}

func BenchmarkReadSQLite(b *testing.B) {
	db := sqliteBytes(b, openPackages(b, distributionFiles(b)))
	b.SetBytes(int64(len(db)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(bytes.NewReader(db), int64(len(db))); err != nil {
			b.Fatal(err)
		}
	}
}
