package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

func TestFormats(t *testing.T) {
	for f, names := range map[Format][]string{SQLite: {"rpmdb.sqlite"}, NDB: {"Index.db", "Packages.db"}, BDB: {"Packages"}} {
		for _, n := range []int{0, 1, 2, 253, 254, 255, 700} {
			packages := many(t, n)
			got := files(t, f, packages)
			var gotNames []string
			for name := range got {
				gotNames = append(gotNames, name)
			}
			slices.Sort(gotNames)
			if diff := cmp.Diff(names, gotNames); diff != "" {
				t.Error(diff)
			}
			db := got[f.FileName()]
			if !maps.EqualFunc(got, files(t, f, packages), bytes.Equal) {
				t.Errorf("%s: the same packages give other bytes", f)
			}
			if detected, err := Detect(bytes.NewReader(db), int64(len(db))); detected != f || err != nil {
				t.Errorf("%s is detected as %s, error %v", f, detected, err)
			}
			installed := readBytes(t, db)
			if len(installed) != n {
				t.Fatalf("%s: %d packages read of %d", f, len(installed), n)
			}
			for i, p := range installed {
				want, err := Blob(packages[i], testTID, testTID+uint32(i))
				if err != nil {
					t.Fatal(err)
				}
				if p.Num != uint32(i)+1 || !bytes.Equal(p.Header.Blob(), want) {
					t.Fatalf("%s: package %d differs", f, i)
				}
			}
		}
	}
	if Format(9).String() != "format 9" || SQLite.String()+NDB.String()+BDB.String() != "sqlitendbbdb" {
		t.Error("names of formats")
	}
}

// TestRPMReadsBDB asks rpm's reader of Berkeley DB files.
func TestRPMReadsBDB(t *testing.T) {
	tooltest.Need(t, "rpm")
	for _, n := range []int{0, 1, 700} {
		dir := publicDir(t)
		for name, b := range files(t, BDB, many(t, n)) {
			writeFile(t, filepath.Join(dir, name), b)
		}
		out, err := run(t, "rpm", "--define", "_db_backend bdb_ro", "--dbpath", dir, "-qa")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got := strings.Count(out, "-1-2.noarch"); got != n {
			t.Errorf("rpm lists %d packages of %d: %.500s", got, n, out)
		}
	}
}

// TestVerifyBDB has Berkeley DB's own tool check what we write.
func TestVerifyBDB(t *testing.T) {
	tool := ""
	for _, name := range []string{"db_verify", "db5.3_verify", "db53_verify"} {
		if path, err := exec.LookPath(name); err == nil {
			tool = path
		}
	}
	if tool == "" {
		tooltest.Need(t, "db5.3_verify")
	}
	for _, n := range []int{0, 1, 700} {
		path := filepath.Join(t.TempDir(), "Packages")
		writeFile(t, path, files(t, BDB, many(t, n))["Packages"])
		mustRun(t, tool, path)
	}
}

func TestBDBHash(t *testing.T) {
	// From the header of a database of CentOS 7.
	if got := bdbHash(bdbCharKey); got != 0x5e688dd1 {
		t.Errorf("%#x", got)
	}
}

// ndbLookup finds the packages of a key as rpmidxGet does.
func ndbLookup(t *testing.T, index []byte, tag rpm.Tag, key string) []row {
	t.Helper()
	le := binary.LittleEndian
	var table []byte
	for at := ndbHeader; at < ndbPage; at += ndbSlot {
		if rpm.Tag(le.Uint32(index[at+4:])) == tag {
			start := le.Uint32(index[at+8:]) * ndbPage
			table = index[start : start+le.Uint32(index[at+12:])*ndbPage]
		}
	}
	if table == nil || string(table[:4]) != ndbHashMagic {
		t.Fatalf("no index of tag %d", tag)
	}
	n, used, mask, end := le.Uint32(table[12:]), le.Uint32(table[16:]), le.Uint32(table[24:]), le.Uint32(table[28:])
	if used*2 > n || n&(n-1) != 0 || n < 256 || end >= ^mask || int(ndbHashHeader+12*n+end) > len(table) {
		t.Fatalf("tag %d: %d slots, %d used, mask %#x, %d bytes of keys", tag, n, used, mask, end)
	}
	keys := table[ndbHashHeader+12*n:]
	want := append(appendNDBKeyLength(nil, len(key)), key...)
	var out []row
	hash := ndbHash(key)
	for at, step := hash&(n-1), uint32(7); ; at, step = (at+step)&(n-1), step+1 {
		k, data := le.Uint32(table[ndbHashHeader+8*at:]), le.Uint32(table[ndbHashHeader+8*at+4:])
		if k == 0 {
			break
		}
		if (k^hash)&mask != 0 || !bytes.HasPrefix(keys[k&^mask:], want) {
			continue
		}
		r := row{key, data & 0xfffff, data >> 20}
		switch {
		case data&(1<<31) != 0:
			r.num, r.idx = le.Uint32(table[ndbHashHeader+8*n+4*at:]), data&^(1<<31)
		case data&(1<<30) != 0:
			r.num, r.idx = data&0xffffff, data>>24&0x3f
		}
		out = append(out, r)
	}
	return out
}

// TestNDBIndex looks up every key of every index.
func TestNDBIndex(t *testing.T) {
	packages := many(t, 700)
	index := files(t, NDB, packages)["Index.db"]
	var rows indexRows
	if err := records(packages, testTID, func(num uint32, h *rpm.Header) error { return rows.add(h, num) }); err != nil {
		t.Fatal(err)
	}
	for i, x := range indexes {
		want := make(map[string]map[row]bool)
		for _, r := range rows[i] {
			if want[r.key] == nil {
				want[r.key] = make(map[row]bool)
			}
			want[r.key][r] = true
		}
		for key, set := range want {
			got := ndbLookup(t, index, x.tag, key)
			if len(got) != len(set) {
				t.Fatalf("%s: %d values of %.40q, want %d", x.name, len(got), key, len(set))
			}
			for _, r := range got {
				if !set[r] {
					t.Fatalf("%s: %v is not a value of %.40q", x.name, r, key)
				}
			}
		}
		if got := ndbLookup(t, index, x.tag, "no such key"); got != nil {
			t.Errorf("%s: %v", x.name, got)
		}
	}
}

func TestNDBValue(t *testing.T) {
	for _, c := range []struct {
		row            row
		data, overflow uint32
	}{
		{row{num: 1, idx: 2}, 1 | 2<<20, 0},
		{row{num: 1<<20 - 1, idx: 1023}, 0x3fffffff, 0},
		{row{num: 1 << 20, idx: 63}, 1<<20 | 63<<24 | 1<<30, 0},
		{row{num: 7, idx: 1024}, 1024 | 1<<31, 7},
		{row{num: 1 << 24, idx: 0}, 1 << 31, 1 << 24},
	} {
		if data, overflow := ndbValue(c.row); data != c.data || overflow != c.overflow {
			t.Errorf("%v: %#x %#x", c.row, data, overflow)
		}
	}
	for n, want := range map[int]string{0: "\xff\x00\x00", 1: "\x01", 254: "\xfe", 255: "\xff\xff\x00", 65534: "\xff\xfe\xff", 65535: "\xff\xff\xff\xff\xff\x00\x00"} {
		if got := string(appendNDBKeyLength(nil, n)); got != want {
			t.Errorf("%d: %x", n, got)
		}
	}
}

func TestReadNDBErrors(t *testing.T) {
	good := files(t, NDB, many(t, 3))["Packages.db"]
	le := binary.LittleEndian
	for name, change := range map[string]func(b []byte) []byte{
		"header alone":  func(b []byte) []byte { return b[:20] },
		"truncated":     func(b []byte) []byte { return b[:len(b)-16] },
		"version":       func(b []byte) []byte { b[4] = 1; return b },
		"slot pages":    func(b []byte) []byte { le.PutUint32(b[12:], 1<<31); return b },
		"blob as slot":  func(b []byte) []byte { le.PutUint32(b[12:], 2); return b },
		"slot magic":    func(b []byte) []byte { b[ndbHeader] = 'x'; return b },
		"package 0":     func(b []byte) []byte { le.PutUint32(b[ndbHeader+4:], 0); return b },
		"other package": func(b []byte) []byte { le.PutUint32(b[ndbHeader+4:], 9); return b },
		"in the slots":  func(b []byte) []byte { le.PutUint32(b[ndbHeader+8:], 1); return b },
		"beyond":        func(b []byte) []byte { le.PutUint32(b[ndbHeader+8:], 1<<31); return b },
		"no blocks":     func(b []byte) []byte { le.PutUint32(b[ndbHeader+12:], 0); return b },
		"many blocks":   func(b []byte) []byte { le.PutUint32(b[ndbHeader+12:], 1<<32-1); return b },
		"same blob":     func(b []byte) []byte { copy(b[ndbHeader+16:], b[ndbHeader:ndbHeader+16]); return b },
		"blob magic":    func(b []byte) []byte { b[ndbPage] = 'x'; return b },
		"blob length":   func(b []byte) []byte { le.PutUint32(b[ndbPage+12:], 1<<31); return b },
		"checksum":      func(b []byte) []byte { b[ndbPage+100]++; return b },
		"end":           func(b []byte) []byte { b[len(b)-1] = 'x'; return b },
		"length at end": func(b []byte) []byte { b[len(b)-8]++; return b },
	} {
		t.Run(name, func(t *testing.T) {
			b := change(bytes.Clone(good))
			if got, err := Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrDatabase) || got != nil {
				t.Errorf("%d packages, error %v", len(got), err)
			}
		})
	}
}

func TestReadBDBErrors(t *testing.T) {
	good := files(t, BDB, many(t, 60))["Packages"]
	le := binary.LittleEndian
	bucket := func(b []byte) []byte { return b[bdbPage : 2*bdbPage] }
	overflow := func(b []byte) []byte { return b[3*bdbPage : 4*bdbPage] }
	for name, change := range map[string]func(b []byte) []byte{
		"header alone":    func(b []byte) []byte { return b[:500] },
		"one page":        func(b []byte) []byte { return b[:bdbPage] },
		"truncated":       func(b []byte) []byte { return b[:len(b)-bdbPage] },
		"btree":           func(b []byte) []byte { le.PutUint32(b[12:], bdbBtreeMagic); return b },
		"version":         func(b []byte) []byte { b[16] = 7; return b },
		"encrypted":       func(b []byte) []byte { b[24] = 1; return b },
		"page size":       func(b []byte) []byte { le.PutUint32(b[20:], 4095); return b },
		"no page size":    func(b []byte) []byte { le.PutUint32(b[20:], 0); return b },
		"buckets":         func(b []byte) []byte { le.PutUint32(b[72:], 1<<32-1); return b },
		"many buckets":    func(b []byte) []byte { le.PutUint32(b[72:], 1<<20); return b },
		"bucket in meta":  func(b []byte) []byte { le.PutUint32(b[96:], 0); return b },
		"bucket beyond":   func(b []byte) []byte { le.PutUint32(b[96:], 1<<30); return b },
		"bucket twice":    func(b []byte) []byte { le.PutUint32(b[100:], 0); return b },
		"bucket's type":   func(b []byte) []byte { bucket(b)[25] = bdbPageOverflow; return b },
		"bucket loops":    func(b []byte) []byte { bucket(b)[16] = 1; return b },
		"odd items":       func(b []byte) []byte { bucket(b)[20] |= 1; return b },
		"many items":      func(b []byte) []byte { le.PutUint16(bucket(b)[20:], 1<<15); return b },
		"item in offsets": func(b []byte) []byte { le.PutUint16(bucket(b)[26:], 27); return b },
		"item beyond":     func(b []byte) []byte { le.PutUint16(bucket(b)[26:], bdbPage); return b },
		"items cross":     func(b []byte) []byte { copy(bucket(b)[28:], bucket(b)[26:28]); return b },
		"key's type":      func(b []byte) []byte { p := bucket(b); p[le.Uint16(p[26:])] = 2; return b },
		"chain loops":     func(b []byte) []byte { p := overflow(b); le.PutUint32(p[16:], 3); le.PutUint16(p[22:], 1); return b },
		"chain's type":    func(b []byte) []byte { overflow(b)[25] = bdbPageHash; return b },
		"chain's length":  func(b []byte) []byte { le.PutUint16(overflow(b)[22:], 1<<15); return b },
		"chain of none":   func(b []byte) []byte { le.PutUint16(overflow(b)[22:], 0); return b },
	} {
		t.Run(name, func(t *testing.T) {
			b := change(bytes.Clone(good))
			if got, err := Read(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrDatabase) || got != nil {
				t.Errorf("%d packages, error %v", len(got), err)
			}
		})
	}
}

// TestReadReal reads databases of real systems and compares with rpm.
func TestReadReal(t *testing.T) {
	data := tooltest.Shared(t, "rpms/gomod+knqyf263+go-rpmdb@v0.1.1/pkg/testdata")
	for _, c := range []struct {
		path   string
		format Format
		count  int
		first  string
	}{
		{"cbl-mariner-2.0/rpmdb.sqlite.zst", SQLite, 129, "mariner-release-2.0-4.cm2.noarch"},
		{"fedora35/rpmdb.sqlite.zst", SQLite, 138, "libgcc-11.2.1-1.fc35.x86_64"},
		{"centos7-plain/Packages.zst", BDB, 144, "libgcc-4.8.5-28.el7_5.1.x86_64"},
		{"libuuid/Packages", BDB, 1, "libuuid-2.32.1-42.el8_8.x86_64"},
	} {
		t.Run(c.path, func(t *testing.T) {
			var db []byte
			path := filepath.Join(data, c.path)
			if strings.HasSuffix(path, ".zst") {
				db = unzstd(t, path)
			} else {
				db = mustRead(t, path)
			}
			installed := readBytes(t, db)
			got := nevras(installed)
			if len(got) != c.count || got[0] != c.first {
				t.Errorf("%d packages, the first is %s", len(got), got[0])
			}
			states := 0
			for _, p := range installed {
				files, err := p.Header.Files()
				if err != nil {
					t.Errorf("%s: %v", p.Header.NEVRA(), err)
				}
				if len(p.States()) != len(files) {
					t.Errorf("%s: %d states for %d files", p.Header.NEVRA(), len(p.States()), len(files))
				}
				states += len(files)
			}
			if states == 0 {
				t.Error("no file has a state")
			}
			if _, err := exec.LookPath("rpm"); err != nil {
				return
			}
			dir := publicDir(t)
			writeFile(t, filepath.Join(dir, c.format.FileName()), db)
			arguments := []string{"--dbpath", dir, "-qa", "--nodigest", "--nosignature", "--qf", "%{dbinstance} %{name}-%{version}-%{release}.%{arch}\n"}
			if c.format == BDB {
				arguments = append([]string{"--define", "_db_backend bdb_ro"}, arguments...)
			}
			var want, ours []string
			for line := range strings.SplitSeq(mustRun(t, "rpm", arguments...), "\n") {
				if strings.Count(line, " ") == 1 {
					want = append(want, strings.Replace(line, "(none)", "", 1))
				}
			}
			for i, p := range installed {
				ours = append(ours, fmt.Sprintf("%d %s", p.Num, got[i]))
			}
			slices.Sort(want)
			slices.Sort(ours)
			if diff := cmp.Diff(want, ours); diff != "" {
				t.Errorf("-rpm +ours:\n%s", diff)
			}
		})
	}
}

func TestLocate(t *testing.T) {
	const sysimage, varLib = dirSysimage, dirVar
	link := Location{Link: varLib, LinkTarget: "../../usr/lib/sysimage/rpm"}
	both := func(f Format) Location { l := link; l.Dir, l.Format = sysimage, f; return l }
	for _, c := range []struct {
		dirs, links string // that are owned
		id, version string
		want        Location
	}{
		{"", "", "rhel", "7.9", Location{Dir: varLib, Format: BDB}},
		{"", "", "rocky", "8.10", Location{Dir: varLib, Format: BDB}},
		{varLib, "", "almalinux", "9.4", Location{Dir: varLib}},
		{"", "", "centos", "9", Location{Dir: varLib}},
		{"", "", "centos", "10", both(SQLite)},
		{"", "", "fedora", "32", Location{Dir: varLib, Format: BDB}},
		{"", "", "fedora", "35", Location{Dir: varLib}},
		{"", "", "fedora", "43", both(SQLite)},
		{sysimage, varLib, "fedora", "43", both(SQLite)},
		{varLib, "", "fedora", "43", Location{Dir: varLib}},
		{sysimage, "", "unheard-of", "1", both(SQLite)},
		{sysimage + " " + varLib, "", "unheard-of", "1", Location{Dir: varLib}},
		{sysimage + " " + varLib, "", "fedora", "43", Location{Dir: sysimage}},
		{"", varLib, "unheard-of", "", both(SQLite)},
		{"", sysimage, "fedora", "43", Location{Dir: varLib}},
		{"", "", "", "", Location{Dir: varLib}},
		{"/usr/lib/sysimage", "", "unheard-of", "1", both(SQLite)},
		{"/usr/lib/sysimage " + varLib, "", "unheard-of", "1", Location{Dir: varLib}},
		{"/usr/lib/sysimage", "", "rocky", "9.4", Location{Dir: varLib}},
		{"", "", "amzn", "2018.03", Location{Dir: varLib, Format: BDB}},
		{"", "", "amzn", "2", Location{Dir: varLib, Format: BDB}},
		{"", "", "amzn", "2023", Location{Dir: varLib}},
		{"", "", "opensuse-leap", "15.6", both(NDB)},
		{"", "", "opensuse-tumbleweed", "20250101", both(NDB)},
		{"", "", "opensuse", "42.3", Location{Dir: varLib, Format: BDB}},
		{"", "", "sles", "12.5", Location{Dir: varLib, Format: BDB}},
		{"", "", "sles", "15.6", both(NDB)},
		{"", "", "sle-micro", "5.5", both(NDB)},
		{"", "", "sl-micro", "6.0", both(NDB)},
		{"", "", "mariner", "2.0", Location{Dir: varLib}},
		{"", "", "azurelinux", "3.0", Location{Dir: varLib}},
		{"", "", "photon", "3.0", Location{Dir: varLib, Format: BDB}},
		{"", "", "photon", "5.0", Location{Dir: varLib}},
		{"", "", "openEuler", "20.03", Location{Dir: varLib, Format: BDB}},
		{"", "", "openEuler", "24.03", Location{Dir: varLib}},
		{"", "", "fedora", "", both(SQLite)},
	} {
		owned := func(path string) (bool, bool) {
			return slices.Contains(strings.Fields(c.dirs), path), slices.Contains(strings.Fields(c.links), path)
		}
		if diff := cmp.Diff(c.want, Locate(owned, c.id, c.version)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c, diff)
		}
	}
}
