package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/audit"
)

// listing are the packages of one side of a difference on a platform.
type listing struct {
	platform Platform // the zero value for a plain root
	size     ImageSize
	packages []audit.Package
}

// lockNamed splits PATH or PATH:RECIPE where PATH is a lock: a file named *.lock.
func lockNamed(reference string) (file, recipe string, ok bool) {
	file = reference
	if i := strings.LastIndexByte(reference, ':'); i > 0 && filepath.Ext(reference[:i]) == ".lock" {
		file, recipe = reference[:i], reference[i+1:]
	}
	if filepath.Ext(file) != ".lock" {
		return "", "", false
	}
	info, err := os.Stat(file)
	return file, recipe, err == nil && info.Mode().IsRegular()
}

// diffListings compares packages alone: a lock has neither files nor configuration.
func (d *Difference) diffListings(ctx context.Context, o DiffOptions) error {
	before, digest, err := listings(ctx, d.Before, o)
	if err != nil {
		return err
	}
	d.BeforeDigest = digest
	after, digest, err := listings(ctx, d.After, o)
	if err != nil {
		return err
	}
	d.AfterDigest = digest
	if len(before) == 1 && len(after) == 1 && (before[0].platform == Platform{} || after[0].platform == Platform{}) {
		after[0].platform = before[0].platform
	}
	on := func(p Platform) func(listing) bool { return func(l listing) bool { return l.platform == p } }
	for _, a := range before {
		i := slices.IndexFunc(after, on(a.platform))
		if i < 0 {
			d.OnlyBefore = append(d.OnlyBefore, a.platform)
			continue
		}
		b := after[i]
		d.Images = append(d.Images, &ImageDifference{
			Platform: a.platform, Before: a.size, After: b.size, Files: []FileChange{}, Config: []ConfigChange{},
			Packages: audit.DiffPackages(a.packages, b.packages),
		})
	}
	for _, b := range after {
		if !slices.ContainsFunc(before, on(b.platform)) {
			d.OnlyAfter = append(d.OnlyAfter, b.platform)
		}
	}
	return nil
}

// listings are the packages at a reference, by platform, and its digest, "" for a lock.
func listings(ctx context.Context, reference string, o DiffOptions) ([]listing, string, error) {
	if file, recipe, ok := lockNamed(reference); ok {
		f, err := ReadLockFile(file)
		if err != nil {
			return nil, "", err
		}
		out, err := f.listings(file, recipe, o.Platforms)
		return out, "", err
	}
	var out []listing
	digest, err := eachView(ctx, reference, viewOptions(o), func(v *view) error {
		s, err := v.side()
		if err == nil {
			out = append(out, listing{v.platform, s.size, s.packages})
		}
		return err
	})
	return out, digest, err
}

// listings are the packages of a recipe, or of all of them, on each of platforms, or on all.
func (f *LockFile) listings(file, recipe string, platforms []Platform) ([]listing, error) {
	index := f.index()
	var out []listing
	for _, p := range f.Platforms() {
		if len(platforms) > 0 && !slices.Contains(platforms, p) {
			continue
		}
		taken := map[*LockFilePackage]bool{}
		known := false
		for i := range f.Recipes {
			r := &f.Recipes[i]
			t := r.take(p)
			if recipe != "" && r.File != recipe || t == nil {
				continue
			}
			known = true
			for _, name := range t.Names {
				taken[index.find(p, name)] = true
			}
		}
		if !known {
			continue
		}
		l := listing{platform: p}
		for i := range f.Packages {
			pkg := &f.Packages[i]
			if !taken[pkg] {
				continue
			}
			l.packages = append(l.packages, audit.Package{NEVRA: pkg.NEVRA, SHA256: pkg.HeaderSHA256})
			l.size.Packages++
			l.size.Installed += pkg.InstalledSize
			l.size.Compressed += pkg.Size
		}
		out = append(out, l)
	}
	if len(out) == 0 {
		if recipe != "" && f.Recipe(recipe) == nil {
			var known []string
			for _, r := range f.Recipes {
				known = append(known, r.File)
			}
			return nil, &ReadError{File: file, Err: fmt.Errorf("it has no recipe %s: known are %s", recipe, strings.Join(known, ", "))}
		}
		return nil, &ReadError{File: file, Err: fmt.Errorf("it has nothing for the platforms that are asked for")}
	}
	return out, nil
}
