package rpm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCapability(t *testing.T) {
	for _, test := range []struct {
		text string
		want Capability
	}{
		{"foo", Capability{Name: "foo"}},
		{"libssl.so.3()(64bit)", Capability{Name: "libssl.so.3()(64bit)"}},
		{"/bin/sh", Capability{Name: "/bin/sh"}},
		{"foo >= 1:2-3", Capability{"foo", Greater | Equal, EVR{1, "2", "3"}}},
		{"foo < 2", Capability{"foo", Less, EVR{Version: "2"}}},
		{"foo <= 2", Capability{"foo", Less | Equal, EVR{Version: "2"}}},
		{"foo = 2", Capability{"foo", Equal, EVR{Version: "2"}}},
		{"foo > 2", Capability{"foo", Greater, EVR{Version: "2"}}},
		{"(a or b)", Capability{Name: "(a or b)"}},
	} {
		got, err := ParseCapability(test.text)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.text, diff)
		}
		if got.String() != test.text {
			t.Errorf("%s: written %s", test.text, got)
		}
		if got.IsRich() != (test.text[0] == '(') || got.IsPath() != (test.text[0] == '/') {
			t.Errorf("%s: rich %v, path %v", test.text, got.IsRich(), got.IsPath())
		}
	}
	for _, text := range []string{"", "  ", "a b", "a >= ", "a >> 1", "a = 1 2", "(a or", "(a or b) c"} {
		if got, err := ParseCapability(text); err == nil {
			t.Errorf("%q is %#v", text, got)
		}
	}
}

func TestParseSense(t *testing.T) {
	for text, want := range map[string]Sense{"": 0, "LT": Less, "LE": Less | Equal, "EQ": Equal, "GE": Greater | Equal, "GT": Greater, "==": Equal} {
		if got, err := ParseSense(text); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"<>", "=>", "ge", "!="} {
		if got, err := ParseSense(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestCapabilityMatches(t *testing.T) {
	for _, test := range []struct {
		provided, required string
		want               bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a = 1", "a", true},
		{"a", "a = 1", true},
		{"a = 1", "a = 1", true},
		{"a = 1", "a = 2", false},
		{"a = 1-2", "a = 1", true},
		{"a = 1-2", "a = 1-3", false},
		{"a = 2", "a > 1", true},
		{"a = 1", "a > 1", false},
		{"a = 1", "a >= 1", true},
		{"a = 1", "a < 1", false},
		{"a = 1", "a <= 1", true},
		{"a = 1:1", "a < 2", false},
		{"a = 1~rc1", "a < 1", true},
		{"a > 1", "a < 2", true},
		{"a > 2", "a < 1", false},
		{"a < 2", "a > 1", true},
		{"a >= 1", "a > 1", true},
		{"a < 1", "a >= 1", false},
		{"a <= 1", "a >= 1", true},
		{"a > 1", "a < 1", false},
		{"a > 1", "a > 5", true},
		{"a < 1", "a < 5", true},
		{"a = 1-2", "a > 1", false},
		{"a = 1-2", "a <= 1", true},
		{"a < 1-2", "a = 1", true},
		{"a = 1", "a > 1-2", true},
		{"a < 1", "a = 1-2", false},
		{"a > 1", "a < 1-2", false},
		{"a >= 1", "a < 1-2", true},
	} {
		p, err := ParseCapability(test.provided)
		if err != nil {
			t.Fatal(err)
		}
		r, err := ParseCapability(test.required)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(r); got != test.want {
			t.Errorf("%s provides %s: %v", p, r, got)
		}
	}
}
