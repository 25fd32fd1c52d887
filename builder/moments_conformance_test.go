package builder

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// moments are packages, each with a file /f/NAME, and the scriptlets that write down when they run: slot, options and
// what triggers wait for.
var moments = []struct {
	name, tags string
	scriptlets []string
}{
	{"a", "", []string{
		"pretrans", "pre", "post", "posttrans", "triggerprein -- b", "triggerin -- b", "triggerin -- a", "triggerin -- b > 2", "triggerin -- virtual",
		"filetriggerin -- /f", "filetriggerin -P 5 -- /f", "filetriggerin -P 2000000 -- /f/b /f/a", "transfiletriggerin -- /f",
		"transfiletriggerin -P 2000000 -- /f/c /f",
	}},
	{"b", "Provides: virtual\nRequires: a", []string{
		"pretrans", "pre", "post", "posttrans", "triggerprein -- a", "triggerin -- a", "triggerin -- c", "filetriggerin -- /f",
		"transfiletriggerin -P 3000000 -- /f/a",
	}},
	{"c", "Requires: b", []string{"pre", "post", "triggerprein -- a, b", "triggerin -- b, a", "triggerin -- virtual"}},
	{"d", "Requires: c", []string{
		"triggerin -- e = 2", "triggerin -- e = 1", "triggerin -- e, g", "triggerin -- g", "triggerprein -- d", "transfiletriggerin -- /f /f/d /",
		"transfiletriggerin -- /nothing", "filetriggerin -- /f/d /f",
	}},
	{"e", "Requires: d", []string{
		"post fails", "triggerin -- d = 2, d = 1", "triggerin -- d", "filetriggerin -P 10000 -- /f", "filetriggerin -P 9999 -- /f", "filetriggerin -- /f/d",
	}},
	{"g", "Requires: e", []string{"pre", "triggerin -- d, e", "triggerin -- e", "posttrans fails", "filetriggerin -- /g", "transfiletriggerin -- /g"}},
}

// TestConformanceMoments compares when scriptlets and triggers run, with which arguments and files, with rpm's answer.
func TestConformanceMoments(t *testing.T) {
	tooltest.Need(t, "rpm", "rpmbuild")
	tooltest.NeedRoot(t)
	top := t.TempDir()
	var packages []*rpm.Package
	args := []string{"--root", filepath.Join(top, "root"), "--dbpath", "/var/lib/rpm", "-i", "--nosignature"}
	for _, m := range moments {
		file := buildMoments(t, top, m.name, m.tags, m.scriptlets)
		packages = append(packages, openTestPackage(t, file))
		args = append(args, file)
	}
	if err := os.Mkdir(filepath.Join(top, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpm", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("rpm: %v\n%s", err, said)
	}
	want, err := os.ReadFile(filepath.Join(top, "root/log"))
	if err != nil {
		t.Fatal(err)
	}
	var warnings []string
	contents := newContents(top, nil)
	defer contents.close()
	root, err := newRoot(packages, 1, contents, func(message string) { warnings = append(warnings, message) })
	if err != nil {
		t.Fatal(err)
	}
	if err := root.fill(context.Background(), sharedRecipe(t, []string{"a"}, ""), Platform{OS: "linux", Architecture: "amd64"}); err != nil {
		t.Fatal(err)
	}
	got, err := root.read("/log")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); d != "" {
		t.Errorf("-rpm +ours:\n%s\nrpm said:\n%s", d, said)
	}
	if len(warnings) != 2 {
		t.Errorf("warnings: %q", warnings)
	}
}

// buildMoments has rpmbuild make a package whose scriptlets write to /log.
func buildMoments(t *testing.T, top, name, tags string, scriptlets []string) string {
	t.Helper()
	var spec strings.Builder
	fmt.Fprintf(&spec, "Name: %s\nVersion: 1\nRelease: 1\nSummary: %[1]s\nLicense: none\nBuildArch: noarch\n%s\n%%description\n%%install\n"+
		"mkdir -p %%{buildroot}/f\necho %[1]s > %%{buildroot}/f/%[1]s\n%%files\n/f/%[1]s\n", name, tags)
	for _, s := range scriptlets {
		s, fails := strings.CutSuffix(s, " fails")
		slot, waits, _ := strings.Cut(s, " -- ")
		fmt.Fprintf(&spec, "%%%s -p <lua>", slot)
		if waits != "" {
			fmt.Fprintf(&spec, " -- %s", waits)
		}
		fmt.Fprintf(&spec, "\nlocal f = io.open('/log', 'a')\nf:write('%s %s', ' ', tostring(arg[2]), ' ', tostring(arg[3]), ':')\n", name, s)
		if strings.Contains(slot, "file") {
			spec.WriteString("local x = rpm.next_file()\nwhile x do f:write(' ', x) x = rpm.next_file() end\n")
		}
		spec.WriteString("f:write('\\n')\nf:close()\n")
		if fails {
			spec.WriteString("error('it fails')\n")
		}
	}
	file := filepath.Join(top, name+".spec")
	if err := os.WriteFile(file, []byte(spec.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("rpmbuild", "-bb", "--define", "_topdir "+top, "--define", "_build_id_links none", file)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TMPDIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("rpmbuild: %v\n%s", err, out)
	}
	return filepath.Join(top, "RPMS/noarch", name+"-1-1.noarch.rpm")
}
