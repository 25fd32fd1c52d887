package solve

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// solvCase is one question of a libsolv test case; a file may hold several.
type solvCase struct {
	packages []*rpm.Metadata
	repo     map[*rpm.Metadata]string
	arch     string
	jobs     []string
	exclude  []string
	want     []string // NEVRAs
	problems bool
	ignore   bool   // recommended packages are not installed
	skip     string // why it cannot be asked
}

// weak reports whether weak dependencies would add packages.
func (c *solvCase) weak() bool {
	return !c.ignore && slices.ContainsFunc(c.packages, func(m *rpm.Metadata) bool { return len(m.Recommends)+len(m.Supplements) > 0 })
}

// readSolvCases reads the parts of libsolv's test case format (ext/testcase.c, ext/repo_testtags.c) that are about
// installing into an empty system; the others make a case say why it is skipped.
func readSolvCases(text string) []*solvCase {
	var out []*solvCase
	c := &solvCase{repo: map[*rpm.Metadata]string{}, skip: "no result"}
	base := ""
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		f := strings.Fields(lines[i])
		if len(f) == 0 || lines[i][0] == '#' {
			continue
		}
		var block []string
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "#>") {
			i++
			block = append(block, lines[i][2:])
		}
		switch f[0] {
		case "nextjob":
			out = append(out, c)
			c = &solvCase{packages: c.packages, repo: c.repo, arch: c.arch, skip: base}
			if base == "" {
				c.skip = "no result"
			}
		case "repo":
			base = firstReason(base, c.readRepo(f, block))
		case "system":
			base = firstReason(base, c.readSystem(f))
		case "result":
			c.readResult(f, block, base)
		case "job":
			c.jobs = append(c.jobs, strings.Join(f[1:], " "))
		case "disable":
			c.exclude = append(c.exclude, f[len(f)-1])
		case "solverflags", "poolflags":
			for _, flag := range strings.FieldsFunc(strings.Join(f[1:], " "), func(r rune) bool { return r == ' ' || r == ',' }) {
				c.ignore = c.ignore || flag == "ignorerecommended"
				if !slices.Contains([]string{
					"ignorerecommended", "whatprovideswithdisabled", "bestobeypolicy", "implicitobsoleteusescolors",
					"keeporphans", "yumobsoletes", "allowvendorchange", "allowuninstall", "keepexplicitobsoletes",
				}, flag) {
					base = firstReason(base, "flag "+flag)
				}
			}
		case "feature":
		default:
			base = firstReason(base, f[0])
		}
		if base != "" {
			c.skip = base
		}
	}
	return append(out, c)
}

func firstReason(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (c *solvCase) readSystem(f []string) string {
	c.arch = f[1]
	if len(f) > 2 && f[2] == "deb" {
		return "Debian"
	}
	if c.arch == "unset" {
		c.arch = "x86_64"
	}
	return ""
}

func (c *solvCase) readRepo(f, block []string) string {
	name, priority, form := f[1], f[2], f[3]
	switch {
	case form == "empty":
		return ""
	case form != "testtags" || len(f) < 5 || f[4] != "<inline>":
		return "repository in a file"
	case priority != "0" && !strings.HasPrefix(priority, "0."):
		return "priorities"
	}
	packages, err := readTestTags(block)
	if err != nil {
		return err.Error()
	}
	if strings.EqualFold(name, "system") || name == "@System" {
		if len(packages) > 0 {
			return "installed packages"
		}
		return ""
	}
	for _, m := range packages {
		m.Base = name
		c.repo[m] = name
	}
	c.packages = append(c.packages, packages...)
	return ""
}

func (c *solvCase) readResult(f, block []string, base string) {
	if base != "" {
		return
	}
	if !strings.Contains(f[1], "transaction") {
		c.skip = "no transaction in the result"
		return
	}
	c.skip = ""
	for _, l := range block {
		w := strings.Fields(l)
		switch w[0] {
		case "install":
			c.want = append(c.want, strings.SplitN(w[1], "@", 2)[0])
		case "problem":
			c.problems = true
		case "erase", "upgrade", "downgrade":
			c.skip = "installed packages"
		}
	}
	slices.Sort(c.want)
}

func readTestTags(block []string) ([]*rpm.Metadata, error) {
	var list []*rpm.Metadata
	var m *rpm.Metadata
	kind := ""
	for _, line := range block {
		if kind != "" && !strings.HasPrefix(line, "-") {
			line = "=" + kind + ": " + line
		}
		if len(line) < 5 {
			continue
		}
		tag, rest := line[1:4], strings.TrimSpace(line[5:])
		if line[0] == '+' {
			kind = tag
			continue
		} else if line[0] == '-' {
			kind = ""
			continue
		}
		if tag == "Pkg" {
			f := strings.Fields(rest)
			if len(f) != 4 {
				return nil, fmt.Errorf("package without an architecture")
			}
			evr := rpm.ParseEVR(f[1])
			evr.Release = f[2]
			m = &rpm.Metadata{NEVRA: rpm.NEVRA{Name: f[0], EVR: evr, Arch: f[3]}, AllFiles: true}
			m.Provides = []rpm.Capability{{Name: f[0], Sense: rpm.Equal, EVR: evr}}
			list = append(list, m)
			continue
		}
		if m == nil {
			continue
		}
		if err := addTag(m, tag, rest); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func addTag(m *rpm.Metadata, tag, rest string) error {
	if strings.Contains(rest, "namespace:") {
		return fmt.Errorf("namespaces")
	}
	c, err := solvDependency(rest)
	if err != nil {
		return err
	}
	switch tag {
	case "Req":
		m.Requires = append(m.Requires, rpm.Requirement{Capability: c})
	case "Prv":
		if c.IsPath() {
			m.Files = append(m.Files, c.Name)
		}
		m.Provides = append(m.Provides, c)
	case "Con":
		m.Conflicts = append(m.Conflicts, c)
	case "Obs":
		m.Obsoletes = append(m.Obsoletes, c)
	case "Rec":
		m.Recommends = append(m.Recommends, c)
	case "Sug":
		m.Suggests = append(m.Suggests, c)
	case "Sup":
		m.Supplements = append(m.Supplements, c)
	case "Enh":
		m.Enhances = append(m.Enhances, c)
	}
	return nil
}

// solvDependency reads A & B, A | B, A <IF> B, A <UNLESS> B, A + B and A - B as rich dependencies.
func solvDependency(s string) (rpm.Capability, error) {
	rich := strings.NewReplacer(" & ", " and ", " | ", " or ", " <IF> ", " if ", " <UNLESS> ", " unless ", " + ", " with ", " - ", " without ").Replace(s)
	if rich == s {
		return rpm.ParseCapability(s)
	}
	r, err := rpm.ParseRich("(" + rich + ")")
	if err != nil {
		return rpm.Capability{}, fmt.Errorf("dependency %q", s)
	}
	return rpm.Capability{Name: r.String()}, nil
}

// ask turns the jobs into groups of candidates.
func (c *solvCase) ask() (*answer, string) {
	req := Request{Packages: c.packages, Arch: c.arch}
	for _, e := range c.exclude {
		req.Exclude = append(req.Exclude, strings.SplitN(e, "@", 2)[0])
	}
	a := newAnswer(req)
	for _, job := range c.jobs {
		f := strings.Fields(job)
		if f[0] != "install" {
			return nil, "job " + f[0]
		}
		if last := f[len(f)-1]; strings.HasPrefix(last, "[") {
			return nil, "job with " + last
		}
		what, err := rpm.ParseCapability(strings.Join(f[2:], " "))
		var ids []int32
		for id := int32(1); int(id) < a.pool.len(); id++ {
			m := a.pool.pkg(id)
			var take bool
			switch f[1] {
			case "name":
				take = err == nil && a.pool.isVersionOf(id, &what)
			case "provides":
				take = err == nil && contains(a.pool.providers(what), id)
			case "pkg", "oneof":
				take = slices.ContainsFunc(f[2:], func(s string) bool { return s == m.NEVRA.String()+"@"+c.repo[m] })
			default:
				return nil, "job install " + f[1]
			}
			if take {
				ids = append(ids, id)
			}
		}
		a.found = append(a.found, found{groups: [][]int32{ids}})
		a.req.Install = append(a.req.Install, Item{strings.Join(f[2:], " ")})
	}
	return a, ""
}

// TestLibsolv asks libsolv's own questions.
func TestLibsolv(t *testing.T) {
	root := filepath.Join(tooltest.Shared(t), "rpms/openSUSE+libsolv/test/testcases")
	if s := os.Getenv("SLIM_LIBSOLV_TESTCASES"); s != "" {
		root = s
	}
	if _, err := os.Stat(root); err != nil {
		t.Skip("skipped: needs ../shared/rpms/openSUSE+libsolv")
	}
	ran, skipped := 0, map[string]int{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".t" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		for i, c := range readSolvCases(string(text)) {
			if reason := c.run(t, name+" "+strconv.Itoa(i+1)); reason != "" {
				skipped[reason]++
			} else {
				ran++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d ran", ran)
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		t.Logf("skipped %d: %s", skipped[reason], reason)
	}
	if ran < 20 {
		t.Errorf("only %d cases could be asked", ran)
	}
}

// run compares the answer, or says why the question cannot be asked.
func (c *solvCase) run(t *testing.T, name string) string {
	if c.skip != "" {
		return c.skip
	}
	if len(c.jobs) == 0 {
		return "no job"
	}
	if c.weak() {
		return "weak dependencies are installed"
	}
	a, reason := c.ask()
	if reason != "" {
		return reason
	}
	solution, err := a.solve(nil)
	var e *Error
	switch {
	case err != nil && !errors.As(err, &e):
		t.Errorf("%s: %v", name, err)
	case c.problems != (err != nil):
		t.Errorf("%s: problems %v, got %v", name, c.problems, err)
	case err == nil:
		var got []string
		for _, p := range solution.Packages {
			got = append(got, p.NEVRA.String())
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	return ""
}
