package builder

import (
	"context"
	"fmt"
	"maps"

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
		Content: t.content,
		Now:     t.epoch,
		Toolbox: r.Dependencies != DependenciesFull,
		Warn:    func(message string) { t.report("warning: " + message) },
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
		maps.Copy(rules[name], rule.Slots)
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
// What else will be stripped they see; they rarely read it.
func (t *root) leaveDocs(r *Recipe, plan *rootfs.Tree) error {
	t.tree = plan
	removals, err := t.removals(r)
	if err != nil {
		return err
	}
	t.leaveContents(removals)
	var docs []rootfs.Owner
	for _, removal := range removals {
		if removal.Rule == trim.Docs && t.packages[removal.Package].Files()[removal.File].Flags&rpm.FileDoc != 0 {
			docs = append(docs, rootfs.Owner{Package: removal.Package, File: removal.File})
		}
	}
	return plan.Remove(docs)
}

// leaveContents has the contents of files that are stripped not unpacked.
func (t *root) leaveContents(removals []trim.Removal) {
	files := make([][]int, len(t.packages))
	for _, r := range removals {
		files[r.Package] = append(files[r.Package], r.File)
	}
	for i, pkg := range t.packages {
		t.contents.leave(pkg, files[i])
	}
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
