package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

func newInitCommand(env *environment) *cobra.Command {
	var from, output string
	cmd := &cobra.Command{
		Use:   "init [--from NAME] DISTRO[:VERSION]",
		Short: "Write a first recipe for a distribution",
		Long: `Write a commented first recipe for a distribution, with its vendor's repository.
A file that is there is never overwritten.

Known are ` + strings.Join(builder.Distributions(), ", ") + `.`,
		Example: `  slim init ubi9
  slim init fedora:43 -o httpd.yaml`,
		GroupID: groupBuild,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := env.firstRecipe(from, strings.Join(args, ""))
			if err != nil {
				return err
			}
			if output == "-" {
				_, err := env.stdout.Write(text)
				return err
			}
			if err := writeNew(output, text); err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.stdout, output)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "extend the built-in recipe NAME of the distribution")
	cmd.Flags().StringVarP(&output, "output", "o", "recipe.yaml", "file to write; - is standard output")
	return cmd
}

func (env *environment) firstRecipe(from, distro string) ([]byte, error) {
	switch {
	case from == "" && distro == "":
		return nil, usageError("known are "+strings.Join(builder.Distributions(), ", "), "no distribution is named")
	case from == "":
		return builder.FirstRecipe(distro)
	}
	name := strings.TrimPrefix(from, "builtin:")
	if distro != "" {
		name = path.Join(strings.ReplaceAll(distro, ":", ""), name)
	}
	known := env.builtinRecipes()
	for _, k := range known {
		if k == name {
			return builder.FirstChild("builtin:" + name), nil
		}
	}
	hint := "there are no built-in recipes"
	if len(known) > 0 {
		hint = "known are " + strings.Join(known, ", ")
	}
	return nil, usageError(hint, "unknown built-in recipe %q", name)
}

// builtinRecipes are the names of the built-in recipes, as DIR/NAME, in order.
func (env *environment) builtinRecipes() []string {
	if env.builtin == nil {
		return nil
	}
	files, err := fs.Glob(env.builtin, "*/*.yaml")
	if err != nil {
		return nil // the pattern is a good one
	}
	var names []string
	for _, f := range files {
		names = append(names, strings.TrimSuffix(f, ".yaml"))
	}
	return names
}

// writeNew writes a file that must not be there yet, whole or not at all.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return &exitError{code: exitFailed, err: fmt.Errorf("%s is there already", name), hint: "name another file with -o"}
	}
	if err != nil {
		return fmt.Errorf("writing the recipe: %w", err)
	}
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(name)
		return fmt.Errorf("writing the recipe: %w", err)
	}
	return nil
}
