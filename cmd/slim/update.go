package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

func newUpdateCommand(env *environment) *cobra.Command {
	var flags workFlags
	var u update
	cmd := &cobra.Command{
		Use:   "update RECIPE... [PACKAGE...]",
		Short: "Take newer builds of packages into the lock, and say what changes",
		Long: `Update writes slim.lock anew with the newest builds that the repository has: of
all packages, of the PACKAGEs named and what they take, or, with --security, of
what security advisories fix. Recipes are files that end with .yaml or .yml;
without one it takes those of ./slim.lock.

It prints what changes, with the advisories in between, the difference in
installed size, and the recipes that are touched.`,
		Example: `  slim update *.yaml
  slim update *.yaml openssl-libs
  slim update --security --dry-run --markdown   # for the text of a merge request`,
		GroupID: groupBuild,
		RunE: func(cmd *cobra.Command, args []string) error {
			return u.run(cmd.Context(), env, &flags, args)
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&u.security, "security", false, "only what security advisories fix")
	cmd.Flags().BoolVar(&u.dryRun, "dry-run", false, "only say what would change")
	cmd.Flags().BoolVar(&u.markdown, "markdown", false, "answer in Markdown")
	return cmd
}

// update is one run of the update command.
type update struct {
	security, dryRun, markdown bool
}

func (u *update) run(ctx context.Context, env *environment, flags *workFlags, args []string) error {
	recipes, names := splitArguments(args)
	switch {
	case u.security && len(names) > 0:
		return usageError("", "--security chooses the packages: it does not go with %s", strings.Join(names, " "))
	case u.markdown && flags.json:
		return usageError("", "--markdown and --json do not go together")
	}
	l, err := openLock(env, flags, recipes)
	if err != nil {
		return err
	}
	if l.old == nil {
		return noLock(l.recipes[0])
	}
	req := builder.LockRequest{Refresh: builder.RefreshAll, Packages: names, DryRun: u.dryRun}
	switch {
	case u.security:
		req.Refresh = builder.RefreshSecurity
	case len(names) > 0:
		req.Refresh = builder.RefreshNamed
	}
	for _, name := range names {
		if !slices.ContainsFunc(l.old.Packages, func(p builder.LockFilePackage) bool { return p.Name == name }) {
			return usageError("recipes end with .yaml or .yml", "%s has no package %s", l.path, name)
		}
	}
	result, err := l.solve(ctx, req)
	if err != nil {
		return err
	}
	written := false
	if !u.dryRun {
		if written, err = l.write(result); err != nil {
			return err
		}
	}
	if flags.json {
		return writeJSON(env.stdout, lockAnswer(l.path, written, result))
	}
	out := &lines{w: env.stdout}
	if u.markdown {
		markdownChanges(out, result.Changes)
		return out.err
	}
	printChanges(out, result.Changes)
	out.printf("%s: %s\n", l.path, changeSummary(result.Changes))
	return out.err
}

// splitArguments tells recipes from packages.
func splitArguments(args []string) (recipes, names []string) {
	for _, a := range args {
		if ext := filepath.Ext(a); ext == ".yaml" || ext == ".yml" || strings.HasPrefix(a, "builtin:") || strings.ContainsRune(a, filepath.Separator) {
			recipes = append(recipes, a)
		} else {
			names = append(names, a)
		}
	}
	return recipes, names
}

// changeSummary counts updates, and names the recipes that they touch.
func changeSummary(changes []builder.Change) string {
	if len(changes) == 0 {
		return "nothing to update"
	}
	var added, removed, other int
	var recipes []string
	var bytes int64
	for _, c := range changes {
		switch {
		case c.Old == nil:
			added++
		case c.New == nil:
			removed++
		default:
			other++
		}
		bytes += growth(c)
		recipes = append(recipes, c.Recipes...)
	}
	slices.Sort(recipes)
	return fmt.Sprintf("%d updated, %d added, %d removed, %s installed; it touches %s",
		other, added, removed, signed(bytes), strings.Join(slices.Compact(recipes), ", "))
}

// growth is the difference in installed size.
func growth(c builder.Change) int64 {
	var n int64
	if c.New != nil {
		n += c.New.InstalledSize
	}
	if c.Old != nil {
		n -= c.Old.InstalledSize
	}
	return n
}

func signed(n int64) string {
	if n < 0 {
		return "-" + size(-max(n, -math.MaxInt64))
	}
	return "+" + size(n)
}

// moves is old -> new in words.
func moves(c builder.Change) (old, new string) {
	old, new = "-", "-"
	if c.Old != nil {
		old = c.Old.EVR.String()
	}
	if c.New != nil {
		new = c.New.EVR.String()
	}
	if c.Old != nil && c.New != nil {
		switch {
		case c.Old.Arch != c.New.Arch:
			old, new = old+"."+c.Old.Arch, new+"."+c.New.Arch
		case old == new:
			new += " (another build)"
		case c.Old.EVR.Compare(c.New.EVR) > 0:
			new += " (older)"
		}
	}
	return old, new
}

// printChanges writes a line for each change, by platform, and one for each advisory of it.
func printChanges(out *lines, changes []builder.Change) {
	name, from := 0, 0
	for _, c := range changes {
		old, _ := moves(c)
		name, from = max(name, len(c.Name)), max(from, len(old))
	}
	for i, c := range changes {
		if i == 0 || changes[i-1].Platform != c.Platform {
			out.printf("%s\n", c.Platform)
		}
		old, new := moves(c)
		out.printf("  %-*s  %*s -> %s  %s  %s\n", name, c.Name, from, old, new, signed(growth(c)), strings.Join(c.Recipes, ", "))
		for _, a := range c.Advisories {
			out.printf("    %s\n", advisoryText(a))
		}
	}
}

func advisoryText(a builder.Advisory) string {
	s := a.ID
	for _, word := range []string{a.Type, a.Severity} {
		if word != "" && word != "None" {
			s += " " + word
		}
	}
	if len(a.CVEs) > 0 {
		s += " " + strings.Join(a.CVEs, ", ")
	}
	return printable(s)
}

// markdownChanges writes a table for each platform.
func markdownChanges(out *lines, changes []builder.Change) {
	if len(changes) == 0 {
		out.printf("Nothing to update.\n")
		return
	}
	for i, c := range changes {
		if i == 0 || changes[i-1].Platform != c.Platform {
			if i > 0 {
				out.printf("\n")
			}
			out.printf("### %s\n\n| package | old | new | installed | advisories | recipes |\n| --- | --- | --- | ---: | --- | --- |\n", c.Platform)
		}
		old, new := moves(c)
		var advisories []string
		for _, a := range c.Advisories {
			advisories = append(advisories, advisoryText(a))
		}
		cells := []string{c.Name, old, new, signed(growth(c)), strings.Join(advisories, "; "), strings.Join(c.Recipes, ", ")}
		for k := range cells {
			cells[k] = markdownCell(cells[k])
		}
		out.printf("| %s |\n", strings.Join(cells, " | "))
	}
	out.printf("\n%s.\n", markdownCell(changeSummary(changes)))
}

// markdownCell escapes what has a meaning in Markdown.
func markdownCell(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		if strings.ContainsRune("\\`*_[]<>|~", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
