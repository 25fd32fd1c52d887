package image

import (
	"archive/tar"
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

func TestHeaderRoundTrip(t *testing.T) {
	long := "/" + strings.Repeat("d/", 120) + strings.Repeat("n", 120)
	tests := []struct {
		name string
		node rootfs.Node
		want tar.Header
	}{
		{
			"file",
			rootfs.Node{Path: "/usr/bin/su", Mode: 0o104755, UID: 1, GID: 2, MTime: 1700000000, Size: 3, User: "bin", Group: "daemon"},
			tar.Header{Name: "usr/bin/su", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1, Gid: 2, Size: 3, Format: tar.FormatUSTAR},
		},
		{
			"sticky directory",
			rootfs.Node{Path: "/tmp", Mode: 0o041777, MTime: 1700000000},
			tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777, Format: tar.FormatUSTAR},
		},
		{
			"root",
			rootfs.Node{Path: "/", Mode: 0o040555, MTime: 1700000000},
			tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o555, Format: tar.FormatUSTAR},
		},
		{
			"link",
			rootfs.Node{Path: "/lib", Mode: 0o120777, Link: "usr/lib", MTime: 1700000000},
			tar.Header{Name: "lib", Typeflag: tar.TypeSymlink, Linkname: "usr/lib", Mode: 0o777, Format: tar.FormatUSTAR},
		},
		{
			"hard link",
			rootfs.Node{Path: "/b", Mode: 0o100755, HardTo: "/a", Size: 9, MTime: 1700000000},
			tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "a", Mode: 0o755, Format: tar.FormatUSTAR},
		},
		{
			"device",
			rootfs.Node{Path: "/dev/null", Mode: 0o020666, Major: 1, Minor: 3, MTime: 1700000000},
			tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3, Format: tar.FormatUSTAR},
		},
		{
			"block device",
			rootfs.Node{Path: "/dev/sda", Mode: 0o060600, Major: 8, MTime: 1700000000},
			tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Mode: 0o600, Devmajor: 8, Format: tar.FormatUSTAR},
		},
		{
			"fifo",
			rootfs.Node{Path: "/f", Mode: 0o010600, MTime: 1700000000},
			tar.Header{Name: "f", Typeflag: tar.TypeFifo, Mode: 0o600, Format: tar.FormatUSTAR},
		},
		{
			"long name",
			rootfs.Node{Path: long, Mode: 0o100644, MTime: 1700000000},
			tar.Header{Name: long[1:], Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{"path": long[1:]}},
		},
		{
			"large owner",
			rootfs.Node{Path: "/o", Mode: 0o100644, UID: math.MaxUint32, GID: 2097152, MTime: 1700000000},
			tar.Header{
				Name: "o", Typeflag: tar.TypeReg, Mode: 0o644, Uid: math.MaxUint32, Gid: 2097152, Format: tar.FormatPAX,
				PAXRecords: map[string]string{"uid": "4294967295", "gid": "2097152"},
			},
		},
		{
			"capabilities",
			rootfs.Node{Path: "/ping", Mode: 0o100755, Caps: []byte("\x01\x00\x00\x02\x00"), MTime: 1700000000},
			tar.Header{
				Name: "ping", Typeflag: tar.TypeReg, Mode: 0o755, Format: tar.FormatPAX,
				PAXRecords: map[string]string{capsRecord: "\x01\x00\x00\x02\x00"},
			},
		},
		{
			"not ASCII",
			rootfs.Node{Path: "/é", Mode: 0o100644, MTime: 1700000000},
			tar.Header{Name: "é", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX, PAXRecords: map[string]string{"path": "é"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			first := entryBytes(t, &tt.node)
			for range 20 {
				if !bytes.Equal(entryBytes(t, &tt.node), first) {
					t.Fatal("the bytes differ from one time to the next")
				}
			}
			got, err := tar.NewReader(bytes.NewReader(first)).Next()
			if err != nil {
				t.Fatal(err)
			}
			if got.ModTime.Unix() != 1700000000 {
				t.Errorf("time is %v", got.ModTime)
			}
			got.ModTime = tt.want.ModTime
			if diff := cmp.Diff(tt.want, *got, cmpopts.IgnoreFields(tar.Header{}, "Xattrs")); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
		})
	}
}

// entryBytes is the header of n in a tar, with every pax record that n might be given.
func entryBytes(t *testing.T, n *rootfs.Node) []byte {
	t.Helper()
	h, err := Header(n)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestHeaderRefuses(t *testing.T) {
	for name, n := range map[string]rootfs.Node{
		"relative":    {Path: "a", Mode: rpm.ModeRegular},
		"not clean":   {Path: "/a/../b", Mode: rpm.ModeRegular},
		"slash":       {Path: "/a/", Mode: rpm.ModeDir},
		"NUL":         {Path: "/a\x00b", Mode: rpm.ModeRegular},
		"socket":      {Path: "/s", Mode: rpm.ModeSocket},
		"no type":     {Path: "/s", Mode: 0o644},
		"no target":   {Path: "/l", Mode: rpm.ModeSymlink},
		"size":        {Path: "/l", Mode: rpm.ModeRegular, Size: -1},
		"hard target": {Path: "/l", Mode: rpm.ModeRegular, HardTo: "../x"},
	} {
		if h, err := Header(&n); err == nil {
			t.Errorf("%s: no error, header %v", name, h)
		}
	}
}

// TestHeaderKey compares nodes that differ in one thing each: their headers are the same where their keys are.
func TestHeaderKey(t *testing.T) {
	base := rootfs.Node{Path: "/usr/bin/su", Mode: 0o104755, UID: 1, GID: 2, MTime: 1700000000, Size: 3}
	nodes := []rootfs.Node{base}
	for _, change := range []func(*rootfs.Node){
		func(n *rootfs.Node) { n.Path = "/usr/bin/s" },
		func(n *rootfs.Node) { n.Path = "/" + strings.Repeat("n", 300) },
		func(n *rootfs.Node) { n.Mode = 0o100755 },
		func(n *rootfs.Node) { n.Mode = 0o010755 },
		func(n *rootfs.Node) { n.UID = 2 },
		func(n *rootfs.Node) { n.UID, n.GID = 2, 1 },
		func(n *rootfs.Node) { n.GID = 1 << 31 },
		func(n *rootfs.Node) { n.MTime++ },
		func(n *rootfs.Node) { n.Size = 0 },
		func(n *rootfs.Node) { n.Size = 1 << 40 },
		func(n *rootfs.Node) { n.HardTo = "/usr/bin/s" },
		func(n *rootfs.Node) { n.HardTo = "/usr/bin/sudo" },
		func(n *rootfs.Node) { n.Mode, n.Link = 0o120777, "usr/bin/s" },
		func(n *rootfs.Node) { n.Mode, n.Major = 0o020666, 1 },
		func(n *rootfs.Node) { n.Mode, n.Minor = 0o020666, 1 },
		func(n *rootfs.Node) { n.Caps = []byte{1, 0} },
		func(n *rootfs.Node) { n.Caps = []byte{1} },
		func(n *rootfs.Node) { n.User, n.Link, n.Major = "bin", "x", 3 }, // which say nothing of a file
	} {
		n := base
		change(&n)
		nodes = append(nodes, n)
	}
	headers, keys := make([]string, len(nodes)), make([]string, len(nodes))
	for i := range nodes {
		h, err := Header(&nodes[i])
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		key, err := AppendHeaderKey(nil, &nodes[i])
		if err != nil {
			t.Fatal(err)
		}
		headers[i], keys[i] = b.String(), string(key)
		for k := range i {
			if (headers[i] == headers[k]) != (keys[i] == keys[k]) {
				t.Errorf("%+v and %+v: headers equal %v, keys %v", nodes[i], nodes[k], headers[i] == headers[k], keys[i] == keys[k])
			}
		}
	}
}
