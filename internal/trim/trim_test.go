package trim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slim/internal/rpm"
)

// parse reads files from lines: PATH [d] [doc] [license] [lang=X].
func parse(text string) []File {
	var out []File
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		words := strings.Fields(line)
		f := File{Path: words[0]}
		for _, w := range words[1:] {
			switch {
			case w == "d":
				f.Dir = true
			case w == "doc":
				f.Flags |= rpm.FileDoc
			case w == "license":
				f.Flags |= rpm.FileLicense
			default:
				f.Lang = strings.TrimPrefix(w, "lang=")
			}
		}
		out = append(out, f)
	}
	return out
}

const files = `
/usr/bin/x
/usr/share/doc/x d doc
/usr/share/doc/x/README doc
/usr/share/doc/x/unflagged
/usr/share/licenses/x d license
/usr/share/licenses/x/COPYING license doc
/usr/share/man/man1/x.1.gz doc
/usr/share/man/de/man1/x.1.gz doc lang=de
/usr/share/locale d
/usr/share/locale/locale.alias
/usr/share/locale/de d
/usr/share/locale/de/LC_MESSAGES d
/usr/share/locale/de/LC_MESSAGES/x.mo lang=de
/usr/share/locale/de_AT/LC_MESSAGES/x.mo lang=de_AT
/usr/share/locale/en_GB/LC_MESSAGES/x.mo
/usr/lib/locale/C.utf8/LC_CTYPE
/usr/lib/locale/fr_FR.utf8/LC_CTYPE
/usr/share/x/de.txt lang=de|en
/usr/share/x/words
`

func TestDecide(t *testing.T) {
	for _, test := range []struct {
		name     string
		rules    Rules
		required []string
		want     string
	}{
		{name: "nothing", rules: Rules{AllLocales: true}},
		{name: "docs", rules: Rules{Docs: true, AllLocales: true}, want: `docs /usr/share/doc/x
docs /usr/share/doc/x/README
docs /usr/share/doc/x/unflagged
docs /usr/share/man/man1/x.1.gz
docs /usr/share/man/de/man1/x.1.gz
`},
		{name: "all locales", want: `locales /usr/share/man/de/man1/x.1.gz
locales /usr/share/locale/de
locales /usr/share/locale/de/LC_MESSAGES
locales /usr/share/locale/de/LC_MESSAGES/x.mo
locales /usr/share/locale/de_AT/LC_MESSAGES/x.mo
locales /usr/share/locale/en_GB/LC_MESSAGES/x.mo
locales /usr/lib/locale/fr_FR.utf8/LC_CTYPE
locales /usr/share/x/de.txt
`},
		{name: "a language keeps its countries", rules: Rules{Locales: []string{"de", "C.UTF-8"}}, want: `locales /usr/share/locale/en_GB/LC_MESSAGES/x.mo
locales /usr/lib/locale/fr_FR.utf8/LC_CTYPE
`},
		{name: "a country keeps its language, not other countries", rules: Rules{Locales: []string{"de_DE.UTF-8", "en_US"}}, want: `locales /usr/share/locale/de_AT/LC_MESSAGES/x.mo
locales /usr/share/locale/en_GB/LC_MESSAGES/x.mo
locales /usr/lib/locale/fr_FR.utf8/LC_CTYPE
`},
		{name: "patterns, and what stays", rules: Rules{
			AllLocales: true, Docs: true, Paths: []string{"/usr/share/**/*x*", "/usr/share/licenses/**", "/usr/bin/x"},
			Keep: []string{"/usr/share/doc/x/README", "/usr/share/man/**"},
		}, required: []string{"/usr/bin/x"}, want: `docs /usr/share/doc/x
docs /usr/share/doc/x/unflagged
paths /usr/share/locale/de
paths /usr/share/locale/de/LC_MESSAGES
paths /usr/share/locale/de/LC_MESSAGES/x.mo
paths /usr/share/locale/de_AT/LC_MESSAGES/x.mo
paths /usr/share/locale/en_GB/LC_MESSAGES/x.mo
paths /usr/share/x/de.txt
paths /usr/share/x/words
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			list := parse(files)
			required := map[string]bool{}
			for _, p := range test.required {
				required[p] = true
			}
			var b strings.Builder
			for _, r := range Decide([][]File{list}, test.rules, required) {
				fmt.Fprintf(&b, "%s %s\n", r.Rule, list[r.File].Path)
			}
			if d := cmp.Diff(test.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestMatch(t *testing.T) {
	for _, test := range []struct {
		pattern, path string
		want          bool
	}{
		{"/usr/share/x", "/usr/share/x", true},
		{"/usr/share/x", "/usr/share/x/y", true},
		{"/usr/share/x", "/usr/share/xy", false},
		{"/usr/*/x", "/usr/share/x", true},
		{"/usr/*/x", "/usr/a/b/x", false},
		{"/usr/**/x", "/usr/a/b/x", true},
		{"/usr/**/x", "/usr/x", true},
		{"/usr/share/cracklib/**", "/usr/share/cracklib/pw_dict.hwm", true},
		{"/usr/share/cracklib/**", "/usr/share/cracklib", true},
		{"/**/*.pyc", "/usr/lib/python3/a.pyc", true},
		{"/**/*.pyc", "/usr/lib/python3/a.py", false},
		{"/a?[bc]", "/axb", true},
	} {
		if got := Match(test.pattern, test.path); got != test.want {
			t.Errorf("Match(%q, %q) = %v", test.pattern, test.path, got)
		}
	}
	for _, bad := range []string{"usr/x", "/usr/[", "/usr/../x", "/", "//", "/**/a/**/b/**/c/**/d/**"} {
		if CheckPattern(bad) == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("/usr/**/x*", "/usr/a/b/xy")
	f.Fuzz(func(t *testing.T, p, name string) {
		if CheckPattern(p) != nil || !strings.HasPrefix(name, "/") {
			return
		}
		if Match(p, name) && !Match(p, name+"/below") {
			t.Errorf("%q takes %q but not what is below it", p, name)
		}
	})
}
