package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slim/internal/fetch"
	"slim/internal/repomd"
	"slim/internal/rpm"
)

// A vendored directory holds all that builds need of the network, as the repository had it:
//
//	VENDORED                         says what this is
//	slim.lock                        the lock
//	keys/                            the keys, each named by its content
//	BASEARCH[/COMPONENT]/repodata/   the metadata and its signature, byte for byte
//	BASEARCH[/COMPONENT]/...         those packages that the recipes take, where the metadata says
//
// Every BASEARCH[/COMPONENT] is a repository for dnf too, as far as the packages go that are there.

// VendorResult says what was vendored.
type VendorResult struct {
	Packages     int
	Bytes        int64 // of all files
	Repositories []string
	Keys         []string // paths below the directory
}

// Vendor writes what lock has for recipes into dir, which may be missing, empty, or vendored before; otherwise it is left
// alone. The repository must still have every package; when it has moved on since, that is remarked on, as dnf will then
// prefer the newer builds that are not there.
func Vendor(ctx context.Context, recipes []*Recipe, f *LockFile, dir string, o Options) (_ *VendorResult, err error) {
	if err := mayVendor(dir); err != nil {
		return nil, err
	}
	client, done, err := o.client()
	if err != nil {
		return nil, err
	}
	defer done()
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o777); err != nil {
		return nil, err
	}
	v := &vendoring{client: client, lock: f, options: o, dir: fmt.Sprintf("%s.%d.new", dir, os.Getpid()), result: &VendorResult{}}
	defer os.RemoveAll(v.dir)
	if err := os.Mkdir(v.dir, 0o777); err != nil {
		return nil, err
	}
	v.options.Keys = f.Keys
	for _, p := range f.Platforms() {
		if err := v.platform(ctx, recipes, p); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	for name, content := range map[string][]byte{LockFileName: f.Bytes(), vendoredMark: []byte(vendoredText)} {
		if err := v.copy(filepath.Join(v.dir, name), bytes.NewReader(content)); err != nil {
			return nil, err
		}
	}
	return v.result, replaceDir(v.dir, dir)
}

// vendoredMark is the file by which a vendored directory is known.
const (
	vendoredMark = "VENDORED"
	vendoredText = "Packages, metadata and keys for builds without a network, written by slim vendor, which replaces all of it the next time.\n"
)

func mayVendor(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, vendoredMark)); err == nil {
		return nil
	}
	return &LockUsageError{dir + " holds something else", "name a directory that is missing or empty, or that slim vendor wrote"}
}

// replaceDir puts dir in the place of old.
func replaceDir(dir, old string) error {
	aside := dir + ".old"
	err := os.Rename(old, aside)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(dir, old); err != nil {
		return errors.Join(err, os.Rename(aside, old))
	}
	return os.RemoveAll(aside)
}

// vendoring is the work of writing one directory.
type vendoring struct {
	client  *fetch.Client
	lock    *LockFile
	options Options
	dir     string
	result  *VendorResult
}

// platform writes what recipes take on p.
func (v *vendoring) platform(ctx context.Context, recipes []*Recipe, p Platform) error {
	wanted, err := v.wanted(recipes, p)
	if err != nil || wanted == nil {
		return err
	}
	r := recipes[0].Repository
	if err := v.keys(ctx, r, p); err != nil {
		return err
	}
	keys := &rpm.Keyring{}
	if r.GPGCheck || r.RepoGPGCheck {
		if keys, err = loadKeys(ctx, v.client, r, p, v.options); err != nil {
			return err
		}
	}
	v.options.Report.Report(Event{Phase: PhaseMetadata})
	urls, err := r.BaseURLs(p)
	if err != nil {
		return err
	}
	repo := &repository{client: v.client}
	for i := range wanted.Sources {
		at := slices.IndexFunc(urls, func(u ComponentURL) bool { return u.Component == wanted.Sources[i].Component })
		if at < 0 {
			return fmt.Errorf("the recipe has no component %s", wanted.Sources[i].Component)
		}
		var check *rpm.Keyring
		if r.RepoGPGCheck {
			check = keys
		}
		if err := v.metadata(ctx, repo, urls[at], check, wanted, i); err != nil {
			return err
		}
	}
	set, err := fetchPackages(ctx, v.client, wanted, keys, !r.GPGCheck, v.options)
	if err != nil {
		return err
	}
	defer set.Close()
	for i, pkg := range wanted.Packages {
		to := filepath.Join(v.dir, vendoredPath(p, wanted.Sources[pkg.Source].Component), filepath.FromSlash(pkg.Location))
		if err := v.copy(to, io.NewSectionReader(set.files[i], 0, set.files[i].Size())); err != nil {
			return err
		}
		v.result.Packages++
	}
	return nil
}

// wanted are the packages that any of recipes takes on p; nil without any.
func (v *vendoring) wanted(recipes []*Recipe, p Platform) (*LockedPlatform, error) {
	var out *LockedPlatform
	seen := map[rpm.NEVRA]bool{}
	for _, r := range recipes {
		lock, err := v.lock.Lock(r)
		if err != nil {
			return nil, err
		}
		l := lock.platform(p)
		if l == nil {
			continue
		}
		if out == nil {
			out = &LockedPlatform{Platform: p, Sources: l.Sources}
		}
		for _, pkg := range l.Packages {
			if !seen[pkg.NEVRA] {
				seen[pkg.NEVRA] = true
				out.Packages = append(out.Packages, pkg)
			}
		}
	}
	return out, nil
}

// keys writes the recipe's keys.
func (v *vendoring) keys(ctx context.Context, r Repository, p Platform) error {
	refs, err := r.KeyRefs(p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(v.dir, "keys"), 0o777); err != nil {
		return err
	}
	for _, ref := range refs {
		content, err := keyContent(ctx, v.client, ref.Address, v.options)
		if err != nil {
			return fmt.Errorf("reading key %s: %w", ref.Address, err)
		}
		name := "keys/" + LockedKey{SHA256: hexSHA256(content)}.file()
		if slices.Contains(v.result.Keys, name) {
			continue
		}
		v.result.Keys = append(v.result.Keys, name)
		if err := v.copy(filepath.Join(v.dir, name), bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return nil
}

// metadata writes the metadata of source i, which must have all packages that are wanted of it.
func (v *vendoring) metadata(ctx context.Context, repo *repository, at ComponentURL, keys *rpm.Keyring, wanted *LockedPlatform, i int) error {
	src, err := openSource(ctx, v.client, at, keys)
	if err != nil {
		return err
	}
	locked := wanted.Sources[i]
	if src.Digest != locked.Digest {
		v.options.Report.Report(Event{Phase: PhaseMetadata, Message: fmt.Sprintf(
			"warning: the repository %s has changed since it was locked (revision %s, now %s): dnf may prefer newer builds, which are not vendored",
			at.URL, orNone(locked.Revision), orNone(src.Revision))})
	}
	missing := map[rpm.NEVRA]rpm.Checksum{}
	for _, pkg := range wanted.Packages {
		if pkg.Source == i {
			missing[pkg.NEVRA] = pkg.Checksum
		}
	}
	if err := repo.readPrimary(ctx, src, func(m *rpm.Metadata) error {
		if sum, ok := missing[m.NEVRA]; ok && sum == m.Checksum {
			delete(missing, m.NEVRA)
		}
		return nil
	}); err != nil {
		return err
	}
	if len(missing) > 0 {
		e := &StaleError{Lock: LockFileName}
		for _, pkg := range wanted.Packages {
			if _, ok := missing[pkg.NEVRA]; ok {
				e.Misfits = append(e.Misfits, Misfit{Recipe: at.URL, Message: pkg.NEVRA.String() + " is no longer in the repository"})
			}
		}
		return e
	}
	// Mirrors may differ for a while: take the packages from where the metadata is.
	wanted.Sources[i].URLs, wanted.Sources[i].list = src.URLs, nil
	dir := filepath.Join(v.dir, vendoredPath(wanted.Platform, at.Component))
	v.result.Repositories = append(v.result.Repositories, filepath.ToSlash(vendoredPath(wanted.Platform, at.Component)))
	return v.repodata(ctx, src, dir)
}

// repodata copies repomd.xml, its signature and what dnf reads to install.
func (v *vendoring) repodata(ctx context.Context, src *component, dir string) error {
	digest := src.Digest
	content, err := v.client.Bytes(ctx, fetch.Request{URLs: src.under("repodata/repomd.xml"), Digest: digest, MaxSize: maxRepomdSize})
	if err != nil {
		return fmt.Errorf("fetching repomd.xml: %w", err)
	}
	if err := v.copy(filepath.Join(dir, "repodata", "repomd.xml"), bytes.NewReader(content)); err != nil {
		return err
	}
	signature, err := v.client.Bytes(ctx, fetch.Request{URLs: src.under("repodata/repomd.xml.asc"), Size: -1, MaxSize: maxSignatureSize})
	var none *fetch.Error
	switch {
	case errors.As(err, &none) && none.Kind == fetch.NotFound:
	case err != nil:
		return fmt.Errorf("fetching the signature of repomd.xml: %w", err)
	default:
		if err := v.copy(filepath.Join(dir, "repodata", "repomd.xml.asc"), bytes.NewReader(signature)); err != nil {
			return err
		}
	}
	for _, record := range src.index.Records {
		if !neededByDNF(record.Type) {
			continue
		}
		if record.Base != "" {
			return fmt.Errorf("the repository keeps its %s metadata at an address of its own, %s", record.Type, record.Base)
		}
		if err := v.record(ctx, src, record, dir); err != nil {
			return err
		}
	}
	return nil
}

// neededByDNF leaves out databases, which are made of the other files, and change logs.
func neededByDNF(kind string) bool {
	kind = strings.TrimSuffix(kind, "_zck")
	return slices.Contains([]string{"primary", "filelists", "updateinfo", "modules", "group", "group_gz", "productid"}, kind)
}

func (v *vendoring) record(ctx context.Context, src *component, record repomd.Record, dir string) error {
	file, err := v.client.Get(ctx, fetch.Request{URLs: src.under(record.Location), Digest: record.Checksum.String(), Size: record.Size})
	if err != nil {
		return fmt.Errorf("fetching %s: %w", record.Location, err)
	}
	defer file.Close()
	return v.copy(filepath.Join(dir, filepath.FromSlash(record.Location)), file)
}

// vendoredPath is where a component is in a vendored directory.
func vendoredPath(p Platform, component string) string {
	return filepath.Join(p.BaseArch(), component)
}

func (v *vendoring) copy(to string, content io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, content)
	v.result.Bytes += n
	return errors.Join(err, f.Close())
}

// Vendored reads the lock of a vendored directory, and says the address of the repository in it, with variables.
// Of any other directory the address is "".
func Vendored(dir string) (address string, err error) {
	if _, err := os.Stat(filepath.Join(dir, vendoredMark)); err != nil {
		return "", nil
	}
	f, err := ReadLockFile(filepath.Join(dir, LockFileName))
	if err != nil {
		return "", err
	}
	address = filepath.Join(dir, "$basearch")
	if len(f.Repository.Components) > 0 {
		address = filepath.Join(address, "$component")
	}
	return address, nil
}

// VendoredKeys is the directory of keys in a vendored directory.
func VendoredKeys(dir string) string { return filepath.Join(dir, "keys") }
