package solve

import (
	"cmp"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Why a package was taken among several.
const (
	noteOnly        = "the others cannot be installed"
	notePreferred   = "preferred by the request"
	noteArch        = "of the best architecture"
	noteVersion     = "the newest version"
	noteObsoletes   = "obsoletes the others"
	noteRecommended = "recommended by a chosen package"
	noteCurrent     = "of the others there are newer versions"
	noteCommon      = "provides a newer version of what the others provide too"
	noteSuggested   = "suggested by a chosen package"
	noteName        = "first by name"
	noteShared      = "installed anyway"
	noteHeldBack    = "a newer version cannot be installed"
)

// policy orders candidates as libsolv's policy.c does, which looks at weak dependencies even when they are not
// installed.
type policy struct {
	pool    *pool
	search  *search
	favours []int32 // by package; nil when nothing is preferred

	seen     int            // how much of the trail the next two know
	advised  map[int32]bool // recommended by an installed package
	hinted   map[int32]bool // suggested by one
	richHard []*rpm.Rich    // rich Recommends of installed packages
	richSoft []*rpm.Rich    // rich Suggests
}

func newPolicy(p *pool, prefer []string) *policy {
	pol := &policy{pool: p, advised: map[int32]bool{}, hinted: map[int32]bool{}}
	for i, spec := range prefer {
		ids, _ := p.byForm(spec, p.available)
		for _, id := range ids {
			if pol.favours == nil {
				pol.favours = make([]int32, p.len())
			}
			if pol.favours[id] == 0 {
				pol.favours[id] = int32(len(prefer) - i)
			}
		}
	}
	return pol
}

func (o *policy) favour(id int32) int32 {
	if o.favours == nil {
		return 0
	}
	return o.favours[id]
}

// prune leaves the candidates that are no worse than another one of them, and says what those left out lack. It does
// not change ids.
func (o *policy) prune(ids []int32) ([]int32, string) { return o.filter(ids, false) }

// order is prune, the best first.
func (o *policy) order(ids []int32) ([]int32, string) { return o.filter(ids, true) }

func (o *policy) filter(ids []int32, reorder bool) ([]int32, string) {
	if len(ids) < 2 {
		return slices.Clone(ids), noteOnly
	}
	if o.favours == nil || !slices.ContainsFunc(ids, func(id int32) bool { return o.favours[id] != o.favours[ids[0]] }) {
		return o.filterGroup(ids, reorder)
	}
	sorted := slices.Clone(ids)
	slices.SortStableFunc(sorted, func(a, b int32) int { return cmp.Compare(o.favours[b], o.favours[a]) })
	var out []int32
	for i := 0; i < len(sorted); {
		f := o.favours[sorted[i]]
		for i < len(sorted) && o.favours[sorted[i]] == f {
			i++
		}
		// What is less preferred has to stand its ground against what is more preferred.
		best, _ := o.filterGroup(sorted[:i], reorder)
		out = append(out, filter(best, func(id int32) bool { return o.favours[id] == f })...)
	}
	return out, notePreferred
}

// filterGroup goes through the steps; the last one that changed the front is the note.
func (o *policy) filterGroup(ids []int32, reorder bool) ([]int32, string) {
	out, note := slices.Clone(ids), noteOnly
	step := func(name string, f func([]int32) []int32) {
		if len(out) < 2 {
			return
		}
		if next := f(out); len(next) < len(out) || next[0] != out[0] {
			out, note = next, name
		} else {
			out = next
		}
	}
	step(noteArch, o.bestArch)
	step(noteVersion, o.bestVersions)
	if len(out) > 1 {
		note = noteName
	}
	step(noteObsoletes, o.notObsoleted)
	step(noteRecommended, o.onlyRecommended)
	if reorder && len(out) > 1 {
		step(noteCurrent, func(ids []int32) []int32 { return partition(ids, o.current) })
		step(noteCommon, o.byCommonProvides)
		step(noteSuggested, func(ids []int32) []int32 { return partition(ids, o.suggested) })
	}
	return out, note
}

func (o *policy) bestArch(ids []int32) []int32 {
	best := bestRank(o.pool, ids)
	if best == 0 {
		return ids
	}
	return filter(ids, func(id int32) bool { return o.pool.rank[id] <= best })
}

// bestVersions leaves the newest of each name, the names in their order.
func (o *policy) bestVersions(ids []int32) []int32 {
	p := o.pool
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b int32) int {
		return cmp.Or(strings.Compare(p.pkg(a).Name, p.pkg(b).Name), compareRanks(p.rank[a], p.rank[b]), cmp.Compare(a, b))
	})
	out := sorted[:0]
	for i, id := range sorted {
		last := len(out) - 1
		switch {
		case i == 0 || p.pkg(out[last]).Name != p.pkg(id).Name:
			out = append(out, id)
		case p.pkg(out[last]).EVR.Compare(p.pkg(id).EVR) < 0:
			out[last] = id
		}
	}
	return out
}

func compareRanks(a, b uint8) int {
	if a <= rankNoarch || b <= rankNoarch {
		return 0
	}
	return cmp.Compare(a, b)
}

// notObsoleted leaves out what another candidate obsoletes, in one step or several, unless it obsoletes that one too.
func (o *policy) notObsoleted(ids []int32) []int32 {
	edges := o.obsoletesAmong(ids)
	if edges == nil {
		return ids
	}
	reach := make([][]bool, len(ids))
	for i := range ids {
		reach[i] = make([]bool, len(ids))
		walk(edges, i, reach[i])
	}
	var out []int32
	for j := range ids {
		lost := false
		for i := range ids {
			lost = lost || reach[i][j] && !reach[j][i]
		}
		if !lost {
			out = append(out, ids[j])
		}
	}
	return out
}

func walk(edges [][]int, from int, reached []bool) {
	for _, to := range edges[from] {
		if !reached[to] {
			reached[to] = true
			walk(edges, to, reached)
		}
	}
}

// obsoletesAmong are, by index into ids, the other candidates that each obsoletes; nil when none does.
func (o *policy) obsoletesAmong(ids []int32) [][]int {
	var edges [][]int
	for i, a := range ids {
		if len(o.pool.pkg(a).Obsoletes) == 0 {
			continue
		}
		for j, b := range ids {
			if i != j && o.pool.pkg(a).Name != o.pool.pkg(b).Name && o.pool.obsoletes(a, b) {
				if edges == nil {
					edges = make([][]int, len(ids))
				}
				edges[i] = append(edges[i], j)
			}
		}
	}
	return edges
}

func (o *policy) onlyRecommended(ids []int32) []int32 {
	if out := filter(ids, o.recommended); len(out) > 0 {
		return out
	}
	return ids
}

// partition puts those that are good to the front.
func partition(ids []int32, good func(int32) bool) []int32 {
	out := make([]int32, 0, len(ids))
	var rest []int32
	for _, id := range ids {
		if good(id) {
			out = append(out, id)
		} else {
			rest = append(rest, id)
		}
	}
	return append(out, rest...)
}

// current reports that there is no newer version of id's name and architecture.
func (o *policy) current(id int32) bool {
	p := o.pool
	return !slices.ContainsFunc(p.named(p.pkg(id).Name), func(other int32) bool {
		return p.pkg(other).Arch == p.pkg(id).Arch && p.pkg(other).EVR.Compare(p.pkg(id).EVR) > 0
	})
}

// common is an entry of Provides with a version.
type common struct {
	candidate int
	name      string
	evr       rpm.EVR
	below     bool // < EVR
}

func (a common) compare(b common) int {
	if c := b.evr.Compare(a.evr); c != 0 || a.below == b.below {
		return c
	}
	if a.below {
		return 1
	}
	return -1
}

// byCommonProvides orders candidates by how often they provide an older version of something another one provides:
// of two Java runtimes the newer one comes first.
func (o *policy) byCommonProvides(ids []int32) []int32 {
	entries := o.commonProvides(ids)
	slices.SortStableFunc(entries, func(a, b common) int { return cmp.Or(strings.Compare(a.name, b.name), a.compare(b)) })
	badness := make([]int, len(ids))
	bad := 0
	for i, e := range entries {
		if i == 0 || entries[i-1].name != e.name {
			bad = 0
		} else if entries[i-1].candidate != e.candidate && entries[i-1].compare(e) < 0 {
			bad++
		}
		badness[e.candidate] += bad
	}
	order := make([]int, len(ids))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(badness[a], badness[b]) })
	out := make([]int32, len(ids))
	for i, at := range order {
		out[i] = ids[at]
	}
	return out
}

func (o *policy) commonProvides(ids []int32) []common {
	var entries []common
	for i, id := range ids {
		for _, c := range o.pool.pkg(id).Provides {
			switch {
			case c.Sense == rpm.Equal && !looksLikeHash(c.EVR.String()), c.Sense == rpm.Equal|rpm.Less:
				entries = append(entries, common{candidate: i, name: c.Name, evr: c.EVR})
			case c.Sense == rpm.Less:
				entries = append(entries, common{candidate: i, name: c.Name, evr: c.EVR, below: true})
			}
		}
	}
	return entries
}

// looksLikeHash reports versions that say nothing about age.
func looksLikeHash(s string) bool {
	return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == ""
}

// attach makes the policy look at what s installs.
func (o *policy) attach(s *search) {
	o.search = s
	o.seen = 1
	o.forget(0)
}

func (o *policy) forget(trail int) {
	if trail < o.seen {
		o.seen = 0
		clear(o.advised)
		clear(o.hinted)
		o.richHard, o.richSoft = nil, nil
	}
}

// update takes in what has been installed since.
func (o *policy) update() {
	for ; o.seen < len(o.search.trail); o.seen++ {
		lit := o.search.trail[o.seen]
		if lit < 0 {
			continue
		}
		m := o.pool.pkg(lit)
		o.richHard = o.note(m.Recommends, o.advised, o.richHard)
		o.richSoft = o.note(m.Suggests, o.hinted, o.richSoft)
	}
}

func (o *policy) note(list []rpm.Capability, into map[int32]bool, rich []*rpm.Rich) []*rpm.Rich {
	for _, c := range list {
		if c.IsRich() {
			if r := o.pool.parse(c.Name); r != nil {
				rich = append(rich, r)
			}
			continue
		}
		for _, id := range o.pool.providers(c) {
			into[id] = true
		}
	}
	return rich
}

// recommended reports that an installed package recommends id, or that id supplements what is installed.
func (o *policy) recommended(id int32) bool {
	o.update()
	return o.advised[id] || o.richAdvises(o.richHard, id) || o.anyFulfilled(o.pool.pkg(id).Supplements)
}

// suggested is recommended's weaker sister.
func (o *policy) suggested(id int32) bool {
	o.update()
	return o.hinted[id] || o.richAdvises(o.richSoft, id) || o.anyFulfilled(o.pool.pkg(id).Enhances)
}

func (o *policy) anyFulfilled(list []rpm.Capability) bool {
	return slices.ContainsFunc(list, func(c rpm.Capability) bool { return o.pool.fulfilled(c, o.search.installed) })
}

// richAdvises reports that id stands in a clause of which everything that must not be installed is.
func (o *policy) richAdvises(list []*rpm.Rich, id int32) bool {
	for _, r := range list {
		for _, c := range o.pool.expand(r, false).clauses {
			if contains(c, id) && !slices.ContainsFunc(c, func(l int32) bool { return l < 0 && !o.search.installed(-l) }) {
				return true
			}
		}
	}
	return false
}
