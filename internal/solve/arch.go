package solve

import "strings"

// architectures lists what a base architecture runs, best first, as rpm's and libsolv's tables have it; noarch is
// always understood. A base architecture that is not listed runs only itself.
func architectures(base string) []string {
	switch base {
	case "x86_64":
		return []string{"x86_64", "athlon", "i686", "i586", "i486", "i386"}
	case "x86_64_v4":
		return append([]string{"x86_64_v4", "x86_64_v3", "x86_64_v2"}, architectures("x86_64")...)
	case "x86_64_v3":
		return append([]string{"x86_64_v3", "x86_64_v2"}, architectures("x86_64")...)
	case "x86_64_v2":
		return append([]string{"x86_64_v2"}, architectures("x86_64")...)
	case "athlon":
		return []string{"athlon", "i686", "i586", "i486", "i386"}
	case "i686":
		return []string{"i686", "i586", "i486", "i386"}
	case "i586":
		return []string{"i586", "i486", "i386"}
	case "i486":
		return []string{"i486", "i386"}
	case "s390x":
		return []string{"s390x", "s390"}
	case "ppc64":
		return []string{"ppc64", "ppc"}
	case "ppc64p7":
		return []string{"ppc64p7", "ppc64", "ppc"}
	case "armv8hl":
		return []string{"armv8hl", "armv7hl", "armv6hl"}
	case "armv7hnl":
		return []string{"armv7hnl", "armv7hl", "armv6hl"}
	case "armv7hl":
		return []string{"armv7hl", "armv6hl"}
	}
	return []string{base}
}

const noarch = "noarch"

// Ranks of architectures: 0 cannot be installed, 1 is noarch, from 2 on the architectures, best first.
const (
	rankForeign = 0
	rankNoarch  = 1
	rankBest    = 2
)

func ranks(base string) map[string]uint8 {
	m := map[string]uint8{noarch: rankNoarch}
	for i, a := range architectures(base) {
		m[a] = uint8(rankBest + i)
	}
	return m
}

// Word sizes of architectures: packages of one name coexist when they have none in common.
const (
	width32   = 1
	width64   = 2
	widthBoth = width32 | width64
)

func width(arch string) uint8 {
	switch {
	case arch == noarch:
		return widthBoth
	case arch == "s390x" || strings.Contains(arch, "64"):
		return width64
	}
	return width32
}
