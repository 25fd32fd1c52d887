package builder

import (
	"io"

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

// readKept is a short entry of the cache; nil when it is not there, or cannot be read to its end.
func readKept(c *fetch.Cache, kind, key string, limit int64) ([]byte, error) {
	return image.ReadEntry(shelf{c}, kind, key, limit)
}

// keep puts an entry into the cache.
func keep(c *fetch.Cache, kind, key string, content []byte) error {
	return keepWritten(c, kind, key, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

// keepWritten puts what write writes into the cache.
func keepWritten(c *fetch.Cache, kind, key string, write func(io.Writer) error) error {
	k, err := c.Keep()
	if err != nil {
		return err
	}
	if err := write(k); err != nil {
		k.Discard()
		return err
	}
	return k.Commit(kind, key)
}
