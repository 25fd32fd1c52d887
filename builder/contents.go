package builder

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"slim/internal/fetch"
	"slim/internal/rpm"
)

// contents are the files of packages, unpacked: each payload once, when something of it is asked for first, to one file of
// the work directory, and no further than to the last file that is wanted. A payload is verified on the way, and nothing of
// it is given out before. It is safe for concurrent use.
type contents struct {
	dir   string
	cache *fetch.Cache // keeps what was read; nil for none

	decompressors rpm.Decompressors
	readers       sync.Pool // *contentReader
	writers       sync.Pool // *bufio.Writer

	mu       sync.Mutex
	reads    map[*rpm.Package]*reads
	left     map[*rpm.Package][]int // files that nobody is expected to ask for
	payloads map[*rpm.Package]*unpacked
	summed   []string // keys of checksums that were asked for
	file     *os.File
	end      int64
}

// unpacked is the payload of one package.
type unpacked struct {
	left []int // files that were passed over

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

func newContents(dir string, cache *fetch.Cache) *contents {
	return &contents{
		dir: dir, cache: cache,
		reads: map[*rpm.Package]*reads{}, left: map[*rpm.Package][]int{}, payloads: map[*rpm.Package]*unpacked{},
	}
}

// leave says which files of a package nobody is expected to ask for. It is a matter of time alone: if somebody does, the
// payload is unpacked once more, whole.
func (c *contents) leave(pkg *rpm.Package, files []int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left[pkg] = files
}

// open reads the content of a file of a package. What comes is an io.ReaderAt too.
func (c *contents) open(pkg *rpm.Package, file int) io.ReadCloser {
	return &contentFile{c: c, pkg: pkg, file: file, size: pkg.Files()[file].Size}
}

// payload unpacks the payload of a package, if nobody did, with all files that are needed.
func (c *contents) payload(pkg *rpm.Package, needed func(file int) bool) (*unpacked, error) {
	c.mu.Lock()
	u := c.payloads[pkg]
	if u == nil {
		u = &unpacked{left: c.left[pkg]}
		c.payloads[pkg] = u
	}
	if slices.ContainsFunc(u.left, needed) {
		u = &unpacked{}
		c.payloads[pkg] = u
	}
	c.mu.Unlock()
	u.once.Do(func() {
		var wrong *rpm.VerifyError
		if u.err = c.unpack(pkg, u); errors.As(u.err, &wrong) {
			u.err = &VerifyError{What: pkg.NEVRA().String(), Err: u.err}
		} else if u.err != nil {
			u.err = fmt.Errorf("unpacking package %s: %w", pkg.NEVRA(), u.err)
		}
	})
	return u, u.err
}

// contentBuffer is how much of the file is written and read at once: most files of packages are smaller.
const contentBuffer = 256 << 10

// contentReader reads sections one after the other. It is for one goroutine, which gives it back at the end.
type contentReader struct {
	file   *os.File
	buffer []byte
	at     int64 // of buffer in the file
	n      int
}

func (c *contents) reader() *contentReader {
	if r, _ := c.readers.Get().(*contentReader); r != nil {
		r.n = 0 // what it has read ahead may be of a package that was not unpacked yet
		return r
	}
	return &contentReader{file: c.file, buffer: make([]byte, contentBuffer)}
}

// writer writes to the file from at on, behind a buffer; who has flushed it puts it into writers.
func (c *contents) writer(at int64) *bufio.Writer {
	to := io.NewOffsetWriter(c.file, at)
	w, _ := c.writers.Get().(*bufio.Writer)
	if w == nil {
		return bufio.NewWriterSize(to, contentBuffer)
	}
	w.Reset(to)
	return w
}

// copy writes a section to w.
func (r *contentReader) copy(w io.Writer, s section) error {
	for s.size > 0 {
		if s.at < r.at || s.at >= r.at+int64(r.n) {
			n, err := r.file.ReadAt(r.buffer, s.at)
			if n == 0 {
				return noEOF(err)
			}
			r.at, r.n = s.at, n
		}
		b := r.buffer[s.at-r.at : r.n]
		b = b[:min(int64(len(b)), s.size)]
		if _, err := w.Write(b); err != nil {
			return err
		}
		s.at, s.size = s.at+int64(len(b)), s.size-int64(len(b))
	}
	return nil
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *contents) unpack(pkg *rpm.Package, u *unpacked) error {
	payload, err := pkg.PayloadWith(&c.decompressors)
	if err != nil {
		return err
	}
	defer payload.Close()
	files := pkg.Files()
	at, err := c.reserve(files)
	if err != nil {
		return err
	}
	byInode := map[inode]section{}
	out := c.writer(at)
	for wanted, n := wantedEntries(files, u.left); n > 0; {
		e, err := payload.Next()
		if err != nil {
			return noEOF(err)
		}
		if !wanted[e.File] {
			continue
		}
		n--
		entry := payloadEntry{e, section{at, 0}}
		if e.HasContent {
			if entry.size, err = io.Copy(out, payload); err != nil {
				return err
			}
			byInode[inodeOf(&files[e.File])] = entry.section
			at += entry.size
		}
		u.entries = append(u.entries, entry)
	}
	if err := errors.Join(payload.Finish(), out.Flush()); err != nil {
		return err
	}
	c.writers.Put(out)
	u.byFile = map[int]section{}
	for f := range files {
		if s, ok := byInode[inodeOf(&files[f])]; ok && files[f].IsRegular() {
			u.byFile[f] = s
		}
	}
	return nil
}

// inode is what the members of a set of hard links have in common.
type inode struct{ dev, inode uint32 }

func inodeOf(f *rpm.File) inode { return inode{f.Dev, f.Inode} }

// wantedEntries marks and counts the files whose entries are wanted: neither directories, which the header describes, nor
// ghosts, nor what was left, unless it is of a set of hard links of which not all were: the content comes with any of them.
func wantedEntries(files []rpm.File, left []int) (wanted []bool, n int) {
	wanted = make([]bool, len(files))
	for f := range wanted {
		wanted[f] = true
	}
	for _, f := range left {
		wanted[f] = false
	}
	linked := map[inode]bool{}
	for f := range files {
		if wanted[f] && files[f].IsRegular() {
			linked[inodeOf(&files[f])] = true
		}
	}
	for f := range files {
		file := &files[f]
		wanted[f] = !file.IsDir() && file.Flags&rpm.FileGhost == 0 && (wanted[f] || file.IsRegular() && linked[inodeOf(file)])
		if wanted[f] {
			n++
		}
	}
	return wanted, n
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
func (c *contents) close() { removeFile(c.file) }

// removeFile closes and removes a file; nil is none.
func removeFile(f *os.File) {
	if f != nil {
		f.Close()
		os.Remove(f.Name())
	}
}
