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

// benchPairs is how often each thing is timed.
const benchPairs = 3

// benchSets are the packages that are also installed by dnf.
func benchSets() [][]string {
	return [][]string{
		{"bash", "coreutils", "glibc-minimal-langpack", "tzdata", "ca-certificates"},
		{"httpd"},
		{"python3", "openssl"},
	}
}

// TestBench times slim against what people use today, whole processes in turn: the same packages from the same local
// repository, by `dnf --installroot` with `tar | gzip -6`, and by slim from an empty cache; and slim against itself: the
// floor of the bytes, a cache that has everything, one package changed, many images, a big root. It reports medians and
// ratios of one run as tables for the README, and draws the growth. It fails on nothing but errors. SLIM_BENCH is the
// program to time, SLIM_BENCH_OUT the directory for its tables and pictures.
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
	t.Run("cold", b.cold)
	t.Run("change", b.change)
	t.Run("many", b.many)
	t.Run("memory", b.memory)
	t.Run("growth", b.growth)
	text := b.report()
	fmt.Print(text)
	if err := os.WriteFile(filepath.Join(b.out, "table.md"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// bench collects what is measured.
type bench struct {
	program, out string
	sets         []string // rows of the table of sets
	rest         []string // rows of the other one
}

func (b *bench) report() string {
	var s strings.Builder
	fmt.Fprintf(&s, "\nMedians of %d, %s.\n\n", benchPairs, hostName())
	if len(b.sets) > 0 {
		s.WriteString("| packages | dnf, tar, gzip -6 | slim | faster | floor | slim / floor | again, into a directory | again, registry has it | peak memory |\n" +
			"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n" + strings.Join(b.sets, ""))
	}
	if len(b.rest) > 0 {
		s.WriteString("\n| what | time | compared with | ratio | peak memory |\n| --- | --- | --- | --- | --- |\n" + strings.Join(b.rest, ""))
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
	for _, set := range benchSets() {
		recipe := sharedRecipe(t, set, "")
		floor := newFloor(t, recipe)
		var theirs, ours, floors, again, there []float64
		var peak int64
		for range benchPairs {
			dir := t.TempDir()
			script := `"$0" -c "BaseOS AppStream" "$1/root" install $2 && tar -C "$1/root" -c . | gzip -6 >"$1/image.tar.gz"`
			a := timed(t, dir, "sh", "-c", script, filepath.Join(tooltest.Shared(t), "tools/dnf-root"), dir, strings.Join(set, " "))
			one := b.build(t, dir, recipe.File, "oci:"+dir+"/oci")
			floors = append(floors, floor.run(t))
			push := "docker://" + host + "/" + filepath.Base(dir) + ":1"
			b.build(t, dir, recipe.File, push)
			theirs, ours, peak = append(theirs, a.wall), append(ours, one.wall), max(peak, one.peak)
			again = append(again, b.build(t, dir, recipe.File, "oci:"+dir+"/oci2").wall)
			there = append(there, b.build(t, dir, recipe.File, push).wall)
			os.RemoveAll(dir)
		}
		x, y, f := median(theirs), median(ours), median(floors)
		b.sets = append(b.sets, fmt.Sprintf("| %s | %.2f s | %.2f s | %.1f times | %.2f s | %.2f | %.3f s, 1/%.0f | %.3f s, 1/%.0f | %d MB |\n",
			strings.Join(set, ", "), x, y, x/y, f, y/f, median(again), y/median(again), median(there), y/median(there), peak>>20))
	}
}

// build is one run of slim in dir.
func (b *bench) build(t *testing.T, dir, recipe, dest string) run {
	t.Helper()
	return timed(t, dir, b.program, "build", "--progress", "none", "-o", dest, recipe)
}

// row adds a row to the second table.
func (b *bench) row(what string, r, with run, compared string) {
	b.rest = append(b.rest, fmt.Sprintf("| %s | %.2f s | %s, %.2f s | %.2f | %d MB |\n", what, r.wall, compared, with.wall, r.wall/with.wall, r.peak>>20))
}

// change builds an image again in which one package of a third component has a newer build.
func (b *bench) change(t *testing.T) {
	var cold, changed []run
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
		release("1-1")
		recipe := filepath.Join(repo, "change.yaml")
		writeFile(t, filepath.Join(repo, "own"), string(rpmtest.TestKey(t).Public()))
		writeFile(t, recipe, fmt.Sprintf("repository:\n  baseurl: ./$component/x86_64/os\n  components: [BaseOS, AppStream, Own]\n"+
			"  gpgkey: [own, %s/distro/RPM-GPG-KEY-slimtest]\nplatforms: [linux/amd64]\npackages: [python3, openssl, changing]\n", tooltest.Shared(t)))
		cold = append(cold, b.build(t, dir, recipe, "oci:"+dir+"/oci"))
		release("1-2")
		changed = append(changed, b.build(t, dir, recipe, "oci:"+dir+"/oci"))
		os.RemoveAll(dir)
	}
	b.row("one package of 1 MB changed: python3, openssl and it", middle(changed), middle(cold), "from nothing")
}

// many builds the images of a fleet in one run, and all packages of the distribution in one image.
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
		}
		work := t.TempDir()
		largest = append(largest, one)
		all = append(all, timed(t, work, b.program, append([]string{"build", "--progress", "none", "-o", "oci:" + work + "/oci"}, recipes...)...))
	}
	b.row(fmt.Sprintf("%d images of one lock, from nothing", len(recipes)), middle(all), middle(largest), "the largest of them alone")
}

// memory builds roots of several sizes.
func (b *bench) memory(t *testing.T) {
	text := words(1, 8<<20)
	var first run
	for n, size := range []int{256, 1024} {
		repo, dir := t.TempDir(), t.TempDir()
		var packages []*rpmtest.Package
		var names []string
		for i := range size / 64 {
			p := &rpmtest.Package{Name: fmt.Sprintf("big%d", i)}
			for k := range 8 {
				at := (i*8 + k) << 14
				p.Files = append(p.Files, rpmtest.File{Path: fmt.Sprintf("/opt/big%d/%d", i, k), Content: text[at:] + text[:at]})
			}
			packages, names = append(packages, p), append(names, p.Name)
		}
		if err := rpmtest.Repo(repo, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, packages...); err != nil {
			t.Fatal(err)
		}
		r := testRecipe(t, repo, "packages: ["+strings.Join(names, ", ")+"]")
		got := b.build(t, dir, r.File, "oci:"+dir+"/oci")
		if n == 0 {
			first = got
			continue
		}
		b.row(fmt.Sprintf("a root of %d MB (one of 256 MB: peak %d MB)", size, first.peak>>20), got, first, "one of 256 MB")
	}
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

// growth builds images of more and more packages of the distribution and draws the time they take.
func (b *bench) growth(t *testing.T) {
	var names []string
	for _, f := range glob(t, filepath.Join(tooltest.Shared(t), "distro/1"), ".rpm") {
		n, err := rpm.ParseNEVRA(strings.TrimSuffix(filepath.Base(f), ".rpm"))
		if err != nil {
			t.Fatal(err)
		}
		alone := n.Name == "coreutils-single" || n.Name == "libcurl-minimal" || strings.HasPrefix(n.Name, "systemd-standalone-")
		if !alone { // they conflict with others
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	var points []point
	for _, n := range []int{1, 5, 10, 20, 40, 80, len(names)} {
		recipe := sharedRecipe(t, names[:n], "")
		var runs []run
		for range benchPairs {
			dir := t.TempDir()
			runs = append(runs, b.build(t, dir, recipe.File, "oci:"+dir+"/oci"))
			os.RemoveAll(dir)
		}
		img := buildRecipe(t, recipe, Options{})
		p := point{seconds: middle(runs).wall, packages: len(img.Platforms[0].Packages)}
		for _, pkg := range img.Platforms[0].Packages {
			p.bytes += pkg.InstalledSize
		}
		points = append(points, p)
		if n == len(names) {
			b.row(fmt.Sprintf("all %d packages of the test distribution in one image", p.packages), middle(runs), run{wall: points[0].seconds},
				fmt.Sprintf("%d packages", points[0].packages))
		}
	}
	writeFile(t, filepath.Join(b.out, "growth.svg"), growthPicture(points))
}

// run is what one run of a program took.
type run struct {
	wall float64 // seconds
	peak int64   // bytes
}

// timed runs a command with a cache and a directory for temporary files of its own; it returns its wall time and its
// largest resident size.
func timed(t *testing.T, dir, name string, args ...string) run {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "SLIM_CACHE_DIR="+dir+"/cache", "TMPDIR="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
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
	return run{wall, <-peak}
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
		case <-time.After(10 * time.Millisecond):
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
