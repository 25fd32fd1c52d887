package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

const (
	// Prune leaves alone what was written or used within this time ...
	justUsed = time.Minute
	// A time of last use that is newer than this is not worth writing again.
	freshUse = 10 * time.Second
	// ... and parts of downloads that have grown within this one: they may be resumed.
	freshPart = time.Hour
)

// Cache is a directory of files named by their digests, and of files that were computed from them. It may be used by any
// number of goroutines and processes.
type Cache struct {
	dir    string
	behind Behind // nil for none
}

// DefaultDir is where slim's cache is unless somebody says otherwise: SLIM_CACHE_DIR, or slim in XDG_CACHE_HOME (when that
// is absolute), or in the user's cache directory below home, by operating system. It is "" when nothing is known.
func DefaultDir(getenv func(string) string, home string) string {
	return defaultDir(getenv, home, runtime.GOOS)
}

func defaultDir(getenv func(string) string, home, system string) string {
	xdg := getenv("XDG_CACHE_HOME")
	switch dir := getenv("SLIM_CACHE_DIR"); {
	case dir != "":
		return dir
	case filepath.IsAbs(xdg):
		return filepath.Join(xdg, "slim")
	case home == "":
		return ""
	case system == "darwin":
		return filepath.Join(home, "Library", "Caches", "slim")
	}
	return filepath.Join(home, ".cache", "slim")
}

const cacheTag = "Signature: 8a477f597d28d172789f06886806bc55\n# This directory holds downloads of slim and what it made of them. It may be deleted.\n"

// OpenCache opens the cache in dir and makes the directory when it is not there.
func OpenCache(dir string) (*Cache, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening cache: %w", err)
	}
	c := &Cache{dir: dir}
	if err := os.MkdirAll(c.tmp(), 0o755); err != nil {
		return nil, fmt.Errorf("opening cache: %w", err)
	}
	tag := filepath.Join(dir, "CACHEDIR.TAG")
	if _, err := os.Lstat(tag); errors.Is(err, fs.ErrNotExist) {
		// A cache that cannot be written to is still good for reading.
		_ = os.WriteFile(tag, []byte(cacheTag), 0o644)
	}
	return c, nil
}

// Dir is the absolute path of the cache.
func (c *Cache) Dir() string { return c.dir }

func (c *Cache) tmp() string { return filepath.Join(c.dir, "tmp") }

// path is the final name of a file.
func (c *Cache) path(d digest) string {
	return filepath.Join(c.dir, d.algorithm, d.hex[:2], d.hex)
}

// part is the name of what has come of a file so far.
func (c *Cache) part(d digest) string {
	return filepath.Join(c.tmp(), d.algorithm+"-"+d.hex+".part")
}

// Usage says how much a cache holds, or how much was taken out of it.
type Usage struct {
	Files        int
	Bytes        int64
	Partial      int // files that have not come whole
	PartialBytes int64
}

type entry struct {
	path string
	size int64
	used time.Time
}

// Info counts what is in the cache. Files that are not the cache's own are not counted.
func (c *Cache) Info() (Usage, error) {
	whole, parts, err := c.list()
	if err != nil {
		return Usage{}, fmt.Errorf("listing cache: %w", err)
	}
	u := Usage{Files: len(whole), Partial: len(parts)}
	for _, e := range whole {
		u.Bytes += e.size
	}
	for _, e := range parts {
		u.PartialBytes += e.size
	}
	return u, nil
}

// Prune takes out the files that have not been used for the longest time until at most keep bytes are left, and what is left
// of downloads that nobody has gone on with for an hour. It leaves alone what is open in a File of any process and what was
// written or used within the last minute, and returns what it took out.
func (c *Cache) Prune(keep int64) (Usage, error) {
	return c.prune(keep, time.Now())
}

func (c *Cache) prune(keep int64, now time.Time) (Usage, error) {
	whole, parts, err := c.list()
	if err != nil {
		return Usage{}, fmt.Errorf("pruning cache: %w", err)
	}
	var out Usage
	var faults []error
	for _, e := range parts {
		if now.Sub(e.used) < freshPart {
			continue
		}
		gone, err := removeUnused(e.path)
		faults = append(faults, err)
		if gone {
			out.Partial++
			out.PartialBytes += e.size
		}
	}
	var total int64
	for _, e := range whole {
		total += e.size
	}
	slices.SortFunc(whole, func(a, b entry) int { return cmp.Or(a.used.Compare(b.used), strings.Compare(a.path, b.path)) })
	for _, e := range whole {
		if total <= keep {
			break
		}
		if now.Sub(e.used) < justUsed+freshUse {
			continue
		}
		gone, err := removeUnused(e.path)
		faults = append(faults, err)
		if gone {
			total -= e.size
			out.Files++
			out.Bytes += e.size
		}
	}
	if err := errors.Join(faults...); err != nil {
		return out, fmt.Errorf("pruning cache: %w", err)
	}
	return out, nil
}

// removeUnused removes the file unless somebody holds a lock on it.
func removeUnused(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if held, known := lock(f, true); known && !held {
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

// list returns the whole files and the parts.
func (c *Cache) list() (whole, parts []entry, err error) {
	for _, algorithm := range []string{"sha1", "sha224", "sha256", "sha384", "sha512"} {
		dirs, err := readDir(filepath.Join(c.dir, algorithm))
		if err != nil {
			return nil, nil, err
		}
		for _, d := range dirs {
			if !d.IsDir() {
				continue
			}
			list, err := entries(filepath.Join(c.dir, algorithm, d.Name()), func(name string) bool {
				_, err := parseDigest(algorithm + ":" + name)
				return err == nil && strings.HasPrefix(name, d.Name())
			})
			if err != nil {
				return nil, nil, err
			}
			whole = append(whole, list...)
		}
	}
	kept, err := c.listKept()
	if err != nil {
		return nil, nil, err
	}
	whole = append(whole, kept...)
	parts, err = entries(c.tmp(), func(name string) bool {
		return strings.HasSuffix(name, ".part") || strings.HasPrefix(name, privatePart) || strings.HasPrefix(name, keptPart)
	})
	return whole, parts, err
}

func entries(dir string, ours func(string) bool) ([]entry, error) {
	names, err := readDir(dir)
	if err != nil {
		return nil, err
	}
	var list []entry
	for _, n := range names {
		info, err := n.Info()
		if err != nil || !info.Mode().IsRegular() || !ours(n.Name()) {
			continue // gone meanwhile, or not ours
		}
		list = append(list, entry{filepath.Join(dir, n.Name()), info.Size(), info.ModTime()})
	}
	return list, nil
}

// readDir lists a directory; one that is not there is empty.
func readDir(dir string) ([]os.DirEntry, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}

// open returns the whole, verified file of a digest, or nil when the cache does not have it. A damaged entry is taken
// out and counts as not there.
func (c *Cache) open(d digest, size int64) (*File, error) {
	path := c.path(d)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// The lock tells Prune that the file is in use. Who cannot have it has come while Prune is taking the file out.
	held, known := lock(f, false)
	if known && !held || !same(f, path) {
		f.Close()
		return nil, nil
	}
	file, err := verify(f, path, d, 0)
	if err == nil && size > 0 && file.Size() != size {
		// The entry is right, it is the request that is not.
		f.Close()
		return nil, fail(Mismatch, "size is %d bytes, not %d", file.Size(), size)
	}
	if err == nil {
		now := time.Now()
		_ = os.Chtimes(path, now, now) // when it was used last; a cache that is only readable stays as it is
		return file, nil
	}
	defer f.Close()
	var bad *failure
	if !errors.As(err, &bad) || bad.kind != Mismatch {
		return nil, err
	}
	// Somebody may have put a good one in its place meanwhile: only the one we saw may go.
	if same(f, path) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("removing a damaged cache entry: %w", err)
		}
	}
	return nil, nil
}
