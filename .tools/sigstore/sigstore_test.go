package sigstore

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// bundleType is the artifact type of a signed statement that is attached to an image.
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

type descriptor struct {
	Digest, ArtifactType string
	Annotations          map[string]string
}

// layout is an OCI layout in a directory.
type layout struct {
	t   *testing.T
	dir string
}

func (l layout) read(path string, to any) []byte {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, path))
	if err == nil && to != nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

func blob(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

// bundles are the image and what is signed about it.
func (l layout) bundles() (image string, all [][]byte) {
	var index, list struct{ Manifests []descriptor }
	l.read("index.json", &index)
	for _, d := range index.Manifests {
		if !strings.HasPrefix(d.Annotations["org.opencontainers.image.ref.name"], "sha256-") {
			image = d.Digest
			continue
		}
		l.read(blob(d.Digest), &list)
	}
	for _, d := range list.Manifests {
		if d.ArtifactType != bundleType {
			continue
		}
		var manifest struct{ Layers []descriptor }
		l.read(blob(d.Digest), &manifest)
		all = append(all, l.read(blob(manifest.Layers[0].Digest), nil))
	}
	return image, all
}

// TestBundles signs an image with a key of cosign's and verifies it and the statements about it.
func TestBundles(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = top
		cmd.Env = append(os.Environ(), "COSIGN_PASSWORD=pw", "SLIM_CACHE_DIR="+dir+"/cache", "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args, err, out)
		}
	}
	run("go", "build", "-o", dir+"/slim", "./cmd/slim")
	run(dir+"/slim", "build", "recipes/demo/hello.yaml", "--platform", "linux/amd64", "-o", "oci:"+dir+"/images", "--sign-key", "testdata/keys/cosign.key")
	image, bundles := layout{t, dir + "/images"}.bundles()
	digest, err := hex.DecodeString(strings.TrimPrefix(image, "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	policy := verify.NewPolicy(verify.WithArtifactDigest("sha256", digest), verify.WithKey())
	ours := verifier(t, filepath.Join(top, "testdata/keys/cosign.pub"))
	var types []string
	for _, content := range bundles {
		var b bundle.Bundle
		if err := b.UnmarshalJSON(content); err != nil {
			t.Fatal(err)
		}
		result, err := ours.Verify(&b, policy)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, result.Statement.PredicateType)
		other := slices.Clone(digest)
		other[0] ^= 1
		if _, err := ours.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest("sha256", other), verify.WithKey())); err == nil {
			t.Errorf("%s is about another image too", result.Statement.PredicateType)
		}
		if err := b.UnmarshalJSON([]byte(strings.Replace(string(content), `"payload":"eyJ`, `"payload":"ICJ`, 1))); err != nil {
			t.Fatal(err)
		}
		if _, err := ours.Verify(&b, policy); err == nil {
			t.Errorf("%s verifies with another payload", result.Statement.PredicateType)
		}
	}
	slices.Sort(types)
	want := []string{"https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"}
	if !slices.Equal(types, want) {
		t.Errorf("signed are %q, not %q", types, want)
	}
}

func verifier(t *testing.T, file string) *verify.Verifier {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(content)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return anyTime{v}, nil })
	out, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// anyTime is a key without an end.
type anyTime struct{ signature.Verifier }

func (anyTime) ValidAtTime(time.Time) bool { return true }
