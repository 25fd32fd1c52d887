package elf

import (
	"bytes"
	"io"
	"slices"
	"strings"
)

// maxNeeded bounds the libraries that a file names as needed.
const maxNeeded = 4096

// Flags of dynamic entries.
const (
	flagBindNow    = 8         // DT_FLAGS
	flag1Now       = 1         // DT_FLAGS_1
	flag1NoDefault = 0x800     // DT_FLAGS_1
	flag1PIE       = 0x8000000 // DT_FLAGS_1
)

// Object is what the dynamic loader, and somebody who wants to know what it will do, reads of a file.
type Object struct {
	Header
	Interpreter string // the dynamic loader that a program asks for, "" without one
	Dynamic     bool   // there is a dynamic section: what has none is a static program
	Needed      []string
	Soname      string
	RPath       string // "" where RunPath is set, which takes its place
	RunPath     string
	NoDefault   bool // the loader's own directories do not count (DF_1_NODEFLIB)
	Dlopen      []Dlopen
	Package     string   // packaging metadata, a JSON object; "" without
	Imports     []string // names of undefined dynamic symbols, in their order
	HasSymbols  bool     // the file has a table that Imports are read from
	Hardening   Hardening
}

// IsProgram reports whether the kernel can run the file by itself: it names a loader, or is no library.
func (o *Object) IsProgram() bool {
	return o.Type == TypeExec || o.Interpreter != "" || o.Type == TypeDyn && o.Hardening.PIE == Yes
}

// Imported reports whether any of the imports is accepted.
func (o *Object) Imported(accept func(name string) bool) bool {
	return slices.ContainsFunc(o.Imports, accept)
}

// ReadObject reads all that Object holds. The errors are ErrNotELF, ErrTruncated and those of r.
func ReadObject(r io.ReaderAt, size int64) (*Object, error) {
	f, err := Open(r, size, nil)
	if err != nil {
		return nil, err
	}
	o := &Object{Header: f.Header}
	if s := f.segmentOf(SegmentInterp); s != nil {
		if o.Interpreter, err = f.Name(s.Offset); err != nil {
			return nil, err
		}
	}
	entries, err := f.Dynamic()
	if err != nil {
		return nil, err
	}
	o.Dynamic = entries != nil
	if err := o.names(f, entries); err != nil {
		return nil, err
	}
	if o.Imports, o.HasSymbols, err = f.imports(entries); err != nil {
		return nil, err
	}
	features, err := o.notes(f)
	if err != nil {
		return nil, err
	}
	o.Hardening = hardening(f, o, entries, features)
	return o, nil
}

// names reads the dynamic entries that are strings.
func (o *Object) names(f *File, entries []DynamicEntry) error {
	strs, ok, err := f.StringTable(entries)
	if err != nil || !ok {
		return err
	}
	for _, e := range entries {
		switch e.Tag {
		case TagNeeded, TagSoname, TagRPath, TagRunPath:
		case TagFlags1:
			o.NoDefault = e.Value&flag1NoDefault != 0
			continue
		default:
			continue
		}
		name, err := f.Name(strs + e.Value)
		if err != nil {
			return err
		}
		switch e.Tag {
		case TagNeeded:
			if len(o.Needed) == maxNeeded {
				return ErrTruncated
			}
			o.Needed = append(o.Needed, name)
		case TagSoname:
			o.Soname = name
		case TagRPath:
			o.RPath = name
		case TagRunPath:
			o.RunPath = name
		}
	}
	if o.RunPath != "" {
		o.RPath = ""
	}
	return nil
}

// notes reads the notes that are known; features are the bits of the processor's property.
func (o *Object) notes(f *File) (features uint32, err error) {
	for _, s := range f.Segments {
		if s.Kind != SegmentNote && s.Kind != SegmentProperty {
			continue
		}
		notes, err := f.Notes(s)
		if err != nil {
			return 0, err
		}
		for _, n := range notes {
			switch {
			case n.IsProperties():
				f.eachProperty(n, func(property, value uint32) {
					if property == propertyX86 || property == propertyAArch64 {
						features = value
					}
				})
			case n.Owner == "FDO" && n.Type == notePackage:
				o.Package = strings.ToValidUTF8(string(bytes.TrimRight(n.Desc, "\x00")), "\uFFFD")
			case n.Owner == "FDO" && n.Type == noteDlopen && s.Kind == SegmentNote:
				more := dlopen(n.Desc)
				o.Dlopen = append(o.Dlopen, more[:min(len(more), maxDlopen-len(o.Dlopen))]...)
			}
		}
	}
	return features, nil
}
