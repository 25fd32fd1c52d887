package builder

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/elf"
	"slim/internal/tooltest"
)

// TestConformancePath compares the direct tier of every ELF program of three images with what ldd says inside them. By
// default every 30th program is compared, all of them with SLIM_CONFORMANCE.
func TestConformancePath(t *testing.T) {
	tooltest.Need(t, "chroot")
	tooltest.NeedRoot(t)
	every := 30
	if os.Getenv("SLIM_CONFORMANCE") != "" {
		every = 1
	}
	for _, packages := range [][]string{{"bash", "systemd"}, {"httpd", "openssl"}, {"python3", "perl", "nginx", "redis"}} {
		t.Run(packages[0], func(t *testing.T) {
			root := t.TempDir()
			packages = append(packages, "coreutils")
			deliver(t, buildRecipe(t, sharedRecipe(t, packages, ""), Options{}), "dir:"+root)
			programs := elfPrograms(t, root)
			if len(programs) < 20 {
				t.Fatalf("only %d programs", len(programs))
			}
			v, err := openDirectory(context.Background(), root)
			if err != nil {
				t.Fatal(err)
			}
			defer v.close()
			for i := 0; i < len(programs); i += every {
				comparePath(t, v, root, programs[i])
			}
		})
	}
}

// elfPrograms are the files of a root that the kernel would run as they are.
func elfPrograms(t *testing.T, root string) []string {
	var out []string
	err := filepath.WalkDir(root, func(at string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Mode()&0o111 == 0 {
			return err
		}
		b, err := os.ReadFile(at)
		if err != nil || !elf.IsELF(b) {
			return err
		}
		o, err := elf.ReadObject(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", at, err)
			return nil
		}
		if o.IsProgram() && !strings.HasPrefix(filepath.Base(at), "ld-linux") {
			out = append(out, strings.TrimPrefix(at, root))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func comparePath(t *testing.T, v *view, root, program string) {
	t.Helper()
	found, err := v.path(context.Background(), &PathOptions{Programs: []string{program}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found.Files {
		if f.Tier == TierDirect {
			got = append(got, f.Path)
		}
	}
	if d := cmp.Diff(oneName(v, ldd(t, root, program)), oneName(v, got)); d != "" {
		t.Errorf("%s: %s", program, d)
	}
}

// oneName names every file by the first name of its hard link set.
func oneName(v *view, paths []string) []string {
	var out []string
	for _, p := range paths {
		if n := v.tree.Node(p); n != nil && n.HardTo != "" {
			p = n.HardTo
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ldd are the files that ldd names inside a root, and the program, links followed, sorted.
func ldd(t *testing.T, root, program string) []string {
	t.Helper()
	out, err := exec.Command("chroot", root, "/usr/bin/ldd", program).CombinedOutput()
	if err != nil && !strings.Contains(string(out), "not a dynamic executable") {
		t.Fatalf("ldd %s: %v\n%s", program, err, out)
	}
	args := []string{root, "/usr/bin/readlink", "-f", program}
	for _, m := range regexp.MustCompile(`(?m)^\t(?:.* => )?(/\S+) \(0x`).FindAllStringSubmatch(string(out), -1) {
		args = append(args, m[1])
	}
	files := strings.Fields(tooltest.Run(t, nil, "chroot", args...))
	slices.Sort(files)
	return slices.Compact(files)
}
