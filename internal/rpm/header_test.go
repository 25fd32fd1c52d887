package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func someEntries() []entry {
	return []entry{
		{TagName, "foo"},
		{TagEpoch, []uint32{3}},
		{TagVersion, "1"},
		{TagRelease, "2"},
		{TagArch, "noarch"},
		{TagSourceRPM, "foo-1-2.src.rpm"},
		{TagBaseNames, []string{"a", "", "c"}},
		{TagFileModes, []uint16{0o100644, 1, 2}},
		{TagLongSize, []uint64{1 << 40}},
		{261, []byte{1, 0, 2}},
	}
}

func TestHeader(t *testing.T) {
	for _, region := range []Tag{0, TagHeaderImmutable, TagHeaderSignatures} {
		b := blob(region, someEntries())
		h := mustParse(t, b)
		if !bytes.Equal(h.Blob(), b) || !bytes.Equal(h.Immutable(), b) {
			t.Errorf("region %d: other bytes", region)
		}
		if h.IsSealed(TagHeaderImmutable) != (region == TagHeaderImmutable) {
			t.Errorf("region %d: sealed is %v", region, h.IsSealed(TagHeaderImmutable))
		}
		if got := h.NEVRA().String(); got != "foo-3:1-2.noarch" {
			t.Errorf("NEVRA %s", got)
		}
		if diff := cmp.Diff([]string{"a", "", "c"}, h.Strings(TagBaseNames)); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]uint64{0o100644, 1, 2}, h.Uint64s(TagFileModes)); diff != "" {
			t.Error(diff)
		}
		if n, ok := h.Uint64(TagLongSize); n != 1<<40 || !ok {
			t.Errorf("LONGSIZE %d, %v", n, ok)
		}
		if diff := cmp.Diff([]byte{1, 0, 2}, h.Bytes(261)); diff != "" {
			t.Error(diff)
		}
		if h.Text(TagBaseNames) != "a" || h.Text(TagEpoch) != "" || h.Text(TagVendor) != "" || h.Strings(TagEpoch) != nil ||
			h.Uint64s(TagName) != nil || h.Uint32s(TagVendor) != nil || h.Bytes(TagName) != nil || h.Has(TagVendor) {
			t.Error("a value of another type, or of none")
		}
		for i := 1; i < len(h.Entries()); i++ {
			if h.Entries()[i-1].Tag > h.Entries()[i].Tag {
				t.Error("entries are not sorted")
			}
		}
	}
}

// TestHeaderAfterRegion: entries after the region, as in an rpmdb, come before its own, and are no part of it.
func TestHeaderAfterRegion(t *testing.T) {
	plain := blob(TagHeaderImmutable, someEntries())
	h := mustParse(t, blob(TagHeaderImmutable, someEntries(), entry{TagName, "bar"}, entry{1008, []uint32{9}}))
	if h.Text(TagName) != "bar" || h.IsSealed(TagHeaderImmutable) {
		t.Errorf("name %s, sealed %v", h.Text(TagName), h.IsSealed(TagHeaderImmutable))
	}
	if diff := cmp.Diff(plain, h.Immutable()); diff != "" {
		t.Error(diff)
	}
	if got := mustParse(t, h.Immutable()).Text(TagName); got != "foo" {
		t.Errorf("name in the region: %s", got)
	}
}

func TestNEVRAOfSource(t *testing.T) {
	source := []entry{{TagName, "foo"}, {TagVersion, "1"}, {TagRelease, "2"}, {TagArch, "x86_64"}}
	if got := mustParse(t, blob(0, source)).NEVRA().Arch; got != "src" {
		t.Error(got)
	}
	if got := mustParse(t, blob(0, append(source, entry{TagNoPatch, []uint32{1}}))).NEVRA().Arch; got != "nosrc" {
		t.Error(got)
	}
	if mustParse(t, blob(TagHeaderSignatures, []entry{{TagSHA1Header, "x"}})).IsSource() {
		t.Error("a header without a name is of no source package")
	}
}

func TestHeaderFaults(t *testing.T) {
	good := blob(TagHeaderImmutable, someEntries())
	put := func(at int, v uint32) func(b []byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	il := int(binary.BigEndian.Uint32(good))
	trailer := len(good) - 16
	field := func(i, j int) int { return 8 + 16*i + 4*j }
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
	}{
		{"empty", func(b []byte) []byte { return nil }},
		{"counts alone", func(b []byte) []byte { return b[:8] }},
		{"cut", func(b []byte) []byte { return b[:len(b)-1] }},
		{"longer", func(b []byte) []byte { return append(b, 0) }},
		{"no entries", put(0, 0)},
		{"too many entries", put(0, MaxHeaderEntries+1)},
		{"too much data", put(4, MaxHeaderData+1)},
		{"region of another type", put(field(0, 1), uint32(TypeInt32))},
		{"region of another count", put(field(0, 3), 15)},
		{"region's trailer beyond the end", put(field(0, 2), uint32(len(good)))},
		{"region's trailer at a negative offset", put(field(0, 2), 0xfffffff0)},
		{"trailer of another tag", put(trailer, uint32(TagHeaderSignatures))},
		{"trailer of another type", put(trailer+4, 0)},
		{"trailer of another count", put(trailer+12, 0)},
		{"region of no entries", put(trailer+8, 0)},
		{"region of half an entry", put(trailer+8, 0xfffffff8)},
		{"region of more entries than there are", put(trailer+8, uint32(-16*(il+1)))},
		{"region of positive size", put(trailer+8, uint32(16*il))},
		{"tag too low", put(field(1, 0), 99)},
		{"unknown type", put(field(1, 1), 10)},
		{"null type", put(field(1, 1), 0)},
		{"two of one string", put(field(1, 3), 2)},
		{"count of 0", put(field(1, 3), 0)},
		{"count beyond all measure", put(field(2, 3), maxEntryCount+1)},
		{"more numbers than data", put(field(2, 3), 1000)},
		{"more strings than data", put(field(7, 3), 1000)},
		{"negative offset", put(field(1, 2), 0xffffffff)},
		{"offset beyond the end", put(field(1, 2), uint32(len(good)))},
		{"offset before the last entry's end", put(field(3, 2), 0)},
		{"number not aligned", put(field(2, 2), 5)},
	} {
		h, err := ParseHeader(test.change(bytes.Clone(good)))
		if !errors.Is(err, ErrHeader) || h != nil {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if _, err := ParseHeader(good); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestReadHeader(t *testing.T) {
	b := blob(TagHeaderImmutable, someEntries())
	in := bytes.NewReader(append(append(headerMagic[:len(headerMagic):len(headerMagic)], b...), "rest"...))
	h, n, err := ReadHeader(in)
	if err != nil || n != int64(8+len(b)) || !bytes.Equal(h.Blob(), b) {
		t.Fatalf("%d bytes: %v", n, err)
	}
	if rest, _ := io.ReadAll(in); string(rest) != "rest" {
		t.Errorf("left: %q", rest)
	}
	// A header that claims 256 MB of which nothing comes is an error before they are asked for.
	claim := append(headerMagic[:len(headerMagic):len(headerMagic)], 0, 0, 0, 1, 0x0f, 0xff, 0xff, 0xff, 1, 2, 3)
	allocs := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := ReadHeader(bytes.NewReader(claim)); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if allocs > 64<<10 {
		t.Errorf("%d bytes for a header of 19", allocs)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add(blob(TagHeaderImmutable, someEntries()))
	f.Add(blob(TagHeaderImmutable, someEntries(), entry{TagName, "bar"}))
	f.Add(blob(TagHeaderImmutable, testPackage{members: everyKind()}.entries(nil)))
	f.Add(blob(0, scriptletEntries()))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if !errors.Is(err, ErrHeader) {
				t.Error(err)
			}
			return
		}
		for _, e := range h.Entries() {
			h.Text(e.Tag)
			h.Bytes(e.Tag)
			h.Uint32s(e.Tag)
			h.Strings(e.Tag)
			if s := e.Strings(); s != nil && len(s) != int(e.Count) {
				t.Errorf("tag %d: %d strings of %d", e.Tag, len(s), e.Count)
			}
		}
		for _, f := range []func() error{
			func() error { _, err := h.Files(); return err },
			func() error { _, err := h.Requires(); return err },
			func() error { _, err := h.Scriptlets(); return err },
		} {
			if err := f(); err != nil && !errors.Is(err, ErrHeader) {
				t.Error(err)
			}
		}
		again, err := ParseHeader(h.Immutable())
		if err != nil {
			t.Fatalf("the region alone: %v", err)
		}
		if !bytes.Equal(again.Immutable(), h.Immutable()) {
			t.Error("the region's region differs")
		}
	})
}
