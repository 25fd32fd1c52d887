package builder

import (
	"slim/internal/rpm"
	"slim/internal/solve"
)

// Lock is the answer to a recipe: which builds of which packages, from where. Build takes nothing else.
type Lock struct {
	Platforms []LockedPlatform // in the recipe's order
	// Parent is the answer to the recipe that the recipe extends, for the same platforms; nil without one. All of its
	// packages are in this lock too.
	Parent  *Lock
	Recipes int // how many recipes its lock file has; 0 when it is from none

	SHA256 string // of the lock file as slim writes it, in hex; "" when it is from none
}

// LockedPlatform is the solution for one platform.
type LockedPlatform struct {
	Platform Platform
	Sources  []LockedSource
	Packages []LockedPackage // by name, then NEVRA
	Choices  []solve.Choice
}

// LockedSource is one component of the repository at one moment.
type LockedSource struct {
	Component string
	URLs      []string // base URLs, mirrors in the order they are asked
	Revision  string   // as repomd.xml gives it
	Digest    string   // sha256:hex of repomd.xml

	list *ComponentURL // of a source from a lock file, where URLs are to be found; nil: they are there
}

// LockedPackage is one build of one package.
type LockedPackage struct {
	*rpm.Metadata
	Source int          // index into Sources
	Reason solve.Reason // why it is there; of a package from a lock file, zero unless it was asked for

	// Sharers names the recipes of the lock file that take it too, of those that extend the same one; "" without a file.
	Sharers string

	// What a lock file says of the file, and the package has to have: "" is not known.
	HeaderSHA256 string // hex
	Key          string // id of the key that signed it
}

// Size is what the platform's packages take: as files to download and installed, in bytes.
func (p *LockedPlatform) Size() (download, installed int64) {
	for _, pkg := range p.Packages {
		download += pkg.Size
		installed += pkg.InstalledSize
	}
	return download, installed
}

// platform finds the solution for p, nil without one.
func (l *Lock) platform(p Platform) *LockedPlatform {
	if l == nil {
		return nil
	}
	for i := range l.Platforms {
		if l.Platforms[i].Platform == p {
			return &l.Platforms[i]
		}
	}
	return nil
}

// newestBuild is the newest build time of all packages, seconds since 1970.
func (l *Lock) newestBuild() int64 {
	var newest int64
	for i := range l.Platforms {
		newest = max(newest, l.Platforms[i].newestBuild())
	}
	return newest
}

// newestBuild is the newest build time of the platform's packages, seconds since 1970.
func (p *LockedPlatform) newestBuild() int64 {
	var newest int64
	for _, pkg := range p.Packages {
		newest = max(newest, pkg.BuildTime)
	}
	return newest
}
