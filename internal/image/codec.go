package image

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

const (
	deflateLevel = 6
	gzipChunk    = 1 << 20
	zstdChunk    = 8 << 20

	tarEnd = 1024 // two zero blocks behind the last entry

	// maxZstdWindow bounds the memory that a foreign zstd frame may ask for.
	maxZstdWindow = 128 << 20
)

// packer appends the packed form of raw to dst. It is used by one goroutine.
type packer func(dst, raw []byte) ([]byte, error)

// The encoders by what they make: the SHA-256 of a fixed text packed by them, as the tests compute it. With other bytes
// every layer has another digest and what was packed before is of no use, so a new version of a library that changes
// them is a decision: it is taken here, and said in the release notes.
const (
	gzipEncoder = "49f36c288673fa005eae291443d1d10366466bc0da5fbe683b6e15c1b869709e"
	zstdEncoder = "22ef150fcbd7b4010b324ea48b01ac290b31899fb884856373dd3e9f63ed87a9"
)

// codec is a way of packing a layer chunk by chunk. What packer makes of a chunk depends on the chunk alone.
type codec struct {
	id        string // names the bytes that it makes
	mediaType types.MediaType
	chunk     int // most raw bytes packed at once
	gzip      bool
	newPacker func() (packer, error)                 // nil packs nothing
	unpack    func(io.Reader) (io.ReadCloser, error) // of packed chunks, one after the other
	end       func() (packedEnd, error)              // made when it is asked for first: an encoder is big
}

// Encoder names what packs layers with a compression, by what it makes: another name, other bytes.
func Encoder(compression string) (string, error) {
	c, err := newCodec(compression)
	if err != nil {
		return "", err
	}
	return c.id, nil
}

// packedEnd is the end of a tar, packed.
type packedEnd struct {
	packed
	bytes []byte
}

func newCodec(compression string) (*codec, error) {
	var c *codec
	id := func(encoder string, chunk int) string { return fmt.Sprintf("%s of %d", encoder, chunk) }
	switch compression {
	case "", "gzip":
		c = &codec{id: "gzip " + id(gzipEncoder, gzipChunk), mediaType: types.OCILayer, chunk: gzipChunk, gzip: true, newPacker: deflater, unpack: inflater}
	case "zstd":
		c = &codec{id: "zstd " + id(zstdEncoder, zstdChunk), mediaType: types.OCILayerZStd, chunk: zstdChunk, newPacker: zstdPacker, unpack: zstdUnpacker}
	case "none":
		c = &codec{id: "none", mediaType: types.OCIUncompressedLayer, chunk: gzipChunk}
	default:
		return nil, fmt.Errorf("layer compression %q: not gzip, zstd or none", compression)
	}
	c.end = sync.OnceValues(c.packEnd)
	return c, nil
}

// packEnd packs the end of a tar.
func (c *codec) packEnd() (packedEnd, error) {
	raw := make([]byte, tarEnd)
	end := packedEnd{packed: packed{rawSize: tarEnd, crc: crc32.ChecksumIEEE(raw)}, bytes: raw}
	if c.newPacker == nil {
		return end, nil
	}
	pack, err := c.newPacker()
	if err == nil {
		end.bytes, err = pack(nil, raw)
	}
	return end, err
}

// chunks are how many are on their way at once: one to be filled and one to be packed for each job.
func (c *codec) chunks(jobs int) int {
	return 2 * jobs
}

// head is what stands before the first chunk.
func (c *codec) head() []byte {
	if c.gzip {
		return gzipHead()
	}
	return nil
}

// tail is what stands behind the last.
func (c *codec) tail(crc uint32, size int64) []byte {
	if c.gzip {
		return gzipTail(crc, size)
	}
	return nil
}

// deflater packs a chunk as deflate blocks that end in a sync flush.
func deflater() (packer, error) {
	z, err := flate.NewWriter(io.Discard, deflateLevel)
	if err != nil {
		return nil, err
	}
	return func(dst, raw []byte) ([]byte, error) {
		out := &sink{slices.Grow(dst, len(raw)/2)}
		z.Reset(out)
		if _, err := z.Write(raw); err != nil {
			return nil, err
		}
		if err := z.Flush(); err != nil {
			return nil, err
		}
		return out.b, nil
	}, nil
}

// sink appends to a slice. It grows by quarters, where a bytes.Buffer doubles: chunks keep their buffers.
type sink struct{ b []byte }

func (s *sink) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
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

// inflater unpacks chunks of deflater.
func inflater(r io.Reader) (io.ReadCloser, error) {
	return flate.NewReader(io.MultiReader(r, bytes.NewReader(deflateEnd()))), nil
}

// zstdUnpacker unpacks frames.
func zstdUnpacker(r io.Reader) (io.ReadCloser, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		return nil, err
	}
	return z.IOReadCloser(), nil
}

// gzipHead is a member header without name, time and operating system.
func gzipHead() []byte { return []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff} }

// deflateEnd is an empty final stored block.
func deflateEnd() []byte { return []byte{1, 0, 0, 0xff, 0xff} }

// gzipTail is the end of the deflated data and the member's trailer.
func gzipTail(crc uint32, size int64) []byte {
	b := deflateEnd()
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
		return zstdUnpacker(b)
	}
	return io.NopCloser(b), nil
}
