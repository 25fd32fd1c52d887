package scriptlet

import (
	"context"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// highPriority is the priority from which on file triggers run before %post (TRIGGER_PRIORITY_BOUND, lib/rpmtriggers.cc).
const highPriority = 10000

// triggers runs the package triggers of one kind around package i: first those of installed packages that it sets off,
// then its own that installed packages set off.
func (e *Engine) triggers(ctx context.Context, i int, slot string) error {
	for j := range e.installed {
		for k := range e.packages[j].Scriptlets {
			s := &e.packages[j].Scriptlets[k]
			if s.Slot == slot && slices.ContainsFunc(s.Triggers, func(d rpm.Dependency) bool { return e.setsOff(i, d) }) {
				if err := e.run(ctx, j, s, []int{1, 1}, nil); err != nil {
					return err
				}
			}
		}
	}
	for k := range e.packages[i].Scriptlets {
		s := &e.packages[i].Scriptlets[k]
		if s.Slot != slot {
			continue
		}
		for j := range e.installed {
			if j != i && slices.ContainsFunc(s.Triggers, func(d rpm.Dependency) bool { return e.setsOff(j, d) }) {
				if err := e.run(ctx, i, s, []int{1, 1}, nil); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// setsOff reports whether package i is what a trigger waits for: its name, and a version that fits.
func (e *Engine) setsOff(i int, d rpm.Dependency) bool {
	p := &e.packages[i]
	if p.NEVRA.Name != d.Name {
		return false
	}
	own := rpm.Capability{Name: p.NEVRA.Name, Sense: rpm.Equal, EVR: p.NEVRA.EVR}
	return d.Sense == 0 || own.Overlaps(d.Capability) || slices.ContainsFunc(p.Provides, func(c rpm.Capability) bool {
		return c.Name == d.Name && c.Overlaps(d.Capability)
	})
}

// fileTriggers runs the file triggers that package i's files set off, and its own that files of any installed package
// set off, its own included: those of high priority, or the others.
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
			if files := matching(s, e.packages[i:i+1]); len(files) > 0 {
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
		if files := matching(s, e.packages[:e.installed]); len(files) > 0 {
			list = append(list, waiting{i, s, files})
		}
	}
	slices.SortStableFunc(list[own:], func(a, b waiting) int { return byPriority(a.s, b.s) })
	for _, w := range list {
		if err := e.run(ctx, w.owner, w.s, []int{1, 1}, w.files); err != nil {
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
		if files := matching(s, e.packages); len(files) > 0 {
			if err := e.run(ctx, i, s, []int{1}, files); err != nil {
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

// matching are the files of packages that a file trigger waits for, by prefix, then by package.
func matching(s *rpm.Scriptlet, packages []Package) []string {
	var out []string
	for _, t := range s.Triggers {
		for p := range packages {
			for f := range packages[p].Files {
				if file := packages[p].Files[f].Path; strings.HasPrefix(file, t.Name) {
					out = append(out, file)
				}
			}
		}
	}
	return out
}
