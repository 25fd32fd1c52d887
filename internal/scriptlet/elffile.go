package scriptlet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"

	"slim/internal/rootfs"
)

// Limits for what is read of an ELF file. Files beyond them count as truncated.
const (
	maxProgramHeaders = 4096
	maxDynamicSize    = 1 << 20
	maxNoteSize       = 64 << 10
	maxELFName        = 4096
)

// fileKey names a file of a package: index of the package and of the file.
type fileKey struct{ pkg, file int }

// elfFile is what ldconfig reads of a shared library, before it makes anything of it.
type elfFile struct {
	size    int64
	head    []byte // the first bytes, at most 512
	isELF   bool
	class   byte // 1 is 32-bit, 2 is 64-bit
	kind    uint16
	machine uint16
	flags   uint32

	soname    string
	hasSoname bool
	libc6     bool   // names libc.so.6 or libm.so.6 as needed before its soname is known, or has an interpreter
	isaLevel  uint32 // from the x86 property note
	abiTag    uint32 // from the ABI note: system and kernel version, glibc before 2.36 wrote them down
	fault     string // why it is no library, in ldconfig's words with %s for the name; "" when nothing is wrong
	noDynamic bool   // nothing to complain about, but no library
}

const (
	elfTypeDyn      = 3
	elfClass32      = 1
	elfClass64      = 2
	elfLoad         = 1
	elfDynamic      = 2
	elfInterp       = 3
	elfNote         = 4
	elfGNUProperty  = 0x6474e553
	elfTagNeeded    = 1
	elfTagStrings   = 5
	elfTagSoname    = 14
	elfISANeeded    = 0xc0008002
	elfPropertyType = 5
)

const truncated = "file %s is truncated\n"

var errTruncated = errors.New("truncated")

// elfOf reads a library's headers. What belongs to a package is read once.
func (f *FS) elfOf(n *rootfs.Node, order byteOrder) (*elfFile, error) {
	if n.HardTo != "" {
		if target := f.tree.Node(n.HardTo); target != nil {
			n = target
		}
	}
	key := fileKey{n.Package, n.File}
	if n.Package >= 0 && f.libraries[key] != nil {
		return f.libraries[key], nil
	}
	r := &randomReader{open: func() (io.ReadCloser, error) { return f.OpenNode(n) }}
	defer r.close()
	e := &elfFile{size: n.Size}
	p := elfParser{elfFile: e, r: r, order: order}
	if err := p.parse(); err != nil {
		return nil, fmt.Errorf("reading %s: %w", n.Path, err)
	}
	if n.Package >= 0 {
		if f.libraries == nil {
			f.libraries = map[fileKey]*elfFile{}
		}
		f.libraries[key] = e
	}
	return e, nil
}

// randomReader reads at offsets of something that can only be read from its beginning, again and again if need be.
type randomReader struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
	at   int64
}

func (r *randomReader) close() {
	if r.r != nil {
		r.r.Close()
		r.r = nil
	}
}

// bytes are up to n bytes at an offset, fewer where the file ends.
func (r *randomReader) bytes(off int64, n int) ([]byte, error) {
	if r.r == nil || off < r.at {
		r.close()
		var err error
		if r.r, err = r.open(); err != nil {
			return nil, err
		}
		r.at = 0
	}
	b := make([]byte, n)
	if a, ok := r.r.(io.ReaderAt); ok {
		m, err := a.ReadAt(b, off)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return b[:m], err
	}
	skipped, err := io.CopyN(io.Discard, r.r, off-r.at)
	r.at += skipped
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := io.ReadFull(r.r, b)
	r.at += int64(m)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return b[:m], err
}

type elfParser struct {
	*elfFile
	r        *randomReader
	order    byteOrder
	segments []elfSegment
}

type elfSegment struct {
	kind                         uint32
	offset, address, size, align uint64
}

// parse reads the headers. What is wrong with the file goes to fault; the error is for what cannot be read.
func (p *elfParser) parse() error {
	head, err := p.r.bytes(0, 512)
	if err != nil {
		return err
	}
	p.head = head
	if p.isELF = bytes.HasPrefix(head, []byte("\x7fELF")) && len(head) >= 64; !p.isELF {
		return nil
	}
	p.class = head[4]
	p.kind, p.machine = p.order.Uint16(head[16:]), p.order.Uint16(head[18:])
	p.flags = p.order.Uint32(head[36:])
	if p.class == elfClass64 {
		p.flags = p.order.Uint32(head[48:])
	}
	if p.kind != elfTypeDyn || p.class != elfClass32 && p.class != elfClass64 {
		return nil
	}
	err = p.readSegments()
	if err == nil {
		err = p.readNotes()
	}
	if err == nil {
		err = p.readDynamic()
	}
	if errors.Is(err, errTruncated) {
		p.fault, err = truncated, nil
	}
	return err
}

// exactly is a number of bytes at an offset, or errTruncated.
func (p *elfParser) exactly(off uint64, n int) ([]byte, error) {
	if off > uint64(p.size) || uint64(n) > uint64(p.size)-off {
		return nil, errTruncated
	}
	b, err := p.r.bytes(int64(off), n)
	if err == nil && len(b) < n {
		err = errTruncated
	}
	return b, err
}

// word reads an address-sized number.
func (p *elfParser) word(b []byte) uint64 {
	if p.class == elfClass64 {
		return p.order.Uint64(b)
	}
	return uint64(p.order.Uint32(b))
}

func (p *elfParser) readSegments() error {
	offset, entry, count := uint64(p.order.Uint32(p.head[28:])), 32, int(p.order.Uint16(p.head[44:]))
	if p.class == elfClass64 {
		offset, entry, count = p.order.Uint64(p.head[32:]), 56, int(p.order.Uint16(p.head[56:]))
	}
	if count > maxProgramHeaders {
		return errTruncated
	}
	b, err := p.exactly(offset, entry*count)
	if err != nil {
		return err
	}
	for ; len(b) > 0; b = b[entry:] {
		s := elfSegment{kind: p.order.Uint32(b)}
		if p.class == elfClass64 {
			s.offset, s.address = p.order.Uint64(b[8:]), p.order.Uint64(b[16:])
			s.size, s.align = p.order.Uint64(b[32:]), p.order.Uint64(b[48:])
		} else {
			s.offset, s.address = uint64(p.order.Uint32(b[4:])), uint64(p.order.Uint32(b[8:]))
			s.size, s.align = uint64(p.order.Uint32(b[16:])), uint64(p.order.Uint32(b[28:]))
		}
		p.segments = append(p.segments, s)
	}
	return nil
}

func (p *elfParser) readNotes() error {
	for _, s := range p.segments {
		var use func(kind uint32, desc []byte) bool
		align := s.align
		switch {
		case s.kind == elfInterp:
			b, err := p.name(s.offset)
			if err != nil {
				return err
			}
			p.libc6 = p.libc6 || knownInterpreter(b)
			continue
		case s.kind == elfNote && p.abiTag == 0 && s.size >= 32 && (s.align == 4 || s.align == 8):
			use = p.abiNote
		case s.kind == elfGNUProperty && s.align == uint64(4*p.class):
			use = p.propertyNote
		default:
			continue
		}
		if s.size > maxNoteSize {
			continue
		}
		b, err := p.exactly(s.offset, int(s.size))
		if err != nil {
			return err
		}
		p.eachNote(b, align, use)
	}
	return nil
}

// knownInterpreter tells the dynamic loaders of glibc 2.
func knownInterpreter(name string) bool {
	switch name {
	case "/lib/ld-linux.so.2", "/libx32/ld-linux-x32.so.2", "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1",
		"/lib/ld-linux.so.3", "/lib/ld-linux-armhf.so.3", "/lib/ld.so.1", "/lib/ld64.so.1", "/lib64/ld64.so.1",
		"/lib64/ld64.so.2", "/lib/ld-linux-riscv64-lp64d.so.1", "/lib/ld-linux-riscv64-lp64.so.1":
		return true
	}
	return false
}

// eachNote hands GNU's notes to use until it has what it wants.
func (p *elfParser) eachNote(b []byte, align uint64, use func(kind uint32, desc []byte) bool) {
	up := func(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }
	for len(b) > 12 {
		nameSize, descSize := uint64(p.order.Uint32(b)), uint64(p.order.Uint32(b[4:]))
		start := up(12 + nameSize)
		end := start + descSize
		if end > uint64(len(b)) {
			return
		}
		if nameSize == 4 && string(b[12:16]) == "GNU\x00" && use(p.order.Uint32(b[8:]), b[start:end]) {
			return
		}
		b = b[min(up(end), uint64(len(b))):]
	}
}

func (p *elfParser) abiNote(kind uint32, desc []byte) bool {
	if kind != 1 || len(desc) != 16 {
		return false
	}
	at := func(i int) uint32 { return p.order.Uint32(desc[4*i:]) }
	p.abiTag = at(0)<<24 | at(1)&0xff<<16 | at(2)&0xff<<8 | at(3)&0xff
	return true
}

func (p *elfParser) propertyNote(kind uint32, desc []byte) bool {
	if kind != elfPropertyType {
		return false
	}
	word := uint64(4 * p.class)
	if len(desc) < 8 || uint64(len(desc))%word != 0 {
		return true
	}
	last := uint32(0)
	for len(desc) >= 8 {
		property, size := p.order.Uint32(desc), uint64(p.order.Uint32(desc[4:]))
		if property < last || size > uint64(len(desc)-8) || property > elfISANeeded {
			return true
		}
		last = property
		if property == elfISANeeded {
			if v := uint32(0); size == 4 {
				if v = p.order.Uint32(desc[8:]); v != 0 {
					p.isaLevel = uint32(bits.Len32(v) - 1)
				}
			}
			return true
		}
		desc = desc[min(8+(size+word-1)&^(word-1), uint64(len(desc))):]
	}
	return true
}

func (p *elfParser) readDynamic() error {
	p.noDynamic = true
	var dynamic *elfSegment
	for i := range p.segments {
		if p.segments[i].kind == elfDynamic {
			dynamic = &p.segments[i]
		}
	}
	if dynamic == nil || dynamic.size == 0 {
		return nil
	}
	if dynamic.offset > uint64(p.size) {
		return errTruncated
	}
	b, err := p.r.bytes(int64(dynamic.offset), maxDynamicSize)
	if err != nil {
		return err
	}
	strings, ok, err := p.stringTable(b)
	if err != nil || !ok {
		return err
	}
	p.noDynamic = false
	return p.eachTag(b, func(tag, value uint64) (bool, error) {
		if tag != elfTagNeeded && tag != elfTagSoname {
			return false, nil
		}
		name, err := p.name(strings + value)
		if err != nil {
			return true, err
		}
		if tag == elfTagNeeded {
			p.libc6 = p.libc6 || name == "libc.so.6" || name == "libm.so.6"
		} else {
			p.soname, p.hasSoname = name, true
		}
		return p.hasSoname && p.libc6, nil
	})
}

// eachTag hands the entries of a dynamic section to use until it is done.
func (p *elfParser) eachTag(b []byte, use func(tag, value uint64) (bool, error)) error {
	size := 4 * int(p.class)
	for ; len(b) >= 2*size; b = b[2*size:] {
		tag := p.word(b)
		if tag == 0 {
			return nil
		}
		if done, err := use(tag, p.word(b[size:])); done || err != nil {
			return err
		}
	}
	return errTruncated
}

// stringTable finds the file offset of the dynamic string table.
func (p *elfParser) stringTable(dynamic []byte) (at uint64, ok bool, err error) {
	err = p.eachTag(dynamic, func(tag, value uint64) (bool, error) {
		if tag != elfTagStrings {
			return false, nil
		}
		at, ok = value, true
		for _, s := range p.segments {
			if s.kind == elfLoad && value >= s.address && value-s.address < s.size {
				at = value - s.address + s.offset
				break
			}
		}
		if at > uint64(p.size) {
			return true, errTruncated
		}
		return true, nil
	})
	return at, ok, err
}

// name is the string at an offset.
func (p *elfParser) name(off uint64) (string, error) {
	if off > uint64(p.size) {
		return "", errTruncated
	}
	b, err := p.r.bytes(int64(off), maxELFName)
	if err != nil {
		return "", err
	}
	name, _, ok := bytes.Cut(b, []byte{0})
	if !ok {
		return "", errTruncated
	}
	return string(name), nil
}
