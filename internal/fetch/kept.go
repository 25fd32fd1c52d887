package fetch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ErrDamaged says that a kept file is not what was written. It is no longer in the cache then.
var ErrDamaged = errors.New("cache entry is damaged")

const (
	keptDir   = "kept"
	keptPart  = "kept-" // of the name in tmp of a file that is being written
	keptMagic = "slimkept"
	keptTail  = crc32.Size + len(keptMagic)
)

// Kept is a file that was computed from others and is kept beside them under a key that says from what. Reading it to
// the end checks it: instead of io.EOF comes ErrDamaged when it is not what was written. ReadAt checks nothing; it is for
// any number of goroutines. While it is open, Prune leaves it alone.
type Kept struct {
	f    *os.File
	path string
	size int64
	at   int64
	sum  hash.Hash32
	want uint32
}

// castagnoli is the table of CRC-32C, which processors compute themselves.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// Behind is where a cache looks for kept files that it lacks, and who is told which are used. What it has may be gone or
// wrong by the time it is asked for: then it is as if it had never been there. It is safe for concurrent use.
type Behind interface {
	// Has reports whether it seems to have something as kind under key.
	Has(kind, key string) bool
	// Load puts it into a cache, which has nothing behind it, and reports whether it did.
	Load(into *Cache, kind, key string) bool
	// Used is told of all that was found or kept.
	Used(kind, key string)
}

// Before is the same cache with b behind it.
func (c *Cache) Before(b Behind) *Cache { return &Cache{dir: c.dir, behind: b} }

// Kept opens what is kept as kind under key, which is a hex SHA-256. Without it the result is nil.
func (c *Cache) Kept(kind, key string) (*Kept, error) {
	k, err := c.kept(kind, key)
	if c.behind == nil || err != nil {
		return k, err
	}
	if k == nil && c.behind.Load(&Cache{dir: c.dir}, kind, key) {
		k, err = c.kept(kind, key)
	}
	if k != nil {
		c.behind.Used(kind, key)
	}
	return k, err
}

func (c *Cache) kept(kind, key string) (*Kept, error) {
	path := c.keptPath(kind, key)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening cache entry: %w", err)
	}
	held, known := lock(f, false)
	info, err := f.Stat()
	if err != nil || known && !held {
		f.Close()
		return nil, err
	}
	k := &Kept{f: f, path: path, size: info.Size() - int64(keptTail), sum: crc32.New(castagnoli())}
	var tail [keptTail]byte
	if _, err := f.ReadAt(tail[:], max(k.size, 0)); err != nil || k.size < 0 || string(tail[crc32.Size:]) != keptMagic {
		err := k.drop()
		f.Close()
		return nil, err
	}
	k.want = binary.BigEndian.Uint32(tail[:])
	touch(path, info)
	return k, nil
}

// HasKept reports whether something is kept as kind under key, and counts as a use of it. It may be damaged.
func (c *Cache) HasKept(kind, key string) bool {
	has := c.hasKept(kind, key)
	if c.behind == nil {
		return has
	}
	has = has || c.behind.Has(kind, key)
	if has {
		c.behind.Used(kind, key)
	}
	return has
}

func (c *Cache) hasKept(kind, key string) bool {
	path := c.keptPath(kind, key)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	touch(path, info)
	return true
}

// touch says that a file is used now. A cache that is only readable stays as it is.
func touch(path string, info fs.FileInfo) {
	if now := time.Now(); now.Sub(info.ModTime()) > freshUse {
		_ = os.Chtimes(path, now, now)
	}
}

func (c *Cache) keptPath(kind, key string) string {
	return filepath.Join(c.dir, keptDir, kind, key[:min(1, len(key))], key)
}

// Size is the number of bytes.
func (k *Kept) Size() int64 { return k.size }

func (k *Kept) Read(p []byte) (int, error) {
	if k.at == k.size {
		if k.sum.Sum32() == k.want {
			return 0, io.EOF
		}
		return 0, errors.Join(fmt.Errorf("%s: %w", k.path, ErrDamaged), k.drop())
	}
	n, err := k.f.ReadAt(p[:min(int64(len(p)), k.size-k.at)], k.at)
	k.sum.Write(p[:n])
	k.at += int64(n)
	if n > 0 || err == nil {
		return n, nil
	}
	if err == io.EOF { // somebody has cut it short
		return 0, errors.Join(fmt.Errorf("%s: %w", k.path, ErrDamaged), k.drop())
	}
	return 0, err
}

func (k *Kept) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(k.f, 0, k.size).ReadAt(p, off)
}

// Close closes the file.
func (k *Kept) Close() error { return k.f.Close() }

// drop takes a damaged file out, unless somebody has put a good one in its place.
func (k *Kept) drop() error {
	if !same(k.f, k.path) {
		return nil
	}
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a damaged cache entry: %w", err)
	}
	return nil
}

// Keeping is a file on its way to be kept. Commit or Discard ends it.
type Keeping struct {
	c   *Cache
	f   *os.File
	w   *bufio.Writer
	sum hash.Hash32
	err error
}

// Keep begins a file that is to be kept.
func (c *Cache) Keep() (*Keeping, error) {
	f, err := os.CreateTemp(c.tmp(), keptPart+"*")
	if err != nil {
		return nil, fmt.Errorf("writing to the cache: %w", err)
	}
	lock(f, false)
	return &Keeping{c: c, f: f, w: bufio.NewWriterSize(f, 4<<10), sum: crc32.New(castagnoli())}, nil
}

func (k *Keeping) Write(p []byte) (int, error) {
	k.sum.Write(p)
	n, err := k.w.Write(p)
	if err != nil && k.err == nil {
		k.err = err
	}
	return n, err
}

// Commit keeps what was written as kind under key, in place of what was there. After an error nothing of it stays.
func (k *Keeping) Commit(kind, key string) error {
	err := k.commit(kind, key)
	if err != nil {
		k.Discard()
		return fmt.Errorf("writing to the cache: %w", err)
	}
	if k.c.behind != nil {
		k.c.behind.Used(kind, key)
	}
	return k.f.Close()
}

func (k *Keeping) commit(kind, key string) error {
	if len(key) != 64 || strings.Trim(key, "0123456789abcdef") != "" || kind == "" || filepath.Base(kind) != kind {
		return fmt.Errorf("%s/%s is no kind and hex SHA-256", kind, key)
	}
	tail := append(binary.BigEndian.AppendUint32(nil, k.sum.Sum32()), keptMagic...)
	_, err := k.w.Write(tail)
	if err = errors.Join(k.err, err, k.w.Flush(), k.f.Chmod(0o644)); err != nil {
		return err
	}
	path := k.c.keptPath(kind, key)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Rename(k.f.Name(), path)
}

// Discard takes away what was written.
func (k *Keeping) Discard() {
	k.f.Close()
	os.Remove(k.f.Name())
}

// listKept are the kept files.
func (c *Cache) listKept() ([]entry, error) {
	var all []entry
	kinds, err := readDir(filepath.Join(c.dir, keptDir))
	for _, kind := range kinds {
		dirs, err := readDir(filepath.Join(c.dir, keptDir, kind.Name()))
		if err != nil {
			return nil, err
		}
		for _, d := range dirs {
			list, err := entries(filepath.Join(c.dir, keptDir, kind.Name(), d.Name()), func(name string) bool {
				return len(name) == 64 && strings.HasPrefix(name, d.Name())
			})
			if err != nil {
				return nil, err
			}
			all = append(all, list...)
		}
	}
	return all, err
}
