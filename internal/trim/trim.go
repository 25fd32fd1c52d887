// Package trim decides which files of packages an image leaves out: documentation, locales and the recipe's own
// patterns. It never touches a file's content, it only takes whole files, so that what stays is exactly what the
// package's signed header says.
//
// The rules, in rpm's words where rpm has them (lib/transaction.cc, skipInstallFiles):
//
//   - docs: files flagged %doc, and what lies in the man, info, gtk-doc and doc directories.
//   - locales: files flagged %lang, and the per-language directories of /usr/share/locale, /usr/lib/locale and of man
//     pages, unless one of the languages is kept.
//   - paths: the recipe's patterns.
//
// What stays in any case: %license files, the recipe's keep patterns, and paths that a package of the set requires by
// name. A directory goes with its content: when every file that a package has in it went, and at least one did, the
// package's entry for the directory goes too.
//
// Left out: debug data, headers, static libraries; nothing is taken that no rule names.
package trim

import (
	"path"
	"slices"
	"strings"

	"slim/internal/rpm"
)

// Rule names what took a file.
type Rule string

const (
	Docs    Rule = "docs"
	Locales Rule = "locales"
	Paths   Rule = "paths"
)

// Rules says what to leave out. The zero value leaves out every locale and nothing else; see AllLocales.
type Rules struct {
	Docs       bool
	AllLocales bool     // keep every locale
	Locales    []string // kept languages, as in LANG: "de" keeps de_AT too, "de_AT.UTF-8" keeps de; C and POSIX always stay
	Paths      []string // patterns, see Match
	Keep       []string
}

// File is one file to decide on.
type File struct {
	Path  string // where it lies, symbolic links of its directory followed
	Named string // as the header names it; "" when the same
	Flags rpm.FileFlags
	Lang  string
	Dir   bool
	Ghost bool
}

// Removal is a file that goes.
type Removal struct {
	Package int
	File    int
	Rule    Rule
}

// Decide says which files of the packages go, by package and file. required holds paths that must stay.
func Decide(packages [][]File, r Rules, required map[string]bool) []Removal {
	m := newMatcher(r)
	var out []Removal
	for p, files := range packages {
		gone := make([]Rule, len(files))
		for f := range files {
			gone[f] = m.rule(&files[f], required)
		}
		emptiedDirectories(files, gone, m, required)
		for f, rule := range gone {
			if rule != "" {
				out = append(out, Removal{Package: p, File: f, Rule: rule})
			}
		}
	}
	return out
}

// emptiedDirectories marks a package's directories whose files all went, deepest first.
func emptiedDirectories(files []File, gone []Rule, m *matcher, required map[string]bool) {
	type count struct {
		all, gone int
		rule      Rule
	}
	dirs := map[string]*count{}
	for f := range files {
		d := path.Dir(files[f].Path)
		if dirs[d] == nil {
			dirs[d] = &count{}
		}
		dirs[d].all++
		if gone[f] != "" {
			dirs[d].gone++
			dirs[d].rule = gone[f]
		}
	}
	order := make([]int, 0, len(files))
	for f := range files {
		if files[f].Dir {
			order = append(order, f)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(files[b].Path, files[a].Path) })
	for _, f := range order {
		c := dirs[files[f].Path]
		if gone[f] != "" || c == nil || c.gone == 0 || c.gone < c.all || m.stays(&files[f], required) {
			continue
		}
		gone[f] = c.rule
		if parent := dirs[path.Dir(files[f].Path)]; parent != nil {
			parent.gone++
			parent.rule = c.rule
		}
	}
}

type matcher struct {
	rules       Rules
	paths, keep []pattern
}

func newMatcher(r Rules) *matcher {
	m := &matcher{rules: r}
	for _, p := range r.Paths {
		m.paths = append(m.paths, compile(p))
	}
	for _, p := range r.Keep {
		m.keep = append(m.keep, compile(p))
	}
	return m
}

func (m *matcher) stays(f *File, required map[string]bool) bool {
	return f.Flags&rpm.FileLicense != 0 || required[f.Path] || required[f.Named] || matchAny(m.keep, f)
}

func (m *matcher) rule(f *File, required map[string]bool) Rule {
	if m.stays(f, required) {
		return ""
	}
	switch {
	case m.rules.Docs && (f.Flags&rpm.FileDoc != 0 || inDocs(f)):
		return Docs
	case !m.rules.AllLocales && m.foreign(f):
		return Locales
	case matchAny(m.paths, f):
		return Paths
	}
	return ""
}

// docDirs hold documentation whatever its flags say.
var docDirs = []string{"/usr/share/man/", "/usr/share/info/", "/usr/share/gtk-doc/", "/usr/share/doc/"}

func inDocs(f *File) bool {
	return !f.Dir && slices.ContainsFunc(docDirs, func(d string) bool { return strings.HasPrefix(f.Path, d) })
}

// localeDirs hold one directory or file a language.
var localeDirs = []string{"/usr/share/locale/", "/usr/lib/locale/"}

// foreign reports whether f serves only languages that are not kept.
func (m *matcher) foreign(f *File) bool {
	if f.Lang != "" {
		return !slices.ContainsFunc(strings.Split(f.Lang, "|"), m.keeps)
	}
	for _, d := range localeDirs {
		rest, ok := strings.CutPrefix(f.Path, d)
		if !ok {
			continue
		}
		lang, _, inside := strings.Cut(rest, "/")
		return (inside || f.Dir) && isLanguage(lang) && !m.keeps(lang)
	}
	return false
}

// isLanguage tells de, de_AT.utf8, sr@latin and zh_Hant from locale.alias, l10n and other neighbours.
func isLanguage(s string) bool {
	base := s
	if i := strings.IndexAny(base, "_.@"); i >= 0 {
		base = base[:i]
	}
	if len(base) < 2 || len(base) > 3 {
		return false
	}
	return strings.IndexFunc(base, func(r rune) bool { return r < 'a' || r > 'z' }) < 0
}

// keeps reports whether a language such as de, de_AT.utf8 or sr@latin is kept.
func (m *matcher) keeps(lang string) bool {
	have := split(lang)
	if have.language == "C" || have.language == "POSIX" {
		return true
	}
	return slices.ContainsFunc(m.rules.Locales, func(want string) bool {
		w := split(want)
		if w.language != have.language {
			return false
		}
		return w.territory == "" || have.territory == "" || w.territory == have.territory
	})
}

type locale struct{ language, territory string }

// split takes a locale's language and territory: LANGUAGE[_TERRITORY][.CODESET][@MODIFIER].
func split(s string) locale {
	if i := strings.IndexAny(s, ".@"); i >= 0 {
		s = s[:i]
	}
	language, territory, _ := strings.Cut(strings.ReplaceAll(s, "-", "_"), "_")
	return locale{language, territory}
}

// Classify says which rule takes a file that was left out: Docs or Locales where they fit, otherwise Paths.
func Classify(f File) Rule {
	m := newMatcher(Rules{Docs: true})
	if rule := m.rule(&f, nil); rule != "" {
		return rule
	}
	return Paths
}
