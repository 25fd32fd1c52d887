package scriptlet

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"slim/internal/rootfs"
)

// systemctlCommands are systemctl, as far as it works on unit files: presets, enabling and masking leave links below /etc
// also where no manager runs (systemd's src/shared/install.c). What asks a running manager for something does nothing; what
// asks about its units gets no for an answer.
func systemctlCommands() map[string]Command {
	return map[string]Command{"systemctl": tool("no-reload now quiet,q system user global runtime force,f no-warn no-block no-pager "+
		"no-ask-password no-legend full,l all,a type,t= state= property,p= value job-mode= marked preset-mode= message= kill-who= "+
		"kill-whom= signal,s= wait dry-run plain output,o= lines,n= what= root= machine,M= host,H= ignore-dependencies i failed "+
		"show-types legend= check-inhibitors= recursive,r with-dependencies reverse after before", systemctl)}
}

// units is one run of systemctl.
type units struct {
	*toolRun
	config  string   // where links are made
	search  []string // where unit files are, first come first
	presets []string
	changes int
}

func systemctl(r *toolRun) error {
	u := &units{toolRun: r}
	verb := ""
	if len(r.args) > 0 {
		verb, r.args = r.args[0], r.args[1:]
	}
	run := map[string]func() error{
		"enable": u.enable, "disable": u.disable, "reenable": u.reenable, "preset": u.preset, "preset-all": u.presetAll, "mask": u.mask,
		"unmask": u.unmask, "is-enabled": u.isEnabled, "set-default": u.setDefault, "get-default": u.getDefault,
		"add-wants": u.addWants, "add-requires": u.addWants,
	}[verb]
	switch {
	case run == nil:
		return u.online(verb)
	case r.has("root", "machine", "host"):
		return r.unsupported("another root is not known here")
	case r.has("runtime") || r.has("user") && !r.has("global"):
		return r.unsupported("only units of the system, or of all users, are known here")
	}
	if !u.installed() {
		if strings.HasPrefix(verb, "is-") {
			r.status = 1
		}
		return nil
	}
	u.directories()
	if len(r.args) == 0 && verb != "preset-all" && verb != "get-default" {
		return r.die(1, "Too few arguments.")
	}
	return run()
}

// online is what asks a running manager: actions are passed over as in a chroot, questions have no answer.
func (u *units) online(verb string) error {
	switch verb {
	case "is-system-running":
		if !u.has("quiet") {
			u.printf("offline\n")
		}
		u.status = 1
	case "", "is-active", "is-failed", "status", "show", "cat", "list-units", "list-unit-files", "list-sockets", "list-timers", "list-jobs",
		"list-dependencies", "help", "show-environment":
		u.status = 1
	case "start", "stop", "reload", "restart", "try-restart", "condrestart", "reload-or-restart", "reload-or-try-restart", "try-reload-or-restart",
		"force-reload", "condstop", "condreload", "isolate", "kill", "clean", "freeze", "thaw", "set-property", "reset-failed", "daemon-reload",
		"daemon-reexec", "cancel", "set-environment", "unset-environment", "import-environment", "default", "rescue", "emergency":
		if !u.has("quiet") {
			fmt.Fprintf(u.Stderr, "Running in chroot, ignoring command '%s'\n", verb)
		}
	case "halt", "poweroff", "reboot", "kexec", "exit", "switch-root", "suspend", "hibernate", "hybrid-sleep", "link", "edit", "revert":
		return u.unsupported("the command %s is not known here", verb)
	default:
		return u.die(1, "Unknown command verb %s.", verb)
	}
	return nil
}

// installed reports whether the root has a systemd: without it there are no links to make.
func (u *units) installed() bool {
	return u.FS.Exists("/", "/usr/lib/systemd/systemd") || u.FS.Exists("/", "/usr/bin/systemctl")
}

// directories sets where unit files and presets are. A systemd built for a split /usr calls its units' directory by another
// name, and its own units tell: they start programs in the directory beside it.
func (u *units) directories() {
	kind := "system"
	if u.has("global") {
		kind = "user"
	}
	u.config = "/etc/systemd/" + kind
	u.search = []string{u.config, "/run/systemd/" + kind, "/usr/local/lib/systemd/" + kind}
	if kind == "user" {
		u.search = append(u.search, "/usr/local/share/systemd/user", "/usr/share/systemd/user")
	}
	if b, err := u.FS.ReadFile("/", "/usr/lib/systemd/system/systemd-journald.service"); kind == "system" && err == nil && strings.Contains(string(b), "\nExecStart=/lib/") {
		u.search = append(u.search, "/lib/systemd/system")
	}
	u.search = append(u.search, "/usr/lib/systemd/"+kind)
	u.presets = []string{
		"/etc/systemd/" + kind + "-preset", "/run/systemd/" + kind + "-preset", "/usr/local/lib/systemd/" + kind + "-preset",
		"/usr/lib/systemd/" + kind + "-preset",
	}
}

// unit is a unit file and what its [Install] section asks for.
type unit struct {
	name     string
	path     string // as the directory that it was found in calls it
	masked   bool
	alias    string // the unit that a link of another name leads to
	wanted   []string
	required []string
	upheld   []string
	aliases  []string
	also     []string
	instance string // DefaultInstance
}

func (n *unit) installable() bool {
	return len(n.wanted)+len(n.required)+len(n.upheld)+len(n.aliases) > 0
}

const unitTypes = ".service .socket .device .mount .automount .swap .target .path .timer .slice .scope"

// fullName adds what a unit name lacks.
func fullName(s string) string {
	if slices.Contains(strings.Fields(unitTypes), path.Ext(s)) {
		return s
	}
	return s + ".service"
}

func validUnit(s string) bool {
	return s != "" && len(s) < 256 && slices.Contains(strings.Fields(unitTypes), path.Ext(s)) && path.Ext(s) != s && !strings.Contains(s, "/")
}

// templateOf is the template of an instance ("a@b.service" of "a@.service"); ok is false for other names.
func templateOf(name string) (template, instance string, ok bool) {
	ext := path.Ext(name)
	prefix, instance, found := strings.Cut(strings.TrimSuffix(name, ext), "@")
	if !found || prefix == "" {
		return "", "", false
	}
	return prefix + "@" + ext, instance, instance != ""
}

func isTemplate(name string) bool {
	_, instance, _ := templateOf(name)
	return instance == "" && strings.Contains(name, "@")
}

// load finds a unit. The error is fs.ErrNotExist where there is none.
func (u *units) load(name string) (*unit, error) {
	names := []string{name}
	if t, _, ok := templateOf(name); ok {
		names = append(names, t)
	}
	for _, n := range names {
		for _, dir := range u.search {
			p := join(dir, n)
			node, err := u.FS.Lstat("/", p)
			if err != nil || node.IsDir() {
				continue
			}
			out := &unit{name: name, path: p}
			if node.IsSymlink() {
				target, err := u.FS.Stat("/", p)
				switch {
				case node.Link == "/dev/null" || err == nil && target.Size == 0:
					out.masked = true
					return out, nil
				case path.Base(node.Link) != n:
					if a := path.Base(node.Link); validUnit(a) {
						out.alias = a
					}
				}
				if err != nil {
					continue
				}
				if out.alias != "" {
					return out, nil
				}
				node = target
			}
			if node.Size == 0 {
				out.masked = true
				return out, nil
			}
			return out, u.readInstall(out, n)
		}
	}
	return nil, pathError("open", name, errNoEntry)
}

// maxUnit bounds a unit file.
const maxUnit = 1 << 20

// readInstall reads the [Install] sections of a unit file and its drop-ins.
func (u *units) readInstall(n *unit, file string) error {
	files := []string{n.path}
	names := map[string]string{}
	for _, dir := range slices.Backward(u.search) {
		for _, base := range []string{file, n.name} {
			entries, err := u.FS.ReadDir("/", join(dir, base+".d"))
			if err != nil {
				continue
			}
			for _, e := range entries {
				if strings.HasSuffix(e, ".conf") {
					names[e] = join(dir, base+".d") + "/" + e
				}
			}
		}
	}
	sorted := make([]string, 0, len(names))
	for e := range names {
		sorted = append(sorted, e)
	}
	slices.Sort(sorted)
	for _, e := range sorted {
		files = append(files, names[e])
	}
	for _, f := range files {
		b, err := u.FS.ReadFile("/", f)
		if err != nil || len(b) > maxUnit {
			continue
		}
		n.parseInstall(string(b))
	}
	for _, list := range []*[]string{&n.wanted, &n.required, &n.upheld, &n.aliases, &n.also} {
		for i, s := range *list {
			var ok bool
			if (*list)[i], ok = expandSpecifiers(s, n.name); !ok {
				return u.unsupported("the specifiers of %s in %s are not known here", s, n.path)
			}
		}
	}
	return nil
}

func (n *unit) parseInstall(text string) {
	lists := map[string]*[]string{"WantedBy": &n.wanted, "RequiredBy": &n.required, "UpheldBy": &n.upheld, "Alias": &n.aliases, "Also": &n.also}
	install := false
	var pending string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if pending != "" && (strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";")) {
			continue
		}
		line = pending + line
		pending = ""
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if before, ok := strings.CutSuffix(line, `\`); ok {
			pending = before + " "
			continue
		}
		if line[0] == '[' {
			install = line == "[Install]"
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !install || !ok {
			continue
		}
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if key == "DefaultInstance" {
			n.instance = value
			continue
		}
		list := lists[key]
		if list == nil {
			continue
		}
		words, _ := splitQuoted(value)
		if len(words) == 0 {
			*list = nil
		}
		for _, w := range words {
			if key != "Alias" {
				w = fullName(w)
			}
			if !slices.Contains(*list, w) {
				*list = append(*list, w)
			}
		}
	}
}

// expandSpecifiers writes out %n and its like for a unit.
func expandSpecifiers(s, name string) (string, bool) {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	prefix, instance, _ := strings.Cut(stem, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '%':
			b.WriteByte('%')
		case 'n':
			b.WriteString(name)
		case 'N':
			b.WriteString(stem)
		case 'p', 'P':
			b.WriteString(prefix)
		case 'i', 'I':
			b.WriteString(instance)
		case 'j', 'J':
			b.WriteString(last)
		default:
			return "", false
		}
	}
	return b.String(), true
}

// link makes a link below /etc, and says so. force replaces another link.
func (u *units) link(target, p string, force bool) error {
	if old, err := u.FS.Lstat("/", p); err == nil {
		if !old.IsSymlink() {
			return u.die(1, "Failed to create link: File %s already exists.", p)
		}
		if old.Link == target || u.same(old, target) {
			return nil
		}
		if !force {
			return u.die(1, "Failed to create link: File %s already exists and is a symlink to %s.", p, old.Link)
		}
		if err := u.FS.Remove("/", p); err != nil {
			return err
		}
		fmt.Fprintf(u.Stderr, "Removed \"%s\".\n", p)
	}
	if err := u.FS.MkdirAll("/", path.Dir(p), 0o755); err != nil {
		return err
	}
	if err := u.FS.Symlink("/", target, p); err != nil {
		return err
	}
	u.changes++
	if !u.has("quiet") {
		fmt.Fprintf(u.Stderr, "Created symlink %s → %s.\n", p, target)
	}
	return nil
}

// same reports whether a link leads to the same unit file as a path.
func (u *units) same(link *rootfs.Node, target string) bool {
	a, err1 := u.FS.Stat("/", link.Path)
	b, err2 := u.FS.Stat("/", target)
	return err1 == nil && err2 == nil && a == b
}

// install makes the links of units and of those in their Also=. Without strict, what cannot be linked is passed over.
func (u *units) install(names []string, strict bool) error {
	done := map[string]bool{}
	queue := slices.Clone(names)
	for i := 0; i < len(queue); i++ {
		name := queue[i]
		if done[name] {
			continue
		}
		done[name] = true
		n, err := u.load(name)
		if i >= len(names) {
			if err != nil || n.masked || n.alias != "" {
				if fatal(err) {
					return err
				}
				continue
			}
		}
		if err != nil {
			return err
		}
		queue = append(queue, n.also...)
		if err := u.installOne(n, strict); err != nil {
			return err
		}
	}
	return nil
}

func (u *units) installOne(n *unit, strict bool) error {
	for _, a := range n.aliases {
		if !validUnit(a) || path.Ext(a) != path.Ext(n.name) {
			fmt.Fprintf(u.Stderr, "%s: alias %s is not valid\n", n.name, a)
			continue
		}
		if err := u.link(n.path, join(u.config, a), u.has("force")); err != nil {
			return err
		}
	}
	name := n.name
	open := isTemplate(name) && n.instance == "" // of such a template only templates can want something
	if isTemplate(name) {
		name = strings.Replace(name, "@", "@"+n.instance, 1)
	}
	for _, w := range []struct {
		by     []string
		suffix string
	}{{n.wanted, ".wants/"}, {n.required, ".requires/"}, {n.upheld, ".upholds/"}} {
		for _, by := range w.by {
			if open && !isTemplate(by) {
				if !strict {
					continue
				}
				return u.die(1, "Failed to enable %s, destination unit %s is a non-template unit.", n.name, by)
			}
			if !validUnit(by) {
				continue
			}
			if err := u.link(n.path, join(u.config, by)+w.suffix+name, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// named are the units of the arguments; one that is not there ends the run.
func (u *units) named(doing string) ([]string, error) {
	var out []string
	for _, a := range u.args {
		if strings.Contains(a, "/") {
			return nil, u.unsupported("unit files outside the usual directories are not known here")
		}
		name := fullName(a)
		if !validUnit(name) {
			return nil, u.die(1, "Failed to %s unit: Invalid unit name \"%s\".", doing, a)
		}
		if _, err := u.load(name); err != nil {
			if fatal(err) {
				return nil, err
			}
			if doing == "disable" { // said, and no failure
				fmt.Fprintf(u.Stderr, "Failed to disable unit, unit %s does not exist.\n", name)
				return nil, errStop
			}
			return nil, u.die(1, "Failed to %s unit, unit %s does not exist.", doing, name)
		}
		out = append(out, name)
	}
	return out, nil
}

func (u *units) enable() error {
	names, err := u.named("enable")
	if err != nil {
		return err
	}
	return u.enableUnits(names, "enable")
}

func (u *units) enableUnits(names []string, doing string) error {
	installable := false
	for _, name := range names {
		n, err := u.load(name)
		switch {
		case err != nil:
			return err
		case n.masked:
			return u.die(1, "Failed to %s unit, unit %s is masked.", doing, n.path)
		case n.alias != "":
			return u.die(1, "Failed to %s unit: Refusing to operate on alias name or linked unit file: %s", doing, name)
		}
		installable = installable || n.installable() || len(n.also) > 0
	}
	if !installable && !u.has("quiet", "no-warn") {
		fmt.Fprintln(u.Stderr, "The unit files have no installation config (WantedBy=, RequiredBy=, UpheldBy=, Also=, or Alias= settings in the [Install] section, and DefaultInstance= for template units).")
	}
	return u.install(names, true)
}

func (u *units) disable() error {
	names, err := u.named("disable")
	if err != nil {
		return err
	}
	return u.uninstall(names)
}

// uninstall takes away the links to units and to those in their Also=.
func (u *units) uninstall(names []string) error {
	gone := map[string]bool{}
	queue := slices.Clone(names)
	for i := 0; i < len(queue); i++ {
		if gone[queue[i]] {
			continue
		}
		gone[queue[i]] = true
		n, err := u.load(queue[i])
		if fatal(err) {
			return err
		}
		if err == nil && !n.masked {
			queue = append(queue, n.also...)
		}
	}
	return u.removeLinks(u.config, gone)
}

func (u *units) removeLinks(dir string, gone map[string]bool) error {
	names, err := u.FS.ReadDir("/", dir)
	if err != nil {
		return nil
	}
	for _, name := range names {
		p := join(dir, name)
		node, err := u.FS.Lstat("/", p)
		if err != nil {
			continue
		}
		if node.IsDir() {
			if dir == u.config && path.Ext(name) != ".d" {
				if err := u.removeLinks(p, gone); err != nil {
					return err
				}
			}
			continue
		}
		if !node.IsSymlink() || node.Link == "/dev/null" || !validUnit(name) {
			continue
		}
		template, _, _ := templateOf(name)
		if !gone[name] && !gone[path.Base(node.Link)] && !gone[template] {
			continue
		}
		if err := u.FS.Remove("/", p); err != nil {
			return err
		}
		if !u.has("quiet") {
			fmt.Fprintf(u.Stderr, "Removed \"%s\".\n", p)
		}
	}
	if dir != u.config {
		if n, err := u.FS.Lstat("/", dir); err == nil && len(u.FS.tree.List(n.Path)) == 0 && len(names) > 0 {
			return u.FS.Remove("/", dir)
		}
	}
	return nil
}

func (u *units) reenable() error {
	names, err := u.named("reenable")
	if err != nil {
		return err
	}
	if err := u.uninstall(names); err != nil {
		return err
	}
	return u.enableUnits(names, "reenable")
}

// presetRule is a line of a preset file.
type presetRule struct {
	enable    bool
	pattern   string
	instances []string
}

func (u *units) rules() []presetRule {
	files := map[string]string{}
	for _, dir := range slices.Backward(u.presets) {
		names, err := u.FS.ReadDir("/", dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if strings.HasSuffix(n, ".preset") {
				files[n] = join(dir, n)
			}
		}
	}
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	var rules []presetRule
	for _, n := range names {
		b, err := u.FS.ReadFile("/", files[n])
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			f := strings.Fields(line)
			if len(f) < 2 || f[0] != "enable" && f[0] != "disable" {
				continue
			}
			rules = append(rules, presetRule{enable: f[0] == "enable", pattern: f[1], instances: f[2:]})
		}
	}
	return rules
}

// wantedByPreset says whether a unit is to be enabled, and which instances of a template. What no rule names is enabled.
func wantedByPreset(rules []presetRule, name string) (enable bool, instances []string) {
	for _, r := range rules {
		if matchGlob(r.pattern, name, false) {
			if r.enable && isTemplate(name) && len(r.instances) > 0 {
				for _, i := range r.instances {
					instances = append(instances, strings.Replace(name, "@", "@"+i, 1))
				}
			}
			return r.enable, instances
		}
		if t, i, ok := templateOf(name); ok && r.enable && r.pattern == t && slices.Contains(r.instances, i) {
			return true, nil
		}
	}
	return true, nil
}

func (u *units) preset() error {
	names, err := u.named("preset")
	if err != nil {
		return err
	}
	return u.presetUnits(names)
}

func (u *units) presetUnits(names []string) error {
	mode, _ := u.value("preset-mode")
	rules := u.rules()
	var plus, minus []string
	for _, name := range names {
		n, err := u.load(name)
		if fatal(err) {
			return err
		}
		if err == nil && n.masked {
			if !u.has("quiet") {
				fmt.Fprintf(u.Stderr, "Unit %s is masked, ignoring.\n", n.path)
			}
			continue
		}
		if err != nil || n.alias != "" {
			continue
		}
		switch enable, instances := wantedByPreset(rules, name); {
		case !enable:
			minus = append(minus, name)
		case len(instances) > 0:
			plus = append(plus, instances...)
		default:
			plus = append(plus, name)
		}
	}
	if mode != "enable-only" {
		if err := u.uninstall(minus); err != nil {
			return err
		}
	}
	if mode == "disable-only" {
		return nil
	}
	return u.install(plus, false)
}

func (u *units) presetAll() error {
	seen := map[string]bool{}
	var all []string
	for _, dir := range u.search {
		names, err := u.FS.ReadDir("/", dir)
		if err != nil {
			continue
		}
		for _, name := range names {
			if n, err := u.FS.Lstat("/", join(dir, name)); err == nil && !n.IsDir() && validUnit(name) && !seen[name] {
				seen[name] = true
				all = append(all, name)
			}
		}
	}
	slices.Sort(all)
	quiet := u.toolRun.options
	u.toolRun.options = append(slices.Clone(quiet), toolOption{key: "quiet"})
	defer func() { u.toolRun.options = quiet }()
	return u.presetUnits(all)
}

func (u *units) mask() error {
	for _, a := range u.args {
		name := fullName(a)
		if !validUnit(name) {
			return u.die(1, "Failed to mask unit: Invalid unit name \"%s\".", a)
		}
		if _, err := u.load(name); isNotExist(err) && !u.has("quiet") {
			fmt.Fprintf(u.Stderr, "Unit %s does not exist, proceeding anyway.\n", name)
		}
		if err := u.link("/dev/null", join(u.config, name), u.has("force")); err != nil {
			return err
		}
	}
	return nil
}

func (u *units) unmask() error {
	for _, a := range u.args {
		p := join(u.config, fullName(a))
		if n, err := u.FS.Lstat("/", p); err == nil && n.IsSymlink() && n.Link == "/dev/null" {
			if err := u.FS.Remove("/", p); err != nil {
				return err
			}
			fmt.Fprintf(u.Stderr, "Removed \"%s\".\n", p)
		}
	}
	return nil
}

func (u *units) isEnabled() error {
	any := false
	for _, a := range u.args {
		name := fullName(a)
		n, err := u.load(name)
		if fatal(err) {
			return err
		}
		if err != nil {
			fmt.Fprintf(u.Stderr, "Failed to get unit file state for %s: No such file or directory\n", name)
			u.status = 1
			return nil
		}
		state := u.state(n)
		if slices.Contains([]string{"enabled", "alias", "static", "indirect"}, state) {
			any = true
		}
		if !u.has("quiet") {
			u.printf("%s\n", state)
		}
	}
	if !any {
		u.status = 1
	}
	return nil
}

func (u *units) state(n *unit) string {
	switch {
	case n.masked:
		return "masked"
	case n.alias != "":
		return "alias"
	case u.linked(u.config, n):
		return "enabled"
	case n.installable():
		return "disabled"
	case len(n.also) > 0:
		return "indirect"
	}
	return "static"
}

// linked reports whether a link below /etc leads to a unit.
func (u *units) linked(dir string, n *unit) bool {
	names, err := u.FS.ReadDir("/", dir)
	if err != nil {
		return false
	}
	for _, name := range names {
		p := join(dir, name)
		node, err := u.FS.Lstat("/", p)
		switch {
		case err != nil:
		case node.IsDir():
			if slices.Contains([]string{".wants", ".requires", ".upholds"}, path.Ext(name)) && u.linked(p, n) {
				return true
			}
		case node.IsSymlink() && node.Link != "/dev/null":
			if name == n.name && dir != u.config || path.Base(node.Link) == n.name && name != n.name {
				return true
			}
		}
	}
	return false
}

func (u *units) setDefault() error {
	name := u.args[0]
	if path.Ext(name) != ".target" {
		name += ".target"
	}
	n, err := u.load(name)
	if fatal(err) {
		return err
	}
	if err != nil || n.masked {
		return u.die(1, "Failed to set default target: Unit %s does not exist.", name)
	}
	return u.link(n.path, join(u.config, "default.target"), true)
}

func (u *units) getDefault() error {
	for _, dir := range u.search {
		n, err := u.FS.Lstat("/", join(dir, "default.target"))
		if err != nil {
			continue
		}
		name := "default.target"
		if n.IsSymlink() {
			name = path.Base(n.Link)
		}
		u.printf("%s\n", name)
		return nil
	}
	return u.die(1, "Failed to get default target: No such file or directory")
}

// addWants is add-wants and add-requires.
func (u *units) addWants() error {
	suffix := ".wants/"
	if slices.Contains(u.Call.Args, "add-requires") {
		suffix = ".requires/"
	}
	target := u.args[0]
	if !validUnit(target) {
		target += ".target"
	}
	u.args = u.args[1:]
	names, err := u.named("add dependency")
	if err != nil {
		return err
	}
	for _, name := range names {
		n, err := u.load(name)
		if err != nil {
			return err
		}
		if err := u.link(n.path, join(u.config, target)+suffix+name, true); err != nil {
			return err
		}
	}
	return nil
}
