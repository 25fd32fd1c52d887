package rootfs

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

// parsePackages reads packages from text: a line that begins with a letter names a package, the lines under it are
// files: KIND MODE OWNER PATH [KEY=VALUE...], where KIND is d, f, l, c or b (ghosts g).
func parsePackages(t *testing.T, text string) []Package {
	t.Helper()
	var out []Package
	for line := range strings.SplitSeq(text, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			continue
		case len(f) == 1:
			n, err := rpm.ParseNEVRA(f[0] + "-1-1.noarch")
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Package{NEVRA: n, MTime: int64(100 * (len(out) + 1))})
			continue
		}
		mode, err := strconv.ParseUint(f[1], 8, 32)
		if err != nil {
			t.Fatal(err)
		}
		user, group, _ := strings.Cut(f[2], ":")
		file := rpm.File{Path: f[3], Mode: uint32(mode), User: user, Group: group, MTime: 7}
		switch f[0] {
		case "d":
			file.Mode |= rpm.ModeDir
		case "f", "g":
			file.Mode |= rpm.ModeRegular
		case "l":
			file.Mode |= rpm.ModeSymlink
		case "c":
			file.Mode |= rpm.ModeChar
		}
		if f[0] == "g" {
			file.Flags |= rpm.FileGhost
		}
		for _, kv := range f[4:] {
			key, value, _ := strings.Cut(kv, "=")
			n, _ := strconv.Atoi(value)
			switch key {
			case "to":
				file.Link = value
			case "digest":
				file.Digest, file.Size = value, int64(len(value))
			case "inode":
				file.Inode = uint32(n)
			case "color":
				file.Color = uint32(n)
			case "caps":
				file.Caps = strings.ReplaceAll(value, "~", "=")
			case "rdev":
				file.RDev = uint32(n)
			default:
				t.Fatalf("key %q", key)
			}
		}
		if file.Inode == 0 {
			file.Inode = uint32(1000 + len(out[len(out)-1].Files))
		}
		p := &out[len(out)-1]
		p.Files = append(p.Files, file)
	}
	return out
}

// dump is one line a path.
func dump(tree *Tree) string {
	var b strings.Builder
	for _, n := range tree.Nodes() {
		fmt.Fprintf(&b, "%06o %s", n.Mode, n.Path)
		if n.User != "" {
			fmt.Fprintf(&b, " %s:%s", n.User, n.Group)
		}
		if n.Link != "" {
			fmt.Fprintf(&b, " -> %s", n.Link)
		}
		if n.HardTo != "" {
			fmt.Fprintf(&b, " == %s", n.HardTo)
		}
		if n.Package >= 0 {
			fmt.Fprintf(&b, " from %d", n.Package)
		}
		if n.IsImplied() {
			fmt.Fprintf(&b, " implied at %d", n.MTime)
		}
		if n.Caps != nil {
			fmt.Fprintf(&b, " caps %x", n.Caps)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestBuild(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
		prefer         uint32
	}{
		{name: "merged usr: the order of packages does not matter", in: `
early
f 755 root:root /bin/sh digest=aa
filesystem
d 755 root:root /
d 755 root:root /usr
d 755 root:root /usr/bin
l 777 root:root /bin to=usr/bin
`, want: `040755 / root:root from 1
120777 /bin root:root -> usr/bin from 1
040755 /usr root:root from 1
040755 /usr/bin root:root from 1
100755 /usr/bin/sh root:root from 0
`},
		{name: "missing parents", in: `
a
f 644 root:root /opt/a/b digest=aa
`, want: `040755 /
040755 /opt implied at 100
040755 /opt/a implied at 100
100644 /opt/a/b root:root from 0
`},
		{name: "equal files are shared, ghosts make nothing", in: `
a
f 644 root:root /x digest=aa
g 644 root:root /log digest=
b
f 644 root:root /x digest=aa
g 600 app:app /x
`, want: `040755 /
100644 /x root:root from 0
`},
		{name: "the preferred colour wins, whoever comes first", prefer: 2, in: `
a32
f 755 root:root /bin/x digest=aa color=1
a64
f 755 root:root /bin/x digest=bbb color=2
b64
f 755 root:root /bin/y digest=cc color=2
b32
f 755 root:root /bin/y digest=ddd color=1
`, want: `040755 /
040755 /bin implied at 100
100755 /bin/x root:root from 1
100755 /bin/y root:root from 2
`},
		{name: "capabilities, devices", in: `
a
f 755 root:root /ping digest=aa caps=cap_net_raw~ep
c 666 root:root /dev/null rdev=259
`, want: `040755 /
040755 /dev implied at 100
020666 /dev/null root:root from 0
100755 /ping root:root from 0 caps 0100000200200000000000000000000000000000
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			tree, err := Build(parsePackages(t, test.in), Options{PreferColor: test.prefer})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.want, dump(tree)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"content", "a\nf 644 r:r /x digest=a\nb\nf 644 r:r /x digest=b", "/x: a-1-1.noarch and b-1-1.noarch differ in content"},
		{"mode", "a\nd 755 r:r /x\nb\nd 700 r:r /x", "mode (040755, 040700)"},
		{"owner", "a\nd 755 r:r /x\nb\nd 755 app:app /x", "owner (r:r, app:app)"},
		{"kind", "a\nd 755 r:r /x\nb\nl 777 r:r /x to=y", "mode (040755, 120777)"},
		{"link target", "a\nl 777 r:r /x to=z\nb\nl 777 r:r /x to=y", "link target (z, y)"},
		{"through a link", "a\nl 777 r:r /bin to=usr/bin\nf 644 r:r /usr/bin/x digest=a\nb\nf 644 r:r /bin/x digest=b", "/usr/bin/x"},
		{"same colour", "a\nf 644 r:r /x digest=a color=2\nb\nf 644 r:r /x digest=b color=2", "content"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Build(parsePackages(t, test.in), Options{PreferColor: 2})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestHostilePaths(t *testing.T) {
	for name, in := range map[string]string{
		"climbs":         "a\nf 644 r:r /x/../../etc/passwd digest=a",
		"link loop":      "a\nl 777 r:r /a to=b\nl 777 r:r /b to=a\nf 644 r:r /a/x digest=a",
		"file as parent": "a\nf 644 r:r /a digest=a\nf 644 r:r /a/b digest=b",
		"too long":       "a\nf 644 r:r /" + strings.Repeat("x", MaxPathLength) + " digest=a",
	} {
		if tree, err := Build(parsePackages(t, in), Options{}); err == nil {
			t.Errorf("%s: accepted:\n%s", name, dump(tree))
		}
	}
	tree, err := Build(parsePackages(t, "a\nl 777 r:r /up to=../../../..\nf 644 r:r /up/etc/x digest=a"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if tree.Node("/etc/x") == nil {
		t.Errorf("a link that climbs does not stay in the root:\n%s", dump(tree))
	}
}

func TestRemove(t *testing.T) {
	in := `
a
d 755 r:r /doc
d 755 r:r /doc/a
f 644 r:r /doc/a/x digest=a inode=5
f 644 r:r /doc/a/y digest=a inode=5
f 644 r:r /bin/y digest=a inode=5
f 644 r:r /shared digest=s
f 644 r:r /opt/deep/down digest=d
b
d 755 r:r /doc
f 644 r:r /shared digest=s
`
	tree, err := Build(parsePackages(t, in), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.Remove([]Owner{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {0, 5}, {0, 6}}); err != nil {
		t.Fatal(err)
	}
	carriers := tree.LinkSets()
	want := `040755 /
040755 /bin implied at 100
100644 /bin/y r:r from 0
040755 /doc r:r from 1
100644 /shared r:r from 1
`
	if d := cmp.Diff(want, dump(tree)); d != "" {
		t.Error(d)
	}
	// The content of the set comes with any member and goes to the one that stayed.
	if d := cmp.Diff([]int{-1, -1, 4, 4, 4, -1, -1}, carriers[0]); d != "" {
		t.Errorf("carriers: %s", d)
	}
	n := rpm.StateNotInstalled
	if d := cmp.Diff([]rpm.FileState{n, n, n, n, 0, n, n}, tree.States(0)); d != "" {
		t.Errorf("states: %s", d)
	}
}

func TestPutCovers(t *testing.T) {
	tree, err := Build(parsePackages(t, "a\nf 644 r:r /etc/passwd digest=a\nl 777 r:r /lnk to=etc"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.PutFile("/lnk/passwd", 0o644, 9, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if n := tree.Node("/etc/passwd"); n.Package != -1 || n.Size != 3 {
		t.Errorf("on top: %+v", n)
	}
	if n := tree.Installed(Owner{0, 0}); n == nil || n.Package != 0 {
		t.Errorf("below: %+v", n)
	}
	if len(tree.Covered()) != 1 {
		t.Errorf("covered: %v", tree.Covered())
	}
	if err := tree.PutFile("/etc", 0o644, 9, nil); err == nil {
		t.Error("a file took the place of a directory with something in it")
	}
}

func TestParseCaps(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"cap_net_raw=ep", "0100000200200000000000000000000000000000"},
		{"cap_net_raw+p", "0000000200200000000000000000000000000000"},
		{"cap_setgid=ep cap_setuid=ep", "01000002c0000000000000000000000000000000"},
		{"cap_setgid,cap_setuid=ei cap_setuid-i", "0100000200000000400000000000000000000000"},
		{"cap_checkpoint_restore=ip", "0000000200000000000000000001000000010000"},
		{"=", ""},
	} {
		got, err := ParseCaps(test.in)
		if err != nil || fmt.Sprintf("%x", got) != test.want {
			t.Errorf("%q: %x, %v; want %s", test.in, got, err, test.want)
		}
	}
	for _, bad := range []string{"cap_nope=ep", "cap_net_raw", "cap_net_raw=x", "64=p"} {
		if got, err := ParseCaps(bad); err == nil {
			t.Errorf("%q: %x", bad, got)
		}
	}
}

func TestLinked(t *testing.T) {
	tree, err := Build(nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"/a", "/b", "/c"} {
		if err := tree.PutFile(p, 0o644, 0, nil); err != nil {
			t.Fatal(err)
		}
	}
	tree.Node("/a").HardTo = "/b"
	for p, want := range map[string][]string{"/a": {"/a", "/b"}, "/b": {"/a", "/b"}, "/c": {"/c"}} {
		var got []string
		for _, n := range tree.Linked(tree.Node(p)) {
			got = append(got, n.Path)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", p, d)
		}
	}
	if d := cmp.Diff(map[string]bool{"/b": true}, tree.Carriers()); d != "" {
		t.Error(d)
	}
}
