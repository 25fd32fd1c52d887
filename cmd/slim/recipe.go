package main

import (
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

// recipeFlags are the flags of every command that reads a recipe.
type recipeFlags struct {
	set       []string
	repo      string
	platforms []string

	vendored string // the directory that repo names when slim vendor wrote it
}

func (f *recipeFlags) add(cmd *cobra.Command) {
	f.addRepository(cmd)
	cmd.Flags().StringSliceVar(&f.platforms, "platform", nil, "build for these platforms `P[,P]` instead of the recipe's")
}

// addRepository adds those that say where packages come from.
func (f *recipeFlags) addRepository(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "override `KEY=VALUE` of the repository, as in repository.releasever=9")
	cmd.Flags().StringVar(&f.repo, "repo", "", "take packages from this `URL-OR-PATH`: --set repository.baseurl=")
}

// options are what the flags say about reading a recipe.
func (f *recipeFlags) options(env *environment) (builder.RecipeOptions, error) {
	opts := builder.RecipeOptions{Builtin: env.builtin}
	for _, s := range f.set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return opts, usageError("write --set repository.baseurl=URL", "--set %q has no value", s)
		}
		opts.Set = append(opts.Set, builder.Setting{Key: key, Value: value})
	}
	if f.repo != "" {
		address, err := builder.Vendored(f.repo)
		if err != nil {
			return opts, err
		}
		if address != "" {
			f.vendored = f.repo
		} else {
			address = f.repo
		}
		opts.Set = append(opts.Set, builder.Setting{Key: "repository.baseurl", Value: address})
	}
	for _, s := range f.platforms {
		p, err := builder.ParsePlatform(s)
		if err != nil {
			return opts, usageError("", "--platform: %w", err)
		}
		opts.Platforms = append(opts.Platforms, p)
	}
	return opts, nil
}

// needRecipe refuses a command line without a recipe, or with more than most of them.
func needRecipe(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0:
			return usageError("slim init DISTRIBUTION writes a first one", "%s needs a recipe", cmd.CommandPath())
		case len(args) > most:
			return usageError("", "%s takes one recipe, not %d", cmd.CommandPath(), len(args))
		}
		return nil
	}
}
