// Package elf reads programs and libraries as the dynamic loader of glibc sees them, and the loader's cache. It is a
// vocabulary: what a file needs, what it is called, where it has its libraries sought, what it says it may load later,
// and how it was hardened.
//
// Everything is found through the program headers (gABI, chapter 5), as at run time; section headers, which may be
// stripped or lie, are not looked at. Of the notes it knows GNU's ABI tag and properties and the two that the systemd
// project's ELF specifications add: packaging metadata and dlopen metadata (.note.package, .note.dlopen).
//
// It leaves out relocations, code, debug information and core files. Files are foreign bytes: every size in them is
// held to a limit and to the size of the file, and what is beyond is ErrTruncated.
package elf
