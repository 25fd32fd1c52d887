package scriptlet

import (
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// setACL is setfacl(1), as far as it gives rights to more users and groups. Layers of an image hold no access control
// lists, so these are left out, with a warning: less is allowed than dnf would have allowed, and never more. What takes
// rights away is refused.
func setACL(r *toolRun) error {
	if r.has("set", "M", "X", "set-file", "restore") {
		return r.unsupported("lists that are set as a whole are not known here")
	}
	var entries []aclEntry
	for _, value := range r.values("modify") {
		for text := range strings.SplitSeq(value, ",") {
			e, ok := readACLEntry(text)
			if !ok {
				return r.unsupported("of access control lists only rights of one more user or group are known here, not %s", text)
			}
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 { // there is nothing to take away
		return nil
	}
	for _, p := range r.args {
		n, err := r.FS.Stat(r.Dir, p)
		if err != nil {
			r.complain("%s: %s", p, errorText(err))
			continue
		}
		for _, n := range r.underACL(n) {
			for _, e := range entries {
				if !e.isDefault && e.allows(n)&n.Perm()&7 != n.Perm()&7 {
					return r.unsupported("%s takes rights away from %s, and layers of an image hold no access control lists", e.text, n.Path)
				}
			}
		}
		r.warn("what %s allows on %s is left out: layers of an image hold no access control lists", strings.Join(r.values("modify"), ","), p)
	}
	return nil
}

// underACL are the nodes whose lists are to be changed.
func (r *toolRun) underACL(n *rootfs.Node) []*rootfs.Node {
	out := []*rootfs.Node{n}
	if !r.has("R") || !n.IsDir() {
		return out
	}
	for _, name := range r.FS.tree.List(n.Path) {
		if c := r.FS.tree.Node(path.Join(n.Path, name)); c != nil && !c.IsSymlink() {
			out = append(out, r.underACL(c)...)
		}
	}
	return out
}

// aclEntry is what one more user or group may do.
type aclEntry struct {
	text      string
	isDefault bool // for what will be made in a directory
	bits      uint32
	search    bool // X: to execute what is a directory or executable
}

// readACLEntry reads [d:](u|g):NAME:RIGHTS. The others, of the owner and of everybody, change the mode.
func readACLEntry(text string) (e aclEntry, ok bool) {
	f := strings.Split(text, ":")
	if len(f) == 4 && (f[0] == "d" || f[0] == "default") {
		e.isDefault, f = true, f[1:]
	}
	if len(f) != 3 || !slices.Contains([]string{"u", "user", "g", "group"}, f[0]) || f[1] == "" || f[2] == "" {
		return e, false
	}
	e.text = text
	for _, c := range f[2] {
		switch {
		case c == 'r':
			e.bits |= 4
		case c == 'w':
			e.bits |= 2
		case c == 'x':
			e.bits |= 1
		case c == 'X':
			e.search = true
		case c >= '0' && c <= '7' && len(f[2]) == 1:
			e.bits = uint32(c - '0')
		case c != '-':
			return e, false
		}
	}
	return e, true
}

func (e aclEntry) allows(n *rootfs.Node) uint32 {
	if e.search && (n.IsDir() || n.Perm()&0o111 != 0) {
		return e.bits | 1
	}
	return e.bits
}
