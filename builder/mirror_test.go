package builder

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slim/internal/rpm"
	"slim/internal/rpmtest"
)

// TestMirrors builds over HTTP from a list of mirrors and from a metalink, of which the first mirror is broken or stale,
// and expects the digest of the build from the directory.
func TestMirrors(t *testing.T) {
	repo := rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, demoPackages)
	good := httptest.NewServer(http.FileServer(http.Dir(repo)))
	defer good.Close()
	stale := httptest.NewServer(http.FileServer(http.Dir(rpmtest.MustRepo(t, rpmtest.RepoOptions{Key: rpmtest.TestKey(t)}, "package other-1-1.noarch\nfile /x"))))
	defer stale.Close()
	broken := httptest.NewServer(http.NotFoundHandler())
	defer broken.Close()

	lists := t.TempDir()
	list := filepath.Join(lists, "mirrors")
	if err := os.WriteFile(list, []byte("# mirrors\n"+broken.URL+"\n"+good.URL+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	repomd, err := os.ReadFile(filepath.Join(repo, "repodata/repomd.xml"))
	if err != nil {
		t.Fatal(err)
	}
	metalink := filepath.Join(lists, "metalink")
	if err := os.WriteFile(metalink, fmt.Appendf(nil, `<?xml version="1.0"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="repomd.xml">
<size>%d</size><verification><hash type="sha256">%x</hash></verification>
<resources><url protocol="http" type="http" preference="100">%s/repodata/repomd.xml</url>
<url protocol="http" type="http" preference="90">%s/repodata/repomd.xml</url></resources>
</file></files></metalink>`, len(repomd), sha256.Sum256(repomd), stale.URL, good.URL), 0o666); err != nil {
		t.Fatal(err)
	}
	digest := func(change func(*Repository)) string {
		t.Helper()
		r := testRecipe(t, repo, "packages: [app]")
		change(&r.Repository)
		h, err := buildRecipe(t, r, Options{}).Platforms[0].Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		return h.String()
	}
	want := digest(func(*Repository) {})
	for name, change := range map[string]func(*Repository){
		"http":        func(r *Repository) { r.BaseURL = good.URL + "/" },
		"mirror list": func(r *Repository) { r.BaseURL, r.MirrorList = "", list },
		"metalink":    func(r *Repository) { r.BaseURL, r.Metalink = "", metalink },
	} {
		if got := digest(change); got != want {
			t.Errorf("%s: %s, not %s", name, got, want)
		}
	}

	r := testRecipe(t, repo, "packages: [app]")
	r.Repository.BaseURL = broken.URL
	if _, err := Resolve(context.Background(), r, Options{}); KindOf(err) != FailedNetwork || !strings.Contains(err.Error(), broken.URL) {
		t.Errorf("from a broken mirror alone: %v", err)
	}
}

// TestForeignBase refuses metadata that leads a remote repository's packages into this machine's files.
func TestForeignBase(t *testing.T) {
	for base, ok := range map[string]bool{"": true, "https://other.example/x": true, "file:///etc": false, "/etc": false, "ftp://x": false} {
		src := &LockedSource{URLs: []string{"https://mirror.example/os"}}
		if err := src.checkBase(metadataWithBase(base)); (err == nil) != ok {
			t.Errorf("base %q: %v", base, err)
		}
	}
}

func metadataWithBase(base string) *rpm.Metadata { return &rpm.Metadata{Base: base} }
