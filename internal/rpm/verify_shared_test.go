package rpm

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
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
		out := rpmOutput(t, root, "rpm", append([]string{"--dbpath", dbpath, "-Kv"}, some...)...)
		var name string
		for line := range strings.Lines(out) {
			line = strings.TrimRight(line, "\n")
			if n := strings.TrimSuffix(line, ":"); n != line && slices.Contains(some, n) {
				name = n
				continue
			}
			if strings.HasPrefix(line, "error: ") {
				for _, p := range some {
					if strings.HasPrefix(line, "error: "+p+": ") {
						said[p] += line + "\n"
					}
				}
				continue
			}
			said[name] += strings.TrimSpace(line) + "\n"
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

func TestVerifyAgreesWithRPM(t *testing.T) {
	root, paths := sharedPackages(t)
	needRPM(t)
	keys, dbpath := sharedKeys(t, root)
	verdicts, said := rpmVerdicts(t, root, dbpath, paths)
	counts := map[string]int{}
	for _, p := range paths {
		want := verdicts[p]
		got, err := ourVerdict(t, filepath.Join(root, p), keys)
		counts[want+" / "+got]++
		if want != got {
			t.Errorf("%s: rpm says %s, not %s: %v\n%s", p, want, got, err, said[p])
		}
	}
	t.Log(counts)
}
