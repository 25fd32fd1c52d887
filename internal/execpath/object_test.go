package execpath

import (
	"encoding/binary"
	"strings"
)

// testObject describes a program or library for x86-64 that has nothing but what the dynamic loader looks at.
type testObject struct {
	interpreter     string
	needed          []string
	soname          string
	rpath, runpath  string
	noDefault       bool
	imports         []string
	dlopen          string // a dlopen note
	text            string // strings of its code
	machine         uint16 // x86-64 when 0
	isStaticProgram bool
}

// bytes are the file. A real loader takes it.
func (o testObject) bytes() []byte {
	le := binary.LittleEndian
	strs := "\x00"
	str := func(s string) uint64 {
		at := len(strs)
		strs += s + "\x00"
		return uint64(at)
	}
	symbols := make([]byte, 24)
	for _, name := range o.imports {
		s := make([]byte, 24)
		le.PutUint32(s, uint32(str(name)))
		s[4] = 1<<4 | 2
		symbols = append(symbols, s...)
	}
	type entry struct{ tag, value uint64 }
	var entries []entry
	for _, n := range o.needed {
		entries = append(entries, entry{1, str(n)})
	}
	for _, e := range []struct {
		tag  uint64
		text string
	}{{14, o.soname}, {15, o.rpath}, {29, o.runpath}} {
		if e.text != "" {
			entries = append(entries, entry{e.tag, str(e.text)})
		}
	}
	if o.noDefault {
		entries = append(entries, entry{0x6ffffffb, 0x800})
	}
	const head = 64 + 5*56
	note := noteBytes(o.dlopen)
	interp := o.interpreter + "\x00"
	at := uint64(head)
	noteAt := at
	at += uint64(len(note))
	interpAt := at
	at += uint64(len(interp))
	at = (at + 7) &^ 7
	symAt := at
	at += uint64(len(symbols))
	hashAt := at
	hash := make([]byte, 4*(2+1+len(symbols)/24))
	le.PutUint32(hash, 1)
	le.PutUint32(hash[4:], uint32(len(symbols)/24))
	at = (at + uint64(len(hash)) + 7) &^ 7
	strAt := at
	at = (at + uint64(len(strs)) + 7) &^ 7
	dynAt := at
	entries = append(entries, entry{5, strAt}, entry{6, symAt}, entry{10, uint64(len(strs))}, entry{11, 24}, entry{4, hashAt}, entry{})
	b := make([]byte, at+uint64(16*len(entries)))
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 3)
	le.PutUint16(b[18:], 62)
	if o.machine != 0 {
		le.PutUint16(b[18:], o.machine)
	}
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[32:], 64)
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	copy(b[noteAt:], note)
	copy(b[interpAt:], interp)
	copy(b[symAt:], symbols)
	copy(b[hashAt:], hash)
	copy(b[strAt:], strs)
	for i, e := range entries {
		le.PutUint64(b[dynAt+uint64(16*i):], e.tag)
		le.PutUint64(b[dynAt+uint64(16*i)+8:], e.value)
	}
	b = append(b, "\x00"+o.text+"\x00"...)
	count := 0
	segment := func(kind, flags uint32, offset, size, align uint64) {
		p := b[64+56*count:]
		le.PutUint32(p, kind)
		le.PutUint32(p[4:], flags)
		for i, v := range []uint64{offset, offset, offset, size, size, align} {
			le.PutUint64(p[8+8*i:], v)
		}
		count++
		le.PutUint16(b[56:], uint16(count))
	}
	if o.interpreter != "" {
		segment(6, 4, 64, 5*56, 8)
		segment(3, 4, interpAt, uint64(len(interp)), 1)
	}
	segment(1, 6, 0, uint64(len(b)), 0x1000)
	if !o.isStaticProgram {
		segment(2, 6, dynAt, uint64(16*len(entries)), 8)
	} else {
		le.PutUint16(b[16:], 2)
	}
	if note != nil {
		segment(4, 4, noteAt, uint64(len(note)), 4)
	}
	return b
}

func noteBytes(dlopen string) []byte {
	if dlopen == "" {
		return nil
	}
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 4)
	b = le.AppendUint32(b, uint32(len(dlopen)+1))
	b = le.AppendUint32(b, 0x407c0c0a)
	b = append(b, "FDO\x00"+dlopen+"\x00"...)
	return append(b, strings.Repeat("\x00", -len(b)&3)...)
}
