package rpm

import (
	"fmt"
	"strings"
)

// FileFlags are rpm's attributes of a file (RPMFILE_*, include/rpm/rpmfiles.h).
type FileFlags uint32

const (
	FileConfig    FileFlags = 1 << 0
	FileDoc       FileFlags = 1 << 1
	FileMissingOK FileFlags = 1 << 3
	FileNoReplace FileFlags = 1 << 4
	FileGhost     FileFlags = 1 << 6
	FileLicense   FileFlags = 1 << 7
	FileReadme    FileFlags = 1 << 8
	FilePubkey    FileFlags = 1 << 11
	FileArtifact  FileFlags = 1 << 12
)

// FileState is what an rpmdb says of an installed package's file (RPMFILE_STATE_*, include/rpm/rpmfiles.h).
type FileState uint8

const (
	StateNormal       FileState = 0
	StateReplaced     FileState = 1
	StateNotInstalled FileState = 2
	StateNetShared    FileState = 3
	StateWrongColor   FileState = 4
)

// The file types of a mode, as in stat(2).
const (
	ModeType    = 0o170000
	ModeFIFO    = 0o010000
	ModeChar    = 0o020000
	ModeDir     = 0o040000
	ModeBlock   = 0o060000
	ModeRegular = 0o100000
	ModeSymlink = 0o120000
	ModeSocket  = 0o140000
)

// File is one file of a package's header.
type File struct {
	Path   string // absolute
	Mode   uint32 // type and permissions, as in stat(2)
	Size   int64
	MTime  int64 // seconds since 1970
	User   string
	Group  string
	Digest string // hex, of a regular file's content; "" for others and empty ones of some rpms
	Link   string // target of a symbolic link
	Flags  FileFlags
	RDev   uint32 // major<<8|minor in rpm's 16-bit form
	Dev    uint32
	Inode  uint32 // files of one package with the same Dev and Inode are hard links of each other
	Lang   string // "" or languages separated by "|"
	Caps   string // capabilities as text, "" without any
	Color  uint32 // 1: 32-bit ELF, 2: 64-bit ELF, 0: neither
}

// IsDir and its siblings tell the kind of file.
func (f *File) IsDir() bool     { return f.Mode&ModeType == ModeDir }
func (f *File) IsRegular() bool { return f.Mode&ModeType == ModeRegular }
func (f *File) IsSymlink() bool { return f.Mode&ModeType == ModeSymlink }

// Files are the package's files in the header's order, which is the order file states, payload indexes and rpmdb rows
// refer to. Arrays of unequal length, directory indexes out of range and paths that are not absolute are errors.
func (h *Header) Files() ([]File, error) {
	if h.Has(TagOldFileNames) && !h.Has(TagBaseNames) {
		return nil, fmt.Errorf("%w: file names in the form of rpm 3, which is not supported", ErrHeader)
	}
	base := h.Strings(TagBaseNames)
	dirs := h.Strings(TagDirNames)
	index := h.Uint32s(TagDirIndexes)
	n := len(base)
	if len(index) != n {
		return nil, fmt.Errorf("%w: %d directory indexes for %d files", ErrHeader, len(index), n)
	}
	if n == 0 {
		return nil, nil
	}
	c := columns{h: h, n: n}
	modes, sizes, mtimes := c.required(TagFileModes), c.sizes(), c.required(TagFileMTimes)
	users, groups := c.strings(TagFileUserName, true), c.strings(TagFileGroupName, true)
	digests, links := c.strings(TagFileDigests, false), c.strings(TagFileLinkTos, false)
	flags, rdevs := c.ints(TagFileFlags), c.ints(TagFileRDevs)
	devs, inodes := c.ints(TagFileDevices), c.ints(TagFileInodes)
	langs, caps, colors := c.strings(TagFileLangs, false), c.strings(TagFileCaps, false), c.ints(TagFileColors)
	if c.err != nil {
		return nil, c.err
	}
	files := make([]File, n)
	for i := range files {
		if int64(index[i]) >= int64(len(dirs)) {
			return nil, fmt.Errorf("%w: file %d is in directory %d of %d", ErrHeader, i, index[i], len(dirs))
		}
		files[i] = File{
			Path: dirs[index[i]] + base[i], Mode: uint32(modes[i]) & 0xffff, Size: int64(sizes[i]), MTime: int64(mtimes[i]),
			User: users[i], Group: groups[i], Digest: digests[i], Link: links[i], Flags: FileFlags(flags[i]),
			RDev: uint32(rdevs[i]), Dev: uint32(devs[i]), Inode: uint32(inodes[i]), Lang: langs[i], Caps: caps[i], Color: uint32(colors[i]),
		}
		if !strings.HasPrefix(files[i].Path, "/") {
			return nil, fmt.Errorf("%w: path %q is not absolute", ErrHeader, files[i].Path)
		}
		if files[i].Size < 0 {
			return nil, fmt.Errorf("%w: %s has %d bytes", ErrHeader, files[i].Path, uint64(sizes[i]))
		}
	}
	return files, nil
}

// columns reads the parallel arrays of a file list; the first fault is kept.
type columns struct {
	h   *Header
	n   int
	err error
}

func (c *columns) check(tag Tag, got int) bool {
	if got == c.n {
		return true
	}
	if c.err == nil {
		c.err = fmt.Errorf("%w: tag %d has %d values for %d files", ErrHeader, tag, got, c.n)
	}
	return false
}

func (c *columns) required(tag Tag) []uint64 {
	v := c.h.Uint64s(tag)
	if !c.check(tag, len(v)) {
		return make([]uint64, c.n)
	}
	return v
}

func (c *columns) ints(tag Tag) []uint64 {
	if !c.h.Has(tag) {
		return make([]uint64, c.n)
	}
	return c.required(tag)
}

func (c *columns) sizes() []uint64 {
	if c.h.Has(TagLongFileSizes) {
		return c.required(TagLongFileSizes)
	}
	return c.required(TagFileSizes)
}

func (c *columns) strings(tag Tag, required bool) []string {
	if !c.h.Has(tag) && !required {
		return make([]string, c.n)
	}
	v := c.h.Strings(tag)
	if !c.check(tag, len(v)) {
		return make([]string, c.n)
	}
	return v
}
