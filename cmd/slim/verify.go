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
	Files        int    `json:"files"`
	Matching     int    `json:"files_matching"`
	NotInstalled int    `json:"files_not_installed"`
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
	brief     bool
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
brings has to be of a known kind that is generated, or it is foreign. Nothing is
fetched but the image, and keys that a recipe has at a URL.

IMAGE is as for inspect, or dir:DIR for a plain root. K is a file of public keys, a
recipe or a lock, whose repository's keys are meant, or a distribution whose keys
are shipped: ` + shippedKeys(env) + `.
Changed configuration files are listed and do not fail, as for rpm -V; --strict
lets every remark fail. --recipe takes keys and added files from the recipe.
--database FILE checks the headers of an rpmdb alone. --brief leaves the tables out.

--against compares the packages, byte by byte of their headers, with those of
another image, of a lock (or LOCK:RECIPE), or of a repository as it is now, given
by a recipe, a URL or a directory:
  identical        the reference has the same header
  same repository  the reference has no such package; the same key signed it
  drifted          the reference has another build, or a repository has none
  foreign          another key signed it

Exit codes: 5 when the image does not verify, 3 when it does and packages have
drifted or are foreign. --statement prints an in-toto statement of type
` + builder.SamePackages + ` for signing.`,
		Example: `  slim verify registry.example/base/httpd:2.4 --key ubi9
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
				return &exitError{code: exitUsage, err: err, hint: keyHint}
			}
			if err != nil {
				return err
			}
			return errors.Join(v.print(found), v.judge(found))
		},
	}
	cmd.Flags().StringArrayVar(&v.opts.Keys, "key", nil, "packages may be signed by the keys of `K`, may be repeated")
	cmd.Flags().StringVar(&v.recipe, "recipe", "", "take keys, added files and homes from `RECIPE`")
	cmd.Flags().StringVar(&v.opts.Against, "against", "", "compare the packages with those of `REFERENCE`")
	cmd.Flags().StringVar(&v.database, "database", "", "check the headers of the rpmdb in `FILE`, without an image")
	cmd.Flags().BoolVar(&v.strict, "strict", false, "fail on changed configuration files and other remarks too")
	cmd.Flags().BoolVar(&v.brief, "brief", false, "print findings and one line alone")
	cmd.Flags().BoolVar(&v.statement, "statement", false, "print an in-toto statement")
	cmd.Flags().BoolVar(&v.opts.Offline, "offline", false, "fetch no key and no metadata over the network")
	cmd.Flags().StringSliceVar(&v.flags.platforms, "platform", nil, "only the images for these platforms `P[,P]`")
	addJSONFlag(cmd, &v.json)
	return cmd
}

const keyHint = "--key takes a file of the distribution's public keys, as in /etc/pki/rpm-gpg, a recipe, a lock, or a name as in --key ubi9"

func shippedKeys(env *environment) string {
	return strings.Join(builder.ShippedKeys(env.builtin), ", ")
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
		n, signed := 0, 0
		for _, i := range found.Images {
			signed += i.Report.Signed
			for _, f := range i.Report.Findings {
				if v.strict || f.Kind.Fails() {
					n++
				}
			}
		}
		e := &exitError{code: exitVerification, err: fmt.Errorf("%s does not verify: %s", found.Reference, count(n, "finding"))}
		if signed == 0 && found.Images[0].Report.Packages > 0 {
			given := v.opts.Keys
			if v.recipe != "" {
				given = append([]string{v.recipe}, given...)
			}
			e.hint = fmt.Sprintf("no package is signed by the keys of %s: are they the distribution's?", strings.Join(given, ", "))
		}
		return e
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
			one.Packages = append(one.Packages, verifiedPackage{p.NEVRA.String(), p.SHA256, p.Key, p.Files, p.Matching, p.NotInstalled})
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
