package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

// The JSON document of lock and update. Fields are only ever added.
type lockJSON struct {
	Version   int              `json:"version"`
	File      string           `json:"file"`
	Written   bool             `json:"written"`
	Packages  int              `json:"packages"`
	Recipes   []lockRecipeJSON `json:"recipes"`
	Changes   []changeJSON     `json:"changes"`
	Dropped   []string         `json:"dropped_recipes"`
	Held      []string         `json:"held_back"`
	Gone      []string         `json:"gone"`
	Lacking   []lackingJSON    `json:"lacking"`
	Differing []differingJSON  `json:"differing"`
}

type lockRecipeJSON struct {
	File      string             `json:"file"`
	Platforms []lockPlatformJSON `json:"platforms"`
}

type lockPlatformJSON struct {
	Platform string `json:"platform"`
	Packages int    `json:"packages"`
}

type changeJSON struct {
	Platform   string         `json:"platform"`
	Name       string         `json:"name"`
	Arch       string         `json:"arch"`
	Old        *buildOfJSON   `json:"old"`
	New        *buildOfJSON   `json:"new"`
	Recipes    []string       `json:"recipes"`
	Advisories []advisoryJSON `json:"advisories"`
}

type buildOfJSON struct {
	NEVRA         string `json:"nevra"`
	EVR           string `json:"evr"`
	Checksum      string `json:"checksum"`
	Size          int64  `json:"size"`
	InstalledSize int64  `json:"installed_size"`
}

type advisoryJSON struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Severity string   `json:"severity"`
	Title    string   `json:"title"`
	CVEs     []string `json:"cves"`
}

type lackingJSON struct {
	Recipe   string   `json:"recipe"`
	Platform string   `json:"platform"`
	Names    []string `json:"names"`
}

type differingJSON struct {
	Name   string             `json:"name"`
	Builds []differentEVRJSON `json:"builds"`
}

type differentEVRJSON struct {
	Platform string `json:"platform"`
	NEVRA    string `json:"nevra"`
}

type checkJSON struct {
	Version int          `json:"version"`
	File    string       `json:"file"`
	Fresh   bool         `json:"fresh"`
	Misfits []misfitJSON `json:"misfits"`
}

type misfitJSON struct {
	Recipe  string `json:"recipe"`
	Message string `json:"message"`
}

func newLockCommand(env *environment) *cobra.Command {
	var flags workFlags
	var check bool
	var from, export string
	cmd := &cobra.Command{
		Use:   "lock RECIPE...",
		Short: "Write down which builds of packages recipes take",
		Long: `Lock writes slim.lock beside the recipes: one solution for all of them, with
one version of each package on a platform, the checksum of each file and of its
header, and the key that signed it. For that it fetches the packages. Recipes
that are in the lock already stay in it; those whose files are gone are dropped.
Without a recipe it takes those of ./slim.lock.

What is locked stays as it is as long as the repository has it and the recipes
can be met: slim update takes newer builds. slim build uses the lock.

With --check nothing is fetched or written: the exit code is 3 when the lock does
not fit the recipes, and the answer says in what.`,
		Example: `  slim lock *.yaml
  slim lock --check *.yaml
  slim lock --export rpms.lock.yaml *.yaml     # for Hermeto and Konflux`,
		GroupID: groupBuild,
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := openLock(env, &flags, args)
			if err != nil {
				return err
			}
			if check {
				if from != "" || export != "" {
					return usageError("", "--check writes nothing: it does not go with --from or --export")
				}
				return l.check()
			}
			return l.lock(cmd.Context(), from, export)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&check, "check", false, "only say whether the lock fits; exit code 3 when not")
	cmd.Flags().StringVar(&from, "from", "", "take the builds that the rpms.lock.yaml `F` of Konflux lists")
	cmd.Flags().StringVar(&export, "export", "", "also write the lock to `F` as an rpms.lock.yaml of Konflux")
	return cmd
}

// lockRun is one run of a command that reads or writes a lock.
type lockRun struct {
	env     *environment
	flags   *workFlags
	dir     string
	path    string
	recipes []*builder.Recipe
	old     *builder.LockFile // nil without one
}

// openLock reads recipes and the lock beside them; without recipes those of ./slim.lock.
func openLock(env *environment, flags *workFlags, files []string) (*lockRun, error) {
	l := &lockRun{env: env, flags: flags, dir: "."}
	var err error
	if len(files) == 0 {
		l.path = builder.LockFileName
		l.old, err = readOldLock(l.path)
		if err != nil {
			return nil, err
		}
		if l.old == nil {
			return nil, usageError("slim init DISTRIBUTION writes a first recipe", "no recipe is named, and there is no ./%s", builder.LockFileName)
		}
		for _, r := range l.old.Recipes {
			if file := filepath.FromSlash(r.File); !r.Elsewhere() && exists(file) {
				files = append(files, file)
			}
		}
		if len(files) == 0 {
			return nil, usageError("", "no recipe is named, and those of ./%s are gone", builder.LockFileName)
		}
	}
	if l.recipes, err = readRecipes(env, &flags.recipe, files); err != nil {
		return nil, err
	}
	if l.path != "" {
		return l, nil
	}
	if l.path = builder.LockPath(l.recipes[0]); l.path == "" {
		return nil, usageError("slim init --from writes it into a file", "%s is built in: there is no directory for its lock", files[0])
	}
	l.dir = filepath.Dir(l.path)
	l.old, err = readOldLock(l.path)
	return l, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readOldLock reads the lock at path, nil when there is none.
func readOldLock(path string) (*builder.LockFile, error) {
	f, err := builder.ReadLockFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func (l *lockRun) check() error {
	doc := checkJSON{Version: 1, File: l.path, Misfits: []misfitJSON{}}
	var err error
	if l.old == nil {
		err = noLock(l.recipes[0])
		doc.Misfits = append(doc.Misfits, misfitJSON{Recipe: l.recipes[0].File, Message: "there is no lock"})
	} else {
		err = l.old.Check(l.dir, l.recipes)
	}
	var stale *builder.StaleError
	if errors.As(err, &stale) {
		for _, m := range stale.Misfits {
			doc.Misfits = append(doc.Misfits, misfitJSON(m))
		}
	}
	doc.Fresh = err == nil
	out := &lines{w: l.env.stdout}
	switch {
	case l.flags.json:
		out.err = writeJSON(l.env.stdout, doc)
	case err == nil:
		out.printf("%s fits\n", l.path)
	}
	return errors.Join(err, out.err)
}

func (l *lockRun) lock(ctx context.Context, from, export string) error {
	req := builder.LockRequest{}
	if from != "" {
		pins, err := builder.ReadKonflux(from)
		if err != nil {
			return err
		}
		req.Pins = pins
	}
	result, err := l.solve(ctx, req)
	if err != nil {
		return err
	}
	if export != "" {
		data, err := result.File.Konflux()
		if err == nil {
			err = os.WriteFile(export, data, 0o666)
		}
		if err != nil {
			return err
		}
	}
	written, err := l.write(result)
	if err != nil {
		return err
	}
	if l.flags.json {
		return writeJSON(l.env.stdout, lockAnswer(l.path, written, result))
	}
	out := &lines{w: l.env.stdout}
	if l.old != nil {
		printChanges(out, result.Changes)
	}
	out.printf("%s: %s\n", l.path, lockSummary(result.File))
	return out.err
}

// solve makes the new lock and says what there is to mind.
func (l *lockRun) solve(ctx context.Context, req builder.LockRequest) (*builder.LockResult, error) {
	p := l.env.newProgress()
	opts, err := l.flags.options(l.env, p)
	if err != nil {
		return nil, err
	}
	req.Dir, req.Recipes, req.Old = l.dir, l.recipes, l.old
	result, err := builder.MakeLock(ctx, req, opts)
	p.close(err)
	if err != nil {
		return nil, err
	}
	for _, r := range result.Dropped {
		l.env.say("%s is gone, and is dropped from the lock", r)
	}
	for _, pkg := range result.Gone {
		l.env.say("%s cannot stay: the repository no longer has it for %s", pkg.NEVRA, pkg.Platform)
	}
	for _, name := range result.Held {
		l.env.say("%s stays: no newer build of it can be installed with the rest", name)
	}
	for _, x := range result.Lacking {
		l.env.say("%s: %s does without %s", x.Recipe, x.Platform, strings.Join(x.Names, ", "))
	}
	for _, d := range result.Differing {
		var builds []string
		for _, b := range d.Builds {
			builds = append(builds, fmt.Sprintf("%s for %s", b.EVR, b.Platform))
		}
		l.env.say("warning: %s is not the same on all platforms: %s", d.Name, strings.Join(builds, ", "))
	}
	return result, nil
}

// write replaces the lock when something in it is new.
func (l *lockRun) write(result *builder.LockResult) (bool, error) {
	if l.old != nil && string(l.old.Bytes()) == string(result.File.Bytes()) {
		return false, nil
	}
	err := result.File.Write(l.path)
	return err == nil, err
}

func lockSummary(f *builder.LockFile) string {
	return fmt.Sprintf("%s, %s, %s", count(len(f.Recipes), "recipe"), count(len(f.Platforms()), "platform"), count(len(f.Packages), "package"))
}

func lockAnswer(path string, written bool, r *builder.LockResult) lockJSON {
	doc := lockJSON{
		Version: 1, File: path, Written: written, Packages: len(r.File.Packages),
		Recipes: []lockRecipeJSON{}, Changes: []changeJSON{}, Dropped: filled(r.Dropped), Held: filled(r.Held),
		Gone: []string{}, Lacking: []lackingJSON{}, Differing: []differingJSON{},
	}
	for _, p := range r.Gone {
		doc.Gone = append(doc.Gone, p.NEVRA.String())
	}
	for _, recipe := range r.File.Recipes {
		j := lockRecipeJSON{File: recipe.File, Platforms: []lockPlatformJSON{}}
		for _, t := range recipe.Takes {
			j.Platforms = append(j.Platforms, lockPlatformJSON{t.Platform.String(), len(t.Names)})
		}
		doc.Recipes = append(doc.Recipes, j)
	}
	for _, c := range r.Changes {
		doc.Changes = append(doc.Changes, newChangeJSON(c))
	}
	for _, x := range r.Lacking {
		doc.Lacking = append(doc.Lacking, lackingJSON{x.Recipe, x.Platform.String(), x.Names})
	}
	for _, d := range r.Differing {
		j := differingJSON{Name: d.Name}
		for _, b := range d.Builds {
			j.Builds = append(j.Builds, differentEVRJSON{b.Platform.String(), b.NEVRA.String()})
		}
		doc.Differing = append(doc.Differing, j)
	}
	return doc
}

func filled(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func newChangeJSON(c builder.Change) changeJSON {
	j := changeJSON{
		Platform: c.Platform.String(), Name: c.Name, Arch: c.Arch, Old: newBuildOfJSON(c.Old), New: newBuildOfJSON(c.New),
		Recipes: filled(c.Recipes), Advisories: []advisoryJSON{},
	}
	for _, a := range c.Advisories {
		j.Advisories = append(j.Advisories, advisoryJSON{a.ID, a.Type, a.Severity, a.Title, filled(a.CVEs)})
	}
	return j
}

func newBuildOfJSON(p *builder.LockFilePackage) *buildOfJSON {
	if p == nil {
		return nil
	}
	return &buildOfJSON{NEVRA: p.NEVRA.String(), EVR: p.EVR.String(), Checksum: p.Checksum.String(), Size: p.Size, InstalledSize: p.InstalledSize}
}
