package store

import (
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// serial calls f from one goroutine at a time. It is never nil.
func serial(f func(done, total int64)) func(done, total int64) {
	if f == nil {
		return func(int64, int64) {}
	}
	var mu sync.Mutex
	return func(done, total int64) {
		mu.Lock()
		defer mu.Unlock()
		f(done, total)
	}
}

// meter counts what is read of the layers of an artifact.
type meter struct {
	mu    sync.Mutex
	done  int64
	total int64
	tell  func(done, total int64)
}

// newMeter counts towards the size of all layers, each once.
func newMeter(a Artifact, tell func(done, total int64)) (*meter, error) {
	m := &meter{tell: tell}
	seen := map[v1.Hash]bool{}
	for _, img := range a.Images {
		manifest, err := img.Manifest()
		if err != nil {
			return nil, err
		}
		for _, d := range manifest.Layers {
			if !seen[d.Digest] {
				seen[d.Digest] = true
				m.total += d.Size
			}
		}
	}
	return m, nil
}

func (m *meter) add(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done = min(m.done+n, m.total)
	m.tell(m.done, m.total)
}

func (m *meter) reader(r io.ReadCloser) io.ReadCloser { return &meteredReader{r, m} }

type meteredReader struct {
	io.ReadCloser
	m *meter
}

func (r *meteredReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		r.m.add(int64(n))
	}
	return n, err
}
