package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

func newInitCommand(env *environment) *cobra.Command {
	var from, output string
	cmd := &cobra.Command{
		Use:   "init DISTRO[:VERSION] | --from DIR/NAME",
		Short: "Write a first recipe for a distribution",
		Long: `Write a commented first recipe for a distribution, with its vendor's repository and key.
With --from, copy a built-in recipe instead, with its parents and keys: they build as they stand.
A file that is there is never overwritten.

Distributions: ` + strings.Join(builder.Distributions(), ", ") + `.
Built-in recipes: ` + strings.Join(env.builtinRecipes(), ", ") + `.`,
		Example: `  slim init ubi9
  slim init fedora:44 -o tools.yaml
  slim init --from ubi9/httpd && slim build httpd.yaml`,
		GroupID: groupBuild,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if from != "" {
				if !cmd.Flags().Changed("output") {
					output = "."
				}
				return env.copyRecipe(from, output, args)
			}
			return env.firstRecipe(strings.Join(args, ""), output)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "copy the built-in recipe DIR/NAME")
	cmd.Flags().StringVarP(&output, "output", "o", "recipe.yaml", "file to write, - for standard output; with --from the directory")
	return cmd
}

func (env *environment) firstRecipe(distro, output string) error {
	if distro == "" {
		return usageError("known are "+strings.Join(builder.Distributions(), ", "), "no distribution is named")
	}
	text, err := builder.FirstRecipe(distro)
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
}

// copyRecipe writes a built-in recipe and what it needs into dir. What is there already with the same content stays, as
// of another recipe with the same parent; if anything else is there, nothing is written.
func (env *environment) copyRecipe(from, dir string, args []string) error {
	name := strings.TrimSuffix(strings.TrimPrefix(from, "builtin:"), ".yaml")
	if len(args) > 0 {
		return usageError("write slim init --from "+path.Join(args[0], path.Base(name)), "--from names the distribution too: %s is too much", args[0])
	}
	if known := env.builtinRecipes(); !slices.Contains(known, name) {
		return usageError("known are "+strings.Join(known, ", "), "unknown built-in recipe %q", name)
	}
	files, err := builder.CopyRecipe(env.builtin, name)
	if err != nil {
		return err
	}
	var missing []builder.CopiedFile
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, f)
		case err != nil:
			return err
		case !bytes.Equal(content, f.Content):
			return &exitError{
				code: exitFailed, err: fmt.Errorf("%s is there already, and is another", filepath.Join(dir, f.Name)),
				hint: "name another directory with -o",
			}
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, f := range missing {
		if err := writeNew(filepath.Join(dir, f.Name), f.Content); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.stdout, filepath.Join(dir, files[0].Name))
	return err
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
