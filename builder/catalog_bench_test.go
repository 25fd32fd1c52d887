package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// metadata times the answer to a request among 70 000 packages, `dnf install --assumeno` and `slim plan` in turn: the first,
// for which both read the repository's metadata, and those with a warm cache.
func (b *bench) metadata(t *testing.T) {
	dir := t.TempDir()
	repo := filepath.Join(dir, "repo")
	largeRepository(t, repo, 70_000)
	for i, set := range []string{"bash", "systemd NetworkManager dnf"} {
		recipe := filepath.Join(dir, "recipe.yaml")
		writeFile(t, recipe, fmt.Sprintf("name: large\nrepository: {name: large, baseurl: 'file://%s', gpgcheck: false}\nplatforms: [linux/amd64]\npackages: [%s]\n",
			repo, strings.ReplaceAll(set, " ", ", ")))
		// With --assumeno dnf ends with 1.
		dnf := []string{"-c", `dnf -q --installroot="$0/root" --releasever=9 --forcearch=x86_64 --setopt=reposdir=/nonexistent --setopt=varsdir=/nonexistent \
			--setopt=cachedir="$0/dnf" --setopt=logdir="$0" --setopt=install_weak_deps=0 --setopt=metadata_expire=-1 --setopt=large.gpgcheck=0 \
			--repofrompath="large,file://$0/repo" --assumeno install "$@" >"$0/dnf.out" 2>&1; test $? = 1 && grep -q "Operation aborted" "$0/dnf.out"`, dir}
		dnf = append(dnf, strings.Fields(set)...)
		slim := []string{"plan", "--progress", "none", recipe}
		pair := func() (theirs, ours run) { return timed(t, dir, "sh", dnf...), timed(t, dir, b.program, slim...) }
		if i == 0 {
			theirs, ours := pair()
			b.ask(set+", empty cache", theirs, ours)
		} else {
			pair() // which warms what is only for this set
		}
		var theirs, ours []run
		for range benchPairs {
			a, b := pair()
			theirs, ours = append(theirs, a), append(ours, b)
		}
		b.ask(set+", warm cache", middle(theirs), middle(ours))
	}
	os.RemoveAll(dir)
}

// ask adds a row to the table of requests.
func (b *bench) ask(what string, theirs, ours run) {
	b.asked = append(b.asked, fmt.Sprintf("| %s | %.2f s | %.2f s | %.1f times | %d MB | %.2f s, %.2f s |\n",
		what, theirs.wall, ours.wall, theirs.wall/ours.wall, ours.peak>>20, theirs.cpu, ours.cpu))
}
