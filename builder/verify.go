package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"slim/internal/audit"
	"slim/internal/rpm"
)

// VerifyOptions say what an image is verified by. There has to be a key.
type VerifyOptions struct {
	Keys      []string   // files of OpenPGP keys
	Recipe    *Recipe    // its keys count too, and the files and homes that it adds are known; may be nil
	Platforms []Platform // of the image; all without any
	Against   string     // reference of an image whose packages are compared; "" for none
	Options
}

// KeyError says that a key file is of no use.
type KeyError struct {
	File string // "" when there is no key at all
	Err  error
}

func (e *KeyError) Error() string {
	if e.File == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("key file %s: %v", e.File, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

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
}

// SigningKey is a key and how many packages it signed.
type SigningKey struct {
	rpm.Key
	Packages int
}

// Failed reports whether the image is not what its packages are; with strict every remark counts.
func (v *Verification) Failed(strict bool) bool {
	return slices.ContainsFunc(v.Images, func(i *VerifiedImage) bool { return i.Report.Failed(strict) })
}

// Differs reports whether a package is not the reference's.
func (v *Verification) Differs() bool {
	return slices.ContainsFunc(v.Images, func(i *VerifiedImage) bool {
		return i.Against != nil && i.Against.Count[audit.Identical] != len(i.Against.Packages)
	})
}

// Verify reads the image at a reference, slim's or not, in the words of Inspect, or a plain root as dir:DIR, and compares
// every file with the signed headers of the image's own rpmdb. What does not agree is a finding, not an error. Errors of
// keys are *KeyError.
func Verify(ctx context.Context, reference string, o VerifyOptions) (*Verification, error) {
	out := &Verification{Reference: reference}
	if err := o.addKeys(&rpm.Keyring{}); err != nil {
		return nil, err
	}
	var extra []audit.Extra
	if o.Recipe != nil {
		var err error
		if extra, err = o.Recipe.extras(); err != nil {
			return nil, err
		}
	}
	against, err := o.readReference(ctx)
	if err != nil {
		return nil, err
	}
	keys := map[Platform]*rpm.Keyring{}
	out.Digest, err = eachView(ctx, reference, viewOptions{o.Platforms, o.Options}, func(v *view) error {
		if keys[v.platform] == nil {
			k, err := o.keyring(ctx, v.platform)
			if err != nil {
				return err
			}
			keys[v.platform] = k
		}
		one, err := v.verify(keys[v.platform], extra, against)
		if err != nil {
			return fmt.Errorf("verifying %s: %w", reference, err)
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
	keys, err := o.keyring(ctx, Platform{})
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

// keyring reads all keys.
func (o *VerifyOptions) keyring(ctx context.Context, p Platform) (*rpm.Keyring, error) {
	keys := &rpm.Keyring{}
	if o.Recipe != nil && o.Recipe.Repository.GPGCheck {
		client, done, err := o.client()
		if err != nil {
			return nil, err
		}
		defer done()
		if p == (Platform{}) {
			p = o.Recipe.Platforms[0]
		}
		if keys, err = loadKeys(ctx, client, o.Recipe.Repository, p, o.Options); err != nil {
			return nil, err
		}
	}
	if err := o.addKeys(keys); err != nil {
		return nil, err
	}
	if len(keys.Keys()) == 0 {
		return nil, &KeyError{Err: errors.New("the recipe checks no signatures: there is no key to verify with")}
	}
	return keys, nil
}

func (o *VerifyOptions) addKeys(keys *rpm.Keyring) error {
	if len(o.Keys) == 0 && o.Recipe == nil {
		return &KeyError{Err: errors.New("there is no key to verify with")}
	}
	for _, file := range o.Keys {
		if err := o.addKey(keys, file); err != nil {
			return &KeyError{File: file, Err: err}
		}
	}
	return nil
}

func (o *VerifyOptions) addKey(keys *rpm.Keyring, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return pathless(err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, rpm.MaxKeyFile+1))
	if err != nil {
		return pathless(err)
	}
	_, skipped, err := keys.Add(content)
	for _, reason := range skipped {
		o.Report.Report(Event{Phase: PhaseMetadata, Message: fmt.Sprintf("key file %s: one key is passed over: %v", file, reason)})
	}
	return err
}

// pathless is an error of a file without the file's name.
func pathless(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// referenceSet are the packages of a reference, by platform.
type referenceSet map[Platform][]audit.Package

func (o *VerifyOptions) readReference(ctx context.Context) (referenceSet, error) {
	if o.Against == "" {
		return nil, nil
	}
	set := referenceSet{}
	_, err := eachView(ctx, o.Against, viewOptions{o.Platforms, o.Options}, func(v *view) error {
		d, err := v.database()
		if err != nil {
			return fmt.Errorf("reading %s: %w", o.Against, err)
		}
		if d.path == "" {
			return fmt.Errorf("reading %s: it has no rpmdb to compare with", o.Against)
		}
		packages, _ := d.read(nil)
		for i := range packages {
			packages[i].Files = nil
		}
		set[v.platform] = packages
		return nil
	})
	return set, err
}

// of are the packages for a platform. A reference of one platform serves a plain root and is served by one.
func (s referenceSet) of(p Platform) ([]audit.Package, bool) {
	if packages, ok := s[p]; ok {
		return packages, true
	}
	if packages, ok := s[Platform{}]; ok {
		return packages, true
	}
	if len(s) == 1 && p == (Platform{}) {
		for _, packages := range s {
			return packages, true
		}
	}
	return nil, false
}

// read are the packages of a database as keys prove them, by NEVRA, and the number of keys among them.
func (d *database) read(keys *rpm.Keyring) (packages []audit.Package, keysLeft int) {
	for _, i := range d.packages {
		if audit.IsKey(i.Header) {
			keysLeft++
			continue
		}
		packages = append(packages, audit.ReadPackage(i.Header, i.States(), keys))
	}
	slices.SortFunc(packages, func(a, b audit.Package) int { return a.NEVRA.Compare(b.NEVRA) })
	return packages, keysLeft
}

func (v *view) verify(keys *rpm.Keyring, extra []audit.Extra, reference referenceSet) (*VerifiedImage, error) {
	out := &VerifiedImage{Platform: v.platform, Digest: v.digest}
	d, err := v.database()
	if err != nil {
		out.fault(audit.Finding{Kind: audit.Database, Got: err.Error()})
		return out, nil
	}
	if d.path == "" {
		out.fault(audit.Finding{Kind: audit.Database, Got: "there is no rpmdb: nothing says which packages this is made of"})
		return out, nil
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
		return nil, err
	}
	report.Findings = append(report.Findings, faults...)
	audit.SortFindings(report.Findings)
	out.Report = *report
	out.list(root.Packages)
	if reference != nil {
		packages, ok := reference.of(v.platform)
		if !ok {
			return nil, fmt.Errorf("what it is to be compared with has no image for its platform %s", v.platform)
		}
		out.Against = audit.Against(root.Packages, packages)
	}
	return out, nil
}

func (i *VerifiedImage) fault(f audit.Finding) { i.Report.Findings = append(i.Report.Findings, f) }

// list notes the packages and who signed them.
func (i *VerifiedImage) list(packages []audit.Package) {
	for _, p := range packages {
		one := VerifiedPackage{NEVRA: p.NEVRA, SHA256: p.SHA256}
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
