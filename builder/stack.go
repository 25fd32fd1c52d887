package builder

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// stack are the layers of an image from the bottom up. The zero value has none.
type stack struct {
	layers   []Layer
	packages map[string]bool // NEVRAs of those that the layers hold
	shows    overlay
}

// overlay is what layers over each other show, by path, "/" aside.
type overlay map[string]shown

// shown is a path as a container sees it.
type shown struct {
	node    *rootfs.Node
	content string // of a regular file: the same for the same content
	links   string // the paths of its hard link set, "" for one alone
}

// add lays s over what is there.
func (o overlay) add(p string, s shown) {
	if old, ok := o[p]; ok && old.node.IsDir() && !s.node.IsDir() {
		for below := range o {
			if strings.HasPrefix(below, p+"/") {
				delete(o, below)
			}
		}
	}
	o[p] = s
}

// equal reports whether nobody could tell s from other.
func (s shown) equal(other shown) bool {
	a, b := s.node, other.node
	if a == nil || b == nil {
		return a == b
	}
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID && a.MTime == b.MTime && a.Link == b.Link && a.Size == b.Size &&
		a.Major == b.Major && a.Minor == b.Minor && bytes.Equal(a.Caps, b.Caps) && s.content == other.content && s.links == other.links
}

// shows is what the finished tree shows.
func (t *root) shows() (overlay, error) {
	nodes := slices.DeleteFunc(t.tree.Nodes(), func(n *rootfs.Node) bool { return n.Path == "/" })
	sets := t.linkSets(nodes)
	out := make(overlay, len(nodes))
	for _, n := range nodes {
		s := shown{node: n, links: sets[n.Path]}
		switch {
		case !n.IsRegular():
		case n.Package >= 0:
			s.content = t.digest(n)
		default:
			r, err := t.open(n)
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", n.Path, err)
			}
			h := sha256.New()
			_, err = io.Copy(h, r)
			r.Close()
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", n.Path, err)
			}
			s.content = hex.EncodeToString(h.Sum(nil))
		}
		out[n.Path] = s
	}
	return out, nil
}

// digest is the SHA-256 of a package's file, as its header has it, and otherwise a name of the file.
func (t *root) digest(n *rootfs.Node) string {
	if !n.IsRegular() {
		return ""
	}
	if d := t.packages[n.Package].Files()[n.File].Digest; len(d) == 2*sha256.Size {
		return d
	}
	return fmt.Sprintf("%s file %d", t.packages[n.Package].NEVRA(), n.File)
}

// linkSets are the paths of each hard link set among nodes, which are by path, for each of its members.
func (t *root) linkSets(nodes []*rootfs.Node) map[string]string {
	members := map[string][]string{}
	key := func(n *rootfs.Node) string {
		if to := t.tree.Node(n.HardTo); n.Package < 0 && to != nil {
			n = to
		}
		if n.Package < 0 {
			return n.Path
		}
		f := t.packages[n.Package].Files()[n.File]
		return fmt.Sprint(n.Package, f.Dev, f.Inode)
	}
	for _, n := range nodes {
		if n.IsRegular() {
			members[key(n)] = append(members[key(n)], n.Path)
		}
	}
	sets := map[string]string{}
	for _, paths := range members {
		if len(paths) < 2 {
			continue
		}
		set := strings.Join(slices.Sorted(slices.Values(paths)), "\x00")
		for _, p := range paths {
			sets[p] = set
		}
	}
	return sets
}

// open reads the content of a regular file of the finished tree.
func (t *root) open(n *rootfs.Node) (io.ReadCloser, error) {
	if to := t.tree.Node(n.HardTo); to != nil && n.Package < 0 {
		n = to
	}
	if n.Package < 0 {
		return n.Open()
	}
	return t.content(n)
}

// content reads a node that a package carries.
func (t *root) content(n *rootfs.Node) (io.ReadCloser, error) {
	return t.contents.open(t.packages[n.Package], n.File), nil
}

// changes are what a last layer holds.
type changes struct {
	gone        []string       // paths to take away, by path
	directories []*rootfs.Node // by path
	nodes       []*rootfs.Node // the rest, by path
	sets        map[string]string
}

// changes are between what layers show and what is wanted. What is gone is looked for in lower, the layers under the one
// that is to have the changes.
func (t *root) changes(shows, wanted, lower overlay) *changes {
	c := &changes{sets: map[string]string{}}
	directories := map[string]*rootfs.Node{}
	parents := func(p string) {
		for dir := path.Dir(p); dir != "/" && directories[dir] == nil; dir = path.Dir(dir) {
			directories[dir] = wanted[dir].node
		}
	}
	for _, p := range slices.Sorted(maps.Keys(wanted)) {
		want := wanted[p]
		if want.equal(shows[p]) {
			continue
		}
		parents(p)
		if want.node.IsDir() {
			directories[p] = want.node
			continue
		}
		c.nodes = append(c.nodes, want.node)
		c.sets[p] = want.links
	}
	for _, p := range slices.Sorted(maps.Keys(lower)) {
		dir := path.Dir(p)
		if wanted[p].node == nil && (dir == "/" || wanted[dir].node != nil && wanted[dir].node.IsDir()) {
			parents(p)
			c.gone = append(c.gone, p)
		}
	}
	c.directories = byPath(directories)
	return c
}

// ownPlan gives the planned nodes the owners that they have in the tree.
func (t *root) ownPlan() {
	for _, n := range t.plan.Nodes() {
		if n.Package < 0 {
			continue
		}
		if m := t.tree.Installed(rootfs.Owner{Package: n.Package, File: n.File}); m != nil {
			n.User, n.Group, n.UID, n.GID, n.Mode = m.User, m.Group, m.UID, m.GID, m.Mode
			continue
		}
		uid, gid := t.uid(n.User), t.gid(n.Group)
		if uid < 0 {
			uid, n.Mode = 0, n.Mode&^0o4000
		}
		if gid < 0 {
			gid, n.Mode = 0, n.Mode&^0o2000
		}
		n.UID, n.GID = uint32(uid), uint32(gid)
	}
}
