package scriptlet

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
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

// maxCacheEntries bounds the libraries of a cache, written or read.
const maxCacheEntries = 1 << 18

// Kinds of library: the type and what it asks of the processor (glibc, sysdeps/generic/ldconfig.h).
const (
	flagELF         = 1
	flagLibc6       = 3
	flagX8664       = 0x300
	flagS390        = 0x400
	flagPowerPC     = 0x500
	flagX32         = 0x800
	flagARMHard     = 0x900
	flagAArch64     = 0xa00
	flagARMSoft     = 0xb00
	flagRISCVSoft   = 0xf00
	flagRISCVDouble = 0x1000
)

// cacheEntry is one library of a cache.
type cacheEntry struct {
	lib, path string
	flags     uint32
	osVersion uint32
	isaLevel  uint32
	hwcap     uint64 // of the directories that glibc before 2.37 looked into
	named     string // subdirectory of glibc-hwcaps, "" for none
}

// byteOrder is how numbers are read and written.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// cacheFormat says how a version of ldconfig writes its cache.
type cacheFormat struct {
	order     byteOrder
	compat    bool   // the old format first, the new one hidden behind it: the default before glibc 2.32
	extension bool   // from glibc 2.33 on: merged strings, byte order, generator, names of hwcaps
	generator string // what the extension says of who wrote it
}

// compareLibraryNames orders the names of libraries: numbers by value, higher than any other byte.
func compareLibraryNames(a, b string) int {
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
func compareEntries(a, b *cacheEntry) int {
	named := func(e *cacheEntry) int {
		if e.named != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(
		compareLibraryNames(b.lib, a.lib),
		cmp.Compare(b.flags, a.flags),
		cmp.Compare(named(a), named(b)),
		strings.Compare(a.named, b.named),
		cmp.Compare(bits.OnesCount64(b.hwcap), bits.OnesCount64(a.hwcap)),
		cmp.Compare(b.hwcap, a.hwcap),
		cmp.Compare(b.osVersion, a.osVersion),
	)
}

// encode is the content of a cache. Entries that compare equal stay in their order. names are all subdirectories of
// glibc-hwcaps that were seen, with a library in them or not.
func (f cacheFormat) encode(entries []cacheEntry, names []string) []byte {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b cacheEntry) int { return compareEntries(&a, &b) })
	var pool stringPool
	if f.extension {
		pool = mergedStrings(entries, names)
	} else {
		pool = plainStrings(entries)
	}
	var old []byte
	if f.compat {
		old = f.encodeOld(entries, pool)
	}
	used := usedNames(entries)
	strs := uint32(cacheHeadNew + cacheEntryNew*len(entries))
	b := append([]byte{}, cacheMagicNew...)
	b = f.order.AppendUint32(b, uint32(len(entries)))
	b = f.order.AppendUint32(b, uint32(len(pool.bytes)))
	b = append(b, make([]byte, cacheHeadNew-len(b))...)
	for i, e := range entries {
		b = f.order.AppendUint32(b, e.flags)
		b = f.order.AppendUint32(b, strs+pool.lib[i])
		b = f.order.AppendUint32(b, strs+pool.path[i])
		b = f.order.AppendUint32(b, e.osVersion)
		hwcap := e.hwcap
		if e.named != "" {
			index, _ := slices.BinarySearch(used, e.named)
			hwcap = cacheHwcapNamed | uint64(e.isaLevel)<<32 | uint64(index)
		}
		b = f.order.AppendUint64(b, hwcap)
	}
	b = append(b, pool.bytes...)
	if f.extension {
		b = f.appendExtension(b, strs, pool, used)
	}
	return append(old, b...)
}

// encodeOld is the part in the format of libc5 and glibc 2.0, which knows no hwcaps. Its strings are those of the new
// part, whose beginning its own offsets count from.
func (f cacheFormat) encodeOld(entries []cacheEntry, pool stringPool) []byte {
	var plain []int
	for i := range entries {
		if entries[i].hwcap == 0 && entries[i].named == "" {
			plain = append(plain, i)
		}
	}
	if len(plain)%2 == 1 { // so that what follows is aligned everywhere
		plain = append(plain, plain[len(plain)-1])
	}
	b := append([]byte(cacheMagicOld), 0)
	b = f.order.AppendUint32(b, uint32(len(plain)))
	pad := (8 - (cacheHeadOld+cacheEntryOld*len(plain))%8) % 8
	strs := uint32(cacheHeadNew + cacheEntryNew*len(entries) + pad)
	for _, i := range plain {
		b = f.order.AppendUint32(b, entries[i].flags)
		b = f.order.AppendUint32(b, strs+pool.lib[i])
		b = f.order.AppendUint32(b, strs+pool.path[i])
	}
	return append(b, make([]byte, pad)...)
}

// appendExtension puts the extension behind the strings and says in the header where it is and what the byte order is.
func (f cacheFormat) appendExtension(b []byte, strs uint32, pool stringPool, used []string) []byte {
	b = append(b, make([]byte, -len(b)&3)...)
	b[28] = cacheLittleEndian
	if f.order == byteOrder(binary.BigEndian) {
		b[28] = cacheBigEndian
	}
	at := uint32(len(b))
	f.order.PutUint32(b[32:], at)
	sections := uint32(1)
	if len(used) > 0 {
		sections = 2
	}
	data := at + 8 + 16*sections
	words := []uint32{cacheExtension, sections, 0, 0, data + uint32(4*len(used)), uint32(len(f.generator))}
	if len(used) > 0 {
		words = append(words, 1, 0, data, uint32(4*len(used)))
	}
	for _, name := range used {
		words = append(words, strs+pool.names[name])
	}
	for _, w := range words {
		b = f.order.AppendUint32(b, w)
	}
	return append(b, f.generator...)
}

// usedNames are the subdirectories of glibc-hwcaps that hold libraries, sorted.
func usedNames(entries []cacheEntry) []string {
	var names []string
	for _, e := range entries {
		if e.named != "" {
			names = append(names, e.named)
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
func plainStrings(entries []cacheEntry) stringPool {
	var p stringPool
	add := func(s string) uint32 {
		at := len(p.bytes)
		p.bytes = append(append(p.bytes, s...), 0)
		return uint32(at)
	}
	for _, e := range entries {
		p.lib = append(p.lib, add(e.lib))
		p.path = append(p.path, add(e.path))
	}
	return p
}

// mergedStrings holds each string once, and none that ends another: they are ordered by their reverse, downwards, so
// that a string follows those that it ends.
func mergedStrings(entries []cacheEntry, names []string) stringPool {
	all := slices.Clone(names)
	for _, e := range entries {
		all = append(all, e.lib, e.path)
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
		p.lib = append(p.lib, at[e.lib])
		p.path = append(p.path, at[e.path])
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

// errNoCache says that bytes are no cache.
var errNoCache = errors.New("File is not a cache file.\n")

// readCache reads the entries of a cache in their order, and who wrote it. A byte order that the file does not tell is
// order.
func readCache(b []byte, order byteOrder) (entries []cacheEntry, generator string, err error) {
	if len(b) < cacheHeadOld {
		return nil, "", errNoCache
	}
	if bytes.HasPrefix(b, []byte(cacheMagicOld)) {
		n := int(order.Uint32(b[12:]))
		if n > (len(b)-cacheHeadOld)/cacheEntryOld || n > maxCacheEntries {
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
		return nil, "", errors.New("Cache file has wrong endianness.\n")
	}
	n := int(order.Uint32(b[20:]))
	if n > (len(b)-cacheHeadNew)/cacheEntryNew || n > maxCacheEntries {
		return nil, "", errNoCache
	}
	if entries, err = readEntries(b[cacheHeadNew:cacheHeadNew+cacheEntryNew*n], b, cacheEntryNew, order); err != nil {
		return nil, "", err
	}
	names, generator, err := readExtension(b, order)
	for i := range entries {
		e := &entries[i]
		if index := uint32(e.hwcap); e.hwcap>>42 == cacheHwcapNamed>>42 && index < uint32(len(names)) {
			e.named, e.isaLevel, e.hwcap = names[index], uint32(e.hwcap>>32)&0x3ff, 0
		}
	}
	return entries, generator, err
}

// readEntries reads a table of entries whose strings are in data.
func readEntries(table, data []byte, size int, order byteOrder) ([]cacheEntry, error) {
	var entries []cacheEntry
	for ; len(table) >= size; table = table[size:] {
		lib, ok := stringAt(data, order.Uint32(table[4:]))
		p, ok2 := stringAt(data, order.Uint32(table[8:]))
		if !ok || !ok2 {
			return nil, errNoCache
		}
		e := cacheEntry{lib: lib, path: p, flags: order.Uint32(table)}
		if size == cacheEntryNew {
			e.osVersion, e.hwcap = order.Uint32(table[12:]), order.Uint64(table[16:])
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func stringAt(b []byte, at uint32) (string, bool) {
	if uint64(at) >= uint64(len(b)) {
		return "", false
	}
	s, _, ok := bytes.Cut(b[at:min(uint64(len(b)), uint64(at)+maxELFName)], []byte{0})
	return string(s), ok
}

func readExtension(b []byte, order byteOrder) (names []string, generator string, err error) {
	malformed := errors.New("Malformed extension data in cache file")
	at := uint64(order.Uint32(b[32:]))
	size := uint64(len(b))
	if at == 0 {
		return nil, "", nil
	}
	if at%4 != 0 || at+8 > size || order.Uint32(b[at:]) != cacheExtension {
		return nil, "", malformed
	}
	count := uint64(order.Uint32(b[at+4:]))
	if count > (size-at-8)/16 {
		return nil, "", malformed
	}
	for i := range count {
		section := b[at+8+16*i:]
		from, length := uint64(order.Uint32(section[8:])), uint64(order.Uint32(section[12:]))
		if from+length > size {
			return nil, "", malformed
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

// describe is the line that ldconfig -p prints of an entry.
func (e *cacheEntry) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\t%s (", e.lib)
	switch e.flags & 0xff {
	case 0:
		b.WriteString("libc4")
	case flagELF:
		b.WriteString("ELF")
	case 2:
		b.WriteString("libc5")
	case flagLibc6:
		b.WriteString("libc6")
	default:
		b.WriteString("unknown")
	}
	switch e.flags & 0xff00 {
	case 0:
	case flagX8664:
		b.WriteString(",x86-64")
	case flagS390, flagPowerPC:
		b.WriteString(",64bit")
	case flagX32:
		b.WriteString(",x32")
	case flagARMHard:
		b.WriteString(",hard-float")
	case flagAArch64:
		b.WriteString(",AArch64")
	case flagARMSoft, flagRISCVSoft:
		b.WriteString(",soft-float")
	case flagRISCVDouble:
		b.WriteString(",double-float")
	default:
		fmt.Fprintf(&b, ",%d", e.flags&0xff00)
	}
	if e.named != "" {
		b.WriteString(`, hwcap: "` + e.named + `"`)
	} else if e.hwcap != 0 {
		fmt.Fprintf(&b, ", hwcap: %#.16x", e.hwcap)
	}
	if e.osVersion != 0 {
		system := "Unknown OS"
		if known := []string{"Linux", "Hurd", "Solaris", "FreeBSD", "kNetBSD", "Syllable"}; int(e.osVersion>>24) < len(known) {
			system = known[e.osVersion>>24]
		}
		fmt.Fprintf(&b, ", OS ABI: %s %d.%d.%d", system, e.osVersion>>16&0xff, e.osVersion>>8&0xff, e.osVersion&0xff)
	}
	fmt.Fprintf(&b, ") => %s\n", e.path)
	return b.String()
}
