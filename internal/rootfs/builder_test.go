package rootfs

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

// TestBuilder lays packages one by one and changes the tree in between, as scriptlets do.
func TestBuilder(t *testing.T) {
	dir := func(p string) rpm.File {
		return rpm.File{Path: p, Mode: rpm.ModeDir | 0o755, User: "root", Group: "root"}
	}
	regular := func(p, digest string, flags rpm.FileFlags) rpm.File {
		return rpm.File{Path: p, Mode: rpm.ModeRegular | 0o644, Digest: digest, Size: 1, User: "root", Group: "root", Flags: flags}
	}
	packages := []Package{
		{NEVRA: rpm.NEVRA{Name: "a"}, Files: []rpm.File{dir("/etc"), regular("/etc/a", "1", 0), regular("/etc/ghost", "", rpm.FileGhost)}},
		{NEVRA: rpm.NEVRA{Name: "b"}, Files: []rpm.File{dir("/run"), regular("/etc/b", "2", 0), regular("/etc/a", "1", 0), regular("/doc/b", "3", rpm.FileDoc)}},
	}
	b, err := NewBuilder(packages, Options{})
	if err != nil {
		t.Fatal(err)
	}
	tree := b.Tree()
	paths := func() string {
		var out []string
		for _, n := range tree.Nodes() {
			out = append(out, n.Path)
		}
		return strings.Join(out, " ")
	}
	if err := b.Plan().Remove([]Owner{{1, 3}}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("/", paths()); d != "" {
		t.Error("before:", d)
	}
	for _, err := range []error{
		tree.Put(&Node{Path: "/var/run", Mode: rpm.ModeDir | 0o755}),
		tree.Put(&Node{Path: "/run", Mode: rpm.ModeSymlink | 0o777, Link: "var/run"}),
		tree.PutFile("/etc/b", 0o600, 5, []byte("mine")),
		b.Lay(0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff("/ /etc /etc/a /etc/b /run /var /var/run", paths()); d != "" {
		t.Error("after the first:", d)
	}
	if tree.Node("/etc/ghost") != nil || tree.Node("/etc/b").Package != -1 {
		t.Error("a ghost, or what is not laid yet")
	}
	if err := tree.PutFile("/etc/ghost", 0o600, 5, []byte("made")); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]Owner{{0, 2}}, tree.Node("/etc/ghost").Owners); d != "" {
		t.Error("owners of a ghost that was made:", d)
	}
	if err := b.Lay(1); err != nil {
		t.Fatal(err)
	}
	if n := tree.Node("/run"); !n.IsSymlink() || tree.Installed(Owner{1, 0}) != nil {
		t.Error("a link to a directory did not stay where the package has a directory")
	}
	if n := tree.Node("/etc/b"); n.Package != 1 || n.Perm() != 0o644 {
		t.Error("what was at the path of a package's file stayed")
	}
	if d := cmp.Diff([]Owner{{0, 1}, {1, 2}}, tree.Node("/etc/a").Owners); d != "" {
		t.Error("owners of a shared file:", d)
	}
	if tree.Node("/doc/b") != nil || tree.Node("/doc") != nil || tree.States(1)[3] != rpm.StateNotInstalled {
		t.Error("what was removed from the plan was laid")
	}
}

func TestBuilderFullDirectory(t *testing.T) {
	b, err := NewBuilder([]Package{{Files: []rpm.File{{Path: "/a", Mode: rpm.ModeRegular | 0o644}}}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Tree().PutFile("/a/b", 0o644, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Lay(0); err == nil || !strings.Contains(err.Error(), "/a is a directory with something in it") {
		t.Error(err)
	}
}
