package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/scriptlet"
	"slim/internal/solve"
	"slim/internal/trim"
)

// maxAccountsFile bounds the passwd, group and sysusers.d files of a root.
const maxAccountsFile = 1 << 20

// root is the assembled root file system of one platform.
type root struct {
	packages []*rpm.Package // in install order
	tree     *rootfs.Tree
	plan     *rootfs.Tree // the packages as if no scriptlet had changed anything
	accounts *rootfs.Accounts
	removed  []trim.Removal
	epoch    int64
	report   func(message string)
	contents *contents
	outcomes []scriptlet.Outcome

	passwd, group *rootfs.Node // that accounts were read from
}

// newRoot is the root of packages that are not installed yet. It is read from contents.
func newRoot(packages []*rpm.Package, epoch int64, contents *contents, report func(string)) (*root, error) {
	ordered, err := installOrder(packages)
	if err != nil {
		return nil, err
	}
	return &root{packages: ordered, epoch: epoch, report: report, contents: contents}, nil
}

// fill installs the packages, leaves out what the recipe strips, adds what it adds, and records all in the rpmdb.
func (t *root) fill(ctx context.Context, r *Recipe, p Platform) error {
	b, err := t.builder(p)
	if err != nil {
		return err
	}
	if err := t.leaveDocs(r, b.Plan()); err != nil {
		return err
	}
	t.tree, t.plan = b.Tree(), b.Plan()
	for _, step := range []func() error{
		func() error { return t.install(ctx, r, p, b) },
		func() error { return t.addAccounts(r.Accounts) },
		func() error { return t.trim(r) },
		func() error { return t.addFiles(r) },
		t.own,
		t.writeAccounts,
		func() error { return t.writeContentSets(r.Repository, p) },
		func() error { return t.writeDatabase(p) },
	} {
		if err := errors.Join(ctx.Err(), step()); err != nil {
			return err
		}
	}
	return nil
}

// builder plans the tree of the packages.
func (t *root) builder(p Platform) (*rootfs.Builder, error) {
	color := uint32(0)
	if p.is64bit() {
		color = preferredColor
	}
	laid := make([]rootfs.Package, len(t.packages))
	for i, pkg := range t.packages {
		built, _ := pkg.Header().Uint64(rpm.TagBuildTime)
		laid[i] = rootfs.Package{NEVRA: pkg.NEVRA(), Files: pkg.Files(), MTime: int64(built)}
	}
	return rootfs.NewBuilder(laid, rootfs.Options{PreferColor: color})
}

// preferredColor is rpm's colour of 64-bit ELF files.
const preferredColor = 2

// is64bit reports whether the platform takes 64-bit files where packages bring both.
func (p Platform) is64bit() bool { return p.Architecture != "386" && p.Architecture != "arm" }

// installOrder sorts packages as rpm installs them.
func installOrder(packages []*rpm.Package) ([]*rpm.Package, error) {
	sorted := slices.Clone(packages)
	slices.SortFunc(sorted, func(a, b *rpm.Package) int { return a.NEVRA().Compare(b.NEVRA()) })
	elements := make([]solve.Element, len(sorted))
	for i, pkg := range sorted {
		var err error
		if elements[i], err = element(pkg); err != nil {
			return nil, fmt.Errorf("package %s: %w", pkg.NEVRA(), err)
		}
	}
	out := make([]*rpm.Package, 0, len(sorted))
	for _, i := range solve.Order(elements) {
		out = append(out, sorted[i])
	}
	return out, nil
}

func element(pkg *rpm.Package) (solve.Element, error) {
	h := pkg.Header()
	e := solve.Element{NEVRA: pkg.NEVRA()}
	for _, f := range pkg.Files() {
		e.Color |= f.Color
		e.Files = append(e.Files, f.Path)
	}
	provides, err := h.Provides()
	for _, p := range provides {
		e.Provides = append(e.Provides, p.Capability)
	}
	for _, kind := range []struct {
		read          func() ([]rpm.Dependency, error)
		weak, reverse bool
	}{
		{h.Requires, false, false},
		{h.Recommends, true, false},
		{h.Suggests, true, false},
		{h.Supplements, true, true},
		{h.Enhances, true, true},
		{h.OrderWithRequires, false, false},
	} {
		list, err2 := kind.read()
		err = errors.Join(err, err2)
		for _, d := range list {
			e.Dependencies = append(e.Dependencies, solve.OrderDependency{
				Capability: d.Capability, Flags: d.Flags, Weak: kind.weak, Reverse: kind.reverse,
			})
		}
	}
	return e, err
}

// readAccounts reads the root's users and groups as they are now.
func (t *root) readAccounts() error {
	passwd, group := t.tree.Resolve("/etc/passwd"), t.tree.Resolve("/etc/group")
	if t.accounts != nil && passwd == t.passwd && group == t.group {
		return nil
	}
	users, err := t.read("/etc/passwd")
	if err != nil {
		return err
	}
	groups, err := t.read("/etc/group")
	if err != nil {
		return err
	}
	t.passwd, t.group = passwd, group
	t.accounts, err = rootfs.ParseAccounts(users, groups)
	return err
}

// addAccounts adds what the recipe asks for to the root's users and groups.
func (t *root) addAccounts(wanted Accounts) error {
	if err := t.readAccounts(); err != nil {
		return err
	}
	for _, g := range wanted.Groups {
		if err := t.accounts.AddGroup(g.Name, g.GID); err != nil {
			return fmt.Errorf("accounts of the recipe: %w", err)
		}
	}
	for _, u := range wanted.Users {
		err := t.accounts.AddUser(rootfs.NewUser{Name: u.Name, UID: u.UID, Group: u.Group, Gecos: u.Gecos, Home: u.Home, Shell: u.Shell})
		if err != nil {
			return fmt.Errorf("accounts of the recipe: %w", err)
		}
	}
	return nil
}

// uid is the id of a user by name, of root without a line for it, or of a number; -1 when there is none.
func (t *root) uid(name string) int64 {
	if u := t.accounts.User(name); u != nil {
		return int64(u.UID)
	}
	return numericOrRoot(name)
}

func (t *root) gid(name string) int64 {
	if g := t.accounts.Group(name); g != nil {
		return int64(g.GID)
	}
	return numericOrRoot(name)
}

func numericOrRoot(name string) int64 {
	if name == "root" || name == "" {
		return 0
	}
	n, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return -1
	}
	return int64(n)
}

// trim leaves out what the recipe strips.
func (t *root) trim(r *Recipe) error {
	var err error
	if t.removed, err = t.removals(r); err != nil {
		return err
	}
	owners := make([]rootfs.Owner, len(t.removed))
	for i, removal := range t.removed {
		owners[i] = rootfs.Owner{Package: removal.Package, File: removal.File}
	}
	return errors.Join(t.tree.Remove(owners), t.plan.Remove(owners))
}

// removals are the files that the recipe strips. Paths that a package of the set requires by name stay.
func (t *root) removals(r *Recipe) ([]trim.Removal, error) {
	required := map[string]bool{}
	lists := make([][]trim.File, len(t.packages))
	for i, pkg := range t.packages {
		requires, err := pkg.Header().Requires()
		if err != nil {
			return nil, fmt.Errorf("package %s: %w", pkg.NEVRA(), err)
		}
		for _, d := range requires {
			if d.IsPath() {
				t.require(required, d.Name)
			}
		}
		lists[i] = make([]trim.File, 0, len(pkg.Files()))
		for f, file := range pkg.Files() {
			lists[i] = append(lists[i], trim.File{
				Path: t.tree.Path(rootfs.Owner{Package: i, File: f}), Named: file.Path, Flags: file.Flags, Lang: file.Lang,
				Dir: file.IsDir(), Ghost: file.Flags&rpm.FileGhost != 0,
			})
		}
	}
	return trim.Decide(lists, r.trimRules(), required), nil
}

// require marks a path and, where it is a link, what it leads to.
func (t *root) require(required map[string]bool, p string) {
	required[p] = true
	if n := t.tree.Resolve(path.Dir(p)); n != nil {
		required[path.Join(n.Path, path.Base(p))] = true
	}
	if n := t.tree.Resolve(p); n != nil {
		required[n.Path] = true
	}
}

// trimRules are the recipe's strip rules. Without locales of its own a recipe keeps the languages of the langpacks it
// names.
func (r *Recipe) trimRules() trim.Rules {
	rules := trim.Rules{
		Docs: r.Strip.Docs, AllLocales: r.Strip.AllLocales, Locales: r.Strip.Locales, Paths: r.Strip.Paths, Keep: r.Strip.Keep,
	}
	if len(rules.Locales) == 0 {
		for _, p := range r.Packages {
			if _, lang, ok := strings.Cut(p.Spec, "langpack-"); ok {
				rules.Locales = append(rules.Locales, strings.SplitN(lang, "-", 2)[0])
			} else if _, lang, ok := strings.Cut(p.Spec, "langpacks-"); ok {
				rules.Locales = append(rules.Locales, strings.SplitN(lang, "-", 2)[0])
			}
		}
	}
	return rules
}

// addFiles puts the homes of the recipe's users and the recipe's files into the tree.
func (t *root) addFiles(r *Recipe) error {
	for _, u := range r.Accounts.Users {
		if u.Home == "" || t.tree.Node(path.Clean(u.Home)) != nil {
			continue
		}
		home := &rootfs.Node{Path: path.Clean(u.Home), Mode: rpm.ModeDir | 0o700, User: u.Name, MTime: t.epoch}
		home.Group = u.Group
		if home.Group == "" {
			home.Group = u.Name
		}
		if err := t.tree.Put(home); err != nil {
			return fmt.Errorf("home of user %s: %w", u.Name, err)
		}
	}
	for _, f := range r.Files {
		if err := t.addFile(f); err != nil {
			return fmt.Errorf("%s:%d: adding %s: %w", f.Pos.File, f.Pos.Line, f.Path, err)
		}
	}
	return nil
}

func (t *root) addFile(f ExtraFile) error {
	n := &rootfs.Node{Path: path.Clean(f.Path), User: f.Owner, Group: f.Group, MTime: t.epoch}
	if f.Group == "" {
		n.Group = t.primaryGroup(f.Owner)
	}
	if t.uid(n.User) < 0 || t.gid(n.Group) < 0 {
		return fmt.Errorf("there is no user or group %s:%s in the image", n.User, n.Group)
	}
	switch {
	case f.Link != "":
		n.Mode, n.Link = rpm.ModeSymlink|0o777, f.Link
		return t.tree.Put(n)
	case f.Source != "":
		return t.addSource(f, n)
	}
	content := []byte(*f.Content)
	n.Mode, n.Size = rpm.ModeRegular|mode(f.Mode, 0o644), int64(len(content))
	n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	return t.tree.Put(n)
}

// primaryGroup is a user's group by name, or its number.
func (t *root) primaryGroup(user string) string {
	u := t.accounts.User(user)
	if u == nil {
		return user
	}
	for _, g := range t.accounts.Groups {
		if g.GID == u.GID {
			return g.Name
		}
	}
	return strconv.FormatUint(uint64(u.GID), 10)
}

func mode(m *uint32, otherwise uint32) uint32 {
	if m != nil {
		return *m
	}
	return otherwise
}

// addSource adds a file or a whole directory of the builder's machine. Modes are 0755 for directories and what its
// owner may execute, 0644 for the rest, so that a umask does not change the image; f.Mode overrides that of files.
func (t *root) addSource(f ExtraFile, like *rootfs.Node) error {
	return filepath.WalkDir(f.Source, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.Source, at)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		n := *like
		n.Path = path.Join(like.Path, filepath.ToSlash(rel))
		switch {
		case d.IsDir():
			if old := t.tree.Resolve(n.Path); old != nil && old.IsDir() {
				return nil
			}
			n.Mode = rpm.ModeDir | 0o755
		case d.Type()&fs.ModeSymlink != 0:
			if n.Link, err = os.Readlink(at); err != nil {
				return err
			}
			n.Mode = rpm.ModeSymlink | 0o777
		case d.Type().IsRegular():
			perm := uint32(0o644)
			if info.Mode()&0o100 != 0 {
				perm = 0o755
			}
			n.Mode, n.Size = rpm.ModeRegular|mode(f.Mode, perm), info.Size()
			n.Open = func() (io.ReadCloser, error) { return os.Open(at) }
		default:
			return fmt.Errorf("%s is no file, directory or symbolic link", at)
		}
		return t.tree.Put(&n)
	})
}

// own turns the names of owners into ids.
func (t *root) own() error {
	for _, n := range slices.Concat(t.tree.Nodes(), t.tree.Covered()) {
		if n.User == "" && n.Group == "" {
			continue // by number
		}
		uid, gid := t.uid(n.User), t.gid(n.Group)
		if uid < 0 || gid < 0 {
			return fmt.Errorf("%s belongs to %s:%s, which the image does not have", n.Path, n.User, n.Group)
		}
		if n.User != "" {
			n.UID = uint32(uid)
		}
		if n.Group != "" {
			n.GID = uint32(gid)
		}
	}
	t.ownPlan()
	return nil
}

// writeAccounts replaces the files of users and groups when any were added.
func (t *root) writeAccounts() error {
	if !t.accounts.Changed() {
		return nil
	}
	if t.accounts.User("root") == nil && t.tree.Node("/etc/passwd") == nil {
		t.accounts.Users = append([]rootfs.User{{Name: "root", Password: "x", Home: "/root", Shell: "/bin/sh", Gecos: "root"}}, t.accounts.Users...)
	}
	if t.accounts.Group("root") == nil && t.tree.Node("/etc/group") == nil {
		t.accounts.Groups = append([]rootfs.Group{{Name: "root", Password: "x"}}, t.accounts.Groups...)
	}
	const day = 24 * 60 * 60
	for _, f := range []struct {
		path    string
		mode    uint32
		content func(old []byte) []byte
		always  bool
	}{
		{"/etc/passwd", 0o644, func([]byte) []byte { return t.accounts.Passwd() }, true},
		{"/etc/group", 0o644, func([]byte) []byte { return t.accounts.GroupFile() }, true},
		{"/etc/shadow", 0, func(old []byte) []byte { return t.accounts.Shadow(old, t.epoch/day) }, false},
		{"/etc/gshadow", 0, t.accounts.GShadow, false},
	} {
		node := t.tree.Resolve(f.path)
		if node == nil && !f.always {
			continue
		}
		old, err := t.read(f.path)
		if err != nil {
			return err
		}
		content := f.content(old)
		n := rootfs.Node{Path: f.path, Mode: rpm.ModeRegular | f.mode}
		if node != nil {
			n = rootfs.Node{Path: node.Path, Mode: node.Mode, User: node.User, Group: node.Group, UID: node.UID, GID: node.GID}
		}
		n.MTime, n.Size = t.epoch, int64(len(content))
		n.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
		if err := t.tree.Put(&n); err != nil {
			return err
		}
	}
	return nil
}

// writeDatabase records the packages, with the states of their files, where the distribution keeps its rpmdb.
func (t *root) writeDatabase(p Platform) error {
	installed := make([]rpmdb.Package, len(t.packages))
	for i, pkg := range t.packages {
		installed[i] = rpmdb.Package{Header: pkg.Header(), Signature: pkg.SignatureHeader(), States: t.tree.States(i)}
		if p.is64bit() {
			installed[i].Color = 3
		}
	}
	release, err := t.osRelease()
	if err != nil {
		return err
	}
	location := rpmdb.Locate(func(p string) (isDir, isSymlink bool) {
		n := t.tree.Node(p)
		return n != nil && n.IsDir(), n != nil && n.IsSymlink()
	}, release["ID"], release["VERSION_ID"])
	files, err := rpmdb.Files(location.Format, installed, uint32(t.epoch))
	for name, content := range files {
		err = errors.Join(err, t.tree.PutFile(path.Join(location.Dir, name), 0o644, t.epoch, content))
	}
	if err != nil {
		return err
	}
	if location.Link == "" || t.tree.Node(location.Link) != nil {
		return nil
	}
	return t.tree.Put(&rootfs.Node{Path: location.Link, Mode: rpm.ModeSymlink | 0o777, Link: location.LinkTarget, MTime: t.epoch})
}

// osRelease reads the root's os-release(5), empty without one.
func (t *root) osRelease() (map[string]string, error) {
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		content, err := t.read(p)
		if err != nil || content != nil {
			return parseOSRelease(content), err
		}
	}
	return map[string]string{}, nil
}

// read is the content of a file of the tree, symbolic links followed; nil when there is none.
func (t *root) read(p string) ([]byte, error) {
	n := t.tree.Resolve(p)
	if n == nil || !n.IsRegular() {
		return nil, nil
	}
	if to := t.tree.Node(n.HardTo); to != nil {
		n = to
	}
	open := t.content
	if n.Package < 0 {
		open = openNode
	}
	r, err := open(n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return rootfs.ReadSized(r, n.Size, maxAccountsFile)
}
