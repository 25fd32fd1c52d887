package builder

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"slim/internal/image"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/trim"
)

// Image is a built image: one for each platform of the recipe, and an index over them when there are several. Its
// layers are files of a work directory until Close.
type Image struct {
	Name      string
	Created   time.Time // SOURCE_DATE_EPOCH, or the newest build time of the packages
	Platforms []PlatformImage
	Index     v1.ImageIndex // nil for one platform

	work string
}

// PlatformImage is the image of one platform and what is known of how it came to be.
type PlatformImage struct {
	Platform Platform
	Image    v1.Image
	Layers   []Layer
	Packages []LockedPackage
	Stripped []Stripped
	// Unevaluated are the scriptlets that the recipe skips: what they would have made is missing in the image.
	Unevaluated []Scriptlet
}

// Layer is one layer: Packages are the NEVRAs it holds files of.
type Layer struct {
	v1.Layer
	Packages []string
}

// Stripped counts what one rule left out.
type Stripped struct {
	Rule  string
	Files int
	Bytes int64
}

// Scriptlet names a scriptlet of a package.
type Scriptlet struct {
	Package     string // NEVRA
	Slot        string
	Interpreter string
}

// Close removes the image's files.
func (i *Image) Close() error { return os.RemoveAll(i.work) }

// Build makes the image of a recipe from the packages of its lock. The caller closes it. A package that does not verify
// is a *VerifyError; every one is named.
func Build(ctx context.Context, r *Recipe, lock *Lock, o Options) (_ *Image, err error) {
	work, err := o.workDir()
	if err != nil {
		return nil, err
	}
	img := &Image{Name: r.Name, work: work, Created: time.Unix(lock.newestBuild(), 0).UTC()}
	defer func() {
		if err != nil {
			img.Close()
		}
	}()
	if o.Epoch != nil {
		img.Created = time.Unix(*o.Epoch, 0).UTC()
	}
	client, done, err := o.client(nil)
	if err != nil {
		return nil, err
	}
	defer done()
	for _, p := range r.Platforms {
		keys := &rpm.Keyring{}
		if r.Repository.GPGCheck {
			if keys, err = loadKeys(ctx, client, r.Repository, p, o); err != nil {
				return nil, err
			}
		}
		set, err := fetchPackages(ctx, client, lock.platform(p), keys, !r.Repository.GPGCheck, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		built, err := img.platform(ctx, r, lock.platform(p), set.packages, o)
		set.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		img.Platforms = append(img.Platforms, *built)
	}
	return img, img.index(r)
}

// index puts the platforms' images under one index.
func (i *Image) index(r *Recipe) error {
	if len(i.Platforms) < 2 {
		return nil
	}
	images, platforms := make([]v1.Image, len(i.Platforms)), make([]v1.Platform, len(i.Platforms))
	for k, p := range i.Platforms {
		images[k] = p.Image
		platforms[k] = p.Platform.v1()
	}
	var err error
	i.Index, err = image.Index(images, platforms, i.annotations(r))
	return err
}

// platform builds the image of one platform.
func (i *Image) platform(ctx context.Context, r *Recipe, l *LockedPlatform, packages []*rpm.Package, o Options) (*PlatformImage, error) {
	remark := func(message string) { o.Report.Report(Event{Phase: PhaseTree, Message: message}) }
	o.Report.Report(Event{Phase: PhaseTree, TotalItems: len(packages)})
	t, err := newRoot(ctx, r, l.Platform, packages, i.Created.Unix(), i.work, remark)
	if err != nil {
		return nil, err
	}
	defer t.close()
	out := &PlatformImage{Platform: l.Platform, Packages: l.Packages, Stripped: t.stripped(), Unevaluated: t.unevaluated()}
	cut := t.cut(r.Layers, l)
	if out.Layers, err = i.writeLayers(ctx, r, cut, o); err != nil {
		return nil, err
	}
	spec, err := i.spec(r, t, out, o)
	if err != nil {
		return nil, err
	}
	if out.Image, err = image.New(*spec); err != nil {
		return nil, err
	}
	return out, nil
}

// writeLayers writes the layers, and returns them in order. Of many layers each has one goroutine to compress and as many
// are written at once as there are jobs: while the last package of one is unpacked, another keeps the processors busy.
// Of few each has them all.
func (i *Image) writeLayers(ctx context.Context, r *Recipe, cut []part, o Options) ([]Layer, error) {
	atOnce, each := o.jobs(), 1
	if len(cut) < 2*atOnce {
		atOnce, each = 1, o.jobs()
	}
	layers := make([]Layer, len(cut))
	var mu sync.Mutex
	var done int
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	o.Report.Report(Event{Phase: PhaseLayers, TotalItems: len(cut)})
	for k, part := range cut {
		group.Go(func() error {
			layer, err := image.WriteLayer(ctx, part.segments, image.LayerOptions{Dir: i.work, Compression: r.Layers.Compression, Jobs: each})
			if err != nil {
				return fmt.Errorf("writing layer %d: %w", k+1, err)
			}
			layers[k] = Layer{Layer: layer, Packages: part.packages}
			mu.Lock()
			defer mu.Unlock()
			done++
			o.Report.Report(Event{Phase: PhaseLayers, Items: done, TotalItems: len(cut)})
			return nil
		})
	}
	return layers, group.Wait()
}

// part is a layer to be written.
type part struct {
	packages []string
	segments []image.Segment
}

// cut deals the tree out to layers, as product of the packages alone: the biggest groups of packages of one source
// package first, a layer each, then the rest in one; the last layer holds what depends on the whole.
func (t *root) cut(l Layers, locked *LockedPlatform) []part {
	carriers := t.tree.LinkSets()
	var parts []part
	for _, members := range t.groups(l, locked) {
		p := part{segments: []image.Segment{t.directories(members)}}
		for _, i := range members {
			p.packages = append(p.packages, t.packages[i].NEVRA().String())
			p.segments = append(p.segments, t.segment(i, carriers[i]))
		}
		slices.Sort(p.packages)
		parts = append(parts, p)
	}
	return append(parts, part{segments: []image.Segment{t.generated()}})
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
func (t *root) segment(i int, carriers []int) image.Segment {
	return image.Segment{Name: t.packages[i].NEVRA().String(), Write: func(ctx context.Context, w *tar.Writer) error {
		payload, err := t.packages[i].Payload()
		if err != nil {
			return err
		}
		defer payload.Close()
		links := map[int][]int{}
		for f, c := range carriers {
			if n := t.tree.Installed(rootfs.Owner{Package: i, File: f}); c >= 0 && c != f && n != nil {
				links[c] = append(links[c], f)
			}
		}
		for {
			if err := ctx.Err(); err != nil {
				return err
			}
			e, err := payload.Next()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if err := t.writeEntry(w, i, e, carriers[e.File], links, payload); err != nil {
				return err
			}
		}
	}}
}

func (t *root) writeEntry(w *tar.Writer, i int, e rpm.PayloadEntry, carrier int, links map[int][]int, content io.Reader) error {
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
		if _, err := io.Copy(w, content); err != nil {
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

// stripped counts by rule what was left out: files and links, not directories; a set of hard links once, when all of it
// went.
func (t *root) stripped() []Stripped {
	rules := []trim.Rule{trim.Docs, trim.Locales, trim.Paths}
	out := make([]Stripped, len(rules))
	for k, rule := range rules {
		out[k].Rule = string(rule)
	}
	type inode struct {
		pkg       int
		dev, node uint32
	}
	counted := map[inode]bool{}
	for i, pkg := range t.packages {
		for f, file := range pkg.Files() {
			if t.tree.Installed(rootfs.Owner{Package: i, File: f}) != nil {
				counted[inode{i, file.Dev, file.Inode}] = true
			}
		}
	}
	for _, removal := range t.removed {
		file := t.packages[removal.Package].Files()[removal.File]
		if file.IsDir() || file.Flags&rpm.FileGhost != 0 {
			continue
		}
		s := &out[slices.Index(rules, removal.Rule)]
		s.Files++
		if key := (inode{removal.Package, file.Dev, file.Inode}); file.IsRegular() && !counted[key] {
			counted[key] = true
			s.Bytes += file.Size
		}
	}
	return out
}

// defaultPath is the PATH of an image whose recipe names none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// spec is the config of the image.
func (i *Image) spec(r *Recipe, t *root, built *PlatformImage, o Options) (*image.Spec, error) {
	s := &image.Spec{
		OS: built.Platform.OS, Architecture: built.Platform.Architecture, Variant: built.Platform.Variant,
		Entrypoint: r.Image.Entrypoint, Cmd: r.Image.Cmd, WorkingDir: r.Image.WorkDir, StopSignal: r.Image.StopSignal,
		ExposedPorts: r.Image.Ports, Volumes: r.Image.Volumes, Labels: r.Image.Labels,
		Annotations: i.annotations(r), Created: i.Created,
	}
	if !slices.ContainsFunc(r.Image.Env, func(e EnvVar) bool { return e.Name == "PATH" }) {
		s.Env = append(s.Env, "PATH="+defaultPath)
	}
	for _, e := range r.Image.Env {
		s.Env = append(s.Env, e.Name+"="+e.Value)
	}
	var err error
	if s.User, err = t.numericUser(r.Image.User); err != nil {
		return nil, err
	}
	for _, l := range built.Layers {
		what := strings.Join(l.Packages, " ")
		if what == "" {
			what = "rpmdb and generated files"
		}
		s.Layers = append(s.Layers, image.SpecLayer{Layer: l.Layer, CreatedBy: "slim " + o.version() + ": " + what})
	}
	return s, nil
}

// numericUser turns USER or USER:GROUP into numbers, so that a runtime needs no user database.
func (t *root) numericUser(user string) (string, error) {
	if user == "" {
		return "", nil
	}
	name, group, hasGroup := strings.Cut(user, ":")
	uid := t.uid(name)
	if uid < 0 {
		return "", fmt.Errorf("image user %q is not a user of the image", name)
	}
	gid := int64(-1)
	if hasGroup {
		if gid = t.gid(group); gid < 0 {
			return "", fmt.Errorf("image user %q: %q is not a group of the image", user, group)
		}
	} else if u := t.accounts.User(name); u != nil {
		gid = int64(u.GID)
	}
	if gid < 0 {
		return strconv.FormatInt(uid, 10), nil
	}
	return fmt.Sprintf("%d:%d", uid, gid), nil
}

// annotations are the recipe's, over those that every image has.
func (i *Image) annotations(r *Recipe) map[string]string {
	a := map[string]string{
		"org.opencontainers.image.created": i.Created.Format(time.RFC3339),
		"org.opencontainers.image.title":   r.Name,
	}
	if !r.Repository.GPGCheck {
		a["slim.gpgcheck"] = "false"
	}
	for k, v := range r.Image.Annotations {
		a[k] = v
	}
	return a
}

// Size is what the image takes in a registry: its compressed layers, in bytes.
func (p *PlatformImage) Size() (int64, error) {
	var total int64
	for _, l := range p.Layers {
		n, err := l.Size()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
