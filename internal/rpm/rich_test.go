package rpm

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func leaf(s string) *Rich {
	c, err := ParseCapability(s)
	if err != nil {
		panic(err)
	}
	return &Rich{Capability: c}
}

func TestParseRich(t *testing.T) {
	for _, test := range []struct {
		text string
		want *Rich
		say  string // as written, when not text
	}{
		{text: "(a and b)", want: &Rich{Op: RichAnd, Operands: []*Rich{leaf("a"), leaf("b")}}},
		{text: "(a or b or c >= 1-2)", want: &Rich{Op: RichOr, Operands: []*Rich{leaf("a"), leaf("b"), leaf("c >= 1-2")}}},
		{text: "(a if b)", want: &Rich{Op: RichIf, Operands: []*Rich{leaf("a"), leaf("b")}}},
		{text: "(a if b else c)", want: &Rich{Op: RichIf, Operands: []*Rich{leaf("a"), leaf("b"), leaf("c")}}},
		{text: "(a unless b else c)", want: &Rich{Op: RichUnless, Operands: []*Rich{leaf("a"), leaf("b"), leaf("c")}}},
		{text: "(a with b < 2)", want: &Rich{Op: RichWith, Operands: []*Rich{leaf("a"), leaf("b < 2")}}},
		{text: "(a without b)", want: &Rich{Op: RichWithout, Operands: []*Rich{leaf("a"), leaf("b")}}},
		{text: "((a or b) if (c and d))", want: &Rich{Op: RichIf, Operands: []*Rich{
			{Op: RichOr, Operands: []*Rich{leaf("a"), leaf("b")}}, {Op: RichAnd, Operands: []*Rich{leaf("c"), leaf("d")}},
		}}},
		{text: "(libx.so.1()(64bit) or libx.so.2(X_1)(64bit) = 3)", want: &Rich{Op: RichOr, Operands: []*Rich{leaf("libx.so.1()(64bit)"), leaf("libx.so.2(X_1)(64bit) = 3")}}},
		{text: "(a)", want: leaf("a"), say: "a"},
		{text: "( a  and\tb )", want: &Rich{Op: RichAnd, Operands: []*Rich{leaf("a"), leaf("b")}}, say: "(a and b)"},
		{text: "(a>=1 and b)", say: "", want: &Rich{Op: RichAnd, Operands: []*Rich{leaf("a>=1"), leaf("b")}}},
		{text: "(or or and)", want: &Rich{Op: RichOr, Operands: []*Rich{leaf("or"), leaf("and")}}},
	} {
		got, err := ParseRich(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.text, diff)
		}
		if test.say == "" {
			test.say = test.text
		}
		if got.String() != test.say {
			t.Errorf("%s: written %s", test.text, got)
		}
	}
	for _, text := range []string{
		"", "a", "()", "(", ")", "(a", "(a and)", "(a and b", "(a b)", "(a and b or c)", "(a if b if c)", "(a if b else c else d)", "(a or b else c)",
		"(a unless b unless c)", "(a without b without c)", "(a and b) c", "(a >= )", "(a >= 1 and", "(>= 1)", "(a => 1 and b)", "(a xor b)", "(a and b( )", "(a or b = 1( )",
		strings.Repeat("(", MaxRichDepth+2) + "a" + strings.Repeat(")", MaxRichDepth+2), "(" + strings.Repeat("a", MaxRichLength) + ")",
	} {
		if got, err := ParseRich(text); err == nil {
			t.Errorf("%.100s is %s", text, got)
		}
	}
}

// TestSharedRich: every rich dependency of foreign packages can be read, and written as it was.
func TestSharedRich(t *testing.T) {
	root, paths := sharedPackages(t)
	n := 0
	for _, p := range paths {
		f, err := open(t, filepath.Join(root, p))
		if err != nil {
			continue
		}
		h := f.Header()
		for _, get := range []func() ([]Dependency, error){h.Requires, h.Conflicts, h.Recommends, h.Suggests, h.Supplements, h.Enhances} {
			deps, err := get()
			if err != nil {
				t.Errorf("%s: %v", p, err)
			}
			for _, d := range deps {
				if !d.IsRich() {
					continue
				}
				n++
				r, err := ParseRich(d.Name)
				if err != nil {
					t.Errorf("%s: %v", p, err)
				} else if r.String() != d.Name {
					t.Errorf("%s: %s written %s", p, d.Name, r)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no rich dependencies")
	}
	t.Logf("%d rich dependencies", n)
}

func FuzzRich(f *testing.F) {
	for _, s := range []string{"(a and b)", "(a if b else c)", "((a or b) without libx.so.1()(64bit))", "(a >= 1:2-3 with a < 4)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRich(s)
		if err != nil || r.Op == "" {
			return
		}
		again, err := ParseRich(r.String())
		if err != nil {
			t.Fatalf("%q written %q: %v", s, r, err)
		}
		if again.String() != r.String() {
			t.Errorf("%q written %q, then %q", s, r, again)
		}
	})
}
