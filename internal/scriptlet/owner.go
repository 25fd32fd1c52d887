package scriptlet

import (
	"strconv"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// names turns ids into names and back by the tree's own /etc/passwd and /etc/group.
type names struct {
	users, groups map[string]uint32
	uids, gids    map[uint32]string
	primary       map[string]uint32 // group ids of users
}

func (f *FS) names() *names {
	t := &names{map[string]uint32{}, map[string]uint32{}, map[uint32]string{}, map[uint32]string{}, map[string]uint32{}}
	read := func(file string, fields int, byName map[string]uint32, byID map[uint32]string) {
		b, err := f.ReadFile("/", file)
		if err != nil {
			return
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			p := strings.Split(line, ":")
			if len(p) != fields || p[0] == "" {
				continue
			}
			id, err := strconv.ParseUint(p[2], 10, 32)
			if err != nil {
				continue
			}
			if _, ok := byName[p[0]]; !ok {
				byName[p[0]] = uint32(id)
				if gid, err := strconv.ParseUint(p[3], 10, 32); fields == 7 && err == nil {
					t.primary[p[0]] = uint32(gid)
				}
			}
			if _, ok := byID[uint32(id)]; !ok {
				byID[uint32(id)] = p[0]
			}
		}
	}
	read("/etc/passwd", 7, t.users, t.uids)
	read("/etc/group", 4, t.groups, t.gids)
	return t
}

// uid is the id of a node's owner, by its name where it has one.
func (t *names) uid(n *rootfs.Node) uint32 { return nodeID(n.User, n.UID, t.users) }

func (t *names) gid(n *rootfs.Node) uint32 { return nodeID(n.Group, n.GID, t.groups) }

func nodeID(name string, id uint32, known map[string]uint32) uint32 {
	if name == "" {
		return id
	}
	if v, ok := known[name]; ok {
		return v
	}
	if v, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(v)
	}
	if name == "root" {
		return 0
	}
	return id
}

func (t *names) user(n *rootfs.Node) string { return nodeOwner(n.User, t.uid(n), t.uids) }

func (t *names) group(n *rootfs.Node) string { return nodeOwner(n.Group, t.gid(n), t.gids) }

func nodeOwner(name string, id uint32, known map[uint32]string) string {
	if v, ok := known[id]; ok {
		return v
	}
	if _, err := strconv.ParseUint(name, 10, 32); err == nil {
		return ""
	}
	if id == 0 && name == "" {
		return "root"
	}
	return name
}

// owner finds the user or group that a program was told, by name or number; nil when there is none of that name.
func lookupOwner(s string, byName map[string]uint32, byID map[uint32]string) *Owner {
	if id, ok := byName[s]; ok {
		return &Owner{Name: s, ID: id}
	}
	if id, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), 10, 32); err == nil && id < 1<<32-1 {
		name := byID[uint32(id)]
		if name == "" {
			name = strconv.FormatUint(id, 10)
		}
		return &Owner{Name: name, ID: uint32(id)}
	}
	if s == "root" {
		return &Owner{Name: "root"}
	}
	return nil
}

func (t *names) lookupUser(s string) *Owner { return lookupOwner(s, t.users, t.uids) }

func (t *names) lookupGroup(s string) *Owner { return lookupOwner(s, t.groups, t.gids) }

// ownership reads "user", "user:group", "user:", ":group" and "user.group". The message is "" when it is understood.
func (t *names) ownership(spec string) (user, group *Owner, message string) {
	u, g, both := strings.Cut(spec, ":")
	if !both {
		if u != "" && t.lookupUser(u) == nil {
			if a, b, ok := cutLast(u, "."); ok && t.lookupUser(a) != nil {
				u, g, both = a, b, true
			}
		}
	}
	if u != "" {
		if user = t.lookupUser(u); user == nil {
			return nil, nil, "invalid user: '" + spec + "'"
		}
	}
	switch {
	case g != "":
		if group = t.lookupGroup(g); group == nil {
			return nil, nil, "invalid group: '" + spec + "'"
		}
	case both && user != nil: // the login group
		gid, ok := t.primary[user.Name]
		if !ok {
			return nil, nil, "invalid spec: '" + spec + "'"
		}
		group = t.lookupGroup(strconv.FormatUint(uint64(gid), 10))
	}
	return user, group, ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// modeChange is a mode as chmod(1) reads it: a number or clauses.
type modeChange struct {
	octal   bool
	value   uint32
	digits  int
	clauses []modeClause
}

type modeClause struct {
	who   uint32 // mask of the bits it may touch; 0 where the umask decides
	op    byte
	perm  uint32
	copy  byte // u, g or o: take those of that class
	cond  bool // X
	given bool // who was given
}

// parseMode reads a mode. It returns false for what is none.
func parseMode(s string) (modeChange, bool) {
	if s == "" {
		return modeChange{}, false
	}
	if s[0] >= '0' && s[0] <= '7' {
		v, err := strconv.ParseUint(s, 8, 32)
		return modeChange{octal: true, value: uint32(v), digits: len(s)}, err == nil && v <= 0o7777
	}
	var m modeChange
	for clause := range strings.SplitSeq(s, ",") {
		i := 0
		var who uint32
		for ; i < len(clause) && strings.IndexByte("ugoa", clause[i]) >= 0; i++ {
			who |= map[byte]uint32{'u': 0o4700, 'g': 0o2070, 'o': 0o1007, 'a': 0o7777}[clause[i]]
		}
		if i == len(clause) {
			return m, false
		}
		for i < len(clause) {
			c := modeClause{who: who, given: who != 0, op: clause[i]}
			if strings.IndexByte("+-=", c.op) < 0 {
				return m, false
			}
			i++
			start := i
			for ; i < len(clause) && strings.IndexByte("+-=", clause[i]) < 0; i++ {
				switch clause[i] {
				case 'r':
					c.perm |= 0o444
				case 'w':
					c.perm |= 0o222
				case 'x':
					c.perm |= 0o111
				case 'X':
					c.cond = true
				case 's':
					c.perm |= 0o6000
				case 't':
					c.perm |= 0o1000
				case 'u', 'g', 'o':
					if i != start || i+1 < len(clause) && strings.IndexByte("+-=", clause[i+1]) < 0 {
						return m, false
					}
					c.copy = clause[i]
				default:
					return m, false
				}
			}
			m.clauses = append(m.clauses, c)
		}
	}
	return m, true
}

// apply is what a mode becomes.
func (m modeChange) apply(mode uint32, dir bool, umask uint32) uint32 {
	if m.octal {
		if dir && m.digits < 5 { // setuid and setgid of directories stay
			return m.value | mode&0o6000
		}
		return m.value
	}
	mode &= 0o7777
	for _, c := range m.clauses {
		who := c.who
		if !c.given {
			who = 0o7777 &^ (umask & 0o777)
		}
		bits := c.perm
		if c.cond && (dir || mode&0o111 != 0) {
			bits |= 0o111
		}
		switch c.copy {
		case 'u':
			bits = mode >> 6 & 7 * 0o111
		case 'g':
			bits = mode >> 3 & 7 * 0o111
		case 'o':
			bits = mode & 7 * 0o111
		}
		bits &= who
		switch c.op {
		case '+':
			mode |= bits
		case '-':
			mode &^= bits
		case '=':
			clear := who
			if !c.given {
				clear = 0o7777
			}
			if dir {
				clear &^= 0o6000 &^ bits
				if c.given && c.perm&0o6000 == 0 {
					clear &^= 0o6000
				}
			}
			mode = mode&^clear | bits
		}
	}
	return mode
}

// modeString is a mode as ls -l prints it.
func modeString(mode uint32) string {
	b := []byte("?rwxrwxrwx")
	switch mode & rpm.ModeType {
	case rpm.ModeRegular:
		b[0] = '-'
	case rpm.ModeDir:
		b[0] = 'd'
	case rpm.ModeSymlink:
		b[0] = 'l'
	case rpm.ModeChar:
		b[0] = 'c'
	case rpm.ModeBlock:
		b[0] = 'b'
	case 0o010000:
		b[0] = 'p'
	case 0o140000:
		b[0] = 's'
	}
	for i := range 9 {
		if mode>>(8-i)&1 == 0 {
			b[1+i] = '-'
		}
	}
	special := func(bit uint32, at int, with, without byte) {
		if mode&bit == 0 {
			return
		}
		if b[at] == '-' {
			b[at] = without
		} else {
			b[at] = with
		}
	}
	special(0o4000, 3, 's', 'S')
	special(0o2000, 6, 's', 'S')
	special(0o1000, 9, 't', 'T')
	return string(b)
}
