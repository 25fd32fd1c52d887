package solve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"slim/internal/rpm"
)

// randomRepository makes n small packages that need and exclude each other in all the ways there are.
func randomRepository(random *rand.Rand, n int) []*rpm.Metadata {
	names := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	var list []*rpm.Metadata
	seen := map[rpm.NEVRA]bool{}
	for range n {
		id := rpm.NEVRA{
			Name: names[random.IntN(len(names))], Arch: []string{"noarch", "x86_64", "x86_64", "i686"}[random.IntN(4)],
			EVR: rpm.EVR{Version: strconv.Itoa(1 + random.IntN(3)), Release: "1"},
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		list = append(list, randomPackage(random, id, names))
	}
	return list
}

func randomPackage(random *rand.Rand, id rpm.NEVRA, names []string) *rpm.Metadata {
	m := &rpm.Metadata{NEVRA: id, AllFiles: true, Provides: []rpm.Capability{{Name: id.Name, Sense: rpm.Equal, EVR: id.EVR}}}
	some := func(odds int, f func()) {
		for random.IntN(100) < odds {
			f()
		}
	}
	dep := func() rpm.Capability { return randomDependency(random, names) }
	some(40, func() {
		c := rpm.Capability{Name: []string{"x", "y", "z"}[random.IntN(3)]}
		if random.IntN(2) == 0 {
			c.Sense, c.EVR = rpm.Equal, rpm.EVR{Version: strconv.Itoa(1 + random.IntN(3))}
		}
		m.Provides = append(m.Provides, c)
	})
	some(55, func() {
		c := dep()
		if random.IntN(5) == 0 {
			c = rpm.Capability{Name: randomRich(random, names, 0)}
		}
		m.Requires = append(m.Requires, rpm.Requirement{Capability: c, Pre: random.IntN(6) == 0})
	})
	some(15, func() { m.Conflicts = append(m.Conflicts, dep()) })
	some(12, func() { m.Obsoletes = append(m.Obsoletes, dep()) })
	some(10, func() { m.Recommends = append(m.Recommends, dep()) })
	some(10, func() { m.Suggests = append(m.Suggests, dep()) })
	some(10, func() { m.Supplements = append(m.Supplements, dep()) })
	some(5, func() { m.Enhances = append(m.Enhances, dep()) })
	some(10, func() { m.Files = append(m.Files, "/f"+strconv.Itoa(random.IntN(3))) })
	return m
}

func randomDependency(random *rand.Rand, names []string) rpm.Capability {
	if random.IntN(16) == 0 {
		return rpm.Capability{Name: "/opt/f" + strconv.Itoa(random.IntN(3))}
	}
	names = append(slices.Clone(names), "x", "y", "z")
	c := rpm.Capability{Name: names[random.IntN(len(names))]}
	if random.IntN(3) == 0 {
		c.Sense = []rpm.Sense{rpm.Less, rpm.Less | rpm.Equal, rpm.Equal, rpm.Greater | rpm.Equal, rpm.Greater}[random.IntN(5)]
		c.EVR = rpm.EVR{Version: strconv.Itoa(1 + random.IntN(3))}
	}
	return c
}

func randomRich(random *rand.Rand, names []string, depth int) string {
	operand := func() string {
		if depth < 2 && random.IntN(4) == 0 {
			return randomRich(random, names, depth+1)
		}
		return randomDependency(random, names).String()
	}
	a, b := operand(), operand()
	switch random.IntN(6) {
	case 0:
		return fmt.Sprintf("(%s and %s)", a, b)
	case 1:
		return fmt.Sprintf("(%s if %s)", a, b)
	case 2:
		return fmt.Sprintf("(%s if %s else %s)", a, b, operand())
	case 3:
		return fmt.Sprintf("(%s with %s)", randomDependency(random, names), randomDependency(random, names))
	case 4:
		return fmt.Sprintf("(%s without %s)", randomDependency(random, names), randomDependency(random, names))
	}
	return fmt.Sprintf("(%s or %s)", a, b)
}

// checker says by the rules alone whether a set of packages is a solution.
type checker struct {
	list []*rpm.Metadata
	in   []bool
}

func (k *checker) provided(c rpm.Capability) bool {
	return k.anyone(func(m *rpm.Metadata) bool { return provides(m, c) })
}

func provides(m *rpm.Metadata, c rpm.Capability) bool {
	return slices.Contains(m.Files, c.Name) && c.Sense == 0 ||
		slices.ContainsFunc(m.Provides, func(p rpm.Capability) bool { return p.Matches(c) })
}

func (k *checker) anyone(f func(*rpm.Metadata) bool) bool {
	for i, m := range k.list {
		if k.in[i] && f(m) {
			return true
		}
	}
	return false
}

func (k *checker) rich(r *rpm.Rich) bool {
	switch r.Op {
	case rpm.RichAnd:
		return k.rich(r.Operands[0]) && k.rich(r.Operands[1])
	case rpm.RichOr:
		return k.rich(r.Operands[0]) || k.rich(r.Operands[1])
	case rpm.RichIf:
		if k.rich(r.Operands[1]) {
			return k.rich(r.Operands[0])
		}
		return len(r.Operands) == 2 || k.rich(r.Operands[2])
	case rpm.RichUnless:
		if k.rich(r.Operands[1]) {
			return len(r.Operands) == 3 && k.rich(r.Operands[2])
		}
		return k.rich(r.Operands[0])
	case rpm.RichWith, rpm.RichWithout:
		return k.anyone(func(m *rpm.Metadata) bool {
			return provides(m, r.Operands[0].Capability) && provides(m, r.Operands[1].Capability) == (r.Op == rpm.RichWith)
		})
	}
	return k.provided(r.Capability)
}

func (k *checker) holds(c rpm.Capability) bool {
	if !c.IsRich() {
		return k.provided(c)
	}
	r, err := rpm.ParseRich(c.Name)
	return err == nil && k.rich(r)
}

// fault is the first broken rule; "" for a solution of what the names ask for.
func (k *checker) fault(names []string) string {
	for _, n := range names {
		if !k.anyone(func(m *rpm.Metadata) bool { return m.Name == n || obsoletesName(k.list, m, n) }) {
			return "nothing for " + n
		}
	}
	for i, m := range k.list {
		if !k.in[i] {
			continue
		}
		for _, r := range m.Requires {
			if !provides(m, r.Capability) && !k.holds(r.Capability) {
				return fmt.Sprintf("%s requires %s", m.NEVRA, r)
			}
		}
		if k.anyone(func(o *rpm.Metadata) bool { return o != m && exclusive(m, o) }) {
			return fmt.Sprintf("%s stands beside what it may not", m.NEVRA)
		}
	}
	return ""
}

func obsoletesName(list []*rpm.Metadata, m *rpm.Metadata, name string) bool {
	return slices.ContainsFunc(list, func(o *rpm.Metadata) bool { return o.Name == name && o != m && obsoletes(m, o) })
}

func obsoletes(m, o *rpm.Metadata) bool {
	own := rpm.Capability{Name: o.Name, Sense: rpm.Equal, EVR: o.EVR}
	return slices.ContainsFunc(m.Obsoletes, own.Matches)
}

func exclusive(m, o *rpm.Metadata) bool {
	sameWidth := m.Arch == "noarch" || o.Arch == "noarch" || m.Arch == o.Arch
	return m.Name == o.Name && sameWidth || obsoletes(m, o) ||
		slices.ContainsFunc(m.Conflicts, func(c rpm.Capability) bool { return provides(o, c) })
}

// checkSmall solves one random request and compares with what trying all sets says.
func checkSmall(t *testing.T, random *rand.Rand) {
	list := randomRepository(random, 3+random.IntN(9))
	req := Request{Packages: list, Arch: "x86_64"}
	var names []string
	for range 1 + random.IntN(3) {
		n := list[random.IntN(len(list))].Name
		names = append(names, n)
		req.Install = append(req.Install, Item{n})
	}
	solution, err := Solve(req)
	k := &checker{list: list, in: make([]bool, len(list))}
	if err == nil {
		for i, m := range list {
			k.in[i] = slices.ContainsFunc(solution.Packages, func(c Chosen) bool { return c.Metadata == m })
		}
		if f := k.fault(names); f != "" {
			t.Errorf("%v: %s\n%s\n%s", names, f, formatAnswer(solution, nil), formatRepository(list))
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) == 0 || e.Problems[0].Summary == "" {
		t.Fatalf("%v: %v\n%s", names, err, formatRepository(list))
	}
	for set := range 1 << len(list) {
		for i := range list {
			k.in[i] = set>>i&1 == 1
		}
		if k.fault(names) == "" && !architectureAtFault(k) {
			t.Fatalf("%v: %v\nbut %v would do\n%s", names, err, k.in, formatRepository(list))
		}
	}
}

// architectureAtFault reports sets that hold an inferior architecture where the rules for those may not allow it; the
// search is stricter there than the package manager that installs the set.
func architectureAtFault(k *checker) bool {
	return k.anyone(func(m *rpm.Metadata) bool { return m.Arch == "i686" })
}

func TestAgainstBruteForce(t *testing.T) {
	count := 3000
	if s := os.Getenv("SLIM_BRUTE_FORCE"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	for seed := range uint64(count) {
		checkSmall(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzSolve(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) { checkSmall(t, rand.New(rand.NewPCG(a, b))) })
}
