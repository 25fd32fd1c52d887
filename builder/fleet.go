package builder

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"slim/internal/execpath"
	"slim/internal/rpm"
)

// DefaultCore are the packages that nearly everything runs on: whether a fleet has one build of each is asked first.
func DefaultCore() []string { return []string{"glibc", "libgcc", "openssl-libs", "zlib"} }

// Fleet is what a set of images runs, and in how many builds.
//
// A build of a package is its signed header: two packages of one NEVRA with different headers are two builds. Builds of
// one EVR for several architectures are one, as long as each architecture has only one of them.
type Fleet struct {
	Members   []FleetMember
	Packages  []FleetPackage // by name
	Core      []string       // the packages that permutations are counted over
	Standards []Standard     // the permutations of the core
	Sharing   Sharing
}

// FleetMember is an image on one platform, or what a lock or a recipe makes on it.
type FleetMember struct {
	Name     string   // the reference; of a lock the lock's name and the recipe's
	Platform Platform // the zero value for a plain root
	Packages []FleetBuild
	Layers   []FleetLayer // of an image
	// Tiers says how near packages are to what an image runs; nil when that is not known: of a lock, a recipe, a plain
	// root, or an image that names no program.
	Tiers map[rpm.NEVRA]Tier
}

func (m *FleetMember) String() string {
	if m.Platform == (Platform{}) {
		return m.Name
	}
	return m.Name + " for " + m.Platform.String()
}

// FleetBuild is one build of a package.
type FleetBuild struct {
	rpm.NEVRA
	Header string // SHA-256 of the signed header, in hex; "" when only metadata is known
	Size   int64  // installed, in bytes, as the package says
}

// FleetLayer is a layer in a registry.
type FleetLayer struct {
	Digest string
	Size   int64 // compressed
}

// FleetPackage is a package and the builds of it that a fleet runs.
type FleetPackage struct {
	Name   string
	Count  int          // how many builds: ideally one
	Builds []FleetInUse // the newest first, then by architecture
}

// FleetInUse is a build and who has it.
type FleetInUse struct {
	FleetBuild
	Members []int // indexes into Fleet.Members
}

// Standard is a set of core builds that some members run: within it no two have different builds of the same. The first
// members are those that have most of the core. There is one standard exactly when each core package has one build.
type Standard struct {
	Builds  []FleetBuild // by name, then architecture
	Members []int
}

// Sharing counts what is the same in several members.
type Sharing struct {
	Packages, DifferentPackages     int   // instances, and builds
	Installed, DifferentInstalled   int64 // bytes of them
	Layers, DifferentLayers         int
	LayerBytes, DifferentLayerBytes int64 // compressed
}

// FleetOptions say how members are looked at.
type FleetOptions struct {
	Core []string // names of packages; nil is DefaultCore and what is on the direct path of two images
}

// NewFleet counts what members run. It keeps them.
func NewFleet(members []FleetMember, o FleetOptions) *Fleet {
	f := &Fleet{Members: members, Core: slices.Sorted(slices.Values(o.Core))}
	if o.Core == nil {
		f.Core = f.defaultCore()
	}
	f.identify()
	f.count()
	f.standards()
	f.share()
	return f
}

// defaultCore is DefaultCore and what is on the direct path of two images, whatever their platforms, by name.
func (f *Fleet) defaultCore() []string {
	core := DefaultCore()
	first := map[string]string{} // the image on whose direct path a package was found first
	for i := range f.Members {
		m := &f.Members[i]
		for n, tier := range m.Tiers {
			if tier != TierDirect {
				continue
			}
			if image, ok := first[n.Name]; !ok {
				first[n.Name] = m.Name
			} else if image != m.Name {
				core = append(core, n.Name)
			}
		}
	}
	slices.Sort(core)
	return slices.Compact(core)
}

// identify gives a build whose header is not known that of the only build of its NEVRA that is.
func (f *Fleet) identify() {
	known := map[rpm.NEVRA][]string{}
	f.each(func(_ int, b *FleetBuild) {
		if b.Header != "" && !slices.Contains(known[b.NEVRA], b.Header) {
			known[b.NEVRA] = append(known[b.NEVRA], b.Header)
		}
	})
	f.each(func(_ int, b *FleetBuild) {
		if headers := known[b.NEVRA]; b.Header == "" && len(headers) == 1 {
			b.Header = headers[0]
		}
	})
}

func (f *Fleet) each(visit func(member int, b *FleetBuild)) {
	for m := range f.Members {
		for b := range f.Members[m].Packages {
			visit(m, &f.Members[m].Packages[b])
		}
	}
}

func (f *Fleet) count() {
	type build struct {
		rpm.NEVRA
		header string
	}
	uses := map[string]map[build]*FleetInUse{}
	f.each(func(m int, b *FleetBuild) {
		if uses[b.Name] == nil {
			uses[b.Name] = map[build]*FleetInUse{}
		}
		key := build{b.NEVRA, b.Header}
		if uses[b.Name][key] == nil {
			uses[b.Name][key] = &FleetInUse{FleetBuild: *b}
		}
		if use := uses[b.Name][key]; !slices.Contains(use.Members, m) {
			use.Members = append(use.Members, m)
		}
	})
	for name, builds := range uses {
		p := FleetPackage{Name: name}
		for _, use := range builds {
			p.Builds = append(p.Builds, *use)
		}
		slices.SortFunc(p.Builds, func(a, b FleetInUse) int {
			return cmp.Or(b.EVR.Compare(a.EVR), strings.Compare(a.Arch, b.Arch), len(b.Members)-len(a.Members), strings.Compare(a.Header, b.Header))
		})
		p.Count = countBuilds(p.Builds)
		f.Packages = append(f.Packages, p)
	}
	slices.SortFunc(f.Packages, func(a, b FleetPackage) int { return strings.Compare(a.Name, b.Name) })
}

// countBuilds is, added up over versions, how many builds that architecture has which has most of them.
func countBuilds(sorted []FleetInUse) int {
	total := 0
	for i := 0; i < len(sorted); {
		ofArch, most := map[string]int{}, 0
		first := sorted[i].EVR
		for ; i < len(sorted) && sorted[i].EVR.Compare(first) == 0; i++ {
			ofArch[sorted[i].Arch]++
			most = max(most, ofArch[sorted[i].Arch])
		}
		total += most
	}
	return total
}

// standards deals the members out, those with most of the core first, each to the first standard that it does not
// contradict.
func (f *Fleet) standards() {
	core := make([][]FleetBuild, len(f.Members))
	f.each(func(m int, b *FleetBuild) {
		if slices.Contains(f.Core, b.Name) {
			core[m] = append(core[m], *b)
		}
	})
	order := make([]int, len(f.Members))
	for m := range order {
		order[m] = m
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(core[b]) - len(core[a]) })
	for _, m := range order {
		if len(core[m]) == 0 {
			continue
		}
		k := slices.IndexFunc(f.Standards, func(s Standard) bool { return s.agrees(core[m]) })
		if k < 0 {
			k = len(f.Standards)
			f.Standards = append(f.Standards, Standard{})
		}
		f.Standards[k].add(m, core[m])
	}
	for k := range f.Standards {
		slices.Sort(f.Standards[k].Members)
	}
}

func (s *Standard) agrees(builds []FleetBuild) bool {
	for _, a := range s.Builds {
		for _, b := range builds {
			if a.Name == b.Name && (a.EVR.Compare(b.EVR) != 0 || a.Arch == b.Arch && a.Header != b.Header) {
				return false
			}
		}
	}
	return true
}

func (s *Standard) add(member int, builds []FleetBuild) {
	s.Members = append(s.Members, member)
	for _, b := range builds {
		if !slices.ContainsFunc(s.Builds, func(a FleetBuild) bool { return a.NEVRA == b.NEVRA }) {
			s.Builds = append(s.Builds, b)
		}
	}
	slices.SortFunc(s.Builds, func(a, b FleetBuild) int { return a.NEVRA.Compare(b.NEVRA) })
}

func (f *Fleet) share() {
	s := &f.Sharing
	for _, p := range f.Packages {
		for _, b := range p.Builds {
			s.Packages, s.Installed = s.Packages+len(b.Members), s.Installed+int64(len(b.Members))*b.Size
			s.DifferentPackages, s.DifferentInstalled = s.DifferentPackages+1, s.DifferentInstalled+b.Size
		}
	}
	seen := map[string]bool{}
	for _, m := range f.Members {
		for _, l := range m.Layers {
			s.Layers, s.LayerBytes = s.Layers+1, s.LayerBytes+l.Size
			if !seen[l.Digest] {
				seen[l.Digest] = true
				s.DifferentLayers, s.DifferentLayerBytes = s.DifferentLayers+1, s.DifferentLayerBytes+l.Size
			}
		}
	}
}

// Package is the package called name, nil when no member has it.
func (f *Fleet) Package(name string) *FleetPackage {
	i, ok := slices.BinarySearchFunc(f.Packages, name, func(p FleetPackage, name string) int { return strings.Compare(p.Name, name) })
	if !ok {
		return nil
	}
	return &f.Packages[i]
}

// Limit is how many builds of a package a fleet may run.
type Limit struct {
	Name string
	Most int
}

// Exceeded are the packages of which the fleet runs more builds than limits allow, in their order.
func (f *Fleet) Exceeded(limits []Limit) []FleetPackage {
	var out []FleetPackage
	for _, l := range limits {
		if p := f.Package(l.Name); p != nil && p.Count > l.Most {
			out = append(out, *p)
		}
	}
	return out
}

// Holder is a member that has a build that was asked for.
type Holder struct {
	Member int
	Build  FleetBuild
	Tier   Tier // "" when it is not known
}

// Where are the members that have a build which want means, see ParseBuilds: those that have it on the direct path first,
// then on the loadable one; those of which it is not known last.
func (f *Fleet) Where(want rpm.Capability) []Holder {
	var out []Holder
	f.each(func(m int, b *FleetBuild) {
		if (rpm.Capability{Name: b.Name, Sense: rpm.Equal, EVR: b.EVR}).Matches(want) {
			out = append(out, Holder{m, *b, f.Members[m].Tiers[b.NEVRA]})
		}
	})
	order := append(execpath.Tiers(), "")
	slices.SortStableFunc(out, func(a, b Holder) int { return slices.Index(order, a.Tier) - slices.Index(order, b.Tier) })
	return out
}

var buildsForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*([^\s<>=()]+)\s*(?:(<=|>=|<|>|=)\s*([^\s<>=]+))?\s*$`)
})

// evrForm is what rpm's check of spec files allows in a version and a release (build/parsePreamble.c).
var evrForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([0-9]+:)?[A-Za-z0-9._+~^]+(-[A-Za-z0-9._+~^]+)?$`)
})

// ParseBuilds reads which builds of a package are meant: NAME, or NAME, a comparison and an EVR, as in
// openssl-libs<1:3.2.2-7, with blanks or without. A version without a release means all its releases, one without an
// epoch has the epoch 0.
func ParseBuilds(s string) (rpm.Capability, error) {
	m := buildsForm().FindStringSubmatch(s)
	if m == nil {
		return rpm.Capability{}, fmt.Errorf("%q is neither NAME nor NAME<EVR", s)
	}
	sense, err := rpm.ParseSense(m[2])
	if err == nil && m[3] != "" && !evrForm().MatchString(m[3]) {
		err = fmt.Errorf("%q is no [EPOCH:]VERSION[-RELEASE]", m[3])
	}
	return rpm.Capability{Name: m[1], Sense: sense, EVR: rpm.ParseEVR(m[3])}, err
}
