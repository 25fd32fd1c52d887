package rpm

import (
	"bufio"
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/ulikunitz/xz/lzma"
)

// MaxWindow is the largest dictionary a payload's decompressor keeps: that of zstd's highest level; xz's is half of it.
const MaxWindow = 128 << 20

// Decompressors unpack payloads one after the other with the same buffers: a window is several megabytes, and memory that
// the system has to give anew is slower than the unpacking. The zero value is ready; it is safe for concurrent use, and
// keeps as many of each kind as were in use at once. (A sync.Pool would let the garbage collector have them in between.)
type Decompressors struct {
	zstd    freeList[*zstd.Decoder]
	xz      freeList[*xz.Reader]
	buffers freeList[*bufio.Reader]
}

// freeList holds what is not in use.
type freeList[T any] struct {
	mu   sync.Mutex
	free []T
}

// get is what was put last; the zero value when there is nothing.
func (l *freeList[T]) get() (v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free) - 1; n >= 0 {
		v, l.free = l.free[n], l.free[:n]
	}
	return v
}

func (l *freeList[T]) put(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, v)
}

// open begins to unpack a payload by the header's word for its compressor; "" is gzip, as for rpm. Who closes it may not
// use it any more.
func (d *Decompressors) open(compressor string, r io.Reader) (io.ReadCloser, error) {
	switch compressor {
	case "none":
		return io.NopCloser(r), nil
	case "gzip", "":
		return newGzip(r)
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "xz":
		return d.newXZ(r)
	case "lzma":
		return newLZMA(r)
	case "zstd":
		return d.newZstd(r)
	}
	return nil, fmt.Errorf("payload compressor %q is not one of gzip, bzip2, lzma, xz, zstd, none", compressor)
}

// pooled is a decompressor that goes back when it is closed.
type pooled struct {
	io.Reader
	back func()
}

func (p *pooled) Close() error {
	if p.back != nil {
		p.back()
	}
	p.Reader, p.back = closedReader{}, nil
	return nil
}

type closedReader struct{}

func (closedReader) Read([]byte) (int, error) { return 0, errClosed }

func (d *Decompressors) newXZ(r io.Reader) (io.ReadCloser, error) {
	z := d.xz.get()
	var err error
	if z == nil {
		z, err = xz.NewReader(r, MaxWindow)
	} else {
		err = z.Reset(r)
	}
	if err != nil {
		return nil, err
	}
	return &pooled{z, func() { d.xz.put(z) }}, nil
}

func (d *Decompressors) newZstd(r io.Reader) (io.ReadCloser, error) {
	z := d.zstd.get()
	var err error
	if z == nil {
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
	} else {
		err = z.Reset(r)
	}
	if err != nil {
		return nil, err
	}
	return &pooled{z, func() {
		if z.Reset(nil) == nil { // lets go of r
			d.zstd.put(z)
		}
	}}, nil
}

// buffered is a reader with a buffer for a payload.
func (d *Decompressors) buffered(r io.Reader) *bufio.Reader {
	b := d.buffers.get()
	if b == nil {
		return bufio.NewReaderSize(r, payloadBuffer)
	}
	b.Reset(r)
	return b
}

// newGzip passes through what is not compressed at all, as zlib does for rpm: packages that name no compressor have both.
func newGzip(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	if magic, err := b.Peek(2); err == nil && (magic[0] != 0x1f || magic[1] != 0x8b) {
		return io.NopCloser(b), nil
	}
	return gzip.NewReader(b)
}

// newLZMA looks at the dictionary size of the 13-byte header first: the library takes all memory it asks for.
func newLZMA(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(lzma.HeaderLen)
	if err != nil {
		return nil, noEOF(err)
	}
	if n := binary.LittleEndian.Uint32(head[1:]); n > MaxWindow {
		return nil, fmt.Errorf("lzma dictionary of %d bytes: more than %d", n, MaxWindow)
	}
	z, err := lzma.NewReader(b)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(z), nil
}
