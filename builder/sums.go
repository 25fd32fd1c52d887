package builder

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"slim/internal/rootfs"
	"slim/internal/rpm"
	"slim/internal/sbom"
)

// kindSums is the kind of the cache's entries that hold checksums of a package's files: SPDX wants one that no header has.
const kindSums = "sums"

// fileSums are the SHA-1 and the SHA-256 of a file's content; zeros where they are not known.
type fileSums [sha1.Size + sha256.Size]byte

// sumsOf sums up what write writes.
func sumsOf(write func(io.Writer) error) (fileSums, error) {
	one, two := sha1.New(), sha256.New()
	if err := write(io.MultiWriter(one, two)); err != nil {
		return fileSums{}, err
	}
	return fileSums(two.Sum(one.Sum(nil))), nil
}

// of is the file at a path that has them.
func (s fileSums) of(path string) sbom.File {
	return sbom.File{Path: path, SHA1: hex.EncodeToString(s[:sha1.Size]), SHA256: hex.EncodeToString(s[sha1.Size:])}
}

// sumSize is what the cache keeps for a file: its index, big-endian, and its checksums.
const sumSize = 4 + len(fileSums{})

// sums are the checksums of a package's files by index, of those that are needed at least: from the cache as far as it has
// them.
func (c *contents) sums(pkg *rpm.Package, needed []int) ([]fileSums, error) {
	all := make([]fileSums, len(pkg.Files()))
	key := ""
	if c.cache != nil {
		key = hexSHA256([]byte("sums of " + contentID(pkg)))
		b, err := readKept(c.cache, kindSums, key, int64(len(all)*sumSize)+1) // to its end, where damage shows
		if err != nil {
			return nil, err
		}
		parseSums(b, all)
		c.mu.Lock()
		c.summed = append(c.summed, key)
		c.mu.Unlock()
	}
	missing := map[int]bool{}
	for _, f := range needed {
		if all[f] == (fileSums{}) {
			missing[f] = true
		}
	}
	if len(missing) == 0 {
		return all, nil
	}
	if err := c.sumUp(pkg, missing, all); err != nil || key == "" {
		return all, err
	}
	return all, keep(c.cache, kindSums, key, sumsText(all))
}

// sumsText is what the cache keeps.
func sumsText(all []fileSums) []byte {
	b := make([]byte, 0, len(all)*sumSize)
	for f := range all {
		if all[f] != (fileSums{}) {
			b = append(binary.BigEndian.AppendUint32(b, uint32(f)), all[f][:]...)
		}
	}
	return b
}

// parseSums reads it, as far as it is of these files.
func parseSums(b []byte, all []fileSums) {
	for ; len(b) >= sumSize; b = b[sumSize:] {
		if f := binary.BigEndian.Uint32(b); int64(f) < int64(len(all)) {
			all[f] = fileSums(b[4:sumSize])
		}
	}
}

// sumUp reads the files that are missing.
func (c *contents) sumUp(pkg *rpm.Package, missing map[int]bool, all []fileSums) error {
	u, err := c.payload(pkg, func(f int) bool { return missing[f] })
	if err != nil {
		return err
	}
	r := c.reader()
	defer c.readers.Put(r)
	linked := map[section]fileSums{}
	for f := range missing {
		s, ok := u.byFile[f]
		if !ok {
			return fmt.Errorf("package %s has no content of %s", pkg.NEVRA(), pkg.Files()[f].Path)
		}
		if _, ok := linked[s]; !ok {
			if linked[s], err = sumsOf(func(w io.Writer) error { return r.copy(w, s) }); err != nil {
				return fmt.Errorf("content of %s: %w", pkg.Files()[f].Path, err)
			}
		}
		all[f] = linked[s]
	}
	return nil
}

// sums are the checksums of what packages have in the finished tree, by path.
func (t *root) sums(ctx context.Context, jobs int) (map[string]sbom.File, error) {
	all := map[string]sbom.File{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for i, pkg := range t.packages {
		group.Go(func() error {
			var nodes []*rootfs.Node
			var files []int
			for f := range pkg.Files() {
				if n := t.tree.Installed(rootfs.Owner{Package: i, File: f}); n != nil && n.IsRegular() && n.Package == i && n.File == f {
					nodes, files = append(nodes, n), append(files, f)
				}
			}
			if len(files) == 0 || ctx.Err() != nil {
				return ctx.Err()
			}
			sums, err := t.contents.sums(pkg, files)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for k, n := range nodes {
				all[n.Path] = sums[files[k]].of(n.Path)
			}
			return nil
		})
	}
	err := group.Wait()
	return all, err
}
