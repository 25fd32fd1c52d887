package rpm

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/tooltest"
)

// hardVersions are those rpm's order is surprising on.
func hardVersions() []string {
	return []string{
		"0", "00", "1", "01", "1.0", "1.00", "1.0.0", "1.0.1", "1.1", "1.10", "1.9", "1.01", "2", "10", "9", "2.0", "2.0.1", "2.0.1a", "2_0", "2.0.", "2.0_", ".2.0",
		"5.5p1", "5.5p2", "5.5p10", "10xyz", "10.1xyz", "xyz10", "xyz.4", "xyz", "8", "xyz.8", "5.6.0.fc3", "5.6.0.fc10", "6.5p1", "5.6p1",
		"a", "b", "aa", "ab", "A", "Z", "z", "a1", "1a", "1.a", "a.1", "1.1a", "1.1b", "1.a1", "fc4", "fc9", "FC5", "2a", "2.0a",
		"1.0~rc1", "1.0~rc2", "1.0~", "1.0~~", "1.0~~rc1", "1.0~rc1~git123", "~", "~~", "~1", "1~", "1.~", "1~.", "1.0.~1", "1.0~.1",
		"1.0^", "1.0^git1", "1.0^git2", "1.0^20160101", "1.0^20160102", "1.0^20160101^git1", "^", "^^", "^1", "1^", "1.^", "1.0^~1", "1.0~^1", "1.0~rc1^git1", "1.0^git1~pre", "1.0.1^", "1.0^.1", "1^~", "1~^",
		"1.0+git1", "1.0+1", "1..2", "1...2", "1._.2", "+", ".", "_", "1.0_", "1.0+", "é", "1é", "1.é.2", "1é2", "ü1",
		"20101121", "20101122", "99999999999999999999", "100000000000000000000", "000000000000000000000000000001", "3.0.0_fc", "3.0.0.fc", "1b.fc17", "1g.fc17",
	}
}

// order asks rpm to compare all pairs of versions.
func rpmOrder(t *testing.T, versions []string) map[[2]string]int {
	t.Helper()
	tooltest.Need(t, "rpm")
	var list strings.Builder
	for _, v := range versions {
		for _, c := range []byte(v) {
			fmt.Fprintf(&list, "\\%03d", c) // no quoting of Lua's or of macros
		}
		list.WriteByte(' ')
	}
	script := `%{lua: local v = {} for w in string.gmatch("` + list.String() + `", "[^ ]+") do v[#v+1] = w end
		local out = {} for _, a in ipairs(v) do for _, b in ipairs(v) do out[#out+1] = rpm.vercmp(a, b) end end
		print(table.concat(out, " "))}`
	stdout, stderr := rpmOutput(t, ".", "rpm", "--eval", script)
	got := strings.Fields(stdout)
	if len(got) != len(versions)*len(versions) {
		t.Fatalf("rpm answered %d of %d: %s", len(got), len(versions)*len(versions), stderr)
	}
	order := map[[2]string]int{}
	for i, a := range versions {
		for j, b := range versions {
			var n int
			if _, err := fmt.Sscan(got[i*len(versions)+j], &n); err != nil {
				t.Fatal(err)
			}
			order[[2]string{a, b}] = n
		}
	}
	return order
}

func TestCompareVersionsAgreesWithRPM(t *testing.T) {
	versions := hardVersions()
	for pair, want := range rpmOrder(t, versions) {
		if got := CompareVersions(pair[0], pair[1]); got != want {
			t.Errorf("%q and %q: %d, rpm says %d", pair[0], pair[1], got, want)
		}
	}
}

// TestEVRAgreesWithRPM: rpm's Lua compares whole EVRs where it is given them. (Without a
// release its order is another than that of dependencies, which is ours.)
func TestEVRAgreesWithRPM(t *testing.T) {
	texts := []string{"1-1", "1-2", "0:1-1", "1:1-1", "1:0-9", "01:1-1", "2-1", "1.0~rc1-1", "1.0-1", "1.0^x-1", "a:1-1", "1-1-1", "1-1~x", "10:1-1", ":1-3"}
	for pair, want := range rpmOrder(t, texts) {
		if got := ParseEVR(pair[0]).Compare(ParseEVR(pair[1])); got != want {
			t.Errorf("%q and %q: %d, rpm says %d", pair[0], pair[1], got, want)
		}
	}
}

// TestCompareRealVersions compares the versions and releases of foreign packages.
func TestCompareRealVersions(t *testing.T) {
	root, paths := sharedPackages(t)
	var versions []string
	for _, p := range paths {
		if f, err := open(t, filepath.Join(root, p)); err == nil {
			versions = append(versions, f.Header().Text(TagVersion), f.Header().Text(TagRelease))
		}
	}
	slices.Sort(versions)
	versions = slices.DeleteFunc(slices.Compact(versions), func(v string) bool { return v == "" || strings.Contains(v, " ") })
	batches(versions, 150, func(some []string) {
		for pair, want := range rpmOrder(t, some) {
			if got := CompareVersions(pair[0], pair[1]); got != want {
				t.Errorf("%q and %q: %d, rpm says %d", pair[0], pair[1], got, want)
			}
		}
	})
}

func TestEVR(t *testing.T) {
	for _, test := range []struct {
		text, again string
		want        EVR
	}{
		{"", "", EVR{}},
		{"1", "1", EVR{Version: "1"}},
		{"1-2", "1-2", EVR{Version: "1", Release: "2"}},
		{"3:1-2", "3:1-2", EVR{3, "1", "2"}},
		{"0:1-2", "1-2", EVR{0, "1", "2"}},
		{":1-2", "1-2", EVR{0, "1", "2"}},
		{"1-2-3", "1-2-3", EVR{0, "1-2", "3"}},
		{"x:1", "x:1", EVR{Version: "x:1"}},
		{"1.0~rc1^git-1.el9", "1.0~rc1^git-1.el9", EVR{0, "1.0~rc1^git", "1.el9"}},
		{"99999999999:1", "99999999999:1", EVR{Version: "99999999999:1"}},
	} {
		got := ParseEVR(test.text)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: %s", test.text, diff)
		}
		if got.String() != test.again {
			t.Errorf("%q: %q, not %q", test.text, got, test.again)
		}
		if got.IsZero() != (test.text == "") {
			t.Errorf("%q: zero is %v", test.text, got.IsZero())
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"1-1", "1-2", -1}, {"1-1", "1", 0}, {"1", "1-9", 0}, {"1:1", "2", 1}, {"0:1", "1", 0}, {"2-1", "1-2", 1}, {"1.0~rc1-5", "1.0-1", -1},
	} {
		if got := ParseEVR(test.a).Compare(ParseEVR(test.b)); got != test.want {
			t.Errorf("%s and %s: %d", test.a, test.b, got)
		}
		if got := ParseEVR(test.b).Compare(ParseEVR(test.a)); got != -test.want {
			t.Errorf("%s and %s: %d", test.b, test.a, got)
		}
	}
}

func TestNEVRA(t *testing.T) {
	for _, text := range []string{"foo-1-2.noarch", "foo-bar-3:1.0~x-2.el9.x86_64", "a-1-1.src"} {
		n, err := ParseNEVRA(text)
		if err != nil || n.String() != text {
			t.Errorf("%s: %s, %v", text, n, err)
		}
	}
	if n, _ := ParseNEVRA("foo-bar-3:1.0-2.el9.x86_64"); n != (NEVRA{"foo-bar", EVR{3, "1.0", "2.el9"}, "x86_64"}) {
		t.Errorf("%#v", n)
	}
	for _, text := range []string{"", "foo", "foo-1", "foo-1-2", "foo-1.x86_64", "-1-2.x86_64", "foo--2.x86_64", "foo-1-.x86_64", "foo-1-2."} {
		if n, err := ParseNEVRA(text); err == nil {
			t.Errorf("%q is %#v", text, n)
		}
	}
	sorted := []string{"a-1-1.i686", "a-1-1.x86_64", "a-1-2.i686", "a-1:0-1.i686", "b-0-1.i686"}
	for i, x := range sorted {
		for j, y := range sorted {
			a, _ := ParseNEVRA(x)
			b, _ := ParseNEVRA(y)
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s and %s: %d", x, y, got)
			}
		}
	}
}
