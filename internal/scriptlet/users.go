package scriptlet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
)

// userCommands are the programs that read and change /etc/passwd, group, shadow and gshadow: those of shadow-utils, getent
// and systemd-sysusers. Lines that nobody asks to change keep their bytes. As the real ones they leave what a file was
// before under its name with a "-". They leave no /etc/.pwd.lock and do not touch lastlog and faillog.
func userCommands() map[string]Command {
	useradd := tool("badname base-dir,b= comment,c= home-dir,home,d= defaults,D expiredate,e= inactive,f= gid,g= groups,G= skel,k= key,K= "+
		"no-log-init,l create-home,m no-create-home,M no-user-group,N non-unique,o password,p= system,r root,R= prefix,P= shell,s= "+
		"uid,u= user-group,U selinux-user,Z=", addUser)
	return map[string]Command{
		"adduser":          useradd,
		"chage":            tool("lastday,d= expiredate,E= inactive,I= mindays,m= maxdays,M= warndays,W= list,l iso8601,i", changeAge),
		"getent":           tool("service,s= no-idn,i", getEntries),
		"gpasswd":          tool("add,a= delete,d= members,M= administrators,A= remove-password,r restrict,R", changeGroupMembers),
		"groupadd":         tool("force,f gid,g= key,K= non-unique,o password,p= system,r root,R= prefix,P= users,U=", addGroup),
		"groupdel":         tool("force,f root,R= prefix,P=", deleteGroup),
		"groupmod":         tool("append,a gid,g= new-name,n= non-unique,o password,p= root,R= prefix,P= users,U=", modifyGroup),
		"grpconv":          tool("root,R=", func(r *toolRun) error { return r.convert("/etc/group", "/etc/gshadow") }),
		"passwd":           tool("lock,l unlock,u delete,d expire,e status,S quiet,q force,f stdin", changePassword),
		"pwconv":           tool("root,R=", func(r *toolRun) error { return r.convert("/etc/passwd", "/etc/shadow") }),
		"systemd-sysusers": tool("replace= root= inline no-pager dry-run cat-config tldr image= image-policy=", sysusers),
		"useradd":          useradd,
		"userdel":          tool("force,f remove,r root,R= prefix,P= selinux-user,Z extrausers", deleteUser),
		"usermod": tool("append,a badname,b badnames comment,c= home,d= expiredate,e= inactive,f= gid,g= groups,G= login,l= lock,L "+
			"move-home,m non-unique,o password,p= remove,r root,R= prefix,P= shell,s= uid,u= unlock,U add-subuids,v= "+
			"del-subuids,V= add-subgids,w= del-subgids,W= selinux-user,Z=", modifyUser),
	}
}

// The exit statuses of shadow-utils.
const (
	exitUsage      = 2
	exitArgument   = 3
	exitIDInUse    = 4
	exitNotFound   = 6
	exitBusy       = 8
	exitNameInUse  = 9
	exitCreateHome = 12
)

// accountFile is one of the files of users and groups: its lines, those that cannot be read among them.
type accountFile struct {
	path    string
	fields  int
	there   bool
	changed bool
	old     []byte
	lines   []string
}

// accountDB are the files of users and groups of a root.
type accountDB struct {
	fs                             *FS
	passwd, group, shadow, gshadow *accountFile
	subuid, subgid                 *accountFile
	defs                           map[string]string // of /etc/login.defs
	defaults                       map[string]string // of /etc/default/useradd
}

func (r *toolRun) accounts() (*accountDB, error) {
	if r.has("root", "prefix") {
		return nil, r.unsupported("another root is not known here")
	}
	if r.has("selinux-user", "add-subuids", "del-subuids", "add-subgids", "del-subgids") {
		return nil, r.unsupported("one of its options is not known here")
	}
	if !r.isDir("/etc") {
		if err := r.cannotLock(); err != nil {
			return nil, err
		}
	}
	db := &accountDB{fs: r.FS}
	var err error
	for _, f := range []struct {
		to     **accountFile
		path   string
		fields int
	}{
		{&db.passwd, "/etc/passwd", 7},
		{&db.group, "/etc/group", 4},
		{&db.shadow, "/etc/shadow", 9},
		{&db.gshadow, "/etc/gshadow", 4},
		{&db.subuid, "/etc/subuid", 3},
		{&db.subgid, "/etc/subgid", 3},
	} {
		if *f.to, err = loadAccounts(r.FS, f.path, f.fields); err != nil {
			return nil, err
		}
	}
	db.defs = readSettings(r.FS, "/etc/login.defs", " \t")
	db.defaults = readSettings(r.FS, "/etc/default/useradd", "=")
	for _, k := range r.values("key") {
		name, value, ok := strings.Cut(k, "=")
		if !ok {
			return nil, r.die(exitArgument, "-K requires KEY=VALUE")
		}
		db.defs[name] = value
	}
	return db, nil
}

// cannotLock ends a program that would lock a file of accounts in a root without /etc; others do not get that far.
func (r *toolRun) cannotLock() error {
	switch r.name {
	case "groupadd":
		return r.die(10, "cannot lock /etc/group; try again later.")
	case "useradd":
		return r.die(1, "cannot lock /etc/passwd; try again later.")
	case "grpconv":
		return r.die(5, "cannot lock /etc/group; try again later.")
	case "pwconv":
		return r.die(5, "cannot lock /etc/passwd; try again later.")
	}
	return nil
}

func loadAccounts(f *FS, p string, fields int) (*accountFile, error) {
	a := &accountFile{path: p, fields: fields}
	b, err := f.ReadFile("/", p)
	if isNotExist(err) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	a.there, a.old = true, b
	lines, _ := splitLines(b, '\n')
	for _, l := range lines {
		a.lines = append(a.lines, string(l))
	}
	return a, nil
}

// readSettings reads lines of a name and a value; what stands between them is in separators.
func readSettings(f *FS, p, separators string) map[string]string {
	out := map[string]string{}
	b, err := f.ReadFile("/", p)
	if err != nil {
		return out
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if separators != "=" {
			line = strings.TrimLeft(line, " \t")
		}
		i := strings.IndexAny(line, separators)
		if i <= 0 || line[0] == '#' {
			continue
		}
		value := line[i+1:]
		if separators != "=" {
			value = strings.Trim(value, " \t\"")
			value, _, _ = strings.Cut(value, "\"")
		}
		out[line[:i]] = strings.TrimRight(value, "\r")
	}
	return out
}

// split are the fields of a line, nil of one that is none of this file's.
func (a *accountFile) split(line string) []string {
	f := strings.Split(line, ":")
	if len(f) != a.fields && !(a.fields == 9 && len(f) == 8) || f[0] == "" || f[0][0] == '+' || f[0][0] == '-' || f[0][0] == '#' {
		return nil
	}
	return f
}

// find is the index and the fields of the line that test holds of, -1 without one.
func (a *accountFile) find(test func(f []string) bool) (int, []string) {
	for i, l := range a.lines {
		if f := a.split(l); f != nil && test(f) {
			return i, f
		}
	}
	return -1, nil
}

func (a *accountFile) named(name string) (int, []string) {
	return a.find(func(f []string) bool { return f[0] == name })
}

func (a *accountFile) withID(id uint32) (int, []string) {
	text := strconv.FormatUint(uint64(id), 10)
	return a.find(func(f []string) bool { return f[2] == text || sameID(f[2], id) })
}

func sameID(s string, id uint32) bool {
	v, err := strconv.ParseUint(s, 10, 32)
	return err == nil && uint32(v) == id
}

func (a *accountFile) set(i int, fields []string) {
	a.lines[i], a.changed = strings.Join(fields, ":"), true
}

// replace is set, but a line with a new name goes to the end, as shadow-utils has it.
func (a *accountFile) replace(i int, fields []string, renamed bool) {
	if !renamed {
		a.set(i, fields)
		return
	}
	a.remove(i)
	a.add(fields...)
}

// add puts a line at the end, before the lines of NIS.
func (a *accountFile) add(fields ...string) {
	at := len(a.lines)
	for i, l := range a.lines {
		if strings.HasPrefix(l, "+") || strings.HasPrefix(l, "-") {
			at = i
			break
		}
	}
	a.lines = slices.Insert(a.lines, at, strings.Join(fields, ":"))
	a.changed = true
}

func (a *accountFile) remove(i int) {
	a.lines, a.changed = slices.Delete(a.lines, i, i+1), true
}

func (a *accountFile) content() []byte {
	if len(a.lines) == 0 {
		return nil
	}
	return []byte(strings.Join(a.lines, "\n") + "\n")
}

// save writes what changed and keeps what was there before. A new file gets the mode that belongs to it.
func (a *accountFile) save(f *FS, mode uint32) error {
	if !a.changed {
		return nil
	}
	if a.there {
		if err := f.keepOld(a.path, a.old); err != nil {
			return err
		}
	}
	return f.WriteFile("/", a.path, a.content(), mode)
}

// keepOld writes the former content of a file to its name with a "-", with the file's mode, owner and time.
func (f *FS) keepOld(p string, old []byte) error {
	n, err := f.Stat("/", p)
	if err != nil {
		return err
	}
	was := *n
	t := f.names()
	if err := f.WriteFile("/", p+"-", old, was.Perm()); err != nil {
		return err
	}
	if err := f.Chown("/", p+"-", &Owner{was.User, t.uid(&was)}, &Owner{was.Group, t.gid(&was)}, true); err != nil {
		return err
	}
	if err := f.Chmod("/", p+"-", was.Perm()); err != nil {
		return err
	}
	return f.Chtimes("/", p+"-", was.MTime)
}

func (db *accountDB) save() error {
	for _, a := range []struct {
		file *accountFile
		mode uint32
	}{{db.passwd, 0o644}, {db.shadow, 0o400}, {db.group, 0o644}, {db.gshadow, 0o400}, {db.subuid, 0o644}, {db.subgid, 0o644}} {
		if err := a.file.save(db.fs, a.mode); err != nil {
			return err
		}
	}
	return nil
}

// number is a setting of login.defs.
func (db *accountDB) number(name string, otherwise int64) int64 {
	if v, err := strconv.ParseInt(db.defs[name], 0, 64); err == nil {
		return v
	}
	return otherwise
}

func (db *accountDB) flag(name string) bool { return strings.EqualFold(db.defs[name], "yes") }

// day is the day of the change that shadow notes, "" for the first of all days.
func (db *accountDB) day() string {
	if d := db.fs.Now() / 86400; d > 0 {
		return strconv.FormatInt(d, 10)
	}
	return ""
}

// lockedPassword is what the distribution's useradd writes for a user without a password: Fedora's patch makes it "!!".
// Which one it is stands in the program; where that is not in the root, it is Fedora's.
func (db *accountDB) lockedPassword() string {
	b, err := db.fs.ReadFile("/", "/usr/sbin/useradd")
	if err == nil && bytes.HasPrefix(b, []byte("\x7fELF")) && !bytes.Contains(b, []byte("\x00!!\x00")) {
		return "!"
	}
	return "!!"
}

// idRange are the ids that useradd and groupadd give: those of the system, or of people.
func (db *accountDB) idRange(kind string, system bool) (low, high, preferred int64) {
	low, high = db.number(kind+"_MIN", 1000), db.number(kind+"_MAX", 60000)
	preferred = low
	if system {
		high = db.number("SYS_"+kind+"_MAX", low-1)
		low, preferred = db.number("SYS_"+kind+"_MIN", 101), 1
	}
	return low, high, preferred
}

// newID gives a free id: below the lowest one in use for the system, above the highest for people, and where that is no
// longer possible whatever is free.
func (db *accountDB) newID(a *accountFile, kind string, system bool, want int64) (uint32, bool) {
	low, high, preferred := db.idRange(kind, system)
	if low < 0 || high < low || high > 1<<31 {
		return 0, false
	}
	used := map[int64]bool{}
	lowest, highest := high, low
	for _, l := range a.lines {
		f := a.split(l)
		if f == nil {
			continue
		}
		id, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			continue
		}
		used[id] = true
		if id <= lowest && id >= low {
			lowest = id - 1
		}
		if id >= highest && id <= high {
			highest = id + 1
		}
	}
	if want >= preferred && want <= high && !used[want] {
		return uint32(want), true
	}
	if system {
		if lowest < low {
			lowest = high
		}
		for _, from := range []int64{lowest, high} {
			for id := from; id >= low; id-- {
				if !used[id] {
					return uint32(id), true
				}
			}
		}
		return 0, false
	}
	if highest > high {
		highest = low
	}
	for _, from := range []int64{highest, low} {
		for id := from; id <= high; id++ {
			if !used[id] {
				return uint32(id), true
			}
		}
	}
	return 0, false
}

// parseID reads an id.
func parseID(s string) (uint32, bool) {
	v, err := strconv.ParseInt(s, 0, 64)
	return uint32(v), err == nil && v >= 0 && v < 1<<32-1
}

// findGroup is the group of a name or number.
func (db *accountDB) findGroup(s string) (int, []string) {
	if v, err := strconv.ParseUint(s, 10, 32); err == nil {
		if i, f := db.group.withID(uint32(v)); f != nil {
			return i, f
		}
	}
	return db.group.named(s)
}

// goodName tells names that users and groups may have.
func goodName(s string) bool {
	if s == "" || len(s) > 32 || s == "." || s == ".." || s[0] == '-' || strings.Trim(s, "0123456789") == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '$' && i == len(s)-1) {
			return false
		}
	}
	return true
}

func goodField(s string) bool { return !strings.ContainsAny(s, ":\n") }

func (r *toolRun) oneName() (string, error) {
	if len(r.args) != 1 {
		return "", r.die(exitUsage, "one name is needed")
	}
	return r.args[0], nil
}

// newGroup adds the lines of a group.
func (db *accountDB) newGroup(name string, gid uint32, pw, password, members string) {
	db.group.add(name, pw, strconv.FormatUint(uint64(gid), 10), members)
	if db.gshadow.there {
		db.gshadow.add(name, password, "", members)
	}
}

func addGroup(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	if !goodName(name) {
		return r.die(exitArgument, "'%s' is not a valid group name", name)
	}
	if r.has("non-unique") && !r.has("gid") {
		return r.die(exitUsage, "-o flag is only allowed with the -g flag")
	}
	want, given := r.value("gid")
	var gid uint32
	if given {
		var ok bool
		if gid, ok = parseID(want); !ok {
			return r.die(exitArgument, "invalid group ID '%s'", want)
		}
	}
	if _, f := db.group.named(name); f != nil {
		if r.has("force") {
			return nil
		}
		return r.die(exitNameInUse, "group '%s' already exists", name)
	}
	if given && !r.has("non-unique") {
		if _, f := db.group.withID(gid); f != nil {
			if !r.has("force") {
				return r.die(exitIDInUse, "GID '%s' already exists", want)
			}
			given = false
		}
	}
	if !given {
		var ok bool
		if gid, ok = db.newID(db.group, "GID", r.has("system"), -1); !ok {
			return r.die(exitIDInUse, "Can't get unique GID (no more available GIDs)")
		}
	}
	password, ok := r.value("password")
	if !ok {
		password = "!"
	}
	members, _ := r.value("users")
	for _, m := range splitNames(members) {
		if _, f := db.passwd.named(m); f == nil {
			return r.die(exitArgument, "user '%s' does not exist", m)
		}
	}
	pw := "x"
	if ok && !db.gshadow.there {
		pw = password
	}
	db.newGroup(name, gid, pw, password, members)
	return db.save()
}

func splitNames(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// userSpec is a user in the making.
type userSpec struct {
	name, comment, home, shell, password string
	uid, gid                             uint32
	ownGroup                             bool
	groups                               []string
	home0, system                        bool
}

func addUser(r *toolRun) error {
	if r.has("defaults") {
		return r.unsupported("the defaults cannot be shown or changed here")
	}
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	u, err := r.readUser(db, name)
	if err != nil {
		return err
	}
	if _, f := db.passwd.named(name); f != nil {
		return r.die(exitNameInUse, "user '%s' already exists", name)
	}
	if _, f := db.group.named(name); u.ownGroup && f != nil {
		return r.die(exitNameInUse, "group %s exists - if you want to add this user to that group, use -g.", name)
	}
	if want, ok := r.value("uid"); ok {
		if u.uid, ok = parseID(want); !ok {
			return r.die(exitArgument, "invalid user ID '%s'", want)
		}
		if _, f := db.passwd.withID(u.uid); f != nil && !r.has("non-unique") {
			return r.die(exitIDInUse, "UID %d is not unique", u.uid)
		}
	} else if u.uid, ok = db.newID(db.passwd, "UID", u.system, -1); !ok {
		return r.die(exitIDInUse, "can't create user")
	}
	if u.ownGroup {
		var ok bool
		if u.gid, ok = db.newID(db.group, "GID", u.system, int64(u.uid)); !ok {
			return r.die(exitIDInUse, "can't create group")
		}
		pw := "x"
		if !db.gshadow.there {
			pw = "!"
		}
		db.newGroup(name, u.gid, pw, "!", "")
	}
	r.writeUser(db, u)
	if err := db.save(); err != nil {
		return err
	}
	if u.home0 {
		if err := r.makeHome(db, u); err != nil {
			return err
		}
	}
	if !u.system {
		return r.makeMailbox(db, u)
	}
	return nil
}

// readUser reads the options of useradd.
func (r *toolRun) readUser(db *accountDB, name string) (*userSpec, error) {
	u := &userSpec{name: name, system: r.has("system"), password: db.lockedPassword(), shell: "/bin/bash"}
	if !goodName(name) && !r.has("badname") {
		return nil, r.die(exitArgument, "invalid user name '%s': use --badname to ignore", name)
	}
	base := db.defaults["HOME"]
	if v, ok := r.value("base-dir"); ok {
		base = v
	}
	if base == "" {
		base = "/home"
	}
	u.home = base + "/" + name
	if v, ok := r.value("home-dir"); ok {
		u.home = v
	}
	if v := db.defaults["SHELL"]; v != "" {
		u.shell = v
	}
	if v, ok := r.value("shell"); ok {
		u.shell = v
	}
	u.comment, _ = r.value("comment")
	switch {
	case !goodField(u.comment):
		return nil, r.die(exitArgument, "invalid comment '%s'", u.comment)
	case !goodField(u.home) || !strings.HasPrefix(u.home, "/"):
		return nil, r.die(exitArgument, "invalid home directory '%s'", u.home)
	case !goodField(u.shell) || u.shell != "" && u.shell[0] != '/' && u.shell[0] != '*':
		return nil, r.die(exitArgument, "invalid shell '%s'", u.shell)
	}
	if v, ok := r.value("password"); ok {
		if !goodField(v) {
			return nil, r.die(exitArgument, "invalid field '%s'", v)
		}
		u.password = v
	}
	u.gid = 100
	if g := db.defaults["GROUP"]; g != "" {
		if _, f := db.findGroup(g); f != nil {
			u.gid, _ = parseID(f[2])
		}
	}
	switch g, given := r.value("gid"); {
	case given:
		_, f := db.findGroup(g)
		if f == nil {
			return nil, r.die(exitNotFound, "group '%s' does not exist", g)
		}
		u.gid, _ = parseID(f[2])
		if r.has("user-group") {
			return nil, r.die(exitUsage, "options -U and -g conflict")
		}
	case r.has("user-group"):
		u.ownGroup = true
	case !r.has("no-user-group"):
		u.ownGroup = db.flag("USERGROUPS_ENAB")
	}
	list, _ := r.value("groups")
	for _, g := range splitNames(list) {
		_, f := db.findGroup(g)
		if f == nil {
			return nil, r.die(exitNotFound, "group '%s' does not exist", g)
		}
		u.groups = append(u.groups, f[0])
	}
	switch {
	case r.has("create-home") && r.has("no-create-home"):
		return nil, r.die(exitUsage, "options -m and -M conflict")
	case r.has("create-home"):
		u.home0 = true
	case !r.has("no-create-home") && !u.system:
		u.home0 = db.flag("CREATE_HOME")
	}
	if r.has("expiredate", "inactive") && !u.system {
		return nil, r.unsupported("expiring accounts are not known here")
	}
	return u, nil
}

func (r *toolRun) writeUser(db *accountDB, u *userSpec) {
	password := "x"
	if !db.shadow.there {
		password = u.password
	}
	db.passwd.add(u.name, password, strconv.FormatUint(uint64(u.uid), 10), strconv.FormatUint(uint64(u.gid), 10), u.comment, u.home, u.shell)
	if db.shadow.there {
		age := func(name string) string {
			if v := db.number(name, -1); v >= 0 && !u.system {
				return strconv.FormatInt(v, 10)
			}
			return ""
		}
		inactive := ""
		if v, err := strconv.Atoi(db.defaults["INACTIVE"]); err == nil && v >= 0 && !u.system {
			inactive = strconv.Itoa(v)
		}
		line := []string{u.name, u.password, db.day(), age("PASS_MIN_DAYS"), age("PASS_MAX_DAYS"), age("PASS_WARN_AGE"), inactive, "", ""}
		if i, f := db.shadow.named(u.name); f != nil {
			db.shadow.set(i, line)
		} else {
			db.shadow.add(line...)
		}
	}
	for _, g := range u.groups {
		db.join(g, u.name)
	}
	db.subordinate(u)
}

// join makes a user a member of a group.
func (db *accountDB) join(group, user string) {
	for _, a := range []*accountFile{db.group, db.gshadow} {
		if i, f := a.named(group); f != nil && !slices.Contains(splitNames(f[3]), user) {
			f[3] = strings.Join(append(splitNames(f[3]), user), ",")
			a.set(i, f)
		}
	}
}

// leave takes a user out of a group.
func (db *accountDB) leave(group, user string) {
	for _, a := range []*accountFile{db.group, db.gshadow} {
		if i, f := a.named(group); f != nil && slices.Contains(splitNames(f[3]), user) {
			f[3] = strings.Join(slices.DeleteFunc(splitNames(f[3]), func(m string) bool { return m == user }), ",")
			a.set(i, f)
		}
	}
}

// subordinate gives a person's user the ids that it may hand on in user namespaces.
func (db *accountDB) subordinate(u *userSpec) {
	low, high, _ := db.idRange("UID", false)
	if u.system || int64(u.uid) < low || int64(u.uid) > high {
		return
	}
	for _, s := range []struct {
		file *accountFile
		kind string
	}{{db.subuid, "SUB_UID"}, {db.subgid, "SUB_GID"}} {
		count := db.number(s.kind+"_COUNT", 65536)
		if !s.file.there || count <= 0 {
			continue
		}
		start := db.number(s.kind+"_MIN", 100000)
		var taken [][2]int64
		for _, l := range s.file.lines {
			f := strings.Split(l, ":")
			if len(f) != 3 {
				continue
			}
			from, err1 := strconv.ParseInt(f[1], 10, 64)
			n, err2 := strconv.ParseInt(f[2], 10, 64)
			if err1 == nil && err2 == nil {
				taken = append(taken, [2]int64{from, from + n})
			}
		}
		slices.SortFunc(taken, func(a, b [2]int64) int { return int(min(1, max(-1, a[0]-b[0]))) })
		for _, t := range taken {
			if start+count > t[0] && start < t[1] {
				start = t[1]
			}
		}
		s.file.add(u.name, strconv.FormatInt(start, 10), strconv.FormatInt(count, 10))
	}
}

// makeHome makes a user's directory and fills it.
func (r *toolRun) makeHome(db *accountDB, u *userSpec) error {
	if _, err := r.FS.Stat("/", u.home); err == nil {
		fmt.Fprintf(r.Stderr, "useradd: warning: the home directory %s already exists.\nuseradd: Not copying any file from skel directory into it.\n", u.home)
		return nil
	}
	mode := db.number("HOME_MODE", 0o777&^db.number("UMASK", 0o022))
	if err := r.FS.MkdirAll("/", u.home, 0o755); err != nil {
		return r.die(exitCreateHome, "cannot create directory %s", u.home)
	}
	user, group := &Owner{u.name, u.uid}, r.FS.names().lookupGroup(strconv.FormatUint(uint64(u.gid), 10))
	if err := r.FS.Chown("/", u.home, user, group, true); err != nil {
		return err
	}
	if err := r.FS.Chmod("/", u.home, uint32(mode)&0o7777); err != nil {
		return err
	}
	skel, ok := r.value("skel")
	if !ok {
		if skel = db.defaults["SKEL"]; skel == "" {
			skel = "/etc/skel"
		}
	}
	if n, err := r.FS.Stat("/", skel); err != nil || !n.IsDir() {
		return nil
	}
	c := &copier{toolRun: r, recursive: true, mode: true, times: true, links: true, copied: map[string]string{}, made: map[string]bool{}}
	c.options = append(slices.Clone(r.options), toolOption{key: "no-dereference"})
	names, err := r.FS.ReadDir("/", skel)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.copy(join(skel, name), join(u.home, name), false); err != nil {
			return err
		}
		err := r.walkTree(join(u.home, name), true, false, func(_ string, n *rootfs.Node) error {
			perm := n.Perm()
			if err := r.FS.Chown("/", n.Path, user, group, false); err != nil || n.IsSymlink() {
				return err
			}
			return r.FS.Chmod("/", n.Path, perm)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *toolRun) makeMailbox(db *accountDB, u *userSpec) error {
	if !strings.EqualFold(db.defaults["CREATE_MAIL_SPOOL"], "yes") {
		return nil
	}
	dir := db.defs["MAIL_DIR"]
	if dir == "" {
		dir = "/var/mail"
	}
	if n, err := r.FS.Stat("/", dir); err != nil || !n.IsDir() {
		r.complain("Creating mailbox file: No such file or directory")
		r.status = 0
		return nil
	}
	p := join(dir, u.name)
	if _, err := r.FS.Lstat("/", p); err == nil {
		return nil
	}
	t := r.FS.names()
	group, mode := t.lookupGroup("mail"), uint32(0o660)
	if group == nil {
		group, mode = t.lookupGroup(strconv.FormatUint(uint64(u.gid), 10)), 0o600
	}
	if err := r.FS.WriteFile("/", p, nil, 0); err != nil {
		return err
	}
	if err := r.FS.Chown("/", p, &Owner{u.name, u.uid}, group, true); err != nil {
		return err
	}
	return r.FS.Chmod("/", p, mode)
}

func modifyUser(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	at, user := db.passwd.named(name)
	if user == nil {
		return r.die(exitNotFound, "user '%s' does not exist", name)
	}
	switch {
	case len(r.options) == 0:
		return r.die(exitUsage, "no options")
	case r.has("append") && !r.has("groups"):
		return r.die(exitUsage, "-a flag is only allowed with the -G flag")
	case r.has("remove") && !r.has("groups"):
		return r.die(exitUsage, "-r flag is only allowed with the -G flag")
	case r.has("lock") && r.has("password", "unlock") || r.has("password") && r.has("unlock"):
		return r.die(exitUsage, "the -L, -p, and -U flags are exclusive")
	case r.has("non-unique") && !r.has("uid"):
		return r.die(exitUsage, "-o flag is only allowed with the -u flag")
	case r.has("move-home") && !r.has("home"):
		return r.die(exitUsage, "-m flag is only allowed with the -d flag")
	case r.has("expiredate", "inactive"):
		return r.unsupported("expiring accounts are not known here")
	}
	old := slices.Clone(user)
	if err := r.userFields(db, user); err != nil {
		return err
	}
	var groups []string
	list, grouping := r.value("groups")
	for _, g := range splitNames(list) {
		_, f := db.findGroup(g)
		if f == nil {
			return r.die(exitNotFound, "group '%s' does not exist", g)
		}
		groups = append(groups, f[0])
	}
	if slices.Equal(old, user) && !grouping && !r.has("lock", "unlock", "password") {
		r.printf("usermod: no changes\n")
		return nil
	}
	secret := r.has("lock", "unlock", "password")
	if i, f := db.shadow.named(name); f != nil && (secret || user[0] != name) {
		if f[0] = user[0]; secret {
			f[1] = r.newPassword(f[1])
			if r.has("password") {
				f[2] = db.day()
			}
		}
		db.shadow.replace(i, f, user[0] != name)
	} else if secret {
		user[1] = r.newPassword(user[1])
	}
	if secret || !slices.Equal(old, user) {
		db.passwd.replace(at, user, user[0] != name)
	}
	if grouping || user[0] != name {
		r.regroup(db, name, user[0], grouping, groups)
	}
	if err := db.save(); err != nil {
		return err
	}
	return r.moveHome(old, user)
}

// userFields reads usermod's new fields into a line of passwd.
func (r *toolRun) userFields(db *accountDB, user []string) error {
	if v, ok := r.value("comment"); ok {
		if !goodField(v) {
			return r.die(exitArgument, "invalid field '%s'", v)
		}
		user[4] = v
	}
	if v, ok := r.value("home"); ok {
		if !goodField(v) || v != "" && v[0] != '/' {
			return r.die(exitArgument, "invalid field '%s'", v)
		}
		if user[5] = v; len(v) > 1 {
			user[5] = strings.TrimRight(v, "/")
		}
	}
	if v, ok := r.value("shell"); ok {
		if !goodField(v) || v != "" && v[0] != '*' && v[0] != '/' {
			return r.die(exitArgument, "invalid shell '%s'", v)
		}
		user[6] = v
	}
	if v, ok := r.value("gid"); ok {
		_, f := db.findGroup(v)
		if f == nil {
			return r.die(exitNotFound, "group '%s' does not exist", v)
		}
		user[3] = f[2]
	}
	if v, ok := r.value("uid"); ok {
		id, ok := parseID(v)
		if !ok {
			return r.die(exitArgument, "invalid user ID '%s'", v)
		}
		if !sameID(user[2], id) {
			if _, f := db.passwd.withID(id); f != nil && !r.has("non-unique") {
				return r.die(exitIDInUse, "UID '%d' already exists", id)
			}
			user[2] = strconv.FormatUint(uint64(id), 10)
		}
	}
	if v, ok := r.value("login"); ok && v != user[0] {
		if !goodName(v) && !r.has("badname", "badnames") {
			return r.die(exitArgument, "invalid user name '%s': use --badname to ignore", v)
		}
		if _, f := db.passwd.named(v); f != nil {
			return r.die(exitNameInUse, "user '%s' already exists", v)
		}
		user[0] = v
	}
	return nil
}

func (r *toolRun) newPassword(old string) string {
	switch {
	case r.has("lock") && !strings.HasPrefix(old, "!"):
		return "!" + old
	case r.has("unlock") && strings.HasPrefix(old, "!"):
		if old == "!" {
			fmt.Fprintf(r.Stderr, "%s: unlocking the user's password would result in a passwordless account.\n", r.name)
			return old
		}
		return old[1:]
	case r.has("password"):
		v, _ := r.value("password")
		return v
	}
	return old
}

// regroup gives a user the groups that usermod was told, and its new name in all of them.
func (r *toolRun) regroup(db *accountDB, old, name string, grouping bool, groups []string) {
	for _, a := range []*accountFile{db.group, db.gshadow} {
		for i, l := range a.lines {
			f := a.split(l)
			if f == nil {
				continue
			}
			members := splitNames(f[3])
			in := slices.Contains(members, old)
			want := in
			if grouping {
				switch {
				case r.has("append"):
					want = in || slices.Contains(groups, f[0])
				case r.has("remove"):
					want = in && !slices.Contains(groups, f[0])
				default:
					want = slices.Contains(groups, f[0])
				}
			}
			switch {
			case in && want && old != name:
				members[slices.Index(members, old)] = name
			case in && !want:
				members = slices.DeleteFunc(members, func(m string) bool { return m == old })
			case !in && want:
				members = append(members, name)
			default:
				continue
			}
			f[3] = strings.Join(members, ",")
			a.set(i, f)
		}
	}
}

// moveHome moves the home directory of a modified user and gives what is in it to the new ids.
func (r *toolRun) moveHome(old, user []string) error {
	if r.has("move-home") && old[5] != user[5] {
		if n, err := r.FS.Stat("/", old[5]); err == nil && n.IsDir() {
			if _, err := r.FS.Stat("/", user[5]); err == nil {
				return r.die(exitCreateHome, "directory %s exists", user[5])
			}
			if err := r.makeParents(user[5], false); err != nil {
				return err
			}
			if err := r.FS.Rename("/", old[5], user[5]); err != nil {
				return r.die(exitCreateHome, "cannot rename directory %s to %s", old[5], user[5])
			}
		}
	}
	oldUID, _ := parseID(old[2])
	oldGID, _ := parseID(old[3])
	if old[2] == user[2] && old[3] == user[3] {
		return nil
	}
	home, err := r.FS.Stat("/", user[5])
	t := r.FS.names()
	if err != nil || !home.IsDir() || t.uid(home) != oldUID {
		return nil
	}
	uid, gid := t.lookupUser(user[2]), t.lookupGroup(user[3])
	return r.walkNode(home.Path, home, true, func(_ string, n *rootfs.Node) error {
		var u, g *Owner
		if nodeUID := t.uid(n); nodeUID == oldUID {
			u = uid
		}
		if t.gid(n) == oldGID {
			g = gid
		}
		perm := n.Perm()
		if u == nil && g == nil {
			return nil
		}
		if err := r.FS.Chown("/", n.Path, u, g, false); err != nil || n.IsSymlink() {
			return err
		}
		return r.FS.Chmod("/", n.Path, perm)
	})
}

func modifyGroup(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	if r.has("users", "append") {
		return r.unsupported("one of its options is not known here")
	}
	at, group := db.group.named(name)
	if group == nil {
		return r.die(exitNotFound, "group '%s' does not exist", name)
	}
	oldID := group[2]
	if v, ok := r.value("gid"); ok {
		id, ok := parseID(v)
		if !ok {
			return r.die(exitArgument, "invalid group ID '%s'", v)
		}
		if !sameID(group[2], id) {
			if _, f := db.group.withID(id); f != nil && !r.has("non-unique") {
				return r.die(exitIDInUse, "GID '%d' already exists", id)
			}
			group[2] = strconv.FormatUint(uint64(id), 10)
		}
	}
	if v, ok := r.value("new-name"); ok && v != name {
		if !goodName(v) {
			return r.die(exitArgument, "invalid group name '%s'", v)
		}
		if _, f := db.group.named(v); f != nil {
			return r.die(exitNameInUse, "group '%s' already exists", v)
		}
		group[0] = v
	}
	password, pw := r.value("password")
	if pw && !db.gshadow.there {
		group[1] = password
	}
	db.group.replace(at, group, group[0] != name)
	if i, f := db.gshadow.named(name); f != nil && (group[0] != name || pw) {
		if f[0] = group[0]; pw {
			f[1] = password
		}
		db.gshadow.replace(i, f, group[0] != name)
	}
	if group[2] != oldID {
		for i, l := range db.passwd.lines {
			if f := db.passwd.split(l); f != nil && f[3] == oldID {
				f[3] = group[2]
				db.passwd.set(i, f)
			}
		}
	}
	return db.save()
}

func deleteGroup(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	at, group := db.group.named(name)
	if group == nil {
		return r.die(exitNotFound, "group '%s' does not exist", name)
	}
	if _, u := db.passwd.find(func(f []string) bool { return f[3] == group[2] }); u != nil && !r.has("force") {
		return r.die(exitBusy, "cannot remove the primary group of user '%s'", u[0])
	}
	db.group.remove(at)
	if i, f := db.gshadow.named(name); f != nil {
		db.gshadow.remove(i)
	}
	return db.save()
}

func deleteUser(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	at, user := db.passwd.named(name)
	if user == nil {
		return r.die(exitNotFound, "user '%s' does not exist", name)
	}
	db.passwd.remove(at)
	for _, a := range []*accountFile{db.shadow, db.subuid, db.subgid} {
		for i, f := a.named(name); f != nil; i, f = a.named(name) {
			a.remove(i)
		}
	}
	for _, l := range slices.Clone(db.group.lines) {
		if f := db.group.split(l); f != nil {
			db.leave(f[0], name)
		}
	}
	r.dropOwnGroup(db, name, user)
	if err := db.save(); err != nil {
		return err
	}
	if !r.has("remove") {
		return nil
	}
	for _, p := range []string{join(strings.TrimSuffix(db.defs["MAIL_DIR"], "/"), name), user[5]} {
		n, err := r.FS.Stat("/", p)
		if p == "/" || !strings.HasPrefix(p, "/") || err != nil {
			continue
		}
		if uid, _ := parseID(user[2]); r.FS.names().uid(n) != uid && !r.has("force") {
			fmt.Fprintf(r.Stderr, "userdel: %s not owned by %s, not removing\n", p, name)
			r.status = exitCreateHome
			continue
		}
		if err := r.FS.RemoveAll("/", p); err != nil {
			return err
		}
	}
	return nil
}

// dropOwnGroup takes away the group of a deleted user's own name when nobody else is in it.
func (r *toolRun) dropOwnGroup(db *accountDB, name string, user []string) {
	at, group := db.group.named(name)
	if group == nil || !db.flag("USERGROUPS_ENAB") {
		return
	}
	if group[2] != user[3] {
		fmt.Fprintf(r.Stderr, "userdel: group %s not removed because it is not the primary group of user %s.\n", name, name)
		return
	}
	if group[3] != "" {
		fmt.Fprintf(r.Stderr, "userdel: group %s not removed because it has other members.\n", name)
		return
	}
	if _, f := db.passwd.find(func(f []string) bool { return f[3] == group[2] }); f != nil && !r.has("force") {
		fmt.Fprintf(r.Stderr, "userdel: group %s is the primary group of another user and is not removed.\n", name)
		return
	}
	db.group.remove(at)
	if i, f := db.gshadow.named(name); f != nil {
		db.gshadow.remove(i)
	}
}

func changeGroupMembers(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	at, group := db.group.named(name)
	if group == nil {
		return r.die(exitArgument, "group '%s' does not exist in %s", name, "/etc/group")
	}
	users := append(append(r.values("add"), r.values("delete")...), splitNames(strings.Join(r.values("members"), ","))...)
	for _, u := range users {
		if _, f := db.passwd.named(u); f == nil && !r.has("delete") {
			return r.die(exitArgument, "user '%s' does not exist", u)
		}
	}
	switch r.lastOf("add", "delete", "members", "administrators", "remove-password", "restrict") {
	case "add":
		fmt.Fprintf(r.Stdout, "Adding user %s to group %s\n", users[0], name)
		db.join(name, users[0])
	case "delete":
		fmt.Fprintf(r.Stdout, "Removing user %s from group %s\n", users[0], name)
		if !slices.Contains(splitNames(group[3]), users[0]) {
			return r.die(exitArgument, "user '%s' is not a member of '%s'", users[0], name)
		}
		db.leave(name, users[0])
	case "members":
		list, _ := r.value("members")
		group[3] = list
		db.group.set(at, group)
		if i, f := db.gshadow.named(name); f != nil {
			f[3] = list
			db.gshadow.set(i, f)
		}
	default:
		return r.unsupported("only members can be changed here")
	}
	// gpasswd writes both files whatever changed.
	db.group.changed = true
	db.gshadow.changed = db.gshadow.there
	return db.save()
}

// changePassword locks and unlocks; passwords are not set.
func changePassword(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	if _, f := db.passwd.named(name); f == nil {
		return r.die(1, "user '%s' does not exist", name)
	}
	i, f := db.shadow.named(name)
	if f == nil {
		return r.unsupported("a password that is not in /etc/shadow")
	}
	switch r.lastOf("lock", "unlock", "delete", "expire") {
	case "lock", "unlock":
		f[1] = r.newPassword(f[1])
	case "delete":
		f[1] = ""
	case "expire":
		f[2] = "0"
	default:
		return r.unsupported("setting passwords is not known here")
	}
	db.shadow.set(i, f)
	if !r.has("quiet") {
		r.printf("passwd: password changed.\n")
	}
	return db.save()
}

func changeAge(r *toolRun) error {
	name, err := r.oneName()
	if err != nil {
		return err
	}
	db, err := r.accounts()
	if err != nil {
		return err
	}
	i, f := db.shadow.named(name)
	if f == nil || r.has("list", "iso8601") {
		return r.unsupported("only fields of /etc/shadow can be changed here")
	}
	for at, key := range map[int]string{2: "lastday", 3: "mindays", 4: "maxdays", 5: "warndays", 6: "inactive", 7: "expiredate"} {
		v, ok := r.value(key)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return r.unsupported("%s is not a number of days", v)
		}
		if f[at] = v; n < 0 {
			f[at] = ""
		}
	}
	db.shadow.set(i, f)
	return db.save()
}

// convert is pwconv and grpconv: each line gets its line in the shadow file, and an x for a password.
func (r *toolRun) convert(public, secret string) error {
	db, err := r.accounts()
	if err != nil {
		return err
	}
	from, to := db.passwd, db.shadow
	if public == "/etc/group" {
		from, to = db.group, db.gshadow
	}
	for i := len(to.lines) - 1; i >= 0; i-- {
		f := to.split(to.lines[i])
		if f == nil {
			continue
		}
		if _, line := from.named(f[0]); line == nil {
			to.remove(i)
		}
	}
	for i, l := range from.lines {
		f := from.split(l)
		if f == nil {
			continue
		}
		_, line := to.named(f[0])
		switch {
		case line == nil && from == db.group:
			to.add(f[0], f[1], "", f[3])
		case line == nil:
			age := func(name string) string {
				if v := db.number(name, -1); v >= 0 {
					return strconv.FormatInt(v, 10)
				}
				return ""
			}
			to.add(f[0], f[1], db.day(), age("PASS_MIN_DAYS"), age("PASS_MAX_DAYS"), age("PASS_WARN_AGE"), "", "", "")
		}
		if f[1] != "x" || line == nil {
			f[1] = "x"
			from.set(i, f)
		}
	}
	if from == db.group { // grpconv writes both whatever changed
		from.changed, to.changed = from.there, true
	}
	fresh := to.changed && !to.there
	if err := db.save(); err != nil {
		return err
	}
	if public == "/etc/passwd" && r.FS.Exists("/", "/etc/passwd-") {
		if err := r.FS.Chmod("/", "/etc/passwd-", 0o600); err != nil {
			return err
		}
	}
	if group := r.FS.names().lookupGroup("shadow"); fresh && group != nil {
		if err := r.FS.Chown("/", secret, nil, group, true); err != nil {
			return err
		}
		return r.FS.Chmod("/", secret, 0o440)
	}
	return nil
}

func (r *toolRun) getentUsage() error {
	r.printf("Try `getent --help' or `getent --usage' for more information.\n")
	r.status = 1
	return nil
}

func getEntries(r *toolRun) error {
	if len(r.args) == 0 {
		r.complain("wrong number of arguments")
		return r.getentUsage()
	}
	if r.has("service") && len(r.values("service")) > 0 {
		for _, s := range r.values("service") {
			if s != "files" {
				return r.unsupported("the service %s is not known here", s)
			}
		}
	}
	files := map[string]int{"passwd": 7, "group": 4, "shadow": 9, "gshadow": 4}
	database, keys := r.args[0], r.args[1:]
	fields, ok := files[database]
	if !ok {
		if slices.Contains([]string{"ahosts", "ahostsv4", "ahostsv6", "aliases", "ethers", "hosts", "initgroups", "netgroup", "networks", "protocols", "rpc", "services"}, database) {
			return r.unsupported("only users and groups are known here")
		}
		fmt.Fprintf(r.Stderr, "Unknown database: %s\n", database)
		return r.getentUsage()
	}
	a, err := loadAccounts(r.FS, "/etc/"+database, fields)
	if err != nil && !errors.Is(err, errNoEntry) {
		return err
	}
	if len(keys) == 0 {
		for _, l := range a.lines {
			if a.split(l) != nil {
				r.printf("%s\n", l)
			}
		}
		return nil
	}
	for _, key := range keys {
		_, f := a.named(key)
		if id, err := strconv.ParseUint(key, 10, 32); err == nil && (database == "passwd" || database == "group") {
			_, f = a.withID(uint32(id))
		}
		if f == nil {
			r.status = 2
			continue
		}
		r.printf("%s\n", strings.Join(f, ":"))
	}
	return nil
}
