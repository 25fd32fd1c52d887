package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"slim/internal/audit"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
)

// VerifyOptions say what an image is verified by. There has to be a key.
type VerifyOptions struct {
	// Keys are files of OpenPGP keys, names of distributions (see ShippedKeys), recipes (*.yaml) whose repository's keys
	// are meant, or locks (*.lock), whose recipes' are.
	Keys      []string
	Recipe    *Recipe    // its keys count too, and the files and homes that it adds are known; may be nil
	Platforms []Platform // of the image; all without any
	// Against is what the packages are compared with: the reference of an image, a lock or LOCK:RECIPE, a recipe (*.yaml),
	// whose repository is meant as it is now, or a repository's URL or directory; "" for nothing.
	Against string
	Options
}

// Verification is what was found of an image.
type Verification struct {
	Reference string
	Digest    string // of the index, or of the one image; "" for a plain root
	Images    []*VerifiedImage
}

// VerifiedImage is what was found of the image of one platform.
type VerifiedImage struct {
	Platform Platform // the zero value for a plain root
	Digest   string   // "" for a plain root
	Database string   // path of the rpmdb, "" without one
	Format   string
	Packages []VerifiedPackage // by NEVRA
	Keys     []SigningKey      // that signed packages, those of most packages first
	KeysLeft int               // keys that rpm keeps among the packages: no packages
	Report   audit.Report
	Against  *audit.Comparison // nil when nothing was compared
}

// VerifiedPackage is one package of the rpmdb.
type VerifiedPackage struct {
	NEVRA  rpm.NEVRA
	SHA256 string // of its header
	Key    string // fingerprint of the key that signed it, "" when none did
	audit.FileCount
}

// RuleReason says what a rule that explains generated paths is for.
func RuleReason(rule string) string { return audit.Reason(rule) }

// SigningKey is a key and how many packages it signed.
type SigningKey struct {
	rpm.Key
	Packages int
}

// Failed reports whether the image is not what its packages are; with strict every remark counts.
func (v *Verification) Failed(strict bool) bool {
	return slices.ContainsFunc(v.Images, func(i *VerifiedImage) bool { return i.Report.Failed(strict) })
}

// Differs reports whether a package is another one than the reference's: what the reference does not have is not, if it
// is signed by the same key.
func (v *Verification) Differs() bool {
	return slices.ContainsFunc(v.Images, func(i *VerifiedImage) bool {
		return i.Against != nil && i.Against.Count[audit.Drifted]+i.Against.Count[audit.Unknown] > 0
	})
}

// Verify reads the image at a reference, slim's or not, in the words of Inspect, or a plain root as dir:DIR, and compares
// every file with the signed headers of the image's own rpmdb. What does not agree is a finding, not an error. Errors of
// keys are *KeyError.
func Verify(ctx context.Context, reference string, o VerifyOptions) (*Verification, error) {
	out := &Verification{Reference: reference}
	sources, err := o.keySources()
	if err != nil {
		return nil, err
	}
	var extra []audit.Extra
	if o.Recipe != nil {
		if extra, err = o.Recipe.extras(); err != nil {
			return nil, err
		}
	}
	against, err := o.openReference(ctx)
	if err != nil {
		return nil, err
	}
	defer against.close()
	keys := map[Platform]*rpm.Keyring{}
	out.Digest, err = eachView(ctx, reference, viewOptions{o.Platforms, o.Options}, func(v *view) error {
		if keys[v.platform] == nil {
			k, err := o.keyring(ctx, sources, v.platform)
			if err != nil {
				return err
			}
			keys[v.platform] = k
		}
		one, packages, err := v.verify(keys[v.platform], extra)
		if err != nil {
			return fmt.Errorf("verifying %s: %w", reference, err)
		}
		if one.Against, err = against.compare(ctx, v.platform, packages); err != nil {
			return err
		}
		out.Images = append(out.Images, one)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// VerifyDatabase checks the headers of the rpmdb in a file, without a root to compare with.
func VerifyDatabase(ctx context.Context, file string, o VerifyOptions) (*Verification, error) {
	sources, err := o.keySources()
	if err != nil {
		return nil, err
	}
	keys, err := o.keyring(ctx, sources, Platform{})
	if err != nil {
		return nil, err
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	d := &database{path: file}
	if err := d.open(f, info.Size()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	one := &VerifiedImage{Database: file, Format: d.format}
	var packages []audit.Package
	packages, one.KeysLeft = d.read(keys)
	one.Report = *audit.CheckHeaders(packages)
	one.list(packages)
	return &Verification{Reference: file, Images: []*VerifiedImage{one}}, nil
}

// read are the packages of a database as keys prove them, by NEVRA, and the number of keys among them.
func (d *database) read(keys *rpm.Keyring) (packages []audit.Package, keysLeft int) {
	installed := slices.DeleteFunc(slices.Clone(d.packages), func(i rpmdb.Installed) bool { return audit.IsKey(i.Header) })
	packages, keysLeft = make([]audit.Package, len(installed)), len(d.packages)-len(installed)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for k, i := range installed {
		group.Go(func() error {
			packages[k] = audit.ReadPackage(i.Header, i.States(), keys)
			return nil
		})
	}
	_ = group.Wait()
	slices.SortFunc(packages, func(a, b audit.Package) int { return a.NEVRA.Compare(b.NEVRA) })
	return packages, keysLeft
}

// verify compares a root with its packages, and returns them too; there are none without an rpmdb.
func (v *view) verify(keys *rpm.Keyring, extra []audit.Extra) (*VerifiedImage, []audit.Package, error) {
	out := &VerifiedImage{Platform: v.platform, Digest: v.digest}
	d, err := v.database()
	if err != nil {
		out.fault(audit.Finding{Kind: audit.Database, Got: err.Error()})
		return out, nil, nil
	}
	if d.path == "" {
		out.fault(audit.Finding{Kind: audit.Database, Got: "there is no rpmdb: nothing says which packages this is made of" + v.otherDatabase()})
		return out, nil, nil
	}
	out.Database, out.Format = d.path, d.format
	root := audit.Root{Tree: v.tree, Extra: extra}
	root.Packages, out.KeysLeft = d.read(keys)
	accounts, err := v.accounts()
	if err != nil {
		out.fault(audit.Finding{Kind: audit.Database, Got: err.Error()})
	}
	root.Accounts = accounts
	faults := out.Report.Findings
	for _, other := range d.others {
		faults = append(faults, audit.Finding{Kind: audit.Database, Path: other, Got: "a second rpmdb, beside " + d.path})
	}
	if d.journal > 0 {
		faults = append(faults, audit.Finding{Kind: audit.Journal, Path: d.path + "-wal", Got: fmt.Sprintf("%d bytes, not read", d.journal)})
	}
	report, err := audit.Check(root)
	if err != nil {
		return nil, nil, err
	}
	report.Findings = append(report.Findings, faults...)
	audit.SortFindings(report.Findings)
	out.Report = *report
	out.list(root.Packages)
	return out, root.Packages, nil
}

func (i *VerifiedImage) fault(f audit.Finding) { i.Report.Findings = append(i.Report.Findings, f) }

// list notes the packages and who signed them.
func (i *VerifiedImage) list(packages []audit.Package) {
	for k, p := range packages {
		one := VerifiedPackage{NEVRA: p.NEVRA, SHA256: p.SHA256}
		if k < len(i.Report.Each) {
			one.FileCount = i.Report.Each[k]
		}
		if p.Err == nil {
			one.Key = p.Key.Fingerprint
			at := slices.IndexFunc(i.Keys, func(k SigningKey) bool { return k.Key == p.Key })
			if at < 0 {
				at, i.Keys = len(i.Keys), append(i.Keys, SigningKey{Key: p.Key})
			}
			i.Keys[at].Packages++
		}
		i.Packages = append(i.Packages, one)
	}
	slices.SortStableFunc(i.Keys, func(a, b SigningKey) int { return b.Packages - a.Packages })
}

// extras are the paths that the recipe adds, as the image has them.
func (r *Recipe) extras() ([]audit.Extra, error) {
	var out []audit.Extra
	for _, u := range r.Accounts.Users {
		if u.Home != "" && u.Home != "/" {
			out = append(out, audit.Extra{Path: path.Clean(u.Home), Mode: rpm.ModeDir | 0o700})
		}
	}
	for _, f := range r.Files {
		more, err := f.extras()
		if err != nil {
			return nil, fmt.Errorf("%s:%d: reading what becomes %s: %w", f.Pos.File, f.Pos.Line, f.Path, err)
		}
		out = append(out, more...)
	}
	return out, nil
}

func (f *ExtraFile) extras() ([]audit.Extra, error) {
	switch {
	case f.Link != "":
		return []audit.Extra{{Path: f.Path, Mode: rpm.ModeSymlink | 0o777, Link: f.Link}}, nil
	case f.Content != nil:
		sum := sha256.Sum256([]byte(*f.Content))
		return []audit.Extra{{Path: f.Path, Mode: rpm.ModeRegular | mode(f.Mode, 0o644), SHA256: hex.EncodeToString(sum[:])}}, nil
	}
	var out []audit.Extra
	err := filepath.WalkDir(f.Source, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.Source, at)
		if err != nil {
			return err
		}
		x := audit.Extra{Path: path.Join(f.Path, filepath.ToSlash(rel))}
		switch {
		case d.IsDir():
			x.Mode = rpm.ModeDir | 0o755
		case d.Type()&fs.ModeSymlink != 0:
			x.Mode = rpm.ModeSymlink | 0o777
			x.Link, err = os.Readlink(at)
		default:
			x.Mode, x.SHA256, err = f.source(at, d)
		}
		out = append(out, x)
		return err
	})
	return out, err
}

// source is the mode in the image and the SHA-256 of a file that the recipe adds.
func (f *ExtraFile) source(at string, d fs.DirEntry) (uint32, string, error) {
	info, err := d.Info()
	if err != nil {
		return 0, "", err
	}
	perm := uint32(0o644)
	if info.Mode()&0o100 != 0 {
		perm = 0o755
	}
	r, err := os.Open(at)
	if err != nil {
		return 0, "", err
	}
	defer r.Close()
	h := sha256.New()
	_, err = io.Copy(h, r)
	return rpm.ModeRegular | mode(f.Mode, perm), hex.EncodeToString(h.Sum(nil)), err
}
