package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slim/builder"
)

// workFlags are the flags of commands that resolve and fetch.
type workFlags struct {
	recipe  recipeFlags
	offline bool
	locked  bool
	jobs    int
	json    bool
}

func (f *workFlags) add(cmd *cobra.Command) {
	f.recipe.add(cmd)
	cmd.Flags().BoolVar(&f.offline, "offline", false, "open no network connection")
	cmd.Flags().IntVar(&f.jobs, "jobs", 0, "do `N` things at once (default: one a processor)")
	addJSONFlag(cmd, &f.json)
}

// addLocked is for commands that use a lock.
func (f *workFlags) addLocked(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.locked, "locked", false, "demand a slim.lock that fits; fetch no metadata")
}

// options are what the flags and the environment say about working.
func (f *workFlags) options(env *environment, p *progress) (builder.Options, error) {
	o := builder.Options{
		CacheDir: env.cacheDir(), Jobs: f.jobs, Offline: f.offline, Version: readBuildVersion().Version,
		Builtin: env.builtin, Report: p.report, WorkDir: env.getenv("TMPDIR"),
	}
	if f.recipe.vendored != "" {
		o.KeyDir = builder.VendoredKeys(f.recipe.vendored)
	}
	if f.jobs < 0 {
		return o, usageError("", "--jobs is a number above 0")
	}
	if s := env.getenv("SOURCE_DATE_EPOCH"); s != "" {
		epoch, err := strconv.ParseInt(s, 10, 64)
		if err != nil || epoch < 0 || epoch > 1<<32-1 {
			return o, usageError("unset it, or give seconds since 1970", "SOURCE_DATE_EPOCH is %q", s)
		}
		o.Epoch = &epoch
	}
	return o, nil
}

func newBuildCommand(env *environment) *cobra.Command {
	var flags workFlags
	var outputs []string
	var digestFile string
	var cacheFrom []string
	var cacheTo string
	var attach attachFlags
	cmd := &cobra.Command{
		Use:   "build RECIPE|DIR...",
		Short: "Build the image of a recipe and deliver it",
		Long: `Build resolves the recipe's packages, fetches and verifies them, assembles the
image, and delivers it: to each -o, without one to the recipe's push, without
that to ./NAME.tar. Of several recipes, and those of directories, each is built
after the one that it extends; one that fails is named, and the rest is built.
Where a slim.lock stands beside the recipe, its packages are
taken and no metadata is fetched; a recipe that it does not fit is refused with
exit code 3, with --locked or without. A destination is

  docker://REFERENCE       a registry, with docker's or podman's credentials
  oci:DIR[:TAG]            an OCI image layout; several images may share it
  oci-archive:FILE         the same as a tar
  docker-archive:FILE      a tar for docker load
  NAME.tar                 a tar for docker load, podman load and OCI tools alike
  dir:DIR                  the plain root file system

--cache-from and --cache-to keep in a registry what builds computed: packed
packages, package headers, repository metadata, finished layers; not the
packages themselves. A worker with an empty cache directory then builds what
another one built without fetching a package. What is missing or damaged there
is made again. Failing to write the cache fails the build after the image was
delivered, unless the reference ends in ,ignore-error=true. Who may write to
the cache can change what is built from it: give that right to those who may
push the images. slim verify proves an image whatever it was made from.

` + attachHelp + `

The last line of the answer is where the image is and its digest.`,
		Example: `  slim build recipe.yaml
  slim build recipe.yaml -o docker://registry.example/base/httpd:2.4
  slim build recipe.yaml --platform linux/amd64,linux/arm64 -o oci:images
  slim build recipes/ -o oci:images            # a tag for each
  slim build recipe.yaml --cache-from docker://registry.example/cache:slim \
      --cache-to docker://registry.example/cache:slim`,
		GroupID: groupBuild,
		Args:    needRecipe(math.MaxInt),
		RunE: func(cmd *cobra.Command, args []string) error {
			b := build{env: env, flags: &flags, outputs: outputs, cacheFrom: cacheFrom, cacheTo: cacheTo}
			if err := b.readAttach(&attach); err != nil {
				return err
			}
			return b.run(cmd.Context(), args, digestFile)
		},
	}
	flags.add(cmd)
	flags.addLocked(cmd)
	attach.add(cmd)
	cmd.Flags().StringArrayVarP(&outputs, "output", "o", nil, "deliver to this `DEST`, may be repeated")
	cmd.Flags().StringVar(&digestFile, "digestfile", "", "write the image's digest to `F`")
	cmd.Flags().StringArrayVar(&cacheFrom, "cache-from", nil, "take what was computed before from docker://`REF`, may be repeated")
	cmd.Flags().StringVar(&cacheTo, "cache-to", "", "bring what was computed to docker://`REF`")
	return cmd
}

// build is one run of the build command.
type build struct {
	env       *environment
	flags     *workFlags
	outputs   []string
	cacheFrom []string
	cacheTo   string
	shared    *builder.SharedCache // nil for none
	attach    attachRequest
}

// built is what came of one recipe.
type built struct {
	image      *builder.Image
	recipes    int // that share the lock; 0 without one
	deliveries []builder.Delivery
	attached   []builder.Attached // to the image wherever it can be
	timings    timings
}

func (b *build) run(ctx context.Context, recipes []string, digestFile string) error {
	read, err := readRecipes(b.env, &b.flags.recipe, recipes)
	if err != nil {
		return err
	}
	if err := b.checkOutputs(read); err != nil {
		return err
	}
	if err := b.openShared(ctx); err != nil {
		return err
	}
	all, failed := b.all(ctx, read)
	for _, one := range all {
		defer one.image.Close()
	}
	if len(read) == 1 && len(failed) == 1 {
		return failed[0].err
	}
	unshared := b.pushShared(ctx)
	if err := b.answer(read, all, failed, digestFile); err != nil {
		return err
	}
	errs := []error{unshared}
	for _, f := range failed {
		errs = append(errs, fmt.Errorf("%s: %w", f.recipe, f.err))
	}
	return errors.Join(errs...)
}

// openShared opens the cache of --cache-from and --cache-to.
func (b *build) openShared(ctx context.Context) error {
	if len(b.cacheFrom) == 0 && b.cacheTo == "" {
		return nil
	}
	opts, err := b.flags.options(b.env, b.env.newProgress())
	if err != nil {
		return err
	}
	if b.shared, err = builder.OpenSharedCache(ctx, b.cacheFrom, b.cacheTo, opts); err != nil {
		return usageError("slim build --help says what --cache-from and --cache-to take", "%w", err)
	}
	return nil
}

// pushShared writes what was built to the cache of --cache-to.
func (b *build) pushShared(ctx context.Context) error {
	if b.shared == nil {
		return nil
	}
	p := b.env.newProgress()
	opts, err := b.flags.options(b.env, p)
	if err == nil {
		err = b.shared.Push(ctx, opts)
	}
	p.close(err)
	return err
}

// answer says what was built and delivered.
func (b *build) answer(read []*builder.Recipe, all []built, failed []failure, digestFile string) error {
	if digestFile != "" {
		var digests strings.Builder
		for _, one := range all {
			fmt.Fprintln(&digests, one.deliveries[0].Digest)
		}
		if err := os.WriteFile(digestFile, []byte(digests.String()), 0o666); err != nil {
			return err
		}
	}
	if b.flags.json {
		if len(read) == 1 {
			return writeJSON(b.env.stdout, buildAnswer(&all[0]))
		}
		return writeJSON(b.env.stdout, buildsAnswer(all, failed))
	}
	for _, one := range all {
		if err := printBuilt(b.env.stdout, one); err != nil {
			return err
		}
	}
	return nil
}

// failure is a recipe of several that could not be built or delivered.
type failure struct {
	recipe string
	err    error
}

// all builds recipes one after the other, those that others extend before them: what they share is fetched, verified and
// packed once. One that fails does not keep the others from being built.
func (b *build) all(ctx context.Context, recipes []*builder.Recipe) (all []built, failed []failure) {
	ordered := slices.Clone(recipes)
	slices.SortStableFunc(ordered, func(a, b *builder.Recipe) int { return cmp.Compare(len(a.Parents), len(b.Parents)) })
	for _, r := range ordered {
		p := b.env.newProgress()
		one, err := b.one(ctx, r, p)
		p.close(err)
		if err != nil {
			failed = append(failed, failure{r.File, err})
			if ctx.Err() != nil {
				break
			}
			continue
		}
		all = append(all, *one)
		b.warnScriptlets(one.image)
	}
	return all, failed
}

// readRecipes reads all recipes before any work is done. A directory stands for those in it.
func readRecipes(env *environment, flags *recipeFlags, files []string) ([]*builder.Recipe, error) {
	opts, err := flags.options(env)
	if err != nil {
		return nil, err
	}
	var out []*builder.Recipe
	read := map[string]bool{}
	for _, arg := range files {
		files, err := recipeFiles(arg)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if read[filepath.Clean(file)] {
				continue
			}
			read[filepath.Clean(file)] = true
			r, err := builder.ReadRecipe(file, opts)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// recipeFiles are the recipes that an argument names: those of a directory are its *.yaml and *.yml, by name, less the
// locks of other programs.
func recipeFiles(arg string) ([]string, error) {
	info, err := os.Stat(arg)
	if err != nil || !info.IsDir() {
		return []string{arg}, nil // reading it says what is wrong
	}
	entries, err := os.ReadDir(arg)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if !e.IsDir() && (ext == ".yaml" || ext == ".yml") && !strings.HasSuffix(e.Name(), ".lock"+ext) {
			files = append(files, filepath.Join(arg, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, usageError("a recipe is a *.yaml or *.yml", "there is no recipe in %s", arg)
	}
	return files, nil
}

// checkOutputs refuses malformed destinations before any work is done.
func (b *build) checkOutputs(recipes []*builder.Recipe) error {
	for _, r := range recipes {
		for _, d := range destinations(r, b.outputs) {
			if err := builder.CheckDestination(d); err != nil {
				return usageError("slim build --help lists the kinds of destinations", "%w", err)
			}
			if takes, _ := builder.TakesAttachments(d); b.attach.asked && !takes {
				return usageError("docker://REFERENCE and oci:DIR have one", "%s has no place for what is attached to an image", d)
			}
		}
	}
	if len(recipes) < 2 {
		return nil
	}
	for _, d := range b.outputs {
		if !builder.SharedDestination(d) {
			return usageError("an oci:DIR without a tag takes all of them", "%d recipes cannot all go to %s", len(recipes), d)
		}
	}
	return b.checkNames(recipes)
}

// checkNames refuses recipes of which one image would replace the other.
func (b *build) checkNames(recipes []*builder.Recipe) error {
	first := map[string]string{}
	for _, r := range recipes {
		for _, d := range destinations(r, b.outputs) {
			place := d
			if builder.SharedDestination(d) {
				place += ":" + r.Name
			}
			if other, ok := first[place]; ok {
				return usageError("give them different names", "%s and %s would both go to %s", other, r.File, place)
			}
			first[place] = r.File
		}
	}
	return nil
}

// destinations are where the image of r goes.
func destinations(r *builder.Recipe, outputs []string) []string {
	if len(outputs) > 0 {
		return outputs
	}
	var out []string
	for _, ref := range r.Push {
		if !strings.Contains(ref, "://") {
			ref = "docker://" + ref
		}
		out = append(out, ref)
	}
	if len(out) == 0 {
		out = append(out, "./"+r.Name+".tar")
	}
	return out
}

// timings are the seconds that the parts of a build took.
type timings struct {
	Resolve float64 `json:"resolve"`
	Build   float64 `json:"build"`
	Deliver float64 `json:"deliver"`
}

func (b *build) one(ctx context.Context, r *builder.Recipe, p *progress) (*built, error) {
	opts, err := b.flags.options(b.env, p)
	if err != nil {
		return nil, err
	}
	opts.Shared = b.shared
	out := &built{}
	start := b.env.now()
	lap := func(to *float64) {
		now := b.env.now()
		*to, start = now.Sub(start).Round(time.Millisecond).Seconds(), now
	}
	lock, err := b.flags.resolve(ctx, r, &opts)
	if err != nil {
		return nil, err
	}
	lap(&out.timings.Resolve)
	out.recipes = lock.Recipes
	opts.Bill = b.attach.NeedBill() && b.attach.at(destinations(r, b.outputs)...)
	if out.image, err = builder.Build(ctx, r, lock, opts); err != nil {
		return nil, err
	}
	lap(&out.timings.Build)
	if err := b.deliver(ctx, r, out, opts); err != nil {
		out.image.Close()
		return nil, err
	}
	lap(&out.timings.Deliver)
	return out, nil
}

// deliver brings the image, and what is attached to it, to where it goes.
func (b *build) deliver(ctx context.Context, r *builder.Recipe, out *built, opts builder.Options) error {
	for _, d := range destinations(r, b.outputs) {
		var what builder.AttachOptions
		if b.attach.at(d) {
			what = b.attach.AttachOptions
		}
		delivery, err := out.image.Deliver(ctx, d, what, opts)
		if err != nil {
			return err
		}
		out.deliveries = append(out.deliveries, *delivery)
		if len(out.attached) == 0 {
			out.attached = delivery.Attached // the same wherever they are
		}
	}
	return nil
}

// resolve takes the packages from the lock beside the recipe or, without one, from the repository.
func (f *workFlags) resolve(ctx context.Context, r *builder.Recipe, opts *builder.Options) (*builder.Lock, error) {
	file, err := builder.FindLock(r)
	switch {
	case err != nil:
		return nil, err
	case file == nil && f.locked:
		return nil, noLock(r)
	case file == nil:
		return builder.Resolve(ctx, r, *opts)
	}
	lock, err := file.Lock(r)
	if err != nil {
		return nil, err
	}
	opts.Keys = file.Keys
	opts.Report.Report(builder.Event{Message: r.File + ": packages as in " + builder.LockPath(r)})
	return lock, nil
}

func noLock(r *builder.Recipe) error {
	return &exitError{code: exitGate, err: fmt.Errorf("there is no %s beside %s", builder.LockFileName, r.File), hint: "slim lock " + r.File + " writes it"}
}

// warnScriptlets says which scriptlets the recipe skips, in one warning for the whole image.
func (b *build) warnScriptlets(img *builder.Image) {
	slots := map[string][]string{}
	var order []string
	for _, p := range img.Platforms {
		for _, s := range p.Unevaluated {
			if slots[s.Package] == nil {
				order = append(order, s.Package)
			}
			slots[s.Package] = append(slots[s.Package], s.Slot)
		}
	}
	if len(order) == 0 {
		return
	}
	b.env.say("warning: the recipe skips scriptlets of %s; what they would have made is missing in the image:", count(len(order), "package"))
	for _, name := range order {
		b.env.say("  %s: %s", name, strings.Join(slots[name], ", "))
	}
}

// signedTexts say who signed the packages of an image.
func signedTexts(p builder.PlatformImage) []string {
	var out []string
	for _, s := range p.Signers {
		by := "signed by " + s.Key
		if s.Key == "" {
			by = "signed by nobody"
		}
		out = append(out, fmt.Sprintf("%d of %s %s", s.Packages, count(len(p.Packages), "package"), by))
	}
	return out
}

// buildsText says whether other recipes take the same builds of the packages.
func buildsText(recipes int) string {
	if recipes == 0 {
		return "as the repository has them now: slim lock keeps one build of each package for all recipes"
	}
	return "one of each package in the " + count(recipes, "recipe") + " of " + builder.LockFileName
}

// printBuilt writes the answer for people: whose packages the image has, which, what was left out, where it went.
func printBuilt(w io.Writer, one built) error {
	out := &lines{w: w}
	for _, p := range one.image.Platforms {
		var download, installed int64
		for _, pkg := range p.Packages {
			download, installed = download+pkg.Size, installed+pkg.InstalledSize
		}
		digest, err := p.Image.Digest()
		if err != nil {
			return err
		}
		total, err := p.Size()
		if err != nil {
			return err
		}
		out.printf("%s for %s  %s\n", one.image.Name, p.Platform, digest)
		for _, text := range signedTexts(p) {
			out.printf("  proof     %s\n", text)
		}
		out.printf("  builds    %s\n", buildsText(one.recipes))
		out.printf("  packages  %d, %s as files, %s installed\n", len(p.Packages), size(download), size(installed))
		for _, pkg := range p.Packages {
			out.printf("    %-44s %9s\n", pkg.NEVRA, size(pkg.InstalledSize))
		}
		out.printf("  left out %s\n", strippedText(p.Stripped))
		out.printf("  layers    %d, %s compressed\n", len(p.Layers), size(total))
	}
	for _, text := range attachedTexts(one.attached) {
		out.printf("  attached  %s\n", text)
	}
	for _, d := range one.deliveries {
		for _, note := range d.Notes {
			out.printf("  not set   %s\n", note)
		}
	}
	for _, d := range one.deliveries {
		out.printf("%s\n", d)
	}
	return out.err
}

// strippedText says what each rule took.
func strippedText(all []builder.Stripped) string {
	var parts []string
	for _, s := range all {
		if s.Files > 0 {
			parts = append(parts, fmt.Sprintf(" %s: %d files, %s", s.Rule, s.Files, size(s.Bytes)))
		}
	}
	if len(parts) == 0 {
		return " nothing"
	}
	return strings.Join(parts, ";")
}

// lines writes text and keeps the first error.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format, args...)
	}
}
