// Package solve answers which packages satisfy a request, and why, or why none can.
package solve

import (
	"errors"
	"strings"

	"slim/internal/rpm"
)

// Mode says how far requirements are followed.
type Mode int

const (
	Full    Mode = iota // every Requires
	Runtime             // every Requires except those that only scriptlets need (Requirement.Pre)
	Named               // nothing beyond what is requested; see Solution.Unmet
)

// Request is one question. The zero value asks for nothing.
type Request struct {
	Packages []*rpm.Metadata // the whole repository, in any order; not modified
	Arch     string          // base architecture as rpm names it: x86_64, aarch64, ppc64le, s390x ...
	Install  []Item          // what is asked for
	Exclude  []string        // names, name.arch, NEVRAs or globs of them: never candidates
	Prefer   []string        // names or specs: among several providers these come first, in this order
	Mode     Mode
}

// Item is one thing asked for.
type Item struct{ Spec string }

// Solution is the answer to a Request.
type Solution struct {
	Packages []Chosen // by name, then NEVRA
	Choices  []Choice // by By, then Capability
}

// Chosen is a package of a Solution and why it is there.
type Chosen struct {
	*rpm.Metadata
	Reason Reason
}

// Reason is either the Spec that asked for the package, or the package By that requires it through Capability.
type Reason struct {
	Spec       string
	By         rpm.NEVRA
	Capability string
}

// Choice is a requirement that packages of several names could have satisfied.
type Choice struct {
	By         string // NEVRA of the package that requires, or the spec of the request
	Capability string
	Taken      rpm.NEVRA
	Others     []rpm.NEVRA
	Why        string
}

// Error says why no set of packages satisfies the request.
type Error struct{ Problems []Problem }

// Problem is one independent reason.
type Problem struct {
	Summary string   // one line: what cannot be had
	Chain   []string // who requires what, from the request down to the fault
	Hints   []string // nearest alternatives, one line each
}

func (e *Error) Error() string { return "" }

// NeedFiles is returned by Solve when the answer depends on paths that are not in the primary file lists:
// the caller fills Metadata.Files from the full lists, sets AllFiles, and asks again.
type NeedFiles struct{ Paths []string }

func (e *NeedFiles) Error() string { return "full file lists are needed for " + strings.Join(e.Paths, ", ") }

// Solve answers req.
func Solve(req Request) (*Solution, error) { return nil, errors.New("not written yet") }
