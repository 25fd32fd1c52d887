package image

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"slim/internal/rootfs"
	"slim/internal/rpm"
)

const (
	whiteout       = ".wh."
	whiteoutOpaque = ".wh..wh..opq"
	whiteoutMeta   = ".wh..wh." // of the union file system that once wrote such layers: no paths of the image
)

// ErrLimit is wrapped by errors about an image that is larger than slim reads.
var ErrLimit = errors.New("too large")

// limits bound what is read of a foreign image.
type limits struct {
	layers  int   // of the image
	entries int   // tar entries, of all layers
	path    int   // bytes of a path or link target
	depth   int   // directories above a path
	paths   int   // bytes of all paths
	raw     int64 // unpacked bytes, of all layers; as many of content, which sparse files have more of
}

func defaultLimits() limits {
	return limits{layers: 512, entries: 2_000_000, path: 4096, depth: 512, paths: 256 << 20, raw: 64 << 30}
}

// Root is the tree that the layers of an image make, read back. Content is in a spool file until Close; until then all
// methods and the nodes' Open may be used at once.
type Root struct {
	// Nodes are sorted by path, which puts parents first; the root itself is the first. Package is -1, User and Group
	// are "". Of a hard link set the first member carries the content. Open gives a regular file's content, also of a
	// hard link.
	Nodes []*rootfs.Node

	// Layers are the indexes of the layers that Nodes come from, -1 for a directory that no layer has an entry for.
	Layers []int

	byPath map[string]int
	tree   *tree
	spool  *os.File
}

// Flatten reads img back. Each layer is checked against its diff ID in the image's config; a layer that differs, a path
// or hard link that climbs out, an entry below something that is no directory, and more than slim's limits are errors.
// The spool file is made in dir ("" is the system's directory for temporary files). The caller closes the Root.
func Flatten(ctx context.Context, img v1.Image, dir string) (*Root, error) {
	return flatten(ctx, img, dir, defaultLimits())
}

func flatten(ctx context.Context, img v1.Image, dir string, lim limits) (*Root, error) {
	spool, err := os.CreateTemp(dir, "root-*")
	if err != nil {
		return nil, fmt.Errorf("reading image: %w", err)
	}
	f := &flattener{tree: newTree(lim.depth, lim.paths), spool: spool, limits: lim}
	if err := f.image(ctx, img); err != nil {
		spool.Close()
		os.Remove(spool.Name())
		return nil, fmt.Errorf("reading image: %w", err)
	}
	return f.root(), nil
}

// Lookup is the node at an absolute path; no link is followed.
func (r *Root) Lookup(p string) (*rootfs.Node, bool) {
	i, ok := r.byPath[path.Clean("/"+p)]
	if !ok {
		return nil, false
	}
	return r.Nodes[i], true
}

// Open reads the regular file at p. Symbolic links are followed, inside the root. What does not exist is
// fs.ErrNotExist. The reader needs no Close and is good until the Root is closed.
func (r *Root) Open(p string) (*io.SectionReader, error) {
	e, err := r.tree.follow(p)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: p, Err: err}
	}
	if e.inode == nil {
		return nil, &os.PathError{Op: "open", Path: p, Err: errors.New("not a regular file")}
	}
	return io.NewSectionReader(r.spool, e.inode.offset, e.node.Size), nil
}

// Close deletes the spool file.
func (r *Root) Close() error {
	err := r.spool.Close()
	if rerr := os.Remove(r.spool.Name()); err == nil {
		err = rerr
	}
	return err
}

// flattener reads layers, several at once, content going to the spool file, and applies them to a tree in their order.
type flattener struct {
	tree   *tree
	spool  *os.File
	limits limits

	end     atomic.Int64 // of what is taken of the spool file
	entered atomic.Int64 // entries so far
	read    atomic.Int64 // unpacked bytes so far
}

func (f *flattener) image(ctx context.Context, img v1.Image) error {
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(layers) {
		return fmt.Errorf("config has %d diff IDs for %d layers", len(ids), len(layers))
	}
	if len(layers) > f.limits.layers {
		return fmt.Errorf("%d layers: %w", len(layers), ErrLimit)
	}
	order, err := largestFirst(layers)
	if err != nil {
		return err
	}
	entries, errs := make([][]entry, len(layers)), make([]error, len(layers))
	contexts, cancels := make([]context.Context, len(layers)), make([]context.CancelFunc, len(layers))
	for i := range layers {
		contexts[i], cancels[i] = context.WithCancel(ctx)
		defer cancels[i]()
	}
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, i := range order {
		group.Go(func() error {
			if entries[i], errs[i] = f.layer(contexts[i], layers[i], ids[i]); errs[i] != nil {
				for _, cancel := range cancels[i+1:] {
					cancel() // those before it may be wrong too, and are named first
				}
			}
			return nil
		})
	}
	_ = group.Wait()
	for i := range layers {
		err := errs[i]
		if err == nil {
			err = f.apply(i, entries[i])
		}
		if err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	return nil
}

// largestFirst are the indexes of layers in an order in which little is left when the last one begins.
func largestFirst(layers []v1.Layer) ([]int, error) {
	order, sizes := make([]int, len(layers)), make([]int64, len(layers))
	for i, l := range layers {
		var err error
		if sizes[i], err = l.Size(); err != nil {
			return nil, err
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[b], sizes[a]) })
	return order, nil
}

// layer reads one layer to its end, and checks it.
func (f *flattener) layer(ctx context.Context, l v1.Layer, want v1.Hash) ([]entry, error) {
	packed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	defer packed.Close()
	unpacked, err := unpack(packed)
	if err != nil {
		return nil, err
	}
	defer unpacked.Close()
	h := sha256.New()
	r := io.TeeReader(&limitedReader{ctx: ctx, r: unpacked, f: f}, h)
	entries, err := f.entries(r)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	// Reading on lets a source that checks the digest of what it gave say so.
	if _, err := io.Copy(io.Discard, packed); err != nil {
		return nil, err
	}
	if got := sum(h); got != want {
		return nil, fmt.Errorf("diff ID is %s, the config says %s", got, want)
	}
	return entries, nil
}

// entry is a tar entry with its content in the spool file.
type entry struct {
	path  string // absolute and clean
	node  rootfs.Node
	link  string // target of a hard link, absolute and clean
	inode *inode // of a regular file
}

// entries reads a tar.
func (f *flattener) entries(r io.Reader) ([]entry, error) {
	var entries []entry
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return entries, nil
		}
		if err != nil {
			return nil, err
		}
		if f.entered.Add(1) > int64(f.limits.entries) {
			return nil, fmt.Errorf("number of entries: %w", ErrLimit)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		e, err := f.entry(h, t)
		if err != nil {
			return nil, fmt.Errorf("entry %.200q: %w", h.Name, err)
		}
		entries = append(entries, e)
	}
}

func (f *flattener) entry(h *tar.Header, content io.Reader) (entry, error) {
	e := entry{}
	var err error
	if e.path, err = f.clean(h.Name); err != nil {
		return e, err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > math.MaxUint32 || int64(h.Gid) > math.MaxUint32 {
		return e, fmt.Errorf("owner %d:%d", h.Uid, h.Gid)
	}
	e.node = rootfs.Node{
		Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid), MTime: h.ModTime.Unix(), Package: -1,
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		e.node.Mode |= rpm.ModeRegular
		if caps := h.PAXRecords[capsRecord]; caps != "" {
			e.node.Caps = []byte(caps)
		}
		return e, f.keep(&e, h.Size, content)
	case tar.TypeLink:
		e.link, err = f.clean(h.Linkname)
		return e, err
	case tar.TypeSymlink:
		e.node.Mode |= rpm.ModeSymlink
		e.node.Link = h.Linkname
		if h.Linkname == "" || len(h.Linkname) > f.limits.path {
			return e, fmt.Errorf("link target of %d bytes", len(h.Linkname))
		}
	case tar.TypeDir:
		e.node.Mode |= rpm.ModeDir
	case tar.TypeChar, tar.TypeBlock:
		e.node.Mode |= rpm.ModeChar
		if h.Typeflag == tar.TypeBlock {
			e.node.Mode ^= rpm.ModeChar ^ rpm.ModeBlock
		}
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > math.MaxUint32 || h.Devminor > math.MaxUint32 {
			return e, fmt.Errorf("device %d:%d", h.Devmajor, h.Devminor)
		}
		e.node.Major, e.node.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	case tar.TypeFifo:
		e.node.Mode |= rpm.ModeFIFO
	default:
		return e, fmt.Errorf("unknown type %q", h.Typeflag)
	}
	return e, nil
}

// clean is a tar's name as an absolute clean path.
func (f *flattener) clean(name string) (string, error) {
	if len(name) > f.limits.path {
		return "", fmt.Errorf("path of %d bytes: %w", len(name), ErrLimit)
	}
	if name == "" || strings.IndexByte(name, 0) >= 0 {
		return "", fmt.Errorf("bad path %q", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("path %q climbs out", name)
		}
	}
	return path.Clean("/" + name), nil
}

// keep puts content, which has size bytes, into the spool file.
func (f *flattener) keep(e *entry, size int64, content io.Reader) error {
	if size > f.limits.raw { // of a sparse file
		return fmt.Errorf("content of %d bytes: %w", size, ErrLimit)
	}
	at := f.end.Add(size) - size
	if at > f.limits.raw {
		return fmt.Errorf("content of all files: %w", ErrLimit)
	}
	n, err := io.Copy(io.NewOffsetWriter(f.spool, at), content)
	if err == nil && n != size {
		err = fmt.Errorf("%d bytes of content, not %d", n, size)
	}
	if err != nil {
		return err
	}
	e.node.Size, e.inode = size, &inode{offset: at}
	return nil
}

// apply changes the tree by a layer: first what it takes away from the layers below, then what it brings.
func (f *flattener) apply(layer int, entries []entry) error {
	for _, e := range entries {
		dir, name := path.Split(e.path)
		if !strings.HasPrefix(name, whiteout) {
			continue
		}
		if err := f.tree.whiteout(dir, name); err != nil {
			return fmt.Errorf("whiteout %s: %w", e.path, err)
		}
	}
	for i := range entries {
		e := &entries[i]
		if strings.HasPrefix(path.Base(e.path), whiteout) {
			continue
		}
		if err := f.tree.add(layer, e); err != nil {
			return fmt.Errorf("entry %s: %w", e.path, err)
		}
	}
	return nil
}

func (f *flattener) root() *Root {
	r := &Root{byPath: map[string]int{}, tree: f.tree, spool: f.spool}
	first := map[*inode]string{}
	f.tree.walk(func(e *file) {
		n := e.node
		if e.inode != nil {
			section := func() (io.ReadCloser, error) {
				return io.NopCloser(io.NewSectionReader(r.spool, e.inode.offset, n.Size)), nil
			}
			n.Open = section
			if p, ok := first[e.inode]; ok {
				n.HardTo = p
			} else {
				first[e.inode] = n.Path
			}
		}
		r.byPath[n.Path] = len(r.Nodes)
		r.Nodes = append(r.Nodes, n)
		r.Layers = append(r.Layers, e.layer)
	})
	return r
}

// limitedReader fails when more is read of all layers than may be, or the context is done.
type limitedReader struct {
	ctx context.Context
	r   io.Reader
	f   *flattener
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if err := l.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := l.r.Read(p)
	if l.f.read.Add(int64(n)) > l.f.limits.raw {
		return n, fmt.Errorf("unpacked layers: %w", ErrLimit)
	}
	return n, err
}
