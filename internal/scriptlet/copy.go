package scriptlet

import (
	"errors"
	"io"
	"path"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

func copyCommands() map[string]Command {
	return map[string]Command{
		"cp": tool("archive,a d no-dereference,P dereference,L H recursive,R,r preserve=? p no-preserve= force,f no-clobber,n "+
			"interactive,i update,u verbose,v no-target-directory,T target-directory,t= remove-destination link,l symbolic-link,s "+
			"parents reflink=? sparse= one-file-system,x strip-trailing-slashes backup=? b suffix,S=", copyFiles),
		"install": tool("directory,d D mode,m= owner,o= group,g= preserve-timestamps,p verbose,v no-target-directory,T "+
			"target-directory,t= compare,C c backup=? b suffix,S=", installFiles),
		"mv": tool("force,f no-clobber,n interactive,i update,u verbose,v no-target-directory,T target-directory,t= "+
			"strip-trailing-slashes backup=? b suffix,S=", moveFiles),
	}
}

// destination is where the files of a cp, mv or install go: to is a directory when into is set.
func (r *toolRun) destination() (sources []string, to string, into bool, err error) {
	if dir, ok := r.value("target-directory"); ok {
		if len(r.args) == 0 {
			return nil, "", false, r.die(1, "missing file operand")
		}
		n, err := r.FS.Stat(r.Dir, dir)
		if err == nil && !n.IsDir() {
			err = errors.New("not a directory")
		}
		if err != nil && !(r.name == "install" && r.has("D")) {
			return nil, "", false, r.die(1, "target directory '%s': %s", dir, errorText(err))
		}
		return r.args, dir, true, nil
	}
	switch len(r.args) {
	case 0:
		return nil, "", false, r.die(1, "missing file operand")
	case 1:
		return nil, "", false, r.die(1, "missing destination file operand after '%s'", r.args[0])
	}
	to = r.args[len(r.args)-1]
	sources = r.args[:len(r.args)-1]
	if r.has("no-target-directory") {
		if len(sources) > 1 {
			return nil, "", false, r.die(1, "extra operand '%s'", r.args[2])
		}
		return sources, to, false, nil
	}
	into = r.isDir(to)
	if !into && len(sources) > 1 {
		_, err := r.FS.Stat(r.Dir, to)
		if err == nil {
			err = errors.New("not a directory")
		}
		return nil, "", false, r.die(1, "target '%s': %s", to, errorText(err))
	}
	return sources, to, into, nil
}

// backup keeps what is at p under another name where that is asked for.
func (r *toolRun) backup(p string) error {
	how, given := r.value("backup")
	if !given && !r.has("b") {
		return nil
	}
	switch how {
	case "none", "off":
		return nil
	case "", "existing", "nil", "simple", "never":
	default:
		return r.unsupported("numbered backups are not known here")
	}
	if _, err := r.FS.Lstat(r.Dir, p); err != nil {
		return nil
	}
	suffix, ok := r.value("suffix")
	if !ok {
		suffix = "~"
	}
	return r.FS.Rename(r.Dir, p, p+suffix)
}

// copier is one run of cp.
type copier struct {
	*toolRun
	recursive, mode, owner, times, links, xattr bool
	copied                                      map[string]string // where the content of hard links went
	made                                        map[string]bool   // directories of the destination made by this run
}

func newCopier(r *toolRun) (*copier, error) {
	c := &copier{toolRun: r, copied: map[string]string{}, made: map[string]bool{}}
	c.recursive = r.has("recursive", "archive")
	for _, o := range r.options {
		on, list := true, ""
		switch o.key {
		case "archive":
			list = "all"
		case "d":
			list = "links"
		case "p":
			list = "mode,ownership,timestamps"
		case "preserve":
			if list = o.value; list == "" {
				list = "mode,ownership,timestamps"
			}
		case "no-preserve":
			on, list = false, o.value
		default:
			continue
		}
		for what := range strings.SplitSeq(list, ",") {
			switch what {
			case "mode":
				c.mode = on
			case "ownership":
				c.owner = on
			case "timestamps":
				c.times = on
			case "links":
				c.links = on
			case "xattr":
				c.xattr = on
			case "context":
			case "all":
				c.mode, c.owner, c.times, c.links, c.xattr = on, on, on, on, on
			default:
				return nil, r.unsupported("the attribute %q is not known here", what)
			}
		}
	}
	return c, nil
}

// follows reports whether a link is followed, named by the caller or found in a directory.
func (c *copier) follows(named bool) bool {
	switch c.lastOf("no-dereference", "dereference", "H", "d", "archive") {
	case "no-dereference", "d", "archive":
		return false
	case "dereference":
		return true
	case "H":
		return named
	}
	return !c.recursive
}

func copyFiles(r *toolRun) error {
	if r.has("interactive") && r.lastOf("interactive", "no-clobber", "force") == "interactive" {
		return r.unsupported("nobody is here to be asked")
	}
	c, err := newCopier(r)
	if err != nil {
		return err
	}
	sources, to, into, err := r.destination()
	if err != nil {
		return err
	}
	if r.has("parents") && !into {
		return r.die(1, "with --parents, the destination must be a directory")
	}
	for _, s := range sources {
		if r.has("strip-trailing-slashes") {
			s = trimmed(s)
		}
		dst := to
		if into {
			dst = join(to, baseName(s))
			if b := baseName(s); b == ".." || b == "." && strings.Trim(s, "./") == "" {
				dst = join(to, ".")
			}
			if r.has("parents") {
				dst = join(to, strings.TrimLeft(s, "/"))
				if err := r.makeParents(dst, false); err != nil {
					r.complain("cannot make directory '%s': %s", path.Dir(dst), errorText(err))
					continue
				}
			}
		}
		if err := c.copy(s, dst, true); err != nil {
			return err
		}
	}
	return nil
}

// copy copies one file or directory to the path dst. The error is for what ends the build.
func (c *copier) copy(src, dst string, named bool) error {
	if c.follows(named) {
		if err := c.FS.checkRandom(c.Dir, src); err != nil {
			return err
		}
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if device := devicePath(c.Dir, src); device == "/dev/null" && !c.recursive || device == "/dev/stdin" {
		b, err := c.read(src)
		if err == nil {
			err = c.write(dst, b)
		}
		if err != nil {
			c.complain("cannot copy '%s': %s", src, errorText(err))
		}
		return nil
	}
	n, err := c.FS.Lstat(c.Dir, src)
	if err == nil && n.IsSymlink() && (c.follows(named) || strings.HasSuffix(src, "/")) {
		n, err = c.FS.Stat(c.Dir, src)
	}
	if err != nil {
		c.complain("cannot stat '%s': %s", src, errorText(err))
		return nil
	}
	if n.IsDir() {
		return c.copyDirectory(n, src, dst)
	}
	return c.copyFile(n, src, dst)
}

func (c *copier) copyDirectory(n *rootfs.Node, src, dst string) error {
	if !c.recursive {
		c.complain("-r not specified; omitting directory '%s'", src)
		return nil
	}
	from := n.Path
	at, old, err := c.FS.tree.Walk(c.Dir, dst, true)
	if err == nil && (at == from || strings.HasPrefix(at, strings.TrimSuffix(from, "/")+"/")) {
		c.complain("cannot copy a directory, '%s', into itself, '%s'", src, dst)
		return nil
	}
	fresh := false
	switch {
	case err != nil:
	case old == nil:
		fresh = true
		if err = c.FS.Mkdir(c.Dir, trimmed(dst), 0o700); err == nil && c.has("verbose") {
			c.printf("'%s' -> '%s'\n", src, dst)
		}
	case !old.IsDir():
		c.complain("cannot overwrite non-directory '%s' with directory '%s'", dst, src)
		return nil
	}
	if err != nil {
		c.complain("cannot create directory '%s': %s", dst, errorText(err))
		return nil
	}
	for _, name := range c.FS.tree.List(from) {
		if err := c.copy(join(src, name), join(dst, name), false); err != nil {
			return err
		}
	}
	if fresh {
		if err := c.FS.Chmod(c.Dir, dst, n.Perm()&0o777&^c.Umask); err != nil {
			return err
		}
	}
	return c.attributes(n, dst)
}

// attributes gives what was copied the attributes of its source that are to be preserved.
func (c *copier) attributes(n *rootfs.Node, dst string) error {
	if c.owner {
		t := c.FS.names()
		user, group := &Owner{n.User, t.uid(n)}, &Owner{n.Group, t.gid(n)}
		if err := c.FS.Chown(c.Dir, dst, user, group, false); err != nil {
			return err
		}
	}
	if c.mode && !n.IsSymlink() {
		if err := c.FS.Chmod(c.Dir, dst, n.Perm()); err != nil {
			return err
		}
	}
	if c.xattr && n.IsRegular() && n.Caps != nil {
		if err := c.FS.SetCaps(c.Dir, dst, n.Caps); err != nil {
			return err
		}
	}
	if c.times {
		return c.FS.setTime(c.Dir, dst, n.MTime, false)
	}
	return nil
}

func (c *copier) copyFile(n *rootfs.Node, src, dst string) error {
	r := c.toolRun
	old, _ := c.FS.Stat(c.Dir, dst)
	oldLink, lerr := c.FS.Lstat(c.Dir, dst)
	exists := lerr == nil
	dereferenced := !n.IsSymlink()
	switch {
	case exists && r.has("no-clobber") && r.lastOf("no-clobber", "force", "interactive") == "no-clobber":
		return nil
	case exists && !dereferenced && !oldLink.IsSymlink() && c.leadsTo(n, oldLink) && !r.has("remove-destination", "b", "backup"):
		r.complain("'%s' and '%s' are the same file", src, dst)
		return nil
	case exists && (old == n || oldLink == n) && !(r.has("remove-destination") && old == n && oldLink != n):
		if r.has("link") || !dereferenced && old != n && oldLink != n {
			return nil
		}
		r.complain("'%s' and '%s' are the same file", src, dst)
		return nil
	case exists && oldLink.IsDir() || old != nil && old.IsDir() && dereferenced:
		r.complain("cannot overwrite directory '%s' with non-directory", dst)
		return nil
	case exists && r.has("update") && old != nil && old.MTime >= n.MTime:
		return nil
	}
	if exists {
		if err := r.backup(dst); err != nil {
			return err
		}
	}
	if _, lerr = c.FS.Lstat(c.Dir, dst); lerr == nil && (r.has("remove-destination", "symbolic-link", "link") || !dereferenced || !n.IsRegular() || old == nil) {
		if old == nil && dereferenced && n.IsRegular() && !r.has("remove-destination", "force") {
			r.complain("not writing through dangling symlink '%s'", dst)
			return nil
		}
		if r.has("symbolic-link", "link") && !r.has("force", "remove-destination") {
			r.complain("cannot create %s link '%s' to '%s': File exists", linkKind(r), dst, src)
			return nil
		}
		if err := c.FS.Remove(c.Dir, dst); err != nil {
			r.complain("cannot remove '%s': %s", dst, errorText(err))
			return nil
		}
	}
	if strings.HasSuffix(dst, "/") {
		r.complain("cannot create regular file '%s': Not a directory", dst)
		return nil
	}
	err := c.transfer(n, src, dst)
	if fatal(err) {
		return err
	}
	if err != nil {
		r.complain("cannot create regular file '%s': %s", dst, errorText(err))
		return nil
	}
	if r.has("verbose") {
		r.printf("'%s' -> '%s'\n", src, dst)
	}
	if r.has("symbolic-link", "link") {
		return nil
	}
	return c.attributes(n, dst)
}

// leadsTo reports whether a link's target is a node.
func (c *copier) leadsTo(link, n *rootfs.Node) bool {
	target, err := c.FS.Stat("/", link.Path)
	return err == nil && target == n
}

func linkKind(r *toolRun) string {
	if r.has("symbolic-link") {
		return "symbolic"
	}
	return "hard"
}

// transfer makes dst what src is, without its attributes.
func (c *copier) transfer(n *rootfs.Node, src, dst string) error {
	switch {
	case c.has("symbolic-link"):
		return c.FS.Symlink(c.Dir, src, dst)
	case c.has("link") && n.IsRegular():
		return c.FS.Link("/", n.Path, c.clean(dst))
	case n.IsSymlink():
		return c.FS.Symlink(c.Dir, n.Link, dst)
	case !n.IsRegular():
		return c.FS.Mknod(c.Dir, dst, n.Mode&rpm.ModeType|n.Perm()&^c.Umask, n.Major, n.Minor)
	}
	key := c.FS.carrier(n).Path
	if first, ok := c.copied[key]; ok && c.links {
		if _, err := c.FS.Lstat(c.Dir, dst); err == nil {
			if err := c.FS.Remove(c.Dir, dst); err != nil {
				return err
			}
		}
		return c.FS.Link(c.Dir, first, dst)
	}
	if err := c.FS.copyContent(n, c.Dir, dst, n.Perm()&0o777&^c.Umask); err != nil {
		return err
	}
	if c.links && len(c.FS.linked(n)) > 1 {
		c.copied[key] = dst
	}
	return nil
}

// copyContent makes dst a file with the content of n as it is now, by reference. One that is there keeps its attributes, a
// new one has this mode.
func (f *FS) copyContent(n *rootfs.Node, dir, dst string, mode uint32) error {
	if devicePath(dir, dst) != "" {
		return nil
	}
	from := *f.carrier(n)
	if err := f.WriteFile(dir, dst, nil, mode); err != nil {
		return err
	}
	to, err := f.Stat(dir, dst)
	if err != nil || !to.IsRegular() {
		return err
	}
	carrier := *f.carrier(to)
	carrier.Open = func() (io.ReadCloser, error) { return f.OpenNode(&from) }
	carrier.Size = from.Size
	if err := f.tree.Put(&carrier); err != nil {
		return err
	}
	for _, m := range f.linked(&carrier) {
		if m.Path != carrier.Path {
			next := *m
			next.Size = from.Size
			if err := f.tree.Put(&next); err != nil {
				return err
			}
		}
	}
	return nil
}

func moveFiles(r *toolRun) error {
	if r.has("interactive") && r.lastOf("interactive", "no-clobber", "force") == "interactive" {
		return r.unsupported("nobody is here to be asked")
	}
	sources, to, into, err := r.destination()
	if err != nil {
		return err
	}
	for _, s := range sources {
		if r.has("strip-trailing-slashes") {
			s = trimmed(s)
		}
		dst := to
		if into {
			dst = join(to, baseName(s))
		}
		if err := r.move(s, dst); err != nil {
			return err
		}
	}
	return nil
}

func (r *toolRun) move(src, dst string) error {
	n, err := r.FS.Lstat(r.Dir, src)
	if err != nil {
		r.complain("cannot stat '%s': %s", src, errorText(err))
		return nil
	}
	if devicePath(r.Dir, dst) != "" {
		return r.unsupported("moving something over %s", dst)
	}
	old, err := r.FS.Lstat(r.Dir, dst)
	exists := err == nil
	switch {
	case !exists && strings.HasSuffix(dst, "/") && !n.IsDir():
		r.complain("cannot move '%s' to '%s': %s", src, dst, errorText(err))
		return nil
	case exists && r.has("no-clobber") && r.lastOf("no-clobber", "force", "interactive") == "no-clobber":
		return nil
	case exists && old == n:
		r.complain("'%s' and '%s' are the same file", src, dst)
		return nil
	case exists && old.IsDir() && !n.IsDir():
		r.complain("cannot overwrite directory '%s' with non-directory", dst)
		return nil
	case exists && !old.IsDir() && n.IsDir():
		r.complain("cannot overwrite non-directory '%s' with directory '%s'", dst, src)
		return nil
	case exists && r.has("update") && old.MTime >= n.MTime:
		return nil
	case n.IsDir() && strings.HasPrefix(r.canonical(dst)+"/", n.Path+"/"):
		r.complain("cannot move '%s' to a subdirectory of itself, '%s'", src, dst)
		return nil
	}
	if err := r.backup(dst); err != nil {
		return err
	}
	if err := r.FS.Rename(r.Dir, src, dst); err != nil {
		r.complain("cannot move '%s' to '%s': %s", src, dst, errorText(err))
		return nil
	}
	if r.has("verbose") {
		r.printf("renamed '%s' -> '%s'\n", src, dst)
	}
	return nil
}

// installation is what install(1) gives what it makes.
type installation struct {
	mode        uint32
	dirMode     modeChange
	user, group *Owner
}

func installFiles(r *toolRun) error {
	in := installation{mode: 0o755, dirMode: modeChange{octal: true, value: 0o755, digits: 5}}
	if m, ok := r.value("mode"); ok {
		change, ok := parseMode(m)
		if !ok {
			return r.die(1, "invalid mode '%s'", m)
		}
		in.mode, in.dirMode = change.apply(0, false, 0), change
	}
	t := r.FS.names()
	if o, ok := r.value("owner"); ok {
		if in.user = t.lookupUser(o); in.user == nil {
			return r.die(1, "invalid user '%s'", o)
		}
	}
	if g, ok := r.value("group"); ok {
		if in.group = t.lookupGroup(g); in.group == nil {
			return r.die(1, "invalid group '%s'", g)
		}
	}
	if r.has("directory") {
		return r.installDirectories(in)
	}
	if dir, ok := r.value("target-directory"); ok && r.has("D") {
		if err := r.installParents(join(dir, "x")); err != nil {
			return r.die(1, "cannot create directory '%s': %s", dir, errorText(err))
		}
	}
	sources, to, into, err := r.destination()
	if err != nil {
		return err
	}
	for _, s := range sources {
		dst := to
		if into {
			dst = join(to, baseName(s))
		}
		if r.has("D") {
			if err := r.installParents(dst); err != nil {
				r.complain("cannot create directory '%s': %s", path.Dir(dst), errorText(err))
				continue
			}
		}
		if err := r.installFile(in, s, dst); err != nil {
			return err
		}
	}
	return nil
}

// installParents makes the missing directories above p, with mode 0755.
func (r *toolRun) installParents(p string) error {
	umask := r.Umask
	r.Umask = 0o022
	defer func() { r.Umask = umask }()
	return r.makeParents(p, r.has("verbose"))
}

func (r *toolRun) installDirectories(in installation) error {
	if len(r.args) == 0 {
		return r.die(1, "missing file operand")
	}
	for _, p := range r.args {
		err := r.installParents(p)
		if err == nil && !r.isDir(p) {
			if err = r.FS.Mkdir(r.Dir, trimmed(p), 0o755); err == nil && r.has("verbose") {
				r.printf("install: creating directory '%s'\n", p)
			}
		}
		if err == nil {
			err = r.FS.Chmod(r.Dir, p, in.dirMode.apply(0, true, 0))
		}
		if err == nil && (in.user != nil || in.group != nil) {
			err = r.FS.Chown(r.Dir, p, in.user, in.group, true)
		}
		if err != nil {
			r.complain("cannot create directory '%s': %s", p, errorText(err))
		}
	}
	return nil
}

func (r *toolRun) installFile(in installation, src, dst string) error {
	if err := r.FS.checkRandom(r.Dir, src); err != nil {
		return err
	}
	var n *rootfs.Node
	var err error
	if device := devicePath(r.Dir, src); device == "/dev/null" {
		n = &rootfs.Node{Path: "/dev/null", Mode: rpm.ModeRegular, MTime: r.FS.Now(), Package: -1, Open: emptyContent}
	} else if n, err = r.FS.Stat(r.Dir, src); err != nil {
		r.complain("cannot stat '%s': %s", src, errorText(err))
		return nil
	}
	if n.IsDir() {
		r.complain("omitting directory '%s'", src)
		return nil
	}
	if old, err := r.FS.Lstat(r.Dir, dst); err == nil {
		if old == n {
			r.complain("'%s' and '%s' are the same file", src, dst)
			return nil
		}
		if old.IsDir() {
			r.complain("cannot overwrite directory '%s' with non-directory", dst)
			return nil
		}
		if err := r.backup(dst); err != nil {
			return err
		}
		if _, err := r.FS.Lstat(r.Dir, dst); err == nil {
			if err := r.FS.Remove(r.Dir, dst); err != nil {
				r.complain("cannot remove '%s': %s", dst, errorText(err))
				return nil
			}
		}
	}
	if err = r.FS.copyContent(n, r.Dir, dst, 0o600); err == nil && (in.user != nil || in.group != nil) {
		err = r.FS.Chown(r.Dir, dst, in.user, in.group, true)
	}
	if err == nil {
		err = r.FS.Chmod(r.Dir, dst, in.mode)
	}
	if err == nil && r.has("preserve-timestamps") {
		err = r.FS.Chtimes(r.Dir, dst, n.MTime)
	}
	if err != nil {
		if fatal(err) {
			return err
		}
		r.complain("cannot create regular file '%s': %s", dst, errorText(err))
		return nil
	}
	if r.has("verbose") {
		r.printf("'%s' -> '%s'\n", src, dst)
	}
	return nil
}

func emptyContent() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }
