package builder

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"slim/internal/tooltest"
)

// TestBench times slim against what people use today, whole processes in turn: the same packages from the same local
// repository, by `dnf --installroot` with `tar | gzip -6`, and by slim from an empty cache. It reports medians and
// ratios and fails on nothing but errors. SLIM_BENCH is the program to time.
func TestBench(t *testing.T) {
	program := os.Getenv("SLIM_BENCH")
	if program == "" {
		t.Skip("skipped: needs SLIM_BENCH, see make bench")
	}
	tooltest.Need(t, "dnf", "rpm")
	tooltest.NeedRoot(t)
	const pairs = 3
	fmt.Printf("%-62s %9s %9s %7s %9s\n", "packages", "dnf+gzip", "slim", "ratio", "slim peak")
	for _, set := range [][]string{
		{"bash", "coreutils", "glibc-minimal-langpack", "tzdata", "ca-certificates"},
		{"httpd"},
		{"python3", "openssl"},
	} {
		recipe := sharedRecipe(t, set, "")
		var theirs, ours, ratios []float64
		var peak int64
		for range pairs {
			dir := t.TempDir()
			script := `"$0" -c "BaseOS AppStream" "$1/root" install $2 && tar -C "$1/root" -c . | gzip -6 >"$1/image.tar.gz"`
			a, _ := timed(t, dir, "sh", "-c", script, filepath.Join(tooltest.Shared(t), "tools/dnf-root"), dir, strings.Join(set, " "))
			b, rss := timed(t, dir, program, "build", "--progress", "none", "-o", "oci:"+dir+"/oci", recipe.File)
			theirs, ours, ratios = append(theirs, a), append(ours, b), append(ratios, a/b)
			peak = max(peak, rss)
			os.RemoveAll(dir)
		}
		fmt.Printf("%-62s %7.2f s %7.2f s %6.1fx %6d MB\n", strings.Join(set, " "), median(theirs), median(ours), median(ratios), peak>>20)
	}
}

// timed runs a command with a cache and a directory for temporary files of its own; it returns its wall time in seconds
// and its largest resident size in bytes.
func timed(t *testing.T, dir, name string, args ...string) (float64, int64) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "SLIM_CACHE_DIR="+dir+"/cache", "TMPDIR="+dir)
	start := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(start).Seconds()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return wall, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
