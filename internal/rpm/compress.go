package rpm

import (
	"bufio"
	"compress/bzip2"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
	"github.com/ulikunitz/xz/lzma"
)

// MaxWindow is the largest dictionary a payload's decompressor keeps: that of zstd's highest level; xz's is half of it.
const MaxWindow = 128 << 20

// decompress opens a payload by the header's word for its compressor; "" is gzip, as for rpm.
func decompress(compressor string, r io.Reader) (io.ReadCloser, error) {
	switch compressor {
	case "none":
		return io.NopCloser(r), nil
	case "gzip", "":
		return newGzip(r)
	case "bzip2":
		return io.NopCloser(bzip2.NewReader(r)), nil
	case "xz":
		z, err := xz.NewReader(r, MaxWindow)
		if err != nil {
			return nil, err
		}
		return io.NopCloser(z), nil
	case "lzma":
		return newLZMA(r)
	case "zstd":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("payload compressor %q is not one of gzip, bzip2, lzma, xz, zstd, none", compressor)
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
