package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

type fleetJSON struct {
	Version      int                `json:"version"`
	Members      []fleetMemberJSON  `json:"members"`
	Packages     []fleetPackageJSON `json:"packages"`
	Core         []string           `json:"core"`
	Permutations []standardJSON     `json:"permutations"`
	Sharing      sharingJSON        `json:"sharing"`
	Exceeded     []string           `json:"exceeded"` // names of packages of which there are more builds than allowed
}

type fleetMemberJSON struct {
	Name     string `json:"name"`
	Platform string `json:"platform,omitempty"`
	Packages int    `json:"packages"`
	Size     int64  `json:"size"` // compressed
}

type fleetPackageJSON struct {
	Name   string           `json:"name"`
	Count  int              `json:"count"`
	Builds []fleetBuildJSON `json:"builds"`
}

type fleetBuildJSON struct {
	NEVRA        string `json:"nevra"`
	HeaderSHA256 string `json:"header_sha256,omitempty"`
	Members      []int  `json:"members,omitempty"` // indexes of members
}

type standardJSON struct {
	Builds  []fleetBuildJSON `json:"builds"`
	Members []int            `json:"members"`
}

type sharingJSON struct {
	Packages            int   `json:"packages"`
	DifferentPackages   int   `json:"different_packages"`
	Installed           int64 `json:"installed_size"`
	DifferentInstalled  int64 `json:"different_installed_size"`
	Layers              int   `json:"layers"`
	DifferentLayers     int   `json:"different_layers"`
	LayerBytes          int64 `json:"layer_bytes"`
	DifferentLayerBytes int64 `json:"different_layer_bytes"`
}

type fleetPlanJSON struct {
	Version  int           `json:"version"`
	Members  int           `json:"members"`
	Rebuilds []rebuildJSON `json:"rebuilds"`
}

type rebuildJSON struct {
	Name     string     `json:"name"`
	Platform string     `json:"platform,omitempty"`
	Changes  []moveJSON `json:"changes"`
}

type moveJSON struct {
	From fleetBuildJSON `json:"from"`
	To   fleetBuildJSON `json:"to"`
}

type fleetWhereJSON struct {
	Version int          `json:"version"`
	Holders []holderJSON `json:"holders"`
}

type holderJSON struct {
	Name     string         `json:"name"`
	Platform string         `json:"platform,omitempty"`
	Build    fleetBuildJSON `json:"build"`
	Tier     string         `json:"tier,omitempty"` // on the execution path of an image
}

const fleetMembers = `A member is an image as for inspect, a plain root as dir:DIR, a lock (FILE.lock:
each recipe in it), a recipe, or a directory: all images of an OCI layout, or the
lock in it, or its recipes. With - the members are read from standard input, one
a line.`

func newFleetCommand(env *environment) *cobra.Command {
	var flags workFlags
	var core, limits []string
	cmd := &cobra.Command{
		Use:   "fleet MEMBER...",
		Short: "Count how many builds of each package a set of images runs",
		Long: `Fleet shows how far a set of images is from running one build of each package.
A build is the signed header of a package: its digest, not its version, tells
builds apart. The permutations are the different sets of builds of the core
packages (` + strings.Join(builder.DefaultCore(), ", ") + `, and what is on the direct
execution path of two images); an image that lacks one of them contradicts nobody.

` + fleetMembers + `

--max-permutations makes a gate of it: the exit code is 3 when the fleet runs more
builds of a package than allowed. fleet plan says which images to make anew so that
there is one build of each, fleet where which of them have certain builds.`,
		Example: `  slim fleet oci:images:httpd oci:images:nginx registry.example/base/redis:7
  slim fleet slim.lock --max-permutations glibc=1,openssl-libs=1
  slim fleet where 'openssl-libs<1:3.2.2-7' images/`,
		GroupID: groupLook,
		Args:    needMember(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := parseLimits(limits)
			if err != nil {
				return err
			}
			fleet, err := readFleet(cmd, env, &flags, args, core)
			if err != nil {
				return err
			}
			exceeded := fleet.Exceeded(wanted)
			if flags.json {
				err = writeJSON(env.stdout, fleetAnswer(fleet, exceeded))
			} else {
				out := &lines{w: env.stdout}
				printFleet(out, fleet)
				err = out.err
			}
			return errors.Join(err, tooMany(exceeded, wanted))
		},
	}
	flags.add(cmd)
	cmd.Flags().StringSliceVar(&core, "core", nil, "count permutations over these packages `NAME[,NAME]` (default "+strings.Join(builder.DefaultCore(), ",")+" and what is direct in two images)")
	cmd.Flags().StringSliceVar(&limits, "max-permutations", nil, "fail when there are more builds: `NAME=N[,NAME=N]`")
	cmd.AddCommand(newFleetPlanCommand(env), newFleetWhereCommand(env))
	return cmd
}

func newFleetPlanCommand(env *environment) *cobra.Command {
	var flags workFlags
	cmd := &cobra.Command{
		Use:   "plan MEMBER...",
		Short: "Say which images to make anew so that there is one build of each package",
		Long: `Plan lists the fewest members to make anew so that the fleet runs one build of each
package: the newest that any of them has. No package goes back.

` + fleetMembers,
		Example: "  slim fleet plan images/",
		Args:    needMember(0),
		RunE: func(cmd *cobra.Command, args []string) error {
			fleet, err := readFleet(cmd, env, &flags, args, nil)
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(env.stdout, fleetPlanAnswer(fleet))
			}
			out := &lines{w: env.stdout}
			printFleetPlan(out, fleet)
			return out.err
		},
	}
	flags.add(cmd)
	return cmd
}

func newFleetWhereCommand(env *environment) *cobra.Command {
	var flags workFlags
	cmd := &cobra.Command{
		Use:   "where 'NAME[<EVR]' MEMBER...",
		Short: "Say which images have certain builds of a package",
		Long: `Where lists the members that have builds of a package: all of them, or those whose
version compares as said, by <, <=, =, >= or >. Of images it says whether the
package is on the execution path (see slim path) or idle; of locks and recipes, and
where no program is named, that is not known. The exit code is 0 when there are
none, too.

` + fleetMembers,
		Example: "  slim fleet where 'openssl-libs<1:3.2.2-7' images/",
		Args:    needMember(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			want, err := builder.ParseBuilds(args[0])
			if err != nil {
				return usageError("as in 'openssl-libs<1:3.2.2-7', quoted for the shell", "%w", err)
			}
			fleet, err := readFleet(cmd, env, &flags, args[1:], nil)
			if err != nil {
				return err
			}
			holders := fleet.Where(want)
			if flags.json {
				return writeJSON(env.stdout, fleetWhereAnswer(fleet, holders))
			}
			if fleet.Package(want.Name) == nil {
				env.say("no image has a package %s in any version", want.Name)
			}
			out := &lines{w: env.stdout}
			printHolders(out, fleet, holders, want.String())
			return out.err
		},
	}
	flags.add(cmd)
	return cmd
}

// needMember refuses a command line without members after its first arguments.
func needMember(before int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) <= before {
			return usageError(cmd.CommandPath()+" --help says what it takes", "%s needs images, locks or recipes", cmd.CommandPath())
		}
		return nil
	}
}

func readFleet(cmd *cobra.Command, env *environment, flags *workFlags, args, core []string) (*builder.Fleet, error) {
	var of []string
	for _, a := range args {
		if a != "-" {
			of = append(of, a)
			continue
		}
		listed := bufio.NewScanner(cmd.InOrStdin())
		for listed.Scan() {
			if line := strings.TrimSpace(listed.Text()); line != "" && line[0] != '#' {
				of = append(of, line)
			}
		}
		if err := listed.Err(); err != nil {
			return nil, fmt.Errorf("reading the list of members: %w", err)
		}
	}
	recipes, err := flags.recipe.options(env)
	if err != nil {
		return nil, err
	}
	p := env.newProgress()
	opts, err := flags.options(env, p)
	if err != nil {
		return nil, err
	}
	members, err := builder.ReadFleet(cmd.Context(), of, recipes, opts)
	p.close(err)
	if err != nil {
		return nil, err
	}
	return builder.NewFleet(members, builder.FleetOptions{Core: core}), nil
}

func parseLimits(texts []string) ([]builder.Limit, error) {
	var out []builder.Limit
	for _, text := range texts {
		name, number, ok := strings.Cut(text, "=")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || name == "" {
			return nil, usageError("as in glibc=1,openssl-libs=1", "--max-permutations: %q is no NAME=N", text)
		}
		out = append(out, builder.Limit{Name: name, Most: n})
	}
	return out, nil
}

func tooMany(exceeded []builder.FleetPackage, limits []builder.Limit) error {
	var texts []string
	for _, p := range exceeded {
		for _, l := range limits {
			if l.Name == p.Name && p.Count > l.Most {
				texts = append(texts, fmt.Sprintf("%s of %s, of which %d may be", count(p.Count, "build"), p.Name, l.Most))
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return &exitError{code: exitGate, err: fmt.Errorf("the fleet runs %s", strings.Join(texts, "; ")), hint: "slim fleet plan says which images to make anew"}
}

// maxNames are named where members are listed; the document has all.
const maxNames = 4

func memberNames(f *builder.Fleet, members []int) string {
	text := count(len(members), "image")
	if len(members) == len(f.Members) {
		return "all " + text
	}
	if len(members) > maxNames {
		return text
	}
	var names []string
	for _, m := range members {
		names = append(names, f.Members[m].String())
	}
	return text + ": " + printable(strings.Join(names, ", "))
}

// coreText names the packages of the core, the rest of many by their number.
func coreText(f *builder.Fleet) string {
	const most = 8
	if len(f.Core) <= most {
		return strings.Join(f.Core, ", ")
	}
	named := slices.DeleteFunc(builder.DefaultCore(), func(name string) bool { return !slices.Contains(f.Core, name) })
	return fmt.Sprintf("%s and %d more on direct paths", strings.Join(named, ", "), len(f.Core)-len(named))
}

func printFleet(out *lines, f *builder.Fleet) {
	s := &f.Sharing
	out.printf("%s of %s in %s with %s\n", count(len(f.Standards), "permutation"), coreText(f),
		count(len(f.Members), "image"), count(len(f.Packages), "package"))
	for i, standard := range f.Standards {
		var builds []string
		same := 0
		for _, b := range standard.Builds {
			if p := f.Package(b.Name); len(f.Standards) > 1 && p.Count < 2 {
				same++
			} else {
				builds = append(builds, b.NEVRA.String())
			}
		}
		if same > 0 {
			builds = append(builds, fmt.Sprintf("and %s as everywhere", count(same, "package")))
		}
		out.printf("  %d  %s\n     %s\n", i+1, memberNames(f, standard.Members), printable(strings.Join(builds, " ")))
	}
	several := 0
	for i := range f.Packages {
		p := &f.Packages[i]
		if p.Count < 2 {
			continue
		}
		if several++; several == 1 {
			out.printf("more than one build\n")
		}
		out.printf("  %s, %d builds\n", printable(p.Name), p.Count)
		for _, b := range p.Builds {
			out.printf("    %-44s %s  %s\n", printable(b.NEVRA.String()), fit(b.Header, 12), memberNames(f, b.Members))
		}
	}
	if several == 0 {
		out.printf("each package has one build\n")
	}
	out.printf("packages  %d installed, %d different: %s, %s different\n", s.Packages, s.DifferentPackages, size(s.Installed), size(s.DifferentInstalled))
	if s.Layers > 0 {
		out.printf("layers    %d in all, %d different: %s, %s different\n", s.Layers, s.DifferentLayers, size(s.LayerBytes), size(s.DifferentLayerBytes))
	}
}

func printFleetPlan(out *lines, f *builder.Fleet) {
	plan := f.Plan()
	for _, r := range plan {
		out.printf("%s\n", printable(f.Members[r.Member].String()))
		for _, c := range r.Changes {
			to := c.To.EVR.String()
			if c.To.EVR.Compare(c.From.EVR) == 0 {
				to = "build " + fit(c.To.Header, 12)
			}
			out.printf("  %s -> %s\n", printable(c.From.NEVRA.String()), printable(to))
		}
	}
	out.printf("%d of %s to make anew\n", len(plan), count(len(f.Members), "image"))
}

// printHolders lists who has builds, those on the path first.
func printHolders(out *lines, f *builder.Fleet, holders []builder.Holder, want string) {
	wide := 0
	for _, h := range holders {
		wide = max(wide, len(h.Build.NEVRA.String()))
	}
	for _, h := range holders {
		out.printf("%-*s  %-9s  %s\n", wide, printable(h.Build.NEVRA.String()), tierText(h.Tier), printable(f.Members[h.Member].String()))
	}
	out.printf("%d of %s have %s", countMembers(holders), count(len(f.Members), "image"), want)
	sep := ": "
	for _, tier := range []builder.Tier{builder.TierDirect, builder.TierLoadable, builder.TierData, builder.TierIdle, ""} {
		of := slices.DeleteFunc(slices.Clone(holders), func(h builder.Holder) bool { return h.Tier != tier })
		if n := countMembers(of); n > 0 {
			out.printf("%s%s in %d", sep, tierText(tier), n)
			sep = ", "
		}
	}
	out.printf("\n")
}

func tierText(t builder.Tier) string {
	if t == "" {
		return "not known"
	}
	return string(t)
}

func countMembers(holders []builder.Holder) int {
	members := map[int]bool{}
	for _, h := range holders {
		members[h.Member] = true
	}
	return len(members)
}

func fleetBuildAnswer(b builder.FleetBuild, members []int) fleetBuildJSON {
	return fleetBuildJSON{NEVRA: b.NEVRA.String(), HeaderSHA256: b.Header, Members: members}
}

func memberPlatform(m *builder.FleetMember) string {
	if m.Platform == (builder.Platform{}) {
		return ""
	}
	return m.Platform.String()
}

func fleetAnswer(f *builder.Fleet, exceeded []builder.FleetPackage) fleetJSON {
	doc := fleetJSON{
		Version: 1, Members: []fleetMemberJSON{}, Packages: []fleetPackageJSON{}, Core: f.Core, Permutations: []standardJSON{},
		Sharing: sharingJSON(f.Sharing), Exceeded: []string{},
	}
	for i := range f.Members {
		m := &f.Members[i]
		j := fleetMemberJSON{Name: m.Name, Platform: memberPlatform(m), Packages: len(m.Packages)}
		for _, l := range m.Layers {
			j.Size += l.Size
		}
		doc.Members = append(doc.Members, j)
	}
	for _, p := range f.Packages {
		j := fleetPackageJSON{Name: p.Name, Count: p.Count}
		for _, b := range p.Builds {
			j.Builds = append(j.Builds, fleetBuildAnswer(b.FleetBuild, b.Members))
		}
		doc.Packages = append(doc.Packages, j)
	}
	for _, s := range f.Standards {
		j := standardJSON{Members: s.Members}
		for _, b := range s.Builds {
			j.Builds = append(j.Builds, fleetBuildAnswer(b, nil))
		}
		doc.Permutations = append(doc.Permutations, j)
	}
	for _, p := range exceeded {
		doc.Exceeded = append(doc.Exceeded, p.Name)
	}
	return doc
}

func fleetPlanAnswer(f *builder.Fleet) fleetPlanJSON {
	doc := fleetPlanJSON{Version: 1, Members: len(f.Members), Rebuilds: []rebuildJSON{}}
	for _, r := range f.Plan() {
		j := rebuildJSON{Name: f.Members[r.Member].Name, Platform: memberPlatform(&f.Members[r.Member])}
		for _, c := range r.Changes {
			j.Changes = append(j.Changes, moveJSON{fleetBuildAnswer(c.From, nil), fleetBuildAnswer(c.To, nil)})
		}
		doc.Rebuilds = append(doc.Rebuilds, j)
	}
	return doc
}

func fleetWhereAnswer(f *builder.Fleet, holders []builder.Holder) fleetWhereJSON {
	doc := fleetWhereJSON{Version: 1, Holders: []holderJSON{}}
	for _, h := range holders {
		m := &f.Members[h.Member]
		doc.Holders = append(doc.Holders, holderJSON{m.Name, memberPlatform(m), fleetBuildAnswer(h.Build, nil), string(h.Tier)})
	}
	return doc
}
