package builder

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slim/internal/rpmtest"
)

// TestContentReader has a reader that is used again read what was written after it had read ahead.
func TestContentReader(t *testing.T) {
	c := newContents(t.TempDir(), nil)
	defer c.close()
	if _, err := c.reserve(nil); err != nil {
		t.Fatal(err)
	}
	if err := c.file.Truncate(8); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{"this", "that"} {
		at := int64(4 * i)
		if _, err := c.file.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		r := c.reader()
		if err := r.copy(&got, section{at, 4}); err != nil {
			t.Fatal(err)
		}
		c.readers.Put(r)
		if got.String() != text {
			t.Errorf("read %q, written was %q", got.String(), text)
		}
	}
}

// TestContentsLeave: what is left is not unpacked, and is there when somebody asks for it nevertheless.
func TestContentsLeave(t *testing.T) {
	p := rpmtest.Package{Name: "p", Files: []rpmtest.File{
		{Path: "/a", Content: "first"},
		{Path: "/b", Content: "second"},
		{Path: "/c", HardLinkTo: "/d"},
		{Path: "/d", Content: "linked"},
		{Path: "/e", Link: "a"},
		{Path: "/f", Content: strings.Repeat("much", 1000)},
		{Path: "/g/h", Content: "last"},
	}}
	file := filepath.Join(t.TempDir(), p.FileName())
	b, err := p.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ leave, asked, want string }{
		{"", "", "/a /b /c /d /e /f /g/h"},
		{"/b", "", "/a /c /d /e /f /g/h"},
		{"/b /d /f /g/h", "", "/a /c /d /e"}, // the content of /c comes with /d
		{"/c /d /e /f /g/h", "/b", "/a /b"},  // the rest needs not be read
		{"/b /f /g/h", "/f", "/a /b /c /d /e /f /g/h"},
		{"/a /b /c /d /e /f /g/h", "", ""},
	} {
		t.Run(test.leave+" asked "+test.asked, func(t *testing.T) {
			pkg := openTestPackage(t, file)
			c := newContents(t.TempDir(), nil)
			defer c.close()
			at := map[string]int{}
			var left []int
			for i, f := range pkg.Files() {
				at[f.Path] = i
				if slices.Contains(strings.Fields(test.leave), f.Path) {
					left = append(left, i)
				}
			}
			c.leave(pkg, left)
			u, err := c.payload(pkg, func(int) bool { return false })
			if err == nil && test.asked != "" {
				var content []byte
				if content, err = io.ReadAll(c.open(pkg, at[test.asked])); err == nil && len(content) != int(pkg.Files()[at[test.asked]].Size) {
					t.Errorf("%s is %q", test.asked, content)
				}
				u, _ = c.payload(pkg, func(int) bool { return false })
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range u.entries {
				path := pkg.Files()[e.File].Path
				got = append(got, path)
				content, err := io.ReadAll(io.NewSectionReader(c.file, e.at, e.size))
				if want := map[string]string{"/a": "first", "/b": "second", "/d": "linked", "/f": strings.Repeat("much", 1000), "/g/h": "last"}[path]; err != nil || string(content) != want {
					t.Errorf("%s has %.20q, not %.20q: %v", path, content, want, err)
				}
			}
			if d := cmp.Diff(strings.Fields(test.want), got, cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
		})
	}
}
