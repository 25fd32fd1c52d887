package main

import (
	"github.com/spf13/cobra"

	"slim/builder"
)

type vendorJSON struct {
	Version      int      `json:"version"`
	Directory    string   `json:"directory"`
	Packages     int      `json:"packages"`
	Bytes        int64    `json:"bytes"`
	Repositories []string `json:"repositories"`
	Keys         []string `json:"keys"`
}

func newVendorCommand(env *environment) *cobra.Command {
	var flags workFlags
	cmd := &cobra.Command{
		Use:   "vendor RECIPE... DIR",
		Short: "Copy the locked packages, metadata and keys into a directory",
		Long: `Vendor writes what slim.lock has for the recipes into DIR: the packages, the
repository's metadata and signatures byte for byte, the keys and the lock.
Builds from it need no network:

  slim build --locked --offline --repo DIR recipe.yaml

Each DIR/ARCH, or DIR/ARCH/COMPONENT, is a repository for dnf too, with gpgcheck
and repo_gpgcheck on; of what its metadata lists it has what the recipes take.`,
		Example: `  slim vendor *.yaml vendored`,
		GroupID: groupBuild,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return usageError("", "%s needs a recipe and a directory", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[len(args)-1]
			l, err := openLock(env, &flags, args[:len(args)-1])
			if err != nil {
				return err
			}
			if l.old == nil {
				return noLock(l.recipes[0])
			}
			p := env.newProgress()
			opts, err := flags.options(env, p)
			if err != nil {
				return err
			}
			result, err := builder.Vendor(cmd.Context(), l.recipes, l.old, dir, opts)
			p.close(err)
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(env.stdout, vendorJSON{1, dir, result.Packages, result.Bytes, filled(result.Repositories), filled(result.Keys)})
			}
			out := &lines{w: env.stdout}
			for _, r := range result.Repositories {
				out.printf("%s/%s\n", dir, r)
			}
			out.printf("%s: %s, %s\n", dir, count(result.Packages, "package"), size(result.Bytes))
			return out.err
		},
	}
	flags.add(cmd)
	return cmd
}
