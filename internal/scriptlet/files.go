package scriptlet

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"strconv"
	"strings"
	"time"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// fileCommands are the programs of coreutils, findutils, grep, sed, gawk and a few more that work on files and text.
func fileCommands() map[string]Command {
	all := map[string]Command{
		"chgrp":    tool("recursive,R no-dereference,h dereference force,quiet,silent,f verbose,v changes,c reference= H L P preserve-root no-preserve-root", changeGroup),
		"chmod":    rawTool(changeMode),
		"chown":    tool("recursive,R no-dereference,h dereference force,quiet,silent,f verbose,v changes,c reference= from= H L P preserve-root no-preserve-root", changeOwner),
		"getcap":   tool("r v n", getCapabilities),
		"link":     tool("", hardLink),
		"ln":       tool("symbolic,s force,f no-dereference,n relative,r no-target-directory,T target-directory,t= verbose,v logical,L physical,P", makeLinks),
		"mkdir":    tool("parents,p mode,m= verbose,v", makeDirectories),
		"mkfifo":   tool("mode,m=", makeFIFO),
		"mknod":    tool("mode,m=", makeNode),
		"mktemp":   tool("directory,d dry-run,u quiet,q tmpdir=? p= suffix= t", makeTemporary),
		"readlink": tool("canonicalize,f canonicalize-existing,e canonicalize-missing,m no-newline,n quiet,silent,q,s verbose,v zero,z", readLink),
		"realpath": tool("canonicalize-existing,e canonicalize-missing,m strip,no-symlinks,s quiet,q zero,z relative-to= logical,L physical,P", realPath),
		"rm":       tool("force,f recursive,r,R dir,d verbose,v one-file-system preserve-root=? no-preserve-root", removeFiles),
		"rmdir":    tool("parents,p ignore-fail-on-non-empty verbose,v", removeDirectories),
		"setcap":   rawTool(setCapabilities),
		"touch":    tool("no-create,c a m date,d= reference,r= t= no-dereference,h time= f", touchFiles),
		"truncate": tool("no-create,c size,s= reference,r=", truncate),
		"unlink":   tool("", unlink),
	}
	for _, more := range []map[string]Command{copyCommands(), listCommands(), textCommands(), findCommands(), systemCommands()} {
		maps.Copy(all, more)
	}
	return all
}

func (r *toolRun) missingOperand() error {
	return r.die(1, "missing operand")
}

// trimmed is an operand without the slashes at its end.
func trimmed(p string) string {
	if t := strings.TrimRight(p, "/"); t != "" || p == "" {
		return t
	}
	return "/"
}

func removeFiles(r *toolRun) error {
	if len(r.args) == 0 {
		if r.has("force") {
			return nil
		}
		return r.missingOperand()
	}
	for _, p := range r.args {
		if b := baseName(p); b == "." || b == ".." {
			r.complain("refusing to remove '.' or '..' directory: skipping '%s'", p)
			continue
		}
		n, err := r.FS.Lstat(r.Dir, p)
		if err == nil && n.IsDir() && !r.has("recursive") && !(r.has("dir") && len(r.FS.tree.List(n.Path)) == 0) {
			r.complain("cannot remove '%s': Is a directory", p)
			continue
		}
		if err == nil && n.Path == "/" && !r.has("no-preserve-root") {
			r.complain("it is dangerous to operate recursively on '%s'", p)
			continue
		}
		if link, lerr := r.FS.Lstat(r.Dir, trimmed(p)); err == nil && lerr == nil && link.IsSymlink() && n.IsDir() {
			// With a slash behind it a link is gone through, and cannot be removed itself.
			for _, name := range r.FS.tree.List(n.Path) {
				if err := r.FS.RemoveAll("/", path.Join(n.Path, name)); err != nil {
					return err
				}
			}
			r.complain("cannot remove '%s': Not a directory", p)
			continue
		}
		if err == nil && r.has("verbose") {
			r.reportRemoval(n, p)
		}
		if err == nil {
			err = r.FS.RemoveAll(r.Dir, p)
		}
		if err != nil && !(r.has("force") && (isNotExist(err) || isNotDir(err))) {
			r.complain("cannot remove '%s': %s", p, errorText(err))
		}
	}
	return r.ctx.Err()
}

func (r *toolRun) reportRemoval(n *rootfs.Node, p string) {
	if !n.IsDir() {
		r.printf("removed '%s'\n", p)
		return
	}
	for _, name := range r.FS.tree.List(n.Path) {
		r.reportRemoval(r.FS.tree.Node(path.Join(n.Path, name)), join(p, name))
	}
	r.printf("removed directory '%s'\n", p)
}

func isNotDir(err error) bool { return err != nil && errorText(err) == "Not a directory" }

func unlink(r *toolRun) error {
	if len(r.args) != 1 {
		return r.missingOperand()
	}
	n, err := r.FS.Lstat(r.Dir, r.args[0])
	if err == nil && n.IsDir() {
		err = errors.New("is a directory")
	}
	if err == nil {
		err = r.FS.Remove(r.Dir, r.args[0])
	}
	if err != nil {
		r.complain("cannot unlink '%s': %s", r.args[0], errorText(err))
	}
	return nil
}

func hardLink(r *toolRun) error {
	if len(r.args) != 2 {
		return r.missingOperand()
	}
	if err := r.FS.Link(r.Dir, r.args[0], r.args[1]); err != nil {
		r.complain("cannot create link '%s' to '%s': %s", r.args[1], r.args[0], errorText(err))
	}
	return nil
}

func removeDirectories(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	for _, p := range r.args {
		for at := p; at != "" && at != "." && at != "/"; {
			n, err := r.FS.Lstat(r.Dir, trimmed(at))
			if r.has("verbose") {
				r.printf("rmdir: removing directory, '%s'\n", at)
			}
			if err == nil && !n.IsDir() {
				err = errors.New("not a directory")
			}
			if err == nil {
				err = r.FS.Remove(r.Dir, at)
			}
			if err != nil {
				if !(r.has("ignore-fail-on-non-empty") && errorText(err) == "Directory not empty") {
					r.complain("failed to remove '%s': %s", at, errorText(err))
				}
				break
			}
			if !r.has("parents") {
				break
			}
			up := path.Dir(trimmed(at))
			if up == "." || up == "/" {
				break
			}
			at = up
		}
	}
	return nil
}

func makeDirectories(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	mode := 0o777 &^ r.Umask
	m, given := r.value("mode")
	if given {
		change, ok := parseMode(m)
		if !ok {
			return r.die(1, "invalid mode '%s'", m)
		}
		mode = change.apply(0o777, true, r.Umask)
	}
	for _, p := range r.args {
		if r.has("parents") {
			if err := r.makeParents(p, r.has("verbose")); err != nil {
				r.complain("cannot create directory '%s': %s", p, errorText(err))
				continue
			}
			if r.isDir(p) {
				continue
			}
		}
		if err := r.FS.Mkdir(r.Dir, p, mode); err != nil {
			r.complain("cannot create directory '%s': %s", p, errorText(err))
			continue
		}
		if r.has("verbose") {
			r.printf("mkdir: created directory '%s'\n", p)
		}
	}
	return nil
}

// makeParents makes the missing directories above p.
func (r *toolRun) makeParents(p string, verbose bool) error {
	p = trimmed(p)
	for i := 1; i < len(p); i++ {
		if p[i] != '/' || p[i-1] == '/' {
			continue
		}
		dir := p[:i]
		n, err := r.FS.Stat(r.Dir, dir)
		switch {
		case isNotExist(err):
			if err := r.FS.Mkdir(r.Dir, dir, 0o777&^r.Umask|0o300); err != nil {
				return err
			}
			if verbose {
				verb := "created"
				if r.name == "install" {
					verb = "creating"
				}
				r.printf("%s: %s directory '%s'\n", r.name, verb, dir)
			}
		case err != nil:
			return err
		case !n.IsDir():
			return errors.New("not a directory")
		}
	}
	return nil
}

func makeFIFO(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	for _, p := range r.args {
		if err := r.makeSpecial(p, 0o010000, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

func makeNode(r *toolRun) error {
	if len(r.args) < 2 {
		return r.missingOperand()
	}
	kind := map[string]uint32{"p": 0o010000, "b": rpm.ModeBlock, "c": rpm.ModeChar, "u": rpm.ModeChar}[r.args[1]]
	if kind == 0 {
		return r.die(1, "invalid device type '%s'", r.args[1])
	}
	if kind == 0o010000 {
		if len(r.args) != 2 {
			return r.die(1, "Fifos do not have major and minor device numbers.")
		}
		return r.makeSpecial(r.args[0], kind, 0, 0)
	}
	if len(r.args) != 4 {
		return r.die(1, "Special files require major and minor device numbers.")
	}
	major, err1 := strconv.ParseUint(r.args[2], 0, 12)
	minor, err2 := strconv.ParseUint(r.args[3], 0, 20)
	if err1 != nil || err2 != nil {
		return r.die(1, "invalid device %s %s", r.args[2], r.args[3])
	}
	return r.makeSpecial(r.args[0], kind, uint32(major), uint32(minor))
}

func (r *toolRun) makeSpecial(p string, kind, major, minor uint32) error {
	mode := 0o666 &^ r.Umask
	if m, ok := r.value("mode"); ok {
		change, ok := parseMode(m)
		if !ok {
			return r.die(1, "invalid mode")
		}
		mode = change.apply(0o666, false, r.Umask)
	}
	if err := r.FS.Mknod(r.Dir, p, kind|mode, major, minor); err != nil {
		if r.name == "mkfifo" {
			r.complain("cannot create fifo '%s': %s", p, errorText(err))
		} else {
			r.complain("%s: %s", p, errorText(err))
		}
	}
	return nil
}

// makeTemporary gives the first name that is not taken, where mktemp(1) gives a random one.
func makeTemporary(r *toolRun) error {
	template := "tmp.XXXXXXXXXX"
	base, inTmp := r.value("tmpdir")
	if v, ok := r.value("p"); ok {
		base, inTmp = v, true
	}
	switch len(r.args) {
	case 0:
		inTmp = true
	case 1:
		template = r.args[0]
	default:
		return r.die(1, "too many templates")
	}
	if r.has("t") {
		inTmp = true
	}
	if inTmp {
		if t := r.Env("TMPDIR"); base == "" || r.has("t") && t != "" {
			base = t
		}
		if base == "" {
			base = "/tmp"
		}
		template = join(base, template)
	}
	suffix, _ := r.value("suffix")
	if suffix == "" {
		i := strings.LastIndexByte(template, 'X')
		template, suffix = template[:i+1], template[i+1:]
	}
	stem := strings.TrimRight(template, "X")
	width := len(template) - len(stem)
	if width < 3 || strings.Contains(suffix, "/") {
		return r.die(1, "too few X's in template '%s'", template+suffix)
	}
	for i := range 1 << 16 {
		p := fmt.Sprintf("%s%0*d%s", stem, width, i, suffix)
		if len(p) != len(template+suffix) {
			break
		}
		if _, err := r.FS.Lstat(r.Dir, p); err == nil {
			continue
		}
		var err error
		switch {
		case r.has("dry-run"):
		case r.has("directory"):
			err = r.FS.Mkdir(r.Dir, p, 0o700)
		default:
			err = r.FS.WriteFile(r.Dir, p, nil, 0o600)
		}
		if err != nil {
			return r.die(1, "failed to create file via template '%s': %s", template+suffix, errorText(err))
		}
		r.printf("%s\n", p)
		return nil
	}
	return r.die(1, "failed to create file via template '%s': File exists", template+suffix)
}

func touchFiles(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	when := r.FS.Now()
	if ref, ok := r.value("reference"); ok {
		n, err := r.FS.Stat(r.Dir, ref)
		if err != nil {
			return r.die(1, "failed to get attributes of '%s': %s", ref, errorText(err))
		}
		when = n.MTime
	}
	if d, ok := r.value("date"); ok {
		t, err := r.parseDate(d, time.Unix(when, 0).UTC())
		if err != nil {
			return err
		}
		when = t.Unix()
	}
	if stamp, ok := r.value("t"); ok {
		t, ok := parseStamp(stamp, time.Unix(r.FS.Now(), 0).UTC().Year())
		if !ok {
			return r.die(1, "invalid date format '%s'", stamp)
		}
		when = t.Unix()
	}
	access := r.has("a") && !r.has("m")
	if kind, ok := r.value("time"); ok {
		access = kind != "modify" && kind != "mtime"
	}
	for _, p := range r.args {
		if p == "-" || devicePath(r.Dir, p) != "" {
			continue
		}
		var err error
		if r.has("no-dereference") {
			_, err = r.FS.Lstat(r.Dir, p)
		} else {
			_, err = r.FS.Stat(r.Dir, p)
		}
		if isNotExist(err) {
			if r.has("no-create", "no-dereference") {
				continue
			}
			if err = errors.New("no such file or directory"); !strings.HasSuffix(p, "/") {
				err = r.FS.WriteFile(r.Dir, p, nil, 0o666&^r.Umask)
			}
			access = access && err != nil
		}
		if err == nil && !access {
			err = r.FS.setTime(r.Dir, p, when, !r.has("no-dereference"))
		}
		if err != nil {
			r.complain("cannot touch '%s': %s", p, errorText(err))
		}
	}
	return nil
}

// setTime is Chtimes that can date a link itself.
func (f *FS) setTime(dir, p string, when int64, follow bool) error {
	return f.change("utime", dir, p, follow, func(n *rootfs.Node) { n.MTime = when })
}

func truncate(r *toolRun) error {
	size, ok := r.value("size")
	n, err := strconv.ParseInt(size, 10, 64)
	if !ok || err != nil || n < 0 || n > MaxFileSize {
		return r.unsupported("only a size in bytes up to %d is known here", MaxFileSize)
	}
	for _, p := range r.args {
		b, err := r.FS.ReadFile(r.Dir, p)
		if isNotExist(err) {
			if r.has("no-create") {
				continue
			}
			err = nil
		}
		if err == nil {
			grown := make([]byte, n)
			copy(grown, b)
			err = r.FS.WriteFile(r.Dir, p, grown, 0o666&^r.Umask)
		}
		if err != nil {
			r.complain("cannot open '%s' for writing: %s", p, errorText(err))
		}
	}
	return nil
}

// changeMode reads its options itself: a mode may look like one (chmod -x file).
func changeMode(r *toolRun) error {
	modes := ""
	var args []string
	for _, a := range r.Call.Args[1:] {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Trim(a[1:], "rwxXstugoa,+-=01234567") == "" {
			modes = strings.TrimPrefix(modes+","+a, ",")
			continue
		}
		args = append(args, a)
	}
	c := *r.Call
	c.Args = append([]string{r.Call.Args[0]}, args...)
	sub := newToolRun(r.ctx, &c)
	if err := sub.parse("recursive,R force,quiet,silent,f verbose,v changes,c reference= preserve-root no-preserve-root"); err != nil {
		return err
	}
	r.options, r.args = sub.options, sub.args
	var change modeChange
	if ref, ok := r.value("reference"); ok {
		n, err := r.FS.Stat(r.Dir, ref)
		if err != nil {
			return r.die(1, "failed to get attributes of '%s': %s", ref, errorText(err))
		}
		change = modeChange{octal: true, value: n.Perm(), digits: 5}
	} else {
		if modes == "" {
			if len(r.args) == 0 {
				return r.missingOperand()
			}
			modes, r.args = r.args[0], r.args[1:]
		}
		if change, ok = parseMode(modes); !ok {
			return r.die(1, "invalid mode: '%s'", modes)
		}
	}
	if len(r.args) == 0 {
		return r.die(1, "missing operand after '%s'", modes)
	}
	quiet := r.has("force")
	for _, p := range r.args {
		err := r.walkTree(p, r.has("recursive"), true, func(p string, n *rootfs.Node) error {
			if n.IsSymlink() {
				return nil
			}
			old, mode := n.Perm(), change.apply(n.Mode, n.IsDir(), r.Umask)
			if err := r.FS.Chmod("/", n.Path, mode); err != nil {
				return err
			}
			switch {
			case r.has("verbose") && old == mode:
				r.printf("mode of '%s' retained as %04o (%s)\n", p, mode, modeString(mode)[1:])
			case r.has("verbose", "changes") && old != mode:
				r.printf("mode of '%s' changed from %04o (%s) to %04o (%s)\n", p, old, modeString(old)[1:], mode, modeString(mode)[1:])
			}
			return nil
		})
		if err != nil {
			if fatal(err) {
				return err
			}
			if r.status = 1; !quiet {
				r.complain("cannot access '%s': %s", p, errorText(err))
			}
		}
	}
	return nil
}

// walkTree calls f for what p leads to, and for all below it where that is asked for; links in a directory are not
// followed. f sees a directory before what is in it.
func (r *toolRun) walkTree(p string, recursive, follow bool, f func(p string, n *rootfs.Node) error) error {
	n, err := r.FS.Lstat(r.Dir, p)
	if err == nil && follow && n.IsSymlink() {
		n, err = r.FS.Stat(r.Dir, p)
	}
	if err != nil {
		return err
	}
	return r.walkNode(p, n, recursive, f)
}

func (r *toolRun) walkNode(p string, n *rootfs.Node, recursive bool, f func(p string, n *rootfs.Node) error) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if err := f(p, n); err != nil || !recursive || !n.IsDir() {
		return err
	}
	for _, name := range r.FS.tree.List(n.Path) {
		if c := r.FS.tree.Node(path.Join(n.Path, name)); c != nil {
			if err := r.walkNode(join(p, name), c, true, f); err != nil {
				return err
			}
		}
	}
	return nil
}

func changeOwner(r *toolRun) error { return r.chown(false) }

func changeGroup(r *toolRun) error { return r.chown(true) }

func (r *toolRun) chown(groupOnly bool) error {
	if r.has("H", "L") && r.has("recursive") && r.lastOf("H", "L", "P") != "P" {
		return r.unsupported("following links is not known here")
	}
	t := r.FS.names()
	var user, group *Owner
	if ref, ok := r.value("reference"); ok {
		n, err := r.FS.Stat(r.Dir, ref)
		if err != nil {
			return r.die(1, "failed to get attributes of '%s': %s", ref, errorText(err))
		}
		user, group = t.lookupUser(fmt.Sprint(t.uid(n))), t.lookupGroup(fmt.Sprint(t.gid(n)))
		if groupOnly {
			user = nil
		}
	} else {
		if len(r.args) == 0 {
			return r.missingOperand()
		}
		spec := r.args[0]
		r.args = r.args[1:]
		if groupOnly {
			if group = t.lookupGroup(spec); group == nil && spec != "" {
				return r.die(1, "invalid group: '%s'", spec)
			}
		} else {
			var message string
			if user, group, message = t.ownership(spec); message != "" {
				return r.die(1, "%s", message)
			}
		}
		if len(r.args) == 0 {
			return r.die(1, "missing operand after '%s'", spec)
		}
	}
	var fromUser, fromGroup *Owner
	if from, ok := r.value("from"); ok {
		var message string
		if fromUser, fromGroup, message = t.ownership(from); message != "" {
			return r.die(1, "%s", message)
		}
	}
	follow := r.lastOf("no-dereference", "dereference") != "no-dereference"
	for _, p := range r.args {
		// chown -R does not follow links, not even those it is told.
		err := r.walkTree(p, r.has("recursive"), follow && !r.has("recursive"), func(_ string, n *rootfs.Node) error {
			if fromUser != nil && t.uid(n) != fromUser.ID || fromGroup != nil && t.gid(n) != fromGroup.ID {
				return nil
			}
			return r.FS.Chown("/", n.Path, user, group, false)
		})
		if err != nil {
			if fatal(err) {
				return err
			}
			if r.status = 1; !r.has("force") {
				r.complain("cannot access '%s': %s", p, errorText(err))
			}
		}
	}
	return nil
}

func makeLinks(r *toolRun) error {
	if len(r.args) == 0 {
		return r.die(1, "missing file operand")
	}
	dir, inDir := r.value("target-directory")
	sources := r.args
	last := r.args[len(r.args)-1]
	switch {
	case inDir:
		if !r.isDir(dir) {
			return r.die(1, "target directory '%s': No such file or directory", dir)
		}
	case r.has("no-target-directory"):
		if len(r.args) != 2 {
			return r.die(1, "missing destination file operand after '%s'", r.args[0])
		}
	case len(r.args) == 1:
		dir, inDir = ".", true
	default:
		n, err := r.FS.Lstat(r.Dir, last)
		link := err == nil && n.IsSymlink() && r.has("no-dereference")
		if r.isDir(last) && !link {
			dir, inDir = last, true
		} else if len(r.args) > 2 {
			return r.die(1, "target '%s' is not a directory", last)
		}
		sources = r.args[:len(r.args)-1]
	}
	if !inDir {
		r.makeLink(r.args[0], last)
		return nil
	}
	for _, s := range sources {
		to := join(dir, baseName(s))
		if dir == "." && len(r.args) == 1 {
			to = "./" + baseName(s)
		}
		r.makeLink(s, to)
	}
	return nil
}

func (r *toolRun) makeLink(target, p string) {
	symbolic := r.has("symbolic")
	kind := "hard"
	if symbolic {
		kind = "symbolic"
	}
	if symbolic && r.has("relative") {
		target = r.relativeTarget(target, p)
	}
	if !symbolic {
		n, err := r.FS.Lstat(r.Dir, target)
		if err == nil && r.has("logical") {
			n, err = r.FS.Stat(r.Dir, target)
		}
		if err != nil {
			r.complain("failed to access '%s': %s", target, errorText(err))
			return
		}
		if n.IsDir() {
			r.complain("%s: hard link not allowed for directory", target)
			return
		}
	}
	if old, err := r.FS.Lstat(r.Dir, p); err == nil && r.has("force") {
		same, err := r.FS.Lstat(r.Dir, target)
		if symbolic {
			same, err = r.FS.Stat(r.Dir, target)
		}
		if err == nil && same == old {
			r.complain("'%s' and '%s' are the same file", target, p)
			return
		}
		if old.IsDir() {
			r.complain("%s: cannot overwrite directory", p)
			return
		}
		// The link's target must outlive what it replaces.
		if err := r.FS.Remove(r.Dir, p); err != nil {
			r.complain("cannot remove '%s': %s", p, errorText(err))
			return
		}
	}
	var err error
	if symbolic {
		err = r.FS.Symlink(r.Dir, target, p)
	} else {
		source := target
		if n, serr := r.FS.Stat(r.Dir, target); serr == nil && r.has("logical") {
			source = n.Path
		}
		if n, lerr := r.FS.Lstat(r.Dir, source); lerr == nil && n.IsSymlink() {
			err = r.FS.Symlink(r.Dir, n.Link, p) // a second name of a link is as good as a second link
		} else {
			err = r.FS.Link(r.Dir, source, p)
		}
	}
	if err != nil {
		arrow := ""
		if !symbolic {
			arrow = fmt.Sprintf(" => '%s'", target)
		}
		r.complain("failed to create %s link '%s'%s: %s", kind, p, arrow, errorText(err))
		return
	}
	if r.has("verbose") {
		sign := "=>"
		if symbolic {
			sign = "->"
		}
		r.printf("'%s' %s '%s'\n", p, sign, target)
	}
}

func (r *toolRun) relativeTarget(target, p string) string {
	from := r.canonical(path.Dir(r.clean(p)))
	to := r.canonical(target)
	return relativePath(from, to)
}

func relativePath(from, to string) string {
	split := func(p string) []string {
		return strings.FieldsFunc(p, func(c rune) bool { return c == '/' })
	}
	a, b := split(from), split(to)
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	out := strings.Repeat("../", len(a)) + strings.Join(b, "/")
	if out == "" {
		return "."
	}
	return strings.TrimSuffix(out, "/")
}

// canonical follows the links of as much of p as is there.
func (r *toolRun) canonical(p string) string {
	at, _, _ := r.FS.canonical(r.Dir, p)
	return at
}

// canonical follows the links of a path name by name; what is missing, and all after it, is taken as it stands. missing
// counts names that are not there; the error is one of those of stat(2) other than that.
func (f *FS) canonical(dir, p string) (at string, missing int, err error) {
	if !strings.HasPrefix(p, "/") {
		p = dir + "/" + p
	}
	names := strings.Split(p, "/")
	at = "/"
	left := 40
	for i := 0; i < len(names); i++ {
		switch name := names[i]; name {
		case "", ".":
		case "..":
			at = path.Dir(at)
		default:
			next := path.Join(at, name)
			n := f.tree.Node(next)
			parent := f.tree.Node(at)
			switch {
			case parent != nil && !parent.IsDir():
				err = pathError("stat", p, errors.New("not a directory"))
				at, missing = next, missing+1
			case n == nil:
				at, missing = next, missing+1
			case n.IsSymlink():
				if left--; left < 0 {
					return next, missing, pathError("stat", p, errors.New("more than 40 symbolic links"))
				}
				if strings.HasPrefix(n.Link, "/") {
					at = "/"
				}
				names = append(strings.Split(n.Link, "/"), names[i+1:]...)
				i = -1
			default:
				at = next
			}
		}
	}
	return at, missing, err
}

// canonicalAs is p with all links followed where names may be missing: all ("m"), the last ("f"), none ("e").
func (r *toolRun) canonicalAs(p, how string) (string, error) {
	if p == "" {
		return "", pathError("stat", p, errNoEntry)
	}
	at, missing, err := r.FS.canonical(r.Dir, p)
	switch {
	case how == "m":
		return at, nil
	case err != nil:
		return "", err
	case missing == 0:
		if n := r.FS.tree.Node(at); strings.HasSuffix(p, "/") && n != nil && !n.IsDir() {
			return "", pathError("stat", p, errors.New("not a directory"))
		}
		return at, nil
	case how == "f" && missing == 1:
		return at, nil
	}
	return "", pathError("stat", p, errNoEntry)
}

var errNoEntry = errors.New("no such file or directory")

func readLink(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	end := "\n"
	if r.has("zero") {
		end = "\x00"
	}
	if r.has("no-newline") && len(r.args) == 1 {
		end = ""
	}
	how := map[string]string{"canonicalize": "f", "canonicalize-existing": "e", "canonicalize-missing": "m"}[r.lastOf("canonicalize", "canonicalize-existing", "canonicalize-missing")]
	for _, p := range r.args {
		var out string
		var err error
		if how != "" {
			out, err = r.canonicalAs(p, how)
		} else {
			out, err = r.FS.Readlink(r.Dir, p)
		}
		if err != nil {
			if r.status = 1; r.has("verbose") {
				r.complain("%s: %s", p, errorText(err))
			}
			continue
		}
		r.printf("%s%s", out, end)
	}
	return nil
}

func realPath(r *toolRun) error {
	if len(r.args) == 0 {
		return r.missingOperand()
	}
	how := "f"
	switch r.lastOf("canonicalize-existing", "canonicalize-missing") {
	case "canonicalize-existing":
		how = "e"
	case "canonicalize-missing":
		how = "m"
	}
	resolve := func(p string) (string, error) {
		if r.has("strip") {
			if p == "" {
				return "", pathError("stat", p, errNoEntry)
			}
			return r.clean(p), nil
		}
		return r.canonicalAs(p, how)
	}
	end := "\n"
	if r.has("zero") {
		end = "\x00"
	}
	base, relative := r.value("relative-to")
	if relative {
		var err error
		if base, err = resolve(base); err != nil {
			return r.die(1, "%s: %s", base, errorText(err))
		}
	}
	for _, p := range r.args {
		out, err := resolve(p)
		if err != nil {
			if r.status = 1; !r.has("quiet") {
				r.complain("%s: %s", p, errorText(err))
			}
			continue
		}
		if relative {
			out = relativePath(base, out)
		}
		r.printf("%s%s", out, end)
	}
	return nil
}

func setCapabilities(r *toolRun) error {
	args := r.args
	for len(args) > 0 && (args[0] == "-q" || args[0] == "-n") {
		if args[0] == "-n" {
			return r.unsupported("the option -n is not known here")
		}
		args = args[1:]
	}
	if len(args) == 0 || len(args)%2 != 0 {
		return r.die(1, "usage: setcap [-q] (-r|caps) file ...")
	}
	for ; len(args) > 0; args = args[2:] {
		var caps []byte
		if args[0] != "-r" {
			if strings.HasPrefix(args[0], "-") {
				return r.unsupported("the option %s is not known here", args[0])
			}
			var err error
			if caps, err = rootfs.ParseCaps(args[0]); err != nil {
				return r.die(1, "fatal error: Invalid argument")
			}
		}
		n, err := r.FS.Stat(r.Dir, args[1])
		if err == nil && !n.IsRegular() {
			err = errors.New("Invalid file '" + args[1] + "' for capability operation")
		}
		if err == nil {
			err = r.FS.SetCaps(r.Dir, args[1], caps)
		}
		if err != nil {
			return r.die(1, "Failed to set capabilities on file '%s' (%s)", args[1], errorText(err))
		}
	}
	return nil
}

// getCapabilities says nothing of files without capabilities, and can say nothing of those with them.
func getCapabilities(r *toolRun) error {
	for _, p := range r.args {
		err := r.walkTree(p, r.has("r"), false, func(p string, n *rootfs.Node) error {
			if n.Caps != nil {
				return r.unsupported("%s has capabilities, which are not put into words here", p)
			}
			return nil
		})
		if fatal(err) {
			return err
		}
		if err != nil {
			r.complain("%s (%s)", p, errorText(err))
		}
	}
	return nil
}
