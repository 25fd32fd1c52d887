package builder

import (
	"cmp"
	"maps"
	"slices"

	"slim/internal/rpm"
)

// Rebuild is a member that has to be made anew, and which of its packages would change.
type Rebuild struct {
	Member  int
	Changes []FleetMove // by name
}

// FleetMove is a change of a package's build.
type FleetMove struct{ From, To FleetBuild }

// Plan is the fewest members to make anew so that the fleet runs one build of each package: one of the newest version that
// any member has. Going back is no way: what is fixed would be open again. Where several builds have that version the
// members that can stay as they are decide.
func (f *Fleet) Plan() []Rebuild {
	p := planner{newest: map[string]rpm.EVR{}, to: map[buildSlot]FleetBuild{}}
	for _, pkg := range f.Packages {
		p.newest[pkg.Name] = pkg.Builds[0].EVR
	}
	for _, m := range p.staying(f.Members) {
		for _, b := range f.Members[m].Packages {
			p.to[slotOf(&b)] = b
		}
	}
	for _, pkg := range f.Packages { // of what no member that stays has, the build that most have
		for _, b := range pkg.Builds {
			slot := slotOf(&b.FleetBuild)
			if _, ok := p.to[slot]; ok {
				continue
			}
			to := b.FleetBuild
			if p.isOld(&to) { // another architecture has a newer version
				to.EVR, to.Header = p.newest[b.Name], ""
			}
			p.to[slot] = to
		}
	}
	var out []Rebuild
	for m := range f.Members {
		r := Rebuild{Member: m}
		for _, b := range f.Members[m].Packages {
			if target := p.to[slotOf(&b)]; target.NEVRA != b.NEVRA || target.Header != b.Header {
				r.Changes = append(r.Changes, FleetMove{b, target})
			}
		}
		if len(r.Changes) > 0 {
			slices.SortFunc(r.Changes, func(a, b FleetMove) int { return a.From.NEVRA.Compare(b.From.NEVRA) })
			out = append(out, r)
		}
	}
	return out
}

// buildSlot is what has one build in the end.
type buildSlot struct{ name, arch string }

func slotOf(b *FleetBuild) buildSlot { return buildSlot{b.Name, b.Arch} }

type planner struct {
	newest map[string]rpm.EVR
	to     map[buildSlot]FleetBuild
}

func (p *planner) isOld(b *FleetBuild) bool { return p.newest[b.Name].Compare(b.EVR) != 0 }

// stayers are members that have the same builds.
type stayers struct {
	builds  map[buildSlot]string // headers
	members []int
}

// staying are the most members that have no old build and agree with each other.
func (p *planner) staying(members []FleetMember) []int {
	var groups []stayers
	for m := range members {
		builds, ok := p.current(&members[m])
		if !ok {
			continue
		}
		i := slices.IndexFunc(groups, func(s stayers) bool { return maps.Equal(s.builds, builds) })
		if i < 0 {
			i, groups = len(groups), append(groups, stayers{builds: builds})
		}
		groups[i].members = append(groups[i].members, m)
	}
	slices.SortStableFunc(groups, func(a, b stayers) int { return cmp.Compare(len(b.members), len(a.members)) })
	c := choice{groups: groups, steps: maxPlanSteps}
	total := 0
	for i := range groups {
		total += len(groups[i].members)
	}
	c.search(0, nil, 0, total)
	var out []int
	for _, i := range c.best {
		out = append(out, groups[i].members...)
	}
	return out
}

// current are the headers of a member's builds, not ok when it has an old one or two of the same package.
func (p *planner) current(m *FleetMember) (builds map[buildSlot]string, ok bool) {
	builds = map[buildSlot]string{}
	for i := range m.Packages {
		b := &m.Packages[i]
		if have, twice := builds[slotOf(b)]; p.isOld(b) || twice && have != b.Header {
			return nil, false
		}
		builds[slotOf(b)] = b.Header
	}
	return builds, true
}

func agree(a, b map[buildSlot]string) bool {
	for slot, header := range a {
		if other, ok := b[slot]; ok && other != header {
			return false
		}
	}
	return true
}

// maxPlanSteps bounds the search for the most members that agree. Beyond it, with dozens of rebuilt packages crossed over
// dozens of images, the best that was found counts.
const maxPlanSteps = 1 << 18

// choice looks for the groups that agree and have most members: the largest first, each taken or not.
type choice struct {
	groups []stayers
	steps  int
	best   []int
	most   int
}

func (c *choice) search(at int, taken []int, members, left int) {
	if c.steps--; members > c.most {
		c.most, c.best = members, slices.Clone(taken)
	}
	if at == len(c.groups) || members+left <= c.most || c.steps < 0 {
		return
	}
	g := &c.groups[at]
	if !slices.ContainsFunc(taken, func(i int) bool { return !agree(c.groups[i].builds, g.builds) }) {
		c.search(at+1, append(taken, at), members+len(g.members), left-len(g.members))
	}
	c.search(at+1, taken, members, left-len(g.members))
}
