package store_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
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
	"slim/internal/store"
	"slim/internal/tooltest"
)

var pingCaps = []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")

func rootNodes() []*rootfs.Node {
	ping, su, link := file("/usr/bin/ping"), file("/usr/bin/su"), file("/usr/bin/ping6")
	ping.Caps, link.Caps = pingCaps, pingCaps
	link.HardTo = ping.Path
	su.Mode, su.UID, su.GID = rpm.ModeRegular|0o4755, 7, 8
	tmp := dir("/tmp")
	tmp.Mode = rpm.ModeDir | 0o1777
	closed := dir("/closed")
	closed.Mode = rpm.ModeDir | 0o500
	return []*rootfs.Node{
		{Path: "/", Mode: rpm.ModeDir | 0o555, MTime: 1600000000},
		closed, file("/closed/in"), dir("/dev"),
		{Path: "/dev/null", Mode: rpm.ModeChar | 0o666, Major: 1, Minor: 3, MTime: 1700000000},
		{Path: "/fifo", Mode: rpm.ModeFIFO | 0o640, MTime: 1700000000},
		{Path: "/lib", Mode: rpm.ModeSymlink | 0o777, Link: "usr/lib", MTime: 1700000000},
		tmp, dir("/usr"), dir("/usr/bin"), ping, link, su,
	}
}

// list is a line for each path below dir.
func list(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		st := tooltest.Lstat(t, p)
		fmt.Fprintf(&b, "%s %v %d:%d %d", rel, info.Mode(), st.UID, st.GID, st.MTime)
		switch {
		case info.Mode().IsRegular():
			c, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " = %s (%d)", c, st.Nlink)
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(p)
			fmt.Fprintf(&b, " -> %s", target)
		case info.Mode()&fs.ModeDevice != 0:
			fmt.Fprintf(&b, " %d", st.Rdev)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRootUnprivileged runs itself again as nobody when it runs as root.
func TestRootUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		again(t)
		return
	}
	d := t.TempDir() + "/root"
	if err := os.Mkdir(d, 0o755); err != nil {
		t.Fatal(err)
	}
	r := write(t, "dir:"+d, single(t, newImage(t, "amd64", layer(t, "gzip", rootNodes()...))), store.Options{})
	t.Cleanup(func() { os.Chmod(d, 0o700); os.Chmod(d+"/closed", 0o700) })
	want := []string{"owners not set: 11", "setuid and setgid bits dropped, as they would name the wrong owner: 1", "file capabilities not set: 1", "devices left out: 1"}
	if diff := cmp.Diff(want, r.Unset); diff != "" {
		t.Errorf("unset (-want +got):\n%s", diff)
	}
	got := list(t, d)
	for _, line := range []string{". dr-xr-xr-x", "closed dr-x------", "usr/bin/su -rwxr-xr-x", "tmp dtrwxrwxrwx", "fifo prw-r-----"} {
		if !strings.Contains("\n"+got, "\n"+line) {
			t.Errorf("no line %q in\n%s", line, got)
		}
	}
}

// again runs the calling test as nobody.
func again(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	d, err := os.MkdirTemp("", "nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(d)
	if err := os.Chmod(d, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d+"/test", b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(d+"/test", "-test.run=^"+t.Name()+"$")
	cmd.Dir = d
	cmd.Env = []string{"TMPDIR=" + d, "HOME=" + d}
	tooltest.AsNobody(t, cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// foreign makes a layer of entries: "dir/", "file=content", "link->target", "hard=>target".
func foreign(t testing.TB, entries ...string) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e, Mode: 0o644, ModTime: time.Unix(1, 0), Uid: os.Getuid(), Gid: os.Getgid(), Typeflag: tar.TypeReg}
		content := ""
		if name, target, ok := strings.Cut(e, "=>"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		} else if name, target, ok := strings.Cut(e, "->"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if name, text, ok := strings.Cut(e, "="); ok {
			h.Name, content, h.Size = name, text, int64(len(text))
		} else if strings.HasSuffix(e, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer)
}

func TestRootOfLayers(t *testing.T) {
	tests := []struct {
		name   string
		layers [][]string
		want   []string
	}{
		{"replaces", [][]string{{"a/", "a/f=1", "a/g=1"}, {"a/f=2"}}, []string{"a", "a/f=2", "a/g=1"}},
		{"whiteout", [][]string{{"a/", "a/f=1", "b=2"}, {".wh.a", ".wh.none"}}, []string{"b=2"}},
		{"whiteout is for lower layers", [][]string{{"f=1", "d/x=1", "d/y=1"}, {"f=2", ".wh.f", "d/x=2", ".wh.d"}}, []string{"d", "d/x=2", "f=2"}},
		{"opaque", [][]string{{"a/", "a/f=1", "a/g/h=1"}, {"a/", "a/new=2", "a/.wh..wh..opq"}}, []string{"a", "a/new=2"}},
		{"directory for file", [][]string{{"a=1"}, {"a/", "a/b=2"}}, []string{"a", "a/b=2"}},
		{"file for directory", [][]string{{"a/", "a/b=2"}, {"a=1"}}, []string{"a=1"}},
		{"hard link", [][]string{{"a=x", "b=>a"}, {"c=>b"}}, []string{"a=x", "b=x", "c=x"}},
		{"through a link", [][]string{{"usr/lib/", "lib->/usr/lib"}, {"lib/x=1"}}, []string{"lib->/usr/lib", "usr", "usr/lib", "usr/lib/x=1"}},
		{"link out", [][]string{{"up->../../..", "abs->/", "up/x=1", "abs/y=2"}}, []string{"abs->/", "up->../../..", "x=1", "y=2"}},
		{"file over a link", [][]string{{"t=1", "l->t"}, {"l=2"}}, []string{"l=2", "t=1"}},
		{"directory over a link", [][]string{{"d/", "l->d"}, {"l/", "l/x=1"}}, []string{"d", "l", "l/x=1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			outside := t.TempDir()
			d := outside + "/root"
			var layers []v1.Layer
			for _, l := range tt.layers {
				layers = append(layers, foreign(t, l...))
			}
			write(t, "dir:"+d, single(t, newImage(t, "amd64", layers...)), store.Options{})
			var got []string
			for _, p := range files(t, d) {
				if target, err := os.Readlink(d + "/" + p); err == nil {
					p += "->" + target
				} else if b, err := os.ReadFile(d + "/" + p); err == nil {
					p += "=" + string(b)
				}
				got = append(got, p)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("root (-want +got):\n%s", diff)
			}
			if left, _ := os.ReadDir(outside); len(left) != 1 {
				t.Errorf("beside the root: %v", left)
			}
		})
	}
}

func TestRootRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		entries []string
		want    string
	}{
		"climb":           {[]string{"../x=1"}, "climbs out"},
		"hard link climb": {[]string{"x=>../../etc/passwd"}, "climbs out"},
		"hard link":       {[]string{"out->/etc", "x=>out/passwd"}, "no such file"},
		"below a file":    {[]string{"a=1", "a/b=1"}, "not a directory"},
		"loop":            {[]string{"a->b", "b->a", "a/x=1"}, "too many symbolic links"},
		"root":            {[]string{".=1"}, "root is not a directory"},
	} {
		d := t.TempDir()
		a := single(t, newImage(t, "amd64", foreign(t, tt.entries...)))
		if _, err := store.Write(t.Context(), parse(t, "dir:"+d+"/root"), a, store.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
		if left := files(t, d); len(left) > 0 {
			t.Errorf("%s leaves %s", name, left)
		}
	}
	d := t.TempDir()
	if err := os.WriteFile(d+"/thesis.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Write(t.Context(), parse(t, "dir:"+d), small(t, "x"), store.Options{}); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory with files: %v", err)
	}
}
