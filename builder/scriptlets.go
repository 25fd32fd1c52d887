package builder

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/scriptlet"
	"slim/internal/trim"
)

// install lays the packages into the tree one by one, and lets their scriptlets and triggers have their effect at the
// moments at which rpm would run them.
func (t *root) install(ctx context.Context, r *Recipe, p Platform, b *rootfs.Builder) error {
	packages := make([]scriptlet.Package, len(t.packages))
	for i, pkg := range t.packages {
		var err error
		if packages[i], err = scriptletPackage(pkg); err != nil {
			return fmt.Errorf("package %s: %w", pkg.NEVRA(), err)
		}
	}
	engine := scriptlet.New(t.tree, packages, scriptlet.Options{
		Rules:   r.scriptletRules(),
		Host:    scriptlet.Host{Arch: p.Arch(), Macros: r.installMacros()},
		Content: t.contents.open,
		Now:     t.epoch,
		Toolbox: r.Dependencies != DependenciesFull,
		Warn:    t.report,
	})
	err := engine.PreTrans(ctx)
	for i := 0; err == nil && i < len(t.packages); i++ {
		if err = engine.BeforeUnpack(ctx, i); err != nil {
			break
		}
		if err = b.Lay(i); err != nil {
			break
		}
		if err = t.unknownOwners(i); err != nil {
			break
		}
		err = engine.AfterUnpack(ctx, i)
	}
	if err == nil {
		err = engine.PostTrans(ctx)
	}
	t.outcomes = engine.Outcomes()
	return err
}

func scriptletPackage(pkg *rpm.Package) (scriptlet.Package, error) {
	h := pkg.Header()
	out := scriptlet.Package{NEVRA: pkg.NEVRA(), Files: pkg.Files(), Prefixes: h.Strings(rpm.TagPrefixes), RPMVersion: h.Text(rpm.TagRPMVersion)}
	var err error
	if out.Scriptlets, err = h.Scriptlets(); err != nil {
		return out, err
	}
	provides, err := h.Provides()
	for _, p := range provides {
		out.Provides = append(out.Provides, p.Capability)
	}
	return out, err
}

// scriptletRules are the scriptlets that the recipe acknowledges, "" for all of a package.
func (r *Recipe) scriptletRules() scriptlet.Rules {
	rules := scriptlet.Rules{}
	for name, rule := range r.Scriptlets {
		rules[name] = map[string]bool{"": rule.Skip}
		for slot, skip := range rule.Slots {
			rules[name][slot] = skip
		}
	}
	return rules
}

// installMacros are the macros that scriptlets ask for at install time.
func (r *Recipe) installMacros() map[string]string {
	macros := map[string]string{"_install_langs": "all"}
	if r.Strip.Docs {
		macros["_excludedocs"] = "1"
	}
	return macros
}

// leaveDocs takes documentation out of the plan, as rpm does when it is told to install none: scriptlets do not see it.
func (t *root) leaveDocs(r *Recipe, plan *rootfs.Tree) error {
	if !r.Strip.Docs {
		return nil
	}
	t.tree = plan
	removals, err := t.removals(r)
	if err != nil {
		return err
	}
	var docs []rootfs.Owner
	for _, removal := range removals {
		if removal.Rule == trim.Docs && t.packages[removal.Package].Files()[removal.File].Flags&rpm.FileDoc != 0 {
			docs = append(docs, rootfs.Owner{Package: removal.Package, File: removal.File})
		}
	}
	return plan.Remove(docs)
}

// unknownOwners gives what package i laid to root where nobody made its user or group, as rpm does, and says so once
// for each.
func (t *root) unknownOwners(i int) error {
	if err := t.readAccounts(); err != nil {
		return err
	}
	said := map[string]bool{}
	warn := func(kind, name string) {
		if !said[kind+name] {
			said[kind+name] = true
			t.report(fmt.Sprintf("%s %s of %s does not exist: its files belong to root", kind, name, t.packages[i].NEVRA()))
		}
	}
	for f := range t.packages[i].Files() {
		n := t.tree.Node(t.tree.Path(rootfs.Owner{Package: i, File: f}))
		if n == nil || n.Package != i || n.File != f {
			continue
		}
		if t.uid(n.User) < 0 {
			warn("user", n.User)
			n.User, n.Mode = "root", n.Mode&^0o4000
		}
		if t.gid(n.Group) < 0 {
			warn("group", n.Group)
			n.Group, n.Mode = "root", n.Mode&^0o2000
		}
	}
	return nil
}

// unevaluated are the scriptlets whose work was left undone because the recipe says so.
func (t *root) unevaluated() []Scriptlet {
	var out []Scriptlet
	for _, o := range t.outcomes {
		if o.What == scriptlet.Skipped {
			out = append(out, Scriptlet{Package: o.Package.String(), Slot: o.Slot, Interpreter: o.Interpreter})
		}
	}
	return out
}

// contents reads the files of packages out of their payloads. A payload is unpacked once, when its first file is asked
// for, to one file of the work directory. It is safe for concurrent use.
type contents struct {
	packages []*rpm.Package
	dir      string

	mu       sync.Mutex
	file     *os.File
	end      int64
	sections map[int]map[int]section // by package and file
}

type section struct{ at, size int64 }

// open reads the content of a node that a package carries.
func (c *contents) open(n *rootfs.Node) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sections[n.Package] == nil {
		if err := c.unpack(n.Package); err != nil {
			return nil, fmt.Errorf("unpacking package %s: %w", c.packages[n.Package].NEVRA(), err)
		}
	}
	s, ok := c.sections[n.Package][n.File]
	if !ok {
		return nil, fmt.Errorf("package %s has no content of %s", c.packages[n.Package].NEVRA(), n.Path)
	}
	return io.NopCloser(io.NewSectionReader(c.file, s.at, s.size)), nil
}

func (c *contents) unpack(pkg int) error {
	if c.file == nil {
		f, err := os.CreateTemp(c.dir, "contents-")
		if err != nil {
			return err
		}
		c.file = f
	}
	payload, err := c.packages[pkg].Payload()
	if err != nil {
		return err
	}
	defer payload.Close()
	files := c.packages[pkg].Files()
	type inode struct{ dev, inode uint32 }
	byInode := map[inode]section{}
	for {
		e, err := payload.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !e.HasContent {
			continue
		}
		size, err := io.Copy(io.NewOffsetWriter(c.file, c.end), payload)
		if err != nil {
			return err
		}
		byInode[inode{files[e.File].Dev, files[e.File].Inode}] = section{c.end, size}
		c.end += size
	}
	found := map[int]section{}
	for f, file := range files {
		if s, ok := byInode[inode{file.Dev, file.Inode}]; ok && file.IsRegular() {
			found[f] = s
		}
	}
	if c.sections == nil {
		c.sections = map[int]map[int]section{}
	}
	c.sections[pkg] = found
	return nil
}

// close takes the unpacked files away. What was opened can no longer be read.
func (c *contents) close() {
	if c.file != nil {
		c.file.Close()
		os.Remove(c.file.Name())
	}
}
