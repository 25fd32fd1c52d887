package main

import (
	"github.com/spf13/cobra"

	"slim/builder"
)

func newSchemaCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of recipes",
		Long: `Print the JSON Schema (draft 2020-12) of recipes, for editors and validators.

An editor with a YAML language server uses it where a recipe has the line
# yaml-language-server: $schema=recipe.schema.json`,
		Example: "  slim schema > recipe.schema.json",
		GroupID: groupOther,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := env.stdout.Write(builder.RecipeSchema())
			return err
		},
	}
}
