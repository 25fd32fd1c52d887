package solve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

func TestForms(t *testing.T) {
	tests := []struct {
		spec string
		want []form
	}{
		{"a", []form{{name: "a", epoch: -1}}},
		{"a.x86_64", []form{{name: "a", arch: "x86_64", epoch: -1}, {name: "a.x86_64", epoch: -1}}},
		{"a-b", []form{{name: "a-b", epoch: -1}, {name: "a", version: "b", epoch: -1}}},
		{"a-1-2.x", []form{
			{name: "a", version: "1", release: "2", arch: "x", epoch: -1},
			{name: "a-1-2", arch: "x", epoch: -1},
			{name: "a-1-2.x", epoch: -1},
			{name: "a", version: "1", release: "2.x", epoch: -1},
			{name: "a-1", version: "2.x", epoch: -1},
		}},
		{"a-3:1-2.x", []form{{name: "a", version: "1", release: "2", arch: "x", epoch: 3}, {name: "a", version: "1", release: "2.x", epoch: 3}}},
		{"3:a-1-2", []form{{name: "a", version: "1", release: "2", epoch: 3}, {name: "a-1", version: "2", epoch: 3}}},
		{"a-3:1", []form{{name: "a", version: "1", epoch: 3}}},
		{"3:a", []form{}},
		{"/usr/bin/a", nil},
		{"a >= 1", nil},
		{"a(b)", nil},
		{"", nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, forms(tt.spec), cmp.AllowUnexported(form{})); diff != "" {
			t.Errorf("%q: %s", tt.spec, diff)
		}
	}
}

func TestGlobMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "b", false},
		{"*", "", true},
		{"*", "abc", true},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*c", "ac", true},
		{"a*c", "abcd", false},
		{"*b*", "abc", true},
		{"?", "", false},
		{"?", "a", true},
		{"a?c", "abc", true},
		{"[ab]", "b", true},
		{"[!ab]", "b", false},
		{"[^ab]", "c", true},
		{"[a-c]x", "bx", true},
		{"[]]", "]", true},
		{"[a", "[a", true},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{"/usr/*", "/usr/bin/x", true},
		{"a*b*c", "aXbYbZc", true},
		{"*.so.[0-9]*", "lib.so.3()", true},
	}
	for _, tt := range tests {
		if got := globMatch(tt.pattern, tt.s); got != tt.want {
			t.Errorf("globMatch(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

// FuzzGlob compares with path.Match, which agrees where there is no slash and the pattern is well formed.
func FuzzGlob(f *testing.F) {
	for _, s := range []string{"a*b", "[a-z]?", "*", "[!x]*y", `\*a`} {
		f.Add(s, "axby")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := globMatch(pattern, s)
		for _, c := range pattern + s {
			if c == '/' || c == '!' || c == '\\' || c == '[' || c == ']' || c > 126 {
				return
			}
		}
		if want, err := path.Match(pattern, s); err == nil && want != got {
			t.Errorf("globMatch(%q, %q) = %v, path.Match says %v", pattern, s, got, want)
		}
	})
}

func FuzzForms(f *testing.F) {
	for _, s := range []string{"a-1-2.x86_64", "3:a-1", "a.b.c-1:2-3", "--", ".-", "0:", "a*-[12]"} {
		f.Add(s)
	}
	packages := parseRepository(f, "package a-1:1-2.x86_64\npackage b-1-1.noarch\n  file /b\n  provides (x)\n")
	f.Fuzz(func(t *testing.T, spec string) {
		solution, err := Solve(Request{Packages: packages, Arch: "x86_64", Install: []Item{{spec}}, Exclude: []string{"x" + spec}, Prefer: []string{spec}})
		if err == nil && len(solution.Packages) == 0 && len(spec) > 0 && spec[0] != '(' {
			t.Errorf("%q asks for nothing", spec)
		}
	})
}

// FuzzRich compares the clauses of a rich dependency with its meaning, for all sets of a few packages.
func FuzzRich(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkRich(t, seed) })
}

func TestRich(t *testing.T) {
	for seed := range uint64(2000) {
		checkRich(t, seed)
	}
}

func checkRich(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	p := newPool(newList(randomRepository(random, 8)), "x86_64", nil)
	text := randomRich(random, []string{"a", "b", "c", "d"}, 0)
	if random.IntN(4) == 0 {
		text = "(" + text + " unless " + randomRich(random, []string{"a", "b", "c"}, 1) + " else " + randomRich(random, []string{"d", "e"}, 1) + ")"
	}
	r, err := rpm.ParseRich(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	plain, negated := p.expand(r, false), p.expand(r, true)
	for set := range 1 << (p.len() - 1) {
		in := func(id int32) bool { return set>>(id-1)&1 == 1 }
		want := p.holds(r, in)
		if got := clausesHold(plain, in); got != want {
			t.Fatalf("%s with %b: clauses say %v, its meaning %v", text, set, got, want)
		}
		if got := clausesHold(negated, in); got == want {
			t.Fatalf("not %s with %b: clauses say %v", text, set, got)
		}
	}
}

func clausesHold(f formula, in func(int32) bool) bool {
	return !slices.ContainsFunc(f.clauses, func(c []int32) bool {
		return !slices.ContainsFunc(c, func(l int32) bool { return in(abs(l)) == (l > 0) })
	})
}

func TestDistance(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"httpd", "htppd", 1}, {"httpd", "http", 1}, {"kitten", "sitting", 3}}
	for _, tt := range tests {
		if got := distance(tt.a, tt.b, 10); got != tt.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

// TestRichNested shows that conditions in conditions are refused before they take for ever.
func TestRichNested(t *testing.T) {
	text := "a"
	for range 60 {
		text = "(a if " + text + " else b)"
	}
	packages := parseRepository(t, "package a-1-1.x86_64\npackage b-1-1.x86_64\npackage c-1-1.x86_64\n  requires "+text+"\n")
	_, err := Solve(Request{Packages: packages, Arch: "x86_64", Install: []Item{{"c"}}})
	if err == nil || !strings.Contains(err.Error(), "which is not supported") {
		t.Error(err)
	}
}

// TestRichTooBig shows that a rich dependency that would grow beyond all bounds is refused.
func TestRichTooBig(t *testing.T) {
	var text, operands []string
	for i := range 13 {
		b, c := fmt.Sprintf("b%d", i), fmt.Sprintf("c%d", i)
		text = append(text, "package "+b+"-1-1.x86_64", "package "+c+"-1-1.x86_64")
		operands = append(operands, "("+b+" and "+c+")")
	}
	text = append(text, "package a-1-1.x86_64", "  requires ("+strings.Join(operands, " or ")+")")
	r := Request{Packages: parseRepository(t, strings.Join(text, "\n")), Arch: "x86_64", Install: []Item{{"a"}}}
	if _, err := Solve(r); err == nil || !strings.Contains(err.Error(), "which is not supported") {
		t.Error(err)
	}
	r.Install[0].Spec = "(" + strings.Join(operands, " or ") + ")"
	if _, err := Solve(r); !errors.As(err, new(*Error)) {
		t.Error(err)
	}
}
