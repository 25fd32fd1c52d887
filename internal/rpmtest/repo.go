package rpmtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// RepoOptions say how a repository is made; the zero value is an unsigned one as createrepo_c makes it by default.
type RepoOptions struct {
	Key         *Key   // signs packages and repomd.xml; nil: neither
	Compression string // of metadata: gz (default), xz, zst, none
	Checksum    string // sha256 (default), sha1, sha512
	Revision    string // default DefaultTime
	NoFilelists bool

	// Extra are further metadata files by their type, such as updateinfo, modules or group.
	Extra map[string][]byte
}

// Repo makes the repository of packages in dir, which is made where it is missing: the package files under Packages/
// as Package.FileName says, metadata under repodata/, and repomd.xml.asc with a key. A repository that is there
// already is overwritten.
func Repo(dir string, o RepoOptions, packages ...*Package) error {
	r := repo{dir: dir, options: o}
	for _, p := range packages {
		if err := r.add(p); err != nil {
			return fmt.Errorf("making repository %s: %w", dir, err)
		}
	}
	if err := r.write(len(packages)); err != nil {
		return fmt.Errorf("making repository %s: %w", dir, err)
	}
	return nil
}

// MustRepo makes the repository of the packages in text (see Parse) in a directory of the test and returns it.
func MustRepo(t testing.TB, o RepoOptions, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := Repo(dir, o, MustParse(t, text)...); err != nil {
		t.Fatal(err)
	}
	return dir
}

type repo struct {
	dir                string
	options            RepoOptions
	primary, filelists bytes.Buffer
}

func (r *repo) add(p *Package) error {
	b, err := p.build(r.options.Key)
	if err != nil {
		return err
	}
	location := "Packages/" + p.FileName()
	if err := writeFile(filepath.Join(r.dir, location), b.bytes); err != nil {
		return err
	}
	sum, err := r.checksum(b.bytes)
	if err != nil {
		return err
	}
	r.primaryPackage(p, b, location, sum)
	r.filelistsPackage(p, b, sum)
	return nil
}

func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, data, 0o666)
}

func (r *repo) checksum(data []byte) (string, error) {
	switch r.algorithm() {
	case "sha1":
		sum := sha1.Sum(data)
		return hex.EncodeToString(sum[:]), nil
	case "sha256":
		sum := sha256.Sum256(data)
		return hex.EncodeToString(sum[:]), nil
	case "sha512":
		sum := sha512.Sum512(data)
		return hex.EncodeToString(sum[:]), nil
	}
	return "", fmt.Errorf("checksum %q is not one of sha1, sha256, sha512", r.algorithm())
}

func (r *repo) algorithm() string { return or(r.options.Checksum, "sha256") }

const (
	xmlDeclaration = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	commonSpace    = "http://linux.duke.edu/metadata/common"
	rpmSpace       = "http://linux.duke.edu/metadata/rpm"
	filelistsSpace = "http://linux.duke.edu/metadata/filelists"
	repoSpace      = "http://linux.duke.edu/metadata/repo"
)

func (r *repo) primaryPackage(p *Package, b *built, location, sum string) {
	w := &r.primary
	epoch, version, release := p.evr()
	fmt.Fprintf(w, "<package type=\"rpm\">\n  <name>%s</name>\n  <arch>%s</arch>\n", esc(p.Name), esc(p.arch()))
	fmt.Fprintf(w, "  <version epoch=\"%d\" ver=\"%s\" rel=\"%s\"/>\n", epoch, esc(version), esc(release))
	fmt.Fprintf(w, "  <checksum type=\"%s\" pkgid=\"YES\">%s</checksum>\n", r.algorithm(), sum)
	summary := esc(or(p.Summary, p.Name))
	fmt.Fprintf(w, "  <summary>%s</summary>\n  <description>%s</description>\n  <packager></packager>\n  <url></url>\n", summary, summary)
	fmt.Fprintf(w, "  <time file=\"%d\" build=\"%d\"/>\n", p.buildTime(), p.buildTime())
	fmt.Fprintf(w, "  <size package=\"%d\" installed=\"%d\" archive=\"%d\"/>\n", len(b.bytes), b.installed, b.archive)
	fmt.Fprintf(w, "  <location href=\"%s\"/>\n  <format>\n", esc(location))
	fmt.Fprintf(w, "    <rpm:license>%s</rpm:license>\n    <rpm:vendor>%s</rpm:vendor>\n", esc(or(p.License, "MIT")), esc(p.Vendor))
	fmt.Fprintf(w, "    <rpm:group>Unspecified</rpm:group>\n    <rpm:buildhost>localhost</rpm:buildhost>\n")
	fmt.Fprintf(w, "    <rpm:sourcerpm>%s</rpm:sourcerpm>\n", esc(p.sourceRPM()))
	fmt.Fprintf(w, "    <rpm:header-range start=\"%d\" end=\"%d\"/>\n", b.headerStart, b.headerEnd)
	for _, list := range []struct {
		name         string
		dependencies []dependency
	}{
		{"provides", b.provides},
		{"requires", b.requires},
		{"conflicts", b.conflicts},
		{"obsoletes", b.obsoletes},
		{"suggests", b.suggests},
		{"enhances", b.enhance},
		{"recommends", b.recommends},
		{"supplements", b.supplements},
	} {
		writeEntries(w, list.name, list.dependencies)
	}
	for _, f := range b.files {
		if isPrimary(f.Path) {
			writeFileElement(w, "    ", f)
		}
	}
	fmt.Fprintf(w, "  </format>\n</package>\n")
}

func writeEntries(w *bytes.Buffer, name string, list []dependency) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "    <rpm:%s>\n", name)
	for _, d := range list {
		fmt.Fprintf(w, "      <rpm:entry name=\"%s\"", esc(d.name))
		if d.evr != "" {
			epoch, version, release := splitEVR(d.evr, "")
			fmt.Fprintf(w, " flags=\"%s\" epoch=\"%d\" ver=\"%s\"", compareWord(d.flags), epoch, esc(version))
			if release != "" {
				fmt.Fprintf(w, " rel=\"%s\"", esc(release))
			}
		}
		if d.flags&sensePrimaryPre != 0 {
			w.WriteString(` pre="1"`)
		}
		w.WriteString("/>\n")
	}
	fmt.Fprintf(w, "    </rpm:%s>\n", name)
}

func compareWord(flags uint32) string {
	switch flags & (senseLess | senseGreater | senseEqual) {
	case senseLess:
		return "LT"
	case senseLess | senseEqual:
		return "LE"
	case senseGreater:
		return "GT"
	case senseGreater | senseEqual:
		return "GE"
	}
	return "EQ"
}

// isPrimary reports whether primary.xml lists the path: createrepo_c's cr_is_primary.
func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || strings.Contains(path, "bin/") || path == "/usr/lib/sendmail"
}

func writeFileElement(w *bytes.Buffer, indent string, f file) {
	typ := ""
	switch {
	case f.isDir:
		typ = ` type="dir"`
	case f.Flags&FlagGhost != 0:
		typ = ` type="ghost"`
	}
	fmt.Fprintf(w, "%s<file%s>%s</file>\n", indent, typ, esc(f.Path))
}

func (r *repo) filelistsPackage(p *Package, b *built, sum string) {
	w := &r.filelists
	epoch, version, release := p.evr()
	fmt.Fprintf(w, "<package pkgid=\"%s\" name=\"%s\" arch=\"%s\">\n", sum, esc(p.Name), esc(p.arch()))
	fmt.Fprintf(w, "  <version epoch=\"%d\" ver=\"%s\" rel=\"%s\"/>\n", epoch, esc(version), esc(release))
	for _, f := range b.files {
		writeFileElement(w, "  ", f)
	}
	w.WriteString("</package>\n")
}

// metadata is one metadata file before compression.
type metadata struct {
	name string
	open []byte
}

func (r *repo) write(count int) error {
	list := []metadata{{"primary", wrap("metadata", commonSpace, rpmSpace, count, r.primary.Bytes())}}
	if !r.options.NoFilelists {
		list = append(list, metadata{"filelists", wrap("filelists", filelistsSpace, "", count, r.filelists.Bytes())})
	}
	for _, name := range slices.Sorted(maps.Keys(r.options.Extra)) {
		list = append(list, metadata{name, r.options.Extra[name]})
	}
	revision := or(r.options.Revision, strconv.Itoa(DefaultTime))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<repomd xmlns=\"%s\" xmlns:rpm=\"%s\">\n  <revision>%s</revision>\n", xmlDeclaration, repoSpace, rpmSpace, esc(revision))
	for _, f := range list {
		if err := r.data(&b, f); err != nil {
			return err
		}
	}
	b.WriteString("</repomd>\n")
	repomd := filepath.Join(r.dir, "repodata", "repomd.xml")
	if err := writeFile(repomd, b.Bytes()); err != nil {
		return err
	}
	if r.options.Key == nil {
		return nil
	}
	signature, err := r.options.Key.SignArmored(b.Bytes())
	if err != nil {
		return err
	}
	return writeFile(repomd+".asc", signature)
}

func wrap(root, space, rpmSpace string, count int, body []byte) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<%s xmlns=\"%s\"", xmlDeclaration, root, space)
	if rpmSpace != "" {
		fmt.Fprintf(&b, " xmlns:rpm=\"%s\"", rpmSpace)
	}
	fmt.Fprintf(&b, " packages=\"%d\">\n", count)
	b.Write(body)
	fmt.Fprintf(&b, "</%s>\n", root)
	return b.Bytes()
}

// data writes one metadata file and its record.
func (r *repo) data(b *bytes.Buffer, f metadata) error {
	compressor, suffix := "none", ""
	switch c := or(r.options.Compression, "gz"); c {
	case "gz":
		compressor, suffix = "gzip", ".gz"
	case "xz":
		compressor, suffix = "xz", ".xz"
	case "zst":
		compressor, suffix = "zstd", ".zst"
	case "none":
	default:
		return fmt.Errorf("compression %q is not one of gz, xz, zst, none", c)
	}
	packed, err := compress(compressor, f.open)
	if err != nil {
		return err
	}
	sum, err := r.checksum(packed)
	if err != nil {
		return err
	}
	openSum, err := r.checksum(f.open)
	if err != nil {
		return err
	}
	extension := ".xml"
	if f.name == "modules" {
		extension = ".yaml"
	}
	location := "repodata/" + sum + "-" + f.name + extension + suffix
	fmt.Fprintf(b, "  <data type=\"%s\">\n    <checksum type=\"%s\">%s</checksum>\n", esc(f.name), r.algorithm(), sum)
	if suffix != "" {
		fmt.Fprintf(b, "    <open-checksum type=\"%s\">%s</open-checksum>\n", r.algorithm(), openSum)
	}
	fmt.Fprintf(b, "    <location href=\"%s\"/>\n    <timestamp>%d</timestamp>\n    <size>%d</size>\n", esc(location), DefaultTime, len(packed))
	if suffix != "" {
		fmt.Fprintf(b, "    <open-size>%d</open-size>\n", len(f.open))
	}
	b.WriteString("  </data>\n")
	return writeFile(filepath.Join(r.dir, location), packed)
}

func esc(s string) string {
	var b strings.Builder
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		panic(err) // a strings.Builder takes everything
	}
	return b.String()
}
