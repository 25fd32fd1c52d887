package builder

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"

	"slim/internal/fetch"
	"slim/internal/image"
	"slim/internal/store"
)

const (
	bigCacheEntry = 256 << 10 // an entry of this size is a blob of its own
	goodCachePack = 8 << 20   // of entries in a blob that has several
	maxSpread     = 16        // small entries of a build that are in more blobs than this are packed anew
	maxRaces      = 5         // with other workers that write the same cache, after which the last one wins
)

// Push brings what builds used, and the cache lacks, to where the shared cache is written to; without such a place it does
// nothing. Of what stands there all stays that there is room for. When another worker has written meanwhile, what that one
// brought stays as well. Errors of the registry are *store.RegistryError; with ignore-error=true they are reported only.
func (s *SharedCache) Push(ctx context.Context, o Options) error {
	if s.to == nil {
		return nil
	}
	err := s.push(ctx, o)
	if err == nil || ctx.Err() != nil {
		return err
	}
	err = fmt.Errorf("writing shared cache %s: %w", s.to.name, err)
	if s.to.ignoreError {
		o.Report.Report(Event{Message: "warning: " + err.Error()})
		return nil
	}
	return err
}

func (s *SharedCache) push(ctx context.Context, o Options) error {
	cache, err := fetch.OpenCache(o.CacheDir)
	if err != nil {
		return err
	}
	p := s.newPush(cache)
	if s.to.same != nil && s.to.same.read() != nil {
		p.setOlder(s.to.same.read())
		if wanted, copied, err := p.lacking(); err != nil || len(wanted)+len(copied) == 0 {
			return err
		}
	}
	digest, err := p.readPrior(ctx)
	if err != nil {
		return err
	}
	wanted, copied, err := p.lacking()
	if err != nil {
		return err
	}
	fresh, err := p.pack(wanted)
	if err != nil || len(fresh)+len(copied) == 0 {
		return err
	}
	added, err := p.send(ctx, fresh, copied, max(4, o.jobs()))
	if err != nil {
		return err
	}
	for range maxRaces {
		now, err := s.to.bundle.Head(ctx)
		if err != nil {
			return err
		}
		if now == digest {
			break
		}
		if digest, err = p.readPrior(ctx); err != nil {
			return err
		}
	}
	if err := p.put(ctx, added); err != nil {
		return err
	}
	entries := 0
	for _, b := range added.Blobs {
		entries += len(b.Entries)
	}
	o.Report.Report(Event{Message: fmt.Sprintf("shared cache %s: %d entries more", s.to.name, entries)})
	return nil
}

// cachePush is one writing of a shared cache.
type cachePush struct {
	shared *SharedCache
	cache  *fetch.Cache
	used   map[cacheKey]bool
	bad    map[v1.Hash]bool // blobs that are not what their digest says, or gone
	older  []cacheBlob      // what stands there, without those: first the blobs of which something was used
}

func (s *SharedCache) newPush(cache *fetch.Cache) *cachePush {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &cachePush{shared: s, cache: cache, used: maps.Clone(s.used), bad: map[v1.Hash]bool{}}
	for _, src := range s.from {
		src.mu.Lock()
		maps.Copy(p.bad, src.bad)
		src.mu.Unlock()
	}
	return p
}

// readPrior reads what stands where the cache is written to, and returns the digest of its manifest. What cannot be
// understood is as if it were not there; what is no cache is not replaced.
func (p *cachePush) readPrior(ctx context.Context) (v1.Hash, error) {
	p.older = nil
	manifest, digest, err := p.shared.to.bundle.Manifest(ctx)
	if manifest == nil || err != nil {
		return digest, err
	}
	var m struct {
		ArtifactType string `json:"artifactType"`
	}
	family, _, _ := strings.Cut(cacheArtifact, ".v1")
	if json.Unmarshal(manifest, &m) != nil || !strings.HasPrefix(m.ArtifactType, family+".v") {
		return digest, errors.New("what stands there is no cache: take another tag")
	}
	index, err := readCacheIndex(ctx, p.shared.to.bundle, manifest)
	var answer *store.RegistryError
	if errors.As(err, &answer) && answer.Status != http.StatusNotFound || ctx.Err() != nil {
		return digest, err
	}
	if err != nil {
		return digest, nil
	}
	p.setOlder(index)
	return digest, nil
}

// setOlder takes what stands there from its index.
func (p *cachePush) setOlder(x *cacheIndex) {
	p.older = nil
	var rest []cacheBlob
	for _, b := range x.Blobs {
		switch {
		case p.bad[b.Digest]:
		case slices.ContainsFunc(b.Entries, func(e cacheEntry) bool { return p.used[e.cacheKey] }):
			p.older = append(p.older, b)
		default:
			rest = append(rest, b)
		}
	}
	p.older = append(p.older, rest...)
}

// copiedBlob is a blob of another cache.
type copiedBlob struct {
	blob cacheBlob
	from *cacheSource
}

// lacking is what has to be added: entries of this machine by group, and blobs of caches that were read.
func (p *cachePush) lacking() (wanted map[string][]cacheEntry, copied []copiedBlob, err error) {
	there := map[cacheKey]*cacheBlob{}
	sizes := map[cacheKey]int64{}
	for i := range p.older {
		for _, e := range p.older[i].Entries {
			if there[e.cacheKey] == nil {
				there[e.cacheKey], sizes[e.cacheKey] = &p.older[i], e.Size
			}
		}
	}
	spread := p.spread(there)
	seen := map[v1.Hash]bool{}
	wanted = map[string][]cacheEntry{}
	for _, key := range slices.SortedFunc(maps.Keys(p.used), cacheKey.compare) {
		b := there[key]
		if b == nil {
			if from, src := p.shared.source(key); from != nil {
				if !seen[from.Digest] {
					seen[from.Digest] = true
					copied = append(copied, copiedBlob{*from, src})
				}
				continue
			}
		}
		group := cacheGroup(key.Kind)
		again := b != nil && len(b.Entries) > 1 && spread[group] > maxSpread
		grows := key.Kind == kindReads || key.Kind == kindSums // as more of a package is read
		if b != nil && !again && !grows {
			continue
		}
		size, err := p.size(key)
		if err != nil {
			return nil, nil, err
		}
		if size >= 0 && size <= maxCacheEntry && (b == nil || again || size > sizes[key]) {
			wanted[group] = append(wanted[group], cacheEntry{key, size})
		}
	}
	return wanted, copied, nil
}

// pack makes blobs of entries.
func (p *cachePush) pack(wanted map[string][]cacheEntry) (fresh []*packedBlob, err error) {
	for _, group := range slices.Sorted(maps.Keys(wanted)) {
		for _, entries := range packs(wanted[group]) {
			b := &packedBlob{cache: p.cache}
			if err := b.seal(entries, group != cacheGroup(image.KindSegment), p.bad); err != nil {
				return nil, err
			}
			if len(b.blob.Entries) > 0 {
				fresh = append(fresh, b)
			}
		}
	}
	return fresh, nil
}

// spread counts by group in how many blobs of several entries is what was used.
func (p *cachePush) spread(there map[cacheKey]*cacheBlob) map[string]int {
	counted := map[string]map[*cacheBlob]bool{}
	out := map[string]int{}
	for key := range p.used {
		b, group := there[key], cacheGroup(key.Kind)
		if b == nil || len(b.Entries) < 2 || counted[group][b] {
			continue
		}
		if counted[group] == nil {
			counted[group] = map[*cacheBlob]bool{}
		}
		counted[group][b] = true
		out[group]++
	}
	return out
}

// size is that of an entry of this machine's cache; -1 without one.
func (p *cachePush) size(key cacheKey) (int64, error) {
	k, err := p.cache.Kept(key.Kind, key.Key)
	if k == nil || err != nil {
		return -1, err
	}
	return k.Size(), k.Close()
}

// source is the blob of the caches that were read which has an entry.
func (s *SharedCache) source(key cacheKey) (*cacheBlob, *cacheSource) {
	for _, src := range s.from {
		src.mu.Lock()
		b := src.byKey[key]
		broken := src.broken
		src.mu.Unlock()
		if b != nil && !broken {
			return &b.cacheBlob, src
		}
	}
	return nil, nil
}

// packs deals entries out to blobs.
func packs(entries []cacheEntry) (out [][]cacheEntry) {
	var pack []cacheEntry
	var size int64
	for _, e := range entries {
		if e.Size >= bigCacheEntry {
			out = append(out, []cacheEntry{e})
			continue
		}
		if size+e.Size > goodCachePack {
			out, pack, size = append(out, pack), nil, 0
		}
		pack, size = append(pack, e), size+e.Size
	}
	if len(pack) > 0 {
		out = append(out, pack)
	}
	return out
}

// send brings the blobs there and returns what there is then. A blob of another cache that cannot be had is left out.
func (p *cachePush) send(ctx context.Context, fresh []*packedBlob, copied []copiedBlob, jobs int) (*cacheIndex, error) {
	to := p.shared.to.bundle
	lacking := make([]bool, len(copied))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(jobs)
	for _, b := range fresh {
		group.Go(func() error { return to.Add(ctx, b) })
	}
	for i, b := range copied {
		group.Go(func() error {
			lacking[i] = to.Copy(ctx, b.from.bundle, b.blob.Descriptor) != nil
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	x := &cacheIndex{}
	for _, b := range fresh {
		x.Blobs = append(x.Blobs, b.blob)
	}
	for i, b := range copied {
		if !lacking[i] {
			x.Blobs = append(x.Blobs, b.blob)
		}
	}
	return x, nil
}

// put makes an index, with what stood there, what stands there; without that where the registry does not have it any more.
func (p *cachePush) put(ctx context.Context, x *cacheIndex) error {
	err := p.putIndex(ctx, x.join(p.older...))
	var answer *store.RegistryError
	if errors.As(err, &answer) && (answer.Status == http.StatusBadRequest || answer.Status == http.StatusNotFound) && len(p.older) > 0 {
		return p.putIndex(ctx, x.join())
	}
	return err
}

func (p *cachePush) putIndex(ctx context.Context, x *cacheIndex) error {
	manifest, config, err := x.manifest()
	if err != nil {
		return err
	}
	to := p.shared.to.bundle
	if err := to.Add(ctx, static.NewLayer(config, cacheIndexType)); err != nil {
		return err
	}
	return to.Put(ctx, manifest)
}

// packedBlob is a blob of entries of this machine's cache. It is a v1.Layer.
type packedBlob struct {
	blob  cacheBlob
	cache *fetch.Cache
}

// seal sets what there is to know of the blob. Entries that are gone or damaged are not in it. A registry that has it, and
// gives something else for its digest, is sent the entries in another form.
func (b *packedBlob) seal(entries []cacheEntry, pack bool, bad map[v1.Hash]bool) error {
	for {
		b.blob = cacheBlob{Entries: entries}
		if b.blob.MediaType = cacheBlobType; pack {
			b.blob.MediaType = cacheZstdType
		}
		h := sha256.New()
		c := &countingWriter{w: h}
		err := b.write(c)
		var lost *lostEntry
		if errors.As(err, &lost) {
			entries = slices.DeleteFunc(slices.Clone(entries), func(e cacheEntry) bool { return e.cacheKey == lost.key })
			continue
		}
		b.blob.Digest, b.blob.Size = v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}, c.n
		if err == nil && bad[b.blob.Digest] {
			pack, bad = !pack, nil
			continue
		}
		return err
	}
}

// lostEntry says that an entry is not in the cache any more.
type lostEntry struct{ key cacheKey }

func (e *lostEntry) Error() string {
	return fmt.Sprintf("%s/%s is lost from the cache", e.key.Kind, e.key.Key)
}

func (b *packedBlob) write(w io.Writer) error {
	if b.blob.MediaType != cacheZstdType {
		return b.writeEntries(w)
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	if err := b.writeEntries(z); err != nil {
		_ = z.Close() // err says more
		return err
	}
	return z.Close()
}

func (b *packedBlob) writeEntries(w io.Writer) error {
	for _, e := range b.blob.Entries {
		k, err := b.cache.Kept(e.Kind, e.Key)
		if err != nil {
			return err
		}
		if k == nil || k.Size() != e.Size {
			return errors.Join(&lostEntry{e.cacheKey}, closeIf(k))
		}
		_, err = io.Copy(w, k)
		k.Close()
		if errors.Is(err, fetch.ErrDamaged) {
			return &lostEntry{e.cacheKey}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func closeIf(k *fetch.Kept) error {
	if k == nil {
		return nil
	}
	return k.Close()
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Compressed reads the blob.
func (b *packedBlob) Compressed() (io.ReadCloser, error) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(b.write(w)) }()
	return r, nil
}

func (b *packedBlob) Uncompressed() (io.ReadCloser, error) { return b.Compressed() }
func (b *packedBlob) Digest() (v1.Hash, error)             { return b.blob.Digest, nil }
func (b *packedBlob) DiffID() (v1.Hash, error)             { return b.blob.Digest, nil }
func (b *packedBlob) Size() (int64, error)                 { return b.blob.Size, nil }
func (b *packedBlob) MediaType() (types.MediaType, error)  { return b.blob.MediaType, nil }
