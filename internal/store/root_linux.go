package store

import (
	"archive/tar"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// node makes a device or fifo. The directory is named by its descriptor, so no link can lead elsewhere.
func (w *rootWriter) node(p string, h *tar.Header) error {
	mode, dev := uint32(0o600), uint64(0)
	switch h.Typeflag {
	case tar.TypeFifo:
		mode |= syscall.S_IFIFO
	case tar.TypeChar:
		mode |= syscall.S_IFCHR
	case tar.TypeBlock:
		mode |= syscall.S_IFBLK
	}
	if h.Typeflag != tar.TypeFifo {
		major, minor := uint64(uint32(h.Devmajor)), uint64(uint32(h.Devminor))
		dev = major&0xfff<<8 | major&^0xfff<<32 | minor&0xff | minor&^0xff<<12
	}
	return w.inParent(p, func(dir *os.File, name string) error {
		return syscall.Mknodat(int(dir.Fd()), name, mode, int(dev))
	})
}

// capabilities sets security.capability on a file opened without following links.
func (w *rootWriter) capabilities(p string, value []byte) error {
	f, err := w.root.OpenFile(p, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return syscall.Setxattr(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), "security.capability", value, 0)
}

// linkTime sets the time of a symbolic link itself.
func (w *rootWriter) linkTime(p string, t time.Time) error {
	return w.inParent(p, func(dir *os.File, name string) error {
		const atSymlinkNoFollow = 0x100
		b, err := syscall.BytePtrFromString(name)
		if err != nil {
			return err
		}
		times := [2]syscall.Timespec{syscall.NsecToTimespec(t.UnixNano()), syscall.NsecToTimespec(t.UnixNano())}
		_, _, errno := syscall.Syscall6(syscall.SYS_UTIMENSAT, dir.Fd(), uintptr(unsafe.Pointer(b)),
			uintptr(unsafe.Pointer(&times)), atSymlinkNoFollow, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}
