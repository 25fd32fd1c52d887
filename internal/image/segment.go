package image

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Segment is a run of entries of a layer.
type Segment struct {
	Name string // for errors

	// ID is the hex SHA-256 of all that its bytes depend on: a segment whose ID was packed before is not written again.
	// "" is for one that nobody can name beforehand. It is written once for each Layers and named by its content.
	ID string

	// Write writes the entries, the same bytes for the same ID. It leaves the writer open and does not use it after it
	// returned. Segments are written at the same time, so Write of one must not wait for another's; and it may be called
	// again. A hard link stands in the segment of its target, after it.
	Write func(ctx context.Context, w *tar.Writer) error
}

// ErrLost says that a packed segment of a layer is no longer where it was kept, or is damaged. Layers made anew has it.
var ErrLost = errors.New("packed segment is lost")

// Shelf keeps packed segments, and what is known of layers, under a kind and a key, which is a hex SHA-256. What comes
// from it may be damaged only where an error says so. It is safe for concurrent use.
type Shelf interface {
	Open(kind, key string) (Entry, error) // nil without one
	Has(kind, key string) bool
	Create() (Draft, error)
}

// Entry is something on the shelf. Reading it to the end checks it.
type Entry interface {
	io.ReadCloser
	io.ReaderAt
	Size() int64
}

// Draft is something on its way to the shelf; one of Commit and Discard ends it. After an error Commit has discarded it.
type Draft interface {
	io.Writer
	Commit(kind, key string) error
	Discard()
}

// The kinds of what is on the shelf.
const (
	KindSegment = "segments"
	KindLayer   = "layers"
)

// packed is what is known of a packed segment. On the shelf it stands behind the packed bytes: rawSize and crc, big-endian.
type packed struct {
	key     string
	size    int64  // packed
	rawSize int64  // of the tar
	crc     uint32 // CRC-32 of the tar
}

const packedTail = 12

func (p packed) tail() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(p.rawSize)), p.crc)
}

// openSegment opens a packed segment; the reader ends before the tail. Without it the error is ErrLost.
func openSegment(shelf Shelf, key string) (*packedReader, error) {
	e, err := shelf.Open(KindSegment, key)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, fmt.Errorf("%w: %s is gone", ErrLost, key)
	}
	r := &packedReader{Entry: e, packed: packed{key: key, size: e.Size() - packedTail}}
	var tail [packedTail]byte
	if _, err := e.ReadAt(tail[:], max(r.size, 0)); err != nil || r.size < 0 {
		e.Close()
		return nil, fmt.Errorf("%w: %s is too short", ErrLost, key)
	}
	r.rawSize, r.crc = int64(binary.BigEndian.Uint64(tail[:])), binary.BigEndian.Uint32(tail[8:])
	r.left = r.size
	return r, nil
}

// packedReader reads a packed segment, and checks it at its end.
type packedReader struct {
	Entry
	packed
	left int64
}

func (r *packedReader) Size() int64 { return r.size }

func (r *packedReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		if _, err := io.Copy(io.Discard, r.Entry); err != nil { // the tail
			return 0, lost(r.key, err)
		}
		return 0, io.EOF
	}
	n, err := r.Entry.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if err != nil && err != io.EOF {
		return n, lost(r.key, err)
	}
	if err == io.EOF && r.left > 0 {
		return n, lost(r.key, io.ErrUnexpectedEOF)
	}
	return n, nil
}

func lost(key string, err error) error { return fmt.Errorf("%w: %s: %w", ErrLost, key, err) }

// sweep reads packed segments, so that those which are damaged leave the shelf.
func sweep(shelf Shelf, keys []string) error {
	for _, key := range keys {
		r, err := openSegment(shelf, key)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if err != nil && !errors.Is(err, ErrLost) {
			return err
		}
	}
	return nil
}

// hexSum is the hex SHA-256 of lines.
func hexSum(lines ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}
