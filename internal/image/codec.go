package image

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	deflateLevel = 6
	gzipChunk    = 4 << 20
	zstdChunk    = 8 << 20

	// maxZstdWindow bounds the memory that a foreign zstd frame may ask for.
	maxZstdWindow = 128 << 20
)

// packer appends the packed form of raw to dst. It is used by one goroutine.
type packer func(dst, raw []byte) ([]byte, error)

// codec is a way of packing a layer chunk by chunk. What packer makes of a chunk depends on the chunk alone.
type codec struct {
	mediaType types.MediaType
	chunk     int // most raw bytes packed at once
	gzip      bool
	newPacker func() (packer, error)
}

func newCodec(compression string) (*codec, error) {
	switch compression {
	case "", "gzip":
		return &codec{mediaType: types.OCILayer, chunk: gzipChunk, gzip: true, newPacker: deflater}, nil
	case "zstd":
		return &codec{mediaType: types.OCILayerZStd, chunk: zstdChunk, newPacker: zstdPacker}, nil
	case "none":
		return &codec{mediaType: types.OCIUncompressedLayer, chunk: gzipChunk, newPacker: nil}, nil
	}
	return nil, fmt.Errorf("layer compression %q: not gzip, zstd or none", compression)
}

// chunks are how many are shared by all segments and how many are kept for the one that is joined. A large chunk keeps a
// packer busy for long, so fewer do.
func (c *codec) chunks(jobs int) (shared, reserve int) {
	if c.chunk > gzipChunk {
		return jobs, 2
	}
	return 2 * jobs, jobs + 1
}

// deflater packs a chunk as deflate blocks that end in a sync flush.
func deflater() (packer, error) {
	z, err := flate.NewWriter(io.Discard, deflateLevel)
	if err != nil {
		return nil, err
	}
	return func(dst, raw []byte) ([]byte, error) {
		out := bytes.NewBuffer(slices.Grow(dst, len(raw)/2))
		z.Reset(out)
		if _, err := z.Write(raw); err != nil {
			return nil, err
		}
		if err := z.Flush(); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}, nil
}

// zstdPacker packs a chunk as a frame.
func zstdPacker() (packer, error) {
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	return func(dst, raw []byte) ([]byte, error) {
		return z.EncodeAll(raw, slices.Grow(dst, len(raw)/2)), nil
	}, nil
}

// gzipHead is a member header without name, time and operating system.
func gzipHead() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} }

// gzipTail is an empty final stored block and the member's trailer.
func gzipTail(crc uint32, size int64) []byte {
	b := []byte{1, 0, 0, 0xff, 0xff}
	b = binary.LittleEndian.AppendUint32(b, crc)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

// unpack reads what r packs, by its first bytes: gzip, zstd, or neither. The caller closes what is returned, which
// does not close r.
func unpack(r io.Reader) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	magic, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(b)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return io.NopCloser(b), nil
}
