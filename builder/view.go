package builder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"slim/internal/image"
	"slim/internal/rootfs"
	"slim/internal/rpmdb"
	"slim/internal/store"
)

// view is the root file system of an image of one platform, read back, or a plain root on disk.
type view struct {
	platform Platform // the zero value for a plain root
	digest   string   // of the manifest, "" for a plain root
	manifest *v1.Manifest
	config   *v1.ConfigFile // nil for a plain root
	tree     *rootfs.Tree
	open     func(n *rootfs.Node) (io.ReadCloser, error) // a regular file's content, from its beginning
	at       func(n *rootfs.Node) (readerAt, error)      // a regular file's content
	close    func() error
	found    *database // by database()
}

type readerAt interface {
	io.ReaderAt
	io.Closer
}

// viewOptions say what to open.
type viewOptions struct {
	Platforms []Platform // only these; all without any
	Options
}

// eachView reads what stands at a reference, one platform after the other, and returns the digest of the whole, "" for a
// plain root.
func eachView(ctx context.Context, reference string, o viewOptions, visit func(*view) error) (digest string, err error) {
	ref, err := store.Parse(reference)
	if err != nil {
		return "", &ReadError{File: reference, Err: err}
	}
	if ref.Kind == store.KindDir {
		v, err := openDirectory(ctx, ref.Path)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", reference, err)
		}
		return "", errors.Join(visit(v), v.close())
	}
	a, err := store.Read(ctx, ref, store.Options{Jobs: max(4, o.jobs())})
	if err != nil {
		return "", err
	}
	whole, err := a.Digest()
	if err != nil {
		return "", err
	}
	work, err := o.workDir()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	images, err := chosenImages(a, reference, o.Platforms)
	if err != nil {
		return "", err
	}
	for _, img := range images {
		v, err := openImage(ctx, img, work)
		if err != nil {
			return "", registryError(ref, fmt.Errorf("reading %s: %w", reference, err))
		}
		if err := errors.Join(visit(v), v.close()); err != nil {
			return "", err
		}
	}
	return whole.String(), nil
}

// registryError makes an error that a registry gave late one that KindOf knows.
func registryError(ref store.Ref, err error) error {
	if ref.Kind != store.KindDocker {
		return err
	}
	return store.RegistryErrorOf(ref.Reference.Context().RegistryStr(), err)
}

func chosenImages(a store.Artifact, reference string, platforms []Platform) ([]v1.Image, error) {
	if len(platforms) == 0 {
		return a.Images, nil
	}
	var out []v1.Image
	for _, p := range platforms {
		img, err := a.Image(p.v1())
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", reference, err)
		}
		out = append(out, img)
	}
	return out, nil
}

func openImage(ctx context.Context, img v1.Image, work string) (*view, error) {
	v := &view{open: openNode}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	if v.manifest, err = img.Manifest(); err != nil {
		return nil, err
	}
	if v.config, err = img.ConfigFile(); err != nil {
		return nil, err
	}
	v.digest = digest.String()
	v.platform = plainPlatform(v.config.OS, v.config.Architecture, v.config.Variant)
	root, err := image.Flatten(ctx, img, work)
	if err != nil {
		return nil, err
	}
	v.close = root.Close
	v.at = func(n *rootfs.Node) (readerAt, error) {
		r, err := root.Open(n.Path)
		if err != nil {
			return nil, err
		}
		return struct {
			*io.SectionReader
			io.Closer
		}{r, io.NopCloser(nil)}, nil
	}
	if v.tree, err = treeOf(ctx, root.Nodes); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return v, nil
}

// plainPlatform leaves the variant out that arm64 has anyway, and which only some tools write.
func plainPlatform(system, architecture, variant string) Platform {
	if architecture == "arm64" && variant == "v8" {
		variant = ""
	}
	return Platform{OS: system, Architecture: architecture, Variant: variant}
}

// treeOf makes a tree of nodes that are sorted by path. Reading their content ends with ctx.
func treeOf(ctx context.Context, nodes []*rootfs.Node) (*rootfs.Tree, error) {
	tree, err := rootfs.Build(nil, rootfs.Options{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if open := n.Open; open != nil {
			n.Open = func() (io.ReadCloser, error) {
				r, err := open()
				return &contextReader{ctx, r}, err
			}
		}
		if n.Path == "/" {
			*tree.Node("/") = *n
		} else if err := tree.Put(n); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// contextReader fails when its context is done.
type contextReader struct {
	ctx context.Context
	io.ReadCloser
}

func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReadCloser.Read(b)
}

// read is the content of a small file, symbolic links followed; nil when there is none.
func (v *view) read(p string) ([]byte, error) {
	n := v.tree.Resolve(p)
	if n == nil || !n.IsRegular() {
		return nil, nil
	}
	r, err := v.open(n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxAccountsFile))
}

// openNode reads a node that has its content with it.
func openNode(n *rootfs.Node) (io.ReadCloser, error) { return n.Open() }

// accounts are the users and groups of the root.
func (v *view) accounts() (*rootfs.Accounts, error) {
	passwd, err := v.read("/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := v.read("/etc/group")
	if err != nil {
		return nil, err
	}
	return rootfs.ParseAccounts(passwd, group)
}

// database is an rpmdb.
type database struct {
	path     string // where it lies, "" without one
	format   string
	packages []rpmdb.Installed
	others   []string // paths of further databases, which are not looked at
	journal  int64    // bytes of a journal beside it, whose content is not seen
}

// otherDatabase says, after a semicolon, by whose database a root without an rpmdb has its packages; "" when that is not
// known.
func (v *view) otherDatabase() string {
	for _, other := range [][2]string{
		{"/var/lib/dpkg/status", "Debian's dpkg"},
		{"/var/lib/dpkg/status.d", "Debian's dpkg"},
		{"/lib/apk/db/installed", "Alpine's apk"},
		{"/usr/lib/apk/db/installed", "apk"},
		{"/var/lib/pacman/local", "Arch's pacman"},
	} {
		if v.tree.Resolve(other[0]) != nil {
			return "; it has the database of " + other[1]
		}
	}
	return ""
}

// database reads the first rpmdb that is there, once. Nobody changes it.
func (v *view) database() (*database, error) {
	if v.found != nil {
		return v.found, nil
	}
	d := &database{}
	for _, p := range databasePaths {
		n := v.tree.Resolve(p)
		if n == nil || !n.IsRegular() || n.Path == d.path {
			continue
		}
		if d.path != "" {
			d.others = append(d.others, n.Path)
			continue
		}
		d.path = n.Path
		if err := v.readDatabase(d, n); err != nil {
			return nil, fmt.Errorf("rpmdb %s: %w", n.Path, err)
		}
		if wal := v.tree.Resolve(n.Path + "-wal"); wal != nil {
			d.journal = wal.Size
		}
	}
	v.found = d
	return d, nil
}

func (v *view) readDatabase(d *database, n *rootfs.Node) error {
	r, err := v.at(n)
	if err != nil {
		return err
	}
	defer r.Close()
	return d.open(r, n.Size)
}

func (d *database) open(r io.ReaderAt, size int64) error {
	format, err := rpmdb.Detect(r, size)
	if err != nil {
		return err
	}
	d.format = format.String()
	d.packages, err = rpmdb.Read(r, size)
	return err
}
