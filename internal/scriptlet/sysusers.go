package scriptlet

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// sysuser is a user or group that sysusers.d(5) asks for.
type sysuser struct {
	name, group, idPath, gecos, home, shell string
	uid, gid                                uint32
	uidSet, gidSet, strict, locked          bool
	made, groupMade                         bool
}

// sysusersRun is one run of systemd-sysusers.
type sysusersRun struct {
	*toolRun
	db            *accountDB
	users, groups []*sysuser
	members       []sysmember
	low, search   int64
	madeUsers     []*sysuser
	madeGroups    []*sysuser
}

type sysmember struct {
	group string
	users []string
}

// maxSysusers bounds the lines of all sysusers.d files.
const maxSysusers = 100_000

// sysusers makes the users and groups that files of sysusers.d(5), or standard input, ask for.
func sysusers(r *toolRun) error {
	if r.has("root", "image", "image-policy", "dry-run", "cat-config", "tldr") {
		return r.unsupported("one of its options is not known here")
	}
	s := &sysusersRun{toolRun: r}
	var err error
	clean := *r
	clean.options = nil
	if s.db, err = clean.accounts(); err != nil {
		return err
	}
	s.low, s.search = 1, min(999, s.db.number("SYS_UID_MAX", 999))+1
	replace, replacing := r.value("replace")
	if replacing && len(r.args) == 0 {
		return r.die(1, "When --replace= is given, some configuration items must be specified.")
	}
	given := func() error {
		for _, a := range r.args {
			if r.has("inline") {
				if err := s.parse("(inline)", a); err != nil {
					return err
				}
				continue
			}
			if err := s.file(a); err != nil {
				return err
			}
		}
		if s.status != 0 {
			return errStop
		}
		return nil
	}
	if replacing || len(r.args) == 0 {
		err = s.configured(replace, given)
	} else {
		err = given()
	}
	if err != nil {
		return err
	}
	if err := s.implied(); err != nil {
		return err
	}
	return s.apply()
}

// configured reads all files of the sysusers.d directories by name, one of them replaced.
func (s *sysusersRun) configured(replace string, given func() error) error {
	files := map[string]string{}
	for _, dir := range []string{"/usr/lib/sysusers.d", "/usr/local/lib/sysusers.d", "/run/sysusers.d", "/etc/sysusers.d"} {
		names, err := s.FS.ReadDir("/", dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if strings.HasSuffix(n, ".conf") {
				files[n] = join(dir, n)
			}
		}
	}
	if replace != "" {
		// A file of a higher directory keeps its place; the replaced one need not be there.
		base := path.Base(replace)
		if at, ok := files[base]; !ok || sysusersRank(at) <= sysusersRank(replace) {
			files[base] = replace
		}
	}
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		var err error
		if replace != "" && files[n] == replace {
			err = given()
		} else if node, lerr := s.FS.Lstat("/", files[n]); lerr == nil && node.IsSymlink() && node.Link == "/dev/null" {
			continue
		} else {
			err = s.file(files[n])
			s.status = 0 // what is wrong in a file that is there does not keep the others from counting
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sysusersRank(p string) int {
	return slices.Index([]string{"/usr/lib/sysusers.d", "/usr/local/lib/sysusers.d", "/run/sysusers.d", "/etc/sysusers.d"}, path.Dir(p))
}

// file reads a file by path, or by name from the directories.
func (s *sysusersRun) file(name string) error {
	p := name
	if !strings.Contains(name, "/") && name != "-" {
		p = ""
		for _, dir := range []string{"/etc/sysusers.d", "/run/sysusers.d", "/usr/local/lib/sysusers.d", "/usr/lib/sysusers.d"} {
			if s.FS.Exists("/", join(dir, name)) {
				p = join(dir, name)
				break
			}
		}
		if p == "" {
			return s.die(1, "Failed to open '%s': No such file or directory", name)
		}
	}
	b, err := s.read(p)
	if fatal(err) {
		return err
	}
	if err != nil {
		return s.die(1, "Failed to open '%s': %s", name, errorText(err))
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if err := s.parse(name, line); err != nil {
			return err
		}
	}
	return nil
}

// parse reads one line. A wrong one is complained about and passed over, and makes the status 1.
func (s *sysusersRun) parse(file, line string) error {
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return nil
	}
	f, ok := splitQuoted(line)
	if !ok || len(f) < 2 || len(f) > 6 {
		s.complain("%s: Syntax error: %s", file, line)
		return nil
	}
	for i := range f {
		if strings.Contains(strings.ReplaceAll(f[i], "%%", ""), "%") {
			return s.unsupported("specifiers are not known here: %s", line)
		}
		f[i] = strings.ReplaceAll(f[i], "%%", "%")
	}
	for len(f) < 6 {
		f = append(f, "")
	}
	for i := range f {
		if f[i] == "-" {
			f[i] = ""
		}
	}
	if len(s.users)+len(s.groups)+len(s.members) > maxSysusers {
		return s.unsupported("more than %d lines", maxSysusers)
	}
	kind := f[0]
	locked := kind == "u!"
	switch strings.TrimSuffix(kind, "!") {
	case "r":
		return s.idRange(file, f[2])
	case "m":
		if f[1] == "" || f[2] == "" {
			s.complain("%s: Lines of type 'm' require a user and a group name.", file)
			return nil
		}
		s.member(f[2], f[1])
		return nil
	case "u", "g":
	default:
		s.complain("%s: Unknown command type '%s'.", file, kind)
		return nil
	}
	u := &sysuser{name: f[1], gecos: f[3], home: f[4], shell: f[5], locked: locked}
	if !goodName(u.name) {
		s.complain("%s: '%s' is not a valid user or group name.", file, u.name)
		return nil
	}
	if message := u.id(f[2], kind[0] == 'u'); message != "" {
		s.complain("%s: %s", file, message)
		return nil
	}
	if !goodField(u.gecos) || u.home != "" && u.home[0] != '/' || !goodField(u.home) || u.shell != "" && u.shell[0] != '/' || !goodField(u.shell) {
		s.complain("%s: '%s' is not a valid description, home or shell.", file, line)
		return nil
	}
	list := &s.users
	if kind[0] == 'g' {
		list = &s.groups
	}
	for _, have := range *list {
		if have.name == u.name {
			if *have != *u {
				fmt.Fprintf(s.Stderr, "%s: Conflict with earlier configuration for %s, ignoring line.\n", file, u.name)
			}
			return nil
		}
	}
	*list = append(*list, u)
	return nil
}

// id reads the third field.
func (u *sysuser) id(s string, user bool) (message string) {
	switch {
	case s == "":
	case s[0] == '/':
		u.idPath = s
	default:
		id, group, both := strings.Cut(s, ":")
		if both && user {
			if gid, ok := parseID(group); ok {
				u.gid, u.gidSet, u.strict = gid, true, true
			} else if goodName(group) {
				u.group = group
			} else {
				return "invalid group '" + group + "'"
			}
			if id == "-" {
				return ""
			}
		}
		n, ok := parseID(id)
		if !ok || both && !user {
			return "invalid id '" + s + "'"
		}
		if user {
			u.uid, u.uidSet = n, true
		} else {
			u.gid, u.gidSet = n, true
		}
	}
	return ""
}

func (s *sysusersRun) idRange(file, text string) error {
	from, to, both := strings.Cut(text, "-")
	if !both {
		to = from
	}
	a, ok1 := parseID(from)
	b, ok2 := parseID(to)
	if !ok1 || !ok2 || a > b {
		s.complain("%s: invalid range '%s'", file, text)
		return nil
	}
	if s.low == 1 && s.search == 1000 { // the first range takes the place of the default
		s.low, s.search = int64(a), int64(b)+1
		return nil
	}
	return s.unsupported("more than one range of ids is not known here")
}

func (s *sysusersRun) member(group, user string) {
	i := slices.IndexFunc(s.members, func(m sysmember) bool { return m.group == group })
	if i < 0 {
		i = len(s.members)
		s.members = append(s.members, sysmember{group: group})
	}
	if !slices.Contains(s.members[i].users, user) {
		s.members[i].users = append(s.members[i].users, user)
	}
}

func sysuserNamed(list []*sysuser, name string) *sysuser {
	for _, u := range list {
		if u.name == name {
			return u
		}
	}
	return nil
}

// implied adds the users and groups that only lines of type m name.
func (s *sysusersRun) implied() error {
	for _, m := range s.members {
		for _, u := range m.users {
			if sysuserNamed(s.users, u) == nil {
				s.users = append(s.users, &sysuser{name: u})
			}
		}
		if sysuserNamed(s.groups, m.group) == nil && sysuserNamed(s.users, m.group) == nil {
			s.groups = append(s.groups, &sysuser{name: m.group})
		}
	}
	return nil
}

// free reports whether nothing but the account of that name has an id, as a user's (or group's) and, with both set, as the
// other's too.
func (s *sysusersRun) free(id uint32, name string, user, both bool) bool {
	own, other := s.db.group, s.db.passwd
	madeOwn, madeOther := s.madeGroups, s.madeUsers
	if user {
		own, other, madeOwn, madeOther = other, own, madeOther, madeOwn
	}
	idOf := func(u *sysuser, user bool) uint32 {
		if user {
			return u.uid
		}
		return u.gid
	}
	if slices.ContainsFunc(madeOwn, func(u *sysuser) bool { return idOf(u, user) == id }) {
		return false
	}
	if _, f := own.withID(id); f != nil {
		return false
	}
	if !both {
		return true
	}
	if slices.ContainsFunc(madeOther, func(u *sysuser) bool { return idOf(u, !user) == id && u.name != name }) {
		return false
	}
	_, f := other.find(func(f []string) bool { return sameID(f[2], id) && f[0] != name })
	return f == nil
}

// next looks for a free id downwards; each is offered once.
func (s *sysusersRun) next(name string, user bool) (uint32, error) {
	for s.search--; s.search >= s.low; s.search-- {
		if s.free(uint32(s.search), name, user, true) {
			return uint32(s.search), nil
		}
	}
	return 0, s.die(1, "No free user or group ID available for %s.", name)
}

// lent is the id of the owner of the path that lends its id.
func (s *sysusersRun) lent(u *sysuser, user bool) (uint32, bool) {
	if u.idPath == "" {
		return 0, false
	}
	n, err := s.FS.Stat("/", u.idPath)
	if err != nil {
		return 0, false
	}
	id := s.FS.names().gid(n)
	if user {
		id = s.FS.names().uid(n)
	}
	return id, id != 0 && s.free(id, u.name, user, true)
}

func (s *sysusersRun) addGroup(u *sysuser) error {
	if _, f := s.db.group.named(u.name); f != nil {
		u.gid, _ = parseID(f[2])
		u.gidSet = true
		return nil
	}
	if u.gidSet && !s.free(u.gid, u.name, false, false) {
		if u.strict {
			return skipSysuser(fmt.Sprintf("Failed to create %s: please create GID %d", u.name, u.gid))
		}
		u.gidSet = false
	}
	if !u.gidSet && u.uidSet && s.free(u.uid, u.name, false, true) {
		u.gid, u.gidSet = u.uid, true
	}
	if id, ok := s.lent(u, false); !u.gidSet && ok {
		u.gid, u.gidSet = id, true
	}
	if !u.gidSet {
		var err error
		if u.gid, err = s.next(u.name, false); err != nil {
			return err
		}
		u.gidSet = true
	}
	u.groupMade = true
	s.madeGroups = append(s.madeGroups, u)
	fmt.Fprintf(s.Stderr, "Creating group '%s' with GID %d.\n", u.name, u.gid)
	return nil
}

func (s *sysusersRun) addUser(u *sysuser) error {
	if _, f := s.db.passwd.named(u.name); f != nil {
		u.uid, _ = parseID(f[2])
		u.uidSet = true
		return nil
	}
	if u.uidSet && !s.free(u.uid, u.name, true, !u.strict) {
		u.uidSet = false
	}
	if id, ok := s.lent(u, true); !u.uidSet && ok {
		u.uid, u.uidSet = id, true
	}
	if !u.uidSet && u.gidSet && s.free(u.gid, u.name, true, true) {
		u.uid, u.uidSet = u.gid, true
	}
	if !u.uidSet {
		var err error
		if u.uid, err = s.next(u.name, true); err != nil {
			return err
		}
		u.uidSet = true
	}
	u.made = true
	s.madeUsers = append(s.madeUsers, u)
	about := ""
	if u.gecos != "" {
		about = " (" + u.gecos + ")"
	}
	fmt.Fprintf(s.Stderr, "Creating user '%s'%s with UID %d and GID %d.\n", u.name, about, u.uid, u.gid)
	return nil
}

// ownGroup finds or makes the login group of a user.
func (s *sysusersRun) ownGroup(u *sysuser) error {
	if !u.gidSet {
		name := u.group
		if name == "" {
			name = u.name
		}
		if g := sysuserNamed(s.groups, name); g != nil && g.groupMade {
			u.gid, u.gidSet, u.strict = g.gid, g.gidSet, true
			return nil
		}
	}
	if u.group != "" {
		_, f := s.db.group.named(u.group)
		if f == nil {
			return skipSysuser(fmt.Sprintf("Group %s not found.", u.group))
		}
		u.gid, _ = parseID(f[2])
		u.gidSet, u.strict = true, true
		return nil
	}
	if u.strict { // a number was asked for: the group need not be of the user's name
		if _, f := s.db.group.withID(u.gid); f != nil || slices.ContainsFunc(s.madeGroups, func(g *sysuser) bool { return g.gid == u.gid }) {
			return nil
		}
		return skipSysuser(fmt.Sprintf("Failed to create %s: please create GID %d", u.name, u.gid))
	}
	return s.addGroup(u)
}

// skipSysuser is why a user or group is not made; the others are.
type skipSysuser string

func (e skipSysuser) Error() string { return string(e) }

func (s *sysusersRun) skipped(err error) error {
	var skip skipSysuser
	if errors.As(err, &skip) {
		fmt.Fprintln(s.Stderr, err)
		return nil
	}
	return err
}

func (s *sysusersRun) apply() error {
	status := s.status
	for _, g := range s.groups {
		if err := s.skipped(s.addGroup(g)); err != nil {
			return err
		}
	}
	for _, u := range s.users {
		err := s.ownGroup(u)
		if err == nil {
			err = s.addUser(u)
		}
		if err := s.skipped(err); err != nil {
			return err
		}
	}
	s.writeGroups()
	s.writeUsers()
	s.status = status
	return s.save()
}

func (s *sysusersRun) membersOf(group string) []string {
	for _, m := range s.members {
		if m.group == group {
			return m.users
		}
	}
	return nil
}

// writeGroups adds the lines of new groups, and members to those that are there.
func (s *sysusersRun) writeGroups() {
	if len(s.madeGroups) == 0 && len(s.members) == 0 {
		return
	}
	for _, a := range []*accountFile{s.db.group, s.db.gshadow} {
		for i, l := range a.lines {
			f := a.split(l)
			if f == nil {
				continue
			}
			members := splitNames(f[3])
			more := slices.DeleteFunc(slices.Clone(s.membersOf(f[0])), func(m string) bool { return slices.Contains(members, m) })
			if len(more) > 0 {
				members = append(members, more...)
				slices.Sort(members)
				f[3] = strings.Join(members, ",")
				a.set(i, f)
			}
		}
	}
	for _, g := range s.madeGroups {
		members := slices.Clone(s.membersOf(g.name))
		slices.Sort(members)
		list := strings.Join(members, ",")
		s.db.group.add(g.name, "x", strconv.FormatUint(uint64(g.gid), 10), list)
		s.db.gshadow.add(g.name, "!*", "", list)
	}
}

func (s *sysusersRun) writeUsers() {
	for _, u := range s.madeUsers {
		home, shell := u.home, u.shell
		if home == "" {
			home = "/"
		}
		if shell == "" {
			if shell = "/usr/sbin/nologin"; u.uid == 0 {
				shell = "/bin/sh"
			}
		}
		s.db.passwd.add(u.name, "x", strconv.FormatUint(uint64(u.uid), 10), strconv.FormatUint(uint64(u.gid), 10), u.gecos, home, shell)
		expire := ""
		if u.locked {
			expire = "1"
		}
		line := []string{u.name, "!*", s.db.day(), "", "", "", "", expire, ""}
		if i, f := s.db.shadow.named(u.name); f != nil {
			f[2], f[7] = s.db.day(), expire
			s.db.shadow.set(i, f)
		} else {
			s.db.shadow.add(line...)
		}
	}
}

// save writes the files; new ones get systemd's modes.
func (s *sysusersRun) save() error {
	for _, a := range []struct {
		file *accountFile
		mode uint32
	}{{s.db.group, 0o644}, {s.db.gshadow, 0}, {s.db.passwd, 0o644}, {s.db.shadow, 0}} {
		if err := a.file.save(s.FS, a.mode); err != nil {
			return err
		}
	}
	return nil
}

// splitQuoted splits a line at blanks; double and single quotes hold words together, and backslashes quote.
func splitQuoted(line string) ([]string, bool) {
	var words []string
	var word strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'':
			if i++; i == len(line) {
				return nil, false
			}
			text, _ := unescape(line[i-1:i+1], false)
			if len(text) == 2 {
				text = text[1:]
			}
			word.WriteString(text)
			in = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '"' || c == '\'':
			quote, in = c, true
		case c == ' ' || c == '\t' || c == '\r':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			word.WriteByte(c)
			in = true
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, quote == 0
}
