package builder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/store"
)

// ReadFleet reads what of says, each of them one or more members of a fleet:
//
//   - an image, as for Inspect, or a plain root as dir:DIR: its rpmdb, whose headers are not verified;
//   - a lock, FILE.lock: each recipe in it, by the headers that the lock pins;
//   - a recipe, FILE.yaml: what the lock beside it has for it, or without one what the repository has now;
//   - a directory: all images of an OCI layout, or the lock in it, or its recipes.
//
// Everything is tried: the error names all that cannot be read.
func ReadFleet(ctx context.Context, of []string, recipes RecipeOptions, o Options) ([]FleetMember, error) {
	r := fleetReader{recipes: recipes, o: o}
	var failed []error
	for _, arg := range of {
		if err := r.read(ctx, arg); err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	return r.members, nil
}

type fleetReader struct {
	recipes RecipeOptions
	o       Options
	members []FleetMember
}

func (r *fleetReader) read(ctx context.Context, arg string) error {
	switch filepath.Ext(arg) {
	case ".lock":
		return r.lock(arg)
	case ".yaml", ".yml":
		return r.recipe(ctx, arg)
	}
	if info, err := os.Stat(arg); err == nil && info.IsDir() {
		return r.directory(ctx, arg)
	}
	return r.image(ctx, arg)
}

func (r *fleetReader) directory(ctx context.Context, dir string) error {
	tags, err := store.Tags(dir)
	if err == nil {
		for _, tag := range tags {
			if err := r.image(ctx, (store.Ref{Kind: store.KindOCI, Path: dir, Tag: tag}).String()); err != nil {
				return err
			}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading %s: %w", dir, err)
	}
	if lock := filepath.Join(dir, LockFileName); isFile(lock) {
		return r.lock(lock)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.y*ml"))
	if err != nil || len(files) == 0 {
		return &ReadError{File: dir, Err: errors.New("it is no OCI layout, and has no " + LockFileName + " and no recipe; a plain root is dir:" + dir)}
	}
	for _, file := range files {
		if err := r.recipe(ctx, file); err != nil {
			return err
		}
	}
	return nil
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (r *fleetReader) lock(path string) error {
	f, err := ReadLockFile(path)
	if err != nil {
		return err
	}
	index := f.index()
	for i := range f.Recipes {
		for _, take := range f.Recipes[i].Takes {
			m := FleetMember{Name: path + ":" + f.Recipes[i].File, Platform: take.Platform}
			if !r.wanted(m.Platform) {
				continue
			}
			for _, name := range take.Names {
				m.Packages = append(m.Packages, fleetBuild(&index.find(take.Platform, name).LockedPackage))
			}
			r.members = append(r.members, m)
		}
	}
	return nil
}

func fleetBuild(p *LockedPackage) FleetBuild {
	return FleetBuild{NEVRA: p.NEVRA, Header: p.HeaderSHA256, Size: p.InstalledSize}
}

func (r *fleetReader) wanted(p Platform) bool {
	return len(r.recipes.Platforms) == 0 || slices.Contains(r.recipes.Platforms, p)
}

func (r *fleetReader) recipe(ctx context.Context, path string) error {
	recipe, err := ReadRecipe(path, r.recipes)
	if err != nil {
		return err
	}
	file, err := FindLock(recipe)
	if err != nil {
		return err
	}
	var lock *Lock
	if file != nil {
		lock, err = file.Lock(recipe)
	} else {
		lock, err = Resolve(ctx, recipe, r.o)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for i := range lock.Platforms {
		l := &lock.Platforms[i]
		m := FleetMember{Name: path, Platform: l.Platform}
		for k := range l.Packages {
			m.Packages = append(m.Packages, fleetBuild(&l.Packages[k]))
		}
		r.members = append(r.members, m)
	}
	return nil
}

func (r *fleetReader) image(ctx context.Context, reference string) error {
	_, err := eachView(ctx, reference, viewOptions{r.recipes.Platforms, r.o}, func(v *view) error {
		d, err := v.database()
		if err != nil {
			return fmt.Errorf("reading %s: %w", reference, err)
		}
		if d.path == "" {
			return fmt.Errorf("reading %s: it has no rpmdb%s", reference, v.otherDatabase())
		}
		m := v.member(reference, d)
		if err := v.addTiers(ctx, &m, d); err != nil {
			return fmt.Errorf("looking for the execution path of %s: %w", reference, err)
		}
		r.members = append(r.members, m)
		return nil
	})
	return err
}

// member is what is installed by a database, and the layers.
func (v *view) member(reference string, d *database) FleetMember {
	m := FleetMember{Name: strings.TrimPrefix(reference, "docker://"), Platform: v.platform}
	for _, i := range d.packages {
		if h := i.Header; !audit.IsKey(h) {
			m.Packages = append(m.Packages, FleetBuild{NEVRA: h.NEVRA(), Header: h.SHA256(), Size: installedSize(h)})
		}
	}
	if v.manifest != nil {
		for _, l := range v.manifest.Layers {
			m.Layers = append(m.Layers, FleetLayer{Digest: l.Digest.String(), Size: l.Size})
		}
	}
	return m
}

// addTiers says how near the packages are to what the image runs, as far as it says that.
func (v *view) addTiers(ctx context.Context, m *FleetMember, d *database) error {
	start, err := v.start(&PathOptions{})
	var none *NoStartError
	if errors.As(err, &none) {
		return nil
	}
	found, err := v.pathFrom(ctx, start, d)
	if err != nil {
		return err
	}
	m.Tiers = found.tiers()
	return nil
}

// tiers are those of the packages.
func (i *ImagePath) tiers() map[rpm.NEVRA]Tier {
	out := map[rpm.NEVRA]Tier{}
	for k := range i.Packages {
		out[i.Packages[k].NEVRA] = i.Packages[k].Tier
	}
	return out
}
