package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slim/builder"
)

type verifyJSON struct {
	Version int           `json:"version"`
	Image   string        `json:"image"`
	Digest  string        `json:"digest,omitempty"`
	Passed  bool          `json:"passed"`
	Images  []verifiedOne `json:"images"`
}

type verifiedOne struct {
	Platform     string            `json:"platform,omitempty"`
	Digest       string            `json:"digest,omitempty"`
	Database     string            `json:"database,omitempty"`
	Format       string            `json:"database_format,omitempty"`
	Signed       int               `json:"signed"`
	Keys         []verifiedKey     `json:"keys"`
	Packages     []verifiedPackage `json:"packages"`
	Files        int               `json:"files"`
	Matching     int               `json:"files_matching"`
	NotInstalled int               `json:"files_not_installed"`
	Generated    []generatedJSON   `json:"generated"`
	Foreign      int               `json:"foreign"`
	Findings     []findingJSON     `json:"findings"`
	Against      *againstJSON      `json:"against,omitempty"`
}

type verifiedKey struct {
	ID          string `json:"id"`
	Fingerprint string `json:"fingerprint"`
	UserID      string `json:"user_id"`
	Packages    int    `json:"packages"`
}

type verifiedPackage struct {
	NEVRA        string `json:"nevra"`
	HeaderSHA256 string `json:"header_sha256"`
	Key          string `json:"key,omitempty"`
}

type generatedJSON struct {
	Path string `json:"path"`
	Rule string `json:"rule"`
}

type findingJSON struct {
	Kind    string `json:"kind"`
	Fails   bool   `json:"fails"`
	Path    string `json:"path,omitempty"`
	Package string `json:"package,omitempty"`
	Want    string `json:"want,omitempty"`
	Got     string `json:"got,omitempty"`
}

type againstJSON struct {
	Reference string         `json:"reference"`
	Count     map[string]int `json:"count"`
	Packages  []comparedJSON `json:"packages"`
	Absent    []string       `json:"absent"`
}

type comparedJSON struct {
	NEVRA     string   `json:"nevra"`
	Verdict   string   `json:"verdict"`
	Reference []string `json:"reference,omitempty"`
}

// verify is one run of the verify command.
type verify struct {
	env       *environment
	recipe    string
	flags     recipeFlags
	opts      builder.VerifyOptions
	database  string // a file
	strict    bool
	json      bool
	statement bool
}

func newVerifyCommand(env *environment) *cobra.Command {
	v := &verify{env: env}
	cmd := &cobra.Command{
		Use:   "verify IMAGE --key K",
		Short: "Prove that an image is its distribution's packages and nothing else",
		Long: `Verify checks, on any image of RPM packages, slim's or not, the signature of
every package header in the image's own rpmdb, and every file of the image
against them: content, permissions, owners, links, capabilities, devices. A file
may be missing only where the rpmdb says it was not installed. What no package
brings has to be of a known kind that is generated, or it is foreign.

IMAGE is as for inspect, or dir:DIR for a plain root. Changed configuration files
are listed and do not fail, as for rpm -V; --strict lets every remark fail.
--recipe takes keys and added files from the recipe. --against compares the
packages with those of another image, byte by byte of their headers. --database
FILE checks the headers of an rpmdb alone.

Exit codes: 5 when the image does not verify, 3 when it does and packages are
not those of --against. --statement prints an in-toto statement of type
` + builder.SamePackages + ` for signing.`,
		Example: `  slim verify registry.example/base/httpd:2.4 --key RPM-GPG-KEY
  slim verify dir:/mnt/root --recipe httpd.yaml
  slim verify httpd.tar --key RPM-GPG-KEY --against registry.example/ubi9/ubi`,
		GroupID: groupLook,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (v.database != "") || v.database != "" && (v.statement || v.opts.Against != "") {
				return usageError("slim verify --help shows what it takes", "slim verify takes an image, or --database with keys alone")
			}
			if v.json && v.statement {
				return usageError("", "--json and --statement are two documents: choose one")
			}
			if err := v.prepare(); err != nil {
				return err
			}
			var found *builder.Verification
			var err error
			if v.database != "" {
				found, err = builder.VerifyDatabase(cmd.Context(), v.database, v.opts)
			} else {
				found, err = builder.Verify(cmd.Context(), args[0], v.opts)
			}
			var key *builder.KeyError
			if errors.As(err, &key) {
				return &exitError{code: exitUsage, err: err, hint: "--key FILE names the distribution's public key, as in /etc/pki/rpm-gpg"}
			}
			if err != nil {
				return err
			}
			return errors.Join(v.print(found), v.judge(found))
		},
	}
	cmd.Flags().StringArrayVar(&v.opts.Keys, "key", nil, "a file of public `KEY`s that packages may be signed by, may be repeated")
	cmd.Flags().StringVar(&v.recipe, "recipe", "", "take keys, added files and homes from `RECIPE`")
	cmd.Flags().StringVar(&v.opts.Against, "against", "", "compare the packages with those of `IMAGE`")
	cmd.Flags().StringVar(&v.database, "database", "", "check the headers of the rpmdb in `FILE`, without an image")
	cmd.Flags().BoolVar(&v.strict, "strict", false, "fail on changed configuration files and other remarks too")
	cmd.Flags().BoolVar(&v.statement, "statement", false, "print an in-toto statement")
	cmd.Flags().BoolVar(&v.opts.Offline, "offline", false, "fetch no key of the recipe over the network")
	cmd.Flags().StringSliceVar(&v.flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	addJSONFlag(cmd, &v.json)
	return cmd
}

// prepare reads what the flags name.
func (v *verify) prepare() error {
	opts, err := v.flags.options(v.env)
	if err != nil {
		return err
	}
	v.opts.Platforms = opts.Platforms
	v.opts.WorkDir, v.opts.CacheDir, v.opts.Builtin = v.env.getenv("TMPDIR"), v.env.cacheDir(), v.env.builtin
	v.opts.Report = func(e builder.Event) {
		if e.Message != "" {
			v.env.say("%s", e.Message)
		}
	}
	if v.recipe == "" {
		return nil
	}
	opts.Platforms = nil
	v.opts.Recipe, err = builder.ReadRecipe(v.recipe, opts)
	return err
}

// judge is the exit code.
func (v *verify) judge(found *builder.Verification) error {
	switch {
	case found.Failed(v.strict):
		n := 0
		for _, i := range found.Images {
			for _, f := range i.Report.Findings {
				if v.strict || f.Kind.Fails() {
					n++
				}
			}
		}
		return &exitError{code: exitVerification, err: fmt.Errorf("%s does not verify: %s", found.Reference, count(n, "finding"))}
	case found.Differs():
		return &exitError{code: exitGate, err: fmt.Errorf("%s is not made of the packages of %s", found.Reference, v.opts.Against)}
	}
	return nil
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (v *verify) print(found *builder.Verification) error {
	if v.json {
		return writeJSON(v.env.stdout, v.answer(found))
	}
	if v.statement {
		if found.Failed(v.strict) {
			out := &lines{w: v.env.stderr}
			v.printFindings(out, found)
			return out.err
		}
		statement, err := found.Statement(v.opts.Against, readBuildVersion().Version)
		if err != nil {
			return err
		}
		return writeJSON(v.env.stdout, statement)
	}
	out := &lines{w: v.env.stdout}
	v.printFindings(out, found)
	for _, i := range found.Images {
		name := printable(found.Reference)
		if len(found.Images) > 1 {
			name += " for " + i.Platform.String()
		}
		out.printf("%s: %s\n", name, v.summary(i))
		if i.Against != nil {
			out.printf("%s: %s\n", name, v.againstSummary(i))
		}
	}
	return out.err
}

func (v *verify) printFindings(out *lines, found *builder.Verification) {
	for _, i := range found.Images {
		prefix := ""
		if len(found.Images) > 1 {
			prefix = i.Platform.String() + " "
		}
		for _, f := range i.Report.Findings {
			out.printf("%s%s\n", prefix, printable(f.String()))
		}
		if i.Against == nil {
			continue
		}
		for _, p := range i.Against.Packages {
			if text := comparedText(p.Verdict, p.Reference); text != "" {
				out.printf("%s%s: %s%s\n", prefix, p.Verdict, printable(p.NEVRA.String()), text)
			}
		}
	}
}

func comparedText[V ~string, R fmt.Stringer](verdict V, reference []R) string {
	switch verdict {
	case "identical":
		return ""
	case "drifted":
		var have []string
		for _, r := range reference {
			have = append(have, r.String())
		}
		return ", where the reference has " + printable(strings.Join(have, ", "))
	}
	return " is not in the reference"
}

// summary is one line.
func (v *verify) summary(i *builder.VerifiedImage) string {
	r := &i.Report
	var signers []string
	for _, k := range i.Keys {
		if len(i.Keys) > 1 {
			signers = append(signers, fmt.Sprintf("%s (%d)", k.ID, k.Packages))
		} else {
			signers = append(signers, k.ID)
		}
	}
	text := fmt.Sprintf("%d of %d packages signed", r.Signed, r.Packages)
	if len(signers) > 0 {
		text += " by " + strings.Join(signers, ", ")
	}
	if v.database != "" {
		return text + "; no file was compared"
	}
	text += fmt.Sprintf("; %d of %d files match", r.Matching, r.Files)
	if r.NotInstalled > 0 {
		text += fmt.Sprintf("; %d not installed", r.NotInstalled)
	}
	return text + fmt.Sprintf("; %d generated; %d foreign", len(r.Generated), r.Foreign)
}

func (v *verify) againstSummary(i *builder.VerifiedImage) string {
	a := i.Against
	text := fmt.Sprintf("%d of %d identical to %s", a.Count["identical"], len(a.Packages), printable(v.opts.Against))
	for _, verdict := range []string{"drifted", "added", "foreign"} {
		for have, n := range a.Count {
			if string(have) == verdict && n > 0 {
				text += fmt.Sprintf("; %d %s", n, verdict)
			}
		}
	}
	return text + fmt.Sprintf("; %d of its packages not here", len(a.Absent))
}

func (v *verify) answer(found *builder.Verification) verifyJSON {
	doc := verifyJSON{Version: 1, Image: found.Reference, Digest: found.Digest, Passed: !found.Failed(v.strict), Images: []verifiedOne{}}
	for _, i := range found.Images {
		r := &i.Report
		one := verifiedOne{
			Digest: i.Digest, Database: i.Database, Format: i.Format, Signed: r.Signed, Files: r.Files, Matching: r.Matching,
			NotInstalled: r.NotInstalled, Foreign: r.Foreign, Keys: []verifiedKey{}, Packages: []verifiedPackage{},
			Generated: []generatedJSON{}, Findings: []findingJSON{},
		}
		if i.Digest != "" {
			one.Platform = i.Platform.String()
		}
		for _, k := range i.Keys {
			one.Keys = append(one.Keys, verifiedKey{ID: k.ID, Fingerprint: k.Fingerprint, UserID: k.UserID, Packages: k.Packages})
		}
		for _, p := range i.Packages {
			one.Packages = append(one.Packages, verifiedPackage{NEVRA: p.NEVRA.String(), HeaderSHA256: p.SHA256, Key: p.Key})
		}
		for _, g := range r.Generated {
			one.Generated = append(one.Generated, generatedJSON(g))
		}
		for _, f := range r.Findings {
			one.Findings = append(one.Findings, findingJSON{
				Kind: string(f.Kind), Fails: v.strict || f.Kind.Fails(), Path: f.Path, Package: f.Package, Want: f.Want, Got: f.Got,
			})
		}
		one.Against = v.againstAnswer(i)
		doc.Images = append(doc.Images, one)
	}
	return doc
}

func (v *verify) againstAnswer(i *builder.VerifiedImage) *againstJSON {
	if i.Against == nil {
		return nil
	}
	out := &againstJSON{Reference: v.opts.Against, Count: map[string]int{}, Packages: []comparedJSON{}, Absent: []string{}}
	for verdict, n := range i.Against.Count {
		out.Count[string(verdict)] = n
	}
	for _, p := range i.Against.Packages {
		c := comparedJSON{NEVRA: p.NEVRA.String(), Verdict: string(p.Verdict)}
		for _, r := range p.Reference {
			c.Reference = append(c.Reference, r.String())
		}
		out.Packages = append(out.Packages, c)
	}
	for _, n := range i.Against.Absent {
		out.Absent = append(out.Absent, n.String())
	}
	return out
}
