package builder

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"slim/internal/fetch"
	"slim/internal/image"
)

// The media types of a shared cache. Another number is another format, which is as if there were none.
const (
	cacheArtifact  = "application/vnd.slim.cache.v1"
	cacheIndexType = types.MediaType("application/vnd.slim.cache.index.v1+json")
	cacheBlobType  = types.MediaType("application/vnd.slim.cache.blob.v1")
	cacheZstdType  = types.MediaType("application/vnd.slim.cache.blob.v1+zstd")
)

// Limits of a shared cache.
const (
	maxCacheIndex   = 32 << 20 // bytes
	maxCacheBlobs   = 2000     // that a manifest names, below what registries take
	maxCacheEntries = 100_000
	maxCacheSize    = 5 << 30 // bytes of all blobs
	maxCacheEntry   = 4 << 30
	maxCachePack    = 16 << 20 // bytes of the entries of a blob that has several: it is unpacked in memory
)

// cacheIndex says which entries of a cache are in which blob of a manifest, what was used last first. It is the manifest's
// config, as JSON.
type cacheIndex struct {
	Blobs []cacheBlob `json:"blobs"`
}

// cacheBlob holds entries one after the other, packed as a whole with zstd where its media type says so.
type cacheBlob struct {
	v1.Descriptor
	Entries []cacheEntry `json:"entries"`
}

// cacheEntry is one thing that a cache keeps.
type cacheEntry struct {
	cacheKey
	Size int64 `json:"size"`
}

// cacheKey names it as fetch.Cache.Kept does.
type cacheKey struct {
	Kind string `json:"kind"`
	Key  string `json:"key"`
}

func (k cacheKey) compare(other cacheKey) int {
	return cmp.Or(strings.Compare(k.Kind, other.Kind), strings.Compare(k.Key, other.Key))
}

// size is that of all entries.
func (b *cacheBlob) size() (total int64) {
	for _, e := range b.Entries {
		total += e.Size
	}
	return total
}

// parseCacheManifest is the descriptor of the index that a manifest has as its config.
func parseCacheManifest(b []byte) (v1.Descriptor, error) {
	var m v1.Manifest
	if err := json.Unmarshal(b, &m); err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading manifest: %w", err)
	}
	if m.ArtifactType != cacheArtifact || m.Config.MediaType != cacheIndexType {
		return v1.Descriptor{}, errors.New("it is no cache of this version of slim")
	}
	if m.Config.Digest.Algorithm != "sha256" || m.Config.Size <= 0 || m.Config.Size > maxCacheIndex {
		return v1.Descriptor{}, fmt.Errorf("its index %s of %d bytes is none", m.Config.Digest, m.Config.Size)
	}
	return m.Config, nil
}

// parseCacheIndex reads an index. What it says of a blob is within the limits; whether it is so the blob has to show.
func parseCacheIndex(b []byte) (*cacheIndex, error) {
	if len(b) > maxCacheIndex {
		return nil, errors.New("the index is too large")
	}
	x := &cacheIndex{}
	if err := json.Unmarshal(b, x); err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	if len(x.Blobs) > maxCacheBlobs {
		return nil, fmt.Errorf("the index names %d blobs", len(x.Blobs))
	}
	entries := 0
	for i := range x.Blobs {
		if err := x.Blobs[i].check(); err != nil {
			return nil, fmt.Errorf("the index says of blob %s: %w", x.Blobs[i].Digest, err)
		}
		entries += len(x.Blobs[i].Entries)
	}
	if entries > maxCacheEntries {
		return nil, fmt.Errorf("the index names %d entries", entries)
	}
	return x, nil
}

func (b *cacheBlob) check() error {
	if b.Digest.Algorithm != "sha256" || b.Size < 0 || len(b.Entries) == 0 {
		return errors.New("no sha256, size or entries")
	}
	var total int64
	for _, e := range b.Entries {
		if err := e.check(); err != nil {
			return err
		}
		if total += e.Size; total > maxCacheEntry || total > maxCachePack && len(b.Entries) > 1 {
			return fmt.Errorf("%d entries of %d bytes and more", len(b.Entries), total)
		}
	}
	switch b.MediaType {
	case cacheZstdType:
		return nil
	case cacheBlobType:
		if total != b.Size {
			return fmt.Errorf("%d bytes of entries in %d", total, b.Size)
		}
		return nil
	}
	return fmt.Errorf("media type %q", b.MediaType)
}

func (e cacheEntry) check() error {
	if cacheGroup(e.Kind) == "" {
		return fmt.Errorf("kind %q", e.Kind)
	}
	if len(e.Key) != 64 || strings.Trim(e.Key, "0123456789abcdef") != "" {
		return fmt.Errorf("key %q is no hex SHA-256", e.Key)
	}
	if e.Size < 0 || e.Size > maxCacheEntry {
		return fmt.Errorf("an entry of %d bytes", e.Size)
	}
	return nil
}

// cacheGroup is what is packed together of a kind, because it is asked for together: "" for what is not shared.
func cacheGroup(kind string) string {
	switch kind {
	case kindImage, kindSent, image.KindLayer:
		return "records" // all that an unchanged image needs
	case kindHead, kindReads, kindSums, fetch.KindBeginning:
		return "packages"
	case image.KindSegment:
		return "segments"
	case kindCatalog, kindOwners:
		return "metadata"
	case kindBill:
		return "bills"
	}
	return ""
}

// join is x and the blobs of older indexes that have what it lacks, within the limits: the oldest go first.
func (x *cacheIndex) join(older ...cacheBlob) *cacheIndex {
	out := &cacheIndex{Blobs: []cacheBlob{}}
	has := map[cacheKey]bool{}
	var size int64
	entries := 0
	for _, b := range slices.Concat(x.Blobs, older) {
		// A blob is cut into entries by their sizes, so it keeps all of them or goes.
		fresh := slices.ContainsFunc(b.Entries, func(e cacheEntry) bool { return !has[e.cacheKey] })
		if !fresh || len(out.Blobs) == maxCacheBlobs || size+b.Size > maxCacheSize || entries+len(b.Entries) > maxCacheEntries {
			continue
		}
		size, entries = size+b.Size, entries+len(b.Entries)
		for _, e := range b.Entries {
			has[e.cacheKey] = true
		}
		out.Blobs = append(out.Blobs, b)
	}
	return out
}

// manifest is the manifest of an index, and the index as its config.
func (x *cacheIndex) manifest() (manifest, config []byte, err error) {
	if config, err = json.Marshal(x); err != nil {
		return nil, nil, err
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: cacheArtifact,
		Config: v1.Descriptor{MediaType: cacheIndexType, Digest: sha256Hash(config), Size: int64(len(config))},
		Layers: []v1.Descriptor{},
	}
	for _, b := range x.Blobs {
		m.Layers = append(m.Layers, b.Descriptor)
	}
	manifest, err = json.Marshal(m)
	return manifest, config, err
}

func sha256Hash(b []byte) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: hexSHA256(b)} }
