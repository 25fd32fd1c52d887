package rpm

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// EVR is epoch, version and release. The zero value is "no version at all"; a missing epoch is epoch 0
// and a missing release compares equal to every release, as in rpm's lib/rpmds.c and lib/rpmver.c.
type EVR struct {
	Epoch   uint32
	Version string
	Release string
}

// ParseEVR reads [EPOCH:]VERSION[-RELEASE]. The last hyphen separates the release. It never fails: what is
// not a decimal epoch before a colon belongs to the version, as in rpm.
func ParseEVR(s string) EVR {
	var e EVR
	if head, tail, ok := strings.Cut(s, ":"); ok && isDigits(head) {
		n, err := strconv.ParseUint("0"+head, 10, 32)
		if err == nil {
			e.Epoch = uint32(n)
			s = tail
		}
	}
	e.Version = s
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		e.Version, e.Release = s[:i], s[i+1:]
	}
	return e
}

// String is [EPOCH:]VERSION[-RELEASE]; epoch 0 is left out.
func (e EVR) String() string {
	s := e.Version
	if e.Release != "" {
		s += "-" + e.Release
	}
	if e.Epoch != 0 {
		s = strconv.FormatUint(uint64(e.Epoch), 10) + ":" + s
	}
	return s
}

// IsZero reports whether there is no version at all.
func (e EVR) IsZero() bool { return e == EVR{} }

// Compare orders two EVRs as rpm does: -1, 0 or +1. A missing release on either side compares equal.
// It is not a total order because of that; use it on full EVRs to sort.
func (e EVR) Compare(o EVR) int {
	if c := cmp.Compare(e.Epoch, o.Epoch); c != 0 {
		return c
	}
	if c := CompareVersions(e.Version, o.Version); c != 0 {
		return c
	}
	if e.Release == "" || o.Release == "" {
		return 0
	}
	return CompareVersions(e.Release, o.Release)
}

// CompareVersions orders two version (or release) strings: -1, 0 or +1. The order is that of rpmio/rpmvercmp.c:
// runs of digits compare as numbers and are newer than letters, `~` is older than the end of the string,
// `^` is newer than the end but older than anything else, all other characters only separate.
func CompareVersions(a, b string) int {
	if a == b {
		return 0
	}
	for a != "" || b != "" {
		a, b = trimSeparators(a), trimSeparators(b)
		if c, done := compareMark(&a, &b, '~', -1); done {
			if c != 0 {
				return c
			}
			continue
		}
		// A caret counts against the end of the other string as newer, against anything else as older.
		if strings.HasPrefix(a, "^") || strings.HasPrefix(b, "^") {
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case a[0] != '^':
				return 1
			case b[0] != '^':
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		}
		if a == "" || b == "" {
			break
		}
		class := isLetter
		if isDigit(a[0]) {
			class = isDigit
		}
		var x, y string
		x, a = span(a, class)
		y, b = span(b, class)
		if y == "" {
			// Different kinds: the numeric one is newer.
			if isDigit(x[0]) {
				return 1
			}
			return -1
		}
		if isDigit(x[0]) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(min(len(a), 1), min(len(b), 1))
}

// compareMark handles a character that sorts before everything, the end included. It reports whether one of
// the two strings began with it; when both did it has been taken off both.
func compareMark(a, b *string, mark byte, sign int) (int, bool) {
	inA := *a != "" && (*a)[0] == mark
	inB := *b != "" && (*b)[0] == mark
	switch {
	case inA && inB:
		*a, *b = (*a)[1:], (*b)[1:]
		return 0, true
	case inA:
		return sign, true
	case inB:
		return -sign, true
	}
	return 0, false
}

func trimSeparators(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; isDigit(c) || isLetter(c) || c == '~' || c == '^' {
			return s[i:]
		}
	}
	return ""
}

func span(s string, class func(byte) bool) (head, tail string) {
	i := 0
	for i < len(s) && class(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func isDigits(s string) bool {
	head, tail := span(s, isDigit)
	return tail == "" && head == s
}

// NEVRA is the full name of a package: name, epoch, version, release, architecture.
type NEVRA struct {
	Name string
	EVR
	Arch string
}

// String is NAME-[EPOCH:]VERSION-RELEASE.ARCH; epoch 0 is left out.
func (n NEVRA) String() string {
	s := n.Name + "-" + n.EVR.String()
	if n.Arch != "" {
		s += "." + n.Arch
	}
	return s
}

// Compare is a total order: name, then EVR, then architecture.
func (n NEVRA) Compare(o NEVRA) int {
	return cmp.Or(strings.Compare(n.Name, o.Name), n.EVR.Compare(o.EVR), strings.Compare(n.Arch, o.Arch),
		strings.Compare(n.EVR.String(), o.EVR.String()))
}

// ParseNEVRA reads NAME-[EPOCH:]VERSION-RELEASE.ARCH, the form String writes.
func ParseNEVRA(s string) (NEVRA, error) {
	rest, arch, ok := cutLast(s, '.')
	rest, release, ok2 := cutLast(rest, '-')
	name, version, ok3 := cutLast(rest, '-')
	if !ok || !ok2 || !ok3 || name == "" || version == "" || release == "" || arch == "" {
		return NEVRA{}, fmt.Errorf("%q is not NAME-[EPOCH:]VERSION-RELEASE.ARCH", s)
	}
	n := NEVRA{Name: name, EVR: ParseEVR(version), Arch: arch}
	n.Release = release
	return n, nil
}

func cutLast(s string, sep byte) (head, tail string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
