package builder

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What snapshot 2 of the test distribution announces is pending in an image of snapshot 1, the most severe first, for the
// packages on the path alone.
func TestPathQuality(t *testing.T) {
	recipe := sharedRecipe(t, []string{"openssl", "httpd"}, "image: {entrypoint: [/usr/bin/openssl]}")
	root := t.TempDir()
	deliver(t, buildRecipe(t, recipe, Options{}), "dir:"+root)
	recipe.Repository.ReleaseVer = "2"
	found, err := FindPath(context.Background(), "dir:"+root, PathOptions{
		Programs: []string{"openssl"}, Quality: &QualityOptions{Recipe: recipe}, Options: Options{CacheDir: t.TempDir()},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, p := range found.Images[0].Packages {
		onPath := p.Tier == TierDirect || p.Tier == TierLoadable
		if onPath != (p.Quality != nil) {
			t.Errorf("%s is %s and has the quality %v", p.Name, p.Tier, p.Quality)
		}
		if !onPath {
			continue
		}
		if q := p.Quality; !q.Verified || len(q.Signers) != 1 || q.Fault != "" || q.Built.Year() < 2020 || len(q.Programs) == 0 {
			t.Errorf("%s: %+v", p.Name, q)
		}
		for _, a := range p.Quality.Pending {
			got[p.Name] = append(got[p.Name], strings.Join(append([]string{a.ID, a.Severity}, a.CVEs...), " "))
		}
	}
	want := map[string][]string{"openssl": {"SLSA-2026:6322 Moderate CVE-2026-6322"}, "openssl-libs": {"SLSA-2026:6322 Moderate CVE-2026-6322"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	compareReport(t, "dir:"+root, recipe, found.Images[0])
}

func TestSeverity(t *testing.T) {
	order := []Advisory{
		{Type: "security", Severity: "Critical"},
		{Type: "security", Severity: "Important"},
		{Type: "security", Severity: "Low"},
		{Type: "security"},
		{Type: "bugfix", Severity: "Critical"},
		{Type: "bugfix"},
	}
	for i := range order[1:] {
		if severityRank(order[i]) >= severityRank(order[i+1]) {
			t.Errorf("%+v is not before %+v", order[i], order[i+1])
		}
	}
}
