package audit

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// Change is one path that two roots have differently.
type Change struct {
	Path   string
	Before *Side // nil for a path that was added
	After  *Side // nil for one that was removed
	// Aspects are what differs, in the order of their constants; of a path that one side does not have, only those that
	// give it a privilege.
	Aspects []Aspect
}

// Side is one side of a change.
type Side struct {
	Mode     uint32 // type and permissions
	UID, GID uint32
	Size     int64
	Link     string
	Caps     []byte
	Device   string
}

// Aspect is one way in which a path differs.
type Aspect string

const (
	DiffType    Aspect = "type"
	DiffContent Aspect = "content"
	DiffMode    Aspect = "mode"
	DiffSetuid  Aspect = "setuid" // a setuid or setgid bit of a file
	DiffOwner   Aspect = "owner"
	DiffLink    Aspect = "link"
	DiffCaps    Aspect = "capabilities"
	DiffDevice  Aspect = "device"
)

// Diff compares two lists of nodes, each sorted by path. Times, and which names are links of each other, are not compared.
// Content is read only where sizes are equal; the errors are those of reading.
func Diff(before, after []*rootfs.Node) ([]Change, error) {
	out := []Change{}
	for i, j := 0, 0; i < len(before) || j < len(after); {
		var c Change
		var err error
		switch {
		case j == len(after) || i < len(before) && before[i].Path < after[j].Path:
			c = Change{Path: before[i].Path, Before: sideOf(before[i]), Aspects: privileges(before[i])}
			i++
		case i == len(before) || after[j].Path < before[i].Path:
			c = Change{Path: after[j].Path, After: sideOf(after[j]), Aspects: privileges(after[j])}
			j++
		default:
			c, err = changed(before[i], after[j])
			i, j = i+1, j+1
		}
		if err != nil {
			return nil, err
		}
		if c.Before == nil || c.After == nil || len(c.Aspects) > 0 {
			out = append(out, c)
		}
	}
	return out, nil
}

func sideOf(n *rootfs.Node) *Side {
	s := &Side{Mode: n.Mode, UID: n.UID, GID: n.GID, Size: n.Size, Link: n.Link, Caps: plainCaps(n.Caps)}
	if kind := n.Mode & rpm.ModeType; kind == rpm.ModeChar || kind == rpm.ModeBlock {
		s.Device = device(n.Major, n.Minor)
	}
	return s
}

const setIDs = 0o6000

// privileges are the aspects of a path alone.
func privileges(n *rootfs.Node) []Aspect {
	var out []Aspect
	if n.IsRegular() && n.Mode&setIDs != 0 {
		out = append(out, DiffSetuid)
	}
	if len(n.Caps) > 0 {
		out = append(out, DiffCaps)
	}
	return out
}

func changed(a, b *rootfs.Node) (Change, error) {
	c := Change{Path: a.Path, Before: sideOf(a), After: sideOf(b)}
	x, y := c.Before, c.After
	note := func(differs bool, aspect Aspect) {
		if differs {
			c.Aspects = append(c.Aspects, aspect)
		}
	}
	sameType := x.Mode&rpm.ModeType == y.Mode&rpm.ModeType
	note(!sameType, DiffType)
	if sameType && a.IsRegular() {
		same, err := equalContent(a, b)
		if err != nil {
			return c, err
		}
		note(!same, DiffContent)
	}
	if !a.IsSymlink() && !b.IsSymlink() {
		note((x.Mode^y.Mode)&0o7777 != 0, DiffMode)
		note((x.Mode^y.Mode)&setIDs != 0 && (a.IsRegular() || b.IsRegular()), DiffSetuid)
	}
	note(x.UID != y.UID || x.GID != y.GID, DiffOwner)
	note(sameType && x.Link != y.Link, DiffLink)
	note(!bytes.Equal(x.Caps, y.Caps), DiffCaps)
	note(sameType && x.Device != y.Device, DiffDevice)
	return c, nil
}

// equalContent reads both until they differ.
func equalContent(a, b *rootfs.Node) (bool, error) {
	if a.Size != b.Size || a.Size == 0 {
		return a.Size == b.Size, nil
	}
	x, err := a.Open()
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", a.Path, err)
	}
	defer x.Close()
	y, err := b.Open()
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", b.Path, err)
	}
	defer y.Close()
	n := min(a.Size, hashBuffer)
	p, q := make([]byte, n), make([]byte, n)
	for {
		i, err1 := io.ReadFull(x, p)
		j, err2 := io.ReadFull(y, q)
		switch {
		case err1 != nil && !isEnd(err1):
			return false, fmt.Errorf("reading %s: %w", a.Path, err1)
		case err2 != nil && !isEnd(err2):
			return false, fmt.Errorf("reading %s: %w", b.Path, err2)
		case !bytes.Equal(p[:i], q[:j]):
			return false, nil
		case err1 != nil || err2 != nil:
			return err1 != nil && err2 != nil, nil
		}
	}
}

func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// Text is what differs, in a few words: "mode 0644 -> 4755".
func (c *Change) Text(a Aspect) string {
	say := func(s *Side, of func(*Side) string) string {
		if s == nil {
			return "none"
		}
		return of(s)
	}
	of := map[Aspect]func(*Side) string{
		DiffType:   func(s *Side) string { return typeName(s.Mode) },
		DiffMode:   func(s *Side) string { return octal(s.Mode) },
		DiffSetuid: func(s *Side) string { return octal(s.Mode & setIDs) },
		DiffOwner:  func(s *Side) string { return fmt.Sprintf("%d:%d", s.UID, s.GID) },
		DiffLink:   func(s *Side) string { return s.Link },
		DiffDevice: func(s *Side) string { return s.Device },
		DiffContent: func(s *Side) string {
			return fmt.Sprintf("%d bytes", s.Size)
		},
		DiffCaps: func(s *Side) string {
			if len(s.Caps) == 0 {
				return "none"
			}
			return fmt.Sprintf("%x", s.Caps)
		},
	}[a]
	from, to := say(c.Before, of), say(c.After, of)
	if a == DiffContent && from == to {
		return string(a)
	}
	return string(a) + " " + from + " -> " + to
}

// PackageChange is a package, by name and architecture, that two roots have in different builds.
type PackageChange struct {
	Name, Arch    string
	Before, After []Build // sorted; empty for a package that was added or removed
}

// Build is one build of a package.
type Build struct {
	NEVRA  rpm.NEVRA
	SHA256 string // of its header
}

// DiffPackages compares two lists of packages. Builds of one name that both sides have are no change.
func DiffPackages(before, after []Package) []PackageChange {
	byName := map[[2]string]*PackageChange{}
	var keys [][2]string
	add := func(all []Package, side func(*PackageChange) *[]Build) {
		for i := range all {
			key := [2]string{all[i].NEVRA.Name, all[i].NEVRA.Arch}
			if byName[key] == nil {
				byName[key] = &PackageChange{Name: key[0], Arch: key[1]}
				keys = append(keys, key)
			}
			list := side(byName[key])
			*list = append(*list, Build{all[i].NEVRA, all[i].SHA256})
		}
	}
	add(before, func(c *PackageChange) *[]Build { return &c.Before })
	add(after, func(c *PackageChange) *[]Build { return &c.After })
	slices.SortFunc(keys, func(a, b [2]string) int { return strings.Compare(a[0]+"\x00"+a[1], b[0]+"\x00"+b[1]) })
	out := []PackageChange{}
	for _, key := range keys {
		c := byName[key]
		for _, list := range []*[]Build{&c.Before, &c.After} {
			slices.SortFunc(*list, func(a, b Build) int {
				if n := a.NEVRA.Compare(b.NEVRA); n != 0 {
					return n
				}
				return strings.Compare(a.SHA256, b.SHA256)
			})
		}
		if !slices.Equal(c.Before, c.After) {
			out = append(out, *c)
		}
	}
	return out
}
