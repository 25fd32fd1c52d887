package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

type diffJSON struct {
	Version    int           `json:"version"`
	Before     diffSideJSON  `json:"before"`
	After      diffSideJSON  `json:"after"`
	Equal      bool          `json:"equal"`
	Images     []diffOneJSON `json:"images"`
	OnlyBefore []string      `json:"platforms_only_before"`
	OnlyAfter  []string      `json:"platforms_only_after"`
}

type diffSideJSON struct {
	Image  string `json:"image"`
	Digest string `json:"digest,omitempty"`
}

type diffOneJSON struct {
	Platform     string            `json:"platform,omitempty"`
	Before       diffSizeJSON      `json:"before"`
	After        diffSizeJSON      `json:"after"`
	SharedLayers int               `json:"shared_layers"`
	SharedBytes  int64             `json:"shared_bytes"`
	Packages     []diffPackageJSON `json:"packages"`
	Files        []diffFileJSON    `json:"files"`
	Config       []diffConfigJSON  `json:"config"`
}

type diffSizeJSON struct {
	Digest     string `json:"digest,omitempty"`
	Packages   int    `json:"packages"`
	Files      int    `json:"paths"`
	Installed  int64  `json:"installed_size"`
	Layers     int    `json:"layers"`
	Compressed int64  `json:"size"`
}

type diffPackageJSON struct {
	Name   string          `json:"name"`
	Arch   string          `json:"arch"`
	Change string          `json:"change"`
	Before []diffBuildJSON `json:"before"`
	After  []diffBuildJSON `json:"after"`
}

type diffBuildJSON struct {
	NEVRA        string `json:"nevra"`
	HeaderSHA256 string `json:"header_sha256"`
}

type diffFileJSON struct {
	Path    string          `json:"path"`
	Change  string          `json:"change"`
	Aspects []string        `json:"aspects"`
	Package string          `json:"package,omitempty"`
	Before  *diffFileOfJSON `json:"before,omitempty"`
	After   *diffFileOfJSON `json:"after,omitempty"`
}

type diffFileOfJSON struct {
	Mode   string `json:"mode"` // octal, with the type
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Size   int64  `json:"size"`
	Link   string `json:"link,omitempty"`
	Caps   string `json:"capabilities,omitempty"` // hex
	Device string `json:"device,omitempty"`
}

type diffConfigJSON struct {
	Key    string `json:"key"`
	Before string `json:"before"`
	After  string `json:"after"`
}

func newDiffCommand(env *environment) *cobra.Command {
	var flags recipeFlags
	var asJSON, asMarkdown, all bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "Compare the packages, files and configuration of two images, or locks",
		Long: `Diff compares two images, slim's or not, or plain roots: A and B are as for
inspect, or dir:DIR. Packages are compared by the headers of the rpmdb, files by
kind, content, permissions, owner, link, capabilities and device. Times are not
compared. Files of packages that are in one image only, or in another build, are
counted; --all lists them too. What gains or loses setuid or capabilities is
always listed.

A side may be a lock, FILE.lock, or one recipe of it, FILE.lock:RECIPE. Then the
packages alone are compared.

Exit codes: 0 when they are equal, 3 when they differ.`,
		Example: `  slim diff registry.example/base/httpd:2.4 httpd.tar
  slim diff old.tar new.tar --markdown
  slim diff slim.lock:httpd.yaml registry.example/base/httpd:2.4`,
		GroupID: groupLook,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asMarkdown {
				return usageError("", "--json and --markdown are two documents: choose one")
			}
			opts, err := flags.options(env)
			if err != nil {
				return err
			}
			d, err := builder.Diff(cmd.Context(), args[0], args[1], builder.DiffOptions{
				Platforms: opts.Platforms, Options: builder.Options{WorkDir: env.getenv("TMPDIR")},
			})
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				err = writeJSON(env.stdout, diffAnswer(d))
			default:
				out := &lines{w: env.stdout}
				p := diffPrinter{out: out, all: all, markdown: asMarkdown}
				p.print(d)
				err = out.err
			}
			if !d.Equal() {
				err = errors.Join(err, &exitError{code: exitGate, err: fmt.Errorf("%s and %s differ", d.Before, d.After)})
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	cmd.Flags().BoolVar(&all, "all", false, "list the files of changed packages too")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "write Markdown, for a merge request")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// diffPrinter writes a difference for people.
type diffPrinter struct {
	out      *lines
	all      bool
	markdown bool
}

func (p *diffPrinter) print(d *builder.Difference) {
	if d.Equal() {
		p.out.printf("%s and %s are equal\n", printable(d.Before), printable(d.After))
		return
	}
	for _, list := range []struct {
		platforms []builder.Platform
		where     string
	}{{d.OnlyBefore, d.Before}, {d.OnlyAfter, d.After}} {
		for _, platform := range list.platforms {
			p.line("%s is only in %s", platform, printable(list.where))
		}
	}
	for _, i := range d.Images {
		p.image(d, i)
	}
}

func (p *diffPrinter) line(format string, args ...any) {
	if p.markdown {
		format = "- " + format
	}
	p.out.printf(format+"\n", args...)
}

func (p *diffPrinter) heading(title string) {
	if p.markdown {
		p.out.printf("\n### %s\n\n", title)
	} else {
		p.out.printf("%s\n", title)
	}
}

func (p *diffPrinter) image(d *builder.Difference, i *builder.ImageDifference) {
	title := fmt.Sprintf("%s -> %s", printable(d.Before), printable(d.After))
	if i.Platform != (builder.Platform{}) {
		title += " for " + i.Platform.String()
	}
	if p.markdown {
		p.out.printf("## %s\n\n| | before | after |\n| --- | ---: | ---: |\n", escapeMarkdown(title))
	} else {
		p.out.printf("%s\n", title)
	}
	number := func(what string, before, after any, more string) {
		if p.markdown {
			p.out.printf("| %s%s | %v | %v |\n", what, more, before, after)
		} else {
			p.out.printf("  %-10s %v -> %v%s\n", what, before, after, more)
		}
	}
	number("packages", i.Before.Packages, i.After.Packages, "")
	number("compressed", size(i.Before.Compressed), size(i.After.Compressed), "")
	number("installed", size(i.Before.Installed), size(i.After.Installed), "")
	if i.Before.Files > 0 && i.After.Files > 0 { // neither is a lock
		number("paths", i.Before.Files, i.After.Files, "")
		number("layers", i.Before.Layers, i.After.Layers, fmt.Sprintf(" (%d shared, %s)", i.SharedLayers, size(i.SharedBytes)))
	}
	p.packages(i)
	p.files(i)
	p.config(i)
}

func (p *diffPrinter) packages(i *builder.ImageDifference) {
	if len(i.Packages) == 0 {
		return
	}
	p.heading("packages")
	for _, c := range i.Packages {
		before, after := evrs(c.Before), evrs(c.After)
		name := c.Name + "." + c.Arch
		switch {
		case len(c.Before) == 0:
			p.entry("+", name, after)
		case len(c.After) == 0:
			p.entry("-", name, before)
		case before == after:
			p.entry("~", name, before+", another build")
		default:
			p.entry("~", name, before+" -> "+after)
		}
	}
}

func evrs(builds []builder.PackageBuild) string {
	var out []string
	for _, b := range builds {
		out = append(out, b.NEVRA.EVR.String())
	}
	return strings.Join(out, ", ")
}

// entry is one line of a list.
func (p *diffPrinter) entry(sign, name, text string) {
	name, text = printable(name), printable(text)
	if p.markdown {
		text = strings.TrimRight(" "+escapeMarkdown(text), " ")
		p.out.printf("- %s `%s`%s\n", map[string]string{"+": "added", "-": "removed", "~": "changed"}[sign], strings.ReplaceAll(name, "`", ""), text)
	} else {
		p.out.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %s %s  %s", sign, name, text), " "))
	}
}

// escapeMarkdown keeps foreign text from being markup.
func escapeMarkdown(s string) string {
	return strings.NewReplacer("\\", "\\\\", "`", "\\`", "*", "\\*", "_", "\\_", "[", "\\[", "<", "&lt;", "|", "\\|").Replace(s)
}

func (p *diffPrinter) files(i *builder.ImageDifference) {
	changed := map[string]bool{}
	for _, c := range i.Packages {
		changed[c.Name] = true
	}
	hidden := map[string]int{}
	listed := false
	for k := range i.Files {
		f := &i.Files[k]
		if !p.all && changed[f.Package] && !privileged(f) {
			hidden[changeOf(f)]++
			continue
		}
		if !listed {
			p.heading("files")
			listed = true
		}
		var text []string
		for _, a := range f.Aspects {
			text = append(text, f.Text(a))
		}
		about := strings.Join(text, ", ")
		if f.Package != "" {
			about = strings.TrimSpace(about + " (" + f.Package + ")")
		}
		p.entry(map[string]string{"added": "+", "removed": "-", "changed": "~"}[changeOf(f)], f.Path, about)
	}
	if len(hidden) > 0 {
		if p.markdown {
			p.out.printf("\n")
		}
		p.out.printf("files of these packages: %d added, %d removed, %d changed\n", hidden["added"], hidden["removed"], hidden["changed"])
	}
}

// privileged reports whether a change is about setuid bits or capabilities.
func privileged(f *builder.FileChange) bool {
	for _, a := range f.Aspects {
		if a == "setuid" || a == "capabilities" {
			return true
		}
	}
	return false
}

func changeOf(f *builder.FileChange) string {
	switch {
	case f.Before == nil:
		return "added"
	case f.After == nil:
		return "removed"
	}
	return "changed"
}

func (p *diffPrinter) config(i *builder.ImageDifference) {
	if len(i.Config) == 0 {
		return
	}
	p.heading("configuration")
	for _, c := range i.Config {
		p.entry("~", c.Key, orNothing(c.Before)+" -> "+orNothing(c.After))
	}
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

func diffAnswer(d *builder.Difference) diffJSON {
	doc := diffJSON{
		Version: 1, Before: diffSideJSON{d.Before, d.BeforeDigest}, After: diffSideJSON{d.After, d.AfterDigest}, Equal: d.Equal(),
		Images: []diffOneJSON{}, OnlyBefore: []string{}, OnlyAfter: []string{},
	}
	for _, p := range d.OnlyBefore {
		doc.OnlyBefore = append(doc.OnlyBefore, p.String())
	}
	for _, p := range d.OnlyAfter {
		doc.OnlyAfter = append(doc.OnlyAfter, p.String())
	}
	for _, i := range d.Images {
		one := diffOneJSON{
			Before: diffSizeJSON(i.Before), After: diffSizeJSON(i.After), SharedLayers: i.SharedLayers, SharedBytes: i.SharedBytes,
			Packages: []diffPackageJSON{}, Files: []diffFileJSON{}, Config: []diffConfigJSON{},
		}
		if i.Platform != (builder.Platform{}) {
			one.Platform = i.Platform.String()
		}
		for _, c := range i.Packages {
			one.Packages = append(one.Packages, diffPackageAnswer(c))
		}
		for k := range i.Files {
			one.Files = append(one.Files, diffFileAnswer(&i.Files[k]))
		}
		for _, c := range i.Config {
			one.Config = append(one.Config, diffConfigJSON(c))
		}
		doc.Images = append(doc.Images, one)
	}
	return doc
}

func diffPackageAnswer(c builder.PackageChange) diffPackageJSON {
	j := diffPackageJSON{Name: c.Name, Arch: c.Arch, Change: "changed", Before: []diffBuildJSON{}, After: []diffBuildJSON{}}
	switch {
	case len(c.Before) == 0:
		j.Change = "added"
	case len(c.After) == 0:
		j.Change = "removed"
	}
	for _, b := range c.Before {
		j.Before = append(j.Before, diffBuildJSON{b.NEVRA.String(), b.SHA256})
	}
	for _, b := range c.After {
		j.After = append(j.After, diffBuildJSON{b.NEVRA.String(), b.SHA256})
	}
	return j
}

func diffFileAnswer(f *builder.FileChange) diffFileJSON {
	j := diffFileJSON{Path: f.Path, Change: changeOf(f), Aspects: []string{}, Package: f.Package}
	for _, a := range f.Aspects {
		j.Aspects = append(j.Aspects, string(a))
	}
	of := func(s *builder.FileSide) *diffFileOfJSON {
		if s == nil {
			return nil
		}
		return &diffFileOfJSON{
			Mode: fmt.Sprintf("%06o", s.Mode), UID: s.UID, GID: s.GID, Size: s.Size, Link: s.Link, Caps: fmt.Sprintf("%x", s.Caps), Device: s.Device,
		}
	}
	j.Before, j.After = of(f.Before), of(f.After)
	return j
}
