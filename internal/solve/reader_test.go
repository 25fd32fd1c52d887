package solve

import (
	"compress/gzip"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"

	"slim/internal/rpm"
)

type xmlEntry struct {
	Name  string `xml:"name,attr"`
	Flags string `xml:"flags,attr"`
	Epoch string `xml:"epoch,attr"`
	Ver   string `xml:"ver,attr"`
	Rel   string `xml:"rel,attr"`
	Pre   string `xml:"pre,attr"`
}

func (e xmlEntry) capability(t testing.TB) rpm.Capability {
	c := rpm.Capability{Name: e.Name}
	if e.Flags == "" {
		return c
	}
	sense, err := rpm.ParseSense(e.Flags)
	if err != nil {
		t.Fatal(err)
	}
	epoch, _ := strconv.Atoi("0" + e.Epoch)
	c.Sense, c.EVR = sense, rpm.EVR{Epoch: uint32(epoch), Version: e.Ver, Release: e.Rel}
	return c
}

func capabilities(t testing.TB, list []xmlEntry) []rpm.Capability {
	var out []rpm.Capability
	for _, e := range list {
		out = append(out, e.capability(t))
	}
	return out
}

type xmlPackage struct {
	Name    string `xml:"name"`
	Arch    string `xml:"arch"`
	PkgID   string `xml:"checksum"`
	Version struct {
		Epoch uint32 `xml:"epoch,attr"`
		Ver   string `xml:"ver,attr"`
		Rel   string `xml:"rel,attr"`
	} `xml:"version"`
	Location struct {
		Href string `xml:"href,attr"`
	} `xml:"location"`
	Format struct {
		Provides    []xmlEntry `xml:"provides>entry"`
		Requires    []xmlEntry `xml:"requires>entry"`
		Conflicts   []xmlEntry `xml:"conflicts>entry"`
		Obsoletes   []xmlEntry `xml:"obsoletes>entry"`
		Recommends  []xmlEntry `xml:"recommends>entry"`
		Suggests    []xmlEntry `xml:"suggests>entry"`
		Supplements []xmlEntry `xml:"supplements>entry"`
		Enhances    []xmlEntry `xml:"enhances>entry"`
		Files       []string   `xml:"file"`
	} `xml:"format"`
}

func (x *xmlPackage) metadata(t testing.TB) *rpm.Metadata {
	m := &rpm.Metadata{
		NEVRA: rpm.NEVRA{
			Name: x.Name, Arch: x.Arch,
			EVR: rpm.EVR{Epoch: x.Version.Epoch, Version: x.Version.Ver, Release: x.Version.Rel},
		},
		Location:    x.Location.Href,
		Provides:    capabilities(t, x.Format.Provides),
		Conflicts:   capabilities(t, x.Format.Conflicts),
		Obsoletes:   capabilities(t, x.Format.Obsoletes),
		Recommends:  capabilities(t, x.Format.Recommends),
		Suggests:    capabilities(t, x.Format.Suggests),
		Supplements: capabilities(t, x.Format.Supplements),
		Enhances:    capabilities(t, x.Format.Enhances),
		Files:       x.Format.Files,
	}
	for _, e := range x.Format.Requires {
		m.Requires = append(m.Requires, rpm.Requirement{Capability: e.capability(t), Pre: e.Pre == "1"})
	}
	return m
}

// readRepository reads primary.xml of the repository in dir, and, when all is set, filelists.xml.
func readRepository(t testing.TB, dir string, all bool) []*rpm.Metadata {
	t.Helper()
	var list []*rpm.Metadata
	byID := map[string]*rpm.Metadata{}
	decodePackages(t, dir, "primary", func(d *xml.Decoder, start xml.StartElement) error {
		var x xmlPackage
		if err := d.DecodeElement(&x, &start); err != nil {
			return err
		}
		m := x.metadata(t)
		list, byID[x.PkgID] = append(list, m), m
		return nil
	})
	if !all {
		return list
	}
	decodePackages(t, dir, "filelists", func(d *xml.Decoder, start xml.StartElement) error {
		var x struct {
			PkgID string   `xml:"pkgid,attr"`
			Files []string `xml:"file"`
		}
		if err := d.DecodeElement(&x, &start); err != nil {
			return err
		}
		if m := byID[x.PkgID]; m != nil {
			m.Files, m.AllFiles = x.Files, true
		}
		return nil
	})
	return list
}

func decodePackages(t testing.TB, dir, kind string, each func(*xml.Decoder, xml.StartElement) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "repodata", "*"+kind+".xml*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%s: %s.xml: %v %v", dir, kind, names, err)
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	switch {
	case strings.HasSuffix(names[0], ".gz"):
		r, err = gzip.NewReader(f)
	case strings.HasSuffix(names[0], ".xz"):
		r, err = xz.NewReader(f)
	}
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(r)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "package" {
			if err := each(d, start); err != nil {
				t.Fatal(err)
			}
		}
	}
}
