package scriptlet

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rootfs"
)

// TestHardLinks checks that the names of one file stay names of one file, whichever of them is written, moved or removed.
func TestHardLinks(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(f *FS) error
		want string // path, content and how many names the file has
	}{
		{"linked", func(f *FS) error { return nil }, "/a one 3, /b one 3, /d/c one 3"},
		{"first name removed", func(f *FS) error { return f.Remove("/", "/a") }, "/b one 2, /d/c one 2"},
		{"last name removed", func(f *FS) error { return f.Remove("/", "/d/c") }, "/a one 2, /b one 2"},
		{"directory removed", func(f *FS) error { return f.RemoveAll("/", "/d") }, "/a one 2, /b one 2"},
		{"written", func(f *FS) error { return f.WriteFile("/", "/b", []byte("two"), 0o644) }, "/a two 3, /b two 3, /d/c two 3"},
		{"moved", func(f *FS) error { return f.Rename("/", "/a", "/e") }, "/b one 3, /d/c one 3, /e one 3"},
		{"moved with its directory", func(f *FS) error {
			if err := f.Rename("/", "/d", "/e"); err != nil {
				return err
			}
			return f.Remove("/", "/a")
		}, "/b one 2, /e/c one 2"},
		{"moved over another name", func(f *FS) error {
			if err := f.WriteFile("/", "/x", []byte("x"), 0o644); err != nil {
				return err
			}
			return f.Rename("/", "/x", "/a")
		}, "/a x 1, /b one 2, /d/c one 2"},
		{"all but one removed", func(f *FS) error {
			if err := f.Remove("/", "/a"); err != nil {
				return err
			}
			return f.Remove("/", "/b")
		}, "/d/c one 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, err := rootfs.Build(nil, rootfs.Options{})
			if err != nil {
				t.Fatal(err)
			}
			f := NewFS(tree, nil, 1)
			for _, err := range []error{f.Mkdir("/", "/d", 0o755), f.WriteFile("/", "/a", []byte("one"), 0o644), f.Link("/", "/a", "/b"), f.Link("/", "/b", "/d/c"), c.do(f)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			for _, n := range tree.Nodes() {
				if n.IsRegular() {
					b, err := f.ReadFile("/", n.Path)
					if err != nil {
						t.Fatal(err)
					}
					if n.Size != int64(len(b)) {
						t.Errorf("%s: size %d of %q", n.Path, n.Size, b)
					}
					got = append(got, fmt.Sprintf("%s %s %d", n.Path, b, links(f, n)))
				}
			}
			if d := cmp.Diff(c.want, strings.Join(got, ", ")); d != "" {
				t.Error(d)
			}
		})
	}
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFS(tree, nil, 1)
	for _, err := range []error{f.WriteFile("/", "/a", nil, 0o644), f.Link("/", "/a", "/b"), f.Chmod("/", "/b", 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if m := tree.Node("/a").Perm(); m != 0o600 {
		t.Errorf("the other name has mode %o", m)
	}
}
