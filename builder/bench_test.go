package builder

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"slim/internal/rpm"
	"slim/internal/rpmtest"
	"slim/internal/tooltest"
)

// benchPairs is how often each thing is timed, and benchPairsLarge how often the images of the growth.
const (
	benchPairs      = 3
	benchPairsLarge = 2
)

// benchSet are packages that dnf installs too.
type benchSet struct {
	what  string
	names []string
	pairs int
}

func benchSets(t *testing.T) []benchSet {
	var sets []benchSet
	for _, names := range [][]string{
		{"bash", "coreutils", "glibc-minimal-langpack", "tzdata", "ca-certificates"},
		{"httpd"},
		{"python3", "openssl"},
	} {
		sets = append(sets, benchSet{strings.Join(names, ", "), names, benchPairs})
	}
	all := compatible(t, distributionNames(t))
	return append(sets, benchSet{fmt.Sprintf("all %d of the test distribution that go together (once)", len(all)), all, 1})
}

// distributionNames are the names of the packages of the test distribution, sorted.
func distributionNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, f := range glob(t, filepath.Join(tooltest.Shared(t), "distro/1"), ".rpm") {
		n, err := rpm.ParseNEVRA(strings.TrimSuffix(filepath.Base(f), ".rpm"))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// TestBench times slim against what people use today, whole processes in turn: the same packages from the same local
// repository, by `dnf --installroot` with `tar | gzip -6`, and by slim from an empty cache; and slim against itself: the
// floor of the bytes, a cache that has everything, one package changed, many images, big roots; and requests among 70 000
// packages against dnf. It reports medians and ratios of one run as tables for the README, and draws the growth. It fails
// on nothing but errors. SLIM_BENCH is the program to time, SLIM_BENCH_OUT the directory for its tables and pictures.
func TestBench(t *testing.T) {
	b := &bench{program: os.Getenv("SLIM_BENCH"), out: os.Getenv("SLIM_BENCH_OUT")}
	if b.program == "" || b.out == "" {
		t.Skip("skipped: needs SLIM_BENCH and SLIM_BENCH_OUT, see make bench")
	}
	tooltest.Need(t, "dnf", "rpm", "docker-registry")
	tooltest.NeedRoot(t)
	if err := os.MkdirAll(b.out, 0o777); err != nil {
		t.Fatal(err)
	}
	// What is measured is written after each part, so that it is there when one fails.
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{{"cold", b.cold}, {"change", b.change}, {"many", b.many}, {"metadata", b.metadata}, {"growth", b.growth}} {
		t.Run(part.name, part.run)
		writeFile(t, filepath.Join(b.out, "table.md"), b.report())
	}
	fmt.Print(b.report())
}

// bench collects what is measured.
type bench struct {
	program, out string
	sets         []string // rows of the table of sets
	rest         []string // rows of the other one
	asked        []string // rows of the table of requests
	straight     []string // lines about the growth
}

func (b *bench) report() string {
	var s strings.Builder
	fmt.Fprintf(&s, "\nWhole processes in one run, medians of %d (of the growth: of %d), on %s. CPU is user and system.\n", benchPairs, benchPairsLarge, hostName())
	table := func(head string, rows []string) {
		if len(rows) > 0 {
			columns := strings.Count(head, "|") - 1
			fmt.Fprintf(&s, "\n%s\n|%s\n%s", head, strings.Repeat(" --- |", columns), strings.Join(rows, ""))
		}
	}
	table("| packages | dnf, tar, gzip -6 | slim, empty cache | faster | floor | slim / floor | into a registry, with its documents | again | again, registry has it | again, into an empty directory | peak memory | CPU: dnf ..., slim |", b.sets)
	table("| what | time | compared with | ratio | peak memory | CPU of both |", b.rest)
	table("| request among 70 000 packages | dnf | slim | faster | peak memory | CPU of both |", b.asked)
	if len(b.straight) > 0 {
		fmt.Fprintf(&s, "\nGrowth (growth.svg):\n\n- %s\n", strings.Join(b.straight, "\n- "))
	}
	return s.String()
}

// hostName names the machine as far as Linux tells.
func hostName() string {
	name := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores of %s, %s", runtime.NumCPU(), name, runtime.Version())
}

// cold times the sets, each from nothing and once more.
func (b *bench) cold(t *testing.T) {
	host := startRegistry(t)
	for _, set := range benchSets(t) {
		recipe := sharedRecipe(t, set.names, "")
		floor := newFloor(t, recipe)
		var theirs, ours, pushed, again, there, elsewhere []run
		var floors []float64
		for range set.pairs {
			dir := t.TempDir()
			script := `"$0" -c "BaseOS AppStream" "$1/root" install $2 && tar -C "$1/root" -c . | gzip -6 >"$1/image.tar.gz"`
			theirs = append(theirs, timed(t, dir, "sh", "-c", script, filepath.Join(tooltest.Shared(t), "tools/dnf-root"), dir, strings.Join(set.names, " ")))
			ours = append(ours, b.build(t, dir, recipe.File, "oci:"+dir+"/oci"))
			floors = append(floors, floor.run(t))
			push := "docker://" + host + "/" + filepath.Base(dir) + ":1"
			fresh := t.TempDir()
			pushed = append(pushed, b.build(t, fresh, recipe.File, "docker://"+host+"/"+filepath.Base(dir)+"-fresh:1"))
			os.RemoveAll(fresh)
			b.build(t, dir, recipe.File, push)
			again = append(again, b.build(t, dir, recipe.File, "oci:"+dir+"/oci"))
			there = append(there, b.build(t, dir, recipe.File, push))
			elsewhere = append(elsewhere, b.build(t, dir, recipe.File, "oci:"+dir+"/oci2"))
			os.RemoveAll(dir)
		}
		x, y, f := middle(theirs), middle(ours), median(floors)
		ratio := func(runs []run) string {
			return fmt.Sprintf("%.3f s, 1/%.0f", middle(runs).wall, y.wall/middle(runs).wall)
		}
		b.sets = append(b.sets, fmt.Sprintf("| %s | %.2f s | %.2f s | %.1f times | %.2f s | %.2f | %.2f s | %s | %s | %s | %d MB | %.2f s, %.2f s |\n",
			set.what, x.wall, y.wall, x.wall/y.wall, f, y.wall/f, middle(pushed).wall, ratio(again), ratio(there), ratio(elsewhere), y.peak>>20, x.cpu, y.cpu))
	}
}

// build is one run of slim in dir.
func (b *bench) build(t *testing.T, dir, recipe, dest string) run {
	t.Helper()
	return timed(t, dir, b.program, "build", "--progress", "none", "-o", dest, recipe)
}

// row adds a row to the second table.
func (b *bench) row(what string, r, with run, compared string) {
	b.rest = append(b.rest, fmt.Sprintf("| %s | %.2f s | %s, %.2f s | %.2f | %d MB | %.2f s, %.2f s |\n",
		what, r.wall, compared, with.wall, r.wall/with.wall, r.peak>>20, r.cpu, with.cpu))
}

// change builds an image again in which one package of a third component has a newer build, and that package alone.
func (b *bench) change(t *testing.T) {
	var cold, changed, alone []run
	for range benchPairs {
		dir, repo := t.TempDir(), t.TempDir()
		for _, c := range []string{"BaseOS", "AppStream"} {
			if err := os.Symlink(filepath.Join(tooltest.Shared(t), "distro/1", c), filepath.Join(repo, c)); err != nil {
				t.Fatal(err)
			}
		}
		release := func(evr string) {
			pkg := &rpmtest.Package{Name: "changing", EVR: evr, Files: []rpmtest.File{{Path: "/opt/changing", Content: words(1, 1<<20) + evr}}}
			if err := rpmtest.Repo(filepath.Join(repo, "Own/x86_64/os"), rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, pkg); err != nil {
				t.Fatal(err)
			}
		}
		recipe := func(name, components, packages string) string {
			file := filepath.Join(repo, name)
			writeFile(t, file, fmt.Sprintf("repository:\n  baseurl: ./$component/x86_64/os\n  components: [%s]\n"+
				"  gpgkey: [own, %s/distro/RPM-GPG-KEY-slimtest]\nplatforms: [linux/amd64]\npackages: [%s]\n", components, tooltest.Shared(t), packages))
			return file
		}
		writeFile(t, filepath.Join(repo, "own"), string(rpmtest.TestKey(t).Public()))
		release("1-1")
		whole := recipe("change.yaml", "BaseOS, AppStream, Own", "python3, openssl, changing")
		cold = append(cold, b.build(t, dir, whole, "oci:"+dir+"/oci"))
		release("1-2")
		changed = append(changed, b.build(t, dir, whole, "oci:"+dir+"/oci"))
		alone = append(alone, b.build(t, t.TempDir(), recipe("alone.yaml", "Own", "changing"), "oci:"+dir+"/alone"))
		os.RemoveAll(dir)
	}
	what := "one package of 1 MB changed: python3, openssl and it"
	b.row(what, middle(changed), middle(cold), "from nothing")
	b.row(what, middle(changed), middle(alone), "that package alone from nothing")
}

// many builds the images of a fleet in one run.
func (b *bench) many(t *testing.T) {
	dir := copyFleet(t)
	recipes := glob(t, dir, ".yaml")
	timed(t, t.TempDir(), b.program, append([]string{"lock"}, recipes...)...)
	var all, largest []run
	for range benchPairs {
		var one run
		for _, r := range recipes {
			work := t.TempDir()
			if got := b.build(t, work, r, "oci:"+work+"/oci"); got.wall > one.wall {
				one = got
			}
			os.RemoveAll(work)
		}
		work := t.TempDir()
		largest = append(largest, one)
		all = append(all, timed(t, work, b.program, append([]string{"build", "--progress", "none", "-o", "oci:" + work + "/oci"}, recipes...)...))
		os.RemoveAll(work)
	}
	b.row(fmt.Sprintf("%d images of one lock, from nothing", len(recipes)), middle(all), middle(largest), "the largest of them alone")
}

// words is n bytes of words that compress as programs do, the same for the same seed.
func words(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	list := make([]string, 4096)
	for i := range list {
		list[i] = fmt.Sprintf("%x", r.Uint64N(1<<(8+r.UintN(40))))
	}
	var s strings.Builder
	for s.Len() < n {
		s.WriteString(list[r.IntN(len(list))])
		s.WriteByte(byte(r.UintN(64)))
	}
	return s.String()[:n]
}

// run is what one run of a program took.
type run struct {
	wall float64 // seconds
	cpu  float64 // seconds, user and system, with the programs that it ran
	peak int64   // bytes
}

// timed runs a command with a cache and a directory for temporary files in dir; it returns its times and its largest
// resident size.
func timed(t *testing.T, dir, name string, args ...string) run {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "SLIM_CACHE_DIR="+dir+"/cache", "TMPDIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := exec.Command("sync").Run(); err != nil { // nobody waits for what another wrote
		t.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	peak := make(chan int64)
	go func() { peak <- watchPeak(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	wall := time.Since(start).Seconds()
	close(done)
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &out)
	}
	return run{wall, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), <-peak}
}

// watchPeak asks for a process's largest resident size until done. What wait4(2) says of it counts its parent too.
func watchPeak(pid int, done chan struct{}) int64 {
	var peak int64
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			for line := range strings.Lines(string(status)) {
				var kb int64
				if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
					peak = max(peak, kb<<10)
				}
			}
		}
		select {
		case <-done:
			return peak
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// middle is the run of median time, with the largest peak of all.
func middle(runs []run) run {
	slices.SortFunc(runs, func(a, b run) int { return int(1e6 * (a.wall - b.wall)) })
	m := runs[len(runs)/2]
	for _, r := range runs {
		m.peak = max(m.peak, r.peak)
	}
	return m
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// startRegistry runs a registry and returns where.
func startRegistry(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	writeFile(t, dir+"/config.yml", fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %q}\n", dir, host))
	cmd := exec.Command("docker-registry", "serve", dir+"/config.yml")
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return host
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("the registry does not answer")
	return ""
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// copyFleet copies the recipes of the test fleet, with the shared repository by its absolute address.
func copyFleet(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range glob(t, "testdata/fleet", ".yaml") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, filepath.Base(f)), strings.ReplaceAll(string(b), "../../../../shared", tooltest.Shared(t)))
	}
	return dir
}
