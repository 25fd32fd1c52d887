package builder

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// modularRecipe is a recipe of dnf's own test repositories, two of which have modules.
func modularRecipe(t *testing.T, repos string, enabled, packages []string) *Recipe {
	t.Helper()
	file := filepath.Join(t.TempDir(), "modular.yaml")
	text := "repository: {baseurl: " + repos + "/$component, components: [dnf-ci-fedora, dnf-ci-fedora-modular], gpgcheck: false, modules: [" +
		strings.Join(enabled, ", ") + "]}\nplatforms: [linux/amd64]\npackages: [" + strings.Join(packages, ", ") + "]\n"
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe(file, RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestConformanceModules compares what is installed with dnf, with default streams, others, and streams that require
// others: some requests of these, and all of them under SLIM_CONFORMANCE.
func TestConformanceModules(t *testing.T) {
	tooltest.Need(t, "dnf")
	repos := tooltest.Shared(t, "rpms/rpm-software-management+ci-dnf-stack/dnf-behave-tests/fixtures/repos")
	for i, test := range []struct{ enabled, packages []string }{
		{nil, []string{"nodejs"}},
		{[]string{"nodejs:10"}, []string{"nodejs", "npm"}},
		{[]string{"meson:master", "ninja:development"}, []string{"meson"}},
		{nil, []string{"postgresql-server", "meson"}},
		{[]string{"nodejs:11"}, []string{"nodejs-devel"}},
		{[]string{"postgresql:6"}, []string{"postgresql"}},
		{[]string{"postgresql:9.6", "nodejs:8"}, []string{"postgresql", "nodejs"}},
		{[]string{"ninja:development"}, []string{"ninja-build"}},
		{[]string{"ninja:legacy"}, []string{"ninja-build"}},
		{[]string{"dwm:6.0"}, []string{"dwm"}},
	} {
		if i > 2 && os.Getenv("SLIM_CONFORMANCE") == "" {
			break
		}
		t.Run(strings.Join(append(slices.Clone(test.enabled), test.packages...), " "), func(t *testing.T) {
			root := t.TempDir()
			dnf := func(args ...string) string {
				base := []string{
					"--installroot=" + root, "--forcearch=x86_64", "--releasever=29", "--nogpgcheck", "--setopt=install_weak_deps=0",
					"--setopt=module_platform_id=platform:f29", "--disablerepo=*", "-y",
				}
				for _, c := range []string{"dnf-ci-fedora", "dnf-ci-fedora-modular"} {
					base = append(base, "--repofrompath="+c+",file://"+repos+"/"+c, "--enablerepo="+c)
				}
				out, _ := exec.Command("dnf", append(base, args...)...).CombinedOutput()
				return string(out)
			}
			var said string
			if len(test.enabled) > 0 {
				said = dnf(append([]string{"module", "enable"}, test.enabled...)...)
			}
			said += dnf(append([]string{"install", "--assumeno"}, test.packages...)...)
			var want []string
			for line := range strings.SplitSeq(said, "\n") {
				if f := strings.Fields(line); len(f) == 6 && strings.HasPrefix(f[3], "dnf-ci-") {
					_, version, epoch := strings.Cut(f[2], ":")
					if !epoch {
						version = f[2]
					}
					want = append(want, f[0]+"-"+version+"."+f[1])
				}
			}
			lock, err := Resolve(context.Background(), modularRecipe(t, repos, test.enabled, test.packages), Options{WorkDir: t.TempDir()})
			var got []string
			if err == nil {
				for _, p := range lock.Platforms[0].Packages {
					n := p.NEVRA
					n.Epoch = 0
					got = append(got, n.String())
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" || (len(got) == 0) != strings.Contains(said, "Error: ") {
				t.Errorf("dnf (-) and slim (+): %v\n%s\n%s", err, diff, said)
			}
		})
	}
}

func TestModuleFaults(t *testing.T) {
	repos := tooltest.Shared(t, "rpms/rpm-software-management+ci-dnf-stack/dnf-behave-tests/fixtures/repos")
	for _, test := range []struct {
		enabled    []string
		want, hint string
	}{
		{[]string{"nodejs:99"}, "module nodejs:99: the repository has no such stream", "it has nodejs:10, nodejs:11, nodejs:8"},
		{[]string{"nothing:1"}, "module nothing:1: the repository has no such module", ""},
		{[]string{"nodejs:8", "nodejs:10"}, "module nodejs:10: another stream of it is enabled too: 8", ""},
	} {
		_, err := Resolve(context.Background(), modularRecipe(t, repos, test.enabled, []string{"nodejs"}), Options{WorkDir: t.TempDir()})
		var module *ModuleError
		if !errors.As(err, &module) || module.Error() != test.want || HintOf(err) != test.hint && test.hint != "" || KindOf(err) != FailedResolution {
			t.Errorf("%v: %v; %s", test.enabled, err, HintOf(err))
		}
	}
}

func TestModuleRequires(t *testing.T) {
	const text = `---
document: modulemd
version: 2
data: {name: a, stream: 1, dependencies: [{requires: {b: [2, 3], platform: [el9]}}]}
---
document: modulemd
version: 2
data: {name: b, stream: 1}
---
document: modulemd
version: 2
data: {name: b, stream: 2.10}
---
document: modulemd
version: 2
data: {name: c, stream: x, dependencies: [{requires: {b: [-1]}}]}
---
document: modulemd-defaults
version: 1
data: {module: a, stream: 1}
---
document: modulemd-translations
version: 1
data: {module: a}
`
	m := &modules{defaults: map[string]string{}}
	if err := m.parse(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		enabled []string
		want    map[string]string
		err     string
	}{
		{nil, map[string]string{}, ""}, // the default lacks b
		{[]string{"a:1"}, nil, "module a:1: it requires module b:2 or b:3"},
		{[]string{"b:2.10", "c:x"}, map[string]string{"b": "2.10", "c": "x"}, ""},
		{[]string{"b:1", "c:x"}, nil, "module c:x: it requires module b:-1"},
	} {
		active, err := m.activate(test.enabled)
		if test.err != "" {
			if err == nil || err.Error() != test.err {
				t.Errorf("%v: %v", test.enabled, err)
			}
		} else if diff := cmp.Diff(test.want, active); diff != "" || err != nil {
			t.Errorf("%v: %v %s", test.enabled, err, diff)
		}
	}
}

func FuzzModules(f *testing.F) {
	f.Add("document: modulemd\ndata: {name: a, stream: 1, dependencies: [{requires: {b: []}}], artifacts: {rpms: [a-0:1-1.x86_64]}}\n---\ndocument: modulemd-defaults\ndata: {module: a, stream: 1}\n")
	f.Fuzz(func(_ *testing.T, text string) {
		m := &modules{defaults: map[string]string{}}
		if m.parse(strings.NewReader(text)) == nil {
			m.activate(nil)
		}
	})
}
