package image

import (
	"archive/tar"
	"encoding/binary"
	"fmt"
	"path"
	"runtime"
	"strings"
	"time"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// capsRecord is the pax record that carries file capabilities.
const capsRecord = "SCHILY.xattr.security.capability"

// Header is the tar header of a node. Names have no leading "/", those of directories end in "/", the root is "./".
// Owners are numbers only, the time is in whole seconds. Written by a tar.Writer it takes pax records only where ustar
// has no room, so its bytes depend on n alone. A socket, an unknown type, a path that is not absolute and clean, and a
// negative size are errors.
func Header(n *rootfs.Node) (*tar.Header, error) {
	name, err := entryName(n.Path)
	if err != nil {
		return nil, err
	}
	h := &tar.Header{
		Name: name, Mode: int64(n.Perm()), Uid: int(n.UID), Gid: int(n.GID), ModTime: time.Unix(n.MTime, 0).UTC(),
	}
	switch n.Mode & rpm.ModeType {
	case rpm.ModeRegular:
		if n.Size < 0 {
			return nil, fmt.Errorf("tar header of %s: size %d", n.Path, n.Size)
		}
		h.Typeflag, h.Size = tar.TypeReg, n.Size
		if n.HardTo != "" {
			h.Typeflag, h.Size = tar.TypeLink, 0
			if h.Linkname, err = entryName(n.HardTo); err != nil {
				return nil, err
			}
		}
	case rpm.ModeDir:
		h.Typeflag = tar.TypeDir
		h.Name += "/"
	case rpm.ModeSymlink:
		if n.Link == "" {
			return nil, fmt.Errorf("tar header of %s: symbolic link without a target", n.Path)
		}
		h.Typeflag, h.Linkname = tar.TypeSymlink, n.Link
	case rpm.ModeChar:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(n.Major), int64(n.Minor)
	case rpm.ModeBlock:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeBlock, int64(n.Major), int64(n.Minor)
	case rpm.ModeFIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return nil, fmt.Errorf("tar header of %s: no tar entry has the type of mode %#o", n.Path, n.Mode)
	}
	// A hard link repeats the capabilities: an extractor sets the owner again for it, at which the kernel drops them.
	if len(n.Caps) > 0 && n.IsRegular() {
		h.PAXRecords = map[string]string{capsRecord: string(n.Caps)}
	}
	return h, nil
}

// AppendHeaderKey appends to b what the bytes of a node's header depend on: nodes with the same have the same header, as
// long as HeaderVersion is the same.
func AppendHeaderKey(b []byte, n *rootfs.Node) ([]byte, error) {
	h, err := Header(n)
	if err != nil {
		return b, err
	}
	for _, v := range []int64{int64(h.Typeflag), h.Size, h.Mode, int64(h.Uid), int64(h.Gid), h.ModTime.Unix(), h.Devmajor, h.Devminor} {
		b = binary.AppendVarint(b, v)
	}
	for _, s := range []string{h.Name, h.Linkname, h.PAXRecords[capsRecord]} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b, nil
}

// HeaderVersion names what writes headers: this package's own way, and Go's archive/tar.
func HeaderVersion() string { return "1 " + runtime.Version() }

// entryName is p as it stands in a tar, without the slash that ends a directory.
func entryName(p string) (string, error) {
	if !strings.HasPrefix(p, "/") || path.Clean(p) != p || strings.IndexByte(p, 0) >= 0 {
		return "", fmt.Errorf("tar header of %q: path is not absolute and clean", p)
	}
	if p == "/" {
		return ".", nil
	}
	return p[1:], nil
}
