package builder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/solve"
	"slim/internal/tooltest"
)

// treeEpoch is the time at which both sides make their trees: what dnf's programs write into files they take from
// SOURCE_DATE_EPOCH, as their manuals say.
const treeEpoch = 1_700_000_000

// treeSet is one request to both.
type treeSet struct {
	kind     string // how it was chosen
	snapshot string
	names    []string
}

func (s treeSet) String() string {
	if s.kind == "all" {
		return s.snapshot + " all"
	}
	return s.snapshot + " " + strings.Join(s.names, " ")
}

// treeRow is what came out of it.
type treeRow struct {
	packages, paths int
	differences     []string
}

// namedSets are sets that bring most of what scriptlets do.
func namedSets() []treeSet {
	var out []treeSet
	for _, names := range []string{
		"bash coreutils glibc-minimal-langpack tzdata ca-certificates",
		"httpd",
		"python3 openssl",
		"nginx redis",
		"systemd util-linux shadow-utils",
		"haproxy memcached perl sqlite",
	} {
		out = append(out, treeSet{"named", "1", strings.Fields(names)})
	}
	return out
}

// treeSets are the sets to compare: the named ones, each package alone, and sets drawn by a seed. With SLIM_CONFORMANCE=n
// all packages, alone and in one tree, and n/5 drawn sets, drawn by SLIM_CONFORMANCE_SEED; few of them without.
func treeSets(t *testing.T, all map[string]*treeSnapshot) []treeSet {
	n, seed := 0, uint64(1)
	if s := os.Getenv("SLIM_CONFORMANCE"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	if s := os.Getenv("SLIM_CONFORMANCE_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	sets := namedSets()
	if n > 0 {
		sets = append(sets, treeSet{"named", "1", everyday}, treeSet{"all", "1", compatible(t, all["1"].names)})
	}
	for i, name := range all["1"].names {
		if n > 0 || i%60 == 30 {
			sets = append(sets, treeSet{"alone", "1", []string{name}})
		}
	}
	random := rand.New(rand.NewPCG(seed, 3))
	for i := range max(1, n/5) {
		snapshot := []string{"1", "2"}[i%2]
		names := slices.Clone(all[snapshot].names)
		random.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		sets = append(sets, treeSet{"drawn", snapshot, names[:1+random.IntN(6)]})
	}
	return sets
}

// compatible are the names of packages of snapshot 1 that can all be installed together: each that excludes nothing before
// it, as the solver says.
func compatible(t *testing.T, names []string) []string {
	t.Helper()
	o := Options{CacheDir: t.TempDir()}
	var kept []string
	var add func(more []string)
	add = func(more []string) {
		_, err := Resolve(context.Background(), sharedRecipe(t, slices.Concat(kept, more), ""), o)
		var unsolvable *solve.Error
		switch {
		case err == nil:
			kept = append(kept, more...)
		case !errors.As(err, &unsolvable):
			t.Fatal(err)
		case len(more) > 1:
			add(more[:len(more)/2])
			add(more[len(more)/2:])
		}
	}
	add(names)
	return kept
}

// treeSnapshot are the packages of one snapshot of the test distribution.
type treeSnapshot struct {
	distro   string
	names    []string // sorted
	packages map[rpm.NEVRA]*rpm.Package
}

func openSnapshot(t *testing.T, distro, snapshot string) *treeSnapshot {
	t.Helper()
	s := &treeSnapshot{distro: distro, packages: map[rpm.NEVRA]*rpm.Package{}}
	files, err := filepath.Glob(filepath.Join(distro, snapshot, "*/x86_64/os/Packages/*/*.rpm"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		pkg := openTestPackage(t, file)
		if s.packages[pkg.NEVRA()] == nil {
			s.packages[pkg.NEVRA()] = pkg
			s.names = append(s.names, pkg.NEVRA().Name)
		}
	}
	slices.Sort(s.names)
	s.names = slices.Compact(s.names)
	return s
}

// TestConformanceTree compares the tree with the one that dnf and rpm leave of the same packages without documentation,
// scriptlets and triggers run: path by path kind, mode, owner, group, content, link, hard links, capabilities and device
// numbers, times of files that packages bring, and which files are not as packages bring them.
func TestConformanceTree(t *testing.T) {
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	distro := snapshots(t)
	all := map[string]*treeSnapshot{"1": openSnapshot(t, distro, "1"), "2": openSnapshot(t, distro, "2")}
	sets := treeSets(t, all)
	rows := make([]treeRow, len(sets))
	o := Options{CacheDir: t.TempDir(), WorkDir: t.TempDir()}
	contents := newContents(t.TempDir(), nil)
	defer contents.close()
	places := make(chan string, runtime.GOMAXPROCS(0)) // where dnf keeps what it knows of the repositories
	for range cap(places) {
		places <- t.TempDir()
	}
	t.Run("sets", func(t *testing.T) {
		for i, set := range sets {
			t.Run(set.String(), func(t *testing.T) {
				t.Parallel()
				place := <-places
				defer func() { places <- place }()
				root := assembleSet(t, set, all[set.snapshot], contents, o)
				if root == nil {
					t.Skip("skipped: these packages conflict, dnf says so too")
				}
				rows[i].packages = len(root.packages)
				rows[i].paths, rows[i].differences = compareWithDNF(listRoot(t, root), dnfTree(t, set, distro, place))
				if d := rows[i].differences; len(d) > 0 {
					t.Errorf("%d of %d paths differ:\n%s", len(d), rows[i].paths, strings.Join(d[:min(60, len(d))], "\n"))
				}
			})
		}
	})
	t.Log(treeTable(sets, rows))
}

// treeTable prints one line for each set.
func treeTable(sets []treeSet, rows []treeRow) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nchosen\tpackages\tpaths compared\tdifferences\tsnapshot and set")
	paths, differences, compared := 0, 0, 0
	for i, row := range rows {
		if row.packages == 0 {
			continue // not asked for, or these packages exclude each other
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", sets[i].kind, row.packages, row.paths, len(row.differences), sets[i])
		paths, differences = paths+row.paths, differences+len(row.differences)
		compared++
	}
	fmt.Fprintf(w, "all\t\t%d\t%d\t%d sets\n", paths, differences, compared)
	w.Flush()
	return b.String()
}

// assembleSet makes the root that an image of the set is made of; nil when its packages exclude each other.
func assembleSet(t *testing.T, set treeSet, snapshot *treeSnapshot, contents *contents, o Options) *root {
	t.Helper()
	r := sharedRecipe(t, set.names, "strip: {locales: all}")
	r.Repository.BaseURL, r.Repository.ReleaseVer = snapshot.distro+"/$releasever/$component/x86_64/os", set.snapshot
	lock, err := Resolve(context.Background(), r, o)
	if err != nil {
		if out, dnfErr := dnfCommand(t, set, snapshot.distro, t.TempDir(), t.TempDir(), "--assumeno").CombinedOutput(); !strings.Contains(string(out), "conflicting requests") {
			t.Fatalf("resolving: %v\ndnf says: %v %s", err, dnfErr, out)
		}
		return nil
	}
	var packages []*rpm.Package
	for _, p := range lock.Platforms[0].Packages {
		packages = append(packages, snapshot.packages[p.NEVRA])
	}
	root, err := newRoot(packages, treeEpoch, contents, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := root.fill(context.Background(), r, lock.Platforms[0].Platform); err != nil {
		t.Fatal(err)
	}
	return root
}

// dnfCommand installs the set. Signatures are not looked at: they take half of the time and change nothing in the tree.
func dnfCommand(t *testing.T, set treeSet, distro, place, root string, args ...string) *exec.Cmd {
	t.Helper()
	all := []string{"-d", distro, "-s", set.snapshot, "-c", "BaseOS AppStream", root}
	for _, component := range []string{"BaseOS", "AppStream"} {
		all = append(all, fmt.Sprintf("--setopt=%s-%s.gpgcheck=0", component, set.snapshot), fmt.Sprintf("--setopt=%s-%s.repo_gpgcheck=0", component, set.snapshot))
	}
	all = append(append(append(all, args...), "install"), set.names...)
	cmd := exec.Command(filepath.Join(tooltest.Shared(t), "tools/dnf-root"), all...)
	cmd.Env = append(os.Environ(), "TMPDIR="+place, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", treeEpoch))
	return cmd
}

// dnfTree lists what dnf leaves of the set.
func dnfTree(t *testing.T, set treeSet, distro, place string) map[string]testPath {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	cmd := dnfCommand(t, set, distro, place, root)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	defer os.RemoveAll(root)
	return listTree(t, root)
}

// packagesBuilt is when all packages of the test distribution were built: what is younger in dnf's tree was written when
// they were installed.
const packagesBuilt = 1_790_000_000

// compareWithDNF compares two trees but for dnf's and rpm's own traces, and for what differs from one installation to the
// next; it returns how many paths there were to compare.
func compareWithDNF(got, want map[string]testPath) (paths int, differences []string) {
	for _, p := range sortedPaths(got, want) {
		a, inA := got[p]
		b, inB := want[p]
		if isTrace(p) || isScriptTrace(p) || !inA && holdsTraces(want, p) || !inB && holdsTraces(got, p) {
			continue
		}
		paths++
		if b.mtime > packagesBuilt {
			b.mtime = treeEpoch
		}
		if p == "/etc/machine-id" {
			a.content, b.content = "", "" // random
		}
		switch {
		case !inA:
			differences = append(differences, "missing: "+p+" "+b.String())
		case !inB:
			differences = append(differences, "too much: "+p+" "+a.String())
		case a != b:
			difference := fmt.Sprintf("%s\n  ours   %s\n  theirs %s", p, a, b)
			if len(b.content) < 1<<16 && utf8.ValidString(b.content) {
				difference += "\n" + cmp.Diff(b.content, a.content)
			}
			differences = append(differences, difference)
		}
	}
	return paths, differences
}

// holdsTraces tells a directory that is there for dnf's and rpm's traces alone: no package has it.
func holdsTraces(tree map[string]testPath, p string) bool {
	found := p == "/dev" // in every root, for /dev/null
	for below, n := range tree {
		if !strings.HasPrefix(below, p+"/") {
			continue
		}
		trace := isTrace(below) || isScriptTrace(below)
		if !trace && n.mode&rpm.ModeType != rpm.ModeDir {
			return false
		}
		found = found || trace
	}
	return found
}

// isScriptTrace tells what is excepted, with reasons, in the package comment of internal/scriptlet.
func isScriptTrace(p string) bool {
	return slices.Contains([]string{
		"/dev/null", "/etc/.pwd.lock", "/var/cache/ldconfig/aux-cache", "/var/log/alternatives.log",
		"/var/lib/systemd/catalog/database",
	}, p)
}
