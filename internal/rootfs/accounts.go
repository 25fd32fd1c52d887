package rootfs

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// User is a line of /etc/passwd.
type User struct {
	Name     string
	Password string
	UID      uint32
	GID      uint32
	Gecos    string
	Home     string
	Shell    string
}

// Group is a line of /etc/group.
type Group struct {
	Name     string
	Password string
	GID      uint32
	Members  []string
}

// System ids are given from SystemMax downwards, as useradd -r and systemd-sysusers do, and never below SystemMin.
const (
	SystemMin = 201
	SystemMax = 999
)

// Accounts are the users and groups of a root: the lines of its passwd and group files in their order, and what was
// added since.
type Accounts struct {
	Users  []User
	Groups []Group

	addedUsers  []added
	addedGroups []added
	sysusers    bool // what is added now, sysusers.d(5) asks for
	changed     bool
}

// added is what an Add... made: the index of its line, and what stands for its password in the shadow file.
type added struct {
	index    int
	password string
}

// ParseAccounts reads the content of /etc/passwd and /etc/group; either may be empty. Lines that are not of the form
// passwd(5) and group(5) describe are errors, empty ones and comments are passed over.
func ParseAccounts(passwd, group []byte) (*Accounts, error) {
	a := &Accounts{}
	err := eachLine(passwd, 7, func(f []string) error {
		uid, err := id(f[2])
		if err != nil {
			return err
		}
		gid, err := id(f[3])
		if err != nil {
			return err
		}
		a.Users = append(a.Users, User{Name: f[0], Password: f[1], UID: uid, GID: gid, Gecos: f[4], Home: f[5], Shell: f[6]})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading /etc/passwd: %w", err)
	}
	err = eachLine(group, 4, func(f []string) error {
		gid, err := id(f[2])
		if err != nil {
			return err
		}
		g := Group{Name: f[0], Password: f[1], GID: gid}
		if f[3] != "" {
			g.Members = strings.Split(f[3], ",")
		}
		a.Groups = append(a.Groups, g)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading /etc/group: %w", err)
	}
	return a, nil
}

func eachLine(b []byte, fields int, add func([]string) error) error {
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != fields {
			return fmt.Errorf("line %d has %d fields, not %d", i+1, len(f), fields)
		}
		if err := add(f); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n >= 1<<32-1 {
		return 0, fmt.Errorf("%q is not an id", s)
	}
	return uint32(n), nil
}

// User is the user of that name, nil without one.
func (a *Accounts) User(name string) *User {
	if i := slices.IndexFunc(a.Users, func(u User) bool { return u.Name == name }); i >= 0 {
		return &a.Users[i]
	}
	return nil
}

// Group is the group of that name, nil without one.
func (a *Accounts) Group(name string) *Group {
	if i := slices.IndexFunc(a.Groups, func(g Group) bool { return g.Name == name }); i >= 0 {
		return &a.Groups[i]
	}
	return nil
}

func (a *Accounts) uidTaken(id uint32) bool {
	return slices.ContainsFunc(a.Users, func(u User) bool { return u.UID == id })
}

func (a *Accounts) gidTaken(id uint32) bool {
	return slices.ContainsFunc(a.Groups, func(g Group) bool { return g.GID == id })
}

// free is the highest system id that taken does not hold.
func free(taken ...func(uint32) bool) (uint32, error) {
	for id := uint32(SystemMax); id >= SystemMin; id-- {
		if !slices.ContainsFunc(taken, func(t func(uint32) bool) bool { return t(id) }) {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no system id between %d and %d is free", SystemMin, SystemMax)
}

// Auto asks for the next free system id.
const Auto = -1

// AddGroup adds a group; gid may be Auto. A group of that name stays as it is, unless gid contradicts it.
func (a *Accounts) AddGroup(name string, gid int) error {
	if g := a.Group(name); g != nil {
		if gid != Auto && g.GID != uint32(gid) {
			return fmt.Errorf("group %s is %d already, not %d", name, g.GID, gid)
		}
		return nil
	}
	if err := checkName(name); err != nil {
		return err
	}
	if gid == Auto {
		n, err := free(a.gidTaken, a.uidTaken)
		if err != nil {
			return fmt.Errorf("group %s: %w", name, err)
		}
		gid = int(n)
	}
	a.addedGroups = append(a.addedGroups, added{len(a.Groups), a.locked("!")})
	a.Groups = append(a.Groups, Group{Name: name, Password: "x", GID: uint32(gid)})
	a.changed = true
	return nil
}

// NewUser says what AddUser makes. Home "" is "/", Shell "" is /sbin/nologin, Group "" is a group of the user's own
// name, which is added when missing, with the user's id where that is free.
type NewUser struct {
	Name  string
	UID   int // or Auto
	Group string
	Gecos string
	Home  string
	Shell string
}

// AddUser adds a user. A user of that name stays as it is, unless UID contradicts it.
func (a *Accounts) AddUser(n NewUser) error {
	if u := a.User(n.Name); u != nil {
		if n.UID != Auto && u.UID != uint32(n.UID) {
			return fmt.Errorf("user %s is %d already, not %d", n.Name, u.UID, n.UID)
		}
		return nil
	}
	if err := checkName(n.Name); err != nil {
		return err
	}
	for _, field := range []string{n.Gecos, n.Home, n.Shell} {
		if strings.ContainsAny(field, ":\n") {
			return fmt.Errorf("user %s: %q holds a colon or a line break", n.Name, field)
		}
	}
	uid, gid, err := a.userIDs(n)
	if err != nil {
		return fmt.Errorf("user %s: %w", n.Name, err)
	}
	u := User{Name: n.Name, Password: "x", UID: uid, GID: gid, Gecos: n.Gecos, Home: n.Home, Shell: n.Shell}
	if u.Home == "" {
		u.Home = "/"
	}
	if u.Shell == "" {
		u.Shell = "/sbin/nologin"
	}
	a.addedUsers = append(a.addedUsers, added{len(a.Users), a.locked("!!")})
	a.Users = append(a.Users, u)
	a.changed = true
	return nil
}

// userIDs finds the ids of a new user, and adds its group.
func (a *Accounts) userIDs(n NewUser) (uid, gid uint32, err error) {
	own := n.Group == "" || n.Group == n.Name
	group := n.Group
	if own {
		group = n.Name
	}
	if n.UID != Auto {
		uid = uint32(n.UID)
	} else {
		// A group of the user's own name that is there already lends its id, as systemd-sysusers does.
		if g := a.Group(n.Name); own && g != nil && !a.uidTaken(g.GID) {
			uid = g.GID
		} else if uid, err = free(a.uidTaken, a.gidTaken); err != nil {
			return 0, 0, err
		}
	}
	if g := a.Group(group); g != nil {
		return uid, g.GID, nil
	}
	if n, err := strconv.ParseUint(group, 10, 32); err == nil {
		return uid, uint32(n), nil
	}
	want := Auto
	if own && !a.gidTaken(uid) {
		want = int(uid)
	}
	if err := a.AddGroup(group, want); err != nil {
		return 0, 0, err
	}
	return uid, a.Group(group).GID, nil
}

// AddMember adds a user to a group; both are added when missing.
func (a *Accounts) AddMember(user, group string) error {
	if err := a.AddUser(NewUser{Name: user, UID: Auto}); err != nil {
		return err
	}
	if err := a.AddGroup(group, Auto); err != nil {
		return err
	}
	if g := a.Group(group); !slices.Contains(g.Members, user) {
		g.Members = append(slices.Clone(g.Members), user)
		a.changed = true
	}
	return nil
}

func checkName(name string) error {
	if name == "" || len(name) > 32 || strings.ContainsAny(name, ":,/ \t\n\x00") || name[0] == '-' {
		return fmt.Errorf("%q is no name for a user or group", name)
	}
	return nil
}

// locked is no password as systemd-sysusers writes it, or as useradd and groupadd do.
func (a *Accounts) locked(otherwise string) string {
	if a.sysusers {
		return "!*"
	}
	return otherwise
}

// Changed reports whether anything was added.
func (a *Accounts) Changed() bool { return a.changed }

// Passwd is the content of /etc/passwd.
func (a *Accounts) Passwd() []byte {
	var b strings.Builder
	for _, u := range a.Users {
		fmt.Fprintf(&b, "%s:%s:%d:%d:%s:%s:%s\n", u.Name, u.Password, u.UID, u.GID, u.Gecos, u.Home, u.Shell)
	}
	return []byte(b.String())
}

// GroupFile is the content of /etc/group.
func (a *Accounts) GroupFile() []byte {
	var b strings.Builder
	for _, g := range a.Groups {
		fmt.Fprintf(&b, "%s:%s:%d:%s\n", g.Name, g.Password, g.GID, strings.Join(g.Members, ","))
	}
	return []byte(b.String())
}

// Shadow is old, the content of /etc/shadow, with a line for each added user: no password ("!!" as Fedora's useradd has
// it, "!*" for what sysusers.d asked for), changed on the given day (days since 1970).
func (a *Accounts) Shadow(old []byte, day int64) []byte {
	b := withNewline(old)
	for _, u := range a.addedUsers {
		b = fmt.Appendf(b, "%s:%s:%d::::::\n", a.Users[u.index].Name, u.password, day)
	}
	return b
}

// GShadow is old, the content of /etc/gshadow, with a line for each added group.
func (a *Accounts) GShadow(old []byte) []byte {
	b := withNewline(old)
	for _, g := range a.addedGroups {
		b = fmt.Appendf(b, "%s:%s::%s\n", a.Groups[g.index].Name, g.password, strings.Join(a.Groups[g.index].Members, ","))
	}
	return b
}

func withNewline(b []byte) []byte {
	out := slices.Clone(b)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return out
}

// Sysusers applies the lines of a sysusers.d(5) file, or of a package's user() and group() provides: u, g and m lines;
// r lines (id ranges) are passed over. Groups are added before users, whatever their order.
func (a *Accounts) Sysusers(content []byte) error {
	a.sysusers = true
	defer func() { a.sysusers = false }()
	var lines [][]string
	for i, line := range strings.Split(string(content), "\n") {
		f, err := fields(line)
		if err != nil {
			return fmt.Errorf("sysusers line %d: %w", i+1, err)
		}
		if len(f) > 0 && !strings.HasPrefix(f[0], "#") {
			lines = append(lines, f)
		}
	}
	for _, kind := range []string{"g", "u", "m"} {
		for _, f := range lines {
			if strings.TrimRight(f[0], "!-+") != kind {
				continue
			}
			if err := a.sysuser(kind, f); err != nil {
				return fmt.Errorf("sysusers line %q: %w", strings.Join(f, " "), err)
			}
		}
	}
	return nil
}

func (a *Accounts) sysuser(kind string, f []string) error {
	at := func(i int) string {
		if i < len(f) && f[i] != "-" {
			return f[i]
		}
		return ""
	}
	if at(1) == "" {
		return fmt.Errorf("no name")
	}
	if kind == "m" {
		return a.AddMember(f[1], at(2))
	}
	uid, group, _ := strings.Cut(at(2), ":")
	want := Auto
	if uid != "" && uid[0] != '/' { // a path lends its owner's id; then any is as good
		n, err := id(uid)
		if err != nil {
			return err
		}
		want = int(n)
	}
	if kind == "g" {
		if a.Group(f[1]) == nil && want != Auto && a.gidTaken(uint32(want)) {
			want = Auto
		}
		return a.AddGroup(f[1], want)
	}
	if a.User(f[1]) == nil && want != Auto && a.uidTaken(uint32(want)) {
		want = Auto
	}
	if u := a.User(f[1]); u != nil {
		return nil
	}
	shell := at(5)
	if shell == "" {
		if shell = "/usr/sbin/nologin"; want == 0 {
			shell = "/bin/sh"
		}
	}
	return a.AddUser(NewUser{Name: f[1], UID: want, Group: group, Gecos: at(3), Home: at(4), Shell: shell})
}

// fields splits a line at blanks; double and single quotes hold words together.
func fields(line string) ([]string, error) {
	var out []string
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" || line[0] == '#' {
			return out, nil
		}
		if q := line[0]; q == '"' || q == '\'' {
			word, rest, ok := strings.Cut(line[1:], string(q))
			if !ok {
				return nil, fmt.Errorf("a quote without an end")
			}
			out, line = append(out, word), rest
			continue
		}
		i := strings.IndexAny(line, " \t\r")
		if i < 0 {
			i = len(line)
		}
		out, line = append(out, line[:i]), line[i:]
	}
}

// SysusersOf are the sysusers.d lines that rpm 4.19 and later read from a package's user(NAME), group(NAME) and
// groupmember(USER/GROUP) provides: the version is the line in base64 (lib/rpmusers.c, scripts/sysusers.prov). Provides
// without a line are passed over.
func SysusersOf(name, version string) (line string, ok bool, err error) {
	open := strings.IndexByte(name, '(')
	if open < 0 || !strings.HasSuffix(name, ")") || version == "" {
		return "", false, nil
	}
	switch name[:open] {
	case "user", "group", "groupmember":
	default:
		return "", false, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(version, "="))
	if err != nil {
		return "", false, fmt.Errorf("provide %s = %s: not base64", name, version)
	}
	line = strings.TrimRight(string(raw), "\x00\n")
	if strings.ContainsAny(line, "\x00\n") {
		return "", false, fmt.Errorf("provide %s: more than one line", name)
	}
	return line, true, nil
}
