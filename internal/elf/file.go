package elf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
)

// Limits for what is read of a file. Files beyond them count as truncated.
const (
	HeaderSize        = 64 // bytes that a header takes at most
	MaxName           = 4096
	maxProgramHeaders = 4096
	maxDynamicSize    = 1 << 20
	maxNoteSize       = 1 << 20
	maxStrings        = 64 << 20
	maxSymbols        = 1 << 20
)

var (
	// ErrTruncated says that something lies beyond the end of the file, or is larger than it may be.
	ErrTruncated = errors.New("truncated")
	// ErrNotELF says that a file is none, or of an unknown class or byte order.
	ErrNotELF = errors.New("not an ELF file")
)

// ByteOrder is how numbers are read and written.
type ByteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// Class is the width of a file's addresses.
type Class byte

// The classes. A word has four bytes times the class.
const (
	Class32 Class = 1
	Class64 Class = 2
)

// Types of file.
const (
	TypeExec = 2
	TypeDyn  = 3 // a library, or a program that may lie anywhere
)

// Kinds of segment.
const (
	SegmentLoad     = 1
	SegmentDynamic  = 2
	SegmentInterp   = 3
	SegmentNote     = 4
	SegmentProperty = 0x6474e553 // GNU's property note
	SegmentStack    = 0x6474e551
	SegmentRelro    = 0x6474e552
)

// Header is the beginning of a file.
type Header struct {
	Class   Class // any number that the file has
	Order   ByteOrder
	OSABI   byte
	Type    uint16
	Machine uint16
	Flags   uint32 // of the processor

	at, count uint64 // of the program headers
}

// Segment is a program header.
type Segment struct {
	Kind    uint32
	Flags   uint32 // 1 may be executed, 2 written, 4 read
	Offset  uint64 // in the file
	Address uint64
	Size    uint64 // in the file
	Align   uint64
}

// File is an open file. It is safe for concurrent use where its reader is.
type File struct {
	Header
	Segments []Segment

	r    io.ReaderAt
	size int64
}

// IsELF tells by its first bytes whether a file is one.
func IsELF(b []byte) bool { return bytes.HasPrefix(b, []byte("\x7fELF")) }

// ParseHeader reads the first HeaderSize bytes of a file, in an order, or in the one the file tells when order is nil. It
// reports false when there are fewer bytes or they are of no ELF file.
func ParseHeader(b []byte, order ByteOrder) (Header, bool) {
	if len(b) < HeaderSize || !IsELF(b) {
		return Header{}, false
	}
	if order == nil {
		switch b[5] {
		case 1:
			order = binary.LittleEndian
		case 2:
			order = binary.BigEndian
		default:
			return Header{}, false
		}
	}
	h := Header{Class: Class(b[4]), Order: order, OSABI: b[7], Type: order.Uint16(b[16:]), Machine: order.Uint16(b[18:])}
	if h.Class == Class64 {
		h.Flags, h.at, h.count = order.Uint32(b[48:]), order.Uint64(b[32:]), uint64(order.Uint16(b[56:]))
	} else {
		h.Flags, h.at, h.count = order.Uint32(b[36:]), uint64(order.Uint32(b[28:])), uint64(order.Uint16(b[44:]))
	}
	return h, true
}

// Open reads the program headers of a file. A nil order is the one the file tells.
func Open(r io.ReaderAt, size int64, order ByteOrder) (*File, error) {
	f := &File{r: r, size: size}
	b, err := f.UpTo(0, HeaderSize)
	if err != nil {
		return nil, err
	}
	var ok bool
	if f.Header, ok = ParseHeader(b, order); !ok || f.Class != Class32 && f.Class != Class64 {
		return nil, ErrNotELF
	}
	if f.count > maxProgramHeaders {
		return nil, ErrTruncated
	}
	entry := 32
	if f.Class == Class64 {
		entry = 56
	}
	if b, err = f.exactly(f.at, uint64(entry)*f.count); err != nil {
		return nil, err
	}
	for ; len(b) > 0; b = b[entry:] {
		f.Segments = append(f.Segments, f.segment(b))
	}
	return f, nil
}

func (f *File) segment(b []byte) Segment {
	o := f.Order
	if f.Class == Class64 {
		return Segment{
			Kind: o.Uint32(b), Flags: o.Uint32(b[4:]), Offset: o.Uint64(b[8:]), Address: o.Uint64(b[16:]),
			Size: o.Uint64(b[32:]), Align: o.Uint64(b[48:]),
		}
	}
	return Segment{
		Kind: o.Uint32(b), Flags: o.Uint32(b[24:]), Offset: uint64(o.Uint32(b[4:])), Address: uint64(o.Uint32(b[8:])),
		Size: uint64(o.Uint32(b[16:])), Align: uint64(o.Uint32(b[28:])),
	}
}

// UpTo are the bytes at an offset, at most n, fewer where the file ends.
func (f *File) UpTo(off uint64, n int) ([]byte, error) {
	if off > uint64(f.size) {
		return nil, ErrTruncated
	}
	b := make([]byte, min(int64(n), f.size-int64(off)))
	m, err := f.r.ReadAt(b, int64(off))
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:m], err
}

// exactly are n bytes at an offset, or ErrTruncated.
func (f *File) exactly(off, n uint64) ([]byte, error) {
	if off > uint64(f.size) || n > uint64(f.size)-off {
		return nil, ErrTruncated
	}
	b, err := f.UpTo(off, int(n))
	if err == nil && uint64(len(b)) < n {
		err = ErrTruncated
	}
	return b, err
}

// Name is the NUL-terminated string of at most MaxName bytes at an offset.
func (f *File) Name(off uint64) (string, error) {
	b, err := f.UpTo(off, MaxName)
	if err != nil {
		return "", err
	}
	name, _, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return "", ErrTruncated
	}
	return string(name), nil
}

// word reads an address-sized number.
func (f *File) word(b []byte) uint64 {
	if f.Class == Class64 {
		return f.Order.Uint64(b)
	}
	return uint64(f.Order.Uint32(b))
}

// offset is where in the file an address is loaded from; the address itself when no segment has it.
func (f *File) offset(address uint64) uint64 {
	for _, s := range f.Segments {
		if s.Kind == SegmentLoad && address >= s.Address && address-s.Address < s.Size {
			return address - s.Address + s.Offset
		}
	}
	return address
}

// segmentOf is the last segment of a kind, nil without one.
func (f *File) segmentOf(kind uint32) *Segment {
	for i := range f.Segments {
		if s := &f.Segments[len(f.Segments)-1-i]; s.Kind == kind {
			return s
		}
	}
	return nil
}
