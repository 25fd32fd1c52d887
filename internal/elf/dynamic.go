package elf

import "strings"

// Tags of dynamic entries.
const (
	TagNeeded  = 1
	TagHash    = 4
	TagStrings = 5
	TagSymbols = 6
	TagStrSize = 10
	TagSoname  = 14
	TagRPath   = 15
	TagBindNow = 24
	TagRunPath = 29
	TagFlags   = 30
	TagGNUHash = 0x6ffffef5
	TagFlags1  = 0x6ffffffb
)

// DynamicEntry is an entry of the dynamic section.
type DynamicEntry struct{ Tag, Value uint64 }

// Dynamic are the entries of the dynamic section down to the one that ends it, nil when there is no such section. When
// nothing ends it they come with ErrTruncated.
func (f *File) Dynamic() ([]DynamicEntry, error) {
	s := f.segmentOf(SegmentDynamic)
	if s == nil || s.Size == 0 {
		return nil, nil
	}
	b, err := f.UpTo(s.Offset, maxDynamicSize)
	if err != nil {
		return nil, err
	}
	entries := []DynamicEntry{}
	size := 4 * int(f.Class)
	for ; len(b) >= 2*size; b = b[2*size:] {
		e := DynamicEntry{f.word(b), f.word(b[size:])}
		if e.Tag == 0 {
			return entries, nil
		}
		entries = append(entries, e)
	}
	return entries, ErrTruncated
}

// StringTable is the offset in the file of the dynamic section's strings; ok is false when the entries name none.
func (f *File) StringTable(dynamic []DynamicEntry) (at uint64, ok bool, err error) {
	for _, e := range dynamic {
		if e.Tag == TagStrings {
			if at = f.offset(e.Value); at > uint64(f.size) {
				return 0, true, ErrTruncated
			}
			return at, true, nil
		}
	}
	return 0, false, nil
}

// valueOf is the value of the last entry with a tag.
func valueOf(dynamic []DynamicEntry, tag uint64) (uint64, bool) {
	value, ok := uint64(0), false
	for _, e := range dynamic {
		if e.Tag == tag {
			value, ok = e.Value, true
		}
	}
	return value, ok
}

// imports are the names of the symbols that a file wants of others. known is false when it has no table of symbols.
func (f *File) imports(dynamic []DynamicEntry) (names []string, known bool, err error) {
	table, ok := valueOf(dynamic, TagSymbols)
	at, hasStrings, err := f.StringTable(dynamic)
	size, hasSize := valueOf(dynamic, TagStrSize)
	if !ok || !hasStrings || !hasSize || err != nil {
		return nil, false, err
	}
	if size > maxStrings {
		return nil, false, ErrTruncated
	}
	b, err := f.exactly(at, size)
	if err != nil {
		return nil, false, err
	}
	count, err := f.symbolCount(dynamic, table)
	if err != nil {
		return nil, false, err
	}
	entry := uint64(16)
	if f.Class == Class64 {
		entry = 24
	}
	symbols, err := f.exactly(f.offset(table), entry*count)
	if err != nil {
		return nil, false, err
	}
	strs := string(b) // names are parts of it: they take no memory of their own, however many there are
	for i := range count {
		s := symbols[i*entry : (i+1)*entry]
		section := s[14:]
		if f.Class == Class64 {
			section = s[6:]
		}
		name := uint64(f.Order.Uint32(s))
		if name == 0 || f.Order.Uint16(section) != 0 || name >= uint64(len(strs)) {
			continue
		}
		text, _, ok := strings.Cut(strs[name:min(uint64(len(strs)), name+MaxName)], "\x00")
		if ok {
			names = append(names, text)
		}
	}
	return names, true, nil
}

// symbolCount is the number of dynamic symbols, which nothing in a file says outright. The old hash table has as many
// chains; GNU's is followed to its last symbol. Where nothing is hashed the table ends at its strings, as glibc takes it
// (elf/dl-addr.c).
func (f *File) symbolCount(dynamic []DynamicEntry, table uint64) (uint64, error) {
	count := uint64(0)
	if at, ok := valueOf(dynamic, TagHash); ok {
		b, err := f.exactly(f.offset(at), 8)
		if err != nil {
			return 0, err
		}
		count = uint64(f.Order.Uint32(b[4:]))
	} else if at, ok := valueOf(dynamic, TagGNUHash); ok {
		var err error
		if count, err = f.hashedCount(f.offset(at)); err != nil {
			return 0, err
		}
	}
	if count == 0 {
		strs, _ := valueOf(dynamic, TagStrings)
		if strs <= table {
			return 0, nil
		}
		count = (strs - table) / 16
		if f.Class == Class64 {
			count = (strs - table) / 24
		}
	}
	if count > maxSymbols {
		return 0, ErrTruncated
	}
	return count, nil
}

// hashedCount is the number of symbols down to the last that GNU's hash table at an offset has, 0 when it has none.
func (f *File) hashedCount(at uint64) (uint64, error) {
	b, err := f.exactly(at, 16)
	if err != nil {
		return 0, err
	}
	buckets, first, bloom := uint64(f.Order.Uint32(b)), uint64(f.Order.Uint32(b[4:])), uint64(f.Order.Uint32(b[8:]))
	if buckets > maxSymbols || bloom > maxSymbols {
		return 0, ErrTruncated
	}
	at += 16 + 4*uint64(f.Class)*bloom
	if b, err = f.exactly(at, 4*buckets); err != nil {
		return 0, err
	}
	last := uint64(0)
	for ; len(b) > 0; b = b[4:] {
		last = max(last, uint64(f.Order.Uint32(b)))
	}
	if last < first || last == 0 {
		return 0, nil
	}
	// The chain of the last bucket ends with a number whose lowest bit is set.
	at += 4*buckets + 4*(last-first)
	if b, err = f.UpTo(at, 4*maxSymbols); err != nil {
		return 0, err
	}
	for ; len(b) >= 4; b = b[4:] {
		last++
		if f.Order.Uint32(b)&1 != 0 {
			return last, nil
		}
	}
	return 0, ErrTruncated
}
