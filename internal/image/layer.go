package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// Layer is a layer of packed segments on a shelf. It is a v1.Layer whose readers may be opened any number of times and at
// once, for as long as the segments are there: after that reading fails with ErrLost.
type Layer struct {
	shelf Shelf
	codec *codec
	keys  []string
	facts layerFacts
}

// layerFacts are what the shelf keeps of a layer.
type layerFacts struct {
	Digest  v1.Hash `json:"digest"`
	DiffID  v1.Hash `json:"diff_id"`
	Size    int64   `json:"size"`
	RawSize int64   `json:"raw_size"`
	CRC     uint32  `json:"crc"`
}

// hashBuffer is how much of a packed segment is read at once.
const hashBuffer = 64 << 10

// maxFacts bounds layerFacts as text.
const maxFacts = 4 << 10

// Digest is that of the packed layer.
func (l *Layer) Digest() (v1.Hash, error) { return l.facts.Digest, nil }

// DiffID is the digest of the layer's tar.
func (l *Layer) DiffID() (v1.Hash, error) { return l.facts.DiffID, nil }

// Size is that of the packed layer.
func (l *Layer) Size() (int64, error) { return l.facts.Size, nil }

// RawSize is that of the layer's tar.
func (l *Layer) RawSize() int64 { return l.facts.RawSize }

// MediaType is OCI's of a layer so packed.
func (l *Layer) MediaType() (types.MediaType, error) { return l.codec.mediaType, nil }

// Sweep reads the layer's segments, so that those which are damaged are off the shelf.
func (l *Layer) Sweep() error { return sweep(l.shelf, l.keys) }

// Compressed opens the packed layer.
func (l *Layer) Compressed() (io.ReadCloser, error) {
	end, err := l.codec.end()
	if err != nil {
		return nil, err
	}
	parts := []func() (io.ReadCloser, error){}
	whole := func(b []byte) {
		parts = append(parts, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil })
	}
	whole(l.codec.head())
	for _, key := range l.keys {
		parts = append(parts, func() (io.ReadCloser, error) { return openSegment(l.shelf, key) })
	}
	whole(end.bytes)
	whole(l.codec.tail(l.facts.CRC, l.facts.RawSize))
	return &sequence{parts: parts}, nil
}

// Uncompressed opens the layer's tar.
func (l *Layer) Uncompressed() (io.ReadCloser, error) {
	packed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	r, err := unpack(packed)
	if err != nil {
		packed.Close()
		return nil, err
	}
	return &twoClosers{ReadCloser: r, under: packed}, nil
}

// join computes what is to be known of the layer.
func (l *Layer) join(ctx context.Context, segments []Segment, fresh func(key string) bool) error {
	if l.codec.newPacker == nil {
		err := l.hashPacked(ctx)
		l.facts.DiffID = l.facts.Digest
		return cmp.Or(err, l.agrees(l.facts.Size, l.facts.CRC))
	}
	var raw *rawHash
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return l.hashPacked(inner) })
	group.Go(func() (err error) { raw, err = l.hashRaw(inner, segments, fresh, l.resume()); return err })
	if err := group.Wait(); err != nil {
		return err
	}
	err := l.agrees(raw.n, raw.crc)
	if err != nil && raw.resumed {
		if raw, err = l.hashRaw(ctx, segments, fresh, &rawHash{}); err == nil {
			err = l.agrees(raw.n, raw.crc)
		}
	}
	if err != nil {
		return err
	}
	l.facts.DiffID = sum(raw.Hash)
	return l.keepPrefixes(raw.states)
}

// agrees compares what was hashed for the diff ID with what was packed.
func (l *Layer) agrees(size int64, crc uint32) error {
	switch {
	case size != l.facts.RawSize:
		return fmt.Errorf("its segments have %d bytes, and had %d when they were packed", size, l.facts.RawSize)
	case crc != l.facts.CRC:
		return fmt.Errorf("its segments have CRC %08x, and had %08x when they were packed", crc, l.facts.CRC)
	}
	return nil
}

// hashPacked sets the digest, the sizes and the CRC.
func (l *Layer) hashPacked(ctx context.Context) error {
	end, err := l.codec.end()
	if err != nil {
		return err
	}
	h := sha256.New()
	f := &l.facts
	write := func(b []byte) {
		h.Write(b)
		f.Size += int64(len(b))
	}
	add := func(size int64, crc uint32) {
		f.CRC = combineCRC(f.CRC, crc, size)
		f.RawSize += size
	}
	write(l.codec.head())
	buffer := make([]byte, hashBuffer)
	for _, key := range l.keys {
		r, err := openSegment(l.shelf, key)
		if err != nil {
			return err
		}
		n, err := io.CopyBuffer(h, &contextReader{ctx, r}, buffer)
		r.Close()
		if err != nil {
			return err
		}
		f.Size += n
		add(r.rawSize, r.crc)
	}
	write(end.bytes)
	add(end.rawSize, end.crc)
	write(l.codec.tail(f.CRC, f.RawSize))
	f.Digest = sum(h)
	return nil
}

// hashSegment writes the tar of a segment to h: what was packed just now as it was written then, which is faster than to
// unpack it.
func (l *Layer) hashSegment(ctx context.Context, h io.Writer, s Segment, key string, fresh bool) error {
	if fresh {
		return s.write(ctx, tar.NewWriter(h))
	}
	return l.unpackSegment(ctx, h, key)
}

// unpackSegment writes a segment as it was before packing.
func (l *Layer) unpackSegment(ctx context.Context, w io.Writer, key string) error {
	packed, err := openSegment(l.shelf, key)
	if err != nil {
		return err
	}
	defer packed.Close()
	r, err := l.codec.unpack(packed)
	if err == nil {
		_, err = io.Copy(w, &contextReader{ctx, r})
		r.Close()
	}
	// To the end, so that damage is told from all else.
	if _, derr := io.Copy(io.Discard, packed); derr != nil {
		return derr
	}
	return err
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r *contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// sequence reads its parts one after the other, each opened when it is its turn.
type sequence struct {
	parts []func() (io.ReadCloser, error)
	cur   io.ReadCloser
}

func (s *sequence) Read(p []byte) (int, error) {
	for {
		if s.cur == nil {
			if len(s.parts) == 0 {
				return 0, io.EOF
			}
			next, err := s.parts[0]()
			if err != nil {
				return 0, err
			}
			s.cur, s.parts = next, s.parts[1:]
		}
		n, err := s.cur.Read(p)
		if err != io.EOF {
			return n, err
		}
		if err := s.Close(); err != nil || n > 0 {
			return n, err
		}
	}
}

func (s *sequence) Close() error {
	if s.cur == nil {
		return nil
	}
	err := s.cur.Close()
	s.cur = nil
	return err
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
