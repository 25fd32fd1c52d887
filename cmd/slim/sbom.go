package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

func newSBOMCommand(env *environment) *cobra.Command {
	var flags workFlags
	var format string
	cmd := &cobra.Command{
		Use:   "sbom IMAGE",
		Short: "Print an image's bill of materials, SPDX or CycloneDX",
		Long: `Sbom prints the bill of materials of an image, slim's or not: every package of its
rpmdb with the package URL that scanners know it by, its licence, source package,
signer and the digest of its signed header, and its files with their checksums.

The document is SPDX 2.3 or CycloneDX 1.6 as JSON. It is the same for the same
image and reference, and is dated like the image, or by SOURCE_DATE_EPOCH.

IMAGE is as for inspect, or dir:DIR for a plain root. Of an image of several
platforms --platform chooses one.`,
		Example: `  slim sbom registry.example/base/httpd:2.4 > httpd.spdx.json
  slim sbom httpd.tar --format cyclonedx`,
		GroupID: groupLook,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := flags.options(env, env.newProgress())
			if err != nil {
				return err
			}
			of := builder.SBOMOptions{Format: builder.SBOMFormat(format), Options: opts}
			if of.Format != builder.SPDX && of.Format != builder.CycloneDX {
				return usageError("", "--format is spdx or cyclonedx, not %q", format)
			}
			recipe, err := flags.recipe.options(env)
			if err != nil {
				return err
			}
			switch len(recipe.Platforms) {
			case 0:
			case 1:
				of.Platform = &recipe.Platforms[0]
			default:
				return usageError("", "--platform chooses one platform")
			}
			doc, err := builder.SBOM(cmd.Context(), args[0], of)
			var many *builder.ManyPlatformsError
			if errors.As(err, &many) {
				var names []string
				for _, p := range many.Platforms {
					names = append(names, p.String())
				}
				return &exitError{code: exitUsage, err: err, hint: "--platform chooses " + strings.Join(names, " or ")}
			}
			if err != nil {
				return err
			}
			return writeJSON(env.stdout, doc)
		},
	}
	cmd.Flags().StringVar(&format, "format", "spdx", "spdx or cyclonedx")
	cmd.Flags().StringSliceVar(&flags.recipe.platforms, "platform", nil, "of an image of several platforms, the one for `P`")
	return cmd
}
