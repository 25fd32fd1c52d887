package scriptlet

import (
	"errors"
	"fmt"
	"io"

	"slim/internal/elf"
	"slim/internal/rootfs"
)

// fileKey names a file of a package: index of the package and of the file.
type fileKey struct{ pkg, file int }

// elfFile is what ldconfig reads of a shared library, before it makes anything of it.
type elfFile struct {
	size    int64
	head    []byte // the first bytes, at most 512
	isELF   bool
	class   elf.Class
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

const truncated = "file %s is truncated\n"

// maxLibraryNote is the size of the largest notes that are looked at.
const maxLibraryNote = 64 << 10

// elfOf reads a library's headers. What belongs to a package is read once.
func (f *FS) elfOf(n *rootfs.Node, order elf.ByteOrder) (*elfFile, error) {
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
	if err := e.parse(r, order); err != nil {
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

// ReadAt is io.ReaderAt's.
func (r *randomReader) ReadAt(b []byte, off int64) (int, error) {
	if r.r == nil || off < r.at {
		r.close()
		var err error
		if r.r, err = r.open(); err != nil {
			return 0, err
		}
		r.at = 0
	}
	if a, ok := r.r.(io.ReaderAt); ok {
		return a.ReadAt(b, off)
	}
	skipped, err := io.CopyN(io.Discard, r.r, off-r.at)
	r.at += skipped
	if err != nil {
		return 0, err
	}
	m, err := io.ReadFull(r.r, b)
	r.at += int64(m)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return m, err
}

// parse reads the headers. What is wrong with the file goes to fault; the error is for what cannot be read.
func (e *elfFile) parse(r io.ReaderAt, order elf.ByteOrder) error {
	e.head = make([]byte, min(512, e.size))
	m, err := r.ReadAt(e.head, 0)
	if e.head = e.head[:m]; err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	h, ok := elf.ParseHeader(e.head, order)
	if e.isELF = ok; !ok {
		return nil
	}
	e.class, e.kind, e.machine, e.flags = h.Class, h.Type, h.Machine, h.Flags
	if e.kind != elf.TypeDyn || e.class != elf.Class32 && e.class != elf.Class64 {
		return nil
	}
	f, err := elf.Open(r, e.size, order)
	if err == nil {
		err = e.readNotes(f)
	}
	if err == nil {
		err = e.readDynamic(f)
	}
	if errors.Is(err, elf.ErrTruncated) {
		e.fault, err = truncated, nil
	}
	return err
}

func (e *elfFile) readNotes(f *elf.File) error {
	for _, s := range f.Segments {
		isABI := s.Kind == elf.SegmentNote && e.abiTag == 0 && s.Size >= 32 && (s.Align == 4 || s.Align == 8)
		isProperty := s.Kind == elf.SegmentProperty && s.Align == uint64(4*e.class)
		switch {
		case s.Kind == elf.SegmentInterp:
			name, err := f.Name(s.Offset)
			if err != nil {
				return err
			}
			e.libc6 = e.libc6 || knownInterpreter(name)
			continue
		case !isABI && !isProperty || s.Size > maxLibraryNote:
			continue
		}
		notes, err := f.Notes(s)
		if err != nil {
			return err
		}
		for _, n := range notes {
			if tag, ok := f.ABITag(n); isABI && ok {
				e.abiTag = tag
				break
			}
			if isProperty && n.IsProperties() {
				e.isaLevel = f.ISALevel(n)
				break
			}
		}
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

func (e *elfFile) readDynamic(f *elf.File) error {
	e.noDynamic = true
	entries, unended := f.Dynamic()
	if unended != nil && !errors.Is(unended, elf.ErrTruncated) {
		return unended
	}
	strings, ok, err := f.StringTable(entries)
	if err != nil {
		return err
	}
	if !ok {
		return unended
	}
	e.noDynamic = false
	for _, entry := range entries {
		if entry.Tag != elf.TagNeeded && entry.Tag != elf.TagSoname {
			continue
		}
		name, err := f.Name(strings + entry.Value)
		if err != nil {
			return err
		}
		if entry.Tag == elf.TagNeeded {
			e.libc6 = e.libc6 || name == "libc.so.6" || name == "libm.so.6"
		} else {
			e.soname, e.hasSoname = name, true
		}
		if e.hasSoname && e.libc6 {
			return nil
		}
	}
	return unended
}
