package builder

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/package-url/packageurl-go"
	spdx "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"slim/internal/attest"
	"slim/internal/tooltest"
)

// mirroredRecipe is one whose repository has an address with a password in it, and is read from a mirror.
func mirroredRecipe(t *testing.T, packages, more string) *Recipe {
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
%s
`, shared, packages, more)
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
	img := buildRecipe(t, mirroredRecipe(t, "zlib", ""), Options{})
	attached, err := img.attachments(context.Background(), &AttachOptions{SBOMs: []SBOMFormat{SPDX, CycloneDX}}, Options{})
	if err != nil || len(attached) != 2 {
		t.Fatal(len(attached), err)
	}
	again, err := img.attachments(context.Background(), &AttachOptions{SBOMs: []SBOMFormat{SPDX, CycloneDX}}, Options{})
	if err != nil || !bytes.Equal(again[0].Content, attached[0].Content) || !bytes.Equal(again[1].Content, attached[1].Content) {
		t.Error("another document the second time", err)
	}
	doc, err := spdx.Read(bytes.NewReader(attached[0].Content))
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

// demoRecipe is one of the demo distribution.
func demoRecipe(t *testing.T, text string) *Recipe {
	t.Helper()
	testdata, err := filepath.Abs("../testdata")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "demo.yaml")
	text += fmt.Sprintf("repository: {baseurl: %[1]s/repo/$basearch, gpgkey: [%[1]s/keys/RPM-GPG-KEY-demo]}\n", testdata)
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecipe(file, RecipeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestProvenance compares the materials of a build for two platforms with its lock, signed and not.
func TestProvenance(t *testing.T) {
	recipe := demoRecipe(t, "packages: [hello]\nplatforms: [linux/amd64, linux/arm64]\n")
	img := buildRecipe(t, recipe, Options{})
	plain := attachments(t, img, AttachOptions{Provenance: true})
	if len(plain) != 3 {
		t.Fatalf("%d attachments", len(plain))
	}
	index, err := img.Index.Digest()
	if err != nil || plain[2].Subject != index.String() {
		t.Errorf("the last is about %s, not %s: %v", plain[2].Subject, index, err)
	}
	for k, a := range plain {
		checkProvenance(t, img, k, a.Subject, a.Content)
	}
	key, err := ReadPrivateKey("../testdata/keys/cosign.key", "pw")
	if err != nil {
		t.Fatal(err)
	}
	signed := attachments(t, img, AttachOptions{Provenance: true, Key: key})
	var about []string
	for _, a := range signed {
		predicate := a.Annotations["dev.sigstore.bundle.predicateType"]
		about = append(about, a.Subject[:10]+" "+predicate)
		if predicate != attest.Provenance {
			continue
		}
		var bundle struct{ DSSEEnvelope struct{ Payload []byte } }
		if err := json.Unmarshal(a.Content, &bundle); err != nil {
			t.Fatal(err)
		}
		k := slices.IndexFunc(plain, func(p attachment) bool { return p.Subject == a.Subject })
		if !bytes.Equal(bundle.DSSEEnvelope.Payload, plain[k].Content) {
			t.Errorf("what is signed about %s is not what is attached without a key", a.Subject)
		}
	}
	var want []string
	for _, a := range plain {
		want = append(want, a.Subject[:10]+" "+attest.Provenance, a.Subject[:10]+" "+attest.SignedImage)
	}
	if !slices.Equal(about, want) {
		t.Errorf("signed are %q", about)
	}
}

func attachments(t *testing.T, img *Image, what AttachOptions) []attachment {
	t.Helper()
	all, err := img.attachments(context.Background(), &what, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkProvenance is about the image of the platform at k, or behind the last about all.
func checkProvenance(t *testing.T, img *Image, k int, subject string, content []byte) {
	t.Helper()
	var got struct {
		Subject   []struct{ Digest map[string]string }
		Predicate struct {
			BuildDefinition struct {
				ResolvedDependencies []struct {
					Name, URI string
					Digest    map[string]string
				}
			}
		}
	}
	if err := json.Unmarshal(content, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Subject) != 1 || "sha256:"+got.Subject[0].Digest["sha256"] != subject {
		t.Errorf("subject %v, not %s", got.Subject, subject)
	}
	want := map[string]string{"demo.yaml": img.recipe.SHA256}
	for i, p := range img.lock.Platforms {
		if k < len(img.lock.Platforms) && k != i {
			continue
		}
		for _, s := range p.Sources {
			want["repomd.xml "+s.Digest] = strings.TrimPrefix(s.Digest, "sha256:")
		}
		for _, pkg := range p.Packages {
			want[pkg.NEVRA.String()] = pkg.Checksum.Hex
		}
	}
	have := map[string]string{}
	for _, r := range got.Predicate.BuildDefinition.ResolvedDependencies {
		if r.Name == "repomd.xml" {
			r.Name += " sha256:" + r.Digest["sha256"]
		}
		have[r.Name] = r.Digest["sha256"]
		u, err := packageurl.FromString(r.URI)
		if r.URI != "" && (err != nil || !strings.HasPrefix(r.Name, u.Name+"-")) {
			t.Errorf("%s has the package URL %s: %v", r.Name, r.URI, err)
		}
	}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("materials of %s: %s", subject, d)
	}
}

// TestToolAttach pushes signed attachments to the reference registry, which has no referrers API, twice: then nothing is sent.
func TestToolAttach(t *testing.T) {
	host, log := tooltest.Registry(t, "", "")
	key, err := ReadPrivateKey("../testdata/keys/cosign.key", "pw")
	if err != nil {
		t.Fatal(err)
	}
	recipe := demoRecipe(t, "packages: [hello]\nplatforms: [linux/amd64, linux/arm64]\n")
	cache := t.TempDir()
	var first *Delivery
	for range 2 {
		img := buildRecipe(t, recipe, Options{CacheDir: cache})
		what := AttachOptions{SBOMs: []SBOMFormat{SPDX}, Provenance: true, Key: key}
		d, err := img.Deliver(context.Background(), "docker://"+host+"/hello:1", what, Options{})
		if err != nil {
			t.Fatal(err)
		}
		sent := regexp.MustCompile(`"(POST|PUT|PATCH) [^"]*"`).FindAllString(log.Take(), -1)
		if first == nil {
			first = d
			continue
		}
		if len(sent) > 0 || d.Digest != first.Digest {
			t.Errorf("the second push, of %s, sends %q", d, sent)
		}
	}
	repository, err := name.NewRepository(host + "/hello")
	if err != nil {
		t.Fatal(err)
	}
	list, err := remote.Referrers(repository.Digest(first.Digest))
	if err != nil {
		t.Fatal(err)
	}
	m, err := list.IndexManifest()
	if err != nil || len(m.Manifests) != 2 {
		t.Errorf("attached to the index: %+v, %v", m, err)
	}
}

// TestBillOfBuild: what a build says of its image is what is read off the image: when the image was known without it, from
// checksums that are known, and for a recipe that keeps what the others stripped when those are damaged.
func TestBillOfBuild(t *testing.T) {
	const packages = "bash, coreutils, ca-certificates, shadow-utils, glibc-minimal-langpack"
	cache := t.TempDir()
	for _, strip := range []string{"", "strip: {paths: [/usr/bin/env]}\n", "strip: {docs: false, locales: all}\n"} {
		r := mirroredRecipe(t, packages, strip)
		what := AttachOptions{SBOMs: []SBOMFormat{SPDX}, Provenance: true}
		documents := func(o Options) []attachment {
			img := buildRecipe(t, r, o)
			if (img.Platforms[0].doc != nil) != o.Bill {
				t.Fatalf("with Bill %v: %v", o.Bill, img.Platforms[0].doc)
			}
			made, err := img.attachments(context.Background(), &what, o)
			if err != nil {
				t.Fatal(err)
			}
			return made
		}
		where := t.TempDir() // of what is read off the image
		if strip == "" {
			where = cache
		}
		want := documents(Options{CacheDir: where})
		if err := os.RemoveAll(filepath.Join(cache, "kept", kindBill)); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strip, "all") {
			damage(t, filepath.Join(cache, "kept", kindSums))
		}
		got := documents(Options{CacheDir: cache, Bill: true})
		same := func(a, b attachment) bool { return bytes.Equal(a.Content, b.Content) && a.Subject == b.Subject }
		if !slices.EqualFunc(want, got, same) {
			t.Errorf("strip %q: built\n%.2000s\nread\n%.2000s", strip, got[0].Content, want[0].Content)
		}
		if n := bytes.Count(got[0].Content, []byte(`"fileName"`)); n < 300 {
			t.Errorf("%d files", n)
		}
	}
}

// damage changes a byte of every file below dir.
func damage(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b[10]++
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
