package image

import (
	"bytes"
	"sync"

	"slim/internal/rootfs"
)

// ReadEntry is a short entry, or the first limit bytes of one; nil without it, or when it is damaged.
func ReadEntry(shelf Shelf, kind, key string, limit int64) ([]byte, error) {
	e, err := shelf.Open(kind, key)
	if e == nil || err != nil {
		return nil, err
	}
	defer e.Close()
	b, err := rootfs.ReadSized(e, e.Size(), limit)
	if err != nil {
		return nil, nil // it is made anew
	}
	return b, nil
}

func putEntry(shelf Shelf, kind, key string, content []byte) error {
	d, err := shelf.Create()
	if err != nil {
		return err
	}
	if _, err := d.Write(content); err != nil {
		d.Discard()
		return err
	}
	return d.Commit(kind, key)
}

// MemoryShelf is a Shelf in memory, for what is small. The zero value is empty.
type MemoryShelf struct {
	mu      sync.Mutex
	entries map[string][]byte
}

// Open opens an entry.
func (m *MemoryShelf) Open(kind, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.entries[kind+"/"+key]
	if !ok {
		return nil, nil
	}
	return memoryEntry{bytes.NewReader(b)}, nil
}

// Has reports whether there is an entry.
func (m *MemoryShelf) Has(kind, key string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.entries[kind+"/"+key]
	return ok
}

// Create begins an entry.
func (m *MemoryShelf) Create() (Draft, error) { return &memoryDraft{shelf: m}, nil }

type memoryEntry struct{ *bytes.Reader }

func (memoryEntry) Close() error { return nil }

type memoryDraft struct {
	bytes.Buffer
	shelf *MemoryShelf
}

func (d *memoryDraft) Commit(kind, key string) error {
	d.shelf.mu.Lock()
	defer d.shelf.mu.Unlock()
	if d.shelf.entries == nil {
		d.shelf.entries = map[string][]byte{}
	}
	d.shelf.entries[kind+"/"+key] = d.Bytes()
	return nil
}

func (d *memoryDraft) Discard() { d.Reset() }
