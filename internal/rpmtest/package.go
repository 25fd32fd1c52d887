package rpmtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Package is a package to be made. Only Name is needed; the zero value of every other field has a meaning.
type Package struct {
	Name string
	EVR  string // [EPOCH:]VERSION[-RELEASE]; default 1-1
	Arch string // default noarch

	Summary   string // default: the name
	License   string // default MIT
	Vendor    string
	SourceRPM string // default NAME-VERSION-RELEASE.src.rpm
	BuildTime int64  // default DefaultTime

	// Dependencies, each "NAME" or "NAME >= EVR" or the text of a rich dependency. The package's own NAME = EVR is added
	// to Provides, the rpmlib() features that the package uses to Requires; nothing else is.
	// A requirement may begin with "pre:", "post:", "preun:", "postun:", "pretrans:" or "posttrans:" (or several
	// separated by commas), as in Requires(pre).
	Provides, Requires, Conflicts, Obsoletes    []string
	Recommends, Suggests, Supplements, Enhances []string

	Files      []File // in any order
	Scriptlets []Scriptlet
	Triggers   []FileTrigger
	Payload    string // compressor: zstd (default), gzip, xz, lzma, none

	// Override replaces or, with a nil value, removes header entries by tag, after everything else was computed: for
	// packages that lie. Values are string, I18N, []string, []uint16, []uint32, []uint64 and []byte.
	Override map[uint32]any
	// Archive, if not nil, is the archive before compression instead of the one made from Files.
	Archive []byte
}

// DefaultTime is the build time and the files' time where none is given: 2023-11-14 22:13:20 UTC.
const DefaultTime = 1700000000

// File is one file of a package.
type File struct {
	Path       string
	Mode       uint32 // as in stat(2); without type bits a regular file; 0 is the default of the kind: 0644, 0755 or 0777
	Content    string
	User       string // default root
	Group      string // default root
	Flags      uint32 // FlagConfig | ...
	Caps       string // as text: cap_net_raw=ep
	Link       string // target: makes it a symbolic link
	HardLinkTo string // path of another File, whose content, mode, owner and time it shares
	Lang       string
	RDev       uint32 // of a device, major<<8 | minor
	Color      uint32
	MTime      int64 // default: the package's build time
}

// Flags of files, RPMFILE_* in include/rpm/rpmfiles.h.
const (
	FlagConfig    = 1 << 0
	FlagDoc       = 1 << 1
	FlagMissingOK = 1 << 3
	FlagNoReplace = 1 << 4
	FlagGhost     = 1 << 6
	FlagLicense   = 1 << 7
	FlagReadme    = 1 << 8
	FlagArtifact  = 1 << 12
)

// File types, as in stat(2).
const (
	typeMask    = 0o170000
	typeFIFO    = 0o010000
	typeChar    = 0o020000
	typeDir     = 0o040000
	typeBlock   = 0o060000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

// Scriptlet is a scriptlet: Slot is pre, post, preun, postun, pretrans or posttrans.
type Scriptlet struct {
	Slot    string
	Program []string // default /bin/sh; <lua> is rpm's own
	Body    string   // may be empty: then the program is all
}

// FileTrigger is a trigger on files: Slot is filetriggerin, filetriggerun, filetriggerpostun, or one of these with
// "trans" before it.
type FileTrigger struct {
	Slot     string
	Prefixes []string // paths
	Priority uint32   // default 1000000, rpm's own
	Program  []string // default /bin/sh
	Body     string
}

// FileName is NAME-VERSION-RELEASE.ARCH.rpm.
func (p *Package) FileName() string {
	_, version, release := p.evr()
	return p.Name + "-" + version + "-" + release + "." + p.arch() + ".rpm"
}

func (p *Package) arch() string { return or(p.Arch, "noarch") }

func (p *Package) evr() (epoch uint32, version, release string) {
	return splitEVR(or(p.EVR, "1-1"), "1")
}

// splitEVR reads [EPOCH:]VERSION[-RELEASE].
func splitEVR(s, defaultRelease string) (epoch uint32, version, release string) {
	if head, tail, ok := strings.Cut(s, ":"); ok {
		n, err := strconv.ParseUint(head, 10, 32)
		if err == nil {
			epoch, s = uint32(n), tail
		}
	}
	if i := strings.LastIndexByte(s, '-'); i >= 0 {
		return epoch, s[:i], s[i+1:]
	}
	return epoch, s, defaultRelease
}

func (p *Package) buildTime() int64 { return or(p.BuildTime, DefaultTime) }

func (p *Package) sourceRPM() string {
	_, version, release := p.evr()
	return or(p.SourceRPM, p.Name+"-"+version+"-"+release+".src.rpm")
}

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Flags of dependencies, RPMSENSE_* in include/rpm/rpmds.h.
const (
	senseLess      = 1 << 1
	senseGreater   = 1 << 2
	senseEqual     = 1 << 3
	sensePosttrans = 1 << 5
	sensePretrans  = 1 << 7
	sensePre       = 1 << 9
	sensePost      = 1 << 10
	sensePreun     = 1 << 11
	sensePostun    = 1 << 12
	senseRpmlib    = 1 << 24

	// sensePrimaryPre are those that primary.xml marks with pre="1".
	sensePrimaryPre = sensePre | sensePost | sensePretrans | sensePosttrans
)

// dependency is one parsed dependency.
type dependency struct {
	name  string
	flags uint32
	evr   string
}

func senseOf(op string) (uint32, bool) {
	switch op {
	case "<":
		return senseLess, true
	case "<=":
		return senseLess | senseEqual, true
	case "=":
		return senseEqual, true
	case ">=":
		return senseGreater | senseEqual, true
	case ">":
		return senseGreater, true
	}
	return 0, false
}

func momentOf(word string) (uint32, bool) {
	switch word {
	case "pre":
		return sensePre, true
	case "post":
		return sensePost, true
	case "preun":
		return sensePreun, true
	case "postun":
		return sensePostun, true
	case "pretrans":
		return sensePretrans, true
	case "posttrans":
		return sensePosttrans, true
	}
	return 0, false
}

func parseDependency(s string) (dependency, error) {
	var d dependency
	s = strings.TrimSpace(s)
	if head, tail, ok := strings.Cut(s, ": "); ok && !strings.ContainsAny(head, " (/") {
		for word := range strings.SplitSeq(head, ",") {
			f, ok := momentOf(word)
			if !ok {
				return d, fmt.Errorf("dependency %q: %q is no moment", s, word)
			}
			d.flags |= f
		}
		s = strings.TrimSpace(tail)
	}
	if strings.HasPrefix(s, "(") {
		d.name = s
		return d, nil
	}
	f := strings.Fields(s)
	if len(f) == 1 {
		d.name = f[0]
		return d, nil
	}
	if len(f) == 3 {
		if sense, ok := senseOf(f[1]); ok {
			d.name, d.flags, d.evr = f[0], d.flags|sense, f[2]
			return d, nil
		}
	}
	return d, fmt.Errorf("dependency %q is neither NAME nor NAME COMPARISON VERSION", s)
}

func parseDependencies(list []string) ([]dependency, error) {
	var out []dependency
	for _, s := range list {
		d, err := parseDependency(s)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// provides are the parsed Provides with the package's own name, which stands last as rpmbuild puts it.
func (p *Package) provides() ([]dependency, error) {
	out, err := parseDependencies(p.Provides)
	if err != nil {
		return nil, err
	}
	epoch, version, release := p.evr()
	own := dependency{p.Name, senseEqual, version + "-" + release}
	if epoch != 0 {
		own.evr = fmt.Sprintf("%d:%s", epoch, own.evr)
	}
	return append(out, own), nil
}

// file is a File with every default filled in.
type file struct {
	File
	inode  uint32
	nlink  int
	last   bool // carries the content of its set of hard links
	size   int64
	isDir  bool
	inCPIO bool
}

// files are the package's files in the order of their paths.
func (p *Package) files() ([]file, error) {
	list := make([]file, len(p.Files))
	byPath := map[string]int{}
	for i, f := range p.Files {
		list[i] = file{File: f, nlink: 1, last: true}
		if err := list[i].complete(p.buildTime()); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(list, func(a, b file) int { return strings.Compare(a.Path, b.Path) })
	for i := range list {
		if _, twice := byPath[list[i].Path]; twice {
			return nil, fmt.Errorf("file %s is there twice", list[i].Path)
		}
		byPath[list[i].Path] = i
		list[i].inode = uint32(i + 1)
	}
	return list, linkHard(list, byPath)
}

func (f *file) complete(time int64) error {
	if !strings.HasPrefix(f.Path, "/") && f.Path != "" {
		return fmt.Errorf("path %q is not absolute", f.Path)
	}
	if f.Link != "" && f.Mode&typeMask == 0 {
		f.Mode |= typeSymlink
		if f.Mode == typeSymlink {
			f.Mode |= 0o777
		}
	}
	if f.Mode == 0 {
		f.Mode = 0o644
	}
	if f.Mode&typeMask == 0 {
		f.Mode |= typeRegular
	}
	if f.Mode == typeDir {
		f.Mode |= 0o755
	}
	f.User, f.Group, f.MTime = or(f.User, "root"), or(f.Group, "root"), or(f.MTime, time)
	f.isDir = f.Mode&typeMask == typeDir
	f.inCPIO = f.Flags&FlagGhost == 0
	switch f.Mode & typeMask {
	case typeDir:
		f.size = 0
	case typeSymlink:
		f.size = int64(len(f.Link))
	case typeRegular:
		f.size = int64(len(f.Content))
	}
	return nil
}

// linkHard gives the members of each set of hard links the inode, the content and the attributes of its File.
func linkHard(list []file, byPath map[string]int) error {
	sets := map[uint32][]int{}
	for i := range list {
		if list[i].HardLinkTo == "" {
			continue
		}
		target, ok := byPath[list[i].HardLinkTo]
		if !ok || list[target].HardLinkTo != "" || list[target].Mode&typeMask != typeRegular {
			return fmt.Errorf("hard link %s to %s, which is no regular file of the package", list[i].Path, list[i].HardLinkTo)
		}
		t := list[target]
		t.Path, t.HardLinkTo = list[i].Path, list[i].HardLinkTo
		list[i] = t
		sets[t.inode] = append(sets[t.inode], i)
	}
	for i := range list {
		if others := sets[list[i].inode]; others != nil && list[i].HardLinkTo == "" {
			members := append(slices.Clone(others), i)
			slices.Sort(members)
			for k, m := range members {
				list[m].nlink = len(members)
				list[m].last = k == len(members)-1
				list[m].inode = uint32(members[0] + 1)
			}
		}
	}
	return nil
}
