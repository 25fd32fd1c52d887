package rpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slim/internal/tooltest"
)

// sharedKeys imports every key file below shared into a keyring and into an rpmdb of rpm's at the same time.
func sharedKeys(t *testing.T, root string) (keys *Keyring, dbpath string) {
	t.Helper()
	var files []string
	for _, top := range []string{"rpms", "distro"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			if info, err := d.Info(); err != nil || info.Size() > 1<<20 {
				return err
			}
			switch filepath.Ext(path) {
			case ".asc", ".pub", ".key", "":
			default:
				if !strings.Contains(path, "distribution-gpg-keys/keys/") && !strings.Contains(filepath.Base(path), "GPG-KEY") {
					return nil
				}
			}
			b, err := os.ReadFile(path)
			if err == nil && bytes.Contains(b, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----")) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	keys = &Keyring{}
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, skipped, err := keys.Add(b)
		rel, _ := filepath.Rel(root, path)
		if err != nil || skipped != nil {
			t.Logf("%s: %v %v", rel, skipped, err)
		}
	}
	dbpath = t.TempDir()
	rpmOutput(t, root, "rpmkeys", append([]string{"--dbpath", dbpath, "--import"}, files...)...)
	return keys, dbpath
}

// rpmVerdicts are what rpm -Kv says of packages: "ok", or the kind of fault as ours.
func rpmVerdicts(t *testing.T, root, dbpath string, paths []string) (verdicts, said map[string]string) {
	t.Helper()
	verdicts, said = map[string]string{}, map[string]string{}
	batches(paths, 200, func(some []string) {
		out, faults := rpmOutput(t, root, "rpm", append([]string{"--dbpath", dbpath, "-Kv"}, some...)...)
		var name string
		for line := range strings.Lines(out) {
			line = strings.TrimRight(line, "\n")
			if n := strings.TrimSuffix(line, ":"); n != line && slices.Contains(some, n) {
				name = n
				continue
			}
			said[name] += strings.TrimSpace(line) + "\n"
		}
		for line := range strings.Lines(faults) {
			for _, p := range some {
				if strings.HasPrefix(line, "error: "+p+": ") {
					said[p] += line
				}
			}
		}
	})
	for _, p := range paths {
		verdicts[p] = rpmVerdict(said[p])
	}
	return verdicts, said
}

func rpmVerdict(said string) string {
	verdict := "unsigned"
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		signature := strings.Contains(line, "ignature")
		switch {
		case strings.HasPrefix(line, "error: "):
			return "unreadable"
		case signature && strings.Contains(line, ": BAD"):
			return "bad signature"
		case strings.Contains(line, ": BAD"):
			return "bad digest"
		case signature && strings.Contains(line, ": NOTFOUND"):
		case signature && strings.HasSuffix(line, ": NOKEY"):
			verdict = "wrong key"
		case signature && strings.HasSuffix(line, ": OK") && verdict == "unsigned":
			verdict = "ok"
		}
	}
	if said == "" {
		return "unreadable"
	}
	return verdict
}

func ourVerdict(t *testing.T, path string, keys *Keyring) (string, error) {
	t.Helper()
	f, err := open(t, path)
	if err == nil {
		_, err = f.Verify(keys, VerifyOptions{})
	}
	if err == nil {
		return "ok", nil
	}
	var v *VerifyError
	if !errors.As(err, &v) {
		t.Fatalf("%s: not a VerifyError: %v", path, err)
	}
	return string(v.Kind), err
}

// The packages on which our verdict is not that of rpm 4.18, and why.
const (
	reasonOldKey = "rpm does not import the key: its self-signatures are of version 3; we need no self-signature of a key we are given"
	reasonSource = "slim installs no source packages"
	reasonECDSA  = "rpm built with libgcrypt knows no ECDSA"
	reasonV6     = "rpm before 6 passes over OPENPGP signatures and keys of version 6"
	reasonSize   = "rpm does not look at the sizes a signature header names; the payload's digest is wrong too"
	reasonCut    = "the file is cut off; rpm sees wrong signatures and digests alone"
)

type difference struct{ rpm, ours, why string }

func verdictDifferences() map[string]difference {
	const (
		centos   = "rpms/cavaliergopher+rpm/testdata/centos-release-"
		scancode = "rpms/nexB+scancode-toolkit/tests/packagedcode/data/rpm/header/"
		assets   = "rpms/rpm-rs+rpm/tests/assets/RPMS/"
	)
	return map[string]difference{
		centos + "3.1-1.i386.rpm":                                                          {"wrong key", "ok", reasonOldKey},
		centos + "4-0.1.i386.rpm":                                                          {"wrong key", "ok", reasonOldKey},
		centos + "4-0.1.x86_64.rpm":                                                        {"wrong key", "ok", reasonOldKey},
		centos + "5-0.0.el5.centos.2.i386.rpm":                                             {"wrong key", "ok", reasonOldKey},
		centos + "5-0.0.el5.centos.2.x86_64.rpm":                                           {"wrong key", "ok", reasonOldKey},
		centos + "as-2.1AS-4.noarch.rpm":                                                   {"wrong key", "ok", reasonOldKey},
		scancode + "fping-2.4b2-114.1.ppc.rpm":                                             {"bad signature", "truncated", reasonCut},
		scancode + "renamed.rpm":                                                           {"bad digest", "malformed", reasonSource},
		scancode + "rpm_trailing.rpm":                                                      {"bad digest", "malformed", reasonSource},
		"rpms/nexB+extractcode/tests/data/archive/rpm/renamed.rpm":                         {"unsigned", "malformed", reasonSource},
		"rpms/nexB+extractcode/tests/data/archive/rpm/rpm_trailing.rpm":                    {"bad digest", "malformed", reasonSource},
		"rpms/koji-project+koji/tests/test_lib/data/rpms/test-nopatch-1-1.fc24.nosrc.rpm":  {"unsigned", "malformed", reasonSource},
		"rpms/koji-project+koji/tests/test_lib/data/rpms/test-nosrc-1-1.fc24.nosrc.rpm":    {"unsigned", "malformed", reasonSource},
		"rpms/release-engineering+kobo/tests/data/dummy-AdobeReader_enu-9.5.1-1.nosrc.rpm": {"unsigned", "malformed", reasonSource},
		assets + "v4/signed/rpm-basic-with-ecdsa-2.3.4-5.el9.noarch.rpm":                   {"bad signature", "ok", reasonECDSA},
		assets + "v6/signed/rpm-basic-with-ed25519-2.3.4-5.el9.noarch.rpm":                 {"unsigned", "ok", reasonV6},
		"rpms/rpm-software-management+ci-dnf-stack/dnf-behave-tests/fixtures/repos/dnf-ci-gpg/noarch/broken-package-0.2.4-1.fc29.noarch.rpm": {"bad digest", "malformed", reasonSize},
	}
}

// sameVerdict knows that rpm has no word for two of our kinds: a file whose headers cannot be read is malformed or
// truncated, and one that ends early has wrong digests.
func sameVerdict(rpm, ours string) bool {
	switch ours {
	case "malformed":
		return rpm == "unreadable"
	case "truncated":
		return rpm == "unreadable" || rpm == "bad digest"
	}
	return rpm == ours
}

func TestVerifyAgreesWithRPM(t *testing.T) {
	root, paths := sharedPackages(t)
	tooltest.Need(t, "rpm")
	keys, dbpath := sharedKeys(t, root)
	verdicts, said := rpmVerdicts(t, root, dbpath, paths)
	differences := verdictDifferences()
	counts := map[string]int{}
	for _, p := range paths {
		want := verdicts[p]
		got, err := ourVerdict(t, filepath.Join(root, p), keys)
		counts[want+" / "+got]++
		d, known := differences[p]
		delete(differences, p)
		switch {
		case known && (d.rpm != want || d.ours != got):
			t.Errorf("%s: rpm says %s, we %s, not %s and %s (%s): %v\n%s", p, want, got, d.rpm, d.ours, d.why, err, said[p])
		case !known && !sameVerdict(want, got):
			t.Errorf("%s: rpm says %s, not %s: %v\n%s", p, want, got, err, said[p])
		}
	}
	for p := range differences {
		t.Errorf("%s is not there", p)
	}
	t.Log(counts)
}

// TestSharedPayloads reads the payloads of all packages that can be verified; in -short mode, of one in ten.
func TestSharedPayloads(t *testing.T) {
	root, paths := sharedPackages(t)
	with := &Decompressors{}
	read := 0
	for i, p := range paths {
		if testing.Short() && i%10 != 0 {
			continue
		}
		f, err := open(t, filepath.Join(root, p))
		if err != nil {
			continue
		}
		pkg, err := f.Verify(nil, VerifyOptions{AllowUnsigned: true, Checksum: fileChecksum(t, filepath.Join(root, p))})
		if err != nil {
			continue
		}
		if err := drain(pkg, with); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		read++
	}
	t.Logf("%d payloads read", read)
	if read < len(paths)/11 {
		t.Errorf("only %d payloads of %d packages read", read, len(paths))
	}
}

func fileChecksum(t testing.TB, path string) Checksum {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	return Checksum{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}
