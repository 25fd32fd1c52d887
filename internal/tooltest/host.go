package tooltest

// Stat is what lstat(2) says of a file, and its capabilities.
type Stat struct {
	Mode, UID, GID   uint32
	Size, MTime      int64
	Nlink, Ino, Rdev uint64
	Capabilities     string // security.capability, "" without
}
