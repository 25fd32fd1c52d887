package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"slim/builder"
)

// The JSON document of path. Fields are only ever added.
type pathJSON struct {
	Version int            `json:"version"`
	Image   string         `json:"image"`
	Digest  string         `json:"digest,omitempty"`
	Images  []pathImageOne `json:"images"`
}

type pathImageOne struct {
	Platform string            `json:"platform,omitempty"`
	Digest   string            `json:"digest,omitempty"`
	Command  []string          `json:"command"` // entrypoint and cmd
	User     string            `json:"user"`
	Programs []pathProgramJSON `json:"programs"`
	Tiers    []pathTierJSON    `json:"tiers"` // always the four, the nearest first
	Packages []pathPackageJSON `json:"packages"`
	Files    []pathFileJSON    `json:"files"` // every regular file of the image
	Missing  []pathMissingJSON `json:"missing"`
	Levers   []leverJSON       `json:"levers"`
	Notes    []string          `json:"notes"`
}

type pathProgramJSON struct {
	Named  string   `json:"named"`
	Path   string   `json:"path"`
	Via    edgePath `json:"via"`
	Script bool     `json:"script"`
	Static bool     `json:"static"`
}

type pathTierJSON struct {
	Tier     string `json:"tier"`
	Packages int    `json:"packages"` // whose nearest files are in it
	Files    int    `json:"files"`
	Bytes    int64  `json:"bytes"`
}

type pathPackageJSON struct {
	NEVRA     string           `json:"nevra"`
	Name      string           `json:"name"`
	SourceRPM string           `json:"source_rpm"`
	Tier      string           `json:"tier"`
	Bytes     map[string]int64 `json:"bytes"`             // by tier
	Files     map[string]int   `json:"files"`             // by tier
	Chain     []stepJSON       `json:"chain"`             // from the image's config to a file of the package; empty for data and idle
	Quality   *qualityJSON     `json:"quality,omitempty"` // with --quality, of direct and loadable ones
}

type qualityJSON struct {
	Signers  []string       `json:"signers"`
	Verified bool           `json:"verified"`
	Fault    string         `json:"fault,omitempty"`
	Built    string         `json:"built"`
	AgeDays  int            `json:"age_days"`
	Pending  []advisoryJSON `json:"pending_advisories"`
	Programs []hardenedJSON `json:"programs"`
}

type hardenedJSON struct {
	Path           string `json:"path"`
	Tier           string `json:"tier"`
	PIE            string `json:"pie"`
	RELRO          string `json:"relro"`
	NX             string `json:"nx"`
	StackProtector string `json:"stack_protector"`
	Fortify        string `json:"fortify"`
	ControlFlow    string `json:"control_flow"`
}

// edgePath says from where something is reached: from is "" for the image's config.
type edgePath struct {
	From string `json:"from"`
	How  string `json:"how"`
	Name string `json:"name"`
}

type stepJSON struct {
	edgePath
	Path string `json:"path"`
}

type pathFileJSON struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"` // 0 for all but one name of a hard link set
	Tier    string    `json:"tier"`
	Package string    `json:"package,omitempty"`
	Via     *edgePath `json:"via,omitempty"`
	Hwcaps  string    `json:"hwcaps,omitempty"`
}

type pathMissingJSON struct {
	edgePath
	Optional bool `json:"optional"`
}

type leverJSON struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	What string `json:"what,omitempty"`
}

// pathRun is one run of the path command.
type pathRun struct {
	env   *environment
	opts  builder.PathOptions
	flags recipeFlags
	json  bool

	chains  bool // whole
	quality bool
	by      builder.QualityOptions
	recipe  string
	now     time.Time
}

func newPathCommand(env *environment) *cobra.Command {
	r := &pathRun{env: env}
	cmd := &cobra.Command{
		Use:   "path IMAGE",
		Short: "Show what stands on the direct execution path, by package",
		Long: `Path follows what an image runs, slim's or not: from entrypoint and cmd, through
PATH and #! lines, to the dynamic loader and all libraries, found as the loader
would find them in this image. Nothing is run.

Each file has a tier: direct (runs for certain), loadable (what those may load:
dlopen notes and the plug-ins of NSS, PAM, gconv, OpenSSL, Python, Perl, httpd,
nginx, the JVM and others), data (configuration and the like, of packages on the
path or without programs), and idle: not on the static path. Idle does not mean
that nothing reaches it: a program may run others, and a shell anything.

Levers are listed whatever their tier: shells, interpreters, package managers,
network clients, setuid and setgid files, capabilities, and what the image's user
may write.

--quality shows for what is direct or loadable who signed it and when it was
built, which advisories are pending in the recipe's repository, and how its
programs and libraries were hardened: position independence, RELRO, a stack that
cannot be executed, stack protector, fortified calls, and control flow (CET, BTI).

IMAGE is as for inspect, or dir:DIR with --program for a plain root.`,
		Example: `  slim path registry.example/base/httpd:2.4
  slim path dir:/mnt/root --program /usr/sbin/nginx --json`,
		GroupID: groupLook,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := r.prepare(); err != nil {
				return err
			}
			found, err := builder.FindPath(cmd.Context(), args[0], r.opts)
			var none *builder.NoStartError
			if errors.As(err, &none) {
				return &exitError{code: exitUsage, err: err, hint: "--program PATH names one"}
			}
			if err != nil {
				return err
			}
			if r.json {
				return writeJSON(env.stdout, r.answer(found))
			}
			out := &lines{w: env.stdout}
			for k, i := range found.Images {
				if k > 0 {
					out.printf("\n")
				}
				r.print(out, found, i)
				if r.quality {
					r.printQuality(out, i)
				}
			}
			return out.err
		},
	}
	cmd.Flags().StringArrayVar(&r.opts.Programs, "program", nil, "begin at the program `PATH` too, may be repeated")
	cmd.Flags().BoolVar(&r.opts.Only, "only", false, "begin at --program alone, not at the image's entrypoint")
	cmd.Flags().BoolVar(&r.chains, "chains", false, "print chains whole")
	cmd.Flags().BoolVar(&r.quality, "quality", false, "show signer, age, pending advisories and ELF hardening too")
	cmd.Flags().StringArrayVar(&r.by.Keys, "key", nil, "for --quality: a file of public `KEY`s, may be repeated")
	cmd.Flags().StringVar(&r.recipe, "recipe", "", "for --quality: keys and advisories of `RECIPE`'s repository")
	cmd.Flags().BoolVar(&r.opts.Offline, "offline", false, "fetch nothing of the recipe over the network")
	cmd.Flags().StringSliceVar(&r.flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	addJSONFlag(cmd, &r.json)
	return cmd
}

func (r *pathRun) answer(found *builder.ExecutionPath) pathJSON {
	doc := pathJSON{Version: 1, Image: found.Reference, Digest: found.Digest, Images: []pathImageOne{}}
	for _, i := range found.Images {
		one := pathImageOne{
			Digest: i.Digest, Command: append([]string{}, i.Start.Args...), User: i.Start.User, Programs: []pathProgramJSON{},
			Packages: []pathPackageJSON{}, Files: []pathFileJSON{}, Missing: []pathMissingJSON{}, Levers: []leverJSON{},
			Notes: append([]string{}, i.Notes...),
		}
		if i.Digest != "" {
			one.Platform = i.Platform.String()
		}
		for _, p := range i.Programs {
			one.Programs = append(one.Programs, pathProgramJSON{p.Named, p.Path, pathEdge(p.Via), p.Script, p.Static})
		}
		for _, t := range pathTiers() {
			one.Tiers = append(one.Tiers, tierSum(i, t))
		}
		for _, p := range i.Packages {
			one.Packages = append(one.Packages, r.packageJSON(&p))
		}
		for _, f := range i.Files {
			one.Files = append(one.Files, pathFile(i, &f))
		}
		for _, m := range i.Missing {
			one.Missing = append(one.Missing, pathMissingJSON{pathEdge(m.Edge), m.Optional})
		}
		for _, l := range i.Levers {
			one.Levers = append(one.Levers, leverJSON{string(l.Kind), l.Path, l.What})
		}
		doc.Images = append(doc.Images, one)
	}
	return doc
}

func pathTiers() []builder.Tier {
	return []builder.Tier{builder.TierDirect, builder.TierLoadable, builder.TierData, builder.TierIdle}
}

func tierSum(i *builder.ImagePath, t builder.Tier) pathTierJSON {
	sum := pathTierJSON{Tier: string(t)}
	sum.Files, sum.Bytes = i.Sum(t)
	for _, p := range i.Packages {
		if p.Tier == t {
			sum.Packages++
		}
	}
	return sum
}

func pathEdge(e builder.PathEdge) edgePath { return edgePath{e.From, string(e.How), e.Name} }

func (r *pathRun) packageJSON(p *builder.PathPackage) pathPackageJSON {
	j := pathPackageJSON{
		NEVRA: p.NEVRA.String(), Name: p.Name, SourceRPM: p.SourceRPM, Tier: string(p.Tier),
		Bytes: map[string]int64{}, Files: map[string]int{}, Chain: []stepJSON{},
	}
	for _, t := range pathTiers() {
		j.Bytes[string(t)], j.Files[string(t)] = p.Bytes[t], p.Files[t]
	}
	for _, s := range p.Chain {
		j.Chain = append(j.Chain, stepJSON{pathEdge(s.Edge), s.Path})
	}
	if p.Quality != nil {
		j.Quality = r.qualityJSON(p.Quality)
	}
	return j
}

func pathFile(i *builder.ImagePath, f *builder.PathFile) pathFileJSON {
	j := pathFileJSON{Path: f.Path, Size: f.Size, Tier: string(f.Tier), Hwcaps: f.Hwcaps}
	if f.Package >= 0 {
		j.Package = i.Packages[f.Package].NEVRA.String()
	}
	if f.Via != nil {
		e := pathEdge(*f.Via)
		j.Via = &e
	}
	return j
}

func (r *pathRun) print(out *lines, found *builder.ExecutionPath, i *builder.ImagePath) {
	name := printable(found.Reference)
	if len(found.Images) > 1 {
		name += " for " + i.Platform.String()
	}
	out.printf("%s runs %s\n", name, printable(strings.Join(append(slices.Clone(i.Start.Args), i.Start.Programs...), " ")))
	for _, t := range pathTiers() {
		s := tierSum(i, t)
		out.printf("  %-8s  %9s in %s of %s\n", t, size(s.Bytes), count(s.Files, "file"), count(s.Packages, "package"))
	}
	for _, t := range pathTiers()[:2] {
		printTier(out, i, t, r.chains)
	}
	for _, t := range pathTiers()[2:] {
		printTierNames(out, i, t)
	}
	printLevers(out, i)
	for _, m := range i.Missing {
		if !m.Optional {
			out.printf("\nmissing: %s, %s of %s\n", printable(m.Name), m.How, printable(cmp.Or(m.From, "the image's config")))
		}
	}
	for _, n := range i.Notes {
		out.printf("\nnote: %s\n", printable(n))
	}
}

func printTier(out *lines, i *builder.ImagePath, t builder.Tier, full bool) {
	for k, p := range i.Packages {
		if p.Tier != t {
			continue
		}
		if k == 0 || i.Packages[k-1].Tier != t {
			out.printf("\n%s\n", t)
		}
		out.printf("  %9s  %-22s %s\n", size(p.Bytes[t]), printable(p.Name), printable(chainText(p.Chain, full)))
	}
}

// chainText is a chain in a line: the names of the files on it and how the last one is reached. Long ones are shortened
// unless they are wanted full.
func chainText(chain []builder.PathStep, full bool) string {
	var names []string
	for _, s := range chain {
		names = append(names, s.Path[strings.LastIndexByte(s.Path, '/')+1:])
	}
	if len(names) > 3 && !full {
		names = slices.Concat(names[:1], []string{"..."}, names[len(names)-2:])
	}
	text := strings.Join(names, " > ")
	if len(chain) > 0 {
		text += " (" + string(chain[len(chain)-1].How) + ")"
	}
	return text
}

func printTierNames(out *lines, i *builder.ImagePath, t builder.Tier) {
	var names []string
	for _, p := range i.Packages {
		if p.Tier == t {
			names = append(names, p.Name)
		}
	}
	if len(names) > 0 {
		out.printf("\n%s\n", t)
		out.printf("%s", wrapped(names))
	}
}

// wrapped are words in lines of at most 100 columns.
func wrapped(words []string) string {
	var b strings.Builder
	width := 0
	for _, w := range words {
		w = printable(w)
		if width > 0 && width+1+len(w) > 98 {
			b.WriteString("\n")
			width = 0
		}
		if width == 0 {
			b.WriteString("  ")
		} else {
			b.WriteString(" ")
			width++
		}
		b.WriteString(w)
		width += len(w)
	}
	return b.String() + "\n"
}

const maxLeversShown = 8

func printLevers(out *lines, i *builder.ImagePath) {
	if len(i.Levers) == 0 {
		return
	}
	out.printf("\nlevers\n")
	for from := 0; from < len(i.Levers); {
		kind := i.Levers[from].Kind
		var texts []string
		to := from
		for ; to < len(i.Levers) && i.Levers[to].Kind == kind; to++ {
			l := i.Levers[to]
			if text := printable(l.Path); l.What == "" || l.What == "file" || l.What == "directory" {
				texts = append(texts, text)
			} else {
				texts = append(texts, fmt.Sprintf("%s (%s)", text, printable(l.What)))
			}
		}
		more := ""
		if len(texts) > maxLeversShown {
			more = fmt.Sprintf(" and %d more", len(texts)-maxLeversShown)
			texts = texts[:maxLeversShown]
		}
		out.printf("  %-16s %s%s\n", kind, strings.Join(texts, ", "), more)
		from = to
	}
}
