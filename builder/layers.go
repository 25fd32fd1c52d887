package builder

import (
	"archive/tar"
	"cmp"
	"context"
	"encoding/binary"
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

const (
	strategySplit   = "split"
	strategySingle  = "single"
	strategyPackage = "package"
)

// maxLayers is the most layers that an image has, whatever its budget: below the limits of every container engine, with
// room for those of images built upon it.
const maxLayers = 100

// LayersError says that an image needs more layers than one may have.
type LayersError struct{ Parent, Own int }

func (e *LayersError) Error() string {
	return fmt.Sprintf("the recipe that it extends has %d layers, and with its own %d the image would have more than %d", e.Parent, e.Own, maxLayers)
}

// part is a layer to be written.
type part struct {
	packages []string
	segments []image.Segment
}

// cut deals the tree out to the layers above those that make below. The packages that are not in below come first, as
// they are, whatever became of their files; what depends on the whole set is the last layer: all that the tree has and
// the layers under it do not show.
func (t *root) cut(l Layers, locked *LockedPlatform, below *stack) ([]part, error) {
	groups, err := t.groups(l, locked, below)
	if err != nil {
		return nil, err
	}
	d := &dealer{root: t, carriers: t.plan.LinkSets(), locked: locked.byNEVRA(), shows: maps.Clone(below.shows)}
	if d.shows == nil {
		d.shows = overlay{}
	}
	if l.Strategy == strategySingle {
		return d.single(groups, below)
	}
	var parts []part
	for _, members := range groups {
		p, err := d.part(members, d.directories(members), nil)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	wanted, err := t.shows()
	if err != nil {
		return nil, err
	}
	return append(parts, part{segments: []image.Segment{t.changes(d.shows, wanted, below.shows).segment(t)}}), nil
}

// bigPackage is the installed size from which the packages of one source have a layer of their own: below it another
// request to the registry costs more than it saves.
const bigPackage = 2 << 20

// group are packages that go into a layer together.
type group struct {
	key     string
	size    int64
	members []int
}

// groups are the packages of each layer but the last, each by NEVRA. They follow from the lock alone: the packages of one
// source that the same recipes take are a group; big ones have a layer each, and the small ones that the same recipes take
// have one together, so that what two images share is one layer in both. Where that is more than there is room for, the
// smallest groups go together.
func (t *root) groups(l Layers, locked *LockedPlatform, below *stack) ([][]int, error) {
	room, err := l.room(len(below.layers))
	if err != nil {
		return nil, err
	}
	known := map[string]LockedPackage{}
	for _, p := range locked.Packages {
		known[p.NEVRA.String()] = p
	}
	big, small := groupSet{}, groupSet{}
	for i, pkg := range t.packages {
		name := pkg.NEVRA().String()
		if below.packages[name] {
			continue
		}
		p := known[name]
		switch l.Strategy {
		case strategySingle:
			big.add("", i, p.InstalledSize)
		case strategyPackage:
			big.add(name, i, p.InstalledSize)
		default:
			big.add(p.Sharers+"\x00"+sourceName(pkg.Header().Text(rpm.TagSourceRPM)), i, p.InstalledSize)
		}
	}
	if l.Strategy == strategySplit {
		for key, g := range big {
			if g.size >= bigPackage {
				continue
			}
			delete(big, key)
			sharers, _, _ := strings.Cut(key, "\x00")
			for _, i := range g.members {
				small.add(sharers, i, known[t.packages[i].NEVRA().String()].InstalledSize)
			}
		}
	}
	sorted := append(big.sorted(), small.sorted()...)
	for len(sorted) > room {
		sorted = mergeSmallest(sorted)
	}
	out := make([][]int, len(sorted))
	for k, g := range sorted {
		out[k] = g.members
		slices.SortFunc(out[k], func(a, b int) int {
			return strings.Compare(t.packages[a].NEVRA().String(), t.packages[b].NEVRA().String())
		})
	}
	return out, nil
}

// groupSet are groups by key.
type groupSet map[string]*group

func (s groupSet) add(key string, member int, size int64) {
	if s[key] == nil {
		s[key] = &group{key: key}
	}
	s[key].members = append(s[key].members, member)
	s[key].size += size
}

// sorted are the groups, the biggest first.
func (s groupSet) sorted() []*group {
	return slices.SortedFunc(maps.Values(s), func(a, b *group) int { return cmp.Or(cmp.Compare(b.size, a.size), strings.Compare(a.key, b.key)) })
}

// mergeSmallest puts the two smallest groups together, in the place of the later one.
func mergeSmallest(groups []*group) []*group {
	smallest := func(but int) int {
		at := -1
		for k, g := range groups {
			if k != but && (at < 0 || g.size <= groups[at].size) {
				at = k
			}
		}
		return at
	}
	a := smallest(-1)
	b := smallest(a)
	merged := &group{key: groups[a].key, size: groups[a].size + groups[b].size, members: slices.Concat(groups[a].members, groups[b].members)}
	out := slices.Clone(groups)
	out[max(a, b)] = merged
	return slices.Delete(out, min(a, b), min(a, b)+1)
}

// room is how many layers of packages there may be between parent layers and the last one. With split the first recipe
// of a family leaves half of the budget to those that extend it, and one that finds the budget used up has one layer
// nevertheless.
func (l Layers) room(parent int) (int, error) {
	own := 1
	switch l.Strategy {
	case strategySingle:
	case strategyPackage:
		own = max(own, min(l.Budget, maxLayers)-parent-1)
	default:
		left := l.Budget - parent
		if parent == 0 {
			left = (left + 1) / 2
		}
		own = max(own, left-1)
	}
	last := 1
	if l.Strategy == strategySingle {
		last = 0
	}
	if parent+own+last > maxLayers {
		return 0, &LayersError{Parent: parent, Own: own + last}
	}
	return own, nil
}

// sourceName is the name of a source package from its file name.
func sourceName(file string) string {
	n, err := rpm.ParseNEVRA(strings.TrimSuffix(file, ".rpm"))
	if err != nil {
		return file
	}
	return n.Name
}

// dealer deals packages out, and keeps what the layers show so far.
type dealer struct {
	*root
	carriers [][]int
	locked   map[rpm.NEVRA]*LockedPackage
	shows    overlay
}

// part is the layer of some packages, less the paths that skip has.
func (d *dealer) part(members []int, directories []*rootfs.Node, skip map[string]bool) (part, error) {
	first, err := directorySegment(directories)
	if err != nil {
		return part{}, err
	}
	p := part{segments: []image.Segment{first}}
	for _, n := range directories {
		d.shows.add(n.Path, shown{node: n})
	}
	for _, i := range members {
		p.packages = append(p.packages, d.packages[i].NEVRA().String())
		nodes := d.nodes(i)
		sets := d.linkSets(nodes)
		for _, n := range nodes {
			d.shows.add(n.Path, shown{node: n, content: d.digest(n), links: sets[n.Path]})
		}
		s, err := d.segment(i, skip)
		if err != nil {
			return p, err
		}
		p.segments = append(p.segments, s)
	}
	slices.Sort(p.packages)
	return p, nil
}

// nodes are the paths that package i brings, directories aside.
func (d *dealer) nodes(i int) []*rootfs.Node {
	var out []*rootfs.Node
	for f := range d.packages[i].Files() {
		if n := d.plan.Installed(rootfs.Owner{Package: i, File: f}); n != nil && !n.IsDir() {
			out = append(out, n)
		}
	}
	return out
}

// directories are those that packages own and the parents of all that they have, by path. One that is not theirs is
// dated like the first of them that needs it, so that it does not depend on who owns it.
func (d *dealer) directories(members []int) []*rootfs.Node {
	wanted := map[string]*rootfs.Node{}
	for _, i := range members {
		built, _ := d.packages[i].Header().Uint64(rpm.TagBuildTime)
		for f := range d.packages[i].Files() {
			n := d.plan.Installed(rootfs.Owner{Package: i, File: f})
			if n == nil {
				continue
			}
			if n.IsDir() {
				wanted[n.Path] = n
			}
			for dir := path.Dir(n.Path); dir != "/" && wanted[dir] == nil; dir = path.Dir(dir) {
				foreign := *d.plan.Node(dir)
				if !slices.Contains(members, foreign.Package) {
					foreign.MTime = int64(built)
				}
				wanted[dir] = &foreign
			}
		}
	}
	return byPath(wanted)
}

func byPath(nodes map[string]*rootfs.Node) []*rootfs.Node {
	out := make([]*rootfs.Node, 0, len(nodes))
	for _, p := range slices.Sorted(maps.Keys(nodes)) {
		out = append(out, nodes[p])
	}
	return out
}

// directorySegment writes directories, parents first.
func directorySegment(nodes []*rootfs.Node) (image.Segment, error) {
	b := fmt.Appendln(nil, "directories", image.HeaderVersion())
	for _, n := range nodes {
		var err error
		if b, err = image.AppendHeaderKey(b, n); err != nil {
			return image.Segment{}, err
		}
	}
	return image.Segment{Name: "directories", ID: hexSHA256(b), Write: func(_ context.Context, w *tar.Writer) error {
		return writeHeaders(w, nodes)
	}}, nil
}

func writeHeaders(w *tar.Writer, nodes []*rootfs.Node) error {
	for _, n := range nodes {
		if err := writeHeader(w, n); err != nil {
			return err
		}
	}
	return nil
}

func writeHeader(w *tar.Writer, n *rootfs.Node) error {
	h, err := image.Header(n)
	if err != nil {
		return err
	}
	return w.WriteHeader(h)
}

// single is one layer of all: of the packages' files those that are as the packages have them, and the rest.
func (d *dealer) single(groups [][]int, below *stack) ([]part, error) {
	members := slices.Concat(groups...)
	wanted, err := d.root.shows()
	if err != nil {
		return nil, err
	}
	if _, err := d.part(members, nil, nil); err != nil {
		return nil, err
	}
	c := d.changes(d.shows, wanted, below.shows)
	skip := map[string]bool{}
	directories := map[string]*rootfs.Node{}
	for _, n := range c.directories {
		directories[n.Path] = n
	}
	c.directories = nil
	for _, n := range c.nodes {
		skip[n.Path] = true
	}
	for _, i := range members {
		for _, n := range d.nodes(i) {
			if wanted[n.Path].node == nil {
				skip[n.Path] = true
				continue
			}
			for dir := path.Dir(n.Path); dir != "/"; dir = path.Dir(dir) {
				directories[dir] = wanted[dir].node
			}
		}
	}
	p, err := d.part(members, byPath(directories), skip)
	if err != nil {
		return nil, err
	}
	p.segments = append(p.segments, c.segment(d.root))
	return []part{p}, nil
}

// segment writes what package i brings, directories and the paths of skip aside, in the order of its payload. The content
// of a set of hard links comes with its last member; it is written with the first that stayed, and the others as links to
// it.
func (d *dealer) segment(i int, skip map[string]bool) (image.Segment, error) {
	s := &segmentWriter{dealer: d, pkg: i, skip: skip, links: map[int][]int{}}
	for f, c := range d.carriers[i] {
		if c >= 0 && c != f && s.node(f) != nil {
			s.links[c] = append(s.links[c], f)
		}
	}
	id, err := s.id(d.locked[d.packages[i].NEVRA()].Checksum.String())
	return image.Segment{Name: d.packages[i].NEVRA().String(), ID: id, Write: s.write}, err
}

// segmentWriter writes the segment of a package.
type segmentWriter struct {
	*dealer
	pkg   int
	skip  map[string]bool
	links map[int][]int // further members of hard link sets, by the first
}

// node is what file f of the package becomes, nil for nothing.
func (s *segmentWriter) node(f int) *rootfs.Node {
	n := s.plan.Installed(rootfs.Owner{Package: s.pkg, File: f})
	if n == nil || s.skip[n.Path] {
		return nil
	}
	return n
}

// id names the bytes of a segment: the package they come from, and what stands in the tar for each of its files. Which
// content follows, and in which order, is the payload's.
func (s *segmentWriter) id(checksum string) (string, error) {
	carriers := s.carriers[s.pkg]
	b := fmt.Appendln(nil, checksum, image.HeaderVersion(), len(carriers))
	for f := range carriers {
		b = binary.AppendVarint(b, int64(carriers[f]))
		if n := s.node(f); n != nil && !n.IsDir() {
			var err error
			if b, err = image.AppendHeaderKey(append(b, 1), n); err != nil {
				return "", err
			}
		} else {
			b = append(b, 0)
		}
	}
	return hexSHA256(b), nil
}

func (s *segmentWriter) write(ctx context.Context, w *tar.Writer) error {
	payload, err := s.contents.payload(s.packages[s.pkg], func(f int) bool { return s.node(f) != nil })
	if err != nil {
		return err
	}
	content := s.contents.reader()
	defer s.contents.readers.Put(content)
	for _, e := range payload.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.entry(w, e, content); err != nil {
			return err
		}
	}
	return nil
}

func (s *segmentWriter) entry(w *tar.Writer, e payloadEntry, content *contentReader) error {
	if !s.packages[s.pkg].Files()[e.File].IsRegular() {
		if n := s.node(e.File); n != nil && !n.IsDir() {
			return writeHeader(w, n)
		}
		return nil
	}
	carrier := s.carriers[s.pkg][e.File]
	if !e.HasContent || carrier < 0 {
		return nil
	}
	n := s.node(carrier)
	if n == nil {
		return nil
	}
	if err := writeHeader(w, n); err != nil {
		return err
	}
	if err := content.copy(w, e.section); err != nil {
		return fmt.Errorf("content of %s: %w", n.Path, err)
	}
	for _, f := range s.links[carrier] {
		if err := writeHeader(w, s.node(f)); err != nil {
			return err
		}
	}
	return nil
}

// segment writes a last layer: what it takes away, its directories, and the rest by path.
func (c *changes) segment(t *root) image.Segment {
	return image.Segment{Name: "what depends on the whole", Write: func(ctx context.Context, w *tar.Writer) error {
		if err := writeHeaders(w, c.directories); err != nil {
			return err
		}
		for _, p := range c.gone {
			mark := &rootfs.Node{Path: path.Join(path.Dir(p), whiteout+path.Base(p)), Mode: rpm.ModeRegular | 0o644, MTime: t.epoch, Package: -1}
			if err := writeHeader(w, mark); err != nil {
				return err
			}
		}
		first := map[string]string{}
		for _, n := range c.nodes {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := t.writeChange(w, n, c.sets[n.Path], first); err != nil {
				return fmt.Errorf("%s: %w", n.Path, err)
			}
		}
		return nil
	}}
}

// whiteout begins the name of what takes a path of a lower layer away (image-spec layer.md).
const whiteout = ".wh."

// writeChange writes a node with its content, or as a hard link when first has another one of its set.
func (t *root) writeChange(w *tar.Writer, n *rootfs.Node, set string, first map[string]string) error {
	entry := *n
	entry.HardTo = ""
	if n.IsRegular() && set != "" {
		entry.HardTo = first[set]
		if entry.HardTo == "" {
			first[set] = n.Path
		}
	}
	if err := writeHeader(w, &entry); err != nil || !n.IsRegular() || entry.HardTo != "" {
		return err
	}
	r, err := t.open(n)
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
