package builder

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// machine is one row of the table of platforms: the words of OCI, of rpm and of dnf for the same thing.
type machine struct {
	platform Platform
	arch     string   // rpm's architecture, dnf's $arch
	baseArch string   // dnf's $basearch
	also     []string // other spellings that ParsePlatform understands
}

// machines returns the known platforms. $basearch differs from the architecture where dnf groups several under one
// (libdnf's basearch table).
func machines() []machine {
	return []machine{
		{Platform{"linux", "amd64", ""}, "x86_64", "x86_64", []string{"x86_64", "amd64"}},
		{Platform{"linux", "arm64", ""}, "aarch64", "aarch64", []string{"aarch64", "arm64", "linux/arm64/v8"}},
		{Platform{"linux", "ppc64le", ""}, "ppc64le", "ppc64le", []string{"ppc64le"}},
		{Platform{"linux", "s390x", ""}, "s390x", "s390x", []string{"s390x"}},
		{Platform{"linux", "riscv64", ""}, "riscv64", "riscv64", []string{"riscv64"}},
		{Platform{"linux", "386", ""}, "i686", "i386", []string{"i686", "386"}},
		{Platform{"linux", "arm", "v7"}, "armv7hl", "armhfp", []string{"armv7hl", "linux/arm"}},
	}
}

// ParsePlatform reads an OCI platform (linux/arm64) or an rpm architecture (aarch64).
func ParsePlatform(s string) (Platform, error) {
	for _, m := range machines() {
		if s == m.platform.String() || slices.Contains(m.also, s) {
			return m.platform, nil
		}
	}
	return Platform{}, fmt.Errorf("unknown platform %q (known are %s)", s, strings.Join(knownPlatforms(), ", "))
}

// HostPlatform is the platform of linux on the machine that slim runs on.
func HostPlatform() Platform {
	for _, m := range machines() {
		if m.platform.Architecture == runtime.GOARCH {
			return m.platform
		}
	}
	return Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// String is OCI's spelling, as in linux/arm/v7.
func (p Platform) String() string {
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// Arch is rpm's architecture, which is also dnf's $arch; "" for an unknown platform.
func (p Platform) Arch() string { return p.machine().arch }

// BaseArch is dnf's $basearch; "" for an unknown platform.
func (p Platform) BaseArch() string { return p.machine().baseArch }

func (p Platform) machine() machine {
	for _, m := range machines() {
		if m.platform == p {
			return m
		}
	}
	return machine{}
}

func knownPlatforms() []string {
	var names []string
	for _, m := range machines() {
		names = append(names, m.platform.String())
	}
	return names
}

// platformSpellings are all strings that ParsePlatform takes.
func platformSpellings() []string {
	var names []string
	for _, m := range machines() {
		names = append(names, m.platform.String())
		names = append(names, m.also...)
	}
	return names
}
