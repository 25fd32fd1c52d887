package audit

import (
	"cmp"
	"slices"
	"strings"
)

// Kind sorts findings.
type Kind string

const (
	Signature Kind = "signature" // a header of the rpmdb is not what a key signed
	Database  Kind = "database"  // the rpmdb, or the users and groups, cannot be relied on
	Missing   Kind = "missing"   // a file that the rpmdb says is installed
	Type      Kind = "type"      // a file is another kind of file
	Content   Kind = "content"
	Mode      Kind = "mode"
	Owner     Kind = "owner"
	Group     Kind = "group"
	Link      Kind = "link" // the target of a symbolic link
	Caps      Kind = "capabilities"
	Device    Kind = "device"
	Present   Kind = "present" // a file that the rpmdb says is not installed
	Foreign   Kind = "foreign" // no package brings it, and no rule
	Account   Kind = "account" // a user that was added is root by another name

	// These do not fail by themselves.
	Config   Kind = "config"    // the content of a configuration file
	HardLink Kind = "hard link" // two names of one file are two files
	Weak     Kind = "weak"      // the files' digests are MD5 or SHA-1
	Journal  Kind = "journal"   // part of the rpmdb is in a journal and was not read
)

// Fails reports whether a finding of the kind means that a root is not what its packages are.
func (k Kind) Fails() bool {
	switch k {
	case Config, HardLink, Weak, Journal:
		return false
	}
	return true
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind    Kind
	Path    string // "" when it is about a package or the whole
	Package string // NEVRA; "" when no package is concerned
	Want    string // what the package says; "" when there is no such thing
	Got     string // what there is, or the reason
}

// String is one line.
func (f Finding) String() string {
	var parts []string
	if f.Path != "" {
		parts = append(parts, f.Path)
	}
	if f.Package != "" {
		parts = append(parts, "("+f.Package+")")
	}
	what := f.Got
	if f.Want != "" {
		what = strings.TrimPrefix(what+", not "+f.Want, ", ")
	}
	head := string(f.Kind) + ": " + strings.Join(parts, " ")
	if what == "" {
		return strings.TrimSuffix(head, ": ")
	}
	if len(parts) > 0 {
		head += ": "
	}
	return head + what
}

// SortFindings puts findings about packages and the whole first, then goes by path.
func SortFindings(all []Finding) {
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Package, b.Package), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Got, b.Got))
	})
}
