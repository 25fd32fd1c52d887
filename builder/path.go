package builder

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"

	"slim/internal/audit"
	"slim/internal/execpath"
	"slim/internal/rootfs"
	"slim/internal/rpm"
)

// PathOptions say where the search for an execution path begins.
type PathOptions struct {
	Programs  []string        // further programs, by path or by name in PATH
	Only      bool            // Programs alone, without the image's entrypoint
	Platforms []Platform      // of the image; all without any
	Quality   *QualityOptions // nil leaves it out
	Options
}

// ExecutionPath is what stands on the direct execution path of an image, for each of its platforms.
type ExecutionPath struct {
	Reference string
	Digest    string // of the index, or of the one image; "" for a plain root
	Images    []*ImagePath
}

// The words of an execution path, as internal/execpath defines them.
type (
	Tier        = execpath.Tier
	PathFile    = execpath.File
	PathProgram = execpath.Program
	PathEdge    = execpath.Edge
	PathStep    = execpath.Step
	PathMissing = execpath.Missing
	Lever       = execpath.Lever
	LeverKind   = execpath.LeverKind
)

// The tiers, the nearest first.
const (
	TierDirect   = execpath.Direct
	TierLoadable = execpath.Loadable
	TierData     = execpath.Data
	TierIdle     = execpath.Idle
)

// ImagePath is the execution path of the image of one platform. Every regular file of the image is in Files, with one tier
// and the package that owns it; the sum of their sizes is the image's, hard links once. A chart of areas takes Files by
// package and directory; a flow from the entrypoint to packages takes the Chain of each package.
type ImagePath struct {
	Platform Platform // the zero value for a plain root
	Digest   string   // "" for a plain root
	Start    execpath.Start
	Programs []PathProgram
	Packages []PathPackage // the nearest tier first, then by bytes in that tier, then by NEVRA
	Files    []PathFile    // by path; their Package is an index into Packages, -1 for what no package owns
	Missing  []PathMissing
	Levers   []Lever
	Notes    []string // what could not be looked at
}

// PathPackage is a package and how near it is to what runs.
type PathPackage struct {
	rpm.NEVRA
	SourceRPM string
	Tier      Tier           // the nearest of its files
	Bytes     map[Tier]int64 // of its regular files, by their tiers; hard links once
	Files     map[Tier]int
	Chain     []PathStep // how the first of its nearest files is reached; nil for data and idle ones
	Quality   *Quality   // nil unless asked for
}

// Sum are the files and bytes of a tier.
func (i *ImagePath) Sum(t Tier) (files int, bytes int64) {
	for _, f := range i.Files {
		if f.Tier == t {
			files, bytes = files+1, bytes+f.Size
		}
	}
	return files, bytes
}

// FindPath reads the image at a reference, slim's or not, in the words of Inspect, or a plain root as dir:DIR, and finds
// what is on its execution path from the entrypoint and cmd of its config on. Nothing is run and nothing is verified. A
// plain root has no config: it needs Programs.
func FindPath(ctx context.Context, reference string, o PathOptions) (*ExecutionPath, error) {
	out := &ExecutionPath{Reference: reference}
	var err error
	out.Digest, err = eachView(ctx, reference, viewOptions{o.Platforms, o.Options}, func(v *view) error {
		one, err := v.path(ctx, &o)
		if err != nil {
			return fmt.Errorf("looking for the execution path of %s: %w", reference, err)
		}
		out.Images = append(out.Images, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// NoStartError says that an image does not say what it runs.
type NoStartError struct{ Platform Platform }

func (e *NoStartError) Error() string {
	return "it has neither entrypoint nor cmd: there is no program to begin with"
}

// start is what the image runs.
func (v *view) start(o *PathOptions) (execpath.Start, error) {
	s := execpath.Start{Programs: o.Programs}
	if v.config != nil {
		c := v.config.Config
		s.Env, s.Dir, s.User = c.Env, c.WorkingDir, c.User
		if !o.Only {
			s.Args = slices.Concat(c.Entrypoint, c.Cmd)
		}
	}
	if len(s.Args) == 0 && len(s.Programs) == 0 {
		return s, &NoStartError{v.platform}
	}
	return s, nil
}

func (v *view) path(ctx context.Context, o *PathOptions) (*ImagePath, error) {
	start, err := v.start(o)
	if err != nil {
		return nil, err
	}
	d, err := v.database()
	if err != nil {
		return nil, err
	}
	out, err := v.pathFrom(ctx, start, d)
	if err != nil {
		return nil, err
	}
	if o.Quality != nil {
		return out, v.judge(ctx, out, d, o)
	}
	return out, nil
}

// pathFrom looks from a start on; one that names nothing reaches nothing.
func (v *view) pathFrom(ctx context.Context, start execpath.Start, d *database) (*ImagePath, error) {
	root := execpath.Root{Tree: v.tree, Open: func(n *rootfs.Node) (execpath.Content, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return v.at(n)
	}}
	out := &ImagePath{Platform: v.platform, Digest: v.digest, Start: start}
	var err error
	if root.Accounts, err = v.accounts(); err != nil {
		out.Notes = append(out.Notes, err.Error())
		root.Accounts = nil
	}
	for _, p := range databasePaths {
		root.Aside = append(root.Aside, path.Dir(p))
	}
	if err := out.addPackages(&root, d); err != nil {
		return nil, err
	}
	found, err := execpath.Find(root, start)
	if err != nil {
		return nil, err
	}
	out.take(found)
	return out, nil
}

// addPackages lists the packages of the rpmdb, in its order. Without an rpmdb there is none.
func (i *ImagePath) addPackages(root *execpath.Root, d *database) error {
	for _, installed := range d.packages {
		h := installed.Header
		if audit.IsKey(h) {
			continue
		}
		files, err := h.Files()
		if err != nil {
			return fmt.Errorf("package %s: %w", h.NEVRA(), err)
		}
		p := execpath.Package{NEVRA: h.NEVRA()}
		for f := range files {
			p.Files = append(p.Files, files[f].Path)
		}
		root.Packages = append(root.Packages, p)
		i.Packages = append(i.Packages, PathPackage{
			NEVRA: p.NEVRA, SourceRPM: h.Text(rpm.TagSourceRPM), Tier: TierIdle, Bytes: map[Tier]int64{}, Files: map[Tier]int{},
		})
	}
	return nil
}

// take makes a result one by package.
func (i *ImagePath) take(found *execpath.Result) {
	i.Programs, i.Files, i.Missing, i.Levers = found.Programs, found.Files, found.Missing, found.Levers
	i.Notes = append(i.Notes, found.Notes...)
	order := execpath.Tiers()
	rank := func(t Tier) int { return slices.Index(order, t) }
	for _, f := range i.Files {
		if f.Package < 0 {
			continue
		}
		p := &i.Packages[f.Package]
		p.Bytes[f.Tier] += f.Size
		p.Files[f.Tier]++
		chain := found.Chain(f.Path)
		nearer := rank(f.Tier) < rank(p.Tier)
		if nearer {
			p.Tier, p.Chain = f.Tier, nil
		}
		if f.Tier == p.Tier && rank(f.Tier) < rank(TierData) && (p.Chain == nil || len(chain) < len(p.Chain)) {
			p.Chain = chain
		}
	}
	for k := range i.Packages {
		if p := &i.Packages[k]; len(p.Files) == 0 { // directories and links alone
			p.Tier = TierData
		}
	}
	i.sortPackages(rank)
}

// sortPackages puts the packages in order and lets the files point to where they are then.
func (i *ImagePath) sortPackages(rank func(Tier) int) {
	order := make([]int, len(i.Packages))
	for k := range order {
		order[k] = k
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &i.Packages[a], &i.Packages[b]
		if c := rank(x.Tier) - rank(y.Tier); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(y.Bytes[y.Tier], x.Bytes[x.Tier]), x.NEVRA.Compare(y.NEVRA))
	})
	sorted, to := make([]PathPackage, len(order)), make([]int, len(order))
	for now, was := range order {
		sorted[now], to[was] = i.Packages[was], now
	}
	i.Packages = sorted
	for f := range i.Files {
		if i.Files[f].Package >= 0 {
			i.Files[f].Package = to[i.Files[f].Package]
		}
	}
}
