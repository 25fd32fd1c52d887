package builder

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// contents are the files of packages, unpacked: each payload once, when something of it is asked for first, to one file of
// the work directory. A payload is verified on the way, and nothing of it is given out before. It is safe for concurrent
// use.
type contents struct {
	packages []*rpm.Package
	payloads []unpacked // of packages
	dir      string

	mu   sync.Mutex
	file *os.File
	end  int64
}

// unpacked is the payload of one package.
type unpacked struct {
	once    sync.Once
	err     error
	entries []payloadEntry  // in the payload's order
	byFile  map[int]section // regular files, every member of a set of hard links
}

type payloadEntry struct {
	rpm.PayloadEntry
	section
}

type section struct{ at, size int64 }

func newContents(packages []*rpm.Package, dir string) *contents {
	return &contents{packages: packages, payloads: make([]unpacked, len(packages)), dir: dir}
}

// open reads the content of a node that a package carries.
func (c *contents) open(n *rootfs.Node) (io.ReadCloser, error) {
	u, err := c.payload(n.Package)
	if err != nil {
		return nil, err
	}
	s, ok := u.byFile[n.File]
	if !ok {
		return nil, fmt.Errorf("package %s has no content of %s", c.packages[n.Package].NEVRA(), n.Path)
	}
	return io.NopCloser(c.read(s)), nil
}

func (c *contents) read(s section) *io.SectionReader {
	return io.NewSectionReader(c.file, s.at, s.size)
}

// payload unpacks the payload of a package, if nobody did.
func (c *contents) payload(pkg int) (*unpacked, error) {
	u := &c.payloads[pkg]
	u.once.Do(func() {
		var wrong *rpm.VerifyError
		if u.err = c.unpack(pkg, u); errors.As(u.err, &wrong) {
			u.err = &VerifyError{What: c.packages[pkg].NEVRA().String(), Err: u.err}
		} else if u.err != nil {
			u.err = fmt.Errorf("unpacking package %s: %w", c.packages[pkg].NEVRA(), u.err)
		}
	})
	return u, u.err
}

func (c *contents) unpack(pkg int, u *unpacked) error {
	payload, err := c.packages[pkg].Payload()
	if err != nil {
		return err
	}
	defer payload.Close()
	files := c.packages[pkg].Files()
	at, err := c.reserve(files)
	if err != nil {
		return err
	}
	type inode struct{ dev, inode uint32 }
	byInode := map[inode]section{}
	buffer := make([]byte, 128<<10)
	for {
		e, err := payload.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		entry := payloadEntry{e, section{at, 0}}
		if e.HasContent {
			if entry.size, err = io.CopyBuffer(io.NewOffsetWriter(c.file, at), payload, buffer); err != nil {
				return err
			}
			byInode[inode{files[e.File].Dev, files[e.File].Inode}] = entry.section
			at += entry.size
		}
		u.entries = append(u.entries, entry)
	}
	u.byFile = map[int]section{}
	for f, file := range files {
		if s, ok := byInode[inode{file.Dev, file.Inode}]; ok && file.IsRegular() {
			u.byFile[f] = s
		}
	}
	return nil
}

// reserve makes room for what files may hold, and returns where.
func (c *contents) reserve(files []rpm.File) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.file == nil {
		f, err := os.CreateTemp(c.dir, "contents-")
		if err != nil {
			return 0, err
		}
		c.file = f
	}
	at := c.end
	for i := range files {
		c.end += files[i].Size
	}
	return at, nil
}

// close takes the unpacked files away. What was opened can no longer be read.
func (c *contents) close() {
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}
