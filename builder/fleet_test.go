package builder

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/rpmtest"
)

// fleetOf makes members of lines "MEMBER: NEVRA[#HEADER] ...".
func fleetOf(t *testing.T, lines ...string) []FleetMember {
	t.Helper()
	var out []FleetMember
	for _, line := range lines {
		name, packages, _ := strings.Cut(line, ": ")
		m := FleetMember{Name: name}
		for p := range strings.FieldsSeq(packages) {
			nevra, header, _ := strings.Cut(p, "#")
			n, err := rpm.ParseNEVRA(nevra)
			if err != nil {
				t.Fatal(err)
			}
			m.Packages = append(m.Packages, FleetBuild{NEVRA: n, Header: header, Size: 1})
		}
		out = append(out, m)
	}
	return out
}

func TestFleetCounts(t *testing.T) {
	for _, c := range []struct {
		name    string
		members []string
		counts  string // of core packages a and b, and permutations
	}{
		{"nothing", []string{"x: c-1-1.noarch"}, "a 0, b 0: 0"},
		{"one build", []string{"x: a-1-1.x86_64#1 b-1-1.x86_64#2", "y: a-1-1.x86_64#1"}, "a 1, b 1: 1"},
		{"what one lacks contradicts nobody", []string{"x: a-1-1.x86_64#1", "y: b-1-1.x86_64#2", "z: a-1-1.x86_64#1 b-1-1.x86_64#2"}, "a 1, b 1: 1"},
		{"versions", []string{"x: a-1-1.x86_64#1", "y: a-1-2.x86_64#2"}, "a 2, b 0: 2"},
		{"epochs", []string{"x: a-1-1.x86_64#1", "y: a-1:1-1.x86_64#2"}, "a 2, b 0: 2"},
		{"another build of one version", []string{"x: a-1-1.x86_64#1", "y: a-1-1.x86_64#2"}, "a 2, b 0: 2"},
		{"architectures are no builds", []string{"x: a-1-1.x86_64#1", "y: a-1-1.aarch64#2"}, "a 1, b 0: 1"},
		{"their versions are", []string{"x: a-1-1.x86_64#1", "y: a-1-2.aarch64#2"}, "a 2, b 0: 2"},
		{"a build of each architecture anew", []string{"x: a-1-1.x86_64#1", "y: a-1-1.aarch64#2", "z: a-1-1.x86_64#3"}, "a 2, b 0: 2"},
		{"no header is known", []string{"x: a-1-1.x86_64", "y: a-1-1.x86_64#1"}, "a 1, b 0: 1"},
		{"which of two it is", []string{"x: a-1-1.x86_64", "y: a-1-1.x86_64#1", "z: a-1-1.x86_64#2"}, "a 3, b 0: 3"},
		{"crossed", []string{"x: a-1-1.x86_64#1 b-1-1.x86_64#1", "y: a-1-1.x86_64#1 b-1-2.x86_64#2", "z: a-1-2.x86_64#2 b-1-1.x86_64#1"}, "a 2, b 2: 3"},
		{"two at once", []string{"x: a-1-1.x86_64#1 a-2-1.x86_64#2"}, "a 2, b 0: 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFleet(fleetOf(t, c.members...), FleetOptions{Core: []string{"b", "a"}})
			count := func(name string) int {
				if p := f.Package(name); p != nil {
					return p.Count
				}
				return 0
			}
			if got := fmt.Sprintf("a %d, b %d: %d", count("a"), count("b"), len(f.Standards)); got != c.counts {
				t.Errorf("%s, want %s", got, c.counts)
			}
		})
	}
}

// TestFleetProperties checks random fleets against what has to hold of each: there is one permutation exactly when each
// core package has one build, never fewer than builds of any, no standard contradicts itself; no plan has fewer rebuilds,
// and a fleet that follows it has one build of each package.
func TestFleetProperties(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 1))
		var lines []string
		for m := range 1 + random.IntN(6) {
			line := fmt.Sprintf("m%d:", m)
			for _, name := range []string{"a", "b", "c", "d"} {
				if random.IntN(4) > 0 {
					line += fmt.Sprintf(" %s-%d-1.x86_64#%d", name, 1+random.IntN(1+int(seed%3)), random.IntN(1+int(seed/3%4)))
				}
			}
			lines = append(lines, line)
		}
		o := FleetOptions{Core: []string{"a", "b", "c"}}
		f := NewFleet(fleetOf(t, lines...), o)
		most := 0
		for _, name := range o.Core {
			if p := f.Package(name); p != nil {
				most = max(most, p.Count)
			}
		}
		if len(f.Standards) < most || (len(f.Standards) <= 1) != (most <= 1) {
			t.Fatalf("seed %d: %d permutations, and up to %d builds\n%s", seed, len(f.Standards), most, strings.Join(lines, "\n"))
		}
		if least := fewestStandards(f); len(f.Standards) < least {
			t.Fatalf("seed %d: %d permutations, fewer than the %d that are possible\n%s", seed, len(f.Standards), least, strings.Join(lines, "\n"))
		}
		plan := f.Plan()
		if least := fewestRebuilds(f); len(plan) != least {
			t.Fatalf("seed %d: the plan has %d rebuilds, %d are enough\n%s", seed, len(plan), least, strings.Join(lines, "\n"))
		}
		for _, r := range plan {
			for _, c := range r.Changes {
				if c.To.EVR.Compare(c.From.EVR) < 0 {
					t.Fatalf("seed %d: %s goes back to %s", seed, c.From, c.To)
				}
				for b := range f.Members[r.Member].Packages {
					if p := &f.Members[r.Member].Packages[b]; *p == c.From {
						*p = c.To
					}
				}
			}
		}
		after := NewFleet(f.Members, o)
		for _, p := range after.Packages {
			if p.Count != 1 {
				t.Fatalf("seed %d: after the plan there are %d builds of %s\n%s", seed, p.Count, p.Name, strings.Join(lines, "\n"))
			}
		}
		if len(after.Plan()) > 0 {
			t.Fatalf("seed %d: after the plan there is another\n%s", seed, strings.Join(lines, "\n"))
		}
	}
}

// fewestRebuilds tries each way to choose one build of the newest version of each package.
func fewestRebuilds(f *Fleet) int {
	best := len(f.Members)
	var choose func(at int, chosen map[string]FleetBuild)
	choose = func(at int, chosen map[string]FleetBuild) {
		if at == len(f.Packages) {
			rebuilds := 0
			for _, m := range f.Members {
				if slices.ContainsFunc(m.Packages, func(b FleetBuild) bool { return b != chosen[b.Name] }) {
					rebuilds++
				}
			}
			best = min(best, rebuilds)
			return
		}
		p := f.Packages[at]
		for _, b := range p.Builds {
			if b.EVR == p.Builds[0].EVR {
				chosen[p.Name] = b.FleetBuild
				choose(at+1, chosen)
			}
		}
	}
	choose(0, map[string]FleetBuild{})
	return best
}

// fewestStandards tries all ways to deal the members with any core package out.
func fewestStandards(f *Fleet) int {
	var core [][]FleetBuild
	for m := range f.Members {
		var builds []FleetBuild
		for _, b := range f.Members[m].Packages {
			if slices.Contains(f.Core, b.Name) {
				builds = append(builds, b)
			}
		}
		if len(builds) > 0 {
			core = append(core, builds)
		}
	}
	best := len(core)
	var deal func(at int, standards []Standard)
	deal = func(at int, standards []Standard) {
		if at == len(core) {
			best = min(best, len(standards))
			return
		}
		for k := range standards {
			if standards[k].agrees(core[at]) {
				next := slices.Clone(standards)
				next[k].Builds = slices.Clone(next[k].Builds)
				next[k].add(at, core[at])
				deal(at+1, next)
			}
		}
		one := Standard{}
		one.add(at, core[at])
		deal(at+1, append(slices.Clone(standards), one))
	}
	deal(0, nil)
	return best
}

func TestFleetPlan(t *testing.T) {
	f := NewFleet(fleetOf(t, "old: a-1-1.x86_64#1 b-1-1.x86_64#1", "new: a-2-1.x86_64#2", "arm: a-1-1.aarch64#3", "rebuilt: b-1-1.x86_64#2", "b: b-1-1.x86_64#2"), FleetOptions{})
	var got []string
	for _, r := range f.Plan() {
		for _, c := range r.Changes {
			got = append(got, fmt.Sprintf("%s: %s#%s -> %s#%s", f.Members[r.Member].Name, c.From.NEVRA, c.From.Header, c.To.NEVRA, c.To.Header))
		}
	}
	want := []string{"old: a-1-1.x86_64#1 -> a-2-1.x86_64#2", "old: b-1-1.x86_64#1 -> b-1-1.x86_64#2", "arm: a-1-1.aarch64#3 -> a-2-1.aarch64#"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestFleetPlanFewest: the build that most have of each package would leave none of these as it is.
func TestFleetPlanFewest(t *testing.T) {
	f := NewFleet(fleetOf(t, "x: a-1-1.x86_64#1 b-1-1.x86_64#1", "y: a-1-1.x86_64#1 b-1-1.x86_64#2", "z: a-1-1.x86_64#1 b-1-1.x86_64#3", "v: a-1-1.x86_64#2 b-1-1.x86_64#4", "w: a-1-1.x86_64#2 b-1-1.x86_64#4"), FleetOptions{})
	if plan := f.Plan(); len(plan) != 3 || plan[2].Member != 2 || plan[0].Changes[0].To.Header != "2" {
		t.Errorf("%+v", plan)
	}
}

func TestFleetWhere(t *testing.T) {
	f := NewFleet(fleetOf(t, "x: a-1-1.x86_64", "y: a-1-2.x86_64 ab-1-1.x86_64", "z: a-1:0-1.x86_64"), FleetOptions{})
	for expression, want := range map[string]string{
		"a": "xyz", "a<1-2": "x", "a <= 1-2": "xy", "a>1-1": "yz", "a>=1:0": "z", "a=1": "xy", "a < 1": "", "b": "", "a>1": "z",
	} {
		c, err := ParseBuilds(expression)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, h := range f.Where(c) {
			got += f.Members[h.Member].Name
		}
		if got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
	for _, expression := range []string{"", "<1", "a<", "a<<1", "a<1 b", "(a or b)", "a ~ 1", "a<1:", "a<x:1", "a<1-2-3", "a<-1", "a<1-"} {
		if c, err := ParseBuilds(expression); err == nil {
			t.Errorf("%q: %v", expression, c)
		}
	}
}

// TestFleetTiers: what is on the direct path of two images belongs to the core, and where says who has it there first.
func TestFleetTiers(t *testing.T) {
	members := fleetOf(t, "x: a-1-1.x86_64 b-1-1.x86_64 glibc-1-1.x86_64", "y: a-1-2.x86_64 b-1-1.x86_64", "y: a-1-2.aarch64", "z: a-1-1.x86_64 b-1-1.x86_64", "lock: a-1-1.x86_64")
	for m, tiers := range []map[string]Tier{{"a": TierIdle, "b": TierDirect}, {"a": TierDirect, "b": TierLoadable}, {"a": TierDirect}, {"a": TierDirect, "b": TierLoadable}} {
		members[m].Tiers = map[rpm.NEVRA]Tier{}
		for _, b := range members[m].Packages {
			members[m].Tiers[b.NEVRA] = tiers[b.Name]
		}
	}
	f := NewFleet(members, FleetOptions{})
	if want := []string{"a", "glibc", "libgcc", "openssl-libs", "zlib"}; !slices.Equal(f.Core, want) {
		t.Errorf("core %v, want %v", f.Core, want)
	}
	if f := NewFleet(members[1:3], FleetOptions{}); !slices.Equal(f.Core, DefaultCore()) {
		t.Errorf("one image of two platforms makes %v the core", f.Core)
	}
	var got []string
	for _, h := range f.Where(rpm.Capability{Name: "a"}) {
		got = append(got, f.Members[h.Member].Name+" "+string(h.Tier))
	}
	if d := cmp.Diff([]string{"y direct", "y direct", "z direct", "x idle", "lock "}, got); d != "" {
		t.Error(d)
	}
}

// TestReadFleet reads the same packages from an image, a layout, a lock and a recipe: all are one build.
func TestReadFleet(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, requiringPackages)
	r := testRecipe(t, repo, "packages: [app]")
	ref := writeImage(t, buildRecipe(t, r, Options{}).Platforms[0].Image)
	o := Options{WorkDir: t.TempDir(), CacheDir: t.TempDir()}
	result, err := MakeLock(t.Context(), LockRequest{Dir: filepath.Dir(r.File), Recipes: []*Recipe{r}}, o)
	if err != nil {
		t.Fatal(err)
	}
	recipeOnly, err := ReadFleet(t.Context(), []string{r.File}, RecipeOptions{}, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.File.Write(LockPath(r)); err != nil {
		t.Fatal(err)
	}
	layout := strings.TrimPrefix(ref, "oci:")
	members, err := ReadFleet(t.Context(), []string{ref, layout, LockPath(r), r.File, filepath.Dir(r.File)}, RecipeOptions{}, o)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFleet(append(members, recipeOnly...), FleetOptions{Core: []string{"app", "libz"}})
	if len(f.Members) != 6 || len(f.Packages) != 4 || len(f.Standards) != 1 {
		t.Errorf("%d members, %d packages, %d permutations", len(f.Members), len(f.Packages), len(f.Standards))
	}
	for _, p := range f.Packages {
		if p.Count != 1 || len(p.Builds[0].Members) != 6 || len(p.Builds[0].Header) != 64 {
			t.Errorf("%+v", p)
		}
	}
	if s := f.Sharing; s.DifferentLayers == 0 || s.Layers < 2*s.DifferentLayers || s.LayerBytes < 2*s.DifferentLayerBytes {
		t.Errorf("%+v", s)
	}
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "x"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = ReadFleet(t.Context(), []string{empty, filepath.Join(empty, "no.lock"), ref}, RecipeOptions{}, o)
	if err == nil || !strings.Contains(err.Error(), "no OCI layout") || !strings.Contains(err.Error(), "no.lock") {
		t.Errorf("both are not named: %v", err)
	}
}
