package elf

import (
	"bytes"
	"encoding/json"
	"math/bits"
)

// Types of notes.
const (
	noteABI      = 1          // GNU
	noteProperty = 5          // GNU
	notePackage  = 0xcafe1a7e // FDO
	noteDlopen   = 0x407c0c0a // FDO
)

// Properties of GNU's property note.
const (
	propertyAArch64 = 0xc0000000
	propertyX86     = 0xc0000002
	propertyX86ISA  = 0xc0008002
)

const (
	maxDlopen        = 1024 // entries of a file's dlopen notes
	maxDlopenSonames = 64   // of one entry
)

// Note is one note.
type Note struct {
	Owner string // without the NUL that ends it
	Type  uint32
	Desc  []byte
}

// Dlopen is something a file says it may load at run time.
type Dlopen struct {
	Sonames     []string `json:"soname"` // alternatives, the best first
	Feature     string   `json:"feature"`
	Description string   `json:"description"`
	Priority    string   `json:"priority"` // required, recommended or suggested; "" is recommended
}

// Notes are the notes of a segment. A note that goes beyond the segment ends them.
func (f *File) Notes(s Segment) ([]Note, error) {
	if s.Size > maxNoteSize {
		return nil, ErrTruncated
	}
	b, err := f.exactly(s.Offset, s.Size)
	if err != nil {
		return nil, err
	}
	align := uint64(4)
	if s.Align == 8 {
		align = 8
	}
	up := func(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }
	var notes []Note
	for len(b) > 12 {
		nameSize, descSize := uint64(f.Order.Uint32(b)), uint64(f.Order.Uint32(b[4:]))
		start := up(12 + nameSize)
		end := start + descSize
		if end > uint64(len(b)) {
			break
		}
		owner := string(bytes.TrimSuffix(b[12:12+nameSize], []byte{0}))
		notes = append(notes, Note{Owner: owner, Type: f.Order.Uint32(b[8:]), Desc: b[start:end]})
		b = b[min(up(end), uint64(len(b))):]
	}
	return notes, nil
}

// ABITag is the lowest system that a file asks for, as ldconfig writes it: system, major, minor and patch level of the
// kernel in a byte each. ok is false when the note is none of that kind.
func (f *File) ABITag(n Note) (tag uint32, ok bool) {
	if n.Owner != "GNU" || n.Type != noteABI || len(n.Desc) != 16 {
		return 0, false
	}
	at := func(i int) uint32 { return f.Order.Uint32(n.Desc[4*i:]) }
	return at(0)<<24 | at(1)&0xff<<16 | at(2)&0xff<<8 | at(3)&0xff, true
}

// IsProperties reports whether a note holds GNU's properties.
func (n Note) IsProperties() bool { return n.Owner == "GNU" && n.Type == noteProperty }

// eachProperty hands the four-byte properties of a property note to use, down to the first that is out of order.
func (f *File) eachProperty(n Note, use func(property, value uint32)) {
	word := uint64(4 * f.Class)
	desc := n.Desc
	if len(desc) < 8 || uint64(len(desc))%word != 0 {
		return
	}
	last := uint32(0)
	for len(desc) >= 8 {
		property, size := f.Order.Uint32(desc), uint64(f.Order.Uint32(desc[4:]))
		if property < last || size > uint64(len(desc)-8) {
			return
		}
		last = property
		if size == 4 {
			use(property, f.Order.Uint32(desc[8:]))
		}
		desc = desc[min(8+(size+word-1)&^(word-1), uint64(len(desc))):]
	}
}

// ISALevel is the highest level of x86-64 that a property note asks for, counted from 0; 0 without one.
func (f *File) ISALevel(n Note) uint32 {
	level := uint32(0)
	f.eachProperty(n, func(property, value uint32) {
		if property == propertyX86ISA && value != 0 {
			level = uint32(bits.Len32(value) - 1)
		}
	})
	return level
}

// dlopen reads a dlopen note: a JSON array (systemd, docs/ELF_DLOPEN_METADATA.md). What is not of that form is nil.
func dlopen(desc []byte) []Dlopen {
	var out []Dlopen
	if json.Unmarshal(bytes.TrimRight(desc, "\x00"), &out) != nil {
		return nil
	}
	for i := range out {
		out[i].Sonames = out[i].Sonames[:min(len(out[i].Sonames), maxDlopenSonames)]
	}
	return out
}
