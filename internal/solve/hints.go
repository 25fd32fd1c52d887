package solve

import (
	"cmp"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// notFound says that a spec names nothing, and what may have been meant.
func (a *answer) notFound(spec string) Problem {
	p := Problem{Summary: spec + " names no package, capability or path of the repository", Missing: spec}
	p.Hints = append(p.Hints, a.pool.excludedHints(spec)...)
	p.Hints = append(p.Hints, a.pool.foreignHints(spec)...)
	if len(p.Hints) == 0 {
		p.Hints = a.pool.versionHints(spec)
	}
	if c, err := rpm.ParseCapability(spec); len(p.Hints) == 0 && err == nil && !c.IsRich() {
		p.Hints = a.pool.capabilityHints(c)
	}
	if len(p.Hints) > maxHints {
		p.Hints = p.Hints[:maxHints]
	}
	return p
}

func (p *pool) excludedHints(spec string) []string {
	ids, _ := p.byForm(spec, func(int32) bool { return true })
	if len(ids) == 0 {
		if c, err := rpm.ParseCapability(spec); err == nil && !c.IsRich() {
			ids = p.providers(c)
		}
	}
	var hints []string
	for _, id := range ids {
		hints = append(hints, p.pkg(id).NEVRA.String()+" is excluded")
	}
	return hints
}

func (p *pool) foreignHints(spec string) []string {
	all := forms(spec)
	var hints []string
	for _, i := range p.foreign(func(i int32) bool {
		return slices.ContainsFunc(all, func(f form) bool { return f.matches(p.repo.NEVRA(i)) })
	}) {
		hints = append(hints, p.repo.NEVRA(i).String()+" is of another architecture")
	}
	return hints
}

// versionHints are the versions there are of a package that a spec names in another one.
func (p *pool) versionHints(spec string) []string {
	var hints []string
	for _, f := range forms(spec) {
		for _, id := range p.named(f.name) {
			if h := "there is " + p.pkg(id).NEVRA.String(); !slices.Contains(hints, h) {
				hints = append(hints, h)
			}
		}
	}
	slices.Reverse(hints)
	return hints
}

// capabilityHints are other versions, other architectures, and similar names of what nothing provides.
func (p *pool) capabilityHints(c rpm.Capability) []string {
	if c.IsRich() {
		return nil
	}
	var hints []string
	for _, id := range p.lookup(rpm.WhatProvides, c.Name) {
		for _, o := range p.pkg(id).Provides {
			if o.Name == c.Name {
				hints = append(hints, p.pkg(id).NEVRA.String()+" provides "+o.String())
			}
		}
	}
	all := p.repo.Lookup(rpm.WhatProvides, c.Name)
	for _, i := range p.foreign(func(i int32) bool { return contains(all, i) && offers(p.repo.Package(i), c) }) {
		hints = append(hints, p.repo.NEVRA(i).String()+" provides it and is of another architecture")
	}
	if len(hints) > 0 {
		return hints[:min(len(hints), maxHints)]
	}
	for _, name := range p.similar(c.Name) {
		hints = append(hints, "there is "+name)
	}
	return hints
}

// similar are names of packages and capabilities near to name, nearest first.
func (p *pool) similar(name string) []string {
	if len(name) > maxSimilar || len(name) < minSimilar {
		return nil
	}
	type near struct {
		name string
		far  int
	}
	most := max(1, len(name)/4)
	var found []near
	try := func(other string, r rpm.Relation) {
		if len(other) > len(name)+most || len(name) > len(other)+most {
			return
		}
		if d := distance(name, other, most); d <= most && len(p.lookup(r, other)) > 0 {
			found = append(found, near{other, d})
		}
	}
	for other := range p.repo.Names(rpm.Named) {
		try(other, rpm.Named)
	}
	for other := range p.repo.Names(rpm.WhatProvides) {
		if len(p.repo.Lookup(rpm.Named, other)) == 0 {
			try(other, rpm.WhatProvides)
		}
	}
	slices.SortFunc(found, func(a, b near) int { return cmp.Or(cmp.Compare(a.far, b.far), strings.Compare(a.name, b.name)) })
	var names []string
	for _, n := range found[:min(len(found), maxHints)] {
		names = append(names, n.name)
	}
	return names
}

// Lengths of names that similar ones are looked for.
const (
	minSimilar = 3
	maxSimilar = 128
)

// distance counts the insertions, deletions and replacements between a and b; above most it need not be exact.
func distance(a, b string, most int) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal, least := row[0], i
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
			least = min(least, row[j])
		}
		if least > most {
			return least
		}
	}
	return row[len(b)]
}
