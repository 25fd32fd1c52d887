package fetch

import (
	"errors"
	"hash"
	"io"
	"os"
	"sync"
)

// File is a verified file, open for reading. Read and Seek have one position and are for one goroutine at a time; ReadAt is
// for any number. The caller closes it; while it is open, Prune leaves it alone.
type File struct {
	f      *os.File
	r      *io.SectionReader
	path   string
	digest string
}

func newFile(f *os.File, path string, d digest, size int64) *File {
	return &File{f: f, r: io.NewSectionReader(f, 0, size), path: path, digest: d.String()}
}

func (f *File) Read(p []byte) (int, error)                { return f.r.Read(p) }
func (f *File) ReadAt(p []byte, off int64) (int, error)   { return f.r.ReadAt(p, off) }
func (f *File) Seek(off int64, whence int) (int64, error) { return f.r.Seek(off, whence) }

// Size is the number of bytes.
func (f *File) Size() int64 { return f.r.Size() }

// Path is the file's name: in the cache, or where a local file is; "" when it has none. What is read through the File
// is what was verified; who opens the path again reads what is there then.
func (f *File) Path() string { return f.path }

// Digest is ALGORITHM:HEX as the request gave it, in lower case; "" when the request had none.
func (f *File) Digest() string { return f.digest }

// Close closes the file. What has no name is gone then.
func (f *File) Close() error { return f.f.Close() }

// verify makes a File of f when its size and digest are those asked for, and otherwise returns an error of kind Mismatch
// and leaves f open.
func verify(f *os.File, path string, d digest, size int64) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fail(Local, "%s is not a regular file", f.Name())
	}
	if size > 0 && info.Size() != size {
		return nil, fail(Mismatch, "size is %d bytes, not %d", info.Size(), size)
	}
	if d.known() {
		h := d.hash()
		if err := sum(h, f, info.Size()); err != nil {
			return nil, err
		}
		if err := d.check(h); err != nil {
			return nil, err
		}
	}
	return newFile(f, path, d, info.Size()), nil
}

var sumBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// sum adds the first n bytes of f to h.
func sum(h hash.Hash, f io.ReaderAt, n int64) error {
	b := sumBuffers.Get().(*[64 << 10]byte)
	defer sumBuffers.Put(b)
	got, err := io.CopyBuffer(h, io.NewSectionReader(f, 0, n), b[:])
	if err == nil && got != n {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// same reports whether f is what path names.
func same(f *os.File, path string) bool {
	a, err := f.Stat()
	b, err2 := os.Stat(path)
	return errors.Join(err, err2) == nil && os.SameFile(a, b)
}
