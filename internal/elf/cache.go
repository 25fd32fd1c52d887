package elf

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// The formats of /etc/ld.so.cache (glibc, sysdeps/generic/dl-cache.h and elf/cache.c).
const (
	cacheMagicOld     = "ld.so-1.7.0"
	cacheMagicNew     = "glibc-ld.so.cache1.1"
	cacheHeadOld      = 16 // magic, padding, number of libraries
	cacheEntryOld     = 12
	cacheHeadNew      = 48
	cacheEntryNew     = 24
	cacheExtension    = 0xeaa42174
	cacheLittleEndian = 2
	cacheBigEndian    = 3
	cacheHwcapNamed   = 1 << 62
)

// MaxCacheEntries bounds the libraries of a cache, written or read.
const MaxCacheEntries = 1 << 18

// Kinds of library: the type and what it asks of the processor (glibc, sysdeps/generic/ldconfig.h).
const (
	FlagELF         = 1
	FlagLibc6       = 3
	FlagX8664       = 0x300
	FlagS390        = 0x400
	FlagPowerPC     = 0x500
	FlagX32         = 0x800
	FlagARMHard     = 0x900
	FlagAArch64     = 0xa00
	FlagARMSoft     = 0xb00
	FlagRISCVSoft   = 0xf00
	FlagRISCVDouble = 0x1000
)

// CacheEntry is one library of a cache.
type CacheEntry struct {
	Lib, Path string
	Flags     uint32
	OSVersion uint32
	ISALevel  uint32
	Hwcap     uint64 // of the directories that glibc before 2.37 looked into
	Named     string // subdirectory of glibc-hwcaps, "" for none
}

// CacheFormat says how a version of ldconfig writes its cache.
type CacheFormat struct {
	Order     ByteOrder
	Compat    bool   // the old format first, the new one hidden behind it: the default before glibc 2.32
	Extension bool   // from glibc 2.33 on: merged strings, byte order, generator, names of hwcaps
	Generator string // what the extension says of who wrote it
}

// CompareLibraryNames orders the names of libraries: numbers by value, higher than any other byte.
func CompareLibraryNames(a, b string) int {
	at := func(s string, i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	i, j := 0, 0
	for i < len(a) {
		x, y := a[i], at(b, j)
		switch {
		case digit(x) && digit(y):
			var v, w int32
			for ; digit(at(a, i)); i++ {
				v = v*10 + int32(a[i]-'0')
			}
			for ; digit(at(b, j)); j++ {
				w = w*10 + int32(b[j]-'0')
			}
			if v != w {
				return cmp.Compare(v, w)
			}
		case digit(x):
			return 1
		case digit(y):
			return -1
		case x != y:
			return int(int8(x)) - int(int8(y))
		default:
			i++
			j++
		}
	}
	return -int(int8(at(b, j)))
}

// compareEntries is the order of a cache: names downwards, the more special of the same name first.
func compareEntries(a, b *CacheEntry) int {
	named := func(e *CacheEntry) int {
		if e.Named != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(
		CompareLibraryNames(b.Lib, a.Lib),
		cmp.Compare(b.Flags, a.Flags),
		cmp.Compare(named(a), named(b)),
		strings.Compare(a.Named, b.Named),
		cmp.Compare(bits.OnesCount64(b.Hwcap), bits.OnesCount64(a.Hwcap)),
		cmp.Compare(b.Hwcap, a.Hwcap),
		cmp.Compare(b.OSVersion, a.OSVersion),
	)
}

// Encode is the content of a cache. Entries that compare equal stay in their order. names are all subdirectories of
// glibc-hwcaps that were seen, with a library in them or not.
func (f CacheFormat) Encode(entries []CacheEntry, names []string) []byte {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b CacheEntry) int { return compareEntries(&a, &b) })
	var pool stringPool
	if f.Extension {
		pool = mergedStrings(entries, names)
	} else {
		pool = plainStrings(entries)
	}
	var old []byte
	if f.Compat {
		old = f.encodeOld(entries, pool)
	}
	used := usedNames(entries)
	strs := uint32(cacheHeadNew + cacheEntryNew*len(entries))
	b := append([]byte{}, cacheMagicNew...)
	b = f.Order.AppendUint32(b, uint32(len(entries)))
	b = f.Order.AppendUint32(b, uint32(len(pool.bytes)))
	b = append(b, make([]byte, cacheHeadNew-len(b))...)
	for i, e := range entries {
		b = f.Order.AppendUint32(b, e.Flags)
		b = f.Order.AppendUint32(b, strs+pool.lib[i])
		b = f.Order.AppendUint32(b, strs+pool.path[i])
		b = f.Order.AppendUint32(b, e.OSVersion)
		hwcap := e.Hwcap
		if e.Named != "" {
			index, _ := slices.BinarySearch(used, e.Named)
			hwcap = cacheHwcapNamed | uint64(e.ISALevel)<<32 | uint64(index)
		}
		b = f.Order.AppendUint64(b, hwcap)
	}
	b = append(b, pool.bytes...)
	if f.Extension {
		b = f.appendExtension(b, strs, pool, used)
	}
	return append(old, b...)
}

// encodeOld is the part in the format of libc5 and glibc 2.0, which knows no hwcaps. Its strings are those of the new
// part, whose beginning its own offsets count from.
func (f CacheFormat) encodeOld(entries []CacheEntry, pool stringPool) []byte {
	var plain []int
	for i := range entries {
		if entries[i].Hwcap == 0 && entries[i].Named == "" {
			plain = append(plain, i)
		}
	}
	if len(plain)%2 == 1 { // so that what follows is aligned everywhere
		plain = append(plain, plain[len(plain)-1])
	}
	b := append([]byte(cacheMagicOld), 0)
	b = f.Order.AppendUint32(b, uint32(len(plain)))
	pad := (8 - (cacheHeadOld+cacheEntryOld*len(plain))%8) % 8
	strs := uint32(cacheHeadNew + cacheEntryNew*len(entries) + pad)
	for _, i := range plain {
		b = f.Order.AppendUint32(b, entries[i].Flags)
		b = f.Order.AppendUint32(b, strs+pool.lib[i])
		b = f.Order.AppendUint32(b, strs+pool.path[i])
	}
	return append(b, make([]byte, pad)...)
}

// appendExtension puts the extension behind the strings and says in the header where it is and what the byte order is.
func (f CacheFormat) appendExtension(b []byte, strs uint32, pool stringPool, used []string) []byte {
	b = append(b, make([]byte, -len(b)&3)...)
	b[28] = cacheLittleEndian
	if f.Order == ByteOrder(binary.BigEndian) {
		b[28] = cacheBigEndian
	}
	at := uint32(len(b))
	f.Order.PutUint32(b[32:], at)
	sections := uint32(1)
	if len(used) > 0 {
		sections = 2
	}
	data := at + 8 + 16*sections
	words := []uint32{cacheExtension, sections, 0, 0, data + uint32(4*len(used)), uint32(len(f.Generator))}
	if len(used) > 0 {
		words = append(words, 1, 0, data, uint32(4*len(used)))
	}
	for _, name := range used {
		words = append(words, strs+pool.names[name])
	}
	for _, w := range words {
		b = f.Order.AppendUint32(b, w)
	}
	return append(b, f.Generator...)
}

// usedNames are the subdirectories of glibc-hwcaps that hold libraries, sorted.
func usedNames(entries []CacheEntry) []string {
	var names []string
	for _, e := range entries {
		if e.Named != "" {
			names = append(names, e.Named)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// stringPool are the strings of a cache, and where those of each entry are.
type stringPool struct {
	bytes     []byte
	lib, path []uint32
	names     map[string]uint32
}

// plainStrings are all strings one after the other.
func plainStrings(entries []CacheEntry) stringPool {
	var p stringPool
	add := func(s string) uint32 {
		at := len(p.bytes)
		p.bytes = append(append(p.bytes, s...), 0)
		return uint32(at)
	}
	for _, e := range entries {
		p.lib = append(p.lib, add(e.Lib))
		p.path = append(p.path, add(e.Path))
	}
	return p
}

// mergedStrings holds each string once, and none that ends another: they are ordered by their reverse, downwards, so
// that a string follows those that it ends.
func mergedStrings(entries []CacheEntry, names []string) stringPool {
	all := slices.Clone(names)
	for _, e := range entries {
		all = append(all, e.Lib, e.Path)
	}
	slices.SortFunc(all, compareReversed)
	all = slices.Compact(all)
	p := stringPool{names: map[string]uint32{}}
	at := make(map[string]uint32, len(all))
	for i, s := range all {
		if i > 0 && strings.HasSuffix(all[i-1], s) {
			at[s] = at[all[i-1]] + uint32(len(all[i-1])-len(s))
			continue
		}
		at[s] = uint32(len(p.bytes))
		p.bytes = append(append(p.bytes, s...), 0)
	}
	for _, e := range entries {
		p.lib = append(p.lib, at[e.Lib])
		p.path = append(p.path, at[e.Path])
	}
	for _, n := range names {
		p.names[n] = at[n]
	}
	return p
}

func compareReversed(a, b string) int {
	for i := 1; i <= len(a) && i <= len(b); i++ {
		if x, y := a[len(a)-i], b[len(b)-i]; x != y {
			return int(y) - int(x)
		}
	}
	return len(b) - len(a)
}

// CacheError says why a cache cannot be read, in the words of ldconfig -p.
type CacheError string

func (e CacheError) Error() string { return string(e) }

const (
	errNoCache   = CacheError("File is not a cache file.\n")
	errOrder     = CacheError("Cache file has wrong endianness.\n")
	errExtension = CacheError("Malformed extension data in cache file")
)

// ReadCache reads the entries of a cache in their order, and who wrote it. A byte order that the file does not tell is
// order. Its errors are CacheErrors.
func ReadCache(b []byte, order ByteOrder) (entries []CacheEntry, generator string, err error) {
	if len(b) < cacheHeadOld {
		return nil, "", errNoCache
	}
	if bytes.HasPrefix(b, []byte(cacheMagicOld)) {
		n := int(order.Uint32(b[12:]))
		if n > (len(b)-cacheHeadOld)/cacheEntryOld || n > MaxCacheEntries {
			return nil, "", errNoCache
		}
		end := cacheHeadOld + cacheEntryOld*n
		hidden := min((end+7)&^7, len(b))
		if !bytes.HasPrefix(b[hidden:], []byte(cacheMagicNew)) || len(b)-hidden <= cacheHeadNew {
			entries, err = readEntries(b[cacheHeadOld:end], b[end:], cacheEntryOld, order)
			return entries, "", err
		}
		b = b[hidden:]
	}
	if !bytes.HasPrefix(b, []byte(cacheMagicNew)) || len(b) < cacheHeadNew {
		return nil, "", errNoCache
	}
	switch b[28] & 3 {
	case cacheLittleEndian:
		order = binary.LittleEndian
	case cacheBigEndian:
		order = binary.BigEndian
	case 1:
		return nil, "", errOrder
	}
	n := int(order.Uint32(b[20:]))
	if n > (len(b)-cacheHeadNew)/cacheEntryNew || n > MaxCacheEntries {
		return nil, "", errNoCache
	}
	if entries, err = readEntries(b[cacheHeadNew:cacheHeadNew+cacheEntryNew*n], b, cacheEntryNew, order); err != nil {
		return nil, "", err
	}
	names, generator, err := readExtension(b, order)
	for i := range entries {
		e := &entries[i]
		if index := uint32(e.Hwcap); e.Hwcap>>42 == cacheHwcapNamed>>42 && index < uint32(len(names)) {
			e.Named, e.ISALevel, e.Hwcap = names[index], uint32(e.Hwcap>>32)&0x3ff, 0
		}
	}
	return entries, generator, err
}

// readEntries reads a table of entries whose strings are in data.
func readEntries(table, data []byte, size int, order ByteOrder) ([]CacheEntry, error) {
	var entries []CacheEntry
	for ; len(table) >= size; table = table[size:] {
		lib, ok := stringAt(data, order.Uint32(table[4:]))
		p, ok2 := stringAt(data, order.Uint32(table[8:]))
		if !ok || !ok2 {
			return nil, errNoCache
		}
		e := CacheEntry{Lib: lib, Path: p, Flags: order.Uint32(table)}
		if size == cacheEntryNew {
			e.OSVersion, e.Hwcap = order.Uint32(table[12:]), order.Uint64(table[16:])
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func stringAt(b []byte, at uint32) (string, bool) {
	if uint64(at) >= uint64(len(b)) {
		return "", false
	}
	s, _, ok := bytes.Cut(b[at:min(uint64(len(b)), uint64(at)+MaxName)], []byte{0})
	return string(s), ok
}

func readExtension(b []byte, order ByteOrder) (names []string, generator string, err error) {
	at := uint64(order.Uint32(b[32:]))
	size := uint64(len(b))
	if at == 0 {
		return nil, "", nil
	}
	if at%4 != 0 || at+8 > size || order.Uint32(b[at:]) != cacheExtension {
		return nil, "", errExtension
	}
	count := uint64(order.Uint32(b[at+4:]))
	if count > (size-at-8)/16 {
		return nil, "", errExtension
	}
	for i := range count {
		section := b[at+8+16*i:]
		from, length := uint64(order.Uint32(section[8:])), uint64(order.Uint32(section[12:]))
		if from+length > size {
			return nil, "", errExtension
		}
		data := b[from : from+length]
		switch order.Uint32(section) {
		case 0:
			generator = string(data)
		case 1:
			names = nil
			for ; len(data) >= 4; data = data[4:] {
				name, _ := stringAt(b, order.Uint32(data))
				names = append(names, name)
			}
		}
	}
	return names, generator, nil
}

// Describe is the line that ldconfig -p prints of an entry.
func (e *CacheEntry) Describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\t%s (", e.Lib)
	switch e.Flags & 0xff {
	case 0:
		b.WriteString("libc4")
	case FlagELF:
		b.WriteString("ELF")
	case 2:
		b.WriteString("libc5")
	case FlagLibc6:
		b.WriteString("libc6")
	default:
		b.WriteString("unknown")
	}
	switch e.Flags & 0xff00 {
	case 0:
	case FlagX8664:
		b.WriteString(",x86-64")
	case FlagS390, FlagPowerPC:
		b.WriteString(",64bit")
	case FlagX32:
		b.WriteString(",x32")
	case FlagARMHard:
		b.WriteString(",hard-float")
	case FlagAArch64:
		b.WriteString(",AArch64")
	case FlagARMSoft, FlagRISCVSoft:
		b.WriteString(",soft-float")
	case FlagRISCVDouble:
		b.WriteString(",double-float")
	default:
		fmt.Fprintf(&b, ",%d", e.Flags&0xff00)
	}
	if e.Named != "" {
		b.WriteString(`, hwcap: "` + e.Named + `"`)
	} else if e.Hwcap != 0 {
		fmt.Fprintf(&b, ", hwcap: %#.16x", e.Hwcap)
	}
	if e.OSVersion != 0 {
		system := "Unknown OS"
		if known := []string{"Linux", "Hurd", "Solaris", "FreeBSD", "kNetBSD", "Syllable"}; int(e.OSVersion>>24) < len(known) {
			system = known[e.OSVersion>>24]
		}
		fmt.Fprintf(&b, ", OS ABI: %s %d.%d.%d", system, e.OSVersion>>16&0xff, e.OSVersion>>8&0xff, e.OSVersion&0xff)
	}
	fmt.Fprintf(&b, ") => %s\n", e.Path)
	return b.String()
}
