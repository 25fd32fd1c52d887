package builder

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"slim/internal/image"
	"slim/internal/rpm"
)

// fillAhead is fill and cut, and packs the segments of packages that are not in below meanwhile, as they will be if no
// scriptlet changes whose files are. Where one does, the segment is packed again afterwards: it is named by all that its
// bytes depend on. So packing ahead is a matter of time alone.
func (t *root) fillAhead(ctx context.Context, r *Recipe, l *LockedPlatform, packer *image.Packer, below *stack) (parts []part, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		segments, err := t.guess(r, l, below)
		if err != nil {
			return err
		}
		return packer.Pack(ctx, segments)
	})
	group.Go(func() (err error) {
		if err = t.fill(ctx, r, l.Platform); err == nil {
			parts, err = t.cut(r.Layers, l, below)
		}
		return err
	})
	err = group.Wait()
	return parts, err
}

// guess are the segments of the packages as far as they can be told before anything is installed, the biggest packages
// first, so that nothing big is left when all else is done. What is wrong with the packages fill says.
func (t *root) guess(r *Recipe, l *LockedPlatform, below *stack) ([]image.Segment, error) {
	b, err := t.builder(l.Platform)
	if err != nil {
		return nil, nil
	}
	g := &root{packages: t.packages, tree: b.Plan(), plan: b.Plan(), epoch: t.epoch, contents: t.contents, report: func(string) {}}
	if g.trim(r) != nil {
		return nil, nil
	}
	g.leaveContents(g.removed)
	if err := g.readAccounts(); err != nil {
		return nil, err
	}
	open := g.ownKnown()
	d := &dealer{root: g, carriers: g.plan.LinkSets(), locked: l.byNEVRA()}
	order := make([]int, 0, len(t.packages))
	for i, pkg := range t.packages {
		if !open[i] && !below.packages[pkg.NEVRA().String()] {
			order = append(order, i)
		}
	}
	size := func(i int) int64 { return d.locked[t.packages[i].NEVRA()].InstalledSize }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	var segments []image.Segment
	for _, i := range order {
		if s, err := d.segment(i, nil); err == nil {
			segments = append(segments, s)
		}
	}
	return segments, nil
}

// ownKnown turns the names of owners into ids as far as they are known, and returns the packages of the others.
func (t *root) ownKnown() map[int]bool {
	open := map[int]bool{}
	for _, n := range t.tree.Nodes() {
		uid, gid := t.uid(n.User), t.gid(n.Group)
		if uid < 0 || gid < 0 {
			open[n.Package] = true
			continue
		}
		n.UID, n.GID = uint32(uid), uint32(gid)
	}
	return open
}

// byNEVRA are the packages of the lock by name.
func (l *LockedPlatform) byNEVRA() map[rpm.NEVRA]*LockedPackage {
	out := map[rpm.NEVRA]*LockedPackage{}
	for i := range l.Packages {
		out[l.Packages[i].NEVRA] = &l.Packages[i]
	}
	return out
}
