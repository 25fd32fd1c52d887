package audit

import (
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Verdict says how a package stands to a reference.
type Verdict string

const (
	Identical      Verdict = "identical"       // the same header, byte for byte, is in the reference
	SameRepository Verdict = "same repository" // the reference has no package of that name; a key of the reference's signed it
	Drifted        Verdict = "drifted"         // the reference has another build of it
	Unknown        Verdict = "foreign"         // it is not in the reference, and no key of the reference's signed it
)

// Verdicts are all, the best first.
func Verdicts() []Verdict { return []Verdict{Identical, SameRepository, Drifted, Unknown} }

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
	Reference []rpm.NEVRA // one equal to NEVRA is another build of it
}

// Reference is what packages are compared with. Its headers are only compared, not trusted.
type Reference struct {
	Packages []Package // NEVRA and SHA256 count
	Keys     []string  // ids or fingerprints of the keys that signed them; without any, every key that proves a package does
	// Whole says that the packages are a whole repository: a package of another name is not of it.
	Whole bool
}

// Against compares packages with those of a reference.
func Against(packages []Package, reference Reference) *Comparison {
	out := &Comparison{Count: map[Verdict]int{}}
	builds := map[[2]string][]*Package{}
	key := func(p *Package) [2]string { return [2]string{p.NEVRA.Name, p.NEVRA.Arch} }
	for i := range reference.Packages {
		r := &reference.Packages[i]
		builds[key(r)] = append(builds[key(r)], r)
	}
	have := map[[2]string]bool{}
	for i := range packages {
		p := &packages[i]
		have[key(p)] = true
		c := reference.judge(p, builds[key(p)])
		out.Count[c.Verdict]++
		out.Packages = append(out.Packages, c)
	}
	for i := range reference.Packages {
		if r := &reference.Packages[i]; !reference.Whole && !have[key(r)] {
			out.Absent = append(out.Absent, r.NEVRA)
		}
	}
	slices.SortFunc(out.Packages, func(a, b Compared) int { return a.NEVRA.Compare(b.NEVRA) })
	slices.SortFunc(out.Absent, rpm.NEVRA.Compare)
	return out
}

// judge compares a package with the builds that have its name and architecture.
func (r *Reference) judge(p *Package, builds []*Package) Compared {
	c := Compared{NEVRA: p.NEVRA, Verdict: SameRepository}
	if r.Whole {
		c.Verdict = Drifted
	}
	for _, b := range builds {
		if b.SHA256 == p.SHA256 {
			return Compared{NEVRA: p.NEVRA, Verdict: Identical}
		}
		c.Verdict = Drifted
		c.Reference = append(c.Reference, b.NEVRA)
	}
	if p.Err != nil || !r.signed(p) {
		c.Verdict = Unknown
	}
	return c
}

// signed reports whether a key of the reference's signed a package that is proven.
func (r *Reference) signed(p *Package) bool {
	return len(r.Keys) == 0 || slices.ContainsFunc(r.Keys, func(k string) bool {
		return strings.EqualFold(k, p.Key.Fingerprint) || strings.EqualFold(k, p.Key.ID)
	})
}
