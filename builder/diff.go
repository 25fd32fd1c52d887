package builder

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"slim/internal/audit"
	"slim/internal/store"
)

// DiffOptions say what is compared.
type DiffOptions struct {
	Platforms []Platform // only these; all without any
	Options
}

// Difference is how two images, or locks, differ.
type Difference struct {
	Before, After         string // references, or locks
	BeforeDigest          string // "" for a plain root
	AfterDigest           string
	Images                []*ImageDifference // by the platforms that both have
	OnlyBefore, OnlyAfter []Platform
}

// ImageDifference is how the images of one platform differ. Its slices are never nil.
type ImageDifference struct {
	Platform      Platform // the zero value where a plain root is compared
	Before, After ImageSize
	Packages      []PackageChange
	Files         []FileChange
	Config        []ConfigChange // not where a plain root is compared
	SharedLayers  int            // by diff ID
	SharedBytes   int64          // of them, compressed, in Before
}

// ImageSize is how big a side is.
type ImageSize struct {
	Digest     string // of the manifest, "" for a plain root
	Packages   int
	Files      int   // paths, directories included; 0 of a lock
	Installed  int64 // bytes of regular files, hard links once
	Layers     int
	Compressed int64 // layers; of a lock the packages' files
}

// FileChange is a changed path and the package that has it, on the side after where it is there; "" for none.
type FileChange struct {
	audit.Change
	Package string // name
}

// The words of a difference, as internal/audit has them.
type (
	PackageChange = audit.PackageChange
	PackageBuild  = audit.Build
	FileSide      = audit.Side
)

// ConfigChange is a key of the image's configuration. Absent values are "".
type ConfigChange struct{ Key, Before, After string }

// Equal reports whether nothing that is compared differs.
func (d *Difference) Equal() bool {
	return len(d.OnlyBefore)+len(d.OnlyAfter) == 0 && !slices.ContainsFunc(d.Images, func(i *ImageDifference) bool {
		return len(i.Packages)+len(i.Files)+len(i.Config) > 0
	})
}

// Diff compares what stands at two references, in the words of Inspect, or plain roots as dir:DIR: packages by the
// headers of the rpmdb, which are not verified, files, and configuration. Times are not compared. A side that is a lock,
// PATH.lock or PATH.lock:RECIPE for one recipe of it, has packages only, and then those are compared.
func Diff(ctx context.Context, before, after string, o DiffOptions) (*Difference, error) {
	d := &Difference{Before: before, After: after}
	_, _, lock := lockNamed(before)
	if _, _, other := lockNamed(after); lock || other {
		if err := d.diffListings(ctx, o); err != nil {
			return nil, fmt.Errorf("comparing %s with %s: %w", before, after, err)
		}
		return d, nil
	}
	pairs, err := d.pair(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, p := range pairs {
		d.BeforeDigest, err = eachView(ctx, before, viewOptions{p.before, o.Options}, func(a *view) error {
			var err error
			d.AfterDigest, err = eachView(ctx, after, viewOptions{p.after, o.Options}, func(b *view) error {
				one, err := diffViews(a, b)
				d.Images = append(d.Images, one)
				return err
			})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("comparing %s with %s: %w", before, after, err)
		}
	}
	return d, nil
}

// pair is an image on either side: at most one platform each, none for the only image.
type pair struct{ before, after []Platform }

// pair finds the images to compare: those of one platform, or the only ones of both sides whatever their platforms.
func (d *Difference) pair(ctx context.Context, o DiffOptions) ([]pair, error) {
	a, err := platformsAt(ctx, d.Before, o)
	if err != nil {
		return nil, err
	}
	b, err := platformsAt(ctx, d.After, o)
	if err != nil {
		return nil, err
	}
	if len(a) <= 1 && len(b) <= 1 {
		return []pair{{a, b}}, nil
	}
	if len(a) == 0 || len(b) == 0 {
		return nil, fmt.Errorf("a plain root is compared with the image of one platform: choose one of %d", len(a)+len(b))
	}
	var out []pair
	for _, p := range a {
		if slices.Contains(b, p) {
			out = append(out, pair{[]Platform{p}, []Platform{p}})
		} else {
			d.OnlyBefore = append(d.OnlyBefore, p)
		}
	}
	for _, p := range b {
		if !slices.Contains(a, p) {
			d.OnlyAfter = append(d.OnlyAfter, p)
		}
	}
	return out, nil
}

// platformsAt are the platforms at a reference that are asked for, nil for a plain root.
func platformsAt(ctx context.Context, reference string, o DiffOptions) ([]Platform, error) {
	ref, err := store.Parse(reference)
	if err != nil {
		return nil, &ReadError{File: reference, Err: err}
	}
	if ref.Kind == store.KindDir {
		return nil, nil
	}
	a, err := store.Read(ctx, ref, store.Options{Jobs: max(4, o.jobs())})
	if err != nil {
		return nil, err
	}
	if len(a.Images) == 1 && len(o.Platforms) == 0 && a.Index == nil {
		return nil, nil
	}
	var out []Platform
	for _, p := range a.Platforms {
		q := plainPlatform(p.OS, p.Architecture, p.Variant)
		if len(o.Platforms) == 0 || slices.Contains(o.Platforms, q) {
			out = append(out, q)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reading %s: it has no image for the platforms that are asked for", reference)
	}
	return out, nil
}

// diffViews compares two roots.
func diffViews(a, b *view) (*ImageDifference, error) {
	out := &ImageDifference{Platform: b.platform, Files: []FileChange{}, Config: []ConfigChange{}}
	before, err := a.side()
	if err != nil {
		return nil, err
	}
	after, err := b.side()
	if err != nil {
		return nil, err
	}
	out.Before, out.After = before.size, after.size
	out.Packages = audit.DiffPackages(before.packages, after.packages)
	changes, err := audit.Diff(a.tree.Nodes(), b.tree.Nodes())
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		owner := after.owners[c.Path]
		if c.After == nil {
			owner = before.owners[c.Path]
		}
		out.Files = append(out.Files, FileChange{Change: c, Package: owner})
	}
	if a.config != nil && b.config != nil {
		out.Config = configChanges(a, b)
		out.sharedLayers(a, b)
	} else {
		out.Platform = Platform{}
	}
	return out, nil
}

// side is what Diff needs of a root beside its nodes.
type side struct {
	size     ImageSize
	packages []audit.Package
	owners   map[string]string // by path, names of packages
}

func (v *view) side() (*side, error) {
	d, err := v.database()
	if err != nil {
		return nil, err
	}
	s := &side{owners: map[string]string{}}
	s.packages, _ = d.read(nil)
	for i := range s.packages {
		for f := range s.packages[i].Files {
			p := s.packages[i].Files[f].Path
			at, _, err := v.tree.Walk("/", p, false)
			if err != nil {
				at = path.Clean(p)
			}
			if s.owners[at] == "" {
				s.owners[at] = s.packages[i].NEVRA.Name
			}
		}
	}
	s.size = ImageSize{Digest: v.digest, Packages: len(s.packages)}
	for _, n := range v.tree.Nodes() {
		s.size.Files++
		if n.IsRegular() && n.HardTo == "" {
			s.size.Installed += n.Size
		}
	}
	if v.manifest != nil {
		for _, l := range v.manifest.Layers {
			s.size.Layers++
			s.size.Compressed += l.Size
		}
	}
	return s, nil
}

func (out *ImageDifference) sharedLayers(a, b *view) {
	for i, id := range a.config.RootFS.DiffIDs {
		if slices.Contains(b.config.RootFS.DiffIDs, id) && i < len(a.manifest.Layers) {
			out.SharedLayers++
			out.SharedBytes += a.manifest.Layers[i].Size
		}
	}
}

// configChanges compares what a container is run with, and labels and annotations; not times, history and layers.
func configChanges(a, b *view) []ConfigChange {
	before, after := configValues(a), configValues(b)
	keys := slices.Collect(maps.Keys(before))
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	out := []ConfigChange{}
	for _, k := range keys {
		if before[k] != after[k] {
			out = append(out, ConfigChange{k, before[k], after[k]})
		}
	}
	return out
}

func configValues(v *view) map[string]string {
	c := v.config.Config
	out := map[string]string{
		"platform": v.platform.String(), "user": c.User, "workdir": c.WorkingDir, "stopsignal": c.StopSignal,
		"entrypoint": quoted(c.Entrypoint), "cmd": quoted(c.Cmd),
		"ports": strings.Join(slices.Sorted(maps.Keys(c.ExposedPorts)), " "), "volumes": strings.Join(slices.Sorted(maps.Keys(c.Volumes)), " "),
	}
	for _, e := range c.Env {
		name, value, _ := strings.Cut(e, "=")
		out["env."+name] = value
	}
	for k, value := range c.Labels {
		out["labels."+k] = value
	}
	for k, value := range v.manifest.Annotations {
		out["annotations."+k] = value
	}
	return out
}

// quoted is a command with its words told apart.
func quoted(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, fmt.Sprintf("%q", w))
	}
	return strings.Join(out, " ")
}
