package rootfs

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// MaxPathLength is the length of the longest path a tree takes, Linux's PATH_MAX.
const MaxPathLength = 4096

// maxLinks bounds the symbolic links followed on the way to one path, as Linux does.
const maxLinks = 40

// Package is what a tree needs of one package.
type Package struct {
	NEVRA rpm.NEVRA
	Files []rpm.File
	// MTime dates directories that the package needs and nobody owns, seconds since 1970.
	MTime int64
}

// Tree is a root file system in the making. It starts empty but for "/". It is not safe for concurrent use.
type Tree struct {
	nodes    map[string]*Node
	covered  map[string]*Node // what packages brought where Put laid something else over it
	packages []Package
	states   [][]rpm.FileState
	claims   map[string][]Owner         // owners by path, of paths that are not there too
	children map[string]map[string]bool // names by directory; nil until somebody asks
	resolved [][]string                 // path of each package's files with the symbolic links of their directories followed
}

// Options say how packages are laid over each other.
type Options struct {
	// PreferColor is the ELF colour that wins where two packages bring the same path in different colours; 0 lets
	// none win, and the path is a conflict. It is 2 (64-bit) on 64-bit platforms.
	PreferColor uint32
	// Skip reports whether a package's file is never installed; nil skips none. What is skipped counts in States as
	// not installed and cannot conflict.
	Skip func(pkg, file int) bool
}

// Conflict is one path that two packages bring differently.
type Conflict struct {
	Path  string
	First rpm.NEVRA
	Then  rpm.NEVRA
	What  string // what differs
}

// ConflictError lists all file conflicts of a set of packages.
type ConflictError struct{ Conflicts []Conflict }

func (e *ConflictError) Error() string {
	var b strings.Builder
	b.WriteString("packages bring different files to one path")
	for i, c := range e.Conflicts {
		if i == 20 {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Conflicts)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s: %s and %s differ in %s", c.Path, c.First, c.Then, c.What)
	}
	return b.String()
}

// Build lays packages over each other in the given (install) order, as rpm's lib/transaction.cc and lib/fsm.cc do:
// what several packages own must be equal in kind, mode, owner, group, and size, content, link target or device
// number, and is taken from the first; ghosts own a path and make nothing; of 32 and 64-bit files at one path the
// preferred colour is taken. A directory's symbolic links are followed: /bin/sh lands in /usr/bin where /bin is a
// link to it. It returns a *ConflictError naming all conflicts.
func Build(packages []Package, o Options) (*Tree, error) {
	b, err := NewBuilder(packages, o)
	if err != nil {
		return nil, err
	}
	for i := range packages {
		if err := b.Lay(i); err != nil {
			return nil, err
		}
	}
	return b.Tree(), nil
}

// Builder does what Build does package by package, so that somebody can change the tree in between.
type Builder struct {
	plan *Tree // what the tree would be if nobody changed it
	tree *Tree
}

// NewBuilder decides where the files of all packages go, and which of them win. Nothing is in the tree yet.
func NewBuilder(packages []Package, o Options) (*Builder, error) {
	plan := newTree(packages)
	links, err := directoryLinks(packages, o)
	if err != nil {
		return nil, err
	}
	var conflicts []Conflict
	for p := range packages {
		states := make([]rpm.FileState, len(packages[p].Files))
		paths := make([]string, len(packages[p].Files))
		plan.states, plan.resolved = append(plan.states, states), append(plan.resolved, paths)
		for f := range packages[p].Files {
			file := &packages[p].Files[f]
			at, err := links.resolve(file.Path)
			if err != nil {
				return nil, fmt.Errorf("package %s: %w", packages[p].NEVRA, err)
			}
			paths[f] = at
			if o.Skip != nil && o.Skip(p, f) {
				states[f] = rpm.StateNotInstalled
				continue
			}
			c, err := plan.place(p, f, at, o.PreferColor)
			if err != nil {
				return nil, fmt.Errorf("package %s: %w", packages[p].NEVRA, err)
			}
			if c != nil {
				conflicts = append(conflicts, *c)
			}
		}
	}
	if len(conflicts) > 0 {
		return nil, &ConflictError{Conflicts: conflicts}
	}
	for _, n := range plan.nodes {
		if n.Package < 0 && len(n.Owners) > 0 && n.Path != "/" {
			delete(plan.nodes, n.Path) // nothing but ghosts
		}
	}
	tree := newTree(packages)
	tree.states = plan.states
	for _, paths := range plan.resolved {
		tree.resolved = append(tree.resolved, slices.Clone(paths))
	}
	return &Builder{plan: plan, tree: tree}, plan.addParents()
}

func newTree(packages []Package) *Tree {
	return &Tree{
		nodes:   map[string]*Node{"/": {Path: "/", Mode: rpm.ModeDir | 0o755, Package: -1}},
		covered: map[string]*Node{}, claims: map[string][]Owner{}, packages: packages,
	}
}

// Plan is the tree of all packages as it would be if nobody changed anything in between. Files that are removed from it
// before their package is laid are left out, and their state says so. It must not be changed in other ways.
func (b *Builder) Plan() *Tree { return b.plan }

// Tree is the tree of the packages laid so far. It stays the same one.
func (b *Builder) Tree() *Tree { return b.tree }

// Lay lays the files of package i. What others made at their paths goes, but for a symbolic link to a directory where
// the package has a directory (fsmVerify in lib/fsm.cc).
func (b *Builder) Lay(i int) error {
	for f := range b.tree.packages[i].Files {
		if err := b.layFile(Owner{i, f}); err != nil {
			return fmt.Errorf("package %s: %w", b.tree.packages[i].NEVRA, err)
		}
	}
	return nil
}

func (b *Builder) layFile(o Owner) error {
	t := b.tree
	planned := b.plan.nodes[b.plan.Path(o)]
	at := t.parentOf(t.Path(o))
	t.resolved[o.Package][o.File] = at
	if t.states[o.Package][o.File] != rpm.StateNotInstalled || planned != nil && slices.Contains(planned.Owners, o) {
		t.claims[at] = append(t.claims[at], o)
	}
	old := t.nodes[at]
	if old != nil {
		old.Owners = t.claims[at]
	}
	if t.states[o.Package][o.File] == rpm.StateWrongColor {
		return t.Mkdirs(dirOf(at), t.packages[o.Package].MTime)
	}
	if planned == nil || planned.Package != o.Package || planned.File != o.File {
		return nil
	}
	n := *planned
	n.Path, n.Owners = at, t.claims[at]
	switch {
	case old == nil:
		if err := t.Mkdirs(dirOf(at), t.packages[o.Package].MTime); err != nil {
			return err
		}
	case n.IsDir() && old.IsSymlink():
		if to := t.Resolve(at); to != nil && to.IsDir() {
			return nil
		}
	case old.IsDir() && !n.IsDir() && len(t.List(at)) > 0:
		return fmt.Errorf("%s is a directory with something in it", at)
	}
	delete(t.covered, at)
	t.set(&n)
	return nil
}

// linkedPaths finds where files land by the symbolic links that packages bring, so that the order of packages does not
// matter.
type linkedPaths struct {
	links map[string]string // targets by path
	dirs  map[string]string // what was found
}

func directoryLinks(packages []Package, o Options) (*linkedPaths, error) {
	l := &linkedPaths{links: map[string]string{}, dirs: map[string]string{}}
	for p := range packages {
		for f := range packages[p].Files {
			file := &packages[p].Files[f]
			if err := checkPath(file.Path); err != nil {
				return nil, fmt.Errorf("package %s: %w", packages[p].NEVRA, err)
			}
			if !file.IsSymlink() || file.Flags&rpm.FileGhost != 0 || o.Skip != nil && o.Skip(p, f) {
				continue
			}
			if _, ok := l.links[file.Path]; !ok {
				l.links[file.Path] = file.Link
			}
		}
	}
	return l, nil
}

// checkPath refuses paths that are not absolute, climb, hold NUL or are too long.
func checkPath(p string) error {
	switch {
	case !strings.HasPrefix(p, "/"):
		return fmt.Errorf("path %q is not absolute", p)
	case len(p) > MaxPathLength:
		return fmt.Errorf("path %.60q... has %d bytes, more than %d", p, len(p), MaxPathLength)
	case strings.ContainsRune(p, 0):
		return fmt.Errorf("path %q holds a NUL", p)
	case strings.Contains(p, "/../") || strings.HasSuffix(p, "/.."):
		return fmt.Errorf("path %q climbs", p)
	}
	return nil
}

// resolve follows the symbolic links on the way to p's directory, inside the root; p itself is not followed.
func (l *linkedPaths) resolve(p string) (string, error) {
	if p = path.Clean(p); p == "/" {
		return p, nil
	}
	dir, base := path.Dir(p), path.Base(p)
	at, known := l.dirs[dir]
	if !known {
		left := maxLinks
		var err error
		if at, err = l.resolveDir(dir, &left); err != nil {
			return "", fmt.Errorf("path %q: %w", p, err)
		}
		l.dirs[dir] = at
	}
	if at == dir {
		return p, nil
	}
	return path.Join(at, base), nil
}

func (l *linkedPaths) resolveDir(dir string, left *int) (string, error) {
	at := "/"
	for name := range strings.SplitSeq(strings.Trim(dir, "/"), "/") {
		if name == "" {
			continue
		}
		next := path.Join(at, name)
		target, ok := l.links[next]
		if !ok {
			at = next
			continue
		}
		if *left--; *left < 0 {
			return "", fmt.Errorf("more than %d symbolic links", maxLinks)
		}
		if !strings.HasPrefix(target, "/") {
			target = at + "/" + target
		}
		var err error
		if at, err = l.resolveDir(path.Clean(target), left); err != nil {
			return "", err
		}
	}
	return at, nil
}

// place lays one file of a package at a path. It returns the conflict when the path is taken by something else.
func (t *Tree) place(p, f int, at string, prefer uint32) (*Conflict, error) {
	file := &t.packages[p].Files[f]
	owner := Owner{Package: p, File: f}
	n := t.nodes[at]
	if n == nil {
		n = &Node{Path: at, Package: -1}
		t.nodes[at] = n
	}
	defer func() { n.Owners = append(n.Owners, owner) }()
	switch {
	case file.Flags&rpm.FileGhost != 0:
		return nil, nil
	case n.Package < 0:
		return nil, t.take(n, owner)
	}
	what := difference(&t.packages[n.Package].Files[n.File], file)
	if what == "" {
		return nil, nil
	}
	held, color := t.packages[n.Package].Files[n.File].Color, file.Color
	switch {
	case held == 0 || color == 0 || held == color || (held|color)&prefer == 0:
		return &Conflict{Path: at, First: t.packages[n.Package].NEVRA, Then: t.packages[p].NEVRA, What: what}, nil
	case color&prefer != 0:
		t.states[n.Package][n.File] = rpm.StateWrongColor
		return nil, t.take(n, owner)
	}
	t.states[p][f] = rpm.StateWrongColor
	return nil, nil
}

// difference names what rpmfilesCompare (lib/rpmfi.cc) would find different, "" for files that may be shared.
func difference(a, b *rpm.File) string {
	switch {
	case a.IsSymlink() && b.IsSymlink():
		if a.Link != b.Link {
			return fmt.Sprintf("link target (%s, %s)", a.Link, b.Link)
		}
	case a.Mode != b.Mode:
		return fmt.Sprintf("mode (%06o, %06o)", a.Mode, b.Mode)
	case a.IsRegular() && (a.Size != b.Size || a.Digest != b.Digest):
		return "content"
	case (a.Mode&rpm.ModeType == rpm.ModeChar || a.Mode&rpm.ModeType == rpm.ModeBlock) && a.RDev != b.RDev:
		return "device number"
	}
	if a.User != b.User || a.Group != b.Group {
		return fmt.Sprintf("owner (%s:%s, %s:%s)", a.User, a.Group, b.User, b.Group)
	}
	return ""
}

// take makes n what the package's file says.
func (t *Tree) take(n *Node, o Owner) error {
	f := &t.packages[o.Package].Files[o.File]
	n.Package, n.File = o.Package, o.File
	n.Mode, n.User, n.Group, n.MTime, n.Link = f.Mode, f.User, f.Group, f.MTime, f.Link
	n.Size = 0
	if f.IsRegular() {
		n.Size = f.Size
	}
	if f.Mode&rpm.ModeType == rpm.ModeChar || f.Mode&rpm.ModeType == rpm.ModeBlock {
		n.Major, n.Minor = f.RDev>>8&0xff, f.RDev&0xff
	}
	caps, err := ParseCaps(f.Caps)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	n.Caps = caps
	return nil
}

// LinkSets makes the hard links of every package's files that are in the tree: the first member of a set, in the
// header's order, carries the content and the others point to it. For each package and file it returns the index of
// the file that takes the content which comes with it in the payload, -1 for none: a set's content comes with its
// last member, whichever of its members stayed.
func (t *Tree) LinkSets() [][]int {
	carriers := make([][]int, len(t.packages))
	for p := range t.packages {
		files := t.packages[p].Files
		carriers[p] = make([]int, len(files))
		type key struct{ dev, inode uint32 }
		first := map[key]int{}
		for f := range files {
			carriers[p][f] = -1
			n := t.Installed(Owner{p, f})
			if n == nil || !n.IsRegular() {
				continue
			}
			n.HardTo = ""
			k := key{files[f].Dev, files[f].Inode}
			if c, ok := first[k]; ok {
				n.HardTo = t.resolved[p][c]
			} else {
				first[k] = f
			}
			carriers[p][f] = first[k]
		}
		for f := range files {
			if c, ok := first[key{files[f].Dev, files[f].Inode}]; ok && files[f].IsRegular() && files[f].Flags&rpm.FileGhost == 0 {
				carriers[p][f] = c
			}
		}
	}
	return carriers
}

// addParents adds the directories that nobody owns: root's, 0755, dated like the first package that needs them.
func (t *Tree) addParents() error {
	for _, n := range t.Nodes() {
		when := int64(0)
		if len(n.Owners) > 0 {
			when = t.packages[n.Owners[0].Package].MTime
		}
		if err := t.Mkdirs(dirOf(n.Path), when); err != nil {
			return err
		}
	}
	return nil
}

// Mkdirs makes the missing directories down to dir, root's and 0755. A path on the way that is no directory is an error.
func (t *Tree) Mkdirs(dir string, mtime int64) error {
	n := t.nodes[dir]
	if n != nil {
		if !n.IsDir() {
			return fmt.Errorf("%s has to be a directory and is not", dir)
		}
		return nil
	}
	if err := t.Mkdirs(dirOf(dir), mtime); err != nil {
		return err
	}
	t.set(&Node{Path: dir, Mode: rpm.ModeDir | 0o755, MTime: mtime, Package: -1, implied: true})
	return nil
}

// Node is the node at p, symbolic links not followed; nil without one.
func (t *Tree) Node(p string) *Node { return t.nodes[p] }

// Resolve follows symbolic links to the end, inside the root, and returns the node there; nil when there is none.
func (t *Tree) Resolve(p string) *Node {
	if n := t.nodes[p]; n != nil && !n.IsSymlink() {
		return n // what is above a node are directories, no links
	}
	at := path.Clean("/" + p)
	for range maxLinks {
		at = t.parentOf(at)
		n := t.nodes[at]
		if n == nil || !n.IsSymlink() {
			return n
		}
		if strings.HasPrefix(n.Link, "/") {
			at = path.Clean(n.Link)
		} else {
			at = path.Clean(path.Join(path.Dir(at), n.Link))
		}
	}
	return nil
}

// parentOf follows the symbolic links of p's directory.
func (t *Tree) parentOf(p string) string {
	if p == "/" {
		return p
	}
	parent := dirOf(p)
	dir := t.Resolve(parent)
	if dir == nil || dir.Path == parent {
		return p
	}
	return path.Join(dir.Path, path.Base(p))
}

// dirOf is path.Dir of a clean absolute path.
func dirOf(p string) string { return p[:max(strings.LastIndexByte(p, '/'), 1)] }

// Nodes are all nodes sorted by path, "/" first, so that a directory comes before what is in it. The slice is the caller's.
func (t *Tree) Nodes() []*Node {
	all := make([]*Node, 0, len(t.nodes))
	for _, n := range t.nodes {
		all = append(all, n)
	}
	slices.SortFunc(all, func(a, b *Node) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// Put adds or replaces a node that no package's payload carries, and the directories on the way; packages that own the
// path, ghosts included, own it then. The symbolic links of
// its directory are followed. A directory is not replaced by something else while anything is in it.
func (t *Tree) Put(n *Node) error {
	if err := checkPath(n.Path); err != nil {
		return err
	}
	n.Path = t.parentOf(path.Clean(n.Path))
	if err := t.Mkdirs(dirOf(n.Path), n.MTime); err != nil {
		return err
	}
	if old := t.nodes[n.Path]; old != nil {
		if old.IsDir() && !n.IsDir() && len(t.List(n.Path)) > 0 {
			return fmt.Errorf("%s is a directory with something in it", n.Path)
		}
		if old.Package >= 0 && t.covered[n.Path] == nil {
			t.covered[n.Path] = old
		}
	}
	n.Package, n.Owners = -1, t.claims[n.Path]
	t.set(n)
	return nil
}

// PutFile is Put of a regular file with this content, root's.
func (t *Tree) PutFile(p string, mode uint32, mtime int64, content []byte) error {
	return t.Put(&Node{Path: p, Mode: rpm.ModeRegular | mode, MTime: mtime, Size: int64(len(content)), Open: opener(content)})
}

func opener(content []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

// Installed is the node that a package's file made: the one at its path, or what it was before Put laid something over
// it; nil when the file was left out, is a ghost, or another package's equal file was there first.
func (t *Tree) Installed(o Owner) *Node {
	for _, n := range []*Node{t.nodes[t.Path(o)], t.covered[t.Path(o)]} {
		if n != nil && n.Package == o.Package && n.File == o.File {
			return n
		}
	}
	return nil
}

// Base is the node at p as packages made it, whatever Put laid over it; nil without one.
func (t *Tree) Base(p string) *Node {
	if n := t.covered[p]; n != nil {
		return n
	}
	return t.nodes[p]
}

// Covered are the nodes of packages that Put laid something over, sorted by path.
func (t *Tree) Covered() []*Node {
	out := make([]*Node, 0, len(t.covered))
	for _, n := range t.covered {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *Node) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// States are the file states of a package, in its header's order; nil for a package without files.
func (t *Tree) States(pkg int) []rpm.FileState {
	if len(t.states[pkg]) == 0 {
		return nil
	}
	return t.states[pkg]
}

// Path is where a package's file lies, the symbolic links of its directory followed.
func (t *Tree) Path(o Owner) string { return t.resolved[o.Package][o.File] }

// Remove leaves package files out: their states become "not installed" and a path goes when all of its owners left it
// out. Directories stay while something is in them.
func (t *Tree) Remove(files []Owner) error {
	touched := map[string]bool{}
	for _, o := range files {
		if t.states[o.Package][o.File] == rpm.StateNormal {
			t.states[o.Package][o.File] = rpm.StateNotInstalled
		}
		touched[t.Path(o)] = true
	}
	paths := make([]string, 0, len(touched))
	for p := range touched {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	used := t.directoriesInUse(touched)
	for _, p := range slices.Backward(paths) {
		n := t.nodes[p]
		if n == nil {
			continue
		}
		if heir, ok := t.heir(n); ok {
			if n.Package >= 0 && t.states[n.Package][n.File] != rpm.StateNormal {
				if err := t.take(n, heir); err != nil {
					return err
				}
			}
			continue
		}
		if n.IsDir() && used[p] {
			n.Package, n.implied = -1, true
			continue
		}
		t.unset(p)
	}
	t.dropEmptyParents()
	return nil
}

// heir is the first owner whose file is still installed and no ghost.
func (t *Tree) heir(n *Node) (Owner, bool) {
	for _, o := range n.Owners {
		if t.states[o.Package][o.File] == rpm.StateNormal && t.packages[o.Package].Files[o.File].Flags&rpm.FileGhost == 0 {
			return o, true
		}
	}
	return Owner{}, false
}

// directoriesInUse are the directories with something in them that stays.
func (t *Tree) directoriesInUse(touched map[string]bool) map[string]bool {
	used := map[string]bool{}
	for p, n := range t.nodes {
		if touched[p] {
			if _, ok := t.heir(n); !ok {
				continue
			}
		} else if n.implied {
			continue // only there for others
		}
		for d := dirOf(p); d != "/" && !used[d]; d = dirOf(d) {
			used[d] = true
		}
	}
	return used
}

// dropEmptyParents takes away directories that were only there for what was in them.
func (t *Tree) dropEmptyParents() {
	used := t.directoriesInUse(nil)
	for p, n := range t.nodes {
		if n.implied && !used[p] {
			t.unset(p)
		}
	}
}
