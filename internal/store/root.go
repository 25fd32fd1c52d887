package store

import (
	"archive/tar"
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
	"strings"
	"time"
)

// Bounds of what a foreign image may make on disk.
const (
	maxRootEntries = 2_000_000
	maxRootBytes   = 64 << 30
	maxPath        = 4096
	maxLinks       = 40
)

const capsRecord = "SCHILY.xattr.security.capability"

// writeRoot makes the tree of an image at dir, which must not be or be empty, and says what it could not set.
func writeRoot(ctx context.Context, dir string, a Artifact, o Options) ([]string, error) {
	if len(a.Images) != 1 {
		return nil, fmt.Errorf("a plain root is of one platform, the image has %d: choose one", len(a.Images))
	}
	dir = filepath.Clean(dir)
	switch files, err := os.ReadDir(dir); {
	case err == nil && len(files) > 0:
		return nil, fmt.Errorf("%s is not empty", dir)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	made, err := mkdirs(filepath.Dir(dir))
	if err != nil {
		return nil, err
	}
	beside := besideName(dir)
	unset, err := fillRoot(ctx, beside, a, o)
	if err == nil {
		// An empty directory gives way; os.Rename does not do that everywhere.
		if err = os.Remove(dir); err == nil || errors.Is(err, os.ErrNotExist) {
			err = os.Rename(beside, dir)
		}
	}
	if err != nil {
		makeRemovable(beside)
		os.RemoveAll(beside)
		removeAll(made)
		return nil, err
	}
	return unset, nil
}

func fillRoot(ctx context.Context, dir string, a Artifact, o Options) ([]string, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	m, err := newMeter(a, o.Progress)
	if err != nil {
		return nil, err
	}
	w := &rootWriter{root: root, entries: maxRootEntries, bytes: maxRootBytes, dirs: map[string]*tar.Header{}, unset: map[string]int{}}
	layers, err := a.Images[0].Layers()
	if err != nil {
		return nil, err
	}
	for i, l := range layers {
		id, err := l.DiffID()
		if err != nil {
			return nil, err
		}
		r, err := l.Uncompressed()
		if err != nil {
			return nil, err
		}
		err = w.layer(ctx, r, id.Hex)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
		if n, err := l.Size(); err == nil {
			m.add(n)
		}
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	return w.report(), nil
}

// makeRemovable lets the owner into all directories of a tree that is to go.
func makeRemovable(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) // what stays shut is said when it is removed
		}
		return nil
	})
}

// rootWriter applies layers to a directory. Every path is used through root, with its parents resolved before.
type rootWriter struct {
	root    *os.Root
	entries int
	bytes   int64
	written map[string]bool        // paths of the current layer
	below   map[string]bool        // directories above them
	dirs    map[string]*tar.Header // what directories get at the end, when nothing is made in them any more
	unset   map[string]int
}

func (w *rootWriter) layer(ctx context.Context, r io.Reader, diffID string) error {
	w.written, w.below = map[string]bool{}, map[string]bool{}
	h := sha256.New()
	tee := io.TeeReader(&boundedReader{ctx: ctx, r: r, left: &w.bytes}, h)
	for t := tar.NewReader(tee); ; {
		e, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if w.entries--; w.entries < 0 {
			return fmt.Errorf("more than %d entries", maxRootEntries)
		}
		if err := w.entry(e, t); err != nil {
			return fmt.Errorf("entry %.200q: %w", e.Name, err)
		}
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != diffID {
		return fmt.Errorf("diff ID is sha256:%s, the config says sha256:%s", got, diffID)
	}
	return nil
}

// boundedReader fails when more than what is left is read, or the context is done.
type boundedReader struct {
	ctx  context.Context
	r    io.Reader
	left *int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	if *b.left -= int64(n); *b.left < 0 {
		return n, fmt.Errorf("more than %d bytes", int64(maxRootBytes))
	}
	return n, err
}

func (w *rootWriter) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	name, err := localName(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return errors.New("the root is not a directory")
		}
		w.dirs["."] = h
		return nil
	}
	parent, err := w.parent(path.Dir(name))
	if err != nil {
		return err
	}
	p := path.Join(parent, path.Base(name))
	if strings.HasPrefix(path.Base(p), ".wh.") {
		return w.whiteout(parent, path.Base(p))
	}
	if err := w.clear(p, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	w.written[p] = true
	for d := path.Dir(p); d != "." && !w.below[d]; d = path.Dir(d) {
		w.below[d] = true
	}
	return w.create(p, h, content)
}

// localName is a tar's name without slashes around it, "." for the root.
func localName(name string) (string, error) {
	if name == "" || len(name) > maxPath || strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("bad path")
	}
	if slices.Contains(strings.Split(name, "/"), "..") {
		return "", errors.New("path climbs out")
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return ".", nil
	}
	return name, nil
}

// parent is the directory p with the links on its way followed inside the root; what is missing is made.
func (w *rootWriter) parent(p string) (string, error) {
	cur, links := ".", 0
	for rest := p; rest != ""; {
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			cur = path.Dir(cur)
			continue
		}
		next := path.Join(cur, part)
		if len(next) > maxPath {
			return "", errors.New("path is too long")
		}
		info, err := w.root.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := w.root.Mkdir(next, 0o700); err != nil {
				return "", err
			}
			w.dirs[next] = &tar.Header{Mode: 0o755, ModTime: time.Unix(0, 0)}
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", errors.New("too many symbolic links")
			}
			target, err := w.root.Readlink(next)
			if err != nil {
				return "", err
			}
			if strings.HasPrefix(target, "/") {
				cur = "."
			}
			rest = target + "/" + rest
			continue
		case !info.IsDir():
			return "", errors.New("parent is not a directory")
		}
		cur = next
	}
	return cur, nil
}

// clear makes room at p. A directory may stay where one is to be.
func (w *rootWriter) clear(p string, dir bool) error {
	info, err := w.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if dir && info.IsDir() {
		return nil
	}
	return w.remove(p)
}

func (w *rootWriter) remove(p string) error {
	info, err := w.root.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.root.RemoveAll(p); err != nil || !info.IsDir() {
		return err
	}
	for d := range w.dirs {
		if d == p || strings.HasPrefix(d, p+"/") {
			delete(w.dirs, d)
		}
	}
	return nil
}

// whiteout removes what lower layers put at the place it names, and only that.
func (w *rootWriter) whiteout(dir, name string) error {
	if name == ".wh..wh..opq" {
		f, err := w.root.Open(dir)
		if err != nil {
			return err
		}
		names, err := f.Readdirnames(-1)
		f.Close()
		if err != nil {
			return err
		}
		for _, n := range names {
			if err := w.hide(path.Join(dir, n)); err != nil {
				return err
			}
		}
		return nil
	}
	if strings.HasPrefix(name, ".wh..wh.") {
		return nil
	}
	name = strings.TrimPrefix(name, ".wh.")
	if name == "" || name == "." || name == ".." {
		return errors.New("whiteout names nothing")
	}
	return w.hide(path.Join(dir, name))
}

// hide removes what is at and below p, less what the current layer wrote.
func (w *rootWriter) hide(p string) error {
	if !w.written[p] && !w.below[p] {
		return w.remove(p)
	}
	info, err := w.root.Lstat(p)
	if err != nil || !info.IsDir() {
		return err
	}
	f, err := w.root.Open(p)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	f.Close()
	for _, n := range names {
		if err == nil {
			err = w.hide(path.Join(p, n))
		}
	}
	return err
}

func (w *rootWriter) create(p string, h *tar.Header, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		w.dirs[p] = h
		if err := w.root.Mkdir(p, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		if err := w.file(p, content); err != nil {
			return err
		}
	case tar.TypeSymlink:
		if err := w.root.Symlink(h.Linkname, p); err != nil {
			return err
		}
	case tar.TypeLink:
		target, err := localName(h.Linkname)
		if err != nil {
			return err
		}
		parent, err := w.parent(path.Dir(target))
		if err != nil {
			return err
		}
		return w.root.Link(path.Join(parent, path.Base(target)), p)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		err := w.node(p, h)
		if denied(err) {
			w.unset[unsetDevice]++
			return nil
		}
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("unknown type %q", h.Typeflag)
	}
	return w.attributes(p, h)
}

func (w *rootWriter) file(p string, content io.Reader) error {
	f, err := w.root.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// What may be left unset, in the order it is reported.
const (
	unsetOwner  = "owners not set"
	unsetSetID  = "setuid and setgid bits dropped, as they would name the wrong owner"
	unsetCaps   = "file capabilities not set"
	unsetDevice = "devices left out"
)

func (w *rootWriter) report() []string {
	var lines []string
	for _, what := range []string{unsetOwner, unsetSetID, unsetCaps, unsetDevice} {
		if n := w.unset[what]; n > 0 {
			lines = append(lines, fmt.Sprintf("%s: %d", what, n))
		}
	}
	return lines
}

func denied(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}

// attributes sets the owner first: that takes the setuid bit and capabilities away.
func (w *rootWriter) attributes(p string, h *tar.Header) error {
	mode := fs.FileMode(h.Mode & 0o777)
	special := h.Mode & 0o7000
	if err := w.root.Lchown(p, h.Uid, h.Gid); denied(err) {
		w.unset[unsetOwner]++
		if h.Typeflag != tar.TypeSymlink && special&0o6000 != 0 {
			w.unset[unsetSetID]++
			special &^= 0o6000
		}
	} else if err != nil {
		return err
	}
	if h.Typeflag == tar.TypeSymlink {
		return w.linkTime(p, h.ModTime)
	}
	for bit, m := range map[int64]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if special&bit != 0 {
			mode |= m
		}
	}
	if caps := h.PAXRecords[capsRecord]; caps != "" && h.Typeflag == tar.TypeReg {
		if err := w.capabilities(p, []byte(caps)); denied(err) {
			w.unset[unsetCaps]++
		} else if err != nil {
			return err
		}
	}
	if err := w.root.Chmod(p, mode); err != nil {
		return err
	}
	return w.root.Chtimes(p, h.ModTime, h.ModTime)
}

// finish gives directories what is theirs, the deepest first, so that no parent is closed before its children are done.
func (w *rootWriter) finish() error {
	if w.dirs["."] == nil {
		w.dirs["."] = &tar.Header{Mode: 0o755, ModTime: time.Unix(0, 0)}
	}
	paths := make([]string, 0, len(w.dirs))
	for p := range w.dirs {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	paths = append([]string{"."}, slices.DeleteFunc(paths, func(p string) bool { return p == "." })...)
	for _, p := range slices.Backward(paths) {
		h := *w.dirs[p]
		h.Typeflag = tar.TypeDir
		if err := w.attributes(p, &h); err != nil {
			return fmt.Errorf("directory %s: %w", p, err)
		}
	}
	return nil
}

// inParent calls f with an open parent of p and p's name, for what os.Root has no call.
func (w *rootWriter) inParent(p string, f func(dir *os.File, name string) error) error {
	d, err := w.root.Open(path.Dir(p))
	if err != nil {
		return err
	}
	defer d.Close()
	return f(d, path.Base(p))
}
