package solve

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// A case is a txtar archive in testdata: a comment that says what it shows, the files "repository" (see
// parseRepository), "request" (lines of a word and a spec: install, exclude, prefer; mode runtime or named; arch),
// "answer" (see formatAnswer) and, for what dnf can be asked, "dnf": the packages dnf installs, captured from it, or
// "error". SLIM_UPDATE=1 writes both again.
type textCase struct {
	file    string
	archive *txtar.Archive
	request Request
	oracle  bool // dnf can be asked
}

func readCases(t *testing.T) []*textCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases:", err)
	}
	var cases []*textCase
	for _, f := range files {
		a, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		c := &textCase{file: f, archive: a, oracle: true, request: Request{Arch: "x86_64"}}
		c.request.Packages = parseRepository(t, c.section("repository"))
		for _, m := range c.request.Packages {
			c.oracle = c.oracle && (m.AllFiles || len(m.Files) == 0)
		}
		for line := range strings.SplitSeq(c.section("request"), "\n") {
			c.readLine(t, line)
		}
		cases = append(cases, c)
	}
	return cases
}

func (c *textCase) readLine(t *testing.T, line string) {
	t.Helper()
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "":
	case "install":
		c.request.Install = append(c.request.Install, Item{rest})
	case "exclude":
		c.request.Exclude = append(c.request.Exclude, rest)
	case "prefer":
		c.request.Prefer, c.oracle = append(c.request.Prefer, rest), false
	case "mode":
		c.request.Mode, c.oracle = map[string]Mode{"full": Full, "runtime": Runtime, "named": Named}[rest], false
	case "arch":
		c.request.Arch, c.oracle = rest, false
	case "differs":
		c.oracle = false // from dnf, for the reason that the comment gives
	default:
		t.Fatalf("%s: %q", c.file, line)
	}
}

func (c *textCase) section(name string) string {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func (c *textCase) set(t *testing.T, name, text string) {
	t.Helper()
	i := slices.IndexFunc(c.archive.Files, func(f txtar.File) bool { return f.Name == name })
	if i < 0 {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: name})
		i = len(c.archive.Files) - 1
	}
	c.archive.Files[i].Data = []byte(text)
	if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCases(t *testing.T) {
	for _, c := range readCases(t) {
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".txt"), func(t *testing.T) {
			solution, err := Solve(c.request)
			got := formatAnswer(solution, err)
			if os.Getenv("SLIM_UPDATE") != "" {
				c.set(t, "answer", got)
			}
			if diff := cmp.Diff(c.section("answer"), got); diff != "" {
				t.Error(diff)
			}
			if captured := c.section("dnf"); c.oracle && captured != "" {
				if diff := cmp.Diff(captured, nevras(solution, err)); diff != "" {
					t.Error("dnf:", diff)
				}
			}
			c.shuffled(t, got)
		})
	}
}

// shuffled solves the case with its packages in other orders.
func (c *textCase) shuffled(t *testing.T, want string) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		r := c.request
		r.Packages = slices.Clone(r.Packages)
		random.Shuffle(len(r.Packages), func(i, j int) { r.Packages[i], r.Packages[j] = r.Packages[j], r.Packages[i] })
		if diff := cmp.Diff(want, formatAnswer(Solve(r))); diff != "" {
			t.Fatal("in another order:", diff)
		}
	}
}

func nevras(s *Solution, err error) string {
	if err != nil {
		return "error\n"
	}
	var names []string
	for _, p := range s.Packages {
		names = append(names, p.NEVRA.String()+"\n")
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// TestCasesCaptured asks dnf again what the cases say it answered.
func TestCasesCaptured(t *testing.T) {
	for _, c := range readCases(t) {
		if !c.oracle {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(c.file), ".txt"), func(t *testing.T) {
			dir := t.TempDir()
			writeRepository(t, dir, c.request.Packages)
			r := oracleRequest{Exclude: c.request.Exclude}
			for _, i := range c.request.Install {
				r.Install = append(r.Install, i.Spec)
			}
			theirs := startOracle(t, []string{dir}).ask(t, r)
			got := "error\n"
			if theirs.Error == "" {
				got = ""
				for _, n := range theirs.Packages {
					got += n + "\n"
				}
			}
			if os.Getenv("SLIM_UPDATE") != "" {
				c.set(t, "dnf", got)
			}
			if diff := cmp.Diff(c.section("dnf"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestShuffledReal solves on a real repository in other orders of its packages.
func TestShuffledReal(t *testing.T) {
	packages := readRepository(t, filepath.Join(tooltest.Shared(t), "distro/1"), false)
	r := Request{Packages: packages, Arch: "x86_64", Install: []Item{{"httpd"}, {"python3"}, {"/usr/bin/openssl"}, {"libz.so.1()(64bit)"}}}
	want := formatAnswer(Solve(r))
	if strings.HasPrefix(want, "error:") {
		t.Fatal(want)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 5 {
		r.Packages = slices.Clone(packages)
		random.Shuffle(len(packages), func(i, j int) { r.Packages[i], r.Packages[j] = r.Packages[j], r.Packages[i] })
		if diff := cmp.Diff(want, formatAnswer(Solve(r))); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestNeedFiles(t *testing.T) {
	packages := parseRepository(t, `
package a-1-1.x86_64
  requires /usr/share/b/data
package b-1-1.x86_64
package c-1-1.x86_64
  requires /usr/share/nobody
package d-1-1.x86_64
  requires (/usr/share/rich if a)
package e-1-1.x86_64
  conflicts /usr/share/conflict
package f-1-1.x86_64
  requires /usr/bin/known
package g-1-1.x86_64
  file /usr/bin/known
`)
	tests := []struct {
		install string
		want    []string
	}{
		{"b", nil},
		{"f", nil},
		{"a", []string{"/usr/share/b/data"}},
		{"d", []string{"/usr/share/rich"}},
		{"e", []string{"/usr/share/conflict"}},
		{"/usr/share/item", []string{"/usr/share/item"}},
		{"(b and /usr/share/item)", []string{"/usr/share/item"}},
		{"/usr/bin/known", nil},
	}
	for _, tt := range tests {
		_, err := Solve(Request{Packages: packages, Arch: "x86_64", Install: []Item{{tt.install}}})
		var need *NeedFiles
		if errors.As(err, &need) != (tt.want != nil) || need == nil && err != nil {
			t.Errorf("%s: %v", tt.install, err)
		} else if need != nil && !slices.Equal(need.Paths, tt.want) {
			t.Errorf("%s: needs %v, want %v", tt.install, need.Paths, tt.want)
		}
	}

	for _, m := range packages {
		m.AllFiles = true
	}
	packages[1].Files = []string{"/usr/share/b/data"}
	solution, err := Solve(Request{Packages: packages, Arch: "x86_64", Install: []Item{{"a"}}})
	if got := nevras(solution, err); got != "a-1-1.x86_64\nb-1-1.x86_64\n" {
		t.Errorf("with full lists: %s %v", got, err)
	}
	if _, err := Solve(Request{Packages: packages, Arch: "x86_64", Install: []Item{{"c"}}}); !errors.As(err, new(*Error)) {
		t.Errorf("a path nobody has: %v", err)
	}
}

// TestRequestUnchanged shows that a request and its packages are left as they were.
func TestRequestUnchanged(t *testing.T) {
	text := "package b-1-1.x86_64\n  requires (x or y)\npackage a-1-1.x86_64\n  provides x\npackage a-2-1.x86_64\n  provides y\n  file /b\n  file /a\n"
	packages := parseRepository(t, text)
	order := slices.Clone(packages)
	r := Request{Packages: packages, Arch: "x86_64", Install: []Item{{"b"}}, Exclude: []string{"c"}, Prefer: []string{"a-1"}}
	if _, err := Solve(r); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(packages, order) || formatRepository(packages) != text {
		t.Error("the packages have been changed")
	}
}

func TestNoArchitecture(t *testing.T) {
	if _, err := Solve(Request{Packages: []*rpm.Metadata{}}); err == nil {
		t.Error("no error without an architecture")
	}
}
