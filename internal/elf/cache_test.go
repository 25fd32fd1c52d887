package elf

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCompareLibraryNames(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"libc.so.6", "libc.so.6", 0},
		{"libc.so.6", "libc.so.10", -1},
		{"libc.so.6.0", "libc.so.6", 1},
		{"liba.so", "libb.so", -1},
		{"lib1.so", "liba.so", 1},
		{"lib01.so", "lib1.so", 0},
		{"lib", "lib1", -1},
		{"libX.so", "libx.so", -1},
		{"lib\xff", "liba", -1}, // bytes are signed
	} {
		sign := func(n int) int { return min(1, max(-1, n)) }
		if got := sign(CompareLibraryNames(c.a, c.b)); got != c.want {
			t.Errorf("%q and %q: %d, not %d", c.a, c.b, got, c.want)
		}
		if got := sign(CompareLibraryNames(c.b, c.a)); got != -c.want {
			t.Errorf("%q and %q: %d, not %d", c.b, c.a, got, -c.want)
		}
	}
}

func TestCacheFormats(t *testing.T) {
	entries := []CacheEntry{
		{Lib: "libb.so.1", Path: "/lib64/libb.so.1", Flags: 0x303},
		{Lib: "liba.so.1", Path: "/lib64/liba.so.1", Flags: 0x303, OSVersion: 0x30200},
		{Lib: "liba.so.1", Path: "/lib64/tls/liba.so.1", Flags: 0x303, Hwcap: 1 << 63},
		{Lib: "liba.so.1", Path: "/lib/liba.so.1", Flags: 3},
	}
	for _, c := range []struct {
		name   string
		format CacheFormat
	}{
		{"2.28", CacheFormat{Order: binary.LittleEndian, Compat: true}},
		{"2.28 big", CacheFormat{Order: binary.BigEndian, Compat: true}},
		{"2.32", CacheFormat{Order: binary.LittleEndian}},
		{"2.40", CacheFormat{Order: binary.LittleEndian, Extension: true, Generator: "ldconfig"}},
		{"2.40 big", CacheFormat{Order: binary.BigEndian, Extension: true, Generator: "ldconfig"}},
	} {
		b := c.format.Encode(entries, nil)
		got, generator, err := ReadCache(b, c.format.Order)
		if err != nil || generator != c.format.Generator {
			t.Errorf("%s: %v, by %q", c.name, err, generator)
			continue
		}
		want := []CacheEntry{entries[0], entries[2], entries[1], entries[3]}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
		if c.format.Compat {
			old := c.format.Order.Uint32(b[12:])
			e, err := readEntries(b[16:16+12*old], b[16+12*old:], 12, c.format.Order)
			if err != nil || old != 4 || e[2].Path != "/lib/liba.so.1" || e[3].Path != e[2].Path {
				t.Errorf("%s: %d in the old format: %v %v", c.name, old, e, err)
			}
		}
	}
}

func FuzzReadCache(f *testing.F) {
	entries := []CacheEntry{{Lib: "liba.so.1", Path: "/lib64/liba.so.1", Flags: 3, Named: "x86-64-v3"}, {Lib: "libb.so.1", Path: "/lib64/libb.so.1"}}
	f.Add(CacheFormat{Order: binary.LittleEndian, Extension: true, Generator: "g"}.Encode(entries, []string{"x86-64-v3"}))
	f.Add(CacheFormat{Order: binary.LittleEndian, Compat: true}.Encode(entries[1:], nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, err := ReadCache(b, binary.LittleEndian)
		if err == nil && len(got) > len(b)/cacheEntryOld {
			t.Fatalf("%d entries of %d bytes", len(got), len(b))
		}
		for i := range got {
			got[i].Describe()
		}
	})
}
