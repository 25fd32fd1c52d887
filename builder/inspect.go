package builder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/image"
	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/rpmdb"
	"slim/internal/solve"
	"slim/internal/trim"
)

// Inspection is what an image says of itself: its config, layers, and the packages of its rpmdb. It works on any image
// of RPM packages, slim's or not. Nothing in it is verified.
type Inspection struct {
	Platform Platform
	Digest   string // of the manifest
	Config   v1.Config
	Created  time.Time
	Layers   []InspectedLayer
	// Annotations of the manifest.
	Annotations map[string]string
	Database    string // path of the rpmdb, "" without one
	Format      string // of the rpmdb
	Packages    []InspectedPackage
	Users       []rootfs.User
	Groups      []rootfs.Group
	Stripped    []Stripped
	Files       int   // paths in the root, directories included
	Installed   int64 // bytes of all regular files, hard links once
	OSRelease   map[string]string
	// Dependencies says which requirements of its packages were followed, as slim's annotation has it: runtime, named, or "".
	Dependencies string
	Skipped      []Scriptlet // scriptlets that were left undone, as slim's annotation has it; without their interpreters
	Unmet        []Unmet     // what packages require and no package has, by package
}

// Unmet is a requirement that no package of an image meets, as internal/solve has it.
type Unmet = solve.Unmet

// InspectedLayer is one layer of an image.
type InspectedLayer struct {
	Digest    string
	DiffID    string
	MediaType string
	Size      int64 // compressed
	CreatedBy string
}

// InspectedPackage is a package of the image's rpmdb.
type InspectedPackage struct {
	rpm.NEVRA
	SourceRPM    string
	Vendor       string
	License      string
	Size         int64 // as the header says, bytes of all its files
	Files        int
	NotInstalled int // of Files, those left out
	BuildTime    time.Time
}

// databasePaths are where distributions keep the rpmdb.
var databasePaths = [...]string{
	"/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite", "/usr/share/rpm/rpmdb.sqlite",
	"/usr/lib/sysimage/rpm/Packages.db", "/var/lib/rpm/Packages.db",
	"/usr/lib/sysimage/rpm/Packages", "/var/lib/rpm/Packages", "/usr/share/rpm/Packages",
}

// inspect reads an image of one platform. Its files are spooled below dir and removed again.
func inspect(ctx context.Context, img v1.Image, dir string) (_ *Inspection, err error) {
	out := &Inspection{}
	if err := out.readConfig(img); err != nil {
		return nil, err
	}
	root, err := image.Flatten(ctx, img, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, n := range root.Nodes {
		out.Files++
		if n.IsRegular() && n.HardTo == "" {
			out.Installed += n.Size
		}
	}
	passwd, err := readFlat(root, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := readFlat(root, "/etc/group")
	if err != nil {
		return nil, err
	}
	if accounts, err := rootfs.ParseAccounts(passwd, group); err == nil {
		out.Users, out.Groups = accounts.Users, accounts.Groups
	}
	for _, p := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		content, err := readFlat(root, p)
		if err != nil {
			return nil, err
		}
		if content != nil {
			out.OSRelease = parseOSRelease(content)
			break
		}
	}
	return out, out.readDatabase(root)
}

func (out *Inspection) readConfig(img v1.Image) error {
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	manifest, err := img.Manifest()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	out.Digest, out.Config, out.Created, out.Annotations = digest.String(), config.Config, config.Created.Time, manifest.Annotations
	out.Dependencies, out.Skipped = manifest.Annotations[annotationDependencies], parseSkipped(manifest.Annotations[annotationSkipped])
	out.Platform = Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	var history []string
	for _, h := range config.History {
		if !h.EmptyLayer {
			history = append(history, h.CreatedBy)
		}
	}
	for i, l := range manifest.Layers {
		layer := InspectedLayer{Digest: l.Digest.String(), MediaType: string(l.MediaType), Size: l.Size}
		if i < len(config.RootFS.DiffIDs) {
			layer.DiffID = config.RootFS.DiffIDs[i].String()
		}
		if len(history) == len(manifest.Layers) {
			layer.CreatedBy = history[i]
		}
		out.Layers = append(out.Layers, layer)
	}
	return nil
}

// readFlat is the content of a small file, nil when there is none.
func readFlat(root *image.Root, p string) ([]byte, error) {
	r, err := root.Open(p)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxAccountsFile))
}

func parseOSRelease(content []byte) map[string]string {
	out := map[string]string{}
	for line := range strings.SplitSeq(string(content), "\n") {
		if key, value, ok := strings.Cut(line, "="); ok {
			out[key] = strings.Trim(value, `"'`)
		}
	}
	return out
}

// readDatabase lists the packages of the first rpmdb that is there.
func (out *Inspection) readDatabase(root *image.Root) error {
	for _, p := range databasePaths {
		r, err := root.Open(p)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		format, err := rpmdb.Detect(r, r.Size())
		if err != nil {
			return fmt.Errorf("rpmdb %s: %w", p, err)
		}
		installed, err := rpmdb.Read(r, r.Size())
		if err != nil {
			return fmt.Errorf("rpmdb %s: %w", p, err)
		}
		out.Database, out.Format = p, format.String()
		return out.readPackages(installed)
	}
	return nil
}

func (out *Inspection) readPackages(installed []rpmdb.Installed) error {
	counts := newStripped()
	for _, i := range installed {
		files, err := i.Header.Files()
		if err != nil {
			return fmt.Errorf("package %s: %w", i.Header.NEVRA(), err)
		}
		built, _ := i.Header.Uint64(rpm.TagBuildTime)
		p := InspectedPackage{
			NEVRA: i.Header.NEVRA(), SourceRPM: i.Header.Text(rpm.TagSourceRPM), Vendor: i.Header.Text(rpm.TagVendor),
			License: i.Header.Text(rpm.TagLicense), Size: installedSize(i.Header), Files: len(files), BuildTime: time.Unix(int64(built), 0).UTC(),
		}
		p.NotInstalled = countStripped(files, i.States(), counts)
		out.Packages = append(out.Packages, p)
	}
	slices.SortFunc(out.Packages, func(a, b InspectedPackage) int { return a.NEVRA.Compare(b.NEVRA) })
	metadata, err := (&database{packages: installed}).metadata()
	if err != nil {
		return err
	}
	out.Unmet = solve.NewGraph(metadata, solve.Full).Unmet()
	for _, s := range counts {
		out.Stripped = append(out.Stripped, *s)
	}
	slices.SortFunc(out.Stripped, func(a, b Stripped) int { return cmp.Compare(a.Rule, b.Rule) })
	return nil
}

// installedSize is what a package takes, in bytes, by its header.
func installedSize(h *rpm.Header) int64 {
	size, ok := h.Uint64(rpm.TagLongSize)
	if !ok {
		size, _ = h.Uint64(rpm.TagSize)
	}
	return int64(size)
}

// newStripped counts nothing yet for every rule.
func newStripped() map[trim.Rule]*Stripped {
	counts := map[trim.Rule]*Stripped{}
	for _, rule := range []trim.Rule{trim.Docs, trim.Locales, trim.Paths} {
		counts[rule] = &Stripped{Rule: string(rule)}
	}
	return counts
}

// countStripped sorts a package's files that are not installed under the rules that take such files, and counts them.
// The rpmdb does not say which rule it was: what is no documentation and serves no language was taken by its path.
func countStripped(files []rpm.File, states []rpm.FileState, counts map[trim.Rule]*Stripped) int {
	if len(states) != len(files) {
		return 0
	}
	seen := map[inode]bool{}
	for f := range files {
		if files[f].IsRegular() && states[f] == rpm.StateNormal {
			seen[inodeOf(&files[f])] = true
		}
	}
	gone := 0
	for f := range files {
		if states[f] != rpm.StateNotInstalled {
			continue
		}
		gone++
		file := &files[f]
		if file.IsDir() || file.Flags&rpm.FileGhost != 0 {
			continue
		}
		rule := trim.Classify(trim.File{Path: path.Clean(file.Path), Flags: file.Flags, Lang: file.Lang})
		counts[rule].Files++
		if key := inodeOf(file); file.IsRegular() && !seen[key] {
			seen[key] = true
			counts[rule].Bytes += file.Size
		}
	}
	return gone
}
