package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Segment writes a run of entries, the same bytes whenever it is asked. It leaves the writer open and does not use it
// after it returned. Name is for errors. Segments of one layer are written at the same time, so Write of one must not
// wait for another's. A hard link stands in the segment of its target, after it.
type Segment struct {
	Name  string
	Write func(ctx context.Context, w *tar.Writer) error
}

// LayerOptions say how a layer is written.
type LayerOptions struct {
	Dir         string // for the spool file; "" is the system's directory for temporary files
	Compression string // "gzip" (level 6), "zstd" or "none"; "" is gzip
	Jobs        int    // goroutines that pack, and segments written at once; below 1 is 1
}

// Layer is a written layer, packed, in a spool file. It is a v1.Layer whose readers may be opened any number of times
// and at once, until Remove.
type Layer struct {
	path      string
	mediaType types.MediaType
	diffID    v1.Hash
	digest    v1.Hash
	size      int64
	rawSize   int64
}

// WriteLayer writes segments, in order, as one layer. Its bytes depend on those of the segments and on o.Compression
// alone, not on o.Jobs. Memory is bounded by a few chunks for each job, whatever the segments hold. The caller owns the
// spool file and removes it; after an error, or when ctx ends, there is none.
func WriteLayer(ctx context.Context, segments []Segment, o LayerOptions) (*Layer, error) {
	c, err := newCodec(o.Compression)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(o.Dir, "layer-*")
	if err != nil {
		return nil, fmt.Errorf("writing layer: %w", err)
	}
	l, err := writeLayer(ctx, f, segments, c, max(o.Jobs, 1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return nil, fmt.Errorf("writing layer: %w", err)
	}
	l.path = f.Name()
	return l, nil
}

func writeLayer(ctx context.Context, w io.Writer, segments []Segment, c *codec, jobs int) (*Layer, error) {
	j := newJoiner(w, c)
	if err := j.start(); err != nil {
		return nil, err
	}
	if err := runPipeline(ctx, j, segments, jobs); err != nil {
		return nil, err
	}
	return j.finish()
}

// joiner makes a layer of packed chunks given in order. It does not care whether they were packed just now or kept.
type joiner struct {
	w       io.Writer
	c       *codec
	diffID  hash.Hash // fed by raw, which may run beside add
	digest  hash.Hash // nil when the layer is not packed: the digest is the diff ID
	crc     uint32
	rawSize int64
	size    int64
}

func newJoiner(w io.Writer, c *codec) *joiner {
	j := &joiner{w: w, c: c, diffID: sha256.New()}
	if c.newPacker != nil {
		j.digest = sha256.New()
	}
	return j
}

func (j *joiner) start() error {
	if !j.c.gzip {
		return nil
	}
	return j.write(gzipHead())
}

// raw takes the next chunk as it was before packing.
func (j *joiner) raw(b []byte) { j.diffID.Write(b) }

// add takes the next chunk packed, with the CRC-32 (for gzip) and number of its raw bytes.
func (j *joiner) add(packed []byte, crc uint32, raw int) error {
	j.crc = combineCRC(j.crc, crc, int64(raw))
	j.rawSize += int64(raw)
	return j.write(packed)
}

func (j *joiner) write(b []byte) error {
	j.size += int64(len(b))
	if j.digest != nil {
		j.digest.Write(b)
	}
	_, err := j.w.Write(b)
	return err
}

func (j *joiner) finish() (*Layer, error) {
	if j.c.gzip {
		if err := j.write(gzipTail(j.crc, j.rawSize)); err != nil {
			return nil, err
		}
	}
	l := &Layer{mediaType: j.c.mediaType, diffID: sum(j.diffID), size: j.size, rawSize: j.rawSize}
	l.digest = l.diffID
	if j.digest != nil {
		l.digest = sum(j.digest)
	}
	return l, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// Digest is that of the packed layer.
func (l *Layer) Digest() (v1.Hash, error) { return l.digest, nil }

// DiffID is the digest of the layer's tar.
func (l *Layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// Size is that of the packed layer.
func (l *Layer) Size() (int64, error) { return l.size, nil }

// RawSize is that of the layer's tar.
func (l *Layer) RawSize() int64 { return l.rawSize }

// MediaType is OCI's of a layer so packed.
func (l *Layer) MediaType() (types.MediaType, error) { return l.mediaType, nil }

// Compressed opens the packed layer.
func (l *Layer) Compressed() (io.ReadCloser, error) { return os.Open(l.path) }

// Uncompressed opens the layer's tar.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	f, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	r, err := unpack(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &twoClosers{ReadCloser: r, under: f}, nil
}

// Remove deletes the spool file. Removing twice is no error.
func (l *Layer) Remove() error {
	if err := os.Remove(l.path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// twoClosers closes what it reads from and what that reads from.
type twoClosers struct {
	io.ReadCloser
	under io.Closer
}

func (t *twoClosers) Close() error {
	err := t.ReadCloser.Close()
	if cerr := t.under.Close(); err == nil {
		err = cerr
	}
	return err
}
