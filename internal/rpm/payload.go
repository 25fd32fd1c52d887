package rpm

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrPayload is what every malformed payload's error wraps.
var ErrPayload = errors.New("bad payload")

// PayloadEntry is one entry of a payload.
type PayloadEntry struct {
	File int   // index into Package.Files
	Size int64 // bytes that follow in Read
	// HasContent says that the entry carries a regular file's content, were it empty. It is false for directories,
	// symbolic links, devices and ghosts, and for members of a hard link set but the one that carries the content for
	// all: the last of them in the header's order.
	HasContent bool
}

// Payload iterates a package's archive in its order. It is not safe for concurrent use.
type Payload struct {
	name   string
	files  []File
	byPath map[string]int // path -> index
	last   []bool         // regular, not a ghost, and carries its hard link set's content
	seen   []bool

	proof *payloadProof // nil when it was verified before
	with  *Decompressors
	src   io.ReadCloser
	cpio  cpioReader
	left  int64 // content of the current entry not yet read
	ended error
}

const payloadBuffer = 128 << 10

// openPayload begins to read a payload in r that has the files of a header.
func openPayload(h *Header, files []File, r io.Reader, with *Decompressors) (*Payload, error) {
	p := &Payload{name: h.NEVRA().String(), files: files, with: with}
	if f := h.Text(TagPayloadFormat); f != "cpio" && f != "" {
		return nil, p.fault("payload format %q is not cpio", f)
	}
	p.byPath = make(map[string]int, len(files))
	for i := range files {
		p.byPath[files[i].Path] = i
	}
	p.last, p.seen = carriers(files), make([]bool, len(files))
	src, err := with.open(h.Text(TagPayloadCompressor), r)
	if err != nil {
		return nil, p.fault("decompressing: %w", err)
	}
	p.src = src
	limit := &limitReader{r: src, n: maxArchive(files)}
	p.cpio.r = with.buffered(limit)
	return p, nil
}

// carriers marks the files whose entry carries content: of each set of hard links the last, of others each.
func carriers(files []File) []bool {
	type inode struct{ dev, ino uint32 }
	last := make(map[inode]int)
	out := make([]bool, len(files))
	for i := range files {
		f := &files[i]
		if !f.IsRegular() || f.Flags&FileGhost != 0 {
			continue
		}
		out[i] = true
		key := inode{f.Dev, f.Inode}
		if j, ok := last[key]; ok && f.Inode != 0 {
			out[j] = false
		}
		last[key] = i
	}
	return out
}

// maxArchive is more than the largest archive of these files: each at most once, heads, names and padding included.
func maxArchive(files []File) int64 {
	const head = cpioNewcSize + maxCpioName + 1 + 3 + 3
	n := int64(payloadBuffer + head)
	for i := range files {
		if files[i].Size > 1<<62 {
			return 1 << 62
		}
		if n += head + files[i].Size + int64(len(files[i].Link)); n > 1<<62 {
			return 1 << 62
		}
	}
	return n
}

// limitReader fails where a LimitedReader would end quietly.
type limitReader struct {
	r io.Reader
	n int64
}

func (l *limitReader) Read(b []byte) (int, error) {
	if l.n <= 0 {
		return 0, errors.New("larger uncompressed than its files can be")
	}
	n, err := l.r.Read(b[:min(int64(len(b)), l.n)])
	l.n -= int64(n)
	return n, err
}

func (p *Payload) fault(format string, args ...any) error {
	return fmt.Errorf("payload of %s: %w: %w", p.name, ErrPayload, fmt.Errorf(format, args...))
}

// Next goes to the next entry, over what was not read of the current one. It returns io.EOF after the last. It is an
// error when an entry is not in the header, comes twice, or differs in kind or size from what the header says, when a
// symbolic link's target does, or when a file that is no ghost never came. After an error it returns the same.
func (p *Payload) Next() (PayloadEntry, error) {
	if p.ended != nil {
		return PayloadEntry{}, p.ended
	}
	e, err := p.next()
	if err != nil {
		err = p.end(err)
	}
	return e, err
}

// end remembers why there is no more.
func (p *Payload) end(err error) error {
	switch {
	case p.proof == nil:
	case err != io.EOF:
		err = p.proof.blame(err)
	default:
		if wrong := p.proof.check(); wrong != nil {
			err = wrong
		}
	}
	p.ended, p.left = err, 0
	return err
}

// Finish passes over what is left without unpacking it: after VerifyHead it is read for its digest alone. What the entries
// that were not reached say of themselves is not looked at. When it returns nil, what was read may be used as after Next's
// io.EOF, which Next returns from then on.
func (p *Payload) Finish() error {
	err := p.ended
	if err == nil {
		err = p.end(io.EOF)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

func (p *Payload) next() (PayloadEntry, error) {
	if err := p.cpio.discard(p.left); err != nil {
		return PayloadEntry{}, p.fault("%w", err)
	}
	p.left = 0
	if err := p.cpio.pad(); err != nil {
		return PayloadEntry{}, p.fault("%w", err)
	}
	head, err := p.cpio.next()
	if err == io.EOF {
		return PayloadEntry{}, p.complete()
	}
	if err != nil {
		return PayloadEntry{}, p.fault("%w", err)
	}
	i, err := p.find(head)
	if err != nil {
		return PayloadEntry{}, err
	}
	return p.begin(i, head)
}

// complete is io.EOF, or what is missing.
func (p *Payload) complete() error {
	for i := range p.files {
		f := &p.files[i]
		if !p.seen[i] && f.Flags&FileGhost == 0 {
			return p.fault("%s is not in it", f.Path)
		}
	}
	return io.EOF
}

func (p *Payload) find(head cpioEntry) (int, error) {
	if head.stripped {
		if int64(head.index) >= int64(len(p.files)) {
			return 0, p.fault("file %d of %d", head.index, len(p.files))
		}
		return int(head.index), nil
	}
	path := "/" + strings.TrimPrefix(strings.TrimPrefix(head.name, "."), "/")
	i, ok := p.byPath[path]
	if !ok {
		return 0, p.fault("%q is not in the header", head.name)
	}
	if (head.mode^p.files[i].Mode)&ModeType != 0 {
		return 0, p.fault("%s has mode %o, in the header %o", path, head.mode, p.files[i].Mode)
	}
	return i, nil
}

// begin checks the entry of file i against the header.
func (p *Payload) begin(i int, head cpioEntry) (PayloadEntry, error) {
	f := &p.files[i]
	if p.seen[i] {
		return PayloadEntry{}, p.fault("%s comes twice", f.Path)
	}
	p.seen[i] = true
	size := head.size
	switch {
	case f.IsSymlink():
		return PayloadEntry{File: i}, p.symlink(f, size)
	case p.last[i]:
		if head.stripped {
			size = f.Size
		}
		if size != f.Size {
			return PayloadEntry{}, p.fault("%s has %d bytes, in the header %d", f.Path, size, f.Size)
		}
		p.left = size
		return PayloadEntry{File: i, Size: size, HasContent: true}, nil
	}
	if head.stripped {
		size = 0
	}
	// rpm passes over content of an earlier link and of ghosts.
	if size != 0 && !(f.IsRegular() && size == f.Size) {
		return PayloadEntry{}, p.fault("%s has %d bytes", f.Path, size)
	}
	p.left = 0
	return PayloadEntry{File: i}, p.skip(size)
}

func (p *Payload) skip(n int64) error {
	if err := p.cpio.discard(n); err != nil {
		return p.fault("%w", err)
	}
	return nil
}

// symlink compares a symbolic link's content with the header's target.
func (p *Payload) symlink(f *File, size int64) error {
	if size < 0 {
		size = f.Size
	}
	if size != int64(len(f.Link)) {
		return p.fault("link %s has %d bytes, its target in the header %d", f.Path, size, len(f.Link))
	}
	target := make([]byte, size)
	if _, err := io.ReadFull(&p.cpio, target); err != nil {
		return p.fault("link %s: %w", f.Path, noEOF(err))
	}
	if string(target) != f.Link {
		return p.fault("link %s leads to %q, in the header to %q", f.Path, target, f.Link)
	}
	return nil
}

// Read reads the current entry's content; io.EOF is its end.
func (p *Payload) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.cpio.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if err != nil && !(err == io.EOF && p.left == 0) {
		return n, p.end(p.fault("%w", noEOF(err)))
	}
	return n, nil
}

// errClosed says that a closed payload is read.
var errClosed = errors.New("payload is closed")

// Close frees what decompressing took. It does not close what the package is read from.
func (p *Payload) Close() error {
	if p.ended == nil {
		p.ended, p.left = errClosed, 0
	}
	if p.cpio.r != nil {
		p.cpio.r.Reset(nil)
		p.with.buffers.put(p.cpio.r)
		p.cpio.r = nil
	}
	return p.src.Close()
}
