package builder

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
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

// fileSums are the checksums of a file's content; the zero value is not known.
type fileSums struct {
	sha1   [sha1.Size]byte
	sha256 [sha256.Size]byte
}

const fileSumsSize = sha1.Size + sha256.Size

// sums are the checksums of a package's files by index, of those that are needed at least: from the cache as far as it has
// them.
func (c *contents) sums(pkg *rpm.Package, needed []int) ([]fileSums, error) {
	all := make([]fileSums, len(pkg.Files()))
	key := ""
	if c.cache != nil {
		key = hexSHA256([]byte("sums of " + contentID(pkg)))
		b, err := readKept(c.cache, kindSums, key, int64(len(all)*fileSumsSize)+1)
		if err != nil {
			return nil, err
		}
		if len(b) == len(all)*fileSumsSize {
			for f := range all {
				n := copy(all[f].sha1[:], b[f*fileSumsSize:])
				copy(all[f].sha256[:], b[f*fileSumsSize+n:])
			}
		}
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
	b := make([]byte, 0, len(all)*fileSumsSize)
	for f := range all {
		b = append(append(b, all[f].sha1[:]...), all[f].sha256[:]...)
	}
	return all, keep(c.cache, kindSums, key, b)
}

// sumUp reads the files that are missing.
func (c *contents) sumUp(pkg *rpm.Package, missing map[int]bool, all []fileSums) error {
	u, err := c.payload(pkg, func(f int) bool { return missing[f] })
	if err != nil {
		return err
	}
	r := c.reader()
	defer c.readers.Put(r)
	one, two := sha1.New(), sha256.New()
	linked := map[section]fileSums{}
	for f := range missing {
		s, ok := u.byFile[f]
		if !ok {
			return fmt.Errorf("package %s has no content of %s", pkg.NEVRA(), pkg.Files()[f].Path)
		}
		if _, ok := linked[s]; !ok {
			one.Reset()
			two.Reset()
			if err := r.copy(io.MultiWriter(one, two), s); err != nil {
				return fmt.Errorf("content of %s: %w", pkg.Files()[f].Path, err)
			}
			linked[s] = fileSums{[sha1.Size]byte(one.Sum(nil)), [sha256.Size]byte(two.Sum(nil))}
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
				s := &sums[files[k]]
				all[n.Path] = sbom.File{SHA1: hex.EncodeToString(s.sha1[:]), SHA256: hex.EncodeToString(s.sha256[:])}
			}
			return nil
		})
	}
	err := group.Wait()
	return all, err
}
