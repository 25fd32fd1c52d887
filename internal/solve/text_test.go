package solve

import (
	"fmt"
	"strings"
	"testing"

	"slim/internal/rpm"
)

// parseRepository reads a repository in the form of the test cases: a line "package NEVRA", then, indented, lines of a
// kind and a dependency or path: provides, requires, requires(pre), conflicts, obsoletes, recommends, suggests,
// supplements, enhances, file, location. "all files" says that the file lists are whole. Every package provides its
// own name and version.
func parseRepository(t testing.TB, text string) []*rpm.Metadata {
	t.Helper()
	var list []*rpm.Metadata
	var m *rpm.Metadata
	all := false
	for i, line := range strings.Split(text, "\n") {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case word == "" || word[0] == '#':
			continue
		case word == "all" && rest == "files":
			all = true
			continue
		case word == "package":
			n, err := rpm.ParseNEVRA(rest)
			if err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
			m = &rpm.Metadata{NEVRA: n, AllFiles: all, Provides: []rpm.Capability{{Name: n.Name, Sense: rpm.Equal, EVR: n.EVR}}}
			list = append(list, m)
			continue
		case m == nil:
			t.Fatalf("line %d: no package yet", i+1)
		case word == "file":
			m.Files = append(m.Files, rest)
			continue
		case word == "location":
			m.Location = rest
			continue
		}
		c, err := rpm.ParseCapability(rest)
		if err != nil && !strings.HasPrefix(rest, "(") {
			t.Fatalf("line %d: %v", i+1, err)
		} else if err != nil {
			c = rpm.Capability{Name: rest}
		}
		addDependency(t, m, word, c)
	}
	return list
}

func addDependency(t testing.TB, m *rpm.Metadata, word string, c rpm.Capability) {
	t.Helper()
	switch word {
	case "requires", "requires(pre)":
		m.Requires = append(m.Requires, rpm.Requirement{Capability: c, Pre: word == "requires(pre)"})
	case "provides":
		m.Provides = append(m.Provides, c)
	case "conflicts":
		m.Conflicts = append(m.Conflicts, c)
	case "obsoletes":
		m.Obsoletes = append(m.Obsoletes, c)
	case "recommends":
		m.Recommends = append(m.Recommends, c)
	case "suggests":
		m.Suggests = append(m.Suggests, c)
	case "supplements":
		m.Supplements = append(m.Supplements, c)
	case "enhances":
		m.Enhances = append(m.Enhances, c)
	default:
		t.Fatalf("%q is not a kind of line", word)
	}
}

// formatRepository writes what parseRepository reads.
func formatRepository(list []*rpm.Metadata) string {
	var b strings.Builder
	for _, m := range list {
		fmt.Fprintf(&b, "package %s\n", m.NEVRA)
		write := func(kind string, caps []rpm.Capability) {
			for _, c := range caps {
				fmt.Fprintf(&b, "  %s %s\n", kind, c)
			}
		}
		write("provides", m.Provides[1:])
		for _, r := range m.Requires {
			kind := "requires"
			if r.Pre {
				kind = "requires(pre)"
			}
			write(kind, []rpm.Capability{r.Capability})
		}
		write("conflicts", m.Conflicts)
		write("obsoletes", m.Obsoletes)
		write("recommends", m.Recommends)
		write("suggests", m.Suggests)
		write("supplements", m.Supplements)
		write("enhances", m.Enhances)
		for _, f := range m.Files {
			fmt.Fprintf(&b, "  file %s\n", f)
		}
	}
	return b.String()
}

// formatAnswer writes a solution, or an error, a fact a line.
func formatAnswer(s *Solution, err error) string {
	var b strings.Builder
	if err != nil {
		for l := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(&b, "error: %s\n", l)
		}
		return b.String()
	}
	for _, p := range s.Packages {
		if p.Reason.Spec != "" {
			fmt.Fprintf(&b, "%s: requested as %s\n", p.NEVRA, p.Reason.Spec)
		} else {
			fmt.Fprintf(&b, "%s: %s requires %s\n", p.NEVRA, p.Reason.By, p.Reason.Capability)
		}
	}
	for _, c := range s.Choices {
		fmt.Fprintf(&b, "choice: %s of %s: %s, not", c.Capability, c.By, c.Taken)
		for _, o := range c.Others {
			fmt.Fprintf(&b, " %s", o)
		}
		fmt.Fprintf(&b, ": %s\n", c.Why)
	}
	return b.String()
}
