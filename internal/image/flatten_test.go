package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// foreign makes a layer of entries: "dir/", "file=content", "link->target", "hard=>target".
func foreign(t testing.TB, entries ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e, Mode: 0o644, ModTime: time.Unix(1, 0)}
		var content string
		if name, target, ok := strings.Cut(e, "=>"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		} else if name, target, ok := strings.Cut(e, "->"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if name, text, ok := strings.Cut(e, "="); ok {
			h.Name, content, h.Typeflag, h.Size = name, text, tar.TypeReg, int64(len(text))
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		} else {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func imageOf(t testing.TB, tars ...[]byte) v1.Image {
	t.Helper()
	s := Spec{OS: "linux", Architecture: "amd64", Created: time.Unix(1, 0)}
	for _, b := range tars {
		s.Layers = append(s.Layers, SpecLayer{Layer: static.NewLayer(b, types.OCIUncompressedLayer)})
	}
	img, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// dump is a line for each path: layer, path, and content or target.
func dump(t *testing.T, r *Root) string {
	t.Helper()
	var b strings.Builder
	for i, n := range r.Nodes {
		fmt.Fprintf(&b, "%d %s", r.Layers[i], n.Path)
		switch {
		case n.IsSymlink():
			fmt.Fprintf(&b, " -> %s", n.Link)
		case n.IsRegular():
			f, err := n.Open()
			if err != nil {
				t.Fatal(err)
			}
			c, err := io.ReadAll(f)
			if err != nil || int64(len(c)) != n.Size {
				t.Fatalf("%s: %d bytes of %d, %v", n.Path, len(c), n.Size, err)
			}
			fmt.Fprintf(&b, " = %s", c)
			if n.HardTo != "" {
				fmt.Fprintf(&b, " (%s)", n.HardTo)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestFlatten(t *testing.T) {
	tests := []struct {
		name   string
		layers [][]string
		want   string
	}{
		{"replaces", [][]string{{"a/", "a/f=1", "a/g=1"}, {"a/f=two"}}, "-1 /\n0 /a\n1 /a/f = two\n0 /a/g = 1\n"},
		{"names", [][]string{{"./", "./a/", "/b=x", "c//d=y"}}, "0 /\n0 /a\n0 /b = x\n-1 /c\n0 /c/d = y\n"},
		{"whiteout", [][]string{{"a/", "a/f=1", "b=2"}, {".wh.a", ".wh.none"}}, "-1 /\n0 /b = 2\n"},
		{"whiteout is for lower layers", [][]string{{"f=1"}, {"f=2", ".wh.f"}}, "-1 /\n1 /f = 2\n"},
		{"opaque", [][]string{{"a/", "a/f=1", "a/g/", "a/g/h=1"}, {"a/", "a/new=2", "a/.wh..wh..opq"}}, "-1 /\n1 /a\n1 /a/new = 2\n"},
		{"aufs", [][]string{{"a=1"}, {".wh..wh.plnk/", ".wh..wh.aufs"}}, "-1 /\n0 /a = 1\n"},
		{"directory for file", [][]string{{"a=1"}, {"a/", "a/b=2"}}, "-1 /\n1 /a\n1 /a/b = 2\n"},
		{"file for directory", [][]string{{"a/", "a/b=2"}, {"a=1"}}, "-1 /\n1 /a = 1\n"},
		{"directory again", [][]string{{"a/", "a/b=2"}, {"a/"}}, "-1 /\n1 /a\n0 /a/b = 2\n"},
		{"hard link", [][]string{{"b=x", "a=>b", "c=>a"}}, "-1 /\n0 /a = x\n0 /b = x (/a)\n0 /c = x (/a)\n"},
		{"hard link outlives", [][]string{{"a=x", "b=>a"}, {".wh.a", "c=>b"}}, "-1 /\n0 /b = x\n1 /c = x (/b)\n"},
		{"through a link", [][]string{{"usr/", "usr/lib/", "lib->/usr/lib"}, {"lib/x=1"}}, "-1 /\n0 /lib -> /usr/lib\n0 /usr\n0 /usr/lib\n1 /usr/lib/x = 1\n"},
		{"link out", [][]string{{"up->../../..", "up/x=1"}}, "-1 /\n0 /up -> ../../..\n0 /x = 1\n"},
		{"dangling", [][]string{{"d->var/d", "d/x=1"}}, "-1 /\n0 /d -> var/d\n-1 /var\n-1 /var/d\n0 /var/d/x = 1\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var tars [][]byte
			for _, l := range tt.layers {
				tars = append(tars, foreign(t, l...))
			}
			r, err := Flatten(t.Context(), imageOf(t, tars...), t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if diff := cmp.Diff(tt.want, dump(t, r)); diff != "" {
				t.Errorf("root (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlattenRefuses(t *testing.T) {
	small := limits{layers: 2, entries: 10, path: 50, depth: 5, paths: 300, raw: 20 << 10}
	tests := map[string]struct {
		layers [][]string
		want   string
	}{
		"climb":           {[][]string{{"../a=1"}}, "climbs out"},
		"climb inside":    {[][]string{{"a/../../b=1"}}, "climbs out"},
		"hard link climb": {[][]string{{"a=>../etc/passwd"}}, "climbs out"},
		"hard link":       {[][]string{{"a=>b"}}, "not there"},
		"hard link dir":   {[][]string{{"d/", "a=>d"}}, "is a directory"},
		"below a file":    {[][]string{{"a=1", "a/b=1"}}, "not a directory"},
		"loop":            {[][]string{{"a->b", "b->a", "a/x=1"}}, "too many symbolic links"},
		"root":            {[][]string{{".=x"}}, "root is not a directory"},
		"empty whiteout":  {[][]string{{"a=1"}, {".wh.."}}, "names nothing"},
		"layers":          {[][]string{{}, {}, {}}, "too large"},
		"entries":         {[][]string{strings.Split("abcdefghijk", "")}, "too large"},
		"path":            {[][]string{{strings.Repeat("a", 51)}}, "too large"},
		"depth":           {[][]string{{"a/b/c/d/e/f=1"}}, "too large"},
		"paths":           {[][]string{{"l->" + strings.Repeat("x", 49), "m->l/" + strings.Repeat("y", 45), "n->m/" + strings.Repeat("y", 45), "n/z/z=1"}}, "too large"},
		"size":            {[][]string{{"a=" + strings.Repeat("x", 30<<10)}}, "too large"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var tars [][]byte
			for _, l := range tt.layers {
				tars = append(tars, foreign(t, l...))
			}
			dir := t.TempDir()
			r, err := flatten(t.Context(), imageOf(t, tars...), dir, small)
			if err == nil {
				t.Fatalf("no error, but\n%s", dump(t, r))
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not say %q", err, tt.want)
			}
			if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
				t.Errorf("%s is left", left)
			}
		})
	}
}

// TestFlattenSparse: a file of nothing but a hole is as large as it says, however little the layer has of it.
func TestFlattenSparse(t *testing.T) {
	lim := limits{layers: 9, entries: 10, path: 50, depth: 5, paths: 300, raw: 20 << 10}
	for size, want := range map[int64]bool{10 << 10: true, 30 << 10: false, 1 << 40: false} {
		r, err := flatten(t.Context(), imageOf(t, sparse("hole", size)), t.TempDir(), lim)
		if (err == nil) != want || err != nil && !errors.Is(err, ErrLimit) {
			t.Fatalf("%d bytes: error %v", size, err)
		}
		if err == nil && r.Nodes[1].Size != size {
			t.Errorf("%d bytes are %d", size, r.Nodes[1].Size)
		}
	}
	// Two that go together, and do not.
	for _, size := range []int64{9 << 10, 19 << 10} {
		_, err := flatten(t.Context(), imageOf(t, sparse("a", size), sparse("b", size), sparse("c", size)), t.TempDir(), lim)
		if (err == nil) != (size < 10<<10) {
			t.Errorf("three of %d bytes: error %v", size, err)
		}
	}
}

// sparse is a tar of a file in GNU's old form (sparse headers in tar.h) that has no data.
func sparse(name string, size int64) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(h[257:], "ustar  \x00")
	copy(h[483:], fmt.Sprintf("%011o\x00", size))
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(h, make([]byte, 1024)...)
}

// TestFlattenManyLayers: which layer is read first makes no difference, and of several that are wrong the first is named.
func TestFlattenManyLayers(t *testing.T) {
	var tars [][]byte
	for i := range 60 {
		tars = append(tars, foreign(t, "same="+strings.Repeat(fmt.Sprint(i%10), 1+1000*((60-i)%7)), fmt.Sprintf("own%d=%d", i, i)))
	}
	r, err := Flatten(t.Context(), imageOf(t, tars...), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, ok := r.Lookup("/same"); !ok || n.Size != 1001 || len(r.Nodes) != 62 {
		t.Errorf("%d nodes, %+v", len(r.Nodes), n)
	}
	for i := range 60 {
		f, err := r.Open(fmt.Sprintf("/own%d", i))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(f); err != nil || string(b) != fmt.Sprint(i) {
			t.Errorf("own%d is %q: %v", i, b, err)
		}
	}
	tars[7], tars[50] = foreign(t, "../climbs=1"), foreign(t, "../climbs=1")
	for range 20 {
		if _, err := Flatten(t.Context(), imageOf(t, tars[7:]...), t.TempDir()); err == nil || !strings.Contains(err.Error(), "layer 1 of 53") {
			t.Fatalf("error is %v", err)
		}
	}
}

// lying is a layer whose content is not what its digests say.
type lying struct {
	v1.Layer
	content []byte
}

func (l lying) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.content)), nil
}

func TestFlattenChecksDiffID(t *testing.T) {
	good := static.NewLayer(foreign(t, "a=1"), types.OCIUncompressedLayer)
	img, err := New(Spec{OS: "linux", Architecture: "amd64", Created: time.Unix(1, 0), Layers: []SpecLayer{{Layer: lying{good, foreign(t, "a=2")}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Flatten(t.Context(), img, t.TempDir()); err == nil || !strings.Contains(err.Error(), "diff ID is sha256:") {
		t.Errorf("error is %v", err)
	}
}

func TestFlattenIsTheWayBack(t *testing.T) {
	caps := []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	nodes := []*rootfs.Node{
		{Path: "/", Mode: rpm.ModeDir | 0o555, Package: -1, MTime: 5},
		{Path: "/dev", Mode: rpm.ModeDir | 0o755, Package: -1},
		{Path: "/dev/null", Mode: rpm.ModeChar | 0o666, Major: 1, Minor: 3, Package: -1},
		{Path: "/dev/sda", Mode: rpm.ModeBlock | 0o600, Major: 8, Minor: 1, Package: -1},
		{Path: "/fifo", Mode: rpm.ModeFIFO | 0o600, Package: -1},
		{Path: "/link", Mode: rpm.ModeSymlink | 0o777, Link: "dev/null", Package: -1},
		regular("/ping", []byte("ping")),
		{Path: "/ping2", Mode: rpm.ModeRegular | 0o755, HardTo: "/ping", Size: 4, Package: -1, UID: 3000000, Caps: caps},
	}
	nodes[6].UID, nodes[6].Caps, nodes[6].Mode, nodes[7].MTime = 3000000, caps, rpm.ModeRegular|0o4755, 1700000000
	nodes[7].Mode = nodes[6].Mode
	for _, compression := range []string{"gzip", "zstd", "none"} {
		l := write(t, []Segment{segment("all", nodes...)}, PackOptions{Compression: compression})
		img, err := New(spec(l))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		r, err := Flatten(t.Context(), img, dir)
		if err != nil {
			t.Fatal(err)
		}
		var got, want []rootfs.Node
		for _, n := range r.Nodes {
			c := *n
			c.Open = nil
			got = append(got, c)
		}
		for _, n := range nodes {
			c := *n
			c.Open = nil
			want = append(want, c)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b rootfs.Node) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", compression, diff)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("%s is left", left)
		}
	}
}

func TestRootOpen(t *testing.T) {
	r, err := Flatten(t.Context(), imageOf(t, foreign(t, "usr/", "usr/lib/db=rpmdb", "var/", "var/db->../usr/lib/db", "lib->usr/lib", "abs->/var/db", "l->l")), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, p := range []string{"/usr/lib/db", "usr/lib/db", "/var/db", "/lib/db", "/abs", "/var/../abs"} {
		f, err := r.Open(p)
		if err != nil {
			t.Errorf("%s: %v", p, err)
			continue
		}
		if b, err := io.ReadAll(f); string(b) != "rpmdb" || err != nil {
			t.Errorf("%s is %q, %v", p, b, err)
		}
	}
	for _, p := range []string{"/none", "/none/x", "/usr/lib/none"} {
		if _, err := r.Open(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p, err)
		}
	}
	for _, p := range []string{"/", "/usr", "/l", "/usr/lib/db/x"} {
		if _, err := r.Open(p); err == nil || errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if n, ok := r.Lookup("/abs"); !ok || !n.IsSymlink() {
		t.Errorf("Lookup of a link: %v, %v", n, ok)
	}
}

func FuzzFlatten(f *testing.F) {
	f.Add(foreign(f, "a/", "a/b=1", "c->a", "c/d=>a/b"), foreign(f, ".wh.a", "c/.wh..wh..opq", "c/x=1"))
	f.Add(foreign(f, "l->../..", "l/x=1"), []byte{0x1f, 0x8b, 8, 0})
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0}, []byte{})
	lim := limits{layers: 8, entries: 1000, path: 300, depth: 64, paths: 1 << 16, raw: 1 << 20}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fl := &flattener{tree: newTree(lim.depth, lim.paths), limits: lim}
		spool, err := os.CreateTemp(dir, "fuzz-*")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(spool.Name())
		defer spool.Close()
		fl.spool = spool
		for i, layer := range [][]byte{a, b} {
			u, err := unpack(bytes.NewReader(layer))
			if err != nil {
				return
			}
			entries, err := fl.entries(&limitedReader{ctx: t.Context(), r: u, f: fl})
			if err != nil {
				return
			}
			if fl.apply(i, entries) != nil {
				return
			}
		}
		r := fl.root()
		for i, n := range r.Nodes {
			if filepath.Clean(n.Path) != n.Path || n.Path[0] != '/' {
				t.Errorf("path %q", n.Path)
			}
			if i > 0 && n.Path <= r.Nodes[i-1].Path {
				t.Errorf("%q after %q", n.Path, r.Nodes[i-1].Path)
			}
			if _, err := Header(n); err != nil {
				t.Error(err)
			}
			if n.IsRegular() {
				if m, ok := r.Lookup(n.HardTo); n.HardTo != "" && (!ok || m.HardTo != "" || m.Path >= n.Path) {
					t.Errorf("%s is a hard link to %s", n.Path, n.HardTo)
				}
				if _, err := r.Open(n.Path); err != nil {
					t.Error(err)
				}
			}
		}
	})
}
