package scriptlet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Limits of what is read of alternatives.
const (
	maxAlternativesFile    = 1 << 20
	maxAlternativesProgram = 16 << 20
)

// alternativesCommands are the commands that keep the links of alternatives: chkconfig's program, or Debian's, whichever
// the tree has. They differ in the file of a group, in when they replace what, and in words.
func alternativesCommands() map[string]Command {
	run := rawTool(runAlternatives)
	return map[string]Command{"alternatives": run, "update-alternatives": run}
}

// alternatives is one run of either program.
type alternatives struct {
	*toolRun
	altDir   string // where the links are that the public links lead to
	adminDir string // where the files of groups are
	verbose  bool

	mergedBin bool   // chkconfig's: /usr/sbin is /usr/bin, names in both are the same
	follower  string // chkconfig's: what the version calls a follower
}

func runAlternatives(r *toolRun) error {
	a := &alternatives{toolRun: r, altDir: "/etc/alternatives", adminDir: "/var/lib/alternatives", follower: "follower"}
	debian, err := a.findProgram()
	if err != nil {
		return err
	}
	if r.LeftOut {
		for _, dir := range []string{a.altDir, a.adminDir} {
			if err := r.FS.MkdirAll("/", dir, 0o755); err != nil {
				return err
			}
		}
	}
	if debian {
		r.name = "update-alternatives"
		return a.debian()
	}
	return a.chkconfig()
}

// findProgram looks which program the tree has; without one it is chkconfig's.
func (a *alternatives) findProgram() (debian bool, err error) {
	if n, err := a.FS.Lstat("/", "/usr/sbin"); err == nil && n.IsSymlink() {
		a.mergedBin = true
	}
	for _, p := range []string{"/usr/sbin/alternatives", "/usr/sbin/update-alternatives", "/usr/bin/alternatives", "/usr/bin/update-alternatives"} {
		n, err := a.FS.Stat("/", p)
		if err != nil || !n.IsRegular() {
			continue
		}
		f, err := a.FS.OpenNode(n)
		if err != nil {
			return false, err
		}
		b, err := io.ReadAll(io.LimitReader(f, maxAlternativesProgram))
		f.Close()
		if err != nil {
			return false, fmt.Errorf("reading %s: %w", p, err)
		}
		if !bytes.HasPrefix(b, []byte("\x7fELF")) {
			return false, a.unsupported("%s is not a program that is known here", p)
		}
		if bytes.Contains(b, []byte("\x00get-selections\x00")) || bytes.Contains(b, []byte("\x00--get-selections\x00")) {
			if m := regexp.MustCompile(`\x00(/[a-zA-Z0-9_/.-]*/lib/[a-zA-Z0-9_/.-]*alternatives)\x00`).FindSubmatch(b); m != nil {
				a.adminDir = string(m[1])
			}
			return true, nil
		}
		if bytes.Contains(b, []byte(" slave %s: %s")) {
			a.follower = "slave"
		}
		return false, nil
	}
	return false, nil
}

// readLink is the target of a symbolic link, "" without one.
func (a *alternatives) readLink(p string) string {
	target, err := a.FS.Readlink(a.Dir, p)
	if err != nil {
		return ""
	}
	return target
}

func (a *alternatives) isLink(p string) bool {
	n, err := a.FS.Lstat(a.Dir, p)
	return err == nil && n.IsSymlink()
}

// remove takes a file or link away; what is not there is no error.
func (a *alternatives) remove(p string) error {
	if err := a.FS.Remove(a.Dir, p); err != nil && !isNotExist(err) {
		return err
	}
	return nil
}

// readGroup is the file of a group; fs.ErrNotExist without one.
func (a *alternatives) readGroup(p string) (string, error) {
	f, err := a.FS.Open(a.Dir, p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAlternativesFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxAlternativesFile {
		return "", &Unsupported{Command: strings.Join(a.Call.Args, " "), Why: fmt.Sprintf("%s has more than %d bytes", p, maxAlternativesFile)}
	}
	return string(b), nil
}

// writeGroup replaces the file of a group by a new one.
func (a *alternatives) writeGroup(p, content string) error {
	dir, err := a.FS.Stat(a.Dir, path.Dir(p))
	if err != nil {
		return err
	}
	at := path.Join(dir.Path, path.Base(p))
	if err := a.remove(at); err != nil {
		return err
	}
	return a.FS.WriteFile("/", at, []byte(content), 0o644)
}

// linkSet is one link of a group in chkconfig's words: the public link, the name that stands between, and the target.
type linkSet struct{ title, facility, target string }

// chkAlternative is one choice of a group.
type chkAlternative struct {
	priority   int64
	leader     linkSet
	followers  []linkSet
	initscript string
	family     string
}

// chkGroup is a group as the file says and the links show.
type chkGroup struct {
	auto          bool
	alternatives  []chkAlternative
	best, current int // current is -1 when the link leads elsewhere
	currentLink   string
}

// chkArguments are the arguments of one call.
type chkArguments struct {
	mode                 string
	title, target, which string
	link                 linkSet
	added                chkAlternative
	test                 bool
	keepMissing          bool
	keepForeign          bool
	adminDir             string
}

// chkCall is one run of chkconfig's program.
type chkCall struct {
	*alternatives
	chkArguments
}

// usage ends the program as for a call it does not understand.
func (a *alternatives) usage() error {
	a.printf("usage: alternatives --install <link> <name> <path> <priority>\n")
	a.status = 2
	return errStop
}

func normalizePath(p string) string {
	for strings.Contains(p, "//") {
		p = strings.ReplaceAll(p, "//", "/")
	}
	return p
}

func (a *alternatives) chkconfig() error {
	c := &chkCall{alternatives: a}
	if err := c.parse(a.args); err != nil {
		return err
	}
	if n, err := a.FS.Stat(a.Dir, a.altDir); err != nil || !n.IsDir() {
		fmt.Fprintf(a.Stderr, "altdir %s invalid\n", a.altDir)
		a.status = 2
		return nil
	}
	if err := c.findAdminDir(); err != nil {
		return err
	}
	var err error
	switch c.mode {
	case "install":
		err = c.install()
	case "add-follower":
		err = c.addFollower()
	case "remove-follower":
		err = c.removeFollower()
	case "display":
		err = c.display()
	case "auto":
		err = c.setAuto()
	case "set":
		err = c.set()
	case "remove":
		err = c.removeChoice(c.title, c.target)
	case "remove-all":
		err = c.removeAll()
	case "list":
		err = c.list()
	case "config":
		err = a.unsupported("asking somebody is not possible here")
	case "version", "help":
		err = a.unsupported("printing texts about the program is not known here")
	default:
		err = a.usage()
	}
	return err
}

// fail complains and ends the program with status 2.
func (c *chkCall) fail(format string, args ...any) error {
	fmt.Fprintf(c.Stderr, format, args...)
	c.status = 2
	return errStop
}

func (c *chkCall) findAdminDir() error {
	isDir := func(p string) bool { n, err := c.FS.Stat(c.Dir, p); return err == nil && n.IsDir() }
	if c.chkArguments.adminDir != "" {
		c.alternatives.adminDir = c.chkArguments.adminDir
		if !isDir(c.alternatives.adminDir) {
			return c.fail("admindir %s invalid\n", c.alternatives.adminDir)
		}
		return nil
	}
	if isDir(c.alternatives.adminDir) {
		return nil
	}
	if _, err := c.FS.Stat("/", "/run/ostree-booted"); err == nil || c.isLink("/ostree") {
		c.alternatives.adminDir = "/etc/alternatives-admindir"
	}
	if err := c.FS.Mkdir("/", c.alternatives.adminDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return c.fail("failed to create admindir: %s\n", errorText(err))
	}
	return nil
}

// parse reads the arguments. A mode may be given once.
func (c *chkCall) parse(args []string) error {
	bad := false
	next := func() string {
		if len(args) == 0 {
			bad = true
			return ""
		}
		s := args[0]
		args = args[1:]
		return s
	}
	begin := func(mode string, also ...string) {
		ok := c.mode == ""
		for _, m := range also {
			ok = ok || c.mode == m
		}
		bad = bad || !ok
		c.mode = mode
	}
	title := func() string {
		s := next()
		bad = bad || strings.HasPrefix(s, "/")
		return s
	}
	links := func() linkSet {
		l := linkSet{facility: normalizePath(next()), title: title(), target: normalizePath(next())}
		bad = bad || !strings.HasPrefix(l.facility, "/") || !strings.HasPrefix(l.target, "/")
		return l
	}
	for len(args) > 0 && !bad {
		switch a := next(); a {
		case "--install":
			begin("install", "follower")
			c.added.leader = links()
			var ok bool
			c.added.priority, ok = chkNumber(next())
			bad = bad || !ok
		case "--follower", "--slave":
			if c.mode == "" {
				c.mode = "follower"
			}
			bad = bad || c.mode != "follower" && c.mode != "install"
			c.added.followers = append(c.added.followers, links())
		case "--initscript":
			bad = bad || c.mode != "" && c.mode != "install"
			c.added.initscript = next()
		case "--family":
			bad = bad || c.mode != "" && c.mode != "install"
			c.added.family = next()
			if strings.Contains(c.added.family, "@") {
				c.printf("--family can't contain the symbol '@'\n")
				bad = true
			}
		case "--add-follower", "--add-slave":
			begin("add-follower")
			c.title, c.target = title(), normalizePath(next())
			c.link = links()
		case "--remove-follower", "--remove-slave":
			begin("remove-follower")
			c.title, c.target, c.which = title(), normalizePath(next()), next()
		case "--remove", "--set":
			begin(a[2:])
			c.title, c.target = title(), normalizePath(next())
		case "--remove-all", "--auto", "--display", "--config":
			begin(a[2:])
			c.title = title()
		case "--list", "--version", "--help":
			begin(a[2:])
		case "--usage":
			begin("help")
		case "--test":
			c.test = true
		case "--verbose":
			c.verbose = true
		case "--keep-missing":
			c.keepMissing = true
		case "--keep-foreign":
			c.keepForeign = true
		case "--altdir":
			c.altDir = normalizePath(next())
		case "--admindir":
			c.chkArguments.adminDir = normalizePath(next())
		default:
			return c.unsupported("the argument %s is not known here", a)
		}
	}
	if bad {
		return c.usage()
	}
	if c.test {
		return c.unsupported("the option --test is not known here")
	}
	return nil
}

// chkNumber reads a number as strtol(3) with base 0 does, all of it.
func chkNumber(s string) (int64, bool) {
	s = strings.TrimLeft(s, " \t\n\v\f\r")
	if !regexp.MustCompile(`^[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)$`).MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 0, 32)
	return n, err == nil
}

// same reports whether two paths are one, also where /usr/sbin is /usr/bin.
func (a *alternatives) same(x, y string) bool {
	if x == y {
		return true
	}
	rest := func(p string) (string, bool) {
		for _, dir := range []string{"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"} {
			if r, ok := strings.CutPrefix(p, dir); ok {
				return r, true
			}
		}
		return "", false
	}
	r, ok := rest(x)
	s, ok2 := rest(y)
	return a.mergedBin && ok && ok2 && r == s
}

// parseChkGroup reads the file of a group. why is what is wrong with it, in the program's words.
func parseChkGroup(content, title, file string) (g *chkGroup, why string) {
	lines := chkLines{rest: content}
	g = &chkGroup{current: -1}
	line, ok := lines.next()
	switch {
	case !ok:
		return nil, file + " empty!\n"
	case line != "auto" && line != "manual":
		return nil, "bad mode on line 1 of " + file + "\n"
	}
	g.auto = line == "auto"
	if line, _ = lines.next(); !strings.HasPrefix(line, "/") {
		return nil, "bad primary link in " + file + "\n"
	}
	names := []linkSet{{title: title, facility: line}}
	for {
		if line, ok = lines.next(); !ok {
			return nil, "unexpected end of file in " + file + "\n"
		}
		if line == "" {
			break
		}
		if line[0] == '/' {
			return nil, fmt.Sprintf("path %s unexpected in %s\n", line, file)
		}
		facility, ok := lines.next()
		if !ok || facility == "" {
			return nil, fmt.Sprintf("missing path for follower %s in %s\n", facility, file)
		}
		names = append(names, linkSet{title: line, facility: facility})
	}
	for {
		line, ok = lines.next()
		if line == "" {
			break
		}
		alt, why := lines.alternative(line, names, file)
		if why != "" {
			return nil, why
		}
		g.alternatives = append(g.alternatives, alt)
		if alt.priority > g.alternatives[g.best].priority {
			g.best = len(g.alternatives) - 1
		}
	}
	for ok {
		if line, ok = lines.next(); line != "" {
			return nil, fmt.Sprintf("unexpected line in %s: %s\n", file, line)
		}
	}
	if len(g.alternatives) == 0 {
		return nil, "no alternatives in " + file + "\n"
	}
	return g, ""
}

// chkLines hands out the lines of a file, blanks before them taken away.
type chkLines struct{ rest string }

func (l *chkLines) next() (string, bool) {
	if l.rest == "" {
		return "", false
	}
	var line string
	line, l.rest, _ = strings.Cut(l.rest, "\n")
	return strings.TrimLeft(line, " \t\v\f\r"), true
}

func (l *chkLines) alternative(target string, names []linkSet, file string) (alt chkAlternative, why string) {
	unexpected := func(what, line string) string {
		return fmt.Sprintf("%s in %s\nunexpected line in %s: %s\n", what, file, file, line)
	}
	if target[0] != '/' {
		return alt, unexpected("path to alternate expected", target)
	}
	alt.leader = linkSet{title: names[0].title, facility: normalizePath(names[0].facility), target: target}
	line, _ := l.next()
	number := line
	if strings.HasPrefix(line, "@") {
		var ok bool
		if alt.family, number, ok = strings.Cut(line[1:], "@"); !ok || alt.family == "" {
			return alt, unexpected("closing '@' missing or the family is empty", line)
		}
	}
	m := regexp.MustCompile(`^\s*([-+]?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*))`).FindString(number)
	n, ok := chkNumber(m)
	if !ok {
		return alt, unexpected("numeric priority expected", line)
	}
	alt.priority = n
	alt.initscript = strings.TrimLeft(number[len(m):], " \t\v\f\r")
	for _, name := range names[1:] {
		line, _ := l.next()
		if line != "" && line[0] != '/' {
			return alt, unexpected("follower path expected", line)
		}
		alt.followers = append(alt.followers, linkSet{title: name.title, facility: normalizePath(name.facility), target: line})
	}
	return alt, ""
}

// Outcomes of reading a group.
const (
	groupRead    = 0
	groupBad     = 1
	groupNoLink  = 2 // the file is right, the link is not there
	groupMissing = 3
)

// read reads the file and the link of a group.
func (c *chkCall) read(title string) (g *chkGroup, outcome int, err error) {
	file := normalizePath(c.alternatives.adminDir + "/" + title)
	if c.verbose {
		c.printf("reading %s\n", file)
	}
	content, err := c.readGroup(file)
	switch {
	case fatal(err):
		return nil, groupBad, err
	case err != nil && isNotExist(err):
		return &chkGroup{auto: true, current: -1}, groupMissing, nil
	case err != nil:
		fmt.Fprintf(c.Stderr, "failed to open %s: %s\n", file, errorText(err))
		return nil, groupBad, nil
	}
	g, why := parseChkGroup(content, title, file)
	if why != "" {
		fmt.Fprint(c.Stderr, why)
		return nil, groupBad, nil
	}
	g.currentLink = c.readLink(c.altDir + "/" + title)
	if g.currentLink == "" {
		_, err := c.FS.Readlink(c.Dir, c.altDir+"/"+title)
		fmt.Fprintf(c.Stderr, "failed to read link %s: %s\n", g.alternatives[0].leader.facility, errorText(err))
		return g, groupNoLink, nil
	}
	for i, alt := range g.alternatives {
		if c.same(g.currentLink, alt.leader.target) {
			g.current = i
			break
		}
	}
	switch {
	case g.current < 0:
		g.auto = false
		if c.verbose {
			c.printf("link points to no alternative -- setting mode to manual\n")
		}
	case g.current != g.best && g.auto:
		g.auto = false
		if c.verbose {
			c.printf("link changed -- setting mode to manual\n")
		}
	}
	g.currentLink = normalizePath(g.currentLink)
	return g, groupRead, nil
}

// mustRead is read for what needs the group to be right.
func (c *chkCall) mustRead(title string) (*chkGroup, error) {
	g, outcome, err := c.read(title)
	if err == nil && outcome != groupRead {
		c.status = 2
		err = errStop
	}
	return g, err
}

// belongs reports whether a link leads into the directory of alternatives.
func (c *chkCall) belongs(link string) bool { return strings.HasPrefix(c.readLink(link), c.altDir) }

func (c *chkCall) removeLinks(l linkSet) bool {
	if c.keepMissing {
		return true
	}
	ok := true
	for _, p := range []string{c.altDir + "/" + l.title, l.facility} {
		if !c.isLink(p) || p == l.facility && c.keepForeign && !c.belongs(p) {
			continue
		}
		if err := c.remove(p); err != nil {
			fmt.Fprintf(c.Stderr, "failed to remove link %s: %s\n", p, errorText(err))
			return false
		}
	}
	return ok
}

func (c *chkCall) makeLinks(l linkSet) bool {
	between := c.altDir + "/" + l.title
	switch {
	case c.FS.Exists(c.Dir, l.facility) && !c.isLink(l.facility):
		fmt.Fprintf(c.Stderr, "failed to link %s -> %s: %s exists and it is not a symlink\n", l.facility, between, l.facility)
	case c.keepForeign && c.isLink(l.facility) && !c.belongs(l.facility):
		fmt.Fprintf(c.Stderr, "failed to link %s -> %s: --keep-foreign was set and link %s points outside  %s\n", l.facility, between, l.facility, c.altDir)
	default:
		if !c.relink(between, l.facility) {
			return false
		}
	}
	return c.relink(l.target, between)
}

// relink makes link lead to target where it does not.
func (c *chkCall) relink(target, link string) bool {
	if c.readLink(link) == target {
		return true
	}
	err := c.remove(link)
	if err == nil {
		err = c.FS.Symlink(c.Dir, target, link)
	}
	if err != nil {
		fmt.Fprintf(c.Stderr, "failed to link %s -> %s: %s\n", link, target, errorText(err))
	}
	return err == nil
}

// encode is the file of a group.
func (g *chkGroup) encode() string {
	var b strings.Builder
	mode := "manual"
	if g.auto {
		mode = "auto"
	}
	first := g.alternatives[0]
	fmt.Fprintf(&b, "%s\n%s\n", mode, first.leader.facility)
	for _, f := range first.followers {
		fmt.Fprintf(&b, "%s\n%s\n", f.title, f.facility)
	}
	b.WriteString("\n")
	for _, alt := range g.alternatives {
		fmt.Fprintf(&b, "%s\n", alt.leader.target)
		if alt.family != "" {
			fmt.Fprintf(&b, "@%s@", alt.family)
		}
		fmt.Fprintf(&b, "%d", alt.priority)
		if alt.initscript != "" {
			fmt.Fprintf(&b, " %s", alt.initscript)
		}
		b.WriteString("\n")
		for _, f := range alt.followers {
			fmt.Fprintf(&b, "%s\n", f.target)
		}
	}
	return b.String()
}

// save writes the file of a group and makes its links.
func (c *chkCall) save(g *chkGroup, force bool) error {
	file := c.alternatives.adminDir + "/" + g.alternatives[0].leader.title
	if err := c.writeGroup(file, g.encode()); err != nil {
		return c.fail("failed to replace %s with %s: %s\n", file, file+".new", errorText(err))
	}
	if g.auto {
		g.current = g.best
	}
	alt := g.alternatives[max(g.current, 0)]
	ok := true
	if force || g.auto {
		ok = c.makeLinks(alt.leader)
		for _, f := range alt.followers {
			if f.target != "" {
				ok = c.makeLinks(f) && ok
			} else {
				ok = c.removeLinks(f) && ok
			}
		}
	}
	if err := c.services(g, max(g.current, 0)); err != nil {
		return err
	}
	if !ok {
		c.status = 2
	}
	return nil
}

// services switches the services of a group: on that of the current alternative, off the others.
func (c *chkCall) services(g *chkGroup, current int) error {
	for i, alt := range g.alternatives {
		if alt.initscript == "" {
			continue
		}
		unit := alt.initscript + ".service"
		systemd := c.FS.Exists("/", "/lib/systemd/system/"+unit) || c.FS.Exists("/", "/etc/systemd/system/"+unit)
		var err error
		switch {
		case systemd && i == current:
			var status int
			if status, err = c.Run(c.ctx, []string{"/bin/systemctl", "-q", "is-enabled", unit}, nil, nil, nil); err == nil && status != 0 {
				_, err = c.Run(c.ctx, []string{"/bin/systemctl", "-q", "preset", unit}, nil, nil, nil)
			}
		case systemd:
			_, err = c.Run(c.ctx, []string{"/bin/systemctl", "-q", "disable", unit}, nil, nil, nil)
		case i == current:
			_, err = c.Run(c.ctx, []string{"/sbin/chkconfig", "--add", alt.initscript}, nil, nil, nil)
		default:
			_, err = c.Run(c.ctx, []string{"/sbin/chkconfig", "--del", alt.initscript}, nil, nil, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *chkCall) find(g *chkGroup, target string) *chkAlternative {
	for i := range g.alternatives {
		if c.same(g.alternatives[i].leader.target, target) {
			return &g.alternatives[i]
		}
	}
	return nil
}

// withFollower is a list of followers with one more, unless its link is in it.
func (c *chkCall) withFollower(list []linkSet, l linkSet) []linkSet {
	for _, f := range list {
		if c.same(f.facility, l.facility) {
			return list
		}
	}
	return append(list, l)
}

// dropUnused takes followers that no alternative has a target for off a list, and their links away.
func (c *chkCall) dropUnused(g *chkGroup, list []linkSet) []linkSet {
	used := map[string]bool{}
	for _, alt := range g.alternatives {
		for _, f := range alt.followers {
			if f.target != "" {
				used[f.title] = true
			}
		}
	}
	for i := 0; i < len(list); i++ {
		if used[list[i].title] {
			continue
		}
		c.removeLinks(list[i])
		last := len(list) - 1
		list[i] = list[last]
		list = list[:last]
		i--
	}
	return list
}

// match gives all alternatives of a group the same followers, in the order of their links.
func (c *chkCall) match(g *chkGroup, list []linkSet) bool {
	sortLinks(list)
	for k := range g.alternatives {
		alt := &g.alternatives[k]
		matched := make([]linkSet, len(list))
		for j, l := range list {
			matched[j] = linkSet{title: l.title, facility: l.facility}
			for _, f := range alt.followers {
				if f.title != l.title {
					continue
				}
				if !c.same(f.facility, l.facility) {
					fmt.Fprintf(c.Stderr, "link %s incorrect for %s %s (%s %s)\n", f.facility, c.follower, f.title, l.facility, l.title)
					return false
				}
				matched[j] = f
				break
			}
		}
		alt.followers = matched
	}
	return true
}

func (c *chkCall) install() error {
	g, outcome, err := c.read(c.added.leader.title)
	if err != nil {
		return err
	}
	if outcome == groupBad {
		c.status = 2
		return nil
	}
	force := false
	if len(g.alternatives) == 0 {
		g.alternatives = []chkAlternative{c.added}
		g.best = 0
		return c.save(g, false)
	}
	first := g.alternatives[0]
	if !c.same(c.added.leader.facility, first.leader.facility) {
		return c.fail("the primary link for %s must be %s\n", first.leader.title, first.leader.facility)
	}
	list := append([]linkSet{}, first.followers...)
	for _, f := range c.added.followers {
		list = c.withFollower(list, f)
	}
	if alt := c.find(g, c.added.leader.target); alt != nil {
		*alt = c.added
		force = true
		list = c.dropUnused(g, list)
	} else {
		g.alternatives = append(g.alternatives, c.added)
		if g.alternatives[g.best].priority < c.added.priority {
			g.best = len(g.alternatives) - 1
		}
	}
	if !c.match(g, list) {
		c.status = 2
		return nil
	}
	return c.save(g, force)
}

func (c *chkCall) addFollower() error {
	g, err := c.mustRead(c.title)
	if err != nil {
		return err
	}
	alt := c.find(g, c.target)
	if alt == nil {
		return c.fail("%s has not been configured as an alternative for %s\n", c.target, c.title)
	}
	c.match(g, c.withFollower(append([]linkSet{}, alt.followers...), c.link))
	for i := range alt.followers {
		if alt.followers[i].title == c.link.title {
			alt.followers[i].target = c.link.target
			break
		}
	}
	return c.save(g, true)
}

func (c *chkCall) removeFollower() error {
	g, err := c.mustRead(c.title)
	if err != nil {
		return err
	}
	alt := c.find(g, c.target)
	if alt == nil {
		return c.fail("%s has not been configured as an alternative for %s\n", c.target, c.title)
	}
	for i := range alt.followers {
		if alt.followers[i].title != c.which {
			continue
		}
		alt.followers[i].target = ""
		c.match(g, c.dropUnused(g, append([]linkSet{}, alt.followers...)))
		return c.save(g, true)
	}
	return c.fail("%s has not been configured as an %s alternative for %s (%s)\n", c.which, c.follower, c.title, c.target)
}

func (c *chkCall) display() error {
	g, err := c.mustRead(c.title)
	if err != nil {
		return err
	}
	mode := "manual"
	if g.auto {
		mode = "auto"
	}
	c.printf("%s - status is %s.\n link currently points to %s\n", c.title, mode, g.currentLink)
	for _, alt := range g.alternatives {
		c.printf("%s - ", alt.leader.target)
		if alt.family != "" {
			c.printf("family %s ", alt.family)
		}
		c.printf("priority %d\n", alt.priority)
		for _, f := range alt.followers {
			target := f.target
			if target == "" {
				target = "(null)"
			}
			c.printf(" %s %s: %s\n", c.follower, f.title, target)
		}
	}
	c.printf("Current `best' version is %s.\n", g.alternatives[g.best].leader.target)
	return nil
}

func (c *chkCall) setAuto() error {
	g, err := c.mustRead(c.title)
	if err != nil {
		return err
	}
	g.current, g.auto = g.best, true
	return c.save(g, false)
}

func (c *chkCall) set() error {
	g, outcome, err := c.read(c.title)
	if err != nil {
		return err
	}
	if outcome != groupRead {
		if outcome == groupMissing {
			fmt.Fprintf(c.Stderr, "cannot access %s/%s: No such file or directory\n", c.alternatives.adminDir, c.title)
		}
		c.status = 2
		return nil
	}
	found := -1
	for i, alt := range g.alternatives {
		if c.same(alt.leader.target, c.target) {
			found = i
			break
		}
	}
	if found < 0 {
		for i, alt := range g.alternatives {
			if alt.family != "" && alt.family == c.target && (found < 0 || alt.priority > g.alternatives[found].priority) {
				found = i
			}
		}
	}
	if found < 0 {
		return c.fail("%s has not been configured as an alternative for %s\n", c.target, c.title)
	}
	g.current, g.auto = found, false
	return c.save(g, true)
}

// removeChoice takes an alternative out of a group, or the group away with its last one.
func (c *chkCall) removeChoice(title, target string) error {
	g, err := c.mustRead(title)
	if err != nil {
		return err
	}
	i := 0
	for ; i < len(g.alternatives); i++ {
		if c.same(g.alternatives[i].leader.target, target) {
			break
		}
	}
	last := len(g.alternatives) - 1
	if i > last {
		return c.fail("%s has not been configured as an alternative for %s\n", target, title)
	}
	if last == 0 {
		return c.removeGroup(g, title)
	}
	family := ""
	if g.current >= 0 {
		family = g.alternatives[g.current].family
	}
	if g.current == i {
		g.current = -1
	}
	g.alternatives[i] = g.alternatives[last]
	if g.current == last {
		g.current = i
	}
	g.alternatives = g.alternatives[:last]
	g.best = 0
	for i, alt := range g.alternatives {
		if best := g.alternatives[g.best]; family == "" || (alt.family == family) == (best.family == family) {
			if alt.priority > best.priority {
				g.best = i
			}
		} else if alt.family == family {
			g.best = i
		}
	}
	force := false
	if g.current < 0 {
		if family == "" || family != g.alternatives[g.best].family {
			g.auto = true
		} else {
			force = true
		}
		g.current = g.best
	}
	return c.save(g, force)
}

func (c *chkCall) removeGroup(g *chkGroup, title string) error {
	ok := c.removeLinks(g.alternatives[0].leader)
	for _, f := range g.alternatives[0].followers {
		ok = c.removeLinks(f) && ok
	}
	file := c.alternatives.adminDir + "/" + title
	if err := c.FS.Remove(c.Dir, file); err != nil {
		return c.fail("failed to remove %s: %s\n", file, errorText(err))
	}
	if !ok {
		c.status = 2
	}
	return nil
}

func (c *chkCall) removeAll() error {
	g, err := c.mustRead(c.title)
	if err != nil {
		return err
	}
	for _, alt := range g.alternatives {
		if err := c.removeChoice(c.title, alt.leader.target); err != nil {
			return err
		}
	}
	return nil
}

func (c *chkCall) list() error {
	names, err := c.FS.ReadDir(c.Dir, c.alternatives.adminDir)
	if err != nil {
		c.status = 2
		return nil
	}
	longest := 0
	for _, n := range names {
		longest = max(longest, len(n))
	}
	for _, n := range names {
		g, err := c.mustRead(n)
		if err != nil {
			return err
		}
		mode := "manual"
		if g.auto {
			mode = "auto  "
		}
		c.printf("%-*s\t%s\t%s\n", longest, n, mode, g.currentLink)
	}
	return nil
}
