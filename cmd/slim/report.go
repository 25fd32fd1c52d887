package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

// reportRun is one run of the report command.
type reportRun struct {
	env      *environment
	opts     builder.ReportOptions
	flags    recipeFlags
	programs []string // [IMAGE=]PATH
	recipes  []string // [IMAGE=]RECIPE
	output   string
	json     bool
}

func newReportCommand(env *environment) *cobra.Command {
	r := &reportRun{env: env}
	cmd := &cobra.Command{
		Use:   "report IMAGE... -o FILE",
		Short: "Write one page of charts about images",
		Long: `Report writes one HTML file that needs no network: what is proven; installed
bytes by package, directory and tier of the execution path, with what was left
out; the way from the entrypoint to packages; all packages, why each is there
and its advisories; layers; and for several images their builds of each package.

With --key or --recipe the images are verified and the page says what came of it;
the exit code is 5 when one does not verify. Otherwise signers are what signatures
say of themselves. --recipe gives keys and added files as for verify, and the
repository whose advisories are pending.

IMAGE is as for inspect, or dir:DIR for a plain root, which says what it runs by
--program alone. IMAGE= before the value of --program or --recipe makes it one
image's. --json prints the data of the page.`,
		Example: `  slim report oci:images:httpd oci:images:nginx --key RPM-GPG-KEY -o report.html
  slim report httpd.tar redis.tar --recipe httpd.tar=httpd.yaml --recipe redis.tar=redis.yaml -o report.html`,
		GroupID: groupLook,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (r.output == "") != r.json {
				return usageError("", "slim report takes either -o FILE or --json")
			}
			subjects, err := r.subjects(args)
			if err != nil {
				return err
			}
			doc, err := builder.NewReport(cmd.Context(), subjects, r.opts)
			var key *builder.KeyError
			if errors.As(err, &key) {
				return &exitError{code: exitUsage, err: err, hint: "--key FILE names the distribution's public key"}
			}
			if err != nil {
				return err
			}
			return errors.Join(r.write(doc), unproven(doc))
		},
	}
	cmd.Flags().StringVarP(&r.output, "output", "o", "", "write the page to `FILE`")
	cmd.Flags().StringArrayVar(&r.opts.Keys, "key", nil, "verify with a file of public `KEY`s, may be repeated")
	cmd.Flags().StringArrayVar(&r.recipes, "recipe", nil, "take keys, added files and advisories from `[IMAGE=]RECIPE`, may be repeated")
	cmd.Flags().StringArrayVar(&r.programs, "program", nil, "execution begins at the program `[IMAGE=]PATH` too, may be repeated")
	r.flags.addRepository(cmd)
	cmd.Flags().BoolVar(&r.opts.Offline, "offline", false, "fetch nothing of a recipe over the network")
	cmd.Flags().StringSliceVar(&r.flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	addJSONFlag(cmd, &r.json)
	return cmd
}

// subjects are the images of args, each with its programs and its recipe, and sets the options.
func (r *reportRun) subjects(args []string) ([]builder.ReportSubject, error) {
	parsed, err := r.flags.options(r.env)
	if err != nil {
		return nil, err
	}
	r.opts.Platforms = parsed.Platforms
	r.opts.WorkDir, r.opts.CacheDir, r.opts.Builtin = r.env.getenv("TMPDIR"), r.env.cacheDir(), r.env.builtin
	parsed.Platforms = nil
	out := make([]builder.ReportSubject, len(args))
	for k, arg := range args {
		out[k].Reference = arg
	}
	for _, value := range r.programs {
		image, program := splitImage(args, value)
		for k := range out {
			if image == "" || args[k] == image {
				out[k].Programs = append(out[k].Programs, program)
			}
		}
	}
	for _, value := range r.recipes {
		image, path := splitImage(args, value)
		recipe, err := builder.ReadRecipe(path, parsed)
		if err != nil {
			return nil, err
		}
		for k := range out {
			if image != "" && args[k] != image {
				continue
			}
			if out[k].Recipe != nil {
				return nil, usageError("--recipe IMAGE=RECIPE is for one image", "there are two recipes for %s", args[k])
			}
			out[k].Recipe = recipe
		}
	}
	return out, nil
}

// splitImage parts a value that begins with one of the images and an equals sign; for others image is "".
func splitImage(images []string, value string) (image, rest string) {
	for _, i := range images {
		if rest, ok := strings.CutPrefix(value, i+"="); ok {
			return i, rest
		}
	}
	return "", value
}

func (r *reportRun) write(doc *builder.Report) error {
	if r.json {
		return writeJSON(r.env.stdout, doc)
	}
	var page bytes.Buffer
	if err := builder.WriteReport(&page, doc); err != nil {
		return err
	}
	return builder.WriteFile(r.output, page.Bytes())
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
