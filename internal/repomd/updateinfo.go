package repomd

import (
	"io"

	"slim/internal/rpm"
)

// Advisory is an update that was announced, as updateinfo.xml tells it.
type Advisory struct {
	ID         string
	Type       string // security, bugfix, enhancement, newpackage ...
	Status     string // final, stable, testing ...
	Severity   string // Critical, Important, Moderate, Low, None or ""
	Title      string
	Issued     string // as it is written, usually 2006-01-02 15:04:05
	Updated    string
	References []Reference
	Packages   []rpm.NEVRA // of all collections, in their order; the same one may be there twice
}

// Reference is where an advisory points to.
type Reference struct {
	Type  string // cve, bugzilla, self, other ...
	ID    string // CVE-2024-0001, say
	Title string
	URL   string
}

// CVEs are the identifiers of the references of type cve, in their order.
func (a Advisory) CVEs() []string {
	var ids []string
	for _, r := range a.References {
		if r.Type == "cve" {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// ParseUpdateInfo reads an updateinfo.xml and hands add its advisories one by one, in their order; add owns what it is
// given. An error of add ends the reading and is returned as it is. An advisory without an id and a package without a name
// or version are errors.
func ParseUpdateInfo(r io.Reader, add func(Advisory) error) error {
	p := updates{newPackages(r)}
	return p.each("update", "updates", "updateinfo", func() error {
		a := p.advisory()
		if p.s.err != nil {
			return nil
		}
		return add(a)
	})
}

type updates struct{ packages }

func (p *updates) advisory() Advisory {
	s := p.s
	a := Advisory{Type: p.limited(s.attr("type"), "a type"), Status: p.limited(s.attr("status"), "a status")}
	for d := s.depth(); s.child(d); {
		switch string(s.name) {
		case "id":
			a.ID = string(s.content())
		case "title":
			a.Title = string(s.content())
		case "severity":
			a.Severity = p.intern(s.content())
		case "issued":
			a.Issued = p.limited(s.attr("date"), "a date")
		case "updated":
			a.Updated = p.limited(s.attr("date"), "a date")
		case "references":
			p.references(&a)
		case "pkglist":
			p.collections(&a)
		}
	}
	if a.ID == "" || hasControl(a.ID) {
		s.fail("<update> %d: %q is not an <id>", p.count, a.ID)
	}
	return a
}

func (p *updates) references(a *Advisory) {
	s := p.s
	for d := s.depth(); s.child(d); {
		if string(s.name) != "reference" {
			continue
		}
		if len(a.References) == MaxList {
			s.fail("more than %d references", MaxList)
			return
		}
		a.References = append(a.References, Reference{
			Type:  p.limited(s.attr("type"), "a type"),
			ID:    p.limited(s.attr("id"), "an id"),
			Title: p.limited(s.attr("title"), "a title"),
			URL:   p.limited(s.attr("href"), "an address"),
		})
	}
}

func (p *updates) collections(a *Advisory) {
	s := p.s
	for d := s.depth(); s.child(d); {
		if string(s.name) != "collection" {
			continue
		}
		for d := s.depth(); s.child(d); {
			if string(s.name) != "package" {
				continue
			}
			if len(a.Packages) == MaxList {
				s.fail("more than %d packages", MaxList)
				return
			}
			a.Packages = append(a.Packages, p.update())
		}
	}
}

// update reads the attributes of a <package>.
func (p *updates) update() rpm.NEVRA {
	s := p.s
	return rpm.NEVRA{
		Name: p.word(s.attr("name"), "a name"),
		Arch: p.word(s.attr("arch"), "an architecture"),
		EVR: rpm.EVR{
			Epoch:   p.epoch(),
			Version: p.word(s.attr("version"), "a version"),
			Release: p.word(s.attr("release"), "a release"),
		},
	}
}
