package builder

import (
	"slim/internal/fetch"
	"slim/internal/image"
)

// shelf is the part of the cache where packed segments are.
type shelf struct{ cache *fetch.Cache }

func (s shelf) Open(kind, key string) (image.Entry, error) {
	k, err := s.cache.Kept(kind, key)
	if k == nil || err != nil {
		return nil, err
	}
	return k, nil
}

func (s shelf) Has(kind, key string) bool { return s.cache.HasKept(kind, key) }

func (s shelf) Create() (image.Draft, error) { return s.cache.Keep() }
