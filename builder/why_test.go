package builder

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
	"slim/internal/rpmtest"
)

const requiringPackages = `
package app-1-1.x86_64
requires libz.so.1()(64bit), /usr/bin/sh
requires(pre) tools
package libz-1-1.x86_64
provides libz.so.1()(64bit)
file /usr/lib64/libz.so.1 "z"
package sh-1-1.x86_64
requires libz.so.1()(64bit)
file /usr/bin/sh 0755 "sh"
package tools-1-1.x86_64
`

func whyText(a *Why) (chains [][]string, broken []string) {
	for _, c := range a.Chains {
		line := []string{c[0].From.Name}
		for _, e := range c {
			s := e.Capability + " " + string(e.Kind)
			if e.Scriptlet {
				s += " scriptlet"
			}
			line = append(line, s, e.To.Name)
		}
		chains = append(chains, line)
	}
	for _, b := range a.Loss.Broken {
		broken = append(broken, b.NEVRA.Name)
	}
	return chains, broken
}

func TestWhy(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, requiringPackages)
	r := testRecipe(t, repo, "packages: [app]")
	ref := writeImage(t, buildRecipe(t, r, Options{}).Platforms[0].Image)
	fromRecipe := func(spec string) ([]*Why, error) {
		return WhyRecipe(t.Context(), r, spec, Options{WorkDir: t.TempDir(), CacheDir: t.TempDir()})
	}
	fromImage := func(spec string) ([]*Why, error) {
		return WhyImage(t.Context(), ref, spec, DiffOptions{Options: Options{WorkDir: t.TempDir()}})
	}
	for name, ask := range map[string]func(string) ([]*Why, error){"recipe": fromRecipe, "image": fromImage} {
		t.Run(name, func(t *testing.T) {
			for _, spec := range []string{"libz", "libz.x86_64", "libz-1-1.x86_64", "libz.so.1()(64bit)"} {
				answers, err := ask(spec)
				if err != nil || len(answers) != 1 {
					t.Fatalf("%s: %v", spec, err)
				}
				chains, broken := whyText(answers[0])
				want := [][]string{
					{"app", "libz.so.1()(64bit) soname", "libz"},
					{"app", "/usr/bin/sh path", "sh", "libz.so.1()(64bit) soname", "libz"},
				}
				if d := cmp.Diff(want, chains); d != "" {
					t.Errorf("%s: chains (-want +got)\n%s", spec, d)
				}
				if d := cmp.Diff([]string{"app", "sh"}, broken); d != "" {
					t.Errorf("%s: broken (-want +got)\n%s", spec, d)
				}
				if names := slices.Collect(func(yield func(string) bool) {
					for _, n := range answers[0].Loss.Unused {
						yield(n.Name)
					}
				}); !slices.Equal(names, []string{"tools"}) {
					t.Errorf("%s: unused %v", spec, names)
				}
			}
			answers, err := ask("tools")
			if err != nil {
				t.Fatal(err)
			}
			if chains, _ := whyText(answers[0]); !slices.Equal(chains[0], []string{"app", "tools name scriptlet", "tools"}) {
				t.Errorf("%v", chains)
			}
			answers, err = ask("app")
			if err != nil || !answers[0].Root || len(answers[0].Chains) != 0 || len(answers[0].Loss.Unused) != 3 {
				t.Errorf("%v %+v", err, answers)
			}
			var absent *AbsentError
			if _, err := ask("ool"); !errors.As(err, &absent) || !slices.Equal(absent.Near, []string{"tools"}) {
				t.Errorf("%v", err)
			}
		})
	}
	r.Dependencies = DependenciesRuntime
	if _, err := fromRecipe("tools"); err == nil {
		t.Error("a package that only scriptlets need is in the runtime set")
	}
}

func TestMetadataOfHeaders(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, requiringPackages)
	m, err := metadataOf(packageOf(t, repo, rpm.NEVRA{Name: "sh", EVR: rpm.ParseEVR("1-1"), Arch: "x86_64"}).Header())
	if err != nil || len(m.Requires) != 1 || !slices.Equal(m.Files, []string{"/usr/bin/sh"}) || !m.AllFiles || m.InstalledSize != 2 {
		t.Errorf("%v %+v", err, m)
	}
}
