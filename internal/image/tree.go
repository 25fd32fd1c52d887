package image

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// maxLinks is how many symbolic links one path may lead through, as Linux has it.
const maxLinks = 40

var (
	errNotDir = errors.New("parent is not a directory")
	errLoop   = errors.New("too many symbolic links")
)

// tree is the state of a root while layers are applied.
type tree struct {
	root  *file
	depth int // of the deepest path that may be
	paths int // bytes of all paths that may still be made; foreign layers can name long ones cheaply
}

// file is a path of a tree.
type file struct {
	node     *rootfs.Node // its Path is set at the end
	layer    int
	inode    *inode // of a regular file
	parent   *file
	depth    int
	length   int              // of its path
	children map[string]*file // of a directory
}

// inode is the content that the members of a hard link set share.
type inode struct{ offset int64 }

func newTree(depth, paths int) *tree {
	t := &tree{root: impliedDir(), depth: depth, paths: paths}
	t.root.parent = t.root
	return t
}

func impliedDir() *file {
	return &file{node: &rootfs.Node{Mode: rpm.ModeDir | 0o755, Package: -1}, layer: -1, children: map[string]*file{}}
}

// insert makes f the child of parent called name.
func (t *tree) insert(parent *file, name string, f *file) error {
	f.parent, f.depth, f.length = parent, parent.depth+1, parent.length+1+len(name)
	if t.paths -= f.length; f.depth > t.depth || t.paths < 0 {
		return fmt.Errorf("depth or length of paths: %w", ErrLimit)
	}
	parent.children[name] = f
	return nil
}

// add puts an entry into the tree, in place of what is there. Directories keep what is in them.
func (t *tree) add(layer int, e *entry) error {
	dir, name := split(e.path)
	parent, err := t.resolve(dir, true)
	if err != nil {
		return err
	}
	n := e.node
	f := &file{node: &n, layer: layer, inode: e.inode}
	if name == "" {
		if !n.IsDir() {
			return errors.New("the root is not a directory")
		}
		t.root.node, t.root.layer = &n, layer
		return nil
	}
	if e.link != "" {
		if err := t.linkTo(f, e.link); err != nil {
			return err
		}
	}
	old := parent.children[name]
	if f.node.IsDir() {
		if f.children = map[string]*file{}; old != nil && old.children != nil {
			old.node, old.layer = f.node, layer
			return nil
		}
	}
	return t.insert(parent, name, f)
}

// linkTo makes f another name of what stands at p.
func (t *tree) linkTo(f *file, p string) error {
	dir, name := split(p)
	parent, err := t.resolve(dir, false)
	if err != nil {
		return err
	}
	target := parent.children[name]
	if target == nil {
		return errors.New("hard link to " + p + ", which is not there")
	}
	if target.children != nil {
		return errors.New("hard link to " + p + ", which is a directory")
	}
	n := *target.node
	f.node, f.inode = &n, target.inode
	return nil
}

// whiteout removes what the entry called name in dir says. What is not there needs no removing.
func (t *tree) whiteout(dir, name string) error {
	parent, err := t.resolve(strings.Trim(dir, "/"), false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case name == whiteoutOpaque:
		clear(parent.children)
	case strings.HasPrefix(name, whiteoutMeta):
	case name == whiteout || name == whiteout+"." || name == whiteout+"..":
		return errors.New("names nothing")
	default:
		delete(parent.children, strings.TrimPrefix(name, whiteout))
	}
	return nil
}

// split cuts an absolute clean path into its directory, without slashes around it, and its name.
func split(p string) (dir, name string) {
	p = strings.Trim(p, "/")
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}

// resolve is the directory at p, symbolic links followed inside the root. With create, what is missing is made.
func (t *tree) resolve(p string, create bool) (*file, error) {
	cur, links := t.root, 0
	for rest := p; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		switch part {
		case "", ".":
			continue
		case "..":
			cur = cur.parent
			continue
		}
		next := cur.children[part]
		switch {
		case next == nil && !create:
			return nil, fs.ErrNotExist
		case next == nil:
			next = impliedDir()
			if err := t.insert(cur, part, next); err != nil {
				return nil, err
			}
		case next.node.IsSymlink():
			if links++; links > maxLinks {
				return nil, errLoop
			}
			rest = next.node.Link + "/" + rest
			if strings.HasPrefix(rest, "/") {
				cur = t.root
			}
			continue
		case next.children == nil:
			return nil, errNotDir
		}
		cur = next
	}
	return cur, nil
}

// follow is what stands at p, symbolic links followed to the end.
func (t *tree) follow(p string) (*file, error) {
	for range maxLinks {
		dir, name := split(p)
		parent, err := t.resolve(dir, false)
		if err != nil {
			return nil, err
		}
		if name == "" || name == "." || name == ".." {
			return t.resolve(dir+"/"+name, false)
		}
		f := parent.children[name]
		if f == nil {
			return nil, fs.ErrNotExist
		}
		if !f.node.IsSymlink() {
			return f, nil
		}
		if p = f.node.Link; !strings.HasPrefix(p, "/") {
			p = dir + "/" + p
		}
	}
	return nil, errLoop
}

// walk visits all files, sorted by path, and sets the paths.
func (t *tree) walk(visit func(*file)) {
	var all []*file
	var collect func(f *file, p string)
	collect = func(f *file, p string) {
		f.node.Path = p
		all = append(all, f)
		for name, c := range f.children {
			collect(c, strings.TrimSuffix(p, "/")+"/"+name)
		}
	}
	collect(t.root, "/")
	slices.SortFunc(all, func(a, b *file) int { return strings.Compare(a.node.Path, b.node.Path) })
	for _, f := range all {
		visit(f)
	}
}
