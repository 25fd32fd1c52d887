package repomd

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"slim/internal/rpm"
	"slim/internal/tooltest"
)

// repositories calls do for every repomd.xml below the shared test data.
func repositories(t *testing.T, do func(t *testing.T, path string)) {
	n := 0
	for _, name := range []string{"distro", "rpms"} {
		root := tooltest.Shared(t, name)
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "repomd.xml" {
				n++
				rel, _ := filepath.Rel(filepath.Dir(root), path)
				t.Run(rel, func(t *testing.T) { do(t, path) })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 50 {
		t.Errorf("only %d repositories", n)
	}
}

func readIndex(t *testing.T, path string) *Index {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	x, err := ParseIndex(f)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// document is the decompressed, verified file of a type.
func document(t *testing.T, repomd string, x *Index, name string) []byte {
	t.Helper()
	rec, ok := x.Record(name)
	if !ok {
		t.Skipf("skipped: no %s", name)
	}
	f, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(repomd)), rec.Location))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skipf("skipped: %s is not there", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := Open(f, rec)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		t.Skipf("skipped: the repository is wrong: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// same compares long lists, whose difference takes long to describe.
func same(t *testing.T, want, got any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		t.Errorf("(-want +got):\n%.4000s", cmp.Diff(want, got))
	}
}

// The documents as encoding/xml reads them: the oracle for what the parsers read.
type xmlEntry struct {
	Name  string `xml:"name,attr"`
	Flags string `xml:"flags,attr"`
	Epoch uint32 `xml:"epoch,attr"`
	Ver   string `xml:"ver,attr"`
	Rel   string `xml:"rel,attr"`
	Pre   string `xml:"pre,attr"`
}

type xmlVersion struct {
	Epoch uint32 `xml:"epoch,attr"`
	Ver   string `xml:"ver,attr"`
	Rel   string `xml:"rel,attr"`
}

type xmlEntries struct {
	Entries []xmlEntry `xml:"entry"`
}

type xmlPackage struct {
	Name     string     `xml:"name"`
	Arch     string     `xml:"arch"`
	Version  xmlVersion `xml:"version"`
	Checksum struct {
		Type string `xml:"type,attr"`
		Sum  string `xml:",chardata"`
	} `xml:"checksum"`
	Summary []string `xml:"summary"`
	Time    struct {
		Build int64 `xml:"build,attr"`
	} `xml:"time"`
	Size struct {
		Package   int64 `xml:"package,attr"`
		Installed int64 `xml:"installed,attr"`
	} `xml:"size"`
	Location struct {
		Href string `xml:"href,attr"`
		Base string `xml:"http://www.w3.org/XML/1998/namespace base,attr"`
	} `xml:"location"`
	Format struct {
		License   string `xml:"license"`
		Vendor    string `xml:"vendor"`
		SourceRPM string `xml:"sourcerpm"`
		Range     struct {
			End int64 `xml:"end,attr"`
		} `xml:"header-range"`
		Provides    xmlEntries `xml:"provides"`
		Requires    xmlEntries `xml:"requires"`
		Conflicts   xmlEntries `xml:"conflicts"`
		Obsoletes   xmlEntries `xml:"obsoletes"`
		Recommends  xmlEntries `xml:"recommends"`
		Suggests    xmlEntries `xml:"suggests"`
		Supplements xmlEntries `xml:"supplements"`
		Enhances    xmlEntries `xml:"enhances"`
		Files       []string   `xml:"file"`
	} `xml:"format"`
}

func (e xmlEntry) capability() rpm.Capability {
	c := rpm.Capability{Name: e.Name}
	switch e.Flags {
	case "EQ":
		c.Sense = rpm.Equal
	case "LT":
		c.Sense = rpm.Less
	case "LE":
		c.Sense = rpm.Less | rpm.Equal
	case "GT":
		c.Sense = rpm.Greater
	case "GE":
		c.Sense = rpm.Greater | rpm.Equal
	default:
		return c
	}
	c.EVR = rpm.EVR{Epoch: e.Epoch, Version: e.Ver, Release: e.Rel}
	return c
}

func (l xmlEntries) capabilities() []rpm.Capability {
	var list []rpm.Capability
	for _, e := range l.Entries {
		list = append(list, e.capability())
	}
	return list
}

func (p xmlPackage) metadata() *rpm.Metadata {
	algorithm := strings.Replace(p.Checksum.Type, "sha", "sha1", 1)
	if p.Checksum.Type != "sha" {
		algorithm = p.Checksum.Type
	}
	m := &rpm.Metadata{
		NEVRA:   rpm.NEVRA{Name: p.Name, EVR: rpm.EVR{Epoch: p.Version.Epoch, Version: p.Version.Ver, Release: p.Version.Rel}, Arch: p.Arch},
		License: p.Format.License, Vendor: p.Format.Vendor, SourceRPM: p.Format.SourceRPM,
		Location: p.Location.Href, Base: p.Location.Base, Checksum: rpm.Checksum{Algorithm: algorithm, Hex: p.Checksum.Sum},
		Size: p.Size.Package, InstalledSize: p.Size.Installed, BuildTime: p.Time.Build, HeaderEnd: p.Format.Range.End,
		Provides: p.Format.Provides.capabilities(), Conflicts: p.Format.Conflicts.capabilities(),
		Obsoletes: p.Format.Obsoletes.capabilities(), Recommends: p.Format.Recommends.capabilities(),
		Suggests: p.Format.Suggests.capabilities(), Supplements: p.Format.Supplements.capabilities(),
		Enhances: p.Format.Enhances.capabilities(), Files: p.Format.Files,
	}
	if len(p.Summary) > 0 {
		m.Summary = p.Summary[0]
	}
	for _, e := range p.Format.Requires.Entries {
		m.Requires = append(m.Requires, rpm.Requirement{Capability: e.capability(), Pre: e.Pre == "1"})
	}
	return m
}

func TestPrimaryOfRepositories(t *testing.T) {
	total := 0
	repositories(t, func(t *testing.T, path string) {
		data := document(t, path, readIndex(t, path), "primary")
		var got, want []*rpm.Metadata
		err := ParsePrimary(bytes.NewReader(data), func(m *rpm.Metadata) error { got = append(got, m); return nil })
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Packages []xmlPackage `xml:"package"`
		}
		if err := xml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, p := range doc.Packages {
			want = append(want, p.metadata())
		}
		same(t, want, got)
		total += len(got)
	})
	if total < 3000 {
		t.Errorf("only %d packages", total)
	}
}

func TestFilelistsOfRepositories(t *testing.T) {
	type entry struct {
		ID    string
		N     rpm.NEVRA
		Files []string
	}
	total := 0
	repositories(t, func(t *testing.T, path string) {
		data := document(t, path, readIndex(t, path), "filelists")
		var got, want []entry
		err := ParseFilelists(bytes.NewReader(data), func(id string, n rpm.NEVRA, files []string) error {
			got = append(got, entry{id, n, append([]string(nil), files...)})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Packages []struct {
				ID      string     `xml:"pkgid,attr"`
				Name    string     `xml:"name,attr"`
				Arch    string     `xml:"arch,attr"`
				Version xmlVersion `xml:"version"`
				Files   []string   `xml:"file"`
			} `xml:"package"`
		}
		if err := xml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, p := range doc.Packages {
			evr := rpm.EVR{Epoch: p.Version.Epoch, Version: p.Version.Ver, Release: p.Version.Rel}
			want = append(want, entry{p.ID, rpm.NEVRA{Name: p.Name, EVR: evr, Arch: p.Arch}, p.Files})
			total += len(p.Files)
		}
		same(t, want, got)
	})
	if total < 50_000 {
		t.Errorf("only %d files", total)
	}
}

func TestUpdateInfoOfRepositories(t *testing.T) {
	total := 0
	repositories(t, func(t *testing.T, path string) {
		data := document(t, path, readIndex(t, path), "updateinfo")
		type wanted struct {
			ID, Type, Severity, Title, Issued string
			References                        []Reference
			Packages                          []rpm.NEVRA
		}
		var got, want []wanted
		err := ParseUpdateInfo(bytes.NewReader(data), func(a Advisory) error {
			got = append(got, wanted{a.ID, a.Type, a.Severity, a.Title, a.Issued, a.References, a.Packages})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Updates []struct {
				Type     string `xml:"type,attr"`
				ID       string `xml:"id"`
				Severity string `xml:"severity"`
				Title    string `xml:"title"`
				Issued   struct {
					Date string `xml:"date,attr"`
				} `xml:"issued"`
				References []struct {
					Type  string `xml:"type,attr"`
					ID    string `xml:"id,attr"`
					Title string `xml:"title,attr"`
					URL   string `xml:"href,attr"`
				} `xml:"references>reference"`
				Packages []struct {
					Name    string `xml:"name,attr"`
					Epoch   string `xml:"epoch,attr"`
					Version string `xml:"version,attr"`
					Release string `xml:"release,attr"`
					Arch    string `xml:"arch,attr"`
				} `xml:"pkglist>collection>package"`
			} `xml:"update"`
		}
		if err := xml.Unmarshal(data, &doc); err != nil {
			t.Fatal(err)
		}
		for _, u := range doc.Updates {
			w := wanted{ID: u.ID, Type: u.Type, Severity: u.Severity, Title: u.Title, Issued: u.Issued.Date}
			for _, r := range u.References {
				w.References = append(w.References, Reference(r))
			}
			for _, p := range u.Packages {
				evr := rpm.EVR{Version: p.Version, Release: p.Release}
				fmt.Sscan(p.Epoch, &evr.Epoch)
				w.Packages = append(w.Packages, rpm.NEVRA{Name: p.Name, EVR: evr, Arch: p.Arch})
			}
			want = append(want, w)
		}
		total += len(got)
		same(t, want, got)
	})
	if total < 20 {
		t.Errorf("only %d advisories", total)
	}
}

// What dnf says about every package of two distributions.
func TestPrimaryLikeDnf(t *testing.T) {
	dnf := tooltest.Path(t, "dnf")
	for _, repository := range []string{"distro/2", "rpms/osbuild+images/test/data/testrepo"} {
		t.Run(repository, func(t *testing.T) {
			dir := tooltest.Shared(t, repository)
			root := t.TempDir()
			const format = "@%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{size}|%{installsize}|%{sourcerpm}|%{license}|%{vendor}|%{location}|%{summary}\n" +
				"#P\n%{provides}\n#R\n%{requires}\n#C\n%{conflicts}\n#O\n%{obsoletes}\n#M\n%{recommends}\n#S\n%{suggests}\n#U\n%{supplements}\n#E\n%{enhances}"
			cmd := exec.Command(dnf, "-q", "--installroot="+root, "--releasever=1", "--setopt=reposdir=/nonexistent",
				"--setopt=cachedir="+root+"/cache", "--setopt=logdir="+root, "--repofrompath=x,file://"+dir, "--repo=x", "repoquery", "--qf", format)
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "HOME="+root)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string][]string{}
			key, list := "", ""
			for line := range strings.Lines(string(out)) {
				line = strings.TrimSuffix(line, "\n")
				switch {
				case line == "":
				case line[0] == '@':
					key = line[1:]
					want[key] = nil
				case line[0] == '#':
					list = line[1:]
				default:
					want[key] = append(want[key], list+" "+line)
				}
			}
			got := map[string][]string{}
			path := filepath.Join(dir, "repodata", "repomd.xml")
			data := document(t, path, readIndex(t, path), "primary")
			err = ParsePrimary(bytes.NewReader(data), func(m *rpm.Metadata) error {
				if m.Arch == "src" {
					return nil
				}
				key := strings.Join([]string{
					m.Name, fmt.Sprint(m.Epoch), m.Version, m.Release, m.Arch, fmt.Sprint(m.Size),
					fmt.Sprint(m.InstalledSize), m.SourceRPM, m.License, m.Vendor, m.Location, m.Summary,
				}, "|")
				got[key] = nil
				for _, r := range m.Requires {
					if !strings.HasPrefix(r.Name, "rpmlib(") { // which libsolv drops
						got[key] = append(got[key], "R "+r.String())
					}
				}
				// libsolv leaves out parentheses around a single word.
				for i, c := range m.Supplements {
					if r, err := rpm.ParseRich(c.Name); c.IsRich() && err == nil {
						m.Supplements[i].Name = r.String()
					}
				}
				for name, l := range map[string][]rpm.Capability{
					"P": m.Provides, "C": m.Conflicts, "O": m.Obsoletes,
					"M": m.Recommends, "S": m.Suggests, "U": m.Supplements, "E": m.Enhances,
				} {
					for _, c := range l {
						got[key] = append(got[key], name+" "+c.String())
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range []map[string][]string{want, got} {
				for key, l := range m {
					slices.Sort(l)
					m[key] = slices.Compact(l)
				}
			}
			if len(want) < 150 {
				t.Errorf("dnf knows only %d packages", len(want))
			}
			same(t, want, got)
		})
	}
}

const goodPackage = `<package type="rpm"><name>n</name><arch>noarch</arch><version epoch="1" ver="2" rel="3"/>` +
	`<checksum type="sha1" pkgid="YES">0123456789012345678901234567890123456789</checksum><summary>s</summary>` +
	`<time file="5" build="6"/><size package="7" installed="8" archive="9"/><location href="a b.rpm"/><format>` +
	`<rpm:requires><rpm:entry name="r" flags="GE" epoch="0" ver="1" pre="1"/></rpm:requires><file type="dir">/etc/x</file></format></package>`

func primaryOf(s string) string {
	return `<metadata xmlns="c" xmlns:rpm="r" packages="1">` + s + `</metadata>`
}

func parsePrimary(s string) ([]*rpm.Metadata, error) {
	var list []*rpm.Metadata
	err := ParsePrimary(strings.NewReader(s), func(m *rpm.Metadata) error { list = append(list, m); return nil })
	return list, err
}

func TestBadPrimary(t *testing.T) {
	if list, err := parsePrimary(primaryOf(goodPackage)); err != nil || len(list) != 1 || !list[0].Requires[0].Pre {
		t.Fatalf("%v, %v", list, err)
	}
	for _, test := range []struct{ old, new, words string }{
		{`<name>n</name>`, ``, "package 1 () has no <name>"},
		{`<name>n</name>`, `<name>a/b</name>`, `in <package>: "a/b" is not a name`},
		{`<name>n</name>`, "<name>a\nb</name>", "is not a name"},
		{`<name>n</name>`, `<name>n</name><name>n</name>`, "second <name>"},
		{`<arch>noarch</arch>`, ``, "package 1 (n) has no <arch>"},
		{`<version epoch="1" ver="2" rel="3"/>`, ``, "package 1 (n) has no <version>"},
		{`epoch="1" ver="2"`, `epoch="x" ver="2"`, `in <version>: <version>: epoch "x" is not a number`},
		{`ver="2"`, `ver="2-1"`, "a hyphen"},
		{`ver="2" rel="3"`, `ver="2"`, "is not a release"},
		{`pkgid="YES">0`, `pkgid="YES">g`, "<checksum>"},
		{`type="sha1"`, `type="md5"`, `<checksum>: checksum algorithm "md5"`},
		{`<checksum type="sha1" pkgid="YES">0123456789012345678901234567890123456789</checksum>`, ``, "package 1 (n) has no <checksum>"},
		{`<location href="a b.rpm"/>`, ``, "package 1 (n) has no <location>"},
		{`a b.rpm`, `../x.rpm`, `in <location>: <location>: location "../x.rpm" climbs out`},
		{`a b.rpm`, `/x.rpm`, "is absolute"},
		{`package="7"`, `package="-7"`, `<size>: "-7" is not a number`},
		{`build="6"`, `build="x"`, `<time>: "x" is not a number`},
		{`flags="GE"`, `flags="XX"`, `<entry> r: "XX" is not a comparison`},
		{`name="r"`, `name=""`, `<entry>: "" is not a name`},
		{`</metadata>`, ``, "ends within"},
		{`</metadata>`, `</metadata><metadata/>`, "second root"},
		{`<metadata `, `<!DOCTYPE m><metadata `, "document type"},
		{`<metadata xmlns="c"`, `<packages xmlns="c"`, "root element is <packages>"},
	} {
		doc := strings.Replace(primaryOf(goodPackage), test.old, test.new, 1)
		if _, err := parsePrimary(doc); err == nil || !strings.Contains(err.Error(), test.words) || !strings.HasPrefix(err.Error(), "reading primary: ") {
			t.Errorf("%s for %s: error %v, want %q", test.new, test.old, err, test.words)
		}
	}
	stop := errors.New("enough")
	err := ParsePrimary(strings.NewReader(primaryOf(goodPackage)), func(*rpm.Metadata) error { return stop })
	if err != stop {
		t.Errorf("error %v", err)
	}
}

func TestPrimaryLimits(t *testing.T) {
	many := primaryOf(strings.Replace(goodPackage, `<rpm:entry `, strings.Repeat(`<rpm:entry name="x"/>`, MaxList)+`<rpm:entry `, 1))
	if _, err := parsePrimary(many); err == nil || !strings.Contains(err.Error(), "more than 262144 entries") {
		t.Errorf("error %v", err)
	}
	long := primaryOf(strings.Replace(goodPackage, `name="r"`, `name="`+strings.Repeat("r", MaxString+1)+`"`, 1))
	if _, err := parsePrimary(long); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("error %v", err)
	}
	long = primaryOf(strings.Replace(goodPackage, `>s<`, `>`+strings.Repeat("s", MaxString+1)+`<`, 1))
	if _, err := parsePrimary(long); err == nil || !strings.Contains(err.Error(), "in <summary>: more than 65536 bytes") {
		t.Errorf("error %v", err)
	}
}

// The documents that createrepo_c's and librepo's own tests call broken.
func TestBrokenDocuments(t *testing.T) {
	createrepo := tooltest.Shared(t, "rpms", "rpm-software-management+createrepo_c", "tests", "testdata", "modified_repo_files")
	librepo := tooltest.Shared(t, "rpms", "rpm-software-management+librepo", "tests", "test_data")
	primary := func(r io.Reader) error { return ParsePrimary(r, func(*rpm.Metadata) error { return nil }) }
	filelists := func(r io.Reader) error {
		return ParseFilelists(r, func(string, rpm.NEVRA, []string) error { return nil })
	}
	index := func(r io.Reader) error { _, err := ParseIndex(r); return err }
	metalink := func(r io.Reader) error { _, err := ParseMetalink(r); return err }
	mirrors := func(r io.Reader) error { _, err := ParseMirrorList(r); return err }
	for _, test := range []struct {
		path  string
		parse func(io.Reader) error
		words string // "": fine
	}{
		{createrepo + "/error_00-primary.xml", primary, "package 1 (fake_bash) has no <checksum>"},
		{createrepo + "/error_00-filelists.xml", filelists, "package 1 has no pkgid"},
		{createrepo + "/multiple_warnings_00-filelists.xml", filelists, `in <package>: "" is not an architecture`},
		{createrepo + "/missing_type-repomd.xml", index, "a <data> has no type"},
		{createrepo + "/bad_file_type-filelists.xml", filelists, ""},
		{createrepo + "/unknown_element_01-primary.xml", primary, ""},
		{createrepo + "/unknown_element_02-primary.xml", primary, ""},
		{createrepo + "/unknown_element_01-filelists.xml", filelists, ""},
		{createrepo + "/repo_01_ampersand-primary.xml", primary, ""},
		{librepo + "/metalinks/metalink_bad_01", metalink, `in <file>: <timestamp>: "foo" is not a number`},
		{librepo + "/metalinks/metalink_bad_02", metalink, "no <url> of repomd.xml"},
		{librepo + "/metalinks/metalink_good_03", metalink, "no <url> of repomd.xml"},
		{librepo + "/metalinks/metalink_really_bad_01", metalink, "no <file> with the name repomd.xml"},
		{librepo + "/metalinks/metalink_really_bad_02", metalink, "ends within"},
		{librepo + "/metalinks/metalink_really_bad_03", metalink, "no <file> with the name repomd.xml"},
		{librepo + "/metalinks/metalink_good_01", metalink, ""},
		{librepo + "/mirrorlists/mirrorlist_02", mirrors, "no http or https address"},
		{librepo + "/mirrorlists/mirrorlist_03", mirrors, "no http or https address"},
		{librepo + "/metalink.xml", mirrors, "line 1: "},
	} {
		data, err := os.ReadFile(test.path)
		if err != nil {
			t.Error(err)
			continue
		}
		err = test.parse(bytes.NewReader(data))
		if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: error %v, want %q", filepath.Base(test.path), err, test.words)
		}
	}
}

const sum = "0123456789012345678901234567890123456789"

func indexOf(data string) string {
	return `<?xml version="1.0"?><repomd><revision>7</revision>` + data + `</repomd>`
}

func TestIndex(t *testing.T) {
	got, err := ParseIndex(strings.NewReader(indexOf(`<data type="primary"><checksum type="sha">` + strings.ToUpper(sum) +
		`</checksum><open-checksum type="sha1"> ` + sum + ` </open-checksum><location xml:base="http://h/" href="repodata/p.xml.gz"/>` +
		`<timestamp>12.5</timestamp><size>3</size><open-size>4</open-size></data>` +
		`<data type="other"><location href="o"/><checksum type="sha1">` + sum + `</checksum></data>`)))
	if err != nil {
		t.Fatal(err)
	}
	sha1 := rpm.Checksum{Algorithm: "sha1", Hex: sum}
	want := &Index{Revision: "7", Records: []Record{
		{Type: "primary", Location: "repodata/p.xml.gz", Base: "http://h/", Checksum: sha1, OpenChecksum: sha1, Size: 3, OpenSize: 4, Timestamp: 12},
		{Type: "other", Location: "o", Checksum: sha1},
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r, ok := got.Record("primary_zck", "other", "primary"); !ok || r.Type != "other" {
		t.Errorf("Record = %v, %v", r, ok)
	}
	if _, ok := got.Record("filelists"); ok {
		t.Error("a record that is not there")
	}
	for _, test := range []struct{ data, words string }{
		{`<data><location href="o"/></data>`, "no type"},
		{`<data type="x"><checksum type="sha1">` + sum + `</checksum></data>`, `type "x" has no <location>`},
		{`<data type="x"><location href="o"/></data>`, `type "x" has no <checksum>`},
		{`<data type="x"><size>many</size></data>`, `<size>: "many"`},
		{`<data type="x"><location href="../o"/></data>`, "climbs out"},
		{`<data type="x"><location href="a/%2e%2E/%2e./o"/></data>`, "climbs out"},
		{`<data type="x"><location href="/etc/passwd"/></data>`, "absolute"},
		{`<data type="x"><location href="%2fetc/passwd"/></data>`, "absolute"},
		{`<data type="x"><location href="file:///etc/passwd"/></data>`, "is a URL"},
		{`<data type="x"><location href="a\..\b"/></data>`, "backslash"},
		{`<data type="x"><location href="a&#10;b"/></data>`, "control"},
		{strings.Repeat("<x/>", MaxIndexSize/4), "longer"},
	} {
		if _, err := ParseIndex(strings.NewReader(indexOf(test.data))); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%.80s: error %v, want %q", test.data, err, test.words)
		}
	}
}

func TestJoin(t *testing.T) {
	for _, test := range []struct{ repository, base, location, want string }{
		{"https://h/r", "", "Packages/a-1~b^c+d.rpm", "https://h/r/Packages/a-1~b%5Ec+d.rpm"},
		{"https://h/r/", "", "a b#c?d%41%4.rpm", "https://h/r/a%20b%23c%3Fd%41%254.rpm"},
		{"https://h/r/?token=x/", "", "a", "https://h/r/a?token=x/"},
		{"https://h/r", "http://other/x/", "a", "http://other/x/a"},
		{"/srv/r r/", "", "a b%41", "/srv/r r/a b%41"},
		{"file:///srv", "", "a b", "file:///srv/a%20b"},
	} {
		if got := Join(test.repository, test.base, test.location); got != test.want {
			t.Errorf("Join(%q, %q, %q) = %q, want %q", test.repository, test.base, test.location, got, test.want)
		}
	}
}

// packed is data in every compression.
func packed(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	pack := func(open func(io.Writer) (io.WriteCloser, error)) []byte {
		var b bytes.Buffer
		w, err := open(&b)
		if err == nil {
			_, err = w.Write(data)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	return map[string][]byte{
		"none": data,
		"gzip": pack(func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }),
		"zstd": pack(func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"xz":   pack(func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
	}
}

func TestOpen(t *testing.T) {
	data := []byte(strings.Repeat("some metadata\n", 20_000))
	h := rpm.Checksum{Algorithm: "sha256"}.NewHash()
	h.Write(data)
	sha256 := rpm.Checksum{Algorithm: "sha256", Hex: fmt.Sprintf("%x", h.Sum(nil))}
	other := rpm.Checksum{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	size := int64(len(data))
	read := func(b []byte, rec Record) (int, error) {
		rec.Type = "primary"
		r, err := Open(bytes.NewReader(b), rec)
		if err != nil {
			return 0, err
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err == nil && !bytes.Equal(got, data) {
			t.Errorf("%d other bytes", len(got))
		}
		return len(got), err
	}
	for name, b := range packed(t, data) {
		for _, rec := range []Record{{}, {OpenChecksum: sha256, OpenSize: size}, {OpenChecksum: sha256}, {OpenSize: size}} {
			if _, err := read(b, rec); err != nil {
				t.Errorf("%s, %+v: %v", name, rec, err)
			}
		}
		var mismatch *MismatchError
		for _, rec := range []Record{{OpenChecksum: other}, {OpenSize: size + 1}, {OpenSize: size - 1}, {OpenSize: 1}} {
			n, err := read(b, rec)
			if !errors.As(err, &mismatch) || mismatch.What != "primary" {
				t.Errorf("%s, %+v: error %v", name, rec, err)
			}
			if rec.OpenSize > 0 && int64(n) > rec.OpenSize {
				t.Errorf("%s: %d bytes of %d before the error", name, n, rec.OpenSize)
			}
		}
		if _, err := read(b[:len(b)-len(b)/3], Record{OpenChecksum: sha256}); err == nil {
			t.Errorf("%s: no error for what is cut off", name)
		}
		if _, err := read(append(append([]byte(nil), b...), "garbage"...), Record{OpenChecksum: sha256}); err == nil {
			t.Errorf("%s: no error for garbage at the end", name)
		}
	}
	// What is not compressed is checked by the checksum of the file.
	if _, err := read(data, Record{Checksum: other}); err == nil {
		t.Error("no error for a wrong checksum of a plain file")
	}
	if _, err := read(data, Record{Checksum: sha256, Size: size}); err != nil {
		t.Error(err)
	}
	if _, err := read([]byte("\x00ZCK1..."), Record{}); err == nil || !strings.Contains(err.Error(), "zchunk") {
		t.Errorf("error %v", err)
	}
	if _, err := read(nil, Record{OpenSize: 5}); err == nil {
		t.Error("no error for an empty file")
	}
	if _, err := read(data, Record{OpenSize: MaxOpenSize + 1}); err == nil {
		t.Error("no error for a huge size")
	}
}

func TestMetalink(t *testing.T) {
	dir := tooltest.Shared(t, "rpms", "rpm-software-management+librepo", "tests", "test_data", "metalinks")
	data, err := os.ReadFile(filepath.Join(dir, "metalink_with_alternates"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMetalink(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	last := m.Mirrors[0].Preference
	for _, mirror := range m.Mirrors {
		if mirror.Preference > last {
			t.Errorf("%d after %d", mirror.Preference, last)
		}
		last = mirror.Preference
		if !strings.HasPrefix(mirror.URL, "http") || !strings.HasSuffix(mirror.URL, "repodata/repomd.xml") {
			t.Errorf("mirror %q", mirror.URL)
		}
	}
	first := Mirror{
		URL:        "http://www.mirrorservice.org/sites/dl.fedoraproject.org/pub/fedora/linux/updates/19/x86_64/repodata/repomd.xml",
		Preference: 99, Location: "GB",
	}
	if d := cmp.Diff(first, m.Mirrors[0]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if r := m.Mirrors[0].Repository(); r != "http://www.mirrorservice.org/sites/dl.fedoraproject.org/pub/fedora/linux/updates/19/x86_64/" {
		t.Errorf("repository %q", r)
	}
	if len(m.Versions) != 2 || m.Versions[0].Size != 4761 || m.Versions[0].Timestamp != 1381706941 {
		t.Fatalf("versions %+v", m.Versions)
	}
	var algorithms []string
	for _, c := range m.Versions[1].Checksums {
		algorithms = append(algorithms, c.Algorithm)
	}
	if d := cmp.Diff([]string{"sha512", "sha256", "sha1"}, algorithms); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var mismatch *MismatchError
	if err := m.Check([]byte("x")); !errors.As(err, &mismatch) {
		t.Errorf("error %v", err)
	}
	data = []byte("<repomd/>")
	h := rpm.Checksum{Algorithm: "sha512"}.NewHash()
	h.Write(data)
	m.Versions[1].Size = int64(len(data))
	m.Versions[1].Checksums[0].Hex = fmt.Sprintf("%x", h.Sum(nil))
	if err := m.Check(data); err != nil {
		t.Error(err)
	}
	m.Versions[1].Size++
	if err := m.Check(data); err == nil {
		t.Error("no error for a wrong size")
	}
}

func TestMirrorList(t *testing.T) {
	got, err := ParseMirrorList(strings.NewReader("# c\r\n\r\n http://a/$basearch/ \nftp://b/\nhttps://c\nfile:///d\n#http://e"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"http://a/$basearch/", "https://c", "file:///d"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, bad := range []string{"", "x", "<html>http://a</html>", "http://a b/", strings.Repeat("#\n", MaxIndexSize)} {
		if _, err := ParseMirrorList(strings.NewReader(bad)); err == nil {
			t.Errorf("no error for %.20q", bad)
		}
	}
}

func TestRepoFile(t *testing.T) {
	got, err := ParseRepoFile(strings.NewReader("\ufeff# c\n[main]\ngpgcheck=0\n\n[a-$basearch]\nname = A = 1\nbaseurl=http://x/$releasever/,http://y\n" +
		"  http://z\n\thttp://w  \n; c\ngpgkey = file:///k1 https://k2\ngpgcheck=yes\nrepo_gpgcheck=False\nenabled=0\nsslverify=1\r\n" +
		"[b]\nmetalink=https://m?repo=x&arch=$basearch\nmirrorlist=https://l\nname=1\nname=2\n"))
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	want := []RepoSection{
		{
			ID: "a-$basearch", Line: 5, Name: "A = 1", BaseURL: []string{"http://x/$releasever/", "http://y", "http://z", "http://w"},
			GPGKey: []string{"file:///k1", "https://k2"}, GPGCheck: &yes, RepoGPGCheck: &no,
		},
		{ID: "b", Line: 16, Name: "2", Metalink: "https://m?repo=x&arch=$basearch", MirrorList: "https://l", Enabled: true},
	}
	if v := got[0].Options["sslverify"]; v != "1" {
		t.Errorf("sslverify %q", v)
	}
	for i := range got {
		got[i].Options = nil
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, test := range []struct{ doc, words string }{
		{"name=x", `line 1: "name=x" stands before`},
		{"[a]\nname", `line 2: "name" is not option=value`},
		{"[a]\n=x", "line 2"},
		{"[a\n", "has no ]"},
		{"[]\n", "is not [section]"},
		{"[a] b\n", "is not [section]"},
		{"[a]\n[b]\n[a]\n", "line 3: section [a] is in line 1 already"},
		{"[a]\n  x\n", "continues no option"},
		{"[a]\nenabled=maybe\n", `line 1: [a]: enabled = "maybe" is neither`},
		{"[a]\ngpgcheck=\n", "gpgcheck"},
		{"[a]\nx=\n" + strings.Repeat(" y\n", MaxString), "more than 65536 bytes"},
	} {
		if _, err := ParseRepoFile(strings.NewReader(test.doc)); err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%.40q: error %v, want %q", test.doc, err, test.words)
		}
	}
}

func TestRepoFilesOfDistributions(t *testing.T) {
	n := 0
	root := tooltest.Shared(t, "rpms")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".repo") || d.Name() == "media.repo" {
			return err // the installer's own
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.HasPrefix(data, []byte("=Ver")) {
			return nil // libsolv's own
		}
		list, err := ParseRepoFile(bytes.NewReader(data))
		if err != nil || len(list) == 0 {
			t.Errorf("%s: %d sections, error %v", path, len(list), err)
		}
		for _, s := range list {
			if len(s.BaseURL) == 0 && s.Metalink == "" && s.MirrorList == "" {
				t.Errorf("%s: [%s] says no place", path, s.ID)
			}
		}
		n += len(list)
		return nil
	})
	if err != nil || n < 30 {
		t.Errorf("%d sections, error %v", n, err)
	}
}

func TestBadUpdateInfo(t *testing.T) {
	const good = `<updates><update type="security"><id>A-1</id><references><reference type="cve" id="CVE-1"/><reference type="self" id="x"/>` +
		`</references><pkglist><collection><package name="n" version="1" release="2" epoch="3" arch="noarch"/></collection></pkglist></update></updates>`
	var got []Advisory
	add := func(a Advisory) error { got = append(got, a); return nil }
	if err := ParseUpdateInfo(strings.NewReader(good), add); err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if d := cmp.Diff([]string{"CVE-1"}, got[0].CVEs()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if s := got[0].Packages[0].String(); s != "n-3:1-2.noarch" {
		t.Errorf("package %s", s)
	}
	for _, test := range []struct{ old, new, words string }{
		{"<id>A-1</id>", "", "<update> 1:"},
		{`name="n"`, ``, `"" is not a name`},
		{`version="1"`, ``, `"" is not a version`},
		{`epoch="3"`, `epoch="-1"`, `epoch "-1"`},
		{`</update>`, ``, "closes nothing"},
	} {
		err := ParseUpdateInfo(strings.NewReader(strings.Replace(good, test.old, test.new, 1)), add)
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: error %v, want %q", test.new, err, test.words)
		}
	}
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(indexOf(`<data type="x"><location href="o"/><checksum type="sha1">` + sum + `</checksum></data>`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseIndex(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, r := range x.Records {
			if filepath.IsAbs(r.Location) || !filepath.IsLocal(r.Location) || r.Checksum.IsZero() || r.Type == "" || r.Size < 0 {
				t.Errorf("%+v", r)
			}
		}
	})
}

func FuzzPrimary(f *testing.F) {
	f.Add([]byte(primaryOf(goodPackage)))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = ParsePrimary(bytes.NewReader(b), func(m *rpm.Metadata) error {
			if m.Name == "" || m.Version == "" || m.Release == "" || m.Arch == "" || !filepath.IsLocal(m.Location) || m.Checksum.IsZero() {
				t.Errorf("%+v", m)
			}
			if n, err := rpm.ParseNEVRA(m.NEVRA.String()); err == nil && n.String() != m.NEVRA.String() {
				t.Errorf("%v reads as %v", m.NEVRA, n)
			}
			return nil
		})
	})
}

func FuzzFilelists(f *testing.F) {
	f.Add([]byte(`<filelists><package pkgid="1" name="n" arch="a"><version ver="1" rel="2"/><file>/a</file><file/></package></filelists>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = ParseFilelists(bytes.NewReader(b), func(id string, n rpm.NEVRA, files []string) error {
			if id == "" || n.Name == "" || len(strings.Join(files, "")) > len(b) {
				t.Errorf("%q %v %q", id, n, files)
			}
			return nil
		})
	})
}

func FuzzUpdateInfo(f *testing.F) {
	f.Add([]byte(`<updates><update type="t"><id>A</id><references><reference id="x"/></references><pkglist><collection>` +
		`<package name="n" version="1" release="2" arch="a"/></collection></pkglist></update></updates>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = ParseUpdateInfo(bytes.NewReader(b), func(a Advisory) error {
			if a.ID == "" {
				t.Error("no id")
			}
			return nil
		})
	})
}

func FuzzMetalink(f *testing.F) {
	f.Add([]byte(`<metalink><files><file name="repomd.xml"><size>1</size><verification><hash type="sha1">` + sum +
		`</hash></verification><resources><url preference="1">http://h/repodata/repomd.xml</url></resources></file></files></metalink>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMetalink(bytes.NewReader(b)); err == nil {
			if len(m.Mirrors) == 0 {
				t.Error("no mirrors")
			}
			_ = m.Check(b)
		}
	})
}

func FuzzMirrorList(f *testing.F) {
	f.Add([]byte("# c\nhttp://h/\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if list, err := ParseMirrorList(bytes.NewReader(b)); err == nil && len(list) == 0 {
			t.Error("no mirrors")
		}
	})
}

func FuzzRepoFile(f *testing.F) {
	f.Add([]byte("[a]\nname=x\n y\nenabled=1\n[main]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseRepoFile(bytes.NewReader(b))
		if err != nil {
			return
		}
		for _, s := range list {
			if s.ID == "" || s.ID == "main" || s.Line == 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func FuzzOpen(f *testing.F) {
	for _, b := range packed(f, []byte("hello, metadata")) {
		f.Add(b)
	}
	f.Add([]byte("BZh91AY&SY\x19\x31\x65\x3d\x00\x00\x00\x81\x00\x02\x44\xa0\x00\x21\x9a\x68\x33\x4d\x07\x33\x8b\xb9\x22\x9c\x28\x48\x0c\x98\xb2\x9e\x80"))
	const most = 1 << 20
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Open(bytes.NewReader(b), Record{Type: "x", OpenSize: most})
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		if n > most || err == nil && n != most {
			t.Errorf("%d bytes, error %v", n, err)
		}
	})
}

// large is a primary.xml of at least the given size, of the packages of a real distribution.
func large(b *testing.B, size int) []byte {
	path := filepath.Join(tooltest.Shared(b, "rpms", "osbuild+images", "test", "data", "testrepo"), "repodata", "repomd.xml")
	f, err := os.Open(path)
	if err != nil {
		b.Skip("skipped: needs ../shared")
	}
	defer f.Close()
	x, err := ParseIndex(f)
	if err != nil {
		b.Fatal(err)
	}
	rec, _ := x.Record("primary")
	p, err := os.Open(filepath.Join(filepath.Dir(filepath.Dir(path)), rec.Location))
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	r, err := Open(p, rec)
	if err != nil {
		b.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		b.Fatal(err)
	}
	from, to := bytes.Index(data, []byte("<package ")), bytes.LastIndex(data, []byte("</metadata>"))
	doc := append([]byte(nil), data[:from]...)
	for len(doc) < size {
		doc = append(doc, data[from:to]...)
	}
	return append(doc, data[to:]...)
}

func BenchmarkPrimary(b *testing.B) {
	doc := large(b, 20<<20)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if err := ParsePrimary(bytes.NewReader(doc), func(*rpm.Metadata) error { n++; return nil }); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
}

// The tokens of the same document by encoding/xml, for comparison.
func BenchmarkStandardTokens(b *testing.B) {
	doc := large(b, 20<<20)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		d := xml.NewDecoder(bytes.NewReader(doc))
		for {
			if _, err := d.RawToken(); err != nil {
				break
			}
		}
	}
}
