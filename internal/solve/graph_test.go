package solve

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

const graphPackages = `
package web-1-1.x86_64
  requires libz.so.1()(64bit)
  requires libz.so.1(ZLIB_1.2)(64bit)
  requires shell
  requires(pre) tools
  requires (lang if shell)
package other-1-1.x86_64
  requires web = 1-1
package shell-1-1.x86_64
  provides sh
  requires zlib >= 1
  requires (zlib or nothing)
package zlib-1-1.x86_64
  provides libz.so.1()(64bit)
  provides libz.so.1(ZLIB_1.2)(64bit)
  requires /etc/zlib
package tools-1-1.noarch
  requires (sh or zlib)
package lang-1-1.noarch
package conf-1-1.noarch
  file /etc/zlib
package ring-a-1-1.noarch
  requires ring-b
package ring-b-1-1.noarch
  requires ring-a
  requires ring-leaf
package ring-leaf-1-1.noarch
  requires missing
`

func testGraph(t *testing.T, mode Mode) *Graph {
	list := parseRepository(t, graphPackages)
	for i, m := range list {
		m.InstalledSize = 1 << i
		m.AllFiles = true
	}
	return NewGraph(list, mode)
}

func named(t *testing.T, g *Graph, name string) rpm.NEVRA {
	t.Helper()
	found := g.Find(name)
	if len(found) != 1 {
		t.Fatalf("%s is %v", name, found)
	}
	return found[0]
}

func names(list []rpm.NEVRA) string {
	var out []string
	for _, n := range list {
		out = append(out, n.Name)
	}
	return strings.Join(out, " ")
}

func formatChain(c Chain) string {
	s := c[0].From.Name
	for _, e := range c {
		s += fmt.Sprintf(" -[%s %s", e.Kind, e.Capability)
		if e.Scriptlet {
			s += " scriptlet"
		}
		if e.More > 0 {
			s += fmt.Sprintf(" +%d", e.More)
		}
		s += "]-> " + e.To.Name
	}
	return s
}

func TestGraphChains(t *testing.T) {
	g := testGraph(t, Full)
	for _, test := range []struct {
		target, roots string
		want          []string
	}{
		{"zlib", "web", []string{
			"web -[soname libz.so.1()(64bit) +1]-> zlib",
			"web -[name shell]-> shell -[name zlib >= 1 +1]-> zlib",
			"web -[name tools scriptlet]-> tools -[rich (sh or zlib)]-> zlib",
		}},
		{"zlib", "shell tools", []string{"shell -[name zlib >= 1 +1]-> zlib", "tools -[rich (sh or zlib)]-> zlib"}},
		{"conf", "other", []string{"other -[name web = 1-1]-> web -[soname libz.so.1()(64bit) +1]-> zlib -[path /etc/zlib]-> conf"}},
		{"lang", "web", []string{"web -[rich (lang if shell)]-> lang"}},
		{"ring-a", "ring-a", nil},
		{"web", "web", nil},
	} {
		var roots []rpm.NEVRA
		for name := range strings.FieldsSeq(test.roots) {
			roots = append(roots, named(t, g, name))
		}
		var got []string
		for _, c := range g.Chains(named(t, g, test.target), roots) {
			got = append(got, formatChain(c))
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s from %s (-want +got)\n%s", test.target, test.roots, d)
		}
	}
	runtime := testGraph(t, Runtime)
	if got := runtime.Chains(named(t, runtime, "tools"), []rpm.NEVRA{named(t, runtime, "web")}); got != nil {
		t.Errorf("in mode runtime: %v", got)
	}
}

func TestGraphTops(t *testing.T) {
	if got := names(testGraph(t, Full).Tops()); got != "other ring-a" {
		t.Error(got)
	}
	if got := NewGraph(nil, Full).Tops(); len(got) != 0 {
		t.Error(got)
	}
}

func TestGraphWithout(t *testing.T) {
	g := testGraph(t, Full)
	for _, test := range []struct {
		target, roots string
		broken        []string
		unused        string
		size          int64
	}{
		{"zlib", "web", []string{"shell zlib >= 1 name", "web libz.so.1()(64bit) soname root", "tools (sh or zlib) rich"}, "conf lang", 1 + 4 + 8 + 16 + 32 + 64},
		{"shell", "other", []string{"web shell name", "other web = 1-1 name root"}, "conf lang tools zlib", 1 + 2 + 4 + 8 + 16 + 32 + 64},
		{"lang", "web", []string{"web (lang if shell) rich root"}, "conf shell tools zlib", 1 + 4 + 8 + 16 + 32 + 64},
		{"tools", "web shell", []string{"web tools scriptlet name root"}, "lang", 1 + 16 + 32},
		{"other", "other shell", nil, "lang tools web", 1 + 2 + 16 + 32},
		{"ring-leaf", "ring-a", []string{"ring-b ring-leaf name", "ring-a ring-b name root"}, "", 128 + 256 + 512},
	} {
		var roots []rpm.NEVRA
		for name := range strings.FieldsSeq(test.roots) {
			roots = append(roots, named(t, g, name))
		}
		loss := g.Without(named(t, g, test.target), roots)
		var broken []string
		for _, b := range loss.Broken {
			s := b.NEVRA.Name + " " + b.Capability
			if b.Scriptlet {
				s += " scriptlet"
			}
			s += " " + string(b.Kind)
			if b.Root {
				s += " root"
			}
			broken = append(broken, s)
		}
		if d := cmp.Diff(test.broken, broken); d != "" {
			t.Errorf("without %s (-want +got)\n%s", test.target, d)
		}
		if got := names(loss.Unused); got != test.unused || loss.Size != test.size {
			t.Errorf("without %s: unused %q, %d bytes", test.target, got, loss.Size)
		}
	}
}

func TestGraphFind(t *testing.T) {
	g := testGraph(t, Full)
	for spec, want := range map[string]string{
		"zlib": "zlib", "zlib.x86_64": "zlib", "zlib-1-1.x86_64": "zlib", "zlib-1": "zlib", "sh": "shell", "libz.so.1()(64bit)": "zlib",
		"/etc/zlib": "conf", "ring-*": "ring-a ring-b ring-leaf", "nothing": "", "zlib > 1": "", "": "",
	} {
		if got := names(g.Find(spec)); got != want {
			t.Errorf("%q is %q, not %q", spec, got, want)
		}
	}
}

func TestSoname(t *testing.T) {
	for name, want := range map[string]bool{
		"libz.so.1()(64bit)": true, "libc.so.6(GLIBC_2.34)(64bit)": true, "ld-linux.so.2": true, "libfoo.so()(64bit)": true,
		"perl(Cwd)": false, "zlib": false, "a.sock": false, "config(a.so)": false,
	} {
		if isSoname(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func TestGraphUnmet(t *testing.T) {
	list := parseRepository(t, `
package a-1-1.noarch
  requires gone
  requires(pre) gone
  requires(pre) tool
  requires b >= 1
  requires b >= 2
  requires (c if b)
  requires (c if gone)
  requires rpmlib(PayloadIsZstd) <= 5.4.18-1
package b-1-1.noarch
`)
	for _, m := range list {
		m.AllFiles = true
	}
	var got []string
	for _, u := range NewGraph(list, Full).Unmet() {
		got = append(got, fmt.Sprintf("%s %s %v", u.NEVRA.Name, u.Capability, u.Scriptlet))
	}
	if d := cmp.Diff([]string{"a (c if b) false", "a b >= 2 false", "a gone false", "a tool true"}, got); d != "" {
		t.Errorf("unmet (-want +got):\n%s", d)
	}
}
