package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"slim/internal/image"
	"slim/internal/rpmtest"
)

// familyPackages are a base and packages that come after it and change what it brought.
const familyPackages = `
package base-1-1.x86_64
source base-1-1.src.rpm
file /etc/passwd "root:x:0:0:root:/root:/bin/sh\n"
file /etc/group "root:x:0:\n"
dir /usr/bin 0755
file /usr/bin/sh 0755 "sh"
file /usr/bin/rm 0755 "rm"
file /usr/bin/chmod 0755 "chmod"
file /usr/bin/ln 0755 "ln"
link /bin usr/bin
file /etc/removed "to go\n"
dir /etc/removed.d
file /etc/removed.d/x "to go too\n"
file /etc/changed "a\n"
file /etc/loosened 0600 "secret\n"
file /usr/bin/one 0755 "one of three\n"
hard /usr/bin/two /usr/bin/one
hard /usr/bin/three /usr/bin/one
file /usr/share/doc/base/README doc "read me\n"
file /var/lib/kept/a "a\n"
package tools-1-1.x86_64
source tools-1-1.src.rpm
requires base
file /usr/bin/tool 0755 "tool\n"
file /usr/share/tools/list "list\n"
package app-1-1.x86_64
source app-1-1.src.rpm
requires base
provides user(app) = dSBhcHAgLSAiQXBwIiAvc3J2L2FwcA, group(app)
file /srv/app/data user=app group=app "x\n"
file /usr/share/tools/app "app\n"
post
| rm -r /etc/removed /etc/removed.d
| echo b >> /etc/changed
| chmod 0644 /etc/loosened
| rm /usr/bin/two
| ln /etc/changed /etc/linked
package more-1-1.noarch
source more-1-1.src.rpm
requires app
file /usr/share/more "more\n"
post
| echo c >> /etc/changed
| rm /usr/share/tools/app
`

// shownLines are the paths of an image as a container sees them.
func shownLines(t *testing.T, p PlatformImage) []string {
	t.Helper()
	root, err := image.Flatten(context.Background(), p.Image, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var lines []string
	for _, n := range root.Nodes {
		if strings.HasPrefix(n.Path, "/usr/lib/sysimage") || strings.HasPrefix(n.Path, "/var/lib/rpm") {
			n.Size = 0 // the order of two transactions' packages may be in it
		}
		line := fmt.Sprintf("%s %o %d:%d %d %s %x %d,%d ->%s", n.Path, n.Mode, n.UID, n.GID, n.MTime, n.Link, n.Caps, n.Major, n.Minor, n.HardTo)
		if n.IsRegular() && n.Size > 0 {
			r, err := n.Open()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			r.Close()
			if err != nil {
				t.Fatal(err)
			}
			line += fmt.Sprintf(" %q", content)
		}
		lines = append(lines, line)
	}
	return lines
}

func diffIDs(t *testing.T, p PlatformImage) []string {
	t.Helper()
	var ids []string
	for _, l := range p.Layers {
		id, err := l.DiffID()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := l.Digest()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String()+" "+digest.String())
	}
	return ids
}

// TestFamilyLayers builds a family of recipes: the layers of each are the first of the one that extends it, and what a
// container sees is what it would see without any of that.
func TestFamilyLayers(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, familyPackages)
	for _, strategy := range []string{"split", "single", "package"} {
		t.Run(strategy, func(t *testing.T) {
			f := newFleet(t, repo)
			layers := "layers: {strategy: " + strategy + "}\n"
			base := f.recipe("base", "packages: [base, tools]\nfiles: [{path: /etc/motd, content: hello}]\n"+layers)
			f.write("app.yaml", "extends: base.yaml\npackages: [app]\nstrip: {docs: false}\nfiles: [{path: /etc/motd, content: other}]\n")
			f.write("more.yaml", "extends: app.yaml\npackages: [more]\naccounts: {users: [{name: web, uid: 2000, home: /home/web}]}\nstrip: {paths: [/var/lib/kept/**]}\n")
			app, more := f.read("app", RecipeOptions{}), f.read("more", RecipeOptions{})
			var below []string
			for _, r := range []*Recipe{base, app, more} {
				img := buildRecipe(t, r, f.o)
				p := img.Platforms[0]
				if err := validate.Image(p.Image); err != nil {
					t.Error(err)
				}
				ids := diffIDs(t, p)
				if n := min(len(below), len(ids)-1); !slices.Equal(below, ids[:n]) {
					t.Errorf("%s: the layers\n%s\ndo not begin with\n%s", r.File, strings.Join(ids, "\n"), strings.Join(below, "\n"))
				}
				below = ids
				alone := *r
				alone.Parents, alone.Layers.Strategy = nil, "single"
				single := buildRecipe(t, &alone, f.o)
				if n := len(single.Platforms[0].Layers); n != 1 {
					t.Errorf("%s: a single layer is %d", r.File, n)
				}
				if d := cmp.Diff(shownLines(t, single.Platforms[0]), shownLines(t, p)); d != "" {
					t.Errorf("%s, alone and as a child: %s", r.File, d)
				}
				if r != more {
					continue
				}
				shows := strings.Join(shownLines(t, p), "\n")
				for part, want := range map[string]bool{`"a\nb\nc\n"`: true, "/etc/removed": false, "/usr/bin/two": false, "/usr/share/doc/base/README": true, "/var/lib/kept": false} {
					if strings.Contains(shows, part) != want {
						t.Errorf("%s: %s is there: %t\n%s", r.File, part, !want, shows)
					}
				}
			}
		})
	}
}

// TestFamilyLocked locks a family: what the parent takes the children take, whatever they would have taken themselves,
// and a lock and no lock make the same parent.
func TestFamilyLocked(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, familyPackages+`
package shell-a-1-1.noarch
provides shell
file /usr/bin/a "a"
package shell-b-1-1.noarch
provides shell
file /usr/bin/b "b"
package script-1-1.noarch
requires shell
file /usr/bin/script "s"
package unlike-1-1.noarch
conflicts shell-b
file /usr/bin/unlike "u"
`)
	f := newFleet(t, repo)
	base := f.recipe("base", "packages: [base, shell-b]")
	f.write("app.yaml", "extends: base.yaml\npackages: [script, app]\nprefer: [shell-a]\n")
	app := f.read("app", RecipeOptions{})
	file := f.mustLock(LockRequest{}, app).File
	if got, want := takes(t, file, "app.yaml"), "app-1 base-1 script-1 shell-b-1"; got != want {
		t.Errorf("app takes %s, not %s", got, want)
	}
	if got, want := takes(t, file, "base.yaml"), "base-1 shell-b-1"; got != want {
		t.Errorf("base takes %s, not %s", got, want)
	}
	again, err := ParseLockFile(file.Bytes(), "slim.lock")
	if err != nil {
		t.Fatal(err)
	}
	build := func(r *Recipe) []string {
		lock, err := again.Lock(r)
		if err != nil {
			t.Fatal(err)
		}
		img, err := Build(context.Background(), r, lock, f.o)
		if err != nil {
			t.Fatal(err)
		}
		defer img.Close()
		return diffIDs(t, img.Platforms[0])
	}
	parent, child := build(base), build(app)
	if len(child) <= len(parent) || !slices.Equal(parent, child[:len(parent)]) {
		t.Errorf("the child's layers %v do not begin with %v", child, parent)
	}
	if d := cmp.Diff(parent, diffIDs(t, buildRecipe(t, base, f.o).Platforms[0])); d != "" {
		t.Errorf("without a lock: %s", d)
	}
	f.write("bad.yaml", "extends: base.yaml\npackages: [unlike]\n")
	if _, err := f.lock(LockRequest{}, f.read("bad", RecipeOptions{})); err == nil || !strings.Contains(err.Error(), "unlike") {
		t.Errorf("a child that conflicts with its parent: %v", err)
	}
	f.recipe("base", "packages: [base, shell-b, tools]")
	misfits := again.Fit(f.read("app", RecipeOptions{}))
	if text := fmt.Sprint(misfits); !strings.Contains(text, filepath.Join(f.dir, "base.yaml")) || !strings.Contains(text, "packages has tools") {
		t.Errorf("a changed parent: %s", text)
	}
}

// TestLayersOfPackages finds a package in the same layer whatever else is in the set.
func TestLayersOfPackages(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, familyPackages)
	layer := func(packages, name string) string {
		r := testRecipe(t, repo, "packages: ["+packages+"]\nlayers: {strategy: package}\n")
		img := buildRecipe(t, r, Options{})
		for _, l := range img.Platforms[0].Layers {
			if slices.Equal(l.Packages, []string{name}) {
				id, err := l.DiffID()
				if err != nil {
					t.Fatal(err)
				}
				return id.String()
			}
		}
		t.Fatalf("no layer of %s", name)
		return ""
	}
	for _, name := range []string{"base-1-1.x86_64", "tools-1-1.x86_64"} {
		if few, many := layer("tools", name), layer("tools, more", name); few != many {
			t.Errorf("%s is in %s and in %s", name, few, many)
		}
	}
}

func TestRoom(t *testing.T) {
	for _, test := range []struct {
		layers    Layers
		parent    int
		want      int
		wantError bool
	}{
		{Layers{Strategy: "split", Budget: 20}, 0, 9, false},
		{Layers{Strategy: "split", Budget: 20}, 10, 9, false},
		{Layers{Strategy: "split", Budget: 20}, 20, 1, false},
		{Layers{Strategy: "split", Budget: 2}, 0, 1, false},
		{Layers{Strategy: "split", Budget: 100}, 50, 49, false},
		{Layers{Strategy: "split", Budget: 20}, 98, 1, false},
		{Layers{Strategy: "split", Budget: 20}, 99, 0, true},
		{Layers{Strategy: "single", Budget: 20}, 0, 1, false},
		{Layers{Strategy: "single", Budget: 20}, 99, 1, false},
		{Layers{Strategy: "single", Budget: 20}, 100, 0, true},
		{Layers{Strategy: "package", Budget: 100}, 0, 99, false},
		{Layers{Strategy: "package", Budget: 100}, 60, 39, false},
	} {
		got, err := test.layers.room(test.parent)
		var tooMany *LayersError
		if got != test.want || errors.As(err, &tooMany) != test.wantError {
			t.Errorf("%+v over %d layers: %d, %v", test.layers, test.parent, got, err)
		}
	}
}
