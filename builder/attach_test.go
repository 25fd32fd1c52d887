package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/package-url/packageurl-go"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"slim/internal/tooltest"
)

// mirroredRecipe is one whose repository has an address with a password in it, and is read from a mirror.
func mirroredRecipe(t *testing.T, packages string) *Recipe {
	t.Helper()
	shared := tooltest.Shared(t)
	text := fmt.Sprintf(`name: attached
repository:
  name: slimtest
  baseurl: https://alice:s3cret@mirror.example/$component/os?token=s3cret
  components: [BaseOS, AppStream]
  releasever: "1"
  gpgkey: [%s/distro/RPM-GPG-KEY-slimtest]
platforms: [linux/amd64]
packages: [%s]
`, shared, packages)
	file := filepath.Join(t.TempDir(), "attached.yaml")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe(file, RecipeOptions{Set: []Setting{{"repository.baseurl", shared + "/distro/$releasever/$component/x86_64/os"}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAttachedBills reads the bills of materials of a built image by the libraries of their makers, and compares their
// packages with the files in the repository.
func TestAttachedBills(t *testing.T) {
	img := buildRecipe(t, mirroredRecipe(t, "zlib"), Options{})
	attached, err := img.Attachments(context.Background(), AttachOptions{SBOMs: []SBOMFormat{SPDX, CycloneDX}}, Options{})
	if err != nil || len(attached) != 2 {
		t.Fatal(len(attached), err)
	}
	again, err := img.Attachments(context.Background(), AttachOptions{SBOMs: []SBOMFormat{SPDX, CycloneDX}}, Options{})
	if err != nil || !bytes.Equal(again[0].Content, attached[0].Content) || !bytes.Equal(again[1].Content, attached[1].Content) {
		t.Error("another document the second time", err)
	}
	doc, err := json.Read(bytes.NewReader(attached[0].Content))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		t.Error(err)
	}
	files := map[string]string{} // checksums by address
	for _, p := range doc.Packages {
		for _, c := range p.PackageChecksums {
			if p.PackageExternalReferences != nil {
				files[p.PackageDownloadLocation] = strings.ToLower(string(c.Algorithm)) + ":" + c.Value
				checkPURL(t, p.PackageExternalReferences[0].Locator, p.PackageName, files[p.PackageDownloadLocation])
			}
		}
	}
	checkFiles(t, files, len(img.Platforms[0].Packages))

	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(attached[1].Content), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	clear(files)
	for _, c := range *bom.Components {
		if c.Type == cyclonedx.ComponentTypeLibrary {
			refs := *c.ExternalReferences
			at := refs[len(refs)-1]
			if at.Type != cyclonedx.ERTypeDistribution || (*c.Hashes)[0].Algorithm != cyclonedx.HashAlgoSHA256 {
				t.Errorf("%s: %v %v", c.Name, at, *c.Hashes)
			}
			files[at.URL] = "sha256:" + (*c.Hashes)[0].Value
			checkPURL(t, c.PackageURL, c.Name, files[at.URL])
		}
	}
	checkFiles(t, files, len(img.Platforms[0].Packages))
	for _, a := range attached {
		if bytes.Contains(a.Content, []byte("s3cret")) {
			t.Errorf("%s: a password in it", a.Kind)
		}
	}
}

func checkPURL(t *testing.T, purl, name, checksum string) {
	t.Helper()
	u, err := packageurl.FromString(purl)
	if err != nil || u.Name != name || u.Qualifiers.Map()["checksum"] != checksum {
		t.Errorf("package URL %s of %s with %s: %v", purl, name, checksum, err)
	}
}

// checkFiles compares checksums with the files of the repository.
func checkFiles(t *testing.T, files map[string]string, want int) {
	t.Helper()
	if len(files) != want {
		t.Errorf("%d files of %d packages", len(files), want)
	}
	for at, sum := range files {
		rest, ok := strings.CutPrefix(at, "https://mirror.example/")
		component, location, ok2 := strings.Cut(rest, "/os/")
		if !ok || !ok2 {
			t.Errorf("address %s", at)
			continue
		}
		content, err := os.ReadFile(tooltest.Shared(t, "distro/1", component, "x86_64/os", location))
		if err != nil {
			t.Error(err)
		}
		got := sha256.Sum256(content)
		if sum != "sha256:"+hex.EncodeToString(got[:]) {
			t.Errorf("%s has another checksum than %s", at, sum)
		}
	}
}
