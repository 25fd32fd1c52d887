package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Delete takes a path away, not following a link there; a directory goes with all that is in it. What is not there is
// fs.ErrNotExist. The states of package files do not change: rpm would call them missing.
func (t *Tree) Delete(p string) error {
	p = t.parentOf(path.Clean("/" + p))
	n := t.nodes[p]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: p, Err: fs.ErrNotExist}
	}
	if p == "/" {
		return errors.New("the root cannot be removed")
	}
	for _, name := range t.List(p) {
		if err := t.Delete(path.Join(p, name)); err != nil {
			return err
		}
	}
	t.unset(p)
	delete(t.covered, p)
	return nil
}

// List are the names in a directory, sorted; nil when it is empty or none.
func (t *Tree) List(dir string) []string {
	if t.children == nil {
		t.children = map[string]map[string]bool{}
		for p := range t.nodes {
			t.adopt(p)
		}
	}
	var names []string
	for name := range t.children[dir] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// set and unset change nodes and the index of directories with them.
func (t *Tree) set(n *Node) {
	if t.children != nil && t.nodes[n.Path] == nil {
		t.adopt(n.Path)
	}
	t.nodes[n.Path] = n
}

func (t *Tree) unset(p string) {
	delete(t.nodes, p)
	if t.children != nil {
		delete(t.children[path.Dir(p)], path.Base(p))
		delete(t.children, p)
	}
}

func (t *Tree) adopt(p string) {
	if p == "/" {
		return
	}
	dir := path.Dir(p)
	if t.children[dir] == nil {
		t.children[dir] = map[string]bool{}
	}
	t.children[dir][path.Base(p)] = true
}

// Walk follows the symbolic links of all but the last name of p, and of that too when follow is set, from dir when p is
// relative. It returns the path where p leads, which need not exist, and the node there, nil without one. A name on the
// way that is missing or no directory is an error as stat(2) would give it.
func (t *Tree) Walk(dir, p string, follow bool) (string, *Node, error) {
	if !strings.HasPrefix(p, "/") {
		p = dir + "/" + p
	}
	if len(p) > MaxPathLength {
		return "", nil, &fs.PathError{Op: "walk", Path: p[:60] + "...", Err: errors.New("file name too long")}
	}
	left := maxLinks
	at, err := t.walk("/", p, follow || strings.HasSuffix(p, "/"), &left)
	if err != nil {
		return "", nil, &fs.PathError{Op: "walk", Path: p, Err: err}
	}
	return at, t.nodes[at], nil
}

var (
	errNotDirectory = errors.New("not a directory")
	errTooManyLinks = fmt.Errorf("more than %d symbolic links", maxLinks)
)

func (t *Tree) walk(at, p string, follow bool, left *int) (string, error) {
	names := strings.FieldsFunc(p, func(r rune) bool { return r == '/' })
	for i, name := range names {
		if n := t.nodes[at]; n == nil {
			return "", fs.ErrNotExist
		} else if !n.IsDir() {
			return "", errNotDirectory
		}
		switch name {
		case ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, name)
		n := t.nodes[next]
		if n == nil || !n.IsSymlink() || i == len(names)-1 && !follow {
			at = next
			continue
		}
		if *left--; *left < 0 {
			return "", errTooManyLinks
		}
		from := at
		if strings.HasPrefix(n.Link, "/") {
			from = "/"
		}
		var err error
		if at, err = t.walk(from, n.Link, true, left); err != nil {
			return "", err
		}
	}
	return at, nil
}

// Linked are the names of a regular file, sorted by path: all of its hard link set, or its own alone.
func (t *Tree) Linked(n *Node) []*Node {
	carrier := n.Path
	if n.HardTo != "" {
		carrier = n.HardTo
	}
	var out []*Node
	for p, m := range t.nodes {
		if m.IsRegular() && (p == carrier || m.HardTo == carrier) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *Node) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// Carriers are the paths of regular files that carry the content of others.
func (t *Tree) Carriers() map[string]bool {
	out := map[string]bool{}
	for _, n := range t.nodes {
		if n.HardTo != "" {
			out[n.HardTo] = true
		}
	}
	return out
}
