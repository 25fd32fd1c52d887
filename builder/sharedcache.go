package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"slim/internal/fetch"
	"slim/internal/store"
)

// SharedCache is a cache in registries behind the one of this machine, so that a fleet of workers shares what any of them
// computed. An entry is read when a build asks for it; what is missing, damaged or of another version of slim is as if it
// were not there, and is made again. What a build used Push brings there. The package comment says what is in it.
//
// Digests tell damage and not malice: who may write to such a cache can change what is built from it, as who may write to the
// images' own repositories can. Verify finds it out, by the signatures of the distribution.
type SharedCache struct {
	ctx  context.Context
	from []*cacheSource
	to   *cacheTarget // nil for none

	mu   sync.Mutex
	used map[cacheKey]bool
}

// cacheTarget is where a shared cache is written to.
type cacheTarget struct {
	name        string
	bundle      *store.Bundle
	same        *cacheSource // that is read at the same reference; nil for none
	ignoreError bool
}

// OpenSharedCache understands references of caches: docker://REFERENCE; to may be "", and may end in ",ignore-error=true".
// Nothing is asked before something is looked for, in the context given here.
func OpenSharedCache(ctx context.Context, from []string, to string, o Options) (*SharedCache, error) {
	s := &SharedCache{ctx: ctx, used: map[cacheKey]bool{}}
	open := func(name string) (*store.Bundle, error) {
		ref, err := store.Parse(name)
		if err == nil && (ref.Kind != store.KindDocker || !strings.HasPrefix(name, "docker://")) {
			err = fmt.Errorf("a shared cache is in a registry: %q is not docker://REFERENCE", name)
		}
		if err != nil {
			return nil, err
		}
		return store.OpenBundle(ref, store.Options{Jobs: max(4, o.jobs())})
	}
	for _, name := range from {
		bundle, err := open(name)
		if err != nil {
			return nil, err
		}
		s.from = append(s.from, &cacheSource{name: name, bundle: bundle, offline: o.Offline})
	}
	if to == "" {
		return s, nil
	}
	name, ignore := strings.CutSuffix(to, ",ignore-error=true")
	if strings.Contains(name, "@") {
		return nil, fmt.Errorf("a shared cache is written to a tag: %q is none", name)
	}
	if o.Offline || o.CacheDir == "" {
		return nil, errors.New("a shared cache is written over the network, from a cache directory")
	}
	s.to = &cacheTarget{name: name, ignoreError: ignore}
	if at := slices.IndexFunc(s.from, func(c *cacheSource) bool { return c.name == name }); at >= 0 {
		s.to.same, s.to.bundle = s.from[at], s.from[at].bundle
		return s, nil
	}
	var err error
	s.to.bundle, err = open(name)
	return s, err
}

// behind is the shared cache as a local one has it behind it.
func (s *SharedCache) behind(report Reporter) fetch.Behind { return &cacheReader{s, report} }

// cacheReader is a shared cache in one build.
type cacheReader struct {
	*SharedCache
	report Reporter
}

func (r *cacheReader) Has(kind, key string) bool {
	for _, src := range r.from {
		if src.find(r, cacheKey{kind, key}) != nil {
			return true
		}
	}
	return false
}

func (r *cacheReader) Load(into *fetch.Cache, kind, key string) bool {
	for _, src := range r.from {
		if b := src.find(r, cacheKey{kind, key}); b != nil && src.load(r, into, b, cacheKey{kind, key}) {
			return true
		}
	}
	return false
}

func (r *cacheReader) Used(kind, key string) {
	if cacheGroup(kind) == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[cacheKey{kind, key}] = true
}

// cacheSource is one cache that is read.
type cacheSource struct {
	name    string
	bundle  *store.Bundle
	offline bool

	once sync.Once // for the index

	mu     sync.Mutex
	index  *cacheIndex // as it was read; nil without one
	byKey  map[cacheKey]*sharedBlob
	warned bool
	broken bool             // the registry does not answer: it is not asked again
	bad    map[v1.Hash]bool // blobs that are not what they should be
}

// sharedBlob is a blob of the index, which one goroutine reads at a time.
type sharedBlob struct {
	cacheBlob
	mu sync.Mutex
}

// find is the blob that has an entry; nil without one.
func (c *cacheSource) find(r *cacheReader, key cacheKey) *sharedBlob {
	c.once.Do(func() { c.open(r) })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		return nil
	}
	return c.byKey[key]
}

// open reads the index.
func (c *cacheSource) open(r *cacheReader) {
	if c.offline {
		c.warn(r, errors.New("it is not asked: offline"))
		return
	}
	manifest, _, err := c.bundle.Manifest(r.ctx)
	var index *cacheIndex
	if err == nil && manifest != nil {
		index, err = readCacheIndex(r.ctx, c.bundle, manifest)
	}
	if err != nil {
		c.warn(r, err)
		return
	}
	if index == nil {
		r.report.Report(Event{Message: "shared cache " + c.name + ": there is none yet"})
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.index = index
	c.byKey, c.bad = map[cacheKey]*sharedBlob{}, map[v1.Hash]bool{}
	for _, b := range index.Blobs {
		shared := &sharedBlob{cacheBlob: b}
		for _, e := range b.Entries {
			if c.byKey[e.cacheKey] == nil {
				c.byKey[e.cacheKey] = shared
			}
		}
	}
}

// read is the index if it was read.
func (c *cacheSource) read() *cacheIndex {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.index
}

// readCacheIndex reads the index that a manifest names.
func readCacheIndex(ctx context.Context, bundle *store.Bundle, manifest []byte) (*cacheIndex, error) {
	d, err := parseCacheManifest(manifest)
	if err != nil {
		return nil, err
	}
	r, err := bundle.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return parseCacheIndex(b)
}

// warn says once for each cache what is wrong with it.
func (c *cacheSource) warn(r *cacheReader, err error) {
	c.mu.Lock()
	said := c.warned
	c.warned = true
	c.mu.Unlock()
	if !said && r.ctx.Err() == nil {
		r.report.Report(Event{Message: fmt.Sprintf("warning: shared cache %s: %v; what is not there is made again", c.name, err)})
	}
}

// load brings the entries of a blob into the cache.
func (c *cacheSource) load(r *cacheReader, into *fetch.Cache, b *sharedBlob, key cacheKey) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if into.HasKept(key.Kind, key.Key) { // another goroutine has brought it
		return true
	}
	if c.find(r, key) != b { // another goroutine has found it bad
		return false
	}
	content, err := c.bundle.Open(r.ctx, b.Descriptor)
	if err == nil {
		err = b.unpack(content, into)
		content.Close()
	}
	if err != nil {
		c.forget(b, err)
		c.warn(r, err)
	}
	return err == nil
}

// forget makes what is in a blob as if it were not there and, where the registry gives nothing, all else as well.
func (c *cacheSource) forget(b *sharedBlob, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, other := range c.byKey {
		if other == b {
			delete(c.byKey, key)
		}
	}
	var answer *store.RegistryError
	c.bad[b.Digest] = true
	c.broken = c.broken || errors.As(err, &answer) && answer.Status != http.StatusNotFound
}

// unpack brings the entries of a blob, which is checked at the end of content, into a cache that lacks them.
func (b *cacheBlob) unpack(content io.Reader, into *fetch.Cache) error {
	r := content
	if b.MediaType == cacheZstdType {
		z, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxCachePack))
		if err != nil {
			return err
		}
		defer z.Close()
		r = z
	}
	if len(b.Entries) == 1 {
		return keepShared(into, b.Entries[0], r, content)
	}
	pack := make([]byte, b.size())
	if _, err := io.ReadFull(r, pack); err != nil {
		return fmt.Errorf("blob %s: %w", b.Digest, err)
	}
	if err := drained(r, content); err != nil {
		return err
	}
	for _, e := range b.Entries {
		part := pack[:e.Size]
		pack = pack[e.Size:]
		if into.HasKept(e.Kind, e.Key) {
			continue
		}
		if err := keepShared(into, e, bytes.NewReader(part)); err != nil {
			return err
		}
	}
	return nil
}

// keepShared keeps an entry that r has. It counts only when r, and what that is read from, end behind it as they should.
func keepShared(into *fetch.Cache, e cacheEntry, r io.Reader, from ...io.Reader) error {
	k, err := into.Keep()
	if err != nil {
		return err
	}
	_, err = io.CopyN(k, r, e.Size)
	if err == nil {
		err = drained(append([]io.Reader{r}, from...)...)
	}
	if err != nil {
		k.Discard()
		return fmt.Errorf("entry %s/%s: %w", e.Kind, e.Key, noEOF(err))
	}
	return k.Commit(e.Kind, e.Key)
}

// drained reads to the end of readers, which is where they are; an error tells that one of them is not what it should be.
func drained(readers ...io.Reader) error {
	for _, r := range readers {
		if n, err := io.CopyN(io.Discard, r, 1); n > 0 {
			return errors.New("it has more than its index says")
		} else if err != io.EOF {
			return err
		}
	}
	return nil
}
