package solve

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slim/internal/rpm"
)

// writeRepository writes metadata that dnf reads, without the packages, into dir, in the order of file names.
func writeRepository(t testing.TB, dir string, packages []*rpm.Metadata) {
	t.Helper()
	packages = slices.Clone(packages)
	slices.SortStableFunc(packages, func(a, b *rpm.Metadata) int { return strings.Compare(a.FileName(), b.FileName()) })
	var primary, files strings.Builder
	fmt.Fprintf(&primary, `<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="%d">`, len(packages))
	fmt.Fprintf(&files, `<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="%d">`, len(packages))
	for _, m := range packages {
		id := fmt.Sprintf("%x", sha256.Sum256([]byte(m.NEVRA.String()+m.Location)))
		version := fmt.Sprintf(`<version epoch="%d" ver="%s" rel="%s"/>`, m.Epoch, m.Version, m.Release)
		fmt.Fprintf(&primary, `<package type="rpm"><name>%s</name><arch>%s</arch>%s<checksum type="sha256" pkgid="YES">%s</checksum>`, m.Name, m.Arch, version, id)
		fmt.Fprintf(&primary, `<summary/><description/><packager/><url/><time file="1" build="1"/><size package="1" installed="1" archive="1"/><location href="%s"/><format>`, m.FileName())
		writeEntries(&primary, "provides", m.Provides)
		var requires []rpm.Capability
		for _, r := range m.Requires {
			requires = append(requires, r.Capability)
		}
		writeEntries(&primary, "requires", requires)
		writeEntries(&primary, "conflicts", m.Conflicts)
		writeEntries(&primary, "obsoletes", m.Obsoletes)
		writeEntries(&primary, "recommends", m.Recommends)
		writeEntries(&primary, "suggests", m.Suggests)
		writeEntries(&primary, "supplements", m.Supplements)
		writeEntries(&primary, "enhances", m.Enhances)
		primary.WriteString("</format></package>\n")
		fmt.Fprintf(&files, `<package pkgid="%s" name="%s" arch="%s">%s`, id, m.Name, m.Arch, version)
		for _, f := range m.Files {
			fmt.Fprintf(&files, "<file>%s</file>", f)
		}
		files.WriteString("</package>\n")
	}
	primary.WriteString("</metadata>")
	files.WriteString("</filelists>")
	if err := os.MkdirAll(filepath.Join(dir, "repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	var index strings.Builder
	index.WriteString(`<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>`)
	for kind, text := range map[string]string{"primary": primary.String(), "filelists": files.String()} {
		name := "repodata/" + kind + ".xml"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&index, `<data type="%s"><checksum type="sha256">%x</checksum><location href="%s"/><size>%d</size><timestamp>1</timestamp></data>`,
			kind, sha256.Sum256([]byte(text)), name, len(text))
	}
	index.WriteString("</repomd>")
	if err := os.WriteFile(filepath.Join(dir, "repodata/repomd.xml"), []byte(index.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeEntries(b *strings.Builder, kind string, caps []rpm.Capability) {
	if len(caps) == 0 {
		return
	}
	fmt.Fprintf(b, "<rpm:%s>", kind)
	for _, c := range caps {
		b.WriteString(`<rpm:entry name="`)
		xml.EscapeText(b, []byte(c.Name))
		b.WriteString(`"`)
		if c.Sense != 0 {
			flags := map[string]string{"<": "LT", "<=": "LE", "=": "EQ", ">=": "GE", ">": "GT"}[c.Sense.String()]
			fmt.Fprintf(b, ` flags="%s" epoch="%d" ver="%s"`, flags, c.EVR.Epoch, c.EVR.Version)
			if c.EVR.Release != "" {
				fmt.Fprintf(b, ` rel="%s"`, c.EVR.Release)
			}
		}
		b.WriteString("/>")
	}
	fmt.Fprintf(b, "</rpm:%s>", kind)
}
