// Package rootfs is the virtual root file system of an image: paths, modes, owners, links and where content comes from.
// It knows nothing of disks; a Node is what becomes an entry of a layer.
package rootfs

import (
	"bytes"
	"io"

	"slim/internal/rpm"
)

// Node is one path of a Tree.
type Node struct {
	Path   string // absolute and clean; the root is "/"
	Mode   uint32 // type and permissions as in stat(2); see rpm.ModeType
	User   string // owner by name, as the package says; "" when only UID is known
	Group  string
	UID    uint32
	GID    uint32
	MTime  int64  // seconds since 1970
	Size   int64  // of a regular file's content
	Link   string // target of a symbolic link
	HardTo string // of a regular file: path of the member of its hard link set that carries the content; "" when it carries its own
	Major  uint32 // of a device
	Minor  uint32
	Caps   []byte // value of the security.capability attribute, nil without one

	// Package is the index, in install order, of the package whose payload carries the content, and File the file's
	// index in that package's header. Package is -1 for what slim or the recipe made; Open gives its content then.
	Package int
	File    int
	Open    func() (io.ReadCloser, error)

	// Owners are all files of packages that own the path, in install order, ghosts included; empty for what no package owns.
	Owners []Owner

	implied bool // a directory that is there for what is in it alone
}

// Owner is one package's claim to a path.
type Owner struct {
	Package int // index in install order
	File    int // index in the package's header
}

// IsDir reports whether n is a directory.
func (n *Node) IsDir() bool { return n.Mode&rpm.ModeType == rpm.ModeDir }

// IsRegular reports whether n is a regular file.
func (n *Node) IsRegular() bool { return n.Mode&rpm.ModeType == rpm.ModeRegular }

// IsSymlink reports whether n is a symbolic link.
func (n *Node) IsSymlink() bool { return n.Mode&rpm.ModeType == rpm.ModeSymlink }

// Perm are the permission bits, setuid, setgid and sticky included.
func (n *Node) Perm() uint32 { return n.Mode & 0o7777 }

// IsImplied reports whether n is a directory that nobody made for its own sake: it is there for what is in it.
func (n *Node) IsImplied() bool { return n.implied }

// ReadSized reads r to its end, but at most limit bytes. size is how many there will be, as far as is known: memory for them
// is taken at once.
func ReadSized(r io.Reader, size, limit int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(size, limit)) + bytes.MinRead)
	_, err := b.ReadFrom(io.LimitReader(r, limit))
	return b.Bytes(), err
}
