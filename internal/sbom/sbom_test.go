package sbom

import (
	"encoding/json"
	"testing"
	"time"

	"slim/internal/rpm"
)

func TestPURL(t *testing.T) {
	nevra := func(name, version, release string, epoch uint32) rpm.NEVRA {
		return rpm.NEVRA{Name: name, EVR: rpm.EVR{Epoch: epoch, Version: version, Release: release}, Arch: "x86_64"}
	}
	for _, c := range []struct {
		p    Package
		os   OS
		want string
	}{
		{Package{NEVRA: nevra("bash", "5.1.8", "9.el9", 0), SourceRPM: "bash-5.1.8-9.el9.src.rpm"}, OS{ID: "rhel", Version: "9.4"}, "pkg:rpm/redhat/bash@5.1.8-9.el9?arch=x86_64&distro=rhel-9.4&upstream=bash-5.1.8-9.el9.src.rpm"},
		{Package{NEVRA: nevra("openssl-libs", "3.2.2", "6.el9", 1), HasEpoch: true}, OS{ID: "centos", Version: "9"}, "pkg:rpm/centos/openssl-libs@3.2.2-6.el9?arch=x86_64&distro=centos-9&epoch=1"},
		{Package{NEVRA: nevra("zero", "1", "1", 0), HasEpoch: true}, OS{ID: "fedora", Version: "43"}, "pkg:rpm/fedora/zero@1-1?arch=x86_64&distro=fedora-43&epoch=0"},
		{Package{NEVRA: nevra("libstdc++", "14~rc1^git", "1", 0)}, OS{ID: "opensuse-leap", Version: "15.6"}, "pkg:rpm/opensuse/libstdc%2B%2B@14~rc1%5Egit-1?arch=x86_64&distro=opensuse-leap-15.6"},
		{Package{NEVRA: nevra("plain", "1", "1", 0)}, OS{}, "pkg:rpm/plain@1-1?arch=x86_64"},
	} {
		if got := c.p.PURL(c.os); got != c.want {
			t.Errorf("%s: %s, not %s", c.p.NEVRA, got, c.want)
		}
	}
}

// A document is the same for the same input, and its identifiers tell others apart.
func TestDocuments(t *testing.T) {
	doc := func(digest string) *Document {
		return &Document{
			Name: "n", Digest: digest, Created: time.Unix(1700000000, 0), Version: "1",
			Packages: []Package{{NEVRA: rpm.NEVRA{Name: "a_b", Arch: "noarch"}, License: "MIT", Files: []File{{"/x", "aa", "bb"}, {"/y", "00", "cc"}}}, {NEVRA: rpm.NEVRA{Name: "c"}, License: "MIT"}},
		}
	}
	text := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, of := range map[string]func(*Document) any{"SPDX": (*Document).SPDX, "CycloneDX": (*Document).CycloneDX} {
		if one, again := text(of(doc("sha256:1"))), text(of(doc("sha256:1"))); one != again {
			t.Errorf("%s differs from itself", name)
		}
		if text(of(doc("sha256:1"))) == text(of(doc("sha256:2"))) {
			t.Errorf("%s of two images is the same", name)
		}
	}
	spdx := doc("").SPDX().(*spdxDocument)
	p := spdx.Packages[1]
	// SHA-1 over the sorted checksums, as the specification has it (7.9).
	if p.ID != "SPDXRef-Package-0-a-b" || !p.Analyzed || p.Verification.Value != "93de5d727d4acbd93abc4cd7d12ec00ae90c7f9d" {
		t.Errorf("%+v %+v", p, p.Verification)
	}
	if len(spdx.Licenses) != 1 || p.Declared != spdx.Packages[2].Declared || spdx.Packages[2].Analyzed {
		t.Errorf("%+v %+v", spdx.Licenses, spdx.Packages[2])
	}
}
