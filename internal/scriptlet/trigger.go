package scriptlet

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// highPriority is the priority from which on file triggers run before %post (TRIGGER_PRIORITY_BOUND, lib/rpmtriggers.cc).
const highPriority = 10000

// triggers runs the package triggers of one kind around package i: first those of installed packages that it sets off,
// then its own that installed packages set off. Of one package another one sets off one script at most; a package may set
// off its own both times (runTriggers and runImmedTriggers, lib/psm.c).
func (e *Engine) triggers(ctx context.Context, i int, slot string) error {
	for j := range e.installed {
		if s := e.setOff(j, i, slot); s != nil {
			if err := e.run(ctx, j, s, []int{1, e.instances(i)}, nil); err != nil {
				return err
			}
		}
	}
	ran := map[*rpm.Scriptlet]bool{}
	for _, c := range e.conditions(i) {
		if ran[c.script] {
			continue
		}
		for j := range e.installed {
			if e.packages[j].NEVRA.Name != c.Name {
				continue
			}
			s := e.setOff(i, j, slot)
			if s == nil || ran[s] {
				continue
			}
			ran[s] = true
			if err := e.run(ctx, i, s, []int{e.instances(i), 1}, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// instances is how many of package i are in the rpmdb.
func (e *Engine) instances(i int) int {
	if i < e.installed {
		return 1
	}
	return 0
}

// condition is one name that a package trigger waits for.
type condition struct {
	rpm.Dependency
	script *rpm.Scriptlet
}

// conditions are those of all package triggers of package i in the order in which rpmbuild sorts them.
func (e *Engine) conditions(i int) []condition {
	var list []condition
	for k := range e.packages[i].Scriptlets {
		s := &e.packages[i].Scriptlets[k]
		if strings.HasPrefix(s.Slot, "trigger") {
			for _, t := range s.Triggers {
				list = append(list, condition{t, s})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b condition) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), cmp.Compare(a.Flags, b.Flags))
	})
	return list
}

// setOff is the script of owner's triggers that package i sets off, the first whose condition it meets; nil for none.
func (e *Engine) setOff(owner, i int, slot string) *rpm.Scriptlet {
	for _, c := range e.conditions(owner) {
		if c.script.Slot == slot && e.meets(i, c.Dependency) {
			return c.script
		}
	}
	return nil
}

// meets reports whether package i is what a trigger waits for: its name, and a version that fits.
func (e *Engine) meets(i int, d rpm.Dependency) bool {
	p := &e.packages[i]
	if p.NEVRA.Name != d.Name {
		return false
	}
	own := rpm.Capability{Name: p.NEVRA.Name, Sense: rpm.Equal, EVR: p.NEVRA.EVR}
	return own.Overlaps(d.Capability) || slices.ContainsFunc(p.Provides, func(c rpm.Capability) bool {
		return c.Name == d.Name && c.Overlaps(d.Capability)
	})
}

// fileTriggers runs the file triggers that package i's files set off, and its own that files of other installed packages
// set off: those of high priority, or the others.
func (e *Engine) fileTriggers(ctx context.Context, i int, high bool) error {
	type waiting struct {
		owner int
		s     *rpm.Scriptlet
		files []string
	}
	var list []waiting
	for j := range e.installed {
		for k := range e.packages[j].Scriptlets {
			s := &e.packages[j].Scriptlets[k]
			if s.Slot != "filetriggerin" || (s.Priority >= highPriority) != high {
				continue
			}
			if files := matching(s, e.packages[i:i+1], false); len(files) > 0 {
				list = append(list, waiting{j, s, files})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b waiting) int { return byPriority(a.s, b.s) })
	own := len(list)
	for k := range e.packages[i].Scriptlets {
		s := &e.packages[i].Scriptlets[k]
		if s.Slot != "filetriggerin" || (s.Priority >= highPriority) != high {
			continue
		}
		if files := matching(s, slices.Delete(slices.Clone(e.packages[:e.installed]), i, i+1), true); len(files) > 0 {
			list = append(list, waiting{i, s, files})
		}
	}
	slices.SortStableFunc(list[own:], func(a, b waiting) int { return byPriority(a.s, b.s) })
	for _, w := range list {
		if err := e.run(ctx, w.owner, w.s, []int{0}, w.files); err != nil {
			return err
		}
	}
	return nil
}

// transactionTriggers runs the transaction file triggers of package i that any file of any package sets off.
func (e *Engine) transactionTriggers(ctx context.Context, i int) error {
	var list []*rpm.Scriptlet
	for k := range e.packages[i].Scriptlets {
		if s := &e.packages[i].Scriptlets[k]; s.Slot == "transfiletriggerin" {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, byPriority)
	for _, s := range list {
		if files := matching(s, e.packages, true); len(files) > 0 {
			if err := e.run(ctx, i, s, []int{0}, files); err != nil {
				return err
			}
		}
	}
	return nil
}

// byPriority sorts higher ones first.
func byPriority(a, b *rpm.Scriptlet) int {
	switch {
	case a.Priority > b.Priority:
		return -1
	case a.Priority < b.Priority:
		return 1
	}
	return 0
}

// matching are the files of packages that a file trigger waits for, by prefix, then by package. Where rpm looks for them
// in its database it finds packages by their directories alone: one counts when the path of a directory, its slash
// included, has the prefix.
func matching(s *rpm.Scriptlet, packages []Package, database bool) []string {
	var out []string
	for _, t := range s.Triggers {
		for p := range packages {
			files := packages[p].Files
			if database && !slices.ContainsFunc(files, func(f rpm.File) bool { return strings.HasPrefix(f.Path[:strings.LastIndexByte(f.Path, '/')+1], t.Name) }) {
				continue
			}
			for f := range files {
				if strings.HasPrefix(files[f].Path, t.Name) {
					out = append(out, files[f].Path)
				}
			}
		}
	}
	return out
}
