package repomd

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"slim/internal/rpm"
)

// MismatchError says that bytes are not those that the metadata promised.
type MismatchError struct {
	What      string // the type of the record, or repomd.xml
	Want, Got string // sizes or checksums, in words
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s is not what the repository promises: %s instead of %s", e.What, e.Got, e.Want)
}

// Open decompresses r, the bytes of rec as they are stored: gzip, xz, zstd, bzip2 or nothing, known by how they begin. What
// it returns fails with a *MismatchError before io.EOF when size or open checksum are not rec's (what rec does not say is not
// checked; for what is not compressed the checksum is the open checksum), and after more than MaxOpenSize bytes. The
// caller closes it, which does not close r, and has the whole file verified only once he has read io.EOF.
func Open(r io.Reader, rec Record) (io.ReadCloser, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	plain, release, stored, err := decompress(b)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", rec.Type, err)
	}
	v := &verified{r: plain, release: release, what: rec.Type, want: rec.OpenChecksum, size: rec.OpenSize, limit: MaxOpenSize}
	if stored && v.want.IsZero() {
		v.want = rec.Checksum
	}
	if stored && v.size <= 0 {
		v.size = rec.Size
	}
	if v.size > MaxOpenSize {
		release()
		return nil, fmt.Errorf("opening %s: %d bytes are more than %d", rec.Type, v.size, int64(MaxOpenSize))
	}
	if v.size > 0 {
		v.limit = v.size
	}
	if !v.want.IsZero() {
		if v.hash = v.want.NewHash(); v.hash == nil {
			release()
			return nil, fmt.Errorf("opening %s: unknown checksum algorithm %q", rec.Type, v.want.Algorithm)
		}
	}
	return v, nil
}

// decompress returns what is in b, what to call at the end, and whether b is not compressed.
func decompress(b *bufio.Reader) (io.Reader, func(), bool, error) {
	const window = 128 << 20 // zstd --ultra -22 needs as much
	nothing := func() {}
	magic, err := b.Peek(6)
	if err != nil && err != io.EOF {
		return nil, nil, false, err
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(b)
		return z, nothing, false, err
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		z, err := xz.NewReader(b, xz.DefaultDictMax)
		return z, nothing, false, err
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// One goroutine: nothing is left behind by who forgets to close.
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, nil, false, err
		}
		return z, z.Close, false, nil
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(b), nothing, false, nil
	case bytes.HasPrefix(magic, []byte("\x00ZCK1")), bytes.HasPrefix(magic, []byte("\x00ZHR1")):
		return nil, nil, false, errors.New("zchunk is not read; take the record without _zck")
	}
	return b, nothing, true, nil
}

// verified reads r and fails instead of io.EOF when it was not what was promised.
type verified struct {
	r       io.Reader
	release func()
	hash    hash.Hash // nil: no checksum known
	what    string
	want    rpm.Checksum
	size    int64 // <= 0: not known
	limit   int64
	n       int64
	err     error
}

func (v *verified) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if int64(len(p)) > v.limit-v.n+1 {
		p = p[:v.limit-v.n+1]
	}
	n, err := v.r.Read(p)
	if int64(n) > v.limit-v.n {
		v.err = fmt.Errorf("reading %s: more than %d bytes", v.what, v.limit)
		if v.size > 0 {
			v.err = &MismatchError{What: v.what, Want: fmt.Sprintf("%d bytes", v.size), Got: "more"}
		}
		return 0, v.err
	}
	v.n += int64(n)
	if v.hash != nil {
		v.hash.Write(p[:n])
	}
	switch {
	case err == io.EOF:
		v.err = v.atEnd()
	case err != nil:
		v.err = fmt.Errorf("reading %s: %w", v.what, err)
	}
	if n > 0 && v.err == io.EOF {
		return n, nil
	}
	return n, v.err
}

func (v *verified) atEnd() error {
	if v.size > 0 && v.n != v.size {
		return &MismatchError{What: v.what, Want: fmt.Sprintf("%d bytes", v.size), Got: fmt.Sprintf("%d", v.n)}
	}
	if v.hash == nil {
		return io.EOF
	}
	if got := hex.EncodeToString(v.hash.Sum(nil)); got != v.want.Hex {
		return &MismatchError{What: v.what, Want: v.want.String(), Got: v.want.Algorithm + ":" + got}
	}
	return io.EOF
}

// Close releases the decompressor.
func (v *verified) Close() error {
	if v.release != nil {
		v.release()
		v.release = nil
	}
	if v.err == nil {
		v.err = errors.New("the reader is closed")
	}
	return nil
}
