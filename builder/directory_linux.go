package builder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"slim/internal/rootfs"
)

const openFlags = os.O_RDONLY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// statNode fills in what lstat says: mode, owners, device. It returns the file's identity and the number of its names.
func statNode(n *rootfs.Node, info fs.FileInfo) (inodeID, uint64, error) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inodeID{}, 0, errors.ErrUnsupported
	}
	n.Mode, n.UID, n.GID = st.Mode, st.Uid, st.Gid
	dev := st.Rdev // in the 64 bits of glibc's makedev
	n.Major = uint32(dev>>8&0xfff | dev>>32&^0xfff)
	n.Minor = uint32(dev&0xff | dev>>12&^0xff)
	return inodeID{st.Dev, st.Ino}, uint64(st.Nlink), nil
}

// capabilitiesOf reads security.capability, which anybody may, of a file opened without following links. O_PATH opens
// what cannot be read.
func capabilitiesOf(root *os.Root, p string) ([]byte, error) {
	const oPath = 0x200000
	f, err := root.OpenFile(p, oPath|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 64)
	size, err := syscall.Getxattr(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), "security.capability", b)
	switch {
	case err == nil:
		return b[:size], nil
	case errors.Is(err, syscall.ENODATA), errors.Is(err, syscall.ENOTSUP):
		return nil, nil
	}
	return nil, &fs.PathError{Op: "getxattr", Path: p, Err: err}
}
