package scriptlet

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
)

// debGroup is a link group of Debian's update-alternatives.
type debGroup struct {
	name, link string
	auto       bool
	known      bool // whether auto was ever said
	slaves     []debSlave
	choices    []*debChoice
	modified   bool
}

// debSlave is a link that changes with its group's.
type debSlave struct {
	name, link string
	updated    bool
}

// debChoice is what the links of a group may lead to.
type debChoice struct {
	file     string
	priority int64
	slaves   map[string]string // by name; "" or none when it has nothing there
}

// debCall is one run of Debian's update-alternatives.
type debCall struct {
	*alternatives
	action string
	force  bool
	quiet  bool
	path   string    // what --remove and --set are about
	group  *debGroup // to work on
	added  *debGroup // by --install
	choice *debChoice
	ops    []func() error // what changes links, at the end in one go
}

func (c *debCall) fatal(format string, args ...any) error {
	return c.die(2, "error: "+format, args...)
}

// broken is fatal for what a system call said.
func (c *debCall) broken(err error, format string, args ...any) error {
	return c.fatal("%s: %s", fmt.Sprintf(format, args...), errorText(err))
}

func (c *debCall) misused(format string, args ...any) error {
	fmt.Fprintf(c.Stderr, "%s: %s\n\nUse '%s --help' for program usage information.\n", c.name, fmt.Sprintf(format, args...), c.name)
	c.status = 2
	return errStop
}

func (c *debCall) warn(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.Stderr, "%s: warning: %s\n", c.name, fmt.Sprintf(format, args...))
	}
}

func (c *debCall) info(format string, args ...any) {
	if !c.quiet {
		c.printf("%s: %s\n", c.name, fmt.Sprintf(format, args...))
	}
}

func (c *debCall) tell(format string, args ...any) {
	if c.verbose {
		c.printf("%s: %s\n", c.name, fmt.Sprintf(format, args...))
	}
}

func (a *alternatives) debian() error {
	c := &debCall{alternatives: a}
	for _, name := range []string{"DPKG_ADMINDIR", "DPKG_ROOT"} {
		if a.Env(name) != "" {
			return a.unsupported("the environment variable %s is not known here", name)
		}
	}
	if err := c.parse(); err != nil {
		return err
	}
	if c.action == "" {
		return c.misused("need --display, --query, --list, --get-selections, --config, --set, --set-selections, --install, --remove, --all, --remove-all or --auto")
	}
	return c.act()
}

// parse reads the arguments.
func (c *debCall) parse() error {
	args := c.args
	for _, a := range args {
		if strings.Contains(a, "\n") {
			return c.fatal("newlines prohibited in update-alternatives files (%s)", a)
		}
	}
	for len(args) > 0 {
		option := args[0]
		args = args[1:]
		needs := func(n int, what string) ([]string, error) {
			if len(args) < n {
				return nil, c.misused("%s needs %s", option, what)
			}
			v := args[:n]
			args = args[n:]
			return v, nil
		}
		if !strings.HasPrefix(option, "--") {
			return c.fatal("unknown argument '%s'", option)
		}
		var v []string
		var err error
		switch option {
		case "--install", "--remove", "--set", "--display", "--query", "--auto", "--list", "--remove-all", "--get-selections", "--set-selections", "--config", "--all":
			if c.action != "" {
				return c.misused("two commands specified: --%s and %s", c.action, option)
			}
			c.action = option[2:]
			n, what := 1, "<name>"
			switch option {
			case "--install":
				n, what = 4, "<link> <name> <path> <priority>"
			case "--remove", "--set":
				n, what = 2, "<name> <path>"
			case "--get-selections", "--set-selections", "--all":
				n = 0
			}
			if v, err = needs(n, what); err == nil {
				err = c.begin(v)
			}
		case "--slave":
			if c.action != "install" {
				return c.misused("--slave only allowed with --install")
			}
			if v, err = needs(3, "<link> <name> <path>"); err == nil {
				err = c.addSlave(v[0], v[1], v[2])
			}
		case "--altdir":
			if v, err = needs(1, "a <directory> argument"); err == nil {
				c.altDir = v[0]
			}
		case "--admindir":
			if v, err = needs(1, "a <directory> argument"); err == nil {
				c.adminDir = v[0]
			}
		case "--log":
			_, err = needs(1, "a <file> argument")
		case "--root", "--instdir":
			if v, err = needs(1, "a <directory> argument"); err == nil && path.Clean("/"+v[0]) != "/" {
				err = c.unsupported("another root than / is not known here")
			}
		case "--quiet":
			c.quiet, c.verbose = true, false
		case "--verbose":
			c.quiet, c.verbose = false, true
		case "--force":
			c.force = true
		case "--skip-auto":
		default:
			err = c.unsupported("the option %s is not known here", option)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin takes the arguments of a command.
func (c *debCall) begin(v []string) error {
	switch c.action {
	case "config", "all":
		return c.unsupported("asking somebody is not possible here")
	case "set-selections":
		return c.unsupported("reading selections is not known here")
	case "get-selections":
		return nil
	case "install":
		if v[0] == v[2] {
			return c.misused("<link> '%s' is the same as <path>", v[0])
		}
		priority, err := strconv.ParseInt(strings.TrimLeft(v[3], " \t\n\v\f\r"), 10, 32)
		if err != nil {
			if _, err := strconv.ParseInt(v[3], 10, 64); err == nil {
				return c.misused("priority '%s' is out of range", v[3])
			}
			return c.misused("priority '%s' must be an integer", v[3])
		}
		c.group = &debGroup{name: v[1]}
		c.added = &debGroup{name: v[1], link: v[0], auto: true, known: true, modified: true}
		c.choice = &debChoice{file: v[2], priority: priority, slaves: map[string]string{}}
		return nil
	}
	c.group = &debGroup{name: v[0]}
	if err := c.checkName(v[0]); err != nil || len(v) == 1 {
		return err
	}
	c.path = v[1]
	return c.checkPath(v[1])
}

func (c *debCall) addSlave(link, name, file string) error {
	switch {
	case link == file:
		return c.misused("<link> '%s' is the same as <path>", link)
	case name == c.added.name:
		return c.misused("<name> '%s' is both primary and slave", name)
	case link == c.added.link:
		return c.misused("<link> '%s' is both primary and slave", link)
	}
	for _, s := range c.added.slaves {
		switch {
		case s.name == name:
			return c.misused("duplicate slave <name> '%s'", name)
		case s.link == link:
			return c.misused("duplicate slave <link> '%s'", link)
		}
	}
	c.added.slaves = append(c.added.slaves, debSlave{name: name, link: link})
	c.choice.slaves[name] = file
	return nil
}

func (c *debCall) checkName(name string) error {
	if strings.ContainsAny(name, "/ \t") {
		return c.fatal("alternative name (%s) must not contain '/' and spaces", name)
	}
	return nil
}

func (c *debCall) checkLink(link string) error {
	if !strings.HasPrefix(link, "/") {
		return c.fatal("alternative link is not absolute as it should be: %s", link)
	}
	return nil
}

func (c *debCall) checkPath(p string) error {
	if !strings.HasPrefix(p, "/") {
		return c.fatal("alternative path is not absolute as it should be: %s", p)
	}
	return nil
}

// parseDebGroup reads the file of a group. why is what is wrong with it.
func parseDebGroup(name, content string) (g *debGroup, why string) {
	rest := content
	line := func(what string) string {
		if why != "" {
			return ""
		}
		s, after, ok := strings.Cut(rest, "\n")
		switch {
		case rest == "":
			why = "unexpected end of file while trying to read " + what
		case !ok:
			why = "line not terminated while trying to read " + what
		}
		rest = after
		return s
	}
	g = &debGroup{name: name, known: true}
	switch line("status") {
	case "auto":
		g.auto = true
	case "manual":
	default:
		if why == "" {
			why = "invalid status"
		}
	}
	g.link = line("master link")
	for {
		s := debSlave{name: line("slave name")}
		if s.name == "" {
			break
		}
		s.link = line("slave link")
		if why == "" && s.link == g.link {
			why = "slave link same as main link " + g.link
		}
		for _, old := range g.slaves {
			switch {
			case why != "":
			case old.name == s.name:
				why = "duplicate slave name " + s.name
			case old.link == s.link:
				why = "duplicate slave link " + s.link
			}
		}
		g.slaves = append(g.slaves, s)
	}
	for why == "" {
		choice := &debChoice{file: line("master file"), slaves: map[string]string{}}
		if choice.file == "" {
			break
		}
		if g.find(choice.file) != nil {
			why = "duplicate path " + choice.file
			break
		}
		priority := line("priority")
		n, err := strconv.ParseInt(strings.TrimLeft(priority, " \t\v\f\r"), 10, 32)
		if err != nil && why == "" {
			why = "priority of " + choice.file + ": " + priority
		}
		choice.priority = n
		for _, s := range g.slaves {
			choice.slaves[s.name] = line("slave file")
		}
		g.choices = append(g.choices, choice)
	}
	if why != "" {
		return nil, why
	}
	return g, ""
}

// missing reports whether a path leads to nothing.
func (c *debCall) missing(p string) (bool, error) {
	_, err := c.FS.Stat(c.Dir, p)
	if err != nil && !isNotExist(err) {
		return false, c.broken(err, "cannot stat file '%s'", p)
	}
	return err != nil, nil
}

// load reads a group; ok is false without one, or when it is bad and lax says to pass over that.
func (c *debCall) load(name string, lax bool) (g *debGroup, ok bool, err error) {
	file := c.adminDir + "/" + name
	content, err := c.readGroup(file)
	switch {
	case fatal(err):
		return nil, false, err
	case err != nil && !isNotExist(err):
		return nil, false, c.broken(err, "unable to open file '%s'", file)
	case err != nil || content == "":
		return nil, false, nil
	}
	g, why := parseDebGroup(name, content)
	if why != "" {
		if lax {
			return nil, false, nil
		}
		return nil, false, c.fatal("%s corrupt: %s", file, why)
	}
	var kept []*debChoice
	for _, choice := range g.choices {
		gone, err := c.missing(choice.file)
		if err != nil {
			return nil, false, err
		}
		if !gone {
			kept = append(kept, choice)
			continue
		}
		g.modified = true
		if !lax {
			c.warn("alternative %s (part of link group %s) doesn't exist; removing from list of alternatives", choice.file, name)
		}
	}
	g.choices = kept
	return g, true, nil
}

func (g *debGroup) find(file string) *debChoice {
	for _, choice := range g.choices {
		if choice.file == file {
			return choice
		}
	}
	return nil
}

func (g *debGroup) setAuto(auto bool) {
	if !g.known || g.auto != auto {
		g.modified = true
	}
	g.auto, g.known = auto, true
}

func (g *debGroup) mode() string {
	if g.auto {
		return "auto"
	}
	return "manual"
}

// best is the choice of automatic mode; the current one wins among equals.
func (g *debGroup) best(current string) *debChoice {
	best := g.find(current)
	if best == nil && len(g.choices) > 0 {
		best = g.choices[0]
	}
	for _, choice := range g.choices {
		if choice.priority > best.priority {
			best = choice
		}
	}
	return best
}

// encode is the file of a group; it sorts the group and forgets slaves that no choice has.
func (g *debGroup) encode() (content string, dropped []debSlave) {
	g.slaves = slices.DeleteFunc(g.slaves, func(s debSlave) bool {
		used := slices.ContainsFunc(g.choices, func(choice *debChoice) bool { return choice.slaves[s.name] != "" })
		if !used {
			dropped = append(dropped, s)
		}
		return !used
	})
	slices.SortFunc(g.slaves, func(a, b debSlave) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(g.choices, func(a, b *debChoice) int { return strings.Compare(a.file, b.file) })
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", g.mode(), g.link)
	for _, s := range g.slaves {
		fmt.Fprintf(&b, "%s\n%s\n", s.name, s.link)
	}
	b.WriteString("\n")
	for _, choice := range g.choices {
		fmt.Fprintf(&b, "%s\n%d\n", choice.file, choice.priority)
		for _, s := range g.slaves {
			fmt.Fprintf(&b, "%s\n", choice.slaves[s.name])
		}
	}
	b.WriteString("\n")
	return b.String(), dropped
}

// act does what the command says.
func (c *debCall) act() error {
	if c.action == "install" {
		if err := c.checkInstall(); err != nil {
			return err
		}
	}
	if c.action == "get-selections" {
		return c.selections()
	}
	g, ok, err := c.load(c.group.name, false)
	switch {
	case err != nil:
		return err
	case ok:
		c.group = g
	case c.action == "remove":
		c.tell("no alternatives for %s", c.group.name)
		return nil
	case c.action != "install":
		return c.fatal("no alternatives for %s", c.group.name)
	}
	current, err := c.current(c.group.name)
	if err != nil {
		return err
	}
	switch c.action {
	case "display":
		c.display(current)
		return nil
	case "query":
		c.query(current)
		return nil
	case "list":
		for _, choice := range c.group.choices {
			c.printf("%s\n", choice.file)
		}
		return nil
	}
	return c.change(current)
}

// current is the target of a group's link, "" without one.
func (c *debCall) current(name string) (string, error) {
	link := c.altDir + "/" + name
	target, err := c.FS.Readlink(c.Dir, link)
	if err != nil && !isNotExist(err) {
		return "", c.broken(err, "cannot stat file '%s'", link)
	}
	return target, nil
}

// change does the commands that may change the group.
func (c *debCall) change(current string) error {
	g := c.group
	if err := c.selectMode(current); err != nil {
		return err
	}
	chosen := ""
	best := func() string {
		if b := g.best(current); b != nil {
			return b.file
		}
		return ""
	}
	switch c.action {
	case "set":
		if g.find(c.path) == nil {
			return c.fatal("alternative %s for %s not registered; not setting", c.path, g.name)
		}
		chosen = c.path
		g.setAuto(false)
	case "auto":
		g.setAuto(true)
		if len(g.choices) == 0 {
			c.info("there is no program which provides %s", g.name)
		}
		chosen = best()
	case "remove":
		if g.find(c.path) == nil {
			c.tell("alternative %s for %s not registered; not removing", c.path, g.name)
		} else {
			g.choices = slices.DeleteFunc(g.choices, func(choice *debChoice) bool { return choice.file == c.path })
			g.modified = true
		}
		if current == c.path {
			if !g.auto {
				c.info("removing manually selected alternative - switching %s to auto mode", g.name)
				g.setAuto(true)
			}
			chosen = best()
		}
	case "remove-all":
		g.modified = g.modified || len(g.choices) > 0
		g.choices = nil
	case "install":
		if err := c.install(current); err != nil {
			return err
		}
		if g = c.group; g.auto {
			chosen = best()
		} else {
			c.tell("automatic updates of %s/%s are disabled; leaving it alone", c.altDir, g.name)
			c.tell("to return to automatic updates use '%s --auto %s'", c.name, g.name)
		}
	}
	return c.update(current, chosen)
}

// selectMode notices links that somebody else changed.
func (c *debCall) selectMode(current string) error {
	g := c.group
	if current == "" {
		c.tell("setting up automatic selection of %s", g.name)
		g.setAuto(true)
		return nil
	}
	if g.find(current) != nil {
		return nil
	}
	gone, err := c.missing(current)
	switch {
	case err != nil:
		return err
	case gone:
		c.warn("%s/%s is dangling; it will be updated with best choice", c.altDir, g.name)
		g.setAuto(true)
	case !g.known || g.auto:
		c.warn("%s/%s has been changed (manually or by a script); switching to manual updates only", c.altDir, g.name)
		g.setAuto(false)
	}
	return nil
}

// install puts the choice of --install into its group, a new one if need be.
func (c *debCall) install(current string) error {
	g := c.group
	if g.link == "" {
		g = c.added
		c.group = g
	} else if err := c.evolve(current); err != nil {
		return err
	}
	g.modified = true
	if i := slices.IndexFunc(g.choices, func(old *debChoice) bool { return old.file == c.choice.file }); i >= 0 {
		g.choices[i] = c.choice
	} else {
		g.choices = append(g.choices, c.choice)
	}
	return nil
}

// evolve takes over changed links.
func (c *debCall) evolve(current string) error {
	g := c.group
	if c.isLink(g.link) && g.link != c.added.link {
		c.info("renaming %s link from %s to %s", g.name, g.link, c.added.link)
		if err := c.FS.Rename(c.Dir, g.link, c.added.link); err != nil {
			return c.broken(err, "unable to install '%s' as '%s'", g.link, c.added.link)
		}
	}
	if g.link != c.added.link {
		g.link, g.modified = c.added.link, true
	}
	for _, s := range c.added.slaves {
		i := slices.IndexFunc(g.slaves, func(old debSlave) bool { return old.name == s.name })
		if i < 0 {
			s.updated = true
			g.slaves = append(g.slaves, s)
			continue
		}
		moved, err := c.moveSlave(current, g.slaves[i].link, s)
		if err != nil {
			return err
		}
		s.updated = moved
		g.slaves[i] = s
	}
	return nil
}

// moveSlave renames a slave's link, or takes it away where it would lead to nothing.
func (c *debCall) moveSlave(current, old string, s debSlave) (bool, error) {
	file := c.readLink(c.altDir + "/" + s.name)
	if current == c.choice.file {
		file = c.choice.slaves[s.name]
	}
	if old == s.link || !c.isLink(old) {
		return false, nil
	}
	gone := true
	if file != "" {
		var err error
		if gone, err = c.missing(file); err != nil {
			return false, err
		}
	}
	if gone {
		return true, c.remove(old)
	}
	c.info("renaming %s slave link from %s to %s", s.name, old, s.link)
	if err := c.FS.Rename(c.Dir, old, s.link); err != nil {
		return false, c.broken(err, "unable to install '%s' as '%s'", old, s.link)
	}
	return true, nil
}

// update makes the links as they have to be now and writes the group down.
func (c *debCall) update(current, chosen string) error {
	g := c.group
	if len(g.choices) == 0 {
		return c.removeGroup()
	}
	if chosen != "" && chosen != current {
		c.info("using %s to provide %s (%s) in %s mode", chosen, g.link, g.name, g.mode())
		if err := c.prepare(chosen); err != nil {
			return err
		}
	} else if why := c.outdated(current); why != "" {
		if why == "changed" {
			c.info("updating alternative %s because link group %s has changed slave links", current, g.name)
		} else {
			shown := current
			if shown == "" {
				shown = "(null)"
			}
			c.warn("forcing reinstallation of alternative %s because link group %s is broken", shown, g.name)
		}
		if current != "" && g.find(current) == nil {
			best := g.best(current).file
			c.warn("current alternative %s is unknown, switching to %s for link group %s", current, best, g.name)
			current = best
			g.setAuto(true)
		}
		if current != "" {
			if err := c.prepare(current); err != nil {
				return err
			}
		}
	}
	if g.modified {
		if err := c.save(); err != nil {
			return err
		}
	}
	for _, op := range c.ops {
		if err := op(); err != nil {
			return err
		}
	}
	return nil
}

func (c *debCall) save() error {
	g := c.group
	content, dropped := g.encode()
	for _, s := range dropped {
		c.tell("discarding obsolete slave link %s (%s)", s.name, s.link)
	}
	if err := c.FS.MkdirAll(c.Dir, c.adminDir, 0o755); err != nil {
		return c.broken(err, "cannot create administrative directory '%s'", c.adminDir)
	}
	if err := c.writeGroup(c.adminDir+"/"+g.name, content); err != nil {
		return c.broken(err, "unable to create file '%s/%s.dpkg-tmp'", c.adminDir, g.name)
	}
	return nil
}

func (c *debCall) removeGroup() error {
	g := c.group
	for _, l := range append([]debSlave{{name: g.name, link: g.link}}, g.slaves...) {
		gone := []string{l.link + ".dpkg-tmp", c.altDir + "/" + l.name + ".dpkg-tmp", c.altDir + "/" + l.name}
		if c.canRemove(l.link) {
			gone = append(gone, l.link)
		}
		for _, p := range gone {
			if err := c.remove(p); err != nil {
				return c.broken(err, "unable to remove '%s'", p)
			}
		}
	}
	return c.remove(c.adminDir + "/" + g.name)
}

// canRemove reports whether a link is one, or does not matter.
func (c *debCall) canRemove(link string) bool {
	n, err := c.FS.Lstat(c.Dir, link)
	return c.force || err != nil || n.IsSymlink()
}

// needsUpdate reports whether a public link has to be made anew.
func (c *debCall) needsUpdate(link, target string) bool {
	n, err := c.FS.Lstat(c.Dir, link)
	switch {
	case c.force || err != nil:
		return true
	case n.IsSymlink():
		return n.Link != target
	}
	c.warn("not replacing %s with a link", link)
	return false
}

// prepare lays ready the links of a choice.
func (c *debCall) prepare(file string) error {
	g := c.group
	choice := g.find(file)
	if choice == nil {
		return c.fatal("can't install unknown choice %s", file)
	}
	if err := c.prepareLink(g.name, g.link, file); err != nil {
		return err
	}
	for _, s := range g.slaves {
		target := choice.slaves[s.name]
		if target != "" {
			gone, err := c.missing(target)
			if err != nil {
				return err
			}
			if !gone {
				if err := c.prepareLink(s.name, s.link, target); err != nil {
					return err
				}
				continue
			}
			c.warn("skip creation of %s because associated file %s (of link group %s) doesn't exist", s.link, target, g.name)
		}
		if c.canRemove(s.link) {
			c.later(func() error { return c.remove(s.link) })
		} else {
			c.warn("not removing %s since it's not a symlink", s.link)
		}
		c.later(func() error { return c.remove(c.altDir + "/" + s.name) })
	}
	return nil
}

func (c *debCall) later(op func() error) { c.ops = append(c.ops, op) }

// prepareLink lays ready a link that leads by way of the directory of alternatives to a file.
func (c *debCall) prepareLink(name, link, file string) error {
	if err := c.FS.MkdirAll(c.Dir, c.altDir, 0o755); err != nil {
		return c.broken(err, "cannot create alternatives directory '%s'", c.altDir)
	}
	between := c.altDir + "/" + name
	if err := c.replaceLink(between, file); err != nil {
		return err
	}
	if c.needsUpdate(link, between) {
		return c.replaceLink(link, between)
	}
	return nil
}

// replaceLink makes a link beside another and renames it later. One that is new is as old as what it leads to.
func (c *debCall) replaceLink(link, target string) error {
	temporary := link + ".dpkg-tmp"
	err := c.remove(temporary)
	if err == nil {
		err = c.FS.Symlink(c.Dir, target, temporary)
	}
	if err != nil {
		return c.broken(err, "error creating symbolic link '%s'", temporary)
	}
	fresh, err := c.missing(link)
	if err != nil {
		return err
	}
	c.later(func() error {
		if err := c.FS.Rename(c.Dir, temporary, link); err != nil {
			return c.broken(err, "unable to install '%s' as '%s'", temporary, link)
		}
		if n, err := c.FS.Lstat(c.Dir, target); fresh && err == nil {
			return c.FS.dateLink(c.Dir, link, n.MTime)
		}
		return nil
	})
	return nil
}

// outdated says why the links of a group are not as they should be: "changed" slaves, "broken" or "" when they are.
func (c *debCall) outdated(current string) string {
	g := c.group
	if c.readLink(g.link) != c.altDir+"/"+g.name || current == "" {
		return "broken"
	}
	choice := g.find(current)
	if choice == nil {
		return ""
	}
	reason := ""
	for _, s := range g.slaves {
		between := c.altDir + "/" + s.name
		target := choice.slaves[s.name]
		right := false
		if target != "" && c.FS.Exists(c.Dir, target) {
			right = c.readLink(s.link) == between && c.readLink(between) == target
		} else {
			right = c.nothing(s.link) && c.nothing(between)
		}
		switch {
		case right:
		case s.updated:
			reason = "changed"
		default:
			return "broken"
		}
	}
	return reason
}

// nothing reports whether nothing is at a path, not even a link.
func (c *debCall) nothing(p string) bool {
	_, err := c.FS.Lstat(c.Dir, p)
	return isNotExist(err)
}

// groups are all groups that can be read, by name.
func (c *debCall) groups() ([]*debGroup, error) {
	names, err := c.FS.ReadDir(c.Dir, c.adminDir)
	if err != nil && !isNotExist(err) {
		return nil, c.broken(err, "cannot scan directory '%s'", c.adminDir)
	}
	var all []*debGroup
	for _, name := range names {
		if strings.HasSuffix(name, ".dpkg-tmp") {
			continue
		}
		g, ok, err := c.load(name, true)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, g)
		}
	}
	return all, nil
}

// checkInstall refuses names and links that belong to other groups.
func (c *debCall) checkInstall() error {
	for _, err := range []error{c.checkName(c.added.name), c.checkLink(c.added.link), c.checkPath(c.choice.file)} {
		if err != nil {
			return err
		}
	}
	all, err := c.groups()
	if err != nil {
		return err
	}
	if g := ownerOfName(all, c.added.name); g != nil && g.name != c.added.name {
		return c.fatal("alternative %s can't be master: it is a slave of %s", c.added.name, g.name)
	}
	if g := ownerOfLink(all, c.added.link); g != nil && g.name != c.added.name {
		return c.fatal("alternative link %s is already managed by %s", c.added.link, g.name)
	}
	gone, err := c.missing(c.choice.file)
	if err != nil {
		return err
	}
	if gone {
		return c.fatal("alternative path %s doesn't exist", c.choice.file)
	}
	for _, s := range c.added.slaves {
		if err := c.checkSlave(all, s); err != nil {
			return err
		}
	}
	return nil
}

func (c *debCall) checkSlave(all []*debGroup, s debSlave) error {
	for _, err := range []error{c.checkName(s.name), c.checkLink(s.link), c.checkPath(c.choice.slaves[s.name])} {
		if err != nil {
			return err
		}
	}
	if g := ownerOfName(all, s.name); g != nil && g.name != c.added.name {
		if g.name == s.name {
			return c.fatal("alternative %s can't be slave of %s: it is a master alternative", s.name, c.added.name)
		}
		return c.fatal("alternative %s can't be slave of %s: it is a slave of %s", s.name, c.added.name, g.name)
	}
	g := ownerOfLink(all, s.link)
	if g == nil {
		return nil
	}
	if g.name != c.added.name {
		return c.fatal("alternative link %s is already managed by %s", s.link, g.name)
	}
	for _, old := range g.slaves {
		if old.link == s.link && old.name != s.name {
			return c.fatal("alternative link %s is already managed by %s (slave of %s)", s.link, old.name, g.name)
		}
	}
	return nil
}

func ownerOfName(all []*debGroup, name string) *debGroup {
	for _, g := range all {
		if g.name == name || slices.ContainsFunc(g.slaves, func(s debSlave) bool { return s.name == name }) {
			return g
		}
	}
	return nil
}

func ownerOfLink(all []*debGroup, link string) *debGroup {
	for _, g := range all {
		if g.link == link || slices.ContainsFunc(g.slaves, func(s debSlave) bool { return s.link == link }) {
			return g
		}
	}
	return nil
}

func (c *debCall) selections() error {
	all, err := c.groups()
	if err != nil {
		return err
	}
	for _, g := range all {
		current, err := c.current(g.name)
		if err != nil {
			return err
		}
		c.printf("%-30s %-8s %s\n", g.name, g.mode(), current)
	}
	return nil
}

func (c *debCall) display(current string) {
	g := c.group
	c.printf("%s - %s mode\n", g.name, g.mode())
	if best := g.best(current); best != nil {
		c.printf("  link best version is %s\n", best.file)
	} else {
		c.printf("  link best version not available\n")
	}
	if current != "" {
		c.printf("  link currently points to %s\n", current)
	} else {
		c.printf("  link currently absent\n")
	}
	c.printf("  link %s is %s\n", g.name, g.link)
	for _, s := range g.slaves {
		c.printf("  slave %s is %s\n", s.name, s.link)
	}
	for _, choice := range g.choices {
		c.printf("%s - priority %d\n", choice.file, choice.priority)
		for _, s := range g.slaves {
			if f := choice.slaves[s.name]; f != "" {
				c.printf("  slave %s: %s\n", s.name, f)
			}
		}
	}
}

func (c *debCall) query(current string) {
	g := c.group
	c.printf("Name: %s\nLink: %s\n", g.name, g.link)
	if len(g.slaves) > 0 {
		c.printf("Slaves:\n")
		for _, s := range g.slaves {
			c.printf(" %s %s\n", s.name, s.link)
		}
	}
	c.printf("Status: %s\n", g.mode())
	if best := g.best(current); best != nil {
		c.printf("Best: %s\n", best.file)
	}
	if current == "" {
		current = "none"
	}
	c.printf("Value: %s\n", current)
	for _, choice := range g.choices {
		c.printf("\nAlternative: %s\nPriority: %d\n", choice.file, choice.priority)
		if len(g.slaves) == 0 {
			continue
		}
		c.printf("Slaves:\n")
		for _, s := range g.slaves {
			if f := choice.slaves[s.name]; f != "" {
				c.printf(" %s %s\n", s.name, f)
			}
		}
	}
}

// dateLink sets the time of what is at p, a link itself.
func (f *FS) dateLink(dir, p string, mtime int64) error {
	if mtime < 0 {
		return pathError("utime", p, fs.ErrInvalid)
	}
	return f.change("utime", dir, p, false, func(n *rootfs.Node) { n.MTime = mtime })
}

func sortLinks(list []linkSet) {
	slices.SortStableFunc(list, func(a, b linkSet) int { return strings.Compare(a.facility, b.facility) })
}
