package builder

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Source says what a repository address leads to.
type Source int

const (
	SourceBaseURL    Source = iota // the directory that holds repodata/
	SourceMirrorList               // a text list of such directories
	SourceMetalink                 // a metalink of repomd.xml
	SourceRepoFile                 // a .repo file of dnf, which has the addresses
)

// ComponentURL is where one component of a repository is.
type ComponentURL struct {
	Component string   // "" when the repository is one
	URL       string   // http, https or file, without variables
	Source    Source   // what URL leads to
	Others    []string // more base URLs of the same
}

// BaseURLs returns the addresses of r's components for platform p, in the order of r.Components, with dnf's variables
// replaced: $arch, $basearch, $releasever, $releasever_major, $releasever_minor and $component, each also as ${...}.
// A plain path becomes a file URL; a relative one starts at r.Dir. Where r has a mirror list or a metalink, the
// addresses are those of the lists, as Source says.
func (r Repository) BaseURLs(p Platform) ([]ComponentURL, error) {
	if len(r.Parts) > 0 {
		return r.partURLs(p)
	}
	text, source := r.address()
	if err := r.checkVariables(text, true); err != nil {
		return nil, err
	}
	components := r.Components
	if len(components) == 0 {
		components = []string{""}
	}
	var urls []ComponentURL
	for _, c := range components {
		expanded, err := r.expand(text, p, c)
		if err != nil {
			return nil, err
		}
		u, err := fileURL(expanded, r.Dir)
		if err != nil {
			return nil, err
		}
		urls = append(urls, ComponentURL{Component: c, URL: u, Source: source})
	}
	return urls, nil
}

// address is the one of BaseURL, MirrorList, Metalink and File that is set.
func (r Repository) address() (string, Source) {
	switch {
	case r.File != "":
		return r.File, SourceRepoFile
	case r.MirrorList != "":
		return r.MirrorList, SourceMirrorList
	case r.Metalink != "":
		return r.Metalink, SourceMetalink
	default:
		return r.BaseURL, SourceBaseURL
	}
}

func (r Repository) expand(text string, p Platform, component string) (string, error) {
	if p.Arch() == "" {
		return "", fmt.Errorf("unknown platform %s", p)
	}
	major, minor, _ := strings.Cut(r.ReleaseVer, ".")
	values := map[string]string{
		"arch":             p.Arch(),
		"basearch":         p.BaseArch(),
		"component":        component,
		"releasever":       r.ReleaseVer,
		"releasever_major": major,
		"releasever_minor": minor,
	}
	return substitute(text, func(name string) string { return values[name] }), nil
}

// checkVariables reports a variable of text that is unknown or has no value, and a disagreement between $component and
// r.Components.
func (r Repository) checkVariables(text string, perComponent bool) error {
	used := variables(text)
	known := []string{"arch", "basearch", "component", "releasever", "releasever_major", "releasever_minor"}
	for _, name := range used {
		switch {
		case !slices.Contains(known, name):
			return &variableError{
				fmt.Sprintf("unknown variable $%s in %s", name, text),
				"known are $" + strings.Join(known, ", $") + "; write the value of any other out",
			}
		case strings.HasPrefix(name, "releasever") && r.ReleaseVer == "":
			return &variableError{fmt.Sprintf("$%s has no value in %s", name, text), "add releasever to the repository"}
		case name == "releasever_minor" && !strings.Contains(r.ReleaseVer, "."):
			return &variableError{fmt.Sprintf("$%s has no value: releasever %s has no minor part", name, r.ReleaseVer), ""}
		case name == "component" && !perComponent:
			return &variableError{"a key is that of the whole repository: $component has no value in " + text, ""}
		}
	}
	if !perComponent {
		return nil
	}
	switch has := slices.Contains(used, "component"); {
	case has && len(r.Components) == 0:
		return &variableError{"$component has no value in " + text, "add components to the repository, as in components: [BaseOS, AppStream]"}
	case !has && len(r.Components) > 0:
		return &variableError{
			"the repository has components, but there is no $component in " + text,
			"write $component where the address has the component's name, or drop components",
		}
	}
	return nil
}

// variableError is a fault of an address, with what to do about it.
type variableError struct{ message, hint string }

func (e *variableError) Error() string { return e.message }

// variables are the names of the variables in text, in order.
func variables(text string) []string {
	var names []string
	substitute(text, func(name string) string {
		names = append(names, name)
		return ""
	})
	return names
}

// substitute replaces $name and ${name} by value(name). As in dnf, a name is of letters, digits and underscores, and a
// dollar sign without one stands for itself.
func substitute(text string, value func(name string) string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(text, '$')
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i])
		name, rest, ok := cutVariable(text[i+1:])
		if ok {
			b.WriteString(value(name))
		} else {
			b.WriteByte('$')
		}
		text = rest
	}
}

// cutVariable splits the text after a dollar sign; without ok, rest is text.
func cutVariable(text string) (name, rest string, ok bool) {
	inner, braced := strings.CutPrefix(text, "{")
	n := 0
	for n < len(inner) && isNameByte(inner[n]) {
		n++
	}
	if n == 0 {
		return "", text, false
	}
	if !braced {
		return inner[:n], inner[n:], true
	}
	if n < len(inner) && inner[n] == '}' {
		return inner[:n], inner[n+1:], true
	}
	name, rest, closed := strings.Cut(inner, "}")
	if !closed {
		return "", text, false
	}
	return name, rest, true // ${name:-x}: not a name that is known
}

func isNameByte(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isURL reports whether s has one of the schemes that slim fetches.
func isURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	return ok && slices.Contains([]string{"http", "https", "file"}, scheme)
}

// fileURL makes a URL of an address: a path becomes a file URL, relative ones starting at dir.
func fileURL(s, dir string) (string, error) {
	if isURL(s) {
		u, err := url.Parse(s)
		if err != nil {
			return "", fmt.Errorf("address %s: %w", s, err)
		}
		if u.Scheme != "file" && u.Host == "" {
			return "", fmt.Errorf("address %s: no host", s)
		}
		return s, nil
	}
	if strings.Contains(s, "://") {
		return "", fmt.Errorf("address %s: not an http, https or file URL", s)
	}
	if !filepath.IsAbs(s) {
		s = filepath.Join(dir, s)
	}
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(s)}).String(), nil
}
