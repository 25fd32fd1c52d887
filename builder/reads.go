package builder

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"slim/internal/rpm"
)

// kindReads is the kind of the cache's entries that say what a build read of the files of a package: a few headers of
// libraries, small files of configuration. The next build reads the same, and need not unpack the package for it.
const kindReads = "reads"

// maxReads is how much of one package is kept; what is read beyond is read of the payload every time.
const maxReads = 8 << 20

// reads are what was read of one package.
type reads struct {
	key   string
	spans map[spanAt][]byte
	size  int
	fresh bool // there is more in it than the cache has
}

// spanAt is where a read began.
type spanAt struct {
	file int
	off  int64
}

// readsOf is what is known of a package's files; nil where nothing may be kept, because no digest covers the payload.
func (c *contents) readsOf(pkg *rpm.Package) (*reads, error) {
	if r, ok := c.reads[pkg]; ok || c.cache == nil {
		return r, nil
	}
	r := &reads{key: hexSHA256([]byte("reads of " + contentID(pkg))), spans: map[spanAt][]byte{}}
	c.reads[pkg] = r
	b, err := readKept(c.cache, kindReads, r.key, 2*maxReads)
	r.parse(b, len(pkg.Files()))
	return r, err
}

// contentID names what the files of a package hold.
func contentID(pkg *rpm.Package) string {
	if id := pkg.FileSHA256(); id != "" {
		return id
	}
	return "header " + pkg.HeaderSHA256() // which has the digest of the payload: see rpm.PackageFile.VerifyHead
}

// add takes in what was read.
func (r *reads) add(at spanAt, b []byte) {
	if old, ok := r.spans[at]; ok && len(old) >= len(b) || r.size+len(b) > maxReads {
		return
	}
	r.size += len(b)
	r.spans[at] = bytes.Clone(b)
	r.fresh = true
}

// writeReads writes what the cache keeps: for each span file, offset and length as varints, and the bytes.
func writeReads(w io.Writer, spans map[spanAt][]byte) error {
	order := slices.SortedFunc(maps.Keys(spans), func(x, y spanAt) int { return cmp.Or(cmp.Compare(x.file, y.file), cmp.Compare(x.off, y.off)) })
	var head []byte
	for _, at := range order {
		head = binary.AppendUvarint(head[:0], uint64(at.file))
		head = binary.AppendUvarint(head, uint64(at.off))
		head = binary.AppendUvarint(head, uint64(len(spans[at])))
		for _, b := range [][]byte{head, spans[at]} {
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse reads what writeReads wrote, as far as it makes sense.
func (r *reads) parse(b []byte, files int) {
	in := bytes.NewReader(b)
	for in.Len() > 0 {
		file, err := binary.ReadUvarint(in)
		off, err2 := binary.ReadUvarint(in)
		n, err3 := binary.ReadUvarint(in)
		if errors.Join(err, err2, err3) != nil || file >= uint64(files) || off > 1<<62 || n > uint64(in.Len()) {
			return
		}
		span := make([]byte, n)
		if _, err := io.ReadFull(in, span); err != nil {
			return
		}
		r.spans[spanAt{int(file), int64(off)}] = span
		r.size += len(span)
	}
}

// keepReads keeps what was read of packages so far, and returns the keys of it, sorted.
func (c *contents) keepReads() ([]string, error) {
	c.mu.Lock()
	all := slices.Collect(maps.Values(c.reads))
	c.mu.Unlock()
	var keys []string
	for _, r := range all {
		c.mu.Lock()
		spans, fresh := maps.Clone(r.spans), r.fresh
		r.fresh = false
		c.mu.Unlock()
		if len(spans) > 0 {
			keys = append(keys, r.key)
		}
		if fresh {
			if err := keepWritten(c.cache, kindReads, r.key, func(w io.Writer) error { return writeReads(w, spans) }); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// contentFile reads a file of a package: what was read before from there, the rest of the unpacked payload.
type contentFile struct {
	c    *contents
	pkg  *rpm.Package
	file int
	size int64
	at   int64
}

func (f *contentFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	if n > 0 {
		return n, nil
	}
	return n, err
}

func (f *contentFile) ReadAt(b []byte, off int64) (int, error) {
	if off >= f.size || off < 0 {
		return 0, io.EOF
	}
	var end error
	if int64(len(b)) >= f.size-off {
		b, end = b[:f.size-off], io.EOF
	}
	at := spanAt{f.file, off}
	f.c.mu.Lock()
	r, err := f.c.readsOf(f.pkg)
	var known []byte
	if r != nil {
		known = r.spans[at]
	}
	f.c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if len(known) >= len(b) {
		return copy(b, known), end
	}
	u, err := f.c.payload(f.pkg, func(file int) bool { return file == f.file })
	if err != nil {
		return 0, err
	}
	s, ok := u.byFile[f.file]
	if !ok || s.size != f.size {
		return 0, fmt.Errorf("package %s has no content of %s", f.pkg.NEVRA(), f.pkg.Files()[f.file].Path)
	}
	n, err := f.c.file.ReadAt(b, s.at+off)
	if n < len(b) {
		return n, noEOF(err)
	}
	if r != nil {
		f.c.mu.Lock()
		r.add(at, b)
		f.c.mu.Unlock()
	}
	return n, end
}

func (f *contentFile) Close() error { return nil }
