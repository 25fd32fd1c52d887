package builder

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/repomd"
)

// RepositoryPart is one repository of a .repo file of dnf. As for dnf, a metalink goes before a mirror list, and that
// before base URLs.
type RepositoryPart struct {
	ID         string
	BaseURLs   []string // with their variables; several are mirrors of each other
	MirrorList string
	Metalink   string
}

// address is where the part is: further base URLs beside the first are in others.
func (p RepositoryPart) address() (text string, source Source, others []string) {
	switch {
	case p.Metalink != "":
		return p.Metalink, SourceMetalink, nil
	case p.MirrorList != "":
		return p.MirrorList, SourceMirrorList, nil
	default:
		return p.BaseURLs[0], SourceBaseURL, p.BaseURLs[1:]
	}
}

// partURLs are the addresses of a repository that is made of parts.
func (r Repository) partURLs(p Platform) ([]ComponentURL, error) {
	var urls []ComponentURL
	for _, part := range r.Parts {
		text, source, others := part.address()
		u := ComponentURL{Component: part.ID, Source: source}
		for _, text := range append([]string{text}, others...) {
			if err := r.checkVariables(text, false); err != nil {
				return nil, fmt.Errorf("[%s]: %w", part.ID, err)
			}
			expanded, err := r.expand(text, p, "")
			if err == nil {
				expanded, err = fileURL(expanded, r.Dir)
			}
			if err != nil {
				return nil, fmt.Errorf("[%s]: %w", part.ID, err)
			}
			if u.URL == "" {
				u.URL = expanded
			} else {
				u.Others = append(u.Others, expanded)
			}
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// notUnderstood are options of a .repo file that change what is installed or how it is reached, and that slim does not
// act on: a file with one of them is refused rather than read otherwise than dnf reads it.
func notUnderstood() []string {
	return []string{
		"cost", "exclude", "excludepkgs", "includepkgs", "module_hotfixes", "password", "priority", "proxy", "sslcacert",
		"sslclientcert", "sslclientkey", "sslverify", "username",
	}
}

// readRepoFile puts the repositories of a .repo file that ids names into r, whose other keys the recipe has said already.
func readRepoFile(r *Repository, file string, n *node) error {
	f, err := os.Open(file)
	if err != nil {
		return pathless(err)
	}
	defer f.Close()
	sections, err := repomd.ParseRepoFile(f)
	if err != nil {
		return err
	}
	r.File, r.Components = n.get("file").str(), nil
	var known []string
	for _, s := range sections {
		known = append(known, s.ID)
	}
	for _, id := range texts(n.get("ids")) {
		i := slices.Index(known, id)
		if i < 0 {
			return fmt.Errorf("it has no [%s]; its repositories are %s", id, strings.Join(known, ", "))
		}
		if slices.Contains(r.Components, id) {
			return fmt.Errorf("[%s] is named twice", id)
		}
		if err := r.addPart(sections[i], n); err != nil {
			return fmt.Errorf("[%s], line %d: %w", id, sections[i].Line, err)
		}
	}
	if r.GPGCheck && len(r.GPGKeys) == 0 {
		return fmt.Errorf("it names no gpgkey: add gpgkey to the recipe, or, to trust whatever the repository serves, gpgcheck: false")
	}
	return nil
}

func (r *Repository) addPart(s repomd.RepoSection, n *node) error {
	for _, option := range notUnderstood() {
		if _, ok := s.Options[option]; ok {
			return fmt.Errorf("slim does not act on %s: take it out, or write the repository into the recipe", option)
		}
	}
	part := RepositoryPart{ID: s.ID, BaseURLs: s.BaseURL, MirrorList: s.MirrorList, Metalink: s.Metalink}
	if part.MirrorList == "" && part.Metalink == "" && len(part.BaseURLs) == 0 {
		return fmt.Errorf("it has no baseurl, mirrorlist or metalink")
	}
	address, _, others := part.address()
	for _, text := range append([]string{address}, others...) {
		if err := r.checkVariables(text, false); err != nil {
			return err
		}
	}
	r.Parts, r.Components = append(r.Parts, part), append(r.Components, s.ID)
	if !n.has("gpgcheck") && s.GPGCheck != nil && !*s.GPGCheck {
		r.GPGCheck = false
	}
	if !n.has("repo_gpgcheck") && s.RepoGPGCheck != nil && *s.RepoGPGCheck {
		r.RepoGPGCheck = true
	}
	if n.has("gpgkey") {
		return nil
	}
	for _, key := range s.GPGKey {
		if !isURL(key) && !filepath.IsAbs(key) {
			return fmt.Errorf("gpgkey %s is no URL", key)
		}
		if err := r.checkVariables(key, false); err != nil {
			return err
		}
		if !slices.Contains(r.GPGKeys, key) {
			r.GPGKeys = append(r.GPGKeys, key)
		}
	}
	return nil
}
