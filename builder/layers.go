package builder

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"slim/internal/image"
	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// part is a layer to be written.
type part struct {
	packages []string
	segments []image.Segment
}

// cut deals the tree out to layers, as product of the packages alone: the biggest groups of packages of one source
// package first, a layer each, then the rest in one; the last layer holds what depends on the whole.
func (t *root) cut(l Layers, locked *LockedPlatform) ([]part, error) {
	carriers := t.tree.LinkSets()
	checksums := map[rpm.NEVRA]string{}
	for _, p := range locked.Packages {
		checksums[p.NEVRA] = p.Checksum.String()
	}
	var parts []part
	for _, members := range t.groups(l, locked) {
		p := part{segments: []image.Segment{t.directories(members)}}
		for _, i := range members {
			p.packages = append(p.packages, t.packages[i].NEVRA().String())
			s, err := t.segment(i, carriers[i], checksums[t.packages[i].NEVRA()])
			if err != nil {
				return nil, err
			}
			p.segments = append(p.segments, s)
		}
		slices.Sort(p.packages)
		parts = append(parts, p)
	}
	return append(parts, part{segments: []image.Segment{t.generated()}}), nil
}

// groups are the packages of each layer but the last, each in install order.
func (t *root) groups(l Layers, locked *LockedPlatform) [][]int {
	size := map[string]int64{}
	for _, p := range locked.Packages {
		size[p.NEVRA.String()] = p.InstalledSize
	}
	type group struct {
		source  string
		size    int64
		members []int
	}
	byKey := map[string]*group{}
	var groups []*group
	for i, pkg := range t.packages {
		key := sourceName(pkg.Header().Text(rpm.TagSourceRPM))
		switch l.Strategy {
		case "single":
			key = ""
		case "package":
			key = pkg.NEVRA().String()
		}
		if byKey[key] == nil {
			byKey[key] = &group{source: key}
			groups = append(groups, byKey[key])
		}
		byKey[key].members = append(byKey[key].members, i)
		byKey[key].size += size[pkg.NEVRA().String()]
	}
	slices.SortFunc(groups, func(a, b *group) int { return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.source, b.source)) })
	var out [][]int
	for k, g := range groups {
		if k < l.Budget-2 || len(groups) <= l.Budget-1 {
			out = append(out, g.members)
			continue
		}
		if k == l.Budget-2 {
			out = append(out, nil)
		}
		out[l.Budget-2] = append(out[l.Budget-2], g.members...)
	}
	for _, members := range out {
		slices.Sort(members)
	}
	return out
}

// sourceName is the name of a source package from its file name.
func sourceName(file string) string {
	n, err := rpm.ParseNEVRA(strings.TrimSuffix(file, ".rpm"))
	if err != nil {
		return file
	}
	return n.Name
}

// directories writes the directories of a layer of packages: those they own and the parents of all they have.
func (t *root) directories(members []int) image.Segment {
	wanted := map[string]bool{}
	for _, i := range members {
		for f := range t.packages[i].Files() {
			owner := rootfs.Owner{Package: i, File: f}
			if n := t.tree.Installed(owner); n != nil {
				if n.IsDir() {
					wanted[n.Path] = true
				}
				addParents(wanted, n.Path)
			}
		}
	}
	return directorySegment(wanted, t.tree.Base)
}

func addParents(wanted map[string]bool, p string) {
	for d := path.Dir(p); d != "/" && !wanted[d]; d = path.Dir(d) {
		wanted[d] = true
	}
}

// directorySegment writes directories, parents first.
func directorySegment(wanted map[string]bool, node func(p string) *rootfs.Node) image.Segment {
	return image.Segment{Name: "directories", Write: func(_ context.Context, w *tar.Writer) error {
		for _, p := range slices.Sorted(maps.Keys(wanted)) {
			if err := writeHeader(w, node(p)); err != nil {
				return err
			}
		}
		return nil
	}}
}

func writeHeader(w *tar.Writer, n *rootfs.Node) error {
	h, err := image.Header(n)
	if err != nil {
		return err
	}
	return w.WriteHeader(h)
}

// segment writes what package i brings, directories aside, in the order of its payload. The content of a set of hard
// links comes with its last member; it is written with the first that stayed, and the others as links to it.
func (t *root) segment(i int, carriers []int, checksum string) (image.Segment, error) {
	links := map[int][]int{}
	for f, c := range carriers {
		if n := t.tree.Installed(rootfs.Owner{Package: i, File: f}); c >= 0 && c != f && n != nil {
			links[c] = append(links[c], f)
		}
	}
	id, err := t.segmentID(i, carriers, checksum)
	return image.Segment{Name: t.packages[i].NEVRA().String(), ID: id, Write: func(ctx context.Context, w *tar.Writer) error {
		payload, err := t.contents.payload(i)
		if err != nil {
			return err
		}
		for _, e := range payload.entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.writeEntry(w, i, e, carriers[e.File], links); err != nil {
				return err
			}
		}
		return nil
	}}, err
}

// segmentID names the bytes of a segment: the package they come from, and what stands in the tar for each of its files.
// Which content follows, and in which order, is the payload's.
func (t *root) segmentID(i int, carriers []int, checksum string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, checksum, len(carriers))
	var b []byte
	for f := range carriers {
		n := t.tree.Installed(rootfs.Owner{Package: i, File: f})
		b = binary.BigEndian.AppendUint64(b[:0], uint64(carriers[f]))
		if n != nil && !n.IsDir() {
			var err error
			if b, err = image.AppendHeader(b, n); err != nil {
				return "", err
			}
		}
		fmt.Fprintln(h, len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (t *root) writeEntry(w *tar.Writer, i int, e payloadEntry, carrier int, links map[int][]int) error {
	if t.packages[i].Files()[e.File].IsRegular() {
		if !e.HasContent || carrier < 0 {
			return nil
		}
		n := t.tree.Installed(rootfs.Owner{Package: i, File: carrier})
		if n == nil {
			return nil
		}
		if err := writeHeader(w, n); err != nil {
			return err
		}
		if _, err := io.Copy(w, t.contents.read(e.section)); err != nil {
			return fmt.Errorf("content of %s: %w", n.Path, err)
		}
		for _, f := range links[carrier] {
			if err := writeHeader(w, t.tree.Installed(rootfs.Owner{Package: i, File: f})); err != nil {
				return err
			}
		}
		return nil
	}
	n := t.tree.Installed(rootfs.Owner{Package: i, File: e.File})
	if n == nil || n.IsDir() {
		return nil
	}
	return writeHeader(w, n)
}

// generated writes what no package's payload carries: the recipe's files, accounts, the rpmdb.
func (t *root) generated() image.Segment {
	var nodes []*rootfs.Node
	wanted := map[string]bool{}
	for _, n := range t.tree.Nodes() {
		if n.Package >= 0 || n.Path == "/" || n.IsImplied() {
			continue
		}
		addParents(wanted, n.Path)
		if n.IsDir() {
			wanted[n.Path] = true
			continue
		}
		nodes = append(nodes, n)
	}
	return image.Segment{Name: "generated files", Write: func(ctx context.Context, w *tar.Writer) error {
		if err := directorySegment(wanted, t.tree.Node).Write(ctx, w); err != nil {
			return err
		}
		for _, n := range nodes {
			if err := writeGenerated(w, n); err != nil {
				return fmt.Errorf("%s: %w", n.Path, err)
			}
		}
		return nil
	}}
}

func writeGenerated(w *tar.Writer, n *rootfs.Node) error {
	if err := writeHeader(w, n); err != nil || !n.IsRegular() || n.HardTo != "" {
		return err
	}
	r, err := n.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(w, io.LimitReader(r, n.Size+1))
	if errors.Is(err, tar.ErrWriteTooLong) {
		return errors.New("it grew while it was read")
	}
	return err
}
