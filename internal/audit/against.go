package audit

import (
	"slices"

	"slim/internal/rpm"
)

// Verdict says how a package stands to a reference.
type Verdict string

const (
	Identical Verdict = "identical" // the same header, byte for byte, is in the reference
	Added     Verdict = "added"     // the reference has no package of that name; a known key signed it
	Drifted   Verdict = "drifted"   // the reference has another build of it
	Unknown   Verdict = "foreign"   // it is not in the reference, and no known key signed it
)

// Comparison is how each package of a root stands to a reference.
type Comparison struct {
	Packages []Compared  // by NEVRA
	Absent   []rpm.NEVRA // packages of the reference whose name and architecture the root does not have
	Count    map[Verdict]int
}

// Compared is one package and what the reference has of its name and architecture, if that is something else.
type Compared struct {
	NEVRA     rpm.NEVRA
	Verdict   Verdict
	Reference []rpm.NEVRA
}

// Against compares packages with those of a reference, whose headers are only compared, not trusted.
func Against(packages, reference []Package) *Comparison {
	out := &Comparison{Count: map[Verdict]int{}}
	builds := map[[2]string][]*Package{}
	key := func(p *Package) [2]string { return [2]string{p.NEVRA.Name, p.NEVRA.Arch} }
	for i := range reference {
		builds[key(&reference[i])] = append(builds[key(&reference[i])], &reference[i])
	}
	have := map[[2]string]bool{}
	for i := range packages {
		p := &packages[i]
		have[key(p)] = true
		c := Compared{NEVRA: p.NEVRA, Verdict: Added}
		for _, r := range builds[key(p)] {
			if r.SHA256 == p.SHA256 {
				c.Verdict, c.Reference = Identical, nil
				break
			}
			c.Verdict = Drifted
			c.Reference = append(c.Reference, r.NEVRA)
		}
		if p.Err != nil && c.Verdict != Identical {
			c.Verdict = Unknown
		}
		out.Count[c.Verdict]++
		out.Packages = append(out.Packages, c)
	}
	for i := range reference {
		if !have[key(&reference[i])] {
			out.Absent = append(out.Absent, reference[i].NEVRA)
		}
	}
	slices.SortFunc(out.Packages, func(a, b Compared) int { return a.NEVRA.Compare(b.NEVRA) })
	slices.SortFunc(out.Absent, rpm.NEVRA.Compare)
	return out
}
