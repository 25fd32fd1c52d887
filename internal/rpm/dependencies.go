package rpm

import (
	"fmt"
	"strings"
)

// The bits of a dependency's flags (RPMSENSE_*, include/rpm/rpmds.h).
const (
	SensePosttrans     uint32 = 1 << 5
	SensePrereq        uint32 = 1 << 6
	SensePretrans      uint32 = 1 << 7
	SenseInterp        uint32 = 1 << 8
	SenseScriptPre     uint32 = 1 << 9
	SenseScriptPost    uint32 = 1 << 10
	SenseScriptPreun   uint32 = 1 << 11
	SenseScriptPostun  uint32 = 1 << 12
	SenseScriptVerify  uint32 = 1 << 13
	SenseFindRequires  uint32 = 1 << 14
	SenseFindProvides  uint32 = 1 << 15
	SenseTriggerIn     uint32 = 1 << 16
	SenseTriggerUn     uint32 = 1 << 17
	SenseTriggerPostun uint32 = 1 << 18
	SenseMissingOK     uint32 = 1 << 19
	SensePreuntrans    uint32 = 1 << 20
	SensePostuntrans   uint32 = 1 << 21
	SenseRPMLib        uint32 = 1 << 24
	SenseTriggerPrein  uint32 = 1 << 25
	SenseKeyring       uint32 = 1 << 26
	SenseConfig        uint32 = 1 << 28
	SenseMeta          uint32 = 1 << 29

	senseCompare = uint32(Less | Greater | Equal)
)

// Dependency is a capability of a header with its raw flags and version. A comparison without a version, and a version
// without a comparison, are no comparison, as in rpm: Sense is 0 and EVR the zero value then.
type Dependency struct {
	Capability
	Flags   uint32 // RPMSENSE_*, the comparison included
	Version string // as the header has it
}

// IsRPMLib reports whether rpm itself is to satisfy the dependency: rpmlib(...), a feature of the package format.
func (d Dependency) IsRPMLib() bool { return d.Flags&SenseRPMLib != 0 }

// IsScriptletOnly reports whether nothing but scriptlets and triggers needs the dependency: those that run at install
// time, whose needs rpm forgets once the package is installed (isTransientReq in include/rpm/rpmds.h), those that run when
// it is erased or verified, and, as the interpreter alone, triggers (build/parseScript.cc). An old PreReq is needed
// besides. So is a user or a group: a scriptlet may be the first that needs it, but the files that belong to it stay.
func (d Dependency) IsScriptletOnly() bool {
	const install = SenseScriptPre | SenseScriptPost | SensePretrans | SensePosttrans
	const later = SenseScriptPreun | SenseScriptPostun | SensePreuntrans | SensePostuntrans | SenseScriptVerify
	switch {
	case d.Flags&(SenseMeta|SenseFindRequires) != 0, strings.HasPrefix(d.Name, "user("), strings.HasPrefix(d.Name, "group("):
		return false
	}
	return d.Flags&(install|later|SenseInterp) != 0
}

// Provides and its siblings are the header's dependencies in the header's order, nil without any. Arrays of unequal
// length are an error.
func (h *Header) Provides() ([]Dependency, error) {
	return h.dependencies("provides", TagProvideName, TagProvideFlags, TagProvideVersion)
}

func (h *Header) Requires() ([]Dependency, error) {
	return h.dependencies("requires", TagRequireName, TagRequireFlags, TagRequireVersion)
}

func (h *Header) Conflicts() ([]Dependency, error) {
	return h.dependencies("conflicts", TagConflictName, TagConflictFlags, TagConflictVersion)
}

func (h *Header) Obsoletes() ([]Dependency, error) {
	return h.dependencies("obsoletes", TagObsoleteName, TagObsoleteFlags, TagObsoleteVersion)
}

func (h *Header) Recommends() ([]Dependency, error) {
	return h.dependencies("recommends", TagRecommendName, TagRecommendFlags, TagRecommendVersion)
}

func (h *Header) Suggests() ([]Dependency, error) {
	return h.dependencies("suggests", TagSuggestName, TagSuggestFlags, TagSuggestVersion)
}

func (h *Header) Supplements() ([]Dependency, error) {
	return h.dependencies("supplements", TagSupplementName, TagSupplementFlags, TagSupplementVersion)
}

func (h *Header) Enhances() ([]Dependency, error) {
	return h.dependencies("enhances", TagEnhanceName, TagEnhanceFlags, TagEnhanceVersion)
}

// dependencies reads three parallel arrays. Very old packages have names alone.
func (h *Header) dependencies(what string, name, flags, version Tag) ([]Dependency, error) {
	names, bits, versions := h.Strings(name), h.Uint32s(flags), h.Strings(version)
	if bits == nil && versions == nil {
		bits, versions = make([]uint32, len(names)), make([]string, len(names))
	}
	if len(bits) != len(names) || len(versions) != len(names) {
		return nil, fmt.Errorf("%w: %s: %d names, %d flags, %d versions", ErrHeader, what, len(names), len(bits), len(versions))
	}
	if len(names) == 0 {
		return nil, nil
	}
	out := make([]Dependency, len(names))
	for i := range names {
		out[i] = newDependency(names[i], bits[i], versions[i])
	}
	return out, nil
}

func newDependency(name string, flags uint32, version string) Dependency {
	d := Dependency{Capability: Capability{Name: name}, Flags: flags, Version: version}
	if flags&senseCompare != 0 && version != "" {
		d.Sense, d.EVR = Sense(flags&senseCompare), ParseEVR(version)
	}
	return d
}
