package elf

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// sampleObject is a small library with everything that ReadObject looks at.
func sampleObject(order ByteOrder) []byte {
	const note, dyn, sym, str, hash, interp = 0x200, 0x400, 0x600, 0x700, 0x800, 0x900
	b := make([]byte, 0xa00)
	copy(b, "\x7fELF\x02\x01\x01")
	if order == ByteOrder(binary.BigEndian) {
		b[5] = 2
	}
	o := order
	o.PutUint16(b[16:], TypeDyn)
	o.PutUint16(b[18:], machineX8664)
	o.PutUint64(b[32:], 64)
	at := 64
	segment := func(kind, flags uint32, offset, size, align uint64) {
		o.PutUint32(b[at:], kind)
		o.PutUint32(b[at+4:], flags)
		o.PutUint64(b[at+8:], offset)
		o.PutUint64(b[at+16:], offset+0x10000)
		o.PutUint64(b[at+32:], size)
		o.PutUint64(b[at+48:], align)
		at += 56
		o.PutUint16(b[56:], o.Uint16(b[56:])+1)
	}
	var notes []byte
	for _, n := range []Note{
		{"FDO", noteDlopen, []byte(`[{"soname":["libx.so.2","libx.so.1"],"feature":"x","description":"X","priority":"suggested"}]` + "\x00")},
		{"FDO", notePackage, []byte(`{"type":"rpm","name":"sample"}` + "\x00")},
	} {
		notes = o.AppendUint32(notes, 4)
		notes = o.AppendUint32(notes, uint32(len(n.Desc)))
		notes = o.AppendUint32(notes, n.Type)
		notes = append(append(notes, n.Owner...), 0)
		notes = append(notes, n.Desc...)
		notes = append(notes, make([]byte, -len(notes)&3)...)
	}
	copy(b[note:], notes)
	property := o.AppendUint32(nil, 4)
	for _, w := range []uint32{16, noteProperty, 0} {
		property = o.AppendUint32(property, w)
	}
	copy(property[12:], "GNU\x00")
	for _, w := range []uint32{propertyX86, 4, 3, 0} {
		property = o.AppendUint32(property, w)
	}
	copy(b[note+0x180:], property)
	copy(b[interp:], "/lib64/ld.so\x00")
	copy(b[str:], "\x00libc.so.6\x00libme.so.1\x00$ORIGIN/../lib\x00__stack_chk_fail\x00memcpy\x00__read_chk\x00mine\x00")
	name := func(s string) uint64 { return uint64(strings.Index(string(b[str:]), "\x00"+s+"\x00") + 1) }
	for i, n := range []string{"", "__stack_chk_fail", "memcpy", "__read_chk", "mine"} {
		if n == "" {
			continue
		}
		o.PutUint32(b[sym+24*i:], uint32(name(n)))
		if n == "mine" {
			o.PutUint16(b[sym+24*i+6:], 1)
		}
	}
	o.PutUint32(b[hash:], 1)
	o.PutUint32(b[hash+4:], 5)
	for i, e := range []DynamicEntry{
		{TagNeeded, name("libc.so.6")},
		{TagSoname, name("libme.so.1")},
		{TagRPath, name("libc.so.6")},
		{TagRunPath, name("$ORIGIN/../lib")},
		{TagStrings, 0x10000 + str},
		{TagStrSize, 0x100},
		{TagSymbols, 0x10000 + sym},
		{TagHash, 0x10000 + hash},
		{TagFlags1, flag1NoDefault | flag1Now | flag1PIE},
	} {
		o.PutUint64(b[dyn+16*i:], e.Tag)
		o.PutUint64(b[dyn+16*i+8:], e.Value)
	}
	segment(SegmentLoad, 5, 0, uint64(len(b)), 0x1000)
	segment(SegmentInterp, 4, interp, 13, 1)
	segment(SegmentNote, 4, note, uint64(len(notes)), 4)
	segment(SegmentProperty, 4, note+0x180, uint64(len(property)), 8)
	segment(SegmentDynamic, 6, dyn, 160, 8)
	segment(SegmentStack, 6, 0, 0, 16)
	segment(SegmentRelro, 4, dyn, 0x100, 1)
	return b
}

func TestReadObject(t *testing.T) {
	for _, order := range []ByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := sampleObject(order)
		got, err := ReadObject(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		want := &Object{
			Header: got.Header, Interpreter: "/lib64/ld.so", Dynamic: true, Needed: []string{"libc.so.6"}, Soname: "libme.so.1",
			RunPath: "$ORIGIN/../lib", NoDefault: true, Package: `{"type":"rpm","name":"sample"}`,
			Dlopen:  []Dlopen{{[]string{"libx.so.2", "libx.so.1"}, "x", "X", "suggested"}},
			Imports: []string{"__stack_chk_fail", "memcpy", "__read_chk"}, HasSymbols: true,
			Hardening: Hardening{PIE: Yes, RELRO: Full, NX: Yes, StackProtector: Yes, Fortify: Partial, ControlFlow: "ibt,shstk"},
		}
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Header{})); d != "" {
			t.Error(d)
		}
		for size := range b { // cut anywhere, it is refused or read, never believed beyond its end
			if o, err := ReadObject(bytes.NewReader(b[:size]), int64(size)); err == nil && size < 0x900 {
				t.Errorf("cut to %d bytes: %+v", size, o)
			}
		}
	}
}

func FuzzReadObject(f *testing.F) {
	f.Add(sampleObject(binary.LittleEndian))
	f.Add(sampleObject(binary.BigEndian))
	f.Add([]byte("\x7fELF\x01\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ReadObject(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if len(o.Needed) > maxNeeded || len(o.Dlopen) > maxDlopen || len(o.Imports) > len(b) || len(o.Package) > 3*len(b) {
			t.Fatalf("%d needed, %d dlopen, %d imports of %d bytes", len(o.Needed), len(o.Dlopen), len(o.Imports), len(b))
		}
	})
}

// readelf is what binutils reads of a file, in the words of Object.
func readelf(t *testing.T, file string) *Object {
	out := tooltest.Run(t, []string{"LC_ALL=C"}, "readelf", "-W", "-d", "-l", "--dyn-syms", "-n", file)
	all := func(pattern string) []string {
		var found []string
		for _, m := range regexp.MustCompile(`(?m)`+pattern).FindAllStringSubmatch(out, -1) {
			found = append(found, m[1])
		}
		return found
	}
	first := func(pattern string) string { return append(all(pattern), "")[0] }
	o := &Object{
		Interpreter: first(`Requesting program interpreter: (.*)\]`), Needed: all(`\(NEEDED\).*\[(.*)\]`),
		Soname: first(`\(SONAME\).*\[(.*)\]`), RPath: first(`\(RPATH\).*\[(.*)\]`), RunPath: first(`\(RUNPATH\).*\[(.*)\]`),
	}
	o.Imports = append(o.Imports, all(`(?:NOTYPE|FUNC|OBJECT|TLS|IFUNC) +(?:GLOBAL|WEAK) +DEFAULT +UND +([^ @\n]+)`)...)
	now := strings.Contains(out, "BIND_NOW") || regexp.MustCompile(`FLAGS_1.*\bNOW\b`).MatchString(out)
	o.Hardening.RELRO = No
	if strings.Contains(out, "GNU_RELRO") {
		if o.Hardening.RELRO = Partial; now || !strings.Contains(out, "Dynamic section at") {
			o.Hardening.RELRO = Full
		}
	}
	o.Hardening.NX = No
	if regexp.MustCompile(`GNU_STACK.* RW +0x`).MatchString(out) {
		o.Hardening.NX = Yes
	}
	if strings.Contains(out, "Elf file type is EXEC") {
		o.Hardening.PIE = No
	} else if o.Interpreter != "" || regexp.MustCompile(`FLAGS_1.*\bPIE\b`).MatchString(out) {
		o.Hardening.PIE = Yes
	}
	var features []string
	for _, f := range []string{"IBT", "SHSTK"} {
		if regexp.MustCompile(`x86 feature: .*\b` + f + `\b`).MatchString(out) {
			features = append(features, strings.ToLower(f))
		}
	}
	if o.Hardening.ControlFlow = No; features != nil {
		o.Hardening.ControlFlow = strings.Join(features, ",")
	}
	return o
}

// TestReadelf compares with binutils what is read of the programs and libraries of this machine.
func TestReadelf(t *testing.T) {
	tooltest.Need(t, "readelf")
	var files []string
	for _, pattern := range []string{"/usr/bin/*", "/usr/sbin/*", "/usr/lib/*/*.so*", "/usr/lib64/*.so*", "/usr/lib/*/*/*.so"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	compared := 0
	for i := 0; i < len(files) && compared < 60; i += 1 + len(files)/200 {
		b, err := os.ReadFile(files[i])
		if err != nil || !IsELF(b) || b[4] != byte(Class64) || len(b) > 20<<20 {
			continue
		}
		got, err := ReadObject(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", files[i], err)
			continue
		}
		if got.Machine != machineX8664 {
			continue
		}
		want := readelf(t, files[i])
		got.Header, got.Dynamic, got.NoDefault, got.Dlopen, got.Package, got.HasSymbols = Header{}, false, false, nil, "", false
		got.Hardening.StackProtector, got.Hardening.Fortify = "", ""
		slices.Sort(got.Imports)
		slices.Sort(want.Imports)
		if d := cmp.Diff(want, got, cmp.AllowUnexported(Header{})); d != "" {
			t.Errorf("%s: %s", files[i], d)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("only %d files compared", compared)
	}
}
