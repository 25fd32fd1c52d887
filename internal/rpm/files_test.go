package rpm

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func fileEntries() []entry {
	return []entry{
		{TagFileSizes, []uint32{1, 0}},
		{TagFileModes, []uint16{0o104755, 0o120777}},
		{TagFileMTimes, []uint32{5, 6}},
		{TagFileDigests, []string{"ab", ""}},
		{TagFileLinkTos, []string{"", "x"}},
		{TagFileFlags, []uint32{uint32(FileConfig | FileNoReplace), 0}},
		{TagFileUserName, []string{"root", "u"}},
		{TagFileGroupName, []string{"root", "g"}},
		{TagFileDevices, []uint32{1, 1}},
		{TagFileInodes, []uint32{2, 3}},
		{TagFileLangs, []string{"", "de|fr"}},
		{TagDirIndexes, []uint32{1, 0}},
		{TagBaseNames, []string{"x", "y"}},
		{TagDirNames, []string{"/", "/usr/bin/"}},
		{TagFileCaps, []string{"cap_net_raw=ep", ""}},
	}
}

func replace(es []entry, tag Tag, value any) []entry {
	var out []entry
	for _, e := range es {
		if e.tag != tag {
			out = append(out, e)
		} else if value != nil {
			out = append(out, entry{tag, value})
		}
	}
	return out
}

func TestFiles(t *testing.T) {
	want := []File{
		{
			Path: "/usr/bin/x", Mode: 0o104755, Size: 1, MTime: 5, User: "root", Group: "root", Digest: "ab", Flags: FileConfig | FileNoReplace,
			Dev: 1, Inode: 2, Caps: "cap_net_raw=ep",
		},
		{Path: "/y", Mode: 0o120777, MTime: 6, User: "u", Group: "g", Link: "x", Dev: 1, Inode: 3, Lang: "de|fr"},
	}
	got, err := mustParse(t, blob(0, fileEntries())).Files()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got[0].IsRegular() || got[0].IsDir() || !got[1].IsSymlink() {
		t.Error("kinds of files")
	}
	got, err = mustParse(t, blob(0, append(replace(fileEntries(), TagFileSizes, nil), entry{TagLongFileSizes, []uint64{1 << 33, 0}}))).Files()
	if err != nil || got[0].Size != 1<<33 {
		t.Errorf("LONGFILESIZES: %v", err)
	}
	if got, err := mustParse(t, blob(0, []entry{{TagName, "x"}})).Files(); got != nil || err != nil {
		t.Errorf("no files: %v, %v", got, err)
	}
}

func TestFilesFaults(t *testing.T) {
	es := fileEntries()
	for _, test := range []struct {
		name    string
		entries []entry
	}{
		{"old file names", []entry{{TagOldFileNames, []string{"/x"}}}},
		{"fewer indexes", replace(es, TagDirIndexes, []uint32{1})},
		{"no indexes", replace(es, TagDirIndexes, nil)},
		{"no sizes", replace(es, TagFileSizes, nil)},
		{"sizes are text", replace(es, TagFileSizes, "1")},
		{"fewer modes", replace(es, TagFileModes, []uint16{1})},
		{"no owners", replace(es, TagFileUserName, nil)},
		{"more groups", replace(es, TagFileGroupName, []string{"a", "b", "c"})},
		{"fewer links", replace(es, TagFileLinkTos, []string{"a"})},
		{"fewer flags", replace(es, TagFileFlags, []uint32{1})},
		{"fewer inodes", replace(es, TagFileInodes, []uint32{1})},
		{"index too high", replace(es, TagDirIndexes, []uint32{0, 2})},
		{"no directories", replace(es, TagDirNames, nil)},
		{"relative path", replace(es, TagDirNames, []string{"", "/"})},
		{"negative size", append(replace(es, TagFileSizes, nil), entry{TagLongFileSizes, []uint64{1 << 63, 0}})},
	} {
		if files, err := mustParse(t, blob(0, test.entries)).Files(); !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %v, %v", test.name, files, err)
		}
	}
}
