package builder

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/repomd"
	"slim/internal/rpm"
	"slim/internal/rpmtest"
	"slim/internal/solve"
	"slim/internal/tooltest"
)

// largeRepository makes the metadata of so many packages in dir, in the manner of a real repository.
func largeRepository(t *testing.T, dir string, packages int) {
	t.Helper()
	read := func(kind string) []byte {
		names, err := filepath.Glob(tooltest.Shared(t, "rpms", "osbuild+images", "test", "data", "testrepo", "repodata") + "/*-" + kind + ".xml.gz")
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		f, err := os.Open(names[0])
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	if err := rpmtest.Large(dir, read("primary"), read("filelists"), rpmtest.LargeOptions{Packages: packages}); err != nil {
		t.Fatal(err)
	}
}

// openTest opens a repository with a cache.
func openTest(t *testing.T, r Repository, cache string) *repository {
	t.Helper()
	client, done, err := Options{CacheDir: cache}.client()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	repo, err := openRepository(t.Context(), client, r, Platform{OS: "linux", Architecture: "amd64"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// parsed are the packages of a repository without a catalog, with or without their full file lists.
func parsed(t *testing.T, repo *repository, files bool) []*rpm.Metadata {
	t.Helper()
	seen := map[rpm.NEVRA]*rpm.Metadata{}
	for _, src := range repo.sources {
		added := map[string]*rpm.Metadata{}
		err := repo.readPrimary(t.Context(), src, func(m *rpm.Metadata) error {
			if seen[m.NEVRA] == nil {
				seen[m.NEVRA], added[m.Checksum.Hex] = m, m
			}
			return nil
		})
		if err == nil && files {
			err = repo.read(t.Context(), src, "filelists", func(r io.Reader) error {
				return repomd.ParseFilelists(r, func(pkgid string, _ rpm.NEVRA, files []string) error {
					if m := added[pkgid]; m != nil {
						m.Files, m.AllFiles = slices.Clone(files), true
					}
					return nil
				})
			})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Collect(maps.Values(seen))
}

// TestConformanceCatalog solves random requests from metadata that was parsed, from a catalog that was just made, and from
// one in the cache: packages, reasons, choices and explanations are the same.
func TestConformanceCatalog(t *testing.T) {
	n := 20
	if more, err := strconv.Atoi(os.Getenv("SLIM_CONFORMANCE")); err == nil {
		n = more
	}
	large := t.TempDir()
	largeRepository(t, large, 2500)
	for name, r := range map[string]Repository{
		"distribution": sharedRecipe(t, []string{"bash"}, "").Repository,
		"stream9":      {BaseURL: tooltest.Shared(t, "rpms", "osbuild+images", "test", "data", "testrepo"), Dir: "/"},
		"large":        {BaseURL: large, Dir: "/"},
	} {
		t.Run(name, func(t *testing.T) {
			r.RepoGPGCheck = false
			cache := t.TempDir()
			cold := openTest(t, r, cache)
			partial, complete := parsed(t, cold, false), parsed(t, cold, true)
			requests := randomRequests(complete, n)
			for i, request := range requests {
				t.Run(strings.ReplaceAll(fmt.Sprint(i, request.Install), "/", "|"), func(t *testing.T) {
					want := answerOf(solveParsed(request, partial, complete))
					for _, repo := range []*repository{cold, openTest(t, r, cache)} {
						solution, err := repo.answer(t.Context(), request)
						if diff := cmp.Diff(want, answerOf(solution, err)); diff != "" {
							t.Fatal(diff)
						}
					}
				})
			}
		})
	}
}

// solveParsed asks without full file lists first, as the repository does.
func solveParsed(request solve.Request, partial, complete []*rpm.Metadata) (*solve.Solution, error) {
	request.Packages = partial
	solution, err := solve.Solve(request)
	var need *solve.NeedFiles
	if errors.As(err, &need) {
		request.Packages = complete
		return solve.Solve(request)
	}
	return solution, err
}

// answerOf is all that an answer says, in lines.
func answerOf(s *solve.Solution, err error) []string {
	if err != nil {
		return strings.Split(err.Error(), "\n")
	}
	var out []string
	for _, c := range s.Packages {
		out = append(out, fmt.Sprintf("%s %s %+v", c.NEVRA, c.Checksum, c.Reason))
	}
	for _, c := range s.Choices {
		out = append(out, fmt.Sprintf("%+v", c))
	}
	return out
}

// randomRequests ask for names, paths of primary and of filelists, capabilities, globs, and for what there is not.
func randomRequests(packages []*rpm.Metadata, n int) []solve.Request {
	slices.SortFunc(packages, (*rpm.Metadata).Compare)
	random := rand.New(rand.NewPCG(6, 9))
	var out []solve.Request
	for range n {
		request := solve.Request{Arch: "x86_64", Mode: solve.Mode(random.IntN(3))}
		for range 1 + random.IntN(3) {
			m := packages[random.IntN(len(packages))]
			spec := m.Name
			switch kind := random.IntN(12); {
			case kind == 0 && len(m.Files) > 0:
				spec = m.Files[random.IntN(len(m.Files))]
			case kind == 1 && len(m.Provides) > 0:
				spec = m.Provides[random.IntN(len(m.Provides))].String()
			case kind == 2:
				spec = m.Name[:max(1, len(m.Name)-2)] + "*"
			case kind == 3 && len(m.Files) > 0:
				spec = filepath.Dir(m.Files[0]) + "/*" + m.Name
			case kind == 4:
				spec = m.Name + "x"
			case kind == 5:
				request.Exclude = append(request.Exclude, packages[random.IntN(len(packages))].Name)
			case kind == 6:
				request.Prefer = append(request.Prefer, packages[random.IntN(len(packages))].Name)
			}
			request.Install = append(request.Install, solve.Item{Spec: spec})
		}
		out = append(out, request)
	}
	return out
}

// TestCatalogKept has primary.xml read once, filelists.xml once for a path that needs it, and all of it again when what is
// in the cache is damaged or of another format.
func TestCatalogKept(t *testing.T) {
	dir := rpmtest.MustRepo(t, rpmtest.RepoOptions{}, "package a-1-1.noarch\n  requires /usr/share/data\n\npackage b-1-1.noarch\n  file /usr/share/data\n")
	var read []string
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read = append(read, r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:])
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	cache := t.TempDir()
	ask := func(want ...string) *repository {
		t.Helper()
		read = nil
		client, done, err := Options{CacheDir: cache}.client()
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		repo, err := openRepository(t.Context(), client, Repository{BaseURL: server.URL}, Platform{OS: "linux", Architecture: "amd64"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		solution, err := repo.ask(t.Context(), solve.Request{Arch: "x86_64", Install: []solve.Item{{Spec: "a"}}})
		if err != nil || len(solution.Packages) != 2 {
			t.Fatal(solution, err)
		}
		if diff := cmp.Diff(append([]string{"/repodata/repomd.xml"}, want...), read); diff != "" {
			t.Error(diff)
		}
		return repo
	}
	// Only what is computed stays, so that what is read once more is fetched once more.
	forget := func() { os.RemoveAll(filepath.Join(cache, "sha256")) }
	ask("primary.xml.gz", "filelists.xml.gz")
	forget()
	ask()
	damage := func(kind string, change func([]byte) []byte) {
		t.Helper()
		names, err := filepath.Glob(filepath.Join(cache, "kept", kind, "*", "*"))
		if err != nil || len(names) != 1 {
			t.Fatal(names, err)
		}
		content, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(names[0], change(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 4; return b }
	damage("catalog", flip)
	ask("primary.xml.gz")
	forget()
	damage("owners", flip)
	ask("filelists.xml.gz")
	forget()
	damage("catalog", func(b []byte) []byte { return b[:len(b)/2] })
	ask("primary.xml.gz")
	forget()
	repo := ask()
	key, err := repo.sources[0].catalogKey()
	if err == nil {
		err = keep(repo.client.Cache(), "catalog", hexSHA256([]byte(key)), []byte("slimcat\x00 of another format"))
	}
	if err != nil {
		t.Fatal(err)
	}
	ask("primary.xml.gz")
}

// TestCatalogOfComponents changes one of two components: of the other nothing is read again, and it answers as before.
func TestCatalogOfComponents(t *testing.T) {
	dir := t.TempDir()
	make := func(component, text string) {
		t.Helper()
		if err := os.RemoveAll(filepath.Join(dir, component)); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(rpmtest.MustRepo(t, rpmtest.RepoOptions{}, text), filepath.Join(dir, component)); err != nil {
			t.Fatal(err)
		}
	}
	make("base", "package a-1-1.noarch\n  requires /usr/share/data\n  requires c\n\npackage c-1-1.noarch\n")
	make("updates", "package b-1-1.noarch\n  file /usr/share/data\n")
	var read []string
	files := http.FileServer(http.Dir(dir))
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if component, _, _ := strings.Cut(r.URL.Path[1:], "/"); !strings.HasSuffix(r.URL.Path, "/repomd.xml") {
			read = append(read, component+" "+r.URL.Path[strings.LastIndexByte(r.URL.Path, '-')+1:])
		}
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	cache := t.TempDir()
	ask := func(wantRead []string, want ...string) {
		t.Helper()
		read = nil
		repo := openTest(t, Repository{BaseURL: server.URL + "/$component", Components: []string{"base", "updates"}}, cache)
		solution, err := repo.ask(t.Context(), solve.Request{Arch: "x86_64", Install: []solve.Item{{Spec: "a"}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range solution.Packages {
			got = append(got, fmt.Sprint(p.NEVRA, " of ", repo.sources[repo.source(p.NEVRA)].Component))
		}
		slices.Sort(got)
		slices.Sort(read)
		if diff := cmp.Diff([][]string{wantRead, want}, [][]string{read, got}); diff != "" {
			t.Error(diff)
		}
	}
	const a, b = "a-1-1.noarch of base", "b-1-1.noarch of updates"
	ask([]string{"base filelists.xml.gz", "base primary.xml.gz", "updates filelists.xml.gz", "updates primary.xml.gz"}, a, b, "c-1-1.noarch of base")
	ask(nil, a, b, "c-1-1.noarch of base")
	// A newer build in it, and one that base has too, which is base's.
	make("updates", "package b-1-1.noarch\n  file /usr/share/data\n\npackage c-2-1.noarch\n\npackage a-1-1.noarch\n  requires nothing-there\n")
	ask([]string{"updates filelists.xml.gz", "updates primary.xml.gz"}, a, b, "c-2-1.noarch of updates")
}

// TestCatalogDamagedInside has a catalog in the cache that is what was put there, and wrong in a package: it is said once.
func TestCatalogDamagedInside(t *testing.T) {
	dir := rpmtest.MustRepo(t, rpmtest.RepoOptions{}, "package a-1-1.noarch\n  requires b\n\npackage b-1-1.noarch\n")
	cache, recipe := t.TempDir(), Repository{BaseURL: dir, Dir: "/"}
	ask := func() error {
		_, err := openTest(t, recipe, cache).ask(t.Context(), solve.Request{Arch: "x86_64", Install: []solve.Item{{Spec: "a"}}})
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	repo := openTest(t, recipe, cache)
	key, err := repo.sources[0].catalogKey()
	if err != nil {
		t.Fatal(err)
	}
	good, err := readKept(repo.client.Cache(), kindCatalog, hexSHA256([]byte(key)), repomd.MaxCatalog)
	if err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for at := 0; at+10 <= len(good); at += 10 {
		bad := slices.Clone(good)
		for i := range 10 {
			bad[at+i] = 0xff // of a number that does not end
		}
		if err := keep(repo.client.Cache(), kindCatalog, hexSHA256([]byte(key)), bad); err != nil {
			t.Fatal(err)
		}
		if err := ask(); err == nil || !errors.Is(err, repomd.ErrCatalog) {
			continue // it was made anew at once, or what is wrong is nothing that was asked for
		}
		damaged++
		if err := ask(); err != nil {
			t.Fatalf("damage at %d is there the next time: %v", at, err)
		}
	}
	if damaged == 0 {
		t.Error("no damage was found in a package")
	}
}
