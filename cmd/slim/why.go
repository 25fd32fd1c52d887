package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

type whyJSON struct {
	Version int          `json:"version"`
	Of      string       `json:"of"` // the recipe or image
	Answers []whyOneJSON `json:"answers"`
}

type whyOneJSON struct {
	Platform string       `json:"platform,omitempty"`
	Package  string       `json:"package"`
	Root     bool         `json:"root"`
	Roots    []string     `json:"roots"`
	Chains   [][]edgeJSON `json:"chains"`
	Without  withoutJSON  `json:"without"`
}

type edgeJSON struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Capability string `json:"capability"`
	Kind       string `json:"kind"`
	ByHand     bool   `json:"by_hand"` // a packager wrote it, no generator of rpm's
	Scriptlet  bool   `json:"scriptlet"`
	More       int    `json:"more"`
}

type withoutJSON struct {
	Broken []brokenJSON `json:"broken"`
	Saved  []string     `json:"saved"` // what nothing else needs
	Size   int64        `json:"installed_size"`
}

type brokenJSON struct {
	Package    string `json:"package"`
	Capability string `json:"capability"`
	Kind       string `json:"kind"`
	ByHand     bool   `json:"by_hand"`
	Scriptlet  bool   `json:"scriptlet"`
	Root       bool   `json:"root"`
}

func newWhyCommand(env *environment) *cobra.Command {
	var flags workFlags
	var without bool
	cmd := &cobra.Command{
		Use:   "why RECIPE|IMAGE PACKAGE",
		Short: "Show the chains of requirements that bring a package in",
		Long: `Why shows, for each package that requires PACKAGE, the shortest chain of
requirements to it from what the recipe asks for, with what each step needs: a
name, a soname, a path, another capability or a rich dependency, whether a packager
wrote it by hand, and whether only scriptlets need it.

Of an image, slim's or not, or a plain root as dir:DIR, the rpmdb is asked, and
the chains begin at packages that nothing requires. PACKAGE is a name, NAME.ARCH,
NEVRA, path or capability.

--without says what would break if the package were not there, and what nothing
else would need then, with its size.`,
		Example: `  slim why httpd.yaml systemd-libs
  slim why registry.example/ubi9/ubi zlib --without`,
		GroupID: groupLook,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := &why{env: env, flags: &flags}
			answers, err := w.ask(cmd, args[0], args[1])
			var absent *builder.AbsentError
			if errors.As(err, &absent) && len(absent.Near) > 0 {
				return &exitError{code: exitFailed, err: err, hint: "there is " + strings.Join(absent.Near, ", ")}
			}
			if err != nil {
				return err
			}
			if flags.json {
				return writeJSON(env.stdout, whyAnswer(args[0], answers))
			}
			out := &lines{w: env.stdout}
			for i, a := range answers {
				if i > 0 {
					out.printf("\n")
				}
				if without {
					printWithout(out, a, isRecipe(args[0]))
				} else {
					printWhy(out, a, isRecipe(args[0]))
				}
			}
			return out.err
		},
	}
	flags.add(cmd)
	cmd.Flags().BoolVar(&without, "without", false, "show what would break and what would leave with it")
	return cmd
}

// why is one run of the why command.
type why struct {
	env   *environment
	flags *workFlags
}

func (w *why) ask(cmd *cobra.Command, of, spec string) ([]*builder.Why, error) {
	if !isRecipe(of) {
		opts, err := w.flags.recipe.options(w.env)
		if err != nil {
			return nil, err
		}
		return builder.WhyImage(cmd.Context(), of, spec, builder.DiffOptions{
			Platforms: opts.Platforms, Options: builder.Options{WorkDir: w.env.getenv("TMPDIR"), Jobs: w.flags.jobs},
		})
	}
	recipes, err := readRecipes(w.env, &w.flags.recipe, []string{of})
	if err != nil {
		return nil, err
	}
	p := w.env.newProgress()
	opts, err := w.flags.options(w.env, p)
	if err != nil {
		return nil, err
	}
	answers, err := builder.WhyRecipe(cmd.Context(), recipes[0], spec, opts)
	p.close(err)
	return answers, err
}

// isRecipe tells a recipe from a reference of an image: by its suffix, or because it is a file and no archive.
func isRecipe(arg string) bool {
	switch filepath.Ext(arg) {
	case ".yaml", ".yml":
		return !strings.Contains(arg, "://")
	case ".tar":
		return false
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular()
}

// maxChains are shown; the document has all.
const maxChains = 10

func whyTitle(a *builder.Why) string {
	title := printable(a.Package.String())
	if a.Platform != (builder.Platform{}) {
		title += " for " + a.Platform.String()
	}
	return title
}

func printWhy(out *lines, a *builder.Why, recipe bool) {
	out.printf("%s\n", whyTitle(a))
	if a.Root {
		out.printf("  %s\n", rootText(recipe))
	}
	for i, chain := range a.Chains {
		if i == maxChains {
			out.printf("  and %d more chains: --json has all\n", len(a.Chains)-i)
			break
		}
		out.printf("  %s\n", printable(chain[0].From.String()))
		for _, e := range chain {
			out.printf("    needs %s of %s\n", printable(edgeText(e)), printable(e.To.String()))
		}
	}
}

func rootText(recipe bool) string {
	if recipe {
		return "the recipe asks for it"
	}
	return "nothing requires it"
}

func edgeText(e builder.Edge) string {
	text := e.Capability + " (" + kindText(string(e.Kind), e.ByHand, e.Scriptlet)
	if e.More > 0 {
		text += fmt.Sprintf(", and %d more", e.More)
	}
	return text + ")"
}

func kindText(kind string, byHand, scriptlet bool) string {
	if byHand {
		kind += ", by hand"
	}
	if scriptlet {
		kind += ", for scriptlets only"
	}
	return kind
}

func printWithout(out *lines, a *builder.Why, recipe bool) {
	loss := &a.Loss
	out.printf("without %s\n", whyTitle(a))
	if a.Root {
		out.printf("  %s\n", rootText(recipe))
	}
	out.printf("  %s would break\n", count(len(loss.Broken), "package"))
	for _, b := range loss.Broken {
		text := b.Capability + " (" + kindText(string(b.Kind), b.ByHand, b.Scriptlet)
		name := b.NEVRA.String()
		if b.Root {
			name += ", " + rootText(recipe) + ","
		}
		out.printf("    %s needs %s)\n", printable(name), printable(text))
	}
	out.printf("  %s would be needed by nothing else\n", count(len(loss.Unused), "package"))
	for _, n := range loss.Unused {
		out.printf("    %s\n", printable(n.String()))
	}
	out.printf("  %s installed would go in all\n", size(loss.Size))
}

func whyAnswer(of string, answers []*builder.Why) whyJSON {
	doc := whyJSON{Version: 1, Of: of, Answers: []whyOneJSON{}}
	for _, a := range answers {
		one := whyOneJSON{
			Package: a.Package.String(), Root: a.Root, Roots: []string{}, Chains: [][]edgeJSON{},
			Without: withoutJSON{Broken: []brokenJSON{}, Saved: []string{}, Size: a.Loss.Size},
		}
		if a.Platform != (builder.Platform{}) {
			one.Platform = a.Platform.String()
		}
		for _, n := range a.Roots {
			one.Roots = append(one.Roots, n.String())
		}
		for _, chain := range a.Chains {
			var edges []edgeJSON
			for _, e := range chain {
				edges = append(edges, edgeJSON{e.From.String(), e.To.String(), e.Capability, string(e.Kind), e.ByHand, e.Scriptlet, e.More})
			}
			one.Chains = append(one.Chains, edges)
		}
		for _, b := range a.Loss.Broken {
			one.Without.Broken = append(one.Without.Broken, brokenJSON{b.NEVRA.String(), b.Capability, string(b.Kind), b.ByHand, b.Scriptlet, b.Root})
		}
		for _, n := range a.Loss.Unused {
			one.Without.Saved = append(one.Without.Saved, n.String())
		}
		doc.Answers = append(doc.Answers, one)
	}
	return doc
}
