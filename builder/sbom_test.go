package builder

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/package-url/packageurl-go"

	"slim/internal/tooltest"
)

// TestSBOM compares both bills of materials of an image with what rpm says of its packages and files.
func TestSBOM(t *testing.T) {
	tooltest.Need(t, "rpm")
	root := t.TempDir()
	deliver(t, buildRecipe(t, sharedRecipe(t, []string{"bash", "openssl", "httpd"}, ""), Options{}), "dir:"+root)
	dbpath := root + "/usr/lib/sysimage/rpm"
	var want []string
	for line := range strings.Lines(tooltest.Run(t, nil, "rpm", "--dbpath", dbpath, "-qa", "--qf", `%{NAME} %{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM} %|EPOCH?{%{EPOCH}}:{}|\n`)) {
		want = append(want, strings.TrimSpace(line))
	}
	digests := map[string]string{}
	for line := range strings.Lines(tooltest.Run(t, nil, "rpm", "--dbpath", dbpath, "-qa", "--dump")) {
		if f := strings.Fields(line); len(f) == 11 && len(f[3]) == 64 && strings.Trim(f[3], "0") != "" {
			digests[f[0]] = f[3]
		}
	}
	for _, format := range []SBOMFormat{SPDX, CycloneDX} {
		packages, files := readBill(t, root, format)
		if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(packages))); d != "" {
			t.Errorf("%s: %s", format, d)
		}
		compared := 0
		for p, sum := range files {
			if digests[p] == "" { // a ghost that is there
				continue
			}
			if compared++; digests[p] != sum && !strings.HasPrefix(p, "/etc/") {
				t.Errorf("%s: %s has the SHA-256 %s, which rpm knows as %s", format, p, sum, digests[p])
			}
		}
		if compared < 300 {
			t.Errorf("%s: %d files of packages", format, compared)
		}
	}
}

// readBill are the packages of a document by their package URLs, as rpm's query above names them, and its files.
func readBill(t *testing.T, root string, format SBOMFormat) (packages []string, files map[string]string) {
	t.Helper()
	doc, err := SBOM(context.Background(), "dir:"+root, SBOMOptions{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	type component struct {
		Name, PURL string
		Hashes     []struct{ Alg, Content string }
		Components []component
	}
	var read struct {
		Packages []struct {
			ExternalRefs []struct{ ReferenceLocator string }
		}
		Files []struct {
			FileName  string
			Checksums []struct{ Algorithm, ChecksumValue string }
		}
		Components []component
	}
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	add := func(purl string) {
		u, err := packageurl.FromString(purl)
		if err != nil || u.Type != "rpm" || u.Namespace != "slimtest" {
			t.Errorf("%s: %v", purl, err)
		}
		q := u.Qualifiers.Map()
		packages = append(packages, strings.TrimSpace(strings.Join([]string{u.Name, u.Version, q["arch"], q["upstream"], q["epoch"]}, " ")))
	}
	for _, p := range read.Packages {
		for _, r := range p.ExternalRefs {
			add(r.ReferenceLocator)
		}
	}
	for _, f := range read.Files {
		files[strings.TrimPrefix(f.FileName, ".")] = f.Checksums[1].ChecksumValue
	}
	for _, c := range read.Components {
		if c.PURL != "" {
			add(c.PURL)
		}
		for _, f := range c.Components {
			files[f.Name] = f.Hashes[1].Content
		}
	}
	return packages, files
}
