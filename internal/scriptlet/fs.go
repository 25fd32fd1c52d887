package scriptlet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// MaxFileSize is the size of the largest file that a scriptlet may read or write whole.
const MaxFileSize = 256 << 20

// Content reads a regular file of a tree, wherever its bytes are.
type Content func(n *rootfs.Node) (io.ReadCloser, error)

// FS is a tree as a process sees it: paths are followed through symbolic links, relative ones from a directory that is
// handed in, errors are those of fs (fs.ErrNotExist, fs.ErrExist, ...) in a *fs.PathError. Everything happens as root and
// at one moment. It is not safe for concurrent use.
type FS struct {
	tree    *rootfs.Tree
	content Content
	now     int64

	refused   error                   // what has to end everything: a read of random numbers, content that cannot be read
	carriers  map[string]bool         // paths that may carry the content of hard links; nil until somebody asks
	libraries map[fileKey]*elfFile    // what the dynamic loader's tools read of packages' files, which do not change
	loaders   map[fileKey]*loader     // what was found out about programs of packages
	trust     map[string]*trustSource // what was read of them, by paths and files
}

// NewFS makes a tree a file system. now, in seconds since 1970, dates what is written.
func NewFS(tree *rootfs.Tree, content Content, now int64) *FS {
	return &FS{tree: tree, content: content, now: now}
}

// Now is the one moment at which everything happens, in seconds since 1970.
func (f *FS) Now() int64 { return f.now }

// Tree is the tree below.
func (f *FS) Tree() *rootfs.Tree { return f.tree }

func pathError(op, p string, err error) error {
	var inner *fs.PathError
	if errors.As(err, &inner) {
		err = inner.Err
	}
	return &fs.PathError{Op: op, Path: p, Err: err}
}

// walk is the tree's, but that an empty path leads nowhere.
func (f *FS) walk(dir, p string, follow bool) (string, *rootfs.Node, error) {
	if p == "" {
		return "", nil, fs.ErrNotExist
	}
	return f.tree.Walk(dir, p, follow)
}

// trimSlashes takes slashes off the end, but for the root.
func trimSlashes(p string) string {
	if t := strings.TrimRight(p, "/"); t != "" || p == "" {
		return t
	}
	return "/"
}

// find walks to a node that has to be there.
func (f *FS) find(op, dir, p string, follow bool) (*rootfs.Node, error) {
	_, n, err := f.walk(dir, p, follow)
	if err == nil && n == nil {
		err = fs.ErrNotExist
	}
	if err == nil && strings.HasSuffix(p, "/") && !n.IsDir() {
		err = errors.New("not a directory")
	}
	if err != nil {
		return nil, pathError(op, p, err)
	}
	return n, nil
}

// Stat is the node at p, links followed; Lstat does not follow the last one. The node is not to be changed.
func (f *FS) Stat(dir, p string) (*rootfs.Node, error) { return f.find("stat", dir, p, true) }

// Lstat is the node at p, a link itself.
func (f *FS) Lstat(dir, p string) (*rootfs.Node, error) { return f.find("lstat", dir, p, false) }

// Exists reports whether p leads to something.
func (f *FS) Exists(dir, p string) bool {
	_, err := f.Stat(dir, p)
	return err == nil
}

// Open reads a regular file; /dev/null is empty. The caller closes it.
func (f *FS) Open(dir, p string) (io.ReadCloser, error) {
	r, _, err := f.open(dir, p)
	return r, err
}

// open is Open, and the node that is read.
func (f *FS) open(dir, p string) (io.ReadCloser, *rootfs.Node, error) {
	if err := f.checkRandom(dir, p); err != nil {
		return nil, nil, err
	}
	n, err := f.find("open", dir, p, true)
	if err != nil {
		return nil, nil, err
	}
	r, err := f.OpenNode(n)
	return r, n, err
}

func randomDevices() []string {
	return []string{"/dev/random", "/dev/urandom", "/dev/hwrng", "/proc/sys/kernel/random/uuid"}
}

// checkRandom refuses to read random numbers. That the reader makes nothing of the error does not help it.
func (f *FS) checkRandom(dir, p string) error {
	at, _, err := f.canonical(dir, p) // /dev itself may be missing
	if err != nil {
		return nil
	}
	if !slices.Contains(randomDevices(), at) {
		return nil
	}
	f.refused = &Unsupported{Command: at, Why: "what is made of random numbers has no place in an image"}
	return pathError("open", p, f.refused)
}

// OpenNode reads the content of a node.
func (f *FS) OpenNode(n *rootfs.Node) (io.ReadCloser, error) {
	switch {
	case n.IsDir():
		return nil, pathError("read", n.Path, errors.New("is a directory"))
	case !n.IsRegular():
		return io.NopCloser(strings.NewReader("")), nil
	case n.HardTo != "":
		target := f.tree.Node(n.HardTo)
		if target == nil {
			return nil, pathError("open", n.Path, fs.ErrNotExist)
		}
		n = target
	}
	var r io.ReadCloser
	var err error
	if n.Package < 0 && n.Open != nil {
		r, err = n.Open()
	} else {
		r, err = f.content(n)
	}
	if err != nil {
		f.broken(err)
		return nil, pathError("open", n.Path, err)
	}
	if at, ok := r.(io.ReaderAt); ok {
		return &watchedAt{watched{r, f}, at}, nil
	}
	return &watched{r, f}, nil
}

// broken keeps a fault that is none of a script's, so that none takes it for one.
func (f *FS) broken(err error) {
	if f.refused == nil {
		f.refused = err
	}
}

// watched reads the content of a file.
type watched struct {
	io.ReadCloser
	f *FS
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if err != nil && err != io.EOF {
		w.f.broken(err)
	}
	return n, err
}

// watchedAt is watched where content can be read at any place.
type watchedAt struct {
	watched
	at io.ReaderAt
}

// ReadAt is io.ReaderAt's.
func (w *watchedAt) ReadAt(b []byte, off int64) (int, error) {
	n, err := w.at.ReadAt(b, off)
	if err != nil && err != io.EOF {
		w.f.broken(err)
	}
	return n, err
}

// ReadFile is the whole content of a file of at most MaxFileSize bytes.
func (f *FS) ReadFile(dir, p string) ([]byte, error) {
	r, n, err := f.open(dir, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := rootfs.ReadSized(r, n.Size, MaxFileSize+1)
	if err == nil && len(b) > MaxFileSize {
		err = fmt.Errorf("more than %d bytes", MaxFileSize)
	}
	if err != nil {
		return nil, pathError("read", p, err)
	}
	return b, nil
}

// WriteFile makes or replaces the content of a file. One that is there keeps its mode and owner; a new one is root's with
// this mode (of which the caller has taken the umask). /dev/null and other devices take everything and keep nothing.
func (f *FS) WriteFile(dir, p string, content []byte, mode uint32) error {
	if len(content) > MaxFileSize {
		return pathError("write", p, fmt.Errorf("more than %d bytes", MaxFileSize))
	}
	at, old, err := f.walk(dir, p, true)
	if err != nil {
		return pathError("open", p, err)
	}
	n := &rootfs.Node{Path: at, Mode: rpm.ModeRegular | mode&0o7777}
	switch {
	case old == nil:
		if err := f.parent("open", p, at); err != nil {
			return err
		}
	case old.IsDir():
		return pathError("open", p, errors.New("is a directory"))
	case !old.IsRegular():
		return nil
	default:
		*n = *f.carrier(old)
		n.Caps = nil // writing drops capabilities
	}
	n.MTime, n.Size, n.Package = f.now, int64(len(content)), -1
	body := bytes.Clone(content)
	n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	if old != nil {
		for _, m := range f.linked(old) {
			if m.Path != n.Path {
				c := *m
				c.MTime, c.Size, c.Caps = n.MTime, n.Size, nil
				if err := f.tree.Put(&c); err != nil {
					return err
				}
			}
		}
	}
	return f.tree.Put(n)
}

// linked are the names of a regular file, sorted: those of its hard link set, or its own.
func (f *FS) linked(n *rootfs.Node) []*rootfs.Node {
	if f.carriers == nil {
		f.carriers = f.tree.Carriers()
	}
	if n.HardTo == "" && !f.carriers[n.Path] {
		return []*rootfs.Node{n}
	}
	return f.tree.Linked(n)
}

// carrier is the node that has the content of a regular file.
func (f *FS) carrier(n *rootfs.Node) *rootfs.Node {
	if c := f.tree.Node(n.HardTo); n.HardTo != "" && c != nil {
		return c
	}
	return n
}

// release gives the content of the files at and below p to those of their hard links that are elsewhere, before it goes.
func (f *FS) release(p string) error {
	if f.carriers == nil {
		f.carriers = f.tree.Carriers()
	}
	var leaving []string
	for c := range f.carriers {
		if c == p || strings.HasPrefix(c, p+"/") {
			leaving = append(leaving, c)
		}
	}
	slices.Sort(leaving)
	for _, c := range leaving {
		delete(f.carriers, c)
		n := f.tree.Node(c)
		if n == nil || !n.IsRegular() || n.HardTo != "" {
			continue
		}
		heir := ""
		for _, m := range f.tree.Linked(n) {
			if m.Path == p || strings.HasPrefix(m.Path, p+"/") {
				continue
			}
			next := *m
			if next.HardTo = heir; heir == "" {
				from := *n
				heir, next.Open = m.Path, func() (io.ReadCloser, error) { return f.OpenNode(&from) }
			}
			if err := f.tree.Put(&next); err != nil {
				return err
			}
			f.carriers[heir] = true
		}
	}
	return nil
}

// parent refuses to make something where there is no directory.
func (f *FS) parent(op, p, at string) error {
	d := f.tree.Node(path.Dir(at))
	if d == nil {
		return pathError(op, p, fs.ErrNotExist)
	}
	if !d.IsDir() {
		return pathError(op, p, errors.New("not a directory"))
	}
	return nil
}

// create puts a new node at a path where nothing is.
func (f *FS) create(op, dir, p string, n *rootfs.Node) error {
	at, old, err := f.walk(dir, trimSlashes(p), false)
	if err == nil && old != nil {
		err = fs.ErrExist
	}
	if err != nil {
		return pathError(op, p, err)
	}
	if err := f.parent(op, p, at); err != nil {
		return err
	}
	n.Path, n.MTime, n.Package = at, f.now, -1
	return f.tree.Put(n)
}

// Mkdir makes one directory.
func (f *FS) Mkdir(dir, p string, mode uint32) error {
	return f.create("mkdir", dir, p, &rootfs.Node{Mode: rpm.ModeDir | mode&0o7777})
}

// MkdirAll makes a directory and those on the way, all with this mode. A directory that is there is left as it is.
func (f *FS) MkdirAll(dir, p string, mode uint32) error {
	at := dir
	if strings.HasPrefix(p, "/") {
		at = "/"
	}
	for name := range strings.SplitSeq(strings.Trim(p, "/"), "/") {
		at = at + "/" + name
		n, err := f.Stat("/", at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := f.Mkdir("/", at, mode); err != nil {
				return err
			}
		case err != nil:
			return err
		case !n.IsDir():
			return pathError("mkdir", p, errors.New("not a directory"))
		}
	}
	return nil
}

// Symlink makes a symbolic link at p.
func (f *FS) Symlink(dir, target, p string) error {
	if target == "" {
		return pathError("symlink", p, fs.ErrNotExist)
	}
	return f.create("symlink", dir, p, &rootfs.Node{Mode: rpm.ModeSymlink | 0o777, Link: target})
}

// Mknod makes a device or a FIFO; mode holds its type.
func (f *FS) Mknod(dir, p string, mode, major, minor uint32) error {
	return f.create("mknod", dir, p, &rootfs.Node{Mode: mode, Major: major, Minor: minor})
}

// Link makes p a hard link of an existing file.
func (f *FS) Link(dir, existing, p string) error {
	n, err := f.find("link", dir, existing, false)
	if err != nil {
		return err
	}
	if !n.IsRegular() {
		return pathError("link", existing, errors.New("operation not permitted"))
	}
	own, err := f.own(n)
	if err != nil {
		return err
	}
	linked := *own
	linked.Owners = nil
	if linked.HardTo == "" {
		linked.HardTo = own.Path
	}
	mtime := own.MTime
	if err := f.create("link", dir, p, &linked); err != nil {
		return err
	}
	linked.MTime = mtime
	f.linked(own)
	f.carriers[linked.HardTo] = true
	return nil
}

// own makes a copy of a node that is the tree's own and may be changed, with the same content.
func (f *FS) own(n *rootfs.Node) (*rootfs.Node, error) {
	if n.Package < 0 && n.Open == nil && n.IsRegular() && n.HardTo == "" {
		return nil, pathError("open", n.Path, fs.ErrNotExist)
	}
	c := *n
	if n.IsRegular() && n.HardTo == "" {
		from := *n
		c.Open = func() (io.ReadCloser, error) { return f.OpenNode(&from) }
	}
	if err := f.tree.Put(&c); err != nil {
		return nil, err
	}
	return f.tree.Node(c.Path), nil
}

// change lets edit change a copy of the node at p.
func (f *FS) change(op, dir, p string, follow bool, edit func(n *rootfs.Node)) error {
	n, err := f.find(op, dir, p, follow)
	if err != nil {
		return err
	}
	before := *n
	after := *n
	edit(&after)
	if before.Mode == after.Mode && before.MTime == after.MTime && before.User == after.User && before.Group == after.Group &&
		before.UID == after.UID && before.GID == after.GID && bytes.Equal(before.Caps, after.Caps) {
		return nil
	}
	for _, m := range f.linked(n) {
		c, err := f.own(m)
		if err != nil {
			return err
		}
		edit(c)
	}
	return nil
}

// Chmod sets the permission bits of what p leads to.
func (f *FS) Chmod(dir, p string, mode uint32) error {
	return f.change("chmod", dir, p, true, func(n *rootfs.Node) { n.Mode = n.Mode&rpm.ModeType | mode&0o7777 })
}

// Owner is a new owner by name, or by number where the name is empty.
type Owner struct {
	Name string
	ID   uint32
}

// Chown sets owner and group of what p leads to, or of a link itself when follow is not set; nil leaves one as it is.
// As in Linux it takes setuid, setgid (of what the group may execute) and capabilities off a regular file.
func (f *FS) Chown(dir, p string, user, group *Owner, follow bool) error {
	return f.change("chown", dir, p, follow, func(n *rootfs.Node) {
		if user != nil {
			n.User, n.UID = user.Name, user.ID
		}
		if group != nil {
			n.Group, n.GID = group.Name, group.ID
		}
		if n.IsRegular() {
			n.Caps = nil
			n.Mode &^= 0o4000
			if n.Mode&0o010 != 0 {
				n.Mode &^= 0o2000
			}
		}
	})
}

// Chtimes sets the time of what p leads to.
func (f *FS) Chtimes(dir, p string, mtime int64) error {
	return f.change("utime", dir, p, true, func(n *rootfs.Node) { n.MTime = mtime })
}

// SetCaps sets the capabilities of a file, nil takes them away.
func (f *FS) SetCaps(dir, p string, caps []byte) error {
	return f.change("setcap", dir, p, true, func(n *rootfs.Node) { n.Caps = caps })
}

// Remove takes a file, a link, or an empty directory away.
func (f *FS) Remove(dir, p string) error {
	n, err := f.find("remove", dir, p, false)
	if err != nil {
		return err
	}
	if n.IsDir() && len(f.tree.List(n.Path)) > 0 {
		return pathError("remove", p, errors.New("directory not empty"))
	}
	if err := f.release(n.Path); err != nil {
		return err
	}
	return f.tree.Delete(n.Path)
}

// RemoveAll takes p away with all that is in it; what is not there is no error.
func (f *FS) RemoveAll(dir, p string) error {
	n, err := f.find("remove", dir, p, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := f.release(n.Path); err != nil {
		return err
	}
	return f.tree.Delete(n.Path)
}

// ReadDir are the names in a directory, sorted.
func (f *FS) ReadDir(dir, p string) ([]string, error) {
	n, err := f.find("open", dir, p, true)
	if err != nil {
		return nil, err
	}
	if !n.IsDir() {
		return nil, pathError("readdir", p, errors.New("not a directory"))
	}
	return f.tree.List(n.Path), nil
}

// Readlink is the target of a symbolic link.
func (f *FS) Readlink(dir, p string) (string, error) {
	n, err := f.find("readlink", dir, p, false)
	if err != nil {
		return "", err
	}
	if !n.IsSymlink() {
		return "", pathError("readlink", p, fs.ErrInvalid)
	}
	return n.Link, nil
}

// Rename moves a file, link or directory; what is at the new path goes, unless it is a directory with something in it.
func (f *FS) Rename(dir, from, to string) error {
	n, err := f.find("rename", dir, from, false)
	if err != nil {
		return err
	}
	at, old, err := f.walk(dir, trimSlashes(to), false)
	if err != nil {
		return pathError("rename", to, err)
	}
	switch {
	case at == n.Path:
		return nil
	case n.Path == "/" || at == "/":
		return pathError("rename", to, errors.New("device or resource busy"))
	case strings.HasPrefix(at, n.Path+"/"):
		return pathError("rename", to, fs.ErrInvalid)
	case old != nil && old.IsDir() && !n.IsDir():
		return pathError("rename", to, errors.New("is a directory"))
	case old != nil && !old.IsDir() && n.IsDir():
		return pathError("rename", to, errors.New("not a directory"))
	case old != nil && old.IsDir() && len(f.tree.List(at)) > 0:
		return pathError("rename", to, errors.New("directory not empty"))
	}
	if err := f.parent("rename", to, at); err != nil {
		return err
	}
	if old != nil {
		if err := f.release(at); err != nil {
			return err
		}
		if err := f.tree.Delete(at); err != nil {
			return err
		}
	}
	if err := f.move(n.Path, at); err != nil {
		return err
	}
	if err := f.relink(n.Path, at); err != nil {
		return err
	}
	return f.tree.Delete(n.Path)
}

// relink lets hard links of what was at and below a path lead to where that was moved.
func (f *FS) relink(from, to string) error {
	if f.carriers == nil {
		f.carriers = f.tree.Carriers()
	}
	moved := map[string]bool{}
	for c := range f.carriers {
		if c != from && !strings.HasPrefix(c, from+"/") {
			continue
		}
		moved[to+c[len(from):]] = true
		for _, m := range f.tree.Linked(&rootfs.Node{Path: c}) {
			if m.HardTo == c {
				next := *m
				next.HardTo = to + c[len(from):]
				if err := f.tree.Put(&next); err != nil {
					return err
				}
			}
		}
	}
	maps.Copy(f.carriers, moved)
	return nil
}

// move copies a node and all below it to a new path, content by reference.
func (f *FS) move(from, to string) error {
	n := f.tree.Node(from)
	c := *n
	c.Path, c.Owners = to, nil
	if n.IsRegular() && n.HardTo == "" {
		source := *n
		c.Open = func() (io.ReadCloser, error) { return f.OpenNode(&source) }
	}
	if err := f.tree.Put(&c); err != nil {
		return err
	}
	for _, name := range f.tree.List(from) {
		if err := f.move(path.Join(from, name), path.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}
