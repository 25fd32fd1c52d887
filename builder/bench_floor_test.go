package builder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"

	"slim/internal/rpm"
)

// floor is the least that the bytes of an image cost: its payloads unpacked, and the tars of its layers hashed once and
// compressed once, all cores busy to the end. The codecs are those of slim, everything is in the page cache.
type floor struct {
	packages []*rpm.Package // the largest first
	tars     []*os.File
	sizes    []int64
}

// newFloor builds the image once and opens what it is made of.
func newFloor(t *testing.T, r *Recipe) *floor {
	t.Helper()
	ctx, o := context.Background(), Options{CacheDir: t.TempDir(), WorkDir: t.TempDir()}
	lock, err := Resolve(ctx, r, o)
	if err != nil {
		t.Fatal(err)
	}
	img, err := Build(ctx, r, lock, o)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	f := &floor{}
	client, done, err := o.client()
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	set, err := fetchPackages(ctx, client, lock.platform(r.Platforms[0]), &rpm.Keyring{}, true, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	f.packages = set.packages
	slices.SortFunc(f.packages, func(a, b *rpm.Package) int { return cmp.Compare(b.Size(), a.Size()) })
	for _, l := range img.Platforms[0].Layers {
		tar, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.Create(filepath.Join(o.WorkDir, "layer"))
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(file.Name())
		t.Cleanup(func() { file.Close() })
		n, err := io.Copy(file, tar)
		tar.Close()
		if err != nil {
			t.Fatal(err)
		}
		f.tars, f.sizes = append(f.tars, file), append(f.sizes, n)
	}
	return f
}

// run does the work and returns its seconds.
func (f *floor) run(t *testing.T) float64 {
	t.Helper()
	var work []func(*flate.Writer, []byte) error
	with := &rpm.Decompressors{}
	for _, p := range f.packages {
		work = append(work, func(*flate.Writer, []byte) error { return unpackAll(p, with) })
	}
	const chunk = 1 << 20
	for i, tar := range f.tars {
		for at := int64(0); at < f.sizes[i]; at += chunk {
			work = append(work, func(z *flate.Writer, buffer []byte) error {
				b := buffer[:min(chunk, f.sizes[i]-at)]
				if _, err := tar.ReadAt(b, at); err != nil {
					return err
				}
				sha256.Sum256(b)
				z.Reset(io.Discard)
				_, err := z.Write(b)
				return cmp.Or(err, z.Flush())
			})
		}
	}
	start := time.Now()
	var next atomic.Int64
	var group errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			z, err := flate.NewWriter(io.Discard, 6)
			if err != nil {
				return err
			}
			buffer := make([]byte, chunk)
			for {
				n := int(next.Add(1)) - 1
				if n >= len(work) {
					return nil
				}
				if err := work[n](z, buffer); err != nil {
					return err
				}
			}
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return time.Since(start).Seconds()
}

func unpackAll(p *rpm.Package, with *rpm.Decompressors) error {
	payload, err := p.PayloadWith(with)
	if err != nil {
		return err
	}
	defer payload.Close()
	for {
		if _, err := payload.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, payload); err != nil {
			return err
		}
	}
}
