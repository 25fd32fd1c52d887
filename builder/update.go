package builder

import (
	"cmp"
	"context"
	"io"
	"maps"
	"slices"
	"strings"

	"slim/internal/repomd"
	"slim/internal/rpm"
)

// Change is a package that a new lock has another build of than the old one.
type Change struct {
	Platform   Platform
	Name, Arch string
	Old, New   *LockFilePackage // nil where the lock has none
	Recipes    []string         // that take it
	Advisories []Advisory       // that were announced for what lies between, oldest first
}

// Advisory is an update that the distribution announced.
type Advisory struct {
	ID       string
	Type     string // security, bugfix, enhancement ...
	Severity string
	Title    string
	CVEs     []string
}

// oneByOne takes the packages that are to be refreshed one after the other, and holds back those that cannot be.
func (l *locking) oneByOne(ctx context.Context, s *solvedPlatform, u *joint, newer bounds) error {
	taken := bounds{}
	var err error
	for _, name := range slices.Sorted(maps.Keys(newer)) {
		more := maps.Clone(taken)
		more[name] = newer[name]
		u.pins = l.locked(s, more)
		takes, fault := u.solve(ctx, more.keep)
		switch {
		case isUnsolvable(fault):
			l.result.Held = append(l.result.Held, name)
		case fault != nil:
			return fault
		default:
			taken, s.takes = more, takes
		}
	}
	if s.takes == nil {
		u.pins = l.locked(s, nil)
		s.takes, err = u.solve(ctx, bounds(nil).keep)
	}
	return err
}

// bounds are what packages have to be newer than, or at least as new as, by name.
type bounds map[string]bound

type bound struct {
	evr       rpm.EVR
	inclusive bool
}

func (b bounds) keep(n rpm.NEVRA) bool {
	least, ok := b[n.Name]
	if !ok {
		return true
	}
	c := n.EVR.Compare(least.evr)
	return c > 0 || c == 0 && least.inclusive
}

// newer are the packages to be refreshed of which the repository has something newer.
func (l *locking) newer(ctx context.Context, s *solvedPlatform) (bounds, error) {
	out := bounds{}
	switch {
	case l.req.Old == nil:
		return out, nil
	case l.req.Refresh == RefreshSecurity:
		if err := s.readAdvisories(ctx); err != nil {
			return nil, err
		}
	case l.req.Refresh != RefreshNamed:
		return out, nil
	}
	for _, p := range l.req.Old.Packages {
		if p.Platform != s.platform {
			continue
		}
		least := bound{evr: p.EVR}
		if l.req.Refresh == RefreshSecurity {
			for _, a := range s.advisories {
				if a.Type == "security" {
					least.raise(a, p.NEVRA)
				}
			}
			if !least.inclusive {
				continue
			}
		} else if !slices.Contains(l.req.Packages, p.Name) {
			continue
		}
		if c := s.repo.newest(p.Name).Compare(least.evr); c > 0 || c == 0 && least.inclusive {
			out[p.Name] = least
		}
	}
	return out, nil
}

// raise makes what an advisory has of a package the least there may be, when it is newer.
func (b *bound) raise(a repomd.Advisory, n rpm.NEVRA) {
	for _, fixed := range a.Packages {
		if fixed.Name == n.Name && fixed.Arch == n.Arch && fixed.EVR.Compare(b.evr) > 0 {
			b.evr, b.inclusive = fixed.EVR, true
		}
	}
}

// changes compares the new lock with the old one.
func (l *locking) changes(ctx context.Context) error {
	before, after := lockIndex{}, l.result.File.index()
	old := &LockFile{}
	if l.req.Old != nil {
		old = l.req.Old
		before = old.index()
	}
	platforms := allPlatforms(old.Platforms(), l.result.File.Platforms())
	for _, p := range platforms {
		names := slices.Sorted(maps.Keys(after[p]))
		for name := range before[p] {
			if after[p][name] == nil {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		var changed []Change
		for _, name := range names {
			changed = append(changed, changesOf(p, name, before[p][name], after[p][name])...)
		}
		for i := range changed {
			c := &changed[i]
			c.Recipes = distinct(append(recipesTaking(l.result.File, after, c.New), recipesTaking(old, before, c.Old)...))
			slices.Sort(c.Recipes)
		}
		if err := l.advise(ctx, p, changed); err != nil {
			return err
		}
		l.result.Changes = append(l.result.Changes, changed...)
	}
	return nil
}

func allPlatforms(a, b []Platform) []Platform {
	out := union(a, b)
	slices.SortFunc(out, comparePlatforms)
	return out
}

// changesOf pairs the builds of a name: by architecture and, where there is one on each side, whatever that is.
func changesOf(p Platform, name string, before, after []*LockFilePackage) []Change {
	var out []Change
	add := func(was, is *LockFilePackage) {
		if was != nil && is != nil && was.NEVRA == is.NEVRA && was.Checksum == is.Checksum {
			return
		}
		c := Change{Platform: p, Name: name, Old: was, New: is}
		if is != nil {
			c.Arch = is.Arch
		} else {
			c.Arch = was.Arch
		}
		out = append(out, c)
	}
	if len(before) == 1 && len(after) == 1 {
		add(before[0], after[0])
		return out
	}
	left := slices.Clone(before)
	for _, is := range after {
		i := slices.IndexFunc(left, func(was *LockFilePackage) bool { return was.Arch == is.Arch })
		if i < 0 {
			add(nil, is)
			continue
		}
		add(left[i], is)
		left = slices.Delete(left, i, i+1)
	}
	for _, was := range left {
		add(was, nil)
	}
	return out
}

func recipesTaking(f *LockFile, index lockIndex, pkg *LockFilePackage) []string {
	var out []string
	if pkg == nil {
		return nil
	}
	for _, r := range f.Recipes {
		t := r.take(pkg.Platform)
		if t != nil && slices.ContainsFunc(t.Names, func(name string) bool { return index.find(pkg.Platform, name) == pkg }) {
			out = append(out, r.File)
		}
	}
	return out
}

// advise adds the advisories of updates.
func (l *locking) advise(ctx context.Context, p Platform, changed []Change) error {
	i := slices.IndexFunc(l.solved, func(s *solvedPlatform) bool { return s.platform == p })
	updates := func(c Change) bool { return c.Old != nil && c.New != nil && c.Old.EVR.Compare(c.New.EVR) < 0 }
	if i < 0 || !slices.ContainsFunc(changed, updates) {
		return nil
	}
	s := l.solved[i]
	if err := s.readAdvisories(ctx); err != nil {
		return err
	}
	for k := range changed {
		c := &changed[k]
		if !updates(*c) {
			continue
		}
		for _, a := range s.advisories {
			if !slices.ContainsFunc(a.Packages, func(n rpm.NEVRA) bool {
				return n.Name == c.Name && n.Arch == c.Arch && n.EVR.Compare(c.Old.EVR) > 0 && n.EVR.Compare(c.New.EVR) <= 0
			}) || slices.ContainsFunc(c.Advisories, func(b Advisory) bool { return b.ID == a.ID }) {
				continue
			}
			c.Advisories = append(c.Advisories, Advisory{ID: a.ID, Type: a.Type, Severity: a.Severity, Title: a.Title, CVEs: a.CVEs()})
		}
	}
	return nil
}

// readAdvisories reads updateinfo of every component that has one, once.
func (s *solvedPlatform) readAdvisories(ctx context.Context) (err error) {
	if !s.advised {
		s.advised = true
		s.advisories, err = s.repo.readAdvisories(ctx)
	}
	return err
}

// readAdvisories reads updateinfo of every component that has one, the oldest advisories first.
func (repo *repository) readAdvisories(ctx context.Context) ([]repomd.Advisory, error) {
	var all []repomd.Advisory
	for _, src := range repo.sources {
		if _, ok := src.index.Record("updateinfo"); !ok {
			continue
		}
		err := repo.read(ctx, src, "updateinfo", func(r io.Reader) error {
			return repomd.ParseUpdateInfo(r, func(a repomd.Advisory) error {
				all = append(all, a)
				return nil
			})
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b repomd.Advisory) int {
		return cmp.Or(strings.Compare(a.Issued, b.Issued), strings.Compare(a.ID, b.ID))
	})
	return all, nil
}
