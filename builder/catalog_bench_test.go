package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slim/internal/tooltest"
)

// TestBenchMetadata times the answer to a request among 70 000 packages, whole processes in turn, both with a warm cache:
// `dnf install --assumeno` and `slim plan`. SLIM_BENCH is the program to time.
func TestBenchMetadata(t *testing.T) {
	program := os.Getenv("SLIM_BENCH")
	if program == "" {
		t.Skip("skipped: needs SLIM_BENCH, see make bench")
	}
	tooltest.Need(t, "dnf")
	tooltest.NeedRoot(t)
	const pairs = 3
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	largeRepository(t, repo, 70_000)
	fmt.Printf("%-62s %9s %9s %7s %9s\n", "request among 70 000 packages, warm cache", "dnf", "slim", "ratio", "slim peak")
	for _, set := range []string{"bash", "systemd NetworkManager dnf"} {
		recipe := filepath.Join(dir, "recipe.yaml")
		text := fmt.Sprintf("name: large\nrepository: {name: large, baseurl: 'file://%s', gpgcheck: false}\nplatforms: [linux/amd64]\npackages: [%s]\n",
			repo, strings.ReplaceAll(set, " ", ", "))
		if err := os.WriteFile(recipe, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		// With --assumeno dnf ends with 1.
		dnf := []string{"-c", `dnf -q --installroot="$0/root" --releasever=9 --forcearch=x86_64 --setopt=reposdir=/nonexistent --setopt=varsdir=/nonexistent \
			--setopt=cachedir="$0/dnf" --setopt=logdir="$0" --setopt=install_weak_deps=0 --setopt=metadata_expire=-1 --setopt=large.gpgcheck=0 \
			--repofrompath="large,file://$0/repo" --assumeno install "$@" >"$0/dnf.out" 2>&1; test $? = 1 && grep -q "Operation aborted" "$0/dnf.out"`, dir}
		dnf = append(dnf, strings.Fields(set)...)
		slim := []string{"plan", "--progress", "none", recipe}
		timed(t, dir, "sh", dnf...)
		timed(t, dir, program, slim...)
		var theirs, ours, ratios []float64
		var peak int64
		for range pairs {
			a, b := timed(t, dir, "sh", dnf...), timed(t, dir, program, slim...)
			peak = max(peak, b.peak)
			theirs, ours, ratios = append(theirs, a.wall), append(ours, b.wall), append(ratios, a.wall/b.wall)
		}
		fmt.Printf("%-62s %7.2f s %7.2f s %6.1fx %6d MB\n", set, median(theirs), median(ours), median(ratios), peak>>20)
	}
}
