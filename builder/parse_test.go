package builder

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the answers of bad recipes anew")

// unpack writes an archive's files but want into a new directory, and returns that and want.
func unpack(t *testing.T, a *txtar.Archive) (dir, want string) {
	t.Helper()
	dir = t.TempDir()
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir, want
}

// Each archive of testdata/recipes/bad holds a recipe, its first file, and the faults it has.
func TestBadRecipes(t *testing.T) {
	archives, err := filepath.Glob("testdata/recipes/bad/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir, want := unpack(t, a)
			_, err = ReadRecipe(filepath.Join(dir, a.Files[0].Name), RecipeOptions{})
			var faults *RecipeError
			if !errors.As(err, &faults) {
				t.Fatalf("the error is %v, not a *RecipeError", err)
			}
			got := strings.ReplaceAll(err.Error(), dir+"/", "") + "\n"
			if *update {
				a.Files[len(a.Files)-1].Data = []byte(got)
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" && !*update {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func readText(t *testing.T, text string, opts RecipeOptions) (*Recipe, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "recipe.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return ReadRecipe(name, opts)
}

func mustRead(t *testing.T, name string, opts RecipeOptions) *Recipe {
	t.Helper()
	r, err := ReadRecipe(name, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFullRecipe(t *testing.T) {
	name := "testdata/recipes/good/full.yaml"
	dir, err := filepath.Abs("testdata/recipes/good")
	if err != nil {
		t.Fatal(err)
	}
	pos := func(line int) Position { return Position{File: name, Line: line} }
	text := func(s string) *string { return &s }
	mode := func(m uint32) *uint32 { return &m }
	amd64, arm64 := Platform{"linux", "amd64", ""}, Platform{"linux", "arm64", ""}
	want := &Recipe{
		Name: "httpd",
		File: name,
		Dir:  dir,
		Repository: Repository{
			Name:         "ubi-9",
			BaseURL:      "https://mirror.example/ubi9/$releasever/$basearch/${component}/os",
			Components:   []string{"baseos", "appstream"},
			ReleaseVer:   "9",
			GPGKeys:      []string{"keys/RPM-GPG-KEY", "https://vendor.example/key.asc"},
			GPGCheck:     true,
			RepoGPGCheck: true,
			Dir:          dir,
		},
		Platforms: []Platform{amd64, arm64},
		Packages: []PackageRequest{
			{Spec: "httpd", Pos: pos(13)},
			{Spec: "/usr/bin/openssl", Pos: pos(14)},
			{Spec: "libssl.so.3()(64bit)", Pos: pos(15)},
			{Spec: "bash-5.1.8-9.el9", Pos: pos(16)},
			{Spec: "dmidecode", Platforms: []Platform{amd64}, Pos: pos(17)},
		},
		Exclude:      []string{"systemd"},
		Prefer:       []string{"coreutils-single"},
		Dependencies: DependenciesRuntime,
		Scriptlets: map[string]ScriptletRule{
			"some-package":  {Skip: true},
			"other-package": {Slots: map[string]bool{"post": true, "posttrans": true}},
		},
		Strip: Strip{
			Docs:    true,
			Locales: []string{"C.UTF-8", "en", "de_DE@euro"},
			Paths:   []string{"/usr/share/cracklib/**"},
			Keep:    []string{"/usr/share/doc/foo/NOTICE"},
		},
		Accounts: Accounts{
			Groups: []Group{{"app", 65532}, {"more", -1}},
			Users: []User{
				{"app", 65532, "app", "/home/app", "/bin/bash", "The App"},
				{"second", -1, "", "/", "/sbin/nologin", ""},
			},
		},
		Files: []ExtraFile{
			{Path: "/etc/motd", Content: text("hi\n"), Mode: mode(0o644), Pos: pos(34)},
			{Path: "/opt/app", Source: filepath.Join(dir, "app"), Owner: "app", Group: "65532", Pos: pos(35)},
			{Path: "/usr/bin/app", Link: "../../opt/app/run", Pos: pos(36)},
			{Path: "/opt/script", Content: text(""), Mode: mode(0o4755), Pos: pos(37)},
		},
		Image: ImageConfig{
			Entrypoint:  []string{"/usr/sbin/httpd", "-DFOREGROUND"},
			Env:         []EnvVar{{"TZ", "UTC"}, {"WORKERS", "4"}, {"DEBUG", "false"}, {"VERSION", "1.10"}},
			User:        "app:app",
			WorkDir:     "/",
			Ports:       []string{"8080/tcp", "53/udp", "443/tcp"},
			Volumes:     []string{"/data"},
			StopSignal:  "SIGRTMIN+3",
			Labels:      map[string]string{"org.example.team": "web"},
			Annotations: map[string]string{"org.opencontainers.image.version": "2.40"},
		},
		Layers: Layers{Strategy: "package", Budget: 40, Compression: "zstd"},
		Push:   []string{"registry.example/base/httpd:2.4", "localhost:5000/httpd"},
	}
	want.SHA256 = fileSHA256(t, name)
	if diff := cmp.Diff(want, mustRead(t, name, RecipeOptions{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func fileSHA256(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return hexSHA256(b)
}

func TestDefaults(t *testing.T) {
	r := mustRead(t, "testdata/recipes/good/minimal.yaml", RecipeOptions{})
	want := &Recipe{
		Name:         "minimal",
		File:         r.File,
		SHA256:       fileSHA256(t, r.File),
		Dir:          r.Dir,
		Repository:   Repository{Name: "repository", BaseURL: "./repo", Dir: r.Dir},
		Platforms:    []Platform{HostPlatform()},
		Packages:     []PackageRequest{{Spec: "bash", Pos: Position{r.File, 2}}},
		Dependencies: DependenciesFull,
		Scriptlets:   map[string]ScriptletRule{},
		Strip:        Strip{Docs: true},
		Image:        ImageConfig{Labels: map[string]string{}, Annotations: map[string]string{}},
		Layers:       Layers{Strategy: "split", Budget: 20, Compression: "gzip"},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestReleaseVerIsTakenAsWritten(t *testing.T) {
	for _, written := range []string{`9.10`, `"9.10"`, `10`, `"10"`, `2023.9.20251117`, `40_beta`, `0x10`} {
		r, err := readText(t, "repository: {baseurl: a, gpgcheck: false, releasever: "+written+"}\npackages: [bash]\n", RecipeOptions{})
		if err != nil {
			t.Errorf("%s: %v", written, err)
			continue
		}
		if got, want := r.Repository.ReleaseVer, strings.Trim(written, `"`); got != want {
			t.Errorf("releasever: %s is read as %s", written, got)
		}
	}
}

const foldParent = `
repository: {baseurl: ../repo, gpgkey: key, releasever: 9}
platforms: [linux/amd64]
packages: [bash, {name: dmidecode, platforms: [linux/amd64]}]
exclude: [systemd]
dependencies: runtime
scriptlets: {a: skip, b: {post: skip}}
strip: {docs: false, paths: [/a], locales: [de]}
accounts: {users: [{name: app, uid: 5}, {name: other}]}
files: [{path: /etc/motd, content: parent}, {path: /etc/issue, source: issue}]
image:
  entrypoint: [/bin/parent]
  cmd: [x]
  env: {A: "1", B: "2"}
  labels: {l: parent, m: parent}
  ports: [80]
  user: app
layers: {budget: 7, strategy: single}
push: [registry.example/parent]
`

const foldChild = `
extends: parents/base.yaml
packages: [curl, bash, {name: dmidecode, platforms: [linux/arm64]}]
exclude: [perl, systemd]
scriptlets: {a: {pre: skip}, b: {pre: skip}}
strip: {paths: [/b], locales: all}
accounts: {users: [{name: app, uid: 6}]}
files: [{path: /etc/motd, content: child}, {path: /etc/child, source: child}]
image:
  entrypoint: [/bin/child]
  env: [B=3, C=4]
  labels: {m: child}
  ports: [80/tcp, 443]
layers: {strategy: split}
`

func TestExtends(t *testing.T) {
	dir, _ := unpack(t, &txtar.Archive{Files: []txtar.File{
		{Name: "parents/base.yaml", Data: []byte(foldParent)},
		{Name: "child.yaml", Data: []byte(foldChild)},
	}})
	r := mustRead(t, filepath.Join(dir, "child.yaml"), RecipeOptions{})
	if r.Name != "child" || len(r.Parents) != 1 || r.Parents[0].Name != "base" || len(r.Parents[0].Packages) != 2 {
		t.Fatalf("name %s, parents %v", r.Name, r.Parents)
	}
	parent := filepath.Join(dir, "parents")
	amd64, arm64 := Platform{"linux", "amd64", ""}, Platform{"linux", "arm64", ""}
	base, child := filepath.Join(parent, "base.yaml"), filepath.Join(dir, "child.yaml")
	text := func(s string) *string { return &s }
	want := &Recipe{
		Name:       "child",
		File:       child,
		SHA256:     fileSHA256(t, child),
		Dir:        dir,
		Parents:    r.Parents,
		Repository: Repository{Name: "repository", BaseURL: "../repo", GPGKeys: []string{"key"}, ReleaseVer: "9", GPGCheck: true, Dir: parent},
		Platforms:  []Platform{amd64},
		Packages: []PackageRequest{
			{Spec: "bash", Pos: Position{base, 4}},
			{Spec: "dmidecode", Platforms: []Platform{amd64, arm64}, Pos: Position{base, 4}},
			{Spec: "curl", Pos: Position{child, 3}},
		},
		Exclude:      []string{"systemd", "perl"},
		Dependencies: DependenciesRuntime,
		Scriptlets: map[string]ScriptletRule{
			"a": {Slots: map[string]bool{"pre": true}},
			"b": {Slots: map[string]bool{"pre": true, "post": true}},
		},
		Strip:    Strip{Paths: []string{"/a", "/b"}, AllLocales: true},
		Accounts: Accounts{Users: []User{{Name: "app", UID: 6, Home: "/", Shell: "/sbin/nologin"}, {Name: "other", UID: -1, Home: "/", Shell: "/sbin/nologin"}}},
		Files: []ExtraFile{
			{Path: "/etc/motd", Content: text("child"), Pos: Position{child, 8}},
			{Path: "/etc/issue", Source: filepath.Join(parent, "issue"), Pos: Position{base, 10}},
			{Path: "/etc/child", Source: filepath.Join(dir, "child"), Pos: Position{child, 8}},
		},
		Image: ImageConfig{
			Entrypoint:  []string{"/bin/child"},
			Env:         []EnvVar{{"A", "1"}, {"B", "3"}, {"C", "4"}},
			User:        "app",
			Ports:       []string{"80/tcp", "443/tcp"},
			Labels:      map[string]string{"l": "parent", "m": "child"},
			Annotations: map[string]string{},
		},
		Layers: Layers{Strategy: "split", Budget: 7, Compression: "gzip"},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExtendsStripFalse(t *testing.T) {
	head := "repository: {baseurl: a, gpgcheck: false}\npackages: [bash]\nstrip: "
	tests := []struct {
		parent, child string
		want          Strip
	}{
		{"false", "", Strip{AllLocales: true}},
		{"false", "strip: {paths: [/x]}", Strip{AllLocales: true, Paths: []string{"/x"}}},
		{"{paths: [/x]}", "strip: false", Strip{AllLocales: true}},
		{"{docs: false, paths: [/x]}", "strip: true", Strip{Docs: true}},
	}
	for _, tt := range tests {
		dir, _ := unpack(t, &txtar.Archive{Files: []txtar.File{
			{Name: "a.yaml", Data: []byte(head + tt.parent + "\n")},
			{Name: "b.yaml", Data: []byte("extends: a.yaml\n" + tt.child + "\n")},
		}})
		r := mustRead(t, filepath.Join(dir, "b.yaml"), RecipeOptions{})
		if diff := cmp.Diff(tt.want, r.Strip); diff != "" {
			t.Errorf("%s, then %s (-want +got)\n%s", tt.parent, tt.child, diff)
		}
	}
}

func TestExtendsDepth(t *testing.T) {
	var files []txtar.File
	for i := range maxExtends + 1 {
		files = append(files, txtar.File{Name: fmt.Sprintf("r%d.yaml", i), Data: fmt.Appendf(nil, "extends: r%d.yaml\n", i+1)})
	}
	last := fmt.Sprintf("r%d.yaml", maxExtends+1)
	files = append(files, txtar.File{Name: last, Data: []byte("repository: {baseurl: a, gpgcheck: false}\npackages: [bash]\n")})
	dir, _ := unpack(t, &txtar.Archive{Files: files})
	r := mustRead(t, filepath.Join(dir, "r1.yaml"), RecipeOptions{})
	if len(r.Parents) != maxExtends || r.Parents[0].Name != "r2" || len(r.Parents[0].Parents) != maxExtends-1 {
		t.Errorf("%d parents, the nearest is %s", len(r.Parents), r.Parents[0].Name)
	}
	if _, err := ReadRecipe(filepath.Join(dir, "r0.yaml"), RecipeOptions{}); err == nil || !strings.Contains(err.Error(), "more than 16 recipes") {
		t.Errorf("one more parent: %v", err)
	}
}

func TestBuiltinParent(t *testing.T) {
	opts := RecipeOptions{Builtin: fstest.MapFS{
		"ubi9/micro.yaml": {Data: []byte("extends: base.yaml\npackages: [bash]\n")},
		"ubi9/base.yaml":  {Data: []byte("repository: {baseurl: https://a.example/os, gpgkey: [keys/K, https://a.example/k]}\npackages: [glibc]\n")},
		"ubi9/bad.yaml":   {Data: []byte("repository: {baseurl: repo, gpgcheck: false}\npackages: [glibc]\nfiles: [{path: /a, source: a}]\n")},
	}}
	r, err := readText(t, "extends: builtin:ubi9/micro\nfiles: [{path: /a, source: a}]\n", opts)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"builtin:ubi9/keys/K", "https://a.example/k"}, r.Repository.GPGKeys); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	if len(r.Parents) != 2 || r.Parents[1].File != "builtin:ubi9/base" || r.Parents[1].Name != "base" {
		t.Errorf("parents %+v", r.Parents)
	}
	if r := mustRead(t, "builtin:ubi9/micro", opts); r.Name != "micro" {
		t.Errorf("name %s", r.Name)
	}
	if _, err := ReadRecipe("builtin:ubi9/bad", opts); err == nil || strings.Count(err.Error(), "beside it") != 2 {
		t.Errorf("a built-in recipe with files beside it: %v", err)
	}
	_, err = ReadRecipe("builtin:ubi9/none", opts)
	var read *ReadError
	if !errors.As(err, &read) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a built-in recipe that is not there: %v", err)
	}
	if _, err := ReadRecipe("builtin:../../x", opts); err == nil {
		t.Error("a built-in recipe outside is read")
	}
}

func TestSet(t *testing.T) {
	const recipe = `
repository: {metalink: "https://m.example/$component", components: [a, b], gpgkey: [k]}
packages: [bash]
`
	opts := RecipeOptions{WorkDir: "/src", Set: []Setting{
		{"repository.baseurl", "mirror/os"},
		{"repository.components", ""},
		{"repository.gpgkey", "k1,https://a.example/k2"},
		{"repository.releasever", "9.10"},
		{"repository.repo_gpgcheck", "true"},
	}}
	r, err := readText(t, recipe, opts)
	if err != nil {
		t.Fatal(err)
	}
	want := Repository{
		Name: "repository", BaseURL: "/src/mirror/os", GPGKeys: []string{"/src/k1", "https://a.example/k2"},
		ReleaseVer: "9.10", GPGCheck: true, RepoGPGCheck: true, Dir: r.Dir,
	}
	if diff := cmp.Diff(want, r.Repository); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSetFaults(t *testing.T) {
	const recipe = "repository: {baseurl: 'https://a.example/$component', components: [a], gpgcheck: false}\npackages: [bash]\n"
	tests := []struct{ key, value, want string }{
		{"packages", "x", `--set packages: unknown key "packages"`},
		{"repository.bsaeurl", "x", `--set repository.bsaeurl: unknown key "bsaeurl" of the repository`},
		{"repository.baseurl", "x", `--set repository.baseurl: the repository has components, but there is no $component in /src/x`},
		{"repository.gpgcheck", "no", `--set repository.gpgcheck: repository.gpgcheck must be true or false, not a string`},
		{"repository.modules", "a", `--set repository.modules: repository.modules[0]: "a" is not NAME:STREAM`},
	}
	for _, tt := range tests {
		_, err := readText(t, recipe, RecipeOptions{WorkDir: "/src", Set: []Setting{{tt.key, tt.value}}})
		var faults *RecipeError
		if !errors.As(err, &faults) || len(faults.Faults) != 1 || faults.Faults[0].String() != tt.want {
			t.Errorf("%s=%s: %v, want %s", tt.key, tt.value, err, tt.want)
		}
	}
}

func TestSetReachesTheParent(t *testing.T) {
	dir, _ := unpack(t, &txtar.Archive{Files: []txtar.File{
		{Name: "a.yaml", Data: []byte("repository: {baseurl: x, gpgcheck: false}\npackages: [bash]\n")},
		{Name: "b.yaml", Data: []byte("extends: a.yaml\nrepository: {baseurl: x, gpgcheck: false}\n")},
	}})
	r := mustRead(t, filepath.Join(dir, "b.yaml"), RecipeOptions{Set: []Setting{{"repository.baseurl", "https://m.example"}}})
	if r.Repository.BaseURL != "https://m.example" {
		t.Errorf("baseurl %s", r.Repository.BaseURL)
	}
}

func TestRepoFile(t *testing.T) {
	const sections = "[base-$basearch]\nname=x\nbaseurl=https://m.example/$releasever/$basearch/os https://n.example/os\ngpgkey=https://m.example/key\n" +
		"[app]\nmetalink=https://m.example/link?arch=$basearch\nbaseurl=https://other.example\ngpgkey=https://m.example/key,file:///etc/key\nrepo_gpgcheck=1\n" +
		"[loose]\nbaseurl=/srv/repo\ngpgcheck=0\n[none]\nname=none\n[keyless]\nbaseurl=/x\n[narrow]\nbaseurl=/x\nexcludepkgs=bash\n[odd]\nbaseurl=/$nothing\ngpgcheck=0\n"
	read := func(repository string) (*Recipe, error) {
		dir, _ := unpack(t, &txtar.Archive{Files: []txtar.File{
			{Name: "a.repo", Data: []byte(sections)},
			{Name: "a.yaml", Data: []byte("repository: " + repository + "\npackages: [bash]\n")},
		}})
		return ReadRecipe(filepath.Join(dir, "a.yaml"), RecipeOptions{})
	}
	if _, err := read("{file: a.repo, ids: ['base-$basearch', app], releasever: 9}"); err == nil {
		t.Fatal("an id with a variable")
	}
	r, err := read("{file: a.repo, ids: [app, loose], releasever: 9}")
	if err != nil {
		t.Fatal(err)
	}
	urls, err := r.Repository.BaseURLs(Platform{"linux", "arm64", ""})
	if err != nil {
		t.Fatal(err)
	}
	want := []ComponentURL{{Component: "app", URL: "https://m.example/link?arch=aarch64", Source: SourceMetalink}, {Component: "loose", URL: "file:///srv/repo"}}
	if diff := cmp.Diff(want, urls); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if r.Repository.GPGCheck || !r.Repository.RepoGPGCheck || !slices.Equal(r.Repository.GPGKeys, []string{"https://m.example/key", "file:///etc/key"}) {
		t.Errorf("%+v", r.Repository)
	}
	if r, err := read("{file: a.repo, ids: [app, loose], gpgcheck: true, gpgkey: mine}"); err != nil || !r.Repository.GPGCheck || !slices.Equal(r.Repository.GPGKeys, []string{"mine"}) {
		t.Errorf("%+v, %v", r, err)
	}
	for ids, want := range map[string]string{
		"[x]":        "it has no [x]; its repositories are base-$basearch, app, loose, none, keyless, narrow, odd",
		"[none]":     "[none], line 13: it has no baseurl, mirrorlist or metalink",
		"[keyless]":  "it names no gpgkey",
		"[app, app]": "[app] is named twice",
		"[narrow]":   "[narrow], line 17: slim does not act on excludepkgs",
		"[odd]":      "[odd], line 20: unknown variable $nothing",
	} {
		var faults *RecipeError
		if _, err := read("{file: a.repo, ids: " + ids + "}"); !errors.As(err, &faults) || faults.Faults[0].Line != 1 || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", ids, err)
		}
	}
}

func TestPlatformsOption(t *testing.T) {
	s390x := Platform{OS: "linux", Architecture: "s390x"}
	r := mustRead(t, "testdata/recipes/good/full.yaml", RecipeOptions{Platforms: []Platform{s390x}})
	if diff := cmp.Diff([]Platform{s390x}, r.Platforms); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// An alias bomb of ten levels would be ten thousand million values.
func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString("repository: {baseurl: a, gpgcheck: false}\npackages: [bash]\nx0: &x0 [a,a,a,a,a,a,a,a,a,a]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "x%d: &x%d [%s*x%d]\n", i, i, strings.Repeat(fmt.Sprintf("*x%d,", i-1), 9), i-1)
	}
	_, err := readText(t, b.String(), RecipeOptions{})
	if err == nil || !strings.Contains(err.Error(), "more than 20000 values, aliases expanded") {
		t.Errorf("%v", err)
	}
}

func TestLimits(t *testing.T) {
	const head = "repository: {baseurl: a, gpgcheck: false}\npackages: [bash]\n"
	tests := []struct{ name, text, want string }{
		{"size", head + "#" + strings.Repeat("x", maxRecipeSize), "larger than 1048576 bytes"},
		{"depth", head + "x: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "nested deeper than 32"},
		{"nul", head + `name: "a\0b"`, "NUL"},
		{"invalid UTF-8", head + "name: \xff", "not YAML"},
		{"faults", head + strings.Repeat("? [a]\n: b\n", 500), "a key must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readText(t, tt.text, RecipeOptions{})
			var faults *RecipeError
			if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want %s", err, tt.want)
			}
			if len(faults.Faults) > maxFaults {
				t.Errorf("%d faults", len(faults.Faults))
			}
		})
	}
}

func TestReadErrors(t *testing.T) {
	_, err := ReadRecipe(filepath.Join(t.TempDir(), "none.yaml"), RecipeOptions{})
	var read *ReadError
	if !errors.As(err, &read) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a recipe that is not there: %v", err)
	}
	if _, err := ReadRecipe(t.TempDir(), RecipeOptions{}); !errors.As(err, &read) {
		t.Errorf("a directory: %v", err)
	}
}

func FuzzRecipe(f *testing.F) {
	files, err := filepath.Glob("testdata/recipes/good/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("repository: {baseurl: ./$releasever, gpgcheck: false, releasever: 9.10}\npackages: &a [bash]\nprefer: *a\n"))
	f.Add([]byte("strip: {locales: all}\nimage: {env: [A=b], ports: [80]}\n? [a]\n: b\n--- 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := RecipeOptions{Builtin: fstest.MapFS{"a/recipe.yaml": {Data: data}}}
		r, err := ReadRecipe("builtin:a/recipe", opts)
		if err != nil {
			var faults *RecipeError
			if !errors.As(err, &faults) || len(faults.Faults) == 0 {
				t.Fatalf("the error is %v, not faults", err)
			}
			return
		}
		for _, p := range r.Platforms {
			if p.Arch() == "" {
				t.Errorf("unknown platform %s", p)
			}
			if _, err := r.Repository.BaseURLs(p); err != nil {
				t.Errorf("a recipe without faults has no address: %v", err)
			}
			if _, err := r.Repository.KeyRefs(p); err != nil {
				t.Errorf("a recipe without faults has no keys: %v", err)
			}
		}
	})
}
