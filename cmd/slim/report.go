package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"slim/builder"
)

func newReportCommand(env *environment) *cobra.Command {
	var opts builder.ReportOptions
	var flags recipeFlags
	var output string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report IMAGE... -o FILE",
		Short: "Write one page of charts about images",
		Long: `Report writes one HTML file that needs no network: installed bytes by package,
directory and tier of the execution path, with what was left out; the way from
the entrypoint to packages; all packages; layers; and for several images their
builds of each package. With --key the images are verified and the page says what
came of it, and the exit code is 5 when one does not verify; what it says of
signers is empty otherwise.

IMAGE is as for inspect, or dir:DIR with --program. --json prints the same data.`,
		Example: `  slim report oci:images:httpd oci:images:nginx -o report.html`,
		GroupID: groupLook,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (output == "") != asJSON {
				return usageError("", "slim report takes either -o FILE or --json")
			}
			parsed, err := flags.options(env)
			if err != nil {
				return err
			}
			opts.Platforms = parsed.Platforms
			opts.WorkDir, opts.CacheDir, opts.Builtin = env.getenv("TMPDIR"), env.cacheDir(), env.builtin
			doc, err := builder.NewReport(cmd.Context(), args, opts)
			var key *builder.KeyError
			var none *builder.NoStartError
			switch {
			case errors.As(err, &key):
				return &exitError{code: exitUsage, err: err, hint: "--key FILE names the distribution's public key"}
			case errors.As(err, &none):
				return &exitError{code: exitUsage, err: err, hint: "--program PATH names one"}
			case err != nil:
				return err
			case asJSON:
				err = writeJSON(env.stdout, doc)
			default:
				var page bytes.Buffer
				if err = builder.WriteReport(&page, doc); err == nil {
					err = builder.WriteFile(output, page.Bytes())
				}
			}
			return errors.Join(err, unproven(doc))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the page to `FILE`")
	cmd.Flags().StringArrayVar(&opts.Keys, "key", nil, "verify with a file of public `KEY`s, may be repeated")
	cmd.Flags().StringArrayVar(&opts.Programs, "program", nil, "execution begins at the program `PATH` too, may be repeated")
	cmd.Flags().StringSliceVar(&flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	addJSONFlag(cmd, &asJSON)
	return cmd
}

// unproven is an error that names the images that do not verify, nil without any.
func unproven(doc *builder.Report) error {
	var failed []error
	for _, i := range doc.Images {
		if i.Proof != nil && !i.Proof.Passed {
			failed = append(failed, fmt.Errorf("%s does not verify: the report says why", i.Name))
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return &exitError{code: exitVerification, err: errors.Join(failed...)}
}
