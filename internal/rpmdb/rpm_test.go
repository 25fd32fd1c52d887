package rpmdb

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// sameAsRPM compares the database that rpm made of package files with ours, byte by byte and row by row.
func sameAsRPM(t testing.TB, root string, packages []Package) {
	t.Helper()
	path := root + "/var/lib/rpm/rpmdb.sqlite"
	real, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ours := sqliteBytes(t, inOrderOf(t, readBytes(t, real), packages))
	check(t, ours)
	oursPath := filepath.Join(t.TempDir(), "rpmdb.sqlite")
	writeFile(t, oursPath, ours)
	sameDump(t, dump(t, oursPath), dump(t, path))
}

// inOrderOf sorts packages as rpm has installed them.
func inOrderOf(t testing.TB, installed []Installed, packages []Package) []Package {
	t.Helper()
	key := func(h *rpm.Header) string { return string(h.Immutable()) }
	of := make(map[string]Package)
	for _, p := range packages {
		of[key(p.Header)] = p
	}
	var out []Package
	for _, i := range installed {
		p, ok := of[key(i.Header)]
		if !ok {
			t.Fatalf("%s is not one of the packages", i.Header.NEVRA())
		}
		out = append(out, p)
	}
	if len(out) != len(packages) {
		t.Fatalf("%d packages installed, not %d", len(out), len(packages))
	}
	return out
}

func TestSameAsRPM(t *testing.T) {
	tooltest.Need(t, "rpm")
	files := distributionFiles(t)
	if len(files) < 150 {
		t.Fatalf("%d packages", len(files))
	}
	root, err := rpmInstall(t, append(files, "--replacefiles")...)
	if err != nil {
		t.Fatal(err)
	}
	sameAsRPM(t, root, openPackages(t, files))
}

// TestSameAsRPMOdd takes packages of many builders and ages, one at a time.
func TestSameAsRPMOdd(t *testing.T) {
	tooltest.Need(t, "rpm")
	for _, dir := range []string{
		"cavaliergopher+rpm", "createrepo_c", "fhp-build", "amazonlinux", "rpm-rs+rpm", "rpm-software-management+rpm", "sassoftware+go-rpmutils",
	} {
		matches, err := filepath.Glob(filepath.Join(tooltest.Shared(t, "rpms"), "*"+dir))
		if err != nil || len(matches) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		installed := 0
		for _, match := range matches {
			for _, file := range packageFiles(t, match) {
				if sameAsRPMOne(t, file) {
					installed++
				}
			}
		}
		if installed == 0 {
			t.Errorf("rpm installs nothing of %s", dir)
		}
	}
}

// sameAsRPMOne reports whether rpm installs the package.
func sameAsRPMOne(t *testing.T, file string) (installed bool) {
	p, err := openPackage(file)
	if err != nil || p.Header.IsSource() {
		return false // rpm unpacks source packages and records nothing
	}
	t.Run(fmt.Sprint(p.Header.NEVRA()), func(t *testing.T) {
		root, err := rpmInstall(t, file)
		if err != nil {
			t.Skipf("skipped: rpm refuses it: %v", err)
		}
		installed = true
		format, _ := p.Header.Uint64(tagRPMFormat)
		if format >= 6 || p.Signature.Has(tagOpenPGP) || p.Signature.Has(tagSHA3Header) {
			sameEntries(t, root, p)
			return
		}
		sameAsRPM(t, root, []Package{p})
	})
	return installed
}

// sameEntries compares the headers of one package as far as rpm 4.18 agrees with rpm 6: it does not take the signature
// header's newer tags over, but the old ones of version 6 packages too.
func sameEntries(t *testing.T, root string, p Package) {
	t.Helper()
	db, err := os.ReadFile(root + "/var/lib/rpm/rpmdb.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	differs := map[rpm.Tag]bool{tagOpenPGP: true, tagSHA3Header: true}
	if format, _ := p.Header.Uint64(tagRPMFormat); format >= 6 {
		for _, m := range merges {
			differs[m.to] = differs[m.to] || m.from >= firstLegacySignatureTag
		}
	}
	common := func(h *rpm.Header) []rpm.Entry {
		return slices.DeleteFunc(slices.Clone(h.Entries()), func(e rpm.Entry) bool { return differs[e.Tag] })
	}
	got, want := readBytes(t, sqliteBytes(t, []Package{p})), readBytes(t, db)
	if diff := cmp.Diff(common(want[0].Header), common(got[0].Header)); diff != "" {
		t.Errorf("entries (-rpm +ours):\n%s", diff)
	}
}
