package rpm

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// The cpio formats of payloads (lib/cpio.c): SVR4 "newc", whose header is a magic and 13 numbers of 8 hex digits, the name
// and padding, and rpm's own "stripped" one for files that do not fit it, whose header is a magic and the file's index in
// the package header. Header and content are each padded to a multiple of 4 bytes. A newc entry named TRAILER!!!, or a
// stripped one of index ffffffff, is last.
const (
	cpioMagicSize    = 6
	cpioNewcSize     = cpioMagicSize + 13*8
	cpioStrippedSize = cpioMagicSize + 8
	cpioTrailer      = "TRAILER!!!"
	maxCpioName      = 4096 + 2 // a path and its "./"
)

// cpioEntry is the head of an entry. Either name or, in the stripped format, index says which file it is.
type cpioEntry struct {
	stripped bool
	index    uint32
	name     string
	mode     uint32
	size     int64 // of the content, -1 in the stripped format: the package header knows
}

// cpioReader reads heads; whoever reads an entry's content does so from it too, and pads before the next head.
type cpioReader struct {
	r   *bufio.Reader
	pos int64
}

func (c *cpioReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.pos += int64(n)
	return n, err
}

func (c *cpioReader) discard(n int64) error {
	for n > 0 {
		k, err := c.r.Discard(int(min(n, 1<<20)))
		c.pos += int64(k)
		n -= int64(k)
		if err != nil {
			return noEOF(err)
		}
	}
	return nil
}

// pad skips to a multiple of 4.
func (c *cpioReader) pad() error { return c.discard(-c.pos & 3) }

// next reads a head and its padding; io.EOF means the trailer.
func (c *cpioReader) next() (cpioEntry, error) {
	var b [cpioNewcSize]byte
	if _, err := io.ReadFull(c, b[:cpioMagicSize]); err != nil {
		return cpioEntry{}, fmt.Errorf("cpio magic: %w", noEOF(err))
	}
	switch magic := b[:cpioMagicSize]; {
	case bytes.Equal(magic, []byte("07070X")):
		return c.nextStripped(b[cpioMagicSize:cpioStrippedSize])
	case bytes.Equal(magic, []byte("070701")), bytes.Equal(magic, []byte("070702")):
		return c.nextNewc(b[cpioMagicSize:])
	default:
		return cpioEntry{}, fmt.Errorf("cpio magic %q", magic)
	}
}

func (c *cpioReader) nextStripped(b []byte) (cpioEntry, error) {
	if _, err := io.ReadFull(c, b); err != nil {
		return cpioEntry{}, fmt.Errorf("cpio header: %w", noEOF(err))
	}
	index, err := cpioNumber(b)
	if err != nil {
		return cpioEntry{}, err
	}
	if index == math.MaxUint32 {
		return cpioEntry{}, io.EOF
	}
	return cpioEntry{stripped: true, index: index, size: -1}, c.pad()
}

func (c *cpioReader) nextNewc(b []byte) (cpioEntry, error) {
	if _, err := io.ReadFull(c, b); err != nil {
		return cpioEntry{}, fmt.Errorf("cpio header: %w", noEOF(err))
	}
	var numbers [13]uint32 // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize checksum
	for i := range numbers {
		n, err := cpioNumber(b[8*i : 8*i+8])
		if err != nil {
			return cpioEntry{}, err
		}
		numbers[i] = n
	}
	size := numbers[11]
	if size < 2 || size > maxCpioName+1 {
		return cpioEntry{}, fmt.Errorf("cpio name of %d bytes", size)
	}
	name := make([]byte, size)
	if _, err := io.ReadFull(c, name); err != nil {
		return cpioEntry{}, fmt.Errorf("cpio name: %w", noEOF(err))
	}
	if i := bytes.IndexByte(name, 0); i != len(name)-1 {
		return cpioEntry{}, errors.New("cpio name does not end where it should")
	}
	e := cpioEntry{name: string(name[:size-1]), mode: numbers[1], size: int64(numbers[6])}
	if err := c.pad(); err != nil {
		if e.name == cpioTrailer { // some writers end the archive right here
			return cpioEntry{}, io.EOF
		}
		return cpioEntry{}, fmt.Errorf("cpio header: %w", err)
	}
	if e.name == cpioTrailer {
		return cpioEntry{}, io.EOF
	}
	return e, nil
}

func cpioNumber(b []byte) (uint32, error) {
	n, err := strconv.ParseUint(string(b), 16, 32)
	if err != nil || b[0] == '+' || bytes.IndexByte(b, '_') >= 0 {
		return 0, fmt.Errorf("cpio number %q", b)
	}
	return uint32(n), nil
}
