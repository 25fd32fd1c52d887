package rpm

import (
	"fmt"
	"strings"
)

// Sense says how the version of a dependency compares; the bits are rpm's RPMSENSE_LESS, GREATER and EQUAL.
// Zero means "any version".
type Sense uint8

const (
	Less    Sense = 1 << 1
	Greater Sense = 1 << 2
	Equal   Sense = 1 << 3
)

// String is "<", "<=", "=", ">=", ">" or "".
func (s Sense) String() string {
	switch s {
	case Less:
		return "<"
	case Less | Equal:
		return "<="
	case Equal:
		return "="
	case Greater | Equal:
		return ">="
	case Greater:
		return ">"
	case Less | Greater:
		return "<>"
	}
	return ""
}

// ParseSense reads what Sense.String writes, and the two-letter forms of repository metadata (LT, LE, EQ, GE, GT).
func ParseSense(s string) (Sense, error) {
	switch s {
	case "":
		return 0, nil
	case "<", "LT":
		return Less, nil
	case "<=", "LE":
		return Less | Equal, nil
	case "=", "==", "EQ":
		return Equal, nil
	case ">=", "GE":
		return Greater | Equal, nil
	case ">", "GT":
		return Greater, nil
	}
	return 0, fmt.Errorf("%q is not a comparison", s)
}

// Capability is one thing provided, required, conflicted with or obsoleted: a package name, a virtual name, a
// soname such as libssl.so.3()(64bit), a path, or (Name begins with "(") the text of a rich dependency.
type Capability struct {
	Name  string
	Sense Sense
	EVR   EVR
}

// String is NAME or NAME SENSE EVR, as rpm prints it.
func (c Capability) String() string {
	if c.Sense == 0 {
		return c.Name
	}
	return c.Name + " " + c.Sense.String() + " " + c.EVR.String()
}

// ParseCapability reads what String writes. A rich dependency is kept whole in Name; see ParseRich.
func ParseCapability(s string) (Capability, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return Capability{}, fmt.Errorf("an empty dependency")
	}
	if s[0] == '(' {
		if _, err := ParseRich(s); err != nil {
			return Capability{}, err
		}
		return Capability{Name: s}, nil
	}
	f := strings.Fields(s)
	switch len(f) {
	case 1:
		return Capability{Name: f[0]}, nil
	case 3:
		sense, err := ParseSense(f[1])
		if err != nil || sense == 0 {
			return Capability{}, fmt.Errorf("dependency %q: %q is not a comparison", s, f[1])
		}
		return Capability{Name: f[0], Sense: sense, EVR: ParseEVR(f[2])}, nil
	}
	return Capability{}, fmt.Errorf("dependency %q is neither NAME nor NAME COMPARISON VERSION", s)
}

// IsRich reports whether Name is the text of a rich dependency.
func (c Capability) IsRich() bool { return strings.HasPrefix(c.Name, "(") }

// IsPath reports whether Name is a path.
func (c Capability) IsPath() bool { return strings.HasPrefix(c.Name, "/") }

// Matches reports whether what c provides satisfies what r requires: same name, overlapping version ranges
// (rpmverOverlap in rpmio/rpmver.c). A side without a version matches every version.
func (c Capability) Matches(r Capability) bool {
	if c.Name != r.Name {
		return false
	}
	return c.Overlaps(r)
}

// Overlaps is Matches without the comparison of the names.
func (c Capability) Overlaps(r Capability) bool {
	if c.Sense == 0 || r.Sense == 0 {
		return true
	}
	switch order := c.EVR.Compare(r.EVR); {
	case order < 0: // c's bound is below r's
		return c.Sense&Greater != 0 || r.Sense&Less != 0
	case order > 0:
		return c.Sense&Less != 0 || r.Sense&Greater != 0
	}
	// A side without a release that allows equality matches whatever the release of the other.
	if c.EVR.Release != "" && r.EVR.Release == "" && r.Sense&Equal != 0 || c.EVR.Release == "" && r.EVR.Release != "" && c.Sense&Equal != 0 {
		return true
	}
	return c.Sense&r.Sense != 0
}

// Requirement is a required capability and whether only scriptlets need it: as far as repository metadata knows (pre="1" in
// primary.xml: the SCRIPT_PRE, SCRIPT_POST, PRETRANS, POSTTRANS and PREREQ flags).
type Requirement struct {
	Capability
	Pre       bool
	Generated bool // rpm's generators made it, as the header marks; repository metadata does not tell
}
