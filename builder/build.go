package builder

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"slim/internal/fetch"
	"slim/internal/image"
	"slim/internal/memory"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/sbom"
	"slim/internal/trim"
)

// Image is a built image: one for each platform of the recipe, and an index over them when there are several. Its
// layers are files of a work directory until Close.
type Image struct {
	Name      string
	Created   time.Time // SOURCE_DATE_EPOCH, or the newest build time of the packages
	Platforms []PlatformImage
	Index     v1.ImageIndex // nil for one platform

	recipe *Recipe
	lock   *Lock
	work   string
	cache  *fetch.Cache // where the layers' segments are
	again  func(context.Context) (*Image, error)

	leaving *sync.WaitGroup // what takes away files that are no longer read

	attached   []attachment // made for a destination already
	attachedAs AttachOptions
}

// PlatformImage is the image of one platform and what is known of how it came to be.
type PlatformImage struct {
	Platform Platform
	Created  time.Time // SOURCE_DATE_EPOCH, or the newest build time of its packages
	Image    v1.Image
	Layers   []Layer
	Packages []LockedPackage
	Signers  []Signer // of Packages
	Stripped []Stripped
	// Unevaluated are the scriptlets that the recipe skips: what they would have made is missing in the image.
	Unevaluated []Scriptlet

	doc *sbom.Document // what is in it; nil where it was not asked for, or the image was known
}

// Layer is one layer: Packages are the NEVRAs it holds files of.
type Layer struct {
	v1.Layer
	Packages []string
}

// Signer counts the packages that a key signed; "" those that none did.
type Signer struct {
	Key      string // its id, in hex
	Packages int
}

// signers are the keys that signed packages, by id.
func signers(packages []*rpm.Package) []Signer {
	count := map[string]int{}
	for _, p := range packages {
		count[p.Key().ID]++
	}
	var out []Signer
	for _, id := range slices.Sorted(maps.Keys(count)) {
		out = append(out, Signer{id, count[id]})
	}
	return out
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
func (i *Image) Close() error {
	i.leaving.Wait()
	return os.RemoveAll(i.work)
}

// Build makes the image of a recipe from the packages of its lock. The caller closes it. A package that does not verify
// is a *VerifyError; of those whose file, header or signature is wrong every one is named, of payloads that are not what their
// signed headers say the first that is unpacked.
func Build(ctx context.Context, r *Recipe, lock *Lock, o Options) (_ *Image, err error) {
	work, err := o.workDir()
	if err != nil {
		return nil, err
	}
	img := &Image{Name: r.Name, recipe: r, lock: lock, work: work, leaving: &sync.WaitGroup{}, Created: time.Unix(lock.newestBuild(), 0).UTC()}
	given := o
	img.again = func(ctx context.Context) (*Image, error) { return Build(ctx, r, lock, given) }
	defer func() {
		if err != nil {
			img.Close()
		}
	}()
	if o.Epoch != nil {
		img.Created = time.Unix(*o.Epoch, 0).UTC()
	}
	if o.CacheDir == "" {
		o.CacheDir = filepath.Join(work, "cache") // the layers are read from there until Close
	}
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	if img.cache, err = o.openCache(o.CacheDir); err != nil {
		return nil, err
	}
	for _, p := range r.Platforms {
		built, err := img.platform(ctx, client, r, lock, p, o)
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
	i.Index, err = image.Index(images, platforms, annotations(r, i.Created))
	return err
}

// platform builds the image of one platform, or takes it as it was built before.
func (i *Image) platform(ctx context.Context, client *fetch.Client, r *Recipe, lock *Lock, p Platform, o Options) (*PlatformImage, error) {
	l := lock.platform(p)
	keys := &rpm.Keyring{}
	var err error
	if r.Repository.GPGCheck {
		if keys, err = loadKeys(ctx, client, r.Repository, l.Platform, o); err != nil {
			return nil, err
		}
	}
	packer, err := i.packer(r, o)
	if err != nil {
		return nil, err
	}
	key, err := i.imageKey(r, lock, p, keys, o)
	if err != nil {
		return nil, err
	}
	result, layers, err := i.recall(key, packer)
	if err != nil {
		return nil, err
	}
	if result == nil || o.Bill && !i.billed(key) { // to make it again is quicker than to read all of it for the bill
		if result, layers, err = i.assemble(ctx, client, r, lock, p, keys, o); err != nil {
			return nil, err
		}
		if err := i.remember(key, result, layers); err != nil {
			return nil, err
		}
		if o.Bill {
			if err := i.noteBill(key); err != nil {
				return nil, err
			}
		}
	} else {
		result.use(i.cache, l)
		for _, message := range result.Remarks {
			o.Report.Report(Event{Phase: PhaseTree, Message: message})
		}
	}
	out := &PlatformImage{
		Platform: p, Created: time.Unix(o.epoch(l), 0).UTC(), Packages: l.Packages, Layers: layers, Signers: result.Signers, Stripped: result.Stripped,
		Unevaluated: result.Unevaluated, doc: result.doc,
	}
	out.Image, err = image.New(*spec(r, result.User, out, o))
	return out, err
}

func (i *Image) packer(r *Recipe, o Options) (*image.Packer, error) {
	return image.NewPacker(shelf{i.cache}, image.PackOptions{Compression: r.Layers.Compression, Jobs: o.jobs()})
}

// epoch is the time of an image of one platform: SOURCE_DATE_EPOCH, or the newest build time of its packages.
func (o Options) epoch(l *LockedPlatform) int64 {
	if o.Epoch != nil {
		return *o.Epoch
	}
	return l.newestBuild()
}

// assemble installs the packages and makes the layers: first those of the recipe that it extends.
func (i *Image) assemble(ctx context.Context, client *fetch.Client, r *Recipe, lock *Lock, p Platform, keys *rpm.Keyring, o Options) (*known, []Layer, error) {
	l := lock.platform(p)
	memory.HugePages()
	set, err := openPackages(ctx, i.cache, client, l, keys, !r.Repository.GPGCheck, o)
	if err != nil {
		return nil, nil, err
	}
	defer set.Close()
	o.Report.Report(Event{Phase: PhaseTree, TotalItems: len(set.packages)})
	contents := newContents(i.work, i.cache)
	defer func() {
		file := contents.file // without holding on to the rest
		i.leaving.Go(func() { removeFile(file) })
	}()
	below, err := i.below(ctx, r, lock, p, set.packages, contents, o)
	if err != nil {
		return nil, nil, err
	}
	out := &known{}
	remark := func(message string) {
		out.Remarks = append(out.Remarks, message)
		o.Report.Report(Event{Phase: PhaseTree, Message: message})
	}
	t, err := newRoot(set.packages, o.epoch(l), contents, remark)
	if err != nil {
		return nil, nil, err
	}
	packer, err := i.packer(r, o)
	if err != nil {
		return nil, nil, err
	}
	parts, err := t.fillAhead(ctx, r, l, packer, below)
	if err != nil {
		return nil, nil, err
	}
	if out.User, err = t.numericUser(r.Image.User); err != nil {
		return nil, nil, err
	}
	out.Signers, out.Stripped, out.Unevaluated = signers(set.packages), t.stripped(), t.unevaluated()
	var layers []Layer
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		layers, err = writeLayers(inner, packer, parts, below, o)
		return err
	})
	if o.Bill {
		group.Go(func() (err error) {
			out.doc, err = t.bill(inner, o.jobs())
			return err
		})
	}
	group.Go(func() error {
		_, err := contents.keepReads()
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	out.Sums = slices.Sorted(slices.Values(contents.summed))
	out.Reads, err = contents.keepReads() // and what was read of them while the layers were written
	return out, layers, err
}

// below makes the layers of the recipe that r extends as they are when that is built itself, of its own packages alone;
// none when r extends nothing. packages are at least those.
func (i *Image) below(ctx context.Context, r *Recipe, lock *Lock, p Platform, packages []*rpm.Package, contents *contents, o Options) (*stack, error) {
	if lock.Parent == nil {
		return &stack{}, nil
	}
	r, lock = r.Parents[0], lock.Parent
	below, err := i.below(ctx, r, lock, p, packages, contents, o)
	if err != nil {
		return nil, err
	}
	l := lock.platform(p)
	out := &stack{packages: map[string]bool{}}
	for _, pkg := range l.Packages {
		out.packages[pkg.NEVRA.String()] = true
	}
	own := slices.DeleteFunc(slices.Clone(packages), func(p *rpm.Package) bool { return !out.packages[p.NEVRA().String()] })
	quiet := o
	quiet.Report = nil // what there is to say of its packages is said again
	t, err := newRoot(own, o.epoch(l), contents, func(string) {})
	if err != nil {
		return nil, fmt.Errorf("layers of %s: %w", r.File, err)
	}
	packer, err := i.packer(r, o)
	if err != nil {
		return nil, err
	}
	parts, err := t.fillAhead(ctx, r, l, packer, below)
	if err != nil {
		return nil, fmt.Errorf("layers of %s: %w", r.File, err)
	}
	if out.layers, err = writeLayers(ctx, packer, parts, below, quiet); err != nil {
		return nil, fmt.Errorf("layers of %s: %w", r.File, err)
	}
	out.shows, err = t.shows()
	return out, err
}

// writeLayers makes the layers over those below, and returns all of them in order.
func writeLayers(ctx context.Context, packer *image.Packer, cut []part, below *stack, o Options) ([]Layer, error) {
	o.Report.Report(Event{Phase: PhaseLayers, TotalItems: len(cut)})
	segments := make([][]image.Segment, len(cut))
	for k, part := range cut {
		segments[k] = part.segments
	}
	made, err := packer.Layers(ctx, segments)
	if err != nil {
		return nil, err
	}
	layers := slices.Clone(below.layers)
	for k, part := range cut {
		layers = append(layers, Layer{Layer: made[k], Packages: part.packages})
	}
	return layers, nil
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
func spec(r *Recipe, user string, built *PlatformImage, o Options) *image.Spec {
	s := &image.Spec{
		OS: built.Platform.OS, Architecture: built.Platform.Architecture, Variant: built.Platform.Variant,
		Entrypoint: r.Image.Entrypoint, Cmd: r.Image.Cmd, WorkingDir: r.Image.WorkDir, StopSignal: r.Image.StopSignal,
		ExposedPorts: r.Image.Ports, Volumes: r.Image.Volumes, Labels: r.Image.Labels,
		Annotations: annotations(r, built.Created), Created: built.Created, User: user,
	}
	if len(built.Unevaluated) > 0 {
		s.Annotations[annotationSkipped] = skippedText(built.Unevaluated)
	}
	if !slices.ContainsFunc(r.Image.Env, func(e EnvVar) bool { return e.Name == "PATH" }) {
		s.Env = append(s.Env, "PATH="+defaultPath)
	}
	for _, e := range r.Image.Env {
		s.Env = append(s.Env, e.Name+"="+e.Value)
	}
	for _, l := range built.Layers {
		what := strings.Join(l.Packages, " ")
		if what == "" {
			what = "rpmdb and generated files"
		}
		s.Layers = append(s.Layers, image.SpecLayer{Layer: l.Layer, CreatedBy: "slim " + o.version() + ": " + what})
	}
	return s
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

// Annotations of an image that are not the recipe's own. slim.gpgcheck is false where packages need not be signed.
const (
	annotationDependencies = "slim.dependencies"       // which requirements were followed, where not all were
	annotationSkipped      = "slim.scriptlets.skipped" // as skippedText writes it
)

// skippedText lists scriptlets: NEVRA %SLOT, NEVRA %SLOT.
func skippedText(list []Scriptlet) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = s.Package + " %" + s.Slot
	}
	return strings.Join(words, ", ")
}

// parseSkipped reads what skippedText writes, and passes over what is not of that form.
func parseSkipped(text string) []Scriptlet {
	var out []Scriptlet
	for word := range strings.SplitSeq(text, ", ") {
		if nevra, slot, ok := strings.Cut(word, " %"); ok {
			out = append(out, Scriptlet{Package: nevra, Slot: slot})
		}
	}
	return out
}

// annotations are the recipe's, over those that every image has.
func annotations(r *Recipe, created time.Time) map[string]string {
	a := map[string]string{
		"org.opencontainers.image.created": created.Format(time.RFC3339),
		"org.opencontainers.image.title":   r.Name,
	}
	if !r.Repository.GPGCheck {
		a["slim.gpgcheck"] = "false"
	}
	if r.Dependencies != DependenciesFull {
		a[annotationDependencies] = string(r.Dependencies)
	}
	maps.Copy(a, r.Image.Annotations)
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
