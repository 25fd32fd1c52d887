package builder

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compareReport compares a report of a plain root with what FindPath, WhyImage and Verify say of it; advisories are told of for
// packages that are idle too.
func compareReport(t *testing.T, reference string, recipe *Recipe, found *ImagePath) {
	t.Helper()
	subject := ReportSubject{Reference: reference, Programs: found.Start.Programs, Recipe: recipe}
	doc, err := NewReport(context.Background(), []ReportSubject{subject}, ReportOptions{Options: Options{CacheDir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	image := &doc.Images[0]
	if !image.Advised || image.Proof == nil || !image.Proof.Passed || image.Proof.Signed != len(image.Packages) {
		t.Errorf("advised %v, proof %+v", image.Advised, image.Proof)
	}
	var bytes int64
	for _, a := range image.Areas {
		bytes += a.Bytes
	}
	for k, p := range found.Packages {
		got := &image.Packages[k]
		if got.NEVRA != p.NEVRA.String() || got.Tier != string(p.Tier) || !got.Verified {
			t.Fatalf("package %d is %+v, not %s", k, got, p.NEVRA)
		}
		if (p.Name == "httpd" || p.Name == "openssl") && len(got.Advisories) == 0 {
			t.Errorf("no advisory is pending for %s", p.Name)
		}
		if p.Quality != nil && len(p.Quality.Pending) != len(got.Advisories) {
			t.Errorf("%s: %v pending, not %v", p.Name, got.Advisories, p.Quality.Pending)
		}
		if p.Name == "openssl-libs" {
			compareChains(t, reference, image, k)
		}
	}
	for _, sum := range image.Tiers {
		bytes -= sum.Bytes
	}
	if bytes != 0 {
		t.Errorf("the areas have %d bytes more than the tiers", bytes)
	}
}

func compareChains(t *testing.T, reference string, image *ReportImage, k int) {
	t.Helper()
	answers, err := WhyImage(context.Background(), reference, image.Packages[k].NEVRA, DiffOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, chain := range answers[0].Chains {
		text := ""
		for _, e := range chain {
			text += fmt.Sprintf("%s needs %s (%s, %v, %d) of %s; ", e.From, e.Capability, e.Kind, e.Scriptlet, e.More, e.To)
		}
		want = append(want, text)
	}
	for _, chain := range image.Packages[k].Chains {
		text := ""
		for _, at := range chain {
			e := &image.Requires[at]
			text += fmt.Sprintf("%s needs %s (%s, %v, %d) of %s; ", image.Packages[e.From].NEVRA, e.Capability, e.Kind, e.Scriptlet, e.More, image.Packages[e.To].NEVRA)
		}
		got = append(got, text)
	}
	if d := cmp.Diff(want, got); d != "" || len(got) == 0 {
		t.Errorf("chains to %s (-want +got)\n%s", image.Packages[k].NEVRA, d)
	}
}
