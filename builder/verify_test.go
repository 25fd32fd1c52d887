package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/rpmtest"
)

const auditedPackages = `
package setup-1-1.noarch
dir /etc
file /etc/passwd config "root:x:0:0:root:/root:/bin/sh\n"
file /etc/group config "root:x:0:\n"
dir /usr
dir /usr/bin
link /bin usr/bin
package app-1-1.x86_64
requires setup
file /usr/bin/app 0755 "#!program\n"
file /bin/su 04755 "#!su\n"
file /usr/bin/ping 0755 caps=cap_net_raw=ep "#!ping\n"
file /etc/app.conf config "a=b\n"
file /etc/app.state ghost ""
link /usr/bin/application app
file /usr/share/doc/app/README doc "read me\n"
provides user(app) = dSBhcHAgLSAiQXBwIiAvc3J2L2FwcA, group(app)
file /srv/app/data user=app group=app "x\n"
hard /usr/bin/app2 /usr/bin/app
dev /dev/slim c 1 3 0666
file /usr/lib/libapp.so.1.2 0755 "library\n"
`

const recipeExtra = `
packages: [app]
accounts: {users: [{name: web, uid: 2000, home: /home/web}]}
files: [{path: /opt/tool, content: "#!tool\n", mode: "0755"}, {path: /opt/link, link: tool}]
`

// audited is an image of auditedPackages in a layout, its repository and key.
type audited struct {
	repo, key string
	image     v1.Image
	recipe    *Recipe
}

func auditedImage(t *testing.T) *audited {
	t.Helper()
	a := &audited{repo: rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, auditedPackages)}
	a.recipe = testRecipe(t, a.repo, recipeExtra)
	a.key = filepath.Join(a.recipe.Dir, "key")
	a.image = buildRecipe(t, a.recipe, Options{}).Platforms[0].Image
	return a
}

// layerEntry is a line of a layer: a file with content, or with a target a link, or what mode says.
type layerEntry struct {
	name    string
	mode    int64
	content string
	link    string
	kind    byte
	uid     int
	caps    string
}

// changed is the image with a further layer, as an OCI layout.
func (a *audited) changed(t *testing.T, entries ...layerEntry) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Size: int64(len(e.content)), Linkname: e.link, Typeflag: tar.TypeReg, Uid: e.uid, Gid: e.uid}
		if e.link != "" {
			h.Typeflag = tar.TypeSymlink
		}
		if e.kind != 0 {
			h.Typeflag = e.kind
		}
		if e.caps != "" {
			h.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": e.caps}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(a.image, layer)
	if err != nil {
		t.Fatal(err)
	}
	return writeImage(t, img)
}

func writeImage(t *testing.T, img v1.Image) string {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendImage(img)
	}
	if err != nil {
		t.Fatal(err)
	}
	return "oci:" + dir
}

// database is the image's rpmdb with changed packages.
func (a *audited) database(t *testing.T, change func(p *rpmdb.Package)) layerEntry {
	t.Helper()
	var packages []rpmdb.Package
	_, err := eachView(t.Context(), writeImage(t, a.image), viewOptions{Options: Options{WorkDir: t.TempDir()}}, func(v *view) error {
		d, err := v.database()
		for _, i := range d.packages {
			p := packageOf(t, a.repo, i.Header.NEVRA())
			packages = append(packages, rpmdb.Package{Header: p.Header(), Signature: p.SignatureHeader(), States: i.States()})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range packages {
		change(&packages[i])
	}
	files, err := rpmdb.Files(rpmdb.SQLite, packages, 1)
	if err != nil {
		t.Fatal(err)
	}
	return layerEntry{name: "var/lib/rpm/rpmdb.sqlite", mode: 0o644, content: string(files["rpmdb.sqlite"])}
}

func packageOf(t *testing.T, repo string, n rpm.NEVRA) *rpm.PackageFile {
	t.Helper()
	content, err := os.ReadFile(glob(t, repo, n.String()+".rpm")[0])
	if err != nil {
		t.Fatal(err)
	}
	p, err := rpm.OpenPackage(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// stateOf finds a file of a package.
func stateOf(t *testing.T, p *rpmdb.Package, path string) *rpm.FileState {
	t.Helper()
	files, err := p.Header.Files()
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if files[i].Path == path {
			return &p.States[i]
		}
	}
	t.Fatalf("no %s", path)
	return nil
}

func verifyIt(t *testing.T, reference string, o VerifyOptions) *VerifiedImage {
	t.Helper()
	o.WorkDir = t.TempDir()
	v, err := Verify(context.Background(), reference, o)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(o.WorkDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
	return v.Images[0]
}

func found(i *VerifiedImage) []string {
	var out []string
	for _, f := range i.Report.Findings {
		s := fmt.Sprintf("%s %s", f.Kind, f.Path)
		if f.Path == "" {
			s += f.Package
		}
		out = append(out, s)
	}
	return out
}

func TestVerifyClean(t *testing.T) {
	a := auditedImage(t)
	ref := writeImage(t, a.image)
	i := verifyIt(t, ref, VerifyOptions{Keys: []string{a.key}, Recipe: a.recipe})
	if got := found(i); got != nil {
		t.Errorf("found %q", got)
	}
	r := i.Report
	if r.Packages != 2 || r.Signed != 2 || r.Files != r.Matching || r.Files < 12 || r.NotInstalled != 1 || r.Foreign != 0 || len(i.Keys) != 1 || i.Keys[0].Packages != 2 {
		t.Errorf("%+v", i)
	}
	var rules []string
	for _, g := range r.Generated {
		rules = append(rules, g.Path+" "+g.Rule)
	}
	want := []string{
		"/dev mount points", "/etc/group accounts", "/etc/group- accounts", "/etc/gshadow accounts", "/etc/passwd accounts", "/etc/passwd- accounts", "/etc/shadow accounts", "/home parent", "/home/web recipe",
		"/opt parent", "/opt/link recipe", "/opt/tool recipe", "/srv parent", "/srv/app parent", "/usr/lib parent",
		"/var parent", "/var/lib parent", "/var/lib/rpm rpmdb", "/var/lib/rpm/rpmdb.sqlite rpmdb",
	}
	if d := cmp.Diff(want, rules); d != "" {
		t.Errorf("generated (-want +got)\n%s", d)
	}
	// Without the recipe what it adds is foreign, with its keys alone it is not.
	if d := cmp.Diff([]string{"foreign /home", "foreign /home/web", "foreign /opt", "foreign /opt/link", "foreign /opt/tool"}, found(verifyIt(t, ref, VerifyOptions{Keys: []string{a.key}}))); d != "" {
		t.Error(d)
	}
	if got := found(verifyIt(t, ref, VerifyOptions{Recipe: a.recipe})); got != nil {
		t.Errorf("with the recipe's keys: %q", got)
	}
}

// TestVerifyTampered changes one thing at a time.
func TestVerifyTampered(t *testing.T) {
	a := auditedImage(t)
	app := "app-1-1.x86_64"
	same := layerEntry{name: "usr/bin/su", mode: 0o4755, content: "#!su\n"}
	with := func(e layerEntry, change func(*layerEntry)) []layerEntry { change(&e); return []layerEntry{e} }
	other, err := rpmtest.NewKey("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	resigned := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: other}, auditedPackages)
	changeApp := func(change func(p *rpmdb.Package)) []layerEntry {
		return []layerEntry{a.database(t, func(p *rpmdb.Package) {
			if p.Header.NEVRA().Name == "app" {
				change(p)
			}
		})}
	}
	for _, test := range []struct {
		name    string
		entries []layerEntry
		want    []string
		passes  bool
	}{
		{name: "nothing", entries: []layerEntry{same}, passes: true},
		{name: "a byte of a library", entries: []layerEntry{{name: "usr/lib/libapp.so.1.2", mode: 0o755, content: "librarY\n"}}, want: []string{"content /usr/lib/libapp.so.1.2"}},
		{name: "more of it", entries: []layerEntry{{name: "usr/lib/libapp.so.1.2", mode: 0o755, content: "library\n\n"}}, want: []string{"content /usr/lib/libapp.so.1.2"}},
		{name: "mode", entries: with(same, func(e *layerEntry) { e.mode = 0o755 }), want: []string{"mode /usr/bin/su"}},
		{name: "owner", entries: with(same, func(e *layerEntry) { e.uid = 5 }), want: []string{"group /usr/bin/su", "owner /usr/bin/su"}},
		{name: "owner by name", entries: []layerEntry{{name: "srv/app/data", mode: 0o644, content: "x\n", uid: 0}}, want: []string{"group /srv/app/data", "owner /srv/app/data"}},
		{name: "capabilities lost", entries: []layerEntry{{name: "usr/bin/ping", mode: 0o755, content: "#!ping\n"}}, want: []string{"capabilities /usr/bin/ping"}},
		{name: "capabilities won", entries: with(same, func(e *layerEntry) {
			e.caps = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
		}), want: []string{"capabilities /usr/bin/su"}},
		{name: "deleted", entries: []layerEntry{{name: "usr/bin/.wh.su"}}, want: []string{"missing /usr/bin/su"}},
		{name: "added", entries: []layerEntry{{name: "usr/bin/sh", mode: 0o755, content: "x"}}, want: []string{"foreign /usr/bin/sh"}},
		{name: "added through a link", entries: []layerEntry{{name: "bin/sh", mode: 0o755, content: "x"}}, want: []string{"foreign /usr/bin/sh"}},
		{name: "added beside the rpmdb", entries: []layerEntry{{name: "var/lib/rpm/Packages.exe", mode: 0o644}}, want: []string{"foreign /var/lib/rpm/Packages.exe"}},
		{name: "executable where a rule is", entries: []layerEntry{{name: "etc/ld.so.cache", mode: 0o755, content: "x"}}, want: []string{"foreign /etc/ld.so.cache"}},
		{name: "a second database", entries: []layerEntry{{name: "usr/share/rpm/rpmdb.sqlite", mode: 0o644, content: "x"}}, want: []string{"database /usr/share/rpm/rpmdb.sqlite"}},
		{name: "a journal", entries: []layerEntry{{name: "var/lib/rpm/rpmdb.sqlite-wal", mode: 0o644, content: "x"}}, want: []string{"journal /var/lib/rpm/rpmdb.sqlite-wal"}, passes: true},
		{name: "configuration", entries: []layerEntry{{name: "etc/app.conf", mode: 0o644, content: "c=d\n"}}, want: []string{"config /etc/app.conf"}, passes: true},
		{name: "configuration's mode", entries: []layerEntry{{name: "etc/app.conf", mode: 0o666, content: "a=b\n"}}, want: []string{"mode /etc/app.conf"}},
		{name: "configuration gone", entries: []layerEntry{{name: "etc/.wh.app.conf"}}, want: []string{"missing /etc/app.conf"}},
		{name: "a ghost", entries: []layerEntry{{name: "etc/app.state", mode: 0o644, content: "abc"}}, passes: true},
		{name: "a ghost that runs", entries: []layerEntry{{name: "etc/app.state", mode: 0o755, content: "abc"}}, want: []string{"foreign /etc/app.state", "mode /etc/app.state"}},
		{name: "link", entries: []layerEntry{{name: "usr/bin/application", link: "su"}}, want: []string{"link /usr/bin/application"}},
		{name: "file for link", entries: []layerEntry{{name: "usr/bin/application", mode: 0o777, content: "x"}}, want: []string{"type /usr/bin/application"}},
		{name: "link for file", entries: []layerEntry{{name: "usr/bin/su", link: "app"}}, want: []string{"type /usr/bin/su"}},
		{name: "device", entries: []layerEntry{{name: "dev/slim", mode: 0o666, kind: tar.TypeChar}}, want: []string{"device /dev/slim"}},
		{name: "hard link", entries: []layerEntry{{name: "usr/bin/app2", mode: 0o755, content: "#!program\n"}}, want: []string{"hard link /usr/bin/app2"}, passes: true},
		{name: "left out and there", entries: []layerEntry{{name: "usr/share/doc/app/README", mode: 0o644, content: "read me\n"}}, want: []string{"present /usr/share/doc/app/README"}},
		{name: "the recipe's file", entries: []layerEntry{{name: "opt/tool", mode: 0o755, content: "#!other\n"}}, want: []string{"content /opt/tool"}},
		{name: "the recipe's link", entries: []layerEntry{{name: "opt/link", link: "/bin/su"}}, want: []string{"link /opt/link"}},
		{name: "an alternative", entries: []layerEntry{{name: "etc/alternatives/x", link: "/usr/bin/app"}, {name: "usr/bin/x", link: "/etc/alternatives/x"}}, passes: true},
		{name: "an alternative to nothing", entries: []layerEntry{{name: "etc/alternatives/x", link: "/usr/bin/y"}}, want: []string{"foreign /etc/alternatives", "foreign /etc/alternatives/x"}},
		{name: "a file marked as not installed", entries: changeApp(func(p *rpmdb.Package) { *stateOf(t, p, "/bin/su") = rpm.StateNotInstalled }), want: []string{"present /usr/bin/su"}},
		{name: "a file marked as replaced", entries: changeApp(func(p *rpmdb.Package) { *stateOf(t, p, "/bin/su") = rpm.StateReplaced }), want: []string{"present /usr/bin/su"}},
		{name: "a file marked as wrong colour", entries: changeApp(func(p *rpmdb.Package) { *stateOf(t, p, "/bin/su") = rpm.StateWrongColor }), want: []string{"present /usr/bin/su"}},
		{name: "a file marked as net shared", entries: append(changeApp(func(p *rpmdb.Package) { *stateOf(t, p, "/bin/su") = rpm.StateNetShared }), layerEntry{name: "usr/bin/su", mode: 0o4755, content: "#!SU\n"}), want: []string{"content /usr/bin/su"}},
		{name: "a file not marked any more", entries: changeApp(func(p *rpmdb.Package) { *stateOf(t, p, "/usr/share/doc/app/README") = rpm.StateNormal }), want: []string{"missing /usr/share/doc/app/README"}},
		{name: "a header", entries: changeApp(func(p *rpmdb.Package) {
			p.Header = editHeader(t, p.Header, "/usr/bin/app")
		}), want: []string{"signature " + app, "content /usr/bin/app"}},
		{name: "signed again", entries: changeApp(func(p *rpmdb.Package) {
			f := packageOf(t, resigned, p.Header.NEVRA())
			p.Header, p.Signature = f.Header(), f.SignatureHeader()
		}), want: []string{"signature " + app}},
		{name: "another's signature", entries: changeApp(func(p *rpmdb.Package) {
			p.Signature = packageOf(t, a.repo, rpm.NEVRA{Name: "setup", EVR: rpm.ParseEVR("1-1"), Arch: "noarch"}).SignatureHeader()
		}), want: []string{"signature " + app}},
		{name: "no database", entries: []layerEntry{{name: "var/lib/rpm/.wh.rpmdb.sqlite"}}, want: []string{"database "}},
		{name: "no database but bytes", entries: []layerEntry{{name: "var/lib/rpm/rpmdb.sqlite", mode: 0o644, content: strings.Repeat("x", 5000)}}, want: []string{"database "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := verifyIt(t, a.changed(t, test.entries...), VerifyOptions{Keys: []string{a.key}, Recipe: a.recipe})
			if d := cmp.Diff(test.want, found(i)); d != "" {
				t.Errorf("(-want +got)\n%s%+v", d, i.Report.Findings)
			}
			if i.Report.Failed(false) == test.passes {
				t.Errorf("failed: %v", i.Report.Failed(false))
			}
			if i.Report.Failed(true) != (len(test.want) > 0) {
				t.Errorf("failed strictly: %v", i.Report.Failed(true))
			}
		})
	}
}

// editHeader makes another header of h in which the file at path has another digest.
func editHeader(t *testing.T, h *rpm.Header, path string) *rpm.Header {
	t.Helper()
	files, err := h.Files()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Path != path {
			continue
		}
		blob := bytes.Clone(h.Blob())
		at := bytes.Index(blob, []byte(f.Digest))
		blob[at] ^= 1
		edited, err := rpm.ParseHeader(blob)
		if err != nil {
			t.Fatal(err)
		}
		return edited
	}
	t.Fatalf("no %s", path)
	return nil
}

// TestVerifyDribbles shows that what stands outside of the signed region cannot replace what stands in it.
func TestVerifyDribbles(t *testing.T) {
	a := auditedImage(t)
	_, err := eachView(t.Context(), writeImage(t, a.image), viewOptions{Options: Options{WorkDir: t.TempDir()}}, func(v *view) error {
		d, err := v.database()
		if err != nil {
			return err
		}
		keys := &rpm.Keyring{}
		if _, _, err := keys.Add(rpmtest.TestKey(t).Public()); err != nil {
			return err
		}
		for _, i := range d.packages {
			if i.Header.IsSealed(rpm.TagHeaderImmutable) {
				t.Errorf("%s has nothing beside its region: the test shows nothing", i.Header.NEVRA())
			}
			p := audit.ReadPackage(i.Header, i.States(), keys)
			if want := packageOf(t, a.repo, p.NEVRA).Header().SHA256(); p.Err != nil || p.SHA256 != want {
				t.Errorf("%s: %v, %s, not %s", p.NEVRA, p.Err, p.SHA256, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyKeys(t *testing.T) {
	a := auditedImage(t)
	ref := writeImage(t, a.image)
	nothing := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(nothing, []byte("nothing\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, o := range []VerifyOptions{{}, {Keys: []string{nothing}}, {Keys: []string{a.key, filepath.Join(t.TempDir(), "none")}}} {
		var key *KeyError
		if _, err := Verify(t.Context(), ref, o); !errors.As(err, &key) {
			t.Errorf("%v: %v", o.Keys, err)
		}
	}
	other, err := rpmtest.NewKey("somebody else")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(file, other.Public(), 0o666); err != nil {
		t.Fatal(err)
	}
	i := verifyIt(t, ref, VerifyOptions{Keys: []string{file}})
	if i.Report.Signed != 0 || i.Report.Matching != 0 || !strings.HasPrefix(i.Report.Findings[0].Got, "wrong key") {
		t.Errorf("%+v", i.Report)
	}
}

func TestVerifyAgainst(t *testing.T) {
	a := auditedImage(t)
	text := strings.Replace(auditedPackages, "package app-1-1", "package app-1-2", 1) + "package more-1-1.noarch\nfile /usr/share/more \"x\"\n"
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, text)
	newer := buildRecipe(t, testRecipe(t, repo, "packages: [app, more]"), Options{}).Platforms[0].Image
	same, moved := writeImage(t, a.image), writeImage(t, newer)
	o := VerifyOptions{Keys: []string{a.key}, Against: same}
	if got := verifyIt(t, same, o).Against; got.Count[audit.Identical] != 2 || len(got.Absent) != 0 {
		t.Errorf("%+v", got)
	}
	got := map[string]audit.Verdict{}
	i := verifyIt(t, moved, o)
	for _, p := range i.Against.Packages {
		got[p.NEVRA.String()] = p.Verdict
	}
	want := map[string]audit.Verdict{"app-1-2.x86_64": audit.Drifted, "more-1-1.noarch": audit.SameRepository, "setup-1-1.noarch": audit.Identical}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(i.Report.Findings) != 0 || !(&Verification{Images: []*VerifiedImage{i}}).Differs() {
		t.Errorf("%+v", i.Report.Findings)
	}
	o.Against = moved
	if got := verifyIt(t, same, o).Against; len(got.Absent) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestVerifyAgainstRepository compares with repositories that have the same builds, others, rebuilt ones of the same
// version, and none.
func TestVerifyAgainstRepository(t *testing.T) {
	a := auditedImage(t)
	ref := writeImage(t, a.image)
	repo := func(o rpmtest.RepoOptions, text string) string {
		o.Key = rpmtest.TestKey(t)
		return rpmtest.MustRepo(t, o, text)
	}
	newer := repo(rpmtest.RepoOptions{}, strings.Replace(auditedPackages, "package app-1-1", "package app-1-2", 1))
	rebuilt := repo(rpmtest.RepoOptions{}, strings.Replace(auditedPackages, "read me", "read this", 1))
	without := repo(rpmtest.RepoOptions{}, strings.Split(auditedPackages, "package app")[0])
	recipe := filepath.Join(t.TempDir(), "newer.yaml")
	if err := os.WriteFile(recipe, []byte("repository: {baseurl: "+newer+", gpgcheck: false}\npackages: [app]\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		against string
		verdict audit.Verdict // of app; setup is identical everywhere
		have    string
	}{
		{a.repo, audit.Identical, "[]"},
		{"file://" + a.repo, audit.Identical, "[]"},
		{newer, audit.Drifted, "[app-1-2.x86_64]"},
		{recipe, audit.Drifted, "[app-1-2.x86_64]"},
		{rebuilt, audit.Drifted, "[app-1-1.x86_64]"},
		{without, audit.Drifted, "[]"},
	} {
		i := verifyIt(t, ref, VerifyOptions{Keys: []string{a.key}, Recipe: a.recipe, Against: test.against})
		app, setup := i.Against.Packages[0], i.Against.Packages[1]
		if app.Verdict != test.verdict || fmt.Sprint(app.Reference) != test.have || setup.Verdict != audit.Identical || len(i.Against.Absent) != 0 {
			t.Errorf("%s: %+v", test.against, i.Against)
		}
	}
	if _, err := Verify(t.Context(), ref, VerifyOptions{Keys: []string{a.key}, Against: "http://localhost:1/none", Options: Options{Offline: true}}); KindOf(err) != FailedNetwork {
		t.Errorf("offline: %v", err)
	}
}

func TestVerifyStatement(t *testing.T) {
	a := auditedImage(t)
	ref := writeImage(t, a.image)
	v, err := Verify(t.Context(), ref, VerifyOptions{Keys: []string{a.key}, Recipe: a.recipe, Options: Options{WorkDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Statement("", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"_type":"https://in-toto.io/Statement/v1"`, `"predicateType":"urn:slim:same-packages:v1"`, `"digest":{"sha256":"` + v.Images[0].Digest[7:] + `"}`,
		`"nevra":"app-1-1.x86_64"`, `"key":"` + rpmtest.TestKey(t).Fingerprint() + `"`, `{"path":"/opt/tool","rule":"recipe"}`,
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	v.Images[0].Report.Findings = []audit.Finding{{Kind: audit.Foreign}}
	if _, err := v.Statement("", ""); err == nil {
		t.Error("a statement about what failed")
	}
}

// TestVerifyFormats puts the same packages into each kind of database.
func TestVerifyFormats(t *testing.T) {
	a := auditedImage(t)
	var packages []rpmdb.Package
	a.database(t, func(p *rpmdb.Package) { packages = append(packages, *p) })
	ndb, err := rpmdb.Files(rpmdb.NDB, packages, 1)
	bdb, err2 := rpmdb.Files(rpmdb.BDB, packages, 1)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	gone := layerEntry{name: "var/lib/rpm/.wh.rpmdb.sqlite"}
	for format, entries := range map[string][]layerEntry{
		"ndb": {gone, {name: "usr/lib/sysimage/rpm/Packages.db", mode: 0o644, content: string(ndb["Packages.db"])}, {name: "usr/lib/sysimage/rpm/Index.db", mode: 0o644, content: string(ndb["Index.db"])}},
		"bdb": {gone, {name: "var/lib/rpm/Packages", mode: 0o644, content: string(bdb["Packages"])}},
	} {
		i := verifyIt(t, a.changed(t, entries...), VerifyOptions{Keys: []string{a.key}, Recipe: a.recipe})
		if i.Format != format || i.Report.Signed != 2 || i.Report.Matching != i.Report.Files || i.Report.Files < 12 || i.Report.Failed(true) {
			t.Errorf("%s: %+v", format, i)
		}
	}
	file := filepath.Join(t.TempDir(), "Packages")
	if err := os.WriteFile(file, bdb["Packages"], 0o666); err != nil {
		t.Fatal(err)
	}
	v, err := VerifyDatabase(t.Context(), file, VerifyOptions{Keys: []string{a.key}})
	if err != nil || v.Failed(true) || v.Images[0].Report.Signed != 2 {
		t.Errorf("%v %+v", err, v)
	}
}

func TestVerifyCancelled(t *testing.T) {
	a := auditedImage(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, writeImage(t, a.image), VerifyOptions{Keys: []string{a.key}, Options: Options{WorkDir: t.TempDir()}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestVerifyReferences reads what is not there.
func TestVerifyReferences(t *testing.T) {
	for _, ref := range []string{"oci:" + t.TempDir(), "dir:" + filepath.Join(t.TempDir(), "none"), "none.tar", "./path"} {
		if _, err := Verify(t.Context(), ref, VerifyOptions{Keys: []string{testKeyFile(t)}}); err == nil {
			t.Errorf("%s was verified", ref)
		}
	}
}

func testKeyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, rpmtest.TestKey(t).Public(), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}
