package builder

import (
	"archive/tar"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpmtest"
)

func diffIt(t *testing.T, before, after string) *Difference {
	t.Helper()
	d, err := Diff(t.Context(), before, after, DiffOptions{Options: Options{WorkDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fileChanges(i *ImageDifference) []string {
	var out []string
	for k := range i.Files {
		f := &i.Files[k]
		sign := "~"
		if f.Before == nil {
			sign = "+"
		} else if f.After == nil {
			sign = "-"
		}
		s := fmt.Sprintf("%s %s %s", sign, f.Path, f.Package)
		for _, a := range f.Aspects {
			s += " [" + f.Text(a) + "]"
		}
		out = append(out, s)
	}
	return out
}

func TestDiffFiles(t *testing.T) {
	a := auditedImage(t)
	base := writeImage(t, a.image)
	if d := diffIt(t, base, base); !d.Equal() || d.BeforeDigest == "" || d.BeforeDigest != d.AfterDigest || d.Images[0].SharedLayers != d.Images[0].Before.Layers {
		t.Errorf("%+v", d)
	}
	again := a.changed(t, layerEntry{name: "usr/bin/su", mode: 0o4755, content: "#!su\n"})
	if d := diffIt(t, base, again); !d.Equal() || d.BeforeDigest == d.AfterDigest {
		t.Errorf("the same files in another layer: %+v", d.Images[0])
	}
	caps := "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	d := diffIt(t, base, a.changed(t,
		layerEntry{name: "usr/bin/su", mode: 0o755, content: "#!SU\n"},
		layerEntry{name: "usr/bin/ping", mode: 0o755, content: "#!ping, longer\n", uid: 7},
		layerEntry{name: "usr/bin/application", link: "su"},
		layerEntry{name: "usr/bin/.wh.app2"},
		layerEntry{name: "usr/bin/new", mode: 0o6755, content: "x", caps: caps},
		layerEntry{name: "dev/slim", mode: 0o666, kind: tar.TypeBlock},
		layerEntry{name: "srv/app/data", link: "x"},
	))
	want := []string{
		"~ /dev/slim app [type device -> device]",
		"~ /srv/app/data app [type file -> symbolic link] [owner 999:999 -> 0:0]",
		"- /usr/bin/app2 app",
		"~ /usr/bin/application app [link app -> su]",
		"+ /usr/bin/new  [setuid none -> 6000] [capabilities none -> " + fmt.Sprintf("%x", caps) + "]",
		"~ /usr/bin/ping app [content 7 bytes -> 15 bytes] [owner 0:0 -> 7:7] [capabilities " + fmt.Sprintf("%x", caps) + " -> none]",
		"~ /usr/bin/su app [content] [mode 4755 -> 0755] [setuid 4000 -> 0000]",
	}
	if diff := cmp.Diff(want, fileChanges(d.Images[0])); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if len(d.Images[0].Packages)+len(d.Images[0].Config) != 0 {
		t.Errorf("%+v", d.Images[0])
	}
}

func TestDiffPackagesAndConfig(t *testing.T) {
	before := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, `
package kept-1-1.noarch
file /usr/share/kept "x"
package grown-1:1-1.noarch
file /usr/share/grown "x"
package gone-1-1.noarch
file /usr/share/gone "x"
package rebuilt-1-1.noarch
file /usr/share/rebuilt "x"
`)
	after := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, `
package kept-1-1.noarch
file /usr/share/kept "x"
package grown-2:1-1.noarch
file /usr/share/grown "y"
package came-1-1.noarch
file /usr/share/came "x"
package rebuilt-1-1.noarch
file /usr/share/rebuilt "y"
`)
	one := buildRecipe(t, testRecipe(t, before, "packages: [kept, grown, gone, rebuilt]\nimage: {user: \"1\", env: {A: b}, cmd: [a b]}\nlayers: {strategy: package}"), Options{})
	two := buildRecipe(t, testRecipe(t, after, "packages: [kept, grown, came, rebuilt]\nimage: {user: \"2\", env: {C: d}, cmd: [a, b]}\nlayers: {strategy: package}"), Options{})
	d := diffIt(t, writeImage(t, one.Platforms[0].Image), writeImage(t, two.Platforms[0].Image))
	var packages []string
	for _, p := range d.Images[0].Packages {
		s := p.Name + ":"
		for _, b := range p.Before {
			s += " -" + b.NEVRA.EVR.String()
		}
		for _, b := range p.After {
			s += " +" + b.NEVRA.EVR.String()
		}
		packages = append(packages, s)
	}
	if diff := cmp.Diff([]string{"came: +1-1", "gone: -1-1", "grown: -1:1-1 +2:1-1", "rebuilt: -1-1 +1-1"}, packages); diff != "" {
		t.Errorf("packages (-want +got)\n%s", diff)
	}
	want := []ConfigChange{{"cmd", `"a b"`, `"a" "b"`}, {"env.A", "b", ""}, {"env.C", "", "d"}, {"user", "1", "2"}}
	if diff := cmp.Diff(want, d.Images[0].Config); diff != "" {
		t.Errorf("configuration (-want +got)\n%s", diff)
	}
	files := []string{
		"+ /usr/share/came came", "- /usr/share/gone gone", "~ /usr/share/grown grown [content]", "~ /usr/share/rebuilt rebuilt [content]",
		"~ /var/lib/rpm/rpmdb.sqlite  [content]",
	}
	if diff := cmp.Diff(files, fileChanges(d.Images[0])); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
	if d.Equal() || d.Images[0].SharedLayers != 1 { // that of kept
		t.Errorf("%+v", d.Images[0])
	}
}

func TestDiffPlatforms(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, "package a-1-1.noarch\nfile /a \"x\"")
	r := testRecipe(t, repo, "packages: [a]")
	dir := "oci:" + t.TempDir()
	r.Platforms = []Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}
	deliver(t, buildRecipe(t, r, Options{}), dir+":two")
	r.Platforms = append(r.Platforms[:1:1], Platform{OS: "linux", Architecture: "s390x"})
	deliver(t, buildRecipe(t, r, Options{}), dir+":other")
	d := diffIt(t, dir+":two", dir+":other")
	if len(d.Images) != 1 || d.Images[0].Platform.Architecture != "amd64" || d.Equal() || len(d.OnlyBefore) != 1 || len(d.OnlyAfter) != 1 {
		t.Errorf("%+v", d)
	}
	only := DiffOptions{Platforms: r.Platforms[:1], Options: Options{WorkDir: t.TempDir()}}
	if d, err := Diff(t.Context(), dir+":two", dir+":other", only); err != nil || !d.Equal() {
		t.Errorf("%v %+v", err, d)
	}
}
