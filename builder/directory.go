package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// maxDirectoryEntries bounds a plain root.
const maxDirectoryEntries = 2_000_000

// openDirectory reads a plain root on disk. Nothing outside of it is looked at: no link is followed, and what is opened
// is opened through the directory itself. Content is read when it is asked for.
func openDirectory(ctx context.Context, dir string) (*view, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	w := &directoryWalk{ctx: ctx, root: root, inodes: map[inodeID]string{}}
	v := &view{close: root.Close, open: openNode, at: func(n *rootfs.Node) (readerAt, error) { return openRegular(root, n.Path) }}
	err = w.add("/")
	if err == nil {
		slices.SortFunc(w.nodes, func(a, b *rootfs.Node) int { return strings.Compare(a.Path, b.Path) })
		w.hardLinks()
		v.tree, err = treeOf(ctx, w.nodes)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return v, nil
}

// directoryWalk collects the nodes of a plain root.
type directoryWalk struct {
	ctx    context.Context
	root   *os.Root
	nodes  []*rootfs.Node
	linked []linked
	inodes map[inodeID]string
}

// inodeID tells the files of a machine apart.
type inodeID struct{ dev, ino uint64 }

type linked struct {
	node  *rootfs.Node
	inode inodeID
}

func (w *directoryWalk) add(p string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if len(w.nodes) >= maxDirectoryEntries {
		return fmt.Errorf("more than %d paths", maxDirectoryEntries)
	}
	info, err := w.root.Lstat(inRoot(p))
	if err != nil {
		return err
	}
	n := &rootfs.Node{Path: p, MTime: info.ModTime().Unix(), Package: -1}
	inode, links, err := statNode(n, info)
	if err != nil {
		return err
	}
	w.nodes = append(w.nodes, n)
	switch n.Mode & rpm.ModeType {
	case rpm.ModeSymlink:
		n.Link, err = w.root.Readlink(inRoot(p))
		return err
	case rpm.ModeRegular:
		if links > 1 {
			w.linked = append(w.linked, linked{n, inode})
		}
		return w.regular(n, info)
	case rpm.ModeDir:
		return w.list(p)
	}
	return nil
}

func (w *directoryWalk) regular(n *rootfs.Node, info fs.FileInfo) error {
	n.Size = info.Size()
	p := n.Path
	n.Open = func() (io.ReadCloser, error) { return openRegular(w.root, p) }
	var err error
	n.Caps, err = capabilitiesOf(w.root, inRoot(p))
	return err
}

func (w *directoryWalk) list(p string) error {
	d, err := w.root.Open(inRoot(p))
	if err != nil {
		return err
	}
	names, err := d.Readdirnames(-1)
	if err = errors.Join(err, d.Close()); err != nil {
		return err
	}
	for _, name := range names {
		if err := w.add(path.Join(p, name)); err != nil {
			return err
		}
	}
	return nil
}

// hardLinks names for each file with several names the first of them.
func (w *directoryWalk) hardLinks() {
	slices.SortFunc(w.linked, func(a, b linked) int { return strings.Compare(a.node.Path, b.node.Path) })
	for _, l := range w.linked {
		if first, ok := w.inodes[l.inode]; ok {
			l.node.HardTo = first
		} else {
			w.inodes[l.inode] = l.node.Path
		}
	}
}

// inRoot is a path as os.Root wants it.
func inRoot(p string) string {
	if p == "/" {
		return "."
	}
	return p[1:]
}

// openRegular opens a regular file, and nothing that took its place.
func openRegular(root *os.Root, p string) (*os.File, error) {
	f, err := root.OpenFile(inRoot(p), openFlags, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("%s is no regular file any more", p), f.Close())
	}
	return f, nil
}
