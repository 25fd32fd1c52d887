package builder

import "testing"

func TestPlatforms(t *testing.T) {
	tests := []struct{ text, want, arch, baseArch string }{
		{"linux/amd64", "linux/amd64", "x86_64", "x86_64"},
		{"x86_64", "linux/amd64", "x86_64", "x86_64"},
		{"aarch64", "linux/arm64", "aarch64", "aarch64"},
		{"linux/arm64/v8", "linux/arm64", "aarch64", "aarch64"},
		{"linux/ppc64le", "linux/ppc64le", "ppc64le", "ppc64le"},
		{"s390x", "linux/s390x", "s390x", "s390x"},
		{"riscv64", "linux/riscv64", "riscv64", "riscv64"},
		{"linux/386", "linux/386", "i686", "i386"},
		{"i686", "linux/386", "i686", "i386"},
		{"linux/arm/v7", "linux/arm/v7", "armv7hl", "armhfp"},
		{"linux/arm", "linux/arm/v7", "armv7hl", "armhfp"},
	}
	for _, tt := range tests {
		p, err := ParsePlatform(tt.text)
		if err != nil || p.String() != tt.want || p.Arch() != tt.arch || p.BaseArch() != tt.baseArch {
			t.Errorf("%s: %s, arch %s, basearch %s, %v", tt.text, p, p.Arch(), p.BaseArch(), err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "windows/amd64", "linux/amd64/v2", "AMD64", "linux/arm/v6"} {
		if p, err := ParsePlatform(bad); err == nil {
			t.Errorf("%q is platform %s", bad, p)
		}
	}
	if (Platform{}).Arch() != "" {
		t.Error("the zero platform has an architecture")
	}
}

func TestPlatformSpellingsAreUnambiguous(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range platformSpellings() {
		if seen[s] {
			t.Errorf("%s stands for two platforms", s)
		}
		seen[s] = true
	}
}
