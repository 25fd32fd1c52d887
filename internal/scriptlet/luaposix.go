package scriptlet

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// luaMissing is what functions answer that other systems have and no scriptlet can mean: it stops the build.
func luaMissing(name string) luaFunc {
	return func(c *luaCall) []any {
		c.unsupported(name)
		return nil
	}
}

// posixLibrary are the functions of rpm's posix, as rpmio/lposix.cc has them.
func posixLibrary() map[string]luaFunc {
	lib := map[string]luaFunc{
		"access": posixAccess, "chdir": posixChdir, "chmod": posixChmod, "chown": posixChown, "dir": posixDir,
		"errno": posixErrno, "exec": (*luaCall).exec, "files": posixFiles, "fork": (*luaCall).fork, "getcwd": posixGetcwd,
		"getenv": posixGetenv, "getgroup": posixGetgroup, "getpasswd": posixGetpasswd, "getprocessid": posixGetprocessid,
		"link": posixLink, "mkdir": posixMkdir, "mkfifo": posixMkfifo, "putenv": posixPutenv, "readlink": posixReadlink,
		"redirect2null": posixRedirect2null, "rmdir": posixRmdir, "setenv": posixSetenv, "sleep": posixSleep,
		"stat": posixStat, "symlink": posixSymlink, "umask": posixUmask, "uname": posixUname, "unlink": posixUnlink,
		"unsetenv": posixUnsetenv, "utime": posixUtime, "wait": posixWait,
	}
	for _, name := range []string{
		"ctermid", "getlogin", "kill", "mkstemp", "pathconf", "setgid", "setuid", "sysconf", "times", "ttyname",
	} {
		lib[name] = luaMissing("posix." + name)
	}
	return lib
}

// errorNumber is errno for an error of FS. What is no answer of a kernel has to stop the build.
func errorNumber(err error) (int, bool) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 2, true
	case errors.Is(err, fs.ErrExist):
		return 17, true
	case errors.Is(err, fs.ErrInvalid):
		return 22, true
	}
	switch errorText(err) {
	case "Operation not permitted":
		return 1, true
	case "Bad file descriptor":
		return 9, true
	case "No child processes":
		return 10, true
	case "Permission denied":
		return 13, true
	case "Device or resource busy":
		return 16, true
	case "Not a directory":
		return 20, true
	case "Is a directory":
		return 21, true
	case "File name too long":
		return 36, true
	case "Directory not empty":
		return 39, true
	case "Too many levels of symbolic links":
		return 40, true
	}
	return 0, false
}

// failed is what a function of rpm and of Lua returns for a call that the kernel refuses: nil, message and errno.
func (c *luaCall) failed(path string, err error) []any {
	out := c.refused(err)
	if out != nil {
		out[1] = path + ": " + errorText(err)
	}
	return out
}

// refused is failed for those functions that do not name a path.
func (c *luaCall) refused(err error) []any {
	number, ok := errorNumber(err)
	if !ok {
		c.fail(err)
		return nil
	}
	c.p.errno = number
	return []any{nil, errorText(err), number}
}

func (c *luaCall) doneOrRefused(err error) []any {
	if err != nil {
		return c.refused(err)
	}
	return []any{0}
}

// done is 0, or what failed makes of an error.
func (c *luaCall) done(info string, err error) []any {
	if err != nil {
		return c.failed(info, err)
	}
	return []any{0}
}

func posixErrno(c *luaCall) []any {
	text := "Success"
	if c.p.errno != 0 {
		for _, err := range []error{
			fs.ErrNotExist, fs.ErrExist, fs.ErrInvalid, errors.New("operation not permitted"),
			errors.New("not a directory"), errors.New("is a directory"), errors.New("directory not empty"),
			errors.New("no child processes"), errors.New("file name too long"), errors.New("too many levels of symbolic links"),
		} {
			if n, _ := errorNumber(err); n == c.p.errno {
				text = errorText(err)
			}
		}
	}
	return []any{text, c.p.errno}
}

func posixAccess(c *luaCall) []any {
	p := c.str(1)
	mode := c.optStr(2, "f")
	if i := strings.IndexFunc(mode, func(r rune) bool { return !strings.ContainsRune(" rwxf", r) }); i >= 0 {
		c.badArgument(2, fmt.Sprintf("unknown mode option `%c'", mode[i]))
	}
	n, err := c.s.FS.Stat(c.p.cwd, p)
	if err == nil && strings.Contains(mode, "x") && !n.IsDir() && n.Mode&0o111 == 0 {
		err = errors.New("permission denied")
	}
	return c.done(p, err)
}

func posixChdir(c *luaCall) []any {
	p := c.str(1)
	n, err := c.s.FS.Stat(c.p.cwd, p)
	if err == nil && !n.IsDir() {
		err = errors.New("not a directory")
	}
	if err == nil {
		c.p.cwd = n.Path
	}
	return c.done(p, err)
}

func posixGetcwd(c *luaCall) []any { return []any{c.p.cwd} }

func posixChmod(c *luaCall) []any {
	p, text := c.str(1), c.str(2)
	n, err := c.s.FS.Stat(c.p.cwd, p)
	if err != nil {
		return c.failed(p, err)
	}
	mode, ok := munchMode(n.Mode, text)
	if !ok {
		c.badArgument(2, "bad mode")
	}
	return c.done(p, c.s.FS.Chmod(c.p.cwd, p, mode&0o7777))
}

// munchMode changes a mode as rpm's modemuncher.cc does: rwxr-xr-x, 0644, or ugoa+-=rwxs in a list.
func munchMode(mode uint32, text string) (uint32, bool) {
	switch {
	case text == "":
		return 0, false
	case text[0] == 'r' || text[0] == '-':
		return modeOfLetters(mode, text)
	case text[0] >= '0' && text[0] <= '7':
		n, err := strconv.ParseUint(text, 8, 32)
		return uint32(n), err == nil
	}
	for {
		who, rest := modeLetters(text, map[byte]uint32{'u': 0o4700, 'g': 0o2070, 'o': 0o1007, 'a': 0o7777})
		if who == 0 {
			who = 0o7777
		}
		if rest == "" || strings.IndexByte("+-=", rest[0]) < 0 {
			return 0, false
		}
		op := rest[0]
		what, rest := modeLetters(rest[1:], map[byte]uint32{'r': 0o444, 'w': 0o222, 'x': 0o111, 's': 0o6000})
		switch {
		case what == 0:
		case op == '+':
			mode |= what & who
		case op == '-':
			mode &^= what & who
		default:
			mode = what & who
		}
		if rest == "" {
			return mode, true
		}
		if rest[0] != ',' {
			return 0, false
		}
		text = rest[1:]
	}
}

func modeLetters(s string, bits map[byte]uint32) (uint32, string) {
	sum := uint32(0)
	for s != "" && (s[0] == ' ' || bits[s[0]] != 0) {
		sum |= bits[s[0]]
		s = s[1:]
	}
	return sum, s
}

// modeOfLetters reads rwsr-xr-x. What is missing at the end, or no letter it knows, leaves its bit as it is.
func modeOfLetters(mode uint32, text string) (uint32, bool) {
	mode &^= 0o6000
	for i := range min(9, len(text)) {
		bit := uint32(0o400) >> i
		switch {
		case text[i] == "rwx"[i%3]:
			mode |= bit
		case text[i] == '-':
			mode &^= bit
		case text[i] == 's' && i == 2:
			mode |= 0o4000 | bit
		case text[i] == 's' && i == 5:
			mode |= 0o2000 | bit
		case text[i] == 's':
			return 0, false
		}
	}
	return mode, true
}

// modeText is rwxr-xr-x with s or S for setuid and setgid.
func modeText(mode uint32) string {
	b := []byte("---------")
	for i := range b {
		if mode&(0o400>>i) != 0 {
			b[i] = "rwx"[i%3]
		}
	}
	for i, bit := range []uint32{0o4000, 0o2000} {
		at := 2 + 3*i
		switch {
		case mode&bit == 0:
		case b[at] == 'x':
			b[at] = 's'
		default:
			b[at] = 'S'
		}
	}
	return string(b)
}

// accounts are the users and groups of the tree; lines that are none are passed over, as getpwent(3) does.
func (m *luaMachine) accounts() *rootfs.Accounts {
	read := func(p string, fields int) []byte {
		b, err := m.s.FS.ReadFile("/", p)
		if err != nil {
			return nil
		}
		lines := slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool {
			f := strings.Split(l, ":")
			if len(f) != fields || strings.HasPrefix(l, "#") {
				return true
			}
			for _, id := range f[2:min(4, fields-1)] {
				if n, err := strconv.ParseUint(id, 10, 32); err != nil || n >= 1<<32-1 {
					return true
				}
			}
			return false
		})
		return []byte(strings.Join(lines, "\n"))
	}
	a, err := rootfs.ParseAccounts(read("/etc/passwd", 7), read("/etc/group", 4))
	if err != nil {
		m.fail(err)
		return &rootfs.Accounts{}
	}
	return a
}

func userByID(a *rootfs.Accounts, id uint32) *rootfs.User {
	for i := range a.Users {
		if a.Users[i].UID == id {
			return &a.Users[i]
		}
	}
	return nil
}

func groupByID(a *rootfs.Accounts, id uint32) *rootfs.Group {
	for i := range a.Groups {
		if a.Groups[i].GID == id {
			return &a.Groups[i]
		}
	}
	return nil
}

// owner is an argument of chown: a name, a number, or nothing. What is unknown is the number -1, which changes nothing.
func (c *luaCall) owner(i int, byName func(string) (uint32, bool), byID func(uint32) string) *Owner {
	switch v := c.arg(i).(type) {
	case lua.LNumber:
		id := uint32(int64(v))
		if id == 1<<32-1 {
			return nil
		}
		return &Owner{Name: byID(id), ID: id}
	case lua.LString:
		if n, ok := parseLuaNumber(string(v)); ok {
			return &Owner{Name: byID(uint32(int64(n))), ID: uint32(int64(n))}
		}
		if id, ok := byName(string(v)); ok {
			return &Owner{Name: string(v), ID: id}
		}
		return nil
	}
	if !c.none(i) {
		c.wrongType(i, "string or number")
	}
	return nil
}

func posixChown(c *luaCall) []any {
	p := c.str(1)
	a := c.accounts()
	user := c.owner(2, func(name string) (uint32, bool) {
		u := a.User(name)
		if u == nil {
			return 0, false
		}
		return u.UID, true
	}, func(id uint32) string {
		if u := userByID(a, id); u != nil {
			return u.Name
		}
		return ""
	})
	group := c.owner(3, func(name string) (uint32, bool) {
		g := a.Group(name)
		if g == nil {
			return 0, false
		}
		return g.GID, true
	}, func(id uint32) string {
		if g := groupByID(a, id); g != nil {
			return g.Name
		}
		return ""
	})
	return c.done(p, c.s.FS.Chown(c.p.cwd, p, user, group, true))
}

func (c *luaCall) names() ([]string, string, error) {
	p := c.optStr(1, ".")
	names, err := c.s.FS.ReadDir(c.p.cwd, p)
	return append([]string{".", ".."}, names...), p, err
}

func posixDir(c *luaCall) []any {
	names, p, err := c.names()
	if err != nil {
		return c.failed(p, err)
	}
	return []any{names}
}

func posixFiles(c *luaCall) []any {
	names, p, err := c.names()
	if err != nil {
		return c.failed(p, err)
	}
	next, closed := 0, false
	return []any{luaFunc(func(c *luaCall) []any {
		if closed {
			c.raise("attempt to use closed dir")
		}
		if next == len(names) {
			closed = true
			return []any{nil}
		}
		next++
		return []any{names[next-1]}
	})}
}

func posixGetenv(c *luaCall) []any {
	if c.none(1) {
		var t luaTable
		for _, name := range sortedKeys(c.p.env) {
			t = append(t, luaField{name, c.p.env[name]})
		}
		return []any{t}
	}
	if v, ok := c.p.env[c.str(1)]; ok {
		return []any{v}
	}
	return []any{nil}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func posixSetenv(c *luaCall) []any {
	name, value := c.str(1), c.str(2)
	if _, ok := c.p.env[name]; !ok || c.arg(3) == lua.LNil || lua.LVAsBool(c.arg(3)) {
		c.p.env[name] = value
	}
	return []any{0}
}

func posixPutenv(c *luaCall) []any {
	name, value, ok := strings.Cut(c.str(1), "=")
	if ok {
		c.p.env[name] = value
	} else {
		delete(c.p.env, name)
	}
	return []any{0}
}

func posixUnsetenv(c *luaCall) []any {
	delete(c.p.env, c.str(1))
	return nil
}

// selected is one of a table's fields when a selector is given, and the table else.
func (c *luaCall) selected(i int, t luaTable) []any {
	if c.none(i) {
		return []any{t}
	}
	name := c.str(i)
	for _, f := range t {
		if f.key == name {
			return []any{f.value}
		}
	}
	c.badArgument(i, "invalid option '"+name+"'")
	return nil
}

func posixGetpasswd(c *luaCall) []any {
	a := c.accounts()
	var u *rootfs.User
	switch v := c.arg(1).(type) {
	case *lua.LNilType:
		u = userByID(a, 0)
	case lua.LNumber:
		u = userByID(a, uint32(int64(v)))
	case lua.LString:
		u = a.User(string(v))
		if n, ok := parseLuaNumber(string(v)); ok {
			u = userByID(a, uint32(int64(n)))
		}
	default:
		c.wrongType(1, "string or number")
	}
	if u == nil {
		return []any{nil}
	}
	return c.selected(2, luaTable{
		{"name", u.Name},
		{"uid", int64(u.UID)},
		{"gid", int64(u.GID)},
		{"dir", u.Home},
		{"shell", u.Shell},
		{"gecos", u.Gecos},
		{"passwd", u.Password},
	})
}

func posixGetgroup(c *luaCall) []any {
	a := c.accounts()
	var g *rootfs.Group
	switch v := c.arg(1).(type) {
	case lua.LNumber:
		g = groupByID(a, uint32(int64(v)))
	case lua.LString:
		g = a.Group(string(v))
		if n, ok := parseLuaNumber(string(v)); ok {
			g = groupByID(a, uint32(int64(n)))
		}
	default:
		c.wrongType(1, "string or number")
	}
	if g == nil {
		return []any{nil}
	}
	t := luaTable{{"name", g.Name}, {"gid", int64(g.GID)}}
	for i, m := range g.Members {
		t = append(t, luaField{i + 1, m})
	}
	return []any{t}
}

func posixGetprocessid(c *luaCall) []any {
	return c.selected(1, luaTable{{"egid", 0}, {"euid", 0}, {"gid", 0}, {"uid", 0}, {"pgrp", 1}, {"pid", c.p.pid}, {"ppid", 0}})
}

func posixLink(c *luaCall) []any {
	return c.doneOrRefused(c.s.FS.Link(c.p.cwd, c.str(1), c.str(2)))
}

func posixSymlink(c *luaCall) []any {
	target, p := c.str(1), c.str(2)
	return c.doneOrRefused(c.s.FS.Symlink(c.p.cwd, target, p))
}

func posixMkdir(c *luaCall) []any {
	p := c.str(1)
	return c.done(p, c.s.FS.Mkdir(c.p.cwd, p, 0o777&^c.p.umask))
}

func posixMkfifo(c *luaCall) []any {
	p := c.str(1)
	return c.done(p, c.s.FS.Mknod(c.p.cwd, p, rpm.ModeFIFO|0o777&^c.p.umask, 0, 0))
}

func posixReadlink(c *luaCall) []any {
	p := c.str(1)
	target, err := c.s.FS.Readlink(c.p.cwd, p)
	if err != nil {
		return c.failed(p, err)
	}
	return []any{target[:min(512, len(target))]}
}

func posixRmdir(c *luaCall) []any {
	p := c.str(1)
	n, err := c.s.FS.Lstat(c.p.cwd, p)
	if err == nil && !n.IsDir() {
		err = errors.New("not a directory")
	}
	if err == nil {
		err = c.s.FS.Remove(c.p.cwd, p)
	}
	return c.done(p, err)
}

func posixUnlink(c *luaCall) []any {
	p := c.str(1)
	n, err := c.s.FS.Lstat(c.p.cwd, p)
	if err == nil && n.IsDir() {
		err = errors.New("is a directory")
	}
	if err == nil {
		err = c.s.FS.Remove(c.p.cwd, p)
	}
	return c.done(p, err)
}

func posixRedirect2null(c *luaCall) []any {
	if !c.p.forked {
		c.raise("redirect2null not permitted in this context")
	}
	fd := c.integer(1)
	if fd >= 0 && fd < int64(len(c.p.closed)) {
		c.p.closed[fd] = true
	}
	return []any{fd}
}

func posixSleep(c *luaCall) []any {
	c.integer(1)
	return []any{0} // everything happens at one moment
}

func posixStat(c *luaCall) []any {
	p := c.str(1)
	n, err := c.s.FS.Lstat(c.p.cwd, p)
	if err != nil {
		return c.failed(p, err)
	}
	a := c.accounts()
	uid, gid := int64(n.UID), int64(n.GID)
	if u := a.User(n.User); n.User != "" && u != nil {
		uid = int64(u.UID)
	}
	if g := a.Group(n.Group); n.Group != "" && g != nil {
		gid = int64(g.GID)
	}
	size := n.Size
	if n.IsSymlink() {
		size = int64(len(n.Link))
	}
	return c.selected(2, luaTable{
		{"mode", modeText(n.Mode)},
		{"ino", inodeNumber(c.s.FS, n)},
		{"dev", 1},
		{"nlink", links(c.s.FS, n)},
		{"uid", uid},
		{"gid", gid},
		{"size", size},
		{"atime", n.MTime},
		{"mtime", n.MTime},
		{"ctime", n.MTime},
		{"type", fileType(n.Mode)},
		{"_mode", int64(n.Mode)},
	})
}

// inodeNumber tells files apart that are not hard links of each other.
func inodeNumber(f *FS, n *rootfs.Node) int64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(path.Clean(f.carrier(n).Path)) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return int64(h>>12) | 2
}

func fileType(mode uint32) string {
	switch mode & rpm.ModeType {
	case rpm.ModeRegular:
		return "regular"
	case rpm.ModeSymlink:
		return "link"
	case rpm.ModeDir:
		return "directory"
	case rpm.ModeChar:
		return "character device"
	case rpm.ModeBlock:
		return "block device"
	case rpm.ModeFIFO:
		return "fifo"
	case rpm.ModeSocket:
		return "socket"
	}
	return "?"
}

func posixUmask(c *luaCall) []any {
	mode := ^c.p.umask & 0o777
	if !c.none(1) {
		m, ok := munchMode(mode, c.str(1))
		if !ok {
			return []any{nil}
		}
		mode = m & 0o777
		c.p.umask = ^mode & 0o777
	}
	return []any{modeText(mode)}
}

// posixUname answers with a kernel that is new enough for any package: which one the image will run on nobody knows.
func posixUname(c *luaCall) []any {
	machine := c.s.Host.Arch
	var b strings.Builder
	format := c.optStr(1, "%s %n %r %v %m")
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		letter := byte(0)
		if i < len(format) {
			letter = format[i]
		}
		switch letter {
		case '%':
			b.WriteByte('%')
		case 'm':
			b.WriteString(machine)
		case 'n':
			b.WriteString(hostName)
		case 'r':
			b.WriteString(kernelRelease)
		case 's':
			b.WriteString("Linux")
		case 'v':
			b.WriteString("#1 SMP")
		default:
			c.badArgument(2, fmt.Sprintf("unknown format option `%c'", letter))
		}
	}
	return []any{b.String()}
}

func posixUtime(c *luaCall) []any {
	p := c.str(1)
	when := c.optInteger(2, c.s.FS.Now())
	c.optInteger(3, 0)
	return c.done(p, c.s.FS.Chtimes(c.p.cwd, p, when))
}

func posixWait(c *luaCall) []any {
	pid := int(c.optInteger(1, -1))
	i := slices.Index(c.p.children, pid)
	if pid <= 0 && len(c.p.children) > 0 {
		i = 0
	}
	if i < 0 {
		return c.refused(errors.New("no child processes"))
	}
	pid = c.p.children[i]
	c.p.children = slices.Delete(slices.Clone(c.p.children), i, i+1)
	return []any{pid}
}
