package rpmdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

// seal makes a header whose only region has tag. Entries are sorted by tag first.
func seal(t testing.TB, tag rpm.Tag, entries ...rpm.Entry) *rpm.Header {
	t.Helper()
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b rpm.Entry) int { return int(a.Tag) - int(b.Tag) })
	region := rpm.Entry{Tag: tag, Type: rpm.TypeBin, Count: 16, Data: make([]byte, 16)}
	blob, err := appendEntries(make([]byte, 8), append(entries, region))
	if err != nil {
		t.Fatal(err)
	}
	// The region's entry is the first of the index, its data the last.
	index := blob[8 : 8+16*(len(entries)+1)]
	last := slices.Clone(index[len(index)-16:])
	copy(index[16:], index[:len(index)-16])
	copy(index, last)
	trailer := blob[len(blob)-16:]
	copy(trailer, last)
	binary.BigEndian.PutUint32(trailer[8:], uint32(-len(index)))
	h, err := rpm.ParseHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	if !h.IsSealed(tag) {
		t.Fatal("the header is not sealed")
	}
	return h
}

func text(tag rpm.Tag, s string) rpm.Entry {
	return rpm.Entry{Tag: tag, Type: rpm.TypeString, Count: 1, Data: append([]byte(s), 0)}
}

func texts(tag rpm.Tag, s ...string) rpm.Entry {
	return rpm.Entry{Tag: tag, Type: rpm.TypeStringArray, Count: uint32(len(s)), Data: []byte(strings.Join(s, "\x00") + "\x00")}
}

func binaryEntry(tag rpm.Tag, b []byte) rpm.Entry {
	return rpm.Entry{Tag: tag, Type: rpm.TypeBin, Count: uint32(len(b)), Data: b}
}

// made is a package of entries, with an empty file for each of its base names.
func made(t testing.TB, name string, entries ...rpm.Entry) Package {
	t.Helper()
	entries = append(entries, text(rpm.TagName, name), text(rpm.TagVersion, "1"), text(rpm.TagRelease, "2"), text(rpm.TagArch, "noarch"),
		text(rpm.TagSourceRPM, name+"-1-2.src.rpm"), texts(tagProvideName, name))
	h := seal(t, rpm.TagHeaderImmutable, entries...)
	p := Package{Header: h, Signature: seal(t, rpm.TagHeaderSignatures, binaryEntry(1004, make([]byte, 16))), Color: 3}
	if e, ok := h.Entry(rpm.TagBaseNames); ok {
		p.States = make([]rpm.FileState, e.Count)
	}
	return p
}

func TestBlob(t *testing.T) {
	p := made(t, "alpha", texts(rpm.TagBaseNames, "a", "b", "c"), texts(rpm.TagPrefixes, "/usr", "/opt"))
	p.States = []rpm.FileState{rpm.StateNormal, rpm.StateNotInstalled, rpm.StateWrongColor}
	p.Digests = []Digest{{8, "aa"}, {10, "bbbb"}}
	p.Signature = seal(t, rpm.TagHeaderSignatures, int32s(1000, 4711), binaryEntry(1004, bytes.Repeat([]byte{7}, 16)), int32s(1007, 99),
		text(tagSHA1Header, "0123"), text(tagSHA256Header, "4567"), binaryEntry(1008, make([]byte, 32)),
		rpm.Entry{Tag: tagLongSigSize, Type: rpm.TypeInt64, Count: 1, Data: []byte{0, 0, 0, 0, 0, 0, 1, 0}})
	blob, err := Blob(p, 1000, 1007)
	if err != nil {
		t.Fatal(err)
	}
	h, err := rpm.ParseHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(h.Immutable(), p.Header.Blob()) {
		t.Error("the region has changed")
	}
	type added struct {
		Tag  rpm.Tag
		Type rpm.Type
		Data string
	}
	var got []added
	for _, e := range h.Entries() {
		if !p.Header.Has(e.Tag) {
			got = append(got, added{e.Tag, e.Type, string(e.Data)})
		}
	}
	want := []added{
		{257, rpm.TypeInt32, "\x00\x00\x12\x67"},
		{261, rpm.TypeBin, strings.Repeat("\x07", 16)},
		{269, rpm.TypeString, "0123\x00"},
		{270, rpm.TypeInt64, "\x00\x00\x00\x00\x00\x00\x01\x00"},
		{273, rpm.TypeString, "4567\x00"},
		{1008, rpm.TypeInt32, "\x00\x00\x03\xef"},
		{1029, rpm.TypeChar, "\x00\x02\x04"},
		{1046, rpm.TypeInt32, "\x00\x00\x00\x63"},
		{1099, rpm.TypeStringArray, "/usr\x00/opt\x00"},
		{1127, rpm.TypeInt32, "\x00\x00\x00\x03"},
		{1128, rpm.TypeInt32, "\x00\x00\x03\xe8"},
		{5118, rpm.TypeStringArray, "aa\x00bbbb\x00"},
		{5119, rpm.TypeInt32, "\x00\x00\x00\x08\x00\x00\x00\x0a"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	i := Installed{Header: h, Num: 1}
	if diff := cmp.Diff(p.States, i.States()); diff != "" {
		t.Error(diff)
	}
	if installTime(i) != 1007 {
		t.Errorf("installed at %d", installTime(i))
	}
}

func TestBlobVersion6(t *testing.T) {
	p := made(t, "six", int32s(tagRPMFormat, 6))
	p.Signature = seal(t, rpm.TagHeaderSignatures, int32s(1000, 4711), text(tagSHA256Header, "4567"), texts(tagOpenPGP, "abc"))
	blob, err := Blob(p, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	h, err := rpm.ParseHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	if h.Has(tagSigSize) || h.Text(tagSHA256Header) != "4567" || h.Text(tagOpenPGP) != "abc" {
		t.Error("the old signature tags of a version 6 package are to be left out, the others kept")
	}
}

func TestBlobErrors(t *testing.T) {
	plain := func(change func(*Package)) Package {
		p := made(t, "plain", texts(rpm.TagBaseNames, "a", "b"))
		change(&p)
		return p
	}
	signature := func(e ...rpm.Entry) Package {
		return plain(func(p *Package) { p.Signature = seal(t, rpm.TagHeaderSignatures, e...) })
	}
	blob, err := Blob(plain(func(*Package) {}), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	installed, err := rpm.ParseHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]Package{
		"no header":               {},
		"no signature header":     plain(func(p *Package) { p.Signature = nil }),
		"installed already":       plain(func(p *Package) { p.Header = installed }),
		"signature as header":     plain(func(p *Package) { p.Header = p.Signature }),
		"too few states":          plain(func(p *Package) { p.States = p.States[:1] }),
		"too many states":         plain(func(p *Package) { p.States = make([]rpm.FileState, 3) }),
		"no states":               plain(func(p *Package) { p.States = nil }),
		"no name":                 {Header: seal(t, rpm.TagHeaderImmutable, text(rpm.TagVersion, "1")), Signature: plain(func(*Package) {}).Signature},
		"tag in both":             {Header: made(t, "x", text(tagSHA1Header, "1")).Header, Signature: signature(text(tagSHA1Header, "2")).Signature},
		"signature tag in header": {Header: made(t, "x", text(tagSHA1Header, "1")).Header, Signature: signature(text(tagSHA256Header, "2")).Signature},
		"install time in header":  {Header: made(t, "x", int32s(tagInstallTime, 1)).Header, Signature: signature(text(tagSHA256Header, "2")).Signature},
		"short digest":            signature(binaryEntry(1004, make([]byte, 15))),
		"digest as text":          signature(text(1004, "0123456789abcdef")),
		"two sizes":               signature(int32s(1000, 1, 2)),
		"rpm 3 file names":        {Header: made(t, "x", texts(rpm.TagOldFileNames, "/a")).Header, Signature: signature(text(tagSHA256Header, "2")).Signature},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Blob(p, 1, 1); !errors.Is(err, ErrPackage) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestBlobLimits: a header as large as it may be in a package has no room for what an installation adds.
func TestBlobLimits(t *testing.T) {
	var entries []rpm.Entry
	for i := range rpm.MaxHeaderEntries - 7 { // with the six of made and the region

		entries = append(entries, rpm.Entry{Tag: rpm.Tag(100000 + i), Type: rpm.TypeInt8, Count: 1, Data: []byte{1}})
	}
	full := made(t, "full", entries...)
	if _, err := Blob(full, 1, 1); !errors.Is(err, ErrPackage) {
		t.Errorf("error %v", err)
	}
	fits := made(t, "fits", entries[4:]...) // a digest, the time, the transaction, the color
	if _, err := Blob(fits, 1, 1); err != nil {
		t.Error(err)
	}
	if testing.Short() {
		t.Skip("skipped: a header of 256 MiB")
	}
	blob := make([]byte, 8)
	if _, err := appendEntries(blob, []rpm.Entry{binaryEntry(1004, make([]byte, rpm.MaxHeaderData+1))}); err == nil {
		t.Error("too much data is accepted")
	}
}

func TestTimes(t *testing.T) {
	packages := []Package{made(t, "a"), made(t, "b"), made(t, "c")}
	for i, p := range readBytes(t, sqliteBytes(t, packages)) {
		tid, _ := p.Header.Uint64(tagInstallTID)
		if p.Num != uint32(i)+1 || tid != testTID || installTime(p) != testTID+uint32(i) {
			t.Errorf("package %d has number %d, transaction %d, time %d", i, p.Num, tid, installTime(p))
		}
	}
}

func TestIndexRows(t *testing.T) {
	p := made(t, "beta",
		texts(rpm.TagBaseNames, "x", "y", "x"),
		texts(rpm.TagDirNames, "/usr/", "/opt/"),
		rpm.Entry{Tag: tagGroup, Type: rpm.TypeI18NString, Count: 2, Data: []byte("Tools\x00Werkzeug\x00")},
		texts(tagRequireName, "always", "pre", "pre+preun", "rpmlib(X)", "meta", "(if if then)"),
		int32s(tagRequireFlags, 0, flagScriptPre, flagScriptPre|flagScriptPreUn, flagRPMLib|8, flagScriptPost|flagMeta, 0),
		texts(tagTriggerName, "t", "u", "t"),
		texts(tagFileTriggerName, "/a", "/b", "/c"), int32s(tagFileTriggerIndex, 0, 0, 1),
		texts(tagObsoleteName, "(not rich here)"),
	)
	p.Signature = seal(t, rpm.TagHeaderSignatures, text(tagSHA1Header, "abcd"), binaryEntry(1004, []byte("0123456789abcdef")))
	blob, err := Blob(p, 0x6b03f730, 1)
	if err != nil {
		t.Fatal(err)
	}
	h, err := rpm.ParseHeader(blob)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for i := range indexes {
		rows, err := indexes[i].rows(nil, h, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			got[indexes[i].name] = append(got[indexes[i].name], fmt.Sprintf("%q %d %d", r.key, r.num, r.idx))
		}
	}
	want := map[string][]string{
		"Name":            {`"beta" 5 0`},
		"Basenames":       {`"x" 5 0`, `"y" 5 1`, `"x" 5 2`},
		"Group":           {`"Tools" 5 0`},
		"Requirename":     {`"always" 5 0`, `"pre+preun" 5 2`, `"meta" 5 4`, `"(if if then)" 5 5`, `"if" 5 5`, `"!then" 5 5`},
		"Providename":     {`"beta" 5 0`},
		"Obsoletename":    {`"(not rich here)" 5 0`},
		"Triggername":     {`"t" 5 0`, `"u" 5 1`},
		"Dirnames":        {`"/usr/" 5 0`, `"/opt/" 5 1`},
		"Installtid":      {`"0\xf7\x03k" 5 0`},
		"Sigmd5":          {`"0123456789abcdef" 5 0`},
		"Sha1header":      {`"abcd" 5 0`},
		"Filetriggername": {`"/a" 5 0`, `"/b" 5 0`, `"/c" 5 1`},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	// A file trigger without its index.
	broken := made(t, "gamma", texts(tagTransTriggerName, "/a", "/b"), int32s(tagTransTriggerIdx, 0))
	if _, err := Files(SQLite, []Package{broken}, 1); !errors.Is(err, ErrPackage) {
		t.Errorf("error %v", err)
	}
}

func TestRichNames(t *testing.T) {
	for in, want := range map[string][]string{
		"(a or b)":                             {"a", "b"},
		"(b and a and b)":                      {"a", "b"},
		"(a = 1 if b >= 2)":                    {"a", "!b"},
		"(slimconf if systemd)":                {"slimconf", "!systemd"},
		"(a if b else c)":                      {"a", "b", "c", "!b"},
		"(a unless b)":                         {"a", "!b"},
		"(a if (b unless c))":                  {"a", "c", "!b"},
		"(a if (b if c else d))":               {"a", "c", "!b", "!c", "!d"},
		"((glibc and langpacks) unless all)":   {"glibc", "langpacks", "!all"},
		"(rpmlib(X) with lib.so()(64bit))":     {"lib.so()(64bit)"},
		"(a without (b or c))":                 {"a", "b", "c"},
		"(a":                                   nil,
		"(a and b or c)":                       nil,
		"((a if b else c) if (d or e) else f)": {"a", "b", "c", "d", "e", "f", "!b", "!d", "!e"},
	} {
		got := richNames(in)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestVarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 16383, 16384, 1<<32 - 1, 1<<56 - 1, 1 << 56, math.MaxUint64} {
		b := appendVarint(nil, v)
		got, n := readVarint(append(b, 0x55))
		if got != v || n != len(b) {
			t.Errorf("%d: %x reads as %d in %d bytes", v, b, got, n)
		}
		if _, n := readVarint(b[:len(b)-1]); n != 0 {
			t.Errorf("%d: cut short, still %d bytes", v, n)
		}
	}
}
