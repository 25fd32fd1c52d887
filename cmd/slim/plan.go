package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

type planJSON struct {
	Version   int                `json:"version"`
	Name      string             `json:"name"`
	Platforms []planPlatformJSON `json:"platforms"`
}

type planPlatformJSON struct {
	Platform string        `json:"platform"`
	Packages []packageJSON `json:"packages"`
	Choices  []choiceJSON  `json:"choices"`
	// Scriptlets are there with --scriptlets.
	Scriptlets *[]forecastJSON `json:"scriptlets,omitempty"`
}

// forecastJSON says what will be done with one scriptlet.
type forecastJSON struct {
	Package     string   `json:"package"`
	Slot        string   `json:"slot"`
	Interpreter string   `json:"interpreter"`
	What        string   `json:"what"` // nothing, no-op, evaluated, skipped, needs acknowledging
	Commands    []string `json:"commands"`
	Missing     []string `json:"missing,omitempty"`
	Why         string   `json:"why,omitempty"`
	Acknowledge string   `json:"acknowledge,omitempty"` // a line for the recipe
}

type choiceJSON struct {
	RequiredBy string   `json:"required_by"`
	Capability string   `json:"capability"`
	Taken      string   `json:"taken"`
	Others     []string `json:"others"`
	Why        string   `json:"why"`
}

func newPlanCommand(env *environment) *cobra.Command {
	var flags workFlags
	var graph string
	var scriptlets bool
	cmd := &cobra.Command{
		Use:   "plan RECIPE",
		Short: "Show what would be installed, and why",
		Long: `Plan resolves the recipe's packages and shows them with their sizes and what
asked for them, and where several packages could have served, which was taken
and which were not. It fetches metadata only. Where a slim.lock stands beside
the recipe, it shows what that has; with --locked it fetches nothing, and what
asked for a package is then known of the requested ones only.

With --scriptlets it also says what will be done with each scriptlet and trigger
of the packages: nothing, since it calls no command; no-op, since what it calls
does nothing to a root that is not running; evaluated, with the commands that it
names and those that no package has; needs acknowledging, with the line that the
recipe then takes. That is told from the packages' headers, fetched alone.

--graph writes who requires whom instead: for Graphviz, for Mermaid, or drawn. What
only scriptlets require is dashed.`,
		Example: `  slim plan httpd.yaml
  slim plan httpd.yaml --graph svg > httpd.svg`,
		GroupID: groupBuild,
		Args:    needRecipe(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			recipes, err := readRecipes(env, &flags.recipe, args)
			if err != nil {
				return err
			}
			p := env.newProgress()
			opts, err := flags.options(env, p)
			if err != nil {
				return err
			}
			if graph != "" {
				return planGraph(cmd, env, p, recipes[0], graph, &flags, opts)
			}
			lock, err := flags.resolve(cmd.Context(), recipes[0], &opts)
			if err == nil && !flags.locked && !flags.offline && lock.Unexplained() {
				err = lock.Explain(cmd.Context(), recipes[0], opts)
			}
			var forecasts [][]builder.Forecast
			if err == nil && scriptlets {
				forecasts, err = builder.ForecastScriptlets(cmd.Context(), recipes[0], lock, opts)
			}
			p.close(err)
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(env.stdout, planAnswer(recipes[0], lock, forecasts))
			}
			out := &lines{w: env.stdout}
			for i := range lock.Platforms {
				printPlan(out, recipes[0], &lock.Platforms[i])
				if scriptlets {
					printForecast(out, forecasts[i])
				}
			}
			return out.err
		},
	}
	flags.add(cmd)
	flags.addLocked(cmd)
	cmd.Flags().StringVar(&graph, "graph", "", "write the graph of requirements as this `FORMAT`: "+strings.Join(graphFormats(), ", "))
	cmd.Flags().BoolVar(&scriptlets, "scriptlets", false, "say what will be done with each scriptlet")
	cmd.MarkFlagsMutuallyExclusive("graph", "scriptlets")
	return cmd
}

// planGraph answers with the graph of one platform.
func planGraph(cmd *cobra.Command, env *environment, p *progress, r *builder.Recipe, format string, flags *workFlags, opts builder.Options) error {
	switch {
	case !slices.Contains(graphFormats(), format):
		return usageError("", "--graph is %s, not %q", strings.Join(graphFormats(), ", "), format)
	case flags.json || flags.locked:
		return usageError("", "--graph is a document of its own, from the repository's metadata: it does not go with --json or --locked")
	case len(r.Platforms) > 1:
		return usageError("as in --platform "+r.Platforms[0].String(), "--graph draws one platform, and %s has %d", r.File, len(r.Platforms))
	}
	graphs, err := builder.GraphRecipe(cmd.Context(), r, opts)
	p.close(err)
	if err != nil {
		return err
	}
	out := &lines{w: env.stdout}
	printGraph(out, format, r.Name+" for "+r.Platforms[0].String(), graphs[0])
	return out.err
}

func planAnswer(r *builder.Recipe, lock *builder.Lock, forecasts [][]builder.Forecast) planJSON {
	doc := planJSON{Version: 1, Name: r.Name}
	for i, l := range lock.Platforms {
		p := planPlatformJSON{Platform: l.Platform.String(), Packages: packagesJSON(l.Packages), Choices: []choiceJSON{}}
		for _, c := range l.Choices {
			j := choiceJSON{RequiredBy: c.By, Capability: c.Capability, Taken: c.Taken.String(), Others: []string{}, Why: c.Why}
			for _, o := range c.Others {
				j.Others = append(j.Others, o.String())
			}
			p.Choices = append(p.Choices, j)
		}
		if forecasts != nil {
			p.Scriptlets = forecastsJSON(forecasts[i])
		}
		doc.Platforms = append(doc.Platforms, p)
	}
	return doc
}

func forecastsJSON(list []builder.Forecast) *[]forecastJSON {
	out := []forecastJSON{}
	for _, f := range list {
		j := forecastJSON{Package: f.Package.String(), Slot: f.Slot, Interpreter: f.Interpreter, What: f.What, Commands: f.Commands, Missing: f.Missing, Why: f.Why}
		if j.Commands == nil {
			j.Commands = []string{}
		}
		if f.What == builder.ForecastAcknowledge {
			j.Acknowledge = f.Acknowledgement()
		}
		out = append(out, j)
	}
	return &out
}

// printForecast writes a line for each scriptlet, and below those that need it the line for the recipe.
func printForecast(out *lines, list []builder.Forecast) {
	width, open := 0, 0
	for i := range list {
		width = max(width, len(list[i].Package.String())+len(list[i].Slot)+2)
		if list[i].What == builder.ForecastAcknowledge {
			open++
		}
	}
	out.printf("\n%s run at installation", count(len(list), "scriptlet"))
	switch {
	case open == 1:
		out.printf(", 1 needs acknowledging")
	case open > 1:
		out.printf(", %d need acknowledging", open)
	}
	out.printf("\n")
	for _, f := range list {
		text := f.What
		switch {
		case f.What == builder.ForecastAcknowledge:
			text += ": " + f.Why
		case len(f.Commands) > 0:
			text += ": " + strings.Join(f.Commands, ", ")
		case strings.HasPrefix(f.Interpreter, "<lua>") && f.What == builder.ForecastEvaluated:
			text += ": Lua"
		}
		if len(f.Missing) > 0 {
			text += "; not there: " + strings.Join(f.Missing, ", ")
		}
		out.printf("  %-*s  %s\n", width, f.Package.String()+" %"+f.Slot, printable(text))
		if f.What == builder.ForecastAcknowledge {
			out.printf("    to leave its work undone: %s\n", printable(f.Acknowledgement()))
		}
	}
}

func printPlan(out *lines, r *builder.Recipe, l *builder.LockedPlatform) {
	download, installed := l.Size()
	out.printf("%s for %s: %d packages, %s to fetch, %s installed\n", r.Name, l.Platform, len(l.Packages), size(download), size(installed))
	width := 0
	for _, p := range l.Packages {
		width = max(width, len(p.NEVRA.String()))
	}
	for _, p := range l.Packages {
		why := "requested as " + p.Reason.Spec
		switch {
		case p.Reason.Spec == p.Name:
			why = "requested"
		case p.Reason.Spec == "" && p.Reason.By.Name == "":
			why = "locked"
		case p.Reason.Spec == "":
			why = fmt.Sprintf("%s needs %s", p.Reason.By.Name, p.Reason.Capability)
		}
		out.printf("  %-*s %9s  %s\n", width, p.NEVRA, size(p.InstalledSize), why)
	}
	for i, c := range l.Choices {
		if i == 0 {
			out.printf("\nchosen among several:\n")
		}
		var others []string
		for _, o := range c.Others {
			others = append(others, o.Name)
		}
		out.printf("  %s for %s of %s, not %s (%s)\n", c.Taken.Name, c.Capability, c.By, strings.Join(others, ", "), c.Why)
	}
}
